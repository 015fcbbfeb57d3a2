//! One file a kind of stage: what it reads, its recipe, how rows become rows.
//!
//! A stage is a pure function of its inputs and its calls: nothing here is async, knows where the store lies, or decides
//! when something runs. Start at [`reads`] and [`recipe`].

pub mod calibrate;
pub mod compare;
mod correct;
pub mod decide;
pub mod generate;
pub mod infer;
pub mod judge;
pub mod prefer;
pub mod pull;
mod recipe;
pub mod research;
mod row;
pub mod sample;

pub use recipe::{
    Known, RecipeError, WantedWeights, apart_from_table, clusters_of, command_identity, identity, is_transported,
    recipe, rest_of_recipe, rubric_of, wanted,
};
pub use row::{Asked, CallFailure, Drawn, Flaw, Resume, Row, RowError, RowStage, Step};

use crate::check::CheckError;
use crate::ids::StageId;
use crate::spec::{Calibrations, Command, Criterion, Embedded, JudgeMode, ModelRef, NearDuplicates, PullFrom, Stage};

/// The name of a stage's kind, as in the pipeline file.
#[must_use]
pub fn kind(stage: &Stage) -> &'static str {
    match stage {
        Stage::Research(_) => "research",
        Stage::Pull(_) => "pull",
        Stage::Generate(_) => "generate",
        Stage::Infer(_) => "infer",
        Stage::Judge(_) => "judge",
        Stage::Prefer(_) => "prefer",
        Stage::Calibrate(_) => "calibrate",
        Stage::Decide(_) => "decide",
        Stage::Compare(_) => "compare",
    }
}

/// How a stage puts its calls: its kind, and more where calls of one kind take unlike times. Speeds are remembered by it.
#[must_use]
pub fn manner(stage: &Stage) -> &'static str {
    match stage {
        // One token instead of a text.
        Stage::Judge(judge) if matches!(judge.mode, JudgeMode::Logprob { .. }) => "judge_logprob",
        // Many verdicts in one text.
        Stage::Judge(judge) if judge.mode == JudgeMode::Together => "judge_together",
        Stage::Research(_)
        | Stage::Pull(_)
        | Stage::Generate(_)
        | Stage::Infer(_)
        | Stage::Judge(_)
        | Stage::Prefer(_)
        | Stage::Calibrate(_)
        | Stage::Compare(_)
        | Stage::Decide(_) => kind(stage),
    }
}

/// How a stage puts calls for embeddings: see [`manner`].
pub const EMBEDS: &str = "embed";

/// How a stage has programs run: see [`manner`].
pub const RUNS: &str = "command";

/// Whether a stage asks anybody: a model, or a program of the project.
#[must_use]
pub fn asks(stage: &Stage) -> bool {
    models(stage).next().is_some() || commands(stage).next().is_some()
}

/// The programs of the project that a stage runs.
pub fn commands(stage: &Stage) -> impl Iterator<Item = &Command> {
    let criteria = match stage {
        Stage::Judge(judge) => &judge.rubric.criteria[..],
        Stage::Research(_)
        | Stage::Pull(_)
        | Stage::Generate(_)
        | Stage::Infer(_)
        | Stage::Prefer(_)
        | Stage::Calibrate(_)
        | Stage::Decide(_)
        | Stage::Compare(_) => &[],
    };
    criteria.iter().filter_map(Criterion::command)
}

/// The stages whose results a stage reads.
#[must_use]
pub fn reads(stage: &Stage) -> Vec<&StageId> {
    let mut pulls: Vec<&StageId> = Vec::new();
    for pull in models(stage).filter_map(ModelRef::embedded).flat_map(Embedded::pulls) {
        if !pulls.contains(&pull) {
            pulls.push(pull);
        }
    }
    let mut tables: Vec<&StageId> = Vec::new();
    let table = match stage {
        Stage::Research(_) | Stage::Generate(_) => None,
        Stage::Pull(pull) => match &pull.from {
            PullFrom::Candidate { stage, pick: _ } => Some(stage),
            PullFrom::Source(_) | PullFrom::Mirrors(_) => None,
        },
        Stage::Infer(infer) => Some(&infer.scenarios),
        Stage::Judge(judge) => Some(&judge.answers),
        Stage::Prefer(_) => None,
        Stage::Calibrate(calibrate) => Some(&calibrate.verdicts),
        Stage::Decide(decide) => Some(&decide.verdicts),
        Stage::Compare(compare) => {
            let calibrations = compare.calibrations.iter().flat_map(|Calibrations { base, new }| [base, new]);
            for read in compare.reads().chain(calibrations) {
                if !tables.contains(&read) {
                    tables.push(read);
                }
            }
            None
        }
    };
    let mut others: Vec<&StageId> = Vec::new();
    if let Stage::Calibrate(calibrate) = stage {
        others.extend(&calibrate.beside);
    }
    if let Stage::Decide(decide) = stage {
        let bases = decide::bases(decide);
        let of_bases = decide.answers_of_bases.values().filter(|answers| decide.answers.as_ref() != Some(*answers));
        let read = bases.into_iter().chain(&decide.answers).chain(of_bases).chain(&decide.calibration);
        for other in read.filter(|other| Some(*other) != table) {
            if !others.contains(&other) {
                others.push(other);
            }
        }
        let backup = decide.backup.as_ref().filter(|backup| backup.is_due);
        for read in backup.into_iter().flat_map(|backup| [Some(&backup.verdicts), backup.answers.as_ref()]).flatten() {
            if !others.contains(&read) {
                others.push(read);
            }
        }
    }
    pulls.into_iter().chain(table).chain(others).chain(tables).chain(pair(stage).into_iter().flatten()).collect()
}

