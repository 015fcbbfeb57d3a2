//! What a suite of scenarios covers.

use serde::{Deserialize, Serialize};

use super::near::NearDuplicates;
use super::rows::{Origin, Scenario};

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
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::ScenarioId;

    fn scenario((topic, style, edge_case, origin): (&str, &str, bool, Origin)) -> Scenario {
        Scenario {
            id: ScenarioId::new(&format!("{topic}/{style}")).unwrap(),
            topic: topic.to_owned(),
            subtopic: None,
            style: style.to_owned(),
            tags: Vec::new(),
            edge_case,
            opening: String::new(),
            origin,
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
        };
        for _ in 0..rows.len() {
            rows.rotate_left(1);
            let mut coverage = Coverage::default();
            rows.iter().for_each(|row| coverage.add(&scenario(*row)));
            assert_eq!(coverage, expected, "{rows:?}");
        }
    }
}
