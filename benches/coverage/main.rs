//! How often the intervals that evalflow offers hold the truth, from 20 to 2,000 rows: `cargo bench --bench coverage`.
//!
//! Each line is one interval at one size: its coverage in the mean over settings, and the lowest among them, as tables of coverage give
//! it (Brown, Cai and DasGupta 2001): no interval holds a proportion at every rate alike. It ends with an error where a mean is more than a
//! point below the level. Those that hold at every look are in `stats`. Names in brackets are what the field would use there, and are not offered. All runs are seeded: shares are the
//! same everywhere.
#![expect(clippy::print_stdout, reason = "a table for the person who runs it")]

mod settings;

use std::process::ExitCode;

use evalflow::stats::{
    ClusterSums, Clusters, Estimate, Interval, PairClusters, Pairs, Random, Resampling, SampledClusters, Target,
    Values, WeightedShare, Weights, binomial_probability, bootstrap, clopper_pearson, errors_by_verdict, gwet_ac1,
    kappa, lang_reiczigel_weighted, mean_ci_t, mean_difference_interval, mover_difference, n_eff_at_normal_quantile,
    newcombe_paired, poststratified, poststratified_clustered, two_sided_t, two_sided_z, unpaired_difference, wilson,
};
use settings::{Distribution, Judge, Rates, Scores};

const LEVEL: f64 = 0.95;

/// The lines printed so far.
#[derive(Default)]
struct Table {
    missed: u32,
}

impl Table {
    /// One interval at one size, with its coverage in each setting.
    fn line(&mut self, name: &str, size: &str, covered: &[f64]) {
        let mean = covered.iter().sum::<f64>() / covered.len() as f64;
        let lowest = covered.iter().copied().fold(1.0, f64::min);
        // The table's own uncertainty is a tenth of a point or two.
        let is_low = !name.starts_with('(') && mean < LEVEL - 0.01;
        self.missed += u32::from(is_low);
        println!("{name:<34}{size:<22}{mean:>7.3}{lowest:>8.3}{}", if is_low { "  below" } else { "" });
    }
}

fn main() -> ExitCode {
    println!("{:<34}{:<22}{:>7}{:>8}", "interval at 95 %", "size", "mean", "lowest");
    let mut table = Table::default();
    rates(&mut table);
    clusters(&mut table);
    wins(&mut table);
    scores(&mut table);
    clustered_scores(&mut table);
    suite_parts(&mut table);
    differences(&mut table);
    suites_of_topics(&mut table);
    clustered_differences(&mut table);
    score_differences(&mut table);
    agreement(&mut table);
    corrected(&mut table);
    corrected_over_topics(&mut table);
    if table.missed > 0 {
        println!("\n{} of them are more than a point below the level", table.missed);
        return ExitCode::FAILURE;
    }
    println!("\nall of them are within a point of the level, or above");
    ExitCode::SUCCESS
}

fn holds(interval: Interval, truth: f64) -> bool {
    interval.lo <= truth + 1e-12 && truth - 1e-12 <= interval.hi
}

/// The share of runs whose interval holds the truth, by seeds that depend on the setting.
fn share(setting: &str, runs: u32, truth: f64, mut interval: impl FnMut(&mut Random) -> Interval) -> f64 {
    let held = (0..runs).filter(|one| holds(interval(&mut Random::new(7, setting, u64::from(*one))), truth)).count();
    held as f64 / f64::from(runs)
}

/// Exact: all results are counted.
fn rates(table: &mut Table) {
    for n in [20, 50, 100, 200, 500, 1_000, 2_000] {
        let methods: [(&str, &dyn Fn(u64) -> Interval); 2] = [
            ("Wilson", &|k| wilson(k as f64, n as f64, LEVEL)),
            ("Clopper-Pearson", &|k| clopper_pearson(k, n, LEVEL)),
        ];
        for (name, interval) in methods {
            let intervals: Vec<Interval> = (0..=n).map(interval).collect();
            let covered: Vec<f64> = (40..100)
                .map(|percent| {
                    let p = f64::from(percent) / 100.0;
                    let held = (0..=n).zip(&intervals).filter(|(_, interval)| holds(**interval, p));
                    held.map(|(k, _)| binomial_probability(k, n, p)).sum()
                })
                .collect();
            table.line(name, &format!("{n} rows"), &covered);
        }
    }
}

