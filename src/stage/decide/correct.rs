//! Takes the judge's errors out of a decision, as the labels of people show them.
//!
//! Owns what becomes of the outcome and the sentences that say it; the corrected rates are [`crate::stage::correct`]'s. Start at
//! [`correct`].

use super::reasons::{gate_sentence, interval_sentence, more_sentence, screening_sentence, spanned};
use super::{Rules, has_too_few_clusters};
use crate::data::{Calibration, Corrected, CorrectedCriterion, CorrectedRate, Decision, LabelsToSettle, Outcome};
use crate::stage::correct::{Unsure, corrected, labelled_replies, labels_to_settle, why_unknown};
use crate::stats::text::{percents, round_percent};
use crate::stats::{self, Interval};

/// Corrects a decision by what is known of its judge: from then on the corrected interval decides, and nothing does where the
/// judge is not to be trusted. `transported` says that the labels were made on other replies than those that are decided on.
pub(super) fn correct(decision: &mut Decision, rules: &Rules, calibration: &Calibration, transported: bool) {
    let confidence = decision.rate.confidence;
    let rate = corrected(&decision.rate, confidence, &calibration.replies, transported);
    let criteria = calibration.criteria.iter().filter_map(|of| {
        let raw = &decision.criteria.iter().find(|summary| summary.criterion == of.criterion)?.rate;
        Some(CorrectedCriterion {
            criterion: of.criterion.clone(),
            rate: corrected(raw, raw.confidence, &of.compared, transported),
        })
    });
    let criteria = criteria.collect();
    let distrust = calibration.distrust();
    let interval = Interval { lo: rate.lo, hi: rate.hi };
    let settled_before = settling_sentences(decision, rules);
    let is_open = decision.outcome == Outcome::Blocked || has_too_few_clusters(&decision.rate);
    if !is_open {
        decision.outcome = match distrust.as_slice() {
            [] => stats::outcome_by_interval(interval, &decision.thresholds),
            _ => Outcome::Inconclusive,
        };
        decision.possible = match distrust.as_slice() {
            [] => stats::possible_outcomes(interval, &decision.thresholds),
            _ => vec![Outcome::Deploy, Outcome::FineTune, Outcome::FullPipeline],
        };
    }
    decision.point_outcome = rate.point.map(|point| stats::outcome_at(point, &decision.thresholds));
    decision.more.clear();
    if let Some(gate) = &mut decision.gate {
        gate.passed = super::reaches(decision.outcome, gate.least);
    }
    let spanned = spanned(&decision.thresholds, interval);
    let labels_needed = match (transported, decision.outcome == Outcome::Inconclusive && distrust.is_empty()) {
        (false, true) => {
            let needed = |threshold: &f64| LabelsToSettle {
                threshold: *threshold,
                replies: settling(decision, calibration, &rate, *threshold),
            };
            spanned.iter().map(needed).collect()
        }
        _ => Vec::new(),
    };
    let corrected = Corrected { rate, criteria, transported, distrust, labels_needed };
    decision.reasons = reasons(decision, rules, &corrected, &spanned, &settled_before, is_open);
    decision.corrected = Some(corrected);
}

/// The labelled replies that bring an end of the interval to the threshold.
fn settling(decision: &Decision, calibration: &Calibration, rate: &CorrectedRate, threshold: f64) -> Option<u64> {
    let point = rate.point?;
    let half = if point < threshold { rate.hi - point } else { point - rate.lo };
    let rates = [Unsure { raw: &decision.rate, replies: &calibration.replies, corrected: rate, half }];
    labels_to_settle(rates, point - threshold).map(|[replies]| replies)
}

/// What the raw interval alone would have settled, as the decision says it.
fn settling_sentences(decision: &Decision, rules: &Rules) -> Vec<String> {
    let Decision { outcome, more, rate, .. } = decision;
    let spanned = spanned(&rules.thresholds, Interval { lo: rate.lo, hi: rate.hi });
    let mut sentences = vec![interval_sentence(*outcome, &spanned, rules)];
    sentences.extend(more.iter().map(|more| more_sentence(more, rules)));
    sentences.extend(screening_sentence(*outcome, rate, rules));
    sentences.extend(decision.gate.map(gate_sentence));
    sentences
}

