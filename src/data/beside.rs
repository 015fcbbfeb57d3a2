//! How two judges of the same replies compare: with people, and with each other.
//!
//! The first one is that of the stage's `verdicts`. Orientation is fixed: a difference is the second judge's share less that of
//! the first.

use serde::{Deserialize, Serialize};

use super::calibration::{Confusion, Measured};
use super::comparison::DifferenceClusters;

/// Two judges beside each other.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Beside {
    /// Verdicts that people labelled, and that both judges pass or fail, by who of them is right.
    pub rights: Rights,
    /// The first judge and people, on those.
    pub first: WithPeople,
    /// The second judge and people, on the same ones.
    pub second: WithPeople,
    /// By how much the share on which the second agrees with people is above that of the first, with Newcombe's interval for paired
    /// shares, and as far as the one over `clusters` where that reaches further; null without such a verdict.
    pub difference: Option<Measured>,
    /// McNemar's mid-p: the probability of as unequal a number of verdicts on which one alone is right, if both were right equally
    /// often; that of the test over `clusters` where it is larger.
    pub p: f64,
    /// The smallest difference that so many verdicts show in four cases of five, if the judges differ as often as here; none where even
    /// all that differ would not, or none does. Scenarios whose verdicts resemble each other show less.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detectable: Option<f64>,
    /// The scenarios with such verdicts, as verdicts on one reply, and on several to one scenario, are not independent; none where
    /// each has one verdict.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clusters: Option<DifferenceClusters>,
    /// Verdicts that people pass or fail and a judge does not: in none of the above.
    pub left_open: LeftOpen,
    /// How far the judges agree with each other, on all replies.
    pub each_other: EachOther,
}

/// Labelled verdicts by who of two judges says what people say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rights {
    /// Both.
    pub both: u64,
    /// The first one only.
    pub only_first: u64,
    /// The second one only.
    pub only_second: u64,
    /// Neither.
    pub neither: u64,
}

impl Rights {
    /// All verdicts.
    #[must_use]
    pub fn n(&self) -> u64 {
        self.both + self.only_first + self.only_second + self.neither
    }
}

/// One of both judges and people.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WithPeople {
    /// Their verdicts.
    pub table: Confusion,
    /// How far they agree.
    pub agreed: Agreed,
}

/// How far two agree on what both pass or fail.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Agreed {
    /// The share on which they do, with Wilson's interval; null for none.
    pub agreement: Option<Measured>,
    /// Cohen's κ, its interval by the error of Fleiss, Cohen and Everitt; null where all are of one class.
    pub kappa: Option<Measured>,
    /// Gwet's AC1, its interval by its large-sample error; null for none.
    pub ac1: Option<Measured>,
}

/// Verdicts of which a judge says neither pass nor fail.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeftOpen {
    /// The first one only.
    pub first: u64,
    /// The second one only.
    pub second: u64,
    /// Both.
    pub both: u64,
}

/// Two judges and each other.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EachOther {
    /// All verdicts that both pass or fail, labelled or not.
    pub table: BothJudges,
    /// How far they agree on those.
    pub agreed: Agreed,
    /// Verdicts that one of both passes or fails and the other does not: out of the table.
    pub left_open: u64,
}

/// Verdicts by what two judges say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BothJudges {
    /// Both pass it.
    pub both_pass: u64,
    /// The first one passes it, the second does not.
    pub only_first_passes: u64,
    /// The second one passes it, the first does not.
    pub only_second_passes: u64,
    /// Both fail it.
    pub both_fail: u64,
}

impl BothJudges {
    /// Takes in one verdict.
    pub fn add(&mut self, first: bool, second: bool) {
        *(match (first, second) {
            (true, true) => &mut self.both_pass,
            (true, false) => &mut self.only_first_passes,
            (false, true) => &mut self.only_second_passes,
            (false, false) => &mut self.both_fail,
        }) += 1;
    }

    /// All verdicts.
    #[must_use]
    pub fn n(&self) -> u64 {
        self.both_pass + self.only_first_passes + self.only_second_passes + self.both_fail
    }

    /// As a table for coefficients of agreement.
    #[must_use]
    pub fn rows(&self) -> [[u64; 2]; 2] {
        [[self.both_pass, self.only_first_passes], [self.only_second_passes, self.both_fail]]
    }
}
