//! Two models on the same scenarios: the difference of their pass rates.
//!
//! Owns the table of pairs, its intervals and its tests. Orientation is fixed: a gain passes with the new model only, and a
//! difference is the new rate less that of the base. For scenarios in clusters use
//! [`PairClusters`](super::PairClusters) too. Start at [`Pairs`].

use super::beta::{binomial_at_most, binomial_probability};
use super::interval::{Interval, wilson};
use super::normal::{normal_probability, two_sided_z};
use super::sequential::edge;

/// Scenarios counted by what became of them under both models.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pairs {
    /// Both models pass.
    pub both: u64,
    /// The new one passes, the base fails.
    pub gains: u64,
    /// The new one fails, the base passes.
    pub losses: u64,
    /// Both fail.
    pub neither: u64,
}

/// A difference with its interval, within [-1, 1].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Difference {
    /// The new rate less that of the base; 0 without any scenario.
    pub point: f64,
    /// The interval.
    pub interval: Interval,
}

impl Pairs {
    /// How many scenarios there are.
    #[must_use]
    pub fn scenarios(&self) -> u64 {
        self.both + self.gains + self.losses + self.neither
    }

    /// The same table with base and new model exchanged.
    #[must_use]
    pub fn mirrored(&self) -> Self {
        Self { both: self.both, gains: self.losses, losses: self.gains, neither: self.neither }
    }

    /// The difference of the rates, `(gains − losses) / n`; 0 without any scenario.
    #[must_use]
    pub fn difference(&self) -> f64 {
        let n = self.scenarios();
        if n == 0 { 0.0 } else { (self.gains as f64 - self.losses as f64) / n as f64 }
    }

    /// The share of scenarios on which the models differ (ψ); 0 without any scenario.
    #[must_use]
    pub fn discordance(&self) -> f64 {
        let n = self.scenarios();
        if n == 0 { 0.0 } else { (self.gains + self.losses) as f64 / n as f64 }
    }

    /// The standard error of the difference, of scenarios' differences with n − 1 (Miller 2024); none for fewer than two.
    #[must_use]
    pub fn standard_error(&self) -> Option<f64> {
        let n = self.scenarios();
        if n < 2 {
            return None;
        }
        let (size, difference) = (n as f64, self.difference());
        let squares = (self.gains + self.losses) as f64 - size * difference * difference;
        Some((squares.max(0.0) / (size * (size - 1.0))).sqrt())
    }
}

/// Newcombe's interval for the difference of paired rates (1998, method 10): Wilson's limits of both rates, joined with the
/// correlation φ corrected for continuity. The default. Without any scenario, [-1, 1].
#[must_use]
pub fn newcombe_paired(pairs: &Pairs, confidence: f64) -> Difference {
    let n = pairs.scenarios() as f64;
    let point = pairs.difference();
    if n <= 0.0 {
        return Difference { point, interval: Interval { lo: -1.0, hi: 1.0 } };
    }
    let Pairs { both, gains, losses, neither } = *pairs;
    let (both, gains, losses, neither) = (both as f64, gains as f64, losses as f64, neither as f64);
    let rate = |passed: f64| (passed / n, wilson(passed, n, confidence));
    let ((new, new_limits), (base, base_limits)) = (rate(both + gains), rate(both + losses));
    let margins = (both + gains) * (losses + neither) * (both + losses) * (gains + neither);
    let product = both * neither - gains * losses;
    let corrected = if product > n / 2.0 { product - n / 2.0 } else { product.min(0.0) };
    let phi = if margins > 0.0 { corrected / margins.sqrt() } else { 0.0 };
    let joined = |one: f64, other: f64| (one * one - 2.0 * phi * one * other + other * other).max(0.0).sqrt();
    let interval = Interval {
        lo: (point - joined(new - new_limits.lo, base_limits.hi - base)).max(-1.0),
        hi: (point + joined(new_limits.hi - new, base - base_limits.lo)).min(1.0),
    };
    Difference { point, interval }
}

/// Tango's statistic (1998) for a true difference `delta`, of so many gains and losses among `n` scenarios: standard normal if
/// that is the truth.
///
/// `(b − c − nδ) / √(n(2q + δ(1−δ)))` with `q` the larger root of `2n q² + (−b−c+(2n−b+c)δ) q − cδ(1−δ) = 0`: the likeliest rate of
/// losses given δ. For `delta` in (-1, 1); infinite where the difference is impossible.
#[must_use]
pub fn tango_statistic(gains: u64, losses: u64, n: u64, delta: f64) -> f64 {
    let (b, c, n) = (gains as f64, losses as f64, n as f64);
    let (a2, a1, a0) = (2.0 * n, -b - c + (2.0 * n - b + c) * delta, -c * delta * (1.0 - delta));
    let q = ((a1 * a1 - 4.0 * a2 * a0).max(0.0).sqrt() - a1) / (2.0 * a2);
    let away = b - c - n * delta;
    let variance = n * (2.0 * q + delta * (1.0 - delta));
    if variance > 0.0 {
        away / variance.sqrt()
    } else if away.abs() < 1e-12 {
        0.0
    } else {
        away * f64::INFINITY
    }
}

