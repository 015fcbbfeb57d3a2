//! `compare`: two tables of verdicts → what became better, what worse, and whether what must hold was held.
//!
//! Owns how rows are paired, what is left out of the comparison, which interval decides and the sentences that explain it;
//! the numbers themselves are `stats`'. Whole-table, but of a row no more is kept than its score. Start at [`Pairing`] for
//! one suite and at [`conclude`] for all.

mod contrast;
mod corrected;
mod differences;
mod flips;
mod pairing;
mod reasons;
mod scores;
#[cfg(test)]
mod tests;

use serde_json::{Value, json};

pub use self::contrast::Contrasted;
use self::contrast::in_scenarios;
use self::corrected::AsJudged;
pub use self::corrected::KnownJudge;
pub use self::pairing::{Pairing, Side};
use crate::data::{Comparison, ComparisonVerdict, GateOutcome, GuardResult, NoRegression};
use crate::spec::{Clustering, Compare, Goal, Guard};
use crate::stats::{self, Pairs};

/// Raised when the same verdicts would give another comparison.
pub const VERSION: u32 = 2;

/// Power with which a margin must be supported.
const POWER: f64 = 0.8;

/// The stage's own fields, as they go into its recipe; tables and calibrations are added by the caller.
#[must_use]
pub fn fields(compare: &Compare) -> Value {
    let Compare {
        arms: _,
        goal,
        margin,
        min_improvement,
        confidence,
        cluster,
        max_ungraded,
        seed,
        calibrations: _,
        guards,
    } = compare;
    let mut fields = json!({
        "margin": margin,
        "confidence": confidence,
        "max_ungraded": max_ungraded,
        "seed": seed,
    });
    if *goal != Goal::Improve {
        fields["goal"] = json!(goal);
    }
    if *min_improvement > 0.0 {
        fields["min_improvement"] = json!(min_improvement);
    }
    if *cluster != Clustering::Topic {
        fields["cluster"] = json!(cluster);
    }
    if !guards.is_empty() {
        let margins = guards.iter().map(|(name, Guard { arms: _, margin })| (name.as_str().to_owned(), json!(margin)));
        fields["guard_margins"] = Value::Object(margins.collect());
    }
    fields
}

