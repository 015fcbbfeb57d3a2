//! Intervals for the mean of scores, which need not be 0 or 1, and for rows that are not independent.
//!
//! Owns Student's interval over rows ([`mean_ci_t`]) and over clusters of rows ([`clustered_mean`]), how much rows of one
//! cluster resemble each other ([`icc_anova`]), what more samples a scenario would bring ([`Epochs`]), and the chance that
//! one of several samples succeeds ([`pass_at_k`]). Scores may be any finite numbers; one that is not finite makes the
//! result none.

use super::float;
use super::interval::Interval;
use super::student::two_sided_t;

/// A mean with its standard error and interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MeanEstimate {
    /// The mean.
    pub mean: f64,
    /// Its standard error.
    pub standard_error: f64,
    /// Mean ± t times the standard error; may reach beyond the scores that are possible.
    pub interval: Interval,
    /// What is taken as independent: rows, or clusters.
    pub groups: u64,
}

/// The mean of independent scores, with the standard error `√(Σ(x−x̄)² / (n(n−1)))` and Student's interval for n − 1 degrees
/// of freedom (Miller 2024). None for fewer than two scores.
#[must_use]
pub fn mean_ci_t(scores: &[f64], confidence: f64) -> Option<MeanEstimate> {
    let (mean, variance) = moments(scores)?;
    let groups = scores.len() as u64;
    estimate(mean, (variance / groups as f64).sqrt(), groups, confidence)
}

/// The mean of scores that come in clusters, with the standard error robust to them (CR1), `√(G/(G−1) · Σ_c (Σ_i (x_i − x̄))²) / n`,
/// and Student's interval for G − 1 degrees of freedom (Liang and Zeger 1986). Clusters without scores are none; none for
/// fewer than two clusters.
#[must_use]
pub fn clustered_mean<C: AsRef<[f64]>>(clusters: &[C], confidence: f64) -> Option<MeanEstimate> {
    let filled = || clusters.iter().map(AsRef::as_ref).filter(|scores| !scores.is_empty());
    let groups = filled().count();
    if groups < 2 {
        return None;
    }
    let n = filled().map(<[f64]>::len).sum::<usize>() as f64;
    let mean = filled().flatten().sum::<f64>() / n;
    let spread: f64 = filled().map(|scores| square(scores.iter().map(|score| score - mean).sum())).sum();
    let count = groups as f64;
    estimate(mean, (count / (count - 1.0) * spread).sqrt() / n, groups as u64, confidence)
}

fn estimate(mean: f64, standard_error: f64, groups: u64, confidence: f64) -> Option<MeanEstimate> {
    let half = two_sided_t(confidence, u32::try_from(groups - 1).unwrap_or(u32::MAX)) * standard_error;
    half.is_finite().then_some(MeanEstimate {
        mean,
        standard_error,
        interval: Interval { lo: mean - half, hi: mean + half },
        groups,
    })
}

/// The mean and the variance over one less than there are; none for fewer than two values, or for values that are not finite.
pub(super) fn moments(values: &[f64]) -> Option<(f64, f64)> {
    if values.len() < 2 {
        return None;
    }
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let variance = values.iter().map(|value| square(value - mean)).sum::<f64>() / (count - 1.0);
    variance.is_finite().then_some((mean, variance))
}

pub(super) fn square(x: f64) -> f64 {
    x * x
}

/// The intraclass correlation by analysis of variance: how much rows of one cluster resemble each other, 1 at most.
///
/// `(MSB − MSW) / (MSB + (n₀ − 1) MSW)` with `n₀ = (N − Σn_c²/N) / (G − 1)` (Donner and Koval 1980). It may be negative, and is
/// to be clipped to 0 for planning only. Clusters without scores are none; the result is none for fewer than two clusters,
/// without any cluster of several rows, or where nothing varies.
#[must_use]
pub fn icc_anova<C: AsRef<[f64]>>(clusters: &[C]) -> Option<f64> {
    let filled = || clusters.iter().map(AsRef::as_ref).filter(|scores| !scores.is_empty());
    let groups = filled().count() as f64;
    let n = filled().map(<[f64]>::len).sum::<usize>() as f64;
    if groups < 2.0 || n <= groups {
        return None;
    }
    let mean = filled().flatten().sum::<f64>() / n;
    let (mut between, mut within, mut squared_sizes) = (0.0, 0.0, 0.0);
    for scores in filled() {
        let size = scores.len() as f64;
        let own = scores.iter().sum::<f64>() / size;
        between += size * square(own - mean);
        within += scores.iter().map(|score| square(score - own)).sum::<f64>();
        squared_sizes += size * size;
    }
    let (between, within) = (between / (groups - 1.0), within / (n - groups));
    let size = (n - squared_sizes / n) / (groups - 1.0);
    let whole = between + (size - 1.0) * within;
    let found = (between - within) / whole;
    (whole > 0.0 && found.is_finite()).then_some(found)
}

