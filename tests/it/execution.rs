//! How a run is steered: parts of a pipeline, asking again, frozen, offline, and what is noted of it.

use std::process::Child;

use serde_json::Value;

use crate::env::{Output, PIPELINE, Project, all_bytes};
use crate::http::{Server, completion};

const CALLS: u64 = 15;
const FILE: &str = "pipelines/p.yaml";

fn run(project: &Project, options: &[&str]) -> Output {
    let arguments: Vec<&str> = ["run", FILE].iter().chain(options).copied().collect();
    project.run(&arguments)
}

fn json(project: &Project, options: &[&str]) -> Value {
    let options: Vec<&str> = options.iter().copied().chain(["--json"]).collect();
    let output = run(project, &options);
    serde_json::from_str(&output.stdout).unwrap_or_else(|error| panic!("{error}\n{output}"))
}

/// Calls made, and what became of each stage.
fn did(run: &Value) -> (u64, Vec<&str>) {
    let stages = run["run"]["stages"].as_array().unwrap();
    let made = run["run"]["calls_made"].as_u64().unwrap();
    (made, stages.iter().map(|stage| stage["status"].as_str().unwrap()).collect())
}

#[test]
fn a_part_of_a_pipeline_is_run_on_what_is_there() {
    let project = Project::scripted();
    let output = run(&project, &["--only", "verdicts"]).exits(1);
    assert!(output.stderr.contains("the options leave it out"), "{output}");
    assert_eq!(project.calls_kept(), 0);
    assert_eq!(
        did(&json(&project, &["--only=scenarios", "--only=answers"])),
        (5, vec!["run", "run", "left_out", "left_out"])
    );
    assert!(!project.path("docs/report.md").exists(), "a part is no report");
    assert_eq!(did(&json(&project, &["--from", "verdicts"])), (10, vec!["cached", "cached", "run", "run"]));
    assert_eq!(did(&json(&project, &[])), (0, vec!["cached"; 4]));
    let output = run(&project, &["--only", "verdict"]).exits(2);
    assert!(output.stderr.contains("did you mean `verdicts`?"), "{output}");
}

#[test]
fn by_force_stages_are_computed_again_from_kept_calls() {
    let project = Project::scripted();
    let first = json(&project, &[]);
    let report = project.read("docs/report.md");
    let again = json(&project, &["--force"]);
    assert_eq!(did(&again), (0, vec!["run"; 4]));
    assert_eq!(again["report"], first["report"]);
    assert_eq!(project.read("docs/report.md"), report);
    assert_eq!(did(&json(&project, &["--force=verdicts"])), (0, vec!["cached", "cached", "run", "cached"]));
}

#[test]
fn a_refreshed_reply_takes_the_place_of_the_old_one() {
    let server = Server::start(|number, _| (200, completion(&format!("That sounds hard, for the {number}th time."))));
    let project = Project::scripted();
    let scripted = PIPELINE.split("  judge:\n").next().unwrap().split("  candidate:\n").nth(1).unwrap();
    let candidate = format!("    openai: {{ base_url: \"{}\", model: m }}\n", server.url);
    project.write(FILE, &PIPELINE.replace(scripted, &candidate));
    json(&project, &[]);
    let old = project.read("docs/report.md");
    assert_eq!(json(&project, &[])["run"]["calls_made"], 0);
    let refreshed = json(&project, &["--refresh"]);
    assert_eq!(refreshed["run"]["calls_made"], CALLS, "{refreshed}");
    let new = project.read("docs/report.md");
    assert_ne!(new, old, "the server never says the same twice");
    assert_eq!(did(&json(&project, &[])), (0, vec!["cached"; 4]));
    assert_eq!(project.read("docs/report.md"), new);
}

#[test]
fn a_limited_run_shares_its_calls_and_writes_no_report() {
    let project = Project::scripted();
    let limited = json(&project, &["--limit", "2"]);
    assert_eq!((did(&limited), &limited["report"]["decision"]["counts"]["total"]), ((6, vec!["run"; 4]), &2.into()));
    assert!(!project.path("docs/report.md").exists());
    assert_eq!(did(&json(&project, &[])), (CALLS - 6, vec!["run"; 4]));
    assert_eq!(did(&json(&project, &["--limit", "2"])), (0, vec!["cached"; 4]), "each size has its own results");
    assert_eq!(did(&json(&project, &[])), (0, vec!["cached"; 4]));
}

#[test]
fn a_dry_run_runs_nothing() {
    let project = Project::scripted();
    let dry = run(&project, &["--dry-run"]).exits(0);
    assert_eq!(dry.stdout, project.run(&["plan", FILE]).exits(0).stdout);
    assert_eq!(project.calls_kept(), 0);
}

/// A second branch whose model refuses everything.
const BROKEN: &str = "  refused:\n    infer: { model: refuser, scenarios: scenarios }\n";

