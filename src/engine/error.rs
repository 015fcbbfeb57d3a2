//! Why an engine could not answer.

use std::time::Duration;

/// What kind of failure it was: what code that recovers branches on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EngineErrorKind {
    /// May work if asked again: a time-out, a broken connection, a server error.
    Transient,
    /// The server asks to be left alone for a while.
    RateLimited {
        /// How long, where it says so.
        after: Option<Duration>,
    },
    /// This request will never be answered by this engine; others may be.
    Rejected,
    /// The engine cannot answer requests of this form, such as how likely words are: no such request will be answered.
    Unsupported,
    /// Credentials are missing or wrong: no request will be answered.
    Auth,
    /// An answer came that is not one.
    BadReply,
    /// Prompt and reply together do not fit into the context.
    ContextOverflow {
        /// How many tokens too many.
        tokens_over: u32,
    },
    /// The engine itself cannot work (no weights, no memory, no such model): no request will be answered.
    Unavailable,
}

/// An engine's failure to answer one request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct EngineError {
    /// What kind of failure it was.
    pub kind: EngineErrorKind,
    /// A sentence for people that says which engine or endpoint answered what. Never holds a credential.
    pub message: String,
    /// The way on as an imperative sentence, where the engine knows better than its kind of failure tells.
    pub help: Option<String>,
}

impl EngineError {
    /// A failure of `kind` that is explained by `message`.
    pub fn new(kind: EngineErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), help: None }
    }

    /// The same with the way on.
    #[must_use]
    pub fn with_help(self, help: impl Into<String>) -> Self {
        Self { help: Some(help.into()), ..self }
    }

    /// Whether asking other things of the same form of the same engine is pointless.
    #[must_use]
    pub fn is_fatal(&self) -> bool {
        match self.kind {
            EngineErrorKind::Auth | EngineErrorKind::Unavailable | EngineErrorKind::Unsupported => true,
            EngineErrorKind::Transient
            | EngineErrorKind::RateLimited { .. }
            | EngineErrorKind::Rejected
            | EngineErrorKind::BadReply
            | EngineErrorKind::ContextOverflow { .. } => false,
        }
    }
}
