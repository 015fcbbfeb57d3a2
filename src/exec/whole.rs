//! The stages that work on whole tables, as a run and a verification compute them alike.

use std::io;

use super::StageFailure;
use crate::data::{Calibration, Comparison, Decision, Judged};
use crate::ids::StageId;
use crate::key::BlobId;
use crate::spec::{Arms, Calibrate, Compare, Decide, Pipeline, Rubric};
use crate::stage::compare::{Pairing, Side};
use crate::stage::{self, calibrate, compare, decide};
use crate::store::Store;

/// What is known of the judge of a decision's verdicts.
pub(super) struct Calibrated {
    record: Calibration,
    /// Whether it was found out on other replies than those that are decided on.
    transported: bool,
}

/// Reads what a decision's calibration came to.
pub(super) fn calibrated(
    pipeline: &Pipeline,
    decide: &Decide,
    store: &Store,
    output: &BlobId,
) -> Result<Calibrated, StageFailure> {
    let record = serde_json::from_slice(&store.read(output)?)
        .map_err(|error| StageFailure::new(format!("the calibration cannot be read: {error}"), None))?;
    Ok(Calibrated { record, transported: stage::is_transported(pipeline, decide) })
}

/// Compares the rows of a table of verdicts with the labels of people.
pub(super) fn calibration(
    calibrate: &Calibrate,
    rubric: &Rubric,
    verdicts: impl Iterator<Item = io::Result<String>>,
) -> Result<Calibration, StageFailure> {
    let mut tally = calibrate::Tally::new(calibrate, rubric);
    for line in verdicts {
        tally.add(&judged(line)?);
    }
    Ok(tally.finish())
}

/// Decides on the rows of a table of verdicts.
pub(super) fn decision(
    decide: &Decide,
    verdicts: impl Iterator<Item = io::Result<String>>,
    calibrated: Option<&Calibrated>,
) -> Result<Decision, StageFailure> {
    let mut tally = decide::Tally::new(decide);
    for line in verdicts {
        tally.add(&judged(line)?);
    }
    let mut decision = tally.finish();
    if let Some(Calibrated { record, transported }) = calibrated {
        decide::correct(&mut decision, record, *transported);
    }
    Ok(decision)
}

fn judged(line: io::Result<String>) -> Result<Judged, StageFailure> {
    let line = line.map_err(|error| StageFailure::new(error.to_string(), None))?;
    serde_json::from_str(&line)
        .map_err(|error| StageFailure::new(format!("a row of verdicts cannot be read: {error}"), None))
}

/// Compares tables of verdicts; `table` gives the rows of one of those that the stage reads.
pub(super) fn comparison<L: Iterator<Item = io::Result<String>>>(
    compare: &Compare,
    table: impl Fn(&StageId) -> Result<L, StageFailure>,
) -> Result<Comparison, StageFailure> {
    let paired = |Arms { base, new }: &Arms| {
        let mut pairing = Pairing::new(compare);
        let (mut base, mut new) = (table(base)?, table(new)?);
        loop {
            // In turn, so that of tables in the same order no more than a row waits for its counterpart.
            let rows = [(Side::Base, base.next()), (Side::New, new.next())];
            let is_end = rows.iter().all(|(_, row)| row.is_none());
            for (side, row) in rows {
                if let Some(line) = row {
                    pairing.add(side, judged(line)?);
                }
            }
            if is_end {
                return Ok(pairing.finish());
            }
        }
    };
    let target = paired(&compare.arms)?;
    let guards = compare.guards.values().map(|guard| paired(&guard.arms)).collect::<Result<Vec<_>, StageFailure>>()?;
    Ok(compare::conclude(compare, target, guards))
}
