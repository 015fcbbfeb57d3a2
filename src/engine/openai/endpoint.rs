//! The place that is asked, and the client that asks it.
//!
//! Owns addresses, TLS, redirects and everything that is said about the endpoint: each message passes through here, so
//! that no message can hold the key. Start at [`Endpoint::new`].

use std::error::Error;
use std::time::Duration;

use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Client, StatusCode, Url};

use crate::engine::retry::{Again, Failure};
use crate::engine::{EngineError, EngineErrorKind};
use crate::net;
use crate::spec::{OpenAi, Secret};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const MOST_REDIRECTS: usize = 3;
/// Most characters of a server's words that a message holds.
const LONGEST_QUOTE: usize = 200;
/// A piece of the key of this many bytes is hidden like the whole: servers cut and mask what they echo.
const SHORTEST_PIECE: usize = 8;

/// Where requests go.
pub(super) struct Endpoint {
    url: Url,
    key: Option<Secret>,
    timeout: Duration,
}

/// The base address in its one written form, as it goes into the identity.
pub(super) fn base(spec: &OpenAi) -> String {
    let Ok(mut url) = Url::parse(&spec.base_url) else { return spec.base_url.trim_end_matches('/').to_owned() };
    url.set_query(None);
    url.set_fragment(None);
    // Both fail only for addresses that cannot hold credentials.
    let _ = (url.set_username(""), url.set_password(None));
    url.as_str().trim_end_matches('/').to_owned()
}

impl Endpoint {
    pub(super) fn new(spec: &OpenAi, timeout: Duration) -> Result<Self, EngineError> {
        let wrong = |what: &str| EngineError::new(EngineErrorKind::Unavailable, format!("`base_url` {what}"));
        let given = Url::parse(&spec.base_url).map_err(|error| wrong(&format!("is not an address: {error}")))?;
        if !matches!(given.scheme(), "http" | "https") || !given.has_host() {
            return Err(wrong("must start with `http://` or `https://`"));
        }
        if !given.username().is_empty() || given.password().is_some() {
            return Err(wrong("must not hold credentials: use `api_key`"));
        }
        // What decides the reply must be in the identity, and a query may hold what must not be seen.
        if given.query().is_some() || given.fragment().is_some() {
            return Err(wrong("must not have a query or a fragment"));
        }
        let url = Url::parse(&format!("{}/chat/completions", base(spec))).expect("an address takes a longer path");
        let key = spec.api_key.as_ref().map(|key| key.expose().trim()).filter(|key| !key.is_empty());
        Ok(Self { url, key: key.map(|key| Secret::new(key.to_owned())), timeout })
    }

    /// The place beside it that embeds texts.
    pub(super) fn embeddings(&self) -> Self {
        let place = self.url.as_str().trim_end_matches("/chat/completions");
        let url = Url::parse(&format!("{place}/embeddings")).expect("an address takes another path");
        Self { url, key: self.key.clone(), timeout: self.timeout }
    }

    pub(super) fn url(&self) -> &Url {
        &self.url
    }

    pub(super) fn has_key(&self) -> bool {
        self.key.is_some()
    }

    /// Makes the client for this endpoint.
    pub(super) fn client(&self) -> Result<Client, EngineError> {
        let mut headers = HeaderMap::new();
        if let Some(key) = &self.key {
            let mut bearer = HeaderValue::from_str(&format!("Bearer {}", key.expose())).map_err(|_| {
                self.error(
                    EngineErrorKind::Auth,
                    "cannot be asked: the API key holds line breaks or control characters",
                )
            })?;
            bearer.set_sensitive(true);
            headers.insert(AUTHORIZATION, bearer);
        }
        let origin = self.url.origin();
        let redirects = Policy::custom(move |attempt| {
            // Only these two repeat a POST. Another origin is never followed: prompts and key are meant for this one,
            // and reqwest takes the key off only for the hop that leaves it, not for the next.
            let repeats = matches!(attempt.status(), StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT);
            if repeats && attempt.previous().len() <= MOST_REDIRECTS && attempt.url().origin() == origin {
                attempt.follow()
            } else {
                attempt.stop()
            }
        });
        let builder = net::client(&self.url)
            .map_err(|error| self.error(EngineErrorKind::Unavailable, &format!("cannot be asked over TLS: {error}")))?;
        let builder =
            builder.default_headers(headers).redirect(redirects).connect_timeout(CONNECT_TIMEOUT).timeout(self.timeout);
        builder
            .build()
            .map_err(|error| self.error(EngineErrorKind::Unavailable, &format!("cannot be asked: {}", root(&error))))
    }

    /// An error that says that the endpoint did `what`.
    pub(super) fn error(&self, kind: EngineErrorKind, what: &str) -> EngineError {
        EngineError::new(kind, format!("`{}` {}", self.url, self.hide(what)))
    }

    /// What became of a request that got no whole answer.
    pub(super) fn broken(&self, error: &reqwest::Error) -> Failure {
        let why = root(error);
        let what = if error.is_connect() && error.is_timeout() {
            format!("could not be reached within {} s", CONNECT_TIMEOUT.as_secs())
        } else if error.is_connect() {
            format!("could not be reached: {why}")
        } else if error.is_timeout() {
            format!("did not answer within {} s", self.timeout.as_secs_f64())
        } else {
            format!("broke off: {why}")
        };
        Failure::new(self.error(EngineErrorKind::Transient, &what), Again::Later(None))
    }