#[test]
fn after_a_failure_nothing_new_is_started_unless_it_is_asked_for() {
    let project = Project::scripted();
    let text = PIPELINE.replace(
        "stages:\n",
        &format!("  refuser: {{ openai: {{ base_url: \"https://models.invalid\", model: m }} }}\nstages:\n{BROKEN}"),
    );
    project.write(FILE, &text);
    // The failing branch ends at once, the other takes its time.
    project.edit(FILE, "    scripted:\n", "    scripted:\n      delay_ms: 20\n");
    let stopped = json(&project, &["--offline"]);
    let (_, statuses) = did(&stopped);
    assert!(statuses.contains(&"failed") && statuses.contains(&"interrupted"), "{statuses:?}");
    let output = run(&project, &["--offline", "--keep-going"]).exits(1);
    assert!(output.stderr.contains("https://models.invalid would be asked, and the run is offline"), "{output}");
    let third = json(&project, &["--offline", "--keep-going"]);
    let (made, statuses) = did(&third);
    assert_eq!((made, statuses.iter().filter(|status| **status == "cached").count()), (0, 4), "{statuses:?}");
}

#[test]
fn a_frozen_run_computes_nothing_and_names_the_first_difference() {
    let project = Project::scripted();
    let output = run(&project, &["--frozen"]).exits(1);
    assert!(output.stderr.contains("evalflow bless"), "{output}");
    json(&project, &[]);
    project.run(&["bless", FILE]).exits(0);
    let report = project.read("docs/report.md");
    fs_err::remove_file(project.path("docs/report.md")).unwrap();
    run(&project, &["--frozen"]).exits(4);
    assert_eq!(project.read("docs/report.md"), report);

    project.edit(FILE, "max_tokens: 50", "max_tokens: 49");
    let output = run(&project, &["--frozen"]).exits(1);
    assert!(output.stderr.contains("`answers`") && output.stderr.contains("`max_tokens`: 50 → 49"), "{output}");
    assert_eq!(project.calls_kept(), CALLS);
}

#[test]
fn a_baseline_reruns_frozen_on_a_machine_without_models() {
    let project = Project::scripted();
    json(&project, &[]);
    project.run(&["bless", FILE]).exits(0);
    project.run(&["export-baseline", FILE, "b.tar.zst"]).exits(0);

    let other = Project::scripted();
    other.write("pipelines/p.lock", &project.read("pipelines/p.lock"));
    fs_err::copy(project.path("b.tar.zst"), other.path("b.tar.zst")).unwrap();
    let output = run(&other, &["--frozen"]).exits(1);
    assert!(output.stderr.contains("import-baseline"), "{output}");
    other.run(&["import-baseline", "b.tar.zst"]).exits(0);
    run(&other, &["--frozen", "--offline"]).exits(4);
    assert_eq!(other.read("docs/report.md"), project.read("docs/report.md"));
    assert_eq!(other.calls_kept(), CALLS, "what the lock rests on came with it");
}

/// A candidate that takes its time beside a judge that does not.
fn slow_candidate() -> Project {
    let project = Project::scripted();
    project.edit(FILE, "    scripted:\n", "    scripted:\n      delay_ms: 30\n      concurrency: 1\n");
    project
}

#[test]
fn judging_overlaps_inference() {
    let project = slow_candidate();
    let mut child = project.start(&["run", FILE]);
    project.wait_for_calls(&mut child, 4);
    child.kill().unwrap();
    child.wait().unwrap();
    // Without overlap the first five calls would all be answers.
    let verdicts = project.replies_kept().iter().filter(|reply| reply.contains("verdict")).count();
    assert!(verdicts > 0, "{:?}", project.replies_kept());
}

#[test]
fn stages_that_read_nothing_of_each_other_run_side_by_side() {
    let project = Project::scripted();
    let model = |name: &str| {
        format!("  {name}: {{ scripted: {{ delay_ms: 30, concurrency: 1, otherwise: \"this is {name}\" }} }}\n")
    };
    let stage = |name: &str| format!("  of_{name}: {{ infer: {{ model: {name}, scenarios: scenarios }} }}\n");
    let start = PIPELINE.find("models:\n").unwrap();
    let text = format!(
        "{}models:\n{}{}stages:\n  scenarios:\n    generate: {{ taxonomy: scenarios/p.yaml, seed: 1 }}\n{}{}",
        &PIPELINE[..start],
        model("one"),
        model("two"),
        stage("one"),
        stage("two")
    );
    project.write(FILE, &text);
    let mut child = project.start(&["run", FILE]);
    project.wait_for_calls(&mut child, 4);
    child.kill().unwrap();
    child.wait().unwrap();
    // One after the other, the first stage's five calls would be kept before any of the second.
    let replies = project.replies_kept();
    let of = |name: &str| replies.iter().filter(|reply| reply.contains(name)).count();
    assert!(of("this is one") > 0 && of("this is two") > 0, "{replies:?}");
}

