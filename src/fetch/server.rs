//! A web server that can do wrong, for tests.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// One request: its path with the query, and its headers under lower-case names.
#[derive(Debug, Clone, Default)]
pub(super) struct Request {
    pub(super) path: String,
    pub(super) headers: BTreeMap<String, String>,
}

impl Request {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }
}

/// What is sent back, byte for byte.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    /// Sends only so much of the body.
    cut: Option<usize>,
    /// Then keeps the connection open instead of closing it.
    stall: bool,
    /// Sends the body in chunks, without stating its length.
    chunked: bool,
}

impl Answer {
    pub(super) fn new(status: u16, body: &[u8]) -> Self {
        Self { status, headers: vec![], body: body.to_owned(), cut: None, stall: false, chunked: false }
    }

    /// Answers as a good server does for a file of this content and tag.
    pub(super) fn file(content: &[u8], etag: &str, request: &Request) -> Self {
        let range = request.header("range").and_then(|range| range.strip_prefix("bytes=")?.split_once('-'));
        let range = range.map(|(start, last)| (start.parse::<usize>().unwrap(), last.parse::<usize>().ok()));
        let same = request.header("if-range").is_none_or(|tag| tag == etag);
        let total = content.len();
        match range.filter(|_| same) {
            None => Self::new(200, content),
            Some((start, _)) if start >= total => {
                Self::new(416, b"").header("Content-Range", &format!("bytes */{total}"))
            }
            Some((start, last)) => {
                let last = last.unwrap_or(total - 1).min(total - 1);
                let range = format!("bytes {start}-{last}/{total}");
                Self::new(206, &content[start..=last]).header("Content-Range", &range)
            }
        }
        .header("ETag", etag)
    }

    /// Sets a header, in place of one of the same name.
    pub(super) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.retain(|(other, _)| other != name);
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(super) fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(other, _)| other != name);
        self
    }

    pub(super) fn cut(mut self, bytes: usize) -> Self {
        self.cut = Some(bytes);
        self
    }

    pub(super) fn stall(mut self, bytes: usize) -> Self {
        self.stall = true;
        self.cut(bytes)
    }

    pub(super) fn chunked(mut self) -> Self {
        self.chunked = true;
        self
    }

    async fn send(&self, stream: &mut TcpStream) -> std::io::Result<()> {
        let mut out = format!("HTTP/1.1 {} x\r\nConnection: close\r\n", self.status);
        for (name, value) in &self.headers {
            write!(out, "{name}: {value}\r\n").unwrap();
        }
        let body = &self.body[..self.cut.unwrap_or(self.body.len()).min(self.body.len())];
        if self.chunked {
            out += "Transfer-Encoding: chunked\r\n\r\n";
            stream.write_all(out.as_bytes()).await?;
            stream.write_all(format!("{:x}\r\n", body.len()).as_bytes()).await?;
            stream.write_all(body).await?;
            stream.write_all(b"\r\n").await?;
            if self.cut.is_none() {
                stream.write_all(b"0\r\n\r\n").await?;
            }
        } else {
            if !self.headers.iter().any(|(name, _)| name == "Content-Length") {
                write!(out, "Content-Length: {}\r\n", self.body.len()).unwrap();
            }
            out += "\r\n";
            stream.write_all(out.as_bytes()).await?;
            stream.write_all(body).await?;
        }
        stream.flush().await?;
        if self.stall {
            std::future::pending::<()>().await;
        }
        stream.shutdown().await
    }
}

/// A server on a free port of this machine, until it is dropped.
pub(super) struct Server {
    address: String,
    requests: Arc<Mutex<Vec<Request>>>,
    _tasks: JoinSet<()>,
}

impl Server {
    /// Answers each request with what `answer` makes of its number, from 0, and of the request.
    pub(super) async fn start(answer: impl Fn(usize, &Request) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&requests);
        let answer = Arc::new(answer);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let (log, answer) = (Arc::clone(&log), Arc::clone(&answer));
                connections.spawn(async move {
                    let Some(request) = read(&mut stream).await else { return };
                    let number = {
                        let mut log = log.lock().unwrap();
                        log.push(request.clone());
                        log.len() - 1
                    };
                    // The client may have hung up.
                    answer(number, &request).send(&mut stream).await.ok();
                });
            }
        });
        Self { address, requests, _tasks: tasks }
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// All requests so far.
    pub(super) fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }

    /// The `Range` header of each request so far.
    pub(super) fn ranges(&self) -> Vec<Option<String>> {
        self.requests().iter().map(|request| request.header("range").map(str::to_owned)).collect()
    }
}

async fn read(stream: &mut TcpStream) -> Option<Request> {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") {
        bytes.push(stream.read_u8().await.ok()?);
    }
    let text = String::from_utf8(bytes).unwrap();
    let mut lines = text.lines();
    let path = lines.next()?.split(' ').nth(1)?.to_owned();
    let headers = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    Some(Request { path, headers })
}