/// The stage whose table a row-wise stage takes row by row, if it takes another stage's.
#[must_use]
pub fn table(stage: &Stage) -> Option<&StageId> {
    match stage {
        Stage::Infer(infer) => Some(&infer.scenarios),
        Stage::Judge(judge) => Some(&judge.answers),
        Stage::Research(_)
        | Stage::Pull(_)
        | Stage::Generate(_)
        | Stage::Prefer(_)
        | Stage::Calibrate(_)
        | Stage::Compare(_)
        | Stage::Decide(_) => None,
    }
}

/// The two stages of whose tables a row-wise stage takes a row each at a time, if it takes such; none of them streams.
#[must_use]
pub fn pair(stage: &Stage) -> Option<[&StageId; 2]> {
    match stage {
        Stage::Prefer(prefer) => Some([&prefer.base, &prefer.new]),
        Stage::Research(_)
        | Stage::Pull(_)
        | Stage::Generate(_)
        | Stage::Infer(_)
        | Stage::Judge(_)
        | Stage::Calibrate(_)
        | Stage::Compare(_)
        | Stage::Decide(_) => None,
    }
}

/// What works a row-wise stage's rows; none of a stage that works on whole tables.
///
/// # Errors
/// A check of its rubric does not compile.
pub fn row_stage(stage: &Stage) -> Result<Option<Box<dyn RowStage>>, CheckError> {
    Ok(match stage {
        Stage::Generate(spec) => Some(Box::new(generate::GenerateStage::new(spec))),
        Stage::Infer(spec) => Some(Box::new(infer::InferStage::new(spec))),
        Stage::Judge(spec) => Some(Box::new(judge::JudgeStage::new(spec)?)),
        Stage::Prefer(spec) => Some(Box::new(prefer::PreferStage::new(spec))),
        Stage::Research(_) | Stage::Pull(_) | Stage::Calibrate(_) | Stage::Compare(_) | Stage::Decide(_) => None,
    })
}

/// How many lines a row-wise stage makes of each row it takes.
#[must_use]
pub fn lines_each(stage: &Stage) -> u64 {
    match stage {
        Stage::Infer(infer) => u64::from(infer.repeat),
        Stage::Research(_)
        | Stage::Pull(_)
        | Stage::Generate(_)
        | Stage::Judge(_)
        | Stage::Prefer(_)
        | Stage::Calibrate(_)
        | Stage::Compare(_)
        | Stage::Decide(_) => 1,
    }
}

/// The models that a stage puts calls of either sort to.
pub fn models(stage: &Stage) -> impl Iterator<Item = &ModelRef> {
    seats(stage).iter().chain(embedder(stage))
}

/// The model that a stage asks to embed texts, if it asks any.
#[must_use]
pub fn embedder(stage: &Stage) -> Option<&ModelRef> {
    match stage {
        Stage::Generate(generate) => generate.near_duplicates.as_ref().and_then(NearDuplicates::embedder),
        Stage::Research(_)
        | Stage::Pull(_)
        | Stage::Infer(_)
        | Stage::Judge(_)
        | Stage::Prefer(_)
        | Stage::Calibrate(_)
        | Stage::Compare(_)
        | Stage::Decide(_) => None,
    }
}

/// The models that a stage asks for texts, each by its seat: several where it has a panel of judges.
#[must_use]
pub fn seats(stage: &Stage) -> &[ModelRef] {
    match stage {
        Stage::Research(_) | Stage::Pull(_) | Stage::Calibrate(_) | Stage::Compare(_) | Stage::Decide(_) => &[],
        Stage::Generate(generate) => {
            let writer = generate.expand().and_then(|expand| expand.writer.as_ref());
            writer.map(|writer| std::slice::from_ref(&writer.model)).unwrap_or_default()
        }
        Stage::Infer(infer) => std::slice::from_ref(&infer.model),
        Stage::Judge(judge) => &judge.models,
        Stage::Prefer(prefer) => std::slice::from_ref(&prefer.model),
    }
}

/// Tokens of context that a stage asks the embedded engine for.
#[must_use]
pub fn context(stage: &Stage, model: &ModelRef) -> Option<u32> {
    match stage {
        Stage::Infer(infer) => infer.context,
        Stage::Judge(judge) => judge.context.or_else(|| model.embedded()?.context),
        Stage::Prefer(prefer) => prefer.context,
        Stage::Generate(_) => model.embedded().and_then(|model| model.context),
        Stage::Research(_) | Stage::Pull(_) | Stage::Calibrate(_) | Stage::Compare(_) | Stage::Decide(_) => None,
    }
}
