//! Past runs, and how pipelines stand.

use serde_json::Value;

use crate::env::Project;

#[test]
fn where_nothing_ran_there_is_no_history() {
    let project = Project::scripted();
    for arguments in [&["history"][..], &["history", "pipelines/p.yaml"], &["history", "pipelines/gone.yaml"]] {
        let output = project.run(arguments).exits(0);
        assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("", "no runs yet\n"), "{output}");
    }
    assert_eq!(project.run(&["history", "--json"]).exits(0).stdout, "[]\n");
    assert!(!project.path("cache").exists(), "looking leaves nothing behind");
    project.run(&["history", "--limit", "0"]).exits(2);
}

#[test]
fn pipelines_stand_as_they_do() {
    let project = Project::scripted();
    let status = || project.run(&["status"]).exits(0).stdout;
    let fresh = status();
    project.json();
    project.run(&["bless", "pipelines/p.yaml"]).exits(0);
    let done = status();
    project.edit("pipelines/p.yaml", "verdicts: verdicts }", "verdicts: verdicts, deploy: 0.3, fine_tune: 0.2 }");
    let edited = status();
    project.json();
    let run = status();
    // How a last run is shown is tested where runs are recorded.
    let shown = format!("fresh:\n{fresh}\nblessed:\n{done}\nedited:\n{edited}\nrun again:\n{run}");
    insta::with_settings!({filters => vec![(r"last run  .*", "last run  [run]")]}, {
        insta::assert_snapshot!(shown);
    });
}

#[test]
fn a_status_for_scripts_names_all_pipelines() {
    let project = Project::scripted();
    project.write("pipelines/broken.yaml", "evalflow: 1\n");
    let output = project.run(&["status", "--json"]).exits(2);
    let status: Value = serde_json::from_str(&output.stdout).unwrap();
    assert_eq!(status["pipelines"].as_array().unwrap().len(), 1, "{output}");
    let standing = &status["pipelines"][0];
    assert_eq!((&standing["file"], &standing["lock"]), (&"pipelines/p.yaml".into(), &Value::Null));
    assert_eq!(standing["stages"][0]["status"], "run");
    assert!(output.stderr.contains("broken.yaml"), "{output}");
    project.write("pipelines/p.lock", "evalflow_lock: 9\n");
    let output = project.run(&["status", "pipelines/p.yaml"]).exits(2);
    assert!(output.stdout.contains("lock      cannot be read"), "{output}");
    assert!(output.stderr.contains("the lock has format 9, this version knows format 1"), "{output}");
}
