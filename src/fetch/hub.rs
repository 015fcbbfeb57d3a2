//! Models on the Hugging Face Hub: from a repository and a quantisation to files with sizes and digests.
//!
//! The hub is asked once, for a revision's commit and its files; what is downloaded then is of that commit, whatever
//! happens to the branch meanwhile. Credentials go to the hub's own address only.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;

use super::https::{self, Patience, Remote};
use super::shards::Piece;
use super::{Access, FetchError, Watch};
use crate::spec::{HubChoice, WeightsSource, shard};

/// How many models are named where the wanted one is not among them.
const MODELS_NAMED: usize = 24;

/// Quantisations in the order in which one is taken where nobody chose: a good one of the usual size, then larger ones, then
/// smaller ones.
const USUAL: [&str; 12] =
    ["Q4_K_M", "Q4_K_S", "Q5_K_M", "Q5_K_S", "Q6_K", "Q8_0", "IQ4_XS", "Q4_0", "Q4_1", "Q3_K_L", "F16", "BF16"];

/// A model of a repository as it was at some commit.
#[derive(Debug)]
pub(super) struct Located {
    /// The commit.
    pub(super) commit: String,
    /// Its file, or its shards in their order.
    pub(super) files: Vec<Piece>,
}

#[derive(Deserialize)]
struct Repository {
    sha: String,
    siblings: Vec<Sibling>,
}

#[derive(Deserialize)]
struct Sibling {
    rfilename: String,
    size: Option<u64>,
    lfs: Option<Lfs>,
}

#[derive(Deserialize)]
struct Lfs {
    sha256: String,
    size: u64,
}

/// Finds out which files of a repository make up the model.
pub(super) async fn locate(
    access: &Access,
    repository: &str,
    choice: &HubChoice,
    revision: Option<&str>,
    watch: &dyn Watch,
    patience: &Patience,
) -> Result<Located, FetchError> {
    let endpoint = access.hub.trim_end_matches('/');
    let revision = revision.unwrap_or("main");
    let remote = |url: String, sha256| Remote { url, bearer: access.hub_token.clone(), sha256 };
    // A slash is part of a revision's name here.
    let url = format!("{endpoint}/api/models/{repository}/revision/{}?blobs=true", revision.replace('/', "%2F"));
    let document = https::ask(&remote(url, None), "application/json", watch, patience).await;
    let document = document.map_err(|error| refused(error, access, repository, revision))?;
    let bad = |reason: String| FetchError::BadAnswer { what: format!("the hub's list of `{repository}`"), reason };
    let found: Repository = serde_json::from_slice(&document).map_err(|error| bad(error.to_string()))?;
    if found.sha.is_empty() || !found.sha.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Err(bad("it names no commit".to_owned()));
    }
    let chosen = choose(repository, choice, &found.siblings)?;
    let file = |sibling: &Sibling| {
        let sha256 = sibling.lfs.as_ref().map(|lfs| lfs.sha256.to_ascii_lowercase());
        let path = sibling.rfilename.split('/').map(encode).collect::<Vec<_>>().join("/");
        Piece {
            remote: remote(format!("{endpoint}/{repository}/resolve/{}/{path}", found.sha), sha256),
            bytes: sibling.lfs.as_ref().map(|lfs| lfs.size).or(sibling.size),
        }
    };
    Ok(Located { files: chosen.into_iter().map(file).collect(), commit: found.sha.clone() })
}

/// What a refusal of the hub means: it answers 401 for what is not there, so that nobody learns what is private.
pub(super) fn refused(error: FetchError, access: &Access, repository: &str, revision: &str) -> FetchError {
    let FetchError::Http { status: status @ (401 | 403 | 404), url: _ } = error else { return error };
    FetchError::HubRefused {
        repository: repository.to_owned(),
        revision: revision.to_owned(),
        status,
        page: format!("{}/{repository}", access.hub.trim_end_matches('/')),
        has_token: access.hub_token.is_some(),
    }
}

/// The file in the cache that the hub's own programs keep, if it has exactly these bytes.
pub(super) fn cached(access: &Access, repository: &str, file: &Piece) -> Option<PathBuf> {
    let directory = format!("models--{}", repository.replace('/', "--"));
    let path = access.hub_cache.as_ref()?.join(directory).join("blobs").join(file.remote.sha256.as_ref()?);
    let is_whole = fs_err::metadata(&path).is_ok_and(|found| found.is_file() && Some(found.len()) == file.bytes);
    is_whole.then_some(path)
}

