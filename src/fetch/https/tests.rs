//! Tests of `fetch::https`.

use super::super::server::{Answer, Request, Server};
use reqwest::header::HeaderMap;

use super::super::testing::{Bench, sha256};
use super::address::{check_url, is_untrusted};
use super::headers::retry_after;
use super::*;
use crate::key::BlobId;
use crate::spec::WeightsSource;

/// Larger than the pieces in which files are written.
fn content() -> Vec<u8> {
    (0..150_000_u32).flat_map(u32::to_le_bytes).collect()
}

const TAG: &str = "\"one\"";

/// A project that fetches over one connection.
fn over_one() -> Bench {
    let mut bench = Bench::new();
    bench.manner.spread.connections = 1;
    bench
}

fn good(request: &Request) -> Answer {
    Answer::file(&content(), TAG, request)
}

async fn fetch(bench: &Bench, server: &Server) -> Result<super::super::Fetched, FetchError> {
    bench.fetch(&WeightsSource::Https(server.url("/a.gguf")), None).await
}

/// Checks that the file is complete, and how often it was asked for with which ranges.
async fn check(bench: &Bench, server: &Server, ranges: &[Option<usize>]) {
    let fetched = fetch(bench, server).await.unwrap();
    let content = content();
    assert_eq!(fs_err::read(bench.partial()).unwrap(), content);
    assert_eq!(fetched.bytes, content.len() as u64);
    assert_eq!(fetched.sha256, sha256(&content));
    assert_eq!(fetched.blake3, BlobId::of(&content));
    let ranges: Vec<_> = ranges.iter().map(|start| start.map(|start| format!("bytes={start}-"))).collect();
    assert_eq!(server.ranges(), ranges);
    assert_eq!(bench.left(), ["it", "it.lock"]);
    assert_eq!(bench.counted().1, content.len() as u64);
}

/// Checks the error, where `URL` stands for the server's address.
async fn check_error(
    answer: impl Fn(usize, &Request) -> Answer + Send + Sync + 'static,
    requests: usize,
    expected: &str,
) {
    let server = Server::start(answer).await;
    let error = fetch(&over_one(), &server).await.unwrap_err();
    assert_eq!(error.to_string(), expected.replace("URL", &server.url("/a.gguf")));
    assert_eq!(server.requests().len(), requests);
    assert!(error.help().is_some());
}

#[tokio::test]
async fn a_file_is_downloaded() {
    let (bench, server) = (over_one(), Server::start(|_, request| good(request)).await);
    check(&bench, &server, &[None]).await;
    assert_eq!(bench.counted().0, content().len() as u64);
    let request = &server.requests()[0];
    assert_eq!(request.header("user-agent"), Some(concat!("evalflow/", env!("CARGO_PKG_VERSION"))));
    assert_eq!(request.header("accept-encoding"), Some("identity"));
    assert!(bench.notes().is_empty());
}

#[tokio::test]
async fn a_file_of_unknown_length_is_downloaded() {
    let (bench, server) = (over_one(), Server::start(|_, request| good(request).chunked()).await);
    check(&bench, &server, &[None]).await;
    assert_eq!(bench.counted().0, 0);
}

#[tokio::test]
async fn a_broken_connection_goes_on_where_it_broke() {
    let answer = |number, request: &Request| match number {
        0 => good(request).cut(400_000),
        // Nothing new twice, then some more: the tries are counted anew.
        1 | 2 => good(request).cut(0),
        3 => good(request).cut(100),
        4..=5 => Answer::new(503, b""),
        _ => good(request),
    };
    let (bench, server) = (over_one(), Server::start(answer).await);
    let (first, then) = (Some(400_000), Some(400_100));
    check(&bench, &server, &[None, first, first, first, then, then, then]).await;
    assert_eq!(server.requests()[1].header("if-range"), Some(TAG));
    let expected =
        format!("the connection closed after 400.0 kB of 600.0 kB: `{}`; trying again (1 of 3)", server.url("/a.gguf"));
    assert_eq!(bench.notes()[0], expected);
}

