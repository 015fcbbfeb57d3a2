//! The lock that a pipeline's results in the store make.

use std::collections::BTreeMap;

use super::frozen::{FrozenError, compare, frozen};
use super::{Graph, PlanError, PlannedStage, Resolved, Settled, Status, plan, resolve, searched};
use crate::data::{Comparison, Decision, WeightsRecord};
use crate::engine::embedded;
use crate::ids::StageId;
use crate::lock::{EngineBuild, Lock, LockedCatalog, LockedStage, day};
use crate::spec::{Pipeline, Research, Stage};
use crate::stage::{self, RecipeError};
use crate::store::{Receipt, Store, StoreError};

/// Why a pipeline cannot be blessed.
#[derive(Debug, thiserror::Error)]
pub enum BlessError {
    /// Some stages have no result.
    #[error("not everything is in the store: {}", names(stages))]
    NotRun {
        /// Those that would run.
        stages: Vec<PlannedStage>,
    },
    /// The store or a file cannot be read.
    #[error(transparent)]
    Plan(#[from] PlanError),
}

fn names(stages: &[PlannedStage]) -> String {
    let names: Vec<String> = stages.iter().map(|stage| format!("`{}`", stage.id)).collect();
    format!("{} would run", names.join(", "))
}

impl From<StoreError> for BlessError {
    fn from(error: StoreError) -> Self {
        Self::Plan(error.into())
    }
}

impl BlessError {
    /// The way on, as an imperative sentence.
    #[must_use]
    pub fn help(&self) -> String {
        match self {
            Self::NotRun { .. } => "run it first: `evalflow run` with the same file".to_owned(),
            Self::Plan(error) => error.help(),
        }
    }
}

/// The build of this program.
#[must_use]
pub fn this_build() -> EngineBuild {
    EngineBuild {
        evalflow: env!("CARGO_PKG_VERSION").to_owned(),
        llama_cpp: embedded::LLAMA_CPP.to_owned(),
        backend: embedded::BACKEND.to_owned(),
    }
}

/// Makes the lock of a pipeline, all of whose results are in the store.
///
/// # Errors
/// Some are not, or the store or a file cannot be read.
pub fn bless(pipeline: &Pipeline, graph: &Graph, store: &Store) -> Result<Lock, BlessError> {
    let mut lock = Lock {
        pipeline: pipeline.name.clone(),
        engine: this_build(),
        decision: None,
        comparisons: BTreeMap::new(),
        weights: BTreeMap::new(),
        catalogs: BTreeMap::new(),
        stages: BTreeMap::new(),
    };
    let mut settled = Settled::new(pipeline, store);
    for id in graph.order() {
        let stage = &pipeline.stages[id];
        let Resolved::Hit(receipt) = resolve(pipeline, id, stage, &settled, store)? else {
            let planned = plan(pipeline, graph, store)?;
            let stages = planned.into_iter().filter(|stage| matches!(stage.status, Status::Run(_))).collect();
            return Err(BlessError::NotRun { stages });
        };
        let recipe = stage::recipe(pipeline, stage, &settled).map_err(|error| PlanError::from_recipe(id, error))?;
        lock.stages.insert(id.clone(), LockedStage::new(&recipe, receipt.output, receipt.rows));
        note_record(&mut lock, id, stage, &receipt, store)?;
        if let Stage::Research(research) = stage {
            note_catalogs(&mut lock, research, store)?;
        }
        settled.settle(id.clone(), &receipt);
    }
    Ok(lock)
}

/// How a lock stands to its pipeline and the store.
#[derive(Debug)]
pub enum LockState {
    /// It is what a new one would be.
    UpToDate,
    /// The pipeline is as blessed; its results are not in the store.
    Unread,
    /// The pipeline is as blessed, but its results are not what the lock says: somebody edited it. This is what they say.
    Edited(Box<Lock>),
}

/// Finds out how a lock stands to its pipeline and the store. Needs neither weights nor, to tell whether the pipeline is as
/// blessed, results.
///
/// # Errors
/// The first thing that differs, or cannot be read.
pub fn lock_state(pipeline: &Pipeline, graph: &Graph, store: &Store, lock: &Lock) -> Result<LockState, FrozenError> {
    match frozen(pipeline, graph, store, lock) {
        Ok(receipts) => {
            let new = of_receipts(pipeline, store, lock, &receipts)?;
            Ok(if new.same_results(lock) { LockState::UpToDate } else { LockState::Edited(Box::new(new)) })
        }
        Err(FrozenError::NotHere { .. }) => compare(pipeline, graph, store, lock).map(|()| LockState::Unread),
        Err(error) => Err(error),
    }
}

/// Makes the lock that the results say which it names.
fn of_receipts(
    pipeline: &Pipeline,
    store: &Store,
    lock: &Lock,
    receipts: &[(StageId, Receipt)],
) -> Result<Lock, PlanError> {
    let mut made = Lock { decision: None, comparisons: BTreeMap::new(), weights: BTreeMap::new(), ..lock.clone() };
    made.pipeline.clone_from(&pipeline.name);
    for (id, receipt) in receipts {
        note_record(&mut made, id, &pipeline.stages[id], receipt, store)?;
        if let Some(stage) = made.stages.get_mut(id) {
            stage.rows = receipt.rows;
        }
    }
    Ok(made)
}

/// Pins what was fetched: these rows and no later ones.
fn note_catalogs(lock: &mut Lock, research: &Research, store: &Store) -> Result<(), StoreError> {
    for search in research.searches() {
        if let Some(receipt) = searched(store, search)? {
            let catalog = LockedCatalog { rows: receipt.output, fetched: day(receipt.created_at) };
            lock.catalogs.insert(search.to_string(), catalog);
        }
    }
    Ok(())
}

fn note_record(
    lock: &mut Lock,
    id: &StageId,
    stage: &Stage,
    receipt: &Receipt,
    store: &Store,
) -> Result<(), PlanError> {
    match stage {
        Stage::Pull(_) => {
            let record: WeightsRecord = record(store, id, receipt)?;
            lock.weights.insert(id.clone(), (&record).into());
        }
        Stage::Decide(_) => {
            let record: Decision = record(store, id, receipt)?;
            lock.decision = Some((&record).into());
        }
        Stage::Compare(_) => {
            let record: Comparison = record(store, id, receipt)?;
            lock.comparisons.insert(id.clone(), (&record).into());
        }
        Stage::Research(_)
        | Stage::Generate(_)
        | Stage::Infer(_)
        | Stage::Judge(_)
        | Stage::Prefer(_)
        | Stage::Calibrate(_) => {}
    }
    Ok(())
}

fn record<T: serde::de::DeserializeOwned>(store: &Store, id: &StageId, receipt: &Receipt) -> Result<T, PlanError> {
    let bytes = store.read(&receipt.output)?;
    serde_json::from_slice(&bytes).map_err(|error| {
        PlanError::from_recipe(id, RecipeError::BadRecord { stage: id.clone(), message: error.to_string() })
    })
}
