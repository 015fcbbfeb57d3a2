//! Putting calls: first to the store, then to whoever is asking the same thing already, then to the engine.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::OnceCell;

use super::StageFailure;
use crate::engine::{Answer, CallKeys, Engine, EngineError, EngineErrorKind, Question, answer};
use crate::key::Key;
use crate::plan::kept;
use crate::stage::{Asked, CallFailure};
use crate::store::{CallReader, Put, Speed, Store, StoreError, Tally};

/// So many failures in a row, with no answer between them, mean that the engine is gone.
const FAILURES_IN_A_ROW: u32 = 5;

/// The calls of a run that are being asked: two stages that ask the same thing at once ask it once.
#[derive(Default)]
pub(super) struct Flights {
    cells: Mutex<BTreeMap<Key, Arc<OnceCell<Answer>>>>,
    /// Calls that were asked again in this run, where that is what the run is for.
    refreshed: Mutex<BTreeSet<Key>>,
    finished: Mutex<Finished>,
    /// Whether the run has begun to replace replies.
    replaces: AtomicBool,
}

impl Flights {
    /// Prepares the store for replies that are replaced: from results that rest on the old ones nothing is taken over.
    pub(super) fn replace_replies(&self, store: &Store) -> Result<(), StageFailure> {
        if !self.replaces.swap(true, Ordering::Relaxed) {
            store.forget_earlier()?;
        }
        Ok(())
    }
}

/// The calls that were finished last. Who looked a call up only moments ago need not ask the store whether it has come
/// since.
#[derive(Default)]
struct Finished {
    /// How many were finished in all.
    count: u64,
    last: VecDeque<Key>,
    known: BTreeSet<Key>,
}

/// How many finished calls are kept in mind.
const FINISHED_KEPT: usize = 8192;

impl Finished {
    fn add(&mut self, key: Key) {
        self.count += 1;
        self.last.push_back(key);
        self.known.insert(key);
        if self.last.len() > FINISHED_KEPT
            && let Some(oldest) = self.last.pop_front()
        {
            self.known.remove(&oldest);
        }
    }

    /// Whether a call that was not in the store when `count` was `then` may be there now.
    fn may_have_come(&self, key: &Key, then: u64) -> bool {
        self.known.contains(key) || self.count - then > FINISHED_KEPT as u64
    }
}

/// Puts the calls of one stage.
pub(super) struct Caller {
    store: Arc<Store>,
    keys: CallKeys,
    engine: Arc<dyn Engine>,
    flights: Arc<Flights>,
    now: i64,
    /// Whether replies in the store are passed over and replaced.
    refresh: bool,
    /// Whether the context's size is in the stage's key: then a prompt that does not fit never will.
    context_is_keyed: bool,
    manner: &'static str,
    width: usize,
    account: Mutex<Account>,
    waiting: Mutex<Waiting>,
    failures_in_a_row: AtomicU32,
}

/// What the stage's calls came to so far.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Account {
    pub(super) tally: Tally,
    pub(super) speed: Speed,
    /// Calls that failed and might be answered another time.
    pub(super) unsettled: u64,
}

/// Since when how many calls are waited for.
#[derive(Default)]
struct Waiting {
    calls: u32,
    since: Option<Instant>,
    busy_ms: f64,
}

/// A question with its key and the answer that the store had for it.
pub(super) struct Looked {
    pub(super) question: Question,
    pub(super) key: Key,
    pub(super) answer: Option<Answer>,
    /// How many calls of the run were finished then.
    then: u64,
}

impl Looked {
    /// The answer that the store had.
    pub(super) fn into_answer(self) -> Option<Asked> {
        self.answer.map(Asked::from)
    }
}

/// Why one call was not answered.
enum Unanswered {
    Engine(EngineError),
    Stage(StageFailure),
}

/// How a caller works, apart from whom it asks.
pub(super) struct Manner {
    pub(super) now: i64,
    pub(super) refresh: bool,
    pub(super) context_is_keyed: bool,
    /// Most rows in work at once.
    pub(super) jobs: Option<usize>,
    /// How calls are put, as speeds are remembered by it.
    pub(super) name: &'static str,
}

impl Caller {
    pub(super) fn new(store: Arc<Store>, engine: Arc<dyn Engine>, flights: Arc<Flights>, manner: &Manner) -> Self {
        let Manner { now, refresh, context_is_keyed, jobs, name } = *manner;
        let width = engine.width().min(jobs.unwrap_or(usize::MAX)).max(1);
        Self {
            store,
            keys: CallKeys::new(engine.identity()),
            engine,
            flights,
            now,
            refresh,
            context_is_keyed,
            manner: name,
            width,
            account: Mutex::default(),
            waiting: Mutex::default(),
            failures_in_a_row: AtomicU32::new(0),
        }
    }

