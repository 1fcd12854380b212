//! The labels of every series: their names, their values, and how they are encoded.
//!
//! A label set is a struct that is destructured exhaustively where it is encoded, so that a new field
//! cannot be forgotten. Values are untrusted text: the encoders escape them.

use std::fmt::{self, Write as _};

use collector_common::signal::{KernelLoss, Signal};
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelSetEncoder};

use crate::{
    catalog::{Container, Identity, Names, Qos, Runtime},
    host::cgroupfs::Reason,
    reconcile::{drift::DriftQuantity, snapshot::LastReading},
    window::{LossReason, Operation, Preemptor, Quantiles, WindowSignal},
};

/// A label, as the catalog lists it.
#[derive(Clone, Copy, Debug)]
pub struct Label {
    /// Its name.
    pub name: &'static str,
    /// What it can be.
    pub values: Values,
}

/// What a label can be.
#[derive(Clone, Copy, Debug)]
pub enum Values {
    /// One of these.
    Closed(&'static [&'static str]),
    /// Text, described here; bounded by what the host has.
    Open(&'static str),
}

pub(super) const fn closed(name: &'static str, values: &'static [&'static str]) -> Label {
    Label {
        name,
        values: Values::Closed(values),
    }
}

pub(super) const fn open(name: &'static str, description: &'static str) -> Label {
    Label {
        name,
        values: Values::Open(description),
    }
}

/// The labels of every cgroup's series, in this order.
pub const CGROUP: [Label; 6] = [
    open("id", "the cgroup's path from the root of its hierarchy"),
    open("name", "the container's name in its runtime"),
    open("image", "the container's image"),
    open("namespace", "the Kubernetes namespace, or the runtime's"),
    open("pod", "the Kubernetes pod"),
    open("container", "the container's name in its pod"),
];

/// The labels that containerd gives a container's series, in this order.
pub const CONTAINERD: [Label; 2] = [
    open("container_id", "containerd's id of the container"),
    open("namespace", "containerd's namespace; empty when unknown"),
];

/// See [`Runtime`].
pub const RUNTIME: Label = closed(
    "runtime",
    &[
        Runtime::Docker.name(),
        Runtime::Containerd.name(),
        Runtime::CriO.name(),
        Runtime::Podman.name(),
        Runtime::Unknown.name(),
    ],
);
/// The runtime's id of a container.
pub const CONTAINER_ID: Label = open("container_id", "the runtime's id of the container");
/// The UID of a pod.
pub const POD_UID: Label = open("pod_uid", "the UID of the Kubernetes pod");
/// See [`Qos`].
pub const QOS: Label = closed(
    "qos",
    &[
        Qos::Guaranteed.name(),
        Qos::Burstable.name(),
        Qos::BestEffort.name(),
        "",
    ],
);
/// The version of a cgroup hierarchy.
pub const CGROUP_VERSION: Label = closed("cgroup_version", &["1", "2", ""]);
/// The name of a reason in the label `error`.
pub(super) const fn reason_name(reason: Reason) -> &'static str {
    match reason {
        Reason::Empty => "empty",
        Reason::NotANumber => "not_a_number",
        Reason::Negative => "negative",
        Reason::Overflow => "overflow",
        Reason::MissingValue => "missing_value",
        Reason::MissingName => "missing_name",
        Reason::NotADevice => "not_a_device",
        Reason::Unterminated => "unterminated",
    }
}
/// See [`LastReading`].
pub const LAST_READING: Label = closed(
    "last_reading",
    &[
        LastReading::Final.name(),
        LastReading::Partial.name(),
        LastReading::Earlier.name(),
        LastReading::EventsOnly.name(),
        LastReading::Running.name(),
    ],
);
/// How a last reading ended.
pub const RESULT: Label = closed("result", &["won", "late", "lost"]);
/// See [`DriftQuantity`].
pub const QUANTITY: Label = closed(
    "quantity",
    &[
        DriftQuantity::CpuTime.name(),
        DriftQuantity::Bytes.name(),
        DriftQuantity::Operations.name(),
        DriftQuantity::OomKills.name(),
    ],
);
/// A signal whose events are compared with the kernel's counters.
pub const COMPARED_SIGNAL: Label = closed(
    "signal",
    &[
        DriftQuantity::CpuTime.signal().name(),
        DriftQuantity::Bytes.signal().name(),
        DriftQuantity::OomKills.signal().name(),
    ],
);
/// Of whom a drift is.
pub const DRIFT_OF: Label = closed("of", &["worst", "total"]);
/// What went wrong in reading files.
pub const ERROR: Label = closed(
    "error",
    &[
        reason_name(Reason::Empty),
        reason_name(Reason::NotANumber),
        reason_name(Reason::Negative),
        reason_name(Reason::Overflow),
        reason_name(Reason::MissingValue),
        reason_name(Reason::MissingName),
        reason_name(Reason::NotADevice),
        reason_name(Reason::Unterminated),
        "unreadable",
        "cut",
        "over_bound",
    ],
);
/// Why a context switch happened.
pub const TYPE: Label = closed(
    "type",
    &[SwitchKind::Voluntary.name(), SwitchKind::Involuntary.name()],
);
/// What kept tasks waiting for a CPU.
pub const CAUSE: Label = closed(
    "cause",
    &[WaitCause::Contention.name(), WaitCause::Throttled.name()],
);
/// See [`Preemptor`].
pub const BY: Label = closed(
    "by",
    &[
        Preemptor::SameContainer.name(),
        Preemptor::OtherContainer.name(),
        Preemptor::System.name(),
        Preemptor::Kernel.name(),
    ],
);
/// A block device.
pub const DEVICE: Label = open(
    "device",
    "the disk's kernel name, as in `/proc/diskstats`; `major:minor` when it is gone; `~other` for \
     those that are too many",
);
/// See [`Operation`].
pub const OPERATION: Label = closed(
    "operation",
    &[
        Operation::Read.name(),
        Operation::Write.name(),
        Operation::Flush.name(),
        Operation::Discard.name(),
    ],
);
/// Why a task waited for a CPU.
#[derive(Clone, Copy, Debug)]
pub(super) enum WaitCause {
    Contention,
    Throttled,
}

