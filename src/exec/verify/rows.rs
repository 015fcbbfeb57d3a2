//! Rows executed again and compared with the stored ones.

use std::collections::BTreeMap;
use std::io;

use futures_util::StreamExt;
use futures_util::stream;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::fresh::{Fresh, Line};
use super::sample::Picked;
use crate::data::{Answer, Scenario};
use crate::engine::{EngineErrorKind, Question, answer};
use crate::exec::StageFailure;
use crate::exec::engines::Askers;
use crate::exec::scenarios::unlike;
use crate::key::{FieldChange, diff};
use crate::stage::generate::Marker;
use crate::stage::{Asked, CallFailure, Row, RowStage, Step};
use crate::store::Lines;

/// So many differences of a stage are shown.
const SHOWN: usize = 3;

/// So many rows in a row without an answer mean that the engine is gone.
const FAILURES_IN_A_ROW: u32 = 5;

/// What rows that were executed again came to.
#[derive(Debug, Clone, Default)]
pub struct Rows {
    /// Rows of the table.
    pub total: u64,
    /// Rows that were executed again and are the same.
    pub same: u64,
    /// Rows that came out otherwise.
    pub moved: u64,
    /// Of these, rows that read one that moved.
    pub moved_with_input: u64,
    /// Rows whose calls the engine did not answer: nothing is known of them.
    pub failed: u64,
    /// Why the first of them failed.
    pub failure: Option<String>,
    /// Whether so many failed that the rest was not tried.
    pub stopped: bool,
    /// How often a grade became another: (old, new) → rows.
    pub flips: BTreeMap<(String, String), u64>,
    /// The first rows that moved.
    pub shown: Vec<RowDifference>,
}

impl Rows {
    /// Whether every row that was to be executed was, and is the same.
    #[must_use]
    pub fn is_identical(&self) -> bool {
        self.moved == 0 && self.failed == 0 && !self.stopped
    }

    /// Rows that were executed again, whatever came of it.
    #[must_use]
    pub fn executed(&self) -> u64 {
        self.same + self.moved + self.failed
    }
}

/// A row that came out otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowDifference {
    /// The scenario.
    pub scenario: String,
    /// The first field that differs.
    pub field: String,
    /// What is stored, shortened to where it differs.
    pub old: String,
    /// What came out, likewise.
    pub new: String,
}

/// How a table lies over the one it was made of.
pub(super) struct Shape<'a> {
    pub(super) total: u64,
    /// Lines of the table for each input row.
    pub(super) lines_each: u64,
    /// Which input rows are executed again.
    pub(super) picked: &'a Picked,
}

/// How fresh rows come by what they do not make alone: what a scenario nearly repeats depends on those before it, and how
/// long an answer took on the machine.
pub(super) enum Marks {
    /// The stage makes none.
    None,
    /// All rows are executed again, so they are found afresh.
    Fresh(Box<Marker>),
    /// Only some are: they are taken from the stored rows.
    Stored,
    /// Answers say how long they took, which another execution would not repeat: it is taken from the stored rows.
    Times,
}

impl Marks {
    /// Gives a fresh row what it does not make alone.
    fn set(&mut self, row: &mut Row, stored: &[String]) -> Result<(), StageFailure> {
        for (at, line) in row.lines.iter_mut().enumerate() {
            let stored = stored.get(at);
            match self {
                Self::None => return Ok(()),
                Self::Times => {
                    let mut answer: Answer = read(line)?;
                    if answer.latency_ms.is_some() {
                        let stored: Option<Answer> = stored.map(|line| read(line)).transpose()?;
                        answer.latency_ms = stored.and_then(|stored| stored.latency_ms);
                        *line = written(&answer);
                    }
                }
                Self::Fresh(marker) => {
                    let mut scenario: Scenario = read(line)?;
                    let embedding = row.embedded.as_ref().and_then(|embedded| embedded.as_ref().ok());
                    // One that would not be taken now keeps no mark, and so differs from what is stored only if that has one.
                    marker.mark(&mut scenario, embedding).map_err(unlike)?;
                    if scenario.near_duplicate.is_some() {
                        *line = written(&scenario);
                    }
                }
                Self::Stored => {
                    let stored: Option<Scenario> = stored.map(|line| read(line)).transpose()?;
                    if let Some(mark) = stored.and_then(|stored| stored.near_duplicate) {
                        let scenario = Scenario { near_duplicate: Some(mark), ..read(line)? };
                        *line = written(&scenario);
                    }
                }
            }
        }
        Ok(())
    }
}

fn read<T: DeserializeOwned>(line: &str) -> Result<T, StageFailure> {
    serde_json::from_str(line).map_err(|error| StageFailure::new(error.to_string(), None))
}

fn written(row: &impl Serialize) -> String {
    serde_json::to_string(row).expect("a row is always valid JSON")
}

