//! What commands begin with: a checked pipeline and the store of its project.

use std::path::{Path, PathBuf};

use super::exit::Exit;
use super::output::{failure, store_failure};
use super::problems;
use super::settings::Settings;
use crate::spec::{self, Disk, Loaded};
use crate::store::Store;

/// Loads a pipeline and shows its problems and warnings.
pub(super) fn pipeline(settings: &Settings, file: &Path) -> Result<Loaded, Exit> {
    match spec::load(file, &settings.root(file), &Disk, &settings.environment) {
        Ok(loaded) => {
            problems::show(settings, &loaded.warnings);
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

/// Opens the store of a project, or says why that cannot be done.
pub(super) fn store(settings: &Settings, root: &Path) -> Result<Store, Exit> {
    Store::open(&settings.cache(root)).map_err(|error| {
        store_failure(&error);
        Exit::Failed
    })
}
