//! Reference vectors, computed by established statistics libraries: `tests/data/stat_vectors.json`.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{
    ClusteredInterval, Clusters, Deviation, against_panel, chance_corrected_logit, holm, modified_z,
    n_to_decide_wilson, outcome_at, outcome_by_interval, two_sided_t, wilson,
};
use crate::catalog;
use crate::data::{Outcome, Thresholds};

/// Functions that the vectors cover and this program does not have. A name in neither place fails the test, so a slip of
/// the pen cannot skip vectors.
const NOT_BUILT: &[&str] = &[
    "band_posterior",
    "bb_confseq",
    "bb_log_evalue",
    "bbh_cot_extract",
    "bca_exhaustive",
    "bh",
    "bonett_price",
    "bradley_terry",
    "bradley_terry_ridge",
    "brier",
    "bt_style_control",
    "chance_canary",
    "clopper_pearson",
    "cohen_kappa",
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
    "jeffreys",
    "krippendorff_nominal",
    "labels_needed",
    "lan_demets_spend",
    "lang_reiczigel",
    "leaderboard_normalise",
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
    "sequential_decide",
    "signflip_p",
    "soft_verdict",
    "tango_ci",
    "truthfulqa_mc2",
    "vocab_moments",
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

fn floats(list: &Value) -> Vec<f64> {
    list.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
}

fn law(float: &dyn Fn(&str) -> f64) -> catalog::reckoning::Law {
    catalog::reckoning::Law { e: float("E"), a: float("A"), b: float("B"), alpha: float("al"), beta: float("be") }
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
        "weight_bytes" => json!(catalog::reckoning::weight_bytes(float("params"), float("bpw"))),
        "kv_cache_bytes" => {
            assert!((float("head_dim_k") - float("head_dim_v")).abs() < 0.5, "keys and values are of one size");
            let number = float("bytes_k").midpoint(float("bytes_v"));
            let tokens = float("n_ctx") * float("n_seq");
            let shape = [whole("n_layer"), whole("n_kv_head"), whole("head_dim_k")];
            json!(catalog::reckoning::kv_cache_bytes(shape, tokens, number))
        }
        "compute_buffer_bytes" => {
            let [batch, vocabulary, context, heads] = ["n_ubatch", "n_vocab", "n_ctx", "n_head"].map(&whole);
            let one_kernel = input["flash"].as_bool().unwrap();
            json!(catalog::reckoning::compute_buffer_bytes(batch, vocabulary, context, heads, one_kernel))
        }
        "chinchilla_loss" => json!(law(&float).loss(float("N"), float("D"))),
        "chinchilla_optimal" => {
            let (n, d) = law(&float).optimum(float("C"));
            json!({ "N": n, "D": d, "ratio": d / n })
        }
        "api_cost" => json!(catalog::reckoning::api_cost(
            float("input_tokens"),
            float("output_tokens"),
            float("usd_per_m_in"),
            float("usd_per_m_out"),
            float("cached_tokens"),
            float("usd_per_m_cached"),
        )),
        "selfhost_usd_per_m" => json!(catalog::reckoning::self_hosted(
            float("usd_gpu_hour"),
            float("n_gpu"),
            float("tokens_per_s"),
            float("utilisation"),
        )),
        "breakeven_tokens_month" => json!(catalog::reckoning::break_even_tokens(
            float("fixed_usd_month"),
            float("api_usd_per_m"),
            float("selfhost_var_usd_per_m"),
        )),
        "chance_corrected_logit" => json!(chance_corrected_logit(float("acc"), float("chance"), float("n"))),
        "holm" => json!(holm(&floats(&input["p"]))),
        "mad_modified_z" => json!(modified_z(&floats(&input["x"]))),
        "jagged_lobo_t" => {
            let panel: Vec<Vec<f64>> = input["panel"].as_array().unwrap().iter().map(floats).collect();
            let panel: Vec<&[f64]> = panel.iter().map(Vec::as_slice).collect();
            let at = usize::try_from(whole("j")).unwrap();
            let found = against_panel(&panel, &floats(&input["target"]), at);
            json!(found.map(|Deviation { t, p }| json!({ "t": t, "p": p })))
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
        (json!([1.0, 2.0]), json!([1.0]), false),
        (json!([1.0, 2.0]), json!([1.0, 2.1]), false),
        (json!({ "band": "DEPLOY" }), json!({ "band": "FINE_TUNE" }), false),
    ] {
        assert_eq!(agree(&found, &expected, &tolerance), agrees, "{found} {expected}");
    }
    assert_eq!(compute("wilsn", &json!({})), None);
}
