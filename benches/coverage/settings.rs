//! What is drawn: clusters, scores, judges and labels with a known truth.

use evalflow::stats::{Clusters, JudgeErrors, Random, Share, VerdictLabels, beta_quantile, float, quantile};

/// How the rates of clusters spread.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Distribution {
    /// As the beta-binomial model has it.
    Beta,
    /// The logits are normal.
    Logistic,
    /// A few clusters are much worse, all others alike.
    TwoPoints,
}

/// Rates of clusters with a mean and a correlation of the rows of one cluster.
pub(crate) struct Rates {
    /// At even steps of probability.
    quantiles: Vec<f64>,
}

const STEPS: u32 = 2_000;

impl Rates {
    pub(crate) fn new(distribution: Distribution, mean: f64, alike: f64) -> Self {
        let at = |quantile: &dyn Fn(f64) -> f64| -> Vec<f64> {
            (0..STEPS).map(|step| quantile((f64::from(step) + 0.5) / f64::from(STEPS))).collect()
        };
        let variance = alike * mean * (1.0 - mean);
        let quantiles = match distribution {
            Distribution::Beta => {
                let total = 1.0 / alike - 1.0;
                at(&|p| beta_quantile(p, mean * total, (1.0 - mean) * total))
            }
            Distribution::Logistic => {
                let of = |centre: f64, spread: f64| {
                    at(&|p| 1.0 / (1.0 + float::exp(-(centre + spread * quantile(p)).clamp(-700.0, 700.0))))
                };
                let centred = |spread: f64| {
                    let centre = bisect(-300.0, 300.0, |centre| moments(&of(centre, spread)).0 < mean);
                    of(centre, spread)
                };
                centred(bisect(0.01, 30.0, |spread| moments(&centred(spread)).1 < variance))
            }
            Distribution::TwoPoints => {
                // Bad ones are as bad as the good ones being nearly perfect makes them, or fail as a whole.
                let high = mean + 0.9 * (1.0 - mean);
                let low = mean - variance / (high - mean);
                let (low, high) = if low < 0.0 { (0.0, mean + variance / mean) } else { (low, high) };
                let bad = (high - mean) / (high - low);
                at(&|p| if p < bad { low } else { high })
            }
        };
        Self { quantiles }
    }

    /// The mean of what is drawn.
    pub(crate) fn mean(&self) -> f64 {
        moments(&self.quantiles).0
    }

    /// The passes of one cluster of so many rows.
    pub(crate) fn passes(&self, random: &mut Random, rows: u32) -> u32 {
        let own = self.draw(random);
        random.binomial(rows, own)
    }

    fn draw(&self, random: &mut Random) -> f64 {
        self.quantiles[random.below(STEPS) as usize].clamp(0.0, 1.0)
    }
}

fn moments(values: &[f64]) -> (f64, f64) {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    (mean, values.iter().map(|value| (value - mean) * (value - mean)).sum::<f64>() / values.len() as f64)
}

/// Where it is no longer below.
fn bisect(mut low: f64, mut high: f64, is_below: impl Fn(f64) -> bool) -> f64 {
    for _ in 0..40 {
        let middle = f64::midpoint(low, high);
        *(if is_below(middle) { &mut low } else { &mut high }) = middle;
    }
    low
}

/// The rows of one of so many clusters of unlike sizes: from nearly none to twice as many as in the mean.
pub(crate) fn unlike(rows: u32, group: u32, groups: u32) -> u32 {
    (rows * (2 * group + 1)).div_ceil(groups).max(1)
}

/// Kinds of scores in [0, 1].
#[derive(Debug, Clone, Copy)]
pub(crate) enum Scores {
    /// Even.
    Even,
    /// The product of two even ones: most are low.
    Low,
    /// Its distance from 1.
    High,
    /// Five criteria, of which so many of a hundred are passed, each for itself.
    Criteria(u32),
    /// Five criteria of a reply that is good or bad as a whole.
    Alike(u32),
    /// Nearly all are 1.
    Nearly,
}

impl Scores {
    pub(crate) const ALL: [Self; 10] = [
        Self::Even,
        Self::Low,
        Self::High,
        Self::Criteria(70),
        Self::Criteria(90),
        Self::Criteria(97),
        Self::Alike(70),
        Self::Alike(90),
        Self::Alike(97),
        Self::Nearly,
    ];

    pub(crate) fn mean(self) -> f64 {
        match self {
            Self::Even => 0.5,
            Self::Low => 0.25,
            Self::High => 0.75,
            Self::Criteria(percent) | Self::Alike(percent) => f64::from(percent) / 100.0,
            Self::Nearly => 0.9,
        }
    }

    pub(crate) fn draw(self, random: &mut Random) -> f64 {
        match self {
            Self::Even => random.share(),
            Self::Low => random.share() * random.share(),
            Self::High => 1.0 - random.share() * random.share(),
            Self::Criteria(_) => f64::from(random.binomial(5, self.mean())) / 5.0,
            // All five with a probability, else each for itself: criteria are correlated by 0.4.
            Self::Alike(_) if random.share() < 0.4 => f64::from(u8::from(random.share() < self.mean())),
            Self::Alike(_) => f64::from(random.binomial(5, self.mean())) / 5.0,
            Self::Nearly => match random.share() {
                x if x < 0.05 => 0.0,
                x if x < 0.15 => 0.5,
                _ => 1.0,
            },
        }
    }
}

