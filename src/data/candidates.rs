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
