//! The bootstrap: an interval for any statistic, from what it is over samples of the data drawn with replacement.
//!
//! Owns the resampling. A resample is how often each unit was drawn, so a statistic is a function of counts: a mean is a
//! weighted mean, a fit a weighted fit. What is drawn depends on the seed and the purpose only, never on threads. Start at
//! [`bootstrap`], and at [`Values`] and [`ClusterSums`] for the usual statistics. For a plain pass rate use Wilson's interval
//! instead: a bootstrap of few zeros and ones is too narrow.

use std::sync::{Mutex, PoisonError};
use std::thread;

use super::bca::{Bootstrap, LeftOut, bca};
use super::normal::two_sided_z;
use super::random::Random;
use super::student::two_sided_t;

/// How to resample.
#[derive(Debug, Clone, Copy)]
pub struct Resampling<'a> {
    /// Level of the interval, in (0, 1).
    pub confidence: f64,
    /// How many resamples; 10,000 is usual.
    pub resamples: u32,
    /// The seed of the run.
    pub seed: u64,
    /// What the interval is for, such as `mean score of stage answers`; another purpose draws other samples.
    pub purpose: &'a str,
}

/// Resamples that one thread draws before it takes others. Each such chunk has a generator of its own.
const CHUNK: usize = 64;

/// Kinds of units this many times rarer than units are drawn by counts, not one by one.
const WORTH_COUNTING: u64 = 8;

/// Fewer draws than these are made before another thread has started.
const WORTH_THREADS: u64 = 1_000_000;

