//! The beta distribution and, through it, the binomial.
//!
//! Owns the density, the distribution function and its inverse, exact to about 1e-13 for parameters up to a thousand
//! million. Start at [`beta_probability`].

use super::float::{exp, ln, ln_1p, ln_gamma};

const TWO_PI: f64 = 2.0 * std::f64::consts::PI;

/// The error of Stirling's formula: `ln Γ(x+1) − ½ ln 2πx − x ln x + x`, for `x > 0`.
fn stirling_error(x: f64) -> f64 {
    if x < 16.0 {
        return ln_gamma(x + 1.0) - 0.5 * ln(TWO_PI * x) - x * ln(x) + x;
    }
    let x2 = x * x;
    let tail = 1.0 / 1680.0 - 1.0 / (1188.0 * x2);
    (1.0 / 12.0 - (1.0 / 360.0 - (1.0 / 1260.0 - tail / x2) / x2) / x2) / x
}

/// `x ln(x/m) + m − x`, without loss of digits where `x` is close to `m` (Loader 2000).
fn deviance(x: f64, m: f64) -> f64 {
    if (x - m).abs() >= 0.1 * (x + m) {
        return x * ln(x / m) + m - x;
    }
    let v = (x - m) / (x + m);
    let mut sum = (x - m) * v;
    let mut term = 2.0 * x * v;
    let mut divisor = 3.0;
    loop {
        term *= v * v;
        let next = sum + term / divisor;
        if next.to_bits() == sum.to_bits() {
            return sum;
        }
        sum = next;
        divisor += 2.0;
    }
}

/// The logarithm of `xᵃ (1−x)ᵇ / B(a, b)`, for `x` in (0, 1) and `a`, `b` above 0, after Loader 2000.
///
/// The powers and the beta function are each of the size of `exp(a + b)`, so their logarithms are never formed.
pub(super) fn ln_beta_term(x: f64, a: f64, b: f64) -> f64 {
    let n = a + b;
    let errors = stirling_error(n) - stirling_error(a) - stirling_error(b);
    errors - deviance(a, n * x) - deviance(b, n * (1.0 - x)) + 0.5 * ln(a / TWO_PI * (b / n))
}

/// The logarithm of the beta function, for `a`, `b` above 0.
pub(super) fn ln_beta(a: f64, b: f64) -> f64 {
    let n = a + b;
    let errors = stirling_error(a) + stirling_error(b) - stirling_error(n);
    // ln(b/n) as ln(1 − a/n) keeps its digits where one is much larger than the other.
    let (small, large) = if a < b { (a, b) } else { (b, a) };
    errors + small * ln(small / n) + large * ln_1p(-small / n) + 0.5 * ln(TWO_PI * n / (a * b))
}

/// The logarithm of the number of ways to choose `count` out of `count + rest`.
pub(super) fn ln_choose(count: f64, rest: f64) -> f64 {
    -ln_beta(count + 1.0, rest + 1.0) - ln(count + rest + 1.0)
}

/// The probability that a beta variable with parameters `a` and `b`, both above 0, is at most `x`: the regularised
/// incomplete beta function.
///
/// A continued fraction (DLMF 8.17.22) by the algorithm of Lentz; as many terms as about `√(a + b)`.
#[must_use]
pub fn beta_probability(x: f64, a: f64, b: f64) -> f64 {
    if x.is_nan() || x <= 0.0 {
        return 0.0;
    }
    if x >= 1.0 {
        return 1.0;
    }
    // The fraction converges fast below the mean only.
    let tail = |x: f64, a: f64, b: f64| exp(ln_beta_term(x, a, b)) / a * fraction(x, a, b);
    let found = if x <= (a + 1.0) / (a + b + 2.0) { tail(x, a, b) } else { 1.0 - tail(1.0 - x, b, a) };
    found.clamp(0.0, 1.0)
}

/// The probability that the variable is above `x`, with all digits where that is small.
#[must_use]
pub fn beta_probability_above(x: f64, a: f64, b: f64) -> f64 {
    beta_probability(1.0 - x, b, a)
}

fn fraction(x: f64, a: f64, b: f64) -> f64 {
    const TINY: f64 = 1e-300;
    const MOST_TERMS: u32 = 1_000_000;
    let away = |value: f64| if value.abs() < TINY { TINY } else { value };
    let mut c = 1.0;
    let mut d = 1.0 / away(1.0 - (a + b) * x / (a + 1.0));
    let mut result = d;
    for term in 1..MOST_TERMS {
        let m = f64::from(term);
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        d = 1.0 / away(1.0 + even * d);
        c = away(1.0 + even / c);
        result *= d * c;
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        d = 1.0 / away(1.0 + odd * d);
        c = away(1.0 + odd / c);
        let step = d * c;
        result *= step;
        if (step - 1.0).abs() < 4e-16 {
            break;
        }
    }
    result
}

