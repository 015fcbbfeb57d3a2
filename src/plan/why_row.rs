//! Why one row is asked again: its prompts now and as they were.
//!
//! Rows are made again from recipes and tables in the store. Never asks an engine. Start at [`why_row`].

use serde_json::Value;

use super::changed_rows::scenario_of;
use super::gaps::upstream;
use super::why::{self, Against, Baseline, Earlier, Now, WhyError};
use super::{Graph, PlanError, fields_changed, kept};
use crate::engine::{CallKeys, Identity, Message, Question, Request};
use crate::ids::{CriterionId, StageId};
use crate::key::{BlobId, FieldChange, Key};
use crate::spec::{Ask, Generate, Judge, JudgeMode, ModelRef, NearDuplicates, Pipeline, Rubric, Stage};
use crate::stage::{self, Asked, Known as _, RowStage, Step, generate, infer, judge};
use crate::store::{Store, StoreError};

/// Names of scenarios kept to say which one may have been meant.
const MOST_NAMES: usize = 10_000;

/// Why one row is what it is.
#[derive(Debug, Clone, PartialEq)]
pub struct WhyRow {
    /// The stage.
    pub stage: StageId,
    /// Its kind.
    pub kind: &'static str,
    /// The row.
    pub scenario: String,
    /// What it was compared with; none if there is nothing earlier.
    pub against: Option<Against>,
    /// What is known of the row as it was.
    pub then: RowThen,
    /// What the row is now.
    pub now: RowNow,
    /// Fields that concern all rows: of the model, how it is asked.
    pub changes: Vec<FieldChange>,
    /// Fields that are not what a lock says, where the lock's digests are all that is known of what they were.
    pub digests: Vec<String>,
    /// Its calls.
    pub calls: Vec<WhyCall>,
}

/// Whether a row can be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RowNow {
    /// It can.
    There,
    /// It depends on a call that has yet to be made, of this stage.
    Waits(StageId),
}

/// What is known of a row as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowThen {
    /// All, or that it was not there.
    Known,
    /// Nothing: the lock has only digests, and the store no longer has the result that it names.
    OnlyDigests,
    /// Nothing: the table that it was made of is not in the store any more.
    NoTable,
}

/// Why one call of a row is what it is.
#[derive(Debug, Clone, PartialEq)]
pub struct WhyCall {
    /// The criterion that a judge is asked about; none where it is asked about all together.
    pub criterion: Option<CriterionId>,
    /// The judge, where there is a panel of them.
    pub judge: Option<String>,
    /// What it asked then; none if it did not ask, or nothing earlier is known.
    pub old: Option<Vec<Message>>,
    /// What it asks now; none if it does not ask any more.
    pub new: Option<Vec<Message>>,
    /// Fields of its criterion that changed.
    pub changes: Vec<FieldChange>,
    /// Whether the reply is in the store; unknown where the model is.
    pub reply: Option<Reply>,
}

/// Whether a reply is in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reply {
    /// It is, made by a run that started then, in seconds since 1970.
    Kept(i64),
    /// It is not.
    Missing,
}

