//! Base against new: the verdict in words, guards as gates, criteria, topics and the replies that flipped.

use std::io::{self, Write};

use super::super::comparison::StageComparison;
use super::super::model::ReportModel;
use super::super::text::{corrected_rate, excerpt, one_line, p_value, rate, reply_name};
use super::escape::{inline, sentence};
use super::{cells, full_sentence, heading, table_head, table_row};
use crate::data::{
    Comparison, ComparisonVerdict, Contrast, CorrectedArm, CorrectedTarget, CriterionDifference, DifferenceGroup,
    Family, Flip, Flips, GateOutcome, LabelledShare, PairCounts, RateDifference,
};
use crate::ids::CriterionId;
use crate::stats::text::{count, percent, points, round_percent, round_points, thousands};

/// Characters of a reply in a table of flips.
const REPLY: usize = 160;

pub(super) fn write(model: &ReportModel, out: &mut dyn Write) -> io::Result<()> {
    model.comparisons.iter().try_for_each(|found| one(found, out))
}

fn in_words(verdict: ComparisonVerdict) -> &'static str {
    match verdict {
        ComparisonVerdict::Improved => "improved",
        ComparisonVerdict::NoDifference => "no difference",
        ComparisonVerdict::Regressed => "regressed",
        ComparisonVerdict::Inconclusive => "inconclusive",
    }
}

fn one(found: &StageComparison, out: &mut dyn Write) -> io::Result<()> {
    let StageComparison { stage, base, new, comparison } = found;
    heading(2, &format!("Comparison: {}", inline(stage.as_str())), out)?;
    let gate = match comparison.gate {
        GateOutcome::Passed => "passed",
        GateOutcome::Failed => "failed",
        GateOutcome::Inconclusive => "open",
    };
    writeln!(out, "Target: **{}**. Gate: **{gate}**.\n", in_words(comparison.verdict))?;
    for reason in &comparison.reasons {
        writeln!(out, "- {}", sentence(&full_sentence(reason)))?;
    }
    writeln!(out)?;
    for (name, arm) in [("Base", base), ("New", new)] {
        let who = arm.answered_by.as_deref().map(sentence).unwrap_or_default();
        writeln!(out, "- {name}: `{}`: {who}.", arm.verdicts)?;
    }
    writeln!(out)?;
    suites(comparison, out)?;
    if let Some(corrected) = &comparison.corrected {
        without_errors(corrected, out)?;
    }
    details("the target", &comparison.target, true, out)?;
    for guard in &comparison.guards {
        let is_whole = guard.gate.verdict != GateOutcome::Passed;
        details(&format!("the guard {}", inline(guard.name.as_str())), &guard.contrast, is_whole, out)?;
    }
    writeln!(
        out,
        "\nThe rule: *improved* if the whole interval lies above {} points, *regressed* if below 0, *no difference* if a test \
         of both sides holds it within {} points; a guard passes only if its {} interval lies above the margin, and fails also \
         where one topic alone lost more than chance explains.",
        round_points(comparison.min_improvement),
        round_points(comparison.margin.max(comparison.min_improvement)),
        round_percent(2.0 * comparison.target.difference.confidence - 1.0),
    )
}

/// A row a suite: the target, twice where the judge's errors are taken out of it, and the guards.
fn suites(comparison: &Comparison, out: &mut dyn Write) -> io::Result<()> {
    table_head(&["Suite", ">Base", ">New", ">Difference in points", ">Gained", ">Lost", "Result"], out)?;
    let mut line =
        |name: &str, rates: [String; 2], found: &RateDifference, counts: Option<&PairCounts>, result: &str| {
            let flips =
                |flips: fn(&PairCounts) -> u64| counts.map_or_else(|| "–".to_owned(), |of| thousands(flips(of)));
            let [base, new] = rates;
            let (gains, losses) = (flips(|of| of.gains), flips(|of| of.losses));
            table_row(&cells(&[name, &base, &new, &difference(found), &gains, &losses, result]), out)
        };
    let raw = |contrast: &Contrast| [rate(&contrast.base), rate(&contrast.new)];
    let target = &comparison.target;
    match &comparison.corrected {
        None => {
            let result = in_words(comparison.verdict);
            line("target", raw(target), &target.difference, Some(&target.counts), result)?;
        }
        Some(corrected) => {
            let judged = in_words(corrected.verdict_as_judged);
            line("target, as the judge sees it", raw(target), &target.difference, Some(&target.counts), judged)?;
            let rates = [&corrected.base.rate, &corrected.new.rate].map(corrected_rate);
            line("target, corrected", rates, &corrected.difference, None, in_words(comparison.verdict))?;
        }
    }
    for guard in &comparison.guards {
        let result =
            format!("guard {}, margin {} points", guard.gate.verdict.as_str(), round_points(guard.gate.margin));
        let found = &guard.contrast;
        line(&inline(guard.name.as_str()), raw(found), &found.difference, Some(&found.counts), &result)?;
    }
    Ok(())
}

