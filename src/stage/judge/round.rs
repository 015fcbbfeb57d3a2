//! A row with questions that are asked for the first time, or once more.

use std::sync::Arc;

use super::finding::{Finding, Heard, Opinion};
use super::{Inner, Slot, Way};
use crate::data::{Answer, Grade, Judged, Judging, Verdict};
use crate::engine::{Message, Question, Reply, ReplyForm, Request};
use crate::judge::{Evidence, Item, ParseError, Sheet, Standing, ask_again, grade, read_weighed};
use crate::key::BlobId;
use crate::spec::{Ask, JudgeMode};
use crate::stage::row::{Asked, Flaw, Resume, Row, Step, template_context, write};

/// The work on one row.
pub(super) struct Round {
    inner: Arc<Inner>,
    answer: Answer,
    /// One a criterion.
    slots: Vec<Slot>,
    /// What the judge weighed so far.
    judging: Judging,
}

/// One call that a row puts: one judge's or a program's opinion on one criterion or, where they are asked together, one
/// judge's on several.
struct Call {
    seat: usize,
    repetition: usize,
    criteria: Vec<usize>,
}

impl Round {
    pub(super) fn new(inner: Arc<Inner>, answer: Answer, slots: Vec<Slot>) -> Self {
        Self { inner, answer, slots, judging: Judging::default() }
    }

    pub(super) fn step(self) -> Step {
        let calls = self.calls();
        if calls.is_empty() {
            return Step::Done(self.finish());
        }
        let evidence = Evidence::new(&self.answer.scenario.opening, self.reply());
        let questions = calls.iter().map(|call| self.question(call, &evidence)).collect();
        Step::Ask(questions, Box::new(self))
    }

    /// What is to be asked now: all at once that is asked together, and then criterion by criterion, judge by judge, opinion
    /// by opinion.
    fn calls(&self) -> Vec<Call> {
        let mut calls = self.calls_about_all();
        for at in (0..self.slots.len()).filter(|at| !self.is_on_sheet(*at)) {
            let Slot::Asked(seats) = &self.slots[at] else { continue };
            let each = seats.iter().enumerate().flat_map(|(seat, opinions)| {
                opinions.iter().enumerate().map(move |(repetition, opinion)| (seat, repetition, opinion))
            });
            let open = each.filter(|(_, _, opinion)| !opinion.is_found());
            calls.extend(open.map(|(seat, repetition, _)| Call { seat, repetition, criteria: vec![at] }));
        }
        calls
    }

    fn calls_about_all(&self) -> Vec<Call> {
        let Inner { judges, repeat, mode, .. } = &*self.inner;
        if *mode != JudgeMode::Together {
            return Vec::new();
        }
        let order = self.in_order_of_asking();
        let call = |seat, repetition| {
            let is_open = |at: &usize| self.opinion(*at, seat, repetition).is_some_and(|one| !one.is_found());
            Call { seat, repetition, criteria: order.iter().copied().filter(is_open).collect() }
        };
        let repetitions = 0..usize::try_from(*repeat).unwrap_or(usize::MAX);
        let all = (0..judges.len()).flat_map(|seat| repetitions.clone().map(move |repetition| (seat, repetition)));
        all.map(|(seat, repetition)| call(seat, repetition)).filter(|call| !call.criteria.is_empty()).collect()
    }

    /// Whether a criterion is asked about in one call with others.
    fn is_on_sheet(&self, at: usize) -> bool {
        self.inner.mode == JudgeMode::Together && self.inner.ways[at].asks().is_some()
    }

    /// The criteria in the order in which they stand in a question for all: another one for each scenario, so that none
    /// gains from its place over all of them.
    fn in_order_of_asking(&self) -> Vec<usize> {
        let scenario = &self.answer.scenario.id;
        let mut order: Vec<usize> = (0..self.slots.len()).filter(|at| self.is_on_sheet(*at)).collect();
        order.sort_by_cached_key(|at| {
            let criterion = &self.inner.rubric.criteria[*at].id;
            BlobId::of(format!("{scenario}\n{criterion}").as_bytes()).to_string()
        });
        order
    }

