//! What comparisons say in a report, before it has a form; and the form that they have on the terminal.

mod corrected;
mod terminal;

use serde::Serialize;

pub(super) use self::terminal::terminal;
use super::model::{NextStep, answered_by, infer_of};
use crate::data::{Comparison, ComparisonVerdict, GateOutcome, WhyBlocked};
use crate::ids::StageId;
use crate::spec;

/// One comparison, and who is compared.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StageComparison {
    /// The `compare` stage.
    pub stage: StageId,
    /// What there was.
    pub base: ComparedArm,
    /// What is to take its place.
    pub new: ComparedArm,
    /// What it came to.
    pub comparison: Comparison,
}

/// One side of a comparison.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ComparedArm {
    /// The `judge` stage.
    pub verdicts: StageId,
    /// Who answered what it judges, in words.
    pub answered_by: Option<String>,
    /// The `calibrate` stage by which it is corrected, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calibration: Option<StageId>,
}

/// Joins comparisons with what the pipeline says of their arms.
pub(super) fn of_stages(pipeline: &spec::Pipeline, found: Vec<(StageId, Comparison)>) -> Vec<StageComparison> {
    let arm = |verdicts: &StageId, calibration: Option<&StageId>| {
        let answered_by = infer_of(pipeline, verdicts).map(|infer| answered_by(pipeline, infer));
        ComparedArm { verdicts: verdicts.clone(), answered_by, calibration: calibration.cloned() }
    };
    found
        .into_iter()
        .filter_map(|(stage, comparison)| {
            let Some(spec::Stage::Compare(compare)) = pipeline.stages.get(&stage) else { return None };
            let spec::Arms { base, new } = &compare.arms;
            let known = compare.calibrations.as_ref();
            let (of_base, of_new) = (known.map(|known| &known.base), known.map(|known| &known.new));
            Some(StageComparison { stage, base: arm(base, of_base), new: arm(new, of_new), comparison })
        })
        .collect()
}

/// What a report is headed with that decides nothing and compares.
pub(super) fn headline(comparison: &Comparison) -> &'static str {
    let is_lost = comparison.guards.iter().any(|guard| guard.gate.verdict == GateOutcome::Failed);
    let holds = comparison.goal == "hold";
    if let (None, false, Some(open)) = (comparison.blocked, is_lost, corrected::headline(comparison)) {
        return open;
    }
    match (comparison.verdict, comparison.gate) {
        _ if comparison.blocked.is_some() => "Blocked: what was measured cannot carry a comparison.",
        (ComparisonVerdict::Improved, _) if is_lost => "Not to be taken: the target improved, and a guard was lost.",
        (ComparisonVerdict::Improved, GateOutcome::Inconclusive) => {
            "Not yet: the target improved, and a guard is not shown to hold."
        }
        (ComparisonVerdict::Improved, _) => "Improved: the new arm is better on the target, and every guard held.",
        (_, _) if is_lost => "Not to be taken: a guard was lost.",
        (_, GateOutcome::Passed) if holds => "Held: the new arm is shown to be no worse.",
        (ComparisonVerdict::Regressed, _) => "Regressed: the new arm is worse on the target.",
        (ComparisonVerdict::NoDifference, _) => "No difference: the arms are shown to be as good as each other.",
        (ComparisonVerdict::Inconclusive, _) => "Not decided: the scenarios do not show which arm is better.",
    }
}

/// What follows from comparisons, one step each.
pub(super) fn next_steps(found: &[StageComparison], file: &str) -> Vec<NextStep> {
    found.iter().map(|compared| next_step(compared, file)).collect()
}

fn next_step(compared: &StageComparison, file: &str) -> NextStep {
    let StageComparison { stage, base, new, comparison } = compared;
    let (base, new) = (&base.verdicts, &new.verdicts);
    let lost: Vec<String> = comparison
        .guards
        .iter()
        .filter(|guard| guard.gate.verdict == GateOutcome::Failed)
        .map(|guard| {
            let criteria: Vec<String> = guard
                .contrast
                .losses
                .criteria
                .iter()
                .take(3)
                .map(|(id, count)| format!("`{id}` {count} times"))
                .collect();
            let flips = guard.contrast.losses.count;
            let most =
                if criteria.is_empty() { String::new() } else { format!(", by criterion: {}", criteria.join(", ")) };
            format!("`{}`: {flips} replies that passed fail now{most}", guard.name)
        })
        .collect();
    let open: Vec<String> = comparison
        .guards
        .iter()
        .filter(|guard| guard.gate.verdict == GateOutcome::Inconclusive)
        .map(|guard| match guard.gate.scenarios_needed {
            Some(needed) => {
                format!("`{}`: {needed} scenarios where there are {}", guard.name, guard.contrast.counts.scenarios)
            }
            None => format!("`{}`", guard.name),
        })
        .collect();
    let step = |text: String, points: Vec<String>| NextStep { text, points, checklist: false, yaml: None };
    if let Some(why) = comparison.blocked {
        return match why {
            WhyBlocked::Ungraded => step(
                format!("Mend what leaves rows of `{base}` or `{new}` without a grade, then run again."),
                Vec::new(),
            ),
            WhyBlocked::Untrusted => step(format!("Let a stronger model judge `{base}` and `{new}`."), Vec::new()),
        };
    }
    if !lost.is_empty() {
        let text = format!(
            "Do not take what `{new}` judges: mix examples of what `{stage}` guards into the training data, or train with a \
             smaller learning rate or fewer steps, and compare again."
        );
        return step(text, lost);
    }
    if let Some(step) = corrected::next_step(compared, file) {
        return step;
    }
    match (comparison.gate, comparison.verdict) {
        (GateOutcome::Passed, _) => {
            step(format!("Take what `{new}` judges, and commit this as the baseline: `evalflow bless`."), Vec::new())
        }
        (_, ComparisonVerdict::Regressed) => {
            step(format!("Keep what `{base}` judges: read the replies that were lost."), Vec::new())
        }
        (GateOutcome::Failed, _) => {
            step(format!("Keep what `{base}` judges: the change brings nothing that counts."), Vec::new())
        }
        (GateOutcome::Inconclusive, ComparisonVerdict::Improved) => {
            step("Add scenarios to the guards that are open, and run again.".to_owned(), open)
        }
        (GateOutcome::Inconclusive, _) => {
            let needed = comparison.target.scenarios_needed;
            let mut points: Vec<String> = needed
                .map(|needed| {
                    format!("the target: {needed} scenarios where there are {}", comparison.target.counts.scenarios)
                })
                .into_iter()
                .collect();
            points.extend(open);
            step(format!("Add scenarios to what `{stage}` compares, and run again."), points)
        }
    }
}
