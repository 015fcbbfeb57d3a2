//! What failures cost, where they are, and what would mend them.
//!
//! A failed reply is graded once more as if a criterion had passed, one with a scale at the lowest level that does: what meets the rule
//! then is what mending that criterion returns. Replies with the same verdicts and levels are one pattern, so that this takes as long as there are patterns. Start at
//! [`failure_modes`].

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::criteria::CriterionTally;
use super::rated::{PassFail, Stability};
use crate::data::{
    Clue, FailureMode, FailureModes, FailurePair, FailurePlace, Grade, Remedy, Thresholds, Verdict, VerdictKind,
};
use crate::ids::CriterionId;
use crate::judge::{Standing, grade};
use crate::spec::{Ask, Criterion, Rubric};
use crate::stats::{Interval, binomial_at_most, holm, wilson};

/// The verdicts of failed replies, and how many have them.
pub(super) type Patterns = BTreeMap<Vec<Standing>, u64>;

/// Pairs that are shown.
const PAIRS: usize = 3;

/// Criteria of which pairs are tried, those with most failures.
const PAIRED: usize = 12;

/// Places that are named of a criterion.
const PLACES: usize = 3;

/// Fewer failures than this are not called a concentration.
const FEWEST_FAILURES: u64 = 3;

/// The chance below which a concentration is told.
const SURE: f64 = 0.05;

/// All that failures are made from.
pub(super) struct Failures<'a> {
    pub(super) rubric: &'a Rubric,
    pub(super) patterns: &'a Patterns,
    pub(super) criteria: &'a mut BTreeMap<CriterionId, CriterionTally>,
    /// Replies that count.
    pub(super) grades: PassFail,
    pub(super) thresholds: Thresholds,
}

/// What the failures of a table come to; none where nothing failed.
pub(super) fn failure_modes(failures: Failures<'_>) -> Option<FailureModes> {
    let Failures { rubric, patterns, criteria, grades, thresholds } = failures;
    if grades.failed == 0 {
        return None;
    }
    let rate = |returned: u64| (grades.passed + returned) as f64 / grades.all() as f64;
    let mut modes: Vec<FailureMode> = Vec::new();
    for (at, criterion) in rubric.criteria.iter().enumerate() {
        let Some(tally) = criteria.get_mut(&criterion.id) else { continue };
        let failed = sum(patterns.iter().filter(|(verdicts, _)| verdicts[at].verdict == VerdictKind::Fail));
        if failed == 0 {
            continue;
        }
        let returned = returned(rubric, patterns, &[at]);
        let places = places(tally);
        let clues = clues(tally, &places, &criterion.ask);
        let all = tally.verdicts.counts().failed;
        let examples =
            if places.is_empty() { to_collect(all) } else { places.iter().map(|place| place.examples).sum() };
        modes.push(FailureMode {
            criterion: criterion.id.clone(),
            failed,
            returned,
            rate: rate(returned),
            places,
            examples,
            remedy: remedy(&clues),
            clues,
        });
    }
    modes.sort_by_key(|mode| (Reverse(mode.returned), Reverse(mode.failed), mode.criterion.clone()));
    let alone_suffices = modes.iter().any(|mode| mode.rate >= thresholds.deploy);
    let pairs = if alone_suffices { Vec::new() } else { pairs(rubric, patterns, &modes, rate) };
    Some(FailureModes { failed: grades.failed, modes, pairs })
}

fn sum<'a>(patterns: impl Iterator<Item = (&'a Vec<Standing>, &'a u64)>) -> u64 {
    patterns.map(|(_, number)| number).sum()
}

/// How many failed replies would meet the rule if these criteria passed wherever they fail.
fn returned(rubric: &Rubric, patterns: &Patterns, mended: &[usize]) -> u64 {
    let would_pass = |verdicts: &Vec<Standing>| {
        let mut then = verdicts.clone();
        let mut is_other = false;
        for at in mended {
            if then[*at].verdict == VerdictKind::Fail {
                is_other = true;
                then[*at] = just_passed(&rubric.criteria[*at], then[*at]);
            }
        }
        is_other && grade(rubric, &then).grade == Grade::Pass
    };
    sum(patterns.iter().filter(|(verdicts, _)| would_pass(verdicts)))
}

