//! What of a pipeline is due, as far as what came out so far tells: at which of its looks a decision is that may stop early, and
//! whether a backup is to be looked at.
//!
//! Everything else in `plan`, and `exec` a pass at a time, works with the pipeline that this gives, which is an ordinary one. Pure
//! lookup: what cannot be read counts as not known, and is told by whoever needs it. Start at [`course`] and [`locked_course`].

use std::borrow::Cow;

use serde_json::Value;

use super::{Graph, Resolved, Selection, Settled, resolve};
use crate::data::Decision;
use crate::ids::StageId;
use crate::lock::Lock;
use crate::spec::{ClusterBy, Decide, Infer, Judge, Looks, Pipeline, Sample, Stage, Target};
use crate::stage::{self, Known, decide, sample};
use crate::store::Store;

/// What of a pipeline is due.
#[derive(Debug, Clone)]
pub struct Course<'a> {
    /// The pipeline without the stages that are spared, and with the scenarios that are looked at.
    pub pipeline: Cow<'a, Pipeline>,
    /// Stages that are there for a backup only, which is not due, or not yet.
    pub spared: Vec<StageId>,
    /// Stages whose looks are not known before others have come to their end.
    pub waits: Vec<StageId>,
    /// Stages that may have to go on with more scenarios after this.
    pub may_go_on: Vec<StageId>,
}

impl<'a> Course<'a> {
    fn whole(pipeline: &'a Pipeline) -> Self {
        Self { pipeline: Cow::Borrowed(pipeline), spared: Vec::new(), waits: Vec::new(), may_go_on: Vec::new() }
    }

    fn decide(&self) -> Option<&Decide> {
        self.pipeline.stages.values().find_map(decide_of)
    }

    /// Whether a backup is looked at.
    #[must_use]
    pub fn is_of_backup(&self) -> bool {
        self.decide().and_then(|decide| decide.backup.as_ref()).is_some_and(|backup| backup.is_due)
    }

    /// Whether both are about the same looks and the same backup.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        let due = |course: &Self| course.decide().map(|decide| (decide.sequential, decide.backup.clone()));
        self.waits == other.waits && self.spared == other.spared && due(self) == due(other)
    }

    /// What can be run now.
    #[must_use]
    pub fn pass(&self) -> Cow<'_, Pipeline> {
        if self.waits.is_empty() {
            return Cow::Borrowed(&self.pipeline);
        }
        let mut pipeline = self.pipeline.clone().into_owned();
        pipeline.stages.retain(|id, _| !self.waits.contains(id));
        Cow::Owned(pipeline)
    }
}

fn decide_of(stage: &Stage) -> Option<&Decide> {
    if let Stage::Decide(decide) = stage { Some(decide) } else { None }
}

/// The stages between a table of scenarios and the decision on them.
struct Way<'a> {
    decision: &'a StageId,
    decide: &'a Decide,
    verdicts: &'a StageId,
    answers: &'a StageId,
    scenarios: &'a StageId,
}

impl<'a> Way<'a> {
    /// The decision of a pipeline that may stop early or has a backup; none of another.
    fn of(pipeline: &'a Pipeline) -> Option<Self> {
        let (decision, decide) = pipeline.stages.iter().find_map(|(id, stage)| Some((id, decide_of(stage)?)))?;
        if decide.sequential.is_none() && decide.backup.is_none() {
            return None;
        }
        let verdicts = &decide.verdicts;
        let Some(Stage::Judge(Judge { answers, .. })) = pipeline.stages.get(verdicts) else { return None };
        let Some(Stage::Infer(Infer { scenarios, .. })) = pipeline.stages.get(answers) else { return None };
        Some(Self { decision, decide, verdicts, answers, scenarios })
    }

    fn stages(&self) -> [&'a StageId; 3] {
        [self.answers, self.verdicts, self.decision]
    }

    /// The sample that a look is at; none where it is at all scenarios.
    fn sample(&self, looks: Looks) -> Option<Sample> {
        let unit = match self.decide.target {
            // Whatever a suite's scenarios have in common, it is this suite.
            Target::Suite => ClusterBy::Nothing,
            Target::Population => self.decide.cluster.clone(),
        };
        (looks.now > 0).then_some(Sample { seed: self.decide.seed, unit, round: looks.now })
    }

    /// The pipeline at a look.
    fn at(&self, pipeline: &Pipeline, looks: Option<Looks>, is_due: bool) -> Pipeline {
        let mut at = pipeline.clone();
        if let Some(Stage::Decide(decide)) = at.stages.get_mut(self.decision) {
            decide.sequential = looks;
            if let Some(backup) = &mut decide.backup {
                backup.is_due = is_due;
            }
        }
        if let (Some(looks), Some(Stage::Infer(infer))) = (looks, at.stages.get_mut(self.answers)) {
            infer.sample = self.sample(looks);
        }
        at
    }

    /// The looks there may be at so many scenarios, from the first on: one without a name, where the decision is made at once. None
    /// where the number is not known and matters.
    fn looks(&self, scenarios: Option<u64>) -> Option<Vec<Option<Looks>>> {
        if self.decide.sequential.is_none() {
            return Some(vec![None]);
        }
        let scenarios = scenarios?;
        let first = sample::first_round(scenarios);
        Some((0..=first).rev().map(|now| Some(Looks { first, now, scenarios })).collect())
    }

