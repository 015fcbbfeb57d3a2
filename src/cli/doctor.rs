//! `evalflow doctor [PIPELINE]`: what this build and this machine give, and what would not work.
//!
//! Asks no other machine, and names variables of the environment without their values.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::exit::Exit;
use super::output::{data, json as print_json};
use super::settings::Settings;
use super::{figures, git, open};
use crate::engine::embedded;
use crate::fetch::Size;
use crate::plan::{self, Graph, Turn};
use crate::spec::{Loaded, Pipeline};
use crate::store::{self, Store};

/// What says how connections leave this machine.
const NETWORK: &[&str] = &["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR"];

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Pipeline file, for the models that it loads [default: the machine alone]
    #[arg(value_name = "PIPELINE")]
    file: Option<PathBuf>,
    /// Print what was found as JSON
    #[arg(long)]
    json: bool,
}

/// How a thing stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Good,
    /// It works, and could be better.
    Note,
    Bad,
}

/// One thing that was looked at.
struct Finding {
    name: &'static str,
    state: State,
    text: String,
    help: Option<String>,
    /// The same for scripts.
    value: Value,
}

impl Finding {
    fn good(name: &'static str, text: impl Into<String>, value: Value) -> Self {
        Self { name, state: State::Good, text: text.into(), help: None, value }
    }

    fn but(self, state: State, help: impl Into<String>) -> Self {
        Self { state, help: Some(help.into()), ..self }
    }
}

pub(super) fn execute(settings: &Settings, arguments: &Arguments) -> Result<Exit, Exit> {
    let pipeline = match &arguments.file {
        None => None,
        Some(file) => {
            let Loaded { pipeline, warnings: _ } = open::locked_pipeline(settings, file)?;
            Some(pipeline)
        }
    };
    let root = pipeline.as_ref().map_or_else(|| open::project(settings, Path::new(".")), |found| found.root.clone());
    let free = settings.free_memory();
    let mut findings = vec![
        Finding::good("evalflow", env!("CARGO_PKG_VERSION"), json!(env!("CARGO_PKG_VERSION"))),
        engine(),
        processor(),
        threads(),
        memory(free),
        gpu(),
    ];
    let (found, store) = look_at_store(&settings.cache(&root));
    findings.push(found);
    findings.push(git());
    findings.push(network(settings));
    let mut turns = Vec::new();
    if let Some(pipeline) = &pipeline {
        let (finding, found) = models(pipeline, store.as_ref(), free);
        findings.push(finding);
        turns = found;
    }
    let written = if arguments.json {
        print_json(&to_json(&findings, &turns))
    } else {
        data(|out| write(out, &findings, &turns))
    };
    let is_well = written && findings.iter().all(|finding| finding.state != State::Bad);
    Ok(if is_well { Exit::Ok } else { Exit::Failed })
}

fn engine() -> Finding {
    let build = embedded::build();
    if cfg!(feature = "llama") {
        return Finding::good("engine", build.clone(), json!({ "compiled_in": true, "build": build }));
    }
    let value = json!({ "compiled_in": false, "build": null });
    Finding::good("engine", "not compiled in: only servers can be asked", value)
        .but(State::Note, "build with the default features")
}

fn processor() -> Finding {
    let embedded::Extensions { used, missing, unused } = embedded::extensions();
    let value = json!({ "used": used, "missing": missing, "unused": unused });
    if !missing.is_empty() {
        let text = format!("lacks {}, which this build needs", missing.join(", "));
        let help = "build it here with `make build`, or with `EVALFLOW_PORTABLE=1 make build` for any machine";
        return Finding::good("processor", text, value).but(State::Bad, help);
    }
    if !unused.is_empty() {
        let text = format!("has {} beside what this build uses", unused.join(", "));
        return Finding::good("processor", text, value)
            .but(State::Note, "build it here with `make build`: the embedded engine becomes faster");
    }
    Finding::good("processor", std::env::consts::ARCH, value)
}

fn threads() -> Finding {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    Finding::good("threads", threads.to_string(), json!(threads))
}

fn memory(free: Option<u64>) -> Finding {
    let text = free.map_or_else(|| "not known how much is free".to_owned(), |free| format!("{} free", Size(free)));
    Finding::good("memory", text, json!({ "free_bytes": free }))
}

fn gpu() -> Finding {
    let backends: Vec<&str> = [
        ("cuda", cfg!(feature = "cuda")),
        ("metal", cfg!(any(feature = "metal", all(target_os = "macos", target_arch = "aarch64", feature = "llama")))),
        ("vulkan", cfg!(feature = "vulkan")),
    ]
    .into_iter()
    .filter_map(|(name, is_in)| is_in.then_some(name))
    .collect();
    let text = if backends.is_empty() { "none in this build".to_owned() } else { backends.join(", ") };
    Finding::good("gpu", text, json!(backends))
}

