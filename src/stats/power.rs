//! How many scenarios a question takes, and what so many can show: reckoned before a run.
//!
//! Rates, differences and margins are shares, not points. `alpha` is two-sided unless said otherwise, `power` the probability to
//! see what is there; both in (0, 1). A count is none where no number of scenarios would do, as where the difference is 0.

use super::beta::{binomial_at_most, binomial_probability};
use super::interval::wilson;
use super::normal::quantile;
use super::paired::{mcnemar_exact, mcnemar_midp};

/// More than this many scenarios are none: nobody has them.
const MOST: f64 = 1e15;

/// The sides of a test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sides {
    /// A difference in one direction only.
    One,
    /// A difference in either.
    Two,
}

impl Sides {
    fn z(self, alpha: f64) -> f64 {
        match self {
            Self::One => -quantile(alpha),
            Self::Two => -quantile(alpha / 2.0),
        }
    }
}

fn whole(n: f64) -> Option<u64> {
    #[expect(clippy::cast_possible_truncation, reason = "checked to be small and not negative")]
    (0.0..=MOST).contains(&n).then(|| n.ceil() as u64)
}

/// The scenarios with which a rate of `p` is told from the threshold `t`, both in [0, 1]:
/// `⌈((z_α √(t(1−t)) + z_β √(p(1−p))) / (p−t))²⌉`. For clusters, times the design effect.
#[must_use]
pub fn n_one_sample(p: f64, t: f64, alpha: f64, power: f64, sides: Sides) -> Option<u64> {
    let root = (sides.z(alpha) * (t * (1.0 - t)).sqrt() + quantile(power) * (p * (1.0 - p)).sqrt()) / (p - t);
    whole(root * root)
}

/// The fewest scenarios for which Wilson's interval at a rate of `p` is no wider than `p ± half_width`. None for a half-width of 0
/// or less; 1 for one of a half or more.
#[must_use]
pub fn n_halfwidth_wilson(p: f64, half_width: f64, confidence: f64) -> Option<u64> {
    let is_enough = |n: u64| {
        let interval = wilson(p * n as f64, n as f64, confidence);
        (interval.hi - interval.lo) / 2.0 <= half_width
    };
    let mut enough = 1;
    while !is_enough(enough) {
        if enough as f64 > MOST {
            return None;
        }
        enough *= 2;
    }
    let mut short = enough / 2;
    while enough - short > 1 {
        let middle = u64::midpoint(short, enough);
        if is_enough(middle) {
            enough = middle;
        } else {
            short = middle;
        }
    }
    Some(enough)
}

/// The paired scenarios with which McNemar's test sees gains in a share `p_gain` and losses in `p_loss` of them:
/// `⌈(z_{α/2} √ψ + z_β √(ψ−δ²))² / δ²⌉`, `ψ = p_gain + p_loss`, `δ = p_gain − p_loss` (Connor 1987).
#[must_use]
pub fn n_mcnemar(p_gain: f64, p_loss: f64, alpha: f64, power: f64) -> Option<u64> {
    let (psi, delta) = (p_gain + p_loss, p_gain - p_loss);
    let root = (Sides::Two.z(alpha) * psi.sqrt() + quantile(power) * (psi - delta * delta).max(0.0).sqrt()) / delta;
    whole(root * root)
}

/// Which of McNemar's tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum McNemar {
    /// [`mcnemar_exact`].
    Exact,
    /// [`mcnemar_midp`].
    MidP,
}

