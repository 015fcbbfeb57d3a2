//! Where hubs and registries are on this machine, and what they want to be shown.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::spec::Secret;

/// What the user's environment says about where weights come from. Never part of a key: the same bytes come from a mirror.
#[derive(Debug, Clone)]
pub struct Access {
    /// Address of the Hugging Face Hub.
    pub hub: String,
    /// What it wants to be shown for models that not everybody may have.
    pub hub_token: Option<Secret>,
    /// Where other programs keep what they brought from the hub.
    pub hub_cache: Option<PathBuf>,
    /// Address of the Ollama registry.
    pub ollama: String,
    /// Where Ollama on this machine keeps its models; the first that has one counts.
    pub ollama_models: Vec<PathBuf>,
    /// Settings of object stores, under the names of environment variables: `AWS_REGION`, `AZURE_STORAGE_ACCOUNT_NAME`…
    pub object_stores: BTreeMap<String, Secret>,
}

impl Default for Access {
    fn default() -> Self {
        Self {
            hub: "https://huggingface.co".to_owned(),
            hub_token: None,
            hub_cache: None,
            ollama: "https://registry.ollama.ai".to_owned(),
            ollama_models: Vec::new(),
            object_stores: BTreeMap::new(),
        }
    }
}
