//! Which scenarios a taxonomy, a count and a seed come to.
//!
//! An id depends on its cell only, and whatever is drawn is drawn from seed and id: a change of the taxonomy leaves all
//! else where and what it was.

use serde::{Deserialize, Serialize};

use crate::data::{Origin, Scenario};
use crate::ids::ScenarioId;
use crate::spec::{EdgeCase, Expand, Subtopic, Taxonomy, Topic};
use crate::stage::row::write;

/// One scenario to be, the input row of this stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cell {
    /// The scenario; its opening is empty if it is to be written.
    pub scenario: Scenario,
    /// What the writer is told; none if the opening is authored.
    pub brief: Option<Brief>,
}

/// What a writer is told about one scenario: the names that a taxonomy's `writer_prompt` may use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Brief {
    /// The topic's title.
    pub topic: String,
    /// The subtopic's title.
    pub subtopic: String,
    /// The style's name.
    pub style: String,
    /// How a message of the style reads.
    pub style_description: String,
    /// Which instance of its cell it is, from 1.
    pub index: usize,
}

impl Cell {
    /// The cell as one line of JSON, as [`GenerateStage`](super::GenerateStage) reads it.
    #[must_use]
    pub fn to_line(&self) -> String {
        write(self)
    }
}

/// The scenarios of a stage, each made when it is asked for: what is kept is sixteen bytes a scenario.
#[derive(Debug)]
pub struct Cells {
    plan: Plan,
    places: std::vec::IntoIter<Place>,
}

impl Iterator for Cells {
    type Item = Cell;

    fn next(&mut self) -> Option<Cell> {
        self.places.next().map(|place| self.plan.cell(place))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.places.size_hint()
    }
}

impl ExactSizeIterator for Cells {}

/// Where a scenario comes from.
#[derive(Debug, Clone, Copy)]
struct Place {
    /// The beginning of what is drawn for it, which decides the order of rows.
    drawn: u64,
    /// The edge cases by number, then the cells of the grid: subtopic by subtopic, in each style by style.
    cell: u32,
    /// Which instance of its cell, from 1.
    index: u32,
}

#[derive(Debug)]
struct Plan {
    spec: Expand,
    /// Topic and subtopic of each subtopic of the taxonomy.
    subtopics: Vec<(usize, usize)>,
}

/// Lists the scenarios of the stage in the order of its table.
///
/// All edge cases are in it. Without a count, so is each cell of topic, subtopic and style once; with one, the rest of the
/// count is shared out equally over the topics, in each over its styles, in each over its subtopics. Who gets one more than
/// others is drawn, so that a larger count only adds scenarios.
///
/// # Panics
/// The id of a topic, subtopic, style or edge case is not a name, which a checked taxonomy does not have.
#[must_use]
pub fn cells(spec: &Expand) -> Cells {
    let Expand { taxonomy, styles: _, count, seed, writer: _ } = spec;
    let topics = taxonomy.topics.iter().enumerate();
    let subtopics = topics.flat_map(|(at, topic)| (0..topic.subtopics.len()).map(move |part| (at, part))).collect();
    let plan = Plan { spec: spec.clone(), subtopics };
    let edges = taxonomy.edge_cases.len();
    let mut places: Vec<Place> = (0..edges).map(|cell| plan.place(cell, 1)).collect();
    let room = count.map(|count| count.saturating_sub(edges));
    let topics = shares(room, &order(*seed, taxonomy.topics.iter().map(|topic| topic.id.clone())));
    let mut first_subtopic = 0;
    for (topic, share) in taxonomy.topics.iter().zip(topics) {
        plan.fill_topic(topic, first_subtopic, share, &mut places);
        first_subtopic += topic.subtopics.len();
    }
    // Ids differ, and so does what is drawn for them: there is nothing for the order of equals to decide.
    places.sort_unstable_by(|a, b| a.drawn.cmp(&b.drawn).then_with(|| plan.draw(*a).cmp(&plan.draw(*b))));
    Cells { plan, places: places.into_iter() }
}

impl Plan {
    fn place(&self, cell: usize, index: usize) -> Place {
        let small = |number| u32::try_from(number).expect("a suite has at most a million scenarios");
        let mut place = Place { drawn: 0, cell: small(cell), index: small(index) };
        let [a, b, c, d, e, f, g, h, ..] = self.draw(place);
        place.drawn = u64::from_be_bytes([a, b, c, d, e, f, g, h]);
        place
    }

    fn draw(&self, place: Place) -> [u8; 32] {
        draw("row", self.spec.seed, &self.id(place))
    }

