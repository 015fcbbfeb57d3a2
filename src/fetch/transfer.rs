//! What all sources share: hashing, copying, and doing it where it does not hold up the runtime.

use std::fmt::Write as _;
use std::io::{self, Read, Write};
use std::path::Path;

use sha2::{Digest, Sha256};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use super::{FetchError, Watch};
use crate::key::{BlobHasher, BlobId};

/// Size of the pieces in which files are read and written.
pub(super) const PIECE: usize = 256 * 1024;

/// What a file's bytes come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Digests {
    pub(super) bytes: u64,
    pub(super) sha256: String,
    pub(super) blake3: BlobId,
}

/// Computes [`Digests`] from bytes that come piece by piece.
#[derive(Debug, Default, Clone)]
pub(super) struct Hasher {
    bytes: u64,
    sha256: Sha256,
    blake3: BlobHasher,
}

impl Hasher {
    pub(super) fn update(&mut self, piece: &[u8]) {
        self.bytes += piece.len() as u64;
        self.sha256.update(piece);
        self.blake3.update(piece);
    }

    /// How many bytes were taken.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn finish(self) -> Digests {
        let mut sha256 = String::with_capacity(64);
        for byte in self.sha256.finalize() {
            write!(sha256, "{byte:02x}").expect("writing to a string cannot fail");
        }
        Digests { bytes: self.bytes, sha256, blake3: self.blake3.finish() }
    }
}

/// Reports progress from a blocking thread.
pub(super) struct Counter(UnboundedSender<Progress>);

enum Progress {
    Total(u64),
    Advance(u64),
}

impl Counter {
    pub(super) fn total(&self, bytes: u64) -> Result<(), FetchError> {
        self.send(Progress::Total(bytes))
    }

    pub(super) fn advance(&self, bytes: usize) -> Result<(), FetchError> {
        self.send(Progress::Advance(bytes as u64))
    }

    /// Fails if nobody waits for the work any more, which is how it is cancelled.
    fn send(&self, progress: Progress) -> Result<(), FetchError> {
        self.0.send(progress).map_err(|_| FetchError::Io { source: io::ErrorKind::Interrupted.into() })
    }
}

/// Does blocking work on a thread of its own and hands its progress on.
pub(super) async fn off_thread<T: Send + 'static>(
    watch: &dyn Watch,
    work: impl FnOnce(&Counter) -> Result<T, FetchError> + Send + 'static,
) -> Result<T, FetchError> {
    let (sender, mut receiver) = unbounded_channel();
    let task = tokio::task::spawn_blocking(move || work(&Counter(sender)));
    while let Some(progress) = receiver.recv().await {
        match progress {
            Progress::Total(bytes) => watch.total(bytes),
            Progress::Advance(bytes) => watch.advance(bytes),
        }
    }
    joined(task.await)?
}

/// What a blocking task gave; its panic goes on here.
pub(super) fn joined<T>(result: Result<T, tokio::task::JoinError>) -> Result<T, FetchError> {
    result.map_err(|error| match error.try_into_panic() {
        Ok(panic) => std::panic::resume_unwind(panic),
        Err(error) => FetchError::Io { source: io::Error::other(error) },
    })
}

/// Hashes a file.
pub(super) fn hash_file(path: &Path, counter: &Counter) -> Result<Digests, FetchError> {
    let failed = |error| FetchError::io(path, error);
    let mut file = fs_err::File::open(path).map_err(failed)?;
    counter.total(file.metadata().map_err(failed)?.len())?;
    copy(&mut file, &mut io::sink(), counter, failed, failed)
}

/// Copies all of `from` to `to`, hashing on the way.
pub(super) fn copy(
    from: &mut dyn Read,
    to: &mut dyn Write,
    counter: &Counter,
    on_read: impl Fn(io::Error) -> FetchError,
    on_write: impl Fn(io::Error) -> FetchError,
) -> Result<Digests, FetchError> {
    let mut hasher = Hasher::default();
    let mut buffer = vec![0; PIECE];
    loop {
        let piece = match from.read(&mut buffer) {
            Ok(0) => return Ok(hasher.finish()),
            Ok(length) => &buffer[..length],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(on_read(error)),
        };
        hasher.update(piece);
        to.write_all(piece).map_err(&on_write)?;
        counter.advance(piece.len())?;
    }
}
