//! Scenarios whose openings say nearly the same, from the pipeline file to the report.

use serde_json::{Value, json};

use crate::env::Project;
use crate::http::{Server, completion};

const SCENARIOS: &str = r#"{"id": "a", "opening": "I cannot sleep, not tonight"}
{"id": "b", "opening": "My boss yelled at me"}
{"id": "c", "opening": "not tonight... I CANNOT sleep!"}
{"id": "d", "opening": "What does rain mean?"}
{"id": "e", "opening": "my BOSS yelled: at me"}
{"id": "f", "opening": "Tonight I cannot, not sleep"}
"#;

/// Six scenarios, three of which repeat one of the others in other words.
const ROWS: u64 = 6;

/// The scripted project on a file of scenarios, without marks, or with those that `option` asks for.
fn project(option: &str) -> Project {
    let project = Project::scripted();
    project.write("scenarios/s.jsonl", SCENARIOS);
    let generate = format!("generate: {{ file: scenarios/s.jsonl{option} }}");
    project.edit("pipelines/p.yaml", "generate: { taxonomy: scenarios/p.yaml, seed: 1 }", &generate);
    project
}

const OPTION: &str = ", near_duplicates: { embed: candidate, above: 0.9 }";

fn made(run: &Value) -> u64 {
    run["run"]["calls_made"].as_u64().unwrap()
}

fn output(run: &Value, stage: &str) -> String {
    let stages = run["report"]["stages"].as_array().unwrap();
    stages.iter().find(|one| one["id"] == stage).unwrap()["output"].as_str().unwrap().to_owned()
}

/// What each scenario of the table nearly repeats.
fn marks(project: &Project, run: &Value) -> Vec<(String, Value)> {
    let output = output(run, "scenarios");
    let table = project.read(&format!("cache/objects/{}/{output}", &output[..2]));
    let row = |line: &str| {
        let row: Value = serde_json::from_str(line).unwrap();
        (row["id"].as_str().unwrap().to_owned(), row["near_duplicate"].clone())
    };
    table.lines().map(row).collect()
}

fn expected() -> Vec<(String, Value)> {
    let of = |id: &str| json!({ "of": id, "cosine": 1.0 });
    let marks = [Value::Null, Value::Null, of("a"), Value::Null, of("b"), of("a")];
    ["a", "b", "c", "d", "e", "f"].map(str::to_owned).into_iter().zip(marks).collect()
}

#[test]
fn near_duplicates_are_marked_and_reported_and_nothing_is_dropped() {
    let project = project(OPTION);
    let run = project.json();
    assert_eq!(marks(&project, &run), expected());
    let near = &run["report"]["coverage"]["near_duplicates"];
    assert_eq!((&near["found"], &near["not_compared"], &near["above"]), (&json!(3), &json!(0), &json!(0.9)));
    let first = json!({
        "cosine": 1.0, "scenario": "c", "opening": "not tonight... I CANNOT sleep!",
        "of": "a", "of_opening": "I cannot sleep, not tonight",
    });
    assert_eq!(near["closest"][0], first);
    assert_eq!(run["report"]["decision"]["counts"]["total"], ROWS);
    let report = project.read("docs/report.md");
    for part in
        ["### Near-duplicates", "3 of 6 scenarios nearly repeat an earlier one", "not tonight... I CANNOT sleep"]
    {
        assert!(report.contains(part), "{part}\n{report}");
    }
    let embedded = project.replies_kept().iter().filter(|reply| reply.contains("\"embedding\"")).count();
    assert_eq!(embedded as u64, ROWS);

    assert_eq!(made(&project.json()), 0, "a second run asks nothing");
    let forced = project.run(&["run", "pipelines/p.yaml", "--force=scenarios"]).exits(4);
    assert!(forced.stderr.contains("3 scenarios nearly repeat an earlier one (cosine 0.9 or more)"), "{forced}");
    project.edit("pipelines/p.yaml", "above: 0.9", "above: 0.95");
    assert_eq!(made(&project.json()), 0, "another limit asks nothing either");
}

#[test]
fn models_are_asked_what_they_were_asked_without() {
    let project = project("");
    let plain = project.json();
    assert!(marks(&project, &plain).iter().all(|(_, mark)| mark.is_null()));
    assert!(plain["report"]["coverage"].get("near_duplicates").is_none());
    project.edit("pipelines/p.yaml", "file: scenarios/s.jsonl", &format!("file: scenarios/s.jsonl{OPTION}"));
    let marked = project.json();
    assert_eq!(marks(&project, &marked), expected());
    assert_eq!(made(&marked), ROWS, "the openings are embedded, and nothing else is asked");
    assert_eq!(marked["report"]["decision"]["rate"], plain["report"]["decision"]["rate"]);
    project.edit("pipelines/p.yaml", OPTION, "");
    let again = project.json();
    assert_eq!(output(&again, "scenarios"), output(&plain, "scenarios"));
    assert_eq!(made(&again), 0);
}

#[test]
fn a_plan_counts_embeddings_as_it_counts_other_calls() {
    let project = project(OPTION);
    let calls = |stage: &str| {
        let plan = project.run(&["plan", "pipelines/p.yaml", "--json"]);
        let plan: Value = serde_json::from_str(&plan.stdout).unwrap();
        let stages = plan["stages"].as_array().unwrap();
        let found = stages.iter().find(|one| one["stage"] == stage).unwrap();
        found["forecast"]["calls"].clone()
    };
    let before = calls("scenarios");
    assert_eq!(before["to_make"], json!({ "value": ROWS, "basis": "exact" }), "{before}");
    assert_eq!(calls("answers")["to_make"], json!({ "value": ROWS, "basis": "exact" }), "marks make nothing uncertain");
    let _run = project.json();
    // One more scenario is one more text to embed.
    project.write("scenarios/s.jsonl", &format!("{SCENARIOS}{{\"id\": \"g\", \"opening\": \"new\"}}\n"));
    let after = calls("scenarios");
    assert_eq!((&after["to_make"]["value"], &after["cached"]["value"]), (&json!(1), &json!(ROWS)), "{after}");
    assert_eq!(made(&project.json()), 1 + 1 + 2, "its embedding, its answer and two verdicts");
}

