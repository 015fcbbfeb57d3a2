//! Each requirement against models that meet it, miss it, and of which nothing is known.

use super::*;
use crate::catalog::explain::how;
use crate::spec::{KvCache, Purpose};

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
        (facts(Some("cc-by-nc-4.0"), None, Some(false)), Finding::Missed, "cc-by-nc-4.0 does not allow commercial use"),
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
    let required = Requirement::Context(8192, None);
    check(required, facts(Some(8192)), Finding::Met, "8,192 tokens of context, at least 8,192");
    check(required, facts(Some(4096)), Finding::Missed, "4,096 tokens of context, fewer than 8,192");
    check(required, facts(None), Finding::Unknown, "context unknown, at least 8,192 tokens required");
}

#[test]
fn memory() {
    let small =
        Facts { params_b: Some(0.135), layers: Some(30), kv_heads: Some(3), head_dim: Some(64), ..Facts::default() };
    let total = crate::catalog::memory_bytes(&small, 2048, 16.0).unwrap().total;
    let fits = |memory_bytes| Requirement::Fits(Fits::inference(memory_bytes, 2048));
    check(fits(512 << 20), small.clone(), Finding::Met, "needs 0.41 GB of 0.54 GB (0.50 GiB) at 2,048 tokens");
    assert_eq!(fits(total).test(&small), Finding::Met);
    check(
        fits(total - 1),
        small.clone(),
        Finding::Missed,
        "0.135 B parameters need 0.41 GB at 2,048 tokens, 1 B more than there is",
    );
    check(
        fits(512 << 20),
        Facts { layers: None, ..small },
        Finding::Met,
        "needs 0.41 GB of 0.54 GB (0.50 GiB) at 2,048 tokens (KV cache estimated)",
    );
    check(fits(512 << 20), Facts::default(), Finding::Unknown, "parameters unknown, and with them the memory needed");
}

#[test]
fn publishers() {
    let facts = |official| Facts { official, ..Facts::default() };
    check(Requirement::Official, facts(Some(true)), Finding::Met, "its publisher's own repository");
    check(Requirement::Official, facts(Some(false)), Finding::Missed, "not its publisher's repository");
    check(Requirement::Official, facts(None), Finding::Unknown, "unknown whether the repository is its publisher's");
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
        (Requirement::Context(4097, None), 1),
        (Requirement::Context(32_768, None), 4),
        (Requirement::License, 1),
        (Requirement::Type(&[]), 1),
        (Requirement::Fits(Fits::inference(1 << 30, 2048)), 5),
    ] {
        assert_eq!(requirement.distance(&facts), distance, "{requirement:?}");
    }
    for (requirement, distance) in
        [(range(Some(1.0), None), 4), (Requirement::Context(1, None), 4), (Requirement::Official, 1)]
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
        fits: Some(Fits::inference(1, 1)),
        official: true,
        conversation: Some(Conversation { turns: 2, tokens_per_turn: 1, system_tokens: 0 }),
        precision: vec!["bfloat16".to_owned()],
        released: Some(DateRange { min: None, max: None }),
        knowledge_cutoff: Some(DateRange { min: None, max: None }),
        tool_calls: true,
        open_weights: true,
        price: Some(PriceCeiling { input: None, output: Some(1.0) }),
    };
    let names: Vec<_> = requirements(&all).iter().map(Requirement::name).collect();
    let expected = "type params_b license conversation fits official precision released knowledge_cutoff tool_calls \
                    open_weights price";
    assert_eq!(names, expected.split(' ').collect::<Vec<_>>());
    let open = Require { params_b: Some(Range { min: None, max: None }), ..Require::default() };
    assert!(requirements(&open).is_empty());
}

#[test]
fn conversations() {
    let facts = |context| Facts { context, ..Facts::default() };
    let twelve = Conversation { turns: 12, tokens_per_turn: 200, system_tokens: 0 };
    let require = Require { conversation: Some(twelve), ..Require::default() };
    let [wanted] = requirements(&require)[..] else { panic!("it is one requirement") };
    check(wanted, facts(Some(4096)), Finding::Met, "4,096 tokens of context, at least 2,400 for 12 turns of 200");
    check(wanted, facts(Some(2399)), Finding::Missed, "2,399 tokens of context, fewer than 2,400 for 12 turns of 200");
    check(wanted, facts(None), Finding::Unknown, "context unknown, at least 2,400 for 12 turns of 200 tokens required");
    let system = Conversation { system_tokens: 600, ..twelve };
    let require = Require { conversation: Some(system), context: Some(3001), ..Require::default() };
    // The larger of the two counts.
    assert_eq!(requirements(&require)[0].name(), "context");
    assert_eq!(require.least_context(), Some(3001));
    assert_eq!(Require { context: Some(8), ..require }.least_context(), Some(3000));
}

