//! Decisions over hand-made rows.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::data::{ClusteredRate, FailedIn, Origin, Scenario, Verdict, VerdictKind};
use crate::ids::StageId;

pub(super) fn rules(gate: Option<spec::Gate>) -> spec::Decide {
    spec::Decide {
        verdicts: StageId::new("verdicts").unwrap(),
        deploy: 0.7,
        fine_tune: 0.5,
        confidence: 0.95,
        max_ungraded: 0.05,
        gate,
        calibration: None,
        gates: Vec::new(),
        answers: None,
        answers_of_bases: BTreeMap::new(),
        cluster: ClusterBy::Nothing,
        target: spec::Target::Population,
        seed: 0,
        votes: spec::Votes::Majority,
        sequential: None,
        backup: None,
    }
}

pub(super) fn row(id: &str, style: &str, grade: Grade, score: Option<f64>, verdicts: &[(&str, VerdictKind)]) -> Judged {
    let verdict = |(criterion, verdict): &(&str, VerdictKind)| Verdict {
        criterion: CriterionId::new(criterion).unwrap(),
        verdict: *verdict,
        critical: criterion.starts_with("critical"),
        evidence: format!("evidence of {id}"),
        reason: format!("reason of {id}"),
        quote: None,
        votes: None,
        pass_probability: None,
        level: None,
        panel: BTreeMap::new(),
    };
    Judged {
        scenario: Scenario {
            id: ScenarioId::new(id).unwrap(),
            topic: id.split('/').next().unwrap().to_owned(),
            subtopic: None,
            style: style.to_owned(),
            axes: BTreeMap::new(),
            tags: Vec::new(),
            edge_case: false,
            opening: format!("opening of {id}"),
            reference: None,
            origin: Origin::Authored,
            written: None,
            near_duplicate: None,
        },
        repetition: 0,
        reply: Some(format!("reply of {id}")),
        failure: None,
        verdicts: verdicts.iter().map(verdict).collect(),
        score,
        grade,
    }
}

fn rows(counts: [u64; 4]) -> Vec<Judged> {
    let grades = [Grade::Pass, Grade::Fail, Grade::Ungraded, Grade::Invalid];
    let scores = [Some(1.0), Some(0.25), None, None];
    let of_kind = |kind: usize| {
        (0..counts[kind]).map(move |index| row(&format!("t/{kind}-{index}"), "terse", grades[kind], scores[kind], &[]))
    };
    (0..4).flat_map(of_kind).collect()
}

/// A rubric with the criteria of the first row, each of weight 1; half of them must pass.
pub(super) fn rubric(rows: &[&Judged]) -> Rubric {
    let criterion = |verdict: &Verdict| spec::Criterion {
        id: verdict.criterion.clone(),
        weight: 1.0,
        critical: verdict.critical,
        when: None,
        ask: spec::Ask::Question(spec::Question {
            text: format!("Is it {}?", verdict.criterion),
            allow_not_applicable: true,
            pass_examples: Vec::new(),
            fail_examples: Vec::new(),
        }),
    };
    Rubric {
        name: "r".to_owned(),
        pass: spec::PassRule { score: 0.5, min_applicable: 0.0, at_least: Vec::new() },
        criteria: rows.first().map(|row| row.verdicts.iter().map(criterion).collect()).unwrap_or_default(),
    }
}

pub(super) fn decide<'a>(rules: &spec::Decide, rows: impl IntoIterator<Item = &'a Judged>) -> Decision {
    let rows: Vec<&Judged> = rows.into_iter().collect();
    let rubric = rubric(&rows);
    let mut tally = Tally::new(rules, &rubric);
    rows.into_iter().for_each(|row| tally.add(row));
    tally.finish()
}

/// Decides over so many passed, failed, ungraded and invalid rows.
fn check(counts: [u64; 4], outcome: Outcome, possible: &[Outcome], point: Option<Outcome>, reasons: &[&str]) {
    let decision = decide(&rules(None), &rows(counts));
    assert_eq!(decision.outcome, outcome, "{counts:?}");
    assert_eq!(decision.possible, possible, "{counts:?}");
    assert_eq!(decision.point_outcome, point, "{counts:?}");
    assert_eq!(decision.reasons, reasons, "{counts:?}");
    let [passed, failed, ungraded, invalid] = counts;
    assert_eq!(
        decision.counts,
        Counts { total: counts.iter().sum(), scenarios: None, passed, failed, ungraded, invalid }
    );
    assert_eq!((decision.rate.passed, decision.rate.n), (passed, passed + failed));
    assert!(decision.rate.lo.is_finite() && decision.rate.hi.is_finite());
}

