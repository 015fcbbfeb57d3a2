//! Intervals for a pass rate.

use super::beta::{beta_probability, beta_probability_above, beta_quantile};
use super::normal::two_sided_z;
use crate::data::Thresholds;

/// A closed interval: within [0, 1] where it is one of rates, within [-1, 1] where it is one of their differences.
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

/// Clopper and Pearson's interval for `k` passes of `n` scenarios: its level is guaranteed whatever the rate, at the cost of
/// being wider than Wilson's.
///
/// Lower end: the quantile `α/2` of Beta(k, n−k+1), 0 for `k = 0`; upper end: the quantile `1 − α/2` of Beta(k+1, n−k), 1 for
/// `k = n` (Clopper and Pearson 1934). [0, 1] for `n = 0`; more passes than scenarios count as all.
#[must_use]
pub fn clopper_pearson(k: u64, n: u64, confidence: f64) -> Interval {
    let (k, tail) = (k.min(n), (1.0 - confidence) / 2.0);
    let (passed, failed) = (k as f64, (n - k) as f64);
    let lo = if k == 0 { 0.0 } else { beta_quantile(tail, passed, failed + 1.0) };
    // Mirrored, so that the small probability keeps its digits.
    let hi = if k == n { 1.0 } else { 1.0 - beta_quantile(tail, failed, passed + 1.0) };
    Interval { lo, hi }
}

/// The middle of Jeffreys' posterior, Beta(k+½, n−k+½), for `k` passes of `n` scenarios.
///
/// The lower end is 0 for `k = 0` and the upper end 1 for `k = n` (Brown, Cai and DasGupta 2001). [0, 1] for `n = 0`; more
/// passes than scenarios count as all.
#[must_use]
pub fn jeffreys(k: u64, n: u64, confidence: f64) -> Interval {
    let (k, tail) = (k.min(n), (1.0 - confidence) / 2.0);
    let (a, b) = (k as f64 + 0.5, (n - k) as f64 + 0.5);
    let lo = if k == 0 { 0.0 } else { beta_quantile(tail, a, b) };
    let hi = if k == n { 1.0 } else { 1.0 - beta_quantile(tail, b, a) };
    Interval { lo, hi }
}

/// How likely the true rate is in each band, after the scenarios so far and with Jeffreys' prior. They sum to 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BandPosterior {
    /// At `deploy` or above.
    pub deploy: f64,
    /// Between the two thresholds.
    pub fine_tune: f64,
    /// Below `fine_tune`.
    pub full_pipeline: f64,
}

/// The mass of Beta(k+½, n−k+½) in each band: the number in "70 % or better with a probability of 0.49".
///
/// More passes than scenarios count as all.
#[must_use]
pub fn band_posterior(k: u64, n: u64, thresholds: &Thresholds) -> BandPosterior {
    let k = k.min(n);
    let (a, b) = (k as f64 + 0.5, (n - k) as f64 + 0.5);
    let full_pipeline = beta_probability(thresholds.fine_tune, a, b);
    let deploy = beta_probability_above(thresholds.deploy, a, b);
    // The difference that loses the fewest digits: of the two small tails if both are on one side of the bulk.
    let fine_tune = if full_pipeline > 0.5 {
        beta_probability_above(thresholds.fine_tune, a, b) - deploy
    } else if deploy > 0.5 {
        beta_probability(thresholds.deploy, a, b) - full_pipeline
    } else {
        1.0 - full_pipeline - deploy
    };
    BandPosterior { deploy, fine_tune: fine_tune.max(0.0), full_pipeline }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::stats::binomial_at_most;

    #[test]
    fn ends_are_exact() {
        for interval in [clopper_pearson(0, 0, 0.95), jeffreys(0, 0, 0.95)] {
            assert_eq!(interval, Interval { lo: 0.0, hi: 1.0 });
        }
        for n in [1, 2, 50, 1_000_000] {
            assert_eq!((clopper_pearson(0, n, 0.95).lo, jeffreys(0, n, 0.95).lo), (0.0, 0.0), "{n}");
            assert_eq!((clopper_pearson(n, n, 0.95).hi, jeffreys(n, n, 0.95).hi), (1.0, 1.0), "{n}");
        }
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
        fn clopper_and_pearson_invert_the_exact_test(n in 1_u64..2_000, share in 0.0..=1.0_f64, confidence in 0.5..0.999_f64) {
            let k = (0..=n).rfind(|k| *k as f64 <= share * n as f64).unwrap();
            let Interval { lo, hi } = clopper_pearson(k, n, confidence);
            let tail = (1.0 - confidence) / 2.0;
            prop_assert!(k == 0 || (1.0 - binomial_at_most(k - 1, n, lo) - tail).abs() < 1e-10);
            prop_assert!(k == n || (binomial_at_most(k, n, hi) - tail).abs() < 1e-10);
            let Interval { lo: inner_lo, hi: inner_hi } = jeffreys(k, n, confidence);
            prop_assert!(lo <= inner_lo && inner_hi <= hi, "the posterior's middle lies inside");
        }

        #[test]
        fn bands_share_the_mass(n in 0_u64..2_000, share in 0.0..=1.0_f64) {
            let k = (0..=n).rfind(|k| *k as f64 <= share * n as f64).unwrap();
            let BandPosterior { deploy, fine_tune, full_pipeline } =
                band_posterior(k, n, &Thresholds { deploy: 0.7, fine_tune: 0.5 });
            prop_assert!([deploy, fine_tune, full_pipeline].iter().all(|mass| (0.0..=1.0).contains(mass)));
            prop_assert!((deploy + fine_tune + full_pipeline - 1.0).abs() < 1e-12);
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
