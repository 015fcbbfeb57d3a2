//! Objects: bytes named by their digest, as files under `objects/`.

use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use super::{Store, StoreError};
use crate::key::{BlobHasher, BlobId};

/// Takes the bytes of an object piece by piece.
pub struct BlobWriter {
    file: BufWriter<NamedTempFile>,
    hasher: BlobHasher,
    written: u64,
    directory: PathBuf,
}

impl std::fmt::Debug for BlobWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BlobWriter").finish_non_exhaustive()
    }
}

impl BlobWriter {
    /// Takes a line and adds its newline.
    ///
    /// # Errors
    /// The disk is full or fails.
    pub fn line(&mut self, line: &str) -> Result<(), StoreError> {
        self.bytes(line.as_bytes())?;
        self.bytes(b"\n")
    }

    /// Takes bytes as they are.
    ///
    /// # Errors
    /// The disk is full or fails.
    pub fn bytes(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.hasher.update(bytes);
        self.written += bytes.len() as u64;
        self.file.write_all(bytes).map_err(|error| StoreError::from_io(&self.directory, error))
    }

    /// Hands what was taken so far to the system, so that others can read it, and says how many bytes that are.
    ///
    /// # Errors
    /// The disk is full or fails.
    pub fn flush(&mut self) -> Result<u64, StoreError> {
        self.file.flush().map_err(|error| StoreError::from_io(&self.directory, error))?;
        Ok(self.written)
    }

    /// Reads the lines that are written so far, beside the writer.
    ///
    /// # Errors
    /// The file system fails.
    pub fn lines(&self) -> Result<Lines, StoreError> {
        Lines::open(self.file.get_ref().path())
    }
}

/// The lines of an object, one after the other.
pub struct Lines {
    reader: BufReader<fs_err::File>,
    read: u64,
}

impl Lines {
    fn open(path: &Path) -> Result<Self, StoreError> {
        let file = fs_err::File::open(path).map_err(|error| StoreError::from_io(path, error))?;
        Ok(Self { reader: BufReader::with_capacity(1 << 16, file), read: 0 })
    }

    /// How many bytes of the object have been read.
    #[must_use]
    pub fn read(&self) -> u64 {
        self.read
    }
}

impl std::fmt::Debug for Lines {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lines").finish_non_exhaustive()
    }
}

impl Iterator for Lines {
    type Item = io::Result<String>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut line = String::new();
        match self.reader.read_line(&mut line) {
            Ok(0) => None,
            Ok(read) => {
                self.read += read as u64;
                if line.ends_with('\n') {
                    line.pop();
                }
                Some(Ok(line))
            }
            Err(error) => Some(Err(error)),
        }
    }
}

/// The bytes of an object, piece by piece and mostly in their order.
pub struct BlobReader {
    reader: BufReader<fs_err::File>,
    at: u64,
}

impl std::fmt::Debug for BlobReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BlobReader").field("at", &self.at).finish_non_exhaustive()
    }
}

impl BlobReader {
    /// Adds so many bytes to `to`, from a place on.
    ///
    /// # Errors
    /// The object ends before, or the disk fails.
    pub fn read_at(&mut self, from: u64, bytes: u64, to: &mut Vec<u8>) -> io::Result<()> {
        // One step of the reader keeps what it has read ahead; tables are far smaller than what a step can be.
        self.reader.seek_relative(from.wrapping_sub(self.at).cast_signed())?;
        self.at = from;
        let read = self.reader.by_ref().take(bytes).read_to_end(to)? as u64;
        self.at += read;
        if read == bytes { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }

    /// The next byte; none at the end.
    ///
    /// # Errors
    /// The disk fails.
    pub fn next_byte(&mut self) -> io::Result<Option<u8>> {
        let byte = self.reader.fill_buf()?.first().copied();
        if byte.is_some() {
            self.reader.consume(1);
            self.at += 1;
        }
        Ok(byte)
    }
}

impl Store {
    /// Where an object lies, or would lie.
    #[must_use]
    pub fn object_path(&self, id: &BlobId) -> PathBuf {
        let name = id.to_string();
        self.directory().join("objects").join(&name[..2]).join(name)
    }

