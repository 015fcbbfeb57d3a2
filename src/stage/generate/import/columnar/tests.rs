//! Parquet files that other programs wrote, and what damage comes to.

use std::sync::Arc;

use parquet::data_type::{ByteArray, ByteArrayType};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use serde_json::json;

use super::*;
use crate::spec::{FieldPath, ImportFormat};

/// Two row groups in zstd, with messages, structs, times and bytes.
const CHAT: &[u8] = include_bytes!("../../../../../tests/data/parquet/chat.parquet");
/// One row in gzip, with a column of each kind.
const TYPES: &[u8] = include_bytes!("../../../../../tests/data/parquet/types.parquet");
const LZ4: &[u8] = include_bytes!("../../../../../tests/data/parquet/lz4.parquet");

fn read(bytes: &[u8], fields: &[(&str, &str)]) -> Result<Vec<Value>, ScenarioFileError> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("t.parquet");
    fs_err::write(&path, bytes).unwrap();
    let fields = fields.iter().map(|(name, path)| ((*name).to_owned(), FieldPath::new(path).unwrap())).collect();
    let mapping = Mapping { format: ImportFormat::Parquet, fields, redact: false };
    records(&path, "t.parquet", Columns::Of(mapping))?.map(|record| record.map(|(_, record)| record)).collect()
}

#[test]
fn datasets_are_read_group_by_group() {
    let rows =
        read(CHAT, &[("opening", "$.messages[0].content"), ("topic", "$.meta.area"), ("axes.at", "at")]).unwrap();
    let expected = [
        json!({
            "id": 7, "tags": ["night", "work"], "meta": { "area": "sleep", "score": 0.5 }, "at": "2024-02-29T12:30:15.123456",
            "messages": [{ "role": "system", "content": "be kind" }, { "role": "user", "content": "cant sleep" }],
        }),
        json!({
            "id": 8, "tags": [], "meta": null, "at": null,
            "messages": [{ "role": "user", "content": "boss yelled — ぬ" }],
        }),
    ];
    assert_eq!(rows, expected);
}

#[test]
fn values_of_each_kind_become_json() {
    let expected = json!({
        "opening": "hi", "decimal": "-12.50", "date": "1969-12-31", "utc": "2024-02-29T12:00:00.005Z",
        "millis": "2024-02-29T12:00:00", "nanos": "1970-01-01T00:00:00.000000001", "time": "07:05:09.001",
        "micros": "07:05:00", "float": 0.1, "half": 1.5, "nan": null, "most": u64::MAX,
        "uuid": "12345678-1234-5678-1234-567812345678", "lists": [[1, 2], [], null, [3]], "map": { "a": 1, "b": null },
        "structs": [{ "a": null, "b": [{ "c": true }] }, null, { "a": "x", "b": [] }],
    });
    assert_eq!(read(TYPES, &[("axes.all", "$")]).unwrap(), [expected]);
}

/// A file of texts, whose rows have these counts of them.
fn texts(schema: &str, rows: &[&[&str]]) -> Vec<u8> {
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let mut writer = SerializedFileWriter::new(Vec::new(), schema, Arc::new(WriterProperties::default())).unwrap();
    let mut group = writer.next_row_group().unwrap();
    while let Some(mut column) = group.next_column().unwrap() {
        let values: Vec<ByteArray> =
            rows.iter().flat_map(|row| row.iter().map(|text| ByteArray::from(*text))).collect();
        let definitions: Vec<i16> =
            rows.iter().flat_map(|row| vec![i16::from(!row.is_empty()); row.len().max(1)]).collect();
        let repetitions: Vec<i16> =
            rows.iter().flat_map(|row| (0..row.len().max(1)).map(|at| i16::from(at > 0))).collect();
        let written = column.typed::<ByteArrayType>();
        written.write_batch(&values, Some(&definitions), Some(&repetitions)).unwrap();
        column.close().unwrap();
    }
    group.close().unwrap();
    writer.into_inner().unwrap()
}

