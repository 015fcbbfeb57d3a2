//! Running a plan: stages as soon as what they read is settled, rows in order, calls through the store.
//!
//! Owns scheduling, permits and cancelling. Never prints: it tells an [`Event`] of what happens. Start at [`run`].

mod caller;
mod engines;
mod rows;
mod stages;
pub mod verify;

pub use engines::{EngineError as StartError, Engines};

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Instant;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

use crate::ids::StageId;
use crate::key::{BlobId, Recipe};
use crate::plan::{Graph, PlanError, Reason, Resolved, Settled, pipeline_name, resolve};
use crate::spec::{Pipeline, Stage};
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
    /// The run was interrupted before it came to an end.
    Interrupted,
}

impl StageRun {
    /// The receipt of what came out, if something did.
    #[must_use]
    pub fn receipt(&self) -> Option<&Receipt> {
        match &self.end {
            StageEnd::Cached(receipt) | StageEnd::Ran { receipt, .. } => Some(receipt),
            StageEnd::Failed(_) | StageEnd::Skipped { .. } | StageEnd::Interrupted => None,
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
    /// All stages, in the order of the graph.
    pub stages: Vec<StageRun>,
    /// Whether it was interrupted.
    pub interrupted: bool,
}

/// What a run works with.
pub struct Run<'a> {
    /// What is run.
    pub pipeline: &'a Pipeline,
    /// Its graph.
    pub graph: &'a Graph,
    /// Where results are kept.
    pub store: &'a Arc<Store>,
    /// Who answers calls.
    pub engines: &'a Engines,
    /// When the run started, in seconds since 1970.
    pub now: i64,
    /// Who is told what happens.
    pub events: &'a Events<'a>,
}

impl std::fmt::Debug for Run<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Run").field("pipeline", &self.pipeline.name).finish_non_exhaustive()
    }
}

/// Runs a pipeline until every stage has come to an end or `interrupt` does.
///
/// Finished calls and finished stages stay in the store whatever happens. A stage that fails stops only those that read
/// it.
pub async fn run(run: &Run<'_>, interrupt: impl Future<Output = ()>) -> RunEnd {
    let mut state = State { run, settled: Settled::new(run.pipeline, run.store), ends: Vec::new() };
    let mut waiting: Vec<StageId> = run.graph.order().to_vec();
    let mut running = FuturesUnordered::new();
    let mut interrupt = pin!(interrupt);
    let mut interrupted = false;
    loop {
        let ready = state.take_ready(&mut waiting);
        for id in ready {
            if let Some((recipe, reason)) = state.start(&id) {
                running.push(run_stage(run, state.settled.clone(), id, recipe, reason));
            }
        }
        if running.is_empty() {
            if waiting.is_empty() {
                break;
            }
            // Stages that were settled without running may have made others ready.
            continue;
        }
        tokio::select! {
            Some((id, end)) = running.next() => state.end(id, end),
            () = &mut interrupt => {
                interrupted = true;
                break;
            }
        }
    }
    drop(running);
    state.into_end(interrupted)
}

struct State<'a> {
    run: &'a Run<'a>,
    settled: Settled<'a>,
    ends: Vec<(StageId, StageEnd)>,
}

