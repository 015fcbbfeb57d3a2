//! Archives come back as they were, and forged ones leave nothing behind.

use std::io::Read;

use tempfile::TempDir;

use super::*;
use crate::key::Recipe;
use crate::store::fixture::{call_key, calls_left, put_calls, put_result, recipe, results_left};
use crate::store::{Put, Store};

fn store() -> (TempDir, Store) {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(&directory.path().join("cache")).unwrap();
    (directory, store)
}

fn export(store: &Store, keys: &[Key], also: bool) -> Result<Vec<u8>, ArchiveError> {
    let mut bytes = Vec::new();
    store.export_archive(keys, b"the lock", also, "1.2.3", &mut bytes).map(|_| bytes)
}

/// Two results that share a call, and a call and a result that nobody asks for.
async fn two() -> (TempDir, Store, [Key; 2]) {
    let (directory, store) = store();
    let keys = [put_result(&store, 1, &[1, 2], 7).await, put_result(&store, 2, &[2, 3], 8).await];
    put_result(&store, 3, &[4], 9).await;
    (directory, store, keys)
}

#[tokio::test]
async fn an_archive_comes_back_as_it_was() {
    let (_one, from, keys) = two().await;
    let archive = export(&from, &keys, true).unwrap();
    assert_eq!(archive, export(&from, &[keys[1], keys[0], keys[1]], true).unwrap(), "the same bytes every time");

    let (_two, to) = store();
    let all = Imported { receipts: 2, new_receipts: 2, calls: 3, new_calls: 3, objects: 6, new_objects: 6, missing: 0 };
    assert_eq!(to.import_archive(archive.as_slice()).unwrap(), all);
    assert_eq!(results_left(&to, &keys), [true, true]);
    assert_eq!(calls_left(&to, 0..9), [1, 2, 3]);
    for key in &keys {
        assert_eq!(to.receipt(key).unwrap(), from.receipt(key).unwrap());
        assert_eq!(to.recipe(key).unwrap(), from.recipe(key).unwrap());
    }
    assert_eq!(export(&to, &keys, true).unwrap(), archive, "times of calls too");
    let again = Imported { new_receipts: 0, new_calls: 0, new_objects: 0, ..all };
    assert_eq!(to.import_archive(archive.as_slice()).unwrap(), again);
}

#[tokio::test]
async fn what_is_there_already_stays() {
    let (_one, from, keys) = two().await;
    let archive = export(&from, &keys, true).unwrap();
    let (_two, to) = store();
    to.put_call(call_key(1), "{\"mine\":1}".to_owned(), Put::First, 1).await.unwrap();
    put_result(&to, 2, &[], 99).await;
    let imported = to.import_archive(archive.as_slice()).unwrap();
    assert_eq!((imported.new_receipts, imported.new_calls, imported.new_objects), (1, 2, 4));
    assert_eq!(to.calls().unwrap().call(&call_key(1)).unwrap().unwrap().reply, "{\"mine\":1}");
    assert_eq!(to.receipt(&keys[1]).unwrap().unwrap().created_at, 99);
}

#[tokio::test]
async fn weights_may_stay_behind_and_what_is_missing_is_told() {
    let (_one, from, keys) = two().await;
    let (_two, to) = store();
    let imported = to.import_archive(export(&from, &keys, false).unwrap().as_slice()).unwrap();
    assert_eq!((imported.objects, imported.missing), (4, 2));
    assert!(to.receipt(&keys[0]).unwrap().is_some());

    let absent = recipe(9).key();
    assert!(matches!(export(&from, &[absent], true), Err(ArchiveError::NoReceipt { key }) if key == absent));
    let output = from.receipt(&keys[0]).unwrap().unwrap().output;
    fs_err::remove_file(from.object_path(&output)).unwrap();
    assert!(matches!(export(&from, &keys, true), Err(ArchiveError::Store(StoreError::Missing { id })) if id == output));
}

