//! Reads the entries of `models:`.

use std::ops::Range;

use crate::spec::env::{is_malformed, is_one_variable};
use crate::spec::pipeline::{Model, OpenAi, Price, Scripted, ScriptedReply, Secret};
use crate::spec::problem::Code;
use crate::spec::read::{Field, Fields, only_entry, shorten};
use crate::spec::{units, url};

/// Longest time that an answer may take, in seconds.
const LONGEST_TIMEOUT: u64 = 24 * 60 * 60;
/// Longest delay of a canned reply, in milliseconds.
const LONGEST_DELAY: u64 = 10 * 60 * 1000;

/// A reader of one kind of model.
type Read = fn(Fields<'_>) -> Option<Model>;

/// Reads one entry; `at` is where its name is.
pub(super) fn engine(field: Field<'_>, at: &Range<usize>) -> Option<Model> {
    const KINDS: &[(&str, Read)] = &[("openai", openai), ("scripted", scripted)];
    let (read, key, body) = only_entry(field, at, "model", &format!("model `{}`", shorten(field.name)), KINDS)?;
    read(body.fields()?.at(&key.span))
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

fn timeout(field: Field<'_>) -> Option<u64> {
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
