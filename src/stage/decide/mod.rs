//! `decide`: verdicts → one decision, with all that it rests on.
//!
//! Owns how verdicts are counted, what blocks a decision and the sentences that explain it; what an interval allows is
//! left to `stats`. Whole-table, but rows are only counted: memory does not grow with them. Rows of one scenario, which lie
//! side by side, are a cluster. Start at [`Tally`].

mod backup;
mod correct;
mod criteria;
mod examples;
mod gates;
mod levels;
mod modes;
mod more;
mod rated;
mod reasons;
mod review;
mod sequential;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde_json::{Value, json};

pub use self::backup::{combine, of_backup};
use self::correct::correct;
use self::criteria::CriterionTally;
use self::examples::{best_first, keep};
pub use self::gates::{Side, Taken, Times, check, check_latency};
use self::modes::{Failures, Patterns, failure_modes};
use self::more::what_would_settle;
use self::rated::{Manner, Place, Rated, Spread};
use self::reasons::{Findings, blocked_because, reasons};
use self::review::Sheet;
use self::sequential::{Looking, settle};
pub use self::sequential::{conclude, of_base};
use crate::data::{
    Calibration, Counts, CriterionSummary, Decision, Example, GateResult, Grade, GroupSummary, Judged, Outcome, Quote,
    Quotes, Rate, Thresholds,
};
use crate::ids::{CriterionId, ScenarioId, StageId};
use crate::key::BlobId;
use crate::spec::{self, Bound, ClusterBy, GateRule, Metric, Pipeline, Price, Rubric, Stage};
use crate::stats::{self, FEWEST_CLUSTERS, Interval};

/// Raised when the same verdicts would give another decision.
pub const VERSION: u32 = 4;

/// The stage's own fields, as they go into its recipe.
#[must_use]
pub fn fields(decide: &spec::Decide) -> Value {
    let spec::Decide {
        verdicts: _,
        deploy,
        fine_tune,
        confidence,
        max_ungraded,
        gate,
        gates,
        answers: _,
        answers_of_bases: _,
        cluster,
        target,
        seed,
        calibration: _,
        votes,
        sequential,
        backup: _,
    } = decide;
    let mut fields = json!({
        "deploy": deploy,
        "fine_tune": fine_tune,
        "confidence": confidence,
        "max_ungraded": max_ungraded,
        "gate": gate,
    });
    // What a file leaves out is in no key.
    match cluster {
        ClusterBy::Topic => {}
        ClusterBy::Nothing => fields["cluster"] = json!("none"),
        ClusterBy::Axis(axis) => fields["cluster"] = json!({ "axis": axis }),
    }
    match target {
        spec::Target::Population => {}
        spec::Target::Suite => fields["target"] = json!("suite"),
    }
    if *seed != 0 {
        fields["seed"] = json!(seed);
    }
    match votes {
        spec::Votes::Majority => {}
        spec::Votes::DawidSkene(rubric) => fields["votes"] = json!({ "dawid_skene": rubric }),
    }
    if let Some(looks) = sequential {
        fields["sequential"] = looks_field(*looks);
    }
    // How long calls took is in no result, and so neither is what is asked of it.
    let gates: Vec<Value> = gates.iter().filter(|gate| gate.metric != Metric::LatencyP95).map(gate_fields).collect();
    if !gates.is_empty() {
        fields["gates"] = json!(gates);
    }
    fields
}

/// How far a decision has come, as it goes into the recipe.
#[must_use]
pub fn looks_field(looks: spec::Looks) -> Value {
    let spec::Looks { first, now, scenarios } = looks;
    json!({ "first": first, "now": now, "scenarios": scenarios })
}

/// What tokens cost, as it goes into the recipe.
fn price_field(Price { prompt, completion }: Price) -> Value {
    json!({ "prompt": prompt, "completion": completion })
}

