//! Tests of `fetch::https::spread`.

use super::super::Fetched;
use super::super::ranges::Ranges;
use super::super::server::{Answer, Request, Server};
use super::super::testing::{Bench, sha256};
use super::super::transfer::Digests;
use super::*;
use crate::key::BlobId;
use crate::spec::WeightsSource;

const TAG: &str = "\"one\"";

/// Six spans long.
fn content() -> Vec<u8> {
    (0..150_000_u32).flat_map(u32::to_le_bytes).collect()
}

/// Another state of the file, just as long.
fn other() -> Vec<u8> {
    content().iter().map(|byte| byte ^ 0xff).collect()
}

fn good(request: &Request) -> Answer {
    Answer::file(&content(), TAG, request).header("Accept-Ranges", "bytes")
}

async fn fetch(bench: &Bench, server: &Server, sha256: Option<&str>) -> Result<Fetched, FetchError> {
    bench.fetch(&WeightsSource::Https(server.url("/a.gguf")), sha256).await
}

/// Checks that the file is complete and nothing of the work is left; gives the ranges that were asked for after the first
/// request, in their order.
async fn check(bench: &Bench, server: &Server) -> Vec<String> {
    let fetched = fetch(bench, server, None).await.unwrap();
    is_complete(bench, &fetched);
    let mut ranges: Vec<String> = server.ranges().into_iter().flatten().collect();
    ranges.sort();
    ranges
}

fn is_complete(bench: &Bench, fetched: &Fetched) {
    let content = content();
    assert_eq!(fs_err::read(bench.partial()).unwrap(), content);
    assert_eq!((fetched.bytes, &fetched.sha256), (content.len() as u64, &sha256(&content)));
    assert_eq!(fetched.blake3, BlobId::of(&content));
    assert_eq!(bench.left(), ["it", "it.lock"]);
    assert_eq!(bench.counted(), (content.len() as u64, content.len() as u64));
}

#[tokio::test]
async fn a_file_comes_over_several_connections() {
    let (bench, server) = (Bench::new(), Server::start(|_, request| good(request)).await);
    let ranges = check(&bench, &server).await;
    assert!(ranges.len() >= 5, "{ranges:?}");
    // The first answer goes on until the first span is here; the others begin where one ends.
    let ends: Vec<&str> = ranges.iter().map(|range| range.split_once('-').unwrap().1).collect();
    assert!(ends.contains(&"599999"), "{ranges:?}");
    assert!(server.requests()[1..].iter().all(|request| request.header("if-range") == Some(TAG)));
    assert!(bench.notes().is_empty(), "{:?}", bench.notes());
}

#[tokio::test]
async fn only_parts_of_known_bytes_are_put_together() {
    type Change = fn(Answer) -> Answer;
    let one_connection: [Change; 4] = [
        |answer| answer.without("Accept-Ranges"),
        |answer| answer.header("Accept-Ranges", "none"),
        |answer| answer.header("ETag", "W/\"one\""),
        |answer| answer.without("ETag").header("Last-Modified", "Wed, 21 Oct 2015 07:28:00 GMT"),
    ];
    for change in one_connection {
        let (bench, server) = (Bench::new(), Server::start(move |_, request| change(good(request))).await);
        assert!(check(&bench, &server).await.is_empty());
    }
    // A digest tells them apart too.
    let (bench, server) = (Bench::new(), Server::start(|_, request| good(request).without("ETag")).await);
    let fetched = fetch(&bench, &server, Some(&sha256(&content()))).await.unwrap();
    is_complete(&bench, &fetched);
    assert!(server.requests().len() > 3);
    assert!(server.requests().iter().all(|request| request.header("if-range").is_none()));

    let (bench, server) = (
        Bench::new(),
        Server::start(|number, request| {
            let content = if number == 0 { content() } else { other() };
            Answer::file(&content, TAG, request).without("ETag").header("Accept-Ranges", "bytes")
        })
        .await,
    );
    let error = fetch(&bench, &server, Some(&sha256(&content()))).await.unwrap_err();
    assert!(matches!(error, FetchError::WrongDigest { .. }), "{error}");
    assert_eq!(bench.left(), ["it.lock"]);
}

