//! The vectors of the group `intervals`.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Input, floats, pair};
use crate::stats::{
    ClusteredInterval, Clusters, Epochs, Resampling, Values, clopper_pearson, clustered_mean, efron, icc_anova,
    jeffreys, mean_ci_t, pass_at_k, pass_pow_k, two_sided_t, wilson,
};

/// The scores of each cluster.
fn groups(input: &Input<'_>) -> Vec<Vec<f64>> {
    let mut groups: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for (score, cluster) in input.floats("x").into_iter().zip(input.list("cluster")) {
        groups.entry(cluster.to_string()).or_default().push(score);
    }
    groups.into_values().collect()
}

/// The clusters of a vector, whose scores are counted in ten-thousandths.
fn clusters(input: &Input<'_>) -> Clusters {
    let mut all = Clusters::in_parts_of(10_000);
    for scores in groups(input) {
        let parts = scores.iter().sum::<f64>() * 10_000.0;
        assert!((parts - parts.round()).abs() < 1e-6, "{scores:?} have few decimals");
        #[expect(clippy::cast_possible_truncation, reason = "scores in [0, 1]")]
        all.add(parts.round() as u64, scores.len() as u64);
    }
    all
}

fn cluster_se(input: &Input<'_>) -> Value {
    let counted = clusters(input);
    let by_scores = clustered_mean(&groups(input), 0.95).unwrap();
    assert!((by_scores.standard_error - counted.cluster_se_cr1().unwrap()).abs() < 1e-12, "two ways, one answer");
    json!({ "se": counted.cluster_se_cr1(), "G": counted.clusters() })
}

fn wilson_clustered(input: &Input<'_>) -> Value {
    let (clusters, rows) = (clusters(input), input.floats("x"));
    let ClusteredInterval { interval, n_eff, design_effect, degrees: _ } =
        clusters.wilson_clustered(input.float("conf"));
    json!({
        "p": rows.iter().sum::<f64>() / rows.len() as f64,
        "se": clusters.cluster_se_cr1(),
        "G": clusters.clusters(),
        "n_eff": n_eff,
        "deff": design_effect,
        "t": two_sided_t(input.float("conf"), u32::try_from(clusters.clusters() - 1).unwrap()),
        "lo": interval.lo,
        "hi": interval.hi,
    })
}

fn epochs(input: &Input<'_>) -> Value {
    let scores: Vec<Vec<f64>> = input.list("scores").iter().map(floats).collect();
    let epochs = Epochs::decompose(&scores).unwrap();
    json!({
        "mean": epochs.mean,
        "se": epochs.standard_error,
        "var_within": epochs.within,
        "var_between": epochs.between,
        "se_K1": epochs.standard_error_with(1),
        "se_Kinf": epochs.least_standard_error(),
    })
}

/// The mean of a resample without its smallest and its largest unit.
fn trimmed(list: &[f64]) -> f64 {
    let inner = &list[1..list.len() - 1];
    inner.iter().sum::<f64>() / inner.len() as f64
}

fn bca(input: &Input<'_>) -> Value {
    let mut sorted = input.floats("x");
    sorted.sort_by(f64::total_cmp);
    let values = Values::new(sorted.clone()).unwrap();
    let statistic = |drawn: &[u32]| match input.text("stat") {
        "mean" => values.mean(drawn),
        "median" => values.quantile(drawn, 0.5),
        "sd" => values.standard_deviation(drawn),
        "trimmean_drop_minmax" => {
            let mut list = Vec::new();
            let mut distinct = sorted.clone();
            distinct.dedup_by_key(|value| value.to_bits());
            for (value, count) in distinct.iter().zip(drawn) {
                list.extend(std::iter::repeat_n(*value, *count as usize));
            }
            trimmed(&list)
        }
        other => panic!("no statistic `{other}`"),
    };
    // So many that every resample is taken.
    let every = Resampling { confidence: input.float("conf"), resamples: 20_000_000, seed: 0, purpose: "vectors" };
    let found = efron(values.counts(), statistic, &every).unwrap();
    assert_eq!(found.resamples, (sorted.len() as u64).pow(u32::try_from(sorted.len()).unwrap()));
    json!({ "z0": found.bias, "a": found.acceleration, "lo": found.interval.lo, "hi": found.interval.hi })
}

/// What this program gives for a vector's input; none for a function of another group.
pub(super) fn compute(function: &str, input: &Input<'_>) -> Option<Value> {
    Some(match function {
        "wilson" => pair(wilson(input.float("k"), input.float("n"), input.float("conf"))),
        "clopper_pearson" => pair(clopper_pearson(input.whole("k"), input.whole("n"), input.float("conf"))),
        "jeffreys" => pair(jeffreys(input.whole("k"), input.whole("n"), input.float("conf"))),
        "mean_ci_t" => {
            let found = mean_ci_t(&input.floats("x"), input.float("conf")).unwrap();
            json!({ "mean": found.mean, "se": found.standard_error, "lo": found.interval.lo, "hi": found.interval.hi })
        }
        "cluster_se_cr1" => cluster_se(input),
        "icc_anova" => json!(icc_anova(&groups(input))),
        "wilson_clustered" => wilson_clustered(input),
        "epochs_decomp" => epochs(input),
        "pass_at_k" => json!(pass_at_k(input.whole("n"), input.whole("c"), input.whole("k"))),
        "pass_pow_k" => json!(pass_pow_k(input.whole("n"), input.whole("c"), input.whole("k"))),
        "bca_exhaustive" => bca(input),
        _ => return None,
    })
}
