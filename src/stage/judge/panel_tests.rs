//! Rows through the stage where several judges are asked, or one is asked about all criteria at once.

use std::collections::BTreeMap;

use super::tests::{criterion, judged, kinds, line, question, says, scale, spec, start};
use super::*;
use crate::data::{Grade, Quote, Scenario, Verdict, Votes};
use crate::engine::{Question, Request};
use crate::ids::{ModelName, ScenarioId};
use crate::spec::Command;
use crate::stage::row::tests::{asks, done, failed, replied};
use crate::stage::row::{Asked, Resume, Row};

use VerdictKind::{Fail, NotApplicable, Pass, Ungraded};

fn judges(names: &[&str]) -> Vec<ModelRef> {
    names.iter().map(|name| ModelRef::Declared(ModelName::new(name).unwrap())).collect()
}

/// One question to the judges `a`, `b` and so on.
fn panel(count: usize) -> Judge {
    let names = ["a", "b", "c", "d", "e"];
    let rubric = Rubric { criteria: vec![question("kind", "Is it kind?")], ..spec().rubric };
    Judge { models: judges(&names[..count]), rubric, ..spec() }
}

/// What is asked, and of which seat.
fn asked(step: Step) -> (Vec<(usize, Request)>, Box<dyn Resume>) {
    let of = |question| match question {
        Question::Complete { seat, request } => (seat, request),
        other @ (Question::Embed(_) | Question::Run(_)) => panic!("it asks for no text: {other:?}"),
    };
    match step {
        Step::Ask(questions, rest) => (questions.into_iter().map(of).collect(), rest),
        Step::Done(row) => panic!("it is done: {row:?}"),
    }
}

fn verdict_of(said: &[Asked]) -> Verdict {
    let (questions, rest) = asked(start(&panel(said.len()), &line(Some("A reply."), &[])));
    assert_eq!(questions.iter().map(|(seat, _)| *seat).collect::<Vec<_>>(), (0..said.len()).collect::<Vec<_>>());
    assert!(questions.iter().all(|(_, request)| *request == questions[0].1), "all are asked the same");
    judged(&done(rest.resume(said.to_vec()))).verdicts.remove(0)
}

#[test]
fn more_than_half_of_the_judges_decide() {
    let check = |said: &[&str], expected: VerdictKind| {
        let found = verdict_of(&said.iter().map(|verdict| says(verdict, "")).collect::<Vec<_>>());
        assert_eq!((found.verdict, found.panel.len(), found.votes), (expected, said.len(), None), "{said:?}");
    };
    check(&["pass", "fail", "pass"], Pass);
    check(&["fail", "fail", "pass"], Fail);
    check(&["pass", "fail"], Ungraded);
    check(&["pass", "pass", "fail", "fail"], Ungraded);
    check(&["pass", "pass", "pass", "fail"], Pass);
}

#[test]
fn a_row_keeps_what_each_judge_said() {
    let found = verdict_of(&[says("fail", "A reply"), says("pass", "gone"), says("fail", "")]);
    let said = [("a", Fail), ("b", Pass), ("c", Fail)].map(|(judge, verdict)| (judge.to_owned(), verdict));
    assert_eq!(found.panel, BTreeMap::from(said));
    assert_eq!((found.evidence.as_str(), found.quote), ("A reply", Some(Quote::Found)), "the first of the majority's");
    let tie = verdict_of(&[says("pass", ""), says("fail", "")]);
    assert_eq!(tie.reason, "no verdict has a majority of 2 judges: 1 pass, 1 fail, 0 not applicable, 0 ungraded");
}

#[test]
fn a_judge_that_is_missing_makes_no_pass() {
    let missing = verdict_of(&[says("pass", ""), failed("rejected"), says("fail", "")]);
    assert_eq!((missing.verdict, missing.panel["b"]), (Ungraded, Ungraded));
    assert!(missing.reason.ends_with("1 ungraded (the judge did not answer: it did not work (rejected))"));
    assert_eq!(verdict_of(&[says("pass", ""), failed("rejected"), says("pass", "")]).verdict, Pass);
    // Who cannot be read is asked once more, alone.
    let (_, rest) = asked(start(&panel(3), &line(Some("A reply."), &[])));
    let (again, rest) = asked(rest.resume(vec![says("pass", ""), replied("yes"), says("fail", "")]));
    assert_eq!(again.iter().map(|(seat, _)| *seat).collect::<Vec<_>>(), [1]);
    let row = done(rest.resume(vec![says("fail", "")]));
    assert_eq!(kinds(&row), [Fail]);
}

