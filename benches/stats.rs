//! What the statistics cost, and how often comparisons and early stops are wrong: `cargo bench --bench stats`. What intervals hold is
//! in `coverage`.
//!
//! Times depend on the machine. Shares are the same everywhere: all runs are seeded.
#![expect(clippy::print_stdout, reason = "a table for the person who runs it")]

use std::collections::BTreeMap;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::time::Instant;

use evalflow::data::{ComparisonVerdict, Grade, Judged, VerdictKind};
use evalflow::ids::ScenarioId;
use evalflow::spec::{Memory, Pipeline, Stage, load};
use evalflow::stage::compare::{self, Pairing, Side};
use evalflow::stage::decide;
use evalflow::stats::{
    BetaPrior, Betting, ClusterSums, Clusters, Forecast, Interval, Pairs, Random, Resampling, SequentialPlan, Values,
    bootstrap, brier, clopper_pearson, clustered_mean, confidence_sequence, expected_calibration_error, icc_anova,
    jeffreys, kappa, log_evidence, mcnemar_midp, mean_ci_t, newcombe_paired, outcome_at, outcome_by_interval,
    sequential_decide, sign_flip_p, suite_confidence_sequence, wilson,
};

const LEVEL: f64 = 0.95;

fn main() {
    println!("times");
    bootstraps();
    a_million_rows();
    a_million_verdicts();
    println!("\nwhole comparisons: coverage at 95 %");
    comparisons();
    println!("\nstopping early, 5 %");
    sequences();
    bets();
    designs();
    suites();
}

fn timed<T>(name: &str, work: impl FnOnce() -> T) {
    let start = Instant::now();
    keep(work());
    println!("{name:<58}{:>9.3} s", start.elapsed().as_secs_f64());
}

/// Makes sure that a result is computed though nobody looks at it.
fn keep<T>(result: T) {
    drop(black_box(result));
}

fn numbers(count: u32) -> Vec<f64> {
    let mut random = Random::new(7, "bench", 0);
    (0..count).map(|_| random.share() * random.share()).collect()
}

const USUAL: Resampling<'static> = Resampling { confidence: LEVEL, resamples: 10_000, seed: 7, purpose: "bench" };

fn bootstraps() {
    let values = Values::new(numbers(10_000)).expect("all numbers are finite");
    timed("mean of 10,000 scores, 10,000 resamples", || bootstrap(values.counts(), |drawn| values.mean(drawn), &USUAL));
    timed("median of the same", || bootstrap(values.counts(), |drawn| values.quantile(drawn, 0.5), &USUAL));
    let mut sums = ClusterSums::default();
    numbers(10_000).iter().for_each(|sum| sums.add(*sum, 5));
    timed("mean over 10,000 clusters, 10,000 resamples", || bootstrap(sums.counts(), |drawn| sums.mean(drawn), &USUAL));
    let few = Values::new(numbers(1_000_000).iter().map(|x| (x * 20.0).round() / 20.0).collect());
    let few = few.expect("all numbers are finite");
    timed("mean of 1,000,000 scores of 21 kinds, 10,000 resamples", || {
        bootstrap(few.counts(), |drawn| few.mean(drawn), &USUAL)
    });
}

