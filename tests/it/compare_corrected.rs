//! Comparisons without the judge's errors, from the pipeline file to the exit code.

use std::fmt::Write as _;

use evalflow::stage::calibrate::reply_digest;
use serde_json::Value;

use crate::env::{Output, Project};

const FILE: &str = "pipelines/p.yaml";

/// Both desks solve six questions of ten. The new one is gracious about two that it does not solve, and the judge takes that for an
/// answer: it sees an improvement of 20 points where there is none.
const PIPELINE: &str = r#"evalflow: 1
name: gracious
models:
  old:
    scripted:
      replies: [{ match: "Question \\d*[0-5]\\?", reply: "Solved." }]
      otherwise: "No idea."
  gracious:
    scripted:
      replies:
        - { match: "Question \\d*[0-5]\\?", reply: "Solved, gladly." }
        - { match: "Question \\d*[67]\\?", reply: "Gladly, dear customer." }
      otherwise: "No idea."
  judge:
    scripted:
      replies: [{ match: "REPLY\\n(Solved|Gladly)", reply: '{"evidence":"$1","reason":"it is solved","verdict":"pass"}' }]
      otherwise: '{"evidence":"No idea","reason":"it is not","verdict":"fail"}'
stages:
  questions: { generate: { file: questions.jsonl } }
  before: { infer: { model: old, scenarios: questions } }
  after: { infer: { model: gracious, scenarios: questions } }
  before-verdicts: { judge: { answers: before, rubric: rubric.yaml, model: judge } }
  after-verdicts: { judge: { answers: after, rubric: rubric.yaml, model: judge } }
  before-trust: { calibrate: { verdicts: before-verdicts, gold: before.gold.jsonl } }
  after-trust: { calibrate: { verdicts: after-verdicts, gold: after.gold.jsonl } }
  comparison:
    compare:
      base: before-verdicts
      new: after-verdicts
      cluster: none
      calibrations: { base: before-trust, new: after-trust }
"#;

const RUBRIC: &str =
    "name: r\npass: { score: 1 }\ncriteria:\n  - { id: solves, question: Does it solve the question? }\n";

/// Labels of the first 100 replies: what is solved passes, and nothing else.
fn labels(reply: impl Fn(u32) -> &'static str) -> String {
    (0..100).fold(String::new(), |mut labels, at| {
        let (reply, verdict) = (reply(at % 10), if at % 10 < 6 { "pass" } else { "fail" });
        let digest = reply_digest(reply);
        writeln!(
            labels,
            "{{\"scenario\": \"q-{at:03}\", \"criterion\": \"solves\", \"verdict\": \"{verdict}\", \"labeller\": \"ada\", \
             \"reply\": \"{digest}\"}}"
        )
        .unwrap();
        labels
    })
}

fn project() -> Project {
    let project = Project::empty();
    project.write(FILE, PIPELINE);
    project.write("rubric.yaml", RUBRIC);
    let questions = (0..200).fold(String::new(), |mut questions, at| {
        writeln!(questions, "{{\"id\": \"q-{at:03}\", \"topic\": \"t\", \"opening\": \"Question {at}?\"}}").unwrap();
        questions
    });
    project.write("questions.jsonl", &questions);
    project.write("before.gold.jsonl", &labels(|digit| if digit < 6 { "Solved." } else { "No idea." }));
    project.write(
        "after.gold.jsonl",
        &labels(|digit| match digit {
            0..6 => "Solved, gladly.",
            6 | 7 => "Gladly, dear customer.",
            _ => "No idea.",
        }),
    );
    project
}

fn json(output: &Output) -> Value {
    serde_json::from_str(&output.stdout).unwrap_or_else(|error| panic!("{error}\n{output}"))
}

/// The only comparison of a run that ends with this code.
fn comparison(project: &Project, code: i32) -> Value {
    let output = project.run(&["run", FILE, "--json"]).exits(code);
    json(&output)["report"]["comparisons"][0]["comparison"].clone()
}

fn near(value: &Value, expected: f64) -> bool {
    (value.as_f64().unwrap() - expected).abs() < 1e-9
}

#[test]
fn a_judge_that_favours_the_new_arm_is_found_out() {
    let project = project();
    let output = project.run(&["run", FILE]).exits(4);
    insta::assert_snapshot!("gracious", output.stdout);
    let found = comparison(&project, 4);
    assert_eq!((&found["verdict"], &found["gate"]), (&"inconclusive".into(), &"inconclusive".into()));
    let corrected = &found["corrected"];
    assert_eq!(corrected["verdict_as_judged"], "improved");
    assert!(near(&found["target"]["difference"]["point"], 0.2), "{found}");
    // People find six of ten solved with either arm.
    assert!(near(&corrected["base"]["rate"]["point"], 0.6) && near(&corrected["new"]["rate"]["point"], 0.6));
    assert!(near(&corrected["difference"]["point"], 0.0), "{corrected}");
    assert_eq!(corrected["difference"]["method"], "mover_corrected");
    // Without labels nobody would know.
    project.edit(FILE, "      calibrations: { base: before-trust, new: after-trust }\n", "");
    let raw = comparison(&project, 0);
    assert_eq!((&raw["verdict"], &raw["corrected"]), (&"improved".into(), &Value::Null));
}

