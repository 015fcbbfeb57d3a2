//! A second model that is decided on where the first one fails: what a run says, and about whose replies the rest is.

use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;

use serde_json::Value;

use crate::env::Project;

const FILE: &str = "pipelines/p.yaml";

/// A project whose model passes 4 of 5 scenarios, and whose backup passes all; what is decided is about this suite.
fn project(options: &str) -> Project {
    let project = Project::scripted();
    project.edit(
        FILE,
        "models:\n",
        "models:\n  kinder:\n    scripted: { otherwise: \"That sounds hard. What would help you tonight?\" }\n",
    );
    project.edit(
        FILE,
        "  decision:\n    decide: { cluster: none, verdicts: verdicts }",
        &format!(
            "  others:\n    infer: {{ model: kinder, scenarios: scenarios, system: pipelines/system.md, max_tokens: 50 }}\n  \
             second:\n    judge: {{ answers: others, rubric: rubrics/p.yaml, model: judge }}\n  \
             decision:\n    decide: {{ target: suite, verdicts: verdicts, backup: second, {options} }}"
        ),
    );
    project
}

fn decision(project: &Project) -> (Value, Value) {
    let run = project.json();
    (run["report"]["decision"].clone(), run["report"].clone())
}

#[test]
fn a_backup_takes_over_and_all_else_is_about_it() {
    let project = project("deploy: 0.9, fine_tune: 0.5");
    let output = project.run(&["run", FILE]).exits(0);
    insta::assert_snapshot!("terminal", output.stdout);
    let report = project.read("docs/report.md");
    for line in [
        "**Deploy the backup:** it is good enough as it is",
        "| first model (`verdicts`) | the canned replies of `candidate`, no model at all; ",
        " | fine-tune | 80.0 % (80.0–80.0 %) | – |",
        "| **backup (`second`)** | the canned replies of `kinder`, no model at all; ",
        "- Answers: the canned replies of `kinder`, no model at all; ",
    ] {
        assert!(report.contains(line), "{line}\n{report}");
    }
    assert!(!report.contains("up to twice"), "nothing is drawn where the suite is all that matters\n{report}");
    let (decision, whole) = decision(&project);
    assert_eq!((&decision["outcome"], &decision["rate"]["passed"]), (&"deploy".into(), &5.into()));
    assert_eq!((&decision["other"]["role"], &decision["other"]["verdicts"]), (&"primary".into(), &"verdicts".into()));
    assert_eq!(decision["other"]["decision"]["outcome"], "fine_tune");
    assert!(decision["other"]["decision"].get("other").is_none(), "{decision}");
    assert_eq!(whole["models"][1]["verdicts"], "second");
}

#[test]
fn a_baseline_holds_what_was_decided_on_either() {
    let project = project("deploy: 0.9, fine_tune: 0.5");
    drop(project.run(&["run", FILE]).exits(0));
    drop(project.run(&["bless", FILE]).exits(0));
    let lock = project.read("pipelines/p.lock");
    assert!(lock.contains("outcome: deploy"), "{lock}");
    drop(project.run(&["run", FILE, "--frozen"]).exits(0));
    drop(project.run(&["verify", FILE]).exits(0));
}

