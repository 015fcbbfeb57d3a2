//! Whose word counts where people differ, and how far they agree with each other.

use std::collections::BTreeMap;

use crate::data::{BetweenLabellers, LabellerPair};
use crate::spec::LabelVerdict;
use crate::stats::{self, Weights};

/// What more than half of the people say; none where no verdict has that many, or nobody says anything.
pub(super) fn consensus(verdicts: &[LabelVerdict]) -> Option<LabelVerdict> {
    let has_majority =
        |kind: &LabelVerdict| 2 * verdicts.iter().filter(|verdict| *verdict == kind).count() > verdicts.len();
    LabelVerdict::ALL.iter().map(|(_, kind)| *kind).find(has_majority)
}

/// Verdicts that several people gave.
#[derive(Debug, Default)]
pub(super) struct People {
    items: u64,
    /// Two labellers, in order of their names, and the table of what both said.
    pairs: BTreeMap<(String, String), [[u64; 3]; 3]>,
    /// How many said what of each verdict that two or more gave. A sum over them does not depend on their order.
    ratings: BTreeMap<[u32; 3], u64>,
}

impl People {
    /// Takes in what was said of one criterion of one reply.
    pub(super) fn add(&mut self, said: &[(&str, LabelVerdict)]) {
        if said.len() < 2 {
            return;
        }
        self.items += 1;
        let mut counts = [0; 3];
        for (_, verdict) in said {
            counts[place(*verdict)] += 1;
        }
        *self.ratings.entry(counts).or_default() += 1;
        let mut said = said.to_vec();
        said.sort_unstable();
        for (at, (one, first)) in said.iter().enumerate() {
            for (other, second) in &said[at + 1..] {
                let table = self.pairs.entry(((*one).to_owned(), (*other).to_owned())).or_default();
                table[place(*first)][place(*second)] += 1;
            }
        }
    }

    pub(super) fn agreement(self) -> Option<BetweenLabellers> {
        let Self { items, pairs, ratings } = self;
        if items == 0 {
            return None;
        }
        let pair = |((one, other), table): ((String, String), [[u64; 3]; 3])| LabellerPair {
            one,
            other,
            items: table.iter().flatten().sum(),
            agreed: (0..table.len()).map(|at| table[at][at]).sum(),
            kappa: stats::kappa(&table, Weights::Nominal).and_then(|found| found.coefficient),
            ac1: stats::gwet_ac1(&table).and_then(|found| found.coefficient),
        };
        Some(BetweenLabellers {
            items,
            alpha: stats::krippendorff_nominal(&columns(&ratings)),
            pairs: pairs.into_iter().map(pair).collect(),
        })
    }
}

fn place(verdict: LabelVerdict) -> usize {
    match verdict {
        LabelVerdict::Pass => 0,
        LabelVerdict::Fail => 1,
        LabelVerdict::NotApplicable => 2,
    }
}

/// One row a place among the raters of a verdict, whoever they are: the coefficient does not ask who said what.
fn columns(ratings: &BTreeMap<[u32; 3], u64>) -> Vec<Vec<Option<u32>>> {
    let most = ratings.keys().map(|counts| counts.iter().sum::<u32>()).max().unwrap_or(0);
    let mut rows: Vec<Vec<Option<u32>>> = (0..most).map(|_| Vec::new()).collect();
    for (counts, times) in ratings {
        let classes: Vec<u32> = (0..).zip(counts).flat_map(|(class, count)| (0..*count).map(move |_| class)).collect();
        for _ in 0..*times {
            for (at, row) in rows.iter_mut().enumerate() {
                row.push(classes.get(at).copied());
            }
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use LabelVerdict::{Fail, NotApplicable, Pass};

    use super::*;

    #[test]
    fn more_than_half_of_the_people_are_right() {
        for (verdicts, expected) in [
            (&[][..], None),
            (&[Fail], Some(Fail)),
            (&[Pass, Fail], None),
            (&[Pass, Fail, Pass], Some(Pass)),
            (&[Pass, Fail, NotApplicable], None),
            (&[Pass, Pass, Fail, NotApplicable], None),
            (&[NotApplicable, NotApplicable], Some(NotApplicable)),
        ] {
            assert_eq!(consensus(verdicts), expected, "{verdicts:?}");
        }
    }

    #[test]
    fn people_are_compared_two_by_two() {
        let mut people = People::default();
        for said in [
            &[("bo", Pass), ("al", Pass)][..],
            &[("al", Fail), ("bo", Pass)],
            &[("al", Fail), ("bo", Fail), ("cy", Fail)],
            &[("al", Pass), ("bo", Pass)],
            &[("cy", Pass)],
        ] {
            people.add(said);
        }
        let BetweenLabellers { items, alpha, pairs } = people.agreement().unwrap();
        assert_eq!(items, 4);
        let two = |pair: &LabellerPair| (pair.one.clone() + &pair.other, pair.items, pair.agreed);
        assert_eq!(
            pairs.iter().map(two).collect::<Vec<_>>(),
            [("albo".to_owned(), 4, 3), ("alcy".to_owned(), 1, 1), ("bocy".to_owned(), 1, 1)]
        );
        assert!((pairs[0].kappa.unwrap() - 0.5).abs() < 1e-12);
        assert_eq!(pairs[1].kappa, None, "one class only");
        // By hand: 9 ratings, 5 passes and 4 failures; one pair apart, counted both ways.
        assert!((alpha.unwrap() - (1.0 - 8.0 * 2.0 / 40.0)).abs() < 1e-12, "{alpha:?}");
        assert!(People::default().agreement().is_none());
    }
}
