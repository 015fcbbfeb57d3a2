//! Intervals of a share whose variance is estimated and not known from the share itself.
//!
//! Wilson's interval over as many rows as would have that variance, with Student's t for the normal quantile. The degrees of freedom
//! are those that the estimate of the variance is worth (Satterthwaite 1946): `2 / (relative variance of the estimate)`, which is the
//! number of pieces of evidence less one only where these are as even as a normal distribution. Near the ends of [0, 1], where a few
//! pieces hold all that varies, it is much less, and an interval that does not know so is too narrow.

use super::interval::{Interval, wilson, wilson_at};
use super::normal::two_sided_z;
use super::scores::square;
use super::student::two_sided_t_of;

/// The interval of a share `point` whose variance is that of `n_eff` independent rows, estimated with so many degrees of
/// freedom, at least 1.
pub(super) fn share_interval(point: f64, n_eff: f64, degrees: f64, confidence: f64) -> Interval {
    wilson_at(point * n_eff, n_eff, two_sided_t_of(confidence, degrees))
}

/// So many independent rows at the normal quantile have an interval as wide as `n_eff` at Student's t with so many degrees of freedom.
#[must_use]
pub fn n_eff_at_normal_quantile(n_eff: f64, degrees: f64, confidence: f64) -> f64 {
    n_eff * square(two_sided_z(confidence) / two_sided_t_of(confidence, degrees))
}

/// The degrees of freedom of a design effect that so many pieces of evidence show, each a share of its own about `point`.
///
/// The design effect is `s² / (p(1 − p))`. With shares of standard deviation σ, skewness γ and excess kurtosis κ, the relative variance of
/// that is `(κ + 2 − 2γc + c²) / (pieces − 1)` with `c = (1 − 2p)σ / (p(1 − p))` (delta method: where p goes up by chance, p(1 − p) goes
/// down). The moments are those of the beta distribution of that mean and variance, the one of the beta-binomial model.
pub(super) fn degrees_of_share(point: f64, n_eff: f64, pieces: f64) -> f64 {
    let most = (pieces - 1.0).max(1.0);
    let (alike, both) = (pieces / n_eff, point * (1.0 - point));
    // All or nothing in each piece: then the share says what they vary by.
    if both <= 0.0 || alike.is_nan() || !(0.0..1.0).contains(&alike) {
        return most;
    }
    let sum = 1.0 / alike - 1.0;
    let (a, b) = (point * sum, (1.0 - point) * sum);
    let apart = a - b;
    let product = a * b;
    let kurtosis = 6.0 * (apart * apart * (sum + 1.0) - product * (sum + 2.0)) / (product * (sum + 2.0) * (sum + 3.0));
    let skewness = -2.0 * apart * (sum + 1.0).sqrt() / ((sum + 2.0) * product.sqrt());
    let with_point = (1.0 - 2.0 * point) * (alike / both).sqrt();
    let spread = kurtosis + 2.0 - 2.0 * skewness * with_point + with_point * with_point;
    if spread > 0.0 { (2.0 * (pieces - 1.0) / spread).clamp(1.0, most) } else { most }
}

/// The degrees of freedom of a variance estimated from so many pieces of evidence, of whose distances from their mean the sums of
/// squares and of fourth powers are given.
///
/// `2 / (κ/n − (n − 3)/(n(n − 1)))`, since the variance of s² is σ⁴ times that divisor; κ is estimated without bias under the normal
/// distribution (`G₂ + 3` of Joanes and Gill 1998). The number of pieces less one for fewer than four, and where nothing varies.
pub(super) fn degrees_of_spread(pieces: f64, squares: f64, fourths: f64) -> f64 {
    let most = (pieces - 1.0).max(1.0);
    if pieces < 4.0 || squares <= 0.0 {
        return most;
    }
    let excess = pieces * fourths / (squares * squares) - 3.0;
    let kurtosis = (pieces - 1.0) / ((pieces - 2.0) * (pieces - 3.0)) * ((pieces + 1.0) * excess + 6.0) + 3.0;
    let spread = kurtosis - (pieces - 3.0) / (pieces - 1.0);
    if spread > 0.0 { (2.0 * pieces / spread).clamp(1.0, most) } else { most }
}

/// The interval of a mean in [-1, 1] with such a standard error, estimated with so many degrees of freedom: that of the share which it
/// is of the way from -1 to 1. The mean alone where the error is 0.
pub(super) fn difference_interval(point: f64, error: f64, degrees: f64, confidence: f64) -> Interval {
    let room = (1.0 - point * point).max(0.0);
    if error <= 0.0 || room <= 0.0 {
        return Interval { lo: point, hi: point };
    }
    let Interval { lo, hi } = share_interval(f64::midpoint(point, 1.0), room / (error * error), degrees, confidence);
    Interval { lo: 2.0 * lo - 1.0, hi: 2.0 * hi - 1.0 }
}

