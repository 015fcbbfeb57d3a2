//! Deterministic criteria: pure functions from a reply to a verdict with the words it rests on.
//!
//! Owns what a check is, how it is said in words and how it is decided. Never async, never I/O. Start at [`Check`]; a
//! stage compiles its checks once and evaluates the [`Compiled`] form on every reply.

mod compiled;
mod describe;

pub use compiled::{CheckError, Compiled, Finding};

use serde::{Deserialize, Serialize};

/// A deterministic criterion.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Check {
    /// The reply holds some (`all` = false) or all of the texts.
    Contains {
        /// The texts, never empty.
        texts: Vec<String>,
        /// Whether all are needed.
        all: bool,
        /// Whether case is ignored.
        ignore_case: bool,
    },
    /// The regular expression matches somewhere. Checked to compile.
    Regex(String),
    /// The number of words lies in the range, ends included.
    Words {
        /// Fewest.
        min: Option<usize>,
        /// Most.
        max: Option<usize>,
    },
    /// The reply is one JSON document, and satisfies the schema where there is one. Checked to be a schema.
    Json {
        /// The JSON schema.
        schema: Option<serde_json::Value>,
    },
    /// The check inside must not hold.
    Not(Box<Self>),
}

/// Cuts `text` to at most `most` characters, the last of which is then `…`.
pub(crate) fn cut(text: &str, most: usize) -> String {
    if text.chars().nth(most).is_none() {
        return text.to_owned();
    }
    text.chars().take(most - 1).chain(['…']).collect()
}
