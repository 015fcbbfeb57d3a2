//! Looks over hand-made rows, and over many runs of made-up models.

use super::super::rated::Manner;
use super::super::tests::{decide, row, rules};
use super::*;
use crate::data::{GateBound, GateCheck, Grade, Sequence, VerdictKind};
use crate::stats::{self, Interval, Random};

const THRESHOLDS: Thresholds = Thresholds { deploy: 0.7, fine_tune: 0.5 };

/// So many scenarios of so many topics in turn, of which about that share passes.
fn rows(scenarios: u64, topics: u64, share: f64) -> Vec<Judged> {
    let of = |index: u64| {
        let passes = Random::new(3, "rows", index).share() < share;
        let (grade, verdict) = if passes { (Grade::Pass, VerdictKind::Pass) } else { (Grade::Fail, VerdictKind::Fail) };
        let score = Some(if passes { 1.0 } else { 0.25 });
        row(&format!("t{}/{index}", index % topics), "terse", grade, score, &[("kind", verdict)])
    };
    (0..scenarios).map(of).collect()
}

/// The round of the first look: the last that has twenty scenarios or more.
fn first_look(scenarios: u64) -> u32 {
    (0..20).rev().find(|round| sample::expected(scenarios, *round) >= 20).unwrap_or(0)
}

fn look_at(rules: &spec::Decide, rows: &[Judged], looks: Looks) -> Decision {
    let rules = spec::Decide { sequential: Some(looks), ..rules.clone() };
    let unit = if rules.target == Target::Suite { &ClusterBy::Nothing } else { &rules.cluster };
    let is_looked_at =
        |row: &&Judged| sample::round_of(sample::place(rules.seed, unit, &row.scenario), looks.first) >= looks.now;
    decide(&rules, rows.iter().filter(is_looked_at))
}

/// The decisions of all looks that are had, one after the other.
fn run(rules: &spec::Decide, rows: &[Judged]) -> Vec<Decision> {
    let mut ids: Vec<_> = rows.iter().map(|row| row.scenario.id.as_str()).collect();
    ids.dedup();
    let scenarios = ids.len() as u64;
    let first = first_look(scenarios);
    let mut found = Vec::new();
    for now in (0..=first).rev() {
        found.push(look_at(rules, rows, Looks { first, now, scenarios }));
        if found.last().is_some_and(|decision| !decision.goes_on()) {
            break;
        }
    }
    found
}

fn last(rules: &spec::Decide, rows: &[Judged]) -> Decision {
    run(rules, rows).pop().unwrap()
}

fn looked(decision: &Decision) -> &Looked {
    decision.sequential.as_ref().unwrap()
}

fn same(a: f64, b: f64) -> bool {
    a.to_bits() == b.to_bits()
}

#[test]
fn a_clear_model_is_settled_early() {
    for (share, outcome) in [(0.97, Outcome::Deploy), (0.1, Outcome::FullPipeline)] {
        let found = run(&rules(None), &rows(600, 7, share));
        let decision = found.last().unwrap();
        let looked = looked(decision);
        assert!(looked.is_early() && !decision.goes_on() && decision.outcome == outcome);
        assert!(looked.scenarios < 150 && looked.of == 600 && looked.scenarios == decision.counts.total);
        assert_eq!((looked.method, decision.rate.method.as_str()), (Sequence::BetaBinomial, "beta_binomial"));
        assert!(same(decision.rate.confidence, 0.99) && same(looked.alpha_early, 0.01));
        let expected = stats::confidence_sequence(
            decision.counts.passed,
            decision.counts.failed,
            looked.alpha_early,
            stats::BetaPrior::USUAL,
        );
        assert!(same(decision.rate.lo, expected.lo) && same(decision.rate.hi, expected.hi));
        assert_eq!(looked.looks.len(), found.len(), "one look a round");
        let told = format!(
            "settled after {} of 600 scenarios, at look {}: the interval holds however often one looks (99 %)",
            looked.scenarios,
            found.len()
        );
        assert_eq!(decision.reasons[1], told);
        assert!(decision.reasons[0].contains("99 % confidence sequence"), "{:?}", decision.reasons);
        // Every look is told again by those after it, bit for bit.
        for (number, earlier) in found.iter().enumerate() {
            assert_eq!(self::looked(earlier).looks, looked.looks[..=number]);
        }
        // What is not settled yet says nothing of it.
        assert!(
            found[..found.len() - 1].iter().all(|decision| !decision.reasons.iter().any(|r| r.contains("settled")))
        );
    }
}

