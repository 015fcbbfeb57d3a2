//! Reference vectors, computed by established statistics libraries: `tests/data/stat_vectors.json`.
//!
//! Owns the comparison and the list of what is not built; each group of functions has a file that says what this program
//! gives for a vector's input.

mod contamination;
mod decision;
mod intervals;
mod judge;
mod memory;
mod paired;
mod rubric;

use serde_json::{Value, json};

use super::Interval;

/// Groups of vectors whose every function is built: a name in one of them that nobody knows fails the test.
const COMPLETE: &[&str] = &["intervals", "decision", "paired", "judge", "rubric", "memory"];

/// Functions that the vectors cover and this program does not have. A name in neither place fails the test, so a slip of
/// the pen cannot skip vectors.
const NOT_BUILT: &[&str] = &[
    "bbh_cot_extract",
    "bradley_terry",
    "bradley_terry_ridge",
    "bt_style_control",
    "chance_canary",
    "davidson_ties",
    "drop_score",
    "elo_online",
    "exchangeability_perm_p",
    "exchangeability_shard_t",
    "gpqa_cot_flexible_extract",
    "gpqa_cot_strict_extract",
    "gsm8k_score",
    "hellaswag_context",
    "hendrycks_math_score",
    "ifeval:change_case:capital_word_frequency",
    "ifeval:change_case:english_capital",
    "ifeval:change_case:english_lowercase",
    "ifeval:combination:repeat_prompt",
    "ifeval:combination:two_responses",
    "ifeval:detectable_content:number_placeholders",
    "ifeval:detectable_content:postscript",
    "ifeval:detectable_format:constrained_response",
    "ifeval:detectable_format:json_format",
    "ifeval:detectable_format:multiple_sections",
    "ifeval:detectable_format:number_bullet_lists",
    "ifeval:detectable_format:number_highlighted_sections",
    "ifeval:detectable_format:title",
    "ifeval:keywords:existence",
    "ifeval:keywords:forbidden_words",
    "ifeval:keywords:frequency",
    "ifeval:keywords:letter_frequency",
    "ifeval:language:response_language",
    "ifeval:length_constraints:nth_paragraph_first_word",
    "ifeval:length_constraints:number_paragraphs",
    "ifeval:length_constraints:number_sentences",
    "ifeval:length_constraints:number_words",
    "ifeval:punctuation:no_comma",
    "ifeval:startend:end_checker",
    "ifeval:startend:quotation",
    "ifeval_prompt",
    "leaderboard_normalise",
    "mc_acc_accnorm",
    "min_k",
    "min_k_pp",
    "minerva_normalise",
    "mmlu_pro_extract",
    "ngram_overlap",
    "pooled_stderr",
    "rank_upper_bound",
    "truthfulqa_mc2",
    "vocab_moments",
];

/// A vector's named inputs; one that is not there, or of another kind, fails the test.
struct Input<'a>(&'a Value);

impl Input<'_> {
    fn float(&self, name: &str) -> f64 {
        self.0[name].as_f64().unwrap_or_else(|| panic!("`{name}` is a number in {}", self.0))
    }

    /// A count; libraries write some of them as floating-point numbers.
    fn whole(&self, name: &str) -> u64 {
        whole(&self.0[name]).unwrap_or_else(|| panic!("`{name}` is a count in {}", self.0))
    }

    fn text(&self, name: &str) -> &str {
        self.0[name].as_str().unwrap_or_else(|| panic!("`{name}` is a text in {}", self.0))
    }

    fn list(&self, name: &str) -> &[Value] {
        self.0[name].as_array().unwrap_or_else(|| panic!("`{name}` is a list in {}", self.0))
    }

    fn floats(&self, name: &str) -> Vec<f64> {
        floats(&self.0[name])
    }

    fn wholes(&self, name: &str) -> Vec<u64> {
        wholes(&self.0[name])
    }
}

fn floats(list: &Value) -> Vec<f64> {
    list.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
}

fn wholes(list: &Value) -> Vec<u64> {
    list.as_array().unwrap().iter().map(|number| whole(number).unwrap()).collect()
}