#[tokio::test]
async fn another_process_goes_on() {
    let mut bench = over_one();
    bench.manner.patience.retries = 0;
    let answer = |number, request: &Request| if number == 0 { good(request).cut(500_000) } else { good(request) };
    let server = Server::start(answer).await;
    let error = fetch(&bench, &server).await.unwrap_err();
    assert!(matches!(error, FetchError::Truncated { received: 500_000, expected: Some(600_000), .. }), "{error}");
    assert_eq!(bench.left(), ["it", "it.lock", "it.meta"]);
    let note = fs_err::read_to_string(bench.path("cache/partial/it.meta")).unwrap();
    assert_eq!(
        serde_json::from_str::<serde_json::Value>(&note).unwrap(),
        serde_json::json!({ "url": server.url("/a.gguf"), "etag": TAG, "last_modified": null, "total": 600_000 })
    );
    check(&bench, &server, &[None, Some(500_000)]).await;
    assert_eq!(bench.notes(), ["going on after 500.0 kB"]);
}

/// Leaves `bytes` of the file and a note as another process would have.
fn leave(bench: &Bench, server: &Server, bytes: &[u8], meta: impl FnOnce(&mut Meta)) {
    let url = server.url("/a.gguf");
    let mut left = Meta { url, etag: Some(TAG.to_owned()), last_modified: None, total: Some(content().len() as u64) };
    meta(&mut left);
    fs_err::create_dir_all(bench.path("cache/partial")).unwrap();
    fs_err::write(bench.partial(), bytes).unwrap();
    fs_err::write(bench.path("cache/partial/it.meta"), serde_json::to_vec(&left).unwrap()).unwrap();
}

#[tokio::test]
async fn what_cannot_be_trusted_is_not_added_to() {
    type Change = fn(&mut Meta);
    let changes: [Change; 4] = [
        |meta| meta.url += "x",
        |meta| meta.etag = None,
        |meta| meta.etag = Some("W/\"one\"".to_owned()),
        |meta| meta.total = Some(10),
    ];
    for change in changes {
        let (bench, server) = (over_one(), Server::start(|_, request| good(request)).await);
        leave(&bench, &server, &content()[..1000], change);
        check(&bench, &server, &[None]).await;
    }
    let (bench, server) = (over_one(), Server::start(|_, request| good(request)).await);
    leave(&bench, &server, &content()[..1000], |_| {});
    fs_err::write(bench.path("cache/partial/it.meta"), "{").unwrap();
    check(&bench, &server, &[None]).await;
}

#[tokio::test]
async fn a_date_will_do_where_there_is_no_tag() {
    let date = "Wed, 21 Oct 2015 07:28:00 GMT";
    let (bench, server) = (
        over_one(),
        Server::start(move |_, request| {
            Answer::file(&content(), date, request).without("ETag").header("Last-Modified", date)
        })
        .await,
    );
    leave(&bench, &server, &content()[..1000], |meta| {
        (meta.etag, meta.last_modified) = (Some("W/\"weak\"".to_owned()), Some(date.to_owned()));
    });
    check(&bench, &server, &[Some(1000)]).await;
    assert_eq!(server.requests()[0].header("if-range"), Some(date));
}

#[tokio::test]
async fn a_file_that_was_swapped_is_downloaded_whole() {
    // The server knows `If-Range`, and answers with all of the new file.
    let old = vec![7; 600_000];
    let answer = move |number, request: &Request| match number {
        0 => Answer::file(&old, "\"old\"", request).cut(500_000),
        _ => good(request),
    };
    let (bench, server) = (over_one(), Server::start(answer).await);
    check(&bench, &server, &[None, Some(500_000)]).await;
    assert_eq!(server.requests()[1].header("if-range"), Some("\"old\""));
    assert_eq!(bench.notes()[1], "starting over: the server sends the file from its beginning");
}

#[tokio::test]
async fn a_wrong_part_is_not_taken() {
    let total = content().len();
    let part = move |start: usize, total: &str, tag: &str| {
        let range = format!("bytes {start}-{}/{total}", content().len() - 1);
        Answer::new(206, &content()[start..]).header("Content-Range", &range).header("ETag", tag)
    };
    let same = total.to_string();
    let wrong = [
        part(999, &same, TAG),
        part(1001, &same, TAG),
        part(1000, "600001", TAG),
        part(1000, &same, "\"two\""),
        part(1000, &same, TAG).header("Content-Range", "bytes nonsense"),
        part(1000, &same, TAG).without("Content-Range"),
        Answer::new(416, b"").header("Content-Range", &format!("bytes */{total}")),
        Answer::new(416, b""),
    ];
    for answer in wrong {
        let shown = format!("{:?}", answer.clone().cut(0)).chars().take(200).collect::<String>();
        let server =
            Server::start(move |number, request| if number == 0 { answer.clone() } else { good(request) }).await;
        let bench = over_one();
        leave(&bench, &server, &content()[..1000], |_| {});
        check(&bench, &server, &[Some(1000), None]).await;
        assert!(bench.notes()[1].starts_with("starting over: "), "{shown}");
    }
}

