//! Rates corrected for a judge's errors.

use serde::{Deserialize, Serialize};

use crate::ids::CriterionId;

/// What a decision's rates are when the judge's errors are taken out, and whether it may be believed at all.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Corrected {
    /// The pass rate: its interval decides.
    pub rate: CorrectedRate,
    /// Per criterion that a judge is asked, in the rubric's order.
    pub criteria: Vec<CorrectedCriterion>,
    /// Whether the labels were made on other replies than those that are decided on.
    pub transported: bool,
    /// Why no decision may rest on the judge, in fragments; empty where one may.
    pub distrust: Vec<String>,
    /// What would settle an inconclusive outcome: one entry a threshold inside the interval, highest first. Empty for all other
    /// outcomes, and where the labels were made on other replies.
    pub labels_needed: Vec<LabelsToSettle>,
}

/// A corrected rate with its interval.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CorrectedRate {
    /// The rate; null where the labels say nothing.
    pub point: Option<f64>,
    /// Lower end, 0 where the labels say nothing.
    pub lo: f64,
    /// Upper end, 1 where the labels say nothing.
    pub hi: f64,
    /// Level of the interval, in (0, 1).
    pub confidence: f64,
    /// `poststratified_wilson`, or `lang_reiczigel` for labels that were made on other replies.
    pub method: String,
    /// What the judge passed or failed, labelled or not.
    pub n: u64,
    /// So many independent ones would say as much.
    pub n_eff: f64,
    /// Of what the judge passed and people labelled.
    pub among_passed: LabelledShare,
    /// Of what the judge failed and people labelled.
    pub among_failed: LabelledShare,
}

/// How many of the labelled truly pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LabelledShare {
    /// People pass it.
    pub passed: u64,
    /// Labelled.
    pub labelled: u64,
}

/// One criterion.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CorrectedCriterion {
    /// Which.
    pub criterion: CriterionId,
    /// Its corrected pass rate.
    pub rate: CorrectedRate,
}

/// How many labels would settle one threshold.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LabelsToSettle {
    /// The threshold inside the interval.
    pub threshold: f64,
    /// Labelled replies in all, if the rate stays where it is; none where labels alone do not settle it.
    pub replies: Option<u64>,
}
