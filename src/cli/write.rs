//! Writing files of the project, whole or not at all.

use std::io::{self, Write};
use std::path::Path;

use super::output::readable_by_all;

/// Puts a file in the place of what was there; readers see the old or the new one. Does not touch one that is as it should
/// be, and says whether it wrote.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> io::Result<bool> {
    if fs_err::read(path).is_ok_and(|old| old == bytes) {
        return Ok(false);
    }
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    fs_err::create_dir_all(directory)?;
    let mut temporary = tempfile::Builder::new().prefix(".evalflow").tempfile_in(directory)?;
    temporary.write_all(bytes)?;
    temporary.as_file().sync_data()?;
    readable_by_all(temporary.as_file())?;
    temporary.persist(path).map_err(|error| error.error)?;
    Ok(true)
}
