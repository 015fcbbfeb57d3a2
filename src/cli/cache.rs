//! `evalflow cache stat`: what takes how much room. `evalflow cache audit PIPELINE`: whether models still say what is kept.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::exit::Exit;
use super::open;
use super::output::{data, failure, json as print_json, say, size, store_failure};
use super::settings::Settings;
use crate::engine::Reply;
use crate::exec::audit::{Audit, Audited, Mismatch};
use crate::exec::{self, Engines, Limits};
use crate::plan::{Graph, Selection, course};
use crate::spec::Loaded;
use crate::stats::Interval;
use crate::stats::text::{count, percent, thousands};
use crate::store::{Counted, ObjectUse, Usage};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Show what takes how much room in the store
    Stat(StatArguments),
    /// Ask a sample of the calls that a pipeline's results rest on again, and compare
    Audit(AuditArguments),
}

#[derive(Debug, clap::Args)]
pub(super) struct AuditArguments {
    /// Pipeline file
    #[arg(value_name = "PIPELINE")]
    file: PathBuf,
    /// How many calls to ask again
    #[arg(long, value_name = "N", default_value_t = 50)]
    sample: usize,
    /// Which calls: the same ones for the same seed
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Threads of the embedded engine [default: all cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    threads: Option<u16>,
    /// Print what was found as JSON
    #[arg(long)]
    json: bool,
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
        Command::Audit(arguments) => audit(settings, arguments),
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
        ObjectUse::Shares => "row accounts",
        ObjectUse::Nothing => "unreferenced",
        ObjectUse::Output(kind) => match kind.as_str() {
            "research" => "candidates",
            "pull" => "records of weights",
            "generate" => "scenarios",
            "infer" => "answers",
            "judge" => "verdicts",
            "decide" => "decisions",
            "compare" => "comparisons",
            "hub" => "answers of the hub",
            "brought" => "records of weights that were tried out",
            other => return format!("results of {other}"),
        },
        ObjectUse::Also(kind) => match kind.as_str() {
            "pull" | "brought" => "weights",
            "research" => "answers of the hub",
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

fn audit(settings: &Settings, arguments: &AuditArguments) -> Result<Exit, Exit> {
    let Loaded { pipeline, warnings: _ } = open::pipeline(settings, &arguments.file)?;
    open::has_store(settings, &pipeline.root)?;
    let store = open::store(settings, &pipeline.root)?;
    let pipeline = course(&pipeline, &store, &Selection::default()).pipeline;
    let runtime = open::runtime();
    let audited = runtime.block_on(exec::audit::audit(&Audit {
        pipeline: &pipeline,
        graph: &Graph::new(&pipeline),
        store: &store,
        engines: &Engines::new(Limits {
            threads: arguments.threads.map(usize::from),
            memory: settings.free_memory(),
            ..Limits::default()
        })
        .with_path(settings.environment.get("PATH")),
        sample: arguments.sample,
        seed: arguments.seed,
    }));
    let audited = audited.map_err(|error| {
        failure(&error.message, error.help.as_deref());
        Exit::Failed
    })?;
    for (stage, why) in &audited.left_out {
        say(&format!("`{stage}` is left out: {why}"));
    }
    if let Some(why) = &audited.failure {
        say(&format!("{} not answered, the first one because {why}", count(audited.failed, "call")));
    }
    let written =
        if arguments.json { print_json(&audit_json(&audited)) } else { data(|out| write_audit(out, &audited)) };
    // Where nothing could be compared, nobody should believe that all is well.
    let nothing_known = audited.hits > 0 && arguments.sample > 0 && audited.compared() == 0;
    if written && audited.differ == 0 && !nothing_known { Ok(Exit::Ok) } else { Err(Exit::Failed) }
}

fn audit_json(audited: &Audited) -> Value {
    let Audited { hits, same, differ, mismatches, failed, failure, gone, left_out } = audited;
    let mismatches: Vec<Value> = mismatches
        .iter()
        .map(|Mismatch { stage, scenario, stored, new, differs_at }| {
            json!({
                "stage": stage, "scenario": scenario, "stored": stored, "new": new, "differs_at": differs_at,
            })
        })
        .collect();
    let left_out: Vec<Value> = left_out.iter().map(|(stage, why)| json!({ "stage": stage, "reason": why })).collect();
    let interval = audited.interval();
    json!({
        "hits": hits, "compared": audited.compared(), "same": same, "differ": differ, "rate": audited.rate(),
        "interval": { "lo": interval.lo, "hi": interval.hi, "confidence": 0.95, "method": "wilson" },
        "mismatches": mismatches, "failed": failed, "failure": failure, "gone": gone, "left_out": left_out,
    })
}

/// `0.7500, 0.1250`: how likely each word was.
fn weighed_in_words(reply: &Reply) -> String {
    let Some(weighed) = &reply.weighed else { return "not at all".to_owned() };
    weighed.probabilities.iter().map(|p| format!("{p:.4}")).collect::<Vec<_>>().join(", ")
}

fn write_audit(out: &mut dyn Write, audited: &Audited) -> io::Result<()> {
    let Audited { hits, same: _, differ, mismatches, failed: _, failure: _, gone: _, left_out: _ } = audited;
    writeln!(out, "{} of {} asked again", thousands(audited.compared()), count(*hits, "call"))?;
    for Mismatch { stage, scenario, stored, new, differs_at } in mismatches {
        match differs_at {
            None if stored.finish == new.finish => {
                let [stored, new] = [stored, new].map(weighed_in_words);
                writeln!(out, "{stage}  {scenario}: words were weighed otherwise")?;
                writeln!(out, "  stored  {stored}")?;
                writeln!(out, "  new     {new}")?;
            }
            None => writeln!(out, "{stage}  {scenario}: the same text, but it ended for another reason")?,
            Some(at) => {
                writeln!(out, "{stage}  {scenario}: differs from character {}", at + 1)?;
                writeln!(out, "  stored  {}", around(&stored.text, *at))?;
                writeln!(out, "  new     {}", around(&new.text, *at))?;
            }
        }
    }
    if *differ > mismatches.len() as u64 {
        writeln!(out, "… and {} more", thousands(*differ - mismatches.len() as u64))?;
    }
    let Interval { lo, hi } = audited.interval();
    match audited.rate() {
        None => writeln!(out, "nothing was compared"),
        Some(rate) => {
            writeln!(out, "{} differ: {} (95 %: {} to {})", thousands(*differ), percent(rate), percent(lo), percent(hi))
        }
    }
}

/// The words around a character, on one line.
fn around(text: &str, at: usize) -> String {
    const BEFORE: usize = 20;
    const SHOWN: usize = 72;
    let start = at.saturating_sub(BEFORE);
    let shown: String = text.chars().skip(start).take(SHOWN).collect();
    let before = if start > 0 { "…" } else { "" };
    let after = if text.chars().count() > start + SHOWN { "…" } else { "" };
    format!("{before}{}{after}", shown.escape_debug())
}
