//! How much memory a model needs to run: weights, KV cache and buffers.
//!
//! An estimate from a catalog's facts, made before anything is downloaded; a GGUF file's own tensor table is exact.
//! The reckoning is that of the embedded engine, so that both say the same of one model; `training` has what fine-tuning
//! takes. Start at [`estimate`].

use super::facts::Facts;
use super::quantization::{Weights, weights};
use super::training;
use crate::spec::{Fits, KvCache, Purpose};

/// Tokens of a prompt that the embedded engine computes at once; its buffer holds four bytes for each of them and each
/// token of the vocabulary. llama.cpp's own default is 512.
const BATCH: u64 = 256;

/// Vectors of a token that are held at once while a layer is computed, reckoned in sizes of the embedding.
const VECTORS: u64 = 16;

/// What the mask of attention takes, in sizes of one head's row.
const MASKS: u64 = 2;

/// The vocabulary reckoned with where the catalog has no `vocab_size`: it makes the compute buffer 64 MiB. Vocabularies
/// lie between 32,000 tokens (31 MiB) and 262,144 (256 MiB).
pub(super) const TYPICAL_VOCABULARY: u64 = 65_536;

/// What weights and buffers are multiplied with, for what the reckoning leaves out.
pub(super) const SAFETY: f64 = 1.05;

/// KV cache bytes a token are this times the square root of the number of parameters, where the shape is unknown: three
/// quarters of 617 models of known shape take less. Those without grouped-query attention take up to three times as much.
const KV_BYTES_PER_ROOT_PARAMETER: f64 = 2.0;

/// Architectures with multi-head latent attention, whose cache is far smaller than heads and dimensions suggest.
const LATENT_ATTENTION: &[&str] = &["deepseek_v", "deepseekv", "kimi_k", "glm_moe_dsa"];

/// What a model takes, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// The weights.
    pub weights: u64,
    /// The KV cache: 2 × layers × heads × head size × bytes of a number × context × sequences. In training, the
    /// activations that are kept.
    pub kv_cache: u64,
    /// Buffers to compute in.
    pub compute: u64,
    /// What is kept to train by: gradients, the optimiser's moments, an adapter. 0 where nothing is trained.
    pub training: u64,
    /// The sum, with 5 % on top of all but the cache.
    pub total: u64,
    /// Whether the cache or the activations are a rule of thumb, because the catalog does not tell the model's shape.
    pub kv_cache_estimated: bool,
    /// Whether the size of quantised weights is a rule of thumb, because the catalog does not tell how many of them are
    /// in the vocabulary.
    pub weights_estimated: bool,
}

/// Estimates what a model takes to answer with `bits_per_weight`, one conversation of `context` tokens at a time; none if
/// its number of parameters is unknown.
#[must_use]
pub fn memory_bytes(facts: &Facts<'_>, context: u64, bits_per_weight: f64) -> Option<Memory> {
    estimate(facts, &Fits { bits_per_weight, ..Fits::inference(0, context) })
}

/// Estimates what a model takes in the way that `fits` describes; none if its number of parameters is unknown.
///
/// All parameters count, also those of experts that a token does not visit: they must lie in memory as well.
#[must_use]
pub fn estimate(facts: &Facts<'_>, fits: &Fits) -> Option<Memory> {
    let parameters = facts.params_b.filter(|billions| *billions > 0.0)? * 1e9;
    if fits.purpose != Purpose::Inference {
        return Some(training::estimate(facts, parameters, fits));
    }
    let Weights { bytes: weights, is_estimate } = weights(facts, parameters, fits.quantization, fits.bits_per_weight);
    let shape = kv_shape(facts);
    let tokens = fits.context as f64 * fits.sequences as f64;
    let kv_cache = match shape {
        Some(shape) => kv_cache_bytes(shape, tokens, number_bytes(fits.kv_cache)),
        None => KV_BYTES_PER_ROOT_PARAMETER * parameters.sqrt() * tokens * number_bytes(fits.kv_cache) / 2.0,
    };
    let compute = buffers(facts, fits.context);
    Some(Memory {
        weights: whole(weights),
        kv_cache: whole(kv_cache),
        compute: whole(compute),
        training: 0,
        total: whole((weights + compute) * SAFETY + kv_cache),
        kv_cache_estimated: shape.is_none(),
        weights_estimated: is_estimate,
    })
}

/// What the embedded engine computes in: logits, vectors, the mask of attention.
fn buffers(facts: &Facts<'_>, context: u64) -> f64 {
    let logits = compute_buffer_bytes(BATCH, facts.vocab_size.unwrap_or(TYPICAL_VOCABULARY), context, MASKS, true);
    let vectors = VECTORS as f64 * facts.hidden_size.unwrap_or(0) as f64;
    let masks = MASKS as f64 * context as f64;
    logits + 4.0 * BATCH as f64 * (vectors + masks)
}

/// The larger of the two large buffers of a batch: logits, or all heads' scores where attention is not one kernel.
pub(crate) fn compute_buffer_bytes(batch: u64, vocabulary: u64, context: u64, heads: u64, one_kernel: bool) -> f64 {
    let scores = if one_kernel { 0.0 } else { context as f64 * heads as f64 };
    4.0 * batch as f64 * scores.max(vocabulary as f64)
}

/// Bytes of the cache of so many layers, heads and numbers in a head, for so many tokens, all sequences together.
pub(crate) fn kv_cache_bytes([layers, kv_heads, head_dim]: [u64; 3], tokens: f64, number_bytes: f64) -> f64 {
    2.0 * layers as f64 * kv_heads as f64 * head_dim as f64 * number_bytes * tokens
}

fn number_bytes(kv_cache: KvCache) -> f64 {
    kv_cache.block_bytes() as f64 / 32.0
}

fn kv_shape(facts: &Facts<'_>) -> Option<[u64; 3]> {
    let architecture = facts.architecture.unwrap_or_default().to_ascii_lowercase();
    if LATENT_ATTENTION.iter().any(|name| architecture.starts_with(name)) {
        return None;
    }
    let known = |value: Option<u64>| value.filter(|value| *value > 0);
    Some([known(facts.layers)?, known(facts.kv_heads)?, known(facts.head_dim)?])
}

#[expect(clippy::cast_possible_truncation, reason = "a float beyond u64 becomes its largest value, which fits nowhere")]
pub(super) fn whole(bytes: f64) -> u64 {
    bytes.ceil() as u64
}

#[cfg(test)]
mod tests;
