//! Decisions that stop as soon as they are settled, and backups that are asked only if the first model fails.

use std::path::Path;

use serde_json::Value;

use crate::env::{Output, Project};

const FILE: &str = "examples/early/pipeline.yaml";
const SUITE: &str = "examples/finetune/refunds.jsonl";
const SCENARIOS: u64 = 240;

/// The example, in a project of its own.
fn example() -> Project {
    let project = Project::empty();
    for file in [FILE, SUITE, "examples/finetune/rubric.yaml"] {
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
        project.write(file, &fs_err::read_to_string(shipped).unwrap());
    }
    project
}

/// The example without its backup, whose model settles requests whose numbers end with one of these digits.
fn alone(digits: &str) -> Project {
    let project = example();
    project.edit(FILE, "      backup: large-verdicts\n", "");
    project.edit(FILE, "  large-answers: { infer: { model: large, scenarios: requests } }\n", "");
    project.edit(
        FILE,
        "  large-verdicts: { judge: { answers: large-answers, rubric: examples/finetune/rubric.yaml } }\n",
        "",
    );
    project.edit(FILE, "\\\\d+[0-1]", &format!("\\\\d+[{digits}]"));
    project
}

fn json(output: &Output) -> Value {
    serde_json::from_str(&output.stdout).unwrap_or_else(|error| panic!("{error}\n{output}"))
}

fn run(project: &Project, options: &[&str]) -> Value {
    json(&project.run(&[&["run", FILE, "--json"], options].concat()))
}

/// The rows of a stage's table, in a run.
fn rows(run: &Value, stage: &str) -> Option<u64> {
    let stages = run["run"]["stages"].as_array().unwrap();
    stages.iter().find(|found| found["stage"] == stage).and_then(|found| found["rows"].as_u64())
}

fn made(run: &Value) -> u64 {
    run["run"]["calls_made"].as_u64().unwrap()
}

fn decision(run: &Value) -> &Value {
    &run["report"]["decision"]
}

#[test]
fn a_clear_case_is_settled_by_a_part_and_is_the_same_ever_after() {
    let project = alone("0-1");
    let first = run(&project, &[]);
    let looked = &decision(&first)["sequential"];
    let asked = rows(&first, "small-answers").unwrap();
    assert_eq!(decision(&first)["outcome"], "full_pipeline");
    assert!(asked < SCENARIOS / 2 && looked["stopped"] == true, "{looked}");
    assert_eq!((&looked["scenarios"], &looked["of"]), (&asked.into(), &SCENARIOS.into()));
    assert_eq!(made(&first), asked, "no scenario is asked twice, and none in vain");
    let again = run(&project, &[]);
    assert_eq!((made(&again), decision(&again)), (0, decision(&first)));
    assert_eq!(
        again["run"]["stages"].as_array().unwrap().iter().filter(|stage| stage["status"] != "cached").count(),
        0
    );
    let plan = project.run(&["plan", FILE, "--detailed-exitcode"]).exits(0);
    assert!(plan.stdout.contains("4 stages, 4 cached, 0 to run"), "{plan}");

    // What is frozen is that part.
    drop(project.run(&["bless", FILE]).exits(0));
    drop(project.run(&["bless", FILE, "--check"]).exits(0));
    let frozen = run(&project, &["--frozen"]);
    assert_eq!(decision(&frozen), decision(&first));
    drop(project.run(&["verify", FILE]).exits(0));
    drop(project.run(&["cache", "audit", FILE]).exits(0));
    let lock = project.read("examples/early/pipeline.lock");
    assert!(lock.contains(&format!("rows: {asked}")), "{lock}");
    // Where only what the lock leads to is kept, earlier looks are gone, and the result holds.
    drop(project.run(&["gc", "--keep-runs", "0", "--yes"]));
    let kept = run(&project, &[]);
    assert_eq!((made(&kept), decision(&kept)), (0, decision(&first)));
    drop(project.run(&["why", FILE, "small-answers"]).exits(0));
}

#[test]
fn a_hard_case_goes_on_to_the_end() {
    let project = alone("0-4");
    project.edit(FILE, "deploy: 0.75\n      fine_tune: 0.55", "deploy: 0.55\n      fine_tune: 0.52");
    let output = project.run(&["run", FILE]);
    let run = run(&project, &[]);
    let looked = &decision(&run)["sequential"];
    assert_eq!((rows(&run, "small-answers"), &looked["stopped"]), (Some(SCENARIOS), &true.into()), "{output}");
    assert_eq!(looked["looks"].as_array().unwrap().len(), 6, "{looked}");
    assert!((decision(&run)["rate"]["confidence"].as_f64().unwrap() - 0.96).abs() < 1e-9);
    assert!(output.stderr.contains("240/240") || output.stderr.contains("0/240 calls cached"), "{output}");
}

