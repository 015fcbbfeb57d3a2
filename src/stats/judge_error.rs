//! The true pass rate behind a judge that errs, from a few labels that people made.
//!
//! Owns the corrections: with labels of this very run, post-stratified by verdict ([`poststratified`], the default for verdicts
//! that pass or fail); with labels carried over from another model, by the judge's errors ([`lang_reiczigel`]). Owns how many
//! labels it takes, too. The uncorrected rate of a judge is worthless as an estimate of the truth, however many scenarios there
//! are.

use super::difference::Estimate;
use super::effective::{degrees_of_share, share_interval};
use super::interval::{Interval, wilson, wilson_at};
use super::normal::two_sided_z;
use super::scores::square;
use super::student::two_sided_t;

/// So many of so many.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Share {
    /// How many did.
    pub count: u64,
    /// Of how many.
    pub of: u64,
}

impl Share {
    /// The share as a number; none of none.
    #[must_use]
    pub fn rate(self) -> Option<f64> {
        (self.of > 0).then(|| self.count.min(self.of) as f64 / self.of as f64)
    }

    /// The same as real numbers.
    #[must_use]
    pub fn weighted(self) -> WeightedShare {
        WeightedShare { count: self.count.min(self.of) as f64, of: self.of as f64 }
    }

    /// Wilson's interval for it; [0, 1] for none of none.
    #[must_use]
    pub fn wilson(self, confidence: f64) -> Interval {
        wilson(self.count.min(self.of) as f64, self.of as f64, confidence)
    }
}

/// A part of something, both as real numbers: weighted counts, or rows by what they are worth.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct WeightedShare {
    /// The part, at least 0.
    pub count: f64,
    /// The whole, at least the part.
    pub of: f64,
}

impl WeightedShare {
    /// The part of the whole; none of nothing.
    #[must_use]
    pub fn rate(self) -> Option<f64> {
        (self.of > 0.0).then(|| self.count / self.of)
    }
}

/// How a judge does on scenarios whose truth is known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct JudgeErrors {
    /// The judge passes, of those that truly pass: its sensitivity.
    pub passes: Share,
    /// The judge fails, of those that truly fail: its specificity.
    pub fails: Share,
}

impl JudgeErrors {
    /// Youden's J, `sensitivity + specificity − 1`: by how much a true improvement shows. None without labels of both kinds.
    #[must_use]
    pub fn informedness(&self) -> Option<f64> {
        Some(self.passes.rate()? + self.fails.rate()? - 1.0)
    }

    /// J with an interval recovered from Wilson's of both shares (MOVER), with Student's t for as many degrees of freedom as there are labels
    /// less one: of few labels, fewer still are of one kind. None without labels of both kinds.
    #[must_use]
    pub fn informedness_interval(&self, confidence: f64) -> Option<Estimate> {
        let (sensitivity, specificity) = (self.passes.rate()?, self.fails.rate()?);
        let degrees = (self.passes.of + self.fails.of).saturating_sub(1);
        let quantile = two_sided_t(confidence, u32::try_from(degrees).unwrap_or(u32::MAX));
        let [one, other] =
            [self.passes, self.fails].map(|share| wilson_at(share.count as f64, share.of as f64, quantile));
        let point = sensitivity + specificity - 1.0;
        let lo = point - (square(sensitivity - one.lo) + square(specificity - other.lo)).sqrt();
        let hi = point + (square(one.hi - sensitivity) + square(other.hi - specificity)).sqrt();
        Some(Estimate { point, interval: Interval { lo: lo.max(-1.0), hi: hi.min(1.0) } })
    }
}

/// The true rate by the judge's rate and its errors: `(p + sp − 1) / (se + sp − 1)` (Rogan and Gladen 1978). Not clipped to [0, 1];
/// none for a judge that does no better than a coin.
#[must_use]
pub fn rogan_gladen(judged: f64, sensitivity: f64, specificity: f64) -> Option<f64> {
    let informedness = sensitivity + specificity - 1.0;
    (informedness > 0.0).then(|| (judged + specificity - 1.0) / informedness)
}

