//! What the openings of a suite are like, which are missing and which were not taken.

use std::collections::BTreeMap;
use std::io::{self, Write};

use super::escape::inline;
use super::{table_head, table_row};
use crate::data::{Coverage, FrozenSuite, Gap, Leak, LeakReport, Rejected};
use crate::stats::text::{count, thousands};

/// So many gaps are listed.
const GAPS: usize = 20;

pub(super) fn write(coverage: &Coverage, out: &mut dyn Write) -> io::Result<()> {
    for (axis, values) in &coverage.axes {
        writeln!(out, "\n{}: {}.", inline(axis), shares(values))?;
    }
    if !coverage.languages.is_empty() {
        let of = coverage.languages_of.map(|of| format!(", of {} openings drawn", thousands(of))).unwrap_or_default();
        writeln!(out, "\nLanguages, as far as they can be told{of}: {}.", shares(&coverage.languages))?;
    }
    if !coverage.lengths.is_empty() {
        lengths(&coverage.lengths, out)?;
    }
    if coverage.covered > 0 {
        writeln!(out, "\nPersonal data was covered at {}.", count(coverage.covered, "place"))?;
    }
    gaps(&coverage.gaps, out)?;
    if let Some(suite) = &coverage.frozen {
        frozen(suite, out)?;
    }
    if let Some(report) = &coverage.leaks {
        leaks(report, out)?;
    }
    coverage.rejected.as_ref().map_or(Ok(()), |rejected| not_taken(rejected, out))
}

/// `en 40, de 3`
fn shares(counts: &BTreeMap<String, u64>) -> String {
    let mut counts: Vec<(&String, &u64)> = counts.iter().collect();
    counts.sort_by_key(|(_, number)| std::cmp::Reverse(**number));
    counts
        .iter()
        .map(|(name, number)| format!("{} {}", inline(name), thousands(**number)))
        .collect::<Vec<_>>()
        .join(", ")
}

fn lengths(lengths: &[(u32, u64)], out: &mut dyn Write) -> io::Result<()> {
    writeln!(out)?;
    let ends = lengths.iter().skip(1).map(|(from, _)| Some(from - 1)).chain([None]);
    let names: Vec<String> = lengths
        .iter()
        .zip(ends)
        .map(|((from, _), end)| end.map_or_else(|| format!(">{from} or more"), |end| format!(">{from} to {end}")))
        .collect();
    let columns: Vec<&str> = ["Characters"].into_iter().chain(names.iter().map(String::as_str)).collect();
    table_head(&columns, out)?;
    let mut row = vec!["Openings".to_owned()];
    row.extend(lengths.iter().map(|(_, number)| thousands(*number)));
    table_row(&row, out)
}

fn gaps(gaps: &[Gap], out: &mut dyn Write) -> io::Result<()> {
    if gaps.is_empty() {
        return Ok(());
    }
    let some = if gaps.len() > GAPS { format!("; the first {GAPS}") } else { String::new() };
    writeln!(out, "\nGaps, {} of topic and style{some}:\n", count(gaps.len() as u64, "combination"))?;
    table_head(&["Topic", "Style", ">There", ">Asked for"], out)?;
    for Gap { topic, style, made, asked } in gaps.iter().take(GAPS) {
        table_row(&[inline(topic), inline(style), thousands(*made), thousands(*asked)], out)?;
    }
    Ok(())
}

fn frozen(suite: &FrozenSuite, out: &mut dyn Write) -> io::Result<()> {
    let FrozenSuite { file, missing, extra, changed, first } = suite;
    write!(out, "\nThe suite is frozen in `{file}`.")?;
    if first.is_empty() {
        return writeln!(out, " It holds what the taxonomy comes to.");
    }
    let names: Vec<String> = first.iter().map(|id| inline(id.as_str())).collect();
    let more = if (names.len() as u64) < missing + extra + changed { "…" } else { "" };
    writeln!(
        out,
        " The taxonomy is another by now: {} missing in the file, {} no longer in the taxonomy, {} with another opening there: \
         {}{more}. Move the file away to make the suite anew.",
        count(*missing, "scenario"),
        thousands(*extra),
        thousands(*changed),
        names.join(", "),
    )
}

fn leaks(report: &LeakReport, out: &mut dyn Write) -> io::Result<()> {
    let LeakReport { files, checked, too_short, leaked, first } = report;
    let files: Vec<String> = files.iter().map(|file| format!("`{file}`")).collect();
    let stand = if *leaked == 1 { "stands" } else { "stand" };
    write!(out, "\n{} of {} {stand} in {}", thousands(*leaked), count(*checked, "opening"), files.join(", "))?;
    write!(out, ": 13 words in a row, or 7 in 10 of the runs of 8.")?;
    if *too_short > 0 {
        write!(out, " {} of fewer than 4 words cannot be told.", count(*too_short, "opening"))?;
    }
    writeln!(out)?;
    if first.is_empty() {
        return Ok(());
    }
    writeln!(
        out,
        "\nA model that was trained on such a text may know the scenario by heart: remove it from one of the two.\n"
    )?;
    table_head(&[">Runs there", "Scenario", "Opening"], out)?;
    for Leak { scenario, opening, share } in first {
        table_row(&[format!("{:.0} %", share * 100.0), inline(scenario.as_str()), inline(opening)], out)?;
    }
    Ok(())
}

fn not_taken(rejected: &Rejected, out: &mut dyn Write) -> io::Result<()> {
    let Rejected { near_duplicate, echo, language, length, personal_data, missing, first_missing } = rejected;
    if rejected.all() == 0 {
        return writeln!(out, "\nEvery opening was taken.");
    }
    let reasons = [
        (*near_duplicate, "nearly repeated an earlier one"),
        (*echo, "repeated the instructions"),
        (*language, "were in another language"),
        (*length, "were too short or too long"),
        (*personal_data, "held personal data"),
    ];
    let reasons: Vec<String> = reasons
        .into_iter()
        .filter(|(number, _)| *number > 0)
        .map(|(number, why)| format!("{} {why}", thousands(number)))
        .collect();
    write!(out, "\nNot taken: {} ({}).", count(rejected.all(), "opening"), reasons.join(", "))?;
    if *missing > 0 {
        let names: Vec<String> = first_missing.iter().map(|id| inline(id.as_str())).collect();
        let more = if (first_missing.len() as u64) < *missing { "…" } else { "" };
        write!(out, " {} left out for want of one: {}{more}.", count(*missing, "scenario"), names.join(", "))?;
    }
    writeln!(out)
}
