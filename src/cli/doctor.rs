//! `evalflow doctor [PIPELINE]`: what this machine and this build give, how a pipeline's models on the embedded engine would
//! be held and why so, and what would stop a run.
//!
//! Asks no other machine, and names variables of the environment without their values.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::exit::Exit;
use super::output::{data, json as print_json};
use super::settings::Settings;
use super::{figures, git, machine, open};
use crate::engine::embedded;
use crate::engine::memory::{Fit, Limit};
use crate::fetch::{self, Size};
use crate::plan::{self, Graph, Turn};
use crate::spec::{Loaded, Pipeline};
use crate::store::{self, Store};

/// What says how connections leave this machine.
const NETWORK: &[&str] = &["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR"];

/// Less room than this on the disk stops a run soon.
const LEAST_DISK: u64 = 100_000_000;

/// Less room than this on the disk is less than most weights take.
const LITTLE_DISK: u64 = 2_000_000_000;

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
    /// A run would stop.
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
    let directory = settings.cache(&root);
    let asks_here = pipeline.as_ref().is_some_and(asks_embedded);
    let free = settings.free_memory();
    let (store_finding, store) = look_at_store(&directory);
    let mut findings = vec![
        Finding::good("evalflow", env!("CARGO_PKG_VERSION"), json!(env!("CARGO_PKG_VERSION"))),
        engine(asks_here),
        processor(),
        accelerators(),
        cores(),
        memory(settings),
        store_finding,
        disk(&directory),
        git(),
        network(settings),
    ];
    let mut turns = Vec::new();
    if let Some(pipeline) = &pipeline {
        let (finding, found) = models(pipeline, store.as_ref(), free);
        findings.push(finding);
        turns = found;
    }
    let shown = Shown { findings: &findings, turns: &turns, free, color: settings.color_stdout() };
    let written = if arguments.json { print_json(&shown.to_json()) } else { data(|out| shown.write(out)) };
    if !written {
        return Err(Exit::Failed);
    }
    Ok(if shown.count(State::Bad) == 0 { Exit::Ok } else { Exit::Broken })
}

/// Whether a stage puts calls to a model in this process.
fn asks_embedded(pipeline: &Pipeline) -> bool {
    pipeline.stages.values().any(|stage| plan::Slot::of(stage).next().is_some())
}

fn engine(is_needed: bool) -> Finding {
    let (version, backend) = embedded::parts();
    let is_there = cfg!(feature = "llama");
    let value = json!({ "compiled_in": is_there, "version": version, "backend": backend });
    if is_there {
        return Finding::good("engine", format!("{version}, computes on {backend}"), value);
    }
    let state = if is_needed { State::Bad } else { State::Note };
    Finding::good("engine", "none inside: only servers can be asked", value)
        .but(state, "build with the default features to have llama.cpp inside")
}

fn processor() -> Finding {
    let embedded::Extensions { compiled, missing, unused } = embedded::extensions();
    let used: Vec<&str> = compiled.iter().copied().filter(|name| !missing.contains(name)).collect();
    let architecture = std::env::consts::ARCH;
    let value = json!({
        "architecture": architecture, "compiled": compiled, "used": used, "missing": missing, "unused": unused,
    });
    if !missing.is_empty() {
        let text = format!("{architecture} without {}, which this build needs", missing.join(", "));
        let help = "build it here with `make build`, or with `EVALFLOW_PORTABLE=1 make build` for any machine";
        return Finding::good("processor", text, value).but(State::Bad, help);
    }
    let with = if used.is_empty() { String::new() } else { format!(", uses {}", used.join(", ")) };
    if !unused.is_empty() {
        let text = format!("{architecture}{with}, but not {}", unused.join(", "));
        return Finding::good("processor", text, value)
            .but(State::Note, "build it here with `make build`: the embedded engine becomes faster");
    }
    Finding::good("processor", format!("{architecture}{with}"), value)
}

fn accelerators() -> Finding {
    let backends: Vec<&str> = [
        ("cuda", cfg!(feature = "cuda")),
        ("metal", cfg!(any(feature = "metal", all(target_os = "macos", target_arch = "aarch64", feature = "llama")))),
        ("vulkan", cfg!(feature = "vulkan")),
    ]
    .into_iter()
    .filter_map(|(name, is_in)| is_in.then_some(name))
    .collect();
    let text = if backends.is_empty() { "none in this build".to_owned() } else { backends.join(", ") };
    Finding::good("accelerators", text, json!(backends))
}

fn cores() -> Finding {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    Finding::good("cores", cores.to_string(), json!(cores))
}

