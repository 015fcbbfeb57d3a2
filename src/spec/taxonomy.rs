//! The checked taxonomy: topics × subtopics × styles × axes of its own, and named edge cases.
//!
//! What is optional is left out of the serialised form where it is not used: that form is part of keys.

use std::collections::BTreeMap;
use std::sync::Arc;

use indexmap::IndexMap;
use serde::Serialize;

/// What scenarios are made from.
#[derive(Debug, Clone, Serialize)]
pub struct Taxonomy {
    /// Its name.
    pub name: String,
    /// Style → how such a message reads.
    pub styles: IndexMap<String, String>,
    /// Style → its share where that is not the usual one.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub style_weights: BTreeMap<String, Weight>,
    /// What else scenarios differ in, in the order in which ids name it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub axes: Vec<Axis>,
    /// Topics, in order.
    pub topics: Vec<Topic>,
    /// Scenarios that every suite has.
    pub edge_cases: Vec<EdgeCase>,
    /// Combinations that no scenario may have.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub constraints: Vec<Selector>,
    /// Combinations that every suite has.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub must_cover: Vec<Demand>,
    /// What a writer model is told; a minijinja template.
    pub writer_prompt: Option<super::template::Template>,
}

impl Taxonomy {
    /// The share of a style.
    #[must_use]
    pub fn style_weight(&self, style: &str) -> Weight {
        self.style_weights.get(style).copied().unwrap_or_default()
    }
}

/// How large a share is beside others, in thousandths; 1 unless the file says otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Weight(u32);

impl Weight {
    /// Largest weight.
    pub const MOST: f64 = 1000.0;

    /// Takes a number of at least a thousandth.
    #[must_use]
    pub fn new(weight: f64) -> Self {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is clamped before")]
        let thousandths = (weight.clamp(0.001, Self::MOST) * 1000.0).round() as u32;
        Self(thousandths)
    }

    /// Thousandths, at least one.
    #[must_use]
    pub fn thousandths(self) -> u32 {
        self.0
    }

    /// Whether it is the usual one.
    #[must_use]
    pub fn is_usual(&self) -> bool {
        *self == Self::default()
    }
}

impl Default for Weight {
    fn default() -> Self {
        Self(1000)
    }
}

/// Something that scenarios differ in besides topic and style: `language`, `persona`, `severity`.
#[derive(Debug, Clone, Serialize)]
pub struct Axis {
    /// Its name, unique in the taxonomy.
    pub name: String,
    /// Its values, never none. Authored openings that do not say otherwise have the first.
    pub values: Vec<AxisValue>,
}

/// One value of an axis.
#[derive(Debug, Clone, Serialize)]
pub struct AxisValue {
    /// Its name, unique in the axis.
    pub name: String,
    /// What it means, for the writer.
    pub description: String,
    /// Its share.
    #[serde(skip_serializing_if = "Weight::is_usual")]
    pub weight: Weight,
}

/// A topic.
#[derive(Debug, Clone, Serialize)]
pub struct Topic {
    /// Its id, unique in the taxonomy.
    pub id: String,
    /// Its name for people and for the writer.
    pub title: String,
    /// Its share.
    #[serde(skip_serializing_if = "Weight::is_usual")]
    pub weight: Weight,
    /// Its parts, never empty.
    pub subtopics: Vec<Subtopic>,
}

/// A part of a topic.
#[derive(Debug, Clone, Serialize)]
pub struct Subtopic {
    /// Its id, unique in the topic.
    pub id: String,
    /// Its name for people and for the writer.
    pub title: String,
    /// Its share of the topic.
    #[serde(skip_serializing_if = "Weight::is_usual")]
    pub weight: Weight,
    /// Style, and the value of each axis behind it with `/` between → authored opening.
    pub openings: IndexMap<String, String>,
}

/// A named scenario outside of the grid.
#[derive(Debug, Clone, Serialize)]
pub struct EdgeCase {
    /// Its id, unique among edge cases.
    pub id: String,
    /// Its topic, a word of its own.
    pub topic: String,
    /// One of the styles.
    pub style: String,
    /// Axis → value; all axes of the taxonomy.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub axes: BTreeMap<String, String>,
    /// What it is an edge case of.
    pub tags: Vec<String>,
    /// The message.
    pub opening: String,
    /// What a good answer says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
}

/// A set of scenarios: `topic`, `subtopic`, `style` or an axis → the values that belong to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Selector(pub BTreeMap<String, Vec<String>>);

impl Selector {
    /// Whether a scenario belongs to it, whose value of a dimension `value` tells.
    #[must_use]
    pub fn selects<'a>(&self, value: impl Fn(&str) -> Option<&'a str>) -> bool {
        self.0.iter().all(|(name, values)| value(name).is_some_and(|value| values.iter().any(|one| one == value)))
    }
}

/// What every suite has.
#[derive(Debug, Clone, Serialize)]
pub struct Demand {
    /// Which scenarios.
    pub of: Selector,
    /// How many of them, at least 1.
    pub at_least: usize,
}