    /// A server's words, fit for a message: one line, bounded, without the key.
    pub(super) fn quote(&self, words: &str) -> String {
        // Hidden before it is cut: the rest of a key that was cut through could not be recognized.
        let hidden = self.hide(words);
        let line: Vec<&str> =
            hidden.split(|c: char| c.is_whitespace() || c.is_control()).filter(|w| !w.is_empty()).collect();
        let line = line.join(" ");
        match line.char_indices().nth(LONGEST_QUOTE) {
            Some((end, _)) => format!("{}…", &line[..end]),
            None => line,
        }
    }

    fn hide(&self, text: &str) -> String {
        let Some(key) = self.key.as_ref().map(Secret::expose) else { return text.to_owned() };
        let shortest = key.len().min(SHORTEST_PIECE);
        let mut shown = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            let ends = rest.char_indices().map(|(at, letter)| at + letter.len_utf8());
            let piece = ends.take_while(|end| key.contains(&rest[..*end])).last().unwrap_or(0);
            if piece >= shortest {
                shown.push_str("***");
                rest = &rest[piece..];
            } else {
                shown.push(first);
                rest = &rest[first.len_utf8()..];
            }
        }
        shown
    }
}

/// What is at the bottom of an error: the outer layers only say that a request failed.
fn root(error: &reqwest::Error) -> String {
    let mut deepest: &dyn Error = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    deepest.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(base_url: &str, key: Option<&str>) -> OpenAi {
        OpenAi {
            base_url: base_url.to_owned(),
            model: "m".to_owned(),
            api_key: key.map(|key| Secret::new(key.to_owned())),
            concurrency: 1,
            timeout_s: 1,
            retries: 0,
            price: None,
        }
    }

    fn endpoint(base_url: &str, key: Option<&str>) -> Result<Endpoint, EngineError> {
        Endpoint::new(&spec(base_url, key), Duration::from_secs(1))
    }

    #[test]
    fn an_address_has_one_form() {
        for (given, expected) in [
            ("http://h:8080/v1", "http://h:8080/v1"),
            ("http://h:8080/v1/", "http://h:8080/v1"),
            ("HTTP://H:80/v1//", "http://h/v1"),
            ("https://h:443", "https://h"),
            ("https://u:p@h/v1?key=s#f", "https://h/v1"),
            ("not an address/", "not an address"),
        ] {
            assert_eq!(base(&spec(given, None)), expected);
        }
        assert_eq!(endpoint("https://h", None).unwrap().url().as_str(), "https://h/chat/completions");
        assert_eq!(endpoint("http://[::1]:80/v1/", None).unwrap().url().as_str(), "http://[::1]/v1/chat/completions");
    }

    #[test]
    fn bad_addresses_are_told() {
        for (given, expected) in [
            ("nowhere", "`base_url` is not an address: relative URL without a base"),
            ("ftp://h/v1", "`base_url` must start with `http://` or `https://`"),
            ("data:text", "`base_url` must start with `http://` or `https://`"),
            ("http://u@h/v1", "`base_url` must not hold credentials: use `api_key`"),
            ("http://:p@h/v1", "`base_url` must not hold credentials: use `api_key`"),
            ("http://h/v1?a=b", "`base_url` must not have a query or a fragment"),
        ] {
            let error = endpoint(given, None).map(|_| ()).unwrap_err();
            assert_eq!((error.kind, error.message.as_str()), (EngineErrorKind::Unavailable, expected));
        }
    }

    #[test]
    fn a_key_that_cannot_be_sent_is_told_without_the_key() {
        let error = endpoint("http://h", Some("sesame\nopen")).unwrap().client().map(|_| ()).unwrap_err();
        assert_eq!(error.kind, EngineErrorKind::Auth);
        assert!(!error.message.contains("sesame"), "{error}");
        assert!(endpoint("http://h", Some(" key\n")).unwrap().client().is_ok(), "space around a key is no part of it");
        assert!(!endpoint("http://h", Some(" ")).unwrap().has_key());
    }

    #[test]
    fn words_are_quoted_on_one_line_and_without_the_key() {
        let long = endpoint("http://h", Some("sk-0123456789abcdef")).unwrap();
        let short = endpoint("http://h", Some("open")).unwrap();
        let none = endpoint("http://h", None).unwrap();
        for (endpoint, words, expected) in [
            (&none, "  two\r\n\tlines\u{0}\u{1b}[1m  ", "two lines [1m"),
            (&none, "", ""),
            (&long, "key sk-0123456789abcdef!", "key ***!"),
            (&long, "Bearer sk-0123456789abcdef", "Bearer ***"),
            (&long, "sk-0123456789abcdefsk-0123456789abcdef", "******"),
            (&long, "sk-01234****cdef", "*******cdef"),
            (&long, "é sk-0123 é", "é sk-0123 é"),
            (&short, "é: open, Open", "é: ***, Open"),
        ] {
            assert_eq!(endpoint.quote(words), expected);
        }
        assert_eq!(none.quote(&"é".repeat(300)), format!("{}…", "é".repeat(200)));
        let cut_through = format!("{}sk-0123456789abcdef", "x ".repeat(98));
        assert!(long.quote(&cut_through).ends_with("x ***"), "{}", long.quote(&cut_through));
    }
}