#[tokio::test]
async fn a_part_may_leave_the_total_open() {
    let answer =
        |_, _: &Request| Answer::new(206, &content()[1000..]).header("Content-Range", "bytes 1000-599999/*").chunked();
    let (bench, server) = (over_one(), Server::start(answer).await);
    leave(&bench, &server, &content()[..1000], |_| {});
    check(&bench, &server, &[Some(1000)]).await;
}

#[tokio::test]
async fn a_complete_file_is_not_downloaded_again() {
    for total in [Some(content().len() as u64), None] {
        let (bench, server) = (over_one(), Server::start(|_, request| good(request)).await);
        leave(&bench, &server, &content(), |meta| meta.total = total);
        check(&bench, &server, &[Some(content().len())]).await;
    }
}

#[tokio::test]
async fn a_server_without_parts_sends_all_again() {
    let whole = |number, _: &Request| {
        let answer = Answer::new(200, &content());
        if number == 0 { answer.cut(500_000) } else { answer }
    };
    // It does not name the state of the file either, so it is not asked for parts.
    let (bench, server) = (over_one(), Server::start(whole).await);
    check(&bench, &server, &[None, None]).await;

    let (bench, server) = (over_one(), Server::start(move |n, request| whole(n, request).header("ETag", TAG)).await);
    check(&bench, &server, &[None, Some(500_000)]).await;
}

#[tokio::test]
async fn a_stalled_server_is_asked_again() {
    let answer = |number, request: &Request| match number {
        0 => good(request).stall(300_000),
        _ => good(request),
    };
    let (mut bench, server) = (over_one(), Server::start(answer).await);
    bench.manner.patience.stall = Duration::from_secs(1);
    check(&bench, &server, &[None, Some(300_000)]).await;
    assert_eq!(
        bench.notes(),
        [format!("no data came for 1 s, after 300.0 kB: `{}`; trying again (1 of 3)", server.url("/a.gguf"))]
    );
}

#[tokio::test]
async fn a_server_that_always_breaks_off_is_given_up() {
    check_error(
        |_, _| Answer::new(200, &content()).cut(307_500),
        4,
        "the connection closed after 307.5 kB of 600.0 kB: `URL`",
    )
    .await;
    check_error(
        |_, _| Answer::new(200, &content()).chunked().cut(307_500),
        4,
        "the connection closed after 307.5 kB: `URL`",
    )
    .await;
    let lie = |_, request: &Request| good(request).header("Content-Length", "98000000");
    let server = Server::start(lie).await;
    let error = fetch(&over_one(), &server).await.unwrap_err();
    assert!(error.to_string().starts_with("the connection closed after 600.0 kB of 98.0 MB"), "{error}");
}

#[tokio::test]
async fn more_than_was_stated_is_refused() {
    let longer = || [&content()[1000..], b"more"].concat();
    let range = "bytes 1000-599999/600000";
    for chunked in [false, true] {
        let answer = move |_, _: &Request| {
            let answer = Answer::new(206, &longer()).header("Content-Range", range);
            if chunked { answer.chunked() } else { answer }
        };
        let (bench, server) = (over_one(), Server::start(answer).await);
        leave(&bench, &server, &content()[..1000], |_| {});
        let error = fetch(&bench, &server).await.unwrap_err();
        assert_eq!(error.to_string(), format!("`{}` sent more than the 600.0 kB it had stated", server.url("/a.gguf")));
    }
}

#[tokio::test]
async fn refusals_are_told() {
    for (status, requests, meaning) in [
        (401, 1, "it wants a login"),
        (403, 1, "access is refused"),
        (404, 1, "there is no such file"),
        (410, 1, "there is no such file"),
        (418, 1, "this is neither the file nor a known reason"),
        (206, 1, "this is neither the file nor a known reason"),
        (416, 1, "this is neither the file nor a known reason"),
        (408, 4, "it took too long"),
        (429, 4, "there were too many requests"),
        (500, 4, "the server failed"),
        (503, 4, "the server failed"),
    ] {
        let expected = format!("`URL` answered {status}: {meaning}");
        check_error(move |_, _| Answer::new(status, b"<html>"), requests, &expected).await;
    }
    // A wait that nobody would sit through is not begun.
    check_error(
        |_, _| Answer::new(429, b"").header("Retry-After", "3600"),
        1,
        "`URL` answered 429: there were too many requests",
    )
    .await;
}

