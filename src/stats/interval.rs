//! Intervals for a pass rate.

use super::normal::two_sided_z;

/// A closed interval of rates, within [0, 1].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    /// Lower end.
    pub lo: f64,
    /// Upper end.
    pub hi: f64,
}

/// Wilson's score interval for `k` passes of `n` scenarios at the level `confidence`, in (0, 1).
///
/// With `p = k / n` and `z` the two-sided normal quantile: centre `(p + z²/2n) / (1 + z²/n)`, half-width
/// `z / (1 + z²/n) · √(p(1-p)/n + z²/4n²)` (Wilson 1927; Brown, Cai and DasGupta 2001). `k` and `n` may be fractions, as
/// effective sample sizes are. The lower end is exactly 0 for `k = 0` and the upper end exactly 1 for `k = n`; without
/// any scenario nothing is known, and the interval is [0, 1].
#[must_use]
pub fn wilson(k: f64, n: f64, confidence: f64) -> Interval {
    wilson_at(k, n, two_sided_z(confidence))
}

/// The same interval with another quantile than that of the normal distribution.
pub(super) fn wilson_at(k: f64, n: f64, z: f64) -> Interval {
    if n <= 0.0 {
        return Interval { lo: 0.0, hi: 1.0 };
    }
    let p = k / n;
    let shrink = 1.0 + z * z / n;
    let centre = (p + z * z / (2.0 * n)) / shrink;
    let half = z / shrink * (p * (1.0 - p) / n + z * z / (4.0 * n * n)).sqrt();
    // Rounding must not push an end past the rate itself.
    let lo = if k <= 0.0 { 0.0 } else { (centre - half).clamp(0.0, p) };
    let hi = if k >= n { 1.0 } else { (centre + half).clamp(p, 1.0) };
    Interval { lo, hi }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ends_are_exact() {
        for n in [1.0, 2.0, 7.0, 50.0, 1e6, 1e15] {
            assert_eq!(wilson(0.0, n, 0.95).lo.to_bits(), 0.0_f64.to_bits(), "{n}");
            assert_eq!(wilson(n, n, 0.95).hi.to_bits(), 1.0_f64.to_bits(), "{n}");
        }
        assert_eq!(wilson(0.0, 0.0, 0.95), Interval { lo: 0.0, hi: 1.0 });
    }

    #[test]
    fn the_bits_are_the_same_everywhere() {
        let Interval { lo, hi } = wilson(35.0, 50.0, 0.95);
        assert_eq!((lo.to_bits(), hi.to_bits()), (4_603_241_737_559_036_589, 4_605_461_723_671_457_013));
    }

    proptest! {
        #[test]
        fn holds_the_rate_and_is_finite(n in 1_u32..5_000, share in 0.0..=1.0_f64, confidence in 0.001..0.999_999_f64) {
            let (k, n) = ((f64::from(n) * share).floor(), f64::from(n));
            let Interval { lo, hi } = wilson(k, n, confidence);
            prop_assert!(lo.is_finite() && hi.is_finite());
            prop_assert!(0.0 <= lo && lo <= k / n && k / n <= hi && hi <= 1.0, "{lo} {hi}");
        }

        #[test]
        fn a_higher_level_holds_the_interval_of_a_lower_one(
            n in 1_u32..5_000, share in 0.0..=1.0_f64, one in 0.01..0.999_f64, other in 0.01..0.999_f64,
        ) {
            let (k, n) = ((f64::from(n) * share).floor(), f64::from(n));
            let (narrow, wide) = (wilson(k, n, one.min(other)), wilson(k, n, one.max(other)));
            prop_assert!(wide.lo <= narrow.lo + 1e-15 && narrow.hi <= wide.hi + 1e-15, "{narrow:?} {wide:?}");
        }

        #[test]
        fn ends_invert_the_score_test(n in 2_u32..5_000, share in 0.01..0.99_f64, confidence in 0.5..0.999_f64) {
            // The other definition of the interval: the rates t with |p - t| <= z √(t(1-t)/n).
            let (n, z) = (f64::from(n), two_sided_z(confidence));
            let k = (n * share).clamp(0.5, n - 0.5);
            let Interval { lo, hi } = wilson(k, n, confidence);
            for t in [lo, hi] {
                let error = (k / n - t).abs() - z * (t * (1.0 - t) / n).sqrt();
                prop_assert!(error.abs() < 1e-12, "{error}");
            }
        }
    }
}
