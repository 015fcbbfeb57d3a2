//! Sheets: labels that are made elsewhere, such as in a spreadsheet.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::pool::Pool;
use crate::ids::{CriterionId, ScenarioId};
use crate::spec::{Ask, LabelLine, LabelOf, LabelVerdict, did_you_mean, is_reply_digest};

/// The form of a sheet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sheet {
    /// Comma-separated values with a heading.
    Csv,
    /// One JSON object a line.
    Lines,
}

/// One row: a criterion of a reply.
#[derive(Debug, Serialize, Deserialize)]
struct SheetRow {
    scenario: String,
    #[serde(default)]
    repetition: u32,
    criterion: String,
    #[serde(default)]
    question: String,
    #[serde(default)]
    opening: String,
    #[serde(default)]
    reply: String,
    digest: String,
    /// To be filled in.
    #[serde(default)]
    verdict: String,
    #[serde(default)]
    note: String,
}

/// A row that cannot be taken in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct SheetProblem {
    /// The line of the sheet, from 1.
    pub line: u64,
    /// What is wrong.
    pub message: String,
}

impl SheetProblem {
    /// The way on.
    #[must_use]
    pub fn help(&self) -> &'static str {
        "write `pass`, `fail` or `not_applicable` under `verdict`, or nothing, and leave the other columns as `--export` wrote them"
    }
}

/// What a sheet comes to.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// What is to be appended to the gold file.
    pub lines: Vec<LabelLine>,
    /// Labels that are new.
    pub new: usize,
    /// Labels that say something else than before: the earlier ones are withdrawn.
    pub changed: usize,
    /// Labels that were there.
    pub known: usize,
    /// Rows without a verdict.
    pub blank: usize,
}

/// Writes the next so many replies that somebody should label; without any verdict of the judge.
#[must_use]
pub fn export(pool: &Pool, labeller: &str, replies: usize, form: Sheet) -> Vec<u8> {
    let mut planned = BTreeSet::new();
    let mut rows = Vec::new();
    while planned.len() < replies
        && let Some(at) = pool.next(labeller, &planned, &BTreeSet::new())
    {
        planned.insert(at);
        let item = pool.item(at);
        let open = |id: &&CriterionId| pool.said(&item.of(id, labeller)).is_none();
        for criterion in item.asked.iter().filter(open).filter_map(|id| pool.criterion(id)) {
            let Ask::Question(question) = &criterion.ask else { continue };
            rows.push(SheetRow {
                scenario: item.row.scenario.id.to_string(),
                repetition: item.row.repetition,
                criterion: criterion.id.to_string(),
                question: question.text.clone(),
                opening: item.row.scenario.opening.clone(),
                reply: item.row.reply.clone().unwrap_or_default(),
                digest: item.digest.clone(),
                verdict: String::new(),
                note: String::new(),
            });
        }
    }
    match form {
        Sheet::Csv => csv_of(&rows),
        Sheet::Lines => rows.iter().fold(Vec::new(), |mut text, row| {
            text.extend(serde_json::to_vec(row).expect("a row is valid JSON"));
            text.push(b'\n');
            text
        }),
    }
}

const COLUMNS: [&str; 9] =
    ["scenario", "repetition", "criterion", "question", "opening", "reply", "digest", "verdict", "note"];

fn csv_of(rows: &[SheetRow]) -> Vec<u8> {
    let mut out = csv::Writer::from_writer(Vec::new());
    out.write_record(COLUMNS).expect("writing to memory cannot fail");
    for row in rows {
        let SheetRow { scenario, repetition, criterion, question, opening, reply, digest, verdict, note } = row;
        let [question, opening, reply] = [question, opening, reply].map(|text| as_text(text));
        let repetition = repetition.to_string();
        let record = [scenario, &repetition, criterion, &question, &opening, &reply, digest, verdict, note];
        out.write_record(record).expect("writing to memory cannot fail");
    }
    out.into_inner().expect("writing to memory cannot fail")
}

/// A spreadsheet takes a cell that begins so for a formula, and this one was written by a model.
fn as_text(cell: &str) -> String {
    if cell.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{cell}") } else { cell.to_owned() }
}

