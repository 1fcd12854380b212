//! A histogram of nanoseconds in the shapes of the wire: classic buckets, native spans and deltas.
//!
//! Both are filled from raw values, upstream; here they are only written down, in seconds.

use std::fmt;

use prometheus_client::encoding::{
    MetricEncoder, NativeHistogram, NativeHistogramBuckets, NoLabelSet,
};

use super::format::Format;
use crate::window::Cumulative;

/// The native zero bucket holds what is not above this, in seconds: 0 ns, and not 1 ns. It is 2^-30,
/// which is also a bucket's edge in every schema, so the zero bucket cuts no other in two.
pub(super) const ZERO_THRESHOLD: f64 = 1.0 / (1 << 30) as f64;

/// A run of empty native buckets up to this long is written as zeros: that takes fewer bytes than a
/// new span.
const BRIDGED_GAP: i32 = 2;

/// One for each bound, and one above all.
pub(super) const CLASSIC_BUCKETS: usize = Cumulative::CLASSIC_BOUNDS_NS.len() + 1;

/// Sparse buckets as the protobuf format has them.
#[derive(Debug, Default, PartialEq, Eq)]
struct Sparse {
    /// For each run of buckets, the gap to the one before (at first, the index) and the length.
    spans: Vec<(i32, u32)>,
    /// The count of each bucket less that of the one before.
    deltas: Vec<i64>,
}

/// Writes the figures of `values`, with native buckets where `format` has them.
pub(super) fn encode(
    encoder: &mut MetricEncoder<'_>,
    values: &Cumulative,
    format: Format,
) -> fmt::Result {
    let sum = seconds(values.sum_ns());
    let buckets = classic(values);
    match format {
        Format::OpenMetricsText | Format::PrometheusText => {
            encoder.encode_histogram::<NoLabelSet>(sum, values.count(), &buckets, None)
        }
        Format::PrometheusProtobuf => {
            let Sparse { spans, deltas } = sparse(values.native());
            encoder.encode_histogram_with_native::<NoLabelSet>(
                sum,
                values.count(),
                &buckets,
                None,
                NativeHistogram {
                    schema: Cumulative::NATIVE_SCHEMA,
                    zero_threshold: ZERO_THRESHOLD,
                    zero_count: values.zero_count(),
                    negative: NativeHistogramBuckets {
                        spans: &[],
                        deltas: &[],
                    },
                    positive: NativeHistogramBuckets {
                        spans: &spans,
                        deltas: &deltas,
                    },
                    created: None,
                },
            )
        }
    }
}

/// Nanoseconds as seconds. Exact to 2^53 ns (104 days), and to 16 digits above.
#[expect(clippy::cast_precision_loss, reason = "the wire's numbers are floats")]
pub(super) fn seconds(ns: u64) -> f64 {
    ns as f64 / 1e9
}

/// Upper bounds in seconds and counts; the encoder adds them up.
fn classic(values: &Cumulative) -> [(f64, u64); CLASSIC_BUCKETS] {
    let counts = values.classic();
    std::array::from_fn(|index| {
        let bound = Cumulative::CLASSIC_BOUNDS_NS
            .get(index)
            .map_or(f64::INFINITY, |&ns| seconds(ns));
        (bound, counts[index])
    })
}

/// Packs buckets that come by rising index.
fn sparse(buckets: impl Iterator<Item = (i32, u64)>) -> Sparse {
    let mut packed = Sparse::default();
    let mut next_index = 0;
    let mut last_count = 0;
    for (index, count) in buckets {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        let gap = index - next_index;
        match packed.spans.last_mut() {
            Some((_, length)) if gap <= BRIDGED_GAP => {
                for _ in 0..gap {
                    packed.deltas.push(-last_count);
                    last_count = 0;
                    *length += 1;
                }
                *length += 1;
            }
            _ => packed.spans.push((gap, 1)),
        }
        packed.deltas.push(count - last_count);
        last_count = count;
        next_index = index + 1;
    }
    packed
}
