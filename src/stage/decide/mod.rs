//! `decide`: verdicts → one decision, with all that it rests on.
//!
//! Owns how verdicts are counted, what blocks a decision and the sentences that explain it; what an interval allows is
//! left to `stats`. Whole-table, but rows are only counted: memory does not grow with them. Rows of one scenario, which lie
//! side by side, are a cluster. Start at [`Tally`].

mod correct;
mod levels;
mod reasons;
#[cfg(test)]
mod tests;

use std::cmp::Ordering;
use std::collections::BTreeMap;

pub use self::correct::correct;
use self::levels::LevelTally;
use self::reasons::{Findings, blocked_because, reasons};
use crate::data::{
    ClusteredRate, Counts, CriterionSummary, Decision, Example, FailedIn, Failure, GateResult, Grade, GroupSummary,
    Judged, More, Outcome, Quote, Quotes, Rate, Thresholds, VerdictKind,
};
use crate::ids::{CriterionId, ScenarioId};
use crate::spec;
use crate::stats::{self, Interval};

/// Raised when the same verdicts would give another decision.
pub const VERSION: u32 = 1;

/// The stage's own fields, as they go into its recipe.
#[must_use]
pub fn fields(decide: &spec::Decide) -> serde_json::Value {
    let spec::Decide { verdicts: _, deploy, fine_tune, confidence, max_ungraded, gate, votes, calibration: _ } = decide;
    let mut fields = serde_json::json!({
        "deploy": deploy,
        "fine_tune": fine_tune,
        "confidence": confidence,
        "max_ungraded": max_ungraded,
        "gate": gate,
    });
    match votes {
        spec::Votes::Majority => {}
        spec::Votes::DawidSkene(rubric) => fields["votes"] = serde_json::json!({ "dawid_skene": rubric }),
    }
    fields
}

/// Examples kept of each kind.
const EXAMPLES: usize = 3;

/// Largest share of a judge's quotes that may be made up: the red light of the reliability checks.
const MOST_MISSING_QUOTES: f64 = 0.15;

/// Fewer quotes than this say nothing about a judge.
const FEWEST_QUOTES: u64 = 20;

/// Fewer scenarios with several answers each than this decide nothing, whatever their interval.
const FEWEST_CLUSTERS: u64 = 5;

/// Most characters of a text that goes into the decision.
const LONGEST_TEXT: usize = 2_000;

/// Counts verdicts as they come; [`Self::finish`] makes the decision of them.
///
/// The order of rows decides nothing but which failures of a criterion are its first.
#[derive(Debug)]
pub struct Tally {
    rules: Rules,
    counts: Counts,
    /// The scenario of the row that was counted last, and how many there were with it.
    scenario: Option<ScenarioId>,
    scenarios: u64,
    grades: Rated,
    quotes: Quotes,
    scores: stats::UnitMean,
    criteria: BTreeMap<CriterionId, CriterionTally>,
    topics: BTreeMap<String, GroupTally>,
    styles: BTreeMap<String, GroupTally>,
    best: Vec<Example>,
    worst: Vec<Example>,
}

/// The stage's own fields, without the wire.
#[derive(Debug)]
struct Rules {
    thresholds: Thresholds,
    confidence: f64,
    max_ungraded: f64,
    least: Option<Outcome>,
}

#[derive(Debug, Default)]
struct CriterionTally {
    critical: bool,
    verdicts: Rated,
    not_applicable: u64,
    ungraded: u64,
    pass_probabilities: stats::UnitMean,
    levels: LevelTally,
    topics: BTreeMap<String, PassFail>,
    styles: BTreeMap<String, PassFail>,
    examples: Vec<Failure>,
}

#[derive(Debug, Default)]
struct GroupTally {
    grades: Rated,
    ungraded: u64,
}

/// Passes and failures, by the scenarios they belong to.
#[derive(Debug, Default)]
struct Rated {
    counts: PassFail,
    clusters: stats::Clusters,
    /// The number of the scenario that was counted last, and its passes and failures so far.
    scenario: u64,
    here: PassFail,
}

