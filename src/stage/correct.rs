//! A pass rate as a judge sees it, with the judge's errors taken out as the labels of people show them.
//!
//! Owns which correction fits, and how many labels would make its interval narrow enough; the formulas are `stats`'. Labels on the very
//! replies that the rate is of are weighed by verdict; those on the replies of another model tell of the judge's errors alone, which
//! costs width. What follows for a decision or a comparison is theirs to say. Start at [`corrected`].

use super::calibrate::among;
use crate::data::{Compared, Confusion, CorrectedRate, LabelledShare, Rate};
use crate::stats::text::thousands;
use crate::stats::{self, Estimate, Interval, SampledClusters, Share, Target, VerdictLabels, WeightedShare};

/// One rate as the judge sees it, corrected, with an interval of this level. `transported` says that the labels were made on other
/// replies than those that the rate is of.
pub(super) fn corrected(raw: &Rate, confidence: f64, compared: &Compared, transported: bool) -> CorrectedRate {
    let [among_passed, among_failed] = by_verdict(&compared.table);
    let labels = VerdictLabels { judged: Share { count: raw.passed, of: raw.n }, among_passed, among_failed };
    let sampled = sampled(raw);
    let n_eff = sampled.map_or(raw.n as f64, |sampled| sampled.n_eff);
    let estimate = if transported {
        // The formula takes the normal quantile; what clusters leave unsure beyond that is as if there were fewer rows.
        let n_eff =
            sampled.map_or(n_eff, |sampled| stats::n_eff_at_normal_quantile(n_eff, sampled.degrees, confidence));
        let there = Share { count: compared.judged_passed, of: compared.judged };
        stats::errors_by_verdict(&VerdictLabels { judged: there, ..labels }).and_then(|(passes, fails)| {
            let judged = WeightedShare { count: labels.judged.rate()? * n_eff, of: n_eff };
            stats::lang_reiczigel_weighted(judged, passes, fails, confidence)
        })
    } else if compared.table.n() == 0 {
        None
    } else {
        match sampled {
            Some(sampled) => stats::poststratified_clustered(&labels, sampled, confidence),
            None => stats::poststratified(&labels, confidence, Target::Population),
        }
    };
    let nothing = Interval { lo: 0.0, hi: 1.0 };
    let Interval { lo, hi } = estimate.map_or(nothing, |Estimate { point: _, interval }| interval);
    let labelled = |share: Share| LabelledShare { passed: share.count, labelled: share.of };
    CorrectedRate {
        point: estimate.map(|estimate| estimate.point),
        lo,
        hi,
        confidence,
        method: if transported { "lang_reiczigel" } else { "poststratified_wilson" }.to_owned(),
        n: raw.n,
        n_eff,
        among_passed: labelled(among_passed),
        among_failed: labelled(among_failed),
    }
}

/// What the rows of a rate are worth where they come in clusters.
fn sampled(raw: &Rate) -> Option<SampledClusters> {
    raw.clustered.map(|clustered| SampledClusters {
        n_eff: clustered.n_eff,
        clusters: clustered.number(),
        degrees: clustered.degrees,
    })
}

/// What the table says of labelled replies, by the verdict of the judge.
fn by_verdict(table: &Confusion) -> [Share; 2] {
    let Confusion { both_pass, wrongly_failed, wrongly_passed, both_fail } = *table;
    [
        Share { count: both_pass, of: both_pass + wrongly_passed },
        Share { count: wrongly_failed, of: wrongly_failed + both_fail },
    ]
}

/// Why a rate without a point could not be corrected.
pub(super) fn why_unknown(rate: &CorrectedRate, transported: bool) -> String {
    let whose = if transported { " of another model" } else { "" };
    match rate.labelled() {
        0 => format!("nothing is known of the judge's errors: no reply{whose} is labelled on all its criteria"),
        labelled => format!("what {}{whose} tell of the judge's errors corrects nothing", labelled_replies(labelled)),
    }
}

/// `1 labelled reply`, `80 labelled replies`
pub(super) fn labelled_replies(number: u64) -> String {
    format!("{} labelled {}", thousands(number), if number == 1 { "reply" } else { "replies" })
}

/// A rate that was corrected by labels of its own replies, and how unsure that leaves it on the side that counts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Unsure<'a> {
    /// As the judge sees it.
    pub(super) raw: &'a Rate,
    /// What people say of the replies.
    pub(super) replies: &'a Compared,
    /// The rate without the judge's errors.
    pub(super) corrected: &'a CorrectedRate,
    /// From the corrected rate to the end of its interval.
    pub(super) half: f64,
}

impl Unsure<'_> {
    fn judged(&self) -> Share {
        Share { count: self.raw.passed, of: self.raw.n }
    }

    /// The part of the squared half-width that no label takes away: what sampling leaves uncertain, on its worse side.
    fn by_sampling(&self) -> Option<f64> {
        let [among_passed, among_failed] = by_verdict(&self.replies.table);
        let labels = VerdictLabels { judged: self.judged(), among_passed, among_failed };
        let [below, above] = stats::left_by_sampling(&labels, sampled(self.raw), self.corrected.confidence)?;
        Some(below.max(above))
    }
}

