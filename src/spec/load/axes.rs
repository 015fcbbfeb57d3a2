//! Reads what scenarios differ in besides topic and style, how much each weighs, and which combinations may or must be.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::named;
use crate::ids::CriterionId;
use crate::spec::problem::Code;
use crate::spec::read::{Field, Fields, Reader, did_you_mean, shorten};
use crate::spec::taxonomy::{Axis, AxisValue, Demand, EdgeCase, Selector, Topic, Weight};

/// Names that mean something else where an axis is named.
const TAKEN: &[&str] = &["id", "topic", "subtopic", "style", "tags", "opening", "edge_case", "axes", "at_least"];

/// Reads `axes:`.
pub(super) fn axes(field: Field<'_>) -> Option<Vec<Axis>> {
    let read = |(key, field): (&crate::spec::tree::Key, Field<'_>)| {
        let name = named(field, &key.span, CriterionId::new)?;
        if TAKEN.contains(&name.as_str()) {
            let message = format!("an axis cannot be called `{name}`, which scenarios have already");
            let problem = field.reader.problem(Code::InvalidName, &key.span, "taken", message);
            field.push(problem.help("give it another name"));
            return None;
        }
        let values = values(field)?;
        if values.is_empty() {
            field.push(field.problem(Code::Empty, "no values", format!("axis `{name}` has no values")));
            return None;
        }
        Some(Axis { name: name.to_string(), values })
    };
    Some(field.entries()?.into_iter().filter_map(read).collect())
}

/// A list of names, or names with what they mean.
fn values(field: Field<'_>) -> Option<Vec<AxisValue>> {
    if field.node.value.as_list().is_some() {
        let mut seen = BTreeMap::new();
        let read = |(item, text): (Field<'_>, &str)| {
            let name = named(Field { name: text, ..item }, item.span(), CriterionId::new)?.to_string();
            if let Some(first) = seen.insert(name.clone(), item.span().clone()) {
                let problem = item.problem(Code::DuplicateId, "again", format!("value `{name}` is listed twice"));
                item.push(problem.other(item.reader.file, &first, "first here"));
            }
            Some(AxisValue { description: name.clone(), name, weight: Weight::default() })
        };
        return Some(field.texts()?.into_iter().filter_map(read).collect());
    }
    let read = |(key, field): (&crate::spec::tree::Key, Field<'_>)| {
        let name = named(field, &key.span, CriterionId::new)?.to_string();
        let (description, weight) = described(field, "a value")?;
        Some(AxisValue { name, description, weight })
    };
    Some(field.entries()?.into_iter().filter_map(read).collect())
}

/// A description alone, or with a weight.
pub(super) fn described<'a>(field: Field<'a>, what: &'a str) -> Option<(String, Weight)> {
    if field.node.value.as_map().is_none() {
        return Some((field.text()?.to_owned(), Weight::default()));
    }
    let mut fields = field.fields_of(what)?;
    let description = fields.required("description").and_then(Field::text);
    let weight = fields.optional("weight").map_or(Some(Weight::default()), weight);
    fields.finish();
    Some((description?.to_owned(), weight?))
}

/// Reads `weight`.
pub(super) fn weight(field: Field<'_>) -> Option<Weight> {
    field.number(0.001..=Weight::MOST).map(Weight::new)
}

/// Checks that an axis has a value.
pub(super) fn check_value(reader: Reader<'_>, span: &Range<usize>, axis: &Axis, value: &str) -> Option<()> {
    let names: Vec<&str> = axis.values.iter().map(|value| value.name.as_str()).collect();
    if names.contains(&value) {
        return Some(());
    }
    let message = format!("axis `{}` has no value `{}`", axis.name, shorten(value));
    let problem = reader.problem(Code::UnknownValue, span, "unknown value", message);
    reader.push(problem.help(did_you_mean(value, &names)));
    None
}

/// Reads the values of axes that an edge case has as fields of its own; it has the first value of those that it leaves out.
pub(super) fn values_of(fields: &mut Fields<'_>, axes: &[Axis]) -> Option<BTreeMap<String, String>> {
    let mut values: BTreeMap<String, String> =
        axes.iter().map(|axis| (axis.name.clone(), axis.values[0].name.clone())).collect();
    let Some(field) = fields.optional("axes") else { return Some(values) };
    for (key, value) in field.entries()? {
        let Some(axis) = axes.iter().find(|axis| axis.name == key.name) else {
            let names: Vec<&str> = axes.iter().map(|axis| axis.name.as_str()).collect();
            unknown(value.reader, &key.span, &key.name, &names);
            continue;
        };
        let Some(text) = value.text() else { continue };
        if check_value(value.reader, value.span(), axis, text).is_some() {
            values.insert(axis.name.clone(), text.to_owned());
        }
    }
    Some(values)
}

