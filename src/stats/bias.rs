//! Whether a judge is moved by what should not move it: its own dice, the place of a reply, its length.

use super::interval::Interval;
use super::judge_error::Share;
use super::paired::mcnemar_exact;

/// How steady verdicts are when asked again.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SelfConsistency {
    /// How often two verdicts on one reply differ, on average.
    pub disagreement: f64,
    /// The share of replies on which all verdicts agree.
    pub unanimous: f64,
    /// Wilson's interval for the share on which they do not.
    pub not_unanimous: Interval,
}

/// Steadiness from how many of `samples` verdicts on each reply were passes: `2r(K−r) / K(K−1)` on average. None without replies or
/// for fewer than two samples; more passes than samples count as all.
#[must_use]
pub fn self_consistency(passes: &[u64], samples: u64, confidence: f64) -> Option<SelfConsistency> {
    if passes.is_empty() || samples < 2 {
        return None;
    }
    let (count, k) = (passes.len() as f64, samples as f64);
    let differing = |passed: &u64| {
        let r = (*passed).min(samples) as f64;
        2.0 * r * (k - r) / (k * (k - 1.0))
    };
    let mixed = passes.iter().filter(|passed| **passed > 0 && **passed < samples).count() as u64;
    Some(SelfConsistency {
        disagreement: passes.iter().map(differing).sum::<f64>() / count,
        unanimous: (passes.len() as u64 - mixed) as f64 / count,
        not_unanimous: Share { count: mixed, of: passes.len() as u64 }.wilson(confidence),
    })
}

/// How far the order of two replies moves a judge that was asked about each pair in both orders.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PositionBias {
    /// The share of pairs with the same winner in both orders.
    pub consistency: f64,
    /// The share of the others.
    pub flip_rate: f64,
    /// The share in which the first reply won both times.
    pub first_preferred: f64,
    /// The share in which the second did.
    pub second_preferred: f64,
    /// The first share less the second.
    pub bias: f64,
    /// The probability of one as large, either way, if order did not matter: an exact binomial test on the flipped pairs.
    pub p: f64,
}

/// Position bias from the number of pairs with the same winner in both orders, with the first reply winning both times, and with
/// the second doing so. None without pairs.
#[must_use]
pub fn position_bias(consistent: u64, first_both: u64, second_both: u64) -> Option<PositionBias> {
    let pairs = (consistent + first_both + second_both) as f64;
    if pairs <= 0.0 {
        return None;
    }
    let share = |count: u64| count as f64 / pairs;
    Some(PositionBias {
        consistency: share(consistent),
        flip_rate: share(first_both + second_both),
        first_preferred: share(first_both),
        second_preferred: share(second_both),
        bias: (first_both as f64 - second_both as f64) / pairs,
        p: mcnemar_exact(first_both, second_both),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steadiness() {
        assert!(self_consistency(&[], 3, 0.95).is_none() && self_consistency(&[1], 1, 0.95).is_none());
        let steady = self_consistency(&[3, 0, 3, 9], 3, 0.95).unwrap();
        assert_eq!((steady.disagreement, steady.unanimous, steady.not_unanimous.lo), (0.0, 1.0, 0.0));
        // All pairs of verdicts on each reply.
        let verdicts = [[true, true, false, true], [false, false, false, true], [true; 4]];
        let mut differing = 0.0;
        for row in verdicts {
            for (place, one) in row.iter().enumerate() {
                differing += row[place + 1..].iter().filter(|other| *other != one).count() as f64;
            }
        }
        let passes = verdicts.map(|row| row.iter().filter(|pass| **pass).count() as u64);
        let found = self_consistency(&passes, 4, 0.95).unwrap();
        assert!((found.disagreement - differing / 18.0).abs() < 1e-12 && (found.unanimous - 1.0 / 3.0).abs() < 1e-12);
    }

    #[test]
    fn positions() {
        assert!(position_bias(0, 0, 0).is_none());
        let (one, other) = (position_bias(47, 41, 12).unwrap(), position_bias(47, 12, 41).unwrap());
        assert!((one.bias + other.bias).abs() < 1e-12 && (one.p - other.p).abs() < 1e-15 && one.p < 1e-3);
        assert!((position_bias(0, 5, 5).unwrap().p - 1.0).abs() < 1e-12);
    }
}
