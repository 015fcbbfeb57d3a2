//! Which models the scores cannot tell apart: those whose weighted scores differ by less than sampling noise share a rank.

use super::rank::{Preference, Ranked};

/// How far two models are apart in their weighted scores, in points.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Apart {
    /// The difference of the weighted means.
    pub(super) points: f64,
    /// What a difference must exceed to be more than noise, with 95 %.
    pub(super) noise: f64,
}

/// The difference of two models, if noise may explain it; none if they can be told apart.
///
/// They can where the profile avoids one of them only, where they do not have scores in the same columns, and where a
/// column of unknown noise differs.
pub(super) fn tie(preferences: &[Preference], one: &Ranked<'_>, other: &Ranked<'_>) -> Option<Apart> {
    if one.avoided.is_empty() != other.avoided.is_empty() || one.is_covered() != other.is_covered() {
        return None;
    }
    let (mut sum, mut variance, mut weights) = (0.0, 0.0, 0.0);
    for ((preference, one), other) in preferences.iter().zip(&one.marks).zip(&other.marks) {
        let (one, other) = match (one, other) {
            (None, None) => continue,
            (Some(one), Some(other)) => (one.score, other.score),
            (Some(_), None) | (None, Some(_)) => return None,
        };
        let Preference { name: _, weight, scores: _, questions } = preference;
        match questions {
            Some((_, noise)) => variance += (weight * noise) * (weight * noise),
            None if one.total_cmp(&other).is_eq() => {}
            None => return None,
        }
        sum += weight * (one - other);
        weights += weight;
    }
    if weights <= 0.0 {
        return Some(Apart { points: 0.0, noise: 0.0 });
    }
    let apart = Apart { points: sum.abs() / weights, noise: variance.sqrt() / weights };
    (apart.points < apart.noise || apart.points <= 0.0).then_some(apart)
}

/// The rank of each model of a ranking, from 1, and the position of the first of those that share it.
///
/// Whoever cannot be told from the first of a rank shares it, and the next rank counts all before it: 1, 1, 1, 4.
pub(super) fn shared_ranks(preferences: &[Preference], ranked: &[Ranked<'_>]) -> Vec<usize> {
    let mut first = 0;
    let mut ranks = Vec::with_capacity(ranked.len());
    for position in 0..ranked.len() {
        if tie(preferences, &ranked[first], &ranked[position]).is_none() {
            first = position;
        }
        ranks.push(first + 1);
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::super::known;
    use super::super::rank::Mark;
    use super::*;

    fn ranked(scores: &[Option<f64>]) -> Ranked<'static> {
        let mark = |score| Mark { score, percentile: 0.5, rank: 1, of: 2 };
        Ranked {
            model: 0,
            fit: Some(0.5),
            covered: 1.0,
            marks: scores.iter().map(|score| score.map(mark)).collect(),
            avoided: Vec::new(),
        }
    }

    fn preference(name: &str, weight: f64) -> Preference {
        let questions = known::find(name).and_then(|column| column.benchmark);
        let questions = questions.map(|benchmark| (benchmark.questions, benchmark.noise));
        Preference { name: name.to_owned(), weight, scores: Vec::new(), questions }
    }

    fn check(columns: &[(&str, f64)], one: &[Option<f64>], other: &[Option<f64>], expected: Option<(f64, f64)>) {
        let preferences: Vec<_> = columns.iter().map(|(name, weight)| preference(name, *weight)).collect();
        let found = tie(&preferences, &ranked(one), &ranked(other));
        match (found, expected) {
            (None, None) => {}
            (Some(found), Some((points, noise))) => {
                assert!((found.points - points).abs() < 1e-9 && (found.noise - noise).abs() < 1e-9, "{found:?}");
            }
            (found, expected) => panic!("{found:?}, not {expected:?}"),
        }
    }

    #[test]
    fn half_a_point_is_noise_and_ten_are_not() {
        let ifeval: &[(&str, f64)] = &[("ifeval", 2.0)];
        check(ifeval, &[Some(70.0)], &[Some(70.5)], Some((0.5, 4.8)));
        check(ifeval, &[Some(70.0)], &[Some(80.0)], None);
        // Two benchmarks tell more than one: the noise of the mean is less than that of either.
        let two: &[(&str, f64)] = &[("ifeval", 1.0), ("truthfulqa", 1.0)];
        let noise = (2.0 * 4.8_f64 * 4.8).sqrt() / 2.0;
        check(two, &[Some(70.0), Some(50.0)], &[Some(73.0), Some(53.0)], Some((3.0, noise)));
        check(two, &[Some(70.0), Some(50.0)], &[Some(74.0), Some(54.0)], None);
        // What is lost in one may be won in the other.
        check(two, &[Some(70.0), Some(60.0)], &[Some(80.0), Some(50.0)], Some((0.0, noise)));
    }

    #[test]
    fn only_like_is_compared_with_like() {
        let two: &[(&str, f64)] = &[("ifeval", 1.0), ("mine", 1.0)];
        check(two, &[Some(70.0), Some(1.0)], &[Some(70.1), Some(1.0)], Some((0.05, 2.4)));
        check(two, &[Some(70.0), Some(1.0)], &[Some(70.1), Some(2.0)], None);
        check(two, &[Some(70.0), None], &[Some(70.1), Some(1.0)], None);
        check(two, &[Some(70.0), None], &[Some(70.1), None], Some((0.1, 4.8)));
        check(two, &[None, None], &[None, None], Some((0.0, 0.0)));
        let preferences = [preference("ifeval", 1.0)];
        let avoided = Ranked { avoided: vec!["merge"], ..ranked(&[Some(70.0)]) };
        assert_eq!(tie(&preferences, &ranked(&[Some(70.0)]), &avoided), None);
        let uncovered = Ranked { covered: 0.1, ..ranked(&[Some(70.0)]) };
        assert_eq!(tie(&preferences, &ranked(&[Some(70.0)]), &uncovered), None);
    }

    #[test]
    fn ranks_are_shared_with_the_first_and_not_along_a_chain() {
        let preferences = [preference("ifeval", 1.0)];
        let all: Vec<_> = [80.0, 77.0, 74.0, 73.0, 60.0].into_iter().map(|score| ranked(&[Some(score)])).collect();
        assert_eq!(shared_ranks(&preferences, &all), [1, 1, 3, 3, 5]);
        assert_eq!(shared_ranks(&preferences, &[]), Vec::<usize>::new());
    }
}
