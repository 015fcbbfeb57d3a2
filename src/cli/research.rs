//! `evalflow research FILE`

use std::io::{self, Write};
use std::path::PathBuf;

use clap::ValueEnum;
use serde::Serialize;

use super::access;
use super::exit::Exit;
use super::fetched;
use super::open;
use super::output::{data, failure, json as print_json, say, store_failure};
use super::settings::Settings;
use super::table::Table;
use super::write::replace;
use crate::catalog;
use crate::data::{Candidate, Candidates, Place};
use crate::exec::{self, Engines, Fetching, Limits};
use crate::ids::StageId;
use crate::lock::day;
use crate::report::{self, CatalogAge};
use crate::spec::{Loaded, Pipeline, Research, Stage};
use crate::store::Store;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Pipeline file
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Which research stage, where there are several
    #[arg(long, value_name = "STAGE")]
    stage: Option<String>,
    /// Order the rows by a column, `-COLUMN` for the largest first; of all that meet the requirements
    #[arg(long, value_name = "COLUMN", allow_hyphen_values = true)]
    sort: Vec<String>,
    /// Show only rows that a condition holds for, such as `params_b < 9 and license_commercial`; a row with an empty cell in
    /// a column that it names does not match
    #[arg(long = "where", value_name = "CONDITION")]
    condition: Option<String>,
    /// Most rows [default: the pipeline's `shortlist`]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    limit: Option<u32>,
    /// Ask the hub again for what it answered before
    #[arg(long)]
    refresh: bool,
    /// Ask nothing of other machines: a catalog that was never fetched fails
    #[arg(long)]
    offline: bool,
    /// How to print the table
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    format: Format,
    /// Draw domain fit against memory or price into an SVG file
    #[arg(long, value_name = "FILE")]
    chart: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A table for the terminal
    Table,
    /// Everything, as it is in a report
    Markdown,
    /// One line a candidate
    Csv,
    /// Everything, for scripts
    Json,
}

pub(super) fn execute(settings: &Settings, arguments: &Arguments) -> Result<Exit, Exit> {
    let Loaded { pipeline, warnings: _ } = open::pipeline(settings, &arguments.file)?;
    let research = stage(&pipeline, arguments.stage.as_deref())?;
    // Files are looked at without a store; what a server answered is kept in one.
    let store = if research.searches().next().is_some() {
        Some(fetch(settings, &pipeline, research, arguments)?)
    } else {
        None
    };
    let found = find(&pipeline, research, store.as_ref(), arguments)?;
    let today = day(settings.now);
    let ages = store.as_ref().map(|store| fetched::ages(research, &found, store, None, &today)).transpose();
    let ages = ages.map_err(|error| {
        store_failure(&error);
        Exit::Failed
    })?;
    let ages = ages.unwrap_or_default();
    if let Some(file) = &arguments.chart {
        draw(&found, file)?;
    }
    let written = match arguments.format {
        Format::Table => data(|out| write(&found, &ages, out)),
        Format::Markdown => data(|out| report::candidates_markdown(&found, &ages, out)),
        Format::Csv => data(|out| report::candidates_csv(&found, out)),
        Format::Json => print_json(&Everything { found: &found, fetched: &ages }),
    };
    if written { Ok(Exit::Ok) } else { Err(Exit::Failed) }
}

/// The table for scripts.
#[derive(Serialize)]
struct Everything<'a> {
    #[serde(flatten)]
    found: &'a Candidates,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    fetched: &'a [CatalogAge],
}

/// Fetches the catalogs that are not in the store yet, or all of them, and gives the store.
fn fetch(settings: &Settings, pipeline: &Pipeline, research: &Research, arguments: &Arguments) -> Result<Store, Exit> {
    let store = open::store(settings, &pipeline.root)?;
    let engines = Engines::new(Limits { offline: arguments.offline, ..Limits::default() })
        .with_access(access::access(&settings.environment));
    let fetching = Fetching {
        store: &store,
        engines: &engines,
        now: settings.now,
        again: arguments.refresh,
        note: &|text| say(text),
    };
    let fetched = open::runtime().block_on(exec::fetch_catalogs(&fetching, research));
    fetched.map_err(|error| {
        failure(&error.message, error.help.as_deref());
        Exit::Failed
    })?;
    Ok(store)
}

