//! The engines of a run: made when a stage first needs one, shared by all stages that use the same model, and dropped when
//! none does any more or another one needs the memory.

use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::BoxFuture;

use super::StageFailure;
use super::model_files::{File, Files};
use crate::data::WeightsRecord;
use crate::engine::embedded;
use crate::engine::memory::{Fit, Shortage};
use crate::engine::openai::{self, OpenAiEngine};
use crate::engine::scripted::ScriptedEngine;
use crate::engine::{
    CommandEngine, EmbedRequest, Embedding, Engine, EngineError as CallError, EngineErrorKind, Identity, Message,
    Question, Reply, ReplyForm, Request, Role, Sampling,
};
use crate::fetch::{self, Access, gguf};
use crate::ids::{ModelName, StageId};
use crate::net;
use crate::plan::{self, Loaded, Needs, Slot};
use crate::spec::{Embedded, Model, ModelRef, Pipeline, Stage, WeightsSource};
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
    /// What a stage brought is not what the model takes it for.
    #[error("{message}")]
    WrongFile {
        /// What it is instead.
        message: String,
        /// The way on.
        help: &'static str,
    },
}

impl EngineError {
    /// The way on, as an imperative sentence.
    #[must_use]
    pub fn help(&self) -> Option<String> {
        match self {
            Self::Engine(_) | Self::BadRecord { .. } => None,
            Self::Store(error) => Some(error.help()),
            Self::WrongFile { message: _, help } => Some((*help).to_owned()),
        }
    }
}

/// Tokens of context that new weights are tried with.
const TRIAL_CONTEXT: u32 = 256;

/// Whether new weights were seen to work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Tried {
    /// They made a token.
    Yes,
    /// They were not loaded, for this reason.
    No(String),
    /// They were not loaded, for this reason, and nobody expected it.
    Unexpected(&'static str),
}

/// Who answers a stage's calls.
pub(super) struct Asker {
    pub(super) engine: Arc<dyn Engine>,
    /// Whether the context's size is in the stage's key: then a prompt that does not fit never will, and is an answer.
    pub(super) context_is_keyed: bool,
}

/// Who answers a stage's calls of each sort.
pub(super) struct Askers {
    /// By seat.
    pub(super) texts: Vec<Asker>,
    pub(super) embeddings: Option<Asker>,
    pub(super) commands: Option<Asker>,
}

impl Askers {
    /// Who answers a question that the stage asks.
    pub(super) fn of(&self, question: &Question) -> &Asker {
        let asker = match question {
            Question::Complete { seat, request: _ } => self.texts.get(*seat),
            Question::Embed(_) => self.embeddings.as_ref(),
            Question::Run(_) => self.commands.as_ref(),
        };
        asker.expect("a stage that asks has somebody to ask")
    }

    /// All of them.
    pub(super) fn all(&self) -> impl Iterator<Item = &Asker> {
        self.texts.iter().chain(&self.embeddings).chain(&self.commands)
    }

    /// How many rows are worth having in work at once; none where nobody is asked.
    pub(super) fn width(&self) -> Option<usize> {
        self.all().map(|asker| asker.engine.width().max(1)).max()
    }
}

/// How the models of a stage that asks several on the embedded engine share the memory; empty for any other stage.
#[derive(Default)]
struct Panel {
    /// Bytes that each may take.
    rooms: Vec<(Embedded, u64)>,
    /// What is missing, where they do not fit side by side.
    shortage: Option<Shortage>,
}

impl Panel {
    fn room(&self, model: &Embedded) -> Option<u64> {
        self.rooms.iter().find(|(of, _)| of == model).map(|(_, room)| *room)
    }

    /// Why none of them is loaded, and the way on.
    fn refusal(&self) -> Option<(String, String)> {
        let shortage = self.shortage.as_ref()?;
        let help = "judge with each of them in a `judge` stage of its own, which loads one model at a time, or name servers \
                    or smaller models";
        Some((format!("the judges of a panel do not fit into memory side by side: {shortage}"), help.to_owned()))
    }
}

/// An engine that was made.
struct Made {
    name: Name,
    engine: Arc<dyn Engine>,
    /// Bytes that it may take of this machine's memory.
    bytes: u64,
    is_needed: bool,
}

#[derive(Debug, Clone, PartialEq)]
enum Name {
    Declared(ModelName),
    /// With the context asked for: whether a prompt fits must not depend on what other stages ask for.
    Embedded(Box<Embedded>, Option<u32>),
}