impl WaitCause {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Contention => "contention",
            Self::Throttled => "throttled",
        }
    }
}

/// A part of a block request's life.
pub const STAGE: Label = closed("stage", &[Stage::Queue.name(), Stage::Device.name()]);
/// A cgroup's part in an OOM kill.
pub const ROLE: Label = closed(
    "role",
    &[OomRole::Victim.name(), OomRole::LimitOwner.name()],
);
/// See [`WindowSignal`].
pub const WINDOW_SIGNAL: Label = closed(
    "signal",
    &[
        WindowSignal::RunqueueLatency.name(),
        WindowSignal::OncpuSlice.name(),
        WindowSignal::BlockIoQueue.name(),
        WindowSignal::BlockIoDevice.name(),
    ],
);
/// A rank of [`Quantiles::RANKS`].
pub const QUANTILE: Label = closed("quantile", &["0.5", "0.75", "0.9", "0.95", "0.99", "0.999"]);
/// See [`Signal`].
pub const SIGNAL: Label = closed(
    "signal",
    &[
        Signal::Sched.name(),
        Signal::BlockIo.name(),
        Signal::Oom.name(),
        Signal::CgroupLife.name(),
    ],
);
/// See [`LossReason`].
pub const REASON: Label = closed(
    "reason",
    &[
        LossReason::Kernel(KernelLoss::RingFull).name(),
        LossReason::Kernel(KernelLoss::NegativeDelta).name(),
        LossReason::Kernel(KernelLoss::NoTimestamp).name(),
        LossReason::Kernel(KernelLoss::Recursion).name(),
        LossReason::OutOfRange.name(),
        LossReason::Malformed.name(),
    ],
);
/// A kernel program.
pub const PROGRAM: Label = open(
    "program",
    "the kernel program's name, as `bpftool prog` shows it",
);
/// Whether a cgroup is there, or was.
pub const STATE: Label = closed(
    "state",
    &[
        CgroupState::Live.name(),
        CgroupState::Exited.name(),
        CgroupState::Overflowed.name(),
    ],
);
/// Our version.
pub const VERSION: Label = open("version", "the version of cgscope");
/// The machine's architecture.
pub const ARCH: Label = open("arch", "the architecture it was built for");

/// Why a context switch happened.
#[derive(Clone, Copy, Debug)]
pub(super) enum SwitchKind {
    Voluntary,
    Involuntary,
}

impl SwitchKind {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Voluntary => "voluntary",
            Self::Involuntary => "involuntary",
        }
    }
}

