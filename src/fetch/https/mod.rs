//! Files on a web server: a download that goes on where it stopped, now or in another process.
//!
//! Bytes come in their order over one connection ([`Download`]); where the server sends parts and says what exactly they
//! are of, the rest comes over several (`spread`).

mod address;
mod ask;
mod headers;
mod spread;

pub(super) use ask::{LONGEST, ask, ask_page};

use std::io;
use std::time::Duration;

use reqwest::header::{self, HeaderMap};
use reqwest::{Response, StatusCode};

use super::partial::{Meta, Partial};
use super::place::Place;
use super::space::{self, Room};
use super::transfer::{Digests, PIECE, joined};
use super::{FetchError, Watch, size::Size};
use crate::spec::Secret;
use address::Address;
use headers::{ContentRange, is_other, text};

/// The longest that a server may ask us to wait before the next try.
const LONGEST_WAIT: Duration = Duration::from_secs(300);

/// A file on a web server.
#[derive(Debug, Clone)]
pub(super) struct Remote {
    /// Its address.
    pub(super) url: String,
    /// What the server of that address wants to be shown.
    pub(super) bearer: Option<Secret>,
    /// The sha256 that it is to have, in hexadecimal digits, where somebody said so.
    pub(super) sha256: Option<String>,
}

impl Remote {
    /// What is known of a file whose address alone is known.
    pub(super) fn of(url: String, sha256: Option<&str>) -> Self {
        Self { url, bearer: None, sha256: sha256.map(str::to_owned) }
    }
}

/// How a file is asked for.
#[derive(Debug, Clone)]
pub(super) struct Manner {
    pub(super) patience: Patience,
    pub(super) spread: Spread,
    pub(super) room: Room,
}

impl Default for Manner {
    fn default() -> Self {
        Self { patience: Patience::default(), spread: Spread::default(), room: space::free_space }
    }
}

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

impl Patience {
    /// How long to wait before another try after so many in vain; none where there is to be none.
    fn pause(&self, failures: u32, asked_for: Option<Duration>) -> Option<Duration> {
        let wait = asked_for.unwrap_or_else(|| self.backoff.saturating_mul(1 << failures.min(16)));
        (failures < self.retries && wait <= LONGEST_WAIT).then_some(wait)
    }
}

/// Over how many connections a file comes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Spread {
    /// Most of them.
    pub(super) connections: usize,
    /// Most bytes that one is asked for at a time.
    pub(super) span: u64,
}

impl Default for Spread {
    fn default() -> Self {
        Self { connections: 4, span: 16 * 1024 * 1024 }
    }
}

/// Downloads a file to `place`.
pub(super) async fn download(
    remote: &Remote,
    place: &Place,
    watch: &dyn Watch,
    manner: &Manner,
) -> Result<Digests, FetchError> {
    let address = Address::new(remote, &manner.patience)?;
    let Manner { patience, spread, room } = manner;
    let (writer, sha256) = (Writer::new(place), remote.sha256.as_deref());
    let mut download = Download { address, watch, patience, spread: *spread, room: *room, sha256, writer };
    download.take_up().await?;
    download.run().await
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
    address: Address,
    watch: &'a dyn Watch,
    patience: &'a Patience,
    spread: Spread,
    room: Room,
    sha256: Option<&'a str>,
    writer: Writer,
}

