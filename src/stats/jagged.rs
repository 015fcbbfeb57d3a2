//! Whether one score of a profile is far from what its others suggest.
//!
//! With a panel of other profiles each score is predicted from the mean of the rest ([`against_panel`]); without one, all
//! that can be said is how far it lies from the median of its own ([`modified_z`]), which has little power.

use super::float::ln;
use super::student::two_sided_p;

/// The upper quartile of the normal distribution: by so much the median deviation is smaller than a standard deviation.
const UPPER_QUARTILE: f64 = 0.674_489_750_196_081_7;

/// How far a score is from what was predicted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Deviation {
    /// Student's t: above 0 where the score is higher than predicted.
    pub t: f64,
    /// The probability of one as far off by chance.
    pub p: f64,
}

/// The logit of an accuracy from which chance is taken off, kept half a question away from 0 and 1.
#[must_use]
pub fn chance_corrected_logit(accuracy: f64, chance: f64, questions: f64) -> f64 {
    let corrected = (accuracy - chance) / (1.0 - chance);
    let edge = 1.0 / (2.0 * questions);
    let clipped = corrected.clamp(edge, 1.0 - edge);
    ln(clipped / (1.0 - clipped))
}

/// How far the target's score at `at` is from what its others predict, by a regression over the panel's profiles; none
/// where the panel is too small or does not vary. All profiles are of one length.
#[must_use]
pub fn against_panel(panel: &[&[f64]], target: &[f64], at: usize) -> Option<Deviation> {
    let rows = panel.len();
    if rows < 4 || target.len() < 2 {
        return None;
    }
    let moments: Vec<(f64, f64)> =
        (0..target.len()).map(|column| moments(panel.iter().map(|row| row[column]))).collect();
    if moments.iter().any(|(_, sd)| *sd <= 0.0) {
        return None;
    }
    let standardised = |row: &[f64], column: usize| (row[column] - moments[column].0) / moments[column].1;
    let rest = |row: &[f64]| {
        let others = (0..row.len()).filter(|column| *column != at);
        others.map(|column| standardised(row, column)).sum::<f64>() / (row.len() - 1) as f64
    };
    let points: Vec<(f64, f64)> = panel.iter().map(|row| (rest(row), standardised(row, at))).collect();
    let count = rows as f64;
    let mean_g = points.iter().map(|(g, _)| g).sum::<f64>() / count;
    let mean_z = points.iter().map(|(_, z)| z).sum::<f64>() / count;
    let s_gg: f64 = points.iter().map(|(g, _)| (g - mean_g) * (g - mean_g)).sum();
    if s_gg <= 0.0 {
        return None;
    }
    let slope = points.iter().map(|(g, z)| (g - mean_g) * (z - mean_z)).sum::<f64>() / s_gg;
    let intercept = mean_z - slope * mean_g;
    let squares: f64 = points.iter().map(|(g, z)| z - intercept - slope * g).map(|residual| residual * residual).sum();
    let s = (squares / (count - 2.0)).sqrt();
    if s <= 0.0 {
        return None;
    }
    let g = rest(target);
    let spread = s * (1.0 + 1.0 / count + (g - mean_g) * (g - mean_g) / s_gg).sqrt();
    let t = (standardised(target, at) - intercept - slope * g) / spread;
    let degrees = u32::try_from(rows - 2).unwrap_or(u32::MAX);
    Some(Deviation { t, p: two_sided_p(t, degrees) })
}

/// Mean and standard deviation, the latter over one less than there are.
fn moments(values: impl Iterator<Item = f64> + Clone) -> (f64, f64) {
    let count = values.clone().count() as f64;
    let mean = values.clone().sum::<f64>() / count;
    let squares: f64 = values.map(|value| (value - mean) * (value - mean)).sum();
    (mean, (squares / (count - 1.0)).sqrt())
}

/// How far each value is from the median, in units of a standard deviation reckoned from the median deviation; none where
/// that is 0.
#[must_use]
pub fn modified_z(values: &[f64]) -> Option<Vec<f64>> {
    let middle = median(values)?;
    let deviation = median(&values.iter().map(|value| (value - middle).abs()).collect::<Vec<_>>())?;
    (deviation > 0.0).then(|| values.iter().map(|value| UPPER_QUARTILE * (value - middle) / deviation).collect())
}

fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let half = sorted.len() / 2;
    let upper = *sorted.get(half)?;
    Some(if sorted.len() % 2 == 1 { upper } else { (sorted[half - 1] + upper) / 2.0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_like_all_others_is_not_jagged() {
        let panel: Vec<Vec<f64>> = (0..12)
            .map(|row| (0..4).map(|column| f64::from(row) + f64::from((row * 7 + column * 3) % 5) / 10.0).collect())
            .collect();
        let rows: Vec<&[f64]> = panel.iter().map(Vec::as_slice).collect();
        let smooth = against_panel(&rows, &[6.2, 6.1, 6.3, 6.2], 2).unwrap();
        assert!(smooth.p > 0.05, "{smooth:?}");
        let high = against_panel(&rows, &[6.2, 6.1, 9.3, 6.2], 2).unwrap();
        let low = against_panel(&rows, &[6.2, 6.1, 3.3, 6.2], 2).unwrap();
        assert!(high.t > 0.0 && high.p < 0.001 && low.t < 0.0 && low.p < 0.001, "{high:?} {low:?}");
    }

    #[test]
    fn what_cannot_be_said_is_not() {
        assert_eq!(against_panel(&[&[1.0, 2.0], &[2.0, 3.0]], &[1.0, 1.0], 0), None);
        let flat: Vec<&[f64]> = vec![&[1.0, 2.0]; 8];
        assert_eq!(against_panel(&flat, &[1.0, 1.0], 0), None);
        assert_eq!(modified_z(&[1.0, 1.0, 1.0, 5.0]), None);
        assert_eq!(modified_z(&[]), None);
    }
}
