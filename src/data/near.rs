//! Scenarios whose openings say nearly the same, as tables and summaries name them.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::ids::ScenarioId;

/// So many pairs are kept in a summary: the closest.
const PAIRS_KEPT: usize = 10;

/// Most characters of an opening that a pair shows.
const SHOWN: usize = 160;

/// How close two openings lie: a cosine, or the share of shingles that both have; in ten thousandths. What is smaller says
/// nothing, and differs with the way in which machines sum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Closeness(i16);

impl Closeness {
    /// Takes ten thousandths, between -10,000 and 10,000.
    #[must_use]
    pub fn new(ten_thousandths: i16) -> Self {
        Self(ten_thousandths.clamp(-10_000, 10_000))
    }

    /// The number itself, between -1 and 1.
    #[must_use]
    pub fn value(self) -> f64 {
        f64::from(self.0) / 10_000.0
    }
}

impl Serialize for Closeness {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.value())
    }
}

impl<'de> Deserialize<'de> for Closeness {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = f64::deserialize(deserializer)?;
        if !(-1.0..=1.0).contains(&value) {
            return Err(serde::de::Error::custom("a closeness lies between -1 and 1"));
        }
        #[expect(clippy::cast_possible_truncation, reason = "it lies between -10,000 and 10,000")]
        Ok(Self((value * 10_000.0).round() as i16))
    }
}

/// What a scenario's opening nearly repeats.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NearDuplicate {
    /// The earliest scenario of the table that is close enough.
    pub of: ScenarioId,
    /// How close the two openings lie, where that was looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cosine: Option<Closeness>,
    /// The share of their shingles that both have, where that was looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overlap: Option<Closeness>,
}

/// Two scenarios whose openings say nearly the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NearPair {
    /// How close they lie, where that was looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cosine: Option<Closeness>,
    /// The share of their shingles that both have, where that was looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overlap: Option<Closeness>,
    /// The later one.
    pub scenario: ScenarioId,
    /// Its opening, or the beginning of it.
    pub opening: String,
    /// The earlier one.
    pub of: ScenarioId,
    /// Its opening, or the beginning of it.
    pub of_opening: String,
}

/// What a search of a suite for near-duplicates came to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NearDuplicates {
    /// From which cosine on two openings say nearly the same, where that was looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub above: Option<f64>,
    /// From which share of shingles in common on they do, where that was looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shingles: Option<f64>,
    /// Scenarios that nearly repeat an earlier one.
    pub found: u64,
    /// Scenarios that could not be compared, since the model did not embed their opening.
    pub not_compared: u64,
    /// The closest pairs, the closest first.
    pub closest: Vec<NearPair>,
    /// The largest groups of scenarios that say nearly the same, the largest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub clusters: Vec<Cluster>,
}

/// Scenarios that say nearly the same, as far as one leads to the next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cluster {
    /// The first of them.
    pub first: ScenarioId,
    /// Its opening, or the beginning of it.
    pub opening: String,
    /// How many they are, the first among them.
    pub scenarios: u64,
}

impl NearDuplicates {
    /// Nothing was compared yet.
    #[must_use]
    pub fn none(above: Option<f64>, shingles: Option<f64>) -> Self {
        Self { above, shingles, found: 0, not_compared: 0, closest: Vec::new(), clusters: Vec::new() }
    }

    /// Takes in a group of scenarios that say nearly the same. Of groups as large as each other, those that come first stay.
    pub fn add_cluster(&mut self, cluster: Cluster) {
        let place = self.clusters.partition_point(|one| one.scenarios >= cluster.scenarios);
        self.clusters.insert(place, cluster);
        self.clusters.truncate(PAIRS_KEPT);
    }

    /// Takes in a scenario that nearly repeats an earlier one. Of pairs as close as each other, those that come first stay.
    pub fn add(&mut self, pair: NearPair) {
        self.found += 1;
        let place = self.closest.partition_point(|one| one.closeness() >= pair.closeness());
        self.closest.insert(place, pair);
        self.closest.truncate(PAIRS_KEPT);
    }
}

impl NearPair {
    /// How close they lie by the way in which they were found.
    #[must_use]
    pub fn closeness(&self) -> Closeness {
        self.overlap.or(self.cosine).unwrap_or(Closeness::new(0))
    }

    /// An opening as a pair shows it: whole, or its beginning.
    #[must_use]
    pub fn shown(opening: &str) -> String {
        match opening.char_indices().nth(SHOWN) {
            Some((end, _)) => format!("{}…", opening[..end].trim_end()),
            None => opening.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cosine_is_written_as_a_number_of_four_places() {
        for (ten_thousandths, text) in
            [(9731, "0.9731"), (10_000, "1.0"), (0, "0.0"), (-5, "-0.0005"), (i16::MAX, "1.0")]
        {
            let cosine = Closeness::new(ten_thousandths);
            assert_eq!(serde_json::to_string(&cosine).unwrap(), text);
            assert_eq!(serde_json::from_str::<Closeness>(text).unwrap(), cosine);
        }
        assert!(serde_json::from_str::<Closeness>("1.5").is_err());
    }

    #[test]
    fn the_closest_pairs_stay_in_order() {
        let pair = |cosine, name: &str| NearPair {
            cosine: Some(Closeness::new(cosine)),
            overlap: None,
            scenario: ScenarioId::new(name).unwrap(),
            opening: "a".to_owned(),
            of: ScenarioId::new("first").unwrap(),
            of_opening: "a".to_owned(),
        };
        let mut all = NearDuplicates::none(Some(0.9), None);
        for (at, cosine) in [9500, 9900, 9500, 9700].into_iter().enumerate() {
            all.add(pair(cosine, &format!("s{at}")));
        }
        let names = |all: &NearDuplicates| all.closest.iter().map(|pair| pair.scenario.to_string()).collect::<Vec<_>>();
        assert_eq!(names(&all), ["s1", "s3", "s0", "s2"]);
        for at in 0..20 {
            all.add(pair(9990, &format!("more{at}")));
        }
        assert_eq!((all.found, all.closest.len(), names(&all)[0].as_str()), (24, PAIRS_KEPT, "more0"));
        assert_eq!(NearPair::shown(&"é".repeat(161)), format!("{}…", "é".repeat(160)));
        assert_eq!(NearPair::shown("é"), "é");
    }
}
