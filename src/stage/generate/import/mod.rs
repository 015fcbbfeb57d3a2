//! Scenarios out of files that were made for something else: logs, spreadsheets, datasets, the tests of other tools.
//!
//! Owns how a record becomes a scenario, and that personal data is covered before anything else sees it: what is not covered
//! reaches no row, no message and no name. Files of lines and of columns are read row by row, others whole. Start at [`cells`].

mod columnar;

pub use columnar::READER;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::Path;

use serde_json::Value;

use super::file::{STYLE, TOPIC, Wrong, digest};
use super::{Cell, ScenarioFileError, personal};
use crate::data::{Origin, Scenario};
use crate::ids::ScenarioId;
use crate::key::BlobId;
use crate::spec::{self, ImportFormat, Mapping};

/// Members of a test's variables that hold what a person says, by the names that people give it.
const OPENINGS: &[&str] = &["opening", "prompt", "question", "query", "input", "message", "user_input", "text"];

/// Members of an object that hold its records.
const LISTS: &[&str] = &["data", "rows", "tests", "examples", "samples", "records"];

/// A record, and which of the file it is, from 1.
type Record = Result<(u64, Value), ScenarioFileError>;

/// Goes through a whole file and says how many scenarios it holds.
///
/// # Errors
/// It cannot be read, is not of its form, holds none, or a record of it is no scenario.
pub(super) fn count(file: &Path, shown: &str, mapping: &Mapping) -> Result<u64, ScenarioFileError> {
    let mut scenarios = 0;
    for cell in cells(file, shown, mapping)? {
        cell?;
        scenarios += 1;
    }
    if scenarios == 0 {
        return Err(ScenarioFileError::Empty { file: shown.to_owned() });
    }
    Ok(scenarios)
}

/// The scenarios of a file, record by record; `shown` is what messages call it.
///
/// # Errors
/// It cannot be read, or is not of its form.
pub(super) fn cells(
    file: &Path,
    shown: &str,
    mapping: &Mapping,
) -> Result<impl Iterator<Item = Result<Cell, ScenarioFileError>> + Send + use<>, ScenarioFileError> {
    let records = records(file, shown, mapping)?;
    let (mapping, shown) = (mapping.clone(), shown.to_owned());
    let mut seen = Names::default();
    Ok(records.map(move |record| {
        let (place, record) = record?;
        let wrong =
            |Wrong { message, help }| ScenarioFileError::Line { file: shown.clone(), line: place, message, help };
        cell(&record, &mapping, &mut seen).map_err(wrong)
    }))
}

/// All texts in the rows of a Parquet file, whatever its columns are called.
///
/// # Errors
/// It cannot be read, or is not of its form.
pub(super) fn columnar_texts(
    path: &Path,
    shown: &str,
) -> Result<impl Iterator<Item = Result<Value, ScenarioFileError>> + use<>, ScenarioFileError> {
    Ok(columnar::records(path, shown, columnar::Columns::Texts)?.map(|record| Ok(record?.1)))
}

fn records(
    path: &Path,
    shown: &str,
    mapping: &Mapping,
) -> Result<Box<dyn Iterator<Item = Record> + Send>, ScenarioFileError> {
    let failed = |source| ScenarioFileError::Read { file: shown.to_owned(), source };
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    let form = match (mapping.format, ending) {
        // What other tools write comes in several forms, which their endings tell.
        (ImportFormat::Promptfoo | ImportFormat::Inspect, "csv") => ImportFormat::Csv,
        (ImportFormat::Promptfoo | ImportFormat::Inspect, "jsonl") => ImportFormat::Jsonl,
        (ImportFormat::Inspect, "json") => ImportFormat::Json,
        (ImportFormat::Inspect, _) => ImportFormat::Jsonl,
        (format, _) => format,
    };
    match form {
        ImportFormat::Jsonl => Ok(Box::new(JsonLines {
            reader: BufReader::new(fs_err::File::open(path).map_err(failed)?),
            shown: shown.to_owned(),
            place: 0,
            text: Vec::new(),
        })),
        ImportFormat::Parquet => Ok(Box::new(columnar::records(path, shown, columnar::Columns::Of(mapping.clone()))?)),
        ImportFormat::Csv => separated(path, shown, b','),
        ImportFormat::Tsv => separated(path, shown, b'\t'),
        ImportFormat::Json | ImportFormat::Promptfoo | ImportFormat::Inspect => {
            let bytes = fs_err::read(path).map_err(failed)?;
            let wrong = |expected: &'static str, message: String| ScenarioFileError::Form {
                file: shown.to_owned(),
                expected,
                message,
            };
            let document = if form == ImportFormat::Promptfoo && ending != "json" {
                yaml(&bytes).map_err(|message| wrong("YAML", message))?
            } else {
                serde_json::from_slice(&bytes).map_err(|error| wrong("JSON", error.to_string()))?
            };
            let list = list(document).ok_or_else(|| {
                wrong("a list of records", format!("it has neither items nor one of {}", LISTS.join(", ")))
            })?;
            Ok(Box::new((1..).zip(list).map(Ok)))
        }
    }
}

