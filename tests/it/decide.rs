//! What a decision rests on and asks for: clusters, gates, failure modes, review sheets.

use serde_json::Value;

use crate::env::{Output, Project};

const FILE: &str = "pipelines/p.yaml";

/// A project that decides with these options, of which 4 of 5 scenarios pass: an interval of 38 % to 96 %.
fn deciding(options: &str) -> Project {
    let project = Project::scripted();
    project.edit(FILE, "verdicts: verdicts }", &format!("verdicts: verdicts, {options} }}"));
    project
}

fn gates(gates: &str, code: i32) -> (Project, Output) {
    let project = deciding(&format!("deploy: 0.3, fine_tune: 0.2, gates: [{gates}]"));
    let output = project.run(&["run", FILE]).exits(code);
    (project, output)
}

#[test]
fn every_gate_is_shown_and_the_worst_decides_the_exit() {
    let passing = "{ metric: pass_rate, at_least: 0.3 }, { metric: tokens_per_reply, at_most: 500 }";
    let (_, deploys) = gates(passing, 0);
    assert!(deploys.stdout.contains("Deploy: the model is good enough"), "{deploys}");
    let (_, open) = gates(&format!("{passing}, {{ topic: sleep, at_least: 0.9 }}"), 4);
    assert!(open.stdout.contains("Not decided: the pass rate is good enough, and a gate is open."), "{open}");
    let all = format!(
        "{passing}, {{ topic: sleep, at_least: 0.9 }}, {{ criterion: kind, at_least: 0.99 }}, {{ metric: ungraded, at_most: 0 }}, \
         {{ metric: latency_p95, at_most: 60 }}"
    );
    let (project, output) = gates(&all, 3);
    let shown: Vec<&str> = output.stdout.lines().filter(|line| line.starts_with("Gate: ")).collect();
    assert_eq!(shown.len(), 6, "{output}");
    assert!(shown[0].ends_with("passed") && shown[3].contains("criterion kind, at least 99 %"), "{output}");
    let report = project.read("docs/report.md");
    for line in [
        "**Not yet:** the pass rate is good enough, and a gate is failed.",
        "| pass rate | at least 30 % | 80.0 % (37.6–96.4 %) of 5 | passed |",
        "| topic `sleep` | at least 90 % | 100.0 % (34.2–100.0 %) of 2 | **inconclusive** |",
        "| criterion `kind` | at least 99 % | 80.0 % (37.6–96.4 %) of 5 | **failed** |",
        "| ungraded | at most 0 % | 0.0 % of 5 | passed |",
        "| time under which 95 % of calls stayed | at most 60 s | told at the end of a run | passed |",
    ] {
        assert!(report.contains(line), "{line}\n{report}");
    }
    // A bound on latency is in no key, and the others ask nothing anew.
    project.edit(FILE, "latency_p95, at_most: 60", "latency_p95, at_most: 61");
    let again = project.run(&["run", FILE]).exits(3);
    assert!(again.stderr.contains("4 stages, 4 cached, 0 run"), "{again}");
    project.run(&["bless", FILE]).exits(0);
    project.run(&["run", FILE, "--frozen"]).exits(3);
    project.run(&["verify", FILE]).exits(0);
}

#[test]
fn a_gate_holds_a_rate_against_another_stage() {
    let project = deciding("deploy: 0.3, fine_tune: 0.2, gates: [{ metric: pass_rate, against: base, margin: 0.9 }]");
    project.edit(
        FILE,
        "  decision:\n",
        "  gruff: { infer: { model: rude, scenarios: scenarios } }\n  \
           base: { judge: { answers: gruff, rubric: rubrics/p.yaml, model: judge } }\n  decision:\n",
    );
    project.edit(FILE, "  judge:\n", "  rude: { scripted: { otherwise: \"Go away.\" } }\n  judge:\n");
    let gate = |run: &Value| run["report"]["gates"][0].clone();
    let better = gate(&project.json());
    assert_eq!((&better["status"], &better["base"]), (&"passed".into(), &0.0.into()), "{better}");
    assert_eq!(better["bound"]["not_worse"]["than"], "base");
    // The other way round.
    project.edit(
        FILE,
        "verdicts: verdicts, deploy: 0.3, fine_tune: 0.2",
        "verdicts: base, deploy: 0.3, fine_tune: 0.2",
    );
    project.edit(FILE, "against: base, margin: 0.9", "against: verdicts, margin: 0.01");
    let worse = gate(&project.json());
    assert_eq!(worse["status"], "failed", "{worse}");
}

