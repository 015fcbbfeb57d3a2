//! Reading files into one table of models.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use csv::StringRecord;
use indexmap::IndexMap;
use indexmap::map::Entry;

use super::error::{CatalogError, Spot};
use super::facts::Facts;
use super::formats::{self, Entries, Export, TABLE};
use super::grid::Grid;
use super::known::{self, Kind};
use crate::data::CatalogSource;
use crate::spec::is_date;

/// Models by id, from one or more files.
#[derive(Debug)]
pub struct Catalog {
    files: Vec<File>,
    models: IndexMap<Box<str>, Model>,
}

/// The rows that describe one model, in the order of their files.
#[derive(Debug)]
pub(super) struct Model(Vec<RowRef>);

#[derive(Debug, Clone, Copy)]
struct RowRef {
    file: usize,
    row: usize,
}

#[derive(Debug)]
struct File {
    name: String,
    columns: IndexMap<String, usize>,
    rows: Grid,
    /// What it is, in words.
    format: &'static str,
    /// Whether its models are called by names without their organisation.
    by_name: bool,
}

/// Where a column stands in each file.
#[derive(Debug)]
pub(super) struct Column(Vec<Option<usize>>);

/// The columns of [`Facts`], in the order of its fields.
const FACTS: [&str; 30] = [
    "id",
    "params_b",
    "type",
    "license",
    "license_note",
    "license_commercial",
    "context",
    "official",
    "reasoning",
    "hf_downloads",
    "architecture",
    "layers",
    "kv_heads",
    "head_dim",
    "hidden_size",
    "vocab_size",
    "tied_embeddings",
    "training_tokens_b",
    "precision",
    "release_date",
    "knowledge_cutoff",
    "tool_call",
    "open_weights",
    "price_in",
    "price_out",
    "source",
    "source_date",
    "weights",
    "weights_sha256",
    "weights_bytes",
];

/// One cell that is not empty, and where it stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cell<'c> {
    pub(super) text: &'c str,
    file: &'c File,
    row: usize,
}

/// Something that models are read from, with a name for messages.
#[derive(Debug, Clone, Copy)]
pub enum Part<'a> {
    /// A file, whose name's end tells CSV from JSON, JSON Lines and YAML.
    File(&'a str, &'a [u8]),
    /// Rows that were made of a hub's answer.
    Hub(&'a str, &'a [u8]),
}