/// A gate as it goes into the recipe. The stage that it names is known by what it came to: see [`inputs`].
fn gate_fields(gate: &GateRule) -> Value {
    let (metric, of) = gate.metric.name();
    let bound = match &gate.bound {
        Bound::AtLeast(least) => json!({ "at_least": least }),
        Bound::AtMost(most) => json!({ "at_most": most }),
        Bound::NotWorse { than: _, margin } => json!({ "margin": margin }),
    };
    json!({ "metric": metric, "of": of, "bound": bound })
}

/// The other `judge` stages that gates name, each once, in the order of the gates.
#[must_use]
pub fn bases(decide: &spec::Decide) -> Vec<&StageId> {
    bases_of(&decide.gates, |_| true)
}

/// Those of them whose verdicts the decision itself is held against: how long calls took is in none.
#[must_use]
pub fn measured_bases(decide: &spec::Decide) -> Vec<&StageId> {
    bases_of(&decide.gates, |gate| gate.metric != Metric::LatencyP95)
}

fn bases_of(gates: &[GateRule], counts: impl Fn(&GateRule) -> bool) -> Vec<&StageId> {
    let mut bases: Vec<&StageId> = Vec::new();
    for gate in gates.iter().filter(|gate| counts(gate)) {
        if let Bound::NotWorse { than, margin: _ } = &gate.bound
            && !bases.contains(&than)
        {
            bases.push(than);
        }
    }
    bases
}

/// What the tokens of the model under test cost, where a gate asks.
#[must_use]
pub fn price(pipeline: &Pipeline, decide: &spec::Decide) -> Option<Price> {
    price_of(pipeline, decide, decide.answers.as_ref()?)
}

/// What the tokens of such answers cost, where a gate asks for what replies cost.
#[must_use]
pub fn price_of(pipeline: &Pipeline, decide: &spec::Decide, answers: &StageId) -> Option<Price> {
    let asks = decide.gates.iter().any(|gate| gate.metric == Metric::CostPerReply);
    let Stage::Infer(infer) = pipeline.stages.get(answers).filter(|_| asks)? else { return None };
    pipeline.price(&infer.model)
}

/// What a stage reads, as it goes into the recipe: blobs, the rule by which verdicts become grades, and prices that a gate asks for.
#[must_use]
pub fn inputs(pipeline: &Pipeline, decide: &spec::Decide, output: impl Fn(&StageId) -> BlobId) -> Value {
    let rubric = rubric(pipeline, &decide.verdicts);
    let mut inputs = json!({ "verdicts": output(&decide.verdicts), "grading": grading(rubric) });
    let base = |gate: &GateRule| match &gate.bound {
        // How long calls took is in no result.
        Bound::NotWorse { .. } if gate.metric == Metric::LatencyP95 => None,
        Bound::NotWorse { than, margin: _ } => Some((output(than), grading(self::rubric(pipeline, than)))),
        Bound::AtLeast(_) | Bound::AtMost(_) => None,
    };
    let against: Vec<_> = decide.gates.iter().filter_map(base).collect();
    if !against.is_empty() {
        inputs["against"] = json!(against);
    }
    if let Some(answers) = &decide.answers {
        inputs["answers"] = json!(output(answers));
    }
    let counted = |gate: &GateRule| {
        let Bound::NotWorse { than, margin: _ } = &gate.bound else { return None };
        let answers = decide.answers_of_bases.get(than).filter(|_| gate.metric.takes_answers())?;
        Some(json!([output(answers), price_of(pipeline, decide, answers).map(price_field)]))
    };
    let answers: Vec<Value> = decide.gates.iter().filter_map(counted).collect();
    if !answers.is_empty() {
        inputs["answers_against"] = json!(answers);
    }
    if decide.backup.is_some() {
        let due = |backup: &spec::Decide| backup::inputs(pipeline, decide, backup, &output);
        inputs["backup"] = of_backup(decide).as_ref().map_or(Value::Null, due);
    }
    if let Some(price) = price(pipeline, decide) {
        inputs["price"] = price_field(price);
    }
    inputs
}