/// Rates of clusters from three distributions, of one size and of many.
fn clusters(table: &mut Table) {
    for (groups, rows) in [(5, 10), (8, 25), (10, 20), (20, 10), (40, 5), (40, 25), (100, 20)] {
        for unlike in [false, true] {
            let (mut covered, mut plain) = (Vec::new(), Vec::new());
            for distribution in [Distribution::Beta, Distribution::Logistic, Distribution::TwoPoints] {
                for alike in [0.05, 0.3, 0.5] {
                    for p in [0.5, 0.7, 0.85, 0.9, 0.95, 0.99] {
                        let rates = Rates::new(distribution, p, alike);
                        let draw = |random: &mut Random| {
                            let mut counts = Clusters::default();
                            for group in 0..groups {
                                let rows = if unlike { settings::unlike(rows, group, groups) } else { rows };
                                counts.add(u64::from(rates.passes(random, rows)), u64::from(rows));
                            }
                            counts
                        };
                        let setting = format!("clusters {groups} {rows} {unlike} {alike} {p}");
                        let truth = rates.mean();
                        covered.push(share(&setting, 500, truth, |random| draw(random).interval(LEVEL).interval));
                        plain.push(share(&setting, 500, truth, |random| draw(random).wilson_clustered(LEVEL).interval));
                    }
                }
            }
            let size = format!("{groups} × {}{rows}", if unlike { "about " } else { "" });
            table.line("rate over clusters", &size, &covered);
            table.line("(the same with G − 1 degrees)", &size, &plain);
        }
    }
}

/// How often one is preferred, ties as a half.
fn wins(table: &mut Table) {
    for n in [20, 50, 200, 2_000] {
        let mut covered = Vec::new();
        for (win, tie) in [(0.5, 0.0), (0.3, 0.4), (0.1, 0.8), (0.6, 0.3), (0.8, 0.1), (0.9, 0.08)] {
            covered.push(share(&format!("wins {n} {win} {tie}"), 3_000, win + tie / 2.0, |random| {
                let mut halves = Clusters::in_parts_of(2);
                for _ in 0..n {
                    let x = random.share();
                    halves.add(if x < win { 2 } else { u64::from(x < win + tie) }, 1);
                }
                halves.interval(LEVEL).interval
            }));
        }
        table.line("wins with ties", &format!("{n} pairs"), &covered);
    }
}

fn resampled(random: &mut Random) -> Resampling<'static> {
    // With one seed for all, what these resamples happen to be would be in every run.
    Resampling { confidence: LEVEL, resamples: 500, seed: random.bits(), purpose: "coverage" }
}

fn scores(table: &mut Table) {
    for n in [20, 50, 200, 500, 2_000] {
        let (mut covered, mut by_t, mut by_bootstrap) = (Vec::new(), Vec::new(), Vec::new());
        for kind in Scores::ALL {
            let setting = format!("scores {n} {kind:?}");
            let draw = |random: &mut Random| -> Vec<f64> { (0..n).map(|_| kind.draw(random)).collect() };
            covered.push(share(&setting, 2_000, kind.mean(), |random| {
                let mut parts = Clusters::in_parts_of(1_000);
                draw(random).iter().for_each(|score| parts.add(settings::in_thousandths(*score), 1));
                parts.interval(LEVEL).interval
            }));
            by_t.push(share(&setting, 2_000, kind.mean(), |random| {
                mean_ci_t(&draw(random), LEVEL).expect("there are two or more").interval
            }));
            if n <= 200 {
                by_bootstrap.push(share(&setting, 400, kind.mean(), |random| {
                    let values = Values::new(draw(random)).expect("all numbers are finite");
                    let found = bootstrap(values.counts(), |drawn| values.mean(drawn), &resampled(random));
                    found.expect("there are two or more").interval
                }));
            }
        }
        table.line("mean score", &format!("{n} rows"), &covered);
        table.line("(Student's t)", &format!("{n} rows"), &by_t);
        if !by_bootstrap.is_empty() {
            table.line("(bootstrap, BCa)", &format!("{n} rows"), &by_bootstrap);
        }
    }
}

