//! What can be wrong with a catalog, or with what is asked of it.

use indexmap::IndexMap;

/// Where a row stands in its file, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spot {
    /// On a line of text.
    Line(u64),
    /// In a list.
    Entry(u64),
}

impl std::fmt::Display for Spot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Line(number) => write!(f, "line {number}"),
            Self::Entry(number) => write!(f, "entry {number}"),
        }
    }
}

/// Why a catalog cannot be read, or gives no candidate.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// A file holds no header.
    #[error("`{file}` is empty")]
    Empty {
        /// The file.
        file: String,
    },
    /// No file holds a model.
    #[error("the catalog holds no model")]
    NoModels,
    /// A file has no column `id`.
    #[error("`{file}` has no column `id`")]
    NoIdColumn {
        /// The file.
        file: String,
        /// The columns it has.
        columns: Vec<String>,
    },
    /// A file has two columns of one name.
    #[error("`{file}` has the column `{column}` twice")]
    DuplicateColumn {
        /// The file.
        file: String,
        /// The column.
        column: String,
    },
    /// A row has no id.
    #[error("`{file}` {line}: the row has no `id`")]
    NoId {
        /// The file.
        file: String,
        /// Where its row starts.
        line: Spot,
    },
    /// Two rows of a file describe one model.
    #[error("`{file}` has `{id}` on {first} and again on {second}")]
    DuplicateId {
        /// The file.
        file: String,
        /// The model.
        id: String,
        /// Where the first row is.
        first: Spot,
        /// Where the second row is.
        second: Spot,
    },
    /// A row has more or fewer cells than the header.
    #[error("`{file}` {line}: {found} cells where the header has {expected}")]
    Ragged {
        /// The file.
        file: String,
        /// Where its row starts.
        line: Spot,
        /// Cells of the header.
        expected: u64,
        /// Cells of the row.
        found: u64,
    },
    /// A row is not UTF-8.
    #[error("`{file}` {line}: not valid UTF-8")]
    NotUtf8 {
        /// The file.
        file: String,
        /// Where its row starts.
        line: Spot,
    },
    /// A cell holds something else than its column is for.
    #[error("`{file}` {line}: column `{column}` holds `{value}`, not {expected}")]
    BadCell {
        /// The file.
        file: String,
        /// Where its row starts.
        line: Spot,
        /// The column.
        column: String,
        /// What the cell holds.
        value: String,
        /// What it should hold, with its article.
        expected: &'static str,
    },
    /// The CSV reader fails for a reason of its own.
    #[error("`{file}` cannot be read as CSV")]
    Unreadable {
        /// The file.
        file: String,
        /// The reader's own words.
        source: csv::Error,
    },
    /// A file of another form than CSV cannot be read.
    #[error("`{file}` cannot be read: {message}")]
    NotRead {
        /// The file.
        file: String,
        /// What is wrong.
        message: String,
    },
    /// A file holds something else than models.
    #[error("`{file}` is none of the forms that a catalog may have")]
    UnknownForm {
        /// The file.
        file: String,
    },
    /// A profile prefers a column that no file has.
    #[error("`prefer` names the column `{column}`, which no catalog has")]
    UnknownColumn {
        /// The column.
        column: String,
        /// The column that was probably meant.
        suggestion: Option<String>,
        /// The columns that hold numbers.
        numeric: Vec<String>,
    },
    /// A profile prefers a column of text.
    #[error("`prefer` names the column `{column}`, which does not hold numbers")]
    NotNumeric {
        /// The column.
        column: String,
        /// The columns that hold numbers.
        numeric: Vec<String>,
    },
    /// A profile avoids something that no model can be.
    #[error("`avoid` names the unknown tag `{tag}`")]
    UnknownTag {
        /// The tag.
        tag: String,
        /// The tag that was probably meant.
        suggestion: Option<String>,
        /// The tags there are.
        known: Vec<String>,
    },
    /// A preset prefers nothing that a catalog has.
    #[error("the preset `{preset}` prefers columns that no catalog has: {}", backticked(columns))]
    PresetWithoutColumns {
        /// The preset.
        preset: &'static str,
        /// The columns.
        columns: Vec<String>,
    },
    /// A reviewer took a model that there is not.
    #[error("`primary` names `{id}`, which no catalog has")]
    UnknownPrimary {
        /// The model.
        id: String,
        /// The model that was probably meant.
        suggestion: Option<String>,
    },
    /// Every model fails a requirement.
    #[error("none of {considered} models satisfies `require`: {}", counts(dropped))]
    NothingFits {
        /// How many models there are.
        considered: usize,
        /// How many models each requirement dropped, in the order the requirements were tried.
        dropped: IndexMap<String, usize>,
        /// The model that comes closest.
        nearest: Option<Box<NearestMiss>>,
    },
}

