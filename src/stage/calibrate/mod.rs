//! `calibrate`: verdicts and the labels of people → how far the judge can be trusted.
//!
//! Owns how labels find their verdicts, whose word counts where people differ, and what is measured of a judge; the formulas are
//! `stats`'. Whole-table, but only rows with labels are looked into: memory grows with labels, and with verdicts only where each
//! was asked for several times. Start at [`Tally`].

mod beside;
#[cfg(test)]
mod beside_tests;
mod measure;
mod people;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

pub use self::beside::{Beside, UnlikeReplies};
pub use self::measure::among;
use self::measure::{compared, lights, met, needed, steadiness};
use self::people::{People, consensus};
use super::decide::credit_field;
use super::row::template_context;
use crate::data::{
    Calibration, Confusion, CriterionCompared, Grade, Judged, LabelCounts, LengthEffect, Quote, RepliesLeftOut,
    VerdictKind,
};
use crate::ids::{CriterionId, ScenarioId};
use crate::judge::{Standing, grade};
use crate::key::BlobId;
use crate::spec::{self, Ask, Criterion, Floor, Label, LabelVerdict, REPLY_DIGITS, Rubric};
use crate::stats::{self, JudgedReply};

/// Raised when the same verdicts and labels would give another record.
pub const VERSION: u32 = 3;

/// The stage's own fields, as they go into its recipe, with what it takes of the rubric. Labels are known by their digest: neither
/// notes nor dates, nor lines that were withdrawn, decide anything.
#[must_use]
pub fn fields(calibrate: &spec::Calibrate, rubric: &Rubric) -> Value {
    let spec::Calibrate { verdicts: _, beside: _, gold: _, labels, floor, confidence } = calibrate;
    let Rubric { name: _, pass, criteria } = rubric;
    let criterion = |criterion: &Criterion| {
        let Criterion { id, weight, critical, when, ask } = criterion;
        let asked = matches!(ask, Ask::Question(_));
        let mut fields = json!({ "id": id, "weight": weight, "critical": critical, "when": when, "asked": asked });
        if let Ask::Scale(scale) = ask
            && let Some(credit) = credit_field(scale)
        {
            fields["credit"] = credit;
        }
        fields
    };
    let labels = serde_json::to_vec(labels).expect("labels are valid JSON");
    json!({
        "gold": BlobId::of(&labels),
        "floor": floor,
        "confidence": confidence,
        "rubric": { "pass": pass, "criteria": criteria.iter().map(criterion).collect::<Vec<_>>() },
    })
}

/// The part of a reply's blake3 that labels name.
#[must_use]
pub fn reply_digest(reply: &str) -> String {
    let mut digest = BlobId::of(reply.as_bytes()).to_string();
    digest.truncate(REPLY_DIGITS);
    digest
}

/// Whether a judge is asked a criterion about a scenario: not where code decides, nor where its condition does not hold.
#[must_use]
pub fn is_asked(criterion: &Criterion, scenario: &crate::data::Scenario) -> bool {
    let holds = || match &criterion.when {
        None => true,
        // What cannot be said is ungraded in the table, and so compared with nothing.
        Some(when) => when.holds(&template_context(scenario)).unwrap_or(false),
    };
    matches!(criterion.ask, Ask::Question(_)) && holds()
}

/// Counts verdicts as they come, and compares those that people labelled; [`Self::finish`] says how they compare. The order of
/// rows and of labels is nothing.
#[derive(Debug)]
pub struct Tally {
    rubric: Rubric,
    floor: Floor,
    confidence: f64,
    labels: BTreeMap<(ScenarioId, u32), Vec<Label>>,
    counts: LabelCounts,
    labellers: BTreeSet<String>,
    verdicts: Counted,
    replies: Counted,
    left_out: RepliesLeftOut,
    criteria: BTreeMap<CriterionId, Counted>,
    people: People,
    lengths: Vec<JudgedReply>,
    /// Of questions that were asked several times: how many answers there were, and how many passed.
    votes: Vec<(u32, u32)>,
    quotes: Share,
    unreadable: Share,
}

/// What people say of one criterion of one reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Labelled {
    /// Which.
    pub criterion: CriterionId,
    /// Whether they pass it.
    pub passes: bool,
}

/// So many of so many.
#[derive(Debug, Default, Clone, Copy)]
struct Share {
    count: u64,
    of: u64,
}