#[tokio::test]
async fn calls_that_are_gone_are_told() {
    let (_one, from, keys) = two().await;
    from.index().execute("DELETE FROM calls WHERE key = ?1", [call_key(2).as_bytes()]).unwrap();
    let mut archive = Vec::new();
    let exported = from.export_archive(&keys, b"", true, "", &mut archive).unwrap();
    assert_eq!(exported, Exported { receipts: 2, calls: 2, objects: 6, without_calls: 2 });
    let (_two, to) = store();
    to.import_archive(archive.as_slice()).unwrap();
    assert_eq!(calls_left(&to, 0..9), [1, 3]);
}

/// A file of an archive, as a forger sees it.
#[derive(Clone)]
struct Part {
    name: String,
    bytes: Vec<u8>,
    kind: tar::EntryType,
    size: Option<u64>,
}

impl Part {
    fn text(&self) -> String {
        String::from_utf8(self.bytes.clone()).unwrap()
    }
}

fn unpack(archive: &[u8]) -> Vec<Part> {
    let mut tar = tar::Archive::new(zstd::Decoder::new(archive).unwrap());
    let part = |entry: io::Result<tar::Entry<'_, _>>| {
        let mut entry: tar::Entry<'_, zstd::Decoder<'_, io::BufReader<&[u8]>>> = entry.unwrap();
        let name = String::from_utf8(entry.path_bytes().into_owned()).unwrap();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        Part { name, bytes, kind: tar::EntryType::Regular, size: None }
    };
    tar.entries().unwrap().map(part).collect()
}

fn pack(parts: &[Part]) -> Vec<u8> {
    let mut tar = tar::Builder::new(zstd::Encoder::new(Vec::new(), 0).unwrap());
    for Part { name, bytes, kind, size } in parts {
        let mut header = tar::Header::new_ustar();
        // Written by hand, since the library refuses names that a forger would choose.
        header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
        if *kind != tar::EntryType::Regular {
            header.set_link_name("/etc/passwd").unwrap();
        }
        header.set_size(size.unwrap_or(bytes.len() as u64));
        header.set_entry_type(*kind);
        header.set_cksum();
        tar.append(&header, bytes.as_slice()).unwrap();
    }
    tar.into_inner().unwrap().finish().unwrap()
}

