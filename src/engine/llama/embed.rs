//! Embeds texts, one after the other, in a context of its own beside the lanes.
//!
//! A text is computed alone, from an empty cache and all at once, so its vector depends on the model and on the text and on
//! nothing else: not on what was embedded before, not on how large the context is, not on the number of threads. Flash
//! attention is off, since it would split the sum of a single row by threads. Models that write and models that only
//! encode (BERT and its kin) are computed in the same way: llama.cpp encodes where there is nothing to decode.

use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::time::Instant;

use llama_cpp_2::context::LlamaContext;
use llama_cpp_2::context::params::{LlamaContextParams, LlamaPoolingType};
use llama_cpp_2::llama_batch::LlamaBatch;
use llama_cpp_2::model::LlamaModel;
use llama_cpp_2::token::LlamaToken;
use tokio::sync::oneshot;

use super::LlamaConfig;
use super::load::{self, ErrorLog, Model};
use crate::engine::{EmbedRequest, Embedding, EngineError, EngineErrorKind, Usage};

/// Most tokens of a text. It is computed at once, so memory grows with them; openings are far shorter.
const LONGEST: u32 = 2048;

/// The least room of a context, so that it is rarely made anew.
const LEAST_ROOM: usize = 512;

/// `LLAMA_FLASH_ATTN_TYPE_DISABLED`.
const FLASH_ATTENTION_OFF: i32 = 0;

/// A text and who waits for its vector.
#[derive(Debug)]
pub(super) struct EmbedJob {
    pub(super) request: EmbedRequest,
    pub(super) reply: oneshot::Sender<Result<Embedding, EngineError>>,
}

impl EmbedJob {
    pub(super) fn is_abandoned(&self) -> bool {
        self.reply.is_closed()
    }

    pub(super) fn answer(self, reply: Result<Embedding, EngineError>) {
        // Nobody waits any more if this fails.
        let _unheard = self.reply.send(reply);
    }
}

/// A model with the texts that wait to be embedded.
pub(super) struct Embedder<'m> {
    model: &'m LlamaModel,
    threads: i32,
    /// Most tokens of a text.
    limit: usize,
    /// Made when the first text comes, and anew for longer ones; with the tokens it has room for.
    context: Option<(LlamaContext<'m>, usize)>,
    waiting: VecDeque<EmbedJob>,
    error_log: ErrorLog,
}

impl<'m> Embedder<'m> {
    pub(super) fn new(model: &'m Model, config: &LlamaConfig, error_log: &ErrorLog) -> Self {
        let threads = config.threads.or_else(|| std::thread::available_parallelism().ok().map(Into::into));
        Self {
            model: &model.weights,
            threads: i32::try_from(threads.unwrap_or(1)).unwrap_or(i32::MAX),
            limit: usize::try_from(model.weights.n_ctx_train().min(LONGEST)).unwrap_or(usize::MAX),
            context: None,
            waiting: VecDeque::new(),
            error_log: error_log.clone(),
        }
    }