    fn opinion(&self, at: usize, seat: usize, repetition: usize) -> Option<&Opinion> {
        match &self.slots[at] {
            Slot::Found(_) => None,
            Slot::Asked(opinions) => opinions.get(seat)?.get(repetition),
        }
    }

    fn question(&self, call: &Call, evidence: &Evidence) -> Question {
        let Inner { sampling, max_tokens, ways, .. } = &*self.inner;
        if let [at, ..] = call.criteria[..]
            && let Way::Run(program) = &ways[at]
        {
            return Question::Run(program.request(&template_context(&self.answer.scenario), self.reply()));
        }
        let (messages, form) = match (&call.criteria[..], self.inner.mode) {
            (criteria, JudgeMode::Together) => self.ask_together(call, criteria, evidence),
            ([at, ..], JudgeMode::Json | JudgeMode::Logprob { .. }) => self.ask_one(call, *at, evidence),
            ([], _) => unreachable!("a call asks about something"),
        };
        let repetition = u32::try_from(call.repetition).unwrap_or(u32::MAX);
        let request =
            Request { messages, sampling: sampling.repeated(repetition), max_tokens: *max_tokens, form, repetition };
        Question::Complete { seat: call.seat, request }
    }

    fn ask_one(&self, call: &Call, at: usize, evidence: &Evidence) -> (Vec<Message>, ReplyForm) {
        let (text, form) = self.inner.ways[at].asks().expect("a judge is asked nothing else");
        let messages = evidence.ask(text, self.inner.mode);
        let messages = match self.opinion(at, call.seat, call.repetition) {
            Some(Opinion::Unread { said, why }) => ask_again(messages, said, why),
            Some(Opinion::Open | Opinion::Found(_)) | None => messages,
        };
        (messages, form.clone())
    }

    fn ask_together(&self, call: &Call, criteria: &[usize], evidence: &Evidence) -> (Vec<Message>, ReplyForm) {
        let is_asked = |at: &usize| matches!(self.slots[*at], Slot::Asked(_));
        let all: Vec<usize> = self.in_order_of_asking().into_iter().filter(is_asked).collect();
        let messages = self.sheet(&all).ask(evidence);
        let sheet = self.sheet(criteria);
        let unread = criteria.iter().filter_map(|at| match self.opinion(*at, call.seat, call.repetition)? {
            Opinion::Unread { said, why } => Some((said, why)),
            Opinion::Open | Opinion::Found(_) => None,
        });
        let (said, whys): (Vec<&String>, Vec<&ParseError>) = unread.unzip();
        let messages = match said.first() {
            Some(said) => sheet.ask_again(messages, said, &whys),
            None => messages,
        };
        (messages, ReplyForm::Schema(sheet.schema()))
    }