/// The rubric by which a `judge` stage judges.
///
/// # Panics
/// The stage is no `judge` stage of this pipeline.
#[must_use]
pub fn rubric<'a>(pipeline: &'a Pipeline, verdicts: &StageId) -> &'a Rubric {
    match pipeline.stages.get(verdicts) {
        Some(Stage::Judge(judge)) => &judge.rubric,
        _ => unreachable!("wires are checked: a decision reads verdicts"),
    }
}

/// What of the rubric decides which replies would pass if they failed less, as it goes into the recipe: the words of a question
/// do not.
#[must_use]
pub fn grading(rubric: &Rubric) -> Value {
    let criterion = |criterion: &spec::Criterion| {
        let spec::Criterion { id, weight, critical, when: _, ask } = criterion;
        let (by_code, credit) = match ask {
            spec::Ask::Check(_) | spec::Ask::Command { command: _, negated: _ } => (true, None),
            spec::Ask::Question(_) => (false, None),
            spec::Ask::Scale(scale) => (false, credit_field(scale)),
        };
        let mut fields = json!({ "id": id, "weight": weight, "critical": critical, "by_code": by_code });
        if let Some(credit) = credit {
            fields["credit"] = credit;
        }
        fields
    };
    let Rubric { name: _, pass, criteria } = rubric;
    json!({ "pass": pass, "criteria": criteria.iter().map(criterion).collect::<Vec<Value>>() })
}

/// What a level earns, as it goes into a recipe; none where it earns all or nothing.
#[must_use]
pub fn credit_field(scale: &spec::Scale) -> Option<Value> {
    let spec::Scale { text: _, allow_not_applicable: _, anchors: _, pass_at, partial } = scale;
    partial.then(|| json!({ "pass_at": pass_at, "lowest": scale.lowest(), "highest": scale.highest() }))
}

/// What a row belongs to, beside its scenario; none where scenarios are independent.
#[must_use]
pub fn cluster_of<'a>(row: &'a Judged, by: &ClusterBy) -> Option<&'a str> {
    match by {
        ClusterBy::Nothing => None,
        ClusterBy::Topic => Some(&row.scenario.topic),
        // Those without a value have that in common.
        ClusterBy::Axis(axis) => Some(row.scenario.axes.get(axis).map_or("", String::as_str)),
    }
}

/// Examples kept of each kind.
const EXAMPLES: usize = 3;

/// Largest share of a judge's quotes that may be made up: the red light of the reliability checks.
const MOST_MISSING_QUOTES: f64 = 0.15;

/// Fewer quotes than this say nothing about a judge.
const FEWEST_QUOTES: u64 = 20;

/// Counts verdicts as they come; [`Self::finish`] makes the decision of them.
///
/// The order of rows decides nothing but which failures of a criterion are its first.
#[derive(Debug)]
pub struct Tally<'a> {
    rules: Rules,
    rubric: &'a Rubric,
    counts: Counts,
    /// The scenario of the row that was counted last, and how many there were with it.
    scenario: Option<ScenarioId>,
    scenarios: u64,
    /// The names of the clusters so far, numbered as they came.
    clusters: BTreeMap<String, usize>,
    grades: Rated,
    quotes: Quotes,
    scores: stats::UnitMean,
    score_spread: Spread,
    criteria: BTreeMap<CriterionId, CriterionTally>,
    topics: BTreeMap<String, GroupTally>,
    styles: BTreeMap<String, GroupTally>,
    failures: Patterns,
    best: Vec<Example>,
    worst: Vec<Example>,
    sheet: Sheet,
    looking: Option<Looking>,
}

/// The stage's own fields, without the wire.
#[derive(Debug)]
struct Rules {
    thresholds: Thresholds,
    manner: Manner,
    max_ungraded: f64,
    least: Option<Outcome>,
    cluster: ClusterBy,
}