#[test]
fn dates() {
    let of = |date| Facts { release_date: date, knowledge_cutoff: date, ..Facts::default() };
    let range =
        |min: Option<&str>, max: Option<&str>| DateRange { min: min.map(str::to_owned), max: max.map(str::to_owned) };
    for (min, max, date, met) in [
        (Some("2024-06"), None, "2024-06-01", true),
        (Some("2024-06"), None, "2024-05-31", false),
        (None, Some("2024-06"), "2024-06-30", true),
        (None, Some("2024-06"), "2024-07-01", false),
        (Some("2024-06-15"), None, "2024-06", false),
        (None, Some("2024-06-15"), "2024-06", false),
        (None, Some("2024-06"), "2024-06", true),
        (Some("2024"), Some("2024"), "2024-12-31", true),
        (Some("2024"), Some("2024"), "2025", false),
        (None, Some("2024-06"), "2024", false),
    ] {
        let range = range(min, max);
        let expected = if met { Finding::Met } else { Finding::Missed };
        assert_eq!(Requirement::Released(&range).test(&of(Some(date))), expected, "{range:?} {date}");
    }
    let from = range(Some("2024-06"), None);
    check(Requirement::Released(&from), of(Some("2024-07-01")), Finding::Met, "released 2024-07-01");
    check(
        Requirement::Cutoff(&from),
        of(Some("2023-12")),
        Finding::Missed,
        "its knowledge ends 2023-12, not from 2024-06 on",
    );
    check(
        Requirement::Released(&range(Some("2024"), Some("2025"))),
        of(None),
        Finding::Unknown,
        "release date unknown, within 2024–2025 required",
    );
}

#[test]
fn yes_or_no_and_precision() {
    for (requirement, words) in [
        (Requirement::Tools, ["made to call tools", "not made to call tools", "unknown whether it calls tools"]),
        (
            Requirement::OpenWeights,
            ["its weights are public", "its weights are not public", "unknown whether its weights are public"],
        ),
    ] {
        for (value, finding, words) in [
            (Some(true), Finding::Met, words[0]),
            (Some(false), Finding::Missed, words[1]),
            (None, Finding::Unknown, words[2]),
        ] {
            let facts = Facts { tool_call: value, open_weights: value, ..Facts::default() };
            check(requirement, facts, finding, words);
        }
    }
    let allowed = ["bfloat16".to_owned(), "float16".to_owned()];
    let facts = |precision| Facts { precision, ..Facts::default() };
    let required = Requirement::Precision(&allowed);
    check(required, facts(Some("float16")), Finding::Met, "published in float16");
    check(required, facts(Some("4bit")), Finding::Missed, "published in 4bit, not bfloat16 or float16");
    check(required, facts(None), Finding::Unknown, "precision unknown, bfloat16 or float16 required");
}

#[test]
fn prices() {
    let facts = |price_in, price_out| Facts { price_in, price_out, ..Facts::default() };
    let both = Requirement::Price(PriceCeiling { input: Some(0.5), output: Some(1.0) });
    check(
        both,
        facts(Some(0.5), Some(1.0)),
        Finding::Met,
        "$0.5 a million tokens of prompts, $1 a million tokens of replies",
    );
    check(both, facts(Some(0.1), Some(4.0)), Finding::Missed, "$4 a million tokens of replies, more than $1");
    check(
        both,
        facts(Some(0.1), None),
        Finding::Unknown,
        "price of replies unknown, at most $1 a million tokens required",
    );
    assert_eq!(both.test(&facts(Some(9.0), None)), Finding::Missed);
    assert_eq!(both.distance(&facts(Some(0.1), Some(4.0))), 3);
}

#[test]
fn memory_of_this_machine_and_for_training() {
    let small = Facts { params_b: Some(0.135), ..Facts::default() };
    let machine = Fits { of_machine: true, ..Fits::inference(0, 2048) };
    check(Requirement::Fits(machine), small.clone(), Finding::Unknown, "the memory of this machine is unknown");
    let filled = Fits { memory_bytes: 512 << 20, ..machine };
    let words = Requirement::Fits(filled).explain(&small);
    assert!(words.contains("of 0.54 GB (0.50 GiB) of this machine at 2,048 tokens"), "{words}");
    let tuned = Fits { purpose: Purpose::Lora, ..Fits::inference(64 << 30, 2048) };
    let words = Requirement::Fits(tuned).explain(&small);
    assert!(words.ends_with("to train an adapter at 2,048 tokens (by rule of thumb)"), "{words}");
    assert_eq!(
        how(&Fits {
            quantization: Some(crate::spec::Quantization::Q4KM),
            kv_cache: KvCache::Q8_0,
            sequences: 4,
            ..Fits::inference(1, 8192)
        }),
        "as Q4_K_M at 8,192 tokens × 4 with a q8_0 cache"
    );
}
