//! Executing again what a lock names, and comparing byte for byte.
//!
//! Never reads or writes a call in the store: every question is put to its engine. What comes out fresh goes on into the
//! stages that read it, so that it can be said how far a model that answers otherwise moves the decision. Start at
//! [`verify`].

mod fresh;
mod rows;
mod sample;
#[cfg(test)]
mod tests;

pub use rows::{RowDifference, Rows};

use std::collections::BTreeMap;
use std::sync::Arc;

use self::fresh::Fresh;
use self::rows::Marks;
use self::sample::Picked;
use super::engines::Askers;
use super::scenarios::failed_file;
use super::stages::row_stage;
use super::{Engines, StageFailure, StartError, catalogs, whole};
use crate::data::{Comparison, Decision, Scenario, WeightsRecord};
use crate::fetch::{Fetched, gguf};
use crate::ids::StageId;
use crate::key::BlobId;
use crate::lock::{Lock, LockedComparison, LockedDecision, LockedStage};
use crate::plan::{FrozenError, Graph, Locked, frozen};
use crate::spec::{
    Calibrate, Decide, Generate, HubSearch, Infer, Judge, NearDuplicates, Pipeline, Pull, Research, Sample, Stage,
};
use crate::stage::generate::{Cell, Marker};
use crate::stage::{self, generate, prefer, pull};
use crate::store::{Lines, Receipt, Store, StoreError};

/// What a verification works with.
pub struct Verify<'a> {
    /// What is verified.
    pub pipeline: &'a Pipeline,
    /// Its graph.
    pub graph: &'a Graph,
    /// Where the results are.
    pub store: &'a Arc<Store>,
    /// What they are held against.
    pub lock: &'a Lock,
    /// Who answers.
    pub engines: &'a Engines,
    /// How many rows of each stage with a model are executed again; all if absent.
    pub sample: Option<u64>,
    /// Decides which.
    pub seed: u64,
    /// Who is told of each stage that was checked.
    pub told: &'a (dyn Fn(&StageCheck) + Send + Sync),
}

impl std::fmt::Debug for Verify<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Verify").field("pipeline", &self.pipeline.name).finish_non_exhaustive()
    }
}

/// What a verification came to.
#[derive(Debug)]
pub struct Verified {
    /// All stages, in the order of the graph.
    pub stages: Vec<StageCheck>,
    /// What the fresh rows would do to decisions that rest on them; none where no row moved.
    pub effects: Vec<Effect>,
}

impl Verified {
    /// Whether everything that was to be executed again was, and came to the same bytes.
    #[must_use]
    pub fn is_identical(&self) -> bool {
        self.stages.iter().all(|stage| stage.found.is_identical())
    }
}

/// One stage that was checked.
#[derive(Debug)]
pub struct StageCheck {
    /// Which.
    pub id: StageId,
    /// Its kind.
    pub kind: &'static str,
    /// What was found.
    pub found: Found,
}

/// What was found of a stage.
#[derive(Debug)]
pub enum Found {
    /// Computed again as a whole, it is the same.
    Same,
    /// Computed again as a whole, it is another result.
    Other {
        /// What came out.
        found: BlobId,
    },
    /// Its rows were executed again, or some of them.
    Rows(Rows),
    /// It could not be verified.
    NotVerified(StageFailure),
}

impl Found {
    /// Whether all that was to be executed again was, and is the same.
    #[must_use]
    pub fn is_identical(&self) -> bool {
        match self {
            Self::Same => true,
            Self::Rows(rows) => rows.is_identical(),
            Self::Other { .. } | Self::NotVerified(_) => false,
        }
    }
}

/// A decision with the fresh verdicts in place of the stored ones.
#[derive(Debug)]
pub struct Effect {
    /// The stage that decides.
    pub stage: StageId,
    /// What the lock names.
    pub old: Decision,
    /// What it would be.
    pub new: Decision,
}

