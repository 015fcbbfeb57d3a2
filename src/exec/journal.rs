//! What happened in a run, as it is written down: events that can be told again later, without the numbers in between.

use serde::{Deserialize, Serialize};

use super::{Event, StageEnd};
use crate::ids::StageId;
use crate::plan::Reason;
use crate::store::Tally;

/// One line of a run's journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Milliseconds since the run started.
    pub at_ms: u64,
    /// Which stage it is about.
    pub stage: StageId,
    /// What happened to it.
    #[serde(flatten)]
    pub what: Happened,
}

/// What happened to a stage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "event")]
pub enum Happened {
    /// Its result was in the store.
    Cached {
        /// Rows of its table.
        rows: Option<u64>,
    },
    /// It started.
    Started {
        /// Its kind.
        kind: String,
        /// What made it run.
        cause: Cause,
        /// The same in words.
        reason: String,
    },
    /// Something worth a line.
    Note {
        /// What.
        text: String,
    },
    /// It ran to its end.
    Ran {
        /// Rows of its table.
        rows: Option<u64>,
        /// What it took.
        tally: Tally,
        /// Whether its result was kept.
        complete: bool,
    },
    /// It came to what was in the store already.
    Confirmed,
    /// It could not go on.
    Failed {
        /// Why.
        message: String,
    },
    /// It reads a stage that failed.
    Skipped {
        /// Which.
        because: StageId,
    },
}

/// What made a stage run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// It never ran.
    New,
    /// It ran before, but something is not as it was.
    Changed,
    /// It reads a stage that runs.
    Waits,
}

impl Cause {
    /// The kind of a reason.
    #[must_use]
    pub fn of(reason: &Reason) -> Self {
        match reason {
            Reason::New | Reason::Fetches => Self::New,
            Reason::Changed(_)
            | Reason::Incomplete
            | Reason::Forced
            | Reason::Lost
            | Reason::GoesOn
            | Reason::BackupDue => Self::Changed,
            Reason::Waits(_) => Self::Waits,
        }
    }
}

impl Entry {
    /// The entry for an event, if it is one to write down.
    #[must_use]
    pub fn of(event: &Event<'_>, at_ms: u64) -> Option<Self> {
        let (stage, what) = match event {
            Event::Cached { stage, receipt } => (*stage, Happened::Cached { rows: receipt.rows }),
            Event::Started { stage, kind, reason } => {
                let (cause, reason) = (Cause::of(reason), reason.to_string());
                (*stage, Happened::Started { kind: (*kind).to_owned(), cause, reason })
            }
            Event::Note { stage, text } => (*stage, Happened::Note { text: (*text).to_owned() }),
            Event::Finished { run } => (&run.id, Happened::ended(&run.end)?),
            Event::Total { .. } | Event::Advanced { .. } => return None,
        };
        Some(Self { at_ms, stage: stage.clone(), what })
    }
}

impl Happened {
    fn ended(end: &StageEnd) -> Option<Self> {
        Some(match end {
            StageEnd::Ran { receipt, complete } => {
                Self::Ran { rows: receipt.rows, tally: receipt.tally, complete: *complete }
            }
            StageEnd::Cached(_) => Self::Confirmed,
            StageEnd::Failed(failure) => Self::Failed { message: failure.message.clone() },
            StageEnd::Skipped { because } => Self::Skipped { because: because.clone() },
            StageEnd::Interrupted | StageEnd::NotSelected => return None,
        })
    }
}
