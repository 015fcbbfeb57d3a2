//! Stopping early: intervals that hold however often one looks, for scenarios that come in an even random order.
//!
//! Owns confidence sequences for a pass rate: [`confidence_sequence`] for new scenarios from the same source,
//! [`suite_confidence_sequence`] for the passes in a frozen suite, and the usual design on top of the first,
//! [`sequential_decide`]. Where the order was not drawn at random before the run, none of them holds.

use super::beta::{ln_beta, ln_beta_term, ln_choose};
use super::decide::outcome_by_interval;
use super::float;
use super::interval::{Interval, wilson};
use crate::data::{Outcome, Thresholds};

/// A beta distribution of rates that one would bet on beforehand; both above 0.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BetaPrior {
    /// Passes seen in the mind, so to speak.
    pub a: f64,
    /// Failures likewise.
    pub b: f64,
}

impl BetaPrior {
    /// Decides rates between 0.4 and 0.75 soonest.
    pub const USUAL: Self = Self { a: 2.0, b: 2.0 };
    /// All rates alike.
    pub const EVEN: Self = Self { a: 1.0, b: 1.0 };
}

/// The logarithm of the evidence against the rate `p` after so many passes and failures: how much a bet against it would have
/// multiplied one's money, by a mixture of bets over `prior`.
///
/// `ln B(a+s, b+f) − ln B(a, b) − s ln p − f ln(1−p)` (Robbins 1970). Infinite where the rate is impossible. By Ville's inequality
/// it ever exceeds `ln 1/α` with a probability of at most α where `p` is the truth.
#[must_use]
pub fn log_evidence(passed: u64, failed: u64, p: f64, prior: BetaPrior) -> f64 {
    let (s, f) = (passed as f64, failed as f64);
    let BetaPrior { a, b } = prior;
    if p <= 0.0 || p >= 1.0 {
        let impossible = if p <= 0.0 { passed > 0 } else { failed > 0 };
        return if impossible { f64::INFINITY } else { ln_beta(a + s, b + f) - ln_beta(a, b) };
    }
    a * float::ln(p) + b * float::ln_1p(-p) - ln_beta(a, b) - ln_beta_term(p, a + s, b + f)
}

/// The rates that the evidence does not speak against at the level `1 − alpha`, however often one looks.
///
/// An interval around the rate so far; 0 for no pass and 1 for no failure are its exact ends (Howard et al. 2021). Without any
/// scenario, [0, 1].
#[must_use]
pub fn confidence_sequence(passed: u64, failed: u64, alpha: f64, prior: BetaPrior) -> Interval {
    if passed + failed == 0 {
        return Interval { lo: 0.0, hi: 1.0 };
    }
    let rate = passed as f64 / (passed as f64 + failed as f64);
    let limit = -float::ln(alpha);
    let is_kept = |p: f64| log_evidence(passed, failed, p, prior) < limit;
    Interval {
        lo: if passed == 0 { 0.0 } else { edge(rate, 0.0, is_kept) },
        hi: if failed == 0 { 1.0 } else { edge(rate, 1.0, is_kept) },
    }
}

/// The last number from `inside` towards `outside` for which `is_kept` holds, by halving until there is none in between.
pub(super) fn edge(inside: f64, outside: f64, is_kept: impl Fn(f64) -> bool) -> f64 {
    let (mut inside, mut outside) = (inside, outside);
    loop {
        let middle = f64::midpoint(inside, outside);
        // Two neighbours, or so close to 0 that further digits say nothing.
        if middle.to_bits() == inside.to_bits()
            || middle.to_bits() == outside.to_bits()
            || (inside - outside).abs() < 1e-17
        {
            return inside;
        }
        if is_kept(middle) {
            inside = middle;
        } else {
            outside = middle;
        }
    }
}

/// How many scenarios of a frozen suite pass: both ends are possible.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SuitePasses {
    /// At least so many.
    pub lo: u64,
    /// At most so many.
    pub hi: u64,
}

impl SuitePasses {
    /// The same as rates of a suite of so many scenarios; [0, 1] for none.
    #[must_use]
    pub fn rates(self, suite: u64) -> Interval {
        if suite == 0 {
            return Interval { lo: 0.0, hi: 1.0 };
        }
        Interval { lo: self.lo as f64 / suite as f64, hi: self.hi as f64 / suite as f64 }
    }
}

