//! Reads the entries of `models:`.

use std::collections::BTreeMap;
use std::ops::{Bound, Range};

use indexmap::IndexMap;

use super::wires::{Need, Outline};
use crate::ids::ModelName;
use crate::spec::env::{is_malformed, is_one_variable};
use crate::spec::pipeline::{Adapter, Embedded, KvCache, Model, OpenAi, Price, Scripted, ScriptedReply, Secret};
use crate::spec::problem::Code;
use crate::spec::read::{Field, Fields, only_entry, shorten};
use crate::spec::tree::Key;
use crate::spec::{units, url};

/// Longest time that an answer may take, in seconds.
const LONGEST_TIMEOUT: u64 = 24 * 60 * 60;
/// Longest delay of a canned reply, in milliseconds.
const LONGEST_DELAY: u64 = 10 * 60 * 1000;

/// Most tokens of context that a model may be given.
pub(super) const LARGEST_CONTEXT: u32 = 1_048_576;
/// Most replies that may be computed at once: llama.cpp bears no more sequences.
const MOST_SEQUENCES: u32 = 256;
/// Most layers that a model may be said to have.
const MOST_LAYERS: u32 = 1000;
/// Devices that llama.cpp can use at once.
const MOST_DEVICES: u32 = 16;
/// Largest number that an adapter may be multiplied with.
const LARGEST_SCALE: f64 = 100.0;

/// Whether this build computes anywhere else than on a processor.
pub(in crate::spec) const HAS_GPU: bool = cfg!(any(
    feature = "cuda",
    feature = "vulkan",
    feature = "metal",
    all(target_os = "macos", target_arch = "aarch64")
));

#[derive(Clone, Copy)]
enum Kind {
    OpenAi,
    Scripted,
    Llama,
}

const KINDS: &[(&str, Kind)] = &[("openai", Kind::OpenAi), ("scripted", Kind::Scripted), ("llama", Kind::Llama)];

/// An entry of which only the kind is known.
pub(super) struct Sketch<'a> {
    name: Option<ModelName>,
    kind: Kind,
    key: &'a Key,
    body: Field<'a>,
}

/// The entries of `models:` that are sound.
#[derive(Default)]
pub(super) struct Engines {
    /// Those that need no stage.
    pub(super) models: IndexMap<ModelName, Model>,
    /// Those that run on the embedded engine.
    pub(super) embedded: BTreeMap<ModelName, Embedded>,
}

/// Reads of which kind an entry is; `at` is where its name is.
pub(super) fn sketch<'a>(field: Field<'a>, name: Option<ModelName>, at: &Range<usize>) -> Option<Sketch<'a>> {
    let (kind, key, body) = only_entry(field, at, "model", &format!("model `{}`", shorten(field.name)), KINDS)?;
    Some(Sketch { name, kind, key, body })
}

impl<'a> Sketch<'a> {
    /// The keys whose values name stages.
    pub(super) fn references(&self) -> &'static [&'static str] {
        match self.kind {
            Kind::OpenAi | Kind::Scripted => &[],
            Kind::Llama => &["weights", "adapter"],
        }
    }

    /// The settings.
    pub(super) fn body(&self) -> Field<'a> {
        self.body
    }
}

