//! What holds for every interval: a higher level gives a wider one, ends are numbers in their range, and large counts are no
//! different from small ones.

use proptest::prelude::*;

use super::*;

/// A way from two counts to an interval at a level.
type OfCounts = fn(u64, u64, f64) -> Interval;

/// All intervals of `k` of `n`, each with the least and the greatest value its ends may have.
const OF_COUNTS: [(&str, OfCounts, f64); 10] = [
    ("Wilson", |k, n, level| wilson(k as f64, n as f64, level), 0.0),
    ("Clopper and Pearson", clopper_pearson, 0.0),
    ("Jeffreys", jeffreys, 0.0),
    ("confidence sequence", |k, n, level| confidence_sequence(k, n - k, 1.0 - level, BetaPrior::USUAL), 0.0),
    ("suite", |k, n, level| suite_confidence_sequence(k / 2, n / 2, n, 1.0 - level, BetaPrior::EVEN).rates(n), 0.0),
    (
        "post-stratified",
        |k, n, level| {
            let share = Share { count: k / 2, of: n / 2 };
            let labels = VerdictLabels { judged: Share { count: k, of: n }, among_passed: share, among_failed: share };
            poststratified(&labels, level, Target::Population).map_or(Interval { lo: 0.0, hi: 1.0 }, |one| one.interval)
        },
        0.0,
    ),
    ("Newcombe", |k, n, level| newcombe_paired(&pairs(k, n), level).interval, -1.0),
    ("Tango", |k, n, level| tango_interval(pairs(k, n).gains, pairs(k, n).losses, n, level), -1.0),
    ("Bonett and Price", |k, n, level| bonett_price(pairs(k, n).gains, pairs(k, n).losses, n, level), -1.0),
    ("unpaired", |k, n, level| unpaired_difference((k, n), (n - k, n + 5), level).interval, -1.0),
];

/// A table of `n` scenarios that depends on `k`.
fn pairs(k: u64, n: u64) -> Pairs {
    let (gains, losses) = (k / 3, (n - k) / 4);
    let both = (n - gains - losses) / 2;
    Pairs { both, gains, losses, neither: n - gains - losses - both }
}

fn check(k: u64, n: u64, one: f64, other: f64) {
    for (name, interval, least) in OF_COUNTS {
        let (narrow, wide) = (interval(k, n, one.min(other)), interval(k, n, one.max(other)));
        for Interval { lo, hi } in [narrow, wide] {
            assert!(least <= lo && lo <= hi && hi <= 1.0, "{name}, {k} of {n}: {lo} {hi}");
        }
        let nested = wide.lo <= narrow.lo + 1e-9 && narrow.hi <= wide.hi + 1e-9;
        assert!(nested, "{name}, {k} of {n}: {narrow:?} at {one} or {other}, {wide:?}");
    }
}

#[test]
fn large_counts_are_numbers_too() {
    for n in [0, 1, 2, 1_000, 1_000_000, 1_000_000_000] {
        for k in [0, n / 2, n - n / 3, n] {
            check(k, n, 0.9, 0.999);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_higher_level_holds_the_interval_of_a_lower_one(
        n in 0_u64..400, share in 0.0..=1.0_f64, one in 0.5..0.999_f64, other in 0.5..0.999_f64,
    ) {
        let k = (0..=n).rfind(|k| *k as f64 <= share * n as f64).unwrap();
        check(k, n, one, other);
    }
}

/// Bits that were the same on another machine must be the same on this one.
#[test]
fn the_bits_are_the_same_everywhere() {
    let scores: Vec<f64> = (0..60).map(|i| f64::from(i * i % 17) / 16.0).collect();
    let values = Values::new(scores.clone()).unwrap();
    let resampling = Resampling { confidence: 0.95, resamples: 500, seed: 7, purpose: "bits" };
    let bca = bootstrap(values.counts(), |drawn| values.mean(drawn), &resampling).unwrap();
    let mut betting = Betting::new(0.05);
    scores.iter().for_each(|score| betting.add(*score));
    let verdicts: Vec<[bool; 3]> = (0..40).map(|i| [i % 3 == 0, i % 4 == 0, i % 5 < 2]).collect();
    let found = [
        clopper_pearson(35, 50, 0.95).lo,
        jeffreys(35, 50, 0.95).hi,
        beta_probability(0.3, 17.5, 40.25),
        confidence_sequence(35, 15, 0.05, BetaPrior::USUAL).lo,
        betting.confidence_sequence().hi,
        group_sequential_constant(3, 0.05, Boundary::Pocock).unwrap(),
        tango_interval(7, 1, 21, 0.95).hi,
        mcnemar_power(100, 0.15, 0.05, 0.05, McNemar::MidP),
        sign_flip_p(&scores.iter().map(|score| score - 0.45).collect::<Vec<_>>(), 7, "bits"),
        dawid_skene(&verdicts).unwrap().prevalence,
        bca.interval.lo,
        bca.bias.unwrap(),
        Random::new(7, "bits", 3).share(),
    ]
    .map(f64::to_bits);
    assert_eq!(found, BITS, "{found:?}");
}

const BITS: [u64; 13] = [
    4_603_164_466_408_768_915,
    4_605_499_179_231_114_109,
    4_602_590_684_558_946_016,
    4_602_466_176_246_980_235,
    4_603_827_018_509_995_344,
    4_612_337_865_089_767_528,
    4_602_834_033_719_987_031,
    4_603_739_062_513_614_129,
    4_599_560_232_360_033_474,
    4_585_498_420_653_916_180,
    4_601_158_474_990_561_474,
    4_592_809_705_935_570_824,
    4_583_143_100_040_913_952,
];
