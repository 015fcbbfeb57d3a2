//! What the numbers mean.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::corrected::Corrected;
use super::failure_modes::FailureModes;
use super::gates::{GateCheck, ScoreInterval};
use super::looked::Looked;
use super::other_model::OtherModel;
use super::review_sheet::ReviewSheet;
use super::rows::is_first;
use crate::ids::{CriterionId, ScenarioId};

/// The decision and all that it rests on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Decision {
    /// What to do.
    pub outcome: Outcome,
    /// Where the pass rate itself lies, whatever its interval; none without a valid scenario. Never a decision.
    pub point_outcome: Option<Outcome>,
    /// The outcomes whose bands the interval touches, best first; one alone unless the interval spans a threshold.
    pub possible: Vec<Outcome>,
    /// The pass rate.
    pub rate: Rate,
    /// The thresholds used.
    pub thresholds: Thresholds,
    /// How the scenarios came out.
    pub counts: Counts,
    /// How the judge quoted.
    pub quotes: Quotes,
    /// Mean score in [0, 1] of the graded scenarios.
    pub mean_score: Option<f64>,
    /// What would settle an inconclusive outcome: one entry a threshold inside the interval, highest first. Empty for all
    /// other outcomes.
    pub more: Vec<More>,
    /// The gate, where the pipeline sets one.
    pub gate: Option<GateResult>,
    /// Sentences that explain the outcome, without capital and full stop; what decides comes first.
    pub reasons: Vec<String>,
    /// Per criterion: most failures first, then the critical ones, then by id.
    pub criteria: Vec<CriterionSummary>,
    /// Per topic, sorted by name.
    pub topics: Vec<GroupSummary>,
    /// Per style, sorted by name.
    pub styles: Vec<GroupSummary>,
    /// The three graded replies with the highest scores, best first; equal scores in order of scenario id.
    pub best: Vec<Example>,
    /// The three with the lowest, worst first: the other end of the same order, so that no reply is among both unless
    /// fewer than six are graded.
    pub worst: Vec<Example>,
    /// The rates corrected for the judge's errors, where the judge is calibrated: then these decide, and `rate` is as the judge
    /// sees it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub corrected: Option<Corrected>,
    /// What scenarios have in common that makes them a cluster: `topic`, or the name of an axis; none where they have nothing in
    /// common, or are told to be independent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// Whether all rates are about the scenarios of this suite only, and say nothing about others.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub suite_only: bool,
    /// What the failures cost and where they are; none where the outcome is `deploy`, or nothing failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure_modes: Option<FailureModes>,
    /// The interval of the mean score, clustered as the rate is; none with fewer than two clusters, and for a suite alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score_interval: Option<ScoreInterval>,
    /// The gates, in the order of the pipeline, but for those on how long calls took: these are no part of a result.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gates: Vec<GateCheck>,
    /// What a person is to read before the model is deployed; none for other outcomes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub review_sheet: Option<ReviewSheet>,
    /// How far the decision has looked, where it may stop early.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sequential: Option<Looked>,
    /// The other of two models, where a backup was looked at too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub other: Option<Box<OtherModel>>,
}

impl Decision {
    /// The rate whose interval decides: the corrected one where the judge is calibrated.
    #[must_use]
    pub fn deciding(&self) -> Rate {
        match &self.corrected {
            None => self.rate.clone(),
            Some(Corrected { rate, .. }) => {
                Rate { point: rate.point, lo: rate.lo, hi: rate.hi, method: rate.method.clone(), ..self.rate.clone() }
            }
        }
    }
}

/// What to do with the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Good enough as it is.
    Deploy,
    /// Worth fine-tuning.
    FineTune,
    /// Needs the full pipeline: data, training, evaluation.
    FullPipeline,
    /// The interval spans a threshold: more scenarios are needed.
    Inconclusive,
    /// Too many scenarios have no verdict, none is valid, or the judge cannot be trusted.
    Blocked,
}

impl Outcome {
    /// The name used in files and on the terminal.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Deploy => "deploy",
            Self::FineTune => "fine_tune",
            Self::FullPipeline => "full_pipeline",
            Self::Inconclusive => "inconclusive",
            Self::Blocked => "blocked",
        }
    }
}

/// A pass rate with its interval.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    /// `passed / n`; null for n = 0.
    pub point: Option<f64>,
    /// Lower end, 0 for n = 0.
    pub lo: f64,
    /// Upper end, 1 for n = 0.
    pub hi: f64,
    /// Level of the interval, in (0, 1).
    pub confidence: f64,
    /// `wilson`; `wilson_clustered` where rows belong together; `suite` for the bounds of a rate that is about these scenarios
    /// only, and `suite_part` while only a part of them is known; that of a [`super::Sequence`] where the decision may stop early
    /// and did; that of a corrected rate where it decides.
    pub method: String,
    /// Scenarios that passed; with several answers each, answers.
    pub passed: u64,
    /// Scenarios that count: passed and failed ones; with several answers each, answers.
    pub n: u64,
    /// What rows that belong together are worth; none where each stands for itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clustered: Option<ClusteredRate>,
}

