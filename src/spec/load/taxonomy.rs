//! Reads a taxonomy file.

use std::collections::BTreeMap;
use std::ops::Range;

use indexmap::IndexMap;

use super::axes::{self, Dimensions};
use super::files::report_template;
use super::named;
use super::rubric::unique;
use crate::ids::CriterionId;
use crate::spec::problem::{Code, SourceText};
use crate::spec::read::{Field, Reader, Sink, did_you_mean};
use crate::spec::taxonomy::{Axis, Demand, EdgeCase, Selector, Subtopic, Taxonomy, Topic, Weight};
use crate::spec::template::{Template, TemplateError};
use crate::spec::tree::Document;

/// What a writer's prompt may name.
const WRITER_NAMES: &[&str] = &["topic", "subtopic", "style", "style_description", "index", "axes"];

/// A taxonomy, and what other problems point at.
pub(super) struct ReadTaxonomy {
    pub(super) taxonomy: Taxonomy,
    pub(super) file: SourceText,
    /// Where the styles are declared.
    pub(super) styles: Range<usize>,
    /// Where the edge cases are.
    pub(super) edge_cases: Option<Range<usize>>,
    /// Where each edge case is.
    pub(super) each_edge_case: Vec<Range<usize>>,
    /// Where each constraint is.
    pub(super) constraints: Vec<Range<usize>>,
    /// Where each demand is.
    pub(super) must_cover: Vec<Range<usize>>,
}

/// The styles that a taxonomy declares, and where; and its axes.
struct Styles {
    names: IndexMap<String, String>,
    weights: BTreeMap<String, Weight>,
    at: Range<usize>,
    axes: Vec<Axis>,
}

/// Reads a taxonomy; nothing if it has a problem.
pub(super) fn read(document: Document, sink: &Sink) -> Option<ReadTaxonomy> {
    let before = sink.borrow().len();
    let reader = Reader { file: &document.file, sink };
    let mut fields = reader.document(&document.root, "taxonomy")?;
    let name = fields.required("name").and_then(Field::text).map(str::to_owned);
    fields.optional("description").and_then(Field::text);
    let at = fields.key_span("styles").cloned().unwrap_or_default();
    let (names, weights) = fields.required("styles").and_then(styles).unwrap_or_default();
    let axes = fields.optional("axes").and_then(axes::axes).unwrap_or_default();
    let styles = Styles { names, weights, at, axes };
    let mut seen = BTreeMap::new();
    let topics: Vec<Topic> = fields
        .optional("topics")
        .and_then(Field::any_list)
        .unwrap_or_default()
        .into_iter()
        .filter_map(|field| topic(field, &styles, &mut seen))
        .collect();
    let mut seen = BTreeMap::new();
    let (each_edge_case, edge_cases): (Vec<Range<usize>>, Vec<EdgeCase>) = fields
        .optional("edge_cases")
        .and_then(Field::any_list)
        .unwrap_or_default()
        .into_iter()
        .filter_map(|field| Some((field.span().clone(), edge_case(field, &styles, &mut seen)?)))
        .unzip();
    let dimensions = Dimensions::of(styles.names.keys(), &styles.axes, &topics, &edge_cases);
    let (constraints_at, constraints): (Vec<Range<usize>>, Vec<Selector>) = fields
        .optional("constraints")
        .map(|field| dimensions.constraints(field))
        .unwrap_or_default()
        .into_iter()
        .unzip();
    let (must_cover_at, must_cover): (Vec<Range<usize>>, Vec<Demand>) =
        fields.optional("must_cover").map(|field| dimensions.demands(field)).unwrap_or_default().into_iter().unzip();
    let writer_prompt = fields.optional("writer_prompt").and_then(|field| writer_prompt(field, &styles.axes));
    let edge_cases_at = fields.key_span("edge_cases").cloned();
    let span = fields.span.clone();
    fields.finish();

    let is_sound = || sink.borrow().len() == before;
    if is_sound() && topics.is_empty() && edge_cases.is_empty() {
        let message = "the taxonomy has neither topics nor edge cases".to_owned();
        let problem = reader.problem(Code::Empty, &span, "no scenarios", message);
        reader.push(problem.help("add `topics:` or `edge_cases:`"));
    }
    let Styles { names, weights, at, axes } = styles;
    let taxonomy = Taxonomy {
        name: name?,
        styles: names,
        style_weights: weights,
        axes,
        topics,
        edge_cases,
        constraints,
        must_cover,
        writer_prompt,
    };
    let sound = is_sound();
    sound.then_some(ReadTaxonomy {
        taxonomy,
        file: document.file,
        styles: at,
        edge_cases: edge_cases_at,
        each_edge_case,
        constraints: constraints_at,
        must_cover: must_cover_at,
    })
}

