//! The requirements: whether a model meets each, and how far it is from it. What is not known does not meet a requirement.

use super::facts::Facts;
use super::memory::{Memory, estimate};
use crate::spec::{Conversation, DateRange, Fits, PriceCeiling, Range, Require};

/// One thing that a candidate must satisfy.
#[derive(Debug, Clone, Copy)]
pub(super) enum Requirement<'r> {
    /// Its type is one of these.
    Type(&'r [String]),
    /// Its parameters in billions lie in the range.
    Params(Range),
    /// Its licence allows commercial use.
    License,
    /// It has at least so many tokens of context; with the conversation that they are reckoned from, if one is.
    Context(u64, Option<Conversation>),
    /// It fits into memory.
    Fits(Fits),
    /// It lies in its publisher's repository.
    Official,
    /// Its weights were published in one of these precisions.
    Precision(&'r [String]),
    /// It was published within these dates.
    Released(&'r DateRange),
    /// Its knowledge ends within these dates.
    Cutoff(&'r DateRange),
    /// It is made to call tools.
    Tools,
    /// Its weights are public.
    OpenWeights,
    /// It costs no more.
    Price(PriceCeiling),
}

/// How a model stands to a requirement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Finding {
    /// It meets it.
    Met,
    /// It does not.
    Missed,
    /// The catalog does not say.
    Unknown,
}

/// Lists what is required, in the order it is tried.
pub(super) fn requirements(require: &Require) -> Vec<Requirement<'_>> {
    let Require {
        params_b,
        commercial_license,
        context,
        types,
        fits,
        official,
        conversation,
        precision,
        released,
        knowledge_cutoff,
        tool_calls,
        open_weights,
        price,
    } = require;
    // The conversation is told of where it is what asks for so much.
    let conversation =
        conversation.filter(|conversation| context.is_none_or(|context| conversation.tokens() > context));
    let range = params_b.filter(|range| range.min.is_some() || range.max.is_some());
    [
        (!types.is_empty()).then_some(Requirement::Type(types)),
        range.map(Requirement::Params),
        commercial_license.then_some(Requirement::License),
        require.least_context().map(|least| Requirement::Context(least, conversation)),
        fits.map(Requirement::Fits),
        official.then_some(Requirement::Official),
        (!precision.is_empty()).then_some(Requirement::Precision(precision)),
        released.as_ref().map(Requirement::Released),
        knowledge_cutoff.as_ref().map(Requirement::Cutoff),
        tool_calls.then_some(Requirement::Tools),
        open_weights.then_some(Requirement::OpenWeights),
        price.map(Requirement::Price),
    ]
    .into_iter()
    .flatten()
    .collect()
}

impl Requirement<'_> {
    /// Its key in the pipeline file.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Type(_) => "type",
            Self::Params(_) => "params_b",
            Self::License => "license",
            Self::Context(_, None) => "context",
            Self::Context(_, Some(_)) => "conversation",
            Self::Fits(_) => "fits",
            Self::Official => "official",
            Self::Precision(_) => "precision",
            Self::Released(_) => "released",
            Self::Cutoff(_) => "knowledge_cutoff",
            Self::Tools => "tool_calls",
            Self::OpenWeights => "open_weights",
            Self::Price(_) => "price",
        }
    }

    /// Whether the model meets it.
    pub(super) fn test(&self, facts: &Facts<'_>) -> Finding {
        let met = match self {
            Self::Type(types) => facts.kind.map(|kind| types.iter().any(|allowed| allowed == kind)),
            Self::Params(range) => facts
                .params_b
                .map(|params| range.min.is_none_or(|min| params >= min) && range.max.is_none_or(|max| params <= max)),
            Self::License => facts.commercial,
            Self::Context(least, _) => facts.context.map(|context| context >= *least),
            Self::Fits(fits) => needed(facts, fits).map(|memory| memory.total <= fits.memory_bytes),
            Self::Official => facts.official,
            Self::Precision(allowed) => facts.precision.map(|own| allowed.iter().any(|name| name == own)),
            Self::Released(range) => facts.release_date.map(|date| is_within(date, range)),
            Self::Cutoff(range) => facts.knowledge_cutoff.map(|date| is_within(date, range)),
            Self::Tools => facts.tool_call,
            Self::OpenWeights => facts.open_weights,
            Self::Price(ceiling) => within_ceiling(ceiling, facts),
        };
        match met {
            Some(true) => Finding::Met,
            Some(false) => Finding::Missed,
            None => Finding::Unknown,
        }
    }

    /// How far the model is from meeting it: 0 if it does, else 1, and one more for each doubling of the number that is too
    /// large or too small. An unknown number counts as three doublings: relaxing the requirement would not help.
    pub(super) fn distance(&self, facts: &Facts<'_>) -> u32 {
        if self.test(facts) == Finding::Met {
            return 0;
        }
        let ratio = match self {
            Self::Type(_)
            | Self::License
            | Self::Official
            | Self::Precision(_)
            | Self::Released(_)
            | Self::Cutoff(_)
            | Self::Tools
            | Self::OpenWeights => return 1,
            Self::Params(Range { min, max }) => facts.params_b.map(|params| match (min, max) {
                (Some(min), _) if params < *min => min / params,
                (_, Some(max)) => params / max,
                _ => 1.0,
            }),
            Self::Context(least, _) => facts.context.map(|context| *least as f64 / context as f64),
            Self::Fits(fits) => needed(facts, fits).map(|memory| memory.total as f64 / fits.memory_bytes as f64),
            Self::Price(PriceCeiling { input, output }) => {
                let over = |price: Option<f64>, ceiling: Option<f64>| Some(price? / ceiling?);
                match (over(facts.price_in, *input), over(facts.price_out, *output)) {
                    (Some(one), Some(other)) => Some(one.max(other)),
                    (one, other) => one.or(other),
                }
            }
        };
        1 + ratio.map_or(3, doublings)
    }
}

