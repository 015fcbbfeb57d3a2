//! Row-wise work: many rows at once, written in the order in which they came.
//!
//! Rows are taken in batches. A batch first goes through the store on a thread of its own: whatever is answered there needs
//! no task and no waiting. Rows that lack an answer are then asked, so many at a time as their engine can use. Rows that an
//! earlier result of the stage has are taken over from there before that.

use std::collections::VecDeque;
use std::future::ready;
use std::sync::Arc;

use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::future::Either;
use futures_util::stream::{FuturesOrdered, FuturesUnordered};
use tokio::task::JoinHandle;

use super::caller::Looked;
use super::callers::Callers;
use super::earlier::{Cost, Earlier, Given, Share, State, Taken};
use super::feed::{Cut, TableReader, TableWriter};
use super::{Event, Output, Run, StageFailure, Unit};
use crate::data::Judging;
use crate::ids::StageId;
use crate::key::Key;
use crate::stage::{Asked, Flaw, Resume, Row, RowStage, Step};
use crate::store::{BlobWriter, Store, Tally};

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
    pub(super) caller: Option<Arc<Callers>>,
    pub(super) source: Source,
    pub(super) total: Option<u64>,
    pub(super) table: TableWriter,
    /// An earlier result, where rows may be taken over from one.
    pub(super) earlier: Option<Earlier>,
}

/// A row of which all is known.
struct Finished {
    row: Row,
    /// The calls it rests on.
    calls: Vec<Key>,
    cost: Cost,
}

/// A row some of whose calls are not in the store.
struct Missing {
    at: At,
    /// The calls it has used so far.
    calls: Vec<Key>,
    cost: Cost,
}

/// How far such a row has come.
enum At {
    /// These answers are wanted before it goes on.
    Asks(Vec<Looked>, Box<dyn Resume>),
    /// It begins anew, with this line.
    Line(String),
}

/// What is to become of a finished row.
pub(super) enum Word {
    /// It is written.
    Write,
    /// It begins anew with this line, in its place.
    Again(String),
}

enum Prepared {
    Taken(Taken),
    Finished(Finished),
    Missing(Missing),
}

/// What can be written.
enum Ready {
    Taken(Taken),
    Finished(Finished),
}

