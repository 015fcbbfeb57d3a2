//! Reads `research: {...}`.

use std::ops::Bound;
use std::path::Path;

use indexmap::IndexMap;

use super::files::Files;
use crate::spec::hub_search::{CatalogFrom, HubSearch};
use crate::spec::pipeline::KvCache;
use crate::spec::problem::Code;
use crate::spec::read::{Field, Fields};
use crate::spec::research::{
    Conversation, DateRange, Fits, Hosting, Pin, Preset, PriceCeiling, Profile, Purpose, Quantization, Range, Require,
    Research,
};
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

const ABOVE_ZERO: (Bound<f64>, Bound<f64>) = (Bound::Excluded(0.0), Bound::Unbounded);
const FROM_ZERO: (Bound<f64>, Bound<f64>) = (Bound::Included(0.0), Bound::Unbounded);

pub(super) fn research(mut fields: Fields<'_>, files: &Files<'_>) -> Option<Research> {
    let catalog = fields.required("catalog").and_then(|field| catalog(field, files));
    let require = fields.optional("require").map_or(Some(Require::default()), require);
    let profile = fields.optional("profile").map_or(Some(Profile::default()), profile);
    let shortlist = fields.optional("shortlist").map_or(Some(10), |field| field.count(1..=50));
    let pin = pin(&mut fields);
    let hosting = fields.optional("hosting").map_or(Some(None), |field| hosting(field).map(Some));
    let as_of = fields.optional("as_of").map_or(Some(None), |field| day(field).map(Some));
    fields.finish();
    Some(Research {
        catalog: catalog?,
        require: require?,
        profile: profile?,
        shortlist: shortlist?,
        pin: pin?,
        hosting: hosting?,
        as_of: as_of?,
    })
}

/// One catalog or a list of them: a path, or `{ hub: {...} }`.
fn catalog(field: Field<'_>, files: &Files<'_>) -> Option<Vec<CatalogFrom>> {
    let is_one = field.node.value.as_text().is_some() || field.node.value.as_map().is_some();
    let items = if is_one { vec![field] } else { field.list()? };
    let count = items.len();
    let read = |item: Field<'_>| {
        if item.node.value.as_map().is_none() {
            return files.existing(item, Path::new(item.text()?)).map(CatalogFrom::File);
        }
        let mut fields = item.fields()?;
        let search = fields.required("hub").and_then(hub_search);
        fields.finish();
        search.map(CatalogFrom::Hub)
    };
    let found: Vec<CatalogFrom> = items.into_iter().filter_map(read).collect();
    (found.len() == count).then_some(found)
}

fn hub_search(field: Field<'_>) -> Option<HubSearch> {
    let mut fields = field.fields()?;
    let mut text = |name| fields.optional(name).map_or(Some(None), |f| f.text().map(|text| Some(text.to_owned())));
    let (search, pipeline_tag, license) = (text("search"), text("pipeline_tag"), text("license"));
    let params_b = fields.optional("params_b").map_or(Some(None), |field| params(field).map(Some));
    let gguf = fields.optional("gguf").map_or(Some(false), Field::flag);
    let limit = fields.optional("limit").map_or(Some(200), |field| field.small(1..=1000));
    fields.finish();
    Some(HubSearch {
        search: search?,
        pipeline_tag: pipeline_tag?,
        license: license?,
        params_b: params_b?,
        gguf: gguf?,
        limit: limit?,
    })
}

/// `primary:` and `because:`, of which neither goes without the other.
fn pin(fields: &mut Fields<'_>) -> Option<Option<Pin>> {
    let (id, because) = (fields.optional("primary"), fields.optional("because"));
    match (id, because) {
        (None, None) => Some(None),
        (Some(id), Some(because)) => {
            let (id, because) = (id.text(), because.text());
            Some(Some(Pin { id: id?.to_owned(), because: because?.to_owned() }))
        }
        (Some(_), None) => {
            fields.missing(&["because"]);
            None
        }
        (None, Some(_)) => {
            fields.missing(&["primary"]);
            None
        }
    }
}

