//! `evalflow pull PIPELINE|SOURCE…`: brings weights into the store, and runs nothing else.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use indexmap::IndexMap;

use super::access;
use super::exit::Exit;
use super::models::{Shown, list};
use super::open;
use super::output::{data, failure, json as print_json, store_failure};
use super::progress::Progress;
use super::run::until_interrupted;
use super::settings::Settings;
use crate::data::WeightsRecord;
use crate::exec::{self, Engines, Event, Limits, RunEnd, StageEnd};
use crate::ids::StageId;
use crate::plan::{Force, Graph, Selection};
use crate::spec::{Loaded, Pipeline, Pull, PullFrom, ReportFiles, Stage, WeightsSource};
use crate::stage;
use crate::store::Store;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Pipeline files, whose `pull` stages run with what they read; or sources, as a `pull` stage names them:
    /// `hf:org/repo:Q4_K_M`, `ollama:qwen3:8b`, `https://…`, `s3://…`, `file:…`
    #[arg(value_name = "PIPELINE|SOURCE", required = true)]
    what: Vec<String>,
    /// The sha256 that the file must have, of one source
    #[arg(long, value_name = "DIGEST", value_parser = digest)]
    sha256: Option<String>,
    /// Ask again where weights come from, although they are here: a branch may have moved
    #[arg(long)]
    force: bool,
    /// Ask nothing of other machines
    #[arg(long)]
    offline: bool,
    /// Print the weights as JSON
    #[arg(long)]
    json: bool,
}

fn digest(text: &str) -> Result<String, String> {
    let is_digest = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_digest {
        Ok(text.to_ascii_lowercase())
    } else {
        Err("write the 64 digits that `sha256sum` prints".to_owned())
    }
}

/// Has the system give memory out in small pages. With large ones each of the many buffers of a transfer takes two megabytes,
/// and nothing here is read often enough to gain by it.
fn take_memory_in_small_pages() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::thread::disable_transparent_huge_pages(true) {
        tracing::debug!("memory comes in large pages: {error}");
    }
}

pub(super) fn execute(settings: &Settings, arguments: &Arguments) -> Result<Exit, Exit> {
    take_memory_in_small_pages();
    let mut pipelines = Vec::new();
    for what in &arguments.what {
        pipelines.push(match source(what) {
            Some(source) => of_source(settings, source?, arguments.sha256.clone())?,
            None => {
                let Loaded { pipeline, warnings: _ } = open::pipeline(settings, Path::new(what))?;
                pipeline
            }
        });
    }
    if arguments.sha256.is_some() && (arguments.what.len() != 1 || source(&arguments.what[0]).is_none()) {
        failure("`--sha256` is for one source", Some("write `sha256:` in the pipeline, or pull one source at a time"));
        return Err(Exit::BadInput);
    }
    let (mut brought, mut worst) = (Vec::new(), Exit::Ok);
    for pipeline in &pipelines {
        let (records, exit) = pull(settings, arguments, pipeline)?;
        brought.extend(records);
        if exit == Exit::Interrupted {
            return Ok(exit);
        }
        if exit != Exit::Ok {
            worst = exit;
        }
    }
    let shown: Vec<Shown> = brought.into_iter().map(Shown::of_record).collect();
    let written = if arguments.json { print_json(&shown) } else { data(|out| list(out, &shown)) };
    if written { Ok(worst) } else { Err(Exit::Failed) }
}

/// Reads a source; none where the text names a pipeline file.
fn source(text: &str) -> Option<Result<WeightsSource, Exit>> {
    let (scheme, _) = text.split_once(':')?;
    // Of one letter it is a drive, and a file that is there is meant.
    if scheme.len() < 2 || !scheme.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()) {
        return None;
    }
    if Path::new(text).exists() {
        return None;
    }
    Some(text.parse().map_err(|error: crate::spec::SourceError| {
        failure(&format!("this is no source: {error}"), None);
        Exit::BadInput
    }))
}

