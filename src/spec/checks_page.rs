//! The page of checks, written from the list that the program has and tried example by example. `EVALFLOW_BLESS=1` writes it
//! anew.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use super::tests::is_blessing;
use super::*;
use crate::check::{Check, DOCUMENTED, REFUSAL_PATTERNS, Subject};

const PIPELINE: &str = "
evalflow: 1
name: page
models:
  model: { scripted: { otherwise: x, price: { prompt: 1, completion: 1 } } }
stages:
  scenarios: { generate: { file: scenarios.jsonl } }
  answers: { infer: { model: model, scenarios: scenarios, latency: true } }
  verdicts: { judge: { answers: answers, rubric: rubric.yaml } }
";

/// The check that is no pure function; what it says is tested where programs are run.
const COMMAND: &str = r#"
## `command`

A program of the project decides: `command: [sh, checks/rhymes.sh]`, or with a time limit other than 30 s
`command: { run: [sh, checks/rhymes.sh], timeout: 5s }`; inside of `not:` its fail is a pass.

It reads one JSON document on its standard input:

```json
{"criterion": "rhymes", "reply": "…", "scenario": {"topic": "…", "subtopic": null, "style": "…", "tags": [], "opening": "…", "edge_case": false, "axes": {}}}
```

It ends with 0 for a pass and with 1 for a fail, or ends with 0 and prints one JSON document, of which `pass` alone is needed:

```json
{"pass": false, "reason": "the second line does not rhyme", "evidence": "words of the reply"}
```

Anything else is `ungraded`, never a pass: another exit code, a signal, more than 64 KiB, other text, a pass printed with exit code 1.
A program that is not done in time is killed, with all that it started.

It runs in the project's root with two variables in its environment, `PATH` and `LANG=C.UTF-8`. What it said is kept as a call,
known by its arguments, the document, and what those of its arguments hold that are files of the project: a second run asks nothing, an
edited script is asked again, and what else it reads (the clock, the network, other files) should not matter to it. `evalflow plan`
does not count such calls, since they cost nothing. A rubric with a `command` runs that program on whoever runs the pipeline.
"#;

/// Reads a check as a rubric holds it.
fn read(check: &str) -> Check {
    let rubric = format!(
        "name: r\npass: {{ score: 1 }}\ncriteria:\n  - id: c\n    check:\n      {}\n",
        check.replace('\n', "\n      ")
    );
    let files =
        [("/pipeline.yaml", PIPELINE.to_owned()), ("/rubric.yaml", rubric), ("/scenarios.jsonl", String::new())];
    let sources = Memory(files.into_iter().map(|(path, text)| (PathBuf::from(path), text.into_bytes())).collect());
    let environment = BTreeMap::<String, String>::new();
    let loaded = load(Path::new("/pipeline.yaml"), Path::new("/"), &sources, &environment);
    let loaded = loaded.unwrap_or_else(|problems| panic!("{check}: {problems:?}"));
    let Some((_, Stage::Judge(judge))) = loaded.pipeline.stages.last() else { panic!("the last stage judges") };
    match &judge.rubric.criteria[0].ask {
        Ask::Check(check) => check.clone(),
        Ask::Question(_) | Ask::Scale(_) | Ask::Command { .. } => panic!("{check} is no check"),
    }
}

#[test]
fn every_example_does_what_the_page_says() {
    for one in DOCUMENTED {
        let check = read(one.example).compile().unwrap();
        let holds = |reply: &str, completion: u32| {
            let (tokens, latency_ms) = (Some((20, completion)), Some(u64::from(completion) * 250));
            check.evaluate(Subject { reply, tokens, latency_ms }).unwrap_or_else(|why| panic!("{why}"))
        };
        assert!(holds(one.passes, 10).holds, "{}: {:?}", one.kind, holds(one.passes, 10));
        // What depends on tokens or time alone fails with more of them.
        let failed = if one.fails.is_empty() { holds(one.passes, 11) } else { holds(one.fails, 10) };
        assert!(!failed.holds, "{}: {failed:?}", one.kind);
        assert!(one.example.starts_with(&format!("{}:", one.kind)), "{}", one.example);
    }
}

#[test]
fn the_page_of_checks_is_current() {
    let mut page = "# Checks\n\nCriteria that code decides: `check:` in place of `question:` in a rubric. This page is written by a \
                    test, which tries every example.\n\n\
                    A text with `{{ … }}` in it is filled in for each scenario, such as `equals: \"{{ scenario.reference }}\"`; \
                    what cannot be filled in, or comes out blank, makes the verdict `ungraded`.\n"
        .to_owned();
    for one in DOCUMENTED {
        writeln!(page, "\n## `{}`\n\n{}\n\n```yaml\ncheck: {{ {} }}\n```\n", one.kind, one.what, one.example).unwrap();
        writeln!(page, "Passes: {}", shown(one.passes)).unwrap();
        if !one.fails.is_empty() {
            writeln!(page, "\nFails: {}", shown(one.fails)).unwrap();
        }
    }
    page.push_str(COMMAND);
    page.push_str(
        "\n## What counts as a refusal\n\nIn any case, anywhere in the reply, with `’` for `'` as well:\n\n```text\n",
    );
    for pattern in REFUSAL_PATTERNS {
        writeln!(page, "{pattern}").unwrap();
    }
    page.push_str("```\n");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/checks.md");
    if is_blessing() {
        fs_err::write(&path, &page).unwrap();
    }
    assert_eq!(fs_err::read_to_string(&path).unwrap_or_default(), page, "run the tests with EVALFLOW_BLESS=1");
}

fn shown(reply: &str) -> String {
    let line = reply.trim().replace('\n', "⏎");
    if line.contains('`') { format!("`` {line} ``") } else { format!("`{line}`") }
}