/// Reads a sheet that somebody filled in.
///
/// # Errors
/// All rows that cannot be taken in; then none is.
pub fn import(
    pool: &Pool,
    labeller: &str,
    date: Option<&str>,
    bytes: &[u8],
    form: Sheet,
) -> Result<Imported, Vec<SheetProblem>> {
    let mut imported = Imported::default();
    let mut problems = Vec::new();
    let mut seen: BTreeSet<LabelOf> = BTreeSet::new();
    for (line, row) in rows(bytes, form) {
        let found = row.and_then(|row| label(pool, labeller, date, row));
        let made = match found {
            Ok(Some(made)) => made,
            Ok(None) => {
                imported.blank += 1;
                continue;
            }
            Err(message) => {
                problems.push(SheetProblem { line, message });
                continue;
            }
        };
        let of = made.of();
        if !seen.insert(of.clone()) {
            problems.push(SheetProblem { line, message: "the same criterion of the same reply again".to_owned() });
            continue;
        }
        match pool.said(&of) {
            Some(before) if Some(before) == made.verdict => imported.known += 1,
            Some(_) => {
                imported.changed += 1;
                let withdrawn = LabelLine { verdict: None, note: None, withdrawn: true, ..made.clone() };
                imported.lines.extend([withdrawn, made]);
            }
            None => {
                imported.new += 1;
                imported.lines.push(made);
            }
        }
    }
    if problems.is_empty() { Ok(imported) } else { Err(problems) }
}

/// The rows of a sheet, each with its line.
fn rows(bytes: &[u8], form: Sheet) -> Vec<(u64, Result<SheetRow, String>)> {
    match form {
        Sheet::Csv => {
            // Spreadsheets put a mark before the text that says how it is written.
            let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
            let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(bytes);
            let heading = match reader.headers() {
                Ok(heading) => heading.clone(),
                Err(error) => return vec![(1, Err(error.to_string()))],
            };
            let read = |record: Result<csv::StringRecord, csv::Error>| match record {
                Ok(record) => {
                    let line = record.position().map_or(0, csv::Position::line);
                    (line, record.deserialize(Some(&heading)).map_err(|error| error.to_string()))
                }
                Err(error) => (error.position().map_or(0, csv::Position::line), Err(error.to_string())),
            };
            reader.records().map(read).collect()
        }
        Sheet::Lines => {
            let text = String::from_utf8_lossy(bytes);
            let lines = (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty());
            lines.map(|(line, text)| (line, serde_json::from_str(text).map_err(|error| error.to_string()))).collect()
        }
    }
}

/// The label of a row; none where there is no verdict.
fn label(pool: &Pool, labeller: &str, date: Option<&str>, row: SheetRow) -> Result<Option<LabelLine>, String> {
    let SheetRow { scenario, repetition, criterion, question: _, opening: _, reply: _, digest, verdict, note } = row;
    let verdict = match verdict.trim().to_lowercase().as_str() {
        "" => return Ok(None),
        "p" | "pass" => LabelVerdict::Pass,
        "f" | "fail" => LabelVerdict::Fail,
        "n" | "na" | "n/a" | "not_applicable" => LabelVerdict::NotApplicable,
        other => return Err(format!("`{other}` is not a verdict")),
    };
    let names: Vec<&str> = pool.rubric.criteria.iter().map(|criterion| criterion.id.as_str()).collect();
    if !names.contains(&criterion.as_str()) {
        return Err(format!("there is no criterion `{criterion}`: {}", did_you_mean(&criterion, &names)));
    }
    if !is_reply_digest(&digest) {
        return Err(format!("`{digest}` is not the digest of a reply"));
    }
    Ok(Some(LabelLine {
        scenario: ScenarioId::new(&scenario).map_err(|error| error.to_string())?,
        repetition,
        criterion: CriterionId::new(&criterion).map_err(|error| error.to_string())?,
        verdict: Some(verdict),
        labeller: labeller.to_owned(),
        reply: digest,
        note: Some(note).filter(|note| !note.trim().is_empty()),
        date: date.map(str::to_owned),
        withdrawn: false,
    }))
}
