//! What is done to a store from time to time: removing, counting, moving baselines, asking again.

use serde_json::Value;

use crate::env::{Output, PIPELINE, Project, all_bytes};

const CALLS: u64 = 15;

/// A time at which everything that a test made is old.
const LATER: &str = "32503680000";

/// Accepts the results of the last run.
fn bless(project: &Project) {
    project.run(&["bless", "pipelines/p.yaml"]).exits(0);
}

fn later(project: &Project, arguments: &[&str]) -> Output {
    let output = project.command(arguments).env("EVALFLOW_CLOCK", LATER).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Output { stdout: text(output.stdout), stderr: text(output.stderr), code: output.status.code() }
}

fn made(run: &Value) -> u64 {
    run["run"]["calls_made"].as_u64().unwrap()
}

fn parsed(output: &Output) -> Value {
    serde_json::from_str(&output.stdout).unwrap_or_else(|error| panic!("{error}\n{output}"))
}

fn statuses(run: &Value) -> Vec<&str> {
    run["run"]["stages"].as_array().unwrap().iter().map(|stage| stage["status"].as_str().unwrap()).collect()
}

#[test]
fn what_the_lock_names_outlives_what_was_tried_after_it() {
    let project = Project::scripted();
    let baseline = project.json();
    bless(&project);
    project.edit("scenarios/p.yaml", "awake again", "awake again, why");
    project.json();

    let before = all_bytes(&project.path("cache/objects"));
    let dry = later(&project, &["gc", "--keep-runs", "0"]).exits(0);
    assert!(dry.stdout.contains("results") && dry.stdout.contains("would free"), "{dry}");
    assert!(dry.stderr.contains("nothing was removed: run again with `--yes`"), "{dry}");
    assert_eq!(all_bytes(&project.path("cache/objects")), before);

    let counts = parsed(&later(&project, &["gc", "--keep-runs", "0", "--yes", "--json"]).exits(0));
    assert_eq!((&counts["receipts"]["count"], &counts["removed"]), (&4.into(), &true.into()), "{counts}");
    assert!(all_bytes(&project.path("cache/objects")).len() < before.len());
    let again = later(&project, &["gc", "pipelines/p.yaml", "--keep-runs", "0", "--yes"]).exits(0);
    assert_eq!(again.stdout, "nothing to free\n");

    project.edit("scenarios/p.yaml", "awake again, why", "awake again");
    let back = project.json();
    assert_eq!((made(&back), statuses(&back)), (0, vec!["cached"; 4]));
    assert_eq!(back["report"], baseline["report"]);
}

#[test]
fn what_is_young_and_what_ran_last_stays_without_a_lock() {
    let project = Project::scripted();
    project.json();
    let young = project.run(&["gc", "--keep-runs", "0", "--yes"]).exits(0);
    assert_eq!(young.stdout, "nothing to free\n", "{young}");
    let last = later(&project, &["gc", "--yes"]).exits(0);
    assert!(!last.stdout.contains("results"), "{last}");
    let again = project.json();
    assert_eq!((made(&again), statuses(&again)), (0, vec!["cached"; 4]));

    let bad = project.run(&["gc", "--grace", "soon"]).exits(2);
    assert!(bad.stderr.contains("`90m`, `12h`, `7d`"), "{bad}");
    project.write("pipelines/broken.lock", "# Written by `evalflow bless`\nstages:\n  a:\n    key: none\n");
    let refused = later(&project, &["gc", "--keep-runs", "0", "--yes"]).exits(1);
    assert!(refused.stderr.contains("broken.lock") && refused.stderr.contains("nothing was removed"), "{refused}");
    assert_eq!(statuses(&project.json()), ["cached"; 4]);
}

#[test]
fn nothing_is_removed_beside_a_run() {
    let project = Project::scripted();
    let text = PIPELINE.replace("    scripted:\n", "    scripted:\n      delay_ms: 50\n      concurrency: 1\n");
    project.write("pipelines/p.yaml", &text);
    let mut child = project.start(&["run", "pipelines/p.yaml"]);
    project.wait_for_calls(&mut child, 2);
    let output = later(&project, &["gc", "--keep-runs", "0", "--yes"]).exits(1);
    assert!(output.stderr.contains("another evalflow is using the store in"), "{output}");
    assert!(output.stderr.contains("help: wait until it has ended"), "{output}");
    // Counting disturbs nobody.
    later(&project, &["gc"]).exits(0);
    assert_eq!(child.wait_with_output().unwrap().status.code(), Some(4));
    assert_eq!(project.calls_kept(), CALLS);
}

#[test]
fn where_there_is_no_store_none_is_made() {
    let project = Project::scripted();
    for arguments in [&["gc"][..], &["cache", "stat"], &["cache", "audit", "pipelines/p.yaml"]] {
        let output = project.run(arguments).exits(2);
        assert!(output.stderr.contains("there is no store in"), "{output}");
    }
    let output = project.run(&["gc", "nowhere"]).exits(2);
    assert!(output.stderr.contains("there is no `nowhere`"), "{output}");
    assert!(!project.path("cache").exists());
}