fn memory(settings: &Settings) -> Finding {
    let machine::Memory { total, free } = machine::memory();
    let stated = settings.stated_memory();
    let value = json!({ "total_bytes": total, "free_bytes": free, "stated_bytes": stated });
    let free = match (free, total) {
        (Some(free), Some(total)) => format!("{} of {} free", Size(free), Size(total)),
        (Some(free), None) => format!("{} free", Size(free)),
        (None, _) => "not known how much is free".to_owned(),
    };
    let stated = stated.map(|stated| format!(", models may take {}", Size(stated))).unwrap_or_default();
    Finding::good("memory", format!("{free}{stated}"), value)
}

/// The store, if there is one that can be used.
fn look_at_store(directory: &Path) -> (Finding, Option<Store>) {
    let shown = directory.display();
    if !directory.join("index.sqlite").exists() {
        let value = json!({ "path": directory, "exists": false });
        let finding = Finding::good("store", format!("{shown}, not there yet: the first run makes it"), value);
        return (not_writable(there(directory)).unwrap_or(finding), None);
    }
    let opened = Store::open(directory).and_then(|store| store.usage().map(|usage| (store, usage.total_bytes())));
    match opened {
        Err(error) => {
            let value = json!({ "path": directory, "exists": true, "error": error.to_string() });
            (Finding::good("store", error.to_string(), value).but(State::Bad, error.help()), None)
        }
        Ok((store, bytes)) => {
            let value = json!({ "path": directory, "exists": true, "bytes": bytes, "format": store::FORMAT });
            let text = format!("{shown}, {}, index of format {}", Size(bytes), store::FORMAT);
            (not_writable(directory).unwrap_or_else(|| Finding::good("store", text, value)), Some(store))
        }
    }
}

/// The first directory on the way up that is there: where a store would be made.
fn there(directory: &Path) -> &Path {
    let found = directory.ancestors().find(|parent| parent.exists()).unwrap_or_else(|| Path::new("."));
    if found.as_os_str().is_empty() { Path::new(".") } else { found }
}

fn not_writable(directory: &Path) -> Option<Finding> {
    let error = tempfile::tempfile_in(directory).err()?;
    let value = json!({ "path": directory, "exists": true, "error": error.to_string() });
    let text = format!("`{}` cannot be written: {error}", directory.display());
    let help = "see who may write there, or name another place with `--cache DIR`";
    Some(Finding::good("store", text, value).but(State::Bad, help))
}

fn disk(directory: &Path) -> Finding {
    let free = fetch::free_space(there(directory));
    let value = json!({ "free_bytes": free });
    let Some(free) = free else { return Finding::good("disk", "not known how much is free", value) };
    let finding = Finding::good("disk", format!("{} free for the store", Size(free)), value);
    let help = "make room, or name another place with `--cache DIR`; `evalflow gc` shows what the store can do without";
    match free {
        ..LEAST_DISK => finding.but(State::Bad, help),
        LEAST_DISK..LITTLE_DISK => finding.but(State::Note, help),
        LITTLE_DISK.. => finding,
    }
}

fn git() -> Finding {
    match git::version() {
        Some(version) => Finding::good("git", version.clone(), json!(version)),
        None => Finding::good("git", "not found", Value::Null)
            .but(State::Note, "install it to have the commit in the records of runs"),
    }
}

fn network(settings: &Settings) -> Finding {
    let is_set = |name: &String| settings.environment.get(name).is_some_and(|value| !value.is_empty());
    let upper = NETWORK.iter().map(|name| (*name).to_owned());
    let lower = NETWORK.iter().map(|name| name.to_ascii_lowercase());
    let names: Vec<String> = upper.chain(lower).filter(is_set).collect();
    let text = if names.is_empty() { "no proxy is named".to_owned() } else { format!("set: {}", names.join(", ")) };
    Finding::good("network", text, json!({ "variables": names }))
}

/// The embedded models of a pipeline and how they would be held.
fn models(pipeline: &Pipeline, store: Option<&Store>, free: Option<u64>) -> (Finding, Vec<Turn>) {
    let finding = |text: &str| Finding::good("models", text, Value::Null);
    if !asks_embedded(pipeline) {
        return (finding("none on the embedded engine"), Vec::new());
    }
    let file = pipeline.file.display();
    // A store that is not there yet knows as much as one in an empty directory, which goes with the program's end.
    let empty = tempfile::tempdir().ok();
    let opened = empty.as_ref().filter(|_| store.is_none()).and_then(|empty| Store::open(empty.path()).ok());
    let Some(store) = store.or(opened.as_ref()) else {
        return (finding("not known without a store").but(State::Note, "see to the store first"), Vec::new());
    };
    let turns = match turns(pipeline, store, free) {
        Ok(turns) => turns,
        Err((message, help)) => return (finding(&message).but(State::Bad, help), Vec::new()),
    };
    let short = turns.iter().find_map(|turn| Some((turn, turn.shortage.as_ref()?, turn.help.clone()?)));
    if let Some((turn, shortage, help)) = short {
        return (finding(&format!("`{}`: {shortage}", turn.model)).but(State::Bad, help), turns);
    }
    let number = crate::stats::text::count(turns.len() as u64, "model");
    let finding = finding(&format!("{number} on the embedded engine"));
    let is_away = turns.iter().any(|turn| turn.fit.is_none());
    let help =
        format!("bring the weights to see how they would be held: `evalflow run {file}`, or `--only` their stages");
    (if is_away { finding.but(State::Note, help) } else { finding }, turns)
}

