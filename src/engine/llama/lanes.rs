//! The lanes of a context: each holds one sequence, and all of them take a step together.
//!
//! A reply must not depend, to the last bit, on what else is computed beside it or was before. On processors a row of a
//! computation comes out the same whatever the other rows are, if three things are seen to:
//!
//! * **Rows come in groups of [`GROUP`].** Below that, and for what is left over, llama.cpp has other kernels, which sum
//!   in another order. What is missing is filled with rows that nobody reads.
//! * **A token at position p lies in cell p of its lane**, so that sums over the cache run in one order. Each lane has
//!   cells of its own (the cache is not unified), is only cut at its end, and grows there. Cells behind a lane's end
//!   weigh exactly nothing.
//! * **A prompt is computed in whole tiles of [`TILE`] tokens, cut at multiples of it, and its end, of at least one tile,
//!   row by row**: attention has a kernel for each, and which one it takes is told by the number of rows. A token is shared
//!   only between prompts in which it is computed in the same way; what was generated is never shared. Within a tile
//!   nothing can be shared, so the end, where prompts part, has none.
//!
//! With a single lane, flash attention would split its sum by the number of threads; a step always has a group of lanes,
//! and with a quantised cache it never splits: its one kernel for those takes row by row and cell by cell. The
//! sliding-window cache is kept whole, so that it can be cut like the other. Elsewhere than on processors a kernel is
//! chosen by the shape of a computation in more ways, so there the shape is always the same, and flash attention is off
//! unless the cache needs it: see [`Shape`].

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use llama_cpp_2::context::LlamaContext;
use llama_cpp_2::context::params::{KvCacheType, LlamaContextParams};
use llama_cpp_2::llama_batch::LlamaBatch;
use llama_cpp_2::model::LlamaModel;
use llama_cpp_2::token::LlamaToken;

use super::load::{self, ErrorLog, Model};
use crate::engine::embedded::{BACKEND, CHUNK};
use crate::engine::{EngineError, EngineErrorKind, memory};
use crate::spec::KvCache;

/// Rows that are always computed together; more than any kernel's own group.
pub(super) const GROUP: usize = memory::GROUP;

/// Rows from which on attention is computed in tiles.
const TILE: usize = CHUNK;

/// Tiles of a prompt that are computed at once on a processor, where their number changes nothing.
const TILES: usize = memory::BATCH / TILE;

/// Fewer shared tokens than this are computed again: copying a lane costs about as much.
const LEAST_COPIED: usize = 8;

/// `LLAMA_FLASH_ATTN_TYPE_AUTO`: for models that have it.
const FLASH_ATTENTION_AUTO: i32 = -1;

/// `LLAMA_FLASH_ATTN_TYPE_DISABLED`.
const FLASH_ATTENTION_OFF: i32 = 0;

/// `LLAMA_FLASH_ATTN_TYPE_ENABLED`.
const FLASH_ATTENTION_ON: i32 = 1;

/// How computations must be shaped so that they come out the same each time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shape {
    /// Most rows in whole tiles that are computed at once.
    stride: usize,
    /// Most rows behind those tiles that are computed at once.
    tail: usize,
    /// Whether all lanes take part in every step, and every stretch of a prompt is filled up to the stride.
    is_fixed: bool,
    /// Whether rows can be taken out of a lane again. A recurrent model folds them into its state.
    can_cut: bool,
}

impl Shape {
    fn of(model: &LlamaModel) -> Self {
        let can_cut = !model.is_recurrent() && !model.is_hybrid();
        if BACKEND == "cpu" {
            Self { stride: TILES * TILE, tail: TILE - GROUP, is_fixed: false, can_cut }
        } else {
            Self { stride: TILE, tail: TILE, is_fixed: can_cut, can_cut }
        }
    }

    /// How many tokens of a prompt are computed in whole tiles.
    fn tiled(self, length: usize) -> usize {
        let whole = length / TILE * TILE;
        // Where all stretches have one shape there is no other kernel for the end.
        if self.is_fixed { whole } else { whole.saturating_sub(TILE) }
    }

