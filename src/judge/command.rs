//! What a program of the project says about one reply. Never guesses: what is not as agreed is no verdict.
//!
//! It reads one JSON document: `{"scenario": {…}, "reply": "…", "criterion": "…"}`. It ends with 0 for a pass or 1 for a
//! fail, or prints `{"pass": true, "reason": "…", "evidence": "…"}`, of which `pass` alone is needed.

use serde::{Deserialize, Serialize};

use crate::engine::Ended;
use crate::ids::CriterionId;

/// What a program found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Whether the reply passes.
    pub pass: bool,
    /// Words of the reply that it rests on; empty where there are none.
    pub evidence: String,
    /// Why.
    pub reason: String,
}

/// Why what a program printed is no verdict.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OutcomeError {
    /// It is not the document that was agreed on.
    #[error("what it printed is not as agreed: {message}")]
    Form {
        /// What the JSON parser says.
        message: String,
    },
    /// It says pass, and ended as programs do that say fail.
    #[error("it printed a pass and ended with 1")]
    Contradiction,
}

/// What a program reads.
#[must_use]
pub fn command_input(scenario: &impl Serialize, reply: &str, criterion: &CriterionId) -> String {
    #[derive(Serialize)]
    struct Document<'a, S> {
        scenario: &'a S,
        reply: &'a str,
        criterion: &'a CriterionId,
    }
    let document = serde_json::to_string(&Document { scenario, reply, criterion });
    document.expect("a scenario is plain data") + "\n"
}

/// Reads how a program ended.
///
/// # Errors
/// It printed something else than was agreed on.
pub fn read_outcome(reply: &str) -> Result<Outcome, OutcomeError> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Printed {
        pass: bool,
        reason: Option<String>,
        evidence: Option<String>,
    }
    let form = |error: serde_json::Error| {
        let text = error.to_string();
        OutcomeError::Form { message: text.split(" at line ").next().unwrap_or_default().to_owned() }
    };
    let Ended { exit, stdout } = serde_json::from_str(reply).map_err(form)?;
    let ended = exit == 0;
    if stdout.trim().is_empty() {
        let reason = format!("the program ended with {exit}");
        return Ok(Outcome { pass: ended, evidence: String::new(), reason });
    }
    let Printed { pass, reason, evidence } = serde_json::from_str(&stdout).map_err(form)?;
    if pass && !ended {
        return Err(OutcomeError::Contradiction);
    }
    let reason = reason.filter(|reason| !reason.trim().is_empty());
    let reason = reason.unwrap_or_else(|| "the program gave no reason".to_owned());
    Ok(Outcome { pass, evidence: evidence.unwrap_or_default().trim().to_owned(), reason: reason.trim().to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(exit: u8, stdout: &str, expected: Result<(bool, &str, &str), &str>) {
        let ended = serde_json::to_string(&Ended { exit, stdout: stdout.to_owned() }).unwrap();
        let found = read_outcome(&ended).map_err(|error| error.to_string());
        let found = found.as_ref().map(|found| (found.pass, found.evidence.as_str(), found.reason.as_str()));
        assert_eq!(found.map_err(String::as_str), expected, "{exit} {stdout}");
    }

    #[test]
    fn outcomes() {
        check(0, "", Ok((true, "", "the program ended with 0")));
        check(1, " \n", Ok((false, "", "the program ended with 1")));
        check(0, r#"{"pass": true, "reason": " It rhymes. "}"#, Ok((true, "", "It rhymes.")));
        check(0, "{\"pass\": false, \"evidence\": \"a\"}\n", Ok((false, "a", "the program gave no reason")));
        check(1, r#"{"pass": false}"#, Ok((false, "", "the program gave no reason")));
        check(1, r#"{"pass": true}"#, Err("it printed a pass and ended with 1"));
        check(0, "yes", Err("what it printed is not as agreed: expected value"));
        check(0, "{}", Err("what it printed is not as agreed: missing field `pass`"));
        check(
            0,
            r#"{"pass": "true"}"#,
            Err("what it printed is not as agreed: invalid type: string \"true\", expected a boolean"),
        );
        check(0, r#"{"pass": true} {"pass": false}"#, Err("what it printed is not as agreed: trailing characters"));
        let unknown =
            "what it printed is not as agreed: unknown field `score`, expected one of `pass`, `reason`, `evidence`";
        check(0, r#"{"pass": true, "score": 1}"#, Err(unknown));
    }

    #[test]
    fn the_document_is_one_line() {
        let input = command_input(&json!({ "topic": "a\nb" }), "hi", &CriterionId::new("c").unwrap());
        assert_eq!(input, "{\"scenario\":{\"topic\":\"a\\nb\"},\"reply\":\"hi\",\"criterion\":\"c\"}\n");
    }
}
