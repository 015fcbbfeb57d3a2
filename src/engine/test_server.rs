//! An HTTP server for tests: answers as it is told, also badly, and remembers what it was asked.
//!
//! Owns just enough of HTTP/1.1 to be a server for one client library. Only in tests; start at [`TestServer::start`].

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

/// One request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    /// The method and the path: `POST /v1/chat/completions`.
    pub(crate) line: String,
    /// Headers by lower-case name.
    pub(crate) headers: BTreeMap<String, String>,
    /// The body, `null` if it is no JSON.
    pub(crate) body: Value,
}

/// What the server does with one request.
#[derive(Clone)]
pub(crate) enum Step {
    /// Answers.
    Answer { status: u16, headers: Vec<(String, String)>, body: Vec<u8> },
    /// Promises more than it sends, and hangs up.
    Truncate(Vec<u8>),
    /// Sends a body that does not end.
    Endless,
    /// Sends bytes that are no HTTP, and hangs up.
    Garbage(Vec<u8>),
    /// Hangs up.
    Close,
    /// Never answers.
    Stall,
    /// Answers when a permit is there to be used up.
    Held(Arc<Semaphore>, Box<Self>),
}

impl Step {
    pub(crate) fn text(status: u16, body: &str) -> Self {
        Self::Answer { status, headers: Vec::new(), body: body.as_bytes().to_vec() }
    }

    pub(crate) fn json(status: u16, body: &Value) -> Self {
        Self::text(status, &body.to_string())
    }

    pub(crate) fn with_header(mut self, name: &str, value: &str) -> Self {
        if let Self::Answer { headers, .. } = &mut self {
            headers.push((name.to_owned(), value.to_owned()));
        }
        self
    }

    /// A completion that says `text`.
    pub(crate) fn says(text: &str) -> Self {
        Self::json(200, &completion(text, "stop"))
    }
}

/// The body of a chat completion.
pub(crate) fn completion(text: &str, finish: &str) -> Value {
    json!({
        "object": "chat.completion",
        "choices": [{ "index": 0, "message": { "role": "assistant", "content": text }, "finish_reason": finish }],
        "usage": {
            "prompt_tokens": 7,
            "completion_tokens": text.split_whitespace().count(),
            "prompt_tokens_details": { "cached_tokens": 3 },
        },
    })
}

/// Counts of what happened so far.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Counts {
    pub(crate) connections: usize,
    pub(crate) requests: usize,
    /// Requests that are not answered yet.
    pub(crate) open: usize,
    /// The most that were open at once.
    pub(crate) peak: usize,
    /// Requests whose client left.
    pub(crate) abandoned: usize,
}

type Handler = dyn Fn(usize, &Seen) -> Step + Send + Sync;

struct State {
    handler: Box<Handler>,
    seen: std::sync::Mutex<Vec<Seen>>,
    counts: watch::Sender<Counts>,
}

/// A server on a free port of this machine; gone when dropped.
pub(crate) struct TestServer {
    address: std::net::SocketAddr,
    state: Arc<State>,
    _accepting: JoinSet<()>,
}

impl TestServer {
    /// Starts a server that does the steps in order and then the last one for ever.
    pub(crate) async fn start(steps: Vec<Step>) -> Self {
        Self::start_with(move |number, _| steps[number.min(steps.len() - 1)].clone()).await
    }

