//! Pairs that come in clusters: the answers to one scenario, or all scenarios of one topic.
//!
//! Owns the sums that the interval of their difference takes; memory does not grow with rows. Start at [`PairClusters`].

use super::cluster::Clusters;
use super::effective::{degrees_of_spread, difference_interval};
use super::interval::Interval;
use super::paired::Pairs;
use super::student::two_sided_p_of;

/// Sums over clusters of what the new model passes more than the base. Whole numbers, so that the order of clusters is nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PairClusters {
    /// In halves of a row, so that nothing is negative: a pair that is lost earns none, one that is gained two.
    halves: Clusters,
    // Sums of products of a cluster's difference d and its rows n: d⁴, d³n, d²n² and dn³.
    fourth: i128,
    third: i128,
    second: i128,
    first: i128,
}

/// What pairs that come in clusters say of a difference.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClusteredDifference {
    /// The difference with its interval, within [-1, 1]; all of that for fewer than two clusters, and the difference alone where they all
    /// came out alike.
    pub interval: Interval,
    /// The probability of so much, either way, without a difference: 1 for fewer than two clusters, none where all of them came
    /// out alike.
    pub p: Option<f64>,
    /// So many rows say as much as one that is independent; 1 where that cannot be said.
    pub design_effect: f64,
}

impl Default for PairClusters {
    fn default() -> Self {
        Self { halves: Clusters::in_parts_of(2), fourth: 0, third: 0, second: 0, first: 0 }
    }
}

impl PairClusters {
    /// Takes in one cluster: how many of its rows the new model passes, how many the base, and how many there are. One without rows is
    /// none.
    pub fn add(&mut self, new: u64, base: u64, rows: u64) {
        self.halves.add(rows + new - base, rows);
        let (d, n) = (i128::from(new) - i128::from(base), i128::from(rows));
        self.fourth = self.fourth.saturating_add(d.saturating_pow(4));
        self.third = self.third.saturating_add(d.saturating_pow(3).saturating_mul(n));
        self.second = self.second.saturating_add(d.saturating_pow(2).saturating_mul(n.saturating_pow(2)));
        self.first = self.first.saturating_add(d.saturating_mul(n.saturating_pow(3)));
    }

    /// How many clusters there are.
    #[must_use]
    pub fn clusters(&self) -> u64 {
        self.halves.clusters()
    }

    /// Whether any cluster has several rows; else rows are as good as independent.
    #[must_use]
    pub fn are_clustered(&self) -> bool {
        self.halves.are_clustered()
    }

    /// The difference of `pairs`, which are the rows of these clusters, by what varies between clusters (CR1): Wilson's interval of the
    /// share that it is of the way from -1 to 1, with as many independent rows as have that variance, and Student's t with the degrees of
    /// freedom that the clusters' own tails leave: few clusters that hold all differences do not tell well how much these vary.
    #[must_use]
    pub fn difference(&self, pairs: &Pairs, confidence: f64) -> ClusteredDifference {
        // A half is worth as much as the whole way from base to new.
        let Some(error) = self.halves.cluster_se_cr1().map(|error| 2.0 * error) else {
            return ClusteredDifference { interval: Interval { lo: -1.0, hi: 1.0 }, p: Some(1.0), design_effect: 1.0 };
        };
        let (point, degrees) = (pairs.difference(), self.degrees(pairs.difference(), error));
        let single = pairs.standard_error().filter(|single| *single > 0.0);
        ClusteredDifference {
            interval: difference_interval(point, error, degrees, confidence),
            // How far ½ is from the share, by the error that the interval would have there.
            p: (error > 0.0).then(|| two_sided_p_of(point * (1.0 - point * point).max(0.0).sqrt() / error, degrees)),
            design_effect: single.map_or(1.0, |single| error * error / (single * single)),
        }
    }

