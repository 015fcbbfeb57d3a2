//! The reader of `decide` stages.

use std::collections::BTreeMap;
use std::ops::Bound;

use super::conditions::suite;
use super::gates;
use super::judging;
use super::stages::{Context, Sketch};
use super::wires::Need;
use crate::ids::StageId;
use crate::spec::looks::{Backup, Looks};
use crate::spec::pipeline::{ClusterBy, Decide, Gate, Stage, Target, Votes};
use crate::spec::problem::Code;
use crate::spec::read::{Field, Fields, did_you_mean, shorten};
use indexmap::IndexMap;

impl Context<'_> {
    pub(super) fn decide(&self, mut fields: Fields<'_>) -> Option<Decide> {
        const DEPLOY: f64 = 0.70;
        const FINE_TUNE: f64 = 0.50;
        let inside = || (Bound::Excluded(0.0), Bound::Excluded(1.0));
        let verdicts = fields.required("verdicts").and_then(|field| self.outline.stage(field, Need::Verdicts));
        let deploy_field = fields.optional("deploy");
        let deploy = deploy_field.map_or(Some(DEPLOY), |field| field.number(inside()));
        let fine_tune_field = fields.optional("fine_tune");
        let fine_tune = fine_tune_field.map_or(Some(FINE_TUNE), |field| field.number(inside()));
        let confidence = fields.optional("confidence").map_or(Some(0.95), |field| field.number(inside()));
        let max_ungraded = fields.optional("max_ungraded").map_or(Some(0.05), |field| field.number(0.0..=1.0));
        let gate = fields
            .optional("gate")
            .map(|field| field.choice(&[("deploy", Gate::Deploy), ("fine_tune", Gate::FineTune)]));
        let gates = fields.optional("gates").map_or(Some(Vec::new()), |field| gates::gates(field, self.outline));
        let cluster = fields.optional("cluster").map_or(Some(ClusterBy::Topic), |field| {
            Some(match field.text()? {
                "topic" => ClusterBy::Topic,
                "none" => ClusterBy::Nothing,
                axis => ClusterBy::Axis(axis.to_owned()),
            })
        });
        const TARGETS: &[(&str, Target)] = &[("population", Target::Population), ("suite", Target::Suite)];
        let target = fields.optional("target").map_or(Some(Target::Population), |field| field.choice(TARGETS));
        let calibration = fields.optional("calibration").map(|field| self.outline.stage(field, Need::Calibration));
        // Which panel it is about is filled in when all stages are read.
        let votes = fields.optional("votes").map_or(Some(false), |field| field.choice(judging::VOTES));
        let sequential = fields.optional("sequential").map_or(Some(false), Field::flag);
        let backup = fields.optional("backup").map(|field| self.outline.stage(field, Need::Verdicts));
        let seed = fields.optional("seed").map_or(Some(0), |field| field.integer(0..=u64::MAX));
        fields.finish();

        let (deploy, fine_tune) = (deploy?, fine_tune?);
        if fine_tune >= deploy {
            let default = |field: Option<Field<'_>>| if field.is_some() { "" } else { " by default" };
            let message = format!(
                "`fine_tune` is {fine_tune}{}, which is not below `deploy`, {deploy}{}",
                default(fine_tune_field),
                default(deploy_field)
            );
            let fields = [deploy_field, fine_tune_field];
            let mut there = fields.into_iter().flatten();
            // At least one is there, for the defaults are in order.
            if let Some(first) = there.next() {
                let problem = first.problem(Code::ThresholdsOrder, "not in order", message);
                first.push(match there.next() {
                    Some(second) => problem.other(second.reader.file, second.span(), "not below"),
                    None => problem.help("write both `deploy` and `fine_tune`"),
                });
            }
        }
        Some(Decide {
            verdicts: verdicts?,
            deploy,
            fine_tune,
            confidence: confidence?,
            max_ungraded: max_ungraded?,
            gate: gate.flatten(),
            gates: gates?,
            answers: None,
            answers_of_bases: BTreeMap::new(),
            cluster: cluster?,
            target: target?,
            seed: seed?,
            calibration: calibration.flatten(),
            votes: if votes? { judging::votes_of_a_panel_to_come() } else { Votes::Majority },
            sequential: sequential?.then(Looks::default),
            backup: backup.flatten().map(|verdicts| Backup { verdicts, answers: None, is_due: true }),
        })
    }
}

/// Reports an axis to cluster by that the scenarios do not have. What a file of scenarios has is not known before it is read.
pub(super) fn report_unknown_cluster(sketches: &[Sketch<'_>], stages: &IndexMap<StageId, Stage>) {
    for (id, stage) in stages {
        let Stage::Decide(Decide { verdicts, cluster: ClusterBy::Axis(axis), .. }) = stage else { continue };
        let Some(Stage::Judge(judge)) = stages.get(verdicts) else { continue };
        let Some((suite_id, suite)) = suite(stages, &judge.answers) else { continue };
        let names: Vec<&str> = suite.taxonomy.axes.iter().map(|axis| axis.name.as_str()).collect();
        if names.contains(&axis.as_str()) {
            continue;
        }
        let sketch = sketches.iter().find(|sketch| sketch.id.as_ref() == Some(id));
        let Some(entries) = sketch.and_then(|sketch| sketch.body.entries()) else { continue };
        let Some((_, field)) = entries.into_iter().find(|(key, _)| key.name == "cluster") else { continue };
        let message = format!("scenarios of `{suite_id}` have no axis `{}`", shorten(axis));
        let names: Vec<&str> = ["topic", "none"].into_iter().chain(names).collect();
        field.push(field.problem(Code::InvalidValue, "unknown axis", message).help(did_you_mean(axis, &names)));
    }
}