impl EdgeCase {
    /// Its value of a dimension.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<&str> {
        match name {
            "topic" => Some(&self.topic),
            "style" => Some(&self.style),
            "subtopic" => None,
            axis => self.axes.get(axis).map(String::as_str),
        }
    }
}

/// All cells of a taxonomy in some of its styles, by number: subtopic by subtopic, in each style by style, in each value by
/// value of the first axis, and so on.
#[derive(Debug)]
pub struct Grid<'a> {
    taxonomy: &'a Taxonomy,
    styles: &'a [String],
    subtopics: Subtopics,
    /// Combinations of axis values.
    combinations: usize,
}

/// Topic and subtopic of each subtopic of a taxonomy, by number. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Subtopics(Arc<[(usize, usize)]>);

impl Subtopics {
    /// Numbers the subtopics of all topics.
    #[must_use]
    pub fn of(taxonomy: &Taxonomy) -> Self {
        let topics = taxonomy.topics.iter().enumerate();
        Self(topics.flat_map(|(at, topic)| (0..topic.subtopics.len()).map(move |part| (at, part))).collect())
    }
}

/// One cell of a [`Grid`].
#[derive(Debug, Clone)]
pub struct GridCell<'a> {
    /// Its topic.
    pub topic: &'a Topic,
    /// Its subtopic.
    pub subtopic: &'a Subtopic,
    /// Its style.
    pub style: &'a str,
    /// Its value of each axis.
    pub values: Vec<(&'a Axis, &'a AxisValue)>,
}

impl<'a> GridCell<'a> {
    /// Its value of a dimension.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<&'a str> {
        match name {
            "topic" => Some(&self.topic.id),
            "subtopic" => Some(&self.subtopic.id),
            "style" => Some(self.style),
            name => self.values.iter().find(|(axis, _)| axis.name == name).map(|(_, value)| value.name.as_str()),
        }
    }

    /// Style and values with `/` between: what an authored opening is filed under.
    #[must_use]
    pub fn form(&self) -> String {
        let mut form = self.style.to_owned();
        for (_, value) in &self.values {
            form.push('/');
            form.push_str(&value.name);
        }
        form
    }

    /// Its id: topic, subtopic, style and values.
    #[must_use]
    pub fn id(&self) -> String {
        format!("{}/{}/{}", self.topic.id, self.subtopic.id, self.form())
    }

    /// What its author wrote for it.
    #[must_use]
    pub fn opening(&self) -> Option<&'a String> {
        self.subtopic.openings.get(&self.form())
    }
}

impl<'a> Grid<'a> {
    /// All cells in these styles.
    #[must_use]
    pub fn new(taxonomy: &'a Taxonomy, styles: &'a [String]) -> Self {
        Self::with(taxonomy, styles, Subtopics::of(taxonomy))
    }

    /// The same, where the subtopics were numbered before.
    #[must_use]
    pub fn with(taxonomy: &'a Taxonomy, styles: &'a [String], subtopics: Subtopics) -> Self {
        let combinations = taxonomy.axes.iter().fold(1_usize, |all, axis| all.saturating_mul(axis.values.len()));
        Self { taxonomy, styles, subtopics, combinations }
    }

    /// How many cells there are, forbidden ones among them.
    #[must_use]
    pub fn len(&self) -> usize {
        self.subtopics.0.len().saturating_mul(self.styles.len()).saturating_mul(self.combinations)
    }

    /// Whether there is no cell.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many combinations of axis values there are.
    #[must_use]
    pub fn combinations(&self) -> usize {
        self.combinations
    }

    /// The number of the first cell of a subtopic and a style; its [`Self::combinations`] follow each other.
    #[must_use]
    pub fn first(&self, subtopic: usize, style: usize) -> usize {
        (subtopic * self.styles.len() + style) * self.combinations
    }

    /// A cell by its number.
    #[must_use]
    pub fn cell(&self, number: usize) -> GridCell<'a> {
        let (pair, mut combination) = (number / self.combinations, number % self.combinations);
        let (topic, subtopic) = self.subtopics.0[pair / self.styles.len()];
        let topic = &self.taxonomy.topics[topic];
        let mut values = Vec::with_capacity(self.taxonomy.axes.len());
        for axis in self.taxonomy.axes.iter().rev() {
            values.push((axis, &axis.values[combination % axis.values.len()]));
            combination /= axis.values.len();
        }
        values.reverse();
        GridCell { topic, subtopic: &topic.subtopics[subtopic], style: &self.styles[pair % self.styles.len()], values }
    }

    /// Whether no constraint forbids a cell.
    #[must_use]
    pub fn allows(&self, number: usize) -> bool {
        let constraints = &self.taxonomy.constraints;
        constraints.is_empty() || {
            let cell = self.cell(number);
            !constraints.iter().any(|constraint| constraint.selects(|name| cell.value(name)))
        }
    }

    /// The numbers of all cells that no constraint forbids.
    pub fn allowed(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.len()).filter(|number| self.allows(*number))
    }
}
