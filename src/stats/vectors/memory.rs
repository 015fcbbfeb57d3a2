//! The vectors of the group `memory`, which `catalog` computes.

use serde_json::{Value, json};

use super::{Input, is_true};
use crate::catalog::reckoning::{self, Law};

fn law(input: &Input<'_>) -> Law {
    let [e, a, b, alpha, beta] = ["E", "A", "B", "al", "be"].map(|name| input.float(name));
    Law { e, a, b, alpha, beta }
}

/// What this program gives for a vector's input; none for a function of another group.
pub(super) fn compute(function: &str, input: &Input<'_>) -> Option<Value> {
    let (float, whole) = (|name: &str| input.float(name), |name: &str| input.whole(name));
    Some(match function {
        "weight_bytes" => json!(reckoning::weight_bytes(float("params"), float("bpw"))),
        "kv_cache_bytes" => {
            assert!((float("head_dim_k") - float("head_dim_v")).abs() < 0.5, "keys and values are of one size");
            let number = float("bytes_k").midpoint(float("bytes_v"));
            let tokens = float("n_ctx") * float("n_seq");
            let shape = [whole("n_layer"), whole("n_kv_head"), whole("head_dim_k")];
            json!(reckoning::kv_cache_bytes(shape, tokens, number))
        }
        "compute_buffer_bytes" => {
            let [batch, vocabulary, context, heads] = ["n_ubatch", "n_vocab", "n_ctx", "n_head"].map(whole);
            let one_kernel = is_true(&input.0["flash"]);
            json!(reckoning::compute_buffer_bytes(batch, vocabulary, context, heads, one_kernel))
        }
        "chinchilla_loss" => json!(law(input).loss(float("N"), float("D"))),
        "chinchilla_optimal" => {
            let (n, d) = law(input).optimum(float("C"));
            json!({ "N": n, "D": d, "ratio": d / n })
        }
        "api_cost" => json!(reckoning::api_cost(
            float("input_tokens"),
            float("output_tokens"),
            float("usd_per_m_in"),
            float("usd_per_m_out"),
            float("cached_tokens"),
            float("usd_per_m_cached"),
        )),
        "selfhost_usd_per_m" => json!(reckoning::self_hosted(
            float("usd_gpu_hour"),
            float("n_gpu"),
            float("tokens_per_s"),
            float("utilisation"),
        )),
        "breakeven_tokens_month" => json!(reckoning::break_even_tokens(
            float("fixed_usd_month"),
            float("api_usd_per_m"),
            float("selfhost_var_usd_per_m"),
        )),
        _ => return None,
    })
}
