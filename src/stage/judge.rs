//! `judge`: decides each criterion of a rubric on each answer, by code or by asking a judge, and grades the answer.
//!
//! One round of requests asks all questions of a row; a second asks again what could not be read.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Value, json};

use super::row::{Asked, Flaw, Resume, Row, RowError, RowStage, Step, read, template_context, write};
use crate::check::{CheckError, Compiled};
use crate::data::{Answer, Grade, Judged, Quote, Verdict, VerdictKind};
use crate::engine::{Reply, Request, Sampling};
use crate::judge::{ParseError, Schemas, ask_again, grade, is_quoted, messages, read_opinion};
use crate::spec::{Ask, Condition, Criterion, Judge, Question, Rubric};

/// Raised when the same fields and inputs would give other rows: a change of the judge's prompt, of how its answers are
/// read, of a check or of the pass rule.
pub const VERSION: u32 = 1;

/// The stage's own fields, as they go into its recipe; what it reads and who judges are added by the caller.
#[must_use]
pub fn fields(spec: &Judge) -> Value {
    let Judge { answers: _, model: _, rubric, max_tokens, context } = spec;
    json!({ "rubric": rubric, "max_tokens": max_tokens, "context": context })
}

/// The stage with the fields of an earlier recipe in place of its own; none where another version wrote that recipe.
#[must_use]
pub fn with_fields(now: &Judge, fields: &Value) -> Option<Judge> {
    #[derive(Deserialize)]
    struct Fields {
        rubric: Rubric,
        max_tokens: u32,
    }
    let Fields { rubric, max_tokens } = Fields::deserialize(fields).ok()?;
    Some(Judge { rubric, max_tokens, ..now.clone() })
}

/// Answers → verdicts.
#[derive(Debug)]
pub struct JudgeStage {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    rubric: Rubric,
    /// One a criterion; none where a judge is asked.
    checks: Vec<Option<Compiled>>,
    schemas: Schemas,
    max_tokens: u32,
}

/// What is known about one criterion of a row.
enum Slot {
    Found(Finding),
    /// A judge must say; this is what it is asked.
    Asked(Request),
}

struct Finding {
    verdict: VerdictKind,
    evidence: String,
    reason: String,
    quote: Option<Quote>,
}

impl JudgeStage {
    /// Takes what the stage needs of its checked form, and compiles its checks once for all rows.
    ///
    /// # Errors
    /// A check does not compile.
    pub fn new(spec: &Judge) -> Result<Self, CheckError> {
        let compile = |criterion: &Criterion| match &criterion.ask {
            Ask::Question(_) => Ok(None),
            Ask::Check(check) => check.compile().map(Some),
        };
        let checks = spec.rubric.criteria.iter().map(compile).collect::<Result<_, _>>()?;
        let (rubric, schemas) = (spec.rubric.clone(), Schemas::new());
        Ok(Self { inner: Arc::new(Inner { rubric, checks, schemas, max_tokens: spec.max_tokens }) })
    }
}

impl RowStage for JudgeStage {
    fn start(&self, line: &str) -> Result<Step, RowError> {
        let answer: Answer = read(line, "an answer")?;
        let context = template_context(&answer.scenario);
        let criteria = self.inner.rubric.criteria.iter().zip(&self.inner.checks);
        let slots = criteria.map(|(criterion, check)| self.inner.open(criterion, check.as_ref(), &answer, &context));
        let slots = slots.collect();
        Ok(Round { inner: Arc::clone(&self.inner), answer, slots, again: false }.step())
    }
}

impl Inner {
    fn open(&self, criterion: &Criterion, check: Option<&Compiled>, answer: &Answer, context: &Value) -> Slot {
        match criterion.when.as_ref().map(|when| (when, when.holds(context))) {
            None | Some((_, Ok(true))) => {}
            Some((when, Ok(false))) => {
                let reason = format!("only asked when `{}`", source(when));
                return Slot::Found(Finding::new(VerdictKind::NotApplicable, reason));
            }
            Some((when, Err(error))) => {
                let reason = format!("whether `{}` holds cannot be said: {error}", source(when));
                return Slot::Found(Finding::new(VerdictKind::Ungraded, reason));
            }
        }
        let Some(reply) = &answer.reply else {
            let why = answer.failure.as_ref().map(|failure| format!(": {} ({})", failure.message, failure.kind));
            let reason = format!("there is no reply{}", why.unwrap_or_default());
            return Slot::Found(Finding::new(VerdictKind::Ungraded, reason));
        };
        match (&criterion.ask, check) {
            (Ask::Check(_), check) => {
                let found = check.expect("each check was compiled when the stage was made").evaluate(reply);
                let verdict = if found.holds { VerdictKind::Pass } else { VerdictKind::Fail };
                Slot::Found(Finding { verdict, evidence: found.evidence, reason: found.reason, quote: None })
            }
            (Ask::Question(question), _) => Slot::Asked(Request {
                messages: messages(&answer.scenario.opening, reply, question),
                sampling: Sampling::Greedy,
                max_tokens: self.max_tokens,
                schema: Some(self.schemas.of(question.allow_not_applicable)),
                repetition: 0,
            }),
        }
    }
}

