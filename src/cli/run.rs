//! `evalflow run FILE`

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use super::account::Account;
use super::ended::{Show, report, report_in_the_way};
use super::exit::Exit;
use super::open;
use super::output::{failure, store_failure};
use super::progress::Progress;
use super::record::Recorder;
use super::settings::Settings;
use crate::exec::{self, Engines, Limits, RunEnd};
use crate::plan::{Graph, Selection};
use crate::spec::{Loaded, Pipeline};
use crate::store::{Journal, Store};

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
    /// Ask every call again, and keep the new replies in place of the old
    #[arg(long)]
    refresh: bool,
    /// Ask nothing of other machines: what is not in the store fails
    #[arg(long)]
    offline: bool,
    /// After a failure, start the stages that do not read the failed one all the same
    #[arg(long)]
    keep_going: bool,
}

impl Arguments {
    /// The options that make it another run than the pipeline says.
    fn told(&self) -> Vec<String> {
        let mut told = Vec::new();
        for (is_set, name) in [(self.refresh, "--refresh"), (self.offline, "--offline")] {
            if is_set {
                told.push(name.to_owned());
            }
        }
        told
    }
}

pub(super) fn execute(settings: &Settings, arguments: &Arguments) -> Result<Exit, Exit> {
    let Loaded { pipeline, warnings } = open::pipeline(settings, &arguments.file)?;
    if let Some(problem) = report_in_the_way(&pipeline) {
        failure(&problem, Some("name another file under `report: { markdown: … }`, or move that one away"));
        return Err(Exit::BadInput);
    }
    let store = Arc::new(open::store(settings, &pipeline.root)?);
    let started = Instant::now();
    let failed = |error| {
        store_failure(&error);
        Exit::Failed
    };
    let (recorder, journal) = Recorder::start(settings, &pipeline, &store, arguments.told()).map_err(failed)?;
    let ended = run(settings, arguments, &pipeline, &store, journal);
    let account = Account::of(&ended, u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX));
    let notes = warnings.iter().map(|warning| warning.message.clone()).collect();
    let show = Show { settings, json: arguments.json, notes };
    let outcome = report(show, &pipeline, &store, &ended, &account).map_err(failed)?;
    recorder.end(&store, &ended, &account, &outcome).map_err(failed)?;
    Ok(outcome.exit)
}

fn run(
    settings: &Settings,
    arguments: &Arguments,
    pipeline: &Pipeline,
    store: &Arc<Store>,
    journal: Option<Journal>,
) -> RunEnd {
    let widest = pipeline.stages.keys().map(|id| id.as_str().len()).max().unwrap_or(0);
    let progress = Progress::new(settings.bars(), widest, journal);
    let events = |event: exec::Event<'_>| progress.event(&event);
    let engines = Engines::new(Limits {
        threads: arguments.threads.map(usize::from),
        jobs: arguments.jobs.map(usize::from),
        offline: arguments.offline,
    });
    let graph = Graph::new(pipeline);
    let selection = Selection::default();
    let run = exec::Run {
        pipeline,
        graph: &graph,
        selection: &selection,
        store,
        engines: &engines,
        now: settings.now,
        refresh: arguments.refresh,
        keep_going: arguments.keep_going,
        events: &events,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime needs only threads and a poller");
    // On a task of its own, so that a second signal is heard even while the run computes something.
    let (first, interrupt) = tokio::sync::oneshot::channel();
    runtime.spawn(async move {
        interrupted().await;
        first.send(()).ok();
        interrupted().await;
        #[expect(clippy::disallowed_methods, clippy::exit, reason = "who asks twice wants the program gone at once")]
        std::process::exit(130);
    });
    let ended = runtime.block_on(exec::run(&run, async {
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
