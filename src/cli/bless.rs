//! `evalflow bless FILE`

use std::io::{self, Write};
use std::path::PathBuf;

use serde_json::{Value, json};

use super::exit::Exit;
use super::open;
use super::output::{data, failure, json as print_json, say};
use super::progress::mark;
use super::settings::Settings;
use super::write;
use crate::exec::Cause;
use crate::lock::{
    self, Gap, Lock, LockedComparison, LockedDecision, LockedRate, LockedStage, LockedWeights, Move, Share,
};
use crate::plan::{self, BlessError, Graph, LockState, Selection, Status};
use crate::spec::{Loaded, Pipeline};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Pipeline file
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Write nothing; exit with 1 if the lock is not up to date
    #[arg(long)]
    check: bool,
    /// Print what moved as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn execute(settings: &Settings, arguments: &Arguments) -> Result<Exit, Exit> {
    if arguments.check { check(settings, arguments) } else { bless(settings, arguments) }
}

fn bless(settings: &Settings, arguments: &Arguments) -> Result<Exit, Exit> {
    let Loaded { pipeline, warnings: _ } = open::pipeline(settings, &arguments.file)?;
    let path = open::lock_path(&pipeline);
    // One that cannot be read, such as after a merge with conflicts, is what is put right here.
    let old = fs_err::read_to_string(&path).ok().map(|text| Lock::read(&text));
    if let Some(Err(error)) = &old {
        say(&format!("the old lock cannot be compared: {error}"));
    }
    let old = old.and_then(Result::ok);
    let store = open::store(settings, &pipeline.root)?;
    let due = plan::course(&pipeline, &store, &Selection::default()).pipeline;
    let new = plan::bless(&due, &Graph::new(&due), &store).map_err(|error| told(&error))?;
    let moved = old.as_ref().is_none_or(|old| !new.same_results(old));
    if moved {
        write::replace(&path, new.write().as_bytes()).map_err(|error| {
            failure(&format!("the lock cannot be written: {error}"), Some("see that its directory is writable"));
            Exit::Failed
        })?;
    }
    let state = match (&old, moved) {
        (None, _) => "written",
        (Some(_), true) => "rewritten",
        (Some(_), false) => "up to date",
    };
    show(arguments, &pipeline, state, old.as_ref(), &new)
}

/// Says why nothing can be blessed.
fn told(error: &BlessError) -> Exit {
    if let BlessError::NotRun { stages } = error {
        for stage in stages {
            if let Status::Run(reason) = &stage.status {
                say(&format!("{} {}  {reason}", mark(Cause::of(reason)), stage.id));
            }
        }
    }
    failure(&error.to_string(), Some(&error.help()));
    Exit::Failed
}

fn check(settings: &Settings, arguments: &Arguments) -> Result<Exit, Exit> {
    let Loaded { pipeline, warnings: _ } = open::locked_pipeline(settings, &arguments.file)?;
    let lock = open::lock_needed(&pipeline)?;
    let store = open::store(settings, &pipeline.root)?;
    let pipeline = plan::locked_course(&pipeline, &lock).pipeline;
    let graph = Graph::new(&pipeline);
    match plan::lock_state(&pipeline, &graph, &store, &lock) {
        Ok(LockState::UpToDate) => show(arguments, &pipeline, "up to date", Some(&lock), &lock),
        Ok(LockState::Unread) => show(arguments, &pipeline, "up to date, its results are not here", Some(&lock), &lock),
        Ok(LockState::Edited(new)) => {
            show(arguments, &pipeline, "not what its results say", Some(&lock), &new)?;
            Err(Exit::Failed)
        }
        Err(error) => {
            if arguments.json {
                let shown = json!({
                    "lock": lock::path(&pipeline.file), "state": "not up to date", "reason": error.to_string(),
                    "moves": [],
                });
                print(&shown)?;
            }
            failure(&error.to_string(), Some(&error.help()));
            Err(Exit::Failed)
        }
    }
}

fn show(arguments: &Arguments, pipeline: &Pipeline, state: &str, old: Option<&Lock>, new: &Lock) -> Result<Exit, Exit> {
    let path = lock::path(&pipeline.file);
    let moves = old.map(|old| new.moves_since(old)).unwrap_or_default();
    if arguments.json {
        let moves: Vec<Value> = moves.iter().map(to_json).collect();
        return print(&json!({ "lock": path, "state": state, "moves": moves }));
    }
    let written = data(|out| {
        writeln!(out, "{}: {state}", path.display())?;
        if let (None, Some(decision)) = (old, &new.decision) {
            writeln!(out, "  {} at {}", decision.outcome.as_str(), rate(decision))?;
        }
        if old.is_none() {
            let mut all = new.comparisons.iter();
            all.try_for_each(|(stage, found)| writeln!(out, "  {stage}: {}", compared(found)))?;
        }
        moves.iter().try_for_each(|moved| write_move(out, moved))
    });
    if written { Ok(Exit::Ok) } else { Err(Exit::Failed) }
}

fn print(value: &Value) -> Result<Exit, Exit> {
    if print_json(value) { Ok(Exit::Ok) } else { Err(Exit::Failed) }
}