/// The numbers of passes in a frozen suite that are not ruled out, after `drawn` of its scenarios in an even random order, of
/// which `passed` did; at the level `1 − alpha`, however often one looks.
///
/// The ratio of prior to posterior (Waudby-Smith and Ramdas 2020), a beta-binomial over the suite: holds whatever scenarios have
/// in common, since only the order is random, and is exact once all are drawn. Counts beyond the suite or beyond `drawn` are
/// cut to them.
#[must_use]
pub fn suite_confidence_sequence(passed: u64, drawn: u64, suite: u64, alpha: f64, prior: BetaPrior) -> SuitePasses {
    let drawn = drawn.min(suite);
    let passed = passed.min(drawn);
    let (least, most) = (passed, suite - (drawn - passed));
    let limit = -float::ln(alpha);
    let is_kept = |passes: u64| log_prior_to_posterior(passes, passed, drawn, suite, prior) < limit;
    // The ratio is lowest at the share seen so far and rises to both sides.
    let (above, below) = (u128::from(passed) * (u128::from(suite) + 1), u128::from(drawn.max(1)));
    let likeliest = u64::try_from(above / below).unwrap_or(most).clamp(least, most);
    SuitePasses { lo: whole_edge(likeliest, least, is_kept), hi: whole_edge(likeliest, most, is_kept) }
}

/// The last whole number from `inside` towards `end` for which `is_kept` holds; `inside` itself is taken to.
fn whole_edge(inside: u64, end: u64, is_kept: impl Fn(u64) -> bool) -> u64 {
    if is_kept(end) {
        return end;
    }
    let (mut inside, mut outside) = (inside, end);
    while inside.abs_diff(outside) > 1 {
        let middle = u64::midpoint(inside, outside);
        if is_kept(middle) {
            inside = middle;
        } else {
            outside = middle;
        }
    }
    inside
}

/// The logarithm of the evidence against so many passes in a suite, by which [`suite_confidence_sequence`] rules numbers out.
/// Infinite for a number that what was drawn makes impossible.
#[must_use]
pub fn suite_log_evidence(passes: u64, passed: u64, drawn: u64, suite: u64, prior: BetaPrior) -> f64 {
    let drawn = drawn.min(suite);
    let passed = passed.min(drawn);
    if passes < passed || passes > suite - (drawn - passed) {
        return f64::INFINITY;
    }
    log_prior_to_posterior(passes, passed, drawn, suite, prior)
}

fn log_prior_to_posterior(passes: u64, passed: u64, drawn: u64, suite: u64, prior: BetaPrior) -> f64 {
    let BetaPrior { a, b } = prior;
    let failed = drawn - passed;
    let chance = |count: u64, of: u64, a: f64, b: f64| {
        let (count, rest) = (count as f64, (of - count) as f64);
        ln_choose(count, rest) + ln_beta(count + a, rest + b) - ln_beta(a, b)
    };
    chance(passes, suite, a, b) - chance(passes - passed, suite - drawn, a + passed as f64, b + failed as f64)
}

/// A run that may stop early: at each scenario, looked at with a confidence sequence; at its end, with Wilson's interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SequentialPlan {
    /// How many scenarios there are at most.
    pub scenarios: u64,
    /// The chance of an interval that misses the truth, all looks together: 0.05.
    pub alpha: f64,
    /// The part of it that is spent on looking early, below `alpha`: 0.01.
    pub alpha_early: f64,
    /// The bets of the confidence sequence.
    pub prior: BetaPrior,
    /// Before so many scenarios there is no stop.
    pub least: u64,
}

impl SequentialPlan {
    /// Level 95 %, a fifth of the error spent on looking early, no stop before 20 scenarios.
    ///
    /// With clearly good or bad models it saves three quarters of the scenarios or more; in hard cases it costs two points of
    /// power against a single look at the end.
    #[must_use]
    pub fn usual(scenarios: u64) -> Self {
        Self { scenarios, alpha: 0.05, alpha_early: 0.01, prior: BetaPrior::USUAL, least: 20 }
    }
}

/// What a run says after some of its scenarios.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SequentialDecision {
    /// The interval that holds however often one looked before.
    pub interval: Interval,
    /// What it settles.
    pub outcome: Outcome,
    /// Whether the run ends here: with an outcome, or without any scenario left.
    pub stop: bool,
}

