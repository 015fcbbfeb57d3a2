//! What a report says, before it has a form.

use std::collections::BTreeMap;

use serde::Serialize;

use super::calibrated::{self, StageCalibration};
use super::comparison::{self, StageComparison};
use super::criterion;
use super::models::{self, TriedModel};
use super::next::{self, Context, Suite};
use super::panel::{self, Opinion};
use super::preferences::{self, StagePreferences};
use crate::data::{
    Calibration, Candidates, Comparison, Coverage, Decision, GateCheck, Judging, Outcome, Place, Preferences,
    ReviewedBy, WeightsRecord,
};
use crate::ids::{CriterionId, StageId};
use crate::key::{BlobId, Key};
use crate::spec;
use crate::stats::text::{count, list, round_percent};

/// Version of the JSON form, raised when a member changes its meaning or goes.
const FORMAT: u32 = 1;

/// What a report is made from. The caller has read it all.
#[derive(Debug)]
pub struct Inputs<'a> {
    /// The checked pipeline.
    pub pipeline: &'a spec::Pipeline,
    /// The day on which the decision was made, `YYYY-MM-DD`, from its receipt: not the day of the report.
    pub date: String,
    /// What makes this report again: `evalflow run pipelines/therapy.yaml`.
    pub command: String,
    /// What computes: version of the program and build of the embedded engine.
    pub engine: Option<String>,
    /// The stages that ran, in the order of the pipeline.
    pub stages: Vec<StageRecord>,
    /// The research table.
    pub candidates: Option<Candidates>,
    /// The age of catalogs that were fetched, on `date`.
    pub catalogs: Vec<CatalogAge>,
    /// The weights that `pull` stages brought.
    pub weights: Vec<(StageId, WeightsRecord)>,
    /// What the scenarios cover.
    pub coverage: Option<Coverage>,
    /// By which tokens verdicts were weighed, of the `judge` stages that weighed words.
    pub judging: BTreeMap<StageId, Judging>,
    /// What `prefer` stages came to.
    pub preferences: Vec<(StageId, Preferences)>,
    /// How far judges are to be trusted, of the `calibrate` stages.
    pub calibrations: Vec<(StageId, Calibration)>,
    /// What people who reviewed the replies behind the decision say.
    pub reviews: Vec<ReviewedBy>,
    /// The decision.
    pub decision: Option<Decision>,
    /// What `compare` stages came to.
    pub comparisons: Vec<(StageId, Comparison)>,
    /// Gates on how long calls took, which no record holds.
    pub latency: Vec<GateCheck>,
    /// Warnings that a reader must see, such as a model that judged itself: sentences.
    pub notes: Vec<String>,
}

/// When a catalog was fetched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CatalogAge {
    /// The catalog, as the research table names it.
    pub source: String,
    /// The day on which it was fetched.
    pub fetched: String,
    /// Days from then to the day of the report.
    pub age_days: u64,
}

impl CatalogAge {
    /// In words: `2026-11-22, 3 days old`.
    #[must_use]
    pub fn words(&self) -> String {
        format!("{}, {} old", self.fetched, count(self.age_days, "day"))
    }
}

/// One stage and what it came to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StageRecord {
    /// Its id.
    pub id: StageId,
    /// Its kind, a verb: `infer`.
    pub kind: String,
    /// The key of its receipt.
    pub key: Key,
    /// The blob it gave.
    pub output: BlobId,
    /// Rows of the table it gave, where it is a table.
    pub rows: Option<u64>,
}

