//! Files outside of the store and what is remembered of them: their digests, partial downloads.

use std::io;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use rusqlite::{OptionalExtension, params};

use super::objects::hash_file;
use super::{Store, StoreError};
use crate::key::BlobId;

/// What tells that a file has not changed since it was hashed.
#[derive(PartialEq, Eq)]
struct Stamp {
    size: i64,
    modified_ns: i64,
    /// When the entry itself last changed: a copy that keeps the modification time cannot keep this one.
    changed_ns: i64,
    inode: i64,
}

impl Stamp {
    fn of(path: &Path) -> io::Result<Self> {
        let metadata = fs_err::metadata(path)?;
        if !metadata.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("`{}` is not a file", path.display())));
        }
        let modified = metadata.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
        #[cfg(unix)]
        let (inode, changed_ns) = {
            use std::os::unix::fs::MetadataExt;
            let changed_ns = metadata.ctime().saturating_mul(1_000_000_000).saturating_add(metadata.ctime_nsec());
            (metadata.ino().cast_signed(), changed_ns)
        };
        #[cfg(not(unix))]
        let (inode, changed_ns) = (0, 0);
        Ok(Self {
            size: metadata.len().cast_signed(),
            modified_ns: i64::try_from(modified.as_nanos()).unwrap_or(i64::MAX),
            changed_ns,
            inode,
        })
    }
}

impl Store {
    /// The digest of a file, from memory if it has not changed since it was last hashed.
    ///
    /// # Errors
    /// The file or the index cannot be read.
    pub fn file_id(&self, path: &Path) -> Result<BlobId, StoreError> {
        let failed = |error| StoreError::from_io(path, error);
        let stamp = Stamp::of(path).map_err(failed)?;
        if let Some((remembered, id)) = self.remembered(path)?
            && remembered == stamp
        {
            return Ok(id);
        }
        let id = hash_file(path).map_err(failed)?;
        // Only what held still while it was read is worth remembering.
        if Stamp::of(path).map_err(failed)? == stamp {
            self.write_stamp(path, &stamp, &id)?;
        }
        Ok(id)
    }

    /// Remembers the digest of a file outside of the store whose bytes were just read.
    ///
    /// # Errors
    /// The file or the index cannot be read or written.
    pub fn remember_file(&self, path: &Path, id: &BlobId) -> Result<(), StoreError> {
        self.remember(path, id)
    }

    /// Remembers the digest of a file that was just written.
    pub(super) fn remember(&self, path: &Path, id: &BlobId) -> Result<(), StoreError> {
        let stamp = Stamp::of(path).map_err(|error| StoreError::from_io(path, error))?;
        self.write_stamp(path, &stamp, id)
    }

    fn remembered(&self, path: &Path) -> Result<Option<(Stamp, BlobId)>, StoreError> {
        self.index()
            .prepare_cached("SELECT size, modified_ns, changed_ns, inode, id FROM files WHERE path = ?1")
            .and_then(|mut query| {
                query
                    .query_row([self.name_of(path)], |row| {
                        let stamp = Stamp {
                            size: row.get(0)?,
                            modified_ns: row.get(1)?,
                            changed_ns: row.get(2)?,
                            inode: row.get(3)?,
                        };
                        Ok((stamp, BlobId::from_bytes(row.get(4)?)))
                    })
                    .optional()
            })
            .map_err(|error| self.failed(&error))
    }

    fn write_stamp(&self, path: &Path, stamp: &Stamp, id: &BlobId) -> Result<(), StoreError> {
        self.index()
            .execute(
                "INSERT OR REPLACE INTO files (path, size, modified_ns, changed_ns, inode, id)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                params![
                    self.name_of(path),
                    stamp.size,
                    stamp.modified_ns,
                    stamp.changed_ns,
                    stamp.inode,
                    id.as_bytes()
                ],
            )
            .map_err(|error| self.failed(&error))?;
        Ok(())
    }

    /// Objects are remembered by their path inside of the store, so that a moved store still knows them.
    pub(super) fn name_of(&self, path: &Path) -> Vec<u8> {
        let name = match path.strip_prefix(self.directory()) {
            Ok(inside) => Path::new("cache:").join(inside),
            Err(_) => std::path::absolute(path).unwrap_or_else(|_| path.to_owned()),
        };
        name.into_os_string().into_encoded_bytes()
    }

    /// The path that is remembered under a name; none where this system cannot say.
    pub(super) fn path_named(&self, name: &[u8]) -> Option<PathBuf> {
        #[cfg(unix)]
        let path = Path::new(<std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(name));
        #[cfg(not(unix))]
        let path = Path::new(std::str::from_utf8(name).ok()?);
        Some(match path.strip_prefix("cache:") {
            Ok(inside) => self.directory().join(inside),
            Err(_) => path.to_owned(),
        })
    }

    /// Where a download named `name` is gathered.
    #[must_use]
    pub fn partial_path(&self, name: &BlobId) -> PathBuf {
        self.directory().join("partial").join(name.short())
    }
}
