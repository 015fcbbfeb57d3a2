//! Reading an archive that anybody may have made.
//!
//! Everything is read into temporary places first and checked; then objects are moved to where they belong, and calls and
//! receipts are written in one transaction. What goes wrong before that leaves the store as it was.

use std::io::{self, BufRead, BufReader, Read};

use rusqlite::{Connection, TransactionBehavior, params};
use serde::de::DeserializeOwned;
use tempfile::{NamedTempFile, TempDir};

use super::blobs;
use super::{
    ArchiveError, CALLS, CallLine, FORMAT, Imported, LOCK, MANIFEST, Manifest, OBJECTS, RECEIPTS, ReceiptLine,
};
use crate::key::{BlobHasher, BlobId, Recipe};
use crate::store::{Store, StoreError, index};

/// Longest line that is read, and longest file that is no table: far more than evalflow writes.
const LONGEST: u64 = 64 << 20;

impl Store {
    /// Reads an archive and keeps everything in it. What is in the store already stays as it is.
    ///
    /// The bytes of every object are hashed again, the key of every receipt is computed again from its recipe, and nothing
    /// is taken that no receipt names.
    ///
    /// # Errors
    /// It is no such archive, is damaged, cut or forged, or a disk fails. Then nothing of it is in the store.
    pub fn import_archive(&self, input: impl Read) -> Result<Imported, ArchiveError> {
        let decompressed = zstd::Decoder::new(input).map_err(|source| ArchiveError::Io { source })?;
        let mut archive = tar::Archive::new(decompressed);
        let mut staged = Staged::new(self)?;
        // Raw: long names, sparse files and the like are not wanted, and making sense of them takes memory.
        let entries = archive.entries().map_err(unreadable("the file"))?.raw(true);
        for entry in entries {
            staged.entry(entry.map_err(unreadable("the file"))?)?;
        }
        // The checksum over all of it comes last.
        io::copy(&mut archive.into_inner().take(LONGEST), &mut io::sink()).map_err(unreadable("the file"))?;
        staged.check()?;
        staged.keep()
    }
}

/// Turns what reading says into what is wrong with the archive. A full disk is told where writing fails.
fn unreadable(entry: &str) -> impl FnOnce(io::Error) -> ArchiveError {
    move |error| ArchiveError::damaged(entry, error.to_string())
}

/// What was read so far.
struct Staged<'a> {
    store: &'a Store,
    index: Connection,
    objects: TempDir,
    manifest: Option<Manifest>,
    /// Names of files, in the order in which they come.
    part: usize,
    imported: Imported,
}

