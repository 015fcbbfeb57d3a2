//! The embedded engine: llama.cpp in this process, one model an engine.
//!
//! Owns how a request becomes tokens (`prompt`, `vocabulary`), how the next token is chosen (`sample`, `constrain`) and
//! the thread that holds model and context (`worker`, `scheduler`, `lanes`, `load`; `embed` for embeddings). Never knows where weights come from
//! and never reads a network. Start at [`LlamaEngine`], then `worker`, then `scheduler`.
//!
//! A reply depends on the weights and the request alone: not on what was asked before or beside it, not on how much of
//! the prompt was still in memory, not on the number of threads. `lanes` says how.

mod constrain;
mod embed;
mod lanes;
mod load;
mod order;
pub(super) mod processor;
mod prompt;
mod room;
mod sample;
mod scheduler;
mod vocabulary;
mod weigh;
mod worker;
mod writer;

#[cfg(test)]
mod options_tests;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::embedded::{Parts, identity};
use super::{EmbedRequest, Embedding, Engine, EngineError, Identity, Reply, Request};
use crate::key::BlobId;
use crate::spec::KvCache;
use worker::Worker;

/// What an embedded engine answers with and how.
#[derive(Debug, Clone)]
pub struct LlamaConfig {
    /// The GGUF file.
    pub weights_path: PathBuf,
    /// blake3 of that file.
    pub weights: BlobId,
    /// blake3 of the chat template in the file; none if it carries none.
    pub chat_template: Option<BlobId>,
    /// What is laid over the weights.
    pub adapter: Option<AdapterConfig>,
    /// How keys and values are kept.
    pub kv_cache: KvCache,
    /// Layers that a graphics processor computes; all of them unless it is said.
    pub gpu_layers: Option<u32>,
    /// Which of llama.cpp's devices compute; all unless it is said.
    pub devices: Vec<usize>,
    /// Tokens that prompt and reply may have together; without it the model's training context, 4,096 at most.
    pub context: Option<u32>,
    /// Threads to compute with; without it one for each processor.
    pub threads: Option<usize>,
    /// Most replies that are computed at once; without it as many as are worth it.
    pub sequences: Option<usize>,
    /// Bytes of memory that may become cache, where that is known.
    pub cache_memory: Option<u64>,
}

impl LlamaConfig {
    /// Weights as they are, with all else as the engine sees fit.
    #[must_use]
    pub fn new(weights_path: PathBuf, weights: BlobId, chat_template: Option<BlobId>) -> Self {
        Self {
            weights_path,
            weights,
            chat_template,
            adapter: None,
            kv_cache: KvCache::F16,
            gpu_layers: None,
            devices: Vec::new(),
            context: None,
            threads: None,
            sequences: None,
            cache_memory: None,
        }
    }

    fn identity(&self) -> Identity {
        identity(&Parts {
            weights: self.weights,
            chat_template: self.chat_template,
            adapter: self.adapter.as_ref().map(|adapter| (adapter.file, adapter.scale)),
            kv_cache: self.kv_cache,
            gpu_layers: self.gpu_layers,
        })
    }
}

/// A LoRA adapter.
#[derive(Debug, Clone)]
pub struct AdapterConfig {
    /// The GGUF file.
    pub path: PathBuf,
    /// blake3 of that file.
    pub file: BlobId,
    /// What it is multiplied with.
    pub scale: f64,
}

/// Bytes of memory of graphics processors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GpuMemory {
    /// What nobody uses.
    pub free: u64,
    /// All there is.
    pub total: u64,
}

/// The memory of the graphics processors with these numbers, or of all; none where there is none.
#[must_use]
pub fn gpu_memory(devices: &[usize]) -> Option<GpuMemory> {
    load::gpu_memory(devices)
}

/// One model in this process, loaded when the first request comes and freed when the engine is dropped.
///
/// Dropping it abandons the request in progress at its next token and waits for the engine's thread to end.
#[derive(Debug)]
pub struct LlamaEngine {
    identity: Identity,
    width: usize,
    worker: Worker,
}

impl LlamaEngine {
    /// Makes an engine. No file is opened before the first request.
    #[must_use]
    pub fn new(config: LlamaConfig) -> Self {
        let width = 4 * room::most_lanes(&config);
        Self { identity: config.identity(), width, worker: Worker::start(config) }
    }
}

impl Engine for LlamaEngine {
    fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Several times what runs at once: those that begin alike are found among those that wait.
    fn width(&self) -> usize {
        self.width
    }

    fn complete<'a>(&'a self, request: &'a Request) -> BoxFuture<'a, Result<Reply, EngineError>> {
        self.worker.ask(request.clone()).boxed()
    }

    fn embed<'a>(&'a self, request: &'a EmbedRequest) -> BoxFuture<'a, Result<Embedding, EngineError>> {
        self.worker.embed(request.clone()).boxed()
    }
}
