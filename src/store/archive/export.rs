//! Writing an archive.

use std::io::{self, BufReader, BufWriter, Read, Seek, Write};

use rusqlite::{Connection, OptionalExtension};
use tempfile::NamedTempFile;

use super::blobs;
use super::{
    ArchiveError, CALLS, CallLine, Exported, FORMAT, LOCK, MANIFEST, Manifest, OBJECTS, RECEIPTS, ReceiptLine,
};
use crate::key::{BlobId, Key};
use crate::store::{Receipt, Store, StoreError, index};

impl Store {
    /// Writes the results of `keys` and everything they rest on. `lock` is the text that names them, `program` the version
    /// that writes. Files that belong to results besides (weights) are written if `also` says so.
    ///
    /// # Errors
    /// A result is not in the store, something is missing or damaged, or a disk fails.
    pub fn export_archive(
        &self,
        keys: &[Key],
        lock: &[u8],
        also: bool,
        program: &str,
        out: impl Write,
    ) -> Result<Exported, ArchiveError> {
        let mut exported = Exported::default();
        let receipts = self.receipt_lines(keys)?;
        exported.receipts = receipts.len() as u64;
        let names = self.names_of(&receipts, also, &mut exported)?;
        let calls = self.call_lines(&names, &mut exported)?;

        let written = |source| ArchiveError::Io { source };
        let mut compressed = zstd::Encoder::new(BufWriter::with_capacity(1 << 16, out), 0).map_err(written)?;
        compressed.include_checksum(true).map_err(written)?;
        let mut tar = tar::Builder::new(compressed);
        let Exported { receipts: receipt_count, calls: call_count, objects, without_calls: _ } = exported;
        let manifest = Manifest {
            format: FORMAT,
            evalflow: program.to_owned(),
            receipts: receipt_count,
            calls: call_count,
            objects,
        };
        let manifest = serde_json::to_vec(&manifest).expect("a manifest is always valid JSON");
        append(&mut tar, MANIFEST, manifest.len() as u64, manifest.as_slice())?;
        append(&mut tar, LOCK, lock.len() as u64, lock)?;
        let receipts: String = receipts.iter().map(to_line).collect();
        append(&mut tar, RECEIPTS, receipts.len() as u64, receipts.as_bytes())?;
        let length = calls.as_file().metadata().map_err(written)?.len();
        append(&mut tar, CALLS, length, BufReader::with_capacity(1 << 16, calls.as_file()))?;
        self.append_objects(&mut tar, &names)?;
        let compressed = tar.into_inner().map_err(written)?;
        compressed.finish().and_then(|mut file| file.flush()).map_err(written)?;
        Ok(exported)
    }

    fn receipt_lines(&self, keys: &[Key]) -> Result<Vec<ReceiptLine>, ArchiveError> {
        let mut keys = keys.to_vec();
        keys.sort_unstable();
        keys.dedup();
        let line = |key: &Key| {
            let receipt = self.receipt(key)?.ok_or(ArchiveError::NoReceipt { key: *key })?;
            let recipe = self
                .index()
                .query_row("SELECT recipe FROM receipts WHERE key = ?1", [key.as_bytes()], |row| row.get(0))
                .map_err(|error| self.failed(&error))?;
            Ok(ReceiptLine { recipe, receipt })
        };
        keys.iter().map(line).collect()
    }

    /// Which blobs and calls the receipts name, in a temporary database: there may be more than memory should hold.
    fn names_of(
        &self,
        receipts: &[ReceiptLine],
        also: bool,
        exported: &mut Exported,
    ) -> Result<Connection, ArchiveError> {
        let failed = |error: rusqlite::Error| self.failed(&error);
        let names = index::open(&self.index_path())?;
        names
            .execute_batch(
                "PRAGMA temp_store = FILE;
                 CREATE TEMP TABLE named_blobs (id BLOB PRIMARY KEY) WITHOUT ROWID;
                 CREATE TEMP TABLE named_calls (key BLOB PRIMARY KEY) WITHOUT ROWID;
                 BEGIN;",
            )
            .map_err(failed)?;
        {
            let mut blob = names.prepare("INSERT OR IGNORE INTO named_blobs VALUES (?1)").map_err(failed)?;
            let mut call = names.prepare("INSERT OR IGNORE INTO named_calls VALUES (?1)").map_err(failed)?;
            let mut is_there = names.prepare("SELECT 1 FROM calls WHERE key = ?1").map_err(failed)?;
            for ReceiptLine { recipe: _, receipt } in receipts {
                for id in blobs(receipt, also) {
                    // Damage is found before anything is written.
                    self.verified(id)?;
                    exported.objects += blob.execute([id.as_bytes()]).map_err(failed)? as u64;
                }
                let mut is_whole = receipt.calls.is_some() || rests_on_no_calls(receipt);
                if let Some(list) = &receipt.calls {
                    is_whole &= self.walk_calls(list, &mut |key| {
                        if is_there.exists([key.as_bytes()]).map_err(failed)? {
                            exported.calls += call.execute([key.as_bytes()]).map_err(failed)? as u64;
                        } else {
                            is_whole = false;
                        }
                        Ok(())
                    })?;
                }
                exported.without_calls += u64::from(!is_whole);
            }
        }
        names.execute_batch("COMMIT;").map_err(failed)?;
        Ok(names)
    }