    /// Whether nothing waits.
    pub(super) fn is_idle(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(super) fn accept(&mut self, job: EmbedJob) {
        self.waiting.push_back(job);
    }

    /// Embeds the text that has waited longest.
    pub(super) fn turn(&mut self) {
        self.waiting.retain(|job| !job.is_abandoned());
        if let Some(job) = self.waiting.pop_front() {
            let embedding = self.embed(&job.request.text);
            job.answer(embedding);
        }
    }

    fn embed(&mut self, text: &str) -> Result<Embedding, EngineError> {
        let start = Instant::now();
        let pooling = pooling(self.model)?;
        // The special tokens are those that the tokenizer itself puts around a text: what is written stays text.
        let tokens = self.model.vocab().tokenize(text.as_bytes(), true, false);
        if tokens.is_empty() {
            return Err(EngineError::new(EngineErrorKind::Rejected, "the text to embed has no tokens"));
        }
        let over = tokens.len().saturating_sub(self.limit);
        if over > 0 {
            let (count, limit) = (tokens.len(), self.limit);
            let message =
                format!("the text to embed has {count} tokens, {over} more than the {limit} that it may have");
            let tokens_over = u32::try_from(over).unwrap_or(u32::MAX);
            return Err(EngineError::new(EngineErrorKind::ContextOverflow { tokens_over }, message));
        }
        let prompt_tokens = u32::try_from(tokens.len()).unwrap_or(u32::MAX);
        let computed = self.compute(&tokens, pooling)?;
        let usage = Usage { prompt_tokens, ..Usage::default() };
        Embedding::new(&computed, usage, u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    fn compute(&mut self, tokens: &[LlamaToken], pooling: LlamaPoolingType) -> Result<Vec<f32>, EngineError> {
        let (mut context, room) = match self.context.take() {
            Some((context, room)) if room >= tokens.len() => (context, room),
            // The old one is gone before the new one is made.
            Some(_) | None => self.make(tokens.len(), pooling)?,
        };
        self.error_log.forget();
        context.clear_kv_cache();
        let mut batch = LlamaBatch::new(tokens.len(), 1);
        batch.add_sequence(tokens, 0, true).expect("the batch was made for these tokens");
        let failed = |reason: String| {
            EngineError::new(EngineErrorKind::Unavailable, format!("llama.cpp cannot embed the text: {reason}"))
        };
        // A context that failed is not used again: what it holds is anybody's guess.
        context
            .decode(&mut batch)
            .map_err(|error| failed(self.error_log.take().unwrap_or_else(|| error.to_string())))?;
        let computed = context.embeddings_seq_ith(0).map_err(|error| failed(error.to_string()))?.to_vec();
        self.context = Some((context, room));
        Ok(computed)
    }

    fn make(&self, need: usize, pooling: LlamaPoolingType) -> Result<(LlamaContext<'m>, usize), EngineError> {
        let room = need.next_power_of_two().max(LEAST_ROOM);
        let number = u32::try_from(room).expect("it was checked to be a small number");
        let params = LlamaContextParams::default()
            .with_n_ctx(NonZeroU32::new(number))
            .with_n_batch(number)
            .with_n_ubatch(number)
            .with_n_seq_max(1)
            .with_n_threads(self.threads)
            .with_n_threads_batch(self.threads)
            .with_flash_attention_policy(FLASH_ATTENTION_OFF)
            .with_swa_full(true)
            .with_embeddings(true)
            .with_pooling_type(pooling);
        self.error_log.forget();
        let context = self.model.new_context(load::backend(), params).map_err(|error| {
            let reason = self.error_log.take().unwrap_or_else(|| error.to_string());
            let message = format!("llama.cpp cannot make a context of {room} tokens for embeddings: {reason}");
            EngineError::new(EngineErrorKind::Unavailable, message)
        })?;
        tracing::debug!(room, "the embedded engine made a context for embeddings");
        Ok((context, room))
    }
}

/// How the vectors of a text's tokens become one: as the model's file says, by their mean where it says nothing.
fn pooling(model: &LlamaModel) -> Result<LlamaPoolingType, EngineError> {
    let architecture = model.meta_val_str("general.architecture").unwrap_or_default();
    let stated = model.meta_val_str(&format!("{architecture}.pooling_type")).ok();
    pooling_of(&architecture, stated.as_deref())
        .map_err(|why| EngineError::new(EngineErrorKind::Unsupported, format!("the model embeds no texts: {why}")))
}

fn pooling_of(architecture: &str, stated: Option<&str>) -> Result<LlamaPoolingType, &'static str> {
    if architecture == "t5" {
        return Err("it translates, and has an encoder for that alone");
    }
    match stated {
        None | Some("" | "-1" | "0" | "1") => Ok(LlamaPoolingType::Mean),
        Some("2") => Ok(LlamaPoolingType::Cls),
        Some("3") => Ok(LlamaPoolingType::Last),
        Some("4") => Err("it ranks pairs of texts"),
        Some(_) => Err("its file names a pooling that is not known"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pooling_is_what_the_file_says_else_the_mean() {
        for (stated, expected) in [
            (None, Ok(LlamaPoolingType::Mean)),
            (Some("0"), Ok(LlamaPoolingType::Mean)),
            (Some("1"), Ok(LlamaPoolingType::Mean)),
            (Some("2"), Ok(LlamaPoolingType::Cls)),
            (Some("3"), Ok(LlamaPoolingType::Last)),
            (Some("4"), Err("it ranks pairs of texts")),
            (Some("9"), Err("its file names a pooling that is not known")),
        ] {
            assert_eq!(pooling_of("bert", stated), expected, "{stated:?}");
        }
        assert!(pooling_of("t5", Some("1")).is_err());
    }
}