/// [`rogan_gladen`] clipped to [0, 1], with the interval of Lang and Reiczigel (2014), which takes the errors of the labels into
/// account. For labels that were not drawn by verdict.
///
/// All three shares are shrunk towards a half by adding to their counts; the point is not, so it may lie outside of the interval
/// where it is clipped. None for no verdict, no label of a kind, or a judge that does no better than a coin.
#[must_use]
pub fn lang_reiczigel(judged: Share, errors: &JudgeErrors, confidence: f64) -> Option<Estimate> {
    lang_reiczigel_weighted(judged.weighted(), errors.passes.weighted(), errors.fails.weighted(), confidence)
}

/// [`lang_reiczigel`] for counts that are real numbers: the rows of clusters by what they are worth, and labels by
/// [`errors_by_verdict`].
#[must_use]
pub fn lang_reiczigel_weighted(
    judged: WeightedShare,
    passes: WeightedShare,
    fails: WeightedShare,
    confidence: f64,
) -> Option<Estimate> {
    let point = rogan_gladen(judged.rate()?, passes.rate()?, fails.rate()?)?.clamp(0.0, 1.0);
    let z = two_sided_z(confidence);
    let plus_one = |share: WeightedShare| (share.count + 1.0) / (share.of + 2.0);
    let n = judged.of + z * z;
    let rate = (judged.count + z * z / 2.0) / n;
    let (sensitivity, specificity) = (plus_one(passes), plus_one(fails));
    let informedness = sensitivity + specificity - 1.0;
    let shrunk = rogan_gladen(rate, sensitivity, specificity)?;
    let pass_variance = sensitivity * (1.0 - sensitivity) / (passes.of + 2.0);
    let fail_variance = specificity * (1.0 - specificity) / (fails.of + 2.0);
    let shift = 2.0 * z * z * (shrunk * pass_variance - (1.0 - shrunk) * fail_variance);
    let variance = rate * (1.0 - rate) / n + square(1.0 - shrunk) * fail_variance + square(shrunk) * pass_variance;
    let (centre, half) = (shrunk + shift, z * variance.sqrt() / informedness);
    let interval = Interval { lo: (centre - half).clamp(0.0, 1.0), hi: (centre + half).clamp(0.0, 1.0) };
    Some(Estimate { point, interval })
}

/// What an estimate is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// New scenarios from the same source.
    Population,
    /// The scenarios of this suite only.
    Suite,
}

/// Labels drawn at random among the scenarios that the judge passed, and among those that it failed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct VerdictLabels {
    /// How many the judge passed, of all.
    pub judged: Share,
    /// Truly pass, of the labelled among those that the judge passed.
    pub among_passed: Share,
    /// Truly pass, of the labelled among those that the judge failed.
    pub among_failed: Share,
}

/// A judge's sensitivity and specificity from labels that were drawn by verdict, as labels drawn at random would show them: those
/// of a verdict that was labelled more than its share count for less.
///
/// Each label weighs `W_h · m / m_h`, and all of them together count for Kish's effective number, `m² / Σ m_h w_h²`. None where a verdict
/// that the judge gave has no label, or nothing was judged.
#[must_use]
pub fn errors_by_verdict(labels: &VerdictLabels) -> Option<(WeightedShare, WeightedShare)> {
    let passed = labels.judged.rate()?;
    let (one, other) = (labels.among_passed.weighted(), labels.among_failed.weighted());
    let all = one.of + other.of;
    let weight = |share: f64, labelled: f64| match (share > 0.0, labelled > 0.0) {
        (true, false) => None,
        (true, true) => Some(share * all / labelled),
        (false, _) => Some(0.0),
    };
    let (of_passed, of_failed) = (weight(passed, one.of)?, weight(1.0 - passed, other.of)?);
    let scale = all / (one.of * square(of_passed) + other.of * square(of_failed));
    let (of_passed, of_failed) = (of_passed * scale, of_failed * scale);
    let passes = WeightedShare { count: one.count * of_passed, of: one.count * of_passed + other.count * of_failed };
    let right = (other.of - other.count) * of_failed;
    let fails = WeightedShare { count: right, of: right + (one.of - one.count) * of_passed };
    Some((passes, fails))
}

