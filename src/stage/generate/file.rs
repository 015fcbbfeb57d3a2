//! Scenarios that somebody has already: a file of JSON Lines, read line by line.
//!
//! Owns the form of such a file and what is said about a line that is wrong. Opens nothing: whoever runs the stage gives
//! the bytes. Memory does not grow with lines but for a few bytes an id. Start at [`check`] and [`Lines`].

use std::collections::BTreeMap;
use std::io::{self, BufRead};

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::Cell;
use crate::data::{self, Origin, Scenario};
use crate::ids::ScenarioId;
use crate::key::{BlobHasher, BlobId};

/// The topic of a line that names none.
pub const TOPIC: &str = "imported";
/// The style of one that names none.
pub(super) const STYLE: &str = "plain";

/// What is wrong with a file of scenarios.
#[derive(Debug, thiserror::Error)]
pub enum ScenarioFileError {
    /// It cannot be read.
    #[error("`{file}` cannot be read: {source}")]
    Read {
        /// The file, as the pipeline names it.
        file: String,
        /// What the system says.
        source: io::Error,
    },
    /// It is not of the form that it should have.
    #[error("`{file}` is not {expected}: {message}")]
    Form {
        /// The file, as the pipeline names it.
        file: String,
        /// What it should be, with its article.
        expected: &'static str,
        /// What is wrong.
        message: String,
    },
    /// It has no column of a name.
    #[error("`{file}` has no column `{column}`: it has {columns}")]
    Column {
        /// The file, as the pipeline names it.
        file: String,
        /// The name.
        column: String,
        /// The columns that it has.
        columns: String,
    },
    /// A column is compressed in a way that is not read.
    #[error("column `{column}` of `{file}` is compressed with {compression}, which is not read")]
    Compression {
        /// The file, as the pipeline names it.
        file: String,
        /// The column.
        column: String,
        /// How it is compressed.
        compression: &'static str,
    },
    /// It has no line.
    #[error("`{file}` holds no scenario")]
    Empty {
        /// The file, as the pipeline names it.
        file: String,
    },
    /// A line is no scenario.
    #[error("`{file}:{line}`: {message}")]
    Line {
        /// The file, as the pipeline names it.
        file: String,
        /// The line, from 1.
        line: u64,
        /// What is wrong.
        message: String,
        /// How it is mended.
        help: &'static str,
    },
}

impl ScenarioFileError {
    /// The way on, as an imperative sentence.
    #[must_use]
    pub fn help(&self) -> &'static str {
        match self {
            Self::Read { .. } => "check the path and who may read the file",
            Self::Form { .. } => "correct the file, or say what it is with `format`",
            Self::Column { .. } => "name a column that there is, such as with `fields: { opening: COLUMN }`",
            Self::Compression { .. } => "write the file with `zstd`, `snappy`, `gzip` or no compression",
            Self::Empty { .. } => "write one JSON object a line, such as {\"opening\": \"I cannot sleep\"}",
            Self::Line { file: _, line: _, message: _, help } => help,
        }
    }
}

/// What a file of scenarios comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checked {
    /// The id of all its bytes.
    pub blob: BlobId,
    /// How many scenarios it holds.
    pub scenarios: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    opening: String,
    reference: Option<String>,
    id: Option<String>,
    topic: Option<String>,
    subtopic: Option<String>,
    style: Option<String>,
    tags: Option<Vec<String>>,
    edge_case: Option<bool>,
    axes: Option<BTreeMap<String, String>>,
    origin: Option<Origin>,
    written: Option<data::Written>,
    /// A table of scenarios is such a file as well; which repeats which is found anew.
    #[serde(rename = "near_duplicate")]
    _near_duplicate: Option<IgnoredAny>,
}

/// The cells of a file, line by line.
#[derive(Debug)]
pub struct Lines<R> {
    reader: R,
    file: String,
    line: u64,
    text: Vec<u8>,
    seen: Seen,
    hasher: BlobHasher,
}

impl<R: BufRead> Lines<R> {
    /// Reads from `reader`; `file` is what messages call it.
    pub fn new(reader: R, file: &str) -> Self {
        Self {
            reader,
            file: file.to_owned(),
            line: 0,
            text: Vec::new(),
            seen: Seen::default(),
            hasher: BlobHasher::default(),
        }
    }

