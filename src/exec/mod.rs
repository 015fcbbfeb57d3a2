//! Running a plan: stages as soon as what they read is settled, rows in order, calls through the store.
//!
//! Owns scheduling, permits and cancelling. Never prints: it tells an [`Event`] of what happens. Start at [`run`].

pub mod audit;
mod caller;
mod callers;
mod catalogs;
mod earlier;
mod engines;
mod feed;
mod journal;
pub mod latency;
mod model_files;
mod panel;
mod passes;
mod preferences;
mod rows;
mod scenarios;
mod schedule;
mod stages;
pub mod verify;
pub mod weights;
mod whole;

pub use catalogs::{Fetching, catalog, fetch_catalogs};
pub use engines::{EngineError as StartError, Engines, Limits};
pub use journal::{Cause, Entry, Happened};
pub use passes::run;

use std::sync::Arc;

use crate::ids::StageId;
use crate::key::BlobId;
use crate::plan::{Graph, PlanError, Reason, Selection};
use crate::spec::Pipeline;
use crate::stage;
use crate::store::{Receipt, Store, StoreError, Tally};

/// Something that happened, for whoever shows progress.
#[derive(Debug)]
pub enum Event<'a> {
    /// A stage's result was in the store.
    Cached {
        /// Which.
        stage: &'a StageId,
        /// Its receipt.
        receipt: &'a Receipt,
    },
    /// A stage starts.
    Started {
        /// Which.
        stage: &'a StageId,
        /// Its kind.
        kind: &'static str,
        /// Why it runs.
        reason: &'a Reason,
    },
    /// How many steps (rows or bytes) a running stage has.
    Total {
        /// Which.
        stage: &'a StageId,
        /// Of what.
        unit: Unit,
        /// How many.
        total: u64,
    },
    /// A running stage came further.
    Advanced {
        /// Which.
        stage: &'a StageId,
        /// By how many steps.
        by: u64,
        /// What its calls came to so far.
        tally: Tally,
    },
    /// Something worth a line.
    Note {
        /// Which stage it is about.
        stage: &'a StageId,
        /// What.
        text: &'a str,
    },
    /// A stage has come to an end.
    Finished {
        /// What became of it.
        run: &'a StageRun,
    },
}

/// What steps are counted in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Rows of a table.
    Rows,
    /// Bytes of a file.
    Bytes,
}

/// Takes events. Called from the running task: it must be quick.
pub type Events<'a> = dyn Fn(Event<'_>) + Send + Sync + 'a;

/// What became of one stage.
#[derive(Debug)]
pub struct StageRun {
    /// Which.
    pub id: StageId,
    /// Its kind.
    pub kind: &'static str,
    /// What became of it.
    pub end: StageEnd,
}

/// How a stage ended.
#[derive(Debug)]
pub enum StageEnd {
    /// Its result was in the store.
    Cached(Receipt),
    /// It ran.
    Ran {
        /// What came out. Kept in the store if `complete`.
        receipt: Receipt,
        /// Whether all calls were answered: else it runs again next time, and asks the missing ones.
        complete: bool,
    },
    /// It could not go on.
    Failed(StageFailure),
    /// It reads a stage that failed.
    Skipped {
        /// The stage that failed.
        because: StageId,
    },
    /// The run was interrupted, or stopped by another stage's failure, before it came to an end.
    Interrupted,
    /// The command was not about it.
    NotSelected,
}

impl StageEnd {
    /// What became of the stage, in one word.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Cached(_) => "cached",
            Self::Ran { complete: true, .. } => "run",
            Self::Ran { complete: false, .. } => "incomplete",
            Self::Failed(_) => "failed",
            Self::Skipped { .. } => "skipped",
            Self::Interrupted => "interrupted",
            Self::NotSelected => "left_out",
        }
    }
}

impl StageRun {
    /// The receipt of what came out, if something did.
    #[must_use]
    pub fn receipt(&self) -> Option<&Receipt> {
        match &self.end {
            StageEnd::Cached(receipt) | StageEnd::Ran { receipt, .. } => Some(receipt),
            StageEnd::Failed(_) | StageEnd::Skipped { .. } | StageEnd::Interrupted | StageEnd::NotSelected => None,
        }
    }
}

/// Why a stage could not go on.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct StageFailure {
    /// What happened.
    pub message: String,
    /// The way on.
    pub help: Option<String>,
}

impl StageFailure {
    pub(crate) fn new(message: impl Into<String>, help: Option<String>) -> Self {
        Self { message: message.into(), help }
    }
}

impl StageFailure {
    pub(crate) fn from_input(stage: &StageId, error: stage::RecipeError<StoreError>) -> Self {
        PlanError::from_recipe(stage, error).into()
    }
}

impl From<StoreError> for StageFailure {
    fn from(error: StoreError) -> Self {
        Self { message: error.to_string(), help: Some(error.help()) }
    }
}

impl From<PlanError> for StageFailure {
    fn from(error: PlanError) -> Self {
        Self { message: error.to_string(), help: Some(error.help()) }
    }
}

/// What a run came to.
#[derive(Debug)]
pub struct RunEnd {
    /// All stages that were due, in the order of the graph.
    pub stages: Vec<StageRun>,
    /// Stages that nothing but a backup needs, which was not due.
    pub spared: Vec<StageId>,
    /// Whether it was interrupted.
    pub interrupted: bool,
}

/// What a run works with.
pub struct Run<'a> {
    /// What is run.
    pub pipeline: &'a Pipeline,
    /// Its graph.
    pub graph: &'a Graph,
    /// Which stages may be computed.
    pub selection: &'a Selection,
    /// Where results are kept.
    pub store: &'a Arc<Store>,
    /// Who answers calls.
    pub engines: &'a Engines,
    /// When the run started, in seconds since 1970.
    pub now: i64,
    /// Whether all calls and all catalogs of servers are asked for again, and replace those in the store.
    pub refresh: bool,
    /// Whether stages that do not read a failed one are still started.
    pub keep_going: bool,
    /// Who is told what happens.
    pub events: &'a Events<'a>,
}

impl std::fmt::Debug for Run<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Run").field("pipeline", &self.pipeline.name).finish_non_exhaustive()
    }
}

impl Run<'_> {
    fn kind(&self, id: &StageId) -> &'static str {
        stage::kind(&self.pipeline.stages[id])
    }
}

/// What a stage's work came to, before it is written down.
#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) blob: BlobId,
    pub(crate) also: Vec<BlobId>,
    /// Blobs that it was made of and that may have no other receipt by now.
    pub(crate) read: Vec<BlobId>,
    /// The keys of the calls it rests on.
    pub(crate) calls: Option<BlobId>,
    /// What each row came to, and how many rows were taken, where a later result may take rows over.
    pub(crate) shares: Option<(BlobId, u64)>,
    pub(crate) rows: Option<u64>,
    pub(crate) summary: Option<serde_json::Value>,
    pub(crate) tally: Tally,
    /// Whether every call was answered, or failed in a way that lies in the request itself.
    pub(crate) complete: bool,
}

impl Output {
    pub(crate) fn record(blob: BlobId) -> Self {
        Self {
            blob,
            also: Vec::new(),
            read: Vec::new(),
            calls: None,
            shares: None,
            rows: None,
            summary: None,
            tally: Tally::default(),
            complete: true,
        }
    }
}
