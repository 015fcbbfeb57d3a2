//! One reader a kind of stage.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::{Bound, Range};

use indexmap::IndexMap;

use super::axis_names::{self, Prompt};
use super::calibrate::{self, Gold};
use super::check::Met;
use super::compare;
use super::conditions::{self, Conditions};
use super::costs;
use super::decide;
use super::files::Files;
use super::gates;
use super::mode::mode;
use super::models;
use super::research::research;
use super::rubric::{self, ReadRubric};
use super::wires::{Kind, Need, Outline};
use crate::ids::{ModelName, StageId};
use crate::spec::pipeline::{Embedded, Infer, Judge, JudgeMode, Model, ModelRef, Pull, PullFrom, Stage};
use crate::spec::problem::{Code, SourceText};
use crate::spec::read::{Field, Fields};
use crate::spec::source::{FORMS, WeightsSource};
use crate::spec::template::Template;

/// A stage of which only the kind is known.
pub(super) struct Sketch<'a> {
    /// Its id, if that is one.
    pub(super) id: Option<StageId>,
    pub(super) kind: Kind,
    /// Where its kind is written.
    pub(super) at: &'a Range<usize>,
    /// Its settings.
    pub(super) body: Field<'a>,
}

/// What the readers of stages share.
pub(super) struct Context<'a> {
    pub(super) outline: &'a Outline<'a>,
    /// The entries of `models:` that run on the embedded engine.
    embedded: &'a BTreeMap<ModelName, Embedded>,
    pub(super) files: &'a Files<'a>,
    /// The conditions of all rubrics that were read.
    conditions: RefCell<Vec<Conditions>>,
    /// All prompts over scenarios that were read.
    prompts: RefCell<Vec<Prompt>>,
    /// The labels of all gold files that were read.
    pub(super) golds: RefCell<Vec<Gold>>,
}

/// Most tokens that a reply may have.
const LONGEST_REPLY: u32 = 32_768;