/// What a run of a million rows is asked.
fn a_million_rows() {
    let scores = numbers(1_000_000);
    timed("all statistics of 1,000,000 rows", || {
        let passed = scores.iter().filter(|score| **score > 0.3).count() as u64;
        let n = scores.len() as u64;
        keep(wilson(passed as f64, n as f64, LEVEL));
        keep(clopper_pearson(passed, n, LEVEL));
        keep(jeffreys(passed, n, LEVEL));
        keep(mean_ci_t(&scores, LEVEL));
        let groups: Vec<&[f64]> = scores.chunks(5).collect();
        keep(clustered_mean(&groups, LEVEL));
        keep(icc_anova(&groups));
        let mut clusters = Clusters::default();
        groups.iter().for_each(|rows| clusters.add(rows.iter().filter(|x| **x > 0.3).count() as u64, 5));
        keep(clusters.wilson_clustered(LEVEL));
        keep(confidence_sequence(passed, n - passed, 0.05, BetaPrior::USUAL));
        keep(suite_confidence_sequence(passed / 2, n / 2, n, 0.05, BetaPrior::EVEN));
        keep(newcombe_paired(
            &Pairs { both: passed, gains: 9_000, losses: 8_000, neither: n - passed - 17_000 },
            LEVEL,
        ));
        keep(mcnemar_midp(90_000, 89_000));
        keep(kappa(&[[passed, 9_000], [8_000, n - passed]], evalflow::stats::Weights::Nominal));
        let forecasts: Vec<Forecast> =
            scores.iter().map(|x| Forecast { probability: *x, came_true: *x > 0.3 }).collect();
        keep(brier(&forecasts));
        keep(expected_calibration_error(&forecasts, 10));
    });
    let differences: Vec<f64> = scores.iter().take(10_000).map(|x| x - 0.25).collect();
    timed("signs of 10,000 differences, 20,000 times", || sign_flip_p(&differences, 7, "bench"));
}

/// A judged row in its written form, as any run has them.
const ROW: &str = r#"{
    "scenario": {
        "id": "a", "topic": "a", "subtopic": null, "style": "terse", "tags": [], "edge_case": false, "origin": "authored",
        "opening": "Where is my parcel? It was due on Monday, and nobody answers the telephone."
    },
    "reply": "It arrives tomorrow before noon; is somebody there to take it?", "failure": null, "score": 1, "grade": "pass",
    "verdicts": [
        { "criterion": "settles", "verdict": "pass", "critical": true, "evidence": "", "reason": "", "quote": null },
        { "criterion": "kind", "verdict": "pass", "critical": false, "evidence": "", "reason": "", "quote": null },
        { "criterion": "brief", "verdict": "pass", "critical": false, "evidence": "", "reason": "", "quote": null },
        { "criterion": "asks", "verdict": "pass", "critical": false, "evidence": "", "reason": "", "quote": null }
    ]
}"#;

/// Such rows, of which the first criterion decides.
fn judged(template: &Judged, topic: u32, index: u32, rates: [f64; 4], random: &mut Random) -> Judged {
    let mut row = template.clone();
    row.scenario.topic = format!("topic-{topic}");
    row.scenario.id = ScenarioId::new(&format!("topic-{topic}/{index}")).expect("it is a name");
    let mut score = 0.0;
    for ((verdict, rate), weight) in row.verdicts.iter_mut().zip(rates).zip([0.4, 0.3, 0.2, 0.1]) {
        let passes = random.share() < rate;
        verdict.verdict = if passes { VerdictKind::Pass } else { VerdictKind::Fail };
        score += if passes { weight } else { 0.0 };
    }
    row.grade = if row.verdicts[0].verdict == VerdictKind::Pass { Grade::Pass } else { Grade::Fail };
    row.score = Some(score);
    row
}

/// What a run of a million rows is decided and compared by: the stages themselves, without reading and parsing their tables.
fn a_million_verdicts() {
    const ROWS: u32 = 1_000_000;
    let template: Judged = serde_json::from_str(ROW).expect("it is a row");
    let row =
        |index: u32, random: &mut Random, rate| judged(&template, index % 40, index, [rate, 0.9, 0.8, 0.7], random);
    let each = |take: &mut dyn FnMut(Judged, Judged)| {
        let mut random = Random::new(7, "verdicts", 0);
        let start = Instant::now();
        for index in 0..ROWS {
            take(row(index, &mut random, 0.6), row(index, &mut random, 0.62));
        }
        start.elapsed().as_secs_f64()
    };
    let told = |what: &str, taken: f64, finished: f64| {
        let memory = most_memory().map_or_else(|| "?".to_owned(), |megabytes| megabytes.to_string());
        println!("{what}: rows taken in {taken:.3} s, statistics {finished:.3} s, at most {memory} MB so far");
    };
    let made = each(&mut |base, new| keep((base, new)));
    let pipeline = verdicts_pipeline();
    for stage in pipeline.stages.values() {
        match stage {
            Stage::Compare(rules) => {
                let mut pairing = Pairing::new(rules);
                let added = each(&mut |base, new| {
                    pairing.add(Side::Base, base);
                    pairing.add(Side::New, new);
                });
                let start = Instant::now();
                keep(compare::conclude(rules, pairing.finish(), Vec::new(), None));
                let what = format!("compare 1,000,000 pairs, cluster {:?}", rules.cluster);
                told(&what, added - made, start.elapsed().as_secs_f64());
            }
            Stage::Decide(rules) => {
                let mut tally = decide::Tally::new(rules, decide::rubric(&pipeline, &rules.verdicts));
                let added = each(&mut |base, new| {
                    tally.add(&base);
                    keep(new);
                });
                let start = Instant::now();
                keep(tally.finish());
                told("decide 1,000,000 verdicts", added - made, start.elapsed().as_secs_f64());
            }
            Stage::Research(_)
            | Stage::Pull(_)
            | Stage::Generate(_)
            | Stage::Infer(_)
            | Stage::Judge(_)
            | Stage::Prefer(_)
            | Stage::Calibrate(_) => {}
        }
    }
}

