//! What identifies a result: [`Key`] of a recipe, [`BlobId`] of bytes, canonical JSON, and the difference of two recipes.
//!
//! A recipe is everything that decides a result, as JSON. Never does I/O; start at [`Recipe`].

mod canonical;
mod diff;
mod id;

pub use canonical::{to_canonical, write as write_canonical, write_text as write_canonical_text};
pub use diff::{FieldChange, diff};
pub use id::{BlobHasher, BlobId, Key, ParseIdError};

use serde_json::{Value, json};

/// Version of the key schema: how recipes are laid out and hashed. Raising it makes every result a miss.
pub const KEY_SCHEMA: u32 = 1;

/// Everything that decides a result, in canonical form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipe {
    canonical: String,
    key: Key,
}

impl Recipe {
    /// Makes the recipe of one result of the given kind (`call`, `infer`, `judge`…).
    ///
    /// `kind_version` is raised when the meaning of the same fields changes.
    #[must_use]
    pub fn new(kind: &str, kind_version: u32, fields: Value) -> Self {
        let canonical = to_canonical(&json!({
            "schema": KEY_SCHEMA,
            "kind": kind,
            "version": kind_version,
            "fields": fields,
        }));
        let key = Key::of_canonical(&canonical);
        Self { canonical, key }
    }

    /// What stands before and behind the fields in the canonical text of such a recipe.
    ///
    /// For those who write the fields' canonical text themselves, because they make keys by the hundred thousand: with
    /// [`Key::of_canonical`] they come to the key that [`Self::new`] gives.
    #[must_use]
    pub fn around_fields(kind: &str, kind_version: u32) -> [String; 2] {
        let behind = format!(",\"kind\":{},\"schema\":{KEY_SCHEMA},\"version\":{kind_version}}}", json!(kind));
        ["{\"fields\":".to_owned(), behind]
    }

    /// Takes canonical text as it was kept, byte by byte. Whether it is canonical shows in its key, which is then another
    /// one than it is kept under.
    #[must_use]
    pub fn from_canonical(canonical: String) -> Self {
        let key = Key::of_canonical(&canonical);
        Self { canonical, key }
    }

    /// The key: blake3 over the canonical JSON.
    #[must_use]
    pub fn key(&self) -> Key {
        self.key
    }