#[test]
fn lists_of_old_writers_are_lists() {
    let rows: [&[&str]; 3] = [&["a", "b"], &[], &["c"]];
    let expected = [json!(["a", "b"]), json!([]), json!(["c"])].map(|list| json!({ "opening": list }));
    for schema in [
        "message m { required group opening (LIST) { repeated binary array (UTF8); } }",
        "message m { required group opening (LIST) { repeated group list { required binary element (UTF8); } } }",
        "message m { repeated binary opening (UTF8); }",
    ] {
        assert_eq!(read(&texts(schema, &rows), &[]).unwrap(), expected, "{schema}");
    }
    let pairs = "message m { required group opening (LIST) { repeated group pair { required binary a (UTF8); required binary b; } } }";
    let pair = |text: &str| json!({ "a": text, "b": text });
    let expected =
        [json!([pair("a"), pair("b")]), json!([]), json!([pair("c")])].map(|list| json!({ "opening": list }));
    assert_eq!(read(&texts(pairs, &rows), &[]).unwrap(), expected);
}

#[test]
fn what_cannot_be_taken_is_told() {
    let check = |bytes: &[u8], fields: &[(&str, &str)], expected: &str| {
        let error = read(bytes, fields).unwrap_err();
        assert_eq!(error.to_string(), expected);
        assert!(!error.help().is_empty());
    };
    check(CHAT, &[("opening", "image")], "`t.parquet:1`: column `image` holds bytes that are no text");
    let columns = "`id`, `messages`, `meta`, `tags`, `at`, `image`";
    check(CHAT, &[], &format!("`t.parquet` has no column `opening`: it has {columns}"));
    check(CHAT, &[("opening", "$.mesages[0]")], &format!("`t.parquet` has no column `mesages`: it has {columns}"));
    check(LZ4, &[], "column `opening` of `t.parquet` is compressed with LZ4, which is not read");
    let unsound = "`t.parquet` is not a Parquet file: it is damaged, cut short, encrypted or something else";
    check(b"", &[], unsound);
    check(b"{\"opening\": \"hi\"}\n", &[], unsound);
    check(&CHAT[..CHAT.len() - 1], &[], unsound);
    assert_eq!(read(CHAT, &[("opening", "$.messages[0].content"), ("id", "at")]).unwrap().len(), 2);
}

#[test]
fn groups_have_a_depth() {
    let nested = |depth: usize| {
        let schema =
            format!("message m {{ {} required binary a; {} }}", "required group g { ".repeat(depth), "}".repeat(depth));
        let schema = Arc::new(parse_message_type(&schema).unwrap());
        let writer = SerializedFileWriter::new(Vec::new(), schema, Arc::new(WriterProperties::default())).unwrap();
        read(&writer.into_inner().unwrap(), &[("opening", "g")])
    };
    assert!(nested(20).unwrap().is_empty());
    assert!(nested(200).unwrap_err().to_string().contains("is not a Parquet file"));
}

/// Whatever is wrong in a file, its reader ends, and what it says holds nothing of the file.
#[test]
fn damage_is_an_error_and_never_a_panic() {
    let mut wrong = 0;
    for (bytes, fields) in [(CHAT, &[("opening", "$.messages[0].content"), ("id", "at")][..]), (TYPES, &[("id", "$")])]
    {
        let mut check = |damaged: &[u8]| {
            if let Err(error) = read(damaged, fields) {
                let text = error.to_string();
                assert!(!text.contains("sleep") && !text.contains("yelled"), "{text}");
                wrong += 1;
            }
        };
        for at in (0..bytes.len()).step_by(5) {
            let mut damaged = bytes.to_vec();
            damaged[at] ^= if at % 2 == 0 { 0xff } else { 0x10 };
            check(&damaged);
        }
        (0..bytes.len()).step_by(64).for_each(|end| check(&bytes[..end]));
    }
    assert!(wrong > 500, "{wrong}");
}
