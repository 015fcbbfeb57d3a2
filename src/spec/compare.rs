//! `compare`: two judge stages held against each other, and what the new one must not lose elsewhere.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ids::{GuardName, StageId};

/// `compare: {...}`
#[derive(Debug, Clone)]
pub struct Compare {
    /// What is compared.
    pub arms: Arms,
    /// What the new arm must show.
    pub goal: Goal,
    /// The largest loss of pass rate that counts as none, in (0, 1).
    pub margin: f64,
    /// The interval of the difference must lie above this for an improvement, in [0, 1).
    pub min_improvement: f64,
    /// Level of intervals, in (0.5, 1).
    pub confidence: f64,
    /// What is taken as independent.
    pub cluster: Clustering,
    /// Largest share of rows that may be left out for want of a grade, or of a row to be paired with, in [0, 1].
    pub max_ungraded: f64,
    /// Decides what is drawn at random.
    pub seed: u64,
    /// By what both arms are corrected for the judge's errors; none where verdicts count as they are.
    pub calibrations: Option<Calibrations>,
    /// What must not get worse, by name.
    pub guards: BTreeMap<GuardName, Guard>,
}

impl Compare {
    /// The stages whose tables it reads, the target's first.
    pub fn reads(&self) -> impl Iterator<Item = &StageId> {
        std::iter::once(&self.arms)
            .chain(self.guards.values().map(|guard| &guard.arms))
            .flat_map(|Arms { base, new }| [base, new])
    }
}

/// Two `judge` stages with the same rubric and judge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arms {
    /// What there was.
    pub base: StageId,
    /// What is to take its place.
    pub new: StageId,
}

/// Two `calibrate` stages of the judge of both arms, which may be one and the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Calibrations {
    /// By this the base is corrected.
    pub base: StageId,
    /// By this the new arm is.
    pub new: StageId,
}

/// A suite on which the new arm must not be worse than the base.
#[derive(Debug, Clone, PartialEq)]
pub struct Guard {
    /// What is compared.
    pub arms: Arms,
    /// The largest loss of pass rate that counts as none, in (0, 1).
    pub margin: f64,
}

/// What the new arm must show on the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Goal {
    /// To be better.
    Improve,
    /// To be no worse: as for a guard.
    Hold,
}

impl Goal {
    /// All of them with their names in the pipeline file.
    pub const ALL: &'static [(&'static str, Self)] = &[("improve", Self::Improve), ("hold", Self::Hold)];
}

/// What is taken as independent of each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Clustering {
    /// Topics, where scenarios share them.
    Topic,
    /// Scenarios.
    None,
}

impl Clustering {
    /// All of them with their names in the pipeline file.
    pub const ALL: &'static [(&'static str, Self)] = &[("topic", Self::Topic), ("none", Self::None)];
}
