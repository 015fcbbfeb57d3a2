//! `research`: catalogs → table of candidates. The work is `catalog::research`.

use serde_json::{Value, json};

use crate::spec::Research;

/// Raised when the same catalogs and fields would give another table.
pub const VERSION: u32 = 1;

/// The stage's own fields, as they go into its recipe. The catalogs go in by their bytes.
#[must_use]
pub fn fields(research: &Research) -> Value {
    let Research { catalog: _, require, profile, shortlist } = research;
    json!({ "require": require, "profile": profile, "shortlist": shortlist })
}
