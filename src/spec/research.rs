//! The checked form of `research: {...}`: which catalogs, what a candidate must satisfy, what makes one better.

use indexmap::IndexMap;
use serde::Serialize;

use super::hub_search::{CatalogFrom, HubSearch};
use super::pipeline::KvCache;

/// `research: {...}`
#[derive(Debug, Clone)]
pub struct Research {
    /// Where models are described; later ones add to and override rows of earlier ones by `id`.
    pub catalog: Vec<CatalogFrom>,
    /// What a candidate must satisfy.
    pub require: Require,
    /// What makes one candidate better than another.
    pub profile: Profile,
    /// Most candidates in the table, at least 1.
    pub shortlist: usize,
    /// A model that a reviewer chose.
    pub pin: Option<Pin>,
    /// What it would take to run a model oneself.
    pub hosting: Option<Hosting>,
    /// The day from which the age of scores is counted, `2026-11-22`; that of the catalogs' newest source if absent.
    pub as_of: Option<String>,
}

impl Research {
    /// The searches among its catalogs, in their order.
    pub fn searches(&self) -> impl Iterator<Item = &HubSearch> {
        self.catalog.iter().filter_map(|from| match from {
            CatalogFrom::File(_) => None,
            CatalogFrom::Hub(search) => Some(search),
        })
    }
}

/// Filters; an absent one lets everything pass.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Require {
    /// Parameters in billions, inclusive.
    pub params_b: Option<Range>,
    /// The licence must allow commercial use.
    pub commercial_license: bool,
    /// Tokens of context at least.
    pub context: Option<u64>,
    /// Allowed `type`s of the catalog (`base`, `chat`, `fine-tuned`, `merge`, `continued-pretrain`, `multimodal`); empty = any.
    #[serde(rename = "type")]
    pub types: Vec<String>,
    /// Must fit into memory.
    pub fits: Option<Fits>,
    /// Only repositories of the model's publisher.
    pub official: bool,
    /// A conversation that the context must hold, where the file gives that instead of a number of tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conversation: Option<Conversation>,
    /// Allowed precisions of the published weights, such as `bfloat16`; empty = any.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub precision: Vec<String>,
    /// Published within these dates.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub released: Option<DateRange>,
    /// What it knows ends within these dates.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub knowledge_cutoff: Option<DateRange>,
    /// It must be made to call tools.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub tool_calls: bool,
    /// Its weights must be public.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub open_weights: bool,
    /// What it may cost at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub price: Option<PriceCeiling>,
}

impl Require {
    /// Tokens of context that a model needs at least: as stated, or as the conversation takes.
    #[must_use]
    pub fn least_context(&self) -> Option<u64> {
        self.context.max(self.conversation.map(|conversation| conversation.tokens()))
    }
}

/// An inclusive range; an absent end is open.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Range {
    /// Lower end.
    pub min: Option<f64>,
    /// Upper end.
    pub max: Option<f64>,
}

/// An inclusive range of dates as `2026`, `2026-11` or `2026-11-22`; an absent end is open. A month or year as an end is
/// in the range as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DateRange {
    /// First day.
    pub min: Option<String>,
    /// Last day.
    pub max: Option<String>,
}

/// How long a conversation gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Conversation {
    /// Turns, those of the user and of the model counted together.
    pub turns: u64,
    /// Tokens of one turn.
    pub tokens_per_turn: u64,
    /// Tokens that come before the first turn.
    pub system_tokens: u64,
}

impl Conversation {
    /// Tokens that it takes as a whole.
    #[must_use]
    pub fn tokens(self) -> u64 {
        self.turns.saturating_mul(self.tokens_per_turn).saturating_add(self.system_tokens)
    }
}

/// What tokens may cost, in US dollars a million; an absent ceiling lets any price pass.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct PriceCeiling {
    /// Of prompts.
    pub input: Option<f64>,
    /// Of what is generated.
    pub output: Option<f64>,
}

/// Weights, cache and buffers within `memory_bytes` at `context` tokens.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Fits {
    /// Memory there is.
    pub memory_bytes: u64,
    /// Whether that is what the machine has, which [`super::Pipeline::set_machine_memory`] fills in. The bytes are what
    /// counts and what is keyed.
    #[serde(skip)]
    pub of_machine: bool,
    /// Context to reckon with; in training, the tokens of one example.
    pub context: u64,
    /// Bits a weight takes on average, 16 unless the file says otherwise.
    pub bits_per_weight: f64,
    /// How weights are quantised, where the file names that instead of bits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quantization: Option<Quantization>,
    /// How keys and values are kept.
    #[serde(skip_serializing_if = "is_f16", serialize_with = "kv_cache_name")]
    pub kv_cache: KvCache,
    /// Conversations at once, at least 1; in training, the examples of one step.
    #[serde(skip_serializing_if = "is_one")]
    pub sequences: u64,
    /// What the memory is for.
    #[serde(skip_serializing_if = "Purpose::is_inference")]
    pub purpose: Purpose,
}

