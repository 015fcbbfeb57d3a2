//! Quantiles and probabilities of Student's t distribution.

use super::beta::{beta_probability, beta_quantile};
use super::normal::two_sided_z;

/// From here the expansion about the normal quantile is exact to all digits that matter.
const MANY: u32 = 400;

/// The `t` for which a variable with so many degrees of freedom, at least 1, lies within ±`t` with probability
/// `confidence`, in (0, 1): 4.30 for 2 and 0.95.
#[must_use]
pub fn two_sided_t(confidence: f64, degrees: u32) -> f64 {
    let degrees = degrees.max(1);
    if degrees >= MANY { expansion(two_sided_z(confidence), f64::from(degrees)) } else { inverse(confidence, degrees) }
}

/// As [`two_sided_t`], for degrees of freedom that need not be whole.
pub(super) fn two_sided_t_of(confidence: f64, degrees: f64) -> f64 {
    if let Some(whole) = as_whole(degrees) {
        return two_sided_t(confidence, whole);
    }
    if degrees >= f64::from(MANY) {
        return expansion(two_sided_z(confidence), degrees);
    }
    // ν / (ν + t²) is distributed as Beta(ν/2, ½).
    let outside = beta_quantile(1.0 - confidence, degrees / 2.0, 0.5);
    (degrees * (1.0 - outside) / outside).sqrt()
}

/// The whole number that it is, at least 1.
fn as_whole(degrees: f64) -> Option<u32> {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "compared with what it was")]
    let whole = degrees.max(1.0) as u32;
    (degrees <= f64::from(whole)).then_some(whole)
}

/// The probability that a variable with so many degrees of freedom, at least 1, lies outside of ±`t`.
#[must_use]
pub fn two_sided_p(t: f64, degrees: u32) -> f64 {
    (1.0 - within(t.abs(), degrees.max(1))).clamp(0.0, 1.0)
}

/// As [`two_sided_p`], for degrees of freedom that need not be whole.
pub(super) fn two_sided_p_of(t: f64, degrees: f64) -> f64 {
    match as_whole(degrees) {
        Some(whole) => two_sided_p(t, whole),
        None => beta_probability(degrees / (degrees + t * t), degrees / 2.0, 0.5).clamp(0.0, 1.0),
    }
}

/// Fisher and Cornish 1960, four terms (Abramowitz and Stegun 26.7.5).
fn expansion(z: f64, degrees: f64) -> f64 {
    let z2 = z * z;
    let one = (z2 + 1.0) / 4.0;
    let two = ((5.0 * z2 + 16.0) * z2 + 3.0) / 96.0;
    let three = (((3.0 * z2 + 19.0) * z2 + 17.0) * z2 - 15.0) / 384.0;
    let four = ((((79.0 * z2 + 776.0) * z2 + 1482.0) * z2 - 1920.0) * z2 - 945.0) / 92160.0;
    z * (1.0 + (one + (two + (three + four / degrees) / degrees) / degrees) / degrees)
}

fn inverse(confidence: f64, degrees: u32) -> f64 {
    let mut low = 0.0;
    let mut high = 1.0;
    while within(high, degrees) < confidence && high < 1e300 {
        low = high;
        high *= 2.0;
    }
    // Halved until there is no number in between: the same on every machine.
    loop {
        let middle = low + (high - low) / 2.0;
        if middle <= low || middle >= high {
            return high;
        }
        if within(middle, degrees) < confidence {
            low = middle;
        } else {
            high = middle;
        }
    }
}