    /// Whether an object is there with the bytes its name says. One that is damaged is moved aside.
    ///
    /// # Errors
    /// The file system or the index fails.
    pub fn has(&self, id: &BlobId) -> Result<bool, StoreError> {
        match self.verified(id) {
            Ok(_) => Ok(true),
            Err(StoreError::Missing { .. } | StoreError::Corrupt { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The path of an object whose bytes are what its name says.
    ///
    /// The bytes are hashed once and then trusted for as long as size, modification time and inode stay the same, so
    /// that weights of many gigabytes are not read at every run.
    ///
    /// # Errors
    /// It is missing or damaged, or the file system or the index fails.
    pub fn verified(&self, id: &BlobId) -> Result<PathBuf, StoreError> {
        let path = self.object_path(id);
        let found = match self.file_id(&path) {
            Ok(found) => found,
            Err(StoreError::Io { source }) if source.kind() == io::ErrorKind::NotFound => {
                return Err(StoreError::Missing { id: *id });
            }
            Err(error) => return Err(error),
        };
        if found == *id {
            return Ok(path);
        }
        let aside = self.directory().join("aside").join(id.to_string());
        match fs_err::rename(&path, &aside) {
            Ok(()) => {}
            // Another process has just moved it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(StoreError::from_io(&path, error)),
        }
        tracing::warn!(object = %id, aside = %aside.display(), "object was corrupted and moved aside");
        Err(StoreError::Corrupt { id: *id, aside })
    }

    /// The digest of an object's bytes as they lie there now, whatever is remembered of them.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn read_digest(&self, id: &BlobId) -> Result<BlobId, StoreError> {
        let path = self.object_path(id);
        hash_file(&path).map_err(|error| StoreError::from_io(&path, error))
    }

    /// Reads a whole object.
    ///
    /// # Errors
    /// It is missing or damaged, or the file system or the index fails.
    pub fn read(&self, id: &BlobId) -> Result<Vec<u8>, StoreError> {
        let path = self.verified(id)?;
        fs_err::read(&path).map_err(|error| StoreError::from_io(&path, error))
    }

    /// Reads an object line by line.
    ///
    /// # Errors
    /// It is missing or damaged, or the file system or the index fails.
    pub fn lines(&self, id: &BlobId) -> Result<Lines, StoreError> {
        let path = self.verified(id)?;
        Lines::open(&path)
    }

    /// Reads an object piece by piece.
    ///
    /// # Errors
    /// It is missing or damaged, or the file system or the index fails.
    pub fn bytes(&self, id: &BlobId) -> Result<BlobReader, StoreError> {
        let path = self.verified(id)?;
        let file = fs_err::File::open(&path).map_err(|error| StoreError::from_io(&path, error))?;
        Ok(BlobReader { reader: BufReader::with_capacity(1 << 16, file), at: 0 })
    }

    /// Starts an object that comes piece by piece.
    ///
    /// # Errors
    /// The disk is full or fails.
    pub fn writer(&self) -> Result<BlobWriter, StoreError> {
        let directory = self.directory().join("objects");
        let file = NamedTempFile::new_in(&directory).map_err(|error| StoreError::from_io(&directory, error))?;
        Ok(BlobWriter {
            file: BufWriter::with_capacity(1 << 16, file),
            hasher: BlobHasher::default(),
            written: 0,
            directory,
        })
    }

    /// Ends an object that came piece by piece.
    ///
    /// # Errors
    /// The disk is full or fails.
    pub fn finish(&self, writer: BlobWriter) -> Result<BlobId, StoreError> {
        let BlobWriter { file, hasher, written: _, directory } = writer;
        let id = hasher.finish();
        let failed = |error| StoreError::from_io(&directory, error);
        let file = file.into_inner().map_err(|error| failed(error.into_error()))?;
        file.as_file().sync_data().map_err(failed)?;
        let path = self.object_path(&id);
        make_parent(&path)?;
        file.persist(&path).map_err(|error| failed(error.error))?;
        self.remember(&path, &id)?;
        Ok(id)
    }

    /// Puts bytes into the store.
    ///
    /// # Errors
    /// The disk is full or fails.
    pub fn put(&self, bytes: &[u8]) -> Result<BlobId, StoreError> {
        let id = BlobId::of(bytes);
        if self.has(&id)? {
            return Ok(id);
        }
        let mut writer = self.writer()?;
        writer.bytes(bytes)?;
        self.finish(writer)
    }

    /// Moves a complete, synced file with these bytes into the store.
    ///
    /// # Errors
    /// The file system fails.
    pub fn adopt(&self, file: &Path, id: &BlobId) -> Result<(), StoreError> {
        let path = self.object_path(id);
        make_parent(&path)?;
        fs_err::rename(file, &path).map_err(|error| StoreError::from_io(&path, error))?;
        // Two names of one file are both left in place by a rename.
        match fs_err::remove_file(file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(StoreError::from_io(file, error)),
            Ok(()) | Err(_) => {}
        }
        self.remember(&path, id)
    }
}

fn make_parent(path: &Path) -> Result<(), StoreError> {
    let parent = path.parent().expect("an object lies in a directory");
    fs_err::create_dir_all(parent).map_err(|error| StoreError::from_io(parent, error))
}

/// Computes the digest of a file's bytes.
pub(super) fn hash_file(path: &Path) -> io::Result<BlobId> {
    let mut file = fs_err::File::open(path)?;
    let mut hasher = BlobHasher::default();
    let mut buffer = vec![0; 1 << 17];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hasher.finish()),
            read => hasher.update(&buffer[..read]),
        }
    }
}