    /// Where the stretch of a prompt ends that begins at `filled`.
    fn stretch_end(self, filled: usize, length: usize) -> usize {
        let whole = self.tiled(length);
        if filled < whole { whole.min(filled + self.stride) } else { length.min(filled + self.tail) }
    }
}

/// One sequence's place.
#[derive(Debug, Default)]
struct Lane {
    /// The tokens in the cache that were computed as a prompt.
    prompt: Vec<LlamaToken>,
    /// Tokens in the cache, with those that were generated.
    filled: usize,
}

/// A context and its lanes.
pub(super) struct Lanes<'m> {
    context: LlamaContext<'m>,
    batch: LlamaBatch<'static>,
    lanes: Vec<Lane>,
    shape: Shape,
    /// Tokens that one lane has room for.
    length: usize,
    error_log: ErrorLog,
    /// Time spent in llama.cpp's own computation.
    computing: Duration,
}

/// Asked between two computations: whether nobody wants the result any more.
pub(super) type Abandoned<'a> = dyn Fn() -> bool + 'a;

/// Where the logits of a computed token are.
#[derive(Debug, Clone, Copy)]
pub(super) struct LogitsAt(i32);

impl<'m> Lanes<'m> {
    /// Makes a context of `count` lanes, a multiple of [`GROUP`], with room for `length` tokens each.
    pub(super) fn new(
        model: &'m Model,
        count: usize,
        length: usize,
        threads: usize,
        error_log: &ErrorLog,
    ) -> Result<Self, EngineError> {
        let number = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        let threads = i32::try_from(threads).unwrap_or(i32::MAX);
        let shape = Shape::of(&model.weights);
        let (cache, flash_attention) = kept(model.kv_cache, shape);
        let most = shape.stride.max(count);
        let params = LlamaContextParams::default()
            .with_n_ctx(NonZeroU32::new(number(count * length)))
            .with_n_batch(number(most))
            .with_n_ubatch(number(most))
            .with_n_seq_max(number(count))
            .with_n_threads(threads)
            .with_n_threads_batch(threads)
            .with_flash_attention_policy(flash_attention)
            .with_type_k(cache)
            .with_type_v(cache)
            .with_kv_unified(false)
            .with_swa_full(true);
        error_log.forget();
        let failed = |error: String| {
            let reason = error_log.take().unwrap_or(error);
            let message = format!("llama.cpp cannot make a context of {count} × {length} tokens: {reason}");
            EngineError::new(EngineErrorKind::Unavailable, message)
        };
        let context = model.weights.new_context(load::backend(), params);
        let mut context = context.map_err(|error| failed(error.to_string()))?;
        if let Some(adapter) = &model.adapter {
            adapter.lay_over(&mut context).map_err(failed)?;
        }
        let mut lanes = Vec::new();
        lanes.resize_with(count, Lane::default);
        let (batch, error_log) = (LlamaBatch::new(most, 1), error_log.clone());
        Ok(Self { context, batch, lanes, shape, length, error_log, computing: Duration::ZERO })
    }

    pub(super) fn count(&self) -> usize {
        self.lanes.len()
    }

    /// Tokens that one lane has room for.
    pub(super) fn length(&self) -> usize {
        self.length
    }

    /// Time spent in llama.cpp's own computation so far.
    pub(super) fn computing(&self) -> Duration {
        self.computing
    }

    /// How many of the prompt's first tokens need not be computed because the lane has them. At least one is always
    /// computed: the first choice needs its logits.
    pub(super) fn shared(&self, lane: usize, prompt: &[LlamaToken]) -> usize {
        if !self.shape.can_cut {
            return 0;
        }
        let lane = &self.lanes[lane].prompt;
        let same = common_prefix(lane, prompt).min(prompt.len().saturating_sub(1));
        let (there, here) = (self.shape.tiled(lane.len()), self.shape.tiled(prompt.len()));
        if there == here && same >= here && !self.shape.is_fixed {
            same
        } else {
            same.min(there).min(here) / TILE * TILE
        }
    }

