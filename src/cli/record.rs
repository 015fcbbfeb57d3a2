//! The record of a run: kept when it starts, so that a killed one is not forgotten, and completed when it ends.

use super::account::Account;
use super::ended::Outcome;
use super::git;
use super::settings::Settings;
use crate::exec::{RunEnd, StageEnd};
use crate::plan::pipeline_name;
use crate::spec::Pipeline;
use crate::store::{Journal, RunEnded, RunRate, RunRecord, RunStage, Store, StoreError};

pub(super) struct Recorder {
    record: RunRecord,
    git: git::Pending,
}

impl Recorder {
    /// Notes that a run starts, and opens its journal.
    pub(super) fn start(
        settings: &Settings,
        pipeline: &Pipeline,
        store: &Store,
        options: Vec<String>,
    ) -> Result<(Self, Option<Journal>), StoreError> {
        let mut record = RunRecord::started(pipeline_name(pipeline), settings.now, options);
        record.id = store.put_run(&record)?;
        let journal = store.journal(record.id)?;
        Ok((Self { record, git: git::start(&pipeline.root) }, Some(journal)))
    }

    /// Completes the record.
    pub(super) fn end(
        self,
        store: &Store,
        ended: &RunEnd,
        account: &Account,
        outcome: &Outcome,
    ) -> Result<(), StoreError> {
        let rate = outcome.decision.as_ref().map(|decision| {
            let rate = decision.deciding();
            RunRate { point: rate.point, lo: rate.lo, hi: rate.hi, confidence: rate.confidence, n: rate.n }
        });
        let git = self.git.finish();
        let stages = ended.stages.iter().map(|stage| RunStage {
            id: stage.id.clone(),
            status: stage.end.name().to_owned(),
            key: stage.receipt().map(|receipt| receipt.key),
            output: stage.receipt().map(|receipt| receipt.output),
        });
        store.end_run(&RunRecord {
            wall_ms: account.wall_ms,
            ended: how(ended),
            exit: outcome.exit.code(),
            outcome: outcome
                .decision
                .as_ref()
                .map(|decision| decision.outcome.as_str())
                .or_else(|| outcome.comparison.as_ref().map(|comparison| comparison.verdict.as_str()))
                .map(str::to_owned),
            rate,
            calls_made: account.calls - account.calls_cached,
            calls_cached: account.calls_cached,
            saved_ms: account.saved_ms,
            cost: account.cost,
            cost_saved: account.cost_saved,
            commit: git.commit,
            dirty: git.dirty,
            stages: stages.collect(),
            ..self.record
        })
    }
}

fn how(ended: &RunEnd) -> RunEnded {
    let any = |is: fn(&StageEnd) -> bool| ended.stages.iter().any(|stage| is(&stage.end));
    if ended.interrupted {
        RunEnded::Interrupted
    } else if any(|end| matches!(end, StageEnd::Failed(_))) {
        RunEnded::Failed
    } else if any(|end| matches!(end, StageEnd::Ran { complete: false, .. })) {
        RunEnded::Incomplete
    } else {
        RunEnded::Finished
    }
}
