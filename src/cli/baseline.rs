//! `evalflow export-baseline PIPELINE FILE` and `evalflow import-baseline FILE`

use std::io;
use std::path::{Path, PathBuf};

use super::exit::Exit;
use super::open;
use super::output::{data, failure, json as print_json, readable_by_all, say, size, store_failure};
use super::settings::Settings;
use crate::key::Key;
use crate::lock::Lock;
use crate::plan::searched;
use crate::spec::{Loaded, Pipeline, Stage};
use crate::stats::text::{count, thousands};
use crate::store::{ArchiveError, Exported, Imported, Store, StoreError};

#[derive(Debug, clap::Args)]
pub(super) struct ExportArguments {
    /// Pipeline file, with its lock beside it
    #[arg(value_name = "PIPELINE")]
    pipeline: PathBuf,
    /// What to write: `baseline.tar.zst`
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Put the models' weights in as well
    #[arg(long)]
    weights: bool,
    /// Print what went into the file as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct ImportArguments {
    /// What `export-baseline` wrote
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// A pipeline of the project, or a directory in it [default: the working directory]
    #[arg(value_name = "DIR|PIPELINE")]
    place: Option<PathBuf>,
    /// Print what came out of the file as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn export(settings: &Settings, arguments: &ExportArguments) -> Result<Exit, Exit> {
    let Loaded { pipeline, warnings: _ } = open::pipeline(settings, &arguments.pipeline)?;
    let (text, lock) = open::lock_text(&pipeline)?.ok_or_else(|| open::no_lock(&pipeline))?;
    open::has_store(settings, &pipeline.root)?;
    let store = open::store(settings, &pipeline.root)?;
    let mut keys: Vec<Key> = lock.results().map(|(_, key, _, _)| key).collect();
    keys.extend(searches(&pipeline, &store, &lock).map_err(|error| {
        store_failure(&error);
        Exit::Failed
    })?);
    let exported = write_whole(&arguments.file, |file| {
        store.export_archive(&keys, text.as_bytes(), arguments.weights, env!("CARGO_PKG_VERSION"), file)
    });
    let (exported, bytes) = exported.map_err(|error| {
        let named = match &error {
            ArchiveError::NoReceipt { key } => lock.results().find(|(_, named, _, _)| named == key),
            ArchiveError::Store(_)
            | ArchiveError::Io { .. }
            | ArchiveError::Newer { .. }
            | ArchiveError::Damaged { .. } => None,
        };
        match named {
            Some((stage, _, _, _)) => {
                let message = format!("the result of `{stage}` that the lock names is not in the store");
                let help = format!("run it first: `evalflow run {}`", pipeline.file.display());
                failure(&message, Some(&help));
            }
            None => failure(&error.to_string(), Some(&error.help())),
        }
        Exit::Failed
    })?;
    let Exported { receipts, calls, objects, without_calls } = exported;
    if without_calls > 0 {
        let results = count(without_calls, "result");
        say(&format!("{results} will be whole, but not all calls of theirs are known: `verify` has to ask for them"));
    }
    let written = if arguments.json {
        print_json(&serde_json::to_value(exported).expect("counts are always valid JSON"))
    } else {
        let contents = format!("{}, {}, {}", count(receipts, "result"), count(calls, "call"), count(objects, "object"));
        data(|out| writeln!(out, "{}: {contents}, {}", arguments.file.display(), size(bytes)))
    };
    if written { Ok(Exit::Ok) } else { Err(Exit::Failed) }
}

/// The receipts of searches that came to what the lock pins: whoever imports them need not ask the hub. Where it answered
/// otherwise since, the rows that the lock pins go with the result that was made of them.
fn searches(pipeline: &Pipeline, store: &Store, lock: &Lock) -> Result<Vec<Key>, StoreError> {
    let mut keys = Vec::new();
    for stage in pipeline.stages.values() {
        let Stage::Research(research) = stage else { continue };
        for search in research.searches() {
            let receipt = searched(store, search)?;
            let pinned = lock.catalogs.get(&search.to_string()).map(|catalog| catalog.rows);
            keys.extend(receipt.filter(|receipt| Some(receipt.output) == pinned).map(|receipt| receipt.key));
        }
    }
    Ok(keys)
}

/// Writes a file that is there as a whole or not at all. Gives its size too.
fn write_whole<T>(
    path: &Path,
    write: impl FnOnce(&fs_err::File) -> Result<T, ArchiveError>,
) -> Result<(T, u64), ArchiveError> {
    let failed = |source: io::Error| ArchiveError::Io { source };
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let temporary = tempfile::Builder::new().prefix(".baseline").tempfile_in(directory).map_err(failed)?;
    let (file, temporary_path) = temporary.into_parts();
    let file = fs_err::File::from_parts(file, &temporary_path);
    let made = write(&file)?;
    readable_by_all(file.file()).map_err(failed)?;
    let bytes = file.metadata().map_err(failed)?.len();
    temporary_path.persist(path).map_err(|error| failed(error.error))?;
    Ok((made, bytes))
}

pub(super) fn import(settings: &Settings, arguments: &ImportArguments) -> Result<Exit, Exit> {
    let failed = |error: ArchiveError| {
        failure(&error.to_string(), Some(&error.help()));
        Exit::Failed
    };
    let file = fs_err::File::open(&arguments.file).map_err(|source| failed(ArchiveError::Io { source }))?;
    let root = open::project(settings, arguments.place.as_deref().unwrap_or(Path::new(".")));
    let store = open::store(settings, &root)?;
    let imported = store.import_archive(file).map_err(failed)?;
    let written = if arguments.json {
        print_json(&serde_json::to_value(imported).expect("counts are always valid JSON"))
    } else {
        let Imported { receipts, new_receipts, calls, new_calls, objects, new_objects, missing: _ } = imported;
        let of = |new, all, name| format!("{} of {} new", thousands(new), count(all, name));
        let lines =
            [of(new_receipts, receipts, "result"), of(new_calls, calls, "call"), of(new_objects, objects, "object")];
        data(|out| writeln!(out, "{}", lines.join(", ")))
    };
    if imported.missing > 0 {
        let files = thousands(imported.missing);
        say(&format!(
            "files of weights that are not in the archive nor in the store: {files}; a run fetches them again where it needs them"
        ));
    }
    if written { Ok(Exit::Ok) } else { Err(Exit::Failed) }
}
