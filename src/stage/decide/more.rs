//! How much more would settle what is open.

use crate::data::{ClusteredRate, More, Rate, Thresholds};
use crate::stats;

/// One entry for each threshold that keeps the outcome open.
pub(super) fn what_would_settle(rate: &Rate, thresholds: &Thresholds) -> Vec<More> {
    [thresholds.deploy, thresholds.fine_tune]
        .into_iter()
        .filter(|threshold| rate.lo < *threshold && *threshold <= rate.hi)
        .map(|threshold| match (rate.clustered, rate.point) {
            (Some(clustered), Some(point)) => more_clusters(clustered, point, threshold, rate.confidence),
            _ => More {
                threshold,
                scenarios: stats::n_to_decide_wilson(rate.passed, rate.n, threshold, rate.confidence),
                clusters: None,
            },
        })
        .collect()
}

/// What would settle a rate over clusters: more of them, each as large as those there are.
fn more_clusters(clustered: ClusteredRate, point: f64, threshold: f64, confidence: f64) -> More {
    let ClusteredRate { scenarios, n_eff, degrees, design_effect: _, clusters } = clustered;
    let needed = stats::n_to_decide_clustered(point, n_eff, degrees, clustered.number(), threshold, confidence);
    match clusters {
        None => More { threshold, scenarios: needed, clusters: None },
        Some(clusters) => {
            let as_scenarios = |needed: u64| needed.saturating_mul(scenarios).div_ceil(clusters.max(1));
            More { threshold, scenarios: needed.map(as_scenarios), clusters: needed }
        }
    }
}
