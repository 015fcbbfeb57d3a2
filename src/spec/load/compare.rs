//! Reads `compare` stages, and checks that what they hold against each other was judged alike.

use std::collections::BTreeMap;
use std::ops::Bound;

use indexmap::IndexMap;

use super::judging::is_same_model;
use super::stages::{Context, Sketch};
use super::wires::Need;
use crate::ids::{GuardName, ModelName, StageId};
use crate::spec::compare::{Arms, Calibrations, Clustering, Compare, Goal, Guard};
use crate::spec::pipeline::{Infer, Judge, Model, ModelRef, Stage};
use crate::spec::problem::Code;
use crate::spec::read::{Field, Fields};

/// The loss that counts as none unless the file says otherwise.
const MARGIN: f64 = 0.05;

impl Context<'_> {
    pub(super) fn compare(&self, mut fields: Fields<'_>) -> Option<Compare> {
        let arms = self.arms(&mut fields);
        let calibrations = fields.optional("calibrations").map(|field| self.calibrations(field));
        let goal = fields.optional("goal").map_or(Some(Goal::Improve), |field| field.choice(Goal::ALL));
        let margin = margin(&mut fields, MARGIN);
        let below_one = (Bound::Included(0.0), Bound::Excluded(1.0));
        let min_improvement = fields.optional("min_improvement").map_or(Some(0.0), |field| field.number(below_one));
        // One-sided tests take half of what is left: below 0.5 that is nothing.
        let levels = (Bound::Excluded(0.5), Bound::Excluded(1.0));
        let confidence = fields.optional("confidence").map_or(Some(0.95), |field| field.number(levels));
        let cluster = fields.optional("cluster").map_or(Some(Clustering::Topic), |field| field.choice(Clustering::ALL));
        let max_ungraded = fields.optional("max_ungraded").map_or(Some(0.05), |field| field.number(0.0..=1.0));
        let seed = fields.optional("seed").map_or(Some(0), |field| field.integer(0..=u64::MAX));
        let guards = fields.optional("guards").map_or(Some(BTreeMap::new()), |field| {
            let entries = field.entries()?;
            let count = entries.len();
            let guards: BTreeMap<_, _> = entries
                .into_iter()
                .filter_map(|(key, field)| {
                    let name = super::named(field, &key.span, GuardName::new);
                    let guard = self.guard(field, margin.unwrap_or(MARGIN));
                    Some((name?, guard?))
                })
                .collect();
            (guards.len() == count).then_some(guards)
        });
        fields.finish();
        Some(Compare {
            arms: arms?,
            goal: goal?,
            margin: margin?,
            min_improvement: min_improvement?,
            confidence: confidence?,
            cluster: cluster?,
            max_ungraded: max_ungraded?,
            seed: seed?,
            calibrations: calibrations.flatten(),
            guards: guards?,
        })
    }

    /// The calibrations of both arms: of one alone, a difference could not be corrected.
    fn calibrations(&self, field: Field<'_>) -> Option<Calibrations> {
        let mut fields = field.fields()?;
        let base = fields.required("base").and_then(|field| self.outline.stage(field, Need::Calibration));
        let new = fields.required("new").and_then(|field| self.outline.stage(field, Need::Calibration));
        fields.finish();
        Some(Calibrations { base: base?, new: new? })
    }

    fn guard(&self, field: Field<'_>, usual: f64) -> Option<Guard> {
        let mut fields = field.fields()?;
        let arms = self.arms(&mut fields);
        let margin = margin(&mut fields, usual);
        fields.finish();
        Some(Guard { arms: arms?, margin: margin? })
    }

    fn arms(&self, fields: &mut Fields<'_>) -> Option<Arms> {
        let base = fields.required("base").and_then(|field| self.outline.stage(field, Need::Verdicts));
        let new = fields.required("new").and_then(|field| self.outline.stage(field, Need::Verdicts));
        Some(Arms { base: base?, new: new? })
    }
}

fn margin(fields: &mut Fields<'_>, usual: f64) -> Option<f64> {
    let inside = (Bound::Excluded(0.0), Bound::Excluded(1.0));
    fields.optional("margin").map_or(Some(usual), |field| field.number(inside))
}