/// The stage that is asked for, or the only one there is.
fn stage<'a>(pipeline: &'a Pipeline, asked: Option<&str>) -> Result<&'a Research, Exit> {
    let all: Vec<(&StageId, &Research)> = pipeline
        .stages
        .iter()
        .filter_map(|(id, stage)| if let Stage::Research(research) = stage { Some((id, &**research)) } else { None })
        .collect();
    let names = all.iter().map(|(id, _)| format!("`{id}`")).collect::<Vec<_>>().join(", ");
    let (message, help) = match (asked, all.as_slice()) {
        (None, [(_, only)]) => return Ok(only),
        (_, []) => {
            let help = "add a stage `candidates: { research: { catalog: [catalog/models.csv] } }`";
            ("the pipeline has no research stage".to_owned(), help.to_owned())
        }
        (None, _) => {
            ("the pipeline has several research stages".to_owned(), format!("write `--stage` with one of {names}"))
        }
        (Some(asked), _) => match all.iter().find(|(id, _)| id.as_str() == asked) {
            Some((_, research)) => return Ok(research),
            None => (format!("there is no research stage `{asked}`"), format!("write one of {names}")),
        },
    };
    failure(&message, Some(&help));
    Err(Exit::BadInput)
}

/// Makes the table, of all models that meet the requirements where it is filtered or sorted, and cuts it.
fn find(
    pipeline: &Pipeline,
    research: &Research,
    store: Option<&Store>,
    arguments: &Arguments,
) -> Result<Candidates, Exit> {
    let failed = |error: exec::StageFailure| {
        failure(&error.message, error.help.as_deref());
        Exit::Failed
    };
    let catalog = exec::catalog(&pipeline.root, research, store).map_err(failed)?;
    let limit = arguments.limit.map_or(research.shortlist, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
    let selects = arguments.condition.is_some() || !arguments.sort.is_empty();
    let asked = Research { shortlist: if selects { catalog.len() } else { limit }, ..research.clone() };
    let mut found = catalog::research(&catalog, &asked).map_err(|error| {
        failure(&error.to_string(), error.help().as_deref());
        Exit::Failed
    })?;
    let rows = std::mem::take(&mut found.shortlist);
    let kept = catalog::select(&catalog, rows, arguments.condition.as_deref(), &arguments.sort).map_err(|error| {
        failure(&error.to_string(), Some(&error.help()));
        Exit::BadInput
    })?;
    found.shortlist = kept.into_iter().take(limit).collect();
    Ok(found)
}

fn draw(found: &Candidates, file: &std::path::Path) -> Result<(), Exit> {
    let Some(chart) = report::chart(found) else {
        let help = "give the stage `fits`, or a catalog with prices, and let two candidates remain";
        failure("there is nothing to draw", Some(help));
        return Err(Exit::Failed);
    };
    replace(file, chart.as_bytes()).map_err(|error| {
        failure(&format!("the chart cannot be written: {error}"), Some("see that its directory is writable"));
        Exit::Failed
    })?;
    say(&format!("chart: {}", file.display()));
    Ok(())
}

fn write(found: &Candidates, ages: &[CatalogAge], out: &mut dyn Write) -> io::Result<()> {
    let mut table =
        Table::new(&["rank", "stars", "model", "place", "fit", "params", "context", "memory", "price", "concerns"]);
    for row in &found.shortlist {
        table.row(words(row));
    }
    table.write(out)?;
    writeln!(out, "\n{} of {} models", found.shortlist.len(), found.considered)?;
    let first = found.shortlist.iter().find(|row| row.place == Place::Primary);
    if let Some(Candidate { id, reason, concerns, .. }) = first {
        writeln!(out, "{id}: {reason}")?;
        for concern in concerns {
            writeln!(out, "  watch: {}", concern.text)?;
        }
    }
    if let Some(pinned) = &found.pinned {
        writeln!(out, "taken by a reviewer: {}; computed was {}; {}", pinned.id, pinned.computed, pinned.stands)?;
    }
    for age in ages {
        writeln!(out, "{}: fetched {}", age.source, age.words())?;
    }
    for note in &found.notes {
        writeln!(out, "note: {note}")?;
    }
    Ok(())
}

fn words(row: &Candidate) -> Vec<String> {
    let or_empty = |text: Option<String>| text.unwrap_or_default();
    let place = match row.place {
        Place::Primary => "selected",
        Place::Backup => "backup",
        Place::Shortlisted => "",
        Place::Dropped => "dropped",
    };
    let prices = (row.price_in.is_some() || row.price_out.is_some()).then(|| {
        let price = |price: Option<f64>| price.map_or_else(|| "?".to_owned(), |price| format!("${price}"));
        format!("{}/{}", price(row.price_in), price(row.price_out))
    });
    vec![
        or_empty(row.rank.map(|rank| rank.to_string())),
        or_empty(row.stars.map(|stars| "*".repeat(usize::from(stars)))),
        row.id.clone(),
        place.to_owned(),
        or_empty(row.fit.map(|fit| format!("{fit:.2}"))),
        or_empty(row.params_b.map(|billions| format!("{billions} B"))),
        or_empty(row.context.map(|tokens| tokens.to_string())),
        or_empty(row.memory_bytes.map(|bytes| format!("{:.1} GiB", bytes as f64 / f64::from(1 << 30)))),
        or_empty(prices),
        if row.concerns.is_empty() { String::new() } else { row.concerns.len().to_string() },
    ]
}
