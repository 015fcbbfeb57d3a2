//! The target of a comparison without the judge's errors, and what it leaves of what the judge's verdicts say.
//!
//! A judge that errs alike on both arms shows a difference too small, and one that favours an arm shows one that is not there. So each arm
//! is corrected by labels, as a decision is, and a verdict takes both: the judge's interval and the corrected one. Guards are left as
//! the judge sees them. Start at [`corrected`].

use super::contrast::Contrasted;
use super::differences::joined;
use super::{least_that_counts, one_sided};
use crate::data::{
    Calibration, ComparisonVerdict, CorrectedArm, CorrectedRate, CorrectedTarget, GateOutcome, LabelledArms,
    LabelsToShow, NoRegression, Rate, RateDifference,
};
use crate::spec::Compare;
use crate::stage::correct::{self, Unsure, labels_to_settle, why_unknown};
use crate::stats::{self, GateVerdict, Interval};

/// Less than any difference of rates, and more than what sums of them err by.
const NEARLY_NONE: f64 = 1e-9;

/// What people's labels say of the judge on one arm.
#[derive(Debug, Clone, Copy)]
pub struct KnownJudge<'a> {
    /// How far its verdicts are those of people.
    pub calibration: &'a Calibration,
    /// Whether the labels were made on other replies than those that are compared.
    pub transported: bool,
}

/// What a comparison came to by the judge's verdicts alone.
#[derive(Debug, Clone, Copy)]
pub(super) struct AsJudged<'a> {
    pub(super) verdict: ComparisonVerdict,
    pub(super) held: Option<&'a NoRegression>,
}

