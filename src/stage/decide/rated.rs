//! Passes and failures, by what they belong to, and the rate that they come to.

use crate::data::{ClusteredRate, Rate, ScoreInterval};
use crate::stats::{self, Interval};

/// Where a row stands: rows of one scenario, which lie side by side, and those of one cluster say less than as many others.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    /// The number of its scenario, from 1.
    pub(super) scenario: u64,
    /// The number of its cluster, from 0; none where scenarios are independent.
    pub(super) cluster: Option<usize>,
}

/// How a rate is made of what was counted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Manner {
    pub(super) confidence: f64,
    /// Whether the rate is about the rows of this suite and no others.
    pub(super) suite_only: bool,
    /// Whether these rows are a part of the suite that was drawn at random.
    pub(super) is_part: bool,
}

impl Manner {
    /// Whether all rows that the rate is about are there.
    pub(super) fn is_whole_suite(self) -> bool {
        self.suite_only && !self.is_part
    }
}

#[derive(Debug, Clone, Copy, Default)]
pub(super) struct PassFail {
    pub(super) passed: u64,
    pub(super) failed: u64,
}

impl PassFail {
    pub(super) fn add(&mut self, passed: bool) {
        *(if passed { &mut self.passed } else { &mut self.failed }) += 1;
    }

    pub(super) fn all(self) -> u64 {
        self.passed + self.failed
    }
}

/// Scenarios with several answers of which one failed or more.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Stability {
    /// All their answers failed.
    pub(super) always: u64,
    /// Some failed and some passed.
    pub(super) sometimes: u64,
}

/// Passes and failures, by the scenarios and clusters they belong to.
#[derive(Debug, Default)]
pub(super) struct Rated {
    counts: PassFail,
    scenarios: stats::Clusters,
    stability: Stability,
    /// The number of the scenario that was counted last, and its passes and failures so far.
    scenario: u64,
    here: PassFail,
    /// Passes and rows of each cluster. Half of the usual size: there may be as many as scenarios, for every criterion.
    clusters: Vec<(u32, u32)>,
}

impl Rated {
    pub(super) fn add(&mut self, passed: bool, place: Place) {
        if self.scenario != place.scenario {
            self.close();
            self.scenario = place.scenario;
        }
        self.counts.add(passed);
        self.here.add(passed);
        if let Some(cluster) = place.cluster {
            if self.clusters.len() <= cluster {
                self.clusters.resize(cluster + 1, (0, 0));
            }
            let (passes, rows) = &mut self.clusters[cluster];
            *passes += u32::from(passed);
            *rows += 1;
        }
    }

    /// What was counted, in all.
    pub(super) fn counts(&self) -> PassFail {
        self.counts
    }

    /// How many scenarios it was counted over, and how steady their answers are.
    pub(super) fn scenarios(&mut self) -> (u64, Stability) {
        self.close();
        (self.scenarios.clusters(), self.stability)
    }

    fn close(&mut self) {
        let here @ PassFail { passed, failed } = std::mem::take(&mut self.here);
        self.scenarios.add(passed, here.all());
        if failed > 0 && here.all() > 1 {
            *(if passed == 0 { &mut self.stability.always } else { &mut self.stability.sometimes }) += 1;
        }
    }

    /// The clusters, and how many there are where they are not the scenarios themselves. Rows that are all of one cluster are
    /// a suite about that alone: what they have in common is then what they are asked about, and no source of error.
    fn belonging(&self) -> (stats::Clusters, Option<u64>) {
        let mut clusters = stats::Clusters::default();
        for (passed, rows) in &self.clusters {
            clusters.add(u64::from(*passed), u64::from(*rows));
        }
        match clusters.clusters() {
            0 | 1 => (self.scenarios, None),
            number => (clusters, Some(number)),
        }
    }

    /// The rate; `missing` are the rows that nobody could grade.
    pub(super) fn rate(mut self, manner: Manner, missing: u64) -> Rate {
        self.close();
        let Manner { confidence, suite_only, is_part } = manner;
        let PassFail { passed, failed } = self.counts;
        let n = passed + failed;
        let point = (n > 0).then(|| passed as f64 / n as f64);
        let rate = |method: &str, Interval { lo, hi }, clustered| Rate {
            point,
            lo,
            hi,
            confidence,
            method: method.to_owned(),
            passed,
            n,
            clustered,
        };
        if suite_only && is_part {
            // Of a suite, drawing without putting back tells no less than this. Those without a grade may be either.
            let end = |passed: u64| stats::wilson(passed as f64, (n + missing) as f64, confidence);
            return rate("suite_part", Interval { lo: end(passed).lo, hi: end(passed + missing).hi }, None);
        }
        if suite_only {
            let all = n + missing;
            let share = |number: u64| number as f64 / all as f64;
            let bounds = Interval { lo: share(passed), hi: share(passed + missing) };
            return rate("suite", if n == 0 { Interval { lo: 0.0, hi: 1.0 } } else { bounds }, None);
        }
        let (belonging, clusters) = self.belonging();
        if !belonging.are_clustered() {
            return rate("wilson", stats::wilson(passed as f64, n as f64, confidence), None);
        }
        let stats::ClusteredInterval { interval, n_eff, design_effect, degrees } = belonging.interval(confidence);
        let scenarios = self.scenarios.clusters();
        rate("wilson_clustered", interval, Some(ClusteredRate { scenarios, n_eff, design_effect, degrees, clusters }))
    }
}

