//! Random numbers that depend on a seed and on nothing else: not on the machine, not on the number of threads.
//!
//! Owns the generator and what is drawn from it: whole numbers, shares, orders and binomial counts. Never seeds itself.
//! Start at [`Random::new`].

use super::beta::ln_choose;
use super::float;

/// A generator: xoshiro256++ of Blackman and Vigna 2021, period 2²⁵⁶ − 1.
#[derive(Debug, Clone)]
pub struct Random {
    state: [u64; 4],
}

impl Random {
    /// The generator for one purpose within a run, such as `bootstrap of the mean score`.
    ///
    /// Its state is a hash of all three, so that what is drawn for one purpose says nothing about another, and chunks of
    /// one purpose can be drawn in any order.
    #[must_use]
    pub fn new(seed: u64, purpose: &str, chunk: u64) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("evalflow stats: seed, chunk, purpose");
        hasher.update(&seed.to_le_bytes()).update(&chunk.to_le_bytes()).update(purpose.as_bytes());
        let hash = hasher.finalize();
        let mut state = [0; 4];
        for (word, bytes) in state.iter_mut().zip(hash.as_bytes().chunks_exact(8)) {
            *word = bytes.iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
        }
        // All zeros would stay zeros for ever.
        state[3] |= u64::from(state == [0; 4]);
        Self { state }
    }

    /// 64 even bits.
    pub fn bits(&mut self) -> u64 {
        let [a, b, c, d] = self.state;
        let result = a.wrapping_add(d).rotate_left(23).wrapping_add(a);
        let (c, d) = (c ^ a, d ^ b);
        self.state = [a ^ d, b ^ c, c ^ (b << 17), d.rotate_left(45)];
        result
    }

    /// An even number in [0, 1), a multiple of 2⁻⁵³.
    pub fn share(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// An even whole number below `bound`, and 0 for a bound of 0. Without bias: Lemire 2019.
    pub fn below(&mut self, bound: u32) -> u32 {
        let mut product = (self.bits() >> 32) * u64::from(bound);
        if low(product) < bound {
            let least = if bound == 0 { 0 } else { bound.wrapping_neg() % bound };
            while low(product) < least {
                product = (self.bits() >> 32) * u64::from(bound);
            }
        }
        high(product)
    }

    /// Adds 1 at `times` even places of `counts`, each below `counts.len()`, which is not 0 and fits 32 bits.
    ///
    /// Two places from the 64 bits of each step: this is what a bootstrap does all the time.
    pub(super) fn scatter(&mut self, counts: &mut [u32], times: u32) {
        let Ok(bound) = u32::try_from(counts.len()) else { return };
        if bound == 0 {
            return;
        }
        let least = bound.wrapping_neg() % bound;
        let mut left = times;
        while left > 0 {
            let bits = self.bits();
            for half in [high(bits), low(bits)] {
                let product = u64::from(half) * u64::from(bound);
                if left > 0 && low(product) >= least {
                    counts[high(product) as usize] += 1;
                    left -= 1;
                }
            }
        }
    }

    /// The numbers below `count` in an even random order (Fisher and Yates).
    #[must_use]
    pub fn order(&mut self, count: u32) -> Vec<u32> {
        let mut order: Vec<u32> = (0..count).collect();
        for last in (1..count).rev() {
            order.swap(last as usize, self.below(last + 1) as usize);
        }
        order
    }

    /// How many of `trials` succeed if each does with probability `p`, in [0, 1].
    ///
    /// Exact: by inversion where few are expected (BINV of Kachitvichyanukul and Schmeiser 1988), else by transformed
    /// rejection (BTRS of Hörmann 1993).
    pub fn binomial(&mut self, trials: u32, p: f64) -> u32 {
        if p > 0.5 {
            return trials - self.binomial(trials, 1.0 - p);
        }
        if trials == 0 || p.is_nan() || p <= 0.0 {
            0
        } else if f64::from(trials) * p < 10.0 {
            self.binomial_by_inversion(trials, p)
        } else {
            self.binomial_by_rejection(trials, p)
        }
    }

    fn binomial_by_inversion(&mut self, trials: u32, p: f64) -> u32 {
        let odds = p / (1.0 - p);
        let none = float::exp(f64::from(trials) * float::ln_1p(-p));
        loop {
            let (mut left, mut chance) = (self.share(), none);
            for k in 0..=trials {
                if left < chance {
                    return k;
                }
                left -= chance;
                chance *= odds * f64::from(trials - k) / f64::from(k + 1);
                // Beyond this nothing is left but rounding.
                if chance <= 0.0 {
                    break;
                }
            }
        }
    }

    fn binomial_by_rejection(&mut self, trials: u32, p: f64) -> u32 {
        let n = f64::from(trials);
        let spread = (n * p * (1.0 - p)).sqrt();
        let b = 1.15 + 2.53 * spread;
        let a = -0.0873 + 0.0248 * b + 0.01 * p;
        let centre = n * p + 0.5;
        let v_r = 0.92 - 4.2 / b;
        let alpha = (2.83 + 5.1 / b) * spread;
        let log_odds = float::ln(p / (1.0 - p));
        let mode = ((n + 1.0) * p).floor();
        loop {
            let u = self.share() - 0.5;
            let v = self.share();
            let us = 0.5 - u.abs();
            let k = ((2.0 * a / us + b) * u + centre).floor();
            if !(0.0..=n).contains(&k) {
                continue;
            }
            #[expect(clippy::cast_possible_truncation, reason = "within [0, trials]")]
            let whole = k as u32;
            if us >= 0.07 && v <= v_r {
                return whole;
            }
            let v = float::ln(v * alpha / (a / (us * us) + b));
            if v <= ln_choose(k, n - k) - ln_choose(mode, n - mode) + (k - mode) * log_odds {
                return whole;
            }
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the lower half is what is wanted")]
fn low(bits: u64) -> u32 {
    bits as u32
}

fn high(bits: u64) -> u32 {
    (bits >> 32) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::binomial_probability;

    #[test]
    fn the_bits_are_the_same_everywhere() {
        let mut random = Random { state: [1, 2, 3, 4] };
        // The first outputs that the authors of the generator give for this state.
        for expected in [41_943_041, 58_720_359, 3_588_806_011_781_223, 3_591_011_842_654_386] {
            assert_eq!(random.bits(), expected);
        }
        let first = |seed, purpose, chunk| Random::new(seed, purpose, chunk).bits();
        let all = [first(0, "a", 0), first(1, "a", 0), first(0, "b", 0), first(0, "a", 1)];
        assert_eq!(all[0], first(0, "a", 0));
        assert!((1..4).all(|other| all[other] != all[0]), "{all:?}");
    }

    /// Whether counts are what `expected` chances would give: chi-square within five standard deviations.
    fn check(counts: &[u32], expected: &[f64]) {
        let total: u32 = counts.iter().sum();
        let (mut squares, mut kinds) = (0.0, 0.0);
        for (count, chance) in counts.iter().zip(expected) {
            let mean = chance * f64::from(total);
            if mean > 5.0 {
                squares += (f64::from(*count) - mean) * (f64::from(*count) - mean) / mean;
                kinds += 1.0;
            }
        }
        assert!((squares - kinds).abs() < 5.0 * (2.0 * kinds).sqrt(), "{squares} for {kinds} kinds: {counts:?}");
    }

    #[test]
    fn whole_numbers_are_even() {
        let mut random = Random::new(7, "test", 0);
        let (mut below, mut scattered) = (vec![0; 13], vec![0; 13]);
        for _ in 0..26_000 {
            below[random.below(13) as usize] += 1;
        }
        random.scatter(&mut scattered, 26_000);
        assert_eq!(scattered.iter().sum::<u32>(), 26_000);
        check(&below, &[1.0 / 13.0; 13]);
        check(&scattered, &[1.0 / 13.0; 13]);
        assert_eq!((random.below(0), random.below(1)), (0, 0));
    }

    #[test]
    fn orders_are_even() {
        let mut random = Random::new(7, "test", 1);
        let mut counts = vec![0; 6];
        for _ in 0..6_000 {
            let order = random.order(3);
            counts[(order[0] * 2 + u32::from(order[1] > order[2])) as usize] += 1;
        }
        check(&counts, &[1.0 / 6.0; 6]);
        assert!(random.order(0).is_empty());
    }

    #[test]
    fn binomial_counts_are_as_often_as_they_should() {
        let mut random = Random::new(7, "test", 2);
        for (trials, p) in [(5, 0.3), (40, 0.02), (40, 0.9), (100, 0.4), (60, 0.5), (1000, 0.988)] {
            let mut counts = vec![0; trials as usize + 1];
            for _ in 0..8_000 {
                counts[random.binomial(trials, p) as usize] += 1;
            }
            let expected: Vec<f64> =
                (0..=trials).map(|k| binomial_probability(u64::from(k), u64::from(trials), p)).collect();
            check(&counts, &expected);
        }
        for (trials, p, expected) in [(0, 0.5, 0), (9, 0.0, 0), (9, 1.0, 9), (9, f64::NAN, 0)] {
            assert_eq!(random.binomial(trials, p), expected);
        }
    }
}