    /// How many rows are worth having in work at once.
    pub(super) fn width(&self) -> usize {
        self.width
    }

    pub(super) fn account(&self) -> Account {
        let mut account = *lock(&self.account);
        let waiting = lock(&self.waiting);
        let running = waiting.since.map_or(0.0, |since| since.elapsed().as_secs_f64() * 1000.0);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a time of this run is small")]
        {
            account.speed.busy_ms = (waiting.busy_ms + running) as u64;
        }
        account
    }

    /// Remembers how fast its calls were.
    pub(super) fn note_speed(&self) -> Result<(), StoreError> {
        let speed = self.account().speed;
        if speed.calls == 0 {
            return Ok(());
        }
        self.store.add_speed(&self.engine.identity().digest(), self.manner, &speed)
    }

    /// Looks a question up in the store. Without waiting: for whoever has many rows to look through.
    pub(super) fn look_up(
        &self,
        question: Question,
        calls: &CallReader<'_>,
        tally: &mut Tally,
    ) -> Result<Looked, StageFailure> {
        let then = lock(&self.flights.finished).count;
        let key = self.keys.of(&question);
        let answer = self.known(&question, &key, calls)?;
        if let Some(answer) = &answer {
            count(tally, answer, false);
        }
        Ok(Looked { question, key, answer, then })
    }

    /// What the store has for a key, unless the run is there to ask it again.
    fn known(&self, question: &Question, key: &Key, calls: &CallReader<'_>) -> Result<Option<Answer>, StageFailure> {
        if self.refresh && !lock(&self.flights.refreshed).contains(key) {
            return Ok(None);
        }
        Ok(kept(calls, question, key)?)
    }

    /// Adds what was looked up elsewhere.
    pub(super) fn add(&self, found: &Tally) {
        if found.calls_cached > 0 {
            self.failures_in_a_row.store(0, Ordering::Relaxed);
            lock(&self.account).tally.add_cached(found);
        }
    }

    /// Asks what the store did not have.
    pub(super) async fn ask(&self, looked: Looked) -> Result<Asked, StageFailure> {
        let Looked { question, key, answer, then } = looked;
        if let Some(answer) = answer {
            return Ok(answer.into());
        }
        // Another row may have asked the same since. No other task can come between this and entering the flight.
        let may_have_come = lock(&self.flights.finished).may_have_come(&key, then);
        if may_have_come && let Some(answer) = self.known(&question, &key, &self.store.calls()?)? {
            self.answered(&answer, None);
            return Ok(answer.into());
        }
        let cell = Arc::clone(lock(&self.flights.cells).entry(key).or_default());
        let mut asked_here = None;
        let answered = cell
            .get_or_try_init(|| async {
                asked_here = Some(&question);
                self.put(&question, key).await
            })
            .await;
        let answered = match answered {
            Ok(answer) => {
                self.answered(answer, asked_here);
                Ok(answer.clone().into())
            }
            Err(Unanswered::Stage(failure)) => Err(failure),
            Err(Unanswered::Engine(error)) => self.failed(&question, error),
        };
        lock(&self.flights.cells).remove(&key);
        answered
    }

    /// Puts one question to the engine and keeps its answer.
    async fn put(&self, question: &Question, key: Key) -> Result<Answer, Unanswered> {
        let answer = {
            let _waiting = self.wait();
            answer(self.engine.as_ref(), question).await.map_err(Unanswered::Engine)?
        };
        let tokens = answer.usage().completion_tokens;
        tracing::debug!(call = %key.short(), elapsed_ms = answer.elapsed_ms(), tokens, "answered");
        let text = serde_json::to_string(&answer).expect("an answer is always valid JSON");
        let put = if self.refresh { Put::Replace } else { Put::First };
        let stored = self.store.put_call(key, text, put, self.now).await;
        let answer = stored.and_then(|stored| {
            Ok(match question {
                Question::Complete { .. } | Question::Run(_) => Answer::Reply(self.store.read_reply(&key, &stored)?),
                Question::Embed(_) => Answer::Embedding(self.store.read_reply(&key, &stored)?),
            })
        });
        let answer = answer.map_err(|error| Unanswered::Stage(error.into()))?;
        if self.refresh {
            lock(&self.flights.refreshed).insert(key);
        }
        lock(&self.flights.finished).add(key);
        Ok(answer)
    }