/// The condition's text, which is also its serialized form.
fn source(condition: &Condition) -> String {
    match serde_json::to_value(condition) {
        Ok(Value::String(source)) => source,
        other => unreachable!("a condition is serialized as text: {other:?}"),
    }
}

impl Finding {
    fn new(verdict: VerdictKind, reason: String) -> Self {
        Self { verdict, evidence: String::new(), reason, quote: None }
    }
}

/// A row with questions that are asked for the first time, or `again`.
struct Round {
    inner: Arc<Inner>,
    answer: Answer,
    slots: Vec<Slot>,
    again: bool,
}

impl Round {
    fn step(self) -> Step {
        let open = |slot: &Slot| match slot {
            Slot::Asked(request) => Some(request.clone()),
            Slot::Found(_) => None,
        };
        let requests: Vec<Request> = self.slots.iter().filter_map(open).collect();
        if requests.is_empty() { Step::Done(self.finish()) } else { Step::Ask(requests, Box::new(self)) }
    }

    fn settle(&self, question: &Question, request: &Request, answer: Asked) -> Slot {
        let reply = match answer {
            Asked::Replied(reply) => reply,
            Asked::Failed(failure) => {
                let reason = format!("the judge did not answer: {} ({})", failure.message, failure.kind);
                return Slot::Found(Finding::new(VerdictKind::Ungraded, reason));
            }
        };
        let response = self.answer.reply.as_deref().unwrap_or_default();
        match read_finding(&reply, question, response) {
            Ok(finding) => Slot::Found(finding),
            Err(why) if self.again => {
                let reason = format!("the judge's answer could not be read, twice: {why}");
                Slot::Found(Finding::new(VerdictKind::Ungraded, reason))
            }
            Err(why) => {
                let messages = ask_again(&request.messages, &reply.text, &why);
                Slot::Asked(Request { messages, ..request.clone() })
            }
        }
    }

    fn finish(self) -> Row {
        let Self { inner, answer, slots, again: _ } = self;
        let Answer { scenario, reply, finish: _, tokens: _, failure } = answer;
        let verdict = |(criterion, slot): (&Criterion, Slot)| {
            let Slot::Found(Finding { verdict, evidence, reason, quote }) = slot else {
                unreachable!("a row with an open question is not finished")
            };
            Verdict { criterion: criterion.id.clone(), verdict, critical: criterion.critical, evidence, reason, quote }
        };
        let verdicts: Vec<Verdict> = inner.rubric.criteria.iter().zip(slots).map(verdict).collect();
        let kinds: Vec<VerdictKind> = verdicts.iter().map(|verdict| verdict.verdict).collect();
        let graded = grade(&inner.rubric, &kinds);
        let flaw = (graded.grade == Grade::Ungraded).then_some(Flaw::Ungraded);
        let judged = Judged { scenario, reply, failure, verdicts, score: graded.score, grade: graded.grade };
        Row { lines: vec![write(&judged)], flaw }
    }
}

impl Resume for Round {
    fn resume(mut self: Box<Self>, answers: Vec<Asked>) -> Step {
        let mut answers = answers.into_iter();
        let slots = std::mem::take(&mut self.slots);
        let criteria = Arc::clone(&self.inner);
        let settled =
            criteria.rubric.criteria.iter().zip(slots).map(|(criterion, slot)| match (&criterion.ask, slot) {
                (Ask::Question(question), Slot::Asked(request)) => {
                    let answer = answers.next().expect("each request has one answer");
                    self.settle(question, &request, answer)
                }
                (_, slot) => slot,
            });
        let slots = settled.collect();
        assert!(answers.next().is_none(), "each answer has one request");
        Self { slots, again: true, ..*self }.step()
    }
}

