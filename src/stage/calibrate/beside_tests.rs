//! Two judges beside each other, over hand-made rows and labels.

use proptest::prelude::*;

use super::tests::{calibrate, label, row, rubric};
use super::{Beside, Tally, UnlikeReplies, consensus, reply_digest};
use crate::data::{self, DifferenceClusters, Judged, LeftOpen, Measured, Rights, VerdictKind};
use crate::ids::ScenarioId;
use crate::spec::{Floor, Label, LabelVerdict};
use crate::stats::{self, Interval, Pairs};
use LabelVerdict::{Fail, Pass};

const P: VerdictKind = VerdictKind::Pass;
const F: VerdictKind = VerdictKind::Fail;
const NA: VerdictKind = VerdictKind::NotApplicable;
const U: VerdictKind = VerdictKind::Ungraded;

/// Both tables, walked in step.
fn beside(first: &[Judged], second: &[Judged], labels: Vec<Label>) -> data::Beside {
    let mut tally = Tally::new(&calibrate(labels, Floor::default()), &rubric());
    let mut beside = Beside::new(&rubric());
    for (first, second) in first.iter().zip(second) {
        let labelled = tally.add(first);
        beside.add(first, second, &labelled).unwrap();
    }
    beside.finish(0.95)
}

/// Replies with one labelled verdict each, of which so many were judged like this: both right, only the first, only the second,
/// neither.
fn judged(rights: [u64; 4]) -> (Vec<Judged>, Vec<Judged>, Vec<Label>) {
    let (mut first, mut second, mut labels) = (Vec::new(), Vec::new(), Vec::new());
    for (kind, count) in [(true, true), (true, false), (false, true), (false, false)].into_iter().zip(rights) {
        for _ in 0..count {
            let id = format!("terse/{}", labels.len());
            // Every third truth is a failure, so that right and passed are not the same.
            let truth = labels.len() % 3 != 0;
            let said = |is_right: bool| if is_right == truth { P } else { F };
            first.push(row(&id, [said(kind.0), NA, P]));
            second.push(row(&id, [said(kind.1), NA, P]));
            labels.push(label(&id, "kind", "al", if truth { Pass } else { Fail }));
        }
    }
    (first, second, labels)
}

/// Which of both judges are right on a verdict.
type Right = (bool, bool);
const BOTH: Right = (true, true);
const FIRST: Right = (true, false);
const SECOND: Right = (false, true);
const NEITHER: Right = (false, false);

/// Scenarios with so many labelled verdicts each: two on a reply, and the next ones on another reply to it.
fn clustered(scenarios: &[Vec<Right>]) -> (Vec<Judged>, Vec<Judged>, Vec<Label>) {
    let (mut first, mut second, mut labels) = (Vec::new(), Vec::new(), Vec::new());
    for (at, rights) in scenarios.iter().enumerate() {
        let id = format!("long/{at}");
        for (repetition, rights) in (0..).zip(rights.chunks(2)) {
            let said = |is_right: fn(&Right) -> bool| {
                let mut verdicts = [NA, NA, P];
                verdicts
                    .iter_mut()
                    .zip(rights)
                    .for_each(|(verdict, right)| *verdict = if is_right(right) { P } else { F });
                Judged { repetition, ..row(&id, verdicts) }
            };
            first.push(said(|right| right.0));
            second.push(said(|right| right.1));
            for (criterion, _) in ["kind", "long"].into_iter().zip(rights) {
                let mut label = label(&id, criterion, "al", Pass);
                label.of.repetition = repetition;
                labels.push(label);
            }
        }
    }
    (first, second, labels)
}

/// What is found of such scenarios, and what Newcombe's interval and McNemar's mid-p are.
fn over(scenarios: &[Vec<Right>]) -> (data::Beside, Interval, f64) {
    let (first, second, labels) = clustered(scenarios);
    let found = beside(&first, &second, labels);
    let Rights { both, only_first, only_second, neither } = found.rights;
    let pairs = Pairs { both, gains: only_second, losses: only_first, neither };
    (found, stats::newcombe_paired(&pairs, 0.95).interval, stats::mcnemar_midp(only_second, only_first))
}

fn times(parts: &[(usize, &[Right])]) -> Vec<Vec<Right>> {
    parts.iter().flat_map(|(times, rights)| std::iter::repeat_n(rights.to_vec(), *times)).collect()
}

fn close(found: f64, expected: f64) {
    assert!((found - expected).abs() < 1e-6, "{found} {expected}");
}