/// A pipeline that does nothing but bring one file.
fn of_source(settings: &Settings, source: WeightsSource, sha256: Option<String>) -> Result<Pipeline, Exit> {
    if source.has_query() && sha256.is_none() {
        failure("an address with a query needs `--sha256`", Some("state the digest that the file must have"));
        return Err(Exit::BadInput);
    }
    let root = open::project(settings, Path::new("."));
    // Under the name of the source, so that two of them are told apart.
    let file = PathBuf::from(source.without_query().to_string());
    let stage = Stage::Pull(Pull { from: PullFrom::Source(source), sha256 });
    let id = StageId::new("weights").expect("the name is valid");
    Ok(Pipeline {
        name: "pull".to_owned(),
        description: None,
        file,
        root: std::path::absolute(&root).unwrap_or(root),
        models: IndexMap::new(),
        stages: IndexMap::from([(id, stage)]),
        report: ReportFiles::default(),
    })
}

/// The `pull` stages of a pipeline, and those that they read.
fn stages(pipeline: &Pipeline) -> (Vec<StageId>, Vec<StageId>) {
    let is_pull = |stage: &Stage| matches!(stage, Stage::Pull(_));
    let pulls: Vec<StageId> =
        pipeline.stages.iter().filter(|(_, stage)| is_pull(stage)).map(|(id, _)| id.clone()).collect();
    let read = pulls.iter().flat_map(|id| stage::reads(&pipeline.stages[id])).cloned();
    let all = pulls.iter().cloned().chain(read).collect();
    (pulls, all)
}

fn pull(
    settings: &Settings,
    arguments: &Arguments,
    pipeline: &Pipeline,
) -> Result<(Vec<(WeightsRecord, i64)>, Exit), Exit> {
    let (pulls, only) = stages(pipeline);
    if pulls.is_empty() {
        failure(
            &format!("`{}` has no `pull` stage", pipeline.file.display()),
            Some("name a pipeline that pulls weights"),
        );
        return Err(Exit::BadInput);
    }
    let store = Arc::new(open::store(settings, &pipeline.root)?);
    let widest = only.iter().map(|id| id.as_str().len()).max().unwrap_or(0);
    let progress = Progress::new(settings.bars(), widest, None);
    // What is left out of the pipeline is nothing to tell.
    let events = |event: Event<'_>| {
        let is_left_out = matches!(&event, Event::Finished { run } if matches!(run.end, StageEnd::NotSelected));
        if !is_left_out {
            progress.event(&event);
        }
    };
    let limits = Limits {
        memory: settings.free_memory(),
        offline: arguments.offline,
        tries_weights: settings.tries_weights(),
        ..Limits::default()
    };
    let force = if arguments.force { Force::Stages(pulls.clone()) } else { Force::Nothing };
    let ended = until_interrupted(&exec::Run {
        pipeline,
        graph: &Graph::new(pipeline),
        selection: &Selection { only, from: None, force },
        store: &store,
        engines: &Engines::new(limits).with_access(access::access(&settings.environment)),
        now: settings.now,
        refresh: false,
        keep_going: true,
        events: &events,
    });
    let records = records(&store, &pulls, &ended)?;
    Ok((records, exit(&ended)))
}

fn records(store: &Store, pulls: &[StageId], ended: &RunEnd) -> Result<Vec<(WeightsRecord, i64)>, Exit> {
    let mut records = Vec::new();
    for run in ended.stages.iter().filter(|run| pulls.contains(&run.id)) {
        let Some(receipt) = run.receipt() else { continue };
        let bytes = store.read(&receipt.output).map_err(|error| {
            store_failure(&error);
            Exit::Failed
        })?;
        if let Ok(record) = serde_json::from_slice(&bytes) {
            records.push((record, receipt.created_at));
        }
    }
    Ok(records)
}

/// Says what failed and how to go on.
fn exit(ended: &RunEnd) -> Exit {
    let mut exit = Exit::Ok;
    for run in &ended.stages {
        if let StageEnd::Failed(error) = &run.end {
            failure(&format!("{}: {error}", run.id), error.help.as_deref());
            exit = Exit::Failed;
        }
    }
    if ended.interrupted { Exit::Interrupted } else { exit }
}
