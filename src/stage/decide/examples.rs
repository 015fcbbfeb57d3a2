//! The few replies of a table that are shown: those at the ends of an order.

use std::cmp::Ordering;

use super::EXAMPLES;
use crate::data::{Example, Judged, VerdictKind};
use crate::ids::{CriterionId, ScenarioId};

/// Most characters of a text that goes into the decision.
const LONGEST_TEXT: usize = 2_000;

/// The one order of replies, of which the best are one end and the worst the other.
pub(super) fn best_first(a: Standing<'_>, b: Standing<'_>) -> Ordering {
    b.0.total_cmp(&a.0).then_with(|| (a.1, a.2).cmp(&(b.1, b.2)))
}

/// What decides the place of a reply: its score, its scenario, and which of several answers it is.
pub(super) type Standing<'a> = (f64, &'a ScenarioId, u32);

/// Puts the row into `kept` if it is among the first few by `order`.
pub(super) fn keep(
    kept: &mut Vec<Example>,
    row: &Judged,
    score: f64,
    order: impl Fn(Standing<'_>, Standing<'_>) -> Ordering,
) {
    let new = (score, &row.scenario.id, row.repetition);
    let after =
        |example: &Example| order((example.score, &example.scenario, example.repetition), new) == Ordering::Greater;
    let place = kept.iter().position(after).unwrap_or(kept.len());
    if place == EXAMPLES {
        return;
    }
    kept.truncate(EXAMPLES - 1);
    kept.insert(
        place,
        Example {
            scenario: row.scenario.id.clone(),
            repetition: row.repetition,
            opening: bounded(&row.scenario.opening),
            reply: bounded(row.reply.as_deref().unwrap_or_default()),
            score,
            failed: failed(row),
        },
    );
}

/// The criteria that a reply fails.
pub(super) fn failed(row: &Judged) -> Vec<CriterionId> {
    let failed = row.verdicts.iter().filter(|verdict| verdict.verdict == VerdictKind::Fail);
    failed.map(|verdict| verdict.criterion.clone()).collect()
}

/// The text, or its beginning and `…`.
pub(super) fn bounded(text: &str) -> String {
    match text.char_indices().nth(LONGEST_TEXT) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}
