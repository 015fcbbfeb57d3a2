//! The SQLite index: its tables, its format version, and how it is opened.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use super::StoreError;

/// Marks an SQLite file as ours: `evlf`.
const APPLICATION_ID: i64 = 0x6576_6c66;
/// Version of the index's tables.
pub const FORMAT: i64 = 3;

/// Calls lie in the order in which they were made, which is the order in which a rerun looks for them.
const CALLS: &str = "
    CREATE TABLE calls (
        id INTEGER PRIMARY KEY,
        key BLOB NOT NULL UNIQUE,
        reply TEXT NOT NULL,
        created_at INTEGER NOT NULL
    );
";

const TABLES: &str = "
    CREATE TABLE receipts (
        key BLOB PRIMARY KEY,
        recipe TEXT NOT NULL,
        receipt TEXT NOT NULL,
        created_at INTEGER NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE latest (
        pipeline TEXT NOT NULL,
        stage TEXT NOT NULL,
        key BLOB NOT NULL,
        recipe TEXT NOT NULL,
        PRIMARY KEY (pipeline, stage)
    ) WITHOUT ROWID;
    CREATE TABLE files (
        path BLOB PRIMARY KEY,
        size INTEGER NOT NULL,
        modified_ns INTEGER NOT NULL,
        changed_ns INTEGER NOT NULL,
        inode INTEGER NOT NULL,
        id BLOB NOT NULL
    ) WITHOUT ROWID;
";

/// Tables that came with format 2.
const TABLES_2: &str = "
    CREATE TABLE runs (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        pipeline TEXT NOT NULL,
        started_at INTEGER NOT NULL,
        record TEXT NOT NULL
    );
    CREATE INDEX runs_of_pipeline ON runs (pipeline, id);
    CREATE TABLE speeds (
        model BLOB NOT NULL,
        kind TEXT NOT NULL,
        calls INTEGER NOT NULL,
        prompt_chars INTEGER NOT NULL,
        prompt_tokens INTEGER NOT NULL,
        completion_tokens INTEGER NOT NULL,
        busy_ms INTEGER NOT NULL,
        PRIMARY KEY (model, kind)
    ) WITHOUT ROWID;
";

/// Tables that came with format 3.
const TABLES_3: &str = "
    CREATE TABLE earlier (
        pipeline TEXT NOT NULL,
        stage TEXT NOT NULL,
        key BLOB NOT NULL,
        number INTEGER NOT NULL,
        output BLOB NOT NULL,
        calls BLOB,
        shares BLOB NOT NULL,
        taken INTEGER NOT NULL,
        PRIMARY KEY (pipeline, stage, key)
    ) WITHOUT ROWID;
";

/// From format 1: a call's recipe can be made again from its stage's, and took most of the index's room.
const FROM_1: &str = "
    INSERT INTO calls (key, reply, created_at) SELECT key, reply, created_at FROM calls_1;
    DROP TABLE calls_1;
";

pub(super) fn open(path: &Path) -> Result<Connection, StoreError> {
    let failed = |error: rusqlite::Error| StoreError::from_sqlite(path, &error);
    let mut connection = Connection::open(path).map_err(failed)?;
    connection.busy_timeout(Duration::from_secs(60)).map_err(failed)?;
    // WAL lets readers go on beside a writer. NORMAL survives a killed process; a lost machine may lose the last
    // moments, which are then asked again, but never leaves a wrong row.
    connection
        .execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA temp_store = MEMORY;")
        .map_err(failed)?;
    connection.set_prepared_statement_cache_capacity(32);
    // Keys are spread evenly over the tree: the more calls lie between two checkpoints, the fewer pages are written twice.
    connection.execute_batch("PRAGMA cache_size = -32768; PRAGMA wal_autocheckpoint = 8192;").map_err(failed)?;
    if version(&connection, path)? == Some(FORMAT) {
        return Ok(connection);
    }
    // Two processes may come here at once: the second finds the tables made when it gets the lock.
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
    match version(&transaction, path)? {
        None => {
            transaction.execute_batch(TABLES).map_err(failed)?;
            transaction.execute_batch(CALLS).map_err(failed)?;
            transaction.execute_batch(TABLES_2).map_err(failed)?;
            transaction.execute_batch(TABLES_3).map_err(failed)?;
        }
        Some(1) => {
            transaction.execute_batch("ALTER TABLE calls RENAME TO calls_1;").map_err(failed)?;
            transaction.execute_batch(CALLS).map_err(failed)?;
            transaction.execute_batch(FROM_1).map_err(failed)?;
            transaction.execute_batch(TABLES_2).map_err(failed)?;
            transaction.execute_batch(TABLES_3).map_err(failed)?;
        }
        Some(2) => transaction.execute_batch(TABLES_3).map_err(failed)?,
        Some(_) => {}
    }
    transaction.pragma_update(None, "application_id", APPLICATION_ID).map_err(failed)?;
    transaction.pragma_update(None, "user_version", FORMAT).map_err(failed)?;
    transaction.commit().map_err(failed)?;
    Ok(connection)
}

/// The format of an index; `None` for an empty database.
fn version(connection: &Connection, path: &Path) -> Result<Option<i64>, StoreError> {
    let failed = |error: rusqlite::Error| StoreError::from_sqlite(path, &error);
    let pragma = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0)).map_err(failed);
    let application = pragma("application_id")?;
    let tables: i64 =
        connection.query_row("SELECT count(*) FROM sqlite_master", [], |row| row.get(0)).map_err(failed)?;
    if application == 0 && tables == 0 {
        return Ok(None);
    }
    if application != APPLICATION_ID {
        return Err(StoreError::Foreign { path: path.to_owned() });
    }
    match pragma("user_version")? {
        found @ 1..=FORMAT => Ok(Some(found)),
        found => Err(StoreError::Newer { path: path.to_owned(), found, known: FORMAT }),
    }
}

/// A further connection to an index that is open already, for reading beside others.
pub(super) fn open_reader(path: &Path) -> Result<Connection, StoreError> {
    let failed = |error: rusqlite::Error| StoreError::from_sqlite(path, &error);
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(failed)?;
    connection.busy_timeout(Duration::from_secs(60)).map_err(failed)?;
    // Calls are looked up by keys that are spread evenly: the inner pages of the tree should stay in memory.
    connection.pragma_update(None, "cache_size", -24_576).map_err(failed)?;
    Ok(connection)
}
