//! The rows of a Parquet file as records: of the columns that a mapping names, or of those that hold text, and of no others.
//!
//! A damaged file makes the library panic now and then, so it is read on a thread of its own, named [`READER`], and what ends
//! that thread is an error like any other. Rows come page by page, so that memory does not grow with them. What the library
//! says of a value is not repeated: it might repeat what is to be covered. Start at [`records`].

mod footer;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{Builder, JoinHandle};

use jiff::tz::Offset;
use jiff::{SignedDuration, Timestamp, ToSpan, civil};
use parquet::basic::{Compression, ConvertedType, LogicalType, TimeUnit, Type as Physical};
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::reader::RowIter;
use parquet::record::{Field, Row};
use parquet::schema::types::{Type, TypePtr};
use serde_json::{Map, Value};

use super::{Record, ScenarioFileError};
use crate::spec::Mapping;

/// The name of the threads that read such files. What they say when they end early is for nobody to see.
pub const READER: &str = "parquet-reader";

/// So many rows are read before they are asked for.
const AHEAD: usize = 32;

/// So many columns are named where one is missing.
const MOST_NAMED: usize = 12;

/// What a scenario is filled from where the mapping names nothing.
const UNNAMED: &[&str] = &["opening", "id", "topic", "subtopic", "style", "tags", "edge_case"];

/// Which columns are read.
#[derive(Debug, Clone)]
pub(super) enum Columns {
    /// Those that a mapping names, and those that a scenario is filled from without being named.
    Of(Mapping),
    /// All but those whose bytes are no text.
    Texts,
}

/// The rows of a file, from 1.
///
/// # Errors
/// It cannot be opened.
pub(super) fn records(
    path: &Path,
    shown: &str,
    columns: Columns,
) -> Result<impl Iterator<Item = Record> + Send + use<>, ScenarioFileError> {
    let failed = |source| ScenarioFileError::Read { file: shown.to_owned(), source };
    let file = fs_err::File::open(path).map_err(failed)?.into_file();
    let (sender, receiver) = sync_channel(AHEAD);
    let name = shown.to_owned();
    let reader = Builder::new().name(READER.to_owned());
    let reader = reader.spawn(move || {
        if let Err(error) = send_rows(file, &name, &columns, &sender) {
            sender.send(Err(error)).ok();
        }
    });
    Ok(Rows { receiver, reader: Some(reader.map_err(failed)?), file: shown.to_owned(), row: 0 })
}

/// What the thread has read so far.
struct Rows {
    receiver: Receiver<Record>,
    reader: Option<JoinHandle<()>>,
    file: String,
    row: u64,
}

impl Iterator for Rows {
    type Item = Record;

    fn next(&mut self) -> Option<Record> {
        if let Ok(record) = self.receiver.recv() {
            self.row += 1;
            return Some(record);
        }
        // The thread has ended: because everything was read, or because it had to.
        match self.reader.take()?.join() {
            Ok(()) => None,
            Err(_) if self.row == 0 => Some(Err(unsound(&self.file))),
            Err(_) => Some(Err(damaged(&self.file, self.row + 1))),
        }
    }
}

fn unsound(file: &str) -> ScenarioFileError {
    let message = "it is damaged, cut short, encrypted or something else".to_owned();
    ScenarioFileError::Form { file: file.to_owned(), expected: "a Parquet file", message }
}

fn damaged(file: &str, row: u64) -> ScenarioFileError {
    let message = "the row cannot be read: the file is damaged, or a text in it is not UTF-8".to_owned();
    ScenarioFileError::Line { file: file.to_owned(), line: row, message, help: "download or write the file again" }
}

/// Reads all rows; stops where nobody wants more.
fn send_rows(
    mut file: std::fs::File,
    shown: &str,
    columns: &Columns,
    rows: &SyncSender<Record>,
) -> Result<(), ScenarioFileError> {
    let failed = |source| ScenarioFileError::Read { file: shown.to_owned(), source };
    if !footer::is_plausible(&mut file).map_err(failed)? {
        return Err(unsound(shown));
    }
    let reader = SerializedFileReader::new(file).map_err(|_| unsound(shown))?;
    let schema = reader.metadata().file_metadata().schema();
    let schema = match columns {
        Columns::Of(mapping) => chosen(schema, shown, mapping)?,
        Columns::Texts => readable(schema, shown)?,
    };
    check_columns(&reader, &schema, shown)?;
    let iter = RowIter::from_file_into(Box::new(reader)).project(Some(schema.clone())).map_err(|_| unsound(shown))?;
    for (place, row) in (1..).zip(iter) {
        let row = row.map_err(|_| damaged(shown, place))?;
        let record = object(&row, schema.get_fields()).map_err(|NoText { column }| ScenarioFileError::Line {
            file: shown.to_owned(),
            line: place,
            message: format!("column `{column}` holds bytes that are no text"),
            help: "name another column in `fields`, or write the file with texts in this one",
        })?;
        if rows.send(Ok((place, Value::Object(record)))).is_err() {
            break;
        }
    }
    Ok(())
}