/// The interval of a statistic over independent units of several kinds, `counts[i]` of the i-th.
///
/// Where every unit is of its own kind, all counts are 1; units are clusters where rows are not independent. `statistic` is
/// given how often each kind was drawn, in the order of `counts` and with their sum; it is also asked about all units but one.
/// Where there are no more than `resamples` different orders of drawing (five units and 10,000), each is taken once instead
/// of any at random.
///
/// None for fewer than two units, no resamples, more units than 32 bits hold, or where the statistic is not finite on the
/// data, a resample, or all units but one. A resample takes as many steps as there are units, or few more than there are
/// kinds where units are many; leaving one out takes the statistic once for each kind. So round a million scores to some
/// thousand kinds first.
///
/// Resamples of few units vary too little, by `√((n−1)/n)`, and normal quantiles are too near for them: both are made up for by
/// `√(n/(n−1)) t₍ₙ₋₁₎` in place of the normal quantile (Hesterberg 2015), so that the interval of twenty skewed scores
/// holds the truth as often as it says. [`efron`] is the interval without it.
#[must_use]
pub fn bootstrap<S>(counts: &[u32], statistic: S, resampling: &Resampling<'_>) -> Option<Bootstrap>
where
    S: Fn(&[u32]) -> f64 + Sync,
{
    resampled(counts, statistic, resampling, |units| {
        let n = f64::from(units);
        (n / (n - 1.0)).sqrt() * two_sided_t(resampling.confidence, units - 1) / two_sided_z(resampling.confidence)
    })
}

/// The interval of [`bootstrap`] as Efron published it in 1987, without what few units need.
#[must_use]
pub fn efron<S>(counts: &[u32], statistic: S, resampling: &Resampling<'_>) -> Option<Bootstrap>
where
    S: Fn(&[u32]) -> f64 + Sync,
{
    resampled(counts, statistic, resampling, |_| 1.0)
}

fn resampled<S>(
    counts: &[u32],
    statistic: S,
    resampling: &Resampling<'_>,
    expansion: impl Fn(u32) -> f64,
) -> Option<Bootstrap>
where
    S: Fn(&[u32]) -> f64 + Sync,
{
    let units = counts.iter().map(|count| u64::from(*count)).sum::<u64>();
    let units = u32::try_from(units).ok().filter(|units| *units >= 2 && resampling.resamples > 0)?;
    let point = finite(statistic(counts))?;
    let left_out = leave_one_out(counts, &statistic)?;
    let mut values = if orders(units).is_some_and(|orders| orders <= resampling.resamples) {
        every_resample(counts, units, &statistic)
    } else {
        random_resamples(&Source::new(counts, units), &statistic, resampling)
    };
    if !values.iter().all(|value| value.is_finite()) {
        return None;
    }
    Some(bca(point, &mut values, &left_out, resampling.confidence, expansion(units)))
}

fn finite(value: f64) -> Option<f64> {
    value.is_finite().then_some(value)
}

fn leave_one_out<S: Fn(&[u32]) -> f64>(counts: &[u32], statistic: &S) -> Option<Vec<LeftOut>> {
    let mut rest = counts.to_vec();
    let mut all = Vec::with_capacity(counts.len());
    for (kind, count) in counts.iter().enumerate() {
        if *count > 0 {
            rest[kind] -= 1;
            all.push(LeftOut { value: finite(statistic(&rest))?, units: f64::from(*count) });
            rest[kind] += 1;
        }
    }
    Some(all)
}

/// How many ways there are to draw so many units one after another: `unitsᵘⁿⁱᵗˢ`, if that fits.
fn orders(units: u32) -> Option<u32> {
    units.checked_pow(units)
}

/// The kind of each unit, in the order of kinds.
fn unit_kinds(counts: &[u32], units: u32) -> Vec<u32> {
    let mut kinds = Vec::with_capacity(units as usize);
    for (kind, count) in (0..).zip(counts) {
        kinds.extend(std::iter::repeat_n(kind, *count as usize));
    }
    kinds
}

fn every_resample<S: Fn(&[u32]) -> f64>(counts: &[u32], units: u32, statistic: &S) -> Vec<f64> {
    let kinds = unit_kinds(counts, units);
    let mut drawn = vec![0_u32; units as usize];
    let mut values = Vec::new();
    loop {
        let mut resample = vec![0; counts.len()];
        for unit in &drawn {
            resample[kinds[*unit as usize] as usize] += 1;
        }
        values.push(statistic(&resample));
        // The next number in the system with as many digits as units.
        let Some(place) = drawn.iter().position(|unit| *unit + 1 < units) else { return values };
        drawn[place] += 1;
        drawn[..place].fill(0);
    }
}

/// What is drawn from, and the fastest way that is exact.
struct Source<'a> {
    counts: &'a [u32],
    units: u32,
    way: Way,
}

enum Way {
    /// Every unit is of its own kind.
    Units,
    /// Unit by unit, each of the kind that stands here.
    Kinds(Vec<u32>),
    /// Kind by kind: how many of those still to draw are of this kind is binomial, given the kinds before.
    Counts,
}

impl<'a> Source<'a> {
    fn new(counts: &'a [u32], units: u32) -> Self {
        let way = if counts.iter().all(|count| *count == 1) {
            Way::Units
        } else if (counts.len() as u64).saturating_mul(WORTH_COUNTING) <= u64::from(units) {
            Way::Counts
        } else {
            Way::Kinds(unit_kinds(counts, units))
        };
        Self { counts, units, way }
    }

    fn draw(&self, random: &mut Random, resample: &mut [u32]) {
        resample.fill(0);
        match &self.way {
            Way::Units => random.scatter(resample, self.units),
            Way::Kinds(kinds) => {
                for _ in 0..self.units {
                    resample[kinds[random.below(self.units) as usize] as usize] += 1;
                }
            }
            Way::Counts => {
                let (mut to_draw, mut left) = (self.units, self.units);
                for (drawn, count) in resample.iter_mut().zip(self.counts) {
                    *drawn = random.binomial(to_draw, f64::from(*count) / f64::from(left));
                    to_draw -= *drawn;
                    left -= count;
                }
            }
        }
    }
}

/// Threads take chunks in any order, and each chunk has its place and its own generator.
fn random_resamples<S>(source: &Source<'_>, statistic: &S, resampling: &Resampling<'_>) -> Vec<f64>
where
    S: Fn(&[u32]) -> f64 + Sync,
{
    let mut values = vec![0.0; resampling.resamples as usize];
    let chunks = Mutex::new((0..).zip(values.chunks_mut(CHUNK)));
    let take = || chunks.lock().unwrap_or_else(PoisonError::into_inner).next();
    let work = || {
        let mut resample = vec![0; source.counts.len()];
        while let Some((chunk, values)) = take() {
            let mut random = Random::new(resampling.seed, resampling.purpose, chunk);
            for value in values {
                source.draw(&mut random, &mut resample);
                *value = statistic(&resample);
            }
        }
    };
    let steps = u64::from(resampling.resamples) * u64::from(source.units);
    let threads = if steps < WORTH_THREADS { 1 } else { thread::available_parallelism().map_or(1, usize::from) };
    thread::scope(|scope| {
        for _ in 1..threads.min((resampling.resamples as usize).div_ceil(CHUNK)) {
            // Where there is no further thread to be had, this one does the work.
            drop(thread::Builder::new().spawn_scoped(scope, work));
        }
        work();
    });
    values
}

/// Numbers sorted into distinct values with how often each occurs, and the usual statistics of a resample of them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Values {
    values: Vec<f64>,
    counts: Vec<u32>,
}

