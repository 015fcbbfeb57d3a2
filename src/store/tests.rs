//! The store by itself: what is written is found again, what is damaged is a miss, and two users do not disturb each other.

use serde_json::json;

use super::*;
use crate::ids::StageId;
use crate::key::{BlobId, Recipe};

fn store() -> (tempfile::TempDir, Store) {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(&directory.path().join("cache")).unwrap();
    (directory, store)
}

fn recipe(n: u32) -> Recipe {
    Recipe::new("call", 1, json!({ "n": n }))
}

fn receipt(recipe: &Recipe, output: BlobId) -> Receipt {
    Receipt {
        key: recipe.key(),
        kind: "infer".to_owned(),
        output,
        also: vec![],
        read: Vec::new(),
        calls: None,
        rows: Some(1),
        summary: None,
        tally: Tally::default(),
        created_at: 5,
    }
}

#[test]
fn objects_read_back() {
    let (_directory, store) = store();
    let id = store.put(b"a\nb\n").unwrap();
    assert_eq!(id, BlobId::of(b"a\nb\n"));
    assert_eq!(store.read(&id).unwrap(), b"a\nb\n");
    let lines: Vec<String> = store.lines(&id).unwrap().map(Result::unwrap).collect();
    assert_eq!(lines, ["a", "b"]);
    let mut writer = store.writer().unwrap();
    writer.line("a").unwrap();
    writer.line("b").unwrap();
    assert_eq!(store.finish(writer).unwrap(), id);
}

#[test]
fn a_damaged_object_is_moved_aside_and_is_a_miss() {
    let (_directory, store) = store();
    let id = store.put(b"right").unwrap();
    fs_err::write(store.object_path(&id), b"wrong").unwrap();
    let Err(StoreError::Corrupt { aside, .. }) = store.read(&id) else { panic!("the damage is noticed") };
    assert_eq!(fs_err::read(aside).unwrap(), b"wrong");
    assert!(matches!(store.read(&id), Err(StoreError::Missing { .. })));
    assert_eq!(store.put(b"right").unwrap(), id);
    assert_eq!(store.read(&id).unwrap(), b"right");
}

#[test]
fn a_file_is_hashed_again_only_when_it_changed() {
    let (directory, store) = store();
    let path = directory.path().join("weights");
    fs_err::write(&path, b"one").unwrap();
    assert_eq!(store.file_id(&path).unwrap(), BlobId::of(b"one"));
    // A wrong memory shows that memory is used.
    store.remember(&path, &BlobId::of(b"remembered")).unwrap();
    assert_eq!(store.file_id(&path).unwrap(), BlobId::of(b"remembered"));
    fs_err::write(&path, b"three").unwrap();
    assert_eq!(store.file_id(&path).unwrap(), BlobId::of(b"three"));
}

#[tokio::test]
async fn the_first_reply_for_a_key_counts() {
    let (directory, store) = store();
    let other = Store::open(&directory.path().join("cache")).unwrap();
    assert_eq!(store.calls().unwrap().call(&recipe(1).key()).unwrap(), None);
    let first = store.put_call(recipe(1).key(), "\"first\"".to_owned(), Put::First, 1).await.unwrap();
    let second = other.put_call(recipe(1).key(), "\"second\"".to_owned(), Put::First, 2).await.unwrap();
    assert_eq!((first.reply.as_str(), second.reply.as_str()), ("\"first\"", "\"first\""));
    assert_eq!(other.calls().unwrap().call(&recipe(1).key()).unwrap(), Some(first));
    let made_at = |n| other.calls().unwrap().made_at(&recipe(n).key()).unwrap();
    assert_eq!((made_at(1), made_at(2)), (Some(1), None));
    let third = other.put_call(recipe(1).key(), "\"third\"".to_owned(), Put::Replace, 3).await.unwrap();
    assert_eq!(store.calls().unwrap().call(&recipe(1).key()).unwrap(), Some(third));
}