    fn read(&mut self) -> Result<Option<Cell>, ScenarioFileError> {
        loop {
            self.text.clear();
            let read = self.reader.read_until(b'\n', &mut self.text);
            let bytes = read.map_err(|source| ScenarioFileError::Read { file: self.file.clone(), source })?;
            if bytes == 0 {
                return Ok(None);
            }
            self.line += 1;
            self.hasher.update(&self.text);
            let text = if self.line == 1 { self.text.strip_prefix(b"\xef\xbb\xbf") } else { None };
            let text = text.unwrap_or(&self.text).trim_ascii();
            if !text.is_empty() {
                let cell = cell(text).and_then(|cell| self.seen.note(&cell, self.line).map(|()| cell));
                let wrong = |Wrong { message, help }| ScenarioFileError::Line {
                    file: self.file.clone(),
                    line: self.line,
                    message,
                    help,
                };
                return cell.map(Some).map_err(wrong);
            }
        }
    }
}

impl<R: BufRead> Iterator for Lines<R> {
    type Item = Result<Cell, ScenarioFileError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read().transpose()
    }
}

/// Reads a whole file and keeps nothing of it: so a mistake in its last line is found before the first call is paid for.
///
/// # Errors
/// It cannot be read, a line is no scenario, two have the same id, or there is none.
pub fn check(reader: impl BufRead, file: &str) -> Result<Checked, ScenarioFileError> {
    let mut lines = Lines::new(reader, file);
    let mut scenarios = 0;
    while lines.read()?.is_some() {
        scenarios += 1;
    }
    if scenarios == 0 {
        return Err(ScenarioFileError::Empty { file: file.to_owned() });
    }
    Ok(Checked { blob: lines.hasher.finish(), scenarios })
}

/// What is wrong with a line.
pub(super) struct Wrong {
    pub(super) message: String,
    pub(super) help: &'static str,
}

/// The ids so far: of each a digest and the line that has it.
#[derive(Debug, Default)]
struct Seen(BTreeMap<u64, u32>);

impl Seen {
    fn note(&mut self, cell: &Cell, line: u64) -> Result<(), Wrong> {
        let id = cell.scenario.id.as_str();
        match self.0.insert(digest(id), u32::try_from(line).unwrap_or(u32::MAX)) {
            None => Ok(()),
            Some(first) => Err(Wrong {
                message: format!("the id `{id}` is that of line {first} already"),
                help: "give each line an `id` of its own; one without is named by its opening, which must then differ",
            }),
        }
    }
}

pub(super) fn digest(text: &str) -> u64 {
    let bytes = BlobId::of(text.as_bytes());
    let [a, b, c, d, e, f, g, h, ..] = *bytes.as_bytes();
    u64::from_be_bytes([a, b, c, d, e, f, g, h])
}

