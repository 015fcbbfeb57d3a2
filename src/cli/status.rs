//! `evalflow status [FILE…]`

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::bless::{decision_json, rate};
use super::exit::Exit;
use super::output::{data, failure, json as print_json, say, store_failure};
use super::settings::Settings;
use super::{git, history, open};
use crate::lock::LockedDecision;
use crate::plan::{self, Graph, LockState, PlannedStage, Selection, Status, pipeline_name};
use crate::spec::{Loaded, Pipeline};
use crate::store::{RunRecord, Store};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Pipeline files [default: all of `pipelines/`]
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Print the status as JSON
    #[arg(long)]
    json: bool,
}

/// How one pipeline stands.
struct Standing {
    file: PathBuf,
    name: String,
    stages: Result<Vec<PlannedStage>, String>,
    last: Option<RunRecord>,
    lock: LockStanding,
    /// What the results in the store decide, where all are there.
    now: Option<LockedDecision>,
}

enum LockStanding {
    None,
    Is { state: String, up_to_date: bool, decision: Option<LockedDecision> },
}

pub(super) fn execute(settings: &Settings, arguments: &Arguments) -> Result<Exit, Exit> {
    let root = settings.root(arguments.files.first().map_or(Path::new("pipelines"), PathBuf::as_path));
    let git = git::start(&root);
    let files = if arguments.files.is_empty() { pipelines(&root)? } else { arguments.files.clone() };
    let mut exit = Exit::Ok;
    let mut standings = Vec::new();
    for file in &files {
        match open::locked_pipeline(settings, file) {
            Ok(Loaded { pipeline, warnings: _ }) => {
                let (standing, ended) = standing(settings, &pipeline)?;
                standings.push(standing);
                exit = ended.err().unwrap_or(exit);
            }
            Err(found) => exit = found,
        }
    }
    let git = git.finish();
    let written = if arguments.json {
        let list: Vec<Value> = standings.iter().map(to_json).collect();
        print_json(&json!({ "commit": git.commit, "dirty": git.dirty, "pipelines": list }))
    } else {
        data(|out| {
            for (index, standing) in standings.iter().enumerate() {
                if index > 0 {
                    writeln!(out)?;
                }
                write(out, standing)?;
            }
            Ok(())
        })
    };
    if files.is_empty() {
        say("no pipelines here");
    }
    if written { Ok(exit) } else { Err(Exit::Failed) }
}

/// The pipeline files of a project, by name.
fn pipelines(root: &Path) -> Result<Vec<PathBuf>, Exit> {
    let directory = root.join("pipelines");
    let entries = fs_err::read_dir(&directory).and_then(|entries| entries.collect::<io::Result<Vec<_>>>());
    let entries = entries.map_err(|error| {
        let message = if error.kind() == io::ErrorKind::NotFound {
            format!("there is no directory `{}`", directory.display())
        } else {
            error.to_string()
        };
        failure(&message, Some("name a pipeline file, or the project's root with `--project DIR`"));
        Exit::BadInput
    })?;
    let is_yaml = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml");
    let mut files: Vec<PathBuf> = entries.into_iter().map(|entry| entry.path()).filter(is_yaml).collect();
    files.sort();
    Ok(files)
}

/// How a pipeline stands, and how that ends the program if its lock cannot be read.
fn standing(settings: &Settings, pipeline: &Pipeline) -> Result<(Standing, Result<(), Exit>), Exit> {
    let store = open::store(settings, &pipeline.root)?;
    let due = plan::course(pipeline, &store, &Selection::default()).pipeline;
    let graph = Graph::new(&due);
    let stages = plan::plan(&due, &graph, &store).map_err(|error| error.to_string());
    let last = store.runs(Some(&pipeline_name(pipeline)), 1).map_err(|error| {
        store_failure(&error);
        Exit::Failed
    })?;
    let now = plan::bless(&due, &graph, &store).map(|lock| lock.decision);
    let (lock, ended) = lock_standing(pipeline, &store);
    let standing = Standing {
        file: pipeline.file.clone(),
        name: pipeline.name.clone(),
        stages,
        last: last.into_iter().next(),
        lock,
        // Why nothing is decided is told by the stages.
        now: now.unwrap_or_default(),
    };
    Ok((standing, ended))
}