/// The model that came closest where none fits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NearestMiss {
    /// Its id.
    pub id: String,
    /// What it fails, in words.
    pub why: String,
    /// The requirements it fails, as they are called in the pipeline.
    pub relax: Vec<String>,
    /// Whether it fails one only because the catalog does not say.
    pub unknown: bool,
}

fn counts(dropped: &IndexMap<String, usize>) -> String {
    let counted = dropped.iter().filter(|(_, count)| **count > 0);
    counted.map(|(requirement, count)| format!("`{requirement}` drops {count}")).collect::<Vec<_>>().join(", ")
}

fn backticked<S: AsRef<str>>(names: &[S]) -> String {
    names.iter().map(|name| format!("`{}`", name.as_ref())).collect::<Vec<_>>().join(", ")
}

fn meant(suggestion: Option<&String>) -> String {
    suggestion.map(|name| format!("did you mean `{name}`? ")).unwrap_or_default()
}

impl CatalogError {
    /// Says how to mend it, where there is more to say than what is wrong.
    #[must_use]
    pub fn help(&self) -> Option<String> {
        match self {
            Self::Empty { .. } => Some("begin the file with a line of column names, `id` among them".to_owned()),
            Self::NoModels => Some("add a row below the column names".to_owned()),
            Self::NoIdColumn { columns, .. } => Some(help_for_columns(columns)),
            Self::DuplicateColumn { .. } => Some("rename or remove one of them".to_owned()),
            Self::NoId { .. } => Some("write the model's id as `organisation/name`".to_owned()),
            Self::DuplicateId { .. } => {
                Some("keep one of the rows, or mark the one to use with `yes` in a column `primary`".to_owned())
            }
            Self::Ragged { .. } => {
                Some("put a cell that holds a comma, a quote or a line break into double quotes".to_owned())
            }
            Self::NotUtf8 { .. } => Some("save the file as UTF-8".to_owned()),
            Self::BadCell { .. } => Some("correct the cell, or leave it empty where the value is unknown".to_owned()),
            Self::Unreadable { .. } => None,
            Self::NotRead { .. } => Some("correct the file at this place".to_owned()),
            Self::UnknownForm { .. } => Some(
                "write a list of objects with an `id` each, or name a result of lm-evaluation-harness or a board that is known"
                    .to_owned(),
            ),
            Self::UnknownColumn { suggestion, numeric, .. } => {
                Some(format!("{}columns with numbers: {}", meant(suggestion.as_ref()), backticked(numeric)))
            }
            Self::NotNumeric { numeric, .. } => Some(format!("columns with numbers: {}", backticked(numeric))),
            Self::UnknownTag { suggestion, known, .. } => {
                Some(format!("{}tags: {}", meant(suggestion.as_ref()), backticked(known)))
            }
            Self::PresetWithoutColumns { .. } => {
                Some("add a catalog that has one of them, or write `prefer` instead".to_owned())
            }
            Self::UnknownPrimary { suggestion, .. } => {
                Some(format!("{}write an id that a catalog has, or add a row for it", meant(suggestion.as_ref())))
            }
            Self::NothingFits { nearest, .. } => nearest.as_ref().map(|miss| {
                let add = if miss.unknown { ", or write what is unknown into a catalog of your own" } else { "" };
                format!("relax {}{add}: `{}` comes nearest: {}", backticked(&miss.relax), miss.id, miss.why)
            }),
        }
    }
}

fn help_for_columns(columns: &[String]) -> String {
    match columns {
        [one] if one.contains([';', '\t', '|']) => "separate the cells by commas".to_owned(),
        [one] if one.contains('/') => "begin the file with a line of column names, `id` among them".to_owned(),
        _ => match columns.iter().find(|column| column.eq_ignore_ascii_case("id")) {
            Some(column) => format!("write `{column}` in lower case"),
            None => format!("name the column of model ids `id`; the file has {}", backticked(columns)),
        },
    }
}

/// The one of `names` that `text` was probably meant to be.
pub(super) fn closest<'n>(text: &str, names: impl IntoIterator<Item = &'n str>) -> Option<String> {
    let lower = text.to_lowercase();
    let scored = names.into_iter().map(|name| (strsim::jaro_winkler(&lower, &name.to_lowercase()), name));
    let best = scored.filter(|(score, _)| *score >= 0.8).max_by(|a, b| a.0.total_cmp(&b.0).then(b.1.cmp(a.1)));
    best.map(|(_, name)| name.to_owned())
}
