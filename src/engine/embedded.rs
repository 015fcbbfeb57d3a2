//! What the embedded engine is, known whether or not it is compiled in: a plan is the same with every build.

use serde_json::{Value, json};

use super::Identity;
use crate::key::BlobId;
use crate::spec::KvCache;

/// Raised when this engine would answer the same request otherwise with the same weights and the same llama.cpp.
const ENGINE_VERSION: u32 = 3;

/// The crates that carry llama.cpp; a test holds them against the lock file.
pub(crate) const LLAMA_CPP: &str = "llama-cpp-2 0.1.160, llama-cpp-sys-2 0.1.161";

/// The other crates that decide a reply: chat templates and constrained output. Held against the lock file as well.
pub(crate) const HELPERS: &str = "llguidance 1.9.1, toktrie 1.9.1, minijinja 3.0.5, minijinja-contrib 3.0.5";

/// Elsewhere than on a processor, prompts are computed in pieces of so many tokens: see `llama::lanes`.
pub(crate) const CHUNK: usize = 64;

/// The context of a model that was trained for more, unless more is asked for: memory grows with it.
pub(crate) const DEFAULT_CONTEXT: u32 = 4096;

/// Where llama.cpp computes: floating-point sums come out differently on each.
pub(crate) const BACKEND: &str = if cfg!(feature = "cuda") {
    "cuda"
} else if cfg!(feature = "vulkan") {
    "vulkan"
} else if cfg!(any(feature = "metal", all(target_os = "macos", target_arch = "aarch64"))) {
    "metal"
} else {
    "cpu"
};

/// Bytes of memory that the graphics processors have which the engine computes on; none where it computes elsewhere.
#[must_use]
pub fn graphics_memory() -> Option<u64> {
    match BACKEND {
        #[cfg(feature = "llama")]
        "cuda" | "vulkan" => super::llama::gpu_memory(&[]).map(|memory| memory.total),
        _ => None,
    }
}

/// The processor's extensions that the engine computes with: sums come out differently with others.
fn processor() -> Vec<&'static str> {
    #[cfg(feature = "llama")]
    return super::llama::processor::used();
    // What llama.cpp is compiled for unless it is told otherwise.
    #[cfg(not(feature = "llama"))]
    return if cfg!(target_arch = "x86_64") { vec!["avx", "avx2", "bmi2", "f16c", "fma"] } else { Vec::new() };
}

/// Takes out of a recipe on which machine an embedded engine would run: what remains is what the user decided.
#[must_use]
pub fn apart_from_machine(mut recipe: Value) -> Value {
    match &mut recipe {
        Value::Object(members) => {
            if members.get("engine").is_some_and(|engine| engine == "llama") {
                members.remove("backend");
                members.remove("processor");
            }
            members.values_mut().for_each(|member| *member = apart_from_machine(member.take()));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| *item = apart_from_machine(item.take())),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
    recipe
}

/// The parts of the embedded engine, for people: llama.cpp and where it computes.
#[must_use]
pub fn parts() -> (&'static str, &'static str) {
    (LLAMA_CPP, BACKEND)
}

/// The build of the embedded engine, for people.
#[must_use]
pub fn build() -> String {
    format!("{LLAMA_CPP}, {BACKEND} {}", processor().join(" "))
}

/// The processor's extensions, as far as they concern llama.cpp.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Extensions {
    /// Those that this build is compiled for.
    pub compiled: Vec<&'static str>,
    /// Those of them that this machine lacks: nothing can be loaded.
    pub missing: Vec<&'static str>,
    /// Those that this machine has and the build leaves aside.
    pub unused: Vec<&'static str>,
}

/// How many sequences are worth computing at once: beyond that a step takes longer in proportion.
pub const MOST_SEQUENCES: usize = 32;

/// Compares what llama.cpp was compiled for with this machine's processor; nothing without the embedded engine.
#[must_use]
pub fn extensions() -> Extensions {
    #[cfg(feature = "llama")]
    return Extensions {
        compiled: super::llama::processor::used(),
        missing: super::llama::processor::missing(),
        unused: super::llama::processor::unused(),
    };
    #[cfg(not(feature = "llama"))]
    return Extensions::default();
}

