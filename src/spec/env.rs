//! `${NAME}` and `${NAME:-default}` in the values of the pipeline file.
//!
//! Owns the syntax. The values that come in never reach a problem: where a value is shown, it is shown as written.

use std::ops::Range;

use super::problem::{Code, Problem, SourceText};
use super::read::Sink;
use super::sources::Environment;
use super::tree::{Node, Value};

/// A text in pieces.
#[derive(Debug, PartialEq, Eq)]
enum Piece<'a> {
    Literal(&'a str),
    Variable {
        name: &'a str,
        default: Option<&'a str>,
    },
    /// `${` without a proper rest.
    Wrong(&'a str),
}

fn is_variable_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        pieces.push(Piece::Literal(&rest[..at]));
        let tail = &rest[at..];
        let len = if tail.starts_with("$$") {
            pieces.push(Piece::Literal("$"));
            2
        } else if let Some(inner) = tail.strip_prefix("${") {
            let end = inner.find('}');
            let body = &inner[..end.unwrap_or(inner.len())];
            let (name, default) = body.split_once(":-").map_or((body, None), |(name, rest)| (name, Some(rest)));
            let len = end.map_or(tail.len(), |end| end + "${}".len());
            let is_variable = end.is_some() && is_variable_name(name);
            pieces.push(if is_variable { Piece::Variable { name, default } } else { Piece::Wrong(&tail[..len]) });
            len
        } else {
            pieces.push(Piece::Literal("$"));
            1
        };
        rest = &tail[len..];
    }
    pieces.push(Piece::Literal(rest));
    pieces.retain(|piece| *piece != Piece::Literal(""));
    pieces
}

/// Whether a text is one variable and nothing else, not even a default.
pub(super) fn is_one_variable(text: &str) -> bool {
    matches!(pieces(text).as_slice(), [Piece::Variable { default: None | Some(""), .. }])
}

/// Whether a text holds `${` without a proper rest.
pub(super) fn is_malformed(text: &str) -> bool {
    pieces(text).iter().any(|piece| matches!(piece, Piece::Wrong(_)))
}

/// Fills in variables in all values below `node`.
pub(super) fn expand(node: &mut Node, file: &SourceText, environment: &dyn Environment, sink: &Sink) {
    Expanding { file, environment, sink }.node(node, "");
}

struct Expanding<'a> {
    file: &'a SourceText,
    environment: &'a dyn Environment,
    sink: &'a Sink,
}

impl Expanding<'_> {
    fn node(&mut self, node: &mut Node, key: &str) {
        match &mut node.value {
            Value::List(items) => items.iter_mut().for_each(|item| self.node(item, key)),
            Value::Map(entries) => entries.iter_mut().for_each(|(key, value)| self.node(value, &key.name)),
            Value::Text(text) if text.contains('$') => {
                let template = std::mem::take(text);
                node.value = self.text(&template, node, key).map_or(Value::Broken, Value::Text);
                node.template = Some(template);
            }
            Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Text(_) | Value::Broken => {}
        }
    }

    fn text(&mut self, template: &str, node: &Node, key: &str) -> Option<String> {
        let mut out = Some(String::with_capacity(template.len()));
        for piece in pieces(template) {
            let value = match piece {
                Piece::Literal(text) => Some(text.to_owned()),
                Piece::Variable { name, default } => {
                    let set = self.environment.get(name);
                    let value = match default {
                        // As in a shell, `:-` stands in for an empty value too.
                        Some(default) => set.filter(|value| !value.is_empty()).or_else(|| Some(default.to_owned())),
                        None => set,
                    };
                    if value.is_none() {
                        self.unset(name, node, key);
                    }
                    value
                }
                Piece::Wrong(text) => {
                    self.wrong(text, node, key);
                    None
                }
            };
            match (&mut out, value) {
                (Some(out), Some(value)) => out.push_str(&value),
                _ => out = None,
            }
        }
        out
    }

    fn unset(&mut self, name: &str, node: &Node, key: &str) {
        let help = if super::secrets::is_secret_key(key) {
            format!("export `{name}`, or write `${{{name}:-}}` where no key is needed")
        } else {
            format!("export `{name}`, or give it a default: `${{{name}:-…}}`")
        };
        let span = self.narrow(&format!("${{{name}"), node);
        let message = format!("the environment variable `{name}` is not set");
        self.sink.borrow_mut().push(Problem::new(Code::UnsetVariable, self.file, &span, "not set", message).help(help));
    }

    fn wrong(&mut self, text: &str, node: &Node, key: &str) {
        let span = self.narrow(text, node);
        // What stands where a credential belongs may be one.
        let message = if super::secrets::is_secret_key(key) {
            "a variable is not written as `${NAME}`".to_owned()
        } else {
            format!("`{}` is not a variable", super::read::shorten(&super::secrets::cover_text(text)))
        };
        let help = "write `${NAME}` or `${NAME:-default}`, and `$$` for a dollar sign";
        self.sink
            .borrow_mut()
            .push(Problem::new(Code::InvalidVariable, self.file, &span, "not a variable", message).help(help));
    }

    /// The span of `text` inside of the node, as far as it stands there as it is.
    fn narrow(&self, text: &str, node: &Node) -> Range<usize> {
        if node.span != node.defined {
            return node.span.clone();
        }
        let slice = self.file.text.get(node.span.clone()).unwrap_or_default();
        match slice.find(text) {
            Some(at) => {
                let start = node.span.start + at;
                let end = slice[at..].find('}').map_or(start + text.len(), |end| start + end + 1);
                start..end
            }
            None => node.span.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Piece::{Literal, Variable, Wrong};

    #[track_caller]
    fn check(text: &str, expected: &[Piece<'_>]) {
        assert_eq!(pieces(text), expected);
    }

    #[test]
    fn texts_are_cut_into_pieces() {
        check("", &[]);
        check("a$", &[Literal("a"), Literal("$")]);
        check("$1 $x", &[Literal("$"), Literal("1 "), Literal("$"), Literal("x")]);
        check("$${A}", &[Literal("$"), Literal("{A}")]);
        check("$$${A}", &[Literal("$"), Variable { name: "A", default: None }]);
        check("${A}b", &[Variable { name: "A", default: None }, Literal("b")]);
        check("${_a1:-http://x:1/}", &[Variable { name: "_a1", default: Some("http://x:1/") }]);
        check("${A:-}", &[Variable { name: "A", default: Some("") }]);
        for wrong in ["${", "${A", "${}", "${1}", "${A-b}", "${A:b}", "${é}", "${ A}"] {
            check(wrong, &[Wrong(wrong)]);
        }
    }

    #[test]
    fn a_credential_is_one_variable() {
        for good in ["${A}", "${A:-}"] {
            assert!(is_one_variable(good), "{good}");
        }
        for bad in ["", "A", "$A", "${A:-x}", "x${A}", "${A}${B}", "${A", " ${A}"] {
            assert!(!is_one_variable(bad), "{bad}");
        }
    }
}
