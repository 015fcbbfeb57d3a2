//! The stages that work on whole tables, as a run and a verification compute them alike.

use std::io;

use super::StageFailure;
use crate::data::{Decision, Judged};
use crate::spec::Decide;
use crate::stage::decide;

/// Decides on the rows of a table of verdicts.
pub(super) fn decision(
    decide: &Decide,
    verdicts: impl Iterator<Item = io::Result<String>>,
) -> Result<Decision, StageFailure> {
    let mut tally = decide::Tally::new(decide);
    for line in verdicts {
        let line = line.map_err(|error| StageFailure::new(error.to_string(), None))?;
        let row: Judged = serde_json::from_str(&line)
            .map_err(|error| StageFailure::new(format!("a row of verdicts cannot be read: {error}"), None))?;
        tally.add(&row);
    }
    Ok(tally.finish())
}
