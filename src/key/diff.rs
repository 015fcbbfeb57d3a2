//! Which fields of a recipe changed: the reason a result is computed again.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

/// One leaf, list or object that is not the same in two recipes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldChange {
    /// Where it is: `rubric.criteria[2].weight`.
    pub path: String,
    /// What it was; `None` if it was not there.
    pub old: Option<Value>,
    /// What it is; `None` if it is gone.
    pub new: Option<Value>,
}

/// Most characters shown of a value.
const LONGEST: usize = 60;

impl FieldChange {
    /// Both values as people are shown them. Of long ones that is the part where they begin to differ.
    #[must_use]
    pub fn shown(&self) -> (String, String) {
        let text = |value: &Option<Value>| value.as_ref().map_or_else(|| "nothing".to_owned(), Value::to_string);
        around(&text(&self.old), &text(&self.new))
    }
}

impl fmt::Display for FieldChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (old, new) = self.shown();
        write!(f, "{}: {old} → {new}", self.path)
    }
}

/// Cuts two texts to the part where they begin to differ.
fn around(old: &str, new: &str) -> (String, String) {
    let same = old.chars().zip(new.chars()).take_while(|(old, new)| old == new).count();
    let longest = old.chars().count().max(new.chars().count());
    let start = if longest > LONGEST && same > LONGEST / 2 { same - LONGEST / 4 } else { 0 };
    let cut = |text: &str| {
        let part: String = text.chars().skip(start).take(LONGEST).collect();
        let before = if start > 0 { "…" } else { "" };
        let after = if text.chars().count() > start + LONGEST { "…" } else { "" };
        format!("{before}{part}{after}")
    };
    (cut(old), cut(new))
}

/// Lists what changed from `old` to `new`, in the order of the fields' names.
#[must_use]
pub fn diff(old: &Value, new: &Value) -> Vec<FieldChange> {
    let mut changes = Vec::new();
    walk("", old, new, &mut changes);
    changes
}

fn walk(path: &str, old: &Value, new: &Value, changes: &mut Vec<FieldChange>) {
    match (old, new) {
        (Value::Object(old), Value::Object(new)) => {
            let names: BTreeMap<&String, ()> = old.keys().chain(new.keys()).map(|name| (name, ())).collect();
            for name in names.into_keys() {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                pair(&path, old.get(name), new.get(name), changes);
            }
        }
        (Value::Array(old), Value::Array(new)) => walk_list(path, old, new, changes),
        _ if old == new => {}
        _ => changes.push(FieldChange { path: path.to_owned(), old: Some(old.clone()), new: Some(new.clone()) }),
    }
}

/// Items that carry an `id` are matched by it, so that one inserted criterion is one change and not a shift of all.
fn walk_list(path: &str, old: &[Value], new: &[Value], changes: &mut Vec<FieldChange>) {
    let (Some(old_ids), Some(new_ids)) = (ids(old), ids(new)) else {
        for index in 0..old.len().max(new.len()) {
            pair(&format!("{path}[{index}]"), old.get(index), new.get(index), changes);
        }
        return;
    };
    let order = |ids: &BTreeMap<&str, usize>, other: &BTreeMap<&str, usize>| {
        let mut shared: Vec<_> =
            ids.iter().filter(|(id, _)| other.contains_key(*id)).map(|(id, at)| (*at, (*id).to_owned())).collect();
        shared.sort_unstable();
        shared.into_iter().map(|(_, id)| Value::String(id)).collect::<Vec<_>>()
    };
    let before = changes.len();
    let all: BTreeMap<&str, ()> = old_ids.keys().chain(new_ids.keys()).map(|id| (*id, ())).collect();
    for id in all.into_keys() {
        let item = |ids: &BTreeMap<&str, usize>, list: &[Value]| ids.get(id).map(|at| list[*at].clone());
        pair(&format!("{path}[{id}]"), item(&old_ids, old).as_ref(), item(&new_ids, new).as_ref(), changes);
    }
    let (old_order, new_order) = (order(&old_ids, &new_ids), order(&new_ids, &old_ids));
    if changes.len() == before && old_order != new_order {
        changes.push(FieldChange {
            path: format!("{path} (order)"),
            old: Some(old_order.into()),
            new: Some(new_order.into()),
        });
    }
}

fn ids(list: &[Value]) -> Option<BTreeMap<&str, usize>> {
    let map: BTreeMap<&str, usize> =
        list.iter().enumerate().map(|(at, item)| Some((item.get("id")?.as_str()?, at))).collect::<Option<_>>()?;
    (map.len() == list.len()).then_some(map)
}

fn pair(path: &str, old: Option<&Value>, new: Option<&Value>, changes: &mut Vec<FieldChange>) {
    match (old, new) {
        (Some(old), Some(new)) => walk(path, old, new, changes),
        (None, None) => {}
        _ => changes.push(FieldChange { path: path.to_owned(), old: old.cloned(), new: new.cloned() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(old: Value, new: Value, expected: &[&str]) {
        let shown: Vec<String> = diff(&old, &new).iter().map(ToString::to_string).collect();
        assert_eq!(shown, expected);
    }

    #[test]
    fn names_the_field() {
        check(json!({"a": 1, "b": {"c": [1, 2]}}), json!({"a": 1, "b": {"c": [1, 3]}}), &["b.c[1]: 2 → 3"]);
        check(json!({"a": 1}), json!({}), &["a: 1 → nothing"]);
        check(json!({}), json!({}), &[]);
    }

    #[test]
    fn matches_items_by_id() {
        let old = json!({"criteria": [{"id": "x", "w": 1}, {"id": "y", "w": 1}]});
        let new = json!({"criteria": [{"id": "n", "w": 1}, {"id": "x", "w": 1}, {"id": "y", "w": 2}]});
        check(old, new, &[r#"criteria[n]: nothing → {"id":"n","w":1}"#, "criteria[y].w: 1 → 2"]);
        check(
            json!([{"id": "x"}, {"id": "y"}]),
            json!([{"id": "y"}, {"id": "x"}]),
            &[r#" (order): ["x","y"] → ["y","x"]"#],
        );
    }

    #[test]
    fn long_values_are_cut() {
        check(json!({"a": "x".repeat(100)}), json!({"a": 1}), &[&format!("a: \"{}… → 1", "x".repeat(59))]);
    }

    #[test]
    fn long_values_are_shown_where_they_differ() {
        let check = |old: &str, new: &str, expected: (&str, &str)| {
            assert_eq!(around(old, new), (expected.0.to_owned(), expected.1.to_owned()));
        };
        check("\"a\"", "\"b\"", ("\"a\"", "\"b\""));
        check("nothing", "1", ("nothing", "1"));
        let head = "x".repeat(100);
        check(&format!("{head}one"), &format!("{head}two"), ("…xxxxxxxxxxxxxxxone", "…xxxxxxxxxxxxxxxtwo"));
        check(&head, &format!("{head}é"), ("…xxxxxxxxxxxxxxx", "…xxxxxxxxxxxxxxxé"));
        let short = "s".repeat(40);
        check(&format!("{short}1"), &format!("{short}2"), (&format!("{short}1"), &format!("{short}2")));
        let long = "y".repeat(80);
        check(&long, "z", (&format!("{}…", "y".repeat(60)), "z"));
    }
}
