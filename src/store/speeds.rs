//! How fast models answered on this machine: what forecasts rest on.

use rusqlite::{OptionalExtension, Row, params};

use super::{Store, StoreError};
use crate::key::BlobId;

/// What calls of one kind of stage to one model came to, summed over all runs on this machine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Speed {
    /// Calls that were made.
    pub calls: u64,
    /// Characters of their messages.
    pub prompt_chars: u64,
    /// Tokens of their prompts.
    pub prompt_tokens: u64,
    /// Tokens of their replies.
    pub completion_tokens: u64,
    /// Time in which at least one of them was waited for, in milliseconds.
    pub busy_ms: u64,
}

impl Store {
    /// Adds what the calls of one stage came to.
    ///
    /// `model` is the digest of the engine's identity, `kind` the stage's kind.
    ///
    /// # Errors
    /// The index cannot be written.
    pub fn add_speed(&self, model: &BlobId, kind: &str, speed: &Speed) -> Result<(), StoreError> {
        let Speed { calls, prompt_chars, prompt_tokens, completion_tokens, busy_ms } = *speed;
        let numbers = [calls, prompt_chars, prompt_tokens, completion_tokens, busy_ms].map(u64::cast_signed);
        self.index()
            .execute(
                "INSERT INTO speeds (model, kind, calls, prompt_chars, prompt_tokens, completion_tokens, busy_ms)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
                 ON CONFLICT (model, kind) DO UPDATE SET calls = calls + excluded.calls,
                     prompt_chars = prompt_chars + excluded.prompt_chars,
                     prompt_tokens = prompt_tokens + excluded.prompt_tokens,
                     completion_tokens = completion_tokens + excluded.completion_tokens,
                     busy_ms = busy_ms + excluded.busy_ms",
                params![model.as_bytes(), kind, numbers[0], numbers[1], numbers[2], numbers[3], numbers[4]],
            )
            .map_err(|error| self.failed(&error))?;
        Ok(())
    }

    /// What calls of one kind of stage to one model came to so far; nothing where none was made.
    ///
    /// # Errors
    /// The index cannot be read.
    pub fn speed(&self, model: &BlobId, kind: &str) -> Result<Option<Speed>, StoreError> {
        let number = |row: &Row<'_>, at| row.get::<_, i64>(at).map(i64::cast_unsigned);
        self.index()
            .prepare_cached(
                "SELECT calls, prompt_chars, prompt_tokens, completion_tokens, busy_ms FROM speeds
                 WHERE model = ?1 AND kind = ?2",
            )
            .and_then(|mut query| {
                query
                    .query_row(params![model.as_bytes(), kind], |row| {
                        Ok(Speed {
                            calls: number(row, 0)?,
                            prompt_chars: number(row, 1)?,
                            prompt_tokens: number(row, 2)?,
                            completion_tokens: number(row, 3)?,
                            busy_ms: number(row, 4)?,
                        })
                    })
                    .optional()
            })
            .map_err(|error| self.failed(&error))
    }
}
