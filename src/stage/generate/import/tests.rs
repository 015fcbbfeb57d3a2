//! Files of other tools as scenarios, and what is said about those that are wrong.

use super::*;
use crate::spec::FieldPath;

/// Reads a file of this name and text, with these fields.
fn read(
    name: &str,
    text: &str,
    format: ImportFormat,
    fields: &[(&str, &str)],
    redact: bool,
) -> Result<Vec<Cell>, ScenarioFileError> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(name);
    fs_err::write(&path, text).unwrap();
    let fields = fields.iter().map(|(name, path)| ((*name).to_owned(), FieldPath::new(path).unwrap())).collect();
    let mapping = Mapping { format, fields, redact };
    let counted = count(&path, name, &mapping)?;
    let all: Vec<Cell> = cells(&path, name, &mapping)?.collect::<Result<_, _>>()?;
    assert_eq!(counted, all.len() as u64);
    Ok(all)
}

fn rows(name: &str, text: &str, format: ImportFormat, fields: &[(&str, &str)]) -> Vec<(String, String, String)> {
    let cells = read(name, text, format, fields, false).unwrap();
    let row = |Scenario { id, topic, opening, .. }: Scenario| (id.to_string(), topic, opening);
    cells.into_iter().map(|cell| row(cell.scenario)).collect()
}

fn owned<const N: usize>(rows: [(&str, &str, &str); N]) -> Vec<(String, String, String)> {
    rows.map(|(id, topic, opening)| (id.to_owned(), topic.to_owned(), opening.to_owned())).to_vec()
}

#[test]
fn logs_are_read_by_a_field_map() {
    let log = r#"{"session": "A b/7", "messages": [{"role": "system", "content": "be kind"}, {"role": "user", "content": " cant sleep "}], "meta": {"area": "sleep", "lang": "en"}}

{"session": "A b/7", "messages": [{"role": "user", "content": [{"type": "text", "text": "one"}, {"type": "image"}, {"type": "text", "text": "two"}]}]}"#;
    let fields = [
        ("opening", "$.messages[role=user].content"),
        ("id", "session"),
        ("topic", "$.meta.area"),
        ("axes.language", "$.meta.lang"),
        ("reference", "$.meta.area"),
    ];
    let cells = read("l.jsonl", log, ImportFormat::Jsonl, &fields, false).unwrap();
    let [first, second] = [&cells[0].scenario, &cells[1].scenario];
    assert_eq!((first.id.as_str(), first.opening.as_str(), first.topic.as_str()), ("a-b/7", "cant sleep", "sleep"));
    assert_eq!(first.axes, BTreeMap::from([("language".to_owned(), "en".to_owned())]));
    assert_eq!((second.id.as_str(), second.opening.as_str(), second.topic.as_str()), ("a-b/7/2", "one\ntwo", TOPIC));
    assert!(second.axes.is_empty());
    assert_eq!((first.reference.as_deref(), &second.reference), (Some("sleep"), &None));
    // A column of that name alone is nothing: who took the file before would get other rows.
    let unmapped =
        read("l.jsonl", "{\"opening\": \"a\", \"reference\": \"b\"}", ImportFormat::Jsonl, &[], false).unwrap();
    assert_eq!(unmapped[0].scenario.reference, None);
}

#[test]
fn personal_data_is_covered_wherever_it_stands() {
    let log = r#"{"user": "ann@example.com", "text": "I am ann@example.com, call +49 30 901820", "topic": "from 10.0.0.1", "tags": ["bob@example.com"]}"#;
    let fields = [("opening", "text"), ("id", "user")];
    let cells = read("l.jsonl", log, ImportFormat::Jsonl, &fields, true).unwrap();
    let Cell { scenario, covered, .. } = &cells[0];
    assert_eq!(scenario.opening, "I am [email], call [phone]");
    assert_eq!(
        (scenario.id.as_str(), scenario.topic.as_str(), scenario.tags[0].as_str()),
        ("email", "from [ip]", "[email]")
    );
    assert_eq!(*covered, 5);
    assert!(!cells[0].to_line().contains("example"), "{}", cells[0].to_line());
    // The same text with other personal data has the same name: nothing of it is in the digest.
    let id = |address: &str| {
        let line = format!("{{\"text\": \"I am {address}\"}}");
        read("l.jsonl", &line, ImportFormat::Jsonl, &[("opening", "text")], true).unwrap()[0].scenario.id.clone()
    };
    assert_eq!(id("a@example.com"), id("b@example.com"));
}

