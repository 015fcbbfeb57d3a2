//! Weights on a web server: a download that goes on where it stopped, now or in another process.

use std::error::Error;
use std::io;
use std::time::Duration;

use jiff::fmt::rfc2822::DateTimeParser;
use reqwest::header::{self, HeaderMap, HeaderName};
use reqwest::{Client, Response, StatusCode, Url, redirect};

use super::partial::{Meta, Partial};
use super::place::Place;
use super::redact::{redact, show_url};
use super::transfer::{Digests, PIECE, joined};
use super::{FetchError, Watch, size::Size};
use crate::net::{self, is_loopback};

/// The longest that a server may ask us to wait before the next try.
const LONGEST_WAIT: Duration = Duration::from_secs(300);

/// How long and how often to try.
#[derive(Debug, Clone)]
pub(super) struct Patience {
    /// Longest time to make a connection.
    pub(super) connect: Duration,
    /// Longest time without any data.
    pub(super) stall: Duration,
    /// Time before the first retry; doubles with each.
    pub(super) backoff: Duration,
    /// Most retries in a row that bring nothing new.
    pub(super) retries: u32,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(15),
            stall: Duration::from_secs(30),
            backoff: Duration::from_secs(1),
            retries: 5,
        }
    }
}

/// Downloads `url` to `place`.
pub(super) async fn download(
    url: &str,
    place: &Place,
    watch: &dyn Watch,
    patience: &Patience,
) -> Result<Digests, FetchError> {
    let url = check_url(url)?;
    let client = client(&url, patience)?;
    let shown = show_url(&url);
    let mut download = Download { shown, url, client, watch, patience, writer: Writer::new(place) };
    download.take_up().await?;
    download.run().await
}

/// Only what others cannot read or change on the way is fetched, so `http` is for this machine.
fn check_url(text: &str) -> Result<Url, FetchError> {
    let bad = |reason: String| FetchError::BadUrl { url: redact(text), reason };
    let url = Url::parse(text).map_err(|error| bad(error.to_string()))?;
    match url.scheme() {
        "https" => Ok(url),
        "http" if is_loopback(&url) => Ok(url),
        scheme => Err(bad(format!("`{scheme}` is not safe to fetch from another machine"))),
    }
}

fn client(url: &Url, patience: &Patience) -> Result<Client, FetchError> {
    let redirects = redirect::Policy::custom(|attempt| {
        let from_loopback = attempt.previous().last().is_some_and(|from| from.scheme() == "http" && is_loopback(from));
        let safe = attempt.url().scheme() == "https" || (from_loopback && is_loopback(attempt.url()));
        if !safe {
            attempt.error("it redirects to an address that is not safe")
        } else if attempt.previous().len() > 10 {
            attempt.error("it redirects more than 10 times")
        } else {
            attempt.follow()
        }
    });
    let builder = net::client(url)
        .map_err(|error| FetchError::Connect { url: show_url(url), reason: error.to_string() })?
        .redirect(redirects)
        .connect_timeout(patience.connect)
        .read_timeout(patience.stall);
    builder.build().map_err(|error| FetchError::Connect { url: show_url(url), reason: reason(error) })
}

/// What an error comes down to, without the URL.
fn reason(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut texts = vec![error.to_string()];
    let mut cause = error.source();
    while let Some(error) = cause {
        // Some errors repeat what they wrap.
        let text = error.to_string();
        if !texts.iter().any(|known| known.contains(&text)) {
            texts.push(text);
        }
        cause = error.source();
    }
    // The outer ones say only that a request was sent, the last one says what happened.
    let inner = texts.iter().skip_while(|text| text.starts_with("error sending") || text.starts_with("client error"));
    let inner: Vec<&str> = inner.map(String::as_str).collect();
    redact(&if inner.is_empty() { texts.join(": ") } else { inner.join(": ") })
}

/// Whether the other side cannot prove who it is, which trying again does not change.
fn is_untrusted(error: &(dyn Error + 'static)) -> bool {
    if let Some(rustls::Error::InvalidCertificate(_)) = error.downcast_ref() {
        return true;
    }
    // An I/O error gives the source of what it wraps as its own, and leaves out what it wraps.
    match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(inner) => is_untrusted(inner),
        None => error.source().is_some_and(is_untrusted),
    }
}

