//! The reckoning against the embedded engine's own, which is made from a file's header.

use super::*;
use crate::engine::embedded::BACKEND;
use crate::fetch::gguf;
use crate::ids::StageId;
use crate::plan::Needs;
use crate::spec::{Embedded, Quantization};

fn close(found: f64, expected: f64) {
    assert!((found / expected - 1.0).abs() < 1e-9, "{found} {expected}");
}

fn llama_3_1_8b() -> Facts<'static> {
    Facts {
        params_b: Some(8.030_261_248),
        layers: Some(32),
        kv_heads: Some(8),
        head_dim: Some(128),
        hidden_size: Some(4096),
        vocab_size: Some(128_256),
        ..Facts::default()
    }
}

fn smollm2_135m() -> Facts<'static> {
    Facts {
        params_b: Some(0.134_515_008),
        architecture: Some("llama"),
        layers: Some(30),
        kv_heads: Some(3),
        head_dim: Some(64),
        hidden_size: Some(576),
        vocab_size: Some(49_152),
        ..Facts::default()
    }
}

fn gemma_3_270m() -> Facts<'static> {
    Facts {
        params_b: Some(0.268_098_176),
        architecture: Some("gemma3"),
        layers: Some(18),
        kv_heads: Some(1),
        head_dim: Some(256),
        hidden_size: Some(640),
        vocab_size: Some(262_144),
        ..Facts::default()
    }
}

/// The header that a file of such a model has.
#[expect(clippy::cast_possible_truncation, reason = "a number of parameters")]
fn header(facts: &Facts<'_>, heads: u64) -> gguf::Header {
    gguf::Header {
        architecture: facts.architecture.unwrap().to_owned(),
        adapter: None,
        name: None,
        license: None,
        chat_template: None,
        context_length: Some(32_768),
        layers: facts.layers,
        heads: Some(heads),
        kv_heads: facts.kv_heads,
        key_length: facts.head_dim,
        value_length: facts.head_dim,
        embedding_length: facts.hidden_size,
        vocabulary: facts.vocab_size,
        parameters: (facts.params_b.unwrap() * 1e9).round() as u64,
        quantization: "F16".to_owned(),
        tensor_bytes: 0,
    }
}

#[test]
fn it_agrees_with_the_embedded_engine() {
    for (facts, heads) in [(smollm2_135m(), 9), (gemma_3_270m(), 4)] {
        let header = header(&facts, heads);
        for (name, kv_cache) in KvCache::ALL {
            // A graphics processor computes attention over a cache of 16 bits in another way, with room for all heads.
            if BACKEND != "cpu" && *kv_cache == KvCache::F16 {
                continue;
            }
            for context in [2048_u32, 8192, 32_768] {
                let mut model = Embedded::of(StageId::new("weights").unwrap());
                model.sequences = Some(4);
                model.kv_cache = *kv_cache;
                let needs = Needs::of_header(&header, header.parameters * 2, 0, &model, Some(context));
                let engine = needs.fit(Some(u64::MAX / 4)).unwrap();
                assert_eq!((engine.sequences, engine.context), (4, usize::try_from(context).unwrap()));
                let fits = Fits { sequences: 4, kv_cache: *kv_cache, ..Fits::inference(0, u64::from(context)) };
                let memory = estimate(&facts, &fits).unwrap();
                let apart = memory.total as f64 / engine.total as f64 - 1.0;
                assert!(apart.abs() < 0.01, "{header:?} {name} {context}: {memory:?} {engine:?}");
                assert!(!memory.kv_cache_estimated && !memory.weights_estimated);
            }
        }
    }
}

#[test]
fn what_is_known_of_small_models_is_met() {
    // 30 layers × 3 heads × 64 numbers, keys and values, of two bytes: 22.5 KiB a token.
    assert_eq!(memory_bytes(&smollm2_135m(), 2048, 16.0).unwrap().kv_cache, 2048 * 23_040);
    // 18 layers × 1 head × 256 numbers: 18 KiB a token.
    assert_eq!(memory_bytes(&gemma_3_270m(), 2048, 16.0).unwrap().kv_cache, 2048 * 18_432);
    // Five eighths of Gemma's parameters are its vocabulary, which is kept at 8 bits however small the rest is.
    let of = |quantization| {
        let fits = Fits { quantization: Some(quantization), ..Fits::inference(0, 2048) };
        estimate(&gemma_3_270m(), &fits).unwrap().weights as f64 / 1e6
    };
    assert!((of(Quantization::Q8_0) - 284.9).abs() < 0.1, "{}", of(Quantization::Q8_0));
    assert!((of(Quantization::Q4KM) - 247.2).abs() < 0.1, "{}", of(Quantization::Q4KM));
}

#[test]
fn the_parts_add_up() {
    let memory = memory_bytes(&llama_3_1_8b(), 8192, 16.0).unwrap();
    assert_eq!(memory.weights, 16_060_522_496);
    assert_eq!(memory.kv_cache, 1 << 30);
    assert_eq!(memory.compute, 4 * 256 * (128_256 + 16 * 4096 + 2 * 8192));
    close(memory.total as f64, (16_060_522_496 + memory.compute) as f64 * 1.05 + f64::from(1 << 30));
    assert!(!memory.kv_cache_estimated);
    let unknown = Facts { vocab_size: None, hidden_size: None, ..llama_3_1_8b() };
    assert_eq!(memory_bytes(&unknown, 8192, 16.0).unwrap().compute, (64 << 20) + 4 * 256 * 2 * 8192);
    // Twice as many conversations take twice the cache and nothing else; a coarser cache takes less.
    let with = |sequences, kv_cache| {
        estimate(&llama_3_1_8b(), &Fits { sequences, kv_cache, ..Fits::inference(0, 8192) }).unwrap()
    };
    assert_eq!(with(2, KvCache::F16).total - memory.total, 1 << 30);
    assert_eq!(with(1, KvCache::Q8_0).kv_cache, (1 << 30) * 34 / 64);
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
    let absurd = Facts { vocab_size: Some(u64::MAX), hidden_size: Some(u64::MAX), ..llama_3_1_8b() };
    assert_eq!(memory_bytes(&absurd, u64::MAX, 16.0).unwrap().total, u64::MAX);
}
