//! Reads a pipeline file and every file it names.
//!
//! Owns the order of work: the outline of all names first, then the wires between them, then each part, so that one
//! mistake is one problem. One file a part of the document. Start at [`load`].

mod axes;
mod axis_names;
mod calibrate;
mod check;
mod command;
mod compare;
mod conditions;
mod costs;
mod decide;
mod family;
mod files;
mod gates;
mod generate;
mod gold;
mod judging;
mod looks;
mod mode;
pub(super) mod models;
mod prefer;
mod reject;
mod research;
mod rubric;
mod stages;
mod taxonomy;
mod wires;

use std::cell::RefCell;
use std::path::{Path, PathBuf};

use super::env;
use super::pipeline::{Pipeline, ReportFiles};
use super::problem::{Code, Problem, Problems, settle};
use super::read::{Field, Fields, Reader, Sink};
use super::sources::{Environment, Sources};
use super::tree;
use crate::ids::{InvalidName, ModelName, StageId};
use files::Files;
use wires::Outline;

/// The version of the pipeline format that this program reads.
const VERSION: u64 = 1;

/// A checked pipeline and what is worth a second look.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The pipeline.
    pub pipeline: Pipeline,
    /// Problems that do not stop anything, sorted.
    pub warnings: Vec<Problem>,
}

/// Reads the pipeline in `file` and the taxonomies, rubrics and templates that it names relative to `root`.
///
/// # Errors
/// All that is wrong with any of them.
pub fn load(
    file: &Path,
    root: &Path,
    sources: &dyn Sources,
    environment: &dyn Environment,
) -> Result<Loaded, Problems> {
    let sink = Sink::default();
    let shown = relative(file, root);
    let files = Files { root, pipeline: &shown, sources, sink: &sink, named: RefCell::default() };
    let pipeline = files.main(file).and_then(|bytes| {
        let mut document = tree::parse(shown.clone(), &bytes, &sink)?;
        env::expand(&mut document.root, &document.file, environment, &sink);
        let reader = Reader { file: &document.file, sink: &sink };
        read(reader.document(&document.root, "pipeline")?, &files)
    });
    let warnings = settle(sink.into_inner(), &shown)?;
    let pipeline = pipeline.expect("a reader gives nothing only after it noted a problem");
    Ok(Loaded { pipeline, warnings })
}

fn relative(file: &Path, root: &Path) -> PathBuf {
    if let Ok(inside) = file.strip_prefix(root) {
        return inside.to_owned();
    }
    let absolute = |path: &Path| std::path::absolute(path).ok();
    match (absolute(file), absolute(root)) {
        (Some(whole), Some(root)) => whole.strip_prefix(root).unwrap_or(file).to_owned(),
        _ => file.to_owned(),
    }
}

fn read(mut top: Fields<'_>, files: &Files<'_>) -> Option<Pipeline> {
    if !is_known_version(top.required("evalflow")) {
        return None;
    }
    let name = top.required("name").and_then(Field::text);
    let description = top.optional("description").and_then(Field::text);
    let models = top.optional("models");
    let stages = top.required("stages");
    let report_field = top.optional("report");
    let reader = top.reader;
    top.finish();

    let mut outline = Outline::default();
    let model_sketches = model_sketches(models, &mut outline);
    let sketches = sketches(stages, &mut outline);
    outline.find_cycles(reader);
    let models::Engines { models, embedded } = models::read(&model_sketches, &outline);
    let stages = stages::read(&sketches, &outline, &models, &embedded, files);
    // After the stages, which name the files that a report must not replace.
    let report = report_field.and_then(|field| report(field, files));
    outline.warn_of_unused(reader);
    Some(Pipeline {
        name: name?.to_owned(),
        description: description.map(str::to_owned),
        file: files.pipeline.to_owned(),
        root: files.root.to_owned(),
        models,
        stages,
        report: report.unwrap_or_default(),
    })
}

/// Takes in every model's name, kind and references.
fn model_sketches<'a>(field: Option<Field<'a>>, outline: &mut Outline<'a>) -> Vec<models::Sketch<'a>> {
    let mut sketches = Vec::new();
    for (key, field) in field.and_then(Field::entries).unwrap_or_default() {
        let name = named(field, &key.span, ModelName::new);
        outline.define(field, &key.span, wires::What::Model);
        if let Some(sketch) = models::sketch(field, name, &key.span) {
            outline.connect(field.name, sketch.references(), sketch.body());
            sketches.push(sketch);
        }
    }
    sketches
}

/// Takes in every stage's name, kind and references, so that its settings can be read with all names known.
fn sketches<'a>(field: Option<Field<'a>>, outline: &mut Outline<'a>) -> Vec<stages::Sketch<'a>> {
    let mut sketches = Vec::new();
    let Some((field, entries)) = field.and_then(|field| Some((field, field.entries()?))) else { return sketches };
    if entries.is_empty() {
        field.push(field.problem(Code::Empty, "no stages", "the pipeline has no stages".to_owned()));
    }
    for (key, field) in entries {
        let id = named(field, &key.span, StageId::new);
        let kind = wires::kind(field, &key.span);
        outline.define(field, &key.span, wires::What::of(kind.as_ref().map(|(kind, _, _)| *kind)));
        if let Some((kind, kind_key, body)) = kind {
            outline.connect(field.name, kind.references(), body);
            sketches.push(stages::Sketch { id, kind, at: &kind_key.span, body });
        }
    }
    sketches
}

/// A file of another version is not read further: what it means is not known.
fn is_known_version(field: Option<Field<'_>>) -> bool {
    let Some(field) = field else { return true };
    match field.integer(0..=u64::MAX) {
        None | Some(VERSION) => true,
        Some(_) => {
            let message = format!("`evalflow: {}` is not a version that this program reads", field.shown());
            let problem = field.problem(Code::UnsupportedVersion, "unknown version", message);
            field
                .push(problem.help(format!("write `evalflow: {VERSION}`, or install the program that wrote the file")));
            false
        }
    }
}

/// Checks the name that an entry is filed under.
fn named<T>(field: Field<'_>, span: &std::ops::Range<usize>, new: fn(&str) -> Result<T, InvalidName>) -> Option<T> {
    new(field.name)
        .map_err(|error| {
            let problem = field.reader.problem(Code::InvalidName, span, "not a name", error.to_string());
            field.push(problem);
        })
        .ok()
}

fn report(field: Field<'_>, files: &Files<'_>) -> Option<ReportFiles> {
    let mut fields = field.fields()?;
    let markdown = fields.optional("markdown").and_then(|field| files.writable(field));
    fields.finish();
    Some(ReportFiles { markdown })
}
