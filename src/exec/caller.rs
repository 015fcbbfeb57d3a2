//! Putting calls: first to the store, then to whoever is asking the same thing already, then to the engine.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::OnceCell;

use super::StageFailure;
use crate::engine::{Engine, EngineError, EngineErrorKind, Reply, Request};
use crate::key::Key;
use crate::stage::{Asked, CallFailure};
use crate::store::{Put, Store, StoredCall, Tally};

/// So many failures in a row, with no answer between them, mean that the engine is gone.
const FAILURES_IN_A_ROW: u32 = 5;

/// Puts the calls of one stage.
pub(super) struct Caller {
    store: Arc<Store>,
    engine: Arc<dyn Engine>,
    now: i64,
    /// Whether the context's size is in the stage's key: then a prompt that does not fit never will.
    context_is_keyed: bool,
    account: Mutex<Account>,
    in_flight: Mutex<BTreeMap<Key, Arc<OnceCell<Reply>>>>,
    failures_in_a_row: AtomicU32,
}

/// What the stage's calls came to so far.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Account {
    pub(super) tally: Tally,
    /// Calls that failed and might be answered another time.
    pub(super) unsettled: u64,
}

/// Why one call was not answered.
enum Unanswered {
    Engine(EngineError),
    Stage(StageFailure),
}

impl Caller {
    pub(super) fn new(store: Arc<Store>, engine: Arc<dyn Engine>, now: i64, context_is_keyed: bool) -> Self {
        Self {
            store,
            engine,
            now,
            context_is_keyed,
            account: Mutex::default(),
            in_flight: Mutex::default(),
            failures_in_a_row: AtomicU32::new(0),
        }
    }

    /// How many rows are worth having in work at once.
    pub(super) fn width(&self) -> usize {
        self.engine.width().max(1)
    }

    pub(super) fn account(&self) -> Account {
        *lock(&self.account)
    }

    /// Asks all `requests` at once and gives the answers in their order.
    pub(super) async fn ask_all(&self, requests: &[Request]) -> Result<Vec<Asked>, StageFailure> {
        futures_util::future::try_join_all(requests.iter().map(|request| self.ask(request))).await
    }

    async fn ask(&self, request: &Request) -> Result<Asked, StageFailure> {
        let recipe = request.recipe(self.engine.identity());
        let key = recipe.key();
        if let Some(stored) = self.store.calls()?.call(&key)? {
            let reply = read_reply(&stored, &key)?;
            self.failures_in_a_row.store(0, Ordering::Relaxed);
            self.count(&reply, false);
            return Ok(Asked::Replied(reply));
        }
        let cell = Arc::clone(lock(&self.in_flight).entry(key).or_default());
        let mut asked_here = false;
        let answered = cell
            .get_or_try_init(|| async {
                asked_here = true;
                let reply = self.engine.complete(request).await.map_err(Unanswered::Engine)?;
                let text = serde_json::to_string(&reply).expect("a reply is always valid JSON");
                let stored = self.store.put_call(key, text, Put::First, self.now).await;
                stored
                    .map_err(StageFailure::from)
                    .and_then(|stored| read_reply(&stored, &key))
                    .map_err(Unanswered::Stage)
            })
            .await;
        match answered {
            Ok(reply) => {
                self.failures_in_a_row.store(0, Ordering::Relaxed);
                self.count(reply, asked_here);
                let reply = reply.clone();
                lock(&self.in_flight).remove(&key);
                Ok(Asked::Replied(reply))
            }
            Err(Unanswered::Stage(failure)) => Err(failure),
            Err(Unanswered::Engine(error)) => self.failed(error),
        }
    }

    fn count(&self, reply: &Reply, made: bool) {
        let mut account = lock(&self.account);
        let tally = &mut account.tally;
        if made {
            tally.calls_made += 1;
        } else {
            tally.calls_cached += 1;
            tally.saved_ms += reply.elapsed_ms;
        }
        tally.engine_ms += reply.elapsed_ms;
        tally.prompt_tokens += u64::from(reply.usage.prompt_tokens);
        tally.completion_tokens += u64::from(reply.usage.completion_tokens);
    }

    /// Turns a failed call into a failed row, or into a failed stage where asking further is pointless.
    fn failed(&self, error: EngineError) -> Result<Asked, StageFailure> {
        if error.is_fatal() {
            return Err(StageFailure::new(error.message, Some(fatal_help(error.kind).to_owned())));
        }
        let failed = Asked::Failed(CallFailure::from(&error));
        let engine_is_in_trouble = match error.kind {
            // It lies in the request itself: asking again cannot help, so the stage is complete all the same.
            EngineErrorKind::ContextOverflow { .. } if self.context_is_keyed => return Ok(failed),
            EngineErrorKind::Transient | EngineErrorKind::RateLimited { .. } => true,
            EngineErrorKind::ContextOverflow { .. }
            | EngineErrorKind::Rejected
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

fn fatal_help(kind: EngineErrorKind) -> &'static str {
    if kind == EngineErrorKind::Auth {
        "set the right `api_key` in the environment, then run again: finished calls are kept"
    } else {
        "see that the model can be reached and loaded, then run again: finished calls are kept"
    }
}

fn read_reply(stored: &StoredCall, key: &Key) -> Result<Reply, StageFailure> {
    serde_json::from_str(&stored.reply).map_err(|error| {
        StageFailure::new(
            format!("the reply kept for call {} cannot be read: {error}", key.short()),
            Some("move the store away and run again".to_owned()),
        )
    })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing that can panic happens while these are held.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
