//! What a person reads before a model is deployed.

use serde::{Deserialize, Serialize};

use super::rows::is_first;
use crate::ids::{CriterionId, ScenarioId};

/// Replies to be read and ticked off by a person. No reply is on it twice.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReviewSheet {
    /// What the sample was drawn with.
    pub seed: u64,
    /// The replies: the worst, then the borderline ones, then the sample by topic.
    pub items: Vec<ReviewItem>,
}

/// One reply to be read. Texts longer than 2,000 characters end in `…`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReviewItem {
    /// Where.
    pub scenario: ScenarioId,
    /// Which of several answers to it, from 0.
    #[serde(default, skip_serializing_if = "is_first")]
    pub repetition: u32,
    /// Why it is on the sheet.
    pub why: ReviewReason,
    /// The topic's id.
    pub topic: String,
    /// The style's id.
    pub style: String,
    /// What was asked.
    pub opening: String,
    /// What was answered.
    pub reply: String,
    /// The first 16 hexadecimal digits of the blake3 digest of the whole reply: what a label names it by.
    pub digest: String,
    /// Its score in [0, 1].
    pub score: f64,
    /// Whether it met the pass rule.
    pub passed: bool,
    /// Criteria that failed.
    pub failed: Vec<CriterionId>,
}

/// Why a reply is on a review sheet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReviewReason {
    /// Among the lowest scores.
    Worst,
    /// Its score lies nearest to what the pass rule asks for: the verdict that one criterion would turn.
    Borderline,
    /// Drawn at random in its topic.
    Sample,
}
