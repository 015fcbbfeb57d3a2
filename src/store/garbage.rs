//! Removing what nothing leads to any more.
//!
//! First everything that is to stay is marked, in tables of a temporary database, since a store may hold more keys than
//! memory should. Then the rest goes, receipts before calls before objects, so that a crash at any point leaves no receipt
//! whose blobs are gone. Start at [`Store::garbage`].

use std::path::Path;

use rusqlite::{Connection, params};

use super::walk::Found;
use super::{Counted, Receipt, RunRecord, Store, StoreError, index};
use crate::key::Key;

/// What stays, with everything it leads to.
#[derive(Debug, Clone, Copy)]
pub struct Keep<'a> {
    /// The receipts of these keys.
    pub roots: &'a [Key],
    /// The results of so many runs of each pipeline, the newest.
    pub runs: u64,
    /// Whatever came at this time or later, in seconds since 1970.
    pub since: i64,
}

/// What nothing leads to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Garbage {
    /// Receipts with their recipes.
    pub receipts: Counted,
    /// Calls with their replies.
    pub calls: Counted,
    /// Records of runs.
    pub runs: Counted,
    /// Objects.
    pub objects: Counted,
    /// Damaged objects that were moved aside.
    pub aside: Counted,
    /// Downloads and writes that were never finished.
    pub partial: Counted,
    /// Journals of runs.
    pub journals: Counted,
    /// Remembered digests of files that are gone.
    pub digests: Counted,
    /// Receipts that stay and do not say on which calls they rest: if there is one, all calls stay.
    pub without_calls: u64,
}

impl Garbage {
    /// Everything together.
    #[must_use]
    pub fn total(&self) -> Counted {
        let Self { receipts, calls, runs, objects, aside, partial, journals, digests, without_calls: _ } = *self;
        [receipts, calls, runs, objects, aside, partial, journals, digests].into_iter().fold(
            Counted::default(),
            |sum, part| Counted { count: sum.count + part.count, bytes: sum.bytes + part.bytes },
        )
    }
}

const MARKS: &str = "
    PRAGMA temp_store = FILE;
    PRAGMA synchronous = FULL;
    CREATE TEMP TABLE kept_runs (id INTEGER PRIMARY KEY);
    CREATE TEMP TABLE kept_receipts (key BLOB PRIMARY KEY) WITHOUT ROWID;
    CREATE TEMP TABLE kept_calls (key BLOB PRIMARY KEY) WITHOUT ROWID;
    CREATE TEMP TABLE kept_blobs (id BLOB PRIMARY KEY) WITHOUT ROWID;
    CREATE TEMP TABLE gone (path BLOB PRIMARY KEY) WITHOUT ROWID;
";

impl Store {
    /// Counts what nothing leads to.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn garbage(&self, keep: &Keep<'_>) -> Result<Garbage, StoreError> {
        Sweep::new(self, keep, false)?.sweep()
    }

    /// Removes what nothing leads to, and gives its room back to the system.
    ///
    /// # Panics
    /// The store was not opened with [`Store::open_alone`].
    ///
    /// # Errors
    /// The store cannot be read or written. What was removed by then is garbage; running it again removes the rest.
    pub fn remove_garbage(&self, keep: &Keep<'_>) -> Result<Garbage, StoreError> {
        assert!(self.users.is_alone(), "who removes things is alone");
        let removed = Sweep::new(self, keep, true)?.sweep()?;
        let rows = [removed.receipts, removed.calls, removed.runs, removed.digests];
        if rows.iter().any(|rows| rows.count > 0) {
            let shrunk =
                self.index().execute_batch("VACUUM; PRAGMA wal_checkpoint(TRUNCATE);").map_err(|e| self.failed(&e));
            match shrunk {
                // It takes as much room as the index itself. What was removed is used again in any case.
                Err(StoreError::Full { .. }) => tracing::warn!("no room to shrink the index; it will be filled again"),
                shrunk => shrunk?,
            }
        }
        Ok(removed)
    }
}

/// One pass over the store.
struct Sweep<'a> {
    store: &'a Store,
    keep: &'a Keep<'a>,
    remove: bool,
    marks: Connection,
    garbage: Garbage,
}

impl<'a> Sweep<'a> {
    fn new(store: &'a Store, keep: &'a Keep<'a>, remove: bool) -> Result<Self, StoreError> {
        let marks = index::open(&store.index_path())?;
        marks.execute_batch(MARKS).map_err(|error| store.failed(&error))?;
        Ok(Self { store, keep, remove, marks, garbage: Garbage::default() })
    }

