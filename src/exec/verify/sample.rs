//! Which rows are executed again.

use std::collections::{BTreeSet, BinaryHeap};
use std::sync::Arc;

/// Some rows of a table, or all of them.
#[derive(Debug, Clone)]
pub(super) struct Picked {
    /// Rows of the table in which the sample was drawn; all if absent.
    drawn: Option<Arc<BTreeSet<u64>>>,
    /// How many rows of this table each of those became.
    each: u64,
}

impl Picked {
    pub(super) fn all() -> Self {
        Self { drawn: None, each: 1 }
    }

    /// Draws `sample` of `total` rows: those whose digests, with the seed, are the least. The same on every machine, and
    /// a larger sample holds every smaller one. Holds no more than the sample in memory.
    pub(super) fn draw(sample: u64, total: u64, seed: u64) -> Self {
        if sample >= total {
            return Self::all();
        }
        let mut least = BinaryHeap::new();
        for row in 0..total {
            least.push((rank(row, seed), row));
            if least.len() as u64 > sample {
                least.pop();
            }
        }
        Self { drawn: Some(Arc::new(least.into_iter().map(|(_, row)| row).collect())), each: 1 }
    }

    pub(super) fn is_sample(&self) -> bool {
        self.drawn.is_some()
    }

    pub(super) fn contains(&self, row: u64) -> bool {
        self.drawn.as_ref().is_none_or(|drawn| drawn.contains(&(row / self.each)))
    }

    /// The rows of a table that has `lines` rows for each row of this one.
    pub(super) fn each_gives(self, lines: u64) -> Self {
        Self { each: self.each * lines, ..self }
    }
}

fn rank(row: u64, seed: u64) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_derive_key("evalflow verify sample v1");
    hasher.update(&seed.to_le_bytes()).update(&row.to_le_bytes());
    *hasher.finalize().as_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(picked: &Picked, total: u64) -> Vec<u64> {
        (0..total).filter(|row| picked.contains(*row)).collect()
    }

    #[test]
    fn a_sample_is_the_same_each_time_and_grows() {
        let small = rows(&Picked::draw(5, 100, 7), 100);
        let large = rows(&Picked::draw(20, 100, 7), 100);
        assert_eq!((small.len(), large.len()), (5, 20));
        assert_eq!(small, rows(&Picked::draw(5, 100, 7), 100));
        assert!(small.iter().all(|row| large.contains(row)));
        assert_ne!(small, rows(&Picked::draw(5, 100, 8), 100));
        // Against a slow definition.
        let mut all: Vec<u64> = (0..100).collect();
        all.sort_by_key(|row| rank(*row, 7));
        let mut expected = all[..5].to_vec();
        expected.sort_unstable();
        assert_eq!(small, expected);
    }

    #[test]
    fn all_of_a_small_table_are_picked() {
        for picked in [Picked::draw(5, 5, 1), Picked::draw(9, 5, 1), Picked::all()] {
            assert!(!picked.is_sample());
            assert_eq!(rows(&picked, 5).len(), 5);
        }
        assert_eq!(rows(&Picked::draw(0, 5, 1), 5), [0; 0]);
    }

    #[test]
    fn rows_of_the_next_table_belong_to_rows_of_the_first() {
        let first = Picked::draw(2, 10, 1);
        let expected: Vec<u64> = rows(&first, 10).iter().flat_map(|row| [row * 3, row * 3 + 1, row * 3 + 2]).collect();
        assert_eq!(rows(&first.each_gives(3), 30), expected);
    }
}
