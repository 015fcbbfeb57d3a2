//! What was seen at each look, and the confidence sequence of it.

use std::collections::BTreeMap;

use super::super::rated::PassFail;
use crate::data::{ClusterMeans, Grade, LogEvidence, Look, Sequence, Thresholds};
use crate::stage::sample;
use crate::stats::{
    BetaPrior, Betting, Interval, confidence_sequence, log_evidence, suite_confidence_sequence, suite_log_evidence,
};

/// Rows, by the round at which they are first looked at, and by what they have in common.
#[derive(Debug)]
pub(super) struct Seen {
    /// One entry a round, from 0 to the first.
    rounds: Vec<Counted>,
    pub(super) units: Units,
}

#[derive(Debug, Clone, Copy, Default)]
struct Counted {
    scenarios: u64,
    graded: PassFail,
    /// Rows without a grade, and those to which too few criteria apply.
    missing: u64,
}

/// What is independent of others.
#[derive(Debug)]
pub(super) enum Units {
    /// Rows: their number is all there is to know.
    Single,
    /// What has one place, with its passes and failures.
    Means(BTreeMap<u64, PassFail>),
    /// Rows at first, and then several to a scenario, which no run makes: nobody knows which of the first belonged together.
    Unlike,
}

const NOTHING: Interval = Interval { lo: 0.0, hi: 1.0 };

impl Seen {
    /// Nothing seen, where rows belong together by more than their scenario or not.
    pub(super) fn new(first: u32, are_clustered: bool) -> Self {
        let units = if are_clustered { Units::Means(BTreeMap::new()) } else { Units::Single };
        Self { rounds: (0..=first).map(|_| Counted::default()).collect(), units }
    }

    /// The round of the first look.
    fn first(&self) -> u32 {
        u32::try_from(self.rounds.len() - 1).expect("a few dozen rounds at most")
    }

    /// Counts a row; `is_first` says that it is the first of its scenario.
    pub(super) fn add(&mut self, place: u64, grade: Grade, is_first: bool) {
        if !is_first && matches!(self.units, Units::Single) {
            let Counted { scenarios, graded, missing: _ } = self.until(0);
            // Until now there was this scenario alone, and all that was counted is its.
            self.units = if scenarios == 1 { Units::Means(BTreeMap::from([(place, graded)])) } else { Units::Unlike };
        }
        let round = sample::round_of(place, self.first());
        let counted = &mut self.rounds[round as usize];
        counted.scenarios += u64::from(is_first);
        let passed = match grade {
            Grade::Pass => Some(true),
            Grade::Fail => Some(false),
            Grade::Ungraded | Grade::Invalid => None,
        };
        match passed {
            Some(passed) => counted.graded.add(passed),
            None => counted.missing += 1,
        }
        if let Units::Means(units) = &mut self.units {
            let unit = units.entry(place).or_default();
            if let Some(passed) = passed {
                unit.add(passed);
            }
        }
    }

    /// What is looked at until a round.
    fn until(&self, round: u32) -> Counted {
        self.rounds.iter().skip(round as usize).fold(Counted::default(), |sum, counted| Counted {
            scenarios: sum.scenarios + counted.scenarios,
            graded: PassFail {
                passed: sum.graded.passed + counted.graded.passed,
                failed: sum.graded.failed + counted.graded.failed,
            },
            missing: sum.missing + counted.missing,
        })
    }

    /// How many units are looked at until a round, graded or not.
    pub(super) fn units_at(&self, round: u32) -> u64 {
        let Units::Means(units) = &self.units else { return self.until(round).scenarios };
        let first = self.first();
        units.keys().take_while(|place| sample::round_of(**place, first) >= round).count() as u64
    }

    /// By which sequence it is looked at.
    pub(super) fn method(&self, is_suite: bool) -> Sequence {
        match &self.units {
            _ if is_suite => Sequence::SuiteSequence,
            Units::Single | Units::Unlike => Sequence::BetaBinomial,
            Units::Means(_) => Sequence::Betting,
        }
    }

