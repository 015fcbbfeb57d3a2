//! Rows through the stage, with a judge that says what a test makes it say.

use super::*;
use crate::check::{Bounds, Check, Text, Tolerance, Which};
use crate::data::{Grade, Judged, Quote, RowFailure, Scenario, Votes};
use crate::engine::{Finish, Reply, Request, Role, Usage, Weighed};
use crate::ids::{CriterionId, ModelName, StageId};
use crate::spec::{ModelRef, PassRule, Question, Scale};
use crate::stage::row::tests::{asks, done, failed, replied, scenario};
use crate::stage::row::{Asked, Flaw, Row, write};

use VerdictKind::{Fail, NotApplicable, Pass, Ungraded};

pub(super) fn criterion(id: &str, ask: Ask) -> Criterion {
    Criterion { id: CriterionId::new(id).unwrap(), weight: 1.0, critical: false, when: None, ask }
}

pub(super) fn question(id: &str, text: &str) -> Criterion {
    let question = Question {
        text: text.to_owned(),
        allow_not_applicable: false,
        pass_examples: Vec::new(),
        fail_examples: Vec::new(),
    };
    criterion(id, Ask::Question(question))
}

/// A question, a check, a conditional question, another question.
pub(super) fn spec() -> Judge {
    let crisis = Criterion {
        when: Some(Condition::new("'crisis' in scenario.tags").unwrap()),
        critical: true,
        ..question("refers", "Does it name a helpline?")
    };
    let criteria = vec![
        question("kind", "Is it kind?"),
        criterion("short", Ask::Check(Check::Words(Bounds { min: None, max: Some(4) }))),
        crisis,
        question("step", "Does it offer a step?"),
    ];
    Judge {
        answers: StageId::new("answers").unwrap(),
        rubric: Rubric {
            name: "r".to_owned(),
            pass: PassRule { score: 0.6, min_applicable: 0.5, at_least: Vec::new() },
            criteria,
        },
        models: vec![ModelRef::Declared(ModelName::new("j").unwrap())],
        mode: JudgeMode::Json,
        max_tokens: 256,
        temperature: 0.0,
        top_p: 1.0,
        seed: 7,
        repeat: 1,
        context: None,
    }
}

pub(super) fn line(reply: Option<&str>, tags: &[&str]) -> String {
    let failure = RowFailure { kind: "rejected".to_owned(), message: "too rude".to_owned() };
    write(&Answer {
        scenario: scenario("hi", tags),
        repetition: 0,
        reply: reply.map(str::to_owned),
        reasoning: None,
        finish: reply.map(|_| Finish::Stop),
        tokens: reply.map(|_| Usage::default().into()),
        latency_ms: None,
        failure: reply.is_none().then_some(failure),
    })
}

pub(super) fn start(spec: &Judge, line: &str) -> Step {
    JudgeStage::new(spec).unwrap().start(line).unwrap()
}

