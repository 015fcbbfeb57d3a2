//! What an edited table takes over from an earlier result, and that nothing shows but the time it saves.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use rusqlite::Connection;
use serde_json::Value;

use crate::env::{PIPELINE, Project, RUBRIC, all_bytes};

const RUN: [&str; 3] = ["run", "pipelines/p.yaml", "--json"];
const ROWS: u64 = 12;
/// Two answers to each row, which are the same, and two judged criteria.
const CALLS_A_ROW: u64 = 4;
/// Calls that are made once more since their reply is no verdict: of rows 4 and 11.
const ONCE_MORE: u64 = 4;

/// A project whose scenarios come from a file, are answered twice, and are not all graded.
fn project() -> Project {
    let project = Project::empty();
    let pipeline = PIPELINE
        .replace("taxonomy: scenarios/p.yaml, seed: 1", "file: scenarios.jsonl")
        .replace("max_tokens: 50", "max_tokens: 50, repeat: 2, temperature: 0.5")
        .replace(
            "      replies:\n        - { match: \"Go",
            "      replies:\n        - { match: \"odd\", reply: \"Hm.\" }\n        - { match: \"Go",
        );
    project.write("pipelines/p.yaml", &pipeline);
    project.write("pipelines/system.md", "You are kind.\n");
    project.write("rubrics/p.yaml", RUBRIC);
    write(&project, &(0..ROWS).map(|n| (n, n)).collect::<Vec<_>>());
    project
}

/// Writes scenarios, each a number that names it and one that its opening is made of.
fn write(project: &Project, rows: &[(u64, u64)]) {
    let mut text = String::new();
    for (id, opening) in rows {
        let word = match opening % 7 {
            2 => "mean",
            4 => "odd",
            _ => "long",
        };
        writeln!(text, r#"{{"id":"s{id}","topic":"t{}","opening":"A {word} night, number {opening}"}}"#, id % 3)
            .unwrap();
    }
    project.write("scenarios.jsonl", &text);
}

fn run(project: &Project, options: &[&str]) -> Value {
    let output = project.run(&[&RUN[..], options].concat());
    serde_json::from_str(&output.stdout).unwrap_or_else(|error| panic!("{error}\n{output}"))
}

fn made(run: &Value) -> u64 {
    run["run"]["calls_made"].as_u64().unwrap()
}

fn index(project: &Project, cache: &str) -> Connection {
    Connection::open(project.path(cache).join("index.sqlite")).unwrap()
}

/// Makes the replies of the first calls unreadable: whoever looks one of them up fails.
fn garble(project: &Project, calls: u64) {
    let garbled = index(project, "cache")
        .execute("UPDATE calls SET reply = 'gone' WHERE id <= ?1", [calls.cast_signed()])
        .unwrap();
    assert_eq!(garbled as u64, calls);
}

fn copy(from: &Path, to: &Path) {
    for (path, bytes) in all_bytes(from) {
        let path = to.join(path.strip_prefix(from).unwrap());
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, bytes).unwrap();
    }
}

/// All receipts without how long they took, and all objects.
fn results(project: &Project, cache: &str) -> (BTreeMap<Vec<u8>, Value>, BTreeMap<String, Vec<u8>>) {
    let index = index(project, cache);
    let mut query = index.prepare("SELECT key, receipt FROM receipts").unwrap();
    let receipts = query.query_map([], |row| Ok((row.get(0)?, row.get::<_, String>(1)?))).unwrap();
    let receipts = receipts.map(|receipt| {
        let (key, text) = receipt.unwrap();
        let mut receipt: Value = serde_json::from_str(&text).unwrap();
        receipt["tally"]["wall_ms"] = Value::Null;
        (key, receipt)
    });
    let objects = all_bytes(&project.path(cache).join("objects")).into_iter();
    let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
    (receipts.collect(), objects.map(|(path, bytes)| (name(&path), bytes)).collect())
}