/// The engines of a run.
#[derive(Default)]
pub struct Engines {
    /// The one asked last at the end.
    made: Mutex<Vec<Made>>,
    limits: Limits,
    access: Access,
    /// Where programs of checks are looked for.
    path: Option<String>,
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
    /// Whether new weights are to make a token before they count as here.
    pub tries_weights: bool,
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
        Self { made: Mutex::default(), limits, access: Access::default(), path: None }
    }

    /// The same, with what the user's environment says about where weights come from.
    #[must_use]
    pub fn with_access(self, access: Access) -> Self {
        Self { access, ..self }
    }

    /// The same, with the `PATH` along which programs of checks are looked for.
    #[must_use]
    pub fn with_path(self, path: Option<&String>) -> Self {
        Self { path: path.cloned(), ..self }
    }

    /// What the user's environment says about where weights come from.
    pub(super) fn access(&self) -> &Access {
        &self.access
    }

    /// Most rows that one stage has in work at once.
    #[must_use]
    pub fn jobs(&self) -> Option<usize> {
        self.limits.jobs
    }

    /// Whether weights may be brought from there.
    pub(super) fn may_fetch(&self, source: &WeightsSource) -> Result<(), StageFailure> {
        if !self.limits.offline || fetch::is_here(source, &self.access) {
            return Ok(());
        }
        let message = format!("{} would be fetched, and the run is offline", source.without_query());
        Err(StageFailure::new(message, Some("run once without `--offline`, or import a baseline".to_owned())))
    }

    /// Whether the hub may be searched.
    pub(super) fn may_search(&self) -> Result<(), StageFailure> {
        if !self.limits.offline || fetch::is_hub_here(&self.access) {
            return Ok(());
        }
        let message = "the hub would be asked for a catalog, and the run is offline";
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
        let panel = self.panel(store, stage, known)?;
        let asker = |model: &ModelRef| self.asker(pipeline, store, stage, model, &panel, known);
        let texts = stage::seats(stage).iter().map(asker).collect::<Result<_, _>>()?;
        let embeddings = stage::embedder(stage).map(asker).transpose()?;
        Ok(Askers { texts, embeddings, commands: self.runner(pipeline, stage, known)? })
    }

    /// Who runs a stage's programs. Nothing of another machine is asked by it, so `--offline` allows it.
    fn runner(
        &self,
        pipeline: &Pipeline,
        stage: &Stage,
        known: &impl Known<Error = StoreError>,
    ) -> Result<Option<Asker>, EngineError> {
        let Some(identity) = stage::command_identity(stage, known)? else { return Ok(None) };
        let engine = CommandEngine::new(&pipeline.root, self.path.clone(), identity);
        Ok(Some(Asker { engine: Arc::new(engine), context_is_keyed: false }))
    }

    /// How models on the embedded engine share the memory where one stage asks several of them for texts: calls of a row
    /// go to all of them at once, so that all are in memory together or none is.
    fn panel(
        &self,
        store: &Store,
        stage: &Stage,
        known: &impl Known<Error = StoreError>,
    ) -> Result<Panel, EngineError> {
        let models: Vec<(&ModelRef, &Embedded)> =
            stage::seats(stage).iter().filter_map(|model| Some((model, model.embedded()?))).collect();
        let free = models.iter().map(|(_, embedded)| self.free_memory(embedded)).min().flatten();
        let (true, Some(free)) = (models.len() > 1, free) else { return Ok(Panel::default()) };
        let needs = |(model, embedded): &(&ModelRef, &Embedded)| {
            Ok(Files::read(embedded, store, known)?.needs(embedded, stage::context(stage, model)))
        };
        let needs = models.iter().map(needs).collect::<Result<Vec<_>, EngineError>>()?;
        // What is in memory already may hold more than its share.
        let is_of_panel = |made: &Made| match &made.name {
            Name::Declared(_) => false,
            Name::Embedded(of, _) => models.iter().any(|(_, embedded)| *embedded == &**of),
        };
        self.made.lock().unwrap_or_else(PoisonError::into_inner).retain(|made| !is_of_panel(made));
        Ok(match plan::side_by_side(&needs, free) {
            Ok(rooms) => {
                let rooms = models.iter().zip(rooms).map(|((_, embedded), room)| ((*embedded).clone(), room));
                Panel { rooms: rooms.collect(), shortage: None }
            }
            Err(shortage) => Panel { rooms: Vec::new(), shortage: Some(shortage) },
        })
    }

    fn asker(
        &self,
        pipeline: &Pipeline,
        store: &Store,
        stage: &Stage,
        model: &ModelRef,
        panel: &Panel,
        known: &impl Known<Error = StoreError>,
    ) -> Result<Asker, EngineError> {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        let name = match model {
            ModelRef::Embedded(embedded) => Name::Embedded(embedded.clone(), stage::context(stage, model)),
            ModelRef::Declared(name) => Name::Declared(name.clone()),
        };
        let context_is_keyed = matches!(name, Name::Embedded(..));
        let found = made.iter().position(|made| made.name == name);
        let entry = match (found, &name) {
            (Some(at), _) => made.remove(at),
            (None, Name::Declared(declared)) => {
                let engine = self.declared(&pipeline.models[declared])?;
                Made { name, engine, bytes: 0, is_needed: true }
            }
            (None, Name::Embedded(model, context)) => {
                let files = Files::read(model, store, known)?;
                let free = panel.room(model).or_else(|| self.free_memory(model));
                let (fit, refusal) = match (files.needs(model, *context).fit(free), panel.refusal()) {
                    (_, Some(refusal)) => (None, Some(refusal)),
                    (Ok(fit), None) => (Some(fit), None),
                    (Err(shortage), None) => (None, Some((shortage.to_string(), shortage.help()))),
                };
                let bytes = fit.map_or(0, |fit| fit.total);
                self.make_room(&mut made, bytes);
                let engine = match refusal {
                    // What was answered before is in the store; nothing is loaded that cannot fit.
                    Some((message, help)) => Arc::new(Absent {
                        identity: files.identity(model),
                        error: CallError::new(EngineErrorKind::Unavailable, message).with_help(help),
                    }),
                    None => self.embedded(model, *context, &files, store, fit)?,
                };
                Made { name, engine, bytes, is_needed: true }
            }
        };
        let engine = Arc::clone(&entry.engine);
        made.push(entry);
        Ok(Asker { engine, context_is_keyed })
    }

    fn declared(&self, model: &Model) -> Result<Arc<dyn Engine>, EngineError> {
        Ok(match model {
            Model::OpenAi(model) if self.limits.offline && !is_here(&model.base_url) => Arc::new(Absent {
                identity: openai::identity(model),
                error: CallError::new(
                    EngineErrorKind::Unavailable,
                    format!("{} would be asked, and the run is offline", model.base_url),
                ),
            }),
            Model::OpenAi(model) => Arc::new(OpenAiEngine::new(model).map_err(EngineError::Engine)?),
            Model::Scripted(model) => Arc::new(ScriptedEngine::new(model).map_err(EngineError::Engine)?),
        })
    }

    /// Has new weights make one token, where that is possible here.
    ///
    /// # Errors
    /// They cannot be loaded or answer nothing.
    pub(super) async fn try_weights(
        &self,
        stage: &StageId,
        record: &WeightsRecord,
        header: &gguf::Header,
        store: &Store,
    ) -> Result<Tried, EngineError> {
        if !cfg!(feature = "llama") {
            return Ok(Tried::Unexpected("this build has no embedded engine"));
        }
        if !self.limits.tries_weights {
            return Ok(Tried::Unexpected("it was not wanted"));
        }
        let encodes_only = header.architecture.contains("bert") || header.architecture.contains("encoder");
        if header.adapter.is_some() || encodes_only {
            return Ok(Tried::No("it writes no text by itself".to_owned()));
        }
        if !self.made.lock().unwrap_or_else(PoisonError::into_inner).is_empty() {
            return Ok(Tried::No("another model is in memory".to_owned()));
        }
        let model = Embedded::of(stage.clone());
        let context = Some(TRIAL_CONTEXT);
        let needs = Needs::of_header(header, record.bytes, 0, &model, context).for_requests(1);
        let fit = match needs.fit(self.free_memory(&model)) {
            Ok(fit) => fit,
            Err(shortage) => return Ok(Tried::No(shortage.to_string())),
        };
        let file = File { record: record.clone(), header: header.clone() };
        let engine = self.embedded(&model, context, &Files { weights: file, adapter: None }, store, Some(fit))?;
        let request = Request {
            messages: vec![Message::new(Role::User, "Hello")],
            sampling: Sampling::Greedy,
            max_tokens: 1,
            form: ReplyForm::Free,
            repetition: 0,
        };
        engine.complete(&request).await.map_err(EngineError::Engine)?;
        // The engine's thread ends, and its memory is free, before others look for some.
        tokio::task::block_in_place(|| drop(engine));
        Ok(Tried::Yes)
    }

    /// Drops the embedded models that none of `needed` names.
    pub(super) fn keep(&self, needed: &[Slot<'_>]) {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        made.retain(|made| match &made.name {
            Name::Declared(_) => true,
            Name::Embedded(model, context) => {
                needed.iter().any(|slot| *slot.model == **model && slot.context == *context)
            }
        });
    }

    /// Whether a stage's model is in memory, or would be with its first call.
    pub(super) fn is_loaded(&self, slot: Slot<'_>) -> bool {
        let made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        made.iter().any(|made| match &made.name {
            Name::Declared(_) => false,
            Name::Embedded(model, context) => *slot.model == **model && slot.context == *context,
        })
    }

    /// Drops embedded models until one of `bytes` fits beside those that stay. Dropping waits until its memory is free.
    fn make_room(&self, made: &mut Vec<Made>, bytes: u64) {
        let embedded: Vec<usize> = (0..made.len()).filter(|at| matches!(made[*at].name, Name::Embedded(..))).collect();
        let loaded: Vec<Loaded> =
            embedded.iter().map(|at| Loaded { bytes: made[*at].bytes, is_needed: made[*at].is_needed }).collect();
        for gone in plan::leaves(&loaded, bytes, self.limits.memory).into_iter().rev() {
            made.remove(embedded[gone]);
        }
    }

    /// Bytes that are free where the model would lie; none where nobody knows.
    fn free_memory(&self, model: &Embedded) -> Option<u64> {
        match embedded::BACKEND {
            "cuda" | "vulkan" => gpu_memory(model),
            _ => self.limits.memory,
        }
    }

    #[cfg(feature = "llama")]
    fn embedded(
        &self,
        model: &Embedded,
        context: Option<u32>,
        files: &Files,
        store: &Store,
        fit: Option<Fit>,
    ) -> Result<Arc<dyn Engine>, EngineError> {
        use crate::engine::llama::{AdapterConfig, LlamaConfig, LlamaEngine};
        let adapter = match files.adapter.as_ref().zip(model.adapter.as_ref()) {
            None => None,
            Some((File { record, .. }, adapter)) => Some(AdapterConfig {
                path: store.verified(&record.weights)?,
                file: record.weights,
                scale: adapter.scale,
            }),
        };
        let File { record, .. } = &files.weights;
        Ok(Arc::new(LlamaEngine::new(LlamaConfig {
            adapter,
            kv_cache: model.kv_cache,
            gpu_layers: model.gpu_layers,
            devices: model.devices.clone(),
            context,
            threads: self.limits.threads,
            sequences: model.sequences,
            // Where nobody knows how much is free, the engine may try.
            cache_memory: self.free_memory(model).and(fit).map(|fit| fit.cache),
            ..LlamaConfig::new(store.verified(&record.weights)?, record.weights, record.chat_template)
        })))
    }

    #[cfg(not(feature = "llama"))]
    #[expect(clippy::unused_self, reason = "the same shape with and without the engine")]
    fn embedded(
        &self,
        _model: &Embedded,
        _context: Option<u32>,
        _files: &Files,
        _store: &Store,
        _fit: Option<Fit>,
    ) -> Result<Arc<dyn Engine>, EngineError> {
        Err(EngineError::Engine(CallError::new(
            EngineErrorKind::Unavailable,
            "this build has no embedded engine: build it with the default features",
        )))
    }
}

#[cfg(feature = "llama")]
fn gpu_memory(model: &Embedded) -> Option<u64> {
    // With some layers on each side nobody knows how much goes where.
    model
        .gpu_layers
        .is_none()
        .then(|| crate::engine::llama::gpu_memory(&model.devices))
        .flatten()
        .map(|memory| memory.free)
}

#[cfg(not(feature = "llama"))]
fn gpu_memory(_model: &Embedded) -> Option<u64> {
    None
}

/// Whether an address is on this machine.
fn is_here(url: &str) -> bool {
    url.parse().is_ok_and(|url| net::is_loopback(&url))
}

/// Stands in for a model that must not be asked: what it answered before is in the store under its identity.
struct Absent {
    identity: Identity,
    error: CallError,
}

impl Engine for Absent {
    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn width(&self) -> usize {
        1
    }

    fn complete<'a>(&'a self, _request: &'a Request) -> BoxFuture<'a, Result<Reply, CallError>> {
        Box::pin(async { Err(self.error.clone()) })
    }

    fn embed<'a>(&'a self, _request: &'a EmbedRequest) -> BoxFuture<'a, Result<Embedding, CallError>> {
        Box::pin(async { Err(self.error.clone()) })
    }
}