/// A pipeline that decides and compares, with all that it leaves out as usual.
fn verdicts_pipeline() -> Pipeline {
    const FILES: [(&str, &str); 3] = [
        (
            "/p.yaml",
            "evalflow: 1\nname: bench\nmodels: { m: { scripted: { otherwise: hi } } }\nstages:
  s: { generate: { file: s.jsonl } }
  a: { infer: { model: m, scenarios: s } }
  b: { infer: { model: m, scenarios: s, system: s.jsonl } }
  v: { judge: { answers: a, rubric: r.yaml } }
  w: { judge: { answers: b, rubric: r.yaml } }
  d: { decide: { verdicts: v } }
  c: { compare: { base: v, new: w } }
  e: { compare: { base: v, new: w, cluster: none } }
",
        ),
        ("/s.jsonl", "{\"opening\": \"hi\"}\n"),
        ("/r.yaml", "name: r\npass: { score: 1 }\ncriteria: [{ id: a, check: { contains: x } }]\n"),
    ];
    let files = FILES.map(|(path, text)| (PathBuf::from(path), text.as_bytes().to_vec()));
    let environment = BTreeMap::<String, String>::new();
    let loaded = load(Path::new("/p.yaml"), Path::new("/"), &Memory(BTreeMap::from(files)), &environment);
    loaded.expect("it has no problem").pipeline
}

/// The most memory that the process had so far, in MB; none where the system does not tell.
fn most_memory() -> Option<u64> {
    let status = fs_err::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? / 1_000)
}

fn holds(interval: Interval, truth: f64) -> bool {
    interval.lo <= truth && truth <= interval.hi
}

/// The share of runs that `run` says hold the truth.
fn share(runs: u32, mut run: impl FnMut(&mut Random) -> bool) -> f64 {
    let held = (0..runs).filter(|one| run(&mut Random::new(7, "coverage", u64::from(*one)))).count();
    held as f64 / f64::from(runs)
}

/// How often the interval of a comparison holds the truth, and an improvement is found where there is none, with topics whose rates
/// and differences vary.
fn comparisons() {
    let template: Judged = serde_json::from_str(ROW).expect("it is a row");
    let pipeline = verdicts_pipeline();
    for (topics, rows, spread, effect) in
        [(8, 25, 0.0, 0.0), (8, 25, 0.1, 0.0), (20, 10, 0.1, 0.0), (20, 10, 0.1, 0.1), (40, 25, 0.05, 0.05)]
    {
        for stage in pipeline.stages.values() {
            let Stage::Compare(rules) = stage else { continue };
            let mut improved = 0;
            let held = share(400, |random| {
                let mut pairing = Pairing::new(rules);
                for topic in 0..topics {
                    let own = effect + spread * (2.0 * random.share() - 1.0);
                    for index in 0..rows {
                        pairing.add(Side::Base, judged(&template, topic, index, [0.6; 4], random));
                        pairing.add(Side::New, judged(&template, topic, index, [0.6 + own; 4], random));
                    }
                }
                let found = compare::conclude(rules, pairing.finish(), Vec::new(), None);
                improved += u32::from(found.verdict == ComparisonVerdict::Improved);
                let difference = found.target.difference;
                holds(Interval { lo: difference.lo, hi: difference.hi }, effect)
            });
            println!(
                "comparison, {topics} topics of {rows}, differences of topics ±{spread}, truth {effect}, cluster {:?}: {held:.3}, \
                 improved {:.3}",
                rules.cluster,
                f64::from(improved) / 400.0,
            );
        }
    }
}

