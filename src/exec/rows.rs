//! Row-wise work: many rows at once, written in the order in which they came.

use std::io;
use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream;

use super::caller::Caller;
use super::{Event, Output, Run, StageFailure, Unit};
use crate::ids::StageId;
use crate::stage::{Flaw, Row, RowStage, Step};
use crate::store::{Store, Tally};

/// So many failed rows are told one by one; the rest are counted.
const FAILURES_TOLD: u64 = 3;

/// Where the lines of a row-wise stage come from.
pub(super) struct Source {
    pub(super) lines: Box<dyn Iterator<Item = io::Result<String>> + Send>,
    pub(super) total: u64,
}

/// Takes every line through the stage and writes what comes out as a table.
///
/// `each` sees every row that is written, for the stage's summary.
pub(super) async fn drive(
    run: &Run<'_>,
    id: &StageId,
    stage: &dyn RowStage,
    caller: Option<&Caller>,
    source: Source,
    mut each: impl FnMut(&str) -> Result<(), StageFailure>,
) -> Result<Output, StageFailure> {
    let store: &Arc<Store> = run.store;
    let mut writer = store.writer()?;
    let mut written = 0;
    let (mut rows_failed, mut rows_ungraded) = (0, 0);
    (run.events)(Event::Total { stage: id, unit: Unit::Rows, total: source.total });
    let width = caller.map_or(1, Caller::width);
    let mut rows = stream::iter(source.lines).map(|line| row(stage, caller, line)).buffered(width);
    while let Some(done) = rows.next().await {
        let Row { lines, flaw } = done?;
        match flaw {
            Some(Flaw::Failed(why)) => {
                rows_failed += 1;
                if rows_failed <= FAILURES_TOLD {
                    (run.events)(Event::Note { stage: id, text: &why });
                }
            }
            Some(Flaw::Ungraded) => rows_ungraded += 1,
            None => {}
        }
        for line in &lines {
            writer.line(line)?;
            each(line)?;
            written += 1;
        }
        let tally = caller.map(|caller| caller.account().tally).unwrap_or_default();
        (run.events)(Event::Advanced { stage: id, by: 1, tally });
    }
    let blob = store.finish(writer)?;
    let account = caller.map(Caller::account).unwrap_or_default();
    Ok(Output {
        blob,
        also: Vec::new(),
        rows: Some(written),
        summary: None,
        tally: Tally { rows_failed, rows_ungraded, ..account.tally },
        complete: account.unsettled == 0,
    })
}

async fn row(stage: &dyn RowStage, caller: Option<&Caller>, line: io::Result<String>) -> Result<Row, StageFailure> {
    let line = line.map_err(|error| StageFailure::new(format!("a table cannot be read: {error}"), None))?;
    let mut step = stage.start(&line).map_err(|error| StageFailure::new(error.to_string(), None))?;
    loop {
        match step {
            Step::Done(row) => return Ok(row),
            Step::Ask(requests, resume) => {
                let caller = caller.expect("a stage that asks has a model");
                step = resume.resume(caller.ask_all(&requests).await?);
            }
        }
    }
}
