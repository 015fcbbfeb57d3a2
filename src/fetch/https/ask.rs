//! Small answers of a server that says where files are, such as the list of a repository's files.

use std::time::Duration;

use reqwest::{StatusCode, header};

use super::super::{FetchError, Watch};
use super::address::Address;
use super::headers::text;
use super::{Failure, Patience, Remote};

/// Longest answer that is read, in bytes: the list of a repository with thousands of files is one megabyte.
pub(in crate::fetch) const LONGEST: usize = 16 * 1024 * 1024;

/// One answer of a server that gives a list in pages.
pub(in crate::fetch) struct Page {
    /// Its bytes.
    pub(in crate::fetch) document: Vec<u8>,
    /// The address of the next one, as the server says it.
    pub(in crate::fetch) next: Option<String>,
}

/// Asks for a document of the media type `accept`.
pub(in crate::fetch) async fn ask(
    remote: &Remote,
    accept: &str,
    watch: &dyn Watch,
    patience: &Patience,
) -> Result<Vec<u8>, FetchError> {
    Ok(ask_page(remote, accept, watch, patience).await?.document)
}

/// Asks for one page of a list of the media type `accept`.
pub(in crate::fetch) async fn ask_page(
    remote: &Remote,
    accept: &str,
    watch: &dyn Watch,
    patience: &Patience,
) -> Result<Page, FetchError> {
    let address = Address::new(remote, patience)?;
    let mut failures = 0;
    loop {
        let (error, wait): (FetchError, Option<Duration>) = match attempt(&address, accept).await {
            Ok(page) => return Ok(page),
            Err(Failure::Retry(error, wait)) => (error, wait),
            Err(Failure::Fatal(error)) => return Err(error),
            Err(Failure::StartOver(_)) => unreachable!("a small answer is taken whole"),
        };
        let Some(wait) = patience.pause(failures, wait) else { return Err(error) };
        failures += 1;
        watch.note(&format!("{error}; trying again ({failures} of {})", patience.retries));
        tokio::time::sleep(wait).await;
    }
}

async fn attempt(address: &Address, accept: &str) -> Result<Page, Failure> {
    let mut response = address.send(address.get().header(header::ACCEPT, accept), 0).await?;
    if response.status() != StatusCode::OK {
        return Err(address.refused(response.status(), response.headers()));
    }
    let next = text(response.headers(), &header::LINK).and_then(|links| next_of(&links));
    let mut document = Vec::new();
    let expected = response.content_length();
    let broken = |error: &reqwest::Error, received: usize| address.broken_off(error, received as u64, expected);
    while let Some(chunk) = response.chunk().await.map_err(|error| broken(&error, document.len()))? {
        document.extend_from_slice(&chunk);
        if document.len() > LONGEST {
            return Err(FetchError::TooLong { url: address.shown.clone(), expected: LONGEST as u64 }.into());
        }
    }
    Ok(Page { document, next })
}

/// The address that a `Link` header names for the next page: `<https://…>; rel="next"`.
fn next_of(links: &str) -> Option<String> {
    links.split(',').find_map(|link| {
        let (address, rest) = link.trim().strip_prefix('<')?.split_once('>')?;
        let is_next = rest.split(';').any(|part| matches!(part.trim(), "rel=\"next\"" | "rel=next"));
        is_next.then(|| address.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_is_found_in_a_link_header() {
        for (links, expected) in [
            ("<https://h/a?cursor=x>; rel=\"next\"", Some("https://h/a?cursor=x")),
            ("<https://h/0>; rel=\"prev\", <https://h/2>; title=\"x\"; rel=next", Some("https://h/2")),
            ("<https://h/0>; rel=\"last\"", None),
            ("nonsense", None),
        ] {
            assert_eq!(next_of(links).as_deref(), expected, "{links}");
        }
    }
}