impl Catalog {
    /// Reads files, each with a name for messages whose end tells CSV from JSON, JSON Lines and YAML.
    ///
    /// A model is known by its `id`. A later file adds models and columns, and its cells replace those of earlier files
    /// unless they are empty.
    ///
    /// # Errors
    /// A file is of no known form or has no column `id`, a cell does not hold what its column is for, a model is described twice in one
    /// file, or there is no model at all.
    pub fn read<'a>(files: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Result<Self, CatalogError> {
        Self::of(files.into_iter().map(|(name, bytes)| Part::File(name, bytes)))
    }

    /// Reads files and rows, as [`Self::read`] does.
    ///
    /// # Errors
    /// See [`Self::read`].
    pub fn of<'a>(parts: impl IntoIterator<Item = Part<'a>>) -> Result<Self, CatalogError> {
        let mut catalog = Self { files: Vec::new(), models: IndexMap::new() };
        for part in parts {
            catalog.add(match part {
                Part::File(name, bytes) => File::read(name, bytes)?,
                Part::Hub(name, bytes) => File::read_rows(name, bytes)?,
            })?;
        }
        if catalog.models.is_empty() { Err(CatalogError::NoModels) } else { Ok(catalog) }
    }

    /// Counts the models.
    #[must_use]
    pub fn len(&self) -> usize {
        self.models.len()
    }

    /// Whether there is no model; never so after [`Self::read`].
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.models.is_empty()
    }

    fn add(&mut self, file: File) -> Result<(), CatalogError> {
        let index = self.files.len();
        let id_column = file.columns["id"];
        let known_as = if file.by_name { self.names() } else { BTreeMap::new() };
        let primary_column = file.columns.get("primary").copied();
        let is_primary =
            |row: usize| primary_column.is_some_and(|column| known::flag(file.rows.cell(row, column)) == Some(true));
        // Two rows of one model are a conflict until one of them turns out to be the only primary one.
        let mut conflicts: BTreeMap<Box<str>, (usize, usize)> = BTreeMap::new();
        for row in 0..file.rows.len() {
            let id = file.rows.cell(row, id_column);
            if id.is_empty() {
                return Err(CatalogError::NoId { line: file.rows.spot(row), file: file.name });
            }
            let id = match known_as.get(&id.to_ascii_lowercase()) {
                Some(Some(full)) => full.as_ref(),
                Some(None) | None => id,
            };
            match self.models.entry(id.into()) {
                Entry::Vacant(entry) => {
                    entry.insert(Model(vec![RowRef { file: index, row }]));
                }
                Entry::Occupied(mut entry) => match entry.get_mut().0.last_mut() {
                    Some(last) if last.file == index => match (is_primary(last.row), is_primary(row)) {
                        (true, true) => return Err(file.duplicate(id, last.row, row)),
                        (true, false) => {}
                        (false, true) => {
                            last.row = row;
                            conflicts.remove(id);
                        }
                        (false, false) => {
                            conflicts.entry(id.into()).or_insert((last.row, row));
                        }
                    },
                    _ => entry.get_mut().0.push(RowRef { file: index, row }),
                },
            }
        }
        if let Some((id, (first, second))) = conflicts.iter().min_by_key(|(_, (_, second))| *second) {
            return Err(file.duplicate(id, *first, *second));
        }
        self.files.push(file);
        Ok(())
    }

    /// Models by their names without the organisation, in small letters; none where several have a name.
    fn names(&self) -> BTreeMap<String, Option<Box<str>>> {
        let mut names: BTreeMap<String, Option<Box<str>>> = BTreeMap::new();
        for id in self.models.keys() {
            let name = id.rsplit('/').next().unwrap_or(id).to_ascii_lowercase();
            names.entry(name).and_modify(|found| *found = None).or_insert_with(|| Some(id.clone()));
        }
        names
    }

    /// The files, and how many models each describes.
    pub(super) fn sources(&self) -> Vec<CatalogSource> {
        let dates = |file: &File| file.columns.get("source_date").copied();
        let newest = |file: &File| {
            let column = dates(file)?;
            let all = (0..file.rows.len()).flat_map(|row| file.rows.cell(row, column).split(';'));
            all.filter(|date| is_date(date)).max().map(ToOwned::to_owned)
        };
        let source = |(index, file): (usize, &File)| CatalogSource {
            name: file.name.clone(),
            format: file.format.to_owned(),
            models: self.models.values().filter(|model| model.0.iter().any(|row| row.file == index)).count(),
            newest: newest(file),
        };
        self.files.iter().enumerate().map(source).collect()
    }

    /// The models, in order of first appearance.
    pub(super) fn models(&self) -> impl Iterator<Item = &Model> {
        self.models.values()
    }

    /// All column names, in order of first appearance.
    pub(super) fn columns(&self) -> impl Iterator<Item = &str> {
        let before = |index: usize, name: &str| self.files[..index].iter().any(|file| file.columns.contains_key(name));
        self.files.iter().enumerate().flat_map(move |(index, file)| {
            file.columns.keys().map(String::as_str).filter(move |name| !before(index, name))
        })
    }

    /// Finds where `name` stands in each file, once for all models.
    pub(super) fn column(&self, name: &str) -> Column {
        Column(self.files.iter().map(|file| file.columns.get(name).copied()).collect())
    }

    /// What the latest file with something to say has in a column about the model of this id.
    pub(super) fn text(&self, id: &str, column: &str) -> Option<&str> {
        self.cell(self.models.get(id)?, &self.column(column)).map(|cell| cell.text)
    }

    /// What the latest file with something to say has in `column` about `model`.
    pub(super) fn cell(&self, model: &Model, column: &Column) -> Option<Cell<'_>> {
        model.0.iter().rev().find_map(|at| {
            let file = &self.files[at.file];
            let text = file.rows.cell(at.row, column.0[at.file]?);
            if text.is_empty() { None } else { Some(Cell { text, file, row: at.row }) }
        })
    }

    /// What the catalog says about each model. Cells are valid by now, so one that does not parse is `unknown`.
    pub(super) fn facts(&self) -> Vec<Facts<'_>> {
        let columns = FACTS.map(|name| self.column(name));
        let coding: Vec<Column> =
            self.columns().filter(|name| known::is_coding(name)).map(|name| self.column(name)).collect();
        self.models().map(|model| self.facts_of(model, &columns, &coding)).collect()
    }

    fn facts_of<'c>(&'c self, model: &Model, columns: &[Column; FACTS.len()], coding: &[Column]) -> Facts<'c> {
        let cells = columns.each_ref().map(|column| self.cell(model, column).map(|cell| cell.text));
        let [
            id,
            params_b,
            kind,
            license,
            license_note,
            commercial,
            context,
            official,
            reasoning,
            downloads,
            architecture,
            layers,
            kv_heads,
            head_dim,
            hidden_size,
            vocab_size,
            tied_embeddings,
            training_tokens_b,
            precision,
            release_date,
            knowledge_cutoff,
            tool_call,
            open_weights,
            price_in,
            price_out,
            source,
            source_date,
            weights,
            weights_sha256,
            weights_bytes,
        ] = cells;
        Facts {
            id: id.unwrap_or_default(),
            params_b: params_b.and_then(known::number),
            kind,
            license,
            license_note,
            commercial: commercial.and_then(known::flag),
            context: context.and_then(known::count),
            official: official.and_then(known::flag),
            reasoning: reasoning.and_then(known::flag),
            downloads: downloads.and_then(known::count),
            architecture,
            layers: layers.and_then(known::count),
            kv_heads: kv_heads.and_then(known::count),
            head_dim: head_dim.and_then(known::count),
            hidden_size: hidden_size.and_then(known::count),
            vocab_size: vocab_size.and_then(known::count),
            tied_embeddings: tied_embeddings.and_then(known::flag),
            training_tokens_b: training_tokens_b.and_then(known::number),
            precision,
            release_date,
            knowledge_cutoff,
            tool_call: tool_call.and_then(known::flag),
            open_weights: open_weights.and_then(known::flag),
            price_in: price_in.and_then(known::number),
            price_out: price_out.and_then(known::number),
            source,
            source_date,
            coded: coding.iter().any(|column| self.cell(model, column).is_some()),
            weights,
            weights_sha256,
            weights_bytes: weights_bytes.and_then(known::count),
        }
    }
}

