//! Baselines as one file: results with everything they rest on, from one store to another.
//!
//! A compressed tar of `baseline.json`, `lock`, `receipts.jsonl`, `calls.jsonl` and `objects/<id>`, in this order, with the same
//! bytes for the same contents. Nothing of it is believed when it is read: see [`Store::import_archive`].

mod export;
mod import;

use std::io;

use serde::{Deserialize, Serialize};

use super::{Receipt, StoreError};
use crate::key::{BlobId, Key};

/// Version of the layout.
const FORMAT: u32 = 1;

const MANIFEST: &str = "baseline.json";
const LOCK: &str = "lock";
const RECEIPTS: &str = "receipts.jsonl";
const CALLS: &str = "calls.jsonl";
const OBJECTS: &str = "objects/";

/// What is in an archive: the first of its files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    format: u32,
    evalflow: String,
    receipts: u64,
    calls: u64,
    objects: u64,
}

/// A line of the receipts.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ReceiptLine {
    /// The canonical text, byte by byte.
    recipe: String,
    receipt: Receipt,
}

/// A line of the calls.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct CallLine {
    key: Key,
    created_at: i64,
    /// The reply's JSON, byte by byte.
    reply: String,
}

/// What went into an archive.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Exported {
    /// Results.
    pub receipts: u64,
    /// Calls.
    pub calls: u64,
    /// Objects.
    pub objects: u64,
    /// Results that do not say on which calls they rest, or some of whose calls are gone: they are whole, but cannot be
    /// computed again without asking.
    pub without_calls: u64,
}

/// What came out of an archive, and how much of it was not in the store before.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Imported {
    /// Results.
    pub receipts: u64,
    /// Of these, new ones.
    pub new_receipts: u64,
    /// Calls.
    pub calls: u64,
    /// Of these, new ones.
    pub new_calls: u64,
    /// Objects.
    pub objects: u64,
    /// Of these, new ones.
    pub new_objects: u64,
    /// Files of results that are neither in the archive nor in the store: weights that were left out.
    pub missing: u64,
}

/// Why an archive could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The store fails, or lacks what is to be written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The archive's file fails.
    #[error("the archive cannot be read or written: {source}")]
    Io {
        /// What the system said.
        source: io::Error,
    },
    /// A result that is to be written is not in the store.
    #[error("the result of {} is not in the store", key.short())]
    NoReceipt {
        /// Its key.
        key: Key,
    },
    /// A newer version wrote the archive.
    #[error("the archive has format {found}, this version knows format {FORMAT}")]
    Newer {
        /// Its format.
        found: u32,
    },
    /// What is read is no archive of a baseline, or has been changed or cut.
    #[error("the archive is not what `export-baseline` writes: {entry}: {message}")]
    Damaged {
        /// Which file in it.
        entry: String,
        /// What is wrong.
        message: String,
    },
}

impl ArchiveError {
    fn damaged(entry: &str, message: impl Into<String>) -> Self {
        Self::Damaged { entry: entry.to_owned(), message: message.into() }
    }

    /// The way on, as an imperative sentence.
    #[must_use]
    pub fn help(&self) -> String {
        match self {
            Self::Store(error) => error.help(),
            Self::Io { .. } => "see that the file is there, whole, and its disk has room, then try again".to_owned(),
            Self::NoReceipt { .. } => "run the pipeline first, so that its results are in the store".to_owned(),
            Self::Newer { .. } => "use a version at least as new as the one that wrote it".to_owned(),
            Self::Damaged { .. } => {
                "get the file again from where it was made; nothing of it is in the store".to_owned()
            }
        }
    }
}

/// The blobs of a receipt, with or without the files that belong to it besides.
fn blobs(receipt: &Receipt, also: bool) -> impl Iterator<Item = &BlobId> {
    let also = if also { receipt.also.as_slice() } else { &[] };
    std::iter::once(&receipt.output).chain(also).chain(&receipt.read).chain(&receipt.calls)
}

#[cfg(test)]
mod tests;
