//! How much memory a model on the embedded engine takes, and how many replies at once fit into what is free: reckoned
//! from the file's header, before anything is loaded.
//!
//! Pure. The engine makes its lanes by the same rules when it knows what is asked. Start at [`Footprint::fit`].

use serde::Serialize;

/// Rows of a computation come in groups of this on the embedded engine, and so do the sequences that it computes.
pub const GROUP: usize = 4;

/// Tokens of a prompt that are computed at once: buffers are made for so many.
pub const BATCH: usize = 256;

/// What the cache may take if nobody knows how much memory there is.
pub const UNKNOWN_MEMORY: u64 = 2 << 30;

/// Lengths of sequences are multiples of this: llama.cpp rounds up to it.
const LENGTH_STEP: usize = 256;

/// The shortest context that is offered where a longer one does not fit: hardly a judge's prompt is shorter.
const LEAST_CONTEXT: usize = 2 * LENGTH_STEP;

/// What weights and buffers are multiplied with, in percent, for what the reckoning leaves out.
const SAFETY: u64 = 105;

/// What a model takes, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Footprint {
    /// The weights, and the adapter that is laid over them.
    pub weights: u64,
    /// One token of one sequence in the key-value cache.
    pub cell: u64,
    /// Buffers to compute in, apart from the attention's.
    pub compute: u64,
    /// What the attention computes in for one token of a sequence's length.
    pub compute_per_token: u64,
}

/// What bounds a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    /// The pipeline says so.
    Pipeline,
    /// The model was trained for so much.
    Model,
    /// More is not worth it on this machine, or costs memory that few need.
    Usual,
    /// No more is asked.
    Requests,
    /// No more fits into memory.
    Memory,
}

/// What is asked of a model's context.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// Tokens that prompt and reply may have together.
    pub context: u32,
    /// What bounds them. Unless the pipeline does, shorter prompts are served where so many tokens do not fit.
    pub context_limit: Limit,
    /// Most sequences at once.
    pub sequences: usize,
    /// What bounds them.
    pub sequences_limit: Limit,
}

/// How a model is held in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Fit {
    /// How many sequences are computed at once, if all are as long as the context: shorter ones leave room for more.
    pub sequences: usize,
    /// Why there are not more.
    pub sequences_limit: Limit,
    /// Tokens of the longest sequence.
    pub context: usize,
    /// Why there are not more.
    pub context_limit: Limit,
    /// Bytes of the weights, and of the adapter that is laid over them.
    pub weights: u64,
    /// Bytes that the key-value cache may take.
    pub cache: u64,
    /// Bytes to compute in.
    pub compute: u64,
    /// Bytes in all, with some to spare.
    pub total: u64,
}

/// A model does not fit into memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the model does not fit into memory: its weights take {}, buffers to compute in {} and a cache of {sequences} × {context} \
     tokens {}, and {} are free",
    Bytes(*weights), Bytes(*compute), Bytes(*cache), Bytes(*free)
)]
pub struct Shortage {
    /// Bytes of the weights.
    pub weights: u64,
    /// Bytes to compute in.
    pub compute: u64,
    /// Bytes of the smallest cache that would do.
    pub cache: u64,
    /// Its sequences, the fewest there can be.
    pub sequences: usize,
    /// Its tokens a sequence.
    pub context: usize,
    /// Bytes that are free.
    pub free: u64,
}

impl Shortage {
    /// The way on, as an imperative sentence.
    #[must_use]
    pub fn help(&self) -> String {
        let Self { weights, compute: _, cache, sequences: _, context, free } = *self;
        // Fewer sequences were thought of already.
        let shorter =
            if context > LEAST_CONTEXT { format!("write a `context` below {context}, ") } else { String::new() };
        if weights >= free {
            "pull weights with a smaller quantisation, or a smaller model".to_owned()
        } else if cache == 0 {
            format!("{shorter}or pull weights with a smaller quantisation").trim_start_matches("or ").to_owned()
        } else {
            format!("{shorter}choose a smaller `kv_cache`, or pull weights with a smaller quantisation")
        }
    }
}