/// Why one attempt did not complete the file.
enum Failure {
    /// No other attempt will.
    Fatal(FetchError),
    /// Another one may, after the time that the server asks for.
    Retry(FetchError, Option<Duration>),
    /// What is here cannot be added to.
    StartOver(&'static str),
}

impl From<FetchError> for Failure {
    fn from(error: FetchError) -> Self {
        Self::Fatal(error)
    }
}

struct Download<'a> {
    url: Url,
    /// The URL as people see it.
    shown: String,
    client: Client,
    watch: &'a dyn Watch,
    patience: &'a Patience,
    writer: Writer,
}

impl Download<'_> {
    async fn take_up(&mut self) -> Result<(), FetchError> {
        let shown = self.shown.clone();
        let path = self.writer.place.path().to_owned();
        self.writer.apply(move |partial| Partial::open(&path, &shown).map(|opened| *partial = opened)).await?;
        let bytes = self.writer.partial.bytes();
        if bytes > 0 {
            self.watch.note(&format!("going on after {}", Size(bytes)));
        }
        Ok(())
    }

    async fn run(&mut self) -> Result<Digests, FetchError> {
        let mut failures = 0;
        // Attempts that bring the file further than ever do not count, or a long download over a bad line never ends
        // well; attempts that only repeat do, or a server that always breaks off at the same byte is asked for ever.
        let mut furthest = self.writer.partial.bytes();
        loop {
            let (error, wait) = match self.attempt().await {
                Ok(()) => return self.writer.apply(Partial::finish).await,
                Err(Failure::Fatal(error)) => return Err(error),
                Err(Failure::StartOver(why)) => {
                    self.watch.note(&format!("starting over: {why}"));
                    self.writer.partial.forget();
                    continue;
                }
                Err(Failure::Retry(error, wait)) => (error, wait),
            };
            if self.writer.partial.bytes() > furthest {
                furthest = self.writer.partial.bytes();
                failures = 0;
            }
            let wait = wait.unwrap_or_else(|| self.patience.backoff.saturating_mul(1 << failures));
            failures += 1;
            if failures > self.patience.retries || wait > LONGEST_WAIT {
                return Err(error);
            }
            let count = self.patience.retries;
            self.watch.note(&format!("{error}; trying again ({failures} of {count})"));
            tokio::time::sleep(wait).await;
        }
    }

    /// Asks for what is missing and takes what comes.
    async fn attempt(&mut self) -> Result<(), Failure> {
        let have = self.writer.partial.bytes();
        let mut request = self.client.get(self.url.clone()).header(header::ACCEPT_ENCODING, "identity");
        let validator = self.writer.partial.meta().validator().filter(|_| have > 0);
        let resuming = validator.is_some();
        if let Some(validator) = validator {
            request = request.header(header::RANGE, format!("bytes={have}-")).header(header::IF_RANGE, validator);
        }
        let response = request.send().await.map_err(|error| self.no_answer(error))?;
        if let Some(encoding) = text(response.headers(), &header::CONTENT_ENCODING)
            && encoding != "identity"
        {
            return Err(FetchError::Encoded { url: self.shown.clone(), encoding }.into());
        }
        match response.status() {
            StatusCode::OK => self.take_whole(response, have).await,
            StatusCode::PARTIAL_CONTENT if resuming => self.take_rest(response, have).await,
            StatusCode::RANGE_NOT_SATISFIABLE if resuming => self.check_complete(response.headers(), have),
            status => Err(self.refused(status, response.headers())),
        }
    }

    fn no_answer(&self, error: reqwest::Error) -> Failure {
        if error.is_timeout() && !error.is_connect() {
            return self.broken_off(&error, self.writer.partial.bytes(), None);
        }
        let (url, redirect) = (self.shown.clone(), error.is_redirect());
        if is_untrusted(&error) {
            return Failure::Fatal(FetchError::Untrusted { url, reason: reason(error) });
        }
        let error = FetchError::Connect { url, reason: reason(error) };
        if redirect { Failure::Fatal(error) } else { Failure::Retry(error, None) }
    }

    fn refused(&self, status: StatusCode, headers: &HeaderMap) -> Failure {
        let error = FetchError::Http { url: self.shown.clone(), status: status.as_u16() };
        let transient =
            status.is_server_error() || matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT);
        if transient { Failure::Retry(error, retry_after(headers)) } else { Failure::Fatal(error) }
    }

    /// Takes the whole file: the first answer, or the server does not send parts, or the file is another by now.
    async fn take_whole(&mut self, mut response: Response, have: u64) -> Result<(), Failure> {
        let page = |found| Failure::Fatal(FetchError::NotAModel { url: self.shown.clone(), found });
        let kind = text(response.headers(), &header::CONTENT_TYPE).unwrap_or_default().to_ascii_lowercase();
        if kind.starts_with("text/html") || kind.starts_with("application/xhtml") {
            return Err(page("a web page"));
        }
        let meta = Meta {
            url: self.shown.clone(),
            etag: text(response.headers(), &header::ETAG),
            last_modified: text(response.headers(), &header::LAST_MODIFIED),
            total: response.content_length(),
        };
        // The first bytes are looked at before those of earlier attempts are given up for them.
        let first = loop {
            match response.chunk().await.map_err(|error| self.broken_off(&error, 0, meta.total))? {
                Some(chunk) if chunk.is_empty() => {}
                Some(chunk) => break chunk,
                None => return Err(page("no bytes at all")),
            }
        };
        if first.trim_ascii_start().starts_with(b"<") || first.starts_with(b"\xef\xbb\xbf<") {
            return Err(page("a web page"));
        }
        if have > 0 {
            self.watch.note("starting over: the server sends the file from its beginning");
        }
        let total = meta.total;
        self.writer.apply(move |partial| partial.restart(meta)).await?;
        self.watch.total(total.unwrap_or(0));
        self.take(&first, total).await?;
        self.receive(response, total).await
    }

    /// Takes what is missing, if it goes on where the file stops.
    async fn take_rest(&mut self, response: Response, have: u64) -> Result<(), Failure> {
        let meta = self.writer.partial.meta();
        let range = text(response.headers(), &header::CONTENT_RANGE).and_then(|range| ContentRange::parse(&range));
        let Some(ContentRange { start: Some(start), total }) = range else {
            return Err(Failure::StartOver("the server does not say which part it sends"));
        };
        let other_size = total.zip(meta.total).is_some_and(|(now, then)| now != then);
        if other_size || is_other(response.headers(), meta) {
            return Err(Failure::StartOver("the file on the server has changed"));
        }
        if start != have {
            return Err(Failure::StartOver("the server sends another part than the one asked for"));
        }
        let total = total.or(meta.total);
        self.watch.total(total.unwrap_or(0));
        self.watch.advance(have);
        self.receive(response, total).await
    }

    /// The server has nothing after what is here: that is the end, or another file.
    fn check_complete(&self, headers: &HeaderMap, have: u64) -> Result<(), Failure> {
        let meta = self.writer.partial.meta();
        let stated = text(headers, &header::CONTENT_RANGE).and_then(|range| ContentRange::parse(&range)?.total);
        let totals = [stated, meta.total];
        if is_other(headers, meta) || totals == [None, None] || totals.into_iter().flatten().any(|total| total != have)
        {
            return Err(Failure::StartOver("the file on the server has changed"));
        }
        self.watch.total(have);
        self.watch.advance(have);
        Ok(())
    }

    /// Takes the rest of a body. What has come is on disk when this returns, however it ends.
    async fn receive(&mut self, mut response: Response, total: Option<u64>) -> Result<(), Failure> {
        let ending = loop {
            match response.chunk().await {
                Ok(Some(chunk)) => self.take(&chunk, total).await?,
                Ok(None) => break None,
                Err(error) => break Some(error),
            }
        };
        self.writer.flush().await?;
        let received = self.writer.partial.bytes();
        match ending {
            Some(error) => Err(self.broken_off(&error, received, total)),
            None if total.is_some_and(|total| received < total) => {
                let url = self.shown.clone();
                Err(Failure::Retry(FetchError::Truncated { url, received, expected: total }, None))
            }
            None => Ok(()),
        }
    }

    async fn take(&mut self, bytes: &[u8], total: Option<u64>) -> Result<(), Failure> {
        self.writer.push(bytes).await?;
        self.watch.advance(bytes.len() as u64);
        match total {
            Some(total) if self.writer.bytes() > total => {
                // The file cannot be trusted at all, so nothing goes on from here.
                self.writer.apply(|partial| partial.restart(Meta::default())).await?;
                Err(FetchError::TooLong { url: self.shown.clone(), expected: total }.into())
            }
            _ => Ok(()),
        }
    }

    fn broken_off(&self, error: &reqwest::Error, received: u64, expected: Option<u64>) -> Failure {
        let url = self.shown.clone();
        let error = if error.is_timeout() {
            FetchError::Stalled { url, seconds: self.patience.stall.as_secs(), received }
        } else {
            FetchError::Truncated { url, received, expected }
        };
        Failure::Retry(error, None)
    }
}

