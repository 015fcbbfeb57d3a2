//! Servers that speak OpenAI's chat completions: llama-server, vLLM, Ollama's `/v1`, OpenAI and other hosted ones.
//!
//! Owns the conversation with one server: the limit of requests in flight, what the server was found to refuse, its
//! pauses. Never interprets a reply's text. Start at [`OpenAiEngine`]; `endpoint` is who is asked, `form` what is sent,
//! `completion`, `logprobs` and `complaint` what comes back.

mod complaint;
mod completion;
mod endpoint;
mod form;
mod logprobs;
mod overflow;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::BoxFuture;
use reqwest::header::LOCATION;
use reqwest::{Client, Response, StatusCode};
use serde_json::{Value, json};
use tokio::sync::{Semaphore, SemaphorePermit};

use self::complaint::{Complaint, status_line};
use self::completion::NoReply;
use self::endpoint::Endpoint;
use self::form::Form;
use super::retry::{Again, Clock, Failure, Gate, TokioClock, asked_wait, with_retries};
use super::{Engine, EngineError, EngineErrorKind, Identity, Reply, Request};
use crate::spec;

/// The largest body that is taken for a reply.
const LARGEST_BODY: usize = 16 << 20;
/// As much of an error's body as is read.
const LARGEST_ERROR_BODY: usize = 64 << 10;

/// An engine that asks a server over HTTP.
pub struct OpenAiEngine {
    identity: Identity,
    endpoint: Endpoint,
    client: Client,
    model: String,
    retries: u32,
    width: usize,
    permits: Semaphore,
    gate: Gate,
    form: Mutex<Form>,
    clock: Arc<dyn Clock>,
}

/// What decides the replies of such a server, as far as it is known without asking it.
#[must_use]
pub fn identity(spec: &spec::OpenAi) -> Identity {
    // The key is left out, and so is what only decides when a reply comes.
    let spec::OpenAi { base_url: _, model, api_key: _, concurrency: _, timeout_s: _, retries: _, price: _ } = spec;
    Identity(json!({ "engine": "openai", "endpoint": endpoint::base(spec), "model": model }))
}

impl OpenAiEngine {
    /// Makes the engine. Asks nothing of the server yet.
    ///
    /// # Errors
    /// The address or the key cannot be used, or the machine has no certificates to check the server's by.
    pub fn new(spec: &spec::OpenAi) -> Result<Self, EngineError> {
        Self::with_clock(spec, Duration::from_secs(spec.timeout_s), Arc::new(TokioClock::new()))
    }

    fn with_clock(spec: &spec::OpenAi, timeout: Duration, clock: Arc<dyn Clock>) -> Result<Self, EngineError> {
        let endpoint = Endpoint::new(spec, timeout)?;
        let width = spec.concurrency.clamp(1, Semaphore::MAX_PERMITS);
        Ok(Self {
            identity: identity(spec),
            client: endpoint.client()?,
            endpoint,
            model: spec.model.clone(),
            retries: spec.retries,
            width,
            permits: Semaphore::new(width),
            gate: Gate::default(),
            form: Mutex::default(),
            clock,
        })
    }

    /// One try: asks, and asks again at once in another form where the server refuses the form.
    async fn attempt(&self, request: &Request) -> Result<Reply, Failure> {
        let _permit = self.admit().await;
        loop {
            // Every round but the last moves the form on, and a form can be moved only a few times.
            let form = self.form();
            if request.form.words().is_some() && !form.tells_probabilities() {
                return Err(Failure::new(
                    self.endpoint.error(EngineErrorKind::Unsupported, logprobs::UNTOLD),
                    Again::Never,
                ));
            }
            let answer = self.ask(request, form).await?;
            let complaint = match answer.reply(&self.endpoint, request) {
                Ok(Some(reply)) => return reply,
                Ok(None) => {
                    let (next, change) = form.without_probabilities();
                    self.learn(next, change);
                    continue;
                }
                Err(complaint) => complaint,
            };
            if complaint.tokens_over(request.max_tokens).is_none()
                && let Some((next, change)) = form.after(request, &complaint)
            {
                self.learn(next, change);
                continue;
            }
            if complaint.status == StatusCode::TOO_MANY_REQUESTS
                && let Some(pause) = answer.pause
            {
                self.gate.close_for(&*self.clock, pause);
            }
            return Err(complaint.failure(
                &self.endpoint,
                request.max_tokens,
                answer.pause,
                answer.location.as_deref(),
            ));
        }
    }

