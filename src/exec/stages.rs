//! What each kind of stage does when it runs.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::caller::{Caller, Flights, Manner};
use super::callers::Callers;
use super::earlier;
use super::engines::{Asker, Askers};
use super::feed::{Cut, TableReader, TableWriter};
use super::rows::{Source, Work, drive};
use super::{Event, Output, Run, StageFailure, weights, whole};
use crate::data::{Coverage, NearDuplicates, Scenario};
use crate::ids::StageId;
use crate::key::{BlobId, Recipe};
use crate::plan::Settled;
use crate::spec::{Decide, Generate, GenerateFrom, JudgeMode, Research, Stage};
use crate::stage::{self, Known as _, RowStage, generate};
use crate::store::{Receipt, Store};

/// What running a stage came to.
pub(super) enum Executed {
    /// Another process made the result while this one waited for it.
    Found(Receipt),
    /// This one made it.
    Made(Output),
}

/// The work of one stage, with all that it takes from others.
pub(super) enum Task {
    Research(Box<Research>, Recipe),
    Pull {
        wanted: stage::WantedWeights,
        recipe: Recipe,
        /// Whether it is brought although it is there.
        again: bool,
    },
    Scenarios {
        generate: Box<Generate>,
        work: Work,
        /// The file they come from, which must be what was keyed to the end.
        file: Option<(PathBuf, Recipe)>,
    },
    Rows(Work),
    Decide(Decide, BlobId),
}

impl Task {
    /// The table that others may follow while it is written, and how many rows it will have where that is known: of a
    /// stage that waits for a model.
    pub(super) fn streams(&self) -> Option<(&TableWriter, Option<u64>)> {
        match self {
            Self::Scenarios { generate: _, work, file: _ } | Self::Rows(work) => {
                work.caller.as_ref().map(|_| (&work.table, work.total))
            }
            Self::Research(..) | Self::Pull { .. } | Self::Decide(..) => None,
        }
    }
}

/// Takes what a stage needs from those it reads, all of which are settled.
pub(super) fn prepare(
    run: &Run<'_>,
    flights: &Arc<Flights>,
    id: &StageId,
    recipe: &Recipe,
    again: bool,
    settled: &Settled<'_>,
) -> Result<Task, StageFailure> {
    let stage = &run.pipeline.stages[id];
    Ok(match stage {
        Stage::Research(research) => Task::Research(research.clone(), recipe.clone()),
        Stage::Pull(pull) => {
            let wanted = stage::wanted(pull, settled).map_err(|error| StageFailure::from_input(id, error))?;
            Task::Pull { wanted, recipe: recipe.clone(), again }
        }
        Stage::Generate(generate) => {
            let (source, total) = scenario_source(run, generate, recipe)?;
            let work = Work {
                stage: row_stage(id, stage)?,
                caller: callers(run, flights, stage, settled)?,
                source,
                total: Some(total),
                table: TableWriter::new(run.store)?,
                earlier: None,
            };
            let file = match &generate.from {
                GenerateFrom::Taxonomy(_) => None,
                GenerateFrom::File(path) => Some((path.clone(), recipe.clone())),
            };
            Task::Scenarios { generate: Box::new(generate.clone()), work, file }
        }
        Stage::Infer(_) | Stage::Judge(_) => {
            let input = stage::table(stage).expect("it takes a table");
            let lines = TableReader::of(run.store, &settled.output(input))?;
            prepare_rows(run, flights, id, lines, settled.rows(input), settled)?
        }
        Stage::Decide(decide) => Task::Decide(decide.clone(), settled.output(&decide.verdicts)),
    })
}