fn text(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    headers.get(name)?.to_str().ok().map(|text| text.trim().to_owned())
}

/// Whether an answer is about another state of the file than `meta`. Servers that do not know `If-Range` get here.
fn is_other(headers: &HeaderMap, meta: &Meta) -> bool {
    let differs =
        |name, then: &Option<String>| text(headers, name).zip(then.clone()).is_some_and(|(now, then)| now != then);
    differs(&header::ETAG, &meta.etag) || differs(&header::LAST_MODIFIED, &meta.last_modified)
}

/// How long the server asks us to wait: in seconds, or until a time on its own clock.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let after = text(headers, &header::RETRY_AFTER)?;
    if let Ok(seconds) = after.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let parse = |date: &str| DateTimeParser::new().parse_timestamp(date).ok();
    let wait = parse(&after)?.duration_since(parse(&text(headers, &header::DATE)?)?);
    Some(Duration::try_from(wait).unwrap_or_default())
}

/// The header of this name: `bytes 5-9/10`, `bytes 5-9/*`, `bytes */10`.
#[derive(Debug, PartialEq, Eq)]
struct ContentRange {
    start: Option<u64>,
    total: Option<u64>,
}

impl ContentRange {
    fn parse(text: &str) -> Option<Self> {
        let (range, total) = text.strip_prefix("bytes ")?.trim().split_once('/')?;
        let total = if total == "*" { None } else { Some(total.parse().ok()?) };
        let start = match range.split_once('-') {
            _ if range == "*" => None,
            Some((start, end)) => {
                let (start, end): (u64, u64) = (start.parse().ok()?, end.parse().ok()?);
                (start <= end && total.is_none_or(|total| end < total)).then_some(())?;
                Some(start)
            }
            None => return None,
        };
        Some(Self { start, total })
    }
}