const ALL: &[Outcome] = &[Outcome::Deploy, Outcome::FineTune, Outcome::FullPipeline];

#[test]
fn decided_outcomes() {
    use Outcome::{Deploy, FineTune, FullPipeline};
    check(
        [42, 8, 0, 0],
        Deploy,
        &[Deploy],
        Some(Deploy),
        &[
            "42 of 50 graded scenarios pass: 84.0 % (95 % Wilson interval 71.5–91.7 %)",
            "the whole interval reaches the deploy threshold of 70 %",
        ],
    );
    check(
        [60, 40, 0, 0],
        FineTune,
        &[FineTune],
        Some(FineTune),
        &[
            "60 of 100 graded scenarios pass: 60.0 % (95 % Wilson interval 50.2–69.1 %)",
            "the whole interval lies between the fine-tune threshold of 50 % and the deploy threshold of 70 %",
        ],
    );
    check(
        [18, 32, 1, 1],
        FullPipeline,
        &[FullPipeline],
        Some(FullPipeline),
        &[
            "18 of 50 graded scenarios pass: 36.0 % (95 % Wilson interval 24.1–49.9 %)",
            "the whole interval lies below the fine-tune threshold of 50 %",
            "1 scenario of 52 without a verdict and out of the rate",
            "1 scenario of 52 out of the rate because too few criteria apply",
        ],
    );
    check(
        [9, 0, 0, 0],
        Deploy,
        &[Deploy],
        Some(Deploy),
        &[
            "9 of 9 graded scenarios pass: 100.0 % (95 % Wilson interval 70.1–100.0 %)",
            "the whole interval reaches the deploy threshold of 70 %",
        ],
    );
}

#[test]
fn open_outcomes() {
    use Outcome::{Deploy, FineTune, FullPipeline, Inconclusive};
    check(
        [33, 21, 0, 0],
        Inconclusive,
        ALL,
        Some(FineTune),
        &[
            "33 of 54 graded scenarios pass: 61.1 % (95 % Wilson interval 47.8–73.0 %)",
            "the interval spans the deploy threshold of 70 % and the fine-tune threshold of 50 %, so the decision is open",
            "if the rate stays where it is, 103 graded scenarios would settle it against 70 %",
            "if the rate stays where it is, 78 graded scenarios would settle it against 50 %",
            "54 graded scenarios make this a screening: `fine_tune` cannot be decided at all with fewer than 91",
        ],
    );
    check(
        [728, 272, 0, 0],
        Inconclusive,
        &[Deploy, FineTune],
        Some(Deploy),
        &[
            "728 of 1,000 graded scenarios pass: 72.80 % (95 % Wilson interval 69.96–75.47 %)",
            "the interval spans the deploy threshold of 70 %, so the decision is open",
            "if the rate stays where it is, 1,029 graded scenarios would settle it against 70 %",
        ],
    );
    check(
        [50, 50, 0, 0],
        Inconclusive,
        &[FineTune, FullPipeline],
        Some(FineTune),
        &[
            "50 of 100 graded scenarios pass: 50.0 % (95 % Wilson interval 40.4–59.6 %)",
            "the interval spans the fine-tune threshold of 50 %, so the decision is open",
            "the rate lies so near to 50 % that a million scenarios would not settle it",
        ],
    );
    check(
        [0, 1, 0, 0],
        Inconclusive,
        ALL,
        Some(FullPipeline),
        &[
            "0 of 1 graded scenario passes: 0.0 % (95 % Wilson interval 0.0–79.3 %)",
            "the interval spans the deploy threshold of 70 % and the fine-tune threshold of 50 %, so the decision is open",
            "if the rate stays where it is, 2 graded scenarios would settle it against 70 %",
            "if the rate stays where it is, 4 graded scenarios would settle it against 50 %",
            "1 graded scenario makes this a screening: `fine_tune` cannot be decided at all with fewer than 91",
        ],
    );
}