/// Scores of topics that differ: each row is its topic's or one of its own.
fn clustered_scores(table: &mut Table) {
    for (groups, rows) in [(8, 10), (20, 10), (40, 25), (100, 20)] {
        let mut covered = Vec::new();
        for kind in Scores::ALL {
            for alike in [0.1, 0.4] {
                covered.push(share(
                    &format!("scores of topics {groups} {rows} {kind:?} {alike}"),
                    500,
                    kind.mean(),
                    |random| {
                        let mut parts = Clusters::in_parts_of(1_000);
                        for _ in 0..groups {
                            let of_topic = kind.draw(random);
                            let own = |random: &mut Random| {
                                if random.share() * random.share() < alike * alike {
                                    of_topic
                                } else {
                                    kind.draw(random)
                                }
                            };
                            parts.add((0..rows).map(|_| settings::in_thousandths(own(random))).sum(), rows);
                        }
                        parts.interval(LEVEL).interval
                    },
                ));
            }
        }
        table.line("mean score over clusters", &format!("{groups} × {rows}"), &covered);
    }
}

/// A part of a suite, drawn at random, about the whole of it.
fn suite_parts(table: &mut Table) {
    for (part, whole) in [(20, 200), (100, 200), (100, 1_000), (500, 1_000)] {
        let covered = [0.5, 0.7, 0.85, 0.95].map(|p| {
            let truth = (p * f64::from(whole)).round() / f64::from(whole);
            share(&format!("part {part} {whole} {p}"), 2_000, truth, |random| {
                let order = random.order(whole);
                let drawn = order.iter().take(part);
                let passed = drawn.filter(|place| f64::from(**place) < truth * f64::from(whole) - 0.5).count();
                wilson(passed as f64, part as f64, LEVEL)
            })
        });
        table.line("part of a suite", &format!("{part} of {whole}"), &covered);
    }
}

/// Two suites whose topics differ, with nothing in common.
fn suites_of_topics(table: &mut Table) {
    for (groups, rows) in [(8, 25), (20, 10), (40, 25)] {
        let mut covered = Vec::new();
        for (one, other) in [(0.5, 0.6), (0.7, 0.7), (0.85, 0.95)] {
            for alike in [0.05, 0.3] {
                let both = [one, other].map(|p| Rates::new(Distribution::Beta, p, alike));
                let truth = both[1].mean() - both[0].mean();
                covered.push(share(&format!("suites {groups} {rows} {one} {other} {alike}"), 1_000, truth, |random| {
                    let [base, new] = [0, 1].map(|at| {
                        let (mut counts, mut passed) = (Clusters::default(), 0);
                        for _ in 0..groups {
                            let here = both[at].passes(random, rows);
                            counts.add(u64::from(here), u64::from(rows));
                            passed += here;
                        }
                        let point = f64::from(passed) / f64::from(groups * rows);
                        Estimate { point, interval: counts.interval(LEVEL).interval }
                    });
                    mover_difference(&base, &new).interval
                }));
            }
        }
        table.line("difference of suites over topics", &format!("{groups} × {rows} each"), &covered);
    }
}

fn pairs_of(random: &mut Random, n: u32, [gain, loss, both]: [f64; 3]) -> Pairs {
    let mut pairs = Pairs::default();
    for _ in 0..n {
        let x = random.share();
        *(if x < gain {
            &mut pairs.gains
        } else if x < gain + loss {
            &mut pairs.losses
        } else if x < gain + loss + both {
            &mut pairs.both
        } else {
            &mut pairs.neither
        }) += 1;
    }
    pairs
}

/// The same scenarios with two models, two suites, and two corrected rates.
fn differences(table: &mut Table) {
    for n in [20, 50, 100, 300, 1_000, 2_000] {
        let settings = [[0.1, 0.1, 0.6], [0.2, 0.05, 0.5], [0.05, 0.05, 0.7], [0.03, 0.01, 0.85], [0.3, 0.2, 0.3]];
        let paired = settings.map(|rates| {
            share(&format!("pairs {n} {rates:?}"), 2_000, rates[0] - rates[1], |random| {
                newcombe_paired(&pairs_of(random, n, rates), LEVEL).interval
            })
        });
        table.line("paired difference", &format!("{n} pairs"), &paired);
        let unpaired = [(0.5, 0.5), (0.6, 0.8), (0.9, 0.95), (0.3, 0.7), (0.85, 0.99)].map(|(p1, p2)| {
            share(&format!("two {n} {p1} {p2}"), 2_000, p2 - p1, |random| {
                let [k1, k2] = [p1, p2].map(|p| u64::from(random.binomial(n, p)));
                unpaired_difference((k1, u64::from(n)), (k2, u64::from(n)), LEVEL).interval
            })
        });
        table.line("difference of two suites", &format!("{n} rows each"), &unpaired);
    }
}