/// Executes again what the lock names, stage by stage.
///
/// # Errors
/// The pipeline is not what the lock says, or a result that it names is not in the store: nothing was executed.
pub async fn verify(verify: &Verify<'_>) -> Result<Verified, FrozenError> {
    let receipts = tokio::task::block_in_place(|| frozen(verify.pipeline, verify.graph, verify.store, verify.lock))?;
    let mut state = State { verify, tables: BTreeMap::new(), effects: Vec::new() };
    let mut stages = Vec::new();
    for (id, receipt) in &receipts {
        let stage = &verify.pipeline.stages[id];
        let locked = &verify.lock.stages[id];
        let found = match state.check(id, stage, locked, receipt).await {
            Ok(found) => found,
            Err(failure) => Found::NotVerified(failure),
        };
        let check = StageCheck { id: id.clone(), kind: stage::kind(stage), found };
        (verify.told)(&check);
        stages.push(check);
    }
    Ok(Verified { stages, effects: state.effects })
}

/// A table whose rows were executed again.
struct Table {
    output: BlobId,
    rows: u64,
    picked: Picked,
    fresh: Fresh,
}

struct State<'a> {
    verify: &'a Verify<'a>,
    tables: BTreeMap<StageId, Table>,
    effects: Vec<Effect>,
}