#[test]
fn blocked_outcomes() {
    use Outcome::{Blocked, Deploy};
    check([0, 0, 0, 0], Blocked, ALL, None, &["there are no scenarios: add some to the taxonomy, then run again"]);
    check(
        [0, 0, 0, 3],
        Blocked,
        ALL,
        None,
        &["none of 3 scenarios counts, because too few criteria apply: widen the criteria's `when` or lower the pass \
         rule's `min_applicable`"],
    );
    check(
        [94, 0, 6, 0],
        Blocked,
        &[Deploy],
        Some(Deploy),
        &[
            "6 of 100 scenarios have no verdict, more than the 5 % allowed: mend the judge or the model that answers, \
         then run again; calls that were answered are not paid twice",
            "94 of 94 graded scenarios pass: 100.0 % (95 % Wilson interval 96.1–100.0 %); that decides nothing",
        ],
    );
    check(
        [40, 0, 1, 20],
        Blocked,
        &[Deploy],
        Some(Deploy),
        &[
            "21 of 61 scenarios have no grade, more than the 5 % allowed, 20 of them because too few criteria apply: \
             widen the criteria's `when` or lower the pass rule's `min_applicable`",
            "40 of 40 graded scenarios pass: 100.0 % (95 % Wilson interval 91.2–100.0 %); that decides nothing",
            "20 scenarios of 61 out of the rate because too few criteria apply",
        ],
    );
    let all_may_miss = spec::Decide { max_ungraded: 1.0, ..rules(None) };
    assert_eq!(
        decide(&all_may_miss, &rows([0, 0, 2, 0])).reasons,
        ["no scenario has a verdict: mend the judge or the model that answers, then run again"]
    );
}

#[test]
fn the_allowed_share_without_a_verdict_is_allowed() {
    assert_eq!(decide(&rules(None), &rows([95, 0, 5, 0])).outcome, Outcome::Deploy);
}

#[test]
fn the_gate_lets_only_decided_outcomes_pass() {
    use spec::Gate::{Deploy, FineTune};
    for (counts, outcome, deploy, fine_tune) in [
        ([42, 8, 0, 0], Outcome::Deploy, true, true),
        ([60, 40, 0, 0], Outcome::FineTune, false, true),
        ([10, 40, 0, 0], Outcome::FullPipeline, false, false),
        ([40, 10, 0, 0], Outcome::Inconclusive, false, false),
        ([42, 0, 8, 0], Outcome::Blocked, false, false),
    ] {
        for (gate, least, passed) in [(Deploy, Outcome::Deploy, deploy), (FineTune, Outcome::FineTune, fine_tune)] {
            let decision = decide(&rules(Some(gate)), &rows(counts));
            assert_eq!(decision.outcome, outcome);
            assert_eq!(decision.gate, Some(GateResult { least, passed }), "{outcome:?} {gate:?}");
            let name = if gate == Deploy { "`deploy`" } else { "`fine_tune` or better" };
            let expected = format!("the gate asks for {name}: {}", if passed { "passed" } else { "not passed" });
            assert_eq!(decision.reasons.last(), Some(&expected));
        }
    }
}

#[test]
fn criteria_by_failures_then_critical_then_id() {
    use VerdictKind::{Fail, NotApplicable, Pass, Ungraded};
    let criteria =
        |first, second| [("b", first), ("a", Pass), ("critical-z", second), ("often", Fail), ("never", NotApplicable)];
    let rows = [
        row("sleep/1", "terse", Grade::Fail, Some(0.5), &criteria(Fail, Pass)),
        row("anger/2", "terse", Grade::Fail, Some(0.5), &criteria(Pass, Fail)),
        row("anger/3", "detailed", Grade::Ungraded, None, &criteria(Ungraded, Pass)),
        row("sleep/4", "terse", Grade::Invalid, None, &criteria(Ungraded, Ungraded)),
    ];
    let decision = decide(&spec::Decide { max_ungraded: 0.5, ..rules(None) }, &rows);
    let order: Vec<_> = decision.criteria.iter().map(|c| (c.criterion.as_str(), c.failed)).collect();
    assert_eq!(order, [("often", 4), ("critical-z", 1), ("b", 1), ("a", 0), ("never", 0)]);
    let [often, critical, b, _, never] = &decision.criteria[..] else { panic!("five criteria") };
    assert!(critical.critical && !b.critical);
    assert_eq!((b.rate.passed, b.rate.n, b.ungraded), (1, 2, 2));
    assert_eq!((never.rate.n, never.not_applicable, never.rate.point), (0, 4, None));
    let failed_in = |name: &str, failed, graded| FailedIn { name: name.to_owned(), failed, graded };
    assert_eq!(often.failed_topics, [failed_in("anger", 2, 2), failed_in("sleep", 2, 2)]);
    assert_eq!(often.failed_styles, [failed_in("terse", 3, 3), failed_in("detailed", 1, 1)]);
    assert_eq!(b.failed_topics, [failed_in("sleep", 1, 1)]);
    let examples: Vec<_> = often.examples.iter().map(|example| example.scenario.as_str()).collect();
    assert_eq!(examples, ["sleep/1", "anger/2", "anger/3"]);
    assert_eq!(b.examples[0].evidence, "evidence of sleep/1");
    let topics: Vec<_> = decision.topics.iter().map(|t| (t.name.as_str(), t.rate.n, t.ungraded)).collect();
    assert_eq!(topics, [("anger", 1, 1), ("sleep", 1, 0)]);
}

