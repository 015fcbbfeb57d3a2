//! Shares a number of scenarios out: exactly, by weight, and evenly.
//!
//! Whole numbers only, so that every machine comes to the same. Who gets what is left over where all are owed the same is
//! the caller's draw.

use crate::spec::Weight;

/// Shares `total` out by largest remainder among those in `order`; of equal remainders the first in `order` come first. All
/// others get nothing.
pub(super) fn shares(total: usize, order: &[usize], weights: &[Weight]) -> Vec<usize> {
    let mut shares = vec![0; weights.len()];
    let weight = |who: usize| u128::from(weights[who].thousandths());
    let all: u128 = order.iter().map(|who| weight(*who)).sum();
    let mut rest = Vec::with_capacity(order.len());
    let mut left = total;
    for &who in order {
        let owed = total as u128 * weight(who);
        shares[who] = usize::try_from(owed / all).expect("it is at most the total");
        left -= shares[who];
        rest.push((owed % all, who));
    }
    // The sort is stable, so the order decides between equals.
    rest.sort_by_key(|(remainder, _)| std::cmp::Reverse(*remainder));
    rest.iter().take(left).for_each(|(_, who)| shares[*who] += 1);
    shares
}

/// Several sums shared out one after the other among the same few, so that what one got too little of in one it gets in the
/// next: each has its share of all of them together, and not of each by itself only.
#[derive(Debug)]
pub(super) struct Carry {
    weights: Vec<Weight>,
    /// What each is owed so far, less what it got, in parts of [`ONE`].
    owed: Vec<i64>,
}

/// One scenario.
const ONE: u64 = 1 << 32;

/// Finer differences come from rounding: they must not decide.
const COARSE: u32 = 12;

impl Carry {
    pub(super) fn new(weights: Vec<Weight>) -> Self {
        Self { owed: vec![0; weights.len()], weights }
    }

    /// Shares out the next sum among those in `order`; of those who are owed the same the first in `order` come first.
    pub(super) fn split(&mut self, total: usize, order: &[usize]) -> Vec<usize> {
        let mut shares = vec![0; self.weights.len()];
        let weight = |who: usize| u128::from(self.weights[who].thousandths());
        let all: u128 = order.iter().map(|who| weight(*who)).sum();
        let mut left = total;
        for &who in order {
            let due = total as u128 * weight(who);
            shares[who] = usize::try_from(due / all).expect("it is at most the total");
            left -= shares[who];
            let rest = (due % all) * u128::from(ONE) / all;
            self.owed[who] += i64::try_from(rest).expect("it is less than one");
        }
        while left > 0 {
            let most = order.iter().copied().rev().max_by_key(|who| self.owed[*who] >> COARSE);
            let who = most.expect("something is left of a sum only if somebody has a share of it");
            shares[who] += 1;
            self.owed[who] -= i64::try_from(ONE).expect("it is small");
            left -= 1;
        }
        shares
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn weights(weights: &[f64]) -> Vec<Weight> {
        weights.iter().map(|weight| Weight::new(*weight)).collect()
    }

    #[test]
    fn sums_are_shared_out_by_largest_remainder() {
        let check = |total, order: &[usize], given: &[f64], expected: &[usize]| {
            assert_eq!(shares(total, order, &weights(given)), expected, "{total} {order:?} {given:?}");
        };
        check(10, &[0, 1, 2], &[1.0, 1.0, 1.0], &[4, 3, 3]);
        check(10, &[2, 1, 0], &[1.0, 1.0, 1.0], &[3, 3, 4]);
        check(10, &[0, 1, 2], &[5.0, 3.0, 1.0], &[6, 3, 1]);
        check(1, &[0, 1], &[0.001, 1000.0], &[0, 1]);
        check(7, &[1], &[9.0, 1.0], &[0, 7]);
        check(0, &[0, 1], &[1.0, 2.0], &[0, 0]);
        check(100, &[0, 1, 2], &[0.5, 0.333, 0.167], &[50, 33, 17]);
    }

    #[test]
    fn what_one_sum_owes_the_next_pays() {
        let mut carry = Carry::new(weights(&[2.0, 1.0, 1.0]));
        let mut all = [0; 3];
        let given: Vec<Vec<usize>> = (0..8).map(|_| carry.split(1, &[0, 1, 2])).collect();
        given.iter().for_each(|one| all.iter_mut().zip(one).for_each(|(sum, share)| *sum += share));
        assert_eq!(all, [4, 2, 2]);
        assert_eq!(given[0], [1, 0, 0]);
        // One that could not be had for a while is made up for.
        let mut carry = Carry::new(weights(&[1.0, 1.0]));
        assert_eq!([carry.split(3, &[0]), carry.split(2, &[0, 1])], [vec![3, 0], vec![1, 1]]);
    }

    proptest! {
        #[test]
        fn shares_are_exact_and_never_a_whole_one_off(
            total in 0..5000_usize, given in prop::collection::vec(0.001_f64..1000.0, 1..9),
        ) {
            let weights = weights(&given);
            let order: Vec<usize> = (0..weights.len()).rev().collect();
            let all: u64 = weights.iter().map(|weight| u64::from(weight.thousandths())).sum();
            for shares in [shares(total, &order, &weights), Carry::new(weights.clone()).split(total, &order)] {
                prop_assert_eq!(shares.iter().sum::<usize>(), total);
                for (share, weight) in shares.iter().zip(&weights) {
                    let owed = total as f64 * f64::from(weight.thousandths()) / all as f64;
                    prop_assert!((*share as f64 - owed).abs() < 1.0, "{share} {owed}");
                }
            }
        }

        #[test]
        fn many_small_sums_come_to_the_shares_of_one_large(
            sums in prop::collection::vec(0..6_usize, 1..60), given in prop::collection::vec(1.0_f64..9.0, 2..6),
        ) {
            let weights = weights(&given);
            let order: Vec<usize> = (0..weights.len()).collect();
            let mut carry = Carry::new(weights.clone());
            let mut got = vec![0; weights.len()];
            for sum in &sums {
                carry.split(*sum, &order).iter().zip(&mut got).for_each(|(share, sum)| *sum += share);
            }
            let total: usize = sums.iter().sum();
            prop_assert_eq!(got.iter().sum::<usize>(), total);
            let all: u64 = weights.iter().map(|weight| u64::from(weight.thousandths())).sum();
            for (got, weight) in got.iter().zip(&weights) {
                let owed = total as f64 * f64::from(weight.thousandths()) / all as f64;
                prop_assert!((*got as f64 - owed).abs() < 2.0, "{got} {owed}");
            }
        }
    }
}