/// Reports comparisons of a stage with itself or of stages that judge otherwise, and warns of those that may not be paired.
pub(super) fn report_unlike_arms(
    sketches: &[Sketch<'_>],
    stages: &IndexMap<StageId, Stage>,
    models: &IndexMap<ModelName, Model>,
) {
    for (id, stage) in stages {
        let Stage::Compare(compare) = stage else { continue };
        let Some(sketch) = sketches.iter().find(|sketch| sketch.id.as_ref() == Some(id)) else { continue };
        check(sketch.body, &compare.arms, stages, models);
        let guards = entry(sketch.body, "guards");
        for (name, guard) in &compare.guards {
            if let Some(field) = guards.and_then(|guards| entry(guards, name.as_str())) {
                check(field, &guard.arms, stages, models);
            }
        }
    }
}

fn entry<'a>(field: Field<'a>, name: &str) -> Option<Field<'a>> {
    let entries = field.node.value.as_map()?;
    let found = entries.iter().find(|(key, _)| key.name == name);
    found.map(|(key, node)| Field { name: &key.name, node, ..field })
}

fn check(
    body: Field<'_>,
    Arms { base, new }: &Arms,
    stages: &IndexMap<StageId, Stage>,
    models: &IndexMap<ModelName, Model>,
) {
    let (Some(base_field), Some(new_field)) = (entry(body, "base"), entry(body, "new")) else { return };
    let report = |code: Code, label: &str, message: String| {
        let problem = new_field.problem(code, label, message);
        new_field.push(problem.other(base_field.reader.file, base_field.span(), "the base"));
    };
    if base == new {
        report(Code::SameArms, "the same stage", format!("`{new}` is compared with itself"));
        return;
    }
    let (Some(Stage::Judge(one)), Some(Stage::Judge(other))) = (stages.get(base), stages.get(new)) else { return };
    if let Some(what) = unlike(one, other, models) {
        report(Code::UnlikeArms, "judged otherwise", format!("`{new}` and `{base}` are not judged alike: {what}"));
        return;
    }
    let answers = |judge: &Judge| match stages.get(&judge.answers) {
        Some(Stage::Infer(Infer { scenarios, repeat, .. })) => Some((scenarios.clone(), *repeat)),
        _ => None,
    };
    let (Some((base_suite, base_repeat)), Some((new_suite, new_repeat))) = (answers(one), answers(other)) else {
        return;
    };
    if base_suite != new_suite {
        let message = format!(
            "`{new}` is about the scenarios of `{new_suite}`, and `{base}` about those of `{base_suite}`: rows are paired \
             only where the scenarios are the same"
        );
        report(Code::Unpaired, "other scenarios", message);
    } else if base_repeat != new_repeat {
        let message = format!(
            "`{new}` has {new_repeat} answers to each scenario and `{base}` has {base_repeat}: those without a counterpart \
             are left out"
        );
        report(Code::Unpaired, "other repeats", message);
    }
}

/// What two judge stages do not have in common, besides what they judge.
fn unlike(one: &Judge, other: &Judge, models: &IndexMap<ModelName, Model>) -> Option<&'static str> {
    let Judge { answers: _, rubric, models: judges, mode, max_tokens, temperature, top_p, seed, repeat, context } = one;
    let text = |rubric| serde_json::to_string(rubric).unwrap_or_default();
    if text(rubric) != text(&other.rubric) {
        return Some("their rubrics differ");
    }
    if !is_same_panel(judges, &other.models, models) {
        return Some("their judges differ");
    }
    let differs = [
        (*mode != other.mode, "their `mode` differs"),
        (*max_tokens != other.max_tokens, "their `max_tokens` differs"),
        (temperature.total_cmp(&other.temperature).is_ne(), "their `temperature` differs"),
        (top_p.total_cmp(&other.top_p).is_ne(), "their `top_p` differs"),
        // What is drawn with temperature 0 is the same with any seed.
        (*seed != other.seed && *temperature > 0.0, "their `seed` differs"),
        (*repeat != other.repeat, "their `repeat` differs"),
        (*context != other.context, "their `context` differs"),
    ];
    differs.into_iter().find(|(differs, _)| *differs).map(|(_, what)| what)
}

/// Whether the same models judge, each in the same seat.
fn is_same_panel(one: &[ModelRef], other: &[ModelRef], models: &IndexMap<ModelName, Model>) -> bool {
    one.len() == other.len() && one.iter().zip(other).all(|(one, other)| is_same_judge(one, other, models))
}

fn is_same_judge(one: &ModelRef, other: &ModelRef, models: &IndexMap<ModelName, Model>) -> bool {
    match (one, other) {
        (ModelRef::Declared(_), ModelRef::Declared(_)) if one != other => {
            is_same_model(one, other, &IndexMap::new(), models)
        }
        _ => one == other,
    }
}
