//! From the body of a chat completion to a [`Reply`].
//!
//! Owns what servers put where. The text is handed on as it came, without the thoughts that it begins with: making sense of
//! it is left to whoever asked. Pure; start at [`read`].

use serde_json::Value;

use crate::engine::{EngineErrorKind, Finish, Reply, Usage, reasoning};

/// Why a body is no reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NoReply {
    pub(super) kind: EngineErrorKind,
    pub(super) what: String,
}

/// Reads the first choice.
pub(super) fn read(body: &Value, elapsed_ms: u64) -> Result<Reply, NoReply> {
    let (choice, message) = first_choice(body)?;
    let reason = choice.get("finish_reason").and_then(Value::as_str).unwrap_or("stop");
    let finish = match reason {
        "length" | "max_tokens" | "model_length" => Finish::Length,
        "content_filter" => return Err(rejected("filtered the reply out (`content_filter`)".to_owned())),
        "error" | "abort" => return Err(bad(&format!("gave up on the reply (`finish_reason` is `{reason}`)"))),
        _ => Finish::Stop,
    };
    let content = text_of(&message["content"]).ok_or_else(|| bad("answered with a `content` that is no text"))?;
    let (within, text) = reasoning::split(&content);
    let reasoning = told_reasoning(message).or(within);
    if text.is_empty() {
        if let Some(refusal) = message["refusal"].as_str().filter(|refusal| !refusal.is_empty()) {
            return Err(rejected(format!("refused: {refusal}")));
        }
        if reasoning.is_some() || has_reasoned_unseen(body) {
            return Err(bad("answered with reasoning and no reply after it: most likely `max_tokens` is too small"));
        }
        if message["tool_calls"].as_array().is_some_and(|calls| !calls.is_empty()) {
            return Err(bad("answered with a call of a tool instead of a text"));
        }
        if message["content"].is_null() {
            return Err(bad("answered without a text"));
        }
    }
    Ok(Reply { reasoning, ..Reply::new(text, finish, usage_of(&body["usage"]), elapsed_ms) })
}

fn bad(what: &str) -> NoReply {
    NoReply { kind: EngineErrorKind::BadReply, what: what.to_owned() }
}

fn rejected(what: String) -> NoReply {
    NoReply { kind: EngineErrorKind::Rejected, what }
}

/// The first choice and its message.
pub(super) fn first_choice(body: &Value) -> Result<(&Value, &Value), NoReply> {
    let choices = body.get("choices").and_then(Value::as_array).ok_or_else(|| bad("answered without `choices`"))?;
    let choice = choices.first().ok_or_else(|| bad("answered with an empty list of `choices`"))?;
    let message = choice.get("message").ok_or_else(|| bad("answered with a choice without `message`"))?;
    Ok((choice, message))
}

/// The text of a content, which may come in parts; nothing counts as empty.
pub(super) fn text_of(content: &Value) -> Option<String> {
    match content {
        Value::Null => Some(String::new()),
        Value::String(text) => Some(text.clone()),
        Value::Array(parts) => Some(parts.iter().filter_map(|part| part.get("text")?.as_str()).collect()),
        Value::Bool(_) | Value::Number(_) | Value::Object(_) => None,
    }
}

/// What the model thought, where the server keeps it apart from the text.
fn told_reasoning(message: &Value) -> Option<String> {
    let told = ["reasoning_content", "reasoning"].iter().filter_map(|name| message[*name].as_str()).map(str::trim);
    told.filter(|text| !text.is_empty()).map(ToOwned::to_owned).next()
}

/// Whether the model thought, though nobody may read it: OpenAI keeps the reasoning to itself and only counts it.
fn has_reasoned_unseen(body: &Value) -> bool {
    let counted = body.pointer("/usage/completion_tokens_details/reasoning_tokens").and_then(Value::as_u64);
    counted.is_some_and(|tokens| tokens > 0)
}

