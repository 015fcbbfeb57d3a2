//! The sentences that explain a decision: with numbers, and where something is wrong, with what to do.

use super::{FEWEST_CLUSTERS, Rules, has_too_few_scenarios};
use crate::data::{ClusteredRate, Counts, GateResult, More, Outcome, Quotes, Rate, Thresholds};
use crate::stats;
use crate::stats::text::{count, list, percents, round_percent, thousands};

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
    pub(super) more: &'a [More],
    pub(super) counts: &'a Counts,
    pub(super) rules: &'a Rules,
    pub(super) gate: Option<GateResult>,
}

pub(super) fn reasons(findings: &Findings<'_>) -> Vec<String> {
    let Findings { blocked, outcome, rate, more, counts, rules, gate } = findings;
    let mut reasons: Vec<String> = blocked.iter().cloned().collect();
    if let Some(point) = rate.point {
        let sentence = rate_sentence(rate, point, counts, &rules.thresholds);
        reasons.push(match blocked {
            None => sentence,
            Some(_) => format!("{sentence}; that decides nothing"),
        });
    }
    if blocked.is_none() {
        reasons.extend(clusters_sentence(rate));
        if has_too_few_scenarios(rate) {
            reasons.push(too_few_sentence(rate));
        } else {
            reasons.push(interval_sentence(*outcome, more, &rules.thresholds));
        }
        reasons.extend(more.iter().map(more_sentence));
        reasons.extend(screening_sentence(*outcome, rate, &rules.thresholds));
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

fn rate_sentence(rate: &Rate, point: f64, counts: &Counts, thresholds: &Thresholds) -> String {
    let edges = [thresholds.deploy, thresholds.fine_tune];
    let [point, lo, hi] = percents([point, rate.lo, rate.hi], &edges);
    let to = rate.clustered.map(|clustered| format!(" to {}", count(clustered.scenarios, "scenario")));
    format!(
        "{} of {}{} {}: {point} % ({} {} interval {lo}–{hi} %)",
        thousands(rate.passed),
        count(rate.n, &format!("graded {}", noun(counts))),
        to.unwrap_or_default(),
        if rate.n == 1 { "passes" } else { "pass" },
        round_percent(rate.confidence),
        if rate.clustered.is_some() { "clustered Wilson" } else { "Wilson" },
    )
}

/// How much the answers of a scenario are worth.
fn clusters_sentence(rate: &Rate) -> Option<String> {
    let ClusteredRate { scenarios: _, n_eff, design_effect } = rate.clustered?;
    Some(format!(
        "answers to one scenario resemble each other: {} are worth {n_eff:.1} to a scenario each (design effect \
         {design_effect:.2})",
        thousands(rate.n),
    ))
}

fn too_few_sentence(rate: &Rate) -> String {
    let scenarios = rate.clustered.map_or(0, |clustered| clustered.scenarios);
    format!(
        "{} with several answers each are too few to decide on: have {FEWEST_CLUSTERS} or more",
        count(scenarios, "scenario")
    )
}

pub(super) fn interval_sentence(outcome: Outcome, more: &[More], thresholds: &Thresholds) -> String {
    let deploy = format!("the deploy threshold of {}", round_percent(thresholds.deploy));
    let fine_tune = format!("the fine-tune threshold of {}", round_percent(thresholds.fine_tune));
    match outcome {
        Outcome::Deploy => format!("the whole interval reaches {deploy}"),
        Outcome::FineTune => format!("the whole interval lies between {fine_tune} and {deploy}"),
        Outcome::FullPipeline => format!("the whole interval lies below {fine_tune}"),
        Outcome::Inconclusive | Outcome::Blocked => {
            let spanned: Vec<String> = more
                .iter()
                .map(|more| if more.threshold < thresholds.deploy { fine_tune.clone() } else { deploy.clone() })
                .collect();
            format!("the interval spans {}, so the decision is open", list(&spanned, "and"))
        }
    }
}

pub(super) fn more_sentence(more: &More) -> String {
    let threshold = round_percent(more.threshold);
    match more.scenarios {
        Some(scenarios) => {
            let scenarios = count(scenarios, "graded scenario");
            format!("if the rate stays where it is, {scenarios} would settle it against {threshold}")
        }
        None => format!("the rate lies so near to {threshold} that a million scenarios would not settle it"),
    }
}

pub(super) fn screening_sentence(outcome: Outcome, rate: &Rate, thresholds: &Thresholds) -> Option<String> {
    if outcome != Outcome::Inconclusive {
        return None;
    }
    // Scenarios are what there could be more of; several answers to each are worth no more than as many scenarios.
    let scenarios = rate.clustered.map_or(rate.n, |clustered| clustered.scenarios);
    let worth = rate.clustered.map_or(rate.n as f64, |clustered| clustered.n_eff);
    let make = if scenarios == 1 { "makes" } else { "make" };
    let few = format!("{} {make} this a screening", count(scenarios, "graded scenario"));
    match stats::least_to_decide_between(thresholds, rate.confidence) {
        Some(least) if worth < least as f64 => {
            Some(format!("{few}: `fine_tune` cannot be decided at all with fewer than {}", thousands(least)))
        }
        Some(_) => None,
        None => Some(format!(
            "{few}: the thresholds lie so close that `fine_tune` cannot be decided even with a million scenarios"
        )),
    }
}
