//! What became of all that was to be sent to an OpenTelemetry collector, as series.

use std::fmt;

use prometheus_client::encoding::{EncodeLabelSet, LabelSetEncoder};

use super::{
    label_sets::encode_label,
    labels::{OTLP_LOSS, OTLP_SIGNAL},
    series::Series,
};
use crate::reconcile::{
    Snapshot,
    delivery::{OtlpAccount, OtlpLoss, OtlpSignal},
};

/// Spans, or data points.
#[derive(Clone, Copy, Debug)]
struct Of(OtlpSignal);

impl EncodeLabelSet for Of {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        encode_label(encoder, &OTLP_SIGNAL, &self.0.name())
    }
}

/// Those that were lost, by why.
#[derive(Clone, Copy, Debug)]
struct OfLost(OtlpSignal, OtlpLoss);

impl EncodeLabelSet for OfLost {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        let Self(signal, reason) = self;
        encode_label(encoder, &OTLP_SIGNAL, &signal.name())?;
        encode_label(encoder, &OTLP_LOSS, &reason.name())
    }
}

/// A counter of each signal that is sent.
pub(super) fn total(
    out: &mut Series<'_, '_>,
    snapshot: &Snapshot,
    of: impl Fn(&OtlpAccount) -> u64,
) -> fmt::Result {
    let mut accounts = snapshot.otlp.iter();
    accounts.try_for_each(|account| out.counter(&Of(account.signal), &of(account)))
}

pub(super) fn waiting(out: &mut Series<'_, '_>, snapshot: &Snapshot) -> fmt::Result {
    let mut accounts = snapshot.otlp.iter();
    accounts.try_for_each(|account| out.gauge(&Of(account.signal), &account.waiting))
}

pub(super) fn lost(out: &mut Series<'_, '_>, snapshot: &Snapshot) -> fmt::Result {
    snapshot.otlp.iter().try_for_each(|account| {
        OtlpLoss::ALL.into_iter().try_for_each(|reason| {
            let lost = account.lost[reason as usize];
            out.counter(&OfLost(account.signal, reason), &lost)
        })
    })
}
