//! The two models of a decision that looked at a backup, side by side.

#[cfg(test)]
mod tests;

use std::io;

use serde::Serialize;

use super::gates::name;
use super::looks::looked_at;
use super::model::{self, NextStep};
use super::terminal::hanging;
use super::text::rate;
use crate::data::{Decision, GateCheck, GateStatus, ModelRole, OtherModel, Outcome, Rate};
use crate::ids::StageId;
use crate::spec;
use crate::stats::text::list;

/// What one of two models came to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TriedModel {
    /// Which of the two it is.
    pub role: ModelRole,
    /// The stage that judged its replies.
    pub verdicts: StageId,
    /// Who answered, in words.
    pub answered_by: Option<String>,
    /// Whether it is the one that is decided on.
    pub decided_on: bool,
    /// What would be decided on it alone.
    pub outcome: Outcome,
    /// The rate whose interval decides.
    pub rate: Rate,
    /// How much of the suite that took, in words, where it may be less than all.
    pub looked_at: Option<String>,
    /// The gates that it does not keep to, or of which nobody can say, but for those on how long calls took.
    pub gates_not_passed: Vec<GateCheck>,
}

/// The models that were tried, the first one first; none where one was enough.
pub(super) fn tried(pipeline: &spec::Pipeline, decision: Option<&Decision>) -> Vec<TriedModel> {
    let decides = pipeline.stages.values();
    let mut decides =
        decides.filter_map(|stage| if let spec::Stage::Decide(decide) = stage { Some(decide) } else { None });
    let (Some(decide), Some(decision)) = (decides.next(), decision) else { return Vec::new() };
    let Some(OtherModel { role, verdicts, decision: other }) = decision.other.as_deref() else { return Vec::new() };
    let model = |role, verdicts: &StageId, decision: &Decision, decided_on| TriedModel {
        role,
        verdicts: verdicts.clone(),
        answered_by: model::infer_of(pipeline, verdicts).map(|infer| model::answered_by(pipeline, infer)),
        decided_on,
        outcome: decision.outcome,
        rate: decision.deciding(),
        looked_at: decision.sequential.as_ref().and_then(looked_at),
        gates_not_passed: decision.gates.iter().filter(|gate| gate.status != GateStatus::Passed).cloned().collect(),
    };
    let decided = decide.decided_on(decision.is_of_backup());
    let other = model(*role, verdicts, other, false);
    match role {
        ModelRole::Primary => vec![other, model(ModelRole::Backup, decided, decision, true)],
        ModelRole::Backup => vec![model(ModelRole::Primary, decided, decision, true), other],
    }
}

impl TriedModel {
    /// What it is called where there are two.
    pub(super) fn called(&self) -> &'static str {
        match self.role {
            ModelRole::Primary => "first model",
            ModelRole::Backup => "backup",
        }
    }
}

/// The headline of a decision on two models, where it is another than that of one.
pub(super) fn headline(decision: &Decision) -> Option<&'static str> {
    if !decision.is_of_backup() {
        let fails = decision.outcome == Outcome::Deploy && decision.other.is_some();
        return fails.then_some("Not yet: the first model fails a gate, and the backup does not take over.");
    }
    match decision.outcome {
        Outcome::Deploy => Some("Deploy the backup: it is good enough as it is, and the first model is not."),
        Outcome::FineTune => {
            Some("Fine-tune the backup: neither model is good enough as it is, and the backup came out better.")
        }
        Outcome::FullPipeline => {
            Some("Not yet: neither model is good enough, and the backup too needs the full pipeline.")
        }
        Outcome::Inconclusive | Outcome::Blocked => None,
    }
}

/// What to do about a backup that did not take over because nobody knows yet how good it is. `first_step` says what would come first if
/// it were decided on alone.
pub(super) fn settle_backup(
    decision: &Decision,
    first_step: impl Fn(&Decision) -> Option<NextStep>,
) -> Option<NextStep> {
    let other = decision.other.as_deref().filter(|other| other.role == ModelRole::Backup)?;
    let OtherModel { role: _, verdicts, decision: backup } = other;
    if backup.fails() {
        return None;
    }
    let text = format!("Settle the backup (`{verdicts}`) first: it may be good enough, and nobody knows yet.");
    let (point, yaml) = match (backup.outcome, first_step(backup)) {
        // It deploys by its rate, so a gate is what is open.
        (Outcome::Deploy, _) | (_, None) => {
            let narrow = |gates| format!("{gates}; more scenarios narrow the intervals that gates are held against");
            (gates_in_words(&backup.gates).map(narrow), None)
        }
        (_, Some(step)) => (Some(step.text), step.yaml),
    };
    Some(NextStep { text, points: point.into_iter().collect(), checklist: false, yaml })
}

/// The gates that are not passed, in words; none where all are.
pub(super) fn gates_in_words(gates: &[GateCheck]) -> Option<String> {
    let with = |status: GateStatus| {
        let names: Vec<String> = gates.iter().filter(|gate| gate.status == status).map(name).collect();
        (!names.is_empty()).then(|| format!("{}: {}", status.as_str(), list(&names, "and")))
    };
    let both: Vec<String> = [GateStatus::Failed, GateStatus::Inconclusive].into_iter().filter_map(with).collect();
    (!both.is_empty()).then(|| both.join("; "))
}

/// Writes one line a model.
pub(super) fn terminal(models: &[TriedModel], width: usize, out: &mut dyn io::Write) -> io::Result<()> {
    for model in models {
        let label = match model.role {
            ModelRole::Primary => "First model: ",
            ModelRole::Backup => "Backup:      ",
        };
        let gates = gates_in_words(&model.gates_not_passed);
        let gates = gates.map(|gates| format!("; gates {}", gates.replace('`', ""))).unwrap_or_default();
        let decided = if model.decided_on { "; decided on" } else { "" };
        let looked = model.looked_at.as_ref().map(|looked| format!(", {looked}")).unwrap_or_default();
        hanging(
            label,
            &format!("{}, {}{looked}{gates}{decided}", model.outcome.as_str(), rate(&model.rate)),
            width,
            out,
        )?;
    }
    Ok(())
}
