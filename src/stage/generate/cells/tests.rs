//! What a taxonomy comes to: exact, balanced, and unmoved by what is added.

use proptest::prelude::*;

use super::*;
use crate::spec::{Axis, AxisValue, Demand, Selector, Subtopic, Topic, Weight};

fn styles(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("s{n}")).collect()
}

/// A topic all of whose openings are authored.
pub(in crate::stage::generate) fn topic(name: &str, subtopics: usize, styles: &[String]) -> Topic {
    let subtopic = |n: usize| Subtopic {
        id: format!("p{n}"),
        title: format!("Part {n}"),
        weight: Weight::default(),
        openings: styles.iter().map(|style| (style.clone(), format!("{name} p{n} {style}"))).collect(),
    };
    let subtopics = (0..subtopics).map(subtopic).collect();
    Topic { id: name.to_owned(), title: format!("Topic {name}"), weight: Weight::default(), subtopics }
}

fn edge(id: &str) -> EdgeCase {
    EdgeCase {
        id: id.to_owned(),
        topic: "injection".to_owned(),
        style: "s0".to_owned(),
        axes: BTreeMap::new(),
        tags: vec!["injection".to_owned()],
        opening: format!("do {id}"),
        reference: None,
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
        style_weights: BTreeMap::new(),
        axes: Vec::new(),
        topics: sizes.iter().enumerate().map(|(n, &size)| topic(&format!("t{n}"), size, &styles)).collect(),
        edge_cases: (0..edges).map(|n| edge(&format!("e{n}"))).collect(),
        constraints: Vec::new(),
        must_cover: Vec::new(),
        writer_prompt: None,
    };
    Expand { taxonomy, styles, count, seed, writer: None }
}

/// Gives a taxonomy axes; of each, the first value is `a0` and so on, with these weights.
fn with_axes(mut spec: Expand, axes: &[&[f64]]) -> Expand {
    let value = |(at, weight): (usize, &f64)| AxisValue {
        name: format!("v{at}"),
        description: format!("Value {at}."),
        weight: Weight::new(*weight),
    };
    let axis = |(at, weights): (usize, &&[f64])| Axis {
        name: format!("a{at}"),
        values: weights.iter().enumerate().map(value).collect(),
    };
    spec.taxonomy.axes = axes.iter().enumerate().map(axis).collect();
    spec
}

fn selector(of: &[(&str, &str)]) -> Selector {
    Selector(of.iter().map(|(name, value)| ((*name).to_owned(), vec![(*value).to_owned()])).collect())
}

fn value<'a>(scenario: &'a Scenario, name: &str) -> Option<&'a str> {
    match name {
        "topic" => Some(&scenario.topic),
        "subtopic" => scenario.subtopic.as_deref(),
        "style" => Some(&scenario.style),
        axis => scenario.axes.get(axis).map(String::as_str),
    }
}

