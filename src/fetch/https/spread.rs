//! The rest of a file over several connections at once, each of which is asked for one span after the other.
//!
//! Every answer is held against what the first one said of the file, so that spans of two states of it are never put
//! together. What was written counts as soon as it is written; what a note says is here was synced before.

use std::collections::VecDeque;
use std::io::{Seek, SeekFrom, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use fs_err::File;
use futures_util::stream::{FuturesUnordered, StreamExt};
use reqwest::header;
use reqwest::{Response, StatusCode};

use super::super::partial::{Meta, Partial};
use super::super::place::Place;
use super::super::transfer::{PIECE, joined};
use super::super::{FetchError, Watch};
use super::address::Address;
use super::headers::{ContentRange, is_other, text};
use super::{Download, Failure, Patience};

/// After so many more bytes the note is written anew: what a killed process loses of its work.
const SAVE_EVERY: u64 = 64 * 1024 * 1024;

/// Bytes that a connection is asked for: from the first up to, and without, the second.
type Span = (u64, u64);

/// A download over several connections.
pub(super) struct Spreading<'a> {
    address: &'a Address,
    watch: &'a dyn Watch,
    patience: &'a Patience,
    place: &'a Place,
    meta: Meta,
    total: u64,
    spans: Mutex<VecDeque<Span>>,
    /// Connections that are still at work.
    working: AtomicUsize,
    shared: Arc<Shared>,
}

/// What the threads that write have in common.
struct Shared {
    partial: Mutex<Partial>,
    /// How many bytes were here when the note was last written; locked while it is.
    saved: Mutex<u64>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic of a thread that writes goes on in the one that waits for it, so nobody sees what it left.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What came and is not written yet, as it came: it is not copied into one.
#[derive(Default)]
struct Gathered {
    chunks: Vec<Bytes>,
    bytes: usize,
}

impl Gathered {
    fn push(&mut self, chunk: Bytes) {
        self.bytes += chunk.len();
        self.chunks.push(chunk);
    }
}

impl Shared {
    fn write(&self, file: &mut File, at: u64, gathered: Gathered) -> std::io::Result<()> {
        file.seek(SeekFrom::Start(at))?;
        gathered.chunks.into_iter().try_for_each(|chunk| file.write_all(&chunk))?;
        lock(&self.partial).add(at, at + gathered.bytes as u64);
        // Whoever finds another one at it goes on.
        let Ok(mut saved) = self.saved.try_lock() else { return Ok(()) };
        let here = lock(&self.partial).bytes();
        if here >= *saved + SAVE_EVERY { self.save(file, &mut saved) } else { Ok(()) }
    }

    fn save(&self, file: &File, saved: &mut u64) -> std::io::Result<()> {
        let here = lock(&self.partial).here().clone();
        file.sync_data()?;
        *saved = here.bytes();
        lock(&self.partial).save(here)
    }
}

impl<'a> Spreading<'a> {
    /// Spreads what `partial` misses of a file of `total` bytes.
    pub(super) fn new(download: &'a Download<'_>, partial: Partial, total: u64) -> Self {
        let spans = partial.here().missing(total, download.spread.span);
        let (meta, saved) = (partial.meta().clone(), partial.bytes());
        Self {
            address: &download.address,
            watch: download.watch,
            patience: download.patience,
            place: &download.writer.place,
            meta,
            total,
            working: AtomicUsize::new(download.spread.connections.clamp(1, spans.len().max(1))),
            spans: Mutex::new(spans.into()),
            shared: Arc::new(Shared { partial: Mutex::new(partial), saved: Mutex::new(saved) }),
        }
    }

    /// Brings all spans; gives back what is here, noted down, however it ends.
    pub(super) async fn run(self, first: Option<Response>) -> (Partial, Result<(), Failure>) {
        let lanes = self.working.load(Ordering::Relaxed);
        // The answer that is coming already goes on where the first span begins.
        let first = first.and_then(|response| Some((lock(&self.spans).pop_front()?, response)));
        let firsts = std::iter::once(first).chain(std::iter::repeat_with(|| None));
        let mut working: FuturesUnordered<_> = firsts.take(lanes).map(|first| self.lane(first)).collect();
        let mut result = Ok(());
        while let Some(ended) = working.next().await {
            if ended.is_err() {
                result = ended;
                break;
            }
        }
        drop(working);
        if result.is_err()
            && let Err(error) = self.save().await
        {
            tracing::warn!("how far the download is cannot be noted down: {error}");
        }
        (std::mem::take(&mut *lock(&self.shared.partial)), result)
    }

    async fn save(&self) -> Result<(), FetchError> {
        self.off_thread(|shared| {
            let file = lock(&shared.partial).handle()?;
            let mut saved = lock(&shared.saved);
            shared.save(&file, &mut saved)
        })
        .await
    }

    /// Works off spans until none is left.
    async fn lane(&self, first: Option<(Span, Response)>) -> Result<(), Failure> {
        if let Some((span, response)) = first
            && !self.bring(span, Some(response)).await?
        {
            return Ok(());
        }
        loop {
            let span = lock(&self.spans).pop_front();
            let Some(span) = span else {
                self.working.fetch_sub(1, Ordering::Relaxed);
                return Ok(());
            };
            if !self.bring(span, None).await? {
                return Ok(());
            }
        }
    }

