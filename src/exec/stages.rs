//! What each kind of stage does when it runs.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::caller::{Caller, Flights, Manner};
use super::callers::Callers;
use super::earlier;
use super::engines::{Asker, Askers};
use super::feed::{Cut, TableReader, TableWriter};
use super::preferences::{pairs, preferences};
use super::rows::{Source, Word, Work, drive};
use super::scenarios::{scenario_source, scenarios};
use super::whole::{Calibrated, CalibratedArms};
use super::{Event, Output, Run, StageFailure, catalogs, weights, whole};
use crate::ids::StageId;
use crate::key::{BlobId, Recipe};
use crate::plan::Settled;
use crate::spec::{
    Calibrate, CatalogFrom, Compare, Decide, Generate, HubSearch, Judge, JudgeMode, Prefer, Research, Rubric, Stage,
};
use crate::stage::{self, Known as _, RowStage};
use crate::store::{Receipt, Store};

/// What running a stage came to.
pub(super) enum Executed {
    /// Another process made the result while this one waited for it.
    Found(Receipt),
    /// This one made it.
    Made(Output),
    /// What it reads was fetched: now it can be keyed.
    Fetched,
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
        /// What the files that are read must be to the end.
        recipe: Recipe,
    },
    Rows(Work),
    Preferences(Box<Prefer>, Work),
    /// With the tables that it reads.
    Calibrate(Box<(Calibrate, Rubric)>, BTreeMap<StageId, BlobId>),
    /// With the tables that it reads.
    Decide(Decide, BTreeMap<StageId, BlobId>, Option<Box<Calibrated>>),
    /// The tables are those of [`Compare::reads`].
    Compare(Box<Compare>, BTreeMap<StageId, BlobId>, Option<Box<CalibratedArms>>),
}

impl Task {
    /// The table that others may follow while it is written, and how many rows it will have where that is known: of a
    /// stage that waits for a model.
    pub(super) fn streams(&self) -> Option<(&TableWriter, Option<u64>)> {
        match self {
            Self::Scenarios { generate: _, work, recipe: _ } | Self::Rows(work) => {
                work.caller.as_ref().map(|_| (&work.table, work.total))
            }
            Self::Research(..)
            | Self::Pull { .. }
            | Self::Preferences(..)
            | Self::Calibrate(..)
            | Self::Compare(..)
            | Self::Decide(..) => None,
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
            Task::Scenarios { generate: Box::new(generate.clone()), work, recipe: recipe.clone() }
        }
        Stage::Infer(_) | Stage::Judge(_) => {
            let input = stage::table(stage).expect("it takes a table");
            let lines = TableReader::of(run.store, &settled.output(input))?;
            prepare_rows(run, flights, id, lines, settled.rows(input), settled)?
        }
        Stage::Prefer(prefer) => {
            let [base, new] = [&prefer.base, &prefer.new].map(|answers| settled.output(answers));
            let work = Work {
                stage: row_stage(id, stage)?,
                caller: callers(run, flights, stage, settled)?,
                source: pairs(run.store, [&base, &new])?,
                total: settled.rows(&prefer.base),
                table: TableWriter::new(run.store)?,
                earlier: None,
            };
            Task::Preferences(Box::new(prefer.clone()), work)
        }
        Stage::Calibrate(calibrate) => {
            let rubric = stage::rubric_of(run.pipeline, calibrate).clone();
            Task::Calibrate(Box::new((calibrate.clone(), rubric)), tables(stage, settled))
        }
        Stage::Decide(decide) => {
            let read = |id: &StageId| whole::calibrated(run.store, id, &settled.output(id));
            let calibrated = decide.calibration.as_ref().map(read).transpose()?;
            Task::Decide(decide.clone(), tables(stage, settled), calibrated.map(Box::new))
        }
        Stage::Compare(compare) => {
            let calibrated = whole::calibrated_arms(run.store, compare, |id| settled.output(id))?;
            Task::Compare(Box::new(compare.clone()), tables(stage, settled), calibrated.map(Box::new))
        }
    })
}

