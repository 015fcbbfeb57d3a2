//! The record of past runs.

use std::io::Write;
use std::path::PathBuf;

use rusqlite::params;
use serde::{Deserialize, Serialize};

use super::{Store, StoreError};
use crate::ids::StageId;
use crate::key::{BlobId, Key};

/// What one run of a pipeline came to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunRecord {
    /// Number of the run in its store; 0 before it is kept.
    #[serde(skip)]
    pub id: u64,
    /// The pipeline file, relative to the project's root.
    pub pipeline: String,
    /// When it started, in seconds since 1970.
    pub started_at: i64,
    /// How long it took, in milliseconds.
    pub wall_ms: u64,
    /// Git's commit when it started; none outside of a repository.
    pub commit: Option<String>,
    /// Whether tracked files differed from that commit.
    pub dirty: Option<bool>,
    /// Options that make it another run than the pipeline says: `--limit 5`.
    pub options: Vec<String>,
    /// How it ended.
    pub ended: RunEnded,
    /// The exit code.
    pub exit: u8,
    /// The decision's outcome, if it came to one.
    pub outcome: Option<String>,
    /// The pass rate, if it came to one.
    pub rate: Option<RunRate>,
    /// Calls put to engines.
    pub calls_made: u64,
    /// Calls answered from the store, those of cached stages among them.
    pub calls_cached: u64,
    /// What the calls that were made cost, where all their models have a price, in US dollars.
    pub cost: Option<f64>,
    /// What the calls from the store cost when they were made, likewise.
    pub cost_saved: Option<f64>,
    /// Time that results from the store took when they were made, in milliseconds.
    pub saved_ms: u64,
    /// Its stages in the order of the graph.
    pub stages: Vec<RunStage>,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunEnded {
    /// It started, and was killed before its end could be noted; or it is still running.
    Started,
    /// Every stage came to its end.
    Finished,
    /// Some calls failed: the next run asks them.
    Incomplete,
    /// A stage failed.
    Failed,
    /// It was interrupted.
    Interrupted,
}

/// A pass rate with its interval, as in the decision.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct RunRate {
    /// Share of scenarios that passed; none without a valid one.
    pub point: Option<f64>,
    /// Lower end.
    pub lo: f64,
    /// Upper end.
    pub hi: f64,
    /// Level of the interval.
    pub confidence: f64,
    /// Scenarios that count.
    pub n: u64,
}

/// One stage of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunStage {
    /// Which.
    pub id: StageId,
    /// `cached`, `run`, `incomplete`, `failed`, `skipped`, `interrupted`.
    pub status: String,
    /// Its key, if it came so far.
    pub key: Option<Key>,
    /// What came out of it.
    pub output: Option<BlobId>,
}

/// Takes the lines of a run's journal.
#[derive(Debug)]
pub struct Journal {
    file: fs_err::File,
}

impl Journal {
    /// Writes one line. A journal is for people to look back: one that cannot be written stops nothing.
    pub fn line(&mut self, line: &str) {
        if let Err(error) = writeln!(self.file, "{line}") {
            tracing::warn!(%error, "the journal cannot be written");
        }
    }
}

impl RunRecord {
    /// The record of a run that starts: nothing has come of it yet.
    #[must_use]
    pub fn started(pipeline: impl Into<String>, started_at: i64, options: Vec<String>) -> Self {
        Self {
            id: 0,
            pipeline: pipeline.into(),
            started_at,
            wall_ms: 0,
            commit: None,
            dirty: None,
            options,
            ended: RunEnded::Started,
            exit: 0,
            outcome: None,
            rate: None,
            calls_made: 0,
            calls_cached: 0,
            cost: None,
            cost_saved: None,
            saved_ms: 0,
            stages: Vec::new(),
        }
    }
}

impl Store {
    /// Keeps the record of a run and gives its number.
    ///
    /// # Errors
    /// The index cannot be written.
    pub fn put_run(&self, run: &RunRecord) -> Result<u64, StoreError> {
        let text = serde_json::to_string(run).expect("a run is always valid JSON");
        let index = self.index();
        index
            .execute(
                "INSERT INTO runs (pipeline, started_at, record) VALUES (?1, ?2, ?3)",
                params![run.pipeline, run.started_at, text],
            )
            .map_err(|error| self.failed(&error))?;
        Ok(index.last_insert_rowid().cast_unsigned())
    }

    /// Writes down how a run that was kept when it started has ended.
    ///
    /// # Errors
    /// The index cannot be written.
    pub fn end_run(&self, run: &RunRecord) -> Result<(), StoreError> {
        let text = serde_json::to_string(run).expect("a run is always valid JSON");
        self.index()
            .execute("UPDATE runs SET record = ?2 WHERE id = ?1", params![run.id.cast_signed(), text])
            .map_err(|error| self.failed(&error))?;
        Ok(())
    }

    /// Where the journal of a run lies, JSON Lines; made when the run starts.
    #[must_use]
    pub fn journal_path(&self, id: u64) -> PathBuf {
        self.directory().join("runs").join(format!("{id}.jsonl"))
    }

    /// Starts the journal of a run.
    ///
    /// # Errors
    /// The directory cannot be written.
    pub fn journal(&self, id: u64) -> Result<Journal, StoreError> {
        let path = self.journal_path(id);
        let failed = |error| StoreError::from_io(&path, error);
        fs_err::create_dir_all(self.directory().join("runs")).map_err(failed)?;
        Ok(Journal { file: fs_err::File::create(&path).map_err(failed)? })
    }

    /// The last `limit` runs of a pipeline, or of all, newest first.
    ///
    /// # Errors
    /// The index cannot be read, or holds a run that this version cannot read.
    pub fn runs(&self, pipeline: Option<&str>, limit: u64) -> Result<Vec<RunRecord>, StoreError> {
        let index = self.index();
        let found: Vec<(i64, String)> = index
            .prepare_cached("SELECT id, record FROM runs WHERE ?1 IS NULL OR pipeline = ?1 ORDER BY id DESC LIMIT ?2")
            .and_then(|mut query| {
                let limit = i64::try_from(limit).unwrap_or(i64::MAX);
                query.query_map(params![pipeline, limit], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
            })
            .map_err(|error| self.failed(&error))?;
        drop(index);
        let read = |(id, text): (i64, String)| match serde_json::from_str::<RunRecord>(&text) {
            Ok(run) => Ok(RunRecord { id: id.cast_unsigned(), ..run }),
            Err(error) => Err(StoreError::Damaged {
                path: self.index_path(),
                message: format!("the record of run {id} cannot be read: {error}"),
            }),
        };
        found.into_iter().map(read).collect()
    }
}
