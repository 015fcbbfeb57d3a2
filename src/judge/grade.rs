//! From the verdicts on one reply to its grade.

use std::cmp::Ordering;

use crate::data::{Grade, Verdict, VerdictKind};
use crate::ids::CriterionId;
use crate::spec::{Ask, AtLeast, Rubric};

/// Sums of weights that ought to be equal may differ by this much.
const SLACK: f64 = 1e-9;

/// What the pass rule makes of one reply.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Graded {
    /// Share of the applicable weight that passed; none if the reply is not valid or no criterion was graded.
    pub score: Option<f64>,
    /// The rule's result.
    pub grade: Grade,
    /// Share of the whole weight that is applicable, in [0, 1].
    pub coverage: f64,
}

/// How one criterion came out.
#[derive(Debug, Clone, Copy)]
pub struct Standing {
    /// The verdict.
    pub verdict: VerdictKind,
    /// The level, where one was asked for.
    pub level: Option<f64>,
}

impl Ord for Standing {
    fn cmp(&self, other: &Self) -> Ordering {
        let Self { verdict, level } = self;
        let by_level = || match (level, other.level) {
            (Some(one), Some(other)) => one.total_cmp(&other),
            (one, other) => one.is_some().cmp(&other.is_some()),
        };
        verdict.cmp(&other.verdict).then_with(by_level)
    }
}