/// The design effect that clusters of so many rows have on average: `1 + (m̄ − 1) ICC`, for planning, hence never below 1.
#[must_use]
pub fn design_effect(rows_per_cluster: f64, icc: f64) -> f64 {
    1.0 + (rows_per_cluster - 1.0).max(0.0) * icc.clamp(0.0, 1.0)
}

/// Where the variance of a mean over scenarios with several samples each comes from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Epochs {
    /// The mean of all scores.
    pub mean: f64,
    /// Its standard error, over the means of scenarios.
    pub standard_error: f64,
    /// The mean variance between samples of one scenario.
    pub within: f64,
    /// The variance between scenarios, apart from that.
    pub between: f64,
    /// How many scenarios there are.
    pub scenarios: u64,
    /// How many samples of each.
    pub samples: u64,
}

impl Epochs {
    /// Takes apart a table of scores, one row a scenario and one column a sample (Miller 2024). None for fewer than two
    /// scenarios, fewer than two samples, or rows of different lengths.
    ///
    /// `within` is the mean variance of rows, `between = max(0, Var(row means) − within/K)`.
    #[must_use]
    pub fn decompose<R: AsRef<[f64]>>(scores: &[R]) -> Option<Self> {
        let samples = scores.first()?.as_ref().len();
        if scores.iter().any(|row| row.as_ref().len() != samples) {
            return None;
        }
        let rows: Option<Vec<(f64, f64)>> = scores.iter().map(|row| moments(row.as_ref())).collect();
        let rows = rows?;
        let means: Vec<f64> = rows.iter().map(|(mean, _)| *mean).collect();
        let (mean, variance) = moments(&means)?;
        let count = means.len() as f64;
        let within = rows.iter().map(|(_, variance)| variance).sum::<f64>() / count;
        Some(Self {
            mean,
            standard_error: (variance / count).sqrt(),
            within,
            between: (variance - within / samples as f64).max(0.0),
            scenarios: means.len() as u64,
            samples: samples as u64,
        })
    }

    /// The standard error to expect with so many samples a scenario, at least 1: `√((between + within/K) / n)`.
    #[must_use]
    pub fn standard_error_with(&self, samples: u64) -> f64 {
        ((self.between + self.within / samples.max(1) as f64) / self.scenarios as f64).sqrt()
    }

    /// The standard error that any number of samples leaves: only more scenarios go below it.
    #[must_use]
    pub fn least_standard_error(&self) -> f64 {
        (self.between / self.scenarios as f64).sqrt()
    }

    /// Whether more samples of the same scenarios would take less than a tenth off the standard error.
    #[must_use]
    pub fn needs_scenarios_rather_than_samples(&self) -> bool {
        self.standard_error_with(self.samples) <= 1.1 * self.least_standard_error()
    }
}

/// The chance that at least one of `k` samples passes, where `passed` of `n` did: `1 − C(n−c, k) / C(n, k)`, without bias (Chen
/// et al. 2021). None if there are not `k` samples, or more passed than there are.
#[must_use]
pub fn pass_at_k(n: u64, passed: u64, k: u64) -> Option<f64> {
    if k > n || passed > n {
        return None;
    }
    if n - passed < k {
        return Some(1.0);
    }
    let logarithm: f64 = (n - passed + 1..=n).map(|i| float::ln_1p(-(k as f64) / i as f64)).sum();
    Some(-float::exp_m1(logarithm))
}