/// Numbers that look random, the same in every run of the test.
fn random(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

#[test]
fn killed_at_any_moment_it_ends_like_an_undisturbed_run() {
    let undisturbed = slow_candidate();
    json(&undisturbed, &[]);
    let expected = (undisturbed.read("docs/report.md"), names(&undisturbed));
    let mut state = 0x9e37_79b9_7f4a_7c15;
    for _ in 0..6 {
        let project = slow_candidate();
        // Each run is killed after some more calls than the last had left behind, in the middle of whatever it does then.
        loop {
            let kept = project.calls_kept();
            let target = kept + 1 + random(&mut state) % 5;
            let mut child: Child = project.start(&["run", FILE]);
            while child.try_wait().unwrap().is_none() && project.calls_kept() < target {
                std::thread::yield_now();
            }
            for _ in 0..random(&mut state) % 50_000 {
                std::hint::spin_loop();
            }
            child.kill().ok();
            child.wait().unwrap();
            if project.calls_kept() >= CALLS - 1 {
                break;
            }
        }
        let kept = project.calls_kept();
        let last = json(&project, &[]);
        assert_eq!(last["run"]["calls_made"], CALLS - kept);
        assert_eq!((project.read("docs/report.md"), names(&project)), expected);
        assert_eq!(did(&json(&project, &[])), (0, vec!["cached"; 4]));
    }
}

/// The names of all objects, which are the digests of their bytes. What killed runs were writing has no such name.
fn names(project: &Project) -> Vec<String> {
    let found = all_bytes(&project.path("cache/objects"));
    let name = |path: &std::path::Path| path.file_name().unwrap().to_string_lossy().into_owned();
    let mut names: Vec<String> = found.iter().map(|(path, _)| name(path)).filter(|name| name.len() == 64).collect();
    names.sort_unstable();
    names
}

#[test]
fn runs_are_remembered_and_told_again() {
    let project = Project::scripted();
    let first = run(&project, &[]).exits(4);
    run(&project, &["--limit", "2"]);
    let list: Value = serde_json::from_str(&project.run(&["history", "--json"]).exits(0).stdout).unwrap();
    let list = list.as_array().unwrap();
    assert_eq!(list.len(), 2);
    assert_eq!(list[0]["options"], serde_json::json!(["--limit 2"]));
    assert_eq!((&list[1]["outcome"], &list[1]["calls_made"]), (&"inconclusive".into(), &CALLS.into()));
    assert_eq!(list[1]["rate"]["n"], 5);

    let told = project.run(&["history", "--replay", "1"]).exits(0).stdout;
    let lines = |text: &str| text.lines().count();
    assert!(told.contains("+ answers    infer: never run") && lines(&told) >= 8, "{told}");
    for line in told.lines() {
        let line = line.trim_start().split_once("  ").unwrap().1;
        assert!(first.stderr.contains(line), "{line}");
    }
    let none = project.run(&["history", "--replay", "9"]).exits(2);
    assert!(none.stderr.contains("there is no journal of run 9"), "{none}");
}

#[test]
fn what_calls_cost_and_saved_is_told_where_models_have_prices() {
    let project = Project::scripted();
    let price = "    scripted:\n      price: { prompt: 1000, completion: 2000 }\n";
    project.write(FILE, &PIPELINE.replace("    scripted:\n", price));
    let first = json(&project, &[]);
    let cost = first["run"]["cost"].as_f64().unwrap();
    assert!(cost > 0.0 && first["run"]["cost_saved"] == 0.0, "{}", first["run"]);
    let again = json(&project, &[]);
    assert_eq!((&again["run"]["cost"], again["run"]["cost_saved"].as_f64().unwrap()), (&0.0.into(), cost));
    let output = run(&project, &[]);
    assert!(output.stderr.lines().last().unwrap().contains(" · $0.00 · saved "), "{output}");
}

#[test]
fn the_log_is_json_on_request() {
    let project = Project::scripted();
    let output = run(&project, &["--log", "evalflow=debug", "--log-json"]).exits(4);
    let lines: Vec<Value> = output.stderr.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let count = |message: &str| lines.iter().filter(|line| line["fields"]["message"] == message).count();
    assert_eq!((count("stage ended"), count("answered")), (4, usize::try_from(CALLS).unwrap()), "{output}");
}

#[test]
fn the_environment_says_what_to_log_unless_the_command_line_does() {
    let mut project = Project::scripted();
    project.set("EVALFLOW_LOG", "evalflow=info");
    let output = run(&project, &[]).exits(4);
    assert!(output.stderr.contains("stage ended") && !output.stderr.contains("answered"), "{output}");
    let output = run(&project, &["--limit", "2", "--log", "off"]).exits(4);
    assert!(!output.stderr.contains("stage ended"), "{output}");
}
