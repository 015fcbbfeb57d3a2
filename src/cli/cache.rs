//! `evalflow cache stat`: what takes how much room.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::exit::Exit;
use super::open;
use super::output::{data, json as print_json, size, store_failure};
use super::settings::Settings;
use crate::stats::text::thousands;
use crate::store::{Counted, ObjectUse, Usage};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Show what takes how much room in the store
    Stat(StatArguments),
}

#[derive(Debug, clap::Args)]
pub(super) struct StatArguments {
    /// A pipeline of the project, or a directory in it [default: the working directory]
    #[arg(value_name = "DIR|PIPELINE")]
    place: Option<PathBuf>,
    /// Print the numbers as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn execute(settings: &Settings, command: &Command) -> Result<Exit, Exit> {
    match command {
        Command::Stat(arguments) => stat(settings, arguments),
    }
}

fn stat(settings: &Settings, arguments: &StatArguments) -> Result<Exit, Exit> {
    let place = arguments.place.as_deref().unwrap_or(Path::new("."));
    let root = open::project(settings, place);
    open::has_store(settings, &root)?;
    let usage = open::store(settings, &root)?.usage().map_err(|error| {
        store_failure(&error);
        Exit::Failed
    })?;
    let written = if arguments.json { print_json(&to_json(&usage)) } else { data(|out| write(out, &usage)) };
    if written { Ok(Exit::Ok) } else { Err(Exit::Failed) }
}

/// What the objects of one use are called.
fn name(purpose: &ObjectUse) -> String {
    let known = match purpose {
        ObjectUse::Calls => "call lists",
        ObjectUse::Nothing => "unreferenced",
        ObjectUse::Output(kind) => match kind.as_str() {
            "research" => "candidates",
            "pull" => "records of weights",
            "generate" => "scenarios",
            "infer" => "answers",
            "judge" => "verdicts",
            "decide" => "decisions",
            other => return format!("results of {other}"),
        },
        ObjectUse::Also(kind) => match kind.as_str() {
            "pull" => "weights",
            other => return format!("files of {other}"),
        },
    };
    known.to_owned()
}

/// Objects by what they are called.
fn objects(usage: &Usage) -> BTreeMap<String, Counted> {
    usage.objects.iter().map(|(purpose, counted)| (name(purpose), *counted)).collect()
}

fn to_json(usage: &Usage) -> Value {
    let Usage { calls, receipts, runs, objects: _, aside, partial, journals, index } = usage;
    json!({
        "calls": calls, "results": receipts, "runs": runs, "objects": objects(usage), "damaged": aside,
        "unfinished": partial, "journals": journals, "index": index, "total_bytes": usage.total_bytes(),
    })
}

fn write(out: &mut dyn Write, usage: &Usage) -> io::Result<()> {
    let Usage { calls, receipts, runs, objects: _, aside, partial, journals, index } = usage;
    let mut line = |name: &str, counted: &Counted| {
        if counted.count == 0 {
            return Ok(());
        }
        writeln!(out, "{name:24}  {:>12}  {:>12}", thousands(counted.count), size(counted.bytes))
    };
    for (name, counted) in objects(usage) {
        line(&name, &counted)?;
    }
    line("damaged objects", aside)?;
    line("unfinished files", partial)?;
    line("journals of runs", journals)?;
    line("index", index)?;
    line("  calls", calls)?;
    for (kind, counted) in receipts {
        line(&format!("  results of {kind}"), counted)?;
    }
    line("  records of runs", runs)?;
    writeln!(out, "{:24}  {:>12}  {:>12}", "total", "", size(usage.total_bytes()))
}
