//! A native histogram of Prometheus as an exponential one of OTLP, and what lies between two of them.
//!
//! In: native buckets of schema 3. Out: exponential ones of scale 3, which are the same: OTLP numbers a bucket by
//! its lower edge and Prometheus by its upper one. No count, sum or edge is changed, and none is merged: from
//! 1 ns to 5 min there are 306 buckets, more than the 160 that the SDK of OpenTelemetry makes by itself, which
//! limits what a program keeps and not what a receiver takes.

use opentelemetry_proto::tonic::metrics::v1::{
    ExponentialHistogramDataPoint, exponential_histogram_data_point::Buckets,
};
use prometheus_client::encoding::prometheus_protobuf::prometheus_data_model::Histogram;

/// The same, without whose it is and when.
pub(super) fn translated(native: &Histogram) -> Box<ExponentialHistogramDataPoint> {
    let mut counts = Vec::new();
    let mut deltas = native.positive_delta.iter();
    let mut count = 0_i64;
    for (position, span) in native.positive_span.iter().enumerate() {
        if position > 0 {
            let gap = usize::try_from(span.offset).unwrap_or_default();
            counts.resize(counts.len() + gap, 0);
        }
        for delta in deltas.by_ref().take(span.length as usize) {
            count += delta;
            counts.push(count.unsigned_abs());
        }
    }
    let first = native.positive_span.first().map_or(1, |span| span.offset);
    Box::new(ExponentialHistogramDataPoint {
        count: native.sample_count,
        sum: Some(native.sample_sum),
        scale: native.schema,
        zero_count: native.zero_count,
        zero_threshold: native.zero_threshold,
        positive: Some(Buckets {
            offset: first - 1,
            bucket_counts: counts,
        }),
        ..ExponentialHistogramDataPoint::default()
    })
}

/// What came to `earlier` to make it `later`; `None` when that began anew in between.
pub(super) fn between(
    earlier: &ExponentialHistogramDataPoint,
    later: &ExponentialHistogramDataPoint,
) -> Option<Box<ExponentialHistogramDataPoint>> {
    let empty = Buckets::default();
    let (before, after) = (
        earlier.positive.as_ref().unwrap_or(&empty),
        later.positive.as_ref().unwrap_or(&empty),
    );
    let mut counts = after.bucket_counts.clone();
    for (index, count) in (before.offset..).zip(&before.bucket_counts) {
        let position = usize::try_from(index - after.offset).ok();
        match position.and_then(|position| counts.get_mut(position)) {
            Some(left) => *left = left.checked_sub(*count)?,
            None if *count == 0 => {}
            None => return None,
        }
    }
    let first = counts.iter().position(|&count| count > 0);
    let end = counts.iter().rposition(|&count| count > 0);
    let (first, end) = first
        .zip(end)
        .map_or((0, 0), |(first, last)| (first, last + 1));
    let offset = after.offset + i32::try_from(first).ok()?;
    Some(Box::new(ExponentialHistogramDataPoint {
        count: later.count.checked_sub(earlier.count)?,
        sum: Some(later.sum? - earlier.sum?).filter(|sum| *sum >= 0.0),
        zero_count: later.zero_count.checked_sub(earlier.zero_count)?,
        positive: Some(Buckets {
            offset,
            bucket_counts: counts[first..end].to_vec(),
        }),
        ..later.clone()
    }))
}
