//! Which objects are in the part that is traced.

use std::sync::atomic::{AtomicU64, Ordering};

use opentelemetry_sdk::trace::{IdGenerator as _, RandomIdGenerator};

/// How many objects are left out before the next that is traced.
///
/// As if each were drawn for itself, with the same chance: the numbers of misses between two hits are of the geometric
/// distribution. But an object that is left out costs one subtraction, and no random number.
#[derive(Debug)]
pub(super) struct Gaps {
    /// The logarithm of the chance to be left out: 0 where all are, and minus infinity where none is.
    ln_missed: f64,
    left: AtomicU64,
}

impl Gaps {
    /// For this part of all, from 0 to 1.
    pub(super) fn new(ratio: f64) -> Self {
        let gaps = Self {
            ln_missed: (-ratio.clamp(0.0, 1.0)).ln_1p(),
            left: AtomicU64::new(0),
        };
        gaps.left.store(gaps.draw(), Ordering::Relaxed);
        gaps
    }

    /// Whether the next object is traced.
    #[inline]
    pub(super) fn is_over(&self) -> bool {
        if self.left.fetch_sub(1, Ordering::Relaxed) > 0 {
            return false;
        }
        // Who comes in between finds a number that wrapped, and is left out.
        self.left.store(self.draw(), Ordering::Relaxed);
        true
    }

    #[cold]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it is not negative, and what is too large is as good as the largest"
    )]
    fn draw(&self) -> u64 {
        if self.ln_missed == 0.0 {
            return u64::MAX;
        }
        let [.., a, b, c, d] = RandomIdGenerator::default().new_trace_id().to_bytes();
        // Above 0, and at most 1.
        let random = (f64::from(u32::from_be_bytes([a, b, c, d])) + 1.0) / 2_f64.powi(32);
        (random.ln() / self.ln_missed) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hits(ratio: f64, of: u32) -> Vec<u32> {
        let gaps = Gaps::new(ratio);
        (0..of).filter(|_| gaps.is_over()).collect()
    }

    fn number_of<T>(of: impl Iterator<Item = T>) -> f64 {
        of.map(|_| 1.0).sum()
    }

    #[test]
    fn all_are_traced_or_none() {
        assert_eq!(hits(1.0, 1_000).len(), 1_000);
        assert!(hits(0.0, 1_000).is_empty());
    }

    #[test]
    fn the_part_is_as_wished_and_the_gaps_are_as_of_single_draws() {
        for ratio in [0.001, 0.01, 0.5, 0.9] {
            let all = 1_000_000;
            let hits = hits(ratio, all);
            let (hit, all) = (number_of(hits.iter()), f64::from(all));
            // Six standard deviations.
            let deviation = (all * ratio * (1.0 - ratio)).sqrt();
            assert!(
                (hit - all * ratio).abs() < 6.0 * deviation,
                "{ratio}: {hit}"
            );
            // One directly after another is as likely as any.
            let pairs = number_of(hits.windows(2).filter(|of| of[1] == of[0] + 1));
            let deviation = (hit * ratio * (1.0 - ratio)).sqrt();
            assert!(
                (pairs - hit * ratio).abs() < 6.0 * deviation + 1.0,
                "{ratio}: {pairs}"
            );
        }
    }
}