    fn fill_topic(&self, topic: &Topic, first_subtopic: usize, share: Option<usize>, places: &mut Vec<Place>) {
        let Expand { taxonomy, styles, count: _, seed, writer: _ } = &self.spec;
        let style_shares = shares(share, &order(*seed, styles.iter().map(|style| format!("{}/{style}", topic.id))));
        let mut subtopic_order = order(*seed, topic.subtopics.iter().map(|part| format!("{}/{}", topic.id, part.id)));
        for (style, share) in style_shares.into_iter().enumerate() {
            for (subtopic, share) in shares(share, &subtopic_order).into_iter().enumerate() {
                let cell = taxonomy.edge_cases.len() + (first_subtopic + subtopic) * styles.len() + style;
                places.extend((1..=share.unwrap_or(1)).map(|index| self.place(cell, index)));
            }
            // Each style starts with another subtopic, so that few scenarios do not all fall on the same one.
            let parts = subtopic_order.len();
            subtopic_order.rotate_left(1.min(parts));
        }
    }

    /// The edge case, or topic, subtopic and style of the grid.
    fn origin(&self, place: Place) -> Result<&EdgeCase, (&Topic, &Subtopic, &str)> {
        let Expand { taxonomy, styles, count: _, seed: _, writer: _ } = &self.spec;
        let cell = place.cell as usize;
        taxonomy.edge_cases.get(cell).ok_or_else(|| {
            let cell = cell - taxonomy.edge_cases.len();
            let (topic, subtopic) = self.subtopics[cell / styles.len()];
            let topic = &taxonomy.topics[topic];
            (topic, &topic.subtopics[subtopic], styles[cell % styles.len()].as_str())
        })
    }

    fn id(&self, place: Place) -> String {
        match self.origin(place) {
            Ok(EdgeCase { id, .. }) => format!("edge/{id}"),
            Err((topic, subtopic, style)) if place.index == 1 => format!("{}/{}/{style}", topic.id, subtopic.id),
            Err((topic, subtopic, style)) => format!("{}/{}/{style}/{}", topic.id, subtopic.id, place.index),
        }
    }

    fn cell(&self, place: Place) -> Cell {
        let id = scenario_id(&self.id(place));
        match self.origin(place) {
            Ok(case) => edge_cell(case, id),
            Err((topic, subtopic, style)) => {
                grid_cell(&self.spec.taxonomy, topic, subtopic, style, place.index as usize, id)
            }
        }
    }
}

/// Shares `total` out equally; those who are first in `order` get what is left over. No total: no limit.
fn shares(total: Option<usize>, order: &[usize]) -> Vec<Option<usize>> {
    let mut shares = vec![None; order.len()];
    if let Some(total) = total {
        for (place, &who) in order.iter().enumerate() {
            shares[who] = Some(total / order.len() + usize::from(place < total % order.len()));
        }
    }
    shares
}

/// The places of `names`, in an order that is drawn for each name by itself: a new name moves no other.
fn order(seed: u64, names: impl Iterator<Item = String>) -> Vec<usize> {
    let mut drawn: Vec<_> = names.enumerate().map(|(place, name)| (draw("share", seed, &name), place)).collect();
    drawn.sort_unstable();
    drawn.into_iter().map(|(_, place)| place).collect()
}

/// Bytes that look random, the same for the same purpose, seed and name.
pub(super) fn draw(purpose: &str, seed: u64, name: &str) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_derive_key("evalflow generate draw v1");
    hasher.update(purpose.as_bytes()).update(&[0]).update(&seed.to_le_bytes()).update(name.as_bytes());
    *hasher.finalize().as_bytes()
}

fn scenario_id(text: &str) -> ScenarioId {
    ScenarioId::new(text).expect("a checked taxonomy has names only")
}

fn edge_cell(case: &EdgeCase, id: ScenarioId) -> Cell {
    let EdgeCase { id: _, topic, style, tags, opening } = case;
    let scenario = Scenario {
        id,
        topic: topic.clone(),
        subtopic: None,
        style: style.clone(),
        tags: tags.clone(),
        edge_case: true,
        opening: opening.clone(),
        origin: Origin::Authored,
        near_duplicate: None,
    };
    Cell { scenario, brief: None }
}

