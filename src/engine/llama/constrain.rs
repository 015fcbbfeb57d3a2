//! Replies that satisfy a JSON schema, by masking the tokens that would break it.
//!
//! JSON comes without insignificant white space, and members in the order of `required`: what a model writes first
//! is what it reasons from later.

use std::sync::Arc;

use llama_cpp_2::model::LlamaModel;
use llama_cpp_2::sampling::LlamaSampler;
use llama_cpp_2::token::LlamaToken;
use llguidance::api::TopLevelGrammar;
use llguidance::toktrie::{SimpleVob, TokEnv, TokTrie, TokenId, TokenizerEnv};
use llguidance::{Matcher, ParserFactory};
use serde_json::{Map, Value, json};

use super::vocabulary::Vocabulary;
use crate::engine::Schema;

/// Compiles schemas for one vocabulary. Costly to make, cheap to use.
pub(super) struct Constrainer {
    factory: ParserFactory,
    /// Compiled schemas, the latest first: a stage has few, and puts each to every row.
    compiled: Vec<(Schema, Matcher)>,
}

/// Compiled schemas that are kept.
const KEPT: usize = 8;

impl Constrainer {
    pub(super) fn new(model: &LlamaModel, vocabulary: &Vocabulary) -> Result<Self, String> {
        let trie = LlamaSampler::llguidance_tok_env(model).tok_trie().clone();
        let environment: TokEnv = Arc::new(Environment { trie, vocabulary: vocabulary.clone() });
        let mut factory = ParserFactory::new_simple(&environment).map_err(|error| error.to_string())?;
        // It writes warnings to stderr otherwise, and whole grammars into messages.
        factory.quiet().limits_mut().verbose_errors = false;
        Ok(Self { factory, compiled: Vec::new() })
    }

    /// Starts a reply that must satisfy `schema`.
    pub(super) fn start(&mut self, schema: &Schema) -> Result<Constraint, String> {
        let place = self.compiled.iter().position(|(compiled, _)| compiled == schema);
        let (schema, matcher) = match place.map(|place| self.compiled.remove(place)) {
            Some(compiled) => compiled,
            None => (schema.clone(), self.compile(schema.json())?),
        };
        let constraint = Constraint(matcher.deep_clone());
        self.compiled.insert(0, (schema, matcher));
        self.compiled.truncate(KEPT);
        Ok(constraint)
    }

    fn compile(&self, schema: &Value) -> Result<Matcher, String> {
        let mut schema = in_required_order(schema);
        if let Value::Object(members) = &mut schema {
            members.insert("x-guidance".to_owned(), json!({ "whitespace_flexible": false }));
        }
        let matcher = Matcher::new(self.factory.create_parser(TopLevelGrammar::from_json_schema(schema)));
        matcher.get_error().map_or(Ok(matcher), Err)
    }
}

/// One reply's way through its schema.
pub(super) struct Constraint(Matcher);

impl Constraint {
    /// Whether nothing can follow any more.
    pub(super) fn is_complete(&self) -> bool {
        self.0.is_stopped() && !self.0.is_error()
    }

    /// Takes the tokens that must come next whatever the model says.
    pub(super) fn forced(&mut self) -> Result<Vec<LlamaToken>, String> {
        let tokens = self.0.consume_ff_tokens();
        self.0.get_error().map_or_else(|| Ok(tokens.into_iter().map(from_id).collect()), Err)
    }

    /// The tokens that may come next.
    pub(super) fn allowed(&mut self) -> Result<SimpleVob, String> {
        self.0.compute_mask_or_eos().map_err(|error| error.to_string())
    }

    /// Takes a chosen token.
    pub(super) fn accept(&mut self, token: LlamaToken) -> Result<(), String> {
        self.0.consume_token(to_id(token)).map_err(|error| error.to_string())
    }
}

fn to_id(token: LlamaToken) -> TokenId {
    token.0.cast_unsigned()
}

fn from_id(id: TokenId) -> LlamaToken {
    LlamaToken::new(id.cast_signed())
}

/// Tokenises forced text as the model would, which `llama-cpp-2`'s own environment cannot.
struct Environment {
    trie: TokTrie,
    vocabulary: Vocabulary,
}

impl TokenizerEnv for Environment {
    fn tok_trie(&self) -> &TokTrie {
        &self.trie
    }

    fn tokenize_bytes(&self, bytes: &[u8]) -> Vec<TokenId> {
        self.trie.tokenize_with_greedy_fallback(bytes, |text| {
            self.vocabulary.bare(text, false).into_iter().map(to_id).collect()
        })
    }
}

/// Puts the members of every `properties` into the order of the `required` beside it; others follow as they are.
///
/// `serde_json` keeps the order of insertion wherever llguidance is compiled in, which asks for it.
pub(super) fn in_required_order(schema: &Value) -> Value {
    match schema {
        Value::Array(items) => items.iter().map(in_required_order).collect(),
        Value::Object(members) => {
            let required: Vec<&str> = members
                .get("required")
                .and_then(Value::as_array)
                .map(|names| names.iter().filter_map(Value::as_str).collect())
                .unwrap_or_default();
            let ordered = members.iter().map(|(name, member)| {
                let member = match (name.as_str(), member) {
                    // Literal values, not schemas.
                    ("const" | "enum" | "default" | "examples", _) => member.clone(),
                    ("properties", Value::Object(properties)) => {
                        let first = required.iter().filter_map(|name| properties.get_key_value(*name));
                        let rest = properties.iter().filter(|(name, _)| !required.contains(&name.as_str()));
                        let order = |(name, schema): (&String, &Value)| (name.clone(), in_required_order(schema));
                        first.chain(rest).map(order).collect::<Map<_, _>>().into()
                    }
                    _ => in_required_order(member),
                };
                (name.clone(), member)
            });
            ordered.collect::<Map<_, _>>().into()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => schema.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(schema: &str, expected: &str) {
        let schema: Value = serde_json::from_str(schema).unwrap();
        assert_eq!(in_required_order(&schema).to_string(), expected);
    }

    #[test]
    fn members_follow_required_at_every_depth() {
        check(
            r#"{"properties":{"a":{},"b":{},"c":{}},"required":["c","a"]}"#,
            r#"{"properties":{"c":{},"a":{},"b":{}},"required":["c","a"]}"#,
        );
        check(
            r#"{"items":[{"properties":{"a":{"properties":{"y":{},"x":{}},"required":["x","y"]}}}]}"#,
            r#"{"items":[{"properties":{"a":{"properties":{"x":{},"y":{}},"required":["x","y"]}}}]}"#,
        );
        // Members that are called like keywords, and values that look like schemas.
        check(
            r#"{"properties":{"required":{},"properties":{}},"required":["properties","required","none"]}"#,
            r#"{"properties":{"properties":{},"required":{}},"required":["properties","required","none"]}"#,
        );
        let literal = r#"{"const":{"properties":{"a":1,"b":2},"required":["b"]}}"#;
        check(literal, literal);
    }
}
