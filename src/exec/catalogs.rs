//! The catalogs of research stages: files, and what a hub answered to a search, which is asked once and then found in the
//! store.
//!
//! An answer becomes rows before it is kept, under a receipt that says when it came. Start at [`fetch_catalogs`] and
//! [`catalog`].

use std::path::Path;

use serde_json::Value;

use super::{Engines, StageFailure};
use crate::catalog::{self, Catalog, Listing, Part};
use crate::data::Candidates;
use crate::fetch::{self, FetchError};
use crate::key::{BlobId, to_canonical};
use crate::plan::searched;
use crate::spec::{CatalogFrom, HubSearch, Research};
use crate::stage::research::{SEARCH, search_recipe};
use crate::store::{Receipt, Store};

/// What fetching catalogs works with.
pub struct Fetching<'a> {
    /// Where answers are kept.
    pub store: &'a Store,
    /// Who may be asked.
    pub engines: &'a Engines,
    /// The time, in seconds since 1970.
    pub now: i64,
    /// Whether what is there is asked for again.
    pub again: bool,
    /// Who is told what happens, in lower-case fragments.
    pub note: &'a (dyn Fn(&str) + Send + Sync),
}

impl std::fmt::Debug for Fetching<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fetching").field("now", &self.now).field("again", &self.again).finish_non_exhaustive()
    }
}

impl fetch::Watch for Fetching<'_> {
    fn total(&self, _bytes: u64) {}

    fn advance(&self, _bytes: u64) {}

    fn note(&self, text: &str) {
        (self.note)(text);
    }
}

/// Puts the searches of a research stage that have no answer in the store yet.
///
/// # Errors
/// The hub may not be asked, does not answer or knows no such model, or the store cannot be written.
pub async fn fetch_catalogs(fetching: &Fetching<'_>, research: &Research) -> Result<(), StageFailure> {
    for search in research.searches() {
        fetch_catalog(fetching, search).await?;
    }
    Ok(())
}

async fn fetch_catalog(fetching: &Fetching<'_>, search: &HubSearch) -> Result<(), StageFailure> {
    let Fetching { store, engines, now, again, note } = *fetching;
    let known = || searched(store, search);
    if !again && known()?.is_some() {
        return Ok(());
    }
    engines.may_search()?;
    let failed = |error: FetchError| StageFailure::new(error.to_string(), error.help());
    let recipe = search_recipe(search);
    let place = store.partial_path(&BlobId::of(recipe.canonical().as_bytes()));
    let _place = fetch::Place::acquire(&place, fetching).await.map_err(failed)?;
    // Whoever held the place before may have asked the same.
    if !again && known()?.is_some() {
        return Ok(());
    }
    note(&format!("asking the hub for `{search}`"));
    let models = fetch::search_hub(engines.access(), search, fetching).await.map_err(failed)?;
    let rows = rows(search, &models);
    if rows.is_empty() {
        return Err(failed(FetchError::NothingFound { search: search.to_string() }));
    }
    let (count, output) = (rows.len() as u64, store.put(to_canonical(&Value::Array(rows)).as_bytes())?);
    let receipt = Receipt { rows: Some(count), ..Receipt::bare(recipe.key(), SEARCH, output, now) };
    // What is there is to be asked for again, or has lost its rows.
    Ok(store.replace_receipt(&recipe, &receipt)?)
}

/// The rows that an answer of the hub comes to, by id: one page may repeat what an earlier one had.
fn rows(search: &HubSearch, models: &[Value]) -> Vec<Value> {
    let mut listings: Vec<Listing<'_>> =
        models.iter().filter_map(Listing::new).filter(|listing| listing.is_for(search)).collect();
    listings.sort_by(|one, other| one.id().cmp(other.id()));
    listings.dedup_by(|one, other| one.id() == other.id());
    let row = |listing: Listing<'_>| {
        let weights = fetch::usual_weights(listing.id(), &listing.files());
        listing.row(weights.map(|weights| weights.to_string()).as_deref())
    };
    listings.into_iter().map(row).collect()
}

/// Finds the rows of a search: their id and their bytes.
pub(super) type Rows<'a> = dyn Fn(&HubSearch) -> Result<(BlobId, Vec<u8>), StageFailure> + 'a;

/// The rows that the store has for a search at this time.
pub(super) fn latest(store: &Store, search: &HubSearch) -> Result<(BlobId, Vec<u8>), StageFailure> {
    let receipt = searched(store, search)?.ok_or_else(|| {
        StageFailure::new(format!("`{search}` was never fetched"), Some("run it without `--offline`".to_owned()))
    })?;
    Ok((receipt.output, store.read(&receipt.output)?))
}

/// Reads the catalogs of a research stage, for looking at them without running it. Without searches no store is needed.
///
/// # Errors
/// A file cannot be read or is no catalog, or a search was never put.
pub fn catalog(root: &Path, research: &Research, store: Option<&Store>) -> Result<Catalog, StageFailure> {
    let rows = |search: &HubSearch| {
        let store = store.ok_or_else(|| StageFailure::new(format!("`{search}` was never fetched"), None))?;
        latest(store, search)
    };
    read(root, research, &rows, |_, _| Ok(()))
}

/// Ranks the models of the catalogs. `check` is told the digest of each catalog that was read.
pub(super) fn candidates(
    root: &Path,
    research: &Research,
    rows: &Rows<'_>,
    check: impl FnMut(&BlobId, &CatalogFrom) -> Result<(), StageFailure>,
) -> Result<Candidates, StageFailure> {
    let catalog = read(root, research, rows, check)?;
    catalog::research(&catalog, research).map_err(failed)
}

fn read(
    root: &Path,
    research: &Research,
    rows: &Rows<'_>,
    mut check: impl FnMut(&BlobId, &CatalogFrom) -> Result<(), StageFailure>,
) -> Result<Catalog, StageFailure> {
    let mut parts = Vec::new();
    for from in &research.catalog {
        let (name, id, bytes) = match from {
            CatalogFrom::File(path) => {
                let bytes = fs_err::read(root.join(path)).map_err(|error| {
                    StageFailure::new(error.to_string(), Some("see that the catalog file is there".to_owned()))
                })?;
                (path.to_string_lossy().into_owned(), BlobId::of(&bytes), bytes)
            }
            CatalogFrom::Hub(search) => {
                let (id, bytes) = rows(search)?;
                (search.to_string(), id, bytes)
            }
        };
        check(&id, from)?;
        parts.push((from, name, bytes));
    }
    let parts = parts.iter().map(|(from, name, bytes)| match from {
        CatalogFrom::File(_) => Part::File(name, bytes),
        CatalogFrom::Hub(_) => Part::Hub(name, bytes),
    });
    Catalog::of(parts).map_err(failed)
}

#[expect(clippy::needless_pass_by_value, reason = "it ends here")]
fn failed(error: catalog::CatalogError) -> StageFailure {
    StageFailure::new(error.to_string(), error.help())
}