fn styles(field: Field<'_>) -> Option<(IndexMap<String, String>, BTreeMap<String, Weight>)> {
    let entries = field.entries()?;
    if entries.is_empty() {
        field.push(field.problem(Code::Empty, "no styles", "`styles` must not be empty".to_owned()));
        return None;
    }
    let mut weights = BTreeMap::new();
    let read = |(key, field): (&crate::spec::tree::Key, Field<'_>)| {
        let name = named(field, &key.span, CriterionId::new);
        // The name is kept even so, or every use of it would be a problem of its own.
        let name = name.map_or_else(|| key.name.clone(), |name| name.to_string());
        let (text, weight) = axes::described(field, "a style").unwrap_or_default();
        if !weight.is_usual() {
            weights.insert(name.clone(), weight);
        }
        (name, text)
    };
    let names = entries.into_iter().map(read).collect();
    Some((names, weights))
}

impl Styles {
    /// Checks that a style is declared. Where none is, that is a problem of its own.
    fn check(&self, reader: Reader<'_>, span: &Range<usize>, style: &str) -> Option<()> {
        if self.names.is_empty() || self.names.contains_key(style) {
            return Some(());
        }
        let names: Vec<&str> = self.names.keys().map(String::as_str).collect();
        let shown = crate::spec::read::shorten(style);
        let problem = reader.problem(Code::UnknownStyle, span, "unknown style", format!("unknown style `{shown}`"));
        let problem = problem.other(reader.file, &self.at, "styles are declared here");
        reader.push(problem.help(did_you_mean(style, &names)));
        None
    }

    /// What an opening under this key is filed under: style and a value of each axis, the first where the key has none.
    fn form(&self, reader: Reader<'_>, span: &Range<usize>, key: &str) -> Option<String> {
        let (style, values) = key.split_once('/').map_or((key, None), |(style, values)| (style, Some(values)));
        self.check(reader, span, style)?;
        let mut form = style.to_owned();
        let Some(values) = values else {
            for axis in &self.axes {
                form.push('/');
                form.push_str(&axis.values[0].name);
            }
            return Some(form);
        };
        let given: Vec<&str> = values.split('/').collect();
        if given.len() != self.axes.len() {
            let message = format!(
                "`{}` names {} values, but the taxonomy has {} axes",
                crate::spec::read::shorten(key),
                given.len(),
                self.axes.len()
            );
            let problem = reader.problem(Code::InvalidValue, span, "not a cell", message);
            reader.push(problem.help("write the style alone, or the style and a value of each axis with `/` between"));
            return None;
        }
        for (axis, value) in self.axes.iter().zip(given) {
            axes::check_value(reader, span, axis, value)?;
        }
        Some(key.to_owned())
    }
}

fn topic<'a>(field: Field<'a>, styles: &Styles, seen: &mut BTreeMap<&'a str, Range<usize>>) -> Option<Topic> {
    let mut fields = field.fields_of("a topic")?;
    let id = unique(&mut fields, "topic", seen);
    let title = fields.required("title").and_then(Field::text);
    let weight = fields.optional("weight").map_or(Some(Weight::default()), axes::weight);
    let mut seen = BTreeMap::new();
    let subtopics: Option<Vec<Subtopic>> = fields
        .required("subtopics")
        .and_then(Field::list)
        .map(|items| items.into_iter().filter_map(|field| subtopic(field, styles, &mut seen)).collect());
    fields.finish();
    Some(Topic { id: id?.to_owned(), title: title?.to_owned(), weight: weight?, subtopics: subtopics? })
}