/// Takes every line through the stage and writes what comes out as a table.
///
/// `each` sees every row before it is written, in the order of the table, for the stage's summary, and may have the last word
/// on its lines, or have it made once more. It is not told of rows that are taken over.
pub(super) async fn drive(
    run: &Run<'_>,
    id: &StageId,
    work: Work,
    mut each: impl FnMut(&mut Row) -> Result<Word, StageFailure>,
) -> Result<Output, Cut> {
    let Work { stage, caller, mut source, total, table, mut earlier } = work;
    if let Some(total) = total {
        (run.events)(Event::Total { stage: id, unit: Unit::Rows, total });
    }
    let width = caller.as_ref().map_or(1, |caller| caller.width());
    let mut out = Out::new(run, id, table, caller.as_deref(), matches!(source, Source::Table(_)))?;
    let mut window: VecDeque<Option<Ready>> = VecDeque::new();
    let mut unasked: VecDeque<(u64, Missing)> = VecDeque::new();
    let mut asking = FuturesUnordered::new();
    let mut preparing: FuturesOrdered<Either<JoinHandle<Batch>, _>> = FuturesOrdered::new();
    // Of the window's first entry, the number; and how many rows are in work or wait.
    let (mut first, mut held, mut ended) = (0, 0, false);
    loop {
        while let Some(ready) = window.front_mut().and_then(Option::take) {
            held -= match ready {
                Ready::Taken(taken) => out.take(&taken)?,
                Ready::Finished(mut finished) => match each(&mut finished.row)? {
                    Word::Write => out.write(finished)?,
                    Word::Again(line) => {
                        let Finished { row: _, calls, cost } = finished;
                        // Those behind it wait for it, so it is next.
                        unasked.push_front((first, Missing { at: At::Line(line), calls, cost }));
                        break;
                    }
                },
            };
            window.pop_front();
            first += 1;
        }
        out.share()?;
        while asking.len() < width
            && let Some((number, missing)) = unasked.pop_front()
        {
            let caller = caller.as_deref().expect("a stage that asks has a model");
            let stage = stage.as_ref();
            asking.push(async move { (number, ask(stage, caller, missing).await) });
        }
        if ended && window.is_empty() && preparing.is_empty() {
            break;
        }
        let room = held < WINDOW && preparing.len() < BATCHES;
        tokio::select! {
            biased;
            Some((number, finished)) = asking.next(), if !asking.is_empty() => {
                let number: u64 = number;
                let place = usize::try_from(number - first).expect("the window is small");
                window[place] = Some(Ready::Finished(finished.map_err(Cut::Failure)?));
            }
            Some(batch) = preparing.next(), if !preparing.is_empty() => {
                let (batch, tally) = joined(batch).map_err(Cut::Failure)?;
                if let Some(caller) = &caller {
                    caller.add(&tally);
                }
                for prepared in batch {
                    let number = first + window.len() as u64;
                    window.push_back(match prepared {
                        Prepared::Taken(taken) => Some(Ready::Taken(taken)),
                        Prepared::Finished(finished) => Some(Ready::Finished(finished)),
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
                    held += lines.len();
                    let given = match &mut earlier {
                        Some(earlier) => earlier.sort(lines),
                        None => lines.into_iter().map(Given::Row).collect(),
                    };
                    let (stage, caller, store) = (Arc::clone(&stage), caller.clone(), Arc::clone(run.store));
                    preparing.push_back(if given.iter().all(|given| matches!(given, Given::Taken(_))) {
                        Either::Right(ready(Ok(all_taken(given))))
                    } else {
                        Either::Left(tokio::task::spawn_blocking(move || {
                            prepare(stage.as_ref(), caller.as_deref(), &store, given)
                        }))
                    });
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

/// Rows of which none needs work. A batch of them is not worth a thread.
fn all_taken(given: Vec<Given>) -> Batch {
    let mut tally = Tally::default();
    let take = |given| match given {
        Given::Taken(taken) => {
            tally.add_cached(&taken.tally);
            Some(Prepared::Taken(taken))
        }
        Given::Row(_) => None,
    };
    let taken = given.into_iter().filter_map(take).collect();
    Ok((taken, tally))
}

/// Takes a batch of rows as far as the store's replies carry them.
fn prepare(stage: &dyn RowStage, caller: Option<&Callers>, store: &Store, given: Vec<Given>) -> Batch {
    let calls = store.calls()?;
    let mut tally = Tally::default();
    let mut prepare = |given: Given| {
        let line = match given {
            Given::Row(line) => line,
            Given::Taken(taken) => {
                tally.add_cached(&taken.tally);
                return Ok(Prepared::Taken(taken));
            }
        };
        let mut step = stage.start(&line).map_err(|error| StageFailure::new(error.to_string(), None))?;
        let (mut used, mut cost) = (Vec::new(), Cost::default());
        loop {
            let (questions, rest) = match step {
                Step::Done(row) => return Ok(Prepared::Finished(Finished { row, calls: used, cost })),
                Step::Ask(questions, rest) => (questions, rest),
            };
            let caller = caller.expect("a stage that asks has a model");
            let looked = caller.look_up(questions, &calls, &mut tally)?;
            used.extend(looked.iter().map(|looked| looked.key));
            if looked.iter().any(|looked| looked.answer.is_none()) {
                return Ok(Prepared::Missing(Missing { at: At::Asks(looked, rest), calls: used, cost }));
            }
            let answers: Vec<Asked> = looked.into_iter().filter_map(Looked::into_answer).collect();
            cost.add(&answers);
            step = rest.resume(answers);
        }
    };
    let prepared: Result<Vec<Prepared>, StageFailure> = given.into_iter().map(&mut prepare).collect();
    Ok((prepared?, tally))
}

/// Asks what is missing until the row is finished.
async fn ask(stage: &dyn RowStage, caller: &Callers, missing: Missing) -> Result<Finished, StageFailure> {
    let Missing { at, mut calls, mut cost } = missing;
    let mut step = match at {
        At::Asks(looked, rest) => {
            let answers = caller.ask_all(looked).await?;
            cost.add(&answers);
            rest.resume(answers)
        }
        At::Line(line) => stage.start(&line).map_err(|error| StageFailure::new(error.to_string(), None))?,
    };
    loop {
        match step {
            Step::Done(row) => return Ok(Finished { row, calls, cost }),
            Step::Ask(questions, rest) => {
                let looked = caller.look_up_now(questions)?;
                calls.extend(looked.iter().map(|looked| looked.key));
                let answers = caller.ask_all(looked).await?;
                cost.add(&answers);
                step = rest.resume(answers);
            }
        }
    }
}

/// Where finished rows go.
struct Out<'a> {
    id: &'a StageId,
    run: &'a Run<'a>,
    caller: Option<&'a Callers>,
    table: TableWriter,
    /// The keys of all calls the table rests on.
    calls: Option<BlobWriter>,
    /// What each row came to, for a later result to take rows over.
    shares: Option<BlobWriter>,
    /// Rows that were taken.
    rows: u64,
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
        caller: Option<&'a Callers>,
        with_shares: bool,
    ) -> Result<Self, StageFailure> {
        let calls = caller.map(|_| run.store.writer()).transpose()?;
        let shares = with_shares.then(|| run.store.writer()).transpose()?;
        Ok(Self {
            id,
            run,
            caller,
            table,
            calls,
            shares,
            rows: 0,
            failed: 0,
            ungraded: 0,
            judging: Judging::default(),
            untold: 0,
            told: Instant::now(),
        })
    }

    /// Writes rows that are taken over, and says how many they are.
    fn take(&mut self, taken: &Taken) -> Result<usize, StageFailure> {
        let Taken { shares, text, calls, tally: _ } = taken;
        self.table.text(text, shares.iter().map(|share| share.lines).sum())?;
        if let Some(writer) = &mut self.calls {
            writer.bytes(calls)?;
        }
        self.ungraded += shares.iter().filter(|share| share.state == State::Ungraded).count() as u64;
        self.account(shares)?;
        Ok(shares.len())
    }

    /// Notes what rows came to.
    fn account(&mut self, shares: &[Share]) -> Result<(), StageFailure> {
        if let Some(writer) = &mut self.shares {
            let mut list = Vec::new();
            shares.iter().for_each(|share| share.write(&mut list));
            writer.bytes(&list)?;
        }
        self.rows += shares.len() as u64;
        self.untold += shares.len() as u64;
        Ok(())
    }

    fn write(&mut self, finished: Finished) -> Result<usize, StageFailure> {
        let Finished { row, calls, cost } = finished;
        let Row { lines, flaw, judging, embedded: _, drawn: _ } = row;
        self.judging.merge(&judging);
        let state = match flaw {
            Some(Flaw::Failed(why)) => {
                self.failed += 1;
                if self.failed <= FAILURES_TOLD {
                    (self.run.events)(Event::Note { stage: self.id, text: &why });
                }
                State::Failed
            }
            Some(Flaw::Ungraded) => {
                self.ungraded += 1;
                State::Ungraded
            }
            None => State::Whole,
        };
        for line in &lines {
            self.table.line(line)?;
        }
        if let Some(writer) = &mut self.calls {
            for key in &calls {
                writer.bytes(key.as_bytes())?;
            }
        }
        self.account(&[Share {
            bytes: lines.iter().map(|line| line.len() as u64 + 1).sum(),
            lines: lines.len() as u64,
            calls: calls.len() as u64,
            state: if cost.unanswered > 0 { State::Failed } else { state },
            cost,
        }])?;
        Ok(1)
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
        let (tally, _) = self.caller.map(Callers::account).unwrap_or_default();
        (self.run.events)(Event::Advanced { stage: self.id, by: std::mem::take(&mut self.untold), tally });
        self.told = Instant::now();
    }

    fn finish(mut self, run: &Run<'_>) -> Result<Output, Cut> {
        self.tell();
        let (tally, unsettled) = self.caller.map(Callers::account).unwrap_or_default();
        let finish = |table: TableWriter, calls: Option<BlobWriter>, shares: Option<BlobWriter>| {
            let calls = calls.map(|calls| run.store.finish(calls)).transpose()?;
            let shares = shares.map(|shares| run.store.finish(shares)).transpose()?;
            self.caller.map_or(Ok(()), Callers::note_speed)?;
            let (blob, rows) = table.finish(run.store)?;
            Ok::<_, StageFailure>((blob, rows, calls, shares))
        };
        let (blob, rows, calls, shares) = finish(self.table, self.calls, self.shares).map_err(Cut::Failure)?;
        let weighed = Some(&self.judging).filter(|judging| !judging.is_empty());
        let summary = weighed.map(|judging| serde_json::to_value(judging).expect("a summary is always valid JSON"));
        Ok(Output {
            blob,
            also: Vec::new(),
            read: Vec::new(),
            calls,
            shares: shares.map(|shares| (shares, self.rows)),
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
