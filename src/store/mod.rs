//! Everything under `cache/`: calls and receipts in one SQLite index, larger bytes as content-addressed objects.
//!
//! Many processes may use one store at once. What is written is on disk before the writer is told so; a receipt is
//! written last, so that a crash before it is a miss and never half a result. Never knows what a stage is. Start at
//! [`Store::open`].

mod archive;
mod calls;
mod earlier;
mod error;
mod files;
#[cfg(test)]
mod fixture;
mod garbage;
mod index;
mod objects;
mod receipts;
mod runs;
mod speeds;
mod usage;
mod users;
mod walk;

pub use archive::{ArchiveError, Exported, Imported};
pub use calls::{CallReader, Put, StoredCall};
pub use earlier::Earlier;
pub use error::StoreError;
pub use garbage::{Garbage, Keep};
pub use index::FORMAT;
pub use objects::{BlobReader, BlobWriter, Lines};
pub use receipts::{Receipt, Tally};
pub use runs::{Journal, RunEnded, RunRate, RunRecord, RunStage};
pub use speeds::Speed;
pub use usage::{ObjectUse, Usage};
pub use walk::Counted;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rusqlite::Connection;

use self::calls::CallWriter;
use self::users::Users;

/// An open store.
pub struct Store {
    directory: PathBuf,
    // Fields are dropped in this order. The last connection to be closed tidies the index's log away, which one that only
    // reads cannot do; and calls that wait are written before others may remove things.
    readers: Mutex<Vec<Connection>>,
    calls: CallWriter,
    index: Mutex<Connection>,
    users: Users,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("directory", &self.directory).finish_non_exhaustive()
    }
}

impl Store {
    /// Opens the store in `directory`, and makes it if it is not there. While another process removes things from it, waits
    /// for that to end.
    ///
    /// # Errors
    /// The directory cannot be written, or what lies there is no store, is damaged, or was written by a newer version.
    pub fn open(directory: &Path) -> Result<Self, StoreError> {
        Self::open_for(directory, Users::shared)
    }

    /// Opens the store in `directory` for nobody else to use meanwhile: who removes things must be alone.
    ///
    /// # Errors
    /// Another process uses it; else as for [`Store::open`].
    pub fn open_alone(directory: &Path) -> Result<Self, StoreError> {
        Self::open_for(directory, Users::alone)
    }

    fn open_for(directory: &Path, users: fn(&Path) -> Result<Users, StoreError>) -> Result<Self, StoreError> {
        let made = |error| StoreError::from_io(directory, error);
        // In a directory that holds other things, nobody asked for them to be ignored.
        let is_new = fs_err::read_dir(directory).map_or(true, |mut entries| entries.next().is_none());
        for part in ["objects", "partial", "aside"] {
            fs_err::create_dir_all(directory.join(part)).map_err(made)?;
        }
        let ignore = directory.join(".gitignore");
        if is_new {
            fs_err::write(&ignore, "*\n!.gitignore\n").map_err(made)?;
        }
        let users = users(directory)?;
        // One process at a time makes or opens the index: SQLite does not wait for another that is switching to WAL.
        let opening = fs_err::File::create(directory.join("index.lock")).map_err(made)?;
        match opening.lock() {
            Err(error) if error.kind() != io::ErrorKind::Unsupported => return Err(made(error)),
            // Some network file systems have no locks; two that open at once are rarer than those.
            Ok(()) | Err(_) => {}
        }
        let index = index::open(&directory.join("index.sqlite"))?;
        let calls = CallWriter::start(index::open(&directory.join("index.sqlite"))?);
        drop(opening);
        Ok(Self { directory: directory.to_owned(), readers: Mutex::default(), calls, index: Mutex::new(index), users })
    }

    /// Where the store lies.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Where the index lies.
    #[must_use]
    pub fn index_path(&self) -> PathBuf {
        self.directory.join("index.sqlite")
    }

    fn failed(&self, error: &rusqlite::Error) -> StoreError {
        StoreError::from_sqlite(&self.index_path(), error)
    }

    fn index(&self) -> MutexGuard<'_, Connection> {
        // A panic while reading leaves no half-made state in the connection: SQLite rolls back.
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
