//! The table of candidates: shown alone, sorted and filtered, in a report with its picture, and on this machine.

use serde_json::Value;

use crate::env::Project;

const CATALOG: &str = "id,type,params_b,license,license_commercial,context,ifeval,price_in,price_out,source,source_date\n\
    org/large,chat,70,mit,yes,32768,90,1,4,mine,2026-01-02\n\
    org/good,chat,7,mit,yes,32768,80,0.1,0.4,mine,2026-01-02\n\
    org/close,chat,8,,unknown,32768,79.5,,,mine,2024-01-02\n\
    org/small,base,1,apache-2.0,yes,4096,30,,,mine,2026-01-02\n";

const PIPELINE: &str = r#"evalflow: 1
name: choice
stages:
  candidates:
    research:
      catalog: catalog/models.csv
      require: { params_b: "..20", fits: { memory: 24GiB, context: 4096 } }
      profile: { prefer: { ifeval: 1 } }
report: { markdown: docs/choice.md }
"#;

fn project() -> Project {
    let project = Project::empty();
    project.write("catalog/models.csv", CATALOG);
    project.write("pipelines/p.yaml", PIPELINE);
    project
}

fn ids(project: &Project, arguments: &[&str]) -> Vec<String> {
    let arguments = [&["research", "pipelines/p.yaml", "--format", "json"], arguments].concat();
    let output = project.run(&arguments).exits(0);
    let found: Value = serde_json::from_str(&output.stdout).unwrap();
    found["shortlist"].as_array().unwrap().iter().map(|row| row["id"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn the_table_is_shown_sorted_and_filtered() {
    let project = project();
    assert_eq!(ids(&project, &[]), ["org/good", "org/close", "org/small"]);
    assert_eq!(ids(&project, &["--where", "params_b < 9 and license_commercial"]), ["org/good", "org/small"]);
    assert_eq!(ids(&project, &["--sort", "params_b"]), ["org/small", "org/good", "org/close"]);
    assert_eq!(ids(&project, &["--sort", "-ifeval", "--limit", "1"]), ["org/good"]);
    let output = project.run(&["research", "pipelines/p.yaml"]).exits(0);
    insta::assert_snapshot!(output.stdout);
    assert!(!project.path("cache").exists(), "looking makes no store");
    for (arguments, message) in [
        (["--where", "parms_b < 9"], "did you mean `params_b`?"),
        (["--where", "params_b <"], "the condition `params_b <` does not work"),
        (["--sort", "size"], "there is no column `size`"),
        (["--stage", "other"], "there is no research stage `other`"),
    ] {
        let output = project.run(&[["research", "pipelines/p.yaml"], arguments].concat()).exits(2);
        assert!(output.stderr.contains(message), "{output}");
    }
}

#[test]
fn csv_and_markdown_hold_everything() {
    let project = project();
    let csv = project.run(&["research", "pipelines/p.yaml", "--format", "csv"]).exits(0).stdout;
    assert_eq!(csv.lines().count(), 5, "{csv}");
    assert!(csv.starts_with("id,place,rank,stars,fit,"));
    let markdown = project.run(&["research", "pipelines/p.yaml", "--format", "markdown"]).exits(0).stdout;
    insta::assert_snapshot!(markdown);
}

#[test]
fn a_report_shows_the_candidates_and_their_picture() {
    let project = project();
    let _run = project.run(&["run", "pipelines/p.yaml"]).exits(0);
    let report = project.read("docs/choice.md");
    assert!(report.contains("](choice.candidates.svg)"), "{report}");
    let chart = project.read("docs/choice.candidates.svg");
    assert!(chart.contains("<svg ") && chart.contains(">close</text>"), "{chart}");
    // Nothing changes when it is written again, or drawn alone.
    let _again = project.run(&["run", "pipelines/p.yaml", "--force=candidates"]).exits(0);
    assert_eq!(project.read("docs/choice.candidates.svg"), chart);
    let _alone = project.run(&["research", "pipelines/p.yaml", "--chart", "alone.svg"]).exits(0);
    assert_eq!(project.read("alone.svg"), chart);
    // A picture that somebody else drew is not written over.
    project.write("docs/choice.candidates.svg", "<svg/>");
    let output = project.run(&["run", "pipelines/p.yaml"]).exits(1);
    assert!(output.stderr.contains("evalflow did not write it"), "{output}");
}

#[test]
fn a_reviewer_takes_a_model_and_says_why() {
    let project = project();
    let lines = "      primary: org/large\n      because: it is the one that we run already\nreport:";
    project.edit("pipelines/p.yaml", "report:", lines);
    assert_eq!(ids(&project, &[]), ["org/large", "org/good", "org/close", "org/small"]);
    let report = project.run(&["research", "pipelines/p.yaml", "--format", "markdown"]).exits(0).stdout;
    assert!(report.contains("A reviewer took **org/large**: It is the one that we run already."), "{report}");
    project.edit("pipelines/p.yaml", "org/large", "org/larg");
    let output = project.run(&["research", "pipelines/p.yaml"]).exits(1);
    assert!(output.stderr.contains("did you mean `org/large`?"), "{output}");
}

#[test]
fn what_the_machine_has_decides_and_is_keyed() {
    let project = project();
    project.edit("pipelines/p.yaml", "24GiB", "machine");
    let found = |memory: &str| ids(&project, &["--memory", memory]);
    assert_eq!(found("24GiB"), ["org/good", "org/close", "org/small"]);
    assert_eq!(found("4GiB"), ["org/small"]);
    let key = |memory: &str| {
        let output = project.run(&["plan", "pipelines/p.yaml", "--json", "--memory", memory]).exits(0);
        let plan: Value = serde_json::from_str(&output.stdout).unwrap();
        plan["stages"][0]["key"].clone()
    };
    assert_ne!(key("24GiB"), key("4GiB"));
    assert_eq!(key("24GiB"), key("24.1GiB"));
}

#[test]
fn files_of_several_kinds_make_one_table() {
    let project = project();
    project.edit("pipelines/p.yaml", "catalog/models.csv", "[catalog/models.csv, results/good.json, own.yaml]");
    project.edit("pipelines/p.yaml", "{ ifeval: 1 }", "{ lm_eval_gsm8k: 1 }");
    project.write(
        "results/good.json",
        r#"{"results": {"gsm8k": {"exact_match,strict-match": 0.61}}, "model_name": "org/close", "n-samples": {"gsm8k": {"effective": 1319}}}"#,
    );
    project.write("own.yaml", "org/small: { lm_eval_gsm8k: 20, team: ours }\n");
    assert_eq!(ids(&project, &[]), ["org/close", "org/small", "org/good"]);
    assert_eq!(ids(&project, &["--where", "team == 'ours'"]), ["org/small"]);
    let _run = project.run(&["run", "pipelines/p.yaml"]).exits(0);
    let report = project.read("docs/choice.md");
    assert!(report.contains("lm-evaluation-harness result"), "{report}");
}
