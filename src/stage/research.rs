//! `research`: catalogs → table of candidates. The work is `catalog::research`.

use serde_json::{Value, json};

use crate::spec::Research;

/// Raised when the same catalogs and fields would give another table.
pub const VERSION: u32 = 2;

/// The stage's own fields, as they go into its recipe. The catalogs go in by their bytes.
#[must_use]
pub fn fields(research: &Research) -> Value {
    let Research { catalog: _, require, profile, shortlist, pin, hosting, as_of } = research;
    let mut fields = json!({ "require": require, "profile": profile, "shortlist": shortlist });
    // What a pipeline does not say is not in its key, so that more can be said later.
    if let Some(pin) = pin {
        fields["pin"] = json!(pin);
    }
    if let Some(hosting) = hosting {
        fields["hosting"] = json!(hosting);
    }
    if let Some(day) = as_of {
        fields["as_of"] = json!(day);
    }
    fields
}
