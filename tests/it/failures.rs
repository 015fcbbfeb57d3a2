//! What goes wrong ends in a clear word and never in a pass.

use serde_json::Value;

use crate::env::{PIPELINE, Project};

fn judged_by(reply: &str) -> Project {
    let project = Project::scripted();
    let old = r#"otherwise: '{"evidence":"That sounds hard","reason":"it is kind","verdict":"pass"}'"#;
    assert!(PIPELINE.contains(old));
    project.write("pipelines/p.yaml", &PIPELINE.replace(old, &format!("otherwise: '{reply}'")));
    project
}

#[test]
fn a_judge_that_cannot_be_read_is_asked_once_more_and_then_is_no_verdict() {
    for reply in
        ["I would say it passes.", r#"{"verdict":"pass"}"#, r#"{"evidence":"","reason":"r","verdict":"PASS!"}"#]
    {
        let project = judged_by(reply);
        let output = project.run(&["run", "pipelines/p.yaml", "--json"]).exits(6);
        let run: Value = serde_json::from_str(&output.stdout).unwrap();
        let decision = &run["report"]["decision"];
        assert_eq!(decision["outcome"], "blocked");
        assert_eq!(decision["counts"]["passed"], 0);
        assert_eq!(decision["counts"]["ungraded"], 4);
        // 5 answers, 2 verdicts that can be read, 8 that cannot, each asked twice.
        assert_eq!(run["run"]["calls_made"], 5 + 2 + 16);
        // What was got is what is kept: there is nothing to ask again.
        assert_eq!(project.json()["run"]["calls_made"], 0);
    }
}

#[test]
fn a_model_that_refuses_everything_stops_the_stage_and_those_after_it() {
    let project = Project::scripted();
    project.write(
        "pipelines/p.yaml",
        &PIPELINE.replace("      otherwise: \"That sounds hard. What would help you tonight?\"\n", ""),
    );
    let output = project.run(&["run", "pipelines/p.yaml"]);
    // Four of five scenarios have no reply: not a fatal engine, but nothing to decide on.
    assert_eq!(output.code, Some(6), "{output}");
    let again = project.json();
    assert_eq!(again["report"]["decision"]["outcome"], "blocked");
    assert_eq!(again["run"]["stages"][1]["status"], "incomplete");
}

#[test]
fn a_damaged_object_is_made_again() {
    let project = Project::scripted();
    let first = project.json();
    let output = first["run"]["stages"][2]["output"].as_str().unwrap();
    let object = project.path(&format!("cache/objects/{}/{output}", &output[..2]));
    fs_err::write(&object, "not what it was").unwrap();
    let plan = project.run(&["plan", "pipelines/p.yaml"]).exits(0);
    assert!(plan.stdout.contains("its result is gone from the store"), "{plan}");
    let again = project.json();
    assert_eq!(again["run"]["calls_made"], 0);
    assert_eq!(again["report"], first["report"]);
    assert_eq!(fs_err::read(project.path(&format!("cache/aside/{output}"))).unwrap(), b"not what it was");
}

#[test]
fn a_store_that_is_none_is_a_clear_error() {
    let project = Project::scripted();
    project.write(
        "cache/index.sqlite",
        "this is no database, it is a text of some length, long enough for a header.......................",
    );
    let output = project.run(&["run", "pipelines/p.yaml"]).exits(1);
    assert!(output.stderr.contains("is damaged") && output.stderr.contains("help: move"), "{output}");
}

#[cfg(unix)]
#[test]
fn weights_that_are_none_are_a_clear_error() {
    let project = Project::scripted();
    let text = PIPELINE.replace("stages:\n", "stages:\n  weights:\n    pull: { from: \"file:weights.gguf\" }\n");
    project.write("pipelines/p.yaml", &text.replace("model: candidate", "model: weights"));
    let check = |expected: &str| {
        let output = project.run(&["run", "pipelines/p.yaml"]).exits(1);
        assert!(output.stderr.contains(expected), "{output}");
        assert!(output.stderr.contains("skipped: reads `weights`"), "{output}");
    };
    let output = project.run(&["run", "pipelines/p.yaml"]).exits(2);
    assert!(output.stderr.contains("evalflow::spec::missing_file"), "{output}");
    project.write("weights.gguf", "<html><body>404</body></html>");
    check("weights.gguf");
    let mut header = b"GGUF".to_vec();
    header.extend(3u32.to_le_bytes());
    header.extend(1u64.to_le_bytes());
    fs_err::write(project.path("weights.gguf"), header).unwrap();
    check("weights.gguf");
}

#[test]
fn a_file_that_evalflow_did_not_write_is_not_replaced_by_a_report() {
    let project = Project::scripted();
    project.write("docs/report.md", "# My own notes\n");
    let output = project.run(&["run", "pipelines/p.yaml"]).exits(2);
    assert!(output.stderr.contains("which evalflow did not write"), "{output}");
    assert_eq!(project.read("docs/report.md"), "# My own notes\n");
    assert_eq!(project.calls_kept(), 0, "it is found out before anything is asked");
}

#[test]
fn a_writer_that_fails_leaves_a_run_incomplete() {
    let project = Project::scripted();
    project.edit("scenarios/p.yaml", "terse: \"boss yelled\", ", "");
    let writer = "generate: { taxonomy: scenarios/p.yaml, seed: 1, writer: author }";
    project.edit("pipelines/p.yaml", "generate: { taxonomy: scenarios/p.yaml, seed: 1 }", writer);
    project.edit("pipelines/p.yaml", "  judge:\n", "  author: { scripted: { otherwise: \"no JSON\" } }\n  judge:\n");
    let output = project.run(&["run", "pipelines/p.yaml"]).exits(6);
    assert!(
        output.stderr.contains("work/boss/terse") && output.stderr.contains("`scenarios` is not complete"),
        "{output}"
    );
    project.edit("pipelines/p.yaml", "otherwise: \"no JSON\"", r#"otherwise: '{"opening": "he yelled again"}'"#);
    let output = project.run(&["run", "pipelines/p.yaml", "--json"]).exits(4);
    let run: Value = serde_json::from_str(&output.stdout).unwrap();
    assert_eq!(
        (&run["report"]["coverage"]["written"], &run["report"]["coverage"]["scenarios"]),
        (&1.into(), &5.into())
    );
}

#[test]
fn refused_calls_are_no_outage() {
    // All criteria of the one bad reply are refused, each time: the others are judged all the same.
    let refuse = |project: &Project| {
        let old =
            r#"        - { match: "Go away", reply: '{"evidence":"Go away","reason":"it is rude","verdict":"fail"}' }"#;
        project.edit(
            "pipelines/p.yaml",
            old,
            r#"        - { match: "That sounds", reply: '{"evidence":"","reason":"kind","verdict":"pass"}' }"#,
        );
        project.edit(
            "pipelines/p.yaml",
            r#"      otherwise: '{"evidence":"That sounds hard","reason":"it is kind","verdict":"pass"}'"#,
            "",
        );
        let more: String = (0..6).map(|n| format!("  - {{ id: more-{n}, question: Is it good {n}? }}\n")).collect();
        project.write("rubrics/p.yaml", &(project.read("rubrics/p.yaml") + &more));
    };
    let project = Project::scripted();
    refuse(&project);
    for _ in 0..2 {
        let output = project.run(&["run", "pipelines/p.yaml", "--json"]).exits(6);
        let run: Value = serde_json::from_str(&output.stdout).unwrap();
        assert_eq!(run["report"]["decision"]["counts"]["ungraded"], 1, "{output}");
        assert_eq!(run["report"]["decision"]["counts"]["passed"], 4);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn output_that_cannot_be_written_is_a_failure() {
    let project = Project::scripted();
    let full = fs_err::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = project.command(&["plan", "pipelines/p.yaml"]).stdout(full.into_file()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("the output cannot be written"));
}

#[test]
fn stores_opened_at_once_are_all_opened() {
    for _ in 0..10 {
        let project = Project::scripted();
        let children: Vec<_> = (0..4).map(|_| project.start(&["plan", "pipelines/p.yaml"])).collect();
        for child in children {
            let output = child.wait_with_output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        }
    }
}
