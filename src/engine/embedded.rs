//! What the embedded engine is, known whether or not it is compiled in: a plan is the same with every build.

use serde_json::{Value, json};

use super::Identity;
use crate::key::BlobId;

/// Raised when this engine would answer the same request otherwise with the same weights and the same llama.cpp.
const ENGINE_VERSION: u32 = 2;

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

/// The build of the embedded engine, for people.
#[must_use]
pub fn build() -> String {
    format!("{LLAMA_CPP}, {BACKEND} {}", processor().join(" "))
}

/// Says what an embedded engine with these weights answers with; needs neither the engine nor the file.
#[must_use]
pub fn identity(weights: BlobId, chat_template: Option<BlobId>) -> Identity {
    Identity(json!({
        "engine": "llama",
        "version": ENGINE_VERSION,
        "llama.cpp": LLAMA_CPP,
        "helpers": HELPERS,
        "backend": BACKEND,
        "chunk": if BACKEND == "cpu" { None } else { Some(CHUNK) },
        "processor": processor(),
        "weights": weights,
        "template": chat_template.map_or_else(|| "plain".to_owned(), |id| id.to_string()),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

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