fn chosen(cells: &[Cell], of: &Selector) -> usize {
    cells.iter().filter(|cell| of.selects(|name| value(&cell.scenario, name))).count()
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
        axes: IndexMap::new(),
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

#[test]
fn axes_are_crossed_and_named_in_ids() {
    let spec = with_axes(spec(&[1], 1, 1, None, 7), &[&[1.0, 1.0], &[1.0, 1.0]]);
    let expected = ["edge/e0", "t0/p0/s0/v0/v0", "t0/p0/s0/v0/v1", "t0/p0/s0/v1/v0", "t0/p0/s0/v1/v1"];
    assert_eq!(sorted(ids(&spec)), expected);
    let cells = cells(&spec);
    let cell = cells.iter().find(|cell| cell.scenario.id.as_str() == "t0/p0/s0/v1/v0").unwrap();
    assert_eq!((value(&cell.scenario, "a0"), value(&cell.scenario, "a1")), (Some("v1"), Some("v0")));
    let brief = BriefValue { value: "v1".to_owned(), description: "Value 1.".to_owned() };
    assert_eq!(cell.brief.as_ref().unwrap().axes["a0"], brief);
}

#[test]
fn forbidden_cells_are_out_before_the_split() {
    let mut spec = with_axes(spec(&[2, 1], 2, 0, Some(60), 7), &[&[1.0, 1.0, 1.0]]);
    let not = selector(&[("style", "s0"), ("a0", "v2")]);
    spec.taxonomy.constraints = vec![not.clone(), selector(&[("topic", "t1"), ("style", "s1")])];
    let cells = cells(&spec);
    assert_eq!((cells.len(), chosen(&cells, &not)), (60, 0));
    assert_eq!(chosen(&cells, &selector(&[("topic", "t1"), ("style", "s1")])), 0);
    // What is left of a topic still gets the topic's share.
    assert_eq!(chosen(&cells, &selector(&[("topic", "t1")])), 30);
    assert_eq!(chosen(&cells, &selector(&[("topic", "t1"), ("style", "s0")])), 30);
    let by_value = ["v0", "v1", "v2"].map(|value| chosen(&cells, &selector(&[("a0", value)])));
    assert_eq!(by_value.iter().sum::<usize>(), 60);
}

#[test]
fn weights_decide_the_shares() {
    let mut spec = with_axes(spec(&[2, 2], 2, 0, Some(120), 7), &[&[3.0, 2.0, 1.0]]);
    spec.taxonomy.topics[0].weight = Weight::new(2.0);
    spec.taxonomy.style_weights.insert("s1".to_owned(), Weight::new(3.0));
    spec.taxonomy.topics[1].subtopics[0].weight = Weight::new(4.0);
    let cells = cells(&spec);
    let share = |of: &[(&str, &str)]| chosen(&cells, &selector(of));
    assert_eq!((share(&[("topic", "t0")]), share(&[("topic", "t1")])), (80, 40));
    assert_eq!((share(&[("style", "s0")]), share(&[("style", "s1")])), (30, 90));
    assert_eq!(share(&[("topic", "t1"), ("subtopic", "p0")]), 32);
    assert_eq!(["v0", "v1", "v2"].map(|value| share(&[("a0", value)])), [60, 40, 20]);
}

#[test]
fn what_must_be_covered_is_there_and_the_count_is_kept() {
    for seed in 0..8 {
        let mut spec = with_axes(spec(&[3, 3, 3], 3, 2, Some(20), seed), &[&[1000.0, 0.001]]);
        let rare = selector(&[("topic", "t1"), ("a0", "v1")]);
        assert_eq!(chosen(&cells(&spec), &rare), 0);
        let edge = selector(&[("topic", "injection")]);
        spec.taxonomy.must_cover =
            vec![Demand { of: rare.clone(), at_least: 2 }, Demand { of: edge.clone(), at_least: 1 }];
        let cells = cells(&spec);
        assert_eq!((cells.len(), chosen(&cells, &rare), chosen(&cells, &edge)), (20, 2, 2));
        let by_topic = tally(&cells, |s| Some(s.topic.clone()));
        assert_eq!(spread(&by_topic, 3), 0, "the place is taken from the same topic: {by_topic:?}");
        spec.count = None;
        spec.taxonomy.must_cover[0].at_least = 30;
        assert_eq!(chosen(&super::cells(&spec).collect::<Vec<_>>(), &rare), 30);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn axes_are_balanced_over_the_whole_suite(
        sizes in prop::collection::vec(1..4_usize, 1..4), style_count in 1..4_usize,
        axes in prop::collection::vec(prop::collection::vec(0.5_f64..4.0, 1..4), 1..3),
        count in 0..80_usize, seed in any::<u64>(),
    ) {
        let axes: Vec<&[f64]> = axes.iter().map(Vec::as_slice).collect();
        let spec = with_axes(spec(&sizes, style_count, 0, Some(count), seed), &axes);
        let cells = cells(&spec);
        prop_assert_eq!(cells.len(), count);
        let unique: BTreeMap<_, _> = cells.iter().map(|cell| (cell.scenario.id.clone(), ())).collect();
        prop_assert_eq!(unique.len(), cells.len());
        for axis in &spec.taxonomy.axes {
            let all: u32 = axis.values.iter().map(|value| value.weight.thousandths()).sum();
            for value in &axis.values {
                let got = chosen(&cells, &selector(&[(&axis.name, &value.name)]));
                let owed = count as f64 * f64::from(value.weight.thousandths()) / f64::from(all);
                prop_assert!((got as f64 - owed).abs() < 2.0, "{got} of {owed}");
            }
        }
    }

    #[test]
    fn a_new_style_or_value_changes_and_moves_nothing_else(
        sizes in prop::collection::vec(1..3_usize, 1..3), style_first in any::<bool>(), seed in any::<u64>(),
    ) {
        let before = with_axes(spec(&sizes, 2, 2, None, seed), &[&[1.0, 2.0], &[1.0]]);
        let mut after = before.clone();
        let values = &mut after.taxonomy.axes[0].values;
        values.push(AxisValue { name: "new".to_owned(), description: String::new(), weight: Weight::new(9.0) });
        after.styles.insert(if style_first { 0 } else { 2 }, "new".to_owned());
        after.taxonomy.styles.insert("new".to_owned(), "New.".to_owned());
        let is_new = |cell: &Cell| cell.scenario.style == "new" || value(&cell.scenario, "a0") == Some("new");
        let kept: Vec<Cell> = cells(&after).into_iter().filter(|cell| !is_new(cell)).collect();
        prop_assert_eq!(kept, cells(&before));
    }
}