#[test]
fn each_judge_has_a_majority_of_its_own() {
    let spec = Judge { repeat: 3, temperature: 1.0, ..panel(3) };
    let (questions, rest) = asked(start(&spec, &line(Some("A reply."), &[])));
    let voices: Vec<_> = questions.iter().map(|(seat, request)| (*seat, request.repetition)).collect();
    assert_eq!(voices, [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (2, 0), (2, 1), (2, 2)]);
    let said = ["pass", "fail", "pass", "fail", "fail", "pass", "pass", "pass", "fail"];
    let found = judged(&done(rest.resume(said.iter().map(|verdict| says(verdict, "")).collect()))).verdicts.remove(0);
    assert_eq!((found.verdict, found.panel["a"], found.panel["b"], found.votes), (Pass, Pass, Fail, None));
}

fn together() -> Judge {
    Judge { mode: JudgeMode::Together, ..spec() }
}

fn opinion(verdict: &str) -> Value {
    json!({ "evidence": "", "reason": "Because.", "verdict": verdict })
}

#[test]
fn one_call_asks_all_questions_that_apply() {
    let (requests, rest) = asks(start(&together(), &line(Some("You are not alone."), &[])));
    assert_eq!(requests.len(), 1);
    let schema = requests[0].form.schema().unwrap().json();
    let mut names: Vec<&str> = schema["required"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["kind", "step"], "what code answers and what does not apply is not asked");
    let said = json!({ "step": opinion("fail"), "kind": { "evidence": "not alone", "reason": "", "verdict": "pass" } });
    let row = done(rest.resume(vec![replied(&said.to_string())]));
    let found = judged(&row);
    assert_eq!(kinds(&row), [Pass, Pass, NotApplicable, Fail]);
    assert_eq!((found.verdicts[0].evidence.as_str(), found.verdicts[0].quote), ("not alone", Some(Quote::Found)));
    assert_eq!(found.grade, Grade::Pass);
}

