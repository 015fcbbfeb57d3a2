//! A pipeline held against its lock: whether it is still what was blessed, and its results where they are kept.
//!
//! Pure lookup: nothing is computed, and neither models nor their weights need be on this machine.

#[cfg(test)]
mod tests;

use std::io::ErrorKind;
use std::path::Path;

use serde_json::Value;

use super::{Graph, PlanError, searched};
use crate::engine::embedded::apart_from_machine;
use crate::ids::StageId;
use crate::key::{BlobId, Recipe};
use crate::lock::{Difference, Lock, LockedStage};
use crate::spec::{HubSearch, Pipeline, PullFrom, Stage, WeightsSource};
use crate::stage::{self, Known, RecipeError};
use crate::store::{Receipt, Store, StoreError};

/// Why a pipeline cannot be run as its lock says.
#[derive(Debug, thiserror::Error)]
pub enum FrozenError {
    /// The pipeline is not the one that was blessed.
    #[error(transparent)]
    Differs(Box<Difference>),
    /// A result that the lock names is not in the store, or is damaged.
    #[error("the result of `{stage}` that the lock names ({}) is not in the store", output.short())]
    NotHere {
        /// Whose.
        stage: StageId,
        /// What came out of it.
        output: BlobId,
    },
    /// The store has a result for the same key, but it is another one.
    #[error("the store has another result of `{stage}` ({}) than the lock names ({})", found.short(), locked.short())]
    OtherResult {
        /// Whose.
        stage: StageId,
        /// The lock's.
        locked: BlobId,
        /// The store's.
        found: BlobId,
    },
    /// The store or a file cannot be read, or an input does not name what a stage needs.
    #[error(transparent)]
    Plan(#[from] PlanError),
}

impl From<StoreError> for FrozenError {
    fn from(error: StoreError) -> Self {
        Self::Plan(error.into())
    }
}

impl FrozenError {
    /// The way on, as an imperative sentence.
    #[must_use]
    pub fn help(&self) -> String {
        match self {
            Self::Differs(difference) => difference.help(),
            Self::NotHere { .. } => "bring it here with `evalflow import-baseline FILE`".to_owned(),
            Self::OtherResult { .. } => {
                "accept the new result with `evalflow bless`, or use a store that has the old one".to_owned()
            }
            Self::Plan(error) => error.help(),
        }
    }
}

/// What a stage would be made of, according to the lock: outputs are those that it names, and weights that are not on this
/// machine are taken to be those that were pulled then.
#[derive(Debug)]
pub struct Locked<'a> {
    pipeline: &'a Pipeline,
    store: &'a Store,
    lock: &'a Lock,
}

impl<'a> Locked<'a> {
    /// What is known of `pipeline` from `lock`.
    #[must_use]
    pub fn new(pipeline: &'a Pipeline, store: &'a Store, lock: &'a Lock) -> Self {
        Self { pipeline, store, lock }
    }

    /// Compares one stage with the lock, all of whose inputs were found equal before.
    ///
    /// # Errors
    /// It differs, or something that its recipe needs cannot be read.
    pub fn check(&self, id: &StageId) -> Result<(Recipe, &'a LockedStage), FrozenError> {
        let stage = &self.pipeline.stages[id];
        // Of a stage that the lock does not know, no input can be looked up there.
        let locked = self.lock.stages.get(id).ok_or_else(|| Difference::NotLocked { stage: id.clone() });
        let locked = locked.map_err(|difference| FrozenError::Differs(Box::new(difference)))?;
        let known = self.known(id);
        let recipe = stage::recipe(self.pipeline, stage, &known).map_err(|error| self.failed(id, error))?;
        let old = if locked.key == recipe.key() { None } else { self.store.recipe(&locked.key)? };
        // Nothing is computed here, so it does not matter on which machine it was: what was blessed was blessed.
        let now: Option<Value> = serde_json::from_str(recipe.canonical()).ok();
        if old.clone().map(apart_from_machine).is_some_and(|old| now.map(apart_from_machine) == Some(old)) {
            return Ok((recipe, locked));
        }
        match self.lock.check_stage(id, &recipe, old.as_ref()) {
            Ok(locked) => Ok((recipe, locked)),
            Err(difference) => Err(FrozenError::Differs(Box::new(difference))),
        }
    }

    /// What is known while the recipe of one stage is made.
    #[must_use]
    pub fn known<'b>(&'b self, stage: &'b StageId) -> LockedInputs<'b> {
        LockedInputs { locked: self, stage }
    }

