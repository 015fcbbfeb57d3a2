//! Two judges beside each other in words: which of them agrees better with people, as far as the labels tell.

use std::io;

use serde::Serialize;

use super::calibrated::StageCalibration;
use super::terminal::{Style, cut, hanging, paint};
use super::text::{coefficient, one_line, p_value, share};
use crate::data::{Beside, Calibration, LeftOpen, Measured};
use crate::ids::StageId;
use crate::spec;
use crate::stats::FEWEST_CLUSTERS;
use crate::stats::text::{count, list, points, thousands};

/// The stages of two judges that are held beside each other, and what that came to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct JudgesBeside {
    /// The stage whose verdicts are calibrated.
    pub first: StageId,
    /// The one beside it.
    pub second: StageId,
    /// Which agrees better with people: one sentence.
    pub headline: String,
}

/// Both judges of a calibration; none where it has one alone.
pub(super) fn in_words(pipeline: &spec::Pipeline, stage: &StageId, record: &Calibration) -> Option<JudgesBeside> {
    let Some(spec::Stage::Calibrate(calibrate)) = pipeline.stages.get(stage) else { return None };
    let (first, second) = (calibrate.verdicts.clone(), calibrate.beside.clone()?);
    let headline = headline(record.beside.as_ref()?, record.confidence, &first, &second);
    Some(JudgesBeside { first, second, headline })
}

fn headline(found: &Beside, confidence: f64, first: &StageId, second: &StageId) -> String {
    let Some(difference) = found.difference else {
        return format!(
            "`{second}` cannot be held beside `{first}`: there is no labelled verdict that both pass or fail"
        );
    };
    let labelled = labelled(found);
    let Measured { point, lo, hi } = difference;
    let by = size(point.abs());
    let interval = interval(difference, found.p);
    let way = if point < 0.0 { "less" } else { "more" };
    let has_too_few = found.clusters.map_or(found.rights.n(), |clusters| clusters.clusters) < FEWEST_CLUSTERS;
    // Both must say so: the interval and the test are made differently, and disagree at the edge.
    let is_open = has_too_few || (lo <= 0.0 && 0.0 <= hi);
    let is_told_apart = !is_open && found.p < 1.0 - confidence;
    let beyond = found.detectable.filter(|least| point.abs() < *least);
    let beyond = beyond.map(|least| format!("show reliably only differences of {} points or more", size(least)));
    if is_told_apart {
        let told =
            format!("`{second}` agrees {way} with people than `{first}`: by {by} points on {labelled} ({interval})");
        return match beyond {
            Some(beyond) => format!("{told}; so many {beyond}, so expect a smaller one with other labels"),
            None => told,
        };
    }
    let agrees = if found.rights.only_first == found.rights.only_second {
        format!("`{second}` agrees with people as often as `{first}`")
    } else {
        format!("`{second}` agrees with people on {by} points {way} than `{first}`")
    };
    let shown = match beyond {
        _ if has_too_few => format!(", and {FEWEST_CLUSTERS} scenarios are the fewest that can"),
        Some(beyond) => format!(", which {beyond}"),
        None if found.detectable.is_some() => String::new(),
        None if found.rights.only_first + found.rights.only_second == 0 => {
            ", on all of which they say the same".to_owned()
        }
        None => ", too few of which differ to show anything reliably".to_owned(),
    };
    format!("{agrees} ({interval}): not told apart by {labelled}{shown}")
}

/// `239 labelled verdicts of 120 scenarios`: the evidence; only its verdicts, where each is on a scenario of its own.
fn labelled(found: &Beside) -> String {
    let verdicts = count(found.rights.n(), "labelled verdict");
    match found.clusters {
        Some(clusters) => format!("{verdicts} of {}", count(clusters.clusters, "scenario")),
        None => verdicts,
    }
}

/// `3.2`: a difference in points, without its sign.
fn size(difference: f64) -> String {
    let [size] = points([difference], &[0.0]);
    size.trim_start_matches('+').to_owned()
}