const TABLES: &str = "
    PRAGMA temp_store = FILE;
    CREATE TEMP TABLE new_receipts (
        key BLOB PRIMARY KEY, recipe TEXT NOT NULL, receipt TEXT NOT NULL, created_at INTEGER NOT NULL
    ) WITHOUT ROWID;
    CREATE TEMP TABLE new_calls (key BLOB PRIMARY KEY, reply TEXT NOT NULL, created_at INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TEMP TABLE new_objects (id BLOB PRIMARY KEY) WITHOUT ROWID;
    CREATE TEMP TABLE named_blobs (id BLOB PRIMARY KEY, needed INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TEMP TABLE named_lists (id BLOB PRIMARY KEY) WITHOUT ROWID;
    CREATE TEMP TABLE named_calls (key BLOB PRIMARY KEY) WITHOUT ROWID;
";

impl<'a> Staged<'a> {
    fn new(store: &'a Store) -> Result<Self, ArchiveError> {
        let index = index::open(&store.index_path())?;
        index.execute_batch(TABLES).map_err(|error| store.failed(&error))?;
        let partial = store.directory().join("partial");
        let objects = TempDir::new_in(&partial).map_err(|error| StoreError::from_io(&partial, error))?;
        Ok(Self { store, index, objects, manifest: None, part: 0, imported: Imported::default() })
    }

    fn sql<T>(&self, done: rusqlite::Result<T>) -> Result<T, ArchiveError> {
        done.map_err(|error| self.store.failed(&error).into())
    }

    fn entry(&mut self, mut entry: tar::Entry<'_, impl Read>) -> Result<(), ArchiveError> {
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let wrong = |message: &str| Err(ArchiveError::damaged(&format!("`{}`", name.escape_debug()), message));
        if entry.header().entry_type() != tar::EntryType::Regular {
            return wrong("it is not a plain file");
        }
        // Every file at its place: nothing comes twice, and receipts before what only they can ask for.
        let parts = [MANIFEST, LOCK, RECEIPTS, CALLS];
        if let Some(expected) = parts.get(self.part) {
            if name != *expected {
                return wrong(&format!("`{expected}` should be in its place"));
            }
            self.part += 1;
        } else {
            let Some(id) = name.strip_prefix(OBJECTS).and_then(|id| id.parse().ok()) else {
                return wrong("it is not the name of an object");
            };
            return self.object(&name, id, &mut entry);
        }
        match name.as_str() {
            MANIFEST => self.read_manifest(&mut entry),
            RECEIPTS => self.lines(&name, &mut entry, Self::receipt),
            CALLS => self.lines(&name, &mut entry, Self::call),
            // The lock is for people: what it names is in the receipts.
            _ if entry.size() > LONGEST => wrong("it is too large"),
            _ => Ok(()),
        }
    }

    fn read_manifest(&mut self, entry: &mut impl Read) -> Result<(), ArchiveError> {
        let mut text = Vec::new();
        entry.take(1 << 16).read_to_end(&mut text).map_err(unreadable(MANIFEST))?;
        // A newer format may have other members: only its number is read first.
        let value: serde_json::Value = parse(MANIFEST, &text)?;
        match value["format"].as_u64().and_then(|format| u32::try_from(format).ok()) {
            Some(FORMAT) => {}
            Some(found) if found > FORMAT => return Err(ArchiveError::Newer { found }),
            _ => return Err(ArchiveError::damaged(MANIFEST, "it names no format")),
        }
        self.manifest = Some(parse(MANIFEST, &text)?);
        Ok(())
    }

    fn lines<T: DeserializeOwned>(
        &mut self,
        name: &str,
        entry: &mut impl Read,
        each: fn(&mut Self, T) -> Result<(), ArchiveError>,
    ) -> Result<(), ArchiveError> {
        self.sql(self.index.execute_batch("BEGIN"))?;
        let mut reader = BufReader::with_capacity(1 << 16, entry);
        let mut line = Vec::new();
        loop {
            line.clear();
            let read = (&mut reader).take(LONGEST).read_until(b'\n', &mut line).map_err(unreadable(name))?;
            if read == 0 {
                return self.sql(self.index.execute_batch("COMMIT"));
            }
            if line.pop() != Some(b'\n') {
                return Err(ArchiveError::damaged(name, "a line has no end"));
            }
            each(self, parse(name, &line)?)?;
        }
    }

    fn receipt(&mut self, line: ReceiptLine) -> Result<(), ArchiveError> {
        let ReceiptLine { recipe, receipt } = line;
        let key = receipt.key;
        let value: serde_json::Value = parse(RECEIPTS, recipe.as_bytes())?;
        if Recipe::from_canonical(recipe.clone()).key() != key {
            return Err(ArchiveError::damaged(RECEIPTS, format!("the key {} is not that of its recipe", key.short())));
        }
        if value["kind"] != receipt.kind {
            return Err(ArchiveError::damaged(RECEIPTS, format!("{} is of another kind than its recipe", key.short())));
        }
        let text = serde_json::to_string(&receipt).expect("a receipt is always valid JSON");
        self.sql(self.index.execute(
            "INSERT OR IGNORE INTO new_receipts VALUES (?1, ?2, ?3, ?4)",
            params![key.as_bytes(), recipe, text, receipt.created_at],
        ))?;
        for id in blobs(&receipt, true) {
            // Without the files that a result has besides, which may be large, a result is still of use.
            let needed = !receipt.also.contains(id);
            self.sql(self.index.execute(
                "INSERT INTO named_blobs VALUES (?1, ?2) ON CONFLICT (id) DO UPDATE SET needed = max(needed, ?2)",
                params![id.as_bytes(), needed],
            ))?;
        }
        if let Some(list) = &receipt.calls {
            self.sql(self.index.execute("INSERT OR IGNORE INTO named_lists VALUES (?1)", [list.as_bytes()]))?;
        }
        self.imported.receipts += 1;
        Ok(())
    }

    fn call(&mut self, line: CallLine) -> Result<(), ArchiveError> {
        let CallLine { key, created_at, reply } = line;
        if !parse::<serde_json::Value>(CALLS, reply.as_bytes())?.is_object() {
            return Err(ArchiveError::damaged(CALLS, format!("the reply of {} is none", key.short())));
        }
        let added = self
            .index
            .prepare_cached("INSERT OR IGNORE INTO new_calls VALUES (?1, ?2, ?3)")
            .and_then(|mut insert| insert.execute(params![key.as_bytes(), reply, created_at]));
        if self.sql(added)? == 0 {
            return Err(ArchiveError::damaged(CALLS, format!("{} comes twice", key.short())));
        }
        self.imported.calls += 1;
        Ok(())
    }

    fn object(&mut self, name: &str, id: BlobId, entry: &mut impl Read) -> Result<(), ArchiveError> {
        let is_named = self
            .index
            .prepare_cached("SELECT 1 FROM named_blobs WHERE id = ?1")
            .and_then(|mut query| query.exists([id.as_bytes()]));
        if !self.sql(is_named)? {
            return Err(ArchiveError::damaged(name, "no result names it"));
        }
        if self.sql(self.index.execute("INSERT OR IGNORE INTO new_objects VALUES (?1)", [id.as_bytes()]))? == 0 {
            return Err(ArchiveError::damaged(name, "it comes twice"));
        }
        let full = |error| StoreError::from_io(self.objects.path(), error);
        let mut file = NamedTempFile::new_in(self.objects.path()).map_err(full)?;
        let mut hasher = BlobHasher::default();
        let mut buffer = vec![0; 1 << 17];
        loop {
            let read = entry.read(&mut buffer).map_err(unreadable(name))?;
            if read == 0 {
                break;
            }
            hasher.update(&buffer[..read]);
            io::Write::write_all(&mut file, &buffer[..read]).map_err(full)?;
        }
        if hasher.finish() != id {
            return Err(ArchiveError::damaged(name, "its bytes are not what its name says"));
        }
        file.as_file().sync_data().map_err(full)?;
        file.persist(self.objects.path().join(id.to_string())).map_err(|error| full(error.error))?;
        self.imported.objects += 1;
        Ok(())
    }

    /// What can be said only when all of it was read.
    fn check(&mut self) -> Result<(), ArchiveError> {
        let Some(Manifest { format: _, evalflow: _, receipts, calls, objects }) = self.manifest else {
            return Err(ArchiveError::damaged("the file", "it is empty"));
        };
        let found = (self.imported.receipts, self.imported.calls, self.imported.objects);
        if found != (receipts, calls, objects) || self.part < 4 {
            return Err(ArchiveError::damaged("the file", "something is missing from it"));
        }
        self.check_blobs()?;
        self.check_calls()
    }

    fn check_blobs(&mut self) -> Result<(), ArchiveError> {
        let mut missing = 0;
        {
            let mut query = self.sql(
                self.index.prepare("SELECT id, needed FROM named_blobs WHERE id NOT IN (SELECT id FROM new_objects)"),
            )?;
            let mut rows = self.sql(query.query([]))?;
            while let Some(row) = self.sql(rows.next())? {
                let id = BlobId::from_bytes(self.sql(row.get(0))?);
                let needed: bool = self.sql(row.get(1))?;
                if self.store.has(&id)? {
                    continue;
                }
                if needed {
                    return Err(ArchiveError::damaged(&format!("`{OBJECTS}{id}`"), "it is missing"));
                }
                missing += 1;
            }
        }
        self.imported.missing = missing;
        Ok(())
    }

    /// Every call must be one that a result rests on: a reply that nobody asked for here is not let in.
    fn check_calls(&mut self) -> Result<(), ArchiveError> {
        self.sql(self.index.execute_batch("BEGIN"))?;
        {
            let mut note = self.sql(self.index.prepare("INSERT OR IGNORE INTO named_calls VALUES (?1)"))?;
            let mut query = self.sql(self.index.prepare("SELECT id FROM named_lists"))?;
            let mut rows = self.sql(query.query([]))?;
            while let Some(row) = self.sql(rows.next())? {
                let id = BlobId::from_bytes(self.sql(row.get(0))?);
                let staged = self.objects.path().join(id.to_string());
                let path = if staged.exists() { staged } else { self.store.object_path(&id) };
                let failed = |error| StoreError::from_io(&path, error);
                let mut reader = BufReader::new(fs_err::File::open(&path).map_err(failed)?);
                let mut key = [0; 32];
                loop {
                    match reader.read(&mut key[..1]).map_err(failed)? {
                        0 => break,
                        _ => reader.read_exact(&mut key[1..]).map_err(|_| {
                            ArchiveError::damaged(&format!("`{OBJECTS}{id}`"), "it is no list of calls")
                        })?,
                    }
                    self.sql(note.execute([key]))?;
                }
            }
        }
        self.sql(self.index.execute_batch("COMMIT"))?;
        let loose: bool = self.sql(self.index.query_row(
            "SELECT EXISTS (SELECT 1 FROM new_calls WHERE key NOT IN (SELECT key FROM named_calls))",
            [],
            |row| row.get(0),
        ))?;
        if loose { Err(ArchiveError::damaged(CALLS, "no result rests on one of them")) } else { Ok(()) }
    }

    fn keep(mut self) -> Result<Imported, ArchiveError> {
        {
            let mut query = self.sql(self.index.prepare("SELECT id FROM new_objects"))?;
            let mut rows = self.sql(query.query([]))?;
            while let Some(row) = self.sql(rows.next())? {
                let id = BlobId::from_bytes(self.sql(row.get(0))?);
                if !self.store.has(&id)? {
                    self.store.adopt(&self.objects.path().join(id.to_string()), &id)?;
                    self.imported.new_objects += 1;
                }
            }
        }
        let store = self.store;
        let failed = |error: rusqlite::Error| ArchiveError::from(store.failed(&error));
        let transaction = self.index.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
        let calls = transaction
            .execute(
                "INSERT OR IGNORE INTO calls (key, reply, created_at) SELECT key, reply, created_at FROM new_calls",
                [],
            )
            .map_err(failed)?;
        let receipts = transaction
            .execute(
                "INSERT OR IGNORE INTO receipts (key, recipe, receipt, created_at)
                 SELECT key, recipe, receipt, created_at FROM new_receipts",
                [],
            )
            .map_err(failed)?;
        transaction.commit().map_err(failed)?;
        Ok(Imported { new_calls: calls as u64, new_receipts: receipts as u64, ..self.imported })
    }
}

fn parse<T: DeserializeOwned>(name: &str, text: &[u8]) -> Result<T, ArchiveError> {
    serde_json::from_slice(text).map_err(|error| ArchiveError::damaged(name, error.to_string()))
}
