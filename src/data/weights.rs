//! What a `pull` stage brings: a record about weights that lie in the store.

use serde::{Deserialize, Serialize};

use crate::key::BlobId;

/// One file of weights, read from its GGUF header.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WeightsRecord {
    /// The catalog's id, or the file's name where no catalog named it.
    pub model: String,
    /// Where it came from.
    pub source: String,
    /// The commit that the source's revision stood for when it was brought; a branch may have moved since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// blake3 of the file.
    pub weights: BlobId,
    /// sha256 of the file, as model hubs state it.
    pub sha256: String,
    /// Size in bytes.
    pub bytes: u64,
    /// `general.architecture`: `llama`, `qwen2`, `gemma3`…
    pub architecture: String,
    /// Number of parameters: the sum of all tensors' elements.
    pub parameters: u64,
    /// How the file says it was quantised, or else the type that most weights have: `Q4_K_M`, `Q4_1`, `F16`…
    pub quantization: String,
    /// Context the model was trained for, in tokens.
    pub context_length: Option<u64>,
    /// blake3 of the chat template; none if the file carries none.
    pub chat_template: Option<BlobId>,
    /// The licence: the file's own, else the catalog's.
    pub license: Option<String>,
}