    /// Starts a server that does what `handler` says for the number of the request, from 0, and the request.
    pub(crate) async fn start_with(handler: impl Fn(usize, &Seen) -> Step + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State {
            handler: Box::new(handler),
            seen: std::sync::Mutex::default(),
            counts: watch::Sender::new(Counts::default()),
        });
        let mut accepting = JoinSet::new();
        accepting.spawn(accept(listener, Arc::clone(&state)));
        Self { address, state, _accepting: accepting }
    }

    /// Starts a server that behaves like one with a model: it repeats what it is told, up to `max_tokens` words.
    pub(crate) async fn start_model() -> Self {
        Self::start_with(|_, seen| {
            let limit = usize::try_from(seen.body["max_tokens"].as_u64().unwrap()).unwrap();
            let said = seen.body["messages"].as_array().unwrap().last().unwrap()["content"].as_str().unwrap();
            let words: Vec<&str> = ["you", "said"].into_iter().chain(said.split_whitespace()).collect();
            let finish = if words.len() > limit { "length" } else { "stop" };
            Step::json(200, &completion(&words[..words.len().min(limit)].join(" "), finish))
        })
        .await
    }

    /// The base of its addresses, without a slash at the end.
    pub(crate) fn base_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// The requests so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.state.seen.lock().unwrap().clone()
    }

    pub(crate) fn counts(&self) -> Counts {
        *self.state.counts.borrow()
    }

    /// Comes back when `reached` is true of the counts. The limit only ends a test that would hang.
    pub(crate) async fn until(&self, reached: impl FnMut(&Counts) -> bool) {
        let mut counts = self.state.counts.subscribe();
        let waited = tokio::time::timeout(Duration::from_secs(60), counts.wait_for(reached)).await;
        waited.expect("the server was not asked as expected").unwrap();
    }
}

async fn accept(listener: TcpListener, state: Arc<State>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        state.counts.send_modify(|counts| counts.connections += 1);
        let state = Arc::clone(&state);
        connections.spawn(async move {
            // An error is the client's leaving, which is its right.
            drop(serve(stream, &state).await);
        });
    }
}

async fn serve(stream: TcpStream, state: &State) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = BufReader::new(stream);
    while let Some(seen) = read_request(&mut stream).await? {
        let number = {
            let mut all = state.seen.lock().unwrap();
            all.push(seen.clone());
            all.len() - 1
        };
        state.counts.send_modify(|counts| {
            counts.requests += 1;
            counts.open += 1;
            counts.peak = counts.peak.max(counts.open);
        });
        let mut step = (state.handler)(number, &seen);
        while let Step::Held(permits, held) = step {
            permits.acquire().await.unwrap().forget();
            step = *held;
        }
        if let Step::Stall = step {
            let left = stream.read_u8().await;
            state.counts.send_modify(|counts| {
                counts.open -= 1;
                counts.abandoned += usize::from(left.is_err());
            });
            return Ok(());
        }
        // Before the answer is sent: the client may ask again before this task runs again.
        state.counts.send_modify(|counts| counts.open -= 1);
        if !perform(step, &mut stream).await? {
            return Ok(());
        }
    }
    Ok(())
}

/// Does one step; false if it ends the connection.
async fn perform(step: Step, stream: &mut BufReader<TcpStream>) -> std::io::Result<bool> {
    match step {
        Step::Answer { status, headers, body } => {
            let mut head = format!("HTTP/1.1 {status} \r\ncontent-length: {}\r\n", body.len());
            for (name, value) in headers {
                head = format!("{head}{name}: {value}\r\n");
            }
            stream.write_all(format!("{head}\r\n").as_bytes()).await?;
            stream.write_all(&body).await?;
            return Ok(true);
        }
        Step::Truncate(body) => {
            stream
                .write_all(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len() + 9).as_bytes())
                .await?;
            stream.write_all(&body).await?;
        }
        Step::Endless => {
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?;
            let piece = vec![b' '; 1 << 20];
            loop {
                stream.write_all(&piece).await?;
            }
        }
        Step::Garbage(bytes) => stream.write_all(&bytes).await?,
        Step::Close => {}
        Step::Stall | Step::Held(..) => unreachable!("done by the caller"),
    }
    stream.shutdown().await?;
    Ok(false)
}

async fn read_request(stream: &mut BufReader<TcpStream>) -> std::io::Result<Option<Seen>> {
    let mut start = String::new();
    if stream.read_line(&mut start).await? == 0 {
        return Ok(None);
    }
    let line = start.trim_end().trim_end_matches(" HTTP/1.1").to_owned();
    let mut headers = BTreeMap::new();
    loop {
        let mut header = String::new();
        if stream.read_line(&mut header).await? == 0 {
            return Ok(None);
        }
        let Some((name, value)) = header.trim_end().split_once(':') else { break };
        headers.insert(name.to_lowercase(), value.trim().to_owned());
    }
    let length = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    Ok(Some(Seen { line, headers, body: serde_json::from_slice(&body).unwrap_or_default() }))
}
