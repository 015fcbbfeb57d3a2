//! Keys: which fields are in them and which are not, made on the ways on which the program makes them.

use std::collections::{BTreeMap, BTreeSet};

use evalflow::ids::StageId;
use evalflow::key::{Key, Recipe};
use evalflow::stage;
use serde_json::Value;

use crate::key_world::{
    CATALOG, FROZEN, GOLD, IMPORTED, KEPT, LOG, PIPELINE, PROMPT, RUBRIC, SHAPED, SYSTEM, TAXONOMY, TRAINED, WEIGHTS,
    WRITER, World,
};

/// Each field of the recipes of stages that between them have all fields there are, and an edit of a file that must change
/// it: stage, field, file, old and new.
///
/// A field that is in a recipe and not in this table fails the test: whoever adds one says here what changes it.
const FIELDS: &[(&str, &str, &str, &str, &str)] = &[
    ("choosy", "catalog[]", CATALOG, "acme/b,6", "acme/b,6.5"),
    ("choosy", "profile.avoid[]", PIPELINE, "avoid: [merge]", "avoid: [base]"),
    ("choosy", "profile.prefer.ifeval", PIPELINE, "ifeval: 3", "ifeval: 2"),
    (
        "choosy",
        "require.commercial_license",
        PIPELINE,
        "context: 4096, type",
        "license: commercial, context: 4096, type",
    ),
    ("choosy", "require.context", PIPELINE, "context: 4096, type", "context: 2048, type"),
    ("choosy", "require.fits.bits_per_weight", PIPELINE, "bits: 8", "bits: 4.5"),
    ("choosy", "require.fits.context", PIPELINE, "context: 8192", "context: 9000"),
    ("choosy", "require.fits.memory_bytes", PIPELINE, "24GiB", "25GiB"),
    ("choosy", "require.official", PIPELINE, "official: true", "official: false"),
    ("choosy", "require.params_b.max", PIPELINE, "1..9", "1..8"),
    ("choosy", "require.params_b.min", PIPELINE, "1..9", "2..9"),
    ("choosy", "require.type[]", PIPELINE, "type: [base], official", "type: [chat], official"),
    ("choosy", "shortlist", PIPELINE, "avoid: [merge] }", "avoid: [merge] }\n      shortlist: 9"),
    ("weights", "license", CATALOG, "apache-2.0", "mit"),
    ("weights", "model", CATALOG, "acme/", "other/"),
    ("weights", "sha256", PIPELINE, "candidates.primary, sha256: \"00", "candidates.primary, sha256: \"11"),
    ("weights", "source.file", WEIGHTS, "GGUF", "GGUF3"),
    ("wheel", "license", PIPELINE, "from: \"pypi:some-model==1.2.3#some_model/w.gguf\"", "model: candidates.primary"),
    ("wheel", "model", PIPELINE, "from: \"pypi:some-model==1.2.3#some_model/w.gguf\"", "model: candidates.primary"),
    (
        "wheel",
        "sha256",
        PIPELINE,
        "some_model/w.gguf\"",
        concat!(
            "some_model/w.gguf\", sha256: \"00112233445566778899aabbccddeeff",
            "00112233445566778899aabbccddeeff\""
        ),
    ),
    ("wheel", "source", PIPELINE, "==1.2.3#", "==1.2.4#"),
    ("imported", "file", IMPORTED, "hi", "ho"),
    ("near", "near_duplicates.above", PIPELINE, "above: 0.9", "above: 0.91"),
    ("near", "embed.endpoint", PIPELINE, "127.0.0.1:8080", "127.0.0.1:9090"),
    ("near", "embed.engine", PIPELINE, "embed: server", "embed: canned"),
    ("near", "embed.model", PIPELINE, "model: qwen3", "model: qwen4"),
    ("shaped", "taxonomy.style_weights.long", SHAPED, "weight: 3", "weight: 2"),
    ("shaped", "taxonomy.axes[].name", SHAPED, "severity", "gravity"),
    ("shaped", "taxonomy.axes[].values[].name", SHAPED, "acute", "grave"),
    ("shaped", "taxonomy.axes[].values[].description", SHAPED, "Cannot wait", "Must not wait"),
    ("shaped", "taxonomy.axes[].values[].weight", SHAPED, "weight: 0.5", "weight: 0.25"),
    ("shaped", "taxonomy.topics[].weight", SHAPED, "weight: 4", "weight: 5"),
    ("shaped", "taxonomy.topics[].subtopics[].weight", SHAPED, "weight: 6", "weight: 7"),
    ("shaped", "taxonomy.topics[].subtopics[].openings.terse/mild", SHAPED, "wide awake", "awake"),
    ("shaped", "taxonomy.edge_cases[].axes.severity", SHAPED, "axes: { severity: mild", "axes: { severity: acute"),
    ("shaped", "taxonomy.constraints[].style[]", SHAPED, "not: { style: long", "not: { style: terse"),
    ("shaped", "taxonomy.constraints[].severity[]", SHAPED, "long, severity: acute", "long, severity: mild"),
    ("shaped", "taxonomy.must_cover[].of.topic[]", SHAPED, "{ topic: sleep", "{ topic: work"),
    ("shaped", "taxonomy.must_cover[].at_least", SHAPED, "at_least: 2", "at_least: 3"),
    ("shaped", "writing.prompt", WRITER, "Write as", "Say what"),
    ("shaped", "writing.batch", PIPELINE, "batch: 2", "batch: 3"),
    ("shaped", "writing.attempts", PIPELINE, "attempts: 4", "attempts: 5"),
    ("shaped", "reject.length[]", PIPELINE, "5..90", "6..90"),
    ("shaped", "reject.language.these[]", PIPELINE, "[en, de]", "[en, fr]"),
    ("shaped", "reject.echo", PIPELINE, "echo: false", "echo: true"),
    ("shaped", "reject.personal_data", PIPELINE, "personal_data: true", "personal_data: false"),
    ("shaped", "near_duplicates.shingles", PIPELINE, "shingles: 0.7", "shingles: 0.8"),
    ("shaped", "near_duplicates.action", PIPELINE, "action: reject", "action: mark"),
    ("shaped", "not_in[]", TRAINED, "trained on", "tested on"),
    ("mapped", "mapping.format", PIPELINE, "log.csv, fields", "log.csv, format: tsv, fields"),
    ("mapped", "mapping.fields.opening", PIPELINE, "$.text", "$.said"),
    ("mapped", "mapping.fields.axes.language", PIPELINE, "axes.language: lang", "axes.language: code"),
    ("mapped", "mapping.redact", PIPELINE, "redact: true", "redact: false"),
    ("frozen", "file", FROZEN, "be mean", "be nice"),
    ("frozen", "frozen_of.count", PIPELINE, "freeze:", "count: 1, freeze:"),
    ("frozen", "frozen_of.seed", PIPELINE, "freeze:", "seed: 3, freeze:"),
    ("frozen", "frozen_of.styles[]", PIPELINE, "freeze:", "styles: [terse], freeze:"),
    ("frozen", "frozen_of.taxonomy.name", KEPT, "name: kept", "name: other"),
    ("frozen", "frozen_of.taxonomy.styles.terse", KEPT, "Few words", "Fewer words"),
    ("frozen", "frozen_of.taxonomy.styles.long", KEPT, "Many words", "More words"),
    (
        "frozen",
        "frozen_of.taxonomy.topics",
        KEPT,
        "topics: []",
        "topics: [{ id: a, title: A, subtopics: [{ id: b, title: B, openings: { terse: x, long: y } }] }]",
    ),
    ("frozen", "frozen_of.taxonomy.edge_cases[].id", KEPT, "id: hostile", "id: mean"),
    ("frozen", "frozen_of.taxonomy.edge_cases[].topic", KEPT, "topic: anger", "topic: rage"),
    ("frozen", "frozen_of.taxonomy.edge_cases[].style", KEPT, "style: terse", "style: long"),
    ("frozen", "frozen_of.taxonomy.edge_cases[].tags[]", KEPT, "tags: [hostile]", "tags: [rude]"),
    ("frozen", "frozen_of.taxonomy.edge_cases[].opening", KEPT, "be mean", "be nice"),
    (
        "frozen",
        "frozen_of.taxonomy.writer_prompt",
        KEPT,
        "name: kept",
        "name: kept\nwriter_prompt: \"About {{ topic }}.\"",
    ),
    ("repeated", "repeat", PIPELINE, "repeat: 3", "repeat: 4"),
    ("repeated", "latency", PIPELINE, "repeat: 3, latency: true", "repeat: 3"),
    ("repeated", "sampling", PIPELINE, "repeat: 3", "repeat: 3, temperature: 0.1"),
    ("weighed", "mode.logprob.max_outside", PIPELINE, "max_outside: 0.25", "max_outside: 0.3"),
    ("panel", "repeat", PIPELINE, "repeat: 5", "repeat: 6"),
    ("panel", "sampling.seed", PIPELINE, "seed: 3", "seed: 4"),
    ("panel", "sampling.temperature", PIPELINE, "temperature: 0.5", "temperature: 0.6"),
    ("panel", "sampling.top_p", PIPELINE, "top_p: 0.8", "top_p: 0.7"),
    ("scenarios", "count", PIPELINE, "count: 4", "count: 5"),
    ("scenarios", "seed", PIPELINE, "seed: 7", "seed: 8"),
    ("scenarios", "styles[]", PIPELINE, "[terse, long]", "[long, terse]"),
    ("scenarios", "taxonomy.edge_cases[].id", TAXONOMY, "id: hostile", "id: mean"),
    ("scenarios", "taxonomy.edge_cases[].opening", TAXONOMY, "be mean", "be nice"),
    ("scenarios", "taxonomy.edge_cases[].style", TAXONOMY, "topic: anger, style: terse", "topic: anger, style: long"),
    ("scenarios", "taxonomy.edge_cases[].tags[]", TAXONOMY, "tags: [hostile]", "tags: [rude]"),
    ("scenarios", "taxonomy.edge_cases[].topic", TAXONOMY, "topic: anger", "topic: rage"),
    ("scenarios", "taxonomy.name", TAXONOMY, "name: keys", "name: other"),
    ("scenarios", "taxonomy.styles.long", TAXONOMY, "Many words", "More words"),
    ("scenarios", "taxonomy.styles.terse", TAXONOMY, "Few words", "Fewer words"),
    ("scenarios", "taxonomy.topics[].id", TAXONOMY, "id: sleep", "id: rest"),
    ("scenarios", "taxonomy.topics[].subtopics[].id", TAXONOMY, "id: waking", "id: awake"),
    ("scenarios", "taxonomy.topics[].subtopics[].openings.terse", TAXONOMY, "awake again", "again awake"),
    ("scenarios", "taxonomy.topics[].subtopics[].title", TAXONOMY, "at night", "by night"),
    ("scenarios", "taxonomy.topics[].title", TAXONOMY, "title: Sleep", "title: Rest"),
    ("scenarios", "taxonomy.writer_prompt", TAXONOMY, "Write about", "Tell of"),
    ("verdicts", "rubric.criteria[].ask.check.words.max", RUBRIC, "max: 40", "max: 41"),
    ("verdicts", "rubric.criteria[].ask.check.words.min", RUBRIC, "min: 1", "min: 2"),
    (
        "verdicts",
        "rubric.criteria[].ask.question.allow_not_applicable",
        RUBRIC,
        "applicable: true",
        "applicable: false",
    ),
    ("verdicts", "rubric.criteria[].ask.question.fail_examples[]", RUBRIC, "So what", "Whatever"),
    ("verdicts", "rubric.criteria[].ask.question.pass_examples[]", RUBRIC, "Oh dear", "Oh no"),
    ("verdicts", "rubric.criteria[].ask.question.text", RUBRIC, "Is it kind", "Is it warm"),
    ("verdicts", "rubric.criteria[].critical", RUBRIC, "critical: true", "critical: false"),
    ("verdicts", "rubric.criteria[].id", RUBRIC, "id: kind", "id: warm"),
    ("verdicts", "rubric.criteria[].weight", RUBRIC, "weight: 2", "weight: 3"),
    ("verdicts", "rubric.criteria[].when", RUBRIC, "scenario.edge_case", "not scenario.edge_case"),
    ("verdicts", "rubric.name", RUBRIC, "name: keys", "name: other"),
    ("verdicts", "rubric.pass.min_applicable", RUBRIC, "min_applicable: 0.4", "min_applicable: 0.5"),
    ("verdicts", "rubric.pass.score", RUBRIC, "score: 0.7", "score: 0.8"),
    ("scenarios", "writer.endpoint", PIPELINE, "127.0.0.1:8080", "127.0.0.1:9090"),
    ("scenarios", "writer.engine", PIPELINE, "writer: server", "writer: canned"),
    ("scenarios", "writer.model", PIPELINE, "model: qwen3", "model: qwen4"),
    ("answers", "context", PIPELINE, "seed: 11, context: 4096", "seed: 11, context: 2048"),
    ("answers", "max_tokens", PIPELINE, "max_tokens: 200", "max_tokens: 201"),
    ("answers", "model.otherwise", PIPELINE, "otherwise: \"else\"", "otherwise: \"other\""),
    ("answers", "model.replies[].match", PIPELINE, "match: \"a+\"", "match: \"b+\""),
    ("answers", "model.replies[].reply", PIPELINE, "reply: \"first\"", "reply: \"second\""),
    ("answers", "model.engine", PIPELINE, "infer: { model: canned", "infer: { model: server"),
    ("answers", "prompt", PROMPT, "!", "?"),
    ("answers", "sampling.seed", PIPELINE, "seed: 11", "seed: 12"),
    ("answers", "sampling.temperature", PIPELINE, "temperature: 0.7", "temperature: 0.8"),
    ("answers", "sampling.top_p", PIPELINE, "top_p: 0.9", "top_p: 0.8"),
    ("answers", "scenarios", PIPELINE, "scenarios: scenarios, system", "scenarios: suite, system"),
    ("answers", "system", SYSTEM, "kind", "stern"),
    ("verdicts", "answers", PIPELINE, "answers: answers", "answers: greedy"),
    ("verdicts", "context", PIPELINE, "context: 2048", "context: 2049"),
    ("verdicts", "max_tokens", PIPELINE, "max_tokens: 150", "max_tokens: 151"),
    ("verdicts", "model.endpoint", PIPELINE, "127.0.0.1:8080", "127.0.0.1:9090"),
    ("verdicts", "model.engine", PIPELINE, "rubrics/r.yaml, model: server", "rubrics/r.yaml, model: canned"),
    ("verdicts", "model.model", PIPELINE, "model: qwen3", "model: qwen4"),
    ("decision", "confidence", PIPELINE, "confidence: 0.9", "confidence: 0.95"),
    ("decision", "deploy", PIPELINE, "deploy: 0.8", "deploy: 0.81"),
    ("decision", "fine_tune", PIPELINE, "fine_tune: 0.4", "fine_tune: 0.41"),
    ("decision", "gate", PIPELINE, "gate: deploy", "gate: fine_tune"),
    (
        "decision",
        "grading.criteria[].by_code",
        RUBRIC,
        "check: { words: { min: 1, max: 40 } }",
        "question: Is it bounded?",
    ),
    ("decision", "grading.criteria[].critical", RUBRIC, "critical: true", "critical: false"),
    ("decision", "grading.criteria[].id", RUBRIC, "id: kind", "id: warm"),
    ("decision", "grading.criteria[].weight", RUBRIC, "weight: 2", "weight: 3"),
    ("decision", "grading.pass.min_applicable", RUBRIC, "min_applicable: 0.4", "min_applicable: 0.3"),
    ("decision", "grading.pass.score", RUBRIC, "score: 0.7", "score: 0.6"),
    ("decision", "max_ungraded", PIPELINE, "max_ungraded: 0.1", "max_ungraded: 0.2"),
    ("preferred", "base", PIPELINE, "base: greedy, new: embedded", "base: fine, new: embedded"),
    ("preferred", "new", PIPELINE, "base: greedy, new: embedded", "base: greedy, new: fine"),
    ("preferred", "questions[]", PIPELINE, "Which is warmer", "Which is colder"),
    ("preferred", "model.endpoint", PIPELINE, "127.0.0.1:8080", "127.0.0.1:9090"),
    ("preferred", "model.engine", PIPELINE, "model: server, max_tokens: 121", "model: canned, max_tokens: 121"),
    ("preferred", "model.model", PIPELINE, "model: qwen3", "model: qwen4"),
    ("preferred", "max_tokens", PIPELINE, "max_tokens: 121", "max_tokens: 122"),
    ("preferred", "sampling.temperature", PIPELINE, "temperature: 0.45", "temperature: 0.46"),
    ("preferred", "sampling.top_p", PIPELINE, "top_p: 0.65", "top_p: 0.66"),
    ("preferred", "sampling.seed", PIPELINE, "seed: 41", "seed: 42"),
    ("preferred", "context", PIPELINE, "context: 1024", "context: 1025"),
    ("preferred", "confidence", PIPELINE, "confidence: 0.77", "confidence: 0.78"),
    ("held", "base", PIPELINE, "base: checked\n", "base: checked-too\n"),
    ("held", "new", PIPELINE, "new: retried\n", "new: checked-too\n"),
    ("held", "goal", PIPELINE, "goal: hold", "goal: improve"),
    ("held", "margin", PIPELINE, "margin: 0.03", "margin: 0.02"),
    ("held", "min_improvement", PIPELINE, "min_improvement: 0.01", "min_improvement: 0.02"),
    ("held", "confidence", PIPELINE, "confidence: 0.85", "confidence: 0.8"),
    ("held", "cluster", PIPELINE, "cluster: none", "cluster: topic"),
    ("held", "max_ungraded", PIPELINE, "max_ungraded: 0.25", "max_ungraded: 0.3"),
    ("held", "seed", PIPELINE, "seed: 29", "seed: 30"),
    ("held", "guard_margins.general", PIPELINE, "margin: 0.04", "margin: 0.05"),
    ("held", "guards.general.base", PIPELINE, "base: retried,", "base: checked-too,"),
    ("held", "guards.general.new", PIPELINE, "new: checked,", "new: checked-too,"),
    ("unbiased", "calibrations.base", PIPELINE, "{ base: base-trust,", "{ base: new-trust,"),
    ("unbiased", "calibrations.new", PIPELINE, "new: new-trust }", "new: base-trust }"),
    ("unbiased", "transported.base", PIPELINE, "{ base: base-trust,", "{ base: new-trust,"),
    ("unbiased", "transported.new", PIPELINE, "new: new-trust }", "new: base-trust }"),
    ("panel", "repeat", PIPELINE, "seed: 3, repeat: 5", "seed: 3, repeat: 6"),
    ("panel", "sampling.seed", PIPELINE, "seed: 3, repeat", "seed: 4, repeat"),
    ("panel", "sampling.temperature", PIPELINE, "temperature: 0.5, top_p: 0.8", "temperature: 0.6, top_p: 0.8"),
    ("panel", "sampling.top_p", PIPELINE, "temperature: 0.5, top_p: 0.8", "temperature: 0.5, top_p: 0.7"),
    ("together", "mode", PIPELINE, "mode: together", "mode: json"),
    ("weighed", "mode.logprob.max_outside", PIPELINE, "max_outside: 0.25", "max_outside: 0.26"),
    ("repeated", "repeat", PIPELINE, "scenarios: imported, repeat: 3", "scenarios: imported, repeat: 4"),
    ("decision", "verdicts", PIPELINE, "decide: { verdicts: verdicts", "decide: { verdicts: checked"),
    ("trust", "confidence", PIPELINE, "confidence: 0.85", "confidence: 0.86"),
    ("trust", "floor.ac1", PIPELINE, "ac1: 0.7", "ac1: 0.8"),
    ("trust", "floor.kappa", PIPELINE, "kappa: 0.6", "kappa: 0.5"),
    ("trust", "floor.sensitivity", PIPELINE, "sensitivity: 0.75", "sensitivity: 0.8"),
    ("trust", "floor.specificity", PIPELINE, "specificity: 0.65", "specificity: 0.8"),
    ("trust", "gold", GOLD, "pass", "fail"),
    (
        "trust",
        "rubric.criteria[].asked",
        RUBRIC,
        "question: \"Is it kind?\", weight: 2, critical: true, when: \"scenario.edge_case\", allow_not_applicable: true, examples: { pass: [\"Oh dear.\"], fail: [\"So what.\"] }",
        "check: { regex: \"x\" }, weight: 2, critical: true, when: \"scenario.edge_case\"",
    ),
    ("trust", "rubric.criteria[].critical", RUBRIC, "critical: true", "critical: false"),
    ("trust", "rubric.criteria[].id", RUBRIC, "id: kind", "id: warm"),
    ("trust", "rubric.criteria[].weight", RUBRIC, "weight: 2", "weight: 3"),
    ("trust", "rubric.criteria[].when", RUBRIC, "scenario.edge_case", "not scenario.edge_case"),
    ("trust", "rubric.pass.min_applicable", RUBRIC, "min_applicable: 0.4", "min_applicable: 0.5"),
    ("trust", "rubric.pass.score", RUBRIC, "score: 0.7", "score: 0.8"),
    ("trust", "verdicts", PIPELINE, "calibrate: { verdicts: verdicts", "calibrate: { verdicts: weighed"),
    ("both", "beside", PIPELINE, "beside: weighed", "beside: together"),
];