/// What is wrong is told by its line alone: the message might repeat what is to be covered.
fn yaml(bytes: &[u8]) -> Result<Value, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())?;
    spec::yaml_value(text).map_err(|error| match error.line {
        Some(line) => format!("something is wrong at line {line}"),
        None => "something is wrong in it".to_owned(),
    })
}

/// The records of a document: its items, or those of the member that holds them.
fn list(document: Value) -> Option<Vec<Value>> {
    let items = match document {
        Value::Array(items) => items,
        Value::Object(mut members) => {
            let items = LISTS.iter().find_map(|name| members.remove(*name).filter(Value::is_array))?;
            let Value::Array(items) = items else { return None };
            items
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => return None,
    };
    // The dataset viewer of Hugging Face puts each record under `row`.
    let unwrap = |mut item: Value| match item.get_mut("row") {
        Some(row) if row.is_object() => row.take(),
        Some(_) | None => item,
    };
    Some(items.into_iter().map(unwrap).collect())
}

fn separated(
    path: &Path,
    shown: &str,
    delimiter: u8,
) -> Result<Box<dyn Iterator<Item = Record> + Send>, ScenarioFileError> {
    let failed = |source| ScenarioFileError::Read { file: shown.to_owned(), source };
    let file = fs_err::File::open(path).map_err(failed)?;
    let shown = shown.to_owned();
    let wrong = move |line: u64, error: &csv::Error| ScenarioFileError::Line {
        file: shown.clone(),
        line,
        // The library's message repeats what stands in the file.
        message: if let csv::ErrorKind::UnequalLengths { expected_len, len, .. } = error.kind() {
            format!("it has {len} cells, and the first line has {expected_len}")
        } else {
            "it cannot be read, or is not UTF-8".to_owned()
        },
        help: "write one record a line, with as many cells as the first line has names",
    };
    let mut reader = csv::ReaderBuilder::new().delimiter(delimiter).from_reader(BufReader::new(file));
    let names = reader.headers().map_err(|error| wrong(1, &error))?.clone();
    let names: Vec<String> = names.iter().map(|name| name.trim_start_matches('\u{feff}').trim().to_owned()).collect();
    let mut records = reader.into_records();
    Ok(Box::new(std::iter::from_fn(move || {
        let line = records.reader().position().line();
        let record = match records.next()? {
            Ok(record) => record,
            Err(error) => return Some(Err(wrong(line, &error))),
        };
        let line = record.position().map_or(line, csv::Position::line);
        let members = names.iter().zip(record.iter()).filter(|(_, cell)| !cell.trim().is_empty());
        let members = members.map(|(name, cell)| (name.clone(), Value::from(cell))).collect();
        Some(Ok((line, Value::Object(members))))
    })))
}

/// The records of a file that has one a line.
struct JsonLines<R> {
    reader: R,
    shown: String,
    place: u64,
    text: Vec<u8>,
}

impl<R: BufRead> Iterator for JsonLines<R> {
    type Item = Record;

    fn next(&mut self) -> Option<Record> {
        loop {
            self.text.clear();
            match self.reader.read_until(b'\n', &mut self.text) {
                Ok(0) => return None,
                Ok(_) => self.place += 1,
                Err(source) => return Some(Err(ScenarioFileError::Read { file: self.shown.clone(), source })),
            }
            let text = if self.place == 1 { self.text.strip_prefix(b"\xef\xbb\xbf") } else { None };
            let text = text.unwrap_or(&self.text).trim_ascii();
            if text.is_empty() {
                continue;
            }
            let record = serde_json::from_slice(text).map(|record| (self.place, record));
            return Some(record.map_err(|error| ScenarioFileError::Line {
                file: self.shown.clone(),
                line: self.place,
                message: error.to_string().replace(" at line 1 column ", " at column "),
                help: "write one JSON object a line, or say what the file is with `format`",
            }));
        }
    }
}

/// The names so far, and how often each was met.
#[derive(Default)]
struct Names(BTreeMap<u64, u32>);

impl Names {
    /// A name that no record before has: the second of the same name gets a number.
    fn own(&mut self, name: String) -> String {
        let times = self.0.entry(digest(&name)).or_insert(0);
        *times += 1;
        if *times == 1 {
            return name;
        }
        let numbered = format!("{name}/{times}");
        self.own(numbered)
    }
}

/// Takes the fields of one record.
struct Taker<'a> {
    record: &'a Value,
    mapping: &'a Mapping,
    covered: u64,
}

