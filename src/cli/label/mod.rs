//! `evalflow label FILE`: people's verdicts on a run's replies, and their review of its decision.

mod files;
mod keys;
mod screen;

use std::path::{Path, PathBuf};

use serde_json::json;

pub(super) use self::files::reviews_of;
use self::files::{append, read_reviews, review_path, table_digits};
use self::keys::Keyboard;
use super::exit::Exit;
use super::output::{data, failure, json as print_json, say, store_failure};
use super::settings::Settings;
use super::{open, write};
use crate::data::{Decision, Judged, ReviewVerdict};
use crate::ids::StageId;
use crate::key::BlobId;
use crate::label::{Imported, Key, Pool, Progress, ReviewSession, Reviewing, Session, Sheet, export, import};
use crate::plan::{self, Graph, Selection, Status};
use crate::spec::{Calibrate, LabelVerdict, Loaded, Pipeline, Stage};
use crate::stage;
use crate::store::{Store, StoreError};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The pipeline, which has run and has a `calibrate` stage
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Who labels or reviews [default: the user's name]
    #[arg(long = "as", value_name = "NAME")]
    labeller: Option<String>,
    /// Which `calibrate` stage, where there are several
    #[arg(long, value_name = "STAGE")]
    stage: Option<String>,
    /// The seed of the random order in which replies are offered
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Write the next replies to label into a sheet (`.csv` or `.jsonl`) instead of showing them
    #[arg(long, value_name = "SHEET", conflicts_with_all = ["import", "progress", "review"])]
    export: Option<PathBuf>,
    /// How many replies go into the sheet
    #[arg(long, value_name = "N", default_value_t = 50, requires = "export")]
    count: usize,
    /// Take in the labels of a sheet that was filled in
    #[arg(long, value_name = "SHEET", conflicts_with_all = ["progress", "review"])]
    import: Option<PathBuf>,
    /// Show only how far labelling has come
    #[arg(long, conflicts_with = "review")]
    progress: bool,
    /// Print how far labelling has come as JSON
    #[arg(long, requires = "progress")]
    json: bool,
    /// Review the replies behind the decision instead: may they be given to somebody?
    #[arg(long)]
    review: bool,
}

/// What all of it begins with.
struct Desk<'a> {
    settings: &'a Settings,
    pipeline: Pipeline,
    store: Store,
    labeller: String,
    date: Option<String>,
}

pub(super) fn execute(settings: &Settings, arguments: &Arguments) -> Result<Exit, Exit> {
    let Loaded { pipeline, warnings: _ } = open::pipeline(settings, &arguments.file)?;
    open::has_store(settings, &pipeline.root)?;
    let store = open::store(settings, &pipeline.root)?;
    let date = jiff::Timestamp::from_second(settings.now).map(|time| time.strftime("%Y-%m-%d").to_string()).ok();
    // How far it has come may be asked by nobody in particular.
    let labeller = if arguments.progress { String::new() } else { labeller(settings, arguments)? };
    let desk = Desk { labeller, settings, pipeline, store, date };
    if arguments.review {
        return desk.review(arguments.seed);
    }
    let (id, calibrate) = desk.calibrate(arguments.stage.as_deref())?;
    let pool = desk.pool(id, calibrate, arguments.seed)?;
    if arguments.progress {
        let progress = pool.progress();
        let written = if arguments.json {
            print_json(&progress_json(&progress))
        } else {
            data(|out| screen::progress(out, &progress))
        };
        return if written { Ok(Exit::Ok) } else { Err(Exit::Failed) };
    }
    let gold = desk.pipeline.root.join(&calibrate.gold);
    match (&arguments.export, &arguments.import) {
        (Some(sheet), _) => desk.export(&pool, sheet, arguments.count),
        (None, Some(sheet)) => desk.import(&pool, sheet, &gold),
        (None, None) => desk.label(pool, &gold, &calibrate.gold),
    }
}

fn labeller(settings: &Settings, arguments: &Arguments) -> Result<String, Exit> {
    let of = |name: &str| settings.environment.get(name).cloned();
    let name = arguments.labeller.clone().or_else(|| of("USER")).or_else(|| of("USERNAME")).unwrap_or_default();
    let name = name.trim().to_owned();
    if name.is_empty() || name.chars().any(char::is_control) {
        failure("nobody knows who labels", Some("give a name: `--as NAME`; it is written beside each label"));
        return Err(Exit::BadInput);
    }
    Ok(name)
}

fn progress_json(progress: &Progress) -> serde_json::Value {
    let Progress { replies, doubled, half_width, needed, between } = progress;
    json!({
        "replies": replies, "doubled": doubled, "half_width": half_width, "needed": needed, "between_labellers": between,
    })
}

