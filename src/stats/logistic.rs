//! Logistic regression with few coefficients, held back a little so that it always has an answer.

use super::float;

/// A fit of `logit P = x · coefficients`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Logistic<const N: usize> {
    /// One for each column.
    pub(super) coefficients: [f64; N],
    /// Their standard errors, from the curvature at the fit.
    pub(super) standard_errors: [f64; N],
}

/// Steps of Newton's method at most; a handful does.
const STEPS: u32 = 100;

/// Fits by Newton's method with halved steps, adding `ridge/2 · Σ coefficient²` to what is minimised. None without rows, or with
/// values that are not finite.
pub(super) fn fit<const N: usize>(rows: &[([f64; N], bool)], ridge: f64) -> Option<Logistic<N>> {
    if rows.is_empty() || !rows.iter().all(|(x, _)| x.iter().all(|value| value.is_finite())) {
        return None;
    }
    let mut coefficients = [0.0; N];
    let mut loss = penalised_loss(rows, ridge, &coefficients);
    for _ in 0..STEPS {
        let (gradient, curvature) = derivatives(rows, ridge, &coefficients);
        let step = solve(&curvature, &gradient)?;
        let mut size = 1.0;
        let (next, next_loss) = loop {
            let mut next = coefficients;
            next.iter_mut().zip(&step).for_each(|(one, step)| *one -= size * step);
            let next_loss = penalised_loss(rows, ridge, &next);
            if next_loss <= loss || size < 1e-10 {
                break (next, next_loss);
            }
            size /= 2.0;
        };
        let moved = step.iter().map(|one| (size * one).abs()).fold(0.0, f64::max);
        (coefficients, loss) = (next, next_loss);
        if moved < 1e-12 {
            break;
        }
    }
    let (_, curvature) = derivatives(rows, ridge, &coefficients);
    let mut standard_errors = [0.0; N];
    for (place, error) in standard_errors.iter_mut().enumerate() {
        let mut unit = [0.0; N];
        unit[place] = 1.0;
        *error = solve(&curvature, &unit)?[place].max(0.0).sqrt();
    }
    let all_finite = coefficients.iter().chain(&standard_errors).all(|value| value.is_finite());
    all_finite.then_some(Logistic { coefficients, standard_errors })
}

fn score<const N: usize>(x: &[f64; N], coefficients: &[f64; N]) -> f64 {
    x.iter().zip(coefficients).map(|(x, coefficient)| x * coefficient).sum()
}

/// The probability that goes with a logit.
pub(super) fn logistic(logit: f64) -> f64 {
    1.0 / (1.0 + float::exp(-logit))
}

fn penalised_loss<const N: usize>(rows: &[([f64; N], bool)], ridge: f64, coefficients: &[f64; N]) -> f64 {
    let losses = rows.iter().map(|(x, y)| {
        let logit = score(x, coefficients);
        let wrong_by = if *y { -logit } else { logit };
        // ln(1 + eʷ) without overflow.
        wrong_by.max(0.0) + float::ln_1p(float::exp(-wrong_by.abs()))
    });
    losses.sum::<f64>() + ridge / 2.0 * coefficients.iter().map(|one| one * one).sum::<f64>()
}

fn derivatives<const N: usize>(
    rows: &[([f64; N], bool)],
    ridge: f64,
    coefficients: &[f64; N],
) -> ([f64; N], [[f64; N]; N]) {
    let mut gradient = coefficients.map(|one| ridge * one);
    let mut curvature = [[0.0; N]; N];
    for (place, row) in curvature.iter_mut().enumerate() {
        row[place] = ridge;
    }
    for (x, y) in rows {
        let p = logistic(score(x, coefficients));
        let weight = p * (1.0 - p);
        for (i, xi) in x.iter().enumerate() {
            gradient[i] += (p - f64::from(u8::from(*y))) * xi;
            for (j, xj) in x.iter().enumerate() {
                curvature[i][j] += weight * xi * xj;
            }
        }
    }
    (gradient, curvature)
}

/// Solves a symmetric positive system by Gauss's elimination with the largest pivot; none for one without a unique answer.
fn solve<const N: usize>(matrix: &[[f64; N]; N], right: &[f64; N]) -> Option<[f64; N]> {
    let (mut matrix, mut right) = (*matrix, *right);
    for column in 0..N {
        let pivot = (column..N).max_by(|a, b| matrix[*a][column].abs().total_cmp(&matrix[*b][column].abs()))?;
        matrix.swap(column, pivot);
        right.swap(column, pivot);
        let (row, at) = (matrix[column], right[column]);
        if row[column].abs() < 1e-300 || !row[column].is_finite() {
            return None;
        }
        for other in 0..N {
            if other != column {
                let factor = matrix[other][column] / row[column];
                matrix[other].iter_mut().zip(&row).for_each(|(one, above)| *one -= factor * above);
                right[other] -= factor * at;
            }
        }
    }
    let mut found = [0.0; N];
    for (place, one) in found.iter_mut().enumerate() {
        *one = right[place] / matrix[place][place];
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_coefficient_is_the_logit_of_the_rate() {
        let rows: Vec<([f64; 1], bool)> = (0..100).map(|row| ([1.0], row < 80)).collect();
        let found = fit(&rows, 0.0).unwrap();
        assert!((found.coefficients[0] - libm::log(4.0)).abs() < 1e-10, "{found:?}");
        assert!((found.standard_errors[0] - (1.0_f64 / 16.0).sqrt()).abs() < 1e-10, "{found:?}");
    }

    #[test]
    fn two_groups_give_the_odds_ratio() {
        // 30 of 40 against 10 of 40: the ratio of the odds is 9.
        let rows: Vec<([f64; 2], bool)> =
            (0..40).flat_map(|row| [([1.0, 1.0], row < 30), ([1.0, 0.0], row < 10)]).collect();
        let found = fit(&rows, 0.0).unwrap();
        assert!((found.coefficients[1] - libm::log(9.0)).abs() < 1e-10, "{found:?}");
        let expected: f64 = 1.0 / 30.0 + 1.0 / 10.0 + 1.0 / 10.0 + 1.0 / 30.0;
        assert!((found.standard_errors[1] - expected.sqrt()).abs() < 1e-10, "{found:?}");
    }

    #[test]
    fn what_is_apart_is_held_back() {
        let rows: Vec<([f64; 2], bool)> = (0..20).map(|row| ([1.0, f64::from(row)], row >= 10)).collect();
        let found = fit(&rows, 1e-3).unwrap();
        assert!(found.coefficients.iter().all(|one| one.is_finite()) && found.coefficients[1] > 1.0, "{found:?}");
        assert!(fit::<2>(&[], 1e-3).is_none() && fit(&[([f64::NAN], true)], 1e-3).is_none());
        let same = [([1.0, 1.0], true), ([1.0, 1.0], false)];
        assert!(fit(&same, 0.0).is_none() && fit(&same, 1e-3).is_some(), "two columns that are one");
    }
}