/// The values of each field, by its name: `criteria[].weight` has one a criterion.
pub(crate) fn leaves(value: &Value, path: &str, found: &mut BTreeMap<String, Vec<Value>>) {
    if let Some(members) = value.as_object().filter(|members| !members.is_empty()) {
        for (name, member) in members {
            leaves(member, &if path.is_empty() { name.clone() } else { format!("{path}.{name}") }, found);
        }
    } else if let Some(items) = value.as_array().filter(|items| !items.is_empty()) {
        items.iter().for_each(|item| leaves(item, &format!("{path}[]"), found));
    } else {
        found.entry(path.to_owned()).or_default().push(value.clone());
    }
}

/// The fields of a recipe, without what all recipes have in common.
pub(crate) fn fields(recipe: &Recipe) -> BTreeMap<String, Vec<Value>> {
    let recipe: Value = serde_json::from_str(recipe.canonical()).unwrap();
    let mut found = BTreeMap::new();
    leaves(&recipe["fields"], "", &mut found);
    found
}

#[test]
fn every_field_of_every_kind_is_in_the_table_and_changes_the_key() {
    let world = World::new();
    let mut met = BTreeSet::new();
    let listed: BTreeSet<&str> = FIELDS.iter().map(|(id, ..)| *id).collect();
    for id in listed.into_iter().map(|id| StageId::new(id).unwrap()) {
        let before = world.recipe(&id);
        met.extend(fields(&before).into_keys().map(|path| (stage::kind(world.stage(id.as_str())), path)));
        for (_, path, file, old, new) in FIELDS.iter().filter(|(of, ..)| *of == id.as_str()) {
            let after = world.edited(file, old, new).recipe(&id);
            assert_ne!(
                fields(&after).get(*path),
                fields(&before).get(*path),
                "{id}: {old} → {new} does not change {path}"
            );
            assert_ne!(after.key(), before.key(), "{id}.{path}");
        }
    }
    let row = |(id, path, ..): &(&str, &str, &str, &str, &str)| (stage::kind(world.stage(id)), (*path).to_owned());
    let table: BTreeSet<(&str, String)> = FIELDS.iter().map(row).collect();
    let missing: Vec<_> = met.difference(&table).collect();
    let gone: Vec<_> = table.difference(&met).collect();
    assert!(missing.is_empty() && gone.is_empty(), "not in the table: {missing:#?}, not in a recipe: {gone:#?}");
    let kinds: BTreeSet<&str> = FIELDS.iter().map(|(id, ..)| stage::kind(world.stage(id))).collect();
    assert_eq!(kinds.len(), 9, "every kind is in the table");
}