/// One input row, and the stored lines that were made of it.
struct Work {
    input: Line,
    stored: Vec<String>,
}

/// Why nothing is known of a row.
enum Trouble {
    /// The engine did not answer.
    Engine { message: String, fatal: bool },
    /// The tables cannot be read.
    Stage(StageFailure),
}

/// Executes the picked rows again; those that moved go to `fresh`.
pub(super) async fn execute(
    stage: &dyn RowStage,
    askers: &Askers,
    marks: &mut Marks,
    inputs: Box<dyn Iterator<Item = io::Result<Line>> + Send>,
    stored: Lines,
    shape: &Shape<'_>,
    fresh: &mut Fresh,
) -> Result<Rows, StageFailure> {
    let mut rows = Rows { total: shape.total, ..Rows::default() };
    let width = askers.width().unwrap_or(1);
    let work = Pairs { inputs, stored, shape };
    let mut done = stream::iter(work).map(|work| row(stage, askers, work)).buffered(width);
    let mut failures_in_a_row = 0;
    while let Some(done) = done.next().await {
        match done {
            (_, Err(Trouble::Stage(failure))) => return Err(failure),
            (_, Err(Trouble::Engine { message, fatal })) => {
                rows.failed += 1;
                failures_in_a_row += 1;
                rows.failure.get_or_insert(message);
                if fatal || failures_in_a_row >= FAILURES_IN_A_ROW {
                    rows.stopped = true;
                    break;
                }
            }
            (work, Ok(mut row)) => {
                failures_in_a_row = 0;
                let work = work.expect("a row that was done was read");
                marks.set(&mut row, &work.stored)?;
                compare(&mut rows, &work, &row, shape.lines_each, fresh)
                    .map_err(|error| StageFailure::new(error.to_string(), None))?;
            }
        }
    }
    fresh.end().map_err(|error| StageFailure::new(error.to_string(), None))?;
    Ok(rows)
}

/// Input rows with the lines made of them, those that are not picked left out.
struct Pairs<'a> {
    inputs: Box<dyn Iterator<Item = io::Result<Line>> + Send>,
    stored: Lines,
    shape: &'a Shape<'a>,
}

impl Pairs<'_> {
    fn stored(&mut self) -> io::Result<Vec<String>> {
        let short = || io::Error::new(io::ErrorKind::UnexpectedEof, "the table has fewer rows than its receipt says");
        (0..self.shape.lines_each).map(|_| self.stored.next().ok_or_else(short)?).collect()
    }
}

impl Iterator for Pairs<'_> {
    type Item = io::Result<Work>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let input = match self.inputs.next()? {
                Ok(input) => input,
                Err(error) => return Some(Err(error)),
            };
            let stored = match self.stored() {
                Ok(stored) => stored,
                Err(error) => return Some(Err(error)),
            };
            if self.shape.picked.contains(input.index) {
                return Some(Ok(Work { input, stored }));
            }
        }
    }
}

async fn row(stage: &dyn RowStage, askers: &Askers, work: io::Result<Work>) -> (Option<Work>, Result<Row, Trouble>) {
    let failed = |message: String| Trouble::Stage(StageFailure::new(message, None));
    let work = match work {
        Ok(work) => work,
        Err(error) => return (None, Err(failed(format!("a table cannot be read: {error}")))),
    };
    let mut step = match stage.start(&work.input.text) {
        Ok(step) => step,
        Err(error) => return (None, Err(failed(error.to_string()))),
    };
    loop {
        match step {
            Step::Done(row) => return (Some(work), Ok(row)),
            Step::Ask(questions, resume) => match askers.ask_all(&questions).await {
                Ok(answers) => step = resume.resume(answers),
                Err(trouble) => return (Some(work), Err(trouble)),
            },
        }
    }
}

impl Askers {
    async fn ask_all(&self, questions: &[Question]) -> Result<Vec<Asked>, Trouble> {
        futures_util::future::try_join_all(questions.iter().map(|question| self.ask(question))).await
    }

    async fn ask(&self, question: &Question) -> Result<Asked, Trouble> {
        let asker = self.of(question);
        match answer(asker.engine.as_ref(), question).await {
            Ok(answer) => Ok(answer.into()),
            Err(error) if asker.context_is_keyed && matches!(error.kind, EngineErrorKind::ContextOverflow { .. }) => {
                Ok(Asked::Failed(CallFailure::from(&error)))
            }
            Err(error) => Err(Trouble::Engine { fatal: error.is_fatal(), message: error.message }),
        }
    }
}

fn compare(rows: &mut Rows, work: &Work, row: &Row, lines_each: u64, fresh: &mut Fresh) -> io::Result<()> {
    if row.lines == work.stored {
        rows.same += 1;
        return Ok(());
    }
    rows.moved += 1;
    rows.moved_with_input += u64::from(work.input.moved);
    for (at, stored) in work.stored.iter().enumerate() {
        // Where fewer lines came out than are stored there is nothing to put in the place of the others.
        let Some(new) = row.lines.get(at).filter(|new| *new != stored) else { continue };
        fresh.line(work.input.index * lines_each + at as u64, new)?;
        note_flip(rows, stored, new);
    }
    if rows.shown.len() < SHOWN {
        rows.shown.push(difference(work, row));
    }
    Ok(())
}

