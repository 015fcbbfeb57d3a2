//! The embedded engine: llama.cpp in this process, one model an engine.
//!
//! Owns how a request becomes tokens (`prompt`, `vocabulary`), how the next token is chosen (`sample`, `constrain`) and
//! the thread that holds model and context (`worker`, `session`, `load`). Never knows where weights come from and never
//! reads a network. Start at [`LlamaEngine`], then `worker`.
//!
//! A reply depends on the weights and the request alone: not on what was asked before, not on how much of the prompt
//! was still in memory, not on the number of threads. `session` says how.

mod constrain;
mod load;
mod prompt;
mod sample;
mod session;
mod vocabulary;
mod worker;

#[cfg(test)]
mod tests;

use std::path::PathBuf;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::embedded::identity;
use super::{Engine, EngineError, Identity, Reply, Request};
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
}

/// One model in this process, loaded when the first request comes and freed when the engine is dropped.
///
/// Dropping it abandons the request in progress at its next token and waits for the engine's thread to end.
#[derive(Debug)]
pub struct LlamaEngine {
    identity: Identity,
    worker: Worker,
}

impl LlamaEngine {
    /// Makes an engine. No file is opened before the first request.
    #[must_use]
    pub fn new(config: LlamaConfig) -> Self {
        Self { identity: identity(config.weights, config.chat_template), worker: Worker::start(config) }
    }
}

impl Engine for LlamaEngine {
    fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Enough that the queue is never empty between two replies; the requests themselves are answered one by one.
    fn width(&self) -> usize {
        4
    }

    fn complete<'a>(&'a self, request: &'a Request) -> BoxFuture<'a, Result<Reply, EngineError>> {
        self.worker.ask(request.clone()).boxed()
    }
}