fn keys(world: &World) -> Vec<Key> {
    world.stages().iter().map(|(_, id)| world.recipe(id).key()).collect()
}

/// A pipeline decides once, so that what a decision may say besides is tried on another one.
#[test]
fn what_a_decision_says_besides_is_in_its_key() {
    const ARMS: &str = "verdicts: verdicts-too\n      calibration: new-trust\n      backup: verdicts\n";
    const SWAPPED: &str = "verdicts: verdicts\n      calibration: new-trust\n      backup: verdicts-too\n";
    let world = World::new().edited(
        PIPELINE,
        "decide: { verdicts: verdicts, deploy: 0.8, fine_tune: 0.4, confidence: 0.9, max_ungraded: 0.1, gate: deploy }",
        "decide:\n      verdicts: verdicts-too\n      calibration: new-trust\n      backup: verdicts\n      deploy: 0.82\n      \
         fine_tune: 0.42\n      cluster: none\n      target: suite\n      seed: 17\n      gates:\n        \
         - { criterion: bounded, at_least: 0.35 }\n        - { metric: pass_rate, against: weighed, margin: 0.06 }\n        \
         - { metric: ungraded, at_most: 0.07 }",
    );
    let world = world.edited(
        RUBRIC,
        "  - { id: bounded,",
        "  - { id: deep, question: How deep is it?, scale: { 1: flat, 5: deep }, pass_at: 4, partial: true }\n  - { id: bounded,",
    );
    let decision = StageId::new("decision").unwrap();
    let before = world.recipe(&decision);
    let edits = [
        ("cluster", "cluster: none\n      target", "cluster: topic\n      target"),
        ("target", "target: suite", "target: population"),
        ("seed", "seed: 17", "seed: 18"),
        ("gates[].of", "criterion: bounded, at_least", "criterion: kind, at_least"),
        ("gates[].metric", "metric: ungraded", "metric: score"),
        ("gates[].bound.at_least", "at_least: 0.35", "at_least: 0.36"),
        ("gates[].bound.at_most", "at_most: 0.07", "at_most: 0.08"),
        ("gates[].bound.margin", "margin: 0.06", "margin: 0.07"),
        ("calibration", "calibration: new-trust", "calibration: base-trust"),
        ("transported", "calibration: new-trust", "calibration: base-trust"),
        ("backup.transported", "calibration: new-trust", "calibration: base-trust"),
        ("backup.verdicts", ARMS, SWAPPED),
        ("backup.stages[]", ARMS, SWAPPED),
        ("against[][]", "against: weighed", "against: together"),
        ("against[][].criteria[].by_code", "check: { words: { min: 1, max: 40 } }", "question: Is it bounded?"),
        ("against[][].criteria[].critical", "critical: true", "critical: false"),
        ("against[][].criteria[].id", "id: kind", "id: warm"),
        ("against[][].criteria[].weight", "weight: 2", "weight: 3"),
        ("against[][].pass.min_applicable", "min_applicable: 0.4", "min_applicable: 0.3"),
        ("against[][].pass.score", "score: 0.7", "score: 0.6"),
        ("against[][].criteria[].credit.pass_at", "pass_at: 4", "pass_at: 3"),
        ("against[][].criteria[].credit.lowest", "{ 1: flat", "{ 2: flat"),
        ("against[][].criteria[].credit.highest", "5: deep }", "6: deep }"),
        ("grading.criteria[].credit.pass_at", "pass_at: 4", "pass_at: 3"),
        ("grading.criteria[].credit.lowest", "{ 1: flat", "{ 2: flat"),
        ("grading.criteria[].credit.highest", "5: deep }", "6: deep }"),
    ];
    for (path, old, new) in edits {
        let of_rubric = ["against[][].", "grading."].iter().any(|start| path.starts_with(start));
        let file = if of_rubric { RUBRIC } else { PIPELINE };
        let after = world.edited(file, old, new).recipe(&decision);
        assert_ne!(fields(&after).get(path), fields(&before).get(path), "{old} → {new} does not change {path}");
        assert_ne!(after.key(), before.key(), "{path}");
    }
    let table: BTreeSet<&str> =
        FIELDS.iter().map(|(_, path, ..)| *path).chain(edits.iter().map(|(path, ..)| *path)).collect();
    let unknown: Vec<String> = fields(&before).into_keys().filter(|path| !table.contains(path.as_str())).collect();
    assert_eq!(unknown, Vec::<String>::new(), "nothing says what changes them");
}