fn note_flip(rows: &mut Rows, old: &str, new: &str) {
    let grade = |line: &str| {
        serde_json::from_str::<Value>(line).ok().and_then(|row| row.get("grade")?.as_str().map(ToOwned::to_owned))
    };
    if let (Some(old), Some(new)) = (grade(old), grade(new))
        && old != new
    {
        *rows.flips.entry((old, new)).or_default() += 1;
    }
}

fn difference(work: &Work, row: &Row) -> RowDifference {
    let read = |line: Option<&String>| line.and_then(|line| serde_json::from_str::<Value>(line).ok());
    let lines = (0..work.stored.len().max(row.lines.len())).map(|at| (work.stored.get(at), row.lines.get(at)));
    let mut different = lines.filter(|(old, new)| old != new);
    let (old, new) = different.next().expect("rows are only shown where they differ");
    let (old, new) = (read(old), read(new));
    let scenario = [&old, &new].into_iter().flatten().find_map(|row| {
        let scenario = row.get("scenario").unwrap_or(row);
        Some(scenario.get("id")?.as_str()?.to_owned())
    });
    let change = match (&old, &new) {
        (Some(old), Some(new)) => diff(old, new).into_iter().next(),
        (None, _) | (_, None) => None,
    };
    let change = change.unwrap_or_else(|| FieldChange { path: "(row)".to_owned(), old, new });
    let (old, new) = change.shown();
    RowDifference { scenario: scenario.unwrap_or_default(), field: change.path, old, new }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compared(stored: &[&str], lines: &[&str], input_moved: bool) -> (Rows, bool) {
        let mut fresh = Fresh::new().unwrap();
        let mut rows = Rows::default();
        let stored: Vec<String> = stored.iter().map(|&line| line.to_owned()).collect();
        let work = Work { input: Line { index: 4, text: String::new(), moved: input_moved }, stored };
        let row = Row::new(lines.iter().map(|&line| line.to_owned()).collect(), None);
        compare(&mut rows, &work, &row, 2, &mut fresh).unwrap();
        (rows, !fresh.is_empty())
    }

    #[test]
    fn how_long_an_answer_took_is_not_verified() {
        let answer = |reply: &str, latency: &str| {
            let scenario = r#"{"id":"a","topic":"t","subtopic":null,"style":"s","tags":[],"edge_case":false,"opening":"o","origin":"authored"}"#;
            format!(
                r#"{{"scenario":{scenario},"reply":"{reply}","finish":"stop","tokens":null,{latency}"failure":null}}"#
            )
        };
        let (stored, timed) = (answer("x", r#""latency_ms":9,"#), answer("x", r#""latency_ms":7,"#));
        let set = |line: String, stored: &str| {
            let mut row = Row::new(vec![line], None);
            Marks::Times.set(&mut row, &[stored.to_owned()]).unwrap();
            row.lines.remove(0)
        };
        assert_eq!(set(timed.clone(), &stored), stored);
        assert_eq!(set(answer("y", r#""latency_ms":7,"#), &stored), answer("y", r#""latency_ms":9,"#));
        assert_ne!(set(answer("x", ""), &stored), stored, "a row that says nothing of it is another row");
    }

    #[test]
    fn what_moved_is_counted_and_shown() {
        let old = r#"{"scenario":{"id":"a"},"reply":"x","grade":"pass"}"#;
        let new = r#"{"scenario":{"id":"a"},"reply":"x","grade":"fail"}"#;
        let (rows, kept) = compared(&[old, old], &[old, old], true);
        assert!(rows.is_identical() && rows.same == 1 && !kept);
        let (rows, kept) = compared(&[old, old], &[old, new], true);
        assert_eq!((rows.moved, rows.moved_with_input, rows.executed(), kept), (1, 1, 1, true));
        assert_eq!(rows.flips, BTreeMap::from([(("pass".to_owned(), "fail".to_owned()), 1)]));
        let shown = RowDifference {
            scenario: "a".to_owned(),
            field: "grade".to_owned(),
            old: "\"pass\"".to_owned(),
            new: "\"fail\"".to_owned(),
        };
        assert_eq!(rows.shown, [shown]);
        // A row of which nothing came is another row, but there is nothing to go on with.
        let (rows, kept) = compared(&[old], &[], false);
        assert_eq!((rows.moved, rows.moved_with_input, kept), (1, 0, false));
        assert_eq!((rows.shown[0].scenario.as_str(), rows.shown[0].new.as_str()), ("a", "nothing"));
    }
}