#[test]
fn what_looks_after_results_knows_embeddings() {
    let project = project(OPTION);
    let _run = project.json();
    let audit = project.run(&["cache", "audit", "pipelines/p.yaml", "--sample", "1000", "--json"]).exits(0);
    let audit: Value = serde_json::from_str(&audit.stdout).unwrap();
    assert_eq!((&audit["differ"], &audit["gone"]), (&json!(0), &json!(0)), "{audit}");
    assert_eq!(audit["hits"], ROWS + ROWS + 2 * ROWS, "{audit}");

    project.run(&["bless", "pipelines/p.yaml"]).exits(0);
    for arguments in [&["verify", "pipelines/p.yaml"][..], &["verify", "pipelines/p.yaml", "--sample", "4"]] {
        project.run(arguments).exits(0);
    }
    project.run(&["gc", "--yes"]).exits(0);
    let embedded = |project: &Project| {
        project.replies_kept().iter().filter(|reply| reply.contains("\"embedding\"")).count() as u64
    };
    assert_eq!(embedded(&project), ROWS, "the lock leads to them");
    project.run(&["export-baseline", "pipelines/p.yaml", "b.tar"]).exits(0);
    let other = self::project(OPTION);
    fs_err::copy(project.path("b.tar"), other.path("b.tar")).unwrap();
    fs_err::copy(project.path("pipelines/p.lock"), other.path("pipelines/p.lock")).unwrap();
    other.run(&["import-baseline", "b.tar"]).exits(0);
    assert_eq!(made(&other.json()), 0);
    assert_eq!(embedded(&other), ROWS);
}

#[test]
fn a_suite_that_a_model_writes_is_compared_as_it_is_written() {
    let project = Project::scripted();
    let writer = "  writer:\n    scripted: { otherwise: '{\"opening\": \"boss yelled\"}' }\n";
    project.edit("pipelines/p.yaml", "stages:\n", &format!("{writer}stages:\n"));
    let option = ", count: 8, writer: writer, near_duplicates: { embed: writer, above: 0.99 } }";
    project.edit("pipelines/p.yaml", "seed: 1 }", &format!("seed: 1{option}"));
    let run = project.json();
    let marks = marks(&project, &run);
    // Three are written, and all say what an authored one says; whichever comes first is the one that is repeated.
    let of: Vec<&Value> = marks.iter().filter(|(_, mark)| !mark.is_null()).map(|(_, mark)| &mark["of"]).collect();
    assert_eq!((marks.len(), of.len()), (8, 3), "{marks:?}");
    assert!(of.iter().all(|one| *one == of[0]), "{of:?}");
    assert_eq!(made(&project.json()), 0);
}

/// A server with a model that writes and one that embeds, or none that does.
fn server(embeds: bool) -> Server {
    Server::start(move |_, body| match body.get("input").and_then(Value::as_str) {
        None => (200, completion("That sounds hard.")),
        Some(_) if !embeds => {
            (501, json!({ "error": { "message": "This server does not support embeddings" } }).to_string())
        }
        Some(text) if text.contains("rain") => (400, json!({ "error": { "message": "no rain" } }).to_string()),
        Some(text) => {
            let vector = if text.to_lowercase().contains("boss") { [0.0, 1.0] } else { [1.0, 0.0] };
            (200, json!({ "data": [{ "embedding": vector }], "usage": { "prompt_tokens": 5 } }).to_string())
        }
    })
}

fn served(server: &Server) -> Project {
    let project = project(", near_duplicates: { embed: vectors }");
    let model =
        format!("models:\n  vectors: {{ openai: {{ base_url: \"{}\", model: m, concurrency: 2 }} }}\n", server.url);
    project.edit("pipelines/p.yaml", "models:\n", &model);
    project
}

#[test]
fn a_text_that_is_not_embedded_is_kept_and_told() {
    let server = server(true);
    let project = served(&server);
    let run = project.run(&["run", "pipelines/p.yaml", "--json"]);
    assert!(run.stderr.contains("d: not compared with others: rejected: "), "{run}");
    let run: Value = serde_json::from_str(&run.stdout).unwrap();
    let marked: Vec<bool> = marks(&project, &run).iter().map(|(_, mark)| !mark.is_null()).collect();
    assert_eq!(marked, [false, false, true, false, true, true]);
    assert_eq!(run["report"]["coverage"]["near_duplicates"]["not_compared"], 1);
    assert!(project.read("docs/report.md").contains("Not compared: 1 scenario, whose opening"));
    // What failed is asked again, and nothing else.
    let again = project.run(&["run", "pipelines/p.yaml", "--json"]);
    let again: Value = serde_json::from_str(&again.stdout).unwrap();
    assert_eq!(made(&again), 0);
}

#[test]
fn a_server_without_embeddings_says_what_to_do() {
    let server = server(false);
    let project = served(&server);
    let run = project.run(&["run", "pipelines/p.yaml"]).exits(1);
    assert!(run.stderr.contains("answered 501 Not Implemented (no embeddings there, or no such model)"), "{run}");
    assert!(run.stderr.contains("name a model that embeds texts as `embed` of `near_duplicates`"), "{run}");
}
