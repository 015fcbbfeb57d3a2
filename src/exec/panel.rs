//! The verdicts that a decision rests on, where it weighs the votes of a panel itself.

use std::io;

use super::StageFailure;
use crate::data::Judged;
use crate::ids::CriterionId;
use crate::spec::{Decide, Votes};
use crate::stage::judge::pool::Pool;

/// Rows of verdicts, and the criteria on which the majority stands because there are too few.
pub(super) struct Weighed<'a> {
    pub(super) rows: Box<dyn Iterator<Item = io::Result<String>> + 'a>,
    pub(super) left: Vec<CriterionId>,
}

/// The rows of a table of verdicts as the decision takes them. `read` opens the table, which is read twice where votes are
/// weighed: how a judge errs shows in all rows only.
pub(super) fn weighed<'a, L, E>(
    decide: &'a Decide,
    read: impl Fn() -> Result<L, E>,
) -> Result<Weighed<'a>, StageFailure>
where
    L: Iterator<Item = io::Result<String>> + 'a,
    StageFailure: From<E>,
{
    let rubric = match &decide.votes {
        Votes::Majority => return Ok(Weighed { rows: Box::new(read()?), left: Vec::new() }),
        Votes::DawidSkene(rubric) => rubric,
    };
    let parse =
        |line: io::Result<String>| -> io::Result<Judged> { serde_json::from_str(&line?).map_err(io::Error::other) };
    let mut pool = Pool::default();
    for row in read()?.map(parse) {
        let row = row.map_err(|error| StageFailure::new(format!("a row of verdicts cannot be read: {error}"), None))?;
        pool.add(&row);
    }
    let pooled = pool.finish();
    let left = pooled.left.clone();
    let rows = read()?.map(move |line| {
        let row = pooled.weigh(rubric, parse(line)?);
        Ok(serde_json::to_string(&row).expect("a row is always valid JSON"))
    });
    Ok(Weighed { rows: Box::new(rows), left })
}
