//! What a server says when it does not answer, in the many forms that servers have for it.
//!
//! Owns reading error bodies and what each status means. Never asks anything; start at [`Complaint::read`].

use std::time::Duration;

use reqwest::StatusCode;
use serde_json::Value;

use super::endpoint::Endpoint;
use super::overflow;
use crate::engine::EngineErrorKind;
use crate::engine::retry::{Again, Failure};

/// A server's refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Complaint {
    pub(super) status: StatusCode,
    /// Its words, or the whole body where no words are found in it.
    pub(super) text: String,
    /// Its name for what is wrong.
    pub(super) code: Option<String>,
    /// The parameter that is wrong.
    pub(super) param: Option<String>,
    /// llama-server: tokens of the prompt, and of the context.
    pub(super) prompt_and_context: Option<(u64, u64)>,
}

impl Complaint {
    /// Reads an error body.
    pub(super) fn read(status: StatusCode, body: &[u8]) -> Self {
        match serde_json::from_slice::<Value>(body) {
            Ok(body) => Self::from_json(status, &body),
            Err(_) => {
                let text = without_tags(&String::from_utf8_lossy(body));
                Self { status, text, code: None, param: None, prompt_and_context: None }
            }
        }
    }

    /// Reads an error that came under a status of success, as gateways send it when it is too late for another.
    pub(super) fn within_success(status: StatusCode, body: &Value) -> Option<Self> {
        let error = body.get("error").filter(|error| !error.is_null())?;
        if body.get("choices").is_some_and(|choices| choices.as_array().is_some_and(|choices| !choices.is_empty())) {
            return None;
        }
        let told = error.get("code").and_then(Value::as_u64).and_then(|code| u16::try_from(code).ok());
        let told = told.and_then(|code| StatusCode::from_u16(code).ok());
        let told = told.filter(|code| code.is_client_error() || code.is_server_error());
        Some(Self::from_json(told.unwrap_or(status), body))
    }

    fn from_json(status: StatusCode, body: &Value) -> Self {
        // Gemini wraps the object in a list.
        let body = body.get(0).unwrap_or(body);
        let error = body.get("error").filter(|error| !error.is_null()).unwrap_or(body);
        let member = |name: &str| error.get(name).and_then(Value::as_str).map(ToOwned::to_owned);
        let number = |name: &str| error.get(name).and_then(Value::as_u64);
        let text = words(error)
            .or_else(|| ["message", "detail", "msg"].into_iter().find_map(|name| words(error.get(name)?)))
            .unwrap_or_else(|| body.to_string());
        Self {
            status,
            text,
            code: member("code").or_else(|| member("type")),
            param: member("param"),
            prompt_and_context: number("n_prompt_tokens").zip(number("n_ctx")),
        }
    }

    /// How many tokens too many the request has, if that is the complaint; 0 where it is not told.
    pub(super) fn tokens_over(&self, max_tokens: u32) -> Option<u32> {
        overflow::tokens_over(self, max_tokens)
    }

    /// What follows from the complaint. `pause` is the wait that the server asks for, `location` where it sends to.
    pub(super) fn failure(
        &self,
        endpoint: &Endpoint,
        max_tokens: u32,
        pause: Option<Duration>,
        location: Option<&str>,
    ) -> Failure {
        let mut what = format!("answered {}", status_line(self.status));
        let mut say = |remark: &str| what = format!("{what} ({remark})");

        let (kind, again) = if let Some(tokens_over) = self.tokens_over(max_tokens) {
            (EngineErrorKind::ContextOverflow { tokens_over }, Again::Never)
        } else {
            match self.status.as_u16() {
                300..=399 => {
                    say(&match location {
                        Some(location) => format!("`base_url` should lead to `{}`", endpoint.quote(location)),
                        None => "a redirect to nowhere".to_owned(),
                    });
                    (EngineErrorKind::Unavailable, Again::Never)
                }
                401 | 403 => {
                    if !endpoint.has_key() {
                        say("no `api_key` was sent");
                    }
                    (EngineErrorKind::Auth, Again::Never)
                }
                402 => (EngineErrorKind::Unavailable, Again::Never),
                404 => {
                    say("no such endpoint or model");
                    (EngineErrorKind::Unavailable, Again::Never)
                }
                // Looks like a limit of rate, and no waiting helps.
                429 if self.code.as_deref() == Some("insufficient_quota") => {
                    (EngineErrorKind::Unavailable, Again::Never)
                }
                429 => (EngineErrorKind::RateLimited { after: pause }, Again::Later(pause)),
                408 | 409 | 425 | 500..=599 => (EngineErrorKind::Transient, Again::Later(pause)),
                200..=299 => (EngineErrorKind::BadReply, Again::Never),
                _ => (EngineErrorKind::Rejected, Again::Never),
            }
        };
        let quote = endpoint.quote(&self.text);
        if !quote.is_empty() {
            what = format!("{what}: {quote}");
        }
        Failure::new(endpoint.error(kind, &what), again)
    }
}