fn reasons(
    decision: &Decision,
    rules: &Rules,
    corrected: &Corrected,
    spanned: &[f64],
    settled_before: &[String],
    is_open: bool,
) -> Vec<String> {
    let Corrected { rate, criteria: _, transported, distrust, labels_needed } = corrected;
    let mut reasons = Vec::new();
    // What blocked the decision comes first, as before.
    let mut before = decision.reasons.iter().filter(|reason| !settled_before.contains(reason)).cloned();
    if decision.outcome == Outcome::Blocked {
        reasons.extend(before.next());
    }
    if !distrust.is_empty() {
        reasons.push(format!("judge not trusted: {}", distrust.join("; ")));
    }
    reasons.push(rate_sentence(rate, *transported, &[decision.thresholds.deploy, decision.thresholds.fine_tune]));
    if !is_open && distrust.is_empty() {
        reasons.push(interval_sentence(decision.outcome, spanned, rules));
        reasons.extend(labels_needed.iter().map(needed_sentence));
        if *transported && decision.outcome == Outcome::Inconclusive {
            reasons.push("labels on replies of this very run would narrow the interval".to_owned());
        }
    }
    let mut raw: Vec<String> = before.collect();
    if let Some(first) = raw.first_mut().filter(|_| decision.rate.point.is_some()) {
        *first = format!("as the judge sees it, uncorrected: {first}");
    }
    reasons.extend(raw);
    reasons.extend(decision.gate.map(gate_sentence));
    reasons
}

fn rate_sentence(rate: &CorrectedRate, transported: bool, edges: &[f64]) -> String {
    let Some(point) = rate.point else { return why_unknown(rate, transported) };
    let whose = if transported { " of another model" } else { "" };
    let [point, lo, hi] = percents([point, rate.lo, rate.hi], edges);
    format!(
        "corrected for the judge's errors, as {}{whose} show them: {point} % pass ({} {} interval \
         {lo}–{hi} %)",
        labelled_replies(rate.labelled()),
        round_percent(rate.confidence),
        if transported { "Lang–Reiczigel" } else { "post-stratified Wilson" },
    )
}