#[derive(Debug, Default)]
struct PassFail {
    passed: u64,
    failed: u64,
}

impl PassFail {
    fn add(&mut self, passed: bool) {
        *(if passed { &mut self.passed } else { &mut self.failed }) += 1;
    }
}

impl Rated {
    fn add(&mut self, passed: bool, scenario: u64) {
        if self.scenario != scenario {
            self.close();
            self.scenario = scenario;
        }
        self.counts.add(passed);
        self.here.add(passed);
    }

    fn close(&mut self) {
        let PassFail { passed, failed } = std::mem::take(&mut self.here);
        self.clusters.add(passed, passed + failed);
    }

    fn rate(mut self, confidence: f64) -> Rate {
        self.close();
        let PassFail { passed, failed } = self.counts;
        let n = passed + failed;
        let point = (n > 0).then(|| passed as f64 / n as f64);
        if !self.clusters.are_clustered() {
            let Interval { lo, hi } = stats::wilson(passed as f64, n as f64, confidence);
            return Rate { point, lo, hi, confidence, method: "wilson".to_owned(), passed, n, clustered: None };
        }
        let stats::ClusteredInterval { interval, n_eff, design_effect } = self.clusters.wilson_clustered(confidence);
        let Interval { lo, hi } = interval;
        let clustered = Some(ClusteredRate { scenarios: self.clusters.clusters(), n_eff, design_effect });
        Rate { point, lo, hi, confidence, method: "wilson_clustered".to_owned(), passed, n, clustered }
    }
}

impl Tally {
    /// An empty tally by the stage's rules.
    #[must_use]
    pub fn new(decide: &spec::Decide) -> Self {
        let spec::Decide { verdicts: _, deploy, fine_tune, confidence, max_ungraded, gate, votes: _, calibration: _ } =
            decide;
        let rules = Rules {
            thresholds: Thresholds { deploy: *deploy, fine_tune: *fine_tune },
            confidence: *confidence,
            max_ungraded: *max_ungraded,
            least: gate.map(|gate| match gate {
                spec::Gate::Deploy => Outcome::Deploy,
                spec::Gate::FineTune => Outcome::FineTune,
            }),
        };
        Self {
            rules,
            counts: Counts::default(),
            scenario: None,
            scenarios: 0,
            grades: Rated::default(),
            quotes: Quotes::default(),
            scores: stats::UnitMean::default(),
            criteria: BTreeMap::new(),
            topics: BTreeMap::new(),
            styles: BTreeMap::new(),
            best: Vec::new(),
            worst: Vec::new(),
        }
    }

