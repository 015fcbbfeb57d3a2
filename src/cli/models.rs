//! `evalflow models [DIR|PIPELINE]`: the weights in the store.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::exit::Exit;
use super::output::{data, json as print_json, store_failure};
use super::settings::Settings;
use super::table::Table;
use super::{history, open};
use crate::data::WeightsRecord;
use crate::exec::weights::{self, Stored};
use crate::fetch::Size;
use crate::key::{BlobId, Key};
use crate::store::{Store, StoreError};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// A pipeline of the project, or a directory in it [default: the working directory]
    #[arg(value_name = "DIR|PIPELINE")]
    place: Option<PathBuf>,
    /// Print the list as JSON
    #[arg(long)]
    json: bool,
}

/// Weights as they are listed.
#[derive(Debug, Serialize)]
pub(super) struct Shown {
    #[serde(flatten)]
    record: WeightsRecord,
    /// When they were brought, in seconds since 1970.
    pulled_at: i64,
    /// When the last run started that they were part of; none where no run was recorded.
    used_at: Option<i64>,
}

impl Shown {
    /// Weights that were just brought, or found.
    pub(super) fn of_record((record, pulled_at): (WeightsRecord, i64)) -> Self {
        Self { record, pulled_at, used_at: None }
    }
}

pub(super) fn execute(settings: &Settings, arguments: &Arguments) -> Result<Exit, Exit> {
    let place = arguments.place.as_deref().unwrap_or(Path::new("."));
    let root = open::project(settings, place);
    open::has_store(settings, &root)?;
    let store = open::store(settings, &root)?;
    let shown = shown(&store).map_err(|error| {
        store_failure(&error);
        Exit::Failed
    })?;
    let written = if arguments.json { print_json(&shown) } else { data(|out| write(out, &shown)) };
    if written { Ok(Exit::Ok) } else { Err(Exit::Failed) }
}

/// Each file once, as it was brought last, those that were used last first.
fn shown(store: &Store) -> Result<Vec<Shown>, StoreError> {
    let mut used: BTreeMap<Key, i64> = BTreeMap::new();
    for run in store.runs(None, u64::MAX)? {
        for key in run.stages.iter().filter_map(|stage| stage.key) {
            let at = used.entry(key).or_insert(run.started_at);
            *at = run.started_at.max(*at);
        }
    }
    let mut files: BTreeMap<BlobId, Shown> = BTreeMap::new();
    for Stored { record, receipt } in weights::stored(store)? {
        let used_at = used.get(&receipt.key).copied();
        let shown = Shown { pulled_at: receipt.created_at, used_at, record };
        files
            .entry(shown.record.weights)
            .and_modify(|known| known.used_at = known.used_at.max(used_at))
            .or_insert(shown);
    }
    let mut shown: Vec<Shown> = files.into_values().collect();
    shown.sort_by_key(|shown| (std::cmp::Reverse(shown.used_at), shown.record.model.clone()));
    Ok(shown)
}

fn write(out: &mut dyn Write, shown: &[Shown]) -> io::Result<()> {
    if shown.is_empty() {
        return writeln!(out, "no weights are in the store");
    }
    list(out, shown)?;
    let bytes = shown.iter().map(|shown| shown.record.bytes).sum();
    writeln!(out, "{} in all", Size(bytes))
}

/// Writes a line for each file.
pub(super) fn list(out: &mut dyn Write, shown: &[Shown]) -> io::Result<()> {
    if shown.is_empty() {
        return Ok(());
    }
    let heading =
        ["model", "size", "quantisation", "parameters", "context", "template", "blake3", "pulled", "used", "source"];
    let mut table = Table::new(&heading);
    for Shown { record, pulled_at, used_at } in shown {
        let day = |seconds: i64| history::time(seconds).chars().take(10).collect::<String>();
        let revision =
            record.revision.as_ref().map(|commit| format!(" ({})", commit.chars().take(12).collect::<String>()));
        table.row(vec![
            plain(&record.model),
            Size(record.bytes).to_string(),
            record.quantization.clone(),
            parameters(record.parameters),
            record.context_length.map(|length| length.to_string()).unwrap_or_default(),
            if record.chat_template.is_some() { "yes" } else { "no" }.to_owned(),
            record.weights.short(),
            day(*pulled_at),
            used_at.map(day).unwrap_or_default(),
            plain(&format!("{}{}", record.source, revision.unwrap_or_default())),
        ]);
    }
    table.write(out)
}

/// Names come out of files that nobody vouches for.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

/// `135 M`, `8.2 B`.
fn parameters(count: u64) -> String {
    const UNITS: [(u64, &str); 3] = [(1_000_000_000, "B"), (1_000_000, "M"), (1_000, "k")];
    match UNITS.iter().find(|(unit, _)| count >= *unit) {
        Some((unit, name)) if count < 10 * unit => {
            let tenths = (count * 10 + unit / 2) / unit;
            format!("{}.{} {name}", tenths / 10, tenths % 10)
        }
        Some((unit, name)) => format!("{} {name}", (count + unit / 2) / unit),
        None => count.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_read_well() {
        for (count, expected) in
            [(12, "12"), (1_500, "1.5 k"), (134_515_008, "135 M"), (8_190_735_360, "8.2 B"), (70_553_706_496, "71 B")]
        {
            assert_eq!(parameters(count), expected);
        }
    }
}
