//! How many lanes a context gets and how long they are: from the model, the memory and what waits.

use llama_cpp_2::model::LlamaModel;

use super::LlamaConfig;
use super::lanes::GROUP;
use super::processor;

/// Cells a lane has beyond the prompt at least.
pub(super) const LEAST_FREE: usize = GROUP;

/// Lanes that are worth having, unless the configuration says otherwise: beyond that a step takes longer in proportion.
/// Where a processor computes tiles of matrices, all else weighs more, and what fits its caches is fastest.
pub(super) fn most_lanes(config: &LlamaConfig) -> usize {
    let usual = if processor::used().contains(&processor::TILES) { 16 } else { 32 };
    config.sequences.unwrap_or(usual).max(1).next_multiple_of(GROUP)
}

/// Lengths are multiples of this: llama.cpp rounds up to it.
const LENGTH_STEP: usize = 256;

/// What the cache may take if nobody knows how much memory there is.
const UNKNOWN_MEMORY: u64 = 2 << 30;

/// What decides the shape of a context.
#[derive(Debug, Clone, Copy)]
pub(super) struct Room {
    /// Bytes that one token takes in the cache.
    cell_bytes: u64,
    /// Bytes that the cache may take.
    memory: u64,
    most_lanes: usize,
}

impl Room {
    pub(super) fn new(model: &LlamaModel, config: &LlamaConfig) -> Self {
        let memory = config.memory.map_or(UNKNOWN_MEMORY, |free| free / 2);
        Self { cell_bytes: cell_bytes(model), memory, most_lanes: most_lanes(config) }
    }

    /// How many lanes of which length there should be for so many requests, of which the longest needs so many cells.
    pub(super) fn lanes(self, need: usize, requests: usize) -> (usize, usize) {
        let length = lane_length(need);
        (self.count(length, requests), length)
    }

    /// Whether twice as many requests or more could run at once than there are lanes.
    pub(super) fn has_more(self, lanes: usize, requests: usize) -> bool {
        requests >= 2 * lanes && lanes < self.most_lanes && self.memory > 0
    }

    fn count(self, length: usize, requests: usize) -> usize {
        let lane_bytes = self.cell_bytes.saturating_mul(u64::try_from(length).unwrap_or(u64::MAX)).max(1);
        let affordable = usize::try_from(self.memory / lane_bytes).unwrap_or(usize::MAX);
        let wanted = requests.next_multiple_of(GROUP).min(self.most_lanes);
        (wanted.min(affordable) / GROUP * GROUP).max(GROUP)
    }
}

/// A lane's length for a need: few different ones, so that a context is rarely made anew.
fn lane_length(need: usize) -> usize {
    let octave = need.max(2 * LENGTH_STEP).next_power_of_two() / 2;
    // Half-way steps keep what is not needed below a third.
    let half_way = octave + octave / 2;
    let length = if need <= half_way { half_way } else { 2 * octave };
    length.next_multiple_of(LENGTH_STEP)
}

/// Bytes of keys and values that one token takes in all layers, two bytes each.
fn cell_bytes(model: &LlamaModel) -> u64 {
    let architecture = model.meta_val_str("general.architecture").unwrap_or_default();
    let heads = u64::from(model.n_head().max(1));
    let usual = u64::try_from(model.n_embd()).unwrap_or(0) / heads;
    let size = |what: &str| {
        let stated = model.meta_val_str(&format!("{architecture}.attention.{what}_length"));
        stated.ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
    };
    u64::from(model.n_layer()) * u64::from(model.n_head_kv()) * (size("key") + size("value")) * 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_few_and_enough() {
        let check = |need: usize, expected: usize| assert_eq!(lane_length(need), expected, "{need}");
        check(1, 512);
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
    fn lanes_follow_requests_and_memory() {
        let room = Room { cell_bytes: 1000, memory: 512_000 * 10, most_lanes: 32 };
        assert_eq!(room.lanes(100, 1), (4, 512));
        assert_eq!(room.lanes(100, 5), (8, 512));
        assert_eq!(room.lanes(100, 99), (8, 512), "ten would fit, but rows come in groups");
        assert_eq!(room.lanes(5000, 99), (4, 6144), "too little memory is for llama.cpp to tell");
        assert_eq!(Room { memory: u64::MAX, ..room }.lanes(100, 99), (32, 512));
        assert!(room.has_more(4, 8) && !room.has_more(4, 7) && !room.has_more(32, 99));
    }
}
