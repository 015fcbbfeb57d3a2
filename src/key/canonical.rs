//! Canonical JSON: one text for one value. Object members sorted by key, no white space, lists as they are.
//!
//! Follows RFC 8785 (JSON Canonicalization Scheme) in shape; numbers are written by `serde_json` (integers exactly,
//! floats in their shortest form that reads back to the same bits).

use serde_json::Value;

/// Writes `value` in canonical form.
#[must_use]
pub fn to_canonical(value: &Value) -> String {
    let mut out = String::with_capacity(256);
    write(value, &mut out);
    out
}

fn write(value: &Value, out: &mut String) {
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

fn write_text(text: &str, out: &mut String) {
    out.push_str(&serde_json::to_string(text).expect("a string is always valid JSON"));
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
        fn text_reads_back(text in "\\PC*|[\\x00-\\x7f]*") {
            let canonical = to_canonical(&Value::String(text.clone()));
            prop_assert_eq!(serde_json::from_str::<String>(&canonical).unwrap(), text);
        }
    }
}
