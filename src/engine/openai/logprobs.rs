//! From the body of a chat completion to how likely words were as its reply.
//!
//! Owns where servers tell the probabilities of tokens: only the likeliest few, so that what is not among them counts for
//! nothing. Pure; start at [`read`].

use serde_json::Value;

use super::completion::{NoReply, first_choice, text_of, usage_of};
use crate::engine::weigh::weigh;
use crate::engine::{EngineErrorKind, Finish, Reply, Words};

/// What a server did that tells no probabilities.
pub(super) const UNTOLD: &str = "does not tell how likely its tokens are (`logprobs`), which `mode: logprob` of a `judge` \
                                 needs: `mode: json` does not";

/// Reads how likely each word was as the first token of the reply; none where the server does not tell.
pub(super) fn read(body: &Value, words: &Words, elapsed_ms: u64) -> Result<Option<Reply>, NoReply> {
    let (choice, message) = first_choice(body)?;
    let Some(first) = choice.pointer("/logprobs/content/0") else { return Ok(None) };
    let mut tokens: Vec<(&str, f64)> = Vec::new();
    // The token that was chosen is mostly one of the likeliest; some servers leave it out of them.
    let likeliest = first["top_logprobs"].as_array().map_or(&[][..], Vec::as_slice);
    for told in likeliest.iter().chain([first]) {
        let Some((token, logprob)) = told["token"].as_str().zip(told["logprob"].as_f64()) else {
            let what = "told the probability of a token without `token` or `logprob`".to_owned();
            return Err(NoReply { kind: EngineErrorKind::BadReply, what });
        };
        let is_chosen = std::ptr::eq(told, first);
        if !(is_chosen && tokens.iter().any(|(listed, _)| *listed == token)) {
            // From `libm`, so that the same body weighs the same on every machine.
            tokens.push((token, libm::exp(logprob).min(1.0)));
        }
    }
    let text = text_of(&message["content"]).unwrap_or_default();
    let weighed = weigh(words, tokens);
    let reply = Reply::new(text, Finish::Stop, usage_of(&body["usage"]), elapsed_ms);
    Ok(Some(Reply { weighed: Some(weighed), ..reply }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn told(chosen: (&str, f64), likeliest: &[(&str, f64)]) -> Value {
        let token = |(token, p): &(&str, f64)| json!({ "token": token, "logprob": libm::log(*p), "bytes": [] });
        let mut first = token(&chosen);
        first["top_logprobs"] = likeliest.iter().map(token).collect();
        json!({ "choices": [{ "message": { "content": chosen.0 }, "logprobs": { "content": [first] } }] })
    }

    fn check(body: &Value, expected: [f64; 2]) {
        let words = Words::new(["pass", "fail"]);
        let reply = read(body, &words, 1).unwrap().unwrap();
        let found = reply.weighed.unwrap().probabilities;
        assert!(found.iter().zip(expected).all(|(found, expected)| (found - expected).abs() < 1e-12), "{found:?}");
    }

    #[test]
    fn the_likeliest_tokens_are_counted() {
        check(&told(("pass", 0.5), &[("pass", 0.5), (" Fail", 0.25), ("The", 0.125), ("pas", 0.0625)]), [0.5625, 0.25]);
        // The chosen one is counted once, also where it is not among them.
        check(&told(("pass", 0.5), &[("fail", 0.25)]), [0.5, 0.25]);
        check(&told(("pass", 0.5), &[]), [0.5, 0.0]);
        check(&told(("<think>", 1.0), &[("<think>", 1.0)]), [0.0, 0.0]);
    }

    #[test]
    fn what_a_server_writes_for_never_is_nothing() {
        let mut body = told(("pass", 1.0), &[("pass", 1.0)]);
        body["choices"][0]["logprobs"]["content"][0]["top_logprobs"][0]["logprob"] = json!(1e-9);
        check(&body, [1.0, 0.0]);
        body["choices"][0]["logprobs"]["content"][0]["top_logprobs"][0]["logprob"] = json!(-9999.0);
        check(&body, [0.0, 0.0]);
    }

    #[test]
    fn what_is_not_told_is_not_made_up() {
        let words = Words::new(["pass", "fail"]);
        for logprobs in [json!(null), json!({}), json!({ "content": null }), json!({ "content": [] })] {
            let body = json!({ "choices": [{ "message": { "content": "pass" }, "logprobs": logprobs }] });
            assert_eq!(read(&body, &words, 1), Ok(None), "{body}");
        }
        let silent = json!({ "choices": [{ "message": { "content": "pass" } }] });
        assert_eq!(read(&silent, &words, 1), Ok(None));
        for broken in
            [json!({ "token": "pass" }), json!({ "token": "pass", "logprob": null }), json!({ "logprob": -1 })]
        {
            let body =
                json!({ "choices": [{ "message": { "content": "pass" }, "logprobs": { "content": [broken] } }] });
            assert_eq!(read(&body, &words, 1).unwrap_err().kind, EngineErrorKind::BadReply, "{body}");
        }
        assert!(read(&json!({ "choices": [] }), &words, 1).is_err());
    }
}