#[tokio::test]
async fn a_file_that_is_swapped_between_spans_starts_over() {
    // A server that holds the spans against the tag, and three that do not.
    let answers: [fn(usize, &Request) -> Answer; 4] = [
        |_, request| Answer::file(&content(), TAG, request),
        |_, request| {
            let mut unconditional = request.clone();
            unconditional.headers.remove("if-range");
            Answer::file(&content(), TAG, &unconditional)
        },
        |_, request| match request.header("range") {
            Some(_) => Answer::file(&content(), "\"old\"", request).header("Content-Range", "bytes 7-9/600000"),
            None => good(request),
        },
        |_, request| match request.header("range") {
            Some(_) => Answer::file(&content(), "\"old\"", request).header("Content-Range", "bytes 0-9/700000"),
            None => good(request),
        },
    ];
    for (at, answer) in answers.into_iter().enumerate() {
        let server = Server::start(move |number, request| {
            if number == 0 {
                Answer::file(&other(), "\"old\"", request).header("Accept-Ranges", "bytes")
            } else {
                answer(number, request)
            }
        })
        .await;
        let bench = Bench::new();
        check(&bench, &server).await;
        let notes = bench.notes();
        assert!(notes.iter().any(|note| note.starts_with("starting over: ")), "{at}: {notes:?}");
    }
}

#[tokio::test]
async fn a_server_that_only_says_that_it_sends_parts_is_asked_for_all() {
    let whole = |_, _: &Request| Answer::new(200, &content()).header("ETag", TAG).header("Accept-Ranges", "bytes");
    let (bench, server) = (Bench::new(), Server::start(whole).await);
    check(&bench, &server).await;
    assert!(bench.notes().contains(&"starting over: the server sends the file from its beginning".to_owned()));
    assert!(server.requests().len() <= 6, "{}", server.requests().len());
}

#[tokio::test]
async fn each_span_goes_on_where_it_broke() {
    let answer = |number, request: &Request| match number {
        0 => good(request).cut(70_000),
        1 => good(request).cut(30_000),
        2 => good(request).stall(50_000),
        3 => Answer::new(500, b""),
        _ => good(request),
    };
    let mut bench = Bench::new();
    bench.manner.patience.stall = Duration::from_secs(1);
    let server = Server::start(answer).await;
    check(&bench, &server).await;
    let notes = bench.notes();
    assert!(notes.iter().any(|note| note.starts_with("no data came for 1 s")), "{notes:?}");
    assert!(notes.iter().any(|note| note.starts_with("the connection closed after")), "{notes:?}");
}

#[tokio::test]
async fn a_server_that_wants_fewer_connections_gets_fewer() {
    let answer = |number, request: &Request| match number {
        1 | 2 => Answer::new(429, b"").header("Retry-After", "3600"),
        _ => good(request),
    };
    let (bench, server) = (Bench::new(), Server::start(answer).await);
    check(&bench, &server).await;
    let url = server.url("/a.gguf");
    let refused = format!("`{url}` answered 429: there were too many requests; going on over");
    assert_eq!(bench.notes(), [format!("{refused} 2 connections"), format!("{refused} 1 connection")]);
}

#[tokio::test]
async fn another_process_goes_on_with_each_span() {
    let mut bench = Bench::new();
    bench.manner.patience.retries = 0;
    // All that is asked for comes, but for the end of the file.
    let answer = |number, request: &Request| match request.header("range") {
        Some(range) if number < 100 && range.ends_with("-599999") => Answer::new(403, b""),
        _ => good(request),
    };
    let server = Server::start(answer).await;
    let error = fetch(&bench, &server, None).await.unwrap_err();
    assert!(matches!(error, FetchError::Http { status: 403, .. }), "{error}");
    assert_eq!(bench.left(), ["it", "it.lock", "it.parts"]);
    let (here, total) = super::super::progress(&bench.partial());
    assert!(here > 0 && total == Some(600_000), "{here}");

    let server_2 = Server::start(|_, request| good(request)).await;
    let note = bench.path("cache/partial/it.parts");
    let text = fs_err::read_to_string(&note).unwrap().replace(&server.url(""), &server_2.url(""));
    fs_err::write(&note, text).unwrap();
    check(&bench, &server_2).await;
    let bytes = |range: &str| {
        let (start, last) = range.trim_start_matches("bytes=").split_once('-').unwrap();
        last.parse::<u64>().unwrap() + 1 - start.parse::<u64>().unwrap()
    };
    let asked: u64 = server_2.ranges().iter().map(|range| bytes(range.as_deref().unwrap())).sum();
    assert_eq!(asked, 600_000 - here);
    assert!(bench.notes().contains(&format!("going on after {}", Size(here))), "{:?}", bench.notes());
}