fn require(field: Field<'_>) -> Option<Require> {
    let mut fields = field.fields()?;
    let mut require = Require {
        params_b: fields.optional("params_b").and_then(params),
        commercial_license: fields.optional("license").and_then(|f| f.choice(&[("commercial", ())])).is_some(),
        context: fields.optional("context").and_then(|f| f.integer(1..=u64::MAX)),
        types: fields.optional("type").and_then(types).unwrap_or_default(),
        fits: None,
        official: flag(&mut fields, "official"),
        conversation: fields.optional("conversation").and_then(conversation),
        precision: fields
            .optional("precision")
            .and_then(Field::texts)
            .map(|texts| texts.into_iter().map(|(_, text)| text.to_owned()).collect())
            .unwrap_or_default(),
        released: fields.optional("released").and_then(dates),
        knowledge_cutoff: fields.optional("knowledge_cutoff").and_then(dates),
        tool_calls: flag(&mut fields, "tool_calls"),
        open_weights: flag(&mut fields, "open_weights"),
        price: fields.optional("price").and_then(price),
    };
    let context = require.least_context();
    require.fits = fields.optional("fits").and_then(|field| fits(field, context));
    fields.finish();
    Some(require)
}

fn flag(fields: &mut Fields<'_>, name: &'static str) -> bool {
    fields.optional(name).and_then(Field::flag).unwrap_or_default()
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
    let number = field.number(ABOVE_ZERO)?;
    Some(Range { min: Some(number), max: Some(number) })
}

fn types(field: Field<'_>) -> Option<Vec<String>> {
    let texts = field.texts()?;
    Some(texts.into_iter().filter_map(|(item, _)| item.choice(TYPES)).map(str::to_owned).collect())
}

fn conversation(field: Field<'_>) -> Option<Conversation> {
    let mut fields = field.fields()?;
    let turns = fields.required("turns").and_then(|f| f.integer(1..=100_000));
    let tokens_per_turn = fields.required("tokens_per_turn").and_then(|f| f.integer(1..=1_000_000));
    let system_tokens = fields.optional("system_tokens").map_or(Some(0), |f| f.integer(0..=1_000_000));
    fields.finish();
    Some(Conversation { turns: turns?, tokens_per_turn: tokens_per_turn?, system_tokens: system_tokens? })
}

fn dates(field: Field<'_>) -> Option<DateRange> {
    let Some(range) = units::dates(field.text()?) else {
        let message = format!("`{}` is not a range of dates", field.shown());
        let problem = field.problem(Code::InvalidValue, "not a range of dates", message);
        field.push(problem.help("write it as `2024-06..`, `..2025-03-31` or `2024..2025`"));
        return None;
    };
    if let (Some(min), Some(max)) = (&range.min, &range.max)
        // A year as an end is in the range as a whole, so only what both ends state is compared.
        && min.get(..max.len()).unwrap_or(min) > max.as_str()
    {
        field.out_of_range("a range whose earlier end comes first");
        return None;
    }
    Some(range)
}

fn day(field: Field<'_>) -> Option<String> {
    let text = field.text()?.trim();
    if text.len() == 10 && units::is_date(text) {
        return Some(text.to_owned());
    }
    let message = format!("`{}` is not a day", field.shown());
    field.push(field.problem(Code::InvalidValue, "not a day", message).help("write it as `2026-11-22`"));
    None
}

fn price(field: Field<'_>) -> Option<PriceCeiling> {
    let mut fields = field.fields()?;
    let (has_input, has_output) = (fields.has("input"), fields.has("output"));
    let input = fields.optional("input").map_or(Some(None), |f| f.number(FROM_ZERO).map(Some));
    let output = fields.optional("output").map_or(Some(None), |f| f.number(FROM_ZERO).map(Some));
    if !has_input && !has_output {
        fields.missing(&["input", "output"]);
    }
    fields.finish();
    (has_input || has_output).then_some(PriceCeiling { input: input?, output: output? })
}

