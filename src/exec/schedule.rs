//! Which stage starts when: as soon as what it reads is settled or, where rows can be taken as they come, is being
//! written.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Instant;

use futures_util::StreamExt;
use futures_util::future::LocalBoxFuture;
use futures_util::stream::FuturesUnordered;

use super::caller::Flights;
use super::catalogs::{Fetching, fetch_catalogs};
use super::feed::{Cut, TableReader, TableWriter};
use super::stages::{self, Executed, Task};
use super::{Event, Output, Run, RunEnd, StageEnd, StageFailure, StageRun};
use crate::ids::StageId;
use crate::key::{BlobId, Recipe};
use crate::plan::{self, Pending, Reason, Resolved, Settled, Slot, pipeline_name, resolve};
use crate::spec::{Research, Stage};
use crate::stage;
use crate::store::{Receipt, StoreError, Tally};

/// What passes of one run share.
pub(super) struct Pass<'a> {
    /// The calls that were made again in this run.
    pub(super) flights: &'a Arc<Flights>,
    /// Stages whose models may be asked more in the next pass.
    pub(super) may_go_on: &'a [StageId],
}

/// Runs a pipeline until every stage has come to an end or `interrupt` does.
pub(super) async fn run(run: &Run<'_>, pass: Pass<'_>, interrupt: impl Future<Output = ()>) -> RunEnd {
    let mut schedule = Schedule::new(run, &pass);
    let mut running = FuturesUnordered::new();
    let mut interrupt = pin!(interrupt);
    let mut interrupted = false;
    loop {
        while let Some(id) = schedule.next() {
            if let Some(work) = schedule.start(&id) {
                running.push(work);
            }
            while let Some(work) = schedule.streaming.pop_front() {
                running.push(work);
            }
        }
        if running.is_empty() {
            break;
        }
        tokio::select! {
            Some(ended) = running.next() => {
                schedule.ended(ended);
                while let Some(work) = schedule.streaming.pop_front() {
                    running.push(work);
                }
            }
            () = &mut interrupt => {
                interrupted = true;
                break;
            }
        }
    }
    drop(running);
    schedule.into_end(interrupted)
}

/// A stage at work.
type Working<'a> = LocalBoxFuture<'a, Ended>;

/// A stage whose work has ended.
struct Ended {
    id: StageId,
    /// What it was started for; none where its table was not settled then.
    keyed: Option<Keyed>,
    executed: Result<Executed, Cut>,
    wall_ms: u64,
}

/// The key under which a stage's result is kept.
struct Keyed {
    recipe: Recipe,
    /// Whether it is made by force: nothing is taken over, and the result takes the place of one that is there.
    replace: bool,
}

struct Schedule<'a> {
    run: &'a Run<'a>,
    settled: Settled<'a>,
    flights: Arc<Flights>,
    ends: BTreeMap<StageId, StageEnd>,
    /// How many of a stage's inputs have not ended.
    open: BTreeMap<StageId, usize>,
    ready: VecDeque<StageId>,
    /// Readers of the tables that are being written, for stages that may follow them.
    tables: BTreeMap<StageId, Vec<(StageId, TableReader, Option<u64>)>>,
    streaming: VecDeque<Working<'a>>,
    started: BTreeSet<StageId>,
    /// Stages whose catalogs were fetched in this run.
    fetched: BTreeSet<StageId>,
    /// Streamed results whose upstream's end has not been heard of yet.
    early: BTreeMap<StageId, Vec<Ended>>,
    /// Stages that what is selected needs.
    needed: BTreeSet<StageId>,
    stopping: bool,
    /// The stage on the embedded engine that is at work.
    embedded_at_work: Option<StageId>,
    /// Stages on it that could start.
    held: Vec<StageId>,
    /// Stages whose models stay in memory where they can, since they may be asked more after this pass.
    may_go_on: &'a [StageId],
}

