//! Which scenarios a decision that may stop early has looked at: the first part of a random order that is drawn once, by seed and name.
//!
//! A scenario's place depends on itself alone, so rows stream, and a larger part holds every smaller one. Start at [`takes`].

use serde_json::{Value, json};

use crate::data::Scenario;
use crate::spec::{ClusterBy, Sample};

/// With fewer scenarios than this nothing is settled before the end.
pub const LEAST: u64 = 20;

/// About so many scenarios or more are in the first part: parts are drawn, and with fewer it would often not have [`LEAST`] of them.
const FIRST: u64 = 30;

/// More rounds than this are never needed: a part that small of any table is empty.
const MOST_ROUNDS: u32 = 40;

/// The round of the first look at so many scenarios: the smallest part that may settle anything.
#[must_use]
pub fn first_round(scenarios: u64) -> u32 {
    let holds_enough = |round: &u32| expected(scenarios, *round) >= FIRST;
    (0..=MOST_ROUNDS).rev().find(holds_enough).unwrap_or(0)
}

/// About how many of so many scenarios are taken at a round.
#[must_use]
pub fn expected(scenarios: u64, round: u32) -> u64 {
    let part = u128::from(scenarios) * 2_u128.pow(round.min(MOST_ROUNDS)) / 3_u128.pow(round.min(MOST_ROUNDS));
    u64::try_from(part).expect("a part is no larger than the whole")
}

/// Whether a scenario is in the sample.
#[must_use]
pub fn takes(sample: &Sample, scenario: &Scenario) -> bool {
    place(sample.seed, &sample.unit, scenario) < end(sample.round)
}

/// A scenario's place in the order, evenly drawn from all numbers; those that are drawn together have the same.
///
/// The first eight bytes of the blake3 of the seed and the name.
#[must_use]
pub fn place(seed: u64, unit: &ClusterBy, scenario: &Scenario) -> u64 {
    let name = match unit {
        ClusterBy::Nothing => scenario.id.as_str(),
        ClusterBy::Topic => scenario.topic.as_str(),
        ClusterBy::Axis(axis) => scenario.axes.get(axis).map_or("", String::as_str),
    };
    let mut hasher = blake3::Hasher::new_derive_key("evalflow 2026 order of scenarios");
    hasher.update(&seed.to_le_bytes()).update(name.as_bytes());
    let mut first = [0; 8];
    hasher.finalize_xof().fill(&mut first);
    u64::from_le_bytes(first)
}

/// The round at which a place is first looked at, where looks begin at round `first`.
#[must_use]
pub fn round_of(place: u64, first: u32) -> u32 {
    (0..=first).rev().find(|round| *round == 0 || place < end(*round)).unwrap_or(0)
}

/// The first place after the part of a round: (2/3)^round of all.
fn end(round: u32) -> u64 {
    let round = round.min(MOST_ROUNDS);
    u64::try_from((1_u128 << (64 + round)) / 3_u128.pow(round)).unwrap_or(u64::MAX)
}

/// The sample as it goes into a recipe.
#[must_use]
pub fn fields(sample: &Sample) -> Value {
    let Sample { seed, unit, round } = sample;
    let unit = match unit {
        ClusterBy::Nothing => json!("scenario"),
        ClusterBy::Topic => json!("topic"),
        ClusterBy::Axis(axis) => json!({ "axis": axis }),
    };
    json!({ "seed": seed, "unit": unit, "round": round })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stage::row::tests::scenario;

    fn sample(round: u32) -> Sample {
        Sample { seed: 7, unit: ClusterBy::Nothing, round }
    }

    #[test]
    fn parts_grow_by_half_up_to_all() {
        let firsts = [0, 29, 30, 50, 1_000].map(first_round);
        assert_eq!(firsts, [0, 0, 0, 1, 8]);
        assert_eq!(
            (0..=8).rev().map(|round| expected(1_000, round)).collect::<Vec<_>>(),
            [39, 58, 87, 131, 197, 296, 444, 666, 1_000]
        );
        assert!(first_round(u64::MAX) <= MOST_ROUNDS);
        assert_eq!(end(0), u64::MAX);
        for round in 1..=MOST_ROUNDS {
            let share = end(round) as f64 / u64::MAX as f64;
            assert!((share / part(round) - 1.0).abs() < 1e-6, "{round}: {share}");
        }
    }

    /// (2/3)^round.
    fn part(round: u32) -> f64 {
        (0..round).fold(1.0, |part, _| part * 2.0 / 3.0)
    }

    #[test]
    fn a_larger_part_holds_every_smaller_one() {
        let mut taken = [0; 10];
        for number in 0..3_000 {
            let mut one = scenario("hi", &[]);
            one.id = crate::ids::ScenarioId::new(&format!("s{number}")).unwrap();
            let rounds: Vec<u32> = (0..10).filter(|round| takes(&sample(*round), &one)).collect();
            assert!(rounds.iter().copied().eq((0..10).take(rounds.len())), "{rounds:?}");
            let seen = round_of(place(7, &ClusterBy::Nothing, &one), 9);
            assert_eq!(Some(&seen), rounds.last());
            rounds.into_iter().for_each(|round| taken[round as usize] += 1);
        }
        assert_eq!(taken[0], 3_000);
        for (round, taken) in taken.into_iter().enumerate() {
            let expected = 3_000.0 * part(round.try_into().unwrap());
            assert!((f64::from(taken) - expected).abs() < 4.0 * expected.sqrt(), "{round}: {taken} {expected}");
        }
    }

    #[test]
    fn what_is_drawn_together_has_one_place() {
        let one = scenario("hi", &[]);
        let mut other = one.clone();
        other.id = crate::ids::ScenarioId::new("other").unwrap();
        assert_eq!(place(7, &ClusterBy::Topic, &one), place(7, &ClusterBy::Topic, &other));
        assert_ne!(place(7, &ClusterBy::Nothing, &one), place(7, &ClusterBy::Nothing, &other));
        assert_ne!(place(7, &ClusterBy::Topic, &one), place(8, &ClusterBy::Topic, &one));
    }
}
