//! The sentences that explain a decision: with numbers, and where something is wrong, with what to do.

use super::sequential::look_sentence;
use super::{Rules, has_too_few_clusters};
use crate::data::{ClusteredRate, Counts, GateResult, Looked, More, Outcome, Quotes, Rate, Sequence, Thresholds};
use crate::spec::ClusterBy;
use crate::stats::text::{count, list, percents, round_percent, thousands};
use crate::stats::{self, FEWEST_CLUSTERS, Interval};

/// Why no decision can be made, and what to do about it.
pub(super) fn blocked_because(counts: &Counts, quotes: &Quotes, rules: &Rules) -> Option<String> {
    let Counts { total, scenarios, passed, failed, ungraded, invalid } = *counts;
    let one = noun(counts);
    if total == 0 {
        return Some("there are no scenarios: add some to the taxonomy, then run again".to_owned());
    }
    let have = if total == 1 { format!("{one} has") } else { format!("{one}s have") };
    debug_assert!(scenarios.is_none_or(|scenarios| scenarios < total), "counted only where answers are repeated");
    if ungraded as f64 / total as f64 > rules.max_ungraded {
        return Some(format!(
            "{} of {} {have} no verdict, more than the {} allowed: mend the judge or the model that answers, then \
             run again; calls that were answered are not paid twice",
            thousands(ungraded),
            thousands(total),
            round_percent(rules.max_ungraded),
        ));
    }
    // A rate over those to which the rubric happens to apply is no rate of the suite.
    if passed + failed > 0 && (ungraded + invalid) as f64 / total as f64 > rules.max_ungraded {
        return Some(format!(
            "{} of {} {have} no grade, more than the {} allowed, {} of them because too few criteria apply: widen \
             the criteria's `when` or lower the pass rule's `min_applicable`",
            thousands(ungraded + invalid),
            thousands(total),
            round_percent(rules.max_ungraded),
            thousands(invalid),
        ));
    }
    if quotes.untrusted {
        return Some(format!(
            "the judge cannot be trusted: {} of {} that it quotes from replies are not in them; let a stronger model judge",
            thousands(quotes.missing),
            count(quotes.found + quotes.missing, "passage"),
        ));
    }
    if passed + failed > 0 {
        return None;
    }
    Some(if invalid == 0 {
        format!("no {one} has a verdict: mend the judge or the model that answers, then run again")
    } else {
        format!(
            "none of {} counts, because too few criteria apply: widen the criteria's `when` or lower the pass rule's \
             `min_applicable`",
            count(total, one),
        )
    })
}

/// What is counted: scenarios, or where they have several answers each, those.
fn noun(counts: &Counts) -> &'static str {
    if counts.scenarios.is_some() { "answer" } else { "scenario" }
}

/// What the reasons are made from.
pub(super) struct Findings<'a> {
    pub(super) blocked: Option<String>,
    pub(super) outcome: Outcome,
    pub(super) rate: &'a Rate,
    pub(super) sequential: Option<&'a Looked>,
    pub(super) more: &'a [More],
    pub(super) counts: &'a Counts,
    pub(super) rules: &'a Rules,
    pub(super) gate: Option<GateResult>,
    /// How many topics the scenarios are of.
    pub(super) topics: usize,
}

pub(super) fn reasons(findings: &Findings<'_>) -> Vec<String> {
    let Findings { blocked, outcome, rate, sequential, more, counts, rules, gate, topics } = findings;
    let mut reasons: Vec<String> = blocked.iter().cloned().collect();
    if let Some(point) = rate.point {
        let sentence = rate_sentence(rate, point, counts, rules);
        reasons.push(match blocked {
            None => sentence,
            Some(_) => format!("{sentence}; that decides nothing"),
        });
    }
    if blocked.is_none() {
        reasons.extend(sequential.and_then(|looked| look_sentence(looked, rate, drawn_together(looked, rules))));
        reasons.extend(clusters_sentence(rate, rules));
        if has_too_few_clusters(rate) {
            reasons.push(too_few_sentence(rate, rules));
        } else {
            let spanned = spanned(&rules.thresholds, Interval { lo: rate.lo, hi: rate.hi });
            reasons.push(interval_sentence(*outcome, &spanned, rules));
        }
        reasons.extend(more.iter().map(|more| more_sentence(more, rules)));
        reasons.extend(assumed(rules, *topics));
        reasons.extend(screening_sentence(*outcome, rate, rules));
        if counts.ungraded > 0 {
            let (ungraded, total) = (count(counts.ungraded, noun(counts)), thousands(counts.total));
            reasons.push(format!("{ungraded} of {total} without a verdict and out of the rate"));
        }
    }
    if counts.invalid > 0 && rate.n > 0 {
        let (invalid, total) = (count(counts.invalid, noun(counts)), thousands(counts.total));
        reasons.push(format!("{invalid} of {total} out of the rate because too few criteria apply"));
    }
    reasons.extend(gate.map(gate_sentence));
    reasons
}

