//! `evalflow run FILE`

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use super::access;
use super::account::Account;
use super::ended::{Show, report, report_in_the_way};
use super::exit::Exit;
use super::freeze::write_suites;
use super::open;
use super::output::{failure, store_failure};
use super::plan::print_plan;
use super::progress::Progress;
use super::record::Recorder;
use super::selection::SelectionArguments;
use super::settings::Settings;
use crate::exec::{self, Engines, Event, Limits, RunEnd, StageEnd, StageRun};
use crate::ids::StageId;
use crate::lock::Lock;
use crate::plan::{Graph, Selection, course, frozen, locked_course};
use crate::spec::{Loaded, Pipeline};
use crate::stage;
use crate::store::{Receipt, Store};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Pipeline file
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Print the report and what the run took as JSON
    #[arg(long)]
    json: bool,
    /// Threads of the embedded engine [default: all cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    threads: Option<u16>,
    /// Most rows that a stage has in work at once [default: what its model can use]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    jobs: Option<u16>,
    /// Ask every call again, and the hub for catalogs, and keep the new replies in place of the old
    #[arg(long)]
    refresh: bool,
    /// Ask nothing of other machines: what is not in the store fails
    #[arg(long)]
    offline: bool,
    /// After a failure, start the stages that do not read the failed one all the same
    #[arg(long)]
    keep_going: bool,
    #[command(flatten)]
    selection: SelectionArguments,
    /// Show what would run and what it would take, and run nothing
    #[arg(long)]
    dry_run: bool,
    /// Use only what the lock names: where anything differs or is missing, say what and compute nothing
    #[arg(long, conflicts_with_all = ["only", "from", "force", "limit", "refresh", "dry_run"])]
    frozen: bool,
}

impl Arguments {
    /// The options that make it another run than the pipeline says.
    fn told(&self) -> Vec<String> {
        let mut told = Vec::new();
        let flags = [(self.refresh, "--refresh"), (self.offline, "--offline"), (self.frozen, "--frozen")];
        for (is_set, name) in flags {
            if is_set {
                told.push(name.to_owned());
            }
        }
        told.extend(self.selection.told());
        told
    }
}

pub(super) fn execute(settings: &Settings, arguments: &Arguments) -> Result<Exit, Exit> {
    let load = if arguments.frozen { open::locked_pipeline } else { open::pipeline };
    let Loaded { mut pipeline, warnings } = load(settings, &arguments.file)?;
    arguments.selection.apply(&mut pipeline);
    let graph = Graph::new(&pipeline);
    let selection = arguments.selection.selection(&pipeline, &graph)?;
    let whole = !arguments.selection.is_limited();
    if let Some(problem) = report_in_the_way(&pipeline).filter(|_| whole) {
        failure(&problem, Some("name another file under `report: { markdown: … }`, or move that one away"));
        return Err(Exit::BadInput);
    }
    let lock = if arguments.frozen { Some(open::lock_needed(&pipeline)?) } else { None };
    let store = Arc::new(open::store(settings, &pipeline.root)?);
    if arguments.dry_run {
        let due = course(&pipeline, &store, &selection);
        return print_plan(settings, &due, &store, &selection, arguments.json).map(|_| Exit::Ok);
    }
    let started = Instant::now();
    let failed = |error| {
        store_failure(&error);
        Exit::Failed
    };
    let found = lock.as_ref().map(|lock| Frozen::find(&pipeline, &store, lock)).transpose()?;
    let (recorder, journal) = Recorder::start(settings, &pipeline, &store, arguments.told()).map_err(failed)?;
    let progress = Progress::new(settings.bars(), widest(&pipeline), journal);
    let work = Work { settings, arguments, pipeline: &pipeline, graph: &graph, store: &store, progress: &progress };
    let ended = match found {
        Some(found) => found.take(&pipeline, &progress),
        None => work.run(&selection),
    };
    if whole && !arguments.frozen {
        write_suites(&pipeline, &store, &ended).map_err(failed)?;
    }
    let wall_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    let account = Account::of(&pipeline, &ended, wall_ms);
    let notes = warnings.iter().map(|warning| warning.message.clone()).collect();
    let show = Show { settings, json: arguments.json, writes_report: whole, lock: lock.as_ref(), notes };
    let outcome = report(show, &pipeline, &store, &ended, &account).map_err(failed)?;
    recorder.end(&store, &ended, &account, &outcome).map_err(failed)?;
    Ok(outcome.exit)
}

