//! Which model on the embedded engine is in memory when: one at a time, unless two fit side by side.
//!
//! Owns two decisions, both pure: which stage asks next, so that models are loaded as seldom as the graph allows, and which
//! loaded models go before another comes. A run takes them as things happen; [`turns`] plays them through beforehand.

use std::collections::BTreeSet;

use serde::Serialize;

use super::forecast::{Basis, Forecast};
use super::memory::{self, Needs};
use super::{Graph, PlanError, PlannedStage, Settled, Status};
use crate::engine::memory::Fit;
use crate::ids::StageId;
use crate::spec::{Embedded, ModelRef, Pipeline, Stage};
use crate::stage;
use crate::store::Store;

/// An engine in this process as stages name it: with another context it is another one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Slot<'a> {
    /// The model and its options.
    pub model: &'a Embedded,
    /// Tokens of context that are asked for.
    pub context: Option<u32>,
}

impl<'a> Slot<'a> {
    /// The embedded engines that a stage asks.
    pub fn of(stage: &'a Stage) -> impl Iterator<Item = Self> {
        let slot = |model| Some(Self { model: ModelRef::embedded(model)?, context: stage::context(stage, model) });
        stage::models(stage).filter_map(slot)
    }
}

/// A stage that has yet to ask an embedded model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pending<M> {
    /// Whom it asks.
    pub model: M,
    /// Whether it can start now.
    pub is_ready: bool,
    /// Which of the others must end before it, directly or not.
    pub waits_for: Vec<usize>,
}

/// Picks the stage that asks next: one whose model is loaded; else one of whose model no stage waits for another model, so
/// that it need not be loaded twice; else the first that is ready.
#[must_use]
pub fn next<M: PartialEq>(pending: &[Pending<M>], loaded: &[M]) -> Option<usize> {
    let ready = || (0..pending.len()).filter(|at| pending[*at].is_ready);
    let is_loaded = |at: &usize| loaded.contains(&pending[*at].model);
    let ends_with_it = |at: &usize| {
        let of_this = |other: &&Pending<M>| other.model == pending[*at].model;
        let waits = |other: &Pending<M>| other.waits_for.iter().any(|first| pending[*first].model != other.model);
        !pending.iter().filter(of_this).any(waits)
    };
    ready().find(is_loaded).or_else(|| ready().find(ends_with_it)).or_else(|| ready().next())
}

/// A model in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Loaded {
    /// Bytes that it may take.
    pub bytes: u64,
    /// Whether a stage has yet to ask it.
    pub is_needed: bool,
}

/// Which of the models in memory, the one asked last at the end, go before another of `bytes` comes: those that nobody
/// needs, and then, from the one that was asked longest ago, as many as it takes. Where nobody knows how much memory is
/// free, all of them.
#[must_use]
pub fn leaves(loaded: &[Loaded], bytes: u64, free: Option<u64>) -> Vec<usize> {
    let mut stays: BTreeSet<usize> = (0..loaded.len()).filter(|at| loaded[*at].is_needed).collect();
    let fits = |stays: &BTreeSet<usize>| {
        let taken = stays.iter().fold(bytes, |sum, at| sum.saturating_add(loaded[*at].bytes));
        free.is_some_and(|free| taken <= free)
    };
    while !stays.is_empty() && !fits(&stays) {
        stays.pop_first();
    }
    (0..loaded.len()).filter(|at| !stays.contains(at)).collect()
}

/// A model's time in memory.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Turn {
    /// What people call it.
    pub model: String,
    /// The stages that ask it meanwhile, in order.
    pub stages: Vec<StageId>,
    /// How it is held; none where its file is not here yet, or it does not fit.
    pub fit: Option<Fit>,
    /// Why it does not fit.
    pub shortage: Option<String>,
    /// What to do about that.
    pub help: Option<String>,
    /// The models that stay in memory beside it.
    pub beside: Vec<String>,
}

