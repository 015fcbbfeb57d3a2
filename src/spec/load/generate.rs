//! Reads a `generate` stage: a taxonomy and how it is expanded, or a file of scenarios.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::stages::Context;
use super::taxonomy::{self, ReadTaxonomy};
use crate::check::Language;
use crate::ids::CriterionId;
use crate::spec::field_path::FieldPath;
use crate::spec::generate::{
    Expand, Freeze, Generate, GenerateFrom, Import, ImportFormat, Languages, Mapping, NearDuplicates, Reject,
};
use crate::spec::problem::Code;
use crate::spec::read::{Field, Fields, Reader, did_you_mean, shorten};
use crate::spec::taxonomy::{Demand, Grid, GridCell, Selector};

impl Context<'_> {
    /// Reads the settings of a `generate` stage.
    pub(super) fn generate(&self, mut fields: Fields<'_>) -> Option<Generate> {
        let one = fields.exactly_one(["taxonomy", "file"]);
        let file = fields.optional("file");
        let near_duplicates = fields.optional("near_duplicates").map(|field| self.near_duplicates(field));
        let reject = fields.optional("reject").map(|field| (field, self.reject(field)));
        let not_in = fields.optional("not_in").map_or(Some(Vec::new()), |field| self.not_in(field));
        let freeze = fields.optional("freeze");
        let generate = if one == Some("file") { self.scenario_file(fields, file?) } else { self.suite(fields) };
        let near_duplicates = near_duplicates.map_or(Some(None), |read| read.map(Some));
        if let (Some((field, Some(reject))), Some(generate)) = (&reject, &generate) {
            check_language_axis(*field, reject, generate);
        }
        let reject = reject.map_or(Some(None), |(_, read)| read.map(Some));
        one?;
        let generate = Generate { near_duplicates: near_duplicates?, reject: reject?, not_in: not_in?, ..generate? };
        match freeze {
            None => Some(generate),
            Some(field) => self.freeze(field, generate),
        }
    }

    fn not_in(&self, field: Field<'_>) -> Option<Vec<PathBuf>> {
        let texts = field.texts()?;
        let count = texts.len();
        let paths: Vec<PathBuf> =
            texts.into_iter().filter_map(|(item, path)| self.files.existing(item, Path::new(path))).collect();
        (paths.len() == count).then_some(paths)
    }

    /// Takes the suite from the file, if it is there. What was reviewed is not judged again.
    fn freeze(&self, field: Field<'_>, generate: Generate) -> Option<Generate> {
        let GenerateFrom::Taxonomy(expand) = generate.from else {
            let message = "`freeze` keeps what a taxonomy comes to, and there is a `file`".to_owned();
            let problem = field.problem(Code::UnknownField, "not with a file", message);
            field.push(problem.help("remove it: the file is what is taken"));
            return None;
        };
        let Some(path) = self.files.present(field, Path::new(field.text()?)) else {
            let path = self.files.writable(field)?;
            let freeze = Some(Freeze { path, expand: None });
            return Some(Generate { from: GenerateFrom::Taxonomy(expand), freeze, ..generate });
        };
        let near_duplicates = generate.near_duplicates.map(|near| NearDuplicates { rejects: false, ..near });
        let import = Import { path: path.clone(), mapping: None };
        let freeze = Some(Freeze { path, expand: Some(expand) });
        let from = GenerateFrom::File(Box::new(import));
        Some(Generate { from, near_duplicates, reject: None, freeze, ..generate })
    }

    fn suite(&self, mut fields: Fields<'_>) -> Option<Generate> {
        let sink = self.files.sink;
        let taxonomy = fields
            .optional("taxonomy")
            .and_then(|field| self.files.document(field))
            .and_then(|document| taxonomy::read(document, sink));
        let styles = fields.optional("styles").map(Field::texts);
        let count = fields.optional("count");
        let count = count.and_then(|field| Some((field, field.count(1..=1_000_000)?)));
        let seed = fields.optional("seed").map_or(Some(0), |field| field.integer(0..=u64::MAX));
        let writer = fields.optional("writer");
        let has_writer = writer.is_some();
        let writer = writer.and_then(|field| self.writer(field, taxonomy.as_ref()));
        let at = fields.key_span("taxonomy").cloned().unwrap_or_else(|| fields.span.clone());
        let reader = fields.reader;
        fields.finish();

        let read = taxonomy?;
        let styles = match styles {
            None => read.taxonomy.styles.keys().cloned().collect(),
            Some(chosen) => chosen_styles(chosen?, &read)?,
        };
        let cells = Cells::of(&read, &styles, reader, &at)?;
        cells.check_constraints(reader);
        if let Some((field, count)) = count {
            cells.check_count(field, count);
        }
        if !has_writer {
            cells.check_openings(reader, &at, count);
        }
        let count = count.map(|(_, count)| count);
        Some(Generate::of(Expand { taxonomy: read.taxonomy, styles, count, seed: seed?, writer }))
    }

    /// The file may have a million lines: only that it is there is found out here.
    fn scenario_file(&self, mut fields: Fields<'_>, field: Field<'_>) -> Option<Generate> {
        for name in ["styles", "count", "seed", "writer"] {
            fields.optional(name);
            let Some(span) = fields.key_span(name) else { continue };
            let message = format!("`{name}` says how a taxonomy is expanded, and there is a `file`");
            let problem = fields.reader.problem(Code::UnknownField, span, "not with a file", message);
            fields.reader.push(match name {
                "count" => problem.help("remove it; `evalflow run --limit N` takes the first lines of the file"),
                _ => problem.help("remove it: the file holds the scenarios as they are"),
            });
        }
        fields.optional("taxonomy");
        let mapping = mapping(&mut fields, field);
        fields.finish();
        let path = self.files.existing(field, Path::new(field.text()?))?;
        let import = Import { path, mapping: mapping? };
        Some(Generate {
            from: GenerateFrom::File(Box::new(import)),
            limit: None,
            near_duplicates: None,
            reject: None,
            not_in: Vec::new(),
            freeze: None,
        })
    }
}