/// Gathers small pieces into large ones and writes and hashes those away from the runtime.
struct Writer {
    place: Place,
    partial: Partial,
    pending: Vec<u8>,
}

impl Writer {
    fn new(place: &Place) -> Self {
        Self { place: place.clone(), partial: Partial::default(), pending: Vec::new() }
    }

    fn bytes(&self) -> u64 {
        self.partial.bytes() + self.pending.len() as u64
    }

    async fn push(&mut self, bytes: &[u8]) -> Result<(), FetchError> {
        self.pending.extend_from_slice(bytes);
        if self.pending.len() >= PIECE { self.flush().await } else { Ok(()) }
    }

    async fn flush(&mut self) -> Result<(), FetchError> {
        let pending = std::mem::take(&mut self.pending);
        if pending.is_empty() {
            return Ok(());
        }
        self.pending = self
            .apply(move |partial| {
                partial.append(&pending)?;
                let mut emptied = pending;
                emptied.clear();
                Ok(emptied)
            })
            .await?;
        Ok(())
    }

    async fn apply<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut Partial) -> io::Result<T> + Send + 'static,
    ) -> Result<T, FetchError> {
        let mut partial = std::mem::take(&mut self.partial);
        let place = self.place.clone();
        let task = tokio::task::spawn_blocking(move || {
            let result = work(&mut partial);
            drop(place);
            (partial, result)
        });
        let (partial, result) = joined(task.await)?;
        self.partial = partial;
        result.map_err(|error| FetchError::io(self.place.path(), error))
    }
}

#[cfg(test)]
mod tests;
