//! Warns of conditions that no scenario of a suite meets.
//!
//! A condition is tried on every scenario that the taxonomy can come to, so that there is no false alarm. Start at
//! [`warn_of_never`].

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use indexmap::IndexMap;
use serde_json::json;

use crate::ids::StageId;
use crate::spec::generate::Expand;
use crate::spec::pipeline::Stage;
use crate::spec::problem::{Code, Problem, SourceText};
use crate::spec::read::{Sink, closest, did_you_mean, shorten};
use crate::spec::taxonomy::{EdgeCase, Grid, GridCell};
use crate::spec::template::{Condition, Template};

/// Most scenarios that a condition is tried on; of larger suites nothing is said.
const MOST_SCENARIOS: usize = 5_000;

/// Most names that are listed where none of them is near.
const MOST_NAMES: usize = 12;

/// What the rubric that one stage judges by says about scenarios and the model that answers them.
pub(super) struct Conditions {
    /// The answers that are judged.
    pub(super) answers: StageId,
    /// The rubric.
    pub(super) file: SourceText,
    /// Its conditions, and where they are.
    pub(super) conditions: Vec<(Condition, Range<usize>)>,
    /// The templates of its checks, and where they are.
    pub(super) templates: Vec<(Template, Range<usize>)>,
    /// Where its checks bound costs.
    pub(super) costs: Vec<Range<usize>>,
    /// Where its checks bound times.
    pub(super) times: Vec<Range<usize>>,
}

/// Warns of each condition that holds for no scenario. One that holds for the scenarios of one of several stages that judge
/// by the same rubric is as it should be.
pub(super) fn warn_of_never(all: &[Conditions], stages: &IndexMap<StageId, Stage>, sink: &Sink) {
    for (at, Conditions { answers, file, conditions, templates: _, costs: _, times: _ }) in all.iter().enumerate() {
        let same_rubric = |other: &&Conditions| other.file.path == file.path;
        if all[..at].iter().any(|other| same_rubric(&other)) {
            continue;
        }
        let suites: Option<Vec<&Expand>> = all
            .iter()
            .filter(same_rubric)
            .map(|other| suite(stages, &other.answers))
            .map(|suite| suite.map(|(_, suite)| suite))
            .collect();
        let (Some(suites), Some((id, _))) = (suites, suite(stages, answers)) else { continue };
        for (condition, span) in conditions {
            if suites.iter().any(|suite| may_hold(condition, suite)) {
                continue;
            }
            let message = format!("no scenario of `{id}` meets `{}`", shorten(condition.source()));
            let problem = Problem::new(Code::NeverApplies, file, span, "never holds", message);
            sink.borrow_mut().push(problem.maybe_help(meant(condition.source(), &suites)));
        }
    }
}

/// The scenarios that are answered, where they come from a taxonomy.
pub(super) fn suite<'a>(stages: &'a IndexMap<StageId, Stage>, answers: &StageId) -> Option<(&'a StageId, &'a Expand)> {
    let Some(Stage::Infer(infer)) = stages.get(answers) else { return None };
    expanded(stages, &infer.scenarios)
}

/// What a stage makes of a taxonomy, if it does.
pub(super) fn expanded<'a>(
    stages: &'a IndexMap<StageId, Stage>,
    scenarios: &StageId,
) -> Option<(&'a StageId, &'a Expand)> {
    let (id, stage) = stages.get_key_value(scenarios)?;
    let Stage::Generate(generate) = stage else { return None };
    Some((id, generate.expand()?))
}

/// Whether a condition may hold for a scenario of a suite. What a model writes is not known, nor is what would take long to
/// find out.
fn may_hold(condition: &Condition, suite: &Expand) -> bool {
    let Expand { taxonomy, styles, count: _, seed: _, writer: _ } = suite;
    let grid = Grid::new(taxonomy, styles);
    if condition.names("scenario.opening") || grid.len().saturating_add(taxonomy.edge_cases.len()) > MOST_SCENARIOS {
        return true;
    }
    let holds = |scenario: serde_json::Value| {
        // Where it fails, whoever evaluates it will say so.
        condition.holds(&json!({ "scenario": scenario })).unwrap_or(true)
    };
    let edge = |EdgeCase { id: _, topic, style, axes, tags, opening: _, reference }: &EdgeCase| {
        let mut scenario = json!({
            "topic": topic, "subtopic": null, "style": style, "tags": tags, "edge_case": true, "opening": "", "axes": axes,
        });
        if let Some(reference) = reference {
            scenario["reference"] = json!(reference);
        }
        holds(scenario)
    };
    let cell = |GridCell { topic, subtopic, style, values }: GridCell<'_>| {
        let axes: BTreeMap<&str, &str> = values.iter().map(|(axis, value)| (&*axis.name, &*value.name)).collect();
        holds(json!({
            "topic": topic.id, "subtopic": subtopic.id, "style": style, "tags": [], "edge_case": false, "opening": "",
            "axes": axes,
        }))
    };
    taxonomy.edge_cases.iter().any(edge) || grid.allowed().any(|number| cell(grid.cell(number)))
}

/// What may have been meant: the name that is nearest to one that the condition compares with, or all that there are.
fn meant(source: &str, suites: &[&Expand]) -> Option<String> {
    let mut names = BTreeSet::new();
    for Expand { taxonomy, styles, count: _, seed: _, writer: _ } in suites {
        let (topics, cases) = (&taxonomy.topics, &taxonomy.edge_cases);
        let topic_ids = topics.iter().map(|topic| &topic.id).chain(cases.iter().map(|case| &case.topic));
        let subtopic_ids = topics.iter().flat_map(|topic| &topic.subtopics).map(|part| &part.id);
        let style_names = styles.iter().chain(cases.iter().map(|case| &case.style));
        let tags = cases.iter().flat_map(|case| &case.tags);
        let mut add = |field: &str, of_field: &mut dyn Iterator<Item = &String>| {
            if source.contains(&format!("scenario.{field}")) {
                names.extend(of_field.cloned());
            }
        };
        add("topic", &mut topic_ids.into_iter());
        add("subtopic", &mut subtopic_ids.into_iter());
        add("style", &mut style_names.into_iter());
        add("tags", &mut tags.into_iter());
        for axis in &taxonomy.axes {
            add(&format!("axes.{}", axis.name), &mut axis.values.iter().map(|value| &value.name));
        }
    }
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let unknown: Vec<&str> = literals(source).into_iter().filter(|text| !names.contains(text)).collect();
    let near = unknown.iter().find(|text| closest(text, &names).is_some());
    match near.or(unknown.first()) {
        Some(text) if near.is_some() || (1..=MOST_NAMES).contains(&names.len()) => Some(did_you_mean(text, &names)),
        Some(_) | None => None,
    }
}

/// The texts in quotes.
fn literals(source: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut rest = source;
    while let Some(start) = rest.find(['\'', '"']) {
        let quote = &rest[start..=start];
        let Some(length) = rest[start + 1..].find(quote) else { break };
        found.push(&rest[start + 1..start + 1 + length]);
        rest = &rest[start + length + 2..];
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_in_quotes_are_found() {
        for (source, expected) in [
            ("'crisis' in scenario.tags", &["crisis"][..]),
            (r#"scenario.style == "it's" or scenario.topic == 'a"b'"#, &["it's", "a\"b"]),
            ("'' == scenario.style", &[""]),
            ("scenario.edge_case", &[]),
            ("'open", &[]),
        ] {
            assert_eq!(literals(source), expected, "{source}");
        }
    }
}