/// How both arms were corrected, and what counts.
fn without_errors(corrected: &CorrectedTarget, out: &mut dyn Write) -> io::Result<()> {
    heading(3, "Without the judge's errors", out)?;
    for (name, CorrectedArm { rate, transported, .. }) in corrected.arms() {
        let LabelledShare { passed, labelled } = rate.among_passed;
        let failed = rate.among_failed;
        writeln!(
            out,
            "- {}: people pass {} of {} labelled replies that the judge passed, and {} of {} that it failed; {}.",
            full_sentence(name).trim_end_matches('.'),
            thousands(passed),
            thousands(labelled),
            thousands(failed.passed),
            thousands(failed.labelled),
            if *transported {
                "the labels were made on another model's replies, so that the judge's errors alone are taken from them (Rogan and \
                 Gladen, with the interval of Lang and Reiczigel)"
            } else {
                "the rate is weighed by that (post-stratified, with an interval from Wilson's of both)"
            },
        )?;
    }
    let counts = if corrected.base.transported || corrected.new.transported {
        " A judge that favours an arm is seen by labels on the replies of that arm alone."
    } else {
        ""
    };
    writeln!(
        out,
        "\nThe corrected difference has an interval from those of both arms (MOVER, Zou and Donner 2008). A verdict on the target \
         takes both intervals, the judge's and the corrected one; guards, criteria and topics are as the judge sees them.{counts}"
    )
}

/// `+7.1 (+2.3 to +11.9)`
fn difference(difference: &RateDifference) -> String {
    let Some(point) = difference.point else { return "–".to_owned() };
    let [point, lo, hi] = points([point, difference.lo, difference.hi], &[0.0]);
    format!("{point} ({lo} to {hi})")
}

/// The numbers behind a row; all of them where it is the target, or a guard that did not hold.
fn details(what: &str, contrast: &Contrast, is_whole: bool, out: &mut dyn Write) -> io::Result<()> {
    heading(3, full_sentence(what).trim_end_matches('.'), out)?;
    evidence(contrast, out)?;
    if !is_whole {
        return Ok(());
    }
    criteria(&contrast.criteria, out)?;
    groups("Topic", &contrast.topics, out)?;
    groups("Style", &contrast.styles, out)?;
    flips("Lost: passed with the base, fails now", &contrast.losses, |flip| &flip.lost, out)?;
    flips("Gained: failed with the base, passes now", &contrast.gains, |flip| &flip.gained, out)
}

/// What the verdict rests on, in lines.
fn evidence(contrast: &Contrast, out: &mut dyn Write) -> io::Result<()> {
    let counts = &contrast.counts;
    let found = &contrast.difference;
    if contrast.paired {
        writeln!(
            out,
            "- {}: {} pass with both, {} with the new arm only, {} with the base only, {} with neither.",
            count(counts.pairs, "pair"),
            thousands(counts.both),
            thousands(counts.gains),
            thousands(counts.losses),
            thousands(counts.neither),
        )?;
    }
    let level = round_percent(found.confidence);
    writeln!(out, "- Difference {} points, {level} interval, {}.", difference(found), method(found))?;
    if let Some(other) = &contrast.other_interval {
        writeln!(out, "- By {} it would be {}.", method(other), difference(other))?;
    }
    if let Some(tests) = &contrast.tests {
        writeln!(
            out,
            "- McNemar over scenarios: exact p {}, mid-p {}; p that decides: {}.",
            p_value(tests.mcnemar_exact),
            p_value(tests.mcnemar_midp),
            p_value(tests.p),
        )?;
    }
    if let Some(scores) = &contrast.scores {
        let interval =
            scores.interval.map(|(lo, hi)| format!(" ({} to {})", signed(lo), signed(hi))).unwrap_or_default();
        let worth = if scores.degenerate { ", an interval of little worth" } else { "" };
        writeln!(
            out,
            "- Mean score {:.3} → {:.3}: {}{interval}, {} resamples{worth}; p {} by flipped signs.",
            scores.base,
            scores.new,
            signed(scores.difference),
            thousands(scores.resamples),
            p_value(scores.p),
        )?;
    }
    if let Some(least) = contrast.detectable {
        let [least] = points([least], &[]);
        writeln!(
            out,
            "- Smallest difference that so many rows show in four runs of five: {} points.",
            least.trim_start_matches('+')
        )?;
    }
    if let Some(length) = &contrast.length {
        writeln!(
            out,
            "- Replies have {:.1} words on average, {:.1} with the base; {} of the new ones are longer, {} shorter.",
            length.new,
            length.base,
            thousands(length.longer),
            thousands(length.shorter),
        )?;
    }
    Ok(())
}