#[test]
fn what_is_never_settled_early_is_decided_by_what_is_left() {
    let all = rows(300, 7, 0.62);
    let found = run(&rules(None), &all);
    let decision = found.last().unwrap();
    let looked = looked(decision);
    assert!(found.len() == 7 && looked.stopped && !looked.is_early() && looked.looks.len() == 7);
    let expected = decide(&spec::Decide { confidence: 0.96, ..rules(None) }, &all);
    assert_eq!(decision.rate, expected.rate);
    assert_eq!((&decision.criteria, &decision.topics), (&expected.criteria, &expected.topics));
    assert!(same(looked.looks[6].lo, expected.rate.lo), "the last look is the interval that decides");
    assert_eq!(
        decision.reasons[1],
        "6 looks at parts of the scenarios settled nothing and had 1 % of the chance of error: that leaves an interval of 96 %"
    );
}

#[test]
fn one_look_costs_nothing() {
    for scenarios in [0, 1, 29] {
        let all = rows(scenarios, 3, 0.9);
        let mut decision = last(&rules(None), &all);
        let looked = decision.sequential.take().unwrap();
        assert!(looked.stopped && !looked.is_early() && looked.looks.len() == 1 && same(looked.alpha_early, 0.0));
        decision.reasons.retain(|reason| !reason.starts_with("all was looked at once: "));
        assert_eq!(decision, decide(&rules(None), &all), "{scenarios}");
    }
    let once = decide(&rules(None), &rows(300, 7, 0.9));
    assert!(!once.goes_on() && !serde_json::to_string(&once).unwrap().contains("sequential"));
}

#[test]
fn a_decision_can_be_read_again() {
    // Of a suite of which all but a few are drawn, evidence becomes infinite.
    let suite = spec::Decide { target: Target::Suite, ..rules(None) };
    for rules in [rules(None), suite, spec::Decide { cluster: ClusterBy::Topic, ..rules(None) }] {
        for decision in run(&rules, &rows(300, 60, 0.66)) {
            let text = serde_json::to_string(&decision).unwrap();
            assert_eq!(serde_json::from_str::<Decision>(&text).unwrap(), decision);
        }
    }
}

#[test]
fn fewer_than_twenty_scenarios_settle_nothing() {
    let looks = Looks { first: 3, now: 1, scenarios: 60 };
    for (scenarios, goes_on) in [(26, true), (60, false)] {
        let decision = look_at(&rules(None), &rows(scenarios, 1, 0.0), looks);
        let looked_at = decision.counts.total;
        assert!((looked_at < 20) == goes_on && looked_at < scenarios, "{looked_at}");
        assert_eq!((decision.outcome, decision.goes_on()), (Outcome::FullPipeline, goes_on), "{looked_at}");
    }
}

fn gate(status: GateStatus) -> GateCheck {
    GateCheck {
        metric: "criterion".to_owned(),
        of: Some("kind".to_owned()),
        bound: GateBound::AtLeast(0.9),
        value: Some(0.95),
        interval: Some([0.8, 0.99]),
        base: None,
        n: 40,
        status,
    }
}

#[test]
fn an_open_gate_holds_up_a_stop() {
    let stopped = last(&rules(None), &rows(600, 7, 0.97));
    for (statuses, goes_on) in [
        (&[][..], false),
        (&[GateStatus::Passed, GateStatus::Failed], false),
        (&[GateStatus::Passed, GateStatus::Inconclusive], true),
    ] {
        let gates: Vec<GateCheck> = statuses.iter().map(|status| gate(*status)).collect();
        let mut decision = Decision { gates, ..stopped.clone() };
        conclude(&mut decision);
        assert_eq!(decision.goes_on(), goes_on, "{statuses:?}");
        let is_told = decision.reasons.iter().any(|reason| reason.starts_with("settled after"));
        assert_eq!(is_told, !goes_on, "{statuses:?}");
    }
    // At the end there is nothing to wait for.
    let mut end = Decision { gates: vec![gate(GateStatus::Inconclusive)], ..last(&rules(None), &rows(300, 7, 0.62)) };
    let before = end.clone();
    conclude(&mut end);
    assert!(!end.goes_on() && end == before);
}