    fn degrees(&self, point: f64, error: f64) -> f64 {
        let (clusters, rows) = (self.clusters() as f64, self.halves.rows() as f64);
        let squares = error * error * rows * rows * (clusters - 1.0) / clusters;
        let [fourth, third, second, first] = [self.fourth, self.third, self.second, self.first].map(|sum| sum as f64);
        let same = self.halves.rows_fourth() as f64;
        // Σ(d − nD)⁴.
        let fourths = fourth - point * (4.0 * third - point * (6.0 * second - point * (4.0 * first - point * same)));
        degrees_of_spread(clusters, squares, fourths)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::stats::two_sided_t;

    proptest! {
        /// Against the definitions, cluster by cluster. Pairs may be lost, unchanged or gained.
        #[test]
        fn the_sums_give_what_the_definitions_give(
            clusters in prop::collection::vec(prop::collection::vec(-1_i8..=1, 1..5), 4..20), confidence in 0.5..0.999_f64,
        ) {
            let count = |all: &[i8], what: i8| all.iter().filter(|found| **found == what).count() as u64;
            let every: Vec<i8> = clusters.iter().flatten().copied().collect();
            let pairs = Pairs { both: count(&every, 0), gains: count(&every, 1), losses: count(&every, -1), neither: 0 };
            let mut sums = PairClusters::default();
            for cluster in &clusters {
                sums.add(count(cluster, 1), count(cluster, -1), cluster.len() as u64);
            }
            let found = sums.difference(&pairs, confidence);
            let scores: Vec<Vec<f64>> = clusters.iter().map(|all| all.iter().map(|one| f64::from(*one)).collect()).collect();
            let plain = crate::stats::clustered_mean(&scores, confidence).unwrap();
            let error = plain.standard_error;
            let n = every.len() as f64;
            let point = every.iter().map(|one| f64::from(*one)).sum::<f64>() / n;
            let away = scores.iter().map(|all| all.iter().sum::<f64>() - all.len() as f64 * point);
            let squares: f64 = away.clone().map(|one| one * one).sum();
            let fourths: f64 = away.map(|one| one * one * one * one).sum();
            let degrees = degrees_of_spread(clusters.len() as f64, squares, fourths);
            let expected = difference_interval(point, error, degrees, confidence);
            prop_assert!((found.interval.lo - expected.lo).abs() < 1e-6, "{found:?} {expected:?}");
            prop_assert!((found.interval.hi - expected.hi).abs() < 1e-6, "{found:?} {expected:?}");
            prop_assert!(found.interval.lo <= point + 1e-12 && point <= found.interval.hi + 1e-12);
            match found.p {
                // It is below one less the level exactly where the interval leaves 0 outside.
                Some(p) if (p - (1.0 - confidence)).abs() > 1e-6 => {
                    let is_outside = expected.lo > 0.0 || expected.hi < 0.0;
                    prop_assert_eq!(p < 1.0 - confidence, is_outside);
                }
                Some(_) => {}
                None => prop_assert!(error < 1e-9),
            }
            let alone = pairs.standard_error().unwrap();
            prop_assert!((found.design_effect * alone * alone - error * error).abs() < 1e-9 || alone < 1e-12);
            if squares > 1e-9 {
                let most = f64::from(u32::try_from(clusters.len()).unwrap()) - 1.0;
                prop_assert!((1.0..=most).contains(&degrees), "{degrees}");
            }
        }

        #[test]
        fn exchanging_the_models_mirrors_it(clusters in prop::collection::vec((0_u64..5, 0_u64..5), 2..20)) {
            let (mut one, mut other) = (PairClusters::default(), PairClusters::default());
            let (mut gains, mut losses) = (0, 0);
            for (new, base) in &clusters {
                one.add(*new, *base, 9);
                other.add(*base, *new, 9);
                (gains, losses) = (gains + new, losses + base);
            }
            let pairs = Pairs { both: 0, gains, losses, neither: 9 * clusters.len() as u64 - gains - losses };
            let (one, other) = (one.difference(&pairs, 0.95), other.difference(&pairs.mirrored(), 0.95));
            prop_assert!((one.interval.lo + other.interval.hi).abs() < 1e-9, "{one:?} {other:?}");
            prop_assert!(one.p.zip(other.p).is_none_or(|(one, other)| (one - other).abs() < 1e-9));
        }
    }

    #[test]
    fn nothing_and_one_cluster_say_nothing() {
        let mut one = PairClusters::default();
        assert_eq!(one.difference(&Pairs::default(), 0.95).interval, Interval { lo: -1.0, hi: 1.0 });
        one.add(3, 1, 8);
        let found = one.difference(&Pairs { both: 1, gains: 2, losses: 0, neither: 5 }, 0.95);
        assert_eq!((found.interval, found.p), (Interval { lo: -1.0, hi: 1.0 }, Some(1.0)));
    }

    /// All losses in one topic of twenty: how much topics vary is known from that one.
    #[test]
    fn a_loss_in_one_topic_is_not_one_everywhere() {
        let mut clusters = PairClusters::default();
        clusters.add(0, 10, 10);
        (0..19).for_each(|_| clusters.add(8, 8, 10));
        let pairs = Pairs { both: 152, gains: 0, losses: 10, neither: 38 };
        let found = clusters.difference(&pairs, 0.95);
        let by_topics = 2.0 * two_sided_t(0.95, 19) * 0.05;
        assert!(found.interval.hi - found.interval.lo > 1.5 * by_topics && found.p.unwrap() > 0.4, "{found:?}");
    }
}