impl PartialOrd for Standing {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Standing {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Standing {}

impl From<VerdictKind> for Standing {
    fn from(verdict: VerdictKind) -> Self {
        Self { verdict, level: None }
    }
}

impl From<&Verdict> for Standing {
    fn from(verdict: &Verdict) -> Self {
        Self { verdict: verdict.verdict, level: verdict.level }
    }
}

/// Applies the rubric's pass rule to `verdicts`, one a criterion in the rubric's order.
///
/// A missing verdict never counts as a pass. It leaves the grade open only where a verdict could still change it.
///
/// # Panics
/// There is not one verdict a criterion.
#[must_use]
pub fn grade(rubric: &Rubric, verdicts: &[Standing]) -> Graded {
    assert_eq!(rubric.criteria.len(), verdicts.len(), "one verdict a criterion");
    let (mut whole, mut applicable, mut passed, mut missing) = (0.0, 0.0, 0.0, 0.0);
    let (mut critical_failed, mut critical_missing, mut any_graded) = (false, false, false);
    for (criterion, Standing { verdict, level }) in rubric.criteria.iter().zip(verdicts) {
        let weight = criterion.weight;
        whole += weight;
        let credit = match &criterion.ask {
            Ask::Scale(scale) => level.and_then(|level| scale.credit(level)),
            Ask::Question(_) | Ask::Check(_) | Ask::Command { .. } => None,
        };
        match verdict {
            VerdictKind::NotApplicable => continue,
            VerdictKind::Pass => passed += weight * credit.unwrap_or(1.0),
            VerdictKind::Fail => {
                passed += weight * credit.unwrap_or(0.0);
                critical_failed |= criterion.critical;
            }
            VerdictKind::Ungraded => {
                missing += weight;
                critical_missing |= criterion.critical;
            }
        }
        applicable += weight;
        any_graded |= *verdict != VerdictKind::Ungraded;
    }
    let coverage = if whole > 0.0 { applicable / whole } else { 0.0 };
    if applicable <= 0.0 || coverage + SLACK < rubric.pass.min_applicable {
        return Graded { score: None, grade: Grade::Invalid, coverage };
    }
    let reaches = |weight: f64| weight / applicable + SLACK >= rubric.pass.score;
    let enough = |may_pass: &[VerdictKind]| {
        rubric.pass.at_least.iter().all(|group| is_enough(group, rubric, verdicts, may_pass))
    };
    let may_pass = enough(&[VerdictKind::Pass, VerdictKind::Ungraded]);
    let grade = if critical_failed || !reaches(passed + missing) || !may_pass {
        Grade::Fail
    } else if reaches(passed) && !critical_missing && enough(&[VerdictKind::Pass]) {
        Grade::Pass
    } else {
        Grade::Ungraded
    };
    Graded { score: any_graded.then_some(passed / applicable), grade, coverage }
}

/// Whether so many of a group pass as must, or all that apply, if `passing` verdicts are passes.
fn is_enough(group: &AtLeast, rubric: &Rubric, verdicts: &[Standing], passing: &[VerdictKind]) -> bool {
    let AtLeast { count, criteria } = group;
    let is_one = |id: &CriterionId| criteria.contains(id);
    let of_group = rubric.criteria.iter().zip(verdicts).filter(|(criterion, _)| is_one(&criterion.id));
    let applicable: Vec<VerdictKind> = of_group
        .map(|(_, standing)| standing.verdict)
        .filter(|verdict| *verdict != VerdictKind::NotApplicable)
        .collect();
    applicable.iter().filter(|verdict| passing.contains(verdict)).count() >= (*count).min(applicable.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use VerdictKind::{Fail, NotApplicable, Pass, Ungraded};

    use crate::spec::{Criterion, PassRule, Question, Scale};

    fn rule(score: f64, min_applicable: f64) -> PassRule {
        PassRule { score, min_applicable, at_least: Vec::new() }
    }

    fn graded(rubric: &Rubric, verdicts: &[VerdictKind]) -> Graded {
        grade(rubric, &verdicts.iter().copied().map(Standing::from).collect::<Vec<_>>())
    }

    fn rubric(weights: &[(f64, bool)], pass: PassRule) -> Rubric {
        let criterion = |(index, &(weight, critical)): (usize, &(f64, bool))| Criterion {
            id: CriterionId::new(&format!("c{index}")).unwrap(),
            weight,
            critical,
            when: None,
            ask: Ask::Question(Question {
                text: "Is it?".to_owned(),
                allow_not_applicable: true,
                pass_examples: Vec::new(),
                fail_examples: Vec::new(),
            }),
        };
        Rubric { name: "r".to_owned(), pass, criteria: weights.iter().enumerate().map(criterion).collect() }
    }

    /// Weights 3 (critical), 2 and 1; score 0.7; half must apply: the rubric of the reference vectors.
    fn check(verdicts: [VerdictKind; 3], score: Option<f64>, expected: Grade) {
        let graded = graded(&rubric(&[(3.0, true), (2.0, false), (1.0, false)], rule(0.7, 0.5)), &verdicts);
        assert_eq!(graded.grade, expected, "{verdicts:?}");
        let equal = match (graded.score, score) {
            (Some(found), Some(expected)) => (found - expected).abs() < 1e-12,
            (found, expected) => found.is_none() && expected.is_none(),
        };
        assert!(equal, "{verdicts:?}: {:?}, expected {score:?}", graded.score);
    }

    #[test]
    fn reference_vectors() {
        check([Pass, Pass, Fail], Some(0.833_333_333_333_333_4), Grade::Pass);
        check([Pass, NotApplicable, Fail], Some(0.75), Grade::Pass);
        check([NotApplicable, NotApplicable, Pass], None, Grade::Invalid);
        check([Pass, Fail, Pass], Some(0.666_666_666_666_666_6), Grade::Fail);
        check([NotApplicable, NotApplicable, NotApplicable], None, Grade::Invalid);
    }

    #[test]
    fn critical_and_missing() {
        check([Fail, Pass, Pass], Some(0.5), Grade::Fail);
        check([Fail, Ungraded, Ungraded], Some(0.0), Grade::Fail);
        check([Ungraded, Pass, Pass], Some(0.5), Grade::Ungraded);
        check([Pass, Pass, Ungraded], Some(5.0 / 6.0), Grade::Pass);
        check([Pass, Ungraded, Fail], Some(0.5), Grade::Ungraded);
        check([Pass, Fail, Ungraded], Some(0.5), Grade::Fail);
        check([Ungraded, Ungraded, Ungraded], None, Grade::Ungraded);
        check([Ungraded, NotApplicable, Ungraded], None, Grade::Ungraded);
        check([NotApplicable, NotApplicable, Ungraded], None, Grade::Invalid);
        check([NotApplicable, Pass, Pass], Some(1.0), Grade::Pass);
    }

    #[test]
    fn a_sum_just_below_the_threshold_reaches_it() {
        let weights = [(0.1, false), (0.2, false), (0.7, false)];
        assert_eq!(graded(&rubric(&weights, rule(0.3, 0.3)), &[Pass, Pass, Fail]).grade, Grade::Pass);
        assert_eq!(graded(&rubric(&weights, rule(0.3, 0.3)), &[Pass, Pass, NotApplicable]).grade, Grade::Pass);
    }

    /// A grade with missing verdicts is what all ways of filling them in agree on, and open where they do not.
    #[test]
    fn missing_verdicts_are_decided_only_where_they_cannot_matter() {
        let weights = [(3.0, true), (2.0, false), (1.0, true), (2.0, false)];
        let kinds = [Pass, Fail, NotApplicable, Ungraded];
        for score in [0.25, 0.5, 0.75, 1.0] {
            let rubric = rubric(&weights, rule(score, 0.4));
            for number in 0..kinds.len().pow(4) {
                let verdicts: Vec<VerdictKind> =
                    (0..4_u32).map(|place| kinds[number / kinds.len().pow(place) % kinds.len()]).collect();
                let missing: Vec<usize> = (0..4).filter(|&at| verdicts[at] == Ungraded).collect();
                let fillings = (0..1 << missing.len()).map(|bits: usize| {
                    let mut filled = verdicts.clone();
                    for (place, &at) in missing.iter().enumerate() {
                        filled[at] = if bits >> place & 1 == 1 { Pass } else { Fail };
                    }
                    plain_rule(&rubric, &filled)
                });
                let all: Vec<Grade> = fillings.collect();
                let agreed = all.iter().all(|grade| *grade == all[0]);
                let expected = if agreed { all[0] } else { Grade::Ungraded };
                assert_eq!(graded(&rubric, &verdicts).grade, expected, "{verdicts:?} at {score}");
            }
        }
    }

    fn plain_rule(rubric: &Rubric, verdicts: &[VerdictKind]) -> Grade {
        let sum = |wanted: &[VerdictKind]| -> f64 {
            let pairs = rubric.criteria.iter().zip(verdicts);
            pairs.filter(|(_, verdict)| wanted.contains(verdict)).map(|(criterion, _)| criterion.weight).sum()
        };
        let whole: f64 = rubric.criteria.iter().map(|criterion| criterion.weight).sum();
        let applicable = sum(&[Pass, Fail]);
        let broken = rubric.criteria.iter().zip(verdicts).any(|(c, verdict)| c.critical && *verdict == Fail);
        if applicable < rubric.pass.min_applicable * whole {
            Grade::Invalid
        } else if broken || sum(&[Pass]) < rubric.pass.score * applicable {
            Grade::Fail
        } else {
            Grade::Pass
        }
    }

    #[test]
    fn so_many_of_a_group_must_pass() {
        let weights = [(1.0, false); 4];
        let ids = |numbers: &[usize]| {
            numbers.iter().map(|number| CriterionId::new(&format!("c{number}")).unwrap()).collect::<Vec<_>>()
        };
        let at_least = vec![AtLeast { count: 2, criteria: ids(&[1, 2, 3]) }];
        let rubric = rubric(&weights, PassRule { at_least, ..rule(0.25, 0.25) });
        for (verdicts, expected) in [
            ([Fail, Pass, Pass, Fail], Grade::Pass),
            ([Pass, Pass, Fail, Fail], Grade::Fail),
            ([Pass, Pass, Ungraded, Fail], Grade::Ungraded),
            ([Pass, Ungraded, Fail, Fail], Grade::Fail),
            ([Pass, Pass, Pass, Ungraded], Grade::Pass),
            // Fewer apply than must pass: all that do.
            ([Pass, Pass, NotApplicable, NotApplicable], Grade::Pass),
            ([Pass, Fail, NotApplicable, NotApplicable], Grade::Fail),
            ([Pass, NotApplicable, NotApplicable, NotApplicable], Grade::Pass),
        ] {
            assert_eq!(graded(&rubric, &verdicts).grade, expected, "{verdicts:?}");
        }
    }

    #[test]
    fn a_level_earns_its_share_where_that_is_wanted() {
        let with = |partial: bool| {
            let mut rubric = rubric(&[(3.0, false), (1.0, false)], rule(0.7, 0.5));
            let anchors = [(1, "low".to_owned()), (5, "high".to_owned())].into();
            rubric.criteria[0].ask =
                Ask::Scale(Scale { text: "?".to_owned(), allow_not_applicable: true, anchors, pass_at: 4, partial });
            rubric
        };
        let check = |partial, verdict, level, score: f64, expected| {
            let standings = [Standing { verdict, level }, Pass.into()];
            let found = grade(&with(partial), &standings);
            assert_eq!(found.grade, expected, "{standings:?}");
            assert!((found.score.unwrap() - score).abs() < 1e-12, "{standings:?}: {:?}", found.score);
        };
        check(false, Pass, Some(4.0), 1.0, Grade::Pass);
        check(false, Fail, Some(3.0), 0.25, Grade::Fail);
        check(true, Pass, Some(5.0), 1.0, Grade::Pass);
        check(true, Pass, Some(4.0), 0.8125, Grade::Pass);
        check(true, Fail, Some(3.0), 0.625, Grade::Fail);
        check(true, Fail, Some(3.5), 0.71875, Grade::Pass);
        assert_eq!(grade(&with(true), &[NotApplicable.into(), Pass.into()]).grade, Grade::Invalid);
    }
}