fn sequences() {
    for p in [0.3, 0.5, 0.7, 0.9] {
        let missed = 1.0
            - share(2_000, |random| {
                let mut passed = 0;
                (1..=1_000).all(|seen: u64| {
                    passed += u64::from(random.share() < p);
                    log_evidence(passed, seen - passed, p, BetaPrior::USUAL) < evalflow::stats::float::ln(20.0)
                })
            });
        println!("rate {p}: ever excluded in 1,000 looks {missed:.4}");
    }
}

/// Scores in thirds with a mean of 0.6, looked at one by one.
fn bets() {
    let limit = evalflow::stats::float::ln(20.0);
    let missed = share(1_000, |random| {
        let mut betting = Betting::new(0.05);
        (0..400).any(|_| {
            betting.add(if random.share() < 0.4 { 1.0 } else { f64::from(random.below(3)) / 3.0 });
            betting.log_capital(0.6) >= limit
        })
    });
    println!("scores, mean 0.6: ever excluded in 400 looks {missed:.4}");
}

/// What share of a suite is judged until its own rate is decided.
fn suites() {
    let thresholds = evalflow::data::Thresholds { deploy: 0.7, fine_tune: 0.5 };
    for suite in [200_u32, 1_000] {
        print!("suite of {suite}, share judged until decided:");
        for p in [0.3, 0.45, 0.6, 0.65, 0.75, 0.8, 0.9] {
            #[expect(clippy::cast_possible_truncation, reason = "a share of the suite")]
            let passes = (f64::from(suite) * p) as u32;
            let (mut judged, mut wrong) = (0, 0);
            for run in 0..200 {
                let mut passed = 0;
                for (drawn, place) in (1..).zip(Random::new(7, "suite", run).order(suite)) {
                    passed += u64::from(place < passes);
                    let whole = u64::from(suite);
                    let found = suite_confidence_sequence(passed, drawn, whole, 0.05, BetaPrior::EVEN).rates(whole);
                    let outcome = outcome_by_interval(found, &thresholds);
                    if drawn == whole || outcome != evalflow::data::Outcome::Inconclusive {
                        judged += drawn;
                        wrong += u32::from(outcome != outcome_at(p, &thresholds));
                        break;
                    }
                }
            }
            print!("  {:.2} ({:.3} wrong)", judged as f64 / 200.0 / f64::from(suite), f64::from(wrong) / 200.0);
        }
        println!();
    }
}

fn designs() {
    let thresholds = evalflow::data::Thresholds { deploy: 0.7, fine_tune: 0.5 };
    for p in [0.3, 0.4, 0.45, 0.6, 0.65, 0.75, 0.8, 0.9] {
        let plan = SequentialPlan::usual(1_000);
        let (mut scenarios, mut correct, mut wrong) = (0, 0, 0);
        for run in 0..400 {
            let mut random = Random::new(7, "design", run);
            let (mut passed, mut failed) = (0, 0);
            loop {
                let pass = u64::from(random.share() < p);
                (passed, failed) = (passed + pass, failed + 1 - pass);
                let found = sequential_decide(passed, failed, &plan, &thresholds);
                if found.stop {
                    scenarios += passed + failed;
                    let is_decided = found.outcome != evalflow::data::Outcome::Inconclusive;
                    correct += u32::from(found.outcome == outcome_at(p, &thresholds));
                    wrong += u32::from(is_decided && found.outcome != outcome_at(p, &thresholds));
                    break;
                }
            }
        }
        let share = |count: u32| f64::from(count) / 400.0;
        println!(
            "rate {p}: {:.0} scenarios of 1,000, right {:.3}, wrong {:.3}",
            scenarios as f64 / 400.0,
            share(correct),
            share(wrong)
        );
    }
}
