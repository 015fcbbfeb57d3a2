//! A download that may stop at any byte and go on in another process: the bytes so far, and a note beside them that says
//! which file they are of.
//!
//! Bytes that came in their order have the note `.meta`, and all that lies there counts. Bytes that came over several
//! connections have the note `.parts`, and what it lists counts, which was on disk before it was listed.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use fs_err::{File, OpenOptions};
use serde::{Deserialize, Serialize};

use super::follow::Follower;
use super::place::beside;
use super::ranges::Ranges;
use super::transfer::Digests;

/// What is added to a partial path for the notes beside it.
const NOTES: [&str; 2] = [".meta", ".parts"];

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
        self.strong_tag().or(self.last_modified.as_deref())
    }

    /// The server's name for exactly these bytes. A date is none: a file may change twice in a second.
    pub(super) fn strong_tag(&self) -> Option<&str> {
        self.etag.as_deref().filter(|etag| !etag.starts_with("W/"))
    }
}

/// What lies in a `.parts` note.
#[derive(Debug, Serialize, Deserialize)]
struct Parts {
    meta: Meta,
    /// The sha256 that the whole file is to have, where that was known.
    sha256: Option<String>,
    here: Ranges,
}

impl Parts {
    /// Reads the note beside `path`; one that cannot be read is as good as none.
    fn read(path: &Path) -> Option<Self> {
        let json = fs_err::read(beside(path, ".parts")).ok()?;
        serde_json::from_slice::<Self>(&json).ok().filter(|parts| parts.here.is_sound())
    }
}

/// The bytes so far, on disk and hashed.
#[derive(Debug, Default)]
pub(super) struct Partial {
    path: PathBuf,
    meta: Meta,
    sha256: Option<String>,
    here: Ranges,
    is_scattered: bool,
    /// None until there is something to add to.
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    file: File,
    follower: Follower,
}

