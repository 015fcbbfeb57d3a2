//! The SQLite index: its tables, its format version, and how it is opened.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, TransactionBehavior};

use super::StoreError;

/// Marks an SQLite file as ours: `evlf`.
const APPLICATION_ID: i64 = 0x6576_6c66;
/// Version of the tables below.
const FORMAT: i64 = 1;

const TABLES: &str = "
    CREATE TABLE calls (
        key BLOB PRIMARY KEY,
        recipe TEXT NOT NULL,
        reply TEXT NOT NULL,
        created_at INTEGER NOT NULL
    ) WITHOUT ROWID;
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
    if version(&connection, path)? == Some(FORMAT) {
        return Ok(connection);
    }
    // Two processes may come here at once: the second finds the tables made when it gets the lock.
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
    if version(&transaction, path)?.is_none() {
        transaction.execute_batch(TABLES).map_err(failed)?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID).map_err(failed)?;
        transaction.pragma_update(None, "user_version", FORMAT).map_err(failed)?;
    }
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
        FORMAT => Ok(Some(FORMAT)),
        found => Err(StoreError::Newer { path: path.to_owned(), found, known: FORMAT }),
    }
}