impl Desk<'_> {
    /// The `calibrate` stage that is meant.
    fn calibrate(&self, named: Option<&str>) -> Result<(&StageId, &Calibrate), Exit> {
        let all: Vec<(&StageId, &Calibrate)> = self
            .pipeline
            .stages
            .iter()
            .filter_map(
                |(id, stage)| if let Stage::Calibrate(calibrate) = stage { Some((id, calibrate)) } else { None },
            )
            .filter(|(id, _)| named.is_none_or(|named| id.as_str() == named))
            .collect();
        match (all.as_slice(), named) {
            ([one], _) => return Ok(*one),
            ([], Some(named)) => failure(
                &format!("there is no `calibrate` stage `{named}`"),
                Some("name one of the pipeline, or leave `--stage` out"),
            ),
            ([], None) => failure(
                "the pipeline has no `calibrate` stage, which says where labels go",
                Some("add one: `trust: { calibrate: { verdicts: STAGE, gold: NAME.gold.jsonl } }`"),
            ),
            (_, _) => {
                let names: Vec<String> = all.iter().map(|(id, _)| format!("`{id}`")).collect();
                failure(
                    "there are several `calibrate` stages",
                    Some(&format!("choose with `--stage`: {}", names.join(", "))),
                );
            }
        }
        Err(Exit::BadInput)
    }

    /// The result of a stage as the pipeline is now.
    fn output(&self, id: &StageId) -> Result<BlobId, Exit> {
        let due = plan::course(&self.pipeline, &self.store, &Selection::default()).pipeline;
        let stages = plan::plan(&due, &Graph::new(&due), &self.store).map_err(|error| {
            failure(&error.to_string(), Some(&error.help()));
            Exit::Failed
        })?;
        let found = stages.iter().find(|stage| stage.id == *id);
        if let Some(Status::Cached(receipt)) = found.map(|stage| &stage.status) {
            return Ok(receipt.output);
        }
        let help = format!("run the pipeline first: `evalflow run {}`", self.pipeline.file.display());
        failure(&format!("the result of `{id}` is not in the store"), Some(&help));
        Err(Exit::Failed)
    }

    /// Reads the rows of a table.
    fn rows(&self, table: &BlobId, mut each: impl FnMut(Judged)) -> Result<(), Exit> {
        let read = |error: StoreError| {
            store_failure(&error);
            Exit::Failed
        };
        for line in self.store.lines(table).map_err(read)? {
            let row = line.map_err(|error| error.to_string());
            let row = row.and_then(|line| serde_json::from_str(&line).map_err(|error| error.to_string()));
            each(row.map_err(|error| {
                failure(&format!("a row of verdicts cannot be read: {error}"), Some("run the pipeline again"));
                Exit::Failed
            })?);
        }
        Ok(())
    }

    fn pool(&self, id: &StageId, calibrate: &Calibrate, seed: u64) -> Result<Pool, Exit> {
        let table = self.output(&calibrate.verdicts)?;
        let (rubric, cluster) = (stage::rubric_of(&self.pipeline, calibrate), stage::clusters_of(&self.pipeline, id));
        let mut pool = Pool::new(calibrate, rubric, cluster, seed);
        self.rows(&table, |row| pool.add(row))?;
        let pool = pool.complete();
        if pool.is_empty() {
            failure(
                "there is nothing to label: no reply has a grade that rests on a judge",
                Some("see in the report what became of the replies"),
            );
            return Err(Exit::Failed);
        }
        Ok(pool)
    }

    /// Shows one criterion of one reply after the other, and writes each label down before the next.
    fn label(&self, pool: Pool, gold: &Path, shown: &Path) -> Result<Exit, Exit> {
        let mut session = Session::new(pool, &self.labeller, self.date.clone());
        let mut keys = Keyboard::new();
        while let Some(question) = session.question() {
            keys.show(&screen::question(&question, &session, self.settings.color_stderr()));
            let Some(letter) = keys.letter() else { break };
            let key = match letter {
                'p' => Key::Verdict(LabelVerdict::Pass),
                'f' => Key::Verdict(LabelVerdict::Fail),
                'n' => Key::Verdict(LabelVerdict::NotApplicable),
                's' => Key::Skip,
                'u' => Key::Undo,
                'e' => Key::Note(keys.line("note: ").unwrap_or_default()),
                'q' => break,
                _ => continue,
            };
            if let Some(line) = session.press(key) {
                written(append(gold, &line))?;
            }
        }
        if session.question().is_none() {
            say("nothing is left to label");
        }
        let made = session.made();
        let progress = session.pool().progress();
        let labels = crate::stats::text::count(made as u64, "label");
        let told = data(|out| {
            writeln!(out, "{labels} added to {}", shown.display())?;
            screen::progress(out, &progress)
        });
        if told { Ok(Exit::Ok) } else { Err(Exit::Failed) }
    }

    fn export(&self, pool: &Pool, sheet: &Path, count: usize) -> Result<Exit, Exit> {
        let bytes = export(pool, &self.labeller, count, form(sheet)?);
        written(write::replace(sheet, &bytes).map(|_| ()))?;
        say(&format!("wrote {}; fill in `verdict`, then `--import` it", sheet.display()));
        Ok(Exit::Ok)
    }

    fn import(&self, pool: &Pool, sheet: &Path, gold: &Path) -> Result<Exit, Exit> {
        let form = form(sheet)?;
        let bytes = fs_err::read(sheet).map_err(|error| {
            failure(&error.to_string(), Some("name the sheet that was filled in"));
            Exit::BadInput
        })?;
        match import(pool, &self.labeller, self.date.as_deref(), &bytes, form) {
            Ok(Imported { lines, new, changed, known, blank }) => {
                for line in &lines {
                    written(append(gold, line))?;
                }
                say(&format!("{new} new, {changed} changed, {known} known, {blank} without a verdict"));
                Ok(Exit::Ok)
            }
            Err(problems) => {
                for problem in &problems {
                    failure(&format!("{}: {problem}", sheet.display()), Some(problem.help()));
                }
                Err(Exit::BadInput)
            }
        }
    }

    /// Shows the replies behind the decision, and writes down what a person says of each.
    fn review(&self, seed: u64) -> Result<Exit, Exit> {
        let decided = self
            .pipeline
            .stages
            .iter()
            .find_map(|(id, stage)| if let Stage::Decide(decide) = stage { Some((id, decide)) } else { None });
        let Some((id, decide)) = decided else {
            failure("the pipeline has no `decide` stage, so there is no decision to review", Some("add one"));
            return Err(Exit::BadInput);
        };
        let decision: Decision = self.record(&self.output(id)?)?;
        let table = self.output(decide.decided_on(decision.is_of_backup()))?;
        let mut drawing = Reviewing::new(&decision, seed);
        self.rows(&table, |row| drawing.add(&row))?;
        let path = review_path(&self.pipeline);
        let earlier = read_reviews(&self.pipeline).map_err(|message| {
            failure(&message, Some("correct the line, or remove it"));
            Exit::BadInput
        })?;
        let digits = table_digits(&table);
        let mut session = ReviewSession::new(drawing.sheet(), &earlier, &self.labeller, &digits, self.date.clone());
        let mut keys = Keyboard::new();
        while let Some(question) = session.question() {
            keys.show(&screen::review(question, self.settings.color_stderr()));
            let Some(letter) = keys.letter() else { break };
            let line = match letter {
                'o' => session.verdict(ReviewVerdict::Ok),
                'x' => session.verdict(ReviewVerdict::NotOk),
                'u' => session.undo(),
                's' => {
                    session.skip();
                    None
                }
                'e' => {
                    session.comment(&keys.line("comment: ").unwrap_or_default());
                    None
                }
                'q' => break,
                _ => None,
            };
            if let Some(line) = line {
                written(append(&self.pipeline.root.join(&path), &line))?;
            }
        }
        let reviewed = crate::stats::text::count(session.made() as u64, "review");
        let told = data(|out| {
            writeln!(out, "{reviewed} added to {}", path.display())?;
            for person in reviews_of(&self.pipeline, &table).unwrap_or_default() {
                writeln!(out, "reviewed by {}: {} of {} ok", person.reviewer, person.ok, person.reviewed)?;
            }
            Ok(())
        });
        if told { Ok(Exit::Ok) } else { Err(Exit::Failed) }
    }

    fn record<T: serde::de::DeserializeOwned>(&self, blob: &BlobId) -> Result<T, Exit> {
        let read = self.store.read(blob).map_err(|error| {
            store_failure(&error);
            Exit::Failed
        })?;
        serde_json::from_slice(&read).map_err(|error| {
            failure(&format!("another version wrote the decision: {error}"), Some("run the pipeline again"));
            Exit::Failed
        })
    }
}

fn form(sheet: &Path) -> Result<Sheet, Exit> {
    match sheet.extension().and_then(|extension| extension.to_str()) {
        Some("csv") => Ok(Sheet::Csv),
        Some("jsonl") => Ok(Sheet::Lines),
        _ => {
            failure(&format!("`{}` is no sheet", sheet.display()), Some("name a file that ends in `.csv` or `.jsonl`"));
            Err(Exit::BadInput)
        }
    }
}

fn written(result: std::io::Result<()>) -> Result<(), Exit> {
    result.map_err(|error| {
        failure(&error.to_string(), Some("what was labelled before is kept; see that the file can be written"));
        Exit::Failed
    })
}
