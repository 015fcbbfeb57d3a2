//! Several judges, and all questions in one call: from the pipeline file to the report.

use evalflow::stats::{Weights, gwet_ac1, kappa};
use serde_json::Value;

use crate::env::Project;

/// Five scenarios, two judged criteria.
const SCENARIOS: u64 = 5;
const QUESTIONS: u64 = SCENARIOS * 2;

const JUDGES: &str = r#"  second:
    scripted:
      replies:
        - { match: "Question: Does the reply ask", reply: '{"evidence":"","reason":"it asks nothing","verdict":"fail"}' }
      otherwise: '{"evidence":"","reason":"it is kind","verdict":"pass"}'
  third:
    scripted:
      replies:
        - { match: "Go away", reply: '{"evidence":"Go away","reason":"how rude","verdict":"fail"}' }
      otherwise: '{"evidence":"","reason":"why not","verdict":"pass"}'
stages:
"#;

fn made(run: &Value) -> u64 {
    run["run"]["calls_made"].as_u64().unwrap()
}

fn panel(judges: &str) -> Project {
    let project = Project::scripted();
    project.edit("pipelines/p.yaml", "stages:\n", JUDGES);
    project.edit("pipelines/p.yaml", "model: judge }", &format!("model: {judges} }}"));
    project
}