/// The true pass rate, post-stratified by verdict, with an interval from Wilson's of both strata (MOVER). The default.
///
/// `θ = W₁μ₁ + W₀μ₀`, `lo = θ − √(W₁²(μ₁−l₁)² + W₀²(μ₀−l₀)² + z²(μ₁−μ₀)²W₁W₀/N)`, `hi` likewise. For the suite alone the last term falls
/// away, and the others shrink by the share that is labelled: nothing is uncertain where all are. A stratum without labels is
/// taken as ½ within [0, 1]. Within [0, 1]; none without any verdict. Never with labels made on another model's replies.
#[must_use]
pub fn poststratified(labels: &VerdictLabels, confidence: f64, target: Target) -> Option<Estimate> {
    let sampling = match target {
        Target::Population => left_by_sampling(labels, None, confidence)?,
        Target::Suite => [0.0; 2],
    };
    joined(labels, confidence, target, sampling)
}

/// [`poststratified`] about new scenarios, where those that were judged come in clusters. Which replies are labelled is drawn among all
/// of them, so the labels are as good as they were: it is the true rate that varies between clusters.
#[must_use]
pub fn poststratified_clustered(
    labels: &VerdictLabels,
    verdicts: SampledClusters,
    confidence: f64,
) -> Option<Estimate> {
    joined(labels, confidence, Target::Population, left_by_sampling(labels, Some(verdicts), confidence)?)
}

/// What verdicts over clusters are worth, as [`Clusters::interval`](super::Clusters::interval) finds it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SampledClusters {
    /// So many independent rows would say as much.
    pub n_eff: f64,
    /// How many clusters there are.
    pub clusters: u64,
    /// The degrees of freedom of their design effect.
    pub degrees: f64,
}

/// How far the true rate may lie below and above the post-stratified one for want of scenarios, however many are labelled: both squared.
///
/// `z²(μ₁−μ₀)²W₁W₀/N` for independent rows. Clusters add what true rates vary by between them, `(deff − 1)·W₁W₀/(N J²)`: a judge that errs
/// everywhere alike shows J times as much of it, with `J = (μ₁−μ₀)W₁W₀ / (θ(1−θ))`. At least what verdicts vary by, at most as much as if
/// each cluster passed or failed as a whole. The distances are then those of Wilson's interval with Student's t.
#[must_use]
pub fn left_by_sampling(
    labels: &VerdictLabels,
    verdicts: Option<SampledClusters>,
    confidence: f64,
) -> Option<[f64; 2]> {
    let passed = labels.judged.rate()?;
    let [one, other] = [labels.among_passed, labels.among_failed].map(|share| share.rate().unwrap_or(0.5));
    let (n, both_verdicts) = (labels.judged.of as f64, passed * (1.0 - passed));
    let told = square(one - other) * both_verdicts;
    let Some(SampledClusters { n_eff, clusters, degrees }) = verdicts else {
        return Some([square(two_sided_z(confidence)) * told / n; 2]);
    };
    let point = passed * one + (1.0 - passed) * other;
    let (both, clusters) = (point * (1.0 - point), clusters as f64);
    let beyond_one = (n / n_eff - 1.0).max(0.0);
    let informedness = (one - other) * both_verdicts / both;
    let excess = if beyond_one > 0.0 && both > 0.0 {
        let shown = if informedness > 0.0 { both_verdicts / square(informedness) } else { f64::INFINITY };
        (beyond_one * shown).min(both * (n / clusters - 1.0)).max(beyond_one * told)
    } else {
        0.0
    };
    let variance = (told + excess) / n;
    let worth = if variance > 0.0 && both > 0.0 { both / variance } else { clusters };
    let degrees = degrees_of_share(point, worth, clusters).min(degrees);
    let Interval { lo, hi } = share_interval(point, worth, degrees, confidence);
    Some([square(point - lo), square(hi - point)])
}