impl Share {
    fn add(&mut self, counts: bool) {
        self.count += u64::from(counts);
        self.of += 1;
    }
}

/// What the judge said in all, and against people.
#[derive(Debug, Default, Clone, Copy)]
struct Counted {
    judged: Share,
    table: Confusion,
    not_compared: u64,
}

impl Tally {
    /// An empty tally by the stage's labels and the rubric of the verdicts.
    #[must_use]
    pub fn new(calibrate: &spec::Calibrate, rubric: &Rubric) -> Self {
        let spec::Calibrate { verdicts: _, beside: _, gold: _, labels, floor, confidence } = calibrate;
        let mut by_reply: BTreeMap<(ScenarioId, u32), Vec<Label>> = BTreeMap::new();
        for label in labels {
            by_reply.entry((label.of.scenario.clone(), label.of.repetition)).or_default().push(label.clone());
        }
        let asked = rubric.criteria.iter().filter(|criterion| matches!(criterion.ask, Ask::Question(_)));
        Self {
            criteria: asked.map(|criterion| (criterion.id.clone(), Counted::default())).collect(),
            rubric: rubric.clone(),
            floor: *floor,
            confidence: *confidence,
            labels: by_reply,
            counts: LabelCounts { all: labels.len() as u64, ..LabelCounts::default() },
            labellers: BTreeSet::new(),
            verdicts: Counted::default(),
            replies: Counted::default(),
            left_out: RepliesLeftOut::default(),
            people: People::default(),
            lengths: Vec::new(),
            votes: Vec::new(),
            quotes: Share::default(),
            unreadable: Share::default(),
        }
    }

    /// Counts one judged response; gives the verdicts of people that it was compared with, or would have been had the judge said
    /// anything.
    pub fn add(&mut self, row: &Judged) -> Vec<Labelled> {
        if let Some(passed) = is_pass_grade(row.grade) {
            self.replies.judged.add(passed);
        }
        for verdict in &row.verdicts {
            let Some(counted) = self.criteria.get_mut(&verdict.criterion) else { continue };
            if let Some(passed) = is_pass(verdict.verdict) {
                counted.judged.add(passed);
                self.verdicts.judged.add(passed);
            }
            // Where there is no reply, the judge is not to blame.
            if row.reply.is_some() && verdict.verdict != VerdictKind::NotApplicable {
                self.unreadable.add(verdict.verdict == VerdictKind::Ungraded);
            }
            if let Some(quote) = verdict.quote {
                self.quotes.add(quote == Quote::Missing);
            }
            if let Some(votes) = verdict.votes
                && votes.pass + votes.fail > 1
            {
                self.votes.push((votes.pass + votes.fail, votes.pass));
            }
        }
        let labels = self.labels.remove(&(row.scenario.id.clone(), row.repetition));
        labels.map(|labels| self.compare(row, &labels)).unwrap_or_default()
    }

