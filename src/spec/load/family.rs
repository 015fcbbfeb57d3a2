//! Which family a model is of, as far as its name tells.

use indexmap::IndexMap;

use crate::ids::{ModelName, StageId};
use crate::spec::pipeline::{Model, ModelRef, PullFrom, Stage};

/// Names of families as they stand in the names of models, in lower case. Those of a family were trained on much the same data, and
/// a judge tends to like what sounds like itself.
const FAMILIES: &[&str] = &[
    "claude",
    "command-r",
    "deepseek",
    "falcon",
    "gemini",
    "gemma",
    "glm",
    "gpt",
    "granite",
    "grok",
    "internlm",
    "kimi",
    "llama",
    "mistral",
    "mixtral",
    "nemotron",
    "olmo",
    "phi",
    "qwen",
    "smollm",
    "yi",
];

/// The family that two models have in common, where both names tell one.
pub(super) fn shared(
    one: &ModelRef,
    other: &ModelRef,
    stages: &IndexMap<StageId, Stage>,
    models: &IndexMap<ModelName, Model>,
) -> Option<&'static str> {
    let of = |model| family(&name(model, stages, models)?);
    of(one).filter(|family| Some(*family) == of(other))
}

/// What says most about a model: the name that a server knows it by, or the name of its file.
fn name(model: &ModelRef, stages: &IndexMap<StageId, Stage>, models: &IndexMap<ModelName, Model>) -> Option<String> {
    match model {
        ModelRef::Declared(name) => match models.get(name)? {
            Model::OpenAi(server) => Some(server.model.clone()),
            // Canned replies are of no family.
            Model::Scripted(_) => None,
        },
        ModelRef::Embedded(model) => {
            let Stage::Pull(pull) = stages.get(&model.weights)? else { return None };
            let source = match &pull.from {
                PullFrom::Source(source) => source,
                PullFrom::Mirrors(sources) => sources.first()?,
                PullFrom::Candidate { .. } => return None,
            };
            // A directory is named after all sorts of things.
            source.without_query().to_string().rsplit(['/', '\\']).next().map(ToOwned::to_owned)
        }
    }
}

/// The family whose name begins a word of the model's, the first there is.
fn family(name: &str) -> Option<&'static str> {
    let name = name.to_lowercase();
    let begins_word = |family: &&&str| {
        name.match_indices(**family).any(|(at, _)| {
            let before = name[..at].chars().next_back();
            let behind = name[at + family.len()..].chars().next();
            !before.is_some_and(char::is_alphanumeric) && !behind.is_some_and(char::is_alphabetic)
        })
    };
    FAMILIES.iter().filter(begins_word).min_by_key(|family| name.find(**family)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_the_family() {
        for (name, expected) in [
            ("qwen3-8b", Some("qwen")),
            ("Qwen2.5-7B-Instruct-Q4_K_M.gguf", Some("qwen")),
            ("Meta-Llama-3.1-8B", Some("llama")),
            ("gpt-4o-mini", Some("gpt")),
            // A distilled model is named after whom it learnt from first.
            ("DeepSeek-R1-Distill-Llama-8B", Some("deepseek")),
            ("TinyLlama-1.1B", None),
            ("graphite-phial", None),
            ("yi-6b", Some("yi")),
            ("model", None),
            ("", None),
        ] {
            assert_eq!(family(name), expected, "{name}");
        }
    }
}