#[test]
fn only_what_is_missing_is_asked_once_more_and_stays_open() {
    let (first, rest) = asks(start(&together(), &line(Some("A reply."), &["crisis"])));
    let said = json!({ "kind": opinion("pass"), "step": opinion("maybe") });
    let (second, rest) = asks(rest.resume(vec![replied(&said.to_string())]));
    assert_eq!((second.len(), &second[0].messages[..2]), (1, &first[0].messages[..]));
    let mut wanted: Vec<_> = second[0].form.schema().unwrap().json()["required"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(Value::as_str)
        .collect();
    wanted.sort_unstable();
    assert_eq!(wanted, ["refers", "step"]);
    let last = &second[0].messages[3].content;
    for why in ["\"step\": its `verdict` is `maybe`, not `pass` or `fail`", "there is no member `refers`"] {
        assert!(last.contains(why), "{last}");
    }
    // A verdict that was read is not asked for, so a second one on it says nothing.
    let said = json!({ "refers": opinion("pass"), "kind": opinion("fail") });
    let row = done(rest.resume(vec![replied(&said.to_string())]));
    assert_eq!(kinds(&row), [Pass, Pass, Pass, Ungraded]);
    assert_eq!(
        judged(&row).verdicts[3].reason,
        "the judge's answer could not be read, twice: its JSON object is not as asked: there is no member `step`"
    );
    let (_, rest) = asks(start(&together(), &line(Some("A reply."), &[])));
    assert_eq!(kinds(&done(rest.resume(vec![failed("rejected")]))), [Ungraded, Pass, NotApplicable, Ungraded]);
}

#[test]
fn the_order_of_criteria_changes_from_scenario_to_scenario() {
    let order = |id: &str| -> Vec<String> {
        let mut answer: Answer = read(&line(Some("A reply."), &["crisis"]), "an answer").unwrap();
        answer.scenario = Scenario { id: ScenarioId::new(id).unwrap(), ..answer.scenario };
        let (requests, _) = asks(start(&together(), &serde_json::to_string(&answer).unwrap()));
        let content = requests[0].messages[1].content.clone();
        let mut places: Vec<(usize, String)> = ["kind", "refers", "step"]
            .iter()
            .map(|id| (content.find(&format!("Question \"{id}\"")).unwrap(), (*id).to_owned()))
            .collect();
        places.sort();
        places.into_iter().map(|(_, id)| id).collect()
    };
    let mut first: BTreeMap<String, u32> = BTreeMap::new();
    for n in 0..300 {
        let id = format!("sleep/nights/{n}");
        let found = order(&id);
        assert_eq!(found, order(&id));
        *first.entry(found[0].clone()).or_default() += 1;
    }
    assert!(first.len() == 3 && first.values().all(|times| (70..130).contains(times)), "{first:?}");
}

#[test]
fn several_opinions_and_judges_are_one_call_each() {
    let spec = Judge { repeat: 2, temperature: 1.0, models: judges(&["a", "b"]), ..together() };
    let (questions, rest) = asked(start(&spec, &line(Some("A reply."), &[])));
    let voices: Vec<_> = questions.iter().map(|(seat, request)| (*seat, request.repetition)).collect();
    assert_eq!(voices, [(0, 0), (0, 1), (1, 0), (1, 1)]);
    let said = |kind: &str| replied(&json!({ "kind": opinion(kind), "step": opinion("pass") }).to_string());
    let row: Row = done(rest.resume(vec![said("pass"), said("fail"), said("pass"), said("pass")]));
    let found = judged(&row);
    assert_eq!((found.verdicts[0].verdict, found.verdicts[3].verdict), (Ungraded, Pass));
    assert_eq!((found.verdicts[0].panel["a"], found.verdicts[0].panel["b"]), (Ungraded, Pass));
    let alone = Judge { models: judges(&["a"]), ..spec };
    let (_, rest) = asked(start(&alone, &line(Some("A reply."), &[])));
    let votes = judged(&done(rest.resume(vec![said("pass"), said("fail")]))).verdicts[0].votes;
    assert_eq!(votes, Some(Votes { pass: 1, fail: 1, ..Votes::default() }));
}

fn level(level: &str) -> Value {
    json!({ "evidence": "", "reason": "Because.", "level": level })
}

#[test]
fn a_panel_gives_a_level_as_well() {
    let rubric = Rubric { criteria: vec![criterion("warm", scale(false))], ..spec().rubric };
    let (questions, rest) = asked(start(&Judge { rubric, ..panel(3) }, &line(Some("A reply."), &[])));
    assert_eq!(questions.iter().map(|(seat, _)| *seat).collect::<Vec<_>>(), [0, 1, 2]);
    let found = judged(&done(rest.resume(["5", "4", "3"].map(|said| replied(&level(said).to_string())).into())));
    let warm = &found.verdicts[0];
    assert_eq!((warm.verdict, warm.level, warm.panel["c"]), (Pass, Some(4.0), Fail));
}

#[test]
fn levels_are_asked_for_together_and_programs_alone() {
    let command = Command { run: vec!["./check".to_owned()], files: Vec::new(), timeout_s: 1 };
    let criteria = vec![
        criterion("runs", Ask::Command { command, negated: false }),
        question("kind", "Is it kind?"),
        criterion("warm", scale(false)),
    ];
    let spec = Judge { rubric: Rubric { criteria, ..spec().rubric }, models: judges(&["a", "b"]), ..together() };
    let Step::Ask(questions, rest) = start(&spec, &line(Some("A reply."), &[])) else { panic!("it asks") };
    assert!(
        matches!(
            &questions[..],
            [Question::Complete { seat: 0, .. }, Question::Complete { seat: 1, .. }, Question::Run(_)]
        ),
        "each judge is asked once, and the program once for all: {questions:?}"
    );
    let said = |warm: &str| replied(&json!({ "kind": opinion("pass"), "warm": level(warm) }).to_string());
    let ran = replied(r#"{"exit":0,"stdout":""}"#);
    // A level that the scale does not have is asked for once more, of that judge alone.
    let (again, rest) = asked(rest.resume(vec![said("5"), said("9"), ran]));
    assert_eq!(again.iter().map(|(seat, _)| *seat).collect::<Vec<_>>(), [1]);
    assert_eq!(again[0].1.form.schema().unwrap().json()["required"], json!(["warm"]));
    let row = done(rest.resume(vec![replied(&json!({ "warm": level("4") }).to_string())]));
    assert_eq!(kinds(&row), [Pass, Pass, Pass]);
    let found = judged(&row).verdicts;
    assert_eq!((found[2].level, found[2].panel.len(), found[0].panel.len()), (Some(4.5), 2, 0));
}