/// How the models would be held; or what went wrong, and the way on.
fn turns(pipeline: &Pipeline, store: &Store, free: Option<u64>) -> Result<Vec<Turn>, (String, String)> {
    // Whether a backup can be held is worth knowing before it is due, so all of the pipeline is looked at.
    let planned =
        plan::plan(pipeline, &Graph::new(pipeline), store).map_err(|error| (error.to_string(), error.help()))?;
    let forecast = plan::forecast(pipeline, &planned, store).map_err(|error| (error.to_string(), error.help()))?;
    plan::held(pipeline, &planned, &forecast, store, free).map_err(|error| (error.to_string(), error.help()))
}

struct Shown<'a> {
    findings: &'a [Finding],
    turns: &'a [Turn],
    free: Option<u64>,
    color: bool,
}

impl Shown<'_> {
    fn count(&self, state: State) -> usize {
        self.findings.iter().filter(|finding| finding.state == state).count()
    }

    fn paint(&self, text: &str, code: &str) -> String {
        if self.color { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }

    fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let widest = self.findings.iter().map(|finding| finding.name.len()).max().unwrap_or(0);
        for Finding { name, state, text, help, value: _ } in self.findings {
            let mark = match state {
                State::Good => self.paint("✓", "32"),
                State::Note => self.paint("!", "33"),
                State::Bad => self.paint("✗", "31;1"),
            };
            writeln!(out, "{mark} {name:widest$}  {text}")?;
            if let Some(help) = help {
                writeln!(out, "  {:widest$}  {}", "", self.paint(&format!("help: {help}"), "2"))?;
            }
        }
        for turn in self.turns {
            self.write_turn(out, turn)?;
        }
        let also = |number: usize, what: &str| if number > 0 { format!(", {number} {what}") } else { String::new() };
        let notes = also(self.count(State::Note), "could be better");
        match self.count(State::Bad) {
            0 => writeln!(out, "\nnothing would stop a run{notes}"),
            1 => writeln!(out, "\n{}{notes}", self.paint("1 thing would stop a run", "31;1")),
            bad => writeln!(out, "\n{}{notes}", self.paint(&format!("{bad} things would stop a run"), "31;1")),
        }
    }

    fn write_turn(&self, out: &mut dyn Write, turn: &Turn) -> io::Result<()> {
        writeln!(out, "\n{} for {}", self.paint(&turn.model, "1"), figures::names(&turn.stages))?;
        let Some(fit) = &turn.fit else {
            let why = turn.shortage.as_deref().unwrap_or("not known before its weights are here");
            return writeln!(out, "    {why}");
        };
        let Fit { sequences, sequences_limit, context, context_limit, weights, cache, compute, total } = *fit;
        writeln!(out, "    {sequences:>6} sequences at once: {}", why_sequences(sequences_limit))?;
        writeln!(out, "    {context:>6} tokens each: {}", why_context(context_limit))?;
        let of = self.free.map(|free| format!(" of {}", Size(free))).unwrap_or_default();
        let (weights, cache, compute) = (Size(weights), Size(cache), Size(compute));
        writeln!(
            out,
            "    {}{of}: weights {weights}, cache {cache}, to compute in {compute}, and some to spare",
            Size(total)
        )
    }

    fn to_json(&self) -> Value {
        let mut found = serde_json::Map::new();
        let mut problems = Vec::new();
        for Finding { name, state, text, help, value } in self.findings {
            found.insert((*name).to_owned(), value.clone());
            let severity = match state {
                State::Good => continue,
                State::Note => "warning",
                State::Bad => "error",
            };
            problems.push(json!({ "about": name, "severity": severity, "message": text, "help": help }));
        }
        found.insert("models".to_owned(), json!(self.turns));
        found.insert("problems".to_owned(), json!(problems));
        Value::Object(found)
    }
}

/// Why no more replies are computed at once.
fn why_sequences(limit: Limit) -> &'static str {
    match limit {
        Limit::Pipeline => "as the pipeline says",
        Limit::Usual => "more are not worth it on this machine",
        Limit::Requests => "no more is asked",
        Limit::Memory => "no more fit into memory",
        Limit::Model => "the model bears no more",
    }
}

/// Why a prompt and its reply may not be longer.
fn why_context(limit: Limit) -> &'static str {
    match limit {
        Limit::Pipeline => "as the pipeline says",
        Limit::Usual => "the usual, `context` in the pipeline gives more",
        Limit::Model => "what the model was trained for",
        Limit::Memory => "longer ones do not fit into memory",
        Limit::Requests => "no more is asked",
    }
}
