//! From a pipeline to its graph, and what each stage would do: be taken from the store, or run, and why.
//!
//! The only home of petgraph. Never runs anything. Start at [`Graph::new`], [`plan()`] and [`forecast()`].

mod bless;
mod changed_rows;
mod course;
mod dry;
mod forecast;
mod frozen;
mod gaps;
mod graph;
mod known;
mod memory;
mod needs;
mod residency;
mod selection;
mod why;
mod why_row;

pub use bless::{BlessError, LockState, bless, lock_state, this_build};
pub use changed_rows::{ChangedRows, Rows};
pub use course::{Course, course, locked_course};
pub use forecast::{Basis, CallsForecast, Figure, Forecast, ForecastError, StageForecast, forecast};
pub use frozen::{FrozenError, Locked, LockedInputs, compare, frozen};
pub use graph::Graph;
pub use known::{PlanError, Settled, searched};
pub use memory::{Needs, side_by_side};
pub use residency::{Loaded, Pending, Slot, Turn, held, leaves, next, turns};
pub use selection::{Force, Selection};
pub use why::{Against, Baseline, Cause, Explained, Source, Why, WhyError, why};
pub use why_row::{Reply, RowNow, RowThen, WhyCall, WhyRow, WhyRowError, why_row};

use serde_json::Value;

use self::gaps::own_changes;
use crate::engine::{Answer, Question};
use crate::ids::StageId;
use crate::key::{FieldChange, Key, Recipe, diff};
use crate::spec::{Pipeline, Stage};
use crate::stage::{self, RecipeError};
use crate::store::{CallReader, Receipt, Store, StoreError};

/// What one stage would do.
#[derive(Debug, Clone, PartialEq)]
pub struct PlannedStage {
    /// Which.
    pub id: StageId,
    /// Its kind.
    pub kind: &'static str,
    /// Its key, where all it reads is known.
    pub key: Option<Key>,
    /// What it would do.
    pub status: Status,
    /// Its fields that are not what they were when it last ran. Its inputs are among them only where it waits for none.
    pub changes: Vec<FieldChange>,
}

/// What a stage would do.
#[derive(Debug, Clone, PartialEq)]
pub enum Status {
    /// Nothing: its result is in the store.
    Cached(Box<Receipt>),
    /// Run.
    Run(Reason),
    /// Nothing: it is not selected, and its result is not in the store.
    Left,
    /// It cannot run: it reads this stage, which is not selected and whose result is not in the store.
    Blocked(StageId),
}

/// Why a stage runs.
#[derive(Debug, Clone, PartialEq)]
pub enum Reason {
    /// It never ran in this pipeline.
    New,
    /// These fields are not what they were when it last ran.
    Changed(Vec<FieldChange>),
    /// It reads a stage that runs; if that comes to the same result, nothing is done.
    Waits(StageId),
    /// It started before and did not come to its end, or some of its calls failed: only what is missing is asked.
    Incomplete,
    /// Its result was in the store, but the bytes are gone or damaged.
    Lost,
    /// A catalog that it reads has yet to be fetched.
    Fetches,
    /// Its result is in the store, but it is to be computed again all the same. Calls still come from the store.
    Forced,
    /// What the scenarios looked at so far say settles nothing.
    GoesOn,
    /// The first model fails, so its backup is looked at.
    BackupDue,
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::New => f.write_str("never run"),
            Self::Waits(stage) => write!(f, "reads `{stage}`, which runs"),
            Self::Incomplete => f.write_str("not finished last time"),
            Self::Fetches => f.write_str("asks the hub for its catalog"),
            Self::Lost => f.write_str("its result is gone from the store"),
            Self::Forced => f.write_str("computed again by `--force`"),
            Self::GoesOn => f.write_str("not settled yet, more scenarios are looked at"),
            Self::BackupDue => f.write_str("the first model fails, its backup is looked at"),
            Self::Changed(changes) => {
                let (first, rest) = changes.split_first().expect("a change is never empty");
                write!(f, "{first}")?;
                if rest.is_empty() { Ok(()) } else { write!(f, " and {} more", rest.len()) }
            }
        }
    }
}

/// A stage whose inputs are all known.
#[derive(Debug)]
pub enum Resolved {
    /// Its result is in the store.
    Hit(Box<Receipt>),
    /// It has to run.
    Miss(Recipe, Reason),
    /// A catalog that it reads has yet to be fetched: until then it has no key.
    Unfetched,
}

