//! Two models instead of one: how a backup is decided on, when it takes over, and what is then said.
//!
//! Each is decided on alone, by the same rules; the record is that of one of them and holds the other's. Start at [`combine`].

use serde_json::{Value, json};

use super::{price, price_field};
use crate::data::{Decision, GateStatus, ModelRole, OtherModel, Outcome, Rate};
use crate::ids::StageId;
use crate::key::BlobId;
use crate::spec::{self, Backup, Pipeline};
use crate::stats::text::{count, percents};

/// The backup as a decision of its own: by the same rules, on all its scenarios at once, whatever the first model was looked at by.
/// None where no backup is due.
#[must_use]
pub fn of_backup(decide: &spec::Decide) -> Option<spec::Decide> {
    let Backup { verdicts, answers, is_due } = decide.backup.as_ref()?;
    is_due.then(|| spec::Decide {
        verdicts: verdicts.clone(),
        answers: answers.clone(),
        sequential: None,
        backup: None,
        ..decide.clone()
    })
}

/// What is read of a backup that is due, as it goes into the recipe. The record names both stages.
pub(super) fn inputs(
    pipeline: &Pipeline,
    decide: &spec::Decide,
    backup: &spec::Decide,
    output: impl Fn(&StageId) -> BlobId,
) -> Value {
    let mut inputs = json!({
        "verdicts": output(&backup.verdicts),
        "stages": [decide.verdicts, backup.verdicts],
    });
    if let Some(answers) = &backup.answers {
        inputs["answers"] = json!(output(answers));
    }
    if let Some(price) = price(pipeline, backup) {
        inputs["price"] = price_field(price);
    }
    inputs
}

/// Makes one record of what would be decided on either model: the backup's where it comes out better, else that of the first.
#[must_use]
pub fn combine(decide: &spec::Decide, primary: Decision, backup: Decision) -> Decision {
    let first = decide.decided_on(false).clone();
    let second = decide.decided_on(true).clone();
    let tried = tried([&first, &second], &primary, &backup);
    let (mut decided, other) = if takes_over(&primary, &backup) {
        (backup, OtherModel { role: ModelRole::Primary, verdicts: first, decision: primary })
    } else {
        (primary, OtherModel { role: ModelRole::Backup, verdicts: second, decision: backup })
    };
    decided.reasons.splice(0..0, tried);
    decided.other = Some(Box::new(other));
    decided
}

/// Whether the backup comes out strictly better than a first model that fails.
fn takes_over(primary: &Decision, backup: &Decision) -> bool {
    match (standing(primary), standing(backup)) {
        (Some(primary), Some(backup)) => backup < primary,
        (None, _) | (_, None) => false,
    }
}

/// How well a model came out that is settled, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Standing {
    /// It deploys, and keeps to all gates.
    Deploys,
    /// It is worth fine-tuning.
    FineTunes,
    /// It needs the full pipeline.
    NeedsAll,
    /// Whatever its rate, it does not keep to a gate.
    FailsAGate,
}

/// None where more data, or another judge, may yet say otherwise.
fn standing(decision: &Decision) -> Option<Standing> {
    match decision.outcome {
        Outcome::Blocked => None,
        _ if decision.fails_a_gate() => Some(Standing::FailsAGate),
        Outcome::Inconclusive => None,
        // Nobody knows whether it may be deployed.
        Outcome::Deploy if decision.gates.iter().any(|gate| gate.status == GateStatus::Inconclusive) => None,
        Outcome::Deploy => Some(Standing::Deploys),
        Outcome::FineTune => Some(Standing::FineTunes),
        Outcome::FullPipeline => Some(Standing::NeedsAll),
    }
}

/// The sentences on what was tried, with the numbers of the model that is not decided on: those of the other follow.
fn tried([first, second]: [&StageId; 2], primary: &Decision, backup: &Decision) -> Vec<String> {
    let first = format!("the first model (`{first}`) comes to `{}`", primary.outcome.as_str());
    if !takes_over(primary, backup) {
        let end = match standing(backup) {
            Some(_) => "neither deploys",
            None => "that is not settled, so it does not take over",
        };
        let (gates, outcome, numbers) = (gates(primary), backup.outcome.as_str(), numbers(backup));
        return vec![format!("{first}{gates}; the backup (`{second}`) comes to `{outcome}`{numbers}: {end}")];
    }
    let numbers = numbers(primary);
    if standing(backup) != Some(Standing::Deploys) {
        return vec![format!(
            "{first}{numbers}; the backup (`{second}`) does better and takes over, but neither deploys"
        )];
    }
    let mut sentences = vec![format!("{first}{numbers}; the backup (`{second}`) takes over")];
    // What holds for a suite alone is not drawn, so chance has no part in it.
    if !backup.suite_only {
        sentences.push(
            "two models were tried, so the chance that one is wrongly deployed is up to twice that with one".to_owned(),
        );
    }
    sentences
}