fn grid_cell(
    taxonomy: &Taxonomy,
    topic: &Topic,
    subtopic: &Subtopic,
    style: &str,
    index: usize,
    id: ScenarioId,
) -> Cell {
    let authored = subtopic.openings.get(style).filter(|_| index == 1);
    let scenario = Scenario {
        id,
        topic: topic.id.clone(),
        subtopic: Some(subtopic.id.clone()),
        style: style.to_owned(),
        tags: Vec::new(),
        edge_case: false,
        opening: authored.cloned().unwrap_or_default(),
        origin: if authored.is_some() { Origin::Authored } else { Origin::Written },
        near_duplicate: None,
    };
    let brief = || Brief {
        topic: topic.title.clone(),
        subtopic: subtopic.title.clone(),
        style: style.to_owned(),
        style_description: taxonomy.styles.get(style).cloned().unwrap_or_default(),
        index,
    };
    Cell { scenario, brief: authored.is_none().then(brief) }
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn styles(count: usize) -> Vec<String> {
        (0..count).map(|n| format!("s{n}")).collect()
    }

    /// A topic all of whose openings are authored.
    pub(in crate::stage::generate) fn topic(name: &str, subtopics: usize, styles: &[String]) -> Topic {
        let subtopic = |n: usize| Subtopic {
            id: format!("p{n}"),
            title: format!("Part {n}"),
            openings: styles.iter().map(|style| (style.clone(), format!("{name} p{n} {style}"))).collect(),
        };
        Topic { id: name.to_owned(), title: format!("Topic {name}"), subtopics: (0..subtopics).map(subtopic).collect() }
    }

    fn edge(id: &str) -> EdgeCase {
        EdgeCase {
            id: id.to_owned(),
            topic: "injection".to_owned(),
            style: "s0".to_owned(),
            tags: vec!["injection".to_owned()],
            opening: format!("do {id}"),
        }
    }

    /// `sizes` are the numbers of subtopics of each topic.
    pub(in crate::stage::generate) fn spec(
        sizes: &[usize],
        style_count: usize,
        edges: usize,
        count: Option<usize>,
        seed: u64,
    ) -> Expand {
        let styles = styles(style_count);
        let taxonomy = Taxonomy {
            name: "t".to_owned(),
            styles: styles.iter().map(|style| (style.clone(), format!("Reads like {style}."))).collect(),
            topics: sizes.iter().enumerate().map(|(n, &size)| topic(&format!("t{n}"), size, &styles)).collect(),
            edge_cases: (0..edges).map(|n| edge(&format!("e{n}"))).collect(),
            writer_prompt: None,
        };
        Expand { taxonomy, styles, count, seed, writer: None }
    }

    fn cells(spec: &Expand) -> Vec<Cell> {
        let cells = super::cells(spec);
        let told = cells.len();
        let cells: Vec<Cell> = cells.collect();
        assert_eq!(cells.len(), told);
        cells
    }

    fn ids(spec: &Expand) -> Vec<String> {
        cells(spec).iter().map(|cell| cell.scenario.id.to_string()).collect()
    }

    fn sorted(mut ids: Vec<String>) -> Vec<String> {
        ids.sort_unstable();
        ids
    }

    /// How many scenarios of `cells` have each value of `name`.
    fn tally(cells: &[Cell], name: impl Fn(&Scenario) -> Option<String>) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for name in cells.iter().filter(|cell| !cell.scenario.edge_case).filter_map(|cell| name(&cell.scenario)) {
            *counts.entry(name).or_insert(0) += 1;
        }
        counts
    }

    fn spread(counts: &BTreeMap<String, usize>, among: usize) -> usize {
        let least = if counts.len() < among { 0 } else { counts.values().copied().min().unwrap_or(0) };
        counts.values().copied().max().unwrap_or(0) - least
    }

    #[test]
    fn without_a_count_each_cell_is_there_once() {
        let spec = spec(&[2, 1], 2, 1, None, 7);
        let expected = ["edge/e0", "t0/p0/s0", "t0/p0/s1", "t0/p1/s0", "t0/p1/s1", "t1/p0/s0", "t1/p0/s1"];
        assert_eq!(sorted(ids(&spec)), expected);
        let cells = cells(&spec);
        assert!(cells.iter().all(|cell| cell.brief.is_none()));
        let find = |id: &str| cells.iter().find(|cell| cell.scenario.id.as_str() == id).unwrap().scenario.clone();
        assert_eq!(find("t0/p1/s0").opening, "t0 p1 s0");
        let case = find("edge/e0");
        assert_eq!((case.edge_case, case.subtopic, case.topic.as_str()), (true, None, "injection"));
        assert_eq!((case.tags, case.opening.as_str()), (vec!["injection".to_owned()], "do e0"));
    }

    #[test]
    fn only_chosen_styles_are_expanded() {
        let mut spec = spec(&[1], 3, 1, None, 7);
        spec.styles = vec!["s2".to_owned()];
        assert_eq!(sorted(ids(&spec)), ["edge/e0", "t0/p0/s2"]);
    }

    #[test]
    fn more_than_one_of_a_cell_is_numbered_and_written() {
        let spec = spec(&[1], 1, 0, Some(3), 7);
        assert_eq!(sorted(ids(&spec)), ["t0/p0/s0", "t0/p0/s0/2", "t0/p0/s0/3"]);
        let cells = cells(&spec);
        let third = cells.iter().find(|cell| cell.scenario.id.as_str() == "t0/p0/s0/3").unwrap();
        let brief = Brief {
            topic: "Topic t0".to_owned(),
            subtopic: "Part 0".to_owned(),
            style: "s0".to_owned(),
            style_description: "Reads like s0.".to_owned(),
            index: 3,
        };
        assert_eq!(third.brief, Some(brief));
        assert_eq!((third.scenario.origin, third.scenario.opening.as_str()), (Origin::Written, ""));
        assert_eq!(cells.iter().filter(|cell| cell.brief.is_none()).count(), 1);
    }

    #[test]
    fn edge_cases_are_always_there() {
        assert_eq!(sorted(ids(&spec(&[2], 2, 3, Some(2), 7))), ["edge/e0", "edge/e1", "edge/e2"]);
        assert_eq!(ids(&spec(&[2], 2, 3, Some(4), 7)).len(), 4);
        assert_eq!(sorted(ids(&spec(&[], 1, 1, Some(9), 7))), ["edge/e0"]);
    }

    /// Golden: these bytes are the contract with every pipeline that was ever frozen.
    #[test]
    fn order_and_choice_do_not_change_between_versions() {
        insta::assert_snapshot!(ids(&spec(&[3, 2], 2, 2, Some(7), 7)).join("\n"), @r"
        t1/p1/s0
        t1/p0/s0
        edge/e1
        t1/p0/s1
        t0/p0/s0
        t0/p2/s1
        edge/e0
        ");
        let other_seed = ids(&spec(&[3, 2], 2, 2, Some(7), 8));
        assert_ne!(other_seed, ids(&spec(&[3, 2], 2, 2, Some(7), 7)));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(96))]

        #[test]
        fn counts_are_exact_and_balanced(
            topics in 1..5_usize, size in 1..4_usize, style_count in 1..4_usize, edges in 0..3_usize,
            count in 0..60_usize, seed in any::<u64>(),
        ) {
            let spec = spec(&vec![size; topics], style_count, edges, Some(count), seed);
            let cells = cells(&spec);
            prop_assert_eq!(cells.len(), count.max(edges));
            let unique: BTreeMap<_, _> = cells.iter().map(|cell| (cell.scenario.id.clone(), ())).collect();
            prop_assert_eq!(unique.len(), cells.len());

            let by_topic = tally(&cells, |s| Some(s.topic.clone()));
            prop_assert!(spread(&by_topic, topics) <= 1, "{by_topic:?}");
            let by_cell = tally(&cells, |s| Some(format!("{}/{}/{}", s.topic, s.subtopic.clone()?, s.style)));
            prop_assert!(spread(&by_cell, topics * size * style_count) <= 1, "{by_cell:?}");
            for topic in &spec.taxonomy.topics {
                let by_style = tally(&cells, |s| (s.topic == topic.id).then(|| s.style.clone()));
                prop_assert!(spread(&by_style, style_count) <= 1, "{by_style:?}");
            }
        }

        #[test]
        fn a_larger_count_only_adds(
            sizes in prop::collection::vec(1..4_usize, 1..4), style_count in 1..4_usize,
            count in 0..40_usize, more in 0..10_usize, seed in any::<u64>(),
        ) {
            let few = ids(&spec(&sizes, style_count, 1, Some(count), seed));
            let many = ids(&spec(&sizes, style_count, 1, Some(count + more), seed));
            let kept: Vec<String> = many.into_iter().filter(|id| few.contains(id)).collect();
            prop_assert_eq!(kept, few);
        }

        #[test]
        fn a_new_topic_changes_and_moves_nothing_else(
            sizes in prop::collection::vec(1..4_usize, 1..4), at in 0..4_usize, seed in any::<u64>(),
        ) {
            let before = spec(&sizes, 2, 2, None, seed);
            let mut after = before.clone();
            after.taxonomy.topics.insert(at.min(sizes.len()), topic("new", 2, &before.styles));
            let kept: Vec<Cell> = cells(&after).into_iter().filter(|cell| cell.scenario.topic != "new").collect();
            prop_assert_eq!(cells(&after).len(), kept.len() + 4);
            prop_assert_eq!(kept, cells(&before));
        }
    }

    #[test]
    fn few_scenarios_spread_over_subtopics() {
        for seed in 0..8 {
            let by_part = tally(&cells(&spec(&[3], 3, 0, Some(3), seed)), |s| s.subtopic.clone());
            assert_eq!(by_part.len(), 3, "{by_part:?}");
        }
    }
}