/// What a field of a scenario may be filled from, besides `axes.NAME`.
const FIELDS: &[&str] = &["opening", "reference", "id", "topic", "subtopic", "style", "tags"];

/// Reads how the records of a file become scenarios. A file of JSON Lines of which nothing is said holds scenarios.
fn mapping(fields: &mut Fields<'_>, file: Field<'_>) -> Option<Option<Mapping>> {
    let format = fields.optional("format");
    let paths = fields.optional("fields");
    let redact = fields.optional("redact");
    let ending = file.node.value.as_text().and_then(|path| Path::new(path).extension()?.to_str());
    let by_ending = match ending {
        Some("json") => ImportFormat::Json,
        Some("csv") => ImportFormat::Csv,
        Some("tsv") => ImportFormat::Tsv,
        Some("parquet") => ImportFormat::Parquet,
        Some("yaml" | "yml") => ImportFormat::Promptfoo,
        Some(_) | None => ImportFormat::Jsonl,
    };
    if by_ending == ImportFormat::Jsonl && format.is_none() && paths.is_none() && redact.is_none() {
        return Some(None);
    }
    let format = format.map_or(Some(by_ending), |field| field.choice(ImportFormat::ALL));
    let paths = paths.map_or(Some(BTreeMap::new()), field_paths);
    let redact = redact.map_or(Some(false), Field::flag);
    Some(Some(Mapping { format: format?, fields: paths?, redact: redact? }))
}

fn field_paths(field: Field<'_>) -> Option<BTreeMap<String, FieldPath>> {
    let entries = field.entries()?;
    let count = entries.len();
    let read = |(key, field): (&crate::spec::tree::Key, Field<'_>)| {
        let axis = key.name.strip_prefix("axes.");
        if !FIELDS.contains(&key.name.as_str()) && axis.is_none_or(|axis| CriterionId::new(axis).is_err()) {
            let message = format!("a scenario has no field `{}`", shorten(&key.name));
            let problem = field.reader.problem(Code::UnknownField, &key.span, "unknown field", message);
            field.push(problem.help(format!("{}, or `axes.NAME`", did_you_mean(&key.name, FIELDS))));
            return None;
        }
        let path = FieldPath::new(field.text()?).map_err(|error| {
            let problem = field.problem(Code::InvalidValue, "not a path", error.to_string());
            field.push(problem.help("write a path such as `$.messages[0].content`, or the name of a column"));
        });
        Some((key.name.clone(), path.ok()?))
    };
    let paths: BTreeMap<String, FieldPath> = entries.into_iter().filter_map(read).collect();
    (paths.len() == count).then_some(paths)
}

