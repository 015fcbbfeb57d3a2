//! The vectors of the group `paired`.

use serde_json::{Value, json};

use super::{Input, pair};
use crate::stats::{
    GateVerdict, McNemar, PairedVariance, Pairs, benjamini_hochberg, bonett_price, holm, margin_supported,
    mcnemar_exact, mcnemar_midp, mcnemar_power, mde_paired, mde_unpaired, n_mcnemar, n_miller_paired, n_noninferiority,
    newcombe_paired, noninferiority_p, regression_gate, sign_flip_p, tango_interval, unpaired_difference,
};

fn pairs(input: &Input<'_>) -> Pairs {
    let [both, gains, losses, neither] = ["both", "gains", "losses", "neither"].map(|name| input.whole(name));
    Pairs { both, gains, losses, neither }
}

fn gate(input: &Input<'_>) -> Value {
    let found = regression_gate(&pairs(input), input.float("margin"), input.float("conf"));
    let verdict = match found.by_interval {
        GateVerdict::Pass => "PASS",
        GateVerdict::Fail => "FAIL",
        GateVerdict::Inconclusive => "INCONCLUSIVE",
    };
    json!({
        "diff": found.difference.point,
        "lo": found.difference.interval.lo,
        "hi": found.difference.interval.hi,
        "verdict": verdict,
        "equivalent": found.is_equivalent,
    })
}

fn miller(input: &Input<'_>) -> Value {
    let variance = PairedVariance {
        questions: input.float("omega2"),
        base: input.float("sA2"),
        new: input.float("sB2"),
        base_samples: input.whole("KA"),
        new_samples: input.whole("KB"),
    };
    json!(n_miller_paired(&variance, input.float("delta"), input.float("alpha"), input.float("power")))
}

/// Numbers of scenarios, and what they can show.
fn planning(function: &str, input: &Input<'_>) -> Option<Value> {
    let (alpha, power) = (|| input.float("alpha"), || input.float("power"));
    Some(match function {
        "mcnemar_power" => {
            let test = match input.text("test") {
                "midp" => McNemar::MidP,
                "exact" => McNemar::Exact,
                other => panic!("no test `{other}`"),
            };
            json!(mcnemar_power(input.whole("n"), input.float("p_gain"), input.float("p_loss"), alpha(), test))
        }
        "n_mcnemar" => json!(n_mcnemar(input.float("p_gain"), input.float("p_loss"), alpha(), power())),
        "mde_paired" => json!(mde_paired(input.whole("n"), input.float("psi"), alpha(), power())),
        "mde_unpaired" => {
            json!(mde_unpaired(input.whole("n1"), input.whole("n2"), input.float("p"), alpha(), power()))
        }
        "n_miller_paired" => miller(input),
        "n_noninferiority" => {
            json!(n_noninferiority(input.float("psi"), input.float("margin"), input.float("delta"), alpha(), power()))
        }
        "margin_supported" => json!(margin_supported(input.whole("n"), input.float("psi"), alpha(), power())),
        _ => return None,
    })
}

/// What this program gives for a vector's input; none for a function of another group.
pub(super) fn compute(function: &str, input: &Input<'_>) -> Option<Value> {
    let counts = || ["gains", "losses", "n"].map(|name| input.whole(name));
    Some(match function {
        "mcnemar_exact" => json!(mcnemar_exact(input.whole("gains"), input.whole("losses"))),
        "mcnemar_midp" => json!(mcnemar_midp(input.whole("gains"), input.whole("losses"))),
        "newcombe_paired" => {
            let found = newcombe_paired(&pairs(input), input.float("conf"));
            json!({ "diff": found.point, "lo": found.interval.lo, "hi": found.interval.hi })
        }
        "tango_ci" => {
            let [gains, losses, n] = counts();
            pair(tango_interval(gains, losses, n, input.float("conf")))
        }
        "bonett_price" => {
            let [gains, losses, n] = counts();
            pair(bonett_price(gains, losses, n, input.float("conf")))
        }
        "paired_diff_se" => {
            let pairs = pairs(input);
            json!({ "diff": pairs.difference(), "se": pairs.standard_error() })
        }
        "noninferiority_p_tango" => {
            let [gains, losses, n] = counts();
            json!(noninferiority_p(gains, losses, n, input.float("margin")))
        }
        "regression_gate" => gate(input),
        "signflip_p" => json!(sign_flip_p(&input.floats("d"), 0, "vectors")),
        "holm" => json!(holm(&input.floats("p"))),
        "bh" => json!(benjamini_hochberg(&input.floats("p"))),
        "delta_noise" => {
            let [k1, n1, k2, n2] = ["k1", "n1", "k2", "n2"].map(|name| input.whole(name));
            let found = unpaired_difference((k1, n1), (k2, n2), input.float("conf"));
            json!({ "diff": found.point, "lo": found.interval.lo, "hi": found.interval.hi, "noise": found.is_noise() })
        }
        _ => return planning(function, input),
    })
}