/// Runs once more in a copy of the store that knows of no earlier result, then in the store itself, and compares.
fn run_both_ways(project: &Project, options: &[&str]) -> Value {
    let plain = project.path("plain");
    fs_err::remove_dir_all(&plain).ok();
    copy(&project.path("cache"), &plain);
    index(project, "plain").execute("DELETE FROM earlier", []).unwrap();
    let expected = run(project, &[options, &["--cache", "plain"]].concat());
    let found = run(project, options);
    assert_eq!(found["report"], expected["report"]);
    for figure in ["calls", "calls_cached", "calls_made", "saved_ms"] {
        assert_eq!(found["run"][figure], expected["run"][figure], "{figure}");
    }
    let (found_results, expected_results) = (results(project, "cache"), results(project, "plain"));
    assert_eq!(found_results.0, expected_results.0);
    assert!(found_results.1 == expected_results.1, "the objects are not the same");
    found
}

#[test]
fn whatever_is_edited_nothing_shows_but_the_time_it_saves() {
    let project = project();
    project.edit("pipelines/p.yaml", "    scripted:\n", "    scripted:\n      delay_ms: 3\n");
    let mut rows: Vec<(u64, u64)> = (0..30).map(|n| (n, n)).collect();
    write(&project, &rows);
    run(&project, &[]);
    let mut state: u64 = 7;
    let mut draw = |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let mut next = 100;
    for generation in 0..10 {
        for _ in 0..=draw(5) {
            let at = usize::try_from(draw(rows.len() as u64)).unwrap();
            next += 1;
            match draw(6) {
                0 => rows.insert(at, (next, next)),
                1 => drop(rows.remove(at)),
                2 => rows[at].1 = next,
                // The same words under another name.
                3 => rows.insert(at, (next, rows[at].1)),
                4 => {
                    let row = rows.remove(at);
                    rows.push(row);
                }
                _ => rows.rotate_left(at),
            }
        }
        write(&project, &rows);
        let options: &[&str] = if generation == 5 { &["--limit", "9"] } else { &[] };
        run_both_ways(&project, options);
    }
}

/// Runs, makes all replies unreadable, edits, and says how many calls the next run makes; none where it fails.
fn after_garbling(prepare: impl Fn(&Project), edit: impl Fn(&Project), options: &[&str]) -> Option<u64> {
    let project = project();
    assert_eq!(made(&run(&project, &[])), ROWS * CALLS_A_ROW + ONCE_MORE);
    prepare(&project);
    garble(&project, project.calls_kept());
    edit(&project);
    let output = project.run(&[&RUN[..], options].concat());
    if output.code == Some(1) {
        assert!(output.stderr.contains("cannot be read"), "{output}");
        return None;
    }
    Some(made(&serde_json::from_str(&output.stdout).unwrap()))
}

fn rows_with(change: impl Fn(&mut Vec<(u64, u64)>)) -> impl Fn(&Project) {
    move |project| {
        let mut rows = (0..ROWS).map(|n| (n, n)).collect();
        change(&mut rows);
        write(project, &rows);
    }
}

#[test]
fn rows_that_come_again_are_not_looked_up() {
    let edited = || rows_with(|rows| rows[5].1 = 50);
    let check = |edit: &dyn Fn(&Project), calls| assert_eq!(after_garbling(|_| {}, edit, &[]), Some(calls));
    check(&edited(), CALLS_A_ROW);
    check(&rows_with(|rows| rows.push((50, 50))), CALLS_A_ROW);
    check(&rows_with(|rows| rows.insert(0, (50, 50))), CALLS_A_ROW);
    check(&rows_with(|rows| rows.truncate(4)), 0);
    check(&rows_with(|rows| rows.reverse()), 0);

    // Runs between that were of a few rows, of other rows, or of the same again.
    let between = |project: &Project| {
        run(project, &["--limit", "2"]);
        rows_with(|rows| rows[1].1 = 51)(project);
        run(project, &[]);
        rows_with(|_| {})(project);
        run(project, &[]);
        project.edit("rubrics/p.yaml", "weight: 2", "weight: 3");
        run(project, &[]);
        project.edit("rubrics/p.yaml", "weight: 3", "weight: 2");
    };
    assert_eq!(after_garbling(between, edited(), &[]), Some(CALLS_A_ROW));
}

