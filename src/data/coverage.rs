//! What a suite of scenarios covers.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::leak::LeakReport;
use super::near::NearDuplicates;
use super::rejected::Rejected;
use super::rows::{Origin, Scenario};
use crate::ids::ScenarioId;

/// How many scenarios there are of each topic and style. Memory is flat in rows, and their order is nothing.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Coverage {
    /// All scenarios.
    pub scenarios: u64,
    /// Of these, with an opening of the taxonomy's author.
    pub authored: u64,
    /// Of these, with an opening that a model wrote.
    pub written: u64,
    /// Of these, named edge cases.
    pub edge_cases: u64,
    /// Styles, sorted by name.
    pub styles: Vec<String>,
    /// Topics, sorted by name, with the number of scenarios of each style in the order of `styles`.
    pub topics: Vec<(String, Vec<u64>)>,
    /// Scenarios that could not be made, and are not among `scenarios`. Set by whoever knows.
    pub failed: u64,
    /// What looking for near-duplicates came to, where the stage does so. Set by whoever knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub near_duplicates: Option<NearDuplicates>,
    /// Axis → value → scenarios, where the taxonomy has axes.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub axes: BTreeMap<String, BTreeMap<String, u64>>,
    /// Openings by their length: how many have so many characters or more, and fewer than the next entry.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lengths: Vec<(u32, u64)>,
    /// Openings by their language; those in which none is sure are under `unknown`. Set by whoever knows.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub languages: BTreeMap<String, u64>,
    /// How many openings `languages` is about, where not all were looked at. Set by whoever knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub languages_of: Option<u64>,
    /// Topics and styles of which there are fewer scenarios than were asked for, or none although the taxonomy has such.
    /// Set by whoever knows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gaps: Vec<Gap>,
    /// What looking for the openings in other texts came to, where the stage does so. Set by whoever knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leaks: Option<LeakReport>,
    /// How a frozen suite differs from the taxonomy that it was made of, where it is one. Set by whoever knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frozen: Option<FrozenSuite>,
    /// Openings that were not taken, where the stage does not take each. Set by whoever knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rejected: Option<Rejected>,
    /// Places at which personal data was covered in a file's texts. Set by whoever knows.
    #[serde(default, skip_serializing_if = "is_none")]
    pub covered: u64,
}

/// A topic and a style of which scenarios are missing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gap {
    /// The topic.
    pub topic: String,
    /// The style.
    pub style: String,
    /// How many there are.
    pub made: u64,
    /// How many were asked for; 0 where the count leaves none for it.
    pub asked: u64,
}

/// A suite that was written to a file, beside the taxonomy as it is now.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FrozenSuite {
    /// The file.
    pub file: String,
    /// Scenarios of the taxonomy that the file lacks.
    pub missing: u64,
    /// Scenarios of the file that the taxonomy no longer comes to.
    pub extra: u64,
    /// Scenarios whose opening is another one in the taxonomy.
    pub changed: u64,
    /// The first of all these.
    pub first: Vec<ScenarioId>,
}

/// Where the parts of the histogram of lengths begin.
const LENGTHS: [u32; 7] = [0, 20, 50, 100, 200, 400, 800];

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_none(count: &u64) -> bool {
    *count == 0
}

impl Coverage {
    /// Counts one more scenario.
    pub fn add(&mut self, scenario: &Scenario) {
        self.scenarios += 1;
        match scenario.origin {
            Origin::Authored => self.authored += 1,
            Origin::Written => self.written += 1,
        }
        self.edge_cases += u64::from(scenario.edge_case);
        let style = self.styles.binary_search(&scenario.style).unwrap_or_else(|place| {
            self.styles.insert(place, scenario.style.clone());
            self.topics.iter_mut().for_each(|(_, counts)| counts.insert(place, 0));
            place
        });
        let topic = self.topics.binary_search_by(|(name, _)| name.cmp(&scenario.topic)).unwrap_or_else(|place| {
            self.topics.insert(place, (scenario.topic.clone(), vec![0; self.styles.len()]));
            place
        });
        self.topics[topic].1[style] += 1;
        for (axis, value) in &scenario.axes {
            *self.axes.entry(axis.clone()).or_default().entry(value.clone()).or_insert(0) += 1;
        }
    }

