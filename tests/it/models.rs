//! Models on the embedded engine that take weights and adapters from stages: what is in memory when, and what is refused.
//! Nothing here is loaded: with or without the engine, the files are no weights.

use serde_json::Value;

use crate::env::{Output, Project, sorted};
use crate::gguf;

/// Two models, one of them with an adapter, each asked by two stages.
const PIPELINE: &str = r#"evalflow: 1
name: p
models:
  tuned: { llama: { weights: base, adapter: lora, adapter_scale: 0.5, context: 4096, sequences: 8, kv_cache: q8_0 } }
  strong: { llama: { weights: large, sequences: 8 } }
stages:
  base: { pull: { from: "file:models/base.gguf" } }
  lora: { pull: { from: "file:models/lora.gguf" } }
  large: { pull: { from: "file:models/large.gguf" } }
  scenarios: { generate: { taxonomy: scenarios/p.yaml, seed: 1 } }
  answers: { infer: { model: tuned, scenarios: scenarios, max_tokens: 50 } }
  strict: { infer: { model: tuned, scenarios: scenarios, system: pipelines/system.md } }
  verdicts: { judge: { answers: answers, rubric: rubrics/p.yaml, model: strong } }
  others: { judge: { answers: strict, rubric: rubrics/p.yaml, model: strong } }
"#;

/// A project with so much memory to give to models.
pub(crate) fn project(memory: &str) -> Project {
    let mut project = Project::scripted();
    project.set("EVALFLOW_MEMORY", memory);
    project.set("COLUMNS", "140");
    project.write("pipelines/p.yaml", PIPELINE);
    put(&project, "base", &gguf::model("base", 4, 3_000_000));
    put(&project, "large", &gguf::model("large", 8, 5_000_000));
    put(&project, "lora", &gguf::adapter("llama"));
    project
}

fn put(project: &Project, name: &str, bytes: &[u8]) {
    fs_err::create_dir_all(project.path("models")).unwrap();
    fs_err::write(project.path(&format!("models/{name}.gguf")), bytes).unwrap();
}

fn plan(project: &Project) -> Value {
    let output = project.run(&["plan", "pipelines/p.yaml", "--json"]).exits(0);
    serde_json::from_str(&output.stdout).unwrap()
}

/// Model, stages and the models beside it, of each turn.
fn turns(project: &Project) -> Vec<(String, Vec<String>, Vec<String>)> {
    let texts =
        |value: &Value| value.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect();
    let plan = plan(project);
    let turns = plan["in_memory"].as_array().unwrap().iter();
    turns
        .map(|turn| (turn["model"].as_str().unwrap().to_owned(), texts(&turn["stages"]), texts(&turn["beside"])))
        .collect()
}

/// What a run says that comes to nothing because a model cannot be had.
fn failure(project: &Project) -> Output {
    project.run(&["run", "pipelines/p.yaml"]).exits(1)
}

