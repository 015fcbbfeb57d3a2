//! Several tests at once: p-values adjusted for how many there are.
//!
//! One family a table: the decisive one (critical criteria, benchmarks of a gate) with [`holm`], the exploratory one with
//! [`benjamini_hochberg`]. Values that are no numbers count as 1.

/// Adjusted by Holm's step-down method (1979): rejecting those below α keeps the chance of any false rejection below α. In the
/// order given.
#[must_use]
pub fn holm(p: &[f64]) -> Vec<f64> {
    let (values, order) = ascending(p);
    let mut adjusted = vec![1.0; p.len()];
    let mut largest = 0.0_f64;
    for (rank, place) in order.iter().enumerate() {
        largest = largest.max(values[*place] * (p.len() - rank) as f64).min(1.0);
        adjusted[*place] = largest;
    }
    adjusted
}

/// Adjusted by the step-up method of Benjamini and Hochberg (1995): of those below q, a share of at most q is false, for tests
/// that are independent or depend positively. In the order given.
#[must_use]
pub fn benjamini_hochberg(p: &[f64]) -> Vec<f64> {
    let (values, order) = ascending(p);
    let mut adjusted = vec![1.0; p.len()];
    let mut smallest = 1.0_f64;
    for (rank, place) in order.iter().enumerate().rev() {
        smallest = smallest.min(values[*place] * p.len() as f64 / (rank + 1) as f64);
        adjusted[*place] = smallest;
    }
    adjusted
}

/// The values within [0, 1], and their places from the smallest on.
fn ascending(p: &[f64]) -> (Vec<f64>, Vec<usize>) {
    let values: Vec<f64> = p.iter().map(|p| if p.is_nan() { 1.0 } else { p.clamp(0.0, 1.0) }).collect();
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|one, other| values[*one].total_cmp(&values[*other]));
    (values, order)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn edges() {
        for adjust in [holm, benjamini_hochberg] {
            assert!(adjust(&[]).is_empty());
            assert_eq!(adjust(&[0.05]), [0.05]);
            assert_eq!(adjust(&[f64::NAN, -1.0]), [1.0, 0.0]);
        }
    }

    proptest! {
        /// Against the procedures as they are told: which hypotheses are rejected at a level.
        #[test]
        fn rejections_by_the_procedures(p in prop::collection::vec(0.0..0.2_f64, 1..12), level in 0.01..0.2_f64) {
            let mut sorted = p.clone();
            sorted.sort_by(f64::total_cmp);
            let m = p.len();
            let down = (0..m).take_while(|i| sorted[*i] <= level / (m - i) as f64).count();
            let up = (0..m).rfind(|i| sorted[*i] <= level * (i + 1) as f64 / m as f64).map_or(0, |i| i + 1);
            prop_assert_eq!(holm(&p).iter().filter(|p| **p <= level).count(), down);
            prop_assert_eq!(benjamini_hochberg(&p).iter().filter(|p| **p <= level).count(), up);
        }

        #[test]
        fn never_smaller_and_in_the_same_order(p in prop::collection::vec(0.0..=1.0_f64, 0..20)) {
            for adjusted in [holm(&p), benjamini_hochberg(&p)] {
                for (i, j) in (0..p.len()).flat_map(|i| (0..p.len()).map(move |j| (i, j))) {
                    prop_assert!(p[i] <= adjusted[i] + 1e-15 && adjusted[i] <= 1.0);
                    prop_assert!(p[i] > p[j] || adjusted[i] <= adjusted[j]);
                }
            }
        }
    }
}