/// A report, whole: its members are the members of the JSON form, in this order.
///
/// Sentences in it may hold literals in backticks.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ReportModel {
    /// Version of this format: 1.
    pub report: u32,
    /// The pipeline's name.
    pub name: String,
    /// What the evaluation is to find out.
    pub description: Option<String>,
    /// The pipeline file.
    pub file: String,
    /// The day on which the decision was made.
    pub date: String,
    /// What makes this report again.
    pub command: String,
    /// The outcome in words: one sentence.
    pub headline: String,
    /// The decision; null if the pipeline makes none.
    pub decision: Option<Decision>,
    /// Whether the decision is as a judge sees it of whose errors nothing is known.
    pub judge_relative: bool,
    /// The models that were looked at, the first one first; absent where it was one alone.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub models: Vec<TriedModel>,
    /// What was compared; absent where nothing is.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub comparisons: Vec<StageComparison>,
    /// All gates and what they came to, those on how long calls took behind the others; absent where there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub gates: Vec<GateCheck>,
    /// What to do now, most urgent first.
    pub next_steps: Vec<NextStep>,
    /// Warnings.
    pub notes: Vec<String>,
    /// The name of the picture of the candidates beside the Markdown report, where there is one.
    #[serde(skip)]
    pub chart: Option<String>,
    /// The research table; null without a `research` stage.
    pub candidates: Option<Candidates>,
    /// When catalogs were fetched; absent where all are files.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub catalogs: Vec<CatalogAge>,
    /// Weights, one entry a `pull` stage.
    pub weights: Vec<StageWeights>,
    /// What the scenarios cover; null without a `generate` stage.
    pub coverage: Option<Coverage>,
    /// Who answered, in words.
    pub answered_by: Option<String>,
    /// Who judged, in words.
    pub judged_by: Option<String>,
    /// By which tokens verdicts were weighed; null where the judge wrote them.
    pub judging: Option<Judging>,
    /// How far judges agree; absent where each question was asked once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub opinions: Option<Opinion>,
    /// Which of two tables of answers a judge prefers; absent without a `prefer` stage.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub preferences: Vec<StagePreferences>,
    /// How far judges are to be trusted, one entry a `calibrate` stage; absent without one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub calibrations: Vec<StageCalibration>,
    /// What people who reviewed the replies behind the decision say; absent where nobody did.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reviews: Vec<ReviewedBy>,
    /// The rubric's criteria, in its order.
    pub criteria: Vec<CriterionText>,
    /// The stages with their digests.
    pub stages: Vec<StageRecord>,
    /// What computed.
    pub engine: Option<String>,
}

/// Weights and the stage that brought them.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StageWeights {
    /// The `pull` stage.
    pub stage: StageId,
    /// What it brought.
    pub record: WeightsRecord,
    /// Whether the model that the report is about answers with them.
    pub selected: bool,
}

/// A criterion in words.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CriterionText {
    /// Its id.
    pub id: CriterionId,
    /// The question, or what the check asks.
    pub asks: String,
    /// Whether code answers it, rather than the judge.
    pub by_code: bool,
    /// Whether failing it fails a scenario.
    pub critical: bool,
    /// Its weight.
    pub weight: f64,
    /// Where it is asked; null for everywhere.
    pub when: Option<String>,
}

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NextStep {
    /// A sentence, whole by itself.
    pub text: String,
    /// Its parts.
    pub points: Vec<String>,
    /// Whether a person ticks off each of them.
    pub checklist: bool,
    /// What to write into the pipeline file; null where nothing is to be written.
    pub yaml: Option<String>,
}

/// Puts together what the report says.
#[must_use]
pub fn build(inputs: Inputs<'_>) -> ReportModel {
    let Inputs {
        pipeline,
        date,
        command,
        engine,
        stages,
        candidates,
        catalogs,
        weights,
        coverage,
        mut judging,
        preferences,
        calibrations,
        reviews,
        decision,
        comparisons,
        latency,
        notes,
    } = inputs;
    let comparisons = comparison::of_stages(pipeline, comparisons);
    let gates: Vec<GateCheck> = decision.iter().flat_map(|decision| decision.gates.clone()).chain(latency).collect();
    let chain = Chain::of(pipeline, decision.as_ref());
    let criteria: Vec<CriterionText> = chain
        .judge
        .map(|(_, judge)| judge.rubric.criteria.iter().map(criterion::in_words).collect())
        .unwrap_or_default();
    let mut judging = chain.judge.and_then(|(id, _)| judging.remove(id));
    let file = pipeline.file.display().to_string();
    let calibrations = calibrated::in_words(pipeline, calibrations);
    let context = Context {
        criteria: &criteria,
        suite: chain.generate.and_then(|(id, generate)| Suite::of(id, generate)),
        backup: candidates.as_ref().and_then(|candidates| backup(pipeline, candidates)),
        file: &file,
        calibrations: &calibrations,
    };
    let mut next_steps = comparison::next_steps(&comparisons, &file);
    // Without a decision, what was compared says what to do.
    if decision.is_some() || comparisons.is_empty() {
        next_steps.extend(next::next_steps(decision.as_ref(), &context));
    }
    ReportModel {
        report: FORMAT,
        name: pipeline.name.clone(),
        description: pipeline.description.clone(),
        file,
        date,
        command,
        headline: match (&decision, comparisons.first()) {
            (None, Some(first)) => comparison::headline(&first.comparison).to_owned(),
            (decision, _) => headline(decision.as_ref(), &gates).to_owned(),
        },
        judge_relative: calibrated::is_judge_relative(decision.as_ref(), chain.judge.map(|(_, judge)| judge)),
        models: models::tried(pipeline, decision.as_ref()),
        decision,
        comparisons,
        gates,
        next_steps,
        notes,
        chart: candidates.as_ref().and_then(|candidates| chart_name(pipeline, candidates)),
        candidates,
        catalogs,
        weights: weights
            .into_iter()
            .map(|(stage, record)| StageWeights { selected: chain.answers_with(&stage), stage, record })
            .collect(),
        coverage,
        answered_by: chain.infer.map(|infer| answered_by(pipeline, infer)),
        judged_by: chain.judge.map(|(_, judge)| judged_by(pipeline, judge)),
        opinions: judging.as_mut().and_then(|judging| panel::opinions(*std::mem::take(&mut judging.opinions))),
        judging: judging.filter(|judging| !judging.is_empty()),
        preferences: preferences::in_words(pipeline, preferences),
        calibrations,
        reviews,
        criteria,
        stages,
        engine,
    }
}