/// The probability that the test rejects at `alpha` on `n` paired scenarios, exactly: the sum over all counts of gains and losses.
///
/// Of the number of differing scenarios, binomial, only what is within twelve standard deviations is summed.
#[must_use]
pub fn mcnemar_power(n: u64, p_gain: f64, p_loss: f64, alpha: f64, test: McNemar) -> f64 {
    let psi = (p_gain + p_loss).clamp(0.0, 1.0);
    let gain = if psi > 0.0 { (p_gain / psi).clamp(0.0, 1.0) } else { 0.5 };
    let mean = n as f64 * psi;
    let far = 12.0 * (mean * (1.0 - psi)).sqrt() + 12.0;
    #[expect(clippy::cast_possible_truncation, reason = "a share of n")]
    let (first, last) = ((mean - far).max(0.0) as u64, ((mean + far) as u64).min(n));
    let is_rejected = |fewer: u64, all: u64| match test {
        McNemar::Exact => mcnemar_exact(all - fewer, fewer) <= alpha,
        McNemar::MidP => mcnemar_midp(all - fewer, fewer) <= alpha,
    };
    let mut power = 0.0;
    // Counts of gains below this one reject; with more differing scenarios it only grows.
    let mut rejected = 0;
    for all in first..=last {
        while 2 * rejected <= all && is_rejected(rejected, all) {
            rejected += 1;
        }
        if rejected > 0 {
            let few_gains = binomial_at_most(rejected - 1, all, gain);
            let few_losses = binomial_at_most(rejected - 1, all, 1.0 - gain);
            power += binomial_probability(all, n, psi) * (few_gains + few_losses).min(1.0);
        }
    }
    power.clamp(0.0, 1.0)
}

/// The smallest difference that `n` paired scenarios, of which a share `psi` differs, show: the δ in (0, ψ] with
/// `δ = (z_{α/2} √ψ + z_β √(ψ−δ²)) / √n`. None where even a difference of ψ would not show.
#[must_use]
pub fn mde_paired(n: u64, psi: f64, alpha: f64, power: f64) -> Option<f64> {
    let (z_alpha, z_beta) = (Sides::Two.z(alpha), quantile(power));
    let shows =
        |delta: f64| delta * (n as f64).sqrt() >= z_alpha * psi.sqrt() + z_beta * (psi - delta * delta).max(0.0).sqrt();
    (psi > 0.0 && shows(psi)).then(|| super::sequential::edge(psi, 0.0, shows))
}

/// The smallest difference that shows between two runs on different scenarios, around a rate of `p`:
/// `(z_{α/2} + z_β) √(p(1−p)(1/n₁ + 1/n₂))`. None without scenarios.
#[must_use]
pub fn mde_unpaired(n1: u64, n2: u64, p: f64, alpha: f64, power: f64) -> Option<f64> {
    let found = (Sides::Two.z(alpha) + quantile(power)) * (p * (1.0 - p) * (1.0 / n1 as f64 + 1.0 / n2 as f64)).sqrt();
    (n1 > 0 && n2 > 0 && found.is_finite()).then_some(found)
}

/// What the scores of two models on the same questions vary by, for [`n_miller_paired`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PairedVariance {
    /// The variance of the difference of the questions' mean scores (ω²).
    pub questions: f64,
    /// The mean variance of the base model's samples of one question.
    pub base: f64,
    /// The same for the new model.
    pub new: f64,
    /// Samples a question of the base model, at least 1.
    pub base_samples: u64,
    /// The same for the new model.
    pub new_samples: u64,
}

/// The questions with which a difference of `delta` shows, as a real number: `(z_{α/2} + z_β)² (ω² + σ_A²/K_A + σ_B²/K_B) / δ²`
/// (Miller 2024). None for a difference of 0.
#[must_use]
pub fn n_miller_paired(variance: &PairedVariance, delta: f64, alpha: f64, power: f64) -> Option<f64> {
    let z = Sides::Two.z(alpha) + quantile(power);
    let PairedVariance { questions, base, new, base_samples, new_samples } = *variance;
    let whole = questions + base / base_samples.max(1) as f64 + new / new_samples.max(1) as f64;
    let found = z * z * whole / (delta * delta);
    found.is_finite().then_some(found)
}

/// The paired scenarios with which a model that differs by `delta` is shown to be no worse than `margin`, one-sided at `alpha`:
/// `⌈(z_α + z_β)² (ψ − δ²) / (margin + δ)²⌉`. None where it is that much worse.
#[must_use]
pub fn n_noninferiority(psi: f64, margin: f64, delta: f64, alpha: f64, power: f64) -> Option<u64> {
    let z = Sides::One.z(alpha) + quantile(power);
    let room = margin + delta;
    if room.is_nan() || room <= 0.0 {
        return None;
    }
    whole(z * z * (psi - delta * delta).max(0.0) / (room * room))
}

