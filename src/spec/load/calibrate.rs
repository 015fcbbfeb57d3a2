//! Reads a `calibrate` stage, and what its labels and its readers have to do with other stages.

use std::collections::BTreeSet;

use indexmap::IndexMap;

use super::gold::{self, ReadGold};
use super::stages::{Context, Sketch};
use super::wires::{Kind, Need};
use crate::ids::{CriterionId, StageId};
use crate::spec::compare::Calibrations;
use crate::spec::pipeline::{Calibrate, Floor, Judge, Stage};
use crate::spec::problem::{Code, Problem};
use crate::spec::read::{Field, Fields, Sink, did_you_mean};
use crate::spec::rubric::Ask;

/// The labels of one stage, which are checked against the rubric of another when all stages are read.
pub(super) struct Gold {
    verdicts: StageId,
    read: ReadGold,
}

impl Context<'_> {
    pub(super) fn calibrate(&self, mut fields: Fields<'_>) -> Option<Calibrate> {
        let verdicts = fields.required("verdicts").and_then(|field| self.outline.stage(field, Need::Verdicts));
        let beside = fields.optional("beside").map(|field| self.outline.stage(field, Need::Verdicts));
        let gold_field = fields.required("gold");
        let gold = gold_field.and_then(|field| self.files.lines(field));
        let floor = fields.optional("floor").map_or(Some(Floor::default()), floor);
        let inside = (std::ops::Bound::Excluded(0.0), std::ops::Bound::Excluded(1.0));
        let confidence = fields.optional("confidence").map_or(Some(0.95), |field| field.number(inside));
        fields.finish();
        let (path, text) = gold?;
        let labels = match text {
            Some((file, text)) => {
                let read = gold::read(file, &text, self.files.sink)?;
                let labels = read.labels.clone();
                if let Some(verdicts) = verdicts.clone() {
                    self.golds.borrow_mut().push(Gold { verdicts, read });
                }
                labels
            }
            None => {
                if let Some(field) = gold_field {
                    let message = format!("there is no file `{}` yet, and so no label", field.shown());
                    field.push(field.problem(Code::NoLabels, "no labels yet", message));
                }
                Vec::new()
            }
        };
        let (floor, confidence) = (floor?, confidence?);
        Some(Calibrate { verdicts: verdicts?, beside: beside.flatten(), gold: path, labels, floor, confidence })
    }
}

fn floor(field: Field<'_>) -> Option<Floor> {
    let mut fields = field.fields()?;
    let bound = |field: Option<Field<'_>>| field.map_or(Some(None), |field| field.number(0.0..=1.0).map(Some));
    let kappa = bound(fields.optional("kappa"));
    let ac1 = bound(fields.optional("ac1"));
    let sensitivity = bound(fields.optional("sensitivity"));
    let specificity = bound(fields.optional("specificity"));
    fields.finish();
    Some(Floor { kappa: kappa?, ac1: ac1?, sensitivity: sensitivity?, specificity: specificity? })
}

/// Reports labels on criteria that the rubric does not have.
pub(super) fn report_unknown_criteria(golds: &[Gold], stages: &IndexMap<StageId, Stage>, sink: &Sink) {
    for Gold { verdicts, read } in golds {
        let Some(Stage::Judge(judge)) = stages.get(verdicts) else { continue };
        let names: Vec<&str> = judge.rubric.criteria.iter().map(|criterion| criterion.id.as_str()).collect();
        for (criterion, span) in read.criteria.iter().filter(|(id, _)| !names.contains(&id.as_str())) {
            let message = format!("`{verdicts}` has no criterion `{criterion}`");
            let problem = Problem::new(Code::UnknownCriterion, &read.file, span, "unknown criterion", message);
            sink.borrow_mut().push(problem.help(did_you_mean(criterion.as_str(), &names)));
        }
    }
}