#[derive(Debug, Default)]
struct GroupTally {
    grades: Rated,
    ungraded: u64,
}

impl<'a> Tally<'a> {
    /// An empty tally by the stage's rules, over verdicts on the criteria of this rubric.
    #[must_use]
    pub fn new(decide: &spec::Decide, rubric: &'a Rubric) -> Self {
        let rules = Rules::of(decide);
        Self {
            rules,
            rubric,
            counts: Counts::default(),
            scenario: None,
            scenarios: 0,
            clusters: BTreeMap::new(),
            grades: Rated::default(),
            quotes: Quotes::default(),
            scores: stats::UnitMean::default(),
            score_spread: Spread::default(),
            criteria: BTreeMap::new(),
            topics: BTreeMap::new(),
            styles: BTreeMap::new(),
            failures: Patterns::new(),
            best: Vec::new(),
            worst: Vec::new(),
            sheet: Sheet::new(decide.seed, rubric),
            looking: Looking::new(decide),
        }
    }

    /// Counts one judged response. Those to one scenario come one after the other.
    pub fn add(&mut self, row: &Judged) {
        let is_first = self.scenario.as_ref() != Some(&row.scenario.id);
        if is_first {
            self.scenario = Some(row.scenario.id.clone());
            self.scenarios += 1;
        }
        if let Some(looking) = &mut self.looking {
            looking.add(row, is_first);
        }
        let place = Place { scenario: self.scenarios, cluster: self.cluster(row) };
        self.counts.total += 1;
        if let Grade::Pass | Grade::Fail = row.grade {
            self.grades.add(row.grade == Grade::Pass, place);
        }
        if row.grade == Grade::Fail
            && let Some(pattern) = modes::pattern(self.rubric, &row.verdicts)
        {
            *self.failures.entry(pattern).or_default() += 1;
        }
        *(match row.grade {
            Grade::Pass => &mut self.counts.passed,
            Grade::Fail => &mut self.counts.failed,
            Grade::Ungraded => &mut self.counts.ungraded,
            Grade::Invalid => &mut self.counts.invalid,
        }) += 1;
        // Of one topic there is one cluster, which says no more than its scenarios, and there may be very many topics.
        let in_topic = Place { cluster: place.cluster.filter(|_| self.rules.cluster != ClusterBy::Topic), ..place };
        for (groups, name, place) in
            [(&mut self.topics, &row.scenario.topic, in_topic), (&mut self.styles, &row.scenario.style, place)]
        {
            let group = entry(groups, name);
            match row.grade {
                Grade::Pass => group.grades.add(true, place),
                Grade::Fail => group.grades.add(false, place),
                Grade::Ungraded => group.ungraded += 1,
                Grade::Invalid => {}
            }
        }
        for verdict in &row.verdicts {
            match verdict.quote {
                Some(Quote::Found) => self.quotes.found += 1,
                Some(Quote::Missing) => self.quotes.missing += 1,
                None => {}
            }
            entry(&mut self.criteria, &verdict.criterion).add(verdict, row, place);
        }
        if let (Grade::Pass | Grade::Fail, Some(score)) = (row.grade, row.score) {
            self.scores.add(score);
            self.score_spread.add(score, place);
            keep(&mut self.best, row, score, best_first);
            keep(&mut self.worst, row, score, |a, b| best_first(b, a));
            self.sheet.add(row, score);
        }
    }

    /// The number of the row's cluster, if rows are clustered by anything but their scenario.
    fn cluster(&mut self, row: &Judged) -> Option<usize> {
        let name = cluster_of(row, &self.rules.cluster)?;
        Some(match self.clusters.get(name) {
            Some(number) => *number,
            None => {
                let number = self.clusters.len();
                self.clusters.insert(name.to_owned(), number);
                number
            }
        })
    }

