//! Whole reports over hand-made inputs.

use std::collections::BTreeMap;

use serde_json::Value;

use super::fixture::*;
use super::{Inputs, ReportModel, build, json};
use crate::data::{Judged, Outcome};
use crate::spec;
use crate::stage::sample;

/// Row counts that lead to each outcome.
const OUTCOMES: [(Outcome, [usize; 4]); 5] = [
    (Outcome::Deploy, [8, 42, 0, 0]),
    (Outcome::FineTune, [40, 60, 0, 0]),
    (Outcome::FullPipeline, [35, 15, 0, 0]),
    (Outcome::Inconclusive, [21, 33, 1, 1]),
    (Outcome::Blocked, [10, 30, 14, 0]),
];

fn report_of([failed, passed, ungraded, invalid]: [usize; 4]) -> ReportModel {
    report(&rows(failed, passed, ungraded, invalid))
}

#[test]
fn a_whole_report() {
    insta::assert_snapshot!("markdown", markdown_text(&report_of([21, 33, 1, 1])));
}

#[test]
fn next_steps_follow_from_the_outcome() {
    let mut steps = String::new();
    for (outcome, counts) in OUTCOMES {
        let model = report_of(counts);
        assert_eq!(model.decision.as_ref().map(|decision| decision.outcome), Some(outcome));
        let text = markdown_text(&model);
        let start = text.find("\n## Next steps\n").unwrap();
        let end = text.find("\n## Reproduce\n").unwrap();
        steps.push_str(&text[..text.find("\n## Model selection\n").unwrap()]);
        steps.push_str(&text[start..end]);
        steps.push_str("\n----------------------------------------\n\n");
    }
    insta::assert_snapshot!("outcomes", steps);
}

#[test]
fn the_first_step_knows_the_odd_cases() {
    for (counts, expected) in [
        ([50, 50, 0, 0], "The rate lies on the threshold of 50 %: more scenarios alone will not settle that."),
        ([0, 0, 0, 0], "there are no scenarios to answer"),
        ([0, 0, 0, 3], "Mend the rubric"),
        ([0, 0, 3, 0], "Mend the judge"),
    ] {
        let model = report_of(counts);
        assert!(model.next_steps[0].text.contains(expected), "{counts:?}: {:?}", model.next_steps);
        assert!(markdown_text(&model).contains("\n## Next steps\n\n1. "));
        assert!(terminal_text(&model, false, 80).contains("Next: "));
    }
}

#[test]
fn terminal_summaries() {
    let mut all = String::new();
    for (_, counts) in OUTCOMES {
        let model = report_of(counts);
        for width in [60, 100] {
            let text = terminal_text(&model, false, width);
            assert!(text.lines().count() <= 25, "{text}");
            assert!(text.lines().all(|line| line.chars().count() <= width), "{text}");
            all.push_str(&text);
            all.push_str("\n----------------------------------------\n\n");
        }
        let colored = terminal_text(&model, true, 60);
        let mut plain = String::new();
        for (index, piece) in colored.split('\u{1b}').enumerate() {
            plain.push_str(if index == 0 { piece } else { &piece[piece.find('m').unwrap() + 1..] });
        }
        assert_ne!(colored, plain);
        assert_eq!(plain, terminal_text(&model, false, 60), "color changes no letter");
    }
    insta::assert_snapshot!("terminal", all);
    let inconclusive = terminal_text(&report_of([21, 33, 1, 1]), true, 100);
    insta::assert_snapshot!("terminal_color", inconclusive.replace('\u{1b}', "ESC"));
}

/// A report on those of so many failed, passed and ungraded rows that are looked at before the decision is settled.
fn looked_at(decide: &spec::Decide, [failed, passed, ungraded]: [usize; 3]) -> ReportModel {
    let all = rows(failed, passed, ungraded, 0);
    let unit = if decide.target == spec::Target::Suite { &spec::ClusterBy::Nothing } else { &decide.cluster };
    let scenarios = all.len() as u64;
    let first = if scenarios > 100 { 5 } else { 0 };
    let look = |now: u32| {
        let place = |row: &Judged| sample::place(decide.seed, unit, &row.scenario);
        let rows: Vec<Judged> = all.iter().filter(|row| sample::round_of(place(row), first) >= now).cloned().collect();
        let sequential = Some(spec::Looks { first, now, scenarios });
        let decision = decision_by(&spec::Decide { sequential, ..decide.clone() }, &rows);
        (!decision.goes_on()).then(|| report_with(&rows, decision))
    };
    (0..=first).rev().find_map(look).expect("the last look ends it")
}