/// Finds out what a stage, all of whose inputs are settled, has to do.
///
/// # Errors
/// A file or the store cannot be read, or an input does not name what the stage needs.
pub fn resolve(
    pipeline: &Pipeline,
    id: &StageId,
    stage: &Stage,
    settled: &Settled<'_>,
    store: &Store,
) -> Result<Resolved, PlanError> {
    let recipe = match stage::recipe(pipeline, stage, settled) {
        Err(RecipeError::NotFetched { .. }) => return Ok(Resolved::Unfetched),
        recipe => recipe.map_err(|error| PlanError::from_recipe(id, error))?,
    };
    let name = pipeline_name(pipeline);
    let reason = match store.receipt(&recipe.key())? {
        Some(receipt) => {
            let mut whole = true;
            for blob in std::iter::once(&receipt.output).chain(&receipt.also) {
                whole &= store.has(blob)?;
            }
            if whole {
                return Ok(Resolved::Hit(Box::new(receipt)));
            }
            Reason::Lost
        }
        None => match store.latest(&name, id)? {
            None => Reason::New,
            Some((key, _)) if key == recipe.key() => Reason::Incomplete,
            Some((_, old)) => {
                let new: Value = serde_json::from_str(recipe.canonical()).expect("a recipe is valid JSON");
                Reason::Changed(fields_changed(&old, &new))
            }
        },
    };
    Ok(Resolved::Miss(recipe, reason))
}

/// What the store has for a call.
///
/// # Errors
/// The store cannot be read, or holds something else.
pub fn kept(calls: &CallReader<'_>, question: &Question, key: &Key) -> Result<Option<Answer>, StoreError> {
    Ok(match question {
        Question::Complete { .. } | Question::Run(_) => calls.reply(key)?.map(Answer::Reply),
        Question::Embed(_) => calls.reply(key)?.map(Answer::Embedding),
    })
}

/// The name under which a pipeline's latest recipes are remembered.
#[must_use]
pub fn pipeline_name(pipeline: &Pipeline) -> String {
    pipeline.file.to_string_lossy().into_owned()
}

/// The changes between two recipes of a stage, with the envelope's name taken off the paths.
fn fields_changed(old: &Value, new: &Value) -> Vec<FieldChange> {
    let mut changes = diff(old, new);
    for change in &mut changes {
        if let Some(field) = change.path.strip_prefix("fields.") {
            change.path = field.to_owned();
        }
    }
    changes
}

/// Says of every stage, in the order in which they would run, what it would do and why.
///
/// # Errors
/// A file or the store cannot be read.
pub fn plan(pipeline: &Pipeline, graph: &Graph, store: &Store) -> Result<Vec<PlannedStage>, PlanError> {
    plan_selected(pipeline, graph, store, &Selection::default())
}

/// Says of every stage what it would do where only some are selected, or some are computed again by force.
///
/// # Errors
/// A file or the store cannot be read.
pub fn plan_selected(
    pipeline: &Pipeline,
    graph: &Graph,
    store: &Store,
    selection: &Selection,
) -> Result<Vec<PlannedStage>, PlanError> {
    let mut settled = Settled::new(pipeline, store);
    let mut planned: Vec<PlannedStage> = Vec::new();
    for id in graph.order() {
        let stage = &pipeline.stages[id];
        let selected = selection.includes(graph, id);
        let is_missing = |read: &&StageId| {
            let missing = |status: &Status| matches!(status, Status::Left | Status::Blocked(_));
            planned.iter().any(|stage| stage.id == **read && missing(&stage.status))
        };
        let reads = stage::reads(stage);
        let missing = reads.iter().copied().find(is_missing);
        let waits = reads.iter().copied().find(|read| !settled.is_settled(read));
        let (key, status) = match (missing, waits) {
            (None, None) => match resolve(pipeline, id, stage, &settled, store)? {
                Resolved::Hit(receipt) if selection.forces(graph, id) => {
                    (Some(receipt.key), Status::Run(Reason::Forced))
                }
                Resolved::Hit(receipt) => {
                    settled.settle(id.clone(), &receipt);
                    (Some(receipt.key), Status::Cached(receipt))
                }
                Resolved::Miss(recipe, _) if !selected => (Some(recipe.key()), Status::Left),
                Resolved::Miss(recipe, reason) => (Some(recipe.key()), Status::Run(reason)),
                Resolved::Unfetched if !selected => (None, Status::Left),
                Resolved::Unfetched => (None, Status::Run(Reason::Fetches)),
            },
            _ if !selected => (None, Status::Left),
            (Some(read), _) => (None, Status::Blocked(read.clone())),
            (None, Some(read)) => (None, Status::Run(Reason::Waits(read.clone()))),
        };
        let changes = match &status {
            Status::Run(Reason::Changed(changes)) => changes.clone(),
            Status::Run(Reason::Waits(_)) => match store.latest(&pipeline_name(pipeline), id)? {
                Some((_, old)) => own_changes(pipeline, stage, &settled, &old)?,
                None => Vec::new(),
            },
            Status::Run(
                Reason::New
                | Reason::Incomplete
                | Reason::Lost
                | Reason::Forced
                | Reason::Fetches
                | Reason::GoesOn
                | Reason::BackupDue,
            )
            | Status::Cached(_)
            | Status::Left
            | Status::Blocked(_) => Vec::new(),
        };
        planned.push(PlannedStage { id: id.clone(), kind: stage::kind(stage), key, status, changes });
    }
    Ok(planned)
}
