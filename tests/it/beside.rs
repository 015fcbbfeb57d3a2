//! Two judges beside each other: what a run says of them, and what is computed again.

use serde_json::json;

use crate::calibrate::{FILE, example, ran};
use crate::env::Project;

const SECOND: &str = "model: judge, mode: together }";

/// The example with a second judge that passes everything: wrong about all that people fail, right about all that they pass.
fn with_a_lenient_judge() -> Project {
    let project = example();
    project.edit(
        FILE,
        "  judge:\n    scripted:",
        "  lenient: { scripted: { otherwise: '{\"evidence\":\"\",\"reason\":\"fine\",\"verdict\":\"pass\"}' } }\n  judge:\n    scripted:",
    );
    project.edit(FILE, SECOND, "model: lenient }");
    project.edit(FILE, "stages:\n", "report: { markdown: docs/report.md }\nstages:\n");
    project
}

/// The part of the Markdown report on both judges.
fn section(project: &Project) -> String {
    let report = project.read("docs/report.md");
    let section = report.split("\n### ").find(|section| section.starts_with("Beside")).unwrap();
    section.split("\n## ").next().unwrap().to_owned()
}

#[test]
fn a_judge_that_is_worse_is_told_from_the_first() {
    let project = with_a_lenient_judge();
    let json = project.json();
    let calibration = &json["report"]["calibrations"][0];
    let found = &calibration["record"]["beside"];
    // Of 239 labelled verdicts people pass 151, of which the first judge passes 143; of the 88 others it fails 64.
    assert_eq!(found["rights"], json!({ "both": 143, "only_first": 64, "only_second": 8, "neither": 24 }));
    assert_eq!(
        found["second"]["table"],
        json!({ "both_pass": 151, "wrongly_failed": 0, "wrongly_passed": 88, "both_fail": 0 })
    );
    assert_eq!(found["first"]["table"], calibration["record"]["verdicts"]["table"]);
    assert_eq!(found["first"]["agreed"]["kappa"], calibration["record"]["verdicts"]["kappa"]);
    let difference = &found["difference"];
    assert!((difference["point"].as_f64().unwrap() + 56.0 / 239.0).abs() < 1e-12, "{difference}");
    assert!(difference["hi"].as_f64().unwrap() < 0.0 && found["p"].as_f64().unwrap() < 1e-6, "{found}");
    // A judge that passes everything is wrong on both questions of a reply at once.
    let clusters = &found["clusters"];
    assert!(clusters["clusters"] == 120 && clusters["design_effect"].as_f64().unwrap() > 1.5, "{clusters}");
    // All 200 replies and both questions, of which the first judge passes 160 and 168.
    assert_eq!(
        found["each_other"]["table"],
        json!({ "both_pass": 328, "only_first_passes": 0, "only_second_passes": 72, "both_fail": 0 })
    );
    assert_eq!(
        (&calibration["beside"]["first"], &calibration["beside"]["second"]),
        (&json!("verdicts"), &json!("together"))
    );
    let headline = calibration["beside"]["headline"].as_str().unwrap();
    assert!(
        headline
            .starts_with("`together` agrees less with people than `verdicts`: by 23.4 points on 239 labelled verdicts"),
        "{headline}"
    );
    let output = project.run(&["run", FILE]).exits(0);
    assert!(output.stdout.contains("Judges and people, on 239 labelled verdicts of 120 scenarios\n"), "{output}");
    insta::assert_snapshot!("lenient", section(&project));
}

#[test]
fn a_difference_that_so_few_labels_do_not_show_is_called_so() {
    let report = &example().json()["report"]["calibrations"][0];
    assert_eq!(
        report["beside"]["headline"],
        "`together` agrees with people on 1.3 points less than `verdicts` (−4.5 to +1.9, p 0.424): not told apart by 239 \
         labelled verdicts of 120 scenarios, which show reliably only differences of 4.2 points or more"
    );
    let found = &report["record"]["beside"];
    let size = found["difference"]["point"].as_f64().unwrap().abs();
    assert!(size > 0.0 && size < found["detectable"].as_f64().unwrap(), "{found}");
}

#[test]
fn what_a_judge_leaves_open_is_counted() {
    let project = with_a_lenient_judge();
    // Of refunds it writes nothing that can be read.
    project.edit(
        FILE,
        "lenient: { scripted: { otherwise:",
        "lenient: { scripted: { replies: [{ match: 'REPLY\\nRefunded', reply: hm }], otherwise:",
    );
    let json = project.json();
    let record = &json["report"]["calibrations"][0]["record"];
    let found = &record["beside"];
    // Eight refunds were labelled, on both questions; the first judge was wrong on one of them.
    assert_eq!(found["left_open"], json!({ "first": 0, "second": 16, "both": 0 }));
    assert_eq!(found["rights"], json!({ "both": 135, "only_first": 64, "only_second": 0, "neither": 24 }));
    assert_eq!(found["each_other"]["left_open"], 16);
    assert_eq!(record["verdicts"]["not_compared"], 0, "the first judge left nothing open");
    assert!(section(&project).contains("Not among them are those that were left open: 16 by `together`."));
}

#[test]
fn a_changed_label_computes_the_calibration_alone() {
    let project = with_a_lenient_judge();
    let first = project.json();
    assert_eq!(ran(&first), ["messages", "answers", "together", "verdicts", "trust", "decision"]);
    let calls = project.calls_kept();
    let gold = "examples/calibrated/gold.jsonl";
    let text = project.read(gold);
    let label = text.lines().next().unwrap();
    let withdrawn = label.replace("\"verdict\": \"pass\"", "\"withdrawn\": true");
    assert_ne!(label, withdrawn);
    project.write(gold, &format!("{text}{withdrawn}\n"));
    assert_eq!(ran(&project.json()), ["trust", "decision"]);
    assert_eq!(project.calls_kept(), calls);
}

#[test]
fn plan_and_why_name_the_second_judge() {
    let project = with_a_lenient_judge();
    drop(project.run(&["run", FILE]).exits(0));
    project.edit(FILE, "\"fine\"", "\"good\"");
    let plan = project.run(&["plan", FILE]).exits(0);
    assert!(plan.stdout.contains("calibrate  waits for `together`"), "{plan}");
    drop(project.run(&["run", FILE, "--only", "together"]));
    let why = project.run(&["why", FILE, "trust"]).exits(0);
    assert!(why.stdout.contains("beside"), "{why}");
    assert!(!why.stdout.contains("\n    ~ verdicts"), "{why}");
}

#[test]
fn both_judges_are_in_the_lock() {
    let project = with_a_lenient_judge();
    drop(project.run(&["run", FILE]).exits(0));
    drop(project.run(&["bless", FILE]).exits(0));
    drop(project.run(&["run", FILE, "--frozen"]).exits(0));
    let output = project.run(&["verify", FILE]).exits(0);
    assert!(!output.stdout.contains("differ"), "{output}");
    project.edit(FILE, "beside: together, ", "");
    let output = project.run(&["run", FILE, "--frozen"]);
    assert!(output.code != Some(0) && output.to_string().contains("beside"), "{output}");
}

#[test]
fn who_names_no_second_judge_reads_nothing_of_one() {
    let project = example();
    project.edit(FILE, "beside: together, ", "");
    let json = project.json();
    let calibration = &json["report"]["calibrations"][0];
    assert!(calibration.get("beside").is_none() && calibration["record"].get("beside").is_none(), "{calibration}");
    assert!(!project.run(&["run", FILE]).exits(0).stdout.contains("Judges and people"));
}
