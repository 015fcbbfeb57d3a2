//! How often intervals hold the truth: exactly where all results can be counted, else over seeded runs. `benches/stats.rs` has
//! the same at more sizes.

use super::{
    ClusterSums, Clusters, Interval, Random, Resampling, Values, beta_quantile, binomial_probability, bonett_price,
    bootstrap, clopper_pearson, clustered_mean, jeffreys, mean_ci_t, newcombe_paired, tango_interval,
    unpaired_difference, wilson,
};
use crate::stats::Pairs;

const LEVEL: f64 = 0.95;

fn holds(interval: Interval, truth: f64) -> bool {
    interval.lo <= truth && truth <= interval.hi
}

/// The probability that the interval of `k` of `n` holds the rate, over rates of 0.40, 0.41 … 0.99: mean and lowest.
fn of_rates(n: u64, interval: impl Fn(u64) -> Interval) -> (f64, f64) {
    let intervals: Vec<Interval> = (0..=n).map(interval).collect();
    let covered: Vec<f64> = (40..100)
        .map(|percent| {
            let p = f64::from(percent) / 100.0;
            let held = (0..=n).zip(&intervals).filter(|(_, interval)| holds(**interval, p));
            held.map(|(k, _)| binomial_probability(k, n, p)).sum()
        })
        .collect();
    let lowest = covered.iter().copied().fold(1.0, f64::min);
    (covered.iter().sum::<f64>() / covered.len() as f64, lowest)
}

#[test]
fn intervals_of_a_rate() {
    for n in [20, 50, 100, 400] {
        let (mean, lowest) = of_rates(n, |k| wilson(k as f64, n as f64, LEVEL));
        assert!((mean - LEVEL).abs() < 0.01 && lowest > 0.91, "Wilson, {n}: {mean} {lowest}");
        let (mean, lowest) = of_rates(n, |k| jeffreys(k, n, LEVEL));
        assert!((mean - LEVEL).abs() < 0.01 && lowest > 0.88, "Jeffreys, {n}: {mean} {lowest}");
        let (mean, lowest) = of_rates(n, |k| clopper_pearson(k, n, LEVEL));
        assert!(lowest >= LEVEL && mean < 0.98, "Clopper and Pearson are never below the level, {n}: {mean} {lowest}");
    }
}

/// A way from a table of pairs to an interval.
type Method = fn(&Pairs) -> Interval;

/// The probability that the interval of a paired difference holds it, over all tables of `n` scenarios.
fn of_pairs(n: u64, rates: [f64; 3], interval: Method) -> f64 {
    let [both, gain, loss] = rates;
    let mut covered = 0.0;
    for gains in 0..=n {
        for losses in 0..=n - gains {
            let differ = binomial_probability(gains + losses, n, gain + loss);
            let chance = differ * binomial_probability(gains, gains + losses, gain / (gain + loss));
            // Of the others, what passes under both is needed by one of the intervals only, so its mean must do.
            #[expect(clippy::cast_possible_truncation, reason = "a share of n")]
            let both = ((n - gains - losses) as f64 * both / (1.0 - gain - loss)).round() as u64;
            let pairs = Pairs { both, gains, losses, neither: n - gains - losses - both };
            covered += if holds(interval(&pairs), gain - loss) { chance } else { 0.0 };
        }
    }
    covered
}

#[test]
fn intervals_of_a_paired_difference() {
    let n = 50;
    let methods: [(&str, Method); 3] = [
        ("Newcombe", |pairs| newcombe_paired(pairs, LEVEL).interval),
        ("Tango", |pairs| tango_interval(pairs.gains, pairs.losses, pairs.scenarios(), LEVEL)),
        ("Bonett and Price", |pairs| bonett_price(pairs.gains, pairs.losses, pairs.scenarios(), LEVEL)),
    ];
    for (name, interval) in methods {
        let settings = [[0.6, 0.1, 0.1], [0.5, 0.2, 0.05], [0.7, 0.05, 0.05], [0.3, 0.2, 0.2]];
        let covered = settings.map(|rates| of_pairs(n, rates, interval));
        let mean = covered.iter().sum::<f64>() / covered.len() as f64;
        assert!(mean > LEVEL - 0.01 && covered.iter().all(|one| *one > 0.925), "{name}: {covered:?}");
    }
}

