//! Why a stage runs, or ran: its recipe against an earlier one, followed upstream to the field that somebody changed.
//!
//! Never runs anything. Start at [`why`].

use std::collections::BTreeMap;

use serde_json::Value;

use super::changed_rows::{ChangedRows, changed_rows};
use super::gaps::{recipe_so_far, upstream};
use super::{Graph, PlanError, Settled, Status, fields_changed, pipeline_name, plan};
use crate::ids::StageId;
use crate::key::{BlobId, FieldChange, Key, Recipe};
use crate::lock::{Lock, LockedStage};
use crate::spec::{Pipeline, Stage};
use crate::stage::{self, Known as _};
use crate::store::{RunRecord, Store, StoreError};

/// Runs looked through for one in which the stage was another.
const MOST_RUNS: u64 = 1000;

/// What a stage is to be compared with.
#[derive(Debug, Clone, Copy)]
pub enum Baseline<'a> {
    /// The newest run in which the stage had another key.
    Newest,
    /// The run with this number.
    Run(u64),
    /// What was blessed.
    Lock(&'a Lock),
}

/// What a stage was compared with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Against {
    /// Where that is written down.
    pub source: Source,
    /// The key that the stage had.
    pub key: Key,
}

/// Where it is written down what a stage was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// In the record of a run.
    Run {
        /// Its number.
        number: u64,
        /// When it started, in seconds since 1970.
        started_at: i64,
    },
    /// No record of a run is left, but the stage's last recipe is.
    LastStart,
    /// In the lock.
    Lock,
}

/// Why a stage is what it is.
#[derive(Debug, Clone, PartialEq)]
pub struct Why {
    /// Which.
    pub stage: StageId,
    /// Its kind.
    pub kind: &'static str,
    /// What it would do.
    pub status: Status,
    /// What it was compared with; none if there is nothing earlier.
    pub against: Option<Against>,
    /// What is not the same.
    pub explained: Explained,
}

/// What is not the same about a stage, and why.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Explained {
    /// Its own fields that changed.
    pub changes: Vec<FieldChange>,
    /// Its own fields that are not what a lock says, where the lock's digests are all that is known of what they were.
    pub digests: Vec<String>,
    /// Its inputs that changed.
    pub causes: Vec<Cause>,
    /// Whether a model it names has no weights yet, so that its recipe is not known.
    pub unknown: bool,
}

/// An input that changed.
#[derive(Debug, Clone, PartialEq)]
pub struct Cause {
    /// The field that names it: `answers`.
    pub input: &'static str,
    /// The stage it comes from.
    pub stage: StageId,
    /// Whether that stage has yet to run, so that it is not known what will come of it.
    pub unsettled: bool,
    /// How the rows differ, where both tables are in the store.
    pub rows: Option<ChangedRows>,
    /// Why that stage came to something else; none where its earlier recipe is not known.
    pub explained: Option<Explained>,
}

/// Why it cannot be said.
#[derive(Debug, thiserror::Error)]
pub enum WhyError {
    /// A file or the store cannot be read.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is no run with this number.
    #[error("there is no run {number} of this pipeline")]
    NoRun {
        /// The number.
        number: u64,
        /// The numbers that there are, newest first.
        known: Vec<u64>,
    },
    /// The stage is not in the lock.
    #[error("stage `{stage}` is not in the lock")]
    NotLocked {
        /// The stage.
        stage: StageId,
    },
}

impl WhyError {
    /// The way on, as an imperative sentence.
    #[must_use]
    pub fn help(&self) -> String {
        match self {
            Self::Plan(error) => error.help(),
            Self::Store(error) => error.help(),
            Self::NoRun { known, .. } => match known.as_slice() {
                [] => "run the pipeline first".to_owned(),
                [newest, .., oldest] => format!("name a run from {oldest} to {newest}"),
                [only] => format!("there is only run {only}"),
            },
            Self::NotLocked { .. } => "it was added since: compare with a run, or leave out `--against`".to_owned(),
        }
    }
}

/// Says why a stage would run, or what made it another than it was before.
///
/// # Errors
/// A file or the store cannot be read, or there is no such run, or the lock does not know the stage.
pub fn why(
    pipeline: &Pipeline,
    graph: &Graph,
    store: &Store,
    id: &StageId,
    baseline: Baseline<'_>,
) -> Result<Why, WhyError> {
    let now = Now::new(pipeline, graph, store)?;
    let status = now.statuses[id].clone();
    let earlier = now.earlier(id, baseline)?;
    let explained = match &earlier {
        Some(earlier) => now.explain(id, &earlier.was, &earlier.then)?,
        None => Explained::default(),
    };
    let against = earlier.map(|earlier| earlier.against);
    Ok(Why { stage: id.clone(), kind: stage::kind(&pipeline.stages[id]), status, against, explained })
}

