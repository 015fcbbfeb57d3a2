//! What the environment says about where weights come from, under the names that other programs have for it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::fetch::Access;
use crate::spec::Secret;

/// Prefixes of variables that are for object stores.
const OBJECT_STORES: [&str; 3] = ["AWS_", "AZURE_", "GOOGLE_"];
/// Where Ollama keeps models when it runs as a service.
const OLLAMA_SERVICE: &str = "/usr/share/ollama/.ollama/models";

/// Reads it, and the file in which the hub's own programs keep their token.
pub(super) fn access(environment: &BTreeMap<String, String>) -> Access {
    let set = |name: &str| environment.get(name).map(|value| value.trim()).filter(|value| !value.is_empty());
    let path = |name: &str| set(name).map(PathBuf::from);
    let home = path("HOME");
    let hub_home = path("HF_HOME").or_else(|| {
        let caches = path("XDG_CACHE_HOME").or_else(|| Some(home.as_ref()?.join(".cache")));
        Some(caches?.join("huggingface"))
    });
    let kept_token = || {
        let file = path("HF_TOKEN_PATH").or_else(|| Some(hub_home.as_ref()?.join("token")))?;
        let token = fs_err::read_to_string(file).ok()?;
        Some(token.trim().to_owned()).filter(|token| !token.is_empty())
    };
    let token = set("HF_TOKEN").or_else(|| set("HUGGING_FACE_HUB_TOKEN")).map(str::to_owned).or_else(kept_token);
    let usual = Access::default();
    let is_object_store = |name: &str| OBJECT_STORES.iter().any(|prefix| name.starts_with(prefix));
    let secret = |(name, value): (&String, &String)| (name.clone(), Secret::new(value.clone()));
    Access {
        hub: set("HF_ENDPOINT").map_or(usual.hub, str::to_owned),
        hub_token: token.map(Secret::new),
        hub_cache: path("HF_HUB_CACHE").or_else(|| Some(hub_home.as_ref()?.join("hub"))),
        ollama: set("OLLAMA_REGISTRY").map_or(usual.ollama, str::to_owned),
        ollama_models: match path("OLLAMA_MODELS") {
            Some(models) => vec![models],
            None => home.iter().map(|home| home.join(".ollama/models")).chain([OLLAMA_SERVICE.into()]).collect(),
        },
        object_stores: environment.iter().filter(|(name, _)| is_object_store(name)).map(secret).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(variables: &[(&str, &str)]) -> Access {
        access(&variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    fn token(access: &Access) -> Option<&str> {
        access.hub_token.as_ref().map(Secret::expose)
    }

    #[test]
    fn without_variables_all_is_as_usual() {
        let access = of(&[]);
        assert_eq!((access.hub.as_str(), token(&access)), ("https://huggingface.co", None));
        assert_eq!((access.ollama.as_str(), access.hub_cache), ("https://registry.ollama.ai", None));
        assert_eq!(access.ollama_models, [PathBuf::from(OLLAMA_SERVICE)]);
    }

    #[test]
    fn the_names_are_those_of_other_programs() {
        let access =
            of(&[("HOME", "/h"), ("HF_ENDPOINT", "https://mirror"), ("HF_TOKEN", " t\n"), ("AWS_REGION", "r")]);
        assert_eq!((access.hub.as_str(), token(&access)), ("https://mirror", Some("t")));
        assert_eq!(access.hub_cache, Some("/h/.cache/huggingface/hub".into()));
        assert_eq!(access.ollama_models[0], PathBuf::from("/h/.ollama/models"));
        assert_eq!(access.object_stores["AWS_REGION"].expose(), "r");
        assert!(!format!("{access:?}").contains("\"t\""));
        assert_eq!(of(&[("HF_HOME", "/x")]).hub_cache, Some("/x/hub".into()));
        assert_eq!(of(&[("HF_HOME", "/x"), ("HF_HUB_CACHE", "/y")]).hub_cache, Some("/y".into()));
        assert_eq!(of(&[("HOME", "/h"), ("OLLAMA_MODELS", "/m")]).ollama_models, [PathBuf::from("/m")]);
    }

    #[test]
    fn a_token_that_was_logged_in_with_is_found() {
        let directory = tempfile::tempdir().unwrap();
        fs_err::write(directory.path().join("token"), "from-file\n").unwrap();
        let home = directory.path().to_str().unwrap();
        assert_eq!(token(&of(&[("HF_HOME", home)])), Some("from-file"));
        assert_eq!(token(&of(&[("HF_HOME", home), ("HF_TOKEN", "own")])), Some("own"));
    }
}
