//! `evalflow gc [DIR|PIPELINE…]`

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use serde_json::json;

use super::exit::Exit;
use super::open;
use super::output::{data, failure, json as print_json, say, size, store_failure};
use super::settings::Settings;
use crate::key::Key;
use crate::lock::Lock;
use crate::spec;
use crate::stats::text::thousands;
use crate::store::{Garbage, Keep, Store, StoreError};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Projects, or pipelines in them, whose locks are kept [default: the one around the working directory]
    #[arg(value_name = "DIR|PIPELINE")]
    places: Vec<PathBuf>,
    /// Keep the results of so many of each pipeline's last runs
    #[arg(long, value_name = "N", default_value_t = 10)]
    keep_runs: u64,
    /// Keep whatever is younger than this, such as `12h` or `7d`
    #[arg(long, value_name = "AGE", default_value = "7d", value_parser = age)]
    grace: i64,
    /// Remove it, and do not only say what would be removed
    #[arg(long)]
    yes: bool,
    /// Print the counts as JSON
    #[arg(long)]
    json: bool,
}

fn age(text: &str) -> Result<i64, String> {
    let seconds = spec::seconds(text).and_then(|seconds| i64::try_from(seconds).ok());
    seconds.ok_or_else(|| "write a number and a unit: `90m`, `12h`, `7d`".to_owned())
}

pub(super) fn execute(settings: &Settings, arguments: &Arguments) -> Result<Exit, Exit> {
    let projects = projects(settings, &arguments.places)?;
    let first = projects.first().expect("without a place there is the default one");
    open::has_store(settings, first)?;
    let directory = settings.cache(first);
    let mut roots = Vec::new();
    for project in &projects {
        let found = roots_of_locks(project, &directory).map_err(|error| {
            let help = "mend it, or make it again with `evalflow bless`; nothing was removed";
            failure(&format!("what the project's locks name cannot be found out: {error}"), Some(help));
            Exit::Failed
        })?;
        roots.extend(found);
    }
    let since = settings.now.saturating_sub(arguments.grace);
    let keep = Keep { roots: &roots, runs: arguments.keep_runs, since };
    let garbage = collect(&directory, &keep, arguments.yes).map_err(|error| {
        store_failure(&error);
        Exit::Failed
    })?;
    let written = if arguments.json {
        let mut shown = serde_json::to_value(garbage).expect("counts are always valid JSON");
        shown["total"] = json!(garbage.total());
        shown["removed"] = json!(arguments.yes);
        print_json(&shown)
    } else {
        data(|out| write(out, &garbage, arguments.yes))
    };
    if garbage.without_calls > 0 {
        let count = thousands(garbage.without_calls);
        say(&format!("all calls stay: {count} results that stay do not say on which calls they rest"));
    }
    if !arguments.yes && !arguments.json && garbage.total().count > 0 {
        say("nothing was removed: run again with `--yes`");
    }
    if written { Ok(Exit::Ok) } else { Err(Exit::Failed) }
}

fn collect(directory: &Path, keep: &Keep<'_>, remove: bool) -> Result<Garbage, StoreError> {
    if remove { Store::open_alone(directory)?.remove_garbage(keep) } else { Store::open(directory)?.garbage(keep) }
}

/// The roots of the projects that are meant: all with one store.
fn projects(settings: &Settings, places: &[PathBuf]) -> Result<Vec<PathBuf>, Exit> {
    let here = [PathBuf::from(".")];
    let places = if places.is_empty() { here.as_slice() } else { places };
    let mut projects = Vec::new();
    for place in places {
        if !place.exists() {
            let help = "name a directory or a pipeline file, or nothing for the project you are in";
            failure(&format!("there is no `{}`", place.display()), Some(help));
            return Err(Exit::BadInput);
        }
        let project = open::project(settings, place);
        if !projects.contains(&project) {
            projects.push(project);
        }
    }
    if let [first, others @ ..] = projects.as_slice()
        && let Some(other) = others.iter().find(|other| settings.cache(other) != settings.cache(first))
    {
        let message = format!("`{}` and `{}` have stores of their own", first.display(), other.display());
        failure(&message, Some("run this for one after the other, or name the store they share with `--cache DIR`"));
        return Err(Exit::BadInput);
    }
    Ok(projects)
}