fn cell(line: &[u8]) -> Result<Cell, Wrong> {
    let Written {
        opening,
        reference,
        id,
        topic,
        subtopic,
        style,
        tags,
        edge_case,
        axes,
        origin,
        written,
        _near_duplicate: _,
    } = serde_json::from_slice(line).map_err(|error| Wrong {
        message: error.to_string().replace(" at line 1 column ", " at column "),
        help: "write one JSON object a line, with `opening` and if you like `id`, `topic`, `subtopic`, `style`, \
                   `tags`, `edge_case` and `reference`",
    })?;
    let filled = |name: &str, text: String| {
        if text.trim().is_empty() {
            return Err(Wrong { message: format!("`{name}` is blank"), help: "write a text, or remove the key" });
        }
        Ok(text)
    };
    let opening = filled("opening", opening)?;
    // Named by what it says and not by its line: a line put in before it changes nothing.
    let id = id.unwrap_or_else(|| format!("opening/{}", &BlobId::of(opening.as_bytes()).to_string()[..16]));
    let id = ScenarioId::new(&id).map_err(|error| Wrong {
        message: error.to_string(),
        help: "write an id such as `billing/late-refund`, or remove it: a line is then named by its opening",
    })?;
    let scenario = Scenario {
        id,
        topic: filled("topic", topic.unwrap_or_else(|| TOPIC.to_owned()))?,
        subtopic: subtopic.map(|subtopic| filled("subtopic", subtopic)).transpose()?,
        style: filled("style", style.unwrap_or_else(|| STYLE.to_owned()))?,
        axes: axes.unwrap_or_default(),
        tags: tags.unwrap_or_default(),
        edge_case: edge_case.unwrap_or_default(),
        opening,
        reference: reference.map(|reference| filled("reference", reference)).transpose()?,
        origin: origin.unwrap_or(Origin::Authored),
        written,
        near_duplicate: None,
    };
    Ok(Cell::complete(scenario))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<Scenario> {
        Lines::new(text.as_bytes(), "s.jsonl").map(|cell| cell.unwrap().scenario).collect()
    }

    #[test]
    fn what_a_line_leaves_out_has_a_default() {
        let text = "\u{feff}{\"opening\": \"I cannot sleep\"}\r\n\n  {\"id\":\"a/b\",\"opening\":\"x\",\"topic\":\"Sleep!\",\
                    \"subtopic\":\"n\",\"style\":\"terse\",\"tags\":[\"t\"],\"edge_case\":true,\"reference\":\"see a doctor\"}";
        let [plain, full] = <[Scenario; 2]>::try_from(read(text)).unwrap();
        assert_eq!(plain.id.as_str(), format!("opening/{}", &BlobId::of(b"I cannot sleep").to_string()[..16]));
        assert_eq!((plain.topic.as_str(), plain.style.as_str(), plain.subtopic), ("imported", "plain", None));
        assert_eq!((full.id.as_str(), full.topic.as_str(), full.edge_case), ("a/b", "Sleep!", true));
        assert_eq!((plain.reference, full.reference.as_deref()), (None, Some("see a doctor")));
        assert_eq!((full.tags, full.subtopic.as_deref()), (vec!["t".to_owned()], Some("n")));
        let checked = check(text.as_bytes(), "s.jsonl").unwrap();
        assert_eq!(checked, Checked { blob: BlobId::of(text.as_bytes()), scenarios: 2 });
    }

    #[test]
    fn a_line_put_in_before_moves_no_id() {
        let (one, two) = ("{\"opening\": \"one\"}\n", "{\"opening\": \"two\"}\n");
        assert_eq!(read(&format!("{two}{one}"))[1], read(one)[0]);
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        let good = "{\"opening\": \"one\"}";
        for (text, expected) in [
            ("", "`s.jsonl` holds no scenario"),
            ("\n \n", "`s.jsonl` holds no scenario"),
            ("{}", "`s.jsonl:1`: missing field `opening` at column 2"),
            ("\n[]", "`s.jsonl:2`: invalid length 0, expected struct Written with 12 elements at column 2"),
            ("{\"opening\": \" \"}", "`s.jsonl:1`: `opening` is blank"),
            ("{\"opening\": \"x\", \"topic\": \"\"}", "`s.jsonl:1`: `topic` is blank"),
            ("{\"opening\": \"x\"", "`s.jsonl:1`: EOF while parsing an object at column 15"),
        ] {
            let error = check(text.as_bytes(), "s.jsonl").unwrap_err();
            assert_eq!(error.to_string(), expected);
            assert!(!error.help().ends_with('.'));
        }
        let message = |text: &str| check(text.as_bytes(), "s.jsonl").unwrap_err().to_string();
        assert!(
            message("{\"opening\": \"x\", \"opning\": 1}").contains("s.jsonl:1`: unknown field `opning`, expected")
        );
        assert!(message("{\"opening\": \"x\", \"id\": \"Not A Name\"}").contains("`Not A Name` is not a name"));
        assert!(message(&format!("{good}\n\n{good}")).ends_with("is that of line 1 already"));
        let same = "{\"opening\": \"a\", \"id\": \"x\"}\n{\"opening\": \"b\", \"id\": \"x\"}";
        assert_eq!(message(same), "`s.jsonl:2`: the id `x` is that of line 1 already");
        assert!(Lines::new(&b"{\"opening\": \"\xff\"}"[..], "s.jsonl").next().unwrap().is_err());
    }
}
