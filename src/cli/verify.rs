//! `evalflow verify FILE`

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::{Value, json};

use super::bless::{decision_json, rate};
use super::exit::Exit;
use super::open;
use super::output::{data, failure, json as print_json, say};
use super::settings::Settings;
use crate::exec::verify::{Effect, Found, RowDifference, Rows, StageCheck, Verified, Verify, verify};
use crate::exec::{Engines, Limits};
use crate::lock::LockedDecision;
use crate::plan::{Graph, locked_course};
use crate::spec::Loaded;
use crate::stats::text::{count, thousands};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Pipeline file
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Execute again only N rows of each stage that asks a model, the same scenarios in all of them [default: all rows]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    sample: Option<u64>,
    /// Decides which rows are drawn
    #[arg(long, value_name = "S", default_value_t = 0, requires = "sample")]
    seed: u64,
    /// Print what was found as JSON
    #[arg(long)]
    json: bool,
    /// Threads of the embedded engine [default: all cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    threads: Option<u16>,
}

pub(super) fn execute(settings: &Settings, arguments: &Arguments) -> Result<Exit, Exit> {
    let Loaded { pipeline, warnings: _ } = open::locked_pipeline(settings, &arguments.file)?;
    let lock = open::lock_needed(&pipeline)?;
    let store = Arc::new(open::store(settings, &pipeline.root)?);
    let engines = Engines::new(Limits {
        threads: arguments.threads.map(usize::from),
        memory: settings.free_memory(),
        ..Limits::default()
    })
    .with_path(settings.environment.get("PATH"));
    let pipeline = locked_course(&pipeline, &lock).pipeline;
    let graph = Graph::new(&pipeline);
    let widest = pipeline.stages.keys().map(|id| id.as_str().len()).max().unwrap_or(0);
    let told = |check: &StageCheck| {
        let mark = if check.found.is_identical() { '✓' } else { '✗' };
        say(&format!("{mark} {:widest$}  {}", check.id.as_str(), told(&check.found)));
    };
    let work = Verify {
        pipeline: &pipeline,
        graph: &graph,
        store: &store,
        lock: &lock,
        engines: &engines,
        sample: arguments.sample,
        seed: arguments.seed,
        told: &told,
    };
    let runtime = open::runtime();
    let verified = runtime.block_on(verify(&work)).map_err(|error| {
        failure(&error.to_string(), Some(&error.help()));
        Exit::Failed
    });
    runtime.shutdown_background();
    let verified = verified?;
    let written = if arguments.json { print_json(&to_json(&verified)) } else { data(|out| write(out, &verified)) };
    Ok(if written && verified.is_identical() { Exit::Ok } else { Exit::Failed })
}

/// One line about a stage.
fn told(found: &Found) -> String {
    match found {
        Found::Same => "computed again: identical".to_owned(),
        Found::Other { found } => format!("computed again: another result ({})", found.short()),
        Found::NotVerified(failure) => format!("not verified: {failure}"),
        Found::Rows(rows) => {
            let executed = format!("{} of {} rows executed again", thousands(rows.executed()), thousands(rows.total));
            let mut parts = vec![executed];
            if rows.is_identical() {
                parts.push("identical".to_owned());
            }
            if rows.moved > 0 {
                parts.push(format!("{} moved", thousands(rows.moved)));
            }
            if rows.failed > 0 {
                parts.push(format!("{} not answered", thousands(rows.failed)));
            }
            if rows.stopped {
                parts.push("stopped".to_owned());
            }
            parts.join(", ")
        }
    }
}

