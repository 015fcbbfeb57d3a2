//! What takes how much room in the store.

use std::collections::BTreeMap;

use rusqlite::params;

use super::{Counted, Receipt, Store, StoreError, index};
use crate::key::BlobId;

/// What an object is there for. One that serves several receipts counts for the first of these uses.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum ObjectUse {
    /// What came out of stages of this kind.
    Output(String),
    /// What belongs to the results of stages of this kind besides.
    Also(String),
    /// A list of the calls that a result rests on.
    Calls,
    /// What each row of an earlier result came to, for a later one to take over.
    Shares,
    /// No receipt names it.
    Nothing,
}

/// What takes how much room.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Usage {
    /// Calls with their replies.
    pub calls: Counted,
    /// Receipts by the kind of their stage.
    pub receipts: BTreeMap<String, Counted>,
    /// Records of runs.
    pub runs: Counted,
    /// Objects.
    pub objects: BTreeMap<ObjectUse, Counted>,
    /// Damaged objects that were moved aside.
    pub aside: Counted,
    /// Downloads and writes that are not finished.
    pub partial: Counted,
    /// Journals of runs.
    pub journals: Counted,
    /// The files of the index, which holds calls, receipts and runs.
    pub index: Counted,
}

impl Usage {
    /// What all files together take. Rows of the index are not counted twice.
    #[must_use]
    pub fn total_bytes(&self) -> u64 {
        let Self { calls: _, receipts: _, runs: _, objects, aside, partial, journals, index } = self;
        let files = [aside, partial, journals, index].into_iter().chain(objects.values());
        files.map(|files| files.bytes).sum()
    }
}

impl Store {
    /// Counts what takes how much room.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn usage(&self) -> Result<Usage, StoreError> {
        let mut usage = Usage {
            calls: self.count("SELECT count(*), coalesce(sum(octet_length(reply)), 0) FROM calls")?,
            runs: self.count("SELECT count(*), coalesce(sum(octet_length(record)), 0) FROM runs")?,
            ..Usage::default()
        };
        self.count_objects(&mut usage)?;
        for (part, counted) in
            [("aside", &mut usage.aside), ("partial", &mut usage.partial), ("runs", &mut usage.journals)]
        {
            self.walk(part, &mut |found| {
                counted.add(found.bytes);
                Ok(())
            })?;
        }
        for ending in ["", "-wal", "-shm"] {
            let file = self.directory().join(format!("index.sqlite{ending}"));
            // The log is there only while somebody writes.
            if let Ok(metadata) = fs_err::metadata(file) {
                usage.index.add(metadata.len());
            }
        }
        Ok(usage)
    }

    fn count(&self, sql: &str) -> Result<Counted, StoreError> {
        self.index()
            .query_row(sql, [], |row| {
                let [count, bytes]: [i64; 2] = [row.get(0)?, row.get(1)?];
                Ok(Counted { count: count.cast_unsigned(), bytes: bytes.cast_unsigned() })
            })
            .map_err(|error| self.failed(&error))
    }

    /// Counts receipts and, by what they name, objects.
    fn count_objects(&self, usage: &mut Usage) -> Result<(), StoreError> {
        let failed = |error: rusqlite::Error| self.failed(&error);
        // Which blob is named by whom goes into a temporary database: there may be more of them than memory should hold.
        let names = index::open(&self.index_path())?;
        names
            .execute_batch(
                "PRAGMA temp_store = FILE;
                 CREATE TEMP TABLE uses (id BLOB PRIMARY KEY, role TEXT NOT NULL, kind TEXT NOT NULL) WITHOUT ROWID;
                 BEGIN;",
            )
            .map_err(failed)?;
        {
            let mut note = names.prepare("INSERT OR IGNORE INTO uses VALUES (?1, ?2, ?3)").map_err(failed)?;
            let mut query =
                names.prepare("SELECT receipt, octet_length(recipe) FROM receipts ORDER BY key").map_err(failed)?;
            let mut rows = query.query([]).map_err(failed)?;
            while let Some(row) = rows.next().map_err(failed)? {
                let (text, recipe): (String, i64) = (row.get(0).map_err(failed)?, row.get(1).map_err(failed)?);
                // One that another version wrote is counted all the same, and its blobs as nobody's.
                let Ok(receipt) = serde_json::from_str::<Receipt>(&text) else {
                    usage.receipts.entry("unreadable".to_owned()).or_default().add(text.len() as u64);
                    continue;
                };
                let bytes = text.len() as u64 + recipe.cast_unsigned();
                usage.receipts.entry(receipt.kind.clone()).or_default().add(bytes);
                let mut name = |id: &BlobId, role: &str| {
                    note.execute(params![id.as_bytes(), role, receipt.kind]).map(drop).map_err(failed)
                };
                name(&receipt.output, "output")?;
                receipt.also.iter().try_for_each(|id| name(id, "also"))?;
                receipt.read.iter().try_for_each(|id| name(id, "read"))?;
                receipt.calls.iter().try_for_each(|id| name(id, "calls"))?;
            }
            names.execute("INSERT OR IGNORE INTO uses SELECT shares, 'shares', '' FROM earlier", []).map_err(failed)?;
            let mut find = names.prepare("SELECT role, kind FROM uses WHERE id = ?1").map_err(failed)?;
            self.walk_objects(&mut |id, found| {
                let Some(id) = id else {
                    usage.partial.add(found.bytes);
                    return Ok(());
                };
                let mut rows = find.query([id.as_bytes()]).map_err(failed)?;
                let purpose = match rows.next().map_err(failed)? {
                    None => ObjectUse::Nothing,
                    Some(row) => {
                        let (role, kind): (String, String) = (row.get(0).map_err(failed)?, row.get(1).map_err(failed)?);
                        match role.as_str() {
                            "output" => ObjectUse::Output(kind),
                            // Where its own receipt is there too, either name is right.
                            "also" | "read" => ObjectUse::Also(kind),
                            "shares" => ObjectUse::Shares,
                            _ => ObjectUse::Calls,
                        }
                    }
                };
                usage.objects.entry(purpose).or_default().add(found.bytes);
                Ok(())
            })?;
        }
        names.execute_batch("COMMIT;").map_err(failed)
    }
}
