//! What moved from one lock to the next.

use std::collections::BTreeMap;

use super::{Lock, LockedComparison, LockedDecision, LockedStage, LockedWeights};
use crate::ids::StageId;

/// Something that is not the same in two locks. `None` stands for what is not there.
#[derive(Debug, Clone, PartialEq)]
pub enum Move {
    /// The decision.
    Decision {
        /// What it was.
        old: Option<LockedDecision>,
        /// What it is.
        new: Option<LockedDecision>,
    },
    /// What a comparison came to.
    Comparison {
        /// Which stage's.
        stage: StageId,
        /// What it was.
        old: Option<LockedComparison>,
        /// What it is.
        new: Option<LockedComparison>,
    },
    /// The weights that a stage brings.
    Weights {
        /// Which.
        stage: StageId,
        /// What they were.
        old: Option<LockedWeights>,
        /// What they are.
        new: Option<LockedWeights>,
    },
    /// What a stage is made of or what came out of it.
    Stage {
        /// Which.
        stage: StageId,
        /// What it was.
        old: Option<LockedStage>,
        /// What it is.
        new: Option<LockedStage>,
    },
}

impl LockedStage {
    /// The fields whose digests are not the same.
    #[must_use]
    pub fn fields_moved(&self, other: &Self) -> Vec<String> {
        let names: BTreeMap<&String, ()> =
            self.fields.keys().chain(other.fields.keys()).map(|name| (name, ())).collect();
        names.into_keys().filter(|name| self.fields.get(*name) != other.fields.get(*name)).cloned().collect()
    }
}

impl Lock {
    /// What moved from `old` to this lock: the decision first, then comparisons, weights and stages.
    #[must_use]
    pub fn moves_since(&self, old: &Self) -> Vec<Move> {
        let mut moves = Vec::new();
        if old.decision != self.decision {
            moves.push(Move::Decision { old: old.decision.clone(), new: self.decision.clone() });
        }
        for (stage, old, new) in pairs(&old.comparisons, &self.comparisons) {
            moves.push(Move::Comparison { stage, old, new });
        }
        for (stage, old, new) in pairs(&old.weights, &self.weights) {
            moves.push(Move::Weights { stage, old, new });
        }
        for (stage, old, new) in pairs(&old.stages, &self.stages) {
            moves.push(Move::Stage { stage, old, new });
        }
        moves
    }
}

/// The entries that are not the same in both.
fn pairs<T: Clone + PartialEq>(
    old: &BTreeMap<StageId, T>,
    new: &BTreeMap<StageId, T>,
) -> Vec<(StageId, Option<T>, Option<T>)> {
    let ids: BTreeMap<&StageId, ()> = old.keys().chain(new.keys()).map(|id| (id, ())).collect();
    ids.into_keys()
        .filter(|id| old.get(*id) != new.get(*id))
        .map(|id| (id.clone(), old.get(id).cloned(), new.get(id).cloned()))
        .collect()
}