    /// Makes the decision of all rows so far.
    #[must_use]
    pub fn finish(self) -> Decision {
        self.draft(false).0
    }

    /// Makes the decision of all rows so far, and takes the judge's errors out of it, as people's labels show them.
    #[must_use]
    pub fn finish_corrected(self, calibration: &Calibration, transported: bool) -> Decision {
        let (mut decision, rules) = self.draft(true);
        correct(&mut decision, &rules, calibration, transported);
        match decision.outcome {
            Outcome::Deploy => decision.failure_modes = None,
            Outcome::FineTune | Outcome::FullPipeline | Outcome::Inconclusive | Outcome::Blocked => {
                decision.review_sheet = None;
            }
        }
        decision
    }

    /// The decision on the verdicts as they are; with what failures cost and what is to be read, whatever the outcome, where that
    /// may still change.
    fn draft(self, may_change: bool) -> (Decision, Rules) {
        let Self {
            mut rules,
            rubric,
            mut counts,
            scenario: _,
            scenarios,
            clusters: _,
            grades,
            quotes,
            scores,
            score_spread,
            mut criteria,
            topics,
            styles,
            failures,
            best,
            worst,
            sheet,
            looking,
        } = self;
        counts.scenarios = (counts.total > scenarios).then_some(scenarios);
        let passes = grades.counts();
        if let Some(looking) = &looking {
            rules.manner = looking.manner(rules.manner, &rules.thresholds);
        }
        let mut rate = grades.rate(rules.manner, counts.ungraded);
        let mut sequential = looking.map(|looking| looking.look(&mut rate, &rules.thresholds));
        let interval = Interval { lo: rate.lo, hi: rate.hi };
        let quotes = Quotes { untrusted: is_untrusted(&quotes), ..quotes };
        let blocked = blocked_because(&counts, &quotes, &rules);
        let outcome = match blocked {
            Some(_) => Outcome::Blocked,
            None if has_too_few_clusters(&rate) => Outcome::Inconclusive,
            None => stats::outcome_by_interval(interval, &rules.thresholds),
        };
        if let Some(looked) = &mut sequential {
            settle(looked, outcome);
        }
        let gate = rules.least.map(|least| GateResult { least, passed: reaches(outcome, least) });
        let is_open = outcome == Outcome::Inconclusive && !rules.manner.suite_only;
        let more = if is_open { what_would_settle(&rate, &rules.thresholds) } else { Vec::new() };
        let Rules { thresholds, manner, .. } = rules;
        let mut reasons = reasons(&Findings {
            blocked,
            outcome,
            rate: &rate,
            sequential: sequential.as_ref(),
            more: &more,
            counts: &counts,
            rules: &rules,
            gate,
            topics: topics.len(),
        });
        let score_interval = scores.mean().and_then(|mean| score_spread.interval(mean, rules.manner));
        let failure_modes = (may_change || outcome != Outcome::Deploy)
            .then(|| {
                let criteria = &mut criteria;
                failure_modes(Failures { rubric, patterns: &failures, criteria, grades: passes, thresholds })
            })
            .flatten();
        let group = |(name, group): (String, GroupTally)| {
            let GroupTally { grades, ungraded } = group;
            GroupSummary { name, rate: grades.rate(manner, ungraded), ungraded }
        };
        let criteria = summaries(criteria, manner);
        reasons.extend(unused(&criteria));
        let decision = Decision {
            outcome,
            point_outcome: rate.point.map(|point| stats::outcome_at(point, &thresholds)),
            possible: if has_too_few_clusters(&rate) {
                vec![Outcome::Deploy, Outcome::FineTune, Outcome::FullPipeline]
            } else {
                stats::possible_outcomes(interval, &thresholds)
            },
            cluster: rate.clustered.and_then(|clustered| clustered.clusters).map(|_| rules.belongs_to().to_owned()),
            suite_only: manner.suite_only,
            rate,
            thresholds,
            counts,
            quotes,
            mean_score: scores.mean(),
            more,
            gate,
            reasons,
            criteria,
            topics: topics.into_iter().map(group).collect(),
            styles: styles.into_iter().map(group).collect(),
            best,
            worst,
            failure_modes,
            score_interval,
            gates: Vec::new(),
            review_sheet: (may_change || outcome == Outcome::Deploy).then(|| sheet.finish()),
            corrected: None,
            sequential,
            other: None,
        };
        (decision, rules)
    }
}