/// Corrects the target by what is known of the judge on the base and on the new arm.
pub(super) fn corrected(
    compare: &Compare,
    target: &Contrasted,
    known: [KnownJudge<'_>; 2],
    judged: AsJudged<'_>,
) -> CorrectedTarget {
    let raw = [&target.contrast.base, &target.contrast.new];
    let at = |confidence| Pair::new(raw, known, confidence);
    let (two_sided, one_sided) = (at(compare.confidence), at(one_sided(compare.confidence)));
    let n = target.contrast.difference.n;
    let arm = |side: usize| {
        let KnownJudge { calibration, transported } = known[side];
        let rate = two_sided.rates[side].clone();
        let unknown = rate.point.is_none().then(|| why_unknown(&rate, transported));
        CorrectedArm { rate, transported, unknown, distrust: calibration.distrust() }
    };
    let mut found = CorrectedTarget {
        base: arm(0),
        new: arm(1),
        difference: two_sided.difference(n),
        one_sided: one_sided.difference(n),
        verdict_as_judged: judged.verdict,
        held_as_judged: judged.held.map(|held| held.verdict),
        labels_needed: None,
    };
    found.labels_needed = match Wanting::of(compare, &found, judged) {
        Some(Wanting { edge, one_sided: false }) => two_sided.labels_to_show(edge),
        Some(Wanting { edge, one_sided: true }) => one_sided.labels_to_show(edge),
        None => None,
    };
    found
}

/// What is left of the verdict: nothing that the corrected interval does not show too.
pub(super) fn verdict(compare: &Compare, found: &CorrectedTarget) -> ComparisonVerdict {
    let CorrectedTarget { difference, one_sided, verdict_as_judged, .. } = found;
    let is_shown = match verdict_as_judged {
        ComparisonVerdict::Improved => difference.lo > compare.min_improvement,
        ComparisonVerdict::Regressed => difference.hi < 0.0,
        ComparisonVerdict::NoDifference => {
            let least = least_that_counts(compare);
            -least < one_sided.lo && one_sided.hi < least
        }
        ComparisonVerdict::Inconclusive => false,
    };
    if is_shown && found.is_trusted() { *verdict_as_judged } else { ComparisonVerdict::Inconclusive }
}

/// What is left of whether the target was held. A topic that was lost stays lost: topics are as the judge sees them.
pub(super) fn holds(compare: &Compare, found: &CorrectedTarget, held: &NoRegression) -> GateOutcome {
    let by_interval = no_worse(&found.one_sided, compare.margin);
    let is_shown = held.verdict == by_interval || (held.verdict == GateOutcome::Failed && !held.lost_topics.is_empty());
    if is_shown && found.is_trusted() { held.verdict } else { GateOutcome::Inconclusive }
}

/// What an interval says of a loss of at most `margin`.
pub(super) fn no_worse(difference: &RateDifference, margin: f64) -> GateOutcome {
    match stats::no_worse(Interval { lo: difference.lo, hi: difference.hi }, margin) {
        GateVerdict::Pass => GateOutcome::Passed,
        GateVerdict::Fail => GateOutcome::Failed,
        GateVerdict::Inconclusive => GateOutcome::Inconclusive,
    }
}

/// Both arms at one level.
struct Pair<'a> {
    raw: [&'a Rate; 2],
    known: [KnownJudge<'a>; 2],
    rates: [CorrectedRate; 2],
}

impl<'a> Pair<'a> {
    fn new(raw: [&'a Rate; 2], known: [KnownJudge<'a>; 2], confidence: f64) -> Self {
        let rate = |side: usize| {
            let KnownJudge { calibration, transported } = known[side];
            correct::corrected(raw[side], confidence, &calibration.replies, transported)
        };
        Self { raw, known, rates: [rate(0), rate(1)] }
    }

    /// The new rate less that of the base, with the limits of both squared and added (MOVER: Zou and Donner 2008, after Newcombe 1998). That
    /// takes them for independent. Where one calibration serves both arms, and where the arms answer the same scenarios, the
    /// rates err in the same direction rather than independently, so that the interval is if anything too wide.
    fn difference(&self, n: u64) -> RateDifference {
        let [base, new] = &self.rates;
        let estimate = |rate: &CorrectedRate| {
            let interval = Interval { lo: rate.lo, hi: rate.hi };
            rate.point.map(|point| stats::Estimate { point, interval })
        };
        let (point, Interval { lo, hi }) = joined(estimate(base), estimate(new));
        RateDifference {
            point,
            // A rate that was cut to [0, 1] may lie beside its interval, which widens this one.
            lo: lo.max(-1.0),
            hi: hi.min(1.0),
            confidence: base.confidence,
            method: "mover_corrected".to_owned(),
            n,
            clusters: None,
        }
    }

    /// The labels that keep the interval from reaching to the edge; none where they were made on other replies.
    fn labels_to_show(&self, edge: f64) -> Option<LabelsToShow> {
        let [base, new] = &self.rates;
        let (base_point, new_point) = (base.point?, new.point?);
        if self.known.iter().any(|known| known.transported) {
            return None;
        }
        let distance = new_point - base_point - edge;
        let halves = if distance > 0.0 {
            [base.hi - base_point, new_point - new.lo]
        } else {
            [base_point - base.lo, new.hi - new_point]
        };
        let unsure = |side: usize| Unsure {
            raw: self.raw[side],
            replies: &self.known[side].calibration.replies,
            corrected: &self.rates[side],
            half: halves[side],
        };
        let replies = labels_to_settle([unsure(0), unsure(1)], distance);
        Some(LabelsToShow { edge, replies: replies.map(|[base, new]| LabelledArms { base, new }) })
    }
}

/// Which end of the corrected interval is in the way of what the judge's verdicts show.
struct Wanting {
    /// What it must not reach to.
    edge: f64,
    one_sided: bool,
}

impl Wanting {
    /// None where nothing is in the way, where the middle of the interval lies on the wrong side of it, and for a judge that is not trusted.
    fn of(compare: &Compare, found: &CorrectedTarget, judged: AsJudged<'_>) -> Option<Self> {
        let point = found.difference.point.filter(|_| found.is_trusted())?;
        // A middle that lies on the edge but for its last digits lies on no side of it.
        let above = |edge: f64, one_sided| (point - edge > NEARLY_NONE).then_some(Self { edge, one_sided });
        let below = |edge: f64, one_sided| (edge - point > NEARLY_NONE).then_some(Self { edge, one_sided });
        if let Some(held) = judged.held {
            return match (held.verdict, holds(compare, found, held)) {
                (GateOutcome::Passed, GateOutcome::Inconclusive) => above(-compare.margin, true),
                // Nearer than the margin, more labels would show that it is held.
                (GateOutcome::Failed, GateOutcome::Inconclusive) if point <= -compare.margin => below(0.0, true),
                _ => None,
            };
        }
        if verdict(compare, found) == judged.verdict {
            return None;
        }
        let least = least_that_counts(compare);
        match judged.verdict {
            ComparisonVerdict::Improved => above(compare.min_improvement, false),
            ComparisonVerdict::Regressed => below(0.0, false),
            // The nearer end; the other is then not reached either.
            ComparisonVerdict::NoDifference if least - point.abs() > NEARLY_NONE => {
                Some(Self { edge: if point < 0.0 { -least } else { least }, one_sided: true })
            }
            ComparisonVerdict::NoDifference | ComparisonVerdict::Inconclusive => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{cases, paired, rules};
    use super::super::{GateOutcome, conclude};
    use super::*;
    use crate::data::{Comparison, Reliability, Signal};
    use crate::spec::Goal;
    use crate::stage::correct::tests::calibration;
    use crate::stats::Random;

    use ComparisonVerdict::{Improved, Inconclusive, NoDifference, Regressed};

    /// Both tables of labels: what people and judge say, for the base and for the new arm.
    type Labels = [[u64; 4]; 2];

    /// A comparison of so many pairs with labels of both arms' own replies.
    fn compared(compare: &Compare, counts: [u64; 4], labels: Labels) -> Comparison {
        let [both, gains, losses, _] = counts;
        let n = counts.iter().sum();
        let of = [calibration((both + losses, n), labels[0]), calibration((both + gains, n), labels[1])];
        let known = [0, 1].map(|at| KnownJudge { calibration: &of[at], transported: false });
        conclude(compare, paired(compare, &cases(counts, 2_000)), Vec::new(), Some(known))
    }

    fn check(found: &Comparison, judged: ComparisonVerdict, verdict: ComparisonVerdict, gate: GateOutcome) {
        let corrected = found.corrected.as_ref().unwrap();
        assert_eq!(
            (corrected.verdict_as_judged, found.verdict, found.gate),
            (judged, verdict, gate),
            "{:#?}",
            found.reasons
        );
    }

    #[test]
    fn a_judge_that_favours_the_new_arm_is_found_out() {
        let found = compared(&rules(), [650, 250, 50, 50], [[31, 3, 4, 12], [40, 2, 20, 18]]);
        check(&found, Improved, Inconclusive, GateOutcome::Inconclusive);
        let corrected = found.corrected.as_ref().unwrap();
        // The base is a reference vector, and all of it was worked out apart from this program.
        for (found, expected) in [
            (corrected.base.rate.point.unwrap(), 0.68),
            (corrected.base.rate.lo, 0.569_438),
            (corrected.base.rate.hi, 0.771_741),
            (corrected.new.rate.point.unwrap(), 0.61),
            (corrected.difference.point.unwrap(), -0.07),
            (corrected.difference.lo, -0.216_489),
            (corrected.difference.hi, 0.077_808),
        ] {
            assert!((found - expected).abs() < 1e-6, "{found} {expected}");
        }
        assert_eq!((corrected.difference.method.as_str(), corrected.difference.n), ("mover_corrected", 1_000));
        assert_eq!(corrected.labels_needed, None, "the middle lies on the other side");
        assert_eq!(
            found.reasons[..4],
            [
                "corrected for the judge's errors, as 50 labelled replies for the base and 80 for the new arm \
                 show them: the new arm passes 7.0 points fewer than the base, 61.0 % after 68.0 % (95 % interval −21.6 to +7.8 \
                 points): inconclusive",
                "as the judge sees it, uncorrected: the new arm passes 20.0 points more of 1,000 scenarios than the base, 90.0 % \
                 after 70.0 % (95 % interval +16.8 to +23.2 points): improved",
                "what counts is what both intervals show: the judge's shows an improvement, and the corrected one does not",
                "more labels would not change that unless the corrected rates move",
            ]
        );
    }

    #[test]
    fn labels_that_bear_it_out_leave_an_improvement() {
        let labels = [[110, 6, 10, 74], [132, 4, 12, 52]];
        let found = compared(&rules(), [1_100, 400, 100, 400], labels);
        check(&found, Improved, Improved, GateOutcome::Passed);
        assert_eq!(
            found.reasons[2],
            "what counts is what both intervals show: the judge's shows an improvement, and so does the corrected one"
        );
        let by_much = Compare { min_improvement: 0.1, ..rules() };
        let found = compared(&by_much, [1_100, 400, 100, 400], labels);
        check(&found, Improved, Inconclusive, GateOutcome::Inconclusive);
        let needed = found.corrected.as_ref().unwrap().labels_needed.unwrap();
        assert!((needed.edge - 0.1).abs() < 1e-12 && needed.replies.is_none(), "{needed:?}");
        assert!(found.reasons[3].starts_with("labels alone would not"), "{:#?}", found.reasons);
        // Turned round, it is a loss.
        let found = compared(&rules(), [1_100, 100, 400, 400], [labels[1], labels[0]]);
        check(&found, Regressed, Regressed, GateOutcome::Failed);
    }

    #[test]
    fn too_few_labels_say_how_many_it_takes() {
        let found = compared(&rules(), [110, 40, 10, 40], [[28, 3, 4, 25], [36, 2, 4, 18]]);
        check(&found, Improved, Inconclusive, GateOutcome::Inconclusive);
        let needed = found.corrected.as_ref().unwrap().labels_needed.unwrap();
        assert_eq!(needed.replies, Some(LabelledArms { base: 79, new: 79 }));
        assert_eq!(
            found.reasons[3],
            "if both rates stay where they are, about 79 labelled replies of the base and 79 of the new arm would make the \
             corrected interval show it too"
        );
    }

    #[test]
    fn an_equality_takes_both_intervals_too() {
        let counts = [700, 20, 20, 260];
        let perfect = [[350, 0, 0, 130], [350, 0, 0, 130]];
        check(&compared(&rules(), counts, perfect), NoDifference, NoDifference, GateOutcome::Failed);
        let found = compared(&rules(), counts, [[70, 0, 5, 30], [75, 5, 0, 25]]);
        check(&found, NoDifference, Inconclusive, GateOutcome::Inconclusive);
    }

    #[test]
    fn what_is_to_hold_must_hold_without_the_judges_errors() {
        let compare = Compare { goal: Goal::Hold, ..rules() };
        let held = |found: &Comparison| found.held.as_ref().unwrap().verdict;
        let counts = [700, 20, 20, 260];
        let found = compared(&compare, counts, [[350, 0, 0, 130], [350, 0, 0, 130]]);
        assert_eq!((held(&found), found.gate), (GateOutcome::Passed, GateOutcome::Passed), "{:#?}", found.reasons);
        // Of what the judge passes with the new arm, people fail one in ten.
        let found = compared(&compare, counts, [[350, 0, 0, 130], [315, 0, 35, 130]]);
        assert_eq!(held(&found), GateOutcome::Inconclusive);
        assert_eq!(found.gate, GateOutcome::Inconclusive);
        assert_eq!(found.corrected.as_ref().unwrap().held_as_judged, Some(GateOutcome::Passed));
        let is_told = |start: &str| found.reasons.iter().any(|reason| reason.starts_with(start));
        assert!(is_told("the target is open: corrected, it lost 7.2 points (90 % interval"), "{:#?}", found.reasons);
        assert!(is_told("as the judge sees it, uncorrected: the target held: it"), "{:#?}", found.reasons);
        assert!(
            is_told(
                "what counts is what both intervals show: the judge's shows no loss that counts, and the corrected one the contrary"
            ),
            "{:#?}",
            found.reasons
        );
        // A loss that people see too.
        let found = compared(&compare, [600, 20, 120, 260], [[350, 0, 0, 130], [350, 0, 0, 130]]);
        assert_eq!((held(&found), found.gate), (GateOutcome::Failed, GateOutcome::Failed), "{:#?}", found.reasons);
    }

    /// The judge sees a loss of ten points, people one of two: more labels would show that it is held, not that it is lost.
    #[test]
    fn no_labels_are_asked_for_that_would_show_the_contrary() {
        let compare = Compare { goal: Goal::Hold, ..rules() };
        let found = compared(&compare, [600, 20, 120, 260], [[350, 0, 0, 130], [350, 26, 0, 104]]);
        let corrected = found.corrected.as_ref().unwrap();
        assert_eq!(corrected.held_as_judged, Some(GateOutcome::Failed), "{:#?}", found.reasons);
        assert!((corrected.difference.point.unwrap() + 0.024).abs() < 1e-9, "{:?}", corrected.difference);
        assert_eq!((found.gate, corrected.labels_needed), (GateOutcome::Inconclusive, None));
        let told = "more labels would not change that unless the corrected rates move";
        assert!(found.reasons.iter().any(|reason| reason == told), "{:#?}", found.reasons);
    }

    #[test]
    fn a_judge_that_is_not_trusted_settles_nothing() {
        let red = Reliability {
            measure: "labels".to_owned(),
            value: Some(12.0),
            light: Signal::Red,
            words: "12 verdicts by people can be compared with the judge's".to_owned(),
        };
        let base = calibration((1_200, 2_000), [110, 6, 10, 74]);
        let mut new = calibration((1_500, 2_000), [132, 4, 12, 52]);
        new.lights.push(red);
        for (goal, counts) in [
            (Goal::Improve, [1_100, 400, 100, 400]),
            (Goal::Hold, [1_100, 100, 400, 400]),
            (Goal::Hold, [1_900, 0, 0, 100]),
        ] {
            let compare = Compare { goal, ..rules() };
            let known = [&base, &new].map(|calibration| KnownJudge { calibration, transported: false });
            let found = conclude(&compare, paired(&compare, &cases(counts, 2_000)), Vec::new(), Some(known));
            assert_eq!((found.verdict, found.gate), (Inconclusive, GateOutcome::Inconclusive), "{:#?}", found.reasons);
            assert_eq!(
                found.reasons[0],
                "judge not trusted on the new arm: 12 verdicts by people can be compared with the judge's"
            );
            assert!(found.reasons[1].ends_with("that decides nothing"), "{:#?}", found.reasons);
        }
    }

    #[test]
    fn an_arm_that_nobody_labelled_leaves_everything_open() {
        let found = compared(&rules(), [1_100, 400, 100, 400], [[110, 6, 10, 74], [0; 4]]);
        check(&found, Improved, Inconclusive, GateOutcome::Inconclusive);
        let corrected = found.corrected.as_ref().unwrap();
        assert_eq!((corrected.difference.point, corrected.base.unknown.as_ref()), (None, None));
        assert_eq!(
            found.reasons[0],
            "the judge's errors cannot be taken out: of the new arm, nothing is known of the judge's errors: no reply is labelled \
             on all its criteria: inconclusive"
        );
    }

    #[test]
    fn labels_on_the_base_alone_are_carried_over_to_the_new_arm() {
        let base = calibration((1_200, 2_000), [110, 6, 10, 74]);
        let known = [false, true].map(|transported| KnownJudge { calibration: &base, transported });
        let compare = Compare { min_improvement: 0.12, ..rules() };
        let found =
            conclude(&compare, paired(&compare, &cases([1_100, 400, 100, 400], 2_000)), Vec::new(), Some(known));
        let corrected = found.corrected.as_ref().unwrap();
        assert_eq!(corrected.base.rate.method, "poststratified_wilson");
        assert_eq!((corrected.new.rate.method.as_str(), corrected.new.transported), ("lang_reiczigel", true));
        check(&found, Improved, Inconclusive, GateOutcome::Inconclusive);
        assert_eq!(corrected.labels_needed, None);
        assert!(found.reasons[0].contains("and 200, made on another model's, for the new arm show them"));
        assert!(
            found.reasons[3].starts_with("labels on the replies of the new arm themselves"),
            "{:#?}",
            found.reasons
        );
    }

    /// One arm: how many of so many truly pass, and how a judge errs on them.
    #[derive(Clone, Copy)]
    struct Arm {
        truth: f64,
        sensitivity: f64,
        specificity: f64,
    }

    /// What a judge passes of 400 replies, and what people say of 50 of each of its verdicts, drawn at random: each of them truly passes as
    /// often as any with that verdict.
    fn drawn(random: &mut Random, Arm { truth, sensitivity, specificity }: Arm) -> (u64, [u64; 4]) {
        let passed = truth * sensitivity + (1.0 - truth) * (1.0 - specificity);
        let judged = random.binomial(400, passed);
        let mut labelled = |of: u32, passes: f64| {
            let labels = of.min(50);
            let truly = random.binomial(labels, passes);
            (u64::from(truly), u64::from(labels - truly))
        };
        let (both_pass, wrongly_passed) = labelled(judged, truth * sensitivity / passed);
        let (wrongly_failed, both_fail) = labelled(400 - judged, truth * (1.0 - sensitivity) / (1.0 - passed));
        (u64::from(judged), [both_pass, wrongly_failed, wrongly_passed, both_fail])
    }

    /// How often the raw and the corrected interval hold the true difference. `shared`: the labels of the base serve both arms.
    fn coverage(purpose: &str, base: Arm, new: Arm, shared: bool) -> [f64; 2] {
        const RUNS: u64 = 4_000;
        let (truth, mut held) = (new.truth - base.truth, [0_u32; 2]);
        for run in 0..RUNS {
            let mut random = Random::new(5, purpose, run);
            let arms = [base, new].map(|arm| drawn(&mut random, arm));
            let of = arms.map(|(judged, labels)| calibration((judged, 400), labels));
            let raw = arms.map(|(judged, _)| {
                let Interval { lo, hi } = stats::wilson(judged as f64, 400.0, 0.95);
                let point = Some(judged as f64 / 400.0);
                Rate {
                    point,
                    lo,
                    hi,
                    confidence: 0.95,
                    method: "wilson".to_owned(),
                    passed: judged,
                    n: 400,
                    clustered: None,
                }
            });
            let own = |at: usize| KnownJudge { calibration: &of[at], transported: false };
            let other = KnownJudge { calibration: &of[0], transported: true };
            let known = [own(0), if shared { other } else { own(1) }];
            let corrected = Pair::new([&raw[0], &raw[1]], known, 0.95).difference(400);
            let unpaired = stats::unpaired_difference((raw[0].passed, 400), (raw[1].passed, 400), 0.95).interval;
            let holds = |lo: f64, hi: f64| u32::from(lo <= truth && truth <= hi);
            held[0] += holds(unpaired.lo, unpaired.hi);
            held[1] += holds(corrected.lo, corrected.hi);
        }
        held.map(|held| f64::from(held) / RUNS as f64)
    }

    #[test]
    fn the_corrected_interval_holds_the_truth_where_the_raw_one_misleads() {
        // The least is the nominal level less one point.
        let least = 0.94;
        let strict = |truth| Arm { truth, sensitivity: 0.85, specificity: 0.9 };
        let lenient = |truth| Arm { truth, sensitivity: 0.97, specificity: 0.6 };
        for (base, new) in [
            // It favours the new arm where there is no difference, and hides a loss; and it favours the base.
            (strict(0.6), lenient(0.6)),
            (strict(0.7), lenient(0.55)),
            (lenient(0.6), strict(0.75)),
            // It is as lenient with both, so that an improvement looks smaller than it is.
            (lenient(0.4), lenient(0.8)),
        ] {
            let [raw, corrected] = coverage("favour", base, new, false);
            assert!(raw < 0.6 && corrected >= least, "{} {}: {raw} {corrected}", base.truth, new.truth);
        }
        let [raw, corrected] = coverage("carried over", lenient(0.4), lenient(0.8), true);
        assert!(raw < 0.6 && corrected >= least, "carried over: {raw} {corrected}");
        // What no labels on the base alone can see.
        let [_, blind] = coverage("blind", strict(0.6), lenient(0.6), true);
        assert!(blind < 0.5, "{blind}");
    }
}
