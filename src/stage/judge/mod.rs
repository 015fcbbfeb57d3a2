//! `judge`: decides each criterion of a rubric on each answer, by code or by asking a judge, and grades the answer.
//!
//! One round of requests asks all questions of a row; a second asks again what could not be read. A judge that weighs words
//! is asked once: its probabilities cannot be misread.

mod code;
mod program;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use code::CodeCheck;
use program::Program;

use super::row::{Asked, Flaw, Resume, Row, RowError, RowStage, Step, read, template_context, write};
use crate::check::CheckError;
use crate::data::{Answer, Grade, Judged, Judging, Quote, Verdict, VerdictKind, Votes};
use crate::engine::{Question, Reply, ReplyForm, Request, Sampling};
use crate::judge::{
    Evidence, Leaning, ParseError, Rating, RatingError, Scaled, Schemas, Standing, ask_again, grade, is_quoted,
    question_text, read_opinion, read_weighed, verdict_words,
};
use crate::spec::{Ask, Condition, Criterion, Judge, JudgeMode, Rubric};

/// Raised when the same fields and inputs would give other rows: a change of the judge's prompt, of how its answers are
/// read, of a check or of the pass rule.
pub const VERSION: u32 = 1;

/// The stage's own fields, as they go into its recipe; what it reads and who judges are added by the caller.
#[must_use]
pub fn fields(spec: &Judge) -> Value {
    let Judge { answers: _, model: _, rubric, mode, max_tokens, temperature, top_p, seed, repeat, context } = spec;
    let mut fields = json!({ "rubric": rubric, "max_tokens": max_tokens, "context": context });
    // A stage that judges in JSON, greedily and once has the key that it had before there was anything else.
    match mode {
        JudgeMode::Json => {}
        JudgeMode::Logprob { max_outside } => fields["mode"] = json!({ "logprob": { "max_outside": max_outside } }),
    }
    match Sampling::of(*temperature, *top_p, *seed) {
        Sampling::Greedy => {}
        sampling @ Sampling::Seeded { .. } => fields["sampling"] = sampling.recipe(),
    }
    if *repeat > 1 {
        fields["repeat"] = json!(repeat);
    }
    fields
}

/// The stage with the fields of an earlier recipe in place of its own; none where another version wrote that recipe.
#[must_use]
pub fn with_fields(now: &Judge, fields: &Value) -> Option<Judge> {
    #[derive(Deserialize)]
    struct Fields {
        rubric: Rubric,
        max_tokens: u32,
        mode: Option<JudgeMode>,
        sampling: Option<Value>,
        repeat: Option<u32>,
    }
    let Fields { rubric, max_tokens, mode, sampling, repeat } = Fields::deserialize(fields).ok()?;
    let (temperature, top_p, seed) = match sampling.as_ref().map_or(Some(Sampling::Greedy), Sampling::read)? {
        Sampling::Greedy => (0.0, now.top_p, now.seed),
        Sampling::Seeded { temperature, top_p, seed } => (temperature, top_p, seed),
    };
    let (mode, repeat) = (mode.unwrap_or(JudgeMode::Json), repeat.unwrap_or(1));
    Some(Judge { rubric, mode, max_tokens, temperature, top_p, seed, repeat, ..now.clone() })
}

/// Answers → verdicts.
#[derive(Debug)]
pub struct JudgeStage {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    rubric: Rubric,
    /// One a criterion.
    ways: Vec<Way>,
    mode: JudgeMode,
    /// How many opinions each question gets.
    repeat: u32,
    max_tokens: u32,
    sampling: Sampling,
}

/// How a criterion is decided; all that is the same for each row.
#[derive(Debug)]
enum Way {
    Check(CodeCheck),
    Ask {
        text: String,
        form: ReplyForm,
        allow_not_applicable: bool,
    },
    /// By a program of the project.
    Run(Program),
    /// With a level of a scale.
    Rate {
        text: String,
        form: ReplyForm,
        scaled: Scaled,
    },
}

/// What is known about one criterion of a row.
enum Slot {
    Found(Finding),
    /// A judge must say, once or several times over.
    Asked(Vec<Opinion>),
}

/// How far the judge's opinion on one question has come.
enum Opinion {
    /// It is to be asked for.
    Open,
    /// What was said could not be read: it is asked for once more.
    Unread { said: String, why: ParseError },
    /// It is there, or will never be.
    Found(Finding),
}

