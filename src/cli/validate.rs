//! `evalflow validate FILE…`

use std::path::PathBuf;

use super::exit::Exit;
use super::output::{json as print_json, say};
use super::problems;
use super::settings::Settings;
use crate::spec::{self, Disk};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Pipeline files
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Print the problems as JSON to stdout
    #[arg(long)]
    json: bool,
}

pub(super) fn execute(settings: &Settings, arguments: &Arguments) -> Exit {
    let mut all = Vec::new();
    let mut bad_files = 0;
    for file in &arguments.files {
        let root = settings.root(file);
        match spec::load(file, &root, &Disk, &settings.environment) {
            Ok(loaded) => {
                if !arguments.json {
                    problems::show(settings, &loaded.warnings);
                    say(&format!("{}: ok, {} stages", file.display(), loaded.pipeline.stages.len()));
                }
                all.extend(loaded.warnings);
            }
            Err(found) => {
                bad_files += 1;
                if !arguments.json {
                    problems::show(settings, found.as_slice());
                }
                all.extend(found.as_slice().iter().cloned());
            }
        }
    }
    if arguments.json {
        let list: Vec<_> = all.iter().map(problems::to_json).collect();
        if !print_json(&list) {
            return Exit::Failed;
        }
    }
    if bad_files > 0 { Exit::BadInput } else { Exit::Ok }
}
