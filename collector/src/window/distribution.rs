//! A distribution of values: the last windows for quantiles, the time since the start for buckets.

use super::{Cumulative, OutOfRange, WindowedHistogram};

/// Both views of the same values.
#[derive(Debug)]
pub struct Distribution {
    /// The last windows.
    pub windowed: WindowedHistogram,
    /// Since the start.
    pub cumulative: Cumulative,
}

impl Distribution {
    /// Empty, with so many windows.
    #[must_use]
    pub fn new(windows: usize) -> Self {
        Self {
            windowed: WindowedHistogram::new(windows),
            cumulative: Cumulative::new(),
        }
    }

    /// Adds a value to both, or, when it is out of range, to neither.
    #[inline]
    pub fn record(&mut self, ns: u64) -> Result<(), OutOfRange> {
        self.windowed.record(ns)?;
        self.cumulative.record(ns);
        Ok(())
    }

    /// Memory that it holds beyond its own size, bytes.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        self.windowed.heap_bytes() + self.cumulative.heap_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_goes_to_both_or_to_neither() {
        let mut distribution = Distribution::new(5);
        assert_eq!(distribution.record(WindowedHistogram::REACH), Ok(()));
        assert!(distribution.record(WindowedHistogram::REACH + 1).is_err());
        assert_eq!(distribution.windowed.merged().len(), 1);
        assert_eq!(distribution.cumulative.count(), 1);
        assert_eq!(distribution.cumulative.sum_ns(), WindowedHistogram::REACH);
    }

    #[test]
    fn rotation_leaves_the_time_since_the_start_alone() {
        let mut distribution = Distribution::new(1);
        distribution.record(9).unwrap();
        distribution.windowed.rotate();
        assert_eq!(distribution.windowed.quantiles(), None);
        assert_eq!(distribution.cumulative.count(), 1);
    }
}