#[test]
fn looks_are_told() {
    let pipeline = pipeline();
    let spec::Stage::Decide(usual) = &pipeline.stages[&stage_id("decision")] else { panic!("it decides") };
    let suite = spec::Decide { target: spec::Target::Suite, ..usual.clone() };
    let by_topic = spec::Decide { cluster: spec::ClusterBy::Topic, ..usual.clone() };
    let mut all = String::new();
    for (name, model) in [
        ("settled early", looked_at(usual, [16, 220, 4])),
        ("never settled", looked_at(usual, [86, 154, 0])),
        ("of a suite", looked_at(&suite, [42, 196, 2])),
        ("of few topics", looked_at(&by_topic, [12, 228, 0])),
        ("of few scenarios", looked_at(usual, [2, 24, 0])),
    ] {
        let screen = terminal_text(&model, false, 100);
        assert!(screen.lines().count() <= 25, "{screen}");
        let text = markdown_text(&model);
        let part = |from: &str, to: &str| {
            let part = &text[text.find(from).unwrap()..];
            part[..part[1..].find(to).unwrap() + 1].to_owned()
        };
        let decided = part("\n## Decision\n", "\n## ");
        let rates = part("\n### Pass rate\n", "\n## ");
        all.extend([&format!("======== {name}\n\n"), &screen, "\n--------\n", &decided, "\n--------\n", &rates, "\n"]);
        let mut out = Vec::new();
        json(&model, &mut out).unwrap();
        let value: Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(value["decision"]["sequential"]["stopped"], true);
    }
    insta::assert_snapshot!("looks", all);
}

#[test]
fn a_report_without_a_decision_is_still_a_report() {
    let pipeline = pipeline();
    let model = build(Inputs {
        pipeline: &pipeline,
        date: "2026-11-22".to_owned(),
        command: "evalflow run pipelines/therapy.yaml".to_owned(),
        engine: None,
        stages: Vec::new(),
        candidates: None,
        catalogs: Vec::new(),
        weights: Vec::new(),
        coverage: None,
        judging: BTreeMap::new(),
        preferences: Vec::new(),
        calibrations: Vec::new(),
        reviews: Vec::new(),
        decision: None,
        comparisons: Vec::new(),
        latency: Vec::new(),
        notes: Vec::new(),
    });
    insta::assert_snapshot!(
        "empty",
        format!("{}\n======\n{}", markdown_text(&model), terminal_text(&model, false, 80))
    );
}

#[test]
fn foreign_texts_make_no_structure() {
    let mut rows = rows(21, 33, 0, 0);
    for row in &mut rows {
        row.scenario.topic = HOSTILE.to_owned();
        row.scenario.opening = HOSTILE.to_owned();
        row.reply = Some(HOSTILE.to_owned());
        row.verdicts.iter_mut().for_each(|verdict| verdict.reason = HOSTILE.to_owned());
    }
    let mut model = report(&rows);
    HOSTILE.clone_into(&mut model.name);
    model.weights[0].record.license = Some(HOSTILE.to_owned());
    model.notes = vec![HOSTILE.to_owned()];
    let text = markdown_text(&model);
    let plain = markdown_text(&report(&self::rows(21, 33, 0, 0)));
    let headings = |text: &str| -> Vec<String> {
        let lines = text.lines().filter(|line| line.trim_start_matches(['>', ' ']).starts_with('#'));
        lines.filter(|line| !line.starts_with("# ")).map(ToOwned::to_owned).collect()
    };
    assert_eq!(headings(&text), headings(&plain));
    for bad in ["](", "<script", "<img", "://", "www.", "@octocat", "\u{1b}", "\u{202e}", "\n> |", "\n> ```"] {
        let found = text.match_indices(bad).find(|(place, _)| !text[..*place].ends_with('\\'));
        assert_eq!(found, None, "{bad:?}");
    }
    let screen = terminal_text(&model, false, 100);
    assert!(!screen.contains(['\u{1b}', '\u{202e}']), "{screen}");
}

#[test]
fn json_has_the_documented_members() {
    let model = report_of([21, 33, 1, 1]);
    let mut out = Vec::new();
    json(&model, &mut out).unwrap();
    assert!(out.ends_with(b"}\n"));
    let value: Value = serde_json::from_slice(&out).unwrap();
    assert_eq!(value, serde_json::to_value(&model).unwrap());
    let mut members: Vec<&str> = value.as_object().unwrap().keys().map(String::as_str).collect();
    members.sort_unstable();
    let mut expected = [
        "report",
        "name",
        "description",
        "file",
        "date",
        "command",
        "headline",
        "judge_relative",
        "decision",
        "next_steps",
        "notes",
        "candidates",
        "weights",
        "coverage",
        "answered_by",
        "judged_by",
        "judging",
        "criteria",
        "stages",
        "engine",
    ];
    expected.sort_unstable();
    assert_eq!(members, expected);
    assert_eq!(value["report"], 1);
    assert_eq!(value["decision"]["outcome"], "inconclusive");
    assert_eq!(value["decision"]["rate"]["passed"], 33);
    assert_eq!(value["stages"][1]["rows"], Value::Null);
    assert!(!String::from_utf8(out).unwrap().contains("hush"));
}

#[test]
fn equal_inputs_give_equal_bytes() {
    let twice = [(); 2].map(|()| markdown_text(&report_of([21, 33, 1, 1])));
    assert_eq!(twice[0], twice[1]);
}
