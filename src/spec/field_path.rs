//! Paths into records: `$.messages[0].content`, `$.messages[role=user].content`, or the bare name of a column.
//!
//! A small part of JSONPath: names, places (negative ones from the end), and the first item of a list that has a member of
//! some value. A path leads to one value or to none.

use std::fmt;

use serde::{Serialize, Serializer};
use serde_json::Value;

/// A path into a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldPath {
    source: String,
    steps: Vec<Step>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Member(String),
    Item(i64),
    First { member: String, value: String },
}

/// What is wrong with a path, in a lower-case fragment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{path}` is not a path: {why}")]
pub struct InvalidPath {
    /// The path as written.
    pub path: String,
    /// What is wrong with it.
    pub why: &'static str,
}

impl FieldPath {
    /// Reads a path; a text that does not begin with `$` is the name of a member.
    ///
    /// # Errors
    /// It is no path.
    pub fn new(source: &str) -> Result<Self, InvalidPath> {
        let invalid = |why| InvalidPath { path: source.to_owned(), why };
        let Some(mut rest) = source.strip_prefix('$') else {
            return Ok(Self { source: source.to_owned(), steps: vec![Step::Member(source.to_owned())] });
        };
        let mut steps = Vec::new();
        while !rest.is_empty() {
            if let Some(after) = rest.strip_prefix('.') {
                let end = after.find(['.', '[']).unwrap_or(after.len());
                if end == 0 {
                    return Err(invalid("a name is missing after `.`"));
                }
                steps.push(Step::Member(after[..end].to_owned()));
                rest = &after[end..];
            } else if let Some(after) = rest.strip_prefix('[') {
                let end = after.find(']').ok_or_else(|| invalid("`]` is missing"))?;
                steps.push(bracketed(&after[..end]).ok_or_else(|| {
                    invalid("in brackets stands a place such as `0` or `-1`, a name in quotes, or `name=value`")
                })?);
                rest = &after[end + 1..];
            } else {
                return Err(invalid("after `$` stands `.name` or `[place]`"));
            }
        }
        Ok(Self { source: source.to_owned(), steps })
    }

    /// The column of a table that it leads into; none where it may be any.
    #[must_use]
    pub fn column(&self) -> Option<&str> {
        match self.steps.first()? {
            Step::Member(name) => Some(name),
            Step::Item(_) | Step::First { member: _, value: _ } => None,
        }
    }

    /// What it leads to in a record; none where that is nothing, or null.
    #[must_use]
    pub fn find<'a>(&self, record: &'a Value) -> Option<&'a Value> {
        let found = self.steps.iter().try_fold(record, |value, step| match step {
            Step::Member(name) => value.get(name),
            Step::Item(place) => {
                let items = value.as_array()?;
                let place = if *place < 0 { i64::try_from(items.len()).ok()? + place } else { *place };
                items.get(usize::try_from(place).ok()?)
            }
            Step::First { member, value: wanted } => {
                let has = |item: &&Value| item.get(member).is_some_and(|value| value.as_str() == Some(wanted));
                value.as_array()?.iter().find(has)
            }
        });
        found.filter(|value| !value.is_null())
    }
}

fn bracketed(text: &str) -> Option<Step> {
    if let Ok(place) = text.parse() {
        return Some(Step::Item(place));
    }
    let quoted = ['\'', '"'].iter().find_map(|quote| text.strip_prefix(*quote)?.strip_suffix(*quote));
    if let Some(name) = quoted {
        return Some(Step::Member(name.to_owned()));
    }
    let (member, value) = text.split_once('=')?;
    let value = value.trim_matches(['\'', '"']);
    (!member.is_empty() && !value.is_empty())
        .then(|| Step::First { member: member.to_owned(), value: value.to_owned() })
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.source)
    }
}

impl Serialize for FieldPath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.source)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn paths_lead_into_records() {
        let record = json!({
            "messages": [
                { "role": "system", "content": "be kind" },
                { "role": "user", "content": "hi" },
                { "role": "user", "content": "still there?" },
            ],
            "meta": { "a.b": 3, "none": null },
            "$odd": "x",
        });
        let check = |path: &str, expected: Option<Value>| {
            assert_eq!(FieldPath::new(path).unwrap().find(&record), expected.as_ref(), "{path}");
        };
        check("$.messages[1].content", Some(json!("hi")));
        check("$.messages[-1].content", Some(json!("still there?")));
        check("$.messages[role=user].content", Some(json!("hi")));
        check("$.messages[role='user'].content", Some(json!("hi")));
        check("$.messages[role=tool].content", None);
        check("$.messages[9]", None);
        check("$.messages[-9]", None);
        check("$.meta['a.b']", Some(json!(3)));
        check("$.meta.none", None);
        check("meta", Some(record["meta"].clone()));
        check("$", Some(record.clone()));
        check("$['$odd']", Some(json!("x")));
    }

    #[test]
    fn paths_lead_into_columns() {
        for (path, column) in
            [("$.a[0].b", Some("a")), ("a.b", Some("a.b")), ("$['a.b']", Some("a.b")), ("$", None), ("$[0].a", None)]
        {
            assert_eq!(FieldPath::new(path).unwrap().column(), column, "{path}");
        }
    }

    #[test]
    fn what_is_no_path_is_told() {
        for (path, why) in [
            ("$.", "a name is missing after `.`"),
            ("$.a[0", "`]` is missing"),
            ("$a", "after `$` stands `.name` or `[place]`"),
            ("$.a[x]", "in brackets stands"),
            ("$.a[role=]", "in brackets stands"),
        ] {
            let error = FieldPath::new(path).unwrap_err();
            assert!(error.to_string().contains(why) && error.path == path, "{error}");
        }
    }
}
