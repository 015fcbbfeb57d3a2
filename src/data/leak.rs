//! Openings that stand in other texts, as summaries name them.

use serde::{Deserialize, Serialize};

use crate::ids::ScenarioId;

/// So many are named.
const NAMED: usize = 10;

/// An opening that stands in one of the texts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Leak {
    /// The scenario.
    pub scenario: ScenarioId,
    /// Its opening, or the beginning of it.
    pub opening: String,
    /// The share of its runs of words that are there, in [0, 1].
    pub share: f64,
}

/// What a search for openings in other texts came to.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeakReport {
    /// The files that were searched.
    pub files: Vec<String>,
    /// Openings that were looked for.
    pub checked: u64,
    /// Openings of too few words to tell.
    pub too_short: u64,
    /// Openings that were found.
    pub leaked: u64,
    /// The first of them.
    pub first: Vec<Leak>,
}

impl LeakReport {
    /// Takes in an opening that was found.
    pub fn add(&mut self, leak: Leak) {
        self.leaked += 1;
        if self.first.len() < NAMED {
            self.first.push(leak);
        }
    }
}