/// The interval of the mean of differences in [-1, 1] over clusters, of which kinds are given: the sum of differences, the rows, and how
/// many such clusters there are. Fewer than two say nothing.
///
/// Where all came out alike, it reaches to where the mean would be if as large a share of clusters as may still be unseen were all
/// gains, or all losses.
#[must_use]
pub fn mean_difference_interval(clusters: impl Iterator<Item = (f64, f64, u32)> + Clone, confidence: f64) -> Interval {
    let total = |part: &dyn Fn(f64, f64) -> f64| {
        clusters.clone().map(|(sum, rows, count)| part(sum, rows) * f64::from(count)).sum::<f64>()
    };
    let (pieces, rows) = (total(&|_, _| 1.0), total(&|_, rows| rows));
    if pieces < 2.0 || rows <= 0.0 {
        return Interval { lo: -1.0, hi: 1.0 };
    }
    let point = (total(&|sum, _| sum) / rows).clamp(-1.0, 1.0);
    let squares = total(&|sum, rows| square(sum - rows * point));
    let fourths = total(&|sum, rows| square(square(sum - rows * point)));
    let error = (pieces / (pieces - 1.0) * squares).sqrt() / rows;
    if error > f64::EPSILON {
        return difference_interval(point, error, degrees_of_spread(pieces, squares, fourths), confidence);
    }
    let unseen = wilson(0.0, pieces, confidence).hi;
    Interval { lo: point - unseen * (1.0 + point), hi: point + unseen * (1.0 - point) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::two_sided_t;

    #[test]
    fn even_pieces_are_worth_one_less_than_there_are() {
        // A share of one half is as even as can be; all or nothing tells nothing new.
        for n_eff in [20.0, 40.0, 400.0] {
            assert!((degrees_of_share(0.5, n_eff, 20.0) - 19.0).abs() < 1e-9, "{n_eff}");
        }
        for (point, n_eff, pieces) in [(0.9, 20.0, 20.0), (0.9, 10.0, 20.0), (0.0, 20.0, 20.0), (1.0, 20.0, 20.0)] {
            assert!((degrees_of_share(point, n_eff, pieces) - 19.0).abs() < 1e-9, "{point} {n_eff}");
        }
        assert!((degrees_of_share(0.9, 50.0, 1.0) - 1.0).abs() < 1e-12, "never less than one");
    }

    #[test]
    fn pieces_are_worth_less_the_nearer_to_an_end() {
        let at = |point: f64| degrees_of_share(point, 60.0, 20.0);
        let all = [0.5, 0.7, 0.8, 0.9, 0.95, 0.99].map(at);
        assert!(all.windows(2).all(|pair| pair[1] <= pair[0]), "{all:?}");
        assert!(all[3] < 16.0 && all[5] < 2.0, "{all:?}");
        for point in [0.6, 0.8, 0.97] {
            assert!((at(point) - at(1.0 - point)).abs() < 1e-9, "both ends alike");
        }
    }

    /// By hand for Beta(2, 1): mean 2/3, variance 1/18, skewness −2√2/5, excess kurtosis −3/5, and ρ = (1/18)/(2/9) = 1/4.
    #[test]
    fn the_moments_are_those_of_the_beta_distribution() {
        let point = 2.0 / 3.0;
        let with_point = (1.0 - 2.0 * point) * (1.0_f64 / 18.0).sqrt() / (2.0 / 9.0);
        let spread = -0.6 + 2.0 - 2.0 * (-2.0 * 2.0_f64.sqrt() / 5.0) * with_point + with_point * with_point;
        // Few enough to lie below the most there can be only if the spread is above 2, so the formula is asked by the other end.
        let found = degrees_of_share(point, 4.0 * 1_000.0, 1_000.0);
        assert!((found - (2.0 * 999.0 / spread).min(999.0)).abs() < 1e-6, "{found} {spread}");
        // Beta(9, 1): mean 0.9, ρ = 1/11; excess kurtosis 6(64·11 − 9·12)/(9·12·13), skewness −16√11/(12·3).
        let kurtosis = 6.0 * (64.0 * 11.0 - 9.0 * 12.0) / (9.0 * 12.0 * 13.0);
        let skewness = -16.0 * 11.0_f64.sqrt() / 36.0;
        let with_point = -0.8 * (1.0_f64 / 11.0 / 0.09).sqrt();
        let spread = kurtosis + 2.0 - 2.0 * skewness * with_point + with_point * with_point;
        let found = degrees_of_share(0.9, 11.0 * 30.0, 30.0);
        assert!(spread > 2.0 && (found - 58.0 / spread).abs() < 1e-9, "{found} {spread}");
    }

    #[test]
    fn fewer_rows_do_for_a_wider_quantile() {
        let n_eff = n_eff_at_normal_quantile(80.0, 4.0, 0.95);
        let (one, other) = (wilson_at(0.7 * n_eff, n_eff, two_sided_z(0.95)), share_interval(0.7, 80.0, 4.0, 0.95));
        assert!((one.lo - other.lo).abs() < 1e-12 && (one.hi - other.hi).abs() < 1e-12);
    }

    #[test]
    fn one_piece_that_holds_all_is_worth_little() {
        let sums = |values: &[f64]| {
            let mean = values.iter().sum::<f64>() / values.len() as f64;
            let away = values.iter().map(|value| value - mean);
            let squares: f64 = away.clone().map(|value| value * value).sum();
            (values.len() as f64, squares, away.map(|value| value * value * value * value).sum::<f64>())
        };
        let of = |values: &[f64]| {
            let (pieces, squares, fourths) = sums(values);
            degrees_of_spread(pieces, squares, fourths)
        };
        assert!((of(&[0.0; 8]) - 7.0).abs() < 1e-12 && (of(&[0.0, 1.0, 0.5]) - 2.0).abs() < 1e-12);
        assert!((of(&[-1.0, -0.5, 0.0, 0.0, 0.5, 1.0]) - 5.0).abs() < 1e-9, "flatter than normal");
        let mut one = [0.0; 20];
        one[3] = 1.0;
        // G₂ of one among twenty is 20.
        let expected = 40.0 / (23.0 - 17.0 / 19.0);
        assert!((of(&one) - expected).abs() < 1e-9, "{}", of(&one));
    }

    #[test]
    fn a_mean_difference_is_that_of_its_clusters() {
        let kinds = [(0.0, 2.0, 30), (0.5, 2.0, 4), (-1.0, 1.0, 1)];
        let (point, found) = (1.0 / 69.0, mean_difference_interval(kinds.into_iter(), 0.95));
        assert!(found.lo < point && point < found.hi && found.hi - found.lo < 0.3, "{found:?}");
        let each = kinds.into_iter().flat_map(|(sum, rows, count)| (0..count).map(move |_| (sum, rows, 1)));
        let alone = mean_difference_interval(each, 0.95);
        assert!((alone.lo - found.lo).abs() < 1e-12 && (alone.hi - found.hi).abs() < 1e-12, "{alone:?}");
        let nothing = Interval { lo: -1.0, hi: 1.0 };
        assert_eq!(mean_difference_interval([(0.5, 1.0, 1)].into_iter(), 0.95), nothing);
        assert_eq!(mean_difference_interval(std::iter::empty(), 0.95), nothing);
    }

    #[test]
    fn differences_that_are_alike_may_still_be_others() {
        let unseen = wilson(0.0, 50.0, 0.95).hi;
        let found = mean_difference_interval([(0.0, 1.0, 50)].into_iter(), 0.95);
        assert!((found.hi - unseen).abs() < 1e-12 && (found.lo + unseen).abs() < 1e-12, "{found:?}");
        let found = mean_difference_interval([(1.0, 1.0, 50)].into_iter(), 0.95);
        assert!((found.hi - 1.0).abs() < 1e-12 && (found.lo - (1.0 - 2.0 * unseen)).abs() < 1e-12, "{found:?}");
    }

    #[test]
    fn a_difference_is_a_share_of_the_way() {
        let Interval { lo, hi } = difference_interval(0.0, 0.01, 400.0, 0.95);
        let half = two_sided_t(0.95, 400) * 0.01;
        assert!((hi - half).abs() < 1e-4 && (lo + half).abs() < 1e-4, "{lo} {hi}");
        let Interval { lo, hi } = difference_interval(0.98, 0.1, 5.0, 0.95);
        assert!(hi <= 1.0 && lo < 0.8, "never beyond what can be: {lo} {hi}");
        assert_eq!(difference_interval(0.1, 0.0, 5.0, 0.95), Interval { lo: 0.1, hi: 0.1 });
        assert_eq!(difference_interval(-1.0, 0.0, 5.0, 0.95), Interval { lo: -1.0, hi: -1.0 });
    }
}
