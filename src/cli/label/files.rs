//! The files that labels and reviews go to. They only ever grow, one synced line at a time.

use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::data::{Review, ReviewedBy};
use crate::key::BlobId;
use crate::label::reviewed_by;
use crate::spec::{Pipeline, REPLY_DIGITS, Stage};

/// Appends a line; it is on disk before anything else is shown.
pub(super) fn append(path: &Path, line: &impl Serialize) -> io::Result<()> {
    if let Some(directory) = path.parent() {
        fs_err::create_dir_all(directory)?;
    }
    let mut file = fs_err::OpenOptions::new().read(true).append(true).create(true).open(path)?;
    let mut text = Vec::new();
    if file.metadata()?.len() > 0 {
        let mut last = [0];
        file.seek(SeekFrom::End(-1))?;
        file.read_exact(&mut last)?;
        // Somebody wrote the last line by hand, or a machine stopped in the middle of one.
        if last != *b"\n" {
            text.push(b'\n');
        }
    }
    serde_json::to_writer(&mut text, line)?;
    text.push(b'\n');
    file.write_all(&text)?;
    file.sync_data()
}

/// Where the reviews of a pipeline are, from the root: beside its gold file, or else beside the pipeline.
pub(super) fn review_path(pipeline: &Pipeline) -> PathBuf {
    let gold = pipeline
        .stages
        .values()
        .find_map(|stage| if let Stage::Calibrate(calibrate) = stage { Some(calibrate.gold.as_path()) } else { None });
    let stem = pipeline.file.file_stem().and_then(|stem| stem.to_str()).unwrap_or("pipeline");
    gold.unwrap_or(&pipeline.file).with_file_name(format!("{stem}.review.jsonl"))
}

/// How a review names the table of verdicts.
pub(super) fn table_digits(table: &BlobId) -> String {
    let mut digits = table.to_string();
    digits.truncate(REPLY_DIGITS);
    digits
}

/// The reviews of a pipeline, or what is wrong with their file; none where there is no such file.
pub(super) fn read_reviews(pipeline: &Pipeline) -> Result<Vec<Review>, String> {
    let path = review_path(pipeline);
    let text = match fs_err::read_to_string(pipeline.root.join(&path)) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error.to_string()),
    };
    let lines = (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(number, line)| {
            serde_json::from_str(line)
                .map_err(|error| format!("`{}`, line {number}, is not a review: {error}", path.display()))
        })
        .collect()
}

/// What people's reviews of a table of verdicts come to.
pub(in crate::cli) fn reviews_of(pipeline: &Pipeline, table: &BlobId) -> Result<Vec<ReviewedBy>, String> {
    Ok(reviewed_by(&read_reviews(pipeline)?, &table_digits(table)))
}
