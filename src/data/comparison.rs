//! What a comparison of two tables of verdicts came to.
//!
//! Orientation is fixed: a gain passes with the new arm only, and a difference is the new rate less that of the base.

use serde::{Deserialize, Serialize};

use super::corrected::CorrectedTarget;
use super::decision::{Quotes, Rate};
use super::rows::is_first;
use crate::ids::{CriterionId, GuardName, ScenarioId};

/// A comparison and all that it rests on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Comparison {
    /// What became of the target.
    pub verdict: ComparisonVerdict,
    /// Why nothing that is here may be relied on; none where it may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blocked: Option<WhyBlocked>,
    /// Whether the target shows what it must, and no guard was lost.
    pub gate: GateOutcome,
    /// Sentences that explain the verdict, without capital and full stop; what decides comes first.
    pub reasons: Vec<String>,
    /// What the new arm has to show, `improve` or `hold`.
    pub goal: String,
    /// The largest loss that counts as none.
    pub margin: f64,
    /// The interval had to lie above this for an improvement.
    pub min_improvement: f64,
    /// The seed of all that was drawn.
    pub seed: u64,
    /// The suite on which the new arm is to be better.
    pub target: Contrast,
    /// The same without the judge's errors, where labels tell of them: then a verdict takes both.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub corrected: Option<CorrectedTarget>,
    /// Whether the target was held, where that is the goal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<NoRegression>,
    /// The suites on which it must not be worse, sorted by name.
    pub guards: Vec<GuardResult>,
}

/// What became of the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ComparisonVerdict {
    /// Shown to be better by more than was asked for.
    Improved,
    /// Shown to differ by no more than counts as none.
    NoDifference,
    /// Shown to be worse.
    Regressed,
    /// None of these is shown.
    Inconclusive,
}

impl ComparisonVerdict {
    /// The name used in files and on the terminal.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Improved => "improved",
            Self::NoDifference => "no_difference",
            Self::Regressed => "regressed",
            Self::Inconclusive => "inconclusive",
        }
    }
}

/// Why a comparison can be relied on in nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WhyBlocked {
    /// Too many rows have no grade on one side, or nothing is there to compare.
    Ungraded,
    /// The judge makes up what it quotes.
    Untrusted,
}

/// What a gate says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GateOutcome {
    /// What was asked for is shown.
    Passed,
    /// The contrary is shown.
    Failed,
    /// Neither is.
    Inconclusive,
}

impl GateOutcome {
    /// The name used in files and on the terminal.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::Inconclusive => "inconclusive",
        }
    }
}

/// A suite on which the new arm must not be worse.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GuardResult {
    /// Its name.
    pub name: GuardName,
    /// Why nothing that is here may be relied on; none where it may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blocked: Option<WhyBlocked>,
    /// Whether it held.
    pub gate: NoRegression,
    /// What it rests on.
    pub contrast: Contrast,
}

/// Whether a suite is shown to be no worse than a margin allows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoRegression {
    /// The verdict: never a pass where so few scenarios could not have shown one, a failure where a topic was lost, and neither where the
    /// rates without the judge's errors do not bear it out.
    pub verdict: GateOutcome,
    /// What the interval alone says.
    pub by_interval: GateOutcome,
    /// The largest loss that counts as none.
    pub margin: f64,
    /// The interval that was asked, for a test of one side: 90 % where others have 95 %.
    pub difference: RateDifference,
    /// Whether the new arm is also no better than by the margin.
    pub equivalent: bool,
    /// Whether it held, with a loss that is small but real.
    pub small_loss: bool,
    /// The probability of a difference as good as this if the new arm were worse by exactly the margin; none of rows that are not
    /// paired.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p: Option<f64>,
    /// The margin that so many rows can support; none without any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub margin_supported: Option<f64>,
    /// How many scenarios the margin takes, if the arms are as good and differ as often.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scenarios_needed: Option<u64>,
    /// Topics that lost more than chance explains, the surest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lost_topics: Vec<LostTopic>,
}