/// What a stage reads.
fn tables(stage: &Stage, settled: &Settled<'_>) -> BTreeMap<StageId, BlobId> {
    stage::reads(stage).into_iter().map(|read| (read.clone(), settled.output(read))).collect()
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
    let is_weighed = |judge: &Judge| matches!(judge.mode, JudgeMode::Logprob { .. });
    let is_divided = |judge: &Judge| judge.models.len() > 1 || judge.repeat > 1;
    let is_summed_up = matches!(stage, Stage::Judge(judge) if is_weighed(judge) || is_divided(judge));
    Ok(Task::Rows(Work {
        stage: row_stage(id, stage)?,
        caller: callers(run, flights, stage, settled)?,
        source: Source::Table(lines),
        total,
        table: TableWriter::new(run.store)?,
        earlier: if is_asked_for || is_summed_up { None } else { earlier::find(run, id, settled, total)? },
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
        Task::Scenarios { generate, work, recipe } => Box::pin(scenarios(run, id, &generate, work, &recipe)).await?,
        // What a stage holds while it works is large, and there may be many stages.
        Task::Rows(work) => Box::pin(drive(run, id, work, |_| Ok(Word::Write))).await?,
        Task::Preferences(spec, work) => Box::pin(preferences(run, id, &spec, work)).await?,
        Task::Calibrate(stage, tables) => tokio::task::block_in_place(|| calibration(run, &stage, &tables))?,
        Task::Decide(stage, tables, calibrated) => {
            tokio::task::block_in_place(|| decision(run, id, &stage, &tables, calibrated.as_deref()))?
        }
        Task::Compare(stage, tables, calibrated) => tokio::task::block_in_place(|| {
            let table = |read: &StageId| Ok(run.store.lines(&tables[read])?);
            let comparison = whole::comparison(run.pipeline, &stage, calibrated.as_deref(), table)?;
            Ok::<_, StageFailure>(Output::record(put_record(run.store, &comparison)?))
        })?,
    };
    Ok(Executed::Made(output))
}

/// Who puts a stage's calls; nobody where it names no model and runs no program.
fn callers(
    run: &Run<'_>,
    flights: &Arc<Flights>,
    stage: &Stage,
    settled: &Settled<'_>,
) -> Result<Option<Arc<Callers>>, StageFailure> {
    let askers = run.engines.askers(run.pipeline, run.store, stage, settled);
    let Askers { texts, embeddings, commands } =
        askers.map_err(|error| StageFailure::new(error.to_string(), error.help()))?;
    if texts.is_empty() && embeddings.is_none() && commands.is_none() {
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
    let texts = texts.into_iter().map(|asker| caller(asker, stage::manner(stage))).collect();
    let embeddings = embeddings.map(|asker| caller(asker, stage::EMBEDS));
    let commands = commands.map(|asker| caller(asker, stage::RUNS));
    Ok(Some(Arc::new(Callers { store: Arc::clone(run.store), texts, embeddings, commands })))
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
    let mut read = Vec::new();
    let check = |id: &BlobId, from: &CatalogFrom| match from {
        CatalogFrom::File(path) => check_unchanged(recipe, id, path),
        CatalogFrom::Hub(search) => {
            read.push(*id);
            check_unchanged(recipe, id, Path::new(&search.to_string()))
        }
    };
    let rows = |search: &HubSearch| catalogs::latest(run.store, search);
    let candidates = catalogs::candidates(&run.pipeline.root, research, &rows, check)?;
    Ok(Output { read, ..Output::record(put_record(run.store, &candidates)?) })
}

fn calibration(
    run: &Run<'_>,
    (calibrate, rubric): &(Calibrate, Rubric),
    tables: &BTreeMap<StageId, BlobId>,
) -> Result<Output, StageFailure> {
    let calibration = whole::calibration(calibrate, rubric, |read| Ok(run.store.lines(&tables[read])?))?;
    Ok(Output::record(put_record(run.store, &calibration)?))
}

fn decision(
    run: &Run<'_>,
    id: &StageId,
    decide: &Decide,
    tables: &BTreeMap<StageId, BlobId>,
    calibrated: Option<&Calibrated>,
) -> Result<Output, StageFailure> {
    let lines =
        |id: &StageId| -> Result<whole::TableLines<'_>, StageFailure> { Ok(Box::new(run.store.lines(&tables[id])?)) };
    let whole::Decided { decision, unweighed } = whole::decision(run.pipeline, decide, calibrated, lines)?;
    for criterion in unweighed {
        let text = format!("too few verdicts on `{criterion}` to weigh its judges: their majority stands");
        (run.events)(Event::Note { stage: id, text: &text });
    }
    Ok(Output::record(put_record(run.store, &decision)?))
}
