//! The command line: one file a command. The only place that knows stdout and stderr, the environment, the working
//! directory, `miette` and exit codes. Holds no logic of its own. Start at [`main`].

mod access;
mod account;
mod baseline;
mod bless;
mod cache;
mod doctor;
mod ended;
mod exit;
mod fetched;
mod figures;
mod freeze;
mod gc;
mod git;
mod history;
mod label;
mod machine;
mod models;
mod open;
mod output;
mod plan;
mod problems;
mod progress;
mod pull;
mod record;
mod research;
mod run;
mod selection;
mod settings;
mod status;
mod table;
mod validate;
mod verify;
mod why;
mod write;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};

use self::exit::Exit;
use self::settings::Settings;
use crate::spec;
use crate::stage::generate::PARQUET_READER;

#[derive(Debug, Parser)]
#[command(
    name = "evalflow",
    version,
    about = "Runs LLM evaluations written down as code: a cached graph of stages, with llama.cpp inside",
    after_help = exit::HELP,
    max_term_width = 100
)]
struct Arguments {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Args)]
struct Global {
    /// Directory of the store, relative to the project's root [default: cache]
    #[arg(long, global = true, value_name = "DIR", env = "EVALFLOW_CACHE")]
    cache: Option<PathBuf>,
    /// The project's root, where relative paths of a pipeline start [default: the nearest parent of the file with
    /// `pipelines` or `.git` in it]
    #[arg(long, global = true, value_name = "DIR")]
    project: Option<PathBuf>,
    /// Memory that models on the embedded engine may take, such as `12GiB` [default: what is free]
    #[arg(long, global = true, value_name = "SIZE", env = "EVALFLOW_MEMORY", value_parser = memory)]
    memory: Option<u64>,
    /// Keep new weights without having them make a token first, as for another machine
    #[arg(long, global = true, env = "EVALFLOW_UNTRIED")]
    untried: bool,
    /// When to use colour
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    color: ColorChoice,
    /// What to log to stderr, such as `info` or `evalflow::engine=debug`
    #[arg(long, global = true, value_name = "FILTER", env = "EVALFLOW_LOG")]
    log: Option<String>,
    /// Write the log as JSON, one object a line
    #[arg(long, global = true)]
    log_json: bool,
}

fn memory(text: &str) -> Result<u64, String> {
    spec::bytes(text).ok_or_else(|| "write a number and a unit: `12GiB`, `800MB`".to_owned())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ColorChoice {
    Auto,
    Always,
    Never,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Check pipeline files and everything they name, and show all problems
    Validate(validate::Arguments),
    /// Show for each stage whether its result is there, or why it would run and what that would take
    Plan(plan::Arguments),
    /// Say why a stage, or one of its rows, is computed again: the fields that changed, followed to where they come from
    Why(why::Arguments),
    /// Show the table of candidates of a pipeline's research stage, sorted and filtered as asked
    Research(research::Arguments),
    /// Run a pipeline and write its report
    Run(run::Arguments),
    /// Bring weights into the store: those of a pipeline's `pull` stages, or those that a source names
    Pull(pull::Arguments),
    /// List the weights in the store
    Models(models::Arguments),
    /// Remove from the store what no lock, no recent run and no recent work leads to
    Gc(gc::Arguments),
    /// Look into the store
    #[command(subcommand)]
    Cache(cache::Command),
    /// Write the results that a pipeline's lock names, with everything they rest on, into one file
    ExportBaseline(baseline::ExportArguments),
    /// Bring what `export-baseline` wrote into the project's store
    ImportBaseline(baseline::ImportArguments),
    /// Accept the results of a pipeline: write its lock, to be committed, and show what moved
    Bless(bless::Arguments),
    /// Execute again what a pipeline's lock names, and compare byte for byte
    Verify(verify::Arguments),
    /// Label replies of a run, one key a verdict and without the judge's, or review those behind its decision
    Label(label::Arguments),
    /// Show how pipelines stand: what is cached, the last run, the lock
    Status(status::Arguments),
    /// Show past runs
    History(history::Arguments),
    /// Say what this machine and this build give, how a pipeline's models would be held, and what would stop a run
    Doctor(doctor::Arguments),
}

/// Runs the program with the process's arguments.
#[must_use]
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let error = selection::with_tip(error, std::env::args());
            // Help and version are asked for and go to stdout; anything else is a mistake.
            let exit = if error.use_stderr() { Exit::BadInput } else { Exit::Ok };
            error.print().ok();
            return exit.into();
        }
    };
    silence_readers();
    let settings = Settings::new(arguments.global);
    settings.start_log();
    let ended = match &arguments.command {
        Command::Validate(arguments) => Ok(validate::execute(&settings, arguments)),
        Command::Plan(arguments) => plan::execute(&settings, arguments),
        Command::Why(arguments) => why::execute(&settings, arguments),
        Command::Research(arguments) => research::execute(&settings, arguments),
        Command::Run(arguments) => run::execute(&settings, arguments),
        Command::Pull(arguments) => pull::execute(&settings, arguments),
        Command::Models(arguments) => models::execute(&settings, arguments),
        Command::Gc(arguments) => gc::execute(&settings, arguments),
        Command::Cache(command) => cache::execute(&settings, command),
        Command::ExportBaseline(arguments) => baseline::export(&settings, arguments),
        Command::ImportBaseline(arguments) => baseline::import(&settings, arguments),
        Command::Bless(arguments) => bless::execute(&settings, arguments),
        Command::Verify(arguments) => verify::execute(&settings, arguments),
        Command::Label(arguments) => label::execute(&settings, arguments),
        Command::Status(arguments) => status::execute(&settings, arguments),
        Command::History(arguments) => history::execute(&settings, arguments),
        Command::Doctor(arguments) => doctor::execute(&settings, arguments),
    };
    // What stopped a command on its way ends the program like any other end.
    let (Ok(exit) | Err(exit)) = ended;
    exit.into()
}

/// Keeps what a damaged Parquet file makes its reader say off the terminal: it might repeat what is in the file, and whoever
/// waits for the reader tells what is wrong.
fn silence_readers() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if std::thread::current().name() != Some(PARQUET_READER) {
            usual(panic);
        }
    }));
}