impl Fits {
    /// A model of 16 bits a weight that answers one conversation at a time.
    #[must_use]
    pub fn inference(memory_bytes: u64, context: u64) -> Self {
        Self {
            memory_bytes,
            of_machine: false,
            context,
            bits_per_weight: 16.0,
            quantization: None,
            kv_cache: KvCache::F16,
            sequences: 1,
            purpose: Purpose::Inference,
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes fields by reference")]
fn is_f16(kv_cache: &KvCache) -> bool {
    *kv_cache == KvCache::F16
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes fields by reference")]
fn is_one(sequences: &u64) -> bool {
    *sequences == 1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes fields by reference")]
fn kv_cache_name<S: serde::Serializer>(kv_cache: &KvCache, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(kv_cache.as_str())
}

/// What a model is held in memory for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// It answers.
    Inference,
    /// An adapter is trained over weights of 16 bits.
    Lora,
    /// An adapter is trained over weights of 4 bits.
    Qlora,
    /// All weights are trained.
    Full,
}

impl Purpose {
    /// All of them with their names in the pipeline file.
    pub const ALL: &'static [(&'static str, Self)] =
        &[("inference", Self::Inference), ("lora", Self::Lora), ("qlora", Self::Qlora), ("full", Self::Full)];

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes fields by reference")]
    fn is_inference(&self) -> bool {
        *self == Self::Inference
    }
}

macro_rules! quantizations {
    ($($variant:ident $name:literal)+) => {
        /// How a GGUF file keeps weights.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
        pub enum Quantization {
            $(#[doc = concat!("`", $name, "`")] #[serde(rename = $name)] $variant,)+
        }

        impl Quantization {
            /// All of them with their names, the largest first.
            pub const ALL: &'static [(&'static str, Self)] = &[$(($name, Self::$variant)),+];

            /// The name, as files are called by it.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }
        }
    };
}

quantizations! {
    F32 "F32"
    Bf16 "BF16"
    F16 "F16"
    Q8_0 "Q8_0"
    Q6K "Q6_K"
    Q5KM "Q5_K_M"
    Q5KS "Q5_K_S"
    Q4_1 "Q4_1"
    Q4KM "Q4_K_M"
    Q4KS "Q4_K_S"
    Iq4Xs "IQ4_XS"
    Q3KL "Q3_K_L"
    Q3KS "Q3_K_S"
    Q2K "Q2_K"
}

/// How candidates are ranked.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Profile {
    /// Benchmark column → weight above 0.
    pub prefer: IndexMap<String, f64>,
    /// Tags that put a candidate behind all without them: `reasoning`, `merge`, `base`…
    pub avoid: Vec<String>,
    /// What the model is for, where that says what to prefer and to avoid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preset: Option<Preset>,
}

/// A common job: the benchmarks that say something about it are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Preset {
    /// Supportive conversations.
    Therapy,
    /// Writing and changing programs.
    Coding,
    /// Mathematics.
    Math,
    /// Stories and other free writing.
    Creative,
    /// Questions that have a true answer.
    FactualQa,
    /// Replies in a prescribed form.
    StructuredOutput,
    /// Many steps with tools.
    Agents,
    /// Answers from documents that are given.
    Rag,
}

impl Preset {
    /// All of them with their names in the pipeline file.
    pub const ALL: &'static [(&'static str, Self)] = &[
        ("therapy", Self::Therapy),
        ("coding", Self::Coding),
        ("math", Self::Math),
        ("creative", Self::Creative),
        ("factual_qa", Self::FactualQa),
        ("structured_output", Self::StructuredOutput),
        ("agents", Self::Agents),
        ("rag", Self::Rag),
    ];

    /// The name in the pipeline file.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        let found = Self::ALL.iter().find(|(_, preset)| *preset == self);
        found.map(|(name, _)| *name).expect("all presets are listed")
    }
}

/// A model that a reviewer takes instead of the one that is computed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Pin {
    /// The model's id.
    pub id: String,
    /// Why it is taken.
    pub because: String,
}

/// What it takes to run a model oneself.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Hosting {
    /// US dollars that one graphics processor costs an hour.
    pub gpu_hour: f64,
    /// Graphics processors.
    pub gpus: u64,
    /// Tokens a second that they come to together.
    pub tokens_per_s: f64,
    /// Share of the time in which there is something to do, in (0, 1].
    pub utilisation: f64,
    /// Share of the tokens that are prompts, in [0, 1].
    pub prompt_share: f64,
}
