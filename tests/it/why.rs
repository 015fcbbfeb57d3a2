//! `evalflow why`: the field that somebody changed, however far up.

use evalflow::ids::StageId;
use evalflow::store::{RunEnded, RunRecord, RunStage, Store};
use serde_json::Value;

use crate::env::{Project, RUBRIC};

fn why(project: &Project, subject: &str) -> String {
    project.run(&["why", "pipelines/p.yaml", subject]).exits(0).stdout
}

fn json(project: &Project, subject: &str) -> Value {
    let output = project.run(&["why", "pipelines/p.yaml", subject, "--json"]).exits(0);
    serde_json::from_str(&output.stdout).unwrap()
}

/// Runs the pipeline, and sees to it that the store has a record of the run.
fn run(project: &Project) {
    let runs = || Store::open(&project.path("cache")).unwrap().runs(None, 99).unwrap().len();
    let before = runs();
    let run = project.json();
    if runs() > before {
        return;
    }
    let stage = |stage: &Value| RunStage {
        id: StageId::new(stage["stage"].as_str().unwrap()).unwrap(),
        status: stage["status"].as_str().unwrap().to_owned(),
        key: stage["key"].as_str().map(|key| key.parse().unwrap()),
        output: stage["output"].as_str().map(|output| output.parse().unwrap()),
    };
    let record = RunRecord {
        ended: RunEnded::Finished,
        exit: 4,
        stages: run["run"]["stages"].as_array().unwrap().iter().map(stage).collect(),
        ..RunRecord::started("pipelines/p.yaml", 1_767_225_600, Vec::new())
    };
    Store::open(&project.path("cache")).unwrap().put_run(&record).unwrap();
}

#[test]
fn a_stage_is_followed_to_the_field_that_changed() {
    let project = Project::scripted();
    let never = why(&project, "answers");
    run(&project);
    let first = why(&project, "answers");
    project.edit("rubrics/p.yaml", "weight: 2", "weight: 3");
    let weight = why(&project, "verdicts");
    let decision = why(&project, "decision");
    run(&project);
    let after = why(&project, "verdicts");
    project.edit("scenarios/p.yaml", "awake again", "awake again, why");
    project.edit("pipelines/p.yaml", "max_tokens: 50", "max_tokens: 40");
    let waits = why(&project, "verdicts");
    run(&project);
    let rows = why(&project, "verdicts");
    let against = project.run(&["why", "pipelines/p.yaml", "decision", "--against", "1"]).exits(0).stdout;
    insta::assert_snapshot!(format!(
        "never run:\n{never}\nonce run:\n{first}\none weight changed:\n{weight}\nand what reads it:\n{decision}\n\
         after it ran:\n{after}\nanother scenario and fewer tokens:\n{waits}\nafter that ran:\n{rows}\n\
         against the first run:\n{against}"
    ));
}

#[test]
fn the_cause_is_known_without_a_record_of_the_run() {
    let project = Project::scripted();
    project.json();
    project.edit("pipelines/p.yaml", "max_tokens: 50", "max_tokens: 40");
    let found = json(&project, "verdicts");
    assert_eq!(found["against"]["key"].as_str().map(str::len), Some(64));
    let cause = &found["explained"]["causes"][0];
    assert_eq!(
        (&cause["input"], &cause["stage"], &cause["settled"]),
        (&"answers".into(), &"answers".into(), &false.into())
    );
    let change = &cause["explained"]["changes"][0];
    assert_eq!((&change["path"], &change["old"], &change["new"]), (&"max_tokens".into(), &50.into(), &40.into()));
}

#[test]
fn a_row_shows_its_prompts_then_and_now() {
    let project = Project::scripted();
    let never = why(&project, "answers#sleep/waking/terse");
    run(&project);
    project.write("pipelines/system.md", "You are kind.\nYou are calm.\nYou listen.\n");
    run(&project);
    project.write("pipelines/system.md", "You are kind.\nYou are brief.\nYou listen.\n");
    project.edit("pipelines/p.yaml", "max_tokens: 50", "max_tokens: 40");
    project.edit("scenarios/p.yaml", "awake again", "awake again, why");
    let answer = why(&project, "answers#sleep/waking/terse");
    let waits = why(&project, "verdicts#sleep/waking/terse");
    run(&project);
    let done = why(&project, "answers#sleep/waking/terse");
    let added = "  - { id: short, question: Is the reply short? }\n";
    project.write("rubrics/p.yaml", &format!("{RUBRIC}{added}").replace("ask something?", "ask one thing?"));
    project.edit("rubrics/p.yaml", "weight: 2", "weight: 3");
    let verdicts = why(&project, "verdicts#sleep/waking/terse");
    insta::assert_snapshot!(format!(
        "never run:\n{never}\nother words, another prompt:\n{answer}\nwhat judges it:\n{waits}\nafter it ran:\n{done}\n\
         another question:\n{verdicts}"
    ));
    let found = json(&project, "verdicts#sleep/waking/terse");
    let calls: Vec<_> = found["calls"].as_array().unwrap().iter().collect();
    let kept: Vec<_> = calls.iter().map(|call| (&call["criterion"], &call["reply_in_store"])).collect();
    assert_eq!(
        kept,
        [(&"kind".into(), &true.into()), (&"asks".into(), &false.into()), (&"short".into(), &false.into())]
    );
    assert!(calls[2]["old"].is_null() && calls[2]["new"].is_array());
}