pub(super) fn says(verdict: &str, evidence: &str) -> Asked {
    replied(&format!(r#"{{"evidence": "{evidence}", "reason": "Because.", "verdict": "{verdict}"}}"#))
}

pub(super) fn judged(row: &Row) -> Judged {
    read(&row.lines[0], "a judged answer").unwrap()
}

pub(super) fn kinds(row: &Row) -> Vec<VerdictKind> {
    judged(row).verdicts.iter().map(|verdict| verdict.verdict).collect()
}

#[test]
fn one_round_asks_all_questions_that_apply() {
    let (requests, rest) = asks(start(&spec(), &line(Some("You are not alone."), &[])));
    let asked: Vec<bool> = ["Is it kind?", "Does it name a helpline?", "Does it offer a step?"]
        .iter()
        .map(|text| requests.iter().any(|request| request.messages[1].content.contains(text)))
        .collect();
    assert_eq!((requests.len(), asked), (2, vec![true, false, true]));
    assert_eq!((requests[0].sampling, requests[0].max_tokens, requests[0].repetition), (Sampling::Greedy, 256, 0));
    assert!(requests[0].form.schema().is_some());

    let row = done(rest.resume(vec![says("pass", "not alone"), says("fail", "")]));
    let found = judged(&row);
    let shown: Vec<_> =
        found.verdicts.iter().map(|v| (v.criterion.as_str(), v.verdict, &*v.evidence, &*v.reason)).collect();
    assert_eq!(
        shown,
        [
            ("kind", Pass, "not alone", "Because."),
            ("short", Pass, "", "4 words, at most 4"),
            ("refers", NotApplicable, "", "only asked when `'crisis' in scenario.tags`"),
            ("step", Fail, "", "Because."),
        ]
    );
    assert!(found.verdicts[2].critical && !found.verdicts[0].critical);
    assert_eq!((found.grade, found.score, row.flaw), (Grade::Pass, Some(2.0 / 3.0), None));
    assert_eq!((found.reply.as_deref(), found.scenario), (Some("You are not alone."), scenario("hi", &[])));
}

#[test]
fn a_recipe_gives_the_stage_back() {
    let now = Judge { max_tokens: 1, rubric: Rubric { criteria: Vec::new(), ..spec().rubric }, ..spec() };
    for then in [spec(), Judge { temperature: 0.5, seed: 3, repeat: 3, ..spec() }, weighing(0.25)] {
        let again = with_fields(&now, &fields(&then)).unwrap();
        assert_eq!(fields(&again), fields(&then));
        let line = line(Some("You are not alone."), &["crisis"]);
        assert_eq!(asks(start(&again, &line)).0, asks(start(&then, &line)).0);
    }
    assert!(with_fields(&now, &json!({ "rubric": 3 })).is_none());
}

#[test]
fn a_row_that_code_decides_asks_nothing() {
    let mut spec = spec();
    spec.rubric.criteria.retain(|criterion| criterion.id.as_str() == "short");
    let row = done(start(&spec, &line(Some(""), &[])));
    assert_eq!((kinds(&row), judged(&row).grade), (vec![Pass], Grade::Pass), "an empty reply is a reply");
    let row = done(start(&spec, &line(Some("one two three four five"), &[])));
    assert_eq!(judged(&row).verdicts[0].reason, "5 words, at most 4 allowed");
    assert_eq!(judged(&row).grade, Grade::Fail);
}

#[test]
fn no_reply_leaves_the_grade_open() {
    let row = done(start(&spec(), &line(None, &[])));
    assert_eq!(kinds(&row), [Ungraded, Ungraded, NotApplicable, Ungraded]);
    let found = judged(&row);
    assert_eq!(found.verdicts[1].reason, "there is no reply: too rude (rejected)");
    assert_eq!((found.grade, found.score, row.flaw), (Grade::Ungraded, None, Some(Flaw::Ungraded)));
    assert_eq!(found.failure.unwrap().kind, "rejected");
}

#[test]
fn what_cannot_be_read_is_asked_once_more() {
    let step = || asks(start(&spec(), &line(Some("A reply."), &["crisis"])));
    let (first, rest) = step();
    assert_eq!(first.len(), 3);
    let (second, rest) = asks(rest.resume(vec![says("pass", ""), replied("Sure!"), says("maybe", "")]));
    assert_eq!(second.len(), 2);
    for (again, before) in second.iter().zip(&first[1..]) {
        assert_eq!(again.messages[..2], before.messages[..]);
        assert_eq!(again.messages[2].role, Role::Assistant);
        assert_eq!(*again, Request { messages: again.messages.clone(), ..before.clone() });
    }
    assert!(second[0].messages[3].content.contains("there is no JSON object in it"));
    assert!(second[1].messages[3].content.contains("its `verdict` is `maybe`, not `pass` or `fail`"));

    let row = done(rest.resume(vec![says("pass", ""), replied("{}")]));
    assert_eq!(kinds(&row), [Pass, Pass, Pass, Ungraded]);
    let reason = &judged(&row).verdicts[3].reason;
    assert!(reason.starts_with("the judge's answer could not be read, twice: its JSON object"), "{reason}");
    // Three of four passed without it, and it is not critical.
    assert_eq!((judged(&row).grade, row.flaw), (Grade::Pass, None));
}

#[test]
fn not_applicable_is_an_answer_only_where_the_question_allows_it() {
    let mut spec = spec();
    spec.rubric.criteria.retain(|criterion| criterion.id.as_str() == "kind");
    let ask = |allow: bool| {
        let mut spec = spec.clone();
        if let Ask::Question(question) = &mut spec.rubric.criteria[0].ask {
            question.allow_not_applicable = allow;
        }
        let (requests, rest) = asks(start(&spec, &line(Some("A reply."), &[])));
        let schema = requests[0].form.schema().unwrap().json();
        let verdicts = schema["properties"]["verdict"]["enum"].as_array().unwrap().len();
        (verdicts, rest.resume(vec![says("not_applicable", "")]))
    };
    let (verdicts, step) = ask(true);
    let row = done(step);
    assert_eq!((verdicts, kinds(&row), judged(&row).grade), (3, vec![NotApplicable], Grade::Invalid));
    assert_eq!(row.flaw, None);
    let (verdicts, step) = ask(false);
    assert_eq!((verdicts, asks(step).0.len()), (2, 1));
}

#[test]
fn a_failed_call_is_no_verdict() {
    let start = || asks(start(&spec(), &line(Some("A reply."), &["crisis"]))).1;
    let row = done(start().resume(vec![says("pass", ""), failed("transient"), says("pass", "")]));
    assert_eq!(kinds(&row), [Pass, Pass, Ungraded, Pass]);
    assert_eq!(judged(&row).verdicts[2].reason, "the judge did not answer: it did not work (transient)");
    assert_eq!((judged(&row).grade, row.flaw), (Grade::Ungraded, Some(Flaw::Ungraded)), "a critical one is missing");

    let (_, again) = asks(start().resume(vec![says("pass", ""), replied(""), failed("rejected")]));
    let row = done(again.resume(vec![failed("context_overflow")]));
    assert_eq!(kinds(&row), [Pass, Pass, Ungraded, Ungraded]);
}

#[test]
fn quotes_that_are_not_there_are_dropped() {
    let (_, rest) = asks(start(&spec(), &line(Some("Take a walk."), &[])));
    let row = done(rest.resume(vec![says("fail", "call a doctor"), says("pass", "take a WALK")]));
    let found = judged(&row).verdicts;
    assert_eq!((found[0].verdict, found[0].evidence.as_str()), (Fail, ""));
    assert_eq!(found[0].reason, "Because. (quoted words are not in the reply)");
    let quotes: Vec<Quote> = found.iter().filter_map(|verdict| verdict.quote).collect();
    assert_eq!(quotes, [Quote::Missing, Quote::Found]);
    assert_eq!((found[3].evidence.as_str(), found[3].reason.as_str()), ("take a WALK", "Because."));
}

#[test]
fn a_condition_that_breaks_leaves_the_verdict_open() {
    let mut spec = spec();
    spec.rubric.criteria[2].when = Some(Condition::new("scenario.opening == 'hi' and scenario.tags + 1 == 2").unwrap());
    let (_, rest) = asks(start(&spec, &line(Some("A reply."), &[])));
    let row = done(rest.resume(vec![says("pass", ""), says("pass", "")]));
    assert_eq!(kinds(&row), [Pass, Pass, Ungraded, Pass]);
    assert!(
        judged(&row).verdicts[2]
            .reason
            .starts_with("whether `scenario.opening == 'hi' and scenario.tags + 1 == 2` holds cannot be said: ")
    );
}

fn opinions(repeat: u32, said: &[Asked]) -> Judged {
    let mut spec = Judge { repeat, temperature: 0.7, ..spec() };
    spec.rubric.criteria.retain(|criterion| criterion.id.as_str() == "kind");
    if let Ask::Question(question) = &mut spec.rubric.criteria[0].ask {
        question.allow_not_applicable = true;
    }
    let (requests, rest) = asks(start(&spec, &line(Some("A reply."), &[])));
    let asked: Vec<u32> = requests.iter().map(|request| request.repetition).collect();
    assert_eq!(asked, (0..repeat).collect::<Vec<_>>());
    let seeds: Vec<Sampling> = requests.iter().map(|request| request.sampling).collect();
    assert_eq!(seeds, (0..repeat).map(|r| Sampling::of(0.7, 1.0, 7).repeated(r)).collect::<Vec<_>>());
    judged(&done(rest.resume(said.to_vec())))
}

#[test]
fn the_majority_of_all_opinions_decides() {
    let check = |said: &[&str], expected: VerdictKind, votes: [u32; 4]| {
        let said: Vec<Asked> =
            said.iter().map(|verdict| if *verdict == "?" { failed("transient") } else { says(verdict, "") }).collect();
        let found = opinions(u32::try_from(said.len()).unwrap(), &said).verdicts.remove(0);
        let [pass, fail, not_applicable, ungraded] = votes;
        assert_eq!(found.verdict, expected, "{found:?}");
        assert_eq!(found.votes, Some(Votes { pass, fail, not_applicable, ungraded }));
    };
    check(&["pass", "fail", "pass"], Pass, [2, 1, 0, 0]);
    check(&["fail", "pass", "fail"], Fail, [1, 2, 0, 0]);
    check(&["not_applicable", "not_applicable"], NotApplicable, [0, 0, 2, 0]);
    check(&["pass", "fail"], Ungraded, [1, 1, 0, 0]);
    check(&["pass", "fail", "not_applicable"], Ungraded, [1, 1, 1, 0]);
    // Half of all is not enough, though it is all that could be read.
    check(&["pass", "?"], Ungraded, [1, 0, 0, 1]);
    check(&["pass", "?", "?"], Ungraded, [1, 0, 0, 2]);
    check(&["?", "pass", "pass"], Pass, [2, 0, 0, 1]);
    check(&["?", "?"], Ungraded, [0, 0, 0, 2]);
}

#[test]
fn a_majority_rests_on_its_first_opinion() {
    let verdict =
        opinions(3, &[says("fail", "Nothing"), says("pass", "A reply"), says("pass", "reply")]).verdicts.remove(0);
    assert_eq!((verdict.evidence.as_str(), verdict.quote), ("A reply", Some(Quote::Found)));
    let open = opinions(2, &[says("pass", ""), failed("transient")]).verdicts.remove(0);
    assert_eq!(
        open.reason,
        "no verdict has a majority of 2 opinions: 1 pass, 0 fail, 0 not applicable, 1 ungraded \
         (the judge did not answer: it did not work (transient))"
    );
    let alone = opinions(1, &[says("pass", "")]);
    assert!(alone.verdicts[0].votes.is_none() && !write(&alone).contains("votes"));
}

#[test]
fn each_opinion_is_asked_once_more_by_itself() {
    let mut spec = Judge { repeat: 3, temperature: 0.7, ..spec() };
    spec.rubric.criteria.retain(|criterion| criterion.id.as_str() == "kind");
    let (first, rest) = asks(start(&spec, &line(Some("A reply."), &[])));
    let (again, rest) = asks(rest.resume(vec![says("pass", ""), replied("?"), says("fail", "")]));
    assert_eq!(again.len(), 1);
    assert_eq!(again[0], Request { messages: again[0].messages.clone(), ..first[1].clone() });
    assert_eq!(kinds(&done(rest.resume(vec![says("pass", "")]))), [Pass]);
}

#[test]
fn a_repeated_answer_keeps_its_number() {
    let answer = Answer { repetition: 4, ..read(&line(Some("A reply."), &[]), "an answer").unwrap() };
    let (_, rest) = asks(start(&spec(), &write(&answer)));
    assert_eq!(judged(&done(rest.resume(vec![says("pass", ""), says("pass", "")]))).repetition, 4);
}

fn weighing(max_outside: f64) -> Judge {
    Judge { mode: JudgeMode::Logprob { max_outside }, max_tokens: 1, ..spec() }
}

fn weighs(probabilities: &[f64], tokens: &[&[&str]]) -> Asked {
    let tokens = tokens.iter().map(|tokens| tokens.iter().map(ToString::to_string).collect()).collect();
    let weighed = Some(Weighed { probabilities: probabilities.to_vec(), tokens });
    Asked::Replied(Reply { weighed, ..Reply::new("", Finish::Stop, Usage::default(), 3) })
}

#[test]
fn a_judge_that_weighs_is_asked_for_one_word() {
    let line = line(Some("You are not alone."), &[]);
    let (requests, rest) = asks(start(&weighing(0.5), &line));
    let (written, _) = asks(start(&spec(), &line));
    assert_eq!(requests.len(), written.len());
    for (request, written) in requests.iter().zip(&written) {
        assert_eq!((request.max_tokens, request.sampling, request.repetition), (1, Sampling::Greedy, 0));
        assert_eq!(request.form.words().unwrap().all(), ["pass", "fail"]);
        let (evidence, _) = written.messages[1].content.split_once("Question:").unwrap();
        assert!(request.messages[1].content.starts_with(evidence));
    }
    let row = done(rest.resume(vec![
        weighs(&[0.75, 0.125], &[&["Pass", " pass"], &["fail"]]),
        weighs(&[0.125, 0.375], &[&["pass"], &["fail"]]),
    ]));
    let found = judged(&row);
    let shown: Vec<_> = found.verdicts.iter().map(|v| (v.verdict, v.pass_probability, v.quote)).collect();
    assert_eq!(
        shown,
        [(Pass, Some(0.8571), None), (Pass, None, None), (NotApplicable, None, None), (Fail, Some(0.25), None)]
    );
    assert_eq!(found.verdicts[0].reason, "pass 0.7500, fail 0.1250, other words 0.1250");
    assert!(found.verdicts[0].evidence.is_empty());
    let tokens: Vec<_> =
        row.judging.tokens.iter().flat_map(|(word, tokens)| tokens.iter().map(move |t| (word, t))).collect();
    let expected = [("fail", "fail"), ("pass", " pass"), ("pass", "Pass"), ("pass", "pass")];
    assert!(tokens.iter().map(|(word, token)| (word.as_str(), token.as_str())).eq(expected), "{tokens:?}");
}

#[test]
fn a_written_verdict_has_no_probability() {
    let (_, rest) = asks(start(&spec(), &line(Some("A reply."), &[])));
    let row = done(rest.resume(vec![says("pass", ""), says("pass", "")]));
    assert!(!row.lines[0].contains("probability") && row.judging.is_empty(), "{row:?}");
}

/// Whatever is missing or wrong in what a judge weighed: it is asked once, and it is never a pass.
#[test]
fn what_is_not_weighed_is_no_pass() {
    let check = |answer: Asked, reason: &str| {
        let (_, rest) = asks(start(&weighing(0.5), &line(Some("A reply."), &["crisis"])));
        let row = done(rest.resume(vec![weighs(&[1.0, 0.0], &[&[], &[]]), answer, weighs(&[1.0, 0.0], &[&[], &[]])]));
        let verdict = judged(&row).verdicts.remove(2);
        assert_eq!((verdict.verdict, verdict.pass_probability), (Ungraded, None));
        assert!(verdict.reason.starts_with(reason), "{}", verdict.reason);
        assert_eq!(
            (judged(&row).grade, row.flaw),
            (Grade::Ungraded, Some(Flaw::Ungraded)),
            "a critical one is missing"
        );
    };
    let none: &[&[&str]] = &[&[], &[]];
    check(replied("pass"), "the judge did not say how likely each verdict is");
    check(replied(r#"{"evidence":"","reason":"","verdict":"pass"}"#), "the judge did not say how likely");
    check(weighs(&[f64::NAN, 0.1], none), "the judge's probabilities are none: [NaN, 0.1]");
    check(weighs(&[0.9], &[&[]]), "the judge's probabilities are none: [0.9]");
    check(weighs(&[], &[]), "the judge's probabilities are none: []");
    check(weighs(&[0.0, 0.0], none), "the judge would rather not answer with a verdict: pass 0.0000, fail 0.0000, ");
    check(weighs(&[0.4, 0.0], none), "the judge would rather not answer with a verdict: pass 0.4000, fail 0.0000, ");
    check(weighs(&[0.5, 0.5], none), "the judge leans towards no verdict: pass 0.5000, fail 0.5000, ");
    check(failed("rejected"), "the judge did not answer: it did not work (rejected)");
}

#[test]
fn a_limit_of_what_lies_outside_asks_nothing_again() {
    let line = line(Some("A reply."), &[]);
    let ask = |max_outside| asks(start(&weighing(max_outside), &line));
    assert_eq!(ask(0.1).0, ask(0.9).0);
    let verdict = |max_outside| {
        let said = || weighs(&[0.25, 0.0], &[&[], &[]]);
        kinds(&done(ask(max_outside).1.resume(vec![said(), said()])))[0]
    };
    assert_eq!((verdict(0.7), verdict(0.75), verdict(0.8)), (Ungraded, Pass, Pass));
}

#[test]
fn only_a_changed_criterion_is_asked_again() {
    let requests = |spec: &Judge| asks(start(spec, &line(Some("A reply."), &["crisis"]))).0;
    let before = requests(&spec());

    let mut reworded = spec();
    reworded.rubric.criteria[3] = question("step", "Does it end with a question?");
    let after = requests(&reworded);
    assert_eq!(after[..2], before[..2]);
    assert_ne!(after[2], before[2]);

    let mut reweighed = spec();
    reweighed.rubric.name = "other".to_owned();
    reweighed.rubric.pass.score = 0.9;
    reweighed.rubric.criteria.swap(0, 3);
    for criterion in &mut reweighed.rubric.criteria {
        (criterion.weight, criterion.critical) = (5.0, true);
    }
    reweighed.rubric.criteria.retain(|criterion| criterion.id.as_str() != "short");
    let mut after = requests(&reweighed);
    after.swap(0, 2);
    assert_eq!(after, before);
}

#[test]
fn each_own_field_is_in_the_recipe() {
    let base = || spec();
    let mut all = vec![fields(&base())];
    let mut changed = |change: &dyn Fn(&mut Judge)| {
        let mut spec = base();
        change(&mut spec);
        let fields = fields(&spec);
        assert!(!all.contains(&fields), "{fields}");
        all.push(fields);
    };
    changed(&|spec| spec.max_tokens = 1);
    changed(&|spec| spec.repeat = 3);
    changed(&|spec| spec.mode = JudgeMode::Logprob { max_outside: 0.5 });
    changed(&|spec| spec.mode = JudgeMode::Logprob { max_outside: 0.25 });
    changed(&|spec| spec.temperature = 0.5);
    changed(&|spec| (spec.temperature, spec.top_p) = (0.5, 0.5));
    changed(&|spec| (spec.temperature, spec.seed) = (0.5, 8));
    changed(&|spec| spec.context = Some(1));
    changed(&|spec| spec.rubric.pass.score = 0.5);
    changed(&|spec| spec.rubric.pass.min_applicable = 0.1);
    changed(&|spec| spec.rubric.criteria.swap(0, 1));
    changed(&|spec| spec.rubric.criteria[0].weight = 2.0);
    changed(&|spec| spec.rubric.criteria[0].critical = true);
    changed(&|spec| spec.rubric.criteria[2].when = None);
    changed(&|spec| spec.rubric.criteria[0] = question("kind", "Is it warm?"));
    changed(&|spec| spec.rubric.criteria[1].ask = Ask::Check(Check::Words(Bounds { min: None, max: Some(5) })));

    let mut same = base();
    (same.seed, same.top_p) = (8, 0.5);
    (same.models, same.answers) = (Vec::new(), StageId::new("other").unwrap());
    assert_eq!(fields(&same), fields(&base()));
}

#[test]
fn what_is_no_answer_is_refused() {
    let stage = JudgeStage::new(&spec()).unwrap();
    let error = stage.start(&write(&scenario("hi", &[]))).err().unwrap().to_string();
    assert!(error.starts_with("not an answer: unknown field `id`"), "{error}");
    let mut broken = spec();
    broken.rubric.criteria[1].ask = Ask::Check(Check::Regex("(".into()));
    assert!(JudgeStage::new(&broken).is_err());
}

#[test]
fn texts_of_checks_are_filled_in_for_each_row() {
    let mut spec = spec();
    let text = |template: &str| Text::Template { template: template.to_owned() };
    let equals = |template: &str| Check::Equals { texts: vec![text(template)], ignore_case: false, trim: true };
    let number =
        Check::Number { near: text("{{ scenario.tags[0] }}"), within: Tolerance::Absolute(0.0), which: Which::Any };
    spec.rubric.criteria = vec![
        criterion("opening", Ask::Check(equals("{{ scenario.opening }}"))),
        criterion("not", Ask::Check(Check::Not(Box::new(equals("{{ scenario.reference }}"))))),
        criterion("number", Ask::Check(number)),
        criterion("tokens", Ask::Check(Check::Tokens(Bounds { min: None, max: Some(3) }))),
    ];
    let verdicts = |line: &str| judged(&done(start(&spec, line))).verdicts;
    let found = verdicts(&line(Some("hi"), &["x"]));
    let kinds: Vec<VerdictKind> = found.iter().map(|verdict| verdict.verdict).collect();
    assert_eq!(kinds, [Pass, Ungraded, Ungraded, Pass]);
    assert_eq!((found[0].evidence.as_str(), found[0].reason.as_str()), ("hi", "is `hi`"));
    let open = "cannot be checked: `{{ scenario.reference }}` cannot be filled in: ";
    assert!(found[1].reason.starts_with(open), "negated or not: {}", found[1].reason);
    assert_eq!(found[2].reason, "cannot be checked: `x` is not a number");
    let answer: Answer = read(&line(Some("4"), &["4"]), "an answer").unwrap();
    let scenario = Scenario { reference: Some("5".to_owned()), ..answer.scenario.clone() };
    let found = verdicts(&write(&Answer { scenario, tokens: None, ..answer }));
    let kinds: Vec<VerdictKind> = found.iter().map(|verdict| verdict.verdict).collect();
    assert_eq!(kinds, [Fail, Pass, Pass, Ungraded]);
    assert_eq!(found[1].reason, "is `4`, not `5`");
    assert_eq!(found[3].reason, "cannot be checked: how many tokens it took is not known");
}

pub(super) fn scale(partial: bool) -> Ask {
    let anchors = [(1, "cold"), (5, "warm")].into_iter().map(|(level, anchor)| (level, anchor.to_owned())).collect();
    Ask::Scale(Scale { text: "How warm is it?".to_owned(), allow_not_applicable: false, anchors, pass_at: 4, partial })
}

fn rates(level: &str) -> Asked {
    replied(&format!(r#"{{"evidence": "Rest.", "reason": "Because.", "level": "{level}"}}"#))
}

#[test]
fn a_level_passes_from_its_mark_and_is_kept() {
    let mut spec = spec();
    spec.rubric.criteria = vec![criterion("warm", scale(true)), question("kind", "Is it kind?")];
    let (requests, rest) = asks(start(&spec, &line(Some("Rest."), &[])));
    assert_eq!(requests.len(), 2);
    assert!(requests[0].messages[1].content.contains("Question: How warm is it?"));
    // What cannot be read is asked for once more, and it alone.
    let (again, rest) = asks(rest.resume(vec![rates("6"), says("pass", "")]));
    assert_eq!(again.len(), 1);
    assert!(again[0].messages[3].content.contains("its `level` is `6`, not one of the levels"));
    let row = judged(&done(rest.resume(vec![rates("4")])));
    let warm = &row.verdicts[0];
    assert_eq!((warm.verdict, warm.level, warm.evidence.as_str()), (Pass, Some(4.0), "Rest."));
    assert_eq!(row.verdicts[1].level, None);
    assert_eq!((row.score, row.grade), (Some(0.875), Grade::Pass), "three quarters of the first, all of the second");
    let (_, rest) = asks(start(&spec, &line(Some("Rest."), &[])));
    let row = judged(&done(rest.resume(vec![rates("1"), says("pass", "")])));
    assert_eq!((row.verdicts[0].verdict, row.score, row.grade), (Fail, Some(0.5), Grade::Fail));
    // A rubric without a scale is keyed and its rows are written as before there were any.
    assert!(fields(&self::spec()).to_string().find("at_least").is_none());
    assert!(!write(&row.verdicts[1]).contains("level"));
}

#[test]
fn several_levels_have_a_mean() {
    let mut spec = Judge { repeat: 3, temperature: 1.0, ..spec() };
    spec.rubric.criteria = vec![criterion("warm", scale(false))];
    let (_, rest) = asks(start(&spec, &line(Some("Rest."), &[])));
    let row = judged(&done(rest.resume(vec![rates("5"), rates("3"), rates("5")])));
    let warm = &row.verdicts[0];
    assert_eq!((warm.verdict, warm.level, row.score), (Pass, Some(4.3333), Some(1.0)));
    assert_eq!(warm.votes, Some(Votes { pass: 2, fail: 1, ..Votes::default() }));
}

#[test]
fn weighed_levels_are_kept_with_their_mean() {
    let mut spec = Judge { mode: JudgeMode::Logprob { max_outside: 0.5 }, max_tokens: 1, ..spec() };
    spec.rubric.criteria = vec![criterion("warm", scale(false))];
    let weigh = |probabilities: &[f64]| {
        let (requests, rest) = asks(start(&spec, &line(Some("Rest."), &[])));
        assert_eq!(requests[0].form.words().unwrap().all(), ["1", "2", "3", "4", "5"]);
        let weighed = Weighed { probabilities: probabilities.to_vec(), tokens: vec![Vec::new(); 5] };
        let reply = Reply { weighed: Some(weighed), ..Reply::new("", Finish::Stop, Usage::default(), 3) };
        judged(&done(rest.resume(vec![Asked::Replied(reply)]))).verdicts.remove(0)
    };
    let warm = weigh(&[0.0, 0.0, 0.2, 0.3, 0.5]);
    assert_eq!((warm.verdict, warm.level, warm.pass_probability), (Pass, Some(4.3), Some(0.8)));
    let unsure = weigh(&[0.1, 0.0, 0.1, 0.1, 0.1]);
    assert_eq!((unsure.verdict, unsure.level), (Ungraded, None));
}
