//! What a user is told before a run: what would run, why, and what that takes.

use std::collections::BTreeMap;

use evalflow::engine::scripted;
use evalflow::key::BlobId;
use evalflow::spec::{self, Disk, Model};
use evalflow::store::{Speed, Store};
use serde_json::Value;

use crate::env::{PIPELINE, Project, RUBRIC, all_bytes};
use crate::gguf;

fn text(project: &Project, options: &[&str]) -> String {
    project.run(&[&["plan", "pipelines/p.yaml"], options].concat()).exits(0).stdout
}

/// A project whose lines are long enough for all there is to say in one.
fn wide() -> Project {
    let mut project = Project::scripted();
    project.set("COLUMNS", "160");
    project
}

/// How fast scripted models answer is chance.
fn without_times(text: &str) -> String {
    let time = r"no record of this model on this machine|time unknown|(about|roughly|at least) \d+(\.\d+)? m?s\b";
    regex::Regex::new(time).unwrap().replace_all(text, "[time]").into_owned()
}

fn json(project: &Project, options: &[&str]) -> Value {
    let output = project.run(&[&["plan", "pipelines/p.yaml", "--json"], options].concat()).exits(0);
    serde_json::from_str(&output.stdout).unwrap()
}

/// Calls to make in all, and what that number rests on.
fn to_make(plan: &Value) -> (u64, String) {
    let figure = &plan["totals"]["forecast"]["calls"]["to_make"];
    (figure["value"].as_u64().unwrap(), figure["basis"].as_str().unwrap().to_owned())
}

fn of_stage<'a>(plan: &'a Value, id: &str) -> &'a Value {
    plan["stages"].as_array().unwrap().iter().find(|stage| stage["stage"] == id).unwrap()
}

fn made(run: &Value) -> u64 {
    run["run"]["calls_made"].as_u64().unwrap()
}

#[test]
fn plan_says_what_would_run_why_and_what_it_takes() {
    let project = wide();
    let fresh = text(&project, &[]);
    project.json();
    let done = text(&project, &[]);
    project.edit("rubrics/p.yaml", "weight: 2", "weight: 3");
    let weight = text(&project, &[]);
    project.edit("rubrics/p.yaml", "ask something?", "ask one thing?");
    let criterion = text(&project, &[]);
    project.edit("scenarios/p.yaml", "awake again", "awake again, why");
    project.edit("pipelines/p.yaml", "max_tokens: 50", "max_tokens: 49");
    let scenario = text(&project, &[]);
    insta::assert_snapshot!(without_times(&format!(
        "fresh:\n{fresh}\ndone:\n{done}\none weight changed:\n{weight}\nand one criterion:\n{criterion}\n\
         and one scenario and fewer tokens:\n{scenario}"
    )));
}

#[test]
fn many_changes_are_cut_short() {
    let project = Project::scripted();
    project.json();
    let criteria: String =
        (0..12).map(|n| format!("  - {{ id: c{n}, check: {{ words: {{ min: {n} }} }} }}\n")).collect();
    project.write("rubrics/p.yaml", &format!("{RUBRIC}{criteria}"));
    let plan = text(&project, &[]);
    // Of the verdicts, and of the decision, which grades by the same rubric.
    assert_eq!(plan.lines().filter(|line| line.starts_with("    ~ ")).count(), 2 * 8, "{plan}");
    assert!(plan.contains("    and 4 more, see `evalflow why pipelines/p.yaml verdicts`\n"), "{plan}");
    let changes = json(&project, &[])["stages"][2]["changes"].as_array().unwrap().len();
    assert_eq!(changes, 12);
}

#[test]
fn the_exit_code_tells_whether_there_is_something_to_run() {
    let project = Project::scripted();
    let code = || project.run(&["plan", "pipelines/p.yaml", "--detailed-exitcode"]).code;
    assert_eq!(code(), Some(2));
    project.json();
    assert_eq!(code(), Some(0));
}