fn encode(part: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+()[]".contains(&byte);
    let encoded = |byte: u8| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    part.bytes().map(encoded).collect()
}

/// The models of a repository by their names without `.gguf` and shard numbers, each with its files in their order.
fn models(files: &[Sibling]) -> BTreeMap<&str, Vec<(u32, u32, &Sibling)>> {
    let mut models: BTreeMap<&str, Vec<(u32, u32, &Sibling)>> = BTreeMap::new();
    for file in files {
        let Some(stem) = file.rfilename.strip_suffix(".gguf") else { continue };
        let name = stem.rsplit('/').next().unwrap_or(stem).to_ascii_lowercase();
        // What sees or hears for a model, or was measured for quantising it, is no model.
        if name.starts_with("mmproj") || name.contains("imatrix") {
            continue;
        }
        let (stem, number, count) = shard(stem).unwrap_or((stem, 1, 1));
        models.entry(stem).or_default().push((number, count, file));
    }
    models.values_mut().for_each(|files| files.sort_by_key(|(number, _, _)| *number));
    models
}

/// Whether a model's name ends in a quantisation, as a word of its own. `UD-Q4_K_M` is another one than `Q4_K_M`.
fn is_quantized(name: &str, quantization: &str) -> bool {
    let (name, wanted) = (name.to_ascii_lowercase(), quantization.to_ascii_lowercase());
    let Some(before) = name.strip_suffix(&wanted) else { return false };
    let is_word = before.is_empty() || before.ends_with(['-', '.', '/', '_']);
    is_word && !before.trim_end_matches(['-', '_', '.']).ends_with("ud")
}

/// The source of the weights in a repository with these files: of the quantisations that people run most, the first of which
/// it has one whole model; without one, its only model.
#[must_use]
pub fn usual_weights(repository: &str, files: &[&str]) -> Option<WeightsSource> {
    let listed = |name: &&str| Sibling { rfilename: (*name).to_owned(), size: None, lfs: None };
    let files: Vec<Sibling> = files.iter().map(listed).collect();
    let named = USUAL.iter().map(|name| HubChoice::Quantization((*name).to_owned()));
    let choice = named.chain([HubChoice::Only]).find(|choice| choose(repository, choice, &files).is_ok())?;
    Some(WeightsSource::Hub { repository: repository.to_owned(), choice, revision: None })
}

fn choose<'a>(repository: &str, choice: &HubChoice, files: &'a [Sibling]) -> Result<Vec<&'a Sibling>, FetchError> {
    let models = models(files);
    let is_chosen = |name: &str, files: &[(u32, u32, &Sibling)]| match choice {
        HubChoice::Only => true,
        HubChoice::Path(path) => files.iter().any(|(_, _, file)| file.rfilename == *path),
        HubChoice::Quantization(quantization) => is_quantized(name, quantization),
    };
    let mut chosen: Vec<_> = models.iter().filter(|(name, files)| is_chosen(name, files)).collect();
    let wanted = || match choice {
        HubChoice::Only => None,
        HubChoice::Path(text) | HubChoice::Quantization(text) => Some(text.clone()),
    };
    let named = |models: &mut dyn Iterator<Item = &Vec<(u32, u32, &Sibling)>>| {
        let first = |files: &Vec<(u32, u32, &Sibling)>| files.first().map(|(_, _, file)| file.rfilename.clone());
        models.filter_map(first).take(MODELS_NAMED).collect::<Vec<_>>()
    };
    match (chosen.pop(), chosen.is_empty()) {
        (Some((name, files)), true) => {
            let count = files.first().map_or(1, |(_, count, _)| *count);
            let is_whole = files.iter().map(|(number, _, _)| *number).eq(1..=count);
            if !is_whole || files.iter().any(|(_, other, _)| *other != count) {
                let have = files.len();
                return Err(FetchError::MissingShards { model: format!("{repository}/{name}"), have, count });
            }
            Ok(files.iter().map(|(_, _, file)| *file).collect())
        }
        (Some(last), false) => {
            chosen.push(last);
            let models = named(&mut chosen.into_iter().map(|(_, files)| files));
            Err(FetchError::ManyModels { repository: repository.to_owned(), wanted: wanted(), models })
        }
        (None, _) => {
            let models = named(&mut models.values());
            Err(FetchError::NoModel { repository: repository.to_owned(), wanted: wanted(), models })
        }
    }
}
