//! What is asked again, and what is not.

use std::process::Child;

use serde_json::Value;

use crate::env::{PIPELINE, Project, TAXONOMY};

/// Five scenarios, each with one answer and two judged criteria.
const SCENARIOS: u64 = 5;
const CALLS: u64 = SCENARIOS * 3;

fn made(run: &Value) -> u64 {
    run["run"]["calls_made"].as_u64().unwrap()
}

fn statuses(run: &Value) -> Vec<&str> {
    run["run"]["stages"].as_array().unwrap().iter().map(|stage| stage["status"].as_str().unwrap()).collect()
}

fn stage<'a>(run: &'a Value, id: &str) -> &'a Value {
    run["run"]["stages"].as_array().unwrap().iter().find(|stage| stage["stage"] == id).unwrap()
}

/// Runs a fresh project, edits it, and tells what the second run does: calls made, and the status of each stage.
fn check(edit: impl Fn(&Project), calls: u64, expected: [&str; 4]) {
    let project = Project::scripted();
    assert_eq!(made(&project.json()), CALLS, "the first run asks everything");
    edit(&project);
    let again = project.json();
    assert_eq!((made(&again), statuses(&again).as_slice()), (calls, expected.as_slice()));
}

#[test]
fn a_second_run_asks_nothing_and_rewrites_nothing() {
    let project = Project::scripted();
    let first = project.json();
    assert_eq!((made(&first), statuses(&first)), (CALLS, vec!["run"; 4]));
    let report = project.path("docs/report.md");
    let before = (fs_err::read(&report).unwrap(), fs_err::metadata(&report).unwrap().modified().unwrap());
    let objects = crate::env::all_bytes(&project.path("cache/objects"));
    let second = project.json();
    assert_eq!((made(&second), statuses(&second)), (0, vec!["cached"; 4]));
    assert_eq!(before, (fs_err::read(&report).unwrap(), fs_err::metadata(&report).unwrap().modified().unwrap()));
    assert_eq!(objects, crate::env::all_bytes(&project.path("cache/objects")));
    assert_eq!(first["report"], second["report"]);
}

#[test]
fn a_cold_run_elsewhere_gives_the_same_bytes() {
    let (one, two) = (Project::scripted(), Project::scripted());
    assert_eq!(one.json()["report"], two.json()["report"]);
    assert_eq!(one.read("docs/report.md"), two.read("docs/report.md"));
}

#[test]
fn one_edited_scenario_is_one_answer_and_its_verdicts() {
    check(|project| project.edit("scenarios/p.yaml", "awake again", "awake again, why"), 3, ["run"; 4]);
}

#[test]
fn one_added_criterion_asks_that_criterion_only() {
    let added = "  - { id: short, question: Is the reply short? }\n";
    let edit = |project: &Project| project.write("rubrics/p.yaml", &(project.read("rubrics/p.yaml") + added));
    check(edit, SCENARIOS, ["cached", "cached", "run", "run"]);
}

#[test]
fn one_changed_criterion_asks_that_criterion_only() {
    let edit = |project: &Project| project.edit("rubrics/p.yaml", "ask something?", "ask one thing?");
    // The verdicts come out the same, so there is nothing to decide again.
    check(edit, SCENARIOS, ["cached", "cached", "run", "cached"]);
}

#[test]
fn a_weight_a_check_and_a_threshold_ask_nothing() {
    let judged = ["cached", "cached", "run", "run"];
    check(|project| project.edit("rubrics/p.yaml", "weight: 2", "weight: 3"), 0, judged);
    check(|project| project.edit("rubrics/p.yaml", "max: 40", "max: 30"), 0, judged);
    let decided = ["cached", "cached", "cached", "run"];
    let edit = |project: &Project| {
        project.edit("pipelines/p.yaml", "verdicts: verdicts }", "verdicts: verdicts, deploy: 0.8 }");
    };
    check(edit, 0, decided);
}

