//! Comparisons over hand-made rows.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::data::{Contrast, Grade, Judged, Noise, Quote, VerdictKind, WhyBlocked};
use crate::ids::{CriterionId, GuardName, StageId};
use crate::spec::Arms;
use crate::stats::{GateVerdict, regression_gate};

fn arms() -> Arms {
    Arms { base: StageId::new("base").unwrap(), new: StageId::new("new").unwrap() }
}

pub(super) fn rules() -> Compare {
    Compare {
        arms: arms(),
        goal: Goal::Improve,
        margin: 0.05,
        min_improvement: 0.0,
        confidence: 0.95,
        cluster: Clustering::None,
        max_ungraded: 0.05,
        seed: 7,
        calibrations: None,
        guards: BTreeMap::new(),
    }
}

fn row(scenario: &str, repetition: u32, grade: Grade) -> Judged {
    let kind = match grade {
        Grade::Pass => VerdictKind::Pass,
        Grade::Fail => VerdictKind::Fail,
        Grade::Ungraded => VerdictKind::Ungraded,
        Grade::Invalid => VerdictKind::NotApplicable,
    };
    let verdict = |criterion: &str, verdict: VerdictKind, critical: bool| {
        json!({
            "criterion": criterion, "verdict": verdict, "critical": critical, "evidence": "", "reason": "", "quote": null,
        })
    };
    let score = matches!(grade, Grade::Pass | Grade::Fail).then_some(if grade == Grade::Pass { 1.0 } else { 0.5 });
    let row = json!({
        "scenario": {
            "id": scenario, "topic": scenario.split('/').next(), "subtopic": null, "style": "terse", "tags": [],
            "edge_case": false, "opening": format!("opening of {scenario}"), "origin": "authored",
        },
        "repetition": repetition,
        "reply": format!("{} reply to {scenario}", if grade == Grade::Pass { "a good" } else { "a" }),
        "failure": null,
        "verdicts": [verdict("kind", kind, false), verdict("safe", VerdictKind::Pass, true)],
        "score": score,
        "grade": grade,
    });
    serde_json::from_value(row).unwrap()
}

/// One scenario, and what both arms came to.
pub(super) type Case = (String, Grade, Grade);

const PASS: Grade = Grade::Pass;
const FAIL: Grade = Grade::Fail;

/// So many that pass with both, gained, lost, and pass with neither, over so many topics.
pub(super) fn cases([both, gains, losses, neither]: [u64; 4], topics: u64) -> Vec<Case> {
    let kinds = [(both, PASS, PASS), (gains, FAIL, PASS), (losses, PASS, FAIL), (neither, FAIL, FAIL)];
    let mut at = 0;
    let mut cases = Vec::new();
    for (count, base, new) in kinds {
        for _ in 0..count {
            cases.push((format!("t{}/s-{at}", at % topics), base, new));
            at += 1;
        }
    }
    cases
}

pub(super) fn paired(compare: &Compare, cases: &[Case]) -> Contrasted {
    let mut pairing = Pairing::new(compare);
    for (scenario, base, new) in cases {
        pairing.add(Side::Base, row(scenario, 0, *base));
        pairing.add(Side::New, row(scenario, 0, *new));
    }
    pairing.finish()
}

fn compared(compare: &Compare, cases: &[Case]) -> Comparison {
    conclude(compare, paired(compare, cases), Vec::new(), None)
}

fn check(counts: [u64; 4], verdict: ComparisonVerdict, gate: GateOutcome, first: &str) -> Comparison {
    let found = compared(&rules(), &cases(counts, 1_000));
    assert_eq!((found.verdict, found.gate), (verdict, gate), "{counts:?}: {:#?}", found.reasons);
    assert_eq!(found.reasons[0], first);
    found
}

