//! Options of a model, on real weights: adapters and caches of other types.

use super::tests::{ask, ask_all, config, mixed, refusal, request};
use super::*;

/// Size of a token's vector in SmolLM2.
const EMBEDDING: u64 = 576;

/// Writes a LoRA adapter for the queries of the first layers, whose vectors have `embedding` numbers.
fn adapter(embedding: u64) -> tempfile::NamedTempFile {
    const RANK: u64 = 8;
    let text = |out: &mut Vec<u8>, text: &str| {
        out.extend((text.len() as u64).to_le_bytes());
        out.extend(text.as_bytes());
    };
    let tensors: Vec<(String, [u64; 2])> = (0..4)
        .flat_map(|layer| {
            let name = |half: &str| format!("blk.{layer}.attn_q.weight.lora_{half}");
            [(name("a"), [embedding, RANK]), (name("b"), [RANK, embedding])]
        })
        .collect();
    let mut out = b"GGUF".to_vec();
    out.extend(3_u32.to_le_bytes());
    out.extend((tensors.len() as u64).to_le_bytes());
    out.extend(4_u64.to_le_bytes());
    for (key, value) in [("general.type", "adapter"), ("general.architecture", "llama"), ("adapter.type", "lora")] {
        text(&mut out, key);
        out.extend(8_u32.to_le_bytes());
        text(&mut out, value);
    }
    text(&mut out, "adapter.lora.alpha");
    out.extend(6_u32.to_le_bytes());
    out.extend(16_f32.to_le_bytes());
    let mut offset = 0_u64;
    for (name, dimensions) in &tensors {
        text(&mut out, name);
        out.extend(2_u32.to_le_bytes());
        dimensions.iter().for_each(|length| out.extend(length.to_le_bytes()));
        out.extend(0_u32.to_le_bytes());
        out.extend(offset.to_le_bytes());
        offset += embedding * RANK * 4;
    }
    out.resize(out.len().next_multiple_of(32), 0);
    let mut state = 1_u32;
    for _ in 0..offset / 4 {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let number = f32::from(u16::try_from(state >> 16).unwrap()) / 65_536.0 - 0.5;
        out.extend((number / 3.0).to_le_bytes());
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    fs_err::write(file.path(), out).unwrap();
    file
}

fn tuned(file: &tempfile::NamedTempFile, scale: f64) -> LlamaConfig {
    let adapter = AdapterConfig { path: file.path().into(), file: BlobId::of(b"lora"), scale };
    LlamaConfig { adapter: Some(adapter), ..config() }
}

/// Asks alone on one thread, and many together in another order on two.
async fn depends_on_the_request_alone(config: LlamaConfig) -> Vec<Reply> {
    let requests: Vec<Request> = (0..40).map(mixed).collect();
    let in_order: Vec<usize> = (0..40).collect();
    let shuffled: Vec<usize> = in_order.iter().map(|place| place * 7 % 40).collect();
    let threads = |threads| LlamaEngine::new(LlamaConfig { threads: Some(threads), ..config.clone() });
    let alone = ask_all(&threads(1), &requests, &in_order, 1).await;
    let together = ask_all(&threads(2), &requests, &shuffled, 40).await;
    for (place, reply) in alone.iter().enumerate() {
        assert_eq!(reply, &together[place], "{place}");
    }
    alone
}

#[tokio::test]
async fn an_adapter_answers_otherwise_than_its_base() {
    let file = adapter(EMBEDDING);
    let question = request("What is the capital of France?", 12);
    let base = LlamaEngine::new(config());
    let before = ask(&base, &question).await.text;
    let tuned_engine = LlamaEngine::new(tuned(&file, 1.0));
    assert_ne!(tuned_engine.identity(), base.identity());
    assert_ne!(ask(&tuned_engine, &question).await.text, before);
    assert_eq!(ask(&base, &question).await.text, before, "the base is as it was");
    // Next to nothing of it is next to no change.
    assert_eq!(ask(&LlamaEngine::new(tuned(&file, 1e-12)), &question).await.text, before);
}

#[tokio::test]
async fn with_an_adapter_a_reply_does_not_depend_on_what_is_asked_beside_it() {
    let file = adapter(EMBEDDING);
    depends_on_the_request_alone(tuned(&file, 0.5)).await;
}

#[tokio::test]
async fn with_a_quantised_cache_a_reply_does_not_depend_on_what_is_asked_beside_it_or_on_threads() {
    let eight = depends_on_the_request_alone(LlamaConfig { kv_cache: KvCache::Q8_0, ..config() }).await;
    let four = depends_on_the_request_alone(LlamaConfig { kv_cache: KvCache::Q4_0, ..config() }).await;
    assert_ne!(eight, four, "less room changes numbers");
}

#[tokio::test]
async fn a_file_that_is_no_adapter_of_these_weights_is_told() {
    let check = async |config: LlamaConfig, words: &[&str]| {
        let error = refusal(config, &request("Hi.", 1)).await;
        assert!(words.iter().all(|word| error.message.contains(word)), "{error}");
    };
    check(tuned(&adapter(64), 1.0), &["cannot lay the adapter", "incorrect shape"]).await;
    let other = tempfile::NamedTempFile::new().unwrap();
    fs_err::write(other.path(), "no adapter").unwrap();
    check(tuned(&other, 1.0), &["cannot lay the adapter"]).await;
    let model = AdapterConfig { path: config().weights_path, file: BlobId::of(b"w"), scale: 1.0 };
    check(LlamaConfig { adapter: Some(model), ..config() }, &["expect general.type to be 'adapter'"]).await;
}
