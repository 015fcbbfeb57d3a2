//! How the levels of a scale fell. In whole numbers, so that the order of rows decides nothing.

use std::collections::BTreeMap;

use crate::data::Levels;

/// Levels are given to so many parts of one.
const PARTS: f64 = 1e4;

/// The levels of one criterion so far.
#[derive(Debug, Default)]
pub(super) struct LevelTally {
    counts: BTreeMap<u32, u64>,
    /// Their sum, in parts.
    sum: u64,
}

impl LevelTally {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "levels have one digit and no sign")]
    pub(super) fn add(&mut self, level: f64) {
        *self.counts.entry(level.round() as u32).or_insert(0) += 1;
        self.sum += (level * PARTS).round() as u64;
    }

    /// None where no level was given.
    #[expect(clippy::cast_precision_loss, reason = "sums of a million levels are exact")]
    pub(super) fn finish(self) -> Option<Levels> {
        let given: u64 = self.counts.values().sum();
        let mean = (self.sum as f64 / given as f64).round() / PARTS;
        (given > 0).then_some(Levels { mean, counts: self.counts })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_have_a_mean_and_counts() {
        let mut tally = LevelTally::default();
        assert!(LevelTally::default().finish().is_none());
        [4.0, 5.0, 3.3333, 4.5].into_iter().for_each(|level| tally.add(level));
        let counts = BTreeMap::from([(3, 1), (4, 1), (5, 2)]);
        assert_eq!(tally.finish(), Some(Levels { mean: 4.2083, counts }));
    }
}