impl State<'_> {
    /// Takes the stages out of `waiting` whose inputs have all ended, one way or the other.
    fn take_ready(&self, waiting: &mut Vec<StageId>) -> Vec<StageId> {
        let (ready, still) = std::mem::take(waiting).into_iter().partition(|id| {
            stage::reads(&self.run.pipeline.stages[id])
                .into_iter()
                .all(|read| self.ends.iter().any(|(ended, _)| ended == read))
        });
        *waiting = still;
        ready
    }

    /// Settles a stage that needs no work, or says how it has to run.
    fn start(&mut self, id: &StageId) -> Option<(Recipe, Reason)> {
        let stage = &self.run.pipeline.stages[id];
        let broken = stage::reads(stage).into_iter().find(|read| !self.settled.is_settled(read));
        if let Some(because) = broken {
            self.end(id.clone(), StageEnd::Skipped { because: because.clone() });
            return None;
        }
        // Weights that were never hashed are read here, which may take its time.
        let resolved = tokio::task::block_in_place(|| {
            let resolved = resolve(self.run.pipeline, id, stage, &self.settled, self.run.store)?;
            self.remember(id, &resolved)?;
            Ok::<_, PlanError>(resolved)
        });
        match resolved {
            Ok(Resolved::Hit(receipt)) => {
                self.end(id.clone(), StageEnd::Cached(*receipt));
                None
            }
            Ok(Resolved::Miss(recipe, reason)) => Some((recipe, reason)),
            Err(error) => {
                self.end(id.clone(), StageEnd::Failed(error.into()));
                None
            }
        }
    }

    /// Notes the recipe that a stage has now, for next time to tell what changed.
    fn remember(&self, id: &StageId, resolved: &Resolved) -> Result<(), StoreError> {
        let name = pipeline_name(self.run.pipeline);
        let store = self.run.store;
        match resolved {
            Resolved::Miss(recipe, Reason::Lost) => {
                store.drop_receipt(&recipe.key())?;
                store.set_latest(&name, id, recipe)
            }
            Resolved::Miss(recipe, _) => store.set_latest(&name, id, recipe),
            Resolved::Hit(receipt) => store.set_latest_to_receipt(&name, id, &receipt.key),
        }
    }

    fn end(&mut self, id: StageId, end: StageEnd) {
        let stage = StageRun { kind: stage::kind(&self.run.pipeline.stages[&id]), id, end };
        match &stage.end {
            StageEnd::Cached(receipt) => (self.run.events)(Event::Cached { stage: &stage.id, receipt }),
            StageEnd::Ran { .. } | StageEnd::Failed(_) | StageEnd::Skipped { .. } | StageEnd::Interrupted => {
                (self.run.events)(Event::Finished { run: &stage });
            }
        }
        if let Some(receipt) = stage.receipt() {
            self.settled.settle(stage.id.clone(), receipt);
        }
        self.ends.push((stage.id, stage.end));
    }

    fn into_end(self, interrupted: bool) -> RunEnd {
        let mut ends = self.ends;
        let stages = self.run.graph.order().iter().map(|id| {
            let end = match ends.iter().position(|(ended, _)| ended == id) {
                Some(at) => ends.swap_remove(at).1,
                None => StageEnd::Interrupted,
            };
            StageRun { id: id.clone(), kind: stage::kind(&self.run.pipeline.stages[id]), end }
        });
        RunEnd { stages: stages.collect(), interrupted }
    }
}

/// What a stage's work came to, before it is written down.
#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) blob: BlobId,
    pub(crate) also: Vec<BlobId>,
    pub(crate) rows: Option<u64>,
    pub(crate) summary: Option<serde_json::Value>,
    pub(crate) tally: Tally,
    /// Whether every call was answered, or failed in a way that lies in the request itself.
    pub(crate) complete: bool,
}

impl Output {
    pub(crate) fn record(blob: BlobId) -> Self {
        Self { blob, also: Vec::new(), rows: None, summary: None, tally: Tally::default(), complete: true }
    }
}

async fn run_stage(
    run: &Run<'_>,
    settled: Settled<'_>,
    id: StageId,
    recipe: Recipe,
    reason: Reason,
) -> (StageId, StageEnd) {
    let stage: &Stage = &run.pipeline.stages[&id];
    (run.events)(Event::Started { stage: &id, kind: stage::kind(stage), reason: &reason });
    let started = Instant::now();
    let end = match stages::execute(run, &id, stage, &recipe, &settled).await {
        Ok(stages::Executed::Found(receipt)) => StageEnd::Cached(receipt),
        Ok(stages::Executed::Made(output)) => match keep(run, stage, &recipe, output, started) {
            Ok(end) => end,
            Err(error) => StageEnd::Failed(error.into()),
        },
        Err(failure) => StageEnd::Failed(failure),
    };
    (id, end)
}

/// Writes the receipt, last of all: every blob of it is in the store by now.
fn keep(
    run: &Run<'_>,
    stage: &Stage,
    recipe: &Recipe,
    output: Output,
    started: Instant,
) -> Result<StageEnd, StoreError> {
    let Output { blob, also, rows, summary, tally, complete } = output;
    let wall_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    let receipt = Receipt {
        key: recipe.key(),
        kind: stage::kind(stage).to_owned(),
        output: blob,
        also,
        calls: None,
        rows,
        summary,
        tally: Tally { wall_ms, ..tally },
        created_at: run.now,
    };
    if !complete {
        return Ok(StageEnd::Ran { receipt, complete });
    }
    let kept = run.store.put_receipt(recipe, &receipt)?;
    // Where another process was faster its result counts; what this one did still belongs to this run's account.
    Ok(StageEnd::Ran { receipt: Receipt { tally: receipt.tally, ..kept }, complete })
}