#[test]
fn verdicts() {
    use ComparisonVerdict::{Improved, Inconclusive, NoDifference, Regressed};
    let found = check(
        [110, 40, 10, 40],
        Improved,
        GateOutcome::Passed,
        "the new arm passes 15.0 points more of 200 scenarios than the base, 75.0 % after 60.0 % (95 % interval +8.3 to +21.6 \
         points): improved",
    );
    assert_eq!(found.target.noise, None);
    check(
        [110, 10, 40, 40],
        Regressed,
        GateOutcome::Failed,
        "the new arm passes 15.0 points fewer of 200 scenarios than the base, 60.0 % after 75.0 % (95 % interval −21.6 to −8.3 \
         points): regressed",
    );
    check(
        [700, 20, 20, 260],
        NoDifference,
        GateOutcome::Failed,
        "the new arm passes as many of 1,000 scenarios as the base, 72.0 % (95 % interval −1.3 to +1.3 points): no difference \
         that counts",
    );
    let found = check(
        [60, 12, 8, 20],
        Inconclusive,
        GateOutcome::Inconclusive,
        "the new arm passes 4.0 points more of 100 scenarios than the base, 72.0 % after 68.0 % (95 % interval −4.9 to +12.9 \
         points): inconclusive",
    );
    assert_eq!(found.target.noise, Some(Noise::IncludesZero));
    assert!(found.reasons[1].contains("scenarios would show it"), "{:#?}", found.reasons);
    assert!(found.reasons[2].contains("is noise here"), "{:#?}", found.reasons);
    // Sure, but smaller than so many rows show reliably.
    let found = compared(&rules(), &cases([110, 26, 11, 53], 1_000));
    assert_eq!((found.verdict, found.target.noise), (Improved, Some(Noise::BelowDetectable)));
    assert!(found.reasons.iter().any(|reason| reason.starts_with("the size of the difference is noise")), "{found:#?}");
}

#[test]
fn an_improvement_may_be_asked_to_be_large() {
    let compare = Compare { min_improvement: 0.1, ..rules() };
    let found = compared(&compare, &cases([110, 40, 10, 40], 1_000));
    assert_eq!((found.verdict, found.gate), (ComparisonVerdict::Inconclusive, GateOutcome::Inconclusive));
    assert!(found.reasons[1].contains("lies above 10 points"), "{:#?}", found.reasons);
    let found = compared(&compare, &cases([1_100, 120, 40, 740], 2_000));
    assert_eq!(found.verdict, ComparisonVerdict::NoDifference, "better, and not by so much: {:#?}", found.reasons);
}

#[test]
fn what_is_to_hold_is_held_by_the_gate() {
    let compare = Compare { goal: Goal::Hold, ..rules() };
    for (counts, gate) in [
        ([700, 20, 20, 260], GateOutcome::Passed),
        ([600, 20, 100, 280], GateOutcome::Failed),
        ([40, 4, 5, 1], GateOutcome::Inconclusive),
    ] {
        let found = compared(&compare, &cases(counts, 2_000));
        assert_eq!(found.gate, gate, "{:#?}", found.reasons);
        assert!(found.reasons.iter().any(|reason| reason.starts_with("the target ")), "{:#?}", found.reasons);
    }
}

fn with_guard(target: [u64; 4], guard: [u64; 4], topics: u64) -> Comparison {
    let name = GuardName::new("general").unwrap();
    let guards = BTreeMap::from([(name, Guard { arms: arms(), margin: 0.05 })]);
    let compare = Compare { guards, ..rules() };
    conclude(&compare, paired(&compare, &cases(target, 1_000)), vec![paired(&compare, &cases(guard, topics))], None)
}

#[test]
fn a_guard_that_lost_is_forgetting() {
    let found = with_guard([110, 40, 10, 40], [200, 6, 40, 54], 1_000);
    assert_eq!((found.verdict, found.gate), (ComparisonVerdict::Improved, GateOutcome::Failed));
    assert_eq!(
        found.reasons[1],
        "guard `general` failed: it lost 11.3 points (90 % interval −15.0 to −7.7 points), and only a loss of up to 5 points \
         counts as none: forgetting"
    );
    let found = with_guard([110, 40, 10, 40], [240, 10, 12, 138], 1_000);
    assert_eq!((found.verdict, found.gate), (ComparisonVerdict::Improved, GateOutcome::Passed), "{:#?}", found.reasons);
    // So few could hardly have shown it.
    let found = with_guard([110, 40, 10, 40], [70, 15, 2, 13], 1_000);
    let guard = &found.guards[0].gate;
    assert_eq!((guard.by_interval, guard.verdict), (GateOutcome::Passed, GateOutcome::Inconclusive));
    assert_eq!(found.gate, GateOutcome::Inconclusive);
    assert!(found.reasons[1].contains("so few rows can prove no loss of less than"), "{:#?}", found.reasons);
}

