//! Which scenarios nearly repeat others.

use std::io::{self, Write};

use super::super::model::ReportModel;
use super::escape::inline;
use super::{heading, table_head, table_row};
use crate::data::{NearDuplicates, NearPair};
use crate::stats::text::{count, thousands};

pub(super) fn write(model: &ReportModel, out: &mut dyn Write) -> io::Result<()> {
    let Some(coverage) = &model.coverage else { return Ok(()) };
    let Some(near) = &coverage.near_duplicates else { return Ok(()) };
    let NearDuplicates { above, found, not_compared, closest } = near;
    heading(3, "Near-duplicates", out)?;
    if *found == 0 {
        write!(out, "No opening nearly repeats an earlier one (cosine {above} or more).")?;
    } else {
        write!(
            out,
            "{} of {} nearly repeat an earlier one (cosine {above} or more). All are still in the suite, and count: what \
             they repeat weighs more than it should, and the interval is narrower than it should be. Reword or remove the \
             later one of each pair in the taxonomy or the file; where a model writes, name more subtopics or ask for fewer \
             scenarios of each.",
            thousands(*found),
            count(coverage.scenarios, "scenario"),
        )?;
    }
    if *not_compared > 0 {
        write!(
            out,
            " Not compared: {}, whose opening the model did not embed; shorten it, or name a model that takes longer texts.",
            count(*not_compared, "scenario")
        )?;
    }
    writeln!(out)?;
    if closest.is_empty() {
        return Ok(());
    }
    if (closest.len() as u64) < *found {
        writeln!(out, "\nThe {} closest pairs:", closest.len())?;
    }
    writeln!(out)?;
    table_head(&[">Cosine", "Scenario", "Opening", "Repeats", "Its opening"], out)?;
    for NearPair { cosine, scenario, opening, of, of_opening } in closest {
        table_row(
            &[
                format!("{:.4}", cosine.value()),
                inline(scenario.as_str()),
                inline(opening),
                inline(of.as_str()),
                inline(of_opening),
            ],
            out,
        )?;
    }
    Ok(())
}
