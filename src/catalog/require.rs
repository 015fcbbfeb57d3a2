//! The requirements: whether a model meets each, and the words for it. What is not known does not meet a requirement.

use super::facts::Facts;
use super::memory::{Memory, memory_bytes};
use super::number::{bytes, bytes_both};
use crate::spec::{Fits, Range, Require};
use crate::stats::text::thousands;

/// One thing that a candidate must satisfy.
#[derive(Debug, Clone, Copy)]
pub(super) enum Requirement<'r> {
    /// Its type is one of these.
    Type(&'r [String]),
    /// Its parameters in billions lie in the range.
    Params(Range),
    /// Its licence allows commercial use.
    License,
    /// It has at least so many tokens of context.
    Context(u64),
    /// It fits into memory.
    Fits(Fits),
    /// It lies in its publisher's repository.
    Official,
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
    let Require { params_b, commercial_license, context, types, fits, official } = require;
    let range = params_b.filter(|range| range.min.is_some() || range.max.is_some());
    [
        (!types.is_empty()).then_some(Requirement::Type(types)),
        range.map(Requirement::Params),
        commercial_license.then_some(Requirement::License),
        context.map(Requirement::Context),
        fits.map(Requirement::Fits),
        official.then_some(Requirement::Official),
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
            Self::Context(_) => "context",
            Self::Fits(_) => "fits",
            Self::Official => "official",
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
            Self::Context(least) => facts.context.map(|context| context >= *least),
            Self::Fits(fits) => needed(facts, fits).map(|memory| memory.total <= fits.memory_bytes),
            Self::Official => facts.official,
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
            Self::Type(_) | Self::License | Self::Official => return 1,
            Self::Params(Range { min, max }) => facts.params_b.map(|params| match (min, max) {
                (Some(min), _) if params < *min => min / params,
                (_, Some(max)) => params / max,
                _ => 1.0,
            }),
            Self::Context(least) => facts.context.map(|context| *least as f64 / context as f64),
            Self::Fits(fits) => needed(facts, fits).map(|memory| memory.total as f64 / fits.memory_bytes as f64),
        };
        1 + ratio.map_or(3, doublings)
    }

    /// Says in a few words how the model stands to it.
    pub(super) fn explain(&self, facts: &Facts<'_>) -> String {
        let finding = self.test(facts);
        match self {
            Self::Type(types) => explain_type(types, facts, finding),
            Self::Params(range) => explain_params(range, facts, finding),
            Self::License => explain_license(facts, finding),
            Self::Context(least) => match facts.context {
                Some(context) if finding == Finding::Met => {
                    format!("{} tokens of context, at least {}", thousands(context), thousands(*least))
                }
                Some(context) => {
                    format!("{} tokens of context, fewer than {}", thousands(context), thousands(*least))
                }
                None => format!("context unknown, at least {} tokens required", thousands(*least)),
            },
            Self::Fits(fits) => explain_fits(fits, facts),
            Self::Official => match finding {
                Finding::Met => "its publisher's own repository",
                Finding::Missed => "not its publisher's repository",
                Finding::Unknown => "unknown whether the repository is its publisher's",
            }
            .to_owned(),
        }
    }
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
    memory_bytes(facts, fits.context, fits.bits_per_weight)
}

fn explain_type(types: &[String], facts: &Facts<'_>, finding: Finding) -> String {
    match facts.kind {
        None => format!("type unknown, {} required", types.join(" or ")),
        Some(kind) if finding == Finding::Met => format!("type is {kind}"),
        Some(kind) => format!("type is {kind}, not {}", types.join(" or ")),
    }
}

fn explain_params(range: &Range, facts: &Facts<'_>, finding: Finding) -> String {
    let wanted = match (range.min, range.max) {
        (Some(min), Some(max)) => format!("within {min}–{max}"),
        (Some(min), None) => format!("at least {min}"),
        (None, Some(max)) => format!("at most {max}"),
        (None, None) => "any number".to_owned(),
    };
    match facts.params_b {
        None => format!("parameters unknown, {wanted} B required"),
        Some(params) if finding == Finding::Met => format!("{params} B parameters {wanted}"),
        Some(params) => format!("{params} B parameters, not {wanted}"),
    }
}

