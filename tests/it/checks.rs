//! Criteria that code decides, through the whole program.

use serde_json::Value;

use crate::env::{Output, Project};

fn shipped() -> Project {
    let project = Project::empty();
    for file in ["pipeline.yaml", "rubric.yaml", "questions.jsonl"] {
        let file = format!("examples/checks/{file}");
        let shipped = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(&file);
        project.write(&file, &fs_err::read_to_string(shipped).unwrap());
    }
    project
}

/// `scenario: criterion verdict (reason)` of each verdict that is no pass and does apply.
fn not_passed(project: &Project, run: &Value) -> Vec<String> {
    let mut found = Vec::new();
    for row in crate::logprob::rows(project, run, "verdicts") {
        for verdict in row["verdicts"].as_array().unwrap() {
            if !["pass", "not_applicable"].contains(&verdict["verdict"].as_str().unwrap()) {
                let text = |value: &Value| value.as_str().unwrap().to_owned();
                let (criterion, kind) = (text(&verdict["criterion"]), text(&verdict["verdict"]));
                found.push(format!(
                    "{} {criterion} {kind}: {}",
                    text(&row["scenario"]["id"]),
                    text(&verdict["reason"])
                ));
            }
        }
    }
    found
}

fn json(output: &Output) -> Value {
    serde_json::from_str(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output}"))
}

const RUN: [&str; 3] = ["run", "--json", "examples/checks/pipeline.yaml"];

#[test]
fn the_shipped_example_finds_what_is_wrong() {
    let project = shipped();
    let run = json(&project.run(&RUN).exits(4));
    assert_eq!(
        not_passed(&project, &run),
        [
            "capital/australia names-it fail: does not hold `Canberra`",
            "sum/root answers fail: refuses: `I'm sorry, but I can't`",
            "sum/root right-number fail: names no number, within 0.5 % of 1.414 is looked for",
        ]
    );
    assert_eq!(run["report"]["decision"]["counts"]["passed"], 5);
}

#[test]
fn a_changed_check_asks_nothing() {
    let project = shipped();
    drop(project.run(&RUN).exits(4));
    project.edit("examples/checks/rubric.yaml", "within: 0.5%", "within: 0.001%");
    let run = json(&project.run(&RUN).exits(4));
    assert_eq!(run["run"]["calls_made"], 0);
    assert!(not_passed(&project, &run).iter().any(|line| line.starts_with("sum/earth right-number fail")));
}

#[test]
fn a_reference_that_is_not_there_leaves_the_verdict_open() {
    let project = shipped();
    project.edit("examples/checks/questions.jsonl", ", \"reference\": \"144\"", "");
    let run = json(&project.run(&RUN));
    let open = "sum/product right-number ungraded: cannot be checked: `{{ scenario.reference }}` cannot be filled in: ";
    assert!(not_passed(&project, &run).iter().any(|line| line.starts_with(open)), "{:?}", not_passed(&project, &run));
}

#[test]
fn a_price_is_part_of_a_verdict_on_cost_and_of_no_other() {
    let project = shipped();
    drop(project.run(&RUN).exits(4));
    project.edit("examples/checks/pipeline.yaml", "completion: 0.40", "completion: 4000");
    let run = json(&project.run(&RUN));
    assert_eq!(run["run"]["calls_made"], 0);
    assert!(not_passed(&project, &run).iter().any(|line| line.contains(" cheap fail: costs $")));
}

/// The rubric with one criterion, which a script decides.
#[cfg(unix)]
fn with_script(script: &str, check: &str) -> Project {
    let project = shipped();
    project.write("checks/decide.sh", script);
    let rubric = format!("name: r\npass: {{ score: 1 }}\ncriteria:\n  - {{ id: program, check: {check} }}\n");
    project.write("examples/checks/rubric.yaml", &rubric);
    project
}

#[cfg(unix)]
const COMMAND: &str = "{ command: [sh, checks/decide.sh] }";

/// The verdicts of the only criterion: each kind with its reason.
#[cfg(unix)]
fn verdicts(project: &Project, run: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let rows = crate::logprob::rows(project, run, "verdicts");
    rows.iter().map(|row| (text(&row["verdicts"][0]["verdict"]), text(&row["verdicts"][0]["reason"]))).collect()
}

#[cfg(unix)]
fn made(run: &Value) -> u64 {
    run["run"]["calls_made"].as_u64().unwrap()
}