impl Download<'_> {
    async fn take_up(&mut self) -> Result<(), FetchError> {
        let shown = self.address.shown.clone();
        let path = self.writer.place.path().to_owned();
        let sha256 = self.sha256.map(str::to_owned);
        let open = move |partial: &mut Partial| {
            Partial::open(&path, &shown, sha256.as_deref()).map(|opened| *partial = opened)
        };
        self.writer.apply(open).await?;
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
                    if self.writer.partial.is_scattered() {
                        // Whatever it says of its parts, they did not fit together.
                        self.spread.connections = 1;
                    }
                    self.writer.partial.forget();
                    continue;
                }
                Err(Failure::Retry(error, wait)) => (error, wait),
            };
            if self.writer.partial.bytes() > furthest {
                furthest = self.writer.partial.bytes();
                failures = 0;
            }
            let Some(wait) = self.patience.pause(failures, wait) else { return Err(error) };
            failures += 1;
            let count = self.patience.retries;
            self.watch.note(&format!("{error}; trying again ({failures} of {count})"));
            tokio::time::sleep(wait).await;
        }
    }

    /// Asks for what is missing and takes what comes.
    async fn attempt(&mut self) -> Result<(), Failure> {
        let have = self.writer.partial.bytes();
        if let (true, Some(total)) = (self.writer.partial.is_scattered(), self.writer.partial.meta().total) {
            self.check_room(total - have)?;
            self.watch.total(total);
            self.watch.advance(have);
            return self.go_on_spread(total, None).await;
        }
        let mut request = self.address.get();
        let validator = self.writer.partial.meta().validator().filter(|_| have > 0);
        let resuming = validator.is_some();
        if let Some(validator) = validator {
            request = request.header(header::RANGE, format!("bytes={have}-")).header(header::IF_RANGE, validator);
        }
        let response = self.address.send(request, have).await?;
        match response.status() {
            StatusCode::OK => self.take_whole(response, have).await,
            StatusCode::PARTIAL_CONTENT if resuming => self.take_rest(response, have).await,
            StatusCode::RANGE_NOT_SATISFIABLE if resuming => self.check_complete(response.headers(), have),
            status => Err(self.address.refused(status, response.headers())),
        }
    }

    fn check_room(&self, missing: u64) -> Result<(), FetchError> {
        space::check(self.room, self.writer.place.path(), missing)
    }

    /// Takes the whole file: the first answer, or the server does not send parts, or the file is another by now.
    async fn take_whole(&mut self, mut response: Response, have: u64) -> Result<(), Failure> {
        let page = |found| Failure::Fatal(FetchError::NotAModel { url: self.address.shown.clone(), found });
        let kind = text(response.headers(), &header::CONTENT_TYPE).unwrap_or_default().to_ascii_lowercase();
        if kind.starts_with("text/html") || kind.starts_with("application/xhtml") {
            return Err(page("a web page"));
        }
        let meta = Meta {
            url: self.address.shown.clone(),
            etag: text(response.headers(), &header::ETAG),
            last_modified: text(response.headers(), &header::LAST_MODIFIED),
            total: response.content_length(),
        };
        // The first bytes are looked at before those of earlier attempts are given up for them.
        let first = loop {
            match response.chunk().await.map_err(|error| self.address.broken_off(&error, 0, meta.total))? {
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
        // What lies here goes first.
        self.check_room(meta.total.unwrap_or(0).saturating_sub(have))?;
        let total = meta.total;
        let sends_parts = text(response.headers(), &header::ACCEPT_RANGES).is_some_and(|unit| unit == "bytes");
        self.writer.apply(move |partial| partial.restart(meta)).await?;
        self.watch.total(total.unwrap_or(0));
        self.take(&first, total).await?;
        match total.filter(|total| sends_parts && self.may_spread(*total)) {
            Some(total) => self.go_on_spread(total, Some(response)).await,
            None => self.receive(response, total).await,
        }
    }

    /// Takes what is missing, if it goes on where the file stops.
    async fn take_rest(&mut self, response: Response, have: u64) -> Result<(), Failure> {
        let meta = self.writer.partial.meta();
        let range = text(response.headers(), &header::CONTENT_RANGE).and_then(|range| ContentRange::parse(&range));
        let Some(ContentRange { start: Some(start), end: _, total }) = range else {
            return Err(Failure::StartOver("the server does not say which part it sends"));
        };
        let other_size = total.zip(meta.total).is_some_and(|(now, then)| now != then);
        if other_size || is_other(response.headers(), meta) {
            return Err(Failure::StartOver("the file on the server has changed"));
        }
        if start != have {
            return Err(Failure::StartOver("the server sends another part than the one asked for"));
        }
        let (total, stated) = (total.or(meta.total), meta.total);
        self.check_room(total.unwrap_or(0).saturating_sub(have))?;
        self.watch.total(total.unwrap_or(0));
        self.watch.advance(have);
        match stated.filter(|total| self.may_spread(*total)) {
            Some(total) => self.go_on_spread(total, Some(response)).await,
            None => self.receive(response, total).await,
        }
    }

    /// Whether the rest of a file of `total` bytes, on a server that sends parts, may come over several connections: all
    /// of them must be known to be of the same bytes.
    fn may_spread(&self, total: u64) -> bool {
        let Spread { connections, span } = self.spread;
        let is_told_apart = self.writer.partial.meta().strong_tag().is_some() || self.sha256.is_some();
        connections > 1 && is_told_apart && total.saturating_sub(self.writer.bytes()) >= 2 * span
    }

    /// Takes the rest over several connections, of which `response` is the first.
    async fn go_on_spread(&mut self, total: u64, response: Option<Response>) -> Result<(), Failure> {
        self.writer.flush().await?;
        if !self.writer.partial.is_scattered() {
            self.writer.apply(Partial::scatter).await?;
        }
        let partial = std::mem::take(&mut self.writer.partial);
        let spread = spread::Spreading::new(self, partial, total);
        let (partial, result) = spread.run(response).await;
        self.writer.partial = partial;
        result
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
            Some(error) => Err(self.address.broken_off(&error, received, total)),
            None if total.is_some_and(|total| received < total) => {
                let url = self.address.shown.clone();
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
                Err(FetchError::TooLong { url: self.address.shown.clone(), expected: total }.into())
            }
            _ => Ok(()),
        }
    }
}

/// Gathers small pieces into large ones and writes those away from the runtime.
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
mod spread_tests;
#[cfg(test)]
mod tests;