/// Scores in parts of one, by scenario and by cluster, for the interval of their mean.
#[derive(Debug, Default)]
pub(super) struct Spread {
    /// Of each scenario, and of each cluster: the sum of parts, and the rows.
    scenarios: Option<stats::Clusters>,
    scenario: u64,
    here: (u64, u64),
    clusters: Vec<(u64, u64)>,
}

/// Into so many parts a score of 1 is divided.
const PARTS: u64 = 1 << 20;

impl Spread {
    pub(super) fn add(&mut self, score: f64, place: Place) {
        if self.scenario != place.scenario {
            self.close();
            self.scenario = place.scenario;
        }
        #[expect(clippy::cast_possible_truncation, reason = "at most 2^20 after the clamp")]
        let parts = (score.clamp(0.0, 1.0) * PARTS as f64).round() as u64;
        self.here = (self.here.0 + parts, self.here.1 + 1);
        if let Some(cluster) = place.cluster {
            if self.clusters.len() <= cluster {
                self.clusters.resize(cluster + 1, (0, 0));
            }
            let (sum, rows) = &mut self.clusters[cluster];
            (*sum, *rows) = (*sum + parts, *rows + 1);
        }
    }

    fn close(&mut self) {
        let (sum, rows) = std::mem::take(&mut self.here);
        self.scenarios.get_or_insert_with(|| stats::Clusters::in_parts_of(PARTS)).add(sum, rows);
    }

    /// The interval of the mean, by what varies between clusters, or between scenarios where there is one cluster only. None where
    /// all is there that the mean is about.
    pub(super) fn interval(mut self, mean: f64, manner: Manner) -> Option<ScoreInterval> {
        if manner.is_whole_suite() {
            return None;
        }
        self.close();
        let mut clusters = stats::Clusters::in_parts_of(PARTS);
        // Scenarios are what is drawn from a suite, whatever they have in common.
        for (sum, rows) in self.clusters.iter().filter(|_| !manner.suite_only) {
            clusters.add(*sum, *rows);
        }
        let belonging = if clusters.clusters() > 1 { clusters } else { self.scenarios? };
        if belonging.clusters() < 2 {
            return None;
        }
        let Interval { lo, hi } = belonging.interval(manner.confidence).interval;
        // The clusters' mean is rounded to parts.
        Some(ScoreInterval { lo: lo.min(mean), hi: hi.max(mean) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANNER: Manner = Manner { confidence: 0.95, suite_only: false, is_part: false };

    /// Each inner list is a cluster of scenarios with such scores.
    fn spread(clusters: &[&[f64]], are_named: bool) -> Option<ScoreInterval> {
        let mut spread = Spread::default();
        let (mut scenario, mut sum, mut rows) = (0, 0.0, 0.0);
        for (cluster, scores) in clusters.iter().enumerate() {
            for score in *scores {
                scenario += 1;
                (sum, rows) = (sum + score, rows + 1.0);
                spread.add(*score, Place { scenario, cluster: are_named.then_some(cluster) });
            }
        }
        spread.interval(if rows > 0.0 { sum / rows } else { 0.0 }, MANNER)
    }

    #[test]
    fn the_interval_of_scores_is_that_of_their_clusters() {
        let clusters: [&[f64]; 6] = [&[1.0, 0.5], &[0.25], &[0.75, 0.75, 1.0], &[0.0, 0.25], &[0.5], &[1.0, 1.0]];
        let scores: Vec<f64> = clusters.iter().flat_map(|scores| scores.iter().copied()).collect();
        let mean = scores.iter().sum::<f64>() / scores.len() as f64;
        // Wilson's interval at the rows that would have the error of the mean: its ends are as far from it as so many errors there.
        let distance =
            |end: f64, error: f64| (mean - end).abs() / error / ((end * (1.0 - end)) / (mean * (1.0 - mean))).sqrt();
        let error = stats::clustered_mean(&clusters, 0.95).unwrap().standard_error;
        let found = spread(&clusters, true).unwrap();
        let (low, high) = (distance(found.lo, error), distance(found.hi, error));
        assert!((low - high).abs() < 1e-4 && low > stats::two_sided_t(0.95, 5), "{found:?} {low} {high}");
        let alone: Vec<[f64; 1]> = scores.iter().map(|score| [*score]).collect();
        let error = stats::clustered_mean(&alone, 0.95).unwrap().standard_error;
        let found = spread(&clusters, false).unwrap();
        let (low, high) = (distance(found.lo, error), distance(found.hi, error));
        let expected = stats::two_sided_t(0.95, 10);
        assert!((low - expected).abs() < 1e-4 && (high - expected).abs() < 1e-4, "{found:?} {low} {high}");
    }

    #[test]
    fn scores_near_an_end_have_room_on_the_other_side() {
        let mut scores = vec![1.0; 18];
        scores.extend([0.6, 0.8]);
        let found = spread(&[&scores], true).unwrap();
        assert!(found.lo < 0.9 && found.hi <= 1.0 && found.hi > 0.97, "{found:?}");
    }

    #[test]
    fn equal_scores_of_a_few_are_not_certain() {
        let found = spread(&[&[1.0], &[1.0], &[1.0]], true).unwrap();
        assert!(found.lo < 0.5 && found.hi >= 1.0, "{found:?}");
        assert_eq!(spread(&[&[1.0]], true), None);
        assert_eq!(spread(&[], true), None);
    }
}