/// Reads the settings of all entries, with all names known.
pub(super) fn read(sketches: &[Sketch<'_>], outline: &Outline<'_>) -> Engines {
    let mut engines = Engines::default();
    for Sketch { name, kind, key, body } in sketches {
        let Some(fields) = body.fields() else { continue };
        let fields = fields.at(&key.span);
        match kind {
            Kind::OpenAi => engines.models.extend(name.clone().zip(openai(fields))),
            Kind::Scripted => engines.models.extend(name.clone().zip(scripted(fields))),
            Kind::Llama => {
                let model = llama(fields, outline, name.as_ref());
                engines.embedded.extend(name.clone().zip(model));
            }
        }
    }
    engines
}

fn llama(mut fields: Fields<'_>, outline: &Outline<'_>, name: Option<&ModelName>) -> Option<Embedded> {
    let weights = fields.required("weights").and_then(|field| outline.stage(field, Need::Weights));
    let adapter = adapter(&mut fields, outline);
    let context = fields.optional("context").map(context_size);
    let sequences = fields.optional("sequences").map(|field| field.count(1..=MOST_SEQUENCES));
    let kv_cache = fields.optional("kv_cache").map_or(Some(KvCache::F16), |field| field.choice(KvCache::ALL));
    let gpu_layers = fields.optional("gpu_layers").map(|field| {
        warn_without_gpu(field);
        field.small(0..=MOST_LAYERS)
    });
    let devices = fields.optional("devices").map_or(Some(Vec::new()), |field| {
        warn_without_gpu(field);
        devices(field)
    });
    let price = fields.optional("price").map(price);
    fields.finish();
    // A value that was reported leaves no model, rather than one without it.
    Some(Embedded {
        name: name.cloned(),
        weights: weights?,
        adapter: adapter?,
        context: absent_or(context)?,
        sequences: absent_or(sequences)?,
        kv_cache: kv_cache?,
        gpu_layers: absent_or(gpu_layers)?,
        devices: devices?,
        price: absent_or(price)?,
    })
}

/// Of a field that may be absent and may be wrong: none where it is wrong.
fn absent_or<T>(read: Option<Option<T>>) -> Option<Option<T>> {
    read.map_or(Some(None), |value| value.map(Some))
}

/// The adapter and how much it counts; none where either is wrong.
fn adapter(fields: &mut Fields<'_>, outline: &Outline<'_>) -> Option<Option<Adapter>> {
    let stage = fields.optional("adapter").map(|field| outline.stage(field, Need::Weights));
    let scale = fields
        .optional("adapter_scale")
        .map_or(Some(1.0), |field| field.number((Bound::Excluded(0.0), Bound::Included(LARGEST_SCALE))));
    if let (None, Some(span)) = (&stage, fields.key_span("adapter_scale")) {
        let message = "`adapter_scale` says how much an adapter counts, and there is no `adapter`".to_owned();
        let problem = fields.reader.problem(Code::MissingField, span, "no `adapter`", message);
        fields.reader.push(problem.help("add `adapter:` with a `pull` stage, or remove it"));
        return None;
    }
    let scale = scale?;
    absent_or(stage).map(|stage| stage.map(|stage| Adapter { stage, scale }))
}

/// Reads tokens of context.
pub(super) fn context_size(field: Field<'_>) -> Option<u32> {
    field.small(128..=LARGEST_CONTEXT)
}

fn devices(field: Field<'_>) -> Option<Vec<usize>> {
    let items = field.list()?;
    let mut devices = Vec::new();
    for item in items {
        let device = item.count(0..=MOST_DEVICES - 1)?;
        if devices.contains(&device) {
            let message = format!("device {device} is listed twice");
            item.push(item.problem(Code::DuplicateId, "again", message).help("remove one of the two"));
            return None;
        }
        devices.push(device);
    }
    Some(devices)
}

fn warn_without_gpu(field: Field<'_>) {
    if !HAS_GPU {
        let message = format!("`{}` has no effect: this program computes on the processor", field.name);
        field.push(field.problem(Code::NoGpu, "no effect", message));
    }
}

fn openai(mut fields: Fields<'_>) -> Option<Model> {
    let base_url = fields.required("base_url").and_then(base_url);
    let model = fields.required("model").and_then(Field::text);
    let api_key = fields.optional("api_key").and_then(api_key);
    let concurrency = concurrency(&mut fields);
    let timeout_s = fields.optional("timeout").map_or(Some(120), timeout);
    let retries = fields.optional("retries").map_or(Some(4), |field| field.small(0..=10));
    let price = fields.optional("price").and_then(price);
    fields.finish();
    Some(Model::OpenAi(OpenAi {
        base_url: base_url?,
        model: model?.to_owned(),
        api_key,
        concurrency: concurrency?,
        timeout_s: timeout_s?,
        retries: retries?,
        price,
    }))
}

fn price(field: Field<'_>) -> Option<Price> {
    let mut fields = field.fields()?;
    let prompt = fields.required("prompt").and_then(|field| field.number(0.0..));
    let completion = fields.required("completion").and_then(|field| field.number(0.0..));
    fields.finish();
    Some(Price { prompt: prompt?, completion: completion? })
}

fn concurrency(fields: &mut Fields<'_>) -> Option<usize> {
    fields.optional("concurrency").map_or(Some(4), |field| field.count(1..=1024))
}

/// No problem here repeats the address: it may hold credentials.
fn base_url(field: Field<'_>) -> Option<String> {
    let text = field.text()?.trim();
    let invalid = |message: &str| {
        field.push(field.problem(Code::InvalidUrl, "not an address", message.to_owned()));
        None
    };
    match url::parse(text) {
        Err(message) => invalid(message),
        Ok(parts) if !matches!(parts.scheme, "http" | "https") => {
            invalid("an address begins with `https://` or `http://`")
        }
        Ok(parts) if parts.has_user_info => {
            let message = "credentials do not belong into the address".to_owned();
            let problem = field.problem(Code::SecretInFile, "holds credentials", message);
            field.push(problem.help("name the variable that holds the key: `api_key: \"${NAME}\"`"));
            None
        }
        Ok(parts) if parts.has_query || parts.has_fragment => {
            invalid("a base address has no `?` and no `#`: `/chat/completions` is added to it")
        }
        Ok(_) => Some(text.trim_end_matches('/').to_owned()),
    }
}

/// No problem here repeats the value, nor what it was written as.
fn api_key(field: Field<'_>) -> Option<Secret> {
    let written = field.node.template.as_deref().or(field.node.value.as_text()).unwrap_or_default();
    // What is written wrongly was reported as that.
    if is_malformed(written) {
        return None;
    }
    if !is_one_variable(written) {
        let message = "a key must not be written into the file".to_owned();
        let problem = field.problem(Code::SecretInFile, "a credential", message);
        field.push(problem.help("name the variable that holds it: `api_key: \"${NAME}\"`"));
        return None;
    }
    let key = field.node.value.as_text()?.trim();
    (!key.is_empty()).then(|| Secret::new(key.to_owned()))
}

pub(super) fn timeout(field: Field<'_>) -> Option<u64> {
    let Some(text) = field.node.value.as_text() else { return field.integer(1..=LONGEST_TIMEOUT) };
    if text.trim().parse::<u64>().is_ok() {
        return field.integer(1..=LONGEST_TIMEOUT);
    }
    let Some(seconds) = units::seconds(text) else {
        let message = format!("`{}` is not a duration", field.shown());
        let problem = field.problem(Code::InvalidValue, "not a duration", message);
        field.push(problem.help("write `60s`, `5m` or a number of seconds"));
        return None;
    };
    if !(1..=LONGEST_TIMEOUT).contains(&seconds) {
        field.out_of_range("from 1 s to 24 h");
        return None;
    }
    Some(seconds)
}

fn scripted(mut fields: Fields<'_>) -> Option<Model> {
    let replies: Option<Vec<ScriptedReply>> = fields.optional("replies").map_or(Some(Vec::new()), |field| {
        let items = field.list()?;
        let count = items.len();
        let replies: Vec<_> = items.into_iter().filter_map(reply).collect();
        (replies.len() == count).then_some(replies)
    });
    let otherwise = fields.optional("otherwise").and_then(Field::any_text).map(str::to_owned);
    let delay_ms = fields.optional("delay_ms").map_or(Some(0), |field| field.integer(0..=LONGEST_DELAY));
    let concurrency = concurrency(&mut fields);
    if !fields.has("replies") && !fields.has("otherwise") {
        fields.missing(&["replies", "otherwise"]);
    }
    let price = fields.optional("price").and_then(price);
    fields.finish();
    let (replies, delay_ms, concurrency) = (replies?, delay_ms?, concurrency?);
    Some(Model::Scripted(Scripted { replies, otherwise, delay_ms, concurrency, price }))
}

fn reply(field: Field<'_>) -> Option<ScriptedReply> {
    let mut fields = field.fields_of("a reply")?;
    let matched = fields.required("match").and_then(|field| pattern(field, field.text()?));
    let reply = fields.required("reply").and_then(Field::any_text).map(str::to_owned);
    fields.finish();
    Some(ScriptedReply { pattern: matched?, reply: reply? })
}

/// Checks that a text is a regular expression.
pub(super) fn pattern(field: Field<'_>, text: &str) -> Option<String> {
    let Err(error) = regex::Regex::new(text) else { return Some(text.to_owned()) };
    let said = match &error {
        // The parser's words could repeat a value of the environment.
        _ if field.node.template.is_some() => "it does not compile",
        // The library draws the expression with a caret below; the span does that here.
        regex::Error::Syntax(drawing) => drawing.rsplit("error: ").next().unwrap_or(drawing).trim(),
        regex::Error::CompiledTooBig(_) => "it is too large",
        _ => "it does not compile",
    };
    let message = format!("invalid regular expression: {}", shorten(said));
    field.push(field.problem(Code::InvalidPattern, "does not compile", message));
    None
}
