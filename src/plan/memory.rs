//! What a model on the embedded engine takes in memory, from the header of its file: before it is loaded, and without the
//! network. Start at [`Needs::of_header`].

use super::forecast::{Basis, Figure};
use super::{PlanError, Settled};
use crate::catalog::{Facts, memory_bytes};
use crate::data::WeightsRecord;
use crate::engine::embedded::{BACKEND, DEFAULT_CONTEXT, MOST_SEQUENCES};
use crate::engine::memory::{BATCH, Fit, Footprint, GROUP, Limit, Shortage, Wanted};
use crate::fetch::gguf;
use crate::ids::StageId;
use crate::spec::{Embedded, KvCache, Pipeline, Stage, WeightsSource, model_files};
use crate::stage::{self, Known as _};
use crate::store::Store;

/// The vocabulary and the attention heads reckoned with where a header does not tell them.
const TYPICAL_VOCABULARY: u64 = 65_536;
const TYPICAL_HEADS: u64 = 32;

/// Vectors of a token that are held at once while a layer is computed, reckoned in sizes of the embedding.
const VECTORS: u64 = 16;

/// What the mask of attention takes, in sizes of one head's row.
const MASKS: u64 = 2;

/// Tokens for which the cache is reckoned, to know it to a fraction of a byte for one.
const MANY: u64 = 1024;

/// What a model takes and what is asked of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Needs {
    footprint: Footprint,
    wanted: Wanted,
    is_guess: bool,
}

impl Needs {
    /// Reckons from the header of the weights, the bytes of that file and of an adapter's, and what the pipeline asks for.
    #[must_use]
    pub fn of_header(
        header: &gguf::Header,
        bytes: u64,
        adapter_bytes: u64,
        model: &Embedded,
        context: Option<u32>,
    ) -> Self {
        let trained = header.context_length.and_then(|length| u32::try_from(length).ok()).unwrap_or(DEFAULT_CONTEXT);
        let (context, context_limit) = match context {
            Some(stated) => (stated, Limit::Pipeline),
            None if header.context_length.is_some() && trained <= DEFAULT_CONTEXT => (trained, Limit::Model),
            None => (DEFAULT_CONTEXT, Limit::Usual),
        };
        let (sequences, sequences_limit) = match model.sequences {
            Some(stated) => (stated, Limit::Pipeline),
            None => (MOST_SEQUENCES, Limit::Usual),
        };
        let wanted = Wanted { context, context_limit, sequences, sequences_limit };
        let (cell, is_guess) = cell(header, bytes, model.kv_cache);
        let batch = BATCH as u64;
        let vocabulary = header.vocabulary.unwrap_or(TYPICAL_VOCABULARY);
        let vectors = VECTORS * header.embedding_length.unwrap_or(0);
        // On a processor, and with a quantised cache, attention is computed in one kernel, which holds a mask and few rows.
        let is_one_kernel = BACKEND == "cpu" || model.kv_cache != KvCache::F16;
        let heads = if is_one_kernel { MASKS } else { header.heads.unwrap_or(TYPICAL_HEADS) };
        let footprint = Footprint {
            weights: bytes.saturating_add(adapter_bytes),
            cell,
            compute: 4 * batch * vocabulary.saturating_add(vectors),
            compute_per_token: 4 * batch * heads,
        };
        Self { footprint, wanted, is_guess }
    }

    /// The same where no more than so many requests are made.
    #[must_use]
    pub fn for_requests(mut self, requests: u64) -> Self {
        let requests = usize::try_from(requests).unwrap_or(usize::MAX).max(1);
        if requests.next_multiple_of(GROUP) < self.wanted.sequences {
            self.wanted = Wanted { sequences: requests, sequences_limit: Limit::Requests, ..self.wanted };
        }
        self
    }

    /// How it is held in so much free memory.
    ///
    /// # Errors
    /// It does not fit.
    pub fn fit(&self, free: Option<u64>) -> Result<Fit, Shortage> {
        self.footprint.fit(self.wanted, free)
    }