fn write(out: &mut dyn Write, garbage: &Garbage, removed: bool) -> io::Result<()> {
    let Garbage { receipts, calls, runs, objects, aside, partial, journals, digests, without_calls: _ } = garbage;
    let kinds = [
        ("results", receipts),
        ("calls", calls),
        ("objects", objects),
        ("damaged objects", aside),
        ("unfinished files", partial),
        ("records of runs", runs),
        ("journals of runs", journals),
        ("digests of files", digests),
    ];
    for (name, counted) in kinds.into_iter().filter(|(_, counted)| counted.count > 0) {
        writeln!(out, "{name:16}  {:>12}  {:>12}", thousands(counted.count), size(counted.bytes))?;
    }
    let total = garbage.total().bytes;
    match (garbage.total().count, removed) {
        (0, _) => writeln!(out, "nothing to free"),
        (_, true) => writeln!(out, "freed {}", size(total)),
        (_, false) => writeln!(out, "would free {}", size(total)),
    }
}

/// What every lock begins with.
const MARK: &[u8] = b"# Written by `evalflow";

/// Bytes at the beginning of a file in which that is looked for: a merge may have put lines of its own before it.
const BEGINNING: u64 = 1024;

/// The keys that the locks of a project name. A lock that cannot be read might name anything: then nothing may go.
fn roots_of_locks(project: &Path, store: &Path) -> io::Result<Vec<Key>> {
    let mut roots = Vec::new();
    let mut directories = vec![project.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in fs_err::read_dir(&directory)? {
            let entry = entry?;
            let (path, kind) = (entry.path(), entry.file_type()?);
            if kind.is_dir() {
                let name = entry.file_name();
                let is_skipped = [".git", "target", "node_modules"].iter().any(|skipped| name == *skipped);
                if !is_skipped && path != store {
                    directories.push(path);
                }
            } else if path.extension().is_some_and(|extension| extension == "lock") && path.is_file() {
                roots.extend(roots_of_lock(&path)?);
            }
        }
    }
    Ok(roots)
}

fn roots_of_lock(path: &Path) -> io::Result<Vec<Key>> {
    let mut start = Vec::new();
    fs_err::File::open(path)?.take(BEGINNING).read_to_end(&mut start)?;
    if !start.windows(MARK.len()).any(|part| part == MARK) {
        return Ok(Vec::new());
    }
    let lock = Lock::read(&fs_err::read_to_string(path)?)
        .map_err(|error| io::Error::other(format!("`{}` cannot be read: {error}", path.display())))?;
    Ok(lock.results().map(|(_, key, _, _)| key).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_locks_of_ours_are_read_and_bad_ones_stop_everything() {
        let directory = tempfile::tempdir().unwrap();
        let project = directory.path();
        let store = project.join("cache");
        let write = |file: &str, text: &str| {
            let path = project.join(file);
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            fs_err::write(path, text).unwrap();
        };
        let lock = |digit: &str| {
            format!(
                "# Written by `evalflow bless`; not to be edited\nevalflow_lock: 1\npipeline: p\nengine:\n  evalflow: \"1\"\n  \
                 llama_cpp: \"1\"\n  backend: cpu\nstages:\n  a:\n    kind: infer\n    key: \"{0}\"\n    output: \"{0}\"\n    \
                 fields: {{}}\n",
                digit.repeat(64)
            )
        };
        write("pipelines/a.lock", &lock("a"));
        write("deep/er/b.lock", &lock("b"));
        write("Cargo.lock", "# This file is generated\nkey: none\n");
        write("target/c.lock", &lock("c"));
        write("cache/d.lock", &lock("d"));
        write("e.yaml", &lock("e"));
        let mut found: Vec<String> =
            roots_of_locks(project, &store).unwrap().iter().map(|key| key.to_string()[..1].to_owned()).collect();
        found.sort();
        assert_eq!(found, ["a", "b"]);
        for broken in [lock("xyz"), format!("<<<<<<< HEAD\n{}=======\n>>>>>>> other\n", lock("a"))] {
            write("pipelines/broken.lock", &broken);
            let error = roots_of_locks(project, &store).unwrap_err().to_string();
            assert!(error.contains("broken.lock"), "{error}");
        }
    }
}