    /// Counts how long an opening is.
    pub fn measure(&mut self, opening: &str) {
        if self.lengths.is_empty() {
            self.lengths = LENGTHS.map(|from| (from, 0)).to_vec();
        }
        let characters = opening.chars().count();
        let part = LENGTHS.partition_point(|from| *from as usize <= characters) - 1;
        self.lengths[part].1 += 1;
    }

    /// How many scenarios there are of a topic in a style.
    #[must_use]
    pub fn of(&self, topic: &str, style: &str) -> u64 {
        let style = self.styles.binary_search_by(|name| name.as_str().cmp(style));
        let topic = self.topics.binary_search_by(|(name, _)| name.as_str().cmp(topic));
        match (topic, style) {
            (Ok(topic), Ok(style)) => self.topics[topic].1[style],
            (Err(_), _) | (_, Err(_)) => 0,
        }
    }

    /// Compares with what was asked for: the same count of the scenarios that there should be.
    pub fn compare(&mut self, asked: &Self, cells: impl IntoIterator<Item = (String, String)>) {
        for (topic, style) in cells {
            let (made, wanted) = (self.of(&topic, &style), asked.of(&topic, &style));
            if made == 0 || made < wanted {
                self.gaps.push(Gap { topic, style, made, asked: wanted });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scenario((topic, style, edge_case, origin): (&str, &str, bool, Origin)) -> Scenario {
        Scenario {
            id: ScenarioId::new(&format!("{topic}/{style}")).unwrap(),
            topic: topic.to_owned(),
            subtopic: None,
            style: style.to_owned(),
            axes: BTreeMap::new(),
            tags: Vec::new(),
            edge_case,
            opening: String::new(),
            reference: None,
            origin,
            written: None,
            near_duplicate: None,
        }
    }

    #[test]
    fn counts_cells_in_any_order() {
        let mut rows = [
            ("sleep", "terse", false, Origin::Authored),
            ("anger", "terse", false, Origin::Written),
            ("sleep", "detailed", false, Origin::Written),
            ("crisis", "conversational", true, Origin::Authored),
            ("sleep", "terse", false, Origin::Written),
        ];
        let expected = Coverage {
            scenarios: 5,
            authored: 2,
            written: 3,
            edge_cases: 1,
            styles: ["conversational", "detailed", "terse"].map(ToOwned::to_owned).to_vec(),
            topics: vec![
                ("anger".to_owned(), vec![0, 0, 1]),
                ("crisis".to_owned(), vec![1, 0, 0]),
                ("sleep".to_owned(), vec![0, 1, 2]),
            ],
            failed: 0,
            near_duplicates: None,
            axes: BTreeMap::new(),
            lengths: Vec::new(),
            languages: BTreeMap::new(),
            languages_of: None,
            gaps: Vec::new(),
            leaks: None,
            frozen: None,
            rejected: None,
            covered: 0,
        };
        for _ in 0..rows.len() {
            rows.rotate_left(1);
            let mut coverage = Coverage::default();
            rows.iter().for_each(|row| coverage.add(&scenario(*row)));
            assert_eq!(coverage, expected, "{rows:?}");
        }
    }

    #[test]
    fn openings_are_counted_by_their_length() {
        let mut coverage = Coverage::default();
        [19, 20, 5000].into_iter().for_each(|length| coverage.measure(&"é".repeat(length)));
        assert_eq!(coverage.lengths, [(0, 1), (20, 1), (50, 0), (100, 0), (200, 0), (400, 0), (800, 1)]);
    }

    #[test]
    fn what_is_missing_is_named() {
        let count = |rows: &[(&str, &str)]| {
            let mut coverage = Coverage::default();
            rows.iter().for_each(|(topic, style)| coverage.add(&scenario((topic, style, false, Origin::Written))));
            coverage
        };
        let mut made = count(&[("a", "x"), ("a", "y"), ("b", "x")]);
        let asked = count(&[("a", "x"), ("a", "y"), ("a", "y"), ("b", "x")]);
        let cells = [("a", "x"), ("a", "y"), ("b", "x"), ("b", "y")];
        made.compare(&asked, cells.map(|(topic, style)| (topic.to_owned(), style.to_owned())));
        let gaps: Vec<_> = made.gaps.iter().map(|gap| (&*gap.topic, &*gap.style, gap.made, gap.asked)).collect();
        assert_eq!(gaps, [("a", "y", 1, 2), ("b", "y", 0, 0)]);
    }
}
