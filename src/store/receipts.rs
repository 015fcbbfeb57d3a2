//! Receipts: a stage's key and what came out of it.

use rusqlite::{OptionalExtension, params};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Store, StoreError};
use crate::ids::StageId;
use crate::key::{BlobId, Key, Recipe};

/// What a stage made of its inputs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    /// The stage's key.
    pub key: Key,
    /// The stage's kind: `infer`, `judge`…
    pub kind: String,
    /// The table or record that came out.
    pub output: BlobId,
    /// Other blobs that belong to the result: the weights of a `pull`.
    pub also: Vec<BlobId>,
    /// Blobs that it was made of and that may have no other receipt by now: what a server answered.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub read: Vec<BlobId>,
    /// The keys of all calls the result rests on: 32 bytes each, in the order in which they were needed.
    #[serde(default)]
    pub calls: Option<BlobId>,
    /// Rows of a table.
    pub rows: Option<u64>,
    /// A small summary of a table, where the kind makes one: a function of its rows and of the replies they rest on.
    pub summary: Option<Value>,
    /// What it took.
    pub tally: Tally,
    /// When the run started that made it, in seconds since 1970.
    pub created_at: i64,
}

impl Receipt {
    /// A receipt that says what came out and nothing else.
    #[must_use]
    pub fn bare(key: Key, kind: &str, output: BlobId, created_at: i64) -> Self {
        Self {
            key,
            kind: kind.to_owned(),
            output,
            also: Vec::new(),
            read: Vec::new(),
            calls: None,
            rows: None,
            summary: None,
            tally: Tally::default(),
            created_at,
        }
    }
}

/// What making a result took. Volatile: never part of a key or of a result.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tally {
    /// Calls put to an engine.
    pub calls_made: u64,
    /// Calls answered from the store.
    pub calls_cached: u64,
    /// Engine time of all its calls, made or cached, in milliseconds.
    pub engine_ms: u64,
    /// Of this, what the calls from the store took when they were made.
    pub saved_ms: u64,
    /// Time from start to end, in milliseconds.
    pub wall_ms: u64,
    /// Tokens of all prompts.
    pub prompt_tokens: u64,
    /// Tokens of all replies.
    pub completion_tokens: u64,
    /// Of the prompts' tokens, those of calls that were made.
    #[serde(default)]
    pub prompt_tokens_made: u64,
    /// Of the replies' tokens, those of calls that were made.
    #[serde(default)]
    pub completion_tokens_made: u64,
    /// Rows without a reply.
    pub rows_failed: u64,
    /// Rows with an ungraded verdict.
    pub rows_ungraded: u64,
}

impl Tally {
    /// The sum of what calls to two models came to; rows and the time of the whole are those of one of them.
    #[must_use]
    pub fn plus(self, more: &Self) -> Self {
        let Self { calls_made, prompt_tokens_made, completion_tokens_made, .. } = *more;
        let mut sum = Self {
            calls_made: self.calls_made + calls_made,
            prompt_tokens_made: self.prompt_tokens_made + prompt_tokens_made,
            completion_tokens_made: self.completion_tokens_made + completion_tokens_made,
            ..self
        };
        sum.add_cached(more);
        sum
    }

    /// Adds what calls answered from the store come to.
    pub fn add_cached(&mut self, found: &Self) {
        self.calls_cached += found.calls_cached;
        self.saved_ms += found.saved_ms;
        self.engine_ms += found.engine_ms;
        self.prompt_tokens += found.prompt_tokens;
        self.completion_tokens += found.completion_tokens;
    }
}

impl Store {
    /// The receipt kept for a key.
    ///
    /// # Errors
    /// The index cannot be read.
    pub fn receipt(&self, key: &Key) -> Result<Option<Receipt>, StoreError> {
        let text: Option<String> = self
            .index()
            .prepare_cached("SELECT receipt FROM receipts WHERE key = ?1")
            .and_then(|mut query| query.query_row([key.as_bytes()], |row| row.get(0)).optional())
            .map_err(|error| self.failed(&error))?;
        text.map(|text| {
            serde_json::from_str(&text).map_err(|error| StoreError::Damaged {
                path: self.index_path(),
                message: format!("the receipt of {} cannot be read: {error}", key.short()),
            })
        })
        .transpose()
    }