    /// What it takes at least: with the fewest sequences.
    #[must_use]
    pub fn least(&self) -> Figure {
        let wanted = Wanted { sequences: GROUP, ..self.wanted };
        let basis = if self.is_guess { Basis::Guess } else { Basis::Forecast };
        self.footprint.fit(wanted, None).map_or(Figure::unknown(), |fit| Figure::of(fit.total, basis))
    }
}

/// How much memory each of several models may take that are asked side by side, so that all of them fit: those before leave
/// to those behind what they need at least.
///
/// # Errors
/// They do not fit: what is missing for the first of which there is too little left.
pub fn side_by_side(models: &[Needs], free: u64) -> Result<Vec<u64>, Shortage> {
    let least = |needs: &Needs| needs.least().value.unwrap_or(0);
    let mut behind: u64 = models.iter().map(least).fold(0, u64::saturating_add);
    let mut taken: u64 = 0;
    let room = |needs: &Needs| {
        behind = behind.saturating_sub(least(needs));
        let room = free.saturating_sub(taken).saturating_sub(behind);
        taken = taken.saturating_add(needs.fit(Some(room))?.total);
        Ok(room)
    };
    models.iter().map(room).collect()
}

/// Bytes of one token in the cache, and whether that is a rule of thumb.
fn cell(header: &gguf::Header, bytes: u64, kv_cache: KvCache) -> (u64, bool) {
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
    let reckoned = memory_bytes(&facts, MANY, bytes as f64 * 8.0 / parameters);
    reckoned.map_or((0, true), |memory| {
        let whole = KvCache::F16.block_bytes() * MANY;
        let cell = memory.kv_cache.saturating_mul(kv_cache.block_bytes()).div_ceil(whole);
        (cell, memory.kv_cache_estimated)
    })
}

/// What a model takes, where the files that it is made of are here already; none where they are not.
pub(super) fn of_model(
    pipeline: &Pipeline,
    store: &Store,
    settled: &Settled<'_>,
    model: &Embedded,
    context: Option<u32>,
) -> Result<Option<Needs>, PlanError> {
    let Some((header, bytes)) = header(pipeline, store, settled, &model.weights)? else { return Ok(None) };
    let adapter_bytes = match &model.adapter {
        None => 0,
        Some(adapter) => match header_of_adapter(pipeline, store, settled, &adapter.stage)? {
            Some(bytes) => bytes,
            None => return Ok(None),
        },
    };
    Ok(Some(Needs::of_header(&header, bytes, adapter_bytes, model, context)))
}

fn header_of_adapter(
    pipeline: &Pipeline,
    store: &Store,
    settled: &Settled<'_>,
    pulled: &StageId,
) -> Result<Option<u64>, PlanError> {
    Ok(header(pipeline, store, settled, pulled)?.map(|(_, bytes)| bytes))
}