/// Topics in which more or less is gained and lost than in others; the wider one of two intervals, as a comparison takes it.
fn clustered_differences(table: &mut Table) {
    for (groups, rows) in [(8, 25), (20, 10), (40, 5), (40, 25), (100, 20)] {
        let (mut covered, mut plain) = (Vec::new(), Vec::new());
        for (p, gain, loss) in [(0.6, 0.25, 0.15), (0.6, 0.1, 0.1), (0.9, 0.3, 0.03), (0.9, 0.05, 0.1), (0.9, 0.1, 0.2)]
        {
            for alike in [0.01, 0.1, 0.3] {
                let [gains, losses] = [gain, loss].map(|rate| Rates::new(Distribution::Beta, rate, alike));
                let truth = (1.0 - p) * gains.mean() - p * losses.mean();
                let draw = |random: &mut Random| {
                    let (mut pairs, mut topics, mut halves) =
                        (Pairs::default(), PairClusters::default(), Clusters::in_parts_of(2));
                    for _ in 0..groups {
                        let base = random.binomial(rows, p);
                        let lost = losses.passes(random, base);
                        let gained = gains.passes(random, rows - base);
                        let [rows, base, lost, gained] = [rows, base, lost, gained].map(u64::from);
                        topics.add(base - lost + gained, base, rows);
                        halves.add(rows + gained - lost, rows);
                        pairs.both += base - lost;
                        pairs.losses += lost;
                        pairs.gains += gained;
                        pairs.neither += rows - base - gained;
                    }
                    (pairs, topics, halves)
                };
                let wider =
                    |one: Interval, other: Interval| if other.hi - other.lo > one.hi - one.lo { other } else { one };
                let setting = format!("topics {groups} {rows} {p} {gain} {loss} {alike}");
                covered.push(share(&setting, 1_000, truth, |random| {
                    let (pairs, topics, _) = draw(random);
                    wider(newcombe_paired(&pairs, LEVEL).interval, topics.difference(&pairs, LEVEL).interval)
                }));
                plain.push(share(&setting, 1_000, truth, |random| {
                    let (pairs, _, halves) = draw(random);
                    let (point, error) = (pairs.difference(), halves.cluster_se_cr1().map_or(1.0, |error| 2.0 * error));
                    let half = two_sided_t(LEVEL, groups - 1) * error;
                    wider(newcombe_paired(&pairs, LEVEL).interval, Interval { lo: point - half, hi: point + half })
                }));
            }
        }
        let size = format!("{groups} × {rows}");
        table.line("paired difference over topics", &size, &covered);
        table.line("(the same with G − 1 degrees)", &size, &plain);
    }
}

