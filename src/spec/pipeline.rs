//! The checked pipeline: what the rest of the program works with. Every value here is valid and every reference leads
//! to something of the right kind.

use std::collections::BTreeMap;
use std::path::PathBuf;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use super::compare::Compare;
use super::gate::GateRule;
use super::generate::Generate;
use super::gold::Label;
use super::looks::{Backup, Looks, Sample};
use super::research::Research;
use super::rubric::Rubric;
use super::source::WeightsSource;
use super::template::Template;
use crate::ids::{ModelName, StageId};

/// A checked pipeline file and everything it names.
#[derive(Debug, Clone)]
pub struct Pipeline {
    /// What the report is headed with.
    pub name: String,
    /// What the evaluation is to find out.
    pub description: Option<String>,
    /// The pipeline file, relative to [`Self::root`] where it lies inside.
    pub file: PathBuf,
    /// The project's root: relative paths in the file start here, and `cache/` lies here.
    pub root: PathBuf,
    /// Engines that need no download stage.
    pub models: IndexMap<ModelName, Model>,
    /// The stages as written.
    pub stages: IndexMap<StageId, Stage>,
    /// Which reports are written.
    pub report: ReportFiles,
}

impl Pipeline {
    /// What a model's tokens cost; none where the file does not say.
    #[must_use]
    pub fn price(&self, model: &ModelRef) -> Option<Price> {
        price_of(model, &self.models)
    }

    /// Whether a `research` stage asks for what fits into this machine.
    #[must_use]
    pub fn asks_for_machine_memory(&self) -> bool {
        let asks = |stage: &Stage| matches!(stage, Stage::Research(research) if research.require.fits.as_ref().is_some_and(|fits| fits.of_machine));
        self.stages.values().any(asks)
    }

    /// Fills in what the machine has, rounded down to whole 256 MiB, where a `research` stage asks for what fits into that:
    /// a system's own count of its memory wavers a little from boot to boot.
    pub fn set_machine_memory(&mut self, bytes: u64) {
        const STEP: u64 = 256 << 20;
        for stage in self.stages.values_mut() {
            if let Stage::Research(research) = stage
                && let Some(fits) = research.require.fits.as_mut().filter(|fits| fits.of_machine)
            {
                fits.memory_bytes = bytes / STEP * STEP;
            }
        }
    }

    /// Lets every `generate` stage make only the first so many rows of its table.
    pub fn limit_scenarios(&mut self, n: u64) {
        for stage in self.stages.values_mut() {
            if let Stage::Generate(generate) = stage {
                generate.limit = Some(n);
            }
        }
    }
}

/// What a model's tokens cost, where the file says so.
pub(super) fn price_of(model: &ModelRef, models: &IndexMap<ModelName, Model>) -> Option<Price> {
    match model {
        ModelRef::Embedded(model) => model.price,
        ModelRef::Declared(name) => match models.get(name)? {
            Model::OpenAi(OpenAi { price, .. }) | Model::Scripted(Scripted { price, .. }) => *price,
        },
    }
}

/// Where reports go, relative to the root.
#[derive(Debug, Clone, Default)]
pub struct ReportFiles {
    /// The Markdown report.
    pub markdown: Option<PathBuf>,
}

/// One node of the graph.
#[derive(Debug, Clone)]
pub enum Stage {
    /// Catalogs → table of candidates.
    Research(Box<Research>),
    /// A model's name → its weights.
    Pull(Pull),
    /// Taxonomy → scenarios.
    Generate(Generate),
    /// Scenarios → answers.
    Infer(Infer),
    /// Answers → verdicts.
    Judge(Judge),
    /// Two tables of answers → preferences.
    Prefer(Prefer),
    /// Verdicts and labels of people → how far the judge can be trusted.
    Calibrate(Calibrate),
    /// Verdicts → decision.
    Decide(Decide),
    /// Verdicts on two models or prompts → what became better, and what worse.
    Compare(Compare),
}

/// An engine declared under `models:` that needs no stage; one that does is a [`ModelRef::Embedded`] where it is named.
#[derive(Debug, Clone)]
pub enum Model {
    /// A server that speaks OpenAI's chat completions.
    OpenAi(OpenAi),
    /// Canned replies from the pipeline file, for trying a pipeline without a model.
    Scripted(Scripted),
}

/// A server that speaks OpenAI's chat completions.
#[derive(Debug, Clone)]
pub struct OpenAi {
    /// Where it answers, up to and without `/chat/completions`; http or https, without credentials.
    pub base_url: String,
    /// The model's name as the server knows it.
    pub model: String,
    /// Sent as bearer token.
    pub api_key: Option<Secret>,
    /// Requests in flight at once.
    pub concurrency: usize,
    /// Longest wait for one answer, in seconds.
    pub timeout_s: u64,
    /// How often a request is asked again after a transient failure.
    pub retries: u32,
    /// What its tokens cost.
    pub price: Option<Price>,
}

