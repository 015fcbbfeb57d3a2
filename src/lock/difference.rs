//! What is not as the lock says.

use std::fmt;

use serde_json::Value;

use super::{Lock, LockedStage, Parts};
use crate::ids::StageId;
use crate::key::{FieldChange, Recipe, diff};

/// The first thing about a pipeline that is not as its lock says.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Difference {
    /// The pipeline has a stage that the lock does not know.
    #[error("stage `{stage}` is not in the lock")]
    NotLocked {
        /// Which.
        stage: StageId,
    },
    /// The lock has a stage that the pipeline has no more.
    #[error("stage `{stage}` is in the lock and no more in the pipeline")]
    Gone {
        /// Which.
        stage: StageId,
    },
    /// A stage is of another kind.
    #[error("stage `{stage}` is `{locked}` in the lock and `{found}` in the pipeline")]
    Kind {
        /// Which.
        stage: StageId,
        /// The lock's kind.
        locked: String,
        /// The pipeline's.
        found: String,
    },
    /// A field of a stage differs.
    #[error("`{stage}` differs from the lock in `{path}`: {change}")]
    Field {
        /// Which stage.
        stage: StageId,
        /// Where: `rubric.criteria[2].weight`, or the field alone where its old value is not known.
        path: String,
        /// What it was and is.
        change: Box<Change>,
    },
    /// All fields are the same, but another version of the program gives them another meaning.
    #[error("`{stage}` was made by evalflow {evalflow}, for which the same fields meant something else")]
    Meaning {
        /// Which stage.
        stage: StageId,
        /// What blessed the lock.
        evalflow: String,
    },
}

/// A difference of one field as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Both values are known.
    Values(FieldChange),
    /// Of the old value only the digest is known; none where the field was or is not there.
    Digests {
        /// The lock's.
        locked: Option<String>,
        /// The pipeline's.
        found: Option<String>,
    },
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Values(change) => {
                let shown = change.to_string();
                f.write_str(shown.strip_prefix(&format!("{}: ", change.path)).unwrap_or(&shown))
            }
            Self::Digests { locked, found } => {
                let show = |digest: &Option<String>| {
                    digest.as_ref().map_or_else(|| "nothing".to_owned(), |digest| format!("digest {digest}"))
                };
                write!(f, "{} → {}", show(locked), show(found))
            }
        }
    }
}

impl Difference {
    /// The stage that it is about.
    #[must_use]
    pub fn stage(&self) -> &StageId {
        match self {
            Self::NotLocked { stage }
            | Self::Gone { stage }
            | Self::Kind { stage, .. }
            | Self::Field { stage, .. }
            | Self::Meaning { stage, .. } => stage,
        }
    }

    /// The way on, as an imperative sentence.
    #[must_use]
    pub fn help(&self) -> String {
        let changed = "undo the change, or run the pipeline and accept the new result with `evalflow bless`";
        match self {
            Self::NotLocked { .. } | Self::Gone { .. } | Self::Kind { .. } | Self::Field { .. } => changed.to_owned(),
            Self::Meaning { evalflow, .. } => {
                format!("use evalflow {evalflow}, or run the pipeline and accept the new result with `evalflow bless`")
            }
        }
    }
}

impl Lock {
    /// What differs between a stage of the lock and a recipe with another key.
    pub(super) fn difference(
        &self,
        id: &StageId,
        locked: &LockedStage,
        recipe: &Recipe,
        old_recipe: Option<&Value>,
    ) -> Difference {
        let stage = id.clone();
        let parts = Parts::of(recipe);
        if parts.kind != locked.kind {
            return Difference::Kind { stage, locked: locked.kind.clone(), found: parts.kind };
        }
        if let Some(old) = old_recipe.and_then(|recipe| recipe.get("fields")) {
            let new = Value::Object(parts.fields.clone());
            if let Some(field) = diff(old, &new).into_iter().next() {
                return Difference::Field { stage, path: field.path.clone(), change: Box::new(Change::Values(field)) };
            }
        }
        match locked.differing_fields(&parts).into_iter().next() {
            Some((path, found)) => {
                let change = Change::Digests { locked: locked.fields.get(&path).cloned(), found };
                Difference::Field { stage, path, change: Box::new(change) }
            }
            None => Difference::Meaning { stage, evalflow: self.engine.evalflow.clone() },
        }
    }
}
