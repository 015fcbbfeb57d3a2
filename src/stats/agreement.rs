//! Agreement between a judge and people, or among several of either, beyond what chance would give.
//!
//! Owns the coefficients of tables ([`kappa`], [`gwet_ac1`]) and of many raters ([`krippendorff_nominal`], [`fleiss_kappa`]). Show κ
//! and AC1 together: where nearly everything passes, κ collapses though the judge is fine. In a table the rows are the truth
//! and the columns the judge.

use std::collections::BTreeMap;

use super::interval::{Interval, wilson};
use super::scores::square;

/// How much two neighbouring classes agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weights {
    /// Not at all: any difference counts in full.
    Nominal,
    /// `1 − |i−j| / (c−1)`.
    Linear,
    /// `1 − ((i−j) / (c−1))²`.
    Quadratic,
}

impl Weights {
    fn of(self, i: usize, j: usize, classes: usize) -> f64 {
        let distance = i.abs_diff(j) as f64 / (classes.max(2) - 1) as f64;
        match self {
            Self::Nominal => f64::from(u8::from(i == j)),
            Self::Linear => 1.0 - distance,
            Self::Quadratic => 1.0 - distance * distance,
        }
    }
}

/// A coefficient of agreement, and what it is made of.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Agreement {
    /// The share on which both agree.
    pub observed: f64,
    /// The share on which chance alone would.
    pub expected: f64,
    /// `(observed − expected) / (1 − expected)`; none where chance alone gives all, as with one class only.
    pub coefficient: Option<f64>,
    /// Its standard error, where there is a formula.
    pub standard_error: Option<f64>,
}

impl Agreement {
    /// The interval of the coefficient over so many units: Wilson's about the observed agreement, with as many independent units as
    /// give the coefficient its standard error, and chance taken off both ends. None without a coefficient or its error.
    ///
    /// Never with more units than there are: where one of both finds nearly all of one class, the formula's error of κ is next to nothing
    /// by chance. Point ± error holds less than it says throughout: where nearly all agree, it leaves no room below.
    #[must_use]
    pub fn interval(&self, units: u64, confidence: f64) -> Option<Interval> {
        let (n, by_chance) = (units as f64, 1.0 - self.expected);
        self.coefficient?;
        let error = self.standard_error? * by_chance * (n / (n - 1.0).max(1.0)).sqrt();
        let room = self.observed * (1.0 - self.observed);
        // Where all agree, or none, the units are as many as they are.
        let n_eff = if error > 0.0 && room > 0.0 { (room / (error * error)).min(n) } else { n };
        let Interval { lo, hi } = wilson(self.observed * n_eff, n_eff, confidence);
        let beyond_chance = |agreement: f64| ((agreement - self.expected) / by_chance).clamp(-1.0, 1.0);
        Some(Interval { lo: beyond_chance(lo), hi: beyond_chance(hi) })
    }
}

/// A square table as shares, with its sums over rows and over columns.
struct Shares {
    cells: Vec<Vec<f64>>,
    rows: Vec<f64>,
    columns: Vec<f64>,
    n: f64,
}

impl Shares {
    /// None for a table that is empty or not square.
    fn new<R: AsRef<[u64]>>(table: &[R]) -> Option<Self> {
        let classes = table.len();
        if table.iter().any(|row| row.as_ref().len() != classes) {
            return None;
        }
        let n = table.iter().flat_map(AsRef::as_ref).sum::<u64>();
        if n == 0 {
            return None;
        }
        let n = n as f64;
        let cells: Vec<Vec<f64>> =
            table.iter().map(|row| row.as_ref().iter().map(|count| *count as f64 / n).collect()).collect();
        let rows = cells.iter().map(|row| row.iter().sum()).collect();
        let columns = (0..classes).map(|column| cells.iter().map(|row| row[column]).sum()).collect();
        Some(Self { cells, rows, columns, n })
    }

    /// The sum over all cells of what `term` makes of row and column.
    fn sum(&self, term: impl Fn(usize, usize) -> f64) -> f64 {
        let classes = 0..self.rows.len();
        classes.clone().map(|i| classes.clone().map(|j| term(i, j)).sum::<f64>()).sum()
    }
}