    fn course<'p>(
        &self,
        pipeline: &'p Pipeline,
        looks: Option<Looks>,
        is_due: bool,
        selection: &Selection,
    ) -> Course<'p> {
        let mut at = self.at(pipeline, looks, is_due);
        let spared = if is_due { Vec::new() } else { only_for_backup(pipeline, &at, selection) };
        at.stages.retain(|id, _| !spared.contains(id));
        let goes_on = looks.is_some_and(|looks| looks.now > 0);
        let may_go_on = if goes_on { self.stages().into_iter().cloned().collect() } else { Vec::new() };
        Course { pipeline: Cow::Owned(at), spared, waits: Vec::new(), may_go_on }
    }
}

/// Finds out what of a pipeline is due by what is in the store. Stages that are named, and what they read, are due in any case.
#[must_use]
pub fn course<'a>(pipeline: &'a Pipeline, store: &Store, selection: &Selection) -> Course<'a> {
    let Some(way) = Way::of(pipeline) else { return Course::whole(pipeline) };
    let known = settled(pipeline, store, &way);
    let Some(looks) = way.looks(known.rows(way.scenarios)) else {
        // Until their number is known, as many may be looked at as there are.
        let waits = way.stages().into_iter().cloned().collect();
        return Course { waits, ..way.course(pipeline, Some(Looks::default()), false, selection) };
    };
    let (mut now, mut decided) = (0, None);
    for (at, looks_at) in looks.iter().enumerate() {
        match outcome(&way, &way.at(pipeline, *looks_at, false), known.clone(), store) {
            // An earlier look may be gone from the store; what came of a later one holds all the same.
            None => {}
            Some(decision) if decision.goes_on() => now = (at + 1).min(looks.len() - 1),
            Some(decision) => {
                (now, decided) = (at, Some(decision));
                break;
            }
        }
    }
    let is_due = way.decide.backup.is_some() && decided.is_some_and(|decision| decision.fails());
    way.course(pipeline, looks[now], is_due, selection)
}

/// Finds out what of a pipeline was due when it was blessed.
#[must_use]
pub fn locked_course<'a>(pipeline: &'a Pipeline, lock: &Lock) -> Course<'a> {
    let Some(way) = Way::of(pipeline) else { return Course::whole(pipeline) };
    let Some(locked) = lock.stages.get(way.decision) else { return Course::whole(pipeline) };
    let rows = lock.stages.get(way.scenarios).and_then(|scenarios| scenarios.rows);
    let looks = way.looks(rows).unwrap_or_else(|| vec![Some(Looks::default())]);
    let was_at =
        |looks: &Option<Looks>| looks.is_none_or(|looks| locked.has("sequential", &decide::looks_field(looks)));
    // Where it was none of them, it differs from all: the last is as good as any to say so.
    let looks = looks.iter().copied().find(was_at).or(looks.last().copied()).flatten();
    way.course(pipeline, looks, !locked.has("backup", &Value::Null), &Selection::default())
}

/// The stages that nothing but a backup needs, and that are not asked for by name.
fn only_for_backup(pipeline: &Pipeline, without: &Pipeline, selection: &Selection) -> Vec<StageId> {
    let (all, left) = (Graph::new(pipeline), Graph::new(without));
    let is_end = |id: &&StageId| all.readers(id).next().is_none();
    let ends: Vec<&StageId> = all.order().iter().filter(is_end).collect();
    let is_needed = |id: &StageId| {
        ends.iter().any(|end| left.is_after(end, id)) || selection.named().any(|named| all.is_after(named, id))
    };
    all.order().iter().filter(|id| !is_needed(id)).cloned().collect()
}

/// What is known of the stages that do not lie on the way.
fn settled<'a>(pipeline: &'a Pipeline, store: &'a Store, way: &Way<'_>) -> Settled<'a> {
    let mut settled = Settled::new(pipeline, store);
    for id in Graph::new(pipeline).order() {
        if !way.stages().contains(&id) {
            settle(pipeline, id, &mut settled, store);
        }
    }
    settled
}

/// What a decision came to, if it and all that it rests on are in the store.
fn outcome(way: &Way<'_>, pipeline: &Pipeline, mut known: Settled<'_>, store: &Store) -> Option<Decision> {
    for id in Graph::new(pipeline).order() {
        if !known.is_settled(id) {
            settle(pipeline, id, &mut known, store);
        }
    }
    known.is_settled(way.decision).then_some(())?;
    serde_json::from_slice(&known.record(way.decision).ok()?).ok()
}

/// Settles a stage whose result is in the store.
fn settle(pipeline: &Pipeline, id: &StageId, settled: &mut Settled<'_>, store: &Store) {
    let stage = &pipeline.stages[id];
    if stage::reads(stage).into_iter().all(|read| settled.is_settled(read))
        && let Ok(Resolved::Hit(receipt)) = resolve(pipeline, id, stage, settled, store)
    {
        settled.settle(id.clone(), &receipt);
    }
}