/// The post-stratified rate, with the labels' uncertainty joined to that of sampling.
fn joined(labels: &VerdictLabels, confidence: f64, target: Target, [below, above]: [f64; 2]) -> Option<Estimate> {
    let passed = labels.judged.rate()?;
    let stratum = |weight: f64, share: Share, size: u64| {
        let mean = share.rate().unwrap_or(0.5);
        let limits = share.wilson(confidence);
        let unlabelled = match target {
            Target::Population => 1.0,
            Target::Suite => 1.0 - share.of.min(size) as f64 / size.max(1) as f64,
        };
        let part = |side: f64| square(weight * side) * unlabelled;
        (mean, part(mean - limits.lo), part(limits.hi - mean))
    };
    let failed = labels.judged.of - labels.judged.count.min(labels.judged.of);
    let (one, one_below, one_above) = stratum(passed, labels.among_passed, labels.judged.of - failed);
    let (other, other_below, other_above) = stratum(1.0 - passed, labels.among_failed, failed);
    let point = passed * one + (1.0 - passed) * other;
    let interval = Interval {
        lo: (point - (one_below + other_below + below).sqrt()).max(0.0),
        hi: (point + (one_above + other_above + above).sqrt()).min(1.0),
    };
    Some(Estimate { point, interval })
}

/// Neyman's share of the labels for the scenarios that the judge passed: `W₁σ₁ / (W₁σ₁ + W₀σ₀)` for true rates `among_passed` and
/// `among_failed` in both strata, as a pilot suggests them. Where neither varies, the share of those that passed; none without
/// any verdict.
#[must_use]
pub fn neyman_share(judged: Share, among_passed: f64, among_failed: f64) -> Option<f64> {
    let passed = judged.rate()?;
    let (one, other) = (passed * spread(among_passed), (1.0 - passed) * spread(among_failed));
    let whole = one + other;
    Some(if whole > 0.0 { one / whole } else { passed })
}

/// The standard deviation of a label under [`neyman_share`], `W₁σ₁ + W₀σ₀`: what the number of labels is reckoned by. None without any
/// verdict.
#[must_use]
pub fn label_spread(judged: Share, among_passed: f64, among_failed: f64) -> Option<f64> {
    let passed = judged.rate()?;
    Some(passed * spread(among_passed) + (1.0 - passed) * spread(among_failed))
}

/// The labels that bring the interval to about ± `half_width`, shared by [`neyman_share`]: `⌈(z/h)² (W₁σ₁ + W₀σ₀)²⌉`. None without any
/// verdict or for a half-width of 0.
#[must_use]
pub fn labels_needed(
    judged: Share,
    among_passed: f64,
    among_failed: f64,
    half_width: f64,
    confidence: f64,
) -> Option<u64> {
    let whole = label_spread(judged, among_passed, among_failed)?;
    let needed = square(two_sided_z(confidence) / half_width * whole).ceil();
    #[expect(clippy::cast_possible_truncation, reason = "checked to be small")]
    (0.0..=1e15).contains(&needed).then_some(needed as u64)
}

