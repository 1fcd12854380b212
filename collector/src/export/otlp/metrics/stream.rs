//! What a data point is one of: its metric, as OTLP tells it.
//!
//! In: rows of the tables of metrics. Out: the same for both tables, and empty messages of them.

use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, ExponentialHistogram, ExponentialHistogramDataPoint, Gauge, Metric,
    Sum, metric::Data, number_data_point,
};

use super::TemporalityPreference;
use crate::export::{
    catalog,
    family::{Family, Kind, Otlp},
    peers::otel::{Instrument, METRICS, OtelMetric},
};

/// A metric.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stream {
    pub(super) name: &'static str,
    unit: &'static str,
    help: &'static str,
    pub(super) shape: Shape,
}

/// What its points are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    Gauge,
    Sum { is_monotonic: bool },
    Histogram,
}

/// What one of its points says.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Number(number_data_point::Value),
    Histogram(Box<ExponentialHistogramDataPoint>),
}

impl Stream {
    /// One of our own; `None` when it does not leave by OTLP.
    pub(super) fn of_family(family: &Family) -> Option<Self> {
        let Otlp { name, unit, .. } = family.otlp?;
        Some(Self {
            name,
            unit,
            help: family.help,
            shape: match family.kind {
                Kind::Counter => Shape::Sum { is_monotonic: true },
                Kind::Gauge | Kind::Info => Shape::Gauge,
                Kind::Histogram => Shape::Histogram,
            },
        })
    }

    /// One of the semantic conventions.
    pub(super) fn of_convention(metric: &OtelMetric) -> Self {
        Self {
            name: metric.name,
            unit: metric.unit,
            help: metric.help,
            shape: match metric.instrument {
                Instrument::Gauge => Shape::Gauge,
                Instrument::Counter | Instrument::UpDownCounter => Shape::Sum {
                    is_monotonic: metric.instrument.is_monotonic(),
                },
            },
        }
    }

    /// The one that has the name.
    pub(super) fn named(name: &str) -> Option<Self> {
        let own = catalog::all().filter_map(Self::of_family);
        let all = own.chain(METRICS.iter().map(Self::of_convention));
        all.into_iter().find(|stream| stream.name == name)
    }

    /// What its points are, if that is the wish.
    pub(super) fn temporality(&self, wanted: TemporalityPreference) -> TemporalityPreference {
        match self.shape {
            Shape::Gauge
            | Shape::Sum {
                is_monotonic: false,
            } => TemporalityPreference::Cumulative,
            Shape::Sum { is_monotonic: true } | Shape::Histogram => wanted,
        }
    }

    /// Without a point.
    pub(super) fn metric(&self, wanted: TemporalityPreference) -> Metric {
        let aggregation_temporality = match self.temporality(wanted) {
            TemporalityPreference::Cumulative => AggregationTemporality::Cumulative,
            TemporalityPreference::Delta => AggregationTemporality::Delta,
        };
        let aggregation_temporality = aggregation_temporality.into();
        Metric {
            name: self.name.to_owned(),
            unit: self.unit.to_owned(),
            description: self.description().to_owned(),
            data: Some(match self.shape {
                Shape::Gauge => Data::Gauge(Gauge::default()),
                Shape::Sum { is_monotonic } => Data::Sum(Sum {
                    data_points: Vec::new(),
                    aggregation_temporality,
                    is_monotonic,
                }),
                Shape::Histogram => Data::ExponentialHistogram(ExponentialHistogram {
                    data_points: Vec::new(),
                    aggregation_temporality,
                }),
            }),
            ..Metric::default()
        }
    }

    /// The first sentence: it is sent with each of a thousand cgroups.
    fn description(&self) -> &'static str {
        self.help
            .split_once(". ")
            .map_or(self.help, |(first, _)| first)
    }
}
