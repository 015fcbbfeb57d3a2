//! Row-wise work: many rows at once, written in the order in which they came.
//!
//! Rows are taken in batches. A batch first goes through the store on a thread of its own: whatever is answered there needs
//! no task and no waiting. Rows that lack an answer are then asked, so many at a time as their engine can use.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::stream::{FuturesOrdered, FuturesUnordered};
use tokio::task::JoinHandle;

use super::caller::{Account, Caller, Looked};
use super::feed::{Cut, TableReader, TableWriter};
use super::{Event, Output, Run, StageFailure, Unit};
use crate::data::Judging;
use crate::ids::StageId;
use crate::key::Key;
use crate::stage::{self, Flaw, Resume, Row, RowStage, Step};
use crate::store::{Store, Tally};

/// So many failed rows are told one by one; the rest are counted.
const FAILURES_TOLD: u64 = 3;
/// Rows that go through the store together.
const BATCH: usize = 256;
/// Batches that go through the store at once.
const BATCHES: usize = 2;
/// Rows that may be in work or wait for an earlier one: bounds memory, whatever the size of the table.
const WINDOW: usize = 2048;
/// Least time between two words on progress.
const PROGRESS: Duration = Duration::from_millis(100);

/// Where the lines of a row-wise stage come from.
pub(super) enum Source {
    /// A table that is there or is being written.
    Table(TableReader),
    /// Lines that are made on the way.
    Made(Box<dyn Iterator<Item = Result<String, StageFailure>> + Send>),
}

impl Source {
    async fn next(&mut self) -> Result<Vec<String>, Cut> {
        match self {
            Self::Table(table) => table.next(BATCH).await,
            Self::Made(lines) => lines.by_ref().take(BATCH).collect::<Result<_, _>>().map_err(Cut::Failure),
        }
    }
}

/// What is to be done with which rows.
pub(super) struct Work {
    pub(super) stage: Arc<dyn RowStage>,
    pub(super) caller: Option<Arc<Caller>>,
    pub(super) source: Source,
    pub(super) total: Option<u64>,
    pub(super) table: TableWriter,
}

/// A row of which all is known.
struct Finished {
    row: Row,
    /// The calls it rests on.
    calls: Vec<Key>,
}

/// A row some of whose calls are not in the store.
struct Missing {
    looked: Vec<Looked>,
    rest: Box<dyn Resume>,
    /// The calls it has used so far.
    calls: Vec<Key>,
}

enum Prepared {
    Finished(Finished),
    Missing(Missing),
}

/// Takes every line through the stage and writes what comes out as a table.
///
/// `each` sees every line that is written, for the stage's summary.
pub(super) async fn drive(
    run: &Run<'_>,
    id: &StageId,
    work: Work,
    mut each: impl FnMut(&str) -> Result<(), StageFailure>,
) -> Result<Output, Cut> {
    let Work { stage, caller, mut source, total, table } = work;
    if let Some(total) = total {
        (run.events)(Event::Total { stage: id, unit: Unit::Rows, total });
    }
    let width = caller.as_ref().map_or(1, |caller| caller.width());
    let mut out = Out::new(run, id, table, caller.as_deref())?;
    let mut window: VecDeque<Option<Finished>> = VecDeque::new();
    let mut unasked: VecDeque<(u64, Missing)> = VecDeque::new();
    let mut asking = FuturesUnordered::new();
    let mut preparing: FuturesOrdered<JoinHandle<_>> = FuturesOrdered::new();
    let (mut first, mut in_preparation, mut ended) = (0, 0, false);
    loop {
        while let Some(Some(_)) = window.front() {
            let finished = window.pop_front().flatten().expect("it was there a moment ago");
            out.write(finished, &mut each)?;
            first += 1;
        }
        out.share()?;
        while asking.len() < width
            && let Some((number, missing)) = unasked.pop_front()
        {
            let caller = caller.as_deref().expect("a stage that asks has a model");
            asking.push(async move { (number, ask(caller, missing).await) });
        }
        if ended && window.is_empty() && preparing.is_empty() {
            break;
        }
        let room = window.len() + in_preparation < WINDOW && preparing.len() < BATCHES;
        tokio::select! {
            biased;
            Some((number, finished)) = asking.next(), if !asking.is_empty() => {
                let number: u64 = number;
                let place = usize::try_from(number - first).expect("the window is small");
                window[place] = Some(finished.map_err(Cut::Failure)?);
            }
            Some(batch) = preparing.next(), if !preparing.is_empty() => {
                let (batch, tally): (Vec<Prepared>, Tally) = joined(batch).map_err(Cut::Failure)?;
                if let Some(caller) = &caller {
                    caller.add(&tally);
                }
                in_preparation -= batch.len();
                for prepared in batch {
                    let number = first + window.len() as u64;
                    window.push_back(match prepared {
                        Prepared::Finished(finished) => Some(finished),
                        Prepared::Missing(missing) => {
                            unasked.push_back((number, missing));
                            None
                        }
                    });
                }
            }
            lines = source.next(), if !ended && room => {
                let lines = lines?;
                ended = lines.is_empty();
                if !ended {
                    in_preparation += lines.len();
                    let (stage, caller, store) = (Arc::clone(&stage), caller.clone(), Arc::clone(run.store));
                    preparing.push_back(tokio::task::spawn_blocking(move || {
                        prepare(stage.as_ref(), caller.as_deref(), &store, &lines)
                    }));
                }
            }
        }
    }
    out.finish(run)
}

type Batch = Result<(Vec<Prepared>, Tally), StageFailure>;