fn write(out: &mut dyn Write, verified: &Verified) -> io::Result<()> {
    for StageCheck { id, kind: _, found } in &verified.stages {
        match found {
            Found::Same => {}
            Found::Other { .. } => writeln!(out, "{id}: {}", told(found))?,
            Found::NotVerified(failure) => {
                writeln!(out, "{id}: not verified: {failure}")?;
                if let Some(help) = &failure.help {
                    writeln!(out, "  help: {help}")?;
                }
            }
            Found::Rows(rows) if rows.is_identical() => {}
            Found::Rows(rows) => write_rows(out, id.as_str(), rows)?,
        }
    }
    for Effect { stage, old, new } in &verified.effects {
        let (old, new) = (LockedDecision::from(old), LockedDecision::from(new));
        let outcome = if old.outcome == new.outcome {
            format!("{} as before", new.outcome.as_str())
        } else {
            format!("{} → {}", old.outcome.as_str(), new.outcome.as_str())
        };
        writeln!(out, "{stage} with the fresh rows: {outcome}")?;
        writeln!(out, "  pass rate {} → {}", rate(&old), rate(&new))?;
    }
    let executed = rows_of(verified).map(Rows::executed).sum();
    let stages = verified.stages.len() as u64;
    if verified.is_identical() {
        let (stages, rows) = (count(stages, "stage"), count(executed, "row"));
        return writeln!(out, "identical: {stages}, {rows} executed again");
    }
    let differ = verified.stages.iter().filter(|stage| differs(&stage.found)).count();
    let open = verified.stages.iter().filter(|stage| is_open(&stage.found)).count();
    let stages = count(stages, "stage");
    writeln!(out, "not identical: of {stages}, {differ} differ and {open} could not be verified in full")
}

fn rows_of(verified: &Verified) -> impl Iterator<Item = &Rows> {
    verified.stages.iter().filter_map(|stage| match &stage.found {
        Found::Rows(rows) => Some(rows),
        Found::Same | Found::Other { .. } | Found::NotVerified(_) => None,
    })
}

/// Whether something came out otherwise.
fn differs(found: &Found) -> bool {
    match found {
        Found::Other { .. } => true,
        Found::Rows(rows) => rows.moved > 0,
        Found::Same | Found::NotVerified(_) => false,
    }
}

/// Whether of some of it nothing is known.
fn is_open(found: &Found) -> bool {
    match found {
        Found::NotVerified(_) => true,
        Found::Rows(rows) => rows.failed > 0 || rows.stopped,
        Found::Same | Found::Other { .. } => false,
    }
}

fn write_rows(out: &mut dyn Write, id: &str, rows: &Rows) -> io::Result<()> {
    writeln!(out, "{id}: {}", told(&Found::Rows(rows.clone())))?;
    if rows.moved_with_input > 0 {
        writeln!(out, "  {} of them because what they read moved", thousands(rows.moved_with_input))?;
    }
    for ((old, new), times) in &rows.flips {
        writeln!(out, "  grade {old} → {new}: {}", thousands(*times))?;
    }
    if let Some(why) = &rows.failure {
        writeln!(out, "  not answered: {why}")?;
        writeln!(out, "  help: see that the model answers, then verify again")?;
    }
    for RowDifference { scenario, field, old, new } in &rows.shown {
        writeln!(out, "  {scenario}  {field}: {old} → {new}")?;
    }
    Ok(())
}

fn to_json(verified: &Verified) -> Value {
    let stages: Vec<Value> = verified.stages.iter().map(stage_json).collect();
    let effect = |effect: &Effect| {
        let decision = |decision| decision_json(&LockedDecision::from(decision));
        json!({ "stage": effect.stage, "old": decision(&effect.old), "new": decision(&effect.new) })
    };
    let effects: Vec<Value> = verified.effects.iter().map(effect).collect();
    json!({ "identical": verified.is_identical(), "stages": stages, "effects": effects })
}

fn stage_json(stage: &StageCheck) -> Value {
    let StageCheck { id, kind, found } = stage;
    let mut value = match found {
        Found::Same => json!({ "found": "identical" }),
        Found::Other { found } => json!({ "found": "other", "output": found }),
        Found::NotVerified(failure) => {
            json!({ "found": "not_verified", "message": failure.message, "help": failure.help })
        }
        Found::Rows(rows) => {
            let Rows { total, same, moved, moved_with_input, failed, failure, stopped, flips, shown } = rows;
            let flip = |((old, new), rows): (&(String, String), &u64)| json!({ "old": old, "new": new, "rows": rows });
            let difference = |row: &RowDifference| {
                let RowDifference { scenario, field, old, new } = row;
                json!({ "scenario": scenario, "field": field, "old": old, "new": new })
            };
            json!({
                "found": if rows.is_identical() { "identical" } else { "rows" },
                "rows": total, "executed": rows.executed(), "same": same, "moved": moved,
                "moved_with_input": moved_with_input, "not_answered": failed, "failure": failure, "stopped": stopped,
                "flips": flips.iter().map(flip).collect::<Vec<_>>(),
                "differences": shown.iter().map(difference).collect::<Vec<_>>(),
            })
        }
    };
    value["stage"] = json!(id);
    value["kind"] = json!(kind);
    value
}
