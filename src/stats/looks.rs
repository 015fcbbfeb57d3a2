//! A few looks that are planned: boundaries that share the error between them.

use super::float;
use super::normal::{normal_probability, quantile, two_sided_z};

/// How the error is shared between looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Boundary {
    /// The same boundary at each look (Pocock 1977): stops early often.
    Pocock,
    /// `C·√(K/k)` at look `k` of `K` (O'Brien and Fleming 1979): hardly stops early, and costs little at the end.
    ObrienFleming,
}

/// Points on each side of the continuation region; the sums are exact to nine digits with these.
const HALF_POINTS: u32 = 64;

/// Most looks that a constant is computed for.
const MOST_LOOKS: u32 = 20;

/// The constant C of a two-sided boundary for so many equally spaced looks: with it, z statistics of no effect ever cross the
/// boundary with probability `alpha`. None for no look, for more than twenty, or for an `alpha` outside of (0, 1).
///
/// The density of a process that has not crossed is carried from look to look (Armitage, McPherson and Rowe 1969).
#[must_use]
pub fn group_sequential_constant(looks: u32, alpha: f64, boundary: Boundary) -> Option<f64> {
    if looks == 0 || looks > MOST_LOOKS || alpha.is_nan() || alpha <= 0.0 || alpha >= 1.0 {
        return None;
    }
    let (mut low, mut high) = (two_sided_z(1.0 - alpha) / 2.0, two_sided_z(1.0 - alpha / f64::from(looks)) * 2.0 + 1.0);
    // Thirty-two halvings leave less than a thousandth of a millionth.
    for _ in 0..32 {
        let middle = f64::midpoint(low, high);
        if crossing(looks, middle, boundary) > alpha {
            low = middle;
        } else {
            high = middle;
        }
    }
    Some(f64::midpoint(low, high))
}

/// The boundary for the z statistic at look `look` of `looks`, from 1, with the constant of [`group_sequential_constant`].
#[must_use]
pub fn look_boundary(constant: f64, look: u32, looks: u32, boundary: Boundary) -> f64 {
    match boundary {
        Boundary::Pocock => constant,
        Boundary::ObrienFleming => constant * (f64::from(looks) / f64::from(look.max(1))).sqrt(),
    }
}

/// The probability to cross at any look. Sums of normal steps are followed: at look `k` their variance is `k`.
fn crossing(looks: u32, constant: f64, boundary: Boundary) -> f64 {
    let limit = |look: u32| look_boundary(constant, look, looks, boundary) * f64::from(look).sqrt();
    // Points of the first look, with Simpson's weight times the density there.
    let mut inside: Vec<(f64, f64)> =
        simpson(limit(1)).map(|(point, weight)| (point, weight * density(point))).collect();
    let beyond = |from: f64, limit: f64| normal_probability(from - limit) + normal_probability(-limit - from);
    let mut crossed = beyond(0.0, limit(1));
    for look in 2..=looks {
        let next = limit(look);
        crossed += inside.iter().map(|(point, mass)| mass * beyond(*point, next)).sum::<f64>();
        if look < looks {
            inside = simpson(next)
                .map(|(to, weight)| {
                    (to, weight * inside.iter().map(|(from, mass)| mass * density(to - from)).sum::<f64>())
                })
                .collect();
        }
    }
    crossed
}

fn density(x: f64) -> f64 {
    const ONE_OVER_ROOT_TWO_PI: f64 = 0.398_942_280_401_432_7;
    ONE_OVER_ROOT_TWO_PI * float::exp(-x * x / 2.0)
}

/// Points from `-limit` to `limit` with Simpson's weights.
fn simpson(limit: f64) -> impl Iterator<Item = (f64, f64)> {
    let step = limit / f64::from(HALF_POINTS);
    (0..=2 * HALF_POINTS).map(move |point| {
        let weight = if point == 0 || point == 2 * HALF_POINTS {
            1.0
        } else if point % 2 == 1 {
            4.0
        } else {
            2.0
        };
        (step * (f64::from(point) - f64::from(HALF_POINTS)), weight * step / 3.0)
    })
}

/// The error that may be spent until the share `t` of the information is in, two-sided (Lan and DeMets 1983): 0 at the beginning
/// and `alpha` at the end.
#[must_use]
pub fn lan_demets_spend(t: f64, alpha: f64, boundary: Boundary) -> f64 {
    if t.is_nan() || t <= 0.0 {
        return 0.0;
    }
    let t = t.min(1.0);
    match boundary {
        Boundary::Pocock => alpha * float::ln_1p((std::f64::consts::E - 1.0) * t),
        Boundary::ObrienFleming => 2.0 * normal_probability(quantile(alpha / 2.0) / t.sqrt()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::Random;

    #[test]
    fn published_constants() {
        for (looks, pocock, obrien_fleming) in
            [(1, 1.960, 1.960), (2, 2.178, 1.977), (3, 2.289, 2.004), (4, 2.361, 2.024), (5, 2.413, 2.040)]
        {
            for (boundary, expected) in [(Boundary::Pocock, pocock), (Boundary::ObrienFleming, obrien_fleming)] {
                let found = group_sequential_constant(looks, 0.05, boundary).unwrap();
                assert!((found - expected).abs() < 6e-4, "{looks} {boundary:?}: {found}");
            }
        }
        for (looks, alpha) in [(0, 0.05), (21, 0.05), (3, 0.0), (3, 1.0), (3, f64::NAN)] {
            assert_eq!(group_sequential_constant(looks, alpha, Boundary::Pocock), None);
        }
    }

    #[test]
    fn crossings_are_as_often_as_they_should_be() {
        for boundary in [Boundary::Pocock, Boundary::ObrienFleming] {
            let constant = group_sequential_constant(4, 0.1, boundary).unwrap();
            let mut random = Random::new(7, "looks", 0);
            let mut crossed = 0;
            for _ in 0..6_000 {
                let mut sum = 0.0;
                crossed += u32::from((1..=4).any(|look| {
                    sum += quantile(random.share().max(1e-300));
                    (sum / f64::from(look).sqrt()).abs() >= look_boundary(constant, look, 4, boundary)
                }));
            }
            assert!((f64::from(crossed) / 6_000.0 - 0.1).abs() < 0.012, "{boundary:?}: {crossed}");
        }
    }

    #[test]
    fn spending_ends_at_alpha() {
        for boundary in [Boundary::Pocock, Boundary::ObrienFleming] {
            assert!(lan_demets_spend(0.0, 0.05, boundary).abs() < 1e-300);
            for end in [1.0, 7.0] {
                assert!((lan_demets_spend(end, 0.05, boundary) - 0.05).abs() < 1e-12);
            }
            let spent: Vec<f64> = (1..=20).map(|t| lan_demets_spend(f64::from(t) / 20.0, 0.05, boundary)).collect();
            assert!(spent.windows(2).all(|pair| pair[0] < pair[1]));
        }
    }
}
