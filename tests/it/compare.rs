//! Comparisons from the pipeline file to the exit code.

use std::path::Path;

use serde_json::Value;

use crate::env::{Output, Project};

const FILE: &str = "examples/finetune/pipeline.yaml";
const UNCHANGED: &str = "examples/finetune/unchanged.yaml";

/// The example of a fine-tune, in a project of its own.
fn example() -> Project {
    let project = Project::empty();
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/finetune");
    for entry in fs_err::read_dir(shipped).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if path.is_file() {
            project.write(&format!("examples/finetune/{name}"), &fs_err::read_to_string(&path).unwrap());
        }
    }
    project
}

fn json(output: &Output) -> Value {
    serde_json::from_str(&output.stdout).unwrap_or_else(|error| panic!("{error}\n{output}"))
}

/// The only comparison of a run that ends with this code.
fn comparison(project: &Project, file: &str, code: i32) -> Value {
    let output = project.run(&["run", file, "--json"]).exits(code);
    json(&output)["report"]["comparisons"][0]["comparison"].clone()
}

#[test]
fn a_planted_improvement_and_a_planted_loss_are_both_found() {
    let project = example();
    let output = project.run(&["run", FILE]).exits(3);
    insta::assert_snapshot!("finetune", output.stdout);
    let found = comparison(&project, FILE, 3);
    assert_eq!(found["verdict"], "improved");
    let target = &found["target"];
    // Of ten orders six passed, three more do now, and one does no longer.
    assert_eq!((&target["counts"]["gains"], &target["counts"]["losses"]), (&72.into(), &24.into()));
    assert_eq!(target["difference"]["method"], "newcombe_paired");
    assert_eq!(target["tests"]["p"], target["tests"]["mcnemar_midp"]);
    let guard = &found["guards"][0];
    assert_eq!((&guard["name"], &guard["gate"]["verdict"]), (&"arithmetic".into(), &"failed".into()));
    assert_eq!(
        (&guard["contrast"]["counts"]["gains"], &guard["contrast"]["counts"]["losses"]),
        (&0.into(), &30.into())
    );
    assert_eq!(guard["contrast"]["losses"]["criteria"], serde_json::json!([["settles", 30]]));
}

#[test]
fn where_nothing_is_planted_nothing_is_found() {
    let project = example();
    let found = comparison(&project, UNCHANGED, 3);
    assert_eq!((&found["verdict"], &found["gate"]), (&"no_difference".into(), &"failed".into()));
    assert_eq!(found["guards"][0]["gate"]["verdict"], "passed");
    // Whoever asks for no improvement is content with that.
    project.edit(UNCHANGED, "      seed: 7\n", "      seed: 7\n      goal: hold\n");
    let held = comparison(&project, UNCHANGED, 0);
    assert_eq!((&held["verdict"], &held["gate"]), (&"no_difference".into(), &"passed".into()));
    assert_eq!(held["held"]["verdict"], "passed");
}

#[test]
fn the_markdown_report_tells_it_in_words_first() {
    let project = example();
    project.edit(FILE, "\nstages:", "\nreport: { markdown: docs/report.md }\nstages:");
    assert_eq!(project.run(&["run", FILE]).code, Some(3));
    let report = project.read("docs/report.md");
    let (before, rest) = report.split_once("## Comparison: comparison").unwrap();
    assert!(before.contains("# Comparison: finetune\n") && before.contains("**Not to be taken:**"), "{before}");
    let (section, rest) = rest.split_once("## Model selection").unwrap();
    let (_, steps) = rest.split_once("## Next steps").unwrap();
    assert!(steps.contains("`arithmetic`: 30 replies that passed fail now"), "{steps}");
    insta::assert_snapshot!("finetune_markdown", section);
}

#[test]
fn other_margins_ask_nothing_again_and_a_margin_alone_may_pass_a_guard() {
    let project = example();
    assert_eq!(project.run(&["run", FILE]).code, Some(3));
    project.edit(FILE, "margin: 0.05", "margin: 0.2");
    let output = project.run(&["run", FILE, "--json"]).exits(0);
    let run = &json(&output)["run"];
    assert_eq!(run["calls"], run["calls_cached"], "{run}");
    assert_eq!(json(&output)["report"]["comparisons"][0]["comparison"]["guards"][0]["gate"]["verdict"], "passed");
    let why = project.run(&["why", FILE, "comparison"]);
    assert!(why.stdout.contains("guard_margins.arithmetic"), "{why}");
}