pub(super) fn gate_sentence(GateResult { least, passed }: GateResult) -> String {
    let least = match least {
        Outcome::Deploy => "`deploy`",
        Outcome::FineTune | Outcome::FullPipeline | Outcome::Inconclusive | Outcome::Blocked => "`fine_tune` or better",
    };
    format!("the gate asks for {least}: {}", if passed { "passed" } else { "not passed" })
}

fn rate_sentence(rate: &Rate, point: f64, counts: &Counts, rules: &Rules) -> String {
    let edges = [rules.thresholds.deploy, rules.thresholds.fine_tune];
    let [point, lo, hi] = percents([point, rate.lo, rate.hi], &edges);
    let to = rate.clustered.filter(|_| counts.scenarios.is_some());
    let to = to.map(|clustered| format!(" to {}", count(clustered.scenarios, "scenario")));
    let within = rate.clustered.and_then(|clustered| clustered.clusters);
    let within = within.map(|clusters| format!(" in {}", clusters_of(clusters, rules)));
    let interval = if SEQUENCES.map(Sequence::as_str).contains(&rate.method.as_str()) {
        let whole = if rules.manner.suite_only { " for the whole suite" } else { "" };
        format!("{} confidence sequence {lo}–{hi} %{whole}", round_percent(rate.confidence))
    } else if rules.manner.suite_only {
        let open =
            if rate.lo < rate.hi { format!(", {lo}–{hi} % with those that nobody graded") } else { String::new() };
        format!("of this suite{open}")
    } else {
        let name = if rate.clustered.is_some() { "clustered Wilson" } else { "Wilson" };
        format!("{} {name} interval {lo}–{hi} %", round_percent(rate.confidence))
    };
    format!(
        "{} of {}{}{} {}: {point} % ({interval})",
        thousands(rate.passed),
        count(rate.n, &format!("graded {}", noun(counts))),
        to.unwrap_or_default(),
        within.unwrap_or_default(),
        if rate.n == 1 { "passes" } else { "pass" },
    )
}

const SEQUENCES: [Sequence; 3] = [Sequence::BetaBinomial, Sequence::SuiteSequence, Sequence::Betting];

/// What was looked at together, and how many there are, where that is more than a scenario.
fn drawn_together(looked: &Looked, rules: &Rules) -> Option<String> {
    let clusters = looked.looks.last()?.clusters.filter(|_| rules.cluster != ClusterBy::Nothing)?;
    Some(clusters_of(clusters.number, rules))
}

/// `8 topics`, `3 values of `language``.
fn clusters_of(number: u64, rules: &Rules) -> String {
    match &rules.cluster {
        ClusterBy::Axis(axis) => format!("{} of `{axis}`", count(number, "value")),
        ClusterBy::Topic | ClusterBy::Nothing => count(number, "topic"),
    }
}

/// What rows of one cluster have in common.
fn in_common(rules: &Rules) -> String {
    match &rules.cluster {
        ClusterBy::Axis(axis) => format!("with the same `{axis}`"),
        ClusterBy::Topic | ClusterBy::Nothing => "of one topic".to_owned(),
    }
}

/// How much rows that belong together are worth.
fn clusters_sentence(rate: &Rate, rules: &Rules) -> Option<String> {
    let clustered @ ClusteredRate { scenarios, n_eff, design_effect, degrees: _, clusters } = rate.clustered?;
    let rows = thousands(rate.n);
    let known = clustered.known_words();
    if clusters.is_none() {
        return Some(format!(
            "answers to one scenario resemble each other: {rows} are worth {n_eff:.1} to a scenario each (design effect \
             {design_effect:.2}{known})",
        ));
    }
    let what = if rate.n > scenarios { "answers to scenarios" } else { "scenarios" };
    let in_common = in_common(rules);
    Some(if design_effect > 1.0 {
        format!(
            "{what} {in_common} resemble each other: {rows} are worth {n_eff:.1} that have nothing in common (design \
             effect {design_effect:.2}{known})"
        )
    } else {
        format!(
            "{what} {in_common} are no more alike than others: {rows} are worth as many that have nothing in common{known}"
        )
    })
}