    /// Puts a prompt into a lane, taking what `source` has of it. Says how many tokens were there already and where the
    /// last one's logits are; nothing if it was abandoned.
    pub(super) fn fill(
        &mut self,
        lane: usize,
        prompt: &[LlamaToken],
        source: usize,
        abandoned: &Abandoned<'_>,
    ) -> Result<Option<(usize, LogitsAt)>, EngineError> {
        let mut shared = self.shared(source, prompt);
        if source != lane {
            if shared >= LEAST_COPIED {
                self.copy(source, lane);
            } else {
                shared = 0;
            }
        }
        self.cut(lane, shared);
        let mut at = None;
        while self.lanes[lane].filled < prompt.len() {
            if abandoned() {
                return Ok(None);
            }
            let filled = self.lanes[lane].filled;
            let end = self.shape.stretch_end(filled, prompt.len());
            at = self.compute_prompt(lane, prompt, filled..end)?;
        }
        Ok(at.map(|at| (shared, at)))
    }

    /// Computes a stretch of a prompt, filled up with rows that are taken out again.
    fn compute_prompt(
        &mut self,
        lane: usize,
        prompt: &[LlamaToken],
        stretch: std::ops::Range<usize>,
    ) -> Result<Option<LogitsAt>, EngineError> {
        let is_last = stretch.end == prompt.len();
        let group = if self.shape.is_fixed { self.shape.stride } else { GROUP };
        let rows = if self.shape.can_cut { stretch.len().next_multiple_of(group) } else { stretch.len() };
        // What follows the last layer is computed for the rows alone whose logits are wanted: a group of them as well.
        let first_wanted = rows.saturating_sub(GROUP).min(stretch.len() - 1);
        self.batch.clear();
        for index in 0..rows {
            let token = prompt[(stretch.start + index).min(stretch.end - 1)];
            let is_wanted = is_last && (first_wanted..first_wanted + GROUP).contains(&index);
            self.add(token, stretch.start + index, lane, is_wanted);
        }
        self.compute()?;
        self.lanes[lane].prompt.extend_from_slice(&prompt[stretch.clone()]);
        self.lanes[lane].filled = stretch.end;
        if rows > stretch.len() {
            self.forget_rows(lane);
        }
        Ok(is_last.then(|| LogitsAt(cells(stretch.len() - 1))))
    }

    /// Lets each of these lanes take the token beside it. `chosen` is sorted by lane; lanes between and behind take part
    /// for form's sake. Says where the logits are, in the same order.
    pub(super) fn step(&mut self, chosen: &[(usize, LlamaToken)]) -> Result<Vec<LogitsAt>, EngineError> {
        let Some((last, filler)) = chosen.last().copied() else { return Ok(Vec::new()) };
        let rows = if self.shape.is_fixed { self.count() } else { (last + 1).next_multiple_of(GROUP) };
        let mut chosen = chosen.iter().copied().peekable();
        let (mut idle, mut at) = (Vec::new(), Vec::new());
        self.batch.clear();
        for lane in 0..rows {
            let token = match chosen.next_if(|(place, _)| *place == lane) {
                Some((_, token)) => {
                    at.push(LogitsAt(cells(lane)));
                    token
                }
                None => {
                    idle.push(lane);
                    filler
                }
            };
            self.add(token, self.lanes[lane].filled, lane, true);
        }
        self.compute()?;
        for lane in 0..rows {
            self.lanes[lane].filled += 1;
        }
        for lane in idle {
            let filled = self.lanes[lane].filled - 1;
            self.cut(lane, filled);
        }
        Ok(at)
    }

    /// What the model makes of the token there, as of the latest computation.
    pub(super) fn logits(&self, at: LogitsAt) -> &[f32] {
        self.context.get_logits_ith(at.0)
    }

    /// Takes what was generated out of a lane; its prompt stays for others.
    pub(super) fn release(&mut self, lane: usize) {
        let prompt = self.lanes[lane].prompt.len();
        self.cut(lane, prompt);
    }

    /// Whether what a lane holds can be moved to another.
    pub(super) fn can_relocate(&self) -> bool {
        self.shape.can_cut && !self.shape.is_fixed
    }

    /// Moves all that a lane holds to another, in place of what is there.
    pub(super) fn relocate(&mut self, from: usize, to: usize) {
        self.copy(from, to);
        self.release(from);
    }