/// The margin within which `n` paired scenarios, of which a share `psi` differs, can show that nothing got worse, one-sided at
/// `alpha`: `(z_α + z_β) √(ψ/n)`. None without scenarios.
#[must_use]
pub fn margin_supported(n: u64, psi: f64, alpha: f64, power: f64) -> Option<f64> {
    let found = (Sides::One.z(alpha) + quantile(power)) * (psi / n as f64).sqrt();
    (n > 0 && found.is_finite()).then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_seen_takes_no_number() {
        assert_eq!(n_one_sample(0.7, 0.7, 0.05, 0.8, Sides::Two), None);
        assert_eq!(n_mcnemar(0.1, 0.1, 0.05, 0.8), None);
        assert_eq!(n_halfwidth_wilson(0.7, 0.0, 0.95), None);
        assert_eq!(n_halfwidth_wilson(0.7, 0.5, 0.95), Some(1));
        assert_eq!(
            (mde_paired(5, 0.1, 0.05, 0.8), mde_paired(0, 0.1, 0.05, 0.8), mde_paired(9, 0.0, 0.05, 0.8)),
            (None, None, None)
        );
        assert_eq!((mde_unpaired(0, 9, 0.5, 0.05, 0.8), margin_supported(0, 0.1, 0.05, 0.8)), (None, None));
        assert_eq!(n_noninferiority(0.1, 0.02, -0.02, 0.05, 0.8), None);
        let variance = PairedVariance { questions: 0.1, base: 0.0, new: 0.0, base_samples: 0, new_samples: 1 };
        assert_eq!(n_miller_paired(&variance, 0.0, 0.05, 0.8), None);
        assert!(mcnemar_power(0, 0.1, 0.05, 0.05, McNemar::MidP) <= 0.0);
        assert!(mcnemar_power(50, 0.0, 0.0, 0.05, McNemar::MidP) <= 0.0);
    }

    #[test]
    fn one_side_takes_fewer() {
        let n = |sides| n_one_sample(0.75, 0.7, 0.05, 0.8, sides).unwrap();
        assert_eq!((n(Sides::Two), n(Sides::One)), (638, 501));
    }

    #[test]
    fn the_smallest_difference_takes_the_number_of_scenarios() {
        for (n, psi) in [(200, 0.15), (1000, 0.2), (50, 0.2)] {
            let delta = mde_paired(n, psi, 0.05, 0.8).unwrap();
            let back = n_mcnemar((psi + delta) / 2.0, (psi - delta) / 2.0, 0.05, 0.8).unwrap();
            assert!(back.abs_diff(n) <= 1, "{n}: {back}");
        }
    }

    /// Every table of four counts, with its multinomial probability.
    #[test]
    fn power_by_enumeration() {
        for (n, p_gain, p_loss) in [(12_u64, 0.4, 0.1), (9, 0.6, 0.2), (14, 0.3, 0.3)] {
            let mut expected = [0.0, 0.0];
            for gains in 0..=n {
                for losses in 0..=n - gains {
                    let rest = n - gains - losses;
                    let ways = |k: u64, of: u64| (0..k).map(|i| (of - i) as f64 / (i + 1) as f64).product::<f64>();
                    let power = |x: f64, k: u64| (0..k).map(|_| x).product::<f64>();
                    let chance = ways(gains, n)
                        * ways(losses, n - gains)
                        * power(p_gain, gains)
                        * power(p_loss, losses)
                        * power(1.0 - p_gain - p_loss, rest);
                    expected[0] += if mcnemar_exact(gains, losses) <= 0.05 { chance } else { 0.0 };
                    expected[1] += if mcnemar_midp(gains, losses) <= 0.05 { chance } else { 0.0 };
                }
            }
            for (test, expected) in [(McNemar::Exact, expected[0]), (McNemar::MidP, expected[1])] {
                let found = mcnemar_power(n, p_gain, p_loss, 0.05, test);
                assert!((found - expected).abs() < 1e-10, "{n} {test:?}: {found} {expected}");
            }
        }
    }
}