/// Reports two judges beside each other that are one, or whose verdicts are no pairs.
pub(super) fn report_unlike_judges(sketches: &[Sketch<'_>], stages: &IndexMap<StageId, Stage>) {
    for sketch in sketches.iter().filter(|sketch| sketch.kind == Kind::Calibrate) {
        let Some(Stage::Calibrate(calibrate)) = sketch.id.as_ref().and_then(|id| stages.get(id)) else { continue };
        let Calibrate { verdicts, beside: Some(beside), .. } = calibrate else { continue };
        let (Some(verdicts_field), Some(beside_field)) =
            (entry(sketch.body, &["verdicts"]), entry(sketch.body, &["beside"]))
        else {
            continue;
        };
        let problem = if beside == verdicts {
            let message = format!("`{beside}` is held beside itself");
            let problem = beside_field.problem(Code::SameArms, "the same stage", message);
            problem.help("name a `judge` stage that judges the same replies in another way")
        } else {
            let (Some(Stage::Judge(one)), Some(Stage::Judge(other))) = (stages.get(verdicts), stages.get(beside))
            else {
                continue;
            };
            let Some((label, message)) = unlike_judges((verdicts, one), (beside, other)) else { continue };
            beside_field.problem(Code::UnlikeJudges, label, message)
        };
        beside_field.push(problem.other(verdicts_field.reader.file, verdicts_field.span(), "the first judge"));
    }
}

/// Why the verdicts of two judges are no pairs: one to four words for the place, and the whole of it.
fn unlike_judges(
    (verdicts, one): (&StageId, &Judge),
    (beside, other): (&StageId, &Judge),
) -> Option<(&'static str, String)> {
    if one.answers != other.answers {
        let message = format!(
            "`{beside}` judges the replies of `{}`, and `{verdicts}` those of `{}`",
            other.answers, one.answers
        );
        return Some(("other replies", message));
    }
    let asked = |judge: &Judge| {
        let criteria = judge.rubric.criteria.iter().filter(|criterion| matches!(criterion.ask, Ask::Question(_)));
        criteria.map(|criterion| criterion.id.clone()).collect::<BTreeSet<_>>()
    };
    let (first, second) = (asked(one), asked(other));
    let only = |of: &StageId, those: &BTreeSet<CriterionId>, others: &BTreeSet<CriterionId>| {
        let names: Vec<String> = those.difference(others).map(|id| format!("`{id}`")).collect();
        (!names.is_empty()).then(|| format!("only `{of}` asks {}", names.join(", ")))
    };
    let differing: Vec<String> =
        [only(verdicts, &first, &second), only(beside, &second, &first)].into_iter().flatten().collect();
    (!differing.is_empty()).then(|| ("other criteria", differing.join("; ")))
}

/// Reports decisions and comparisons that correct the verdicts of one judge by the errors of another.
pub(super) fn report_other_judge(sketches: &[Sketch<'_>], stages: &IndexMap<StageId, Stage>) {
    for sketch in sketches {
        let report = |calibration: (&[&str], &StageId), verdicts: (&str, &StageId)| {
            let (path, calibration) = calibration;
            if let Some(field) = entry(sketch.body, path) {
                correct_by_own_judge(field, calibration, (entry(sketch.body, &[verdicts.0]), verdicts.1), stages);
            }
        };
        match sketch.id.as_ref().and_then(|id| stages.get(id)) {
            Some(Stage::Decide(decide)) => {
                if let Some(calibration) = &decide.calibration {
                    report((&["calibration"], calibration), ("verdicts", &decide.verdicts));
                }
            }
            Some(Stage::Compare(compare)) => {
                if let Some(Calibrations { base, new }) = &compare.calibrations {
                    report((&["calibrations", "base"], base), ("base", &compare.arms.base));
                    report((&["calibrations", "new"], new), ("new", &compare.arms.new));
                }
            }
            _ => {}
        }
    }
}

/// The field below others.
fn entry<'a>(field: Field<'a>, path: &[&str]) -> Option<Field<'a>> {
    path.iter().try_fold(field, |field, name| {
        let entries = field.node.value.as_map()?;
        let (key, node) = entries.iter().find(|(key, _)| key.name == *name)?;
        Some(Field { name: &key.name, node, ..field })
    })
}

/// Reports a calibration that is not of the judge of these verdicts.
fn correct_by_own_judge(
    field: Field<'_>,
    calibration: &StageId,
    (verdicts_field, verdicts): (Option<Field<'_>>, &StageId),
    stages: &IndexMap<StageId, Stage>,
) {
    let Some(Stage::Calibrate(calibrate)) = stages.get(calibration) else { return };
    let (Some(Stage::Judge(here)), Some(Stage::Judge(there))) = (stages.get(verdicts), stages.get(&calibrate.verdicts))
    else {
        return;
    };
    if is_same_judge(here, there) {
        return;
    }
    let message =
        format!("the calibration is of the judge of `{}`, which is not the one of `{verdicts}`", calibrate.verdicts);
    let problem = field.problem(Code::OtherJudge, "another judge", message);
    field.push(match verdicts_field {
        Some(verdicts) => problem.other(verdicts.reader.file, verdicts.span(), "judged otherwise"),
        None => problem,
    });
}

/// Whether two stages judge alike whatever they judge: then what is known of one judge's errors is known of the other's.
pub(super) fn is_same_judge(one: &Judge, other: &Judge) -> bool {
    let alike = |judge: &Judge| Judge { answers: one.answers.clone(), ..judge.clone() };
    // Rubrics hold compiled parts, which have no equality of their own.
    let rubric = |judge: &Judge| serde_json::to_value(&judge.rubric).ok();
    let (one_rubric, other_rubric) = (rubric(one), rubric(other));
    let (one, other) = (alike(one), alike(other));
    one_rubric == other_rubric
        && one.models == other.models
        && one.mode == other.mode
        && (one.max_tokens, one.seed, one.repeat, one.context)
            == (other.max_tokens, other.seed, other.repeat, other.context)
        && (one.temperature - other.temperature).abs() <= 0.0
        && (one.top_p - other.top_p).abs() <= 0.0
}
