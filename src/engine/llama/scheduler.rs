//! Answers requests, many at once: each gets a lane, and all lanes take their steps together.
//!
//! A turn fills free lanes with the prompts of waiting requests, then lets every running reply grow by a token. What a
//! prompt shares with another, running or just ended, is copied from its lane (`lanes`); whose turn it is, is said by
//! `order`. What comes out for a request depends on the request alone.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use llama_cpp_2::token::LlamaToken;
use regex::Regex;

use super::LlamaConfig;
use super::constrain::{Constrainer, Constraint};
use super::lanes::{Abandoned, GROUP, Lanes, LogitsAt};
use super::load::{ErrorLog, Model};
use super::order::{self, Candidate, Turn};
use super::prompt::Guard;
use super::room::{self, Room};
use super::sample::Sampler;
use super::vocabulary::Vocabulary;
use super::weigh::Weigher;
use super::worker::Job;
use super::writer::Writer;
use crate::engine::embedded::DEFAULT_CONTEXT;
use crate::engine::{
    EngineError, EngineErrorKind, Finish, Message, Reply, ReplyForm, Request, Schema, Usage, reasoning,
};

/// Waiting requests among which the next one is looked for.
const LOOKAHEAD: usize = 64;

/// A model with all that waits for it.
pub(super) struct Scheduler<'m> {
    model: &'m Model,
    /// Tokens that prompt and reply may have together.
    limit: u32,
    threads: usize,
    room: Room,
    vocabulary: Vocabulary,
    control_names: Option<Regex>,
    /// Made when the first schema comes.
    constrainer: Option<Constrainer>,
    weigher: Weigher,
    /// Made when the first request is served, and anew when others need more room.
    lanes: Option<Lanes<'m>>,
    /// What runs in each lane.
    running: Vec<Option<Running>>,
    /// In the order in which they came.
    waiting: VecDeque<Waiting>,
    error_log: ErrorLog,
    /// Time spent in llama.cpp's own computation in contexts that are gone.
    computed: Duration,
    served: Served,
}

/// What was done since the engine last had nothing to do, for its log.
#[derive(Debug, Default)]
struct Served {
    since: Option<Instant>,
    computing: Duration,
    requests: u64,
    prompt_tokens: u64,
    cached_tokens: u64,
    generated_tokens: u64,
    steps: u64,
}

struct Waiting {
    job: Job,
    prompt: Vec<LlamaToken>,
    /// Whether the chat template lets the reply begin inside of the model's thoughts.
    opens_thoughts: bool,
    passed_over: u32,
}

struct Running {
    job: Job,
    opens_thoughts: bool,
    usage: Usage,
    sampler: Sampler,
    constraint: Option<Constraint>,
    writer: Writer,
    /// Tokens of the reply that are not computed yet; never empty between two turns.
    pending: VecDeque<LlamaToken>,
    /// This reply's share of the engine's time.
    worked: Duration,
}

impl<'m> Scheduler<'m> {
    pub(super) fn new(model: &'m Model, config: &LlamaConfig, error_log: &ErrorLog) -> Self {
        let threads = config.threads.or_else(|| std::thread::available_parallelism().ok().map(Into::into));
        let vocabulary = Vocabulary::new(Arc::clone(&model.weights));
        Self {
            model,
            limit: config.context.unwrap_or_else(|| model.weights.n_ctx_train().min(DEFAULT_CONTEXT)),
            threads: threads.unwrap_or(1),
            room: Room::new(&model.weights, config),
            control_names: vocabulary.control_names(),
            vocabulary,
            constrainer: None,
            weigher: Weigher::default(),
            lanes: None,
            running: Vec::new(),
            waiting: VecDeque::new(),
            error_log: error_log.clone(),
            computed: Duration::ZERO,
            served: Served::default(),
        }
    }

