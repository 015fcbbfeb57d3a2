//! Suites of scenarios as they come to be: axes, openings that are drawn again, files of other tools, what the report says.

use serde_json::{Value, json};

use crate::env::{Project, all_bytes};

/// A writer whose replies to several at once repeat each other, and who knows one thing only when asked for one.
const WRITER: &str = r#"  writer:
    scripted:
      replies:
        - match: '"openings".*\n.*Topic: Work'
          reply: '{"openings": ["my boss yelled at me today", "my boss yelled at me, today!", "so much to do and no time"]}'
        - match: '"openings"'
          reply: '{"openings": ["lying here since three again", "Style: short. A handful of words, often without capitals", "x"]}'
        - { match: 'Topic: Work', reply: '{"opening": "they gave my desk away"}' }
      otherwise: '{"opening": "write me at ann@example.com"}'
"#;

const SUITE: &str = r#"name: suite
styles: { short: "A handful of words, often without capitals or a question." }
topics:
  - { id: sleep, title: Sleep, subtopics: [{ id: nights, title: Nights }] }
  - { id: work, title: Work, subtopics: [{ id: boss, title: A hard boss }] }
"#;

/// The scripted project with a writer and a suite, and these options of its `generate` stage.
fn project(options: &str) -> Project {
    let project = Project::scripted();
    project.edit("pipelines/p.yaml", "models:\n", &format!("models:\n{WRITER}"));
    project.write("scenarios/suite.yaml", SUITE);
    let generate = format!("generate: {{ taxonomy: scenarios/suite.yaml, seed: 1, {options} }}");
    project.edit("pipelines/p.yaml", "generate: { taxonomy: scenarios/p.yaml, seed: 1 }", &generate);
    project
}

const CHOOSY: &str = "count: 6, writer: { model: writer, batch: 3, attempts: 2 }, \
                      reject: { length: 4..80, language: [en, de] }, near_duplicates: { shingles: 0.7, action: reject }";