/// A part of a block request's life.
#[derive(Clone, Copy, Debug)]
pub(super) enum Stage {
    Queue,
    Device,
}

impl Stage {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Queue => "queue",
            Self::Device => "device",
        }
    }
}

/// A cgroup's part in an OOM kill.
#[derive(Clone, Copy, Debug)]
pub(super) enum OomRole {
    Victim,
    LimitOwner,
}

impl OomRole {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Victim => "victim",
            Self::LimitOwner => "limit_owner",
        }
    }
}

/// What has become of a cgroup.
#[derive(Clone, Copy, Debug)]
pub(super) enum CgroupState {
    Live,
    Exited,
    Overflowed,
}

impl CgroupState {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Exited => "exited",
            Self::Overflowed => "overflowed",
        }
    }
}

/// A set of one label, whose value is the name of an enum's variant.
macro_rules! one_label {
    ($($set:ty => $label:ident),* $(,)?) => {
        $(impl EncodeLabelSet for $set {
            fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
                encode_label(encoder, &$label, &self.name())
            }
        })*
    };
}

one_label! {
    SwitchKind => TYPE,
    WaitCause => CAUSE,
    Preemptor => BY,
    Stage => STAGE,
    OomRole => ROLE,
    CgroupState => STATE,
}

/// The signal of an account.
#[derive(Clone, Copy, Debug)]
pub(super) struct OfSignal(pub(super) Signal);

impl EncodeLabelSet for OfSignal {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        let Self(signal) = self;
        encode_label(encoder, &SIGNAL, &signal.name())
    }
}

/// A signal and why events of it were lost.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lost {
    pub(super) signal: Signal,
    pub(super) reason: LossReason,
}

impl EncodeLabelSet for Lost {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        let Self { signal, reason } = self;
        encode_label(encoder, &SIGNAL, &signal.name())?;
        encode_label(encoder, &REASON, &reason.name())
    }
}

/// A kernel program.
#[derive(Clone, Copy, Debug)]
pub(super) struct OfProgram(pub(super) &'static str);

impl EncodeLabelSet for OfProgram {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        let Self(name) = self;
        encode_label(encoder, &PROGRAM, name)
    }
}

/// How a last reading ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct ReadingResult(pub(super) &'static str);

impl EncodeLabelSet for ReadingResult {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        let Self(result) = self;
        encode_label(encoder, &RESULT, result)
    }
}

/// Of what and of whom a drift is.
#[derive(Clone, Copy, Debug)]
pub(super) struct DriftOf {
    pub(super) quantity: DriftQuantity,
    pub(super) of: &'static str,
}

impl EncodeLabelSet for DriftOf {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        let Self { quantity, of } = self;
        encode_label(encoder, &COMPARED_SIGNAL, &quantity.signal().name())?;
        encode_label(encoder, &QUANTITY, &quantity.name())?;
        encode_label(encoder, &DRIFT_OF, of)
    }
}

/// What went wrong in reading files.
#[derive(Clone, Copy, Debug)]
pub(super) struct ReadError(pub(super) &'static str);

impl EncodeLabelSet for ReadError {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        let Self(error) = self;
        encode_label(encoder, &ERROR, error)
    }
}

/// A block device and what was done with it.
#[derive(Clone, Copy, Debug)]
pub(super) struct DeviceOperation<'a> {
    pub(super) device: &'a str,
    pub(super) operation: Operation,
}

impl EncodeLabelSet for DeviceOperation<'_> {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        let Self { device, operation } = self;
        encode_label(encoder, &DEVICE, device)?;
        encode_label(encoder, &OPERATION, &operation.name())
    }
}

/// A quantile of a window.
#[derive(Clone, Copy, Debug)]
pub(super) struct WindowQuantile {
    pub(super) signal: WindowSignal,
    pub(super) rank: f64,
}

impl WindowQuantile {
    /// The quantiles of `signal` in the order of [`Quantiles::RANKS`].
    pub(super) fn all(signal: WindowSignal) -> impl Iterator<Item = Self> {
        Quantiles::RANKS
            .into_iter()
            .map(move |rank| Self { signal, rank })
    }
}

impl EncodeLabelSet for WindowQuantile {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        let Self { signal, rank } = self;
        encode_label(encoder, &WINDOW_SIGNAL, &signal.name())?;
        encode_label(encoder, &QUANTILE, rank)
    }
}

/// Everything about a container that is not on its other series.
#[derive(Clone, Copy, Debug)]
pub(super) struct Info<'a>(pub(super) &'a Identity, pub(super) LastReading);

