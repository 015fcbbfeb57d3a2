//! How two tables differ: rows matched by their scenario, whatever order they are in.
//!
//! Rows that both tables have in about the same order are forgotten as soon as both are seen, so two tables of a million
//! rows take no more memory than what is different in them.

use std::collections::BTreeMap;
use std::io;

use serde::{Deserialize, Serialize};

use crate::key::BlobId;
use crate::store::{Lines, Store, StoreError};

/// Rows named one by one of each kind of difference.
const MOST_NAMED: usize = 3;

/// How many rows differ between two tables, and some of them by name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ChangedRows {
    /// Rows that are in the new table only.
    pub added: Rows,
    /// Rows that are in the old table only.
    pub removed: Rows,
    /// Rows that are in both and are not the same.
    pub changed: Rows,
    /// Rows that are the same in both.
    pub same: u64,
}

/// A number of rows, and the scenarios of the first few.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Rows {
    /// How many.
    pub number: u64,
    /// Scenarios of the first of them.
    pub scenarios: Vec<String>,
}

impl Rows {
    fn add(&mut self, scenario: String) {
        self.number += 1;
        if self.scenarios.len() < MOST_NAMED {
            self.scenarios.push(scenario);
        }
    }
}

/// The part of a row that names it.
#[derive(Deserialize)]
struct Named {
    id: Option<String>,
    scenario: Option<Inner>,
}

#[derive(Deserialize)]
struct Inner {
    id: String,
}

/// The id of the scenario that a row of any table is about.
pub(super) fn scenario_of(line: &str) -> Option<String> {
    let Named { id, scenario } = serde_json::from_str(line).ok()?;
    scenario.map(|scenario| scenario.id).or(id)
}

/// A row that the other table has not shown yet.
struct Waiting {
    digest: BlobId,
    place: u64,
}

/// The rows of one table that wait for their like, by scenario and place among the rows of that scenario.
#[derive(Default)]
struct Side {
    waiting: BTreeMap<(String, u32), Waiting>,
    previous: Option<String>,
    repeats: u32,
}

impl Side {
    /// A name for the row: rows of one scenario, which stand together, are told apart by their order.
    fn name(&mut self, scenario: String) -> (String, u32) {
        self.repeats = if self.previous.as_ref() == Some(&scenario) { self.repeats + 1 } else { 0 };
        self.previous = Some(scenario.clone());
        (scenario, self.repeats)
    }
}

/// Compares two tables.
pub(super) fn changed_rows(store: &Store, old: &BlobId, new: &BlobId) -> Result<ChangedRows, StoreError> {
    compare(store.lines(old)?, store.lines(new)?).map_err(|source| StoreError::Io { source })
}

fn compare(mut old: Lines, mut new: Lines) -> io::Result<ChangedRows> {
    let mut found = ChangedRows::default();
    let mut sides = [Side::default(), Side::default()];
    for place in 0.. {
        let lines = [old.next().transpose()?, new.next().transpose()?];
        if lines.iter().all(Option::is_none) {
            break;
        }
        for (at, line) in lines.into_iter().enumerate() {
            let Some(line) = line else { continue };
            let scenario = scenario_of(&line).unwrap_or_default();
            let name = sides[at].name(scenario);
            let digest = BlobId::of(line.as_bytes());
            match sides[1 - at].waiting.remove(&name) {
                Some(other) if other.digest == digest => found.same += 1,
                Some(_) => found.changed.add(name.0),
                None => {
                    sides[at].waiting.insert(name, Waiting { digest, place });
                }
            }
        }
    }
    let [removed, added] = sides.map(|side| {
        let mut left: Vec<_> = side.waiting.into_iter().map(|((scenario, _), row)| (row.place, scenario)).collect();
        left.sort_unstable();
        left
    });
    removed.into_iter().for_each(|(_, scenario)| found.removed.add(scenario));
    added.into_iter().for_each(|(_, scenario)| found.added.add(scenario));
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(old: &[&str], new: &[&str], expected: (&[&str], &[&str], &[&str], u64)) {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap();
        let table = |rows: &[&str]| {
            let lines = rows.iter().map(|row| {
                let (id, text) = row.split_once('=').unwrap();
                format!("{{\"scenario\":{{\"id\":\"{id}\"}},\"reply\":\"{text}\"}}\n")
            });
            store.put(lines.collect::<String>().as_bytes()).unwrap()
        };
        let found = changed_rows(&store, &table(old), &table(new)).unwrap();
        let (added, removed, changed, same) = expected;
        let rows = |names: &[&str]| Rows {
            number: names.len() as u64,
            scenarios: names.iter().map(|&name| name.to_owned()).collect(),
        };
        let expected = ChangedRows { added: rows(added), removed: rows(removed), changed: rows(changed), same };
        assert_eq!(found, expected);
    }

    #[test]
    fn rows_are_matched_by_scenario() {
        check(&["a=1", "b=1"], &["a=1", "b=1"], (&[], &[], &[], 2));
        check(&["a=1", "b=1"], &["a=1", "b=2"], (&[], &[], &["b"], 1));
        check(&["a=1", "b=1", "c=1"], &["b=1", "c=1", "d=1"], (&["d"], &["a"], &[], 2));
        check(&["a=1", "b=1", "c=1"], &["c=1", "b=1", "a=2"], (&[], &[], &["a"], 2));
        check(&[], &["a=1"], (&["a"], &[], &[], 0));
    }

    #[test]
    fn several_rows_of_a_scenario_keep_their_order() {
        check(&["a=1", "a=2", "b=1"], &["a=1", "a=3", "a=4", "b=1"], (&["a"], &[], &["a"], 2));
    }
}
