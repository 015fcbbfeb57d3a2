//! The vectors of the group `judge`.

use serde_json::{Value, json};

use super::{Input, floats, is_true, wholes};
use crate::stats::{
    Agreement, Estimate, Forecast, Interval, JudgeErrors, Labelled, Share, Target, Trust, VerdictLabels, Weights,
    brier, dawid_skene, expected_calibration_error, expected_score, fleiss_kappa, gwet_ac1, kappa,
    krippendorff_nominal, labels_needed, lang_reiczigel, majority, mover_difference, neyman_share, position_bias,
    poststratified, ppi_mean, rogan_gladen, self_consistency, soft_verdict,
};

fn table(input: &Input<'_>, name: &str) -> Vec<Vec<u64>> {
    input.list(name).iter().map(wholes).collect()
}

fn share(input: &Input<'_>, count: &str, of: &str) -> Share {
    Share { count: input.whole(count), of: input.whole(of) }
}

fn estimate(found: Option<Estimate>) -> Value {
    json!(found.map(|found| json!({ "point": found.point, "lo": found.interval.lo, "hi": found.interval.hi })))
}

fn mover(input: &Input<'_>) -> Value {
    let of = |[point, lo, hi]: [&str; 3]| Estimate {
        point: input.float(point),
        interval: Interval { lo: input.float(lo), hi: input.float(hi) },
    };
    let found = mover_difference(&of(["e1", "l1", "u1"]), &of(["e2", "l2", "u2"]));
    json!({ "diff": found.point, "lo": found.interval.lo, "hi": found.interval.hi })
}

/// Agreement, of a judge with others and with itself.
fn agreement(function: &str, input: &Input<'_>) -> Option<Value> {
    Some(match function {
        "cohen_kappa" => {
            let Agreement { observed, expected, coefficient, standard_error } =
                kappa(&table(input, "table"), Weights::Nominal).unwrap();
            json!({ "po": observed, "pe": expected, "kappa": coefficient, "se": standard_error })
        }
        "weighted_kappa" => {
            let weights = match input.text("weights") {
                "linear" => Weights::Linear,
                "quadratic" => Weights::Quadratic,
                other => panic!("no weights `{other}`"),
            };
            json!(kappa(&table(input, "table"), weights).unwrap().coefficient)
        }
        "gwet_ac1" => {
            let found = gwet_ac1(&table(input, "table")).unwrap();
            json!({ "pa": found.observed, "pe": found.expected, "ac1": found.coefficient })
        }
        "krippendorff_nominal" => {
            let mut classes: Vec<String> = Vec::new();
            let mut class = |rating: &Value| {
                let name = rating.to_string();
                let place = classes.iter().position(|class| *class == name).unwrap_or_else(|| {
                    classes.push(name);
                    classes.len() - 1
                });
                (!rating.is_null()).then(|| u32::try_from(place).unwrap())
            };
            let data =
                input.list("data").iter().map(|rater| rater.as_array().unwrap().iter().map(&mut class).collect());
            json!(krippendorff_nominal(&data.collect::<Vec<Vec<Option<u32>>>>()))
        }
        "fleiss_kappa" => json!(fleiss_kappa(&table(input, "counts"))),
        "self_consistency" => {
            let found = self_consistency(&input.wholes("passes"), input.whole("K"), 0.95).unwrap();
            json!({ "mean_pairwise_disagreement": found.disagreement, "share_unanimous": found.unanimous })
        }
        "position_bias" => {
            let [consistent, first, second] = ["consistent", "first_both", "second_both"].map(|name| input.whole(name));
            let found = position_bias(consistent, first, second).unwrap();
            json!({
                "consistency": found.consistency,
                "flip_rate": found.flip_rate,
                "first_pref": found.first_preferred,
                "second_pref": found.second_preferred,
                "bias": found.bias,
                "p": found.p,
            })
        }
        _ => return None,
    })
}

