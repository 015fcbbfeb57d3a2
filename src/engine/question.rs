//! What can be asked of an engine, of either sort, and what comes back: for those who keep calls and do not care which.
//!
//! Owns nothing but the two sums. Start at [`answer`].

use serde::Serialize;

use super::{EmbedRequest, Embedding, Engine, EngineError, Reply, Request, RunRequest, Usage};

/// One call to be.
#[derive(Debug, Clone, PartialEq)]
pub enum Question {
    /// A text to write, or words to weigh.
    Complete {
        /// Whom of those who are asked for texts: the first of them is 0.
        seat: usize,
        /// What is to be written.
        request: Request,
    },
    /// A text to embed.
    Embed(EmbedRequest),
    /// A program of the project to run. What it printed comes as a reply.
    Run(RunRequest),
}

/// What a call came to. Its JSON is that of what is in it: a reply is kept as it was before there was anything else.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Answer {
    /// What was written.
    Reply(Reply),
    /// Where the text lies.
    Embedding(Embedding),
}

/// Puts a question to an engine.
///
/// # Errors
/// The engine does not answer it.
pub async fn answer(engine: &dyn Engine, question: &Question) -> Result<Answer, EngineError> {
    match question {
        Question::Complete { seat: _, request } => engine.complete(request).await.map(Answer::Reply),
        Question::Embed(request) => engine.embed(request).await.map(Answer::Embedding),
        Question::Run(request) => engine.run(request).await.map(Answer::Reply),
    }
}

impl From<Request> for Question {
    fn from(request: Request) -> Self {
        Self::Complete { seat: 0, request }
    }
}

impl Question {
    /// The request for a text, if it is one.
    #[must_use]
    pub fn request(&self) -> Option<&Request> {
        match self {
            Self::Complete { seat: _, request } => Some(request),
            Self::Embed(_) | Self::Run(_) => None,
        }
    }

    /// Characters of what is asked.
    #[must_use]
    pub fn chars(&self) -> u64 {
        match self {
            Self::Complete { seat: _, request } => {
                request.messages.iter().map(|message| message.content.chars().count() as u64).sum()
            }
            Self::Embed(EmbedRequest { text }) => text.chars().count() as u64,
            Self::Run(RunRequest { command: _, input, timeout_s: _ }) => input.chars().count() as u64,
        }
    }

    /// Most tokens that the answer may have.
    #[must_use]
    pub fn max_tokens(&self) -> u32 {
        self.request().map_or(0, |request| request.max_tokens)
    }
}

impl Answer {
    /// Tokens it took.
    #[must_use]
    pub fn usage(&self) -> Usage {
        match self {
            Self::Reply(reply) => reply.usage,
            Self::Embedding(embedding) => embedding.usage(),
        }
    }

    /// Time the engine worked on it, in milliseconds.
    #[must_use]
    pub fn elapsed_ms(&self) -> u64 {
        match self {
            Self::Reply(reply) => reply.elapsed_ms,
            Self::Embedding(embedding) => embedding.elapsed_ms(),
        }
    }
}
