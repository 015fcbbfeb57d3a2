//! What a run came to: its report, written and shown, and its exit code.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::json;

use super::account::Account;
use super::exit::Exit;
use super::output::{data, failure, json as json_to_stdout, say};
use super::settings::Settings;
use super::write::replace;
use super::{fetched, label};
use crate::data::{Comparison, Decision, GateCheck, GateOutcome, GateStatus, Outcome as What, WhyBlocked};
use crate::engine::embedded;
use crate::exec::{RunEnd, StageEnd, StageRun, latency};
use crate::ids::StageId;
use crate::lock::{Lock, day};
use crate::report::{self, ReportModel, Style};
use crate::spec::{self, Pipeline, Stage};
use crate::stage;
use crate::store::{Store, StoreError};

/// How a run is shown.
pub(super) struct Show<'a> {
    pub(super) settings: &'a Settings,
    pub(super) json: bool,
    /// Whether the pipeline's report is written: not where the run is only a part of it.
    pub(super) writes_report: bool,
    /// The lock that the results were taken by, where they were.
    pub(super) lock: Option<&'a Lock>,
    /// Warnings of the pipeline, for the report.
    pub(super) notes: Vec<String>,
}

/// What a run came to, for its exit and its record.
pub(super) struct Outcome {
    pub(super) exit: Exit,
    pub(super) decision: Option<Decision>,
    /// What was compared, first in the pipeline.
    pub(super) comparison: Option<Comparison>,
}

/// Builds the report from what came out, writes and shows it, and says how the run ends.
pub(super) fn report(
    show: Show<'_>,
    pipeline: &Pipeline,
    store: &Store,
    ended: &RunEnd,
    account: &Account,
) -> Result<Outcome, StoreError> {
    let Show { settings, json, writes_report, lock, notes } = show;
    let finished = ended.stages.iter().all(|stage| stage.receipt().is_some());
    let mut exit = Exit::Ok;
    let mut decision = None;
    let mut comparison = None;
    if finished {
        let inputs = inputs(pipeline, store, ended, lock, notes)?;
        let compared = inputs.comparisons.iter().map(|(_, comparison)| exit_of_comparison(comparison));
        exit = compared.fold(exit_of(inputs.decision.as_ref(), &inputs.latency), Exit::worst);
        comparison = inputs.comparisons.first().map(|(_, comparison)| comparison.clone());
        decision.clone_from(&inputs.decision);
        let model = report::build(inputs);
        let markdown = if writes_report { write_markdown(pipeline, &model) } else { Ok(None) };
        let written = if json {
            print_json(Some(&model), ended, account)
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
    } else if json && !print_json(None, ended, account) {
        exit = Exit::Failed;
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
    Ok(Outcome { exit, decision, comparison })
}

fn exit_of(decision: Option<&Decision>, latency: &[GateCheck]) -> Exit {
    let Some(decision) = decision else { return Exit::Ok };
    let any = |status| decision.gates.iter().chain(latency).any(|gate| gate.status == status);
    match (decision.outcome, &decision.gate) {
        (What::Blocked, _) if decision.quotes.untrusted => Exit::Inconclusive,
        (What::Blocked, _) => Exit::Ungraded,
        // What is settled counts before what is not.
        _ if any(GateStatus::Failed) => Exit::GateFailed,
        (What::Inconclusive, _) => Exit::Inconclusive,
        (_, Some(gate)) if !gate.passed => Exit::GateFailed,
        _ if any(GateStatus::Inconclusive) => Exit::Inconclusive,
        (What::Deploy | What::FineTune | What::FullPipeline, _) => Exit::Ok,
    }
}

/// What a comparison ends with: the worst that is to be said of its target and its guards.
fn exit_of_comparison(comparison: &Comparison) -> Exit {
    let blocked = std::iter::once(comparison.blocked).chain(comparison.guards.iter().map(|guard| guard.blocked));
    let gate = match comparison.gate {
        GateOutcome::Passed => Exit::Ok,
        GateOutcome::Failed => Exit::GateFailed,
        GateOutcome::Inconclusive => Exit::Inconclusive,
    };
    let blocked = blocked.flatten().map(|why| match why {
        WhyBlocked::Ungraded => Exit::Ungraded,
        WhyBlocked::Untrusted => Exit::Inconclusive,
    });
    blocked.fold(gate, Exit::worst)
}

/// Reads the small outputs that the report is made from. No table is read: a report costs the same at any size.
fn inputs<'a>(
    pipeline: &'a Pipeline,
    store: &Store,
    ended: &RunEnd,
    lock: Option<&Lock>,
    notes: Vec<String>,
) -> Result<report::Inputs<'a>, StoreError> {
    let mut inputs = report::Inputs {
        pipeline,
        date: String::new(),
        command: format!("evalflow run {}", pipeline.file.display()),
        engine: Some(format!("evalflow {}, {}", env!("CARGO_PKG_VERSION"), embedded::build())),
        stages: Vec::new(),
        candidates: None,
        catalogs: Vec::new(),
        weights: Vec::new(),
        coverage: None,
        judging: BTreeMap::new(),
        calibrations: Vec::new(),
        reviews: Vec::new(),
        preferences: Vec::new(),
        decision: None,
        comparisons: Vec::new(),
        latency: Vec::new(),
        notes,
    };
    // The day of the decision, or of the last result where nothing is decided, and not of this run: a run that finds
    // everything in the store changes no report.
    let made = |stage: &StageRun| {
        stage.receipt().map(|receipt| (matches!(stage.kind, "decide" | "compare"), receipt.created_at))
    };
    if let Some((_, seconds)) = ended.stages.iter().filter_map(made).max() {
        inputs.date = day(seconds);
    }
    let mut decided_on = None;
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
            Stage::Research(research) => {
                let found = record(store, receipt)?;
                inputs.catalogs = fetched::ages(research, &found, store, lock, &inputs.date)?;
                inputs.candidates = Some(found);
            }
            Stage::Pull(_) => inputs.weights.push((id.clone(), record(store, receipt)?)),
            Stage::Generate(_) => {
                inputs.coverage = receipt.summary.clone().and_then(|summary| serde_json::from_value(summary).ok());
            }
            Stage::Calibrate(_) => inputs.calibrations.push((id.clone(), record(store, receipt)?)),
            Stage::Decide(decide) => {
                let decision: Decision = record(store, receipt)?;
                let verdicts = decide.decided_on(decision.is_of_backup());
                inputs.latency = latency(pipeline, store, ended, decide, verdicts)?;
                decided_on = Some(verdicts);
                inputs.decision = Some(decision);
            }
            Stage::Compare(_) => inputs.comparisons.push((id.clone(), record(store, receipt)?)),
            Stage::Judge(_) => {
                let judging = receipt.summary.clone().and_then(|summary| serde_json::from_value(summary).ok());
                inputs.judging.extend(judging.map(|judging| (id.clone(), judging)));
            }
            Stage::Prefer(_) => {
                let found = receipt.summary.clone().and_then(|summary| serde_json::from_value(summary).ok());
                inputs.preferences.extend(found.map(|found| (id.clone(), found)));
            }
            Stage::Infer(_) => {}
        }
    }
    if let Some(table) = inputs.stages.iter().find(|stage| Some(&stage.id) == decided_on) {
        match label::reviews_of(pipeline, &table.output) {
            Ok(reviews) => inputs.reviews = reviews,
            Err(message) => inputs.notes.push(message),
        }
    }
    Ok(inputs)
}