    /// Whether nothing waits or runs.
    pub(super) fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.running.iter().all(Option::is_none)
    }

    /// Takes a request into the queue, or answers that it can never be served.
    pub(super) fn accept(&mut self, job: Job) {
        self.served.since.get_or_insert_with(Instant::now);
        let sized = self.tokenise(&job.request.messages).and_then(|(prompt, opens_thoughts)| {
            self.check_size(&prompt, job.request.max_tokens)?;
            Ok((prompt, opens_thoughts))
        });
        match sized {
            Ok((prompt, opens_thoughts)) => {
                self.waiting.push_back(Waiting { job, prompt, opens_thoughts, passed_over: 0 });
            }
            Err(error) => job.answer(Err(error)),
        }
    }

    /// Fills free lanes and lets every running reply grow by a token.
    pub(super) fn turn(&mut self, stopped: &Abandoned<'_>) {
        self.waiting.retain(|waiting| !waiting.job.is_abandoned());
        for lane in 0..self.running.len() {
            if self.running[lane].as_ref().is_some_and(|running| running.job.is_abandoned()) {
                self.release(lane);
            }
        }
        while !stopped() && self.make_room() {
            let Some(turn) = self.next_turn() else { break };
            self.admit(turn, stopped);
        }
        if !stopped() {
            self.step();
        }
        if self.is_idle() {
            self.log_served();
        }
    }

    /// The prompt, and whether it ends inside of the model's thoughts.
    fn tokenise(&self, messages: &[Message]) -> Result<(Vec<LlamaToken>, bool), EngineError> {
        let mut messages = messages.to_vec();
        let guard = Guard::new(&mut messages, self.control_names.as_ref());
        let rendered = self.model.template.render(&messages).map_err(|error| {
            // The bare message of `raise_exception`, where there is one: it is meant for people.
            let reason = error.detail().map_or_else(|| error.to_string(), ToOwned::to_owned);
            rejected(format!("the model's chat template refuses the conversation: {reason}"))
        })?;
        let prompt = self.vocabulary.prompt(&guard.pieces(&rendered));
        if prompt.is_empty() {
            return Err(rejected("the prompt is empty".to_owned()));
        }
        Ok((prompt, rendered.trim_end().ends_with(reasoning::OPEN)))
    }

    fn check_size(&self, prompt: &[LlamaToken], max_tokens: u32) -> Result<(), EngineError> {
        let (limit, prompt_tokens) = (self.limit, count(prompt.len()));
        let tokens_over = prompt_tokens.saturating_add(max_tokens).saturating_sub(limit);
        if tokens_over == 0 {
            return Ok(());
        }
        let message = format!(
            "the prompt has {prompt_tokens} tokens and the reply may have {max_tokens}, {tokens_over} more than the \
             context of {limit}"
        );
        Err(EngineError::new(EngineErrorKind::ContextOverflow { tokens_over }, message))
    }

    /// Sees to it that there are lanes long enough for who came first. Nobody is let in while lanes are to be made anew:
    /// what runs must end first.
    fn make_room(&mut self) -> bool {
        let Some(oldest) = self.waiting.front() else { return false };
        let runs = self.running.iter().flatten().count();
        let has_room = self.lanes.as_ref().is_some_and(|lanes| {
            oldest.need() <= lanes.length()
                && !self.room.has_more(lanes.count(), lanes.length(), runs + self.waiting.len())
        });
        if has_room {
            return true;
        }
        if runs > 0 {
            return false;
        }
        self.computed = self.computing();
        let before = self.lanes.take().map_or(0, |lanes| lanes.length());
        let need = self.waiting.iter().map(Waiting::need).max().unwrap_or(0).max(before);
        let made = self
            .room
            .lanes(need, self.waiting.len())
            .and_then(|(lanes, length)| Lanes::new(self.model, lanes, length, self.threads, &self.error_log));
        match made {
            Ok(made) => {
                let (lanes, length) = (made.count(), made.length());
                tracing::debug!(lanes, length, "the embedded engine made a context");
                self.running.clear();
                self.running.resize_with(lanes, || None);
                self.lanes = Some(made);
                true
            }
            Err(error) => {
                for waiting in self.waiting.drain(..) {
                    waiting.job.answer(Err(error.clone()));
                }
                false
            }
        }
    }

    fn next_turn(&mut self) -> Option<Turn> {
        let lanes = self.lanes.as_ref()?;
        let free: Vec<usize> = (0..self.running.len()).filter(|lane| self.running[*lane].is_none()).collect();
        if free.is_empty() {
            return None;
        }
        let candidate = |waiting: &Waiting| Candidate {
            shared: (0..lanes.count()).map(|lane| lanes.shared(lane, &waiting.prompt)).collect(),
            max_tokens: waiting.job.request.max_tokens,
            passed_over: waiting.passed_over,
        };
        let fitting = |waiting: &&Waiting| waiting.need() <= lanes.length();
        let candidates: Vec<Candidate> =
            self.waiting.iter().take(LOOKAHEAD).take_while(fitting).map(candidate).collect();
        let turn = order::next(&candidates, &free)?;
        self.waiting.iter_mut().take(turn.candidate).for_each(|waiting| waiting.passed_over += 1);
        Some(turn)
    }

    /// Puts a waiting request's prompt into a lane and begins its reply.
    fn admit(&mut self, turn: Turn, stopped: &Abandoned<'_>) {
        let Waiting { job, mut prompt, opens_thoughts, passed_over: _ } =
            self.waiting.remove(turn.candidate).expect("the candidate is among those that wait");
        let start = Instant::now();
        let prompt_tokens = count(prompt.len());
        let constraint = match job.request.form.schema().map(|schema| self.constrain(schema)).transpose() {
            Ok(constraint) => constraint,
            Err(error) => return job.answer(Err(error)),
        };
        let mut running = self.begin(job, constraint, prompt_tokens, opens_thoughts);
        // What a schema begins with needs no choosing: it is computed with the prompt.
        match running.take_forced(&self.vocabulary) {
            Ok(None) => prompt.extend(running.pending.drain(..)),
            Ok(Some(finish)) => return running.finish(finish),
            Err(error) => return running.job.answer(Err(error)),
        }
        let lanes = self.lanes.as_mut().expect("there are lanes when a request is let in");
        let abandoned = || stopped() || running.job.is_abandoned();
        let (shared, at) = match lanes.fill(turn.lane, &prompt, turn.source, &abandoned) {
            Ok(Some(filled)) => filled,
            Ok(None) => return,
            Err(error) => {
                running.job.answer(Err(error.clone()));
                return self.fail_all(&error);
            }
        };
        running.usage.cached_tokens = count(shared).min(prompt_tokens);
        self.served.prompt_tokens += u64::from(prompt_tokens);
        self.served.cached_tokens += u64::from(running.usage.cached_tokens);
        self.served.requests += 1;
        running.worked += start.elapsed();
        if let ReplyForm::Words(words) = &running.job.request.form {
            let weighed = self.weigher.weigh(words, lanes.logits(at), &self.vocabulary);
            lanes.release(turn.lane);
            return running.job.answer(weighed.map(|(text, weighed)| Reply {
                weighed: Some(weighed),
                ..Reply::new(text, Finish::Stop, running.usage, milliseconds(running.worked))
            }));
        }
        self.running[turn.lane] = Some(running);
        self.grow(turn.lane, at);
    }

    fn begin(&self, job: Job, constraint: Option<Constraint>, prompt_tokens: u32, opens_thoughts: bool) -> Running {
        let Request { sampling, repetition, .. } = job.request;
        // A schema ends its reply itself, and no JSON without white space holds a line break.
        let stop = if constraint.is_some() { None } else { self.model.template.stop() };
        Running {
            job,
            opens_thoughts,
            usage: Usage { prompt_tokens, cached_tokens: 0, completion_tokens: 0 },
            sampler: Sampler::new(sampling, repetition),
            constraint,
            writer: Writer::new(stop),
            pending: VecDeque::new(),
            worked: Duration::ZERO,
        }
    }

    fn constrain(&mut self, schema: &Schema) -> Result<Constraint, EngineError> {
        let constrainer = match self.constrainer.take() {
            Some(constrainer) => constrainer,
            None => Constrainer::new(&self.model.weights, &self.vocabulary).map_err(|reason| {
                rejected(format!("the model's vocabulary cannot be constrained to a schema: {reason}"))
            })?,
        };
        self.constrainer
            .insert(constrainer)
            .start(schema)
            .map_err(|reason| rejected(format!("the output schema cannot be used: {reason}")))
    }

    /// Lets the reply in a lane go on by what the logits there say, and ends it where it ends.
    fn grow(&mut self, lane: usize, at: LogitsAt) {
        let (Some(running), Some(lanes)) = (&mut self.running[lane], &self.lanes) else { return };
        let grown =
            if running.pending.is_empty() { running.grow(lanes.logits(at), &self.vocabulary) } else { Ok(None) };
        match grown {
            Ok(None) => {}
            Ok(Some(finish)) => {
                if let Some(running) = self.release(lane) {
                    self.served.generated_tokens += u64::from(running.writer.tokens);
                    running.finish(finish);
                }
            }
            Err(error) => {
                if let Some(running) = self.release(lane) {
                    running.job.answer(Err(error));
                }
            }
        }
    }

    fn step(&mut self) {
        self.close_ranks();
        let start = Instant::now();
        let next = |(lane, running): (usize, &mut Option<Running>)| {
            Some((lane, running.as_mut()?.pending.pop_front().expect("a running reply has a token to compute")))
        };
        let chosen: Vec<(usize, LlamaToken)> = self.running.iter_mut().enumerate().filter_map(next).collect();
        let Some(lanes) = self.lanes.as_mut().filter(|_| !chosen.is_empty()) else { return };
        let computed = lanes.step(&chosen);
        self.served.steps += 1;
        let share = start.elapsed() / u32::try_from(chosen.len()).unwrap_or(u32::MAX);
        match computed {
            Ok(computed) => {
                for ((lane, _), at) in chosen.into_iter().zip(computed) {
                    if let Some(running) = &mut self.running[lane] {
                        running.worked += share;
                    }
                    self.grow(lane, at);
                }
            }
            Err(error) => self.fail_all(&error),
        }
    }

    /// Moves replies down to the lowest lanes once nobody waits for the free ones: a step computes all lanes up to the
    /// last in use.
    fn close_ranks(&mut self) {
        let Some(lanes) = self.lanes.as_mut().filter(|lanes| self.waiting.is_empty() && lanes.can_relocate()) else {
            return;
        };
        loop {
            let runs = self.running.iter().flatten().count();
            let (Some(last), Some(free)) =
                (self.running.iter().rposition(Option::is_some), self.running.iter().position(Option::is_none))
            else {
                return;
            };
            if last < free || (last + 1).next_multiple_of(GROUP) <= runs.next_multiple_of(GROUP) {
                return;
            }
            lanes.relocate(last, free);
            self.running.swap(last, free);
        }
    }

    fn release(&mut self, lane: usize) -> Option<Running> {
        if let Some(lanes) = &mut self.lanes {
            lanes.release(lane);
        }
        self.running[lane].take()
    }

    fn fail_all(&mut self, error: &EngineError) {
        for running in self.running.iter_mut().filter_map(Option::take) {
            running.job.answer(Err(error.clone()));
        }
    }

    /// Time spent in llama.cpp's own computation so far.
    fn computing(&self) -> Duration {
        self.computed + self.lanes.as_ref().map_or(Duration::ZERO, Lanes::computing)
    }

    fn log_served(&mut self) {
        let Served { since, computing, requests, prompt_tokens, cached_tokens, generated_tokens, steps } =
            std::mem::take(&mut self.served);
        let computing_now = self.computing();
        self.served.computing = computing_now;
        let Some(since) = since.filter(|_| requests > 0) else { return };
        let (wall_ms, llama_ms) =
            (milliseconds(since.elapsed()), milliseconds(computing_now.saturating_sub(computing)));
        tracing::debug!(
            requests,
            prompt_tokens,
            cached_tokens,
            generated_tokens,
            steps,
            wall_ms,
            llama_ms,
            "the embedded engine answered all that waited"
        );
    }
}

