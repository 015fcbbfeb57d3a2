//! Walking through everything that lies in the store, for whoever counts it or removes from it.

use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use super::{Store, StoreError};
use crate::key::{BlobId, Key};

/// How many things of one kind, and what room they take.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Counted {
    /// How many.
    pub count: u64,
    /// Their size; of rows of the index, that of their contents.
    pub bytes: u64,
}

impl Counted {
    /// Counts one more.
    pub(super) fn add(&mut self, bytes: u64) {
        self.count += 1;
        self.bytes += bytes;
    }
}

/// A file of the store.
pub(super) struct Found {
    pub(super) path: PathBuf,
    pub(super) bytes: u64,
    /// When its bytes or its name last changed, in seconds since 1970.
    pub(super) changed_at: i64,
}

/// What is done with each file.
pub(super) type Each<'a> = dyn FnMut(Found) -> Result<(), StoreError> + 'a;

impl Store {
    /// Visits the files of one of the store's directories, those of its subdirectories among them.
    pub(super) fn walk(&self, part: &str, each: &mut Each<'_>) -> Result<(), StoreError> {
        walk(&self.directory().join(part), each)
    }

    /// Visits the objects and, with `None`, what else lies among them.
    pub(super) fn walk_objects(
        &self,
        each: &mut dyn FnMut(Option<BlobId>, Found) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        self.walk("objects", &mut |found| {
            let name = found.path.file_name().and_then(|name| name.to_str());
            let id = name.and_then(|name| name.parse().ok()).filter(|id| self.object_path(id) == found.path);
            each(id, found)
        })
    }

    /// Visits the keys in a list of calls, in their order. False where it is missing, damaged or no such list.
    pub(super) fn walk_calls(
        &self,
        list: &BlobId,
        each: &mut dyn FnMut(Key) -> Result<(), StoreError>,
    ) -> Result<bool, StoreError> {
        let path = match self.verified(list) {
            Ok(path) => path,
            Err(StoreError::Missing { .. } | StoreError::Corrupt { .. }) => return Ok(false),
            Err(error) => return Err(error),
        };
        let failed = |error| StoreError::from_io(&path, error);
        let file = fs_err::File::open(&path).map_err(failed)?;
        if file.metadata().map_err(failed)?.len() % 32 != 0 {
            return Ok(false);
        }
        let mut reader = BufReader::with_capacity(1 << 16, file);
        let mut key = [0; 32];
        loop {
            match reader.read_exact(&mut key) {
                Ok(()) => each(Key::from_bytes(key))?,
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(true),
                Err(error) => return Err(failed(error)),
            }
        }
    }
}

fn walk(directory: &Path, each: &mut Each<'_>) -> Result<(), StoreError> {
    let failed = |error| StoreError::from_io(directory, error);
    let entries = match fs_err::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(failed)?,
    };
    for entry in entries {
        let entry = entry.map_err(failed)?;
        // Others may be at work: what was there a moment ago may have been moved.
        let metadata = match entry.metadata() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            metadata => metadata.map_err(failed)?,
        };
        if metadata.is_dir() {
            walk(&entry.path(), each)?;
        } else {
            each(Found { path: entry.path(), bytes: metadata.len(), changed_at: changed_at(&metadata) })?;
        }
    }
    Ok(())
}

fn changed_at(metadata: &std::fs::Metadata) -> i64 {
    let modified = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok()).unwrap_or_default();
    let modified = i64::try_from(modified.as_secs()).unwrap_or(i64::MAX);
    #[cfg(unix)]
    {
        // A file that was moved here keeps its modification time.
        std::os::unix::fs::MetadataExt::ctime(metadata).max(modified)
    }
    #[cfg(not(unix))]
    modified
}
