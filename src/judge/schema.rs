//! The form of a judge's answer, as a JSON schema.

use serde_json::{Value, json};

use crate::engine::Schema;

/// Longest evidence and longest reason, in characters: some twenty-five words each, so that a verdict is never cut off for
/// want of tokens by a judge that likes to talk.
pub(super) const LONGEST_TEXT: usize = 160;

/// The two forms an answer can have, shared by all requests of a stage.
#[derive(Debug, Clone)]
pub struct Schemas {
    decided: Schema,
    may_not_apply: Schema,
}

impl Schemas {
    /// Builds both forms.
    #[must_use]
    pub fn new() -> Self {
        Self {
            decided: Schema::new("verdict", opinion(false)),
            may_not_apply: Schema::new("verdict_or_not_applicable", opinion(true)),
        }
    }

    /// The form of the answer to a question that may or may not be answered with `not_applicable`.
    #[must_use]
    pub fn of(&self, allow_not_applicable: bool) -> Schema {
        if allow_not_applicable { self.may_not_apply.clone() } else { self.decided.clone() }
    }
}

impl Default for Schemas {
    fn default() -> Self {
        Self::new()
    }
}

/// `required` gives the order of generation: the quote and the reason come before the verdict that rests on them.
fn form(verdicts: &[&str]) -> Value {
    let text: Value = json!({ "type": "string", "maxLength": LONGEST_TEXT });
    json!({
        "type": "object",
        "properties": { "evidence": text, "reason": text, "verdict": { "enum": verdicts } },
        "required": ["evidence", "reason", "verdict"],
        "additionalProperties": false,
    })
}

/// The form of one opinion.
pub(super) fn opinion(allow_not_applicable: bool) -> Value {
    form(if allow_not_applicable { &["pass", "fail", "not_applicable"] } else { &["pass", "fail"] })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn not_applicable_only_where_allowed() {
        let schemas = Schemas::new();
        for (allowed, verdicts) in [(false, json!(["pass", "fail"])), (true, json!(["pass", "fail", "not_applicable"]))]
        {
            let schema = schemas.of(allowed);
            assert_eq!(schema.json()["properties"]["verdict"]["enum"], verdicts);
            assert_eq!(schema.json()["required"], json!(["evidence", "reason", "verdict"]));
            assert_eq!(schema.json()["additionalProperties"], json!(false));
            assert!(Arc::ptr_eq(schema.json(), schemas.of(allowed).json()), "one schema is shared");
            assert!(jsonschema::meta::is_valid(schema.json()));
        }
    }
}