/// How a criterion comes out that passes and no more. Where a majority fails what is high on average, the level stays.
fn just_passed(criterion: &Criterion, now: Standing) -> Standing {
    let level = match &criterion.ask {
        Ask::Scale(scale) => Some(f64::from(scale.pass_at).max(now.level.unwrap_or(0.0))),
        Ask::Question(_) | Ask::Check(_) | Ask::Command { .. } => None,
    };
    Standing { verdict: VerdictKind::Pass, level }
}

/// The pairs that return more than the better of the two alone.
fn pairs(rubric: &Rubric, patterns: &Patterns, modes: &[FailureMode], rate: impl Fn(u64) -> f64) -> Vec<FailurePair> {
    let mut most: Vec<&FailureMode> = modes.iter().collect();
    most.sort_by_key(|mode| Reverse(mode.failed));
    most.truncate(PAIRED);
    let tried: Vec<(usize, u64)> = rubric
        .criteria
        .iter()
        .enumerate()
        .filter_map(|(at, criterion)| {
            let mode = most.iter().find(|mode| mode.criterion == criterion.id)?;
            Some((at, mode.returned))
        })
        .collect();
    let mut found = Vec::new();
    for (index, (one, alone)) in tried.iter().enumerate() {
        for (other, other_alone) in &tried[index + 1..] {
            let returned = returned(rubric, patterns, &[*one, *other]);
            if returned > *alone.max(other_alone) {
                let criteria = [one, other].map(|at| rubric.criteria[*at].id.clone());
                found.push(FailurePair { criteria, returned, rate: rate(returned) });
            }
        }
    }
    found.sort_by_key(|pair| (Reverse(pair.returned), pair.criteria.clone()));
    found.truncate(PAIRS);
    found
}

/// Ten for each failure that was seen: where a model fails one time in ten, as many as it would meet in a hundred tries.
fn to_collect(failed: u64) -> u64 {
    failed.saturating_mul(10).clamp(20, 500)
}

/// Where the criterion fails more often than in the whole suite: one-sided binomial tests of every topic, style and cell of both.
///
/// Where scenarios have several answers, those to one count as one: they are no further evidence.
fn places(tally: &mut CriterionTally) -> Vec<FailurePlace> {
    let all = tally.verdicts.counts();
    let (scenarios, _) = tally.verdicts.scenarios();
    let answers = all.all().div_ceil(scenarios.max(1)).max(1);
    let overall = all.failed as f64 / all.all().max(1) as f64;
    let p = |counts: PassFail| {
        let (failed, graded) = (counts.failed / answers, counts.all() / answers);
        let is_more = failed >= FEWEST_FAILURES && counts.failed as f64 > overall * counts.all() as f64;
        if is_more { 1.0 - binomial_at_most(failed - 1, graded, overall) } else { 1.0 }
    };
    let topics = tally.topics();
    let styles = tally.styles();
    let topic = |(name, counts): (&&str, &PassFail)| (Some((*name).to_owned()), None, *counts);
    let style = |(name, counts): (&&str, &PassFail)| (None, Some((*name).to_owned()), *counts);
    let mut looked_at: Vec<(Option<String>, Option<String>, PassFail)> = Vec::new();
    looked_at.extend(topics.iter().filter(|_| topics.len() > 1).map(topic));
    looked_at.extend(styles.iter().filter(|_| styles.len() > 1).map(style));
    if topics.len() > 1 && styles.len() > 1 {
        for (topic, styles) in &tally.cells {
            looked_at.extend(styles.iter().map(|(style, counts)| (Some(topic.clone()), Some(style.clone()), *counts)));
        }
    }
    let chances: Vec<f64> = looked_at.iter().map(|(_, _, counts)| p(*counts)).collect();
    let mut found: Vec<FailurePlace> = looked_at
        .into_iter()
        .zip(holm(&chances))
        .filter(|(_, p)| *p < SURE)
        .map(|((topic, style, counts), p)| FailurePlace {
            topic,
            style,
            failed: counts.failed,
            graded: counts.all(),
            p,
            examples: to_collect(counts.failed),
        })
        .collect();
    found.sort_by(|a, b| a.p.total_cmp(&b.p).then(b.failed.cmp(&a.failed)));
    let mut kept: Vec<FailurePlace> = Vec::new();
    for place in found {
        if kept.len() < PLACES && !kept.iter().any(|other| overlap(other, &place)) {
            kept.push(place);
        }
    }
    kept
}

