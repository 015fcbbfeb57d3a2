//! Marks the scenarios of a table whose openings nearly repeat an earlier one, as they come, or has them left out.

use std::collections::BTreeMap;

use super::cells;
use super::near::{Search, UnlikeLengths};
use super::shingles::{Shingled, Shingles};
use crate::data::{Closeness, Cluster, NearDuplicate, NearDuplicates, NearPair, Origin, Scenario};
use crate::engine::Embedding;
use crate::ids::ScenarioId;
use crate::spec::{self, Embeds, Generate, GenerateFrom};

/// What becomes of a scenario.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is one of the suite, marked or not.
    Keep,
    /// It nearly repeats an earlier one, and those are not taken.
    Reject,
}

/// The scenarios so far, in the order of the table. What it finds for one depends on those before it and on nothing else:
/// where openings are rejected, on those of the same topic, so that another topic changes nothing.
#[derive(Debug)]
pub struct Marker {
    embeds: Option<f64>,
    shingles: Option<f64>,
    rejects: bool,
    /// Whether the scenarios come from a taxonomy, whose authored openings always stay.
    of_taxonomy: bool,
    scopes: BTreeMap<String, Scope>,
    found: NearDuplicates,
}

/// Scenarios that are compared with each other.
#[derive(Debug)]
struct Scope {
    search: Option<Search>,
    shingled: Option<Shingled>,
    /// The openings of the taxonomy's author, which a writer may not repeat wherever they come in the table.
    authored: Option<Shingled>,
    seen: Vec<Seen>,
    /// Of each vector, whose it is.
    embedded: Vec<usize>,
}

/// A scenario that was taken in.
#[derive(Debug)]
struct Seen {
    id: ScenarioId,
    /// Its opening as a pair shows it.
    shown: String,
    /// The first of the group that it belongs to.
    first: usize,
    /// How many belong to its group, where it is the first.
    group: u64,
}

impl Scope {
    fn new(embeds: Option<f64>, shingles: Option<f64>) -> Self {
        Self {
            search: embeds.map(Search::new),
            shingled: shingles.map(Shingled::new),
            authored: None,
            seen: Vec::new(),
            embedded: Vec::new(),
        }
    }

    /// What a scenario would repeat, if it were taken in.
    fn find(&self, text: Option<&Shingles>, embedding: Option<&Embedding>) -> Result<bool, UnlikeLengths> {
        let searches = [self.authored.as_ref(), self.shingled.as_ref()];
        if let Some(text) = text
            && searches.into_iter().flatten().any(|shingled| shingled.find(text).is_some())
        {
            return Ok(true);
        }
        match (&self.search, embedding) {
            (Some(search), Some(embedding)) => Ok(search.find(embedding)?.is_some()),
            _ => Ok(false),
        }
    }

    /// Takes a scenario in, and says what it repeats.
    fn add(
        &mut self,
        scenario: &Scenario,
        text: Option<Shingles>,
        embedding: Option<&Embedding>,
    ) -> Result<Option<Near>, UnlikeLengths> {
        let by_shingles = self.shingled.as_mut().zip(text).and_then(|(shingled, text)| shingled.add(text));
        let by_vector = match (&mut self.search, embedding) {
            (Some(search), Some(embedding)) => {
                let found = search.add(embedding)?;
                self.embedded.push(self.seen.len());
                found.map(|(place, closeness)| (self.embedded[place], closeness))
            }
            _ => None,
        };
        let near = by_shingles
            .map(|(place, overlap)| Near { place, cosine: None, overlap: Some(overlap) })
            .or_else(|| by_vector.map(|(place, cosine)| Near { place, cosine: Some(cosine), overlap: None }));
        let own = self.seen.len();
        let first = near.as_ref().map_or(own, |near| self.seen[near.place].first);
        let shown = NearPair::shown(&scenario.opening);
        self.seen.push(Seen { id: scenario.id.clone(), shown, first, group: 0 });
        self.seen[first].group += 1;
        Ok(near)
    }
}

/// What a scenario nearly repeats.
struct Near {
    place: usize,
    cosine: Option<Closeness>,
    overlap: Option<Closeness>,
}

impl Marker {
    /// No scenario yet; none where the stage looks for no near-duplicates.
    #[must_use]
    pub fn of(generate: &Generate) -> Option<Self> {
        let spec::NearDuplicates { embed, shingles, rejects } = generate.near_duplicates.as_ref()?;
        let embeds = embed.as_ref().map(|Embeds { model: _, above }| *above);
        let mut marker = Self {
            embeds,
            shingles: *shingles,
            rejects: *rejects,
            of_taxonomy: matches!(generate.from, GenerateFrom::Taxonomy(_)),
            scopes: BTreeMap::new(),
            found: NearDuplicates::none(embeds, *shingles),
        };
        if let (true, Some(shingles), Some(expand)) = (rejects, shingles, generate.expand()) {
            for cell in cells(expand).filter(|cell| cell.brief.is_none()) {
                let authored = marker.scope(&cell.scenario).authored.get_or_insert_with(|| Shingled::new(*shingles));
                let text = authored.prepare(&cell.scenario.opening);
                authored.add(text);
            }
        }
        Some(marker)
    }

    fn scope(&mut self, scenario: &Scenario) -> &mut Scope {
        let name = if self.rejects && self.of_taxonomy { scenario.topic.clone() } else { String::new() };
        let Self { embeds, shingles, .. } = *self;
        self.scopes.entry(name).or_insert_with(|| Scope::new(embeds, shingles))
    }

