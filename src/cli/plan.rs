//! `evalflow plan FILE`

use std::io::{self, Write};
use std::path::PathBuf;

use serde_json::{Value, json};

use super::exit::Exit;
use super::figures;
use super::open;
use super::output::{data, failure, json as print_json};
use super::progress;
use super::selection::SelectionArguments;
use super::settings::Settings;
use crate::exec::Cause;
use crate::ids::StageId;
use crate::key::FieldChange;
use crate::plan::{
    Course, Forecast, Graph, PlannedStage, Reason, Selection, Status, Turn, course, forecast, plan_selected, turns,
};
use crate::spec::{Decide, Loaded, Looks, Pipeline, Stage};
use crate::stage::sample;
use crate::stats::text::thousands;
use crate::store::Store;

/// Changed fields shown of a stage; `why` shows all of them.
const MOST_CHANGES: usize = 8;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Pipeline file
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    selection: SelectionArguments,
    /// Print the plan as JSON
    #[arg(long)]
    json: bool,
    /// Exit with 2 if there is something to run
    #[arg(long)]
    detailed_exitcode: bool,
}

pub(super) fn execute(settings: &Settings, arguments: &Arguments) -> Result<Exit, Exit> {
    let Loaded { mut pipeline, warnings: _ } = open::pipeline(settings, &arguments.file)?;
    arguments.selection.apply(&mut pipeline);
    let selection = arguments.selection.selection(&pipeline, &Graph::new(&pipeline))?;
    let store = open::store(settings, &pipeline.root)?;
    let due = course(&pipeline, &store, &selection);
    let to_run = print_plan(settings, &due, &store, &selection, arguments.json)?;
    Ok(if arguments.detailed_exitcode && to_run { Exit::Changes } else { Exit::Ok })
}

/// Shows what a run would do and take, and tells whether there is something to run. Asks no engine and writes nothing.
pub(super) fn print_plan(
    settings: &Settings,
    due: &Course<'_>,
    store: &Store,
    selection: &Selection,
    as_json: bool,
) -> Result<bool, Exit> {
    let Course { pipeline, spared, waits, may_go_on: _ } = due;
    let planned = plan_selected(pipeline, &Graph::new(pipeline), store, selection).map_err(|error| {
        failure(&error.to_string(), Some(&error.help()));
        Exit::Failed
    })?;
    let forecast = forecast(pipeline, &planned, store).map_err(|error| {
        failure(&error.to_string(), Some(&error.help()));
        Exit::Failed
    })?;
    let free_memory = settings.free_memory();
    let turns = turns(pipeline, &Graph::new(pipeline), &planned, store, free_memory).map_err(|error| {
        failure(&error.to_string(), Some(&error.help()));
        Exit::Failed
    })?;
    let shown = Shown { pipeline, planned: &planned, spared, waits, forecast: &forecast, turns: &turns };
    let written = if as_json {
        print_json(&shown.to_json())
    } else {
        data(|out| shown.write(out, settings.width(), free_memory))
    };
    if !written {
        return Err(Exit::Failed);
    }
    Ok(planned.iter().any(|stage| matches!(stage.status, Status::Run(_))))
}

struct Shown<'a> {
    pipeline: &'a Pipeline,
    planned: &'a [PlannedStage],
    /// Stages that are there for a backup that is not due.
    spared: &'a [StageId],
    /// Stages that look at as many scenarios as it takes, of a number that is not known yet.
    waits: &'a [StageId],
    forecast: &'a Forecast,
    /// Which models are in memory when.
    turns: &'a [Turn],
}

/// How many stages will do what.
struct Tally {
    cached: usize,
    to_run: usize,
    not_selected: usize,
    blocked: usize,
}