/// Cohen's κ (1960, weighted 1968) with the standard error of Fleiss, Cohen and Everitt (1969). None for a table that is empty
/// or not square.
#[must_use]
pub fn kappa<R: AsRef<[u64]>>(table: &[R], weights: Weights) -> Option<Agreement> {
    let shares = Shares::new(table)?;
    let Shares { cells, rows, columns, n } = &shares;
    let weight = |i: usize, j: usize| weights.of(i, j, rows.len());
    let observed = shares.sum(|i, j| weight(i, j) * cells[i][j]);
    let expected = shares.sum(|i, j| weight(i, j) * rows[i] * columns[j]);
    // Exactly 0 where all are of one class; 1 less the above need not be.
    let by_chance_apart = shares.sum(|i, j| (1.0 - weight(i, j)) * rows[i] * columns[j]);
    if by_chance_apart <= 0.0 {
        return Some(Agreement { observed, expected, coefficient: None, standard_error: None });
    }
    let kappa = 1.0 - shares.sum(|i, j| (1.0 - weight(i, j)) * cells[i][j]) / by_chance_apart;
    let classes = 0..rows.len();
    let row_means: Vec<f64> =
        classes.clone().map(|i| classes.clone().map(|j| weight(i, j) * columns[j]).sum()).collect();
    let column_means: Vec<f64> =
        classes.clone().map(|j| classes.clone().map(|i| weight(i, j) * rows[i]).sum()).collect();
    let spread =
        shares.sum(|i, j| cells[i][j] * square(weight(i, j) - (row_means[i] + column_means[j]) * (1.0 - kappa)));
    let variance = (spread - square(kappa - expected * (1.0 - kappa))) / (n * square(by_chance_apart));
    Some(Agreement { observed, expected, coefficient: Some(kappa), standard_error: Some(variance.max(0.0).sqrt()) })
}

/// Gwet's AC1 (2008), whose chance agreement is `Σπ(1−π) / (c−1)` with π the mean of both marginals: it stays high where one class
/// is rare; with the standard error of Gwet (2008) for a large population, in which the subjects' spread counts and that of raters
/// does not. None for a table that is empty, not square, or of one class.
#[must_use]
pub fn gwet_ac1<R: AsRef<[u64]>>(table: &[R]) -> Option<Agreement> {
    let shares = Shares::new(table).filter(|shares| shares.rows.len() > 1)?;
    let observed: f64 = (0..shares.rows.len()).map(|i| shares.cells[i][i]).sum();
    let means = shares.rows.iter().zip(&shares.columns).map(|(row, column)| f64::midpoint(*row, *column));
    let expected = means.map(|mean| mean * (1.0 - mean)).sum::<f64>() / (shares.rows.len() - 1) as f64;
    let coefficient = (observed - expected) / (1.0 - expected);
    let Shares { cells, rows, columns, n } = &shares;
    // What one subject in a cell moves the coefficient by, times 1 − expected.
    let classes = rows.len() as f64;
    let moves = |i: usize, j: usize| {
        let mean = |class: usize| f64::midpoint(rows[class], columns[class]);
        let by_chance = (2.0 - mean(i) - mean(j)) / (classes - 1.0);
        f64::from(u8::from(i == j)) - (1.0 - coefficient) * by_chance
    };
    let mean = shares.sum(|i, j| cells[i][j] * moves(i, j));
    let variance = shares.sum(|i, j| cells[i][j] * square(moves(i, j) - mean)) / (n * square(1.0 - expected));
    Some(Agreement { observed, expected, coefficient: Some(coefficient), standard_error: Some(variance.sqrt()) })
}

/// Krippendorff's α for classes without order, any number of raters and missing ratings: one row a rater, one column a unit.
///
/// Units with fewer than two ratings are dropped. None where no unit is left, or all ratings are of one class. Rows may be of
/// different lengths: what is not there is missing.
#[must_use]
pub fn krippendorff_nominal<R: AsRef<[Option<u32>]>>(raters: &[R]) -> Option<f64> {
    let units = raters.iter().map(|rater| rater.as_ref().len()).max().unwrap_or(0);
    let mut totals: BTreeMap<u32, f64> = BTreeMap::new();
    let (mut apart, mut n) = (0.0, 0.0);
    for unit in 0..units {
        let mut counts: BTreeMap<u32, f64> = BTreeMap::new();
        for class in raters.iter().filter_map(|rater| rater.as_ref().get(unit).copied().flatten()) {
            *counts.entry(class).or_default() += 1.0;
        }
        let ratings: f64 = counts.values().sum();
        if ratings >= 2.0 {
            apart += (ratings * ratings - counts.values().map(|count| count * count).sum::<f64>()) / (ratings - 1.0);
            n += ratings;
            counts.into_iter().for_each(|(class, count)| *totals.entry(class).or_default() += count);
        }
    }
    let by_chance = n * n - totals.values().map(|count| count * count).sum::<f64>();
    (by_chance > 0.0).then(|| 1.0 - (n - 1.0) * apart / by_chance)
}

