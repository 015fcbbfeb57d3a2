//! From an interval to an outcome, and how many scenarios an outcome takes.

use super::effective::share_interval;
use super::interval::{Interval, wilson};
use super::normal::two_sided_z;
use crate::data::{Outcome, Thresholds};

/// The largest number of scenarios worth telling anybody.
const MOST: u64 = 1_000_000;

/// The outcome at one exact pass rate: what the point estimate would say. Never a decision.
#[must_use]
pub fn outcome_at(rate: f64, thresholds: &Thresholds) -> Outcome {
    if rate >= thresholds.deploy {
        Outcome::Deploy
    } else if rate >= thresholds.fine_tune {
        Outcome::FineTune
    } else {
        Outcome::FullPipeline
    }
}

/// The outcomes whose bands the interval touches, best first; never empty. A threshold belongs to the band above it.
#[must_use]
pub fn possible_outcomes(interval: Interval, thresholds: &Thresholds) -> Vec<Outcome> {
    let best = outcome_at(interval.hi, thresholds);
    let worst = outcome_at(interval.lo, thresholds);
    [Outcome::Deploy, Outcome::FineTune, Outcome::FullPipeline]
        .into_iter()
        .filter(|outcome| (best..=worst).contains(outcome))
        .collect()
}

/// The outcome that the whole interval agrees on, or [`Outcome::Inconclusive`] where it spans a threshold.
///
/// `lo ≥ deploy`: deploy; `hi < fine_tune`: full pipeline; `lo ≥ fine_tune` and `hi < deploy`: fine-tune. With a two-sided
/// interval of 95 %, each wrong crossing of one threshold has a probability of at most about 2.5 %.
#[must_use]
pub fn outcome_by_interval(interval: Interval, thresholds: &Thresholds) -> Outcome {
    match possible_outcomes(interval, thresholds)[..] {
        [only] => only,
        _ => Outcome::Inconclusive,
    }
}

/// Whether the interval lies on one side of the threshold, by the rule of [`outcome_by_interval`].
fn excludes(interval: Interval, threshold: f64) -> bool {
    interval.lo >= threshold || interval.hi < threshold
}

/// The fewest scenarios, `n` or more, whose Wilson interval would leave `threshold` outside if the rate stayed at `k / n`.
///
/// Half of all further runs settle it with fewer and half with more, since the rate will not stay put. None if no number
/// up to a million would do (as where the rate is the threshold), and none for `n = 0`.
#[must_use]
pub fn n_to_decide_wilson(k: u64, n: u64, threshold: f64, confidence: f64) -> Option<u64> {
    if n == 0 {
        return None;
    }
    let rate = k as f64 / n as f64;
    fewest(n, MOST, |n| excludes(wilson(rate * n as f64, n as f64, confidence), threshold))
}

/// The fewest clusters that would leave `threshold` outside, if the rate and the design effect stayed where they are, and each
/// cluster told as much about it as now: `n_eff` independent rows, and `degrees` of freedom, are what all of them are worth.
#[must_use]
pub fn n_to_decide_clustered(
    rate: f64,
    n_eff: f64,
    degrees: f64,
    clusters: u64,
    threshold: f64,
    confidence: f64,
) -> Option<u64> {
    if clusters == 0 || n_eff < 1.0 {
        return None;
    }
    let each = |whole: f64| whole / clusters as f64;
    // Of what clusters tell of their variance, one takes the mean.
    let degrees = degrees / (clusters as f64 - 1.0).max(1.0);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a number of clusters")]
    let most = (MOST as f64 / each(n_eff)) as u64;
    let settled = |clusters: u64| {
        let degrees = (degrees * (clusters as f64 - 1.0)).max(1.0);
        excludes(share_interval(rate, each(n_eff) * clusters as f64, degrees, confidence), threshold)
    };
    fewest(clusters + 1, most, settled)
}

/// The fewest, from `n` on, with which it is settled; none if `most` do not settle it.
fn fewest(n: u64, most: u64, settled: impl Fn(u64) -> bool) -> Option<u64> {
    if settled(n) {
        return Some(n);
    }
    let mut open = n;
    let mut enough = n;
    while !settled(enough) {
        if enough >= most {
            return None;
        }
        open = enough;
        enough = enough.saturating_mul(2).min(most);
    }
    while enough - open > 1 {
        let middle = open + (enough - open) / 2;
        if settled(middle) {
            enough = middle;
        } else {
            open = middle;
        }
    }
    Some(enough)
}