/// What tokens cost, in US dollars a million. Never part of an identity or a key: a price changes no reply.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Price {
    /// Of prompts, at least 0.
    pub prompt: f64,
    /// Of what is generated, at least 0.
    pub completion: f64,
}

impl Price {
    /// What so many tokens cost, in US dollars.
    #[must_use]
    pub fn cost(&self, prompt_tokens: u64, completion_tokens: u64) -> f64 {
        const MILLION: f64 = 1_000_000.0;
        (prompt_tokens as f64 * self.prompt + completion_tokens as f64 * self.completion) / MILLION
    }
}

/// A text that came from the environment and must not be seen: its `Debug` form hides it, and it has no other.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a text that must not be seen.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The text itself, for the one place that sends it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(***)")
    }
}

/// Canned replies.
#[derive(Debug, Clone)]
pub struct Scripted {
    /// Tried in order against the whole prompt; the first that matches answers.
    pub replies: Vec<ScriptedReply>,
    /// Answers where none matches; without it, such a request is rejected.
    pub otherwise: Option<String>,
    /// How long each answer takes, in milliseconds. Not part of the identity.
    pub delay_ms: u64,
    /// Requests in flight at once. Not part of the identity.
    pub concurrency: usize,
    /// What its tokens would cost, for trying. Not part of the identity.
    pub price: Option<Price>,
}

/// One canned reply.
#[derive(Debug, Clone, Serialize)]
pub struct ScriptedReply {
    /// A regular expression over the prompt: all messages, each as `role: content`, joined by newlines.
    #[serde(rename = "match")]
    pub pattern: String,
    /// What is answered; `$1` and `$name` stand for the expression's groups.
    pub reply: String,
}

/// What a field that takes a model names.
#[derive(Debug, Clone, PartialEq)]
pub enum ModelRef {
    /// A model on the embedded engine: a `pull` stage's weights, or a `llama` entry of `models:`.
    Embedded(Box<Embedded>),
    /// An entry of `models:` that is asked elsewhere.
    Declared(ModelName),
}

impl ModelRef {
    /// The weights of a `pull` stage as they are, on the embedded engine.
    #[must_use]
    pub fn weights(stage: StageId) -> Self {
        Self::Embedded(Box::new(Embedded::of(stage)))
    }

    /// The model, if it runs on the embedded engine.
    #[must_use]
    pub fn embedded(&self) -> Option<&Embedded> {
        match self {
            Self::Embedded(model) => Some(model),
            Self::Declared(_) => None,
        }
    }

    /// What people call it, unlike for each model of a pipeline: an entry of `models:`, or the stage that brings its weights.
    #[must_use]
    pub fn called(&self) -> &str {
        match self {
            Self::Embedded(model) => model.called(),
            Self::Declared(name) => name.as_str(),
        }
    }
}

/// A model on the embedded engine, with its options.
#[derive(Debug, Clone, PartialEq)]
pub struct Embedded {
    /// The entry of `models:`; none where a stage names the weights themselves.
    pub name: Option<ModelName>,
    /// The `pull` stage that brings the weights.
    pub weights: StageId,
    /// What is laid over the weights.
    pub adapter: Option<Adapter>,
    /// Tokens of context, for stages that say nothing else.
    pub context: Option<u32>,
    /// Most replies that are computed at once. Not part of the identity.
    pub sequences: Option<usize>,
    /// How keys and values are kept.
    pub kv_cache: KvCache,
    /// Layers that are computed by the graphics processor; all unless the file says otherwise.
    pub gpu_layers: Option<u32>,
    /// Which of llama.cpp's devices compute; all that it finds if there are none here. Not part of the identity.
    pub devices: Vec<usize>,
    /// What its tokens cost. Not part of the identity.
    pub price: Option<Price>,
}

impl Embedded {
    /// The weights of a `pull` stage as they are.
    #[must_use]
    pub fn of(weights: StageId) -> Self {
        Self {
            name: None,
            weights,
            adapter: None,
            context: None,
            sequences: None,
            kv_cache: KvCache::F16,
            gpu_layers: None,
            devices: Vec::new(),
            price: None,
        }
    }

    /// The `pull` stages that it needs.
    pub fn pulls(&self) -> impl Iterator<Item = &StageId> {
        std::iter::once(&self.weights).chain(self.adapter.as_ref().map(|adapter| &adapter.stage))
    }

