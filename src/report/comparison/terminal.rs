//! Comparisons in the summary at the end of a run.

use std::io;

use super::super::model::ReportModel;
use super::super::terminal::{Style, cut, hanging, paint};
use super::super::text::one_line;
use super::StageComparison;
use crate::data::{Contrast, GateOutcome, RateDifference};
use crate::stats::text::{count, points, thousands};

/// Sentences shown of one comparison, at most, behind the verdict and the guards.
const MOST: usize = 3;

/// Flips shown of one that went wrong.
const FLIPS: usize = 2;

pub(in crate::report) fn terminal(
    model: &ReportModel,
    width: usize,
    style: Style,
    out: &mut dyn io::Write,
) -> io::Result<()> {
    for found in &model.comparisons {
        let comparison = &found.comparison;
        let title = format!("Comparison `{}`: `{}` → `{}`", found.stage, found.base.verdicts, found.new.verdicts);
        writeln!(out)?;
        writeln!(out, "{}", paint(&cut(&title, width), "1", style))?;
        let first = 1 + comparison.guards.len();
        for sentence in comparison.reasons.iter().take(first + MOST) {
            hanging("  ", &one_line(sentence), width, out)?;
        }
        let guards = comparison.guards.iter();
        let guards = guards
            .map(|guard| (format!("guard {}", guard.name), numbers(&guard.contrast), guard.gate.verdict.as_str()));
        let rows: Vec<_> = target(found).into_iter().chain(guards).collect();
        writeln!(out)?;
        let longest = rows.iter().map(|(name, _, _)| name.len()).max().unwrap_or_default();
        for (name, numbers, word) in rows {
            writeln!(out, "{}", cut(&format!("  {name:longest$}  {numbers}  {word}"), width))?;
        }
        let lost: Vec<_> = std::iter::once(&comparison.target)
            .chain(
                comparison.guards.iter().filter(|guard| guard.gate.verdict == GateOutcome::Failed).map(|g| &g.contrast),
            )
            .flat_map(|contrast| &contrast.losses.shown)
            .take(FLIPS)
            .collect();
        for flip in lost {
            let criteria: Vec<&str> = flip.lost.iter().map(crate::ids::CriterionId::as_str).collect();
            let line = format!("  lost {}: {} ({})", flip.scenario, one_line(&flip.opening), criteria.join(", "));
            writeln!(out, "{}", cut(&line, width))?;
        }
        writeln!(out)?;
    }
    Ok(())
}

/// The target's row; where the judge's errors are taken out, one as the judge sees it and one without them.
fn target(found: &StageComparison) -> Vec<(String, String, &'static str)> {
    let comparison = &found.comparison;
    let word = comparison.held.as_ref().map_or(comparison.verdict.as_str(), |held| held.verdict.as_str());
    let raw = numbers(&comparison.target);
    let Some(corrected) = &comparison.corrected else { return vec![("target".to_owned(), raw, word)] };
    let judged = corrected.held_as_judged.map_or(corrected.verdict_as_judged.as_str(), GateOutcome::as_str);
    let [base, new] = corrected.arms().map(|(_, arm)| thousands(arm.rate.labelled()));
    let numbers = match corrected.difference.point {
        None => "not known".to_owned(),
        Some(_) => format!("{}, {base} and {new} labelled replies", difference(&corrected.difference)),
    };
    vec![("target as judged".to_owned(), raw, judged), ("target corrected".to_owned(), numbers, word)]
}

/// `+7.1 points (+2.3 to +11.9)`
fn difference(of: &RateDifference) -> String {
    let Some(point) = of.point else { return "nothing to compare".to_owned() };
    let [point, lo, hi] = points([point, of.lo, of.hi], &[0.0]);
    format!("{point} points ({lo} to {hi})")
}

/// `+7.1 points (+2.3 to +11.9), 31 gained, 12 lost of 200 pairs`
fn numbers(contrast: &Contrast) -> String {
    let told = difference(&contrast.difference);
    if contrast.difference.point.is_none() {
        return told;
    }
    let counts = &contrast.counts;
    if !contrast.paired {
        return format!("{told}, not paired");
    }
    let [gains, losses] = [counts.gains, counts.losses].map(thousands);
    format!("{told}, {gains} gained, {losses} lost of {}", count(counts.pairs, "pair"))
}
