//! Two judges of the same replies beside each other: how much better or worse one agrees with people than the other.
//!
//! Takes both tables a row each at a time and keeps counts alone, of all and of each labelled scenario: verdicts on one resemble
//! each other. What a judge leaves open, or does not have at all, is counted and never taken for a pass or a failure. Start at
//! [`Beside`].

use std::collections::BTreeMap;

use super::measure::{agreed, measured};
use super::{Labelled, is_pass};
use crate::data::{self, BothJudges, Confusion, DifferenceClusters, EachOther, Judged, LeftOpen, Rights, WithPeople};
use crate::ids::{CriterionId, ScenarioId};
use crate::spec::{Ask, Rubric};
use crate::stats::{self, ClusteredDifference, Difference, Interval, PairClusters, Pairs};

/// How often a difference shows that is called detectable.
const POWER: f64 = 0.8;

/// Counts what two judges say of the same replies, as rows of their verdicts come; [`Self::finish`] says how they compare.
#[derive(Debug)]
pub struct Beside {
    asked: Vec<CriterionId>,
    rights: Rights,
    by_scenario: BTreeMap<ScenarioId, Right>,
    first: Confusion,
    second: Confusion,
    left_open: LeftOpen,
    each_other: BothJudges,
    one_open: u64,
}

/// Compared verdicts of one scenario, and on how many of them each judge is right.
#[derive(Debug, Default, Clone, Copy)]
struct Right {
    verdicts: u64,
    first: u64,
    second: u64,
}

/// Rows of two tables that are not about the same reply.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("a row on `{first}` has one on `{second}` beside it, or another reply to it")]
pub struct UnlikeReplies {
    /// The scenario of the first judge's row.
    pub first: ScenarioId,
    /// That of the second one's.
    pub second: ScenarioId,
}

impl Beside {
    /// Nothing counted yet, of the criteria that both judges are asked: those of the first one's rubric.
    #[must_use]
    pub fn new(rubric: &Rubric) -> Self {
        let asked = rubric.criteria.iter().filter(|criterion| matches!(criterion.ask, Ask::Question(_)));
        Self {
            asked: asked.map(|criterion| criterion.id.clone()).collect(),
            rights: Rights::default(),
            by_scenario: BTreeMap::new(),
            first: Confusion::default(),
            second: Confusion::default(),
            left_open: LeftOpen::default(),
            each_other: BothJudges::default(),
            one_open: 0,
        }
    }

    /// Counts the verdicts of both on one reply, and what people say of it.
    ///
    /// # Errors
    /// The rows are about different replies; nothing is counted.
    pub fn add(&mut self, first: &Judged, second: &Judged, labelled: &[Labelled]) -> Result<(), UnlikeReplies> {
        let about = |row: &Judged| (row.scenario.id.clone(), row.repetition);
        if about(first) != about(second) || first.reply != second.reply {
            return Err(UnlikeReplies { first: first.scenario.id.clone(), second: second.scenario.id.clone() });
        }
        for criterion in &self.asked {
            match (said(first, criterion), said(second, criterion)) {
                (Some(first), Some(second)) => self.each_other.add(first, second),
                (Some(_), None) | (None, Some(_)) => self.one_open += 1,
                (None, None) => {}
            }
        }
        let scenario_id = &first.scenario.id;
        for Labelled { criterion, passes } in labelled {
            match (said(first, criterion), said(second, criterion)) {
                (Some(first), Some(second)) => {
                    self.first.add(*passes, first);
                    self.second.add(*passes, second);
                    let [first_right, second_right] = [first, second].map(|said| said == *passes);
                    let scenario = self.by_scenario.entry(scenario_id.clone()).or_default();
                    scenario.verdicts += 1;
                    scenario.first += u64::from(first_right);
                    scenario.second += u64::from(second_right);
                    *(match (first_right, second_right) {
                        (true, true) => &mut self.rights.both,
                        (true, false) => &mut self.rights.only_first,
                        (false, true) => &mut self.rights.only_second,
                        (false, false) => &mut self.rights.neither,
                    }) += 1;
                }
                (None, Some(_)) => self.left_open.first += 1,
                (Some(_), None) => self.left_open.second += 1,
                (None, None) => self.left_open.both += 1,
            }
        }
        Ok(())
    }

    /// Says how both compare so far.
    #[must_use]
    pub fn finish(self, confidence: f64) -> data::Beside {
        let Self { asked: _, rights, by_scenario, first, second, left_open, each_other, one_open } = self;
        let Rights { both, only_first, only_second, neither } = rights;
        let pairs = Pairs { both, gains: only_second, losses: only_first, neither };
        let Told { difference, p, clusters } = Told::of(&pairs, by_scenario.into_values(), confidence);
        let detectable = stats::mde_paired(rights.n(), pairs.discordance(), 1.0 - confidence, POWER)
            .map(|least| least * clusters.map_or(1.0, |clusters| clusters.design_effect).max(1.0).sqrt())
            // The judges differ no more often.
            .filter(|least| *least <= pairs.discordance());
        let with_people = |table: Confusion| WithPeople { table, agreed: agreed(&table.rows(), confidence) };
        data::Beside {
            rights,
            first: with_people(first),
            second: with_people(second),
            difference: (rights.n() > 0).then(|| measured(difference.point, difference.interval)),
            p,
            detectable,
            clusters,
            left_open,
            each_other: EachOther {
                table: each_other,
                agreed: agreed(&each_other.rows(), confidence),
                left_open: one_open,
            },
        }
    }
}

/// What pairs of verdicts say of the difference between two judges.
struct Told {
    difference: Difference,
    p: f64,
    clusters: Option<DifferenceClusters>,
}

impl Told {
    /// The more careful one of what verdicts say, and what scenarios do: the wider interval at both ends, and the larger p.
    fn of(pairs: &Pairs, scenarios: impl Iterator<Item = Right>, confidence: f64) -> Self {
        let difference = stats::newcombe_paired(pairs, confidence);
        let midp = stats::mcnemar_midp(pairs.gains, pairs.losses);
        let mut clusters = PairClusters::default();
        let (mut better, mut worse) = (0, 0);
        for Right { verdicts, first, second } in scenarios {
            clusters.add(second, first, verdicts);
            better += u64::from(second > first);
            worse += u64::from(second < first);
        }
        if !clusters.are_clustered() {
            return Self { difference, p: midp, clusters: None };
        }
        let ClusteredDifference { interval, p, design_effect } = clusters.difference(pairs, confidence);
        // Where all came out alike, there is nothing to take an error of, but each is still one piece of evidence.
        let p = p.unwrap_or_else(|| stats::mcnemar_midp(better, worse));
        let wider =
            Interval { lo: difference.interval.lo.min(interval.lo), hi: difference.interval.hi.max(interval.hi) };
        let n_eff = pairs.scenarios() as f64 / design_effect.max(1.0);
        Self {
            difference: Difference { point: difference.point, interval: wider },
            p: p.max(midp),
            clusters: Some(DifferenceClusters { clusters: clusters.clusters(), n_eff, design_effect }),
        }
    }
}

/// Whether a judge passes a criterion; none where it says neither, or nothing.
fn said(row: &Judged, criterion: &CriterionId) -> Option<bool> {
    let verdict = row.verdicts.iter().find(|verdict| verdict.criterion == *criterion)?;
    is_pass(verdict.verdict)
}
