//! A model with its context: answers one request after another.
//!
//! The prompt's beginning is often the same as the last request's (a rubric, a system text), and what the model
//! computed for it is kept. Yet a reply must not depend on what was asked before, to the last bit, and the same number
//! comes out a little different when it is computed in a batch of another size. Therefore:
//!
//! * A prompt is always computed in chunks of [`CHUNK`] tokens that begin at multiples of it. Only whole chunks are
//!   reused, so every kept value was computed by the very operations that would compute it now. What was generated,
//!   token by token, is never reused.
//! * A token at position p lies in cell p of the cache: it is always cut back to a whole chunk and grows from there. The
//!   last token of a reply is never computed, so no request fills the last cell, after which llama.cpp would begin to
//!   look for free cells at the front.
//! * Flash attention is off: on processors it splits a sum by the number of threads.
//! * The sliding-window cache, where a model has one, is kept whole, so that it can be cut back like the other. A
//!   recurrent model cannot be cut back: it starts over.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Instant;

use llama_cpp_2::context::LlamaContext;
use llama_cpp_2::context::params::LlamaContextParams;
use llama_cpp_2::llama_batch::LlamaBatch;
use llama_cpp_2::token::LlamaToken;
use regex::Regex;

use super::LlamaConfig;
use super::constrain::{Constrainer, Constraint};
use super::load::{self, ErrorLog, Model};
use super::prompt::Guard;
use super::sample::Sampler;
use super::vocabulary::Vocabulary;
use crate::engine::embedded::{CHUNK, DEFAULT_CONTEXT};
use crate::engine::{EngineError, EngineErrorKind, Finish, Message, Reply, Request, Usage};

/// `LLAMA_FLASH_ATTN_TYPE_DISABLED`.
const FLASH_ATTENTION_OFF: i32 = 0;

/// Everything there is in a context belongs to this one sequence.
const SEQUENCE: i32 = 0;

/// A model with its context.
pub(super) struct Session<'m> {
    model: &'m Model,
    context: LlamaContext<'m>,
    batch: LlamaBatch<'static>,
    /// Tokens that prompt and reply may have together.
    limit: u32,
    vocabulary: Vocabulary,
    control_names: Option<Regex>,
    /// Made when the first schema comes.
    constrainer: Option<Constrainer>,
    /// The whole chunks at the beginning of the cache.
    kept: Vec<LlamaToken>,
    /// Tokens in the cache.
    filled: usize,
    error_log: ErrorLog,
}

/// Asked between two computations: whether nobody wants the reply any more.
type Abandoned<'a> = dyn Fn() -> bool + 'a;

impl<'m> Session<'m> {
    pub(super) fn new(model: &'m Model, config: &LlamaConfig, error_log: &ErrorLog) -> Result<Self, EngineError> {
        let limit = config.context.unwrap_or_else(|| model.weights.n_ctx_train().min(DEFAULT_CONTEXT));
        let threads = config.threads.or_else(|| std::thread::available_parallelism().ok().map(Into::into)).unwrap_or(1);
        let threads = i32::try_from(threads).unwrap_or(i32::MAX);
        let chunk = u32::try_from(CHUNK).expect("a chunk is small");
        let params = LlamaContextParams::default()
            .with_n_ctx(NonZeroU32::new(limit))
            .with_n_batch(chunk)
            .with_n_ubatch(chunk)
            .with_n_seq_max(1)
            .with_n_threads(threads)
            .with_n_threads_batch(threads)
            .with_flash_attention_policy(FLASH_ATTENTION_OFF)
            .with_swa_full(true);
        error_log.forget();
        let context = model.weights.new_context(load::backend(), params).map_err(|error| {
            let reason = error_log.take().unwrap_or_else(|| error.to_string());
            let message = format!("llama.cpp cannot make a context of {limit} tokens: {reason}");
            EngineError::new(EngineErrorKind::Unavailable, message)
        })?;
        let vocabulary = Vocabulary::new(Arc::clone(&model.weights));
        Ok(Self {
            model,
            context,
            batch: LlamaBatch::new(CHUNK, 1),
            limit,
            control_names: vocabulary.control_names(),
            vocabulary,
            constrainer: None,
            kept: Vec::new(),
            filled: 0,
            error_log: error_log.clone(),
        })
    }

