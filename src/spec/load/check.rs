//! Reads `check: {...}`: a criterion that code decides.

use std::ops::{Bound, Range};

use super::files::report_template;
use crate::check::{Bounds, Check, Language, Measure, Text, Tolerance, Which};
use crate::spec::problem::Code;
use crate::spec::read::{Field, Fields, only_entry};
use crate::spec::template::{Template, known_names};
use crate::spec::tree::{Node, Value};

/// Most words, characters or tokens that a reply is ever measured against.
const MOST: u32 = 1_000_000;

/// What was met in checks that cannot be settled where they are read.
#[derive(Default)]
pub(super) struct Met {
    /// Templates, and where they are.
    pub(super) templates: Vec<(Template, Range<usize>)>,
    /// Where costs are bounded, for which prices must be known.
    pub(super) costs: Vec<Range<usize>>,
    /// Where times are bounded, which must be kept.
    pub(super) times: Vec<Range<usize>>,
}

/// A reader of one kind of check.
type Read = fn(Field<'_>, &mut Met) -> Option<Check>;

/// The kinds of checks.
const KINDS: &[(&str, Read)] = &[
    ("contains", contains),
    ("starts_with", starts_with),
    ("ends_with", ends_with),
    ("equals", equals),
    ("regex", regex),
    ("words", words),
    ("sentences", sentences),
    ("characters", characters),
    ("language", language),
    ("json", json),
    ("number", number),
    ("similar", similar),
    ("refusal", refusal),
    ("tokens", tokens),
    ("cost", cost),
    ("latency", latency),
    ("not", not),
];

/// Reads one check.
pub(super) fn check(field: Field<'_>, met: &mut Met) -> Option<Check> {
    let (read, _, body) = only_entry(field, field.span(), "check", "the check", KINDS)?;
    read(body, met)
}

fn not(field: Field<'_>, met: &mut Met) -> Option<Check> {
    check(field, met).map(|inner| Check::Not(Box::new(inner)))
}

/// A text, which is a template over the scenario where it holds `{{` or `{%`.
fn text(field: Field<'_>, text: &str, met: &mut Met) -> Option<Text> {
    if !text.contains("{{") && !text.contains("{%") {
        return Some(Text::Plain(text.to_owned()));
    }
    let template = Template::new(text)
        .map_err(|error| {
            report_template(field.reader, "template", |_| field.span().clone(), &error, &known_names());
        })
        .ok()?;
    met.templates.push((template, field.span().clone()));
    Some(Text::Template { template: text.to_owned() })
}

/// A text or several.
fn texts(field: Field<'_>, met: &mut Met) -> Option<Vec<Text>> {
    let read = field.texts()?.into_iter().map(|(item, written)| text(item, written, met)).collect::<Vec<_>>();
    read.into_iter().collect()
}

fn regex(field: Field<'_>, met: &mut Met) -> Option<Check> {
    match text(field, field.text()?, met)? {
        Text::Plain(pattern) => {
            super::models::pattern(field, &pattern).map(|pattern| Check::Regex(Text::Plain(pattern)))
        }
        template @ Text::Template { .. } => Some(Check::Regex(template)),
    }
}

/// One text, several of which one is enough, or a mapping that says more: `any` or `all` of them, with or without case.
fn contains(field: Field<'_>, met: &mut Met) -> Option<Check> {
    if field.node.value.as_map().is_none() {
        return Some(Check::Contains { texts: texts(field, met)?, all: false, ignore_case: false });
    }
    let mut fields = field.fields()?;
    let (any, all) = (fields.optional("any"), fields.optional("all"));
    let ignore_case = fields.optional("ignore_case").map_or(Some(false), Field::flag);
    fields.finish();
    let (texts, all) = match (any, all) {
        (Some(any), None) => (texts(any, met), false),
        (None, Some(all)) => (texts(all, met), true),
        (None, None) | (Some(_), Some(_)) => {
            let message = "`contains` needs either `any` or `all`".to_owned();
            field.push(field.problem(Code::ExactlyOne, "`any` or `all`", message));
            return None;
        }
    };
    Some(Check::Contains { texts: texts?, all, ignore_case: ignore_case? })
}

/// One text, several of which one is enough, or a mapping that says more; `more` reads what only this kind has.
fn any_of<'a, T>(
    field: Field<'a>,
    met: &mut Met,
    otherwise: T,
    more: impl FnOnce(&mut Fields<'a>) -> Option<T>,
) -> Option<(Vec<Text>, bool, T)> {
    if field.node.value.as_map().is_none() {
        return Some((texts(field, met)?, false, otherwise));
    }
    let mut fields = field.fields()?;
    let any = fields.required("any").and_then(|any| texts(any, met));
    let ignore_case = fields.optional("ignore_case").map_or(Some(false), Field::flag);
    let more = more(&mut fields);
    fields.finish();
    Some((any?, ignore_case?, more?))
}

fn starts_with(field: Field<'_>, met: &mut Met) -> Option<Check> {
    let (texts, ignore_case, ()) = any_of(field, met, (), |_| Some(()))?;
    Some(Check::StartsWith { texts, ignore_case })
}

fn ends_with(field: Field<'_>, met: &mut Met) -> Option<Check> {
    let (texts, ignore_case, ()) = any_of(field, met, (), |_| Some(()))?;
    Some(Check::EndsWith { texts, ignore_case })
}

fn equals(field: Field<'_>, met: &mut Met) -> Option<Check> {
    let trim = |fields: &mut Fields<'_>| fields.optional("trim").map_or(Some(true), Field::flag);
    let (texts, ignore_case, trim) = any_of(field, met, true, trim)?;
    Some(Check::Equals { texts, ignore_case, trim })
}

fn words(field: Field<'_>, _: &mut Met) -> Option<Check> {
    bounds(field).map(Check::Words)
}

fn sentences(field: Field<'_>, _: &mut Met) -> Option<Check> {
    bounds(field).map(Check::Sentences)
}

fn characters(field: Field<'_>, _: &mut Met) -> Option<Check> {
    bounds(field).map(Check::Characters)
}

fn tokens(field: Field<'_>, _: &mut Met) -> Option<Check> {
    bounds(field).map(Check::Tokens)
}

/// `min`, `max` or both.
fn bounds(field: Field<'_>) -> Option<Bounds> {
    let mut fields = field.fields()?;
    let min = fields.optional("min");
    let max = fields.optional("max");
    fields.finish();
    if min.is_none() && max.is_none() {
        let message = format!("`{}` needs `min`, `max` or both", field.name);
        field.push(field.problem(Code::MissingField, "no `min` or `max`", message));
        return None;
    }
    let read = |end: Option<Field<'_>>| end.map_or(Some(None), |end| end.count(0..=MOST).map(Some));
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
    Some(Bounds { min: least, max: most })
}

/// `cost: { max: 0.002 }`, in US dollars; what tokens cost is put in when the model is known that answered.
fn cost(field: Field<'_>, met: &mut Met) -> Option<Check> {
    let mut fields = field.fields()?;
    let max = fields.required("max").and_then(|max| max.number((Bound::Excluded(0.0), Bound::Unbounded)));
    fields.finish();
    met.costs.push(field.span().clone());
    Some(Check::Cost { max: max?, prompt: 0.0, completion: 0.0 })
}

/// `latency: { max: 2.5 }`, in seconds.
fn latency(field: Field<'_>, met: &mut Met) -> Option<Check> {
    let mut fields = field.fields()?;
    let max = fields.required("max").and_then(|max| max.number((Bound::Excluded(0.0), Bound::Unbounded)));
    fields.finish();
    met.times.push(field.span().clone());
    Some(Check::Latency { max: max? })
}

fn language(field: Field<'_>, _: &mut Met) -> Option<Check> {
    let read = |(item, code): (Field<'_>, &str)| {
        let language = Language::of(code);
        if language.is_none() {
            let message = format!("`{}` is the code of no language that can be told", item.shown());
            let problem = item.problem(Code::InvalidValue, "no language", message);
            item.push(problem.help("write a code of ISO 639, such as `en` or `deu`"));
        }
        language
    };
    let languages: Vec<Option<Language>> = field.texts()?.into_iter().map(read).collect();
    languages.into_iter().collect::<Option<_>>().map(Check::Language)
}

/// `similar: { to: …, by: rouge_l, min: 0.5 }`
fn similar(field: Field<'_>, met: &mut Met) -> Option<Check> {
    let mut fields = field.fields()?;
    let to = fields.required("to").and_then(|to| texts(to, met));
    let by = fields.required("by").and_then(|by| by.choice(Measure::ALL));
    let min = fields.required("min").and_then(|min| min.number((Bound::Excluded(0.0), Bound::Included(1.0))));
    fields.finish();
    Some(Check::Similar { to: to?, by: by?, min: min? })
}

/// `number: { near: 42, within: 0.5 }`, or `within: 5%`.
fn number(field: Field<'_>, met: &mut Met) -> Option<Check> {
    let mut fields = field.fields()?;
    let near = fields.required("near").and_then(|near| match near.node.value.as_text() {
        Some(written) if written.contains("{{") => text(near, written, met),
        Some(_) | None => near.number(..).map(|number| Text::Plain(number.to_string())),
    });
    let within = fields.optional("within").map_or(Some(Tolerance::Absolute(0.0)), tolerance);
    let which = fields.optional("which").map_or(Some(Which::Any), |which| which.choice(Which::ALL));
    fields.finish();
    Some(Check::Number { near: near?, within: within?, which: which? })
}

/// A distance, or a share in percent.
fn tolerance(field: Field<'_>) -> Option<Tolerance> {
    let Some(percent) = field.node.value.as_text().and_then(|text| text.trim().strip_suffix('%')) else {
        return field.number(0.0..).map(Tolerance::Absolute);
    };
    match percent.trim().parse::<f64>() {
        Ok(percent) if percent.is_finite() && percent >= 0.0 => Some(Tolerance::Relative(percent / 100.0)),
        Ok(_) | Err(_) => {
            let message = format!("`{}` is no share in percent", field.shown());
            field.push(
                field.problem(Code::InvalidValue, "not a share", message).help("write a number, or one with `%`"),
            );
            None
        }
    }
}

/// `refusal: {}`
fn refusal(field: Field<'_>, _: &mut Met) -> Option<Check> {
    field.fields()?.finish();
    Some(Check::Refusal)
}

/// `json: {}` asks for any JSON document, `json: { schema: {...} }` for one of that form.
fn json(field: Field<'_>, _: &mut Met) -> Option<Check> {
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

#[cfg(test)]
mod tests {
    use super::KINDS;
    use crate::check::DOCUMENTED;

    #[test]
    fn every_kind_is_documented() {
        let documented: Vec<&str> = DOCUMENTED.iter().map(|check| check.kind).collect();
        assert_eq!(KINDS.iter().map(|(kind, _)| *kind).collect::<Vec<_>>(), documented);
    }
}
