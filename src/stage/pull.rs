//! `pull`: a model's name → its weights in the store, and a record of what they are.

use serde_json::{Value, json};

use super::recipe::WantedWeights;
use crate::data::{Candidate, Candidates, Place, WeightsRecord};
use crate::fetch::{Fetched, gguf};
use crate::key::{BlobId, Recipe};
use crate::spec::{Pick, Pull, WeightsSource};

/// Raised when the same file would give another record.
pub const VERSION: u32 = 1;

/// The stage's own fields, as they go into its recipe: none, since what is wanted is one of its inputs.
#[must_use]
pub fn fields(pull: &Pull) -> Value {
    let Pull { from: _, sha256: _ } = pull;
    json!({})
}

/// The kind of the receipts of weights that are here and were not found usable yet.
pub const BROUGHT: &str = "brought";

/// What weights are known by between their download and the end of their trial: for which stage they came, and from where.
#[must_use]
pub fn brought_recipe(wanted: &Recipe, source: &WeightsSource) -> Recipe {
    let fields = json!({ "wanted": wanted.key(), "source": source.without_query().to_string() });
    Recipe::new(BROUGHT, VERSION, fields)
}

/// The candidate that `pick` names.
#[must_use]
pub fn candidate(candidates: &Candidates, pick: Pick) -> Option<&Candidate> {
    let place = match pick {
        Pick::Primary => Place::Primary,
        Pick::Backup => Place::Backup,
    };
    candidates.shortlist.iter().find(|candidate| candidate.place == place)
}

/// The name of `pick` in the pipeline file.
#[must_use]
pub fn pick_name(pick: Pick) -> &'static str {
    match pick {
        Pick::Primary => "primary",
        Pick::Backup => "backup",
    }
}

/// Makes the record of weights that have been fetched from `source` and whose header has been read.
#[must_use]
pub fn record(
    wanted: &WantedWeights,
    source: &WeightsSource,
    fetched: &Fetched,
    header: gguf::Header,
) -> WeightsRecord {
    let source = source.without_query().to_string();
    WeightsRecord {
        model: wanted.model.clone().or(header.name).unwrap_or_else(|| source.clone()),
        source,
        revision: fetched.revision.clone(),
        weights: fetched.blake3,
        sha256: fetched.sha256.clone(),
        bytes: fetched.bytes,
        architecture: header.architecture,
        parameters: header.parameters,
        quantization: header.quantization,
        context_length: header.context_length,
        chat_template: header.chat_template.map(|template| BlobId::of(template.as_bytes())),
        license: header.license.or_else(|| wanted.license.clone()),
    }
}
