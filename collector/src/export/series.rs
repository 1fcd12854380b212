//! Where the series of a family go.
//!
//! In: labels and values. Out: what the encoders of `prometheus_client` make of them.

use std::fmt;

use prometheus_client::encoding::{
    EncodeCounterValue, EncodeGaugeValue, EncodeLabelSet, MetricEncoder, NoLabelSet,
};

use super::{exemplars::WaitingExemplars, format::Format, histogram};
use crate::{
    reconcile::{
        Snapshot,
        snapshot::{Exemplar, ExemplarOf, Timing},
    },
    window::Cumulative,
};

/// Where the series of a family go.
#[derive(Debug)]
pub(super) struct Series<'a, 'b> {
    pub(super) encoder: &'a mut MetricEncoder<'b>,
    pub(super) format: Format,
    pub(super) waiting: &'a WaitingExemplars,
    /// How many histograms there were so far.
    pub(super) histograms: usize,
}

impl Series<'_, '_> {
    pub(super) fn counter(
        &mut self,
        labels: &impl EncodeLabelSet,
        value: &impl EncodeCounterValue,
    ) -> fmt::Result {
        self.encoder
            .encode_family(labels)?
            .encode_counter::<NoLabelSet, _, f64>(value, None)
    }

    pub(super) fn gauge(
        &mut self,
        labels: &impl EncodeLabelSet,
        value: &impl EncodeGaugeValue,
    ) -> fmt::Result {
        self.encoder.encode_family(labels)?.encode_gauge(value)
    }

    pub(super) fn histogram(
        &mut self,
        labels: &impl EncodeLabelSet,
        values: &Cumulative,
    ) -> fmt::Result {
        self.histograms += 1;
        histogram::encode(
            &mut self.encoder.encode_family(labels)?,
            values,
            self.format,
        )
    }

    /// The same, with those of the exemplars that are of this histogram.
    pub(super) fn histogram_with(
        &mut self,
        labels: &impl EncodeLabelSet,
        values: &Cumulative,
        exemplars: &[Exemplar],
        of: ExemplarOf,
    ) -> fmt::Result {
        if !exemplars.is_empty() {
            match self.format {
                Format::OpenMetricsText => self.waiting.for_lines(exemplars, of),
                Format::PrometheusProtobuf => {
                    self.waiting.for_series(self.histograms, exemplars, of);
                }
                Format::PrometheusText => {}
            }
        }
        self.histogram(labels, values)
    }

    pub(super) fn timing(&mut self, snapshot: &Snapshot, wanted: Timing) -> fmt::Result {
        snapshot
            .timings
            .iter()
            .filter(|(timing, _)| *timing == wanted)
            .try_for_each(|(_, values)| histogram::encode(self.encoder, values, self.format))
    }

    pub(super) fn plain_counter(&mut self, value: Option<impl EncodeCounterValue>) -> fmt::Result {
        value.map_or(Ok(()), |value| {
            self.encoder
                .encode_counter::<NoLabelSet, _, f64>(&value, None)
        })
    }

    pub(super) fn plain_gauge(&mut self, value: Option<impl EncodeGaugeValue>) -> fmt::Result {
        value.map_or(Ok(()), |value| self.encoder.encode_gauge(&value))
    }
}