#[test]
fn a_review_is_of_the_replies_that_are_decided_on() {
    let project = project("deploy: 0.9, fine_tune: 0.5");
    drop(project.run(&["run", FILE]).exits(0));
    let mut child = project
        .command(&["label", FILE, "--review", "--as", "ada"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // The program may end before it has read all keys.
    child.stdin.take().unwrap().write_all(b"ooooo").ok();
    let output = child.wait_with_output().unwrap();
    let shown = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && shown.contains("That sounds hard"), "{shown}");
    assert!(!shown.contains("Go away"), "the first model said that\n{shown}");
    drop(project.run(&["run", FILE]).exits(0));
    assert!(project.read("docs/report.md").contains("- Reviewed by ada: 5 of 5 ok."));
}

#[test]
fn who_is_no_better_does_not_take_over() {
    // Neither is good enough; the backup fails where the first model does, and everywhere else.
    let project = project("deploy: 0.9, fine_tune: 0.5");
    project.edit(
        FILE,
        "scripted: { otherwise: \"That sounds hard. What would help you tonight?\" }",
        "scripted: { otherwise: \"Go away.\" }",
    );
    let (decision, whole) = decision(&project);
    assert_eq!((&decision["outcome"], &decision["rate"]["passed"]), (&"fine_tune".into(), &4.into()));
    assert_eq!((&decision["other"]["role"], &decision["other"]["verdicts"]), (&"backup".into(), &"second".into()));
    assert_eq!(
        decision["reasons"][0],
        "the first model (`verdicts`) comes to `fine_tune`; the backup (`second`) comes to `full_pipeline`, 0.0 %: neither deploys"
    );
    assert!(whole["answered_by"].as_str().unwrap().contains("`candidate`"), "{whole}");
    drop(project.run(&["run", FILE]).exits(0));
}

#[test]
fn where_the_first_model_deploys_nobody_hears_of_the_backup() {
    let project = project("deploy: 0.7, fine_tune: 0.5");
    let (decision, whole) = decision(&project);
    assert_eq!((&decision["outcome"], &decision["rate"]["passed"]), (&"deploy".into(), &4.into()));
    assert!(decision.get("other").is_none() && whole.get("models").is_none(), "{whole}");
    assert!(whole["answered_by"].as_str().unwrap().contains("`candidate`"), "{whole}");
}

#[test]
fn gates_are_held_against_each_models_own_answers() {
    let gates = "deploy: 0.7, fine_tune: 0.5, gates: [{ metric: cost_per_reply, at_most: 0.001 }, { metric: latency_p95, at_most: 60 }]";
    let project = project(gates);
    project.edit(
        FILE,
        "otherwise: \"That sounds hard. What would help you tonight?\" }",
        "otherwise: \"That sounds hard. What would help you tonight?\", price: { prompt: 1, completion: 1 } }",
    );
    project.edit(
        FILE,
        "      otherwise: \"That sounds hard. What would help you tonight?\"\n",
        "      otherwise: \"That sounds hard. What would help you tonight?\"\n      price: { prompt: 1000, completion: 1000 }\n",
    );
    // Twice as many calls are the backup's.
    project.edit(
        FILE,
        "infer: { model: kinder, scenarios: scenarios,",
        "infer: { model: kinder, scenarios: scenarios, repeat: 2, temperature: 1,",
    );
    let (decision, whole) = decision(&project);
    let cost = |decision: &Value| decision["gates"][0]["value"].as_f64().unwrap();
    let first = &decision["other"]["decision"];
    assert_eq!((&first["outcome"], &first["gates"][0]["status"]), (&"deploy".into(), &"failed".into()), "{first}");
    assert_eq!(decision["gates"][0]["status"], "passed", "{decision}");
    assert!(cost(first) > 100.0 * cost(&decision) && cost(&decision) > 0.0, "{decision}");
    let latency = &whole["gates"][1];
    assert_eq!((&latency["metric"], &latency["n"]), (&"latency_p95".into(), &10.into()), "{whole}");
    drop(project.run(&["run", FILE]).exits(0));
    // What a token of the backup costs decides too.
    project.edit(FILE, "price: { prompt: 1, completion: 1 }", "price: { prompt: 2000, completion: 2000 }");
    let output = project.run(&["run", FILE]).exits(3);
    assert!(output.stdout.contains("with 1 gate failed: neither deploys"), "{output}");
}

#[test]
fn labels_on_the_first_model_tell_of_the_judge_of_both() {
    let project = Project::empty();
    for file in ["pipeline.yaml", "rubric.yaml", "messages.jsonl", "gold.jsonl"] {
        let name = format!("examples/calibrated/{file}");
        let text = fs_err::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(&name)).unwrap();
        project.write(&name, &text);
    }
    project.write(FILE, &project.read("examples/calibrated/pipeline.yaml"));
    project.edit(
        FILE,
        "  judge:\n    scripted:",
        "  better: { scripted: { otherwise: \"I am sorry. A new one leaves today and is with you on Friday.\" } }\n  judge:\n    \
         scripted:",
    );
    project.edit(
        FILE,
        "  decision:\n    decide: { verdicts: verdicts,",
        "  more:\n    infer: { model: better, scenarios: messages, max_tokens: 100 }\n  \
         second:\n    judge: { answers: more, rubric: examples/calibrated/rubric.yaml, model: judge }\n  \
         decision:\n    decide: { verdicts: verdicts, backup: second,",
    );
    let (decision, _) = decision(&project);
    let method = |decision: &Value| {
        let corrected = &decision["corrected"];
        (corrected["transported"].as_bool(), corrected["rate"]["method"].as_str().map(ToOwned::to_owned))
    };
    let named = |transported, method: &str| (Some(transported), Some(method.to_owned()));
    let first = &decision["other"];
    assert_eq!((&first["role"], &first["decision"]["outcome"]), (&"primary".into(), &"fine_tune".into()));
    assert_eq!(method(&first["decision"]), named(false, "poststratified_wilson"));
    assert_eq!(decision["outcome"], "deploy");
    assert_eq!(method(&decision), named(true, "lang_reiczigel"));
    let twice = "two models were tried, so the chance that one is wrongly deployed is up to twice that with one";
    assert_eq!(decision["reasons"][1], twice);
    // Nothing is known of the judge where nobody labelled these replies; what is open does not fail.
    project.edit(FILE, "calibrate: { verdicts: verdicts, beside: together,", "calibrate: { verdicts: second,");
    let (decision, _) = self::decision(&project);
    assert_eq!((&decision["outcome"], &decision["corrected"]["transported"]), (&"inconclusive".into(), &true.into()));
    assert!(decision.get("other").is_none(), "{decision}");
}