#[test]
fn best_and_worst_are_the_ends_of_one_order() {
    let names = |examples: &[Example]| -> Vec<String> { examples.iter().map(|e| e.scenario.to_string()).collect() };
    let scored = |scores: &[f64]| -> Vec<Judged> {
        scores.iter().enumerate().map(|(i, s)| row(&format!("s{i}"), "terse", Grade::Pass, Some(*s), &[])).collect()
    };
    for (scores, best, worst) in [
        (&[][..], &[][..], &[][..]),
        (&[0.5], &["s0"], &["s0"]),
        (&[1.0; 7], &["s0", "s1", "s2"], &["s6", "s5", "s4"]),
        (&[0.1, 0.9, 0.9, 0.3, 1.0, 0.3], &["s4", "s1", "s2"], &["s0", "s5", "s3"]),
    ] {
        let decision = decide(&rules(None), &scored(scores));
        assert_eq!(
            (names(&decision.best), names(&decision.worst)),
            (best.iter().map(ToString::to_string).collect(), worst.iter().map(ToString::to_string).collect())
        );
    }
    // A reply without a grade has no place among them.
    let ungraded = row("u", "terse", Grade::Ungraded, Some(0.9), &[]);
    assert_eq!(decide(&rules(None), &[ungraded]).best, []);
}

#[test]
fn long_texts_are_cut() {
    let mut long = row("a", "terse", Grade::Fail, Some(0.0), &[("c", VerdictKind::Fail)]);
    long.scenario.opening = "é".repeat(2_000);
    long.reply = Some("é".repeat(2_001));
    let failure = decide(&rules(None), &[long]).criteria[0].examples[0].clone();
    assert_eq!(failure.opening, "é".repeat(2_000));
    assert_eq!(failure.reply, format!("{}…", "é".repeat(2_000)));
}

proptest! {
    #[test]
    fn the_order_of_rows_is_nothing(
        rows in prop::collection::vec((0_u8..4, 0_u8..3, 0_u8..3, 0.0..=1.0_f64, any::<bool>()), 0..40),
        seed in any::<prop::sample::Index>(),
    ) {
        let judged: Vec<Judged> = rows.iter().enumerate().map(|(index, (grade, topic, style, score, fails))| {
            let grade = [Grade::Pass, Grade::Fail, Grade::Ungraded, Grade::Invalid][usize::from(*grade)];
            let verdict = if *fails { VerdictKind::Fail } else { VerdictKind::Pass };
            row(&format!("t{topic}/{index}"), &format!("s{style}"), grade, Some(*score), &[("c", verdict)])
        }).collect();
        let without_examples = |mut decision: Decision| {
            decision.criteria.iter_mut().for_each(|criterion| criterion.examples.clear());
            serde_json::to_string(&decision).unwrap()
        };
        let mut other: Vec<&Judged> = judged.iter().rev().collect();
        if !other.is_empty() {
            let middle = seed.index(other.len());
            other.rotate_left(middle);
        }
        prop_assert_eq!(
            without_examples(decide(&rules(None), &judged)),
            without_examples(decide(&rules(None), other))
        );
    }
}