/// The probability to lie within ±`t`: a finite sum for whole degrees of freedom (Abramowitz and Stegun 26.7.3, 26.7.4).
fn within(t: f64, degrees: u32) -> f64 {
    let ratio = t / f64::from(degrees).sqrt();
    let cosine2 = 1.0 / (1.0 + ratio * ratio);
    let sine = ratio * cosine2.sqrt();
    let is_odd = degrees % 2 == 1;
    let (mut term, mut sum) = (if is_odd { cosine2.sqrt() } else { 1.0 }, 0.0);
    let mut step = if is_odd { 3 } else { 2 };
    while step <= degrees {
        sum += term;
        term *= cosine2 * f64::from(step - 1) / f64::from(step);
        step += 2;
    }
    if is_odd { (libm::atan(ratio) + sine * sum) * std::f64::consts::FRAC_2_PI } else { sine * sum }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_quantiles() {
        // From an independent implementation in double precision.
        for (degrees, confidence, expected) in [
            (1, 0.95, 12.706_204_736_432_095),
            (2, 0.95, 4.302_652_729_911_275),
            (3, 0.95, 3.182_446_305_284_263),
            (4, 0.95, 2.776_445_105_198_655),
            (9, 0.95, 2.262_157_162_740_992),
            (9, 0.99, 3.249_835_541_592_126),
            (49, 0.95, 2.009_575_237_129_24),
            (1, 0.5, 1.0),
        ] {
            let found = two_sided_t(confidence, degrees);
            assert!((found - expected).abs() < 1e-9 * expected, "{degrees} {confidence}: {found}");
        }
    }

    #[test]
    fn the_two_ways_meet_and_end_at_the_normal_quantile() {
        for confidence in [0.5, 0.9, 0.95, 0.99, 0.999] {
            for degrees in [MANY - 1, MANY, 2 * MANY] {
                let (one, other) =
                    (inverse(confidence, degrees), expansion(two_sided_z(confidence), f64::from(degrees)));
                assert!((one - other).abs() < 1e-10, "{confidence} {degrees}: {one} {other}");
            }
            assert!((two_sided_t(confidence, 1_000_000_000) - two_sided_z(confidence)).abs() < 1e-7);
        }
    }

    #[test]
    fn probabilities_undo_quantiles() {
        for degrees in [1, 2, 4, 49, 650] {
            for confidence in [0.5, 0.95, 0.999] {
                let p = two_sided_p(-two_sided_t(confidence, degrees), degrees);
                assert!((p - (1.0 - confidence)).abs() < 1e-9, "{degrees} {confidence}: {p}");
            }
        }
        assert!((two_sided_p(0.0, 3) - 1.0).abs() < 1e-12);
    }

    #[test]
    fn degrees_between_whole_ones_lie_between() {
        for (low, confidence) in [(1, 0.95), (2, 0.9), (7, 0.99), (40, 0.95), (398, 0.95)] {
            let [least, most] = [low + 1, low].map(|degrees| two_sided_t(confidence, degrees));
            let mut last = most;
            for tenth in 1..10 {
                let degrees = f64::from(low) + f64::from(tenth) / 10.0;
                let found = two_sided_t_of(confidence, degrees);
                assert!(least < found && found < last, "{degrees}: {found}, {least} to {last}");
                let p = two_sided_p_of(found, degrees);
                assert!((p - (1.0 - confidence)).abs() < 1e-9, "{degrees}: {p}");
                last = found;
            }
        }
        // From an independent implementation in double precision.
        for (degrees, expected) in [(1.5, 6.016_663_104), (3.7, 2.867_520_707), (12.25, 2.173_891_388)] {
            let found = two_sided_t_of(0.95, degrees);
            assert!((found - expected).abs() < 1e-8, "{degrees}: {found}");
        }
        assert_eq!(two_sided_t_of(0.95, 9.0).to_bits(), two_sided_t(0.95, 9).to_bits());
        assert_eq!(two_sided_t_of(0.95, 0.2).to_bits(), two_sided_t(0.95, 1).to_bits());
        assert!(two_sided_t_of(0.95, 650.5) < two_sided_t(0.95, 650));
    }

    #[test]
    fn more_degrees_are_never_wider() {
        let all: Vec<f64> = (1..1000).map(|degrees| two_sided_t(0.95, degrees)).collect();
        assert!(all.windows(2).all(|pair| pair[1] < pair[0]));
    }
}
