//! When the catalogs of a research stage were fetched, and how old that is.

use jiff::civil::Date;

use crate::data::Candidates;
use crate::lock::{Lock, day};
use crate::plan::searched;
use crate::report::CatalogAge;
use crate::spec::{CatalogFrom, Research};
use crate::store::{Store, StoreError};

/// The age on `as_of` of each catalog of a research table that was fetched. What a lock pins is as old as it says.
pub(super) fn ages(
    research: &Research,
    found: &Candidates,
    store: &Store,
    lock: Option<&Lock>,
    as_of: &str,
) -> Result<Vec<CatalogAge>, StoreError> {
    let mut ages = Vec::new();
    // A table lists what it was made of in the order of the stage's catalogs.
    for (from, source) in research.catalog.iter().zip(&found.sources) {
        let CatalogFrom::Hub(search) = from else { continue };
        let pinned = lock.and_then(|lock| lock.catalogs.get(&search.to_string()));
        let fetched = match pinned {
            Some(catalog) => Some(catalog.fetched.clone()),
            None => searched(store, search)?.map(|receipt| day(receipt.created_at)),
        };
        if let Some(fetched) = fetched {
            ages.push(CatalogAge { source: source.name.clone(), age_days: days_between(&fetched, as_of), fetched });
        }
    }
    Ok(ages)
}

/// Whole days from one to the other; none where the first is not before the second, as after a newer answer of the same rows.
fn days_between(from: &str, to: &str) -> u64 {
    let between = || {
        let (from, to): (Date, Date) = (from.parse().ok()?, to.parse().ok()?);
        u64::try_from(to.since(from).ok()?.get_days()).ok()
    };
    between().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_counted_over_months_and_never_backwards() {
        for (from, to, expected) in [
            ("2026-01-01", "2026-01-04", 3),
            ("2025-12-31", "2026-03-01", 60),
            ("2026-01-04", "2026-01-04", 0),
            ("2026-01-04", "2026-01-01", 0),
            ("", "2026-01-01", 0),
        ] {
            assert_eq!(days_between(from, to), expected, "{from} {to}");
        }
    }
}