/// The labelled replies, of each rate, that bring the interval of all of them taken together (a rate, or a difference of two that are
/// independent) to this distance from its middle, with as few labels as can be. None where labels alone do not.
pub(super) fn labels_to_settle<const N: usize>(rates: [Unsure<'_>; N], distance: f64) -> Option<[u64; N]> {
    let (mut sampling, mut by_labels, mut spreads) = (0.0, 0.0, [0.0; N]);
    for (rate, spread) in rates.iter().zip(&mut spreads) {
        let own = rate.by_sampling()?;
        let (passed, failed) = among(&rate.replies.table);
        sampling += own;
        by_labels += (rate.half * rate.half - own).max(0.0);
        *spread = stats::label_spread(rate.judged(), passed, failed)?;
    }
    let left = distance * distance - sampling;
    if left <= 0.0 {
        return None;
    }
    let all: f64 = spreads.iter().sum();
    let mut needed = [0; N];
    for ((rate, spread), needed) in rates.iter().zip(spreads).zip(&mut needed) {
        let (passed, failed) = among(&rate.replies.table);
        // In proportion to how much its labels vary, the least of all ways to spread them takes the fewest.
        let part = if all > 0.0 { left * (spread / all) } else { left };
        let planned = if spread > 0.0 {
            stats::labels_needed(rate.judged(), passed, failed, part.sqrt(), rate.corrected.confidence)?
        } else {
            0
        };
        // The plan takes labels to be spread at their best and many; as they are spread, the interval narrows with their root.
        let labelled = rate.corrected.labelled() as f64;
        #[expect(clippy::cast_possible_truncation, reason = "saturates, and is then more than there are replies")]
        let scaled = (labelled * by_labels / left).ceil() as u64;
        *needed = planned.max(scaled);
        if *needed > rate.raw.n {
            return None;
        }
    }
    Some(needed)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::data::{Calibration, CriterionCompared, LabelCounts, Measured, RepliesLeftOut};
    use crate::ids::CriterionId;

    fn compared(judged: (u64, u64), [both_pass, wrongly_failed, wrongly_passed, both_fail]: [u64; 4]) -> Compared {
        Compared {
            judged_passed: judged.0,
            judged: judged.1,
            table: Confusion { both_pass, wrongly_failed, wrongly_passed, both_fail },
            not_compared: 0,
            agreement: None,
            kappa: None,
            ac1: None,
            sensitivity: None,
            specificity: None,
            informedness: None::<Measured>,
        }
    }

    /// What labels say of a judge of one criterion that passed so many of so many.
    pub(in crate::stage) fn calibration(judged: (u64, u64), table: [u64; 4]) -> Calibration {
        let criterion = CriterionId::new("kind").unwrap();
        Calibration {
            labels: LabelCounts::default(),
            confidence: 0.95,
            verdicts: compared(judged, table),
            replies: compared(judged, table),
            replies_left_out: RepliesLeftOut::default(),
            criteria: vec![CriterionCompared { criterion, compared: compared(judged, table) }],
            between_labellers: None,
            steadiness: None,
            length: None,
            beside: None,
            lights: Vec::new(),
            floor: Vec::new(),
            needed: Vec::new(),
        }
    }

    fn rate(passed: u64, n: u64) -> Rate {
        let Interval { lo, hi } = stats::wilson(passed as f64, n as f64, 0.95);
        let point = Some(passed as f64 / n as f64);
        Rate { point, lo, hi, confidence: 0.95, method: "wilson".to_owned(), passed, n, clustered: None }
    }

    #[test]
    fn labels_for_a_difference_are_spread_over_both_rates() {
        let raw = [rate(120, 200), rate(150, 200)];
        let known = [calibration((120, 200), [28, 3, 4, 25]), calibration((150, 200), [36, 2, 4, 18])];
        let [base, new] = [0, 1].map(|at| corrected(&raw[at], 0.95, &known[at].replies, false));
        // By the formulas, worked out apart from this program: 0.5679 (0.4573–0.6633) and 0.7000 (0.5895–0.7830).
        let distance = new.point.unwrap() - base.point.unwrap();
        assert!((distance - 0.132_142_857).abs() < 1e-9, "{distance}");
        let halves = [base.hi - base.point.unwrap(), new.point.unwrap() - new.lo];
        let unsure =
            |at: usize, corrected, half| Unsure { raw: &raw[at], replies: &known[at].replies, corrected, half };
        let rates = [unsure(0, &base, halves[0]), unsure(1, &new, halves[1])];
        assert_eq!(labels_to_settle(rates, distance), Some([79, 79]));
        assert_eq!(labels_to_settle(rates, 0.1), Some([197, 197]));
        // More labels than there are replies, and what sampling alone leaves open.
        assert_eq!(labels_to_settle(rates, 0.09), None);
        assert_eq!(labels_to_settle(rates, 0.05), None);
        // Of a rate alone it is more than its part of the difference asks for.
        let alone = labels_to_settle([unsure(0, &base, halves[0])], distance).unwrap();
        assert!(alone[0] < 79, "{alone:?}");
    }

    #[test]
    fn nothing_is_said_of_what_nobody_labelled() {
        let known = calibration((5, 10), [0; 4]);
        let found = corrected(&rate(5, 10), 0.95, &known.replies, false);
        assert_eq!(found.point, None);
        assert_eq!(
            why_unknown(&found, true),
            "nothing is known of the judge's errors: no reply of another model is labelled on all its criteria"
        );
        let known = calibration((5, 10), [3, 0, 1, 0]);
        let found = corrected(&rate(5, 10), 0.95, &known.replies, true);
        assert_eq!(why_unknown(&found, false), "what 4 labelled replies tell of the judge's errors corrects nothing");
    }
}
