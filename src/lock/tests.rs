//! Reading, writing and comparing locks.

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn id(name: &str) -> StageId {
    StageId::new(name).unwrap()
}

fn recipe(fields: Value) -> Recipe {
    Recipe::new("infer", 1, fields)
}

fn lock_of(recipe: &Recipe) -> Lock {
    let stage = LockedStage::new(recipe, BlobId::of(b"out"), Some(5));
    Lock {
        pipeline: "p".to_owned(),
        engine: EngineBuild { evalflow: "0.1.0".into(), llama_cpp: "llama 1, 2".into(), backend: "cpu".into() },
        decision: None,
        comparisons: BTreeMap::new(),
        weights: BTreeMap::new(),
        catalogs: BTreeMap::new(),
        stages: BTreeMap::from([(id("answers"), stage)]),
    }
}

fn decision() -> LockedDecision {
    LockedDecision {
        outcome: Outcome::Inconclusive,
        rate: LockedRate {
            point: Some(Share::new(0.8)),
            lo: Share::new(0.375_53),
            hi: Share::new(0.963_77),
            confidence: 0.95,
            method: "wilson".to_owned(),
        },
        n: 5,
        passed: 4,
        ungraded: 0,
        invalid: 1,
        deploy: 0.7,
        fine_tune: 0.5,
        critical: BTreeMap::from([
            (CriterionId::new("kind").unwrap(), LockedCriterion { rate: Some(Share::new(1.0)), n: 5 }),
            (CriterionId::new("no").unwrap(), LockedCriterion { rate: None, n: 0 }),
        ]),
    }
}

fn comparison() -> LockedComparison {
    LockedComparison {
        verdict: ComparisonVerdict::NoDifference,
        gate: GateOutcome::Inconclusive,
        point: Some(Gap::new(-0.000_149)),
        lo: Gap::new(-0.031_25),
        hi: Gap::new(0.03),
        confidence: 0.95,
        method: "newcombe_paired".to_owned(),
        n: 200,
    }
}

#[test]
fn differences_keep_four_decimals_and_their_sign() {
    for (value, expected) in
        [(0.0, "0.0000"), (-0.000_049, "0.0000"), (-0.0301, "-0.0301"), (1.5, "1.0000"), (-1.0, "-1.0000")]
    {
        assert_eq!(Gap::new(value).to_string(), expected);
        assert!((Gap::new(value).get() - value.clamp(-1.0, 1.0)).abs() < 1e-4);
    }
}

#[test]
fn a_lock_is_a_text_for_diffs() {
    let mut lock = lock_of(&recipe(json!({ "max_tokens": 50, "system": "Be kind." })));
    lock.decision = Some(decision());
    lock.comparisons.insert(id("change"), comparison());
    let weights = LockedWeights { blake3: BlobId::of(b"w"), sha256: "0".repeat(64), bytes: 7 };
    lock.weights.insert(id("1e5"), weights);
    let catalog = LockedCatalog { rows: BlobId::of(b"[]"), fetched: day(1_767_225_600) };
    lock.catalogs.insert("hub?gguf=true&limit=200".to_owned(), catalog);
    insta::assert_snapshot!(lock.write());
    assert_eq!(Lock::read(&lock.write()), Ok(lock));
}

#[test]
fn what_is_no_lock_is_told_with_its_line() {
    let good = lock_of(&recipe(json!({ "a": 1 }))).write();
    let check = |text: &str, expected: &str| {
        let error = Lock::read(text).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
        assert!(!error.help().is_empty());
    };
    check(&good.replace("evalflow_lock: 1", "evalflow_lock: 2"), "the lock has format 2, this version knows format 1");
    check("pipeline: p\n", "evalflow_lock");
    check("", "line 1");
    check(&good.replace("    kind: infer", "<<<<<<< HEAD\n    kind: infer"), "line 10: a merge left both sides here");
    check(&good.replace("    rows: 5", "    rows: 5\n    colour: red"), "line 14: unknown field `colour`");
    check(&good.replace("output: \"", "output: \"z"), "64 lower-case hexadecimal digits");
    check(&good.replace("    rows: 5", "    rows: 5\n    rows: 6"), "duplicate");
    check(&good.replace("answers:", "\"Not a name\":"), "is not a name");
}

#[test]
fn shares_are_rounded_and_stay_so() {
    for (share, expected) in [(0.0, "0.0000"), (1.0, "1.0000"), (2.0 / 3.0, "0.6667"), (0.800_04, "0.8000")] {
        let rounded = Share::new(share);
        assert_eq!(rounded.to_string(), expected);
        assert_eq!(Share::new(rounded.get()), rounded);
    }
}

