//! What a web server says about a file, besides its bytes.

use std::time::Duration;

use jiff::fmt::rfc2822::DateTimeParser;
use reqwest::header::{self, HeaderMap, HeaderName};

use super::super::partial::Meta;

pub(super) fn text(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    headers.get(name)?.to_str().ok().map(|text| text.trim().to_owned())
}

/// Whether an answer is about another state of the file than `meta`. Servers that do not know `If-Range` get here.
pub(super) fn is_other(headers: &HeaderMap, meta: &Meta) -> bool {
    let differs =
        |name, then: &Option<String>| text(headers, name).zip(then.clone()).is_some_and(|(now, then)| now != then);
    differs(&header::ETAG, &meta.etag) || differs(&header::LAST_MODIFIED, &meta.last_modified)
}

/// How long the server asks us to wait: in seconds, or until a time on its own clock.
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
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
pub(super) struct ContentRange {
    pub(super) start: Option<u64>,
    /// The last byte.
    pub(super) end: Option<u64>,
    pub(super) total: Option<u64>,
}

impl ContentRange {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (range, total) = text.strip_prefix("bytes ")?.trim().split_once('/')?;
        let total = if total == "*" { None } else { Some(total.parse().ok()?) };
        let (start, end) = match range.split_once('-') {
            _ if range == "*" => (None, None),
            Some((start, end)) => {
                let (start, end): (u64, u64) = (start.parse().ok()?, end.parse().ok()?);
                (start <= end && total.is_none_or(|total| end < total)).then_some(())?;
                (Some(start), Some(end))
            }
            None => return None,
        };
        Some(Self { start, end, total })
    }
}