fn method(found: &RateDifference) -> String {
    let name = match found.method.as_str() {
        "newcombe_paired" => "Newcombe's method for pairs",
        "cr1_by_topic" => "clusters of topics",
        "cr1_by_scenario" => "clusters of scenarios",
        _ => "two samples that are not paired",
    };
    match found.clusters {
        None => name.to_owned(),
        Some(clusters) => {
            format!("{name} ({} of them, design effect {:.2})", thousands(clusters.clusters), clusters.design_effect)
        }
    }
}

/// `+0.100`, `−0.050`
fn signed(score: f64) -> String {
    format!("{score:+.3}").replace('-', "−")
}

fn criteria(criteria: &[CriterionDifference], out: &mut dyn Write) -> io::Result<()> {
    if criteria.is_empty() {
        return Ok(());
    }
    writeln!(out)?;
    table_head(&["Criterion", ">Difference in points", ">Gained", ">Lost", ">Adjusted p", "Moved"], out)?;
    for one in criteria {
        let family = match one.family {
            Family::Critical => " (critical)",
            Family::Exploratory => "",
        };
        let name = format!("`{}`{family}", one.criterion);
        let [gains, losses] = [one.gains, one.losses].map(thousands);
        let moved = if one.significant { "yes" } else { "not shown" };
        let numbers = difference(&one.difference);
        table_row(&cells(&[&name, &numbers, &gains, &losses, &p_value(one.p_adjusted), moved]), out)?;
    }
    writeln!(
        out,
        "\nCritical criteria are one family of tests, adjusted by Holm at 0.05; the others are explored, adjusted by Benjamini \
         and Hochberg at 0.10."
    )
}

fn groups(name: &str, groups: &[DifferenceGroup], out: &mut dyn Write) -> io::Result<()> {
    if groups.is_empty() {
        return Ok(());
    }
    writeln!(out)?;
    table_head(&[name, ">Pairs", ">Base", ">New", ">Difference in points", ">Gained", ">Lost", ">Adjusted p"], out)?;
    let share = |share: Option<f64>| share.map_or_else(|| "–".to_owned(), percent);
    for group in groups {
        let [pairs, gains, losses] = [group.difference.n, group.gains, group.losses].map(thousands);
        let row = [
            inline(&group.name),
            pairs,
            share(group.base),
            share(group.new),
            difference(&group.difference),
            gains,
            losses,
            p_value(group.p_adjusted),
        ];
        table_row(&row, out)?;
    }
    Ok(())
}

fn flips(
    title: &str,
    flips: &Flips,
    criteria: impl Fn(&Flip) -> &Vec<CriterionId>,
    out: &mut dyn Write,
) -> io::Result<()> {
    if flips.count == 0 {
        return Ok(());
    }
    let by: Vec<String> = flips.criteria.iter().map(|(id, count)| format!("`{id}` {}", thousands(*count))).collect();
    let by = if by.is_empty() { String::new() } else { format!(" By criterion: {}.", by.join(", ")) };
    writeln!(out, "\n**{title}: {}.**{by}\n", thousands(flips.count))?;
    if flips.shown.is_empty() {
        return Ok(());
    }
    table_head(&["Scenario", "Asked", "Base", "New", "Criteria"], out)?;
    let short = |text: &str| inline(&excerpt(&one_line(text), REPLY));
    for flip in &flips.shown {
        let names: Vec<String> = criteria(flip).iter().map(|id| format!("`{id}`")).collect();
        let row = [
            sentence(&reply_name(&flip.scenario, flip.repetition)),
            short(&flip.opening),
            short(&flip.base),
            short(&flip.new),
            names.join(", "),
        ];
        table_row(&row, out)?;
    }
    let rest = flips.count - flips.shown.len() as u64;
    if rest > 0 {
        writeln!(out, "\nAnd {} more.", thousands(rest))?;
    }
    Ok(())
}
