//! A judge whose verdict words are weighed, from the pipeline file to the report.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::Value;

use crate::env::Project;
use crate::http::{Server, completion};

/// Five scenarios, two judged criteria.
const SCENARIOS: u64 = 5;
const QUESTIONS: u64 = SCENARIOS * 2;

const JUDGE: &str = r#"  judge:
    scripted:
      replies:
        - { match: "Go away", reply: '{"pass": 0.125, "fail": 0.75}' }
        - { match: "Question: Does the reply ask", reply: " Pass" }
      otherwise: '{"pass": 0.75, "fail": 0.0625}'
"#;

fn weighing() -> Project {
    let project = Project::scripted();
    let pipeline = project.read("pipelines/p.yaml");
    let (before, rest) = pipeline.split_once("  judge:\n    scripted:").unwrap();
    let (_, after) = rest.split_once("stages:\n").unwrap();
    let text = format!("{before}{JUDGE}stages:\n{after}").replace("model: judge }", "model: judge, mode: logprob }");
    project.write("pipelines/p.yaml", &text);
    project
}

fn made(run: &Value) -> u64 {
    run["run"]["calls_made"].as_u64().unwrap()
}

/// The project with its judge replaced by a server.
fn served(server: &Server) -> Project {
    let project = weighing();
    let judge = format!("  judge: {{ openai: {{ base_url: \"{}\", model: m, concurrency: 1 }} }}\n", server.url);
    project.edit("pipelines/p.yaml", JUDGE, &judge);
    project
}

