//! How many scenarios of each cell there are, where a count is given or something must be covered.

use std::collections::BTreeMap;

use super::draw;
use crate::spec::{Axis, Demand, Expand, Grid, Topic, Weight};
use crate::stage::generate::share::{Carry, shares};

/// Sees to it that every demand is met: a cell of it takes the place of the one that is there most often, of the same topic if
/// one is to be had, and never of one that a demand needs. Without a count nothing is taken away.
pub(super) fn cover(spec: &Expand, grid: &Grid<'_>, numbers: &mut BTreeMap<usize, usize>) {
    let Expand { taxonomy, styles: _, count, seed, writer: _ } = spec;
    let selects = |demand: &Demand, cell: usize| {
        let cell = grid.cell(cell);
        demand.of.selects(|name| cell.value(name))
    };
    let there = |demand: &Demand, numbers: &BTreeMap<usize, usize>| {
        let cases = taxonomy.edge_cases.iter().filter(|case| demand.of.selects(|name| case.value(name))).count();
        let cells = numbers.iter().filter(|(cell, _)| selects(demand, **cell)).map(|(_, number)| number);
        cases + cells.sum::<usize>()
    };
    for demand in &taxonomy.must_cover {
        let missing = demand.at_least.saturating_sub(there(demand, numbers));
        if missing == 0 {
            continue;
        }
        let mut fitting: Vec<usize> = grid.allowed().filter(|cell| selects(demand, *cell)).collect();
        fitting.sort_by_cached_key(|cell| draw("cover", *seed, &grid.cell(*cell).id()));
        for _ in 0..missing {
            // The cell of the demand that is there least often, the first drawn of several.
            let Some(&cell) = fitting.iter().min_by_key(|cell| numbers.get(cell).copied().unwrap_or(0)) else { break };
            *numbers.entry(cell).or_insert(0) += 1;
            if count.is_none() {
                continue;
            }
            let topic = &grid.cell(cell).topic.id;
            let needed: Vec<&Demand> =
                taxonomy.must_cover.iter().filter(|one| there(one, numbers) <= one.at_least).collect();
            let is_spare = |other: usize| !selects(demand, other) && !needed.iter().any(|one| selects(one, other));
            let key = |other: usize, number: usize| {
                let id = grid.cell(other).id();
                (grid.cell(other).topic.id == *topic, number, draw("spare", *seed, &id))
            };
            let spare = numbers.iter().filter(|(other, _)| is_spare(**other));
            if let Some((other, _)) = spare.max_by_key(|(other, number)| key(**other, **number)) {
                let other = *other;
                let number = numbers.get_mut(&other).expect("it was found there");
                *number -= 1;
                if *number == 0 {
                    numbers.remove(&other);
                }
            }
        }
    }
}

/// A count on its way into the grid.
pub(super) struct Split<'a> {
    spec: &'a Expand,
    grid: &'a Grid<'a>,
    styles: Spread,
    axes: Vec<Carry>,
    numbers: BTreeMap<usize, usize>,
}

/// How sums are shared out among the same few again and again.
enum Spread {
    /// All weigh the same: each sum by itself.
    Even(Vec<Weight>),
    /// What one owes the next pays.
    Carried(Carry),
}

impl Spread {
    fn of(weights: Vec<Weight>) -> Self {
        let is_even = weights.windows(2).all(|pair| pair[0] == pair[1]);
        if is_even { Self::Even(weights) } else { Self::Carried(Carry::new(weights)) }
    }

    fn split(&mut self, total: usize, order: &[usize]) -> Vec<usize> {
        match self {
            Self::Even(weights) => shares(total, order, weights),
            Self::Carried(carry) => carry.split(total, order),
        }
    }
}

impl<'a> Split<'a> {
    pub(super) fn new(spec: &'a Expand, grid: &'a Grid<'a>) -> Self {
        let Expand { taxonomy, styles, count: _, seed: _, writer: _ } = spec;
        let weights = |axis: &Axis| Carry::new(axis.values.iter().map(|value| value.weight).collect());
        Self {
            spec,
            grid,
            styles: Spread::of(styles.iter().map(|style| taxonomy.style_weight(style)).collect()),
            axes: taxonomy.axes.iter().map(weights).collect(),
            numbers: BTreeMap::new(),
        }
    }