/// Edits a pipeline that has run, and holds what `plan` says against what `run` then does.
///
/// `calls` are those that are planned and those that are made: fewer where the plan says `at_most`.
fn check(prepare: impl Fn(&Project), edit: impl Fn(&Project), calls: (u64, u64), basis: &str) {
    let project = Project::scripted();
    prepare(&project);
    project.json();
    edit(&project);
    let planned = json(&project, &[]);
    assert_eq!(to_make(&planned), (calls.0, basis.to_owned()));
    let run = project.json();
    assert_eq!(made(&run), calls.1);
    let cached = &planned["totals"]["forecast"]["calls"]["cached"];
    if basis == "exact" && !cached.is_null() {
        // Stages that were cached whole count in a run and not in a plan.
        let of_runs = run["run"]["stages"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|stage| of_stage(&planned, stage["stage"].as_str().unwrap())["status"] == "run");
        let found: u64 = of_runs
            .map(|stage| {
                let tally = &stage["tally"];
                let made = tally["calls_made"].as_u64().unwrap();
                let cached = tally["calls_cached"].as_u64().unwrap();
                // One that came to the same bytes' key was taken whole from the store: its tally is an older one.
                if stage["status"] == "run" { cached } else { made + cached }
            })
            .sum();
        assert_eq!(cached["value"].as_u64(), Some(found));
    }
}

fn nothing(_: &Project) {}

#[test]
fn as_many_calls_are_made_as_were_planned() {
    let rubric =
        |old: &'static str, new: &'static str| move |project: &Project| project.edit("rubrics/p.yaml", old, new);
    check(nothing, rubric("weight: 2", "weight: 3"), (0, 0), "exact");
    check(nothing, rubric("ask something?", "ask one thing?"), (5, 5), "exact");
    let when = "question: Does the reply ask something?, when: \"scenario.edge_case\"";
    check(nothing, rubric("question: Does the reply ask something?", when), (0, 0), "exact");
    let short = "  - { id: short, question: Is it short?, when: \"'hostile' in scenario.tags\" }\n";
    check(nothing, move |project| project.write("rubrics/p.yaml", &format!("{RUBRIC}{short}")), (1, 1), "exact");
    check(nothing, |project| project.edit("scenarios/p.yaml", "awake again", "awake again, why"), (3, 3), "at_most");
    check(nothing, |project| project.edit("pipelines/p.yaml", "max_tokens: 50", "max_tokens: 49"), (15, 5), "at_most");
    let answers = |project: &Project| {
        let more = "  again:\n    infer: { model: candidate, scenarios: scenarios, max_tokens: 9 }\n  decision:";
        project.edit("pipelines/p.yaml", "  decision:", more);
    };
    check(nothing, answers, (5, 5), "exact");
}

#[test]
fn what_several_rows_or_stages_ask_is_counted_once() {
    // The same opening twice: one answer, and one verdict of each criterion.
    let same = |project: &Project| project.edit("scenarios/p.yaml", "awake again", "boss yelled");
    check(same, |project| project.edit("pipelines/p.yaml", "max_tokens: 50", "max_tokens: 49"), (12, 4), "at_most");
    // A second judge with one criterion of the first, and one of its own.
    let second = |project: &Project| {
        let rubric = RUBRIC.replace("ask something?", "ask one thing?");
        project.write("rubrics/q.yaml", &rubric);
        let stage = "  others:\n    judge: { answers: answers, rubric: rubrics/q.yaml, model: judge }\n  decision:";
        project.edit("pipelines/p.yaml", "  decision:", stage);
    };
    check(nothing, second, (5, 5), "exact");
    let both = |project: &Project| {
        second(project);
        project.edit("rubrics/p.yaml", "Is the reply kind?", "Is it kind?");
        project.edit("rubrics/q.yaml", "Is the reply kind?", "Is it kind?");
    };
    check(nothing, both, (10, 10), "exact");
}

/// A pipeline of 200 scenarios, most of which a model has to write.
fn large(project: &Project) {
    project.edit("pipelines/p.yaml", "seed: 1", "seed: 1, count: 200, writer: writer");
    let writer = "models:\n  writer:\n    scripted:\n      replies:\n        - match: \"person number (\\\\d+)\"\n          \
                  reply: '{\"opening\":\"I am $1.\"}'\n      otherwise: '{\"opening\":\"I am the first.\"}'\n";
    project.edit("pipelines/p.yaml", "models:\n", writer);
}

