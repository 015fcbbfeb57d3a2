//! Hashing a file in the order of its bytes while others still write it, in whatever order.

use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use fs_err::File;

use super::transfer::{Digests, Hasher, PIECE};

/// A thread that hashes what is written so far, read back while it is still in memory: sha256 knows one order only, and
/// whoever receives bytes has no time for it.
#[derive(Debug)]
pub(super) struct Follower {
    /// None once it was told that nothing more comes.
    frontier: Option<Sender<u64>>,
    thread: Option<JoinHandle<io::Result<Hasher>>>,
    is_abandoned: Arc<AtomicBool>,
}

impl Follower {
    /// Begins to follow the file at `path`, of which nothing counts yet.
    pub(super) fn start(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let (frontier, told) = channel();
        let is_abandoned = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&is_abandoned);
        let thread = std::thread::Builder::new().name("hash".to_owned()).spawn(move || follow(file, &told, &flag))?;
        Ok(Self { frontier: Some(frontier), thread: Some(thread), is_abandoned })
    }

    /// Says that all bytes before `frontier` are written and will not change.
    pub(super) fn reach(&self, frontier: u64) {
        // Where the thread has ended, `finish` tells why.
        self.frontier.as_ref().and_then(|sender| sender.send(frontier).ok());
    }

    /// Waits until all bytes that were reached are hashed.
    pub(super) fn finish(mut self) -> io::Result<Digests> {
        self.frontier = None;
        let thread = self.thread.take().expect("a follower is finished once");
        match thread.join() {
            Ok(hasher) => Ok(hasher?.finish()),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.is_abandoned.store(true, Ordering::Relaxed);
    }
}

fn follow(mut file: File, told: &Receiver<u64>, is_abandoned: &AtomicBool) -> io::Result<Hasher> {
    let mut hasher = Hasher::default();
    let mut buffer = vec![0; PIECE];
    while let Ok(frontier) = told.recv() {
        while hasher.bytes() < frontier {
            if is_abandoned.load(Ordering::Relaxed) {
                return Ok(hasher);
            }
            let left = usize::try_from(frontier - hasher.bytes()).unwrap_or(usize::MAX);
            let piece = &mut buffer[..left.min(PIECE)];
            file.read_exact(piece)?;
            hasher.update(piece);
        }
    }
    Ok(hasher)
}

#[cfg(test)]
mod tests {
    use std::io::{Seek, SeekFrom, Write};

    use super::super::testing::sha256;
    use super::*;
    use crate::key::BlobId;

    #[test]
    fn what_is_written_out_of_order_is_hashed_in_order() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("it");
        let content: Vec<u8> = (0..200_000_u32).flat_map(u32::to_le_bytes).collect();
        let mut file = File::create(&path).unwrap();
        let follower = Follower::start(&path).unwrap();
        file.seek(SeekFrom::Start(500_000)).unwrap();
        file.write_all(&content[500_000..]).unwrap();
        file.seek(SeekFrom::Start(0)).unwrap();
        file.write_all(&content[..300_000]).unwrap();
        follower.reach(300_000);
        file.write_all(&content[300_000..500_000]).unwrap();
        follower.reach(content.len() as u64);
        let digests = follower.finish().unwrap();
        assert_eq!(digests.bytes, content.len() as u64);
        assert_eq!((digests.sha256, digests.blake3), (sha256(&content), BlobId::of(&content)));
    }

    #[test]
    fn a_file_that_is_shorter_than_was_said_is_told() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("it");
        fs_err::write(&path, "short").unwrap();
        let follower = Follower::start(&path).unwrap();
        follower.reach(6);
        assert_eq!(follower.finish().unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }
}
