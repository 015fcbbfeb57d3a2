//! The table of candidates: what was considered, who stands where and why, what fits, what to watch.

use std::io::{self, Write};

use super::super::model::CatalogAge;
use super::escape::{inline, sentence};
use super::{full_sentence, heading, table_head, table_row};
use crate::data::{Candidate, Candidates, CatalogSource, Pinned, Place, QuantizedMemory, TrainingMemory};
use crate::stats::text::thousands;

/// Writes the research table, with headings of `level` below it, and how old the catalogs are that were fetched.
pub(super) fn write(candidates: &Candidates, ages: &[CatalogAge], level: usize, out: &mut dyn Write) -> io::Result<()> {
    let Candidates {
        considered,
        dropped,
        shortlist,
        near_misses,
        sources,
        notes,
        memory_for,
        memory_available,
        pinned,
    } = candidates;
    write!(out, "{} models in the catalogs.", thousands(*considered as u64))?;
    let dropped: Vec<String> =
        dropped.iter().map(|(name, number)| format!("`{name}` {}", thousands(*number as u64))).collect();
    if !dropped.is_empty() {
        let dropped = dropped.join(", ");
        write!(out, " Dropped by each requirement, in the order tried: {}.", sentence(&dropped))?;
    }
    writeln!(out)?;
    if let Some(Pinned { id, because, computed, stands }) = pinned {
        let (id, computed) = (inline(id), inline(computed));
        writeln!(out, "\nA reviewer took **{id}**: {}", sentence(&full_sentence(because)))?;
        writeln!(out, "Computed was {computed}; {}", sentence(&format!("the one taken: {stands}.")))?;
    }
    if shortlist.is_empty() {
        writeln!(out, "\nNo model meets every requirement.")?;
    } else {
        writeln!(out)?;
        table(shortlist, "Why selected or rejected", out)?;
        writeln!(
            out,
            "\nDomain fit is the weighted mean percentile, from 0 to 1, in the benchmarks that the pipeline prefers, among \
             the models that meet every requirement; the scores behind it are the catalogs'. A star stands for a fifth of \
             it, and who shares a rank shares its stars. A missing score is missing and never zero."
        )?;
    }
    for note in notes {
        writeln!(out, "\n{}", sentence(&full_sentence(note)))?;
    }
    if let (Some(purpose), Some(available)) = (memory_for, memory_available) {
        memory(shortlist, purpose, *available, level, out)?;
    }
    evidence(shortlist, level, out)?;
    concerns(shortlist, level, out)?;
    if !near_misses.is_empty() {
        heading(level, "Near misses", out)?;
        table(near_misses, "Why rejected", out)?;
    }
    list_sources(sources, ages, level, out)
}

