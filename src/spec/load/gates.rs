//! The reader of a decision's gates, and what can be said of them once all stages are read.

use std::collections::BTreeSet;
use std::ops::Range;

use indexmap::IndexMap;

use super::conditions::suite;
use super::stages::Sketch;
use super::wires::{Need, Outline};
use crate::ids::{CriterionId, ModelName, StageId};
use crate::spec::gate::{Bound, GateRule, Metric};
use crate::spec::pipeline::{Decide, Model, ModelRef, OpenAi, Scripted, Stage};
use crate::spec::problem::Code;
use crate::spec::read::{Field, Fields, Reader, did_you_mean, shorten};

/// The keys that say what a gate is on.
const ON: [&str; 4] = ["metric", "criterion", "topic", "style"];

/// The keys that say what it is held to.
const HELD_TO: [&str; 3] = ["at_least", "at_most", "against"];

/// Reads the gates; those that are not sound are left out, with a problem each.
pub(super) fn gates(field: Field<'_>, outline: &Outline<'_>) -> Option<Vec<GateRule>> {
    let items = field.list()?;
    let all = items.len();
    let read: Vec<GateRule> = items.into_iter().filter_map(|item| gate(item.fields_of("a gate")?, outline)).collect();
    (read.len() == all).then_some(read)
}

fn gate(mut fields: Fields<'_>, outline: &Outline<'_>) -> Option<GateRule> {
    let on = one_of(&fields, &ON);
    let metric = fields.optional("metric").map(metric);
    let criterion = fields.optional("criterion").map(|field| {
        let text = field.text()?;
        let id = CriterionId::new(text).ok();
        if id.is_none() {
            field.push(field.problem(Code::InvalidName, "no id", format!("`{}` is no criterion's id", field.shown())));
        }
        id.map(Metric::Criterion)
    });
    let topic = fields.optional("topic").map(|field| field.text().map(|name| Metric::Topic(name.to_owned())));
    let style = fields.optional("style").map(|field| field.text().map(|name| Metric::Style(name.to_owned())));
    let held_to = one_of(&fields, &HELD_TO);
    let metric = on.and([metric, criterion, topic, style].into_iter().flatten().next()).flatten();
    let is_share = metric.as_ref().is_some_and(Metric::is_share);
    let number = |field: Field<'_>| if is_share { field.number(0.0..=1.0) } else { field.number(0.0..) };
    let at_least = fields.optional("at_least").map(|field| number(field).map(Bound::AtLeast));
    let at_most = fields.optional("at_most").map(|field| number(field).map(Bound::AtMost));
    let against = fields.optional("against");
    let margin_field = fields.optional("margin");
    let margin = margin_field.map_or(Some(0.0), number);
    if let (Some(field), None) = (margin_field, against) {
        let message = "a `margin` is what a gate allows `against` another stage".to_owned();
        field.push(field.problem(Code::InvalidValue, "against what?", message).help("add `against:`, or remove it"));
    }
    let not_worse = against.map(|field| {
        let than = outline.stage(field, Need::Verdicts);
        Some(Bound::NotWorse { than: than?, margin: margin? })
    });
    fields.finish();
    let bound = held_to.and([at_least, at_most, not_worse].into_iter().flatten().next()).flatten();
    Some(GateRule { metric: metric?, bound: bound? })
}

fn metric(field: Field<'_>) -> Option<Metric> {
    let text = field.text()?;
    if let Some((_, metric)) = Metric::OF_SUITE.iter().find(|(name, _)| *name == text) {
        return Some(metric.clone());
    }
    let names: Vec<&str> = Metric::OF_SUITE.iter().map(|(name, _)| *name).collect();
    let message = format!("`metric` cannot be `{}`", field.shown());
    let problem = field.problem(Code::InvalidValue, "unknown metric", message);
    let help = if ON.contains(&text) {
        format!("write `{text}: ID` in place of `metric`")
    } else {
        did_you_mean(text, &names)
    };
    field.push(problem.help(help));
    None
}

/// `a`, `b` and `c`, with the word that joins the last two.
fn list(items: &[String], last: &str) -> String {
    let (end, first) = items.split_last().expect("there are several keys");
    format!("{} {last} {end}", first.join(", "))
}

/// Checks that exactly one of the keys is there.
fn one_of(fields: &Fields<'_>, names: &[&'static str]) -> Option<()> {
    let mut there = names.iter().filter_map(|name| fields.key_span(name));
    let keys: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    let reader = fields.reader;
    let Some(first) = there.next() else {
        let message = format!("a gate needs {}", list(&keys, "or"));
        reader.push(reader.problem(Code::ExactlyOne, &fields.span, "none is here", message).help("add one of them"));
        return None;
    };
    let Some(second) = there.next() else { return Some(()) };
    let message = format!("a gate takes one of {}, not several", list(&keys, "and"));
    let (first, second) = if first.start <= second.start { (first, second) } else { (second, first) };
    reader.push(
        reader
            .problem(Code::ExactlyOne, second, "not both", message)
            .other(reader.file, first, "another is here")
            .help("remove one of them, or make two gates of it"),
    );
    None
}

