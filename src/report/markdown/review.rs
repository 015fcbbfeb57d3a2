//! What people say who read the replies behind the decision.

use std::io::{self, Write};

use super::super::model::ReportModel;
use super::super::text::reply_name;
use super::escape::{inline, sentence};
use super::heading;
use crate::data::{NotOk, ReviewedBy};
use crate::stats::text::thousands;

pub(super) fn write(model: &ReportModel, out: &mut dyn Write) -> io::Result<()> {
    if model.reviews.is_empty() {
        return Ok(());
    }
    heading(2, "Review", out)?;
    for ReviewedBy { reviewer, ok, reviewed, not_ok } in &model.reviews {
        writeln!(out, "- Reviewed by {}: {} of {} ok.", inline(reviewer), thousands(*ok), thousands(*reviewed))?;
        for NotOk { scenario, repetition, comment } in not_ok {
            let comment = comment.as_ref().map(|comment| format!(": {}", inline(comment))).unwrap_or_default();
            writeln!(out, "  - Not ok: {}{comment}", sentence(&reply_name(scenario, *repetition)))?;
        }
    }
    Ok(())
}