/// Tango's score interval for the difference of paired rates: the differences that the statistic does not reject. Without any
/// scenario, [-1, 1]; gains and losses beyond `n` give the same.
#[must_use]
pub fn tango_interval(gains: u64, losses: u64, n: u64, confidence: f64) -> Interval {
    if n == 0 || gains + losses > n {
        return Interval { lo: -1.0, hi: 1.0 };
    }
    let z = two_sided_z(confidence);
    let point = (gains as f64 - losses as f64) / n as f64;
    let is_kept = |delta: f64| tango_statistic(gains, losses, n, delta).abs() < z;
    let end =
        |outside: f64| if (point - outside).abs() < f64::EPSILON { outside } else { edge(point, outside, is_kept) };
    Interval { lo: end(-1.0), hi: end(1.0) }
}

/// Bonett and Price's interval (2012): Wald's after adding 1 to gains and to losses. Within [-1, 1], which it is for no scenario.
#[must_use]
pub fn bonett_price(gains: u64, losses: u64, n: u64, confidence: f64) -> Interval {
    if n == 0 {
        return Interval { lo: -1.0, hi: 1.0 };
    }
    let size = n as f64 + 2.0;
    let (gained, lost) = ((gains as f64 + 1.0) / size, (losses as f64 + 1.0) / size);
    let difference = gained - lost;
    let half = two_sided_z(confidence) * ((gained + lost - difference * difference).max(0.0) / size).sqrt();
    Interval { lo: (difference - half).max(-1.0), hi: (difference + half).min(1.0) }
}

/// McNemar's exact test (1947) that gains and losses are equally likely, two-sided: 1 where there are neither. Conservative.
#[must_use]
pub fn mcnemar_exact(gains: u64, losses: u64) -> f64 {
    let (fewer, all) = (gains.min(losses), gains + losses);
    if all == 0 { 1.0 } else { (2.0 * binomial_at_most(fewer, all, 0.5)).min(1.0) }
}

/// The mid-p variant of McNemar's test, which decides: half of the probability of what was seen counts. Keeps its level in
/// practice (Fagerland, Lydersen and Laake 2013); 1 where there are neither gains nor losses.
#[must_use]
pub fn mcnemar_midp(gains: u64, losses: u64) -> f64 {
    let (fewer, all) = (gains.min(losses), gains + losses);
    if all == 0 {
        return 1.0;
    }
    (2.0 * binomial_at_most(fewer, all, 0.5) - binomial_probability(fewer, all, 0.5)).clamp(0.0, 1.0)
}

/// The one-sided mid-p value that losses are no likelier than gains: small where the new model lost. 1/2 where there are neither.
#[must_use]
pub fn mcnemar_midp_of_losses(gains: u64, losses: u64) -> f64 {
    let all = gains + losses;
    // At least as many losses is at most as many gains.
    (binomial_at_most(gains, all, 0.5) - binomial_probability(gains, all, 0.5) / 2.0).clamp(0.0, 1.0)
}