#[tokio::test]
async fn a_note_that_cannot_be_right_is_not_believed() {
    let leave = |bench: &Bench, server: &Server, note: serde_json::Value| {
        fs_err::create_dir_all(bench.path("cache/partial")).unwrap();
        fs_err::write(bench.partial(), vec![9; 1000]).unwrap();
        let text = note.to_string().replace("URL", &server.url("/a.gguf"));
        fs_err::write(bench.path("cache/partial/it.parts"), text).unwrap();
    };
    let note = |url: &str, tag: Option<&str>, total: u64, here: &[(u64, u64)]| {
        let meta = serde_json::json!({ "url": url, "etag": tag, "last_modified": null, "total": total });
        serde_json::json!({ "meta": meta, "sha256": null, "here": here })
    };
    for wrong in [
        note("http://127.0.0.1/x", Some(TAG), 600_000, &[(0, 1000)]),
        note("URL", None, 600_000, &[(0, 1000)]),
        note("URL", Some(TAG), 600_000, &[(0, 1001)]),
        note("URL", Some(TAG), 600_000, &[(5, 10), (0, 3)]),
        note("URL", Some(TAG), 100, &[(0, 1000)]),
        note("URL", Some("\"two\""), 600_000, &[(0, 1000)]),
        note("URL", Some(TAG), 600_001, &[(0, 1000)]),
        serde_json::json!({}),
    ] {
        let (bench, server) = (Bench::new(), Server::start(|_, request| good(request)).await);
        leave(&bench, &server, wrong);
        check(&bench, &server).await;
    }
}

#[tokio::test]
async fn what_has_no_room_is_not_begun() {
    let mut bench = Bench::new();
    bench.manner.room = |_| Some(599_999);
    let server = Server::start(|_, request| good(request)).await;
    let error = fetch(&bench, &server, None).await.unwrap_err();
    let expected =
        format!("`{}` has 600.0 kB free, and 600.0 kB are still to come", bench.partial().parent().unwrap().display());
    assert_eq!(error.to_string(), expected);
    assert_eq!(bench.left(), ["it.lock"]);
    bench.manner.room = |_| Some(600_000);
    check(&bench, &server).await;
}

/// Downloads with credentials.
async fn with_token(bench: &Bench, server: &Server) -> Result<Digests, FetchError> {
    let url = server.url("/a.gguf");
    let remote = Remote { url, bearer: Some(Secret::new("hunter2".to_owned())), sha256: None };
    let place = Place::acquire(&bench.partial(), bench.watch()).await.unwrap();
    download(&remote, &place, bench.watch(), &bench.manner).await
}

#[tokio::test]
async fn credentials_are_for_one_server() {
    let files = Server::start(|_, request| good(request)).await;
    let elsewhere = files.url("/blob?signature=1");
    let hub = Server::start(move |_, request| match request.header("authorization") {
        Some("Bearer hunter2") => Answer::new(302, b"").header("Location", &elsewhere),
        _ => Answer::new(401, b""),
    })
    .await;
    let bench = Bench::new();
    assert_eq!(with_token(&bench, &hub).await.unwrap().sha256, sha256(&content()));
    // The server behind the redirect is another one, by its port.
    assert!(files.requests().len() > 3);
    assert!(files.requests().iter().all(|request| request.header("authorization").is_none()));

    let bench = Bench::new();
    let refusing = Server::start(|_, _| Answer::new(403, b"")).await;
    let error = with_token(&bench, &refusing).await.unwrap_err();
    assert!(!format!("{error}{error:?}").contains("hunter2"), "{error:?}");
}

#[test]
fn a_note_lists_what_is_on_disk() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("it");
    let mut partial = Partial::open(&path, "u", None).unwrap();
    let meta = Meta { url: "u".to_owned(), etag: Some(TAG.to_owned()), last_modified: None, total: Some(10) };
    partial.restart(meta).unwrap();
    partial.append(b"ab").unwrap();
    partial.scatter().unwrap();
    assert!(!directory.path().join("it.meta").exists());
    fs_err::write(&path, b"ab\0\0ef").unwrap();
    partial.add(4, 6);
    // Written, but not noted down yet: as good as not here for the next process.
    assert_eq!(super::super::progress(&path), (2, Some(10)));
    partial.save(partial.here().clone()).unwrap();
    drop(partial);
    let again = Partial::open(&path, "u", None).unwrap();
    let mut expected = Ranges::up_to(2);
    expected.insert(4, 6);
    assert_eq!((again.here(), again.is_scattered()), (&expected, true));
    // A later restart leaves no note of parts under which other bytes would lie.
    let mut again = again;
    again.restart(Meta::default()).unwrap();
    assert!(!directory.path().join("it.parts").exists());
}
