//! The names a user gives to things, one type each, so that a stage id can never be passed for a scenario id.
//!
//! Owns the rule for what a valid name is. Never does I/O.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize};

/// Why a text is not a valid name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a name: use lower-case letters, digits, `-`, `_`{slash}, and start with a letter or digit")]
pub struct InvalidName {
    /// The text as it was given.
    pub text: String,
    slash: &'static str,
}

fn is_name(text: &str) -> bool {
    let mut chars = text.chars();
    let starts_well = chars.next().is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    starts_well
        && text.len() <= 64
        && chars.all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_'))
}

fn is_path(text: &str) -> bool {
    text.split('/').all(is_name)
}

macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident, $valid:ident, $slash:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
        #[serde(transparent)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks `text` and makes it a name.
            ///
            /// # Errors
            /// The text holds a character that a name may not hold, is empty or is too long.
            pub fn new(text: &str) -> Result<Self, InvalidName> {
                if $valid(text) { Ok(Self(text.into())) } else { Err(InvalidName { text: text.to_owned(), slash: $slash }) }
            }

            /// The name as written.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                Self::new(&text).map_err(serde::de::Error::custom)
            }
        }
    };
}

name_type!(
    /// Names a stage, a node of the pipeline's graph.
    StageId, is_name, ""
);
name_type!(
    /// Names an engine declared under `models:`.
    ModelName, is_name, ""
);
name_type!(
    /// Names a guard of a comparison.
    GuardName, is_name, ""
);
name_type!(
    /// Names a criterion of a rubric.
    CriterionId, is_name, ""
);
name_type!(
    /// Names a scenario: `topic/subtopic/style`, with a number after it where a cell has several.
    ScenarioId, is_path, ", `/` between parts"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked() {
        for good in ["a", "answers", "a-b_2", "7b"] {
            assert_eq!(StageId::new(good).unwrap().as_str(), good);
        }
        for bad in ["", "A", "-a", "a b", "a/b", "é", "../x", &"x".repeat(65)] {
            assert!(StageId::new(bad).is_err(), "{bad:?}");
        }
        assert!(ScenarioId::new("anxiety/panic/terse").is_ok());
        assert!(ScenarioId::new("anxiety//terse").is_err());
    }

    #[test]
    fn serde_goes_through_the_check() {
        assert!(serde_json::from_str::<StageId>("\"Bad Name\"").is_err());
        assert_eq!(serde_json::from_str::<StageId>("\"ok\"").unwrap(), StageId::new("ok").unwrap());
    }
}
