//! Stub: replaced by the window stage's own.
use std::collections::BTreeMap;

/// All values since the start, in the bucket shapes that exporters need.
#[derive(Clone, Debug, Default)]
pub struct Cumulative {
    native: BTreeMap<i32, u64>,
    classic: [u64; 17],
    count: u64,
    sum_ns: u64,
}

impl Cumulative {
    /// Upper bounds (inclusive) of the classic buckets, ns; what is above is in one more bucket.
    pub const CLASSIC_BOUNDS_NS: [u64; 16] = [
        1_000, 4_000, 16_000, 64_000, 128_000, 256_000, 512_000, 1_000_000, 4_000_000, 16_000_000,
        64_000_000, 256_000_000, 1_000_000_000, 2_500_000_000, 5_000_000_000, 10_000_000_000,
    ];
    /// Schema of the native histogram.
    pub const NATIVE_SCHEMA: i32 = 3;

    /// Empty.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
    /// Adds a value.
    pub fn record(&mut self, ns: u64) {
        self.count += 1;
        self.sum_ns += ns;
        let index = Self::CLASSIC_BOUNDS_NS.partition_point(|&bound| bound < ns);
        self.classic[index] += 1;
        *self.native.entry(0).or_default() += 1;
    }
    /// Adds all of another.
    pub fn merge(&mut self, _other: &Self) {}
    /// How many values.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }
    /// Their sum, ns.
    #[must_use]
    pub fn sum_ns(&self) -> u64 {
        self.sum_ns
    }
    /// Values per classic bucket, not accumulated; the last is above all bounds.
    #[must_use]
    pub fn classic(&self) -> &[u64; 17] {
        &self.classic
    }
    /// Values that are 0 (below the native zero threshold).
    #[must_use]
    pub fn zero_count(&self) -> u64 {
        0
    }
    /// Native buckets that are not empty, by rising index: bucket `i` holds (2^((i-1)/8), 2^(i/8)]
    /// seconds.
    pub fn native(&self) -> impl Iterator<Item = (i32, u64)> + '_ {
        self.native.iter().map(|(index, count)| (*index, *count))
    }
}
