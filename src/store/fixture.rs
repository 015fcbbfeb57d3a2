//! Results for tests: each with an output, a file besides and a list of the calls it rests on.

use serde_json::json;

use super::{Put, Receipt, Store, Tally};
use crate::key::{BlobId, Key, Recipe};

pub(super) fn call_key(n: u8) -> Key {
    Recipe::new("call", 1, json!({ "n": n })).key()
}

/// Keeps these calls and a list of them.
pub(super) async fn put_calls(store: &Store, calls: &[u8]) -> BlobId {
    let mut list = Vec::new();
    for n in calls {
        store.put_call(call_key(*n), format!("{{\"n\":{n}}}"), Put::First, 0).await.unwrap();
        list.extend(call_key(*n).as_bytes());
    }
    store.put(&list).unwrap()
}

pub(super) fn recipe(n: u8) -> Recipe {
    Recipe::new("infer", 1, json!({ "n": n }))
}

/// A result number `n` that rests on these calls.
pub(super) async fn put_result(store: &Store, n: u8, calls: &[u8], created_at: i64) -> Key {
    let recipe = recipe(n);
    let receipt = Receipt {
        key: recipe.key(),
        kind: "infer".to_owned(),
        output: store.put(format!("output {n}").as_bytes()).unwrap(),
        also: vec![store.put(format!("also {n}").as_bytes()).unwrap()],
        read: Vec::new(),
        calls: Some(put_calls(store, calls).await),
        rows: Some(1),
        summary: None,
        tally: Tally { calls_made: calls.len() as u64, ..Tally::default() },
        created_at,
    };
    store.put_receipt(&recipe, &receipt).unwrap();
    recipe.key()
}

/// Which of these results are there, all of them whole.
pub(super) fn results_left(store: &Store, keys: &[Key]) -> Vec<bool> {
    let is_whole = |key: &Key| match store.receipt(key).unwrap() {
        None => false,
        Some(receipt) => {
            let blobs = std::iter::once(receipt.output).chain(receipt.also).chain(receipt.calls);
            assert!(blobs.into_iter().all(|id| store.has(&id).unwrap()), "a receipt has its blobs");
            true
        }
    };
    keys.iter().map(is_whole).collect()
}

pub(super) fn calls_left(store: &Store, calls: std::ops::Range<u8>) -> Vec<u8> {
    let reader = store.calls().unwrap();
    calls.filter(|n| reader.has(&call_key(*n)).unwrap()).collect()
}