/// What is counted has no interval: it may be more by a part of what the other stage's comes to.
#[test]
fn a_gate_holds_what_is_counted_against_another_stage() {
    let project = deciding(
        "deploy: 0.3, fine_tune: 0.2, gates: [{ metric: tokens_per_reply, against: base, margin: 9 }, \
         { metric: cost_per_reply, against: base }, { metric: ungraded, against: base, margin: 0.1 }, \
         { metric: latency_p95, against: base, margin: 1000 }]",
    );
    project.edit(
        FILE,
        "  decision:\n",
        "  gruff: { infer: { model: rude, scenarios: scenarios } }\n  \
           base: { judge: { answers: gruff, rubric: rubrics/p.yaml, model: judge } }\n  decision:\n",
    );
    let price = "price: { prompt: 1, completion: 2 }";
    project.edit(
        FILE,
        "  judge:\n",
        &format!("  rude: {{ scripted: {{ delay_ms: 3, otherwise: \"Go away.\", {price} }} }}\n  judge:\n"),
    );
    project.edit(FILE, "  candidate:\n    scripted:\n", &format!("  candidate:\n    scripted:\n      {price}\n"));
    let gates = |run: &Value| run["report"]["gates"].as_array().unwrap().clone();
    let run = project.json();
    let found = gates(&run);
    let of = |at: usize, field: &str| found[at][field].as_f64().unwrap();
    assert_eq!(found.len(), 4, "{run}");
    for (at, ratio) in [(0, 10.0), (1, 1.0)] {
        let expected = if of(at, "value") <= of(at, "base") * ratio { "passed" } else { "failed" };
        assert!(of(at, "base") > 0.0 && found[at]["status"] == expected, "{}", found[at]);
    }
    assert_eq!(
        (&found[1]["status"], &found[2]["status"], &found[3]["status"]),
        (&"failed".into(), &"passed".into(), &"passed".into()),
        "{run}"
    );
    assert!(of(3, "base") >= 0.003, "{}", found[3]);
    let report = project.read("docs/report.md");
    assert!(report.contains("| cost per reply | at most that of `base` | $"), "{report}");
    assert!(report.contains("at most 900 % above that of `base`"), "{report}");
    // What the other stage's replies cost is in the key, by their price too.
    project.edit(
        FILE,
        "\"Go away.\", price: { prompt: 1, completion: 2 }",
        "\"Go away.\", price: { prompt: 900, completion: 900 }",
    );
    let dearer = project.json();
    assert_eq!(gates(&dearer)[1]["status"], "passed", "{dearer}");
    project.run(&["bless", FILE]).exits(0);
    project.run(&["verify", FILE]).exits(0);
    // Times are in no key: a longer one asks nothing and decides nothing anew.
    project.edit(FILE, "margin: 1000", "margin: 2000");
    let again = project.run(&["run", FILE]).exits(0);
    assert!(again.stderr.contains("cached, 0 run"), "{again}");
}

#[test]
fn who_may_deploy_is_asked_for_a_review() {
    let project = deciding("deploy: 0.3, fine_tune: 0.2, seed: 5");
    let output = project.run(&["run", FILE]).exits(0);
    assert!(output.stdout.contains("evalflow label --review"), "{output}");
    let report = project.read("docs/report.md");
    assert!(report.contains("## Review sheet") && report.contains("(seed 5)"), "{report}");
    assert_eq!(report.matches("- [ ] **").count(), 5, "each reply is on it once\n{report}");
    assert!(!report.contains("## What failures cost"), "{report}");
}

#[test]
fn what_failures_cost_is_told_below_deploy() {
    let project = deciding("deploy: 0.98, fine_tune: 0.97");
    project.run(&["run", FILE]).exits(0);
    let report = project.read("docs/report.md");
    assert!(report.contains("## What failures cost") && !report.contains("## Review sheet"), "{report}");
    assert!(report.contains("| `kind` | 1 | 1 | 100.0 % |"), "{report}");
    assert!(report.contains("20 examples across all topics in which the reply meets `kind`"), "{report}");
}

#[test]
fn scenarios_of_few_topics_decide_nothing_unless_told_to_be_independent() {
    let project = deciding("deploy: 0.3, fine_tune: 0.2");
    project.run(&["run", FILE]).exits(0);
    assert!(project.read("docs/report.md").contains("independent of their 3 topics, as `cluster: none` says"));
    project.edit(FILE, "cluster: none, ", "");
    let output = project.run(&["run", FILE]).exits(4);
    assert!(output.stdout.contains("Add topics: there are 3, and 5 is the least that can decide."), "{output}");
    assert!(output.stderr.contains("4 stages, 3 cached, 1 run"), "{output}");
    project.edit(FILE, "deploy: 0.3", "target: suite, deploy: 0.3");
    project.run(&["run", FILE]).exits(0);
    assert!(project.read("docs/report.md").contains("others may come out otherwise"));
}
