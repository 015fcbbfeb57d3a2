//! Where files and environment variables come from.
//!
//! Owns the traits that keep [`load`](super::load()) apart from the disk and the process, and the rule for what a
//! project's root is.

use std::collections::BTreeMap;
use std::io::{Error, ErrorKind, Read};
use std::path::{Path, PathBuf};

use fs_err as fs;

/// The largest pipeline, taxonomy, rubric or template file that is read, in bytes.
pub const LARGEST_FILE: u64 = 4 * 1024 * 1024;

/// Gives the bytes of files.
pub trait Sources {
    /// Reads a file of at most [`LARGEST_FILE`] bytes.
    ///
    /// # Errors
    /// There is no such file, it cannot be read, or (with [`ErrorKind::FileTooLarge`], found without reading it) it is
    /// too large.
    fn read(&self, path: &Path) -> Result<Vec<u8>, Error>;

    /// Whether a file is there.
    fn exists(&self, path: &Path) -> bool;
}

/// The files of this machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct Disk;

impl Sources for Disk {
    fn read(&self, path: &Path) -> Result<Vec<u8>, Error> {
        // Looked at by name before it is opened: opening a pipe would wait for somebody to write into it.
        let metadata = fs::metadata(path)?;
        if metadata.is_dir() {
            return Err(Error::new(ErrorKind::IsADirectory, "it is a directory"));
        }
        if !metadata.is_file() {
            return Err(Error::new(ErrorKind::InvalidInput, "it is not a regular file"));
        }
        if metadata.len() > LARGEST_FILE {
            return Err(too_large());
        }
        let mut bytes = Vec::new();
        // The file may have grown since it was measured.
        fs::File::open(path)?.take(LARGEST_FILE + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > LARGEST_FILE { Err(too_large()) } else { Ok(bytes) }
    }

    fn exists(&self, path: &Path) -> bool {
        fs::metadata(path).is_ok_and(|metadata| metadata.is_file())
    }
}

/// Files that are in memory, by their whole path.
#[derive(Debug, Clone, Default)]
pub struct Memory(pub BTreeMap<PathBuf, Vec<u8>>);

impl Sources for Memory {
    fn read(&self, path: &Path) -> Result<Vec<u8>, Error> {
        match self.0.get(path) {
            Some(bytes) if bytes.len() as u64 > LARGEST_FILE => Err(too_large()),
            Some(bytes) => Ok(bytes.clone()),
            None if self.0.keys().any(|file| file.starts_with(path)) => {
                Err(Error::new(ErrorKind::IsADirectory, "it is a directory"))
            }
            None => Err(ErrorKind::NotFound.into()),
        }
    }

    fn exists(&self, path: &Path) -> bool {
        self.0.contains_key(path)
    }
}

fn too_large() -> Error {
    Error::new(ErrorKind::FileTooLarge, "it is larger than 4 MiB")
}

/// Gives the values of environment variables.
pub trait Environment {
    /// The variable's value; none if it is not set.
    fn get(&self, name: &str) -> Option<String>;
}

impl Environment for BTreeMap<String, String> {
    fn get(&self, name: &str) -> Option<String> {
        Self::get(self, name).cloned()
    }
}

/// Finds the root of the project that a pipeline file on this machine belongs to: the nearest directory above it that
/// holds a `pipelines` directory or `.git`, else the file's own directory.
#[must_use]
pub fn project_root(file: &Path) -> PathBuf {
    let whole = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
    let own = whole.parent().unwrap_or(Path::new(""));
    let is_root = |directory: &&Path| directory.join("pipelines").is_dir() || directory.join(".git").exists();
    own.ancestors().find(is_root).unwrap_or(own).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_file_is_refused_without_reading_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("large.yaml");
        // A hole of 100 TB: reading it, or making room for it, would not end well.
        let file = fs::File::create(&path).unwrap();
        if file.set_len(100_000_000_000_000).is_err() {
            file.set_len(100_000_000).unwrap();
        }
        assert_eq!(Disk.read(&path).unwrap_err().kind(), ErrorKind::FileTooLarge);
        file.set_len(LARGEST_FILE).unwrap();
        assert_eq!(Disk.read(&path).unwrap().len() as u64, LARGEST_FILE);
        file.set_len(LARGEST_FILE + 1).unwrap();
        assert_eq!(Disk.read(&path).unwrap_err().kind(), ErrorKind::FileTooLarge);
    }

    #[test]
    fn only_regular_files_are_read() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(Disk.read(directory.path()).unwrap_err().kind(), ErrorKind::IsADirectory);
        assert!(!Disk.exists(directory.path()));
        assert_eq!(Disk.read(&directory.path().join("none")).unwrap_err().kind(), ErrorKind::NotFound);
        if cfg!(unix) {
            assert_eq!(Disk.read(Path::new("/dev/zero")).unwrap_err().kind(), ErrorKind::InvalidInput);
        }
    }

    #[test]
    fn the_root_is_the_nearest_project() {
        let directory = tempfile::tempdir().unwrap();
        let top = directory.path();
        fs::create_dir_all(top.join("a/pipelines/deep")).unwrap();
        fs::create_dir_all(top.join("b/.git")).unwrap();
        fs::create_dir_all(top.join("b/c")).unwrap();
        for (file, root) in
            [("a/pipelines/x.yaml", "a"), ("a/pipelines/deep/x.yaml", "a"), ("a/x.yaml", "a"), ("b/c/x.yaml", "b")]
        {
            assert_eq!(project_root(&top.join(file)), top.join(root), "{file}");
        }
    }
}