struct Finding {
    verdict: VerdictKind,
    evidence: String,
    reason: String,
    quote: Option<Quote>,
    pass_probability: Option<f64>,
    level: Option<f64>,
}

impl Way {
    /// What is asked and what the answer must look like, where anybody is asked.
    fn asks(&self) -> Option<(&String, &ReplyForm)> {
        match self {
            Self::Check(_) | Self::Run(_) => None,
            Self::Ask { text, form, allow_not_applicable: _ } | Self::Rate { text, form, scaled: _ } => {
                Some((text, form))
            }
        }
    }
}

impl JudgeStage {
    /// Takes what the stage needs of its checked form, and compiles its checks once for all rows.
    ///
    /// # Errors
    /// A check does not compile.
    pub fn new(spec: &Judge) -> Result<Self, CheckError> {
        let schemas = Schemas::new();
        let way = |criterion: &Criterion| match &criterion.ask {
            Ask::Question(question) => Ok(Way::Ask {
                text: question_text(question, spec.mode),
                form: match spec.mode {
                    JudgeMode::Json => ReplyForm::Schema(schemas.of(question.allow_not_applicable)),
                    JudgeMode::Logprob { max_outside: _ } => {
                        ReplyForm::Words(verdict_words(question.allow_not_applicable))
                    }
                },
                allow_not_applicable: question.allow_not_applicable,
            }),
            Ask::Scale(scale) => {
                let scaled = Scaled::new(scale, spec.mode);
                Ok(Way::Rate { text: scaled.text(), form: scaled.form(), scaled })
            }
            Ask::Command { command, negated } => Ok(Way::Run(Program::new(criterion, command, *negated))),
            Ask::Check(check) => CodeCheck::new(check).map(Way::Check),
        };
        let ways = spec.rubric.criteria.iter().map(way).collect::<Result<_, _>>()?;
        let rubric = spec.rubric.clone();
        let sampling = Sampling::of(spec.temperature, spec.top_p, spec.seed);
        let (mode, repeat, max_tokens) = (spec.mode, spec.repeat, spec.max_tokens);
        Ok(Self { inner: Arc::new(Inner { rubric, ways, mode, repeat, max_tokens, sampling }) })
    }
}

impl RowStage for JudgeStage {
    fn start(&self, line: &str) -> Result<Step, RowError> {
        let answer: Answer = read(line, "an answer")?;
        let criteria = self.inner.rubric.criteria.iter().zip(&self.inner.ways);
        let open = |(criterion, way)| self.inner.open(criterion, way, &answer, &template_context(&answer.scenario));
        let slots = criteria.map(open).collect();
        Ok(Round { inner: Arc::clone(&self.inner), answer, slots, judging: Judging::default() }.step())
    }
}

impl Inner {
    /// Finds out all that can be found out without a judge.
    fn open(&self, criterion: &Criterion, way: &Way, answer: &Answer, context: &impl Serialize) -> Slot {
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
        match way {
            Way::Run(_) => Slot::Asked(vec![Opinion::Open]),
            Way::Ask { .. } | Way::Rate { .. } => Slot::Asked((0..self.repeat).map(|_| Opinion::Open).collect()),
            Way::Check(check) => Slot::Found(check.decide(reply, answer.tokens, context)),
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
        Self { verdict, evidence: String::new(), reason, quote: None, pass_probability: None, level: None }
    }
}

/// A row with questions that are asked for the first time, or once more.
struct Round {
    inner: Arc<Inner>,
    answer: Answer,
    /// One a criterion.
    slots: Vec<Slot>,
    /// What the judge weighed so far.
    judging: Judging,
}

impl Round {
    fn step(self) -> Step {
        let requests = self.requests();
        if requests.is_empty() { Step::Done(self.finish()) } else { Step::Ask(requests, Box::new(self)) }
    }

    /// What is to be asked: criterion by criterion, opinion by opinion.
    fn requests(&self) -> Vec<Question> {
        let mut shared = None;
        let mut requests = Vec::new();
        for (way, slot) in self.inner.ways.iter().zip(&self.slots) {
            if let (Way::Run(program), Slot::Asked(opinions)) = (way, slot) {
                let open = opinions.iter().filter(|opinion| matches!(opinion, Opinion::Open));
                let context = template_context(&self.answer.scenario);
                requests.extend(open.map(|_| Question::Run(program.request(&context, self.reply()))));
            }
            let (Some((text, form)), Slot::Asked(opinions)) = (way.asks(), slot) else { continue };
            for (repetition, opinion) in (0..).zip(opinions) {
                let unread = match opinion {
                    Opinion::Found(_) => continue,
                    Opinion::Open => None,
                    Opinion::Unread { said, why } => Some((said, why)),
                };
                let evidence = shared.get_or_insert_with(|| Evidence::new(&self.answer.scenario.opening, self.reply()));
                let mut messages = evidence.ask(text, self.inner.mode);
                if let Some((said, why)) = unread {
                    messages = ask_again(messages, said, why);
                }
                requests.push(Question::Complete(Request {
                    messages,
                    sampling: self.inner.sampling.repeated(repetition),
                    max_tokens: self.inner.max_tokens,
                    form: form.clone(),
                    repetition,
                }));
            }
        }
        requests
    }