fn needed_sentence(needed: &LabelsToSettle) -> String {
    let threshold = round_percent(needed.threshold);
    match needed.replies {
        Some(replies) => format!(
            "if the rate stays where it is, about {} would settle it against {threshold}",
            labelled_replies(replies)
        ),
        None => format!("labels alone would not settle it against {threshold}: more scenarios are needed too"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{FloorBound, Grade, GroupSummary, Judged, LabelledShare, Reliability, Signal, VerdictKind};
    use crate::spec;
    use crate::stage::correct::tests::calibration;
    use crate::stage::decide::Tally;
    use crate::stage::decide::tests::{row, rubric, rules};

    fn correct(decision: &mut Decision, calibration: &Calibration, transported: bool) {
        super::correct(decision, &Rules::of(&rules(None)), calibration, transported);
    }

    /// A decision over replies that the judge passed and failed; each fails its one criterion where it fails.
    fn decided(passed: u64, failed: u64, clusters: bool, gate: Option<spec::Gate>) -> Decision {
        let judged = (0..passed + failed).map(|at| {
            // Spread evenly, so that clusters are alike.
            let is_pass = (at + 1) * passed / (passed + failed) > at * passed / (passed + failed);
            let (grade, verdict) =
                if is_pass { (Grade::Pass, VerdictKind::Pass) } else { (Grade::Fail, VerdictKind::Fail) };
            let scenario = if clusters { at / 2 } else { at };
            let mut row = row(&format!("t/{scenario}"), "terse", grade, Some(0.5), &[("kind", verdict)]);
            row.repetition = if clusters { u32::try_from(at % 2).unwrap() } else { 0 };
            row
        });
        let judged: Vec<Judged> = judged.collect();
        let rubric = rubric(&judged.iter().collect::<Vec<_>>());
        let mut tally = Tally::new(&rules(gate), &rubric);
        judged.iter().for_each(|row| tally.add(row));
        tally.finish()
    }

    fn check(mut decision: Decision, calibration: &Calibration, transported: bool, outcome: Outcome, reasons: &[&str]) {
        correct(&mut decision, calibration, transported);
        assert_eq!(decision.outcome, outcome, "{:?}", decision.reasons);
        assert_eq!(decision.reasons, reasons);
    }

    #[test]
    fn the_rates_are_those_of_the_reference_vectors() {
        let mut decision = decided(700, 300, false, None);
        correct(&mut decision, &calibration((700, 1000), [31, 3, 4, 12]), false);
        let Corrected { rate, criteria, .. } = decision.corrected.as_ref().unwrap();
        for rate in [rate, &criteria[0].rate] {
            assert_eq!(rate.method, "poststratified_wilson");
            assert!((rate.point.unwrap() - 0.68).abs() < 1e-9, "{rate:?}");
            assert!((rate.lo - 0.569_438).abs() < 1e-6 && (rate.hi - 0.771_741).abs() < 1e-6, "{rate:?}");
            assert_eq!(rate.among_passed, LabelledShare { passed: 31, labelled: 35 });
            assert_eq!(rate.among_failed, LabelledShare { passed: 3, labelled: 15 });
        }
        assert_eq!(decision.deciding().point, rate.point);
        assert!((decision.rate.point.unwrap() - 0.7).abs() < 1e-12, "the raw rate stays");
    }

    #[test]
    fn the_corrected_interval_decides() {
        check(
            decided(900, 100, false, None),
            &calibration((900, 1000), [40, 2, 20, 18]),
            false,
            Outcome::Inconclusive,
            &[
                "corrected for the judge's errors, as 80 labelled replies show them: 61.0 % pass (95 % post-stratified Wilson \
                 interval 49.6–70.8 %)",
                "the interval spans the deploy threshold of 70 % and the fine-tune threshold of 50 %, so the decision is open",
                "if the rate stays where it is, about 102 labelled replies would settle it against 70 %",
                "if the rate stays where it is, about 87 labelled replies would settle it against 50 %",
                "as the judge sees it, uncorrected: 900 of 1,000 graded scenarios pass: 90.0 % (95 % Wilson interval \
                 88.0–91.7 %)",
            ],
        );
        check(
            decided(900, 100, false, Some(spec::Gate::FineTune)),
            &calibration((900, 1000), [4, 2, 56, 18]),
            false,
            Outcome::FullPipeline,
            &[
                "corrected for the judge's errors, as 80 labelled replies show them: 7.0 % pass (95 % post-stratified Wilson \
                 interval 3.3–15.6 %)",
                "the whole interval lies below the fine-tune threshold of 50 %",
                "as the judge sees it, uncorrected: 900 of 1,000 graded scenarios pass: 90.0 % (95 % Wilson interval \
                 88.0–91.7 %)",
                "the gate asks for `fine_tune` or better: not passed",
            ],
        );
    }

    #[test]
    fn labels_alone_cannot_settle_what_sampling_leaves_open() {
        let mut decision = decided(36, 14, false, None);
        correct(&mut decision, &calibration((36, 50), [30, 0, 0, 10]), false);
        let needed = &decision.corrected.as_ref().unwrap().labels_needed;
        assert_eq!(needed.iter().map(|needed| (needed.threshold, needed.replies)).collect::<Vec<_>>(), [(0.7, None)]);
        assert!(decision.more.is_empty());
    }

    #[test]
    fn a_judge_that_is_not_trusted_decides_nothing() {
        let mut untrusted = calibration((900, 1000), [40, 2, 1, 18]);
        untrusted.lights = vec![Reliability {
            measure: "labels".to_owned(),
            value: Some(12.0),
            light: Signal::Red,
            words: "12 verdicts by people can be compared with the judge's".to_owned(),
        }];
        untrusted.floor = vec![FloorBound { measure: "kappa".to_owned(), least: 0.6, found: Some(0.599), met: false }];
        let mut decision = decided(990, 10, false, Some(spec::Gate::FineTune));
        correct(&mut decision, &untrusted, false);
        assert_eq!(decision.outcome, Outcome::Inconclusive);
        assert_eq!(
            decision.reasons[0],
            "judge not trusted: 12 verdicts by people can be compared with the judge's; Cohen's κ is 0.59, below the 0.6 asked for"
        );
        assert_eq!(decision.possible.len(), 3);
        assert_eq!(decision.gate.map(|gate| gate.passed), Some(false));
    }

    #[test]
    fn without_labels_nothing_is_known() {
        let mut decision = decided(900, 100, false, None);
        correct(&mut decision, &calibration((900, 1000), [0; 4]), false);
        let rate = &decision.corrected.as_ref().unwrap().rate;
        assert!(rate.point.is_none() && rate.lo <= 0.0 && rate.hi >= 1.0);
        assert_eq!(decision.outcome, Outcome::Inconclusive);
        assert_eq!(decision.point_outcome, None);
    }

    #[test]
    fn a_blocked_decision_stays_blocked() {
        let mut decision = decided(0, 0, false, None);
        let why = decision.reasons[0].clone();
        correct(&mut decision, &calibration((0, 0), [0; 4]), false);
        assert_eq!((decision.outcome, &decision.reasons[0]), (Outcome::Blocked, &why));
    }

    #[test]
    fn answers_to_one_scenario_count_for_less() {
        let labels = calibration((700, 1000), [31, 3, 4, 12]);
        let (mut alone, mut together) = (decided(700, 300, false, None), decided(700, 300, true, None));
        correct(&mut alone, &labels, false);
        correct(&mut together, &labels, false);
        let width = |decision: &Decision| decision.deciding().hi - decision.deciding().lo;
        let n_eff = together.corrected.as_ref().unwrap().rate.n_eff;
        assert!((n_eff - together.rate.clustered.unwrap().n_eff).abs() < 1e-12);
        assert!(n_eff <= 1000.0 && width(&together) > width(&alone), "{n_eff}");
    }

    #[test]
    fn labels_on_another_model_tell_of_errors_alone() {
        // The base model's 600 of 1000, labelled by verdict: half of the labels where it failed.
        let labels = calibration((600, 1000), [90, 20, 10, 80]);
        let mut decision = decided(800, 200, false, None);
        correct(&mut decision, &labels, true);
        let Corrected { rate, transported, labels_needed, .. } = decision.corrected.as_ref().unwrap();
        assert!(*transported && labels_needed.is_empty() && rate.method == "lang_reiczigel");
        // As labels at random would show it: sensitivity .54/.62, specificity .32/.38.
        let (sensitivity, specificity) = (0.54 / 0.62, 0.32 / 0.38);
        let expected = stats::rogan_gladen(0.8, sensitivity, specificity).unwrap();
        assert!((rate.point.unwrap() - expected.min(1.0)).abs() < 1e-9, "{rate:?} {expected}");
        assert!(decision.reasons[0].contains("labelled replies of another model show them"), "{:?}", decision.reasons);
        // Of what the judge failed, nobody labelled anything.
        let mut decision = decided(800, 200, false, None);
        correct(&mut decision, &calibration((600, 1000), [90, 0, 10, 0]), true);
        assert_eq!(decision.deciding().point, None);
    }

    #[test]
    fn topics_and_styles_stay_as_they_are() {
        let before = decided(7, 3, false, None);
        let mut after = before.clone();
        correct(&mut after, &calibration((7, 10), [5, 1, 1, 2]), false);
        let names = |groups: &[GroupSummary]| groups.iter().map(|group| group.rate.clone()).collect::<Vec<_>>();
        assert_eq!((names(&before.topics), before.criteria), (names(&after.topics), after.criteria));
    }
}