fn lock_standing(pipeline: &Pipeline, store: &Store) -> (LockStanding, Result<(), Exit>) {
    let lock = match open::lock(pipeline) {
        Ok(Some(lock)) => lock,
        Ok(None) => return (LockStanding::None, Ok(())),
        // Why has been said; the other pipelines are still worth showing.
        Err(exit) => {
            let state = "cannot be read".to_owned();
            return (LockStanding::Is { state, up_to_date: false, decision: None }, Err(exit));
        }
    };
    let due = plan::locked_course(pipeline, &lock).pipeline;
    let (state, up_to_date) = match plan::lock_state(&due, &Graph::new(&due), store, &lock) {
        Ok(LockState::UpToDate) => ("up to date".to_owned(), true),
        Ok(LockState::Unread) => ("up to date, its results are not here".to_owned(), true),
        Ok(LockState::Edited(_)) => ("not what its results say".to_owned(), false),
        Err(error) => (error.to_string(), false),
    };
    (LockStanding::Is { state, up_to_date, decision: lock.decision }, Ok(()))
}

fn write(out: &mut dyn Write, standing: &Standing) -> io::Result<()> {
    let Standing { file, name, stages, last, lock, now } = standing;
    writeln!(out, "{}  {name}", file.display())?;
    match stages {
        Err(error) => writeln!(out, "  stages    {error}")?,
        Ok(stages) => {
            let waiting: Vec<_> = stages
                .iter()
                .filter_map(|stage| match &stage.status {
                    Status::Cached(_) | Status::Left | Status::Blocked(_) => None,
                    Status::Run(reason) => Some((&stage.id, reason)),
                })
                .collect();
            let cached = stages.len() - waiting.len();
            match waiting.first() {
                None => writeln!(out, "  stages    {cached} cached")?,
                Some((id, reason)) => {
                    writeln!(out, "  stages    {cached} cached, {} to run: `{id}`: {reason}", waiting.len())?;
                }
            }
        }
    }
    match last {
        None => writeln!(out, "  last run  none")?,
        Some(run) => {
            let rate = run.rate.as_ref().map(|rate| format!(" at {}", history::rate(rate))).unwrap_or_default();
            let (time, outcome) = (history::time(run.started_at), history::outcome(run));
            writeln!(out, "  last run  {} of {time} UTC: {outcome}{rate}", run.id)?;
        }
    }
    let locked = match lock {
        LockStanding::None => {
            writeln!(out, "  lock      none")?;
            &None
        }
        LockStanding::Is { state, up_to_date: _, decision } => {
            writeln!(out, "  lock      {state}")?;
            decision
        }
    };
    let shown = |decision: &LockedDecision| format!("{} at {}", decision.outcome.as_str(), rate(decision));
    if let Some(decision) = locked {
        writeln!(out, "  locked    {}", shown(decision))?;
    }
    if let Some(decision) = now.as_ref().filter(|now| locked.as_ref() != Some(now)) {
        writeln!(out, "  now       {}", shown(decision))?;
    }
    Ok(())
}

fn to_json(standing: &Standing) -> Value {
    let Standing { file, name, stages, last, lock, now } = standing;
    let lock = match lock {
        LockStanding::None => Value::Null,
        LockStanding::Is { state, up_to_date, decision } => {
            json!({ "state": state, "up_to_date": up_to_date, "decision": decision.as_ref().map(decision_json) })
        }
    };
    let stage = |stage: &PlannedStage| {
        let (status, reason) = match &stage.status {
            Status::Cached(_) => ("cached", None),
            Status::Left | Status::Blocked(_) => ("left_out", None),
            Status::Run(reason) => ("run", Some(reason.to_string())),
        };
        json!({ "stage": stage.id, "status": status, "reason": reason })
    };
    let (stages, error) = match stages {
        Ok(stages) => (stages.iter().map(stage).collect(), None),
        Err(error) => (Vec::new(), Some(error)),
    };
    json!({
        "file": file, "name": name, "stages": stages, "error": error,
        "last_run": last.as_ref().map(history::to_json), "lock": lock, "now": now.as_ref().map(decision_json),
    })
}
