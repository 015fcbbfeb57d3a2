//! The stages that work on whole tables, as a run and a verification compute them alike.

use std::collections::BTreeMap;
use std::io;

use serde::de::DeserializeOwned;

use super::StageFailure;
use crate::data::{Answer, Decision, Judged};
use crate::ids::StageId;
use crate::spec::{Decide, Pipeline};
use crate::stage::decide;

/// The lines of a table.
pub(super) type TableLines<'a> = Box<dyn Iterator<Item = io::Result<String>> + 'a>;

/// Decides on the rows of tables, which `lines` opens by the stage that wrote them.
pub(super) fn decision<'a>(
    pipeline: &Pipeline,
    decide: &Decide,
    lines: impl Fn(&StageId) -> Result<TableLines<'a>, StageFailure>,
) -> Result<Decision, StageFailure> {
    let mut decision = tallied(pipeline, decide, &decide.verdicts, lines(&decide.verdicts)?)?;
    if decide.gates.is_empty() {
        return Ok(decision);
    }
    let mut bases = BTreeMap::new();
    for base in decide::bases(decide) {
        bases.insert(base.clone(), tallied(pipeline, decide, base, lines(base)?)?);
    }
    let mut taken = decide::Taken::default();
    if let Some(answers) = &decide.answers {
        for line in lines(answers)? {
            taken.add(&row::<Answer>("answers", line)?);
        }
    }
    let price = decide::price(pipeline, decide);
    let measured = decide::Measured { decision: &decision, bases: &bases, taken, price };
    decision.gates = decide::check(&decide.gates, &measured);
    Ok(decision)
}

/// What the verdicts of one stage come to.
fn tallied(
    pipeline: &Pipeline,
    decide: &Decide,
    verdicts: &StageId,
    lines: TableLines<'_>,
) -> Result<Decision, StageFailure> {
    let mut tally = decide::Tally::new(decide, decide::rubric(pipeline, verdicts));
    for line in lines {
        tally.add(&row::<Judged>("verdicts", line)?);
    }
    Ok(tally.finish())
}

fn row<T: DeserializeOwned>(of: &str, line: io::Result<String>) -> Result<T, StageFailure> {
    let line = line.map_err(|error| StageFailure::new(error.to_string(), None))?;
    serde_json::from_str(&line)
        .map_err(|error| StageFailure::new(format!("a row of {of} cannot be read: {error}"), None))
}
