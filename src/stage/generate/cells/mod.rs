//! Which scenarios a taxonomy, a count and a seed come to.
//!
//! An id depends on its cell only, and whatever is drawn is drawn from seed and id: a change of the taxonomy leaves all
//! else where and what it was.

mod split;

use std::collections::BTreeMap;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use self::split::{Split, cover};
use crate::data::{Origin, Scenario};
use crate::ids::ScenarioId;
use crate::spec::{EdgeCase, Expand, Grid, GridCell, Subtopics, Taxonomy};
use crate::stage::row::write;

/// One scenario to be, the input row of this stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cell {
    /// The scenario; its opening is empty if it is to be written.
    pub scenario: Scenario,
    /// What the writer is told; none if the opening is authored.
    pub brief: Option<Brief>,
    /// Which draw of the opening is next, from 1.
    #[serde(default = "first", skip_serializing_if = "is_first")]
    pub attempt: u32,
    /// Which of those of its cell that are written it is, from 0.
    #[serde(default)]
    pub place: usize,
    /// Texts of it in which personal data was covered.
    #[serde(default)]
    pub covered: u64,
}

fn first() -> u32 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_first(attempt: &u32) -> bool {
    *attempt == 1
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
    /// Its value of each axis.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub axes: IndexMap<String, BriefValue>,
}

/// A value of an axis, as a `writer_prompt` may name it: `axes.language.description`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BriefValue {
    /// The value's name.
    pub value: String,
    /// What it means.
    pub description: String,
}

impl Cell {
    /// The cell as one line of JSON, as [`GenerateStage`](super::GenerateStage) reads it.
    #[must_use]
    pub fn to_line(&self) -> String {
        write(self)
    }

    /// A cell that needs no writer.
    #[must_use]
    pub fn complete(scenario: Scenario) -> Self {
        Self { scenario, brief: None, attempt: 1, place: 0, covered: 0 }
    }

    /// The name of its cell: its id without the number of the instance.
    #[must_use]
    pub fn form(&self) -> &str {
        let id = self.scenario.id.as_str();
        match &self.brief {
            Some(brief) if brief.index > 1 => id.rsplit_once('/').map_or(id, |(form, _)| form),
            Some(_) | None => id,
        }
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
        let Plan { spec, subtopics } = &self.plan;
        let place = self.places.next()?;
        Some(self.plan.cell(&Grid::with(&spec.taxonomy, &spec.styles, subtopics.clone()), place))
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
    subtopics: Subtopics,
}

/// Lists the scenarios of the stage in the order of its table.
///
/// All edge cases are in it. Without a count, so is each cell of the grid once; with one, the rest of the count is shared out
/// by weight over the topics, in each over its styles, in each over its subtopics, in each over the values of each axis. Cells
/// that a constraint forbids are out before that. Who gets one more than others is drawn, so that a larger count only adds
/// scenarios where all weigh the same. What must be covered and is not takes the place of the most frequent cell.
///
/// # Panics
/// The id of a topic, subtopic, style, value or edge case is not a name, which a checked taxonomy does not have.
#[must_use]
pub fn cells(spec: &Expand) -> Cells {
    let Expand { taxonomy, styles, count, seed: _, writer: _ } = spec;
    let edges = taxonomy.edge_cases.len();
    let plan = Plan { spec: spec.clone(), subtopics: Subtopics::of(taxonomy) };
    let grid = Grid::new(taxonomy, styles);
    let mut numbers: BTreeMap<usize, usize> = match count {
        None => grid.allowed().map(|cell| (cell, 1)).collect(),
        Some(count) => Split::new(spec, &grid).all(count.saturating_sub(edges)),
    };
    cover(spec, &grid, &mut numbers);
    let mut places: Vec<Place> = (0..edges).map(|cell| plan.place(&grid, cell, 1)).collect();
    for (cell, number) in numbers {
        places.extend((1..=number).map(|index| plan.place(&grid, edges + cell, index)));
    }
    // Ids differ, and so does what is drawn for them: there is nothing for the order of equals to decide.
    places.sort_unstable_by(|a, b| a.drawn.cmp(&b.drawn).then_with(|| plan.draw(&grid, *a).cmp(&plan.draw(&grid, *b))));
    Cells { plan, places: places.into_iter() }
}

impl Plan {
    fn place(&self, grid: &Grid<'_>, cell: usize, index: usize) -> Place {
        let small = |number| u32::try_from(number).expect("a suite has at most a million scenarios");
        let mut place = Place { drawn: 0, cell: small(cell), index: small(index) };
        let [a, b, c, d, e, f, g, h, ..] = self.draw(grid, place);
        place.drawn = u64::from_be_bytes([a, b, c, d, e, f, g, h]);
        place
    }