impl Values {
    /// Sorts the numbers. None if one is not finite, or if there are more than 32 bits count.
    #[must_use]
    pub fn new(mut numbers: Vec<f64>) -> Option<Self> {
        if u32::try_from(numbers.len()).is_err() || !numbers.iter().all(|number| number.is_finite()) {
            return None;
        }
        numbers.sort_unstable_by(f64::total_cmp);
        let mut all = Self::default();
        for number in numbers {
            match (all.values.last(), all.counts.last_mut()) {
                (Some(last), Some(count)) if last.total_cmp(&number).is_eq() => *count += 1,
                _ => {
                    all.values.push(number);
                    all.counts.push(1);
                }
            }
        }
        Some(all)
    }

    /// How often each distinct value occurs, the smallest value first: what [`bootstrap`] draws from.
    #[must_use]
    pub fn counts(&self) -> &[u32] {
        &self.counts
    }

    /// The mean of a resample; not finite without any unit.
    #[must_use]
    pub fn mean(&self, drawn: &[u32]) -> f64 {
        weighted(&self.values, drawn) / units(drawn)
    }

    /// The standard deviation of a resample, over as many as there are; not finite without any unit.
    #[must_use]
    pub fn standard_deviation(&self, drawn: &[u32]) -> f64 {
        let mean = self.mean(drawn);
        let squares: Vec<f64> = self.values.iter().map(|value| (value - mean) * (value - mean)).collect();
        (weighted(&squares, drawn) / units(drawn)).sqrt()
    }

    /// The value at the share `q` of a resample, interpolated between neighbours (type 7): its median for 0.5. Not finite
    /// without any unit.
    #[must_use]
    pub fn quantile(&self, drawn: &[u32], q: f64) -> f64 {
        let place = q.clamp(0.0, 1.0) * (units(drawn) - 1.0);
        #[expect(clippy::cast_possible_truncation, reason = "below the number of units")]
        let rank = place.max(0.0) as u64;
        let low = self.ranked(drawn, rank);
        let part = place - rank as f64;
        if part > 0.0 { low + part * (self.ranked(drawn, rank + 1) - low) } else { low }
    }

    /// The value with so many before it. Whole blocks of counts are passed at once: one by one, each is a bad guess.
    fn ranked(&self, drawn: &[u32], rank: u64) -> f64 {
        const BLOCK: usize = 64;
        let mut left = rank;
        for (block, values) in drawn.chunks(BLOCK).zip(self.values.chunks(BLOCK)) {
            let inside = block.iter().map(|count| u64::from(*count)).sum::<u64>();
            if left >= inside {
                left -= inside;
                continue;
            }
            for (count, value) in block.iter().zip(values) {
                if left < u64::from(*count) {
                    return *value;
                }
                left -= u64::from(*count);
            }
        }
        f64::NAN
    }
}

/// Sums over clusters, and the mean over all their rows in a resample of clusters.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ClusterSums {
    sums: Vec<f64>,
    sizes: Vec<f64>,
    counts: Vec<u32>,
}

impl ClusterSums {
    /// Takes in one cluster: the sum of its scores, and how many there are. One without rows is none.
    pub fn add(&mut self, sum: f64, rows: u64) {
        if rows > 0 {
            self.sums.push(sum);
            self.sizes.push(rows as f64);
            self.counts.push(1);
        }
    }

