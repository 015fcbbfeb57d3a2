//! Pairs of replies in words: which a judge prefers, and how far it is moved by their order.

use serde::Serialize;

use super::model::model_in_words;
use crate::data::Preferences;
use crate::ids::StageId;
use crate::spec;
use crate::stats::text::{count, percent};
use crate::stats::{Light, Measure, PositionBias, position_bias};

/// What a `prefer` stage came to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StagePreferences {
    /// The stage.
    pub stage: StageId,
    /// The stage whose replies are the base.
    pub base: StageId,
    /// The stage whose replies are compared with them.
    pub new: StageId,
    /// By what they are compared.
    pub questions: Vec<String>,
    /// Who judged, in words.
    pub judged_by: String,
    /// What was counted.
    pub found: Preferences,
    /// How far the order of replies moves the judge; null where it was asked about no pair.
    pub position: Option<Position>,
    /// Which replies are preferred: one sentence.
    pub headline: String,
}

/// How far the order of two replies moves a judge.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Position {
    /// The share of pairs with the same preference in both orders.
    pub consistency: f64,
    /// The share in which the first place won less that in which the second did.
    pub bias: f64,
    /// The probability of one as large if order did not matter.
    pub p: f64,
    /// `green`, `amber` or `red`.
    pub light: &'static str,
}

/// The name of a light.
pub(super) fn light_name(light: Light) -> &'static str {
    match light {
        Light::Green => "green",
        Light::Amber => "amber",
        Light::Red => "red",
    }
}

pub(super) fn in_words(pipeline: &spec::Pipeline, found: Vec<(StageId, Preferences)>) -> Vec<StagePreferences> {
    let stage = |(id, found): (StageId, Preferences)| {
        let Some(spec::Stage::Prefer(spec)) = pipeline.stages.get(&id) else { return None };
        let position = position_bias(found.base + found.new, found.first, found.second).map(|measured| {
            let light = light_name(Measure::Position(measured).light());
            let PositionBias { consistency, flip_rate: _, first_preferred: _, second_preferred: _, bias, p } = measured;
            Position { consistency, bias, p, light }
        });
        Some(StagePreferences {
            headline: headline(&found, position.as_ref(), &spec.base, &spec.new),
            stage: id,
            base: spec.base.clone(),
            new: spec.new.clone(),
            questions: spec.questions.clone(),
            judged_by: model_in_words(pipeline, &spec.model),
            found,
            position,
        })
    };
    found.into_iter().filter_map(stage).collect()
}

fn headline(found: &Preferences, position: Option<&Position>, base: &StageId, new: &StageId) -> String {
    let Some(rate) = found.win_rate else {
        return format!("no pair of `{base}` and `{new}` was judged");
    };
    if position.is_some_and(|position| position.light == "red") {
        return "the order of the replies moves the judge so much that its preferences decide nothing".to_owned();
    }
    let won = format!(
        "with ties as a half, `{new}` wins {} of {} ({} to {})",
        percent(rate.point),
        count(rate.n, "pair"),
        percent(rate.lo),
        percent(rate.hi)
    );
    if rate.lo > 0.5 {
        format!("`{new}` is preferred: {won}")
    } else if rate.hi < 0.5 {
        format!("`{base}` is preferred: {won}")
    } else {
        format!("neither is shown to be better: {won}")
    }
}