fn joined(batch: Result<Batch, tokio::task::JoinError>) -> Batch {
    batch.map_err(|error| StageFailure::new(format!("a row stopped the program's work on it: {error}"), None))?
}

/// Takes a batch of rows as far as the store's replies carry them.
fn prepare(stage: &dyn RowStage, caller: Option<&Caller>, store: &Store, lines: &[String]) -> Batch {
    let calls = store.calls()?;
    let mut tally = Tally::default();
    let mut prepare = |line: &String| {
        let mut step = stage.start(line).map_err(|error| StageFailure::new(error.to_string(), None))?;
        let mut used = Vec::new();
        loop {
            let (requests, rest) = match step {
                Step::Done(row) => return Ok(Prepared::Finished(Finished { row, calls: used })),
                Step::Ask(requests, rest) => (requests, rest),
            };
            let caller = caller.expect("a stage that asks has a model");
            let looked = caller.look_up(requests, &calls, &mut tally)?;
            used.extend(looked.iter().map(|looked| looked.key));
            if looked.iter().any(|looked| looked.reply.is_none()) {
                return Ok(Prepared::Missing(Missing { looked, rest, calls: used }));
            }
            step = rest.resume(looked.into_iter().filter_map(Looked::into_answer).collect());
        }
    };
    let prepared: Result<Vec<Prepared>, StageFailure> = lines.iter().map(&mut prepare).collect();
    Ok((prepared?, tally))
}

/// Asks what is missing until the row is finished.
async fn ask(caller: &Caller, missing: Missing) -> Result<Finished, StageFailure> {
    let Missing { mut looked, mut rest, mut calls } = missing;
    loop {
        match rest.resume(caller.ask_all(looked).await?) {
            Step::Done(row) => return Ok(Finished { row, calls }),
            Step::Ask(requests, next) => {
                looked = caller.look_up_now(requests)?;
                calls.extend(looked.iter().map(|looked| looked.key));
                rest = next;
            }
        }
    }
}

/// Where finished rows go.
struct Out<'a> {
    id: &'a StageId,
    run: &'a Run<'a>,
    caller: Option<&'a Caller>,
    table: TableWriter,
    /// The keys of all calls the table rests on.
    calls: Option<crate::store::BlobWriter>,
    failed: u64,
    ungraded: u64,
    judging: Judging,
    /// Rows that progress has not been told of.
    untold: u64,
    told: Instant,
}

impl<'a> Out<'a> {
    fn new(
        run: &'a Run<'a>,
        id: &'a StageId,
        table: TableWriter,
        caller: Option<&'a Caller>,
    ) -> Result<Self, StageFailure> {
        let calls = caller.map(|_| run.store.writer()).transpose()?;
        let judging = Judging::default();
        Ok(Self { id, run, caller, table, calls, failed: 0, ungraded: 0, judging, untold: 0, told: Instant::now() })
    }

    fn write(
        &mut self,
        finished: Finished,
        each: &mut impl FnMut(&str) -> Result<(), StageFailure>,
    ) -> Result<(), StageFailure> {
        let Finished { row: Row { lines, flaw, judging }, calls } = finished;
        self.judging.merge(&judging);
        match flaw {
            Some(Flaw::Failed(why)) => {
                self.failed += 1;
                if self.failed <= FAILURES_TOLD {
                    (self.run.events)(Event::Note { stage: self.id, text: &why });
                }
            }
            Some(Flaw::Ungraded) => self.ungraded += 1,
            None => {}
        }
        for line in &lines {
            self.table.line(line)?;
            each(line)?;
        }
        if let Some(writer) = &mut self.calls {
            for key in &calls {
                writer.bytes(key.as_bytes())?;
            }
        }
        self.untold += 1;
        Ok(())
    }

    /// Lets readers and progress have what was written.
    fn share(&mut self) -> Result<(), StageFailure> {
        self.table.share()?;
        if self.untold > 0 && self.told.elapsed() >= PROGRESS {
            self.tell();
        }
        Ok(())
    }

    fn tell(&mut self) {
        let tally = self.caller.map(|caller| caller.account().tally).unwrap_or_default();
        (self.run.events)(Event::Advanced { stage: self.id, by: std::mem::take(&mut self.untold), tally });
        self.told = Instant::now();
    }

    fn finish(mut self, run: &Run<'_>) -> Result<Output, Cut> {
        self.tell();
        let Account { tally, speed, unsettled } = self.caller.map(Caller::account).unwrap_or_default();
        let finish = |table: TableWriter, calls: Option<crate::store::BlobWriter>| {
            let calls = calls.map(|calls| run.store.finish(calls)).transpose()?;
            if let Some(caller) = self.caller
                && speed.calls > 0
            {
                let manner = stage::manner(&run.pipeline.stages[self.id]);
                run.store.add_speed(&caller.model(), manner, &speed)?;
            }
            let (blob, rows) = table.finish(run.store)?;
            Ok::<_, StageFailure>((blob, rows, calls))
        };
        let (blob, rows, calls) = finish(self.table, self.calls).map_err(Cut::Failure)?;
        let weighed = Some(&self.judging).filter(|judging| !judging.is_empty());
        let summary = weighed.map(|judging| serde_json::to_value(judging).expect("a summary is always valid JSON"));
        Ok(Output {
            blob,
            also: Vec::new(),
            calls,
            rows: Some(rows),
            summary,
            tally: Tally { rows_failed: self.failed, rows_ungraded: self.ungraded, ..tally },
            complete: unsettled == 0,
        })
    }
}

impl From<StageFailure> for Cut {
    fn from(failure: StageFailure) -> Self {
        Self::Failure(failure)
    }
}
