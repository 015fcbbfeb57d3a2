//! How far a judge's verdicts are those of people.

use serde::{Deserialize, Serialize};

use super::beside::Beside;
use crate::ids::CriterionId;

/// What the labels of people say about a judge, on one table of verdicts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Calibration {
    /// What became of the labels.
    pub labels: LabelCounts,
    /// Level of the intervals, in (0, 1).
    pub confidence: f64,
    /// Verdict by verdict, over all criteria that a judge is asked.
    pub verdicts: Compared,
    /// Reply by reply: the grade that the rubric makes of people's verdicts, and the judge's.
    pub replies: Compared,
    /// Replies with a label that have no grade to compare.
    pub replies_left_out: RepliesLeftOut,
    /// Per criterion that a judge is asked, in the rubric's order.
    pub criteria: Vec<CriterionCompared>,
    /// How people agree with each other; none where no two labelled the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub between_labellers: Option<BetweenLabellers>,
    /// How steady verdicts are when asked again; none where each question was asked once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steadiness: Option<Steadiness>,
    /// Whether long replies pass more easily than people find; none where that cannot be said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub length: Option<LengthEffect>,
    /// How another judge of the same replies compares; none where the stage names none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beside: Option<Beside>,
    /// What can be measured of the judge's reliability.
    pub lights: Vec<Reliability>,
    /// The bounds that the pipeline sets.
    pub floor: Vec<FloorBound>,
    /// Labelled replies, spread as `evalflow label` spreads them, that would bring the corrected pass rate to about ± as much.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needed: Vec<LabelsNeeded>,
}

impl Calibration {
    /// Why no decision may rest on this judge, in fragments; empty where one may.
    #[must_use]
    pub fn distrust(&self) -> Vec<String> {
        let red = self.lights.iter().filter(|light| light.light == Signal::Red).map(|light| light.words.clone());
        let below = self.floor.iter().filter(|bound| !bound.met).map(FloorBound::words);
        red.chain(below).collect()
    }
}

/// What became of the labels of a gold file; all but the first two, and those that hold, are out of every number.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LabelCounts {
    /// All that hold.
    pub all: u64,
    /// Made on a reply of the table, about a criterion that a judge is asked.
    pub used: u64,
    /// Who made those, sorted.
    pub labellers: Vec<String>,
    /// Made on another reply to a scenario of the table than the one in it.
    pub stale: u64,
    /// About scenarios, or answers to them, that the table does not have.
    pub elsewhere: u64,
    /// About criteria that code decides, or that do not apply to the scenario.
    pub not_asked: u64,
    /// Verdicts on which people are divided, so that none counts.
    pub tied: u64,
}

/// Replies with labels whose grades are not compared.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RepliesLeftOut {
    /// Not all criteria that a judge is asked and that apply have a label.
    pub incomplete: u64,
    /// People are divided on one of them.
    pub tied: u64,
    /// One of both grades is neither a pass nor a failure.
    pub ungraded: u64,
}

/// People's verdicts against the judge's: rows are people, columns the judge.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Confusion {
    /// Both pass it.
    pub both_pass: u64,
    /// People pass it, the judge does not.
    pub wrongly_failed: u64,
    /// The judge passes it, people do not.
    pub wrongly_passed: u64,
    /// Both fail it.
    pub both_fail: u64,
}

impl Confusion {
    /// Takes in one verdict.
    pub fn add(&mut self, people: bool, judge: bool) {
        *(match (people, judge) {
            (true, true) => &mut self.both_pass,
            (true, false) => &mut self.wrongly_failed,
            (false, true) => &mut self.wrongly_passed,
            (false, false) => &mut self.both_fail,
        }) += 1;
    }

    /// All verdicts.
    #[must_use]
    pub fn n(&self) -> u64 {
        self.both_pass + self.wrongly_failed + self.wrongly_passed + self.both_fail
    }

    /// As a table for coefficients of agreement.
    #[must_use]
    pub fn rows(&self) -> [[u64; 2]; 2] {
        [[self.both_pass, self.wrongly_failed], [self.wrongly_passed, self.both_fail]]
    }
}

/// A number with its interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Measured {
    /// The number.
    pub point: f64,
    /// Lower end.
    pub lo: f64,
    /// Upper end.
    pub hi: f64,
}