impl Partial {
    /// Takes up what an earlier attempt left at `path`, if it is of `url` and can be told apart from other states of it:
    /// by what the server said, or by the sha256 that all of it is to have.
    pub(super) fn open(path: &Path, url: &str, sha256: Option<&str>) -> io::Result<Self> {
        let empty = Self { path: path.to_owned(), sha256: sha256.map(str::to_owned), ..Self::default() };
        let known = Parts::read(path).map(|parts| (parts.meta, Some(parts.here), parts.sha256)).or_else(|| {
            let json = fs_err::read(beside(path, ".meta")).ok()?;
            Some((serde_json::from_slice::<Meta>(&json).ok()?, None, None))
        });
        let Some((meta, parts, wanted)) = known else { return Ok(empty) };
        let is_same = meta.validator().is_some() || (wanted.is_some() && wanted == empty.sha256);
        if meta.url != url || !is_same {
            return Ok(empty);
        }
        let file = match OpenOptions::new().append(true).open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(empty),
            Err(error) => return Err(error),
        };
        let length = file.metadata()?.len();
        let is_scattered = parts.is_some();
        let here = parts.unwrap_or_else(|| Ranges::up_to(length));
        if here.end() > length || meta.total.is_some_and(|total| here.end() > total) {
            return Ok(empty);
        }
        let follower = Follower::start(path)?;
        follower.reach(here.prefix());
        Ok(Self { meta, here, is_scattered, open: Some(Open { file, follower }), ..empty })
    }

    pub(super) fn meta(&self) -> &Meta {
        &self.meta
    }

    /// How many bytes are here.
    pub(super) fn bytes(&self) -> u64 {
        self.here.bytes()
    }

    /// What is here.
    pub(super) fn here(&self) -> &Ranges {
        &self.here
    }

    /// Whether what is here came over several connections, and may have holes.
    pub(super) fn is_scattered(&self) -> bool {
        self.is_scattered
    }

    /// Stops counting on the bytes so far. They stay on disk until others come.
    pub(super) fn forget(&mut self) {
        let Self { path, sha256, .. } = std::mem::take(self);
        *self = Self { path, sha256, ..Self::default() };
    }

    /// Throws the bytes so far away and begins the file that `meta` describes.
    pub(super) fn restart(&mut self, meta: Meta) -> io::Result<()> {
        self.forget();
        // In this order: bytes of one file must never lie under the note of another. And a new file, never the old one
        // made empty: that may be linked to one of the user's.
        remove_if_there(&beside(&self.path, ".parts"))?;
        if is_file(&self.path) {
            remove_if_there(&self.path)?;
        }
        let file = File::create(&self.path)?;
        self.open = Some(Open { file, follower: Follower::start(&self.path)? });
        if meta.validator().is_some() {
            write_note(&beside(&self.path, ".meta"), &meta)?;
        } else {
            remove_if_there(&beside(&self.path, ".meta"))?;
        }
        self.meta = meta;
        Ok(())
    }

    /// Adds bytes at the end.
    pub(super) fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let end = self.here.end();
        let open = self.open.as_mut().expect("bytes come after `open` or `restart` made a file");
        open.file.write_all(bytes)?;
        self.add(end, end + bytes.len() as u64);
        Ok(())
    }

    /// From now on, bytes come in any order.
    pub(super) fn scatter(&mut self) -> io::Result<()> {
        self.is_scattered = true;
        self.save(self.here.clone())?;
        remove_if_there(&beside(&self.path, ".meta"))
    }

    /// Counts bytes that were written.
    pub(super) fn add(&mut self, start: u64, end: u64) {
        let before = self.here.prefix();
        self.here.insert(start, end);
        let prefix = self.here.prefix();
        if let Some(open) = self.open.as_ref().filter(|_| prefix > before) {
            open.follower.reach(prefix);
        }
    }

    /// Another handle of the file, to write or sync with.
    pub(super) fn handle(&self) -> io::Result<File> {
        OpenOptions::new().write(true).open(&self.path)
    }

    /// Notes down that these bytes are here: they must have been synced.
    pub(super) fn save(&self, here: Ranges) -> io::Result<()> {
        let Self { meta, sha256, .. } = self;
        let parts = Parts { meta: meta.clone(), sha256: sha256.clone(), here };
        write_note(&beside(&self.path, ".parts"), &parts)
    }

    /// Makes sure the bytes last, and takes the note away: the file is complete.
    pub(super) fn finish(&mut self) -> io::Result<Digests> {
        let open = self.open.take().ok_or_else(|| io::Error::other("nothing was downloaded"))?;
        open.file.sync_all()?;
        let digests = open.follower.finish()?;
        remove_notes(&self.path)?;
        Ok(digests)
    }
}

/// Whether something that may be removed lies there: a test may have put a device in the place of the file.
fn is_file(path: &Path) -> bool {
    fs_err::metadata(path).is_ok_and(|metadata| metadata.is_file())
}

fn write_note(path: &Path, note: &impl Serialize) -> io::Result<()> {
    let json = serde_json::to_vec(note).expect("a note has text keys only");
    let draft = beside(path, ".new");
    fs_err::write(&draft, json)?;
    fs_err::rename(&draft, path)
}

/// How far a download has come, told without asking anybody: bytes here, and bytes in all where the server said so.
#[must_use]
pub fn progress(partial: &Path) -> (u64, Option<u64>) {
    if let Some(parts) = Parts::read(partial) {
        return (parts.here.bytes(), parts.meta.total);
    }
    let note = fs_err::read(beside(partial, ".meta")).ok();
    let meta = note.and_then(|json| serde_json::from_slice::<Meta>(&json).ok());
    // Bytes without a note are of nobody knows what, and will be brought again.
    let Some(meta) = meta else { return (0, None) };
    let here = fs_err::metadata(partial).map_or(0, |metadata| metadata.len());
    (here, meta.total)
}

/// Takes away what says which file lies at a partial path.
pub(super) fn remove_notes(path: &Path) -> io::Result<()> {
    NOTES.iter().try_for_each(|suffix| remove_if_there(&beside(path, suffix)))
}

/// Whether something says that the download at a partial path is not at its end.
pub(super) fn has_note(path: &Path) -> bool {
    NOTES.iter().any(|suffix| beside(path, suffix).exists())
}

pub(super) fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs_err::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}