    /// Shares out over the topics, and so on down to cells.
    pub(super) fn all(mut self, total: usize) -> BTreeMap<usize, usize> {
        let topics = &self.spec.taxonomy.topics;
        let firsts: Vec<usize> =
            topics.iter().scan(0, |next, topic| Some(std::mem::replace(next, *next + topic.subtopics.len()))).collect();
        let mut order = order(self.spec.seed, topics.iter().map(|topic| topic.id.clone()));
        order.retain(|&topic| {
            let parts = firsts[topic]..firsts[topic] + topics[topic].subtopics.len();
            (0..self.spec.styles.len()).any(|style| parts.clone().any(|part| self.is_open(part, style)))
        });
        let weights: Vec<Weight> = topics.iter().map(|topic| topic.weight).collect();
        let shares = shares(total, &order, &weights);
        for (topic, (first, share)) in topics.iter().zip(firsts.into_iter().zip(shares)) {
            if share > 0 {
                self.topic(topic, first, share);
            }
        }
        self.numbers
    }

    /// Whether a constraint leaves any cell of a subtopic in a style.
    fn is_open(&self, subtopic: usize, style: usize) -> bool {
        let first = self.grid.first(subtopic, style);
        (first..first + self.grid.combinations()).any(|cell| self.grid.allows(cell))
    }

    fn topic(&mut self, topic: &Topic, first: usize, share: usize) {
        let Expand { taxonomy: _, styles, count: _, seed, writer: _ } = self.spec;
        let parts = topic.subtopics.len();
        let mut style_order = order(*seed, styles.iter().map(|style| format!("{}/{style}", topic.id)));
        style_order.retain(|style| (first..first + parts).any(|part| self.is_open(part, *style)));
        let style_shares = self.styles.split(share, &style_order);
        let mut part_order = order(*seed, topic.subtopics.iter().map(|part| format!("{}/{}", topic.id, part.id)));
        let mut spread = Spread::of(topic.subtopics.iter().map(|part| part.weight).collect());
        for (style, share) in style_shares.into_iter().enumerate() {
            let open: Vec<usize> =
                part_order.iter().copied().filter(|part| self.is_open(first + part, style)).collect();
            for (part, share) in spread.split(share, &open).into_iter().enumerate() {
                let cell = self.grid.first(first + part, style);
                let name = format!("{}/{}/{}", topic.id, topic.subtopics[part].id, styles[style]);
                self.values(0, cell, self.grid.combinations(), &name, share);
            }
            // Each style starts with another subtopic, so that few scenarios do not all fall on the same one.
            part_order.rotate_left(1.min(parts));
        }
    }

    /// Shares out over the values of an axis, and of those behind it; the cells are `cells` many from `first` on.
    fn values(&mut self, axis: usize, first: usize, cells: usize, name: &str, share: usize) {
        if share == 0 {
            return;
        }
        let Some(Axis { name: _, values }) = self.spec.taxonomy.axes.get(axis) else {
            self.numbers.insert(first, share);
            return;
        };
        let each = cells / values.len();
        let names: Vec<String> = values.iter().map(|value| format!("{name}/{}", value.name)).collect();
        let mut order = order(self.spec.seed, names.iter().cloned());
        order.retain(|value| (first + value * each..first + (value + 1) * each).any(|cell| self.grid.allows(cell)));
        let shares = self.axes[axis].split(share, &order);
        for (value, share) in shares.into_iter().enumerate() {
            self.values(axis + 1, first + value * each, each, &names[value], share);
        }
    }
}

/// The places of `names`, in an order that is drawn for each name by itself: a new name moves no other.
fn order(seed: u64, names: impl Iterator<Item = String>) -> Vec<usize> {
    let mut drawn: Vec<_> = names.enumerate().map(|(place, name)| (draw("share", seed, &name), place)).collect();
    drawn.sort_unstable();
    drawn.into_iter().map(|(_, place)| place).collect()
}