fn too_few_sentence(rate: &Rate, rules: &Rules) -> String {
    let Some(clustered) = rate.clustered else { return String::new() };
    let Some(clusters) = clustered.clusters else {
        return format!(
            "{} with several answers each are too few to decide on: have {FEWEST_CLUSTERS} or more",
            count(clustered.scenarios, "scenario")
        );
    };
    format!(
        "{} are too few to decide on: with fewer than {FEWEST_CLUSTERS}, nobody can tell how much scenarios {} resemble \
         each other; have more, or write `cluster: none` if those there are are all that matter and their scenarios are \
         independent",
        clusters_of(clusters, rules),
        in_common(rules),
    )
}

/// What the pipeline says and nobody measured.
fn assumed(rules: &Rules, topics: usize) -> Option<String> {
    if rules.manner.suite_only {
        return Some("that is about the scenarios of this suite: others may come out otherwise".to_owned());
    }
    (rules.cluster == ClusterBy::Nothing && topics > 1).then(|| {
        format!(
            "scenarios are taken to be independent of their {} topics, as `cluster: none` says",
            thousands(topics as u64)
        )
    })
}

/// The thresholds inside an interval, highest first.
pub(super) fn spanned(thresholds: &Thresholds, Interval { lo, hi }: Interval) -> Vec<f64> {
    let Thresholds { deploy, fine_tune } = *thresholds;
    [deploy, fine_tune].into_iter().filter(|threshold| lo < *threshold && *threshold <= hi).collect()
}

/// What the interval settles, given the thresholds inside it.
pub(super) fn interval_sentence(outcome: Outcome, spanned: &[f64], rules: &Rules) -> String {
    let thresholds = &rules.thresholds;
    let deploy = format!("the deploy threshold of {}", round_percent(thresholds.deploy));
    let fine_tune = format!("the fine-tune threshold of {}", round_percent(thresholds.fine_tune));
    let whole = if rules.manner.is_whole_suite() { "the rate" } else { "the whole interval" };
    match outcome {
        Outcome::Deploy => format!("{whole} reaches {deploy}"),
        Outcome::FineTune => format!("{whole} lies between {fine_tune} and {deploy}"),
        Outcome::FullPipeline => format!("{whole} lies below {fine_tune}"),
        Outcome::Inconclusive | Outcome::Blocked => {
            let name = |threshold: &f64| if *threshold < thresholds.deploy { &fine_tune } else { &deploy };
            let spanned: Vec<String> = spanned.iter().map(name).cloned().collect();
            format!("the interval spans {}, so the decision is open", list(&spanned, "and"))
        }
    }
}

pub(super) fn more_sentence(more: &More, rules: &Rules) -> String {
    let threshold = round_percent(more.threshold);
    match more.scenarios {
        Some(scenarios) => {
            let scenarios = count(scenarios, "graded scenario");
            let within =
                more.clusters.map(|clusters| format!(" in {}", clusters_of(clusters, rules))).unwrap_or_default();
            format!("if the rate stays where it is, {scenarios}{within} would settle it against {threshold}")
        }
        None => format!("the rate lies so near to {threshold} that a million scenarios would not settle it"),
    }
}

pub(super) fn screening_sentence(outcome: Outcome, rate: &Rate, rules: &Rules) -> Option<String> {
    if outcome != Outcome::Inconclusive || rules.manner.suite_only {
        return None;
    }
    // Scenarios are what there could be more of; several answers to each are worth no more than as many scenarios.
    let scenarios = rate.clustered.map_or(rate.n, |clustered| clustered.scenarios);
    let worth = rate.clustered.map_or(rate.n as f64, |clustered| clustered.n_eff);
    let make = if scenarios == 1 { "makes" } else { "make" };
    let few = format!("{} {make} this a screening", count(scenarios, "graded scenario"));
    match stats::least_to_decide_between(&rules.thresholds, rules.manner.confidence) {
        Some(least) if worth < least as f64 => {
            Some(format!("{few}: `fine_tune` cannot be decided at all with fewer than {}", thousands(least)))
        }
        Some(_) => None,
        None => Some(format!(
            "{few}: the thresholds lie so close that `fine_tune` cannot be decided even with a million scenarios"
        )),
    }
}