impl Rules {
    /// The rules of a stage.
    fn of(decide: &spec::Decide) -> Self {
        let spec::Decide {
            verdicts: _,
            deploy,
            fine_tune,
            confidence,
            max_ungraded,
            gate,
            gates: _,
            answers: _,
            answers_of_bases: _,
            cluster,
            target,
            seed: _,
            calibration: _,
            votes: _,
            sequential: _,
            backup: _,
        } = decide;
        Self {
            thresholds: Thresholds { deploy: *deploy, fine_tune: *fine_tune },
            manner: Manner { confidence: *confidence, suite_only: *target == spec::Target::Suite, is_part: false },
            max_ungraded: *max_ungraded,
            cluster: cluster.clone(),
            least: gate.map(|gate| match gate {
                spec::Gate::Deploy => Outcome::Deploy,
                spec::Gate::FineTune => Outcome::FineTune,
            }),
        }
    }

    /// What clusters are named by: `topic`, or an axis.
    fn belongs_to(&self) -> &str {
        match &self.cluster {
            ClusterBy::Topic => "topic",
            ClusterBy::Axis(axis) => axis,
            ClusterBy::Nothing => "scenario",
        }
    }
}

/// A critical criterion that never applies guards nothing: often a typo in its `when`.
fn unused(criteria: &[CriterionSummary]) -> impl Iterator<Item = String> {
    let unused = criteria.iter().filter(|c| c.critical && c.rate.n == 0 && c.ungraded == 0 && c.not_applicable > 0);
    unused.map(|c| format!("the critical criterion `{}` applied to no scenario", c.criterion))
}

/// Most failures first, then the critical ones, then by id.
fn summaries(criteria: BTreeMap<CriterionId, CriterionTally>, manner: Manner) -> Vec<CriterionSummary> {
    let mut criteria: Vec<CriterionSummary> =
        criteria.into_iter().map(|(id, tally)| tally.finish(id, manner)).collect();
    // The sort is stable, and the map gave them by id.
    criteria.sort_by_key(|summary| (std::cmp::Reverse(summary.failed), !summary.critical));
    criteria
}

/// The value of `key`, made where there is none yet; the key is copied only then.
fn entry<'a, K: Ord + Clone, V: Default>(map: &'a mut BTreeMap<K, V>, key: &K) -> &'a mut V {
    if !map.contains_key(key) {
        map.insert(key.clone(), V::default());
    }
    map.get_mut(key).expect("put in just before")
}

/// Whether there are too few clusters to say how much rows of one resemble each other: then the interval decides nothing.
fn has_too_few_clusters(rate: &Rate) -> bool {
    rate.clustered.is_some_and(|clustered| clustered.number() < FEWEST_CLUSTERS)
}

/// Whether a judge makes up so many of its quotes that its verdicts are no evidence.
pub(super) fn is_untrusted(quotes: &Quotes) -> bool {
    let all = quotes.found + quotes.missing;
    all >= FEWEST_QUOTES && quotes.missing as f64 > MOST_MISSING_QUOTES * all as f64
}

/// Whether `outcome` is `least` or better. What is open or blocked reaches nothing.
fn reaches(outcome: Outcome, least: Outcome) -> bool {
    match outcome {
        Outcome::Deploy | Outcome::FineTune | Outcome::FullPipeline => outcome <= least,
        Outcome::Inconclusive | Outcome::Blocked => false,
    }
}
