//! Which models there were, which one was taken and why, and what its file is.

use std::io::{self, Write};

use super::super::model::{ReportModel, StageWeights};
use super::escape::{inline, sentence};
use super::{cells, heading, table_head, table_row};
use crate::data::{Candidate, Candidates, Place};
use crate::stats::text::thousands;

pub(super) fn write(model: &ReportModel, out: &mut dyn Write) -> io::Result<()> {
    heading(2, "Model selection", out)?;
    if let Some(candidates) = &model.candidates {
        research(candidates, out)?;
    }
    for weights in &model.weights {
        selected(weights, model.weights.len() > 1, out)?;
    }
    if model.candidates.is_none() && model.weights.is_empty() {
        let who = model.answered_by.as_deref().unwrap_or("nobody");
        writeln!(
            out,
            "The pipeline names its model; nothing was searched or downloaded. Answered by {}.",
            sentence(who)
        )?;
    }
    Ok(())
}

fn research(candidates: &Candidates, out: &mut dyn Write) -> io::Result<()> {
    let Candidates { considered, dropped, shortlist, near_misses } = candidates;
    write!(out, "{} models in the catalogs.", thousands(*considered as u64))?;
    let dropped: Vec<String> =
        dropped.iter().map(|(name, number)| format!("`{name}` {}", thousands(*number as u64))).collect();
    if !dropped.is_empty() {
        let dropped = dropped.join(", ");
        write!(out, " Dropped by each requirement, in the order tried: {}.", sentence(&dropped))?;
    }
    writeln!(out)?;
    if shortlist.is_empty() {
        writeln!(out, "\nNo model meets every requirement.")?;
    } else {
        writeln!(out)?;
        table(shortlist, "Why selected or rejected", out)?;
        writeln!(
            out,
            "\nDomain fit is the weighted mean percentile, from 0 to 1, in the benchmarks that the pipeline prefers, among \
             the models that meet every requirement; the scores behind it are the catalogs'."
        )?;
    }
    if !near_misses.is_empty() {
        heading(3, "Near misses", out)?;
        table(near_misses, "Why rejected", out)?;
    }
    Ok(())
}

fn table(rows: &[Candidate], why: &str, out: &mut dyn Write) -> io::Result<()> {
    table_head(
        &["Model", "Place", "Domain fit", ">Parameters", "Licence", ">Context", ">Memory", "Why considered", why],
        out,
    )?;
    for row in rows {
        let dash = || "–".to_owned();
        table_row(
            &[
                if row.place == Place::Primary { format!("**{}**", inline(&row.id)) } else { inline(&row.id) },
                place(row.place).to_owned(),
                fit(row),
                row.params_b.map_or_else(dash, |billions| format!("{} B", decimal(billions))),
                license(row),
                row.context.map_or_else(dash, thousands),
                row.memory_bytes.map_or_else(dash, gibibytes),
                inline(&row.considered_because),
                inline(&row.reason),
            ],
            out,
        )?;
    }
    Ok(())
}

fn place(place: Place) -> &'static str {
    match place {
        Place::Primary => "selected",
        Place::Backup => "backup",
        Place::Shortlisted => "shortlisted",
        Place::Dropped => "dropped",
    }
}

/// `0.87 (ifeval 74.2, bbh –)`
fn fit(row: &Candidate) -> String {
    let scores: Vec<String> = row
        .scores
        .iter()
        .map(|(name, score)| {
            format!("{} {}", inline(name), score.map_or_else(|| "–".to_owned(), |score| score.to_string()))
        })
        .collect();
    let fit = row.fit.map_or_else(|| "–".to_owned(), |fit| format!("{fit:.2}"));
    if scores.is_empty() { fit } else { format!("{fit} ({})", scores.join(", ")) }
}

fn license(row: &Candidate) -> String {
    match (&row.license, &row.license_note) {
        (None, None) => "–".to_owned(),
        (Some(text), None) | (None, Some(text)) => inline(text),
        (Some(license), Some(note)) => format!("{} ({})", inline(license), inline(note)),
    }
}

/// At most two decimals, none that are 0.
fn decimal(number: f64) -> String {
    let digits = format!("{number:.2}");
    digits.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Code, if it is a digest and not something else in a digest's place.
fn digest(text: &str) -> String {
    if text.bytes().all(|byte| byte.is_ascii_hexdigit()) { format!("`{text}`") } else { inline(text) }
}

fn gibibytes(bytes: u64) -> String {
    format!("{:.1} GiB", bytes as f64 / f64::from(1 << 30))
}

fn selected(weights: &StageWeights, several: bool, out: &mut dyn Write) -> io::Result<()> {
    let StageWeights { stage, record } = weights;
    let title = if several { format!("Selected model: `{stage}`") } else { "Selected model".to_owned() };
    heading(3, &title, out)?;
    let dash = || "–".to_owned();
    table_head(&["Model", &inline(&record.model)], out)?;
    let billions = decimal(record.parameters as f64 / 1e9);
    for (name, value) in [
        ("Source", inline(&record.source)),
        ("Architecture", inline(&record.architecture)),
        ("Parameters", format!("{} ({billions} B)", thousands(record.parameters))),
        ("Quantization", inline(&record.quantization)),
        ("Licence", record.license.as_deref().map_or_else(dash, inline)),
        ("Context", record.context_length.map_or_else(dash, |tokens| format!("{} tokens", thousands(tokens)))),
        ("Size", format!("{} bytes ({})", thousands(record.bytes), gibibytes(record.bytes))),
        (
            "Chat template",
            record.chat_template.map_or_else(|| "none in the file".to_owned(), |id| format!("`{}`", id.short())),
        ),
        ("sha256", digest(&record.sha256)),
        ("blake3", format!("`{}`", record.weights)),
    ] {
        table_row(&cells(&[name, &value]), out)?;
    }
    Ok(())
}