    /// The calls, in a file: their size must be known before they are written.
    fn call_lines(&self, names: &Connection, exported: &mut Exported) -> Result<NamedTempFile, ArchiveError> {
        let failed = |error: rusqlite::Error| self.failed(&error);
        let directory = self.directory().join("partial");
        let full = |error| StoreError::from_io(&directory, error);
        let mut file = BufWriter::new(NamedTempFile::new_in(&directory).map_err(full)?);
        let mut query = names
            .prepare("SELECT key, created_at, reply FROM named_calls JOIN calls USING (key) ORDER BY key")
            .map_err(failed)?;
        let mut rows = query.query([]).map_err(failed)?;
        exported.calls = 0;
        while let Some(row) = rows.next().map_err(failed)? {
            let line = CallLine {
                key: Key::from_bytes(row.get(0).map_err(failed)?),
                created_at: row.get(1).map_err(failed)?,
                reply: row.get(2).map_err(failed)?,
            };
            file.write_all(to_line(&line).as_bytes()).map_err(full)?;
            exported.calls += 1;
        }
        let mut file = file.into_inner().map_err(|error| full(error.into_error()))?;
        file.rewind().map_err(full)?;
        Ok(file)
    }

    fn append_objects<W: Write>(&self, tar: &mut tar::Builder<W>, names: &Connection) -> Result<(), ArchiveError> {
        let failed = |error: rusqlite::Error| self.failed(&error);
        let mut after: Option<[u8; 32]> = None;
        // One at a time, so that no transaction is open while gigabytes are written.
        loop {
            let next: Option<[u8; 32]> = names
                .prepare_cached("SELECT id FROM named_blobs WHERE ?1 IS NULL OR id > ?1 ORDER BY id LIMIT 1")
                .and_then(|mut query| query.query_row([after], |row| row.get(0)).optional())
                .map_err(failed)?;
            let Some(id) = next else { return Ok(()) };
            let id = BlobId::from_bytes(id);
            let path = self.verified(&id)?;
            let file = fs_err::File::open(&path).map_err(|error| StoreError::from_io(&path, error))?;
            let length = file.metadata().map_err(|error| StoreError::from_io(&path, error))?.len();
            append(tar, &format!("{OBJECTS}{id}"), length, file)?;
            after = next;
        }
    }
}

fn rests_on_no_calls(receipt: &Receipt) -> bool {
    receipt.tally.calls_made + receipt.tally.calls_cached == 0
}

fn to_line(line: &impl serde::Serialize) -> String {
    let mut text = serde_json::to_string(line).expect("lines are plain data with text keys");
    text.push('\n');
    text
}

/// Appends a file that says nothing of when and by whom it was written.
fn append<W: Write>(tar: &mut tar::Builder<W>, name: &str, length: u64, bytes: impl Read) -> Result<(), ArchiveError> {
    let mut header = tar::Header::new_ustar();
    let appended = (|| {
        header.set_path(name)?;
        header.set_size(length);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_entry_type(tar::EntryType::Regular);
        header.set_cksum();
        let mut counted = Counted { bytes: bytes.take(length), read: 0 };
        tar.append(&header, &mut counted)?;
        // A file that shrank while it was read would make an archive that nobody can read.
        if counted.read == length {
            Ok(())
        } else {
            Err(io::Error::other(format!("`{name}` changed while it was read")))
        }
    })();
    appended.map_err(|source| ArchiveError::Io { source })
}

struct Counted<R> {
    bytes: R,
    read: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.bytes.read(buffer)?;
        self.read += read as u64;
        Ok(read)
    }
}