/// Says which models are in memory when, if the stages that would run do run.
///
/// # Errors
/// An input does not name what a stage needs, or the store cannot be read.
pub fn turns(
    pipeline: &Pipeline,
    graph: &Graph,
    planned: &[PlannedStage],
    store: &Store,
    free: Option<u64>,
) -> Result<Vec<Turn>, PlanError> {
    let settled = settled(pipeline, planned, store);
    let asking: Vec<(&StageId, Slot<'_>)> = planned
        .iter()
        .filter(|stage| matches!(stage.status, Status::Run(_)))
        .flat_map(|stage| Slot::of(&pipeline.stages[&stage.id]).map(|slot| (&stage.id, slot)))
        .collect();
    let needs = asking
        .iter()
        .map(|(_, slot)| memory::of_model(pipeline, store, &settled, slot.model, slot.context))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(play(graph, &asking, &needs, free))
}

/// Says how each model of a pipeline on the embedded engine would be held, by itself, whether it has to be asked or not:
/// with no more sequences than there are calls to make, where the forecast tells that.
///
/// # Errors
/// An input does not name what a stage needs, or the store cannot be read.
pub fn held(
    pipeline: &Pipeline,
    planned: &[PlannedStage],
    forecast: &Forecast,
    store: &Store,
    free: Option<u64>,
) -> Result<Vec<Turn>, PlanError> {
    let settled = settled(pipeline, planned, store);
    let mut found: Vec<(Slot<'_>, Vec<&StageId>)> = Vec::new();
    for (id, stage) in &pipeline.stages {
        for slot in Slot::of(stage) {
            match found.iter_mut().find(|(known, _)| *known == slot) {
                Some((_, stages)) if stages.contains(&id) => {}
                Some((_, stages)) => stages.push(id),
                None => found.push((slot, vec![id])),
            }
        }
    }
    let turn = |(slot, stages): (Slot<'_>, Vec<&StageId>)| {
        let needs = memory::of_model(pipeline, store, &settled, slot.model, slot.context)?;
        let needs = match most_calls(forecast, &stages) {
            Some(calls) => needs.map(|needs| needs.for_requests(calls)),
            None => needs,
        };
        let first = Turn::new(slot, stages[0], needs, free);
        Ok(Turn { stages: stages.into_iter().cloned().collect(), ..first })
    };
    found.into_iter().map(turn).collect()
}

/// The most calls that one of these stages makes; none where that is not known, or none makes any.
fn most_calls(forecast: &Forecast, stages: &[&StageId]) -> Option<u64> {
    let calls = stages.iter().filter_map(|id| forecast.stages.get(*id)?.calls);
    let most = calls.map(|calls| match (calls.to_make.value, calls.to_make.basis) {
        (Some(value), Basis::Exact | Basis::Forecast | Basis::AtMost) => Some(value),
        (_, _) => None,
    });
    most.collect::<Option<Vec<u64>>>()?.into_iter().max().filter(|most| *most > 0)
}

fn settled<'a>(pipeline: &'a Pipeline, planned: &[PlannedStage], store: &'a Store) -> Settled<'a> {
    let mut settled = Settled::new(pipeline, store);
    for stage in planned {
        if let Status::Cached(receipt) = &stage.status {
            settled.settle(stage.id.clone(), receipt);
        }
    }
    settled
}

impl Turn {
    fn new(slot: Slot<'_>, id: &StageId, needs: Option<Needs>, free: Option<u64>) -> Self {
        let fitted = needs.map(|needs| needs.fit(free));
        let shortage = fitted.and_then(Result::err);
        Self {
            model: slot.model.called().to_owned(),
            stages: vec![id.clone()],
            fit: fitted.and_then(Result::ok),
            shortage: shortage.map(|shortage| shortage.to_string()),
            help: shortage.map(|shortage| shortage.help()),
            beside: Vec::new(),
        }
    }
}

/// A model while its stages are played through.
struct Held<'a> {
    slot: Slot<'a>,
    bytes: u64,
}

fn play(graph: &Graph, asking: &[(&StageId, Slot<'_>)], needs: &[Option<Needs>], free: Option<u64>) -> Vec<Turn> {
    let mut left: Vec<usize> = (0..asking.len()).collect();
    let mut held: Vec<Held<'_>> = Vec::new();
    let mut turns: Vec<Turn> = Vec::new();
    let mut at_work: Option<Slot<'_>> = None;
    while !left.is_empty() {
        let pending = pending(graph, &left.iter().map(|at| asking[*at]).collect::<Vec<_>>());
        let loaded: Vec<Slot<'_>> = held.iter().map(|held| held.slot).collect();
        let chosen = next(&pending, &loaded).expect("a graph without circles always has a stage that can start");
        let at = left.remove(chosen);
        let (id, slot) = asking[at];
        if let (Some(turn), true) = (turns.last_mut(), at_work == Some(slot)) {
            turn.stages.push(id.clone());
            continue;
        }
        let turn = Turn::new(slot, id, needs[at], free);
        let known = held.iter().position(|held| held.slot == slot);
        let entry = match known {
            Some(known) => held.remove(known),
            None => {
                let bytes = match (turn.fit, &turn.shortage) {
                    (Some(fit), _) => fit.total,
                    // It is not loaded at all.
                    (None, Some(_)) => 0,
                    // Of a file that is not here nothing is known: it is taken to fill what there is.
                    (None, None) => u64::MAX,
                };
                let is_needed = |held: &Held<'_>| left.iter().any(|at| asking[*at].1 == held.slot);
                let loaded: Vec<Loaded> =
                    held.iter().map(|held| Loaded { bytes: held.bytes, is_needed: is_needed(held) }).collect();
                for gone in leaves(&loaded, bytes, free).into_iter().rev() {
                    held.remove(gone);
                }
                Held { slot, bytes }
            }
        };
        let beside = held.iter().map(|held| held.slot.model.called().to_owned()).collect();
        turns.push(Turn { beside, ..turn });
        held.push(entry);
        at_work = Some(slot);
    }
    turns
}

/// The stages as [`next`] sees them: ready are those that wait for none of the others.
fn pending<'a>(graph: &Graph, left: &[(&StageId, Slot<'a>)]) -> Vec<Pending<Slot<'a>>> {
    let entry = |(id, slot): &(&StageId, Slot<'a>)| {
        let is_before = |other: &usize| left[*other].0 != *id && graph.is_after(id, left[*other].0);
        let waits_for: Vec<usize> = (0..left.len()).filter(is_before).collect();
        Pending { model: *slot, is_ready: waits_for.is_empty(), waits_for }
    };
    left.iter().map(entry).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stage(model: char, is_ready: bool, waits_for: &[usize]) -> Pending<char> {
        Pending { model, is_ready, waits_for: waits_for.to_vec() }
    }

    #[test]
    fn stages_of_one_model_come_one_after_the_other() {
        let check = |pending: &[Pending<char>], loaded: &[char], expected| {
            assert_eq!(next(pending, loaded), expected, "{pending:?} {loaded:?}");
        };
        check(&[], &[], None);
        check(&[stage('a', false, &[])], &['a'], None);
        // Whoever asks what is loaded comes first, wherever it stands.
        let two = [stage('a', true, &[]), stage('b', true, &[]), stage('a', true, &[])];
        check(&two, &['b'], Some(1));
        check(&two, &['a'], Some(0));
        check(&two, &[], Some(0));
        check(&[stage('b', true, &[]), stage('a', false, &[])], &['a'], Some(0));
        // `b` judges what `a` answers, and has something of its own to do: it comes after, and once.
        let judged = [stage('b', true, &[]), stage('a', true, &[]), stage('b', false, &[1])];
        check(&judged, &[], Some(1));
        // Stages of a model that wait for each other need it loaded once.
        check(&[stage('a', true, &[]), stage('a', false, &[0]), stage('b', true, &[])], &[], Some(0));
        // Where each waits for the other, one is loaded twice whatever is done.
        let crossed = [stage('a', true, &[]), stage('b', true, &[]), stage('a', false, &[1]), stage('b', false, &[0])];
        check(&crossed, &[], Some(0));
    }

    #[test]
    fn a_model_stays_if_it_is_needed_and_fits() {
        let check = |loaded: &[(u64, bool)], bytes, free, expected: &[usize]| {
            let loaded: Vec<Loaded> =
                loaded.iter().map(|(bytes, is_needed)| Loaded { bytes: *bytes, is_needed: *is_needed }).collect();
            assert_eq!(leaves(&loaded, bytes, free), expected, "{loaded:?} {bytes} {free:?}");
        };
        check(&[], 9, Some(5), &[]);
        check(&[(4, true)], 5, Some(9), &[]);
        check(&[(4, true)], 6, Some(9), &[0]);
        check(&[(4, false)], 1, Some(9), &[0]);
        check(&[(4, true)], 1, None, &[0]);
        // The one that was asked longest ago goes first.
        check(&[(4, true), (3, true), (1, true)], 5, Some(9), &[0]);
        check(&[(4, true), (3, true), (1, true)], 6, Some(9), &[0, 1]);
        check(&[(4, true), (3, false), (1, true)], 4, Some(9), &[1]);
        check(&[(1, true)], u64::MAX, Some(9), &[0]);
    }
}
