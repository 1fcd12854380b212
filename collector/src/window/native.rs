//! The native (exponential) buckets of a value in ns: schema 3 of Prometheus, scale 3 of OTLP.
//!
//! Bucket `i` holds the values in (2^((i-1)/8), 2^(i/8)] **seconds**. The index is the one that a
//! Prometheus client computes from `ns as f64 / 1e9`: split into fraction and exponent, then search
//! the fraction among the eight bounds of an octave. It is computed from the raw value, because
//! buckets of ns (1e9 is not a power of two) or of an HDR histogram (linear in an octave) have other
//! edges, and folding them into these would add an error.

/// Buckets per octave, as a power of two.
pub(super) const SCHEMA: i32 = 3;

/// The bucket of 1 ns.
pub(super) const LOWEST_INDEX: i32 = -239;

/// The bucket that ends at 2^14 s, 4.6 hours. Values above it are counted in it.
pub(super) const HIGHEST_INDEX: i32 = 14 * 8;

/// How many buckets there are from one to the other.
pub(super) const BUCKETS: usize = (HIGHEST_INDEX - LOWEST_INDEX + 1).unsigned_abs() as usize;

/// 2^14 s in ns.
const HIGHEST_NS: u64 = (1 << 14) * 1_000_000_000;

const MANTISSA_BITS: u32 = 52;

const MANTISSA: u64 = (1 << MANTISSA_BITS) - 1;

/// The mantissas of 2^(i/8), i = 0..8: the upper bounds of the buckets in an octave. The same bits as
/// in Prometheus' own table.
const BOUNDS: [u64; 8] = [
    0.5_f64.to_bits() & MANTISSA,
    0.545_253_866_332_628_8_f64.to_bits() & MANTISSA,
    0.594_603_557_501_360_5_f64.to_bits() & MANTISSA,
    0.648_419_777_325_504_8_f64.to_bits() & MANTISSA,
    0.707_106_781_186_547_5_f64.to_bits() & MANTISSA,
    0.771_105_412_703_970_4_f64.to_bits() & MANTISSA,
    0.840_896_415_253_714_4_f64.to_bits() & MANTISSA,
    0.917_004_043_204_671_1_f64.to_bits() & MANTISSA,
];

/// The index of the bucket of `ns`, which is not 0.
///
/// Multiplying by 1e-9 is not the same as dividing by 1e9 in the last bit. Both rise with `ns`, so
/// they choose the same buckets if they do at every edge, and a test looks at every edge.
#[inline]
pub(super) fn index(ns: u64) -> i32 {
    debug_assert!(ns > 0);
    let ns = ns.min(HIGHEST_NS).cast_signed();
    #[expect(clippy::cast_precision_loss, reason = "at most 2^44: exact")]
    let seconds = (ns as f64 * 1e-9).to_bits();
    let mantissa = seconds & MANTISSA;
    let within: i32 = BOUNDS
        .iter()
        .map(|&bound| i32::from(mantissa > bound))
        .sum();
    let octave = (seconds >> MANTISSA_BITS) as i32 - 1023;
    (octave << SCHEMA) + within
}