    fn reply(&self) -> &str {
        self.answer.reply.as_deref().unwrap_or_default()
    }

    fn settle(&self, before: &Opinion, way: &Way, answer: Asked) -> Opinion {
        let reply = match answer.replied() {
            Ok(reply) => reply,
            Err(failure) => {
                let who = if matches!(way, Way::Run(_)) {
                    "the program came to no verdict"
                } else {
                    "the judge did not answer"
                };
                let reason = format!("{who}: {} ({})", failure.message, failure.kind);
                return Opinion::Found(Finding::new(VerdictKind::Ungraded, reason));
            }
        };
        let found = match way {
            Way::Rate { text: _, form: _, scaled } => match read_rating(scaled, &reply, self.reply()) {
                Ok(finding) => Ok(finding),
                Err(RatingError::Parse(why)) => Err(why),
                Err(RatingError::Weigh(why)) => Ok(Finding::new(VerdictKind::Ungraded, why.to_string())),
            },
            Way::Ask { text: _, form, allow_not_applicable } => self.read_answer(&reply, form, *allow_not_applicable),
            Way::Run(program) => Ok(program.read(&reply, self.reply())),
            Way::Check(_) => unreachable!("code is not asked"),
        };
        match found {
            Ok(finding) => Opinion::Found(finding),
            Err(why) if matches!(before, Opinion::Unread { .. }) => {
                let reason = format!("the judge's answer could not be read, twice: {why}");
                Opinion::Found(Finding::new(VerdictKind::Ungraded, reason))
            }
            Err(why) => Opinion::Unread { said: reply.text, why },
        }
    }

    fn read_answer(&self, reply: &Reply, form: &ReplyForm, allow_not_applicable: bool) -> Result<Finding, ParseError> {
        if let (JudgeMode::Logprob { max_outside }, Some(words)) = (self.inner.mode, form.words()) {
            return Ok(match read_weighed(reply, words, max_outside) {
                Ok(Leaning { verdict, pass_probability, reason }) => {
                    Finding { pass_probability: Some(pass_probability), ..Finding::new(verdict, reason) }
                }
                Err(why) => Finding::new(VerdictKind::Ungraded, why.to_string()),
            });
        }
        read_finding(reply, allow_not_applicable, self.reply())
    }

