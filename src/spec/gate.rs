//! The checked gates of a `decide` stage.

use crate::ids::{CriterionId, StageId};

/// What a run must keep to.
#[derive(Debug, Clone, PartialEq)]
pub struct GateRule {
    /// What is measured.
    pub metric: Metric,
    /// What it is held to.
    pub bound: Bound,
}

/// What is measured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Metric {
    /// The share of replies that meet the pass rule.
    PassRate,
    /// The mean score.
    Score,
    /// The pass rate of one criterion.
    Criterion(CriterionId),
    /// The pass rate of one topic.
    Topic(String),
    /// The pass rate of one style.
    Style(String),
    /// The share of replies without a verdict.
    Ungraded,
    /// Tokens generated for a reply, on average.
    TokensPerReply,
    /// What a reply costs on average, in US dollars, at the prices declared for the model under test.
    CostPerReply,
    /// The time in seconds under which 95 of 100 replies stayed when they were made.
    LatencyP95,
}

impl Metric {
    /// Those that stand for the whole suite, with their names in the pipeline file.
    pub const OF_SUITE: &'static [(&'static str, Self)] = &[
        ("pass_rate", Self::PassRate),
        ("score", Self::Score),
        ("ungraded", Self::Ungraded),
        ("tokens_per_reply", Self::TokensPerReply),
        ("cost_per_reply", Self::CostPerReply),
        ("latency_p95", Self::LatencyP95),
    ];

    /// The name in the pipeline file, and of what it is where it is not of the whole suite.
    #[must_use]
    pub fn name(&self) -> (&'static str, Option<String>) {
        match self {
            Self::PassRate => ("pass_rate", None),
            Self::Score => ("score", None),
            Self::Criterion(id) => ("criterion", Some(id.to_string())),
            Self::Topic(name) => ("topic", Some(name.clone())),
            Self::Style(name) => ("style", Some(name.clone())),
            Self::Ungraded => ("ungraded", None),
            Self::TokensPerReply => ("tokens_per_reply", None),
            Self::CostPerReply => ("cost_per_reply", None),
            Self::LatencyP95 => ("latency_p95", None),
        }
    }

    /// Whether it is an estimate with an interval, and not counted.
    #[must_use]
    pub fn is_estimated(&self) -> bool {
        match self {
            Self::PassRate | Self::Score | Self::Criterion(_) | Self::Topic(_) | Self::Style(_) => true,
            Self::Ungraded | Self::TokensPerReply | Self::CostPerReply | Self::LatencyP95 => false,
        }
    }

    /// Whether it takes the table of answers.
    #[must_use]
    pub fn takes_answers(&self) -> bool {
        matches!(self, Self::TokensPerReply | Self::CostPerReply)
    }

    /// Whether its values are shares, in [0, 1].
    #[must_use]
    pub fn is_share(&self) -> bool {
        self.is_estimated() || *self == Self::Ungraded
    }
}

/// What a metric is held to.
#[derive(Debug, Clone, PartialEq)]
pub enum Bound {
    /// This or more.
    AtLeast(f64),
    /// This or less.
    AtMost(f64),
    /// No worse than with the verdicts of another `judge` stage, by more than a margin.
    NotWorse {
        /// The other stage.
        than: StageId,
        /// By how much it may be: of a share as much of all replies, of what has a unit that part of the other stage's.
        margin: f64,
    },
}