    fn draw(&self, grid: &Grid<'_>, place: Place) -> [u8; 32] {
        draw("row", self.spec.seed, &self.id(grid, place))
    }

    /// The edge case, or the cell of the grid.
    fn origin<'a>(&'a self, grid: &Grid<'a>, place: Place) -> Result<&'a EdgeCase, GridCell<'a>> {
        let (cell, edges) = (place.cell as usize, &self.spec.taxonomy.edge_cases);
        edges.get(cell).ok_or_else(|| grid.cell(cell - edges.len()))
    }

    fn id(&self, grid: &Grid<'_>, place: Place) -> String {
        let cell = place.cell as usize;
        match self.spec.taxonomy.edge_cases.get(cell) {
            Some(EdgeCase { id, .. }) => format!("edge/{id}"),
            None => {
                let id = grid.cell(cell - self.spec.taxonomy.edge_cases.len()).id();
                if place.index == 1 { id } else { format!("{id}/{}", place.index) }
            }
        }
    }

    fn cell(&self, grid: &Grid<'_>, place: Place) -> Cell {
        let id = scenario_id(&self.id(grid, place));
        match self.origin(grid, place) {
            Ok(case) => edge_cell(case, id),
            Err(cell) => grid_cell(&self.spec.taxonomy, &cell, place.index as usize, id),
        }
    }
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
    let EdgeCase { id: _, topic, style, axes, tags, opening, reference } = case;
    let scenario = Scenario {
        id,
        topic: topic.clone(),
        subtopic: None,
        style: style.clone(),
        axes: axes.clone(),
        tags: tags.clone(),
        edge_case: true,
        opening: opening.clone(),
        reference: reference.clone(),
        origin: Origin::Authored,
        written: None,
        near_duplicate: None,
    };
    Cell::complete(scenario)
}

fn grid_cell(taxonomy: &Taxonomy, cell: &GridCell<'_>, index: usize, id: ScenarioId) -> Cell {
    let GridCell { topic, subtopic, style, values } = cell;
    let authored = cell.opening().filter(|_| index == 1);
    let scenario = Scenario {
        id,
        topic: topic.id.clone(),
        subtopic: Some(subtopic.id.clone()),
        style: (*style).to_owned(),
        axes: values.iter().map(|(axis, value)| (axis.name.clone(), value.name.clone())).collect(),
        tags: Vec::new(),
        edge_case: false,
        opening: authored.cloned().unwrap_or_default(),
        reference: None,
        origin: if authored.is_some() { Origin::Authored } else { Origin::Written },
        written: None,
        near_duplicate: None,
    };
    let brief = || Brief {
        topic: topic.title.clone(),
        subtopic: subtopic.title.clone(),
        style: (*style).to_owned(),
        style_description: taxonomy.styles.get(*style).cloned().unwrap_or_default(),
        index,
        axes: values
            .iter()
            .map(|(axis, value)| {
                let brief = BriefValue { value: value.name.clone(), description: value.description.clone() };
                (axis.name.clone(), brief)
            })
            .collect(),
    };
    let brief = authored.is_none().then(brief);
    let place = index - 1 - usize::from(cell.opening().is_some() && index > 1);
    Cell { brief, place, ..Cell::complete(scenario) }
}

#[cfg(test)]
pub(super) mod tests;