#[test]
fn many_rows_are_counted_as_exactly_as_few() {
    let project = Project::scripted();
    large(&project);
    let planned = json(&project, &[]);
    let calls = |id: &str| of_stage(&planned, id)["forecast"]["calls"]["to_make"].clone();
    assert_eq!(calls("scenarios"), serde_json::json!({ "value": 195, "basis": "exact" }));
    assert_eq!(calls("answers"), serde_json::json!({ "value": 200, "basis": "at_most" }));
    assert_eq!(calls("verdicts"), serde_json::json!({ "value": 400, "basis": "at_most" }));
    // Where many are answered with the same words, fewer calls are made than could be known.
    let run = project.json();
    let verdicts = run["run"]["stages"].as_array().unwrap().iter().find(|stage| stage["stage"] == "verdicts").unwrap();
    let of_one_criterion = verdicts["tally"]["calls_made"].as_u64().unwrap() / 2;
    assert!(of_one_criterion < 200);
    let reworded = |project: &Project| project.edit("rubrics/p.yaml", "Is the reply kind?", "Is it kind?");
    check(large, reworded, (of_one_criterion, of_one_criterion), "exact");
}

fn tables(project: &Project) -> BTreeMap<&'static str, i64> {
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
    let index = rusqlite::Connection::open_with_flags(project.path("cache/index.sqlite"), flags).unwrap();
    let count = |table| index.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap();
    ["calls", "receipts", "latest", "runs", "speeds"].map(|table| (table, count(table))).into()
}

#[test]
fn a_plan_asks_nobody_and_writes_nothing() {
    let project = Project::scripted();
    project.json();
    // Nobody listens there: an engine that was asked would fail.
    let text = PIPELINE.replacen(
        "    scripted:\n      replies:\n        - { match: \"mean\", reply: \"Go away.\" }\n      otherwise: \"That sounds hard. What would help you tonight?\"\n",
        "    openai: { base_url: \"http://127.0.0.1:9/v1\", model: m }\n",
        1,
    );
    assert_ne!(text, PIPELINE);
    project.write("pipelines/p.yaml", &text);
    let before = (tables(&project), all_bytes(&project.path("cache/objects")), project.read("docs/report.md"));
    assert_eq!(to_make(&json(&project, &[])), (15, "at_most".to_owned()));
    text_and_why(&project);
    let after = (tables(&project), all_bytes(&project.path("cache/objects")), project.read("docs/report.md"));
    assert!(before == after);
}

fn text_and_why(project: &Project) {
    let _plan = text(project, &["--force", "--from", "answers"]);
    for subject in ["verdicts", "answers#sleep/waking/terse"] {
        let _why = project.run(&["why", "pipelines/p.yaml", subject]).exits(0);
    }
}

#[test]
fn stages_can_be_selected_and_forced() {
    let project = wide();
    let only = text(&project, &["--only", "answers"]);
    project.json();
    let forced = text(&project, &["--force=answers"]);
    let all = text(&project, &["--force"]);
    project.edit("pipelines/p.yaml", "max_tokens: 50", "max_tokens: 49");
    let upstream = text(&project, &["--only", "scenarios", "--only", "answers"]);
    let from = text(&project, &["--from", "verdicts"]);
    insta::assert_snapshot!(without_times(&format!(
        "fresh, only answers:\n{only}\nforced answers:\n{forced}\neverything forced:\n{all}\n\
         answers changed, up to them:\n{upstream}\nanswers changed, from verdicts:\n{from}"
    )));
    let wrong = |options: &[&str]| project.run(&[&["plan", "pipelines/p.yaml"], options].concat()).exits(2).stderr;
    assert!(wrong(&["--only", "answer"]).contains("did you mean `answers`?"));
    assert!(wrong(&["--from", "x"]).contains("unknown stage `x`"));
    assert!(wrong(&["--force=verdict"]).contains("did you mean `verdicts`?"));
    assert!(wrong(&["--only", "answers", "--force=verdicts"]).contains("`verdicts` is named but not selected"));
}

