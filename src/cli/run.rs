//! `evalflow run FILE`

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use serde_json::json;

use super::exit::Exit;
use super::open;
use super::output::{data, duration, failure, say, store_failure};
use super::progress::Progress;
use super::settings::Settings;
use crate::data::{Decision, Outcome};
use crate::engine::embedded;
use crate::exec::{self, Engines, RunEnd, StageEnd, StageRun};
use crate::plan::Graph;
use crate::report::{self, ReportModel, Style};
use crate::spec::{Loaded, Pipeline, Stage};
use crate::stats::text::thousands;
use crate::store::{Store, StoreError, Tally};

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
}

pub(super) fn execute(settings: &Settings, arguments: &Arguments) -> Result<Exit, Exit> {
    let Loaded { pipeline, warnings } = open::pipeline(settings, &arguments.file)?;
    if let Some(problem) = report_in_the_way(&pipeline) {
        failure(&problem, Some("name another file under `report: { markdown: … }`, or move that one away"));
        return Err(Exit::BadInput);
    }
    let store = Arc::new(open::store(settings, &pipeline.root)?);
    let started = Instant::now();
    let ended = run(settings, arguments, &pipeline, &store);
    let account = Account::of(&ended, u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX));
    let notes = warnings.iter().map(|warning| warning.message.clone()).collect();
    report(settings, arguments, &pipeline, &store, &ended, &account, notes).map_err(|error| {
        store_failure(&error);
        Exit::Failed
    })
}

