//! What was blessed: written down, held to, executed again.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;

use crate::env::{PIPELINE, Project};
use crate::http::{Server, completion};

const FILE: &str = "pipelines/p.yaml";
const LOCK: &str = "pipelines/p.lock";

/// A scripted project that was run and blessed.
fn blessed() -> Project {
    let project = Project::scripted();
    project.json();
    let output = project.run(&["bless", FILE]).exits(0);
    assert!(output.stdout.starts_with("pipelines/p.lock: written\n"), "{output}");
    project
}

/// Digests are the business of the keys' tests; builds differ from machine to machine.
fn digests_hidden(check: impl FnOnce()) {
    let filters = vec![
        (r#""[0-9a-f]{64}""#, "[digest]"),
        (r#"\b[0-9a-f]{12}\b"#, "[digest]"),
        (r"evalflow: [0-9.]+", "evalflow: [version]"),
        (r#"llama_cpp: ".*""#, "llama_cpp: [version]"),
        (r"backend: \w+", "backend: [backend]"),
    ];
    insta::with_settings!({ filters => filters }, { check() });
}

fn verified(project: &Project, arguments: &[&str], code: i32) -> Value {
    let output = project.run(&[&["verify", FILE, "--json"], arguments].concat()).exits(code);
    serde_json::from_str(&output.stdout).unwrap()
}

fn stage<'a>(verified: &'a Value, id: &str) -> &'a Value {
    verified["stages"].as_array().unwrap().iter().find(|stage| stage["stage"] == id).unwrap()
}

#[test]
fn a_lock_is_small_and_says_what_was_decided() {
    let project = blessed();
    digests_hidden(|| insta::assert_snapshot!(project.read(LOCK)));
    let before = fs_err::metadata(project.path(LOCK)).unwrap().modified().unwrap();
    let again = project.run(&["bless", FILE]).exits(0);
    assert_eq!(again.stdout, "pipelines/p.lock: up to date\n");
    assert_eq!(before, fs_err::metadata(project.path(LOCK)).unwrap().modified().unwrap());
    // The same project elsewhere makes the same lock.
    assert_eq!(blessed().read(LOCK), project.read(LOCK));
}

#[test]
fn what_moved_is_shown_before_it_is_committed() {
    let project = blessed();
    project.edit(FILE, "That sounds hard. What", "Go away. What");
    project.edit(FILE, "verdicts: verdicts }", "verdicts: verdicts, deploy: 0.8 }");
    let refused = project.run(&["bless", FILE]).exits(1);
    project.json();
    let moved = project.run(&["bless", FILE]).exits(0);
    digests_hidden(|| insta::assert_snapshot!(format!("{refused}\n{moved}")));
    project.run(&["bless", FILE, "--check"]).exits(0);
    let shown = project.run(&["bless", FILE, "--json"]).exits(0);
    let shown: Value = serde_json::from_str(&shown.stdout).unwrap();
    assert_eq!((&shown["state"], &shown["moves"]), (&"up to date".into(), &Value::Array(Vec::new())));
}

#[test]
fn a_lock_that_is_not_up_to_date_is_found_with_and_without_results() {
    let project = Project::scripted();
    let output = project.run(&["bless", FILE, "--check"]).exits(1);
    assert!(output.stderr.contains("there is no lock `pipelines/p.lock`"), "{output}");
    let project = blessed();
    let check = |code: i32, expected: &str| {
        let output = project.run(&["bless", FILE, "--check"]).exits(code);
        assert!(format!("{}{}", output.stdout, output.stderr).contains(expected), "{output}");
    };
    check(0, "pipelines/p.lock: up to date\n");
    let lock = project.read(LOCK);
    // Somebody made the numbers prettier.
    project.edit(LOCK, "point: 0.8000", "point: 0.9000");
    check(1, "pass rate 90.00 % [37.55, 96.38], 4 of 5 → 80.00 % [37.55, 96.38], 4 of 5");
    assert!(project.read(LOCK).contains("point: 0.9000"), "nothing is written");
    project.write(LOCK, &lock.replace("stages:", "<<<<<<< HEAD\nstages:"));
    check(2, "`pipelines/p.lock`: line");
    // Writing it again puts a merge with conflicts right.
    project.run(&["bless", FILE]).exits(0);
    assert_eq!(project.read(LOCK), lock);

    project.edit("pipelines/system.md", "kind", "cruel");
    check(1, "`answers` differs from the lock in `system`: \"You are kind.\\n\" → \"You are cruel.\\n\"");
    fs_err::remove_dir_all(project.path("cache")).unwrap();
    check(1, "`answers` differs from the lock in `system`: digest ");
    project.edit("pipelines/system.md", "cruel", "kind");
    check(0, "up to date, its results are not here");
}

#[test]
fn what_is_executed_again_is_identical() {
    let project = blessed();
    let calls = project.calls_kept();
    let output = project.run(&["verify", FILE]).exits(0);
    insta::assert_snapshot!(output);
    let sampled = verified(&project, &["--sample", "2", "--seed", "7"], 0);
    assert_eq!(sampled["identical"], true);
    for (id, rows) in [("scenarios", 5), ("answers", 2), ("verdicts", 2)] {
        assert_eq!(stage(&sampled, id)["executed"], rows, "{sampled}");
    }
    assert_eq!(project.calls_kept(), calls, "no call is kept");
}

#[test]
fn a_damaged_or_missing_result_is_not_executed_over() {
    let project = blessed();
    let lock = project.read(LOCK);
    let output =
        lock.lines().filter_map(|line| line.trim().strip_prefix("output: ")).next_back().unwrap().trim_matches('"');
    fs_err::write(project.path(&format!("cache/objects/{}/{output}", &output[..2])), "damaged").unwrap();
    let told = project.run(&["verify", FILE]).exits(1);
    assert!(told.stderr.contains("the result of `verdicts` that the lock names"), "{told}");
    assert!(told.stderr.contains("evalflow import-baseline FILE"), "{told}");
    assert_eq!(told.stdout, "", "nothing was executed");
    project.run(&["verify", "pipelines/none.yaml"]).exits(2);
    fs_err::remove_file(project.path(LOCK)).unwrap();
    let told = project.run(&["verify", FILE]).exits(1);
    assert!(told.stderr.contains("evalflow bless"), "{told}");
}

/// A project whose candidate is a server, run and blessed.
fn hosted(server: &Server) -> Project {
    let mut project = Project::scripted();
    let (start, end) = (PIPELINE.find("  candidate:\n").unwrap(), PIPELINE.find("  judge:\n").unwrap());
    let candidate = "  candidate: { openai: { base_url: \"${URL}\", model: m, retries: 0, concurrency: 1 } }\n";
    project.write(FILE, &format!("{}{candidate}{}", &PIPELINE[..start], &PIPELINE[end..]));
    project.set("URL", &server.url);
    project.json();
    project.run(&["bless", FILE]).exits(0);
    project
}

#[test]
fn a_model_that_answers_otherwise_is_found_and_what_it_does_to_the_decision() {
    let asked = Arc::new(AtomicUsize::new(0));
    let asked_there = Arc::clone(&asked);
    let server = Server::start(move |_, body| {
        let again = asked_there.fetch_add(1, Ordering::SeqCst) >= 5;
        let rude = again && body.to_string().contains("boss");
        (200, completion(if rude { "Go away." } else { "That sounds hard. What would help?" }))
    });
    let project = hosted(&server);
    let lock = project.read(LOCK);
    let output = project.run(&["verify", FILE]).exits(1);
    insta::assert_snapshot!(output);
    assert_eq!(asked.load(Ordering::SeqCst), 10, "each scenario was asked again, and not looked up");
    assert_eq!(project.read(LOCK), lock);
    let run = project.json();
    assert_eq!((&run["run"]["calls_made"], &run["report"]["decision"]["counts"]["passed"]), (&0.into(), &5.into()));

    let found = verified(&project, &[], 1);
    let verdicts = stage(&found, "verdicts");
    assert_eq!((&verdicts["moved"], &verdicts["moved_with_input"]), (&2.into(), &2.into()), "{found}");
    assert_eq!(verdicts["flips"][0], serde_json::json!({ "old": "pass", "new": "fail", "rows": 2 }));
    assert_eq!(stage(&found, "decision")["found"], "identical", "the decision itself follows from the stored verdicts");
    assert_eq!((&found["effects"][0]["old"]["passed"], &found["effects"][0]["new"]["passed"]), (&5.into(), &3.into()));
}

#[test]
fn a_model_that_does_not_answer_is_never_identical() {
    let asked = AtomicUsize::new(0);
    let server = Server::start(move |_, _| match asked.fetch_add(1, Ordering::SeqCst) {
        0..5 | 6.. => (200, completion("That sounds hard. What would help?")),
        5 => (503, r#"{"error":"busy"}"#.to_owned()),
    });
    let project = hosted(&server);
    let found = verified(&project, &[], 1);
    let answers = stage(&found, "answers");
    assert_eq!(
        (&answers["same"], &answers["moved"], &answers["not_answered"]),
        (&4.into(), &0.into(), &1.into()),
        "{found}"
    );
    assert!(answers["failure"].as_str().unwrap().contains("503"), "{found}");
    assert_eq!(stage(&found, "verdicts")["found"], "identical", "what is not known stays as it was");
    assert_eq!(found["identical"], false);
}