/// Where things lie, what they are called and how fast they go decides no result.
#[test]
fn nothing_volatile_is_in_a_key() {
    let world = World::new();
    let before = keys(&world);
    for (old, new) in [
        ("name: keys", "name: other"),
        ("description: not keyed", "description: something else"),
        ("concurrency: 3", "concurrency: 30"),
        ("timeout: 60", "timeout: 5m"),
        ("retries: 2", "retries: 0"),
        ("retries: 2", "retries: 2, price: { prompt: 0.15, completion: 0.6 }"),
        ("delay_ms: 1", "price: { prompt: 1, completion: 0 }"),
        (", api_key: \"${KEY}\"", ""),
        ("delay_ms: 1, concurrency: 2", "delay_ms: 9"),
        ("sequences: 7, ", ""),
        ("sequences: 7, ", "sequences: 70, devices: [1], price: { prompt: 1, completion: 0 }, "),
        ("canned", "renamed"),
        ("  wheel:", "\n  # A comment.\n  wheel:"),
        ("?download=1", "?token=2"),
    ] {
        assert_eq!(keys(&world.edited(PIPELINE, old, new)), before, "{old} → {new}");
    }
    for (from, to) in [
        (TAXONOMY, "elsewhere/t.yaml"),
        (IMPORTED, "elsewhere/s.jsonl"),
        (SHAPED, "elsewhere/shaped.yaml"),
        (KEPT, "elsewhere/kept.yaml"),
        (FROZEN, "elsewhere/kept.jsonl"),
        (LOG, "elsewhere/log.csv"),
        (TRAINED, "elsewhere/train.txt"),
        (WRITER, "elsewhere/writer.md"),
        (RUBRIC, "elsewhere/r.yaml"),
        (GOLD, "elsewhere/g.jsonl"),
        (SYSTEM, "elsewhere/s.md"),
        (PROMPT, "elsewhere/p.md"),
        (WEIGHTS, "elsewhere/w.gguf"),
        ("catalog/more.csv", "elsewhere/more.csv"),
    ] {
        assert_eq!(keys(&world.moved(from, to)), before, "{from} → {to}");
    }
    let text = world.stages().iter().map(|(_, id)| world.recipe(id).canonical().to_owned()).collect::<String>();
    for volatile in [
        "hunter2",
        "pipelines/",
        "scenarios/",
        "logs/",
        "data/",
        "rubrics/",
        "models/",
        "\"/",
        "download",
        "8080/v1/chat",
    ] {
        assert!(!text.contains(volatile), "{volatile} in {text}");
    }
}