impl Shown<'_> {
    fn tally(&self) -> Tally {
        let mut tally = Tally { cached: 0, to_run: 0, not_selected: 0, blocked: 0 };
        for stage in self.planned {
            *match stage.status {
                Status::Cached(_) => &mut tally.cached,
                Status::Run(_) => &mut tally.to_run,
                Status::Left => &mut tally.not_selected,
                Status::Blocked(_) => &mut tally.blocked,
            } += 1;
        }
        tally
    }

    fn write(&self, out: &mut dyn Write, width: usize, free_memory: Option<u64>) -> io::Result<()> {
        let shown = self.planned.iter().map(|stage| &stage.id).chain(self.spared);
        let widest = shown.map(|id| id.as_str().len()).max().unwrap_or(0);
        for PlannedStage { id, kind, key: _, status, changes } in self.planned {
            writeln!(out, "{} {:widest$}  {kind:8}  {}", mark(status), id.as_str(), sentence(status))?;
            for change in changes.iter().take(MOST_CHANGES) {
                writeln!(out, "    ~ {}", figures::change(change))?;
            }
            if changes.len() > MOST_CHANGES {
                let (more, file) = (changes.len() - MOST_CHANGES, self.pipeline.file.display());
                writeln!(out, "    and {more} more, see `evalflow why {file} {id}`")?;
            }
            if let Some(look) = self.look(id).filter(|_| matches!(status, Status::Run(_))) {
                writeln!(out, "    {look}")?;
            }
            if let Some(forecast) = self.forecast.stages.get(id) {
                for line in figures::joined(&figures::parts(forecast, free_memory, false), width.saturating_sub(4)) {
                    writeln!(out, "    {line}")?;
                }
            }
        }
        for id in self.spared {
            writeln!(out, "- {:widest$}  {:8}  for the backup: only if the first model fails", id.as_str(), "")?;
        }
        for turn in self.turns {
            writeln!(out, "in memory: {}", figures::turn(turn))?;
            if let Some(help) = &turn.help {
                writeln!(out, "    help: {help}")?;
            }
        }
        let Tally { cached, to_run, not_selected, blocked } = self.tally();
        let also = |number: usize, what: &str| if number > 0 { format!(", {number} {what}") } else { String::new() };
        let (left, stuck) = (also(not_selected, "not selected"), also(blocked, "that cannot run"));
        let mut parts = vec![format!("{} stages, {cached} cached, {to_run} to run{left}{stuck}", self.planned.len())];
        parts.extend(figures::parts(&self.forecast.total, free_memory, true));
        for line in figures::joined(&parts, width) {
            writeln!(out, "{line}")?;
        }
        Ok(())
    }

    /// At how many scenarios a decision looks that may stop early; none of other stages, and of one that has come to its end.
    fn look(&self, id: &StageId) -> Option<String> {
        let Stage::Decide(Decide { sequential: Some(Looks { first, now, scenarios }), .. }) = &self.pipeline.stages[id]
        else {
            return None;
        };
        if self.waits.contains(id) {
            return Some("looks at growing parts of the scenarios until it is settled: at most at all".to_owned());
        }
        let (look, looks) = (first - now + 1, first + 1);
        let about = thousands(sample::expected(*scenarios, *now));
        let of = thousands(*scenarios);
        Some(format!(
            "look {look} of at most {looks}: about {about} of {of} scenarios, more if that does not settle it"
        ))
        .filter(|_| *now > 0)
    }

    fn to_json(&self) -> Value {
        let stages: Vec<Value> = self.planned.iter().map(|stage| self.stage_json(stage)).collect();
        let Tally { cached, to_run, not_selected, blocked } = self.tally();
        json!({
            "pipeline": self.pipeline.file,
            "stages": stages,
            "spared": self.spared,
            "in_memory": self.turns,
            "totals": {
                "stages": self.planned.len(), "cached": cached, "to_run": to_run, "not_selected": not_selected,
                "blocked": blocked, "forecast": self.forecast.total,
            },
        })
    }

    fn stage_json(&self, stage: &PlannedStage) -> Value {
        let PlannedStage { id, kind, key, status, changes } = stage;
        let name = match status {
            Status::Cached(_) => "cached",
            Status::Run(_) => "run",
            Status::Left => "not_selected",
            Status::Blocked(_) => "blocked",
        };
        let reason = match status {
            Status::Cached(_) | Status::Left | Status::Blocked(_) => None,
            Status::Run(reason) => Some(reason.to_string()),
        };
        let waits = match status {
            Status::Run(Reason::Waits(read)) | Status::Blocked(read) => Some(read),
            Status::Cached(_) | Status::Run(_) | Status::Left => None,
        };
        let rows = match status {
            Status::Cached(receipt) => receipt.rows,
            Status::Run(_) | Status::Left | Status::Blocked(_) => None,
        };
        json!({
            "stage": id, "kind": kind, "key": key, "status": name, "reason": reason, "waits_for": waits,
            "changes": changes.iter().map(change_json).collect::<Vec<_>>(), "rows": rows,
            "forecast": self.forecast.stages.get(id),
        })
    }
}

/// A changed field for scripts.
pub(super) fn change_json(change: &FieldChange) -> Value {
    let FieldChange { path, old, new } = change;
    json!({ "path": path, "old": old, "new": new })
}

fn mark(status: &Status) -> char {
    match status {
        Status::Cached(_) => '=',
        Status::Run(reason) => progress::mark(Cause::of(reason)),
        Status::Left => '-',
        Status::Blocked(_) => '!',
    }
}

fn sentence(status: &Status) -> String {
    match status {
        Status::Cached(receipt) => match receipt.rows {
            Some(rows) => format!("cached, {}", figures::rows(rows)),
            None => "cached".to_owned(),
        },
        Status::Run(Reason::Changed(_)) => "changed".to_owned(),
        Status::Run(Reason::Waits(read)) => format!("waits for `{read}`"),
        Status::Run(reason) => reason.to_string(),
        Status::Left => "not selected".to_owned(),
        Status::Blocked(read) => format!("cannot run: `{read}` is not selected and not in the store"),
    }
}