fn table(rows: &[Candidate], why: &str, out: &mut dyn Write) -> io::Result<()> {
    let ranked = rows.iter().any(|row| row.rank.is_some());
    let priced = rows.iter().any(|row| row.price_in.is_some() || row.price_out.is_some());
    let mut head = vec![];
    if ranked {
        head.push(">Rank");
    }
    head.extend(["Model", "Place", "Domain fit", ">Parameters", "Licence", ">Context", ">Memory"]);
    if priced {
        head.push(">Price in, out");
    }
    head.extend(["Why considered", why]);
    table_head(&head, out)?;
    for row in rows {
        let dash = || "–".to_owned();
        let mut cells = Vec::new();
        if ranked {
            cells.push(row.rank.map_or_else(dash, |rank| rank.to_string()));
        }
        cells.extend([
            if row.place == Place::Primary { format!("**{}**", inline(&row.id)) } else { inline(&row.id) },
            place(row.place).to_owned(),
            fit(row),
            row.params_b.map_or_else(dash, |billions| format!("{} B", decimal(billions))),
            license(row),
            row.context.map_or_else(dash, thousands),
            row.memory_bytes.map_or_else(dash, gibibytes),
        ]);
        if priced {
            let price = |price: Option<f64>| price.map_or_else(dash, |price| format!("${price}"));
            cells.push(format!("{}, {}", price(row.price_in), price(row.price_out)));
        }
        cells.extend([inline(&row.considered_because), inline(&row.reason)]);
        table_row(&cells, out)?;
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

/// `★★★★☆ 0.87 (ifeval 74.2, bbh –)`
fn fit(row: &Candidate) -> String {
    let scores: Vec<String> = row
        .scores
        .iter()
        .map(|(name, score)| {
            format!("{} {}", inline(name), score.map_or_else(|| "–".to_owned(), |score| score.to_string()))
        })
        .collect();
    let stars = row.stars.map_or_else(String::new, |count| {
        let count = usize::from(count);
        format!("{}{} ", "★".repeat(count), "☆".repeat(5_usize.saturating_sub(count)))
    });
    let fit = row.fit.map_or_else(|| "–".to_owned(), |fit| format!("{stars}{fit:.2}"));
    if scores.is_empty() { fit } else { format!("{fit} ({})", scores.join(", ")) }
}

fn license(row: &Candidate) -> String {
    match (&row.license, &row.license_note) {
        (None, None) => "–".to_owned(),
        (Some(text), None) | (None, Some(text)) => inline(text),
        (Some(license), Some(note)) => format!("{} ({})", inline(license), inline(note)),
    }
}

/// What fits: a column for each quantisation, and what fine-tuning takes.
fn memory(rows: &[Candidate], purpose: &str, available: u64, level: usize, out: &mut dyn Write) -> io::Result<()> {
    let Some(widest) = rows.iter().max_by_key(|row| row.memory.len()) else { return Ok(()) };
    let tuned = rows.iter().any(|row| row.training.is_some());
    if widest.memory.is_empty() && !tuned {
        return Ok(());
    }
    heading(level, "Memory", out)?;
    let text = format!(
        "What is needed of {purpose}, in GiB, weights, cache and buffers together; what does not fit is struck out, and ~ marks \
         a rule of thumb. QLoRA, LoRA and full are what fine-tuning takes, with examples of that length."
    );
    writeln!(out, "{}\n", sentence(&text))?;
    let labels: Vec<String> =
        widest.memory.iter().map(|QuantizedMemory { quantization, .. }| format!(">{quantization}")).collect();
    let mut head = vec!["Model"];
    head.extend(labels.iter().map(String::as_str));
    if tuned {
        head.extend([">QLoRA", ">LoRA", ">Full"]);
    }
    table_head(&head, out)?;
    for row in rows {
        let mut cells = vec![inline(&row.id)];
        for label in &widest.memory {
            let own = row.memory.iter().find(|own| own.quantization == label.quantization);
            cells.push(own.map_or_else(|| "–".to_owned(), |own| amount(own.bytes, own.estimated, own.fits)));
        }
        if tuned {
            match &row.training {
                None => cells.extend(["–", "–", "–"].map(ToOwned::to_owned)),
                Some(TrainingMemory { qlora, lora, full, estimated }) => {
                    cells.extend([*qlora, *lora, *full].map(|bytes| amount(bytes, *estimated, bytes <= available)));
                }
            }
        }
        table_row(&cells, out)?;
    }
    Ok(())
}

fn amount(bytes: u64, estimated: bool, fits: bool) -> String {
    let tilde = if estimated { "\\~" } else { "" };
    let number = format!("{tilde}{:.1}", bytes as f64 / f64::from(1 << 30));
    if fits { number } else { format!("~~{number}~~") }
}

/// Where the scores behind the stars come from.
fn evidence(rows: &[Candidate], level: usize, out: &mut dyn Write) -> io::Result<()> {
    if rows.iter().all(|row| row.evidence.is_empty()) {
        return Ok(());
    }
    heading(level, "Evidence", out)?;
    table_head(&["Model", "Benchmark", ">Score", ">Place in it", ">Questions", "Measured", "Catalog"], out)?;
    for row in rows {
        for found in &row.evidence {
            let dash = || "–".to_owned();
            table_row(
                &[
                    inline(&row.id),
                    inline(&found.column),
                    found.score.to_string(),
                    format!("{} of {}", found.rank, found.of),
                    found.questions.map_or_else(dash, |questions| thousands(u64::from(questions))),
                    found.date.as_deref().map_or_else(dash, inline),
                    inline(&found.catalog),
                ],
                out,
            )?;
        }
    }
    Ok(())
}

fn concerns(rows: &[Candidate], level: usize, out: &mut dyn Write) -> io::Result<()> {
    if rows.iter().all(|row| row.concerns.is_empty()) {
        return Ok(());
    }
    heading(level, "Concerns to watch", out)?;
    for row in rows.iter().filter(|row| !row.concerns.is_empty()) {
        writeln!(out, "- **{}**", inline(&row.id))?;
        for concern in &row.concerns {
            writeln!(out, "  - {}", sentence(&full_sentence(&concern.text)))?;
        }
    }
    Ok(())
}

fn list_sources(sources: &[CatalogSource], ages: &[CatalogAge], level: usize, out: &mut dyn Write) -> io::Result<()> {
    if sources.is_empty() {
        return Ok(());
    }
    heading(level, "Catalogs", out)?;
    let mut head = vec!["Catalog", "What it is", ">Models", "Newest entry"];
    if !ages.is_empty() {
        head.push("Fetched");
    }
    table_head(&head, out)?;
    for CatalogSource { name, format, models, newest } in sources {
        let newest = newest.as_deref().map_or_else(|| "–".to_owned(), inline);
        let mut cells = vec![inline(name), inline(format), thousands(*models as u64), newest];
        if !ages.is_empty() {
            let age = ages.iter().find(|age| age.source == *name);
            cells.push(age.map_or_else(|| "–".to_owned(), |age| inline(&age.words())));
        }
        table_row(&cells, out)?;
    }
    writeln!(out, "\nA later catalog's cell counts where several describe a model; an empty cell says nothing.")
}

/// At most two decimals, none that are 0.
pub(super) fn decimal(number: f64) -> String {
    let digits = format!("{number:.2}");
    digits.trim_end_matches('0').trim_end_matches('.').to_owned()
}

pub(super) fn gibibytes(bytes: u64) -> String {
    format!("{:.1} GiB", bytes as f64 / f64::from(1 << 30))
}
