//! Reads `research: {...}`.

use std::ops::Bound;
use std::path::Path;

use indexmap::IndexMap;

use super::files::Files;
use crate::spec::pipeline::{Fits, Profile, Range, Require, Research};
use crate::spec::problem::Code;
use crate::spec::read::{Field, Fields};
use crate::spec::units;

/// The values of the catalogs' `type` column.
const TYPES: &[(&str, &str)] = &[
    ("base", "base"),
    ("chat", "chat"),
    ("fine-tuned", "fine-tuned"),
    ("merge", "merge"),
    ("continued-pretrain", "continued-pretrain"),
    ("multimodal", "multimodal"),
];

pub(super) fn research(mut fields: Fields<'_>, files: &Files<'_>) -> Option<Research> {
    let catalog = fields.required("catalog").and_then(Field::texts).map(|paths| {
        paths.into_iter().map(|(field, path)| files.existing(field, Path::new(path))).collect::<Option<Vec<_>>>()
    });
    let require = fields.optional("require").map_or(Some(Require::default()), require);
    let profile = fields.optional("profile").map_or(Some(Profile::default()), profile);
    let shortlist = fields.optional("shortlist").map_or(Some(10), |field| field.count(1..=50));
    fields.finish();
    Some(Research { catalog: catalog??, require: require?, profile: profile?, shortlist: shortlist? })
}

fn require(field: Field<'_>) -> Option<Require> {
    let mut fields = field.fields()?;
    let require = Require {
        params_b: fields.optional("params_b").and_then(params),
        commercial_license: fields.optional("license").and_then(|f| f.choice(&[("commercial", ())])).is_some(),
        context: fields.optional("context").and_then(|f| f.integer(1..=u64::MAX)),
        types: fields.optional("type").and_then(types).unwrap_or_default(),
        fits: fields.optional("fits").and_then(fits),
        official: fields.optional("official").and_then(Field::flag).unwrap_or_default(),
    };
    fields.finish();
    Some(require)
}

fn params(field: Field<'_>) -> Option<Range> {
    let Some(text) = field.node.value.as_text() else { return exactly(field) };
    if text.trim().parse::<f64>().is_ok() {
        return exactly(field);
    }
    let Some(range) = units::range(text) else {
        let message = format!("`{}` is not a range", field.shown());
        let problem = field.problem(Code::InvalidValue, "not a range", message);
        field.push(problem.help("write billions of parameters as `7..10`, `7..` or `..10`"));
        return None;
    };
    if let (Some(min), Some(max)) = (range.min, range.max)
        && min > max
    {
        field.out_of_range("a range whose lower end comes first");
        return None;
    }
    Some(range)
}

fn exactly(field: Field<'_>) -> Option<Range> {
    let number = field.number((Bound::Excluded(0.0), Bound::Unbounded))?;
    Some(Range { min: Some(number), max: Some(number) })
}

fn types(field: Field<'_>) -> Option<Vec<String>> {
    let texts = field.texts()?;
    Some(texts.into_iter().filter_map(|(item, _)| item.choice(TYPES)).map(str::to_owned).collect())
}

fn fits(field: Field<'_>) -> Option<Fits> {
    let mut fields = field.fields()?;
    let memory = fields.required("memory").and_then(memory);
    let context = fields.required("context").and_then(|f| f.integer(1..=u64::MAX));
    let bits = fields.optional("bits").map_or(Some(16.0), |f| f.number((Bound::Excluded(0.0), Bound::Included(64.0))));
    fields.finish();
    Some(Fits { memory_bytes: memory?, context: context?, bits_per_weight: bits? })
}

fn memory(field: Field<'_>) -> Option<u64> {
    let message = if field.node.value.is_number() {
        format!("`memory: {}` has no unit", field.shown())
    } else {
        let bytes = units::bytes(field.text()?);
        if bytes.is_some() {
            return bytes;
        }
        format!("`{}` is not an amount of memory", field.shown())
    };
    let problem = field.problem(Code::InvalidValue, "not an amount", message);
    field.push(problem.help("write a number and a unit: `24GiB`, `24GB`, `512MiB`"));
    None
}

fn profile(field: Field<'_>) -> Option<Profile> {
    let mut fields = field.fields()?;
    let prefer: IndexMap<String, f64> = fields
        .optional("prefer")
        .and_then(Field::entries)
        .unwrap_or_default()
        .into_iter()
        .filter_map(|(key, weight)| Some((key.name.clone(), weight.number((Bound::Excluded(0.0), Bound::Unbounded))?)))
        .collect();
    let avoid = fields.optional("avoid").and_then(Field::any_texts).unwrap_or_default();
    fields.finish();
    Some(Profile { prefer, avoid })
}
