//! The vectors of the group `decision`.

use serde_json::{Value, json};

use super::{Input, pair};
use crate::data::{Outcome, Thresholds};
use crate::stats::{
    BetaPrior, Betting, Boundary, SequentialPlan, Sides, band_posterior, confidence_sequence,
    group_sequential_constant, lan_demets_spend, log_evidence, n_halfwidth_wilson, n_one_sample, n_to_decide_wilson,
    outcome_at, outcome_by_interval, sequential_decide, suite_confidence_sequence, wilson,
};

fn band(outcome: Outcome) -> String {
    outcome.as_str().to_uppercase()
}

fn thresholds(input: &Input<'_>) -> Thresholds {
    Thresholds { deploy: input.float("t_hi"), fine_tune: input.float("t_lo") }
}

fn prior(input: &Input<'_>) -> BetaPrior {
    BetaPrior { a: input.float("a"), b: input.float("b") }
}

fn boundary(input: &Input<'_>) -> Boundary {
    match input.text("kind") {
        "pocock" => Boundary::Pocock,
        "obf" => Boundary::ObrienFleming,
        other => panic!("no boundary `{other}`"),
    }
}

fn decide(input: &Input<'_>) -> Value {
    let (k, n) = (input.float("k"), input.float("n"));
    let interval = wilson(k, n, input.float("conf"));
    json!({
        "lo": interval.lo,
        "hi": interval.hi,
        "band": band(outcome_by_interval(interval, &thresholds(input))),
        "point_band": band(outcome_at(k / n, &thresholds(input))),
    })
}

fn sequential(input: &Input<'_>) -> Value {
    let plan = SequentialPlan {
        scenarios: input.whole("N"),
        alpha: input.float("alpha"),
        alpha_early: input.float("alpha_seq"),
        prior: prior(input),
        least: 0,
    };
    let found = sequential_decide(input.whole("s"), input.whole("f"), &plan, &thresholds(input));
    json!({ "lo": found.interval.lo, "hi": found.interval.hi, "band": band(found.outcome), "stop": found.stop })
}

/// What this program gives for a vector's input; none for a function of another group.
pub(super) fn compute(function: &str, input: &Input<'_>) -> Option<Value> {
    let sides = || if input.whole("sides") == 1 { Sides::One } else { Sides::Two };
    Some(match function {
        "decide_wilson" => decide(input),
        "band_posterior" => {
            let found = band_posterior(input.whole("k"), input.whole("n"), &thresholds(input));
            json!({ "full": found.full_pipeline, "fine_tune": found.fine_tune, "deploy": found.deploy })
        }
        "n_to_decide_wilson" => {
            json!(n_to_decide_wilson(input.whole("k"), input.whole("n"), input.float("t"), input.float("conf")))
        }
        "n_one_sample" => {
            json!(n_one_sample(input.float("p"), input.float("t"), input.float("alpha"), input.float("power"), sides()))
        }
        "n_halfwidth_wilson" => json!(n_halfwidth_wilson(input.float("p"), input.float("w"), input.float("conf"))),
        "bb_log_evalue" => json!(log_evidence(input.whole("s"), input.whole("f"), input.float("p"), prior(input))),
        "bb_confseq" => {
            pair(confidence_sequence(input.whole("s"), input.whole("f"), input.float("alpha"), prior(input)))
        }
        "ppr_wor_confseq" => {
            let [passed, drawn, suite] = ["s", "t", "N"].map(|name| input.whole(name));
            let found = suite_confidence_sequence(passed, drawn, suite, input.float("alpha"), prior(input));
            json!({ "M_lo": found.lo, "M_hi": found.hi })
        }
        "hedged_log_capital" => {
            let mut betting = Betting::with(input.float("alpha"), input.float("theta"), input.float("c"));
            input.floats("x").into_iter().for_each(|score| betting.add(score));
            json!(betting.log_capital(input.float("m")))
        }
        "hedged_confseq" => {
            let mut betting = Betting::new(input.float("alpha"));
            input.floats("x").into_iter().for_each(|score| betting.add(score));
            pair(betting.confidence_sequence())
        }
        "group_sequential_constant" => {
            let looks = u32::try_from(input.whole("K")).unwrap();
            json!(group_sequential_constant(looks, input.float("alpha"), boundary(input)))
        }
        "lan_demets_spend" => json!(lan_demets_spend(input.float("t"), input.float("alpha"), boundary(input))),
        "sequential_decide" => sequential(input),
        _ => return None,
    })
}