    /// All kept receipts of a kind, the latest first.
    ///
    /// # Errors
    /// The index cannot be read.
    pub fn receipts_of(&self, kind: &str) -> Result<Vec<Receipt>, StoreError> {
        let index = self.index();
        let texts: Result<Vec<String>, _> = index
            .prepare_cached(
                "SELECT receipt FROM receipts WHERE json_extract(receipt, '$.kind') = ?1 ORDER BY created_at DESC, key",
            )
            .and_then(|mut query| query.query_map([kind], |row| row.get(0))?.collect());
        let texts = texts.map_err(|error| self.failed(&error))?;
        // What cannot be read is told to whoever needs that one.
        Ok(texts.iter().filter_map(|text| serde_json::from_str(text).ok()).collect())
    }

    /// Keeps a receipt. The first one for a key stays; the one that counts is given back.
    ///
    /// The caller has put every blob of it into the store before.
    ///
    /// # Errors
    /// The index cannot be written.
    pub fn put_receipt(&self, recipe: &Recipe, receipt: &Receipt) -> Result<Receipt, StoreError> {
        assert_eq!(recipe.key(), receipt.key, "a receipt is kept under its own recipe's key");
        self.write_receipt(recipe, receipt, "ON CONFLICT (key) DO NOTHING")?;
        Ok(self.receipt(&receipt.key)?.unwrap_or_else(|| receipt.clone()))
    }

    /// Keeps a receipt in place of the one that was there, for a stage that was told to compute again.
    ///
    /// # Errors
    /// The index cannot be written.
    pub fn replace_receipt(&self, recipe: &Recipe, receipt: &Receipt) -> Result<(), StoreError> {
        assert_eq!(recipe.key(), receipt.key, "a receipt is kept under its own recipe's key");
        self.write_receipt(
            recipe,
            receipt,
            "ON CONFLICT (key) DO UPDATE SET receipt = excluded.receipt, created_at = excluded.created_at",
        )
    }

    fn write_receipt(&self, recipe: &Recipe, receipt: &Receipt, conflict: &str) -> Result<(), StoreError> {
        let text = serde_json::to_string(receipt).expect("a receipt is always valid JSON");
        self.index()
            .prepare_cached(&format!(
                "INSERT INTO receipts (key, recipe, receipt, created_at) VALUES (?1, ?2, ?3, ?4) {conflict}"
            ))
            .and_then(|mut insert| {
                insert.execute(params![receipt.key.as_bytes(), recipe.canonical(), text, receipt.created_at])
            })
            .map_err(|error| self.failed(&error))?;
        Ok(())
    }

    /// The recipe of a kept receipt.
    ///
    /// # Errors
    /// The index cannot be read.
    pub fn recipe(&self, key: &Key) -> Result<Option<Value>, StoreError> {
        let text: Option<String> = self
            .index()
            .prepare_cached("SELECT recipe FROM receipts WHERE key = ?1")
            .and_then(|mut query| query.query_row([key.as_bytes()], |row| row.get(0)).optional())
            .map_err(|error| self.failed(&error))?;
        // A recipe is only shown: one that cannot be read is as good as none.
        Ok(text.and_then(|text| serde_json::from_str(&text).ok()))
    }

