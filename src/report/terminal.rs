//! The summary at the end of a run: what was decided, on what, and what to do now.

use std::io;

use super::beside;
use super::comparison;
use super::gates::{bound, measured, name, status};
use super::looks::looked_at;
use super::model::ReportModel;
use super::models;
use super::text::{bar, one_line};
use crate::data::{CriterionSummary, Decision, Outcome};
use crate::stats::text::{count, thousands};

/// How the terminal takes text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    /// Whether escape sequences may color it; nothing is said by color alone.
    pub color: bool,
    /// Columns.
    pub width: usize,
}

/// Criteria and notes shown at most.
const MOST: usize = 3;

/// Writes a summary of at most about 25 lines.
///
/// # Errors
/// `out` does not take it.
pub fn terminal(model: &ReportModel, style: Style, out: &mut dyn io::Write) -> io::Result<()> {
    let width = style.width.clamp(40, 120);
    writeln!(
        out,
        "{}",
        cut(&format!("{} · {} · {}", one_line(&model.name), model.date, one_line(&model.file)), width)
    )?;
    writeln!(out)?;
    let outcome = model.decision.as_ref().map(|decision| decision.outcome);
    for (index, line) in wrap(&model.headline, width).iter().enumerate() {
        let line = if index == 0 { paint_outcome(line, outcome, style) } else { line.clone() };
        writeln!(out, "{line}")?;
    }
    if let Some(decision) = &model.decision {
        summary(model, decision, width, style, out)?;
    }
    for calibration in &model.calibrations {
        beside::terminal(calibration, width, style, out)?;
    }
    for stage in model.preferences.iter().take(MOST) {
        hanging("Preferred: ", &one_line(&stage.headline), width, out)?;
    }
    comparison::terminal(model, width, style, out)?;
    for note in model.notes.iter().take(MOST) {
        hanging("Note: ", &one_line(note), width, out)?;
    }
    if model.notes.len() > MOST {
        writeln!(out, "Note: and {} more, in the report", model.notes.len() - MOST)?;
    }
    match model.next_steps.first() {
        Some(next) => hanging("Next: ", &one_line(&next.text), width, out),
        None => Ok(()),
    }
}

fn summary(
    model: &ReportModel,
    decision: &Decision,
    width: usize,
    style: Style,
    out: &mut dyn io::Write,
) -> io::Result<()> {
    if let Some(reason) = decision.reasons.first() {
        hanging("", &one_line(reason), width, out)?;
    }
    writeln!(out)?;
    for line in bar(&decision.deciding(), &decision.thresholds, (width - 4).min(60)) {
        writeln!(out, "  {line}")?;
    }
    writeln!(out)?;
    let counts = decision.counts;
    let [total, passed, failed, ungraded, invalid] =
        [counts.total, counts.passed, counts.failed, counts.ungraded, counts.invalid].map(thousands);
    let all = match counts.scenarios {
        None => format!("{total} scenarios"),
        Some(scenarios) => format!("{total} answers to {}", count(scenarios, "scenario")),
    };
    let text = format!("{all}: {passed} passed, {failed} failed, {ungraded} ungraded, {invalid} invalid");
    hanging("", &text, width, out)?;
    if let Some(looks) = decision.sequential.as_ref().and_then(looked_at) {
        hanging("Looks: ", &looks, width, out)?;
    }
    if model.judge_relative {
        hanging("", "As the judge sees it: it is not calibrated against people", width, out)?;
    }
    if let Some(gate) = decision.gate {
        let least = if gate.least == Outcome::Deploy { "deploy" } else { "fine_tune or better" };
        writeln!(out, "Gate ({least}): {}", if gate.passed { "passed" } else { "not passed" })?;
    }
    models::terminal(&model.models, width, out)?;
    for gate in &model.gates {
        let text = format!("{}, {}: {}, {}", name(gate), bound(gate), measured(gate), status(gate));
        hanging("Gate: ", &text.replace('`', ""), width, out)?;
    }
    writeln!(out)?;
    failing_criteria(model, decision, width, style, out)
}

fn failing_criteria(
    model: &ReportModel,
    decision: &Decision,
    width: usize,
    style: Style,
    out: &mut dyn io::Write,
) -> io::Result<()> {
    let failing: Vec<_> = decision.criteria.iter().filter(|criterion| criterion.failed > 0).take(MOST).collect();
    let Some(longest) = failing.iter().map(|criterion| criterion.criterion.as_str().len()).max() else {
        return Ok(());
    };
    let failed = |c: &CriterionSummary| format!("{} of {}", thousands(c.failed), thousands(c.rate.n));
    let widest = failing.iter().map(|criterion| failed(criterion).len()).max().unwrap_or_default();
    writeln!(out, "{}", paint("Most failures", "1", style))?;
    for criterion in failing {
        let asks = model.criteria.iter().find(|text| text.id == criterion.criterion);
        let asks = asks.map(|text| one_line(&text.asks)).unwrap_or_default();
        let critical = if criterion.critical { "critical: " } else { "" };
        let line =
            format!("  {:longest$}  {:>widest$}  {critical}{asks}", criterion.criterion.as_str(), failed(criterion));
        writeln!(out, "{}", cut(line.trim_end(), width))?;
    }
    writeln!(out)
}

pub(super) fn paint(text: &str, code: &str, style: Style) -> String {
    if style.color { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
}

/// The outcome's own word, up to the colon, in its color.
fn paint_outcome(line: &str, outcome: Option<Outcome>, style: Style) -> String {
    let code = match outcome {
        Some(Outcome::Deploy) => "1;32",
        Some(Outcome::FineTune | Outcome::Inconclusive) => "1;33",
        Some(Outcome::FullPipeline | Outcome::Blocked) => "1;31",
        None => "1",
    };
    let (word, rest) = line.split_at(line.find(':').unwrap_or(line.len()));
    format!("{}{rest}", paint(word, code, style))
}

/// The text, or its beginning and `…` if it is longer than the line.
pub(super) fn cut(text: &str, width: usize) -> String {
    match text.char_indices().nth(width) {
        None => text.to_owned(),
        Some(_) => {
            let start: String = text.chars().take(width - 1).collect();
            format!("{}…", start.trim_end())
        }
    }
}

/// The text behind a label, its further lines as far in as the first.
pub(super) fn hanging(label: &str, text: &str, width: usize, out: &mut dyn io::Write) -> io::Result<()> {
    let indent = label.chars().count();
    for (index, line) in wrap(text, width - indent).iter().enumerate() {
        writeln!(out, "{:indent$}{line}", if index == 0 { label } else { "" })?;
    }
    Ok(())
}

/// The text in lines of at most `width` characters, broken between words; a word that is longer is cut.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        let word = cut(word, width);
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(&word);
            }
            _ => lines.push(word),
        }
    }
    lines
}
