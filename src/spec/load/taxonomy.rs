//! Reads a taxonomy file.

use std::collections::BTreeMap;
use std::ops::Range;

use indexmap::IndexMap;

use super::files::report_template;
use super::named;
use super::rubric::unique;
use crate::ids::CriterionId;
use crate::spec::problem::{Code, SourceText};
use crate::spec::read::{Field, Reader, Sink, did_you_mean};
use crate::spec::taxonomy::{EdgeCase, Subtopic, Taxonomy, Topic};
use crate::spec::template::Template;
use crate::spec::tree::Document;

/// What a writer's prompt may name.
const WRITER_NAMES: &[&str] = &["topic", "subtopic", "style", "style_description", "index"];

/// A taxonomy, and what other problems point at.
pub(super) struct ReadTaxonomy {
    pub(super) taxonomy: Taxonomy,
    pub(super) file: SourceText,
    /// Where the styles are declared.
    pub(super) styles: Range<usize>,
    /// Where the edge cases are.
    pub(super) edge_cases: Option<Range<usize>>,
}

/// The styles that a taxonomy declares, and where.
struct Styles {
    names: IndexMap<String, String>,
    at: Range<usize>,
}

/// Reads a taxonomy; nothing if it has a problem.
pub(super) fn read(document: Document, sink: &Sink) -> Option<ReadTaxonomy> {
    let before = sink.borrow().len();
    let reader = Reader { file: &document.file, sink };
    let mut fields = reader.document(&document.root, "taxonomy")?;
    let name = fields.required("name").and_then(Field::text).map(str::to_owned);
    fields.optional("description").and_then(Field::text);
    let at = fields.key_span("styles").cloned().unwrap_or_default();
    let styles = Styles { names: fields.required("styles").and_then(styles).unwrap_or_default(), at };
    let mut seen = BTreeMap::new();
    let topics: Vec<Topic> = fields
        .optional("topics")
        .and_then(Field::any_list)
        .unwrap_or_default()
        .into_iter()
        .filter_map(|field| topic(field, &styles, &mut seen))
        .collect();
    let mut seen = BTreeMap::new();
    let edge_cases: Vec<EdgeCase> = fields
        .optional("edge_cases")
        .and_then(Field::any_list)
        .unwrap_or_default()
        .into_iter()
        .filter_map(|field| edge_case(field, &styles, &mut seen))
        .collect();
    let writer_prompt = fields.optional("writer_prompt").and_then(writer_prompt);
    let edge_cases_at = fields.key_span("edge_cases").cloned();
    let span = fields.span.clone();
    fields.finish();

    let is_sound = || sink.borrow().len() == before;
    if is_sound() && topics.is_empty() && edge_cases.is_empty() {
        let message = "the taxonomy has neither topics nor edge cases".to_owned();
        let problem = reader.problem(Code::Empty, &span, "no scenarios", message);
        reader.push(problem.help("add `topics:` or `edge_cases:`"));
    }
    let taxonomy = Taxonomy { name: name?, styles: styles.names, topics, edge_cases, writer_prompt };
    let sound = is_sound();
    sound.then_some(ReadTaxonomy { taxonomy, file: document.file, styles: styles.at, edge_cases: edge_cases_at })
}

fn styles(field: Field<'_>) -> Option<IndexMap<String, String>> {
    let entries = field.entries()?;
    if entries.is_empty() {
        field.push(field.problem(Code::Empty, "no styles", "`styles` must not be empty".to_owned()));
        return None;
    }
    let read = |(key, field): (&crate::spec::tree::Key, Field<'_>)| {
        let name = named(field, &key.span, CriterionId::new);
        // The name is kept even so, or every use of it would be a problem of its own.
        let text = field.text().unwrap_or_default().to_owned();
        (name.map_or_else(|| key.name.clone(), |name| name.to_string()), text)
    };
    Some(entries.into_iter().map(read).collect())
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
}

fn topic<'a>(field: Field<'a>, styles: &Styles, seen: &mut BTreeMap<&'a str, Range<usize>>) -> Option<Topic> {
    let mut fields = field.fields_of("a topic")?;
    let id = unique(&mut fields, "topic", seen);
    let title = fields.required("title").and_then(Field::text);
    let mut seen = BTreeMap::new();
    let subtopics: Option<Vec<Subtopic>> = fields
        .required("subtopics")
        .and_then(Field::list)
        .map(|items| items.into_iter().filter_map(|field| subtopic(field, styles, &mut seen)).collect());
    fields.finish();
    Some(Topic { id: id?.to_owned(), title: title?.to_owned(), subtopics: subtopics? })
}

fn subtopic<'a>(field: Field<'a>, styles: &Styles, seen: &mut BTreeMap<&'a str, Range<usize>>) -> Option<Subtopic> {
    let mut fields = field.fields_of("a subtopic")?;
    let id = unique(&mut fields, "subtopic", seen);
    let title = fields.required("title").and_then(Field::text);
    let mut openings = IndexMap::new();
    if let Some(field) = fields.optional("openings") {
        let entries = field.entries()?;
        if entries.is_empty() {
            let problem = field.problem(Code::Empty, "no openings", "`openings` must not be empty".to_owned());
            field.push(problem.help("remove the key where a model is to write the openings"));
        }
        for (key, opening) in entries {
            let is_declared = styles.check(opening.reader, &key.span, &key.name).is_some();
            if let (true, Some(text)) = (is_declared, opening.text()) {
                openings.insert(key.name.clone(), text.to_owned());
            }
        }
    }
    fields.finish();
    Some(Subtopic { id: id?.to_owned(), title: title?.to_owned(), openings })
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
    let tags = fields.optional("tags").map_or(Some(Vec::new()), Field::any_texts);
    let opening = fields.required("opening").and_then(Field::text);
    fields.finish();
    Some(EdgeCase { id: id?.to_owned(), topic: topic?, style: style?, tags: tags?, opening: opening?.to_owned() })
}

fn writer_prompt(field: Field<'_>) -> Option<Template> {
    let text = field.text()?;
    let sample = serde_json::json!({"topic": "x", "subtopic": "x", "style": "x", "style_description": "x", "index": 1});
    Template::with_names(text, WRITER_NAMES)
        .and_then(|template| template.render(&sample).map(|_| template))
        .map_err(|error| {
            let names: Vec<String> = WRITER_NAMES.iter().map(|name| (*name).to_owned()).collect();
            report_template(field.reader, "template", |_| field.span().clone(), &error, &names);
        })
        .ok()
}