/// `503 Service Unavailable`, or the number alone where it has no name.
pub(super) fn status_line(status: StatusCode) -> String {
    match status.canonical_reason() {
        Some(reason) => format!("{} {reason}", status.as_u16()),
        None => status.as_u16().to_string(),
    }
}

/// The words in a message: a text, or FastAPI's list of what is wrong where.
fn words(message: &Value) -> Option<String> {
    if let Some(text) = message.as_str() {
        return Some(text.to_owned());
    }
    let one = |fault: &Value| {
        let what = fault.get("msg")?.as_str()?;
        let place = fault.get("loc").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let place: Vec<String> =
            place.iter().map(|step| step.as_str().map_or_else(|| step.to_string(), ToOwned::to_owned)).collect();
        Some(format!("{}: {what}", place.join(".")))
    };
    let faults: Option<Vec<String>> = message.as_array()?.iter().map(one).collect();
    faults.filter(|faults| !faults.is_empty()).map(|faults| faults.join("; "))
}

/// The text of a page: gateways answer in HTML.
fn without_tags(body: &str) -> String {
    if !body.trim_start().starts_with('<') {
        return body.to_owned();
    }
    let mut text = String::new();
    for piece in body.split('<') {
        text.push_str(piece.split_once('>').map_or(piece, |(_, after)| after));
        text.push(' ');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_found_in_every_form() {
        let check = |body: &str, text: &str, code: Option<&str>, param: Option<&str>| {
            let complaint = Complaint::read(StatusCode::BAD_REQUEST, body.as_bytes());
            assert_eq!(
                (complaint.text.trim(), complaint.code.as_deref(), complaint.param.as_deref()),
                (text, code, param),
                "{body}"
            );
        };
        check(
            r#"{"error":{"message":"bad","type":"invalid_request_error","param":"seed","code":"unsupported_value"}}"#,
            "bad",
            Some("unsupported_value"),
            Some("seed"),
        );
        check(r#"{"error":{"message":"bad","type":"t","param":null,"code":null}}"#, "bad", Some("t"), None);
        check(r#"{"error":{"code":503,"message":"Loading model","type":"u"}}"#, "Loading model", Some("u"), None);
        check(r#"{"error":"bad"}"#, "bad", None, None);
        check(
            r#"{"object":"error","message":"bad","type":"BadRequestError","code":400}"#,
            "bad",
            Some("BadRequestError"),
            None,
        );
        check(r#"[{"error":{"message":"bad","code":400}}]"#, "bad", None, None);
        check(r#"{"detail":"Not Found"}"#, "Not Found", None, None);
        check(
            r#"{"detail":[{"type":"extra_forbidden","loc":["body","seed"],"msg":"no extras","input":1},{"loc":["body",0],"msg":"x"}]}"#,
            "body.seed: no extras; body.0: x",
            None,
            None,
        );
        check(r#"{"unusual":1}"#, r#"{"unusual":1}"#, None, None);
        check(r#"{"error":null,"message":"bad"}"#, "bad", None, None);
        check("[]", "[]", None, None);
        check("plain text", "plain text", None, None);
        check("<html><h1>502</h1> Bad\n</html>", "502  Bad", None, None);
        check("", "", None, None);
    }

    #[test]
    fn an_error_within_success_takes_the_status_that_it_names() {
        let check = |body: Value, expected: Option<u16>| {
            let found = Complaint::within_success(StatusCode::OK, &body).map(|complaint| complaint.status.as_u16());
            assert_eq!(found, expected, "{body}");
        };
        check(serde_json::json!({"error": {"code": 502, "message": "m"}}), Some(502));
        check(serde_json::json!({"error": {"code": "odd", "message": "m"}, "choices": []}), Some(200));
        check(serde_json::json!({"error": {"code": 200, "message": "m"}}), Some(200));
        check(serde_json::json!({"error": {"code": 99_999, "message": "m"}}), Some(200));
        check(serde_json::json!({"error": null}), None);
        check(serde_json::json!({"error": "m", "choices": [{}]}), None);
        check(serde_json::json!({"choices": []}), None);
        check(serde_json::json!(3), None);
    }
}