/// Who names no second judge has the key that there was before there could be one.
#[test]
fn a_second_judge_is_keyed_by_its_table_and_only_where_there_is_one() {
    let world = World::new();
    let both = StageId::new("both").unwrap();
    let with = world.recipe(&both);
    let alone = world.edited(PIPELINE, ", beside: weighed", "").recipe(&both);
    assert_ne!(with.key(), alone.key());
    let (mut with, alone) = (fields(&with), fields(&alone));
    assert_eq!(with.remove("beside").map(|values| values.len()), Some(1));
    assert_eq!(with, alone);
    // The same fields as a golden key has that is older than the second judge.
    let trust: BTreeSet<String> = fields(&world.recipe(&StageId::new("trust").unwrap())).into_keys().collect();
    let floor = |path: &String| !path.starts_with("floor");
    assert_eq!(alone.into_keys().filter(floor).collect::<BTreeSet<_>>(), trust.into_iter().filter(floor).collect());
}

/// What an embedded model answers with is its weights, what is laid over them, and how keys and values are kept.
#[test]
fn options_of_an_embedded_model_are_keyed_where_they_change_numbers() {
    let world = World::new();
    let fine = StageId::new("fine").unwrap();
    let before = world.recipe(&fine);
    let check = |old: &str, new: &str, path: &str| {
        let after = world.edited(PIPELINE, old, new).recipe(&fine);
        assert_ne!(fields(&after).get(path), fields(&before).get(path), "{old} → {new}");
        assert_ne!(after.key(), before.key(), "{old} → {new}");
    };
    check("adapter: lora, adapter_scale: 0.5, ", "", "model.adapter.lora");
    check("adapter: lora", "adapter: local", "model.adapter.lora");
    check("adapter_scale: 0.5, ", "", "model.adapter.scale");
    check("kv_cache: q8_0", "kv_cache: q4_0", "model.kv_cache");
    check("kv_cache: q8_0", "kv_cache: f16", "model.kv_cache");
    check("context: 2048, sequences", "sequences", "context");
    // Without options it is the model that a stage's own name stands for.
    let plain =
        world.edited(PIPELINE, ", adapter: lora, adapter_scale: 0.5, context: 2048, sequences: 7, kv_cache: q8_0", "");
    let embedded = world.recipe(&StageId::new("embedded").unwrap());
    assert_eq!(plain.recipe(&fine).key(), embedded.key());
    let scale = world.edited(PIPELINE, "adapter_scale: 0.5", "adapter_scale: 1");
    let usual = world.edited(PIPELINE, "adapter_scale: 0.5, ", "");
    assert_eq!(scale.recipe(&fine).key(), usual.recipe(&fine).key());
}

