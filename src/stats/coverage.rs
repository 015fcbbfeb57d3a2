//! How often intervals hold the truth: exactly where all results can be counted, else over seeded runs. `benches/coverage` has
//! all that are offered, at more sizes and settings.

use super::{
    ClusterSums, Clusters, Interval, JudgeErrors, Pairs, Random, Resampling, Share, Values, Weights, beta_quantile,
    binomial_probability, bonett_price, bootstrap, clopper_pearson, gwet_ac1, jeffreys, kappa, newcombe_paired,
    tango_interval, unpaired_difference, wilson,
};

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

/// In the mean over rates and correlations, as tables of coverage have it; few clusters at high rates are where it is hardest.
#[test]
fn rates_over_clusters() {
    for (clusters, rows, lowest) in [(8, 25, 0.88), (20, 10, 0.9), (40, 5, 0.9)] {
        let (mut offered, mut plain) = (Vec::new(), Vec::new());
        for icc in [0.1, 0.3, 0.5] {
            for p in [0.5, 0.7, 0.9, 0.95] {
                let total = 1.0 / icc - 1.0;
                // Each cluster has a rate of its own.
                let rates: Vec<f64> = (0..400)
                    .map(|step| beta_quantile((f64::from(step) + 0.5) / 400.0, p * total, (1.0 - p) * total))
                    .collect();
                let truth = rates.iter().sum::<f64>() / 400.0;
                let held = |interval: fn(&Clusters) -> Interval| {
                    simulated(500, |random| {
                        let mut counts = Clusters::default();
                        for _ in 0..clusters {
                            let own = rates[random.below(400) as usize];
                            counts.add(u64::from(random.binomial(rows, own)), u64::from(rows));
                        }
                        holds(interval(&counts), truth)
                    })
                    .0
                };
                offered.push(held(|counts| counts.interval(LEVEL).interval));
                plain.push(held(|counts| counts.wilson_clustered(LEVEL).interval));
            }
        }
        let mean = |covered: &[f64]| covered.iter().sum::<f64>() / covered.len() as f64;
        assert!(mean(&offered) > LEVEL - 0.01 && mean(&offered) < 0.98, "{clusters} × {rows}: {offered:?}");
        assert!(offered.iter().all(|held| *held > lowest), "{clusters} × {rows}: {offered:?}");
        assert!(mean(&plain) < mean(&offered), "{clusters} × {rows}: {plain:?}");
    }
}

/// A score that is not symmetric: the square of an even number, with a mean of a third.
fn skewed(random: &mut Random) -> f64 {
    let x = random.share();
    x * x
}

/// In thousandths.
fn parts(score: f64) -> u64 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is within [0, 1]")]
    let parts = (score * 1_000.0).round() as u64;
    parts
}

#[test]
fn means_of_scores() {
    /// A kind of score, and its mean.
    type Kind = (fn(&mut Random) -> f64, f64);
    let nearly_all: fn(&mut Random) -> f64 = |random| match random.share() {
        x if x < 0.05 => 0.0,
        x if x < 0.15 => 0.5,
        _ => 1.0,
    };
    let kinds: [Kind; 3] = [(skewed, 1.0 / 3.0), (|random| random.share(), 0.5), (nearly_all, 0.9)];
    for n in [20, 60, 200] {
        let covered = kinds.map(|(draw, mean)| {
            let (held, slack) = simulated(1_000, |random| {
                let mut scores = Clusters::in_parts_of(1_000);
                (0..n).for_each(|_| scores.add(parts(draw(random)), 1));
                holds(scores.interval(LEVEL).interval, mean)
            });
            assert!(held > LEVEL - 0.01 - slack, "{n}, {mean}: {held}");
            held
        });
        let mean = covered.iter().sum::<f64>() / 3.0;
        assert!((mean - LEVEL).abs() < 0.025, "{n}: {covered:?}");
    }
}