impl State<'_> {
    async fn check(
        &mut self,
        id: &StageId,
        stage: &Stage,
        locked: &LockedStage,
        receipt: &Receipt,
    ) -> Result<Found, StageFailure> {
        let store = self.verify.store;
        // What the store remembers of a file's digest is not good enough here.
        tokio::task::block_in_place(|| unchanged(store, &locked.output))?;
        match stage {
            Stage::Research(research) => tokio::task::block_in_place(|| self.research(research, locked)),
            Stage::Pull(pull) => tokio::task::block_in_place(|| self.weights(id, pull, locked)),
            Stage::Calibrate(calibrate) => tokio::task::block_in_place(|| self.calibration(calibrate, locked)),
            Stage::Decide(decide) => tokio::task::block_in_place(|| self.decision(id, decide, locked)),
            Stage::Compare(compare) => tokio::task::block_in_place(|| {
                let Verify { pipeline, lock, .. } = self.verify;
                let old: Comparison = record(store, id, &locked.output)?;
                if lock.comparisons.get(id) != Some(&LockedComparison::from(&old)) {
                    return Err(edited("numbers"));
                }
                let table = |read: &StageId| Ok(store.lines(&lock.stages[read].output)?);
                let calibrated = whole::calibrated_arms(store, compare, |id| lock.stages[id].output)?;
                Ok(same_record(&whole::comparison(pipeline, compare, calibrated.as_ref(), table)?, locked))
            }),
            Stage::Generate(generate) => {
                let rows = generate::rows(generate, &self.verify.pipeline.root).map_err(|error| failed_file(&error))?;
                let total = receipt.rows.unwrap_or(rows.total);
                let stored = store.lines(&receipt.output)?;
                let inputs = drawn_last(rows.cells, stored)
                    .enumerate()
                    .map(|(at, cell)| Ok(fresh::Line { index: at as u64, text: cell?.to_line(), moved: false }));
                self.rows(id, stage, receipt, Inputs { lines: Box::new(inputs), total, from: None }).await
            }
            Stage::Infer(Infer { scenarios: from, sample, repeat, .. }) => {
                let inputs = self.inputs(from)?;
                let taken = receipt.rows.unwrap_or(0) / u64::from(*repeat);
                let inputs = match sample.clone() {
                    None => inputs,
                    Some(sample) => inputs.sampled(sample, taken),
                };
                self.rows(id, stage, receipt, inputs).await
            }
            Stage::Judge(Judge { answers: from, .. }) => {
                let inputs = self.inputs(from)?;
                self.rows(id, stage, receipt, inputs).await
            }
            Stage::Prefer(prefer) => {
                let inputs = self.inputs(&prefer.base)?.beside(self.inputs(&prefer.new)?);
                self.rows(id, stage, receipt, inputs).await
            }
        }
    }

    /// The rows of an upstream table, fresh ones in place of those that moved.
    fn inputs(&self, from: &StageId) -> Result<Inputs, StageFailure> {
        let store = self.verify.store;
        match self.tables.get(from) {
            Some(table) => Ok(Inputs {
                lines: Box::new(merged(store, &table.output, &table.fresh)?),
                total: table.rows,
                from: Some(table.picked.clone()),
            }),
            // It could not be verified itself; what reads it can be, on the stored rows.
            None => {
                let locked = &self.verify.lock.stages[from];
                let total = locked.rows.unwrap_or(0);
                let lines = merged(store, &locked.output, &Fresh::none())?;
                Ok(Inputs { lines: Box::new(lines), total, from: None })
            }
        }
    }

    async fn rows(
        &mut self,
        id: &StageId,
        stage: &Stage,
        receipt: &Receipt,
        inputs: Inputs,
    ) -> Result<Found, StageFailure> {
        let sampled = self.verify.sample.is_some_and(|sample| sample < inputs.total);
        let (mut marks, unmarked) = marks(stage, sampled);
        let stage = unmarked.as_ref().unwrap_or(stage);
        let work = row_stage(id, stage)?;
        let askers = self.askers(id, stage)?;
        let rows = receipt.rows.unwrap_or(0);
        let lines_each = lines_each(inputs.total, rows)?;
        let asks = askers.width().is_some();
        let picked = match (asks, inputs.from, self.verify.sample) {
            (false, _, _) | (true, _, None) => Picked::all(),
            // The same scenarios all the way down: a fresh answer is worth a fresh verdict.
            (true, Some(from), Some(_)) if from.is_sample() => from,
            (true, _, Some(sample)) => Picked::draw(sample, inputs.total, self.verify.seed),
        };
        let mut fresh = Fresh::new().map_err(|error| StageFailure::new(error.to_string(), None))?;
        let shape = rows::Shape { total: rows, lines_each, picked: &picked };
        let stored = self.verify.store.lines(&receipt.output)?;
        let found = rows::execute(work.as_ref(), &askers, &mut marks, inputs.lines, stored, &shape, &mut fresh).await?;
        let picked = picked.each_gives(lines_each);
        self.tables.insert(id.clone(), Table { output: receipt.output, rows, picked, fresh });
        Ok(Found::Rows(found))
    }

    /// Who answers a stage's questions; nobody where it names no model.
    fn askers(&self, id: &StageId, stage: &Stage) -> Result<Askers, StageFailure> {
        let Verify { pipeline, store, engines, lock, .. } = self.verify;
        let locked = Locked::new(pipeline, store, lock);
        engines.askers(pipeline, store, stage, &locked.known(id)).map_err(|error| match error {
            StartError::Store(StoreError::Missing { .. }) => {
                StageFailure::new("the weights are not here, so nothing was executed again", Some(WEIGHTS.to_owned()))
            }
            error @ (StartError::Engine(_)
            | StartError::Store(_)
            | StartError::BadRecord { .. }
            | StartError::WrongFile { .. }) => StageFailure::new(error.to_string(), error.help()),
        })
    }

    fn research(&self, research: &Research, locked: &LockedStage) -> Result<Found, StageFailure> {
        let Verify { pipeline, store, lock, .. } = self.verify;
        // What the lock pins, whatever the hub would answer today.
        let rows = |search: &HubSearch| match lock.catalogs.get(&search.to_string()) {
            Some(catalog) => Ok((catalog.rows, store.read(&catalog.rows)?)),
            None => catalogs::latest(store, search),
        };
        let made = catalogs::candidates(&pipeline.root, research, &rows, |_, _| Ok(()))?;
        Ok(same_record(&made, locked))
    }

    fn weights(&self, id: &StageId, pull: &Pull, locked: &LockedStage) -> Result<Found, StageFailure> {
        let Verify { pipeline, store, lock, .. } = self.verify;
        let kept: WeightsRecord = record(store, id, &locked.output)?;
        let weights = lock.weights.get(id);
        if weights != Some(&(&kept).into()) {
            return Err(edited("weights"));
        }
        let path = store.object_path(&kept.weights);
        if !path.exists() {
            return Err(StageFailure::new("the weights are not here, not verified", Some(WEIGHTS.to_owned())));
        }
        let found = store.read_digest(&kept.weights)?;
        if found != kept.weights {
            return Ok(Found::Other { found });
        }
        let locked_inputs = Locked::new(pipeline, store, lock);
        let known = locked_inputs.known(id);
        let wanted = stage::wanted(pull, &known).map_err(|error| StageFailure::from_input(id, error))?;
        let header = gguf::read(&path).map_err(|error| StageFailure::new(error.to_string(), error.help()))?;
        // The sha256 belongs to the same bytes, which were just seen.
        // Nor is anybody asked where it would come from today.
        let served = kept.source.parse().unwrap_or_else(|_| wanted.source.clone());
        let fetched = Fetched {
            bytes: kept.bytes,
            sha256: kept.sha256,
            blake3: kept.weights,
            revision: kept.revision,
            is_kept: true,
        };
        let served = if wanted.mirrors.is_empty() { &wanted.source } else { &served };
        Ok(same_record(&pull::record(&wanted, served, &fetched, header), locked))
    }

    fn calibration(&self, calibrate: &Calibrate, locked: &LockedStage) -> Result<Found, StageFailure> {
        let Verify { pipeline, store, lock, .. } = self.verify;
        let fresh = Fresh::none();
        let lines = |read: &StageId| merged_text(store, &lock.stages[read].output, &fresh);
        let again = whole::calibration(calibrate, stage::rubric_of(pipeline, calibrate), lines)?;
        Ok(same_record(&again, locked))
    }

    fn decision(&mut self, id: &StageId, decide: &Decide, locked: &LockedStage) -> Result<Found, StageFailure> {
        let Verify { pipeline, store, lock, .. } = self.verify;
        let old: Decision = record(store, id, &locked.output)?;
        if lock.decision != Some(LockedDecision::from(&old)) {
            return Err(edited("numbers"));
        }
        let read = |id: &StageId| whole::calibrated(store, id, &lock.stages[id].output);
        // What is known of the judge is what the lock says, whatever the fresh verdicts are.
        let calibrated = decide.calibration.as_ref().map(read).transpose()?;
        let none = Fresh::none();
        let stored = |read: &StageId| -> Result<whole::TableLines<'_>, StageFailure> {
            Ok(Box::new(merged_text(store, &lock.stages[read].output, &none)?))
        };
        let again = whole::decision(pipeline, decide, calibrated.as_ref(), stored)?.decision;
        let reads = stage::reads(&pipeline.stages[id]);
        if reads.iter().any(|read| self.tables.get(*read).is_some_and(|table| !table.fresh.is_empty())) {
            let fresh = |read: &StageId| -> Result<whole::TableLines<'_>, StageFailure> {
                let fresh = self.tables.get(read).map_or(&none, |table| &table.fresh);
                Ok(Box::new(merged_text(store, &lock.stages[read].output, fresh)?))
            };
            let new = whole::decision(pipeline, decide, calibrated.as_ref(), fresh)?.decision;
            self.effects.push(Effect { stage: id.clone(), old, new });
        }
        Ok(same_record(&again, locked))
    }
}