/// Reports gates on what does not exist, and fills in the stage whose answers they need.
pub(super) fn complete(
    sketches: &[Sketch<'_>],
    stages: &mut IndexMap<StageId, Stage>,
    models: &IndexMap<ModelName, Model>,
) {
    let mut answers = Vec::new();
    for (id, stage) in &*stages {
        let Stage::Decide(decide) = stage else { continue };
        let Some(Stage::Judge(judge)) = stages.get(&decide.verdicts) else { continue };
        let sketch = sketches.iter().find(|sketch| sketch.id.as_ref() == Some(id));
        let Some(fields) = sketch.and_then(|sketch| items(sketch.body)) else { continue };
        for (gate, field) in decide.gates.iter().zip(fields) {
            check(gate, field, decide, stages, models);
        }
        if decide.gates.iter().any(|gate| gate.metric.takes_answers()) {
            let backup = match decide.backup.as_ref().and_then(|backup| stages.get(&backup.verdicts)) {
                Some(Stage::Judge(backup)) => Some(backup.answers.clone()),
                _ => None,
            };
            let of_bases = decide.gates.iter().filter(|gate| gate.metric.takes_answers()).filter_map(|gate| {
                let Bound::NotWorse { than, margin: _ } = &gate.bound else { return None };
                let Some(Stage::Judge(base)) = stages.get(than) else { return None };
                Some((than.clone(), base.answers.clone()))
            });
            answers.push((id.clone(), judge.answers.clone(), of_bases.collect(), backup));
        }
    }
    for (id, from, of_bases, of_backup) in answers {
        if let Some(Stage::Decide(decide)) = stages.get_mut(&id) {
            decide.answers = Some(from);
            decide.answers_of_bases = of_bases;
            if let Some(backup) = &mut decide.backup {
                backup.answers = of_backup;
            }
        }
    }
}

/// The gates as they are written.
fn items(body: Field<'_>) -> Option<Vec<Field<'_>>> {
    let (_, gates) = body.entries()?.into_iter().find(|(key, _)| key.name == "gates")?;
    gates.any_list()
}

fn check(
    gate: &GateRule,
    field: Field<'_>,
    decide: &Decide,
    stages: &IndexMap<StageId, Stage>,
    models: &IndexMap<ModelName, Model>,
) {
    let mut judges: Vec<&StageId> = vec![&decide.verdicts];
    judges.extend(decide.backup.as_ref().map(|backup| &backup.verdicts));
    if let Bound::NotWorse { than, margin: _ } = &gate.bound {
        judges.push(than);
    }
    for judge_id in judges {
        let Some(Stage::Judge(judge)) = stages.get(judge_id) else { continue };
        let (known, what): (Vec<&str>, &str) = match &gate.metric {
            Metric::Criterion(_) => {
                (judge.rubric.criteria.iter().map(|criterion| criterion.id.as_str()).collect(), "criterion")
            }
            Metric::Topic(_) | Metric::Style(_) => {
                let Some((_, suite)) = suite(stages, &judge.answers) else { continue };
                if matches!(gate.metric, Metric::Topic(_)) {
                    let topics = suite.taxonomy.topics.iter().map(|topic| topic.id.as_str());
                    // An edge case has a topic of its own.
                    let cases = suite.taxonomy.edge_cases.iter().map(|case| case.topic.as_str());
                    (topics.chain(cases).collect::<BTreeSet<&str>>().into_iter().collect(), "topic")
                } else {
                    (suite.styles.iter().map(String::as_str).collect(), "style")
                }
            }
            Metric::CostPerReply => {
                without_price(field, judge_id, stages, models);
                continue;
            }
            Metric::PassRate | Metric::Score | Metric::Ungraded | Metric::TokensPerReply | Metric::LatencyP95 => {
                continue;
            }
        };
        let (_, name) = gate.metric.name();
        let name = name.unwrap_or_default();
        if !known.contains(&name.as_str()) {
            let (reader, span) = place(field, what);
            let message = format!("`{judge_id}` judges no {what} `{}`", shorten(&name));
            let problem = reader.problem(Code::InvalidValue, &span, &format!("unknown {what}"), message);
            reader.push(problem.help(did_you_mean(&name, &known)));
            return;
        }
    }
}

/// Where a key's value is written, or else the gate.
fn place<'a>(field: Field<'a>, key: &str) -> (Reader<'a>, Range<usize>) {
    let found = field.entries().and_then(|entries| entries.into_iter().find(|(found, _)| found.name == key));
    let field = found.map_or(field, |(_, value)| value);
    (field.reader, field.span().clone())
}

fn without_price(
    field: Field<'_>,
    judge: &StageId,
    stages: &IndexMap<StageId, Stage>,
    models: &IndexMap<ModelName, Model>,
) {
    let Some(Stage::Judge(judge)) = stages.get(judge) else { return };
    let Some(Stage::Infer(infer)) = stages.get(&judge.answers) else { return };
    let price = match &infer.model {
        ModelRef::Embedded(model) => model.price,
        ModelRef::Declared(name) => models.get(name).and_then(|model| match model {
            Model::OpenAi(OpenAi { price, .. }) | Model::Scripted(Scripted { price, .. }) => *price,
        }),
    };
    if price.is_none() {
        let (reader, span) = place(field, "metric");
        let message = format!("what a reply of `{}` costs is not declared", judge.answers);
        let problem = reader.problem(Code::MissingField, &span, "no price", message);
        reader.push(problem.help("add `price:` to the model under `models:`"));
    }
}