fn whole(number: &Value) -> Option<u64> {
    #[expect(clippy::cast_possible_truncation, reason = "checked to be whole")]
    number.as_u64().or_else(|| number.as_f64().filter(|x| x.fract().abs() < 1e-12 && *x >= 0.0).map(|x| x as u64))
}

/// Whether a value is true or 1.
fn is_true(value: &Value) -> bool {
    value.as_bool().unwrap_or_else(|| whole(value).unwrap() == 1)
}

fn pair(interval: Interval) -> Value {
    json!({ "lo": interval.lo, "hi": interval.hi })
}

/// What this program gives for a vector's input; none for a function that it does not have.
fn compute(function: &str, input: &Value) -> Option<Value> {
    let input = Input(input);
    let groups = [
        intervals::compute,
        decision::compute,
        paired::compute,
        judge::compute,
        rubric::compute,
        memory::compute,
        contamination::compute,
    ];
    groups.into_iter().find_map(|group| group(function, &input))
}

/// Whether the two agree: numbers within the vector's tolerance, all else exactly.
fn agree(found: &Value, expected: &Value, tolerance: &Value) -> bool {
    match (found, expected) {
        (Value::Number(found), Value::Number(expected)) => {
            let (found, expected) = (found.as_f64().unwrap(), expected.as_f64().unwrap());
            let absolute = tolerance["abs"].as_f64().unwrap_or(0.0);
            let relative = tolerance["rel"].as_f64().unwrap_or(0.0) * expected.abs();
            (found - expected).abs() <= absolute.max(relative)
        }
        (Value::Array(found), Value::Array(expected)) => {
            found.len() == expected.len()
                && found.iter().zip(expected).all(|(found, expected)| agree(found, expected, tolerance))
        }
        (Value::Object(found), Value::Object(expected)) => {
            found.len() == expected.len()
                && expected.iter().all(|(name, value)| found.get(name).is_some_and(|f| agree(f, value, tolerance)))
        }
        (found, expected) => found == expected,
    }
}

#[test]
#[expect(clippy::disallowed_methods, reason = "names a file with more vectors than the committed one")]
fn every_vector_of_a_function_built_here_holds() {
    let committed = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/stat_vectors.json");
    let path = std::env::var("EVALFLOW_STAT_VECTORS").unwrap_or_else(|_| committed.to_owned());
    let file: Value = serde_json::from_str(&fs_err::read_to_string(path).unwrap()).unwrap();
    let mut wrong = Vec::new();
    let mut compared = 0;
    for vector in file["vectors"].as_array().unwrap() {
        let function = vector["fn"].as_str().unwrap();
        match compute(function, &vector["in"]) {
            Some(found) => {
                compared += 1;
                if !agree(&found, &vector["expect"], &vector["tol"]) {
                    wrong.push(format!("{}: {found} is not {}", vector["id"], vector["expect"]));
                }
            }
            None if NOT_BUILT.contains(&function) && !COMPLETE.contains(&vector["group"].as_str().unwrap()) => {}
            None => wrong.push(format!("{}: no function `{function}`", vector["id"])),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(compared > 0, "the file has no vector of a function built here");
}

#[test]
fn the_comparison_can_fail() {
    let tolerance = json!({ "abs": 1e-9 });
    for (found, expected, agrees) in [
        (json!(1.0), json!(1.000_000_000_5), true),
        (json!(1.0), json!(1.1), false),
        (json!(null), json!(97), false),
        (json!({ "lo": 0.0 }), json!({ "lo": 0.0, "hi": 1.0 }), false),
        (json!({ "lo": 0.0, "hi": 1.0 }), json!({ "lo": 0.0 }), false),
        (json!([1.0, 2.0]), json!([1.0]), false),
        (json!([1.0, 2.0]), json!([1.0, 2.1]), false),
        (json!([1.0, 2.0]), json!([1.0, 2.000_000_000_5]), true),
        (json!({ "band": "DEPLOY" }), json!({ "band": "FINE_TUNE" }), false),
    ] {
        assert_eq!(agree(&found, &expected, &tolerance), agrees, "{found} {expected}");
    }
    assert_eq!(compute("wilsn", &json!({})), None);
}