/// `, 61.0 % (48.2–72.4 %), with 1 gate failed`.
fn numbers(decision: &Decision) -> String {
    let Rate { point, lo, hi, .. } = decision.deciding();
    let edges = [decision.thresholds.deploy, decision.thresholds.fine_tune];
    let rate = point.map(|point| {
        let [point, lo, hi] = percents([point, lo, hi], &edges);
        if lo == hi { format!(", {point} %") } else { format!(", {point} % ({lo}–{hi} %)") }
    });
    format!("{}{}", rate.unwrap_or_default(), gates(decision))
}

/// `, with 1 gate failed`; nothing where all gates are kept.
fn gates(decision: &Decision) -> String {
    let number = |status| decision.gates.iter().filter(|gate| gate.status == status).count() as u64;
    match (number(GateStatus::Failed), number(GateStatus::Inconclusive)) {
        (0, 0) => String::new(),
        (0, open) => format!(", with {} inconclusive", count(open, "gate")),
        (failed, _) => format!(", with {} failed", count(failed, "gate")),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;

    use super::super::tests::{decide, row, rules};
    use super::super::{fields, inputs};
    use super::*;
    use crate::data::{GateBound, GateCheck, Grade};
    use crate::spec::{Looks, Memory, Stage};

    fn stage(id: &str) -> StageId {
        StageId::new(id).unwrap()
    }

    fn with_backup(is_due: bool) -> spec::Decide {
        let backup = Backup { verdicts: stage("others"), answers: Some(stage("replies")), is_due };
        spec::Decide { backup: Some(backup), ..rules(None) }
    }

    /// A decision on so many passed and failed rows, with gates that came to this.
    fn decided(passed: u64, failed: u64, gates: &[GateStatus]) -> Decision {
        let grade = |at: u64| if at < passed { Grade::Pass } else { Grade::Fail };
        let rows = (0..passed + failed).map(|at| row(&format!("t/{at}"), "terse", grade(at), Some(0.5), &[]));
        let mut decision = decide(&rules(None), &rows.collect::<Vec<_>>());
        decision.gates = gates.iter().map(gate).collect();
        decision
    }

    fn gate(status: &GateStatus) -> GateCheck {
        GateCheck {
            metric: "pass_rate".to_owned(),
            of: None,
            bound: GateBound::AtLeast(0.5),
            value: None,
            interval: None,
            base: None,
            n: 1,
            status: *status,
        }
    }

    const FAILED: &[GateStatus] = &[GateStatus::Passed, GateStatus::Failed, GateStatus::Inconclusive];
    const OPEN: &[GateStatus] = &[GateStatus::Passed, GateStatus::Inconclusive];
    const PASSED: &[GateStatus] = &[GateStatus::Passed];

    #[test]
    fn what_is_settled_fails_and_what_is_open_does_not() {
        for (outcome, gates, fails) in [
            (Outcome::Deploy, &[][..], false),
            (Outcome::Deploy, PASSED, false),
            (Outcome::Deploy, OPEN, false),
            (Outcome::Deploy, FAILED, true),
            (Outcome::FineTune, PASSED, true),
            (Outcome::FullPipeline, OPEN, true),
            (Outcome::Inconclusive, OPEN, false),
            (Outcome::Inconclusive, FAILED, true),
            (Outcome::Blocked, PASSED, false),
            (Outcome::Blocked, FAILED, false),
        ] {
            let decision = Decision { outcome, ..decided(1, 0, gates) };
            assert_eq!(decision.fails(), fails, "{outcome:?} {gates:?}");
        }
    }

    #[test]
    fn only_what_is_strictly_better_takes_over() {
        // From best to worst; those in one row are equal, and the last are not ranked at all.
        let ranks: [&[(Outcome, &[GateStatus])]; 5] = [
            &[(Outcome::Deploy, &[]), (Outcome::Deploy, PASSED)],
            &[(Outcome::FineTune, &[]), (Outcome::FineTune, OPEN)],
            &[(Outcome::FullPipeline, PASSED), (Outcome::FullPipeline, OPEN)],
            &[(Outcome::Deploy, FAILED), (Outcome::FullPipeline, FAILED), (Outcome::Inconclusive, FAILED)],
            &[(Outcome::Deploy, OPEN), (Outcome::Inconclusive, PASSED), (Outcome::Blocked, FAILED)],
        ];
        let all = || {
            let row = |(rank, row): (usize, &'static [(Outcome, &'static [GateStatus])])| {
                row.iter().map(move |of| (rank, *of))
            };
            ranks.into_iter().enumerate().flat_map(row)
        };
        for (first, (outcome, gates)) in all() {
            let primary = Decision { outcome, ..decided(1, 0, gates) };
            for (second, (outcome, gates)) in all() {
                let backup = Decision { outcome, ..decided(1, 0, gates) };
                let expected = first != 4 && second < first;
                assert_eq!(takes_over(&primary, &backup), expected, "{:?} {outcome:?} {gates:?}", primary.outcome);
            }
        }
    }

    /// Checks which of the two is decided on, and the sentences about both.
    fn check(primary: &Decision, backup: &Decision, role: ModelRole, sentences: &[&str]) {
        let both = combine(&with_backup(true), primary.clone(), backup.clone());
        let other = both.other.as_deref().unwrap();
        let (decided, left, verdicts) = match role {
            ModelRole::Primary => (backup, primary, "verdicts"),
            ModelRole::Backup => (primary, backup, "others"),
        };
        assert_eq!((other.role, &other.decision, other.verdicts.as_str()), (role, left, verdicts));
        assert_eq!(both.is_of_backup(), role == ModelRole::Primary);
        assert_eq!(both.reasons[..sentences.len()], *sentences);
        assert_eq!(both.reasons[sentences.len()..], decided.reasons);
        assert_eq!(Decision { reasons: decided.reasons.clone(), other: None, ..both.clone() }, *decided);
        let text = serde_json::to_string(&both).unwrap();
        assert_eq!(serde_json::from_str::<Decision>(&text).unwrap(), both);
    }

    #[test]
    fn the_record_is_of_one_and_says_what_the_other_came_to() {
        let twice = "two models were tried, so the chance that one is wrongly deployed is up to twice that with one";
        let (good, fair, poor, open) =
            (decided(90, 10, &[]), decided(60, 40, &[]), decided(20, 80, &[]), decided(7, 3, &[]));
        let unsafe_one = decided(90, 10, FAILED);
        check(
            &fair,
            &good,
            ModelRole::Primary,
            &[
                "the first model (`verdicts`) comes to `fine_tune`, 60.0 % (50.2–69.1 %); the backup (`others`) takes over",
                twice,
            ],
        );
        check(
            &poor,
            &fair,
            ModelRole::Primary,
            &[
                "the first model (`verdicts`) comes to `full_pipeline`, 20.0 % (13.3–28.9 %); the backup (`others`) does better and \
               takes over, but neither deploys",
            ],
        );
        check(
            &unsafe_one,
            &good,
            ModelRole::Primary,
            &[
                "the first model (`verdicts`) comes to `deploy`, 90.0 % (82.6–94.5 %), with 1 gate failed; the backup (`others`) \
                 takes over",
                twice,
            ],
        );
        check(
            &fair,
            &poor,
            ModelRole::Backup,
            &[
                "the first model (`verdicts`) comes to `fine_tune`; the backup (`others`) comes to `full_pipeline`, 20.0 % \
               (13.3–28.9 %): neither deploys",
            ],
        );
        check(
            &unsafe_one,
            &unsafe_one,
            ModelRole::Backup,
            &[
                "the first model (`verdicts`) comes to `deploy`, with 1 gate failed; the backup (`others`) comes to `deploy`, 90.0 % \
               (82.6–94.5 %), with 1 gate failed: neither deploys",
            ],
        );
        check(
            &fair,
            &open,
            ModelRole::Backup,
            &[
                "the first model (`verdicts`) comes to `fine_tune`; the backup (`others`) comes to `inconclusive`, 70.0 % \
               (39.7–89.2 %): that is not settled, so it does not take over",
            ],
        );
        // What is true of a suite is not a matter of chance.
        let of_suite = Decision { suite_only: true, ..good };
        let both = combine(&with_backup(true), fair, of_suite);
        assert!(!both.reasons.iter().any(|reason| reason == twice), "{:?}", both.reasons);
    }

    #[test]
    fn one_model_alone_has_a_record_as_ever() {
        let value = serde_json::to_value(decided(9, 1, &[])).unwrap();
        assert!(value.get("other").is_none(), "{value}");
    }

    #[test]
    fn a_backup_is_looked_at_once_by_the_same_rules() {
        assert!(of_backup(&rules(None)).is_none());
        assert!(of_backup(&with_backup(false)).is_none());
        let sequential = Some(Looks { first: 3, now: 1, scenarios: 90 });
        let primary = spec::Decide { sequential, confidence: 0.9, seed: 4, ..with_backup(true) };
        let expected = spec::Decide {
            verdicts: stage("others"),
            answers: Some(stage("replies")),
            confidence: 0.9,
            seed: 4,
            ..rules(None)
        };
        assert_eq!(format!("{:?}", of_backup(&primary)), format!("{:?}", Some(expected)));
        let [first, second] = [false, true].map(|by_backup| primary.decided_on(by_backup).as_str());
        assert_eq!((first, second), ("verdicts", "others"));
        assert_eq!(rules(None).decided_on(true).as_str(), "verdicts", "where there is none, it decides nothing");
    }

    /// A pipeline with a backup whose tokens have a price of their own.
    fn pipeline() -> Pipeline {
        let files = [
            (
                "/p.yaml",
                "evalflow: 1\nname: x\nmodels:\n  m: { scripted: { otherwise: hi, price: { prompt: 1, completion: 2 } } }\n  \
                 n: { scripted: { otherwise: ho, price: { prompt: 3, completion: 4 } } }\nstages:\n  \
                 s: { generate: { taxonomy: t.yaml } }\n  a: { infer: { model: m, scenarios: s } }\n  \
                 v: { judge: { answers: a, rubric: r.yaml } }\n  b: { infer: { model: n, scenarios: s } }\n  \
                 w: { judge: { answers: b, rubric: r.yaml } }\n  \
                 d: { decide: { verdicts: v, backup: w, gates: [{ metric: cost_per_reply, at_most: 1 }] } }\n",
            ),
            (
                "/t.yaml",
                "name: t\nstyles: { terse: short }\nedge_cases: [{ id: e, topic: c, style: terse, opening: hi }]\n",
            ),
            ("/r.yaml", "name: r\npass: { score: 1 }\ncriteria: [{ id: a, check: { contains: h } }]\n"),
        ];
        let files = files.map(|(path, text)| (path.into(), text.as_bytes().to_vec()));
        let loaded = spec::load(Path::new("/p.yaml"), Path::new("/"), &Memory(files.into()), &BTreeMap::new());
        loaded.unwrap_or_else(|problems| panic!("{problems:?}")).pipeline
    }

    #[test]
    fn a_recipe_knows_a_backup_only_where_it_is_due() {
        let pipeline = pipeline();
        let Stage::Decide(written) = &pipeline.stages[&stage("d")] else { panic!("it decides") };
        let output = |id: &StageId| BlobId::of(id.as_str().as_bytes());
        let recipe = |backup: Option<Backup>| {
            let decide = spec::Decide { backup, ..written.clone() };
            (fields(&decide), inputs(&pipeline, &decide, output))
        };
        let written_backup = written.backup.clone().unwrap();
        let due = |is_due| Some(Backup { is_due, ..written_backup.clone() });
        let (plain, without) = recipe(None);
        assert!(without.get("backup").is_none(), "{without}");
        for (backup, expected) in [
            (due(false), Value::Null),
            (
                due(true),
                json!({
                    "verdicts": BlobId::of(b"w"),
                    "answers": BlobId::of(b"b"),
                    "stages": ["v", "w"],
                    "price": { "prompt": 3.0, "completion": 4.0 },
                }),
            ),
        ] {
            let (fields, mut inputs) = recipe(backup);
            assert_eq!(fields, plain);
            assert_eq!(inputs["backup"], expected);
            inputs.as_object_mut().unwrap().remove("backup");
            assert_eq!(inputs, without, "the rest is as without");
        }
    }
}