impl Waiting {
    /// Cells that a lane must have for it: a group's rows are computed behind the shortest prompt's end.
    fn need(&self) -> usize {
        self.prompt.len() + usize::try_from(self.job.request.max_tokens).unwrap_or(usize::MAX).max(room::LEAST_FREE)
    }
}

impl Running {
    fn room(&self) -> usize {
        usize::try_from(self.job.request.max_tokens - self.writer.tokens).unwrap_or(usize::MAX)
    }

    /// Takes what the schema begins with; says how the reply ended, if it did.
    fn take_forced(&mut self, vocabulary: &Vocabulary) -> Result<Option<Finish>, EngineError> {
        if self.room() == 0 && self.job.request.form.words().is_none() {
            return Ok(Some(Finish::Length));
        }
        let forced =
            self.constraint.as_mut().map_or(Ok(Vec::new()), |constraint| constraint.forced().map_err(broken))?;
        if forced.is_empty() { Ok(None) } else { Ok(self.take(forced, vocabulary)) }
    }

    /// Takes the tokens that come next: all that the schema forces, else one that the sampler chooses. Says how the
    /// reply ended, if it did.
    fn grow(&mut self, logits: &[f32], vocabulary: &Vocabulary) -> Result<Option<Finish>, EngineError> {
        let no_number = || {
            EngineError::new(EngineErrorKind::BadReply, "the model computes no usable probabilities for the next token")
        };
        let next = match &mut self.constraint {
            None => vec![self.sampler.choose(logits, None).ok_or_else(no_number)?],
            Some(constraint) => {
                let allowed = constraint.allowed().map_err(broken)?;
                let token = self.sampler.choose(logits, Some(&allowed)).ok_or_else(no_number)?;
                constraint.accept(token).map_err(broken)?;
                let mut next = vec![token];
                if !constraint.is_complete() {
                    next.extend(constraint.forced().map_err(broken)?);
                }
                next
            }
        };
        Ok(self.take(next, vocabulary))
    }