/// Characters of the longest stage id.
fn widest(pipeline: &Pipeline) -> usize {
    pipeline.stages.keys().map(|id| id.as_str().len()).max().unwrap_or(0)
}

/// The results that a lock names.
struct Frozen {
    results: Vec<(StageId, Receipt)>,
    /// Stages that were not due.
    spared: Vec<StageId>,
}

impl Frozen {
    fn find(pipeline: &Pipeline, store: &Store, lock: &Lock) -> Result<Self, Exit> {
        let due = locked_course(pipeline, lock);
        let results = frozen(&due.pipeline, &Graph::new(&due.pipeline), store, lock).map_err(|error| {
            failure(&error.to_string(), Some(&error.help()));
            Exit::Failed
        })?;
        Ok(Self { results, spared: due.spared })
    }

    fn take(self, pipeline: &Pipeline, progress: &Progress) -> RunEnd {
        let Self { results, spared } = self;
        let stages = results.into_iter().map(|(id, receipt)| {
            progress.event(&Event::Cached { stage: &id, receipt: &receipt });
            StageRun { kind: stage::kind(&pipeline.stages[&id]), id, end: StageEnd::Cached(receipt) }
        });
        RunEnd { stages: stages.collect(), spared, interrupted: false }
    }
}

/// What running takes.
struct Work<'a> {
    settings: &'a Settings,
    arguments: &'a Arguments,
    pipeline: &'a Pipeline,
    graph: &'a Graph,
    store: &'a Arc<Store>,
    progress: &'a Progress,
}

impl Work<'_> {
    /// Runs what is not in the store.
    fn run(&self, selection: &Selection) -> RunEnd {
        let Self { settings, arguments, pipeline, graph, store, progress } = *self;
        let events = |event: Event<'_>| progress.event(&event);
        let engines = Engines::new(Limits {
            threads: arguments.threads.map(usize::from),
            jobs: arguments.jobs.map(usize::from),
            memory: settings.free_memory(),
            offline: arguments.offline,
            tries_weights: settings.tries_weights(),
        })
        .with_access(access::access(&settings.environment))
        .with_path(settings.environment.get("PATH"));
        let run = exec::Run {
            pipeline,
            graph,
            selection,
            store,
            engines: &engines,
            now: settings.now,
            refresh: arguments.refresh,
            keep_going: arguments.keep_going,
            events: &events,
        };
        until_interrupted(&run)
    }
}

/// Runs until the end, or until the user or the system asks for it.
pub(super) fn until_interrupted(run: &exec::Run<'_>) -> RunEnd {
    let runtime = open::runtime();
    // On a task of its own, so that a second signal is heard even while the run computes something.
    let (first, interrupt) = tokio::sync::oneshot::channel();
    runtime.spawn(async move {
        interrupted().await;
        first.send(()).ok();
        interrupted().await;
        #[expect(clippy::disallowed_methods, clippy::exit, reason = "who asks twice wants the program gone at once")]
        std::process::exit(130);
    });
    let ended = runtime.block_on(exec::run(run, async {
        if interrupt.await.is_err() {
            std::future::pending::<()>().await;
        }
    }));
    // What still runs on other threads is of no use to anybody.
    runtime.shutdown_background();
    ended
}

/// Ends when the user or the system asks the program to stop.
async fn interrupted() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let (Ok(mut interrupt), Ok(mut terminate)) =
            (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
        {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            return;
        }
    }
    if tokio::signal::ctrl_c().await.is_err() {
        // Without a handler the system's own way of stopping is in force.
        std::future::pending::<()>().await;
    }
}