#[test]
fn time_and_tokens_rest_on_what_this_machine_recorded() {
    let project = Project::scripted();
    let loaded = spec::load(&project.path("pipelines/p.yaml"), &project.path(""), &Disk, &BTreeMap::new()).unwrap();
    let digest = |name: &str| {
        let (_, model) = loaded.pipeline.models.iter().find(|(id, _)| id.as_str() == name).unwrap();
        let Model::Scripted(model) = model else { panic!("it is scripted") };
        scripted::identity(model).digest()
    };
    let speed = Speed { calls: 10, prompt_chars: 1000, prompt_tokens: 500, completion_tokens: 200, busy_ms: 20_000 };
    let record = |model: BlobId, kind: &str| {
        Store::open(&project.path("cache")).unwrap().add_speed(&model, kind, &speed).unwrap();
    };
    record(digest("candidate"), "infer");
    record(digest("judge"), "generate");
    insta::assert_snapshot!(text(&project, &[]));
}

/// Lets the pipeline bring the weights of the model that answers.
fn pull(project: &Project, from: &str) {
    let stage = format!("  weights:\n    pull: {{ from: \"{from}\" }}\n  answers:");
    let text = PIPELINE.replace("  answers:", &stage).replace("model: candidate", "model: weights");
    let candidate = text.find("  candidate:").unwrap();
    let judge = text.find("  judge:\n").unwrap();
    project.write("pipelines/p.yaml", &format!("{}{}", &text[..candidate], &text[judge..]));
}

#[test]
fn a_model_that_is_here_is_told_with_the_memory_it_needs() {
    let project = wide();
    fs_err::create_dir_all(project.path("models")).unwrap();
    fs_err::write(project.path("models/m.gguf"), gguf::smallest()).unwrap();
    pull(&project, "file:models/m.gguf");
    let _fails = project.run(&["run", "pipelines/p.yaml"]).exits(1);
    let without_memory = |text: &str| {
        let memory = r"needs \d+\.\d [MG]B of (\d+\.\d [MG]B )?memory|\d+\.\d [MG]B, \d+ × 4096 tokens";
        regex::Regex::new(memory).unwrap().replace_all(&without_times(text), "[memory]").into_owned()
    };
    let here = without_memory(&text(&project, &[]));
    // Weights that are brought again by force are expected to be the same.
    let forced = without_memory(&text(&project, &["--force=weights"]));
    insta::assert_snapshot!(format!("weights are here:\n{here}\nand brought again:\n{forced}"));
}

#[test]
fn weights_that_are_not_here_are_told() {
    let project = Project::scripted();
    let pipeline = |from: &str| pull(&project, from);
    project.write("models/m.gguf", "not really");
    pipeline("file:models/m.gguf");
    let file = text(&project, &[]);
    let source = "https://example.org/m.gguf";
    pipeline(source);
    let fresh = text(&project, &[]);
    let partial = format!("cache/partial/{}", BlobId::of(source.as_bytes()).short());
    project.write(&partial, &"x".repeat(400_000));
    let meta = format!(r#"{{"url":"{source}","etag":"\"e\"","last_modified":null,"total":2400000}}"#);
    project.write(&format!("{partial}.meta"), &meta);
    let begun = text(&project, &[]);
    insta::assert_snapshot!(format!("a file:\n{file}\nan address:\n{fresh}\na download that was begun:\n{begun}"));
}

#[test]
fn a_download_is_as_large_as_the_catalog_says() {
    let project = wide();
    project.write("models.csv", "id,params_b,weights,weights_bytes\norg/m,0.1,https://example.org/m.gguf,98362432\n");
    project.write(
        "pipelines/p.yaml",
        "evalflow: 1\nname: p\nstages:\n  candidates:\n    research: { catalog: [models.csv] }\n  weights:\n    pull: { \
         model: candidates.primary }\n",
    );
    assert!(!text(&project, &[]).contains("98.4 MB"));
    let _run = project.run(&["run", "pipelines/p.yaml", "--only", "candidates"]).exits(0);
    let plan = text(&project, &[]);
    assert!(plan.contains("98.4 MB"), "{plan}");
}