/// The first difference between a locked recipe and another, with the old values known and not.
fn check(old: Value, new: Value, with_values: &str, with_digests: &str) {
    let (old, new) = (recipe(old), recipe(new));
    let lock = lock_of(&old);
    let kept: Value = serde_json::from_str(old.canonical()).unwrap();
    for (kept, expected) in [(Some(&kept), with_values), (None, with_digests)] {
        let shown = match lock.check_stage(&id("answers"), &new, kept) {
            Ok(stage) => format!("{} rows", stage.rows.unwrap()),
            Err(difference) => difference.to_string(),
        };
        assert_eq!(shown, expected);
    }
}

#[test]
fn the_first_field_that_differs_is_named() {
    check(json!({ "a": 1 }), json!({ "a": 1 }), "5 rows", "5 rows");
    let digests = format!("digest {} → digest {}", digest(&json!(50)), digest(&json!(60)));
    check(
        json!({ "max_tokens": 50, "a": [1], "z": 1 }),
        json!({ "max_tokens": 60, "a": [1], "z": 2 }),
        "`answers` differs from the lock in `max_tokens`: 50 → 60",
        &format!("`answers` differs from the lock in `max_tokens`: {digests}"),
    );
    check(
        json!({ "rubric": { "criteria": [{ "id": "kind", "weight": 1 }] } }),
        json!({ "rubric": { "criteria": [{ "id": "kind", "weight": 2 }] } }),
        "`answers` differs from the lock in `rubric.criteria[kind].weight`: 1 → 2",
        &format!(
            "`answers` differs from the lock in `rubric`: digest {} → digest {}",
            digest(&json!({ "criteria": [{ "id": "kind", "weight": 1 }] })),
            digest(&json!({ "criteria": [{ "id": "kind", "weight": 2 }] })),
        ),
    );
    check(
        json!({}),
        json!({ "repeat": 3 }),
        "`answers` differs from the lock in `repeat`: nothing → 3",
        &format!("`answers` differs from the lock in `repeat`: nothing → digest {}", digest(&json!(3))),
    );
}

#[test]
fn other_differences_are_named_too() {
    let lock = lock_of(&recipe(json!({ "a": 1 })));
    let told = |stage: &str, recipe: &Recipe| lock.check_stage(&id(stage), recipe, None).unwrap_err().to_string();
    let same = recipe(json!({ "a": 1 }));
    assert_eq!(told("replies", &same), "stage `replies` is not in the lock");
    let judge = Recipe::new("judge", 1, json!({ "a": 1 }));
    assert_eq!(told("answers", &judge), "stage `answers` is `infer` in the lock and `judge` in the pipeline");
    let newer = Recipe::new("infer", 2, json!({ "a": 1 }));
    assert!(told("answers", &newer).contains("made by evalflow 0.1.0"));
    let gone = lock.check_gone(&[id("replies")]).unwrap_err();
    assert_eq!(gone.to_string(), "stage `answers` is in the lock and no more in the pipeline");
    assert_eq!((gone.stage(), lock.check_gone(&[id("x"), id("answers")])), (&id("answers"), Ok(())));
    let field = lock.check_stage(&id("answers"), &recipe(json!({ "a": 2 })), None).unwrap_err();
    let expected = Difference::Field {
        stage: id("answers"),
        path: "a".to_owned(),
        change: Box::new(Change::Digests { locked: Some(digest(&json!(1))), found: Some(digest(&json!(2))) }),
    };
    assert_eq!(field, expected);
}

#[test]
fn another_build_is_no_other_result() {
    let lock = lock_of(&recipe(json!({ "a": 1 })));
    let mut other = lock.clone();
    other.engine.evalflow = "0.2.0".to_owned();
    assert!(lock.same_results(&other));
    other.stages.get_mut(&id("answers")).unwrap().output = BlobId::of(b"other");
    assert!(!lock.same_results(&other));
}

#[test]
fn what_moved_is_told_with_both_sides() {
    let mut old = lock_of(&recipe(json!({ "a": 1, "b": 2, "c": 3 })));
    let mut new = lock_of(&recipe(json!({ "a": 2, "b": 2, "d": 3 })));
    assert_eq!(old.moves_since(&old), []);
    old.stages.insert(id("gone"), LockedStage::new(&recipe(json!({})), BlobId::of(b"x"), None));
    new.decision = Some(decision());
    let moves = new.moves_since(&old);
    let Move::Stage { stage, old: Some(was), new: Some(is) } = &moves[1] else { panic!("{moves:?}") };
    assert_eq!((stage, was.fields_moved(is)), (&id("answers"), ["a", "c", "d"].map(ToOwned::to_owned).to_vec()));
    assert!(matches!(&moves[0], Move::Decision { old: None, new: Some(_), .. }), "{moves:?}");
    assert!(matches!(&moves[2], Move::Stage { old: Some(_), new: None, .. }), "{moves:?}");
    assert_eq!(moves.len(), 3);
    old = new.clone();
    new.comparisons.insert(id("change"), comparison());
    assert!(
        matches!(new.moves_since(&old).as_slice(), [Move::Comparison { old: None, new: Some(_), .. }]),
        "{:?}",
        new.moves_since(&old)
    );
}

