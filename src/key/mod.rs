//! What identifies a result: [`Key`] of a recipe, [`BlobId`] of bytes, canonical JSON, and the difference of two recipes.
//!
//! A recipe is everything that decides a result, as JSON. Never does I/O; start at [`Recipe`].

mod canonical;
mod diff;
mod id;

pub use canonical::to_canonical;
pub use diff::{FieldChange, diff};
pub use id::{BlobHasher, BlobId, Key, ParseIdError};

use serde_json::{Value, json};

/// Version of the key schema: how recipes are laid out and hashed. Raising it makes every result a miss.
pub const KEY_SCHEMA: u32 = 1;

/// Everything that decides a result, in canonical form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipe {
    canonical: String,
    key: Key,
}

impl Recipe {
    /// Makes the recipe of one result of the given kind (`call`, `infer`, `judge`…).
    ///
    /// `kind_version` is raised when the meaning of the same fields changes.
    #[must_use]
    pub fn new(kind: &str, kind_version: u32, fields: Value) -> Self {
        let canonical = to_canonical(&json!({
            "schema": KEY_SCHEMA,
            "kind": kind,
            "version": kind_version,
            "fields": fields,
        }));
        let key = Key::of_canonical(&canonical);
        Self { canonical, key }
    }

    /// Takes canonical text as it was kept, byte by byte. Whether it is canonical shows in its key, which is then another
    /// one than it is kept under.
    #[must_use]
    pub fn from_canonical(canonical: String) -> Self {
        let key = Key::of_canonical(&canonical);
        Self { canonical, key }
    }

    /// The key: blake3 over the canonical JSON.
    #[must_use]
    pub fn key(&self) -> Key {
        self.key
    }

    /// The canonical JSON text, as it is kept beside the receipt.
    #[must_use]
    pub fn canonical(&self) -> &str {
        &self.canonical
    }
}