/// `report.candidates.svg` for `report.md`, if there is something to draw.
fn chart_name(pipeline: &spec::Pipeline, candidates: &Candidates) -> Option<String> {
    let stem = pipeline.report.markdown.as_ref()?.file_stem()?.to_str()?;
    super::chart(candidates).map(|_| format!("{stem}.candidates.svg"))
}

fn headline(decision: Option<&Decision>, gates: &[GateCheck]) -> &'static str {
    let own = |decision: &Decision| {
        let of_two = || models::headline(decision);
        calibrated::headline(decision).or_else(|| super::gates::headline(decision, gates)).or_else(of_two)
    };
    if let Some(headline) = decision.and_then(own) {
        return headline;
    }
    match decision.map(|decision| decision.outcome) {
        Some(Outcome::Deploy) => "Deploy: the model is good enough as it is.",
        Some(Outcome::FineTune) => "Fine-tune: the model is worth training, and not good enough without.",
        Some(Outcome::FullPipeline) => "Not yet: the model needs the full pipeline of data, training and evaluation.",
        Some(Outcome::Inconclusive) => "Not decided: the interval spans a threshold.",
        Some(Outcome::Blocked) => "Blocked: what was measured cannot carry a decision.",
        None => "No decision: no `decide` stage has run.",
    }
}

/// The stages that led to the decision, followed upstream from it.
struct Chain<'a> {
    judge: Option<(&'a StageId, &'a spec::Judge)>,
    infer: Option<&'a spec::Infer>,
    generate: Option<(&'a StageId, &'a spec::Generate)>,
}

impl<'a> Chain<'a> {
    /// Whether the model whose replies were judged is made of what a `pull` stage brought.
    fn answers_with(&self, weights: &StageId) -> bool {
        let model = self.infer.and_then(|infer| infer.model.embedded());
        model.is_some_and(|model| model.weights == *weights)
    }

    fn of(pipeline: &'a spec::Pipeline, decision: Option<&Decision>) -> Self {
        let by_backup = decision.is_some_and(Decision::is_of_backup);
        let decide = pipeline
            .stages
            .values()
            .find_map(|stage| if let spec::Stage::Decide(decide) = stage { Some(decide) } else { None });
        // Where nothing is decided, what is new is what the report is about.
        let compared = pipeline
            .stages
            .values()
            .find_map(|stage| if let spec::Stage::Compare(compare) = stage { Some(&compare.arms.new) } else { None });
        let judge = decide.map(|decide| decide.decided_on(by_backup)).or(compared).and_then(|verdicts| {
            let (id, stage) = pipeline.stages.get_key_value(verdicts)?;
            if let spec::Stage::Judge(judge) = stage { Some((id, judge)) } else { None }
        });
        let infer = judge.and_then(|(verdicts, _)| infer_of(pipeline, verdicts));
        let generate = infer.and_then(|infer| {
            let (id, stage) = pipeline.stages.get_key_value(&infer.scenarios)?;
            if let spec::Stage::Generate(generate) = stage { Some((id, generate)) } else { None }
        });
        Self { judge, infer, generate }
    }
}