/// Whether some reply may be in both.
fn overlap(one: &FailurePlace, other: &FailurePlace) -> bool {
    let may_be = |one: &Option<String>, other: &Option<String>| one.is_none() || other.is_none() || one == other;
    may_be(&one.topic, &other.topic) && may_be(&one.style, &other.style)
}

/// What speaks for data and what for the system around the model.
fn clues(tally: &mut CriterionTally, places: &[FailurePlace], ask: &Ask) -> Vec<Clue> {
    let counts = tally.verdicts.counts();
    let (_, stability) = tally.verdicts.scenarios();
    let clue = |speaks_for, text: String| Clue { speaks_for, text };
    let mut clues: Vec<Clue> = Vec::new();
    let topics = tally.topics();
    let failing = topics.values().filter(|counts| counts.failed > 0).count();
    if let Some(place) = places.first() {
        let elsewhere = (counts.failed - place.failed, counts.all() - place.graded);
        clues.push(clue(
            Remedy::Data,
            format!(
                "it fails in {} of {} replies of one place and in {} of {} elsewhere, which is not chance",
                place.failed, place.graded, elsewhere.0, elsewhere.1
            ),
        ));
    } else if topics.len() >= 3 && failing == topics.len() {
        let text = format!("it fails in all {failing} topics, in none so much more often that it could not be chance");
        clues.push(clue(Remedy::Architecture, text));
    } else if topics.len() > 1 {
        let text = format!("it fails in {failing} of {} topics, too seldom to say where", topics.len());
        clues.push(clue(Remedy::Unclear, text));
    }
    let Interval { lo, hi } = wilson(counts.passed as f64, counts.all() as f64, 0.95);
    let seen = format!("{} of {}", counts.passed, counts.all());
    if hi < 0.2 {
        clues.push(clue(
            Remedy::Architecture,
            format!("hardly any reply passes it, {seen}: it may be beyond the model"),
        ));
    } else if lo > 0.5 {
        clues.push(clue(Remedy::Data, format!("most replies pass it, {seen}: the model is able to")));
    }
    clues.push(match ask {
        Ask::Check(_) | Ask::Command { command: _, negated: _ } => clue(
            Remedy::Architecture,
            "code decides it: a matter of form, which a prompt, a template or constrained output mends for less"
                .to_owned(),
        ),
        Ask::Question(_) | Ask::Scale(_) => clue(Remedy::Data, "a judge decides it: a matter of content".to_owned()),
    });
    clues.extend(steadiness(stability));
    clues
}

fn steadiness(Stability { always, sometimes }: Stability) -> Option<Clue> {
    let all = always + sometimes;
    if all < FEWEST_FAILURES {
        return None;
    }
    let (speaks_for, text) = if always * 3 >= all * 2 {
        (Remedy::Data, format!("in {always} of {all} scenarios that fail, all answers do: the model knows no better"))
    } else if sometimes * 3 >= all * 2 {
        let text =
            format!("in {sometimes} of {all} scenarios that fail, some answers pass: it is able to, and unsteady");
        (Remedy::Architecture, text)
    } else {
        let text = format!("all answers fail in {always} of {all} scenarios that fail, and some in {sometimes}");
        (Remedy::Unclear, text)
    };
    Some(Clue { speaks_for, text })
}

