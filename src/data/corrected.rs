//! Rates corrected for a judge's errors.

use serde::{Deserialize, Serialize};

use super::comparison::{ComparisonVerdict, GateOutcome, RateDifference};
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

impl CorrectedRate {
    /// How many of them people labelled.
    #[must_use]
    pub fn labelled(&self) -> u64 {
        self.among_passed.labelled + self.among_failed.labelled
    }
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

/// What a comparison's target is when the judge's errors are taken out of both arms. A verdict takes this and the judge's own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CorrectedTarget {
    /// The base.
    pub base: CorrectedArm,
    /// The new arm.
    pub new: CorrectedArm,
    /// The new rate less that of the base, with an interval from those of both; null where one of them is not known.
    pub difference: RateDifference,
    /// The same, with the interval for tests of one side.
    pub one_sided: RateDifference,
    /// What the judge's verdicts alone would have come to.
    pub verdict_as_judged: ComparisonVerdict,
    /// Whether the target would have been held by them, where that is the goal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_as_judged: Option<GateOutcome>,
    /// What would let the corrected interval show what the judge's does. None where it shows it, where its middle lies on the other
    /// side, where labels were made on other replies, and for a judge that is not trusted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels_needed: Option<LabelsToShow>,
}

impl CorrectedTarget {
    /// The arms, the base first, with the words for them.
    #[must_use]
    pub fn arms(&self) -> [(&'static str, &CorrectedArm); 2] {
        [("the base", &self.base), ("the new arm", &self.new)]
    }

    /// Whether a verdict may rest on the judge of both arms.
    #[must_use]
    pub fn is_trusted(&self) -> bool {
        self.arms().iter().all(|(_, arm)| arm.distrust.is_empty())
    }
}

/// One arm of a comparison.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CorrectedArm {
    /// Its pass rate.
    pub rate: CorrectedRate,
    /// Whether the labels were made on other replies than those that are compared.
    pub transported: bool,
    /// Why the rate could not be corrected, in a fragment; none where it could.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unknown: Option<String>,
    /// Why no verdict may rest on the judge, in fragments; empty where one may.
    pub distrust: Vec<String>,
}

/// How many labels would let a corrected difference show something.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LabelsToShow {
    /// What the interval must not reach to.
    pub edge: f64,
    /// Labelled replies of both arms in all, if the rates stay where they are; none where labels alone do not do.
    pub replies: Option<LabelledArms>,
}

/// Labelled replies of either arm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LabelledArms {
    /// Of the base.
    pub base: u64,
    /// Of the new arm.
    pub new: u64,
}
