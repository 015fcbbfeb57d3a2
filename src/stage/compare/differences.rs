//! Differences between two arms, gathered scenario by scenario, and what can be said of them.
//!
//! Of two intervals, the one over rows and the one over clusters of them, the wider decides: rows that resemble each other are
//! no independent evidence, and a few clusters that happen to come out alike are no proof of the contrary.

use std::collections::BTreeMap;

use crate::data::{ClusteredRate, DifferenceClusters, Rate, RateDifference};
use crate::stats::{self, Clusters, Interval, PairClusters, Pairs};

/// Two intervals are both shown where one is so much wider than the other.
const MUCH_WIDER: f64 = 1.2;

/// What rows are taken together as one piece of evidence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Level {
    /// Nothing: each is evidence of its own.
    Row,
    /// Those of one scenario.
    Scenario,
    /// Those of one topic.
    Topic,
}

impl Level {
    fn method(self) -> &'static str {
        match self {
            Self::Row => "newcombe_paired",
            Self::Scenario => "cr1_by_scenario",
            Self::Topic => "cr1_by_topic",
        }
    }
}

/// Pairs of rows that belong together.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Unit {
    pub(super) scenarios: u64,
    pub(super) rows: u64,
    base: u64,
    new: u64,
}

impl Unit {
    fn add(&mut self, other: Self) {
        let Self { scenarios, rows, base, new } = other;
        self.scenarios += scenarios;
        self.rows += rows;
        self.base += base;
        self.new += new;
    }
}

/// All pairs of one sort, with what clusters of them came to.
#[derive(Debug, Clone, Default)]
pub(super) struct Differences {
    /// Rows by what became of them.
    pub(super) pairs: Pairs,
    /// Scenarios by what became of most of their rows; those that came out even are under `both`.
    pub(super) signs: Pairs,
    scenarios: PairClusters,
    base_scenarios: Clusters,
    new_scenarios: Clusters,
    pub(super) topics: BTreeMap<u32, Unit>,
}

impl Differences {
    /// Takes in the pairs of one scenario: whether each passed with the base, and with the new arm.
    pub(super) fn add(&mut self, topic: u32, rows: impl Iterator<Item = (bool, bool)>) {
        let mut unit = Unit { scenarios: 1, ..Unit::default() };
        for (base, new) in rows {
            unit.rows += 1;
            unit.base += u64::from(base);
            unit.new += u64::from(new);
            *(match (base, new) {
                (true, true) => &mut self.pairs.both,
                (false, true) => &mut self.pairs.gains,
                (true, false) => &mut self.pairs.losses,
                (false, false) => &mut self.pairs.neither,
            }) += 1;
        }
        if unit.rows == 0 {
            return;
        }
        *(match unit.new.cmp(&unit.base) {
            std::cmp::Ordering::Greater => &mut self.signs.gains,
            std::cmp::Ordering::Less => &mut self.signs.losses,
            std::cmp::Ordering::Equal => &mut self.signs.both,
        }) += 1;
        self.scenarios.add(unit.new, unit.base, unit.rows);
        self.base_scenarios.add(unit.base, unit.rows);
        self.new_scenarios.add(unit.new, unit.rows);
        self.topics.entry(topic).or_default().add(unit);
    }

    /// What is to be taken together: the topics, if they are to be and any has several scenarios; else scenarios, if any has
    /// several rows.
    pub(super) fn level(&self, by_topic: bool) -> Level {
        if by_topic && self.topics.values().any(|unit| unit.scenarios > 1) {
            Level::Topic
        } else if self.scenarios.are_clustered() {
            Level::Scenario
        } else {
            Level::Row
        }
    }

    /// How many pieces of evidence there are.
    pub(super) fn clusters(&self, level: Level) -> u64 {
        match level {
            Level::Row => self.pairs.scenarios(),
            Level::Scenario => self.scenarios.clusters(),
            Level::Topic => self.topics.len() as u64,
        }
    }

