//! Which bytes of a file are here: a set of numbers, kept as ranges.

use serde::{Deserialize, Serialize};

/// Ranges `[start, end)` that do not touch, in their order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Ranges(Vec<(u64, u64)>);

impl Ranges {
    /// All bytes before `end`.
    pub(super) fn up_to(end: u64) -> Self {
        let mut ranges = Self::default();
        ranges.insert(0, end);
        ranges
    }

    /// Takes in the bytes from `start` up to, and without, `end`.
    pub(super) fn insert(&mut self, start: u64, end: u64) {
        if start >= end {
            return;
        }
        let first = self.0.partition_point(|range| range.1 < start);
        let last = self.0.partition_point(|range| range.0 <= end);
        let touched = &self.0[first..last];
        let start = touched.first().map_or(start, |range| range.0.min(start));
        let end = touched.last().map_or(end, |range| range.1.max(end));
        self.0.splice(first..last, [(start, end)]);
    }

    /// How many bytes from the file's beginning on are all here.
    pub(super) fn prefix(&self) -> u64 {
        self.0.first().filter(|range| range.0 == 0).map_or(0, |range| range.1)
    }

    /// How many bytes are here.
    pub(super) fn bytes(&self) -> u64 {
        self.0.iter().map(|range| range.1 - range.0).sum()
    }

    /// The end of the last one.
    pub(super) fn end(&self) -> u64 {
        self.0.last().map_or(0, |range| range.1)
    }

    /// What is missing of a file of `total` bytes, in pieces of `most` bytes at most.
    pub(super) fn missing(&self, total: u64, most: u64) -> Vec<(u64, u64)> {
        let starts = std::iter::once(0).chain(self.0.iter().map(|range| range.1));
        let ends = self.0.iter().map(|range| range.0).chain(std::iter::once(total));
        let mut missing = Vec::new();
        for (mut start, end) in starts.zip(ends) {
            while start < end {
                let next = end.min(start.saturating_add(most.max(1)));
                missing.push((start, next));
                start = next;
            }
        }
        missing
    }

    /// Whether it is what this program writes: others may have edited the note that it was read from.
    pub(super) fn is_sound(&self) -> bool {
        self.0.iter().all(|range| range.0 < range.1) && self.0.windows(2).all(|pair| pair[0].1 < pair[1].0)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn gaps_are_cut_into_pieces() {
        let mut ranges = Ranges::up_to(3);
        ranges.insert(5, 6);
        assert_eq!(ranges.missing(10, 2), [(3, 5), (6, 8), (8, 10)]);
        assert_eq!(ranges.missing(10, 100), [(3, 5), (6, 10)]);
        assert_eq!(Ranges::default().missing(0, 1), []);
        assert_eq!((ranges.prefix(), ranges.bytes(), ranges.end()), (3, 4, 6));
        assert_eq!(serde_json::to_string(&ranges).unwrap(), "[[0,3],[5,6]]");
    }

    #[test]
    fn edited_ranges_are_told() {
        let sound = |json: &str| serde_json::from_str::<Ranges>(json).unwrap().is_sound();
        assert!(sound("[]") && sound("[[0,1],[2,3]]"));
        for bad in ["[[1,1]]", "[[2,1]]", "[[0,2],[1,3]]", "[[0,1],[1,2]]", "[[5,6],[0,1]]"] {
            assert!(!sound(bad), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn ranges_are_the_set_of_their_numbers(
            pairs in proptest::collection::vec((0_u64..40, 0_u64..40), 0..12), most in 1_u64..9,
        ) {
            let mut ranges = Ranges::default();
            let mut set = BTreeSet::new();
            for (start, end) in pairs {
                ranges.insert(start, end);
                set.extend(start..end);
            }
            prop_assert!(ranges.is_sound());
            prop_assert_eq!(ranges.bytes(), set.len() as u64);
            prop_assert_eq!(ranges.prefix(), (0..).take_while(|at| set.contains(at)).count() as u64);
            let missing = ranges.missing(40, most);
            prop_assert!(missing.iter().all(|(start, end)| start < end && end - start <= most));
            let expected: Vec<u64> = (0..40).filter(|at| !set.contains(at)).collect();
            prop_assert_eq!(missing.into_iter().flat_map(|(start, end)| start..end).collect::<Vec<_>>(), expected);
        }
    }
}
