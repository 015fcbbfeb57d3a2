//! Whether a server complains that a request does not fit into the context, and by how much.
//!
//! Owns the phrasings, which are all there is to go by: most servers tell the numbers only in prose. Pure; start at
//! [`tokens_over`].

use regex::Regex;

use super::complaint::Complaint;

/// Names that servers have for it.
const CODES: &[&str] = &["context_length_exceeded", "exceed_context_size_error", "model_context_window_exceeded"];

/// Parts of phrases that tell it, in lower case.
const SIGNS: &[&str] = &[
    "context length",
    "context size",
    "context window",
    "maximum context",
    "maximum model length",
    "prompt is too long",
    "input is too long",
    "input token count",
    "reduce the length of",
    "`inputs` tokens + `max_new_tokens`",
];

/// Phrasings with numbers. `limit` is the context; `all` counts prompt and reply, `prompt` the prompt alone, and `reply`
/// what was asked for. Tried in order, in lower case and without commas in numbers.
const PHRASINGS: &[&str] = &[
    // vLLM
    r"too large: (?<reply>\d+)\. this model's maximum context length is (?<limit>\d+) tokens and your request has (?<prompt>\d+) input",
    r"maximum context length is (?<limit>\d+) tokens.*for a total of (?:at least )?(?<all>\d+)",
    r"maximum context length is (?<limit>\d+) tokens.*your request has (?<prompt>\d+) input",
    r"passed (?<prompt>\d+) input tokens and requested (?<reply>\d+) output tokens.*context length is only (?<limit>\d+)",
    r"length (?:of )?(?<prompt>\d+)\) is longer than the maximum model length of (?<limit>\d+)",
    // OpenAI, and all who follow its words
    r"maximum context length (?:is|of) (?<limit>\d+) tokens.*requested (?:about |a total of )?(?<all>\d+) tokens",
    r"maximum context length is (?<limit>\d+) tokens.*messages resulted in (?<prompt>\d+) tokens",
    // llama-server, llama-cpp-python
    r"request \((?<prompt>\d+) tokens\) exceeds the available context size \((?<limit>\d+)",
    r"requested tokens \((?<prompt>\d+)\) exceed context window of (?<limit>\d+)",
    // SGLang, Anthropic, Gemini, Mistral, TGI
    r"input \((?<prompt>\d+) tokens\) is longer than the model's context length \((?<limit>\d+)",
    r"prompt is too long: (?<prompt>\d+) tokens > (?<limit>\d+)",
    r"input token count \((?<prompt>\d+)\) exceeds the maximum number of tokens allowed \((?<limit>\d+)",
    r"prompt contains (?<prompt>\d+) tokens.*too large for model with (?<limit>\d+) maximum context",
    r"must be <= (?<limit>\d+)\. given: (?<prompt>\d+) `inputs` tokens and (?<reply>\d+)",
];

/// How many tokens too many prompt and reply have together, if that is the complaint; 0 where it is not told.
pub(super) fn tokens_over(complaint: &Complaint, max_tokens: u32) -> Option<u32> {
    let by_code = complaint.code.as_deref().is_some_and(|code| CODES.contains(&code));
    let text = complaint.text.to_lowercase();
    let by_words = matches!(complaint.status.as_u16(), 400 | 413 | 422) && SIGNS.iter().any(|sign| text.contains(sign));
    if !by_code && !by_words {
        return None;
    }
    let over = match complaint.prompt_and_context {
        Some((prompt, context)) => prompt.saturating_add(u64::from(max_tokens)).saturating_sub(context),
        None => told_in_words(&text, max_tokens).unwrap_or(0),
    };
    Some(u32::try_from(over).unwrap_or(u32::MAX))
}

fn told_in_words(text: &str, max_tokens: u32) -> Option<u64> {
    let text = without_commas(text);
    PHRASINGS.iter().find_map(|phrasing| {
        let found = Regex::new(&format!("(?s){phrasing}")).expect("checked by a test").captures(&text)?;
        let number = |name: &str| found.name(name)?.as_str().parse::<u64>().ok();
        let all = number("all").or_else(|| {
            let reply = number("reply").unwrap_or(u64::from(max_tokens));
            number("prompt")?.checked_add(reply)
        });
        Some(all?.saturating_sub(number("limit")?))
    })
}