#[test]
fn what_gates_are_held_against_shares_the_error_of_all_looks() {
    let found = run(&rules(None), &rows(600, 7, 0.62));
    let [first, .., end] = &found[..] else { panic!("it is looked at more than once") };
    let looks = f64::from(first_look(600));
    for rate in [&first.criteria[0].rate, &first.topics[0].rate, &first.styles[0].rate] {
        assert!((rate.confidence - (1.0 - 0.01 / looks)).abs() < 1e-12, "{}", rate.confidence);
    }
    assert!(same(end.criteria[0].rate.confidence, 0.96));
    let wide = first.score_interval.unwrap();
    let base = of_base(&spec::Decide { sequential: Some(Looks { first: 7, now: 2, scenarios: 600 }), ..rules(None) });
    assert!(base.sequential.is_none() && (base.confidence - (1.0 - 0.01 / 7.0)).abs() < 1e-12);
    let at_end = spec::Decide { sequential: Some(Looks { first: 7, now: 0, scenarios: 600 }), ..rules(None) };
    assert!(same(of_base(&at_end).confidence, 0.96));
    let once = spec::Decide { sequential: Some(Looks { first: 0, now: 0, scenarios: 20 }), ..rules(None) };
    assert!(same(of_base(&once).confidence, 0.95));
    assert!(wide.hi - wide.lo > 0.3, "{wide:?}");
}

#[test]
fn what_is_blocked_early_may_be_chance() {
    let mut all = rows(600, 7, 0.97);
    // All that is seen at the first looks is ungraded; in the end it is less than allowed.
    let first = first_look(600);
    let early = |row: &Judged| sample::round_of(sample::place(0, &ClusterBy::Nothing, &row.scenario), first) >= first;
    let ungraded = all.iter_mut().filter(|row| early(row)).map(|row| row.grade = Grade::Ungraded).count();
    assert!(ungraded > 10 && ungraded < 40, "{ungraded}");
    let found = run(&rules(None), &all);
    assert!(found[0].outcome == Outcome::Blocked && found[0].goes_on());
    assert_eq!(found.last().unwrap().outcome, Outcome::Deploy);
    // What stays blocked is looked at to its end.
    all.iter_mut().for_each(|row| row.grade = Grade::Invalid);
    let found = run(&rules(None), &all);
    assert!(found.len() == first as usize + 1 && found.last().unwrap().outcome == Outcome::Blocked);
}

#[test]
fn a_part_of_a_suite_leaves_open_what_is_not_drawn() {
    let rules = spec::Decide { target: Target::Suite, cluster: ClusterBy::Topic, ..rules(None) };
    let mut all = rows(300, 2, 0.9);
    let found = run(&rules, &all);
    let decision = found.last().unwrap();
    let looked = looked(decision);
    // Two topics are no matter: scenarios are drawn.
    assert!(looked.is_early() && decision.outcome == Outcome::Deploy && decision.suite_only);
    assert_eq!((looked.method, decision.rate.method.as_str()), (Sequence::SuiteSequence, "suite_sequence"));
    let Decision { counts, rate, .. } = decision;
    let passes = stats::suite_confidence_sequence(counts.passed, counts.total, 300, 0.01, stats::BetaPrior::EVEN);
    assert!(same(rate.lo, passes.lo as f64 / 300.0) && same(rate.hi, passes.hi as f64 / 300.0));
    assert!(decision.reasons[0].contains(" for the whole suite"), "{:?}", decision.reasons);
    assert!(decision.reasons.contains(&"the whole interval reaches the deploy threshold of 70 %".to_owned()));
    // Criteria and scores are no longer exact, and neither are gates on them.
    assert_eq!(decision.criteria[0].rate.method, "suite_part");
    assert!(decision.criteria[0].rate.lo < rate.point.unwrap() && decision.score_interval.is_some());
    // Those without a grade may be either.
    let graded = rate.clone();
    all.iter_mut().step_by(30).for_each(|row| row.grade = Grade::Ungraded);
    all.iter_mut().skip(1).step_by(60).for_each(|row| row.grade = Grade::Invalid);
    let looks = Looks { first: looked.looks[0].round, now: looked.looks.last().unwrap().round, scenarios: 300 };
    let open = look_at(&rules, &all, looks).rate;
    assert!(open.lo < graded.lo && open.hi - open.lo > graded.hi - graded.lo, "{open:?} {graded:?}");
    // At its end a suite is exact.
    let all = rows(300, 2, 0.69);
    let found = run(&rules, &all);
    let end = found.last().unwrap();
    assert!(!self::looked(end).is_early() && end.rate.method == "suite" && same(end.rate.lo, end.rate.hi));
    assert_eq!(end.score_interval, None);
}