/// The part of a schema that the mapping names.
fn chosen(schema: &Type, shown: &str, mapping: &Mapping) -> Result<Type, ScenarioFileError> {
    let columns: Vec<&str> = schema.get_fields().iter().map(|column| column.name()).collect();
    let missing = |column: &str| ScenarioFileError::Column {
        file: shown.to_owned(),
        column: column.to_owned(),
        columns: named(&columns),
    };
    let mut wanted = BTreeSet::new();
    let mut takes_all = false;
    for path in mapping.fields.values() {
        match path.column() {
            None => takes_all = true,
            Some(column) if columns.contains(&column) => {
                wanted.insert(column);
            }
            Some(column) => return Err(missing(column)),
        }
    }
    if !mapping.fields.contains_key("opening") && !columns.contains(&"opening") {
        return Err(missing("opening"));
    }
    wanted.extend(UNNAMED.iter().copied().filter(|field| !mapping.fields.contains_key(*field)));
    part(schema, shown, |column| takes_all || wanted.contains(column.name()))
}

/// The part of a schema that can be read as text, numbers and dates: pictures and other bytes are left out.
fn readable(schema: &Type, shown: &str) -> Result<Type, ScenarioFileError> {
    fn is_readable(column: &Type) -> bool {
        if column.is_group() {
            return column.get_fields().iter().all(|inner| is_readable(inner));
        }
        let holds_bytes = matches!(column.get_physical_type(), Physical::BYTE_ARRAY | Physical::FIXED_LEN_BYTE_ARRAY);
        let basic = column.get_basic_info();
        !holds_bytes || basic.logical_type_ref().is_some() || basic.converted_type() != ConvertedType::NONE
    }
    part(schema, shown, is_readable)
}

fn part(schema: &Type, shown: &str, is_wanted: impl Fn(&Type) -> bool) -> Result<Type, ScenarioFileError> {
    let columns = schema.get_fields().iter().filter(|column| is_wanted(column)).cloned().collect();
    Type::group_type_builder(schema.name()).with_fields(columns).build().map_err(|_| unsound(shown))
}

fn named(columns: &[&str]) -> String {
    let mut named = columns.iter().take(MOST_NAMED).map(|column| format!("`{column}`")).collect::<Vec<_>>().join(", ");
    if columns.len() > MOST_NAMED {
        named.push_str(" and more");
    }
    named
}

/// Finds out beforehand what this build cannot decompress.
fn check_columns(
    reader: &SerializedFileReader<std::fs::File>,
    schema: &Type,
    shown: &str,
) -> Result<(), ScenarioFileError> {
    let is_chosen = |name: &String| schema.get_fields().iter().any(|column| column.name() == name);
    for column in reader.metadata().row_groups().iter().flat_map(|group| group.columns()) {
        let Some(name) = column.column_path().parts().first().filter(|name| is_chosen(name)) else { continue };
        let compression = match column.compression() {
            Compression::UNCOMPRESSED | Compression::SNAPPY | Compression::GZIP(_) | Compression::ZSTD(_) => continue,
            Compression::LZO => "LZO",
            Compression::BROTLI(_) => "Brotli",
            Compression::LZ4 | Compression::LZ4_RAW => "LZ4",
        };
        return Err(ScenarioFileError::Compression { file: shown.to_owned(), column: name.clone(), compression });
    }
    Ok(())
}

/// A column that holds bytes.
struct NoText {
    column: String,
}

fn object(row: &Row, columns: &[TypePtr]) -> Result<Map<String, Value>, NoText> {
    let members = row.get_column_iter().zip(columns);
    members.map(|((name, field), column)| Ok((name.clone(), value(field, column)?))).collect()
}