    fn sweep(mut self) -> Result<Garbage, StoreError> {
        // One transaction, since each by itself would be slow; it writes to the temporary tables alone.
        self.execute("BEGIN")?;
        self.mark_receipts()?;
        self.mark_what_receipts_name()?;
        self.execute("COMMIT")?;
        self.garbage.receipts = self.rows(
            "receipts",
            "octet_length(recipe) + octet_length(receipt)",
            "NOT EXISTS (SELECT 1 FROM kept_receipts AS kept WHERE kept.key = receipts.key)",
        )?;
        if self.remove {
            self.execute("DELETE FROM earlier WHERE key NOT IN (SELECT key FROM kept_receipts)")?;
        }
        self.garbage.runs = self.rows("runs", "octet_length(record)", "id NOT IN (SELECT id FROM kept_runs)")?;
        self.sweep_calls()?;
        self.sweep_objects()?;
        self.sweep_files()?;
        self.sweep_digests()?;
        Ok(self.garbage)
    }

    fn failed(&self, error: &rusqlite::Error) -> StoreError {
        self.store.failed(error)
    }

    fn execute(&self, sql: &str) -> Result<(), StoreError> {
        self.marks.execute_batch(sql).map_err(|error| self.failed(&error))
    }

    fn mark_receipts(&self) -> Result<(), StoreError> {
        let Keep { roots, runs, since } = *self.keep;
        let runs = i64::try_from(runs).unwrap_or(i64::MAX);
        let mark = |sql: &str, values: &[&dyn rusqlite::ToSql]| {
            self.marks.execute(sql, values).map_err(|error| self.failed(&error))
        };
        mark(
            "INSERT INTO kept_runs SELECT id FROM (
                 SELECT id, started_at, row_number() OVER (PARTITION BY pipeline ORDER BY id DESC) AS place FROM runs
             ) WHERE place <= ?1 OR started_at >= ?2",
            &[&runs, &since],
        )?;
        mark("INSERT INTO kept_receipts SELECT key FROM receipts WHERE created_at >= ?1", &[&since])?;
        // Runs were not always recorded: of such a pipeline, the latest recipes are what is known of its last one.
        mark(
            "INSERT OR IGNORE INTO kept_receipts SELECT key FROM latest
             WHERE ?1 > 0 AND pipeline NOT IN (SELECT pipeline FROM runs)",
            &[&runs],
        )?;
        let mut insert = self.insert("INSERT OR IGNORE INTO kept_receipts VALUES (?1)")?;
        let mut keep = |key: &Key| insert.execute([key.as_bytes()]).map_err(|error| self.failed(&error));
        for key in roots {
            keep(key)?;
        }
        self.each_text("SELECT record FROM runs JOIN kept_runs USING (id)", |text| {
            let run: RunRecord = self.read(text, "the record of a run")?;
            run.stages.iter().filter_map(|stage| stage.key.as_ref()).try_for_each(|key| keep(key).map(drop))
        })?;
        // What a result that stays was made of is found again as well, and not asked for once more.
        mark(
            "INSERT OR IGNORE INTO kept_receipts SELECT key FROM receipts
             WHERE json_extract(receipt, '$.output') IN (
                 SELECT part.value FROM receipts AS made JOIN kept_receipts USING (key),
                        json_each(made.receipt, '$.read') AS part
             )",
            &[],
        )
        .map(drop)
    }

    fn mark_what_receipts_name(&mut self) -> Result<(), StoreError> {
        let mut without_calls = 0;
        {
            let mut blob = self.insert("INSERT OR IGNORE INTO kept_blobs VALUES (?1)")?;
            let mut call = self.insert("INSERT OR IGNORE INTO kept_calls VALUES (?1)")?;
            let mut keep_call =
                |key: Key| call.execute([key.as_bytes()]).map(drop).map_err(|error| self.failed(&error));
            self.each_text("SELECT receipt FROM receipts JOIN kept_receipts USING (key)", |text| {
                let receipt: Receipt = self.read(text, "a receipt")?;
                let named = std::iter::once(&receipt.output).chain(&receipt.also).chain(&receipt.read);
                for id in named.chain(&receipt.calls) {
                    blob.execute([id.as_bytes()]).map_err(|error| self.failed(&error))?;
                }
                let rests_on_calls = receipt.tally.calls_made + receipt.tally.calls_cached > 0;
                let is_whole = match &receipt.calls {
                    Some(list) => self.store.walk_calls(list, &mut keep_call)?,
                    None => !rests_on_calls,
                };
                without_calls += u64::from(!is_whole);
                Ok(())
            })?;
        }
        self.garbage.without_calls = without_calls;
        self.execute("INSERT OR IGNORE INTO kept_blobs SELECT shares FROM earlier JOIN kept_receipts USING (key)")
    }

    fn sweep_calls(&mut self) -> Result<(), StoreError> {
        if self.garbage.without_calls > 0 {
            return Ok(());
        }
        // A part at a time, by the first byte of their keys: the log of one transaction over all would need as much room
        // again, on a disk that is perhaps full.
        for first in 0..=u8::MAX {
            let condition = format!(
                "key >= x'{first:02x}' AND key < {} AND created_at < {}
                 AND NOT EXISTS (SELECT 1 FROM kept_calls AS kept WHERE kept.key = calls.key)",
                first.checked_add(1).map_or_else(|| format!("x'{}'", "ff".repeat(33)), |next| format!("x'{next:02x}'")),
                self.keep.since
            );
            let removed = self.rows("calls", "octet_length(reply) + 40", &condition)?;
            self.garbage.calls.count += removed.count;
            self.garbage.calls.bytes += removed.bytes;
        }
        Ok(())
    }

    fn sweep_objects(&mut self) -> Result<(), StoreError> {
        let store = self.store;
        let (mut objects, mut partial) = (Counted::default(), Counted::default());
        {
            let mut is_kept =
                self.marks.prepare("SELECT 1 FROM kept_blobs WHERE id = ?1").map_err(|error| self.failed(&error))?;
            let mut note = self.insert("INSERT OR IGNORE INTO gone VALUES (?1)")?;
            store.walk_objects(&mut |id, found| {
                if found.changed_at >= self.keep.since {
                    return Ok(());
                }
                let Some(id) = id else {
                    // What somebody else has put there is not ours to remove.
                    let name = found.path.file_name().unwrap_or_default();
                    if name.as_encoded_bytes().starts_with(b".tmp") {
                        partial.add(found.bytes);
                        self.remove_file(&found)?;
                    }
                    return Ok(());
                };
                if is_kept.exists([id.as_bytes()]).map_err(|error| self.failed(&error))? {
                    return Ok(());
                }
                objects.add(found.bytes);
                note.execute([store.name_of(&found.path)]).map_err(|error| self.failed(&error))?;
                self.remove_file(&found)
            })?;
        }
        self.garbage.objects = objects;
        self.garbage.partial = partial;
        Ok(())
    }

    /// Objects aside, downloads and journals.
    fn sweep_files(&mut self) -> Result<(), StoreError> {
        let store = self.store;
        let is_old = |found: &Found| found.changed_at < self.keep.since;
        let mut aside = Counted::default();
        store.walk("aside", &mut |found| self.sweep_file(&found, is_old(&found), &mut aside))?;
        let mut partial = self.garbage.partial;
        store.walk("partial", &mut |found| self.sweep_file(&found, is_old(&found), &mut partial))?;
        let mut journals = Counted::default();
        store.walk("runs", &mut |found| {
            let is_garbage = is_old(&found) && !self.is_of_kept_run(&found.path)?;
            self.sweep_file(&found, is_garbage, &mut journals)
        })?;
        (self.garbage.aside, self.garbage.partial, self.garbage.journals) = (aside, partial, journals);
        Ok(())
    }

    fn sweep_file(&self, found: &Found, is_garbage: bool, counted: &mut Counted) -> Result<(), StoreError> {
        if is_garbage {
            counted.add(found.bytes);
            self.remove_file(found)?;
        }
        Ok(())
    }

    /// A journal is named by its run's number.
    fn is_of_kept_run(&self, journal: &Path) -> Result<bool, StoreError> {
        let number = journal.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.parse::<i64>().ok());
        let Some(number) = number else { return Ok(false) };
        self.marks
            .prepare_cached("SELECT 1 FROM kept_runs WHERE id = ?1")
            .and_then(|mut query| query.exists([number]))
            .map_err(|error| self.failed(&error))
    }

    /// Forgets the digests of files that are gone, or about to go.
    fn sweep_digests(&mut self) -> Result<(), StoreError> {
        {
            let mut note = self.insert("INSERT OR IGNORE INTO gone VALUES (?1)")?;
            let mut paths = self.marks.prepare("SELECT path FROM files").map_err(|error| self.failed(&error))?;
            let mut rows = paths.query([]).map_err(|error| self.failed(&error))?;
            while let Some(row) = rows.next().map_err(|error| self.failed(&error))? {
                let name: Vec<u8> = row.get(0).map_err(|error| self.failed(&error))?;
                // A file that cannot be looked at may still be there.
                if self.store.path_named(&name).is_some_and(|path| matches!(path.try_exists(), Ok(false))) {
                    note.execute([name]).map_err(|error| self.failed(&error))?;
                }
            }
        }
        self.garbage.digests = self.rows("files", "octet_length(path) + 64", "path IN (SELECT path FROM gone)")?;
        Ok(())
    }

    /// Counts the rows of a table for which `condition` holds, and removes them if this is more than a count.
    fn rows(&self, table: &str, size: &str, condition: &str) -> Result<Counted, StoreError> {
        let sql = format!("SELECT count(*), coalesce(sum({size}), 0) FROM {table} WHERE {condition}");
        let counted: (i64, i64) = self
            .marks
            .query_row(&sql, [], |row| Ok((row.get(0)?, row.get(1)?)))
            .map_err(|error| self.failed(&error))?;
        let counted = Counted { count: counted.0.cast_unsigned(), bytes: counted.1.cast_unsigned() };
        if self.remove && counted.count > 0 {
            self.execute(&format!("DELETE FROM {table} WHERE {condition}"))?;
        }
        Ok(counted)
    }

    fn remove_file(&self, found: &Found) -> Result<(), StoreError> {
        if !self.remove {
            return Ok(());
        }
        match fs_err::remove_file(&found.path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(StoreError::from_io(&found.path, error)),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    fn insert(&self, sql: &str) -> Result<rusqlite::Statement<'_>, StoreError> {
        self.marks.prepare(sql).map_err(|error| self.failed(&error))
    }

    fn each_text(&self, sql: &str, mut each: impl FnMut(&str) -> Result<(), StoreError>) -> Result<(), StoreError> {
        let mut query = self.marks.prepare(sql).map_err(|error| self.failed(&error))?;
        let mut rows = query.query(params![]).map_err(|error| self.failed(&error))?;
        while let Some(row) = rows.next().map_err(|error| self.failed(&error))? {
            let text: String = row.get(0).map_err(|error| self.failed(&error))?;
            each(&text)?;
        }
        Ok(())
    }

    /// What cannot be read may lead anywhere, so nothing is removed.
    fn read<T: serde::de::DeserializeOwned>(&self, text: &str, what: &str) -> Result<T, StoreError> {
        serde_json::from_str(text).map_err(|error| StoreError::Damaged {
            path: self.store.index_path(),
            message: format!("{what} cannot be read: {error}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::ids::StageId;
    use crate::key::Recipe;
    use crate::store::fixture::{call_key, calls_left, put_calls, put_result, recipe, results_left};
    use crate::store::{RunEnded, RunStage, Tally};

    /// Objects are as old as the machine's clock says: a time after all of them.
    const LATER: i64 = 1 << 40;

    struct Shelf {
        directory: tempfile::TempDir,
    }

    impl Shelf {
        fn new() -> Self {
            Self { directory: tempfile::tempdir().unwrap() }
        }

        fn path(&self) -> std::path::PathBuf {
            self.directory.path().join("cache")
        }

        fn open(&self) -> Store {
            Store::open(&self.path()).unwrap()
        }

        fn remove(&self, keep: &Keep<'_>) -> Garbage {
            let dry = self.open().garbage(keep).unwrap();
            assert_eq!(dry, self.open().garbage(keep).unwrap(), "counting removes nothing");
            let removed = Store::open_alone(&self.path()).unwrap().remove_garbage(keep).unwrap();
            assert_eq!(dry, removed, "what was announced is what goes");
            let again = self.open().garbage(keep).unwrap();
            assert_eq!(again.total(), Counted::default(), "nothing is left to remove");
            removed
        }
    }

    fn run(pipeline: &str, started_at: i64, keys: &[Key]) -> RunRecord {
        let stage = |key: &Key| RunStage {
            id: StageId::new("s").unwrap(),
            status: "run".to_owned(),
            key: Some(*key),
            output: None,
        };
        let stages = keys.iter().map(stage).collect();
        RunRecord { ended: RunEnded::Finished, stages, ..RunRecord::started(pipeline, started_at, Vec::new()) }
    }

    #[tokio::test]
    async fn what_locks_and_runs_lead_to_stays() {
        let shelf = Shelf::new();
        let mut keys = Vec::new();
        {
            let store = shelf.open();
            for (n, calls) in [&[0, 1][..], &[1, 2], &[3, 4], &[4, 5]].into_iter().enumerate() {
                keys.push(put_result(&store, u8::try_from(n).unwrap(), calls, 0).await);
            }
            put_calls(&store, &[6]).await;
            for (pipeline, key) in [("p", keys[3]), ("p", keys[2]), ("q", keys[1])] {
                store.put_run(&run(pipeline, 0, &[key])).unwrap();
            }
        }
        let nothing = Keep { roots: &[], runs: 0, since: LATER };
        let one_run = Keep { runs: 1, ..nothing };
        let roots = [keys[0]];
        let removed = shelf.remove(&Keep { roots: &roots, ..one_run });
        assert_eq!((removed.receipts.count, removed.runs.count, removed.calls.count), (1, 1, 2));
        let store = shelf.open();
        assert_eq!(results_left(&store, &keys), [true, true, true, false]);
        assert_eq!(calls_left(&store, 0..9), [0, 1, 2, 3, 4]);
        drop(store);

        shelf.remove(&one_run);
        assert_eq!(results_left(&shelf.open(), &keys), [false, true, true, false]);
        shelf.remove(&nothing);
        let store = shelf.open();
        assert_eq!((results_left(&store, &keys), calls_left(&store, 0..9)), (vec![false; 4], vec![]));
        assert_eq!(store.runs(None, 9).unwrap(), []);
        store.walk("objects", &mut |found| panic!("{} is left", found.path.display())).unwrap();
    }

    #[tokio::test]
    async fn what_is_young_stays() {
        let shelf = Shelf::new();
        let store = shelf.open();
        let (old, young) = (put_result(&store, 1, &[1], 10).await, put_result(&store, 2, &[2], 20).await);
        for started_at in [10, 20] {
            store.put_run(&run("p", started_at, &[])).unwrap();
        }
        for (file, text) in [("partial/a", "ab"), ("aside/b", "abc"), ("runs/1.jsonl", "1"), ("objects/.tmpX", "t")] {
            let path = shelf.path().join(file);
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            fs_err::write(path, text).unwrap();
        }
        drop(store);
        // All files are younger than this; of rows, those from 20 on.
        let removed = shelf.remove(&Keep { roots: &[], runs: 0, since: 20 });
        assert_eq!(
            removed,
            Garbage {
                receipts: removed.receipts,
                runs: removed.runs,
                calls: Counted { count: 1, bytes: 47 },
                ..Garbage::default()
            }
        );
        assert_eq!((removed.receipts.count, removed.runs.count), (1, 1));
        assert_eq!(results_left(&shelf.open(), &[old, young]), [false, true]);

        let removed = shelf.remove(&Keep { roots: &[young], runs: 0, since: LATER });
        let counted = |count, bytes| Counted { count, bytes };
        assert_eq!(removed.partial, counted(2, 3), "a download and a write");
        assert_eq!((removed.aside, removed.journals), (counted(1, 3), counted(1, 1)));
        assert_eq!(removed.objects.count, 3);
        assert_eq!(removed.digests.count, 3);
    }

    #[tokio::test]
    async fn journals_of_kept_runs_and_files_of_others_stay() {
        let shelf = Shelf::new();
        let number = shelf.open().put_run(&run("p", 0, &[])).unwrap();
        let files =
            [format!("runs/{number}.jsonl"), format!("runs/{}.jsonl", number + 1), "objects/mine.txt".to_owned()];
        for file in &files {
            fs_err::create_dir_all(shelf.path().join("runs")).unwrap();
            fs_err::write(shelf.path().join(file), "x").unwrap();
        }
        shelf.remove(&Keep { roots: &[], runs: 1, since: LATER });
        assert_eq!(files.map(|file| shelf.path().join(file).exists()), [true, false, true]);
    }

    #[tokio::test]
    async fn a_result_that_does_not_say_its_calls_keeps_them_all() {
        let shelf = Shelf::new();
        let store = shelf.open();
        let key = put_result(&store, 1, &[1], 0).await;
        let (receipt, recipe) = (store.receipt(&key).unwrap().unwrap(), Recipe::new("infer", 1, json!({ "n": 1 })));
        store.replace_receipt(&recipe, &Receipt { calls: None, ..receipt.clone() }).unwrap();
        put_calls(&store, &[2]).await;
        drop(store);
        let keep = Keep { roots: &[key], runs: 0, since: LATER };
        let removed = shelf.remove(&keep);
        assert_eq!((removed.without_calls, removed.calls.count), (1, 0));
        assert_eq!(calls_left(&shelf.open(), 0..9), [1, 2]);

        // The same where its list is damaged; a result that rests on no calls needs no list.
        let store = shelf.open();
        let list = store.put(b"no list").unwrap();
        store.replace_receipt(&recipe, &Receipt { calls: Some(list), ..receipt.clone() }).unwrap();
        drop(store);
        assert_eq!(shelf.remove(&keep).without_calls, 1);
        shelf.open().replace_receipt(&recipe, &Receipt { calls: None, tally: Tally::default(), ..receipt }).unwrap();
        assert_eq!(shelf.remove(&keep).calls.count, 2);
    }

    #[tokio::test]
    async fn what_a_result_was_made_of_stays_with_its_receipt() {
        let shelf = Shelf::new();
        let store = shelf.open();
        let mut keys = Vec::new();
        for n in 1..4 {
            keys.push(put_result(&store, n, &[], 0).await);
        }
        let [answer, made] = [0, 2].map(|at: usize| store.receipt(&keys[at]).unwrap().unwrap());
        store.replace_receipt(&recipe(3), &Receipt { read: vec![answer.output], ..made }).unwrap();
        drop(store);
        shelf.remove(&Keep { roots: &keys[2..], runs: 0, since: LATER });
        assert_eq!(results_left(&shelf.open(), &keys), [true, false, true]);
    }

    #[tokio::test]
    async fn where_no_run_was_recorded_the_latest_results_stay() {
        let shelf = Shelf::new();
        let store = shelf.open();
        let key = put_result(&store, 1, &[1], 0).await;
        store.set_latest_to_receipt("p", &StageId::new("s").unwrap(), &key).unwrap();
        drop(store);
        shelf.remove(&Keep { roots: &[], runs: 1, since: LATER });
        assert_eq!(results_left(&shelf.open(), &[key]), [true]);
        shelf.remove(&Keep { roots: &[], runs: 0, since: LATER });
        assert_eq!(results_left(&shelf.open(), &[key]), [false]);
    }

    #[test]
    fn what_cannot_be_read_stops_everything() {
        let shelf = Shelf::new();
        let store = shelf.open();
        let key = call_key(1);
        store.index().execute("INSERT INTO receipts VALUES (?1, '{}', '{\"newer\": 1}', 0)", [key.as_bytes()]).unwrap();
        let error = store.garbage(&Keep { roots: &[key], runs: 0, since: LATER }).unwrap_err();
        assert!(error.to_string().contains("a receipt cannot be read"), "{error}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]

        #[test]
        fn exactly_what_is_reachable_stays(
            results in proptest::collection::vec((proptest::collection::vec(0..12_u8, 0..4), proptest::bool::ANY), 1..6),
            loose in proptest::collection::vec(0..12_u8, 0..4),
        ) {
            let shelf = Shelf::new();
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let keys: Vec<Key> = runtime.block_on(async {
                let store = shelf.open();
                put_calls(&store, &loose).await;
                let mut keys = Vec::new();
                for (n, (calls, _)) in results.iter().enumerate() {
                    keys.push(put_result(&store, u8::try_from(n).unwrap(), calls, 0).await);
                }
                keys
            });
            let roots: Vec<Key> = keys.iter().zip(&results).filter(|(_, (_, kept))| *kept).map(|(key, _)| *key).collect();
            shelf.remove(&Keep { roots: &roots, runs: 0, since: LATER });
            let mut expected: Vec<u8> = results.iter().filter(|(_, kept)| *kept).flat_map(|(calls, _)| calls.clone()).collect();
            expected.sort_unstable();
            expected.dedup();
            let store = shelf.open();
            prop_assert_eq!(calls_left(&store, 0..12), expected);
            let kept: Vec<bool> = results.iter().map(|(_, kept)| *kept).collect();
            prop_assert_eq!(results_left(&store, &keys), kept);
        }
    }
}
