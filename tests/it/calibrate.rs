//! Judges held against the labels of people: what a run says, what decides, and what is computed again.

use std::path::Path;

use serde_json::Value;

use crate::env::{Project, RUBRIC};

pub(crate) const FILE: &str = "pipelines/p.yaml";

/// The shipped example, in a project of its own.
pub(crate) fn example() -> Project {
    let project = Project::empty();
    for file in ["pipeline.yaml", "rubric.yaml", "messages.jsonl", "gold.jsonl"] {
        let name = format!("examples/calibrated/{file}");
        let text = fs_err::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(&name)).unwrap();
        project.write(&name, &text);
    }
    project.write(FILE, &project.read("examples/calibrated/pipeline.yaml"));
    project
}

fn point(value: &Value) -> f64 {
    value["point"].as_f64().unwrap()
}

#[test]
fn the_example_corrects_what_its_judge_gets_wrong() {
    let project = example();
    let output = project.run(&["run", FILE]).exits(0);
    insta::assert_snapshot!("example", output.stdout);
    let report = project.json();
    let decision = &report["report"]["decision"];
    assert_eq!(decision["outcome"], "fine_tune");
    assert!((point(&decision["rate"]) - 0.80).abs() < 1e-12, "as the judge sees it");
    // 60 of 100 truly pass, which nobody but the labels knows.
    let corrected = &decision["corrected"]["rate"];
    assert!((point(corrected) - 0.60).abs() < 0.01, "{corrected}");
    assert!(corrected["lo"].as_f64().unwrap() > 0.50 && corrected["hi"].as_f64().unwrap() < 0.70);
    assert_eq!(report["report"]["judge_relative"], false);
    let record = &report["report"]["calibrations"][0]["record"];
    assert_eq!(record["labels"]["labellers"], serde_json::json!(["ada", "ben"]));
    assert_eq!(record["between_labellers"]["items"], 48);
    assert_eq!(record["verdicts"]["table"]["wrongly_passed"], 24);
    let runs = project.json();
    assert_eq!(runs["report"], report["report"], "a second run says the same");
}

#[test]
fn the_report_shows_raw_and_corrected_rates() {
    let project = example();
    project.edit(FILE, "stages:\n", "report: { markdown: docs/report.md }\nstages:\n");
    drop(project.run(&["run", FILE]).exits(0));
    let report = project.read("docs/report.md");
    let section = report.split("\n## ").find(|section| section.starts_with("Judge and people")).unwrap();
    insta::assert_snapshot!("section", section);
}

#[test]
fn a_judge_below_the_floor_decides_nothing() {
    let project = example();
    project.edit(FILE, "kappa: 0.6", "kappa: 0.95");
    let output = project.run(&["run", FILE]).exits(4);
    assert!(output.stdout.contains("Not decided: the judge is not trusted."), "{output}");
    assert!(output.stdout.contains("judge not trusted: Cohen's κ is 0.70, below the 0.95 asked for"), "{output}");
    let json = project.json();
    assert_eq!(json["report"]["decision"]["outcome"], "inconclusive");
    assert_eq!(json["report"]["decision"]["corrected"]["distrust"].as_array().unwrap().len(), 1);
}

#[test]
fn without_labels_the_pipeline_runs_and_decides_nothing() {
    let project = example();
    project.edit(FILE, "gold: examples/calibrated/gold.jsonl", "gold: rubrics/new.gold.jsonl");
    let output = project.run(&["run", FILE]).exits(4);
    assert!(output.stderr.contains("there is no file `rubrics/new.gold.jsonl` yet"), "{output}");
    assert!(output.stdout.contains("the judge is not trusted"), "{output}");
}

#[test]
fn labels_of_the_base_model_are_carried_over_to_another() {
    let project = example();
    // Another prompt, and so replies of which nobody labelled any: the judge's errors alone are known.
    project.edit(FILE, "  trust:\n", "  tuned: { infer: { model: desk, scenarios: messages, max_tokens: 101 } }\n  again: { judge: { answers: tuned, rubric: examples/calibrated/rubric.yaml, model: judge } }\n  trust:\n");
    project.edit(FILE, "decide: { verdicts: verdicts,", "decide: { verdicts: again,");
    let report = project.json();
    let corrected = &report["report"]["decision"]["corrected"];
    assert_eq!(
        (corrected["transported"].as_bool(), corrected["rate"]["method"].as_str()),
        (Some(true), Some("lang_reiczigel"))
    );
    assert!((point(&corrected["rate"]) - 0.60).abs() < 0.02, "{corrected}");
    // A judge that asks otherwise is another judge.
    project.edit(
        FILE,
        "answers: tuned, rubric: examples/calibrated/rubric.yaml,",
        "answers: tuned, max_tokens: 64, rubric: examples/calibrated/rubric.yaml,",
    );
    let output = project.run(&["validate", FILE]).exits(2);
    assert!(output.stderr.contains("other_judge"), "{output}");
}

/// Which stages ran.
pub(crate) fn ran(report: &Value) -> Vec<&str> {
    let stages = report["run"]["stages"].as_array().unwrap();
    let ran = stages.iter().filter(|stage| stage["status"] == "run");
    ran.map(|stage| stage["stage"].as_str().unwrap()).collect()
}

#[test]
fn a_label_asks_no_model_and_a_note_computes_nothing() {
    let project = example();
    assert_eq!(ran(&project.json()), ["messages", "answers", "together", "verdicts", "trust", "decision"]);
    let calls = project.calls_kept();
    let gold = "examples/calibrated/gold.jsonl";
    let first = project.read(gold).lines().next().unwrap().to_owned();
    project.edit(gold, &first, &first.replace("\"reply\"", "\"note\": \"hm\", \"reply\""));
    assert!(ran(&project.json()).is_empty());
    let withdrawn = first
        .replace("\"verdict\": \"pass\"", "\"withdrawn\": true")
        .replace("\"verdict\": \"fail\"", "\"withdrawn\": true");
    assert_ne!(first, withdrawn);
    project.write(gold, &format!("{}{withdrawn}\n", project.read(gold)));
    assert_eq!(ran(&project.json()), ["trust", "decision"]);
    assert_eq!(project.calls_kept(), calls);
    let why = project.run(&["why", FILE, "trust"]).exits(0);
    assert!(why.stdout.contains("gold"), "{why}");
}

#[test]
fn a_calibrated_decision_is_frozen_and_verified_like_any_other() {
    let project = example();
    drop(project.run(&["run", FILE]).exits(0));
    drop(project.run(&["bless", FILE]).exits(0));
    let lock = project.read("pipelines/p.lock");
    assert!(lock.contains("poststratified_wilson") && lock.contains("outcome: fine_tune"), "{lock}");
    drop(project.run(&["run", FILE, "--frozen"]).exits(0));
    let output = project.run(&["verify", FILE]).exits(0);
    assert!(!output.stdout.contains("differ"), "{output}");
    project.edit(FILE, "kappa: 0.6", "kappa: 0.5");
    let output = project.run(&["run", FILE, "--frozen"]);
    assert_ne!(output.code, Some(0), "{output}");
}

#[test]
fn where_code_decides_alone_nothing_is_relative_to_a_judge() {
    let project = Project::scripted();
    assert_eq!(project.json()["report"]["judge_relative"], true);
    let checks: String =
        RUBRIC.lines().filter(|line| !line.contains("question")).map(|line| format!("{line}\n")).collect();
    project.write("rubrics/p.yaml", &checks);
    assert_eq!(project.json()["report"]["judge_relative"], false);
}
