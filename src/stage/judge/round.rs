//! A row with questions that are asked for the first time, or once more.

use std::sync::Arc;

use super::finding::{Finding, Heard, Opinion};
use super::{Inner, Slot, Way};
use crate::data::{Answer, Grade, Judged, Judging, Verdict, VerdictKind};
use crate::engine::{Message, Question, Reply, ReplyForm, Request};
use crate::judge::{Evidence, ParseError, Sheet, ask_again, grade, read_weighed};
use crate::key::BlobId;
use crate::spec::{Ask, JudgeMode};
use crate::stage::row::{Asked, Flaw, Resume, Row, Step, write};

/// The work on one row.
pub(super) struct Round {
    inner: Arc<Inner>,
    answer: Answer,
    /// One a criterion.
    slots: Vec<Slot>,
    /// What the judge weighed so far.
    judging: Judging,
}

/// One call that a row puts: one judge's opinion on one criterion or, where they are asked together, on several.
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

    /// What is to be asked now: criterion by criterion, judge by judge, opinion by opinion.
    fn calls(&self) -> Vec<Call> {
        let Inner { judges, repeat, mode, .. } = &*self.inner;
        let repetitions = 0..usize::try_from(*repeat).unwrap_or(usize::MAX);
        let voices =
            || (0..judges.len()).flat_map(|seat| repetitions.clone().map(move |repetition| (seat, repetition)));
        if *mode == JudgeMode::Together {
            let order = self.in_order_of_asking();
            let call = |(seat, repetition): (usize, usize)| {
                let is_open = |at: &usize| self.opinion(*at, seat, repetition).is_some_and(|one| !one.is_found());
                Call { seat, repetition, criteria: order.iter().copied().filter(is_open).collect() }
            };
            return voices().map(call).filter(|call| !call.criteria.is_empty()).collect();
        }
        let all = (0..self.slots.len()).flat_map(|at| voices().map(move |(seat, repetition)| (at, seat, repetition)));
        all.filter(|(at, seat, repetition)| self.opinion(*at, *seat, *repetition).is_some_and(|one| !one.is_found()))
            .map(|(at, seat, repetition)| Call { seat, repetition, criteria: vec![at] })
            .collect()
    }

    /// The criteria in the order in which they stand in a question for all: another one for each scenario, so that none
    /// gains from its place over all of them.
    fn in_order_of_asking(&self) -> Vec<usize> {
        let scenario = &self.answer.scenario.id;
        let mut order: Vec<usize> = (0..self.slots.len()).collect();
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
        let Inner { sampling, max_tokens, .. } = &*self.inner;
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
        let Way::Ask { text, form, allow_not_applicable: _ } = &self.inner.ways[at] else {
            unreachable!("code has no open questions")
        };
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
        let question = |at: &usize| {
            let criterion = &self.inner.rubric.criteria[*at];
            match &criterion.ask {
                Ask::Question(question) => (&criterion.id, question),
                Ask::Check(_) => unreachable!("code has no open questions"),
            }
        };
        Sheet(criteria.iter().map(question).collect())
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
                let reason = format!("the judge did not answer: {} ({})", failure.message, failure.kind);
                return call.criteria.iter().map(|_| Opinion::ungraded(reason.clone())).collect();
            }
        };
        if self.inner.mode == JudgeMode::Together {
            let read = self.sheet(&call.criteria).read(&reply.text, reply.finish);
            let each = (0..call.criteria.len()).map(|place| match &read {
                Ok(opinions) => opinions[place].clone().map(|opinion| Finding::of_opinion(opinion, self.reply())),
                Err(why) => Err(why.clone()),
            });
            return call.criteria.iter().zip(each).map(|(at, read)| before(at).settle(read, &reply.text)).collect();
        }
        call.criteria.iter().map(|at| self.settle_one(*at, before(at), &reply)).collect()
    }

    fn settle_one(&self, at: usize, before: &Opinion, reply: &Reply) -> Opinion {
        let Way::Ask { text: _, form, allow_not_applicable } = &self.inner.ways[at] else {
            unreachable!("code has no open questions")
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
        let words = call.criteria.first().and_then(|at| match &self.inner.ways[*at] {
            Way::Ask { text: _, form, allow_not_applicable: _ } => form.words(),
            Way::Check(_) => None,
        });
        if let (Some(words), Asked::Replied(Reply { weighed: Some(weighed), .. })) = (words, answer) {
            self.judging.add(words, weighed);
        }
    }

    fn finish(self) -> Row {
        let Self { inner, answer, slots, mut judging } = self;
        let Answer { scenario, repetition, reply, reasoning: _, finish: _, tokens: _, failure } = answer;
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
                let Finding { verdict, evidence, reason, quote, pass_probability } = finding;
                let (criterion, critical) = (criterion.id.clone(), criterion.critical);
                Verdict { criterion, verdict, critical, evidence, reason, quote, votes, pass_probability, panel }
            })
            .collect();
        let kinds: Vec<VerdictKind> = verdicts.iter().map(|verdict| verdict.verdict).collect();
        let graded = grade(&inner.rubric, &kinds);
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
