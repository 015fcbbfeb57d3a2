//! Small answers of a server that says where files are, such as the list of a repository's files.

use std::time::Duration;

use reqwest::{StatusCode, header};

use super::super::{FetchError, Watch};
use super::address::Address;
use super::{Failure, Patience, Remote};

/// Longest answer that is read, in bytes: the list of a repository with thousands of files is one megabyte.
const LONGEST: usize = 16 * 1024 * 1024;

/// Asks for a document of the media type `accept`.
pub(in crate::fetch) async fn ask(
    remote: &Remote,
    accept: &str,
    watch: &dyn Watch,
    patience: &Patience,
) -> Result<Vec<u8>, FetchError> {
    let address = Address::new(remote, patience)?;
    let mut failures = 0;
    loop {
        let (error, wait): (FetchError, Option<Duration>) = match attempt(&address, accept).await {
            Ok(document) => return Ok(document),
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

async fn attempt(address: &Address, accept: &str) -> Result<Vec<u8>, Failure> {
    let mut response = address.send(address.get().header(header::ACCEPT, accept), 0).await?;
    if response.status() != StatusCode::OK {
        return Err(address.refused(response.status(), response.headers()));
    }
    let mut document = Vec::new();
    let expected = response.content_length();
    let broken = |error: &reqwest::Error, received: usize| address.broken_off(error, received as u64, expected);
    while let Some(chunk) = response.chunk().await.map_err(|error| broken(&error, document.len()))? {
        document.extend_from_slice(&chunk);
        if document.len() > LONGEST {
            return Err(FetchError::TooLong { url: address.shown.clone(), expected: LONGEST as u64 }.into());
        }
    }
    Ok(document)
}