    fn sheet(&self, criteria: &[usize]) -> Sheet<'_> {
        let item = |at: &usize| {
            let criterion = &self.inner.rubric.criteria[*at];
            let item = match (&criterion.ask, &self.inner.ways[*at]) {
                (Ask::Question(question), _) => Item::Verdict(question),
                (_, Way::Rate { text: _, form: _, scaled }) => Item::Level(scaled),
                _ => unreachable!("a judge is asked nothing else"),
            };
            (&criterion.id, item)
        };
        Sheet(criteria.iter().map(item).collect())
    }

    fn reply(&self) -> &str {
        self.answer.reply.as_deref().unwrap_or_default()
    }

    /// What an answer says about each criterion of its call.
    fn settle(&self, call: &Call, answer: Asked) -> Vec<Opinion> {
        let before = |at: &usize| self.opinion(*at, call.seat, call.repetition).expect("it was asked for");
        let reply = match answer.replied() {
            Ok(reply) => reply,
            Err(failure) => {
                let is_run = call.criteria.iter().any(|at| matches!(self.inner.ways[*at], Way::Run(_)));
                let who = if is_run { "the program came to no verdict" } else { "the judge did not answer" };
                let reason = format!("{who}: {} ({})", failure.message, failure.kind);
                return call.criteria.iter().map(|_| Opinion::ungraded(reason.clone())).collect();
            }
        };
        if call.criteria.iter().all(|at| self.is_on_sheet(*at)) {
            let read = self.sheet(&call.criteria).read(&reply.text, reply.finish);
            let each = (0..call.criteria.len()).map(|place| match &read {
                Ok(ratings) => ratings[place].clone().map(|rating| Finding::of_rating(rating, self.reply())),
                Err(why) => Err(why.clone()),
            });
            return call.criteria.iter().zip(each).map(|(at, read)| before(at).settle(read, &reply.text)).collect();
        }
        call.criteria.iter().map(|at| self.settle_one(*at, before(at), &reply)).collect()
    }

    fn settle_one(&self, at: usize, before: &Opinion, reply: &Reply) -> Opinion {
        let (form, allow_not_applicable) = match &self.inner.ways[at] {
            Way::Ask { text: _, form, allow_not_applicable } => (form, allow_not_applicable),
            Way::Rate { text: _, form: _, scaled } => {
                return before.settle(Finding::read_level(scaled, reply, self.reply()), &reply.text);
            }
            Way::Run(program) => return Opinion::Found(program.read(reply, self.reply())),
            Way::Check(_) => unreachable!("code is not asked"),
        };
        if let (JudgeMode::Logprob { max_outside }, Some(words)) = (self.inner.mode, form.words()) {
            return match read_weighed(reply, words, max_outside) {
                Ok(leaning) => Opinion::Found(Finding::of_leaning(leaning)),
                Err(why) => Opinion::ungraded(why.to_string()),
            };
        }
        before.settle(Finding::read(reply, *allow_not_applicable, self.reply()), &reply.text)
    }

    /// Takes note of the tokens by which an answer was weighed.
    fn note_weighed(&mut self, call: &Call, answer: &Asked) {
        let words = call.criteria.first().and_then(|at| self.inner.ways[*at].asks()?.1.words());
        if let (Some(words), Asked::Replied(Reply { weighed: Some(weighed), .. })) = (words, answer) {
            self.judging.add(words, weighed);
        }
    }

    fn finish(self) -> Row {
        let Self { inner, answer, slots, mut judging } = self;
        let Answer { scenario, repetition, reply, reasoning: _, finish: _, tokens: _, latency_ms: _, failure } = answer;
        let verdicts: Vec<Verdict> = inner
            .rubric
            .criteria
            .iter()
            .zip(slots)
            .map(|(criterion, slot)| {
                let Heard { finding, votes, panel } = match slot {
                    Slot::Found(finding) => Heard::nobody(finding),
                    Slot::Asked(opinions) => Heard::all(&inner.judges, opinions),
                };
                let Finding { verdict, evidence, reason, quote, pass_probability, level } = finding;
                let (criterion, critical) = (criterion.id.clone(), criterion.critical);
                Verdict { criterion, verdict, critical, evidence, reason, quote, votes, pass_probability, level, panel }
            })
            .collect();
        let graded = grade(&inner.rubric, &verdicts.iter().map(Standing::from).collect::<Vec<_>>());
        let flaw = (graded.grade == Grade::Ungraded).then_some(Flaw::Ungraded);
        let judged =
            Judged { scenario, repetition, reply, failure, verdicts, score: graded.score, grade: graded.grade };
        judging.opinions.add(&judged);
        Row { judging, ..Row::new(vec![write(&judged)], flaw) }
    }
}

impl Resume for Round {
    fn resume(mut self: Box<Self>, answers: Vec<Asked>) -> Step {
        let calls = self.calls();
        assert_eq!(calls.len(), answers.len(), "each question has one answer");
        for (call, answer) in calls.into_iter().zip(answers) {
            self.note_weighed(&call, &answer);
            let settled = self.settle(&call, answer);
            for (at, opinion) in call.criteria.into_iter().zip(settled) {
                let Slot::Asked(opinions) = &mut self.slots[at] else { unreachable!("it was asked for") };
                opinions[call.seat][call.repetition] = opinion;
            }
        }
        self.step()
    }
}
