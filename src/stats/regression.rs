//! The gate against regressions: whether a new model is shown to be no worse than the base.
//!
//! A test that finds no difference is no proof that there is none, so the gate asks the interval instead: [`regression_gate`]
//! for all scenarios, [`worst_slices`] for the topics among them.

use super::interval::Interval;
use super::multiple::holm;
use super::paired::{Difference, Pairs, mcnemar_midp_of_losses, newcombe_paired};
use super::power::{margin_supported, n_noninferiority};

/// What the gate says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GateVerdict {
    /// Shown to be no worse than the margin allows.
    Pass,
    /// Shown to be worse, and not shown to be within the margin.
    Fail,
    /// Neither.
    Inconclusive,
}

/// The gate's verdict, and what it rests on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RegressionGate {
    /// The difference of the pass rates with its interval.
    pub difference: Difference,
    /// What the interval says: pass where it lies above −margin, fail where it lies below 0 and not above −margin.
    pub by_interval: GateVerdict,
    /// What counts: the same, but never a pass where so few scenarios could not have shown one.
    pub verdict: GateVerdict,
    /// Also no better than the margin: the interval lies within ±margin.
    pub is_equivalent: bool,
    /// Passed, with a loss that is small but real.
    pub is_small_loss: bool,
    /// The margin that so many scenarios, of which so many differ, can support; none without any.
    pub margin_supported: Option<f64>,
    /// How many scenarios the margin takes if as large a share of them differs and the models are equal.
    pub scenarios_needed: Option<u64>,
}

/// The power at which a margin counts as supported.
const POWER: f64 = 0.8;

/// Whether the new model is no worse than the base by more than `margin`, above 0: non-inferiority by Newcombe's interval.
///
/// With a `confidence` of 0.9 the test is one-sided at 5 %. Two one-sided tests tell whether the models are equivalent.
#[must_use]
pub fn regression_gate(pairs: &Pairs, margin: f64, confidence: f64) -> RegressionGate {
    let difference = newcombe_paired(pairs, confidence);
    let interval = difference.interval;
    let by_interval = no_worse(interval, margin);
    let (alpha, psi) = ((1.0 - confidence) / 2.0, pairs.discordance());
    let margin_supported = margin_supported(pairs.scenarios(), psi, alpha, POWER);
    let is_supported = margin_supported.is_some_and(|supported| supported <= margin);
    let verdict =
        if by_interval == GateVerdict::Pass && !is_supported { GateVerdict::Inconclusive } else { by_interval };
    RegressionGate {
        difference,
        by_interval,
        verdict,
        is_equivalent: -margin < interval.lo && interval.hi < margin,
        is_small_loss: verdict == GateVerdict::Pass && interval.hi < 0.0,
        margin_supported,
        scenarios_needed: n_noninferiority(psi, margin, 0.0, alpha, POWER),
    }
}

/// What any interval of a difference says of a loss of at most `margin`: pass where it lies above −margin, fail where it lies below
/// 0 and not above −margin.
#[must_use]
pub fn no_worse(interval: Interval, margin: f64) -> GateVerdict {
    if interval.lo > -margin {
        GateVerdict::Pass
    } else if interval.hi < 0.0 {
        GateVerdict::Fail
    } else {
        GateVerdict::Inconclusive
    }
}

/// The fewest scenarios of a topic that is looked at on its own.
pub const LEAST_SLICE: u64 = 20;

/// The p-values that a topic lost more than it gained, one-sided mid-p, adjusted by Holm over all topics with at least
/// [`LEAST_SLICE`] scenarios; none for the others. Any below 0.05 fails the gate, with the topic's name.
#[must_use]
pub fn worst_slices(topics: &[Pairs]) -> Vec<Option<f64>> {
    let is_large = |pairs: &&Pairs| pairs.scenarios() >= LEAST_SLICE;
    let p: Vec<f64> =
        topics.iter().filter(is_large).map(|pairs| mcnemar_midp_of_losses(pairs.gains, pairs.losses)).collect();
    let mut adjusted = holm(&p).into_iter();
    topics.iter().map(|pairs| if is_large(&pairs) { adjusted.next() } else { None }).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(pairs: [u64; 4], by_interval: GateVerdict, verdict: GateVerdict) -> RegressionGate {
        let [both, gains, losses, neither] = pairs;
        let gate = regression_gate(&Pairs { both, gains, losses, neither }, 0.05, 0.9);
        assert_eq!((gate.by_interval, gate.verdict), (by_interval, verdict), "{pairs:?}: {gate:?}");
        gate
    }

    #[test]
    fn verdicts() {
        use GateVerdict::{Fail, Inconclusive, Pass};
        assert!(check([240, 10, 12, 38], Pass, Pass).is_equivalent);
        check([40, 4, 5, 1], Inconclusive, Inconclusive);
        check([600, 20, 100, 280], Fail, Fail);
        check([0, 0, 0, 0], Inconclusive, Inconclusive);
        let small = check([3_000, 60, 120, 820], Pass, Pass);
        assert!(small.is_small_loss && small.difference.interval.hi < 0.0);
        // So few scenarios could hardly have shown it: luck is no proof.
        let few = check([70, 15, 2, 13], Pass, Inconclusive);
        assert!(few.margin_supported.unwrap() > 0.05 && few.scenarios_needed.unwrap() > 100);
    }

    #[test]
    fn slices() {
        let topic = |gains, losses, both| Pairs { both, gains, losses, neither: 0 };
        let found = worst_slices(&[topic(5, 5, 40), topic(0, 9, 40), topic(0, 9, 4), topic(9, 0, 40)]);
        assert!(found[1].unwrap() < 0.05 && found[2].is_none(), "{found:?}");
        assert!(found[0].unwrap() > 0.4 && found[3].unwrap() > 0.9, "{found:?}");
        assert!(worst_slices(&[]).is_empty());
    }

    proptest! {
        #[test]
        fn one_more_gain_is_never_worse(both in 0_u64..300, gains in 0_u64..60, losses in 0_u64..60, neither in 1_u64..300) {
            let rank = |verdict| match verdict {
                GateVerdict::Fail => 0,
                GateVerdict::Inconclusive => 1,
                GateVerdict::Pass => 2,
            };
            let gate = |gains, neither| regression_gate(&Pairs { both, gains, losses, neither }, 0.05, 0.9);
            let (now, then) = (gate(gains, neither), gate(gains + 1, neither - 1));
            prop_assert!(then.difference.point > now.difference.point);
            prop_assert!(rank(then.by_interval) >= rank(now.by_interval), "{now:?} {then:?}");
        }
    }
}
