//! The checked form of a `generate` stage: where scenarios come from, and which of them are taken.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Serialize;

use super::field_path::FieldPath;
use super::pipeline::ModelRef;
use super::taxonomy::Taxonomy;
use super::template::Template;
use crate::check::Language;

/// `generate: {...}`
#[derive(Debug, Clone)]
pub struct Generate {
    /// What scenarios are made of.
    pub from: GenerateFrom,
    /// Only so many of the first rows of the table, for a run on a part of it; the file never says so.
    pub limit: Option<u64>,
    /// Whether and how scenarios are marked whose openings say nearly the same.
    pub near_duplicates: Option<NearDuplicates>,
    /// Which openings are not taken: of those that a writer writes, and of those of a file.
    pub reject: Option<Reject>,
    /// Files that no opening should stand in, such as training data; relative to the root.
    pub not_in: Vec<PathBuf>,
    /// Where the suite is kept once it was made.
    pub freeze: Option<Freeze>,
}

/// A suite that is made once, reviewed, and from then on taken as it is.
#[derive(Debug, Clone)]
pub struct Freeze {
    /// The file, relative to the root.
    pub path: PathBuf,
    /// The taxonomy as it is now, where the file is there and so is what scenarios come from.
    pub expand: Option<Box<Expand>>,
}

/// How near-duplicates are found, by one way or both.
#[derive(Debug, Clone, PartialEq)]
pub struct NearDuplicates {
    /// By where openings lie.
    pub embed: Option<Embeds>,
    /// By the characters that they share: from which share of shingles in common on, in (0, 1].
    pub shingles: Option<f64>,
    /// Whether an opening that nearly repeats an earlier one is not taken, where it was not authored in the taxonomy.
    pub rejects: bool,
}

impl NearDuplicates {
    /// Who embeds openings, if anybody does.
    #[must_use]
    pub fn embedder(&self) -> Option<&ModelRef> {
        self.embed.as_ref().map(|embeds| &embeds.model)
    }
}

/// Near-duplicates by where openings lie.
#[derive(Debug, Clone, PartialEq)]
pub struct Embeds {
    /// Who embeds the openings.
    pub model: ModelRef,
    /// From which cosine on two openings say nearly the same, in (0, 1].
    pub above: f64,
}

/// Which openings are not taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Reject {
    /// Fewest and most characters.
    pub length: Option<(u32, u32)>,
    /// The languages they may be in.
    pub language: Option<Languages>,
    /// Whether they may repeat what the writer was told.
    pub echo: bool,
    /// Whether they may hold personal data.
    pub personal_data: bool,
}

/// The languages that openings may be in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Languages {
    /// One of these.
    These(Vec<Language>),
    /// That of the scenario: its value of the axis `language`.
    Axis,
}

/// What scenarios are made of.
#[derive(Debug, Clone)]
pub enum GenerateFrom {
    /// A taxonomy, expanded.
    Taxonomy(Box<Expand>),
    /// A file that holds them. It is not read before the stage runs.
    File(Box<Import>),
}

/// A file of scenarios.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Import {
    /// The file, relative to the root.
    pub path: PathBuf,
    /// How its records become scenarios; none of a file of JSON Lines that are scenarios as they are.
    pub mapping: Option<Mapping>,
}

/// How the records of a file become scenarios.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Mapping {
    /// The form of the file.
    pub format: ImportFormat,
    /// `opening`, `reference`, `id`, `topic`, `subtopic`, `style`, `tags` or `axes.NAME` → where it is in a record.
    pub fields: BTreeMap<String, FieldPath>,
    /// Whether personal data is covered.
    pub redact: bool,
}

/// The form of a file of records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ImportFormat {
    /// One JSON object a line.
    Jsonl,
    /// A JSON list of objects, or an object that holds one.
    Json,
    /// Comma-separated, with a line of names.
    Csv,
    /// The same with tabs.
    Tsv,
    /// A Parquet file, such as the datasets of Hugging Face come in.
    Parquet,
    /// The tests of a promptfoo configuration, in YAML or JSON.
    Promptfoo,
    /// A dataset of Inspect: JSON Lines, JSON or CSV with `input`.
    Inspect,
}

impl ImportFormat {
    /// All of them with their names in the pipeline file.
    pub const ALL: &'static [(&'static str, Self)] = &[
        ("jsonl", Self::Jsonl),
        ("json", Self::Json),
        ("csv", Self::Csv),
        ("tsv", Self::Tsv),
        ("parquet", Self::Parquet),
        ("promptfoo", Self::Promptfoo),
        ("inspect", Self::Inspect),
    ];
}

/// How a taxonomy is expanded.
#[derive(Debug, Clone)]
pub struct Expand {
    /// What is expanded.
    pub taxonomy: Taxonomy,
    /// Which styles of the taxonomy, in order; never empty.
    pub styles: Vec<String>,
    /// How many scenarios, edge cases included; every cell once if absent.
    pub count: Option<usize>,
    /// Decides which cells are taken and the order of rows.
    pub seed: u64,
    /// Writes openings where the taxonomy has none. Present if any is missing.
    pub writer: Option<Writer>,
}

/// Who writes openings, and how.
#[derive(Debug, Clone, PartialEq)]
pub struct Writer {
    /// The model.
    pub model: ModelRef,
    /// Where the file says more than the model.
    pub options: Option<WriterOptions>,
}

impl Writer {
    /// Draws of an opening where the file does not say: one that is not taken is mostly an accident.
    pub const ATTEMPTS: u32 = 3;
}

/// How openings are written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WriterOptions {
    /// What the writer is told, in place of the taxonomy's own prompt.
    pub prompt: Option<Template>,
    /// Openings of one cell that are asked for at once, at least 1.
    pub batch: usize,
    /// How often an opening is drawn before its scenario is given up, at least 1.
    pub attempts: u32,
}

impl Generate {
    /// The whole suite that a taxonomy comes to.
    #[must_use]
    pub fn of(expand: Expand) -> Self {
        Self {
            from: GenerateFrom::Taxonomy(Box::new(expand)),
            limit: None,
            near_duplicates: None,
            reject: None,
            not_in: Vec::new(),
            freeze: None,
        }
    }

    /// Whether an opening may be found not to be taken.
    #[must_use]
    pub fn is_choosy(&self) -> bool {
        self.reject.is_some() || self.near_duplicates.as_ref().is_some_and(|near| near.rejects)
    }

    /// The taxonomy and how it is expanded, if it is not a file.
    #[must_use]
    pub fn expand(&self) -> Option<&Expand> {
        match &self.from {
            GenerateFrom::Taxonomy(expand) => Some(expand),
            GenerateFrom::File(_) => None,
        }
    }
}
