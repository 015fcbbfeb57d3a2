//! Canonical JSON: one text for one value. Object members sorted by key, no white space, lists as they are.
//!
//! Follows RFC 8785 (JSON Canonicalization Scheme) in shape; numbers are written by `serde_json` (integers exactly,
//! floats in their shortest form that reads back to the same bits).

use std::fmt::Write as _;

use serde_json::Value;

/// Writes `value` in canonical form.
#[must_use]
pub fn to_canonical(value: &Value) -> String {
    let mut out = String::with_capacity(256);
    write(value, &mut out);
    out
}

/// Writes `value` in canonical form behind what `out` holds.
pub fn write(value: &Value, out: &mut String) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(true) => out.push_str("true"),
        Value::Bool(false) => out.push_str("false"),
        Value::Number(number) => out.push_str(&number.to_string()),
        Value::String(text) => write_text(text, out),
        Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write(item, out);
            }
            out.push(']');
        }
        Value::Object(members) => {
            // Sorted here and not left to the map type: another crate may switch serde_json to insertion order.
            let mut sorted: Vec<_> = members.iter().collect();
            sorted.sort_unstable_by(|a, b| a.0.cmp(b.0));
            out.push('{');
            for (index, (name, member)) in sorted.into_iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write_text(name, out);
                out.push(':');
                write(member, out);
            }
            out.push('}');
        }
    }
}

/// Writes a JSON string behind what `out` holds, the same as `serde_json` would: it escapes what JSON forbids and nothing
/// else.
///
/// Written here because it is asked for each call of a run: it copies whole stretches and makes no text of its own.
pub fn write_text(text: &str, out: &mut String) {
    /// So many bytes are looked at in a few instructions: most texts have nothing to escape for a long way.
    const STRETCH: usize = 32;
    let is_escaped = |byte: u8| (byte < b' ') | (byte == b'"') | (byte == b'\\');
    out.push('"');
    let mut start = 0;
    for (number, stretch) in text.as_bytes().chunks(STRETCH).enumerate() {
        if !stretch.iter().fold(false, |any, byte| any | is_escaped(*byte)) {
            continue;
        }
        for (at, byte) in (number * STRETCH..).zip(stretch).filter(|(_, byte)| is_escaped(**byte)) {
            out.push_str(&text[start..at]);
            // What is escaped is one byte long.
            start = at + 1;
            match byte {
                b'"' => out.push_str("\\\""),
                b'\\' => out.push_str("\\\\"),
                b'\n' => out.push_str("\\n"),
                b'\r' => out.push_str("\\r"),
                b'\t' => out.push_str("\\t"),
                0x08 => out.push_str("\\b"),
                0x0c => out.push_str("\\f"),
                control => write!(out, "\\u{control:04x}").expect("a String takes any text"),
            }
        }
    }
    out.push_str(&text[start..]);
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn maps_are_sorted_and_lists_are_not() {
        assert_eq!(to_canonical(&json!({"b": [2, 1], "a": null})), r#"{"a":null,"b":[2,1]}"#);
        assert_eq!(to_canonical(&json!([1.5, 0.1, 1e30, -0.0, true])), "[1.5,0.1,1e+30,-0.0,true]");
    }

    proptest! {
        #[test]
        fn text_reads_back(text in "(\\PC|[a-z ]{30,40}|[\\x00-\\x7f]){0,20}") {
            let canonical = to_canonical(&Value::String(text.clone()));
            prop_assert_eq!(&canonical, &serde_json::to_string(&text).unwrap());
            prop_assert_eq!(serde_json::from_str::<String>(&canonical).unwrap(), text);
        }
    }
}