/// Fleiss' κ (1971) for a panel that rates each unit equally often: one row a unit, one column a class, in it how many chose it.
/// None without units, for rows of different sums or lengths, for fewer than two raters, or where all ratings are of one class.
#[must_use]
pub fn fleiss_kappa<R: AsRef<[u64]>>(counts: &[R]) -> Option<f64> {
    let first = counts.first()?.as_ref();
    let (classes, raters) = (first.len(), first.iter().sum::<u64>());
    let is_alike = |row: &R| row.as_ref().len() == classes && row.as_ref().iter().sum::<u64>() == raters;
    if raters < 2 || !counts.iter().all(is_alike) {
        return None;
    }
    let (units, raters) = (counts.len() as f64, raters as f64);
    let pairs = |row: &R| row.as_ref().iter().map(|count| *count as f64 * (*count as f64 - 1.0)).sum::<f64>();
    let observed = counts.iter().map(pairs).sum::<f64>() / (units * raters * (raters - 1.0));
    let total = |class: usize| counts.iter().map(|row| row.as_ref()[class]).sum::<u64>() as f64 / (units * raters);
    let apart: f64 = (0..classes).map(|class| total(class) * (1.0 - total(class))).sum();
    (apart > 0.0).then(|| 1.0 - (1.0 - observed) / apart)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The standard error by leaving out one subject at a time.
    fn left_out_one_by_one(table: [[u64; 2]; 2]) -> f64 {
        let n = table.iter().flatten().sum::<u64>() as f64;
        let mut found = Vec::new();
        for (i, row) in table.iter().enumerate() {
            for (j, count) in row.iter().enumerate().filter(|(_, count)| **count > 0) {
                let mut rest = table;
                rest[i][j] -= 1;
                found.push((*count as f64, gwet_ac1(&rest).unwrap().coefficient.unwrap()));
            }
        }
        let mean = found.iter().map(|(count, value)| count * value).sum::<f64>() / n;
        ((n - 1.0) / n * found.iter().map(|(count, value)| count * square(value - mean)).sum::<f64>()).sqrt()
    }

    #[test]
    fn the_error_of_ac1_is_that_of_leaving_out_one_by_one() {
        for table in [[[40, 5], [3, 2]], [[90, 10], [20, 80]], [[190, 4], [5, 1]], [[30, 30], [30, 30]]] {
            let found = gwet_ac1(&table).unwrap().standard_error.unwrap();
            let expected = left_out_one_by_one(table);
            assert!((found / expected - 1.0).abs() < 0.04, "{table:?}: {found} {expected}");
        }
        assert!(gwet_ac1(&[[5, 0], [0, 5]]).unwrap().standard_error.unwrap() <= 0.0);
    }

    #[test]
    fn tables_that_say_nothing() {
        let none: &[&[u64]] = &[];
        for table in [none, &[&[0, 0], &[0, 0]], &[&[1, 2], &[3]]] {
            assert!(kappa(table, Weights::Nominal).is_none() && gwet_ac1(table).is_none(), "{table:?}");
        }
        let one_class = kappa(&[[9, 0], [0, 0]], Weights::Quadratic).unwrap();
        assert_eq!((one_class.coefficient, one_class.standard_error), (None, None));
        assert!(gwet_ac1(&[[5]]).is_none() && kappa(&[[5]], Weights::Linear).unwrap().coefficient.is_none());
        assert!(fleiss_kappa(none).is_none() && fleiss_kappa(&[[1, 0], [0, 1]]).is_none());
        assert!(fleiss_kappa(&[[2, 1], [2, 0]]).is_none() && fleiss_kappa(&[[3, 0], [3, 0]]).is_none());
        let nobody: &[&[Option<u32>]] = &[];
        assert!(krippendorff_nominal(nobody).is_none());
        assert!(krippendorff_nominal(&[[Some(1), None], [None, Some(1)]]).is_none(), "no unit has two ratings");
        assert!(krippendorff_nominal(&[[Some(1); 3], [Some(1); 3]]).is_none(), "one class");
    }

    #[test]
    fn full_agreement_is_one_and_the_opposite_is_minus_one() {
        let close = |found: Option<f64>, expected: f64| assert!((found.unwrap() - expected).abs() < 1e-12, "{found:?}");
        close(kappa(&[[5, 0], [0, 5]], Weights::Nominal).unwrap().coefficient, 1.0);
        close(kappa(&[[0, 5], [5, 0]], Weights::Nominal).unwrap().coefficient, -1.0);
        close(gwet_ac1(&[[5, 0], [0, 5]]).unwrap().coefficient, 1.0);
        close(krippendorff_nominal(&[[Some(1), Some(2)], [Some(1), Some(2)]]), 1.0);
        close(fleiss_kappa(&[[4, 0], [0, 4]]), 1.0);
    }

    fn table() -> impl Strategy<Value = Vec<Vec<u64>>> {
        prop::collection::vec(prop::collection::vec(0_u64..15, 3), 3)
    }

    proptest! {
        /// Item by item: agreement of the pairs that there are, and of all pairs of a truth and a verdict that there could be.
        #[test]
        fn kappa_by_pairs(table in table()) {
            let items: Vec<(usize, usize)> = (0..9)
                .flat_map(|cell| std::iter::repeat_n((cell / 3, cell % 3), usize::try_from(table[cell / 3][cell % 3]).unwrap()))
                .collect();
            prop_assume!(!items.is_empty());
            for weights in [Weights::Nominal, Weights::Linear, Weights::Quadratic] {
                let n = items.len() as f64;
                let observed = items.iter().map(|&(i, j)| weights.of(i, j, 3)).sum::<f64>() / n;
                let all = items.iter().flat_map(|&(i, _)| items.iter().map(move |&(_, j)| (i, j)));
                let expected = all.map(|(i, j)| weights.of(i, j, 3)).sum::<f64>() / (n * n);
                let found = kappa(&table, weights).unwrap();
                prop_assert!((found.observed - observed).abs() < 1e-9 && (found.expected - expected).abs() < 1e-9);
                if let Some(kappa) = found.coefficient {
                    prop_assert!((kappa - (observed - expected) / (1.0 - expected)).abs() < 1e-9);
                    prop_assert!(found.standard_error.unwrap().is_finite());
                } else {
                    prop_assert!(expected > 1.0 - 1e-9);
                }
            }
        }

        #[test]
        fn names_of_classes_and_raters_are_nothing(table in table(), turn in 0_usize..3) {
            let turned: Vec<Vec<u64>> =
                (0..3).map(|i| (0..3).map(|j| table[(j + turn) % 3][(i + turn) % 3]).collect()).collect();
            let of = |table: &[Vec<u64>]| (kappa(table, Weights::Nominal), gwet_ac1(table));
            for (one, other) in [(of(&table).0, of(&turned).0), (of(&table).1, of(&turned).1)] {
                match (one.and_then(|a| a.coefficient), other.and_then(|a| a.coefficient)) {
                    (Some(one), Some(other)) => prop_assert!((one - other).abs() < 1e-9),
                    (one, other) => prop_assert!(one.is_none() && other.is_none()),
                }
            }
        }

        /// Two raters without gaps: α is κ's cousin, with chance from the pooled ratings without replacement.
        #[test]
        fn krippendorff_by_pairs(ratings in prop::collection::vec((0_u32..3, 0_u32..3), 2..30)) {
            let one: Vec<Option<u32>> = ratings.iter().map(|(rating, _)| Some(*rating)).collect();
            let other: Vec<Option<u32>> = ratings.iter().map(|(_, rating)| Some(*rating)).collect();
            let pooled: Vec<u32> = ratings.iter().flat_map(|(one, other)| [*one, *other]).collect();
            let apart = ratings.iter().filter(|(one, other)| one != other).count() as f64 / ratings.len() as f64;
            let (mut pairs, mut differing) = (0.0, 0.0);
            for (i, a) in pooled.iter().enumerate() {
                for b in &pooled[i + 1..] {
                    pairs += 1.0;
                    differing += f64::from(u8::from(a != b));
                }
            }
            match krippendorff_nominal(&[&one, &other]) {
                Some(alpha) => prop_assert!((alpha - (1.0 - apart / (differing / pairs))).abs() < 1e-9),
                None => prop_assert!(differing <= 0.0),
            }
            let (back, forth) = (krippendorff_nominal(&[&other, &one]), krippendorff_nominal(&[&one, &other]));
            prop_assert_eq!(back, forth);
        }
    }
}