/// What a research stage asks for is in its key where it asks for it, and nowhere else.
#[test]
fn what_research_asks_for_is_in_its_key() {
    let world = World::new();
    let choosy = StageId::new("choosy").unwrap();
    let before = world.recipe(&choosy);
    let check = |old: &str, new: &str, path: &str| {
        let after = world.edited(PIPELINE, old, new).recipe(&choosy);
        assert_ne!(fields(&after).get(path), fields(&before).get(path), "{new}: {:?}", fields(&after).keys());
        assert_ne!(after.key(), before.key(), "{new}");
    };
    let require = "official: true";
    for (written, path) in [
        ("conversation: { turns: 12, tokens_per_turn: 200 }", "require.conversation.turns"),
        ("precision: float16", "require.precision[]"),
        ("released: \"2024..\"", "require.released.min"),
        ("knowledge_cutoff: \"..2025-06\"", "require.knowledge_cutoff.max"),
        ("tool_calls: true", "require.tool_calls"),
        ("open_weights: true", "require.open_weights"),
        ("price: { output: 2 }", "require.price.output"),
    ] {
        check(require, &format!("official: true, {written}"), path);
    }
    for (written, path) in [
        ("quantization: Q4_K_M", "require.fits.quantization"),
        ("bits: 8, kv_cache: q8_0", "require.fits.kv_cache"),
        ("bits: 8, sequences: 4", "require.fits.sequences"),
        ("bits: 8, for: lora", "require.fits.purpose"),
    ] {
        check("bits: 8", written, path);
    }
    check("avoid: [merge] }", "avoid: [merge], preset: coding }", "profile.preset");
    for (written, path) in [
        ("primary: a/b, because: we know it", "pin.id"),
        ("as_of: 2026-11-22", "as_of"),
        ("hosting: { gpu_hour: 2, tokens_per_s: 1500 }", "hosting.gpu_hour"),
    ] {
        let line = "avoid: [merge] }";
        let lines = written.split(", because").enumerate();
        let below: Vec<String> = lines
            .map(|(at, part)| if at == 0 { format!("\n      {part}") } else { format!("\n      because{part}") })
            .collect();
        check(line, &format!("{line}{}", below.concat()), path);
    }
    // What the machine has is keyed by its bytes, rounded down to whole 256 MiB, and by nothing else.
    let mut machine = world.edited(PIPELINE, "memory: 24GiB", "memory: machine");
    assert_ne!(machine.recipe(&choosy).key(), before.key());
    assert!(machine.pipeline.asks_for_machine_memory());
    machine.pipeline.set_machine_memory((24 << 30) + (255 << 20));
    assert_eq!(machine.recipe(&choosy).key(), before.key());
}

/// A stage is not keyed by its name, but by what it does and reads.
#[test]
fn a_stage_may_be_renamed() {
    let world = World::new();
    for id in ["scenarios", "answers", "verdicts", "decision", "held", "candidates", "weights"] {
        let (_, id) = world.stages().into_iter().find(|(_, other)| other.as_str() == id).unwrap();
        let renamed = world.renamed(&id, "renamed");
        assert_eq!(renamed.recipe(&StageId::new("renamed").unwrap()).key(), world.recipe(&id).key(), "{id}");
    }
}

/// A part of a suite is another table; what is asked of its rows is what the whole asks of them.
#[test]
fn a_limit_is_in_the_keys_of_the_tables_it_shortens_only() {
    let (world, mut limited) = (World::new(), World::new());
    limited.pipeline.limit_scenarios(3);
    for (kind, id) in world.stages() {
        let same = limited.recipe(&id).key() == world.recipe(&id).key();
        assert_eq!(same, kind != "generate", "{id}");
    }
}