#[test]
fn plan_says_which_model_is_in_memory_when() {
    let output = project("16GB").run(&["plan", "pipelines/p.yaml"]).exits(0);
    let lines: Vec<&str> = output.stdout.lines().filter(|line| line.contains("memory")).collect();
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn a_plan_for_scripts_holds_the_numbers() {
    let plan = plan(&project("16GB"));
    insta::assert_snapshot!(sorted(&plan["in_memory"]));
}

#[test]
fn one_model_is_in_memory_at_a_time_unless_both_fit() {
    let check = |memory: &str, beside: &[&str]| {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let expected = vec![
            ("tuned".to_owned(), names(&["strict", "answers"]), names(&[])),
            ("strong".to_owned(), names(&["others", "verdicts"]), names(beside)),
        ];
        assert_eq!(turns(&project(memory)), expected, "{memory}");
    };
    // Nobody asks the first again, so it goes although there would be room.
    check("64GB", &[]);
    check("1GB", &[]);
    let crossed = |memory: &str| {
        let project = project(memory);
        // Now each judges what the other answers.
        project.edit("pipelines/p.yaml", "strict: { infer: { model: tuned", "strict: { infer: { model: strong");
        project.edit("pipelines/p.yaml", "rubric: rubrics/p.yaml, model: strong } }\n  others", "rubric: rubrics/p.yaml, model: strong } }\n  extra: { judge: { answers: strict, rubric: rubrics/p.yaml, model: tuned } }\n  others");
        turns(&project).into_iter().map(|(model, _, beside)| (model, beside.join(" "))).collect::<Vec<_>>()
    };
    let pair = |model: &str, beside: &str| (model.to_owned(), beside.to_owned());
    assert_eq!(crossed("64GB"), [pair("strong", ""), pair("tuned", "strong"), pair("strong", "tuned")]);
    assert_eq!(crossed("600MB"), [pair("strong", ""), pair("tuned", ""), pair("strong", "")]);
}

#[test]
fn a_model_that_cannot_fit_is_refused_with_the_numbers_before_it_is_loaded() {
    let project = project("4GB");
    put(&project, "base", &gguf::model("base", 4000, 3_000_000));
    let plan = project.run(&["plan", "pipelines/p.yaml"]).exits(0).stdout;
    let line = plan.lines().position(|line| line.starts_with("in memory: tuned")).unwrap();
    let told: Vec<&str> = plan.lines().skip(line).take(2).collect();
    let refused = failure(&project).stderr;
    let refused: Vec<&str> =
        refused.lines().filter(|line| line.contains("does not fit") || line.contains("help")).collect();
    insta::assert_snapshot!(format!("{}\n\n{}", told.join("\n"), refused.join("\n")));
    // Weights that take more than there is: no other context would help.
    let project = self::project("2MB");
    let refused = failure(&project).stderr;
    assert!(refused.contains("help: pull weights with a smaller quantisation, or a smaller model"), "{refused}");
}

#[test]
fn a_file_that_is_not_what_the_model_takes_it_for_is_told_before_it_is_loaded() {
    let check = |name: &str, bytes: &[u8], expected: &[&str]| {
        let project = project("16GB");
        put(&project, name, bytes);
        let output = failure(&project);
        for words in expected {
            assert!(output.stderr.contains(words), "{words}\n{output}");
        }
    };
    check(
        "lora",
        &gguf::adapter("qwen2"),
        &[
            "the adapter of `lora` is made for the architecture `qwen2`, and the weights are `llama`",
            "help: pull the weights that the adapter was trained on",
        ],
    );
    check("lora", &gguf::smallest(), &["what `lora` brought is a model, and no adapter", "help: name it as `weights`"]);
    check("base", &gguf::adapter("llama"), &["what `base` brought is an adapter, and no model by itself"]);
}

#[test]
fn a_changed_option_of_a_model_is_named() {
    let project = project("16GB");
    let _fails = failure(&project);
    project.edit("pipelines/p.yaml", "adapter_scale: 0.5", "adapter_scale: 0.75");
    project.edit("pipelines/p.yaml", "kv_cache: q8_0", "kv_cache: q4_0");
    let changed = |field: &str| {
        let plan = plan(&project);
        let stage = plan["stages"].as_array().unwrap().iter().find(|stage| stage["stage"] == "strict").unwrap();
        let changes = stage["changes"].as_array().unwrap().iter();
        let found: Vec<(Value, Value)> = changes
            .filter(|change| change["path"] == field)
            .map(|change| (change["old"].clone(), change["new"].clone()))
            .collect();
        found
    };
    assert_eq!(changed("model.adapter.scale"), [(0.5.into(), 0.75.into())]);
    assert_eq!(changed("model.kv_cache"), [("q8_0".into(), "q4_0".into())]);
    // How many are computed at once changes nothing.
    project.edit("pipelines/p.yaml", "sequences: 8, kv_cache", "sequences: 12, kv_cache");
    assert_eq!(changed("model.sequences"), []);
}