impl Footprint {
    /// Fits the model into what is free: fewer sequences before a shorter context, and a context that the pipeline
    /// states is never made shorter. Where nobody knows what is free, all fits.
    ///
    /// # Errors
    /// Not even the smallest cache fits beside the weights.
    pub fn fit(&self, wanted: Wanted, free: Option<u64>) -> Result<Fit, Shortage> {
        let most = wanted.sequences.max(1).next_multiple_of(GROUP);
        let length = lane_length(usize::try_from(wanted.context).unwrap_or(usize::MAX));
        let with = |sequences: usize, context: usize| {
            let sequences_limit = if sequences < most { Limit::Memory } else { wanted.sequences_limit };
            let context_limit = if context < length { Limit::Memory } else { wanted.context_limit };
            let (weights, compute) = (self.weights, self.buffers(context));
            let (cache, total) = (self.cache(sequences, context), self.total(sequences, context));
            Fit { sequences, sequences_limit, context, context_limit, weights, cache, compute, total }
        };
        let Some(free) = free else {
            return Ok(with(affordable(UNKNOWN_MEMORY, self.cache(1, length), most).max(GROUP), length));
        };
        let left = free.saturating_sub(self.resident(length));
        // Half of what is free stays for others, unless the model needs it.
        let count = affordable(left.min(free / 2), self.cache(1, length), most);
        if count >= GROUP {
            return Ok(with(count, length));
        }
        let fits = |length: usize| self.total(GROUP, length) <= free;
        if fits(length) {
            return Ok(with(GROUP, length));
        }
        let least = if wanted.context_limit == Limit::Pipeline { length } else { LEAST_CONTEXT.min(length) };
        let shorter = (least..length).step_by(LENGTH_STEP).take_while(|length| fits(*length)).last();
        shorter.map(|length| with(GROUP, length)).ok_or_else(|| Shortage {
            weights: self.weights,
            compute: self.buffers(least),
            cache: self.cache(GROUP, least),
            sequences: GROUP,
            context: least,
            free,
        })
    }

    /// Bytes of a cache of so many sequences of such a length.
    fn cache(&self, sequences: usize, length: usize) -> u64 {
        self.cell.saturating_mul(wide(sequences)).saturating_mul(wide(length))
    }

    fn buffers(&self, length: usize) -> u64 {
        self.compute.saturating_add(self.compute_per_token.saturating_mul(wide(length)))
    }

    /// What is there besides the cache.
    fn resident(&self, length: usize) -> u64 {
        self.weights.saturating_add(self.buffers(length)).saturating_mul(SAFETY) / 100
    }

    fn total(&self, sequences: usize, length: usize) -> u64 {
        self.resident(length).saturating_add(self.cache(sequences, length))
    }
}

/// How many sequences that take `each` fit into `memory`: a multiple of [`GROUP`], `most` at most.
#[must_use]
pub fn affordable(memory: u64, each: u64, most: usize) -> usize {
    let count = usize::try_from(memory / each.max(1)).unwrap_or(usize::MAX);
    count.min(most) / GROUP * GROUP
}

/// A sequence's length for a need: few different ones, so that a context is rarely made anew.
#[must_use]
pub fn lane_length(need: usize) -> usize {
    let octave = need.max(LENGTH_STEP).next_power_of_two() / 2;
    // Half-way steps keep what is not needed below a third.
    let half_way = octave + octave / 2;
    let length = if need <= half_way { half_way } else { 2 * octave };
    length.next_multiple_of(LENGTH_STEP)
}