/// The `x` below which a beta variable lies with probability `p`; 0 and 1 for `p` at the ends or beyond.
///
/// Newton's steps, halved intervals where one would lead out: exact to about 1e-14.
#[must_use]
pub fn beta_quantile(p: f64, a: f64, b: f64) -> f64 {
    if p.is_nan() || p <= 0.0 {
        return 0.0;
    }
    if p >= 1.0 {
        return 1.0;
    }
    let (mut low, mut high) = (0.0_f64, 1.0_f64);
    let mut x = a / (a + b);
    for _ in 0..300 {
        let error = beta_probability(x, a, b) - p;
        if error < 0.0 {
            low = x;
        } else {
            high = x;
        }
        let slope = exp(ln_beta_term(x, a, b)) / (x * (1.0 - x));
        let newton = x - error / slope;
        let next = if newton > low && newton < high { newton } else { low + (high - low) / 2.0 };
        let moved = (next - x).abs();
        x = next;
        if moved <= 1e-14 * x || x <= 1e-300 || x >= 1.0 {
            break;
        }
    }
    x.clamp(0.0, 1.0)
}

/// The probability of exactly `k` successes of `n` if each comes with probability `p`, in [0, 1].
#[must_use]
pub fn binomial_probability(k: u64, n: u64, p: f64) -> f64 {
    if k > n {
        return 0.0;
    }
    if p <= 0.0 || p >= 1.0 {
        return if k == if p <= 0.0 { 0 } else { n } { 1.0 } else { 0.0 };
    }
    let (size, passed, failed) = (n as f64, k as f64, (n - k) as f64);
    if k == 0 {
        exp(size * ln_1p(-p))
    } else if k == n {
        exp(size * ln(p))
    } else {
        exp(ln_beta_term(p, passed, failed)) * size / (passed * failed)
    }
}

/// The probability of at most `k` successes of `n` if each comes with probability `p`, in [0, 1].
#[must_use]
pub fn binomial_at_most(k: u64, n: u64, p: f64) -> f64 {
    if k >= n { 1.0 } else { beta_probability_above(p, (k + 1) as f64, (n - k) as f64) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn closed_forms() {
        for x in [1e-9, 0.1, 0.3, 0.5, 0.9, 0.999_999] {
            // (a, b, the distribution function)
            let arcsine = libm::asin(f64::sqrt(x)) * 2.0 / std::f64::consts::PI;
            for (a, b, expected) in [
                (1.0, 1.0, x),
                (3.0, 1.0, x * x * x),
                (1.0, 7.0, 1.0 - libm::pow(1.0 - x, 7.0)),
                (0.5, 0.5, arcsine),
                (2.0, 2.0, x * x * (3.0 - 2.0 * x)),
            ] {
                let found = beta_probability(x, a, b);
                assert!((found - expected).abs() < 1e-12, "{x} {a} {b}: {found} {expected}");
            }
        }
        assert_eq!((beta_probability(0.0, 2.0, 3.0), beta_probability(1.0, 2.0, 3.0)), (0.0, 1.0));
        assert_eq!((beta_quantile(0.0, 2.0, 3.0), beta_quantile(1.0, 2.0, 3.0)), (0.0, 1.0));
    }

    #[test]
    fn large_parameters_come_near_the_normal_distribution() {
        for size in [1e4_f64, 1e6, 1e9] {
            let (a, b) = (0.3 * size, 0.7 * size);
            let spread = (0.3 * 0.7 / size).sqrt();
            for z in [-3.0, -1.0, 0.0, 2.0] {
                let found = beta_probability(0.3 + z * spread, a, b);
                let normal = libm::erfc(-z / 2.0_f64.sqrt()) / 2.0;
                assert!((found - normal).abs() < 0.6 / size.sqrt(), "{size} {z}: {found} {normal}");
            }
        }
    }

    #[test]
    fn the_logarithm_of_the_beta_function() {
        for (a, b) in [(0.5_f64, 0.5_f64), (1.0, 1.0), (2.0, 9.0), (17.0, 40.0), (300.0, 2.0)] {
            let expected = libm::lgamma(a) + libm::lgamma(b) - libm::lgamma(a + b);
            assert!((ln_beta(a, b) - expected).abs() < 1e-12 * (1.0 + expected.abs()), "{a} {b}");
        }
    }

    proptest! {
        #[test]
        fn quantiles_undo_probabilities(p in 1e-6..0.999_999_f64, a in 0.5..3_000.0_f64, b in 0.5..3_000.0_f64) {
            let x = beta_quantile(p, a, b);
            // The last digits of the quantile weigh what the density is there.
            let density = exp(ln_beta_term(x, a, b)) / (x * (1.0 - x));
            let error = (beta_probability(x, a, b) - p).abs();
            prop_assert!(error < 1e-11 + 2e-14 * density, "{error} at a density of {density}");
        }

        /// Against the sum of all terms.
        #[test]
        fn binomial_sums(n in 1_u64..300, share in 0.0..=1.0_f64, p in 0.001..0.999_f64) {
            let k = (0..=n).rfind(|k| *k as f64 <= share * n as f64).unwrap();
            let sum: f64 = (0..=k).map(|k| binomial_probability(k, n, p)).sum();
            prop_assert!((sum - binomial_at_most(k, n, p)).abs() < 1e-12);
            let ways: f64 = (0..k).map(|step| libm::log((n - step) as f64 / (step + 1) as f64)).sum();
            let direct = libm::exp(ways + k as f64 * libm::log(p) + (n - k) as f64 * libm::log(1.0 - p));
            prop_assert!((direct - binomial_probability(k, n, p)).abs() < 1e-11);
        }
    }
}
