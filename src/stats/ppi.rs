//! Prediction-powered inference: a mean of true scores from few labels and many scores of a judge, which need not be pass or
//! fail.

use super::interval::Interval;
use super::normal::two_sided_z;
use super::scores::{moments, square};

/// A true score beside the judge's for the same reply.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Labelled {
    /// What people say.
    pub truth: f64,
    /// What the judge says.
    pub judged: f64,
}

/// How far the judge is trusted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Trust {
    /// By so much: 0 leaves the judge out, 1 is plain prediction-powered inference.
    Fixed(f64),
    /// By as much as makes the variance smallest (PPI++), within [0, 1].
    Tuned,
}

/// The mean of the true scores.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PoweredMean {
    /// The mean.
    pub mean: f64,
    /// How far the judge was trusted (λ).
    pub trust: f64,
    /// The standard error of the mean.
    pub standard_error: f64,
    /// Normal, so too narrow for few labels at extreme rates; may reach beyond the scores that are possible.
    pub interval: Interval,
}

/// `θ = mean(Y) + λ (mean f over the unlabelled − mean f over the labelled)` with `SE² = λ² Var f_U / N + Var(Y − λf) / m`
/// (Angelopoulos et al. 2023), and `λ = Cov(Y, f) / (Var f_L + (m/N) Var f_U)` where it is tuned. Variances over one less than there
/// are. None for fewer than two labelled or two unlabelled scores, or for scores that are not finite.
#[must_use]
pub fn ppi_mean(labelled: &[Labelled], unlabelled: &[f64], confidence: f64, trust: Trust) -> Option<PoweredMean> {
    let truths: Vec<f64> = labelled.iter().map(|one| one.truth).collect();
    let judged: Vec<f64> = labelled.iter().map(|one| one.judged).collect();
    let ((truth, _), (seen, seen_variance)) = (moments(&truths)?, moments(&judged)?);
    let (unseen, unseen_variance) = moments(unlabelled)?;
    let (labels, others) = (labelled.len() as f64, unlabelled.len() as f64);
    let trust = match trust {
        Trust::Fixed(trust) => trust,
        Trust::Tuned => {
            let products = labelled.iter().map(|one| (one.truth - truth) * (one.judged - seen));
            let covariance = products.sum::<f64>() / (labels - 1.0);
            let spread = seen_variance + labels / others * unseen_variance;
            // A judge whose scores never vary tells nothing.
            if spread > 0.0 { (covariance / spread).clamp(0.0, 1.0) } else { 0.0 }
        }
    };
    let corrected: Vec<f64> = labelled.iter().map(|one| one.truth - trust * one.judged).collect();
    let (correction, variance) = moments(&corrected)?;
    let mean = trust * unseen + correction;
    let standard_error = (square(trust) * unseen_variance / others + variance / labels).sqrt();
    let half = two_sided_z(confidence) * standard_error;
    let interval = Interval { lo: mean - half, hi: mean + half };
    (mean.is_finite() && half.is_finite()).then_some(PoweredMean { mean, trust, standard_error, interval })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::{Random, mean_ci_t};

    fn labelled(pairs: &[(f64, f64)]) -> Vec<Labelled> {
        pairs.iter().map(|&(truth, judged)| Labelled { truth, judged }).collect()
    }

    #[test]
    fn edges() {
        let some = labelled(&[(1.0, 1.0), (0.0, 1.0), (1.0, 0.0)]);
        for (labelled, unlabelled) in
            [(&some[..1], &[0.5, 1.0][..]), (&some[..], &[0.5]), (&some[..], &[0.5, f64::NAN])]
        {
            assert!(ppi_mean(labelled, unlabelled, 0.95, Trust::Tuned).is_none());
        }
        assert!(ppi_mean(&some, &[0.0, 1.0], 0.95, Trust::Fixed(f64::NAN)).is_none());
        // Trusted by nothing, the judge is left out.
        let alone = ppi_mean(&some, &[0.0, 1.0], 0.95, Trust::Fixed(0.0)).unwrap();
        let plain = mean_ci_t(&[1.0, 0.0, 1.0], 0.95).unwrap();
        assert!((alone.mean - plain.mean).abs() < 1e-12 && (alone.standard_error - plain.standard_error).abs() < 1e-12);
        // One that always says the same, or the contrary, is not trusted.
        let constant = labelled(&[(1.0, 1.0), (0.0, 1.0)]);
        assert!(ppi_mean(&constant, &[1.0, 1.0], 0.95, Trust::Tuned).unwrap().trust <= 0.0);
        let contrary = labelled(&[(1.0, 0.0), (0.0, 1.0), (1.0, 0.0)]);
        assert!(ppi_mean(&contrary, &[0.0, 1.0], 0.95, Trust::Tuned).unwrap().trust <= 0.0);
    }

    #[test]
    fn tuned_intervals_hold_the_truth_and_are_narrower() {
        let runs = 600;
        let (mut covered, mut narrower) = (0, 0);
        for run in 0..runs {
            let mut random = Random::new(7, "ppi", run);
            // The judge sees the true score with an error of up to 0.2 and a bias of 0.1; the truth is even around 0.5.
            let mut draw = || {
                let truth = random.share();
                Labelled { truth, judged: truth + 0.4 * random.share() - 0.1 }
            };
            let labelled: Vec<Labelled> = (0..60).map(|_| draw()).collect();
            let unlabelled: Vec<f64> = (0..400).map(|_| draw().judged).collect();
            let found = ppi_mean(&labelled, &unlabelled, 0.95, Trust::Tuned).unwrap();
            covered += u32::from((found.interval.lo..=found.interval.hi).contains(&0.5));
            let alone = ppi_mean(&labelled, &unlabelled, 0.95, Trust::Fixed(0.0)).unwrap();
            narrower += u32::from(found.standard_error < alone.standard_error);
        }
        let share = f64::from(covered) / runs as f64;
        assert!(share > 0.94 - 3.0 * (0.95_f64 * 0.05 / runs as f64).sqrt(), "{share}");
        assert_eq!(u64::from(narrower), runs);
    }
}
