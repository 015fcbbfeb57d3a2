//! Ranking models by a profile: percentiles inside each preferred column, their weighted mean, and the order.
//!
//! Benchmarks are never added to each other: a column gives a place among the models that have a score in it, and only
//! places are averaged. A missing score is missing, never zero.

use std::cmp::Ordering;

use super::error::{CatalogError, closest};
use super::facts::Facts;
use super::known::{self, Kind};
use super::presets::{self, Definition};
use super::table::Catalog;
use crate::spec::Profile;

/// What ranks models where the profile prefers nothing.
pub(super) const DEFAULT_COLUMN: &str = "oll_average";

/// Tags that are not values of the column `type`.
const REASONING: &str = "reasoning";
const UNOFFICIAL: &str = "unofficial";
const CHAT_ONLY: &str = "chat-only";
const OWN_TAGS: &[&str] = &[REASONING, UNOFFICIAL, CHAT_ONLY];

/// What candidates are ranked by: the profile's own words, and what its preset adds to them.
#[derive(Debug)]
pub(super) struct Aim {
    /// Preferred columns with their weights, which the catalogs have.
    prefer: Vec<(String, f64)>,
    /// Tags to avoid.
    pub(super) avoid: Vec<String>,
    /// Whether nothing is preferred, and a column was chosen instead.
    pub(super) by_default: bool,
    /// What the preset means, in words.
    pub(super) note: Option<String>,
}

impl Aim {
    /// Joins a profile and its preset. Of a preset only columns count that there are; the profile's own weights replace
    /// the preset's.
    pub(super) fn new(catalog: &Catalog, profile: &Profile) -> Result<Self, CatalogError> {
        let Profile { prefer, avoid, preset } = profile;
        let own = || prefer.iter().map(|(name, weight)| (name.clone(), *weight));
        let Some(preset) = *preset else {
            let default =
                catalog.columns().any(|name| name == DEFAULT_COLUMN).then(|| (DEFAULT_COLUMN.to_owned(), 1.0));
            let by_default = prefer.is_empty();
            let prefer = if by_default { default.into_iter().collect() } else { own().collect() };
            return Ok(Self { prefer, avoid: avoid.clone(), by_default, note: None });
        };
        let Definition { prefer: presets, avoid: avoided, why } = presets::definition(preset);
        let (there, missing): (Vec<_>, Vec<_>) =
            presets.iter().partition(|(name, _)| catalog.columns().any(|column| column == *name));
        if there.is_empty() && prefer.is_empty() {
            let columns = presets.iter().map(|(name, _)| (*name).to_owned()).collect();
            return Err(CatalogError::PresetWithoutColumns { preset: preset.as_str(), columns });
        }
        let added = there.iter().filter(|(name, _)| !prefer.contains_key(*name));
        let all: Vec<(String, f64)> = added.map(|(name, weight)| ((*name).to_owned(), *weight)).chain(own()).collect();
        let mut tags = avoid.clone();
        tags.extend(avoided.iter().map(|tag| (*tag).to_owned()).filter(|tag| !avoid.contains(tag)));
        let weights: Vec<String> = all.iter().map(|(name, weight)| format!("{name} × {weight}")).collect();
        let mut note = format!("preset {}: {}: {why}", preset.as_str(), weights.join(", "));
        if !missing.is_empty() {
            let names: Vec<&str> = missing.iter().map(|(name, _)| *name).collect();
            note = format!("{note}; no catalog has {}", names.join(", "));
        }
        Ok(Self { prefer: all, avoid: tags, by_default: false, note: Some(note) })
    }
}
const TYPES: &[&str] = &["base", "chat", "continued-pretrain", "fine-tuned", "merge", "multimodal"];

/// The normal quantile of a two-sided 95 %.
const Z_95: f64 = 1.959_963_984_540_054;

/// A preferred column with all models' scores.
#[derive(Debug)]
pub(super) struct Preference {
    /// The column.
    pub(super) name: String,
    /// Its weight, above 0.
    pub(super) weight: f64,
    /// Scores by model, in the catalog's order.
    pub(super) scores: Vec<Option<f64>>,
    /// How many questions they rest on, and how large a difference must be to mean something; none where nobody says.
    pub(super) questions: Option<(u32, f64)>,
}

/// A model's place in one column.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Mark {
    /// The score as in the catalog.
    pub(super) score: f64,
    /// Share of the scores that it beats, with half of those that equal it, itself included; in (0, 1).
    pub(super) percentile: f64,
    /// Its rank, from 1.
    pub(super) rank: usize,
    /// How many have a score.
    pub(super) of: usize,
}