    fn take(&mut self, mut next: Vec<LlamaToken>, vocabulary: &Vocabulary) -> Option<Finish> {
        next.truncate(self.room());
        for token in next {
            if vocabulary.is_end(token) {
                return Some(Finish::Stop);
            }
            self.writer.push(token, vocabulary);
            self.pending.push_back(token);
        }
        if self.writer.is_stopped() || self.constraint.as_ref().is_some_and(Constraint::is_complete) {
            return Some(Finish::Stop);
        }
        (self.room() == 0).then_some(Finish::Length)
    }

    fn finish(self, finish: Finish) {
        let Self { job, opens_thoughts, usage, sampler: _, constraint, writer, pending: _, worked } = self;
        let usage = Usage { completion_tokens: writer.tokens, ..usage };
        let text = writer.into_text();
        // What satisfies a schema holds no thoughts, whatever it says.
        let (reasoning, text) = match (constraint, opens_thoughts) {
            (Some(_), _) => (None, text),
            (None, false) => reasoning::split(&text),
            (None, true) => reasoning::split(&format!("{}{text}", reasoning::OPEN)),
        };
        job.answer(Ok(Reply { reasoning, ..Reply::new(text, finish, usage, milliseconds(worked)) }));
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it is given to `map_err`")]
fn broken(reason: String) -> EngineError {
    rejected(format!("the output schema cannot be followed: {reason}"))
}

fn rejected(message: String) -> EngineError {
    EngineError::new(EngineErrorKind::Rejected, message)
}

fn count(tokens: usize) -> u32 {
    u32::try_from(tokens).unwrap_or(u32::MAX)
}

pub(super) fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