pub(crate) fn in_thousandths(score: f64) -> u64 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a score is within [0, 1]")]
    let parts = (score * 1_000.0).round() as u64;
    parts
}

/// How often replies pass, and how a judge errs on them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Judge {
    pub(crate) truth: f64,
    pub(crate) sensitivity: f64,
    pub(crate) specificity: f64,
}

const fn judge(truth: f64, sensitivity: f64, specificity: f64) -> Judge {
    Judge { truth, sensitivity, specificity }
}

impl Judge {
    pub(crate) const ALL: [Self; 9] = [
        judge(0.5, 0.9, 0.9),
        judge(0.5, 0.97, 0.97),
        judge(0.65, 0.9, 0.7),
        judge(0.72, 0.97, 0.5),
        judge(0.9, 0.95, 0.9),
        judge(0.8, 0.8, 0.8),
        judge(0.65, 0.6, 0.6),
        judge(0.8, 0.95, 0.8),
        judge(0.9, 0.8, 0.8),
    ];

    /// Those that pass nearly everything.
    pub(crate) const LENIENT: [Self; 3] = [judge(0.9, 0.99, 0.1), judge(0.9, 0.9, 0.1), judge(0.95, 0.98, 0.2)];

    /// What people and the judge say together: rows are people's.
    pub(crate) fn cells(self) -> [[f64; 2]; 2] {
        let Self { truth, sensitivity, specificity } = self;
        [
            [truth * sensitivity, truth * (1.0 - sensitivity)],
            [(1.0 - truth) * (1.0 - specificity), (1.0 - truth) * specificity],
        ]
    }
}

/// Coefficients of agreement without any error of sampling.
pub(crate) struct Coefficients {
    pub(crate) kappa: f64,
    pub(crate) ac1: f64,
}

pub(crate) fn coefficients([[both_pass, one], [other, both_fail]]: [[f64; 2]; 2]) -> Coefficients {
    let observed = both_pass + both_fail;
    let (people, judged) = (both_pass + one, both_pass + other);
    let by_margins = people * judged + (1.0 - people) * (1.0 - judged);
    let mean = f64::midpoint(people, judged);
    let by_chance = 2.0 * mean * (1.0 - mean);
    Coefficients {
        kappa: (observed - by_margins) / (1.0 - by_margins),
        ac1: (observed - by_chance) / (1.0 - by_chance),
    }
}

pub(crate) fn table(random: &mut Random, n: u32, [[both_pass, one], [other, _]]: [[f64; 2]; 2]) -> [[u64; 2]; 2] {
    let mut table = [[0; 2]; 2];
    for _ in 0..n {
        let x = random.share();
        let (row, column) = if x < both_pass {
            (0, 0)
        } else if x < both_pass + one {
            (0, 1)
        } else {
            (1, usize::from(x >= both_pass + one + other))
        };
        table[row][column] += 1;
    }
    table
}

pub(crate) fn errors([[both_pass, one], [other, both_fail]]: &[[u64; 2]; 2]) -> JudgeErrors {
    JudgeErrors {
        passes: Share { count: *both_pass, of: both_pass + one },
        fails: Share { count: *both_fail, of: both_fail + other },
    }
}

/// Takes in one reply, with a label as long as there are fewer than wanted of its verdict: of those failed, and of those passed.
fn judged(random: &mut Random, judge: Judge, passes: bool, wanted: [u64; 2], labels: &mut VerdictLabels) -> bool {
    let verdict = random.share() < if passes { judge.sensitivity } else { 1.0 - judge.specificity };
    labels.judged.count += u64::from(verdict);
    labels.judged.of += 1;
    let stratum = if verdict { &mut labels.among_passed } else { &mut labels.among_failed };
    if stratum.of < wanted[usize::from(verdict)] {
        stratum.of += 1;
        stratum.count += u64::from(passes);
    }
    verdict
}

pub(crate) fn labelled(random: &mut Random, n: u32, judge: Judge, wanted: [u64; 2]) -> VerdictLabels {
    let mut labels = VerdictLabels::default();
    for _ in 0..n {
        let passes = random.share() < judge.truth;
        judged(random, judge, passes, wanted, &mut labels);
    }
    labels
}

/// The same with topics that differ, and the verdicts by topic. Rows come in a random order, so that labels are of all topics.
pub(crate) fn labelled_topics(
    random: &mut Random,
    judge: Judge,
    rates: &Rates,
    [groups, rows]: [u32; 2],
    wanted: [u64; 2],
) -> (VerdictLabels, Clusters) {
    let topics: Vec<f64> = (0..groups).map(|_| rates.draw(random)).collect();
    let (mut labels, mut passed) = (VerdictLabels::default(), vec![0_u64; topics.len()]);
    for place in random.order(groups * rows) {
        let topic = (place % groups) as usize;
        let passes = random.share() < topics[topic];
        passed[topic] += u64::from(judged(random, judge, passes, wanted, &mut labels));
    }
    let mut clusters = Clusters::default();
    passed.iter().for_each(|passed| clusters.add(*passed, u64::from(rows)));
    (labels, clusters)
}
