//! An address on a web server: who may be asked, with which credentials, and what an answer that is no file means.

use std::error::Error;
use std::io;
use std::time::Duration;

use reqwest::header::{self, HeaderMap};
use reqwest::{Client, RequestBuilder, Response, StatusCode, Url, redirect};

use super::super::FetchError;
use super::super::redact::{redact, show_url};
use super::headers::{retry_after, text};
use super::{Failure, Patience, Remote};
use crate::net::{self, is_loopback};
use crate::spec::Secret;

/// Where a file is asked for.
pub(super) struct Address {
    url: Url,
    /// The URL as people see it.
    pub(super) shown: String,
    bearer: Option<Secret>,
    client: Client,
    stall: Duration,
}

impl Address {
    pub(super) fn new(remote: &Remote, patience: &Patience) -> Result<Self, FetchError> {
        let url = check_url(&remote.url)?;
        let client = client(&url, patience)?;
        Ok(Self { shown: show_url(&url), url, bearer: remote.bearer.clone(), client, stall: patience.stall })
    }

    /// Begins a request. A redirect to another host goes without the credentials.
    pub(super) fn get(&self) -> RequestBuilder {
        let request = self.client.get(self.url.clone()).header(header::ACCEPT_ENCODING, "identity");
        match &self.bearer {
            Some(bearer) => request.bearer_auth(bearer.expose()),
            None => request,
        }
    }

    /// Sends a request; `received` bytes of the file are here.
    pub(super) async fn send(&self, request: RequestBuilder, received: u64) -> Result<Response, Failure> {
        let response = request.send().await.map_err(|error| self.no_answer(&error, received))?;
        match text(response.headers(), &header::CONTENT_ENCODING) {
            Some(encoding) if encoding != "identity" => {
                Err(FetchError::Encoded { url: self.shown.clone(), encoding }.into())
            }
            _ => Ok(response),
        }
    }

    fn no_answer(&self, error: &reqwest::Error, received: u64) -> Failure {
        if error.is_timeout() && !error.is_connect() {
            return self.broken_off(error, received, None);
        }
        let (url, redirect) = (self.shown.clone(), error.is_redirect());
        if is_untrusted(error) {
            return Failure::Fatal(FetchError::Untrusted { url, reason: reason(error) });
        }
        let error = FetchError::Connect { url, reason: reason(error) };
        if redirect { Failure::Fatal(error) } else { Failure::Retry(error, None) }
    }

    pub(super) fn refused(&self, status: StatusCode, headers: &HeaderMap) -> Failure {
        let error = FetchError::Http { url: self.shown.clone(), status: status.as_u16() };
        let transient =
            status.is_server_error() || matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT);
        if transient { Failure::Retry(error, retry_after(headers)) } else { Failure::Fatal(error) }
    }

    pub(super) fn broken_off(&self, error: &reqwest::Error, received: u64, expected: Option<u64>) -> Failure {
        let url = self.shown.clone();
        let error = if error.is_timeout() {
            FetchError::Stalled { url, seconds: self.stall.as_secs(), received }
        } else {
            FetchError::Truncated { url, received, expected }
        };
        Failure::Retry(error, None)
    }
}

/// Only what others cannot read or change on the way is fetched, so `http` is for this machine.
pub(super) fn check_url(text: &str) -> Result<Url, FetchError> {
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
    builder.build().map_err(|error| FetchError::Connect { url: show_url(url), reason: reason(&error) })
}

/// What an error comes down to, without the URL.
fn reason(error: &reqwest::Error) -> String {
    let mut texts = vec![without_url(error)];
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

/// The outermost error's own text, without the URL that it ends with.
fn without_url(error: &reqwest::Error) -> String {
    let text = error.to_string();
    match error.url() {
        Some(url) => text.replace(&format!(" for url ({url})"), ""),
        None => text,
    }
}

/// Whether the other side cannot prove who it is, which trying again does not change.
pub(super) fn is_untrusted(error: &(dyn Error + 'static)) -> bool {
    if let Some(rustls::Error::InvalidCertificate(_)) = error.downcast_ref() {
        return true;
    }
    // An I/O error gives the source of what it wraps as its own, and leaves out what it wraps.
    match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(inner) => is_untrusted(inner),
        None => error.source().is_some_and(is_untrusted),
    }
}
