//! Recipes of stages whose inputs are not all there yet, and which of a recipe's fields are inputs.

use std::path::Path;

use serde_json::Value;

use super::{PlanError, Settled, fields_changed};
use crate::ids::StageId;
use crate::key::{BlobId, FieldChange, Recipe};
use crate::spec::{Calibrations, HubSearch, ModelRef, NearDuplicates, Pipeline, PullFrom, Stage};
use crate::stage::{self, Known, RecipeError};
use crate::store::StoreError;

/// The recipe of a stage, with [`UNSETTLED`] for what is not there yet; none where even its form is not known.
pub(super) fn recipe_so_far(
    pipeline: &Pipeline,
    stage: &Stage,
    settled: &Settled<'_>,
) -> Result<Option<Recipe>, PlanError> {
    match stage::recipe(pipeline, stage, &SoFar(settled)) {
        Ok(recipe) => Ok(Some(recipe)),
        Err(RecipeError::Known(Missing::Store(error))) => Err(error.into()),
        Err(
            RecipeError::Known(Missing::Unsettled)
            | RecipeError::NotFetched { .. }
            | RecipeError::NoWeights { .. }
            | RecipeError::NoCandidate { .. }
            | RecipeError::BadSource { .. }
            | RecipeError::BadRecord { .. },
        ) => Ok(None),
    }
}

/// The fields of a stage that changed since it had the recipe `old`, apart from its inputs.
pub(super) fn own_changes(
    pipeline: &Pipeline,
    stage: &Stage,
    settled: &Settled<'_>,
    old: &Value,
) -> Result<Vec<FieldChange>, PlanError> {
    let Some(recipe) = recipe_so_far(pipeline, stage, settled)? else { return Ok(Vec::new()) };
    let new: Value = serde_json::from_str(recipe.canonical()).expect("a recipe is valid JSON");
    let is_own = |change: &FieldChange| upstream(stage, &change.path).is_none();
    Ok(fields_changed(old, &new).into_iter().filter(is_own).collect())
}

/// Where a recipe holds a model, its adapter, and the adapter's file.
const MODEL: [&str; 3] = ["model", "model.adapter", "model.adapter.lora"];

/// The input that a recipe's field stands for, and the stage it comes from.
pub(super) fn upstream<'a>(stage: &'a Stage, path: &str) -> Option<(&'static str, &'a StageId)> {
    let is = |name: &str| path == name || path.strip_prefix(name).is_some_and(|rest| rest.starts_with(['.', '[']));
    let weights = |names: [&'static str; 3], model: Option<&'a ModelRef>| {
        let [name, adapter, lora] = names;
        let model = model.and_then(ModelRef::embedded).filter(|_| is(name))?;
        let rest = path.strip_prefix(name).unwrap_or_default();
        match (rest, &model.adapter) {
            (_, Some(pulled)) if path == lora => Some((adapter, &pulled.stage)),
            // Options of the model, which no stage brings.
            (".adapter" | ".adapter.scale" | ".kv_cache" | ".gpu_layers", _) => None,
            _ => Some((name, &model.weights)),
        }
    };
    let table = |name, read: &'a StageId| is(name).then_some((name, read));
    match stage {
        Stage::Research(_) => None,
        Stage::Pull(pull) => match &pull.from {
            PullFrom::Candidate { stage, pick: _ } => table("model", stage),
            PullFrom::Source(_) | PullFrom::Mirrors(_) => None,
        },
        Stage::Generate(spec) => weights(
            ["writer", "writer.adapter", "writer.adapter.lora"],
            spec.expand().and_then(|expand| expand.writer.as_ref()).map(|writer| &writer.model),
        )
        .or_else(|| {
            let embed = spec.near_duplicates.as_ref().and_then(NearDuplicates::embedder);
            weights(["embed", "embed.adapter", "embed.adapter.lora"], embed)
        }),
        Stage::Infer(spec) => table("scenarios", &spec.scenarios).or_else(|| weights(MODEL, Some(&spec.model))),
        Stage::Judge(spec) => table("answers", &spec.answers).or_else(|| match &spec.models[..] {
            [only] => weights(MODEL, Some(only)),
            panel => panel.iter().filter_map(ModelRef::embedded).find_map(|model| {
                let rest = path.strip_prefix(&format!("model[{}].model", model.called()))?;
                match (rest, &model.adapter) {
                    (".adapter.lora", Some(pulled)) => Some(("model.adapter", &pulled.stage)),
                    (".adapter" | ".adapter.scale" | ".kv_cache" | ".gpu_layers", _) => None,
                    _ => Some(("model", &model.weights)),
                }
            }),
        }),
        Stage::Prefer(spec) => {
            table("base", &spec.base).or_else(|| table("new", &spec.new)).or_else(|| weights(MODEL, Some(&spec.model)))
        }
        Stage::Calibrate(spec) => table("verdicts", &spec.verdicts).or_else(|| table("beside", spec.beside.as_ref()?)),
        Stage::Decide(spec) => {
            table("verdicts", &spec.verdicts).or_else(|| table("calibration", spec.calibration.as_ref()?))
        }
        Stage::Compare(spec) => table("base", &spec.arms.base).or_else(|| table("new", &spec.arms.new)).or_else(|| {
            if let Some(Calibrations { base, new }) = &spec.calibrations {
                match path {
                    "calibrations.base" => return Some(("calibrations", base)),
                    "calibrations.new" => return Some(("calibrations", new)),
                    _ => {}
                }
            }
            let rest = path.strip_prefix("guards.")?;
            let (name, side) = rest.split_once('.')?;
            let (_, guard) = spec.guards.iter().find(|(guard, _)| guard.as_str() == name)?;
            match side {
                "base" => Some(("guards", &guard.arms.base)),
                "new" => Some(("guards", &guard.arms.new)),
                _ => None,
            }
        }),
    }
}

/// Stands in a recipe for the result of a stage that has none yet: no bytes have this digest.
const UNSETTLED: [u8; 32] = [0; 32];

/// What is known so far, with gaps.
struct SoFar<'a>(&'a Settled<'a>);

/// Why something is not known.
#[derive(Debug, thiserror::Error)]
enum Missing {
    #[error("a stage has yet to run")]
    Unsettled,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Known for SoFar<'_> {
    type Error = Missing;

    fn output(&self, stage: &StageId) -> BlobId {
        if self.0.is_settled(stage) { self.0.output(stage) } else { BlobId::from_bytes(UNSETTLED) }
    }

    fn record(&self, stage: &StageId) -> Result<Vec<u8>, Missing> {
        if self.0.is_settled(stage) { Ok(self.0.record(stage)?) } else { Err(Missing::Unsettled) }
    }

    fn file(&self, path: &Path) -> Result<BlobId, Missing> {
        Ok(self.0.file(path)?)
    }

    fn search(&self, search: &HubSearch) -> Result<Option<BlobId>, Missing> {
        Ok(self.0.search(search)?)
    }
}