/// Reads `fits`; what the context must be at least is what it is reckoned at unless it says something else.
fn fits(field: Field<'_>, least_context: Option<u64>) -> Option<Fits> {
    let mut fields = field.fields()?;
    let memory = fields.required("memory").and_then(memory);
    let context = match least_context {
        Some(least) => fields.optional("context").map_or(Some(least), |f| f.integer(1..=u64::MAX)),
        None => fields.required("context").and_then(|f| f.integer(1..=u64::MAX)),
    };
    if fields.has("bits") && fields.has("quantization") {
        fields.exactly_one(["bits", "quantization"]);
    }
    let bits = fields.optional("bits").map_or(Some(16.0), |f| f.number((Bound::Excluded(0.0), Bound::Included(64.0))));
    let quantization = fields.optional("quantization").map_or(Some(None), |f| f.choice(Quantization::ALL).map(Some));
    let kv_cache = fields.optional("kv_cache").map_or(Some(KvCache::F16), |f| f.choice(KvCache::ALL));
    let sequences = fields.optional("sequences").map_or(Some(1), |f| f.integer(1..=65_536));
    let purpose = fields.optional("for").map_or(Some(Purpose::Inference), |f| f.choice(Purpose::ALL));
    fields.finish();
    let (memory_bytes, of_machine) = memory?;
    Some(Fits {
        memory_bytes,
        of_machine,
        context: context?,
        bits_per_weight: bits?,
        quantization: quantization?,
        kv_cache: kv_cache?,
        sequences: sequences?,
        purpose: purpose?,
    })
}

/// An amount, or that of the machine, which is filled in later and until then nothing fits into.
fn memory(field: Field<'_>) -> Option<(u64, bool)> {
    let message = if field.node.value.is_number() {
        format!("`memory: {}` has no unit", field.shown())
    } else {
        let text = field.text()?;
        if text.trim() == "machine" {
            return Some((0, true));
        }
        let bytes = units::bytes(text);
        if let Some(bytes) = bytes {
            return Some((bytes, false));
        }
        format!("`{}` is not an amount of memory", field.shown())
    };
    let problem = field.problem(Code::InvalidValue, "not an amount", message);
    field.push(problem.help("write a number and a unit: `24GiB`, `24GB`, `512MiB`; or `machine`"));
    None
}

fn profile(field: Field<'_>) -> Option<Profile> {
    let mut fields = field.fields()?;
    let prefer: IndexMap<String, f64> = fields
        .optional("prefer")
        .and_then(Field::entries)
        .unwrap_or_default()
        .into_iter()
        .filter_map(|(key, weight)| Some((key.name.clone(), weight.number(ABOVE_ZERO)?)))
        .collect();
    let avoid = fields.optional("avoid").and_then(Field::any_texts).unwrap_or_default();
    let preset = fields.optional("preset").and_then(|f| f.choice(Preset::ALL));
    fields.finish();
    Some(Profile { prefer, avoid, preset })
}

fn hosting(field: Field<'_>) -> Option<Hosting> {
    let mut fields = field.fields()?;
    let share = |f: Field<'_>| f.number((Bound::Excluded(0.0), Bound::Included(1.0)));
    let gpu_hour = fields.required("gpu_hour").and_then(|f| f.number(ABOVE_ZERO));
    let tokens_per_s = fields.required("tokens_per_s").and_then(|f| f.number(ABOVE_ZERO));
    let gpus = fields.optional("gpus").map_or(Some(1), |f| f.integer(1..=65_536));
    let utilisation = fields.optional("utilisation").map_or(Some(0.3), share);
    let prompt_share = fields.optional("prompt_share").map_or(Some(0.75), |f| f.number(0.0..=1.0));
    fields.finish();
    Some(Hosting {
        gpu_hour: gpu_hour?,
        gpus: gpus?,
        tokens_per_s: tokens_per_s?,
        utilisation: utilisation?,
        prompt_share: prompt_share?,
    })
}