#[test]
fn means_over_clusters() {
    for (clusters, rows) in [(20, 4), (60, 3)] {
        let (held, slack) = simulated(1_000, |random| {
            let mut scores = Clusters::in_parts_of(1_000);
            for _ in 0..clusters {
                let shared = random.share() / 2.0;
                scores.add((0..rows).map(|_| parts(skewed(random) / 2.0 + shared)).sum(), rows);
            }
            holds(scores.interval(LEVEL).interval, 1.0 / 6.0 + 0.25)
        });
        assert!((held - LEVEL).abs() < 0.01 + slack, "{clusters} × {rows}: {held}");
    }
}

/// The probability of each table of `n` labels by the shares of its cells, for each table with any.
fn of_tables(n: u64, cells: [f64; 4], mut each: impl FnMut(&[[u64; 2]; 2], f64)) {
    let [a, b, c, d] = cells;
    for first in 0..=n {
        let one = binomial_probability(first, n, a);
        for second in 0..=n - first {
            let two = one * binomial_probability(second, n - first, b / (b + c + d));
            for third in 0..=n - first - second {
                let left = n - first - second;
                each(&[[first, second], [third, left - third]], two * binomial_probability(third, left, c / (c + d)));
            }
        }
    }
}

/// Exact, in the mean over judges: where an interval is none, as where all are of one class, it counts neither way.
#[test]
fn agreement_of_few_labels() {
    let n = 20;
    let (mut of_kappa, mut of_ac1, mut of_errors) = (Vec::new(), Vec::new(), Vec::new());
    for (truth, sensitivity, specificity) in
        [(0.5, 0.9, 0.9), (0.65, 0.9, 0.7), (0.72, 0.97, 0.5), (0.8, 0.8, 0.8), (0.65, 0.6, 0.6), (0.8, 0.95, 0.8)]
    {
        let [a, b] = [truth * sensitivity, truth * (1.0 - sensitivity)];
        let [c, d] = [(1.0 - truth) * (1.0 - specificity), (1.0 - truth) * specificity];
        let (observed, judged) = (a + d, a + c);
        let by_margins = truth * judged + (1.0 - truth) * (1.0 - judged);
        let mean = f64::midpoint(truth, judged);
        let by_chance = 2.0 * mean * (1.0 - mean);
        let beyond = |expected: f64| (observed - expected) / (1.0 - expected);
        let truths = [beyond(by_margins), beyond(by_chance), sensitivity + specificity - 1.0];
        let (mut held, mut offered) = ([0.0; 3], [0.0; 3]);
        of_tables(n, [a, b, c, d], |table, probability| {
            let errors = JudgeErrors {
                passes: Share { count: table[0][0], of: table[0][0] + table[0][1] },
                fails: Share { count: table[1][1], of: table[1][0] + table[1][1] },
            };
            let found = [
                kappa(table, Weights::Nominal).and_then(|found| found.interval(n, LEVEL)),
                gwet_ac1(table).and_then(|found| found.interval(n, LEVEL)),
                errors.informedness_interval(LEVEL).map(|found| found.interval),
            ];
            for (at, interval) in found.into_iter().enumerate() {
                if let Some(interval) = interval {
                    offered[at] += probability;
                    held[at] += if holds(interval, truths[at]) { probability } else { 0.0 };
                }
            }
        });
        assert!(offered.iter().all(|share| *share > 0.9), "{offered:?}");
        of_kappa.push(held[0] / offered[0]);
        of_ac1.push(held[1] / offered[1]);
        of_errors.push(held[2] / offered[2]);
    }
    for (name, covered) in [("κ", of_kappa), ("AC1", of_ac1), ("J", of_errors)] {
        let mean = covered.iter().sum::<f64>() / covered.len() as f64;
        assert!((LEVEL - 0.01..0.97).contains(&mean) && covered.iter().all(|one| *one > 0.9), "{name}: {covered:?}");
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