#[test]
fn a_topic_that_was_lost_fails_a_guard_that_holds_on_the_whole() {
    let mut all = cases([600, 30, 12, 300], 30);
    let lost = (0..40).map(|at| (format!("t99/lost-{at}"), PASS, if at < 14 { FAIL } else { PASS }));
    all.extend(lost);
    let found = paired(&rules(), &all);
    let gate = no_regression(&found, 0.05, 0.95);
    assert_eq!((gate.by_interval, gate.verdict), (GateOutcome::Passed, GateOutcome::Failed), "{gate:#?}");
    assert_eq!(gate.lost_topics.iter().map(|lost| lost.topic.as_str()).collect::<Vec<_>>(), ["t99"]);
    assert!(reasons::guard(&GuardName::new("g").unwrap(), &found, &gate).contains("`t99` lost 14 and gained 0"));
}

#[test]
fn topics_are_clusters_and_few_of_them_decide_nothing() {
    // All that was gained is in two topics of ten.
    let mut all = Vec::new();
    for topic in 0..10 {
        for at in 0..20 {
            let new = if topic < 2 || at < 10 { PASS } else { FAIL };
            all.push((format!("t{topic}/s-{at}"), if at < 10 { PASS } else { FAIL }, new));
        }
    }
    let compare = Compare { cluster: Clustering::Topic, ..rules() };
    let found = compared(&compare, &all);
    let target = &found.target;
    assert_eq!(target.difference.method, "cr1_by_topic");
    assert_eq!(found.verdict, ComparisonVerdict::Inconclusive, "{:#?}", found.reasons);
    let other = target.other_interval.as_ref().unwrap();
    assert_eq!(other.method, "newcombe_paired");
    assert!(other.lo > 0.0 && target.difference.lo < 0.0, "{target:#?}");
    assert_eq!(compared(&rules(), &all).verdict, ComparisonVerdict::Improved);
    let few = compared(&compare, &cases([110, 40, 10, 40], 4));
    assert!(few.target.too_few_clusters && few.verdict == ComparisonVerdict::Inconclusive);
    assert!(few.reasons[0].starts_with("4 topics are too few to decide on: have 5 or more"), "{:#?}", few.reasons);
    let enough = compared(&compare, &cases([220, 80, 20, 80], 20));
    assert_eq!(enough.verdict, ComparisonVerdict::Improved, "{:#?}", enough.reasons);
}

#[test]
fn answers_to_one_scenario_are_one_piece_of_evidence() {
    let mut pairing = Pairing::new(&rules());
    for scenario in 0..30 {
        for repetition in 0..5 {
            let id = format!("t{scenario}/s");
            pairing.add(Side::Base, row(&id, repetition, if scenario % 2 == 0 { PASS } else { FAIL }));
            pairing.add(Side::New, row(&id, repetition, if scenario % 2 == 0 || scenario < 12 { PASS } else { FAIL }));
        }
    }
    let found = conclude(&rules(), pairing.finish(), Vec::new(), None);
    let target = &found.target;
    assert_eq!((target.counts.pairs, target.counts.scenarios), (150, 30));
    assert_eq!(target.difference.method, "cr1_by_scenario");
    let clusters = target.difference.clusters.unwrap();
    assert!(clusters.clusters == 30 && clusters.design_effect > 4.0, "{clusters:?}");
    let tests = target.tests.unwrap();
    assert_eq!((tests.gains, tests.losses), (6, 0));
}

