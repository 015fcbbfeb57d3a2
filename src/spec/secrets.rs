//! Covers credentials that stand in a file, before anybody is shown a line of it.
//!
//! Owns the guess at what is a credential; it errs on the side of covering. Asterisks take as many bytes as they cover,
//! so that spans stay where they are.

use std::ops::Range;
use std::sync::{Arc, LazyLock};

use regex::Regex;

use super::env::is_one_variable;
use super::tree::{Node, Value};
use super::units;

/// Endings of keys whose values are credentials, without `_` and `-`.
const KEYS: &[&str] = &["apikey", "token", "secret", "password", "authorization", "bearer"];

fn pattern(source: &str) -> Regex {
    Regex::new(source).expect("the pattern is a constant that the tests compile")
}

/// `https://user:password@host`.
static USER_INFO: LazyLock<Regex> = LazyLock::new(|| pattern(r#"://([^/?#\s"']+)@"#));
/// `?api_key=…`.
static QUERY: LazyLock<Regex> =
    LazyLock::new(|| pattern(r#"(?i)[?&](?:[\w-]*(?:key|token|secret|password))=([^&#\s"']+)"#));
/// `api_key: …`, also in a comment.
static KEYED: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r#"(?i)(api[_-]?key|token|secret|password|authorization|bearer)["']?[ \t]*[:=][ \t]*["']?([^\s"',{}#][^\s"',}#]*)"#,
    )
});

/// Whether a key's value is a credential; `name` may have anything before the key.
pub(super) fn is_secret_key(name: &str) -> bool {
    KEYS.iter().any(|key| ends_like(name, key))
}

fn ends_like(name: &str, key: &str) -> bool {
    // Only the end is looked at: a broken file of one long line is asked this at each of its colons.
    let end: Vec<char> = name.chars().rev().take(32).filter(char::is_ascii_alphanumeric).collect();
    let letters: String = end.iter().rev().map(char::to_ascii_lowercase).collect();
    letters.ends_with(key)
}

/// Covers the credentials in a file that was parsed.
pub(super) fn cover(text: &str, root: &Node) -> Arc<str> {
    let mut ranges = find(text);
    find_in_tree(root, &mut ranges);
    replace(text, ranges)
}

/// Covers the credentials in a file that could not be parsed: the whole of what follows a key that may hold one.
pub(super) fn cover_broken(text: &str) -> Arc<str> {
    let mut ranges = find(text);
    let mut offset = 0;
    let mut deeper_than = None;
    for line in text.split_inclusive('\n') {
        let indent = line.len() - line.trim_start().len();
        if deeper_than.is_some_and(|key_indent| indent > key_indent || line.trim().is_empty()) {
            ranges.push(offset + indent..offset + line.len());
        } else {
            deeper_than = None;
            let value = line.match_indices([':', '=']).find(|(at, _)| is_secret_key(&line[..*at]));
            if let Some((at, _)) = value {
                let rest = line[at + 1..].trim();
                let is_limit = ends_like(&line[..at], "token") && is_quantity(rest.trim_end_matches([',', '}', ' ']));
                if !is_limit && !is_one_variable(rest.trim_matches(['"', '\''])) {
                    ranges.push(offset + at + 1..offset + line.len());
                    deeper_than = Some(indent);
                }
            }
        }
        offset += line.len();
    }
    replace(text, ranges)
}

/// Covers the credentials in a text that is no YAML, such as a prompt or one value of a file.
pub(super) fn cover_text(text: &str) -> Arc<str> {
    replace(text, find(text))
}

/// Whether what stands behind a key may be a credential. Many a `…token` is a number or a short word, such as a limit
/// with a typing error in its name; behind the other keys everything is a credential.
fn may_be_secret(key: &str, value: &str) -> bool {
    const SHORTEST_TOKEN: usize = 8;
    let value = value.trim().trim_matches(['"', '\'']);
    if is_one_variable(value) {
        return false;
    }
    let is_token = ends_like(key, "token");
    !is_token || value.chars().count() >= SHORTEST_TOKEN && !is_quantity(value)
}

fn is_quantity(text: &str) -> bool {
    text.parse::<f64>().is_ok() || units::seconds(text).is_some()
}

fn find(text: &str) -> Vec<Range<usize>> {
    let mut ranges = Vec::new();
    for pattern in [&USER_INFO, &QUERY] {
        for captures in pattern.captures_iter(text) {
            ranges.extend(captures.get(1).map(|secret| secret.range()));
        }
    }
    for captures in KEYED.captures_iter(text) {
        if let (Some(key), Some(secret)) = (captures.get(1), captures.get(2))
            && may_be_secret(key.as_str(), secret.as_str())
        {
            ranges.push(secret.range());
        }
    }
    // The name of a variable is what belongs there; its braces end the match.
    ranges.retain(|range| {
        let secret = &text[range.clone()];
        secret
            .strip_prefix("${")
            .is_none_or(|rest| rest.split_once(":-").is_some_and(|(_, default)| !default.is_empty()))
    });
    ranges
}

fn find_in_tree(node: &Node, ranges: &mut Vec<Range<usize>>) {
    match &node.value {
        Value::Map(entries) => {
            for (key, value) in entries {
                if is_secret_key(&key.name) {
                    cover_scalars(&key.name, value, ranges);
                } else {
                    find_in_tree(value, ranges);
                }
            }
        }
        Value::List(items) => items.iter().for_each(|item| find_in_tree(item, ranges)),
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Text(_) | Value::Broken => {}
    }
}

fn cover_scalars(key: &str, node: &Node, ranges: &mut Vec<Range<usize>>) {
    match &node.value {
        Value::Map(entries) => entries.iter().for_each(|(_, value)| cover_scalars(key, value, ranges)),
        Value::List(items) => items.iter().for_each(|item| cover_scalars(key, item, ranges)),
        Value::Text(text) if !may_be_secret(key, text) => {}
        Value::Bool(_) | Value::Int(_) | Value::Float(_) if ends_like(key, "token") => {}
        Value::Null | Value::Broken => {}
        Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Text(_) => ranges.push(node.defined.clone()),
    }
}

fn replace(text: &str, mut ranges: Vec<Range<usize>>) -> Arc<str> {
    if ranges.is_empty() {
        return Arc::from(text);
    }
    ranges.sort_unstable_by_key(|range| (range.start, range.end));
    let mut ranges = ranges.into_iter().peekable();
    let mut covered_to = 0;
    let mut out = String::with_capacity(text.len());
    for (at, letter) in text.char_indices() {
        while let Some(range) = ranges.next_if(|range| range.start <= at) {
            covered_to = covered_to.max(range.end);
        }
        if at < covered_to && !matches!(letter, '\n' | '\r' | '"' | '\'') {
            out.extend(std::iter::repeat_n('*', letter.len_utf8()));
        } else {
            out.push(letter);
        }
    }
    Arc::from(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(&*cover_text(text), expected);
        assert_eq!(text.len(), expected.len());
    }

    #[test]
    fn credentials_in_text_are_covered() {
        check("# api_key: sk-1, b", "# api_key: ****, b");
        check("see https://me:pw@host/x?a=1&api_key=k9#f", "see https://*****@host/x?a=1&api_key=**#f");
        check("Authorization: é2", "Authorization: ***");
        check("api_key: ${KEY}", "api_key: ${KEY}");
        check("api_key: \"${KEY:-}\"", "api_key: \"${KEY:-}\"");
        check("api_key: ${KEY:-sk-1}", "api_key: ***********}");
        check("max_tokens: 100", "max_tokens: 100");
        check("max_token: 50, token: 1e3, a-token: 5m", "max_token: 50, token: 1e3, a-token: 5m");
        check("hf_token: hf_12345", "hf_token: ********");
        check("max_token: 123456789", "max_token: 123456789");
        // A password may be a number, and short.
        check("password: 1234", "password: ****");
    }

    #[test]
    fn in_a_broken_file_everything_after_the_key_is_covered() {
        let cover = |text: &str| cover_broken(text).to_string();
        assert_eq!(cover("a: [\napi_key: sk 1\nb: 2\n"), "a: [\napi_key:*****\nb: 2\n");
        assert_eq!(cover("  api_key: >-\n    sk\n  b: 2"), "  api_key:***\n    **\n  b: 2");
        assert_eq!(cover("{ api_key: '${K}'\n}"), "{ api_key: '${K}'\n}");
        assert_eq!(cover("a: [\n{ max_token: 50 }\n  b: x\n"), "a: [\n{ max_token: 50 }\n  b: x\n");
        assert_eq!(cover("token: >-\n  sk"), "token:***\n  **");
        assert_eq!(cover("{ x: 1, api-key: sk"), "{ x: 1, api-key:***");
    }
}