fn poststrat(input: &Input<'_>) -> Value {
    let labels = VerdictLabels {
        judged: share(input, "k", "N"),
        among_passed: share(input, "x1", "m1"),
        among_failed: share(input, "x0", "m0"),
    };
    let target = match input.text("target") {
        "population" => Target::Population,
        "suite" => Target::Suite,
        other => panic!("no target `{other}`"),
    };
    estimate(poststratified(&labels, input.float("conf"), target))
}

fn ppi(input: &Input<'_>) -> Value {
    let labelled: Vec<Labelled> = (input.floats("Y").into_iter().zip(input.floats("f")))
        .map(|(truth, judged)| Labelled { truth, judged })
        .collect();
    let trust = input.0["lam"].as_f64().map_or(Trust::Tuned, Trust::Fixed);
    let found = ppi_mean(&labelled, &input.floats("F"), input.float("conf"), trust).unwrap();
    json!({
        "point": found.mean,
        "lam": found.trust,
        "se": found.standard_error,
        "lo": found.interval.lo,
        "hi": found.interval.hi,
    })
}

/// The truth behind verdicts.
fn correction(function: &str, input: &Input<'_>) -> Option<Value> {
    Some(match function {
        "rogan_gladen_raw" => json!(rogan_gladen(input.float("p"), input.float("se"), input.float("sp"))),
        "lang_reiczigel" => {
            let errors = JudgeErrors { passes: share(input, "tp", "P"), fails: share(input, "tn", "N") };
            estimate(lang_reiczigel(share(input, "k", "n"), &errors, input.float("conf")))
        }
        "poststrat_wilson" => poststrat(input),
        "neyman_m1" => {
            let part = neyman_share(share(input, "k", "N"), input.float("mu1"), input.float("mu0"));
            json!(part.unwrap() * input.float("m"))
        }
        "labels_needed" => json!(labels_needed(
            share(input, "k", "N"),
            input.float("mu1"),
            input.float("mu0"),
            input.float("halfwidth"),
            0.95
        )),
        "ppi_mean" => ppi(input),
        _ => return None,
    })
}

fn panel(input: &Input<'_>) -> Value {
    let verdicts: Vec<Vec<bool>> =
        input.list("labels").iter().map(|row| row.as_array().unwrap().iter().map(is_true).collect()).collect();
    let found = dawid_skene(&verdicts).unwrap();
    json!({ "pi": found.prevalence, "se": found.sensitivity, "sp": found.specificity, "post": found.posterior })
}

fn vote(input: &Input<'_>) -> Value {
    let votes: Vec<bool> = input.list("votes").iter().map(is_true).collect();
    match (majority(&votes), input.text("tie")) {
        (Some(pass), _) => json!(u8::from(pass)),
        (None, "fail") => json!(0),
        (None, "pass") => json!(1),
        (None, _) => Value::Null,
    }
}

fn forecasts(input: &Input<'_>) -> Vec<Forecast> {
    (input.floats("p").into_iter().zip(input.list("y")))
        .map(|(probability, truth)| Forecast { probability, came_true: is_true(truth) })
        .collect()
}

/// What this program gives for a vector's input; none for a function of another group.
pub(super) fn compute(function: &str, input: &Input<'_>) -> Option<Value> {
    Some(match function {
        "mover_difference" => mover(input),
        "dawid_skene_binary" => panel(input),
        "majority_vote" => vote(input),
        "soft_verdict" => json!(
            soft_verdict(&floats(&input.0["lp_pass"]), &floats(&input.0["lp_fail"]))
                .map(|found| json!({ "p_pass": found.pass, "mass": found.mass }))
        ),
        "geval_expected_score" => {
            let scores = input.0["logprobs"].as_object().unwrap().iter();
            let scores: Vec<(f64, f64)> =
                scores.map(|(score, log)| (score.parse().unwrap(), log.as_f64().unwrap())).collect();
            json!(expected_score(&scores))
        }
        "ece" => json!(expected_calibration_error(&forecasts(input), u32::try_from(input.whole("bins")).unwrap())),
        "brier" => json!(brier(&forecasts(input))),
        _ => return agreement(function, input).or_else(|| correction(function, input)),
    })
}