/// Makes the comparison of its parts: the target, and the guards in the order of their names. `known` is what labels say of the judge
/// on the base and on the new arm.
#[must_use]
pub fn conclude(
    compare: &Compare,
    target: Contrasted,
    guards: Vec<Contrasted>,
    known: Option<[KnownJudge<'_>; 2]>,
) -> Comparison {
    let mut verdict = verdict(compare, &target);
    let mut held = (compare.goal == Goal::Hold).then(|| no_regression(&target, compare.margin, compare.confidence));
    let judged = AsJudged { verdict, held: held.as_ref() };
    let corrected = known.map(|known| corrected::corrected(compare, &target, known, judged));
    let mut reasons = match &corrected {
        None => reasons::target(compare, &target, judged),
        Some(found) => {
            verdict = corrected::verdict(compare, found);
            reasons::corrected_target(compare, &target, judged, found)
        }
    };
    if let (Some(found), Some(held)) = (&corrected, &mut held) {
        held.verdict = corrected::holds(compare, found, held);
        held.small_loss &= held.verdict == GateOutcome::Passed;
    }
    let reached = match (&held, verdict) {
        (Some(held), _) => held.verdict,
        (None, ComparisonVerdict::Improved) => GateOutcome::Passed,
        (None, ComparisonVerdict::NoDifference | ComparisonVerdict::Regressed) => GateOutcome::Failed,
        (None, ComparisonVerdict::Inconclusive) => GateOutcome::Inconclusive,
    };
    let mut details = reasons.split_off(1);
    let guards: Vec<GuardResult> = compare
        .guards
        .iter()
        .zip(guards)
        .map(|((name, guard), found)| {
            let gate = no_regression(&found, guard.margin, compare.confidence);
            reasons.push(reasons::guard(name, &found, &gate));
            GuardResult {
                name: name.clone(),
                blocked: found.blocked.map(|(why, _)| why),
                gate,
                contrast: found.contrast,
            }
        })
        .collect();
    reasons.append(&mut details);
    let gates = || std::iter::once(reached).chain(guards.iter().map(|guard| guard.gate.verdict));
    let gate = if gates().any(|gate| gate == GateOutcome::Failed) {
        GateOutcome::Failed
    } else if gates().all(|gate| gate == GateOutcome::Passed) {
        GateOutcome::Passed
    } else {
        GateOutcome::Inconclusive
    };
    let goal = Goal::ALL.iter().find(|(_, goal)| *goal == compare.goal).map_or("", |(name, _)| name);
    Comparison {
        verdict,
        blocked: target.blocked.map(|(why, _)| why),
        gate,
        reasons,
        goal: goal.to_owned(),
        margin: compare.margin,
        min_improvement: compare.min_improvement,
        seed: compare.seed,
        target: target.contrast,
        corrected,
        held,
        guards,
    }
}

/// What the intervals say of the target.
fn verdict(compare: &Compare, target: &Contrasted) -> ComparisonVerdict {
    let contrast = &target.contrast;
    if target.blocked.is_some() || contrast.too_few_clusters || contrast.difference.point.is_none() {
        return ComparisonVerdict::Inconclusive;
    }
    let difference = &contrast.difference;
    // The interval and the test agree but for what lies just at the edge.
    let is_shown = contrast.tests.is_none_or(|tests| tests.p < 1.0 - compare.confidence);
    if is_shown && difference.lo > compare.min_improvement {
        return ComparisonVerdict::Improved;
    }
    if is_shown && difference.hi < 0.0 {
        return ComparisonVerdict::Regressed;
    }
    let least = least_that_counts(compare);
    let is_supported = target.margin_supported.is_some_and(|supported| supported <= least);
    let one_sided = &target.one_sided;
    if is_supported && -least < one_sided.lo && one_sided.hi < least {
        return ComparisonVerdict::NoDifference;
    }
    ComparisonVerdict::Inconclusive
}

/// Differences below this, either way, count as none.
fn least_that_counts(compare: &Compare) -> f64 {
    compare.margin.max(compare.min_improvement)
}

/// The level of the interval each end of which is exceeded as rarely as both ends of the other: for tests of one side.
fn one_sided(confidence: f64) -> f64 {
    2.0 * confidence - 1.0
}

/// Whether the new arm is no worse than `margin` allows.
fn no_regression(found: &Contrasted, margin: f64, confidence: f64) -> NoRegression {
    let Contrasted {
        contrast,
        blocked,
        one_sided,
        pairs,
        design_effect,
        margin_supported,
        lost_topics,
        level: _,
        clusters: _,
    } = found;
    let by_interval = corrected::no_worse(one_sided, margin);
    let is_supported = margin_supported.is_some_and(|supported| supported <= margin);
    let verdict = if blocked.is_some() || one_sided.point.is_none() {
        GateOutcome::Inconclusive
    } else if !lost_topics.is_empty() {
        GateOutcome::Failed
    } else if contrast.too_few_clusters || (by_interval == GateOutcome::Passed && !is_supported) {
        GateOutcome::Inconclusive
    } else {
        by_interval
    };
    let needed = |pairs: &Pairs| {
        let rows = stats::n_noninferiority(pairs.discordance(), margin, 0.0, 1.0 - confidence, POWER)?;
        Some(in_scenarios(rows, *design_effect, pairs.scenarios(), contrast.counts.scenarios))
    };
    NoRegression {
        verdict,
        by_interval,
        margin,
        difference: one_sided.clone(),
        equivalent: -margin < one_sided.lo && one_sided.hi < margin,
        small_loss: verdict == GateOutcome::Passed && one_sided.hi < 0.0,
        p: pairs.map(|pairs| stats::noninferiority_p(pairs.gains, pairs.losses, pairs.scenarios(), margin)),
        margin_supported: *margin_supported,
        scenarios_needed: pairs.as_ref().and_then(needed),
        lost_topics: lost_topics.clone(),
    }
}
