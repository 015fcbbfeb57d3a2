//! `evalflow label`: keys in, lines of a gold file out, and never a word of the judge.

use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;

use crate::env::{Output, Project};

const FILE: &str = "examples/calibrated/pipeline.yaml";
const GOLD: &str = "examples/calibrated/gold.jsonl";

/// The shipped example after a run, without any label.
fn ran() -> Project {
    let project = Project::empty();
    for file in ["pipeline.yaml", "rubric.yaml", "messages.jsonl"] {
        let name = format!("examples/calibrated/{file}");
        project.write(&name, &fs_err::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(&name)).unwrap());
    }
    drop(project.run(&["run", FILE]).exits(4));
    project
}

/// Runs `evalflow label` with keys on standard input.
fn label(project: &Project, arguments: &[&str], keys: &str) -> Output {
    let arguments: Vec<&str> = ["label", FILE].iter().chain(arguments).copied().collect();
    let mut child = project
        .command(&arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // The program may end before it has read all keys.
    child.stdin.take().unwrap().write_all(keys.as_bytes()).ok();
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Output { stdout: text(output.stdout), stderr: text(output.stderr), code: output.status.code() }
}

fn lines(project: &Project) -> Vec<serde_json::Value> {
    project.read(GOLD).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn labels_are_taken_down_one_key_at_a_time() {
    let project = ran();
    let output = label(&project, &["--as", "cy"], "p f\ne too warm\nf u z p q").exits(0);
    insta::assert_snapshot!("session", output.to_string());
    for word in ["it is warm", "it blames", "it says too little", "it is polite"] {
        assert!(!output.stderr.contains(word), "the judge's word {word:?} is shown");
    }
    let lines = lines(&project);
    assert_eq!(lines.len(), 5, "four labels, one of them taken back");
    assert_eq!((lines[2]["note"].as_str(), lines[3]["withdrawn"].as_bool()), (Some("too warm"), Some(true)));
    assert_eq!(lines[0]["date"], "2026-01-01");
    // It goes on where it ended.
    let again = label(&project, &["--as", "cy"], "q").exits(0);
    assert!(again.stderr.contains("2/2 kind"), "{again}");
    drop(project.run(&["run", FILE]).exits(4));
}

#[test]
fn labels_made_by_hand_come_near_the_truth() {
    const REPLIES: u64 = 40;
    let project = ran();
    // What a person sees on the screen decides what they press: what is shown last is what is asked next.
    let mut shown = label(&project, &["--as", "cy"], "q").stderr;
    for _ in 0..REPLIES {
        let reply = shown.rsplit("REPLY\n").next().unwrap();
        assert!(reply.contains("1/2 solves"), "{shown}");
        let is_rude = reply.starts_with("Parcel");
        let solves = if is_rude || reply.starts_with("How annoying") { "f" } else { "p" };
        let keys = format!("{solves}{}q", if is_rude { "f" } else { "p" });
        shown = label(&project, &["--as", "cy"], &keys).exits(0).stderr;
    }
    let progress = label(&project, &["--progress", "--json"], "").exits(0);
    let progress: serde_json::Value = serde_json::from_str(&progress.stdout).unwrap();
    assert_eq!(progress["replies"], REPLIES);
    assert!(progress["half_width"].as_f64().unwrap() < 0.2, "{progress}");
    let output = project.run(&["run", FILE, "--json"]);
    let run: serde_json::Value = serde_json::from_str(&output.stdout).unwrap();
    let record = &run["report"]["calibrations"][0]["record"];
    assert_eq!(
        record["replies"]["table"].as_object().unwrap().values().filter_map(serde_json::Value::as_u64).sum::<u64>(),
        REPLIES
    );
    let corrected = &run["report"]["decision"]["corrected"]["rate"];
    let (lo, hi) = (corrected["lo"].as_f64().unwrap(), corrected["hi"].as_f64().unwrap());
    assert!(lo < 0.6 && 0.6 < hi && hi < 0.82, "{corrected}");
}

#[test]
fn labels_come_from_a_spreadsheet_too() {
    let project = ran();
    drop(label(&project, &["--as", "dee", "--export", "sheet.csv", "--count", "3"], "").exits(0));
    let sheet = project.read("sheet.csv");
    assert_eq!(sheet.lines().count(), 7, "a heading, and two criteria of three replies");
    let filled: String = sheet
        .lines()
        .enumerate()
        .map(
            |(at, line)| if at == 0 { format!("{line}\n") } else { format!("{},pass,\n", line.trim_end_matches(",,")) },
        )
        .collect();
    project.write("sheet.csv", &filled);
    let output = label(&project, &["--as", "dee", "--import", "sheet.csv"], "").exits(0);
    assert!(output.stderr.contains("6 new, 0 changed, 0 known, 0 without a verdict"), "{output}");
    project.write("sheet.csv", &filled.replacen(",pass,", ",fail,", 1));
    let output = label(&project, &["--as", "dee", "--import", "sheet.csv"], "").exits(0);
    assert!(output.stderr.contains("0 new, 1 changed, 5 known"), "{output}");
    assert_eq!(lines(&project).len(), 8);
    project.write("sheet.csv", &filled.replacen(",pass,", ",maybe,", 2));
    let output = label(&project, &["--as", "dee", "--import", "sheet.csv"], "").exits(2);
    assert_eq!(output.stderr.matches("`maybe` is not a verdict").count(), 2, "{output}");
    assert_eq!(lines(&project).len(), 8, "nothing of it is taken in");
    drop(project.run(&["validate", FILE]).exits(0));
}

#[test]
fn a_review_stands_in_the_report() {
    let project = ran();
    project.edit(FILE, "stages:\n", "report: { markdown: docs/report.md }\nstages:\n");
    let output = label(&project, &["--review", "--as", "ada"], "o e promises | nothing\nx o u s o q").exits(0);
    assert!(output.stdout.contains("3 reviews added to examples/calibrated/pipeline.review.jsonl"), "{output}");
    assert!(output.stdout.contains("reviewed by ada: 2 of 3 ok"), "{output}");
    drop(project.run(&["run", FILE]).exits(4));
    let report = project.read("docs/report.md");
    assert!(report.contains("- Reviewed by ada: 2 of 3 ok."), "{report}");
    assert!(report.contains("promises \\| nothing") || report.contains("promises | nothing"), "{report}");
    project.write("examples/calibrated/pipeline.review.jsonl", "{}\n");
    let output = project.run(&["run", FILE]).exits(4);
    assert!(output.stdout.contains("is not a review"), "{output}");
    drop(label(&project, &["--review"], "q").exits(2));
}

#[test]
fn what_is_missing_is_said() {
    let project = ran();
    let output = project.run(&["label", FILE]).exits(2);
    assert!(output.stderr.contains("--as NAME"), "{output}");
    project.edit(FILE, "max_tokens: 100", "max_tokens: 99");
    let output = label(&project, &["--as", "cy"], "").exits(1);
    assert!(output.stderr.contains("run the pipeline first"), "{output}");
    let plain = Project::scripted();
    drop(plain.run(&["run", "pipelines/p.yaml"]));
    let output = plain.run(&["label", "pipelines/p.yaml", "--as", "cy"]).exits(2);
    assert!(output.stderr.contains("the pipeline has no `calibrate` stage"), "{output}");
}
