//! Rates over clusters: rows that belong together, such as several answers to one scenario, and so are no independent
//! evidence.
//!
//! Owns the sums that an interval takes; memory does not grow with rows. Start at [`Clusters`].

use super::effective::{degrees_of_share, share_interval};
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
    rows_cubed: u128,
    rows_fourth: u128,
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
    /// The degrees of freedom of Student's t in the interval; one less than there are clusters at most.
    pub degrees: f64,
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
            rows_cubed: 0,
            rows_fourth: 0,
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
        self.rows_cubed = self.rows_cubed.saturating_add(rows.saturating_pow(3));
        self.rows_fourth = self.rows_fourth.saturating_add(rows.saturating_pow(4));
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

    pub(super) fn rows(&self) -> u64 {
        self.rows
    }

    /// The sum of fourth powers of the numbers of rows.
    pub(super) fn rows_fourth(&self) -> u128 {
        self.rows_fourth
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

    /// Wilson's interval with as many rows as would be independent, and Student's t with one degree of freedom less than there are
    /// clusters for the normal quantile.
    ///
    /// `n_eff = min(n, p(1-p)/SE²)`, and the number of clusters where the rows do not vary or all clusters come out the
    /// same. Fewer than two clusters say nothing: the interval is [0, 1]. It is too narrow where clusters are few or of unlike sizes, or
    /// the rate is near an end and rows much resemble each other: [`interval`](Self::interval) is the same where they are not.
    #[must_use]
    pub fn wilson_clustered(&self, confidence: f64) -> ClusteredInterval {
        let Some(n_eff) = self.n_eff(self.rows as f64) else { return self.of_nothing() };
        let degrees = (self.clusters - 1) as f64;
        let quantile = two_sided_t(confidence, u32::try_from(self.clusters - 1).unwrap_or(u32::MAX));
        let interval = wilson_at(self.rate() * n_eff, n_eff, quantile);
        ClusteredInterval { interval, n_eff, design_effect: self.rows as f64 / n_eff, degrees }
    }

    /// [`wilson_clustered`](Self::wilson_clustered) with as many degrees of freedom as the design effect is known to: fewer where the
    /// rate is near an end, so that what varies comes from few clusters, or where a few clusters hold most rows. Never wider than if
    /// all rows of a cluster were one. The interval of a rate and, in parts of a row, of a mean score: scores may vary less than passes
    /// and failures would.
    #[must_use]
    pub fn interval(&self, confidence: f64) -> ClusteredInterval {
        let most = if self.parts == 1 { self.rows as f64 } else { f64::INFINITY };
        let Some(n_eff) = self.n_eff(most) else { return self.of_nothing() };
        let (rate, pieces) = (self.rate(), self.effective_clusters(self.rows as f64 / n_eff));
        let worth = |n_eff: f64, degrees: f64| ClusteredInterval {
            interval: share_interval(rate, n_eff, degrees, confidence),
            n_eff,
            design_effect: self.rows as f64 / n_eff,
            degrees,
        };
        let found = worth(n_eff, degrees_of_share(rate, n_eff, pieces));
        // No cluster is worth less than one row.
        let least = worth(pieces.min(n_eff), (pieces - 1.0).max(1.0));
        if least.interval.hi - least.interval.lo < found.interval.hi - found.interval.lo { least } else { found }
    }

    /// What independent rows would say as much, `most` at most; none for fewer than two clusters.
    fn n_eff(&self, most: f64) -> Option<f64> {
        let (error, p) = (self.cluster_se_cr1()?, self.rate());
        let variance = error * error;
        let varies = variance > 0.0 && p > 0.0 && p < 1.0;
        Some(if varies { (p * (1.0 - p) / variance).min(most) } else { self.clusters as f64 })
    }

    fn of_nothing(&self) -> ClusteredInterval {
        ClusteredInterval {
            interval: Interval { lo: 0.0, hi: 1.0 },
            n_eff: self.clusters as f64,
            design_effect: if self.clusters == 0 { 1.0 } else { self.rows as f64 },
            degrees: 1.0,
        }
    }

    /// So many clusters of one size would tell as much about how clusters vary (Carter, Schnepel and Steigerwald 2017): `(Σγ)² / Σγ²` with
    /// `γ = n(1 − r + n r)`, the variance that a cluster of `n` rows brings in where those are correlated by `r`, which the design effect
    /// tells of passes and failures. Rows with parts may be so in full.
    fn effective_clusters(&self, design_effect: f64) -> f64 {
        if self.largest.saturating_mul(self.clusters) == self.rows {
            return self.clusters as f64;
        }
        let [n, squared, cubed, fourth] =
            [self.rows as f64, self.rows_squared as f64, self.rows_cubed as f64, self.rows_fourth as f64];
        let mean = squared / n;
        let alike = match self.parts {
            1 if mean > 1.0 => ((design_effect - 1.0) / (mean - 1.0)).clamp(0.0, 1.0),
            1 => 0.0,
            _ => 1.0,
        };
        let apart = 1.0 - alike;
        let sum = apart * n + alike * squared;
        let squares = apart * apart * squared + 2.0 * alike * apart * cubed + alike * alike * fourth;
        (sum * sum / squares).clamp(1.0, self.clusters as f64)
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
            for found in [of(clusters).wilson_clustered(0.95), of(clusters).interval(0.95)] {
                assert_eq!(found.interval, Interval { lo: 0.0, hi: 1.0 });
                assert!(found.n_eff <= 1.0 && found.design_effect.is_finite() && found.degrees >= 1.0);
            }
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

    #[test]
    fn a_rate_in_the_middle_over_even_clusters_is_as_sure_as_there_are_clusters() {
        let even = of(&[(6, 10), (5, 10), (7, 10), (4, 10), (3, 10), (5, 10), (6, 10), (4, 10)]);
        assert_eq!(even.interval(0.95), even.wilson_clustered(0.95));
        let uneven = of(&[(6, 10), (5, 10), (7, 10), (4, 10), (3, 10), (5, 10), (6, 10), (120, 200)]);
        let (found, plain) = (uneven.interval(0.95), uneven.wilson_clustered(0.95));
        assert!(found.degrees < 3.0 && (found.n_eff - plain.n_eff).abs() < 1e-12, "{found:?}");
        assert!(found.interval.lo < plain.interval.lo && found.interval.hi > plain.interval.hi);
    }

    /// From one failure nobody knows whether its cluster is unlike the others: it is as if each were one row.
    #[test]
    fn what_varies_in_few_clusters_is_not_well_known() {
        for (rows, groups) in [(10, 20_u32), (50, 20), (10, 40), (10, 10)] {
            let with = |failures: usize| {
                let mut all = vec![(rows, rows); groups as usize];
                all.iter_mut().take(failures).for_each(|(passed, _)| *passed -= 1);
                of(&all)
            };
            let [none, one, two] = [0, 1, 2].map(|failures| with(failures).interval(0.95));
            let all = f64::from(groups);
            let as_rows = wilson_at(all, all, two_sided_t(0.95, groups - 1));
            assert!((none.interval.lo - as_rows.lo).abs() < 1e-12, "{none:?}");
            let plain = with(1).wilson_clustered(0.95).interval.lo;
            assert!(one.interval.lo < plain - 0.05 && one.interval.lo > none.interval.lo - 0.02, "{one:?} {plain}");
            assert!(two.interval.lo < with(2).wilson_clustered(0.95).interval.lo, "{two:?}");
            assert!(one.degrees >= 1.0 && one.n_eff >= all * 0.99, "{one:?}");
        }
    }

    #[test]
    fn scores_may_vary_less_than_passes() {
        let mut scores = Clusters::in_parts_of(10);
        for sum in [5, 6, 5, 4, 5, 6, 4, 5] {
            scores.add(sum, 1);
        }
        let found = scores.interval(0.95);
        assert!(found.n_eff > 100.0 && found.interval.hi - found.interval.lo < 0.15, "{found:?}");
        assert!((scores.wilson_clustered(0.95).n_eff - 8.0).abs() < 1e-12);
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
            let wider = all.interval(confidence);
            prop_assert!(wider.interval.lo <= interval.lo && interval.hi <= wider.interval.hi, "never narrower by degrees");
            prop_assert!((1.0..=groups - 1.0).contains(&wider.degrees) && wider.n_eff <= n_eff + 1e-12);
        }

        #[test]
        fn the_order_of_clusters_is_nothing(mut clusters in prop::collection::vec((0_u64..4, 4_u64..8), 0..20)) {
            let one = of(&clusters);
            clusters.reverse();
            prop_assert_eq!(one, of(&clusters));
        }
    }
}
