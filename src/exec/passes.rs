//! A run as one pass after the other: a decision that may stop early looks at more scenarios in each, and a backup is looked at once
//! the first model is known to fail. Most pipelines take one pass.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;

use super::caller::Flights;
use super::schedule::{self, Pass};
use super::{Event, Run, RunEnd, StageEnd, StageRun};
use crate::ids::StageId;
use crate::plan::{Course, Force, Graph, Reason, Selection, course};
use crate::store::{Receipt, Tally};

/// Runs a pipeline until every stage that is due has come to an end or `interrupt` does.
///
/// Finished calls and finished stages stay in the store whatever happens.
pub async fn run(run: &Run<'_>, interrupt: impl Future<Output = ()>) -> RunEnd {
    let mut interrupt = pin!(interrupt);
    let flights = Arc::<Flights>::default();
    let mut selection = run.selection.clone();
    let mut before = BTreeMap::new();
    let mut due = find(run);
    loop {
        let end = one(run, &due, &selection, &flights, &before, interrupt.as_mut()).await;
        let next = find(run);
        let is_last = end.interrupted || next.is_same(&due) || !end.stages.iter().all(is_over);
        if is_last {
            let Course { pipeline: _, spared, waits, may_go_on: _ } = next;
            // What waited for others that did not come to their end did nothing.
            let waited = waits.into_iter().map(|id| StageRun { kind: run.kind(&id), id, end: StageEnd::Interrupted });
            let stages = end.stages.into_iter().chain(waited).map(|stage| with_earlier(stage, &before)).collect();
            return RunEnd { stages, spared, interrupted: end.interrupted };
        }
        for stage in end.stages {
            let stage = with_earlier(stage, &before);
            before.insert(stage.id.clone(), stage);
        }
        // What was to be computed again was, in the pass in which it was first due.
        selection.force = Force::Nothing;
        due = next;
    }
}

fn find<'a>(run: &Run<'a>) -> Course<'a> {
    // Weights that were never hashed are read here, which may take its time.
    tokio::task::block_in_place(|| course(run.pipeline, run.store, run.selection))
}

fn is_over(stage: &StageRun) -> bool {
    match &stage.end {
        StageEnd::Cached(_) | StageEnd::Ran { complete: true, .. } | StageEnd::NotSelected => true,
        StageEnd::Ran { complete: false, .. }
        | StageEnd::Failed(_)
        | StageEnd::Skipped { .. }
        | StageEnd::Interrupted => false,
    }
}

/// One pass. Of stages that were told of before and do nothing now, nothing is told again.
async fn one(
    run: &Run<'_>,
    due: &Course<'_>,
    selection: &Selection,
    flights: &Arc<Flights>,
    before: &BTreeMap<StageId, StageRun>,
    interrupt: impl Future<Output = ()>,
) -> RunEnd {
    let pipeline = due.pass();
    let graph = Graph::new(&pipeline);
    // What changed since the last pass is this run's own doing.
    let again = if due.is_of_backup() { Reason::BackupDue } else { Reason::GoesOn };
    let events = |event: Event<'_>| match event {
        Event::Cached { stage, receipt: _ } if before.contains_key(stage) => {}
        Event::Started { stage, kind, reason: _ } if before.contains_key(stage) => {
            (run.events)(Event::Started { stage, kind, reason: &again });
        }
        event @ (Event::Cached { .. }
        | Event::Started { .. }
        | Event::Total { .. }
        | Event::Advanced { .. }
        | Event::Note { .. }
        | Event::Finished { .. }) => (run.events)(event),
    };
    let run = Run { pipeline: &pipeline, graph: &graph, selection, events: &events, ..*run };
    schedule::run(&run, Pass { flights, may_go_on: &due.may_go_on }, interrupt).await
}

/// What a stage came to in all passes.
fn with_earlier(stage: StageRun, before: &BTreeMap<StageId, StageRun>) -> StageRun {
    let Some(StageRun { end: StageEnd::Ran { receipt: earlier, complete: _ }, .. }) = before.get(&stage.id) else {
        return stage;
    };
    let StageRun { id, kind, end } = stage;
    let end = match end {
        StageEnd::Cached(receipt) if receipt.key == earlier.key => {
            StageEnd::Ran { receipt: earlier.clone(), complete: true }
        }
        StageEnd::Cached(receipt) => {
            let now = Tally {
                calls_made: 0,
                calls_cached: receipt.tally.calls_made + receipt.tally.calls_cached,
                ..receipt.tally
            };
            StageEnd::Ran { receipt: Receipt { tally: sum(&earlier.tally, &now), ..receipt }, complete: true }
        }
        StageEnd::Ran { receipt, complete } => {
            let tally = sum(&earlier.tally, &receipt.tally);
            StageEnd::Ran { receipt: Receipt { tally, ..receipt }, complete }
        }
        end @ (StageEnd::Failed(_) | StageEnd::Skipped { .. } | StageEnd::Interrupted | StageEnd::NotSelected) => end,
    };
    StageRun { id, kind, end }
}

/// What two passes took. The calls are those of the later one, which asks all that the earlier one did, and of these the earlier
/// one made some.
fn sum(earlier: &Tally, later: &Tally) -> Tally {
    let calls_made = earlier.calls_made + later.calls_made;
    let engine_made = (earlier.engine_ms - earlier.saved_ms) + (later.engine_ms - later.saved_ms);
    Tally {
        calls_made,
        calls_cached: (later.calls_made + later.calls_cached).saturating_sub(calls_made),
        saved_ms: later.engine_ms.saturating_sub(engine_made),
        wall_ms: earlier.wall_ms + later.wall_ms,
        prompt_tokens_made: (earlier.prompt_tokens_made + later.prompt_tokens_made).min(later.prompt_tokens),
        completion_tokens_made: (earlier.completion_tokens_made + later.completion_tokens_made)
            .min(later.completion_tokens),
        ..*later
    }
}
