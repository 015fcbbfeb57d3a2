//! Which of two replies to one scenario a judge prefers, and what that comes to over all of them.

use serde::{Deserialize, Serialize};

use super::rows::{Scenario, is_first};

/// One scenario with two replies.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preference {
    /// What was asked.
    pub scenario: Scenario,
    /// Which of several answers to the scenario are compared, from 0; a table without repeats does not name it.
    #[serde(default, skip_serializing_if = "is_first")]
    pub repetition: u32,
    /// The reply of the base; none where it has none.
    pub base: Option<String>,
    /// The other reply.
    pub new: Option<String>,
    /// What the judge said with the base's reply in the first place; none where it was not asked or could not be read.
    pub first_order: Option<Choice>,
    /// What it said with the other reply in the first place.
    pub second_order: Option<Choice>,
    /// What both come to.
    pub preferred: Preferred,
    /// Why: the judge's reasons in both orders, or what is missing.
    pub reasons: Vec<String>,
}

/// One of two replies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Choice {
    /// The base's.
    Base,
    /// The other.
    New,
}

/// What the choices in both orders come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Preferred {
    /// The base's reply, in both orders.
    Base,
    /// The other reply, in both orders.
    New,
    /// Neither: both are the same text, or the order decided.
    Tie,
    /// Nobody could say. Never counts as a win.
    Ungraded,
}

impl Preferred {
    /// The name used in files.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Base => "base",
            Self::New => "new",
            Self::Tie => "tie",
            Self::Ungraded => "ungraded",
        }
    }
}

/// What the preferences over all scenarios come to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preferences {
    /// Pairs of replies.
    pub pairs: u64,
    /// Pairs in which the new reply is preferred in both orders.
    pub new: u64,
    /// Pairs in which the base's is.
    pub base: u64,
    /// Pairs of equal texts, about which nobody was asked.
    pub same: u64,
    /// Pairs in which the reply in the first place was preferred, whichever it was.
    pub first: u64,
    /// Pairs in which the reply in the second place was.
    pub second: u64,
    /// Pairs without a verdict: not in the rate.
    pub ungraded: u64,
    /// How often the new reply is preferred, ties as a half.
    pub win_rate: Option<WinRate>,
    /// The probability of so unequal a number of wins if neither were better: an exact sign test.
    pub p: f64,
    /// The first pairs in which the order decided, by scenario.
    pub flipped: Vec<String>,
}

/// A rate of wins with its interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WinRate {
    /// Wins and half of the ties among all that were graded, in [0, 1].
    pub point: f64,
    /// Lower end.
    pub lo: f64,
    /// Upper end.
    pub hi: f64,
    /// Level of the interval, in (0, 1).
    pub confidence: f64,
    /// Pairs that count.
    pub n: u64,
}
