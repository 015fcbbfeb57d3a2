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
    /// Tokens of the vocabulary.
    pub vocab_size: Option<u64>,
    /// Where its weights can be had.
    pub weights: Option<&'c str>,
    /// sha256 of that file.
    pub weights_sha256: Option<&'c str>,
    /// Bytes of that file.
    pub weights_bytes: Option<u64>,
}
