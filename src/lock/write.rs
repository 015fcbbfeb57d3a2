//! From a lock to a file's text: one value a line, always in the same order, so that a diff shows what moved.

use std::fmt::Display;

use super::{
    EngineBuild, Lock, LockedCatalog, LockedComparison, LockedCriterion, LockedDecision, LockedRate, LockedStage,
    LockedWeights, VERSION,
};
use crate::data::Outcome;

/// What every lock begins with.
const MARK: &str = "# Written by `evalflow bless`; not to be edited: `evalflow run --frozen` holds the pipeline to it.";

/// Gathers lines of a nested mapping.
struct Text {
    text: String,
    depth: usize,
}

impl Text {
    fn line(&mut self, name: &str, value: &str) {
        for part in [&"  ".repeat(self.depth), &scalar(name), ": ", value, "\n"] {
            self.text.push_str(part);
        }
    }

    fn words(&mut self, name: &str, value: &str) {
        self.line(name, &scalar(value));
    }

    /// A digest is always quoted: some would be numbers.
    fn digest(&mut self, name: &str, value: &str) {
        self.line(name, &quoted(value));
    }

    fn number(&mut self, name: &str, value: impl Display) {
        self.line(name, &value.to_string());
    }

    fn float(&mut self, name: &str, value: f64) {
        // The shortest text that reads back to the same bits.
        self.line(name, &format!("{value:?}"));
    }

    fn optional(&mut self, name: &str, value: Option<impl Display>) {
        match value {
            Some(value) => self.number(name, value),
            None => self.line(name, "null"),
        }
    }

    fn section(&mut self, name: &str, inside: impl FnOnce(&mut Self)) {
        for part in [&"  ".repeat(self.depth), &scalar(name), ":\n"] {
            self.text.push_str(part);
        }
        self.depth += 1;
        inside(self);
        self.depth -= 1;
    }

    /// A section with one entry each; nothing where there is none.
    fn map<'a, K: AsRef<str> + 'a, V: 'a>(
        &mut self,
        name: &str,
        entries: impl IntoIterator<Item = (K, &'a V)>,
        each: impl Fn(&mut Self, &V),
    ) {
        let mut entries = entries.into_iter().peekable();
        if entries.peek().is_some() {
            self.section(name, |text| {
                for (name, entry) in entries {
                    text.section(name.as_ref(), |text| each(text, entry));
                }
            });
        }
    }
}

/// Words that other readers of YAML take for something else than text.
const RESERVED: &[&str] = &["true", "false", "null", "yes", "no", "on", "off", "y", "n"];

/// A text as it is where everybody reads it as text, else in quotes.
fn scalar(text: &str) -> String {
    let is_plain = text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "_-/.".contains(c))
        && !RESERVED.contains(&text.to_ascii_lowercase().as_str());
    if is_plain || is_version(text) { text.to_owned() } else { quoted(text) }
}

/// `0.1.0` is no number to anybody.
fn is_version(text: &str) -> bool {
    let parts: Vec<&str> = text.split('.').collect();
    parts.len() == 3 && parts.iter().all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()))
}

fn quoted(text: &str) -> String {
    use std::fmt::Write;
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            // What YAML allows in quotes and shows as itself; line ends of Unicode would fold.
            ' '..='~' | '\u{a0}'..='\u{2027}' | '\u{202a}'..='\u{d7ff}' | '\u{e000}'..='\u{fefe}' => out.push(c),
            c => write!(out, "\\U{:08x}", u32::from(c)).expect("writing to a string cannot fail"),
        }
    }
    out.push('"');
    out
}

impl Lock {
    /// The text of the lock file.
    #[must_use]
    pub fn write(&self) -> String {
        let Self { pipeline, engine, decision, comparisons, weights, catalogs, stages } = self;
        let EngineBuild { evalflow, llama_cpp, backend } = engine;
        let mut text = Text { text: format!("{MARK}\n"), depth: 0 };
        text.number("evalflow_lock", VERSION);
        text.words("pipeline", pipeline);
        text.section("engine", |text| {
            text.words("evalflow", evalflow);
            text.words("llama_cpp", llama_cpp);
            text.words("backend", backend);
        });
        if let Some(decision) = decision {
            text.section("decision", |text| write_decision(text, decision));
        }
        text.map("comparisons", comparisons.iter().map(|(id, found)| (id.as_str(), found)), write_comparison);
        text.map("weights", weights.iter().map(|(id, weights)| (id.as_str(), weights)), write_weights);
        text.map("catalogs", catalogs.iter().map(|(name, catalog)| (name.as_str(), catalog)), write_catalog);
        text.map("stages", stages.iter().map(|(id, stage)| (id.as_str(), stage)), write_stage);
        text.text
    }
}

fn write_decision(text: &mut Text, decision: &LockedDecision) {
    let LockedDecision { outcome, rate, n, passed, ungraded, invalid, deploy, fine_tune, critical } = decision;
    let LockedRate { point, lo, hi, confidence, method } = rate;
    text.words("outcome", Outcome::as_str(*outcome));
    text.section("pass_rate", |text| write_estimate(text, *point, [lo, hi], *confidence, method));
    text.number("counted", n);
    text.number("passed", passed);
    text.number("ungraded", ungraded);
    text.number("invalid", invalid);
    text.section("thresholds", |text| {
        text.float("deploy", *deploy);
        text.float("fine_tune", *fine_tune);
    });
    let critical = critical.iter().map(|(id, criterion)| (id.as_str(), criterion));
    text.map("critical", critical, |text, LockedCriterion { rate, n }| {
        text.optional("rate", *rate);
        text.number("counted", n);
    });
}

fn write_comparison(text: &mut Text, found: &LockedComparison) {
    let LockedComparison { verdict, gate, point, lo, hi, confidence, method, n } = found;
    text.words("verdict", verdict.as_str());
    text.words("gate", gate.as_str());
    text.section("difference", |text| write_estimate(text, *point, [lo, hi], *confidence, method));
    text.number("counted", n);
}

/// A number with its interval, how sure that is, and how it was had.
fn write_estimate<T: Display>(text: &mut Text, point: Option<T>, ends: [&T; 2], confidence: f64, method: &str) {
    let [lo, hi] = ends;
    text.optional("point", point);
    text.number("lo", lo);
    text.number("hi", hi);
    text.float("confidence", confidence);
    text.words("method", method);
}

fn write_weights(text: &mut Text, LockedWeights { blake3, sha256, bytes }: &LockedWeights) {
    text.digest("blake3", &blake3.to_string());
    text.digest("sha256", sha256);
    text.number("bytes", bytes);
}

fn write_catalog(text: &mut Text, LockedCatalog { rows, fetched }: &LockedCatalog) {
    text.digest("rows", &rows.to_string());
    // Some readers take a day for something else than text.
    text.digest("fetched", fetched);
}

fn write_stage(text: &mut Text, LockedStage { kind, key, output, rows, fields }: &LockedStage) {
    text.words("kind", kind);
    text.digest("key", &key.to_string());
    text.digest("output", &output.to_string());
    if let Some(rows) = rows {
        text.number("rows", rows);
    }
    if !fields.is_empty() {
        text.section("fields", |text| {
            for (name, digest) in fields {
                text.digest(name, digest);
            }
        });
    }
}
