//! The stages that work on whole tables, as a run and a verification compute them alike.

use std::io;
use std::path::Path;

use super::StageFailure;
use crate::catalog::{self, Catalog};
use crate::data::{Candidates, Decision, Judged};
use crate::key::BlobId;
use crate::spec::{Decide, Research};
use crate::stage::decide;

/// Ranks the models of the catalogs. `check` is told the digest of each file that was read.
pub(super) fn candidates(
    root: &Path,
    research: &Research,
    check: impl Fn(&BlobId, &Path) -> Result<(), StageFailure>,
) -> Result<Candidates, StageFailure> {
    let catalog = read_catalog(root, research, check)?;
    catalog::research(&catalog, research).map_err(failed)
}

/// Reads the catalogs of a research stage, for looking at them without a store.
///
/// # Errors
/// A file cannot be read, or is no catalog.
pub fn catalog(root: &Path, research: &Research) -> Result<Catalog, StageFailure> {
    read_catalog(root, research, |_, _| Ok(()))
}

#[expect(clippy::needless_pass_by_value, reason = "it ends here")]
fn failed(error: catalog::CatalogError) -> StageFailure {
    StageFailure::new(error.to_string(), error.help())
}

fn read_catalog(
    root: &Path,
    research: &Research,
    check: impl Fn(&BlobId, &Path) -> Result<(), StageFailure>,
) -> Result<Catalog, StageFailure> {
    let mut files = Vec::new();
    for path in &research.catalog {
        let bytes = fs_err::read(root.join(path)).map_err(|error| {
            StageFailure::new(error.to_string(), Some("see that the catalog file is there".to_owned()))
        })?;
        check(&BlobId::of(&bytes), path)?;
        files.push((path.to_string_lossy().into_owned(), bytes));
    }
    Catalog::read(files.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice()))).map_err(failed)
}

/// Decides on the rows of a table of verdicts.
pub(super) fn decision(
    decide: &Decide,
    verdicts: impl Iterator<Item = io::Result<String>>,
) -> Result<Decision, StageFailure> {
    let mut tally = decide::Tally::new(decide);
    for line in verdicts {
        let line = line.map_err(|error| StageFailure::new(error.to_string(), None))?;
        let row: Judged = serde_json::from_str(&line)
            .map_err(|error| StageFailure::new(format!("a row of verdicts cannot be read: {error}"), None))?;
        tally.add(&row);
    }
    Ok(tally.finish())
}
