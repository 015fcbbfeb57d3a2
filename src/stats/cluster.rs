//! Rates over clusters: rows that belong together, such as several answers to one scenario, and so are no independent
//! evidence.
//!
//! Owns the sums that an interval takes; memory does not grow with rows. Start at [`Clusters`].

use super::interval::{Interval, wilson_at};
use super::student::two_sided_t;

/// Fewer clusters than this decide nothing, whatever their interval.
pub const FEWEST_CLUSTERS: u64 = 5;

/// Sums over clusters of passes and rows. Whole numbers, so that the order of clusters is nothing and equal clusters vary
/// by exactly nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clusters {
    /// Passes are counted in parts of one row: 1 where a row passes or does not.
    parts: u64,
    clusters: u64,
    rows: u64,
    passed: u64,
    largest: u64,
    passed_squared: u128,
    passed_by_rows: u128,
    rows_squared: u128,
}

/// An interval over clusters, and how much the rows of a cluster resemble each other.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClusteredInterval {
    /// The interval.
    pub interval: Interval,
    /// So many independent rows would say as much.
    pub n_eff: f64,
    /// Rows for each of these.
    pub design_effect: f64,
}

impl Default for Clusters {
    fn default() -> Self {
        Self::in_parts_of(1)
    }
}

impl Clusters {
    /// No cluster yet; the scores of rows are counted in so many parts of 1.
    #[must_use]
    pub fn in_parts_of(parts: u64) -> Self {
        Self {
            parts: parts.max(1),
            clusters: 0,
            rows: 0,
            passed: 0,
            largest: 0,
            passed_squared: 0,
            passed_by_rows: 0,
            rows_squared: 0,
        }
    }

    /// Takes in one cluster: how many parts its rows earned together, and how many rows it has. One without rows is none.
    pub fn add(&mut self, passed: u64, rows: u64) {
        if rows == 0 {
            return;
        }
        self.clusters += 1;
        self.rows += rows;
        self.passed += passed;
        self.largest = self.largest.max(rows);
        let (passed, rows) = (u128::from(passed), u128::from(rows));
        self.passed_squared += passed * passed;
        self.passed_by_rows += passed * rows;
        self.rows_squared += rows * rows;
    }

    /// How many clusters there are.
    #[must_use]
    pub fn clusters(&self) -> u64 {
        self.clusters
    }

    /// Whether any cluster has several rows; else rows are as good as independent.
    #[must_use]
    pub fn are_clustered(&self) -> bool {
        self.largest > 1
    }

    fn rate(&self) -> f64 {
        self.passed as f64 / (self.rows as f64 * self.parts as f64)
    }

    /// Standard error of the rate, robust to clusters (CR1): `√(G/(G-1) · Σ_c (Σ_i (x_i - x̄))² / n²)`; none for fewer than
    /// two clusters.
    ///
    /// The same as a regression on the intercept alone gives with errors clustered.
    #[must_use]
    pub fn cluster_se_cr1(&self) -> Option<f64> {
        if self.clusters < 2 {
            return None;
        }
        let (rows, passed) = (u128::from(self.rows), u128::from(self.passed));
        // n² Σ (k_c - n_c k/n)², all in whole numbers.
        let spread = rows * rows * self.passed_squared + passed * passed * self.rows_squared
            - 2 * passed * rows * self.passed_by_rows;
        let n = self.rows as f64 * self.rows as f64 * self.parts as f64;
        let clusters = self.clusters as f64;
        Some((clusters / (clusters - 1.0) * spread as f64).sqrt() / n)
    }