/// A value as JSON: times and decimals as text, so that nothing is lost of them.
fn value(field: &Field, column: &Type) -> Result<Value, NoText> {
    let logical = column.get_basic_info().logical_type_ref();
    Ok(match field {
        Field::Null => Value::Null,
        Field::Bool(flag) => Value::from(*flag),
        Field::Byte(number) => Value::from(*number),
        Field::Short(number) => Value::from(*number),
        Field::Int(number) => Value::from(*number),
        Field::UByte(number) => Value::from(*number),
        Field::UShort(number) => Value::from(*number),
        Field::UInt(number) => Value::from(*number),
        Field::ULong(number) => Value::from(*number),
        // The library knows no nanoseconds.
        Field::Long(number) => match logical {
            Some(LogicalType::Timestamp(kind)) if kind.unit == TimeUnit::NANOS => instant(i128::from(*number), logical),
            Some(LogicalType::Time(kind)) if kind.unit == TimeUnit::NANOS => clock(*number),
            Some(_) | None => Value::from(*number),
        },
        // The shortest text that is this number, not the digits that a wider one has.
        Field::Float16(number) => Value::from(number.to_string().parse::<f64>().ok()),
        Field::Float(number) => Value::from(number.to_string().parse::<f64>().ok()),
        Field::Double(number) => Value::from(*number),
        Field::Decimal(_) => Value::from(field.to_string()),
        Field::Str(text) => Value::from(text.as_str()),
        Field::Bytes(bytes) if logical == Some(&LogicalType::Uuid) => uuid(bytes.data()),
        Field::Bytes(bytes) => {
            let text = std::str::from_utf8(bytes.data());
            Value::from(text.map_err(|_| NoText { column: column.name().to_owned() })?)
        }
        Field::Date(days) => {
            let day = civil::date(1970, 1, 1).checked_add(i64::from(*days).days());
            day.map_or(Value::Null, |day| Value::from(day.to_string()))
        }
        Field::TimeMillis(millis) => clock(i64::from(*millis) * 1_000_000),
        Field::TimeMicros(micros) => micros.checked_mul(1_000).map_or(Value::Null, clock),
        Field::TimestampMillis(millis) => instant(i128::from(*millis) * 1_000_000, logical),
        Field::TimestampMicros(micros) => instant(i128::from(*micros) * 1_000, logical),
        Field::Group(row) => Value::Object(object(row, column.get_fields())?),
        Field::ListInternal(list) => items(list.elements(), column)?,
        Field::MapInternal(map) => {
            let [keys, values] = parts(&column.get_fields()[0]) else { unreachable!("a map has keys and values") };
            let entry = |(key, item): &(Field, Field)| {
                let key = value(key, keys)?;
                let key = key.as_str().map_or_else(|| key.to_string(), str::to_owned);
                Ok((key, value(item, values)?))
            };
            Value::Object(map.entries().iter().map(entry).collect::<Result<_, _>>()?)
        }
    })
}

/// A list is a group of one repeated group of the element. In old files it is the element itself that is repeated, which the
/// library then gives as a list of one list.
fn items(elements: &[Field], list: &Type) -> Result<Value, NoText> {
    let is_group = matches!(list.get_basic_info().converted_type(), ConvertedType::LIST | ConvertedType::MAP);
    let repeated = if list.is_group() && is_group { list.get_fields().first() } else { None };
    let (elements, item) = match repeated.map(|repeated| (repeated, parts(repeated), elements)) {
        // A field that is repeated without being called a list: the items are of its own type.
        None => (elements, list),
        Some((repeated, [element], _)) if repeated.name() != "array" && !repeated.name().ends_with("_tuple") => {
            (elements, element.as_ref())
        }
        Some((repeated, _, [Field::ListInternal(only)])) => (only.elements(), repeated.as_ref()),
        Some((repeated, _, _)) => (elements, repeated.as_ref()),
    };
    elements.iter().map(|element| value(element, item)).collect()
}

fn parts(column: &Type) -> &[TypePtr] {
    if column.is_group() { column.get_fields() } else { &[] }
}

fn uuid(bytes: &[u8]) -> Value {
    let Ok(bytes) = bytes.try_into() else { return Value::Null };
    let text = format!("{:032x}", u128::from_be_bytes(bytes));
    Value::from([&text[..8], &text[8..12], &text[12..16], &text[16..20], &text[20..]].join("-"))
}

/// A time of day.
fn clock(nanoseconds: i64) -> Value {
    let time = civil::Time::midnight().checked_add(SignedDuration::from_nanos(nanoseconds));
    time.map_or(Value::Null, |time| Value::from(time.to_string()))
}

/// A point in time, or a day and a time of day that are meant in no particular zone.
fn instant(nanoseconds: i128, logical: Option<&LogicalType>) -> Value {
    let Ok(time) = Timestamp::from_nanosecond(nanoseconds) else { return Value::Null };
    Value::from(match logical {
        Some(LogicalType::Timestamp(kind)) if !kind.is_adjusted_to_u_t_c => Offset::UTC.to_datetime(time).to_string(),
        Some(_) | None => time.to_string(),
    })
}

#[cfg(test)]
mod tests;
