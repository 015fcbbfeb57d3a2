//! Forecast numbers and changed fields as people read them: `about 36,000`, `weight: 1.0 → 2.0`.

use serde_json::Value;

use super::output::duration;
use crate::fetch::Size;
use crate::ids::StageId;
use crate::key::FieldChange;
use crate::plan::{Basis, CallsForecast, Figure, StageForecast, Turn};
use crate::stats::text::{count, thousands};

/// The word before a number that was not counted.
fn hedge(basis: Basis) -> &'static str {
    match basis {
        Basis::Exact | Basis::Unknown => "",
        Basis::Forecast => "about ",
        Basis::AtMost => "at most ",
        Basis::Guess => "roughly ",
        Basis::AtLeast => "at least ",
    }
}

/// A number with its word. One that was not counted is shown with two digits that count: more would be a pretence.
fn number(figure: Figure) -> String {
    let value = figure.value.unwrap_or(0);
    let shown = if figure.basis == Basis::Exact { value } else { two_digits(value) };
    format!("{}{}", hedge(figure.basis), thousands(shown))
}

fn two_digits(value: u64) -> u64 {
    let mut unit = 1;
    while value / unit >= 100 {
        unit *= 10;
    }
    (value + unit / 2) / unit * unit
}

/// A span of time with its word, no finer than a forecast can be.
fn time(figure: Figure) -> Option<String> {
    let milliseconds = figure.value?;
    let unit = match milliseconds {
        0..1_000 => 10,
        1_000..60_000 => 1_000,
        60_000..3_600_000 => 10_000,
        _ => 60_000,
    };
    let rounded = milliseconds.div_ceil(unit) * unit;
    let text = duration(rounded);
    Some(format!("{}{}", hedge(figure.basis), text.replace(".0 s", " s").replace(" m 0 s", " m")))
}

/// `$0.02`; small sums with as many decimals as it takes to see them.
fn money(figure: Figure<f64>) -> Option<String> {
    let dollars = figure.value?;
    let decimals =
        (2..6).find(|decimals| !format!("{dollars:.decimals$}").trim_matches(['0', '.']).is_empty()).unwrap_or(2);
    Some(format!("{}${dollars:.decimals$}", hedge(figure.basis)))
}

/// The sentence parts for one stage, or for all of them.
pub(super) fn parts(forecast: &StageForecast, free_memory: Option<u64>, total: bool) -> Vec<String> {
    let StageForecast { calls, download_bytes, memory_bytes } = forecast;
    let mut parts = Vec::new();
    if let Some(calls) = calls {
        parts.extend(call_parts(calls, total));
    }
    if let Some(bytes) = download_bytes {
        match bytes.value {
            Some(0) if total => {}
            Some(0) => parts.push("nothing to download".to_owned()),
            Some(value) => parts.push(format!("{}{} to download", hedge(bytes.basis), Size(value))),
            None => parts.push("the size of the download is unknown".to_owned()),
        }
    }
    if let Some(needed) = memory_bytes.filter(|_| !total).and_then(|bytes| bytes.value) {
        parts.push(match free_memory {
            Some(free) if free < needed => {
                format!("needs {} of memory, but only {} are free", Size(needed), Size(free))
            }
            Some(free) => format!("needs {} of {} memory", Size(needed), Size(free)),
            None => format!("needs {} of memory", Size(needed)),
        });
    }
    parts
}

/// `answers, verdicts`
pub(super) fn names(stages: &[StageId]) -> String {
    stages.iter().map(StageId::as_str).collect::<Vec<_>>().join(", ")
}

/// A model's time in memory: `weights for answers, verdicts: 5.8 GB, 16 × 4096 tokens`.
pub(super) fn turn(turn: &Turn) -> String {
    let Turn { model, stages, fit, shortage, help: _, beside } = turn;
    let stages = names(stages);
    let held = match (fit, shortage) {
        (Some(fit), _) => format!("{}, {} × {} tokens", Size(fit.total), fit.sequences, fit.context),
        (None, Some(shortage)) => shortage.clone(),
        (None, None) => "not known before its weights are here".to_owned(),
    };
    let beside = if beside.is_empty() { String::new() } else { format!(", beside {}", beside.join(", ")) };
    format!("{model} for {stages}: {held}{beside}")
}