/// An earlier state of a stage.
pub(super) struct Earlier<'a> {
    pub(super) against: Against,
    pub(super) was: Was<'a>,
    then: Then<'a>,
}

/// What is known of a stage as it was.
pub(super) enum Was<'a> {
    /// Its whole recipe.
    Recipe(Value),
    /// The digests in the lock, whose result the store has no more.
    Digests(&'a LockedStage),
}

/// What is known of all stages as they were.
struct Then<'a> {
    keys: BTreeMap<StageId, Key>,
    lock: Option<&'a Lock>,
}

/// The pipeline as it is now.
pub(super) struct Now<'a> {
    pub(super) pipeline: &'a Pipeline,
    pub(super) store: &'a Store,
    pub(super) settled: Settled<'a>,
    statuses: BTreeMap<StageId, Status>,
    keys: BTreeMap<StageId, Key>,
}

impl<'a> Now<'a> {
    pub(super) fn new(pipeline: &'a Pipeline, graph: &Graph, store: &'a Store) -> Result<Self, PlanError> {
        let mut settled = Settled::new(pipeline, store);
        let (mut statuses, mut keys) = (BTreeMap::new(), BTreeMap::new());
        for planned in plan(pipeline, graph, store)? {
            if let Status::Cached(receipt) = &planned.status {
                settled.settle(planned.id.clone(), receipt);
            }
            keys.extend(planned.key.map(|key| (planned.id.clone(), key)));
            statuses.insert(planned.id, planned.status);
        }
        Ok(Self { pipeline, store, settled, statuses, keys })
    }

