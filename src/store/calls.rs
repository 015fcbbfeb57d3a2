//! Calls: a request's key and the reply that was got for it.
//!
//! One thread writes them, as many at once as have come while it was busy, so that a call costs a fraction of a
//! transaction and is still on disk before it counts as done.

use std::path::PathBuf;
use std::sync::{PoisonError, mpsc};
use std::thread::JoinHandle;

use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};
use serde::de::DeserializeOwned;
use tokio::sync::oneshot;

use super::{Store, StoreError, index};
use crate::key::Key;

/// A call that was answered before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredCall {
    /// The reply, as JSON.
    pub reply: String,
}

/// Most calls written in one transaction.
const BATCH: usize = 1024;

/// What is to be done where a reply is kept for the key already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Put {
    /// It stays, and is the one that counts.
    First,
    /// The new one takes its place.
    Replace,
}

struct Entry {
    key: Key,
    reply: String,
    put: Put,
    created_at: i64,
    done: oneshot::Sender<Result<StoredCall, StoreError>>,
}

/// The thread that writes calls.
pub(super) struct CallWriter {
    queue: Option<mpsc::Sender<Entry>>,
    thread: Option<JoinHandle<()>>,
}

impl CallWriter {
    pub(super) fn start(mut index: Connection) -> Self {
        let (queue, waiting) = mpsc::channel::<Entry>();
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

fn write(index: &mut Connection, batch: Vec<Entry>) {
    let stored = insert(index, &batch);
    let path = index.path().map(PathBuf::from).unwrap_or_default();
    match stored {
        Ok(stored) => {
            for (entry, stored) in batch.into_iter().zip(stored) {
                // Nobody waits any more where a run was interrupted; the call is kept all the same.
                entry.done.send(Ok(stored)).ok();
            }
        }
        Err(error) => {
            for entry in batch {
                entry.done.send(Err(StoreError::from_sqlite(&path, &error))).ok();
            }
        }
    }
}

fn insert(index: &mut Connection, batch: &[Entry]) -> rusqlite::Result<Vec<StoredCall>> {
    let transaction = index.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut stored = Vec::with_capacity(batch.len());
    {
        let mut insert = transaction.prepare_cached(
            "INSERT INTO calls (key, reply, created_at) VALUES (?1, ?2, ?3) ON CONFLICT (key) DO NOTHING",
        )?;
        let mut replace = transaction.prepare_cached(
            "INSERT INTO calls (key, reply, created_at) VALUES (?1, ?2, ?3)
             ON CONFLICT (key) DO UPDATE SET reply = excluded.reply, created_at = excluded.created_at",
        )?;
        let mut earlier = transaction.prepare_cached("SELECT reply FROM calls WHERE key = ?1")?;
        for Entry { key, reply, put, created_at, done: _ } in batch {
            let statement = match put {
                Put::First => &mut insert,
                Put::Replace => &mut replace,
            };
            let written = statement.execute(params![key.as_bytes(), reply, created_at])? > 0;
            // Another process was faster: its reply is the one that everybody uses.
            let reply = if written { reply.clone() } else { earlier.query_row([key.as_bytes()], |row| row.get(0))? };
            stored.push(StoredCall { reply });
        }
    }
    transaction.commit()?;
    Ok(stored)
}

/// Looks calls up, beside other readers and the writer.
///
/// Goes back to the store when dropped, with its connection and prepared statements.
pub struct CallReader<'a> {
    store: &'a Store,
    connection: Option<Connection>,
}

impl std::fmt::Debug for CallReader<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CallReader").finish_non_exhaustive()
    }
}

impl CallReader<'_> {
    /// The reply kept for a call.
    ///
    /// # Errors
    /// The index cannot be read.
    pub fn call(&self, key: &Key) -> Result<Option<StoredCall>, StoreError> {
        let connection = self.connection.as_ref().expect("it is there until the reader is dropped");
        connection
            .prepare_cached("SELECT reply FROM calls WHERE key = ?1")
            .and_then(|mut query| {
                query.query_row([key.as_bytes()], |row| Ok(StoredCall { reply: row.get(0)? })).optional()
            })
            .map_err(|error| StoreError::from_sqlite(&self.store.index_path(), &error))
    }

    /// The reply kept for a call, read as what was written.
    ///
    /// # Errors
    /// The index cannot be read, or holds something else.
    pub fn reply<T: DeserializeOwned>(&self, key: &Key) -> Result<Option<T>, StoreError> {
        self.call(key)?.map(|stored| self.store.read_reply(key, &stored)).transpose()
    }

    /// When the run started that made a kept reply, in seconds since 1970.
    ///
    /// # Errors
    /// The index cannot be read.
    pub fn made_at(&self, key: &Key) -> Result<Option<i64>, StoreError> {
        let connection = self.connection.as_ref().expect("it is there until the reader is dropped");
        connection
            .prepare_cached("SELECT created_at FROM calls WHERE key = ?1")
            .and_then(|mut query| query.query_row([key.as_bytes()], |row| row.get(0)).optional())
            .map_err(|error| StoreError::from_sqlite(&self.store.index_path(), &error))
    }

    /// Whether a reply is kept for a call.
    ///
    /// # Errors
    /// The index cannot be read.
    pub fn has(&self, key: &Key) -> Result<bool, StoreError> {
        let connection = self.connection.as_ref().expect("it is there until the reader is dropped");
        connection
            .prepare_cached("SELECT 1 FROM calls WHERE key = ?1")
            .and_then(|mut query| query.exists([key.as_bytes()]))
            .map_err(|error| StoreError::from_sqlite(&self.store.index_path(), &error))
    }
}

impl Drop for CallReader<'_> {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take()
            && connection.execute_batch("COMMIT").is_ok()
        {
            self.store.readers.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
        }
    }
}

impl Store {
    /// Somebody who looks calls up. Each thread that does so takes its own.
    ///
    /// # Errors
    /// The index cannot be opened.
    pub fn calls(&self) -> Result<CallReader<'_>, StoreError> {
        let idle = self.readers.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let connection = match idle {
            Some(connection) => connection,
            None => index::open_reader(&self.index_path())?,
        };
        // One transaction for all that is looked up: each would otherwise take and give back locks of its own.
        connection.execute_batch("BEGIN").map_err(|error| self.failed(&error))?;
        Ok(CallReader { store: self, connection: Some(connection) })
    }

    /// Reads the reply of a call as what was written.
    ///
    /// # Errors
    /// It is something else.
    pub fn read_reply<T: DeserializeOwned>(&self, key: &Key, stored: &StoredCall) -> Result<T, StoreError> {
        serde_json::from_str(&stored.reply).map_err(|error| StoreError::Damaged {
            path: self.index_path(),
            message: format!("the reply kept for call {} cannot be read: {error}", key.short()),
        })
    }

    /// Keeps the reply of a call, and gives back the reply that counts: with [`Put::First`], where another process has kept
    /// one for the same key in the meantime, that one.
    ///
    /// # Errors
    /// The index cannot be written.
    pub async fn put_call(&self, key: Key, reply: String, put: Put, created_at: i64) -> Result<StoredCall, StoreError> {
        let (done, stored) = oneshot::channel();
        let gone = || StoreError::Damaged {
            path: self.index_path(),
            message: "the thread that writes it has ended".to_owned(),
        };
        let queue = self.calls.queue.as_ref().ok_or_else(gone)?;
        queue.send(Entry { key, reply, put, created_at, done }).map_err(|_| gone())?;
        stored.await.map_err(|_| gone())?
    }
}
