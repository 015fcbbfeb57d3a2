//! A confidence sequence for the mean of scores in [0, 1]: how much one could have won by betting against each mean.

use super::float;
use super::interval::Interval;
use super::sequential::edge;

/// The hedged capital of Waudby-Smith and Ramdas 2023 over scores in the order in which they came.
///
/// Two gamblers bet against a mean `m`, one that it is higher and one that it is lower, with sizes that only the scores before
/// tell: `λ_t = √(2 ln(1/αθ) / (t ln(1+t) σ²_{t−1}))`, cut at `c/m` and `c/(1−m)` so that neither is ever ruined. Independent or
/// exchangeable scores only; over topics, bet on their means in random order.
#[derive(Debug, Clone, PartialEq)]
pub struct Betting {
    /// A score, and the size of the bet on it before the cut.
    rounds: Vec<(f64, f64)>,
    alpha: f64,
    share: f64,
    cut: f64,
    /// Sums begin with half a score of ½ and half a variance of ¼, so that nothing is divided by 0.
    sum: f64,
    squares: f64,
    variance: f64,
}

impl Betting {
    /// Nothing bet yet; at the level `1 − alpha`, with the money shared evenly and bets cut at half of what would ruin.
    #[must_use]
    pub fn new(alpha: f64) -> Self {
        Self::with(alpha, 0.5, 0.5)
    }

    /// Nothing bet yet, with another share θ of the money on "higher", and another cut c, both in (0, 1).
    #[must_use]
    pub fn with(alpha: f64, share: f64, cut: f64) -> Self {
        Self { rounds: Vec::new(), alpha, share, cut, sum: 0.5, squares: 0.25, variance: 0.25 }
    }

    /// With fewer scores than this, no interval at the level `1 − alpha` lies above the mean `m`, in (0, 1), whatever they are; for below
    /// `m`, ask about `1 − m`.
    ///
    /// No bet wins more than the largest on a score of 1, which multiplies the money by `1 + c (1 − m) / m`.
    #[must_use]
    pub fn fewest_above(m: f64, alpha: f64) -> u64 {
        let Self { share, cut, .. } = Self::new(alpha);
        let needed = -float::ln(alpha * share) / float::ln_1p(cut * (1.0 - m) / m);
        #[expect(clippy::cast_possible_truncation, reason = "saturates, and is then more than there are scores")]
        let needed = needed.ceil() as u64;
        needed
    }

    /// Bets on the next score. One outside of [0, 1] counts as the nearer end, and one that is no number as 0.
    pub fn add(&mut self, score: f64) {
        let score = if score.is_nan() { 0.0 } else { score.clamp(0.0, 1.0) };
        let round = (self.rounds.len() + 1) as f64;
        let stake = -2.0 * float::ln(self.alpha * self.share);
        self.rounds.push((score, (stake / (round * float::ln_1p(round) * self.variance)).sqrt()));
        self.sum += score;
        let mean = (self.sum / (round + 1.0)).min(1.0);
        self.squares += (score - mean) * (score - mean);
        self.variance = self.squares / (round + 1.0);
    }

    /// The logarithms of what the two gamblers hold against the mean `m`: higher, lower.
    fn log_capitals(&self, m: f64) -> (f64, f64) {
        let (most_up, most_down) = (self.cut / m, self.cut / (1.0 - m));
        let (mut up, mut down) = (0.0, 0.0);
        for (score, bet) in &self.rounds {
            up += float::ln_1p(bet.min(most_up) * (score - m));
            down += float::ln_1p(-bet.min(most_down) * (score - m));
        }
        (up, down)
    }

    /// The logarithm of the larger of the two holdings against the mean `m`, in (0, 1): evidence against it. The mean is
    /// rejected from `ln 1/α` on.
    #[must_use]
    pub fn log_capital(&self, m: f64) -> f64 {
        let (up, down) = self.log_capitals(m);
        (float::ln(self.share) + up).max(float::ln_1p(-self.share) + down)
    }

    /// The means that are not rejected; [0, 1] without any score.
    ///
    /// What the first gambler holds falls with `m` and what the second holds rises, so the means lie between two edges. They
    /// may cross where both reject everything, with a probability of at most alpha: then both ends are where they meet.
    #[must_use]
    pub fn confidence_sequence(&self) -> Interval {
        let limit = -float::ln(self.alpha);
        let is_rejected_below = |m: f64| float::ln(self.share) + self.log_capitals(m).0 >= limit;
        let is_rejected_above = |m: f64| float::ln_1p(-self.share) + self.log_capitals(m).1 >= limit;
        let lo = if is_rejected_below(f64::MIN_POSITIVE) { edge(1.0, 0.0, |m| !is_rejected_below(m)) } else { 0.0 };
        let hi = if is_rejected_above(1.0 - f64::EPSILON) { edge(0.0, 1.0, |m| !is_rejected_above(m)) } else { 1.0 };
        if lo <= hi { Interval { lo, hi } } else { Interval { lo: f64::midpoint(lo, hi), hi: f64::midpoint(lo, hi) } }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::stats::Random;

    fn over(scores: &[f64]) -> Betting {
        let mut betting = Betting::new(0.05);
        scores.iter().for_each(|score| betting.add(*score));
        betting
    }

    #[test]
    fn nothing_and_extremes() {
        assert_eq!(over(&[]).confidence_sequence(), Interval { lo: 0.0, hi: 1.0 });
        let ones = over(&[1.0; 200]).confidence_sequence();
        assert!(ones.lo > 0.95 && (ones.hi - 1.0).abs() < 1e-12, "{ones:?}");
        let zeros = over(&[0.0; 200]).confidence_sequence();
        assert!(zeros.lo.abs() < 1e-12 && zeros.hi < 0.05, "{zeros:?}");
        let odd = over(&[f64::NAN, 7.0, -3.0, 1.0, 1.0]);
        assert_eq!(odd, over(&[0.0, 1.0, 0.0, 1.0, 1.0]));
    }

    #[test]
    fn looking_after_every_score_keeps_the_level() {
        let (runs, scores) = (200, 150);
        let limit = -libm::log(0.05);
        let mut missed = 0;
        for run in 0..runs {
            let mut random = Random::new(7, "betting", run);
            let mut betting = Betting::new(0.05);
            missed += u32::from((0..scores).any(|_| {
                // Partial credit in thirds, with a mean of 0.6.
                betting.add(if random.share() < 0.4 { 1.0 } else { f64::from(random.below(3)) / 3.0 });
                betting.log_capital(0.6) >= limit
            }));
        }
        assert!(f64::from(missed) / runs as f64 <= 0.05 + 3.0 * (0.05_f64 / runs as f64).sqrt(), "{missed}");
    }

    proptest! {
        #[test]
        fn the_interval_is_the_means_not_rejected(scores in prop::collection::vec(0.0..=1.0_f64, 0..60), m in 0.001..0.999_f64) {
            let betting = over(&scores);
            let Interval { lo, hi } = betting.confidence_sequence();
            let distance = (m - lo).abs().min((m - hi).abs());
            prop_assume!(distance > 1e-6);
            prop_assert_eq!((lo..=hi).contains(&m), betting.log_capital(m) < -libm::log(0.05), "{} {}", lo, hi);
        }
    }
}
