//! The words for how a model stands to a requirement.

use super::facts::Facts;
use super::number::{bytes, bytes_both};
use super::require::{Finding, Requirement, needed};
use crate::spec::{Conversation, DateRange, Fits, KvCache, PriceCeiling, Purpose, Range};
use crate::stats::text::thousands;

impl Requirement<'_> {
    /// Says in a few words how the model stands to it.
    pub(super) fn explain(&self, facts: &Facts<'_>) -> String {
        let finding = self.test(facts);
        match self {
            Self::Type(types) => explain_type(types, facts, finding),
            Self::Params(range) => explain_params(range, facts, finding),
            Self::License => explain_license(facts, finding),
            Self::Context(least, conversation) => explain_context(*least, *conversation, facts, finding),
            Self::Fits(fits) => explain_fits(fits, facts),
            Self::Official => match finding {
                Finding::Met => "its publisher's own repository",
                Finding::Missed => "not its publisher's repository",
                Finding::Unknown => "unknown whether the repository is its publisher's",
            }
            .to_owned(),
            Self::Precision(allowed) => one_of("precision", "published in", allowed, facts.precision, finding),
            Self::Released(range) => explain_date("release date", "released", range, facts.release_date, finding),
            Self::Cutoff(range) => {
                explain_date("knowledge cutoff", "its knowledge ends", range, facts.knowledge_cutoff, finding)
            }
            Self::Tools => match finding {
                Finding::Met => "made to call tools",
                Finding::Missed => "not made to call tools",
                Finding::Unknown => "unknown whether it calls tools",
            }
            .to_owned(),
            Self::OpenWeights => match finding {
                Finding::Met => "its weights are public",
                Finding::Missed => "its weights are not public",
                Finding::Unknown => "unknown whether its weights are public",
            }
            .to_owned(),
            Self::Price(ceiling) => explain_price(ceiling, facts, finding),
        }
    }
}

fn explain_type(types: &[String], facts: &Facts<'_>, finding: Finding) -> String {
    one_of("type", "type is", types, facts.kind, finding)
}

fn one_of(what: &str, is: &str, allowed: &[String], own: Option<&str>, finding: Finding) -> String {
    match own {
        None => format!("{what} unknown, {} required", allowed.join(" or ")),
        Some(own) if finding == Finding::Met => format!("{is} {own}"),
        Some(own) => format!("{is} {own}, not {}", allowed.join(" or ")),
    }
}

fn explain_context(least: u64, conversation: Option<Conversation>, facts: &Facts<'_>, finding: Finding) -> String {
    let wanted = match conversation {
        None => thousands(least),
        Some(Conversation { turns, tokens_per_turn, system_tokens }) => {
            let system = if system_tokens > 0 { format!(" and {}", thousands(system_tokens)) } else { String::new() };
            format!("{} for {} turns of {}{system}", thousands(least), thousands(turns), thousands(tokens_per_turn))
        }
    };
    match facts.context {
        Some(context) if finding == Finding::Met => {
            format!("{} tokens of context, at least {wanted}", thousands(context))
        }
        Some(context) => format!("{} tokens of context, fewer than {wanted}", thousands(context)),
        None => format!("context unknown, at least {wanted} tokens required"),
    }
}

fn explain_date(what: &str, is: &str, range: &DateRange, own: Option<&str>, finding: Finding) -> String {
    let wanted = match (&range.min, &range.max) {
        (Some(min), Some(max)) => format!("within {min}–{max}"),
        (Some(min), None) => format!("from {min} on"),
        (None, Some(max)) => format!("up to {max}"),
        (None, None) => "any day".to_owned(),
    };
    match own {
        None => format!("{what} unknown, {wanted} required"),
        Some(own) if finding == Finding::Met => format!("{is} {own}"),
        Some(own) => format!("{is} {own}, not {wanted}"),
    }
}

fn explain_price(ceiling: &PriceCeiling, facts: &Facts<'_>, finding: Finding) -> String {
    let PriceCeiling { input, output } = ceiling;
    let sides = [("prompts", facts.price_in, input), ("replies", facts.price_out, output)];
    let parts = sides.into_iter().filter_map(|(what, price, ceiling)| {
        let ceiling = (*ceiling)?;
        let met = price.map(|price| price <= ceiling);
        let text = match (price, met) {
            (None, _) | (_, None) => format!("price of {what} unknown, at most ${ceiling} a million tokens required"),
            (Some(price), Some(true)) => format!("${price} a million tokens of {what}"),
            (Some(price), Some(false)) => format!("${price} a million tokens of {what}, more than ${ceiling}"),
        };
        // Where it fails, what is in order is of no interest.
        (finding == Finding::Met || met != Some(true)).then_some(text)
    });
    parts.collect::<Vec<_>>().join(", ")
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
        return if fits.memory_bytes == 0 {
            "the memory of this machine is unknown".to_owned()
        } else {
            "parameters unknown, and with them the memory needed".to_owned()
        };
    };
    let how = how(fits);
    let estimated = match (memory.kv_cache_estimated, memory.weights_estimated) {
        (false, false) => "",
        (true, false) if fits.purpose == Purpose::Inference => " (KV cache estimated)",
        (true, false) => " (by rule of thumb)",
        (false, true) => " (weights estimated)",
        (true, true) => " (weights and KV cache estimated)",
    };
    match memory.total.checked_sub(fits.memory_bytes) {
        None | Some(0) => {
            let available = bytes_both(fits.memory_bytes);
            let machine = if fits.of_machine { " of this machine" } else { "" };
            format!("needs {} of {available}{machine} {how}{estimated}", bytes(memory.total))
        }
        Some(excess) => format!(
            "{} B parameters need {} {how}{estimated}, {} more than there is",
            facts.params_b.unwrap_or_default(),
            bytes(memory.total),
            bytes(excess),
        ),
    }
}

/// `at 8,192 tokens`, `as Q4_K_M at 8,192 tokens × 4`, `to train an adapter at 2,048 tokens`.
pub(super) fn how(fits: &Fits) -> String {
    let Fits {
        context,
        quantization,
        kv_cache,
        sequences,
        purpose,
        memory_bytes: _,
        of_machine: _,
        bits_per_weight: _,
    } = fits;
    let times = if *sequences > 1 { format!(" × {sequences}") } else { String::new() };
    let at = format!("at {} tokens{times}", thousands(*context));
    match purpose {
        Purpose::Lora => format!("to train an adapter {at}"),
        Purpose::Qlora => format!("to train an adapter over 4 bits {at}"),
        Purpose::Full => format!("to train all of it {at}"),
        Purpose::Inference => {
            let label = quantization.map_or_else(String::new, |label| format!("as {} ", label.as_str()));
            let cache =
                if *kv_cache == KvCache::F16 { String::new() } else { format!(" with a {} cache", kv_cache.as_str()) };
            format!("{label}{at}{cache}")
        }
    }
}
