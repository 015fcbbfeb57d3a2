//! The engine's thread: it owns the model and answers a queue of requests.
//!
//! Requests go in, replies come out, nothing in between; answering several at once is a change to [`serve`] alone.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};

use tokio::sync::oneshot;
use tracing::Dispatch;

use super::LlamaConfig;
use super::load::{self, ErrorLog};
use super::session::Session;
use crate::engine::{EngineError, EngineErrorKind, Reply, Request};

/// The handle on the engine's thread.
#[derive(Debug)]
pub(super) struct Worker {
    /// None once the worker is being dropped, or if the thread could not be started.
    queue: Option<mpsc::Sender<Job>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Job {
    request: Request,
    reply: oneshot::Sender<Result<Reply, EngineError>>,
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
        let ended = || EngineError::new(EngineErrorKind::Unavailable, "the embedded engine's thread is not running");
        let (reply, answer) = oneshot::channel();
        let queue = self.queue.as_ref().ok_or_else(ended)?;
        queue.send(Job { request, reply }).map_err(|_| ended())?;
        answer.await.map_err(|_| ended())?
    }
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

fn serve(config: &LlamaConfig, jobs: &mpsc::Receiver<Job>, stop: &Arc<AtomicBool>, error_log: &ErrorLog) {
    let stopped = || stop.load(Ordering::Relaxed);
    let mut wanted = jobs.iter().take_while(|_| !stopped()).filter(|job| !job.reply.is_closed());
    let Some(first) = wanted.next() else { return };
    let model = load::model(config, stop, error_log);
    let session = model.as_ref().map_err(Clone::clone).and_then(|model| Session::new(model, config, error_log));
    let jobs = std::iter::once(first).chain(wanted);
    match session {
        Ok(mut session) => {
            for job in jobs {
                let reply = session.complete(&job.request, &|| stopped() || job.reply.is_closed());
                if let Some(reply) = reply.transpose() {
                    // Nobody waits any more if this fails.
                    let _unheard = job.reply.send(reply);
                }
            }
        }
        Err(error) => {
            for job in jobs {
                let _unheard = job.reply.send(Err(error.clone()));
            }
        }
    }
}
