//! Which models there were, which one was taken and why, and what its file is.

use std::io::{self, Write};

use super::super::model::{ReportModel, StageWeights};
use super::candidates::{decimal, gibibytes};
use super::escape::{inline, sentence};
use super::{candidates, cells, escape, heading, table_head, table_row};
use crate::stats::text::thousands;

pub(super) fn write(model: &ReportModel, out: &mut dyn Write) -> io::Result<()> {
    heading(2, "Model selection", out)?;
    if let Some(candidates) = &model.candidates {
        candidates::write(candidates, &model.catalogs, 3, out)?;
        if let Some(chart) = &model.chart {
            writeln!(out, "\n![Domain fit against memory or price]({})", escape::link(chart))?;
        }
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

/// Code, if it is a digest and not something else in a digest's place.
fn digest(text: &str) -> String {
    if text.bytes().all(|byte| byte.is_ascii_hexdigit()) { format!("`{text}`") } else { inline(text) }
}

fn selected(weights: &StageWeights, several: bool, out: &mut dyn Write) -> io::Result<()> {
    let StageWeights { stage, record, selected } = weights;
    let title = match (several, selected) {
        (false, true) => "Selected model".to_owned(),
        (true, true) => format!("Selected model: `{stage}`"),
        (_, false) => format!("Other weights: `{stage}`"),
    };
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
