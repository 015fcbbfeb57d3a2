//! The strict reading of a raw reply that should be one JSON object. Never guesses: what is not exactly as asked is an
//! error, in words that can be told to the model.

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::data::VerdictKind;
use crate::engine::{Finish, reasoning};

/// Why a reply is not what was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// There is no text.
    #[error("it is empty")]
    Empty,
    /// There are thoughts only.
    #[error("its `<think>` part does not end")]
    OnlyThoughts,
    /// There is no brace.
    #[error("there is no JSON object in it")]
    NoObject,
    /// A brace is open at the end.
    #[error("its JSON object is not complete")]
    Incomplete,
    /// The token limit was reached before the answer was complete.
    #[error("it was cut off at the token limit")]
    CutOff,
    /// There are several objects, and nothing says which one is meant.
    #[error("there are {count} JSON objects in it, not one")]
    Several {
        /// How many.
        count: usize,
    },
    /// The object does not have exactly the members that were asked for.
    #[error("its JSON object is not as asked: {message}")]
    Members {
        /// What the JSON parser says.
        message: String,
    },
    /// A member has a value that it may not have.
    #[error("its `{member}` is {found}, not {allowed}")]
    Value {
        /// Which member.
        member: &'static str,
        /// What it is.
        found: String,
        /// What it may be.
        allowed: &'static str,
    },
}

/// What a judge said about one criterion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opinion {
    /// `pass`, `fail` or, where the question allows it, `not_applicable`.
    pub verdict: VerdictKind,
    /// The words it says it rests on; not yet looked for in the reply.
    pub evidence: String,
    /// Why.
    pub reason: String,
}

/// What a judge said, before it is looked at.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawOpinion {
    pub(super) evidence: String,
    pub(super) reason: String,
    pub(super) verdict: String,
}

impl RawOpinion {
    /// The opinion, if its verdict is one that may be given.
    pub(super) fn checked(self, allow_not_applicable: bool) -> Result<Opinion, ParseError> {
        let Self { evidence, reason, verdict } = self;
        let verdict = match verdict.trim() {
            "pass" => VerdictKind::Pass,
            "fail" => VerdictKind::Fail,
            "not_applicable" if allow_not_applicable => VerdictKind::NotApplicable,
            other => {
                let allowed =
                    if allow_not_applicable { "`pass`, `fail` or `not_applicable`" } else { "`pass` or `fail`" };
                let found = format!("`{}`", crate::check::cut(other, 40));
                return Err(ParseError::Value { member: "verdict", found, allowed });
            }
        };
        Ok(Opinion { verdict, evidence: evidence.trim().to_owned(), reason: reason.trim().to_owned() })
    }
}

/// Reads a judge's raw reply.
///
/// # Errors
/// The reply is not exactly one JSON object with the members and values that were asked for.
pub fn read_opinion(reply: &str, finish: Finish, allow_not_applicable: bool) -> Result<Opinion, ParseError> {
    read_object::<RawOpinion>(reply, finish)?.checked(allow_not_applicable)
}

/// Reads the one JSON object that a raw reply holds, alone, in a code fence or in prose, after thoughts or without.
///
/// # Errors
/// There is no object or more than one, it is not complete, or it is not a `T`.
pub fn read_object<T: DeserializeOwned>(reply: &str, finish: Finish) -> Result<T, ParseError> {
    let object =
        reasoning::answer(reply).ok_or(ParseError::OnlyThoughts).and_then(sole_object).map_err(|error| {
            match (finish, error) {
                (
                    Finish::Length,
                    ParseError::Empty | ParseError::OnlyThoughts | ParseError::NoObject | ParseError::Incomplete,
                ) => ParseError::CutOff,
                (_, error) => error,
            }
        })?;
    members(object)
}

/// Reads what is one JSON value and nothing else.
pub(super) fn members<T: DeserializeOwned>(object: &str) -> Result<T, ParseError> {
    serde_json::from_str(object).map_err(|error| {
        let text = error.to_string();
        let message = text.split(" at line ").next().unwrap_or_default().to_owned();
        ParseError::Members { message }
    })
}

fn sole_object(text: &str) -> Result<&str, ParseError> {
    if text.trim().is_empty() {
        return Err(ParseError::Empty);
    }
    let mut first = None;
    let mut count = 0;
    let mut rest = text;
    while let Some(start) = rest.find('{') {
        let length = object_length(&rest[start..]).ok_or(ParseError::Incomplete)?;
        let (object, after) = rest[start..].split_at(length);
        first = first.or(Some(object));
        count += 1;
        rest = after;
    }
    match (first, count) {
        (None, _) => Err(ParseError::NoObject),
        (Some(object), 1) => Ok(object),
        (Some(_), count) => Err(ParseError::Several { count }),
    }
}

