//! Writing files of the project, whole or not at all.

use std::io::{self, Write};
use std::path::Path;

use tempfile::NamedTempFile;

use super::output::readable_by_all;

/// Puts a file in the place of what was there; readers see the old or the new one. Does not touch one that is as it should
/// be, and says whether it wrote.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> io::Result<bool> {
    if fs_err::read(path).is_ok_and(|old| old == bytes) {
        return Ok(false);
    }
    temporary(path, bytes)?.persist(path).map_err(|error| error.error)?;
    Ok(true)
}

/// Writes a file that is not there yet, and says whether it did: what is there is not touched.
pub(super) fn create(path: &Path, bytes: &[u8]) -> io::Result<bool> {
    match temporary(path, bytes)?.persist_noclobber(path) {
        Ok(_) => Ok(true),
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error.error),
    }
}

/// A file with these bytes beside the place where it is to be.
fn temporary(path: &Path, bytes: &[u8]) -> io::Result<NamedTempFile> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    fs_err::create_dir_all(directory)?;
    let mut temporary = tempfile::Builder::new().prefix(".evalflow").tempfile_in(directory)?;
    temporary.write_all(bytes)?;
    temporary.as_file().sync_data()?;
    readable_by_all(temporary.as_file())?;
    Ok(temporary)
}
