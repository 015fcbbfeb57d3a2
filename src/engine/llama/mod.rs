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
mod tests;

use std::path::PathBuf;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::embedded::identity;
use super::{EmbedRequest, Embedding, Engine, EngineError, Identity, Reply, Request};
use crate::key::BlobId;
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
    /// Tokens that prompt and reply may have together; without it the model's training context, 4,096 at most.
    pub context: Option<u32>,
    /// Threads to compute with; without it one for each processor.
    pub threads: Option<usize>,
    /// Most replies that are computed at once; without it as many as are worth it.
    pub sequences: Option<usize>,
    /// Bytes of memory that are free for the engine; half of them may become cache.
    pub memory: Option<u64>,
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
        Self { identity: identity(config.weights, config.chat_template), width, worker: Worker::start(config) }
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