fn call_parts(calls: &CallsForecast, total: bool) -> Vec<String> {
    let CallsForecast { to_make, cached, prompt_tokens, completion_tokens, time_ms, cost } = *calls;
    let noun = if to_make.value == Some(1) { "call" } else { "calls" };
    let cached = thousands(cached.value.unwrap_or(0));
    let mut parts = vec![format!("{} {noun} to make, {cached} cached", number(to_make))];
    if to_make.value == Some(0) {
        return parts;
    }
    let completion = if prompt_tokens.basis == completion_tokens.basis {
        number(Figure::of(completion_tokens.value.unwrap_or(0), completion_tokens.basis))
            .trim_start_matches(hedge(completion_tokens.basis))
            .to_owned()
    } else {
        number(completion_tokens)
    };
    parts.push(format!("{} prompt and {completion} completion tokens", number(prompt_tokens)));
    match time(time_ms) {
        Some(time) => parts.push(time),
        None if total => parts.push("time unknown".to_owned()),
        None => parts.push("no record of this model on this machine".to_owned()),
    }
    parts.extend(money(cost));
    parts
}

/// Breaks parts into lines of at most `width` columns, never inside of a part.
pub(super) fn joined(parts: &[String], width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for part in parts {
        match lines.last_mut() {
            Some(line) if line.chars().count() + part.chars().count() + 3 <= width => {
                line.push_str(" · ");
                line.push_str(part);
            }
            Some(line) => {
                line.push_str(" ·");
                lines.push(part.clone());
            }
            None => lines.push(part.clone()),
        }
    }
    lines
}

/// A changed field on one line: digests in short, long values cut.
pub(super) fn change(change: &FieldChange) -> String {
    let FieldChange { path, old, new } = change;
    FieldChange { path: path.clone(), old: old.as_ref().map(short), new: new.as_ref().map(short) }.to_string()
}

/// A value with its digests cut to the twelve digits that name blobs elsewhere.
fn short(value: &Value) -> Value {
    match value {
        Value::String(text) if text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
            Value::String(text[..12].to_owned())
        }
        Value::Array(items) => items.iter().map(short).collect(),
        Value::Object(members) => {
            Value::Object(members.iter().map(|(name, value)| (name.clone(), short(value))).collect())
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}

/// `1 row`, `54 rows`.
pub(super) fn rows(number: u64) -> String {
    count(number, "row")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_are_no_finer_than_what_they_rest_on() {
        let check = |value, basis, expected: &str| assert_eq!(number(Figure::of(value, basis)), expected);
        check(36_412, Basis::Exact, "36,412");
        check(36_412, Basis::Forecast, "about 36,000");
        check(99, Basis::Forecast, "about 99");
        check(996, Basis::AtMost, "at most 1,000");
        check(15, Basis::Guess, "roughly 15");
        let check = |value, expected: &str| assert_eq!(time(Figure::of(value, Basis::Forecast)).unwrap(), expected);
        check(3, "about 10 ms");
        check(4_120, "about 5 s");
        check(347_000, "about 5 m 50 s");
        check(179_000, "about 3 m");
        check(7_500_000, "about 2 h 5 m");
        assert_eq!(time(Figure::unknown()), None);
        let check = |value, expected: &str| assert_eq!(money(Figure::exact(value)).unwrap(), expected);
        check(0.0, "$0.00");
        check(0.02, "$0.02");
        check(12.345, "$12.35");
        check(0.000_31, "$0.0003");
    }

    #[test]
    fn memory_that_is_not_there_is_said() {
        let forecast =
            |bytes| StageForecast { calls: None, download_bytes: None, memory_bytes: Some(Figure::exact(bytes)) };
        let check = |needed, free, expected: &str| assert_eq!(parts(&forecast(needed), free, false), [expected]);
        check(400_000_000, Some(12_100_000_000), "needs 400.0 MB of 12.1 GB memory");
        check(18_000_000_000, Some(12_100_000_000), "needs 18.0 GB of memory, but only 12.1 GB are free");
        check(18_000_000_000, None, "needs 18.0 GB of memory");
    }

    #[test]
    fn lines_are_broken_between_parts() {
        let parts = ["one part".to_owned(), "another".to_owned(), "the third".to_owned()];
        assert_eq!(joined(&parts, 20), ["one part · another ·", "the third"]);
        assert_eq!(joined(&parts, 99), ["one part · another · the third"]);
    }

    #[test]
    fn digests_are_short() {
        let changed = FieldChange {
            path: "answers".to_owned(),
            old: Some(json!("ab".repeat(32))),
            new: Some(json!("not a digest")),
        };
        assert_eq!(change(&changed), r#"answers: "abababababab" → "not a digest""#);
    }
}
