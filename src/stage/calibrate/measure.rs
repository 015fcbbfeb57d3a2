//! What is measured of a judge, and the lights and bounds that go with it.

use super::{Counted, Share};
use crate::data::{
    Agreed, Compared, Confusion, FloorBound, LabelsNeeded, LengthEffect, Measured, Reliability, Signal, Steadiness,
};
use crate::spec::Floor;
use crate::stats::text::{count, round_percent, thousands};
use crate::stats::{self, Estimate, Interval, JudgeErrors, Light, Measure, Weights};

/// Level of the interval of J whose lower end a judge must reach.
const LIGHT_CONFIDENCE: f64 = 0.9;

/// Fewer quotes than this say nothing about a judge.
const FEWEST_QUOTES: u64 = 20;

/// The half-widths for which needed labels are told.
const HALF_WIDTHS: [f64; 2] = [0.1, 0.05];

/// A judge's errors, as people's verdicts show them.
fn errors(table: &Confusion) -> JudgeErrors {
    let Confusion { both_pass, wrongly_failed, wrongly_passed, both_fail } = *table;
    JudgeErrors {
        passes: stats::Share { count: both_pass, of: both_pass + wrongly_failed },
        fails: stats::Share { count: both_fail, of: both_fail + wrongly_passed },
    }
}

pub(super) fn measured(point: f64, Interval { lo, hi }: Interval) -> Measured {
    Measured { point, lo, hi }
}

/// A share of something, with Wilson's interval.
fn share(share: stats::Share, confidence: f64) -> Option<Measured> {
    share.rate().map(|point| measured(point, share.wilson(confidence)))
}

/// How far two agree on what both pass or fail, whoever they are.
pub(super) fn agreed(table: &[[u64; 2]; 2], confidence: f64) -> Agreed {
    let [[both_pass, one], [other, both_fail]] = *table;
    let agreed = stats::Share { count: both_pass + both_fail, of: both_pass + one + other + both_fail };
    let coefficient = |found: stats::Agreement| {
        let (point, interval) = (found.coefficient?, found.interval(agreed.of, confidence)?);
        // Rounding alone may leave the coefficient outside of an interval that ends at it.
        Some(measured(point, Interval { lo: interval.lo.min(point), hi: interval.hi.max(point) }))
    };
    Agreed {
        agreement: share(agreed, confidence),
        kappa: stats::kappa(table, Weights::Nominal).and_then(coefficient),
        ac1: stats::gwet_ac1(table).and_then(coefficient),
    }
}

/// All that is said of one table.
pub(super) fn compared(counted: &Counted, confidence: f64) -> Compared {
    let Counted { judged, table, not_compared } = *counted;
    let errors = errors(&table);
    let Agreed { agreement, kappa, ac1 } = agreed(&table.rows(), confidence);
    let informedness =
        errors.informedness_interval(confidence).map(|Estimate { point, interval }| measured(point, interval));
    Compared {
        judged_passed: judged.count,
        judged: judged.of,
        table,
        not_compared,
        agreement,
        kappa,
        ac1,
        sensitivity: share(errors.passes, confidence),
        specificity: share(errors.fails, confidence),
        informedness,
    }
}

/// Test and retest, on the questions that were asked most often: some answers could not be read.
pub(super) fn steadiness(votes: &[(u32, u32)], confidence: f64) -> Option<Steadiness> {
    let asked = votes.iter().map(|(asked, _)| *asked).max()?;
    let passes: Vec<u64> =
        votes.iter().filter(|(times, _)| *times == asked).map(|(_, passed)| u64::from(*passed)).collect();
    let asked = u64::from(asked);
    let found = stats::self_consistency(&passes, asked, confidence)?;
    Some(Steadiness {
        items: passes.len() as u64,
        asked,
        disagreement: found.disagreement,
        flipped: measured(1.0 - found.unanimous, found.not_unanimous),
    })
}