/// The rows that a stage of a run came to.
pub(crate) fn rows(project: &Project, run: &Value, stage: &str) -> Vec<Value> {
    let stages = run["report"]["stages"].as_array().unwrap();
    let output = stages.iter().find(|one| one["id"] == stage).unwrap()["output"].as_str().unwrap();
    let table = project.read(&format!("cache/objects/{}/{output}", &output[..2]));
    table.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn one_more_judge_asks_that_one_only() {
    let project = panel("[judge, third]");
    assert_eq!(made(&project.json()), SCENARIOS + 2 * QUESTIONS);
    project.edit("pipelines/p.yaml", "[judge, third]", "[judge, second, third]");
    let plan = project.run(&["plan", "pipelines/p.yaml", "--json"]).exits(0);
    let plan: Value = serde_json::from_str(&plan.stdout).unwrap();
    assert_eq!(plan["totals"]["forecast"]["calls"]["to_make"]["value"], QUESTIONS, "{plan}");
    let run = project.json();
    assert_eq!(made(&run), QUESTIONS);
    let rows = rows(&project, &run, "verdicts");
    for row in &rows {
        let asks = &row["verdicts"][1];
        assert_eq!(asks["panel"]["second"], "fail");
        assert_eq!((&asks["criterion"], &row["verdicts"][2].get("panel")), (&"asks".into(), &None));
    }
    // Leaving one out asks nobody, and one alone has the result that it had before there were panels.
    project.edit("pipelines/p.yaml", "[judge, second, third]", "[second, third]");
    assert_eq!(made(&project.json()), 0);
    project.edit("pipelines/p.yaml", "[second, third]", "judge");
    let alone = project.json();
    assert_eq!(made(&alone), 0);
    let never = Project::scripted().json();
    let keys =
        |run: &Value| run["report"]["stages"].as_array().unwrap().iter().map(|s| s["key"].clone()).collect::<Vec<_>>();
    assert_eq!(keys(&alone), keys(&never));
}

#[test]
fn a_changed_criterion_asks_each_judge_that_one_only() {
    let project = panel("[judge, second, third]");
    project.json();
    project.edit("rubrics/p.yaml", "Does the reply ask something?", "Does the reply ask a question?");
    assert_eq!(made(&project.json()), 3 * SCENARIOS);
}

#[test]
fn judges_that_do_not_agree_make_no_pass() {
    let project = panel("[judge, second]");
    let output = project.run(&["run", "pipelines/p.yaml"]);
    assert!(output.stdout.contains("ungraded"), "{output}");
    let why = project.run(&["why", "pipelines/p.yaml", "verdicts#edge/hostile"]);
    assert!(why.stdout.contains("asks, asked of `second`"), "{why}");
    let report = project.read("docs/report.md");
    assert!(report.contains("a panel of 2, of whom more than half must agree"), "{report}");
}

const TOGETHER: &str = r#"  judge:
    scripted:
      replies:
        - match: "Go away"
          reply: '{"kind":{"evidence":"Go away","reason":"it is rude","verdict":"fail"},"asks":{"evidence":"","reason":"no","verdict":"fail"}}'
      otherwise: '{"asks":{"evidence":"What would help","reason":"it does","verdict":"pass"},"kind":{"evidence":"That sounds hard","reason":"it is kind","verdict":"pass"}}'
"#;

fn together() -> Project {
    let project = Project::scripted();
    let pipeline = project.read("pipelines/p.yaml");
    let (before, rest) = pipeline.split_once("  judge:\n    scripted:").unwrap();
    let (_, after) = rest.split_once("stages:\n").unwrap();
    let text =
        format!("{before}{TOGETHER}stages:\n{after}").replace("model: judge }", "model: judge, mode: together }");
    project.write("pipelines/p.yaml", &text);
    project
}

#[test]
fn all_questions_are_one_call() {
    let project = together();
    let plan = project.run(&["plan", "pipelines/p.yaml", "--json"]).exits(0);
    let plan: Value = serde_json::from_str(&plan.stdout).unwrap();
    // Replies that are not there yet are the same for nobody, so no call can be one that came before.
    assert_eq!(plan["totals"]["forecast"]["calls"]["to_make"]["value"], 2 * SCENARIOS, "{plan}");
    let run = project.json();
    assert_eq!(made(&run), 2 * SCENARIOS);
    let decision = &run["report"]["decision"];
    assert_eq!((&decision["counts"]["passed"], &decision["counts"]["failed"]), (&4.into(), &1.into()));
    assert_eq!(decision["quotes"]["missing"], 0);
    // The whole call is asked again where one of its criteria changes.
    project.edit("rubrics/p.yaml", "Does the reply ask something?", "Does the reply ask a question?");
    assert_eq!(made(&project.json()), SCENARIOS);
    let report = project.read("docs/report.md");
    assert!(report.contains("all questions about a reply are asked in one call"), "{report}");
}

#[test]
fn both_ways_of_asking_judge_the_same_answers() {
    let one_by_one = Project::scripted();
    let both = [rows(&one_by_one, &one_by_one.json(), "verdicts"), {
        let together = together();
        rows(&together, &together.json(), "verdicts")
    }];
    let mut table = [[0_u64; 2]; 2];
    for (one, other) in both[0].iter().zip(&both[1]) {
        assert_eq!((&one["scenario"], &one["reply"]), (&other["scenario"], &other["reply"]));
        for criterion in 0..2 {
            let verdict = |row: &Value| usize::from(row["verdicts"][criterion]["verdict"] != "pass");
            table[verdict(one)][verdict(other)] += 1;
        }
    }
    // The canned judges say the same both ways; of real ones this is what to look at.
    assert_eq!(table, [[8, 0], [0, 2]]);
    let agreement =
        [kappa(&table, Weights::Nominal), gwet_ac1(&table)].map(|found| found.unwrap().coefficient.unwrap());
    assert!(agreement.iter().all(|found| (found - 1.0).abs() < 1e-9), "{agreement:?}");
}

#[test]
fn a_report_says_how_far_judges_agree() {
    let project = panel("[judge, second, third]");
    let run = project.json();
    let found = &run["report"]["opinions"];
    // One of three differs: on `asks` where it fails what is kind, and on `kind` where it passes what is rude.
    assert_eq!(
        (&found["verdicts"], &found["disputed"], &found["undecided"]),
        (&10.into(), &5.into(), &0.into()),
        "{found}"
    );
    assert_eq!((&found["judges"][1]["judge"], &found["judges"][1]["fail"]), (&"second".into(), &5.into()));
    assert_eq!(found["pairs"].as_array().unwrap().len(), 3);
    assert_eq!((&found["judges"][0]["sensitivity"], &found["steadiness"]), (&Value::Null, &Value::Null));
    let report = project.read("docs/report.md");
    for part in [
        "## Agreement among judges",
        "The judges of the panel differ on 5 of 10 verdicts",
        "| judge and third | 10 | 100.0 % |",
        "| Reply | Criterion | Verdict | judge | second | third |",
        "| asks | pass | pass | fail | pass |",
    ] {
        assert!(report.contains(part), "{part}\n{report}");
    }
    // What is counted for the report is there whatever was in the store before.
    project.edit("scenarios/p.yaml", "awake again", "awake once more");
    assert_eq!(project.json()["report"]["opinions"]["verdicts"], 10);
}

#[test]
fn a_report_says_how_steady_a_judge_is() {
    let project = Project::scripted();
    project.edit("pipelines/p.yaml", "model: judge }", "model: judge, temperature: 0.5, repeat: 3 }");
    let run = project.json();
    let found = &run["report"]["opinions"]["steadiness"];
    assert_eq!(
        (&found["verdicts"], &found["disagreement"], &found["light"]),
        (&10.into(), &0.0.into(), &"green".into())
    );
    let report = project.read("docs/report.md");
    assert!(report.contains("Steadiness: green. Two opinions on one question differ in 0.0 % of pairs"), "{report}");
    assert!(Project::scripted().json()["report"].get("opinions").is_none());
}

#[test]
fn votes_are_weighed_by_how_judges_err() {
    let project = panel("[judge, second, third]");
    project.edit(
        "pipelines/p.yaml",
        "decide: { cluster: none, verdicts: verdicts }",
        "decide: { cluster: none, verdicts: verdicts, votes: dawid_skene }",
    );
    let output = project.run(&["run", "pipelines/p.yaml"]);
    assert!(
        output.stderr.contains("too few verdicts on `kind` to weigh its judges: their majority stands"),
        "{output}"
    );
    project.edit("pipelines/p.yaml", "max_tokens: 50 }", "max_tokens: 50, repeat: 20 }");
    let run = project.json();
    assert_eq!(run["report"]["decision"]["counts"]["total"], 100);
    assert!(run["report"]["opinions"]["judges"][0]["sensitivity"].as_f64().unwrap() > 0.9, "{run}");
    assert_eq!(made(&project.json()), 0);
    project.run(&["bless", "pipelines/p.yaml"]).exits(0);
    project.run(&["verify", "pipelines/p.yaml"]).exits(0);
    let weighed = run["report"]["decision"].clone();
    project.edit("pipelines/p.yaml", ", votes: dawid_skene", "");
    let majority = project.json();
    assert_eq!(made(&majority), 0);
    assert_eq!(majority["report"]["decision"]["counts"], weighed["counts"], "two judges that agree are the majority");
}