    /// Counts one judged response. Those to one scenario come one after the other.
    pub fn add(&mut self, row: &Judged) {
        if self.scenario.as_ref() != Some(&row.scenario.id) {
            self.scenario = Some(row.scenario.id.clone());
            self.scenarios += 1;
        }
        let scenario = self.scenarios;
        self.counts.total += 1;
        if let Grade::Pass | Grade::Fail = row.grade {
            self.grades.add(row.grade == Grade::Pass, scenario);
        }
        *(match row.grade {
            Grade::Pass => &mut self.counts.passed,
            Grade::Fail => &mut self.counts.failed,
            Grade::Ungraded => &mut self.counts.ungraded,
            Grade::Invalid => &mut self.counts.invalid,
        }) += 1;
        for (groups, name) in [(&mut self.topics, &row.scenario.topic), (&mut self.styles, &row.scenario.style)] {
            let group = entry(groups, name);
            match row.grade {
                Grade::Pass => group.grades.add(true, scenario),
                Grade::Fail => group.grades.add(false, scenario),
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
            entry(&mut self.criteria, &verdict.criterion).add(verdict, row, scenario);
        }
        if let (Grade::Pass | Grade::Fail, Some(score)) = (row.grade, row.score) {
            self.scores.add(score);
            keep(&mut self.best, row, score, best_first);
            keep(&mut self.worst, row, score, |a, b| best_first(b, a));
        }
    }

    /// Makes the decision of all rows so far.
    #[must_use]
    pub fn finish(self) -> Decision {
        let Self {
            rules,
            mut counts,
            scenario: _,
            scenarios,
            grades,
            quotes,
            scores,
            criteria,
            topics,
            styles,
            best,
            worst,
        } = self;
        counts.scenarios = (counts.total > scenarios).then_some(scenarios);
        let rate = grades.rate(rules.confidence);
        let interval = Interval { lo: rate.lo, hi: rate.hi };
        let quotes = Quotes { untrusted: is_untrusted(&quotes), ..quotes };
        let blocked = blocked_because(&counts, &quotes, &rules);
        let outcome = match blocked {
            Some(_) => Outcome::Blocked,
            None if has_too_few_scenarios(&rate) => Outcome::Inconclusive,
            None => stats::outcome_by_interval(interval, &rules.thresholds),
        };
        let gate = rules.least.map(|least| GateResult { least, passed: reaches(outcome, least) });
        let more =
            if outcome == Outcome::Inconclusive { what_would_settle(&rate, &rules.thresholds) } else { Vec::new() };
        let mut reasons =
            reasons(&Findings { blocked, outcome, rate: &rate, more: &more, counts: &counts, rules: &rules, gate });
        let group = |(name, group): (String, GroupTally)| GroupSummary {
            name,
            rate: group.grades.rate(rules.confidence),
            ungraded: group.ungraded,
        };
        let mut criteria: Vec<CriterionSummary> =
            criteria.into_iter().map(|(id, tally)| tally.finish(id, rules.confidence)).collect();
        // The sort is stable, and the map gave them by id.
        criteria.sort_by_key(|summary| (std::cmp::Reverse(summary.failed), !summary.critical));
        // A critical criterion that never applies guards nothing: often a typo in its `when`.
        let unused = criteria.iter().filter(|c| c.critical && c.rate.n == 0 && c.ungraded == 0 && c.not_applicable > 0);
        reasons.extend(unused.map(|c| format!("the critical criterion `{}` applied to no scenario", c.criterion)));
        Decision {
            outcome,
            point_outcome: rate.point.map(|point| stats::outcome_at(point, &rules.thresholds)),
            possible: if has_too_few_scenarios(&rate) {
                vec![Outcome::Deploy, Outcome::FineTune, Outcome::FullPipeline]
            } else {
                stats::possible_outcomes(interval, &rules.thresholds)
            },
            rate,
            thresholds: rules.thresholds,
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
            corrected: None,
        }
    }
}

impl CriterionTally {
    fn add(&mut self, verdict: &crate::data::Verdict, row: &Judged, scenario: u64) {
        self.critical |= verdict.critical;
        let passed = match verdict.verdict {
            VerdictKind::Pass => true,
            VerdictKind::Fail => false,
            VerdictKind::NotApplicable => {
                self.not_applicable += 1;
                return;
            }
            VerdictKind::Ungraded => {
                self.ungraded += 1;
                return;
            }
        };
        self.verdicts.add(passed, scenario);
        if let Some(probability) = verdict.pass_probability {
            self.pass_probabilities.add(probability);
        }
        if let Some(level) = verdict.level {
            self.levels.add(level);
        }
        entry(&mut self.topics, &row.scenario.topic).add(passed);
        entry(&mut self.styles, &row.scenario.style).add(passed);
        if !passed && self.examples.len() < EXAMPLES {
            self.examples.push(Failure {
                scenario: row.scenario.id.clone(),
                repetition: row.repetition,
                opening: bounded(&row.scenario.opening),
                reply: bounded(row.reply.as_deref().unwrap_or_default()),
                evidence: bounded(&verdict.evidence),
                reason: bounded(&verdict.reason),
                pass_probability: verdict.pass_probability,
            });
        }
    }