#[tokio::test(flavor = "multi_thread")]
async fn many_writers_lose_nothing() {
    let (directory, _store) = store();
    let mut tasks = tokio::task::JoinSet::new();
    for writer in 0..4u32 {
        let store = Store::open(&directory.path().join("cache")).unwrap();
        tasks.spawn(async move {
            let puts = (0..200).map(|n| store.put_call(recipe(n).key(), format!("{n} by {writer}"), Put::First, 0));
            futures_util::future::join_all(puts).await.into_iter().map(|put| put.unwrap().reply).collect::<Vec<_>>()
        });
    }
    let results = tasks.join_all().await;
    assert!(results.iter().all(|replies| *replies == results[0]), "everybody got the same replies");
}

#[test]
fn receipts_read_back_and_the_latest_recipe_is_known() {
    let (_directory, store) = store();
    let stage = StageId::new("answers").unwrap();
    let (one, two) = (recipe(1), recipe(2));
    assert_eq!(store.receipt(&one.key()).unwrap(), None);
    let first = receipt(&one, BlobId::of(b"x"));
    assert_eq!(store.put_receipt(&one, &first).unwrap(), first);
    assert_eq!(store.put_receipt(&one, &receipt(&one, BlobId::of(b"y"))).unwrap(), first, "the first one stays");
    store.put_receipt(&two, &receipt(&two, BlobId::of(b"z"))).unwrap();
    store.set_latest("p", &stage, &one).unwrap();
    store.set_latest("p", &stage, &two).unwrap();
    let (key, latest) = store.latest("p", &stage).unwrap().unwrap();
    assert_eq!((key, &latest["fields"]["n"]), (two.key(), &json!(2)));
    assert_eq!(store.latest("q", &stage).unwrap(), None);
    let maker = |kind, bytes: &[u8]| store.recipe_that_made(kind, &BlobId::of(bytes)).unwrap();
    assert_eq!(maker("infer", b"z").unwrap()["fields"]["n"], json!(2));
    assert_eq!((maker("judge", b"z"), maker("infer", b"y")), (None, None));
    store.drop_receipt(&one.key()).unwrap();
    assert_eq!(store.receipt(&one.key()).unwrap(), None);
}

#[test]
fn what_is_not_a_store_is_refused_with_a_way_on() {
    let check = |prepare: &dyn Fn(&Path), expected: &str, help: &str| {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("index.sqlite");
        prepare(&path);
        let error = Store::open(directory.path()).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
        assert!(error.help().contains(help), "{}", error.help());
    };
    check(&|path| fs_err::write(path, "no database at all, just some text").unwrap(), "damaged", "move `");
    let database = |sql: &'static str| move |path: &Path| Connection::open(path).unwrap().execute_batch(sql).unwrap();
    check(&database("CREATE TABLE t (x)"), "another program", "--cache");
    check(
        &|path| {
            Store::open(path.parent().unwrap()).unwrap();
            Connection::open(path).unwrap().execute_batch("PRAGMA user_version = 99").unwrap();
        },
        "format 99",
        "at least as new",
    );
    check(
        &|path| {
            Store::open(path.parent().unwrap()).unwrap();
            for ending in ["-wal", "-shm"] {
                fs_err::remove_file(path.with_file_name(format!("index.sqlite{ending}"))).ok();
            }
            let bytes = fs_err::read(path).unwrap();
            fs_err::write(path, &bytes[..bytes.len() / 2]).unwrap();
        },
        "damaged",
        "run again",
    );
}

