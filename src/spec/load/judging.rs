//! Reads stages that judge, and warns of judges that are close to whom they judge.

use indexmap::IndexMap;

use super::check::Met;
use super::conditions::Conditions;
use super::family;
use super::mode::mode;
use super::rubric::{self, ReadRubric};
use super::stages::{Context, LONGEST_REPLY, Sampling, Sketch, context_size, repeat, sampling};
use super::wires::Need;
use crate::ids::{ModelName, StageId};
use crate::spec::pipeline::{Decide, Judge, JudgeMode, Model, ModelRef, PullFrom, Stage, Votes};
use crate::spec::problem::Code;
use crate::spec::read::{Field, Fields};
use crate::spec::rubric::{Ask, PassRule, Rubric};

/// Fewer judges than this do not tell who of them errs.
const FEWEST_JUDGES: usize = 3;

/// Most tokens of one verdict where the file does not say.
const VERDICT_TOKENS: u32 = 200;

impl Context<'_> {
    pub(super) fn judge(&self, mut fields: Fields<'_>) -> Option<Judge> {
        let answers = fields.required("answers").and_then(|field| self.outline.stage(field, Need::Answers));
        let rubric = fields
            .required("rubric")
            .and_then(|field| self.files.document(field))
            .and_then(|document| rubric::read(document, self.files));
        let has_model = fields.has("model");
        let models = fields.optional("model").map_or(Some(Vec::new()), |field| self.judges(field));
        let mode = mode(&mut fields);
        let weighs = matches!(mode, Some(JudgeMode::Logprob { .. }));
        let tokens = fields.optional("max_tokens").filter(|_| !weighs).map(|field| field.small(32..=LONGEST_REPLY));
        let sampling = sampling(&mut fields);
        let repeat = repeat(&mut fields);
        // Each judge of a panel has the context of its own model, unless the stage states one for all.
        let only = models.as_deref().and_then(|models| if let [only] = models { Some(only) } else { None });
        let context = context_size(&mut fields, only);
        let (reader, span) = (fields.reader, fields.span.clone());
        fields.finish();

        let ReadRubric { rubric, file, first_question, conditions, met: Met { templates, costs, times } } = rubric?;
        if let Some(answers) = answers.clone() {
            let file = file.clone();
            self.conditions.borrow_mut().push(Conditions { answers, file, conditions, templates, costs, times });
        }
        if let (Some(question), false) = (first_question, has_model) {
            let message = format!("`{}` asks questions, and no model answers them", file.path.display());
            reader.push(
                reader
                    .problem(Code::NeedsJudge, &span, "no `model`", message)
                    .other(&file, &question, "the first question")
                    .help("add `model:` with an entry of `models` or a `pull` stage"),
            );
        }
        let max_tokens = tokens.unwrap_or_else(|| Some(default_tokens(mode?, &rubric)));
        let Sampling { temperature, top_p, seed } = sampling?;
        Some(Judge {
            answers: answers?,
            rubric,
            models: models?,
            mode: mode?,
            max_tokens: max_tokens?,
            temperature,
            top_p,
            seed,
            repeat: repeat?,
            context,
        })
    }

    /// One judge, or a panel of several.
    fn judges(&self, field: Field<'_>) -> Option<Vec<ModelRef>> {
        let items: Vec<Field<'_>> = field.texts()?.into_iter().map(|(item, _)| item).collect();
        let read: Vec<Option<ModelRef>> = items.iter().map(|item| self.model(*item)).collect();
        for (at, item) in items.iter().enumerate() {
            let Some(first) = (0..at).find(|first| read[*first].is_some() && read[*first] == read[at]) else {
                continue;
            };
            let message = format!("judge `{}` is listed twice", item.shown());
            let problem = item.problem(Code::DuplicateId, "again", message);
            let problem = problem.other(item.reader.file, items[first].span(), "first here");
            item.push(problem.help("remove one of the two; `repeat` asks one judge several times"));
            return None;
        }
        read.into_iter().collect()
    }
}

/// The ways to make one verdict of a panel's, and whether each is Dawid and Skene's.
pub(super) const VOTES: &[(&str, bool)] = &[("majority", false), ("dawid_skene", true)];

/// Stands for Dawid and Skene's way until [`fill_in_panels`] knows the rubric.
pub(super) fn votes_of_a_panel_to_come() -> Votes {
    let pass = PassRule { score: 1.0, min_applicable: 0.0, at_least: Vec::new() };
    Votes::DawidSkene(Box::new(Rubric { name: String::new(), pass, criteria: Vec::new() }))
}