/// A topic that lost.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LostTopic {
    /// Its name.
    pub topic: String,
    /// Scenarios of it that became better.
    pub gains: u64,
    /// Scenarios of it that became worse.
    pub losses: u64,
    /// One-sided mid-p, adjusted by Holm over all topics that are large enough.
    pub p: f64,
}

/// Two arms on one suite.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Contrast {
    /// Whether rows were paired; else the arms are compared as two samples, which sees less.
    pub paired: bool,
    /// What is paired, and what is left out.
    pub counts: PairCounts,
    /// How the judge quoted on both sides.
    pub quotes: Quotes,
    /// The base's pass rate over the pairs, or over all of its rows where these are not paired.
    pub base: Rate,
    /// The new arm's, likewise.
    pub new: Rate,
    /// The new rate less that of the base, with the interval that decides.
    pub difference: RateDifference,
    /// Of the interval over rows and the one over clusters of them, the one that does not decide, where their widths differ by
    /// more than a fifth.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub other_interval: Option<RateDifference>,
    /// Whether there are too few clusters for any interval over them.
    pub too_few_clusters: bool,
    /// Tests that there is no difference; none of rows that are not paired.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tests: Option<DifferenceTests>,
    /// The difference of mean scores; none of rows that are not paired or have no scores.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scores: Option<ScoreDifference>,
    /// The smallest difference that so many rows show in four runs of five; none where even all that differ would not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detectable: Option<f64>,
    /// How many scenarios would show a difference of this size in four runs of five.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scenarios_needed: Option<u64>,
    /// Why the difference, or its size, is noise; none where it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub noise: Option<Noise>,
    /// Criteria: critical ones first, then those with the largest differences.
    pub criteria: Vec<CriterionDifference>,
    /// Topics, sorted by name.
    pub topics: Vec<DifferenceGroup>,
    /// Styles, sorted by name.
    pub styles: Vec<DifferenceGroup>,
    /// Replies that pass now and did not.
    pub gains: Flips,
    /// Replies that passed and do not now.
    pub losses: Flips,
    /// How long replies are; none without any pair.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub length: Option<LengthDifference>,
}

/// What is paired, and what is left out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PairCounts {
    /// Pairs with a grade on both sides; the four that follow add up to this.
    pub pairs: u64,
    /// Both pass.
    pub both: u64,
    /// The new one passes, the base fails.
    pub gains: u64,
    /// The new one fails, the base passes.
    pub losses: u64,
    /// Both fail.
    pub neither: u64,
    /// Scenarios with such a pair.
    pub scenarios: u64,
    /// Pairs that are left out because one side has no grade.
    pub ungraded: LeftOut,
    /// Pairs that are left out because too few criteria apply on one side.
    pub invalid: LeftOut,
    /// Rows whose scenario has other content on the other side, counted once.
    pub changed: u64,
    /// Rows of the base without a counterpart.
    pub only_base: u64,
    /// Rows of the new arm without a counterpart.
    pub only_new: u64,
}

/// Pairs that are left out, by the side that is to blame.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeftOut {
    /// The base alone.
    pub base: u64,
    /// The new arm alone.
    pub new: u64,
    /// Both.
    pub both: u64,
}

impl LeftOut {
    /// All of them.
    #[must_use]
    pub fn all(&self) -> u64 {
        let Self { base, new, both } = self;
        base + new + both
    }
}

/// A difference of pass rates with its interval, in [-1, 1].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RateDifference {
    /// The difference; null without any row.
    pub point: Option<f64>,
    /// Lower end.
    pub lo: f64,
    /// Upper end.
    pub hi: f64,
    /// Level of the interval.
    pub confidence: f64,
    /// `newcombe_paired`; `cr1_by_topic` and `cr1_by_scenario` with the error between clusters, and as many degrees of freedom as that is
    /// known to; `mover_unpaired`, or `mover_corrected` of rates without the judge's errors.
    pub method: String,
    /// Rows that count: pairs, or the rows of both arms where these are not paired.
    pub n: u64,
    /// What clusters do to it; none where rows count as independent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clusters: Option<DifferenceClusters>,
}

/// How much the differences of one cluster resemble each other.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DifferenceClusters {
    /// How many there are.
    pub clusters: u64,
    /// So many independent rows would say as much.
    pub n_eff: f64,
    /// `n / n_eff`.
    pub design_effect: f64,
}