    /// One for each cluster: what [`bootstrap`] draws from.
    #[must_use]
    pub fn counts(&self) -> &[u32] {
        &self.counts
    }

    /// The mean over the rows of a resample; not finite without any cluster.
    #[must_use]
    pub fn mean(&self, drawn: &[u32]) -> f64 {
        weighted(&self.sums, drawn) / weighted(&self.sizes, drawn)
    }
}

fn units(drawn: &[u32]) -> f64 {
    drawn.iter().map(|count| u64::from(*count)).sum::<u64>() as f64
}

/// The sum of values as often as they were drawn. Four sums side by side, since one waits for each addition.
fn weighted(values: &[f64], drawn: &[u32]) -> f64 {
    let mut sums = [0.0; 4];
    let (value_lanes, drawn_lanes) = (values.chunks_exact(4), drawn.chunks_exact(4));
    let rest = value_lanes.remainder().iter().zip(drawn_lanes.remainder());
    let rest: f64 = rest.map(|(value, count)| value * f64::from(*count)).sum();
    for (values, drawn) in value_lanes.zip(drawn_lanes) {
        for lane in 0..4 {
            sums[lane] += values[lane] * f64::from(drawn[lane]);
        }
    }
    (sums[0] + sums[1]) + (sums[2] + sums[3]) + rest
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::stats::mean_ci_t;

    const USUAL: Resampling<'static> = Resampling { confidence: 0.95, resamples: 2_000, seed: 7, purpose: "test" };

    fn of_mean(numbers: &[f64], resampling: &Resampling<'_>) -> Option<Bootstrap> {
        let values = Values::new(numbers.to_vec()).unwrap();
        bootstrap(values.counts(), |drawn| values.mean(drawn), resampling)
    }

    #[test]
    fn too_little_says_nothing() {
        assert!(of_mean(&[], &USUAL).is_none() && of_mean(&[1.0], &USUAL).is_none());
        assert!(of_mean(&[1.0, 2.0], &Resampling { resamples: 0, ..USUAL }).is_none());
        assert!(bootstrap(&[u32::MAX, 1], |_| 0.0, &USUAL).is_none());
        assert!(
            bootstrap(&[1; 9], |drawn| 1.0 / f64::from(drawn[0]), &USUAL).is_none(),
            "not finite without the first"
        );
        assert!(Values::new(vec![1.0, f64::NAN]).is_none());
        let same = of_mean(&[0.5; 40], &USUAL).unwrap();
        assert_eq!((same.interval.lo, same.interval.hi, same.standard_error), (0.5, 0.5, 0.0));
    }

    #[test]
    fn the_bits_are_the_same_everywhere() {
        let numbers: Vec<f64> = (0..60).map(|i| f64::from(i * i % 17)).collect();
        let found = of_mean(&numbers, &USUAL).unwrap();
        assert_eq!(found, of_mean(&numbers, &USUAL).unwrap());
        assert_ne!(found, of_mean(&numbers, &Resampling { seed: 8, ..USUAL }).unwrap());
        assert_ne!(found, of_mean(&numbers, &Resampling { purpose: "other", ..USUAL }).unwrap());
    }

    #[test]
    fn threads_do_not_matter() {
        let source = Source::new(&[1; 700], 700);
        let first = |drawn: &[u32]| f64::from(drawn[0]);
        let together = random_resamples(&source, &first, &USUAL);
        assert!(u64::from(USUAL.resamples) * 700 >= WORTH_THREADS);
        let mut resample = vec![0; 700];
        let mut alone = Vec::new();
        for chunk in 0..u64::from(USUAL.resamples).div_ceil(CHUNK as u64) {
            let mut random = Random::new(USUAL.seed, USUAL.purpose, chunk);
            for _ in 0..CHUNK {
                source.draw(&mut random, &mut resample);
                alone.push(first(&resample));
            }
        }
        assert_eq!(together, alone[..together.len()]);
    }

    /// However samples are drawn, the standard error of a mean comes out as the formula says, and so does the interval.
    #[test]
    fn all_ways_to_draw_are_one() {
        let numbers: Vec<f64> = (0..240).map(|i| f64::from(i % 12 * (i % 12))).collect();
        let plain = mean_ci_t(&numbers, 0.95).unwrap();
        let counts = [vec![1; 240], vec![20; 12], vec![2; 120]];
        let values: [Vec<f64>; 3] = [
            numbers.clone(),
            (0..12).map(|i| f64::from(i * i)).collect(),
            (0..120).map(|i| f64::from(i % 12 * (i % 12))).collect(),
        ];
        for (counts, values) in counts.iter().zip(&values) {
            let mean = |drawn: &[u32]| weighted(values, drawn) / units(drawn);
            let found = bootstrap(counts, mean, &Resampling { resamples: 8_000, ..USUAL }).unwrap();
            assert!((found.point - plain.mean).abs() < 1e-12);
            // The formula divides by one less.
            let expected = plain.standard_error * (239.0_f64 / 240.0).sqrt();
            assert!((found.standard_error / expected - 1.0).abs() < 0.03, "{found:?} {expected}");
            assert!((found.interval.lo - plain.interval.lo).abs() < 0.2 * plain.standard_error, "{found:?} {plain:?}");
        }
    }

    #[test]
    fn few_units_are_taken_in_every_order() {
        let values = Values::new(vec![0.25, 0.875, 0.5, 0.75, 1.0]).unwrap();
        let exact = |seed| {
            bootstrap(values.counts(), |drawn| values.mean(drawn), &Resampling { resamples: 3_125, seed, ..USUAL })
        };
        assert_eq!(exact(1), exact(2));
        assert_eq!(exact(1).unwrap().resamples, 3_125);
        // Many resamples at random come near.
        let random = random_resamples(
            &Source::new(&[1; 5], 5),
            &|drawn| values.mean(drawn),
            &Resampling { resamples: 40_000, ..USUAL },
        );
        let below = random.iter().filter(|mean| **mean <= 0.5).count() as f64 / 40_000.0;
        let every = every_resample(&[1; 5], 5, &|drawn: &[u32]| values.mean(drawn));
        let exactly = every.iter().filter(|mean| **mean <= 0.5).count() as f64 / 3_125.0;
        assert!((below - exactly).abs() < 0.01, "{below} {exactly}");
    }

    proptest! {
        /// A resample is the numbers themselves, each as often as drawn.
        #[test]
        fn statistics_of_a_resample(
            numbers in prop::collection::vec(-3_i32..4, 1..20), drawn in prop::collection::vec(0_u32..3, 20), q in 0.0..=1.0_f64,
        ) {
            let values = Values::new(numbers.iter().map(|number| f64::from(*number)).collect()).unwrap();
            let drawn = &drawn[..values.counts().len()];
            let mut list: Vec<f64> = Vec::new();
            for (value, count) in values.values.iter().zip(drawn) {
                list.extend(std::iter::repeat_n(*value, *count as usize));
            }
            prop_assume!(!list.is_empty());
            let mean = list.iter().sum::<f64>() / list.len() as f64;
            let variance = list.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / list.len() as f64;
            prop_assert!((values.mean(drawn) - mean).abs() < 1e-12);
            prop_assert!((values.standard_deviation(drawn) - variance.sqrt()).abs() < 1e-9);
            let expected = crate::stats::bca::quantile_of_sorted(&list, q);
            prop_assert!((values.quantile(drawn, q) - expected).abs() < 1e-9, "{list:?} {q}");
        }
    }

    #[test]
    fn clusters_of_one_row_are_rows() {
        for size in [7_u32, 20] {
            let numbers: Vec<f64> = (0..size).map(|i| f64::from(i * i % 11) - 4.0).collect();
            let mut clusters = ClusterSums::default();
            clusters.add(9.0, 0);
            numbers.iter().for_each(|number| clusters.add(*number, 1));
            let found = bootstrap(clusters.counts(), |drawn| clusters.mean(drawn), &USUAL).unwrap();
            let mean = |drawn: &[u32]| weighted(&numbers, drawn) / units(drawn);
            let plain = bootstrap(&vec![1; numbers.len()], mean, &USUAL).unwrap();
            assert!((found.interval.lo - plain.interval.lo).abs() < 1e-12);
        }
    }
}
