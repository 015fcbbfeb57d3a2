//! Which rows are found again, and that what is taken is what belongs to them.

use proptest::prelude::*;

use super::*;
use crate::key::{Key, Recipe};
use crate::store::Receipt;

/// A look ahead that small tables go beyond.
const NEAR: u64 = 4;

struct Shelf {
    _directory: tempfile::TempDir,
    store: Store,
}

fn shelf() -> Shelf {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    Shelf { _directory: directory, store }
}

/// What a row comes to: one line or two, a call for each, and now and then something wrong.
fn share(row: &str) -> (String, Vec<u8>, Share) {
    let number: u64 = row.bytes().map(u64::from).sum();
    let lines = 1 + number % 2;
    let text: String = (0..lines).map(|line| format!("{line} of {row}\n")).collect();
    let call = |line: u64| *Recipe::new("call", 1, serde_json::json!([row, line])).key().as_bytes();
    let state = match number % 5 {
        0 => State::Ungraded,
        1 => State::Failed,
        _ => State::Whole,
    };
    let cost = Cost { engine_ms: number, prompt_tokens: 2 * number, completion_tokens: 3, unanswered: 0 };
    let share = Share { bytes: text.len() as u64, lines, calls: lines, state, cost };
    (text, (0..lines).flat_map(call).collect(), share)
}

fn text(rows: &[String]) -> String {
    rows.iter().map(|row| format!("{row}\n")).collect()
}

impl Shelf {
    fn earlier(&self, old: &[String], new: Option<u64>) -> Earlier {
        let (mut output, mut calls, mut shares) = (String::new(), Vec::new(), Vec::new());
        for row in old {
            let (text, keys, share) = share(row);
            output += &text;
            calls.extend(keys);
            share.write(&mut shares);
        }
        let table = self.store.put(text(old).as_bytes()).unwrap();
        let receipt = Receipt {
            key: Key::of_canonical("{}"),
            kind: "infer".to_owned(),
            output: self.store.put(output.as_bytes()).unwrap(),
            also: Vec::new(),
            read: Vec::new(),
            calls: Some(self.store.put(&calls).unwrap()),
            rows: None,
            summary: None,
            tally: Tally::default(),
            created_at: 0,
        };
        let shares = self.store.put(&shares).unwrap();
        let earlier = store::Earlier { recipe: serde_json::Value::Null, receipt, shares, taken: old.len() as u64 };
        let mut earlier = Earlier::open(&self.store, &earlier, &table, new).unwrap();
        earlier.ahead = NEAR;
        earlier
    }
}

/// Sorts `new` in batches and checks all that is taken; gives the rows that are not.
fn sort(earlier: &mut Earlier, new: &[String], batch: usize) -> Vec<String> {
    let mut left = Vec::new();
    let mut rows = new.iter();
    for given in new.chunks(batch).flat_map(|batch| earlier.sort(batch.to_vec())) {
        match given {
            Given::Row(row) => {
                assert_eq!(Some(&row), rows.next());
                left.push(row);
            }
            Given::Taken(Taken { shares, text, calls, tally }) => {
                assert!(!shares.is_empty());
                let (mut expected_text, mut expected_calls, mut expected) = (String::new(), Vec::new(), Vec::new());
                let mut expected_tally = Tally::default();
                for _ in &shares {
                    let (text, keys, share) = share(rows.next().unwrap());
                    assert_ne!(share.state, State::Failed);
                    expected_text += &text;
                    expected_calls.extend(keys);
                    share.count(&mut expected_tally);
                    expected.push(share);
                }
                assert_eq!(shares, expected);
                assert_eq!((text, calls), (expected_text.into_bytes(), expected_calls));
                assert_eq!(tally, expected_tally);
            }
        }
    }
    assert_eq!(rows.next(), None);
    left
}

