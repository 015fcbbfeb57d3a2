//! The Markdown report: read in a pull request by somebody who must say deploy, fine-tune or not yet.
//!
//! Owns its layout. Foreign texts come in only through [`escape`].

mod beside;
mod calibration;
mod candidates;
mod comparison;
mod escape;
mod failure_modes;
mod failures;
mod gates;
mod looks;
mod models;
mod near;
mod panel;
mod preferences;
mod reproduce;
mod results;
mod review;
mod review_sheet;
mod selection;
mod suite;

use std::io::{self, Write};

use self::escape::{block, code, inline, sentence};
use super::calibrated::JUDGE_RELATIVE;
use super::model::{CatalogAge, NextStep, ReportModel};
use super::text::bar;
use crate::data::{Candidates, Decision, Outcome};
use crate::stats::text::{list, round_percent};

/// Columns of the bar that shows the interval.
const BAR: usize = 60;

/// Writes the report.
///
/// # Errors
/// `out` does not take it.
pub fn markdown(model: &ReportModel, out: &mut dyn Write) -> io::Result<()> {
    title(model, out)?;
    if model.decision.is_some() || model.comparisons.is_empty() {
        decision(model, out)?;
        gates::write(model, out)?;
        models::write(model, out)?;
    }
    comparison::write(model, out)?;
    selection::write(model, out)?;
    results::write(model, out)?;
    calibration::write(model, out)?;
    near::write(model, out)?;
    panel::write(model, out)?;
    preferences::write(model, out)?;
    failure_modes::write(model, out)?;
    failures::failure_analysis(model, out)?;
    failures::qualitative_notes(model, out)?;
    review::write(model, out)?;
    review_sheet::write(model, out)?;
    next_steps(&model.next_steps, out)?;
    reproduce::write(model, out)
}

/// Writes the table of candidates alone.
///
/// # Errors
/// `out` does not take it.
pub fn candidates_markdown(found: &Candidates, ages: &[CatalogAge], out: &mut dyn Write) -> io::Result<()> {
    candidates::write(found, ages, 2, out)
}

fn heading(level: usize, text: &str, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "\n{} {text}\n", "#".repeat(level))
}

/// One row of a table; the cells are Markdown already.
fn table_row(cells: &[String], out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "| {} |", cells.join(" | "))
}

/// The head of a table: each column's name, behind `>` where its numbers stand to the right.
fn table_head(columns: &[&str], out: &mut dyn Write) -> io::Result<()> {
    let names: Vec<&str> = columns.iter().map(|column| column.trim_start_matches('>')).collect();
    let rules: Vec<&str> = columns.iter().map(|c| if c.starts_with('>') { "---:" } else { "---" }).collect();
    writeln!(out, "| {} |\n| {} |", names.join(" | "), rules.join(" | "))
}

/// Markdown as cells.
fn cells(texts: &[&str]) -> Vec<String> {
    texts.iter().map(ToString::to_string).collect()
}

/// The sentence with a capital and a full stop.
fn full_sentence(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars.next().map(|c| c.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", chars.as_str())
}

fn title(model: &ReportModel, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "<!-- Written by evalflow: run it again rather than edit this file. -->\n")?;
    let compares = model.decision.is_none() && !model.comparisons.is_empty();
    let what = if compares { "Comparison" } else { "Base model evaluation" };
    writeln!(out, "# {what}: {}\n", inline(&model.name))?;
    let (outcome, rest) = model.headline.split_once(": ").unwrap_or((&model.headline, ""));
    write!(out, "**{}:** {}", inline(outcome), sentence(rest))?;
    let decided = model.decision.as_ref().and_then(|decision| decision.reasons.first());
    let compared = || model.comparisons.first().and_then(|found| found.comparison.reasons.first());
    if let Some(reason) = if model.decision.is_some() { decided } else { compared() } {
        write!(out, " {}", sentence(&full_sentence(reason)))?;
    }
    writeln!(out, "\n\n{} · pipeline {}", inline(&model.date), code(&model.file))?;
    if let Some(description) = &model.description {
        writeln!(out, "\n{}", inline(description))?;
    }
    if !model.notes.is_empty() {
        writeln!(out, "\n**Read with care:**\n")?;
        for note in &model.notes {
            writeln!(out, "- {}", sentence(note))?;
        }
    }
    Ok(())
}

fn in_words(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Deploy => "deploy",
        Outcome::FineTune => "fine-tune",
        Outcome::FullPipeline => "full pipeline",
        Outcome::Inconclusive => "inconclusive",
        Outcome::Blocked => "blocked",
    }
}

fn decision(model: &ReportModel, out: &mut dyn Write) -> io::Result<()> {
    heading(2, "Decision", out)?;
    let Some(decision) = &model.decision else {
        return writeln!(out, "{}", sentence(&model.headline));
    };
    writeln!(out, "Outcome: **{}**.\n", in_words(decision.outcome))?;
    write!(out, "{}", block("text", &bar(&decision.deciding(), &decision.thresholds, BAR).join("\n"), ""))?;
    writeln!(out)?;
    for reason in &decision.reasons {
        writeln!(out, "- {}", sentence(&full_sentence(reason)))?;
    }
    if model.judge_relative {
        writeln!(out, "- {}", sentence(&full_sentence(JUDGE_RELATIVE)))?;
    }
    if decision.outcome == Outcome::Inconclusive {
        let possible: Vec<String> = decision.possible.iter().map(|outcome| in_words(*outcome).to_owned()).collect();
        writeln!(out, "- Still possible: {}.", list(&possible, "or"))?;
        if let Some(point) = decision.point_outcome {
            writeln!(
                out,
                "- The rate taken alone, without its interval, would say {}. That is no decision.",
                in_words(point)
            )?;
        }
    }
    writeln!(out, "\n{}", rule(decision))?;
    looks::write(decision, out)
}

/// The rule in one paragraph, for a reader who meets it for the first time.
fn rule(decision: &Decision) -> String {
    let [deploy, fine_tune] = [decision.thresholds.deploy, decision.thresholds.fine_tune].map(round_percent);
    format!(
        "The rule: *deploy* if the whole {} interval is at {deploy} or above, *fine-tune* if it lies between {fine_tune} \
         and {deploy}, *full pipeline* if it lies below {fine_tune}; an interval that spans a threshold decides nothing.",
        round_percent(decision.rate.confidence)
    )
}

fn next_steps(steps: &[NextStep], out: &mut dyn Write) -> io::Result<()> {
    heading(2, "Next steps", out)?;
    for (index, NextStep { text, points, checklist, yaml }) in steps.iter().enumerate() {
        let bullet = if *checklist { "- [ ]" } else { "-" };
        let label = format!("{}. ", index + 1);
        let indent = " ".repeat(label.len());
        writeln!(out, "{label}{}", sentence(text))?;
        for point in points {
            writeln!(out, "{indent}{bullet} {}", sentence(point))?;
        }
        if let Some(yaml) = yaml {
            write!(out, "\n{}\n", block("yaml", yaml, &indent))?;
        }
    }
    Ok(())
}
