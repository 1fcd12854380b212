//! A histogram of the last few windows, for quantiles.
//!
//! One HDR sub-histogram per window. Rotation closes the current window and lets go of the oldest.
//! A window takes memory with its first value, so that a cgroup that does nothing costs nothing.

use std::mem;

use hdrhistogram::{Counter, Histogram};
use thiserror::Error;

/// The lowest value that is told apart; 0 is recorded as it.
const LOWEST: u64 = 1;

/// The highest value that must fit: 5 minutes in ns. Buckets come in octaves, and the one that this
/// value is in reaches further, to [`WindowedHistogram::REACH`].
const HIGHEST: u64 = 300_000_000_000;

/// One significant digit: 16 buckets per octave, so an error of at most 1/16 of the value. A second
/// digit would take 8 times the memory.
const SIGNIFICANT_DIGITS: u8 = 1;

/// Above what a histogram holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "{value} is above {}, the most that a windowed histogram holds",
    WindowedHistogram::REACH
)]
pub struct OutOfRange {
    /// The value that was not recorded.
    pub value: u64,
}

/// A histogram of the current window and the closed ones before it. Values are ns, or any unit that
/// its owner chooses.
///
/// A count that reaches `u32::MAX` stays there: it takes 4.3e9 values of one bucket in one window,
/// which no rotated window sees. Where windows never rotate, quantiles past that point are those of
/// the counts as they stand.
#[derive(Debug)]
pub struct WindowedHistogram {
    /// The window that values go into, once it has one.
    current: Option<Box<Histogram<u32>>>,
    /// The closed windows, a ring; no storage at all while none of them has a value.
    closed: Box<[Option<Box<Histogram<u32>>>]>,
    /// Where the oldest closed window is.
    oldest: u16,
    /// How many windows, the current one included.
    windows: u16,
}

impl WindowedHistogram {
    /// How many windows are kept unless told otherwise. Each more costs 2.4 KiB per busy histogram,
    /// and makes quantiles slower to follow.
    pub const DEFAULT_WINDOWS: usize = 5;

    /// The highest value that is recorded: the reach of the bucket that 5 minutes fall in.
    pub const REACH: u64 = (1 << 39) - 1;

    /// A histogram of `windows` windows (at least 1, at most 65,535).
    #[must_use]
    pub fn new(windows: usize) -> Self {
        let windows = u16::try_from(windows.max(1)).unwrap_or(u16::MAX);
        Self {
            current: None,
            closed: Box::default(),
            oldest: 0,
            windows,
        }
    }

    /// Adds a value to the current window.
    #[inline]
    pub fn record(&mut self, value: u64) -> Result<(), OutOfRange> {
        if value > Self::REACH {
            return Err(OutOfRange { value });
        }
        let current = self.current.get_or_insert_with(|| Box::new(empty()));
        // Cannot fail after the comparison above, but a record must never be lost unseen.
        if current.record(value.max(LOWEST)).is_err() {
            return Err(OutOfRange { value });
        }
        Ok(())
    }

    /// Closes the current window and begins a new one; the oldest is forgotten.
    pub fn rotate(&mut self) {
        let closing = self.current.take().filter(|window| !window.is_empty());
        if self.windows == 1 {
            return;
        }
        let busy = closing.is_some();
        if self.closed.is_empty() {
            if !busy {
                return;
            }
            self.closed = (1..self.windows).map(|_| None).collect();
        }
        let oldest = mem::replace(&mut self.closed[usize::from(self.oldest)], closing);
        self.oldest = (self.oldest + 1) % (self.windows - 1);
        if busy {
            // The next window will most likely have values too: keep the allocation for it.
            self.current = oldest.map(|mut window| {
                window.reset();
                window
            });
        } else if self.closed.iter().all(Option::is_none) {
            self.closed = Box::default();
            self.oldest = 0;
        }
    }

    /// Whether no window has a value.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.live().next().is_none()
    }

    /// All windows in one histogram, whose counts cannot overflow.
    #[must_use]
    pub fn merged(&self) -> Histogram<u64> {
        let mut merged = empty();
        self.merge_into(&mut merged);
        merged
    }

    /// Adds all windows to `merged`.
    pub(super) fn merge_into(&self, merged: &mut Histogram<u64>) {
        for window in self.live() {
            // Bucket by bucket, rather than by the crate's `add`, which wants the same counter
            // type and believes the window's total: with a count that stays at its maximum the
            // total is too high, and a search for a rank in it would find none.
            for bucket in window.iter_recorded() {
                let recorded = merged.record_n(
                    bucket.value_iterated_to(),
                    u64::from(bucket.count_at_value()),
                );
                debug_assert!(recorded.is_ok(), "both have the same buckets");
            }
        }
    }

    /// Memory that it holds beyond its own size, bytes.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        let windows: usize = self
            .current
            .iter()
            .chain(self.closed.iter().flatten())
            .map(|window| size_of::<Histogram<u32>>() + window.distinct_values() * size_of::<u32>())
            .sum();
        windows + size_of_val(&*self.closed)
    }

    /// The windows that have a value.
    fn live(&self) -> impl Iterator<Item = &Histogram<u32>> {
        self.current
            .iter()
            .chain(self.closed.iter().flatten())
            .map(|window| &**window)
            .filter(|window| !window.is_empty())
    }
}

