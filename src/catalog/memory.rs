//! How much memory a model needs to run: weights, KV cache and buffers.
//!
//! An estimate from a catalog's facts, made before anything is downloaded; a GGUF file's own tensor table is exact.
//! The formulas are llama.cpp's for weights, f16 KV cache and compute buffer, with a safety factor.

use super::facts::Facts;

/// Bytes of one number of the KV cache: f16.
const KV_NUMBER_BYTES: f64 = 2.0;

/// The batch that llama.cpp computes logits for at once, in tokens; its buffer holds four bytes for each of them and each
/// token of the vocabulary.
const COMPUTE_BATCH: f64 = 512.0;

/// The vocabulary reckoned with where the catalog has no `vocab_size`: it makes the compute buffer 128 MiB. Vocabularies
/// lie between 32,000 tokens (62 MiB) and 262,144 (512 MiB).
const TYPICAL_VOCABULARY: u64 = 65_536;

/// What the sum is multiplied with, for what it leaves out.
const SAFETY: f64 = 1.05;

/// KV cache bytes a token are this times the square root of the number of parameters, where the shape is unknown: three
/// quarters of 617 models of known shape take less. Those without grouped-query attention take up to three times as much.
const KV_BYTES_PER_ROOT_PARAMETER: f64 = 2.0;

/// Architectures with multi-head latent attention, whose cache is far smaller than heads and dimensions suggest.
const LATENT_ATTENTION: &[&str] = &["deepseek_v", "deepseekv", "kimi_k", "glm_moe_dsa"];

/// What a model takes, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// The weights: parameters × bits / 8.
    pub weights: u64,
    /// The KV cache: 2 × layers × heads × head size × 2 bytes × context.
    pub kv_cache: u64,
    /// The compute buffer: 4 bytes × 512 × vocabulary.
    pub compute: u64,
    /// The sum of the three × 1.05.
    pub total: u64,
    /// Whether the KV cache is a rule of thumb, because the catalog does not tell the model's shape.
    pub kv_cache_estimated: bool,
}

/// Estimates what a model takes at `context` tokens; none if its number of parameters is unknown.
///
/// All parameters count, also those of experts that a token does not visit: they must lie in memory as well.
#[must_use]
pub fn memory_bytes(facts: &Facts<'_>, context: u64, bits_per_weight: f64) -> Option<Memory> {
    let parameters = facts.params_b.filter(|billions| *billions > 0.0)? * 1e9;
    let weights = weight_bytes(parameters, bits_per_weight);
    let shape = kv_shape(facts);
    let kv_cache = match shape {
        Some((layers, heads, size)) => kv_cache_bytes(layers, heads, size, context),
        None => KV_BYTES_PER_ROOT_PARAMETER * parameters.sqrt() * context as f64,
    };
    let compute = 4.0 * COMPUTE_BATCH * facts.vocab_size.unwrap_or(TYPICAL_VOCABULARY) as f64;
    Some(Memory {
        weights: whole(weights),
        kv_cache: whole(kv_cache),
        compute: whole(compute),
        total: whole((weights + kv_cache + compute) * SAFETY),
        kv_cache_estimated: shape.is_none(),
    })
}

fn weight_bytes(parameters: f64, bits_per_weight: f64) -> f64 {
    parameters * bits_per_weight / 8.0
}

fn kv_cache_bytes(layers: u64, kv_heads: u64, head_dim: u64, context: u64) -> f64 {
    2.0 * layers as f64 * kv_heads as f64 * head_dim as f64 * KV_NUMBER_BYTES * context as f64
}

fn kv_shape(facts: &Facts<'_>) -> Option<(u64, u64, u64)> {
    let architecture = facts.architecture.unwrap_or_default().to_ascii_lowercase();
    if LATENT_ATTENTION.iter().any(|name| architecture.starts_with(name)) {
        return None;
    }
    let known = |value: Option<u64>| value.filter(|value| *value > 0);
    Some((known(facts.layers)?, known(facts.kv_heads)?, known(facts.head_dim)?))
}

#[expect(clippy::cast_possible_truncation, reason = "a float beyond u64 becomes its largest value, which fits nowhere")]
fn whole(bytes: f64) -> u64 {
    bytes.ceil() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(found: f64, expected: f64) {
        assert!((found / expected - 1.0).abs() < 1e-9, "{found} {expected}");
    }

    #[test]
    fn weights_match_the_vectors() {
        for (parameters, bits, expected) in [
            (8_030_261_248.0, 4.8944, 4_912_913_831.526_4),
            (70_553_706_496.0, 4.8944, 43_164_757_634.252_8),
            (6_738_415_616.0, 8.5008, 7_160_240_433.561_6),
        ] {
            close(weight_bytes(parameters, bits), expected);
        }
    }

    #[test]
    fn kv_caches_match_the_vectors() {
        for (layers, heads, size, context, expected) in [
            (32, 8, 128, 8192, 1_073_741_824.0),
            (32, 32, 128, 4096, 2_147_483_648.0),
            (40, 40, 128, 4096, 3_355_443_200.0),
        ] {
            close(kv_cache_bytes(layers, heads, size, context), expected);
        }
    }

    fn llama_3_1_8b() -> Facts<'static> {
        Facts {
            params_b: Some(8.030_261_248),
            layers: Some(32),
            kv_heads: Some(8),
            head_dim: Some(128),
            vocab_size: Some(128_256),
            ..Facts::default()
        }
    }

    #[test]
    fn the_parts_add_up() {
        let memory = memory_bytes(&llama_3_1_8b(), 8192, 16.0).unwrap();
        assert_eq!(memory.weights, 16_060_522_496);
        assert_eq!(memory.kv_cache, 1 << 30);
        // 250.5 MiB, as llama.cpp reports.
        assert_eq!(memory.compute, 262_668_288);
        close(memory.total as f64, 17_396_932_608.0 * 1.05);
        assert!(!memory.kv_cache_estimated);
        let unknown_vocabulary = Facts { vocab_size: None, ..llama_3_1_8b() };
        assert_eq!(memory_bytes(&unknown_vocabulary, 8192, 16.0).unwrap().compute, 128 << 20);
    }

    #[test]
    fn an_unknown_shape_is_estimated() {
        for facts in [
            Facts { layers: None, ..llama_3_1_8b() },
            Facts { kv_heads: None, ..llama_3_1_8b() },
            Facts { head_dim: Some(0), ..llama_3_1_8b() },
            Facts { architecture: Some("DeepseekV3ForCausalLM"), ..llama_3_1_8b() },
            Facts { architecture: Some("kimi_k2"), ..llama_3_1_8b() },
        ] {
            let memory = memory_bytes(&facts, 8192, 16.0).unwrap();
            assert!(memory.kv_cache_estimated);
            close(memory.kv_cache as f64, 1_468_198_502.0);
        }
    }

    #[test]
    fn no_parameters_no_estimate() {
        for params_b in [None, Some(0.0)] {
            assert_eq!(memory_bytes(&Facts { params_b, ..llama_3_1_8b() }, 8192, 16.0), None);
        }
    }

    #[test]
    fn absurd_numbers_saturate() {
        let facts = Facts { layers: Some(u64::MAX), kv_heads: Some(u64::MAX), ..llama_3_1_8b() };
        assert_eq!(memory_bytes(&facts, u64::MAX, 16.0).unwrap().total, u64::MAX);
    }
}
