//! What failures cost, and what is likely to mend them.

use std::io::{self, Write};

use super::super::failure_modes::{clues, pair, remedy, to_collect};
use super::super::model::ReportModel;
use super::super::text::replies;
use super::escape::sentence;
use super::{heading, table_head, table_row};
use crate::stats::text::{percent, thousands};

/// Modes that are told with their clues.
const TOLD: usize = 5;

pub(super) fn write(model: &ReportModel, out: &mut dyn Write) -> io::Result<()> {
    let Some(found) = model.decision.as_ref().and_then(|decision| decision.failure_modes.as_ref()) else {
        return Ok(());
    };
    if found.modes.is_empty() {
        return Ok(());
    }
    heading(2, "What failures cost", out)?;
    writeln!(
        out,
        "{} did not meet the pass rule. Each was graded once more as if one criterion had passed: what meets the rule then is \
         what mending that criterion would return, all else being as it is.\n",
        replies(found.failed)
    )?;
    table_head(&["Criterion", ">Fails in", ">Would return", ">Pass rate then", "Likely to be mended by"], out)?;
    for mode in &found.modes {
        let row = [
            format!("`{}`", mode.criterion),
            thousands(mode.failed),
            thousands(mode.returned),
            percent(mode.rate),
            remedy(mode.remedy).to_owned(),
        ];
        table_row(&row, out)?;
    }
    if !found.pairs.is_empty() {
        writeln!(out, "\nNone of them alone reaches the deploy threshold. Two at a time:\n")?;
        for both in &found.pairs {
            writeln!(out, "- {}", sentence(&pair(both)))?;
        }
    }
    for mode in found.modes.iter().take(TOLD) {
        heading(3, &format!("To mend `{}`", mode.criterion), out)?;
        writeln!(out, "- Likely to be mended by: {}.", remedy(mode.remedy))?;
        for line in to_collect(mode, &model.criteria) {
            writeln!(out, "- To collect: {}", sentence(&line))?;
        }
        for clue in clues(mode) {
            writeln!(out, "- Speaks {}.", sentence(&clue))?;
        }
    }
    writeln!(
        out,
        "\nThe numbers of examples are ten for each failure seen, from 20 to 500: a start, and no promise. Keep the scenarios of \
         this suite out of them."
    )
}