/// A histogram without a value: narrow counts for a window, wide ones to merge windows into.
#[cold]
pub(super) fn empty<T: Counter>() -> Histogram<T> {
    Histogram::new_with_bounds(LOWEST, HIGHEST, SIGNIFICANT_DIGITS)
        .expect("1 to 5 minutes, with one digit, are bounds that the crate accepts")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::window::Quantiles;

    fn merged_count(histogram: &WindowedHistogram) -> u64 {
        histogram.merged().len()
    }

    #[test]
    fn the_range_ends_where_the_last_bucket_of_five_minutes_does() {
        let mut raw = empty::<u32>();
        assert_eq!(raw.record(WindowedHistogram::REACH), Ok(()));
        assert!(raw.record(WindowedHistogram::REACH + 1).is_err());

        let mut histogram = WindowedHistogram::new(5);
        assert_eq!(histogram.record(WindowedHistogram::REACH), Ok(()));
        assert_eq!(
            histogram.record(WindowedHistogram::REACH + 1),
            Err(OutOfRange {
                value: WindowedHistogram::REACH + 1
            })
        );
        assert_eq!(
            histogram.record(u64::MAX),
            Err(OutOfRange { value: u64::MAX })
        );
        assert_eq!(merged_count(&histogram), 1);
    }

    #[test]
    fn zero_is_recorded_as_the_lowest_value() {
        let mut histogram = WindowedHistogram::new(5);
        histogram.record(0).unwrap();
        assert_eq!(histogram.merged().min(), 1);
        assert_eq!(histogram.merged().value_at_quantile(1.0), 1);
    }

    #[test]
    fn a_value_is_kept_for_as_many_windows_as_there_are() {
        for windows in 1..=6 {
            let mut histogram = WindowedHistogram::new(windows);
            histogram.record(1_000).unwrap();
            for rotation in 1..windows {
                histogram.rotate();
                assert_eq!(
                    merged_count(&histogram),
                    1,
                    "{windows} windows, rotation {rotation}"
                );
            }
            histogram.rotate();
            assert_eq!(merged_count(&histogram), 0, "{windows} windows");
            assert!(histogram.is_idle());
        }
    }

    #[test]
    fn each_rotation_forgets_the_oldest_window_alone() {
        let mut histogram = WindowedHistogram::new(3);
        for window in 0..10_u64 {
            for _ in 0..=window {
                histogram.record(100).unwrap();
            }
            let kept: u64 = (0..3)
                .filter_map(|back| window.checked_sub(back))
                .map(|w| w + 1)
                .sum();
            assert_eq!(merged_count(&histogram), kept, "window {window}");
            histogram.rotate();
        }
    }

    #[test]
    fn an_idle_histogram_holds_no_memory() {
        for windows in 1..=6 {
            let mut histogram = WindowedHistogram::new(windows);
            assert_eq!(histogram.heap_bytes(), 0);
            assert!(histogram.record(u64::MAX).is_err());
            assert_eq!(
                histogram.heap_bytes(),
                0,
                "a value out of range opens no window"
            );
            for _ in 0..2 * windows {
                histogram.record(7).unwrap();
                histogram.rotate();
            }
            histogram.record(7).unwrap();
            assert!(histogram.heap_bytes() > windows * 576 * 4);
            for _ in 0..windows {
                histogram.rotate();
            }
            assert_eq!(histogram.heap_bytes(), 0, "{windows} windows");
        }
    }

    #[test]
    fn a_busy_histogram_keeps_its_allocations() {
        let mut histogram = WindowedHistogram::new(3);
        for _ in 0..3 {
            histogram.record(7).unwrap();
            histogram.rotate();
        }
        // The oldest window's allocation is the current one's now.
        let reused: *const Histogram<u32> = histogram.current.as_deref().unwrap();
        histogram.record(9).unwrap();
        assert_eq!(
            std::ptr::from_ref(histogram.current.as_deref().unwrap()),
            reused
        );
        assert_eq!(histogram.current.as_ref().unwrap().len(), 1);
        assert_eq!(histogram.current.as_ref().unwrap().min(), 9);
    }

    #[test]
    fn a_count_that_is_full_stays_full_and_quantiles_still_answer() {
        let mut histogram = WindowedHistogram::new(2);
        histogram.record(10).unwrap();
        histogram
            .current
            .as_mut()
            .unwrap()
            .record_n(10, u32::MAX)
            .unwrap();
        histogram.record(10).unwrap();
        histogram.record(20).unwrap();
        histogram.rotate();
        histogram.record(10).unwrap();

        let merged = histogram.merged();
        assert_eq!(merged.count_at(10), u64::from(u32::MAX) + 1);
        assert_eq!(merged.len(), u64::from(u32::MAX) + 2);
        let quantiles = Quantiles::of([&histogram]).unwrap();
        assert_eq!(quantiles.values_ns, [10; 6]);
        assert_eq!(merged.value_at_quantile(1.0), 20);
    }

    proptest! {
        #[test]
        fn merging_keeps_the_count_of_every_bucket(
            windows in prop::collection::vec(prop::collection::vec(0..=WindowedHistogram::REACH, 0..40), 1..6)
        ) {
            let mut histogram = WindowedHistogram::new(windows.len());
            let mut expected = empty::<u64>();
            for (index, values) in windows.iter().enumerate() {
                if index > 0 {
                    histogram.rotate();
                }
                for &value in values {
                    histogram.record(value).unwrap();
                    expected.record(value.max(1)).unwrap();
                }
            }
            let merged = histogram.merged();
            prop_assert_eq!(&merged, &expected);
            prop_assert_eq!(merged.len(), windows.iter().map(|values| values.len() as u64).sum::<u64>());
        }
    }
}