#[test]
fn a_judge_that_makes_up_its_quotes_decides_nothing() {
    // 40 scenarios that pass, of whose quotes so many are there and so many are not.
    let check = |found: usize, missing: usize, outcome: Outcome| {
        let quotes = std::iter::repeat_n(Quote::Found, found).chain(std::iter::repeat_n(Quote::Missing, missing));
        let quotes = quotes.map(Some).chain(std::iter::repeat(None));
        let rows: Vec<Judged> = (0..40)
            .zip(quotes)
            .map(|(index, quote)| {
                let mut row = row(&format!("t/{index}"), "terse", Grade::Pass, Some(1.0), &[("a", VerdictKind::Pass)]);
                row.verdicts[0].quote = quote;
                row
            })
            .collect();
        let decision = decide(&rules(Some(spec::Gate::FineTune)), &rows);
        assert_eq!(decision.outcome, outcome, "{found} found, {missing} missing");
        let untrusted = outcome == Outcome::Blocked;
        assert_eq!(decision.quotes.untrusted, untrusted);
        assert_eq!(decision.gate.map(|gate| gate.passed), Some(!untrusted));
        if untrusted {
            let told = format!("the judge cannot be trusted: {missing} of {} passages", found + missing);
            assert!(decision.reasons[0].starts_with(&told), "{:?}", decision.reasons);
        }
    };
    check(0, 0, Outcome::Deploy);
    check(34, 6, Outcome::Deploy);
    check(33, 7, Outcome::Blocked);
    check(0, 19, Outcome::Deploy);
    check(0, 20, Outcome::Blocked);
}

#[test]
fn a_critical_criterion_that_never_applies_is_told() {
    let verdicts = |kind| [("critical-a", kind), ("b", VerdictKind::NotApplicable)];
    let reasons = |kinds: [VerdictKind; 2]| {
        let rows = kinds.map(|kind| row("t/1", "terse", Grade::Pass, Some(1.0), &verdicts(kind)));
        decide(&rules(None), &rows).reasons
    };
    let told = "the critical criterion `critical-a` applied to no scenario";
    assert_eq!(reasons([VerdictKind::NotApplicable; 2]).last().map(String::as_str), Some(told));
    assert!(!reasons([VerdictKind::NotApplicable, VerdictKind::Pass]).iter().any(|reason| reason == told));
}

/// So many scenarios, of each of which the first few of `times` answers pass.
fn repeated(passes: &[u64], times: u64) -> Vec<Judged> {
    let answers = |(at, passed): (usize, &u64)| {
        let passed = *passed;
        (0..times).map(move |repetition| {
            let (grade, score) = if repetition < passed { (Grade::Pass, 1.0) } else { (Grade::Fail, 0.25) };
            let verdict = if grade == Grade::Pass { VerdictKind::Pass } else { VerdictKind::Fail };
            let row = row(&format!("t{}/{at:03}", at % 3), "terse", grade, Some(score), &[("kind", verdict)]);
            Judged { repetition: u32::try_from(repetition).unwrap(), ..row }
        })
    };
    passes.iter().enumerate().flat_map(answers).collect()
}

#[test]
fn answers_to_one_scenario_are_a_cluster() {
    let passes: Vec<u64> = (0..60).map(|at| [4, 3, 4, 0, 4, 2][at % 6]).collect();
    let decision = decide(&rules(None), &repeated(&passes, 4));
    let mut clusters = stats::Clusters::default();
    passes.iter().for_each(|passed| clusters.add(*passed, 4));
    let stats::ClusteredInterval { interval, n_eff, design_effect, degrees } = clusters.interval(0.95);
    let rate = &decision.rate;
    assert_eq!((rate.method.as_str(), rate.n, rate.passed), ("wilson_clustered", 240, 170));
    assert_eq!((rate.lo.to_bits(), rate.hi.to_bits()), (interval.lo.to_bits(), interval.hi.to_bits()));
    assert_eq!(rate.clustered, Some(ClusteredRate { scenarios: 60, n_eff, design_effect, degrees, clusters: None }));
    assert!(design_effect > 2.0);
    assert_eq!((decision.counts.total, decision.counts.scenarios), (240, Some(60)));
    assert_eq!(decision.outcome, Outcome::Inconclusive);
    assert_eq!(
        decision.reasons[0],
        "170 of 240 graded answers to 60 scenarios pass: 70.8 % (95 % clustered Wilson interval 60.6–79.3 %)"
    );
    assert!(decision.reasons[1].starts_with("answers to one scenario resemble each other: 240 are worth "));
    // Criteria and groups are rates over the same clusters.
    assert_eq!(decision.criteria[0].rate.clustered, rate.clustered);
    assert_eq!(decision.topics[0].rate.clustered.map(|clustered| clustered.scenarios), Some(20));
    // What would settle it is counted in scenarios, and is more than there are.
    assert!(decision.more.iter().all(|more| more.scenarios.is_none_or(|scenarios| scenarios > 60)));
    // The same answers, taken for independent, would be said to be surer.
    let plain = stats::wilson(170.0, 240.0, 0.95);
    assert!(rate.lo < plain.lo && rate.hi > plain.hi);
}