    /// The pairs over clusters.
    fn pairs_over(&self, level: Level) -> PairClusters {
        match level {
            Level::Row | Level::Scenario => self.scenarios,
            Level::Topic => {
                let mut clusters = PairClusters::default();
                self.topics.values().for_each(|unit| clusters.add(unit.new, unit.base, unit.rows));
                clusters
            }
        }
    }

    /// One arm over clusters: what `part` takes of each.
    fn arm_over(&self, level: Level, scenarios: Clusters, part: impl Fn(Unit) -> u64) -> Clusters {
        match level {
            Level::Row | Level::Scenario => scenarios,
            Level::Topic => {
                let mut clusters = Clusters::default();
                self.topics.values().for_each(|unit| clusters.add(part(*unit), unit.rows));
                clusters
            }
        }
    }

    /// The difference with the interval that decides at the level, and what goes with it.
    pub(super) fn estimate(&self, level: Level, confidence: f64) -> Estimated {
        let n = self.pairs.scenarios();
        let newcombe = stats::newcombe_paired(&self.pairs, confidence);
        let point = (n > 0).then_some(newcombe.point);
        let plain = RateDifference {
            point,
            lo: newcombe.interval.lo,
            hi: newcombe.interval.hi,
            confidence,
            method: Level::Row.method().to_owned(),
            n,
            clusters: None,
        };
        let midp = stats::mcnemar_midp(self.signs.gains, self.signs.losses);
        if level == Level::Row || n == 0 {
            return Estimated { difference: plain, other: None, p: midp, design_effect: 1.0 };
        }
        let clusters = self.pairs_over(level);
        let count = clusters.clusters();
        let stats::ClusteredDifference { interval: Interval { lo, hi }, p, design_effect } =
            clusters.difference(&self.pairs, confidence);
        let p = p.unwrap_or(midp);
        let [narrow, wide] = [plain.hi - plain.lo, hi - lo];
        let clustered = RateDifference {
            lo,
            hi,
            method: level.method().to_owned(),
            clusters: Some(DifferenceClusters {
                clusters: count,
                n_eff: n as f64 / design_effect.max(1.0),
                design_effect,
            }),
            ..plain.clone()
        };
        let is_telling = wide.max(narrow) > MUCH_WIDER * wide.min(narrow);
        let (difference, other, p, design_effect) = if wide > narrow {
            (clustered, plain, p.max(midp), design_effect.max(1.0))
        } else {
            (plain, clustered, midp, 1.0)
        };
        Estimated { difference, other: is_telling.then_some(other), p, design_effect }
    }

    /// The pass rates of both arms.
    pub(super) fn rates(&self, level: Level, confidence: f64) -> [Rate; 2] {
        let Pairs { both, gains, losses, neither: _ } = self.pairs;
        let n = self.pairs.scenarios();
        let base = self.arm_over(level, self.base_scenarios, |unit| unit.base);
        let new = self.arm_over(level, self.new_scenarios, |unit| unit.new);
        [(both + losses, base), (both + gains, new)]
            .map(|(passed, clusters)| rate(passed, n, &clusters, level, confidence))
    }
}

/// A pass rate over clusters, or over rows where none has several.
pub(super) fn rate(passed: u64, n: u64, clusters: &Clusters, level: Level, confidence: f64) -> Rate {
    let point = (n > 0).then(|| passed as f64 / n as f64);
    if level == Level::Row || !clusters.are_clustered() {
        let Interval { lo, hi } = stats::wilson(passed as f64, n as f64, confidence);
        return Rate { point, lo, hi, confidence, method: "wilson".to_owned(), passed, n, clustered: None };
    }
    let stats::ClusteredInterval { interval: Interval { lo, hi }, n_eff, design_effect, degrees } =
        clusters.interval(confidence);
    let scenarios = clusters.clusters();
    let clustered = Some(ClusteredRate { scenarios, clusters: None, n_eff, design_effect, degrees });
    Rate { point, lo, hi, confidence, method: "wilson_clustered".to_owned(), passed, n, clustered }
}

