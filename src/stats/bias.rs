//! Whether a judge is moved by what should not move it: its own dice, the place of a reply, its length.

use super::bca::quantile_of_sorted;
use super::difference::unpaired_difference;
use super::float;
use super::interval::Interval;
use super::judge_error::Share;
use super::logistic::fit;
use super::normal::normal_probability;
use super::paired::{Difference, mcnemar_exact};

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

/// A reply with the judge's verdict, and how long it is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct JudgedReply {
    /// Whether the judge passes it.
    pub judged: bool,
    /// Whether it truly passes; [`length_gap`] does not ask.
    pub truth: bool,
    /// Its length, in whatever unit, above 0.
    pub length: f64,
}

/// How far length moves a judge, at the same truth.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LengthBias {
    /// What a reply e times as long adds to the logit of a pass (γ).
    pub slope: f64,
    /// Its standard error.
    pub standard_error: f64,
    /// The slope in standard errors. Beyond ±2.6 the judge is not to be trusted with lengths that differ.
    pub z: f64,
    /// The probability of one as large, either way, without any bias.
    pub p: f64,
}

/// How far the small penalty holds coefficients back that would run off where the judge never errs.
const RIDGE: f64 = 1e-3;

/// Length bias on replies whose truth is known: `logit P(pass) = α + β · truth + γ · ln(length / median length)`, with Wald's test of γ.
/// None without replies, for lengths that are not above 0, or where all are the same.
#[must_use]
pub fn length_bias(replies: &[JudgedReply]) -> Option<LengthBias> {
    let mut lengths: Vec<f64> = replies.iter().map(|reply| reply.length).collect();
    lengths.sort_unstable_by(f64::total_cmp);
    let (shortest, longest) = (*lengths.first()?, *lengths.last()?);
    if shortest.is_nan() || shortest <= 0.0 || !longest.is_finite() || longest <= shortest {
        return None;
    }
    let median = quantile_of_sorted(&lengths, 0.5);
    let row =
        |reply: &JudgedReply| ([1.0, f64::from(u8::from(reply.truth)), float::ln(reply.length / median)], reply.judged);
    let fitted = fit(&replies.iter().map(row).collect::<Vec<_>>(), RIDGE)?;
    let (slope, standard_error) = (fitted.coefficients[2], fitted.standard_errors[2]);
    let z = slope / standard_error;
    z.is_finite().then(|| LengthBias { slope, standard_error, z, p: 2.0 * normal_probability(-z.abs()) })
}

/// Without any truth: how much more often the longest third of replies passes than the shortest. A gap has other reasons as well.
/// None for fewer than six replies, or lengths that are no numbers.
#[must_use]
pub fn length_gap(replies: &[JudgedReply], confidence: f64) -> Option<Difference> {
    if replies.len() < 6 || replies.iter().any(|reply| reply.length.is_nan()) {
        return None;
    }
    let mut sorted: Vec<&JudgedReply> = replies.iter().collect();
    sorted.sort_by(|one, other| one.length.total_cmp(&other.length));
    let third = sorted.len() / 3;
    let passed = |some: &[&JudgedReply]| (some.iter().filter(|reply| reply.judged).count() as u64, some.len() as u64);
    Some(unpaired_difference(passed(&sorted[..third]), passed(&sorted[sorted.len() - third..]), confidence))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::Random;

    #[test]
    fn lengths() {
        let replies = |slope: f64| -> Vec<JudgedReply> {
            let mut random = Random::new(7, "lengths", 0);
            (0..2_000)
                .map(|_| {
                    let (truth, length) = (random.share() < 0.6, libm::exp(3.0 + 2.0 * random.share()));
                    let logit = if truth { 1.5 } else { -1.0 } + slope * (libm::log(length) - 4.0);
                    JudgedReply { judged: random.share() < crate::stats::logistic::logistic(logit), truth, length }
                })
                .collect()
        };
        let none = length_bias(&replies(0.0)).unwrap();
        assert!(none.z.abs() < 2.6 && none.p > 0.01, "{none:?}");
        let some = length_bias(&replies(0.8)).unwrap();
        assert!(some.z > 2.6 && (some.slope - 0.8).abs() < 3.0 * some.standard_error && some.p < 0.01, "{some:?}");
        let same = [JudgedReply { judged: true, truth: true, length: 9.0 }; 9];
        assert!(length_bias(&[]).is_none() && length_bias(&same).is_none());
        assert!(length_gap(&same[..5], 0.95).is_none() && length_gap(&same, 0.95).unwrap().is_noise());
        assert!(length_gap(&replies(2.0), 0.95).unwrap().interval.lo > 0.0);
        let none_long = [JudgedReply { length: 0.0, ..same[0] }, same[0]];
        assert!(length_bias(&none_long).is_none());
    }

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
