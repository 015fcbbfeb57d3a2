//! The two models of a decision that looked at a backup, side by side.

use std::io::{self, Write};

use super::super::model::ReportModel;
use super::super::models::gates_in_words;
use super::super::text::rate;
use super::escape::sentence;
use super::{heading, in_words, table_head, table_row};

pub(super) fn write(model: &ReportModel, out: &mut dyn Write) -> io::Result<()> {
    let Some(decided_on) = model.models.iter().find(|model| model.decided_on) else { return Ok(()) };
    heading(2, "Models", out)?;
    table_head(&["Model", "Answers", "Outcome", ">Pass rate", "Gates not passed"], out)?;
    for model in &model.models {
        let name = sentence(&format!("{} (`{}`)", model.called(), model.verdicts));
        let outcome = in_words(model.outcome);
        let (name, outcome) = if model.decided_on {
            (format!("**{name}**"), format!("**{outcome}**"))
        } else {
            (name, outcome.to_owned())
        };
        let who = model.answered_by.as_deref().map(sentence).unwrap_or_default();
        let gates = gates_in_words(&model.gates_not_passed).map_or_else(|| "–".to_owned(), |gates| sentence(&gates));
        let looked = model.looked_at.as_ref().map(|looked| format!(", {looked}")).unwrap_or_default();
        table_row(&[name, who, outcome, format!("{}{looked}", rate(&model.rate)), gates], out)?;
    }
    let about = decided_on.called();
    writeln!(out, "\nBoth were judged alike. What is said above and below is about the {about}, in bold.")
}