/// What the plan says after so many passes and failures, which came in a random order drawn before the run.
///
/// Before the end, the [`confidence_sequence`] at `alpha_early`; at the end, [`wilson`] with what is left of `alpha`, so that the
/// sum bounds the error of all looks together.
#[must_use]
pub fn sequential_decide(
    passed: u64,
    failed: u64,
    plan: &SequentialPlan,
    thresholds: &Thresholds,
) -> SequentialDecision {
    let seen = passed + failed;
    let is_end = seen >= plan.scenarios;
    let interval = if is_end {
        wilson(passed as f64, seen as f64, 1.0 - (plan.alpha - plan.alpha_early))
    } else {
        confidence_sequence(passed, failed, plan.alpha_early, plan.prior)
    };
    let outcome = outcome_by_interval(interval, thresholds);
    let stop = is_end || outcome != Outcome::Inconclusive && seen >= plan.least;
    SequentialDecision { interval, outcome, stop }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::stats::Random;

    const THRESHOLDS: Thresholds = Thresholds { deploy: 0.7, fine_tune: 0.5 };

    #[test]
    fn nothing_and_everything() {
        assert_eq!(confidence_sequence(0, 0, 0.05, BetaPrior::USUAL), Interval { lo: 0.0, hi: 1.0 });
        let all = SuitePasses { lo: 0, hi: 9 };
        assert_eq!(suite_confidence_sequence(0, 0, 9, 0.05, BetaPrior::EVEN), all);
        assert_eq!(suite_confidence_sequence(7, 9, 9, 0.05, BetaPrior::EVEN), SuitePasses { lo: 7, hi: 7 });
        assert_eq!(suite_confidence_sequence(70, 90, 9, 0.05, BetaPrior::EVEN), SuitePasses { lo: 9, hi: 9 });
        assert_eq!(suite_confidence_sequence(0, 0, 0, 0.05, BetaPrior::EVEN).rates(0), Interval { lo: 0.0, hi: 1.0 });
        let plan = SequentialPlan::usual(0);
        let found = sequential_decide(0, 0, &plan, &THRESHOLDS);
        assert!(
            found.stop && found.outcome == Outcome::Inconclusive && found.interval == Interval { lo: 0.0, hi: 1.0 }
        );
        assert!(
            log_evidence(1, 0, 0.0, BetaPrior::USUAL).is_infinite()
                && log_evidence(0, 1, 1.0, BetaPrior::USUAL).is_infinite()
        );
        assert!(log_evidence(0, 5, 0.0, BetaPrior::USUAL) < 0.0, "no failure speaks against a rate of 0");
    }

    #[test]
    fn no_stop_before_the_least_number() {
        let plan = SequentialPlan::usual(1_000);
        let early = sequential_decide(0, 15, &plan, &THRESHOLDS);
        assert!(early.outcome == Outcome::FullPipeline && !early.stop);
        assert!(sequential_decide(0, 20, &plan, &THRESHOLDS).stop);
    }

    /// The share of runs whose interval ever misses the truth, looked at after each of `scenarios`.
    fn ever_missed(p: f64, runs: u32, scenarios: u64) -> f64 {
        let mut missed = 0;
        for run in 0..runs {
            let mut random = Random::new(7, "ever missed", u64::from(run));
            let mut passed = 0;
            for seen in 1..=scenarios {
                passed += u64::from(random.share() < p);
                if log_evidence(passed, seen - passed, p, BetaPrior::USUAL) >= -float::ln(0.05) {
                    missed += 1;
                    break;
                }
            }
        }
        f64::from(missed) / f64::from(runs)
    }

    #[test]
    fn looking_after_every_scenario_keeps_the_level() {
        for p in [0.3, 0.5, 0.7, 0.9] {
            let missed = ever_missed(p, 400, 300);
            assert!(missed <= 0.05 + 3.0 * (0.05_f64 / 400.0).sqrt(), "{p}: {missed}");
            assert!(missed > 0.0, "the test could fail");
        }
    }

    /// Whatever makes a run of the usual design stop, its interval misses the truth no more often than it says.
    #[test]
    fn stopping_early_keeps_the_level() {
        let (runs, plan) = (600, SequentialPlan::usual(250));
        for p in [0.5, 0.7, 0.85] {
            let misses = |run: &u32| {
                let mut random = Random::new(7, "stopping", u64::from(*run));
                let mut passed = 0;
                let early = (1..plan.scenarios).any(|seen| {
                    passed += u64::from(random.share() < p);
                    log_evidence(passed, seen - passed, p, plan.prior) >= -float::ln(plan.alpha_early)
                });
                passed += u64::from(random.share() < p);
                early || {
                    let Interval { lo, hi } =
                        sequential_decide(passed, plan.scenarios - passed, &plan, &THRESHOLDS).interval;
                    p < lo || hi < p
                }
            };
            let missed = (0..runs).filter(misses).count() as f64 / f64::from(runs);
            assert!(missed <= 0.05 + 3.0 * (0.05 * 0.95 / f64::from(runs)).sqrt(), "{p}: {missed}");
            assert!(missed > 0.01, "{p}: the level is used up: {missed}");
        }
    }

    #[test]
    fn looking_into_a_shuffled_suite_keeps_the_level() {
        let suite = 120;
        for passes in [30, 84, 115] {
            let mut missed = 0;
            for run in 0..200 {
                let order = Random::new(7, "suite", run).order(suite);
                let mut passed = 0;
                for (drawn, place) in (1..).zip(&order) {
                    passed += u64::from(*place < passes);
                    let found = suite_confidence_sequence(passed, drawn, u64::from(suite), 0.05, BetaPrior::EVEN);
                    if !(found.lo..=found.hi).contains(&u64::from(passes)) {
                        missed += 1;
                        break;
                    }
                }
            }
            assert!(f64::from(missed) / 200.0 <= 0.05 + 3.0 * (0.05_f64 / 200.0).sqrt(), "{passes}: {missed}");
        }
    }

    /// Mean number of scenarios until the stop, and the share of runs with this outcome.
    fn design(p: f64, right: Outcome) -> (f64, f64) {
        let plan = SequentialPlan::usual(400);
        let (mut scenarios, mut correct) = (0, 0);
        for run in 0..60 {
            let mut random = Random::new(7, "design", run);
            let (mut passed, mut failed) = (0, 0);
            loop {
                let pass = u64::from(random.share() < p);
                (passed, failed) = (passed + pass, failed + 1 - pass);
                let found = sequential_decide(passed, failed, &plan, &THRESHOLDS);
                if found.stop {
                    scenarios += passed + failed;
                    correct += u32::from(found.outcome == right);
                    break;
                }
            }
        }
        (scenarios as f64 / 60.0, f64::from(correct) / 60.0)
    }

    #[test]
    fn clear_cases_stop_early() {
        for (p, right) in [(0.3, Outcome::FullPipeline), (0.9, Outcome::Deploy)] {
            let (scenarios, correct) = design(p, right);
            assert!(scenarios < 120.0 && correct > 0.95, "{p}: {scenarios} {correct}");
        }
    }

    proptest! {
        #[test]
        fn evidence_by_the_formula(passed in 0_u64..400, failed in 0_u64..400, p in 0.01..0.99_f64, a in 0.5..4.0_f64) {
            let (s, f) = (passed as f64, failed as f64);
            let ln_beta = |a: f64, b: f64| libm::lgamma(a) + libm::lgamma(b) - libm::lgamma(a + b);
            let expected = ln_beta(a + s, 2.0 + f) - ln_beta(a, 2.0) - s * libm::log(p) - f * libm::log(1.0 - p);
            let found = log_evidence(passed, failed, p, BetaPrior { a, b: 2.0 });
            prop_assert!((found - expected).abs() < 1e-9 * (1.0 + expected.abs()), "{found} {expected}");
        }

        #[test]
        fn ends_lie_where_the_evidence_reaches_the_limit(passed in 1_u64..3_000, failed in 1_u64..3_000) {
            let Interval { lo, hi } = confidence_sequence(passed, failed, 0.05, BetaPrior::USUAL);
            let is_kept = |p: f64| log_evidence(passed, failed, p, BetaPrior::USUAL) < -libm::log(0.05);
            // To both sides of each end.
            prop_assert!(is_kept(lo + 1e-10) && !is_kept(lo - 1e-10) && is_kept(hi - 1e-10) && !is_kept(hi + 1e-10));
        }

        /// Against the ratio at every number of passes, with the posterior of the hypergeometric draw summed out.
        #[test]
        fn suites_by_enumeration(suite in 1_u64..40, drawn_share in 0.0..=1.0_f64, share in 0.0..=1.0_f64) {
            let drawn = (0..=suite).rfind(|x| *x as f64 <= drawn_share * suite as f64).unwrap();
            let passed = (0..=drawn).rfind(|x| *x as f64 <= share * drawn as f64).unwrap();
            let choose = |n: u64, k: u64| (0..k).map(|i| (n - i) as f64 / (i + 1) as f64).product::<f64>();
            // With an even prior over rates all numbers of passes are alike beforehand.
            let likelihood = |passes: u64| {
                if passes < passed || suite - passes < drawn - passed { return 0.0; }
                choose(passes, passed) * choose(suite - passes, drawn - passed)
            };
            let sum: f64 = (0..=suite).map(likelihood).sum();
            let kept: Vec<u64> =
                (0..=suite).filter(|passes| likelihood(*passes) / sum * (suite + 1) as f64 > 0.05 * (1.0 + 1e-9)).collect();
            let found = suite_confidence_sequence(passed, drawn, suite, 0.05, BetaPrior::EVEN);
            prop_assert_eq!((found.lo, found.hi), (kept[0], kept[kept.len() - 1]));
        }
    }
}