    /// An input that is gone is the result of the stage that made it.
    fn failed(&self, id: &StageId, error: RecipeError<StoreError>) -> FrozenError {
        let gone = match &error {
            RecipeError::Known(StoreError::Missing { id } | StoreError::Corrupt { id, .. }) => Some(*id),
            RecipeError::Known(_)
            | RecipeError::NotFetched { .. }
            | RecipeError::NoWeights { .. }
            | RecipeError::NoCandidate { .. }
            | RecipeError::BadSource { .. }
            | RecipeError::BadRecord { .. } => None,
        };
        let maker = self.lock.stages.iter().find(|(_, stage)| Some(stage.output) == gone);
        match maker {
            Some((stage, locked)) => FrozenError::NotHere { stage: stage.clone(), output: locked.output },
            None => PlanError::from_recipe(id, error).into(),
        }
    }

    /// The receipt that the lock names, whose output is in the store with the bytes that its name says.
    fn receipt(&self, id: &StageId, locked: &LockedStage) -> Result<Receipt, FrozenError> {
        let not_here = || FrozenError::NotHere { stage: id.clone(), output: locked.output };
        let receipt = self.store.receipt(&locked.key)?.ok_or_else(not_here)?;
        if receipt.output != locked.output {
            return Err(FrozenError::OtherResult { stage: id.clone(), locked: locked.output, found: receipt.output });
        }
        if self.store.has(&locked.output)? { Ok(receipt) } else { Err(not_here()) }
    }
}

/// What is known while one stage's recipe is made.
#[derive(Debug)]
pub struct LockedInputs<'a> {
    locked: &'a Locked<'a>,
    stage: &'a StageId,
}

impl LockedInputs<'_> {
    /// The digest of the weights that the stage pulled, if it pulled `path` or may have.
    fn pulled(&self) -> Option<BlobId> {
        let Stage::Pull(pull) = &self.locked.pipeline.stages[self.stage] else { return None };
        let from_file = match &pull.from {
            PullFrom::Source(source) => matches!(source, WeightsSource::File(_)),
            // Known by the digest that the pipeline states.
            PullFrom::Mirrors(_) => false,
            // Only a file's digest is asked for, so the catalog named a file.
            PullFrom::Candidate { .. } => true,
        };
        let weights = self.locked.lock.weights.get(self.stage);
        weights.filter(|_| from_file).map(|weights| weights.blake3)
    }
}

impl Known for LockedInputs<'_> {
    type Error = StoreError;

    fn output(&self, stage: &StageId) -> BlobId {
        self.locked.lock.stages.get(stage).expect("a stage is checked after those that it reads").output
    }

    fn record(&self, stage: &StageId) -> Result<Vec<u8>, StoreError> {
        self.locked.store.read(&self.output(stage))
    }

    fn file(&self, path: &Path) -> Result<BlobId, StoreError> {
        match self.locked.store.file_id(&self.locked.pipeline.root.join(path)) {
            Err(StoreError::Io { source }) if source.kind() == ErrorKind::NotFound => {
                self.pulled().ok_or_else(|| StoreError::NoFile { path: path.to_owned() })
            }
            found => found,
        }
    }

    /// What was fetched then, whatever was fetched since. Of another search than those of the lock the rows are others, or
    /// none, which is a difference.
    fn search(&self, search: &HubSearch) -> Result<Option<BlobId>, StoreError> {
        if let Some(catalog) = self.locked.lock.catalogs.get(&search.to_string()) {
            return Ok(Some(catalog.rows));
        }
        let found = searched(self.locked.store, search)?;
        Ok(Some(found.map_or_else(|| BlobId::of(b"[]"), |receipt| receipt.output)))
    }
}

/// Holds a pipeline against its lock: every stage's recipe, in the order of the graph. Needs no results in the store, but
/// for small records that name weights.
///
/// # Errors
/// The first thing that differs.
pub fn compare(pipeline: &Pipeline, graph: &Graph, store: &Store, lock: &Lock) -> Result<(), FrozenError> {
    let locked = Locked::new(pipeline, store, lock);
    for id in graph.order() {
        locked.check(id)?;
    }
    gone(graph, lock)
}

/// Holds a pipeline against its lock and finds the results that it names, in the order of the graph. Weights need not be in
/// the store.
///
/// # Errors
/// The first thing that differs or is not there.
pub fn frozen(
    pipeline: &Pipeline,
    graph: &Graph,
    store: &Store,
    lock: &Lock,
) -> Result<Vec<(StageId, Receipt)>, FrozenError> {
    let locked = Locked::new(pipeline, store, lock);
    let mut receipts = Vec::with_capacity(graph.order().len());
    for id in graph.order() {
        let (_, stage) = locked.check(id)?;
        receipts.push((id.clone(), locked.receipt(id, stage)?));
    }
    gone(graph, lock)?;
    Ok(receipts)
}

fn gone(graph: &Graph, lock: &Lock) -> Result<(), FrozenError> {
    lock.check_gone(graph.order()).map_err(|difference| FrozenError::Differs(Box::new(difference)))
}
