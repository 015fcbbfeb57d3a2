//! Reference vectors, computed by established statistics libraries: `tests/data/stat_vectors.json`.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{ClusteredInterval, Clusters, n_to_decide_wilson, outcome_at, outcome_by_interval, two_sided_t, wilson};
use crate::data::{Outcome, Thresholds};

/// Functions that the vectors cover and this program does not have. A name in neither place fails the test, so a slip of
/// the pen cannot skip vectors.
const NOT_BUILT: &[&str] = &[
    "api_cost",
    "band_posterior",
    "bb_confseq",
    "bb_log_evalue",
    "bbh_cot_extract",
    "bca_exhaustive",
    "bh",
    "bonett_price",
    "bradley_terry",
    "bradley_terry_ridge",
    "breakeven_tokens_month",
    "brier",
    "bt_style_control",
    "chance_canary",
    "chance_corrected_logit",
    "chinchilla_loss",
    "chinchilla_optimal",
    "clopper_pearson",
    "cohen_kappa",
    "compute_buffer_bytes",
    "davidson_ties",
    "dawid_skene_binary",
    "delta_noise",
    "drop_score",
    "ece",
    "elo_online",
    "epochs_decomp",
    "exchangeability_perm_p",
    "exchangeability_shard_t",
    "fleiss_kappa",
    "geval_expected_score",
    "gpqa_cot_flexible_extract",
    "gpqa_cot_strict_extract",
    "group_sequential_constant",
    "gsm8k_score",
    "gwet_ac1",
    "hedged_confseq",
    "hedged_log_capital",
    "hellaswag_context",
    "hendrycks_math_score",
    "holm",
    "icc_anova",
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
    "jagged_lobo_t",
    "jeffreys",
    "krippendorff_nominal",
    "kv_cache_bytes",
    "labels_needed",
    "lan_demets_spend",
    "lang_reiczigel",
    "leaderboard_normalise",
    "mad_modified_z",
    "majority_vote",
    "margin_supported",
    "mc_acc_accnorm",
    "mcnemar_exact",
    "mcnemar_midp",
    "mcnemar_power",
    "mde_paired",
    "mde_unpaired",
    "mean_ci_t",
    "min_k",
    "min_k_pp",
    "minerva_normalise",
    "mmlu_pro_extract",
    "mover_difference",
    "n_halfwidth_wilson",
    "n_mcnemar",
    "n_miller_paired",
    "n_noninferiority",
    "n_one_sample",
    "newcombe_paired",
    "neyman_m1",
    "ngram_overlap",
    "noninferiority_p_tango",
    "paired_diff_se",
    "pass_at_k",
    "pass_pow_k",
    "points_score",
    "pooled_stderr",
    "position_bias",
    "poststrat_wilson",
    "ppi_mean",
    "ppr_wor_confseq",
    "rank_upper_bound",
    "regression_gate",
    "rogan_gladen_raw",
    "rouge_l_f1",
    "rubric_score",
    "self_consistency",
    "selfhost_usd_per_m",
    "sequential_decide",
    "signflip_p",
    "soft_verdict",
    "tango_ci",
    "truthfulqa_mc2",
    "vocab_moments",
    "weight_bytes",
    "weighted_kappa",
];

fn band(outcome: Outcome) -> String {
    outcome.as_str().to_uppercase()
}

/// The clusters of a vector, whose scores are counted in ten-thousandths.
fn clusters(input: &Value) -> Clusters {
    const PARTS: f64 = 10_000.0;
    let mut sums: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    for (x, cluster) in input["x"].as_array().unwrap().iter().zip(input["cluster"].as_array().unwrap()) {
        let parts = x.as_f64().unwrap() * PARTS;
        assert!((parts - parts.round()).abs() < 1e-6, "{x} has few decimals");
        let (sum, rows) = sums.entry(cluster.to_string()).or_default();
        #[expect(clippy::cast_possible_truncation, reason = "a score in [0, 1]")]
        let parts = parts.round() as u64;
        (*sum, *rows) = (*sum + parts, *rows + 1);
    }
    let mut all = Clusters::in_parts_of(10_000);
    sums.values().for_each(|(sum, rows)| all.add(*sum, *rows));
    all
}

/// What this program gives for a vector's input; none for a function that it does not have.
fn compute(function: &str, input: &Value) -> Option<Value> {
    let float = |name: &str| input[name].as_f64().unwrap_or_else(|| panic!("`{name}` is a number in {input}"));
    let whole = |name: &str| input[name].as_u64().unwrap_or_else(|| panic!("`{name}` is a count in {input}"));
    Some(match function {
        "wilson" => {
            let interval = wilson(float("k"), float("n"), float("conf"));
            json!({ "lo": interval.lo, "hi": interval.hi })
        }
        "decide_wilson" => {
            let (k, n) = (float("k"), float("n"));
            let interval = wilson(k, n, float("conf"));
            let thresholds = Thresholds { deploy: float("t_hi"), fine_tune: float("t_lo") };
            json!({
                "lo": interval.lo,
                "hi": interval.hi,
                "band": band(outcome_by_interval(interval, &thresholds)),
                "point_band": band(outcome_at(k / n, &thresholds)),
            })
        }
        "cluster_se_cr1" => {
            let clusters = clusters(input);
            json!({ "se": clusters.cluster_se_cr1(), "G": clusters.clusters() })
        }
        "wilson_clustered" => {
            let clusters = clusters(input);
            let ClusteredInterval { interval, n_eff, design_effect } = clusters.wilson_clustered(float("conf"));
            let rows: Vec<f64> = input["x"].as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect();
            json!({
                "p": rows.iter().sum::<f64>() / rows.len() as f64,
                "se": clusters.cluster_se_cr1(),
                "G": clusters.clusters(),
                "n_eff": n_eff,
                "deff": design_effect,
                "t": two_sided_t(float("conf"), u32::try_from(clusters.clusters() - 1).unwrap()),
                "lo": interval.lo,
                "hi": interval.hi,
            })
        }
        "n_to_decide_wilson" => json!(n_to_decide_wilson(whole("k"), whole("n"), float("t"), float("conf"))),
        _ => return None,
    })
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
            None if NOT_BUILT.contains(&function) => {}
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
        (json!({ "band": "DEPLOY" }), json!({ "band": "FINE_TUNE" }), false),
    ] {
        assert_eq!(agree(&found, &expected, &tolerance), agrees, "{found} {expected}");
    }
    assert_eq!(compute("wilsn", &json!({})), None);
}