    /// The canonical JSON text, as it is kept beside the receipt.
    #[must_use]
    pub fn canonical(&self) -> &str {
        &self.canonical
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use proptest::sample::Index;

    use super::*;

    /// A value as the oracle sees it: nothing of it is text. Two recipes are the same if and only if these are equal.
    #[derive(Debug, Clone, PartialEq)]
    enum Tree {
        Null,
        Flag(bool),
        Whole(i64),
        Bits(u64),
        Text(Vec<u8>),
        List(Vec<Self>),
        Map(BTreeMap<Vec<u8>, Self>),
    }

    fn name() -> impl Strategy<Value = Vec<u8>> {
        "([a-c\"\\\\é\u{1}\u{2028}]|\\PC){0,3}".prop_map(String::into_bytes)
    }

    fn tree() -> impl Strategy<Value = Tree> {
        let leaf = prop_oneof![
            Just(Tree::Null),
            any::<bool>().prop_map(Tree::Flag),
            any::<i64>().prop_map(Tree::Whole),
            any::<f64>()
                .prop_filter("JSON has finite numbers", |x| x.is_finite())
                .prop_map(|x| Tree::Bits(x.to_bits())),
            name().prop_map(Tree::Text),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Tree::List),
                prop::collection::btree_map(name(), inner, 0..4).prop_map(Tree::Map),
            ]
        })
    }

    fn text(bytes: &[u8]) -> String {
        serde_json::to_string(std::str::from_utf8(bytes).unwrap()).unwrap()
    }

    impl Tree {
        /// The value as JSON with its members in some order and with white space, as a person might write it.
        fn write(&self, backwards: bool) -> String {
            match self {
                Self::Null => "null".to_owned(),
                Self::Flag(flag) => flag.to_string(),
                Self::Whole(number) => number.to_string(),
                // Seventeen digits are enough for any f64.
                Self::Bits(bits) => format!("{:.17e}", f64::from_bits(*bits)),
                Self::Text(bytes) => text(bytes),
                Self::List(items) => {
                    let items: Vec<String> = items.iter().map(|item| item.write(backwards)).collect();
                    format!("[ {} ]", items.join(" ,\n"))
                }
                Self::Map(members) => {
                    let member =
                        |(name, value): (&Vec<u8>, &Self)| format!("{} : {}", text(name), value.write(backwards));
                    let mut members: Vec<String> = members.iter().map(member).collect();
                    if backwards {
                        members.reverse();
                    }
                    format!("{{ {} }}", members.join(" ,\t"))
                }
            }
        }

        fn value(&self) -> Value {
            match self {
                Self::Null => Value::Null,
                Self::Flag(flag) => json!(flag),
                Self::Whole(number) => json!(number),
                Self::Bits(bits) => json!(f64::from_bits(*bits)),
                Self::Text(bytes) => json!(std::str::from_utf8(bytes).unwrap()),
                Self::List(items) => items.iter().map(Self::value).collect(),
                Self::Map(members) => {
                    let member =
                        |(name, value): (&Vec<u8>, &Self)| (String::from_utf8(name.clone()).unwrap(), value.value());
                    Value::Object(members.iter().map(member).collect())
                }
            }
        }

        /// All places below, this one first.
        fn places(&mut self) -> usize {
            1 + match self {
                Self::List(items) => items.iter_mut().map(Self::places).sum(),
                Self::Map(members) => members.values_mut().map(Self::places).sum(),
                Self::Null | Self::Flag(_) | Self::Whole(_) | Self::Bits(_) | Self::Text(_) => 0,
            }
        }

        /// Puts another value in one place.
        fn put(&mut self, at: &mut usize, new: &Self) {
            if *at == 0 {
                *self = new.clone();
            }
            *at = at.wrapping_sub(1);
            match self {
                Self::List(items) => items.iter_mut().for_each(|item| item.put(at, new)),
                Self::Map(members) => members.values_mut().for_each(|member| member.put(at, new)),
                Self::Null | Self::Flag(_) | Self::Whole(_) | Self::Bits(_) | Self::Text(_) => {}
            }
        }
    }

    fn key(tree: &Tree) -> Key {
        Recipe::new("k", 1, tree.value()).key()
    }

    proptest! {
        #[test]
        fn keys_are_equal_exactly_where_values_are(one in tree(), new in tree(), at in any::<Index>()) {
            let mut other = one.clone();
            let mut at = at.index(other.places());
            other.put(&mut at, &new);
            prop_assert_eq!(key(&one) == key(&other), one == other, "{:?} {:?}", one, other);
        }

        #[test]
        fn the_order_of_members_is_nothing_and_that_of_items_is_all(tree in tree(), other in tree()) {
            // Without floats, which the parser may read one bit off.
            let plain = |tree: &Tree| !format!("{tree:?}").contains("Bits");
            prop_assume!(plain(&tree));
            let read = |text: &str| Recipe::new("k", 1, serde_json::from_str(text).unwrap()).key();
            prop_assert_eq!(read(&tree.write(false)), key(&tree));
            prop_assert_eq!(read(&tree.write(true)), key(&tree));
            let (one, two) = (Tree::List(vec![tree.clone(), other.clone()]), Tree::List(vec![other.clone(), tree.clone()]));
            prop_assert_eq!(key(&one) == key(&two), tree == other);
        }
    }

    #[test]
    fn kind_and_version_are_in_the_key() {
        let key = |kind, version| Recipe::new(kind, version, json!({})).key();
        assert!(key("a", 1) != key("b", 1) && key("a", 1) != key("a", 2));
        let recipe = Recipe::new("a\"", 12, json!({ "x": 1 }));
        let [before, behind] = Recipe::around_fields("a\"", 12);
        assert_eq!(format!("{before}{{\"x\":1}}{behind}"), recipe.canonical());
    }
}