    fn finish(self) -> Row {
        let Self { inner, answer, slots, judging } = self;
        let Answer { scenario, repetition, reply, reasoning: _, finish: _, tokens: _, failure } = answer;
        let verdict = |(criterion, slot): (&Criterion, Slot)| {
            let (Finding { verdict, evidence, reason, quote, pass_probability, level }, votes) = match slot {
                Slot::Found(finding) => (finding, None),
                Slot::Asked(opinions) => agreed(opinions),
            };
            let (criterion, critical) = (criterion.id.clone(), criterion.critical);
            Verdict { criterion, verdict, critical, evidence, reason, quote, votes, pass_probability, level }
        };
        let verdicts: Vec<Verdict> = inner.rubric.criteria.iter().zip(slots).map(verdict).collect();
        let standing = |verdict: &Verdict| Standing { verdict: verdict.verdict, level: verdict.level };
        let graded = grade(&inner.rubric, &verdicts.iter().map(standing).collect::<Vec<_>>());
        let flaw = (graded.grade == Grade::Ungraded).then_some(Flaw::Ungraded);
        let judged =
            Judged { scenario, repetition, reply, failure, verdicts, score: graded.score, grade: graded.grade };
        Row { judging, ..Row::new(vec![write(&judged)], flaw) }
    }
}

/// What all opinions on one question come to: the verdict of more than half of them all, with what the first of these
/// rests on. Nothing less counts, so that an opinion that is missing can never make a pass.
fn agreed(opinions: Vec<Opinion>) -> (Finding, Option<Votes>) {
    let mut found: Vec<Finding> = opinions
        .into_iter()
        .map(|opinion| match opinion {
            Opinion::Found(finding) => finding,
            Opinion::Open | Opinion::Unread { .. } => unreachable!("a row with an open question is not finished"),
        })
        .collect();
    let all = found.len();
    if all == 1 {
        return (found.remove(0), None);
    }
    let mut votes = Votes::default();
    for finding in &found {
        *(match finding.verdict {
            VerdictKind::Pass => &mut votes.pass,
            VerdictKind::Fail => &mut votes.fail,
            VerdictKind::NotApplicable => &mut votes.not_applicable,
            VerdictKind::Ungraded => &mut votes.ungraded,
        }) += 1;
    }
    let of = |verdict: VerdictKind| found.iter().filter(|finding| finding.verdict == verdict).count();
    let winner = [VerdictKind::Pass, VerdictKind::Fail, VerdictKind::NotApplicable]
        .into_iter()
        .find(|verdict| 2 * of(*verdict) > all)
        .and_then(|verdict| found.iter().position(|finding| finding.verdict == verdict));
    if let Some(winner) = winner {
        // The level of all who gave one; the verdict is that of the majority all the same.
        let levels: Vec<f64> = found.iter().filter_map(|finding| finding.level).collect();
        let level = levels.iter().sum::<f64>() / f64::from(u32::try_from(levels.len()).unwrap_or(u32::MAX));
        let winner = found.swap_remove(winner);
        let level = winner.level.map(|_| (level * 1e4).round() / 1e4);
        return (Finding { level, ..winner }, Some(votes));
    }
    let Votes { pass, fail, not_applicable, ungraded } = votes;
    let mut reason = format!(
        "no verdict has a majority of {all} opinions: {pass} pass, {fail} fail, {not_applicable} not applicable, \
         {ungraded} ungraded"
    );
    if let Some(why) = found.iter().find(|finding| finding.verdict == VerdictKind::Ungraded) {
        reason = format!("{reason} ({})", why.reason);
    }
    (Finding::new(VerdictKind::Ungraded, reason), Some(votes))
}

impl Resume for Round {
    fn resume(mut self: Box<Self>, answers: Vec<Asked>) -> Step {
        let mut answers = answers.into_iter();
        let mut slots = std::mem::take(&mut self.slots);
        let inner = Arc::clone(&self.inner);
        for (way, slot) in inner.ways.iter().zip(&mut slots) {
            let Slot::Asked(opinions) = slot else { continue };
            let words = way.asks().and_then(|(_, form)| form.words());
            for opinion in opinions.iter_mut().filter(|opinion| !matches!(opinion, Opinion::Found(_))) {
                let answer = answers.next().expect("each request has one answer");
                if let (Some(words), Asked::Replied(Reply { weighed: Some(weighed), .. })) = (words, &answer) {
                    self.judging.add(words, weighed);
                }
                *opinion = self.settle(opinion, way, answer);
            }
        }
        assert!(answers.next().is_none(), "each answer has one request");
        self.slots = slots;
        self.step()
    }
}

/// Reads the judge's answer. Words it quotes that are not there are taken away, but its verdict is kept: judges now and
/// then see right and copy wrong. One that does so often is not trusted with a decision: see `decide`.
fn read_finding(reply: &Reply, allow_not_applicable: bool, response: &str) -> Result<Finding, ParseError> {
    let opinion = read_opinion(&reply.text, reply.finish, allow_not_applicable)?;
    Ok(quoting(opinion.verdict, opinion.evidence, opinion.reason, response))
}

/// Reads a judge's answer with a level.
fn read_rating(scaled: &Scaled, reply: &Reply, response: &str) -> Result<Finding, RatingError> {
    let Rating { verdict, level, pass_probability, evidence, reason } = scaled.read(reply)?;
    Ok(Finding { level, pass_probability, ..quoting(verdict, evidence, reason, response) })
}

fn quoting(verdict: VerdictKind, mut evidence: String, mut reason: String, response: &str) -> Finding {
    let quote =
        (!evidence.is_empty()).then(|| if is_quoted(&evidence, response) { Quote::Found } else { Quote::Missing });
    if quote == Some(Quote::Missing) {
        evidence.clear();
        let note = "(quoted words are not in the reply)";
        reason = if reason.is_empty() { note.to_owned() } else { format!("{reason} {note}") };
    }
    Finding { evidence, quote, ..Finding::new(verdict, reason) }
}
