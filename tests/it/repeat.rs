//! Several answers to a scenario, several opinions on an answer, and scenarios from a file.

use serde_json::Value;

use crate::env::Project;

/// Five scenarios, two judged criteria.
const SCENARIOS: u64 = 5;
const QUESTIONS: u64 = SCENARIOS * 2;

fn made(run: &Value) -> u64 {
    run["run"]["calls_made"].as_u64().unwrap()
}

fn answers(project: &Project, old: &str, new: &str) {
    project.edit("pipelines/p.yaml", &format!("max_tokens: 50{old} }}"), &format!("max_tokens: 50{new} }}"));
}

#[test]
fn more_answers_ask_for_the_missing_ones_only() {
    let project = Project::scripted();
    assert_eq!(made(&project.json()), SCENARIOS + QUESTIONS);
    answers(&project, "", ", repeat: 3");
    // All replies to a scenario are the same here, so that there is nothing new to judge.
    assert_eq!(made(&project.json()), 2 * SCENARIOS);
    answers(&project, ", repeat: 3", ", repeat: 5");
    let run = project.json();
    assert_eq!(made(&run), 2 * SCENARIOS);
    let decision = &run["report"]["decision"];
    assert_eq!((&decision["counts"]["total"], &decision["counts"]["scenarios"]), (&25.into(), &5.into()));
    assert_eq!(decision["rate"]["method"], "wilson_clustered");
    assert_eq!(decision["rate"]["clustered"]["scenarios"], 5);
    // Five answers that are all the same are worth one: the interval is that of five scenarios or wider.
    assert!(decision["rate"]["clustered"]["n_eff"].as_f64().unwrap() <= 5.0);
    assert_eq!(made(&project.json()), 0);
    answers(&project, ", repeat: 5", "");
    let back = project.json();
    assert_eq!((made(&back), &back["report"]["decision"]["rate"]["method"]), (0, &"wilson".into()));
    assert!(back["report"]["decision"]["counts"].get("scenarios").is_none());
}

#[test]
fn more_opinions_ask_for_the_missing_ones_only() {
    let project = Project::scripted();
    let judge = |old: &str, new: &str| {
        project.edit("pipelines/p.yaml", &format!("model: judge{old} }}"), &format!("model: judge{new} }}"));
    };
    judge("", ", temperature: 0.5, repeat: 3");
    let first = project.json();
    assert_eq!(made(&first), SCENARIOS + 3 * QUESTIONS);
    judge(", temperature: 0.5, repeat: 3", ", temperature: 0.5, repeat: 5");
    let more = project.json();
    assert_eq!(made(&more), 2 * QUESTIONS);
    assert_eq!(more["report"]["decision"]["counts"], first["report"]["decision"]["counts"]);
    assert_eq!(more["report"]["decision"]["rate"]["method"], "wilson", "several opinions are one verdict");
}

#[test]
fn opinions_that_must_be_equal_are_warned_of() {
    let project = Project::scripted();
    project.edit("pipelines/p.yaml", "model: judge }", "model: judge, repeat: 3 }");
    let output = project.run(&["validate", "pipelines/p.yaml"]).exits(0);
    assert!(output.stderr.contains("with temperature 0 all 3 samples are the same"), "{output}");
}

#[test]
fn few_scenarios_with_many_answers_decide_nothing() {
    let project = Project::scripted();
    let taxonomy = project.read("scenarios/p.yaml");
    let (kept, _) = taxonomy.split_once("  - id: work").unwrap();
    project.write("scenarios/p.yaml", kept);
    answers(&project, "", ", repeat: 50");
    let output = project.run(&["run", "pipelines/p.yaml"]).exits(4);
    assert!(output.stdout.contains("100 answers to 2 scenarios"), "{output}");
    let report = project.read("docs/report.md");
    assert!(report.contains("2 scenarios with several answers each are too few to decide on"), "{report}");
    assert!(report.contains("each scenario is answered 50 times"), "{report}");
}

const LINES: &str = "{\"opening\": \"awake again\"}\n\
                     {\"id\": \"anger/mean\", \"opening\": \"be mean to me\", \"topic\": \"anger\", \"tags\": [\"hostile\"]}\n";

fn imported(lines: &str) -> Project {
    let project = Project::scripted();
    project.write("scenarios/s.jsonl", lines);
    project.edit("pipelines/p.yaml", "taxonomy: scenarios/p.yaml, seed: 1", "file: scenarios/s.jsonl");
    project
}

#[test]
fn scenarios_come_from_a_file() {
    let project = imported(LINES);
    let run = project.json();
    assert_eq!((made(&run), &run["report"]["coverage"]["scenarios"]), (2 * 3, &2.into()));
    assert_eq!(run["report"]["coverage"]["topics"][0][0], "anger");
    assert_eq!(made(&project.json()), 0);
    // Only what a new line asks is asked, wherever it stands.
    project.write("scenarios/s.jsonl", &format!("{{\"opening\": \"my boss yelled\"}}\n{LINES}"));
    assert_eq!(made(&project.json()), 3);
    project.write("elsewhere.jsonl", &project.read("scenarios/s.jsonl"));
    project.edit("pipelines/p.yaml", "scenarios/s.jsonl", "elsewhere.jsonl");
    let moved = project.json();
    let stages = moved["run"]["stages"].as_array().unwrap();
    assert!(stages.iter().all(|stage| stage["status"] == "cached"), "{moved}");
}

#[test]
fn a_wrong_line_is_named_before_anything_is_asked() {
    for (last, expected) in [
        ("{\"opning\": \"x\"}", "`scenarios/s.jsonl:3`: unknown field `opning`"),
        (
            "{\"id\": \"anger/mean\", \"opening\": \"x\"}",
            "`scenarios/s.jsonl:3`: the id `anger/mean` is that of line 2",
        ),
    ] {
        let project = imported(&format!("{LINES}{last}"));
        project.run(&["validate", "pipelines/p.yaml"]).exits(0);
        let output = project.run(&["run", "pipelines/p.yaml"]).exits(1);
        let text = output.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(text.contains(expected) && text.contains("help: "), "{output}");
        assert_eq!(project.calls_kept(), 0);
    }
}