#[test]
fn a_store_of_an_earlier_format_keeps_its_calls() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("index.sqlite");
    let old = Connection::open(&path).unwrap();
    old.execute_batch(
        "CREATE TABLE calls (key BLOB PRIMARY KEY, recipe TEXT NOT NULL, reply TEXT NOT NULL, created_at INTEGER NOT NULL)
             WITHOUT ROWID;
         CREATE TABLE receipts (key BLOB PRIMARY KEY, recipe TEXT NOT NULL, receipt TEXT NOT NULL,
             created_at INTEGER NOT NULL) WITHOUT ROWID;
         CREATE TABLE latest (pipeline TEXT NOT NULL, stage TEXT NOT NULL, key BLOB NOT NULL, recipe TEXT NOT NULL,
             PRIMARY KEY (pipeline, stage)) WITHOUT ROWID;
         CREATE TABLE files (path BLOB PRIMARY KEY, size INTEGER NOT NULL, modified_ns INTEGER NOT NULL,
             changed_ns INTEGER NOT NULL, inode INTEGER NOT NULL, id BLOB NOT NULL) WITHOUT ROWID;
         PRAGMA application_id = 0x65766c66;
         PRAGMA user_version = 1;",
    )
    .unwrap();
    let key = recipe(1).key();
    old.execute("INSERT INTO calls VALUES (?1, '{}', '\"kept\"', 7)", [key.as_bytes()]).unwrap();
    drop(old);
    for _ in 0..2 {
        let store = Store::open(directory.path()).unwrap();
        assert_eq!(store.calls().unwrap().call(&key).unwrap().unwrap().reply, "\"kept\"");
        assert_eq!(store.runs(None, 9).unwrap(), []);
        assert_eq!(store.earlier("p", &StageId::new("s").unwrap()).unwrap(), []);
    }
    // From format 2.
    Connection::open(&path).unwrap().execute_batch("DROP TABLE earlier; PRAGMA user_version = 2;").unwrap();
    let store = Store::open(directory.path()).unwrap();
    assert!(store.calls().unwrap().has(&key).unwrap());
    assert_eq!(store.earlier("p", &StageId::new("s").unwrap()).unwrap(), []);
}

#[test]
fn runs_are_kept_newest_first() {
    let (_directory, store) = store();
    let run = |pipeline: &str, started_at| RunRecord {
        wall_ms: 1,
        ended: RunEnded::Finished,
        outcome: Some("deploy".to_owned()),
        rate: Some(RunRate { point: Some(0.5), lo: 0.25, hi: 0.75, confidence: 0.95, n: 10 }),
        calls_made: 1,
        calls_cached: 2,
        saved_ms: 3,
        stages: vec![RunStage {
            id: StageId::new("s").unwrap(),
            status: "run".to_owned(),
            key: Some(recipe(1).key()),
            output: None,
        }],
        ..RunRecord::started(pipeline, started_at, Vec::new())
    };
    let ids: Vec<u64> = [run("a", 1), run("b", 2), run("a", 3)].iter().map(|run| store.put_run(run).unwrap()).collect();
    let found = |pipeline, limit| -> Vec<(u64, i64)> {
        store.runs(pipeline, limit).unwrap().iter().map(|run| (run.id, run.started_at)).collect()
    };
    assert_eq!(found(None, 9), [(ids[2], 3), (ids[1], 2), (ids[0], 1)]);
    assert_eq!(found(Some("a"), 9), [(ids[2], 3), (ids[0], 1)]);
    assert_eq!(found(Some("a"), 1), [(ids[2], 3)]);
    assert_eq!(store.runs(Some("a"), 1).unwrap(), [RunRecord { id: ids[2], ..run("a", 3) }]);
}

#[test]
fn speeds_add_up() {
    let (_directory, store) = store();
    let model = BlobId::of(b"identity");
    assert_eq!(store.speed(&model, "infer").unwrap(), None);
    let one = Speed { calls: 1, prompt_chars: 20, prompt_tokens: 5, completion_tokens: 3, busy_ms: 100 };
    store.add_speed(&model, "infer", &one).unwrap();
    store.add_speed(&model, "infer", &one).unwrap();
    store.add_speed(&model, "judge", &one).unwrap();
    let two = Speed { calls: 2, prompt_chars: 40, prompt_tokens: 10, completion_tokens: 6, busy_ms: 200 };
    assert_eq!(store.speed(&model, "infer").unwrap(), Some(two));
}

#[test]
fn many_use_a_store_and_one_alone_removes_from_it() {
    let (directory, first) = store();
    let path = directory.path().join("cache");
    let alone = || Store::open_alone(&path);
    let second = Store::open(&path).unwrap();
    drop(first);
    let error = alone().unwrap_err();
    assert!(error.to_string().contains("another evalflow is using the store"), "{error}");
    assert!(error.help().contains("wait until it has ended"), "{}", error.help());
    drop(second);
    let remover = alone().unwrap();
    assert!(matches!(alone(), Err(StoreError::InUse { .. })));
    drop(remover);
    Store::open(&path).unwrap();
}