impl<'c> Cell<'c> {
    /// The file that it stands in.
    pub(super) fn file(&self) -> &'c str {
        &self.file.name
    }

    /// What the same row of the same file has in another column.
    pub(super) fn beside(&self, column: &str) -> Option<&'c str> {
        let text = self.file.rows.cell(self.row, *self.file.columns.get(column)?);
        (!text.is_empty()).then_some(text)
    }

    /// Says that the cell does not hold what it should.
    pub(super) fn bad(&self, column: &str, kind: Kind) -> CatalogError {
        self.file.bad_cell(self.row, column, self.text, kind)
    }
}

impl File {
    fn read(name: &str, bytes: &[u8]) -> Result<Self, CatalogError> {
        if bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes).trim_ascii().is_empty() {
            return Err(CatalogError::Empty { file: name.to_owned() });
        }
        let file = match formats::entries(name, bytes)? {
            Some(entries) => Self::of_entries(name, &entries),
            None => Self::of_csv(name, bytes)?,
        };
        file.check_cells()?;
        Ok(file)
    }

    fn read_rows(name: &str, bytes: &[u8]) -> Result<Self, CatalogError> {
        let file = Self::of_entries(name, &formats::hub_rows(name, bytes)?);
        file.check_cells()?;
        Ok(file)
    }

    fn of_entries(name: &str, Entries { format, entries, by_name }: &Entries) -> Self {
        let mut columns = IndexMap::from([("id".to_owned(), 0)]);
        for column in entries.iter().flat_map(IndexMap::keys) {
            if !columns.contains_key(column) {
                columns.insert(column.clone(), columns.len());
            }
        }
        let mut rows = Grid::new(columns.len(), 0);
        for (number, entry) in (1..).zip(entries) {
            let cell = |column: &String| entry.get(column).map_or("", String::as_str);
            rows.push(Spot::Entry(number), columns.keys().map(cell));
        }
        Self { name: name.to_owned(), columns, rows, format, by_name: *by_name }
    }

    fn of_csv(name: &str, bytes: &[u8]) -> Result<Self, CatalogError> {
        let mut reader = csv::Reader::from_reader(bytes);
        let header = reader.headers().map_err(|error| from_csv(name, error))?;
        let names: Vec<&str> = header.iter().map(str::trim).collect();
        let export = Export::of(&names);
        let mut rows = Grid::new(names.len(), bytes.len());
        let mut columns = IndexMap::new();
        for (position, column) in names.into_iter().enumerate() {
            let column = export.map_or(column, |export| export.column(column));
            // Tables written with a row index have a column without a name.
            if !column.is_empty() && columns.insert(column.to_owned(), position).is_some() {
                return Err(CatalogError::DuplicateColumn { file: name.to_owned(), column: column.to_owned() });
            }
        }
        if !columns.contains_key("id") {
            return Err(CatalogError::NoIdColumn { file: name.to_owned(), columns: columns.into_keys().collect() });
        }
        let mut cells = StringRecord::new();
        while reader.read_record(&mut cells).map_err(|error| from_csv(name, error))? {
            rows.push(Spot::Line(cells.position().map_or(0, csv::Position::line)), &cells);
        }
        let mut file = Self { name: name.to_owned(), columns, rows, format: TABLE, by_name: false };
        if let Some(export) = export {
            file.tidy(&export);
        }
        Ok(file)
    }

    /// Leaves out what an export itself marks as not to be used, and of several rows of a model all but the best.
    fn tidy(&mut self, export: &Export) {
        (self.format, self.by_name) = (export.format, export.by_name);
        let cell = |row: usize, column: &str| self.columns.get(column).map_or("", |at| self.rows.cell(row, *at));
        let is_left_out =
            |row: &usize| export.left_out_by.iter().any(|column| known::flag(cell(*row, column)) == Some(true));
        let Some(better_by) = export.better_by else { return };
        let mut best: BTreeMap<&str, (f64, usize)> = BTreeMap::new();
        for row in (0..self.rows.len()).filter(|row| !is_left_out(row)) {
            let score = known::number(cell(row, better_by)).unwrap_or(f64::NEG_INFINITY);
            let found = best.entry(cell(row, "id")).or_insert((score, row));
            if score > found.0 {
                *found = (score, row);
            }
        }
        let kept: BTreeSet<usize> = best.into_values().map(|(_, row)| row).collect();
        self.rows = self.rows.filtered(|row| kept.contains(&row));
    }

    fn check_cells(&self) -> Result<(), CatalogError> {
        let known: Vec<_> = self
            .columns
            .iter()
            .filter_map(|(name, position)| known::find(name).map(|column| (column, *position)))
            .collect();
        let check = |rows: Range<usize>| {
            for row in rows {
                for (column, position) in &known {
                    let text = self.rows.cell(row, *position);
                    if !text.is_empty() && !column.kind.allows(text) {
                        return Err(self.bad_cell(row, column.name, text, column.kind));
                    }
                }
            }
            Ok(())
        };
        let (middle, all) = (self.rows.len() / 2, self.rows.len());
        std::thread::scope(|scope| {
            let second = std::thread::Builder::new().spawn_scoped(scope, || check(middle..all));
            check(0..middle)?;
            match second {
                Ok(second) => second.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
                // There may be as many threads as this process may have.
                Err(_) => check(middle..all),
            }
        })
    }

    fn bad_cell(&self, row: usize, column: &str, value: &str, kind: Kind) -> CatalogError {
        CatalogError::BadCell {
            file: self.name.clone(),
            line: self.rows.spot(row),
            column: column.to_owned(),
            value: value.to_owned(),
            expected: kind.expected(),
        }
    }

    fn duplicate(&self, id: &str, first: usize, second: usize) -> CatalogError {
        CatalogError::DuplicateId {
            file: self.name.clone(),
            id: id.to_owned(),
            first: self.rows.spot(first),
            second: self.rows.spot(second),
        }
    }
}

fn from_csv(file: &str, error: csv::Error) -> CatalogError {
    let line = Spot::Line(error.position().map_or(1, csv::Position::line));
    let file = file.to_owned();
    if let csv::ErrorKind::Utf8 { .. } = error.kind() {
        return CatalogError::NotUtf8 { file, line };
    }
    if let csv::ErrorKind::UnequalLengths { expected_len, len, .. } = error.kind() {
        return CatalogError::Ragged { file, line, expected: *expected_len, found: *len };
    }
    CatalogError::Unreadable { file, source: error }
}