/// The header of what a `pull` stage brings, and the bytes of the file.
fn header(
    pipeline: &Pipeline,
    store: &Store,
    settled: &Settled<'_>,
    pulled: &StageId,
) -> Result<Option<(gguf::Header, u64)>, PlanError> {
    if settled.is_settled(pulled) {
        let record = settled.record(pulled)?;
        // What another version wrote is reported where it is needed, not here.
        let Ok(record) = serde_json::from_slice::<WeightsRecord>(&record) else { return Ok(None) };
        let header = gguf::read(&store.object_path(&record.weights)).ok();
        return Ok(header.map(|header| (header, record.bytes)));
    }
    let Stage::Pull(pull) = &pipeline.stages[pulled] else { return Ok(None) };
    if !stage::reads(&pipeline.stages[pulled]).into_iter().all(|read| settled.is_settled(read)) {
        return Ok(None);
    }
    let wanted = stage::wanted(pull, settled).map_err(|error| PlanError::from_recipe(pulled, error))?;
    let WeightsSource::File(path) = &wanted.source else { return Ok(None) };
    let files = model_files(&pipeline.root.join(path));
    let [file] = files.as_slice() else { return Ok(gguf::read_joined(&files).ok()) };
    let bytes = fs_err::metadata(file).map_or(0, |metadata| metadata.len());
    Ok(gguf::read(file).ok().map(|header| (header, bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> gguf::Header {
        gguf::Header {
            architecture: "llama".to_owned(),
            adapter: None,
            name: None,
            license: None,
            chat_template: None,
            context_length: Some(8192),
            layers: Some(32),
            embedding_length: Some(4096),
            heads: Some(32),
            vocabulary: Some(128_256),
            kv_heads: Some(8),
            key_length: Some(128),
            value_length: Some(128),
            parameters: 8_000_000_000,
            quantization: "Q4_K".to_owned(),
            tensor_bytes: 4_900_000_000,
        }
    }

    fn model(kv_cache: KvCache) -> Embedded {
        Embedded { kv_cache, ..Embedded::of(StageId::new("w").unwrap()) }
    }

    #[test]
    fn a_file_tells_what_it_takes_in_memory() {
        let gigabytes = |found: Figure| ((found.value.unwrap() as f64 / 1e8).round() / 10.0).to_string();
        let least = |context, kv_cache| {
            gigabytes(Needs::of_header(&header(), 4_900_000_000, 0, &model(kv_cache), context).least())
        };
        // 4.9 GB of weights, 0.3 GB to compute in and 5 % more, 2.1 GB of cache for 4 × the usual 4,096 tokens.
        assert_eq!(least(None, KvCache::F16), "7.5");
        assert_eq!(least(Some(8192), KvCache::F16), "9.7");
        assert_eq!(least(Some(8192), KvCache::Q8_0), "7.7");
        assert_eq!(least(Some(8192), KvCache::Q4_0), "6.6");
        let shapeless = gguf::Header { layers: None, ..header() };
        let needs = Needs::of_header(&shapeless, 4_900_000_000, 0, &model(KvCache::F16), None);
        assert_eq!(needs.least().basis, Basis::Guess);
    }

    #[test]
    fn the_file_states_the_context_that_the_pipeline_does_not() {
        let check = |trained: Option<u64>, stated: Option<u32>, expected: (u32, Limit)| {
            let header = gguf::Header { context_length: trained, ..header() };
            let wanted = Needs::of_header(&header, 1, 0, &model(KvCache::F16), stated).wanted;
            assert_eq!((wanted.context, wanted.context_limit), expected);
        };
        check(Some(2048), None, (2048, Limit::Model));
        check(Some(131_072), None, (4096, Limit::Usual));
        check(None, None, (4096, Limit::Usual));
        check(Some(2048), Some(8192), (8192, Limit::Pipeline));
    }

    #[test]
    fn several_models_share_what_is_free() {
        let needs = Needs::of_header(&header(), 4_900_000_000, 0, &model(KvCache::F16), Some(4096));
        let least = needs.least().value.unwrap();
        let rooms = |count: usize, free| side_by_side(&vec![needs; count], free);
        assert_eq!(rooms(1, least), Ok(vec![least]));
        assert_eq!(rooms(2, 2 * least), Ok(vec![least, least]));
        assert!(rooms(2, 2 * least - 1).is_err() && rooms(3, 2 * least).is_err());
        // What is left over is for all, and never more than there is.
        let plenty = 4 * least;
        let taken: u64 = rooms(3, plenty).unwrap().iter().map(|room| needs.fit(Some(*room)).unwrap().total).sum();
        assert!(taken > 3 * least && taken <= plenty, "{taken}");
    }

    #[test]
    fn few_requests_need_few_sequences() {
        let needs = Needs::of_header(&header(), 4_900_000_000, 0, &model(KvCache::F16), None);
        let check = |requests, expected: (usize, Limit)| {
            let fit = needs.for_requests(requests).fit(Some(64_000_000_000)).unwrap();
            assert_eq!((fit.sequences, fit.sequences_limit), expected, "{requests}");
        };
        check(0, (4, Limit::Requests));
        check(3, (4, Limit::Requests));
        check(9, (12, Limit::Requests));
        check(1_000, (MOST_SEQUENCES, Limit::Usual));
    }
}