/// How the verdicts of people and those of a judge compare.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Compared {
    /// The judge's passes in the whole table, labelled or not.
    pub judged_passed: u64,
    /// The judge's passes and failures there.
    pub judged: u64,
    /// Where both pass or fail.
    pub table: Confusion,
    /// Labelled, and out of the table because one of both says neither.
    pub not_compared: u64,
    /// The share on which both agree, with Wilson's interval; null for none.
    pub agreement: Option<Measured>,
    /// Cohen's κ; null where all are of one class. Its interval and that of AC1 are Wilson's of the agreement, beyond chance,
    /// with as many verdicts as would give κ the error of Fleiss, Cohen and Everitt, and no more than there are.
    pub kappa: Option<Measured>,
    /// Gwet's AC1, its interval by its large-sample error; null for none.
    pub ac1: Option<Measured>,
    /// The share that the judge passes of what people pass, with Wilson's interval; null for none.
    pub sensitivity: Option<Measured>,
    /// The share that it fails of what people fail, likewise.
    pub specificity: Option<Measured>,
    /// Youden's J, sensitivity + specificity − 1, by which a true improvement shows; null without labels of both kinds.
    pub informedness: Option<Measured>,
}

/// One criterion.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CriterionCompared {
    /// Which.
    pub criterion: CriterionId,
    /// How people and judge compare on it.
    pub compared: Compared,
}

/// How people agree with each other, over pass, fail and not applicable.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BetweenLabellers {
    /// Verdicts that two or more gave.
    pub items: u64,
    /// Krippendorff's α over all of them; null where all are of one class.
    pub alpha: Option<f64>,
    /// Each two that share some, by name.
    pub pairs: Vec<LabellerPair>,
}

/// Two people.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LabellerPair {
    /// One.
    pub one: String,
    /// The other.
    pub other: String,
    /// What both labelled.
    pub items: u64,
    /// On how many of them they agree.
    pub agreed: u64,
    /// Cohen's κ; null where all are of one class.
    pub kappa: Option<f64>,
    /// Gwet's AC1.
    pub ac1: Option<f64>,
}

/// How steady a judge is on questions that it was asked equally often.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Steadiness {
    /// Questions.
    pub items: u64,
    /// How often each was asked.
    pub asked: u64,
    /// How often two answers to one question differ, on average.
    pub disagreement: f64,
    /// The share of questions on which not all answers agree, with Wilson's interval.
    pub flipped: Measured,
}

/// What length does to a judge at the same truth.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LengthEffect {
    /// What a reply e times as long adds to the logit of a pass.
    pub slope: f64,
    /// The slope in standard errors.
    pub z: f64,
    /// The probability of one as large, either way, without any bias.
    pub p: f64,
}

/// How far something is to be relied on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Signal {
    /// Good.
    Green,
    /// To be looked at.
    Amber,
    /// Nothing may be decided.
    Red,
}

impl Signal {
    /// The name used in files and in reports.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Green => "green",
            Self::Amber => "amber",
            Self::Red => "red",
        }
    }
}

/// One measure of a judge's reliability.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reliability {
    /// Which: `labels`, `informedness`, `agreement`, `disagreement`, `unreadable`, `misquoted` or `length`.
    pub measure: String,
    /// Its value; null where it cannot be said, which is red.
    pub value: Option<f64>,
    /// The light that goes with it.
    pub light: Signal,
    /// It in words, a fragment.
    pub words: String,
}

/// A bound that the pipeline sets on a judge.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FloorBound {
    /// `kappa`, `ac1`, `sensitivity` or `specificity`, over all verdicts.
    pub measure: String,
    /// The least that is asked for.
    pub least: f64,
    /// What was found; null where it cannot be said, which does not meet a bound.
    pub found: Option<f64>,
    /// Whether the bound is met.
    pub met: bool,
}

impl FloorBound {
    /// It in words, a fragment.
    #[must_use]
    pub fn words(&self) -> String {
        let name = match self.measure.as_str() {
            "kappa" => "Cohen's κ",
            "ac1" => "Gwet's AC1",
            other => other,
        };
        match self.found {
            Some(found) if self.met => format!("{name} is {found:.2}, at least the {} asked for", self.least),
            // Rounded down, lest it look as if it reached the bound.
            Some(found) => {
                format!("{name} is {:.2}, below the {} asked for", (found * 100.0).floor() / 100.0, self.least)
            }
            None => format!("{name} cannot be said, and {} is asked for", self.least),
        }
    }
}

/// How many labelled replies bring the corrected pass rate how near.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LabelsNeeded {
    /// Half the width of the interval.
    pub half_width: f64,
    /// Labelled replies in all.
    pub replies: u64,
}