/// The rows that a stage of a run came to.
pub(crate) fn rows(project: &Project, run: &Value, stage: &str) -> Vec<Value> {
    let stages = run["report"]["stages"].as_array().unwrap();
    let output = stages.iter().find(|one| one["id"] == stage).unwrap()["output"].as_str().unwrap();
    let table = project.read(&format!("cache/objects/{}/{output}", &output[..2]));
    table.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn verdicts_come_from_probabilities() {
    let project = weighing();
    let checked = project.run(&["validate", "pipelines/p.yaml"]).exits(0);
    assert!(checked.stderr.contains("ok, "), "{checked}");
    let run = project.json();
    assert_eq!(made(&run), SCENARIOS + QUESTIONS);
    let decision = &run["report"]["decision"];
    assert_eq!((&decision["counts"]["passed"], &decision["counts"]["failed"]), (&4.into(), &1.into()));
    assert_eq!(decision["quotes"]["missing"], 0, "nothing is quoted, so nothing is missing");
    let kind = decision["criteria"].as_array().unwrap().iter().find(|one| one["criterion"] == "kind").unwrap();
    assert_eq!(kind["examples"][0]["pass_probability"], 0.1429);
    assert_eq!(kind["examples"][0]["reason"], "pass 0.1250, fail 0.7500, other words 0.1250");
    let mean = kind["mean_pass_probability"].as_f64().unwrap();
    assert!((mean - (4.0 * 0.9231 + 0.1429) / 5.0).abs() < 1e-9, "{mean}");
    let tokens = serde_json::json!({ "tokens": { "fail": ["fail"], "pass": [" Pass", "pass"] } });
    assert_eq!(run["report"]["judging"], tokens);

    let report = project.read("docs/report.md");
    for part in [
        "a verdict is the likeliest of the words that may answer a question, and ungraded where more than 50 % of the \
         probability is on other words; no reason is written and nothing is quoted",
        "- Tokens that counted: `fail`: “fail”; `pass`: “␣Pass”, “pass”.",
        "Mean probability of a pass",
        "**Probability of a pass:** 0.1429",
    ] {
        assert!(report.contains(part), "{part}\n{report}");
    }
    // All of it comes from the store the second time.
    let again = project.json();
    assert_eq!((made(&again), &again["report"]), (0, &run["report"]));
    assert_eq!(project.read("docs/report.md"), report);
}

#[test]
fn a_change_of_mode_asks_the_judge_alone() {
    let project = weighing();
    project.json();
    project.edit("pipelines/p.yaml", ", mode: logprob", ", mode: logprob, max_outside: 0.05");
    let strict = project.json();
    assert_eq!(made(&strict), 0, "a limit asks nothing");
    assert_eq!(strict["report"]["decision"]["outcome"], "blocked");
    project.edit("pipelines/p.yaml", ", mode: logprob, max_outside: 0.05", ", mode: json");
    let written = project.json();
    // What the judge says is no JSON, so it is asked once more.
    assert_eq!(made(&written), 2 * QUESTIONS);
    let plain = Project::scripted();
    let before = plain.json();
    assert!(before["report"]["judging"].is_null());
    assert!(!before["report"].to_string().contains("probability"), "{before}");
    plain.edit("pipelines/p.yaml", "model: judge }", "model: judge, mode: json }");
    let explicit = plain.json();
    assert_eq!((made(&explicit), &explicit["run"]["stages"][2]["status"]), (0, &"cached".into()));
}

#[test]
fn what_a_judge_would_rather_say_is_told() {
    let project = weighing();
    project.edit("pipelines/p.yaml", r#"{"pass": 0.75, "fail": 0.0625}"#, "<think>");
    let run = project.json();
    assert_eq!(run["report"]["decision"]["outcome"], "blocked");
    let rows = rows(&project, &run, "verdicts");
    let reasons: Vec<&str> =
        rows.iter().flat_map(|row| row["verdicts"].as_array().unwrap()).filter_map(|v| v["reason"].as_str()).collect();
    let told = "the judge would rather not answer with a verdict, but with `<think>`: pass 0.0000, fail 0.0000, other words \
                1.0000, above `max_outside`, 0.5";
    assert_eq!(reasons.iter().filter(|reason| **reason == told).count(), 4, "{reasons:?}");
}

#[test]
fn a_server_tells_probabilities() {
    let server = Server::start(|_, body| {
        assert_eq!((&body["logprobs"], &body["max_tokens"]), (&true.into(), &1.into()));
        let mut reply: Value = serde_json::from_str(&completion("pass")).unwrap();
        let token = |token: &str, logprob: f64| serde_json::json!({ "token": token, "logprob": logprob });
        let mut first = token("pass", -0.25);
        first["top_logprobs"] = vec![token("pass", -0.25), token("Fail", -2.0), token("I", -4.0)].into();
        reply["choices"][0]["logprobs"] = serde_json::json!({ "content": [first] });
        (200, reply.to_string())
    });
    let run = served(&server).json();
    assert_eq!(run["report"]["decision"]["counts"]["passed"], 5);
    let kind = &run["report"]["decision"]["criteria"][0]["mean_pass_probability"];
    assert!((kind.as_f64().unwrap() - 0.852).abs() < 1e-9, "{kind}");
    assert_eq!(run["report"]["judging"]["tokens"]["fail"], serde_json::json!(["Fail"]));
}

#[test]
fn a_server_without_probabilities_stops_the_stage_at_once() {
    let asked = Arc::new(AtomicU64::new(0));
    let asked_there = Arc::clone(&asked);
    let server = Server::start(move |_, _| {
        asked_there.fetch_add(1, Ordering::SeqCst);
        (200, completion("pass"))
    });
    let project = served(&server);
    let output = project.run(&["run", "pipelines/p.yaml"]).exits(1);
    let told = output.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(told.contains("does not tell how likely its tokens are (`logprobs`)"), "{output}");
    assert!(told.contains("write `mode: json` in the `judge` stage, or name another model there"), "{output}");
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

#[test]
fn one_token_a_call_is_forecast() {
    let project = weighing();
    let plan = project.run(&["plan", "pipelines/p.yaml", "--json"]);
    let plan: Value = serde_json::from_str(&plan.stdout).unwrap_or_else(|error| panic!("{error}\n{plan}"));
    let stage = plan["stages"].as_array().unwrap().iter().find(|stage| stage["stage"] == "verdicts").unwrap();
    let calls = &stage["forecast"]["calls"];
    assert_eq!(calls["completion_tokens"]["value"], calls["to_make"]["value"], "{stage}");
}

#[test]
fn the_shipped_example_runs() {
    let project = Project::empty();
    for file in ["pipeline.yaml", "rubric.yaml", "scenarios.yaml"] {
        let file = format!("examples/tone/{file}");
        let shipped = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(&file);
        project.write(&file, &fs_err::read_to_string(shipped).unwrap());
    }
    let output = project.run(&["run", "examples/tone/pipeline.yaml"]).exits(4);
    assert!(output.stdout.contains("4 scenarios: 3 passed, 1 failed, 0 ungraded, 0 invalid"), "{output}");
}

#[test]
fn thoughts_are_kept_and_not_judged() {
    let project = Project::scripted();
    let plain = "That sounds hard. What would help you tonight?";
    project.edit("pipelines/p.yaml", plain, &format!("<think>Go away, they want.</think>\\n\\n{plain}"));
    let run = project.json();
    assert_eq!(run["report"]["decision"]["counts"]["passed"], 4, "the judge has not seen `Go away`");
    let rows = rows(&project, &run, "answers");
    let thoughts: Vec<_> = rows.iter().filter_map(|row| row["reasoning"].as_str()).collect();
    assert_eq!(thoughts, ["Go away, they want."; 4]);
    assert!(rows.iter().all(|row| !row["reply"].as_str().unwrap().contains("think")));
}