    /// Takes in the next scenario, and says in it what it nearly repeats; or takes nothing in, where such are rejected. One
    /// that could not be embedded is compared by its shingles alone, if at all.
    ///
    /// # Errors
    /// Its vector has not as many numbers as those before it.
    pub fn mark(&mut self, scenario: &mut Scenario, embedding: Option<&Embedding>) -> Result<Verdict, UnlikeLengths> {
        let may_go = self.rejects && !(self.of_taxonomy && scenario.origin == Origin::Authored);
        let scope = self.scope(scenario);
        let text = scope.shingled.as_ref().map(|shingled| shingled.prepare(&scenario.opening));
        if may_go && scope.find(text.as_ref(), embedding)? {
            return Ok(Verdict::Reject);
        }
        let near = scope.add(scenario, text, embedding)?;
        let near = near.map(|Near { place, cosine, overlap }| {
            let Seen { id, shown, first: _, group: _ } = &scope.seen[place];
            (id.clone(), shown.clone(), cosine, overlap)
        });
        self.found.not_compared += u64::from(self.embeds.is_some() && embedding.is_none());
        if let Some((of, of_opening, cosine, overlap)) = near {
            scenario.near_duplicate = Some(NearDuplicate { of: of.clone(), cosine, overlap });
            let (scenario, opening) = (scenario.id.clone(), NearPair::shown(&scenario.opening));
            self.found.add(NearPair { cosine, overlap, scenario, opening, of, of_opening });
        }
        Ok(Verdict::Keep)
    }

    /// What was found.
    #[must_use]
    pub fn finish(self) -> NearDuplicates {
        let mut found = self.found;
        for Seen { id, shown, first: _, group } in self.scopes.into_values().flat_map(|scope| scope.seen) {
            if group > 1 {
                found.add_cluster(Cluster { first: id, opening: shown, scenarios: group });
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Usage;
    use crate::ids::ModelName;
    use crate::stage::generate::cells::tests::spec;
    use crate::stage::row::tests::scenario;

    fn marker(near: spec::NearDuplicates) -> Marker {
        let generate = Generate { near_duplicates: Some(near), ..Generate::of(spec(&[1], 1, 0, None, 7)) };
        Marker::of(&generate).unwrap()
    }

    fn by_vector() -> Option<Embeds> {
        Some(Embeds { model: spec::ModelRef::Declared(ModelName::new("m").unwrap()), above: 0.9 })
    }

    #[test]
    fn later_scenarios_name_the_earliest_that_they_repeat() {
        let mut marker = marker(spec::NearDuplicates { embed: by_vector(), shingles: None, rejects: false });
        let mut mark = |name: &str, values: Option<[f32; 2]>| {
            let mut row = Scenario { id: ScenarioId::new(name).unwrap(), ..scenario(&format!("{name}!"), &[]) };
            let embedding = values.map(|values| Embedding::new(&values, Usage::default(), 0).unwrap());
            assert_eq!(marker.mark(&mut row, embedding.as_ref()), Ok(Verdict::Keep));
            row.near_duplicate.map(|near| (near.of.to_string(), near.cosine.unwrap().value()))
        };
        assert_eq!(mark("a", Some([1.0, 0.0])), None);
        assert_eq!(mark("b", None), None);
        assert_eq!(mark("c", Some([0.0, 1.0])), None);
        assert_eq!(mark("d", Some([0.0, 2.0])), Some(("c".to_owned(), 1.0)));
        assert_eq!(mark("e", Some([1.0, 0.1])), Some(("a".to_owned(), 0.995)));
        assert_eq!(mark("f", Some([0.0, 3.0])), Some(("c".to_owned(), 1.0)));
        let found = marker.finish();
        assert_eq!((found.found, found.not_compared), (3, 1));
        let closest = &found.closest[0];
        assert_eq!((closest.opening.as_str(), closest.of_opening.as_str()), ("d!", "c!"));
        let clusters: Vec<_> = found.clusters.iter().map(|one| (one.first.as_str(), one.scenarios)).collect();
        assert_eq!(clusters, [("c", 3), ("a", 2)]);
    }

    #[test]
    fn what_a_writer_repeats_is_rejected_within_its_topic() {
        // The taxonomy's only opening is `t0 p0 s0`.
        let mut marker = marker(spec::NearDuplicates { embed: None, shingles: Some(0.7), rejects: true });
        let mut mark = |name: &str, topic: &str, opening: &str, origin: Origin| {
            let id = ScenarioId::new(name).unwrap();
            let mut row = Scenario { id, topic: topic.to_owned(), origin, ..scenario(opening, &[]) };
            let verdict = marker.mark(&mut row, None).unwrap();
            (verdict, row.near_duplicate.map(|near| near.of.to_string()))
        };
        use Origin::{Authored, Written};
        assert_eq!(mark("a", "t0", "T0 p0, s0!", Written), (Verdict::Reject, None), "the author comes first");
        assert_eq!(mark("b", "t1", "T0 p0, s0!", Written), (Verdict::Keep, None));
        assert_eq!(mark("c", "t1", "t0 p0 s0", Written), (Verdict::Reject, None));
        assert_eq!(mark("d", "t1", "something else", Written), (Verdict::Keep, None));
        assert_eq!(mark("e", "t1", "Something else", Authored), (Verdict::Keep, Some("d".to_owned())));
        assert_eq!(mark("t0/p0/s0", "t0", "t0 p0 s0", Authored), (Verdict::Keep, None));
        assert_eq!(marker.finish().found, 1);
    }
}
