//! Reads `check: {...}`: a criterion that code decides.

use crate::check::Check;
use crate::spec::problem::Code;
use crate::spec::read::{Field, only_entry};
use crate::spec::tree::{Node, Value};

/// Most words that a reply is ever measured against.
const MOST_WORDS: u32 = 1_000_000;

/// A reader of one kind of check.
type Read = fn(Field<'_>) -> Option<Check>;

/// Reads one check.
pub(super) fn check(field: Field<'_>) -> Option<Check> {
    const KINDS: &[(&str, Read)] =
        &[("contains", contains), ("regex", regex), ("words", words), ("json", json), ("not", not)];
    let (read, _, body) = only_entry(field, field.span(), "check", "the check", KINDS)?;
    read(body)
}

fn not(field: Field<'_>) -> Option<Check> {
    check(field).map(|inner| Check::Not(Box::new(inner)))
}

fn regex(field: Field<'_>) -> Option<Check> {
    super::models::pattern(field, field.text()?).map(Check::Regex)
}

/// One text, several of which one is enough, or a mapping that says more: `any` or `all` of them, with or without case.
fn contains(field: Field<'_>) -> Option<Check> {
    let owned = |texts: Vec<(Field<'_>, &str)>| texts.into_iter().map(|(_, text)| text.to_owned()).collect();
    if !matches!(field.node.value, Value::Map(_)) {
        return Some(Check::Contains { texts: owned(field.texts()?), all: false, ignore_case: false });
    }
    let mut fields = field.fields()?;
    let (any, all) = (fields.optional("any"), fields.optional("all"));
    let ignore_case = fields.optional("ignore_case").map_or(Some(false), Field::flag);
    fields.finish();
    let (texts, all) = match (any, all) {
        (Some(any), None) => (any.texts(), false),
        (None, Some(all)) => (all.texts(), true),
        (None, None) | (Some(_), Some(_)) => {
            let message = "`contains` needs either `any` or `all`".to_owned();
            field.push(field.problem(Code::ExactlyOne, "`any` or `all`", message));
            return None;
        }
    };
    Some(Check::Contains { texts: owned(texts?), all, ignore_case: ignore_case? })
}

fn words(field: Field<'_>) -> Option<Check> {
    let mut fields = field.fields()?;
    let min = fields.optional("min");
    let max = fields.optional("max");
    fields.finish();
    if min.is_none() && max.is_none() {
        let message = "`words` needs `min`, `max` or both".to_owned();
        field.push(field.problem(Code::MissingField, "no `min` or `max`", message));
        return None;
    }
    let read = |end: Option<Field<'_>>| end.map_or(Some(None), |end| end.count(0..=MOST_WORDS).map(Some));
    let (least, most) = (read(min), read(max));
    let (least, most) = (least?, most?);
    if let (Some(least), Some(most), Some(min), Some(max)) = (least, most, min, max)
        && least > most
    {
        let message = format!("`min` is {least}, which is more than `max`, {most}");
        let problem = min.problem(Code::OutOfRange, "more than `max`", message);
        min.push(problem.other(max.reader.file, max.span(), "`max`"));
        return None;
    }
    Some(Check::Words { min: least, max: most })
}

/// `json: {}` asks for any JSON document, `json: { schema: {...} }` for one of that form.
fn json(field: Field<'_>) -> Option<Check> {
    let mut fields = field.fields()?;
    let schema = fields.optional("schema");
    fields.finish();
    let Some(schema) = schema else { return Some(Check::Json { schema: None }) };
    if !matches!(schema.node.value, Value::Map(_)) {
        schema.fields()?;
    }
    let value = to_json(schema, schema.node)?;
    match jsonschema::validator_for(&value) {
        Ok(_) => Some(Check::Json { schema: Some(value) }),
        Err(error) => {
            let message = format!("invalid JSON schema: {}", crate::spec::read::shorten(&error.to_string()));
            schema.push(schema.problem(Code::InvalidSchema, "not a schema", message));
            None
        }
    }
}

fn to_json(field: Field<'_>, node: &Node) -> Option<serde_json::Value> {
    Some(match &node.value {
        Value::Null => serde_json::Value::Null,
        Value::Bool(flag) => (*flag).into(),
        Value::Int(number) => match (u64::try_from(*number), i64::try_from(*number)) {
            (Ok(number), _) => number.into(),
            (_, Ok(number)) => number.into(),
            _ => serde_json::Value::Null,
        },
        Value::Float(number) if !number.is_finite() => {
            let message = "a JSON schema holds finite numbers only".to_owned();
            field.push(field.reader.problem(Code::OutOfRange, &node.span, "not finite", message));
            return None;
        }
        Value::Float(number) => (*number).into(),
        Value::Text(text) => text.clone().into(),
        Value::List(items) => items.iter().map(|item| to_json(field, item)).collect::<Option<Vec<_>>>()?.into(),
        Value::Map(entries) => {
            let members = entries.iter().map(|(key, value)| Some((key.name.clone(), to_json(field, value)?)));
            serde_json::Value::Object(members.collect::<Option<_>>()?)
        }
        Value::Broken => return None,
    })
}
