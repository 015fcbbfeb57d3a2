//! Calibrations over hand-made rows and labels.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::data::{Origin, Scenario, Signal, Verdict, Votes};
use crate::ids::StageId;
use crate::spec::LabelOf;
use LabelVerdict::{Fail, NotApplicable, Pass};

/// Two questions, of which one is asked in one style only, and a check.
pub(super) fn rubric() -> Rubric {
    let question = json!({ "question": {
        "text": "Is it?", "allow_not_applicable": true, "pass_examples": [], "fail_examples": [],
    } });
    let criterion = |id: &str, when: Value, ask: &Value| {
        json!({
            "id": id, "weight": 1.0, "critical": id == "kind", "when": when, "ask": ask,
        })
    };
    let check = json!({ "check": { "words": { "min": 1, "max": 40 } } });
    serde_json::from_value(json!({
        "name": "r", "pass": { "score": 0.7, "min_applicable": 0.5 },
        "criteria": [
            criterion("kind", Value::Null, &question),
            criterion("long", json!("scenario.style == 'long'"), &question),
            criterion("code", Value::Null, &check),
        ],
    }))
    .unwrap()
}

pub(super) fn row(id: &str, verdicts: [VerdictKind; 3]) -> Judged {
    let rubric = rubric();
    let verdict = |(criterion, verdict): (&Criterion, VerdictKind)| Verdict {
        criterion: criterion.id.clone(),
        verdict,
        critical: criterion.critical,
        evidence: String::new(),
        reason: String::new(),
        quote: None,
        votes: None,
        pass_probability: None,
        level: None,
        panel: std::collections::BTreeMap::new(),
    };
    Judged {
        scenario: Scenario {
            id: ScenarioId::new(id).unwrap(),
            topic: "t".to_owned(),
            subtopic: None,
            style: if id.starts_with("long") { "long" } else { "terse" }.to_owned(),
            axes: BTreeMap::new(),
            tags: Vec::new(),
            edge_case: false,
            opening: String::new(),
            reference: None,
            origin: Origin::Authored,
            written: None,
            near_duplicate: None,
        },
        repetition: 0,
        reply: Some(format!("reply to {id}")),
        failure: None,
        verdicts: rubric.criteria.iter().zip(verdicts).map(verdict).collect(),
        score: None,
        grade: grade(&rubric, &verdicts.map(Standing::from)).grade,
    }
}

pub(super) fn label(id: &str, criterion: &str, labeller: &str, verdict: LabelVerdict) -> Label {
    let of = LabelOf {
        scenario: ScenarioId::new(id).unwrap(),
        repetition: 0,
        criterion: CriterionId::new(criterion).unwrap(),
        labeller: labeller.to_owned(),
        reply: reply_digest(&format!("reply to {id}")),
    };
    Label { of, verdict }
}

pub(super) fn calibrate(labels: Vec<Label>, floor: Floor) -> spec::Calibrate {
    let verdicts = StageId::new("verdicts").unwrap();
    spec::Calibrate { verdicts, beside: None, gold: "gold.jsonl".into(), labels, floor, confidence: 0.95 }
}

fn calibration(rows: &[Judged], labels: Vec<Label>, floor: Floor) -> Calibration {
    let mut tally = Tally::new(&calibrate(labels, floor), &rubric());
    for row in rows {
        tally.add(row);
    }
    tally.finish()
}

const NA: VerdictKind = VerdictKind::NotApplicable;
const P: VerdictKind = VerdictKind::Pass;
const F: VerdictKind = VerdictKind::Fail;

#[test]
fn a_label_is_about_the_very_reply_it_was_made_on() {
    let rows = [row("a", [P, NA, P]), row("b", [P, NA, P])];
    let mut stale = label("b", "kind", "al", Fail);
    stale.of.reply = reply_digest("what was answered before");
    let mut again = label("a", "kind", "al", Fail);
    again.of.repetition = 1;
    let labels = vec![
        label("a", "kind", "al", Pass),
        stale,
        again,
        label("c", "kind", "al", Pass),
        label("a", "code", "al", Fail),
    ];
    let found = calibration(&rows, labels, Floor::default());
    let LabelCounts { all, used, labellers, stale, elsewhere, not_asked, tied } = found.labels;
    assert_eq!((all, used, stale, elsewhere, not_asked, tied), (5, 1, 1, 2, 1, 0));
    assert_eq!(labellers, ["al"]);
    assert_eq!(found.verdicts.table, Confusion { both_pass: 1, ..Confusion::default() });
    assert_eq!((found.verdicts.judged_passed, found.verdicts.judged), (2, 2));
    assert_eq!(found.replies.table.n(), 1);
}