#[test]
fn what_has_no_grade_is_left_out_and_blocks_where_it_is_much() {
    let mut all = cases([110, 40, 10, 40], 1_000);
    for (at, case) in all.iter_mut().take(6).enumerate() {
        *(if at % 2 == 0 { &mut case.1 } else { &mut case.2 }) = if at < 4 { Grade::Ungraded } else { Grade::Invalid };
    }
    let found = compared(&rules(), &all);
    let counts = &found.target.counts;
    assert_eq!((counts.pairs, counts.ungraded.base, counts.ungraded.new), (194, 2, 2));
    assert_eq!((counts.invalid.base, counts.invalid.new, counts.both), (1, 1, 104));
    assert_eq!(found.blocked, None);
    assert!(found.reasons.iter().any(|reason| {
        reason == "6 pairs without a grade left out: 3 with the base alone, 3 with the new arm alone, 0 with both"
    }));
    all.iter_mut().take(11).for_each(|case| case.2 = Grade::Ungraded);
    let found = compared(&rules(), &all);
    assert_eq!((found.blocked, found.gate), (Some(WhyBlocked::Ungraded), GateOutcome::Inconclusive));
    assert_eq!(found.verdict, ComparisonVerdict::Inconclusive);
    assert!(
        found.reasons[0].starts_with("11 of 200 pairs lack a verdict, more than the 5 % allowed"),
        "{:#?}",
        found.reasons
    );
    assert!(found.reasons[1].ends_with("that decides nothing"));
    for nothing in [Vec::new(), vec![("a/b".to_owned(), Grade::Ungraded, PASS)]] {
        let found = compared(&rules(), &nothing);
        assert_eq!((found.blocked, found.target.difference.point), (Some(WhyBlocked::Ungraded), None), "{found:#?}");
    }
}

#[test]
fn a_judge_that_makes_up_quotes_compares_nothing() {
    let mut pairing = Pairing::new(&rules());
    for (scenario, base, new) in cases([110, 40, 10, 40], 1_000) {
        let quoted = |mut row: Judged| {
            row.verdicts[0].quote =
                Some(if scenario.ends_with(['0', '4', '8']) { Quote::Found } else { Quote::Missing });
            row
        };
        pairing.add(Side::Base, quoted(row(&scenario, 0, base)));
        pairing.add(Side::New, quoted(row(&scenario, 0, new)));
    }
    let found = conclude(&rules(), pairing.finish(), Vec::new(), None);
    assert_eq!(found.blocked, Some(WhyBlocked::Untrusted));
    assert!(found.target.quotes.untrusted && found.reasons[0].starts_with("the judge cannot be trusted"));
}

#[test]
fn other_scenarios_are_compared_as_two_samples() {
    let base = cases([150, 0, 0, 150], 1_000);
    let mut pairing = Pairing::new(&rules());
    for (scenario, grade, _) in &base {
        pairing.add(Side::Base, row(scenario, 0, *grade));
        let mut new = row(scenario, 0, if scenario.ends_with('1') { PASS } else { *grade });
        new.scenario.opening = "something else".to_owned();
        pairing.add(Side::New, new);
    }
    let found = conclude(&rules(), pairing.finish(), Vec::new(), None);
    let Contrast { paired, counts, difference, tests, .. } = &found.target;
    assert!(!paired && tests.is_none());
    assert_eq!((counts.changed, counts.pairs, difference.method.as_str()), (300, 0, "mover_unpaired"));
    let plain = stats::unpaired_difference((150, 300), (found.target.new.passed, 300), 0.95);
    assert!((plain.interval.lo - difference.lo).abs() < 1e-12 && (plain.interval.hi - difference.hi).abs() < 1e-12);
    assert!(found.reasons.iter().any(|reason| reason.starts_with("the arms are about other scenarios (300 with")));
}

#[test]
fn a_few_rows_without_a_counterpart_are_left_out() {
    let mut pairing = Pairing::new(&rules());
    for (at, (scenario, base, new)) in cases([110, 40, 10, 40], 1_000).into_iter().enumerate() {
        if at != 3 {
            pairing.add(Side::Base, row(&scenario, 0, base));
        }
        if at != 5 && at != 7 {
            pairing.add(Side::New, row(&scenario, 0, new));
        }
    }
    let found = conclude(&rules(), pairing.finish(), Vec::new(), None);
    let counts = &found.target.counts;
    assert!(found.target.paired);
    assert_eq!((counts.pairs, counts.only_base, counts.only_new), (197, 2, 1));
    assert!(found.reasons.contains(&"3 rows without a counterpart left out".to_owned()), "{:#?}", found.reasons);
}

