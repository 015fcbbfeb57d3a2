//! The engine's thread: it owns the model and answers a queue of requests.
//!
//! Requests go in, replies come out, nothing in between.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::Instant;

use tokio::sync::oneshot;
use tracing::Dispatch;

use super::LlamaConfig;
use super::embed::{EmbedJob, Embedder};
use super::load::{self, ErrorLog};
use super::scheduler::{Scheduler, milliseconds};
use crate::engine::{EmbedRequest, Embedding, EngineError, EngineErrorKind, Reply, Request};

/// The handle on the engine's thread.
#[derive(Debug)]
pub(super) struct Worker {
    /// None once the worker is being dropped, or if the thread could not be started.
    queue: Option<mpsc::Sender<Task>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// What is in the queue.
#[derive(Debug)]
enum Task {
    Complete(Job),
    Embed(EmbedJob),
}

impl Task {
    fn is_abandoned(&self) -> bool {
        match self {
            Self::Complete(job) => job.is_abandoned(),
            Self::Embed(job) => job.is_abandoned(),
        }
    }

    fn refuse(self, error: EngineError) {
        match self {
            Self::Complete(job) => job.answer(Err(error)),
            Self::Embed(job) => job.answer(Err(error)),
        }
    }

    fn hand_to(self, scheduler: &mut Scheduler<'_>, embedder: &mut Embedder<'_>) {
        match self {
            Self::Complete(job) => scheduler.accept(job),
            Self::Embed(job) => embedder.accept(job),
        }
    }
}

/// A request and who waits for its reply.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) request: Request,
    reply: oneshot::Sender<Result<Reply, EngineError>>,
}

impl Job {
    /// Whether nobody waits any more.
    pub(super) fn is_abandoned(&self) -> bool {
        self.reply.is_closed()
    }

    pub(super) fn answer(self, reply: Result<Reply, EngineError>) {
        // Nobody waits any more if this fails.
        let _unheard = self.reply.send(reply);
    }
}

impl Worker {
    /// Starts the thread, which waits for the first request before it loads anything.
    pub(super) fn start(config: LlamaConfig) -> Self {
        let (queue, jobs) = mpsc::channel();
        let stop = Arc::new(AtomicBool::new(false));
        // A thread has no subscriber of its own: what llama.cpp says goes where the engine's maker listens.
        let listener = tracing::dispatcher::get_default(Dispatch::clone);
        let stopped = Arc::clone(&stop);
        let thread = thread::Builder::new().name("llama".to_owned()).spawn(move || {
            let (dispatch, error_log) = load::listen(listener);
            tracing::dispatcher::with_default(&dispatch, || serve(&config, &jobs, &stopped, &error_log));
        });
        match thread {
            Ok(thread) => Self { queue: Some(queue), stop, thread: Some(thread) },
            Err(error) => {
                tracing::error!(%error, "the embedded engine's thread could not be started");
                Self { queue: None, stop, thread: None }
            }
        }
    }

    /// Puts a request into the queue and waits for its reply. Dropping the future gives the request up.
    pub(super) async fn ask(&self, request: Request) -> Result<Reply, EngineError> {
        let (reply, answer) = oneshot::channel();
        self.put(Task::Complete(Job { request, reply }))?;
        answer.await.map_err(|_| ended())?
    }

    /// Puts a text into the queue and waits for its embedding. Dropping the future gives it up.
    pub(super) async fn embed(&self, request: EmbedRequest) -> Result<Embedding, EngineError> {
        let (reply, answer) = oneshot::channel();
        self.put(Task::Embed(EmbedJob { request, reply }))?;
        answer.await.map_err(|_| ended())?
    }

    fn put(&self, task: Task) -> Result<(), EngineError> {
        self.queue.as_ref().ok_or_else(ended)?.send(task).map_err(|_| ended())
    }
}

fn ended() -> EngineError {
    EngineError::new(EngineErrorKind::Unavailable, "the embedded engine's thread is not running")
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.queue = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the embedded engine's thread panicked");
        }
    }
}

fn serve(config: &LlamaConfig, jobs: &mpsc::Receiver<Task>, stop: &Arc<AtomicBool>, error_log: &ErrorLog) {
    let stopped = || stop.load(Ordering::Relaxed);
    // Nothing is loaded for a request that nobody waits for any more.
    let Some(first) = jobs.iter().take_while(|_| !stopped()).find(|job| !job.is_abandoned()) else { return };
    let start = Instant::now();
    let model = match load::model(config, stop, error_log) {
        Ok(model) => model,
        Err(error) => return std::iter::once(first).chain(jobs).for_each(|task| task.refuse(error.clone())),
    };
    let mut scheduler = Scheduler::new(&model, config, error_log);
    let (load_ms, llama_ms) = (milliseconds(start.elapsed()), milliseconds(model.loading));
    tracing::debug!(load_ms, llama_ms, "the embedded engine loaded the weights");
    let mut embedder = Embedder::new(&model, config, error_log);
    first.hand_to(&mut scheduler, &mut embedder);
    while !stopped() {
        jobs.try_iter().for_each(|task| task.hand_to(&mut scheduler, &mut embedder));
        if scheduler.is_idle() && embedder.is_idle() {
            let Ok(task) = jobs.recv() else { return };
            task.hand_to(&mut scheduler, &mut embedder);
            continue;
        }
        embedder.turn();
        if !scheduler.is_idle() {
            scheduler.turn(&stopped);
        }
    }
}