impl Taker<'_> {
    /// Covers what is personal, if that is wanted.
    fn cover(&mut self, text: &str) -> String {
        if !self.mapping.redact {
            return text.to_owned();
        }
        let (text, found) = personal::cover(text);
        self.covered += found;
        text.into_owned()
    }

    fn value(&self, field: &str) -> Option<&Value> {
        match self.mapping.fields.get(field) {
            Some(path) => path.find(self.record),
            None => self.record.get(field).filter(|value| !value.is_null()),
        }
    }

    /// A text, if there is one that is not blank.
    fn text(&mut self, field: &str) -> Option<String> {
        let text = text_of(self.value(field)?)?;
        let text = self.cover(text.trim());
        (!text.is_empty()).then_some(text)
    }

    /// A text where the mapping says where it is, and nowhere else.
    fn mapped(&mut self, field: &str) -> Option<String> {
        if self.mapping.fields.contains_key(field) { self.text(field) } else { None }
    }

    fn opening(&mut self) -> Result<String, Wrong> {
        let named = self.mapping.fields.get("opening");
        let found = match (named, self.mapping.format) {
            (Some(path), _) => path.find(self.record),
            (None, ImportFormat::Promptfoo) => test_opening(self.record),
            (None, ImportFormat::Inspect) => self.record.get("input").and_then(asked),
            (
                None,
                ImportFormat::Jsonl
                | ImportFormat::Json
                | ImportFormat::Csv
                | ImportFormat::Tsv
                | ImportFormat::Parquet,
            ) => self.record.get("opening"),
        };
        let text = found.and_then(text_of).filter(|text| !text.trim().is_empty());
        match text {
            Some(text) => Ok(self.cover(text.trim())),
            None => Err(Wrong {
                message: match named {
                    Some(path) => format!("`{path}` leads to no text"),
                    None => "it has no opening".to_owned(),
                },
                help: "say where the opening is with `fields: { opening: $.path.to.it }`",
            }),
        }
    }

    fn tags(&mut self) -> Vec<String> {
        let tags: Vec<String> = match self.value("tags") {
            Some(Value::Array(items)) => items.iter().filter_map(text_of).collect(),
            Some(Value::String(text)) => text.split([',', ';']).map(|tag| tag.trim().to_owned()).collect(),
            Some(_) | None => Vec::new(),
        };
        tags.iter().filter(|tag| !tag.trim().is_empty()).map(|tag| self.cover(tag)).collect()
    }
}

fn cell(record: &Value, mapping: &Mapping, seen: &mut Names) -> Result<Cell, Wrong> {
    let mut taker = Taker { record, mapping, covered: 0 };
    let opening = taker.opening()?;
    let id = match taker.text("id").map(|id| name_of(&id)).filter(|id| !id.is_empty()) {
        Some(id) => id,
        // Named by what it says, after personal data was covered, and not by its place.
        None => format!("opening/{}", &BlobId::of(opening.as_bytes()).to_string()[..16]),
    };
    let id = ScenarioId::new(&seen.own(id)).expect("it was made of what names are made of");
    let axes: Vec<String> = mapping.fields.keys().filter(|name| name.starts_with("axes.")).cloned().collect();
    let axes = axes.iter().filter_map(|name| Some((name.trim_start_matches("axes.").to_owned(), taker.text(name)?)));
    let axes: BTreeMap<String, String> = axes.collect();
    let scenario = Scenario {
        id,
        topic: taker.text("topic").unwrap_or_else(|| TOPIC.to_owned()),
        subtopic: taker.text("subtopic"),
        style: taker.text("style").unwrap_or_else(|| STYLE.to_owned()),
        axes,
        tags: taker.tags(),
        edge_case: taker.value("edge_case").and_then(Value::as_bool).unwrap_or_default(),
        opening,
        reference: taker.mapped("reference"),
        origin: Origin::Authored,
        written: None,
        near_duplicate: None,
    };
    Ok(Cell { covered: taker.covered, ..Cell::complete(scenario) })
}

/// A text, a number, or a message whose content comes in parts.
fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Array(parts) => {
            let texts: Vec<&str> = parts.iter().filter_map(|part| part.get("text")?.as_str()).collect();
            (!texts.is_empty()).then(|| texts.join("\n"))
        }
        Value::Object(message) => message.get("content").and_then(text_of),
        Value::Null => None,
    }
}

/// What is asked of a model in a dataset of Inspect: a text, or the last message of a user.
fn asked(input: &Value) -> Option<&Value> {
    let Value::Array(messages) = input else { return Some(input) };
    messages.iter().rev().find(|message| message.get("role").and_then(Value::as_str) == Some("user"))?.get("content")
}

/// What is said in a test of promptfoo: the variable that is called so, or the only one; in a table, the columns are variables.
fn test_opening(test: &Value) -> Option<&Value> {
    let variables = test.get("vars").unwrap_or(test).as_object()?;
    let named = OPENINGS.iter().find_map(|name| variables.get(*name));
    named.or_else(|| {
        let mut all = variables.iter().filter(|(name, _)| !name.starts_with("__"));
        let first = all.next().map(|(_, value)| value);
        first.filter(|_| all.next().is_none())
    })
}

/// A text as a scenario's name: what names may not hold becomes `-`.
fn name_of(text: &str) -> String {
    let part = |part: &str| {
        let plain: String = part
            .chars()
            .map(|letter| letter.to_ascii_lowercase())
            .map(|letter| if letter.is_ascii_alphanumeric() || letter == '_' { letter } else { '-' })
            .collect();
        plain.trim_matches(['-', '_']).chars().take(60).collect::<String>()
    };
    text.split('/').map(part).filter(|part| !part.is_empty()).collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests;