/// The fewest scenarios with which [`Outcome::FineTune`] can be decided at all: with which some number of passes has an
/// interval between the two thresholds. None if no number up to a million would do.
///
/// A run with fewer is a screening: it can find a model good or bad, but nothing in between.
#[must_use]
pub fn least_to_decide_between(thresholds: &Thresholds, confidence: f64) -> Option<u64> {
    let Thresholds { deploy, fine_tune } = *thresholds;
    let z = two_sided_z(confidence);
    let spread = |t: f64| (t * (1.0 - t)).sqrt();
    // With k a real number the score test gives the bound in closed form; whole k need a little more.
    let root = z * (spread(fine_tune) + spread(deploy)) / (deploy - fine_tune);
    let bound = root * root;
    if !(0.0..=MOST as f64).contains(&bound) {
        return None;
    }
    #[expect(clippy::cast_possible_truncation, reason = "checked to be at most a million")]
    let start = (bound as u64).max(1);
    (start..=MOST).find(|&n| {
        let size = n as f64;
        let least = (size * fine_tune + z * spread(fine_tune) * size.sqrt()).floor();
        // The closed form may be one off by rounding, so the interval itself is asked about the neighbours.
        [least, least + 1.0]
            .into_iter()
            .any(|k| k <= size && outcome_by_interval(wilson(k, size, confidence), thresholds) == Outcome::FineTune)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const USUAL: Thresholds = Thresholds { deploy: 0.7, fine_tune: 0.5 };

    #[test]
    fn a_threshold_belongs_to_the_band_above() {
        use Outcome::{Deploy, FineTune, FullPipeline};
        for (lo, hi, expected) in [
            (0.7, 1.0, &[Deploy][..]),
            (0.7, 0.7, &[Deploy]),
            (0.5, 0.7, &[Deploy, FineTune]),
            (0.5, 0.699, &[FineTune]),
            (0.499, 0.5, &[FineTune, FullPipeline]),
            (0.0, 0.499, &[FullPipeline]),
            (0.0, 1.0, &[Deploy, FineTune, FullPipeline]),
        ] {
            let interval = Interval { lo, hi };
            assert_eq!(possible_outcomes(interval, &USUAL), expected, "{lo} {hi}");
            let outcome = outcome_by_interval(interval, &USUAL);
            assert_eq!(outcome, if let [only] = expected { *only } else { Outcome::Inconclusive }, "{lo} {hi}");
        }
    }

    #[test]
    fn how_many_more() {
        for (k, n, threshold, expected) in [
            (0, 0, 0.5, None),
            (35, 50, 0.7, None),
            (0, 1, 0.5, Some(4)),
            (1, 1, 0.5, Some(4)),
            (1, 1, 0.7, Some(9)),
            (45, 50, 0.7, Some(50)),
            (700_001, 1_000_000, 0.7, None),
            (800_000_000, 1_000_000_000, 0.7, Some(1_000_000_000)),
        ] {
            assert_eq!(n_to_decide_wilson(k, n, threshold, 0.95), expected, "{k}/{n} {threshold}");
        }
    }

    #[test]
    fn a_screening_cannot_say_fine_tune() {
        assert_eq!(least_to_decide_between(&USUAL, 0.95), Some(91));
        for n in 1..91_u32 {
            let n = f64::from(n);
            let mut k = 0.0;
            while k <= n {
                assert_ne!(outcome_by_interval(wilson(k, n, 0.95), &USUAL), Outcome::FineTune, "{k}/{n}");
                k += 1.0;
            }
        }
        assert_eq!(outcome_by_interval(wilson(55.0, 91.0, 0.95), &USUAL), Outcome::FineTune);
        assert_eq!(least_to_decide_between(&Thresholds { deploy: 0.5, fine_tune: 0.4999 }, 0.95), None);
    }

    proptest! {
        #[test]
        fn one_more_pass_never_moves_the_band_down(n in 1_u32..800, confidence in 0.5..0.999_f64) {
            let outcomes = |k: u32| possible_outcomes(wilson(f64::from(k), f64::from(n), confidence), &USUAL);
            for k in 0..n {
                let (now, then) = (outcomes(k), outcomes(k + 1));
                prop_assert!(then[0] <= now[0] && then[then.len() - 1] <= now[now.len() - 1], "{k}/{n}");
            }
        }

        #[test]
        fn the_search_agrees_with_the_closed_form(n in 1_u64..500, share in 0.0..=1.0_f64, threshold in 0.05..0.95_f64) {
            let k = (0..=n).rfind(|k| *k as f64 <= share * n as f64).unwrap();
            let (rate, z) = (k as f64 / n as f64, two_sided_z(0.95));
            let exact = z * z * threshold * (1.0 - threshold) / ((rate - threshold) * (rate - threshold));
            match n_to_decide_wilson(k, n, threshold, 0.95) {
                None => prop_assert!(exact > 999_999.0),
                Some(found) => {
                    prop_assert!(found >= n && found as f64 >= exact - 1e-6 * exact - 1e-6);
                    prop_assert!(found == n || (found - 1) as f64 <= exact + 1e-6 * exact);
                }
            }
        }
    }
}