/// Scores of a rubric of five criteria, of which a share is another with the new model.
fn score_differences(table: &mut Table) {
    for n in [20, 50, 200, 1_000] {
        let (mut covered, mut by_bootstrap) = (Vec::new(), Vec::new());
        for (p, changed, new) in [
            (0.6_f64, 0.1, 0.8),
            (0.6, 1.0, 0.6),
            (0.6, 1.0, 0.7),
            (0.85, 0.3, 0.95),
            (0.85, 1.0, 0.8),
            (0.95, 0.3, 0.7),
        ] {
            let [base, other] = [p, new].map(|rate| Rates::new(Distribution::Beta, rate, 0.4));
            let draw = |random: &mut Random| -> Vec<f64> {
                let scored = |rates: &Rates, random: &mut Random| f64::from(rates.passes(random, 5)) / 5.0;
                (0..n)
                    .map(|_| {
                        let first = scored(&base, random);
                        if random.share() < changed { scored(&other, random) - first } else { 0.0 }
                    })
                    .collect()
            };
            let truth = changed * (other.mean() - base.mean());
            let (setting, runs) =
                (format!("score differences {n} {p} {changed} {new}"), if n > 200 { 200 } else { 600 });
            let mut both = [0_u32; 2];
            for run in 0..runs {
                let mut random = Random::new(7, &setting, run);
                let drawn = draw(&mut random);
                let estimated = mean_difference_interval(drawn.iter().map(|score| (*score, 1.0, 1)), LEVEL);
                let mut sums = ClusterSums::default();
                drawn.iter().for_each(|score| sums.add(*score, 1));
                let found = bootstrap(sums.counts(), |drawn| sums.mean(drawn), &resampled(&mut random));
                let Interval { lo, hi } = found.expect("there are two or more").interval;
                both[0] += u32::from(holds(Interval { lo: lo.min(estimated.lo), hi: hi.max(estimated.hi) }, truth));
                both[1] += u32::from(holds(Interval { lo, hi }, truth));
            }
            let [one, other] = both.map(|held| f64::from(held) / runs as f64);
            covered.push(one);
            by_bootstrap.push(other);
        }
        table.line("difference of mean scores", &format!("{n} pairs"), &covered);
        table.line("(bootstrap, BCa)", &format!("{n} pairs"), &by_bootstrap);
    }
}

/// A judge and people on the same replies.
fn agreement(table: &mut Table) {
    let z = two_sided_z(LEVEL);
    let of_kappa = |table: &[[u64; 2]; 2]| kappa(table, Weights::Nominal);
    for n in [20, 50, 100, 300, 2_000] {
        // What cannot be computed, as where all are of one class, is not offered: it counts neither way.
        let count = |judge: Judge, truth: f64, interval: &dyn Fn(&[[u64; 2]; 2]) -> Option<Interval>| {
            let setting = format!("agreement {n} {judge:?}");
            let (mut held, mut offered) = (0_u32, 0_u32);
            for run in 0..2_000 {
                let drawn = settings::table(&mut Random::new(7, &setting, run), n, judge.cells());
                if let Some(found) = interval(&drawn) {
                    offered += 1;
                    held += u32::from(holds(found, truth));
                }
            }
            f64::from(held) / f64::from(offered)
        };
        let labels = u64::from(n);
        let by_kappa = |judge: Judge| {
            let truth = settings::coefficients(judge.cells()).kappa;
            count(judge, truth, &|table| of_kappa(table)?.interval(labels, LEVEL))
        };
        let by_error = |judge: Judge| {
            count(judge, settings::coefficients(judge.cells()).kappa, &|table| {
                let found = of_kappa(table)?;
                let (point, half) = (found.coefficient?, z * found.standard_error?);
                Some(Interval { lo: point - half, hi: point + half })
            })
        };
        let by_ac1 = |judge: Judge| {
            let truth = settings::coefficients(judge.cells()).ac1;
            count(judge, truth, &|table| gwet_ac1(table)?.interval(labels, LEVEL))
        };
        let informed = |judge: Judge| {
            count(judge, judge.sensitivity + judge.specificity - 1.0, &|table| {
                Some(settings::errors(table).informedness_interval(LEVEL)?.interval)
            })
        };
        let size = format!("{n} labels");
        table.line("κ", &size, &Judge::ALL.map(by_kappa));
        table.line("(κ ± its standard error)", &size, &Judge::ALL.map(by_error));
        table.line("κ of lenient judges", &size, &Judge::LENIENT.map(by_kappa));
        table.line("(κ ± its standard error)", &size, &Judge::LENIENT.map(by_error));
        table.line("AC1", &size, &Judge::ALL.map(by_ac1));
        table.line("AC1 of lenient judges", &size, &Judge::LENIENT.map(by_ac1));
        table.line("J of a judge", &size, &Judge::ALL.map(informed));
    }
}

