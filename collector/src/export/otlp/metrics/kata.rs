//! The metrics of Kata's shims, as data points.
//!
//! In: the families of all shims, and which pods their sandboxes are. Out: what is to be sent of each sandbox.
//! Names, kinds and values are the shims': sums are since the start of a shim, which it does not tell, and always
//! cumulative.

use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint,
    ResourceMetrics, Sum, Summary, SummaryDataPoint, metric::Data, number_data_point,
    summary_data_point::ValueAtQuantile,
};

use crate::{
    catalog::kata::{
        merged::KataFamily,
        metrics::Kind,
        points::{Point, Value},
    },
    export::otlp::{
        OwnResource, attributes::text, resource::resource_of_sandbox, scope::metrics_of,
    },
    reconcile::snapshot::KataSnapshot,
};

/// Adds what the shims tell.
pub(super) fn encode(
    kata: &KataSnapshot,
    own: &OwnResource,
    taken: u64,
    out: &mut Vec<ResourceMetrics>,
) {
    let told = &kata.readings.metrics;
    let mut of_sandboxes = vec![Vec::new(); told.sandboxes.len()];
    for family in &told.families {
        for (sandbox, points) in family.by_sandbox() {
            if let Some(metrics) = of_sandboxes.get_mut(sandbox) {
                metrics.push(metric(family, points, taken));
            }
        }
    }
    for (sandbox, metrics) in told.sandboxes.iter().zip(of_sandboxes) {
        if !metrics.is_empty() {
            let resource = resource_of_sandbox(sandbox, kata.pods.get(sandbox), own);
            out.push(metrics_of(resource, metrics));
        }
    }
}

fn metric(family: &KataFamily, points: &[Point], taken: u64) -> Metric {
    let aggregation_temporality = AggregationTemporality::Cumulative.into();
    let data = match family.kind {
        Kind::Counter => Data::Sum(Sum {
            data_points: numbers(points, taken),
            aggregation_temporality,
            is_monotonic: true,
        }),
        Kind::Gauge | Kind::Untyped => Data::Gauge(Gauge {
            data_points: numbers(points, taken),
        }),
        Kind::Histogram => Data::Histogram(Histogram {
            data_points: points
                .iter()
                .filter_map(|of| histogram(of, taken))
                .collect(),
            aggregation_temporality,
        }),
        Kind::Summary => Data::Summary(Summary {
            data_points: points.iter().filter_map(|of| summary(of, taken)).collect(),
        }),
    };
    Metric {
        name: family.name.clone(),
        description: family.help.clone(),
        data: Some(data),
        ..Metric::default()
    }
}

fn attributes(point: &Point) -> Vec<opentelemetry_proto::tonic::common::v1::KeyValue> {
    let labels = point.labels.iter();
    labels.map(|(key, value)| text(key, value)).collect()
}

fn numbers(points: &[Point], taken: u64) -> Vec<NumberDataPoint> {
    let points = points.iter().filter_map(|point| {
        let Value::Number(value) = point.value else {
            return None;
        };
        Some(NumberDataPoint {
            attributes: attributes(point),
            time_unix_nano: taken,
            value: Some(number_data_point::Value::AsDouble(value)),
            ..NumberDataPoint::default()
        })
    });
    points.collect()
}

fn histogram(point: &Point, taken: u64) -> Option<HistogramDataPoint> {
    let Value::Histogram {
        count,
        sum,
        buckets,
    } = &point.value
    else {
        return None;
    };
    // Theirs are already added up, and without the one that has all.
    let all = buckets.iter().map(|(_, below)| *below).chain([*count]);
    let mut before = 0;
    let each = all.map(|below| {
        let own = below.saturating_sub(before);
        before = below;
        own
    });
    Some(HistogramDataPoint {
        attributes: attributes(point),
        time_unix_nano: taken,
        count: *count,
        sum: Some(*sum),
        bucket_counts: each.collect(),
        explicit_bounds: buckets.iter().map(|(bound, _)| *bound).collect(),
        ..HistogramDataPoint::default()
    })
}

fn summary(point: &Point, taken: u64) -> Option<SummaryDataPoint> {
    let Value::Summary {
        count,
        sum,
        quantiles,
    } = &point.value
    else {
        return None;
    };
    let values = quantiles.iter();
    let values = values.map(|&(quantile, value)| ValueAtQuantile { quantile, value });
    Some(SummaryDataPoint {
        attributes: attributes(point),
        time_unix_nano: taken,
        count: *count,
        sum: *sum,
        quantile_values: values.collect(),
        ..SummaryDataPoint::default()
    })
}