/// Tests that gains and losses are equally likely, over scenarios.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DifferenceTests {
    /// Scenarios that became better.
    pub gains: u64,
    /// Scenarios that became worse.
    pub losses: u64,
    /// McNemar's exact test.
    pub mcnemar_exact: f64,
    /// Its mid-p variant.
    pub mcnemar_midp: f64,
    /// What decides: the mid-p value, or that over clusters where it is larger.
    pub p: f64,
}

/// A difference of mean scores.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScoreDifference {
    /// The base's mean score.
    pub base: f64,
    /// The new arm's.
    pub new: f64,
    /// The mean difference.
    pub difference: f64,
    /// Its interval, over what is independent: at each end the wider one of the bootstrap's (BCa) and of that with an estimated error,
    /// since few differences among many that are 0 make resamples too much alike. None for fewer than two of those.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<(f64, f64)>,
    /// Level of the interval.
    pub confidence: f64,
    /// How many resamples it rests on.
    pub resamples: u64,
    /// Whether the interval is little worth, as where all resamples lie on one side.
    pub degenerate: bool,
    /// The probability of a difference as large if each sign were a coin's.
    pub p: f64,
}

/// Why a difference, or its size, is noise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Noise {
    /// It may be none at all.
    IncludesZero,
    /// There is one, but smaller than so many rows show reliably: its size is luck.
    BelowDetectable,
}

/// The family of tests that a p-value was adjusted in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Family {
    /// Critical criteria, adjusted by Holm.
    Critical,
    /// The others, adjusted by Benjamini and Hochberg.
    Exploratory,
}

/// One criterion in both arms.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CriterionDifference {
    /// Which.
    pub criterion: CriterionId,
    /// The family in which its p-value was adjusted.
    pub family: Family,
    /// Its pass rate with the new arm less that with the base, where both have a verdict.
    pub difference: RateDifference,
    /// Pairs in which it holds now and did not.
    pub gains: u64,
    /// Pairs in which it held and does not now.
    pub losses: u64,
    /// The probability of so much, either way, without a difference.
    pub p: f64,
    /// The same, adjusted for how many criteria there are in the family.
    pub p_adjusted: f64,
    /// Whether that is below 0.05, or below 0.10 for those that are explored.
    pub significant: bool,
}

/// A topic or style in both arms.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DifferenceGroup {
    /// Its name.
    pub name: String,
    /// The base's pass rate; null without a pair.
    pub base: Option<f64>,
    /// The new arm's.
    pub new: Option<f64>,
    /// The difference.
    pub difference: RateDifference,
    /// Pairs that became better.
    pub gains: u64,
    /// Pairs that became worse.
    pub losses: u64,
    /// The probability of so much, either way, without a difference, adjusted by Benjamini and Hochberg over the table.
    pub p_adjusted: f64,
}

/// Replies whose grade flipped one way.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Flips {
    /// How many there are.
    pub count: u64,
    /// In how many of them each criterion flipped the same way: most first, then by id.
    pub criteria: Vec<(CriterionId, u64)>,
    /// The first of them in the order of rows.
    pub shown: Vec<Flip>,
}

/// One reply whose grade flipped. Texts longer than 600 characters end in `…`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Flip {
    /// Where.
    pub scenario: ScenarioId,
    /// Which of several answers to it, from 0.
    #[serde(default, skip_serializing_if = "is_first")]
    pub repetition: u32,
    /// What was asked.
    pub opening: String,
    /// What the base answered.
    pub base: String,
    /// What the new arm answered.
    pub new: String,
    /// Criteria that hold now and did not.
    pub gained: Vec<CriterionId>,
    /// Criteria that held and do not now.
    pub lost: Vec<CriterionId>,
}

/// How long the replies of pairs are, in words.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LengthDifference {
    /// The base's mean.
    pub base: f64,
    /// The new arm's mean.
    pub new: f64,
    /// Pairs in which the new reply is longer.
    pub longer: u64,
    /// Pairs in which it is shorter.
    pub shorter: u64,
}