/// A rate without the judge's errors: by labels of its own, by those of another model, over topics, and the difference of two.
fn corrected(table: &mut Table) {
    for (n, labels) in [(100, [10, 10]), (200, [20, 20]), (1_000, [20, 30]), (1_000, [60, 60]), (2_000, [100, 100])] {
        let size = format!("{n} rows, {} labels", labels[0] + labels[1]);
        let settings = [Judge::ALL[0], Judge::ALL[2], Judge::ALL[3], Judge::ALL[4], Judge::ALL[5]];
        let own = |random: &mut Random, judge: Judge| {
            let labels = settings::labelled(random, n, judge, labels);
            poststratified(&labels, LEVEL, Target::Population).expect("there are verdicts")
        };
        let covered = settings.map(|judge| {
            share(&format!("corrected {size} {judge:?}"), 1_500, judge.truth, |random| own(random, judge).interval)
        });
        table.line("corrected rate", &size, &covered);
        let covered = settings.map(|judge| {
            let better = Judge { truth: (judge.truth + 0.1).min(0.97), ..judge };
            share(&format!("two corrected {size} {judge:?}"), 1_500, better.truth - judge.truth, |random| {
                let [base, new] = [judge, better].map(|judge| own(random, judge));
                mover_difference(&base, &new).interval
            })
        });
        table.line("difference of corrected rates", &size, &covered);
        let covered = settings.map(|judge| {
            let better = Judge { truth: (judge.truth + 0.1).min(0.97), ..judge };
            share(&format!("carried over {size} {judge:?}"), 1_500, better.truth, |random| {
                let there = settings::labelled(random, n, judge, labels);
                let here = settings::labelled(random, n, better, [0, 0]).judged;
                // A judge that cannot be told from a coin corrects nothing: nothing is excluded then.
                let nothing = Interval { lo: 0.0, hi: 1.0 };
                let errors = errors_by_verdict(&there);
                let found =
                    errors.and_then(|(passes, fails)| lang_reiczigel_weighted(here.weighted(), passes, fails, LEVEL));
                found.map_or(nothing, |Estimate { point: _, interval }| interval)
            })
        });
        table.line("corrected by another's labels", &size, &covered);
    }
}

/// The same where topics differ in how often replies truly pass.
fn corrected_over_topics(table: &mut Table) {
    for ((groups, rows), labels) in
        [(8, 50), (20, 20), (40, 25)].into_iter().flat_map(|size| [[40; 2], [100; 2]].map(|labels| (size, labels)))
    {
        let [mut own, mut two, mut carried] = [const { Vec::new() }; 3];
        for judge in [Judge::ALL[0], Judge::ALL[2], Judge::ALL[4]] {
            for alike in [0.05, 0.3] {
                let [rates, worse] = [judge.truth, judge.truth - 0.1].map(|p| Rates::new(Distribution::Beta, p, alike));
                let draw = |random: &mut Random, rates: &Rates| {
                    let (labels, clusters) = settings::labelled_topics(random, judge, rates, [groups, rows], labels);
                    let found = clusters.interval(LEVEL);
                    let verdicts =
                        SampledClusters { n_eff: found.n_eff, clusters: u64::from(groups), degrees: found.degrees };
                    (labels, verdicts)
                };
                let estimate = |random: &mut Random, rates: &Rates| {
                    let (labels, verdicts) = draw(random, rates);
                    poststratified_clustered(&labels, verdicts, LEVEL).expect("there are verdicts")
                };
                let setting = format!("corrected topics {groups} {rows} {labels:?} {judge:?} {alike}");
                own.push(share(&setting, 800, rates.mean(), |random| estimate(random, &rates).interval));
                two.push(share(&setting, 800, rates.mean() - worse.mean(), |random| {
                    let [base, new] = [&worse, &rates].map(|rates| estimate(random, rates));
                    mover_difference(&base, &new).interval
                }));
                carried.push(share(&setting, 800, rates.mean(), |random| {
                    let there = draw(random, &worse).0;
                    let (here, verdicts) = draw(random, &rates);
                    let n = n_eff_at_normal_quantile(verdicts.n_eff, verdicts.degrees, LEVEL);
                    let judged = WeightedShare { count: here.judged.rate().unwrap_or(0.5) * n, of: n };
                    let found = errors_by_verdict(&there)
                        .and_then(|(passes, fails)| lang_reiczigel_weighted(judged, passes, fails, LEVEL));
                    found.map_or(Interval { lo: 0.0, hi: 1.0 }, |Estimate { point: _, interval }| interval)
                }));
            }
        }
        let size = format!("{groups} × {rows}, {} labels", labels[0] + labels[1]);
        table.line("corrected rate over topics", &size, &own);
        table.line("difference of two of these", &size, &two);
        table.line("carried over, over topics", &size, &carried);
    }
}
