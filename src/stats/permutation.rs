//! A test of paired scores that takes nothing for granted but that signs could have been otherwise.

use super::random::Random;

/// Up to so many differences, all signs are tried.
const MOST_EXACT: usize = 20;

/// How many signs are drawn where there are more.
const FLIPS: u32 = 20_000;

/// The two-sided probability of a mean as far from 0 as that of `differences`, if each sign were a coin's (Fisher 1935).
///
/// Over all `2ⁿ` signs up to twenty differences, else over 20,000 drawn ones as `(1 + #) / (1 + 20,000)`, which depend on the seed
/// and the purpose only. 1 without any difference, or with one that is not finite.
#[must_use]
pub fn sign_flip_p(differences: &[f64], seed: u64, purpose: &str) -> f64 {
    let observed = differences.iter().sum::<f64>().abs();
    // What differs by rounding is as extreme.
    let least = observed - 1e-12 * observed.max(1.0);
    if !observed.is_finite() || differences.is_empty() {
        return 1.0;
    }
    let is_extreme = |sum: f64| u32::from(sum.abs() >= least);
    if differences.len() <= MOST_EXACT {
        let signs = 1_u32 << differences.len();
        let signed = |bits: u32| {
            differences.iter().enumerate().map(|(place, d)| if bits >> place & 1 == 1 { -d } else { *d }).sum::<f64>()
        };
        return f64::from((0..signs).map(|bits| is_extreme(signed(bits))).sum::<u32>()) / f64::from(signs);
    }
    let mut random = Random::new(seed, purpose, 0);
    let extreme: u32 = (0..FLIPS).map(|_| is_extreme(flipped_sum(differences, &mut random))).sum();
    f64::from(1 + extreme) / f64::from(1 + FLIPS)
}

/// The same for many differences of few sizes, `kinds[i].1` of them `kinds[i].0`: the time grows with kinds, not with differences.
///
/// Up to twenty differences, and where each is of its own size, it is [`sign_flip_p`].
#[must_use]
pub fn sign_flip_p_of_kinds(kinds: &[(f64, u32)], seed: u64, purpose: &str) -> f64 {
    let all: u64 = kinds.iter().map(|(_, count)| u64::from(*count)).sum();
    if all <= MOST_EXACT as u64 || kinds.iter().all(|(_, count)| *count == 1) {
        let one_by_one: Vec<f64> =
            kinds.iter().flat_map(|(value, count)| std::iter::repeat_n(*value, *count as usize)).collect();
        return sign_flip_p(&one_by_one, seed, purpose);
    }
    let observed = kinds.iter().map(|(value, count)| value * f64::from(*count)).sum::<f64>().abs();
    if !observed.is_finite() {
        return 1.0;
    }
    let least = observed - 1e-12 * observed.max(1.0);
    let mut random = Random::new(seed, purpose, 0);
    let mut flipped = || {
        // Of so many equal ones, how many are turned is binomial.
        kinds
            .iter()
            .map(|(value, count)| value * (f64::from(*count) - 2.0 * f64::from(random.binomial(*count, 0.5))))
            .sum()
    };
    let extreme: u32 = (0..FLIPS).map(|_| u32::from(f64::abs(flipped()) >= least)).sum();
    f64::from(1 + extreme) / f64::from(1 + FLIPS)
}

/// The sum with even random signs, 64 of them from one step of the generator.
fn flipped_sum(differences: &[f64], random: &mut Random) -> f64 {
    let mut sum = 0.0;
    for some in differences.chunks(64) {
        let mut bits = random.bits();
        for difference in some {
            // The sign bit itself is flipped: a branch on a coin is a bad guess half of the time.
            sum += f64::from_bits(difference.to_bits() ^ (bits << 63));
            bits >>= 1;
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::mcnemar_exact;

    fn p(differences: &[f64]) -> f64 {
        sign_flip_p(differences, 7, "test")
    }

    #[test]
    fn edges() {
        for (differences, expected) in [
            (&[][..], 1.0),
            (&[0.0, 0.0], 1.0),
            (&[f64::NAN], 1.0),
            (&[f64::INFINITY, 1.0], 1.0),
            (&[0.3], 1.0),
            (&[0.1, 0.1, 0.1, 0.1], 0.125),
        ] {
            assert!((p(differences) - expected).abs() < 1e-12, "{differences:?}");
        }
        assert!(p(&[0.0; 30]) >= 1.0);
    }

    /// With differences of 1 and −1 alone it is McNemar's test.
    #[test]
    fn signs_alone_are_mcnemar() {
        for (gains, losses) in [(7, 1), (5, 5), (12, 3), (9, 0)] {
            let mut differences = vec![1.0; gains];
            differences.resize(gains + losses, -1.0);
            let exact = mcnemar_exact(gains as u64, losses as u64);
            assert!((p(&differences) - exact).abs() < 1e-12, "{gains} {losses}");
            // Zeros change nothing but take it beyond what is tried exhaustively.
            differences.resize(70, 0.0);
            assert!((p(&differences) - exact).abs() < 0.015, "{gains} {losses}: {}", p(&differences));
        }
    }

    #[test]
    fn kinds_are_differences_told_shortly() {
        for (gains, losses, rest) in [(7, 1, 0), (30, 12, 200), (0, 0, 50)] {
            let kinds = [(1.0, gains), (-1.0, losses), (0.0, rest)];
            let p = sign_flip_p_of_kinds(&kinds, 7, "test");
            let exact = mcnemar_exact(u64::from(gains), u64::from(losses));
            assert!((p - exact).abs() < 0.015, "{gains} {losses}: {p} {exact}");
        }
        let kinds: Vec<(f64, u32)> = (0..40).map(|i| (f64::from(i % 7) - 2.5, 1)).collect();
        let one_by_one: Vec<f64> = kinds.iter().map(|(value, _)| *value).collect();
        assert_eq!(sign_flip_p_of_kinds(&kinds, 7, "test").to_bits(), p(&one_by_one).to_bits());
        assert!(sign_flip_p_of_kinds(&[(f64::NAN, 30)], 7, "test") >= 1.0);
        assert!(sign_flip_p_of_kinds(&[], 7, "test") >= 1.0);
    }

    #[test]
    fn seeds_and_purposes_count() {
        let differences: Vec<f64> = (0..40).map(|i| f64::from(i % 7) - 2.5).collect();
        assert_eq!(p(&differences).to_bits(), p(&differences).to_bits());
        assert_ne!(p(&differences).to_bits(), sign_flip_p(&differences, 8, "test").to_bits());
        assert_ne!(p(&differences).to_bits(), sign_flip_p(&differences, 7, "other").to_bits());
    }
}