    /// Answers a request; nothing if it was abandoned.
    pub(super) fn complete(
        &mut self,
        request: &Request,
        abandoned: &Abandoned<'_>,
    ) -> Result<Option<Reply>, EngineError> {
        let start = Instant::now();
        if abandoned() {
            return Ok(None);
        }
        let prompt = self.tokenise(&request.messages)?;
        let prompt_tokens = self.check_size(&prompt, request.max_tokens)?;
        let constraint = request.form.schema().map(|schema| self.constrain(schema.json())).transpose()?;
        let Some(cached_tokens) = self.prefill(&prompt, abandoned)? else { return Ok(None) };
        let Some((writer, finish)) = self.generate(request, constraint, abandoned)? else { return Ok(None) };
        let usage = Usage { prompt_tokens, cached_tokens, completion_tokens: writer.tokens };
        let elapsed_ms = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
        Ok(Some(Reply::new(writer.into_text(), finish, usage, elapsed_ms)))
    }

    fn tokenise(&self, messages: &[Message]) -> Result<Vec<LlamaToken>, EngineError> {
        let mut messages = messages.to_vec();
        let guard = Guard::new(&mut messages, self.control_names.as_ref());
        let rendered = self.model.template.render(&messages).map_err(|error| {
            // The bare message of `raise_exception`, where there is one: it is meant for people.
            let reason = error.detail().map_or_else(|| error.to_string(), ToOwned::to_owned);
            rejected(format!("the model's chat template refuses the conversation: {reason}"))
        })?;
        let prompt = self.vocabulary.prompt(&guard.pieces(&rendered));
        if prompt.is_empty() { Err(rejected("the prompt is empty".to_owned())) } else { Ok(prompt) }
    }

    fn check_size(&self, prompt: &[LlamaToken], max_tokens: u32) -> Result<u32, EngineError> {
        let (limit, prompt_tokens) = (self.limit, u32::try_from(prompt.len()).unwrap_or(u32::MAX));
        let tokens_over = prompt_tokens.saturating_add(max_tokens).saturating_sub(limit);
        if tokens_over == 0 {
            return Ok(prompt_tokens);
        }
        let message = format!(
            "the prompt has {prompt_tokens} tokens and the reply may have {max_tokens}, {tokens_over} more than the \
             context of {limit}"
        );
        Err(EngineError::new(EngineErrorKind::ContextOverflow { tokens_over }, message))
    }

    fn constrain(&mut self, schema: &serde_json::Value) -> Result<Constraint, EngineError> {
        let constrainer = match self.constrainer.take() {
            Some(constrainer) => constrainer,
            None => Constrainer::new(&self.model.weights, &self.vocabulary).map_err(|reason| {
                let message = format!("the model's vocabulary cannot be constrained to a schema: {reason}");
                rejected(message)
            })?,
        };
        self.constrainer
            .insert(constrainer)
            .start(schema)
            .map_err(|reason| rejected(format!("the output schema cannot be used: {reason}")))
    }

    /// Computes the prompt and says how many of its tokens were there already.
    fn prefill(&mut self, prompt: &[LlamaToken], abandoned: &Abandoned<'_>) -> Result<Option<u32>, EngineError> {
        let shared = prompt.iter().zip(&self.kept).take_while(|(new, kept)| new == kept).count();
        // At least one token is computed: the first choice needs its logits.
        let cached = shared.min(prompt.len() - 1) / CHUNK * CHUNK;
        let cached = self.cut_back(cached);
        for chunk in prompt[cached..].chunks(CHUNK) {
            if abandoned() {
                return Ok(None);
            }
            self.decode(chunk, self.filled + chunk.len() == prompt.len())?;
            if chunk.len() == CHUNK {
                self.kept.extend_from_slice(chunk);
            }
        }
        Ok(Some(u32::try_from(cached).expect("it was checked to fit into the context")))
    }

    /// Cuts the cache back to that many tokens, or to nothing where the model cannot forget a part. Says what is left.
    fn cut_back(&mut self, length: usize) -> usize {
        let position = u32::try_from(length).expect("it was checked to fit into the context");
        let is_cut = length > 0 && self.context.clear_kv_cache_seq(Some(0), Some(position), None) == Ok(true);
        if !is_cut {
            self.context.clear_kv_cache();
        }
        self.filled = if is_cut { length } else { 0 };
        self.kept.truncate(self.filled);
        self.filled
    }

    /// Computes tokens that follow those in the cache; the last one's logits if they are wanted.
    fn decode(&mut self, tokens: &[LlamaToken], with_logits: bool) -> Result<(), EngineError> {
        self.batch.clear();
        for (index, token) in tokens.iter().enumerate() {
            let position = i32::try_from(self.filled + index).expect("it was checked to fit into the context");
            let is_wanted = with_logits && index + 1 == tokens.len();
            self.batch.add(*token, position, &[SEQUENCE], is_wanted).expect("a batch has room for a chunk");
        }
        self.error_log.forget();
        self.context.decode(&mut self.batch).map_err(|error| {
            // What the cache holds now is anybody's guess.
            self.context.clear_kv_cache();
            self.kept.clear();
            let reason = self.error_log.take().unwrap_or_else(|| error.to_string());
            EngineError::new(EngineErrorKind::Unavailable, format!("llama.cpp cannot compute the reply: {reason}"))
        })?;
        self.filled += tokens.len();
        Ok(())
    }

