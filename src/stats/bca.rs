//! From the values of a statistic over resamples to an interval: bias-corrected and accelerated.

use super::interval::Interval;
use super::normal::{normal_probability, quantile};

/// What a bootstrap says about a statistic.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bootstrap {
    /// The statistic of the data themselves.
    pub point: f64,
    /// The interval.
    pub interval: Interval,
    /// The standard deviation of the statistic over the resamples.
    pub standard_error: f64,
    /// How far the resamples lie to one side of the data, in standard deviations (z₀); none where all of them do.
    pub bias: Option<f64>,
    /// How fast the standard error changes with the statistic (a).
    pub acceleration: f64,
    /// How many resamples there were.
    pub resamples: u64,
    /// All resamples lie on one side of the data, or the correction leads out of the distribution: the interval is the
    /// plain one of percentiles, and little worth.
    pub is_degenerate: bool,
}

/// The statistic without one kind of unit, and how many units of this kind there are.
#[derive(Debug, Clone, Copy)]
pub(super) struct LeftOut {
    pub(super) value: f64,
    pub(super) units: f64,
}

/// Efron's interval (1987) from the statistic over the data, over resamples and with each unit left out in turn.
///
/// `z₀ = Φ⁻¹((#{θ* < θ} + #{θ* ≤ θ}) / 2B)`, where values that differ by rounding are equal; `a = Σ(θ̄−θᵢ)³ / 6(Σ(θ̄−θᵢ)²)^{3/2}`;
/// ends at the quantiles `Φ(z₀ + (z₀+z) / (1 − a(z₀+z)))`, where `expansion` times the normal quantile is `z`. The values are
/// sorted on the way.
pub(super) fn bca(
    point: f64,
    resamples: &mut [f64],
    left_out: &[LeftOut],
    confidence: f64,
    expansion: f64,
) -> Bootstrap {
    resamples.sort_unstable_by(f64::total_cmp);
    let count = resamples.len() as f64;
    let slack = 1e-12 * point.abs().max(1.0);
    let below = resamples.partition_point(|value| *value < point - slack) as f64;
    let not_above = resamples.partition_point(|value| *value <= point + slack) as f64;
    let bias = quantile((below + not_above) / (2.0 * count));
    let bias = bias.is_finite().then_some(bias);
    let acceleration = acceleration(left_out);
    let tail = (1.0 - confidence) / 2.0;
    let corrected = |z: f64| {
        let bias = bias?;
        let shrink = 1.0 - acceleration * (bias + z);
        (shrink > 0.0).then(|| normal_probability(bias + (bias + z) / shrink))
    };
    let z = -quantile(tail) * expansion;
    let (lo, hi, is_degenerate) = match (corrected(-z), corrected(z)) {
        (Some(lo), Some(hi)) => (lo, hi, false),
        (None, _) | (_, None) => (normal_probability(-z), normal_probability(z), true),
    };
    let mean = resamples.iter().sum::<f64>() / count;
    let variance = resamples.iter().map(|value| (value - mean) * (value - mean)).sum::<f64>() / (count - 1.0).max(1.0);
    Bootstrap {
        point,
        interval: Interval { lo: quantile_of_sorted(resamples, lo), hi: quantile_of_sorted(resamples, hi) },
        standard_error: variance.sqrt(),
        bias,
        acceleration,
        resamples: resamples.len() as u64,
        is_degenerate,
    }
}

fn acceleration(left_out: &[LeftOut]) -> f64 {
    let units: f64 = left_out.iter().map(|one| one.units).sum();
    let mean = left_out.iter().map(|one| one.units * one.value).sum::<f64>() / units;
    let (mut squares, mut cubes) = (0.0, 0.0);
    for LeftOut { value, units } in left_out {
        let away = mean - value;
        squares += units * away * away;
        cubes += units * away * away * away;
    }
    let scale = 6.0 * squares * squares.sqrt();
    let found = cubes / scale;
    if scale > 0.0 && found.is_finite() { found } else { 0.0 }
}

/// The value at the share `q`, in [0, 1], of sorted values, interpolated between neighbours (type 7 of Hyndman and Fan 1996);
/// 0 without any value.
pub(super) fn quantile_of_sorted(sorted: &[f64], q: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else { return 0.0 };
    let place = q.clamp(0.0, 1.0) * last as f64;
    #[expect(clippy::cast_possible_truncation, reason = "within the list")]
    let at = (place as usize).min(last);
    let (low, high) = (sorted[at], sorted[(at + 1).min(last)]);
    low + (place - at as f64) * (high - low)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_between_neighbours() {
        for (q, expected) in [(0.0, 1.0), (0.5, 2.5), (0.25, 1.75), (1.0, 10.0), (2.0, 10.0)] {
            assert!((quantile_of_sorted(&[1.0, 2.0, 3.0, 10.0], q) - expected).abs() < 1e-12);
        }
        assert_eq!((quantile_of_sorted(&[], 0.5), quantile_of_sorted(&[7.0], 0.9)), (0.0, 7.0));
    }

    #[test]
    fn one_sided_resamples_are_degenerate() {
        let left_out = [LeftOut { value: 1.0, units: 2.0 }];
        let found = bca(5.0, &mut [1.0, 3.0, 2.0], &left_out, 0.5, 1.0);
        assert!(found.is_degenerate && found.bias.is_none());
        assert_eq!(found.interval, Interval { lo: 1.5, hi: 2.5 });
        let found = bca(2.0, &mut [2.0; 9], &left_out, 0.95, 1.0);
        assert!(!found.is_degenerate && found.interval == Interval { lo: 2.0, hi: 2.0 });
    }

    #[test]
    fn a_correction_that_leads_nowhere_is_degenerate() {
        let left_out = [LeftOut { value: 0.0, units: 1.0 }, LeftOut { value: 100.0, units: 11.0 }];
        let mut resamples: Vec<f64> = (0..1000).map(f64::from).collect();
        let found = bca(999.0, &mut resamples, &left_out, 1.0 - 1e-12, 1.0);
        assert!(found.acceleration > 0.14, "{}", found.acceleration);
        assert!(found.interval.lo.is_finite() && found.interval.hi.is_finite() && found.is_degenerate, "{found:?}");
    }
}