/// The chance that all of `k` samples pass, where `passed` of `n` did: `C(c, k) / C(n, k)`. None if there are not `k` samples, or
/// more passed than there are.
#[must_use]
pub fn pass_pow_k(n: u64, passed: u64, k: u64) -> Option<f64> {
    (k <= n && passed <= n)
        .then(|| if k > passed { 0.0 } else { (0..k).map(|i| (passed - i) as f64 / (n - i) as f64).product() })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::stats::Clusters;

    const NONE: &[&[f64]] = &[];

    #[test]
    fn too_few_say_nothing() {
        assert!(mean_ci_t(&[], 0.95).is_none() && mean_ci_t(&[1.0], 0.95).is_none());
        assert!(mean_ci_t(&[1.0, f64::NAN], 0.95).is_none() && mean_ci_t(&[1.0, f64::INFINITY], 0.95).is_none());
        assert!(clustered_mean(NONE, 0.95).is_none() && clustered_mean(&[&[1.0, 0.0][..], &[]], 0.95).is_none());
        assert!(
            icc_anova(NONE).is_none() && icc_anova(&[[1.0], [0.0]]).is_none() && icc_anova(&[[1.0; 2]; 3]).is_none()
        );
        assert!(Epochs::decompose(NONE).is_none() && Epochs::decompose(&[[1.0], [0.0]]).is_none());
        assert!(Epochs::decompose(&[&[1.0, 0.0][..], &[1.0]]).is_none());
        assert_eq!(
            (pass_at_k(3, 4, 1), pass_at_k(3, 1, 4), pass_pow_k(3, 4, 1), pass_pow_k(3, 1, 4)),
            (None, None, None, None)
        );
        assert_eq!((pass_at_k(0, 0, 0), pass_pow_k(0, 0, 0)), (Some(0.0), Some(1.0)));
    }

    #[test]
    fn what_does_not_vary_has_no_width() {
        let found = mean_ci_t(&[0.5; 4], 0.95).unwrap();
        assert_eq!((found.standard_error, found.interval), (0.0, Interval { lo: 0.5, hi: 0.5 }));
        let epochs = Epochs::decompose(&[[1.0, 1.0], [1.0, 1.0]]).unwrap();
        assert_eq!((epochs.within, epochs.between, epochs.standard_error), (0.0, 0.0, 0.0));
    }

    #[test]
    fn advice_on_samples() {
        let same = Epochs::decompose(&[[1.0, 1.0], [0.0, 0.0], [1.0, 1.0]]).unwrap();
        assert!(same.needs_scenarios_rather_than_samples(), "samples all agree");
        let noise = Epochs::decompose(&[[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]]).unwrap();
        assert!(!noise.needs_scenarios_rather_than_samples(), "scenarios all agree");
        assert!((design_effect(20.0, 0.1) - 2.9).abs() < 1e-12 && (design_effect(20.0, -0.1) - 1.0).abs() < 1e-12);
    }

    proptest! {
        /// All ways to choose `k` of the samples.
        #[test]
        fn samples_by_enumeration(n in 1_u64..10, passed in 0_u64..10, k in 0_u64..10) {
            prop_assume!(passed <= n && k <= n);
            let (mut ways, mut any, mut all) = (0.0, 0.0, 0.0);
            for chosen in (0_u64..1 << n).filter(|bits| u64::from(bits.count_ones()) == k) {
                let passes = u64::from((chosen & ((1 << passed) - 1)).count_ones());
                ways += 1.0;
                any += f64::from(u8::from(passes > 0));
                all += f64::from(u8::from(passes == k));
            }
            prop_assert!((pass_at_k(n, passed, k).unwrap() - any / ways).abs() < 1e-12);
            prop_assert!((pass_pow_k(n, passed, k).unwrap() - all / ways).abs() < 1e-12);
        }

        #[test]
        fn clusters_of_one_are_rows_and_passes_are_scores(clusters in prop::collection::vec((0_u64..5, 1_u64..5), 2..20)) {
            let mut counts = Clusters::default();
            let mut scores = Vec::new();
            for (passed, rows) in &clusters {
                let passed = *passed.min(rows);
                counts.add(passed, *rows);
                scores.push((0..*rows).map(|row| f64::from(u8::from(row < passed))).collect::<Vec<f64>>());
            }
            let found = clustered_mean(&scores, 0.95).unwrap();
            prop_assert!((found.standard_error - counts.cluster_se_cr1().unwrap()).abs() < 1e-12);
            let rows: Vec<f64> = scores.concat();
            let single: Vec<[f64; 1]> = rows.iter().map(|score| [*score]).collect();
            let (one, other) = (mean_ci_t(&rows, 0.95), clustered_mean(&single, 0.95));
            match (one, other) {
                (Some(one), Some(other)) => prop_assert!((one.interval.lo - other.interval.lo).abs() < 1e-12),
                (one, other) => prop_assert!(one.is_none() && other.is_none()),
            }
        }

        #[test]
        fn no_resemblance_beyond_one(clusters in prop::collection::vec(prop::collection::vec(0.0..1.0_f64, 1..6), 2..12)) {
            if let Some(icc) = icc_anova(&clusters) {
                prop_assert!(icc <= 1.0 + 1e-12, "{icc}");
            }
        }
    }
}
