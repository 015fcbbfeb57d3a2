//! Reports decisions that could not stop early as they are written, and backups that could not take over.

use indexmap::IndexMap;

use super::calibrate::is_same_judge;
use super::stages::Sketch;
use super::wires::{Kind, Outline};
use crate::ids::StageId;
use crate::spec::gate::{Bound, GateRule};
use crate::spec::looks::Backup;
use crate::spec::pipeline::{Decide, Judge, Stage, Target, Votes};
use crate::spec::problem::{Code, Problem};
use crate::spec::read::Field;

/// A decision, and what is known of its stages.
struct Written<'a> {
    id: &'a StageId,
    decide: &'a Decide,
    stages: &'a IndexMap<StageId, Stage>,
    body: Field<'a>,
    outline: &'a Outline<'a>,
}

/// Reports what is wrong with early stops and backups.
pub(super) fn report(sketches: &[Sketch<'_>], stages: &IndexMap<StageId, Stage>, outline: &Outline<'_>) {
    for sketch in sketches.iter().filter(|sketch| sketch.kind == Kind::Decide) {
        let Some((id, Stage::Decide(decide))) = sketch.id.as_ref().and_then(|id| stages.get_key_value(id)) else {
            continue;
        };
        let written = Written { id, decide, stages, body: sketch.body, outline };
        written.looks_more_than_once();
        written.shares_tables();
        written.cannot_take_over();
    }
}

impl<'a> Written<'a> {
    fn field(&self, name: &str) -> Option<Field<'a>> {
        entry(self.body, name)
    }

    /// The field, if the decision may stop early.
    fn sequential(&self) -> Option<Field<'a>> {
        self.decide.sequential.and_then(|_| self.field("sequential"))
    }

    /// What holds for one look only cannot be looked at again and again.
    fn looks_more_than_once(&self) {
        let Some(sequential) = self.sequential() else { return };
        let answers = match self.stages.get(&self.decide.verdicts) {
            Some(Stage::Judge(judge)) => Some(&judge.answers),
            _ => None,
        };
        let repeats = match answers.and_then(|answers| self.stages.get(answers)) {
            Some(Stage::Infer(infer)) => infer.repeat,
            _ => 1,
        };
        let suite_only = self.decide.target == Target::Suite;
        let reasons = [
            (
                "calibration",
                self.decide.calibration.is_some(),
                "a rate that is corrected by labels holds for one look, not for several",
                "remove `sequential` or `calibration`".to_owned(),
            ),
            (
                "votes",
                matches!(self.decide.votes, Votes::DawidSkene(_)),
                "votes are weighed by all verdicts, so each look would change those before it",
                "remove `sequential` or `votes`".to_owned(),
            ),
            (
                "target",
                suite_only && repeats > 1,
                "the passes of a suite are counted by scenario, and here each has several answers",
                answers.map_or_else(String::new, |answers| {
                    format!("remove `sequential` or `target`, or the `repeat` of `{answers}`")
                }),
            ),
        ];
        for (name, stands, why, help) in reasons {
            if let (Some(other), true) = (self.field(name), stands) {
                let problem = sequential.problem(Code::NotSequential, "cannot stop early", why.to_owned());
                let problem = problem.other(other.reader.file, other.span(), "for this reason");
                sequential.push(problem.help(help));
            }
        }
    }

    /// A table that ends where the decision is settled is no use to others.
    fn shares_tables(&self) {
        let Some(sequential) = self.sequential() else { return };
        let Some(Stage::Judge(judge)) = self.stages.get(&self.decide.verdicts) else { return };
        let on_the_way = [(&judge.answers, &self.decide.verdicts), (&self.decide.verdicts, self.id)];
        for (table, next) in on_the_way {
            let others = self.outline.mentions(table.as_str());
            // That a calibration is in the way is said already.
            let calibration = self.decide.calibration.as_ref().map_or("", StageId::as_str);
            let known = [next.as_str(), self.id.as_str(), calibration];
            for (reader, span) in others.filter(|(reader, _)| !known.contains(reader)) {
                let message = format!("`{table}` may end early, and `{reader}` reads it too");
                let problem = sequential.problem(Code::SequentialTable, "may stop early", message);
                sequential.push(problem.other(sequential.reader.file, span, "needs all rows"));
            }
        }
    }

    /// A backup is another model that is held to the same measure.
    fn cannot_take_over(&self) {
        let (Some(Backup { verdicts, .. }), Some(field)) = (&self.decide.backup, self.field("backup")) else { return };
        let first = &self.decide.verdicts;
        let (Some(Stage::Judge(here)), Some(Stage::Judge(there))) = (self.stages.get(first), self.stages.get(verdicts))
        else {
            return;
        };
        let push = |problem: Problem, what: &str| {
            field.push(match self.field("verdicts") {
                Some(first) => problem.other(first.reader.file, first.span(), what),
                None => problem,
            });
        };
        let (of_first, of_backup) = (self.scenarios(here), self.scenarios(there));
        if verdicts == first || here.answers == there.answers {
            let message = "the backup is the model itself".to_owned();
            let problem = field.problem(Code::InvalidValue, "no other model", message);
            push(problem.help("name a `judge` stage over the answers of another model"), "the first model");
        } else if !is_same_judge(here, there) {
            let message = format!("`{verdicts}` is not judged as `{first}` is");
            let problem = field.problem(Code::OtherJudge, "judged otherwise", message);
            push(problem.help("give both the same rubric, model and settings; only the answers differ"), "judged so");
        } else if let (Some(one), Some(other)) = (of_first, of_backup)
            && one != other
        {
            let message =
                format!("`{verdicts}` is about the scenarios of `{other}`, and `{first}` about those of `{one}`");
            let problem = field.problem(Code::InvalidValue, "other scenarios", message);
            push(problem.help(format!("let the backup answer the scenarios of `{one}`")), "those of another stage");
        }
        self.is_held_against_itself(verdicts, field);
    }

    /// The stage whose scenarios were answered.
    fn scenarios(&self, judge: &Judge) -> Option<&'a StageId> {
        let stage = self.stages.get(&judge.answers)?;
        if let Stage::Infer(infer) = stage { Some(&infer.scenarios) } else { None }
    }

    /// A gate must be able to say something of the backup too.
    fn is_held_against_itself(&self, backup: &StageId, field: Field<'a>) {
        let names = |gate: &GateRule| matches!(&gate.bound, Bound::NotWorse { than, margin: _ } if than == backup);
        if let (Some(gates), true) = (self.field("gates"), self.decide.gates.iter().any(names)) {
            let message = format!("a gate holds the backup, `{backup}`, against itself");
            let problem = field.problem(Code::InvalidValue, "both backup and base", message);
            let problem = problem.other(gates.reader.file, gates.span(), "a gate is `against` it");
            field.push(problem.help("let the gate name the verdicts on a third model"));
        }
    }
}

fn entry<'a>(field: Field<'a>, name: &str) -> Option<Field<'a>> {
    field.entries()?.iter().find(|(key, _)| key.name == name).map(|(_, field)| *field)
}