#[test]
fn few_topics_are_inconclusive_unless_scenarios_are_said_to_be_independent() {
    let project = example();
    for file in ["examples/finetune/refunds.jsonl", "examples/finetune/arithmetic.jsonl"] {
        let lines: Vec<String> = project
            .read(file)
            .lines()
            .map(|line| {
                let mut row: Value = serde_json::from_str(line).unwrap();
                row["topic"] = "one".into();
                format!("{row}\n")
            })
            .collect();
        project.write(file, &lines.concat());
    }
    let found = comparison(&project, FILE, 3);
    assert_eq!(found["verdict"], "inconclusive");
    assert!(found["reasons"][0].as_str().unwrap().starts_with("1 topic"), "{found}");
    project.edit(FILE, "      seed: 7\n", "      seed: 7\n      cluster: none\n");
    assert_eq!(comparison(&project, FILE, 3)["verdict"], "improved");
}

#[test]
fn a_decision_and_a_comparison_end_with_the_worse_of_both() {
    let project = example();
    project.edit(UNCHANGED, "      seed: 7\n", "      seed: 7\n      goal: hold\n");
    project.edit(
        UNCHANGED,
        "  comparison:",
        "  decision: { decide: { verdicts: refunds-tuned-verdicts, deploy: 0.9, fine_tune: 0.2, gate: deploy } }\n  comparison:",
    );
    // The comparison alone would end with 0; the decision is for fine-tuning, or leaves it open.
    let output = project.run(&["run", UNCHANGED]);
    assert!(matches!(output.code, Some(3 | 4)), "{output}");
    assert!(output.stdout.contains("Comparison `comparison`") && output.stdout.contains("Gate (deploy)"), "{output}");
    project.edit(UNCHANGED, "deploy: 0.9, fine_tune: 0.2, gate: deploy", "deploy: 0.4, fine_tune: 0.2, gate: deploy");
    assert_eq!(project.run(&["run", UNCHANGED]).code, Some(0));
    project.edit(UNCHANGED, "      goal: hold\n", "");
    assert_eq!(project.run(&["run", UNCHANGED]).code, Some(3), "deploy, and no improvement");
}

#[test]
fn ungraded_rows_end_with_6_and_are_named() {
    let project = example();
    // A tenth of the fine-tune's replies is rejected: no reply, no grade.
    project.edit(
        FILE,
        "        - { match: \"(?i)order \\\\d|parcel \\\\d\", reply: \"Please ask the seller.\" }\n        - { match: \"\\\\b\\\\d\\\\d[0-7]\\\\b\"",
        "        - { match: \"(?i)(order|parcel) \\\\d+5\", reply: \"Please ask the seller.\" }\n        - { match: \"\\\\b\\\\d\\\\d[0-7]\\\\b(?s).*sum\"",
    );
    project.edit(FILE, "      otherwise: \"Would you like a refund for that?\"\n", "");
    let output = project.run(&["run", FILE]);
    assert_eq!(output.code, Some(6), "{output}");
    assert!(output.stdout.contains("lack a verdict, more than the 5 % allowed"), "{output}");
}

#[test]
fn a_comparison_is_frozen_and_verified() {
    let project = example();
    assert_eq!(project.run(&["run", FILE]).code, Some(3));
    let bless = project.run(&["bless", FILE]);
    assert_eq!(bless.code, Some(0), "{bless}");
    assert_eq!(project.run(&["run", FILE, "--frozen"]).code, Some(3));
    let verified = project.run(&["verify", FILE]);
    assert_eq!(verified.code, Some(0), "{verified}");
    let history = project.run(&["history", FILE]);
    assert!(history.stdout.contains("improved"), "{history}");
}

#[test]
fn what_a_comparison_came_to_is_in_the_lock() {
    let project = example();
    project.run(&["run", FILE]).exits(3);
    let first = project.run(&["bless", FILE]).exits(0);
    let told = first.stdout.lines().find(|line| line.contains("improved, gate failed, +")).unwrap_or_default();
    assert!(told.ends_with(" rows"), "{first}");
    let lock = FILE.replace(".yaml", ".lock");
    let written = project.read(&lock);
    assert!(written.contains("\ncomparisons:\n") && written.contains("    verdict: improved\n"), "{written}");
    // Who edits it is found out, and who changes the pipeline sees what that does to the verdict.
    project.write(&lock, &written.replace("    verdict: improved\n", "    verdict: regressed\n"));
    let edited = project.run(&["verify", FILE]).exits(1);
    assert!(edited.stderr.contains("it was edited"), "{edited}");
    project.write(&lock, &written);
    project.edit(FILE, "    compare:\n", "    compare:\n      min_improvement: 0.15\n");
    project.run(&["run", FILE]).exits(3);
    let second = project.run(&["bless", FILE]).exits(0);
    assert!(second.stdout.contains(": improved, gate failed, "), "{second}");
    assert!(second.stdout.contains(" → inconclusive, gate failed, "), "{second}");
    let json = project.run(&["bless", FILE, "--check", "--json"]).exits(0);
    assert!(json.stdout.contains("\"moves\""), "{json}");
}