/// A difference, and how sure it is.
#[derive(Debug)]
pub(super) struct Estimated {
    /// With the interval that decides.
    pub(super) difference: RateDifference,
    /// With the other one, where their widths differ much.
    pub(super) other: Option<RateDifference>,
    /// The probability of so much, either way, without a difference.
    pub(super) p: f64,
    /// So many rows are worth one; 1 where they are independent.
    pub(super) design_effect: f64,
}

/// The rows of one arm alone, for arms that cannot be paired.
#[derive(Debug, Default)]
pub(super) struct Arm {
    pub(super) rows: u64,
    pub(super) passed: u64,
    pub(super) graded: u64,
    pub(super) ungraded: u64,
    pub(super) invalid: u64,
    scenarios: Clusters,
    /// Scenarios, passes and rows of each topic.
    topics: BTreeMap<u32, (u64, u64, u64)>,
}

impl Arm {
    /// Takes in the graded rows of one scenario.
    pub(super) fn add(&mut self, topic: u32, passed: u64, graded: u64) {
        if graded == 0 {
            return;
        }
        self.passed += passed;
        self.graded += graded;
        self.scenarios.add(passed, graded);
        let (scenarios, passes, rows) = self.topics.entry(topic).or_default();
        *scenarios += 1;
        *passes += passed;
        *rows += graded;
    }

    pub(super) fn level(&self, by_topic: bool) -> Level {
        if by_topic && self.topics.values().any(|(scenarios, _, _)| *scenarios > 1) {
            Level::Topic
        } else if self.scenarios.are_clustered() {
            Level::Scenario
        } else {
            Level::Row
        }
    }

    pub(super) fn clusters(&self, level: Level) -> u64 {
        match level {
            Level::Row => self.graded,
            Level::Scenario => self.scenarios.clusters(),
            Level::Topic => self.topics.len() as u64,
        }
    }

    pub(super) fn rate(&self, level: Level, confidence: f64) -> Rate {
        let clusters = match level {
            Level::Row | Level::Scenario => self.scenarios,
            Level::Topic => {
                let mut clusters = Clusters::default();
                self.topics.values().for_each(|(_, passed, rows)| clusters.add(*passed, *rows));
                clusters
            }
        };
        rate(self.passed, self.graded, &clusters, level, confidence)
    }
}

/// The difference of two estimates that are taken as independent; nothing is known of it where one is missing.
pub(super) fn joined(base: Option<stats::Estimate>, new: Option<stats::Estimate>) -> (Option<f64>, Interval) {
    match (base, new) {
        (Some(base), Some(new)) => {
            let stats::Difference { point, interval } = stats::mover_difference(&base, &new);
            (Some(point), interval)
        }
        (None, _) | (_, None) => (None, Interval { lo: -1.0, hi: 1.0 }),
    }
}

/// The difference of two arms that are not paired.
pub(super) fn unpaired(base: &Rate, new: &Rate) -> RateDifference {
    let n = base.n + new.n;
    let estimate = |rate: &Rate| {
        let interval = Interval { lo: rate.lo, hi: rate.hi };
        Some(stats::Estimate { point: rate.point?, interval })
    };
    let (point, interval) = joined(estimate(base), estimate(new));
    let design_effect = |rate: &Rate| rate.clustered.map_or(1.0, |clustered| clustered.design_effect);
    let clusters = base.clustered.zip(new.clustered).map(|(one, other)| DifferenceClusters {
        clusters: one.scenarios.min(other.scenarios),
        n_eff: one.n_eff + other.n_eff,
        design_effect: design_effect(base).max(design_effect(new)),
    });
    RateDifference {
        point,
        lo: interval.lo,
        hi: interval.hi,
        confidence: base.confidence,
        method: "mover_unpaired".to_owned(),
        n,
        clusters,
    }
}
