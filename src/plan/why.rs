//! Why a stage runs, or ran: its recipe against an earlier one, followed upstream to the field that somebody changed.
//!
//! Never runs anything. Start at [`why`].

use std::collections::BTreeMap;

use serde_json::Value;

use super::changed_rows::{ChangedRows, changed_rows};
use super::gaps::{recipe_so_far, upstream};
use super::{Graph, PlanError, Settled, Status, fields_changed, pipeline_name, plan};
use crate::ids::StageId;
use crate::key::{BlobId, FieldChange, Key, Recipe, to_canonical};
use crate::spec::{Pipeline, Stage};
use crate::stage::{self, Known as _};
use crate::store::{RunRecord, Store, StoreError};

/// Runs looked through for one in which the stage was another.
const MOST_RUNS: u64 = 1000;

/// Which run a stage is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Baseline {
    /// The newest one in which the stage had another key.
    Newest,
    /// The one with this number.
    Run(u64),
}

/// What a stage was compared with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Against {
    /// The number of the run; none where no record of a run is left, but the stage's last recipe is.
    pub run: Option<u64>,
    /// When that run started, in seconds since 1970.
    pub started_at: Option<i64>,
    /// The key that the stage had.
    pub key: Key,
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
        }
    }
}

/// Says why a stage would run, or what made it another than it was before.
///
/// # Errors
/// A file or the store cannot be read, or there is no such run.
pub fn why(
    pipeline: &Pipeline,
    graph: &Graph,
    store: &Store,
    id: &StageId,
    baseline: Baseline,
) -> Result<Why, WhyError> {
    let now = Now::new(pipeline, graph, store)?;
    let status = now.statuses[id].clone();
    let earlier = now.earlier(id, baseline)?;
    let explained = match &earlier {
        Some(earlier) => now.explain(id, &earlier.recipe, &earlier.keys)?,
        None => Explained::default(),
    };
    let against = earlier.map(|earlier| earlier.against);
    Ok(Why { stage: id.clone(), kind: stage::kind(&pipeline.stages[id]), status, against, explained })
}

/// The fields of a recipe whose digests are not those of an earlier one, of which only digests were kept: the first twelve
/// digits of blake3 of each field's canonical JSON.
#[must_use]
pub fn fields_that_differ(now: &Value, earlier: &BTreeMap<String, String>) -> Vec<String> {
    let empty = serde_json::Map::new();
    let fields = now["fields"].as_object().unwrap_or(&empty);
    let digest = |value: &Value| BlobId::of(to_canonical(value).as_bytes()).short();
    let changed = fields.iter().filter(|(name, value)| earlier.get(*name) != Some(&digest(value)));
    let gone = earlier.keys().filter(|name| !fields.contains_key(*name));
    let mut names: Vec<String> = changed.map(|(name, _)| name.clone()).chain(gone.cloned()).collect();
    names.sort_unstable();
    names
}

/// An earlier state of a stage.
pub(super) struct Earlier {
    pub(super) against: Against,
    pub(super) recipe: Value,
    /// The keys that all stages had then.
    keys: BTreeMap<StageId, Key>,
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
    pub(super) fn earlier(&self, id: &StageId, baseline: Baseline) -> Result<Option<Earlier>, WhyError> {
        let name = pipeline_name(self.pipeline);
        let runs = self.store.runs(Some(&name), MOST_RUNS)?;
        let now = self.keys.get(id);
        let of = |run: &RunRecord| -> Result<Option<Earlier>, StoreError> {
            let keys: BTreeMap<StageId, Key> =
                run.stages.iter().filter_map(|stage| Some((stage.id.clone(), stage.key?))).collect();
            let Some(key) = keys.get(id).copied() else { return Ok(None) };
            let Some(recipe) = self.store.recipe(&key)? else { return Ok(None) };
            let against = Against { run: Some(run.id), started_at: Some(run.started_at), key };
            Ok(Some(Earlier { against, recipe, keys }))
        };
        match baseline {
            Baseline::Run(number) => match runs.iter().find(|run| run.id == number) {
                Some(run) => Ok(of(run)?),
                None => Err(WhyError::NoRun { number, known: runs.iter().map(|run| run.id).collect() }),
            },
            Baseline::Newest => {
                for run in &runs {
                    let found = of(run)?.filter(|earlier| Some(&earlier.against.key) != now);
                    if found.is_some() {
                        return Ok(found);
                    }
                }
                // A stage of another pipeline has the same key and was never recorded here, or the run was cut short.
                let latest = self.store.latest(&name, id)?.filter(|(key, _)| Some(key) != now);
                let against = |key| Against { run: None, started_at: None, key };
                Ok(latest.map(|(key, recipe)| Earlier { against: against(key), recipe, keys: BTreeMap::new() }))
            }
        }
    }