#[tokio::test]
async fn a_refusal_leaves_what_is_here() {
    for answer in
        [Answer::new(403, b""), Answer::new(200, b"<html>"), Answer::new(200, b"x").header("Content-Type", "text/html")]
    {
        let server =
            Server::start(move |number, request| if number == 0 { answer.clone() } else { good(request) }).await;
        let bench = over_one();
        leave(&bench, &server, &content()[..1000], |_| {});
        fetch(&bench, &server).await.unwrap_err();
        check(&bench, &server, &[Some(1000), Some(1000)]).await;
    }
}

#[tokio::test]
async fn a_page_is_not_a_model() {
    let expected = "`URL` answered with a web page, not a model file";
    check_error(|_, _| Answer::new(200, b"\n <!DOCTYPE html>"), 1, expected).await;
    check_error(|_, _| Answer::new(200, b"\xef\xbb\xbf<html>"), 1, expected).await;
    check_error(|_, _| Answer::new(200, b"Sign in").header("Content-Type", "Text/HTML; charset=utf-8"), 1, expected)
        .await;
    check_error(|_, _| Answer::new(200, b""), 1, "`URL` answered with no bytes at all, not a model file").await;
    check_error(
        |_, _| Answer::new(200, b"x").header("Content-Encoding", "gzip"),
        1,
        "`URL` answered with bytes in the encoding `gzip`",
    )
    .await;
}

#[tokio::test]
async fn redirects_are_followed_where_it_is_safe() {
    let answer = |_, request: &Request| match request.path.strip_prefix("/a.gguf") {
        Some("") => Answer::new(302, b"").header("Location", "/a.gguf?9"),
        Some("?0") => good(request),
        Some(left) => {
            let left: u32 = left.trim_start_matches('?').parse().unwrap();
            Answer::new(307, b"").header("Location", &format!("/a.gguf?{}", left - 1))
        }
        None => Answer::new(404, b""),
    };
    let (bench, server) = (over_one(), Server::start(answer).await);
    check(&bench, &server, &[None; 11]).await;

    let endless = |_, request: &Request| Answer::new(302, b"").header("Location", &format!("{}x", request.path));
    let server = Server::start(endless).await;
    let error = fetch(&over_one(), &server).await.unwrap_err();
    assert!(error.to_string().ends_with("it redirects more than 10 times"), "{error}");
    assert_eq!(server.requests().len(), 11);

    let server =
        Server::start(|_, _| Answer::new(302, b"").header("Location", "http://192.0.2.1/a.gguf?sig=secret")).await;
    let error = fetch(&over_one(), &server).await.unwrap_err().to_string();
    assert!(error.ends_with("it redirects to an address that is not safe") && !error.contains("secret"), "{error}");
}

#[tokio::test]
async fn the_digest_is_of_the_whole_file() {
    let (bench, server) = (over_one(), Server::start(|_, request| good(request)).await);
    let source = WeightsSource::Https(server.url("/a.gguf"));
    leave(&bench, &server, &content()[..1000], |_| {});
    bench.fetch(&source, Some(&sha256(&content()))).await.unwrap();

    // What lay here was damaged: the end is right, the whole is not.
    leave(&bench, &server, &[9; 1000], |_| {});
    let error = bench.fetch(&source, Some(&sha256(&content()))).await.unwrap_err();
    let damaged = sha256(&[&[9; 1000], &content()[1000..]].concat());
    assert_eq!(error.to_string(), format!("the file's sha256 is `{damaged}`, not `{}`", sha256(&content())));
    assert_eq!(bench.left(), ["it.lock"]);
}

#[tokio::test]
async fn secrets_stay_out_of_sight() {
    let (bench, server) =
        (over_one(), Server::start(|_, _| Answer::new(200, &content()).header("ETag", TAG).cut(500_000)).await);
    let url = server.url("/a.gguf?signature=secret").replace("http://", "http://me:secret@");
    let error = bench.fetch(&WeightsSource::Https(url), None).await.unwrap_err();
    let note = fs_err::read_to_string(bench.path("cache/partial/it.meta")).unwrap();
    let seen = format!("{error}{error:?}{note}{}", bench.notes().concat());
    assert!(!seen.contains("secret"), "{seen}");
    assert_eq!(server.requests()[0].path, "/a.gguf?signature=secret");
    assert!(server.requests()[0].header("authorization").is_some());
}

