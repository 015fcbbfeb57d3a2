//! How much memory it takes to fine-tune a model: with an adapter, with an adapter over weights of 4 bits, or in full.
//!
//! The usual setting: 16-bit weights and gradients, Adam with 32-bit moments, activations computed again for each layer in
//! the backward pass. Other optimisers and several devices are left out.

use super::facts::Facts;
use super::memory::{Memory, SAFETY, TYPICAL_VOCABULARY, whole};
use crate::spec::{Fits, Purpose};

/// Bytes of a weight of 16 bits.
const HALF: f64 = 2.0;

/// Bytes that a trained weight takes besides itself: a gradient of 2, a 32-bit copy of 4 and two moments of 4 each.
const TRAINED: f64 = 14.0;

/// Bits of a weight as `QLoRA` keeps it: NF4 with its constants quantised once more.
const NF4_BITS: f64 = 4.127;

/// The rank of an adapter on all of a layer's matrices.
const RANK: f64 = 16.0;

/// Lengths of a layer's matrices, inputs and outputs together, in sizes of the embedding: four of attention, three of a
/// feed-forward part that is 3.5 times as wide.
const ENDS: f64 = 21.5;

/// An adapter's share of the parameters where the shape is unknown: that of rank 16 on a model of 7 to 8 billions.
const ADAPTER_SHARE: f64 = 0.0055;

/// Bytes of a token that one layer holds while it is computed again, in sizes of the embedding.
const LAYER: f64 = 34.0;

/// Bytes of a logit: itself, its gradient, and the 16-bit value that it comes from.
const LOGIT: f64 = 10.0;

/// The size of an embedding where it is unknown, in roots of the number of parameters: that of Llama 3.1 8B.
const HIDDEN_PER_ROOT_PARAMETER: f64 = 0.046;

/// Layers where they are unknown.
const TYPICAL_LAYERS: f64 = 32.0;

/// Estimates what fine-tuning takes. `context` of `fits` is the length of an example, `sequences` how many are in a step.
pub(super) fn estimate(facts: &Facts<'_>, parameters: f64, fits: &Fits) -> Memory {
    let shape = facts.layers.zip(facts.hidden_size).filter(|(layers, hidden)| *layers > 0 && *hidden > 0);
    let (layers, hidden) = match shape {
        Some((layers, hidden)) => (layers as f64, hidden as f64),
        None => (TYPICAL_LAYERS, HIDDEN_PER_ROOT_PARAMETER * parameters.sqrt()),
    };
    let vocabulary = facts.vocab_size.unwrap_or(TYPICAL_VOCABULARY) as f64;
    let adapter = match shape {
        Some((layers, hidden)) => RANK * ENDS * layers as f64 * hidden as f64,
        None => ADAPTER_SHARE * parameters,
    };
    let (weights, trained) = match fits.purpose {
        // Who only answers trains nothing, and is reckoned elsewhere.
        Purpose::Inference => (parameters * HALF, 0.0),
        Purpose::Full => (parameters * HALF, parameters * TRAINED),
        Purpose::Lora => (parameters * HALF, adapter * (HALF + TRAINED)),
        Purpose::Qlora => {
            // The vocabulary's table keeps its 16 bits.
            let table = (vocabulary * hidden).min(parameters);
            ((parameters - table) * NF4_BITS / 8.0 + table * HALF, adapter * (HALF + TRAINED))
        }
    };
    let tokens = fits.context as f64 * fits.sequences as f64;
    let activations = tokens * hidden * (layers * HALF + LAYER);
    let compute = tokens * vocabulary * LOGIT;
    Memory {
        weights: whole(weights),
        kv_cache: whole(activations),
        compute: whole(compute),
        training: whole(trained),
        total: whole((weights + trained + compute + activations) * SAFETY),
        kv_cache_estimated: shape.is_none(),
        weights_estimated: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn llama_3_1_8b() -> Facts<'static> {
        Facts {
            params_b: Some(8.030_261_248),
            layers: Some(32),
            hidden_size: Some(4096),
            vocab_size: Some(128_256),
            ..Facts::default()
        }
    }

    fn of(purpose: Purpose, context: u64) -> Memory {
        let facts = llama_3_1_8b();
        estimate(&facts, 8_030_261_248.0, &Fits { purpose, ..Fits::inference(0, context) })
    }

    #[test]
    fn each_way_takes_what_it_keeps() {
        let full = of(Purpose::Full, 2048);
        // 16 bytes a parameter, as everybody reckons.
        assert_eq!(full.weights + full.training, 16 * 8_030_261_248);
        let lora = of(Purpose::Lora, 2048);
        assert_eq!(lora.weights, 2 * 8_030_261_248);
        // Rank 16 on all matrices of Llama 3.1 8B has 41,943,040 parameters.
        let adapter = lora.training as f64 / 16.0;
        assert!((adapter / 41_943_040.0 - 1.0).abs() < 0.1, "{adapter}");
        let qlora = of(Purpose::Qlora, 2048);
        assert!(qlora.weights < lora.weights / 3, "{}", qlora.weights);
        assert!(qlora.total < 16 << 30, "an 8B model is trained on a card of 16 GiB: {}", qlora.total);
        assert!(lora.total > 20_000_000_000 && lora.total < 26_000_000_000, "{}", lora.total);
        assert!(full.total > lora.total && lora.total > qlora.total);
    }

    #[test]
    fn longer_examples_and_more_of_them_take_more() {
        let (short, long) = (of(Purpose::Lora, 1024), of(Purpose::Lora, 2048));
        assert_eq!(long.kv_cache, 2 * short.kv_cache);
        let facts = llama_3_1_8b();
        let two = Fits { purpose: Purpose::Lora, sequences: 2, ..Fits::inference(0, 1024) };
        assert_eq!(estimate(&facts, 8_030_261_248.0, &two), long);
    }

    #[test]
    fn without_a_shape_it_is_a_rule_of_thumb() {
        let facts = Facts { layers: None, ..llama_3_1_8b() };
        let fits = Fits { purpose: Purpose::Lora, ..Fits::inference(0, 2048) };
        let (rule, exact) = (estimate(&facts, 8_030_261_248.0, &fits), of(Purpose::Lora, 2048));
        assert!(rule.kv_cache_estimated && !exact.kv_cache_estimated);
        assert!((rule.total as f64 / exact.total as f64 - 1.0).abs() < 0.05, "{} {}", rule.total, exact.total);
    }
}