    /// Waits for a free place, and for the end of a pause that the server asked for.
    async fn admit(&self) -> SemaphorePermit<'_> {
        loop {
            self.gate.pass(&*self.clock).await;
            let permit = self.permits.acquire().await.expect("the semaphore is never closed");
            // It may have been closed in the queue; a place is not held while waiting.
            if self.gate.closed_for(&*self.clock).is_none() {
                return permit;
            }
        }
    }

    fn form(&self) -> Form {
        *self.form.lock().expect("nothing panics while it is held")
    }

    fn learn(&self, next: Form, change: &str) {
        let mut form = self.form.lock().expect("nothing panics while it is held");
        let joined = form.join(next);
        // Requests in flight together learn the same thing; it is told once.
        if *form != joined {
            *form = joined;
            tracing::warn!(endpoint = %self.endpoint.url(), "the server does not take a parameter: {change}");
        }
    }

    async fn ask(&self, request: &Request, form: Form) -> Result<Answer, Failure> {
        let body = form.body(&self.model, request);
        let started = self.clock.now();
        let broken = |error| self.endpoint.broken(&error);
        let response = self.client.post(self.endpoint.url().clone()).json(&body).send().await.map_err(broken)?;
        let status = response.status();
        let pause = asked_wait(response.headers());
        let location = response.headers().get(LOCATION).and_then(|place| place.to_str().ok()).map(ToOwned::to_owned);
        let body = if status.is_success() { self.read_body(response).await? } else { read_error_body(response).await };
        let elapsed = self.clock.now().saturating_sub(started);
        Ok(Answer { status, pause, location, body, elapsed_ms: u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX) })
    }

    async fn read_body(&self, mut response: Response) -> Result<Vec<u8>, Failure> {
        let mut body = Vec::new();
        while let Some(piece) = response.chunk().await.map_err(|error| self.endpoint.broken(&error))? {
            if body.len() + piece.len() > LARGEST_BODY {
                let what = format!("answered with more than {} MiB", LARGEST_BODY >> 20);
                return Err(Failure::new(self.endpoint.error(EngineErrorKind::BadReply, &what), Again::Never));
            }
            body.extend_from_slice(&piece);
        }
        Ok(body)
    }
}

/// The start of an error's body, as far as it comes: the status says most, and must not be lost with the rest.
async fn read_error_body(mut response: Response) -> Vec<u8> {
    let mut body = Vec::new();
    while body.len() < LARGEST_ERROR_BODY
        && let Ok(Some(piece)) = response.chunk().await
    {
        body.extend_from_slice(&piece);
    }
    body.truncate(LARGEST_ERROR_BODY);
    body
}

/// What came back.
struct Answer {
    status: StatusCode,
    pause: Option<Duration>,
    location: Option<String>,
    body: Vec<u8>,
    elapsed_ms: u64,
}

impl Answer {
    /// Tells an answer to the question, which may be a bad one, from a complaint about it; none where the question was how
    /// likely words are, and the answer does not say it.
    fn reply(&self, endpoint: &Endpoint, request: &Request) -> Result<Option<Result<Reply, Failure>>, Complaint> {
        if !self.status.is_success() {
            return Err(Complaint::read(self.status, &self.body));
        }
        let body: Value = match serde_json::from_slice(&self.body) {
            Ok(body) => body,
            Err(error) => {
                let words = endpoint.quote(&String::from_utf8_lossy(&self.body));
                let what = format!("answered {} and no JSON ({error}): {words}", status_line(self.status));
                return Ok(Some(Err(Failure::new(endpoint.error(EngineErrorKind::BadReply, &what), Again::Once))));
            }
        };
        if let Some(complaint) = Complaint::within_success(self.status, &body) {
            return Err(complaint);
        }
        let reply = match request.form.words() {
            None => completion::read(&body, self.elapsed_ms).map(Some),
            Some(words) => logprobs::read(&body, words, self.elapsed_ms),
        };
        let failed = |none: NoReply| Failure::new(endpoint.error(none.kind, &endpoint.quote(&none.what)), Again::Never);
        Ok(reply.map_err(failed).transpose())
    }
}

impl Engine for OpenAiEngine {
    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn width(&self) -> usize {
        self.width
    }

    fn complete<'a>(&'a self, request: &'a Request) -> BoxFuture<'a, Result<Reply, EngineError>> {
        Box::pin(with_retries(self.retries, &*self.clock, move || self.attempt(request)))
    }
}

impl fmt::Debug for OpenAiEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenAiEngine")
            .field("identity", &self.identity.0)
            .field("width", &self.width)
            .finish_non_exhaustive()
    }
}
