//! The labels of a series besides its cgroup's, as they are encoded.
//!
//! In: what a series is of. Out: names and values for an encoder, which escapes them: they are untrusted
//! text. A set is a struct that is destructured exhaustively where it is encoded, so that a new field
//! cannot be forgotten.

use std::{
    collections::HashMap,
    fmt::{self, Write as _},
};

use collector_common::signal::Signal;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelSetEncoder};

use super::labels::{
    ARCH, BY, CAUSE, CGROUP_VERSION, COMPARED_SIGNAL, CONTAINER_ID, CONTAINER_LABEL, CgroupState,
    DEVICE, DRIFT_OF, ERROR, LAST_READING, LEFT_OUT, LIFE_LOSS, Label, OPERATION, OomRole, PLACE,
    POD_LABEL, POD_UID, PROGRAM, QOS, QUANTILE, QUANTITY, REASON, RESULT, ROLE, RUNTIME,
    RUNTIME_FLAVOR, SIGNAL, STAGE, STATE, Stage, SwitchKind, TYPE, VERSION, WINDOW_SIGNAL,
    WaitCause,
};
use crate::{
    catalog::{Container, Identity, Qos},
    reconcile::{
        drift::DriftQuantity, moments::LifeLoss, readings::LeftOut, snapshot::LastReading,
    },
    window::{LossReason, Operation, Preemptor, Quantiles, WindowSignal},
};

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

/// What a cgroup can have too many of.
#[derive(Clone, Copy, Debug)]
pub(super) struct OfPlace(pub(super) &'static str);

impl EncodeLabelSet for OfPlace {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        let Self(place) = self;
        encode_label(encoder, &PLACE, place)
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

/// What reading cgroups left out.
#[derive(Clone, Copy, Debug)]
pub(super) struct LeftOutOf(pub(super) LeftOut);

impl EncodeLabelSet for LeftOutOf {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        let Self(what) = self;
        encode_label(encoder, &LEFT_OUT, &what.name())
    }
}

/// Why something of a container's life is in no span.
#[derive(Clone, Copy, Debug)]
pub(super) struct LifeLossOf(pub(super) LifeLoss);

impl EncodeLabelSet for LifeLossOf {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        let Self(loss) = self;
        encode_label(encoder, &LIFE_LOSS, &loss.name())
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
            told,
            cgroup_version,
            generation: _,
            started: _,
            is_found: _,
        } = self.0;
        let last_reading = self.1;
        let (id, runtime, flavor, pod_uid, qos) = match container {
            Some(Container {
                id,
                runtime,
                flavor,
                pod_uid,
                qos,
                id_namespace: _,
                place: _,
            }) => (
                id.as_str(),
                runtime.name(),
                flavor.name(),
                pod_uid.as_str(),
                qos.map_or("", Qos::name),
            ),
            None => ("", "", "", "", ""),
        };
        encode_label(encoder, &CONTAINER_ID, &id)?;
        encode_label(encoder, &RUNTIME, &runtime)?;
        encode_label(encoder, &RUNTIME_FLAVOR, &flavor)?;
        encode_label(encoder, &POD_UID, &pod_uid)?;
        encode_label(encoder, &QOS, &qos)?;
        match cgroup_version {
            0 => encode_label(encoder, &CGROUP_VERSION, &"")?,
            version => encode_label(encoder, &CGROUP_VERSION, version)?,
        }
        encode_label(encoder, &LAST_READING, &last_reading.name())?;
        let Some(told) = told else {
            return Ok(());
        };
        for (prefix, labels) in [
            (CONTAINER_LABEL, &told.labels),
            (POD_LABEL, &told.pod_labels),
        ] {
            for (key, value) in labels {
                encode_pair(encoder, &chosen_label(prefix, key), value)?;
            }
        }
        Ok(())
    }
}

/// The name that a label of a container or pod has here: what Prometheus does not allow is `_`.
#[must_use]
pub(super) fn chosen_label(prefix: &str, key: &str) -> String {
    let allowed = |character: char| {
        if character.is_ascii_alphanumeric() {
            character
        } else {
            '_'
        }
    };
    prefix.chars().chain(key.chars().map(allowed)).collect()
}

/// Two keys that would have the same name here, if there are such.
#[must_use]
pub fn chosen_labels_clash(keys: &[String]) -> Option<(&str, &str)> {
    let mut seen = HashMap::new();
    keys.iter().find_map(|key| {
        let before = seen.insert(chosen_label("", key), key.as_str())?;
        Some((before, key.as_str()))
    })
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

pub(super) fn encode_label(
    encoder: &mut LabelSetEncoder<'_>,
    label: &Label,
    value: &impl EncodeLabelValue,
) -> fmt::Result {
    encode_pair(encoder, label.name, value)
}

pub(super) fn encode_pair(
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
