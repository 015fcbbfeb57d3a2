//! What failures cost, where they are, and what would mend them.

use serde::{Deserialize, Serialize};

use crate::ids::CriterionId;

/// The ways in which replies fail, by what each costs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FailureModes {
    /// Replies that did not meet the pass rule.
    pub failed: u64,
    /// One a criterion with failures: what returns most first, then most failures, then by id.
    pub modes: Vec<FailureMode>,
    /// The best pairs, where no criterion alone would reach the deploy threshold and two return more than the better of them: at
    /// most three, what returns most first.
    pub pairs: Vec<FailurePair>,
}

/// One criterion and what mending it would do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FailureMode {
    /// The criterion.
    pub criterion: CriterionId,
    /// Replies that fail it, among those that did not meet the pass rule.
    pub failed: u64,
    /// Failed replies that would meet the pass rule if this criterion passed, and all else stayed.
    pub returned: u64,
    /// The pass rate that would be.
    pub rate: f64,
    /// Where it fails more often than elsewhere, beyond chance: the surest first, none within another, at most three.
    pub places: Vec<FailurePlace>,
    /// Examples to collect for a start: ten for each failure seen in its places (or in all), from 20 to 500.
    pub examples: u64,
    /// What is likely to mend it.
    pub remedy: Remedy,
    /// What speaks for that and what against.
    pub clues: Vec<Clue>,
}

/// Where a criterion fails more often than elsewhere.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FailurePlace {
    /// The topic; none for all.
    pub topic: Option<String>,
    /// The style; none for all.
    pub style: Option<String>,
    /// Verdicts `fail` there.
    pub failed: u64,
    /// Verdicts `pass` and `fail` there.
    pub graded: u64,
    /// The chance of as many failures there if it failed as often as in the whole suite, adjusted (Holm) for all places looked
    /// at.
    pub p: f64,
    /// Examples to collect there for a start.
    pub examples: u64,
}

/// Two criteria that are mended together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FailurePair {
    /// Both, in the order of the rubric.
    pub criteria: [CriterionId; 2],
    /// Failed replies that would meet the pass rule if both passed.
    pub returned: u64,
    /// The pass rate that would be.
    pub rate: f64,
}

/// What is likely to mend a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Remedy {
    /// Training data: the model can do it, and does not where it was not taught to.
    Data,
    /// The system around the model, or another model: prompt, template, constrained output, decoding, capacity.
    Architecture,
    /// What is known speaks for neither.
    Unclear,
}

/// One thing that speaks for a remedy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Clue {
    /// Which it speaks for.
    pub speaks_for: Remedy,
    /// What was seen: a clause without capital and full stop.
    pub text: String,
}
