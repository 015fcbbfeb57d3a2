//! Lines that came out otherwise than they are stored, kept beside the stored table and read in its place.
//!
//! On disk and not in memory: all rows of a large table may have moved. Never in the store.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Seek, SeekFrom, Write};
use std::iter::Peekable;

use crate::store::Lines;

/// The lines of one table that moved, in their order.
#[derive(Debug)]
pub(super) struct Fresh {
    /// Without a name: however the program ends, it is gone.
    file: Option<io::BufWriter<File>>,
    lines: u64,
}

/// One line of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    /// Which, from 0.
    pub(super) index: u64,
    /// The line without its end.
    pub(super) text: String,
    /// Whether it is a fresh one.
    pub(super) moved: bool,
}

impl Fresh {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self { file: Some(io::BufWriter::new(tempfile::tempfile()?)), lines: 0 })
    }

    /// Of a table in which no line moved.
    pub(super) fn none() -> Self {
        Self { file: None, lines: 0 }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lines == 0
    }

    /// Takes the next line that moved.
    pub(super) fn line(&mut self, index: u64, text: &str) -> io::Result<()> {
        let file = self.file.as_mut().expect("lines are only taken by one that was made for them");
        self.lines += 1;
        writeln!(file, "{index}\t{text}")
    }

    /// Says that there are no more lines.
    pub(super) fn end(&mut self) -> io::Result<()> {
        self.file.as_mut().map_or(Ok(()), Write::flush)
    }

    /// Reads from the first line on. The place in the file is shared, but stages are verified one after the other.
    fn read(&self) -> io::Result<Reader> {
        let Some(file) = &self.file else { return Ok(Reader(None)) };
        let mut file = file.get_ref().try_clone()?;
        file.seek(SeekFrom::Start(0))?;
        Ok(Reader(Some(BufReader::new(file))))
    }
}

struct Reader(Option<BufReader<File>>);

impl Iterator for Reader {
    type Item = io::Result<(u64, String)>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut line = String::new();
        match self.0.as_mut()?.read_line(&mut line) {
            Ok(0) => None,
            Ok(_) => {
                let read = line
                    .trim_end_matches('\n')
                    .split_once('\t')
                    .and_then(|(index, text)| Some((index.parse().ok()?, text.to_owned())));
                Some(read.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "a kept line cannot be read")))
            }
            Err(error) => Some(Err(error)),
        }
    }
}

/// The lines of a stored table, fresh ones in place of those that moved.
pub(super) struct Merged {
    stored: std::iter::Enumerate<Lines>,
    fresh: Peekable<Reader>,
}

/// Reads a stored table with the lines that moved in their places.
pub(super) fn merged(stored: Lines, fresh: &Fresh) -> io::Result<Merged> {
    Ok(Merged { stored: stored.enumerate(), fresh: fresh.read()?.peekable() })
}

impl Iterator for Merged {
    type Item = io::Result<Line>;

    fn next(&mut self) -> Option<Self::Item> {
        let (index, stored) = self.stored.next()?;
        let index = index as u64;
        let text = match stored {
            Ok(text) => text,
            Err(error) => return Some(Err(error)),
        };
        let is_here = |next: &io::Result<(u64, String)>| next.as_ref().map_or(true, |(at, _)| *at == index);
        match self.fresh.next_if(is_here) {
            Some(Ok((_, text))) => Some(Ok(Line { index, text, moved: true })),
            Some(Err(error)) => Some(Err(error)),
            None => Some(Ok(Line { index, text, moved: false })),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Store;

    #[test]
    fn fresh_lines_stand_in_their_places() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap();
        let blob = store.put(b"a\nb\nc\nd\n").unwrap();
        let mut fresh = Fresh::new().unwrap();
        assert!(fresh.is_empty());
        fresh.line(1, "B\tb").unwrap();
        fresh.line(3, "").unwrap();
        fresh.end().unwrap();
        assert!(!fresh.is_empty());
        let shown = |fresh: &Fresh| {
            let lines = merged(store.lines(&blob).unwrap(), fresh).unwrap().map(Result::unwrap);
            lines.map(|line| (line.index, line.text, line.moved)).collect::<Vec<_>>()
        };
        let line = |index, text: &str, moved| (index, text.to_owned(), moved);
        let expected = [line(0, "a", false), line(1, "B\tb", true), line(2, "c", false), line(3, "", true)];
        // Twice: several stages may read one table.
        for _ in 0..2 {
            assert_eq!(shown(&fresh), expected);
        }
        assert!(shown(&Fresh::none()).iter().all(|(_, _, moved)| !moved));
    }
}