    /// Brings one span; false where the server wants fewer connections, and this one has given its span back.
    async fn bring(&self, (mut at, end): Span, mut first: Option<Response>) -> Result<bool, Failure> {
        let mut failures = 0;
        loop {
            let before = at;
            let (error, wait) = match self.attempt(&mut at, end, first.take()).await {
                Ok(()) => return Ok(true),
                Err(Failure::Retry(error, wait)) => (error, wait),
                Err(failure) => return Err(failure),
            };
            if at > before {
                failures = 0;
            }
            let is_refused = matches!(error, FetchError::Http { .. } | FetchError::Connect { .. });
            if is_refused && self.working.load(Ordering::Relaxed) > 1 {
                let left = self.working.fetch_sub(1, Ordering::Relaxed) - 1;
                lock(&self.spans).push_front((at, end));
                let connections = if left == 1 { "connection" } else { "connections" };
                self.watch.note(&format!("{error}; going on over {left} {connections}"));
                return Ok(false);
            }
            let Some(wait) = self.patience.pause(failures, wait) else { return Err(Failure::Fatal(error)) };
            failures += 1;
            let count = self.patience.retries;
            self.watch.note(&format!("{error}; trying again ({failures} of {count})"));
            tokio::time::sleep(wait).await;
        }
    }

    /// Takes what comes of a span. What has come is written when this returns, and `at` is behind it, however it ends.
    async fn attempt(&self, at: &mut u64, end: u64, first: Option<Response>) -> Result<(), Failure> {
        let mut response = match first {
            Some(response) => response,
            None => self.ask(*at, end).await?,
        };
        let mut file = Some(self.file()?);
        let mut gathered = Gathered::default();
        let ending = loop {
            let left = usize::try_from(end - *at).unwrap_or(usize::MAX);
            if gathered.bytes >= left {
                break None;
            }
            if gathered.bytes >= PIECE {
                self.write(at, std::mem::take(&mut gathered), &mut file).await?;
            }
            match response.chunk().await {
                Ok(Some(mut chunk)) => {
                    // A server may send more than it was asked for, and the first answer goes on to the end.
                    chunk.truncate(left - gathered.bytes);
                    self.watch.advance(chunk.len() as u64);
                    gathered.push(chunk);
                }
                Ok(None) => break None,
                Err(error) => break Some(error),
            }
        };
        self.write(at, gathered, &mut file).await?;
        let received = lock(&self.shared.partial).bytes();
        match ending {
            Some(error) => Err(self.address.broken_off(&error, received, Some(self.total))),
            None if *at < end => {
                let url = self.address.shown.clone();
                Err(Failure::Retry(FetchError::Truncated { url, received, expected: Some(self.total) }, None))
            }
            None => Ok(()),
        }
    }

    /// Asks for a span, and sees that the answer is one of the same file.
    async fn ask(&self, at: u64, end: u64) -> Result<Response, Failure> {
        let mut request = self.address.get().header(header::RANGE, format!("bytes={at}-{}", end - 1));
        if let Some(tag) = self.meta.strong_tag() {
            request = request.header(header::IF_RANGE, tag);
        }
        let received = lock(&self.shared.partial).bytes();
        let response = self.address.send(request, received).await?;
        match response.status() {
            StatusCode::PARTIAL_CONTENT => {}
            StatusCode::OK => return Err(Failure::StartOver("the server sends the file from its beginning")),
            StatusCode::RANGE_NOT_SATISFIABLE => {
                return Err(Failure::StartOver("the file on the server has changed"));
            }
            status => return Err(self.address.refused(status, response.headers())),
        }
        let range = text(response.headers(), &header::CONTENT_RANGE).and_then(|range| ContentRange::parse(&range));
        match range {
            Some(ContentRange { start: Some(start), end: Some(last), total }) => {
                if total.is_some_and(|total| total != self.total) || is_other(response.headers(), &self.meta) {
                    Err(Failure::StartOver("the file on the server has changed"))
                } else if start != at || last >= end {
                    Err(Failure::StartOver("the server sends another part than the one asked for"))
                } else {
                    Ok(response)
                }
            }
            _ => Err(Failure::StartOver("the server does not say which part it sends")),
        }
    }

    fn file(&self) -> Result<File, FetchError> {
        let file = lock(&self.shared.partial).handle();
        file.map_err(|error| FetchError::io(self.place.path(), error))
    }

    /// Writes what has gathered. The file is there again when this returns.
    async fn write(&self, at: &mut u64, gathered: Gathered, file: &mut Option<File>) -> Result<(), FetchError> {
        if gathered.bytes == 0 {
            return Ok(());
        }
        let start = *at;
        *at += gathered.bytes as u64;
        let mut handle = file.take().expect("it is put back after each write");
        let handle = self.off_thread(move |shared| shared.write(&mut handle, start, gathered).map(|()| handle)).await?;
        *file = Some(handle);
        Ok(())
    }

    async fn off_thread<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Shared) -> std::io::Result<T> + Send + 'static,
    ) -> Result<T, FetchError> {
        let (shared, place) = (Arc::clone(&self.shared), self.place.clone());
        let task = tokio::task::spawn_blocking(move || {
            let result = work(&shared);
            drop(place);
            result
        });
        joined(task.await)?.map_err(|error| FetchError::io(self.place.path(), error))
    }
}
