//! Help, exit codes, and how mistakes are shown.

use crate::env::Project;

#[test]
fn help_lists_commands_and_exit_codes() {
    let project = Project::empty();
    insta::assert_snapshot!(project.run(&["--help"]).exits(0).stdout);
    let output = project.run(&["runn"]).exits(2);
    assert!(output.stderr.contains("a similar subcommand exists: 'run'"), "{output}");
    assert_eq!(project.run(&["--version"]).exits(0).stdout, format!("evalflow {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn all_problems_are_shown_at_once_where_they_are() {
    let project = Project::scripted();
    project.edit("pipelines/p.yaml", "model: candidate", "model: candidat");
    project.edit("pipelines/p.yaml", "max_tokens", "max_token");
    project.edit("pipelines/p.yaml", "verdicts: verdicts }", "verdicts: answers, deploy: 0.4 }");
    project.edit("rubrics/p.yaml", "id: asks", "id: kind");
    insta::assert_snapshot!(project.run(&["validate", "pipelines/p.yaml"]).exits(2));
    let output = project.run(&["validate", "pipelines/p.yaml", "--json"]).exits(2);
    let problems: serde_json::Value = serde_json::from_str(&output.stdout).unwrap();
    assert_eq!(problems.as_array().unwrap().len(), 5, "{output}");
    assert!(problems[0]["line"].as_u64().unwrap() > 1);
    // A run of a file with problems touches nothing.
    project.run(&["run", "pipelines/p.yaml"]).exits(2);
    assert!(!project.path("cache").exists());
}

#[test]
fn a_file_that_is_not_there_is_a_problem() {
    let output = Project::empty().run(&["run", "pipelines/none.yaml"]).exits(2);
    assert!(output.stderr.contains("pipelines/none.yaml"), "{output}");
}

#[test]
fn a_run_is_told_in_a_few_lines() {
    let project = Project::scripted();
    let output = project.run(&["run", "pipelines/p.yaml"]).exits(4);
    insta::with_settings!({filters => vec![(r"\d+ ms|\d+\.\d s", "[time]")]}, {
        insta::assert_snapshot!(output);
    });
    let again = project.run(&["run", "pipelines/p.yaml"]).exits(4);
    assert_eq!(again.stdout, output.stdout, "the summary does not depend on what was cached");
    assert!(
        again.stderr.lines().last().unwrap().starts_with("4 stages, 4 cached, 0 run · 15/15 calls cached"),
        "{again}"
    );
}

#[test]
fn the_exit_code_is_the_decision() {
    let check = |decide: &str, code: i32| {
        let project = Project::scripted();
        project.edit("pipelines/p.yaml", "verdicts: verdicts }", &format!("verdicts: verdicts, {decide} }}"));
        project.run(&["run", "pipelines/p.yaml"]).exits(code)
    };
    // 4 of 5 pass: the 95 % interval is 38 % to 96 %.
    check("deploy: 0.7, fine_tune: 0.5", 4);
    check("deploy: 0.3, fine_tune: 0.2", 0);
    check("deploy: 0.98, fine_tune: 0.97", 0);
    check("deploy: 0.98, fine_tune: 0.97, gate: deploy", 3);
    check("deploy: 0.98, fine_tune: 0.1, gate: fine_tune", 0);
    check("deploy: 0.7, fine_tune: 0.5, gate: deploy", 4);
}