    fn generate(
        &mut self,
        request: &Request,
        mut constraint: Option<Constraint>,
        abandoned: &Abandoned<'_>,
    ) -> Result<Option<(Writer, Finish)>, EngineError> {
        let mut sampler = Sampler::new(request.sampling, request.repetition);
        // A schema ends its reply itself, and no JSON without white space holds a line break.
        let stop = if constraint.is_some() { None } else { self.model.template.stop() };
        let mut writer = Writer::new(stop);
        loop {
            if abandoned() {
                return Ok(None);
            }
            let room = request.max_tokens - writer.tokens;
            if room == 0 {
                return Ok(Some((writer, Finish::Length)));
            }
            let mut next = self.choose(&mut sampler, constraint.as_mut())?;
            next.truncate(usize::try_from(room).unwrap_or(usize::MAX));
            for token in &next {
                if self.vocabulary.is_end(*token) {
                    return Ok(Some((writer, Finish::Stop)));
                }
                writer.push(*token, &self.vocabulary);
            }
            if writer.is_stopped() || constraint.as_ref().is_some_and(Constraint::is_complete) {
                return Ok(Some((writer, Finish::Stop)));
            }
            // The reply's last token needs no computing: nothing follows it.
            if writer.tokens < request.max_tokens {
                for chunk in next.chunks(CHUNK) {
                    self.decode(chunk, true)?;
                }
            }
        }
    }

    /// The tokens that come next: all that the schema forces, else one that the sampler chooses.
    fn choose(
        &mut self,
        sampler: &mut Sampler,
        constraint: Option<&mut Constraint>,
    ) -> Result<Vec<LlamaToken>, EngineError> {
        let broken = |reason: String| rejected(format!("the output schema cannot be followed: {reason}"));
        let logits = self.context.get_logits_ith(-1);
        let no_number = || {
            EngineError::new(EngineErrorKind::BadReply, "the model computes no usable probabilities for the next token")
        };
        let Some(constraint) = constraint else {
            return Ok(vec![sampler.choose(logits, None).ok_or_else(no_number)?]);
        };
        let forced = constraint.forced().map_err(broken)?;
        if !forced.is_empty() {
            return Ok(forced);
        }
        let allowed = constraint.allowed().map_err(broken)?;
        let token = sampler.choose(logits, Some(&allowed)).ok_or_else(no_number)?;
        constraint.accept(token).map_err(broken)?;
        Ok(vec![token])
    }
}

fn rejected(message: String) -> EngineError {
    EngineError::new(EngineErrorKind::Rejected, message)
}

/// A reply as it grows.
pub(super) struct Writer {
    /// Characters may be split over tokens, so bytes until the end.
    bytes: Vec<u8>,
    pub(super) tokens: u32,
    stop: Option<&'static str>,
    is_stopped: bool,
}

impl Writer {
    pub(super) fn new(stop: Option<&'static str>) -> Self {
        Self { bytes: Vec::new(), tokens: 0, stop, is_stopped: false }
    }

    fn push(&mut self, token: LlamaToken, vocabulary: &Vocabulary) {
        let before = self.bytes.len();
        vocabulary.append_text(token, &mut self.bytes);
        self.tokens += 1;
        self.look_for_stop(before);
    }

    /// The stop text may have begun before the newest bytes.
    fn look_for_stop(&mut self, before: usize) {
        let Some(stop) = self.stop else { return };
        let from = before.saturating_sub(stop.len() - 1);
        if let Some(at) = self.bytes[from..].windows(stop.len()).position(|window| window == stop.as_bytes()) {
            self.bytes.truncate(from + at);
            self.is_stopped = true;
        }
    }

    fn is_stopped(&self) -> bool {
        self.is_stopped
    }

