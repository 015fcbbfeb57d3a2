//! `evalflow history [FILE]`

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::account::dollars;
use super::exit::Exit;
use super::output::{data, duration, failure, json as print_json, say, store_failure};
use super::progress::line;
use super::settings::Settings;
use super::table::Table;
use super::{git, open};
use crate::exec::Entry;
use crate::stats::text::{percents, thousands};
use crate::store::{RunEnded, RunRate, RunRecord};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Pipeline file [default: all of the project]
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// How many runs to show
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..))]
    limit: u64,
    /// Tell again what happened in this run, line by line
    #[arg(long, value_name = "RUN", conflicts_with_all = ["file", "limit", "json"])]
    replay: Option<u64>,
    /// Print all that is known of them as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn execute(settings: &Settings, arguments: &Arguments) -> Result<Exit, Exit> {
    // The file need not be there any more, nor be without problems: its runs are still what they were.
    let root = settings.root(arguments.file.as_deref().unwrap_or_else(|| Path::new("pipelines")));
    let name = arguments.file.as_deref().map(|file| name_in(&root, file));
    if let Some(run) = arguments.replay {
        return replay(settings, &root, run);
    }
    let runs = match open::store_if_there(settings, &root)? {
        None => Vec::new(),
        Some(store) => store.runs(name.as_deref(), arguments.limit).map_err(|error| {
            store_failure(&error);
            Exit::Failed
        })?,
    };
    if runs.is_empty() {
        say("no runs yet");
    }
    let written = if arguments.json {
        let list: Vec<Value> = runs.iter().map(to_json).collect();
        print_json(&list)
    } else if runs.is_empty() {
        true
    } else {
        let table = table(&runs, arguments.file.is_none());
        data(|out| table.write(out))
    };
    if written { Ok(Exit::Ok) } else { Err(Exit::Failed) }
}

/// Tells a run's journal as the run told it, each line with its time since the start.
fn replay(settings: &Settings, root: &Path, run: u64) -> Result<Exit, Exit> {
    let none = || {
        failure(&format!("there is no journal of run {run}"), Some("see `evalflow history` for the runs there are"));
        Exit::BadInput
    };
    let store = open::store_if_there(settings, root)?.ok_or_else(none)?;
    let text = fs_err::read_to_string(store.journal_path(run)).map_err(|_| none())?;
    // A run that was killed may have left half a line.
    let entries: Vec<Entry> = text.lines().map_while(|line| serde_json::from_str(line).ok()).collect();
    let widest = entries.iter().map(|entry| entry.stage.as_str().len()).max().unwrap_or(0);
    let written = data(|out| {
        entries.iter().try_for_each(|entry| writeln!(out, "{:>9}  {}", duration(entry.at_ms), line(entry, widest)))
    });
    if written { Ok(Exit::Ok) } else { Err(Exit::Failed) }
}

/// The name under which runs of a pipeline file are kept: its path inside of the project.
fn name_in(root: &Path, file: &Path) -> String {
    let whole = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let file_whole = whole(file);
    file_whole.strip_prefix(whole(root)).unwrap_or(file).to_string_lossy().into_owned()
}

fn table(runs: &[RunRecord], with_pipeline: bool) -> Table {
    let mut table = Table::new(&[
        "run",
        "time (UTC)",
        "pipeline",
        "commit",
        "outcome",
        "pass rate",
        "made",
        "cached",
        "cost",
        "took",
        "saved",
        "key",
        "options",
    ]);
    for run in runs {
        table.row(vec![
            run.id.to_string(),
            time(run.started_at),
            if with_pipeline { run.pipeline.clone() } else { String::new() },
            git::short(run.commit.as_deref(), run.dirty),
            outcome(run),
            run.rate.as_ref().map(rate).unwrap_or_default(),
            thousands(run.calls_made),
            thousands(run.calls_cached),
            run.cost.map(dollars).unwrap_or_default(),
            duration(run.wall_ms),
            if run.saved_ms > 0 { duration(run.saved_ms) } else { String::new() },
            // The last stage is what the run was for: equal keys are equal questions.
            run.stages.last().and_then(|stage| stage.key).map(|key| key.short()).unwrap_or_default(),
            run.options.join(" "),
        ]);
    }
    table
}

