//! Two judges of the same replies beside each other: how much better or worse one agrees with people than the other.
//!
//! Takes both tables a row each at a time and keeps counts alone. What a judge leaves open, or does not have at all, is counted and
//! never taken for a pass or a failure. Start at [`Beside`].

use super::measure::{agreed, measured};
use super::{Labelled, is_pass};
use crate::data::{self, BothJudges, Confusion, EachOther, Judged, LeftOpen, Rights, WithPeople};
use crate::ids::{CriterionId, ScenarioId};
use crate::spec::{Ask, Rubric};
use crate::stats::{self, Difference, Pairs};

/// How often a difference shows that is called detectable.
const POWER: f64 = 0.8;

/// Counts what two judges say of the same replies, as rows of their verdicts come; [`Self::finish`] says how they compare.
#[derive(Debug)]
pub struct Beside {
    asked: Vec<CriterionId>,
    rights: Rights,
    first: Confusion,
    second: Confusion,
    left_open: LeftOpen,
    each_other: BothJudges,
    one_open: u64,
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
        for Labelled { criterion, passes } in labelled {
            match (said(first, criterion), said(second, criterion)) {
                (Some(first), Some(second)) => {
                    self.first.add(*passes, first);
                    self.second.add(*passes, second);
                    *(match (first == *passes, second == *passes) {
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
        let Self { asked: _, rights, first, second, left_open, each_other, one_open } = self;
        let Rights { both, only_first, only_second, neither } = rights;
        let pairs = Pairs { both, gains: only_second, losses: only_first, neither };
        let Difference { point, interval } = stats::newcombe_paired(&pairs, confidence);
        let with_people = |table: Confusion| WithPeople { table, agreed: agreed(&table.rows(), confidence) };
        data::Beside {
            rights,
            first: with_people(first),
            second: with_people(second),
            difference: (rights.n() > 0).then(|| measured(point, interval)),
            p: stats::mcnemar_midp(only_second, only_first),
            detectable: stats::mde_paired(rights.n(), pairs.discordance(), 1.0 - confidence, POWER),
            left_open,
            each_other: EachOther {
                table: each_other,
                agreed: agreed(&each_other.rows(), confidence),
                left_open: one_open,
            },
        }
    }
}

/// Whether a judge passes a criterion; none where it says neither, or nothing.
fn said(row: &Judged, criterion: &CriterionId) -> Option<bool> {
    let verdict = row.verdicts.iter().find(|verdict| verdict.criterion == *criterion)?;
    is_pass(verdict.verdict)
}
