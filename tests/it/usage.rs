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
    let twice = problems.as_array().unwrap().iter().find(|problem| problem["code"] == "evalflow::spec::duplicate_id");
    let twice = twice.unwrap();
    let place = |value: &serde_json::Value| {
        let number = |name: &str| value[name].as_u64().unwrap();
        let label = value["label"].as_str().unwrap().to_owned();
        (number("line"), number("column"), number("end_line"), number("end_column"), label)
    };
    assert_eq!(place(twice), (5, 11, 5, 15, "again".to_owned()));
    assert_eq!(place(&twice["related"][0]), (4, 11, 4, 15, "first here".to_owned()));
    assert_eq!(twice["related"][0]["file"], "rubrics/p.yaml");
    // A run of a file with problems touches nothing.
    project.run(&["run", "pipelines/p.yaml"]).exits(2);
    assert!(!project.path("cache").exists());
}

#[test]
fn a_file_that_is_not_there_is_a_problem() {
    let output = Project::empty().run(&["run", "pipelines/none.yaml"]).exits(2);
    insta::assert_snapshot!(output.stderr, @r"
    evalflow::spec::unreadable_file

      × there is no file `pipelines/none.yaml`
      help: check the path and who may read the file

    1 problem
    ");
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

#[test]
fn who_is_careless_is_told_the_way_on() {
    let project = Project::scripted();
    let check = |arguments: &[&str], code: i32, expected: &[&str]| {
        let output = project.run(arguments).exits(code);
        for part in expected {
            assert!(output.stderr.contains(part), "{part}\n{output}");
        }
    };
    let file = "pipelines/p.yaml";
    check(&["run", file, "--force", "verdicts"], 2, &["unexpected argument 'verdicts'", "write `--force=verdicts`"]);
    check(&["run", file, "verdicts"], 2, &["unexpected argument 'verdicts'"]);
    check(&["run", file, "--only", "anwsers"], 2, &["unknown stage `anwsers`", "did you mean `answers`?"]);
    check(&["plan", file, "--from", "nothing"], 2, &["unknown stage `nothing`", "there are `scenarios`, `answers`"]);
    check(&["cache", "audit", file], 2, &["there is no store in", "run a pipeline first"]);
    check(&["bless", file], 1, &["never run", "run it first"]);
    check(&["verify", file], 1, &["there is no lock `pipelines/p.lock`", "evalflow bless"]);
    check(&["history", "--replay", "99"], 2, &["there is no journal of run 99"]);
    project.write("pipelines/p.lock", "# Written by `evalflow bless`\n<<<<<<< HEAD\n");
    let conflict = ["`pipelines/p.lock`: line 2: a merge left both sides here", "take either side"];
    for command in
        [&["run", file, "--frozen"][..], &["bless", "--check", file], &["export-baseline", file, "b"], &["status"]]
    {
        check(command, 2, &conflict);
    }
    check(&["gc"], 1, &["p.lock` cannot be read", "nothing was removed"]);
    project.write("pipelines/p.yaml", "");
    check(&["validate", file], 2, &["the pipeline file is empty", "beginning with `evalflow: 1`"]);
    fs_err::remove_dir_all(project.path("pipelines")).unwrap();
    fs_err::create_dir(project.path(".git")).unwrap();
    check(&["status"], 2, &["there is no directory", "pipelines`", "name a pipeline file"]);
}