#[cfg(unix)]
#[test]
fn a_program_decides_and_is_asked_once() {
    let script = r#"
        document=$(cat)
        case $document in
            *'"reference":"Paris"'*'"reply":'*Paris*'"criterion":"program"'*) echo '{"pass": true, "reason": "It is Paris.", "evidence": "Paris"}' ;;
            *) exit 1 ;;
        esac
    "#;
    let project = with_script(script, COMMAND);
    let run = json(&project.run(&RUN));
    assert_eq!(made(&run), 14, "seven answers and as many verdicts");
    let found = verdicts(&project, &run);
    let of = |kind: &str| found.iter().filter(|(verdict, _)| verdict == kind).count();
    assert_eq!((of("pass"), of("fail"), of("ungraded")), (1, 6, 0), "{found:?}");
    assert!(found.contains(&("pass".to_owned(), "It is Paris.".to_owned())));
    assert!(found.contains(&("fail".to_owned(), "the program ended with 1".to_owned())));
    // Nothing is asked again, not even where the result is to be computed again or nothing may be asked of others.
    let offline = json(&project.run(&[&RUN[..], &["--offline", "--force"]].concat()));
    assert_eq!((made(&offline), verdicts(&project, &offline)), (0, found));
    // Negated, the same answers mean the opposite.
    project.edit("examples/checks/rubric.yaml", COMMAND, "{ not: { command: [sh, checks/decide.sh] } }");
    let negated = json(&project.run(&RUN));
    assert_eq!(made(&negated), 0);
    assert_eq!(verdicts(&project, &negated).iter().filter(|(verdict, _)| verdict == "pass").count(), 6);
    // An edited script is asked again.
    project.write("checks/decide.sh", "exit 0");
    let edited = json(&project.run(&[&RUN[..], &["--offline"]].concat()));
    assert_eq!(made(&edited), 7);
    assert!(verdicts(&project, &edited).iter().all(|(verdict, _)| verdict == "fail"));
}

#[cfg(unix)]
#[test]
fn whatever_a_program_does_wrong_is_no_verdict() {
    for (script, why) in [
        ("echo broken >&2; exit 2", "ended with exit status: 2: broken (bad_reply)"),
        ("kill -9 $$", "ended with signal: 9"),
        ("echo pass", "what it printed is not as agreed: "),
        ("echo '{\"pass\": true}'; exit 1", "it printed a pass and ended with 1"),
    ] {
        for check in [COMMAND, "{ not: { command: [sh, checks/decide.sh] } }"] {
            let project = with_script(script, check);
            let run = json(&project.run(&RUN));
            let found = verdicts(&project, &run);
            assert_eq!(found.len(), 7);
            let is_open = |(verdict, reason): &(String, String)| verdict == "ungraded" && reason.contains(why);
            assert!(found.iter().all(is_open), "{script}: {found:?}");
        }
    }
}

#[cfg(unix)]
#[test]
fn a_program_that_cannot_be_started_stops_its_stage() {
    let project = with_script("exit 0", "{ command: [no-such-program] }");
    let output = project.run(&["run", "examples/checks/pipeline.yaml"]).exits(1);
    assert!(output.stderr.contains("`no-such-program` cannot be started: "), "{output}");
}

#[cfg(unix)]
#[test]
fn a_program_is_audited_and_verified_like_a_model() {
    let project = with_script("exit 0", COMMAND);
    drop(project.run(&RUN));
    let plan = project.run(&["plan", "examples/checks/pipeline.yaml"]).exits(0);
    assert!(plan.stdout.contains("cached") || plan.stderr.contains("cached"), "{plan}");
    let audit = project.run(&["cache", "audit", "examples/checks/pipeline.yaml"]).exits(0);
    assert!(!audit.stdout.contains("left out"), "{audit}");
    drop(project.run(&["bless", "examples/checks/pipeline.yaml"]).exits(0));
    drop(project.run(&["verify", "examples/checks/pipeline.yaml"]).exits(0));
}

/// Answers that take 40 ms are judged by how long they took, once they say so; another execution would take another time, and
/// what is verified is the same without it.
#[test]
fn a_reply_is_held_to_a_time() {
    let project = Project::empty();
    project.write(
        "r.yaml",
        "name: r\npass: { score: 1 }\ncriteria:\n  - { id: quick, check: { latency: { max: 0.05 } } }\n",
    );
    project.write("s.jsonl", "{\"opening\": \"one\"}\n{\"opening\": \"two\"}\n");
    project.write(
        "p.yaml",
        "evalflow: 1\nname: p\nmodels: { m: { scripted: { otherwise: hi, delay_ms: 40 } } }\nstages:\n  \
           s: { generate: { file: s.jsonl } }\n  answers: { infer: { model: m, scenarios: s } }\n  \
           verdicts: { judge: { answers: answers, rubric: r.yaml } }\n  d: { decide: { verdicts: verdicts } }\n",
    );
    let refused = project.run(&["run", "p.yaml"]).exits(2);
    assert!(refused.stderr.contains("add `latency: true` to `answers`"), "{refused}");
    project.edit("p.yaml", "scenarios: s }", "scenarios: s, latency: true }");
    let run = || json(&project.run(&["run", "--json", "p.yaml"]).exits(4));
    let quick = run();
    assert_eq!(not_passed(&project, &quick), Vec::<String>::new());
    assert_eq!(crate::logprob::rows(&project, &quick, "answers")[0]["latency_ms"], 40);
    project.edit("r.yaml", "max: 0.05", "max: 0.02");
    let slow = run();
    let found = not_passed(&project, &slow);
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].ends_with("quick fail: took 0.04 s, at most 0.02 s allowed"), "{found:?}");
    project.run(&["bless", "p.yaml"]).exits(0);
    project.run(&["verify", "p.yaml"]).exits(0);
}
