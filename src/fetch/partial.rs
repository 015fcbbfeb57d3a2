//! A download that may stop at any byte and go on in another process: the bytes so far, and a note beside them that says
//! which file they are of.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use fs_err::{File, OpenOptions};
use serde::{Deserialize, Serialize};

use super::place::beside;
use super::transfer::{Digests, Hasher, PIECE};

/// Which file, of those that a URL has ever stood for, the bytes are of. Lies beside them as JSON.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Meta {
    /// The URL, without secrets.
    pub(super) url: String,
    /// The server's name for this state of the file.
    pub(super) etag: Option<String>,
    /// When the server says the file was last changed.
    pub(super) last_modified: Option<String>,
    /// Its size in bytes.
    pub(super) total: Option<u64>,
}

impl Meta {
    /// What a server compares to tell whether the file is still the same. A weak tag promises an equal meaning, not
    /// equal bytes, so it will not do.
    pub(super) fn validator(&self) -> Option<&str> {
        let strong = self.etag.as_deref().filter(|etag| !etag.starts_with("W/"));
        strong.or(self.last_modified.as_deref())
    }
}

/// The bytes so far, on disk and hashed.
#[derive(Debug, Default)]
pub(super) struct Partial {
    path: PathBuf,
    meta: Meta,
    hasher: Hasher,
    /// None until there is something to add to.
    file: Option<File>,
}

impl Partial {
    /// Takes up what an earlier attempt left at `path`, if it is of `url` and can be told apart from other states of it.
    pub(super) fn open(path: &Path, url: &str) -> io::Result<Self> {
        let empty = Self { path: path.to_owned(), ..Self::default() };
        // A note that cannot be read is as good as none.
        let meta = fs_err::read(beside(path, ".meta")).ok().and_then(|json| serde_json::from_slice::<Meta>(&json).ok());
        let Some(meta) = meta.filter(|meta| meta.url == url && meta.validator().is_some()) else { return Ok(empty) };
        let mut file = match OpenOptions::new().read(true).append(true).open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(empty),
            Err(error) => return Err(error),
        };
        if meta.total.is_some_and(|total| file.metadata().is_ok_and(|metadata| metadata.len() > total)) {
            return Ok(empty);
        }
        let mut hasher = Hasher::default();
        let mut buffer = vec![0; PIECE];
        loop {
            match file.read(&mut buffer)? {
                0 => break,
                length => hasher.update(&buffer[..length]),
            }
        }
        Ok(Self { meta, hasher, file: Some(file), ..empty })
    }

    pub(super) fn meta(&self) -> &Meta {
        &self.meta
    }

    /// How many bytes are here.
    pub(super) fn bytes(&self) -> u64 {
        self.hasher.bytes()
    }

    /// Stops counting on the bytes so far. They stay on disk until others come.
    pub(super) fn forget(&mut self) {
        *self = Self { path: std::mem::take(&mut self.path), ..Self::default() };
    }

    /// Throws the bytes so far away and begins the file that `meta` describes.
    pub(super) fn restart(&mut self, meta: Meta) -> io::Result<()> {
        self.forget();
        // In this order: bytes of one file must never lie under the note of another.
        self.file = Some(File::create(&self.path)?);
        let note = beside(&self.path, ".meta");
        if meta.validator().is_some() {
            let json = serde_json::to_vec(&meta).expect("a note has text keys only");
            let draft = beside(&note, ".new");
            fs_err::write(&draft, json)?;
            fs_err::rename(&draft, &note)?;
        } else {
            remove_if_there(&note)?;
        }
        self.meta = meta;
        Ok(())
    }

    /// Adds bytes.
    pub(super) fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.as_mut().expect("bytes come after `open` or `restart` made a file").write_all(bytes)?;
        self.hasher.update(bytes);
        Ok(())
    }

    /// Makes sure the bytes last, and takes the note away: the file is complete.
    pub(super) fn finish(&mut self) -> io::Result<Digests> {
        if let Some(file) = self.file.take() {
            file.sync_all()?;
        }
        remove_if_there(&beside(&self.path, ".meta"))?;
        Ok(std::mem::take(&mut self.hasher).finish())
    }
}

/// How far a download has come, told without asking anybody: bytes here, and bytes in all where the server said so.
#[must_use]
pub fn progress(partial: &Path) -> (u64, Option<u64>) {
    let note = fs_err::read(beside(partial, ".meta")).ok();
    let meta = note.and_then(|json| serde_json::from_slice::<Meta>(&json).ok());
    // Bytes without a note are of nobody knows what, and will be brought again.
    let Some(meta) = meta else { return (0, None) };
    let here = fs_err::metadata(partial).map_or(0, |metadata| metadata.len());
    (here, meta.total)
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs_err::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}