fn table(project: &Project, run: &Value) -> Vec<Value> {
    let stages = run["report"]["stages"].as_array().unwrap();
    let output = stages.iter().find(|one| one["id"] == "scenarios").unwrap()["output"].as_str().unwrap();
    let table = project.read(&format!("cache/objects/{}/{output}", &output[..2]));
    table.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn made(run: &Value) -> u64 {
    run["run"]["calls_made"].as_u64().unwrap()
}

#[test]
fn openings_that_are_not_taken_are_drawn_again_and_the_rest_is_a_gap() {
    let project = project(CHOOSY);
    let run = project.json();
    let rows = table(&project, &run);
    let mut openings: Vec<(&str, &str, u64)> = rows
        .iter()
        .map(|row| {
            let attempt = row["written"]["attempt"].as_u64().unwrap();
            (row["topic"].as_str().unwrap(), row["opening"].as_str().unwrap(), attempt)
        })
        .collect();
    openings.sort_unstable();
    let boss = openings.iter().find(|(_, opening, _)| opening.starts_with("my boss")).unwrap().1;
    let expected = [
        ("sleep", "lying here since three again", 1),
        ("work", boss, 1),
        ("work", "so much to do and no time", 1),
        ("work", "they gave my desk away", 2),
    ];
    assert_eq!(openings, {
        let mut all = expected;
        all.sort_unstable();
        all
    });
    assert!(rows.iter().all(|row| row["written"]["generator"].as_str().unwrap().len() == 64));

    let coverage = &run["report"]["coverage"];
    let rejected = &coverage["rejected"];
    let count = |name: &str| rejected[name].as_u64().unwrap();
    assert_eq!(
        ["near_duplicate", "echo", "length", "personal_data", "language", "missing"].map(count),
        [1, 1, 1, 2, 0, 2],
        "{rejected}"
    );
    assert_eq!(coverage["gaps"], json!([{ "topic": "sleep", "style": "short", "made": 1, "asked": 3 }]));
    let report = project.read("docs/report.md");
    for part in [
        "Not taken: 5 openings (1 nearly repeated an earlier one, 1 repeated the instructions, 1 were too short or too \
         long, 2 held personal data). 2 scenarios left out for want of one: sleep/nights/short",
        "Gaps, 1 combination of topic and style",
        "| sleep | short | 1 | 3 |",
    ] {
        assert!(report.contains(part), "{part}\n{report}");
    }
    assert!(!report.contains("ann@example.com"));

    assert_eq!(made(&project.json()), 0, "a second run asks nothing");
    let forced = project.run(&["run", "pipelines/p.yaml", "--force=scenarios"]).exits(4);
    assert!(forced.stderr.contains("5 openings not taken, 2 scenarios left out for want of one"), "{forced}");
    project.run(&["bless", "pipelines/p.yaml"]).exits(0);
    let verified = project.run(&["verify", "pipelines/p.yaml"]).exits(0);
    assert!(verified.stdout.contains("identical") || verified.stderr.contains("identical"), "{verified}");
}

#[test]
fn another_topic_adds_only_its_scenarios() {
    let project = project(
        "writer: { model: writer }, reject: { length: 4..80, personal_data: false }, \
         near_duplicates: { shingles: 0.7, action: reject }",
    );
    let before = table(&project, &project.json());
    // It says the very same as the topic `work`, and comes first in the file.
    project.edit(
        "scenarios/suite.yaml",
        "topics:\n",
        "topics:\n  - { id: jobs, title: Work, subtopics: [{ id: boss, title: A hard boss }] }\n",
    );
    let run = project.json();
    let (new, kept): (Vec<Value>, Vec<Value>) =
        table(&project, &run).into_iter().partition(|row| row["topic"] == "jobs");
    assert_eq!((kept, new.len()), (before, 1));
    assert_eq!(made(&run), 1, "its opening; what is asked about it was asked about the other");
}

#[test]
fn axes_reach_the_writer_the_rubric_and_the_report() {
    let project = project("count: 8, writer: writer");
    project.edit(
        "scenarios/suite.yaml",
        "topics:\n",
        "axes: { language: { en: English, de: German }, severity: [mild, crisis] }\n\
         constraints: [{ not: { language: de, severity: crisis } }]\n\
         must_cover: [{ topic: work, severity: crisis }]\ntopics:\n",
    );
    project.edit(
        "rubrics/p.yaml",
        "question: Is the reply kind?",
        "question: Is the reply kind?, when: \"scenario.axes.severity == 'crisis'\"",
    );
    let run = project.json();
    let rows = table(&project, &run);
    assert_eq!(rows.len(), 8);
    assert!(!rows.iter().any(|row| row["axes"] == json!({ "language": "de", "severity": "crisis" })));
    assert!(rows.iter().any(|row| row["topic"] == "work" && row["axes"]["severity"] == "crisis"));
    assert!(rows.iter().all(|row| row.get("written").is_none()), "a plain writer's rows are as they were");
    let axes = &run["report"]["coverage"]["axes"];
    let sum = |axis: &str| axes[axis].as_object().unwrap().values().map(|n| n.as_u64().unwrap()).sum::<u64>();
    assert_eq!((sum("language"), sum("severity")), (8, 8));
    assert!(project.read("docs/report.md").contains("language: "));
    let shown = project.run(&["why", "pipelines/p.yaml", "scenarios", rows[0]["id"].as_str().unwrap()]);
    assert!(!shown.stderr.contains("panicked"), "{shown}");
}

#[test]
fn personal_data_of_a_log_reaches_no_file() {
    let project = Project::scripted();
    let log = (0..4).map(|at| {
        let text = format!("number {at}: I am ann.lee@example.com, call +49 30 90182{at}");
        json!({ "who": format!("ann.lee@example.com/{at}"), "turns": [{ "role": "user", "content": text }] })
            .to_string()
    });
    project.write("logs/chat.jsonl", &log.collect::<Vec<_>>().join("\n"));
    let generate = "generate: { file: logs/chat.jsonl, redact: true, \
                    fields: { opening: \"$.turns[role=user].content\", id: who } }";
    project.edit("pipelines/p.yaml", "generate: { taxonomy: scenarios/p.yaml, seed: 1 }", generate);
    let run = project.json();
    let rows = table(&project, &run);
    assert_eq!(rows[2]["opening"], "number 2: I am [email], call [phone]");
    assert_eq!(rows[2]["id"], "email/2");
    assert_eq!(run["report"]["coverage"]["covered"], 12);
    assert!(project.read("docs/report.md").contains("Personal data was covered at 12 places"));
    for place in ["cache", "docs"] {
        for (path, bytes) in all_bytes(&project.path(place)) {
            let found = bytes.windows(7).any(|part| part == b"ann.lee" || part == b"30 9018");
            assert!(!found, "{}", path.display());
        }
    }
}

#[test]
fn a_dataset_in_parquet_is_a_suite() {
    let project = Project::scripted();
    let dataset = include_bytes!("../data/parquet/chat.parquet");
    let path = project.path("data/train-00000-of-00001.parquet");
    fs_err::create_dir_all(path.parent().unwrap()).unwrap();
    fs_err::write(&path, dataset).unwrap();
    let generate = "generate: { file: data/train-00000-of-00001.parquet, \
                    fields: { opening: \"$.messages[role=user].content\", topic: $.meta.area } }";
    project.edit("pipelines/p.yaml", "generate: { taxonomy: scenarios/p.yaml, seed: 1 }", generate);
    let run = project.json();
    let rows = table(&project, &run);
    assert_eq!(rows.len(), 2);
    assert_eq!(
        (&rows[0]["id"], &rows[0]["topic"], &rows[0]["opening"]),
        (&json!("7"), &json!("sleep"), &json!("cant sleep"))
    );
    assert_eq!(rows[0]["tags"], json!(["night", "work"]));

    // This makes the library panic, which is nothing for anybody to see.
    let mut damaged = dataset.to_vec();
    damaged[123] ^= 0x10;
    fs_err::write(&path, &damaged).unwrap();
    let output = project.run(&["run", "pipelines/p.yaml"]).exits(1);
    assert!(output.stderr.contains("train-00000-of-00001.parquet"), "{}", output.stderr);
    assert!(!output.stderr.contains("panicked"), "{}", output.stderr);
}

#[test]
fn what_a_file_repeats_can_be_left_out() {
    let project = Project::scripted();
    let lines =
        "opening,topic\nI cannot sleep at night,sleep\nI can't sleep at night!,sleep\nMy boss yelled,work\nno,work\n";
    project.write("scenarios/s.csv", lines);
    let generate = "generate: { file: scenarios/s.csv, reject: { length: 5.. }, \
                    near_duplicates: { shingles: 0.6, action: reject } }";
    project.edit("pipelines/p.yaml", "generate: { taxonomy: scenarios/p.yaml, seed: 1 }", generate);
    let run = project.json();
    let openings: Vec<String> =
        table(&project, &run).iter().map(|row| row["opening"].as_str().unwrap().to_owned()).collect();
    assert_eq!(openings, ["I cannot sleep at night", "My boss yelled"]);
    let rejected = &run["report"]["coverage"]["rejected"];
    assert_eq!(
        (&rejected["near_duplicate"], &rejected["length"], &rejected["missing"]),
        (&json!(1), &json!(1), &json!(2))
    );
    // Marked, nothing is dropped.
    project.edit("pipelines/p.yaml", ", action: reject", "");
    project.edit("pipelines/p.yaml", "reject: { length: 5.. }, ", "");
    let run = project.json();
    let rows = table(&project, &run);
    assert_eq!((rows.len(), &rows[1]["near_duplicate"]["of"]), (4, &rows[0]["id"]));
    assert!(rows[1]["near_duplicate"]["overlap"].as_f64().unwrap() >= 0.6);
}

#[test]
fn openings_that_stand_in_training_data_are_told() {
    let project = Project::scripted();
    let training = r#"{"messages": [{"role": "user", "content": "Well, i have been awake since THREE as every night of this week"}]}"#;
    project.write("data/train.jsonl", training);
    let generate = "generate: { taxonomy: scenarios/p.yaml, seed: 1, not_in: data/train.jsonl }";
    project.edit("pipelines/p.yaml", "generate: { taxonomy: scenarios/p.yaml, seed: 1 }", generate);
    let run = project.json();
    let leaks = &run["report"]["coverage"]["leaks"];
    assert_eq!(
        (&leaks["leaked"], &leaks["checked"], &leaks["too_short"]),
        (&json!(1), &json!(3), &json!(2)),
        "{leaks}"
    );
    assert_eq!(leaks["first"][0]["scenario"], "sleep/waking/long");
    let report = project.read("docs/report.md");
    assert!(report.contains("1 of 3 openings stands in `data/train.jsonl`"), "{report}");
    assert_eq!(made(&project.json()), 0);
    project.write("data/train.jsonl", "{\"text\": \"nothing\"}\n");
    let run = project.json();
    assert_eq!((&run["report"]["coverage"]["leaks"]["leaked"], made(&run)), (&json!(0), 0));
}

#[test]
fn a_frozen_suite_is_written_once_and_then_taken() {
    let project = project("count: 4, writer: { model: writer }, freeze: scenarios/frozen.jsonl");
    let first = project.run(&["run", "pipelines/p.yaml", "--json"]);
    assert!(first.stderr.contains("wrote 4 scenarios to `scenarios/frozen.jsonl`"), "{first}");
    let before: Value = serde_json::from_str(&first.stdout).unwrap();
    let file = project.read("scenarios/frozen.jsonl");
    assert_eq!(file.lines().count(), 4);
    // What was made is what is taken, byte for byte: nothing further down runs again.
    let again = project.json();
    assert_eq!(table(&project, &again), table(&project, &before));
    assert_eq!((made(&again), &again["report"]["coverage"]["frozen"]["first"]), (0, &json!([])));

    // It is the reviewed file that counts, and what the taxonomy has become is told.
    project.write("scenarios/frozen.jsonl", &file.replacen("they gave my desk away", "they gave away my desk", 1));
    let reviewed = project.read("scenarios/frozen.jsonl");
    project.edit("scenarios/suite.yaml", "id: boss", "id: chief");
    let run = project.run(&["run", "pipelines/p.yaml", "--json"]);
    assert!(run.stderr.contains("2 scenarios missing, 2 no longer in it"), "{run}");
    let told: Value = serde_json::from_str(&run.stdout).unwrap();
    let openings: Vec<Value> = table(&project, &told).into_iter().map(|row| row["opening"].clone()).collect();
    assert!(openings.contains(&json!("they gave away my desk")), "{openings:?}");
    assert_eq!(project.read("scenarios/frozen.jsonl"), reviewed, "a file of the user's is never written over");
    assert!(project.read("docs/report.md").contains("The suite is frozen in `scenarios/frozen.jsonl`"));

    // A part of a suite is none to keep.
    fs_err::remove_file(project.path("scenarios/frozen.jsonl")).unwrap();
    let _part = project.run(&["run", "pipelines/p.yaml", "--limit", "2"]);
    assert!(!project.path("scenarios/frozen.jsonl").exists());
}
