//! `research`: catalogs → table of candidates. The work is `catalog::research`.

use serde_json::{Value, json};

use crate::key::Recipe;
use crate::spec::{HubSearch, Research};

/// Raised when the same catalogs and fields would give another table.
pub const VERSION: u32 = 2;

/// Raised when the same answer of the hub would become other rows.
const SEARCH_VERSION: u32 = 1;

/// The kind of the receipts of searches.
pub const SEARCH: &str = "hub";

/// What an answer of the hub is known by: what was searched for. The hub's address and who asked are not in it.
#[must_use]
pub fn search_recipe(search: &HubSearch) -> Recipe {
    let HubSearch { search, pipeline_tag, license, params_b, gguf, limit } = search;
    let fields = json!({
        "search": search, "pipeline_tag": pipeline_tag, "license": license, "params_b": params_b, "gguf": gguf,
        "limit": limit,
    });
    Recipe::new(SEARCH, SEARCH_VERSION, fields)
}

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::Range;

    #[test]
    fn all_that_is_searched_for_is_in_the_key() {
        let any =
            HubSearch { search: None, pipeline_tag: None, license: None, params_b: None, gguf: false, limit: 200 };
        let text = || Some("x".to_owned());
        let range = |min, max| Some(Range { min, max });
        let searches = [
            any.clone(),
            HubSearch { search: text(), ..any.clone() },
            HubSearch { pipeline_tag: text(), ..any.clone() },
            HubSearch { license: text(), ..any.clone() },
            HubSearch { params_b: range(Some(1.0), None), ..any.clone() },
            HubSearch { params_b: range(None, Some(1.0)), ..any.clone() },
            HubSearch { gguf: true, ..any.clone() },
            HubSearch { limit: 100, ..any.clone() },
        ];
        let keys: std::collections::BTreeSet<_> = searches.iter().map(|search| search_recipe(search).key()).collect();
        assert_eq!(keys.len(), searches.len());
        assert_eq!(search_recipe(&any).key(), search_recipe(&any.clone()).key());
    }
}