    fn copy(&mut self, from: usize, to: usize) {
        let number = |lane: usize| i32::try_from(lane).expect("there are few lanes");
        self.context
            .copy_kv_cache_seq(number(from), number(to), None, None)
            .expect("without positions none is too large");
        let Lane { prompt, filled } = &self.lanes[from];
        self.lanes[to] = Lane { prompt: prompt.clone(), filled: *filled };
    }

    /// Cuts a lane back to that many tokens; to nothing where the model cannot forget a part.
    fn cut(&mut self, lane: usize, length: usize) {
        let length = if self.shape.can_cut || length == self.lanes[lane].filled { length } else { 0 };
        self.lanes[lane].filled = length;
        self.lanes[lane].prompt.truncate(length);
        self.forget_rows(lane);
    }

    /// Takes out of the cache what lies behind a lane's end.
    fn forget_rows(&mut self, lane: usize) {
        let from = u32::try_from(self.lanes[lane].filled).expect("a lane's length is a small number");
        let lane = u32::try_from(lane).expect("there are few lanes");
        let from = if from == 0 { None } else { Some(from) };
        if self.context.clear_kv_cache_seq(Some(lane), from, None) != Ok(true) {
            tracing::error!(lane, "llama.cpp cannot cut a sequence");
        }
    }

    fn add(&mut self, token: LlamaToken, position: usize, lane: usize, with_logits: bool) {
        self.batch.add(token, cells(position), &[cells(lane)], with_logits).expect("a batch has room for every shape");
    }

    fn compute(&mut self) -> Result<(), EngineError> {
        self.error_log.forget();
        let start = Instant::now();
        let computed = self.context.decode(&mut self.batch);
        self.computing += start.elapsed();
        computed.map_err(|error| {
            // What the cache holds now is anybody's guess.
            self.context.clear_kv_cache();
            self.lanes.iter_mut().for_each(|lane| *lane = Lane::default());
            let reason = self.error_log.take().unwrap_or_else(|| error.to_string());
            EngineError::new(EngineErrorKind::Unavailable, format!("llama.cpp cannot compute the reply: {reason}"))
        })
    }
}

/// The type of keys and values, and whether attention is computed in one kernel with them.
fn kept(kv_cache: KvCache, shape: Shape) -> (KvCacheType, i32) {
    match kv_cache {
        KvCache::F16 if shape.is_fixed => (KvCacheType::F16, FLASH_ATTENTION_OFF),
        KvCache::F16 => (KvCacheType::F16, FLASH_ATTENTION_AUTO),
        KvCache::Q8_0 => (KvCacheType::Q8_0, FLASH_ATTENTION_ON),
        KvCache::Q4_0 => (KvCacheType::Q4_0, FLASH_ATTENTION_ON),
    }
}

/// How many tokens two texts have in common at their beginning.
pub(super) fn common_prefix(one: &[LlamaToken], other: &[LlamaToken]) -> usize {
    one.iter().zip(other).take_while(|(a, b)| a == b).count()
}