/// `2026-01-31 14:05`, in UTC whatever the machine's zone: two people who look at one run see one time.
pub(super) fn time(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds).map(|time| time.strftime("%Y-%m-%d %H:%M").to_string()).unwrap_or_default()
}

/// What a run came to, and how it ended where that is not as it should.
pub(super) fn outcome(run: &RunRecord) -> String {
    let ended = match run.ended {
        RunEnded::Finished => None,
        // Killed, or still at it.
        RunEnded::Started => Some("no end noted"),
        RunEnded::Incomplete => Some("incomplete"),
        RunEnded::Failed => Some("failed"),
        RunEnded::Interrupted => Some("interrupted"),
    };
    match (&run.outcome, ended) {
        (Some(outcome), None) => outcome.clone(),
        (Some(outcome), Some(ended)) => format!("{outcome} ({ended})"),
        (None, ended) => ended.unwrap_or("finished").to_owned(),
    }
}

/// `80.0 % [37.6, 96.4]`
pub(super) fn rate(rate: &RunRate) -> String {
    let RunRate { point, lo, hi, confidence: _, n: _ } = rate;
    let Some(point) = point else { return "no valid scenario".to_owned() };
    let [point, lo, hi] = percents([*point, *lo, *hi], &[]);
    format!("{point} % [{lo}, {hi}]")
}

/// All that is known of a run.
pub(super) fn to_json(run: &RunRecord) -> Value {
    let mut value = serde_json::to_value(run).expect("a run is always valid JSON");
    value["id"] = json!(run.id);
    value
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::StageId;
    use crate::key::{Key, Recipe};
    use crate::store::{RunStage, Store};

    fn key() -> Key {
        Recipe::new("decide", 1, json!({})).key()
    }

    fn run(pipeline: &str, started_at: i64, ended: RunEnded) -> RunRecord {
        let finished = ended == RunEnded::Finished;
        let options = if finished { Vec::new() } else { vec!["--limit 5".to_owned()] };
        RunRecord {
            wall_ms: 4_120,
            commit: finished.then(|| "1dfb13a7cbdb13a07cbdb13a07cbdb13a07cbdb1".to_owned()),
            dirty: finished.then_some(true),
            ended,
            exit: u8::from(!finished),
            outcome: finished.then(|| "inconclusive".to_owned()),
            rate: finished.then_some(RunRate { point: Some(0.8), lo: 0.375_53, hi: 0.963_77, confidence: 0.95, n: 5 }),
            calls_made: 1_500,
            saved_ms: if finished { 200_000 } else { 0 },
            stages: vec![RunStage {
                id: StageId::new("decision").unwrap(),
                status: "run".to_owned(),
                key: finished.then(key),
                output: None,
            }],
            ..RunRecord::started(pipeline, started_at, options)
        }
    }

    #[test]
    fn runs_are_a_table_with_the_newest_first() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap();
        store.put_run(&run("pipelines/p.yaml", 1_767_225_600, RunEnded::Finished)).unwrap();
        store.put_run(&run("pipelines/q.yaml", 1_767_229_200, RunEnded::Interrupted)).unwrap();
        let shown = |name: Option<&str>| {
            let mut text = Vec::new();
            table(&store.runs(name, 20).unwrap(), name.is_none()).write(&mut text).unwrap();
            String::from_utf8(text).unwrap()
        };
        insta::assert_snapshot!(shown(None));
        let one = shown(Some("pipelines/p.yaml"));
        assert!(!one.contains("pipelines/") && !one.contains("interrupted"), "{one}");
        let kept = to_json(&store.runs(Some("pipelines/q.yaml"), 1).unwrap()[0]);
        assert_eq!(
            (&kept["id"], &kept["ended"], &kept["options"][0]),
            (&json!(2), &json!("interrupted"), &json!("--limit 5"))
        );
    }

    #[test]
    fn a_pipeline_is_named_from_its_projects_root() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("pipelines/p.yaml");
        assert_eq!(name_in(directory.path(), &file), "pipelines/p.yaml");
        assert_eq!(name_in(&directory.path().join("elsewhere"), &file), file.to_string_lossy());
    }
}