impl<'a> Schedule<'a> {
    fn new(run: &'a Run<'a>, pass: &Pass<'a>) -> Self {
        let mut open = BTreeMap::new();
        let mut ready = VecDeque::new();
        for id in run.graph.order() {
            let reads: BTreeSet<&StageId> = stage::reads(&run.pipeline.stages[id]).into_iter().collect();
            if reads.is_empty() {
                ready.push_back(id.clone());
            }
            open.insert(id.clone(), reads.len());
        }
        let mut needed = BTreeSet::new();
        for id in run.graph.order().iter().rev() {
            if run.selection.includes(run.graph, id) || run.graph.readers(id).any(|reader| needed.contains(reader)) {
                needed.insert(id.clone());
            }
        }
        Self {
            run,
            settled: Settled::new(run.pipeline, run.store),
            flights: Arc::clone(pass.flights),
            ends: BTreeMap::new(),
            open,
            ready,
            tables: BTreeMap::new(),
            streaming: VecDeque::new(),
            started: BTreeSet::new(),
            fetched: BTreeSet::new(),
            early: BTreeMap::new(),
            needed,
            stopping: false,
            embedded_at_work: None,
            held: Vec::new(),
            may_go_on: pass.may_go_on,
        }
    }

    fn stage(&self, id: &StageId) -> &'a Stage {
        &self.run.pipeline.stages[id]
    }

    /// The next stage to start. Those on the embedded engine come when all others have started, so that the choice is among
    /// as many as there can be.
    fn next(&mut self) -> Option<StageId> {
        while let Some(id) = self.ready.pop_front() {
            if !self.is_embedded(&id) {
                return Some(id);
            }
            self.held.push(id);
        }
        // Two at once would only take processors and memory from each other.
        if self.embedded_at_work.is_some() {
            return None;
        }
        let (ids, pending): (Vec<&StageId>, Vec<Pending<Slot<'_>>>) = self.pending().into_iter().unzip();
        let loaded: Vec<Slot<'_>> =
            pending.iter().map(|stage| stage.model).filter(|slot| self.run.engines.is_loaded(*slot)).collect();
        let chosen = ids[plan::next(&pending, &loaded)?].clone();
        self.held.retain(|held| *held != chosen);
        Some(chosen)
    }

    /// The stages on the embedded engine that have not ended.
    fn pending(&self) -> Vec<(&'a StageId, Pending<Slot<'a>>)> {
        let run = self.run;
        let left: Vec<(&StageId, Slot<'_>)> = run
            .graph
            .order()
            .iter()
            .filter(|id| self.needed.contains(*id) && !self.ends.contains_key(*id) || self.held.contains(id))
            .flat_map(|id| Slot::of(&run.pipeline.stages[id]).map(move |slot| (id, slot)))
            .collect();
        let pending = |(id, model): &(&'a StageId, Slot<'a>)| {
            let is_before = |at: &usize| left[*at].0 != *id && run.graph.is_after(id, left[*at].0);
            let waits_for = (0..left.len()).filter(is_before).collect();
            (*id, Pending { model: *model, is_ready: self.held.contains(id), waits_for })
        };
        left.iter().map(pending).collect()
    }

    /// Settles a stage that needs no work, or gives its work. All that it reads has ended.
    fn start(&mut self, id: &StageId) -> Option<Working<'a>> {
        if self.started.contains(id) {
            return None;
        }
        if !self.needed.contains(id) {
            self.end(id.clone(), StageEnd::NotSelected);
            return None;
        }
        let broken = stage::reads(self.stage(id)).into_iter().find(|read| !self.settled.is_settled(read));
        if let Some(because) = broken {
            self.end(id.clone(), StageEnd::Skipped { because: because.clone() });
            return None;
        }
        if self.stopping {
            self.end(id.clone(), StageEnd::Interrupted);
            return None;
        }
        // Weights that were never hashed are read here, which may take its time.
        let resolved = tokio::task::block_in_place(|| self.resolve(id));
        if let (Ok(resolved), Some(research)) = (&resolved, self.may_fetch(id))
            && (self.run.refresh || matches!(resolved, Resolved::Unfetched))
        {
            return Some(self.fetch(id, research));
        }
        let (keyed, reason) = match resolved {
            Ok(Resolved::Hit(receipt)) if !self.run.selection.forces(self.run.graph, id) && !self.asks_again(id) => {
                self.end(id.clone(), StageEnd::Cached(*receipt));
                return None;
            }
            Ok(Resolved::Hit(_)) => {
                // Resolving gives no recipe for a hit: it is made once more.
                let recipe = stage::recipe(self.run.pipeline, self.stage(id), &self.settled);
                match recipe.map_err(|error| StageFailure::from_input(id, error)) {
                    Ok(recipe) => (Keyed { recipe, replace: true }, Reason::Forced),
                    Err(failure) => {
                        self.end(id.clone(), StageEnd::Failed(failure));
                        return None;
                    }
                }
            }
            Ok(Resolved::Miss(recipe, reason)) => {
                let replace = self.run.selection.forces(self.run.graph, id);
                (Keyed { recipe, replace }, reason)
            }
            Ok(Resolved::Unfetched) => {
                self.end(id.clone(), StageEnd::Failed(not_to_be_computed(id, &Reason::Fetches)));
                return None;
            }
            Err(failure) => {
                self.end(id.clone(), StageEnd::Failed(failure));
                return None;
            }
        };
        if !self.run.selection.includes(self.run.graph, id) {
            self.end(id.clone(), StageEnd::Failed(not_to_be_computed(id, &reason)));
            return None;
        }
        let task = stages::prepare(self.run, &self.flights, id, &keyed.recipe, keyed.replace, &self.settled);
        self.work(id, Some(keyed), &reason, task)
    }

    /// Finds out whether a stage's result is there, and notes the recipe it has now, for next time to tell what changed.
    fn resolve(&self, id: &StageId) -> Result<Resolved, StageFailure> {
        let resolved = resolve(self.run.pipeline, id, self.stage(id), &self.settled, self.run.store)?;
        self.remember(id, &resolved)?;
        Ok(resolved)
    }

    fn remember(&self, id: &StageId, resolved: &Resolved) -> Result<(), StoreError> {
        let name = pipeline_name(self.run.pipeline);
        let store = self.run.store;
        match resolved {
            Resolved::Miss(recipe, Reason::Lost) => {
                store.drop_receipt(&recipe.key())?;
                store.set_latest(&name, id, recipe)
            }
            Resolved::Miss(recipe, _) => store.set_latest(&name, id, recipe),
            Resolved::Hit(receipt) => store.set_latest_to_receipt(&name, id, &receipt.key),
            Resolved::Unfetched => Ok(()),
        }
    }

    /// The stage, if it searches servers for catalogs and these may be asked now.
    fn may_fetch(&self, id: &StageId) -> Option<&'a Research> {
        let Stage::Research(research) = self.stage(id) else { return None };
        let is_asked_for = self.run.selection.includes(self.run.graph, id) && !self.fetched.contains(id);
        (is_asked_for && research.searches().next().is_some()).then_some(&**research)
    }

    /// Fetches the catalogs of a stage, which starts after that: its key is not known before.
    fn fetch(&mut self, id: &StageId, research: &'a Research) -> Working<'a> {
        let run = self.run;
        self.fetched.insert(id.clone());
        let id = id.clone();
        Box::pin(async move {
            let note = |text: &str| (run.events)(Event::Note { stage: &id, text });
            let fetching =
                Fetching { store: run.store, engines: run.engines, now: run.now, again: run.refresh, note: &note };
            let fetched = fetch_catalogs(&fetching, research).await;
            Ended { id, keyed: None, executed: fetched.map(|()| Executed::Fetched).map_err(Cut::Failure), wall_ms: 0 }
        })
    }

    /// Whether the run is there to ask this stage's model again.
    fn asks_again(&self, id: &StageId) -> bool {
        self.run.refresh && stage::asks(self.stage(id)) && self.run.selection.includes(self.run.graph, id)
    }

    fn work(
        &mut self,
        id: &StageId,
        keyed: Option<Keyed>,
        reason: &Reason,
        task: Result<Task, StageFailure>,
    ) -> Option<Working<'a>> {
        let run = self.run;
        self.started.insert(id.clone());
        (run.events)(Event::Started { stage: id, kind: run.kind(id), reason });
        let task = match task {
            Ok(task) => task,
            Err(failure) => {
                self.end(id.clone(), StageEnd::Failed(failure));
                return None;
            }
        };
        if self.is_embedded(id) {
            self.embedded_at_work = Some(id.clone());
        }
        if let Some((table, rows)) = task.streams() {
            self.follow(id, table, rows.map(|rows| rows * stage::lines_each(self.stage(id))));
        }
        let id = id.clone();
        Some(Box::pin(async move {
            let started = Instant::now();
            let executed = stages::execute(run, &id, task).await;
            let wall_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
            Ended { id, keyed, executed, wall_ms }
        }))
    }

    /// Lets the stages that can take rows as they come follow a table that `id` is about to write.
    fn follow(&mut self, id: &StageId, table: &TableWriter, rows: Option<u64>) {
        let readers: Vec<StageId> = self.run.graph.readers(id).cloned().collect();
        let mut waiting = Vec::new();
        for reader in readers {
            let takes_rows = stage::table(self.stage(&reader)) == Some(id);
            let selected = self.run.selection.includes(self.run.graph, &reader) && !self.stopping;
            if takes_rows && selected && self.overlaps(id, &reader) {
                // Where the file cannot be opened a second time, the reader waits for the whole table.
                if let Ok(lines) = table.reader() {
                    waiting.push((reader, lines, rows));
                }
            }
        }
        self.tables.insert(id.clone(), waiting);
        self.stream(id);
    }

    fn is_embedded(&self, id: &StageId) -> bool {
        stage::models(self.stage(id)).any(|model| model.embedded().is_some())
    }

    /// Whether working on both at once gains anything: two models inside of this process share its processors.
    fn overlaps(&self, writer: &StageId, reader: &StageId) -> bool {
        let computes_here = self.is_embedded(writer) || self.embedded_at_work.is_some();
        let asks = !stage::seats(self.stage(reader)).is_empty();
        asks && !(computes_here && self.is_embedded(reader))
    }

    /// Starts the stages all of whose inputs are settled but for the table that `id` is writing.
    fn stream(&mut self, id: &StageId) {
        let Some(waiting) = self.tables.remove(id) else { return };
        let mut still = Vec::new();
        for (reader, lines, rows) in waiting {
            let others = stage::reads(self.stage(&reader));
            if !others.into_iter().all(|read| read == id || self.settled.is_settled(read)) {
                still.push((reader, lines, rows));
                continue;
            }
            let task = stages::prepare_rows(self.run, &self.flights, &reader, lines, rows, &self.settled);
            let reason = Reason::Waits(id.clone());
            if let Some(work) = self.work(&reader, None, &reason, task) {
                self.streaming.push_back(work);
            }
        }
        self.tables.insert(id.clone(), still);
    }

    /// Takes note of a stage whose work has ended.
    fn ended(&mut self, ended: Ended) {
        let waits = stage::table(self.stage(&ended.id)).filter(|_| ended.keyed.is_none());
        match waits {
            Some(upstream) if !self.ends.contains_key(upstream) => {
                self.early.entry(upstream.clone()).or_default().push(ended);
            }
            _ => self.conclude(ended),
        }
    }

    fn conclude(&mut self, ended: Ended) {
        let Ended { id, keyed, executed, wall_ms } = ended;
        let lost = stage::table(self.stage(&id)).filter(|table| !self.settled.is_settled(table));
        let end = match executed {
            // The whole table was read, and then its stage could not keep it.
            Ok(_) if let Some(because) = lost => StageEnd::Skipped { because: because.clone() },
            Ok(Executed::Fetched) => {
                self.ready.push_back(id);
                return;
            }
            Ok(Executed::Found(receipt)) => StageEnd::Cached(receipt),
            Ok(Executed::Made(output)) => match self.keep(&id, keyed, output, wall_ms) {
                Ok(end) => end,
                Err(failure) => StageEnd::Failed(failure),
            },
            Err(Cut::Failure(failure)) => StageEnd::Failed(failure),
            Err(Cut::Writer) => {
                let because = stage::table(self.stage(&id)).expect("what was cut off read a table").clone();
                StageEnd::Skipped { because }
            }
        };
        self.end(id, end);
    }

    /// Writes the receipt, last of all: every blob of it is in the store by now.
    fn keep(&self, id: &StageId, keyed: Option<Keyed>, output: Output, wall_ms: u64) -> Result<StageEnd, StageFailure> {
        let Output { blob, also, read, calls, shares, rows, summary, tally, complete } = output;
        let Keyed { recipe, replace } = match keyed {
            Some(keyed) => keyed,
            // What it read is settled only now, and may be what it read before.
            None => {
                let replace = self.run.selection.forces(self.run.graph, id) || self.asks_again(id);
                if let Resolved::Hit(receipt) = self.resolve(id)?
                    && receipt.output == blob
                    && tally.calls_made == 0
                    && !replace
                {
                    return Ok(StageEnd::Cached(*receipt));
                }
                let recipe = stage::recipe(self.run.pipeline, self.stage(id), &self.settled);
                let recipe = recipe.map_err(|error| StageFailure::from_input(id, error))?;
                Keyed { recipe, replace }
            }
        };
        let receipt = Receipt {
            key: recipe.key(),
            kind: self.run.kind(id).to_owned(),
            output: blob,
            also,
            read,
            calls,
            rows,
            summary,
            tally: Tally { wall_ms, ..tally },
            created_at: self.run.now,
        };
        if !complete {
            return Ok(StageEnd::Ran { receipt, complete });
        }
        if replace {
            self.run.store.replace_receipt(&recipe, &receipt)?;
            self.note_earlier(id, &receipt, shares)?;
            return Ok(StageEnd::Ran { receipt, complete });
        }
        let kept = self.run.store.put_receipt(&recipe, &receipt)?;
        if (kept.output, kept.calls) == (receipt.output, receipt.calls) {
            self.note_earlier(id, &kept, shares)?;
        }
        // Where another process was faster its result counts; what this one did still belongs to this run's account.
        Ok(StageEnd::Ran { receipt: Receipt { tally: receipt.tally, ..kept }, complete })
    }

    /// Notes a result that a later run may take rows over from.
    fn note_earlier(&self, id: &StageId, receipt: &Receipt, shares: Option<(BlobId, u64)>) -> Result<(), StoreError> {
        let Some((shares, taken)) = shares else { return Ok(()) };
        self.run.store.note_earlier(&pipeline_name(self.run.pipeline), id, receipt, &shares, taken)
    }

    fn end(&mut self, id: StageId, end: StageEnd) {
        let stage = StageRun { kind: self.run.kind(&id), id, end };
        match &stage.end {
            StageEnd::Cached(receipt) if !self.started.contains(&stage.id) => {
                (self.run.events)(Event::Cached { stage: &stage.id, receipt });
            }
            StageEnd::NotSelected => {}
            StageEnd::Cached(_)
            | StageEnd::Ran { .. }
            | StageEnd::Failed(_)
            | StageEnd::Skipped { .. }
            | StageEnd::Interrupted => (self.run.events)(Event::Finished { run: &stage }),
        }
        tracing::info!(stage = %stage.id, kind = stage.kind, end = stage.end.name(), "stage ended");
        if let Some(receipt) = stage.receipt() {
            self.settled.settle(stage.id.clone(), receipt);
        }
        self.stopping |= matches!(stage.end, StageEnd::Failed(_)) && !self.run.keep_going;
        let StageRun { id, kind: _, end } = stage;
        self.ends.insert(id.clone(), end);
        self.tables.remove(&id);
        if self.embedded_at_work.as_ref() == Some(&id) {
            self.embedded_at_work = None;
        }
        if self.is_embedded(&id) {
            let later = self.may_go_on.iter().flat_map(|id| Slot::of(self.stage(id)));
            let needed: Vec<Slot<'_>> = self.pending().into_iter().map(|(_, stage)| stage.model).chain(later).collect();
            self.run.engines.keep(&needed);
        }
        let readers: Vec<StageId> = self.run.graph.readers(&id).cloned().collect();
        for reader in readers {
            let open = self.open.get_mut(&reader).expect("every stage is counted");
            *open -= 1;
            if *open == 0 {
                self.ready.push_back(reader);
            } else if let Some(writer) = stage::table(self.stage(&reader)).cloned()
                && self.tables.contains_key(&writer)
            {
                self.stream(&writer);
            }
        }
        for early in self.early.remove(&id).unwrap_or_default() {
            self.conclude(early);
        }
    }

    fn into_end(self, interrupted: bool) -> RunEnd {
        let mut ends = self.ends;
        let stages = self.run.graph.order().iter().map(|id| {
            let end = ends.remove(id).unwrap_or(StageEnd::Interrupted);
            StageRun { id: id.clone(), kind: self.run.kind(id), end }
        });
        RunEnd { stages: stages.collect(), spared: Vec::new(), interrupted }
    }
}

fn not_to_be_computed(id: &StageId, reason: &Reason) -> StageFailure {
    StageFailure::new(
        format!("its result is not in the store ({reason}), and the options leave it out"),
        Some(format!("add `--only {id}`, or run without `--only` and `--from`")),
    )
}
