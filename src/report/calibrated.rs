//! What the labels of people say about a judge, and what to do about it.

use serde::Serialize;

use super::beside::{self, JudgesBeside};
use super::model::NextStep;
use crate::data::{Calibration, Corrected, CriterionCompared, Decision};
use crate::ids::StageId;
use crate::spec;
use crate::stats::text::{list, thousands};

/// Criteria that a step names at most.
const CRITERIA: usize = 3;

/// A calibration and the stage that made it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StageCalibration {
    /// The `calibrate` stage.
    pub stage: StageId,
    /// What it came to.
    pub record: Calibration,
    /// Another judge of the same replies, which the stage holds beside its own; absent where it names none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub beside: Option<JudgesBeside>,
}

pub(super) fn in_words(pipeline: &spec::Pipeline, found: Vec<(StageId, Calibration)>) -> Vec<StageCalibration> {
    let stage =
        |(stage, record)| StageCalibration { beside: beside::in_words(pipeline, &stage, &record), stage, record };
    found.into_iter().map(stage).collect()
}

/// Whether a decision rests on a judge of whose errors nothing is known.
pub(super) fn is_judge_relative(decision: Option<&Decision>, judge: Option<&spec::Judge>) -> bool {
    let asks = |judge: &spec::Judge| {
        judge.rubric.criteria.iter().any(|criterion| matches!(criterion.ask, spec::Ask::Question(_)))
    };
    decision.is_some_and(|decision| decision.corrected.is_none()) && judge.is_some_and(asks)
}

/// What is said of a decision that nobody held against people.
pub(super) const JUDGE_RELATIVE: &str = "as the judge sees it: nobody has measured how far its verdicts are those of people; a \
                                         `calibrate` stage does, with labels that `evalflow label` takes down";

/// The headline of a decision that is open because of its judge.
pub(super) fn headline(decision: &Decision) -> Option<&'static str> {
    let is_open = decision.outcome == crate::data::Outcome::Inconclusive;
    let corrected = decision.corrected.as_ref().filter(|_| is_open)?;
    (!corrected.distrust.is_empty()).then_some("Not decided: the judge is not trusted.")
}

/// What to do where a calibrated decision is open; none where labels are not what is missing.
pub(super) fn next_steps(decision: &Decision, calibrations: &[StageCalibration], file: &str) -> Option<Vec<NextStep>> {
    let Corrected { distrust, labels_needed, transported, .. } = decision.corrected.as_ref()?;
    let step = |text: String, points: Vec<String>| NextStep { text, points, checklist: false, yaml: None };
    let label = format!("`evalflow label {file}`");
    if distrust.is_empty() {
        let most = labels_needed.iter().filter_map(|needed| needed.replies).max();
        return match (most, transported) {
            (Some(most), _) => Some(vec![step(
                format!("Label replies until about {} are labelled: {label} chooses which.", replies(most)),
                Vec::new(),
            )]),
            (None, true) => Some(vec![step(
                format!("Label replies of this run itself, which says more than labels on another model's: {label}."),
                Vec::new(),
            )]),
            (None, false) => None,
        };
    }
    let weakest = calibrations.iter().flat_map(|calibration| weakest(&calibration.record)).take(CRITERIA).collect();
    Some(vec![
        step(
            format!("Label more replies if there are few, with {label}: what is not measured is not trusted."),
            Vec::new(),
        ),
        step(
            "Read where the judge and people differ; then sharpen those criteria, give them examples, or let a stronger \
             model judge. The labels stay good: they are about the replies."
                .to_owned(),
            weakest,
        ),
    ])
}

/// The criteria on which judge and people differ most, in words.
fn weakest(calibration: &Calibration) -> Vec<String> {
    let mut differing: Vec<(&CriterionCompared, u64)> = calibration
        .criteria
        .iter()
        .map(|of| (of, of.compared.table.wrongly_passed + of.compared.table.wrongly_failed))
        .filter(|(_, differing)| *differing > 0)
        .collect();
    differing.sort_by_key(|(_, differing)| std::cmp::Reverse(*differing));
    let in_words = |(of, _): (&CriterionCompared, u64)| {
        let table = of.compared.table;
        let ways: Vec<String> = [(table.wrongly_passed, "passed"), (table.wrongly_failed, "failed")]
            .into_iter()
            .filter(|(times, _)| *times > 0)
            .map(|(times, what)| format!("{} wrongly {what}", replies(times)))
            .collect();
        format!("`{}`: {} of {}", of.criterion, list(&ways, "and"), table.n())
    };
    differing.into_iter().map(in_words).collect()
}

fn replies(number: u64) -> String {
    format!("{} {}", thousands(number), if number == 1 { "reply" } else { "replies" })
}
