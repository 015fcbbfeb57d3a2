//! Marks the scenarios of a table whose openings nearly repeat an earlier one, as they come.

use super::near::{Search, UnlikeLengths};
use crate::data::{NearDuplicate, NearDuplicates, NearPair, Scenario};
use crate::engine::Embedding;
use crate::ids::ScenarioId;
use crate::spec;

/// The scenarios so far, in the order of the table. What it finds for one depends on those before it and on nothing else.
#[derive(Debug)]
pub struct Marker {
    search: Search,
    /// Of each scenario that could be compared, its name and its opening as a pair shows it.
    seen: Vec<(ScenarioId, String)>,
    found: NearDuplicates,
}

impl Marker {
    /// No scenario yet.
    #[must_use]
    pub fn new(spec: &spec::NearDuplicates) -> Self {
        let spec::NearDuplicates { embed: _, above } = spec;
        Self { search: Search::new(*above), seen: Vec::new(), found: NearDuplicates::none(*above) }
    }

    /// Takes in the next scenario, and says in it what it nearly repeats. One that could not be embedded is left as it is.
    ///
    /// # Errors
    /// Its vector has not as many numbers as those before it.
    pub fn mark(&mut self, scenario: &mut Scenario, embedding: Option<&Embedding>) -> Result<(), UnlikeLengths> {
        let Some(embedding) = embedding else {
            self.found.not_compared += 1;
            return Ok(());
        };
        let shown = NearPair::shown(&scenario.opening);
        if let Some((place, cosine)) = self.search.add(embedding)? {
            let (of, of_opening) = self.seen[place].clone();
            scenario.near_duplicate = Some(NearDuplicate { of: of.clone(), cosine });
            let (scenario, opening) = (scenario.id.clone(), shown.clone());
            self.found.add(NearPair { cosine, scenario, opening, of, of_opening });
        }
        self.seen.push((scenario.id.clone(), shown));
        Ok(())
    }

    /// What was found.
    #[must_use]
    pub fn finish(self) -> NearDuplicates {
        self.found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Usage;
    use crate::ids::ModelName;
    use crate::stage::row::tests::scenario;

    #[test]
    fn later_scenarios_name_the_earliest_that_they_repeat() {
        let embed = spec::ModelRef::Declared(ModelName::new("m").unwrap());
        let mut marker = Marker::new(&spec::NearDuplicates { embed, above: 0.9 });
        let mut mark = |name: &str, values: Option<[f32; 2]>| {
            let mut row = Scenario { id: ScenarioId::new(name).unwrap(), ..scenario(&format!("{name}!"), &[]) };
            let embedding = values.map(|values| Embedding::new(&values, Usage::default(), 0).unwrap());
            marker.mark(&mut row, embedding.as_ref()).unwrap();
            row.near_duplicate.map(|near| (near.of.to_string(), near.cosine.value()))
        };
        assert_eq!(mark("a", Some([1.0, 0.0])), None);
        assert_eq!(mark("b", None), None);
        assert_eq!(mark("c", Some([0.0, 1.0])), None);
        assert_eq!(mark("d", Some([0.0, 2.0])), Some(("c".to_owned(), 1.0)));
        assert_eq!(mark("e", Some([1.0, 0.1])), Some(("a".to_owned(), 0.995)));
        let found = marker.finish();
        assert_eq!((found.found, found.not_compared), (2, 1));
        let closest = &found.closest[0];
        assert_eq!((closest.opening.as_str(), closest.of_opening.as_str()), ("d!", "c!"));
    }
}