#[test]
fn what_is_not_there_is_a_mistake_with_a_way_on() {
    let project = Project::scripted();
    let check = |arguments: &[&str], message: &str, help: &str| {
        let stderr = project.run(&[&["why", "pipelines/p.yaml"], arguments].concat()).exits(2).stderr;
        assert!(stderr.contains(message) && stderr.contains(help), "{stderr}");
    };
    check(&["anwsers"], "unknown stage `anwsers`", "did you mean `answers`?");
    check(&["answers#sleep/waking/ters"], "unknown scenario `sleep/waking/ters`", "did you mean `sleep/waking/terse`?");
    check(&["decision#sleep/waking/terse"], "`decision` is a `decide` stage", "name a stage that asks a model");
    check(&["answers", "--against", "7"], "there is no run 7", "run the pipeline first");
    run(&project);
    check(&["answers#nobody"], "unknown scenario `nobody`", "there are `");
    check(&["answers", "--against", "7"], "there is no run 7", "there is only run 1");
}

#[test]
fn a_stage_is_compared_with_the_lock() {
    let project = Project::scripted();
    let against =
        |subject: &str| project.run(&["why", "pipelines/p.yaml", subject, "--against", "lock"]).exits(0).stdout;
    project.json();
    let written = project.run(&["bless", "pipelines/p.yaml"]).exits(0).stdout;
    assert!(written.starts_with("pipelines/p.lock: written"), "{written}");
    let blessed = against("decision");
    project.edit("scenarios/p.yaml", "awake again", "awake again, why");
    project.edit("pipelines/p.yaml", "max_tokens: 50", "max_tokens: 40");
    project.json();
    project.edit("rubrics/p.yaml", "weight: 2", "weight: 3");
    let changed = against("verdicts");
    let row = against("answers#sleep/waking/terse");
    // Another machine: the lock is there, what it names is not.
    fs_err::remove_dir_all(project.path("cache")).unwrap();
    project.json();
    let elsewhere = against("decision");
    let row_elsewhere = against("answers#sleep/waking/terse");
    insta::assert_snapshot!(format!(
        "as blessed:\n{blessed}\nwith what the lock names:\n{changed}\na row:\n{row}\nwithout what the lock names:\n\
         {elsewhere}\na row:\n{row_elsewhere}"
    ));
    let found = project.run(&["why", "pipelines/p.yaml", "verdicts", "--against", "lock", "--json"]).exits(0);
    let found: Value = serde_json::from_str(&found.stdout).unwrap();
    assert_eq!((&found["against"]["from"], &found["against"]["run"]), (&"lock".into(), &Value::Null));
    assert_eq!(found["explained"]["digests"], serde_json::json!(["rubric"]));
}

#[test]
fn a_lock_that_cannot_be_compared_with_is_a_mistake_with_a_way_on() {
    let project = Project::scripted();
    let check = |against: &str, code: i32, message: &str, help: &str| {
        let stderr = project.run(&["why", "pipelines/p.yaml", "again", "--against", against]).exits(code).stderr;
        assert!(stderr.contains(message) && stderr.contains(help), "{stderr}");
    };
    project.json();
    let blessed = project.run(&["bless", "pipelines/p.yaml"]).exits(0);
    assert!(blessed.stdout.contains("written"), "{blessed}");
    project.edit(
        "pipelines/p.yaml",
        "report:",
        "  again:\n    infer: { model: candidate, scenarios: scenarios }\nreport:",
    );
    check("lock", 2, "stage `again` is not in the lock", "compare with a run");
    check("lok", 2, "invalid value 'lok'", "the number of a run, or `lock`");
    project.write("pipelines/p.lock", "hello\n");
    check("lock", 2, "`pipelines/p.lock`: line 1", "take it from the last commit");
    fs_err::remove_file(project.path("pipelines/p.lock")).unwrap();
    check("lock", 1, "there is no lock `pipelines/p.lock`", "write it with `evalflow bless` after a run");
}