#[test]
fn who_asks_for_work_gets_no_copy() {
    let edited = || rows_with(|rows| rows[5].1 = 50);
    assert_eq!(after_garbling(|_| {}, edited(), &["--force=answers"]), None);
    assert_eq!(after_garbling(|_| {}, edited(), &["--force=verdicts"]), None);
    assert_eq!(after_garbling(|_| {}, edited(), &["--refresh"]), Some(ROWS * CALLS_A_ROW + ONCE_MORE));
    let another_recipe = |project: &Project| project.edit("pipelines/p.yaml", "max_tokens: 50", "max_tokens: 49");
    assert_eq!(after_garbling(|_| {}, another_recipe, &[]), Some(ROWS * 2));
    let another_weight = |project: &Project| project.edit("rubrics/p.yaml", "weight: 2", "weight: 3");
    assert_eq!(after_garbling(|_| {}, another_weight, &[]), None);
    // What a refreshed run makes is taken over again.
    let refreshed = |project: &Project| drop(run(project, &["--refresh"]));
    assert_eq!(after_garbling(refreshed, edited(), &[]), Some(CALLS_A_ROW));
    // Part of it is asked again: what rests on the replies before is no source any more.
    let in_part = |project: &Project| drop(run(project, &["--refresh", "--only", "answers"]));
    assert_eq!(after_garbling(in_part, edited(), &[]), None);
}

#[test]
fn damage_to_anything_earlier_costs_time_and_nothing_else() {
    let project = project();
    run(&project, &[]);
    rows_with(|rows| rows[5].1 = 50)(&project);
    copy(&project.path("cache"), &project.path("before"));
    let expected = run(&project, &[]);
    let objects = all_bytes(&project.path("before/objects"));
    assert!(objects.len() >= 8, "three tables, two lists of calls, two of shares, and a decision");
    for (path, bytes) in objects {
        for damage in [None, Some(&bytes[..bytes.len() / 2])] {
            fs_err::remove_dir_all(project.path("cache")).unwrap();
            copy(&project.path("before"), &project.path("cache"));
            let object = project.path("cache/objects").join(path.strip_prefix(project.path("before/objects")).unwrap());
            match damage {
                None => fs_err::remove_file(object).unwrap(),
                Some(damage) => fs_err::write(object, damage).unwrap(),
            }
            let found = run(&project, &[]);
            assert_eq!((made(&found), &found["report"]), (CALLS_A_ROW, &expected["report"]), "{path:?}");
        }
    }
}

#[test]
fn an_interrupted_run_takes_nothing_away() {
    let project = project();
    run(&project, &[]);
    let before = project.calls_kept();
    project.edit("pipelines/p.yaml", "    scripted:\n", "    scripted:\n      delay_ms: 20\n      concurrency: 1\n");
    let edited = rows_with(|rows| rows.iter_mut().take(6).for_each(|row| row.1 += 70));
    edited(&project);
    let mut child = project.start(&RUN);
    project.wait_for_calls(&mut child, before + 3);
    child.kill().unwrap();
    child.wait().unwrap();
    garble(&project, before);
    let asked = project.calls_kept() - before;
    // Openings of the same kind as those before, so the same number of calls.
    let all = 6 * CALLS_A_ROW + ONCE_MORE / 2;
    assert_eq!(made(&run(&project, &[])), all - asked);
}

#[test]
fn earlier_results_come_and_go_with_their_receipts() {
    let project = project();
    run(&project, &[]);
    rows_with(|rows| rows[5].1 = 50)(&project);
    run(&project, &[]);
    project.run(&["gc", "--yes"]).exits(0);
    garble(&project, project.calls_kept());
    rows_with(|rows| rows[5].1 = 57)(&project);
    assert_eq!(made(&run(&project, &[])), CALLS_A_ROW);
}
