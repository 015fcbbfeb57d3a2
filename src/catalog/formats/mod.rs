//! The files that models may come from, told apart by what is in them: tables as CSV, JSON, JSON Lines and YAML, results
//! of lm-evaluation-harness, exports of the Open LLM Leaderboard, LMArena's boards, Artificial Analysis' prices and speeds.
//!
//! Whatever a file is, it comes out as rows with the columns that a catalog has. Start at [`entries`].

mod boards;
mod csv_exports;
mod harness;

use indexmap::IndexMap;
use serde_json::Value;

use super::error::{CatalogError, Spot};

pub(super) use csv_exports::Export;

/// A model as a file describes it: column → text.
pub(super) type Entry = IndexMap<String, String>;

/// What a file that is not CSV holds.
pub(super) struct Entries {
    /// What it is, in words.
    pub(super) format: &'static str,
    /// Its models, in the file's order.
    pub(super) entries: Vec<Entry>,
    /// Whether models are called by names without their organisation.
    pub(super) by_name: bool,
}

/// What people call a plain table.
pub(super) const TABLE: &str = "table";

/// Reads a file by its name's end; none where that says CSV.
pub(super) fn entries(name: &str, bytes: &[u8]) -> Result<Option<Entries>, CatalogError> {
    let extension = name.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase()).unwrap_or_default();
    let unreadable = |message: String| CatalogError::NotRead { file: name.to_owned(), message };
    let text = || {
        let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
        std::str::from_utf8(bytes).map_err(|_| CatalogError::NotUtf8 { file: name.to_owned(), line: Spot::Line(1) })
    };
    let value = match extension.as_str() {
        "json" => serde_json::from_str(text()?).map_err(|error| unreadable(error.to_string()))?,
        "jsonl" | "ndjson" => Value::Array(lines(text()?).map_err(unreadable)?),
        "yaml" | "yml" => crate::spec::yaml_value(text()?).map_err(|error| unreadable(error.message))?,
        _ => return Ok(None),
    };
    of_value(&value).map(Some).ok_or_else(|| CatalogError::UnknownForm { file: name.to_owned() })
}

/// Reads rows that were made of a hub's answer.
pub(super) fn hub_rows(name: &str, bytes: &[u8]) -> Result<Entries, CatalogError> {
    let unreadable = |message: String| CatalogError::NotRead { file: name.to_owned(), message };
    let rows: Value = serde_json::from_slice(bytes).map_err(|error| unreadable(error.to_string()))?;
    let entries = table(&rows).ok_or_else(|| CatalogError::UnknownForm { file: name.to_owned() })?;
    Ok(Entries { format: "search of the Hugging Face Hub", ..entries })
}

fn lines(text: &str) -> Result<Vec<Value>, String> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines.map(|(at, line)| serde_json::from_str(line).map_err(|error| format!("line {}: {error}", at + 1))).collect()
}

/// Finds out what a document is; the most particular form is tried first.
fn of_value(value: &Value) -> Option<Entries> {
    harness::read(value)
        .or_else(|| boards::lmarena(value))
        .or_else(|| boards::artificial_analysis(value))
        .or_else(|| table(value))
}

/// A list of objects with an `id` each, or an object whose names are the ids.
fn table(value: &Value) -> Option<Entries> {
    let entries = match value {
        Value::Array(rows) => rows.iter().map(|row| Some(cells(row.as_object()?))).collect::<Option<Vec<Entry>>>()?,
        Value::Object(rows) => rows
            .iter()
            .map(|(id, row)| {
                let mut entry = Entry::from([("id".to_owned(), id.clone())]);
                entry.extend(cells(row.as_object()?));
                Some(entry)
            })
            .collect::<Option<Vec<Entry>>>()?,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => return None,
    };
    let has_ids = entries.iter().all(|entry| entry.contains_key("id"));
    has_ids.then_some(Entries { format: TABLE, entries, by_name: false })
}

fn cells(row: &serde_json::Map<String, Value>) -> Entry {
    row.iter().map(|(name, value)| (name.clone(), cell(value))).collect()
}

/// A value as it would stand in a cell of CSV.
fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Bool(flag) => if *flag { "yes" } else { "no" }.to_owned(),
        Value::String(text) => text.clone(),
        Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    }
}

/// A score as a share of 1 in points, without the tail that binary fractions leave.
fn points(share: f64) -> String {
    let digits = format!("{:.4}", share * 100.0);
    digits.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests;
