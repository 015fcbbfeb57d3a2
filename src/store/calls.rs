//! Calls: a request's key and the reply that was got for it.
//!
//! One thread writes them, as many at once as have come while it was busy, so that a call costs a fraction of a
//! transaction and is still on disk before it counts as done.

use std::path::PathBuf;
use std::sync::mpsc;
use std::thread::JoinHandle;

use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};
use tokio::sync::oneshot;

use super::{Store, StoreError};
use crate::key::{Key, Recipe};

/// A call that was answered before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredCall {
    /// The reply, as JSON.
    pub reply: String,
}

/// Most calls written in one transaction.
const BATCH: usize = 1024;

struct Put {
    recipe: Recipe,
    reply: String,
    created_at: i64,
    done: oneshot::Sender<Result<StoredCall, StoreError>>,
}

/// The thread that writes calls.
pub(super) struct CallWriter {
    queue: Option<mpsc::Sender<Put>>,
    thread: Option<JoinHandle<()>>,
}

impl CallWriter {
    pub(super) fn start(mut index: Connection) -> Self {
        let (queue, waiting) = mpsc::channel::<Put>();
        let thread = std::thread::spawn(move || {
            while let Ok(first) = waiting.recv() {
                let mut batch = vec![first];
                batch.extend(waiting.try_iter().take(BATCH - 1));
                write(&mut index, batch);
            }
        });
        Self { queue: Some(queue), thread: Some(thread) }
    }
}

impl Drop for CallWriter {
    fn drop(&mut self) {
        // Closing the queue ends the thread after what is waiting is written.
        self.queue = None;
        if let Some(thread) = self.thread.take() {
            // A panic there has already failed the calls that waited for it.
            thread.join().ok();
        }
    }
}

fn write(index: &mut Connection, batch: Vec<Put>) {
    let stored = insert(index, &batch);
    let path = index.path().map(PathBuf::from).unwrap_or_default();
    match stored {
        Ok(stored) => {
            for (put, stored) in batch.into_iter().zip(stored) {
                // Nobody waits any more where a run was interrupted; the call is kept all the same.
                put.done.send(Ok(stored)).ok();
            }
        }
        Err(error) => {
            for put in batch {
                put.done.send(Err(StoreError::from_sqlite(&path, &error))).ok();
            }
        }
    }
}

fn insert(index: &mut Connection, batch: &[Put]) -> rusqlite::Result<Vec<StoredCall>> {
    let transaction = index.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut stored = Vec::with_capacity(batch.len());
    {
        let mut insert = transaction.prepare_cached(
            "INSERT INTO calls (key, recipe, reply, created_at) VALUES (?1, ?2, ?3, ?4) ON CONFLICT (key) DO NOTHING",
        )?;
        let mut earlier = transaction.prepare_cached("SELECT reply FROM calls WHERE key = ?1")?;
        for put in batch {
            let key = put.recipe.key();
            let inserted =
                insert.execute(params![key.as_bytes(), put.recipe.canonical(), put.reply, put.created_at])? > 0;
            // Another process was faster: its reply is the one that everybody uses.
            let reply =
                if inserted { put.reply.clone() } else { earlier.query_row([key.as_bytes()], |row| row.get(0))? };
            stored.push(StoredCall { reply });
        }
    }
    transaction.commit()?;
    Ok(stored)
}

impl Store {
    /// The reply kept for a call.
    ///
    /// # Errors
    /// The index cannot be read.
    pub fn call(&self, key: &Key) -> Result<Option<StoredCall>, StoreError> {
        let index = self.index();
        index
            .prepare_cached("SELECT reply FROM calls WHERE key = ?1")
            .and_then(|mut query| {
                query.query_row([key.as_bytes()], |row| Ok(StoredCall { reply: row.get(0)? })).optional()
            })
            .map_err(|error| StoreError::from_sqlite(&self.directory().join("index.sqlite"), &error))
    }

    /// Keeps the reply of a call, and gives back the reply that counts: where another process has kept one for the same
    /// key in the meantime, that one.
    ///
    /// # Errors
    /// The index cannot be written.
    pub async fn put_call(&self, recipe: Recipe, reply: String, created_at: i64) -> Result<StoredCall, StoreError> {
        let (done, stored) = oneshot::channel();
        let gone = || StoreError::Damaged {
            path: self.directory().join("index.sqlite"),
            message: "the thread that writes it has ended".to_owned(),
        };
        let queue = self.calls.queue.as_ref().ok_or_else(gone)?;
        queue.send(Put { recipe, reply, created_at, done }).map_err(|_| gone())?;
        stored.await.map_err(|_| gone())?
    }
}