/// Why a row cannot be explained.
#[derive(Debug, thiserror::Error)]
pub enum WhyRowError {
    /// The stage cannot be explained.
    #[error(transparent)]
    Why(#[from] WhyError),
    /// The stage has no rows with prompts.
    #[error("`{stage}` is a `{kind}` stage, which asks nothing about one row of one table")]
    NoCalls {
        /// The stage.
        stage: StageId,
        /// Its kind.
        kind: &'static str,
    },
    /// There is no such row, now or then.
    #[error("unknown scenario `{scenario}`")]
    NoScenario {
        /// The name.
        scenario: String,
        /// The names that there are, or the first of many.
        known: Vec<String>,
    },
    /// A row cannot be made again.
    #[error("a row of `{stage}` cannot be read: {message}")]
    BadRow {
        /// The stage.
        stage: StageId,
        /// What is wrong.
        message: String,
    },
}

impl From<StoreError> for WhyRowError {
    fn from(error: StoreError) -> Self {
        Self::Why(error.into())
    }
}

impl From<PlanError> for WhyRowError {
    fn from(error: PlanError) -> Self {
        Self::Why(error.into())
    }
}

impl WhyRowError {
    /// The way on, as an imperative sentence.
    #[must_use]
    pub fn help(&self) -> String {
        match self {
            Self::Why(error) => error.help(),
            Self::NoCalls { .. } => "name a stage that asks a model, or leave out `#` and what follows".to_owned(),
            Self::NoScenario { scenario, known } => {
                let names: Vec<&str> = known.iter().map(String::as_str).collect();
                if names.is_empty() {
                    "the table is empty".to_owned()
                } else {
                    crate::spec::did_you_mean(scenario, &names)
                }
            }
            Self::BadRow { .. } => "remove the store and run again: another version wrote it".to_owned(),
        }
    }
}

/// A row that a stage reads.
enum Input {
    Line(String),
    /// It depends on a call of this stage that has yet to be made.
    Waits(StageId),
    NoSuch(Vec<String>),
}

/// Says what one row of a stage asks and asked.
///
/// # Errors
/// The row or the stage's calls are not known, or a file or the store cannot be read.
pub fn why_row(
    pipeline: &Pipeline,
    graph: &Graph,
    store: &Store,
    id: &StageId,
    scenario: &str,
    baseline: Baseline<'_>,
) -> Result<WhyRow, WhyRowError> {
    let stage = &pipeline.stages[id];
    let kind = stage::kind(stage);
    let input = match stage {
        Stage::Infer(spec) => ("scenarios", &spec.scenarios),
        Stage::Judge(spec) => ("answers", &spec.answers),
        // A row of two tables has no single one behind it.
        Stage::Research(_)
        | Stage::Pull(_)
        | Stage::Generate(_)
        | Stage::Prefer(_)
        | Stage::Calibrate(_)
        | Stage::Compare(_)
        | Stage::Decide(_) => {
            return Err(WhyRowError::NoCalls { stage: id.clone(), kind });
        }
    };
    let now = Now::new(pipeline, graph, store)?;
    let earlier = now.earlier(id, baseline)?;
    let (was, then) = match &earlier {
        Some(earlier) => Was::read(store, stage, earlier, input.0, scenario)?,
        None => (Was::default(), RowThen::Known),
    };
    let (line, row_now) = match row_of(&now, input.1, scenario)? {
        Input::Line(line) => (Some(line), RowNow::There),
        Input::Waits(stage) => (None, RowNow::Waits(stage)),
        Input::NoSuch(known) if was.line.is_none() => {
            return Err(WhyRowError::NoScenario { scenario: scenario.to_owned(), known });
        }
        Input::NoSuch(_) => (None, RowNow::There),
    };
    let (changes, digests) = match (earlier.as_ref().map(|earlier| &earlier.was), now.recipe(id)?) {
        (Some(why::Was::Recipe(old)), Some(recipe)) => {
            let new: Value = serde_json::from_str(recipe.canonical()).expect("a recipe is valid JSON");
            (fields_changed(old, &new), Vec::new())
        }
        (Some(why::Was::Digests(locked)), Some(recipe)) => (Vec::new(), locked.differing(&recipe)),
        (None, _) | (_, None) => (Vec::new(), Vec::new()),
    };
    let keys = keys(&now, stage);
    let judges = if let seats @ [_, _, ..] = stage::seats(stage) { seats } else { &[] };
    let mut calls = Vec::new();
    for pair in pairs(id, stage, line.as_deref(), &was)? {
        if judges.is_empty() {
            calls.push(call(store, keys.first(), pair, None, &changes)?);
            continue;
        }
        // All judges are asked in the same words.
        for (seat, judge) in judges.iter().enumerate() {
            calls.push(call(store, keys.get(seat), pair.clone(), Some(judge), &changes)?);
        }
    }
    let general = |change: &FieldChange| {
        let shown_elsewhere = ["system", "prompt"].contains(&change.path.as_str()) || change.path.starts_with("rubric");
        !shown_elsewhere && upstream(stage, &change.path).is_none_or(|(input, _)| input != change.path)
    };
    let changes = changes.into_iter().filter(general).collect();
    let against = earlier.map(|earlier| earlier.against);
    let (stage, scenario) = (id.clone(), scenario.to_owned());
    Ok(WhyRow { stage, kind, scenario, against, then, now: row_now, changes, digests, calls })
}

/// The stage and its row as they were.
#[derive(Default)]
struct Was {
    stage: Option<Stage>,
    line: Option<String>,
}

impl Was {
    fn read(
        store: &Store,
        stage: &Stage,
        earlier: &Earlier<'_>,
        input: &str,
        scenario: &str,
    ) -> Result<(Self, RowThen), StoreError> {
        let recipe = match &earlier.was {
            why::Was::Recipe(recipe) => recipe,
            why::Was::Digests(_) => return Ok((Self::default(), RowThen::OnlyDigests)),
        };
        let fields = &recipe["fields"];
        let stage = match stage {
            Stage::Infer(now) => infer::with_fields(now, fields).map(Stage::Infer),
            Stage::Judge(now) => judge::with_fields(now, fields).map(Stage::Judge),
            Stage::Research(_)
            | Stage::Pull(_)
            | Stage::Generate(_)
            | Stage::Prefer(_)
            | Stage::Calibrate(_)
            | Stage::Compare(_)
            | Stage::Decide(_) => None,
        };
        let blob: Option<BlobId> = fields[input].as_str().and_then(|text| text.parse().ok());
        let (line, then) = match blob {
            Some(blob) if store.has(&blob)? => (find(store, &blob, scenario)?.ok(), RowThen::Known),
            Some(_) | None => (None, RowThen::NoTable),
        };
        Ok((Self { stage, line }, then))
    }
}

/// The row of a scenario in a table, or the names that there are.
fn find(store: &Store, blob: &BlobId, scenario: &str) -> Result<Result<String, Vec<String>>, StoreError> {
    let mut names = Vec::new();
    for line in store.lines(blob)? {
        let line = line.map_err(|source| StoreError::Io { source })?;
        let Some(name) = scenario_of(&line) else { continue };
        if name == scenario {
            return Ok(Ok(line));
        }
        if names.len() < MOST_NAMES && names.last() != Some(&name) {
            names.push(name);
        }
    }
    Ok(Err(names))
}

/// The row of a scenario in a stage's table, made from the stage's input and the store where the table is not there.
fn row_of(now: &Now<'_>, id: &StageId, scenario: &str) -> Result<Input, WhyRowError> {
    if now.settled.is_settled(id) {
        return Ok(match find(now.store, &now.settled.output(id), scenario)? {
            Ok(line) => Input::Line(line),
            Err(known) => Input::NoSuch(known),
        });
    }
    let stage = &now.pipeline.stages[id];
    let bad = |message: String| WhyRowError::BadRow { stage: id.clone(), message };
    let line = match stage {
        Stage::Generate(spec) => {
            let rows = generate::rows(spec, &now.pipeline.root).map_err(|error| bad(error.to_string()))?;
            let mut names = Vec::new();
            let mut found = None;
            for cell in rows.cells {
                let cell = cell.map_err(|error| bad(error.to_string()))?;
                if cell.scenario.id.as_str() == scenario {
                    found = Some(cell);
                    break;
                }
                if names.len() < MOST_NAMES {
                    names.push(cell.scenario.id.to_string());
                }
            }
            let Some(cell) = found else { return Ok(Input::NoSuch(names)) };
            cell.to_line()
        }
        Stage::Infer(spec) => match row_of(now, &spec.scenarios, scenario)? {
            Input::Line(line) => line,
            other @ (Input::Waits(_) | Input::NoSuch(_)) => return Ok(other),
        },
        Stage::Research(_)
        | Stage::Pull(_)
        | Stage::Judge(_)
        | Stage::Prefer(_)
        | Stage::Calibrate(_)
        | Stage::Compare(_)
        | Stage::Decide(_) => {
            return Ok(Input::Waits(id.clone()));
        }
    };
    // What a row asks next does not rest on the scenario that it nearly repeats: nothing need be embedded.
    let unmarked = match stage {
        Stage::Generate(spec) => {
            let near_duplicates = spec.near_duplicates.clone().map(|near| NearDuplicates { embed: None, ..near });
            &Stage::Generate(Generate { near_duplicates, ..spec.clone() })
        }
        Stage::Research(_)
        | Stage::Pull(_)
        | Stage::Infer(_)
        | Stage::Judge(_)
        | Stage::Prefer(_)
        | Stage::Calibrate(_)
        | Stage::Compare(_)
        | Stage::Decide(_) => stage,
    };
    let work = stage::row_stage(unmarked).map_err(|error| bad(error.to_string()))?.expect("it works row by row");
    let keys = keys(now, unmarked);
    let calls = now.store.calls()?;
    let mut step = work.start(&line).map_err(|error| bad(error.to_string()))?;
    loop {
        match step {
            Step::Done(row) => {
                return Ok(row.lines.into_iter().next().map_or(Input::Waits(id.clone()), Input::Line));
            }
            Step::Ask(questions, rest) => {
                let mut answers = Vec::new();
                for question in &questions {
                    let seat = if let Question::Complete { seat, request: _ } = question { *seat } else { 0 };
                    let key = keys.get(seat).map(|keys| keys.of(question));
                    let stored = key.map(|key| kept(&calls, question, &key)).transpose()?.flatten();
                    let Some(answer) = stored else { return Ok(Input::Waits(id.clone())) };
                    answers.push(Asked::from(answer));
                }
                step = rest.resume(answers);
            }
        }
    }
}

/// What makes the keys of a stage's calls now, by seat; empty where it is not known who answers.
fn keys(now: &Now<'_>, stage: &Stage) -> Vec<CallKeys> {
    let missing = stage::reads(stage)
        .into_iter()
        .any(|read| matches!(now.pipeline.stages[read], Stage::Pull(_)) && !now.settled.is_settled(read));
    if missing {
        return Vec::new();
    }
    let identity = |model| stage::identity(now.pipeline, model, &now.settled);
    let identities: Result<Vec<Identity>, _> = stage::seats(stage).iter().map(identity).collect();
    identities.unwrap_or_default().iter().map(CallKeys::new).collect()
}

/// One call then and now.
#[derive(Clone)]
struct Pair {
    criterion: Option<CriterionId>,
    old: Option<Request>,
    new: Option<Request>,
}

/// Matches what the row asked and asks: by criterion for a judge, in order otherwise.
fn pairs(id: &StageId, stage: &Stage, line: Option<&str>, was: &Was) -> Result<Vec<Pair>, WhyRowError> {
    let bad = |message: String| WhyRowError::BadRow { stage: id.clone(), message };
    let ask = |work: &dyn RowStage, line: Option<&str>| -> Result<Vec<Request>, WhyRowError> {
        let Some(line) = line else { return Ok(Vec::new()) };
        match work.start(line).map_err(|error| bad(error.to_string()))? {
            Step::Ask(questions, _) => Ok(questions.iter().filter_map(Question::request).cloned().collect()),
            Step::Done(_) => Ok(Vec::new()),
        }
    };
    let old_line = was.line.as_deref();
    match (stage, &was.stage) {
        (Stage::Infer(now), then) => {
            let then = match then {
                Some(Stage::Infer(then)) => ask(&infer::InferStage::new(then), old_line)?,
                _ => Vec::new(),
            };
            let now = ask(&infer::InferStage::new(now), line)?;
            // Answers that are asked for several times have the same prompt each time.
            let (old, new) = (then.into_iter().next(), now.into_iter().next());
            Ok(if old.is_none() && new.is_none() { Vec::new() } else { vec![Pair { criterion: None, old, new }] })
        }
        (Stage::Judge(now), then) => {
            let then = match then {
                Some(Stage::Judge(then)) => Some(then),
                _ => None,
            };
            if now.mode == JudgeMode::Together {
                let first = |judge: &Judge, line| -> Result<Option<Request>, WhyRowError> {
                    let work = judge::JudgeStage::new(judge).map_err(|error| bad(error.to_string()))?;
                    Ok(ask(&work, line)?.into_iter().next())
                };
                let then = then.filter(|then| then.mode == JudgeMode::Together);
                let (old, new) = (then.map(|then| first(then, old_line)).transpose()?.flatten(), first(now, line)?);
                let pair = Pair { criterion: None, old, new };
                return Ok(if pair.old.is_none() && pair.new.is_none() { Vec::new() } else { vec![pair] });
            }
            let asked = |judge: &Judge, criterion: &CriterionId, line| -> Result<Option<Request>, WhyRowError> {
                let wanted = judge.rubric.criteria.iter().find(|one| one.id == *criterion);
                let Some(wanted) = wanted.filter(|one| matches!(one.ask, Ask::Question(_) | Ask::Scale(_))) else {
                    return Ok(None);
                };
                let rubric = Rubric { criteria: vec![wanted.clone()], ..judge.rubric.clone() };
                let only = Judge { rubric, ..judge.clone() };
                let work = judge::JudgeStage::new(&only).map_err(|error| bad(error.to_string()))?;
                Ok(ask(&work, line)?.into_iter().next())
            };
            let mut criteria: Vec<&CriterionId> = now.rubric.criteria.iter().map(|one| &one.id).collect();
            let gone = then.iter().flat_map(|then| &then.rubric.criteria).map(|one| &one.id);
            let gone: Vec<_> = gone.filter(|id| !criteria.contains(id)).collect();
            criteria.extend(gone);
            let mut pairs = Vec::new();
            for criterion in criteria {
                let old = then.map(|then| asked(then, criterion, old_line)).transpose()?.flatten();
                let new = asked(now, criterion, line)?;
                if old.is_some() || new.is_some() {
                    pairs.push(Pair { criterion: Some(criterion.clone()), old, new });
                }
            }
            Ok(pairs)
        }
        (
            Stage::Research(_)
            | Stage::Pull(_)
            | Stage::Generate(_)
            | Stage::Prefer(_)
            | Stage::Calibrate(_)
            | Stage::Compare(_)
            | Stage::Decide(_),
            _,
        ) => Ok(Vec::new()),
    }
}

fn call(
    store: &Store,
    keys: Option<&CallKeys>,
    pair: Pair,
    judge: Option<&ModelRef>,
    changes: &[FieldChange],
) -> Result<WhyCall, StoreError> {
    let Pair { criterion, old, new } = pair;
    let key: Option<Key> = new.as_ref().zip(keys).map(|(request, keys)| keys.key(request));
    let reply = match key {
        Some(key) => Some(store.calls()?.made_at(&key)?.map_or(Reply::Missing, Reply::Kept)),
        None => None,
    };
    let prefix = criterion.as_ref().map(|criterion| format!("rubric.criteria[{criterion}]"));
    let own = |change: &&FieldChange| {
        // The question's own words are shown as part of the prompt.
        prefix.as_ref().is_some_and(|prefix| {
            change.path.strip_prefix(prefix.as_str()).is_some_and(|rest| !rest.starts_with(".ask.question"))
        })
    };
    let changes = changes.iter().filter(own).cloned().collect();
    let messages = |request: Option<Request>| request.map(|request| request.messages);
    let judge = judge.map(|judge| judge.called().to_owned());
    Ok(WhyCall { criterion, judge, old: messages(old), new: messages(new), changes, reply })
}