    /// What people call it: the name under `models:`, or that of the stage that brings its weights.
    #[must_use]
    pub fn called(&self) -> &str {
        self.name.as_ref().map_or(self.weights.as_str(), ModelName::as_str)
    }
}

/// A LoRA adapter: a fine-tune as a difference to its base model's weights.
#[derive(Debug, Clone, PartialEq)]
pub struct Adapter {
    /// The `pull` stage that brings it.
    pub stage: StageId,
    /// What the difference is multiplied with, above 0.
    pub scale: f64,
}

/// How the embedded engine keeps keys and values: less room changes numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KvCache {
    /// Two bytes a number.
    F16,
    /// 34 bytes for 32 numbers.
    Q8_0,
    /// 18 bytes for 32 numbers.
    Q4_0,
}

impl KvCache {
    /// All of them with their names in the pipeline file.
    pub const ALL: &'static [(&'static str, Self)] = &[("f16", Self::F16), ("q8_0", Self::Q8_0), ("q4_0", Self::Q4_0)];

    /// The name in the pipeline file.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::F16 => "f16",
            Self::Q8_0 => "q8_0",
            Self::Q4_0 => "q4_0",
        }
    }

    /// Bytes that 32 numbers take.
    #[must_use]
    pub fn block_bytes(self) -> u64 {
        match self {
            Self::F16 => 64,
            Self::Q8_0 => 34,
            Self::Q4_0 => 18,
        }
    }
}

/// `pull: {...}`
#[derive(Debug, Clone)]
pub struct Pull {
    /// Which weights.
    pub from: PullFrom,
    /// sha256 that the file must have, in lower-case hexadecimal.
    pub sha256: Option<String>,
}

/// Which weights a `pull` brings.
#[derive(Debug, Clone)]
pub enum PullFrom {
    /// A candidate of a research stage; the catalog's `weights` column says where its file is.
    Candidate {
        /// The research stage.
        stage: StageId,
        /// Which of its candidates.
        pick: Pick,
    },
    /// A file named in the pipeline.
    Source(WeightsSource),
    /// The same file in several places, named in the pipeline: the first that gives it counts.
    Mirrors(Vec<WeightsSource>),
}

/// Which candidate of a research table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Pick {
    /// The best.
    Primary,
    /// The second best.
    Backup,
}

/// `infer: {...}`
#[derive(Debug, Clone)]
pub struct Infer {
    /// Who answers.
    pub model: ModelRef,
    /// A `generate` stage.
    pub scenarios: StageId,
    /// System prompt.
    pub system: Option<Template>,
    /// User turn; the scenario's opening unless the file says otherwise.
    pub prompt: Template,
    /// Most tokens of a reply.
    pub max_tokens: u32,
    /// 0 = greedy.
    pub temperature: f64,
    /// In (0, 1].
    pub top_p: f64,
    /// Seed for `temperature` above 0.
    pub seed: u64,
    /// How many answers each scenario gets, at least 1.
    pub repeat: u32,
    /// Tokens of context for the embedded engine: the stage's own, or else the model's.
    pub context: Option<u32>,
    /// Whether each answer says how long its call took. Equal replies then give unequal rows when they are asked for anew.
    pub latency: bool,
    /// The scenarios that are asked, where a decision has not looked at all of them yet. No file says so: see [`Looks`].
    pub sample: Option<Sample>,
}

/// `judge: {...}`
#[derive(Debug, Clone)]
pub struct Judge {
    /// An `infer` stage.
    pub answers: StageId,
    /// What is asked of each answer.
    pub rubric: Rubric,
    /// Who judges: at least one if any criterion needs a judge; several are a panel, each with another name.
    pub models: Vec<ModelRef>,
    /// How a judge's verdict is had.
    pub mode: JudgeMode,
    /// Most tokens of one answer of a judge: of one verdict, or of all where they are asked for together.
    pub max_tokens: u32,
    /// 0 = greedy.
    pub temperature: f64,
    /// In (0, 1].
    pub top_p: f64,
    /// Seed for `temperature` above 0.
    pub seed: u64,
    /// How many opinions each question gets of each judge, at least 1; the majority's verdict counts.
    pub repeat: u32,
    /// Tokens of context for the embedded engine: the stage's own, or else the model's.
    pub context: Option<u32>,
}