#[test]
fn a_handful_of_topics_cannot_be_settled_early_and_loses_nothing() {
    let by_topic = spec::Decide { cluster: ClusterBy::Topic, ..rules(None) };
    for topics in [1, 2, 8, 12] {
        let all = rows(400, topics, 0.97);
        let found = run(&by_topic, &all);
        let decision = found.last().unwrap();
        assert_eq!(found.len(), first_look(400) as usize + 1, "{topics}");
        let looked = looked(decision);
        assert!(same(looked.alpha_early, 0.0) && looked.looks.len() == 1 && looked.stopped);
        let ordinary = decide(&by_topic, &all);
        assert_eq!((&decision.rate, decision.outcome), (&ordinary.rate, ordinary.outcome));
        let told = format!("all was looked at: no part of {} could", stats::text::count(topics, "topic"));
        assert!(decision.reasons[1].starts_with(&told), "{:?}", decision.reasons);
    }
}

#[test]
fn many_topics_are_bet_on() {
    let by_topic = spec::Decide { cluster: ClusterBy::Topic, ..rules(None) };
    let found = run(&by_topic, &rows(1_000, 200, 0.95));
    let decision = found.last().unwrap();
    let looked = looked(decision);
    assert!(looked.is_early() && decision.outcome == Outcome::Deploy && looked.scenarios < 600, "{looked:?}");
    assert_eq!((looked.method, decision.rate.method.as_str()), (Sequence::Betting, "betting"));
    let clusters = looked.looks.last().unwrap().clusters.unwrap();
    assert_eq!(clusters.number * 5, looked.scenarios, "whole topics are drawn");
    for (number, earlier) in found.iter().enumerate() {
        assert_eq!(self::looked(earlier).looks, looked.looks[..=number]);
    }
    // Where topics are of unequal size, the interval is sure of the rate of all rows too.
    let mut all = rows(1_000, 200, 1.0);
    for index in 0..600 {
        all.push(row(&format!("t0/more{index}"), "terse", Grade::Fail, Some(0.0), &[("kind", VerdictKind::Fail)]));
    }
    for decision in run(&by_topic, &all) {
        let rate = &decision.rate;
        assert!(rate.point.is_none_or(|point| rate.lo <= point && point <= rate.hi), "{rate:?}");
        assert!(self::looked(&decision).looks[0].scenarios < 500 || decision.outcome != Outcome::Deploy);
    }
}

/// Each scenario so often.
fn repeated(rows: &[Judged], times: u32) -> Vec<Judged> {
    let of = |row: &Judged| (0..times).map(|repetition| Judged { repetition, ..row.clone() }).collect::<Vec<_>>();
    rows.iter().flat_map(of).collect()
}

#[test]
fn several_answers_to_a_scenario_are_one_bet() {
    let all = repeated(&rows(600, 7, 0.97), 3);
    let decision = last(&rules(None), &all);
    let looked = looked(&decision);
    assert!(looked.is_early() && looked.method == Sequence::Betting && decision.outcome == Outcome::Deploy);
    let look = looked.looks.last().unwrap();
    assert_eq!(look.clusters.unwrap().number, looked.scenarios);
    assert_eq!(look.passed + look.failed, 3 * looked.scenarios);
    assert_eq!(decision.counts.scenarios, Some(looked.scenarios));
    // The first scenario has its answers like all others, graded or not.
    let mut late = all.clone();
    late.iter_mut().step_by(3).for_each(|row| row.grade = Grade::Ungraded);
    let lenient = spec::Decide { max_ungraded: 1.0, ..rules(None) };
    let decision = last(&lenient, &late);
    let look = self::looked(&decision).looks.last().unwrap();
    assert_eq!(look.passed + look.failed, 2 * look.clusters.unwrap().number);
}

#[test]
fn a_table_that_is_neither_is_never_settled_early() {
    let single = rows(300, 7, 0.97);
    let all: Vec<Judged> = single.iter().take(150).cloned().chain(repeated(&single[150..], 2)).collect();
    let found = run(&rules(None), &all);
    assert_eq!(found.len(), first_look(300) as usize + 1);
    assert!(same(looked(found.last().unwrap()).alpha_early, 0.0));
    assert_eq!(found.last().unwrap().rate, decide(&rules(None), &all).rate);
}