    /// The text. White space around it belongs to the plain paragraphs, where those are used.
    pub(super) fn into_text(self) -> String {
        let text = String::from_utf8_lossy(&self.bytes);
        if self.stop.is_some() { text.trim().to_owned() } else { text.into_owned() }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::engine::llama::tests::{config, load_model, request};

    fn logits(session: &Session<'_>) -> Vec<u32> {
        session.context.get_logits_ith(-1).iter().map(|logit| logit.to_bits()).collect()
    }

    /// The logits after a prompt of `length` tokens, of which all from `differs` on belong to this `variant` alone.
    fn prompt(session: &Session<'_>, length: usize, differs: usize, variant: &str) -> Vec<LlamaToken> {
        let words = |text: &str| session.vocabulary.bare(&text.repeat(length), false);
        let mut prompt = words(" The quick brown fox jumps over the lazy dog;");
        prompt.truncate(differs);
        prompt.extend(words(variant));
        prompt.truncate(length);
        prompt
    }

    #[test]
    fn reused_and_computed_prompts_agree_to_the_bit() {
        let model = load_model();
        let session = || Session::new(&model, &config(), &ErrorLog::default()).unwrap();
        let mut reusing = session();
        let mut check = |length, differs, variant, cached| {
            let prompt = prompt(&reusing, length, differs, variant);
            assert_eq!(reusing.prefill(&prompt, &|| false).unwrap(), Some(cached), "{length} {differs}");
            let mut fresh = session();
            assert_eq!(fresh.prefill(&prompt, &|| false).unwrap(), Some(0));
            assert!(logits(&reusing) == logits(&fresh), "{length} {differs}");
            // A reply's tokens lie in the cache now, which nothing may reuse.
            reusing.decode(&prompt[..1], true).unwrap();
            reusing.decode(&prompt[..3], true).unwrap();
        };
        let chunk = CHUNK;
        let chunks = |count: usize| u32::try_from(count * CHUNK).unwrap();
        check(2 * chunk + 5, 2 * chunk, " a", 0);
        check(2 * chunk + 9, 2 * chunk, " b", chunks(2));
        // The same again: what is not a whole chunk is computed again.
        check(2 * chunk + 9, 2 * chunk, " b", chunks(2));
        // A whole number of chunks: one of them is computed again, for its logits.
        check(2 * chunk, 2 * chunk, " b", chunks(1));
        // Back to a longer one: the second chunk was computed as a whole, though as the last one.
        check(2 * chunk + 1, 2 * chunk, " c", chunks(2));
        check(chunk + 30, chunk + 20, " d", chunks(1));
        check(chunk - 1, 3, " e", 0);
    }

    #[test]
    fn nobody_waiting_ends_the_work_at_once() {
        let model = load_model();
        let mut session = Session::new(&model, &config(), &ErrorLog::default()).unwrap();
        let asked = Cell::new(0);
        for patience in [1, 2, 4] {
            asked.set(0);
            let abandoned = || {
                asked.set(asked.get() + 1);
                asked.get() >= patience
            };
            assert_eq!(session.complete(&request("Tell me a story.", 100), &abandoned).unwrap(), None);
            assert_eq!(asked.get(), patience);
        }
        let reply = session.complete(&request("Tell me a story.", 3), &|| false).unwrap().unwrap();
        assert_eq!(reply.usage.completion_tokens, 3);
    }

    fn write(
        stop: Option<&'static str>,
        tokens: impl IntoIterator<Item = LlamaToken>,
        vocabulary: &Vocabulary,
    ) -> Writer {
        let mut writer = Writer::new(stop);
        for token in tokens {
            if !writer.is_stopped() {
                writer.push(token, vocabulary);
            }
        }
        writer
    }

    #[test]
    fn characters_may_be_split_over_tokens() {
        let vocabulary = Vocabulary::new(load_model().weights);
        let text = "naïve 🦀 日本語 ꙮ";
        let tokens = vocabulary.bare(text, false);
        assert!(tokens.len() > text.chars().count(), "some character takes several tokens");
        assert_eq!(write(None, tokens.clone(), &vocabulary).into_text(), text);
        let cut = write(None, tokens[..tokens.len() - 1].iter().copied(), &vocabulary).into_text();
        assert_eq!(cut, "naïve 🦀 日本語 \u{fffd}");
    }

    #[test]
    fn the_stop_text_may_come_in_parts() {
        let vocabulary = Vocabulary::new(load_model().weights);
        for text in [" Hello.\n\nUser: more", " Hello.\nUser:"] {
            // A token a character, so that the stop text is never in one.
            let tokens = text.chars().flat_map(|c| vocabulary.bare(&c.to_string(), false));
            let writer = write(Some("\nUser:"), tokens, &vocabulary);
            assert!(writer.is_stopped());
            assert_eq!(writer.into_text(), "Hello.");
        }
        let writer = write(Some("\nUser:"), vocabulary.bare("The User: none\nUse", false), &vocabulary);
        assert!(!writer.is_stopped());
        assert_eq!(writer.into_text(), "The User: none\nUse");
    }
}
