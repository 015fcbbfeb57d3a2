//! The whole job on real weights with the embedded engine.

use serde_json::Value;

use crate::env::{PIPELINE, Project};

#[expect(clippy::disallowed_methods, reason = "the test runner says where the weights are")]
fn weights() -> String {
    std::env::var("EVALFLOW_TEST_MODEL").expect(
        "EVALFLOW_TEST_MODEL names a GGUF file: `make test` fetches one, or set it to what scripts/test-model prints",
    )
}

fn project() -> Project {
    let project = Project::scripted();
    let text = PIPELINE
        .replace("stages:\n", &format!("stages:\n  weights:\n    pull: {{ from: \"file:{}\" }}\n", weights()))
        .replace("model: candidate", "model: weights")
        .replace("rubric: rubrics/p.yaml, model: judge", "rubric: rubrics/p.yaml, model: weights, max_tokens: 400")
        .replace("max_tokens: 50", "max_tokens: 24");
    let start = text.find("models:\n").unwrap();
    let end = text.find("stages:\n").unwrap();
    project.write("pipelines/p.yaml", &format!("{}{}", &text[..start], &text[end..]));
    project
}

#[test]
fn new_weights_make_a_token_before_they_count_as_here() {
    let mut project = Project::empty();
    project.set("EVALFLOW_UNTRIED", "false");
    let good = format!("file:{}", weights());
    project.run(&["pull", &good]).exits(0);
    let mut bytes = fs_err::read(weights()).unwrap();
    let name = b"llama.attention.layer_norm_rms_epsilon";
    let at = bytes.windows(name.len()).position(|window| window == name).unwrap();
    bytes[at] = b'L';
    fs_err::write(project.path("bad.gguf"), &bytes).unwrap();
    let output = project.run(&["pull", "file:bad.gguf"]).exits(1);
    assert!(output.stderr.contains("is not usable") && output.stderr.contains("pull other weights"), "{output}");
    project.run(&["pull", "file:bad.gguf", "--untried"]).exits(0);
}

#[test]
fn the_whole_job_runs_on_real_weights_and_reruns_identically() {
    let one = project();
    let first = one.json();
    assert_eq!(first["run"]["calls_made"], 15, "{first:#}");
    let weights = &first["report"]["weights"][0]["record"];
    assert_eq!(
        (&weights["architecture"], &weights["quantization"], &weights["context_length"]),
        (&"llama".into(), &"Q4_1".into(), &8192.into())
    );
    let decision = &first["report"]["decision"];
    let counts = &decision["counts"];
    assert_eq!(counts["total"], 5);
    assert_eq!(counts["ungraded"], 0, "constrained output can always be read: {decision:#}");
    let replies: Vec<&Value> =
        ["best", "worst"].iter().flat_map(|list| decision[*list].as_array().unwrap()).map(|e| &e["reply"]).collect();
    assert!(!replies.is_empty() && replies.iter().all(|reply| reply.as_str().unwrap().len() > 10), "{replies:?}");
    let again = one.json();
    assert_eq!(again["run"]["calls_made"], 0);
    // A cold run in another place asks everything again and comes to the same bytes.
    let two = project();
    let cold = two.json();
    assert_eq!(cold["run"]["calls_made"], 15);
    assert_eq!(cold["report"], first["report"]);
    assert_eq!(one.read("docs/report.md"), two.read("docs/report.md"));
}

#[test]
fn what_was_blessed_on_real_weights_is_verified_by_executing_it_again() {
    let project = project();
    project.json();
    project.run(&["bless", "pipelines/p.yaml"]).exits(0);
    let report = project.read("docs/report.md");
    let frozen = project.run(&["run", "pipelines/p.yaml", "--frozen", "--json"]);
    let frozen: Value = serde_json::from_str(&frozen.stdout).unwrap();
    assert_eq!(frozen["run"]["calls_made"], 0, "{frozen:#}");
    assert_eq!(project.read("docs/report.md"), report);
    let verified = project.run(&["verify", "pipelines/p.yaml"]).exits(0);
    assert!(verified.stdout.contains("identical: 5 stages"), "{verified}");
}

#[test]
fn a_prompt_that_does_not_fit_fails_its_row_and_says_by_how_much() {
    let project = project();
    project.edit("pipelines/p.yaml", "max_tokens: 24", "max_tokens: 24, context: 128");
    let long = "and then again ".repeat(60);
    project.edit("scenarios/p.yaml", "awake again", &long);
    let output = project.run(&["run", "pipelines/p.yaml", "--json"]).exits(6);
    let run: Value = serde_json::from_str(&output.stdout).unwrap();
    assert_eq!(run["report"]["decision"]["counts"]["ungraded"], 1);
    let answers = run["run"]["stages"].as_array().unwrap().iter().find(|stage| stage["stage"] == "answers").unwrap();
    let id = answers["output"].as_str().unwrap();
    let table = project.read(&format!("cache/objects/{}/{id}", &id[..2]));
    let failed = table.lines().find(|line| line.contains("context_overflow")).unwrap();
    assert!(failed.contains("more than the context of 128"), "{failed}");
    // It lies in the request itself, so there is nothing to ask again.
    assert_eq!(project.json()["run"]["calls_made"], 0);
}