/// Whether a date lies in the range. One that is known to the year or month only must lie in it as a whole.
fn is_within(date: &str, range: &DateRange) -> bool {
    // Of a year or month the last day is asked for; `12-31` is the last of every year, and no month is longer than `31`.
    let last = match date.len() {
        4 => format!("{date}-12-31"),
        7 => format!("{date}-31"),
        _ => date.to_owned(),
    };
    let DateRange { min, max } = range;
    min.as_deref().is_none_or(|min| date >= min)
        && max.as_deref().is_none_or(|max| last.get(..max.len()).unwrap_or(&last) <= max)
}

fn within_ceiling(ceiling: &PriceCeiling, facts: &Facts<'_>) -> Option<bool> {
    let PriceCeiling { input, output } = ceiling;
    let sides = [(facts.price_in, input), (facts.price_out, output)];
    let met: Vec<Option<bool>> = sides
        .into_iter()
        .filter_map(|(price, ceiling)| ceiling.map(|ceiling| price.map(|price| price <= ceiling)))
        .collect();
    // One price that is too high is enough, whatever the other is.
    if met.contains(&Some(false)) { Some(false) } else { met.into_iter().collect::<Option<Vec<_>>>().map(|_| true) }
}

/// How often 1 can be doubled without passing `ratio`, at most 64 times.
fn doublings(ratio: f64) -> u32 {
    let mut rest = ratio;
    let mut count = 0;
    while rest >= 2.0 && count < 64 {
        rest /= 2.0;
        count += 1;
    }
    count
}

/// Estimates what the model needs where it must fit.
pub(super) fn needed(facts: &Facts<'_>, fits: &Fits) -> Option<Memory> {
    // What the machine has is not known where nobody filled it in.
    if fits.memory_bytes == 0 { None } else { estimate(facts, fits) }
}

#[cfg(test)]
mod tests;
