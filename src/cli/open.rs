//! What `plan` and `run` begin with: a checked pipeline and the store of its project.

use std::path::Path;

use super::exit::Exit;
use super::output::store_failure;
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

/// Opens the store of a project, or says why that cannot be done.
pub(super) fn store(settings: &Settings, root: &Path) -> Result<Store, Exit> {
    Store::open(&settings.cache(root)).map_err(|error| {
        store_failure(&error);
        Exit::Failed
    })
}