#[test]
fn a_scenario_that_nobody_looked_at_may_change_for_nothing() {
    let project = alone("0-1");
    let first = run(&project, &[]);
    let (answers, all) = (rows(&first, "small-answers").unwrap(), project.read(SUITE));
    let keys_before = project.calls_kept();
    // All but the last digits stay: what is asked is other words.
    let changed: Vec<String> =
        all.lines().map(|line| format!("{}\n", line.replace("I want a refund.", "Refund, please."))).collect();
    project.write(SUITE, &changed.concat());
    let second = run(&project, &[]);
    let asked = made(&second);
    assert!(asked > 0 && asked < answers, "of {answers}, {asked} were asked in other words");
    assert_eq!(decision(&second)["rate"], decision(&first)["rate"]);
    assert_eq!(project.calls_kept(), keys_before + asked);
    // A larger part than is needed asks for nothing that is there.
    project.edit(FILE, "      sequential: true\n", "");
    let whole = run(&project, &[]);
    assert_eq!(made(&whole), SCENARIOS - answers);
}

#[test]
fn a_plan_says_how_it_looks() {
    let project = alone("0-1");
    let before = project.run(&["plan", FILE]).exits(0);
    assert!(before.stdout.contains("looks at growing parts of the scenarios"), "{before}");
    drop(project.run(&["run", FILE, "--only", "requests"]));
    let plan = project.run(&["plan", FILE]).exits(0);
    assert!(plan.stdout.contains("look 1 of at most 6: about 31 of 240 scenarios"), "{plan}");
    assert!(!plan.stdout.contains("240 calls"), "{plan}");
}

#[test]
fn every_call_is_asked_again_once() {
    let project = alone("0-1");
    let first = run(&project, &[]);
    let refreshed = run(&project, &["--refresh"]);
    assert_eq!(made(&refreshed), made(&first));
    let forced = run(&project, &["--force"]);
    assert_eq!((made(&forced), decision(&forced)), (0, decision(&first)));
}

#[test]
fn a_backup_is_asked_only_if_the_first_model_fails() {
    let project = example();
    let plan = project.run(&["plan", FILE]).exits(0);
    assert!(plan.stdout.contains("for the backup: only if the first model fails"), "{plan}");
    let found = run(&project, &[]);
    assert_eq!(decision(&found)["outcome"], "deploy");
    assert_eq!(decision(&found)["other"]["role"], "primary");
    assert_eq!(decision(&found)["other"]["decision"]["outcome"], "full_pipeline");
    assert_eq!(rows(&found, "large-answers"), Some(SCENARIOS));
    assert_eq!(found["run"]["spared"], serde_json::json!([]));
    let output = project.run(&["run", FILE]).exits(0);
    insta::assert_snapshot!("backup", output.stdout);
    drop(project.run(&["bless", FILE]).exits(0));
    assert_eq!(decision(&run(&project, &["--frozen"])), decision(&found));
    drop(project.run(&["verify", FILE]).exits(0));

    // A better first model spares all that is there for the backup.
    project.edit(FILE, "\\\\d+[0-1]", "\\\\d+[0-8]");
    let good = run(&project, &[]);
    assert_eq!((&decision(&good)["outcome"], &decision(&good)["other"]), (&"deploy".into(), &Value::Null));
    assert_eq!(good["run"]["spared"], serde_json::json!(["large-answers", "large-verdicts"]));
    assert_eq!(rows(&good, "large-answers"), None);
    let output = project.run(&["run", FILE]).exits(0);
    assert!(output.stderr.contains("6 stages, 4 cached, 0 run, 2 not needed"), "{output}");
    // The lock is of the other course, and says what differs.
    assert_eq!(project.run(&["run", FILE, "--frozen"]).code, Some(1));
    drop(project.run(&["bless", FILE]).exits(0));
    drop(project.run(&["run", FILE, "--frozen"]).exits(0));
    drop(project.run(&["verify", FILE]).exits(0));
    assert!(!project.read("examples/early/pipeline.lock").contains("large-answers"));
}

#[test]
fn a_stage_that_is_named_runs_whoever_needs_it() {
    let project = example();
    project.edit(FILE, "\\\\d+[0-1]", "\\\\d+[0-8]");
    let only = run(&project, &["--only", "requests", "--only", "large-answers"]);
    assert_eq!(rows(&only, "large-answers"), Some(SCENARIOS));
    assert_eq!(run(&project, &[])["run"]["spared"], serde_json::json!(["large-answers", "large-verdicts"]));
    drop(project.run(&["why", FILE, "large-verdicts"]).exits(0));
}

#[test]
fn where_both_fail_the_cheaper_way_on_is_taken() {
    let project = example();
    project.edit(FILE, "\\\\d+[0-8]", "\\\\d+[0-5]");
    project.edit(FILE, "deploy: 0.75\n      fine_tune: 0.55", "deploy: 0.75\n      fine_tune: 0.45");
    let found = run(&project, &[]);
    assert_eq!(decision(&found)["outcome"], "fine_tune");
    assert_eq!(decision(&found)["other"]["decision"]["outcome"], "full_pipeline");
    project.edit(FILE, "\\\\d+[0-5]", "\\\\d+[0-1]");
    let neither = run(&project, &[]);
    assert_eq!(decision(&neither)["outcome"], "full_pipeline");
    assert_eq!(decision(&neither)["other"]["role"], "backup");
}
