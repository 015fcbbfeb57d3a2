//! What a catalog says about one model, apart from scores.

/// The facts about a model that requirements, tags and the memory estimate rest on; what is not known is none.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Facts<'c> {
    /// The model's id.
    pub id: &'c str,
    /// Parameters in billions, all experts included.
    pub params_b: Option<f64>,
    /// `base`, `chat`…
    pub kind: Option<&'c str>,
    /// Licence.
    pub license: Option<&'c str>,
    /// Conditions of the licence.
    pub license_note: Option<&'c str>,
    /// Whether the licence allows commercial use.
    pub commercial: Option<bool>,
    /// Context in tokens.
    pub context: Option<u64>,
    /// Whether the repository is the model's publisher's.
    pub official: Option<bool>,
    /// Whether it thinks before it answers.
    pub reasoning: Option<bool>,
    /// Downloads, to break ties.
    pub downloads: Option<u64>,
    /// Name of the architecture, as in its configuration.
    pub architecture: Option<&'c str>,
    /// Layers.
    pub layers: Option<u64>,
    /// Heads of keys and values in a layer.
    pub kv_heads: Option<u64>,
    /// Numbers in a head.
    pub head_dim: Option<u64>,
    /// Numbers of a token's vector between layers.
    pub hidden_size: Option<u64>,
    /// Tokens of the vocabulary.
    pub vocab_size: Option<u64>,
    /// Whether one table serves to read tokens and to write them.
    pub tied_embeddings: Option<bool>,
    /// Tokens that it was trained on, in billions.
    pub training_tokens_b: Option<f64>,
    /// How the published weights are kept: `bfloat16`, `float16`…
    pub precision: Option<&'c str>,
    /// When it was published, `2024-06-01`.
    pub release_date: Option<&'c str>,
    /// Where its knowledge ends, `2023-12`.
    pub knowledge_cutoff: Option<&'c str>,
    /// Whether it is made to call tools.
    pub tool_call: Option<bool>,
    /// Whether its weights are public.
    pub open_weights: Option<bool>,
    /// US dollars for a million tokens of prompts.
    pub price_in: Option<f64>,
    /// US dollars for a million tokens that it writes.
    pub price_out: Option<f64>,
    /// Where its row comes from; several are separated by `;`.
    pub source: Option<&'c str>,
    /// When those were taken, in the same order.
    pub source_date: Option<&'c str>,
    /// Whether it has a score in a benchmark of programming.
    pub coded: bool,
    /// Where its weights can be had.
    pub weights: Option<&'c str>,
    /// sha256 of that file.
    pub weights_sha256: Option<&'c str>,
    /// Bytes of that file.
    pub weights_bytes: Option<u64>,
}
