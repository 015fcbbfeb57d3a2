//! What people say of replies whose decision they sign off.

use serde::{Deserialize, Serialize};

use super::rows::is_first;
use crate::ids::ScenarioId;

/// One line of a review file: one person on one reply. Like a gold file it only ever grows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Review {
    /// The scenario that was answered.
    pub scenario: ScenarioId,
    /// Which of several answers to it, from 0.
    #[serde(default, skip_serializing_if = "is_first")]
    pub repetition: u32,
    /// What was found; none on a line that withdraws.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<ReviewVerdict>,
    /// What the person had to say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// The person.
    pub reviewer: String,
    /// The first hexadecimal digits of blake3 of the table of verdicts that the decision rests on.
    pub verdicts: String,
    /// The day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub date: Option<String>,
    /// Whether the line takes back what the same person said of the same reply before.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub withdrawn: bool,
}

/// What a person finds of a reply as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReviewVerdict {
    /// It may be given to somebody.
    Ok,
    /// It may not.
    NotOk,
}

/// What the reviews of one person come to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReviewedBy {
    /// The person.
    pub reviewer: String,
    /// Replies that are ok.
    pub ok: u64,
    /// Replies that were reviewed.
    pub reviewed: u64,
    /// Those that are not ok, with what was said of them.
    pub not_ok: Vec<NotOk>,
}

/// A reply that somebody would not give to anybody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NotOk {
    /// The scenario.
    pub scenario: ScenarioId,
    /// Which of several answers to it, from 0.
    #[serde(default, skip_serializing_if = "is_first")]
    pub repetition: u32,
    /// What was said of it.
    pub comment: Option<String>,
}
