//! Reading little-endian numbers and texts out of a file that nobody vouches for.

use std::io::{BufReader, Read, Seek};

use super::GgufError;
use crate::fetch::size::Size;

/// Where a header must have ended: vocabularies are tens of megabytes, and a hostile count must not keep us looping.
const LONGEST_HEADER: u64 = 256 * 1024 * 1024;

/// A reader that knows how much is left, so that no length from the file is believed before it is checked.
pub(super) struct Reader<R> {
    input: BufReader<R>,
    at: u64,
    file_bytes: u64,
}

impl<R: Read + Seek> Reader<R> {
    pub(super) fn new(input: R, file_bytes: u64) -> Self {
        Self { input: BufReader::new(input), at: 0, file_bytes }
    }

    /// How many bytes were read or skipped.
    pub(super) fn position(&self) -> u64 {
        self.at
    }

    /// Checks that `bytes` more bytes are there and counts them as read.
    fn claim(&mut self, bytes: u64) -> Result<(), GgufError> {
        let end = self.at.checked_add(bytes).filter(|end| *end <= self.file_bytes);
        let end = end.ok_or(GgufError::HeaderCut { actual: self.file_bytes })?;
        if end > LONGEST_HEADER {
            return Err(GgufError::malformed(format!("it is longer than {}", Size(LONGEST_HEADER))));
        }
        self.at = end;
        Ok(())
    }

    /// Checks that `count` items of at least `bytes` bytes each can still come, before anyone loops over them.
    pub(super) fn expect_items(&self, count: u64, bytes: u64) -> Result<(), GgufError> {
        let needed = count.checked_mul(bytes).filter(|needed| *needed <= self.file_bytes - self.at);
        needed.map(drop).ok_or(GgufError::HeaderCut { actual: self.file_bytes })
    }

    fn fill(&mut self, buffer: &mut [u8]) -> Result<(), GgufError> {
        self.input.read_exact(buffer).map_err(|source| {
            // Only if the file was cut while it was read.
            let cut = source.kind() == std::io::ErrorKind::UnexpectedEof;
            if cut { GgufError::HeaderCut { actual: self.at } } else { GgufError::Io { source } }
        })
    }

    pub(super) fn bytes<const N: usize>(&mut self) -> Result<[u8; N], GgufError> {
        let mut bytes = [0; N];
        self.claim(N as u64)?;
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, GgufError> {
        self.bytes().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, GgufError> {
        self.bytes().map(u64::from_le_bytes)
    }

    pub(super) fn skip(&mut self, bytes: u64) -> Result<(), GgufError> {
        self.claim(bytes)?;
        let offset = i64::try_from(bytes).expect("a claim is at most the longest header");
        self.input.seek_relative(offset).map_err(|source| GgufError::Io { source })
    }

    /// Reads a text of at most `longest` bytes; bytes that are not UTF-8 become `�`.
    pub(super) fn text(&mut self, what: &str, longest: u64) -> Result<String, GgufError> {
        let length = self.u64()?;
        self.claim(length)?;
        if length > longest {
            return Err(GgufError::malformed(format!("{what} is {} long", Size(length))));
        }
        let mut bytes = vec![0; usize::try_from(length).expect("a text is at most `longest` bytes")];
        self.fill(&mut bytes)?;
        Ok(String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
    }

    pub(super) fn skip_text(&mut self) -> Result<(), GgufError> {
        let length = self.u64()?;
        self.skip(length)
    }
}