    /// The state of a stage that it is compared with.
    pub(super) fn earlier<'b>(&self, id: &StageId, baseline: Baseline<'b>) -> Result<Option<Earlier<'b>>, WhyError> {
        match baseline {
            Baseline::Run(number) => {
                let runs = self.runs()?;
                match runs.iter().find(|run| run.id == number) {
                    Some(run) => Ok(self.in_run(id, run)?),
                    None => Err(WhyError::NoRun { number, known: runs.iter().map(|run| run.id).collect() }),
                }
            }
            Baseline::Newest => {
                let now = self.keys.get(id);
                for run in &self.runs()? {
                    let found = self.in_run(id, run)?.filter(|earlier| Some(&earlier.against.key) != now);
                    if found.is_some() {
                        return Ok(found);
                    }
                }
                // A stage of another pipeline has the same key and was never recorded here, or the run was cut short.
                let latest = self.store.latest(&pipeline_name(self.pipeline), id)?.filter(|(key, _)| Some(key) != now);
                Ok(latest.map(|(key, recipe)| Earlier {
                    against: Against { source: Source::LastStart, key },
                    was: Was::Recipe(recipe),
                    then: Then { keys: BTreeMap::new(), lock: None },
                }))
            }
            Baseline::Lock(lock) => {
                let locked = lock.stages.get(id).ok_or_else(|| WhyError::NotLocked { stage: id.clone() })?;
                let keys = lock.stages.iter().map(|(id, stage)| (id.clone(), stage.key)).collect();
                let was = self.store.recipe(&locked.key)?.map_or(Was::Digests(locked), Was::Recipe);
                let against = Against { source: Source::Lock, key: locked.key };
                Ok(Some(Earlier { against, was, then: Then { keys, lock: Some(lock) } }))
            }
        }
    }

    fn runs(&self) -> Result<Vec<RunRecord>, StoreError> {
        self.store.runs(Some(&pipeline_name(self.pipeline)), MOST_RUNS)
    }

    /// The state that a stage had in a run; none where it did not come so far, or its recipe is gone.
    fn in_run<'b>(&self, id: &StageId, run: &RunRecord) -> Result<Option<Earlier<'b>>, StoreError> {
        let keys: BTreeMap<StageId, Key> =
            run.stages.iter().filter_map(|stage| Some((stage.id.clone(), stage.key?))).collect();
        let Some(key) = keys.get(id).copied() else { return Ok(None) };
        let Some(recipe) = self.store.recipe(&key)? else { return Ok(None) };
        let source = Source::Run { number: run.id, started_at: run.started_at };
        let (against, then) = (Against { source, key }, Then { keys, lock: None });
        Ok(Some(Earlier { against, was: Was::Recipe(recipe), then }))
    }

    /// The recipe of a stage, with gaps for what is not there yet; none where even its form is not known.
    pub(super) fn recipe(&self, id: &StageId) -> Result<Option<Recipe>, PlanError> {
        recipe_so_far(self.pipeline, &self.pipeline.stages[id], &self.settled)
    }

    fn explain(&self, id: &StageId, was: &Was<'_>, then: &Then<'_>) -> Result<Explained, WhyError> {
        let stage = &self.pipeline.stages[id];
        let Some(recipe) = self.recipe(id)? else {
            let reads = stage::reads(stage).into_iter().filter(|read| !self.settled.is_settled(read));
            let causes = reads.map(|read| self.cause("model", read, None, then)).collect::<Result<_, _>>()?;
            return Ok(Explained { causes, unknown: true, ..Explained::default() });
        };
        match was {
            Was::Recipe(old) => self.explain_recipe(stage, &recipe, old, then),
            Was::Digests(locked) => self.explain_digests(id, &recipe, locked, then),
        }
    }

    fn explain_recipe(
        &self,
        stage: &Stage,
        recipe: &Recipe,
        old: &Value,
        then: &Then<'_>,
    ) -> Result<Explained, WhyError> {
        let new: Value = serde_json::from_str(recipe.canonical()).expect("a recipe is valid JSON");
        let mut explained = Explained::default();
        for change in fields_changed(old, &new) {
            let Some((input, read)) = upstream(stage, &change.path) else {
                explained.changes.push(change);
                continue;
            };
            if !explained.causes.iter().any(|cause| cause.stage == *read && cause.input == input) {
                let field = input.split('.').fold(&old["fields"], |value, name| &value[name]);
                let digest = field.as_str().or_else(|| field["weights"].as_str()).or_else(|| field["lora"].as_str());
                let blob = digest.and_then(|text| text.parse().ok());
                explained.causes.push(self.cause(input, read, blob, then)?);
            }
            // A table has changed if its rows have; of a model it is good to know what about it did.
            if change.path != input {
                explained.changes.push(change);
            }
        }
        Ok(explained)
    }

    /// What can be told where only a lock knows what the stage was.
    fn explain_digests(
        &self,
        id: &StageId,
        recipe: &Recipe,
        locked: &LockedStage,
        then: &Then<'_>,
    ) -> Result<Explained, WhyError> {
        let stage = &self.pipeline.stages[id];
        let mut explained = Explained::default();
        let kind = stage::kind(stage);
        if locked.kind != kind {
            let (old, new) = (Some(locked.kind.clone().into()), Some(kind.into()));
            explained.changes.push(FieldChange { path: "kind".to_owned(), old, new });
        }
        for field in locked.differing(recipe) {
            match upstream(stage, &field) {
                Some((input, read)) => {
                    let blob = then.lock.and_then(|lock| {
                        let weights = lock.weights.get(read).map(|weights| weights.blake3);
                        weights.or_else(|| lock.stages.get(read).map(|stage| stage.output))
                    });
                    explained.causes.push(self.cause(input, read, blob, then)?);
                }
                None => explained.digests.push(field),
            }
        }
        if explained == Explained::default() && recipe.key() != locked.key {
            // Its fields are the same, and mean something else.
            explained.digests.push("version".to_owned());
        }
        Ok(explained)
    }

    /// Why an input is not what it was. `blob` is what it was, where that is known.
    fn cause(
        &self,
        input: &'static str,
        read: &StageId,
        blob: Option<BlobId>,
        then: &Then<'_>,
    ) -> Result<Cause, WhyError> {
        let stage = &self.pipeline.stages[read];
        let unsettled = !self.settled.is_settled(read);
        let rows = match blob {
            Some(old) if !unsettled && is_table(stage) && self.store.has(&old)? => {
                Some(changed_rows(self.store, &old, &self.settled.output(read))?)
            }
            Some(_) | None => None,
        };
        // What made the old bytes is what counts; the recipe that the stage had then is as good.
        let made = blob.map(|blob| self.store.recipe_that_made(stage::kind(stage), &blob)).transpose()?.flatten();
        let recipe = match made {
            Some(made) => Some(made),
            None => then.keys.get(read).map(|key| self.store.recipe(key)).transpose()?.flatten(),
        };
        let locked = then.lock.map(|lock| lock.stages.get(read));
        let was = match (recipe, locked) {
            (Some(recipe), _) => Some(Was::Recipe(recipe)),
            (None, Some(locked)) => locked.map(Was::Digests),
            (None, None) => {
                let latest = self.store.latest(&pipeline_name(self.pipeline), read)?;
                latest.map(|(_, recipe)| Was::Recipe(recipe))
            }
        };
        let explained = was.map(|was| self.explain(read, &was, then)).transpose()?;
        Ok(Cause { input, stage: read.clone(), unsettled, rows, explained })
    }
}

fn is_table(stage: &Stage) -> bool {
    match stage {
        Stage::Generate(_) | Stage::Infer(_) | Stage::Judge(_) => true,
        Stage::Research(_)
        | Stage::Pull(_)
        | Stage::Prefer(_)
        | Stage::Calibrate(_)
        | Stage::Compare(_)
        | Stage::Decide(_) => false,
    }
}