#[test]
fn the_difference_is_that_of_the_published_example() {
    let (first, second, labels) = judged([1, 1, 7, 12]);
    let found = beside(&first, &second, labels);
    assert_eq!(found.rights, Rights { both: 1, only_first: 1, only_second: 7, neither: 12 });
    let Measured { point, lo, hi } = found.difference.unwrap();
    close(point, 6.0 / 21.0);
    close(lo, 0.025_559);
    close(hi, 0.506_920);
    close(found.p, 0.039_062_5);
    close(found.first.agreed.agreement.unwrap().point, 2.0 / 21.0);
    close(found.second.agreed.agreement.unwrap().point, 8.0 / 21.0);
    // They say the same where both are right and where both are wrong.
    close(found.each_other.agreed.agreement.unwrap().point, 13.0 / 21.0);
    assert_eq!(found.left_open, LeftOpen::default());
}

/// By the definitions: CR1 over differences of −1, 0 and 1, the moments of these, and Student's t, computed apart from this.
#[test]
fn verdicts_that_move_together_are_less_evidence() {
    let scenarios = times(&[(7, &[SECOND; 2]), (2, &[FIRST; 2]), (15, &[BOTH; 2])]);
    let (found, newcombe, midp) = over(&scenarios);
    // Each verdict taken alone tells them apart.
    close(newcombe.lo, 0.037_255_105_733);
    close(midp, 0.019_210_815_43);
    let Measured { point, lo, hi } = found.difference.unwrap();
    close(point, 10.0 / 48.0);
    close(lo, -0.045_365_358_893);
    close(hi, newcombe.hi.max(0.436_786_990_082));
    close(found.p, 0.103_190_169_428);
    let DifferenceClusters { clusters, n_eff, design_effect } = found.clusters.unwrap();
    assert_eq!(clusters, 24);
    close(design_effect, 2.043_478_260_87);
    close(n_eff, 48.0 / 2.043_478_260_87);
    let alone = stats::mde_paired(48, 18.0 / 48.0, 0.05, 0.8).unwrap();
    close(found.detectable.unwrap(), alone * 2.043_478_260_87_f64.sqrt());
    // Four verdicts of two replies each say no more than two.
    let longer: Vec<Vec<Right>> = scenarios.iter().map(|rights| rights.repeat(2)).collect();
    let (longer, ..) = over(&longer);
    close(longer.difference.unwrap().lo, lo);
    close(longer.p, found.p);
}

#[test]
fn each_end_is_the_one_further_out() {
    let scenarios =
        times(&[(6, &[SECOND; 2]), (3, &[SECOND, BOTH]), (1, &[NEITHER, FIRST]), (9, &[BOTH]), (1, &[NEITHER])]);
    let (found, newcombe, midp) = over(&scenarios);
    assert_eq!(found.rights, Rights { both: 12, only_first: 1, only_second: 15, neither: 2 });
    close(newcombe.lo, 0.232_317_195_133);
    close(midp, 0.000_274_658_203);
    let Measured { point: _, lo, hi } = found.difference.unwrap();
    close(lo, 0.182_264_183_138);
    close(hi, newcombe.hi.max(0.679_011_300_029));
    close(found.p, 0.003_183_843_61);
    close(found.clusters.unwrap().design_effect, 1.371_056_749_856);
}

/// There is nothing to take an error of.
#[test]
fn scenarios_that_come_out_alike_are_one_piece_of_evidence_each() {
    let (found, newcombe, midp) = over(&times(&[(5, &[SECOND; 4])]));
    let Measured { point, lo, hi } = found.difference.unwrap();
    close(point, 1.0);
    assert_eq!((lo, hi), (newcombe.lo, newcombe.hi));
    // Five that all fall on one side: 2 · ½⁵ − ½⁵.
    close(found.p, 0.031_25);
    assert!(midp < 1e-5);
    let (single, ..) = over(&times(&[(1, &[SECOND; 4])]));
    let Measured { lo, hi, .. } = single.difference.unwrap();
    assert_eq!((lo, hi, single.p), (-1.0, 1.0, 1.0));
    assert_eq!(single.clusters.map(|clusters| clusters.clusters), Some(1));
}

#[test]
fn coefficients_are_those_of_the_reference_vectors() {
    // People pass 45 of 50, and the second judge wrongly fails 5 of those and wrongly passes 3 of the rest.
    let (mut first, mut second, mut labels) = (Vec::new(), Vec::new(), Vec::new());
    for (at, (truth, judge)) in [((Pass, P), 40), ((Pass, F), 5), ((Fail, P), 3), ((Fail, F), 2)]
        .into_iter()
        .flat_map(|(pair, times)| std::iter::repeat_n(pair, times))
        .enumerate()
    {
        let id = format!("terse/{at}");
        first.push(row(&id, [if truth == Pass { P } else { F }, NA, P]));
        second.push(row(&id, [judge, NA, P]));
        labels.push(label(&id, "kind", "al", truth));
    }
    let found = beside(&first, &second, labels);
    close(found.second.agreed.kappa.unwrap().point, 0.245_283_018_867_924_5);
    close(found.second.agreed.ac1.unwrap().point, 0.797_160_243_407_707_9);
    // The first one says what people say, and so its agreement with the second is theirs.
    assert_eq!(found.each_other.agreed, found.second.agreed);
    assert_eq!((found.each_other.table.only_first_passes, found.each_other.table.only_second_passes), (5, 3));
    close(found.first.agreed.kappa.unwrap().point, 1.0);
    // Of 8 that differ all fall on one side: `(z √ψ + z √(ψ−δ²)) / √n` has its fixed point there.
    let (delta, psi, n) = (found.detectable.unwrap(), 8.0 / 50.0, 50.0_f64);
    let z = 1.959_963_984_540_054 * f64::sqrt(psi) + 0.841_621_233_572_914_3 * f64::sqrt(psi - delta * delta);
    close(delta, z / n.sqrt());
}