/// The stage whose answers a `judge` stage judges.
pub(super) fn infer_of<'a>(pipeline: &'a spec::Pipeline, verdicts: &StageId) -> Option<&'a spec::Infer> {
    let spec::Stage::Judge(judge) = pipeline.stages.get(verdicts)? else { return None };
    let stage = pipeline.stages.get(&judge.answers)?;
    if let spec::Stage::Infer(infer) = stage { Some(infer) } else { None }
}

/// The model next in line, and what a `pull` writes to get it.
fn backup(pipeline: &spec::Pipeline, candidates: &Candidates) -> Option<(String, String)> {
    let row = candidates.shortlist.iter().find(|row| row.place == Place::Backup)?;
    let (research, _) = pipeline.stages.iter().find(|(_, stage)| matches!(stage, spec::Stage::Research(_)))?;
    Some((row.id.clone(), format!("pull: {{ model: {research}.backup }}")))
}

pub(super) fn model_in_words(pipeline: &spec::Pipeline, model: &spec::ModelRef) -> String {
    match model {
        spec::ModelRef::Embedded(model) => {
            let adapter = model.adapter.as_ref().map(|adapter| format!(" with the adapter of `{}`", adapter.stage));
            let adapter = adapter.unwrap_or_default();
            format!("the weights of `{}`{adapter}, on the embedded engine", model.weights)
        }
        spec::ModelRef::Declared(name) => match pipeline.models.get(name) {
            Some(spec::Model::OpenAi(server)) => format!("`{}` behind an OpenAI-compatible server", server.model),
            Some(spec::Model::Scripted(_)) => format!("the canned replies of `{name}`, no model at all"),
            None => format!("`{name}`"),
        },
    }
}

pub(super) fn answered_by(pipeline: &spec::Pipeline, infer: &spec::Infer) -> String {
    let model = model_in_words(pipeline, &infer.model);
    let system = if infer.system.is_some() { "with" } else { "without" };
    let times = times("each scenario is answered", infer.repeat);
    format!(
        "{model}; {system} a system prompt, at most {} tokens, temperature {}{times}",
        infer.max_tokens, infer.temperature
    )
}

fn times(what: &str, repeat: u32) -> String {
    if repeat > 1 { format!("; {what} {repeat} times") } else { String::new() }
}

fn judged_by(pipeline: &spec::Pipeline, judge: &spec::Judge) -> String {
    let criteria = &judge.rubric.criteria;
    let by_code = criteria
        .iter()
        .filter(|criterion| matches!(criterion.ask, spec::Ask::Check(_) | spec::Ask::Command { .. }))
        .count();
    let pass = &judge.rubric.pass;
    let how = match judge.mode {
        spec::JudgeMode::Json => times("each question is asked", judge.repeat),
        spec::JudgeMode::Together => {
            let asked = times("they are asked", judge.repeat);
            format!(
                "; all questions about a reply are asked in one call, in an order that changes from scenario to scenario{asked}"
            )
        }
        spec::JudgeMode::Logprob { max_outside } => format!(
            "; a verdict is the likeliest of the words that may answer a question, and ungraded where more than {} of the \
             probability is on other words; no reason is written and nothing is quoted",
            round_percent(max_outside)
        ),
    };
    let judge = match &judge.models[..] {
        [] => "nobody".to_owned(),
        [only] => model_in_words(pipeline, only),
        panel => {
            let judges: Vec<String> = panel.iter().map(|model| model_in_words(pipeline, model)).collect();
            format!("a panel of {}, of whom more than half must agree: {}", panel.len(), list(&judges, "and"))
        }
    };
    let groups: String = pass.at_least.iter().map(group_in_words).collect();
    let rule = format!(
        "a reply passes if no critical criterion fails and it earns {} of the weight that applies{groups}",
        round_percent(pass.score)
    );
    let asked = |number: usize| if number == 1 { "1 criterion".to_owned() } else { format!("{number} criteria") };
    format!("{judge} ({}), and code ({}){how}; {rule}", asked(criteria.len() - by_code), asked(by_code))
}

fn group_in_words(group: &spec::AtLeast) -> String {
    let ids: Vec<String> = group.criteria.iter().map(|id| format!("`{id}`")).collect();
    format!(", and {} of {} pass", group.count, list(&ids, "and"))
}