#[test]
fn evidence_says_what_the_interval_says() {
    let suite = spec::Decide { target: Target::Suite, ..rules(None) };
    let by_topic = spec::Decide { cluster: ClusterBy::Topic, ..rules(None) };
    let limit = stats::float::ln(100.0);
    let (mut ruled_out, mut left) = (0, 0);
    for share in [0.3, 0.55, 0.75, 0.9] {
        for rules in [&rules(None), &suite, &by_topic] {
            let all = rows(300, 100, share);
            let looks = Looks { first: first_look(300), now: 0, scenarios: 300 };
            let decision = look_at(rules, &all, looks);
            for look in looked(&decision).looks.iter().filter(|look| look.round > 0) {
                for (evidence, threshold) in [(look.log_evidence.deploy, 0.7), (look.log_evidence.fine_tune, 0.5)] {
                    let is_ruled_out = look.lo >= threshold || look.hi < threshold;
                    assert_eq!(evidence.is_none_or(|evidence| evidence >= limit), is_ruled_out, "{look:?} {threshold}");
                    *(if is_ruled_out { &mut ruled_out } else { &mut left }) += 1;
                }
            }
        }
    }
    assert!(ruled_out > 20 && left > 20, "{ruled_out} {left}");
}

#[test]
fn the_order_is_drawn_with_the_seed() {
    let all = rows(600, 7, 0.9);
    let counts = |seed| last(&spec::Decide { seed, ..rules(None) }, &all).counts;
    assert_eq!(counts(1), counts(1));
    assert_ne!(counts(1), counts(2));
}

/// What a run of the whole design comes to: the outcome, the share of scenarios that were looked at, and whether an early interval
/// misses the truth.
struct Ran {
    outcome: Outcome,
    share: f64,
    missed_early: bool,
}

/// One run over units at random places, each with its grades.
fn ran(rules: &spec::Decide, of: u64, truth: f64, units: impl Iterator<Item = (u64, Vec<bool>)>) -> Ran {
    let looks = Looks { first: first_look(of), now: 0, scenarios: of };
    let mut looking = Looking::new(&spec::Decide { sequential: Some(looks), ..rules.clone() }).unwrap();
    let mut clusters = stats::Clusters::default();
    let (mut passed, mut all) = (0, 0);
    for (place, grades) in units {
        for pass in &grades {
            looking.seen.add(place, if *pass { Grade::Pass } else { Grade::Fail }, true);
        }
        let passes = grades.iter().filter(|pass| **pass).count() as u64;
        clusters.add(passes, grades.len() as u64);
        (passed, all) = (passed + passes, all + grades.len() as u64);
    }
    let manner = Manner { confidence: rules.confidence, suite_only: false, is_part: false };
    let Manner { confidence, .. } = looking.manner(manner, &THRESHOLDS);
    let interval = match (rules.target, &rules.cluster) {
        (Target::Suite, _) => Interval { lo: passed as f64 / all as f64, hi: passed as f64 / all as f64 },
        (Target::Population, ClusterBy::Nothing) => stats::wilson(passed as f64, all as f64, confidence),
        (Target::Population, _) => clusters.interval(confidence).interval,
    };
    let mut rate = decide(rules, []).rate;
    (rate.lo, rate.hi) = (interval.lo, interval.hi);
    let looked = looking.look(&mut rate, &THRESHOLDS);
    let outcome = |look: &Look| stats::outcome_by_interval(Interval { lo: look.lo, hi: look.hi }, &THRESHOLDS);
    let early = |look: &&Look| look.round > 0;
    let stop = |look: &&Look| {
        let mut at = Looked { looks: vec![(*look).clone()], scenarios: look.scenarios, ..looked.clone() };
        settle(&mut at, outcome(look));
        at.stopped
    };
    let last = looked.looks.iter().find(stop).unwrap();
    Ran {
        outcome: outcome(last),
        share: last.scenarios as f64 / all as f64,
        missed_early: looked.looks.iter().filter(early).any(|look| truth < look.lo || look.hi < truth),
    }
}

/// Share of runs with a wrong outcome, mean share of the scenarios, share of runs with an early interval that misses.
fn simulated(runs: u64, truth: f64, run: impl Fn(u64) -> Ran) -> [f64; 3] {
    let right = stats::outcome_at(truth, &THRESHOLDS);
    let mut sums = [0.0; 3];
    for number in 0..runs {
        let Ran { outcome, share, missed_early } = run(number);
        let is_wrong = outcome != right && outcome != Outcome::Inconclusive;
        let found = [f64::from(u8::from(is_wrong)), share, f64::from(u8::from(missed_early))];
        sums.iter_mut().zip(found).for_each(|(sum, found)| *sum += found);
    }
    sums.map(|sum| sum / runs as f64)
}