/// Gives decisions that weigh the votes of a panel its rubric, and reports those whose verdicts are of fewer than three judges,
/// or that are corrected by what is known of the majority.
pub(super) fn fill_in_panels(sketches: &[Sketch<'_>], stages: &mut IndexMap<StageId, Stage>) {
    let judges: Vec<(StageId, usize, Rubric)> = stages
        .iter()
        .filter_map(|(id, stage)| match stage {
            Stage::Judge(judge) => Some((id.clone(), judge.models.len(), judge.rubric.clone())),
            Stage::Research(_)
            | Stage::Pull(_)
            | Stage::Generate(_)
            | Stage::Infer(_)
            | Stage::Prefer(_)
            | Stage::Calibrate(_)
            | Stage::Compare(_)
            | Stage::Decide(_) => None,
        })
        .collect();
    for (id, stage) in stages {
        let Stage::Decide(Decide { verdicts, votes: votes @ Votes::DawidSkene(_), calibration, .. }) = stage else {
            continue;
        };
        let Some((_, count, rubric)) = judges.iter().find(|(judge, _, _)| judge == verdicts) else { continue };
        *votes = Votes::DawidSkene(Box::new(rubric.clone()));
        let sketch = sketches.iter().find(|sketch| sketch.id.as_ref() == Some(id));
        let entries = sketch.and_then(|sketch| sketch.body.entries()).unwrap_or_default();
        let field = |name: &str| entries.iter().find(|(key, _)| key.name == name).map(|(_, field)| *field);
        if let (Some(_), Some(votes), Some(field)) = (calibration, field("votes"), field("calibration")) {
            let message =
                "the calibration is of what the majority of the panel says, and `dawid_skene` decides otherwise";
            let problem = field.problem(Code::OtherJudge, "of the majority", message.to_owned());
            let problem = problem.help("write `votes: majority`, or remove `calibration`");
            field.push(problem.other(votes.reader.file, votes.span(), "decides otherwise"));
        }
        if let (Some(field), true) = (field("votes"), *count < FEWEST_JUDGES) {
            let message = format!(
                "`dawid_skene` takes the verdicts of {FEWEST_JUDGES} judges or more, and `{verdicts}` has {count}"
            );
            let problem = field.problem(Code::InvalidValue, "too few judges", message);
            field.push(problem.help("name more judges in `model` there, or write `votes: majority`"));
        }
    }
}

/// A verdict's worth of tokens, as often as there is a verdict in one answer.
fn default_tokens(mode: JudgeMode, rubric: &Rubric) -> u32 {
    match mode {
        JudgeMode::Json => VERDICT_TOKENS,
        JudgeMode::Logprob { max_outside: _ } => 1,
        JudgeMode::Together => {
            let questions = rubric
                .criteria
                .iter()
                .filter(|criterion| matches!(criterion.ask, Ask::Question(_) | Ask::Scale(_)))
                .count();
            u32::try_from(questions).unwrap_or(u32::MAX).max(1).saturating_mul(VERDICT_TOKENS).min(LONGEST_REPLY)
        }
    }
}

/// Warns where the model under test is its own judge, or where a judge is of its family.
pub(super) fn warn_of_self_judging(
    sketches: &[Sketch<'_>],
    stages: &IndexMap<StageId, Stage>,
    models: &IndexMap<ModelName, Model>,
) {
    let body = |id: &StageId| sketches.iter().find(|sketch| sketch.id.as_ref() == Some(id)).map(|sketch| sketch.body);
    let model_field =
        |id| body(id)?.entries()?.into_iter().find(|(key, _)| key.name == "model").map(|(_, field)| field);
    let judge_field = |id, seat: usize| {
        let items = model_field(id)?.texts()?;
        items.get(seat).map(|(item, _)| *item)
    };
    for (id, stage) in stages {
        let Stage::Judge(Judge { answers, models: judges, .. }) = stage else { continue };
        let Some(Stage::Infer(infer)) = stages.get(answers) else { continue };
        for (seat, judge) in judges.iter().enumerate() {
            let (code, message) = if is_same_model(judge, &infer.model, stages, models) {
                let message = "the judge is the model under test; its verdicts favour its own replies".to_owned();
                (Code::SelfJudging, message)
            } else if let Some(family) = family::shared(judge, &infer.model, stages, models) {
                let message = format!("the judge and the model under test are both of the `{family}` family");
                (Code::SameFamily, message)
            } else {
                continue;
            };
            if let (Some(judge), Some(tested)) = (judge_field(id, seat), model_field(answers)) {
                let problem = judge.problem(code, "the judge", message);
                judge.push(problem.other(tested.reader.file, tested.span(), "the model under test"));
            }
        }
    }
}

/// Whether two `pull` stages bring the same file.
fn is_same_file(one: &StageId, other: &StageId, stages: &IndexMap<StageId, Stage>) -> bool {
    let pulled = |id| match stages.get(id) {
        Some(Stage::Pull(pull)) => Some(&pull.from),
        _ => None,
    };
    one == other
        || match (pulled(one), pulled(other)) {
            (
                Some(PullFrom::Candidate { stage, pick }),
                Some(PullFrom::Candidate { stage: other_stage, pick: other_pick }),
            ) => stage == other_stage && pick == other_pick,
            (Some(PullFrom::Source(one)), Some(PullFrom::Source(other))) => one == other,
            (Some(PullFrom::Mirrors(one)), Some(PullFrom::Mirrors(other))) => one == other,
            _ => false,
        }
}

pub(super) fn is_same_model(
    one: &ModelRef,
    other: &ModelRef,
    stages: &IndexMap<StageId, Stage>,
    models: &IndexMap<ModelName, Model>,
) -> bool {
    match (one, other) {
        // A fine-tune is taken for another model than its base: whether it judges its base by its own taste is not known.
        (ModelRef::Embedded(one), ModelRef::Embedded(other)) => {
            is_same_file(&one.weights, &other.weights, stages)
                && match (&one.adapter, &other.adapter) {
                    (None, None) => true,
                    (Some(one), Some(other)) => is_same_file(&one.stage, &other.stage, stages),
                    (Some(_), None) | (None, Some(_)) => false,
                }
        }
        (ModelRef::Declared(one), ModelRef::Declared(other)) => match (models.get(one), models.get(other)) {
            // Canned replies favour nobody.
            (Some(Model::OpenAi(one)), Some(Model::OpenAi(other))) => {
                one.base_url == other.base_url && one.model == other.model
            }
            _ => false,
        },
        _ => false,
    }
}