fn cells(number: usize) -> i32 {
    i32::try_from(number).expect("it was checked to fit into the context")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::engine::llama::load::Model;
    use crate::engine::llama::tests::load_model;
    use crate::engine::llama::vocabulary::Vocabulary;

    fn make(model: &Model, count: usize) -> Lanes<'_> {
        Lanes::new(model, count, 512, 1, &ErrorLog::default()).unwrap()
    }

    /// A prompt of so many tokens, of which all from `differs` on belong to this `variant` alone.
    fn prompt(model: &Model, length: usize, differs: usize, variant: &str) -> Vec<LlamaToken> {
        let vocabulary = Vocabulary::new(Arc::clone(&model.weights));
        let words = |text: &str| vocabulary.bare(&text.repeat(length), false);
        let mut prompt = words(" The quick brown fox jumps over the lazy dog;");
        prompt.truncate(differs);
        prompt.extend(words(variant));
        prompt.truncate(length);
        prompt
    }

    fn fill(lanes: &mut Lanes<'_>, lane: usize, prompt: &[LlamaToken], source: usize) -> (usize, Vec<u32>) {
        let (shared, at) = lanes.fill(lane, prompt, source, &|| false).unwrap().unwrap();
        (shared, bits(lanes, at))
    }

    fn bits(lanes: &Lanes<'_>, at: LogitsAt) -> Vec<u32> {
        lanes.logits(at).iter().map(|logit| logit.to_bits()).collect()
    }

    #[test]
    fn what_is_shared_and_what_is_computed_agree_to_the_bit() {
        let model = load_model();
        let mut lanes = make(&model, 4);
        let mut check = |lane, source, (length, differs, variant): (usize, usize, &str), expected| {
            let prompt = prompt(&model, length, differs, variant);
            let (shared, logits) = fill(&mut lanes, lane, &prompt, source);
            assert_eq!(shared, expected, "{length} {differs} {variant}");
            let mut fresh = make(&model, 4);
            assert!(fill(&mut fresh, 3, &prompt, 3) == (0, logits), "{length} {differs} {variant}");
            // A reply's tokens lie in the lane now, which nothing may share.
            lanes.step(&[(lane, prompt[0])]).unwrap();
        };
        check(0, 0, (133, 128, " a"), 0);
        check(0, 0, (137, 128, " b"), 128);
        // The same again: the last token is computed for its logits.
        check(0, 0, (137, 128, " b"), 136);
        check(2, 0, (137, 101, " c"), 101);
        // Within a tile nothing can be shared, and behind the tiles only with a prompt of as many.
        check(1, 2, (300, 299, " d"), 64);
        check(2, 1, (311, 280, " d"), 280);
        check(2, 1, (255, 280, " d"), 128);
        check(1, 1, (317, 280, " e"), 280);
        check(2, 1, (317, 200, " f"), 200);
        check(3, 1, (317, 150, " g"), 128);
        check(2, 1, (320, 280, " e"), 192);
        // Too little to be worth a copy.
        check(3, 0, (40, 5, " e"), 0);
        check(3, 3, (39, 39, " e"), 5);
    }

    #[test]
    fn a_step_does_not_depend_on_its_company() {
        let model = load_model();
        let follow = |count: usize, lane: usize, others: &[(usize, usize)]| {
            let mut lanes = make(&model, count);
            for (other, length) in others {
                fill(&mut lanes, *other, &prompt(&model, *length, 9, " x"), *other);
            }
            let own = prompt(&model, 77, 70, " y");
            fill(&mut lanes, lane, &own, lane);
            let mut chosen: Vec<usize> = others.iter().map(|(other, _)| *other).chain([lane]).collect();
            chosen.sort_unstable();
            let mut found = Vec::new();
            for token in &own[..6] {
                let tokens: Vec<_> = chosen.iter().map(|lane| (*lane, *token)).collect();
                let at = lanes.step(&tokens).unwrap();
                found.push(bits(&lanes, at[chosen.iter().position(|place| *place == lane).unwrap()]));
            }
            found
        };
        let alone = follow(4, 0, &[]);
        assert!(follow(4, 2, &[]) == alone, "in another lane");
        assert!(follow(8, 1, &[(0, 300), (2, 5)]) == alone, "among longer and shorter ones");
        assert!(follow(8, 6, &[(0, 20), (1, 40), (2, 100), (3, 140), (4, 5), (5, 90), (7, 10)]) == alone, "among many");
    }

    #[test]
    fn a_sequence_goes_on_where_it_was_moved() {
        let model = load_model();
        let own = prompt(&model, 60, 50, " z");
        let mut lanes = make(&model, 8);
        fill(&mut lanes, 7, &own, 7);
        lanes.step(&[(7, own[0])]).unwrap();
        lanes.relocate(7, 1);
        let at = lanes.step(&[(1, own[1])]).unwrap();
        let moved = bits(&lanes, at[0]);
        assert_eq!((lanes.shared(1, &own), lanes.shared(7, &own)), (59, 59));

        let mut stayed = make(&model, 4);
        fill(&mut stayed, 0, &own, 0);
        stayed.step(&[(0, own[0])]).unwrap();
        let at = stayed.step(&[(0, own[1])]).unwrap();
        assert!(bits(&stayed, at[0]) == moved);
    }
}