/// The gates on how long calls took to answer what was decided on. Only where there are some are the calls looked at.
fn latency(
    pipeline: &Pipeline,
    store: &Store,
    ended: &RunEnd,
    decide: &spec::Decide,
    verdicts: &StageId,
) -> Result<Vec<GateCheck>, StoreError> {
    if !decide.gates.iter().any(|gate| gate.metric == spec::Metric::LatencyP95) {
        return Ok(Vec::new());
    }
    let of = |verdicts: &StageId| {
        let Stage::Judge(judge) = &pipeline.stages[verdicts] else { return Ok((None, 0)) };
        let answers = ended.stages.iter().find(|stage| stage.id == judge.answers).and_then(StageRun::receipt);
        answers.map_or(Ok((None, 0)), |receipt| latency::p95(store, receipt))
    };
    let mut bases = BTreeMap::new();
    for base in stage::decide::bases(decide) {
        bases.insert(base, of(base)?);
    }
    let base = |base: &StageId| bases.get(base).copied().unwrap_or_default();
    Ok(stage::decide::check_latency(&decide.gates, of(verdicts)?, base))
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
pub(super) fn report_in_the_way(pipeline: &Pipeline) -> Option<String> {
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
    replace(&path, &text)?;
    if let (Some(name), Some(candidates)) = (&model.chart, &model.candidates)
        && let Some(chart) = report::chart(candidates)
    {
        let beside = path.with_file_name(name);
        let is_ours = fs_err::read(&beside).map_or(true, |old| old.is_empty() || old.starts_with(MARK));
        if !is_ours {
            let message = format!("`{}` is in the way, and evalflow did not write it", beside.display());
            return Err(std::io::Error::other(message));
        }
        replace(&beside, chart.as_bytes())?;
    }
    Ok(Some(file.clone()))
}

/// Prints what a run took, and its report where it came to one.
fn print_json(model: Option<&ReportModel>, ended: &RunEnd, account: &Account) -> bool {
    let report = model.map(|model| {
        let mut text = Vec::new();
        report::json(model, &mut text).expect("writing to memory cannot fail");
        serde_json::from_slice::<serde_json::Value>(&text).expect("the report is valid JSON")
    });
    json_to_stdout(&json!({ "report": report, "run": account.to_json(ended) }))
}