#[test]
fn sizes_are_told_by_what_they_are_for() {
    let project = Project::scripted();
    project.json();
    fs_err::write(project.path("cache/partial/download"), "half").unwrap();
    let table = project.run(&["cache", "stat"]).exits(0).stdout;
    for name in ["scenarios", "answers", "verdicts", "decisions", "unfinished files", "index", "  calls", "total"] {
        assert!(table.lines().any(|line| line.starts_with(name)), "{name:?} in\n{table}");
    }
    let counts = parsed(&project.run(&["cache", "stat", "pipelines/p.yaml", "--json"]).exits(0));
    assert_eq!(counts["calls"]["count"], CALLS);
    assert_eq!(counts["results"]["judge"]["count"], 1);
    assert_eq!(counts["unfinished"], serde_json::json!({ "count": 1, "bytes": 4 }));
    let objects: u64 = all_bytes(&project.path("cache/objects")).iter().map(|(_, bytes)| bytes.len() as u64).sum();
    let told = counts["objects"].as_object().unwrap().values().map(|kind| kind["bytes"].as_u64().unwrap());
    assert_eq!(told.sum::<u64>(), objects);
}

#[test]
fn a_baseline_goes_to_another_machine() {
    let project = Project::scripted();
    let export = ["export-baseline", "pipelines/p.yaml", "baseline.tar.zst"];
    let output = project.run(&export).exits(1);
    assert!(output.stderr.contains("there is no lock `pipelines/p.lock`"), "{output}");
    assert!(output.stderr.contains("evalflow bless"), "{output}");
    let baseline = project.json();
    bless(&project);
    let output = project.run(&export).exits(0);
    assert!(output.stdout.starts_with("baseline.tar.zst: 4 results, "), "{output}");
    let archive = fs_err::read(project.path("baseline.tar.zst")).unwrap();
    project.run(&export).exits(0);
    assert_eq!(fs_err::read(project.path("baseline.tar.zst")).unwrap(), archive, "the same bytes every time");

    let other = Project::scripted();
    fs_err::write(other.path("b.tar.zst"), &archive).unwrap();
    let output = other.run(&["import-baseline", "b.tar.zst"]).exits(0);
    assert!(output.stdout.starts_with("4 of 4 results new, "), "{output}");
    let output = other.run(&["import-baseline", "b.tar.zst"]).exits(0);
    assert!(output.stdout.starts_with("0 of 4 results new, "), "{output}");
    let run = other.json();
    assert_eq!((made(&run), statuses(&run)), (0, vec!["cached"; 4]));
    assert_eq!(run["report"], baseline["report"]);

    let third = Project::scripted();
    fs_err::write(third.path("b.tar.zst"), &archive[..archive.len() - 9]).unwrap();
    let output = third.run(&["import-baseline", "b.tar.zst"]).exits(1);
    assert!(output.stderr.contains("nothing of it is in the store"), "{output}");
    assert_eq!(made(&third.json()), CALLS);
    let output = third.run(&["import-baseline", "none.tar.zst"]).exits(1);
    assert!(output.stderr.contains("none.tar.zst"), "{output}");
}

#[test]
fn a_baseline_without_its_results_names_the_stage() {
    let project = Project::scripted();
    let baseline = project.json();
    bless(&project);
    let verdicts = baseline["run"]["stages"][2]["key"].as_str().unwrap();
    project.edit("pipelines/p.lock", verdicts, &"0".repeat(64));
    let output = project.run(&["export-baseline", "pipelines/p.yaml", "b.tar.zst"]).exits(1);
    assert!(output.stderr.contains("the result of `verdicts` that the lock names is not in the store"), "{output}");
    assert!(output.stderr.contains("evalflow run pipelines/p.yaml"), "{output}");
    assert!(!project.path("b.tar.zst").exists());
}

#[test]
fn an_audit_asks_again_and_tells_what_differs() {
    let project = Project::scripted();
    project.json();
    let audit = |more: &[&str]| project.run(&[&["cache", "audit", "pipelines/p.yaml"], more].concat());
    let output = audit(&[]).exits(0);
    assert_eq!(output.stdout, "15 of 15 calls asked again\n0 differ: 0.0 % (95 %: 0.0 % to 20.4 %)\n");
    let found = parsed(&audit(&["--sample", "4", "--seed", "7", "--json"]).exits(0));
    assert_eq!((&found["hits"], &found["compared"], &found["same"]), (&15.into(), &4.into(), &4.into()));

    // The store says something that the model does not.
    let index = rusqlite::Connection::open(project.path("cache/index.sqlite")).unwrap();
    let changed = index
        .execute("UPDATE calls SET reply = replace(reply, 'That sounds hard. What', 'That sounds hard! What')", [])
        .unwrap();
    assert_eq!(changed, 15);
    drop(index);
    let output = audit(&[]).exits(1);
    assert!(output.stdout.contains("differs from character 17\n  stored  That sounds hard! What"), "{output}");
    assert!(output.stdout.contains("  new     That sounds hard. What"), "{output}");
    let found = parsed(&audit(&["--json"]).exits(1));
    assert_eq!((&found["differ"], &found["same"]), (&4.into(), &11.into()));
    assert_eq!(found["mismatches"][0]["stage"], "answers");
    assert_eq!(found, parsed(&audit(&["--json"]).exits(1)), "nothing was written");

    project.edit("rubrics/p.yaml", "weight: 2", "weight: 3");
    let output = audit(&["--sample", "0"]).exits(0);
    assert!(output.stderr.contains("`verdicts` is left out: its result is not in the store"), "{output}");
    assert!(output.stderr.contains("`decision` is left out: reads `verdicts`"), "{output}");
    assert!(output.stdout.contains("0 of 5 calls asked again\nnothing was compared"), "{output}");
}