/// Takes what a row-wise stage needs from those it reads, all of which are settled but for the table it takes rows of.
pub(super) fn prepare_rows(
    run: &Run<'_>,
    flights: &Arc<Flights>,
    id: &StageId,
    lines: TableReader,
    total: Option<u64>,
    settled: &Settled<'_>,
) -> Result<Task, StageFailure> {
    let stage = &run.pipeline.stages[id];
    // Who wants a result to be computed again does not want a copy of it.
    let is_asked_for = run.refresh || run.selection.forces(run.graph, id);
    // Its summary rests on the replies themselves, which rows that are taken over no longer have.
    let is_weighed = matches!(stage, Stage::Judge(judge) if matches!(judge.mode, JudgeMode::Logprob { .. }));
    Ok(Task::Rows(Work {
        stage: row_stage(id, stage)?,
        caller: callers(run, flights, stage, settled)?,
        source: Source::Table(lines),
        total,
        table: TableWriter::new(run.store)?,
        earlier: if is_asked_for || is_weighed { None } else { earlier::find(run, id, settled, total)? },
    }))
}

/// What works a stage's rows.
pub(super) fn row_stage(id: &StageId, stage: &Stage) -> Result<Arc<dyn RowStage>, StageFailure> {
    let work = stage::row_stage(stage).map_err(|error| StageFailure::new(error.to_string(), None))?;
    Ok(work.unwrap_or_else(|| unreachable!("`{id}` has no rows")).into())
}

/// Does the work of one stage.
pub(super) async fn execute(run: &Run<'_>, id: &StageId, task: Task) -> Result<Executed, Cut> {
    let output = match task {
        Task::Research(stage, recipe) => tokio::task::block_in_place(|| research(run, &stage, &recipe))?,
        Task::Pull { wanted, recipe, again } => return Ok(weights::bring(run, id, wanted, &recipe, again).await?),
        Task::Scenarios { generate, work, file } => Box::pin(scenarios(run, id, &generate, work, file)).await?,
        // What a stage holds while it works is large, and there may be many stages.
        Task::Rows(work) => Box::pin(drive(run, id, work, |_| Ok(()))).await?,
        Task::Decide(stage, verdicts) => tokio::task::block_in_place(|| decision(run, &stage, &verdicts))?,
    };
    Ok(Executed::Made(output))
}

/// Who puts a stage's calls; nobody where it names no model.
fn callers(
    run: &Run<'_>,
    flights: &Arc<Flights>,
    stage: &Stage,
    settled: &Settled<'_>,
) -> Result<Option<Arc<Callers>>, StageFailure> {
    let askers = run.engines.askers(run.pipeline, run.store, stage, settled);
    let Askers { texts, embeddings } = askers.map_err(|error| StageFailure::new(error.to_string(), error.help()))?;
    if texts.is_none() && embeddings.is_none() {
        return Ok(None);
    }
    if run.refresh {
        flights.replace_replies(run.store)?;
    }
    let caller = |asker: Asker, name| {
        let Asker { engine, context_is_keyed } = asker;
        let manner = Manner { now: run.now, refresh: run.refresh, context_is_keyed, jobs: run.engines.jobs(), name };
        Caller::new(Arc::clone(run.store), engine, Arc::clone(flights), &manner)
    };
    let texts = texts.map(|asker| caller(asker, stage::manner(stage)));
    let embeddings = embeddings.map(|asker| caller(asker, stage::EMBEDS));
    Ok(Some(Arc::new(Callers { store: Arc::clone(run.store), texts, embeddings })))
}

/// A file is keyed before it is read: what is read must be what was keyed, or a wrong result would be kept for good.
pub(super) fn check_unchanged(recipe: &Recipe, read: &BlobId, path: &Path) -> Result<(), StageFailure> {
    if recipe.canonical().contains(&read.to_string()) {
        return Ok(());
    }
    let message = format!("`{}` was changed while it was read", path.display());
    Err(StageFailure::new(message, Some("run again".to_owned())))
}

pub(super) fn put_record(store: &Store, record: &impl serde::Serialize) -> Result<BlobId, StageFailure> {
    let bytes = serde_json::to_vec(record).expect("a record is always valid JSON");
    Ok(store.put(&bytes)?)
}

fn research(run: &Run<'_>, research: &Research, recipe: &Recipe) -> Result<Output, StageFailure> {
    let check = |read: &BlobId, path: &Path| check_unchanged(recipe, read, path);
    let candidates = whole::candidates(&run.pipeline.root, research, check)?;
    Ok(Output::record(put_record(run.store, &candidates)?))
}