#[test]
fn what_does_not_decide_a_result_is_in_no_key() {
    let cached = ["cached"; 4];
    // Comments, white space, the order of keys, the names of stages, where files lie, how fast the model answers.
    check(|project| project.write("pipelines/p.yaml", &format!("# a comment\n\n{PIPELINE}")), 0, cached);
    check(
        |project| {
            project.edit(
                "pipelines/p.yaml",
                "taxonomy: scenarios/p.yaml, seed: 1",
                "seed:  1,   taxonomy: scenarios/p.yaml",
            );
        },
        0,
        cached,
    );
    check(
        |project| {
            let text = project.read("pipelines/p.yaml").replace("answers", "replies");
            project.write("pipelines/p.yaml", &text.replace("replies: replies", "answers: replies"));
        },
        0,
        cached,
    );
    check(
        |project| {
            project.write("elsewhere/t.yaml", TAXONOMY);
            project.edit("pipelines/p.yaml", "scenarios/p.yaml", "elsewhere/t.yaml");
        },
        0,
        cached,
    );
    check(
        |project| {
            project.edit("pipelines/p.yaml", "  judge:\n    scripted:", "  judge:\n    scripted:\n      delay_ms: 1");
        },
        0,
        cached,
    );
}

#[test]
fn a_stage_that_comes_to_the_same_bytes_stops_the_ripple() {
    let edit = |project: &Project| project.edit("scenarios/p.yaml", "Few words.", "Very few words.");
    check(edit, 0, ["run", "cached", "cached", "cached"]);
}

#[test]
fn two_pipelines_share_calls() {
    let project = Project::scripted();
    project.json();
    project.write("pipelines/q.yaml", &PIPELINE.replace("name: p", "name: q").replace("docs/report.md", "docs/q.md"));
    let output = project.run(&["run", "pipelines/q.yaml", "--json"]);
    let run: Value = serde_json::from_str(&output.stdout).unwrap();
    assert_eq!((made(&run), statuses(&run)), (0, vec!["cached"; 4]));
}

/// A project whose models take their time, one call after the other.
fn slow() -> Project {
    let project = Project::scripted();
    let text = PIPELINE.replace("    scripted:\n", "    scripted:\n      delay_ms: 20\n      concurrency: 1\n");
    project.write("pipelines/p.yaml", &text);
    project
}

fn start(project: &Project) -> Child {
    project.start(&["run", "pipelines/p.yaml"])
}

#[test]
fn killed_in_the_middle_it_repeats_no_finished_call() {
    let undisturbed = slow();
    undisturbed.json();
    for calls in [1, 4, 7, 11, 14] {
        let project = slow();
        let mut child = start(&project);
        project.wait_for_calls(&mut child, calls);
        child.kill().unwrap();
        child.wait().unwrap();
        let kept = project.calls_kept();
        let again = project.json();
        assert_eq!(made(&again), CALLS - kept, "killed after {kept} calls");
        assert_eq!(project.read("docs/report.md"), undisturbed.read("docs/report.md"));
        assert_eq!(stage(&again, "verdicts")["rows"], SCENARIOS);
    }
}

#[cfg(unix)]
#[test]
fn interrupted_it_says_what_is_kept() {
    let project = slow();
    let mut child = start(&project);
    project.wait_for_calls(&mut child, 3);
    let signalled = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(signalled.success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("interrupted: finished stages and calls are kept"), "{stderr}");
    let kept = project.calls_kept();
    assert!(kept >= 3);
    assert_eq!(made(&project.json()), CALLS - kept);
}

#[test]
fn many_runs_at_once_all_succeed_with_one_result() {
    let project = slow();
    let children: Vec<Child> = (0..4).map(|_| start(&project)).collect();
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(4), "{}", String::from_utf8_lossy(&output.stderr));
    }
    assert_eq!(project.calls_kept(), CALLS);
    let undisturbed = slow();
    undisturbed.json();
    assert_eq!(project.read("docs/report.md"), undisturbed.read("docs/report.md"));
}
