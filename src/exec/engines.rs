//! The engines of a run: made when a stage first needs one, shared by all stages that use the same model.

use std::sync::{Arc, Mutex, PoisonError};

use crate::data::WeightsRecord;
use crate::engine::openai::OpenAiEngine;
use crate::engine::scripted::ScriptedEngine;
use crate::engine::{Engine, EngineError as CallError};
use crate::ids::ModelName;
use crate::key::BlobId;
use crate::spec::{Model, ModelRef, Pipeline};
use crate::store::{Store, StoreError};

/// Why a stage has nobody to ask.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The engine cannot be made.
    #[error("{0}")]
    Engine(CallError),
    /// The weights are not in the store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Name {
    Declared(ModelName),
    /// With the context asked for: whether a prompt fits must not depend on what other stages ask for.
    Weights(BlobId, Option<u32>),
}

/// The engines of a run.
#[derive(Default)]
pub struct Engines {
    made: Mutex<Vec<(Name, Arc<dyn Engine>)>>,
    threads: Option<usize>,
}

impl std::fmt::Debug for Engines {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engines").field("threads", &self.threads).finish_non_exhaustive()
    }
}

impl Engines {
    /// No engine yet; embedded ones will use so many threads.
    #[must_use]
    pub fn new(threads: Option<usize>) -> Self {
        Self { made: Mutex::default(), threads }
    }

    /// The engine for a model that a stage names.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn get(
        &self,
        pipeline: &Pipeline,
        store: &Store,
        model: &ModelRef,
        weights: Option<&WeightsRecord>,
        context: Option<u32>,
    ) -> Result<Arc<dyn Engine>, EngineError> {
        let name = match (model, weights) {
            (ModelRef::Declared(name), _) => Name::Declared(name.clone()),
            (ModelRef::Weights(_), Some(record)) => Name::Weights(record.weights, context),
            (ModelRef::Weights(stage), None) => unreachable!("the record of `{stage}` is read before"),
        };
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, engine)) = made.iter().find(|(known, _)| *known == name) {
            return Ok(Arc::clone(engine));
        }
        let engine: Arc<dyn Engine> = match (model, weights) {
            (ModelRef::Declared(name), _) => match &pipeline.models[name] {
                Model::OpenAi(model) => Arc::new(OpenAiEngine::new(model).map_err(EngineError::Engine)?),
                Model::Scripted(model) => Arc::new(ScriptedEngine::new(model).map_err(EngineError::Engine)?),
            },
            (ModelRef::Weights(_), Some(record)) => self.embedded(record, store, context)?,
            (ModelRef::Weights(_), None) => unreachable!("handled above"),
        };
        made.push((name, Arc::clone(&engine)));
        Ok(engine)
    }

    #[cfg(feature = "llama")]
    fn embedded(
        &self,
        record: &WeightsRecord,
        store: &Store,
        context: Option<u32>,
    ) -> Result<Arc<dyn Engine>, EngineError> {
        use crate::engine::llama::{LlamaConfig, LlamaEngine};
        Ok(Arc::new(LlamaEngine::new(LlamaConfig {
            weights_path: store.verified(&record.weights)?,
            weights: record.weights,
            chat_template: record.chat_template,
            context,
            threads: self.threads,
        })))
    }

    #[cfg(not(feature = "llama"))]
    #[expect(clippy::unused_self, reason = "the same shape with and without the engine")]
    fn embedded(
        &self,
        _record: &WeightsRecord,
        _store: &Store,
        _context: Option<u32>,
    ) -> Result<Arc<dyn Engine>, EngineError> {
        Err(EngineError::Engine(CallError::new(
            crate::engine::EngineErrorKind::Unavailable,
            "this build has no embedded engine: build it with the default features",
        )))
    }
}
