//! Probabilities instead of verdicts: reading them from a model's, and how good they are.

use super::float;
use super::logistic::{fit, logistic};
use super::random::Random;

/// How a judge leans, from the logarithms of the probabilities of its words.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SoftVerdict {
    /// The probability of pass among both verdicts.
    pub pass: f64,
    /// The probability of either verdict among all words. Below a half the leaning is not worth much.
    pub mass: f64,
}

/// The leaning from the log-probabilities of all spellings of both verdicts. None where both are impossible.
#[must_use]
pub fn soft_verdict(pass: &[f64], fail: &[f64]) -> Option<SoftVerdict> {
    // Relative to the likeliest word, so that small probabilities do not vanish before they are compared.
    let most = pass.iter().chain(fail).copied().fold(f64::NEG_INFINITY, f64::max);
    if !most.is_finite() {
        return None;
    }
    let sum = |words: &[f64]| words.iter().map(|word| float::exp(word - most)).sum::<f64>();
    let (passing, failing) = (sum(pass), sum(fail));
    let both = passing + failing;
    both.is_finite().then(|| SoftVerdict { pass: passing / both, mass: both * float::exp(most) })
}

/// The mean score under the probabilities of the scores that a judge may give, each with the logarithm of its probability (G-Eval;
/// Liu et al. 2023). None where all are impossible.
#[must_use]
pub fn expected_score(scores: &[(f64, f64)]) -> Option<f64> {
    let most = scores.iter().map(|(_, log)| *log).fold(f64::NEG_INFINITY, f64::max);
    if !most.is_finite() {
        return None;
    }
    let weights = || scores.iter().map(|(score, log)| (score, float::exp(log - most)));
    let found =
        weights().map(|(score, weight)| score * weight).sum::<f64>() / weights().map(|(_, weight)| weight).sum::<f64>();
    found.is_finite().then_some(found)
}

/// A probability that was told, and whether it came true.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Forecast {
    /// What was told, in [0, 1].
    pub probability: f64,
    /// What became of it.
    pub came_true: bool,
}

impl Forecast {
    fn truth(&self) -> f64 {
        f64::from(u8::from(self.came_true))
    }
}

/// Brier's score (1950): the mean squared error of probabilities, 0 at best. None without any.
#[must_use]
pub fn brier(forecasts: &[Forecast]) -> Option<f64> {
    let squares = forecasts.iter().map(|one| (one.probability - one.truth()) * (one.probability - one.truth()));
    let found = squares.sum::<f64>() / forecasts.len() as f64;
    found.is_finite().then_some(found)
}

/// The expected calibration error: how far probabilities are from what came true, on average over bins of equal width, of which
/// the last holds 1 too (Naeini et al. 2015). None without any forecast or bin, or with one that is no number.
#[must_use]
pub fn expected_calibration_error(forecasts: &[Forecast], bins: u32) -> Option<f64> {
    if forecasts.is_empty() || bins == 0 || forecasts.iter().any(|one| one.probability.is_nan()) {
        return None;
    }
    // What was told, and what came true, in each bin.
    let mut sums = vec![(0.0, 0.0); bins as usize];
    for one in forecasts {
        let probability = one.probability.clamp(0.0, 1.0);
        #[expect(clippy::cast_possible_truncation, reason = "within the bins")]
        let bin = ((probability * f64::from(bins)) as u32).min(bins - 1);
        let (told, true_ones) = &mut sums[bin as usize];
        *told += probability;
        *true_ones += one.truth();
    }
    // A bin counts by how many are in it, which cancels its mean.
    Some(sums.iter().map(|(told, true_ones)| f64::abs(told - true_ones)).sum::<f64>() / forecasts.len() as f64)
}

/// Platt's calibration (1999): `logit p' = intercept + slope · logit p`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Platt {
    /// The intercept: 0 where nothing is to be mended.
    pub intercept: f64,
    /// The slope: 1 where nothing is to be mended, below 1 where the judge is too sure of itself.
    pub slope: f64,
}

/// How far both coefficients are held back.
const RIDGE: f64 = 1e-2;

/// Probabilities are taken as this far from 0 and 1 at least, so that their logits are finite.
const EDGE: f64 = 1e-6;

fn logit(probability: f64) -> f64 {
    let p = probability.clamp(EDGE, 1.0 - EDGE);
    float::ln(p / (1.0 - p))
}

impl Platt {
    /// Fits both on forecasts whose outcome is known. None without any, or with one that is no number.
    #[must_use]
    pub fn fit(forecasts: &[Forecast]) -> Option<Self> {
        let rows: Vec<([f64; 2], bool)> =
            forecasts.iter().map(|one| ([1.0, logit(one.probability)], one.came_true)).collect();
        let [intercept, slope] = fit(&rows, RIDGE)?.coefficients;
        Some(Self { intercept, slope })
    }

    /// The calibrated probability.
    #[must_use]
    pub fn calibrate(&self, probability: f64) -> f64 {
        logistic(self.intercept + self.slope * logit(probability))
    }
}

