//! How long a stage's calls took when they were made: asked for by gates, and in no result.

use crate::engine::Reply;
use crate::key::Key;
use crate::store::{Receipt, Store, StoreError};

/// Of every hundred calls, so many stay under the time that is told.
const OF_A_HUNDRED: usize = 95;

/// The time in seconds under which 95 of 100 calls of a result stayed, and how many calls those are. None where the store does
/// not have them all: a baseline may have come without its calls.
///
/// # Errors
/// The store cannot be read.
pub fn p95(store: &Store, receipt: &Receipt) -> Result<(Option<f64>, u64), StoreError> {
    let Some(list) = &receipt.calls else { return Ok((None, 0)) };
    if !store.has(list)? {
        return Ok((None, 0));
    }
    let calls = store.calls()?;
    let bytes = store.read(list)?;
    let (keys, _) = bytes.as_chunks::<32>();
    let mut times = Vec::with_capacity(keys.len());
    for key in keys {
        let Some(reply) = calls.reply::<Reply>(&Key::from_bytes(*key))? else { return Ok((None, 0)) };
        times.push(reply.elapsed_ms);
    }
    let number = times.len() as u64;
    Ok((percentile(&mut times).map(|ms| ms as f64 / 1000.0), number))
}

/// The smallest of the times that so many of a hundred do not exceed.
fn percentile(times: &mut [u64]) -> Option<u64> {
    times.sort_unstable();
    let rank = (times.len() * OF_A_HUNDRED).div_ceil(100);
    times.get(rank.checked_sub(1)?).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_that_nineteen_of_twenty_stay_under() {
        for (times, expected) in [
            (vec![], None),
            (vec![7], Some(7)),
            ((1..=20).rev().collect(), Some(19)),
            ((1..=21).collect(), Some(20)),
            ((1..=100).collect(), Some(95)),
        ] {
            assert_eq!(percentile(&mut times.clone()), expected, "{times:?}");
        }
    }
}
