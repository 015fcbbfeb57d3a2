//! `evalflow plan FILE`

use std::path::PathBuf;

use serde_json::json;

use super::exit::Exit;
use super::open;
use super::output::{data, failure};
use super::progress::mark;
use super::settings::Settings;
use crate::exec::Cause;
use crate::plan::{Graph, PlannedStage, Status, plan};
use crate::spec::Loaded;
use crate::stats::text::thousands;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Pipeline file
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Print the plan as JSON
    #[arg(long)]
    json: bool,
    /// Exit with 2 if there is something to run
    #[arg(long)]
    detailed_exitcode: bool,
}

pub(super) fn execute(settings: &Settings, arguments: &Arguments) -> Result<Exit, Exit> {
    let Loaded { pipeline, warnings: _ } = open::pipeline(settings, &arguments.file)?;
    let store = open::store(settings, &pipeline.root)?;
    let planned = plan(&pipeline, &Graph::new(&pipeline), &store).map_err(|error| {
        failure(&error.to_string(), Some(&error.help()));
        Exit::Failed
    })?;
    let written = if arguments.json {
        let list: Vec<_> = planned.iter().map(to_json).collect();
        data(|out| serde_json::to_writer_pretty(&mut *out, &list).map_err(Into::into).and_then(|()| writeln!(out)))
    } else {
        data(|out| write(out, &planned))
    };
    if !written {
        return Err(Exit::Failed);
    }
    let to_run = planned.iter().any(|stage| matches!(stage.status, Status::Run(_)));
    Ok(if arguments.detailed_exitcode && to_run { Exit::Changes } else { Exit::Ok })
}

fn write(out: &mut dyn std::io::Write, planned: &[PlannedStage]) -> std::io::Result<()> {
    let widest = planned.iter().map(|stage| stage.id.as_str().len()).max().unwrap_or(0);
    for PlannedStage { id, kind, key: _, status } in planned {
        let id = id.as_str();
        match status {
            Status::Cached(receipt) => {
                let rows = receipt.rows.map(|rows| format!(", {} rows", thousands(rows))).unwrap_or_default();
                writeln!(out, "= {id:widest$}  {kind:8}  cached{rows}")?;
            }
            Status::Run(reason) => {
                let mark = mark(Cause::of(reason));
                writeln!(out, "{mark} {id:widest$}  {kind:8}  run: {reason}")?;
            }
        }
    }
    let cached = planned.iter().filter(|stage| matches!(stage.status, Status::Cached(_))).count();
    writeln!(out, "{} stages, {cached} cached, {} to run", planned.len(), planned.len() - cached)
}

fn to_json(stage: &PlannedStage) -> serde_json::Value {
    let PlannedStage { id, kind, key, status } = stage;
    let (status, reason) = match status {
        Status::Cached(_) => ("cached", None),
        Status::Run(reason) => ("run", Some(reason.to_string())),
    };
    json!({ "stage": id, "kind": kind, "key": key, "status": status, "reason": reason })
}