#[test]
fn what_a_judge_leaves_open_is_counted_and_is_no_failure() {
    let first = [
        row("long/1", [P, U, P]),
        row("long/2", [U, P, P]),
        row("long/3", [U, U, P]),
        row("terse/1", [NA, NA, P]),
        row("terse/2", [P, NA, P]),
    ];
    let mut second = first.clone();
    second[0] = row("long/1", [P, P, P]);
    second[1] = row("long/2", [P, NA, P]);
    // A verdict that is not there at all.
    second[4].verdicts.remove(0);
    let mut labels: Vec<Label> = ["long/1", "long/2", "long/3"]
        .into_iter()
        .flat_map(|id| ["kind", "long"].map(|criterion| label(id, criterion, "al", Pass)))
        .collect();
    labels.push(label("terse/1", "kind", "al", LabelVerdict::NotApplicable));
    labels.push(label("terse/2", "kind", "al", Fail));
    let found = beside(&first, &second, labels);
    assert_eq!(found.rights, Rights { both: 1, ..Rights::default() });
    assert_eq!(found.left_open, LeftOpen { first: 2, second: 2, both: 2 });
    assert_eq!((found.each_other.table.n(), found.each_other.left_open), (1, 4));
}

#[test]
fn without_labels_nothing_is_told_but_the_judges_agreement() {
    let (first, second, _) = judged([5, 2, 1, 0]);
    let found = beside(&first, &second, Vec::new());
    assert_eq!((found.difference, found.detectable, found.rights.n()), (None, None, 0));
    close(found.p, 1.0);
    assert_eq!(found.first.agreed.agreement, None);
    close(found.each_other.agreed.agreement.unwrap().point, 5.0 / 8.0);
}

#[test]
fn rows_on_other_replies_are_no_pairs() {
    let first = row("terse/1", [P, NA, P]);
    let other = row("terse/2", [P, NA, P]);
    let again = Judged { repetition: 1, ..first.clone() };
    let changed = Judged { reply: Some("something else".to_owned()), ..first.clone() };
    let name = |row: &Judged| -> ScenarioId { row.scenario.id.clone() };
    for second in [other, again, changed] {
        let mut beside = Beside::new(&rubric());
        let unlike = UnlikeReplies { first: name(&first), second: name(&second) };
        assert_eq!(beside.add(&first, &second, &[]), Err(unlike));
        assert_eq!(beside.finish(0.95).each_other.table.n(), 0);
    }
}

fn verdict() -> impl Strategy<Value = VerdictKind> {
    prop::sample::select(vec![P, P, P, F, F, NA, U])
}

fn labels_of(at: usize) -> impl Strategy<Value = Vec<Label>> {
    let one = (
        prop::sample::select(vec!["kind", "long", "code"]),
        prop::sample::select(vec!["al", "bo", "cy"]),
        prop::sample::select(vec![Pass, Fail, LabelVerdict::NotApplicable]),
        0..10_u8,
    );
    prop::collection::vec(one, 0..6).prop_map(move |said| {
        let mut labels: Vec<Label> = Vec::new();
        for (criterion, labeller, verdict, luck) in said {
            let mut label = label(&name(at), criterion, labeller, verdict);
            if luck == 0 {
                label.of.reply = reply_digest("an older reply");
            }
            if labels
                .iter()
                .all(|other| (other.of.criterion.as_str(), other.of.labeller.as_str()) != (criterion, labeller))
            {
                labels.push(label);
            }
        }
        labels
    })
}

fn name(at: usize) -> String {
    format!("{}/{at}", if at.is_multiple_of(2) { "long" } else { "terse" })
}