fn run(settings: &Settings, arguments: &Arguments, pipeline: &Pipeline, store: &Arc<Store>) -> RunEnd {
    let widest = pipeline.stages.keys().map(|id| id.as_str().len()).max().unwrap_or(0);
    let progress = Progress::new(settings.bars(), widest);
    let events = |event: exec::Event<'_>| progress.event(&event);
    let engines = Engines::new(arguments.threads.map(usize::from));
    let graph = Graph::new(pipeline);
    let run = exec::Run { pipeline, graph: &graph, store, engines: &engines, now: settings.now, events: &events };
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

/// What a whole run took.
struct Account {
    cached: usize,
    ran: usize,
    stopped: usize,
    calls: u64,
    calls_cached: u64,
    wall_ms: u64,
    saved_ms: u64,
}

impl Account {
    fn of(ended: &RunEnd, wall_ms: u64) -> Self {
        let mut account = Self { cached: 0, ran: 0, stopped: 0, calls: 0, calls_cached: 0, wall_ms, saved_ms: 0 };
        for StageRun { id: _, kind: _, end } in &ended.stages {
            match end {
                StageEnd::Cached(receipt) => {
                    let tally = &receipt.tally;
                    let calls = tally.calls_made + tally.calls_cached;
                    account.cached += 1;
                    account.calls += calls;
                    account.calls_cached += calls;
                    account.saved_ms += if calls > 0 { tally.engine_ms } else { tally.wall_ms };
                }
                StageEnd::Ran { receipt, complete: _ } => {
                    account.ran += 1;
                    account.calls += receipt.tally.calls_made + receipt.tally.calls_cached;
                    account.calls_cached += receipt.tally.calls_cached;
                    account.saved_ms += receipt.tally.saved_ms;
                }
                StageEnd::Failed(_) | StageEnd::Skipped { .. } | StageEnd::Interrupted => account.stopped += 1,
            }
        }
        account
    }

    fn line(&self) -> String {
        let Self { cached, ran, stopped, .. } = self;
        let mut parts = vec![format!("{} stages, {cached} cached, {ran} run", cached + ran + stopped)];
        if *stopped > 0 {
            parts[0] = format!("{}, {stopped} not finished", parts[0]);
        }
        if self.calls > 0 {
            parts.push(format!("{}/{} calls cached", thousands(self.calls_cached), thousands(self.calls)));
        }
        parts.push(duration(self.wall_ms));
        if self.saved_ms > 0 {
            parts.push(format!("saved {}", duration(self.saved_ms)));
        }
        parts.join(" · ")
    }
}

/// Builds the report from what came out, writes and shows it, and says how the run ends.
fn report(
    settings: &Settings,
    arguments: &Arguments,
    pipeline: &Pipeline,
    store: &Store,
    ended: &RunEnd,
    account: &Account,
    notes: Vec<String>,
) -> Result<Exit, StoreError> {
    let finished = ended.stages.iter().all(|stage| stage.receipt().is_some());
    let mut exit = Exit::Ok;
    if finished {
        let inputs = inputs(pipeline, store, ended, notes)?;
        exit = exit_of(inputs.decision.as_ref());
        let model = report::build(inputs);
        let markdown = write_markdown(pipeline, &model);
        let written = if arguments.json {
            print_json(&model, ended, account)
        } else {
            let style = Style { color: settings.color_stdout(), width: settings.width() };
            data(|out| report::terminal(&model, style, out))
        };
        if !written {
            exit = Exit::Failed;
        }
        match markdown {
            Ok(Some(path)) => say(&format!("report: {}", path.display())),
            Ok(None) => {}
            Err(error) => {
                failure(&format!("the report cannot be written: {error}"), Some("see that its directory is writable"));
                exit = Exit::Failed;
            }
        }
        // Rows without an answer, or scenarios that could not be written, are not in what was decided on.
        let holes = ended.stages.iter().filter(|stage| matches!(stage.end, StageEnd::Ran { complete: false, .. }));
        for stage in holes {
            say(&format!("`{}` is not complete: run again to ask what is missing", stage.id));
            if exit != Exit::Failed {
                exit = Exit::Ungraded;
            }
        }
    }
    for stage in &ended.stages {
        if let StageEnd::Failed(cause) = &stage.end {
            failure(&format!("`{}`: {}", stage.id, cause.message), cause.help.as_deref());
            exit = Exit::Failed;
        }
    }
    if ended.interrupted {
        say("interrupted: finished stages and calls are kept, run again to go on");
        exit = Exit::Interrupted;
    }
    say(&account.line());
    Ok(exit)
}

fn exit_of(decision: Option<&Decision>) -> Exit {
    let Some(decision) = decision else { return Exit::Ok };
    match (decision.outcome, &decision.gate) {
        (Outcome::Blocked, _) if decision.quotes.untrusted => Exit::Inconclusive,
        (Outcome::Blocked, _) => Exit::Ungraded,
        (Outcome::Inconclusive, _) => Exit::Inconclusive,
        (_, Some(gate)) if !gate.passed => Exit::GateFailed,
        (Outcome::Deploy | Outcome::FineTune | Outcome::FullPipeline, _) => Exit::Ok,
    }
}

/// Reads the small outputs that the report is made from. No table is read: a report costs the same at any size.
fn inputs<'a>(
    pipeline: &'a Pipeline,
    store: &Store,
    ended: &RunEnd,
    notes: Vec<String>,
) -> Result<report::Inputs<'a>, StoreError> {
    let mut inputs = report::Inputs {
        pipeline,
        date: String::new(),
        command: format!("evalflow run {}", pipeline.file.display()),
        engine: Some(format!("evalflow {}, {}", env!("CARGO_PKG_VERSION"), embedded::build())),
        stages: Vec::new(),
        candidates: None,
        weights: Vec::new(),
        coverage: None,
        decision: None,
        notes,
    };
    // The day of the decision, or of the last result where nothing is decided, and not of this run: a run that finds
    // everything in the store changes no report.
    let made = |stage: &StageRun| stage.receipt().map(|receipt| (stage.kind == "decide", receipt.created_at));
    if let Some((_, seconds)) = ended.stages.iter().filter_map(made).max() {
        let day = jiff::Timestamp::from_second(seconds).map(|time| time.strftime("%Y-%m-%d").to_string());
        inputs.date = day.unwrap_or_default();
    }
    for StageRun { id, kind, end } in &ended.stages {
        let (StageEnd::Cached(receipt) | StageEnd::Ran { receipt, complete: _ }) = end else { continue };
        inputs.stages.push(report::StageRecord {
            id: id.clone(),
            kind: (*kind).to_owned(),
            key: receipt.key,
            output: receipt.output,
            rows: receipt.rows,
        });
        match &pipeline.stages[id] {
            Stage::Research(_) => inputs.candidates = Some(record(store, receipt)?),
            Stage::Pull(_) => inputs.weights.push((id.clone(), record(store, receipt)?)),
            Stage::Generate(_) => {
                inputs.coverage = receipt.summary.clone().and_then(|summary| serde_json::from_value(summary).ok());
            }
            Stage::Decide(_) => inputs.decision = Some(record(store, receipt)?),
            Stage::Infer(_) | Stage::Judge(_) => {}
        }
    }
    Ok(inputs)
}

