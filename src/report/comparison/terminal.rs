//! Comparisons in the summary at the end of a run.

use std::io;

use super::super::model::ReportModel;
use super::super::terminal::{Style, cut, hanging, paint};
use super::super::text::one_line;
use super::StageComparison;
use crate::data::{Contrast, GateOutcome};
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
        let rows = std::iter::once(("target".to_owned(), &comparison.target, target_word(found))).chain(
            comparison
                .guards
                .iter()
                .map(|guard| (format!("guard {}", guard.name), &guard.contrast, guard.gate.verdict.as_str())),
        );
        writeln!(out)?;
        let rows: Vec<_> = rows.collect();
        let longest = rows.iter().map(|(name, _, _)| name.len()).max().unwrap_or_default();
        for (name, contrast, word) in rows {
            writeln!(out, "{}", cut(&format!("  {name:longest$}  {}  {word}", numbers(contrast)), width))?;
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

fn target_word(found: &StageComparison) -> &'static str {
    match &found.comparison.held {
        Some(held) => held.verdict.as_str(),
        None => found.comparison.verdict.as_str(),
    }
}

/// `+7.1 points (+2.3 to +11.9), 31 gained, 12 lost of 200 pairs`
fn numbers(contrast: &Contrast) -> String {
    let difference = &contrast.difference;
    let Some(point) = difference.point else { return "nothing to compare".to_owned() };
    let [point, lo, hi] = points([point, difference.lo, difference.hi], &[0.0]);
    let counts = &contrast.counts;
    if !contrast.paired {
        return format!("{point} points ({lo} to {hi}), not paired");
    }
    let [gains, losses] = [counts.gains, counts.losses].map(thousands);
    format!("{point} points ({lo} to {hi}), {gains} gained, {losses} lost of {}", count(counts.pairs, "pair"))
}