/// Reads the settings of all stages; gives those that are sound.
pub(super) fn read(
    sketches: &[Sketch<'_>],
    outline: &Outline<'_>,
    models: &IndexMap<ModelName, Model>,
    embedded: &BTreeMap<ModelName, Embedded>,
    files: &Files<'_>,
) -> IndexMap<StageId, Stage> {
    let context = Context {
        outline,
        embedded,
        files,
        conditions: RefCell::default(),
        prompts: RefCell::default(),
        golds: RefCell::default(),
    };
    let mut stages: IndexMap<StageId, Stage> = sketches
        .iter()
        .filter_map(|sketch| {
            let fields = sketch.body.fields()?.at(sketch.at);
            let stage = match sketch.kind {
                Kind::Research => research(fields, files).map(Box::new).map(Stage::Research),
                Kind::Pull => context.pull(fields).map(Stage::Pull),
                Kind::Generate => context.generate(fields).map(Stage::Generate),
                Kind::Infer => context.infer(fields).map(Stage::Infer),
                Kind::Judge => context.judge(fields).map(Stage::Judge),
                Kind::Calibrate => context.calibrate(fields).map(Stage::Calibrate),
                Kind::Decide => context.decide(fields).map(Stage::Decide),
                Kind::Compare => context.compare(fields).map(Stage::Compare),
            };
            Some((sketch.id.clone()?, stage?))
        })
        .collect();
    report_second_decision(sketches);
    compare::report_unlike_arms(sketches, &stages, models);
    decide::report_unknown_cluster(sketches, &stages);
    gates::complete(sketches, &mut stages, models);
    warn_of_self_judging(sketches, &stages, models);
    warn_of_equal_samples(sketches, &stages);
    calibrate::report_unknown_criteria(&context.golds.into_inner(), &stages, files.sink);
    calibrate::report_other_judge(sketches, &stages);
    let conditions = context.conditions.into_inner();
    costs::settle(&mut stages, models, &conditions, files.sink);
    axis_names::report_unknown(&context.prompts.into_inner(), &conditions, &stages, files.sink);
    conditions::warn_of_never(&conditions, &stages, files.sink);
    stages
}

/// Reports every decision after the first: the report and the exit code hold one.
fn report_second_decision(sketches: &[Sketch<'_>]) {
    let mut decisions = sketches.iter().filter(|sketch| sketch.kind == Kind::Decide);
    let Some(first) = decisions.next() else { return };
    for second in decisions {
        let message = "a pipeline comes to one decision, and this is another".to_owned();
        let reader = second.body.reader;
        reader.push(
            reader
                .problem(Code::SecondDecide, second.at, "another decision", message)
                .other(reader.file, first.at, "the first decision")
                .help("move it into a pipeline of its own; stages that both need are computed once"),
        );
    }
}

impl Context<'_> {
    pub(super) fn model(&self, field: Field<'_>) -> Option<ModelRef> {
        self.outline.model(field, self.embedded)
    }

    fn pull(&self, mut fields: Fields<'_>) -> Option<Pull> {
        let one = fields.exactly_one(["model", "from"]);
        let model = fields.optional("model").and_then(|field| {
            let (stage, pick) = self.outline.candidate(field)?;
            Some(PullFrom::Candidate { stage, pick })
        });
        let from = fields.optional("from");
        let has_digest = fields.has("sha256");
        let from = from.and_then(|field| self.pull_from(field, has_digest));
        let sha256 = fields.optional("sha256").map(|field| {
            let digest = field.text()?;
            if digest.len() == 64 && digest.bytes().all(|b| b.is_ascii_hexdigit()) {
                return Some(digest.to_ascii_lowercase());
            }
            let message = format!("`{}` is not a sha256 digest", field.shown());
            let problem = field.problem(Code::InvalidValue, "not a digest", message);
            field.push(problem.help("write the 64 hexadecimal digits that `sha256sum` prints"));
            None
        });
        fields.finish();
        let from = if one? == "model" { model } else { from }?;
        Some(Pull { from, sha256: sha256.flatten() })
    }

    /// Reads one source, or a list of those that have the same file.
    fn pull_from(&self, field: Field<'_>, has_digest: bool) -> Option<PullFrom> {
        let sources: Vec<Option<WeightsSource>> = field.texts()?.into_iter().map(|(item, _)| source(item)).collect();
        let mut sources = sources.into_iter().collect::<Option<Vec<_>>>()?;
        if sources.len() == 1 {
            return self.findable(field, sources.remove(0), has_digest).map(PullFrom::Source);
        }
        if !has_digest {
            let message = "several sources need `sha256`".to_owned();
            let problem = field.problem(Code::InvalidSource, "no `sha256`", message);
            field.push(problem.help("add `sha256:`; it is what makes them one file, wherever it comes from"));
            return None;
        }
        Some(PullFrom::Mirrors(sources))
    }

    /// Checks that a file is there, and that an address says enough to know the file again.
    fn findable(&self, field: Field<'_>, source: WeightsSource, has_digest: bool) -> Option<WeightsSource> {
        if let WeightsSource::File(path) = &source {
            self.files.existing(field, path)?;
        }
        if source.has_query() && !has_digest {
            let message = "an address with a query needs `sha256`".to_owned();
            let problem = field.problem(Code::InvalidSource, "no `sha256`", message);
            field.push(
                problem.help(
                    "add `sha256:`; the query is not part of what identifies the file, since it may hold a token",
                ),
            );
            return None;
        }
        Some(source)
    }

    fn infer(&self, mut fields: Fields<'_>) -> Option<Infer> {
        let model = fields.required("model").and_then(|field| self.model(field));
        let scenarios = fields.required("scenarios").and_then(|field| self.outline.stage(field, Need::Scenarios));
        let system = fields.optional("system").map(|field| self.files.template(field));
        let prompt = fields.optional("prompt").map(|field| self.files.template(field));
        let max_tokens = fields.optional("max_tokens").map_or(Some(256), |field| field.small(1..=LONGEST_REPLY));
        let sampling = sampling(&mut fields);
        let repeat = repeat(&mut fields);
        let context = context_size(&mut fields, model.as_ref());
        fields.finish();
        if let Some(scenarios) = &scenarios {
            let prompts = [&system, &prompt].into_iter().flatten().flatten().cloned();
            let named = prompts.map(|(template, file)| Prompt { scenarios: scenarios.clone(), file, template });
            self.prompts.borrow_mut().extend(named);
        }
        let text = |read: Option<(Template, SourceText)>| read.map(|(template, _)| template);
        let prompt = match prompt {
            Some(prompt) => text(prompt),
            None => Template::new("{{ scenario.opening }}").ok(),
        };
        let Sampling { temperature, top_p, seed } = sampling?;
        Some(Infer {
            model: model?,
            scenarios: scenarios?,
            system: text(system.flatten()),
            prompt: prompt?,
            max_tokens: max_tokens?,
            temperature,
            top_p,
            seed,
            repeat: repeat?,
            context,
        })
    }

    fn judge(&self, mut fields: Fields<'_>) -> Option<Judge> {
        let answers = fields.required("answers").and_then(|field| self.outline.stage(field, Need::Answers));
        let rubric = fields
            .required("rubric")
            .and_then(|field| self.files.document(field))
            .and_then(|document| rubric::read(document, self.files));
        let has_model = fields.has("model");
        let model = fields.optional("model").and_then(|field| self.model(field));
        let mode = mode(&mut fields);
        let weighs = matches!(mode, Some(JudgeMode::Logprob { .. }));
        let tokens = fields.optional("max_tokens").filter(|_| !weighs);
        let max_tokens = tokens.map_or(Some(if weighs { 1 } else { 200 }), |field| field.small(32..=LONGEST_REPLY));
        let sampling = sampling(&mut fields);
        let repeat = repeat(&mut fields);
        let context = context_size(&mut fields, model.as_ref());
        let (reader, span) = (fields.reader, fields.span.clone());
        fields.finish();

        let ReadRubric { rubric, file, first_question, conditions, met: Met { templates, costs } } = rubric?;
        if let Some(answers) = answers.clone() {
            let file = file.clone();
            self.conditions.borrow_mut().push(Conditions { answers, file, conditions, templates, costs });
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
        let Sampling { temperature, top_p, seed } = sampling?;
        Some(Judge {
            answers: answers?,
            rubric,
            model,
            mode: mode?,
            max_tokens: max_tokens?,
            temperature,
            top_p,
            seed,
            repeat: repeat?,
            context,
        })
    }
}

/// How a model's tokens are drawn.
struct Sampling {
    temperature: f64,
    top_p: f64,
    seed: u64,
}

fn sampling(fields: &mut Fields<'_>) -> Option<Sampling> {
    let temperature = fields.optional("temperature").map_or(Some(0.0), |field| field.number(0.0..=2.0));
    let inside = (Bound::Excluded(0.0), Bound::Included(1.0));
    let top_p = fields.optional("top_p").map_or(Some(1.0), |field| field.number(inside));
    let seed = fields.optional("seed").map_or(Some(0), |field| field.integer(0..=u64::MAX));
    Some(Sampling { temperature: temperature?, top_p: top_p?, seed: seed? })
}

fn repeat(fields: &mut Fields<'_>) -> Option<u32> {
    fields.optional("repeat").map_or(Some(1), |field| field.small(1..=100))
}

/// The stage's own context, or else that of its model.
fn context_size(fields: &mut Fields<'_>, model: Option<&ModelRef>) -> Option<u32> {
    let own = fields.optional("context").and_then(models::context_size);
    own.or_else(|| model?.embedded()?.context)
}

fn source(field: Field<'_>) -> Option<WeightsSource> {
    let text = field.text()?;
    text.parse()
        .map_err(|error: crate::spec::source::SourceError| {
            let problem = field.problem(Code::InvalidSource, "no source", error.to_string());
            field.push(problem.help(format!("write {FORMS}")));
        })
        .ok()
}

/// Warns where a model is asked several times what it answers the same each time. A server may answer otherwise with
/// temperature 0 as well, and an `infer` stage may be there to find that out; a judge is asked for opinions.
fn warn_of_equal_samples(sketches: &[Sketch<'_>], stages: &IndexMap<StageId, Stage>) {
    for (id, stage) in stages {
        let is_equal = match stage {
            Stage::Infer(infer) => infer.temperature <= 0.0 && infer.model.embedded().is_some(),
            Stage::Judge(judge) => judge.temperature <= 0.0 && judge.mode == JudgeMode::Json,
            Stage::Research(_)
            | Stage::Pull(_)
            | Stage::Generate(_)
            | Stage::Calibrate(_)
            | Stage::Compare(_)
            | Stage::Decide(_) => false,
        };
        let sketch = sketches.iter().find(|sketch| sketch.id.as_ref() == Some(id) && is_equal);
        let Some(entries) = sketch.and_then(|sketch| sketch.body.entries()) else { continue };
        let field = |name: &str| entries.iter().find(|(key, _)| key.name == name).map(|(_, field)| *field);
        let Some(repeat) = field("repeat") else { continue };
        let (Stage::Infer(Infer { repeat: times, .. }) | Stage::Judge(Judge { repeat: times, .. })) = stage else {
            continue;
        };
        if *times > 1 {
            let message = format!("with temperature 0 all {times} samples are the same");
            let problem = repeat.problem(Code::EqualSamples, "equal samples", message);
            repeat.push(match field("temperature") {
                Some(temperature) => problem.other(repeat.reader.file, temperature.span(), "always the likeliest"),
                None => problem,
            });
        }
    }
}

/// Warns where the model under test is its own judge.
fn warn_of_self_judging(
    sketches: &[Sketch<'_>],
    stages: &IndexMap<StageId, Stage>,
    models: &IndexMap<ModelName, Model>,
) {
    let body = |id: &StageId| sketches.iter().find(|sketch| sketch.id.as_ref() == Some(id)).map(|sketch| sketch.body);
    let model_field =
        |id| body(id)?.entries()?.into_iter().find(|(key, _)| key.name == "model").map(|(_, field)| field);
    for (id, stage) in stages {
        let Stage::Judge(Judge { answers, model: Some(judge), .. }) = stage else { continue };
        let Some(Stage::Infer(infer)) = stages.get(answers) else { continue };
        if !is_same_model(judge, &infer.model, stages, models) {
            continue;
        }
        if let (Some(judge), Some(tested)) = (model_field(id), model_field(answers)) {
            let message = "the judge is the model under test; its verdicts favour its own replies".to_owned();
            judge.push(judge.problem(Code::SelfJudging, "the judge", message).other(
                tested.reader.file,
                tested.span(),
                "the model under test",
            ));
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