fn wide(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

/// A size for people.
pub(super) struct Bytes(pub(super) u64);

impl std::fmt::Display for Bytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let megabytes = self.0 as f64 / 1e6;
        if megabytes < 1000.0 { write!(f, "{megabytes:.1} MB") } else { write!(f, "{:.1} GB", megabytes / 1000.0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIBIBYTE: u64 = 1 << 30;

    /// About what Llama 3.1 8B takes in four bits.
    const EIGHT_BILLION: Footprint =
        Footprint { weights: 4_900_000_000, cell: 131_072, compute: 131_000_000, compute_per_token: 32_768 };

    fn wanted(context: u32) -> Wanted {
        Wanted { context, context_limit: Limit::Pipeline, sequences: 32, sequences_limit: Limit::Usual }
    }

    #[test]
    fn lengths_are_few_and_enough() {
        let check = |need: usize, expected: usize| assert_eq!(lane_length(need), expected, "{need}");
        check(1, 256);
        check(256, 256);
        check(257, 512);
        check(512, 512);
        check(513, 768);
        check(768, 768);
        check(769, 1024);
        check(1025, 1536);
        check(1537, 2048);
        check(4096, 4096);
        check(4097, 6144);
        for need in 1..5000 {
            assert!(lane_length(need) >= need && lane_length(need).is_multiple_of(LENGTH_STEP));
        }
    }

    #[test]
    fn fewer_sequences_come_before_a_refusal() {
        let check = |context, free: u64, expected: Option<usize>| {
            let fit = EIGHT_BILLION.fit(wanted(context), Some(free * GIBIBYTE));
            assert_eq!(fit.map(|fit| fit.sequences).ok(), expected, "{context} in {free} GiB");
            if let Ok(fit) = fit {
                assert!(fit.total <= free * GIBIBYTE, "{fit:?}");
                assert_eq!(fit.cache, 131_072 * fit.sequences as u64 * u64::from(context));
            }
        };
        let limits = |free: u64| EIGHT_BILLION.fit(wanted(4096), Some(free * GIBIBYTE)).unwrap().sequences_limit;
        assert_eq!((limits(64), limits(16)), (Limit::Usual, Limit::Memory));
        check(4096, 64, Some(32));
        check(4096, 16, Some(16));
        check(4096, 8, Some(4));
        check(4096, 7, None);
        check(4096, 6, None);
        check(16_384, 14, Some(4));
        check(16_384, 12, None);
    }

    #[test]
    fn a_context_that_nobody_states_is_made_shorter() {
        let unstated = Wanted { context_limit: Limit::Usual, ..wanted(4096) };
        let fit = EIGHT_BILLION.fit(unstated, Some(6 * GIBIBYTE)).unwrap();
        assert_eq!((fit.sequences, fit.context), (4, 2048));
        assert_eq!((fit.sequences_limit, fit.context_limit), (Limit::Memory, Limit::Memory));
        assert!(fit.total <= 6 * GIBIBYTE);
        let shortage = EIGHT_BILLION.fit(unstated, Some(5 * GIBIBYTE)).unwrap_err();
        assert_eq!(
            shortage.to_string(),
            "the model does not fit into memory: its weights take 4.9 GB, buffers to compute in 147.8 MB and a cache \
             of 4 × 512 tokens 268.4 MB, and 5.4 GB are free"
        );
        assert_eq!(shortage.help(), "choose a smaller `kv_cache`, or pull weights with a smaller quantisation");
        let long = EIGHT_BILLION.fit(wanted(16_384), Some(12 * GIBIBYTE)).unwrap_err();
        assert!(
            long.help().starts_with("write a `context` below 16384, choose a smaller `kv_cache`"),
            "{}",
            long.help()
        );
        let hopeless = EIGHT_BILLION.fit(unstated, Some(GIBIBYTE)).unwrap_err();
        assert_eq!(hopeless.help(), "pull weights with a smaller quantisation, or a smaller model");
    }

    #[test]
    fn stated_sequences_bound_the_cache() {
        let few = Wanted { sequences: 3, sequences_limit: Limit::Pipeline, ..wanted(4096) };
        assert_eq!(EIGHT_BILLION.fit(few, Some(64 * GIBIBYTE)).unwrap().sequences, 4, "rows come in groups");
        let many = Wanted { sequences: 64, context: 512, ..few };
        assert_eq!(EIGHT_BILLION.fit(many, Some(64 * GIBIBYTE)).unwrap().sequences, 64);
    }

    #[test]
    fn where_nobody_knows_what_is_free_all_fits() {
        assert_eq!(EIGHT_BILLION.fit(wanted(4096), None).unwrap().sequences, 4);
        assert_eq!(EIGHT_BILLION.fit(wanted(1_048_576), None).unwrap().sequences, 4);
        assert_eq!(EIGHT_BILLION.fit(wanted(512), None).unwrap().sequences, 32);
    }
}
