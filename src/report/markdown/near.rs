//! Which scenarios nearly repeat others.

use std::io::{self, Write};

use super::super::model::ReportModel;
use super::escape::inline;
use super::{heading, table_head, table_row};
use crate::data::{Cluster, NearDuplicates, NearPair};
use crate::stats::text::{count, thousands};

pub(super) fn write(model: &ReportModel, out: &mut dyn Write) -> io::Result<()> {
    let Some(coverage) = &model.coverage else { return Ok(()) };
    let Some(near) = &coverage.near_duplicates else { return Ok(()) };
    let NearDuplicates { above, shingles, found, not_compared, closest, clusters } = near;
    let by = [
        above.map(|above| format!("cosine {above} or more")),
        shingles.map(|share| format!("{share} of the shingles or more")),
    ];
    let by = by.into_iter().flatten().collect::<Vec<_>>().join(", or ");
    heading(3, "Near-duplicates", out)?;
    if *found == 0 {
        write!(out, "No opening nearly repeats an earlier one ({by}).")?;
    } else {
        write!(
            out,
            "{} of {} nearly repeat an earlier one ({by}). All are still in the suite, and count: what \
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
    let measure = if shingles.is_some() { ">Closeness" } else { ">Cosine" };
    table_head(&[measure, "Scenario", "Opening", "Repeats", "Its opening"], out)?;
    for pair in closest {
        let NearPair { cosine: _, overlap: _, scenario, opening, of, of_opening } = pair;
        table_row(
            &[
                format!("{:.4}", pair.closeness().value()),
                inline(scenario.as_str()),
                inline(opening),
                inline(of.as_str()),
                inline(of_opening),
            ],
            out,
        )?;
    }
    write_clusters(clusters, out)
}

/// Groups of more than two: of a pair all is said above.
fn write_clusters(clusters: &[Cluster], out: &mut dyn Write) -> io::Result<()> {
    let groups: Vec<&Cluster> = clusters.iter().filter(|cluster| cluster.scenarios > 2).collect();
    if groups.is_empty() {
        return Ok(());
    }
    writeln!(out, "\nThe largest groups in which one leads to the next:\n")?;
    table_head(&[">Scenarios", "First", "Its opening"], out)?;
    for Cluster { first, opening, scenarios } in groups {
        table_row(&[thousands(*scenarios), inline(first.as_str()), inline(opening)], out)?;
    }
    Ok(())
}
