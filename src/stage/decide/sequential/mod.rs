//! Stopping early: what each look at a growing part of the scenarios says, and whether the run may end there.
//!
//! Owns which interval decides at which look, and what is left of the chance of error at the end. A fifth of it is for all looks before
//! the last together, however many they are: their intervals are those of a confidence sequence. What gates are held against has no
//! sequence, so these intervals share the fifth evenly between the looks. Which scenarios are looked at is `sample`'s; the formulas are
//! `stats`'. Start at [`Looking`].

mod seen;
#[cfg(test)]
mod tests;
mod words;

use self::seen::{Seen, Units};
pub(super) use self::words::look_sentence;
use super::FEWEST_CLUSTERS;
use super::rated::Manner;
use crate::data::{Decision, GateStatus, Judged, Look, Looked, Outcome, Rate, Thresholds};
use crate::spec::{self, ClusterBy, Looks, Target};
use crate::stage::sample;
use crate::stats::Betting;

/// Into so many parts the chance of error is divided, one of which is for the looks before the last.
const PARTS_OF_ERROR: f64 = 5.0;

/// What a tally keeps of rows, so that it can say what was seen at each look.
#[derive(Debug)]
pub(super) struct Looking {
    looks: Looks,
    seed: u64,
    unit: ClusterBy,
    alpha: f64,
    is_suite: bool,
    seen: Seen,
}

impl Looking {
    /// Nothing seen yet; none where the decision looks once.
    pub(super) fn new(decide: &spec::Decide) -> Option<Self> {
        let looks = decide.sequential?;
        let is_suite = decide.target == Target::Suite;
        // Of a suite, single scenarios are drawn: what they have in common does not matter where no others are asked about.
        let unit = if is_suite { ClusterBy::Nothing } else { decide.cluster.clone() };
        let seen = Seen::new(looks.first, unit != ClusterBy::Nothing);
        Some(Self { looks, seed: decide.seed, unit, alpha: chance_of_error(decide.confidence), is_suite, seen })
    }

    /// Counts a row; `is_first` says that it is the first of its scenario.
    pub(super) fn add(&mut self, row: &Judged, is_first: bool) {
        self.seen.add(sample::place(self.seed, &self.unit, &row.scenario), row.grade, is_first);
    }

    /// How all rates but the whole one are made.
    pub(super) fn manner(&self, manner: Manner, thresholds: &Thresholds) -> Manner {
        let Looks { first, now, scenarios: _ } = self.looks;
        let spent = self.spent(thresholds);
        let confidence = if now > 0 {
            level(spent / f64::from(first))
        } else if spent > 0.0 {
            level(self.alpha - spent)
        } else {
            manner.confidence
        };
        Manner { confidence, is_part: now > 0, ..manner }
    }

    /// What was seen at each look up to this one. Before the last, `rate` gets the interval of the sequence.
    pub(super) fn look(self, rate: &mut Rate, thresholds: &Thresholds) -> Looked {
        let spent = self.spent(thresholds);
        let Self { looks: Looks { first, now, scenarios: of }, seed: _, unit: _, alpha, is_suite, seen } = self;
        let method = seen.method(is_suite);
        let oldest = if spent > 0.0 { first } else { now };
        let mut looks = seen.looks((now..=oldest).rev(), method, of, early(alpha), thresholds);
        if let Some(last) = looks.last_mut() {
            if now > 0 {
                (rate.lo, rate.hi, rate.confidence) = (last.lo, last.hi, level(spent));
                method.as_str().clone_into(&mut rate.method);
            } else {
                (last.lo, last.hi) = (rate.lo, rate.hi);
            }
        }
        let scenarios = looks.last().map_or(0, |look| look.scenarios);
        Looked { scenarios, of, stopped: false, method, alpha_early: spent, looks }
    }

    /// What of the chance of error the looks before the last may use: nothing, where it is known without any verdict that none of
    /// them could have settled anything. That shows at the end only, when it is known how many units there are.
    fn spent(&self, thresholds: &Thresholds) -> f64 {
        let Looks { first, now, scenarios: _ } = self.looks;
        let could_settle = || match &self.seen.units {
            Units::Single => true,
            Units::Unlike => false,
            Units::Means(_) => could_settle(self.seen.units_at(1), early(self.alpha), thresholds),
        };
        if now > 0 || first > 0 && could_settle() { early(self.alpha) } else { 0.0 }
    }
}

/// Whether bets on so many means could have settled anything, whatever the means were.
fn could_settle(units: u64, alpha: f64, thresholds: &Thresholds) -> bool {
    let Thresholds { deploy, fine_tune } = *thresholds;
    let above = |threshold: f64| Betting::fewest_above(threshold, alpha) <= units;
    let below = |threshold: f64| Betting::fewest_above(1.0 - threshold, alpha) <= units;
    let outcomes = above(deploy) || below(fine_tune) || above(fine_tune) && below(deploy);
    outcomes && units >= FEWEST_CLUSTERS
}

/// Says whether the run ends here, gates aside. What is blocked early may be chance, and is looked at to the end.
pub(super) fn settle(looked: &mut Looked, outcome: Outcome) {
    let Some(Look { round, clusters, .. }) = looked.looks.last() else { return };
    let is_settled = match outcome {
        Outcome::Deploy | Outcome::FineTune | Outcome::FullPipeline => true,
        Outcome::Inconclusive | Outcome::Blocked => false,
    };
    let are_enough =
        looked.scenarios >= sample::LEAST && clusters.is_none_or(|clusters| clusters.number >= FEWEST_CLUSTERS);
    looked.stopped = *round == 0 || is_settled && are_enough;
}

/// Has a decision that would stop early go on while a gate is open. To be called when its gates are checked.
pub fn conclude(decision: &mut Decision) {
    let is_open = decision.gates.iter().any(|gate| gate.status == GateStatus::Inconclusive);
    let Some(looked) = decision.sequential.as_mut().filter(|looked| is_open && looked.is_early()) else { return };
    let told = look_sentence(looked, &decision.rate, None);
    looked.stopped = false;
    decision.reasons.retain(|reason| Some(reason) != told.as_ref());
}

/// The rules by which verdicts are counted that a gate compares with: all of them are there, whatever the decision has looked at, and
/// their intervals have the level of those that they are compared with.
#[must_use]
pub fn of_base(decide: &spec::Decide) -> spec::Decide {
    let mut of_base = spec::Decide { sequential: None, ..decide.clone() };
    if let Some(Looks { first, now, scenarios: _ }) = decide.sequential.filter(|looks| looks.first > 0) {
        let alpha = chance_of_error(decide.confidence);
        of_base.confidence = level(if now > 0 { early(alpha) / f64::from(first) } else { alpha - early(alpha) });
    }
    of_base
}

fn chance_of_error(confidence: f64) -> f64 {
    level(confidence).max(f64::EPSILON)
}

fn early(alpha: f64) -> f64 {
    alpha / PARTS_OF_ERROR
}

/// One minus the other, without the dust that this leaves behind the last digits.
fn level(alpha: f64) -> f64 {
    const DIGITS: f64 = 1e15;
    ((1.0 - alpha) * DIGITS).round() / DIGITS
}