impl EncodeLabelSet for Info<'_> {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        // A new generation shows as a new start time; as a label it would only make more series.
        let Identity {
            path: _,
            names: _,
            container,
            cgroup_version,
            generation: _,
            started: _,
        } = self.0;
        let last_reading = self.1;
        let (id, runtime, pod_uid, qos) = match container {
            Some(Container {
                id,
                runtime,
                pod_uid,
                qos,
            }) => (
                id.as_str(),
                runtime.name(),
                pod_uid.as_str(),
                qos.map_or("", Qos::name),
            ),
            None => ("", "", "", ""),
        };
        encode_label(encoder, &CONTAINER_ID, &id)?;
        encode_label(encoder, &RUNTIME, &runtime)?;
        encode_label(encoder, &POD_UID, &pod_uid)?;
        encode_label(encoder, &QOS, &qos)?;
        match cgroup_version {
            0 => encode_label(encoder, &CGROUP_VERSION, &"")?,
            version => encode_label(encoder, &CGROUP_VERSION, version)?,
        }
        encode_label(encoder, &LAST_READING, &last_reading.name())
    }
}

/// What we are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Build;

impl EncodeLabelSet for Build {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        encode_label(encoder, &VERSION, &env!("CARGO_PKG_VERSION"))?;
        encode_label(encoder, &ARCH, &std::env::consts::ARCH)
    }
}

/// The six labels of a cgroup.
#[derive(Clone, Debug)]
pub(super) struct CgroupLabels {
    /// The label text up to the name of the last label, `id="…",name="…",…,container`. The text
    /// formats repeat it on each of a histogram's lines: to escape six values anew for every line
    /// adds 40 % to the time of a scrape. Absent where labels are not text.
    rendered: Option<String>,
    values: [String; CGROUP.len()],
}

impl CgroupLabels {
    /// For a format that takes names and values.
    pub(super) fn new(identity: &Identity) -> Self {
        let Identity {
            path,
            names,
            container: _,
            cgroup_version: _,
            generation: _,
            started: _,
        } = identity;
        let Names {
            name,
            image,
            namespace,
            pod,
            container,
        } = names;
        let values = [path, name, image, namespace, pod, container].map(String::clone);
        Self {
            rendered: None,
            values,
        }
    }

    /// For a format that takes text.
    pub(super) fn rendered(identity: &Identity) -> Self {
        let mut labels = Self::new(identity);
        let [first @ .., _] = &labels.values;
        let [first_names @ .., last_name] = &CGROUP;
        let mut rendered = String::new();
        for (label, value) in first_names.iter().zip(first) {
            rendered.push_str(label.name);
            rendered.push_str("=\"");
            push_escaped(&mut rendered, value);
            rendered.push_str("\",");
        }
        rendered.push_str(last_name.name);
        labels.rendered = Some(rendered);
        labels
    }
}

impl EncodeLabelSet for &CgroupLabels {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        let CgroupLabels { rendered, values } = self;
        match rendered {
            // The encoder writes a label's name as it stands and escapes only the value, so all but
            // the last value can pass as the name.
            Some(rendered) => {
                let [.., last] = values;
                encode_pair(encoder, rendered, &last.as_str())
            }
            None => CGROUP
                .iter()
                .zip(values)
                .try_for_each(|(label, value)| encode_label(encoder, label, value)),
        }
    }
}

/// Escapes as both text formats want it: backslash, quote, newline.
fn push_escaped(text: &mut String, value: &str) {
    for character in value.chars() {
        match character {
            '\\' => text.push_str("\\\\"),
            '"' => text.push_str("\\\""),
            '\n' => text.push_str("\\n"),
            other => text.push(other),
        }
    }
}

pub(super) fn encode_label(
    encoder: &mut LabelSetEncoder<'_>,
    label: &Label,
    value: &impl EncodeLabelValue,
) -> fmt::Result {
    encode_pair(encoder, label.name, value)
}

fn encode_pair(
    encoder: &mut LabelSetEncoder<'_>,
    name: &str,
    value: &impl EncodeLabelValue,
) -> fmt::Result {
    let mut label = encoder.encode_label();
    let mut key = label.encode_label_key()?;
    key.write_str(name)?;
    let mut writer = key.encode_label_value()?;
    value.encode(&mut writer)?;
    writer.finish()
}
