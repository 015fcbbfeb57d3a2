//! The other of two models, where a decision looked at a backup too.

use serde::{Deserialize, Serialize};

use super::decision::{Decision, Outcome};
use super::gates::GateStatus;
use crate::ids::StageId;

/// The model that was tried as well and is not decided on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OtherModel {
    /// Which of the two it is.
    pub role: ModelRole,
    /// The stage that judged its replies.
    pub verdicts: StageId,
    /// What would be decided on it alone.
    pub decision: Decision,
}

/// Which of two models.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ModelRole {
    /// The one that is looked at first.
    Primary,
    /// The one that is looked at where the first fails.
    Backup,
}

impl Decision {
    /// Whether the model is settled to be not good enough as it is. What is inconclusive or blocked is not settled: more data or a
    /// better judge may yet say otherwise. A gate that failed is, whatever else is open.
    #[must_use]
    pub fn fails(&self) -> bool {
        match self.outcome {
            Outcome::FineTune | Outcome::FullPipeline => true,
            Outcome::Deploy | Outcome::Inconclusive => self.fails_a_gate(),
            Outcome::Blocked => false,
        }
    }

    /// Whether a gate in the record failed.
    #[must_use]
    pub fn fails_a_gate(&self) -> bool {
        self.gates.iter().any(|gate| gate.status == GateStatus::Failed)
    }

    /// Whether it is about the backup: then the other is the model that was looked at first.
    #[must_use]
    pub fn is_of_backup(&self) -> bool {
        self.other.as_ref().is_some_and(|other| other.role == ModelRole::Primary)
    }
}