    /// Wilson's interval with as many rows as would be independent, and Student's t for the normal quantile.
    ///
    /// `n_eff = min(n, p(1-p)/SE²)`, and the number of clusters where the rows do not vary or all clusters come out the
    /// same. Fewer than two clusters say nothing: the interval is [0, 1]. Ten clusters at a rate of 0.9 whose rows much resemble
    /// each other may be held to less than they say, 90 of 100 runs instead of 95; fewer than five should decide nothing.
    #[must_use]
    pub fn wilson_clustered(&self, confidence: f64) -> ClusteredInterval {
        let (n, p) = (self.rows as f64, self.rate());
        let Some(error) = self.cluster_se_cr1() else {
            let n_eff = self.clusters as f64;
            let design_effect = if self.clusters == 0 { 1.0 } else { n };
            return ClusteredInterval { interval: Interval { lo: 0.0, hi: 1.0 }, n_eff, design_effect };
        };
        let variance = error * error;
        let n_eff =
            if variance > 0.0 && p > 0.0 && p < 1.0 { (p * (1.0 - p) / variance).min(n) } else { self.clusters as f64 };
        let degrees = u32::try_from(self.clusters - 1).unwrap_or(u32::MAX);
        let interval = wilson_at(p * n_eff, n_eff, two_sided_t(confidence, degrees));
        ClusteredInterval { interval, n_eff, design_effect: n / n_eff }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::stats::wilson;

    fn of(clusters: &[(u64, u64)]) -> Clusters {
        let mut all = Clusters::default();
        clusters.iter().for_each(|(passed, rows)| all.add(*passed, *rows));
        all
    }

    #[test]
    fn nothing_and_one_cluster_say_nothing() {
        for clusters in [&[][..], &[(0, 0)], &[(3, 5)]] {
            let ClusteredInterval { interval, n_eff, design_effect } = of(clusters).wilson_clustered(0.95);
            assert_eq!(interval, Interval { lo: 0.0, hi: 1.0 });
            assert!(n_eff <= 1.0 && design_effect.is_finite());
        }
    }

    #[test]
    fn clusters_that_come_out_the_same_are_as_many_rows_as_clusters() {
        for clusters in [vec![(1, 3); 9], vec![(0, 3); 9], vec![(3, 3); 9]] {
            let found = of(&clusters).wilson_clustered(0.95);
            assert!((found.n_eff - 9.0).abs() < 1e-12 && (found.design_effect - 3.0).abs() < 1e-12, "{found:?}");
        }
        assert_eq!(of(&[(1, 3); 9]).cluster_se_cr1(), Some(0.0));
    }

    proptest! {
        /// Against the definition, row by row.
        #[test]
        fn the_sums_give_what_the_definition_gives(
            clusters in prop::collection::vec((0_u64..6, 0_u64..6), 2..30), confidence in 0.5..0.999_f64,
        ) {
            let clusters: Vec<(u64, u64)> = clusters.iter().map(|(passed, more)| (*passed, passed + more)).collect();
            let all = of(&clusters);
            let real: Vec<(f64, f64)> =
                clusters.iter().filter(|(_, n)| *n > 0).map(|(k, n)| (*k as f64, *n as f64)).collect();
            prop_assume!(real.len() >= 2);
            let n: f64 = real.iter().map(|(_, n)| n).sum();
            let p = real.iter().map(|(k, _)| k).sum::<f64>() / n;
            let groups = real.len() as f64;
            let spread: f64 = real.iter().map(|(k, n)| (k - p * n) * (k - p * n)).sum();
            let expected = (groups / (groups - 1.0) * spread).sqrt() / n;
            prop_assert!((all.cluster_se_cr1().unwrap() - expected).abs() < 1e-9, "{clusters:?}");

            let ClusteredInterval { interval, n_eff, .. } = all.wilson_clustered(confidence);
            prop_assert!(0.0 <= interval.lo && interval.lo <= p + 1e-12 && p <= interval.hi + 1e-12 && interval.hi <= 1.0);
            let plain = wilson(p * n, n, confidence);
            prop_assert!(n_eff <= n + 1e-9);
            prop_assert!(interval.hi - interval.lo >= plain.hi - plain.lo - 1e-12, "never narrower than without clusters");
        }

        #[test]
        fn the_order_of_clusters_is_nothing(mut clusters in prop::collection::vec((0_u64..4, 4_u64..8), 0..20)) {
            let one = of(&clusters);
            clusters.reverse();
            prop_assert_eq!(one, of(&clusters));
        }
    }
}
