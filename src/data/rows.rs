//! The rows of scenario, answer and verdict tables. Each carries what came before it, so one table read alone is whole.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::near::NearDuplicate;
use crate::engine::{Finish, Usage};
use crate::ids::{CriterionId, ScenarioId};
use crate::key::Key;

/// One input row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// Stable: it depends on the cell of the taxonomy alone.
    pub id: ScenarioId,
    /// The topic's id.
    pub topic: String,
    /// The subtopic's id; none for an edge case.
    pub subtopic: Option<String>,
    /// The style's id.
    pub style: String,
    /// Its value of each axis, where the taxonomy has axes.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub axes: BTreeMap<String, String>,
    /// Tags of an edge case.
    pub tags: Vec<String>,
    /// Whether it is a named edge case.
    pub edge_case: bool,
    /// The first message.
    pub opening: String,
    /// What a good answer says, where somebody wrote that down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// Who wrote the opening.
    pub origin: Origin,
    /// How its opening was written, where the stage says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub written: Option<Written>,
    /// The scenario before it whose opening says nearly the same, where the suite was searched for such and one was found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub near_duplicate: Option<NearDuplicate>,
}

/// Where an opening comes from that a model wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Written {
    /// What the writer was told and how its words were drawn, without the seed.
    pub generator: Key,
    /// The seed of the draw.
    pub seed: u64,
    /// Which draw it is, from 1: those before it were not taken.
    pub attempt: u32,
}

/// Who wrote an opening.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// A person: the author of the taxonomy or of the file.
    Authored,
    /// The writer model.
    Written,
}

/// Why a row has no reply.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RowFailure {
    /// `context_overflow`, `rejected`, `transient`…
    pub kind: String,
    /// A sentence for people.
    pub message: String,
}

/// Tokens that a reply took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tokens {
    /// Of the rendered prompt.
    pub prompt: u32,
    /// Generated.
    pub completion: u32,
}

impl From<Usage> for Tokens {
    fn from(usage: Usage) -> Self {
        let Usage { prompt_tokens, cached_tokens: _, completion_tokens } = usage;
        Self { prompt: prompt_tokens, completion: completion_tokens }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
pub(super) fn is_first(repetition: &u32) -> bool {
    *repetition == 0
}

/// One answered scenario, or the reason why it was not answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    /// What was asked.
    pub scenario: Scenario,
    /// Which of several answers to the scenario it is, from 0; a table without repeats does not name it.
    #[serde(default, skip_serializing_if = "is_first")]
    pub repetition: u32,
    /// What was answered.
    pub reply: Option<String>,
    /// What the model thought before it answered, where it says so: nobody judges it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<String>,
    /// Why the reply ended.
    pub finish: Option<Finish>,
    /// Tokens it took; how many of them were shared with other requests is chance, and not in a table.
    pub tokens: Option<Tokens>,
    /// Milliseconds that the engine worked on it, where the stage keeps them: without waiting in a queue or between retries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<u64>,
    /// Why there is no reply.
    pub failure: Option<RowFailure>,
}

/// One criterion on one response.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Verdict {
    /// Which criterion.
    pub criterion: CriterionId,
    /// What was found.
    pub verdict: VerdictKind,
    /// Whether the criterion is critical.
    pub critical: bool,
    /// The words of the reply it rests on; empty where there are none.
    pub evidence: String,
    /// Why.
    pub reason: String,
    /// Whether the words that a judge quoted are in the reply; none where it quoted nothing, or code decided.
    pub quote: Option<Quote>,
    /// What all opinions said, where a judge was asked for several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub votes: Option<Votes>,
    /// How likely the judge found `pass` among the verdict words, in [0, 1], where words were weighed and one was found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pass_probability: Option<f64>,
    /// The level, where one of a scale was asked for: the mean where several were given or levels were weighed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<f64>,
    /// What each judge of a panel said, by what it is called.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub panel: BTreeMap<String, VerdictKind>,
}

/// How several opinions on one criterion divide.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Votes {
    /// Opinions `pass`.
    pub pass: u32,
    /// Opinions `fail`.
    pub fail: u32,
    /// Opinions `not_applicable`.
    pub not_applicable: u32,
    /// Opinions that could not be had or read.
    pub ungraded: u32,
}

/// Whether quoted words are where they are said to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Quote {
    /// They are.
    Found,
    /// They are not: the judge made them up.
    Missing,
}

/// What was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VerdictKind {
    /// The criterion holds.
    Pass,
    /// It does not.
    Fail,
    /// It does not apply to this scenario.
    NotApplicable,
    /// Nobody could say. Never counts as a pass.
    Ungraded,
}

/// The pass rule applied to one response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Grade {
    /// The rule is met.
    Pass,
    /// It is not.
    Fail,
    /// A missing verdict (or reply) leaves it open.
    Ungraded,
    /// Too few criteria apply; the scenario is not counted.
    Invalid,
}

/// One judged response.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Judged {
    /// What was asked.
    pub scenario: Scenario,
    /// Which of several answers to the scenario it judges, from 0; a table without repeats does not name it.
    #[serde(default, skip_serializing_if = "is_first")]
    pub repetition: u32,
    /// What was answered.
    pub reply: Option<String>,
    /// Why there is no reply.
    pub failure: Option<RowFailure>,
    /// One verdict a criterion, in the rubric's order.
    pub verdicts: Vec<Verdict>,
    /// Share of the applicable weight that passed, in [0, 1]; none if nothing applies or nothing could be graded.
    pub score: Option<f64>,
    /// The pass rule's result.
    pub grade: Grade,
}
