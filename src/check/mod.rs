//! Deterministic criteria: pure functions from a reply to a verdict with the words it rests on.
//!
//! Owns what a check is, how it is said in words and how it is decided. Never async, never I/O. Start at [`Check`]; a
//! stage compiles its checks once and evaluates the [`Compiled`] form on every reply.

mod compiled;
mod count;
mod describe;
mod documented;
mod language;
mod number;
mod refusal;
mod similar;
mod texts;

pub use compiled::{CheckError, Compiled, Fill, Finding, Subject, Undecided};
pub use documented::{DOCUMENTED, Documented};
pub use language::Language;
pub use number::{Tolerance, Which};
pub use refusal::PATTERNS as REFUSAL_PATTERNS;
pub use similar::{Measure, bleu, levenshtein, rouge_l};

use serde::{Deserialize, Serialize};

/// A deterministic criterion.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Check {
    /// The reply holds some (`all` = false) or all of the texts.
    Contains {
        /// The texts, never empty.
        texts: Vec<Text>,
        /// Whether all are needed.
        all: bool,
        /// Whether case is ignored.
        ignore_case: bool,
    },
    /// The reply begins with one of the texts; white space around it does not count.
    StartsWith {
        /// The texts, never empty.
        texts: Vec<Text>,
        /// Whether case is ignored.
        ignore_case: bool,
    },
    /// The reply ends with one of the texts; white space around it does not count.
    EndsWith {
        /// The texts, never empty.
        texts: Vec<Text>,
        /// Whether case is ignored.
        ignore_case: bool,
    },
    /// The reply is one of the texts.
    Equals {
        /// The texts, never empty.
        texts: Vec<Text>,
        /// Whether case is ignored.
        ignore_case: bool,
        /// Whether white space around the reply and around the texts does not count.
        trim: bool,
    },
    /// The regular expression matches somewhere. Checked to compile, where it is no template.
    Regex(Text),
    /// The number of words lies within the bounds.
    Words(Bounds),
    /// The number of sentences lies within the bounds.
    Sentences(Bounds),
    /// The number of characters lies within the bounds.
    Characters(Bounds),
    /// The number of tokens that the model generated lies within the bounds.
    Tokens(Bounds),
    /// What the tokens of prompt and reply cost is at most so much.
    Cost {
        /// US dollars.
        max: f64,
        /// What a million tokens of prompts costs, in US dollars.
        prompt: f64,
        /// What a million generated tokens costs, in US dollars.
        completion: f64,
    },
    /// The engine worked on the reply for at most so long.
    Latency {
        /// Seconds.
        max: f64,
    },
    /// The reply is surely in one of the languages, never none.
    Language(Vec<Language>),
    /// The reply is one JSON document, and satisfies the schema where there is one. Checked to be a schema.
    Json {
        /// The JSON schema.
        schema: Option<serde_json::Value>,
    },
    /// The reply is like one of the texts.
    Similar {
        /// The texts, never empty.
        to: Vec<Text>,
        /// How likeness is measured.
        by: Measure,
        /// The least that is enough, in (0, 1].
        min: f64,
    },
    /// The reply names a number.
    Number {
        /// The number, or a template that gives one.
        near: Text,
        /// How far from it is near enough.
        within: Tolerance,
        /// Which of the reply's numbers counts.
        which: Which,
    },
    /// The reply refuses, in words that are listed in [`REFUSAL_PATTERNS`]. The number tells these from others in keys.
    #[serde(rename = "refusal_2")]
    Refusal,
    /// The check inside must not hold.
    Not(Box<Self>),
}

/// A text that a check compares with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Text {
    /// The same for all scenarios.
    Plain(String),
    /// Made anew for each.
    Template {
        /// What is filled in: a template over the scenario. Whoever loads the check has seen that it parses.
        template: String,
    },
}

impl Text {
    /// The text, or the template that makes it.
    #[must_use]
    pub fn source(&self) -> &str {
        match self {
            Self::Plain(text) | Self::Template { template: text } => text,
        }
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self::Plain(text.to_owned())
    }
}

/// Fewest and most of what is counted, ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bounds {
    /// Fewest.
    pub min: Option<usize>,
    /// Most.
    pub max: Option<usize>,
}

impl Check {
    /// The templates that must be filled in before the check can be decided.
    pub fn templates(&self) -> impl Iterator<Item = &str> {
        self.texts().iter().filter_map(|text| match text {
            Text::Plain(_) => None,
            Text::Template { template } => Some(template.as_str()),
        })
    }

    fn texts(&self) -> &[Text] {
        match self {
            Self::Contains { texts, .. }
            | Self::StartsWith { texts, .. }
            | Self::EndsWith { texts, .. }
            | Self::Equals { texts, .. }
            | Self::Similar { to: texts, .. } => texts,
            Self::Regex(text) | Self::Number { near: text, .. } => std::slice::from_ref(text),
            Self::Not(inner) => inner.texts(),
            Self::Words(_)
            | Self::Sentences(_)
            | Self::Characters(_)
            | Self::Tokens(_)
            | Self::Cost { .. }
            | Self::Latency { .. }
            | Self::Language(_)
            | Self::Json { .. }
            | Self::Refusal => &[],
        }
    }
}

/// Cuts `text` to at most `most` characters, the last of which is then `…`.
pub(crate) fn cut(text: &str, most: usize) -> String {
    if text.chars().nth(most).is_none() {
        return text.to_owned();
    }
    text.chars().take(most - 1).chain(['…']).collect()
}