prop_compose! {
    fn rates()(point in prop::option::of(0.0..=1.0), lo in 0.0..=1.0, hi in 0.0..=1.0, confidence in 0.01..0.999) -> LockedRate {
        LockedRate {
            point: point.map(Share::new),
            lo: Share::new(lo),
            hi: Share::new(hi),
            confidence,
            method: "wilson".to_owned(),
        }
    }
}

prop_compose! {
    fn decisions()(
        rate in rates(),
        counts in any::<[u64; 4]>(),
        deploy in 0.0..1.0,
        fine_tune in 0.0..1.0,
        outcome in prop::sample::select(vec![Outcome::Deploy, Outcome::FineTune, Outcome::FullPipeline, Outcome::Blocked]),
        critical in prop::collection::btree_map("[a-z0-9][a-z0-9_-]{0,8}", (prop::option::of(0.0..=1.0), any::<u64>()), 0..3),
    ) -> LockedDecision {
        let critical = critical.into_iter().map(|(name, (rate, n))| {
            (CriterionId::new(&name).unwrap(), LockedCriterion { rate: rate.map(Share::new), n })
        });
        let [n, passed, ungraded, invalid] = counts;
        LockedDecision { outcome, rate, n, passed, ungraded, invalid, deploy, fine_tune, critical: critical.collect() }
    }
}

prop_compose! {
    fn comparisons()(
        point in prop::option::of(-1.0..=1.0),
        ends in [-1.0..=1.0, -1.0..=1.0],
        confidence in 0.01..0.999,
        n in any::<u64>(),
    ) -> LockedComparison {
        let [lo, hi] = ends.map(Gap::new);
        LockedComparison { point: point.map(Gap::new), lo, hi, confidence, n, ..comparison() }
    }
}

prop_compose! {
    fn stages()(
        kind in "[a-z]{1,8}",
        bytes in any::<[u8; 32]>(),
        rows in prop::option::of(any::<u64>()),
        fields in prop::collection::btree_map("[a-z_0-9]{1,10}|true|no|\\PC{1,4}", "[0-9a-f]{12}|[0-9]{12}|[0-9]{5}e[0-9]{6}", 0..4),
    ) -> LockedStage {
        LockedStage { kind, key: Key::from_bytes(bytes), output: BlobId::from_bytes(bytes), rows, fields }
    }
}

proptest! {
    #[test]
    fn what_is_written_reads_back(
        pipeline in "\\PC{0,20}|[\\x00-\\x7f]{0,12}|[\u{80}-\u{9f}\u{2028}\u{feff}\u{fffe}]{0,3}|1e5|null|0x1f|1_000",
        decision in prop::option::of(decisions()),
        comparisons in prop::collection::btree_map("[a-z0-9][a-z0-9_-]{0,8}", comparisons(), 0..2),
        stages in prop::collection::btree_map("[a-z0-9][a-z0-9_-]{0,8}", stages(), 0..4),
        weights in prop::collection::btree_map("[a-z0-9][a-z0-9_-]{0,8}", (any::<[u8; 32]>(), "[0-9]{64}|[0-9a-f]{64}", any::<u64>()), 0..2),
        catalogs in prop::collection::btree_map("hub\\?\\PC{0,20}", (any::<[u8; 32]>(), "[0-9]{4}-[0-9]{2}-[0-9]{2}"), 0..2),
    ) {
        let weights = weights.into_iter().map(|(name, (bytes, sha256, size))| {
            (id(&name), LockedWeights { blake3: BlobId::from_bytes(bytes), sha256, bytes: size })
        });
        let lock = Lock {
            pipeline,
            engine: EngineBuild { evalflow: "0.1.0".into(), llama_cpp: "a, b".into(), backend: "cpu".into() },
            decision,
            comparisons: comparisons.into_iter().map(|(name, found)| (id(&name), found)).collect(),
            weights: weights.collect(),
            catalogs: catalogs.into_iter().map(|(name, (rows, fetched))| (name, LockedCatalog { rows: BlobId::from_bytes(rows), fetched })).collect(),
            stages: stages.into_iter().map(|(name, stage)| (id(&name), stage)).collect(),
        };
        let text = lock.write();
        prop_assert_eq!(Lock::read(&text), Ok(lock), "{}", text);
    }
}