/// `80.00 % [37.55, 96.38], 4 of 5`: all the digits that a lock keeps, so that none is rounded twice.
pub(super) fn rate(decision: &LockedDecision) -> String {
    let LockedDecision { rate: LockedRate { point, lo, hi, .. }, n, passed, .. } = decision;
    let Some(point) = point else { return "no valid scenario".to_owned() };
    let [point, lo, hi] = [*point, *lo, *hi].map(|share| format!("{:.2}", share.get() * 100.0));
    format!("{point} % [{lo}, {hi}], {passed} of {n}")
}

/// `improved, gate passed, +7.50 points [3.11, 11.89] over 200 rows`
fn compared(found: &LockedComparison) -> String {
    let LockedComparison { verdict, gate, point, lo, hi, confidence: _, method: _, n } = found;
    let [lo, hi] = [lo, hi].map(|end| format!("{:.2}", end.get() * 100.0));
    let shown = match point {
        Some(point) => format!("{:+.2} points [{lo}, {hi}] over {n} rows", point.get() * 100.0),
        None => "nothing to compare".to_owned(),
    };
    format!("{}, gate {}, {shown}", verdict.as_str(), gate.as_str())
}

fn write_move(out: &mut dyn Write, moved: &Move) -> io::Result<()> {
    match moved {
        Move::Decision { old, new } => {
            let outcome = |decision: &Option<LockedDecision>| {
                decision.as_ref().map_or("nothing", |decision| decision.outcome.as_str())
            };
            let shown = |decision: &Option<LockedDecision>| decision.as_ref().map_or_else(|| "none".to_owned(), rate);
            let outcomes = if outcome(old) == outcome(new) {
                format!("{} as before", outcome(new))
            } else {
                format!("{} → {}", outcome(old), outcome(new))
            };
            writeln!(out, "  outcome {outcomes}")?;
            if shown(old) != shown(new) {
                writeln!(out, "  pass rate {} → {}", shown(old), shown(new))?;
            }
            Ok(())
        }
        Move::Comparison { stage, old, new } => {
            let shown = |found: &Option<LockedComparison>| found.as_ref().map_or_else(|| "none".to_owned(), compared);
            writeln!(out, "  {stage}: {} → {}", shown(old), shown(new))
        }
        Move::Weights { stage, old, new } => {
            let shown = |weights: &Option<LockedWeights>| {
                weights.as_ref().map_or_else(|| "none".to_owned(), |weights| weights.blake3.short())
            };
            writeln!(out, "  {stage}: weights {} → {}", shown(old), shown(new))
        }
        Move::Stage { stage, old: None, .. } => writeln!(out, "  {stage}: new"),
        Move::Stage { stage, new: None, .. } => writeln!(out, "  {stage}: gone"),
        Move::Stage { stage, old: Some(old), new: Some(new) } => {
            writeln!(out, "  {stage}: {}", stage_moves(old, new).join(", "))
        }
    }
}

fn stage_moves(old: &LockedStage, new: &LockedStage) -> Vec<String> {
    let mut parts = Vec::new();
    let fields = old.fields_moved(new);
    if !fields.is_empty() {
        let names: Vec<String> = fields.iter().map(|name| format!("`{name}`")).collect();
        parts.push(format!("{} changed", names.join(", ")));
    }
    if old.output == new.output {
        parts.push("same output".to_owned());
    } else {
        parts.push(format!("output {} → {}", old.output.short(), new.output.short()));
    }
    if let (Some(old), Some(new)) = (old.rows, new.rows)
        && old != new
    {
        parts.push(format!("rows {old} → {new}"));
    }
    parts
}

fn to_json(moved: &Move) -> Value {
    match moved {
        Move::Decision { old, new } => json!({
            "what": "decision",
            "old": old.as_ref().map(decision_json), "new": new.as_ref().map(decision_json),
        }),
        Move::Comparison { stage, old, new } => json!({
            "stage": stage, "what": "comparison",
            "old": old.as_ref().map(comparison_json), "new": new.as_ref().map(comparison_json),
        }),
        Move::Weights { stage, old, new } => {
            let weights = |weights: &LockedWeights| json!({ "blake3": weights.blake3, "bytes": weights.bytes });
            json!({
                "stage": stage, "what": "weights",
                "old": old.as_ref().map(weights), "new": new.as_ref().map(weights),
            })
        }
        Move::Stage { stage, old, new } => {
            let fields = match (old, new) {
                (Some(old), Some(new)) => old.fields_moved(new),
                (Some(_), None) | (None, _) => Vec::new(),
            };
            let shown = |stage: &LockedStage| json!({ "kind": stage.kind, "key": stage.key, "output": stage.output, "rows": stage.rows });
            json!({
                "stage": stage, "what": "stage", "fields": fields,
                "old": old.as_ref().map(shown), "new": new.as_ref().map(shown),
            })
        }
    }
}

fn comparison_json(found: &LockedComparison) -> Value {
    let LockedComparison { verdict, gate, point, lo, hi, confidence, method, n } = found;
    json!({
        "verdict": verdict, "gate": gate, "point": point.map(Gap::get), "lo": lo.get(), "hi": hi.get(),
        "confidence": confidence, "method": method, "n": n,
    })
}

/// A decision of a lock for scripts.
pub(super) fn decision_json(decision: &LockedDecision) -> Value {
    let LockedDecision { outcome, rate, n, passed, ungraded, invalid, .. } = decision;
    json!({
        "outcome": outcome, "point": rate.point.map(Share::get), "lo": rate.lo.get(), "hi": rate.hi.get(),
        "confidence": rate.confidence, "n": n, "passed": passed, "ungraded": ungraded, "invalid": invalid,
    })
}