    /// The recipe of the newest kept receipt of a kind whose result is, or holds, this blob.
    ///
    /// # Errors
    /// The index cannot be read.
    pub fn recipe_that_made(&self, kind: &str, blob: &BlobId) -> Result<Option<Value>, StoreError> {
        let text: Option<String> = self
            .index()
            .prepare_cached(
                "SELECT recipe FROM receipts
                 WHERE json_extract(receipt, '$.kind') = ?1
                   AND (json_extract(receipt, '$.output') = ?2 OR json_extract(receipt, '$.also[0]') = ?2)
                 ORDER BY created_at DESC LIMIT 1",
            )
            .and_then(|mut query| query.query_row(params![kind, blob.to_string()], |row| row.get(0)).optional())
            .map_err(|error| self.failed(&error))?;
        Ok(text.and_then(|text| serde_json::from_str(&text).ok()))
    }

    /// Forgets a receipt whose blobs are gone, so that the next one for its key is kept.
    ///
    /// # Errors
    /// The index cannot be written.
    pub fn drop_receipt(&self, key: &Key) -> Result<(), StoreError> {
        self.index()
            .execute("DELETE FROM receipts WHERE key = ?1", [key.as_bytes()])
            .map_err(|error| self.failed(&error))?;
        Ok(())
    }

    /// Remembers which recipe a stage of a pipeline had last, whether or not it came to an end: next time tells what
    /// changed.
    ///
    /// # Errors
    /// The index cannot be written.
    pub fn set_latest(&self, pipeline: &str, stage: &StageId, recipe: &Recipe) -> Result<(), StoreError> {
        self.index()
            .execute(
                "INSERT INTO latest (pipeline, stage, key, recipe) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT (pipeline, stage) DO UPDATE SET key = excluded.key, recipe = excluded.recipe
                 WHERE key IS NOT excluded.key",
                params![pipeline, stage.as_str(), recipe.key().as_bytes(), recipe.canonical()],
            )
            .map_err(|error| self.failed(&error))?;
        Ok(())
    }

    /// Remembers the recipe of a kept receipt as the one that a stage of a pipeline had last. Writes nothing where that is
    /// known already.
    ///
    /// # Errors
    /// The index cannot be read or written.
    pub fn set_latest_to_receipt(&self, pipeline: &str, stage: &StageId, key: &Key) -> Result<(), StoreError> {
        let index = self.index();
        let known = index
            .prepare_cached("SELECT 1 FROM latest WHERE pipeline = ?1 AND stage = ?2 AND key = ?3")
            .and_then(|mut query| query.exists(params![pipeline, stage.as_str(), key.as_bytes()]))
            .map_err(|error| self.failed(&error))?;
        if !known {
            index
                .execute(
                    "INSERT OR REPLACE INTO latest (pipeline, stage, key, recipe)
                     SELECT ?1, ?2, key, recipe FROM receipts WHERE key = ?3",
                    params![pipeline, stage.as_str(), key.as_bytes()],
                )
                .and_then(|_| {
                    // What a stage has come back to is also what its next table will be most like.
                    index.execute(
                        "UPDATE earlier SET number = 1 + (
                             SELECT max(number) FROM earlier WHERE pipeline = ?1 AND stage = ?2
                         ) WHERE pipeline = ?1 AND stage = ?2 AND key = ?3",
                        params![pipeline, stage.as_str(), key.as_bytes()],
                    )
                })
                .map_err(|error| self.failed(&error))?;
        }
        Ok(())
    }

    /// The key and recipe that a stage of a pipeline had last.
    ///
    /// # Errors
    /// The index cannot be read.
    pub fn latest(&self, pipeline: &str, stage: &StageId) -> Result<Option<(Key, Value)>, StoreError> {
        let found: Option<([u8; 32], String)> = self
            .index()
            .prepare_cached("SELECT key, recipe FROM latest WHERE pipeline = ?1 AND stage = ?2")
            .and_then(|mut query| {
                query.query_row(params![pipeline, stage.as_str()], |row| Ok((row.get(0)?, row.get(1)?))).optional()
            })
            .map_err(|error| self.failed(&error))?;
        // A recipe is only shown: one that cannot be read is as good as none.
        Ok(found.and_then(|(key, text)| Some((Key::from_bytes(key), serde_json::from_str(&text).ok()?))))
    }
}