/// The probability of a difference as good as this, or better, if the new model were worse by exactly `margin`, in [0, 1): Tango's
/// statistic at −margin, one-sided. 1 without any scenario.
#[must_use]
pub fn noninferiority_p(gains: u64, losses: u64, n: u64, margin: f64) -> f64 {
    if n == 0 {
        return 1.0;
    }
    normal_probability(-tango_statistic(gains, losses, n, -margin))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn nothing_says_nothing() {
        let none = Pairs::default();
        let whole = Interval { lo: -1.0, hi: 1.0 };
        assert_eq!((none.difference(), none.discordance(), none.standard_error()), (0.0, 0.0, None));
        assert_eq!(newcombe_paired(&none, 0.95), Difference { point: 0.0, interval: whole });
        assert_eq!((tango_interval(0, 0, 0, 0.95), bonett_price(0, 0, 0, 0.95)), (whole, whole));
        assert_eq!((mcnemar_exact(0, 0), mcnemar_midp(0, 0), mcnemar_midp_of_losses(0, 0)), (1.0, 1.0, 0.5));
        assert!((noninferiority_p(0, 0, 0, 0.05) - 1.0).abs() < 1e-15);
        assert!(tango_interval(5, 0, 5, 0.95).hi >= 1.0);
        assert!(tango_interval(0, 5, 5, 0.95).lo <= -1.0);
    }

    proptest! {
        /// Every way the differing scenarios could have fallen.
        #[test]
        fn mcnemar_by_enumeration(gains in 0_u64..9, losses in 0_u64..9) {
            let all = gains + losses;
            let (mut fewer, mut same, mut worse, mut equal) = (0_u32, 0_u32, 0_u32, 0_u32);
            for fallen in 0_u64..1 << all {
                let lost = u64::from(fallen.count_ones());
                fewer += u32::from(lost < gains.min(losses));
                same += u32::from(lost == gains.min(losses));
                worse += u32::from(lost > losses);
                equal += u32::from(lost == losses);
            }
            let ways = f64::from(1_u32 << all);
            let exact = (2.0 * f64::from(fewer + same) / ways).min(1.0);
            prop_assert!((mcnemar_exact(gains, losses) - exact).abs() < 1e-12);
            let midp = (2.0 * f64::from(fewer) + f64::from(same)) / ways;
            prop_assert!((mcnemar_midp(gains, losses) - midp).abs() < 1e-12);
            let one_sided = (f64::from(worse) + f64::from(equal) / 2.0) / ways;
            prop_assert!((mcnemar_midp_of_losses(gains, losses) - one_sided).abs() < 1e-12);
        }

        #[test]
        fn exchanging_the_models_mirrors_everything(
            both in 0_u64..60, gains in 0_u64..60, losses in 0_u64..60, neither in 0_u64..60, confidence in 0.5..0.999_f64,
        ) {
            let pairs = Pairs { both, gains, losses, neither };
            let n = pairs.scenarios();
            let (one, other) = (newcombe_paired(&pairs, confidence), newcombe_paired(&pairs.mirrored(), confidence));
            prop_assert!((one.point + other.point).abs() < 1e-12 && (one.interval.lo + other.interval.hi).abs() < 1e-12);
            prop_assert!(one.interval.lo <= one.point && one.point <= one.interval.hi);
            let (one, other) = (tango_interval(gains, losses, n, confidence), tango_interval(losses, gains, n, confidence));
            prop_assert!((one.lo + other.hi).abs() < 1e-9, "{one:?} {other:?}");
            prop_assert!(-1.0 <= one.lo && one.lo <= pairs.difference() && pairs.difference() <= one.hi && one.hi <= 1.0);
            let (one, other) = (bonett_price(gains, losses, n, confidence), bonett_price(losses, gains, n, confidence));
            prop_assert!((one.lo + other.hi).abs() < 1e-12);
            prop_assert!((mcnemar_midp(gains, losses) - mcnemar_midp(losses, gains)).abs() < 1e-15);
            let sides = mcnemar_midp_of_losses(gains, losses) + mcnemar_midp_of_losses(losses, gains);
            prop_assert!((sides - 1.0).abs() < 1e-12);
        }

        /// The likeliest rate of losses given the difference, by search.
        #[test]
        fn tango_takes_the_likeliest(gains in 1_u64..20, losses in 1_u64..20, more in 5_u64..40, delta in -0.5..0.5_f64) {
            let n = gains + losses + more;
            let log_likelihood = |q: f64| {
                gains as f64 * libm::log(q + delta) + losses as f64 * libm::log(q) + more as f64 * libm::log(1.0 - 2.0 * q - delta)
            };
            let (mut low, mut high) = ((-delta).max(0.0), (1.0 - delta) / 2.0);
            for _ in 0..200 {
                let (one, other) = (low + (high - low) / 3.0, high - (high - low) / 3.0);
                if log_likelihood(one) < log_likelihood(other) { low = one } else { high = other }
            }
            let q = f64::midpoint(low, high);
            let away = gains as f64 - losses as f64 - n as f64 * delta;
            let expected = away / (n as f64 * (2.0 * q + delta * (1.0 - delta))).sqrt();
            let found = tango_statistic(gains, losses, n, delta);
            prop_assert!((found - expected).abs() < 1e-5 * (1.0 + expected.abs()), "{found} {expected}");
        }

        #[test]
        fn standard_errors_by_the_definition(both in 0_u64..9, gains in 0_u64..9, losses in 0_u64..9, neither in 1_u64..9) {
            let pairs = Pairs { both, gains, losses, neither };
            let mut rows = vec![0.0; usize::try_from(both + neither).unwrap()];
            rows.extend((0..gains).map(|_| 1.0));
            rows.extend((0..losses).map(|_| -1.0));
            let expected = crate::stats::mean_ci_t(&rows, 0.95).map(|estimate| estimate.standard_error);
            match (pairs.standard_error(), expected) {
                (Some(found), Some(expected)) => prop_assert!((found - expected).abs() < 1e-12),
                (found, expected) => prop_assert!(found.is_none() && expected.is_none()),
            }
        }
    }
}