#[tokio::test]
async fn what_nobody_listens_to_is_told() {
    let server = Server::start(|_, _| Answer::new(200, b"")).await;
    let source = WeightsSource::Https(server.url("/a.gguf"));
    drop(server);
    let bench = over_one();
    let error = bench.fetch(&source, None).await.unwrap_err();
    assert!(matches!(error, FetchError::Connect { .. }), "{error}");
    assert_eq!(bench.notes().len(), 3);
}

/// Tells when bytes have come.
#[derive(Default)]
struct Arrival(tokio::sync::Notify);

impl Watch for Arrival {
    fn total(&self, _bytes: u64) {}

    fn advance(&self, _bytes: u64) {
        self.0.notify_one();
    }

    fn note(&self, _text: &str) {}
}

#[tokio::test]
async fn a_download_that_was_given_up_leaves_the_way_free() {
    let answer = |number, request: &Request| match number {
        0 => good(request).stall(300_000),
        _ => good(request),
    };
    let (bench, server) = (over_one(), Server::start(answer).await);
    let (source, arrival) = (WeightsSource::Https(server.url("/a.gguf")), Arrival::default());
    tokio::select! {
        _ = bench.fetch_watched(&source, None, &arrival) => panic!("the server does not send all"),
        () = arrival.0.notified() => {}
    }
    bench.fetch(&source, Some(&sha256(&content()))).await.unwrap();
    assert_eq!(server.requests().len(), 2);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_full_disk_is_told() {
    let (bench, server) = (over_one(), Server::start(|_, request| good(request)).await);
    fs_err::create_dir_all(bench.path("cache/partial")).unwrap();
    fs_err::os::unix::fs::symlink("/dev/full", bench.partial()).unwrap();
    let error = fetch(&bench, &server).await.unwrap_err();
    assert_eq!(error.to_string(), format!("no space is left to write `{}`", bench.partial().display()));
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn a_wrong_certificate_is_found_however_it_is_wrapped() {
    let wrong = || rustls::Error::InvalidCertificate(rustls::CertificateError::Expired);
    assert!(is_untrusted(&wrong()));
    assert!(is_untrusted(&io::Error::other(io::Error::other(wrong()))));
    assert!(!is_untrusted(&io::Error::other(rustls::Error::HandshakeNotComplete)));
    assert!(!is_untrusted(&io::Error::from(io::ErrorKind::ConnectionRefused)));
}

#[test]
fn only_safe_urls_are_asked() {
    for good in ["https://host/a", "http://localhost:1/a", "http://127.0.0.1/a", "http://[::1]:1/a"] {
        assert!(check_url(good).is_ok(), "{good}");
    }
    for bad in ["", "a.gguf", "http://host/a", "http://localhost.host/a", "ftp://host/a", "file:///a", "https://"] {
        assert!(matches!(check_url(bad), Err(FetchError::BadUrl { .. })), "{bad}");
    }
    let error = check_url("ftp://me:secret@host/a?b=secret").unwrap_err().to_string();
    assert!(!error.contains("secret"), "{error}");
}

#[test]
fn content_ranges_are_strict() {
    let check = |text: &str, expected: Option<(Option<u64>, Option<u64>)>| {
        let parsed = ContentRange::parse(text).map(|ContentRange { start, end: _, total }| (start, total));
        assert_eq!(parsed, expected, "{text}");
    };
    check("bytes 5-9/10", Some((Some(5), Some(10))));
    check("bytes 5-9/*", Some((Some(5), None)));
    check("bytes */10", Some((None, Some(10))));
    for bad in ["", "5-9/10", "bytes 5-9", "bytes 9-5/10", "bytes 5-10/10", "bytes -5/10", "bytes 5/10", "items 5-9/10"]
    {
        check(bad, None);
    }
}

#[test]
fn the_time_to_wait_is_read() {
    let check = |after: &str, date: &str, expected: Option<u64>| {
        let mut headers = HeaderMap::new();
        headers.insert(header::RETRY_AFTER, after.parse().unwrap());
        headers.insert(header::DATE, date.parse().unwrap());
        assert_eq!(retry_after(&headers), expected.map(Duration::from_secs), "{after}");
    };
    let date = "Wed, 21 Oct 2015 07:28:00 GMT";
    check("120", date, Some(120));
    check("Wed, 21 Oct 2015 07:28:30 GMT", date, Some(30));
    check("Wed, 21 Oct 2015 07:27:00 GMT", date, Some(0));
    check("Wed, 21 Oct 2015 07:28:30 GMT", "yesterday", None);
    check("soon", date, None);
    assert_eq!(retry_after(&HeaderMap::new()), None);
}