/// A model's place in a ranking.
#[derive(Debug, Clone)]
pub(super) struct Ranked<'p> {
    /// Which model, in the catalog's order.
    pub(super) model: usize,
    /// Weighted mean of the percentiles there are.
    pub(super) fit: Option<f64>,
    /// Share of the preferred weight whose columns have a score, in [0, 1].
    pub(super) covered: f64,
    /// One for each preference.
    pub(super) marks: Vec<Option<Mark>>,
    /// Tags it has that the profile avoids.
    pub(super) avoided: Vec<&'p str>,
}

impl Ranked<'_> {
    /// Whether enough is known for its fit to mean something: a single lucky column must not win.
    pub(super) fn is_covered(&self) -> bool {
        self.covered >= 0.5 - 1e-9
    }
}

/// Reads the preferred columns.
pub(super) fn preferences(catalog: &Catalog, aim: &Aim) -> Result<Vec<Preference>, CatalogError> {
    aim.prefer.iter().map(|(name, weight)| preference(catalog, name, *weight)).collect()
}

fn preference(catalog: &Catalog, name: &str, weight: f64) -> Result<Preference, CatalogError> {
    if !catalog.columns().any(|column| column == name) {
        let numeric = numeric_columns(catalog);
        let suggestion = closest(name, numeric.iter().map(String::as_str));
        return Err(CatalogError::UnknownColumn { column: name.to_owned(), suggestion, numeric });
    }
    let column = catalog.column(name);
    let mut scores = Vec::with_capacity(catalog.len());
    let mut first_bad = None;
    for model in catalog.models() {
        let cell = catalog.cell(model, &column);
        let score = cell.and_then(|cell| known::number(cell.text));
        if score.is_none() && first_bad.is_none() {
            first_bad = cell;
        }
        scores.push(score);
    }
    if let Some(bad) = first_bad {
        // One cell among numbers is a slip; a column of nothing but text is a wrong choice.
        return Err(if scores.iter().any(Option::is_some) {
            bad.bad(name, Kind::Score)
        } else {
            CatalogError::NotNumeric { column: name.to_owned(), numeric: numeric_columns(catalog) }
        });
    }
    Ok(Preference { name: name.to_owned(), weight, scores, questions: questions(catalog, name) })
}

/// What a benchmark's scores rest on: as evalflow knows, or by a column `NAME_questions`, whose smallest number counts for
/// all models.
fn questions(catalog: &Catalog, name: &str) -> Option<(u32, f64)> {
    if let Some(benchmark) = known::find(name).and_then(|column| column.benchmark) {
        return Some((benchmark.questions, benchmark.noise));
    }
    let column = catalog.column(&format!("{name}_questions"));
    let told = catalog.models().filter_map(|model| known::count(catalog.cell(model, &column)?.text));
    let least = u32::try_from(told.filter(|questions| *questions > 0).min()?).ok()?;
    // Two shares of a half, in points of 100, with 95 %: no accuracy has more noise.
    Some((least, Z_95 * (2.0 * 0.25 / f64::from(least)).sqrt() * 100.0))
}

fn numeric_columns(catalog: &Catalog) -> Vec<String> {
    let holds_numbers = |name: &str| {
        let column = catalog.column(name);
        let mut cells = catalog.models().filter_map(|model| catalog.cell(model, &column)).peekable();
        cells.peek().is_some() && cells.all(|cell| known::number(cell.text).is_some())
    };
    let is_numeric = |name: &str| match known::find(name) {
        Some(column) => column.kind.is_numeric(),
        None => holds_numbers(name),
    };
    catalog.columns().filter(|name| is_numeric(name)).map(ToOwned::to_owned).collect()
}

/// Checks that some model could have each tag that a profile avoids: evalflow's own, and the types of the catalog.
pub(super) fn check_tags(avoid: &[String], facts: &[Facts<'_>]) -> Result<(), CatalogError> {
    let is_type = |tag: &str| facts.iter().any(|model| model.kind == Some(tag));
    let own = || OWN_TAGS.iter().chain(TYPES).copied();
    match avoid.iter().find(|tag| !own().any(|known| known == tag.as_str()) && !is_type(tag)) {
        None => Ok(()),
        Some(tag) => {
            let mut known: Vec<String> =
                own().chain(facts.iter().filter_map(|model| model.kind)).map(ToOwned::to_owned).collect();
            known.sort_unstable();
            known.dedup();
            let suggestion = closest(tag, known.iter().map(String::as_str));
            Err(CatalogError::UnknownTag { tag: tag.clone(), suggestion, known })
        }
    }
}

fn has_tag(facts: &Facts<'_>, tag: &str) -> bool {
    match tag {
        REASONING => facts.reasoning == Some(true),
        UNOFFICIAL => facts.official != Some(true),
        // A name with `code` in it says what a leaderboard's label does not.
        CHAT_ONLY => facts.kind == Some("chat") && !facts.coded && !facts.id.to_ascii_lowercase().contains("code"),
        kind => facts.kind == Some(kind),
    }
}

/// Ranks `members` among themselves, best first.
///
/// First come those without an avoided tag, of them first those with at least half of the preferred weight covered, of
/// them the best fit; ties go to more downloads, then to the lower id.
pub(super) fn rank<'p>(
    preferences: &[Preference],
    avoid: &'p [String],
    facts: &[Facts<'_>],
    members: &[usize],
) -> Vec<Ranked<'p>> {
    rank_some(preferences, avoid, facts, members, members)
}

