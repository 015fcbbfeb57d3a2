//! `evalflow doctor`: what is said of the machine has the same form everywhere, and what is said of models the same words.

use serde_json::{Value, json};

use crate::env::{Project, sorted};
use crate::models;

/// What doctor prints as JSON, without what each machine and build has of its own.
fn facts(project: &Project, arguments: &[&str], code: i32) -> Value {
    let output = project.run(&[&["doctor", "--json"], arguments].concat()).exits(code);
    let mut facts: Value = serde_json::from_str(&output.stdout).unwrap();
    let problems = facts["problems"].as_array().unwrap().iter();
    // A build without the engine, a machine with more extensions, little room, or without Git: no test decides that.
    let own = ["engine", "processor", "disk", "git"];
    let problems: Vec<Value> =
        problems.filter(|problem| own.iter().all(|name| problem["about"] != *name)).cloned().collect();
    facts["problems"] = json!(problems);
    facts
}

/// Each value by its type, for the form of a document.
fn form(value: &Value) -> Value {
    match value {
        Value::Null => json!("null"),
        Value::Bool(_) => json!("boolean"),
        Value::Number(_) => json!("number"),
        Value::String(_) => json!("text"),
        Value::Array(_) => json!(["…"]),
        Value::Object(members) => {
            Value::Object(members.iter().map(|(name, value)| (name.clone(), form(value))).collect())
        }
    }
}

/// The lines about models and the last one.
fn about_models(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let start = lines.iter().position(|line| line.contains(" models  ")).unwrap();
    let end = lines.iter().rposition(|line| !line.is_empty()).unwrap();
    lines[start..end].join("\n")
}

/// With the engine inside nothing is missing; without it a pipeline that asks it cannot run.
const EMBEDDED: i32 = if cfg!(feature = "llama") { 0 } else { 2 };

#[test]
fn the_machine_is_told_in_one_form_everywhere() {
    let mut project = Project::empty();
    project.set("EVALFLOW_MEMORY", "1GiB");
    project.set("HTTPS_PROXY", "http://user:hunter2@proxy.example:3128");
    let facts = facts(&project, &[], 0);
    assert_eq!((&facts["memory"]["stated_bytes"], &facts["problems"]), (&json!(1 << 30), &json!([])), "{facts:#}");
    assert_eq!(facts["network"], json!({ "variables": ["HTTPS_PROXY"] }));
    let mut form = form(&facts);
    for (group, name) in [("memory", "free_bytes"), ("memory", "total_bytes"), ("disk", "free_bytes")] {
        form[group][name] = json!("number or null");
    }
    form["git"] = json!("text or null");
    insta::assert_snapshot!(sorted(&form));
    let text = project.run(&["doctor"]).exits(0).stdout;
    let names: Vec<&str> = text.lines().filter_map(|line| line.split_whitespace().nth(1)).collect();
    assert!(
        ["engine", "processor", "accelerators", "cores", "memory", "store", "disk"].iter().all(|n| names.contains(n)),
        "{text}"
    );
    assert!(!text.contains("hunter2") && !project.path("cache").exists(), "{text}");
}

#[test]
fn how_models_would_be_held_is_told_with_why() {
    let project = models::project("2GB");
    let roomy = project.run(&["doctor", "pipelines/p.yaml"]).exits(EMBEDDED).stdout;
    let tight = project.run(&["doctor", "pipelines/p.yaml", "--memory", "360MB"]).exits(EMBEDDED).stdout;
    project.edit("pipelines/p.yaml", "context: 4096, sequences: 8", "sequences: 4");
    let stated = project.run(&["doctor", "pipelines/p.yaml"]).exits(EMBEDDED).stdout;
    let all = [roomy, tight, stated].map(|text| about_models(&text));
    insta::assert_snapshot!(all.join("\n\n---\n"));
    assert!(!project.path("cache").exists(), "looking makes no store");
}

#[test]
fn the_same_for_scripts() {
    let facts = facts(&models::project("2GB"), &["pipelines/p.yaml"], EMBEDDED);
    insta::assert_snapshot!(sorted(&json!([facts["models"], facts["problems"]])));
}

#[test]
fn what_would_stop_a_run_is_an_exit_code() {
    let project = models::project("100MB");
    let output = project.run(&["doctor", "pipelines/p.yaml"]).exits(2);
    assert!(output.stdout.contains("✗ models"), "{output}");
    assert!(output.stdout.contains("help: write a `context` below 4096"), "{output}");
    // A pipeline that asks no model here needs no engine.
    let project = Project::scripted();
    let output = project.run(&["doctor", "pipelines/p.yaml"]).exits(0);
    assert!(output.stdout.contains("none on the embedded engine"), "{output}");
    project.write("cache/index.sqlite", "no index at all, but long enough to be looked at as one");
    let output = project.run(&["doctor"]).exits(2);
    assert!(output.stdout.contains("✗ store"), "{output}");
    project.run(&["doctor", "pipelines/none.yaml"]).exits(2);
}
