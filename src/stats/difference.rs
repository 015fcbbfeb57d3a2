//! The difference of two independent estimates.

use super::interval::{Interval, wilson};
use super::paired::Difference;

/// An estimate with its interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// The estimate.
    pub point: f64,
    /// Its interval, which need not be symmetric.
    pub interval: Interval,
}

/// `new − base` with an interval recovered from both (MOVER; Zou and Donner 2008): `lo = d − √((e₂−l₂)² + (u₁−e₁)²)`, `hi` likewise.
///
/// For estimates that are independent, such as pass rates corrected with labels of their own.
#[must_use]
pub fn mover_difference(base: &Estimate, new: &Estimate) -> Difference {
    let point = new.point - base.point;
    let joined = |one: f64, other: f64| (one * one + other * other).sqrt();
    let lo = point - joined(new.point - new.interval.lo, base.interval.hi - base.point);
    let hi = point + joined(new.interval.hi - new.point, base.point - base.interval.lo);
    Difference { point, interval: Interval { lo, hi } }
}

/// The difference of the pass rates of two runs on different scenarios, `k` of `n` each: Newcombe's interval (1998, method 10 for
/// independent rates) from Wilson's. Within [-1, 1], which it is where a run has no scenario.
#[must_use]
pub fn unpaired_difference(base: (u64, u64), new: (u64, u64), confidence: f64) -> Difference {
    if base.1 == 0 || new.1 == 0 {
        return Difference { point: 0.0, interval: Interval { lo: -1.0, hi: 1.0 } };
    }
    let estimate = |(passed, scenarios): (u64, u64)| {
        let (k, n) = (passed.min(scenarios) as f64, scenarios as f64);
        Estimate { point: k / n, interval: wilson(k, n, confidence) }
    };
    mover_difference(&estimate(base), &estimate(new))
}

impl Difference {
    /// Whether the difference may be none at all: 0 is within the interval.
    #[must_use]
    pub fn is_noise(&self) -> bool {
        self.interval.lo <= 0.0 && 0.0 <= self.interval.hi
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn nothing_says_nothing() {
        for (base, new) in [((0, 0), (1, 2)), ((1, 2), (0, 0))] {
            let found = unpaired_difference(base, new, 0.95);
            assert!(found.is_noise() && found.interval == Interval { lo: -1.0, hi: 1.0 });
        }
        assert!(!unpaired_difference((10, 100), (90, 100), 0.95).is_noise());
    }

    proptest! {
        #[test]
        fn exchanging_the_runs_mirrors_the_interval(k1 in 0_u64..90, n1 in 1_u64..90, k2 in 0_u64..90, n2 in 1_u64..90) {
            let (one, other) = (unpaired_difference((k1, n1), (k2, n2), 0.95), unpaired_difference((k2, n2), (k1, n1), 0.95));
            prop_assert!((one.point + other.point).abs() < 1e-12 && (one.interval.lo + other.interval.hi).abs() < 1e-12);
            prop_assert!(-1.0 <= one.interval.lo && one.interval.lo <= one.point && one.interval.hi <= 1.0);
        }
    }
}
