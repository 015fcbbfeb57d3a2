//! What a run found, for people and scripts: [`Inputs`] → [`ReportModel`] → terminal text, Markdown, JSON.
//!
//! Owns wording, layout and the escaping of texts that nobody here wrote. Never runs anything, never reads the store: all
//! it needs is given. Equal inputs give equal bytes; nothing volatile, such as times or prices, is in a report. Start at
//! [`build`].

mod beside;
mod calibrated;
mod chart;
mod comparison;
mod criterion;
mod failure_modes;
#[cfg(test)]
mod fixture;
mod gates;
mod looks;
mod markdown;
mod model;
mod models;
mod next;
mod panel;
mod preferences;
mod table;
mod terminal;
#[cfg(test)]
mod tests;
mod text;

use std::io;

pub use chart::chart;
pub use comparison::{ComparedArm, StageComparison};
pub use markdown::{candidates_markdown, markdown};
pub use model::{CatalogAge, CriterionText, Inputs, NextStep, ReportModel, StageRecord, StageWeights, build};
pub use models::TriedModel;
pub use panel::{CriterionOpinions, JudgePair, Opinion, PanelJudge, Steadiness};
pub use preferences::{Position, StagePreferences};
pub use table::candidates_csv;
pub use terminal::{Style, terminal};

/// Writes the model as one JSON document with a newline at its end.
///
/// # Errors
/// `out` does not take it.
pub fn json(model: &ReportModel, out: &mut dyn io::Write) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, model)?;
    writeln!(out)
}
