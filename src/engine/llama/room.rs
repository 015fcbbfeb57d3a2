//! How many lanes a context gets and how long they are: from the model, the memory and what waits.

use llama_cpp_2::model::LlamaModel;

use super::LlamaConfig;
use super::lanes::GROUP;
use crate::engine::embedded::MOST_SEQUENCES;
use crate::engine::memory::{self, Bytes, affordable, lane_length};
use crate::engine::{EngineError, EngineErrorKind};
use crate::spec::KvCache;

/// Cells a lane has beyond the prompt at least.
pub(super) const LEAST_FREE: usize = GROUP;

/// Lanes that are worth having, unless the configuration says otherwise.
pub(super) fn most_lanes(config: &LlamaConfig) -> usize {
    config.sequences.unwrap_or(MOST_SEQUENCES).max(1).next_multiple_of(GROUP)
}

/// What decides the shape of a context.
#[derive(Debug, Clone, Copy)]
pub(super) struct Room {
    /// Bytes that one token takes in the cache.
    cell_bytes: u64,
    /// Bytes that the cache may take, where that is known.
    memory: Option<u64>,
    most_lanes: usize,
}

impl Room {
    pub(super) fn new(model: &LlamaModel, config: &LlamaConfig) -> Self {
        Self {
            cell_bytes: cell_bytes(model, config.kv_cache),
            memory: config.cache_memory,
            most_lanes: most_lanes(config),
        }
    }

    /// How many lanes of which length there should be for so many requests, of which the longest needs so many cells.
    ///
    /// # Errors
    /// Not even the fewest lanes fit into memory.
    pub(super) fn lanes(self, need: usize, requests: usize) -> Result<(usize, usize), EngineError> {
        let length = lane_length(need);
        let count = self.count(length, requests);
        if count >= GROUP {
            return Ok((count, length));
        }
        // Too little memory is for llama.cpp to tell where nobody knows how much there is.
        let Some(memory) = self.memory else { return Ok((GROUP, length)) };
        let needed = self.lane_bytes(length).saturating_mul(GROUP as u64);
        let message = format!(
            "a prompt needs a cache of {GROUP} × {length} tokens, which takes {}, and there is room for {}",
            Bytes(needed),
            Bytes(memory)
        );
        let help = "shorten the prompt, choose a smaller `kv_cache`, or free memory";
        Err(EngineError::new(EngineErrorKind::Unavailable, message).with_help(help))
    }

    /// Whether twice as many requests or more could run at once than there are lanes of this length.
    pub(super) fn has_more(self, lanes: usize, length: usize, requests: usize) -> bool {
        requests >= 2 * lanes && self.count(length, requests) > lanes
    }

    fn count(self, length: usize, requests: usize) -> usize {
        let memory = self.memory.unwrap_or(memory::UNKNOWN_MEMORY);
        let wanted = requests.next_multiple_of(GROUP).min(self.most_lanes);
        affordable(memory, self.lane_bytes(length), wanted)
    }

    fn lane_bytes(self, length: usize) -> u64 {
        self.cell_bytes.saturating_mul(u64::try_from(length).unwrap_or(u64::MAX))
    }
}

/// Bytes of keys and values that one token takes in all layers.
fn cell_bytes(model: &LlamaModel, kv_cache: KvCache) -> u64 {
    let architecture = model.meta_val_str("general.architecture").unwrap_or_default();
    let heads = u64::from(model.n_head().max(1));
    let usual = u64::try_from(model.n_embd()).unwrap_or(0) / heads;
    let size = |what: &str| {
        let stated = model.meta_val_str(&format!("{architecture}.attention.{what}_length"));
        stated.ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
    };
    let numbers = u64::from(model.n_layer()) * u64::from(model.n_head_kv()) * (size("key") + size("value"));
    numbers * kv_cache.block_bytes() / 32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lanes_follow_requests_and_memory() {
        let room = Room { cell_bytes: 1000, memory: Some(512_000 * 10), most_lanes: 32 };
        let lanes = |room: Room, need, requests| room.lanes(need, requests).unwrap();
        assert_eq!(lanes(room, 300, 1), (4, 512));
        assert_eq!(lanes(room, 300, 5), (8, 512));
        assert_eq!(lanes(room, 300, 99), (8, 512), "ten would fit, but rows come in groups");
        let error = room.lanes(5000, 99).unwrap_err();
        assert!(
            error.message.contains("4 × 6144 tokens, which takes 24.6 MB, and there is room for 5.1 MB"),
            "{error}"
        );
        let unknown = Room { memory: None, ..room };
        assert_eq!(lanes(unknown, 1_000_000, 99), (4, 1_048_576), "too little memory is for llama.cpp to tell");
        assert_eq!(lanes(Room { memory: Some(u64::MAX), ..room }, 100, 99), (32, 256));
    }

    #[test]
    fn a_context_grows_only_where_there_is_room() {
        let room = Room { cell_bytes: 1000, memory: Some(512_000 * 10), most_lanes: 32 };
        assert!(room.has_more(4, 512, 8) && !room.has_more(4, 512, 7));
        assert!(!room.has_more(8, 512, 99), "the memory bears no more");
        assert!(!Room { memory: Some(u64::MAX), ..room }.has_more(32, 512, 99));
    }
}