    /// Compares the judge with people on a row of which somebody labelled something.
    fn compare(&mut self, row: &Judged, labels: &[Label]) -> Vec<Labelled> {
        let digest = row.reply.as_deref().map(reply_digest);
        let (fresh, stale): (Vec<&Label>, Vec<&Label>) =
            labels.iter().partition(|label| Some(&label.of.reply) == digest.as_ref());
        self.counts.stale += stale.len() as u64;
        if fresh.is_empty() {
            return Vec::new();
        }
        let (mut found, mut labelled) = (Vec::new(), Vec::new());
        let (mut any_asked, mut incomplete, mut tied) = (false, false, false);
        for (criterion, verdict) in self.rubric.criteria.iter().zip(&row.verdicts) {
            let said: Vec<(&str, LabelVerdict)> = fresh
                .iter()
                .filter(|label| label.of.criterion == criterion.id)
                .map(|label| (label.of.labeller.as_str(), label.verdict))
                .collect();
            if !is_asked(criterion, &row.scenario) {
                self.counts.not_asked += said.len() as u64;
                found.push(Standing { verdict: verdict.verdict, level: verdict.level });
                continue;
            }
            self.counts.used += said.len() as u64;
            self.labellers.extend(said.iter().map(|(labeller, _)| (*labeller).to_owned()));
            self.people.add(&said);
            any_asked |= !said.is_empty();
            let verdicts: Vec<LabelVerdict> = said.iter().map(|(_, verdict)| *verdict).collect();
            let truth = match consensus(&verdicts) {
                Some(truth) => truth,
                None if verdicts.is_empty() => {
                    incomplete = true;
                    continue;
                }
                None => {
                    self.counts.tied += 1;
                    tied = true;
                    continue;
                }
            };
            found.push(Standing::from(kind(truth)));
            let counted = self.criteria.get_mut(&criterion.id).expect("every question has its counts");
            let truth = is_pass(kind(truth));
            labelled.extend(truth.map(|passes| Labelled { criterion: criterion.id.clone(), passes }));
            match (truth, is_pass(verdict.verdict)) {
                (Some(truth), Some(judged)) => {
                    counted.table.add(truth, judged);
                    self.verdicts.table.add(truth, judged);
                    let length = row.reply.as_deref().unwrap_or_default().chars().count();
                    self.lengths.push(JudgedReply { judged, truth, length: length.max(1) as f64 });
                }
                _ => {
                    counted.not_compared += 1;
                    self.verdicts.not_compared += 1;
                }
            }
        }
        if !any_asked {
            return labelled;
        }
        // A grade that only some labels decide would be more often a failure than the others are.
        match (tied, incomplete) {
            (true, _) => self.left_out.tied += 1,
            (false, true) => self.left_out.incomplete += 1,
            (false, false) => match (is_pass_grade(grade(&self.rubric, &found).grade), is_pass_grade(row.grade)) {
                (Some(truth), Some(judged)) => self.replies.table.add(truth, judged),
                _ => {
                    self.left_out.ungraded += 1;
                    self.replies.not_compared += 1;
                }
            },
        }
        labelled
    }

    /// Says how far the judge's verdicts so far are those of people.
    #[must_use]
    pub fn finish(self) -> Calibration {
        let Self {
            rubric,
            floor,
            confidence,
            labels,
            mut counts,
            labellers,
            verdicts,
            replies,
            left_out,
            mut criteria,
            people,
            lengths,
            votes,
            quotes,
            unreadable,
        } = self;
        counts.elsewhere = labels.values().map(|labels| labels.len() as u64).sum();
        counts.labellers = labellers.into_iter().collect();
        let in_order = rubric.criteria.iter().filter_map(|criterion| {
            let counted = criteria.remove(&criterion.id)?;
            Some(CriterionCompared { criterion: criterion.id.clone(), compared: compared(&counted, confidence) })
        });
        let criteria = in_order.collect();
        let length = length_effect(lengths);
        let steadiness = steadiness(&votes, confidence);
        let compared_verdicts = compared(&verdicts, confidence);
        Calibration {
            labels: counts,
            confidence,
            lights: lights(&verdicts.table, steadiness.as_ref(), length.as_ref(), quotes, unreadable),
            floor: met(&floor, &compared_verdicts),
            needed: needed(&replies, confidence),
            verdicts: compared_verdicts,
            replies: compared(&replies, confidence),
            replies_left_out: left_out,
            criteria,
            between_labellers: people.agreement(),
            steadiness,
            length,
            beside: None,
        }
    }
}

/// Length bias does not depend on the order in which replies come, but for the last digits of its sums: they are put in one order.
fn length_effect(mut replies: Vec<JudgedReply>) -> Option<LengthEffect> {
    replies.sort_by(|one, other| {
        one.length.total_cmp(&other.length).then_with(|| (one.truth, one.judged).cmp(&(other.truth, other.judged)))
    });
    let stats::LengthBias { slope, standard_error: _, z, p } = stats::length_bias(&replies)?;
    Some(LengthEffect { slope, z, p })
}

fn kind(verdict: LabelVerdict) -> VerdictKind {
    match verdict {
        LabelVerdict::Pass => VerdictKind::Pass,
        LabelVerdict::Fail => VerdictKind::Fail,
        LabelVerdict::NotApplicable => VerdictKind::NotApplicable,
    }
}

fn is_pass(verdict: VerdictKind) -> Option<bool> {
    match verdict {
        VerdictKind::Pass => Some(true),
        VerdictKind::Fail => Some(false),
        VerdictKind::NotApplicable | VerdictKind::Ungraded => None,
    }
}

fn is_pass_grade(grade: Grade) -> Option<bool> {
    match grade {
        Grade::Pass => Some(true),
        Grade::Fail => Some(false),
        Grade::Ungraded | Grade::Invalid => None,
    }
}