/// Three standard errors above the level.
fn at_most(level: f64, runs: u64) -> f64 {
    level + 3.0 * (level * (1.0 - level) / runs as f64).sqrt()
}

#[test]
fn the_design_keeps_its_level_and_saves_most_of_clear_models() {
    let (runs, of) = (400, 300);
    for (p, most_asked) in [(0.3, 0.4), (0.6, 1.0), (0.72, 1.0), (0.8, 0.9), (0.9, 0.4)] {
        let [wrong, asked, missed] = simulated(runs, p, |run| {
            let mut random = Random::new(7, "design of looks", run);
            let units: Vec<(u64, Vec<bool>)> = (0..of).map(|_| (random.bits(), vec![random.share() < p])).collect();
            ran(&rules(None), of, p, units.into_iter())
        });
        assert!(wrong <= at_most(0.05, runs) && missed <= at_most(0.01, runs), "{p}: {wrong} {missed}");
        assert!(asked <= most_asked, "{p}: {asked}");
    }
    // On the threshold itself, what is left of the level is used.
    let [wrong, asked, missed] = simulated(runs, 0.7, |run| {
        let mut random = Random::new(8, "design of looks", run);
        let units: Vec<(u64, Vec<bool>)> = (0..of).map(|_| (random.bits(), vec![random.share() < 0.7])).collect();
        ran(&rules(None), of, 0.7, units.into_iter())
    });
    assert!(missed <= at_most(0.01, runs) && asked > 0.9, "{missed} {asked}");
    assert!(wrong <= at_most(0.025, runs) && wrong > 0.005, "{wrong}");
}

#[test]
fn looking_into_a_suite_keeps_its_level() {
    let (runs, of) = (300, 200);
    let suite = spec::Decide { target: Target::Suite, ..rules(None) };
    for (passes, most_asked) in [(60, 0.5), (139, 1.0), (180, 0.5)] {
        let truth = passes as f64 / of as f64;
        let [wrong, asked, missed] = simulated(runs, truth, |run| {
            let mut random = Random::new(7, "suite of looks", run);
            let units: Vec<(u64, Vec<bool>)> = (0..of).map(|index| (random.bits(), vec![index < passes])).collect();
            ran(&suite, of, truth, units.into_iter())
        });
        // At its end it is exact, so all error is early.
        assert!(wrong <= at_most(0.01, runs) && missed <= at_most(0.01, runs), "{passes}: {wrong} {missed}");
        assert!(asked <= most_asked, "{passes}: {asked}");
    }
}

#[test]
fn looking_at_topics_keeps_its_level() {
    let (runs, topics, each) = (200, 120, 5);
    let by_topic = spec::Decide { cluster: ClusterBy::Topic, ..rules(None) };
    // Topics are hard or easy, so that scenarios of one resemble each other.
    for (easy, most_asked) in [(0.2, 0.8), (0.6, 1.0), (0.95, 0.8)] {
        let truth = easy * 0.95 + (1.0 - easy) * 0.1;
        let [wrong, asked, missed] = simulated(runs, truth, |run| {
            let mut random = Random::new(7, "topics of looks", run);
            let units: Vec<(u64, Vec<bool>)> = (0..topics)
                .map(|_| {
                    let place = random.bits();
                    let p = if random.share() < easy { 0.95 } else { 0.1 };
                    (place, (0..each).map(|_| random.share() < p).collect())
                })
                .collect();
            ran(&by_topic, topics * each, truth, units.into_iter())
        });
        assert!(wrong <= at_most(0.05, runs) && missed <= at_most(0.01, runs), "{easy}: {wrong} {missed}");
        assert!(asked <= most_asked, "{easy}: {asked}");
    }
}

#[test]
fn what_could_be_settled_is_known_without_a_verdict() {
    for units in 0..60_u64 {
        let extremes = [0.0, 1.0].map(|score| {
            let mut betting = Betting::new(0.01);
            (0..units).for_each(|_| betting.add(score));
            stats::outcome_by_interval(betting.confidence_sequence(), &THRESHOLDS) != Outcome::Inconclusive
        });
        let is_settled = extremes.contains(&true);
        assert!(could_settle(units, 0.01, &THRESHOLDS) || !is_settled, "{units}");
    }
    assert!(!could_settle(13, 0.01, &THRESHOLDS) && could_settle(14, 0.01, &THRESHOLDS));
}