/// `−7.1 to +0.6, p 0.102`: a difference in points.
pub(super) fn interval(Measured { point: _, lo, hi }: Measured, p: f64) -> String {
    let [lo, hi] = points([lo, hi], &[0.0]);
    format!("{lo} to {hi}, p {}", p_value(p))
}

/// `3 by `a` and 1 by both`: what was labelled and left open, and so is in no number; none where nothing was.
pub(super) fn left_open(JudgesBeside { first, second, headline: _ }: &JudgesBeside, found: LeftOpen) -> Option<String> {
    let LeftOpen { first: by_first, second: by_second, both } = found;
    let whom = [(by_first, format!("`{first}`")), (by_second, format!("`{second}`")), (both, "both".to_owned())];
    let open = whom.into_iter().filter(|(number, _)| *number > 0);
    let open: Vec<String> = open.map(|(number, whom)| format!("{} by {whom}", thousands(number))).collect();
    (!open.is_empty()).then(|| list(&open, "and"))
}

/// Both judges in a few lines.
pub(super) fn terminal(
    calibration: &StageCalibration,
    width: usize,
    style: Style,
    out: &mut dyn io::Write,
) -> io::Result<()> {
    let (Some(judges), Some(found)) = (&calibration.beside, &calibration.record.beside) else { return Ok(()) };
    let labelled = labelled(found);
    writeln!(out, "{}", paint(&cut(&format!("Judges and people, on {labelled}"), width), "1", style))?;
    let names = [&judges.first, &judges.second].map(StageId::as_str);
    let longest = names.map(str::len).into_iter().max().unwrap_or_default().min(width / 3);
    for (name, judge) in names.into_iter().zip([&found.first, &found.second]) {
        let agreed = &judge.agreed;
        let [kappa, ac1] = [agreed.kappa, agreed.ac1].map(coefficient);
        let label = format!("  {:longest$}  ", cut(name, longest));
        let line = format!("agrees on {}, κ {kappa}, AC1 {ac1}", share(agreed.agreement));
        hanging(&label, &line, width, out)?;
    }
    let each_other = &found.each_other;
    let verdicts = count(each_other.table.n(), "verdict");
    let line = format!("with each other on {} of {verdicts}", share(each_other.agreed.agreement));
    hanging("  ", &line, width, out)?;
    if let Some(open) = left_open(judges, found.left_open) {
        hanging("  ", &format!("left open, and in none of this: {open}"), width, out)?;
    }
    hanging("  ", &one_line(&judges.headline), width, out)?;
    writeln!(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Agreed, BothJudges, Confusion, DifferenceClusters, EachOther, Rights, WithPeople};
    use crate::stats::{self, Pairs};

    /// What so many labelled verdicts say, by who is right.
    fn found([both, only_first, only_second, neither]: [u64; 4]) -> Beside {
        let pairs = Pairs { both, gains: only_second, losses: only_first, neither };
        let rights = Rights { both, only_first, only_second, neither };
        let difference = stats::newcombe_paired(&pairs, 0.95);
        let (point, interval) = (difference.point, difference.interval);
        let nothing = Agreed { agreement: None, kappa: None, ac1: None };
        let with_people = WithPeople { table: Confusion::default(), agreed: nothing.clone() };
        Beside {
            rights,
            first: with_people.clone(),
            second: with_people,
            difference: (rights.n() > 0).then_some(Measured { point, lo: interval.lo, hi: interval.hi }),
            p: stats::mcnemar_midp(only_second, only_first),
            detectable: stats::mde_paired(rights.n(), pairs.discordance(), 0.05, 0.8),
            clusters: None,
            left_open: LeftOpen::default(),
            each_other: EachOther { table: BothJudges::default(), agreed: nothing, left_open: 0 },
        }
    }

    #[test]
    fn who_agrees_better_is_said_plainly() {
        let [first, second] = ["alone", "together"].map(|id| StageId::new(id).unwrap());
        for (rights, expected) in [
            (
                [0, 0, 0, 0],
                "`together` cannot be held beside `alone`: there is no labelled verdict that both pass or fail",
            ),
            (
                [140, 40, 8, 12],
                "`together` agrees less with people than `alone`: by 16.0 points on 200 labelled verdicts (−22.6 to −9.5, p < \
                 0.001)",
            ),
            (
                [140, 8, 40, 12],
                "`together` agrees more with people than `alone`: by 16.0 points on 200 labelled verdicts (+9.5 to +22.6, p < \
                 0.001)",
            ),
            (
                [165, 5, 15, 15],
                "`together` agrees more with people than `alone`: by 5.0 points on 200 labelled verdicts (+0.5 to +9.7, p \
                 0.027); so many show reliably only differences of 6.2 points or more, so expect a smaller one with other labels",
            ),
            (
                [170, 9, 5, 16],
                "`together` agrees with people on 2.0 points less than `alone` (−6.1 to +1.9, p 0.302): not told apart by 200 \
                 labelled verdicts, which show reliably only differences of 5.2 points or more",
            ),
            (
                [100, 3, 3, 4],
                "`together` agrees with people as often as `alone` (−5.5 to +5.5, p 1.000): not told apart by 110 labelled \
                 verdicts, too few of which differ to show anything reliably",
            ),
            (
                [9, 0, 0, 1],
                "`together` agrees with people as often as `alone` (−27.8 to +27.8, p 1.000): not told apart by 10 labelled \
                 verdicts, on all of which they say the same",
            ),
            (
                [8, 1, 0, 1],
                "`together` agrees with people on 10.0 points less than `alone` (−40.0 to +20.2, p 0.500): not told apart by 10 \
                 labelled verdicts, too few of which differ to show anything reliably",
            ),
        ] {
            assert_eq!(headline(&found(rights), 0.95, &first, &second), expected, "{rights:?}");
        }
    }

    #[test]
    fn fewer_than_five_scenarios_tell_nothing_apart() {
        let [first, second] = ["alone", "together"].map(|id| StageId::new(id).unwrap());
        let on = |clusters: u64| {
            let clusters = Some(DifferenceClusters { clusters, n_eff: 200.0, design_effect: 1.0 });
            headline(&Beside { clusters, ..found([140, 8, 40, 12]) }, 0.95, &first, &second)
        };
        assert_eq!(
            on(4),
            "`together` agrees with people on 16.0 points more than `alone` (+9.5 to +22.6, p < 0.001): not told apart by 200 \
             labelled verdicts of 4 scenarios, and 5 scenarios are the fewest that can"
        );
        assert_eq!(
            on(5),
            "`together` agrees more with people than `alone`: by 16.0 points on 200 labelled verdicts of 5 scenarios (+9.5 to \
             +22.6, p < 0.001)"
        );
        let alone = headline(&found([0, 0, 4, 0]), 0.8, &first, &second);
        assert!(
            alone.ends_with("not told apart by 4 labelled verdicts, and 5 scenarios are the fewest that can"),
            "{alone}"
        );
    }

    /// The interval ends just beyond 0 where the test does not reject, and the other way round: neither settles it alone.
    #[test]
    fn interval_and_test_must_agree() {
        let [first, second] = ["alone", "together"].map(|id| StageId::new(id).unwrap());
        for p in [0.049, 0.051] {
            for lo in [-0.001, 0.001] {
                let difference = Some(Measured { point: 0.04, lo, hi: 0.09 });
                let found = Beside { difference, p, ..found([100, 4, 9, 7]) };
                let is_told_apart = headline(&found, 0.95, &first, &second).contains("agrees more");
                assert_eq!(is_told_apart, p < 0.05 && lo > 0.0, "{p} {lo}");
            }
        }
    }
}
