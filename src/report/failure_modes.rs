//! Failure modes in words: what to collect, and what speaks for which remedy.

use super::model::CriterionText;
use super::text::{excerpt, one_line, replies};
use crate::data::{Clue, FailureMode, FailurePair, FailurePlace, Remedy};
use crate::stats::text::{count, percent, thousands};

/// Characters of a criterion; a regular expression may be long.
const ASKS: usize = 200;

/// What is likely to mend it, in a few words.
pub(super) fn remedy(remedy: Remedy) -> &'static str {
    match remedy {
        Remedy::Data => "training data",
        Remedy::Architecture => "the system around the model, or another model",
        Remedy::Unclear => "not clear",
    }
}

/// `crisis × terse`, `crisis`, `terse`.
pub(super) fn place(place: &FailurePlace) -> String {
    let names: Vec<String> = [&place.topic, &place.style].into_iter().flatten().map(|name| one_line(name)).collect();
    names.join(" × ")
}

/// What to collect: a place each, or all over where there is none.
pub(super) fn to_collect(mode: &FailureMode, criteria: &[CriterionText]) -> Vec<String> {
    let meets = meets(mode, criteria);
    if mode.places.is_empty() {
        return vec![format!("{} across all topics {meets}", count(mode.examples, "example"))];
    }
    let of = |place: &FailurePlace| format!("{} of {} {meets}", count(place.examples, "example"), self::place(place));
    mode.places.iter().map(of).collect()
}

fn meets(mode: &FailureMode, criteria: &[CriterionText]) -> String {
    let id = &mode.criterion;
    match criteria.iter().find(|text| text.id == *id) {
        None => format!("in which the reply meets `{id}`"),
        Some(text) if text.by_code => {
            format!("in which the reply meets `{id}` ({})", excerpt(&one_line(&text.asks), ASKS))
        }
        Some(text) => {
            format!("in which the reply meets `{id}`, with a yes to “{}”", excerpt(&one_line(&text.asks), ASKS))
        }
    }
}

/// What mending it would return.
pub(super) fn returns(mode: &FailureMode, failed: u64) -> String {
    format!(
        "`{}` alone would return {} of the {} that fail: a pass rate of {}",
        mode.criterion,
        thousands(mode.returned),
        replies(failed),
        percent(mode.rate)
    )
}

/// What mending both would return.
pub(super) fn pair(pair: &FailurePair) -> String {
    let [one, other] = &pair.criteria;
    format!(
        "`{one}` and `{other}` together would return {}: a pass rate of {}",
        thousands(pair.returned),
        percent(pair.rate)
    )
}

/// The clues in one line, those for the remedy first.
pub(super) fn clues(mode: &FailureMode) -> Vec<String> {
    let told = |clue: &Clue| {
        let side = match clue.speaks_for {
            Remedy::Data => "for data",
            Remedy::Architecture => "for the system",
            Remedy::Unclear => "for neither",
        };
        format!("{side}: {}", clue.text)
    };
    let (with, against): (Vec<&Clue>, Vec<&Clue>) = mode.clues.iter().partition(|clue| clue.speaks_for == mode.remedy);
    with.into_iter().chain(against).map(told).collect()
}