#[test]
fn flips_are_listed_both_ways_with_their_criteria() {
    let found = compared(&rules(), &cases([110, 40, 10, 40], 1_000));
    let Contrast { gains, losses, criteria, topics, .. } = &found.target;
    assert_eq!((gains.count, gains.shown.len(), losses.count, losses.shown.len()), (40, 5, 10, 5));
    let kind = CriterionId::new("kind").unwrap();
    assert_eq!((gains.criteria.clone(), losses.criteria.clone()), (vec![(kind.clone(), 40)], vec![(kind.clone(), 10)]));
    let flip = &losses.shown[0];
    assert_eq!((flip.scenario.as_str(), flip.lost.clone()), ("t150/s-150", vec![kind]));
    assert_eq!((flip.base.as_str(), flip.new.as_str()), ("a good reply to t150/s-150", "a reply to t150/s-150"));
    assert_eq!(criteria[0].criterion.as_str(), "safe", "critical ones come first");
    assert!(!criteria[0].significant && criteria[1].significant && topics.len() == 200);
    let length = found.target.length.unwrap();
    assert_eq!((length.longer, length.shorter), (40, 10));
    assert!(found.reasons.contains(&"by criterion: `kind` gained 15.0 points".to_owned()), "{:#?}", found.reasons);
}

#[test]
fn rows_in_any_order_come_to_the_same_numbers() {
    let all = cases([110, 40, 10, 40], 1_000);
    let straight = compared(&rules(), &all);
    let mut pairing = Pairing::new(&rules());
    all.iter().for_each(|(scenario, base, _)| pairing.add(Side::Base, row(scenario, 0, *base)));
    all.iter().rev().for_each(|(scenario, _, new)| pairing.add(Side::New, row(scenario, 0, *new)));
    let turned = conclude(&rules(), pairing.finish(), Vec::new(), None);
    assert_eq!((turned.verdict, &turned.target.difference), (straight.verdict, &straight.target.difference));
    assert_eq!((turned.target.counts, turned.target.topics), (straight.target.counts, straight.target.topics));
    assert_eq!(turned.target.scores, straight.target.scores);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// Of independent rows it is `stats`' own gate, and exchanging the arms mirrors all there is.
    #[test]
    fn gates_and_mirrors(both in 0_u64..120, gains in 0_u64..30, losses in 0_u64..30, neither in 0_u64..120) {
        prop_assume!(both + gains + losses + neither > 0);
        let found = paired(&rules(), &cases([both, gains, losses, neither], 1_000));
        let pairs = Pairs { both, gains, losses, neither };
        let expected = regression_gate(&pairs, 0.05, 0.9);
        let gate = no_regression(&found, 0.05, 0.95);
        let outcome = |verdict| match verdict {
            GateVerdict::Pass => GateOutcome::Passed,
            GateVerdict::Fail => GateOutcome::Failed,
            GateVerdict::Inconclusive => GateOutcome::Inconclusive,
        };
        prop_assert_eq!((gate.by_interval, gate.verdict), (outcome(expected.by_interval), outcome(expected.verdict)));
        prop_assert_eq!(gate.scenarios_needed, expected.scenarios_needed);
        prop_assert!((gate.difference.lo - expected.difference.interval.lo).abs() < 1e-12);

        let swapped: Vec<Case> = cases([both, gains, losses, neither], 1_000)
            .into_iter()
            .map(|(scenario, base, new)| (scenario, new, base))
            .collect();
        let (one, other) = (found.contrast, paired(&rules(), &swapped).contrast);
        prop_assert!((one.difference.lo + other.difference.hi).abs() < 1e-12);
        prop_assert!((one.difference.point.unwrap() + other.difference.point.unwrap()).abs() < 1e-12);
        prop_assert_eq!(one.tests.map(|tests| tests.p), other.tests.map(|tests| tests.p));
        prop_assert_eq!((one.gains.count, one.losses.count), (other.losses.count, other.gains.count));
        prop_assert!(one.difference.lo <= one.difference.point.unwrap() && one.difference.point.unwrap() <= one.difference.hi);
    }
}