proptest! {
    // Each case makes a store of its own.
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_taken_is_what_belongs_to_the_row(
        old in prop::collection::vec("[a-z]{0,2}", 0..30),
        new in prop::collection::vec("[a-z]{0,2}", 0..30),
        batch in 1..9_usize,
        is_known in any::<bool>(),
    ) {
        let shelf = shelf();
        let known = is_known.then_some(new.len() as u64);
        sort(&mut shelf.earlier(&old, known), &new, batch);
    }
}

/// Rows that can be taken, by number.
fn rows(numbers: impl Iterator<Item = u64>) -> Vec<String> {
    numbers.map(|number| format!("row {number}")).map(good).collect()
}

fn good(row: String) -> String {
    let mut row = row;
    while share(&row).2.state == State::Failed {
        row.push('+');
    }
    row
}

/// How many of the rows of `new` that `old` has are not found.
#[track_caller]
fn check(old: Vec<String>, new: Vec<String>, lost: usize) {
    let shelf = shelf();
    let left = sort(&mut shelf.earlier(&old, Some(new.len() as u64)), &new, 3);
    assert_eq!(left.iter().filter(|row| old.contains(row)).count(), lost);
}

#[test]
fn rows_are_found_again_behind_what_was_edited() {
    let old = || rows(0..100);
    let with = |change: &dyn Fn(&mut Vec<String>)| {
        let mut new = old();
        change(&mut new);
        new
    };
    check(old(), old(), 0);
    check(old(), with(&|new| new[50] = "edited".to_owned()), 0);
    check(old(), with(&|new| new.iter_mut().step_by(3).for_each(|row| row.push('!'))), 0);
    check(old(), with(&|new| new.extend(rows(200..250))), 0);
    check(old(), with(&|new| new.truncate(60)), 0);
    // Put in: any number.
    check(old(), with(&|new| drop(new.splice(20..20, rows(200..203)))), 0);
    check(old(), with(&|new| drop(new.splice(20..20, rows(200..260)))), 0);
    // Taken out: a few at once; of more, so many rows are missed before the place is guessed from the end.
    check(old(), with(&|new| drop(new.drain(20..23))), 0);
    check(old(), with(&|new| drop(new.drain(20..60))), 5);
    check(old(), with(&|new| drop(new.splice(20..60, rows(200..240)))), 0);
    // Moved a little.
    check(old(), with(&|new| new.swap(20, 22)), 0);
    check(old(), with(&|new| new[20..24].reverse()), 0);
    check(vec![], old(), 0);
    check(old(), vec![], 0);
}

#[test]
fn flawed_rows_go_the_ordinary_way() {
    let failed: Vec<String> =
        (0..40).map(|n| format!("{n}")).filter(|row| share(row).2.state == State::Failed).collect();
    assert!(!failed.is_empty());
    let shelf = shelf();
    assert_eq!(sort(&mut shelf.earlier(&failed, None), &failed, 7), failed);
}

#[test]
fn what_ends_early_is_not_taken_from() {
    let old = rows(0..3000);
    for part in 0..3 {
        let shelf = shelf();
        let mut earlier = shelf.earlier(&old, None);
        // Another list of shares, output or calls than the rows have: shorter than it should be.
        let short = shelf.earlier(&old[..1000], None);
        match part {
            0 => earlier.shares = short.shares,
            1 => earlier.output = short.output,
            _ => earlier.calls = short.calls,
        }
        assert_eq!(sort(&mut earlier, &old, 256), old[1000..]);
    }
}

#[test]
fn the_newest_result_with_most_of_the_rows_comes_first() {
    let check = |taken: &[u64], rows, expected: &[u64]| {
        assert_eq!(in_order(taken.to_vec(), rows, |taken| *taken), expected);
    };
    check(&[100, 99, 98], Some(100), &[100, 99, 98]);
    check(&[98, 99, 100], Some(100), &[98, 99, 100]);
    check(&[3, 100, 90, 5], Some(100), &[100, 90, 3, 5]);
    check(&[3, 100], Some(3), &[3, 100]);
    check(&[3, 100], None, &[100, 3]);
    check(&[], None, &[]);
}
