//! Reports on two models, of which one is decided on.

use super::super::ReportModel;
use super::super::fixture::{decision, markdown_text, pipeline, report_on, rows, stage_id, terminal_text};
use super::super::model::StageWeights;
use crate::data::{Decision, GateBound, GateCheck, GateStatus};
use crate::ids::ModelName;
use crate::spec;

/// The same pipeline with a backup, and the report on both models.
fn report_of_two(first: [usize; 4], second: [usize; 4], mend: impl Fn(&mut Decision, &mut Decision)) -> ReportModel {
    let mut pipeline = pipeline();
    let (spec::Stage::Judge(judge), spec::Stage::Infer(infer)) =
        (pipeline.stages[&stage_id("verdicts")].clone(), pipeline.stages[&stage_id("answers")].clone())
    else {
        panic!("they are such stages")
    };
    let answers =
        spec::Infer { model: spec::ModelRef::Declared(ModelName::new("judge").unwrap()), max_tokens: 100, ..infer };
    let verdicts = spec::Judge { answers: stage_id("backup_answers"), ..judge };
    pipeline.stages.insert(stage_id("backup_answers"), spec::Stage::Infer(answers));
    pipeline.stages.insert(stage_id("backup_verdicts"), spec::Stage::Judge(verdicts));
    let Some(spec::Stage::Decide(decide)) = pipeline.stages.get_mut(&stage_id("decision")) else {
        panic!("it decides")
    };
    decide.backup = Some(spec::Backup { verdicts: stage_id("backup_verdicts"), answers: None, is_due: true });
    let decide = decide.clone();
    let of = |[failed, passed, ungraded, invalid]: [usize; 4]| decision(&rows(failed, passed, ungraded, invalid));
    let (mut primary, mut backup) = (of(first), of(second));
    mend(&mut primary, &mut backup);
    let both = crate::stage::decide::combine(&decide, primary, backup);
    report_on(&pipeline, &rows(first[0], first[1], first[2], first[3]), both)
}

fn failed_gate(metric: &str, of: &str, status: GateStatus) -> GateCheck {
    GateCheck {
        metric: metric.to_owned(),
        of: Some(of.to_owned()),
        bound: GateBound::AtLeast(0.9),
        value: Some(0.5),
        interval: Some([0.4, 0.6]),
        base: None,
        n: 50,
        status,
    }
}

#[test]
fn two_models_are_shown_side_by_side() {
    let as_they_are = |_: &mut Decision, _: &mut Decision| {};
    let gated = |primary: &mut Decision, backup: &mut Decision| {
        primary.gates = vec![
            failed_gate("criterion", "no-harm", GateStatus::Failed),
            failed_gate("topic", "grief", GateStatus::Passed),
        ];
        backup.gates = vec![
            failed_gate("criterion", "no-harm", GateStatus::Passed),
            failed_gate("topic", "grief", GateStatus::Inconclusive),
        ];
    };
    let mut all = String::new();
    for model in [
        report_of_two([40, 60, 0, 0], [8, 92, 0, 0], as_they_are),
        report_of_two([80, 20, 0, 0], [40, 60, 0, 0], as_they_are),
        report_of_two([40, 60, 0, 0], [80, 20, 0, 0], as_they_are),
        report_of_two([80, 20, 0, 0], [21, 33, 1, 1], as_they_are),
        report_of_two([8, 92, 0, 0], [8, 92, 0, 0], gated),
    ] {
        let text = markdown_text(&model);
        let section = |from: &str, to: &str| text[text.find(from).unwrap()..text.find(to).unwrap()].to_owned();
        all.push_str(&text[..text.find("\n## Model selection\n").unwrap()]);
        all.push_str(&section("\n- Answers: ", "\n- Verdicts: "));
        all.push_str(&section("\n## Next steps\n", "\n## Reproduce\n"));
        all.push_str("\n- - -\n\n");
        all.push_str(&terminal_text(&model, false, 100));
        all.push_str("\n----------------------------------------\n\n");
    }
    insta::assert_snapshot!("two_models", all);
}

#[test]
fn json_has_two_models_where_two_were_tried() {
    let model = report_of_two([40, 60, 0, 0], [8, 92, 0, 0], |primary, _| {
        primary.gates = vec![failed_gate("criterion", "no-harm", GateStatus::Failed)];
    });
    let value = serde_json::to_value(&model).unwrap();
    let [first, second] = value["models"].as_array().unwrap().as_slice() else { panic!("{}", value["models"]) };
    assert_eq!(
        (&first["role"], &first["verdicts"], &first["outcome"]),
        (&"primary".into(), &"verdicts".into(), &"fine_tune".into())
    );
    assert_eq!((&first["decided_on"], &second["decided_on"]), (&false.into(), &true.into()));
    assert_eq!(first["gates_not_passed"][0]["of"], "no-harm");
    assert_eq!(
        (&second["role"], &second["verdicts"], &second["outcome"]),
        (&"backup".into(), &"backup_verdicts".into(), &"deploy".into())
    );
    assert_eq!(second["rate"]["passed"], 92);
    assert_eq!(value["answered_by"], second["answered_by"], "who is decided on");
    assert_ne!(first["answered_by"], second["answered_by"]);
    assert_eq!(value["decision"]["other"]["decision"]["outcome"], "fine_tune");
    assert_eq!(value["gates"], serde_json::json!(null), "those of the model that is decided on");
}

#[test]
fn of_several_weights_those_that_answer_are_the_selected_ones() {
    let rows = rows(8, 42, 0, 0);
    let mut model = report_on(&pipeline(), &rows, decision(&rows));
    assert!(markdown_text(&model).contains("\n### Selected model\n"));
    let judge = StageWeights { stage: stage_id("judge-weights"), selected: false, ..model.weights[0].clone() };
    model.weights.push(judge);
    let text = markdown_text(&model);
    assert!(text.contains("\n### Selected model: `weights`\n"), "{text}");
    assert!(text.contains("\n### Other weights: `judge-weights`\n"), "{text}");
}
