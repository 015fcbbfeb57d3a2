//! What is said of a comparison that is open because of its judge.

use super::super::model::NextStep;
use super::StageComparison;
use crate::data::{Comparison, ComparisonVerdict, CorrectedTarget, GateOutcome, LabelledArms};
use crate::stats::text::{list, thousands};

/// Why a comparison is open that the judge's verdicts alone would have settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum OpenBy {
    /// Nothing rests on a judge that is not trusted.
    Distrust,
    /// Labels do not bear out what it says.
    Labels,
}

fn open_by(comparison: &Comparison) -> Option<(OpenBy, &CorrectedTarget)> {
    let corrected = comparison.corrected.as_ref()?;
    if !corrected.is_trusted() {
        return Some((OpenBy::Distrust, corrected));
    }
    let is_left = match (corrected.held_as_judged, &comparison.held) {
        (Some(judged), Some(held)) => judged != GateOutcome::Inconclusive && held.verdict != judged,
        _ => {
            let judged = corrected.verdict_as_judged;
            judged != ComparisonVerdict::Inconclusive && comparison.verdict != judged
        }
    };
    is_left.then_some((OpenBy::Labels, corrected))
}

/// The headline of a comparison that is open because of its judge.
pub(super) fn headline(comparison: &Comparison) -> Option<&'static str> {
    Some(match open_by(comparison)?.0 {
        OpenBy::Distrust => "Not decided: the judge is not trusted.",
        OpenBy::Labels => "Not decided: people's labels do not bear out what the judge sees.",
    })
}

/// What to do where a comparison is open because of its judge.
pub(super) fn next_step(found: &StageComparison, file: &str) -> Option<NextStep> {
    let (why, corrected) = open_by(&found.comparison)?;
    let step = |text: String, points: Vec<String>| NextStep { text, points, checklist: false, yaml: None };
    let arms = [&found.base, &found.new];
    let mut stages: Vec<String> = arms.iter().filter_map(|arm| Some(arm.calibration.as_ref()?.to_string())).collect();
    stages.dedup();
    let commands: Vec<String> = stages.iter().map(|stage| format!("`evalflow label {file} --stage {stage}`")).collect();
    let label = list(&commands, "and");
    if why == OpenBy::Distrust {
        let text = format!(
            "Label more replies if there are few, with {label}; else sharpen the criteria on which judge and people differ, or let a \
             stronger model judge."
        );
        return Some(step(text, Vec::new()));
    }
    let transported: Vec<String> = corrected
        .arms()
        .iter()
        .zip(arms)
        .filter(|((_, arm), _)| arm.transported)
        .map(|(_, arm)| format!("`{}`", arm.verdicts))
        .collect();
    if !transported.is_empty() {
        let text = format!(
            "Label replies of {} themselves, in a `calibrate` stage of their own: labels on another model's replies do not tell \
             whether the judge favours an arm.",
            list(&transported, "and"),
        );
        return Some(step(text, Vec::new()));
    }
    Some(match corrected.labels_needed.map(|needed| needed.replies) {
        Some(Some(LabelledArms { base, new })) => step(
            format!("Label more replies, with {label}."),
            arms.iter()
                .zip([base, new])
                .map(|(arm, replies)| format!("`{}`: about {} replies in all", arm.verdicts, thousands(replies)))
                .collect(),
        ),
        Some(None) => step("Add scenarios, and label more replies of both arms.".to_owned(), Vec::new()),
        None => {
            let [base, new] = arms.map(|arm| &arm.verdicts);
            let text = format!(
                "Rely on nothing that the judge sees between `{base}` and `{new}`: read where it and people differ, and sharpen those \
                 criteria."
            );
            step(text, Vec::new())
        }
    })
}