fn record<T: serde::de::DeserializeOwned>(store: &Store, receipt: &crate::store::Receipt) -> Result<T, StoreError> {
    let bytes = store.read(&receipt.output)?;
    serde_json::from_slice(&bytes).map_err(|error| StoreError::Damaged {
        path: store.object_path(&receipt.output),
        message: format!("another version wrote it: {error}"),
    })
}

/// What every report begins with: a file without it is somebody's own and is not written over.
const MARK: &[u8] = b"<!-- Written by evalflow";

/// Why the report could not be written, found out before anything is paid for.
fn report_in_the_way(pipeline: &Pipeline) -> Option<String> {
    let file = pipeline.report.markdown.as_ref()?;
    let path = pipeline.root.join(file);
    if path.is_dir() {
        return Some(format!("the report cannot be written: `{}` is a directory", file.display()));
    }
    let text = fs_err::read(path).ok()?;
    let is_ours = text.is_empty() || text.starts_with(MARK);
    (!is_ours).then(|| format!("the report would replace `{}`, which evalflow did not write", file.display()))
}

/// Writes the Markdown report where the pipeline wants one. One that is as it should be is not touched.
fn write_markdown(pipeline: &Pipeline, model: &ReportModel) -> std::io::Result<Option<PathBuf>> {
    let Some(file) = &pipeline.report.markdown else { return Ok(None) };
    let path = pipeline.root.join(file);
    let mut text = Vec::new();
    report::markdown(model, &mut text)?;
    if fs_err::read(&path).is_ok_and(|old| old == text) {
        return Ok(Some(file.clone()));
    }
    let directory = path.parent().unwrap_or_else(|| Path::new("."));
    fs_err::create_dir_all(directory)?;
    let mut temporary = tempfile::Builder::new().prefix(".report").tempfile_in(directory)?;
    temporary.write_all(&text)?;
    readable_by_all(temporary.as_file())?;
    temporary.persist(&path).map_err(|error| error.error)?;
    Ok(Some(file.clone()))
}

/// A temporary file is made for its owner alone; a report is for everybody who may read the directory.
fn readable_by_all(file: &std::fs::File) -> std::io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        file.set_permissions(std::fs::Permissions::from_mode(0o644))?;
    }
    #[cfg(not(unix))]
    let _: &std::fs::File = file;
    Ok(())
}

fn print_json(model: &ReportModel, ended: &RunEnd, account: &Account) -> bool {
    let stages: Vec<_> = ended
        .stages
        .iter()
        .map(|stage| {
            let status = match &stage.end {
                StageEnd::Cached(_) => "cached",
                StageEnd::Ran { complete: true, .. } => "run",
                StageEnd::Ran { complete: false, .. } => "incomplete",
                StageEnd::Failed(_) | StageEnd::Skipped { .. } | StageEnd::Interrupted => "not_finished",
            };
            let receipt = stage.receipt();
            // A stage from the store took nothing now; its tally says what it took when it was made.
            let tally = receipt.map(|receipt| receipt.tally);
            json!({
                "stage": stage.id, "kind": stage.kind, "status": status,
                "key": receipt.map(|receipt| receipt.key), "output": receipt.map(|receipt| receipt.output),
                "rows": receipt.and_then(|receipt| receipt.rows), "tally": tally.map(tally_json),
            })
        })
        .collect();
    let made = account.calls - account.calls_cached;
    let run = json!({
        "stages": stages, "calls": account.calls, "calls_cached": account.calls_cached, "calls_made": made,
        "wall_ms": account.wall_ms, "saved_ms": account.saved_ms,
    });
    data(|out| {
        let mut report = Vec::new();
        report::json(model, &mut report)?;
        let report: serde_json::Value = serde_json::from_slice(&report).expect("the report is valid JSON");
        serde_json::to_writer_pretty(&mut *out, &json!({ "report": report, "run": run }))?;
        writeln!(out)
    })
}

fn tally_json(tally: Tally) -> serde_json::Value {
    serde_json::to_value(tally).expect("a tally is always valid JSON")
}
