//! Which stages of a pipeline a command is about, and which of them are computed again whatever is in the store.

use super::Graph;
use crate::ids::StageId;

/// What the options `--only`, `--from` and `--force` say. By default: everything, and nothing by force.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// Only these stages; what they read is taken from the store and never computed. Empty: no such limit.
    pub only: Vec<StageId>,
    /// Only this stage and what comes after it; what they read besides is taken from the store and never computed.
    pub from: Option<StageId>,
    /// What is computed again.
    pub force: Force,
}

/// Which stages are computed again although their result is in the store. Calls still come from the store.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Force {
    /// None.
    #[default]
    Nothing,
    /// All that are selected.
    All,
    /// These.
    Stages(Vec<StageId>),
}

impl Selection {
    /// Whether a stage may be computed.
    #[must_use]
    pub fn includes(&self, graph: &Graph, stage: &StageId) -> bool {
        let listed = self.only.is_empty() || self.only.contains(stage);
        listed && self.from.as_ref().is_none_or(|from| graph.is_after(stage, from))
    }

    /// Whether a stage is computed again although its result is in the store.
    #[must_use]
    pub fn forces(&self, graph: &Graph, stage: &StageId) -> bool {
        self.includes(graph, stage)
            && match &self.force {
                Force::Nothing => false,
                Force::All => true,
                Force::Stages(stages) => stages.contains(stage),
            }
    }

    /// The stages that it names, to be checked against the pipeline.
    pub fn named(&self) -> impl Iterator<Item = &StageId> {
        let forced = match &self.force {
            Force::Nothing | Force::All => [].as_slice(),
            Force::Stages(stages) => stages.as_slice(),
        };
        self.only.iter().chain(&self.from).chain(forced)
    }
}