    /// The looks at these rounds, in order; `of` are the scenarios of the whole suite.
    pub(super) fn looks(
        &self,
        rounds: impl Iterator<Item = u32>,
        method: Sequence,
        of: u64,
        alpha: f64,
        thresholds: &Thresholds,
    ) -> Vec<Look> {
        let first = self.first();
        let mut bets = Bets::new(alpha);
        let mut units = match &self.units {
            Units::Means(units) => units.iter(),
            Units::Single | Units::Unlike => Default::default(),
        }
        .peekable();
        let look = |round: u32| {
            let counted = self.until(round);
            while let Some((_, unit)) = units.next_if(|(place, _)| sample::round_of(**place, first) >= round) {
                bets.add(*unit);
            }
            let (interval, log_evidence) = match (method, &self.units) {
                (Sequence::BetaBinomial, Units::Single) => binary(counted.graded, alpha, thresholds),
                (Sequence::SuiteSequence, Units::Single) => part_of_suite(&counted, of, alpha, thresholds),
                (Sequence::Betting, Units::Means(_)) => bets.say(counted.graded, thresholds),
                _ => (NOTHING, LogEvidence { deploy: Some(0.0), fine_tune: Some(0.0) }),
            };
            Look {
                round,
                scenarios: counted.scenarios,
                passed: counted.graded.passed,
                failed: counted.graded.failed,
                clusters: (method == Sequence::Betting).then(|| bets.means()),
                lo: interval.lo,
                hi: interval.hi,
                log_evidence,
            }
        };
        rounds.map(look).collect()
    }
}

/// Infinite evidence is none that a file could hold.
fn evidence(against: impl Fn(f64) -> f64, thresholds: &Thresholds) -> LogEvidence {
    let against = |threshold: f64| Some(against(threshold)).filter(|evidence| evidence.is_finite());
    LogEvidence { deploy: against(thresholds.deploy), fine_tune: against(thresholds.fine_tune) }
}

/// New scenarios that have nothing in common.
fn binary(graded: PassFail, alpha: f64, thresholds: &Thresholds) -> (Interval, LogEvidence) {
    let PassFail { passed, failed } = graded;
    let against = |threshold| log_evidence(passed, failed, threshold, BetaPrior::USUAL);
    (confidence_sequence(passed, failed, alpha, BetaPrior::USUAL), evidence(against, thresholds))
}

/// Scenarios drawn from a suite. Those that are missing may be either, so each end is that of the worse.
fn part_of_suite(counted: &Counted, of: u64, alpha: f64, thresholds: &Thresholds) -> (Interval, LogEvidence) {
    let Counted { scenarios: _, graded: PassFail { passed, failed }, missing } = *counted;
    let drawn = passed + failed + missing;
    let rates = |passed| suite_confidence_sequence(passed, drawn, of, alpha, BetaPrior::EVEN).rates(of);
    let interval = Interval { lo: rates(passed).lo, hi: rates(passed + missing).hi };
    let against = |threshold: f64| {
        let reaches = least_passes(threshold, of);
        // The nearest number of passes on the other side of the threshold.
        if passed as f64 >= threshold * drawn as f64 && reaches > 0 {
            suite_log_evidence(reaches - 1, passed, drawn, of, BetaPrior::EVEN)
        } else {
            suite_log_evidence(reaches, passed + missing, drawn, of, BetaPrior::EVEN)
        }
    };
    (interval, evidence(against, thresholds))
}

/// The fewest passes of a suite with which its rate is at the threshold or above.
fn least_passes(threshold: f64, of: u64) -> u64 {
    #[expect(clippy::cast_possible_truncation, reason = "at most the suite")]
    let near = (threshold * of as f64) as u64;
    (near.saturating_sub(1)..=of).find(|passes| *passes as f64 / of as f64 >= threshold).unwrap_or(of)
}

/// Bets on the means of units.
struct Bets {
    betting: Betting,
    sum: f64,
    number: u64,
}

impl Bets {
    fn new(alpha: f64) -> Self {
        Self { betting: Betting::new(alpha), sum: 0.0, number: 0 }
    }

    fn add(&mut self, unit: PassFail) {
        if unit.all() > 0 {
            let mean = unit.passed as f64 / unit.all() as f64;
            self.betting.add(mean);
            self.sum += mean;
            self.number += 1;
        }
    }

    fn means(&self) -> ClusterMeans {
        ClusterMeans { number: self.number, mean: (self.number > 0).then(|| self.sum / self.number as f64) }
    }

    /// The sequence is about units that all count alike, and the rate about their rows: where these two differ, it has to be sure of both.
    fn say(&self, graded: PassFail, thresholds: &Thresholds) -> (Interval, LogEvidence) {
        let Interval { lo, hi } = self.betting.confidence_sequence();
        let interval = match graded.all() {
            0 => NOTHING,
            all => {
                let rate = graded.passed as f64 / all as f64;
                Interval { lo: lo.min(rate), hi: hi.max(rate) }
            }
        };
        (interval, evidence(|threshold| self.betting.log_capital(threshold), thresholds))
    }
}