/// How many bytes the object takes that `text` starts with; none if it does not end.
fn object_length(text: &str) -> Option<usize> {
    let (mut depth, mut in_text, mut escaped) = (0_usize, false, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            b'{' if !in_text => depth += 1,
            b'}' if !in_text => {
                depth -= 1;
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASS: &str = r#"{"evidence": "I hear {you}", "reason": "It says \"so\" }.", "verdict": "pass"}"#;

    fn check(reply: &str, expected: Result<(VerdictKind, &str, &str), &str>) {
        let found = read_opinion(reply, Finish::Stop, false);
        let shown = found.as_ref().map(|o| (o.verdict, o.evidence.as_str(), o.reason.as_str()));
        assert_eq!(shown.map_err(ToString::to_string), expected.map_err(str::to_owned), "{reply}");
    }

    #[test]
    fn one_object_is_read() {
        let pass = Ok((VerdictKind::Pass, "I hear {you}", "It says \"so\" }."));
        check(PASS, pass);
        check(&format!("\n {PASS} \n"), pass);
        check(&format!("```json\n{PASS}\n```"), pass);
        check(&format!("Here it is: {PASS}\nHope that helps!"), pass);
        check(&format!("<think>maybe {{\"verdict\": \"fail\"}}?</think>\n{PASS}"), pass);
        check(r#"{"verdict":" fail ","reason":"","evidence":" a "}"#, Ok((VerdictKind::Fail, "a", "")));
        check(r#"{"evidence":"\u00e9 \\","reason":"é}","verdict":"fail"}"#, Ok((VerdictKind::Fail, "é \\", "é}")));
    }

    #[test]
    fn nothing_is_guessed() {
        for (reply, why) in [
            ("", "it is empty"),
            (" \n", "it is empty"),
            ("pass", "there is no JSON object in it"),
            ("<think>pass", "its `<think>` part does not end"),
            ("<think>x</think>", "it is empty"),
            (&PASS[..PASS.len() - 1], "its JSON object is not complete"),
            ("{\"a\": {}", "its JSON object is not complete"),
            (&format!("{PASS} or {PASS}"), "there are 2 JSON objects in it, not one"),
            (&format!("{PASS}\n{{}}"), "there are 2 JSON objects in it, not one"),
            ("{}", "its JSON object is not as asked: missing field `evidence`"),
            (r#"{"evidence":"","reason":""}"#, "its JSON object is not as asked: missing field `verdict`"),
            (
                r#"{"evidence":"","reason":"","verdict":"pass","score":1}"#,
                "its JSON object is not as asked: unknown field `score`, \
                 expected one of `evidence`, `reason`, `verdict`",
            ),
            (
                r#"{"verdict":"fail","evidence":"","reason":"","verdict":"pass"}"#,
                "its JSON object is not as asked: duplicate field `verdict`",
            ),
            (
                r#"{"evidence":null,"reason":"","verdict":"pass"}"#,
                "its JSON object is not as asked: invalid type: null, expected a string",
            ),
            ("{'verdict': 'pass'}", "its JSON object is not as asked: key must be a string"),
            (r#"{"evidence":"","reason":"","verdict":"Pass"}"#, "its `verdict` is `Pass`, not `pass` or `fail`"),
            (r#"{"evidence":"","reason":"","verdict":""}"#, "its `verdict` is ``, not `pass` or `fail`"),
            (
                r#"{"evidence":"","reason":"","verdict":"not_applicable"}"#,
                "its `verdict` is `not_applicable`, not `pass` or `fail`",
            ),
        ] {
            check(reply, Err(why));
        }
    }

    #[test]
    fn not_applicable_where_allowed() {
        let read = |verdict: &str| {
            let reply = format!(r#"{{"evidence":"","reason":"","verdict":"{verdict}"}}"#);
            read_opinion(&reply, Finish::Stop, true).map(|o| o.verdict).map_err(|error| error.to_string())
        };
        assert_eq!(read("not_applicable"), Ok(VerdictKind::NotApplicable));
        assert_eq!(read("na"), Err("its `verdict` is `na`, not `pass`, `fail` or `not_applicable`".to_owned()));
    }

    #[test]
    fn a_cut_off_answer_says_so() {
        for reply in ["", "<think>well", "Let me see", r#"{"evidence": "I he"#] {
            assert_eq!(read_opinion(reply, Finish::Length, false), Err(ParseError::CutOff), "{reply}");
        }
        let complete = read_opinion(&format!("{PASS} And so"), Finish::Length, false);
        assert_eq!(complete.unwrap().verdict, VerdictKind::Pass);
        let wrong = read_opinion("{} And so", Finish::Length, false).unwrap_err();
        assert!(matches!(wrong, ParseError::Members { .. }), "{wrong}");
    }
}