/// The cells that came to a row, each with the draw that was taken: those before it are not asked for once more, and neither are
/// those of a cell of which no opening was taken.
fn drawn_last(
    cells: Box<dyn Iterator<Item = Result<Cell, generate::ScenarioFileError>> + Send>,
    stored: Lines,
) -> impl Iterator<Item = std::io::Result<Cell>> + Send {
    let mut stored = stored.peekable();
    let mut cells = cells;
    std::iter::from_fn(move || {
        let line = match stored.next()? {
            Ok(line) => line,
            Err(error) => return Some(Err(error)),
        };
        let row: Scenario = match serde_json::from_str(&line) {
            Ok(row) => row,
            Err(error) => return Some(Err(error.into())),
        };
        for cell in cells.by_ref() {
            match cell {
                Err(error) => return Some(Err(std::io::Error::other(error))),
                Ok(cell) if cell.scenario.id == row.id => {
                    let attempt = row.written.map_or(cell.attempt, |written| written.attempt);
                    return Some(Ok(Cell { attempt, ..cell }));
                }
                Ok(_) => {}
            }
        }
        Some(Err(std::io::Error::other(format!("nothing in the pipeline comes to scenario `{}`", row.id))))
    })
}

/// How a stage's fresh rows are marked; and the stage as it makes them without that, where nothing is to be embedded.
fn marks(stage: &Stage, sampled: bool) -> (Marks, Option<Stage>) {
    match stage {
        Stage::Generate(generate) => match Marker::of(generate) {
            None => (Marks::None, None),
            Some(_) if sampled => {
                let near_duplicates =
                    generate.near_duplicates.clone().map(|near| NearDuplicates { embed: None, ..near });
                (Marks::Stored, Some(Stage::Generate(Generate { near_duplicates, ..generate.clone() })))
            }
            Some(marker) => (Marks::Fresh(Box::new(marker)), None),
        },
        Stage::Infer(infer) if infer.latency => (Marks::Times, None),
        Stage::Research(_)
        | Stage::Pull(_)
        | Stage::Infer(_)
        | Stage::Judge(_)
        | Stage::Prefer(_)
        | Stage::Calibrate(_)
        | Stage::Compare(_)
        | Stage::Decide(_) => (Marks::None, None),
    }
}

