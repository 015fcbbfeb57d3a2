//! Putting calls: first to the store, then to whoever is asking the same thing already, then to the engine.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::OnceCell;

use super::StageFailure;
use crate::engine::{CallKeys, Engine, EngineError, EngineErrorKind, Reply, Request};
use crate::key::Key;
use crate::stage::{Asked, CallFailure};
use crate::store::{CallReader, Put, Speed, Store, Tally};

/// So many failures in a row, with no answer between them, mean that the engine is gone.
const FAILURES_IN_A_ROW: u32 = 5;

/// The calls of a run that are being asked: two stages that ask the same thing at once ask it once.
#[derive(Default)]
pub(super) struct Flights {
    cells: Mutex<BTreeMap<Key, Arc<OnceCell<Reply>>>>,
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

/// A request with its key and the reply that the store had for it.
pub(super) struct Looked {
    pub(super) request: Request,
    pub(super) key: Key,
    pub(super) reply: Option<Reply>,
    /// How many calls of the run were finished then.
    then: u64,
}

impl Looked {
    /// The answer that the store had.
    pub(super) fn into_answer(self) -> Option<Asked> {
        self.reply.map(Asked::Replied)
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
}

impl Caller {
    pub(super) fn new(store: Arc<Store>, engine: Arc<dyn Engine>, flights: Arc<Flights>, manner: &Manner) -> Self {
        let Manner { now, refresh, context_is_keyed, jobs } = *manner;
        let width = engine.width().min(jobs.unwrap_or(usize::MAX)).max(1);
        Self {
            store,
            keys: CallKeys::new(engine.identity()),
            engine,
            flights,
            now,
            refresh,
            context_is_keyed,
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

    /// Digest of who answers.
    pub(super) fn model(&self) -> crate::key::BlobId {
        self.engine.identity().digest()
    }

    /// Looks requests up in the store. Without waiting: for whoever has many rows to look through.
    pub(super) fn look_up(
        &self,
        requests: Vec<Request>,
        calls: &CallReader<'_>,
        tally: &mut Tally,
    ) -> Result<Vec<Looked>, StageFailure> {
        let then = lock(&self.flights.finished).count;
        let mut look = |request: Request| {
            let key = self.keys.key(&request);
            let reply = self.known(&key, calls)?;
            if let Some(reply) = &reply {
                count(tally, reply, false);
            }
            Ok(Looked { request, key, reply, then })
        };
        requests.into_iter().map(&mut look).collect()
    }

    /// Looks a few requests up and counts what is found.
    pub(super) fn look_up_now(&self, requests: Vec<Request>) -> Result<Vec<Looked>, StageFailure> {
        let mut tally = Tally::default();
        let looked = self.look_up(requests, &self.store.calls()?, &mut tally)?;
        self.add(&tally);
        Ok(looked)
    }

    /// What the store has for a key, unless the run is there to ask it again.
    fn known(&self, key: &Key, calls: &CallReader<'_>) -> Result<Option<Reply>, StageFailure> {
        if self.refresh && !lock(&self.flights.refreshed).contains(key) {
            return Ok(None);
        }
        Ok(calls.reply(key)?)
    }

    /// Adds what was looked up elsewhere.
    pub(super) fn add(&self, found: &Tally) {
        if found.calls_cached > 0 {
            self.failures_in_a_row.store(0, Ordering::Relaxed);
            lock(&self.account).tally.add_cached(found);
        }
    }

    /// Asks all at once what the store did not have, and gives the answers in order.
    pub(super) async fn ask_all(&self, looked: Vec<Looked>) -> Result<Vec<Asked>, StageFailure> {
        futures_util::future::try_join_all(looked.into_iter().map(|looked| self.ask(looked))).await
    }

    async fn ask(&self, looked: Looked) -> Result<Asked, StageFailure> {
        let Looked { request, key, reply, then } = looked;
        if let Some(reply) = reply {
            return Ok(Asked::Replied(reply));
        }
        // Another row may have asked the same since. No other task can come between this and entering the flight.
        let may_have_come = lock(&self.flights.finished).may_have_come(&key, then);
        if may_have_come && let Some(reply) = self.known(&key, &self.store.calls()?)? {
            self.answered(&reply, None);
            return Ok(Asked::Replied(reply));
        }
        let cell = Arc::clone(lock(&self.flights.cells).entry(key).or_default());
        let mut asked_here = None;
        let answered = cell
            .get_or_try_init(|| async {
                asked_here = Some(&request);
                self.put(&request, key).await
            })
            .await;
        let answered = match answered {
            Ok(reply) => {
                self.answered(reply, asked_here);
                Ok(Asked::Replied(reply.clone()))
            }
            Err(Unanswered::Stage(failure)) => Err(failure),
            Err(Unanswered::Engine(error)) => self.failed(error),
        };
        lock(&self.flights.cells).remove(&key);
        answered
    }

    /// Puts one request to the engine and keeps its reply.
    async fn put(&self, request: &Request, key: Key) -> Result<Reply, Unanswered> {
        let reply = {
            let _waiting = self.wait();
            self.engine.complete(request).await.map_err(Unanswered::Engine)?
        };
        tracing::debug!(call = %key.short(), elapsed_ms = reply.elapsed_ms, tokens = reply.usage.completion_tokens, "answered");
        let text = serde_json::to_string(&reply).expect("a reply is always valid JSON");
        let put = if self.refresh { Put::Replace } else { Put::First };
        let stored = self.store.put_call(key, text, put, self.now).await;
        let reply = stored.and_then(|stored| self.store.read_reply(&key, &stored));
        let reply: Reply = reply.map_err(|error| Unanswered::Stage(error.into()))?;
        if self.refresh {
            lock(&self.flights.refreshed).insert(key);
        }
        lock(&self.flights.finished).add(key);
        Ok(reply)
    }

    fn wait(&self) -> WaitGuard<'_> {
        let mut waiting = lock(&self.waiting);
        waiting.calls += 1;
        waiting.since.get_or_insert_with(Instant::now);
        WaitGuard(&self.waiting)
    }

    /// Counts a reply; `asked` is the request if it was put to the engine for it.
    fn answered(&self, reply: &Reply, asked: Option<&Request>) {
        self.failures_in_a_row.store(0, Ordering::Relaxed);
        let mut account = lock(&self.account);
        count(&mut account.tally, reply, asked.is_some());
        if let Some(request) = asked {
            let speed = &mut account.speed;
            speed.calls += 1;
            speed.prompt_chars +=
                request.messages.iter().map(|message| message.content.chars().count() as u64).sum::<u64>();
            speed.prompt_tokens += u64::from(reply.usage.prompt_tokens);
            speed.completion_tokens += u64::from(reply.usage.completion_tokens);
        }
    }

    /// Turns a failed call into a failed row, or into a failed stage where asking further is pointless.
    fn failed(&self, error: EngineError) -> Result<Asked, StageFailure> {
        if error.is_fatal() {
            let help = error.help.unwrap_or_else(|| fatal_help(error.kind).to_owned());
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

fn count(tally: &mut Tally, reply: &Reply, made: bool) {
    let (prompt, completion) = (u64::from(reply.usage.prompt_tokens), u64::from(reply.usage.completion_tokens));
    if made {
        tally.calls_made += 1;
        tally.prompt_tokens_made += prompt;
        tally.completion_tokens_made += completion;
    } else {
        tally.calls_cached += 1;
        tally.saved_ms += reply.elapsed_ms;
    }
    tally.engine_ms += reply.elapsed_ms;
    tally.prompt_tokens += prompt;
    tally.completion_tokens += completion;
}

fn fatal_help(kind: EngineErrorKind) -> &'static str {
    if kind == EngineErrorKind::Auth {
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
