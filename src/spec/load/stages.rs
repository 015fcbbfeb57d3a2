//! One reader a kind of stage.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::{Bound, Range};

use indexmap::IndexMap;

use super::axis_names::{self, Prompt};
use super::calibrate::{self, Gold};
use super::compare;
use super::conditions::{self, Conditions};
use super::costs;
use super::decide;
use super::files::Files;
use super::gates;
use super::judging;
use super::looks;
use super::models;
use super::prefer;
use super::research::research;
use super::wires::{Kind, Need, Outline};
use crate::ids::{ModelName, StageId};
use crate::spec::pipeline::{Embedded, Infer, Judge, JudgeMode, Model, ModelRef, Pull, PullFrom, Stage};
use crate::spec::problem::{Code, SourceText};
use crate::spec::read::{Field, Fields};
use crate::spec::shards::model_files;
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
    pub(super) conditions: RefCell<Vec<Conditions>>,
    /// All prompts over scenarios that were read.
    prompts: RefCell<Vec<Prompt>>,
    /// The labels of all gold files that were read.
    pub(super) golds: RefCell<Vec<Gold>>,
}

/// Most tokens that a reply may have.
pub(super) const LONGEST_REPLY: u32 = 32_768;

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
                Kind::Prefer => context.prefer(fields).map(Stage::Prefer),
                Kind::Calibrate => context.calibrate(fields).map(Stage::Calibrate),
                Kind::Decide => context.decide(fields).map(Stage::Decide),
                Kind::Compare => context.compare(fields).map(Stage::Compare),
            };
            Some((sketch.id.clone()?, stage?))
        })
        .collect();
    report_second_decision(sketches);
    prefer::report_unlike_pairs(sketches, &stages);
    compare::report_unlike_arms(sketches, &stages, models);
    decide::report_unknown_cluster(sketches, &stages);
    looks::report(sketches, &stages, outline);
    gates::complete(sketches, &mut stages, models);
    judging::warn_of_self_judging(sketches, &stages, models);
    warn_of_equal_samples(sketches, &stages);
    calibrate::report_unknown_criteria(&context.golds.into_inner(), &stages, files.sink);
    calibrate::report_other_judge(sketches, &stages);
    calibrate::report_unlike_judges(sketches, &stages);
    let conditions = context.conditions.into_inner();
    costs::settle(&mut stages, models, &conditions, files.sink);
    judging::fill_in_panels(sketches, &mut stages);
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
            let missing = model_files(path).into_iter().find(|shard| !self.files.is_there(shard));
            if let Some(shard) = missing {
                let message = format!("the model is split, and there is no file `{}`", shard.display());
                let problem = field.problem(Code::MissingFile, "not all of its parts are there", message);
                field.push(problem.help("bring all parts into one directory; the first one is named"));
                return None;
            }
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
        let latency = fields.optional("latency").map_or(Some(false), Field::flag);
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
            latency: latency?,
            sample: None,
        })
    }
}

/// How a model's tokens are drawn.
pub(super) struct Sampling {
    pub(super) temperature: f64,
    pub(super) top_p: f64,
    pub(super) seed: u64,
}

pub(super) fn sampling(fields: &mut Fields<'_>) -> Option<Sampling> {
    let temperature = fields.optional("temperature").map_or(Some(0.0), |field| field.number(0.0..=2.0));
    let inside = (Bound::Excluded(0.0), Bound::Included(1.0));
    let top_p = fields.optional("top_p").map_or(Some(1.0), |field| field.number(inside));
    let seed = fields.optional("seed").map_or(Some(0), |field| field.integer(0..=u64::MAX));
    Some(Sampling { temperature: temperature?, top_p: top_p?, seed: seed? })
}

pub(super) fn repeat(fields: &mut Fields<'_>) -> Option<u32> {
    fields.optional("repeat").map_or(Some(1), |field| field.small(1..=100))
}

/// The stage's own context, or else that of its model.
pub(super) fn context_size(fields: &mut Fields<'_>, model: Option<&ModelRef>) -> Option<u32> {
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
            Stage::Judge(judge) => judge.temperature <= 0.0 && !matches!(judge.mode, JudgeMode::Logprob { .. }),
            Stage::Research(_)
            | Stage::Pull(_)
            | Stage::Generate(_)
            | Stage::Prefer(_)
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
