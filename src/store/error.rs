//! What can go wrong with the store, and the way on.

use std::io;
use std::path::{Path, PathBuf};

use crate::key::BlobId;

/// A failure of the store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The disk is full.
    #[error("no space is left for the store in `{}`", directory.display())]
    Full {
        /// Where.
        directory: PathBuf,
    },
    /// The store cannot be written.
    #[error("the store in `{}` cannot be written: {source}", path.display())]
    ReadOnly {
        /// Where.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The index was written by a newer version of the program.
    #[error("the store's index `{}` has format {found}, this version knows formats up to {known}", path.display())]
    Newer {
        /// The index.
        path: PathBuf,
        /// Its format.
        found: i64,
        /// The newest format known here.
        known: i64,
    },
    /// The file is an SQLite database of some other program.
    #[error("`{}` is a database of another program", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// The index cannot be read.
    #[error("the store's index `{}` is damaged: {message}", path.display())]
    Damaged {
        /// The index.
        path: PathBuf,
        /// What SQLite said.
        message: String,
    },
    /// Another process kept the index locked for too long.
    #[error("the store's index `{}` stayed locked by another process", path.display())]
    Locked {
        /// The index.
        path: PathBuf,
    },
    /// Others use the store, and what was asked for can be done alone only.
    #[error("another evalflow is using the store in `{}`", directory.display())]
    InUse {
        /// Where.
        directory: PathBuf,
    },
    /// A file that the pipeline names is not there.
    #[error("there is no file `{}`", path.display())]
    NoFile {
        /// The file.
        path: PathBuf,
    },
    /// An object is not there.
    #[error("object {} is not in the store", id.short())]
    Missing {
        /// Which.
        id: BlobId,
    },
    /// An object does not have the bytes its name says. It was moved aside.
    #[error("object {} was corrupted and has been moved to `{}`", id.short(), aside.display())]
    Corrupt {
        /// Which.
        id: BlobId,
        /// Where it lies now.
        aside: PathBuf,
    },
    /// Any other failure of the file system.
    #[error("{source}")]
    Io {
        /// What the system said, with the path.
        source: io::Error,
    },
}

impl StoreError {
    pub(super) fn from_io(path: &Path, source: io::Error) -> Self {
        let kind = source.kind();
        if matches!(kind, io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) {
            Self::Full { directory: path.to_owned() }
        } else if matches!(
            kind,
            // The last two: a file lies where the store's directory should be.
            io::ErrorKind::PermissionDenied
                | io::ErrorKind::ReadOnlyFilesystem
                | io::ErrorKind::NotADirectory
                | io::ErrorKind::AlreadyExists
        ) {
            Self::ReadOnly { path: path.to_owned(), source }
        } else {
            Self::Io { source }
        }
    }

    pub(super) fn from_sqlite(path: &Path, error: &rusqlite::Error) -> Self {
        use rusqlite::ErrorCode;
        let path = path.to_owned();
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::Full { directory: path },
            Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
                Self::ReadOnly { path, source: io::Error::other(error.to_string()) }
            }
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Locked { path },
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                Self::Damaged { path, message: error.to_string() }
            }
            // Anything else is the machine's trouble and not the index's: nobody should throw paid calls away for it.
            _ => Self::Io { source: io::Error::other(format!("the index `{}`: {error}", path.display())) },
        }
    }

    /// The way on, as an imperative sentence.
    #[must_use]
    pub fn help(&self) -> String {
        match self {
            Self::Full { .. } => "free some space and run again: what is finished is kept".to_owned(),
            Self::ReadOnly { .. } => "make the directory writable, or name another one with `--cache DIR`".to_owned(),
            Self::Newer { .. } => "use a version at least as new, or name another store with `--cache DIR`".to_owned(),
            Self::Foreign { .. } => "name another directory with `--cache DIR`".to_owned(),
            Self::Damaged { path, .. } => {
                format!("move `{}` away and run again: finished calls will be asked again", path.display())
            }
            Self::Locked { .. } => "wait for the other process, then run again".to_owned(),
            Self::InUse { .. } => "wait until it has ended, then run again: nothing was removed".to_owned(),
            Self::NoFile { .. } => "put it there, or mend the path in the pipeline".to_owned(),
            Self::Missing { .. } | Self::Corrupt { .. } => "run again: it will be computed again".to_owned(),
            Self::Io { .. } => {
                "see that the disk works and has room, then run again: what is finished is kept".to_owned()
            }
        }
    }
}