/// Where the rows of a scenario stage come from, and how many there are.
fn scenario_source(run: &Run<'_>, generate: &Generate, recipe: &Recipe) -> Result<(Source, u64), StageFailure> {
    let rows = tokio::task::block_in_place(|| generate::rows(generate, &run.pipeline.root));
    let generate::Rows { cells, total, file } = rows.map_err(|error| failed_file(&error))?;
    if let (Some(read), GenerateFrom::File(path)) = (file, &generate.from) {
        check_unchanged(recipe, &read, path)?;
    }
    let lines = cells.map(|cell| cell.map(|cell| cell.to_line()).map_err(|error| failed_file(&error)));
    Ok((Source::Made(Box::new(lines)), total))
}

async fn scenarios(
    run: &Run<'_>,
    id: &StageId,
    generate: &Generate,
    work: Work,
    file: Option<(PathBuf, Recipe)>,
) -> Result<Output, Cut> {
    let mut coverage = Coverage::default();
    let mut marker = generate.near_duplicates.as_ref().map(generate::Marker::new);
    let mut untold = 0;
    let mut output = drive(run, id, work, |row| {
        for line in &mut row.lines {
            let mut scenario: Scenario =
                serde_json::from_str(line).map_err(|error| StageFailure::new(error.to_string(), None))?;
            coverage.add(&scenario);
            if let (Some(marker), Some(embedded)) = (&mut marker, &row.embedded) {
                if let Err(why) = embedded {
                    untold += 1;
                    if untold <= FAILURES_TOLD {
                        let text = format!("{}: not compared with others: {why}", scenario.id);
                        (run.events)(Event::Note { stage: id, text: &text });
                    }
                }
                marker.mark(&mut scenario, embedded.as_ref().ok()).map_err(unlike)?;
                if scenario.near_duplicate.is_some() {
                    *line = serde_json::to_string(&scenario).expect("a scenario is always valid JSON");
                }
            }
        }
        Ok(())
    })
    .await?;
    if let Some((path, recipe)) = file {
        // Read twice, so looked at once more: what is in the table must be what was keyed.
        let read = run.store.file_id(&run.pipeline.root.join(&path)).map_err(StageFailure::from)?;
        check_unchanged(&recipe, &read, &path)?;
    }
    coverage.failed = output.tally.rows_failed;
    coverage.near_duplicates = marker.map(generate::Marker::finish);
    if let Some(found) = coverage.near_duplicates.as_ref().filter(|near| near.found > 0) {
        let text = near_in_words(found);
        (run.events)(Event::Note { stage: id, text: &text });
    }
    // A suite with holes is not the one that was asked for: it is not kept, and what is missing is asked again.
    output.complete &= output.tally.rows_failed == 0;
    output.summary = Some(serde_json::to_value(&coverage).expect("a summary is always valid JSON"));
    Ok(output)
}

/// So many scenarios that could not be compared are told one by one; the report counts them all.
const FAILURES_TOLD: u64 = 3;

pub(super) fn unlike(error: generate::UnlikeLengths) -> StageFailure {
    StageFailure::new(error.to_string(), Some("see that the server answers with one model at a time".to_owned()))
}

fn near_in_words(near: &NearDuplicates) -> String {
    let [are, repeat] = if near.found == 1 { ["scenario", "repeats"] } else { ["scenarios", "repeat"] };
    format!("{} {are} nearly {repeat} an earlier one (cosine {} or more): see the report", near.found, near.above)
}

pub(super) fn failed_file(error: &generate::ScenarioFileError) -> StageFailure {
    StageFailure::new(error.to_string(), Some(error.help().to_owned()))
}

fn decision(run: &Run<'_>, decide: &Decide, verdicts: &BlobId) -> Result<Output, StageFailure> {
    let decision = whole::decision(decide, run.store.lines(verdicts)?)?;
    Ok(Output::record(put_record(run.store, &decision)?))
}