/// Where the bucket of `ns`, which is not 0, is in an array of [`BUCKETS`].
#[inline]
pub(super) fn position(ns: u64) -> usize {
    (index(ns) - LOWEST_INDEX).unsigned_abs() as usize
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What a client does with a value in seconds; `shift` moves the bounds by so many bits in the
    /// last place.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_possible_wrap,
        reason = "small numbers"
    )]
    fn reference(seconds: f64, shift: i64) -> i32 {
        let bits = seconds.to_bits();
        let exponent = (bits >> MANTISSA_BITS) as i32 - 1022;
        let fraction = f64::from_bits((bits & MANTISSA) | (1022 << MANTISSA_BITS));
        assert!((0.5..1.0).contains(&fraction));
        let bounds = BOUNDS.map(|mantissa| {
            let shift = if mantissa == 0 { 0 } else { shift };
            f64::from_bits((mantissa | (1022 << MANTISSA_BITS)).wrapping_add_signed(shift))
        });
        let within = bounds
            .iter()
            .position(|&bound| bound >= fraction)
            .unwrap_or(bounds.len());
        within as i32 + (exponent - 1) * 8
    }

    #[expect(clippy::cast_precision_loss, reason = "below 2^53")]
    fn reference_of_ns(ns: u64, shift: i64) -> i32 {
        reference(ns as f64 / 1e9, shift)
    }

    /// The highest ns in bucket `index` or below it.
    fn last_of(index: i32) -> u64 {
        let (mut inside, mut above) = (0, 1 << 45);
        while above - inside > 1 {
            let middle = u64::midpoint(inside, above);
            if reference_of_ns(middle, 0) <= index {
                inside = middle;
            } else {
                above = middle;
            }
        }
        inside
    }

    #[test]
    fn at_every_edge_the_index_is_the_client_s() {
        let mut edges = 0;
        for bucket in LOWEST_INDEX..HIGHEST_INDEX {
            let last = last_of(bucket);
            for ns in last.saturating_sub(2).max(1)..=last + 3 {
                assert_eq!(index(ns), reference_of_ns(ns, 0), "{ns} ns");
            }
            assert!(index(last) <= bucket && index(last + 1) > bucket);
            edges += 1;
        }
        assert_eq!(edges, BUCKETS - 1);
    }

    #[test]
    fn a_last_bit_in_a_published_bound_moves_no_value() {
        for bucket in LOWEST_INDEX..HIGHEST_INDEX {
            let last = last_of(bucket);
            for ns in [last.max(1), last + 1] {
                for shift in [-2, -1, 1, 2] {
                    assert_eq!(index(ns), reference_of_ns(ns, shift), "{ns} ns");
                }
            }
        }
    }

    #[test]
    fn powers_of_two_seconds_end_their_buckets() {
        assert_eq!(index(1), LOWEST_INDEX);
        // 2^-9 s is the shortest that is whole in ns.
        for octave in -9..=14_i32 {
            let ns = if octave < 0 {
                1_000_000_000 >> -octave
            } else {
                1_000_000_000 << octave
            };
            assert_eq!(index(ns), octave * 8, "2^{octave} s");
            if octave < 14 {
                assert_eq!(index(ns + 1), octave * 8 + 1);
            }
            assert_eq!(index(ns - 1), octave * 8);
        }
    }

    #[test]
    fn what_is_too_long_is_in_the_last_bucket() {
        assert_eq!(index(HIGHEST_NS), HIGHEST_INDEX);
        assert_eq!(index(HIGHEST_NS + 1), HIGHEST_INDEX);
        assert_eq!(index(u64::MAX), HIGHEST_INDEX);
        assert_eq!(position(u64::MAX), BUCKETS - 1);
        assert_eq!(position(1), 0);
    }

    proptest! {
        #[test]
        fn the_index_is_the_client_s(octave in 0_u32..44, low in any::<u64>()) {
            let ns = ((1 << octave) | (low & ((1 << octave) - 1))).min(HIGHEST_NS);
            prop_assert_eq!(index(ns), reference_of_ns(ns, 0));
        }

        #[test]
        #[expect(clippy::cast_precision_loss, reason = "below 2^53")]
        fn a_value_is_above_its_lower_edge_and_not_above_its_upper(ns in 1..=HIGHEST_NS) {
            let seconds = ns as f64 / 1e9;
            let bucket = index(ns);
            // The edges as a reader of the exposition computes them; off by the rounding of powf.
            let lower = (f64::from(bucket - 1) / 8.0).exp2();
            let upper = (f64::from(bucket) / 8.0).exp2();
            prop_assert!(lower * (1.0 - 1e-15) < seconds && seconds <= upper * (1.0 + 1e-15));
        }
    }
}