/// The lights of all that can be measured, over verdicts.
pub(super) fn lights(
    table: &Confusion,
    steadiness: Option<&Steadiness>,
    length: Option<&LengthEffect>,
    quotes: Share,
    unreadable: Share,
) -> Vec<Reliability> {
    let labels = table.n();
    let least = errors(table).informedness_interval(LIGHT_CONFIDENCE).map(|found| found.interval.lo);
    let ac1 = stats::gwet_ac1(&table.rows()).and_then(|found| found.coefficient);
    let mut lights = vec![
        light(
            "labels",
            Some(labels as f64),
            Measure::Labels(labels),
            format!("{} by people can be compared with the judge's", count(labels, "verdict")),
        ),
        light(
            "informedness",
            least,
            Measure::Informedness(least.unwrap_or(f64::NAN)),
            match least {
                Some(least) => format!(
                    "sensitivity and specificity together tell right from wrong by J ≥ {least:.2}, at a level of {}",
                    round_percent(LIGHT_CONFIDENCE)
                ),
                None => {
                    "without labels of both kinds, passes and failures, nobody knows what the judge misses".to_owned()
                }
            },
        ),
        light(
            "agreement",
            ac1,
            Measure::Agreement(ac1.unwrap_or(f64::NAN)),
            match ac1 {
                Some(ac1) => format!("its agreement with people beyond chance is AC1 = {ac1:.2}"),
                None => "its agreement with people is not known".to_owned(),
            },
        ),
    ];
    lights.extend(steadiness.map(|found| {
        let words = format!("asked again, it says something else in {} of cases", tenths(found.disagreement));
        light("disagreement", Some(found.disagreement), Measure::Disagreement(found.disagreement), words)
    }));
    let part = |share: Share, fewest: u64| (share.of >= fewest).then(|| share.count as f64 / share.of as f64);
    lights.extend(part(unreadable, 1).map(|found| {
        let words =
            format!("{} of its {} verdicts cannot be read", thousands(unreadable.count), thousands(unreadable.of));
        light("unreadable", Some(found), Measure::Unreadable(found), words)
    }));
    lights.extend(part(quotes, FEWEST_QUOTES).map(|found| {
        let words = format!(
            "{} of the {} passages that it quotes are not in the replies",
            thousands(quotes.count),
            thousands(quotes.of)
        );
        light("misquoted", Some(found), Measure::Misquoted(found), words)
    }));
    lights.extend(length.map(|found| {
        let longer = if found.slope < 0.0 { "shorter" } else { "longer" };
        let words = format!("at the same truth it favours {longer} replies by {:.1} standard errors", found.z.abs());
        light("length", Some(found.z), Measure::Length(found.z), words)
    }));
    lights
}

fn light(measure: &str, value: Option<f64>, found: Measure, words: String) -> Reliability {
    let light = match found.light() {
        Light::Green => Signal::Green,
        Light::Amber => Signal::Amber,
        Light::Red => Signal::Red,
    };
    Reliability { measure: measure.to_owned(), value, light, words }
}

/// A share in percent with one decimal.
fn tenths(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

/// The pipeline's bounds, over all verdicts.
pub(super) fn met(floor: &Floor, found: &Compared) -> Vec<FloorBound> {
    let Floor { kappa, ac1, sensitivity, specificity } = *floor;
    let point = |measured: Option<Measured>| measured.map(|measured| measured.point);
    [
        ("kappa", kappa, point(found.kappa)),
        ("ac1", ac1, point(found.ac1)),
        ("sensitivity", sensitivity, point(found.sensitivity)),
        ("specificity", specificity, point(found.specificity)),
    ]
    .into_iter()
    .filter_map(|(measure, least, found)| {
        let (measure, least) = (measure.to_owned(), least?);
        Some(FloorBound { measure, least, found, met: found.is_some_and(|found| found >= least) })
    })
    .collect()
}

/// Labelled replies that bring the corrected pass rate how near, by what the labels so far suggest.
pub(super) fn needed(replies: &Counted, confidence: f64) -> Vec<LabelsNeeded> {
    let (passed, failed) = among(&replies.table);
    let judged = stats::Share { count: replies.judged.count, of: replies.judged.of };
    let needed = |half_width: f64| {
        let replies = stats::labels_needed(judged, passed, failed, half_width, confidence)?;
        Some(LabelsNeeded { half_width, replies })
    };
    HALF_WIDTHS.into_iter().filter_map(needed).collect()
}

/// The shares that truly pass among those that the judge passed and failed, with one reply of each kind added so that a few labels
/// do not make it look as if nothing varied.
#[must_use]
pub fn among(table: &Confusion) -> (f64, f64) {
    let share = |passed: u64, failed: u64| (passed as f64 + 1.0) / ((passed + failed) as f64 + 2.0);
    (share(table.both_pass, table.wrongly_passed), share(table.wrongly_failed, table.both_fail))
}
