//! The checked rubric: criteria and the rule that makes a pass of them.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::PathBuf;

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

/// A scenario passes if no critical criterion failed or is missing, the share of weight reaches `score`, and enough of each
/// group of criteria pass.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PassRule {
    /// Least share of the applicable weight that must pass, in (0, 1].
    pub score: f64,
    /// Least share of the whole weight that must be applicable, in [0, 1]; below it the scenario is not valid.
    pub min_applicable: f64,
    /// Groups of criteria of which so many must pass.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub at_least: Vec<AtLeast>,
}

/// How many of some criteria must pass: all that apply, where fewer apply than that.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AtLeast {
    /// How many, at least 1 and at most as many as there are.
    pub count: usize,
    /// Of which, never empty; each is a criterion of the rubric.
    pub criteria: Vec<CriterionId>,
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
    /// The judge model, with a level.
    Scale(Scale),
    /// Code.
    Check(Check),
    /// A program of the project.
    Command {
        /// The program.
        command: Command,
        /// Whether its fail is a pass.
        negated: bool,
    },
}

/// A program of the project that decides a criterion.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Command {
    /// The program and its arguments, never empty.
    pub run: Vec<String>,
    /// Which of these are files of the project: what they hold decides as well.
    pub files: Vec<PathBuf>,
    /// Longest it may take, in seconds. Not part of the recipe.
    #[serde(skip)]
    pub timeout_s: u64,
}

impl Criterion {
    /// The program that decides it, if one does.
    #[must_use]
    pub fn command(&self) -> Option<&Command> {
        match &self.ask {
            Ask::Command { command, negated: _ } => Some(command),
            Ask::Question(_) | Ask::Scale(_) | Ask::Check(_) => None,
        }
    }
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

/// A question to the judge that is answered with a level; every whole number from the lowest to the highest is one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scale {
    /// The question.
    pub text: String,
    /// Whether the judge may answer `not_applicable`.
    pub allow_not_applicable: bool,
    /// What some levels mean, the lowest and the highest among them: at least two, each of one digit.
    pub anchors: BTreeMap<u32, String>,
    /// The lowest level that passes, above the lowest of all.
    pub pass_at: u32,
    /// Whether a level earns its share of the weight, from none at the lowest to all at the highest, and not all or nothing.
    pub partial: bool,
}

impl Scale {
    /// The lowest level.
    #[must_use]
    pub fn lowest(&self) -> u32 {
        self.anchors.first_key_value().map_or(0, |(level, _)| *level)
    }

    /// The highest level.
    #[must_use]
    pub fn highest(&self) -> u32 {
        self.anchors.last_key_value().map_or(0, |(level, _)| *level)
    }

    /// All levels.
    #[must_use]
    pub fn levels(&self) -> RangeInclusive<u32> {
        self.lowest()..=self.highest()
    }

    /// What a level means, where that is said.
    #[must_use]
    pub fn anchor(&self, level: u32) -> Option<&str> {
        self.anchors.get(&level).map(String::as_str)
    }

    /// The share of the weight that a level earns, where levels earn shares.
    #[must_use]
    pub fn credit(&self, level: f64) -> Option<f64> {
        let (low, high) = (f64::from(self.lowest()), f64::from(self.highest()));
        self.partial.then(|| ((level - low) / (high - low)).clamp(0.0, 1.0))
    }
}
