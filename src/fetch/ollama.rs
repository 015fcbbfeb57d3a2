//! Models of an Ollama registry: its manifest names the layer that is the GGUF file, by digest and size. No daemon is asked.
//!
//! What Ollama on this machine has already is used where it lies: its files are named by their digests and never change.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::https::{self, Patience, Remote};
use super::{Access, FetchError, Watch};
use crate::net;

/// The media type of the layer that holds the weights.
const WEIGHTS: &str = "application/vnd.ollama.image.model";
/// The media type of a manifest.
const MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
/// The longest manifest that is read from a local store, in bytes.
const LONGEST: u64 = 1024 * 1024;

/// Where a model's weights are.
#[derive(Debug)]
pub(super) enum Located {
    /// A file of Ollama on this machine.
    Here { path: PathBuf, sha256: String },
    /// A blob of the registry, and its size.
    There(Remote, u64),
}

#[derive(Deserialize)]
struct Manifest {
    layers: Vec<Layer>,
}

#[derive(Deserialize)]
struct Layer {
    #[serde(rename = "mediaType")]
    media_type: String,
    digest: String,
    size: u64,
}

/// A model as registries name it.
struct Named<'a> {
    registry: &'a str,
    /// With its namespace.
    name: String,
    tag: &'a str,
}

impl<'a> Named<'a> {
    fn new(access: &'a Access, name: &str, tag: Option<&'a str>) -> Self {
        let name = if name.contains('/') { name.to_owned() } else { format!("library/{name}") };
        Self { registry: access.ollama.trim_end_matches('/'), name, tag: tag.unwrap_or("latest") }
    }

    /// The weights, where Ollama on this machine has them.
    fn local(&self, access: &Access) -> Option<Located> {
        let host = self.registry.split_once("://").map_or(self.registry, |(_, host)| host);
        let manifest = format!("{host}/{}/{}", self.name, self.tag);
        access.ollama_models.iter().find_map(|models| local(models, &manifest))
    }
}

/// Finds the weights of a model, on this machine first.
pub(super) async fn locate(
    access: &Access,
    name: &str,
    tag: Option<&str>,
    watch: &dyn Watch,
    patience: &Patience,
) -> Result<Located, FetchError> {
    let named = Named::new(access, name, tag);
    if let Some(found) = named.local(access) {
        return Ok(found);
    }
    let Named { registry, name, tag } = named;
    let remote = Remote::of(format!("{registry}/v2/{name}/manifests/{tag}"), None);
    let document = https::ask(&remote, MANIFEST, watch, patience).await.map_err(|error| {
        if matches!(error, FetchError::Http { status: 404, url: _ }) {
            FetchError::NoOllamaModel { name: name.clone(), tag: tag.to_owned() }
        } else {
            error
        }
    })?;
    let bad = |reason| FetchError::BadAnswer { what: format!("the registry's manifest of `{name}:{tag}`"), reason };
    let layer = weights(&document).map_err(bad)?;
    let url = format!("{registry}/v2/{name}/blobs/sha256:{}", layer.digest);
    Ok(Located::There(Remote::of(url, Some(&layer.digest)), layer.size))
}

/// Whether nobody else is asked for the model: Ollama on this machine has it, or the registry is this machine.
pub(super) fn is_here(access: &Access, name: &str, tag: Option<&str>) -> bool {
    let named = Named::new(access, name, tag);
    named.registry.parse().is_ok_and(|url| net::is_loopback(&url)) || named.local(access).is_some()
}

/// The layer that holds the weights, with the bare digits of its digest.
fn weights(manifest: &[u8]) -> Result<Layer, String> {
    let manifest: Manifest = serde_json::from_slice(manifest).map_err(|error| error.to_string())?;
    let mut layers = manifest.layers.into_iter().filter(|layer| layer.media_type == WEIGHTS);
    let (Some(mut layer), None) = (layers.next(), layers.next()) else {
        return Err("it does not name one file of weights".to_owned());
    };
    let digits = layer.digest.strip_prefix("sha256:").unwrap_or_default().to_ascii_lowercase();
    if digits.len() != 64 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err("the weights are not named by a sha256".to_owned());
    }
    layer.digest = digits;
    Ok(layer)
}

/// The weights of a manifest in a directory of Ollama's; none where anything of it is missing, as after a broken-off pull.
fn local(models: &Path, manifest: &str) -> Option<Located> {
    let path = models.join("manifests").join(manifest);
    if fs_err::metadata(&path).ok()?.len() > LONGEST {
        return None;
    }
    let layer = weights(&fs_err::read(&path).ok()?).ok()?;
    let path = models.join("blobs").join(format!("sha256-{}", layer.digest));
    let is_whole = fs_err::metadata(&path).is_ok_and(|metadata| metadata.is_file() && metadata.len() == layer.size);
    is_whole.then_some(Located::Here { path, sha256: layer.digest })
}
