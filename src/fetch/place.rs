//! A partial path and the right to write it: one writer at a time, over all processes of this machine.

use std::ffi::OsString;
use std::fs::TryLockError;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use fs_err::File;

use super::{FetchError, Watch};

/// How often a lock that another process holds is tried again.
const PAUSE: Duration = Duration::from_millis(250);

/// A partial path that nobody else writes until all clones are dropped. Work on other threads takes a clone along: it
/// may go on for a while after the transfer was given up.
#[derive(Debug, Clone)]
pub struct Place {
    path: PathBuf,
    /// The lock lies in a file of its own, which stays: the partial file is moved away while it is locked, and the next
    /// process would lock a file that has become something else.
    lock: Arc<File>,
}

impl Place {
    /// Waits until nobody else writes to `partial`.
    ///
    /// # Errors
    /// Its directory or the lock beside it cannot be made.
    pub async fn acquire(partial: &Path, watch: &dyn Watch) -> Result<Self, FetchError> {
        if let Some(directory) = partial.parent() {
            fs_err::create_dir_all(directory).map_err(|error| FetchError::io(partial, error))?;
        }
        let path = beside(partial, ".lock");
        let file = File::create(&path).map_err(|error| FetchError::io(&path, error))?;
        let place = Self { path: partial.to_owned(), lock: Arc::new(file) };
        let mut told = false;
        loop {
            match place.lock.try_lock() {
                Ok(()) => return Ok(place),
                // Some network file systems have no locks; two processes at once are rarer than those.
                Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {
                    return Ok(place);
                }
                Err(TryLockError::Error(error)) => return Err(FetchError::io(&path, error)),
                Err(TryLockError::WouldBlock) => {}
            }
            if !told {
                watch.note("waiting for another process that fetches the same file");
                told = true;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// The place of one of several files that come one after the other, locked with the whole.
    pub(super) fn part(&self, number: usize) -> Self {
        Self { path: beside(&self.path, &format!(".part{number}")), lock: Arc::clone(&self.lock) }
    }

    /// Whether a file is here whose download is at its end.
    pub(super) fn is_finished(&self) -> bool {
        self.path.is_file() && !super::partial::has_note(&self.path)
    }

    /// How many bytes of a file are here.
    pub(super) fn bytes(&self) -> u64 {
        if self.is_finished() {
            fs_err::metadata(&self.path).map_or(0, |metadata| metadata.len())
        } else {
            super::progress(&self.path).0
        }
    }

    /// The partial path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// The path with `suffix` added to its last part.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}