#[test]
fn a_reply_counts_where_all_that_is_asked_of_it_is_labelled() {
    let rows = [
        row("long/whole", [P, F, P]),
        row("long/part", [P, P, P]),
        row("long/tied", [P, P, P]),
        row("terse/whole", [F, NA, P]),
        row("terse/void", [P, NA, P]),
    ];
    let labels = vec![
        label("long/whole", "kind", "al", Pass),
        label("long/whole", "long", "al", Pass),
        label("long/part", "kind", "al", Fail),
        label("long/tied", "kind", "al", Pass),
        label("long/tied", "long", "al", Pass),
        label("long/tied", "long", "bo", Fail),
        label("terse/whole", "kind", "al", Fail),
        label("terse/whole", "long", "al", Pass),
        label("terse/void", "kind", "al", NotApplicable),
    ];
    let found = calibration(&rows, labels, Floor::default());
    // `long/whole`: people pass all three criteria, the judge only two of them, which is too little.
    let expected = Confusion { both_pass: 0, wrongly_failed: 1, wrongly_passed: 0, both_fail: 1 };
    assert_eq!(found.replies.table, expected);
    // Of `terse/void` only the check applies to people, which is too little of the weight for a grade.
    assert_eq!(found.replies_left_out, RepliesLeftOut { incomplete: 1, tied: 1, ungraded: 1 });
    assert_eq!((found.labels.not_asked, found.labels.tied), (1, 1), "the condition holds for long ones alone");
    let of = |id: &str| &found.criteria.iter().find(|of| of.criterion.as_str() == id).unwrap().compared;
    assert_eq!(of("kind").table, Confusion { both_pass: 2, wrongly_failed: 0, wrongly_passed: 1, both_fail: 1 });
    assert_eq!(of("kind").not_compared, 1);
    assert_eq!(of("long").table, Confusion { wrongly_failed: 1, ..Confusion::default() });
    assert_eq!(found.criteria.len(), 2, "what code decides needs no calibration");
    assert_eq!(found.between_labellers.unwrap().items, 1);
}

/// Rows and labels that come to a given table of one criterion.
fn table(counts: [u64; 4]) -> (Vec<Judged>, Vec<Label>) {
    let kinds = [(Pass, P), (Pass, F), (Fail, P), (Fail, F)];
    let mut rows = Vec::new();
    let mut labels = Vec::new();
    for ((truth, judged), count) in kinds.into_iter().zip(counts) {
        for _ in 0..count {
            let id = format!("terse/{}", rows.len());
            rows.push(row(&id, [judged, NA, P]));
            labels.push(label(&id, "kind", "al", truth));
        }
    }
    (rows, labels)
}

#[test]
fn the_numbers_are_those_of_the_reference_vectors() {
    let (rows, labels) = table([40, 5, 3, 2]);
    let found = calibration(&rows, labels, Floor::default());
    let kappa = found.verdicts.kappa.unwrap();
    assert!((kappa.point - 0.245_283).abs() < 1e-6 && kappa.lo < 0.0 && kappa.hi > 0.5, "{kappa:?}");
    assert!((found.verdicts.ac1.unwrap().point - 0.797_160).abs() < 1e-6);
    let sensitivity = found.verdicts.sensitivity.unwrap();
    assert!((sensitivity.point - 40.0 / 45.0).abs() < 1e-12);
    let stats::Interval { lo, hi } = stats::wilson(40.0, 45.0, 0.95);
    assert!((sensitivity.lo - lo).abs() < 1e-12 && (sensitivity.hi - hi).abs() < 1e-12);
    assert_eq!(found.needed.len(), 2);
    assert!(found.needed[0].replies < found.needed[1].replies);
}

fn lights_of(found: &Calibration) -> Vec<(&str, Signal)> {
    found.lights.iter().map(|light| (light.measure.as_str(), light.light)).collect()
}

#[test]
fn agreement_on_all_of_a_few_is_not_certain() {
    let (rows, labels) = table([6, 0, 0, 4]);
    let found = calibration(&rows, labels, Floor::default()).verdicts;
    for measured in [found.kappa.unwrap(), found.ac1.unwrap()] {
        assert!((measured.point - 1.0).abs() < 1e-12 && measured.hi >= 1.0, "{measured:?}");
        assert!(measured.lo > 0.25 && measured.lo < 0.6, "{measured:?}");
    }
}

#[test]
fn lights_and_floor() {
    use Signal::{Amber, Green, Red};
    for (counts, expected) in [
        ([45, 2, 2, 45], [Green, Green, Green]),
        ([18, 4, 3, 18], [Amber, Amber, Amber]),
        ([10, 10, 10, 10], [Amber, Red, Red]),
        ([60, 0, 0, 0], [Green, Red, Green]),
        ([0, 0, 0, 0], [Red, Red, Red]),
        ([8, 0, 0, 8], [Red, Green, Green]),
    ] {
        let (rows, labels) = table(counts);
        let found = calibration(&rows, labels, Floor::default());
        let lights = lights_of(&found);
        let [labels, informedness, agreement] = expected;
        assert_eq!(
            lights[..3],
            [("labels", labels), ("informedness", informedness), ("agreement", agreement)],
            "{counts:?} {:?}",
            found.lights
        );
        let reds = lights.iter().filter(|(_, light)| *light == Red).count();
        assert_eq!(found.distrust().len(), reds, "{counts:?}");
    }
    let (rows, labels) = table([40, 5, 3, 2]);
    let floor = Floor { kappa: Some(0.6), ac1: Some(0.7), sensitivity: Some(0.9), specificity: None };
    let found = calibration(&rows, labels.clone(), floor);
    let met: Vec<(&str, bool)> = found.floor.iter().map(|bound| (bound.measure.as_str(), bound.met)).collect();
    assert_eq!(met, [("kappa", false), ("ac1", true), ("sensitivity", false)]);
    assert!(
        found.distrust().contains(&"Cohen's κ is 0.24, below the 0.6 asked for".to_owned()),
        "{:?}",
        found.distrust()
    );
    let (rows, labels) = table([60, 0, 0, 0]);
    let floor = Floor { kappa: Some(0.0), ..Floor::default() };
    let found = calibration(&rows, labels, floor);
    assert!(!found.floor[0].met, "what cannot be said meets no bound");
}