/// How much rows that belong together resemble each other: the answers to one scenario, or all of one topic.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClusteredRate {
    /// Scenarios with an answer that counts.
    pub scenarios: u64,
    /// So many rows that have nothing in common would say as much.
    pub n_eff: f64,
    /// `n / n_eff`.
    pub design_effect: f64,
    /// The degrees of freedom of Student's t in the interval: one less than there are clusters, or fewer where little but a few of
    /// them tells how much they vary.
    pub degrees: f64,
    /// How many topics (or values of an axis) the scenarios are of; none where each scenario is a cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clusters: Option<u64>,
}

/// That clusters tell less than their number is said from this share of it on.
const NEARLY_ALL: f64 = 0.9;

impl ClusteredRate {
    /// How many clusters there are, whatever they are.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.clusters.unwrap_or(self.scenarios)
    }

    /// How many clusters alike in size, of a rate near one half, would tell the design effect as well, to be said behind it; nothing where
    /// that is nearly as many as there are.
    #[must_use]
    pub fn known_words(&self) -> String {
        let alike = self.degrees + 1.0;
        if alike >= NEARLY_ALL * self.number() as f64 {
            return String::new();
        }
        let what = if self.clusters.is_some() { "clusters" } else { "scenarios" };
        format!(", known only as from {alike:.1} {what}")
    }
}

/// Pass rates at which the outcome changes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Thresholds {
    /// From here: deploy.
    pub deploy: f64,
    /// From here: fine-tune.
    pub fine_tune: f64,
}

/// How the scenarios came out; the last four add up to `total`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counts {
    /// All scenarios; where they have several answers each, all answers, and so are the others.
    pub total: u64,
    /// All scenarios, where they have several answers each.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scenarios: Option<u64>,
    /// Met the pass rule.
    pub passed: u64,
    /// Did not.
    pub failed: u64,
    /// Not graded: not in the rate.
    pub ungraded: u64,
    /// Too few criteria applied: not in the rate.
    pub invalid: u64,
}

/// How often the words that a judge quoted were in the reply: the cheapest sign of whether it read it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quotes {
    /// Verdicts whose quoted words are in the reply.
    pub found: u64,
    /// Verdicts whose quoted words are not.
    pub missing: u64,
    /// Whether so many are missing that no decision can rest on this judge.
    pub untrusted: bool,
}

/// How many scenarios would settle one threshold.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct More {
    /// The threshold inside the interval.
    pub threshold: f64,
    /// Scenarios in all, if the rate stays where it is; none if no number up to a million would do.
    pub scenarios: Option<u64>,
    /// In so many topics (or values of an axis) in all, each of as many scenarios as now; none where scenarios are not
    /// clustered by them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clusters: Option<u64>,
}

/// Whether the gate let the run pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GateResult {
    /// The least outcome asked for.
    pub least: Outcome,
    /// Whether the outcome reaches it.
    pub passed: bool,
}

/// One criterion over all scenarios.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CriterionSummary {
    /// Which.
    pub criterion: CriterionId,
    /// Whether failing it fails a scenario.
    pub critical: bool,
    /// Its pass rate among pass and fail.
    pub rate: Rate,
    /// Verdicts `fail`.
    pub failed: u64,
    /// Verdicts `not_applicable`.
    pub not_applicable: u64,
    /// Verdicts `ungraded`.
    pub ungraded: u64,
    /// Mean probability of `pass` over pass and fail, where the judge weighed words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mean_pass_probability: Option<f64>,
    /// How the levels fell, where the judge gave levels of a scale.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub levels: Option<Levels>,
    /// Topics with failures: most failures first, then by name.
    pub failed_topics: Vec<FailedIn>,
    /// Styles with failures: most failures first, then by name.
    pub failed_styles: Vec<FailedIn>,
    /// The first failures in the order of rows, at most three.
    pub examples: Vec<Failure>,
}

/// How the levels of a scale fell.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Levels {
    /// The mean.
    pub mean: f64,
    /// Level → how often it was given; a level between two counts for the nearer, or the upper where neither is.
    pub counts: BTreeMap<u32, u64>,
}

/// How often one criterion failed in one topic or style.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FailedIn {
    /// The topic or style.
    pub name: String,
    /// Verdicts `fail` there, at least one.
    pub failed: u64,
    /// Verdicts `pass` and `fail` there.
    pub graded: u64,
}

/// One failed verdict. Texts longer than 2,000 characters end in `…`, here and in [`Example`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Failure {
    /// Where.
    pub scenario: ScenarioId,
    /// Which of several answers to it, from 0.
    #[serde(default, skip_serializing_if = "is_first")]
    pub repetition: u32,
    /// What was asked.
    pub opening: String,
    /// What was answered.
    pub reply: String,
    /// The words it rests on.
    pub evidence: String,
    /// Why it failed.
    pub reason: String,
    /// How likely the judge found `pass`, where it weighed words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pass_probability: Option<f64>,
}

/// A topic or style over its scenarios.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupSummary {
    /// Its name.
    pub name: String,
    /// Its pass rate.
    pub rate: Rate,
    /// Its scenarios without a grade.
    pub ungraded: u64,
}

/// A reply worth reading.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Example {
    /// Where.
    pub scenario: ScenarioId,
    /// Which of several answers to it, from 0.
    #[serde(default, skip_serializing_if = "is_first")]
    pub repetition: u32,
    /// What was asked.
    pub opening: String,
    /// What was answered.
    pub reply: String,
    /// Its score in [0, 1].
    pub score: f64,
    /// Criteria that failed.
    pub failed: Vec<CriterionId>,
}