#[test]
fn fewer_than_five_clusters_decide_nothing() {
    let decision = decide(&rules(Some(spec::Gate::FineTune)), &repeated(&[50; 4], 50));
    assert_eq!((decision.outcome, decision.possible.as_slice()), (Outcome::Inconclusive, ALL));
    assert_eq!(decision.reasons[2], "4 scenarios with several answers each are too few to decide on: have 5 or more");
    assert!(!decision.gate.unwrap().passed);
    assert_eq!(decide(&rules(None), &repeated(&[50; 60], 50)).outcome, Outcome::Deploy);
}

#[test]
fn examples_say_which_answer_they_are() {
    let decision = decide(&rules(None), &repeated(&[1, 2, 3, 3, 3], 3));
    let places = |examples: &[Example]| -> Vec<(String, u32)> {
        examples.iter().map(|example| (example.scenario.to_string(), example.repetition)).collect()
    };
    assert_eq!(places(&decision.best), [("t0/000".to_owned(), 0), ("t0/003".to_owned(), 0), ("t0/003".to_owned(), 1)]);
    assert_eq!(places(&decision.worst), [("t1/001".to_owned(), 2), ("t0/000".to_owned(), 2), ("t0/000".to_owned(), 1)]);
    assert_eq!(decision.criteria[0].examples[1].repetition, 2);
}

/// So many scenarios of each topic, of which so many pass.
fn by_topic(topics: &[(u64, u64)]) -> Vec<Judged> {
    let of = |(at, (passed, all)): (usize, &(u64, u64))| {
        let (passed, all) = (*passed, *all);
        (0..all).map(move |index| {
            let (grade, score) = if index < passed { (Grade::Pass, 1.0) } else { (Grade::Fail, 0.25) };
            let mut row = row(&format!("t{at}/{index:03}"), "terse", grade, Some(score), &[]);
            row.scenario.axes = BTreeMap::from([("half".to_owned(), (at % 2).to_string())]);
            row
        })
    };
    topics.iter().enumerate().flat_map(of).collect()
}

fn clustered_by(cluster: ClusterBy) -> spec::Decide {
    spec::Decide { cluster, ..rules(None) }
}

#[test]
fn scenarios_of_one_topic_are_a_cluster() {
    let topics: Vec<(u64, u64)> = (0..8).map(|at| ([20, 5, 18, 12][at % 4], 20)).collect();
    let rows = by_topic(&topics);
    let decision = decide(&clustered_by(ClusterBy::Topic), &rows);
    let mut clusters = stats::Clusters::default();
    topics.iter().for_each(|(passed, all)| clusters.add(*passed, *all));
    let stats::ClusteredInterval { interval, n_eff, design_effect, degrees } = clusters.interval(0.95);
    let rate = &decision.rate;
    assert_eq!((rate.lo.to_bits(), rate.hi.to_bits()), (interval.lo.to_bits(), interval.hi.to_bits()));
    assert_eq!(
        rate.clustered,
        Some(ClusteredRate { scenarios: 160, n_eff, design_effect, degrees, clusters: Some(8) })
    );
    assert_eq!((decision.cluster.as_deref(), rate.method.as_str()), (Some("topic"), "wilson_clustered"));
    assert_eq!(
        &decision.reasons[..2],
        [
            "110 of 160 graded scenarios in 8 topics pass: 68.8 % (95 % clustered Wilson interval 41.0–87.4 %)",
            "scenarios of one topic resemble each other: 160 are worth 17.6 that have nothing in common (design effect 9.09)",
        ]
    );
    // What would settle it is more topics, each as large.
    let more = decision.more[0];
    assert_eq!(more.scenarios, more.clusters.map(|clusters| clusters * 20));
    assert!(decision.reasons.iter().any(|reason| {
        reason.contains(&format!(" in {} topics would settle it", stats::text::thousands(more.clusters.unwrap())))
    }));
    // The same rows in any order, and a topic of its own: there the topic is what is asked about.
    let reversed: Vec<&Judged> = rows.iter().rev().collect();
    assert_eq!(decide(&clustered_by(ClusterBy::Topic), reversed).rate, *rate);
    assert_eq!(decision.topics[0].rate.method, "wilson");
    assert_eq!(decision.styles[0].rate, *rate);
}

