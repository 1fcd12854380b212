//! All values since the start, in the bucket shapes that exporters need.
//!
//! Filled from raw values: count, sum, classic buckets and native buckets are each exact.

use std::fmt;

use super::native;

const CLASSIC_BUCKETS: usize = Cumulative::CLASSIC_BOUNDS_NS.len() + 1;

/// All values since the start. An empty one is a null pointer; a clone is one copy of 3 KiB.
#[derive(Clone, Default)]
pub struct Cumulative {
    cells: Option<Box<Cells>>,
}

/// The sum and the classic buckets come first and share cache lines: every value writes to both.
#[derive(Clone, Copy)]
struct Cells {
    sum_ns: u64,
    classic: [u64; CLASSIC_BUCKETS],
    zero: u64,
    native: [u64; native::BUCKETS],
}

static NO_CLASSIC: [u64; CLASSIC_BUCKETS] = [0; CLASSIC_BUCKETS];

impl Cumulative {
    /// Upper bounds (inclusive) of the classic buckets, ns; what is above is in one more bucket.
    /// Each is a short decimal in seconds. Round numbers where latency objectives are set (every
    /// decade from 1 us to 10 s), closer where most values of a healthy host lie.
    pub const CLASSIC_BOUNDS_NS: [u64; 16] = [
        1_000,
        5_000,
        10_000,
        25_000,
        50_000,
        100_000,
        250_000,
        500_000,
        1_000_000,
        2_500_000,
        5_000_000,
        10_000_000,
        50_000_000,
        100_000_000,
        1_000_000_000,
        10_000_000_000,
    ];

    /// Schema of the native histogram.
    pub const NATIVE_SCHEMA: i32 = native::SCHEMA;

    /// A threshold for the native zero bucket that fits it: 2^-30 s, the lower edge of an octave of
    /// buckets. Nothing but 0 is at or below it, because 1 ns is above.
    pub const ZERO_THRESHOLD_SECONDS: f64 = 1.0 / (1 << 30) as f64;

    /// Empty.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a value.
    #[inline]
    pub fn record(&mut self, ns: u64) {
        let cells = self.cells.get_or_insert_with(Cells::empty);
        // 584 years: were it ever to wrap, readers would take it for a restart, not for garbage.
        cells.sum_ns = cells.sum_ns.wrapping_add(ns);
        cells.classic[classic_position(ns)] += 1;
        if ns == 0 {
            cells.zero += 1;
        } else {
            cells.native[native::position(ns)] += 1;
        }
    }

    /// Adds all of another.
    pub fn merge(&mut self, other: &Self) {
        let Some(other) = &other.cells else { return };
        let Some(cells) = &mut self.cells else {
            self.cells = Some(other.clone());
            return;
        };
        let Cells {
            sum_ns,
            classic,
            zero,
            native,
        } = &**other;
        cells.sum_ns = cells.sum_ns.wrapping_add(*sum_ns);
        cells.zero += zero;
        for (into, from) in cells.classic.iter_mut().zip(classic) {
            *into += from;
        }
        for (into, from) in cells.native.iter_mut().zip(native) {
            *into += from;
        }
    }

    /// Whether it has no value.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.cells.is_none()
    }

    /// How many values.
    #[must_use]
    pub fn count(&self) -> u64 {
        // Every value is in one of the classic buckets: a counter of its own would be one write more
        // per value.
        self.classic().iter().sum()
    }

    /// Their sum, ns.
    #[must_use]
    pub fn sum_ns(&self) -> u64 {
        self.cells.as_ref().map_or(0, |cells| cells.sum_ns)
    }

    /// Values per classic bucket, not accumulated; the last is above all bounds.
    #[must_use]
    pub fn classic(&self) -> &[u64; 17] {
        self.cells
            .as_ref()
            .map_or(&NO_CLASSIC, |cells| &cells.classic)
    }

    /// Values that are 0 (below the native zero threshold).
    #[must_use]
    pub fn zero_count(&self) -> u64 {
        self.cells.as_ref().map_or(0, |cells| cells.zero)
    }

    /// Native buckets that are not empty, by rising index: bucket `i` holds (2^((i-1)/8), 2^(i/8)]
    /// seconds. The last that there can be also holds what is longer than 4.6 hours.
    pub fn native(&self) -> impl Iterator<Item = (i32, u64)> + '_ {
        let native = self.cells.as_ref().map_or(&[][..], |cells| &cells.native);
        (native::LOWEST_INDEX..)
            .zip(native.iter().copied())
            .filter(|&(_, count)| count > 0)
    }

    /// Memory that it holds beyond its own size, bytes.
    #[must_use]
    pub const fn heap_bytes(&self) -> usize {
        if self.cells.is_some() {
            size_of::<Cells>()
        } else {
            0
        }
    }
}

impl fmt::Debug for Cumulative {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cumulative")
            .field("count", &self.count())
            .field("sum_ns", &self.sum_ns())
            .finish_non_exhaustive()
    }
}

impl Cells {
    #[cold]
    fn empty() -> Box<Self> {
        Box::new(Self {
            sum_ns: 0,
            classic: [0; CLASSIC_BUCKETS],
            zero: 0,
            native: [0; native::BUCKETS],
        })
    }
}

/// The classic buckets that an octave of ns, [2^o, 2^(o+1)), can be in: one bound at most lies in it.
#[derive(Clone, Copy)]
struct Octave {
    /// The bound in it, or a number that no value is above.
    bound: u64,
    /// How many bounds are below it.
    below: u8,
}

