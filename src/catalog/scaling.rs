//! How much a model was trained for its size, against what would have been best for the same computation.

use crate::stats::float::pow;

/// The loss of a model of `n` parameters after `d` tokens: `e + a / n^alpha + b / d^beta`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Law {
    pub(crate) e: f64,
    pub(crate) a: f64,
    pub(crate) b: f64,
    pub(crate) alpha: f64,
    pub(crate) beta: f64,
}

/// Besiroglu and others 2024: Hoffmann's runs, fitted again. The coefficients that were first published contradict the
/// twenty tokens a parameter that are drawn from them; these do not.
const REFITTED: Law = Law { e: 1.8172, a: 482.01, b: 2085.43, alpha: 0.3478, beta: 0.3658 };

impl Law {
    /// The loss of `n` parameters after `d` tokens.
    #[cfg(test)]
    pub(crate) fn loss(&self, n: f64, d: f64) -> f64 {
        self.e + self.a / pow(n, self.alpha) + self.b / pow(d, self.beta)
    }

    /// The parameters and tokens of the least loss that `compute` floating-point operations can come to.
    pub(crate) fn optimum(&self, compute: f64) -> (f64, f64) {
        let Self { e: _, a, b, alpha, beta } = *self;
        let g = pow(alpha * a / (beta * b), 1.0 / (alpha + beta));
        (g * pow(compute / 6.0, beta / (alpha + beta)), pow(compute / 6.0, alpha / (alpha + beta)) / g)
    }
}

/// Tokens a parameter, and what would have been best for the same computation.
pub(super) fn tokens_per_parameter(parameters: f64, tokens: f64) -> (f64, f64) {
    let (n, d) = REFITTED.optimum(6.0 * parameters * tokens);
    (tokens / parameters, d / n)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_ratio_is_about_twenty() {
        let (own, best) = tokens_per_parameter(70e9, 1.4e12);
        assert!((own - 20.0).abs() < 1e-9);
        assert!(best > 15.0 && best < 25.0, "{best}");
        let (own, _) = tokens_per_parameter(8e9, 15e12);
        assert!((own - 1875.0).abs() < 1e-9);
        // At its own optimum a model has the optimal ratio.
        let (n, d) = REFITTED.optimum(1e21);
        let (own, best) = tokens_per_parameter(n, d);
        assert!((own / best - 1.0).abs() < 1e-9, "{own} {best}");
        assert!(
            REFITTED.loss(n, d) < REFITTED.loss(n * 1.1, d / 1.1)
                && REFITTED.loss(n, d) < REFITTED.loss(n / 1.1, d * 1.1)
        );
    }
}