/// The store, if there is one that can be used.
fn look_at_store(directory: &Path) -> (Finding, Option<Store>) {
    let shown = directory.display();
    if !directory.join("index.sqlite").exists() {
        let value = json!({ "path": directory, "exists": false });
        // The first directory that is there is where the store would be made.
        let parent = directory.ancestors().find(|parent| parent.exists()).unwrap_or_else(|| Path::new("."));
        let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
        let finding = Finding::good("store", format!("{shown}, not there yet: the first run makes it"), value);
        return (not_writable(parent).map_or(finding, |finding| finding), None);
    }
    let opened = Store::open(directory).and_then(|store| store.usage().map(|usage| (store, usage.total_bytes())));
    match opened {
        Err(error) => {
            let value = json!({ "path": directory, "exists": true, "error": error.to_string() });
            (Finding::good("store", format!("{shown}: {error}"), value).but(State::Bad, error.help()), None)
        }
        Ok((store, bytes)) => {
            let value = json!({ "path": directory, "exists": true, "bytes": bytes, "format": store::FORMAT });
            let text = format!("{shown}, {}, format {}", Size(bytes), store::FORMAT);
            let finding = Finding::good("store", text, value);
            (not_writable(directory).map_or(finding, |finding| finding), Some(store))
        }
    }
}

fn not_writable(directory: &Path) -> Option<Finding> {
    let error = tempfile::tempfile_in(directory).err()?;
    let value = json!({ "path": directory, "exists": true, "error": error.to_string() });
    let text = format!("`{}` cannot be written: {error}", directory.display());
    Some(
        Finding::good("store", text, value)
            .but(State::Bad, "see who may write there, or name another place with `--cache DIR`"),
    )
}

fn git() -> Finding {
    match git::version() {
        Some(version) => Finding::good("git", version.clone(), json!(version)),
        None => Finding::good("git", "not found", Value::Null)
            .but(State::Note, "install it to have the commit in the records of runs"),
    }
}

fn network(settings: &Settings) -> Finding {
    let is_set = |name: &&str| settings.environment.get(*name).is_some_and(|value| !value.is_empty());
    let lower: Vec<String> = NETWORK.iter().map(|name| name.to_ascii_lowercase()).collect();
    let names: Vec<&str> =
        NETWORK.iter().copied().chain(lower.iter().map(String::as_str)).filter(|name| is_set(name)).collect();
    let text = match names.as_slice() {
        [] => "no proxy is named".to_owned(),
        names => format!("set: {}", names.join(", ")),
    };
    Finding::good("network", text, json!({ "variables": names }))
}

/// The embedded models of a pipeline and how they would be held.
fn models(pipeline: &Pipeline, store: Option<&Store>, free: Option<u64>) -> (Finding, Vec<Turn>) {
    let graph = Graph::new(pipeline);
    let asked = pipeline.stages.values().any(|stage| plan::Slot::of(stage).is_some());
    if !asked {
        return (Finding::good("models", "none on the embedded engine", json!([])), Vec::new());
    }
    if !cfg!(feature = "llama") {
        let finding =
            Finding::good("models", "the pipeline asks the embedded engine, which is not compiled in", json!([]));
        return (finding.but(State::Bad, "build with the default features"), Vec::new());
    }
    let Some(store) = store else {
        let finding = Finding::good("models", "not known before there is a store", json!([]));
        return (finding.but(State::Note, "run the stages that pull weights: `evalflow run --only …`"), Vec::new());
    };
    match plan::plan(pipeline, &graph, store).and_then(|planned| plan::held(pipeline, &planned, store, free)) {
        Err(error) => {
            let finding = Finding::good("models", error.to_string(), json!([]));
            (finding.but(State::Bad, error.help()), Vec::new())
        }
        Ok(turns) => {
            let is_short = turns.iter().any(|turn| turn.shortage.is_some());
            let finding = Finding::good("models", format!("{} on the embedded engine", turns.len()), json!(turns));
            let help = "write a shorter `context`, or pull weights with a smaller quantisation";
            (if is_short { finding.but(State::Bad, help) } else { finding }, turns)
        }
    }
}

fn write(out: &mut dyn Write, findings: &[Finding], turns: &[Turn]) -> io::Result<()> {
    for Finding { name, state, text, help, value: _ } in findings {
        let mark = match state {
            State::Good => '✓',
            State::Note => '!',
            State::Bad => '✗',
        };
        writeln!(out, "{mark} {name:9}  {text}")?;
        if let Some(help) = help {
            writeln!(out, "             help: {help}")?;
        }
    }
    for turn in turns {
        writeln!(out, "             {}", figures::turn(turn))?;
    }
    Ok(())
}

fn to_json(findings: &[Finding], turns: &[Turn]) -> Value {
    let mut found = serde_json::Map::new();
    let mut problems = Vec::new();
    for Finding { name, state, text, help, value } in findings {
        found.insert((*name).to_owned(), value.clone());
        if *state != State::Good {
            problems.push(json!({ "about": name, "is_error": *state == State::Bad, "message": text, "help": help }));
        }
    }
    found.insert("models".to_owned(), json!(turns));
    found.insert("problems".to_owned(), json!(problems));
    Value::Object(found)
}
