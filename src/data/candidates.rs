//! The research table.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

/// What a research stage finds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Candidates {
    /// How many models the catalogs hold.
    pub considered: usize,
    /// How many models each requirement dropped, in the order the requirements were tried; a model is dropped by the first it fails.
    pub dropped: IndexMap<String, usize>,
    /// The shortlist, best first.
    pub shortlist: Vec<Candidate>,
    /// Dropped models, at most five: those that come closest to the requirements, of equally close ones the best by the profile.
    pub near_misses: Vec<Candidate>,
    /// What the catalogs are made of, in the order in which they are read.
    #[serde(default)]
    pub sources: Vec<CatalogSource>,
    /// What is to be known to read the table: what the profile prefers and why, what was left out.
    #[serde(default)]
    pub notes: Vec<String>,
    /// What memory is reckoned for, in words; none where nothing has to fit.
    #[serde(default)]
    pub memory_for: Option<String>,
    /// Bytes of memory that there are; none where nothing has to fit.
    #[serde(default)]
    pub memory_available: Option<u64>,
    /// The model that a reviewer took instead of the computed one.
    #[serde(default)]
    pub pinned: Option<Pinned>,
}

/// One file or server that models come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CatalogSource {
    /// The file's path, or the address.
    pub name: String,
    /// What it is, in words.
    pub format: String,
    /// How many models it describes.
    pub models: usize,
    /// The day of its newest entry, where it tells one.
    pub newest: Option<String>,
}

/// A model that a reviewer took.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pinned {
    /// The model.
    pub id: String,
    /// Why, in the reviewer's words.
    pub because: String,
    /// The model that was computed.
    pub computed: String,
    /// Where the pinned one stands against it.
    pub stands: String,
}

/// One row of the research table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Candidate {
    /// The model's id, `organisation/name`.
    pub id: String,
    /// What became of it.
    pub place: Place,
    /// Parameters in billions.
    pub params_b: Option<f64>,
    /// Licence.
    pub license: Option<String>,
    /// Conditions of the licence.
    pub license_note: Option<String>,
    /// Context in tokens.
    pub context: Option<u64>,
    /// `base`, `chat`…
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// Bytes of memory needed for `fits`, where that could be computed.
    pub memory_bytes: Option<u64>,
    /// How well it fits the profile: weighted mean percentile among the models that pass `require`, in (0, 1); none for
    /// one that does not pass, or has none of the scores.
    pub fit: Option<f64>,
    /// The preferred benchmarks' scores as in the catalog; missing ones are null.
    pub scores: IndexMap<String, Option<f64>>,
    /// Why it was considered.
    pub considered_because: String,
    /// Why it was selected, kept in reserve or rejected.
    pub reason: String,
    /// Where its weights can be had, from the catalog's `weights` column.
    pub weights: Option<String>,
    /// sha256 of that file, from the catalog's `weights_sha256` column.
    pub weights_sha256: Option<String>,
    /// Bytes of that file, from the catalog's `weights_bytes` column.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights_bytes: Option<u64>,
    /// Its rank, from 1, shared with those that the scores cannot tell from it; none for one that was dropped.
    #[serde(default)]
    pub rank: Option<usize>,
    /// Stars for the fit, from 1 to 5; none where too little is known.
    #[serde(default)]
    pub stars: Option<u8>,
    /// What the stars rest on: one for each preferred benchmark that it has a score in.
    #[serde(default)]
    pub evidence: Vec<Evidence>,
    /// What it takes in memory by the quantisation of its weights, the largest first.
    #[serde(default)]
    pub memory: Vec<QuantizedMemory>,
    /// What it takes in memory to fine-tune it.
    #[serde(default)]
    pub training: Option<TrainingMemory>,
    /// US dollars for a million tokens of prompts.
    #[serde(default)]
    pub price_in: Option<f64>,
    /// US dollars for a million tokens that it writes.
    #[serde(default)]
    pub price_out: Option<f64>,
    /// What to watch.
    #[serde(default)]
    pub concerns: Vec<Concern>,
}

/// A score that speaks for or against a candidate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    /// The benchmark's column.
    pub column: String,
    /// The score as in the catalog.
    pub score: f64,
    /// Its rank in this column among the models that it is compared with, from 1.
    pub rank: usize,
    /// How many of those have a score there.
    pub of: usize,
    /// How many questions the benchmark asks, where that is known.
    pub questions: Option<u32>,
    /// The catalog that the score stands in.
    pub catalog: String,
    /// When it was measured or collected, where the catalog tells.
    pub date: Option<String>,
}

/// What a model takes with weights of one quantisation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QuantizedMemory {
    /// The quantisation.
    pub quantization: String,
    /// Bytes in all.
    pub bytes: u64,
    /// Whether it fits.
    pub fits: bool,
    /// Whether that is a rule of thumb.
    pub estimated: bool,
}

/// What it takes to fine-tune a model, in bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainingMemory {
    /// An adapter over weights of 4 bits.
    pub qlora: u64,
    /// An adapter over weights of 16 bits.
    pub lora: u64,
    /// All weights.
    pub full: u64,
    /// Whether that is a rule of thumb.
    pub estimated: bool,
}

/// Something to watch about a candidate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Concern {
    /// What kind of thing.
    pub kind: ConcernKind,
    /// What it is, as a sentence without a full stop.
    pub text: String,
}

/// What may be the matter with a candidate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConcernKind {
    /// It is pinned and fails a requirement.
    Requirement,
    /// Its licence is unknown, or has conditions.
    License,
    /// One score is far from what its others suggest.
    Jagged,
    /// A merge or fine-tune whose publisher is not known to be the model's.
    Publisher,
    /// A score is older than a year.
    Stale,
    /// A score is so near the top that it tells little.
    Saturated,
    /// How much it was trained for its size.
    TokensPerParameter,
    /// What it costs to ask it elsewhere, against running it oneself.
    BreakEven,
    /// Its memory is a rule of thumb.
    Memory,
}

/// What became of a candidate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// Selected.
    Primary,
    /// Next in line.
    Backup,
    /// In the table, not selected.
    Shortlisted,
    /// Failed a requirement.
    Dropped,
}