/// `1,048,576` as `1048576`.
fn without_commas(text: &str) -> String {
    let is_digit = |c: Option<char>| c.is_some_and(|c| c.is_ascii_digit());
    let mut plain = String::with_capacity(text.len());
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        if letter != ',' || !is_digit(plain.chars().next_back()) || !is_digit(letters.peek().copied()) {
            plain.push(letter);
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::StatusCode;
    use serde_json::json;

    const MAX_TOKENS: u32 = 100;

    fn check(status: u16, error: serde_json::Value, expected: Option<u32>) {
        let status = StatusCode::from_u16(status).unwrap();
        let complaint = Complaint::read(status, json!({ "error": error }).to_string().as_bytes());
        assert_eq!(tokens_over(&complaint, MAX_TOKENS), expected, "{complaint:?}");
    }

    fn check_words(words: &str, expected: Option<u32>) {
        check(400, json!({ "message": words }), expected);
    }

    #[test]
    fn every_phrasing_is_a_regular_expression_with_numbers() {
        for phrasing in PHRASINGS {
            let names: Vec<_> = Regex::new(phrasing).unwrap().capture_names().flatten().map(str::to_owned).collect();
            assert!(names.contains(&"limit".to_owned()), "{phrasing}");
            assert!(names.iter().any(|name| name == "all" || name == "prompt"), "{phrasing}");
        }
    }

    #[test]
    fn llama_server() {
        let told = json!({
            "code": 400, "type": "exceed_context_size_error", "n_prompt_tokens": 1407, "n_ctx": 256,
            "message": "the request exceeds the available context size, try increasing it",
        });
        check(400, told.clone(), Some(1407 + MAX_TOKENS - 256));
        check(500, told, Some(1407 + MAX_TOKENS - 256));
        check_words("the request exceeds the available context size, try increasing it", Some(0));
        check_words(
            "request (14429 tokens) exceeds the available context size (8192 tokens), try increasing it",
            Some(14_429 + MAX_TOKENS - 8192),
        );
        check_words("Requested tokens (2285) exceed context window of 2048", Some(2285 + MAX_TOKENS - 2048));
    }

    #[test]
    fn vllm() {
        for (words, over) in [
            (
                "'max_tokens' or 'max_completion_tokens' is too large: 8000. This model's maximum context length is 4096 \
                 tokens and your request has 2778 input tokens (8000 > 4096 - 2778). None",
                2778 + 8000 - 4096,
            ),
            (
                "This model's maximum context length is 16384 tokens. However, you requested 8192 output tokens and your \
                 prompt contains at least 8193 input tokens, for a total of at least 16385 tokens.",
                1,
            ),
            (
                "This model's maximum context length is 4096 tokens. However, your request has 5000 input tokens. Please \
                 reduce the length of the input messages.",
                5000 + MAX_TOKENS - 4096,
            ),
            (
                "This model's maximum context length is 6048 tokens. However, you requested 6616 tokens (568 in the \
                 messages, 6048 in the completion). Please reduce the length of the messages or completion.",
                568,
            ),
            (
                "You passed 4001 input tokens and requested 100 output tokens. However, the model's context length is \
                 only 4096 tokens, resulting in a maximum input length of 3996 tokens.",
                5,
            ),
            (
                "The decoder prompt (length 5000) is longer than the maximum model length of 4096. Make sure that \
                 `max_model_len` is no smaller than the number of text tokens.",
                5000 + MAX_TOKENS - 4096,
            ),
        ] {
            check_words(words, Some(over));
        }
    }

    #[test]
    fn openai_and_others() {
        check(
            400,
            json!({
                "message": "This model's maximum context length is 8192 tokens. However, your messages resulted in 9000 \
                            tokens. Please reduce the length of the messages.",
                "type": "invalid_request_error", "param": "messages", "code": "context_length_exceeded",
            }),
            Some(9000 + MAX_TOKENS - 8192),
        );
        check(
            400,
            json!({ "message": "Your input exceeds the limit of this model.", "code": "context_length_exceeded" }),
            Some(0),
        );
        for (words, over) in [
            (
                "This endpoint's maximum context length is 32,768 tokens. However, you requested about 40,000 tokens \
                 (39,000 of text input, 1000 in the output).",
                7232,
            ),
            (
                "Requested token count exceeds the model's maximum context length of 4096 tokens. You requested a total \
                 of 5000 tokens: 4000 tokens from the input messages and 1000 tokens for the completion.",
                904,
            ),
            (
                "The input (5000 tokens) is longer than the model's context length (4096 tokens).",
                5000 + MAX_TOKENS - 4096,
            ),
            ("prompt is too long: 208310 tokens > 200000 maximum", 8310 + MAX_TOKENS),
            ("The input token count (1048577) exceeds the maximum number of tokens allowed (1048576).", 1 + MAX_TOKENS),
            (
                "Prompt contains 235396 tokens and 0 draft tokens, too large for model with 131072 maximum context length",
                235_396 + MAX_TOKENS - 131_072,
            ),
            (
                "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096. Given: 4000 `inputs` tokens \
                 and 1000 `max_new_tokens`",
                904,
            ),
        ] {
            check_words(words, Some(over));
        }
    }

    #[test]
    fn other_complaints_are_no_overflow() {
        check_words("max_tokens is too large: 10000. This model supports at most 4096 completion tokens", None);
        check_words("Unsupported parameter: 'max_tokens'", None);
        check(404, json!({ "message": "no model with this context length" }), None);
        check(503, json!({ "message": "context size is being set up" }), None);
    }

    #[test]
    fn odd_numbers_do_not_break_it() {
        check_words("prompt is too long: 99999999999999999999999 tokens > 5", Some(0));
        check_words("prompt is too long: 18446744073709551615 tokens > 5", Some(0));
        check_words("prompt is too long: 9999999999999 tokens > 5", Some(u32::MAX));
        check_words("prompt is too long: 5 tokens > 5000", Some(0));
    }
}