    fn wait(&self) -> WaitGuard<'_> {
        let mut waiting = lock(&self.waiting);
        waiting.calls += 1;
        waiting.since.get_or_insert_with(Instant::now);
        WaitGuard(&self.waiting)
    }

    /// Counts an answer; `asked` is the question if it was put to the engine for it.
    fn answered(&self, answer: &Answer, asked: Option<&Question>) {
        self.failures_in_a_row.store(0, Ordering::Relaxed);
        let mut account = lock(&self.account);
        count(&mut account.tally, answer, asked.is_some());
        if let Some(question) = asked {
            let speed = &mut account.speed;
            speed.calls += 1;
            speed.prompt_chars += question.chars();
            speed.prompt_tokens += u64::from(answer.usage().prompt_tokens);
            speed.completion_tokens += u64::from(answer.usage().completion_tokens);
        }
    }

    /// Turns a failed call into a failed row, or into a failed stage where asking further is pointless.
    fn failed(&self, question: &Question, error: EngineError) -> Result<Asked, StageFailure> {
        if error.is_fatal() {
            let help = error.help.unwrap_or_else(|| fatal_help(question, error.kind).to_owned());
            return Err(StageFailure::new(error.message, Some(help)));
        }
        let failed = Asked::Failed(CallFailure::from(&error));
        let engine_is_in_trouble = match error.kind {
            // It lies in the request itself: asking again cannot help, so the stage is complete all the same.
            EngineErrorKind::ContextOverflow { .. } if self.context_is_keyed => return Ok(failed),
            EngineErrorKind::Transient | EngineErrorKind::RateLimited { .. } => true,
            EngineErrorKind::ContextOverflow { .. }
            | EngineErrorKind::Rejected
            | EngineErrorKind::Unsupported
            | EngineErrorKind::BadReply
            | EngineErrorKind::Auth
            | EngineErrorKind::Unavailable => false,
        };
        lock(&self.account).unsettled += 1;
        if engine_is_in_trouble && self.failures_in_a_row.fetch_add(1, Ordering::Relaxed) + 1 >= FAILURES_IN_A_ROW {
            return Err(StageFailure::new(
                format!("{FAILURES_IN_A_ROW} calls in a row were not answered, the last one because {}", error.message),
                Some("see that the model answers, then run again: finished calls are kept".to_owned()),
            ));
        }
        Ok(failed)
    }
}

/// Ends the waiting for one call, whatever became of it.
struct WaitGuard<'a>(&'a Mutex<Waiting>);

impl Drop for WaitGuard<'_> {
    fn drop(&mut self) {
        let mut waiting = lock(self.0);
        waiting.calls -= 1;
        if waiting.calls == 0
            && let Some(since) = waiting.since.take()
        {
            waiting.busy_ms += since.elapsed().as_secs_f64() * 1000.0;
        }
    }
}

fn count(tally: &mut Tally, answer: &Answer, made: bool) {
    let usage = answer.usage();
    let (prompt, completion) = (u64::from(usage.prompt_tokens), u64::from(usage.completion_tokens));
    if made {
        tally.calls_made += 1;
        tally.prompt_tokens_made += prompt;
        tally.completion_tokens_made += completion;
    } else {
        tally.calls_cached += 1;
        tally.saved_ms += answer.elapsed_ms();
    }
    tally.engine_ms += answer.elapsed_ms();
    tally.prompt_tokens += prompt;
    tally.completion_tokens += completion;
}

fn fatal_help(question: &Question, kind: EngineErrorKind) -> &'static str {
    let embeds = matches!(question, Question::Embed(_));
    if matches!(question, Question::Run(_)) {
        return "see that the program can be run, then run again: finished calls are kept";
    }
    if embeds && kind == EngineErrorKind::Unsupported {
        "name a model that embeds texts as `embed` of `near_duplicates` (a llama-server needs `--embeddings`), then run \
         again: finished calls are kept"
    } else if kind == EngineErrorKind::Auth {
        "set the right `api_key` in the environment, then run again: finished calls are kept"
    } else if kind == EngineErrorKind::Unsupported {
        "write `mode: json` in the `judge` stage, or name another model there, then run again: finished calls are kept"
    } else {
        "see that the model can be reached and loaded, then run again: finished calls are kept"
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing that can panic happens while these are held.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
