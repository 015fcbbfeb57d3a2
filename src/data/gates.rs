//! What a run must keep to, and whether it does.

use serde::{Deserialize, Serialize};

use crate::ids::StageId;

/// One gate and what it came to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GateCheck {
    /// What is measured, as the pipeline names it: `pass_rate`, `criterion`, `latency_p95`…
    pub metric: String,
    /// Of which criterion, topic or style; none for the whole suite.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<String>,
    /// What it is held to.
    pub bound: GateBound,
    /// What was measured; none where nothing was.
    pub value: Option<f64>,
    /// The interval of the value, or of the difference from the other stage; none for what is counted rather than estimated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<[f64; 2]>,
    /// What was measured of the other stage, where the gate names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<f64>,
    /// Over how many replies (or calls).
    pub n: u64,
    /// What that says.
    pub status: GateStatus,
}

/// What a metric is held to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GateBound {
    /// This or more.
    AtLeast(f64),
    /// This or less.
    AtMost(f64),
    /// No worse than with another stage's verdicts, by more than a margin.
    NotWorse {
        /// The other `judge` stage.
        than: StageId,
        /// By how much it may be.
        margin: f64,
    },
}

/// Whether a bound is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GateStatus {
    /// It is: the whole interval is on the right side.
    Passed,
    /// It is not: the whole interval is on the wrong side.
    Failed,
    /// Nobody can say: the interval spans the bound, or nothing was measured.
    Inconclusive,
}

impl GateStatus {
    /// The name used in files and on the terminal.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::Inconclusive => "inconclusive",
        }
    }
}

/// The interval of a mean score.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScoreInterval {
    /// Lower end, at least 0.
    pub lo: f64,
    /// Upper end, at most 1.
    pub hi: f64,
}