#[test]
fn intervals_of_an_unpaired_difference() {
    let (n1, n2) = (40, 60);
    let mut all = Vec::new();
    for (p1, p2) in [(0.5, 0.5), (0.6, 0.8), (0.9, 0.95), (0.3, 0.7)] {
        let mut covered = 0.0;
        for k1 in 0..=n1 {
            for k2 in 0..=n2 {
                if holds(unpaired_difference((k1, n1), (k2, n2), LEVEL).interval, p2 - p1) {
                    covered += binomial_probability(k1, n1, p1) * binomial_probability(k2, n2, p2);
                }
            }
        }
        all.push(covered);
    }
    let mean = all.iter().sum::<f64>() / all.len() as f64;
    assert!((mean - LEVEL).abs() < 0.01 && all.iter().all(|one| *one > 0.93), "{all:?}");
}

/// The share of `runs` in which `run` is true, and three standard errors of it at the level.
fn simulated(runs: u32, run: impl Fn(&mut Random) -> bool) -> (f64, f64) {
    let held = (0..runs).filter(|one| run(&mut Random::new(7, "coverage", u64::from(*one)))).count();
    (held as f64 / f64::from(runs), 3.0 * (LEVEL * (1.0 - LEVEL) / f64::from(runs)).sqrt())
}

#[test]
fn rates_over_clusters() {
    // (clusters, rows in each, intraclass correlation, rate)
    for (clusters, rows, icc, p) in [(20, 10, 0.3, 0.7), (10, 20, 0.1, 0.7), (30, 5, 0.5, 0.85)] {
        let total = 1.0 / icc - 1.0;
        let (held, slack) = simulated(300, |random| {
            let mut counts = Clusters::default();
            for _ in 0..clusters {
                // Each cluster has a rate of its own.
                let own = beta_quantile(random.share(), p * total, (1.0 - p) * total);
                let passed = random.binomial(rows, own);
                counts.add(u64::from(passed), u64::from(rows));
            }
            holds(counts.wilson_clustered(LEVEL).interval, p)
        });
        assert!(held > LEVEL - 0.01 - slack && held < 0.99, "{clusters} × {rows}, {icc}, {p}: {held}");
    }
}

/// A score that is not symmetric: the square of an even number, with a mean of a third.
fn skewed(random: &mut Random) -> f64 {
    let x = random.share();
    x * x
}

#[test]
fn means_of_scores() {
    for n in [20, 60, 200] {
        let (held, slack) = simulated(1_000, |random| {
            let scores: Vec<f64> = (0..n).map(|_| skewed(random)).collect();
            holds(mean_ci_t(&scores, LEVEL).unwrap().interval, 1.0 / 3.0)
        });
        assert!((held - LEVEL).abs() < 0.01 + slack, "{n}: {held}");
    }
}

#[test]
fn means_over_clusters() {
    for (clusters, rows) in [(20, 4), (60, 3)] {
        let (held, slack) = simulated(1_000, |random| {
            let scores: Vec<Vec<f64>> = (0..clusters)
                .map(|_| {
                    let shared = random.share() - 0.5;
                    (0..rows).map(|_| skewed(random) + shared).collect()
                })
                .collect();
            holds(clustered_mean(&scores, LEVEL).unwrap().interval, 1.0 / 3.0)
        });
        assert!((held - LEVEL).abs() < 0.01 + slack, "{clusters} × {rows}: {held}");
    }
}

#[test]
fn bootstrapped_statistics() {
    // With one seed for all, what these resamples happen to be would be in every run.
    let resampling = |seed| Resampling { confidence: LEVEL, resamples: 250, seed, purpose: "coverage" };
    let (held, slack) = simulated(400, |random| {
        let values = Values::new((0..20).map(|_| skewed(random)).collect()).unwrap();
        let found = bootstrap(values.counts(), |drawn| values.mean(drawn), &resampling(random.bits())).unwrap();
        holds(found.interval, 1.0 / 3.0)
    });
    assert!(held > LEVEL - 0.01 - slack, "mean of 20: {held}");
    let (held, slack) = simulated(120, |random| {
        let values = Values::new((0..60).map(|_| skewed(random)).collect()).unwrap();
        let found =
            bootstrap(values.counts(), |drawn| values.quantile(drawn, 0.5), &resampling(random.bits())).unwrap();
        // The median of the square is the square of the median.
        holds(found.interval, 0.25)
    });
    assert!(held > LEVEL - 0.01 - slack, "median: {held}");
    let (held, slack) = simulated(120, |random| {
        let mut clusters = ClusterSums::default();
        for _ in 0..40 {
            let shared = random.share() - 0.5;
            clusters.add((0..3).map(|_| skewed(random) + shared).sum(), 3);
        }
        let found = bootstrap(clusters.counts(), |drawn| clusters.mean(drawn), &resampling(random.bits())).unwrap();
        holds(found.interval, 1.0 / 3.0)
    });
    assert!(held > LEVEL - 0.01 - slack, "mean over clusters: {held}");
}
