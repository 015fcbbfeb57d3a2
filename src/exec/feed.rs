//! A table on its way from the stage that writes it to the stages that read it.
//!
//! Readers follow the file that is being written. So nothing is held in memory, a slow reader holds nobody up, and any
//! number of them may read.

use tokio::sync::watch;

use super::StageFailure;
use crate::key::BlobId;
use crate::store::{BlobWriter, Lines, Store, StoreError};

/// How much of a table can be read.
#[derive(Debug, Clone, Copy, Default)]
struct Written {
    bytes: u64,
    /// Whether this is all of it.
    whole: bool,
}

/// A table that is being written.
pub(super) struct TableWriter {
    blob: BlobWriter,
    written: watch::Sender<Written>,
    rows: u64,
    unflushed: bool,
}

/// The lines of a table that is there or is being written.
pub(super) struct TableReader {
    lines: Lines,
    written: watch::Receiver<Written>,
}

/// Why there are no more lines.
pub(super) enum Cut {
    /// Whoever wrote the table did not come to its end.
    Writer,
    /// The table cannot be read.
    Failure(StageFailure),
}

impl TableWriter {
    pub(super) fn new(store: &Store) -> Result<Self, StoreError> {
        Ok(Self { blob: store.writer()?, written: watch::Sender::default(), rows: 0, unflushed: false })
    }

    /// Somebody who reads along.
    pub(super) fn reader(&self) -> Result<TableReader, StoreError> {
        Ok(TableReader { lines: self.blob.lines()?, written: self.written.subscribe() })
    }

    pub(super) fn line(&mut self, line: &str) -> Result<(), StoreError> {
        self.rows += 1;
        self.unflushed = true;
        self.blob.line(line)
    }

    /// Takes lines that each have their newline.
    pub(super) fn text(&mut self, text: &[u8], lines: u64) -> Result<(), StoreError> {
        self.rows += lines;
        self.unflushed |= lines > 0;
        self.blob.bytes(text)
    }

    /// Lets readers have what was written so far.
    pub(super) fn share(&mut self) -> Result<(), StoreError> {
        if std::mem::take(&mut self.unflushed) && self.written.receiver_count() > 0 {
            let bytes = self.blob.flush()?;
            self.written.send_replace(Written { bytes, whole: false });
        }
        Ok(())
    }

    /// Ends the table; gives what it became and how many rows it has.
    pub(super) fn finish(mut self, store: &Store) -> Result<(BlobId, u64), StoreError> {
        let bytes = self.blob.flush()?;
        let blob = store.finish(self.blob)?;
        self.written.send_replace(Written { bytes, whole: true });
        Ok((blob, self.rows))
    }
}

impl TableReader {
    /// A reader of a table that is there.
    pub(super) fn of(store: &Store, blob: &BlobId) -> Result<Self, StoreError> {
        let lines = store.lines(blob)?;
        let (_, written) = watch::channel(Written { bytes: u64::MAX, whole: true });
        Ok(Self { lines, written })
    }

    /// The next lines, at least one and at most `most`; none at the end. Nothing is lost if it is not awaited to its end.
    pub(super) async fn next(&mut self, most: usize) -> Result<Vec<String>, Cut> {
        loop {
            let Written { bytes, whole } = *self.written.borrow_and_update();
            let mut lines = Vec::new();
            while lines.len() < most && self.lines.read() < bytes {
                match self.lines.next() {
                    Some(Ok(line)) => lines.push(line),
                    Some(Err(error)) => {
                        return Err(Cut::Failure(StageFailure::new(format!("a table cannot be read: {error}"), None)));
                    }
                    None => break,
                }
            }
            if whole || !lines.is_empty() {
                return Ok(lines);
            }
            self.written.changed().await.map_err(|_| Cut::Writer)?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn next(reader: &mut TableReader, most: usize) -> Option<Vec<String>> {
        reader.next(most).await.ok()
    }

    #[tokio::test]
    async fn readers_follow_the_writer_to_its_end() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap();
        let mut table = TableWriter::new(&store).unwrap();
        let mut reader = table.reader().unwrap();
        for line in ["a", "b", "c"] {
            table.line(line).unwrap();
        }
        table.share().unwrap();
        assert_eq!(next(&mut reader, 2).await.unwrap(), ["a", "b"]);
        assert_eq!(next(&mut reader, 2).await.unwrap(), ["c"]);
        let mut late = table.reader().unwrap();
        let finish = async {
            tokio::task::yield_now().await;
            table.line("d").unwrap();
            table.finish(&store).unwrap()
        };
        let (rest, (blob, rows)) = tokio::join!(next(&mut reader, 9), finish);
        assert_eq!((rest.unwrap(), rows), (vec!["d".to_owned()], 4));
        assert_eq!(next(&mut reader, 9).await.unwrap(), [""; 0]);
        assert_eq!(next(&mut late, 9).await.unwrap(), ["a", "b", "c", "d"]);
        let mut again = TableReader::of(&store, &blob).unwrap();
        assert_eq!(next(&mut again, 9).await.unwrap().len(), 4);
        assert_eq!(next(&mut again, 9).await.unwrap(), [""; 0]);
    }

    #[tokio::test]
    async fn a_writer_that_gives_up_cuts_its_readers_off() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap();
        let mut table = TableWriter::new(&store).unwrap();
        let mut reader = table.reader().unwrap();
        table.line("a").unwrap();
        table.share().unwrap();
        drop(table);
        assert_eq!(next(&mut reader, 9).await.unwrap(), ["a"]);
        assert!(matches!(reader.next(9).await, Err(Cut::Writer)));
    }
}
