//! Differences of scores, which need not be 0 or 1: their mean, the bootstrap over what is independent, and the signs' test.

use std::collections::BTreeMap;

use super::differences::Level;
use crate::data::ScoreDifference;
use crate::stats::{self, Interval, Resampling};

/// Resamples of the bootstrap.
const RESAMPLES: u32 = 10_000;

/// From so many clusters on, sums are rounded, unless there are few kinds of them as they are.
const MANY: usize = 10_000;

/// Kinds of sums among many clusters.
const KINDS: usize = 512;

/// Sums are rounded to so many parts of a score.
const PARTS: f64 = 200.0;

/// Differences of scores by scenario and by topic.
#[derive(Debug, Default)]
pub(super) struct Scores {
    base: f64,
    new: f64,
    rows: u64,
    /// The sum of differences of each scenario, and its rows.
    scenarios: Vec<(f64, u32)>,
    topics: BTreeMap<u32, (f64, u32)>,
}

impl Scores {
    /// Takes in one scenario: the scores of each pair.
    pub(super) fn add(&mut self, topic: u32, pairs: impl Iterator<Item = (f64, f64)>) {
        let (mut sum, mut rows) = (0.0, 0_u32);
        for (base, new) in pairs {
            self.base += base;
            self.new += new;
            sum += new - base;
            rows += 1;
        }
        if rows > 0 {
            self.rows += u64::from(rows);
            self.scenarios.push((sum, rows));
            let (topic_sum, topic_rows) = self.topics.entry(topic).or_default();
            *topic_sum += sum;
            *topic_rows += rows;
        }
    }

    /// What is to be said of them; none without any.
    pub(super) fn difference(self, level: Level, confidence: f64, seed: u64) -> Option<ScoreDifference> {
        let Self { base, new, rows, scenarios, topics } = self;
        if rows == 0 {
            return None;
        }
        let (base, new) = (base / rows as f64, new / rows as f64);
        let clusters = match level {
            Level::Row | Level::Scenario => scenarios,
            Level::Topic => topics.into_values().collect(),
        };
        let kinds = Kinds::of(clusters);
        let resampling = Resampling { confidence, resamples: RESAMPLES, seed, purpose: "compare: mean score" };
        let found = stats::bootstrap(&kinds.counts, |drawn| kinds.mean(drawn), &resampling);
        // Resamples of a few differences among many that are 0 are too much alike.
        let estimated = kinds.interval(confidence);
        let wider =
            |found: &stats::Bootstrap| (found.interval.lo.min(estimated.lo), found.interval.hi.max(estimated.hi));
        let sums: Vec<(f64, u32)> = kinds.sums.iter().copied().zip(kinds.counts.iter().copied()).collect();
        Some(ScoreDifference {
            base,
            new,
            difference: new - base,
            interval: found.as_ref().map(wider),
            confidence,
            resamples: found.as_ref().map_or(0, |found| found.resamples),
            degenerate: found.is_none_or(|found| found.is_degenerate),
            p: stats::sign_flip_p_of_kinds(&sums, seed, "compare: signs of score differences"),
        })
    }
}

/// Clusters by the sum of their differences and their rows.
struct Kinds {
    sums: Vec<f64>,
    sizes: Vec<f64>,
    counts: Vec<u32>,
}

impl Kinds {
    fn of(clusters: Vec<(f64, u32)>) -> Self {
        let exact = Self::collapsed(clusters.clone());
        if clusters.len() <= MANY || exact.sums.len() <= KINDS {
            return exact;
        }
        Self::collapsed(clusters.into_iter().map(|(sum, rows)| ((sum * PARTS).round() / PARTS, rows)).collect())
    }

    fn collapsed(mut clusters: Vec<(f64, u32)>) -> Self {
        // A sum of 0 has one sign, or equal clusters would be two kinds.
        clusters.iter_mut().for_each(|(sum, _)| *sum += 0.0);
        clusters.sort_unstable_by(|one, other| one.0.total_cmp(&other.0).then(one.1.cmp(&other.1)));
        let mut kinds = Self { sums: Vec::new(), sizes: Vec::new(), counts: Vec::new() };
        let mut last = None;
        for (sum, rows) in clusters {
            let kind = Some((sum.to_bits(), rows));
            match kinds.counts.last_mut() {
                Some(count) if kind == last => *count += 1,
                _ => {
                    kinds.sums.push(sum);
                    kinds.sizes.push(f64::from(rows));
                    kinds.counts.push(1);
                }
            }
            last = kind;
        }
        kinds
    }

    fn interval(&self, confidence: f64) -> Interval {
        let clusters = self.sums.iter().zip(&self.sizes).zip(&self.counts);
        stats::mean_difference_interval(clusters.map(|((sum, rows), count)| (*sum, *rows, *count)), confidence)
    }

    fn mean(&self, drawn: &[u32]) -> f64 {
        let (mut sum, mut rows) = (0.0, 0.0);
        for ((value, size), count) in self.sums.iter().zip(&self.sizes).zip(drawn) {
            let count = f64::from(*count);
            sum += value * count;
            rows += size * count;
        }
        sum / rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(scenarios: &[(u32, f64, f64)], level: Level) -> ScoreDifference {
        let mut scores = Scores::default();
        for (topic, base, new) in scenarios {
            scores.add(*topic, std::iter::once((*base, *new)));
        }
        scores.difference(level, 0.95, 7).unwrap()
    }

    #[test]
    fn a_difference_that_is_there_is_seen_and_one_that_is_not_is_not() {
        let better: Vec<_> =
            (0..60).map(|i| (i % 7, f64::from(i % 5) / 8.0, f64::from(i % 5) / 8.0 + f64::from(i % 3) / 8.0)).collect();
        for level in [Level::Row, Level::Topic] {
            let found = of(&better, level);
            let (lo, hi) = found.interval.unwrap();
            assert!((found.difference - 0.125).abs() < 1e-12 && 0.0 < lo && lo <= 0.125 && 0.125 <= hi, "{found:?}");
            assert!(found.p < 0.05, "{found:?}");
        }
        let same: Vec<_> = (0..60).map(|i| (i % 6, 0.5, if i % 2 == 0 { 0.25 } else { 0.75 })).collect();
        let found = of(&same, Level::Row);
        let (lo, hi) = found.interval.unwrap();
        assert!(lo < 0.0 && 0.0 < hi && found.p > 0.5, "{found:?}");
    }

    #[test]
    fn many_scores_are_rounded_and_come_to_nearly_the_same() {
        let scenarios: Vec<_> = (0..12_000_u32)
            .map(|i| (0, 0.3, 0.3 + f64::from(i.wrapping_mul(2_654_435_761) % 9_973) / 99_730.0))
            .collect();
        let exact: f64 = scenarios.iter().map(|(_, base, new)| new - base).sum::<f64>() / 12_000.0;
        let found = of(&scenarios, Level::Row);
        let (lo, hi) = found.interval.unwrap();
        assert!((found.difference - exact).abs() < 1e-9 && lo < exact && exact < hi && hi - lo < 0.002, "{found:?}");
        assert!(Scores::default().difference(Level::Row, 0.95, 7).is_none());
    }
}