fn unknown(reader: Reader<'_>, span: &Range<usize>, name: &str, names: &[&str]) {
    let message = format!("scenarios do not differ in `{}`", shorten(name));
    let problem = reader.problem(Code::UnknownField, span, "unknown axis", message);
    reader.push(if names.is_empty() {
        problem.help("declare it under `axes:`")
    } else {
        problem.help(did_you_mean(name, names))
    });
}

/// What a constraint or a demand may name, and the values that there are.
pub(super) struct Dimensions<'a>(BTreeMap<&'a str, BTreeSet<&'a str>>);

impl<'a> Dimensions<'a> {
    pub(super) fn of(
        styles: impl Iterator<Item = &'a String>,
        axes: &'a [Axis],
        topics: &'a [Topic],
        edge_cases: &'a [EdgeCase],
    ) -> Self {
        let topic_ids = topics.iter().map(|topic| &topic.id).chain(edge_cases.iter().map(|case| &case.topic));
        let subtopics = topics.iter().flat_map(|topic| &topic.subtopics).map(|part| &part.id);
        let mut all = BTreeMap::from([
            ("topic", topic_ids.map(String::as_str).collect::<BTreeSet<_>>()),
            ("subtopic", subtopics.map(String::as_str).collect()),
            ("style", styles.map(String::as_str).collect()),
        ]);
        for axis in axes {
            all.insert(&axis.name, axis.values.iter().map(|value| value.name.as_str()).collect());
        }
        Self(all)
    }

    /// Reads `constraints:`, each with where it is.
    pub(super) fn constraints(&self, field: Field<'_>) -> Vec<(Range<usize>, Selector)> {
        let read = |item: Field<'_>| {
            let mut fields = item.fields_of("a constraint")?;
            let not = fields.required("not");
            fields.finish();
            let selector = self.selector(not?.entries()?, not?)?;
            Some((not?.span().clone(), selector))
        };
        field.any_list().unwrap_or_default().into_iter().filter_map(read).collect()
    }

    /// Reads `must_cover:`, each with where it is.
    pub(super) fn demands(&self, field: Field<'_>) -> Vec<(Range<usize>, Demand)> {
        let read = |item: Field<'_>| {
            let (own, rest): (Vec<_>, Vec<_>) =
                item.entries()?.into_iter().partition(|(key, _)| key.name == "at_least");
            let at_least = own.first().map_or(Some(1), |(_, field)| field.count(1..=1_000_000));
            let of = self.selector(rest, item)?;
            Some((item.span().clone(), Demand { of, at_least: at_least? }))
        };
        field.any_list().unwrap_or_default().into_iter().filter_map(read).collect()
    }

    fn selector(&self, entries: Vec<(&crate::spec::tree::Key, Field<'_>)>, at: Field<'_>) -> Option<Selector> {
        if entries.is_empty() {
            let problem = at.problem(Code::Empty, "selects everything", "it names no topic, style or axis".to_owned());
            at.push(problem.help("write what it is about, such as `style: terse`"));
            return None;
        }
        let mut selector = BTreeMap::new();
        let count = entries.len();
        for (key, field) in entries {
            let Some(values) = self.0.get(key.name.as_str()) else {
                unknown(field.reader, &key.span, &key.name, &self.0.keys().copied().collect::<Vec<_>>());
                continue;
            };
            let Some(texts) = field.texts() else { continue };
            let known = |(item, text): &(Field<'_>, &str)| {
                if values.contains(text) {
                    return true;
                }
                let message = format!("there is no {} `{}`", key.name, item.shown());
                let problem = item.problem(Code::UnknownValue, "unknown value", message);
                item.push(problem.help(did_you_mean(text, &values.iter().copied().collect::<Vec<_>>())));
                false
            };
            let chosen: Vec<String> = texts.into_iter().filter(known).map(|(_, text)| text.to_owned()).collect();
            if !chosen.is_empty() {
                selector.insert(key.name.clone(), chosen);
            }
        }
        (selector.len() == count).then_some(Selector(selector))
    }
}