/// Reports that openings are to be in the language of an axis that the taxonomy does not have, or that names no languages.
fn check_language_axis(field: Field<'_>, reject: &Reject, generate: &Generate) {
    let (Some(Languages::Axis), Some(expand)) = (&reject.language, generate.expand()) else { return };
    let axis = expand.taxonomy.axes.iter().find(|axis| axis.name == "language");
    let message = match axis.map(|axis| axis.values.iter().find(|value| Language::of(&value.name).is_none())) {
        Some(None) => return,
        Some(Some(value)) => format!("`{}` of the axis `language` is no language that can be told", value.name),
        None => "the taxonomy has no axis `language`".to_owned(),
    };
    let problem = field.problem(Code::InvalidValue, "language: axis", message);
    field.push(problem.help("name the values of the axis by codes such as `en`, or write the codes here"));
}

fn chosen_styles(styles: Vec<(Field<'_>, &str)>, read: &ReadTaxonomy) -> Option<Vec<String>> {
    let names: Vec<&str> = read.taxonomy.styles.keys().map(String::as_str).collect();
    let mut chosen: Vec<(String, Field<'_>)> = Vec::new();
    let mut is_sound = true;
    for (item, style) in styles {
        if let Some((_, first)) = chosen.iter().find(|(other, _)| other == style) {
            let problem = item.problem(Code::DuplicateId, "again", format!("style `{}` is listed twice", item.shown()));
            item.push(problem.other(item.reader.file, first.span(), "first here"));
            is_sound = false;
        } else if !names.contains(&style) {
            let message = format!("the taxonomy has no style `{}`", item.shown());
            let problem = item.problem(Code::UnknownStyle, "unknown style", message);
            let problem = problem.other(&read.file, &read.styles, "styles are declared here");
            item.push(problem.help(did_you_mean(style, &names)));
            is_sound = false;
        }
        chosen.push((style.to_owned(), item));
    }
    is_sound.then(|| chosen.into_iter().map(|(style, _)| style).collect())
}

/// Most cells of a grid: a suite has at most a million scenarios.
const MOST_CELLS: usize = 1_000_000;

/// How many scenarios a taxonomy has openings for.
struct Cells<'a> {
    read: &'a ReadTaxonomy,
    grid: Grid<'a>,
    total: usize,
    missing: usize,
    first_missing: Option<String>,
}

impl<'a> Cells<'a> {
    /// Counts the cells; nothing where there are too many.
    fn of(read: &'a ReadTaxonomy, styles: &'a [String], reader: Reader<'_>, at: &Range<usize>) -> Option<Self> {
        let grid = Grid::new(&read.taxonomy, styles);
        if grid.len() > MOST_CELLS {
            let message = format!("the taxonomy comes to {} cells, and {MOST_CELLS} are the most", grid.len());
            reader.push(reader.problem(Code::TooManyCells, at, "too many cells", message));
            return None;
        }
        let mut cells = Self { read, total: 0, missing: 0, first_missing: None, grid };
        for cell in cells.grid.allowed().map(|number| cells.grid.cell(number)) {
            cells.total += 1;
            if cell.opening().is_none() {
                cells.missing += 1;
                cells.first_missing.get_or_insert_with(|| cell.id());
            }
        }
        Some(cells)
    }

    /// Reports what constraints forbid although it is asked for.
    fn check_constraints(&self, reader: Reader<'_>) {
        let taxonomy = &self.read.taxonomy;
        let file = Reader { file: &self.read.file, sink: reader.sink };
        for (case, at) in taxonomy.edge_cases.iter().zip(&self.read.each_edge_case) {
            let forbids = |selector: &Selector| selector.selects(|name| case.value(name));
            if let Some(place) = taxonomy.constraints.iter().position(forbids) {
                let message = format!("a constraint forbids edge case `{}`, which every suite holds", case.id);
                let problem = file.problem(Code::NoCell, at, "an edge case", message);
                file.push(problem.other(&self.read.file, &self.read.constraints[place], "forbidden here"));
            }
        }
        for (demand, at) in taxonomy.must_cover.iter().zip(&self.read.must_cover) {
            self.check_demand(demand, at, file);
        }
        if self.total == 0 && !self.grid.is_empty() && taxonomy.edge_cases.is_empty() {
            let message = "the constraints forbid every cell of the taxonomy".to_owned();
            let at = self.read.constraints.first().cloned().unwrap_or_default();
            file.push(file.problem(Code::NoCell, &at, "nothing is left", message));
        }
    }

    fn check_demand(&self, demand: &Demand, at: &Range<usize>, file: Reader<'_>) {
        let taxonomy = &self.read.taxonomy;
        let fits = |cell: &GridCell<'_>| demand.of.selects(|name| cell.value(name));
        let cases = taxonomy.edge_cases.iter().filter(|case| demand.of.selects(|name| case.value(name))).count();
        if cases >= demand.at_least || self.grid.allowed().any(|number| fits(&self.grid.cell(number))) {
            return;
        }
        let forbidden = (0..self.grid.len()).map(|number| self.grid.cell(number)).find(fits);
        let constraint = forbidden.and_then(|cell| {
            taxonomy.constraints.iter().position(|constraint| constraint.selects(|name| cell.value(name)))
        });
        file.push(match constraint {
            Some(place) => file
                .problem(Code::NoCell, at, "must be covered", "a constraint forbids what must be covered".to_owned())
                .other(&self.read.file, &self.read.constraints[place], "forbidden here"),
            None => {
                let message = "no cell in the chosen styles is what must be covered".to_owned();
                let problem = file.problem(Code::NoCell, at, "must be covered", message);
                problem.help("choose its style with `styles`, or correct what must be covered")
            }
        });
    }

    /// Reports a count that leaves edge cases out, or what must be covered.
    fn check_count(&self, field: Field<'_>, count: usize) {
        let (taxonomy, read) = (&self.read.taxonomy, self.read);
        let edge_cases = taxonomy.edge_cases.len();
        if count < edge_cases {
            let message = format!("`count` is {count}, but the taxonomy has {edge_cases} edge cases");
            let problem = field.problem(Code::CountTooSmall, "too few", message);
            let at = read.edge_cases.clone().unwrap_or_default();
            let problem = problem.other(&read.file, &at, "every suite holds these");
            field.push(problem.help(format!("write {edge_cases} or more")));
            return;
        }
        let missing = |demand: &Demand| {
            let cases = taxonomy.edge_cases.iter().filter(|case| demand.of.selects(|name| case.value(name))).count();
            demand.at_least.saturating_sub(cases)
        };
        let needed = edge_cases + taxonomy.must_cover.iter().map(missing).sum::<usize>();
        if count < needed {
            let message = format!("`count` is {count}, but edge cases and what must be covered are {needed}");
            let problem = field.problem(Code::CountTooSmall, "too few", message);
            let at = read.must_cover.first().cloned().unwrap_or_default();
            let problem = problem.other(&read.file, &at, "every suite holds these");
            field.push(problem.help(format!("write {needed} or more")));
        }
        if self.total == 0 && count > edge_cases {
            let message = format!("`count` is {count}, but there are {edge_cases} edge cases and no cells");
            field.push(field.problem(Code::NoCell, "too many", message).help(format!("write {edge_cases}")));
        }
    }

    /// Reports what would have to be written, for where nobody is there to write it.
    fn check_openings(&self, reader: Reader<'_>, at: &Range<usize>, count: Option<(Field<'_>, usize)>) {
        let authored = self.total + self.read.taxonomy.edge_cases.len();
        let problem = match (&self.first_missing, count) {
            (Some(first), _) => {
                let message =
                    format!("{} of {} cells have no opening, the first is `{first}`", self.missing, self.total);
                reader.problem(Code::NeedsWriter, at, "openings are missing", message)
            }
            (None, Some((field, count))) if count > authored => {
                let message =
                    format!("`count` is {count}, but the taxonomy has openings for {authored} scenarios only");
                field.problem(Code::NeedsWriter, "too many", message)
            }
            (None, _) => return,
        };
        reader.push(problem.help("add openings to the taxonomy, or name a model with `writer:`"));
    }
}