/// What most clues speak for.
fn remedy(clues: &[Clue]) -> Remedy {
    let votes = |remedy| clues.iter().filter(|clue| clue.speaks_for == remedy).count();
    match votes(Remedy::Data).cmp(&votes(Remedy::Architecture)) {
        std::cmp::Ordering::Greater => Remedy::Data,
        std::cmp::Ordering::Less => Remedy::Architecture,
        std::cmp::Ordering::Equal => Remedy::Unclear,
    }
}

/// A criterion's place in the rubric is that of its verdict in a row.
pub(super) fn pattern(rubric: &Rubric, verdicts: &[Verdict]) -> Option<Vec<Standing>> {
    (verdicts.len() == rubric.criteria.len()).then(|| verdicts.iter().map(Standing::from).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Decision, Judged};
    use crate::spec::{PassRule, Scale};
    use crate::stage::decide::tests::{decide, row, rules};
    use VerdictKind::{Fail, Pass};

    /// A row in such a topic and style, which fails the criteria named. All must pass: see the rubric of these tests.
    fn judged(number: u32, topic: &str, style: &str, failing: &[&str]) -> Judged {
        let names = ["helpline", "kind", "short"];
        let verdicts = names.map(|name| (name, if failing.contains(&name) { Fail } else { Pass }));
        let passed = names.len() - failing.len();
        let grade = if passed * 2 >= names.len() { Grade::Pass } else { Grade::Fail };
        row(&format!("{topic}/{number}"), style, grade, Some(passed as f64 / 3.0), &verdicts)
    }

    fn modes(rows: &[Judged]) -> (Decision, FailureModes) {
        let decision = decide(&rules(None), rows);
        let modes = decision.failure_modes.clone().expect("something failed");
        (decision, modes)
    }

    fn id(name: &str) -> CriterionId {
        CriterionId::new(name).unwrap()
    }

    #[test]
    fn what_mending_returns_is_found_by_grading_once_more() {
        // Half of three must pass: of two failures, either mended returns the reply; of three, two must be.
        let mut rows: Vec<Judged> = (0..40).map(|at| judged(at, "a", "s", &[])).collect();
        rows.extend((40..50).map(|at| judged(at, "a", "s", &["helpline", "kind"])));
        rows.extend((50..53).map(|at| judged(at, "a", "s", &["helpline", "kind", "short"])));
        rows.extend((53..80).map(|at| judged(at, "b", "s", &["helpline", "short"])));
        let (decision, modes) = modes(&rows);
        assert_eq!((modes.failed, decision.rate.passed, decision.rate.n), (40, 40, 80));
        let found: Vec<_> =
            modes.modes.iter().map(|mode| (mode.criterion.as_str(), mode.failed, mode.returned)).collect();
        assert_eq!(found, [("helpline", 40, 37), ("short", 30, 27), ("kind", 13, 10)]);
        assert!((modes.modes[0].rate - 77.0 / 80.0).abs() < 1e-12);
        assert_eq!(modes.pairs, [], "one alone reaches the threshold");
    }

    /// One reply is a shade too cold, one not kind at all, and one both: on a scale, what is not mended keeps what it earned.
    #[test]
    fn what_a_level_earns_counts_in_what_mending_returns() {
        let scale = Scale {
            text: "How warm?".to_owned(),
            allow_not_applicable: false,
            anchors: BTreeMap::from([(1, "cold".to_owned()), (5, "warm".to_owned())]),
            pass_at: 4,
            partial: true,
        };
        let criterion = |name: &str, ask| Criterion { id: id(name), weight: 1.0, critical: false, when: None, ask };
        let kind = Ask::Check(crate::check::Check::Refusal);
        let rubric = Rubric {
            name: "r".to_owned(),
            pass: PassRule { score: 0.7, min_applicable: 0.5, at_least: Vec::new() },
            criteria: vec![criterion("warm", Ask::Scale(scale)), criterion("kind", kind)],
        };
        let reply = |level: f64, verdict, kind| {
            vec![Standing { verdict, level: Some(level) }, Standing { verdict: kind, level: None }]
        };
        let patterns: Patterns =
            [(reply(2.0, Fail, Pass), 3), (reply(3.0, Fail, Fail), 5), (reply(1.0, Fail, Fail), 7)].into();
        // (4 − 1)/4 and 1 are 0.875 of 1 in the mean; (3 − 1)/4 and 1 are 0.75; nothing and 1 are 0.5.
        assert_eq!([&[0][..], &[1], &[0, 1]].map(|mended| returned(&rubric, &patterns, mended)), [3, 5, 15]);
    }

    #[test]
    fn pairs_are_named_where_no_criterion_alone_helps() {
        let mut rows: Vec<Judged> = (0..20).map(|at| judged(at, "a", "s", &[])).collect();
        rows.extend((20..60).map(|at| judged(at, "a", "s", &["helpline", "kind", "short"])));
        let (_, modes) = modes(&rows);
        assert!(modes.modes.iter().all(|mode| mode.returned == 0));
        let pairs: Vec<_> = modes.pairs.iter().map(|pair| (pair.criteria.clone(), pair.returned)).collect();
        let all = [["helpline", "kind"], ["helpline", "short"], ["kind", "short"]];
        assert_eq!(pairs, all.map(|both| (both.map(id), 40)));
        assert!((modes.pairs[0].rate - 1.0).abs() < 1e-12);
    }

    #[test]
    fn what_fails_in_one_place_is_a_matter_of_data() {
        let mut rows: Vec<Judged> = Vec::new();
        for (at, topic) in (0..).zip(["crisis", "grief", "sleep", "work"]) {
            for (style_at, style) in (0..).zip(["terse", "long"]) {
                for number in 0..12 {
                    let fails = topic == "crisis" && style == "terse" && number < 10;
                    let failing: &[&str] = if fails { &["helpline", "kind"] } else { &[] };
                    rows.push(judged(at * 100 + style_at * 50 + number, topic, style, failing));
                }
            }
        }
        // A decision for `deploy` has no failure modes.
        let decision = decide(&rules(None), &rows);
        assert_eq!((decision.outcome, decision.failure_modes.is_none()), (crate::data::Outcome::Deploy, true));
        let strict = crate::spec::Decide { deploy: 0.95, ..rules(None) };
        let modes = decide(&strict, &rows).failure_modes.unwrap();
        let mode = &modes.modes[0];
        let [place] = &mode.places[..] else { panic!("{:?}", mode.places) };
        assert_eq!((place.topic.as_deref(), place.style.as_deref()), (Some("crisis"), Some("terse")));
        assert_eq!((place.failed, place.graded, place.examples, mode.examples), (10, 12, 100, 100));
        assert!(place.p < 1e-4);
        assert_eq!(mode.remedy, Remedy::Data);
        assert_eq!(
            mode.clues[0].text,
            "it fails in 10 of 12 replies of one place and in 0 of 84 elsewhere, which is not chance"
        );
    }

    #[test]
    fn what_fails_everywhere_and_nearly_always_is_not() {
        let topics = ["a", "b", "c", "d", "e"];
        let rows: Vec<Judged> =
            (0..100).map(|at| judged(at, topics[at as usize % 5], "s", &["kind", "short"])).collect();
        let (_, modes) = modes(&rows);
        let mode = &modes.modes[0];
        assert_eq!((mode.places.len(), mode.remedy), (0, Remedy::Architecture));
        let speaks: Vec<Remedy> = mode.clues.iter().map(|clue| clue.speaks_for).collect();
        assert_eq!(speaks, [Remedy::Architecture, Remedy::Architecture, Remedy::Data]);
        assert_eq!(mode.examples, 500);
    }

    #[test]
    fn steady_failures_speak_for_data_and_unsteady_ones_against() {
        for (always, sometimes, expected) in [
            (2, 0, None),
            (3, 0, Some(Remedy::Data)),
            (4, 2, Some(Remedy::Data)),
            (1, 2, Some(Remedy::Architecture)),
            (3, 3, Some(Remedy::Unclear)),
        ] {
            let clue = steadiness(Stability { always, sometimes });
            assert_eq!(clue.map(|clue| clue.speaks_for), expected, "{always} {sometimes}");
        }
    }
}