#[test]
fn answers_that_change_when_asked_again_are_counted() {
    let votes = |pass, fail, ungraded| Some(Votes { pass, fail, not_applicable: 0, ungraded });
    let mut rows: Vec<Judged> = (0..4).map(|at| row(&format!("terse/{at}"), [P, NA, P])).collect();
    for (row, votes) in rows.iter_mut().zip([votes(3, 0, 0), votes(2, 1, 0), votes(0, 3, 0), votes(1, 0, 2)]) {
        row.verdicts[0].votes = votes;
    }
    let steadiness = calibration(&rows, Vec::new(), Floor::default()).steadiness.unwrap();
    assert_eq!((steadiness.items, steadiness.asked), (3, 3), "one had only one answer");
    assert!(
        (steadiness.disagreement - 2.0 / 9.0).abs() < 1e-12 && (steadiness.flipped.point - 1.0 / 3.0).abs() < 1e-12
    );
}

#[test]
fn unreadable_verdicts_count_where_there_is_a_reply() {
    let mut rows: Vec<Judged> = (0..10).map(|at| row(&format!("terse/{at}"), [P, NA, P])).collect();
    rows[0] = row("terse/0", [VerdictKind::Ungraded, NA, P]);
    rows[1] = Judged { reply: None, ..row("terse/1", [VerdictKind::Ungraded, NA, VerdictKind::Ungraded]) };
    let found = calibration(&rows, Vec::new(), Floor::default());
    let light = found.lights.iter().find(|light| light.measure == "unreadable").unwrap();
    assert!((light.value.unwrap() - 1.0 / 9.0).abs() < 1e-12 && light.light == Signal::Red);
}

#[test]
fn only_what_decides_is_in_the_recipe() {
    let of = |labels: Vec<Label>, floor: Floor| fields(&calibrate(labels, floor), &rubric());
    let (_, labels) = table([2, 1, 0, 1]);
    let before = of(labels.clone(), Floor::default());
    let moved = spec::Calibrate { gold: "elsewhere.jsonl".into(), ..calibrate(labels.clone(), Floor::default()) };
    assert_eq!(before, fields(&moved, &rubric()));
    assert_ne!(before, of(labels[1..].to_vec(), Floor::default()));
    assert_ne!(before, of(labels.clone(), Floor { kappa: Some(0.6), ..Floor::default() }));
    let mut other = rubric();
    other.criteria[0].weight = 2.0;
    assert_ne!(before, fields(&calibrate(labels, Floor::default()), &other));
}

proptest! {
    #[test]
    fn the_order_of_rows_and_labels_is_nothing(
        counts in [0_u64..4, 0..4, 0..4, 0..4], seed in 0_u64..1000,
    ) {
        let (mut rows, mut labels) = table(counts);
        let before = calibration(&rows, labels.clone(), Floor::default());
        let mut random = stats::Random::new(seed, "order", 0);
        let order = random.order(u32::try_from(rows.len()).unwrap());
        rows = order.iter().map(|at| rows[*at as usize].clone()).collect();
        labels = order.iter().rev().map(|at| labels[*at as usize].clone()).collect();
        prop_assert_eq!(before, calibration(&rows, labels, Floor::default()));
    }

    /// Renaming both classes turns sensitivity into specificity and leaves every coefficient of agreement as it is.
    #[test]
    fn the_names_of_classes_are_nothing(counts in [0_u64..9, 0..9, 0..9, 0..9]) {
        let of = |counts| {
            let (rows, labels) = table(counts);
            calibration(&rows, labels, Floor::default()).verdicts
        };
        let [a, b, c, d] = counts;
        let (one, other) = (of([a, b, c, d]), of([d, c, b, a]));
        prop_assert_eq!(one.sensitivity, other.specificity);
        prop_assert_eq!(one.kappa.is_some(), other.kappa.is_some());
        if let (Some(one), Some(other)) = (one.kappa, other.kappa) {
            prop_assert!((one.point - other.point).abs() < 1e-12);
        }
        if let (Some(one), Some(other)) = (one.ac1, other.ac1) {
            prop_assert!((one.point - other.point).abs() < 1e-12 && (one.lo - other.lo).abs() < 1e-12);
        }
    }
}
