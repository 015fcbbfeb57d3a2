//! Suites that are to be kept in a file: written once, when they were made, and never over anything.

use std::path::Path;

use super::output::{failure, say};
use super::write::create;
use crate::exec::{RunEnd, StageEnd};
use crate::spec::{Freeze, Pipeline, Stage};
use crate::stats::text::count;
use crate::store::{Store, StoreError};

/// Writes each suite that was made and is to be frozen. One whose file is there is what its stage read.
pub(super) fn write_suites(pipeline: &Pipeline, store: &Store, ended: &RunEnd) -> Result<(), StoreError> {
    for run in &ended.stages {
        let Stage::Generate(generate) = &pipeline.stages[&run.id] else { continue };
        let Some(Freeze { path, expand: None }) = &generate.freeze else { continue };
        let receipt = match &run.end {
            StageEnd::Cached(receipt) | StageEnd::Ran { receipt, complete: true } => receipt,
            // A suite with holes that another run may fill is none to keep.
            StageEnd::Ran { .. } | StageEnd::Failed(_) | StageEnd::Skipped { .. } => continue,
            StageEnd::Interrupted | StageEnd::NotSelected => continue,
        };
        let table = store.read(&receipt.output)?;
        told(path, create(&pipeline.root.join(path), &table), receipt.rows.unwrap_or(0));
    }
    Ok(())
}

fn told(path: &Path, written: std::io::Result<bool>, rows: u64) {
    let shown = path.display();
    match written {
        Ok(true) => say(&format!(
            "wrote {} to `{shown}`: review and commit it; from the next run on it is what `generate` takes",
            count(rows, "scenario")
        )),
        Ok(false) => {}
        Err(error) => failure(&format!("`{shown}` cannot be written: {error}"), Some("check who may write there")),
    }
}
