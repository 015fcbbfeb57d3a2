//! What the process was given, read once: environment, clock, terminal.

use std::collections::BTreeMap;
use std::io::{IsTerminal, stderr, stdout};
use std::path::{Path, PathBuf};

use tracing_subscriber::EnvFilter;

use super::{ColorChoice, Global, machine};
use crate::engine::embedded;
use crate::spec;

pub(super) struct Settings {
    global: Global,
    /// Variables whose name and value are text.
    pub(super) environment: BTreeMap<String, String>,
    /// Seconds since 1970.
    pub(super) now: i64,
}

impl Settings {
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads environment and clock")]
    pub(super) fn new(global: Global) -> Self {
        let environment: BTreeMap<String, String> = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        // Tests fix the clock, so that two runs of theirs can be compared byte for byte.
        let fixed = environment.get("EVALFLOW_CLOCK").and_then(|text| text.parse().ok());
        let now = fixed.unwrap_or_else(|| {
            let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
            i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
        });
        Self { global, environment, now }
    }

    /// Starts logging to stderr, if it is asked for.
    pub(super) fn start_log(&self) {
        let Some(filter) = &self.global.log else { return };
        let filter = EnvFilter::builder().parse_lossy(filter);
        // Only fails where a logger is set already, which is then as good.
        let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(stderr);
        let started = if self.global.log_json {
            log.json().with_ansi(false).try_init()
        } else {
            log.with_ansi(self.color_stderr()).try_init()
        };
        started.ok();
    }

    /// The root of the project that a pipeline file belongs to.
    pub(super) fn root(&self, file: &Path) -> PathBuf {
        self.global.project.clone().unwrap_or_else(|| spec::project_root(file))
    }

    /// Where the store of a project lies.
    pub(super) fn cache(&self, root: &Path) -> PathBuf {
        root.join(self.global.cache.as_deref().unwrap_or_else(|| Path::new("cache")))
    }

    fn color(&self, terminal: bool) -> bool {
        let set = |name: &str| self.environment.get(name).is_some_and(|value| !value.is_empty());
        match self.global.color {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto if set("NO_COLOR") => false,
            ColorChoice::Auto if set("CLICOLOR_FORCE") => true,
            ColorChoice::Auto => terminal && self.environment.get("TERM").is_none_or(|term| term != "dumb"),
        }
    }

    pub(super) fn color_stdout(&self) -> bool {
        self.color(stdout().is_terminal())
    }

    pub(super) fn color_stderr(&self) -> bool {
        self.color(stderr().is_terminal())
    }

    /// Whether progress may be drawn over itself.
    pub(super) fn bars(&self) -> bool {
        stderr().is_terminal() && self.environment.get("TERM").is_none_or(|term| term != "dumb")
    }

    /// Whether new weights are to make a token before they count as here.
    pub(super) fn tries_weights(&self) -> bool {
        !self.global.untried
    }

    /// Bytes of memory that models on the embedded engine may take, where that is stated or the system tells.
    pub(super) fn free_memory(&self) -> Option<u64> {
        self.stated_memory().or_else(|| machine::memory().free)
    }

    /// Bytes of memory that models may take when nothing else runs: where that is stated, of the graphics processors that this
    /// program computes on, or what the system tells.
    pub(super) fn whole_memory(&self) -> Option<u64> {
        self.stated_memory().or_else(embedded::graphics_memory).or_else(|| machine::memory().total)
    }

    /// The same as [`Self::free_memory`], if it is stated.
    pub(super) fn stated_memory(&self) -> Option<u64> {
        self.global.memory
    }

    /// Columns to write for.
    pub(super) fn width(&self) -> usize {
        let stated = self.environment.get("COLUMNS").and_then(|text| text.parse().ok());
        let (_, columns) = console::Term::stdout().size();
        stated.unwrap_or(usize::from(columns)).clamp(40, 160)
    }
}