/// What decides the numbers of an embedded engine, apart from its build.
#[derive(Debug, Clone, PartialEq)]
pub struct Parts {
    /// blake3 of the weights.
    pub weights: BlobId,
    /// blake3 of the chat template in them; none if they carry none.
    pub chat_template: Option<BlobId>,
    /// blake3 of the adapter laid over them, and what it is multiplied with.
    pub adapter: Option<(BlobId, f64)>,
    /// How keys and values are kept.
    pub kv_cache: KvCache,
    /// Layers that are computed elsewhere than on the processor, where that is said. Without a graphics processor it
    /// changes nothing.
    pub gpu_layers: Option<u32>,
}

impl Parts {
    /// Weights as they are.
    #[must_use]
    pub fn of(weights: BlobId, chat_template: Option<BlobId>) -> Self {
        Self { weights, chat_template, adapter: None, kv_cache: KvCache::F16, gpu_layers: None }
    }
}

/// Says what an embedded engine answers with; needs neither the engine nor the files.
#[must_use]
pub fn identity(parts: &Parts) -> Identity {
    let Parts { weights, chat_template, adapter, kv_cache, gpu_layers } = parts;
    let mut identity = json!({
        "engine": "llama",
        "version": ENGINE_VERSION,
        "llama.cpp": LLAMA_CPP,
        "helpers": HELPERS,
        "backend": BACKEND,
        "chunk": if BACKEND == "cpu" { None } else { Some(CHUNK) },
        "processor": processor(),
        "weights": weights,
        "template": chat_template.map_or_else(|| "plain".to_owned(), |id| id.to_string()),
    });
    // What is not asked for is not named: models without options have the keys that they had before there were any.
    if let Some((lora, scale)) = adapter {
        identity["adapter"] = json!({ "lora": lora, "scale": scale });
    }
    if *kv_cache != KvCache::F16 {
        identity["kv_cache"] = json!(kv_cache.as_str());
    }
    if let (Some(layers), true) = (gpu_layers, BACKEND != "cpu") {
        identity["gpu_layers"] = json!(layers);
    }
    Identity(identity)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_option_that_changes_numbers_is_in_the_identity() {
        let plain = || Parts::of(BlobId::of(b"w"), None);
        let all = [
            plain(),
            Parts { adapter: Some((BlobId::of(b"a"), 1.0)), ..plain() },
            Parts { adapter: Some((BlobId::of(b"a"), 0.5)), ..plain() },
            Parts { adapter: Some((BlobId::of(b"b"), 1.0)), ..plain() },
            Parts { kv_cache: KvCache::Q8_0, ..plain() },
            Parts { kv_cache: KvCache::Q4_0, ..plain() },
            Parts { chat_template: Some(BlobId::of(b"t")), ..plain() },
        ]
        .map(|parts| identity(&parts));
        for (index, one) in all.iter().enumerate() {
            assert!(!all[..index].contains(one), "{one:?}");
        }
        let on_gpu = identity(&Parts { gpu_layers: Some(3), ..plain() });
        assert_eq!(on_gpu == all[0], BACKEND == "cpu");
    }

    #[test]
    fn without_options_nothing_is_named() {
        let Identity(plain) = identity(&Parts::of(BlobId::of(b"w"), None));
        let names: Vec<&String> = plain.as_object().unwrap().keys().collect();
        let mut expected =
            ["engine", "version", "llama.cpp", "helpers", "backend", "chunk", "processor", "weights", "template"];
        expected.sort_unstable();
        let mut names: Vec<&str> = names.into_iter().map(String::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, expected);
    }

    #[test]
    fn a_recipe_apart_from_the_machine_keeps_all_else() {
        let recipe = |backend: &str, processor: &[&str], weights: &str| {
            json!({ "fields": { "processor": "kept", "models": [
                { "engine": "llama", "backend": backend, "processor": processor, "weights": weights },
                { "engine": "openai", "backend": backend },
            ] } })
        };
        let one = apart_from_machine(recipe("cpu", &["avx2"], "w"));
        assert_eq!(one["fields"]["processor"], "kept");
        assert_eq!(
            one["fields"]["models"],
            json!([{ "engine": "llama", "weights": "w" }, { "engine": "openai", "backend": "cpu" }])
        );
        assert_eq!(one, {
            let mut other = apart_from_machine(recipe("metal", &["neon"], "w"));
            other["fields"]["models"][1]["backend"] = json!("cpu");
            other
        });
        assert_ne!(one, apart_from_machine(recipe("cpu", &["avx2"], "x")));
    }
}