fn explain_license(facts: &Facts<'_>, finding: Finding) -> String {
    let license = facts.license.unwrap_or("its licence");
    match finding {
        Finding::Met => match facts.license_note {
            Some(note) => format!("{license} allows commercial use ({note})"),
            None => format!("{license} allows commercial use"),
        },
        Finding::Missed => format!("{license} does not allow commercial use"),
        Finding::Unknown if facts.license.is_none() => {
            "licence unknown, one that allows commercial use required".to_owned()
        }
        Finding::Unknown => format!("unknown whether the licence `{license}` allows commercial use"),
    }
}

fn explain_fits(fits: &Fits, facts: &Facts<'_>) -> String {
    let Some(memory) = needed(facts, fits) else {
        return "parameters unknown, and with them the memory needed".to_owned();
    };
    let context = thousands(fits.context);
    let estimated = if memory.kv_cache_estimated { " (KV cache estimated)" } else { "" };
    match memory.total.checked_sub(fits.memory_bytes) {
        None | Some(0) => {
            let available = bytes_both(fits.memory_bytes);
            format!("needs {} of {available} at {context} tokens{estimated}", bytes(memory.total))
        }
        Some(excess) => format!(
            "{} B parameters need {} at {context} tokens{estimated}, {} more than there is",
            facts.params_b.unwrap_or_default(),
            bytes(memory.total),
            bytes(excess),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(requirement: Requirement<'_>, facts: Facts<'_>, finding: Finding, words: &str) {
        assert_eq!(requirement.test(&facts), finding, "{words}");
        assert_eq!(requirement.explain(&facts), words);
    }

    fn range(min: Option<f64>, max: Option<f64>) -> Requirement<'static> {
        Requirement::Params(Range { min, max })
    }

    #[test]
    fn types() {
        let types = ["chat".to_owned(), "base".to_owned()];
        let kind = |kind| Facts { kind, ..Facts::default() };
        check(Requirement::Type(&types), kind(Some("base")), Finding::Met, "type is base");
        check(Requirement::Type(&types), kind(Some("merge")), Finding::Missed, "type is merge, not chat or base");
        check(Requirement::Type(&types), kind(None), Finding::Unknown, "type unknown, chat or base required");
    }

    #[test]
    fn parameters() {
        let params = |params_b| Facts { params_b: Some(params_b), ..Facts::default() };
        let both = range(Some(0.1), Some(0.5));
        for end in [0.1, 0.5] {
            check(both, params(end), Finding::Met, &format!("{end} B parameters within 0.1–0.5"));
        }
        check(both, params(0.501), Finding::Missed, "0.501 B parameters, not within 0.1–0.5");
        check(range(Some(7.0), None), params(6.9), Finding::Missed, "6.9 B parameters, not at least 7");
        check(range(None, Some(10.0)), params(8.0), Finding::Met, "8 B parameters at most 10");
        check(both, Facts::default(), Finding::Unknown, "parameters unknown, within 0.1–0.5 B required");
    }

    #[test]
    fn licences() {
        let facts = |license, license_note, commercial| Facts { license, license_note, commercial, ..Facts::default() };
        for (facts, finding, words) in [
            (facts(Some("mit"), None, Some(true)), Finding::Met, "mit allows commercial use"),
            (facts(Some("gemma"), Some("terms"), Some(true)), Finding::Met, "gemma allows commercial use (terms)"),
            (facts(None, None, Some(true)), Finding::Met, "its licence allows commercial use"),
            (
                facts(Some("cc-by-nc-4.0"), None, Some(false)),
                Finding::Missed,
                "cc-by-nc-4.0 does not allow commercial use",
            ),
            (
                facts(Some("other"), None, None),
                Finding::Unknown,
                "unknown whether the licence `other` allows commercial use",
            ),
            (facts(None, None, None), Finding::Unknown, "licence unknown, one that allows commercial use required"),
        ] {
            check(Requirement::License, facts, finding, words);
        }
    }

    #[test]
    fn contexts() {
        let facts = |context| Facts { context, ..Facts::default() };
        let required = Requirement::Context(8192);
        check(required, facts(Some(8192)), Finding::Met, "8,192 tokens of context, at least 8,192");
        check(required, facts(Some(4096)), Finding::Missed, "4,096 tokens of context, fewer than 8,192");
        check(required, facts(None), Finding::Unknown, "context unknown, at least 8,192 tokens required");
    }

    #[test]
    fn memory() {
        let small = Facts {
            params_b: Some(0.135),
            layers: Some(30),
            kv_heads: Some(3),
            head_dim: Some(64),
            ..Facts::default()
        };
        let total = memory_bytes(&small, 2048, 16.0).unwrap().total;
        let fits = |memory_bytes| Requirement::Fits(Fits { memory_bytes, context: 2048, bits_per_weight: 16.0 });
        check(fits(512 << 20), small.clone(), Finding::Met, "needs 0.47 GB of 0.54 GB (0.50 GiB) at 2,048 tokens");
        assert_eq!(fits(total).test(&small), Finding::Met);
        check(
            fits(total - 1),
            small.clone(),
            Finding::Missed,
            "0.135 B parameters need 0.47 GB at 2,048 tokens, 1 B more than there is",
        );
        check(
            fits(512 << 20),
            Facts { layers: None, ..small },
            Finding::Met,
            "needs 0.47 GB of 0.54 GB (0.50 GiB) at 2,048 tokens (KV cache estimated)",
        );
        check(
            fits(512 << 20),
            Facts::default(),
            Finding::Unknown,
            "parameters unknown, and with them the memory needed",
        );
    }

    #[test]
    fn publishers() {
        let facts = |official| Facts { official, ..Facts::default() };
        check(Requirement::Official, facts(Some(true)), Finding::Met, "its publisher's own repository");
        check(Requirement::Official, facts(Some(false)), Finding::Missed, "not its publisher's repository");
        check(
            Requirement::Official,
            facts(None),
            Finding::Unknown,
            "unknown whether the repository is its publisher's",
        );
    }

    #[test]
    fn distance_counts_doublings() {
        let facts = Facts { params_b: Some(8.0), context: Some(4096), ..Facts::default() };
        for (requirement, distance) in [
            (range(Some(7.0), Some(10.0)), 0),
            (range(Some(9.0), None), 1),
            (range(None, Some(4.1)), 1),
            (range(None, Some(4.0)), 2),
            (range(Some(0.1), Some(0.5)), 5),
            (range(Some(100.0), Some(200.0)), 4),
            (range(Some(0.0), Some(0.0)), 65),
            (Requirement::Context(4097), 1),
            (Requirement::Context(32_768), 4),
            (Requirement::License, 1),
            (Requirement::Type(&[]), 1),
            (Requirement::Fits(Fits { memory_bytes: 1 << 30, context: 2048, bits_per_weight: 16.0 }), 5),
        ] {
            assert_eq!(requirement.distance(&facts), distance, "{requirement:?}");
        }
        for (requirement, distance) in
            [(range(Some(1.0), None), 4), (Requirement::Context(1), 4), (Requirement::Official, 1)]
        {
            assert_eq!(requirement.distance(&Facts::default()), distance, "{requirement:?}");
        }
    }

    #[test]
    fn the_order_is_fixed_and_open_ends_ask_nothing() {
        let all = Require {
            params_b: Some(Range { min: None, max: Some(1.0) }),
            commercial_license: true,
            context: Some(1),
            types: vec!["chat".to_owned()],
            fits: Some(Fits { memory_bytes: 1, context: 1, bits_per_weight: 16.0 }),
            official: true,
        };
        let names: Vec<_> = requirements(&all).iter().map(Requirement::name).collect();
        assert_eq!(names, ["type", "params_b", "license", "context", "fits", "official"]);
        let open = Require { params_b: Some(Range { min: None, max: None }), ..Require::default() };
        assert!(requirements(&open).is_empty());
    }
}
