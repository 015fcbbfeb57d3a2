//! What a run finds out about a pipeline on its way and the file cannot say: how far a decision that may stop early has come, and whether
//! a backup is due.
//!
//! Owns the words for it. Which of them hold is found out in `plan`.

use super::pipeline::{ClusterBy, Decide};
use crate::ids::StageId;

/// The scenarios that a stage takes of its table: those whose place in a random order is in the first part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// What the order is drawn with.
    pub seed: u64,
    /// What is drawn: all scenarios that belong together at once, or each by itself.
    pub unit: ClusterBy,
    /// How often the whole was cut to two thirds; above 0.
    pub round: u32,
}

/// How far a decision has come that may stop early. It looks at parts of the scenarios that grow by half each time: at round `r`
/// at (2/3)^r of them, and at round 0 at all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Looks {
    /// The round of the first look.
    pub first: u32,
    /// The round of this look, at most that of the first.
    pub now: u32,
    /// How many scenarios there are in all.
    pub scenarios: u64,
}

/// Another model that is looked at where the first one fails.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backup {
    /// A `judge` stage with the same rubric.
    pub verdicts: StageId,
    /// The answers that were judged, where a gate needs their table.
    pub answers: Option<StageId>,
    /// Whether it is to be looked at. Until it is known that the first model fails, it is not.
    pub is_due: bool,
}

impl Decide {
    /// The verdicts that are decided on: those of the backup where it has taken over. The answers and the model behind a decision are
    /// found by them.
    #[must_use]
    pub fn decided_on(&self, by_backup: bool) -> &StageId {
        let backup = self.backup.as_ref().filter(|_| by_backup);
        backup.map_or(&self.verdicts, |backup| &backup.verdicts)
    }
}