fn files(directory: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in fs_err::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

/// Imports what a forger made, and sees that it is refused for this reason and leaves no trace.
fn check_refused(archive: &[u8], expected: &str) {
    let (directory, to) = store();
    let before = files(directory.path());
    let error = to.import_archive(archive).unwrap_err();
    assert!(error.to_string().contains(expected), "{expected:?} in {error}");
    assert!(!error.help().is_empty());
    let rows = |table: &str| -> i64 {
        to.index().query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
    };
    assert_eq!((rows("receipts"), rows("calls")), (0, 0), "{error}");
    assert_eq!(files(directory.path()), before, "{error}");
    let left = fs_err::read_dir(directory.path().join("cache/partial")).unwrap().count();
    assert_eq!(left, 0, "{error}");
}

#[tokio::test]
async fn a_forged_archive_is_refused_and_leaves_nothing() {
    let (_one, from, keys) = two().await;
    let parts = unpack(&export(&from, &keys, true).unwrap());
    let names: Vec<&str> = parts.iter().map(|part| part.name.as_str()).collect();
    assert_eq!(names[..4], ["baseline.json", "lock", "receipts.jsonl", "calls.jsonl"]);
    assert!(names[4..].is_sorted());
    let (_two, to) = store();
    to.import_archive(pack(&parts).as_slice()).unwrap();

    let check = |forge: &dyn Fn(&mut Vec<Part>), expected: &str| {
        let mut forged = parts.clone();
        forge(&mut forged);
        check_refused(&pack(&forged), expected);
    };
    for name in ["/etc/passwd", "../../outside", "objects/../../x", "objects/", "objects/AB", "extra", "baseline.json"]
    {
        check(&|parts| parts[5].name = name.to_owned(), "it is not the name of an object");
        check(&|parts| parts[1].name = name.to_owned(), "`lock` should be in its place");
    }
    for kind in [
        tar::EntryType::Symlink,
        tar::EntryType::Link,
        tar::EntryType::Directory,
        tar::EntryType::Fifo,
        tar::EntryType::GNULongName,
        tar::EntryType::XHeader,
        tar::EntryType::GNUSparse,
    ] {
        for at in [0, 4] {
            check(&|parts| parts[at].kind = kind, "it is not a plain file");
        }
    }
    // More than there is, on the last entry and elsewhere.
    check(&|parts| parts.last_mut().unwrap().size = Some(1 << 60), "its bytes are not what its name says");
    check(&|parts| parts[0].size = Some(u64::MAX >> 1), "");
    check(&|parts| parts[1].size = Some(1 << 40), "it is too large");
    check(&|parts| parts[4].bytes[0] ^= 1, "its bytes are not what its name says");
    check(&|parts| parts.push(parts[4].clone()), "it comes twice");
    check(&|parts| drop(parts.remove(4)), "something is missing");
    check(&|parts| parts.truncate(3), "something is missing");
    check(&|parts| parts.clear(), "it is empty");
    check(&|parts| parts[0].bytes = b"{}".to_vec(), "it names no format");
    check(&|parts| parts[0].bytes = br#"{"format":99,"new":1}"#.to_vec(), "the archive has format 99");
    check(&|parts| parts[0].bytes = vec![b' '; 1 << 20], "baseline.json");
    check(
        &|parts| parts[2].bytes = parts[2].text().replace("\\\"n\\\":1", "\\\"n\\\":5").into(),
        "not that of its recipe",
    );
    check(
        &|parts| parts[2].bytes = parts[2].text().replace("\"kind\":\"infer\"", "\"kind\":\"judge\"").into(),
        "another kind",
    );
    check(&|parts| parts[2].bytes = b"nonsense\n".to_vec(), "receipts.jsonl: expected");
    check(&|parts| assert_eq!(parts[2].bytes.pop(), Some(b'\n')), "a line has no end");
    check(&|parts| parts[3].bytes = parts[3].text().replace("{\\\"n\\\":1}", "{").into(), "calls.jsonl: EOF");
    check(&|parts| parts[3].bytes = parts[3].text().replace("{\\\"n\\\":1}", "5").into(), "is none");
    check(&|parts| parts[3].bytes = parts[3].text().repeat(2).into(), "comes twice");
    let other = Recipe::new("call", 1, serde_json::json!("other")).key().to_string();
    let first = call_key(1).to_string();
    check(&|parts| parts[3].bytes = parts[3].text().replace(&first, &other).into(), "no result rests on one of them");
    check(
        &|parts| {
            parts[4].name = format!("objects/{}", BlobId::of(b"poison"));
            parts[4].bytes = b"poison".to_vec();
        },
        "no result names it",
    );
}

#[tokio::test]
async fn a_cut_or_changed_archive_is_refused_wherever_it_is_cut() {
    let (_one, from, keys) = two().await;
    let archive = export(&from, &keys, true).unwrap();
    for length in (0..archive.len()).step_by(97).chain([archive.len() - 1]) {
        check_refused(&archive[..length], "");
    }
    let mut changed = archive.clone();
    let last = changed.len() - 1;
    changed[last] ^= 1;
    check_refused(&changed, "the archive is not what");
    check_refused(b"PK not zstd at all, but some other file", "");
}

#[tokio::test]
async fn a_list_of_calls_that_is_none_is_refused() {
    let (_one, from) = store();
    let key = put_result(&from, 1, &[1], 7).await;
    let receipt = from.receipt(&key).unwrap().unwrap();
    let list = from.put(b"33 bytes that are no list of keys").unwrap();
    from.replace_receipt(&recipe(1), &Receipt { calls: Some(list), ..receipt }).unwrap();
    put_calls(&from, &[1]).await;
    check_refused(&export(&from, &[key], true).unwrap(), "it is no list of calls");
}
