//! What looks come to, in words.

use crate::data::{Look, Looked, Rate};
use crate::stage::sample;
use crate::stats::text::{count, round_percent, thousands};

/// One sentence about the looks that were had. `units` says what was drawn together, with its number, where that is more than a
/// scenario: `8 topics`.
pub(in super::super) fn look_sentence(looked: &Looked, rate: &Rate, units: Option<String>) -> Option<String> {
    let Looked { scenarios, of, stopped: _, method: _, alpha_early, looks } = looked;
    let Look { round, .. } = looks.last()?;
    let before = looks.len() as u64 - 1;
    if *round > 0 {
        return looked.is_early().then(|| {
            format!(
                "settled after {} of {}, at look {}: the interval holds however often one looks ({})",
                thousands(*scenarios),
                count(*of, "scenario"),
                before + 1,
                round_percent(rate.confidence),
            )
        });
    }
    if *alpha_early > 0.0 {
        let parts = if before == 1 { "a part" } else { "parts" };
        return Some(format!(
            "{} at {parts} of the scenarios settled nothing and had {} of the chance of error: that leaves an interval of {}",
            count(before, "look"),
            round_percent(*alpha_early),
            round_percent(rate.confidence),
        ));
    }
    if sample::first_round(*of) == 0 {
        return Some(format!("all was looked at once: {} are too few to look at a part first", count(*of, "scenario")));
    }
    Some(match units {
        Some(units) => format!(
            "all was looked at: no part of {units} could have settled anything, so `sequential` saves nothing here; `target: suite` \
             stops early if these scenarios are all that matter, and `cluster: none` if they are independent"
        ),
        None => "all was looked at: no part of so few scenarios could have settled anything".to_owned(),
    })
}
