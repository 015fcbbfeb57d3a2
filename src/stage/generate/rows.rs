//! The rows that a scenario stage works on, wherever they come from.

use std::io::{self, BufRead, BufReader};
use std::path::Path;

use super::{Cell, Lines, ScenarioFileError, cells, check_file, import};
use crate::key::{BlobHasher, BlobId};
use crate::spec::{Generate, GenerateFrom, Import};

/// Rows to be, one after the other.
pub struct Rows {
    /// The rows.
    pub cells: Box<dyn Iterator<Item = Result<Cell, ScenarioFileError>> + Send>,
    /// How many there are.
    pub total: u64,
    /// What the file held when it was checked, if they come from one.
    pub file: Option<BlobId>,
}

impl std::fmt::Debug for Rows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rows").field("total", &self.total).finish_non_exhaustive()
    }
}

/// Lists what the stage works on; paths start at `root`. A file is checked as a whole before its first row is given.
///
/// # Errors
/// The file cannot be read, or a line of it is no scenario.
pub fn rows(generate: &Generate, root: &Path) -> Result<Rows, ScenarioFileError> {
    let limit = generate.limit.unwrap_or(u64::MAX);
    let most = usize::try_from(limit).unwrap_or(usize::MAX);
    match &generate.from {
        GenerateFrom::Taxonomy(expand) => {
            let cells = cells(expand);
            let total = limit.min(cells.len() as u64);
            Ok(Rows { cells: Box::new(cells.take(most).map(Ok)), total, file: None })
        }
        GenerateFrom::File(import) => {
            let Import { path, mapping } = import.as_ref();
            let (file, shown) = (root.join(path), path.display().to_string());
            let open = || {
                let file = fs_err::File::open(&file);
                file.map(BufReader::new).map_err(|source| ScenarioFileError::Read { file: shown.clone(), source })
            };
            if let Some(mapping) = mapping {
                // Gone through once and for nothing kept: a mistake in the last record is found before anything is paid for.
                let blob = digest(open()?).map_err(|source| ScenarioFileError::Read { file: shown.clone(), source })?;
                let total = import::count(&file, &shown, mapping)?;
                let cells = Box::new(import::cells(&file, &shown, mapping)?.take(most));
                return Ok(Rows { cells, total: limit.min(total), file: Some(blob) });
            }
            let checked = check_file(open()?, &shown)?;
            let cells = Lines::new(open()?, &shown).take(most);
            Ok(Rows { cells: Box::new(cells), total: limit.min(checked.scenarios), file: Some(checked.blob) })
        }
    }
}

/// The id of all bytes of a file.
fn digest(mut reader: impl BufRead) -> io::Result<BlobId> {
    let mut hasher = BlobHasher::default();
    loop {
        let bytes = reader.fill_buf()?;
        if bytes.is_empty() {
            return Ok(hasher.finish());
        }
        hasher.update(bytes);
        let read = bytes.len();
        reader.consume(read);
    }
}
