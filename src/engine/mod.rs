//! Talking to models. An [`Engine`] takes a [`Request`] and gives a [`Reply`], or an [`EmbedRequest`] and an
//! [`Embedding`]; nothing happens in between that a caller could see, so an engine is free to batch and reorder.
//!
//! Owns limits, retries and what a reply is. Never knows stages, never prints. Start at [`Engine`].

mod command;
#[cfg(test)]
pub(crate) mod contract;
mod embed;
pub mod embedded;
mod error;
#[cfg(feature = "llama")]
pub mod llama;
pub mod memory;
pub mod openai;
mod question;
pub mod reasoning;
mod request;
mod retry;
pub mod scripted;
pub mod template;
#[cfg(test)]
pub(crate) mod test_server;
mod weigh;

pub use command::{CommandEngine, Ended, RunRequest};
pub use embed::{EmbedRequest, Embedding};
pub use error::{EngineError, EngineErrorKind};
pub use question::{Answer, Question, answer};
pub use request::{
    CallKeys, Finish, Message, Reply, ReplyForm, Request, Role, Sampling, Schema, Usage, Weighed, Words,
};

use futures_util::future::BoxFuture;
use serde_json::Value;

use crate::key::{BlobId, to_canonical};

/// What a model answers with, apart from the request: goes into every call's recipe.
///
/// Two engines with equal identities must be interchangeable. Never holds a path, a credential, a timeout or a limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity(pub Value);

impl Identity {
    /// A digest of what answers, under which its speed is remembered.
    #[must_use]
    pub fn digest(&self) -> BlobId {
        BlobId::of(to_canonical(&self.0).as_bytes())
    }
}

/// Something that answers requests.
pub trait Engine: Send + Sync {
    /// What answers, as it goes into recipes. Known before any weights are loaded or a server is asked.
    fn identity(&self) -> &Identity;

    /// How many requests are worth having in flight at once.
    fn width(&self) -> usize;

    /// Answers one request.
    fn complete<'a>(&'a self, request: &'a Request) -> BoxFuture<'a, Result<Reply, EngineError>>;

    /// Embeds one text. Where the engine or its model cannot, every such request fails with
    /// [`EngineErrorKind::Unsupported`]. The vector depends on weights and text alone, never on its company.
    fn embed<'a>(&'a self, request: &'a EmbedRequest) -> BoxFuture<'a, Result<Embedding, EngineError>>;

    /// Runs one program of the project. No model does that: see [`CommandEngine`].
    fn run<'a>(&'a self, _: &'a RunRequest) -> BoxFuture<'a, Result<Reply, EngineError>> {
        let error = EngineError::new(EngineErrorKind::Unsupported, "a model runs no programs");
        Box::pin(std::future::ready(Err(error)))
    }
}
