//! Quantiles of merged windows.

use hdrhistogram::Histogram;

use super::{WindowedHistogram, windowed::empty};

/// Quantiles of the merged windows, ns: each the highest value equivalent to the bucket that it is
/// in, hence at most 1/16 (6.25 %) above the exact one, and never below it.
///
/// The exact quantile `q` of `n` values is the one at rank ceil(q * n), so that of three values P75
/// is the third. (The HDR histogram of other languages rounds to the nearest rank, which is the
/// second.)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quantiles {
    /// By [`Quantiles::RANKS`].
    pub values_ns: [u64; 6],
}

impl Quantiles {
    /// The quantiles that are kept.
    pub const RANKS: [f64; 6] = [0.5, 0.75, 0.9, 0.95, 0.99, 0.999];

    /// The quantiles of all values in all windows of all the histograms together; `None` when there
    /// is no value. Allocates one histogram, however many are merged, and nothing when they are idle.
    #[must_use]
    #[expect(
        single_use_lifetimes,
        reason = "an anonymous lifetime is unstable here"
    )]
    pub fn of<'a>(histograms: impl IntoIterator<Item = &'a WindowedHistogram>) -> Option<Self> {
        let mut merged = None;
        for histogram in histograms {
            if !histogram.is_idle() {
                histogram.merge_into(merged.get_or_insert_with(empty));
            }
        }
        Self::of_merged(&merged?)
    }

    fn of_merged(merged: &Histogram<u64>) -> Option<Self> {
        if merged.is_empty() {
            return None;
        }
        let mut values_ns = [0; 6];
        for (value, quantile) in values_ns
            .iter_mut()
            .zip(merged.value_at_quantiles(Self::RANKS))
        {
            *value = quantile;
        }
        Some(Self { values_ns })
    }
}

impl WindowedHistogram {
    /// The quantiles of its windows; `None` when it is idle.
    #[must_use]
    pub fn quantiles(&self) -> Option<Quantiles> {
        Quantiles::of([self])
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MS: u64 = 1_000_000;

    fn of_values(values: &[u64]) -> Option<Quantiles> {
        let mut histogram = WindowedHistogram::new(5);
        for &value in values {
            histogram.record(value).unwrap();
        }
        histogram.quantiles()
    }

    /// The quantiles as a histogram of milliseconds has them, whose range ends elsewhere.
    fn of_millis(millis: &[u64]) -> (Quantiles, usize) {
        let mut merged = Histogram::<u64>::new_with_bounds(1, 300_000, 1).unwrap();
        let dropped = millis
            .iter()
            .filter(|&&value| merged.record(value).is_err())
            .count();
        (Quantiles::of_merged(&merged).unwrap(), dropped)
    }

    #[test]
    fn four_timers_in_milliseconds_give_the_values_of_the_specification() {
        let (quantiles, dropped) = of_millis(&[35_000, 6_000, 576, 12_000]);
        assert_eq!(
            quantiles.values_ns,
            [6_143, 12_287, 36_863, 36_863, 36_863, 36_863]
        );
        assert_eq!(dropped, 0);
    }

    #[test]
    fn the_range_top_is_the_reach_of_its_bucket_and_p75_of_three_is_the_third() {
        let (quantiles, dropped) = of_millis(&[274_000, 432_000, 625_000, 12_000]);
        assert_eq!(dropped, 1, "7m12s is kept, 625 s is not");
        // By nearest rank P75 would be the second value, 278527.
        assert_eq!(
            quantiles.values_ns,
            [278_527, 442_367, 442_367, 442_367, 442_367, 442_367]
        );

        let mut histogram = WindowedHistogram::new(5);
        assert!(histogram.record(625_000 * MS).is_err());
        for millis in [274_000, 432_000, 12_000] {
            histogram.record(millis * MS).unwrap();
        }
        let [p50, p75, rest @ ..] = histogram.quantiles().unwrap().values_ns;
        assert!(
            (274_000 * MS..=274_000 * MS * 17 / 16).contains(&p50),
            "{p50}"
        );
        assert!(
            (432_000 * MS..=432_000 * MS * 17 / 16).contains(&p75),
            "{p75}"
        );
        assert_eq!(rest, [p75; 4]);
    }

    #[test]
    fn two_values_give_the_values_of_the_specification() {
        assert_eq!(
            of_values(&[321, 42]).unwrap().values_ns,
            [43, 335, 335, 335, 335, 335]
        );
    }

    #[test]
    fn no_value_gives_no_quantiles() {
        assert_eq!(of_values(&[]), None);
        assert_eq!(Quantiles::of([]), None);
        let idle = WindowedHistogram::new(5);
        assert_eq!(Quantiles::of([&idle, &idle]), None);
    }

    #[test]
    fn histograms_of_one_container_are_merged() {
        let mut first = WindowedHistogram::new(5);
        let mut second = WindowedHistogram::new(2);
        for _ in 0..3 {
            first.record(10).unwrap();
        }
        first.rotate();
        second.record(30).unwrap();
        assert_eq!(
            Quantiles::of([&first, &second]).unwrap().values_ns,
            [10, 10, 30, 30, 30, 30]
        );
    }

    /// Values spread over the octaves rather than crowded in the highest.
    fn spread() -> impl Strategy<Value = u64> {
        (0_u32..39, any::<u64>())
            .prop_map(|(octave, low)| (1 << octave) | (low & ((1 << octave) - 1)))
    }

    proptest! {
        #[test]
        fn a_quantile_is_at_most_a_sixteenth_above_the_exact_one(
            mut values in prop::collection::vec(spread(), 1..400)
        ) {
            let quantiles = of_values(&values).unwrap();
            values.sort_unstable();
            for (&rank, &found) in Quantiles::RANKS.iter().zip(&quantiles.values_ns) {
                #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation,
                    clippy::cast_sign_loss, reason = "a few hundred values")]
                let at = (rank * values.len() as f64).ceil() as usize - 1;
                let exact = values[at];
                prop_assert!(exact <= found, "P{rank} of {} is {exact}, not {found}", values.len());
                prop_assert!(found <= exact + exact / 16 + 1, "P{rank}: {exact}, {found}");
            }
        }
    }
}
