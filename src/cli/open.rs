//! What commands begin with: a checked pipeline, the store of its project, a runtime to ask models on.

use std::path::{Path, PathBuf};

use super::exit::Exit;
use super::output::{failure, store_failure};
use super::problems;
use super::settings::Settings;
use crate::lock::{self, Lock};
use crate::spec::{self, Disk, Loaded, Pipeline, Sources};
use crate::store::Store;

/// Loads a pipeline and shows its problems and warnings.
pub(super) fn pipeline(settings: &Settings, file: &Path) -> Result<Loaded, Exit> {
    load(settings, file, &Disk)
}

/// Loads a pipeline that has a lock: weights that it takes from a file need not be there, since the lock knows them.
pub(super) fn locked_pipeline(settings: &Settings, file: &Path) -> Result<Loaded, Exit> {
    load(settings, file, &WithoutWeights)
}

/// The files of this machine. Those that are only named and not read while a pipeline is checked count as being there:
/// who needs them and has no other knowledge of them says so later.
struct WithoutWeights;

impl Sources for WithoutWeights {
    fn read(&self, path: &Path) -> Result<Vec<u8>, std::io::Error> {
        Disk.read(path)
    }

    fn exists(&self, _path: &Path) -> bool {
        true
    }
}

fn load(settings: &Settings, file: &Path, sources: &dyn Sources) -> Result<Loaded, Exit> {
    match spec::load(file, &settings.root(file), sources, &settings.environment) {
        Ok(mut loaded) => {
            problems::show(settings, &loaded.warnings);
            if loaded.pipeline.asks_for_machine_memory() {
                let Some(bytes) = settings.whole_memory() else {
                    let help = "write an amount such as `24GiB` into the pipeline, or give it as `--memory`";
                    failure("`fits: { memory: machine }`: the system does not tell its memory", Some(help));
                    return Err(Exit::BadInput);
                };
                loaded.pipeline.set_machine_memory(bytes);
            }
            Ok(loaded)
        }
        Err(found) => {
            problems::show(settings, found.as_slice());
            Err(Exit::BadInput)
        }
    }
}

/// The root of the project that a directory or a file lies in.
pub(super) fn project(settings: &Settings, place: &Path) -> PathBuf {
    // A root is found from a file: any name stands for one in that directory.
    settings.root(&if place.is_dir() { place.join("pipeline.yaml") } else { place.to_owned() })
}

/// Sees that a project has a store, for commands that would do nothing in a new one.
pub(super) fn has_store(settings: &Settings, root: &Path) -> Result<(), Exit> {
    let directory = settings.cache(root);
    if directory.join("index.sqlite").exists() {
        return Ok(());
    }
    let help = "run a pipeline first, or name the store with `--cache DIR`";
    failure(&format!("there is no store in `{}`", directory.display()), Some(help));
    Err(Exit::BadInput)
}

/// Where the lock of a pipeline lies.
pub(super) fn lock_path(pipeline: &Pipeline) -> PathBuf {
    pipeline.root.join(lock::path(&pipeline.file))
}

/// Reads the lock of a pipeline; none where there is no such file.
pub(super) fn lock(pipeline: &Pipeline) -> Result<Option<Lock>, Exit> {
    Ok(lock_text(pipeline)?.map(|(_, lock)| lock))
}

/// Reads the lock of a pipeline and gives its text too.
pub(super) fn lock_text(pipeline: &Pipeline) -> Result<Option<(String, Lock)>, Exit> {
    let shown = lock::path(&pipeline.file);
    let text = match fs_err::read_to_string(lock_path(pipeline)) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => {
            failure(&error.to_string(), Some("see that the lock can be read"));
            return Err(Exit::Failed);
        }
    };
    match Lock::read(&text) {
        Ok(lock) => Ok(Some((text, lock))),
        Err(error) => {
            failure(&format!("`{}`: {error}", shown.display()), Some(&error.help()));
            Err(Exit::BadInput)
        }
    }
}

/// Reads the lock of a pipeline that has to have one.
pub(super) fn lock_needed(pipeline: &Pipeline) -> Result<Lock, Exit> {
    lock(pipeline)?.ok_or_else(|| no_lock(pipeline))
}

/// Says that a pipeline has no lock.
pub(super) fn no_lock(pipeline: &Pipeline) -> Exit {
    let message = format!("there is no lock `{}`", lock::path(&pipeline.file).display());
    failure(&message, Some("write it with `evalflow bless` after a run"));
    Exit::Failed
}

/// Opens the store of a project, or says why that cannot be done.
pub(super) fn store(settings: &Settings, root: &Path) -> Result<Store, Exit> {
    Store::open(&settings.cache(root)).map_err(|error| {
        store_failure(&error);
        Exit::Failed
    })
}

/// What asks models and brings their weights.
///
/// One thread beside the one that waits for it is enough: the work is waiting, or is done by threads of its own. With a
/// second one each keeps the allocator's pages that a download's pieces came in, 5 MB more of them.
pub(super) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime needs only threads and a poller")
}

/// Opens the store of a project that has one: looking at it makes none.
pub(super) fn store_if_there(settings: &Settings, root: &Path) -> Result<Option<Store>, Exit> {
    if settings.cache(root).join("index.sqlite").exists() { store(settings, root).map(Some) } else { Ok(None) }
}