/// By the octave, so that a bucket is found by one comparison and not by four.
static OCTAVES: [Octave; 64] = octaves();

const fn octaves() -> [Octave; 64] {
    let bounds = &Cumulative::CLASSIC_BOUNDS_NS;
    let mut octaves = [Octave {
        bound: u64::MAX,
        below: 0,
    }; 64];
    let mut octave = 0;
    let mut next = 0;
    let mut below = 0;
    while octave < octaves.len() {
        octaves[octave].below = below;
        if next < bounds.len() && bounds[next].ilog2() as usize == octave {
            octaves[octave].bound = bounds[next];
            next += 1;
            below += 1;
        }
        octave += 1;
    }
    assert!(
        next == bounds.len(),
        "the bounds rise, and no two are in one octave"
    );
    octaves
}

/// The classic bucket of a value. 0 is in the first, as all others up to its bound.
#[inline]
fn classic_position(ns: u64) -> usize {
    let octave = &OCTAVES[(ns | 1).ilog2() as usize];
    usize::from(octave.below) + usize::from(ns > octave.bound)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(values: impl IntoIterator<Item = u64>) -> Cumulative {
        let mut cumulative = Cumulative::new();
        for value in values {
            cumulative.record(value);
        }
        cumulative
    }

    fn parts(cumulative: &Cumulative) -> (u64, u64, [u64; 17], u64, Vec<(i32, u64)>) {
        (
            cumulative.count(),
            cumulative.sum_ns(),
            *cumulative.classic(),
            cumulative.zero_count(),
            cumulative.native().collect(),
        )
    }

    #[test]
    fn an_empty_one_is_a_null_pointer() {
        let empty = Cumulative::new();
        assert_eq!(size_of::<Cumulative>(), size_of::<usize>());
        assert_eq!(empty.heap_bytes(), 0);
        assert_eq!(parts(&empty), (0, 0, [0; 17], 0, vec![]));
        assert!(empty.is_empty());
    }

    #[test]
    fn a_bound_belongs_to_its_bucket_and_the_next_ns_does_not() {
        for (bucket, bound) in Cumulative::CLASSIC_BOUNDS_NS.into_iter().enumerate() {
            for (value, expected) in [
                (bound - 1, bucket),
                (bound, bucket),
                (bound + 1, bucket + 1),
            ] {
                let mut classic = [0; 17];
                classic[expected] = 1;
                assert_eq!(of([value]).classic(), &classic, "{value}");
            }
        }
        assert_eq!(of([u64::MAX]).classic()[16], 1);
        assert_eq!(of([0]).classic()[0], 1);
    }

    #[test]
    fn bounds_are_short_decimals_in_seconds() {
        for bound in Cumulative::CLASSIC_BOUNDS_NS {
            #[expect(clippy::cast_precision_loss, reason = "below 2^53")]
            let text = (bound as f64 / 1e9).to_string();
            assert!(text.len() <= 8, "{text}");
        }
    }

    #[test]
    fn zero_is_in_the_zero_bucket_and_one_is_above_its_threshold() {
        let cumulative = of([0, 0, 1]);
        assert_eq!(parts(&cumulative), {
            let mut classic = [0; 17];
            classic[0] = 3;
            (3, 1, classic, 2, vec![(-239, 1)])
        });
        const { assert!(Cumulative::ZERO_THRESHOLD_SECONDS < 1e-9) };
        assert!((Cumulative::ZERO_THRESHOLD_SECONDS.log2() + 30.0).abs() < f64::EPSILON);
    }

    #[test]
    fn what_no_bucket_reaches_is_counted_in_the_last() {
        let cumulative = of([u64::MAX]);
        assert_eq!(cumulative.native().collect::<Vec<_>>(), [(112, 1)]);
        assert_eq!((cumulative.count(), cumulative.sum_ns()), (1, u64::MAX));
    }

    #[test]
    fn merging_with_an_empty_one_changes_nothing() {
        let mut cumulative = of([5, 0, 1_000_000]);
        let before = parts(&cumulative);
        cumulative.merge(&Cumulative::new());
        assert_eq!(parts(&cumulative), before);
        let mut empty = Cumulative::new();
        empty.merge(&cumulative);
        assert_eq!(parts(&empty), before);
    }

    /// Values spread over the octaves, 0 among them.
    fn spread() -> impl Strategy<Value = u64> {
        (0_u32..50, any::<u64>()).prop_map(|(octave, low)| low & ((1 << octave) - 1))
    }

    proptest! {
        #[test]
        fn every_value_is_in_one_bucket_of_each_shape(values in prop::collection::vec(spread(), 0..200)) {
            let cumulative = of(values.iter().copied());
            let count = values.len() as u64;
            prop_assert_eq!(cumulative.count(), count);
            prop_assert_eq!(cumulative.sum_ns(), values.iter().sum::<u64>());
            let native: u64 = cumulative.native().map(|(_, count)| count).sum();
            prop_assert_eq!(native + cumulative.zero_count(), count);
            let mut classic = [0; 17];
            for value in values {
                classic[Cumulative::CLASSIC_BOUNDS_NS.partition_point(|&bound| bound < value)] += 1;
            }
            prop_assert_eq!(cumulative.classic(), &classic);
        }

        #[test]
        fn merging_is_recording_both(
            first in prop::collection::vec(spread(), 0..50),
            second in prop::collection::vec(spread(), 0..50),
        ) {
            let mut merged = of(first.iter().copied());
            merged.merge(&of(second.iter().copied()));
            prop_assert_eq!(parts(&merged), parts(&of(first.into_iter().chain(second))));
        }
    }
}
