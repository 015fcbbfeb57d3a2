//! How far a decision that may stop early has looked, and what each look said.

use serde::{Deserialize, Serialize};

use super::decision::Decision;

/// The looks of a decision that may stop before all scenarios are asked: each at more of them than the one before, in an order that is
/// drawn at random before the first.
///
/// Before the last scenario the interval is one end of a confidence sequence, which holds however often one looks; at the end it is
/// the ordinary one. The chance of error of the decision is shared between the two, so that their sum bounds it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Looked {
    /// Scenarios looked at.
    pub scenarios: u64,
    /// Of so many.
    pub of: u64,
    /// Whether the run ends here: the outcome is settled and no gate is open, or all scenarios were looked at.
    pub stopped: bool,
    /// What the intervals of looks before the last scenario are made by.
    pub method: Sequence,
    /// The part of the chance of error that looks before the last scenario may use, all together; 0 where there are none, or none of
    /// them could have settled anything.
    pub alpha_early: f64,
    /// From the first look to this one. Looks that could have settled nothing are left out.
    pub looks: Vec<Look>,
}

/// A kind of confidence sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sequence {
    /// A mixture of bets over a beta distribution, for scenarios that have nothing in common (Robbins 1970; Howard et al. 2021).
    BetaBinomial,
    /// The ratio of prior to posterior, for the passes in a suite of which ever more is drawn (Waudby-Smith and Ramdas 2020).
    SuiteSequence,
    /// Hedged bets on the means of clusters, or of scenarios with several answers each (Waudby-Smith and Ramdas 2023). Where these are
    /// of unequal size, an interval is widened to the pass rate of all rows together.
    Betting,
}

impl Sequence {
    /// The name used in files.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BetaBinomial => "beta_binomial",
            Self::SuiteSequence => "suite_sequence",
            Self::Betting => "betting",
        }
    }
}

/// One look.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Look {
    /// At (2/3)^round of all scenarios, or thereabouts.
    pub round: u32,
    /// Scenarios looked at.
    pub scenarios: u64,
    /// Scenarios that passed; with several answers each, answers.
    pub passed: u64,
    /// Scenarios that failed; with several answers each, answers.
    pub failed: u64,
    /// What was bet on, where the method is `betting`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clusters: Option<ClusterMeans>,
    /// Lower end of the interval.
    pub lo: f64,
    /// Upper end.
    pub hi: f64,
    /// What the sequence has against each threshold.
    pub log_evidence: LogEvidence,
}

/// The clusters with a row that counts.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClusterMeans {
    /// How many.
    pub number: u64,
    /// The mean of their pass rates, each counted alike; none without any.
    pub mean: Option<f64>,
}

/// Natural logarithms of e-values: by how much a bet against the threshold would have multiplied one's money.
///
/// From `ln(1 / alpha_early)` on the sequence rules the threshold out. Null where what was seen is impossible at the threshold.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogEvidence {
    /// Against a rate at the deploy threshold.
    pub deploy: Option<f64>,
    /// Against a rate at the fine-tune threshold.
    pub fine_tune: Option<f64>,
}

impl Looked {
    /// Whether the decision was settled before all scenarios were looked at.
    #[must_use]
    pub fn is_early(&self) -> bool {
        self.stopped && self.looks.last().is_some_and(|look| look.round > 0)
    }

    /// The share of scenarios that nobody had to ask, in [0, 1].
    #[must_use]
    pub fn saved(&self) -> f64 {
        1.0 - self.scenarios.min(self.of) as f64 / self.of.max(1) as f64
    }
}

impl Decision {
    /// Whether more scenarios are to be looked at.
    #[must_use]
    pub fn goes_on(&self) -> bool {
        self.sequential.as_ref().is_some_and(|looked| !looked.stopped)
    }
}