pub(super) fn usage_of(usage: &Value) -> Usage {
    let count = |place: &str| {
        let count = usage.pointer(place).and_then(Value::as_u64).unwrap_or(0);
        u32::try_from(count).unwrap_or(u32::MAX)
    };
    Usage {
        prompt_tokens: count("/prompt_tokens"),
        cached_tokens: count("/prompt_tokens_details/cached_tokens"),
        completion_tokens: count("/completion_tokens"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check_message(message: Value, finish_reason: Value, expected: Result<(&str, Finish), (EngineErrorKind, &str)>) {
        let body = json!({ "choices": [{ "message": message, "finish_reason": finish_reason }] });
        let found = read(&body, 1).map(|reply| (reply.text, reply.finish)).map_err(|none| (none.kind, none.what));
        let expected =
            expected.map(|(text, finish)| (text.to_owned(), finish)).map_err(|(kind, what)| (kind, what.to_owned()));
        assert_eq!(found, expected, "{body}");
    }

    #[test]
    fn texts_and_endings() {
        let says = |text: &str| json!({ "role": "assistant", "content": text });
        check_message(says(" {\"a\": 1}\n"), json!("stop"), Ok((" {\"a\": 1}\n", Finish::Stop)));
        check_message(says("cut"), json!("length"), Ok(("cut", Finish::Length)));
        check_message(says("cut"), json!("model_length"), Ok(("cut", Finish::Length)));
        check_message(says("done"), json!("eos_token"), Ok(("done", Finish::Stop)));
        check_message(says("done"), Value::Null, Ok(("done", Finish::Stop)));
        check_message(says(""), json!("stop"), Ok(("", Finish::Stop)));
        let parts = json!([{ "type": "text", "text": "a" }, { "type": "image" }, { "type": "text", "text": "b" }]);
        check_message(json!({ "content": parts }), json!("stop"), Ok(("ab", Finish::Stop)));
        check_message(
            json!({ "content": "said", "reasoning_content": "thought", "tool_calls": [] }),
            json!("stop"),
            Ok(("said", Finish::Stop)),
        );
    }

    #[test]
    fn thoughts_are_kept_apart() {
        let check = |message: Value, reasoning: Option<&str>, text: &str| {
            let body = json!({ "choices": [{ "message": message, "finish_reason": "stop" }] });
            let reply = read(&body, 1).unwrap();
            assert_eq!((reply.reasoning.as_deref(), &*reply.text), (reasoning, text), "{body}");
        };
        check(json!({ "content": " said" }), None, " said");
        check(json!({ "content": "said", "reasoning_content": "\nhm\n" }), Some("hm"), "said");
        check(json!({ "content": "said", "reasoning": "hm", "reasoning_content": "" }), Some("hm"), "said");
        check(json!({ "content": "said", "reasoning": null, "reasoning_content": null }), None, "said");
        check(json!({ "content": "<think>hm</think>\n\nsaid" }), Some("hm"), "said");
        check(json!({ "content": "hm</think>said" }), Some("hm"), "said");
        check(json!({ "content": "<think>b</think>said", "reasoning": "a" }), Some("a"), "said");
    }

    #[test]
    fn what_is_no_reply() {
        use EngineErrorKind::{BadReply, Rejected};
        const REASONED: &str = "answered with reasoning and no reply after it: most likely `max_tokens` is too small";
        for (message, finish_reason, kind, what) in [
            (json!({ "content": "", "reasoning_content": "hm" }), "length", BadReply, REASONED),
            (json!({ "content": null, "reasoning": "hm" }), "stop", BadReply, REASONED),
            (json!({ "content": "<think>hm" }), "length", BadReply, REASONED),
            (json!({ "content": "<think>hm</think>\n" }), "stop", BadReply, REASONED),
            (json!({ "content": "half" }), "content_filter", Rejected, "filtered the reply out (`content_filter`)"),
            (json!({ "content": null, "refusal": "no" }), "stop", Rejected, "refused: no"),
            (json!({ "content": "half" }), "abort", BadReply, "gave up on the reply (`finish_reason` is `abort`)"),
            (
                json!({ "content": null, "tool_calls": [{}] }),
                "tool_calls",
                BadReply,
                "answered with a call of a tool instead of a text",
            ),
            (json!({ "content": null }), "stop", BadReply, "answered without a text"),
            (json!({}), "stop", BadReply, "answered without a text"),
            (json!({ "content": { "a": 1 } }), "stop", BadReply, "answered with a `content` that is no text"),
        ] {
            check_message(message, json!(finish_reason), Err((kind, what)));
        }
        for (body, what) in [
            (json!({}), "answered without `choices`"),
            (json!({ "choices": null }), "answered without `choices`"),
            (json!([]), "answered without `choices`"),
            (json!({ "choices": [] }), "answered with an empty list of `choices`"),
            (json!({ "choices": [{ "text": "old" }] }), "answered with a choice without `message`"),
        ] {
            assert_eq!(read(&body, 1), Err(NoReply { kind: BadReply, what: what.to_owned() }), "{body}");
        }
    }

    #[test]
    fn hidden_reasoning_is_known_by_its_count() {
        let body = json!({
            "choices": [{ "message": { "content": "" }, "finish_reason": "length" }],
            "usage": { "completion_tokens_details": { "reasoning_tokens": 64 } },
        });
        assert_eq!(read(&body, 1).unwrap_err().kind, EngineErrorKind::BadReply);
    }

    #[test]
    fn usage_is_zero_where_it_is_not_told() {
        let check = |usage: Value, expected: [u32; 3]| {
            let found = usage_of(&usage);
            assert_eq!([found.prompt_tokens, found.cached_tokens, found.completion_tokens], expected, "{usage}");
        };
        check(
            json!({ "prompt_tokens": 7, "completion_tokens": 2, "prompt_tokens_details": { "cached_tokens": 3 } }),
            [7, 3, 2],
        );
        check(json!({ "prompt_tokens": 7, "completion_tokens": 2, "prompt_tokens_details": null }), [7, 0, 2]);
        check(json!({ "prompt_tokens": "7", "completion_tokens": -1 }), [0, 0, 0]);
        check(json!({ "prompt_tokens": u64::MAX }), [u32::MAX, 0, 0]);
        check(Value::Null, [0, 0, 0]);
    }
}