#[test]
fn who_says_that_scenarios_are_independent_is_told_so() {
    let rows = by_topic(&[(20, 20), (18, 20), (19, 20)]);
    let decision = decide(&clustered_by(ClusterBy::Nothing), &rows);
    assert_eq!((decision.outcome, decision.cluster.as_deref()), (Outcome::Deploy, None));
    let told = "scenarios are taken to be independent of their 3 topics, as `cluster: none` says";
    assert!(decision.reasons.iter().any(|reason| reason == told), "{:?}", decision.reasons);
    // Nothing is taken for granted where there is one topic, and nothing is clustered.
    let one = decide(&clustered_by(ClusterBy::Topic), &by_topic(&[(57, 60)]));
    assert_eq!((one.outcome, one.rate.method.as_str(), one.cluster), (Outcome::Deploy, "wilson", None));
}

#[test]
fn fewer_than_five_topics_decide_nothing() {
    for topics in 2..7 {
        let decision = decide(&clustered_by(ClusterBy::Topic), &by_topic(&vec![(20, 20); topics]));
        let decided = topics >= 5;
        // As many topics as 5 can vouch for little, however well they do.
        assert!(decided || decision.outcome == Outcome::Inconclusive, "{topics}");
        let told = format!("{topics} topics are too few to decide on: ");
        assert_eq!(decision.reasons.iter().any(|reason| reason.starts_with(&told)), !decided, "{topics}");
    }
}

#[test]
fn scenarios_are_clustered_by_an_axis() {
    let decision = decide(&clustered_by(ClusterBy::Axis("half".to_owned())), &by_topic(&[(18, 20); 6]));
    assert_eq!(decision.rate.clustered.and_then(|clustered| clustered.clusters), Some(2));
    assert_eq!(decision.cluster.as_deref(), Some("half"));
    assert!(decision.reasons.iter().any(|reason| reason.starts_with("2 values of `half` are too few")));
    // Those without a value have that in common.
    let decision = decide(&clustered_by(ClusterBy::Axis("other".to_owned())), &by_topic(&[(18, 20); 6]));
    assert_eq!((decision.rate.method.as_str(), decision.cluster), ("wilson", None));
}

#[test]
fn a_suite_that_is_all_there_is_leaves_open_what_nobody_graded() {
    let rules = spec::Decide { target: spec::Target::Suite, ..rules(None) };
    let decision = decide(&rules, &rows([70, 30, 0, 0]));
    let rate = &decision.rate;
    assert_eq!(
        (rate.method.as_str(), rate.lo.to_bits(), rate.hi.to_bits()),
        ("suite", 0.7_f64.to_bits(), 0.7_f64.to_bits())
    );
    assert_eq!(decision.outcome, Outcome::Deploy);
    assert_eq!(
        decision.reasons,
        [
            "70 of 100 graded scenarios pass: 70.0 % (of this suite)",
            "the rate reaches the deploy threshold of 70 %",
            "that is about the scenarios of this suite: others may come out otherwise",
        ]
    );
    let open = decide(&rules, &rows([69, 28, 3, 0]));
    assert_eq!((open.outcome, open.more.len()), (Outcome::Inconclusive, 0));
    let why = "the interval spans the deploy threshold of 70 %, so the decision is open";
    assert!(open.reasons.iter().any(|reason| reason == why), "{:?}", open.reasons);
    assert!((open.rate.lo - 0.69).abs() < 1e-12 && (open.rate.hi - 0.72).abs() < 1e-12);
}