#[test]
fn tables_and_lists_are_read() {
    let expected = owned([("x", "sleep", "awake, again"), ("y", TOPIC, "boss yelled")]);
    let csv = "\u{feff}id,opening,topic\nx,\"awake, again\",sleep\ny,boss yelled,\n";
    assert_eq!(rows("t.csv", csv, ImportFormat::Csv, &[]), expected);
    let tsv = "id\topening\ttopic\nx\tawake, again\tsleep\ny\tboss yelled\t\n";
    assert_eq!(rows("t.tsv", tsv, ImportFormat::Tsv, &[]), expected);
    let list = r#"[{"id": "x", "opening": "awake, again", "topic": "sleep"}, {"id": "y", "opening": "boss yelled"}]"#;
    assert_eq!(rows("t.json", list, ImportFormat::Json, &[]), expected);
    assert_eq!(rows("t.json", &format!(r#"{{"data": {list}}}"#), ImportFormat::Json, &[]), expected);
    let viewer = r#"{"rows": [{"row_idx": 0, "row": {"q": "awake, again", "n": 3}}]}"#;
    let fields = [("opening", "q"), ("id", "n"), ("topic", "n")];
    assert_eq!(rows("t.json", viewer, ImportFormat::Json, &fields), owned([("3", "3", "awake, again")]));
}

#[test]
fn the_tests_of_other_tools_are_read() {
    let promptfoo = "prompts: [p]\ntests:\n  - vars: { question: cant sleep }\n  - description: d\n    vars: { only: boss yelled }\n";
    let openings = |rows: Vec<(String, String, String)>| rows.into_iter().map(|row| row.2).collect::<Vec<_>>();
    assert_eq!(openings(rows("p.yaml", promptfoo, ImportFormat::Promptfoo, &[])), ["cant sleep", "boss yelled"]);
    let table = "question,__expected\ncant sleep,contains:sorry\n";
    assert_eq!(openings(rows("p.csv", table, ImportFormat::Promptfoo, &[])), ["cant sleep"]);
    let other = "- vars: { a: one, b: two }\n";
    assert_eq!(openings(rows("p.yaml", other, ImportFormat::Promptfoo, &[("opening", "$.vars.b")])), ["two"]);

    let inspect = r#"{"input": "cant sleep", "target": "x", "id": 7}
{"input": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "?"}, {"role": "user", "content": "boss yelled"}]}"#;
    let read = rows("i.jsonl", inspect, ImportFormat::Inspect, &[]);
    assert_eq!(
        (read[0].0.as_str(), openings(read.clone())),
        ("7", vec!["cant sleep".to_owned(), "boss yelled".to_owned()])
    );
    assert_eq!(openings(rows("i.csv", "input,target\nhello,x\n", ImportFormat::Inspect, &[])), ["hello"]);
}

#[test]
fn what_is_wrong_is_named_and_not_repeated() {
    let check = |name: &str, text: &str, format, fields: &[(&str, &str)], expected: &str| {
        let error = read(name, text, format, fields, true).unwrap_err();
        assert_eq!(error.to_string(), expected);
        assert!(!error.help().is_empty());
    };
    check("l.jsonl", "{}\n", ImportFormat::Jsonl, &[], "`l.jsonl:1`: it has no opening");
    let fields = [("opening", "$.text")];
    check(
        "l.jsonl",
        "{\"text\": \"a\"}\n{\"x\": 1}",
        ImportFormat::Jsonl,
        &fields,
        "`l.jsonl:2`: `$.text` leads to no text",
    );
    check("l.jsonl", "a@b.de", ImportFormat::Jsonl, &[], "`l.jsonl:1`: expected value at column 1");
    check("l.jsonl", "\n", ImportFormat::Jsonl, &[], "`l.jsonl` holds no scenario");
    check("t.csv", "opening\na,b\n", ImportFormat::Csv, &[], "`t.csv:2`: it has 2 cells, and the first line has 1");
    check(
        "t.json",
        "{\"a\": 1}",
        ImportFormat::Json,
        &[],
        "`t.json` is not a list of records: it has neither items nor one of data, rows, tests, examples, samples, records",
    );
    let two = "- vars: { a: one, b: two }\n";
    check("p.yaml", two, ImportFormat::Promptfoo, &[], "`p.yaml:1`: it has no opening");
}
