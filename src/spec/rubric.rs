//! The checked rubric: criteria and the rule that makes a pass of them.

use serde::{Deserialize, Serialize};

use super::template::Condition;
use crate::check::Check;
use crate::ids::CriterionId;

/// What is asked of each answer.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Rubric {
    /// Its name.
    pub name: String,
    /// The pass rule.
    pub pass: PassRule,
    /// Criteria, in order, never empty, ids unique.
    pub criteria: Vec<Criterion>,
}

/// A scenario passes if no critical criterion failed or is missing, and the share of weight reaches `score`.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct PassRule {
    /// Least share of the applicable weight that must pass, in (0, 1].
    pub score: f64,
    /// Least share of the whole weight that must be applicable, in [0, 1]; below it the scenario is not valid.
    pub min_applicable: f64,
}

/// One criterion.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Criterion {
    /// Its id.
    pub id: CriterionId,
    /// Its weight, above 0.
    pub weight: f64,
    /// Whether failing it fails the scenario.
    pub critical: bool,
    /// Asked only where this holds; elsewhere it is `not_applicable`.
    pub when: Option<Condition>,
    /// Who answers it.
    pub ask: Ask,
}

/// Who answers a criterion.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ask {
    /// The judge model.
    Question(Question),
    /// Code.
    Check(Check),
}

/// A question to the judge; yes means pass.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Question {
    /// The question.
    pub text: String,
    /// Whether the judge may answer `not_applicable`.
    pub allow_not_applicable: bool,
    /// Replies that pass.
    pub pass_examples: Vec<String>,
    /// Replies that fail.
    pub fail_examples: Vec<String>,
}