fn subtopic<'a>(field: Field<'a>, styles: &Styles, seen: &mut BTreeMap<&'a str, Range<usize>>) -> Option<Subtopic> {
    let mut fields = field.fields_of("a subtopic")?;
    let id = unique(&mut fields, "subtopic", seen);
    let title = fields.required("title").and_then(Field::text);
    let weight = fields.optional("weight").map_or(Some(Weight::default()), axes::weight);
    let mut openings = IndexMap::new();
    if let Some(field) = fields.optional("openings") {
        let entries = field.entries()?;
        if entries.is_empty() {
            let problem = field.problem(Code::Empty, "no openings", "`openings` must not be empty".to_owned());
            field.push(problem.help("remove the key where a model is to write the openings"));
        }
        for (key, opening) in entries {
            let form = styles.form(opening.reader, &key.span, &key.name);
            let (Some(form), Some(text)) = (form, opening.text()) else { continue };
            if openings.insert(form.clone(), text.to_owned()).is_some() {
                let message = format!("two openings are for `{form}`");
                let problem = opening.reader.problem(Code::DuplicateId, &key.span, "again", message);
                opening.push(problem.help("name the values of the axes in one of the keys: `style/value`"));
            }
        }
    }
    fields.finish();
    Some(Subtopic { id: id?.to_owned(), title: title?.to_owned(), weight: weight?, openings })
}

fn edge_case<'a>(field: Field<'a>, styles: &Styles, seen: &mut BTreeMap<&'a str, Range<usize>>) -> Option<EdgeCase> {
    let mut fields = field.fields_of("an edge case")?;
    let id = unique(&mut fields, "edge case", seen);
    let topic = fields.required("topic").and_then(|field| {
        let topic = field.text()?;
        named(Field { name: topic, ..field }, field.span(), CriterionId::new)?;
        Some(topic.to_owned())
    });
    let style = fields.required("style").and_then(|field| {
        let style = field.text()?;
        styles.check(field.reader, field.span(), style)?;
        Some(style.to_owned())
    });
    let axes = axes::values_of(&mut fields, &styles.axes);
    let tags = fields.optional("tags").map_or(Some(Vec::new()), Field::any_texts);
    let opening = fields.required("opening").and_then(Field::text);
    let reference = fields.optional("reference").map(|field| field.text().map(str::to_owned));
    fields.finish();
    Some(EdgeCase {
        id: id?.to_owned(),
        topic: topic?,
        style: style?,
        axes: axes?,
        tags: tags?,
        opening: opening?.to_owned(),
        reference: reference.flatten(),
    })
}

/// What a writer's prompt may name where the taxonomy has these axes.
pub(super) fn writer_names(axes: &[Axis]) -> Vec<String> {
    let parts = |axis: &Axis| ["", ".value", ".description"].map(|part| format!("axes.{}{part}", axis.name));
    WRITER_NAMES.iter().map(|name| (*name).to_owned()).chain(axes.iter().flat_map(parts)).collect()
}

/// Checks a writer's prompt by filling it in.
pub(super) fn writer_template(text: &str, axes: &[Axis]) -> Result<Template, TemplateError> {
    let values: serde_json::Map<String, serde_json::Value> =
        axes.iter().map(|axis| (axis.name.clone(), serde_json::json!({ "value": "x", "description": "x" }))).collect();
    let sample = serde_json::json!({
        "topic": "x", "subtopic": "x", "style": "x", "style_description": "x", "index": 1, "axes": values,
    });
    let names = writer_names(axes);
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    Template::with_names(text, &names).and_then(|template| template.render(&sample).map(|_| template))
}

fn writer_prompt(field: Field<'_>, axes: &[Axis]) -> Option<Template> {
    let text = field.text()?;
    writer_template(text, axes)
        .map_err(|error| {
            let names = writer_names(axes);
            report_template(field.reader, "template", |_| field.span().clone(), &error, &names);
        })
        .ok()
}
