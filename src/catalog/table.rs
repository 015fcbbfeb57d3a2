//! Reading CSV files into one table of models.

use std::collections::BTreeMap;

use csv::StringRecord;
use indexmap::IndexMap;
use indexmap::map::Entry;

use super::error::CatalogError;
use super::facts::Facts;
use super::known::{self, Kind};

/// Models by id, from one or more CSV files.
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
    rows: Vec<StringRecord>,
}

/// Where a column stands in each file.
#[derive(Debug)]
pub(super) struct Column(Vec<Option<usize>>);

/// The columns of [`Facts`], in the order of its fields.
const FACTS: [&str; 18] = [
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
    "vocab_size",
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

impl Catalog {
    /// Reads CSV files, each with a name for messages.
    ///
    /// A model is known by its `id`. A later file adds models and columns, and its cells replace those of earlier files
    /// unless they are empty.
    ///
    /// # Errors
    /// A file is not CSV with a column `id`, a cell does not hold what its column is for, a model is described twice in one
    /// file, or there is no model at all.
    pub fn read<'a>(files: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Result<Self, CatalogError> {
        let mut catalog = Self { files: Vec::new(), models: IndexMap::new() };
        for (name, bytes) in files {
            catalog.add(File::read(name, bytes)?)?;
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
        let primary_column = file.columns.get("primary").copied();
        let is_primary =
            |row: usize| primary_column.is_some_and(|column| known::flag(file.cell(row, column)) == Some(true));
        // Two rows of one model are a conflict until one of them turns out to be the only primary one.
        let mut conflicts: BTreeMap<Box<str>, (usize, usize)> = BTreeMap::new();
        for row in 0..file.rows.len() {
            let id = file.cell(row, id_column);
            if id.is_empty() {
                return Err(CatalogError::NoId { file: file.name, line: file.rows[row].line() });
            }
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

    /// What the latest file with something to say has in `column` about `model`.
    pub(super) fn cell(&self, model: &Model, column: &Column) -> Option<Cell<'_>> {
        model.0.iter().rev().find_map(|at| {
            let file = &self.files[at.file];
            let text = file.cell(at.row, column.0[at.file]?);
            if text.is_empty() { None } else { Some(Cell { text, file, row: at.row }) }
        })
    }

    /// What the catalog says about each model. Cells are valid by now, so one that does not parse is `unknown`.
    pub(super) fn facts(&self) -> Vec<Facts<'_>> {
        let columns = FACTS.map(|name| self.column(name));
        self.models().map(|model| self.facts_of(model, &columns)).collect()
    }

    fn facts_of<'c>(&'c self, model: &Model, columns: &[Column; FACTS.len()]) -> Facts<'c> {
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
            vocab_size,
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
            vocab_size: vocab_size.and_then(known::count),
            weights,
            weights_sha256,
            weights_bytes: weights_bytes.and_then(known::count),
        }
    }
}

impl Cell<'_> {
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
        let mut reader = csv::Reader::from_reader(bytes);
        let header = reader.headers().map_err(|error| from_csv(name, error))?;
        let mut columns = IndexMap::new();
        for (position, column) in header.iter().map(str::trim).enumerate() {
            // Tables written with a row index have a column without a name.
            if !column.is_empty() && columns.insert(column.to_owned(), position).is_some() {
                return Err(CatalogError::DuplicateColumn { file: name.to_owned(), column: column.to_owned() });
            }
        }
        if !columns.contains_key("id") {
            return Err(CatalogError::NoIdColumn { file: name.to_owned(), columns: columns.into_keys().collect() });
        }
        let rows = reader.into_records().collect::<Result<_, _>>().map_err(|error| from_csv(name, error))?;
        let file = Self { name: name.to_owned(), columns, rows };
        file.check_cells()?;
        Ok(file)
    }

    fn check_cells(&self) -> Result<(), CatalogError> {
        let known: Vec<_> = self
            .columns
            .iter()
            .filter_map(|(name, position)| known::find(name).map(|column| (column, *position)))
            .collect();
        for row in 0..self.rows.len() {
            for (column, position) in &known {
                let text = self.cell(row, *position);
                if !text.is_empty() && !column.kind.allows(text) {
                    return Err(self.bad_cell(row, column.name, text, column.kind));
                }
            }
        }
        Ok(())
    }

    fn cell(&self, row: usize, column: usize) -> &str {
        self.rows[row].get(column).unwrap_or_default().trim()
    }

    fn bad_cell(&self, row: usize, column: &str, value: &str, kind: Kind) -> CatalogError {
        CatalogError::BadCell {
            file: self.name.clone(),
            line: self.rows[row].line(),
            column: column.to_owned(),
            value: value.to_owned(),
            expected: kind.expected(),
        }
    }

    fn duplicate(&self, id: &str, first: usize, second: usize) -> CatalogError {
        CatalogError::DuplicateId {
            file: self.name.clone(),
            id: id.to_owned(),
            first: self.rows[first].line(),
            second: self.rows[second].line(),
        }
    }
}

trait Line {
    /// The line a row starts on, from 1.
    fn line(&self) -> u64;
}

impl Line for StringRecord {
    fn line(&self) -> u64 {
        self.position().map_or(0, csv::Position::line)
    }
}

fn from_csv(file: &str, error: csv::Error) -> CatalogError {
    let line = error.position().map_or(1, csv::Position::line);
    let file = file.to_owned();
    if let csv::ErrorKind::Utf8 { .. } = error.kind() {
        return CatalogError::NotUtf8 { file, line };
    }
    if let csv::ErrorKind::UnequalLengths { expected_len, len, .. } = error.kind() {
        return CatalogError::Ragged { file, line, expected: *expected_len, found: *len };
    }
    CatalogError::Unreadable { file, source: error }
}
