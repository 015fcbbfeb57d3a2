//! Catalogs from bytes to candidates.

mod presets_pins_and_ties;
mod profiles;
mod reading;
mod requiring;
mod shipped;

use std::fmt::Write;

use indexmap::IndexMap;

use super::{Catalog, CatalogError, known};
use crate::data::{Candidates, ConcernKind, Place};
use crate::spec::{Fits, Pin, Preset, Profile, Range, Require, Research};

fn read(csv: &str) -> Result<Catalog, CatalogError> {
    Catalog::read([("a.csv", csv.as_bytes())])
}

fn profile(prefer: &[(&str, f64)], avoid: &[&str]) -> Profile {
    Profile {
        prefer: prefer.iter().map(|(name, weight)| ((*name).to_owned(), *weight)).collect(),
        avoid: avoid.iter().map(|tag| (*tag).to_owned()).collect(),
        preset: None,
    }
}

fn asked(require: &Require, profile: &Profile, shortlist: usize) -> Research {
    Research {
        catalog: Vec::new(),
        require: require.clone(),
        profile: profile.clone(),
        shortlist,
        pin: None,
        hosting: None,
        as_of: None,
    }
}

fn research(
    catalog: &Catalog,
    require: &Require,
    profile: &Profile,
    shortlist: usize,
) -> Result<Candidates, CatalogError> {
    super::research(catalog, &asked(require, profile, shortlist))
}

/// Researches in one CSV file and gives id, place and reason of each row.
fn rows(csv: &str, require: &Require, profile: &Profile) -> Vec<String> {
    let candidates = research(&read(csv).unwrap(), require, profile, 10).unwrap();
    candidates.shortlist.iter().map(|row| format!("{} {:?} {}", row.id, row.place, row.reason)).collect()
}

fn check_error(csv: &[u8], message: &str, help: Option<&str>) {
    let error = Catalog::read([("a.csv", csv)]).unwrap_err();
    assert_eq!(error.to_string(), message);
    assert_eq!(error.help().as_deref(), help, "{message}");
}