/// `prefer: {...}`
#[derive(Debug, Clone)]
pub struct Prefer {
    /// An `infer` stage.
    pub base: StageId,
    /// Another one, with the same scenarios and as many answers to each.
    pub new: StageId,
    /// By what replies are compared, never empty; several are asked as one.
    pub questions: Vec<String>,
    /// Who judges.
    pub model: ModelRef,
    /// Most tokens of one answer of the judge.
    pub max_tokens: u32,
    /// 0 = greedy.
    pub temperature: f64,
    /// In (0, 1].
    pub top_p: f64,
    /// Seed for `temperature` above 0.
    pub seed: u64,
    /// Tokens of context for the embedded engine: the stage's own, or else the model's.
    pub context: Option<u32>,
    /// Level of the interval, in (0, 1).
    pub confidence: f64,
}

/// How a judge's verdict on a question is had.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JudgeMode {
    /// It writes a JSON document: words of the reply, a reason, the verdict.
    Json,
    /// It is asked all questions about a reply at once, and writes one JSON document with a member a criterion.
    Together,
    /// It writes nothing: the likeliest of the verdict words is the verdict. Then `max_tokens` is 1, `temperature` 0 and
    /// `repeat` 1.
    Logprob {
        /// Largest probability that is on none of the verdict words, in [0, 1).
        max_outside: f64,
    },
}

/// `calibrate: {...}`
#[derive(Debug, Clone)]
pub struct Calibrate {
    /// A `judge` stage.
    pub verdicts: StageId,
    /// Another `judge` stage, which asks the same criteria about the same replies: how far it agrees with people is held against
    /// how far the first one does.
    pub beside: Option<StageId>,
    /// The file of labels, relative to the root; it need not be there yet.
    pub gold: PathBuf,
    /// The labels in it that hold, in the order of the file.
    pub labels: Vec<Label>,
    /// What the judge must reach to be trusted.
    pub floor: Floor,
    /// Level of the intervals, in (0, 1).
    pub confidence: f64,
}

/// The least that a judge must reach against people, each in [0, 1]; nothing is asked where there is none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Floor {
    /// Cohen's κ.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kappa: Option<f64>,
    /// Gwet's AC1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ac1: Option<f64>,
    /// The share that the judge passes, of what people pass.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sensitivity: Option<f64>,
    /// The share that it fails, of what people fail.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub specificity: Option<f64>,
}

/// `decide: {...}`
#[derive(Debug, Clone)]
pub struct Decide {
    /// A `judge` stage.
    pub verdicts: StageId,
    /// Pass rate from which the model is good enough, above `fine_tune`, below 1.
    pub deploy: f64,
    /// Pass rate from which fine-tuning is worth it, above 0.
    pub fine_tune: f64,
    /// Level of the interval, in (0, 1).
    pub confidence: f64,
    /// Largest share of scenarios without a verdict, in [0, 1].
    pub max_ungraded: f64,
    /// The least outcome that lets the run exit with 0.
    pub gate: Option<Gate>,
    /// A `calibrate` stage, by which the pass rate is corrected for the judge's errors.
    pub calibration: Option<StageId>,
    /// What else the run must keep to.
    pub gates: Vec<GateRule>,
    /// The answers that were judged, where a gate needs their table.
    pub answers: Option<StageId>,
    /// Those of the other `judge` stages that gates name, where a gate needs their tables.
    pub answers_of_bases: BTreeMap<StageId, StageId>,
    /// Which scenarios belong together.
    pub cluster: ClusterBy,
    /// What the rates are about.
    pub target: Target,
    /// What the sample on the review sheet is drawn with.
    pub seed: u64,
    /// How the verdicts of a panel become one.
    pub votes: Votes,
    /// How far it has come, where it may stop as soon as it is settled: as read from a file, all is looked at once.
    pub sequential: Option<Looks>,
    /// Who is looked at where the model fails.
    pub backup: Option<Backup>,
}

/// Which scenarios belong together, so that each says less than one that stands for itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum ClusterBy {
    /// Those of one topic, where the suite has several.
    #[default]
    Topic,
    /// None: the author says that they are independent.
    Nothing,
    /// Those with one value of this axis.
    Axis(String),
}

/// What rates are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Target {
    /// New scenarios from the same source.
    #[default]
    Population,
    /// The scenarios of this suite, and no others.
    Suite,
}

/// How the verdicts of a panel's judges become one.
#[derive(Debug, Clone)]
pub enum Votes {
    /// As the table has it: what more than half of them say.
    Majority,
    /// By the likeliest errors of each judge, estimated from all verdicts; replies are graded anew by this rubric, which is that
    /// of the `judge` stage.
    DawidSkene(Box<Rubric>),
}

/// The least outcome that passes the gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Gate {
    /// Only `deploy`.
    Deploy,
    /// `deploy` or `fine_tune`.
    FineTune,
}