proptest! {
    /// Label by label and row by row, with nothing but what the words mean.
    #[test]
    fn counts_by_their_definition(
        rows in prop::collection::vec(prop::array::uniform2([verdict(), verdict(), verdict()]), 1..12),
        labels in (0..12_usize).map(labels_of).collect::<Vec<_>>(),
    ) {
        let [first, second]: [Vec<Judged>; 2] =
            [0, 1].map(|side| rows.iter().enumerate().map(|(at, both)| row(&name(at), both[side])).collect());
        let labels: Vec<Label> = labels.concat();
        let found = beside(&first, &second, labels.clone());
        let (mut rights, mut open) = ([0_u64; 4], [0_u64; 3]);
        let (mut same, mut all, mut one) = (0, 0, 0);
        for (at, [first, second]) in rows.iter().enumerate() {
            for (number, criterion) in ["kind", "long"].into_iter().enumerate() {
                let said = [first[number], second[number]];
                let is_said = said.map(|verdict| matches!(verdict, P | F));
                all += u64::from(is_said == [true; 2]);
                same += u64::from(is_said == [true; 2] && said[0] == said[1]);
                one += u64::from(is_said[0] != is_said[1]);
                let is_fresh = |label: &&Label| {
                    label.of.scenario.as_str() == name(at)
                        && label.of.criterion.as_str() == criterion
                        && label.of.reply == reply_digest(&format!("reply to {}", name(at)))
                        // In terse ones nobody is asked whether it is long.
                        && (criterion == "kind" || at.is_multiple_of(2))
                };
                let people: Vec<LabelVerdict> = labels.iter().filter(is_fresh).map(|label| label.verdict).collect();
                let truth = match consensus(&people) {
                    Some(Pass) => P,
                    Some(Fail) => F,
                    Some(LabelVerdict::NotApplicable) | None => continue,
                };
                match is_said {
                    [true, true] => rights[usize::from(said[0] != truth) * 2 + usize::from(said[1] != truth)] += 1,
                    [false, true] => open[0] += 1,
                    [true, false] => open[1] += 1,
                    [false, false] => open[2] += 1,
                }
            }
        }
        let Rights { both, only_first, only_second, neither } = found.rights;
        prop_assert_eq!([both, only_first, only_second, neither], rights);
        let LeftOpen { first, second, both } = found.left_open;
        prop_assert_eq!([first, second, both], open);
        let table = found.each_other.table;
        prop_assert_eq!((table.both_pass + table.both_fail, table.n(), found.each_other.left_open), (same, all, one));
    }

    /// Of scenarios with any number of verdicts, nothing is surer than of verdicts alone; with one each, it is the same.
    #[test]
    fn never_surer_than_verdicts_alone(
        scenarios in prop::collection::vec(
            prop::collection::vec(prop::sample::select(vec![BOTH, FIRST, SECOND, NEITHER]), 1..5), 1..12,
        ),
    ) {
        let (found, newcombe, midp) = over(&scenarios);
        let Measured { point, lo, hi } = found.difference.unwrap();
        prop_assert!(lo <= newcombe.lo && newcombe.hi <= hi && lo <= point && point <= hi);
        prop_assert!(found.p >= midp && found.p <= 1.0);
        let is_clustered = scenarios.iter().any(|rights| rights.len() > 1);
        prop_assert_eq!(found.clusters.map(|clusters| clusters.clusters), is_clustered.then_some(scenarios.len() as u64));
        let (alone, newcombe, midp) = over(&scenarios.iter().map(|rights| vec![rights[0]]).collect::<Vec<_>>());
        let Measured { point: _, lo, hi } = alone.difference.unwrap();
        prop_assert_eq!((lo, hi, alone.p, alone.clusters), (newcombe.lo, newcombe.hi, midp, None));
    }

    #[test]
    fn exchanging_the_judges_mirrors_everything(rights in [0_usize..9, 0..9, 0..9, 0..9]) {
        // In twos, so that they are clusters.
        let verdicts: Vec<Right> = [BOTH, FIRST, SECOND, NEITHER]
            .into_iter()
            .zip(rights)
            .flat_map(|(right, count)| std::iter::repeat_n(right, count))
            .collect();
        let scenarios: Vec<Vec<Right>> = verdicts.chunks(2).map(<[Right]>::to_vec).collect();
        let (first, second, labels) = clustered(&scenarios);
        let one = beside(&first, &second, labels.clone());
        let other = beside(&second, &first, labels);
        prop_assert_eq!(&one.first, &other.second);
        prop_assert_eq!(&one.second, &other.first);
        prop_assert_eq!((one.rights.only_first, one.detectable), (other.rights.only_second, other.detectable));
        prop_assert!((one.p - other.p).abs() < 1e-12);
        prop_assert_eq!(one.each_other.agreed.agreement, other.each_other.agreed.agreement);
        match (one.difference, other.difference) {
            (Some(one), Some(other)) => {
                prop_assert!((one.point + other.point).abs() < 1e-12);
                prop_assert!((one.lo + other.hi).abs() < 1e-12 && (one.hi + other.lo).abs() < 1e-12);
            }
            (one, other) => prop_assert!(one.is_none() && other.is_none()),
        }
    }
}