/// Forecasts calibrated by fits that have not seen them, in the order given: each of `folds` parts by a fit to the others. What
/// [`brier`] and [`expected_calibration_error`] say of these is honest.
///
/// The parts are drawn at random by the seed. None for fewer than two folds, fewer forecasts than folds, or one that is no number.
#[must_use]
pub fn cross_calibrated(forecasts: &[Forecast], folds: u32, seed: u64) -> Option<Vec<Forecast>> {
    let count = u32::try_from(forecasts.len()).ok().filter(|count| folds >= 2 && *count >= folds)?;
    let order = Random::new(seed, "cross calibration", 0).order(count);
    let mut calibrated = forecasts.to_vec();
    for fold in 0..folds {
        let is_in = |place: usize| u32::try_from(place).is_ok_and(|place| place % folds == fold);
        let seen = order.iter().enumerate().filter(|(place, _)| !is_in(*place));
        let seen: Vec<Forecast> = seen.map(|(_, one)| forecasts[*one as usize]).collect();
        let platt = Platt::fit(&seen)?;
        for (_, one) in order.iter().enumerate().filter(|(place, _)| is_in(*place)) {
            let one = &mut calibrated[*one as usize];
            one.probability = platt.calibrate(one.probability);
        }
    }
    Some(calibrated)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calibration() {
        // A judge whose logits are twice too large.
        let mut random = Random::new(7, "calibration", 0);
        let forecasts: Vec<Forecast> = (0..3_000)
            .map(|_| {
                let told = 8.0 * (random.share() - 0.5);
                Forecast { probability: logistic(told), came_true: random.share() < logistic(told / 2.0 + 0.3) }
            })
            .collect();
        let platt = Platt::fit(&forecasts).unwrap();
        assert!((platt.slope - 0.5).abs() < 0.05 && (platt.intercept - 0.3).abs() < 0.12, "{platt:?}");
        let calibrated = cross_calibrated(&forecasts, 5, 7).unwrap();
        assert!(calibrated.iter().zip(&forecasts).all(|(one, before)| one.came_true == before.came_true));
        assert!(brier(&calibrated).unwrap() < brier(&forecasts).unwrap());
        let error = |forecasts: &[Forecast]| expected_calibration_error(forecasts, 10).unwrap();
        assert!(error(&calibrated) < 0.04 && error(&forecasts) > 0.08, "{} {}", error(&calibrated), error(&forecasts));
        assert!(Platt::fit(&[]).is_none() && cross_calibrated(&forecasts, 1, 7).is_none());
        assert!(cross_calibrated(&forecasts[..4], 5, 7).is_none());
        let sure = [Forecast { probability: 1.0, came_true: true }, Forecast { probability: 0.0, came_true: false }];
        let platt = Platt::fit(&sure).unwrap();
        assert!(platt.calibrate(1.0) > 0.9 && platt.calibrate(0.0) < 0.1 && platt.calibrate(1.0) < 1.0);
    }

    #[test]
    fn leanings() {
        for (pass, fail) in [(&[][..], &[][..]), (&[f64::NEG_INFINITY], &[f64::NEG_INFINITY]), (&[f64::NAN], &[])] {
            assert!(soft_verdict(pass, fail).is_none(), "{pass:?}");
        }
        let far = soft_verdict(&[-1000.0], &[-1001.0]).unwrap();
        assert!((far.pass - 0.731_058_578_630_004_9).abs() < 1e-12 && far.mass.abs() < 1e-300, "{far:?}");
        let merged = soft_verdict(&[libm::log(0.3), libm::log(0.3)], &[libm::log(0.2)]).unwrap();
        assert!((merged.pass - 0.75).abs() < 1e-12 && (merged.mass - 0.8).abs() < 1e-12);
        assert!(expected_score(&[]).is_none() && expected_score(&[(1.0, f64::NEG_INFINITY)]).is_none());
        assert!((expected_score(&[(1.0, -900.0), (3.0, -900.0)]).unwrap() - 2.0).abs() < 1e-12);
    }

    #[test]
    fn forecasts() {
        let of = |pairs: &[(f64, bool)]| -> Vec<Forecast> {
            pairs.iter().map(|&(probability, came_true)| Forecast { probability, came_true }).collect()
        };
        assert!(brier(&[]).is_none() && expected_calibration_error(&[], 10).is_none());
        assert!(expected_calibration_error(&of(&[(0.5, true)]), 0).is_none());
        assert!(
            brier(&of(&[(f64::NAN, true)])).is_none()
                && expected_calibration_error(&of(&[(f64::NAN, true)]), 10).is_none()
        );
        let perfect = of(&[(1.0, true), (0.0, false)]);
        assert_eq!((brier(&perfect), expected_calibration_error(&perfect, 10)), (Some(0.0), Some(0.0)));
        let fair = of(&[(0.5, true), (0.5, false)]);
        assert_eq!((brier(&fair), expected_calibration_error(&fair, 10)), (Some(0.25), Some(0.0)));
        let wrong = of(&[(1.0, false), (0.0, true)]);
        assert_eq!((brier(&wrong), expected_calibration_error(&wrong, 1)), (Some(1.0), Some(0.0)));
        assert_eq!(expected_calibration_error(&wrong, 2), Some(1.0));
    }
}