/// What a row-wise stage reads.
struct Inputs {
    lines: Box<dyn Iterator<Item = std::io::Result<fresh::Line>> + Send>,
    total: u64,
    /// Which of them were executed again themselves.
    from: Option<Picked>,
}

impl Inputs {
    /// The scenarios of a sample, of which there are so many.
    fn sampled(self, sample: Sample, total: u64) -> Self {
        let is_taken = move |line: &fresh::Line| {
            let scenario = serde_json::from_str::<Scenario>(&line.text);
            // What is no scenario is told by the stage.
            scenario.map_or(true, |scenario| stage::sample::takes(&sample, &scenario))
        };
        let taken = self.lines.filter(move |line| line.as_ref().map_or(true, &is_taken)).enumerate();
        let numbered = taken.map(|(at, line)| line.map(|line| fresh::Line { index: at as u64, ..line }));
        Self { lines: Box::new(numbered), total, from: None }
    }

    /// Rows of two tables, one of each at a time; a pair has moved if either has. Both were sampled alike.
    fn beside(self, other: Self) -> Self {
        let Self { lines, total, from } = self;
        let paired = lines.zip(other.lines).map(|(base, new)| {
            let (base, new) = (base?, new?);
            let text = prefer::paired(&base.text, &new.text);
            Ok(fresh::Line { index: base.index, text, moved: base.moved || new.moved })
        });
        Self { lines: Box::new(paired), total, from }
    }
}

const WEIGHTS: &str = "run the pipeline on this machine, which brings the weights, and verify then";

fn edited(what: &str) -> StageFailure {
    let message = format!("the lock's {what} are not those of the result that it names: it was edited");
    StageFailure::new(message, Some("write it again with `evalflow bless`".to_owned()))
}

/// How many lines of the output each input row has.
fn lines_each(inputs: u64, outputs: u64) -> Result<u64, StageFailure> {
    match inputs {
        0 if outputs == 0 => Ok(1),
        1.. if outputs >= inputs && outputs.is_multiple_of(inputs) => Ok(outputs / inputs),
        _ => Err(StageFailure::new(
            format!("its {outputs} rows cannot be told to be of the {inputs} rows that it reads"),
            Some("run the pipeline again and accept the result with `evalflow bless`".to_owned()),
        )),
    }
}

/// A stored table with the lines that moved in their places.
fn merged(store: &Store, table: &BlobId, fresh: &Fresh) -> Result<fresh::Merged, StageFailure> {
    fresh::merged(store.lines(table)?, fresh).map_err(|error| StageFailure::new(error.to_string(), None))
}

/// The same, as text alone.
fn merged_text(
    store: &Store,
    table: &BlobId,
    fresh: &Fresh,
) -> Result<impl Iterator<Item = std::io::Result<String>> + use<>, StageFailure> {
    Ok(merged(store, table, fresh)?.map(|line| line.map(|line| line.text)))
}

fn record<T: serde::de::DeserializeOwned>(store: &Store, id: &StageId, blob: &BlobId) -> Result<T, StageFailure> {
    serde_json::from_slice(&store.read(blob)?)
        .map_err(|error| StageFailure::new(format!("the result of `{id}` cannot be read: {error}"), None))
}

fn same_record(made: &impl serde::Serialize, locked: &LockedStage) -> Found {
    let found = BlobId::of(&serde_json::to_vec(made).expect("a record is always valid JSON"));
    if found == locked.output { Found::Same } else { Found::Other { found } }
}

/// Reads an object to its end and compares it with its name.
fn unchanged(store: &Store, id: &BlobId) -> Result<(), StageFailure> {
    if store.read_digest(id)? == *id {
        return Ok(());
    }
    let message = format!("object {} does not have the bytes that its name says", id.short());
    Err(StageFailure::new(message, Some("bring it here with `evalflow import-baseline FILE`".to_owned())))
}