fn spread(rate: f64) -> f64 {
    let rate = rate.clamp(0.0, 1.0);
    (rate * (1.0 - rate)).sqrt()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::stats::Random;

    const NONE: Share = Share { count: 0, of: 0 };

    fn share(count: u64, of: u64) -> Share {
        Share { count, of }
    }

    #[test]
    fn a_judge_that_never_errs_leaves_what_sampling_does() {
        let share = |count, of| Share { count, of };
        let perfect =
            VerdictLabels { judged: share(160, 200), among_passed: share(40, 40), among_failed: share(0, 40) };
        let verdicts = SampledClusters { n_eff: 60.0, clusters: 20, degrees: 9.5 };
        let [below, above] = left_by_sampling(&perfect, Some(verdicts), 0.95).unwrap();
        let alone = share_interval(0.8, 60.0, degrees_of_share(0.8, 60.0, 20.0).min(9.5), 0.95);
        assert!((0.8 - below.sqrt() - alone.lo).abs() < 1e-12 && (0.8 + above.sqrt() - alone.hi).abs() < 1e-12);
    }

    #[test]
    fn a_judge_that_errs_hides_how_much_clusters_vary() {
        let share = |count, of| Share { count, of };
        let labels =
            VerdictLabels { judged: share(130, 200), among_passed: share(32, 40), among_failed: share(14, 40) };
        let wide = |n_eff: f64, clusters: u64| {
            let verdicts = SampledClusters { n_eff, clusters, degrees: clusters as f64 - 1.0 };
            let [below, above] = left_by_sampling(&labels, Some(verdicts), 0.95).unwrap();
            below.sqrt() + above.sqrt()
        };
        let plain = left_by_sampling(&labels, None, 0.95).unwrap()[0].sqrt() * 2.0;
        // Nothing that clusters have in common: as many rows, and no more than Student's t and Wilson's form apart.
        assert!((wide(200.0, 100) / plain - 1.0).abs() < 0.05);
        // Twice the variance of verdicts is more than twice that of the truth.
        assert!(wide(100.0, 100) > 1.6 * plain, "{} {plain}", wide(100.0, 100));
        // But never more than if each cluster were one row.
        let point: f64 = 0.65 * 0.8 + 0.35 * 0.35;
        let most = share_interval(point, 10.0, 9.0, 0.95);
        assert!(wide(12.0, 10) <= most.hi - most.lo + 1e-2);
        // A judge no better than a coin shows nothing of it.
        let blind = VerdictLabels { among_failed: share(32, 40), ..labels };
        let verdicts = SampledClusters { n_eff: 100.0, clusters: 50, degrees: 49.0 };
        let [below, _] = left_by_sampling(&blind, Some(verdicts), 0.95).unwrap();
        let as_much_as_can_be = share_interval(0.8, 0.16 * 200.0 / (0.16 * 3.0), 49.0, 0.95);
        assert!((0.8 - below.sqrt() - as_much_as_can_be.lo).abs() < 1e-9, "{below} {as_much_as_can_be:?}");
        assert_eq!(left_by_sampling(&VerdictLabels::default(), Some(verdicts), 0.95), None);
    }

    #[test]
    fn nothing_says_nothing() {
        let errors = JudgeErrors { passes: share(9, 10), fails: NONE };
        assert!(errors.informedness().is_none() && errors.informedness_interval(0.9).is_none());
        assert!(lang_reiczigel(share(5, 10), &errors, 0.95).is_none());
        assert!(lang_reiczigel(NONE, &JudgeErrors { passes: share(9, 10), fails: share(9, 10) }, 0.95).is_none());
        assert!(poststratified(&VerdictLabels::default(), 0.95, Target::Population).is_none());
        assert!(neyman_share(NONE, 0.5, 0.5).is_none() && labels_needed(NONE, 0.5, 0.5, 0.05, 0.95).is_none());
        assert!(labels_needed(share(5, 10), 0.5, 0.5, 0.0, 0.95).is_none());
        assert_eq!(labels_needed(share(5, 10), 1.0, 0.0, 0.05, 0.95), Some(0));
        assert_eq!(neyman_share(share(7, 10), 1.0, 0.0), Some(0.7));
        let unlabelled = VerdictLabels { judged: share(7, 10), ..VerdictLabels::default() };
        let found = poststratified(&unlabelled, 0.95, Target::Population).unwrap();
        assert!((found.point - 0.5).abs() < 1e-12 && found.interval.hi - found.interval.lo > 0.7, "{found:?}");
    }

    #[test]
    fn a_fully_labelled_suite_is_certain() {
        let labels = VerdictLabels { judged: share(7, 10), among_passed: share(6, 7), among_failed: share(1, 3) };
        let found = poststratified(&labels, 0.95, Target::Suite).unwrap();
        assert!((found.point - 0.7).abs() < 1e-12 && found.interval.hi - found.interval.lo < 1e-12, "{found:?}");
        let found = poststratified(&labels, 0.95, Target::Population).unwrap();
        assert!(found.interval.hi - found.interval.lo > 0.3, "{found:?}");
    }

    #[test]
    fn a_perfect_judge_is_believed() {
        let labels = VerdictLabels { judged: share(70, 100), among_passed: share(30, 30), among_failed: share(0, 30) };
        let found = poststratified(&labels, 0.95, Target::Population).unwrap();
        assert!((found.point - 0.7).abs() < 1e-12);
        let errors = JudgeErrors { passes: share(30, 30), fails: share(30, 30) };
        assert!((lang_reiczigel(share(70, 100), &errors, 0.95).unwrap().point - 0.7).abs() < 1e-12);
        let interval = errors.informedness_interval(0.9).unwrap();
        assert!((interval.point - 1.0).abs() < 1e-12 && interval.interval.lo > 0.85 && interval.interval.hi <= 1.0);
    }

    /// One run: 400 scenarios, a judge with these errors, 50 labels at random within strata.
    fn simulated(run: u64, truth: f64, sensitivity: f64, specificity: f64) -> VerdictLabels {
        let mut random = Random::new(7, "judge", run);
        let mut strata: [Vec<bool>; 2] = [Vec::new(), Vec::new()];
        for _ in 0..400 {
            let passes = random.share() < truth;
            let judged = random.share() < if passes { sensitivity } else { 1.0 - specificity };
            strata[usize::from(judged)].push(passes);
        }
        // Scenarios come in random order, so the first are a random sample.
        let labelled = |stratum: &[bool], labels: usize| {
            let some = &stratum[..labels.min(stratum.len())];
            share(some.iter().filter(|passes| **passes).count() as u64, some.len() as u64)
        };
        let judged = share(strata[1].len() as u64, 400);
        VerdictLabels { judged, among_passed: labelled(&strata[1], 30), among_failed: labelled(&strata[0], 20) }
    }

    #[test]
    fn intervals_hold_the_truth_as_often_as_they_say() {
        for (truth, sensitivity, specificity) in [(0.65, 0.9, 0.7), (0.72, 0.97, 0.5), (0.9, 0.95, 0.9)] {
            let runs = 1_000;
            let covered = (0..runs)
                .filter(|run| {
                    let labels = simulated(*run, truth, sensitivity, specificity);
                    let Interval { lo, hi } = poststratified(&labels, 0.95, Target::Population).unwrap().interval;
                    (lo..=hi).contains(&truth)
                })
                .count() as f64
                / runs as f64;
            // One point below the level, and three standard errors of the simulation.
            assert!(covered >= 0.94 - 3.0 * (0.95_f64 * 0.05 / runs as f64).sqrt(), "{truth} {sensitivity}: {covered}");
        }
    }

    /// Labels on a base model's replies, half of them where the judge failed one, for a tuned model that does better.
    #[test]
    fn labels_by_verdict_tell_of_errors_as_labels_at_random_would() {
        let (sensitivity, specificity, base, tuned) = (0.9, 0.7, 0.55, 0.8);
        let runs = 600;
        let (mut covered, mut naive) = (0, 0);
        for run in 0..runs {
            let mut random = Random::new(11, "transport", run);
            let mut judged = |truth: f64, n: u32| {
                let passes = random.binomial(n, truth);
                let (right, wrong) =
                    (random.binomial(passes, sensitivity), random.binomial(n - passes, 1.0 - specificity));
                [passes - right, n - passes - wrong, wrong, right].map(u64::from)
            };
            let [missed, failed, let_through, passed] = judged(base, 1_000);
            // A hundred labels of either verdict, each as often right as the verdict is.
            let there = share(passed + let_through, 1_000);
            let mut labelled =
                |right: u64, of: u64| share(u64::from(random.binomial(100, right as f64 / of as f64)), 100);
            let among_passed = labelled(passed, passed + let_through);
            let among_failed = labelled(missed, missed + failed);
            let [_, _, let_through, passed] = {
                let passes = random.binomial(1_000, tuned);
                let right = random.binomial(passes, sensitivity);
                let wrong = random.binomial(1_000 - passes, 1.0 - specificity);
                [passes - right, 1_000 - passes - wrong, wrong, right].map(u64::from)
            };
            let here = share(passed + let_through, 1_000);
            let holds = |estimate: Option<Estimate>| {
                estimate.is_some_and(|found| (found.interval.lo..=found.interval.hi).contains(&tuned))
            };
            let (passes, fails) =
                errors_by_verdict(&VerdictLabels { judged: there, among_passed, among_failed }).unwrap();
            covered += u64::from(holds(lang_reiczigel_weighted(here.weighted(), passes, fails, 0.95)));
            let as_if_at_random = JudgeErrors {
                passes: share(among_passed.count, among_passed.count + among_failed.count),
                fails: share(
                    among_failed.of - among_failed.count,
                    among_failed.of - among_failed.count + among_passed.of - among_passed.count,
                ),
            };
            naive += u64::from(holds(lang_reiczigel(here, &as_if_at_random, 0.95)));
        }
        let least = 0.95 - 3.0 * (0.95_f64 * 0.05 / runs as f64).sqrt();
        assert!(covered as f64 / runs as f64 >= least - 0.01, "{covered}");
        assert!(naive < covered, "{naive} {covered}");
    }

    #[test]
    fn labels_in_proportion_weigh_the_same() {
        let labels =
            VerdictLabels { judged: share(600, 1_000), among_passed: share(54, 60), among_failed: share(8, 40) };
        let (passes, fails) = errors_by_verdict(&labels).unwrap();
        for (found, expected) in [(passes.count, 54.0), (passes.of, 62.0), (fails.count, 32.0), (fails.of, 38.0)] {
            assert!((found - expected).abs() < 1e-9, "{found} {expected}");
        }
        assert!(errors_by_verdict(&VerdictLabels { among_failed: NONE, ..labels }).is_none());
        assert!(errors_by_verdict(&VerdictLabels { judged: NONE, ..labels }).is_none());
    }

    proptest! {
        #[test]
        fn estimates_lie_within_their_intervals(
            k in 0_u64..200, more in 0_u64..200, x1 in 0_u64..30, m1 in 0_u64..30, x0 in 0_u64..30, m0 in 0_u64..30,
        ) {
            prop_assume!(k + more > 0);
            let labels = VerdictLabels {
                judged: share(k, k + more), among_passed: share(x1.min(m1), m1), among_failed: share(x0.min(m0), m0),
            };
            for target in [Target::Population, Target::Suite] {
                let Estimate { point, interval } = poststratified(&labels, 0.95, target).unwrap();
                prop_assert!(0.0 <= interval.lo && interval.lo <= point && point <= interval.hi && interval.hi <= 1.0);
            }
            let errors = JudgeErrors { passes: share(x1.min(m1), m1), fails: share(x0.min(m0), m0) };
            if let Some(Estimate { point, interval }) = lang_reiczigel(labels.judged, &errors, 0.95) {
                prop_assert!([point, interval.lo, interval.hi].iter().all(|x| (0.0..=1.0).contains(x)));
            }
        }
    }
}
