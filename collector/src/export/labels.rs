//! The labels of every series: their names and what their values can be.
//!
//! In: nothing. Out: rows for the metric tables, and the names of values that only the export has. How
//! they are encoded is in `label_sets`.

use collector_common::signal::{KernelLoss, Signal};

use crate::{
    catalog::{
        Flavor, Qos, Runtime,
        runtimes::{Call, CallError, Protocol},
    },
    host::cgroupfs::Reason,
    reconcile::{
        delivery::{OtlpLoss, OtlpSignal},
        drift::DriftQuantity,
        forwarding::AgentError,
        moments::LifeLoss,
        readings::LeftOut,
        snapshot::LastReading,
    },
    window::{LossReason, Operation, Preemptor, WindowSignal},
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
    open(
        "namespace",
        "containerd's namespace, of Docker `moby`; empty when unknown, or when the runtime has none",
    ),
];

/// See [`Runtime`].
pub const RUNTIME: Label = closed(
    "runtime",
    &[
        Runtime::Docker.name(),
        Runtime::Containerd.name(),
        Runtime::CriO.name(),
        Runtime::Podman.name(),
        Runtime::Garden.name(),
        Runtime::EcsFargate.name(),
        Runtime::Unknown.name(),
    ],
);
/// See [`Flavor`].
pub const RUNTIME_FLAVOR: Label = closed(
    "runtime_flavor",
    &[Flavor::Kata.name(), Flavor::Default.name()],
);
/// The runtime's id of a container.
pub const CONTAINER_ID: Label = open("container_id", "the runtime's id of the container");
/// Begins the names of labels that the user chose of containers.
pub const CONTAINER_LABEL: &str = "container_label_";
/// Begins the names of labels that the user chose of pods.
pub const POD_LABEL: &str = "pod_label_";
/// How a runtime is spoken to.
pub const PROTOCOL: Label = closed(
    "runtime",
    &[
        Protocol::Docker.name(),
        Protocol::Podman.name(),
        Protocol::Containerd.name(),
        Protocol::Cri.name(),
        Protocol::Garden.name(),
        Protocol::Ecs.name(),
    ],
);
/// Where a runtime is.
pub const ENDPOINT: Label = open("endpoint", "the socket's path, or the URL");
/// A call to a runtime.
pub const CALL: Label = closed(
    "call",
    &[
        Call::Connect.name(),
        Call::Events.name(),
        Call::List.name(),
        Call::Inspect.name(),
    ],
);
/// What went wrong with a call to a runtime.
pub const CALL_ERROR: Label = closed("error", &CallError::NAMES);
/// See [`OtlpSignal`].
pub const OTLP_SIGNAL: Label = closed(
    "signal",
    &[OtlpSignal::Metrics.name(), OtlpSignal::Traces.name()],
);
/// See [`OtlpLoss`].
pub const OTLP_LOSS: Label = closed(
    "reason",
    &[
        OtlpLoss::QueueFull.name(),
        OtlpLoss::Refused.name(),
        OtlpLoss::Rejected.name(),
        OtlpLoss::GaveUp.name(),
        OtlpLoss::Shutdown.name(),
    ],
);
/// See [`AgentError`].
pub const AGENT_ERROR: Label = closed(
    "error",
    &[
        AgentError::TooManyConnections.name(),
        AgentError::BadLength.name(),
        AgentError::Malformed.name(),
        AgentError::OverLimit.name(),
        AgentError::Timeout.name(),
        AgentError::Truncated.name(),
        AgentError::Connection.name(),
    ],
);
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
/// A rank of [`Quantiles::RANKS`](crate::window::Quantiles::RANKS).
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
/// What reading cgroups left out. See [`LeftOut`].
pub const LEFT_OUT: Label = closed(
    "reason",
    &[
        LeftOut::Cgroup.name(),
        LeftOut::Id.name(),
        LeftOut::Notes.name(),
        LeftOut::LastReading.name(),
        LeftOut::Processes.name(),
    ],
);
/// Why something of a container's life is in no span. See [`LifeLoss`].
pub const LIFE_LOSS: Label = closed(
    "reason",
    &[
        LifeLoss::ContainerRate.name(),
        LifeLoss::TotalRate.name(),
        LifeLoss::SpanFull.name(),
        LifeLoss::Containers.name(),
        LifeLoss::Missed.name(),
        LifeLoss::QueueFull.name(),
        LifeLoss::Late.name(),
    ],
);
/// A kernel program.
pub const PROGRAM: Label = open(
    "program",
    "the kernel program's name, as `bpftool prog` shows it",
);
/// What a cgroup can have too many of.
pub const PLACE: Label = closed("place", &["cpu", "disk", "interface"]);
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
