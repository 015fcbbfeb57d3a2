//! Searching the Hugging Face Hub: from a search to what the hub says about each model that it finds.
//!
//! The list comes in pages, each of which names the next. Only the query of that name is taken: credentials go to the hub's
//! own address, wherever a page points. What comes is bounded in pages and in bytes.

use reqwest::Url;
use serde_json::Value;

use super::https::{self, LONGEST, Patience, Remote};
use super::size::Size;
use super::{Access, FetchError, Watch};
use crate::spec::{HubSearch, Range};

/// Models on a page.
const PAGE: u32 = 100;
/// Most pages that are asked for: ten would do for the most models that a search may be for, if all are full.
const MOST_PAGES: usize = 40;
/// Most bytes of all pages together.
const MOST_BYTES: usize = 128 * 1024 * 1024;

/// What is asked about each model.
const ABOUT: [&str; 11] = [
    "cardData",
    "config",
    "createdAt",
    "downloads",
    "gated",
    "gguf",
    "lastModified",
    "pipeline_tag",
    "safetensors",
    "siblings",
    "tags",
];

/// Asks the hub for the most downloaded models that a search is for, as the hub describes them, at most as many as the search
/// says.
///
/// # Errors
/// The hub does not answer, refuses, or answers with something else than a list of models.
pub async fn search_hub(access: &Access, search: &HubSearch, watch: &dyn Watch) -> Result<Vec<Value>, FetchError> {
    search_patiently(access, search, watch, &Patience::default()).await
}

pub(super) async fn search_patiently(
    access: &Access,
    search: &HubSearch,
    watch: &dyn Watch,
    patience: &Patience,
) -> Result<Vec<Value>, FetchError> {
    let bad =
        |reason: String| FetchError::BadAnswer { what: format!("the hub's list of models for `{search}`"), reason };
    let address = format!("{}/api/models", access.hub.trim_end_matches('/'));
    let mut url = Url::parse(&address)
        .map_err(|error| FetchError::BadUrl { url: super::redact::redact(&address), reason: error.to_string() })?;
    ask_for(search, &mut url);
    let limit = usize::try_from(search.limit).unwrap_or(usize::MAX);
    let (mut models, mut bytes) = (Vec::new(), 0);
    for _ in 0..MOST_PAGES {
        let remote = Remote { url: url.to_string(), bearer: access.hub_token.clone(), sha256: None };
        let page = https::ask_page(&remote, "application/json", watch, patience).await;
        let page = page.map_err(|error| {
            if matches!(error, FetchError::TooLong { .. }) {
                return bad(format!("a page is larger than {}", Size(LONGEST as u64)));
            }
            refused(error, access)
        })?;
        bytes += page.document.len();
        if bytes > MOST_BYTES {
            return Err(bad(format!("its pages are larger than {} together", Size(MOST_BYTES as u64))));
        }
        if page.document.trim_ascii_start().starts_with(b"<") {
            return Err(bad("a web page came".to_owned()));
        }
        let found: Vec<Value> = serde_json::from_slice(&page.document).map_err(|error| bad(error.to_string()))?;
        let is_empty = found.is_empty();
        models.extend(found);
        let next = page.next.as_deref().and_then(|next| url.join(next).ok());
        match next {
            Some(next) if models.len() < limit && !is_empty => url.set_query(next.query()),
            Some(_) | None => break,
        }
    }
    models.truncate(limit);
    Ok(models)
}

/// Writes a search as the hub's query.
fn ask_for(search: &HubSearch, url: &mut Url) {
    let HubSearch { search, pipeline_tag, license, params_b, gguf, limit } = search;
    let mut query = url.query_pairs_mut();
    if let Some(text) = search {
        query.append_pair("search", text);
    }
    if let Some(task) = pipeline_tag {
        query.append_pair("pipeline_tag", task);
    }
    if let Some(license) = license {
        query.append_pair("filter", &format!("license:{license}"));
    }
    if *gguf {
        query.append_pair("filter", "gguf");
    }
    if let Some(Range { min, max }) = params_b {
        // In whole millions, so that what is asked for holds the range; what is outside of it is left out later.
        let ends = [("min", min.map(|min| (min * 1e3).floor())), ("max", max.map(|max| (max * 1e3).ceil()))];
        let ends = ends.into_iter().filter_map(|(name, end)| Some(format!("{name}:{}M", end?)));
        query.append_pair("num_parameters", &ends.collect::<Vec<_>>().join(","));
    }
    query.append_pair("sort", "downloads").append_pair("direction", "-1");
    query.append_pair("limit", &(*limit).min(PAGE).to_string());
    for member in ABOUT {
        query.append_pair("expand", member);
    }
}

/// What a refusal of a search means.
fn refused(error: FetchError, access: &Access) -> FetchError {
    let FetchError::Http { url: _, status } = error else { return error };
    let hub = super::redact::redact(access.hub.trim_end_matches('/'));
    FetchError::SearchRefused { hub, status, has_token: access.hub_token.is_some() }
}