/// As [`rank`], of `wanted` members alone: their places are those among all members.
pub(super) fn rank_some<'p>(
    preferences: &[Preference],
    avoid: &'p [String],
    facts: &[Facts<'_>],
    members: &[usize],
    wanted: &[usize],
) -> Vec<Ranked<'p>> {
    let scales: Vec<Scale> = preferences.iter().map(|preference| Scale::of(preference, members)).collect();
    let mut ranked: Vec<Ranked<'p>> = wanted
        .iter()
        .map(|&model| {
            let mark = |(scale, preference): (&Scale, &Preference)| preference.scores[model].map(|s| scale.mark(s));
            let marks: Vec<Option<Mark>> = scales.iter().zip(preferences).map(mark).collect();
            let (fit, covered) = fit(preferences, &marks);
            let avoided = avoid.iter().map(String::as_str).filter(|tag| has_tag(&facts[model], tag)).collect();
            Ranked { model, fit, covered, marks, avoided }
        })
        .collect();
    ranked.sort_by(|a, b| compare(facts, a, b));
    ranked
}

fn compare(facts: &[Facts<'_>], a: &Ranked<'_>, b: &Ranked<'_>) -> Ordering {
    let fit = |ranked: &Ranked<'_>| ranked.fit.unwrap_or(f64::NEG_INFINITY);
    let (left, right) = (&facts[a.model], &facts[b.model]);
    (a.avoided.is_empty().cmp(&b.avoided.is_empty()).reverse())
        .then(a.is_covered().cmp(&b.is_covered()).reverse())
        .then(fit(b).total_cmp(&fit(a)))
        .then(right.downloads.cmp(&left.downloads))
        .then(left.id.cmp(right.id))
}

fn fit(preferences: &[Preference], marks: &[Option<Mark>]) -> (Option<f64>, f64) {
    let (mut sum, mut weights, mut total) = (0.0, 0.0, 0.0);
    for (preference, mark) in preferences.iter().zip(marks) {
        total += preference.weight;
        if let Some(mark) = mark {
            sum += preference.weight * mark.percentile;
            weights += preference.weight;
        }
    }
    if weights > 0.0 { (Some(sum / weights), weights / total) } else { (None, 0.0) }
}

/// The scores that members have in a column, in order.
struct Scale {
    sign: f64,
    sorted: Vec<f64>,
}

impl Scale {
    fn of(preference: &Preference, members: &[usize]) -> Self {
        let sign = if known::lower_is_better(&preference.name) { -1.0 } else { 1.0 };
        let mut sorted: Vec<f64> =
            members.iter().filter_map(|&model| preference.scores[model]).map(|score| sign * score).collect();
        sorted.sort_unstable_by(f64::total_cmp);
        Self { sign, sorted }
    }

    /// The place of a score that a member has.
    fn mark(&self, score: f64) -> Mark {
        let Self { sign, sorted } = self;
        let of = sorted.len();
        let below = sorted.partition_point(|other| *other < sign * score);
        let not_above = sorted.partition_point(|other| *other <= sign * score);
        let percentile = (below + not_above) as f64 / (2 * of) as f64;
        Mark { score, percentile, rank: of - not_above + 1, of }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn preference(name: &str, weight: f64, scores: &[Option<f64>]) -> Preference {
        Preference { name: name.to_owned(), weight, scores: scores.to_vec(), questions: None }
    }

    fn check_marks(name: &str, scores: &[Option<f64>], members: &[usize], expected: &[Option<(f64, usize, usize)>]) {
        let scale = Scale::of(&preference(name, 1.0, scores), members);
        let found: Vec<_> = members
            .iter()
            .map(|&model| scores[model].map(|score| scale.mark(score)))
            .map(|mark| mark.map(|mark| (mark.percentile, mark.rank, mark.of)))
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn percentiles_are_mid_ranks_among_those_with_a_score() {
        let scores = [Some(10.0), None, Some(30.0), Some(20.0), Some(20.0)];
        let all = [0, 1, 2, 3, 4];
        check_marks(
            "x",
            &scores,
            &all,
            &[Some((0.125, 4, 4)), None, Some((0.875, 1, 4)), Some((0.5, 2, 4)), Some((0.5, 2, 4))],
        );
        // Only members count.
        check_marks("x", &scores, &[0, 3], &[Some((0.25, 2, 2)), Some((0.75, 1, 2))]);
        check_marks("x", &scores, &[2], &[Some((0.5, 1, 1))]);
        check_marks("x", &scores, &[1], &[None]);
        check_marks("x", &[Some(0.0), Some(-0.0)], &[0, 1], &[Some((0.5, 1, 2)), Some((0.5, 1, 2))]);
        // Of prices the lower is better.
        check_marks("price_in", &scores, &[0, 2], &[Some((0.75, 1, 2)), Some((0.25, 2, 2))]);
    }

    /// Ranks models given as id, downloads and scores, and gives their ids with fits.
    fn check(models: &[(&'static str, u64, &[Option<f64>])], weights: &[f64], expected: &[(&str, Option<f64>)]) {
        let facts: Vec<_> = models
            .iter()
            .map(|(id, downloads, _)| Facts { id, downloads: Some(*downloads), ..Facts::default() })
            .collect();
        let preferences: Vec<_> = weights
            .iter()
            .enumerate()
            .map(|(column, weight)| {
                let scores: Vec<_> = models.iter().map(|(_, _, scores)| scores[column]).collect();
                preference("x", *weight, &scores)
            })
            .collect();
        let members: Vec<usize> = (0..models.len()).collect();
        let found: Vec<_> = rank(&preferences, &[], &facts, &members)
            .iter()
            .map(|ranked| (facts[ranked.model].id, ranked.fit))
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn fit_is_the_weighted_mean_of_what_is_known() {
        check(
            &[("a", 0, &[Some(1.0), Some(9.0)]), ("b", 0, &[Some(2.0), Some(8.0)]), ("c", 0, &[Some(3.0), None])],
            &[3.0, 1.0],
            // c has no second score, and is placed by the first alone.
            &[("c", Some(5.0 / 6.0)), ("b", Some((3.0 * 0.5 + 0.25) / 4.0)), ("a", Some((3.0 / 6.0 + 0.75) / 4.0))],
        );
    }

    #[test]
    fn a_single_lucky_column_does_not_win() {
        let models: &[(&str, u64, &[Option<f64>])] =
            &[("lucky", 0, &[None, Some(99.0)]), ("known", 0, &[Some(1.0), Some(1.0)]), ("nothing", 9, &[None, None])];
        check(
            models,
            &[3.0, 1.0],
            &[("known", Some((3.0 * 0.5 + 0.25) / 4.0)), ("lucky", Some(0.75)), ("nothing", None)],
        );
        // Half of the weight is enough.
        check(models, &[1.0, 1.0], &[("lucky", Some(0.75)), ("known", Some(0.375)), ("nothing", None)]);
        check(models, &[0.3, 0.3], &[("lucky", Some(0.75)), ("known", Some(0.375)), ("nothing", None)]);
    }

    #[test]
    fn ties_go_to_downloads_then_to_the_id() {
        let score: &[Option<f64>] = &[Some(1.0)];
        check(
            &[("c", 1, score), ("b", 1, score), ("a", 0, score), ("d", 2, score)],
            &[1.0],
            &[("d", Some(0.5)), ("b", Some(0.5)), ("c", Some(0.5)), ("a", Some(0.5))],
        );
        check(&[("b", 1, &[]), ("a", 1, &[]), ("c", 2, &[])], &[], &[("c", None), ("a", None), ("b", None)]);
    }

    #[test]
    fn tags_are_read_from_facts() {
        let facts = Facts { kind: Some("merge"), reasoning: Some(true), official: Some(true), ..Facts::default() };
        for (tag, expected) in [("reasoning", true), ("merge", true), ("base", false), ("unofficial", false)] {
            assert_eq!(has_tag(&facts, tag), expected, "{tag}");
        }
        for official in [None, Some(false)] {
            assert!(has_tag(&Facts { official, ..Facts::default() }, "unofficial"));
        }
        assert!(!has_tag(&Facts { reasoning: Some(false), ..Facts::default() }, "reasoning"));
    }
}
