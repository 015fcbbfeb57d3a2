//! Results of lm-evaluation-harness: one model, its tasks as columns `lm_eval_TASK`, in points of 100.
//!
//! They have columns of their own: the leaderboard's are normalised against chance and measured with other prompts, and
//! scores of different origin are never mixed in one column.

use serde_json::Value;

use super::{Entries, Entry, points};

/// A task's metrics, the first that there is counts.
const METRICS: &[&str] =
    &["exact_match", "prompt_level_strict_acc", "acc_norm", "mc2", "pass@1", "pass_at_1", "math_verify", "acc", "f1"];

/// Reads a result file; none where the document is none.
pub(super) fn read(value: &Value) -> Option<Entries> {
    let results = value.get("results")?.as_object()?;
    let id = model(value)?;
    let mut entry = Entry::from([("id".to_owned(), id), ("source".to_owned(), "lm-eval".to_owned())]);
    if let Some(day) = day(value) {
        entry.insert("source_date".to_owned(), day);
    }
    for (task, metrics) in results {
        let Some(score) = METRICS.iter().find_map(|metric| score(metrics, metric)) else { continue };
        let column = format!("lm_eval_{}", task.replace([' ', '-', '|', ':'], "_"));
        let samples = value.get("n-samples").and_then(|samples| samples.get(task)?.get("effective")?.as_u64());
        if let Some(samples) = samples.filter(|samples| *samples > 0) {
            entry.insert(format!("{column}_questions"), samples.to_string());
        }
        entry.insert(column, points(score));
    }
    Some(Entries { format: "lm-evaluation-harness result", entries: vec![entry], by_name: false })
}

/// The name that the model was loaded by.
fn model(value: &Value) -> Option<String> {
    let text = |value: Option<&Value>| value.and_then(Value::as_str).map(ToOwned::to_owned);
    let config = value.get("config");
    let arguments = config.and_then(|config| config.get("model_args"));
    let named = |arguments: &Value| match arguments {
        Value::Object(_) => text(arguments.get("pretrained").or_else(|| arguments.get("model"))),
        Value::String(list) => list.split(',').find_map(|pair| {
            let (name, value) = pair.split_once('=')?;
            ["pretrained", "model"].contains(&name.trim()).then(|| value.trim().to_owned())
        }),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => None,
    };
    arguments.and_then(named).or_else(|| text(value.get("model_name"))).filter(|name| !name.is_empty())
}

/// A task's metric under any filter: of `exact_match` the strict one, which is written first.
fn score(metrics: &Value, metric: &str) -> Option<f64> {
    let metrics = metrics.as_object()?;
    let of = |filter: &str| metrics.get(&format!("{metric},{filter}")).and_then(Value::as_f64);
    let any = || {
        let mut named: Vec<(&String, f64)> = metrics
            .iter()
            .filter(|(name, _)| name.split(',').next() == Some(metric))
            .filter_map(|(name, value)| Some((name, value.as_f64()?)))
            .collect();
        named.sort_by(|one, other| one.0.cmp(other.0));
        named.first().map(|(_, value)| *value)
    };
    of("strict-match").or_else(|| of("none")).or_else(any)
}

#[expect(clippy::cast_possible_truncation, reason = "seconds since 1970")]
fn day(value: &Value) -> Option<String> {
    let seconds = value.get("date")?.as_f64()?;
    jiff::Timestamp::from_second(seconds as i64).ok().map(|time| time.strftime("%Y-%m-%d").to_string())
}