/// Reads the judge's answer. Words it quotes that are not there are taken away, but its verdict is kept: judges now and
/// then see right and copy wrong. One that does so often is not trusted with a decision: see `decide`.
fn read_finding(reply: &Reply, question: &Question, response: &str) -> Result<Finding, ParseError> {
    let opinion = read_opinion(&reply.text, reply.finish, question.allow_not_applicable)?;
    let (mut evidence, mut reason) = (opinion.evidence, opinion.reason);
    let quote =
        (!evidence.is_empty()).then(|| if is_quoted(&evidence, response) { Quote::Found } else { Quote::Missing });
    if quote == Some(Quote::Missing) {
        evidence.clear();
        let note = "(quoted words are not in the reply)";
        reason = if reason.is_empty() { note.to_owned() } else { format!("{reason} {note}") };
    }
    Ok(Finding { verdict: opinion.verdict, evidence, reason, quote })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Check;
    use crate::data::RowFailure;
    use crate::engine::{Finish, Role, Usage};
    use crate::ids::{CriterionId, ModelName, StageId};
    use crate::spec::{ModelRef, PassRule};
    use crate::stage::row::tests::{asks, done, failed, replied, scenario};

    use VerdictKind::{Fail, NotApplicable, Pass, Ungraded};

    fn criterion(id: &str, ask: Ask) -> Criterion {
        Criterion { id: CriterionId::new(id).unwrap(), weight: 1.0, critical: false, when: None, ask }
    }

    fn question(id: &str, text: &str) -> Criterion {
        let question = Question {
            text: text.to_owned(),
            allow_not_applicable: false,
            pass_examples: Vec::new(),
            fail_examples: Vec::new(),
        };
        criterion(id, Ask::Question(question))
    }

    /// A question, a check, a conditional question, another question.
    fn spec() -> Judge {
        let crisis = Criterion {
            when: Some(Condition::new("'crisis' in scenario.tags").unwrap()),
            critical: true,
            ..question("refers", "Does it name a helpline?")
        };
        let criteria = vec![
            question("kind", "Is it kind?"),
            criterion("short", Ask::Check(Check::Words { min: None, max: Some(4) })),
            crisis,
            question("step", "Does it offer a step?"),
        ];
        Judge {
            answers: StageId::new("answers").unwrap(),
            rubric: Rubric { name: "r".to_owned(), pass: PassRule { score: 0.6, min_applicable: 0.5 }, criteria },
            model: Some(ModelRef::Declared(ModelName::new("j").unwrap())),
            max_tokens: 256,
            context: None,
        }
    }

    fn line(reply: Option<&str>, tags: &[&str]) -> String {
        let failure = RowFailure { kind: "rejected".to_owned(), message: "too rude".to_owned() };
        write(&Answer {
            scenario: scenario("hi", tags),
            reply: reply.map(str::to_owned),
            finish: reply.map(|_| Finish::Stop),
            tokens: reply.map(|_| Usage::default().into()),
            failure: reply.is_none().then_some(failure),
        })
    }

    fn start(spec: &Judge, line: &str) -> Step {
        JudgeStage::new(spec).unwrap().start(line).unwrap()
    }

    fn says(verdict: &str, evidence: &str) -> Asked {
        replied(&format!(r#"{{"evidence": "{evidence}", "reason": "Because.", "verdict": "{verdict}"}}"#))
    }

    fn judged(row: &Row) -> Judged {
        read(&row.lines[0], "a judged answer").unwrap()
    }

    fn kinds(row: &Row) -> Vec<VerdictKind> {
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
        assert!(requests[0].schema.is_some());

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
        let again = with_fields(&now, &fields(&spec())).unwrap();
        assert_eq!(fields(&again), fields(&spec()));
        let line = line(Some("You are not alone."), &["crisis"]);
        assert_eq!(asks(start(&again, &line)).0, asks(start(&spec(), &line)).0);
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
            let schema = &requests[0].schema.as_ref().unwrap().json;
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
        assert_eq!(
            (judged(&row).grade, row.flaw),
            (Grade::Ungraded, Some(Flaw::Ungraded)),
            "a critical one is missing"
        );

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
        spec.rubric.criteria[2].when =
            Some(Condition::new("scenario.opening == 'hi' and scenario.tags + 1 == 2").unwrap());
        let (_, rest) = asks(start(&spec, &line(Some("A reply."), &[])));
        let row = done(rest.resume(vec![says("pass", ""), says("pass", "")]));
        assert_eq!(kinds(&row), [Pass, Pass, Ungraded, Pass]);
        assert!(
            judged(&row).verdicts[2]
                .reason
                .starts_with("whether `scenario.opening == 'hi' and scenario.tags + 1 == 2` holds cannot be said: ")
        );
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
        changed(&|spec| spec.context = Some(1));
        changed(&|spec| spec.rubric.pass.score = 0.5);
        changed(&|spec| spec.rubric.pass.min_applicable = 0.1);
        changed(&|spec| spec.rubric.criteria.swap(0, 1));
        changed(&|spec| spec.rubric.criteria[0].weight = 2.0);
        changed(&|spec| spec.rubric.criteria[0].critical = true);
        changed(&|spec| spec.rubric.criteria[2].when = None);
        changed(&|spec| spec.rubric.criteria[0] = question("kind", "Is it warm?"));
        changed(&|spec| spec.rubric.criteria[1].ask = Ask::Check(Check::Words { min: None, max: Some(5) }));

        let mut same = base();
        (same.model, same.answers) = (None, StageId::new("other").unwrap());
        assert_eq!(fields(&same), fields(&base()));
    }

    #[test]
    fn what_is_no_answer_is_refused() {
        let stage = JudgeStage::new(&spec()).unwrap();
        let error = stage.start(&write(&scenario("hi", &[]))).err().unwrap().to_string();
        assert!(error.starts_with("not an answer: unknown field `id`"), "{error}");
        let mut broken = spec();
        broken.rubric.criteria[1].ask = Ask::Check(Check::Regex("(".to_owned()));
        assert!(JudgeStage::new(&broken).is_err());
    }
}
