//! What one row of a table came to: how much of the output and of the list of calls is its own, and what it counts for.
//!
//! A list of shares is written beside a table, so that a later run knows, without guessing, what belongs to each row. Its
//! bytes are numbers of seven bits a byte, the lowest first, each byte but a number's last with its highest bit set.

use std::io;

use crate::stage::Asked;
use crate::store::{BlobReader, Tally};

/// What one row came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::exec) struct Share {
    /// Bytes of its lines, newlines among them.
    pub(in crate::exec) bytes: u64,
    /// Its lines.
    pub(in crate::exec) lines: u64,
    /// The calls it rests on.
    pub(in crate::exec) calls: u64,
    /// Whether it may stand for the row where the row comes again.
    pub(in crate::exec) state: State,
    /// What answering its calls took.
    pub(in crate::exec) cost: Cost,
}

/// How a row ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::exec) enum State {
    /// Nothing is wrong with it.
    #[default]
    Whole,
    /// A verdict is missing.
    Ungraded,
    /// It failed, or a call of it was not answered: the next run must look into it by itself, and tell.
    Failed,
}

/// What answering calls took when they were made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::exec) struct Cost {
    pub(in crate::exec) engine_ms: u64,
    pub(in crate::exec) prompt_tokens: u64,
    pub(in crate::exec) completion_tokens: u64,
    /// Calls that were not answered.
    pub(in crate::exec) unanswered: u64,
}

impl Cost {
    /// Adds what the answers to a row's requests took.
    pub(in crate::exec) fn add(&mut self, answers: &[Asked]) {
        for answer in answers {
            match answer {
                Asked::Replied(reply) => {
                    self.engine_ms += reply.elapsed_ms;
                    self.prompt_tokens += u64::from(reply.usage.prompt_tokens);
                    self.completion_tokens += u64::from(reply.usage.completion_tokens);
                }
                Asked::Embedded(embedding) => {
                    self.engine_ms += embedding.elapsed_ms();
                    self.prompt_tokens += u64::from(embedding.usage().prompt_tokens);
                }
                Asked::Failed(_) => self.unanswered += 1,
            }
        }
    }
}

impl Share {
    /// Counts the row as one all of whose calls are answered by the store.
    pub(super) fn count(&self, tally: &mut Tally) {
        let Cost { engine_ms, prompt_tokens, completion_tokens, unanswered: _ } = self.cost;
        tally.calls_cached += self.calls;
        tally.saved_ms += engine_ms;
        tally.engine_ms += engine_ms;
        tally.prompt_tokens += prompt_tokens;
        tally.completion_tokens += completion_tokens;
    }

    /// Writes it at the end of `to`.
    pub(in crate::exec) fn write(&self, to: &mut Vec<u8>) {
        let Self { bytes, lines, calls, state, cost } = *self;
        let Cost { engine_ms, prompt_tokens, completion_tokens, unanswered: _ } = cost;
        let state = match state {
            State::Whole => 0,
            State::Ungraded => 1,
            State::Failed => 2,
        };
        for mut number in [bytes, lines, calls, state, engine_ms, prompt_tokens, completion_tokens] {
            while number >= 0x80 {
                to.push(number.to_le_bytes()[0] | 0x80);
                number >>= 7;
            }
            to.push(number.to_le_bytes()[0]);
        }
    }

    /// Reads the next of a list; none at its end.
    pub(super) fn read(list: &mut BlobReader) -> io::Result<Option<Self>> {
        let Some(first) = list.next_byte()? else { return Ok(None) };
        let bytes = number(first, list)?;
        let mut next = || {
            let first = list.next_byte()?.ok_or(io::ErrorKind::UnexpectedEof)?;
            number(first, list)
        };
        let (lines, calls) = (next()?, next()?);
        let state = match next()? {
            0 => State::Whole,
            1 => State::Ungraded,
            _ => State::Failed,
        };
        let cost = Cost { engine_ms: next()?, prompt_tokens: next()?, completion_tokens: next()?, unanswered: 0 };
        Ok(Some(Self { bytes, lines, calls, state, cost }))
    }
}

fn number(first: u8, list: &mut BlobReader) -> io::Result<u64> {
    let mut number = u64::from(first & 0x7f);
    let mut last = first;
    for shift in (7..64).step_by(7) {
        if last < 0x80 {
            return Ok(number);
        }
        last = list.next_byte()?.ok_or(io::ErrorKind::UnexpectedEof)?;
        number |= u64::from(last & 0x7f) << shift;
    }
    if last < 0x80 { Ok(number) } else { Err(io::ErrorKind::InvalidData.into()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Store;

    #[test]
    fn shares_read_back() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap();
        let share = |n: u64, state| Share {
            bytes: n,
            lines: n / 2,
            calls: 3,
            state,
            cost: Cost { engine_ms: n.rotate_left(7), prompt_tokens: 127, completion_tokens: 128, unanswered: 0 },
        };
        let shares = [share(0, State::Whole), share(u64::MAX, State::Ungraded), share(1 << 40, State::Failed)];
        let mut bytes = Vec::new();
        shares.iter().for_each(|share| share.write(&mut bytes));
        let read = |bytes: &[u8]| {
            let mut list = store.bytes(&store.put(bytes).unwrap()).unwrap();
            std::iter::from_fn(|| Share::read(&mut list).transpose()).collect::<io::Result<Vec<_>>>()
        };
        assert_eq!(read(&bytes).unwrap(), shares);
        assert!(read(&bytes[..bytes.len() - 1]).is_err());
        assert!(read(&[0xff; 20]).is_err());
    }
}