    fn finish(self, criterion: CriterionId, confidence: f64) -> CriterionSummary {
        let failed_in = |groups: BTreeMap<String, PassFail>| {
            let mut failed: Vec<FailedIn> = groups
                .into_iter()
                .filter(|(_, grades)| grades.failed > 0)
                .map(|(name, PassFail { passed, failed })| FailedIn { name, failed, graded: passed + failed })
                .collect();
            failed.sort_by_key(|group| std::cmp::Reverse(group.failed));
            failed
        };
        CriterionSummary {
            criterion,
            critical: self.critical,
            failed: self.verdicts.counts.failed,
            rate: self.verdicts.rate(confidence),
            not_applicable: self.not_applicable,
            ungraded: self.ungraded,
            mean_pass_probability: self.pass_probabilities.mean(),
            levels: self.levels.finish(),
            failed_topics: failed_in(self.topics),
            failed_styles: failed_in(self.styles),
            examples: self.examples,
        }
    }
}

/// The value of `key`, made where there is none yet; the key is copied only then.
fn entry<'a, K: Ord + Clone, V: Default>(map: &'a mut BTreeMap<K, V>, key: &K) -> &'a mut V {
    if !map.contains_key(key) {
        map.insert(key.clone(), V::default());
    }
    map.get_mut(key).expect("put in just before")
}

/// Whether there are too few scenarios to say how much answers to one resemble each other: then the interval decides
/// nothing.
fn has_too_few_scenarios(rate: &Rate) -> bool {
    rate.clustered.is_some_and(|clustered| clustered.scenarios < FEWEST_CLUSTERS)
}

/// The one order of replies, of which the best are one end and the worst the other.
fn best_first(a: Place<'_>, b: Place<'_>) -> Ordering {
    b.0.total_cmp(&a.0).then_with(|| (a.1, a.2).cmp(&(b.1, b.2)))
}

/// What decides the place of a reply: its score, its scenario, and which of several answers it is.
type Place<'a> = (f64, &'a ScenarioId, u32);

/// Puts the row into `kept` if it is among the first few by `order`.
fn keep(kept: &mut Vec<Example>, row: &Judged, score: f64, order: impl Fn(Place<'_>, Place<'_>) -> Ordering) {
    let new = (score, &row.scenario.id, row.repetition);
    let after =
        |example: &Example| order((example.score, &example.scenario, example.repetition), new) == Ordering::Greater;
    let place = kept.iter().position(after).unwrap_or(kept.len());
    if place == EXAMPLES {
        return;
    }
    let failed = row.verdicts.iter().filter(|verdict| verdict.verdict == VerdictKind::Fail);
    kept.truncate(EXAMPLES - 1);
    kept.insert(
        place,
        Example {
            scenario: row.scenario.id.clone(),
            repetition: row.repetition,
            opening: bounded(&row.scenario.opening),
            reply: bounded(row.reply.as_deref().unwrap_or_default()),
            score,
            failed: failed.map(|verdict| verdict.criterion.clone()).collect(),
        },
    );
}

fn bounded(text: &str) -> String {
    match text.char_indices().nth(LONGEST_TEXT) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
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

/// One entry for each threshold that keeps the outcome open.
fn what_would_settle(rate: &Rate, thresholds: &Thresholds) -> Vec<More> {
    [thresholds.deploy, thresholds.fine_tune]
        .into_iter()
        .filter(|threshold| rate.lo < *threshold && *threshold <= rate.hi)
        .map(|threshold| More {
            threshold,
            scenarios: match (rate.clustered, rate.point) {
                (Some(ClusteredRate { scenarios, n_eff, design_effect: _ }), Some(point)) => {
                    stats::n_to_decide_clustered(point, n_eff, scenarios, threshold, rate.confidence)
                }
                _ => stats::n_to_decide_wilson(rate.passed, rate.n, threshold, rate.confidence),
            },
        })
        .collect()
}