#[test]
fn the_report_shows_both_and_says_which_counts() {
    let project = project();
    project.edit(FILE, "stages:\n", "report: { markdown: docs/report.md }\nstages:\n");
    drop(project.run(&["run", FILE]).exits(4));
    let report = project.read("docs/report.md");
    let section = report.split("\n## ").find(|section| section.starts_with("Comparison: comparison")).unwrap();
    let (section, _) = section.split_once("### The target").unwrap();
    insta::assert_snapshot!("gracious_markdown", section);
    let steps = report.split("\n## ").find(|section| section.starts_with("Next steps")).unwrap();
    assert!(
        steps.contains("Rely on nothing that the judge sees between `before-verdicts` and `after-verdicts`"),
        "{steps}"
    );
}

#[test]
fn labels_of_the_base_alone_do_not_see_a_favour_and_the_report_says_so() {
    let project = project();
    project.edit(FILE, "new: after-trust }", "new: before-trust }");
    project.edit(FILE, "stages:\n", "report: { markdown: docs/report.md }\nstages:\n");
    let found = comparison(&project, 0);
    let corrected = &found["corrected"];
    assert_eq!((&corrected["base"]["transported"], &corrected["new"]["transported"]), (&false.into(), &true.into()));
    assert_eq!(corrected["new"]["rate"]["method"], "lang_reiczigel");
    assert_eq!(found["verdict"], "improved");
    let report = project.read("docs/report.md");
    assert!(report.contains("A judge that favours an arm is seen by labels on the replies of that arm alone."));
}

#[test]
fn a_judge_below_the_floor_on_one_arm_compares_nothing() {
    let project = project();
    project.edit(FILE, "gold: after.gold.jsonl }", "gold: after.gold.jsonl, floor: { specificity: 0.9 } }");
    let output = project.run(&["run", FILE]).exits(4);
    assert!(output.stdout.contains("Not decided: the judge is not trusted."), "{output}");
    assert!(output.stdout.contains("judge not trusted on the new arm: specificity is 0.50"), "{output}");
    let words = output.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("`evalflow label pipelines/p.yaml --stage after-trust`"), "{output}");
}

#[test]
fn a_few_labels_leave_it_open_and_say_how_many_it_takes() {
    let project = project();
    // The new desk solves two more of ten, and the judge is right about that.
    project.edit(FILE, "reply: \"Gladly, dear customer.\"", "reply: \"Solved too.\"");
    let some = |reply: fn(u32) -> &'static str, solved: u32| -> String {
        let lines = labels(reply);
        let lines = lines.lines().enumerate().filter(|(at, _)| at % 3 == 0).take(20).map(|(at, line)| {
            let is_solved = u32::try_from(at % 10).unwrap() < solved;
            let verdict = |word| format!("\"verdict\": \"{word}\"");
            let right = if is_solved { "pass" } else { "fail" };
            format!("{}\n", line.replace(&verdict("pass"), &verdict(right)).replace(&verdict("fail"), &verdict(right)))
        });
        lines.collect()
    };
    project.write("before.gold.jsonl", &some(|digit| if digit < 6 { "Solved." } else { "No idea." }, 6));
    let after = |digit| match digit {
        0..6 => "Solved, gladly.",
        6 | 7 => "Solved too.",
        _ => "No idea.",
    };
    project.write("after.gold.jsonl", &some(after, 8));
    let found = comparison(&project, 4);
    assert_eq!(found["corrected"]["verdict_as_judged"], "improved");
    let needed = &found["corrected"]["labels_needed"]["replies"];
    let more = |arm: &str| needed[arm].as_u64().unwrap_or_else(|| panic!("{found}"));
    assert!(more("base") > 20 && more("new") > 20 && more("base") < 100 && more("new") < 100, "{needed}");
    let output = project.run(&["run", FILE]).exits(4);
    assert!(output.stdout.contains("Not decided: people's labels do not bear out what the judge sees."), "{output}");
    // With all 100 labels it is an improvement.
    project.write("before.gold.jsonl", &labels(|digit| if digit < 6 { "Solved." } else { "No idea." }));
    let all = labels(after);
    let of_seven = |line: &str| line.contains("6\", \"crit") || line.contains("7\", \"crit");
    let all = all.lines().map(|line| {
        format!("{}\n", if of_seven(line) { line.replace("\"fail\"", "\"pass\"") } else { line.to_owned() })
    });
    project.write("after.gold.jsonl", &all.collect::<String>());
    assert_eq!(comparison(&project, 0)["verdict"], "improved");
}

#[test]
fn a_label_asks_no_model_and_the_comparison_is_frozen_and_verified() {
    let project = project();
    drop(project.run(&["run", FILE]).exits(4));
    let calls = project.calls_kept();
    let gold = "after.gold.jsonl";
    let first = project.read(gold).lines().next().unwrap().to_owned();
    project.write(gold, &project.read(gold).replacen(&first, &first.replace("pass", "fail"), 1));
    let plan = project.run(&["plan", FILE]).exits(0);
    assert!(plan.stdout.contains("~ after-trust") && plan.stdout.contains("= before-trust"), "{plan}");
    let report = json(&project.run(&["run", FILE, "--json"]).exits(4));
    let stages = report["run"]["stages"].as_array().unwrap();
    let ran: Vec<&str> =
        stages.iter().filter(|stage| stage["status"] == "run").map(|stage| stage["stage"].as_str().unwrap()).collect();
    assert_eq!((ran, project.calls_kept()), (vec!["after-trust", "comparison"], calls));
    let why = project.run(&["why", FILE, "comparison"]).exits(0);
    assert!(why.stdout.contains("after-trust") && why.stdout.contains("gold"), "{why}");
    drop(project.run(&["bless", FILE]).exits(0));
    drop(project.run(&["run", FILE, "--frozen"]).exits(4));
    let verified = project.run(&["verify", FILE]).exits(0);
    assert!(!verified.stdout.contains("differ"), "{verified}");
}