    /// The recipe of a stage, with gaps for what is not there yet; none where even its form is not known.
    pub(super) fn recipe(&self, id: &StageId) -> Result<Option<Recipe>, PlanError> {
        recipe_so_far(self.pipeline, &self.pipeline.stages[id], &self.settled)
    }

    fn explain(&self, id: &StageId, old: &Value, keys: &BTreeMap<StageId, Key>) -> Result<Explained, WhyError> {
        let stage = &self.pipeline.stages[id];
        let Some(recipe) = self.recipe(id)? else {
            let reads = stage::reads(stage).into_iter().filter(|read| !self.settled.is_settled(read));
            let causes = reads.map(|read| self.cause("model", read, None, keys)).collect::<Result<_, _>>()?;
            return Ok(Explained { changes: Vec::new(), causes, unknown: true });
        };
        let new: Value = serde_json::from_str(recipe.canonical()).expect("a recipe is valid JSON");
        let mut explained = Explained::default();
        for change in fields_changed(old, &new) {
            let Some((input, read)) = upstream(stage, &change.path) else {
                explained.changes.push(change);
                continue;
            };
            if !explained.causes.iter().any(|cause| cause.stage == *read && cause.input == input) {
                let field = &old["fields"][input];
                let blob = field.as_str().or_else(|| field["weights"].as_str()).and_then(|text| text.parse().ok());
                explained.causes.push(self.cause(input, read, blob, keys)?);
            }
            // A table has changed if its rows have; of a model it is good to know what about it did.
            if change.path != input {
                explained.changes.push(change);
            }
        }
        Ok(explained)
    }

    /// Why an input is not what it was. `blob` is what it was, where that is known.
    fn cause(
        &self,
        input: &'static str,
        read: &StageId,
        blob: Option<BlobId>,
        keys: &BTreeMap<StageId, Key>,
    ) -> Result<Cause, WhyError> {
        let stage = &self.pipeline.stages[read];
        let unsettled = !self.settled.is_settled(read);
        let rows = match blob {
            Some(old) if !unsettled && is_table(stage) && self.store.has(&old)? => {
                Some(changed_rows(self.store, &old, &self.settled.output(read))?)
            }
            Some(_) | None => None,
        };
        // What made the old bytes is what counts; the recipe that the stage had in that run is as good.
        let made = blob.map(|blob| self.store.recipe_that_made(stage::kind(stage), &blob)).transpose()?.flatten();
        let then = keys.get(read).map(|key| self.store.recipe(key)).transpose()?.flatten();
        let latest =
            || Ok::<_, StoreError>(self.store.latest(&pipeline_name(self.pipeline), read)?.map(|found| found.1));
        let old = match made.or(then) {
            Some(old) => Some(old),
            None => latest()?,
        };
        let explained = old.map(|old| self.explain(read, &old, keys)).transpose()?;
        Ok(Cause { input, stage: read.clone(), unsettled, rows, explained })
    }
}

fn is_table(stage: &Stage) -> bool {
    match stage {
        Stage::Generate(_) | Stage::Infer(_) | Stage::Judge(_) => true,
        Stage::Research(_) | Stage::Pull(_) | Stage::Decide(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn digests_of_fields_tell_which_differ() {
        let now = json!({ "fields": { "a": 1, "b": { "y": 2, "x": 1 }, "c": null } });
        let digest = |value: &Value| BlobId::of(to_canonical(value).as_bytes()).short();
        let earlier = |fields: Value| -> BTreeMap<String, String> {
            fields.as_object().unwrap().iter().map(|(name, value)| (name.clone(), digest(value))).collect()
        };
        let check = |fields, expected: &[&str]| assert_eq!(fields_that_differ(&now, &earlier(fields)), expected);
        check(json!({ "a": 1, "b": { "x": 1, "y": 2 }, "c": null }), &[]);
        check(json!({ "a": 2, "b": { "x": 1, "y": 2 }, "d": 1 }), &["a", "c", "d"]);
    }
}
