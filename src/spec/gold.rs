//! Gold files: what people found, one verdict of one person on one criterion of one reply a line.
//!
//! Owns the written form and its meaning as a whole: which labels hold after some were withdrawn. A label is about the very reply
//! whose digest it names; what it says of other replies to the same scenario is nothing. Start at [`LabelLine`].

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::ids::{CriterionId, ScenarioId};

/// Hexadecimal digits of a reply's blake3 that a label names.
pub const REPLY_DIGITS: usize = 16;

/// What a person found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LabelVerdict {
    /// The criterion holds.
    Pass,
    /// It does not.
    Fail,
    /// It does not apply to this scenario.
    NotApplicable,
}

impl LabelVerdict {
    /// All of them with their names in the file.
    pub const ALL: &'static [(&'static str, Self)] =
        &[("pass", Self::Pass), ("fail", Self::Fail), ("not_applicable", Self::NotApplicable)];

    /// The name in the file.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::NotApplicable => "not_applicable",
        }
    }
}

impl fmt::Display for LabelVerdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a label is about, and who made it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct LabelOf {
    /// The scenario that was answered.
    pub scenario: ScenarioId,
    /// Which of several answers to it, from 0.
    pub repetition: u32,
    /// The criterion.
    pub criterion: CriterionId,
    /// The person.
    pub labeller: String,
    /// The first [`REPLY_DIGITS`] hexadecimal digits of blake3 of the reply's text.
    pub reply: String,
}

/// A label that holds.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Label {
    /// What it is about, and who made it.
    #[serde(flatten)]
    pub of: LabelOf,
    /// What was found.
    pub verdict: LabelVerdict,
}

/// One line of a gold file. A file only ever grows: who changes their mind appends a line that withdraws the label before it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LabelLine {
    /// The scenario that was answered.
    pub scenario: ScenarioId,
    /// Which of several answers to it, from 0.
    #[serde(default, skip_serializing_if = "is_first")]
    pub repetition: u32,
    /// The criterion.
    pub criterion: CriterionId,
    /// What was found; none on a line that withdraws.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<LabelVerdict>,
    /// The person.
    pub labeller: String,
    /// The first [`REPLY_DIGITS`] hexadecimal digits of blake3 of the reply's text.
    pub reply: String,
    /// What the person had to say. Decides nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// The day on which it was made. Decides nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub date: Option<String>,
    /// Whether the line takes back what the same person said of the same before.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub withdrawn: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_first(repetition: &u32) -> bool {
    *repetition == 0
}

impl LabelLine {
    /// What the line is about.
    #[must_use]
    pub fn of(&self) -> LabelOf {
        LabelOf {
            scenario: self.scenario.clone(),
            repetition: self.repetition,
            criterion: self.criterion.clone(),
            labeller: self.labeller.clone(),
            reply: self.reply.clone(),
        }
    }
}

/// Whether a text can be the digest of a reply.
#[must_use]
pub fn is_reply_digest(text: &str) -> bool {
    text.len() == REPLY_DIGITS && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}
