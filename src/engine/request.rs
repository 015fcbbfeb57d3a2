//! The plain data an engine takes and gives.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Identity;
use crate::key::Recipe;

/// Raised when the same request would be put to a model in another way.
const CALL_VERSION: u32 = 1;

/// Who speaks in a [`Message`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Instructions.
    System,
    /// The person.
    User,
    /// The model.
    Assistant,
}

impl Role {
    /// The name that chat templates and HTTP interfaces use.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Assistant => "assistant",
        }
    }
}

/// One turn of a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// What is said, fully rendered.
    pub content: String,
}

impl Message {
    /// A turn of `role` that says `content`.
    pub fn new(role: Role, content: impl Into<String>) -> Self {
        Self { role, content: content.into() }
    }
}

/// How the next token is chosen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Sampling {
    /// Always the likeliest token (`temperature: 0`); no seed can change the reply.
    Greedy,
    /// Drawn from the distribution.
    Seeded {
        /// Above 0; 1 leaves the model's distribution as it is.
        temperature: f64,
        /// Nucleus: the smallest set of tokens whose probability reaches this, in (0, 1].
        top_p: f64,
        /// Seed of the draw.
        seed: u64,
    },
}

impl Sampling {
    fn recipe(self) -> Value {
        match self {
            Self::Greedy => json!("greedy"),
            Self::Seeded { temperature, top_p, seed } => {
                json!({ "temperature": temperature, "top_p": top_p, "seed": seed })
            }
        }
    }
}

/// A JSON schema that a reply must satisfy. Cheap to clone: one is shared by all rows of a stage.
#[derive(Debug, Clone, PartialEq)]
pub struct Schema {
    /// A name for interfaces that ask for one: letters, digits, `_`.
    pub name: Arc<str>,
    /// The JSON schema. Members are generated in the order of `required`.
    pub json: Arc<Value>,
}

/// One question to a model: with the engine's [`Identity`], all that decides the reply.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// The conversation so far, rendered; ends with a user turn.
    pub messages: Vec<Message>,
    /// How tokens are chosen.
    pub sampling: Sampling,
    /// Most tokens to generate.
    pub max_tokens: u32,
    /// What the reply must look like, if it must.
    pub schema: Option<Schema>,
    /// Which of several independent samples this is, from 0.
    pub repetition: u32,
}

impl Request {
    /// The recipe of the call: this request put to that engine.
    #[must_use]
    pub fn recipe(&self, identity: &Identity) -> Recipe {
        // Without `..`: a new field does not compile until it is in the key.
        let Self { messages, sampling, max_tokens, schema, repetition } = self;
        let schema = schema.as_ref().map(|Schema { name: _, json }| json.as_ref());
        Recipe::new(
            "call",
            CALL_VERSION,
            json!({
                "engine": identity.0,
                "messages": messages,
                "sampling": sampling.recipe(),
                "max_tokens": max_tokens,
                "schema": schema,
                "repetition": repetition,
            }),
        )
    }
}

/// Why a reply ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Finish {
    /// The model was done.
    Stop,
    /// `max_tokens` was reached first.
    Length,
}

/// Tokens that one call took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Tokens of the rendered prompt.
    pub prompt_tokens: u32,
    /// Of these, tokens whose computation was shared with an earlier request.
    pub cached_tokens: u32,
    /// Tokens generated.
    pub completion_tokens: u32,
}

/// What a model answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reply {
    /// The text, raw: parsing is left to whoever asked.
    pub text: String,
    /// Why it ended.
    pub finish: Finish,
    /// Tokens it took.
    pub usage: Usage,
    /// Time the engine worked on it, in milliseconds: without waiting in a queue or between retries.
    pub elapsed_ms: u64,
}
