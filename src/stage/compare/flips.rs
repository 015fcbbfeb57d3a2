//! Replies whose grade flipped: how many, in which criteria, and the first of them in full.

use std::collections::BTreeMap;

use super::pairing::{Group, Seen};
use crate::data::{Flip, Flips};
use crate::ids::{CriterionId, ScenarioId};

/// Flips shown of each direction.
const SHOWN: usize = 5;

/// Flips of one direction.
#[derive(Debug, Default)]
pub(super) struct FlipTally {
    count: u64,
    criteria: BTreeMap<usize, u64>,
    shown: Vec<Shown>,
}

/// One flip, with criteria by their number.
#[derive(Debug)]
struct Shown {
    scenario: ScenarioId,
    repetition: u32,
    opening: String,
    base: String,
    new: String,
    gained: Vec<usize>,
    lost: Vec<usize>,
}

impl FlipTally {
    /// Counts one; `group` is the base's side of the scenario, `is_gain` whether it passes now.
    pub(super) fn add(&mut self, group: &Group, base: &Seen, new: &Seen, is_gain: bool) {
        self.count += 1;
        let turned = |to: bool| -> Vec<usize> {
            let both = base.verdicts.iter().zip(&new.verdicts).enumerate();
            both.filter(|(_, (old, now))| **old == Some(!to) && **now == Some(to)).map(|(number, _)| number).collect()
        };
        let (gained, lost) = (turned(true), turned(false));
        for number in if is_gain { &gained } else { &lost } {
            *self.criteria.entry(*number).or_default() += 1;
        }
        if let (true, Some(named), Some(old), Some(now)) =
            (self.shown.len() < SHOWN, &group.named, &base.reply, &new.reply)
        {
            let (scenario, opening) = named.as_ref().clone();
            self.shown.push(Shown {
                scenario,
                repetition: base.repetition,
                opening,
                base: old.to_string(),
                new: now.to_string(),
                gained,
                lost,
            });
        }
    }

    pub(super) fn finish(self, names: &[CriterionId]) -> Flips {
        let Self { count, criteria, shown } = self;
        let named = |numbers: Vec<usize>| numbers.into_iter().map(|number| names[number].clone()).collect();
        let mut criteria: Vec<(CriterionId, u64)> =
            criteria.into_iter().map(|(number, count)| (names[number].clone(), count)).collect();
        criteria.sort_by(|one, other| other.1.cmp(&one.1).then_with(|| one.0.cmp(&other.0)));
        let shown = shown.into_iter().map(|flip| {
            let Shown { scenario, repetition, opening, base, new, gained, lost } = flip;
            Flip { scenario, repetition, opening, base, new, gained: named(gained), lost: named(lost) }
        });
        Flips { count, criteria, shown: shown.collect() }
    }
}
