//! The mean of scores, whatever their order.

/// A running mean of numbers in [0, 1] that does not depend, in any bit, on the order in which they come.
///
/// Floating-point sums do. This one adds in units of 2⁻⁶⁰: every score of 1/128 or more goes in exactly, smaller ones are
/// rounded by at most 2⁻⁶¹, and the sum of integers is exact for more scores than there can be.
#[derive(Debug, Clone, Default)]
pub struct UnitMean {
    units: u128,
    count: u64,
}

const UNITS_PER_ONE: f64 = (1_u64 << 60) as f64;

impl UnitMean {
    /// Takes the next number; one outside of [0, 1] counts as the nearer end, NaN as 0.
    pub fn add(&mut self, value: f64) {
        #[expect(clippy::cast_possible_truncation, reason = "at most 2⁶⁰ after the clamp")]
        let units = (value.clamp(0.0, 1.0) * UNITS_PER_ONE).round() as u128;
        self.units += units;
        self.count += 1;
    }

    /// The mean of all numbers so far; none without any.
    #[must_use]
    pub fn mean(&self) -> Option<f64> {
        (self.count > 0).then(|| self.units as f64 / UNITS_PER_ONE / self.count as f64)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn mean(values: &[f64]) -> Option<f64> {
        let mut mean = UnitMean::default();
        values.iter().for_each(|value| mean.add(*value));
        mean.mean()
    }

    #[test]
    fn edges() {
        for (values, expected) in [
            (&[][..], None),
            (&[0.0][..], Some(0.0)),
            (&[1.0; 3][..], Some(1.0)),
            (&[1.0, 0.5, 0.0][..], Some(0.5)),
            (&[0.1][..], Some(0.1)),
            (&[-1.0, 2.0, f64::NAN][..], Some(1.0 / 3.0)),
        ] {
            assert_eq!(mean(values), expected, "{values:?}");
        }
    }

    proptest! {
        #[test]
        fn order_is_nothing(mut values in prop::collection::vec(0.0..=1.0_f64, 1..200)) {
            let forward = mean(&values);
            let plain = values.iter().sum::<f64>() / values.len() as f64;
            prop_assert!((forward.unwrap() - plain).abs() < 1e-13);
            values.sort_by(f64::total_cmp);
            prop_assert_eq!(forward.map(f64::to_bits), mean(&values).map(f64::to_bits));
        }
    }
}
