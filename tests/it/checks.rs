//! Criteria that code decides, through the whole program.

use serde_json::Value;

use crate::env::{Output, Project};

fn shipped() -> Project {
    let project = Project::empty();
    for file in ["pipeline.yaml", "rubric.yaml", "questions.jsonl"] {
        let file = format!("examples/checks/{file}");
        let shipped = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(&file);
        project.write(&file, &fs_err::read_to_string(shipped).unwrap());
    }
    project
}

/// `scenario: criterion verdict (reason)` of each verdict that is no pass and does apply.
fn not_passed(project: &Project, run: &Value) -> Vec<String> {
    let mut found = Vec::new();
    for row in crate::logprob::rows(project, run, "verdicts") {
        for verdict in row["verdicts"].as_array().unwrap() {
            if !["pass", "not_applicable"].contains(&verdict["verdict"].as_str().unwrap()) {
                let text = |value: &Value| value.as_str().unwrap().to_owned();
                let (criterion, kind) = (text(&verdict["criterion"]), text(&verdict["verdict"]));
                found.push(format!(
                    "{} {criterion} {kind}: {}",
                    text(&row["scenario"]["id"]),
                    text(&verdict["reason"])
                ));
            }
        }
    }
    found
}

fn json(output: &Output) -> Value {
    serde_json::from_str(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output}"))
}

const RUN: [&str; 3] = ["run", "--json", "examples/checks/pipeline.yaml"];

#[test]
fn the_shipped_example_finds_what_is_wrong() {
    let project = shipped();
    let run = json(&project.run(&RUN).exits(4));
    assert_eq!(
        not_passed(&project, &run),
        [
            "capital/australia names-it fail: does not hold `Canberra`",
            "sum/root answers fail: refuses: `I'm sorry, but I can't`",
            "sum/root right-number fail: names no number, within 0.5 % of 1.414 is looked for",
        ]
    );
    assert_eq!(run["report"]["decision"]["counts"]["passed"], 5);
}

#[test]
fn a_changed_check_asks_nothing() {
    let project = shipped();
    drop(project.run(&RUN).exits(4));
    project.edit("examples/checks/rubric.yaml", "within: 0.5%", "within: 0.001%");
    let run = json(&project.run(&RUN).exits(4));
    assert_eq!(run["run"]["calls_made"], 0);
    assert!(not_passed(&project, &run).iter().any(|line| line.starts_with("sum/earth right-number fail")));
}

#[test]
fn a_reference_that_is_not_there_leaves_the_verdict_open() {
    let project = shipped();
    project.edit("examples/checks/questions.jsonl", ", \"reference\": \"144\"", "");
    let run = json(&project.run(&RUN));
    let open = "sum/product right-number ungraded: cannot be checked: `{{ scenario.reference }}` cannot be filled in: ";
    assert!(not_passed(&project, &run).iter().any(|line| line.starts_with(open)), "{:?}", not_passed(&project, &run));
}

#[test]
fn a_price_is_part_of_a_verdict_on_cost_and_of_no_other() {
    let project = shipped();
    drop(project.run(&RUN).exits(4));
    project.edit("examples/checks/pipeline.yaml", "completion: 0.40", "completion: 4000");
    let run = json(&project.run(&RUN));
    assert_eq!(run["run"]["calls_made"], 0);
    assert!(not_passed(&project, &run).iter().any(|line| line.contains(" cheap fail: costs $")));
}
