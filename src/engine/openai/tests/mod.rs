//! The engine against a server that misbehaves in every way that servers do.

mod forms;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;

use super::*;
use crate::engine::contract::{check_contract, check_words};
use crate::engine::retry::tests::JumpingClock;
use crate::engine::test_server::{Seen, Step, TestServer, completion};
use crate::engine::{Finish, Message, ReplyForm, Role, Sampling, Schema, Usage, Words};
use crate::spec::{OpenAi, Secret};

pub(super) const KEY: &str = "sk-test-0123456789-secret";
/// Ends a test that would hang; nothing waits for it.
pub(super) const LONG: Duration = Duration::from_secs(60);

pub(super) fn spec(base_url: String) -> OpenAi {
    let api_key = Some(Secret::new(KEY.to_owned()));
    OpenAi { base_url, model: "small".to_owned(), api_key, concurrency: 4, timeout_s: 60, retries: 2, price: None }
}

pub(super) fn engine_of(spec: &OpenAi, timeout: Duration) -> (OpenAiEngine, Arc<JumpingClock>) {
    let clock = Arc::new(JumpingClock::default());
    let engine = OpenAiEngine::with_clock(spec, timeout, Arc::clone(&clock) as Arc<dyn Clock>).unwrap();
    (engine, clock)
}

fn question() -> Request {
    Request {
        messages: vec![Message::new(Role::User, "hello")],
        sampling: Sampling::Greedy,
        max_tokens: 100,
        form: ReplyForm::Free,
        repetition: 0,
    }
}

fn full_question() -> Request {
    let schema = Schema::new("verdict", json!({ "type": "object" }));
    let sampling = Sampling::Seeded { temperature: 0.5, top_p: 0.9, seed: 3 };
    Request { sampling, form: ReplyForm::Schema(schema), ..question() }
}

pub(super) fn refuses(status: u16, message: &str) -> Step {
    Step::json(status, &json!({ "error": { "message": message, "type": "invalid_request_error" } }))
}

/// Asks a server that does `steps`; the failure must be of `kind` and say `what` after the address, after `tries`.
async fn check_failure(steps: Vec<Step>, kind: EngineErrorKind, what: &str, tries: usize) -> Vec<Duration> {
    let server = TestServer::start(steps).await;
    let (engine, clock) = engine_of(&spec(server.base_url()), LONG);
    let error = engine.complete(&question()).await.unwrap_err();
    assert_eq!(error.kind, kind, "{error}");
    assert_eq!(error.message, format!("`{}/chat/completions` {what}", server.base_url()));
    assert_eq!(server.seen().len(), tries, "{error}");
    let waits = clock.waits();
    assert_eq!(waits.len(), tries - 1, "no wait after the last try: {error}");
    waits
}

#[tokio::test]
async fn a_plain_answer() {
    let body = completion(" Hello \n you", "length");
    let server = TestServer::start(vec![Step::json(200, &body)]).await;
    let (engine, clock) = engine_of(&spec(format!("{}/", server.base_url())), LONG);
    let reply = engine.complete(&full_question()).await.unwrap();
    let usage = Usage { prompt_tokens: 7, cached_tokens: 3, completion_tokens: 2 };
    assert_eq!(reply, Reply::new(" Hello \n you", Finish::Length, usage, 0));
    assert_eq!(clock.waits(), []);

    let [Seen { line, headers, body }] = &server.seen()[..] else { panic!("{:?}", server.seen()) };
    assert_eq!(line, "POST /v1/chat/completions");
    assert_eq!(headers["authorization"], format!("Bearer {KEY}"));
    assert_eq!(headers["content-type"], "application/json");
    assert_eq!(headers["user-agent"], concat!("evalflow/", env!("CARGO_PKG_VERSION")));
    assert_eq!(body, &Form::default().body("small", &full_question()));
}

#[tokio::test]
async fn connections_are_used_again_and_no_key_is_no_header() {
    let server = TestServer::start(vec![Step::says("hi")]).await;
    let (engine, _) = engine_of(&OpenAi { api_key: None, ..spec(server.base_url()) }, LONG);
    for _ in 0..3 {
        engine.complete(&question()).await.unwrap();
    }
    assert_eq!((server.counts().connections, server.counts().requests), (1, 3));
    assert!(server.seen().iter().all(|seen| !seen.headers.contains_key("authorization")));
}

#[tokio::test]
async fn statuses_that_are_final() {
    use EngineErrorKind::{Auth, Rejected, Unavailable};
    for (status, kind, what) in [
        (400, Rejected, "answered 400 Bad Request: no"),
        (401, Auth, "answered 401 Unauthorized: no"),
        (402, Unavailable, "answered 402 Payment Required: no"),
        (403, Auth, "answered 403 Forbidden: no"),
        (404, Unavailable, "answered 404 Not Found (no such endpoint or model): no"),
        (413, Rejected, "answered 413 Payload Too Large: no"),
        (418, Rejected, "answered 418 I'm a teapot: no"),
        (422, Rejected, "answered 422 Unprocessable Entity: no"),
        (451, Rejected, "answered 451 Unavailable For Legal Reasons: no"),
    ] {
        check_failure(vec![refuses(status, "no")], kind, what, 1).await;
    }
}

#[tokio::test]
async fn statuses_that_pass() {
    use EngineErrorKind::{RateLimited, Transient};
    for (status, kind, what) in [
        (408, Transient, "answered 408 Request Timeout: later (tried 3 times)"),
        (409, Transient, "answered 409 Conflict: later (tried 3 times)"),
        (425, Transient, "answered 425 Too Early: later (tried 3 times)"),
        (429, RateLimited { after: None }, "answered 429 Too Many Requests: later (tried 3 times)"),
        (500, Transient, "answered 500 Internal Server Error: later (tried 3 times)"),
        (503, Transient, "answered 503 Service Unavailable: later (tried 3 times)"),
        (529, Transient, "answered 529: later (tried 3 times)"),
    ] {
        let waits = check_failure(vec![refuses(status, "later")], kind, what, 3).await;
        for (wait, longest) in waits.into_iter().zip([500, 1000].map(Duration::from_millis)) {
            assert!(wait >= longest / 2 && wait <= longest, "{wait:?}");
        }
    }
}

#[tokio::test]
async fn a_passing_failure_is_forgotten() {
    let steps = vec![Step::Close, refuses(503, "Loading model"), Step::says("hi")];
    let server = TestServer::start(steps).await;
    let (engine, clock) = engine_of(&spec(server.base_url()), LONG);
    assert_eq!(engine.complete(&question()).await.unwrap().text, "hi");
    assert_eq!((server.counts().requests, clock.waits().len()), (3, 2));
}

#[tokio::test]
async fn the_first_of_passing_failures_and_any_final_one_is_told() {
    check_failure(
        vec![refuses(503, "Loading model"), refuses(500, "echo")],
        EngineErrorKind::Transient,
        "answered 503 Service Unavailable: Loading model (tried 3 times)",
        3,
    )
    .await;
    check_failure(
        vec![refuses(503, "Loading model"), refuses(401, "who?")],
        EngineErrorKind::Auth,
        "answered 401 Unauthorized: who? (tried 2 times)",
        2,
    )
    .await;
}

#[tokio::test]
async fn a_spent_quota_is_no_limit_of_rate() {
    let spent = json!({ "error": { "message": "You exceeded your current quota", "code": "insufficient_quota" } });
    let what = "answered 429 Too Many Requests: You exceeded your current quota";
    check_failure(vec![Step::json(429, &spent)], EngineErrorKind::Unavailable, what, 1).await;
}

#[tokio::test]
async fn broken_answers_are_asked_for_again() {
    let half = br#"{"choices": [{"mess"#.to_vec();
    let server = TestServer::start(vec![
        Step::Truncate(half),
        Step::Garbage(b"this is no HTTP\r\n\r\n".to_vec()),
        Step::says("hi"),
    ])
    .await;
    let (engine, clock) = engine_of(&spec(server.base_url()), LONG);
    assert_eq!(engine.complete(&question()).await.unwrap().text, "hi");
    assert_eq!(clock.waits().len(), 2);

    for step in [Step::Truncate(b"{".to_vec()), Step::Garbage(b"?\r\n\r\n".to_vec()), Step::Close] {
        let server = TestServer::start(vec![step]).await;
        let (engine, _) = engine_of(&spec(server.base_url()), LONG);
        let error = engine.complete(&question()).await.unwrap_err();
        assert_eq!(error.kind, EngineErrorKind::Transient);
        let start = format!("`{}/chat/completions` broke off: ", server.base_url());
        assert!(error.message.starts_with(&start) && error.message.ends_with(" (tried 3 times)"), "{error}");
        assert_eq!(server.seen().len(), 3);
    }
}

#[tokio::test]
async fn bad_json_is_asked_for_once_more() {
    let what = "answered 200 OK and no JSON (expected value at line 1 column 1): <html> hi (tried 2 times)";
    check_failure(vec![Step::text(200, "<html>\nhi")], EngineErrorKind::BadReply, what, 2).await;
    let what = "answered 204 No Content and no JSON (EOF while parsing a value at line 1 column 0):  (tried 2 times)";
    check_failure(vec![Step::text(204, "")], EngineErrorKind::BadReply, what, 2).await;
    let server = TestServer::start(vec![Step::text(200, "\u{0}"), Step::says("hi")]).await;
    let (engine, _) = engine_of(&spec(server.base_url()), LONG);
    assert_eq!(engine.complete(&question()).await.unwrap().text, "hi");
}

#[tokio::test]
async fn answers_that_are_no_reply_are_not_asked_for_again() {
    let reasoned = json!({ "choices": [{ "message": { "content": "", "reasoning_content": "hm" } }] });
    let what = "answered with reasoning and no reply after it: most likely `max_tokens` is too small";
    check_failure(vec![Step::json(200, &reasoned)], EngineErrorKind::BadReply, what, 1).await;
    let filtered = completion("half", "content_filter");
    let what = "filtered the reply out (`content_filter`)";
    check_failure(vec![Step::json(200, &filtered)], EngineErrorKind::Rejected, what, 1).await;
}

#[tokio::test]
async fn an_error_under_a_status_of_success_is_an_error() {
    let error = json!({ "error": { "code": 502, "message": "upstream is down" } });
    let what = "answered 502 Bad Gateway: upstream is down (tried 3 times)";
    check_failure(vec![Step::json(200, &error)], EngineErrorKind::Transient, what, 3).await;
    let what = "answered 200 OK: odd";
    check_failure(vec![Step::json(200, &json!({ "error": "odd" }))], EngineErrorKind::BadReply, what, 1).await;
}

#[tokio::test]
async fn a_body_is_bounded() {
    let what = "answered with more than 16 MiB";
    check_failure(vec![Step::Endless], EngineErrorKind::BadReply, what, 1).await;
    let long = "x".repeat(300 << 10);
    let what = format!("answered 400 Bad Request: {}…", "x".repeat(200));
    check_failure(vec![Step::text(400, &long)], EngineErrorKind::Rejected, &what, 1).await;
}

#[tokio::test]
async fn no_answer_in_time_is_asked_for_again() {
    let server = TestServer::start(vec![Step::Stall]).await;
    let (engine, clock) = engine_of(&OpenAi { retries: 1, ..spec(server.base_url()) }, Duration::from_millis(50));
    let error = engine.complete(&question()).await.unwrap_err();
    assert_eq!(error.kind, EngineErrorKind::Transient);
    let expected = format!("`{}/chat/completions` did not answer within 0.05 s (tried 2 times)", server.base_url());
    assert_eq!(error.message, expected);
    assert_eq!(clock.waits().len(), 1);
}

#[tokio::test]
async fn nobody_there() {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let (engine, clock) = engine_of(&spec(format!("http://127.0.0.1:{port}")), LONG);
    let error = engine.complete(&question()).await.unwrap_err();
    assert_eq!(error.kind, EngineErrorKind::Transient);
    let start = format!("`http://127.0.0.1:{port}/chat/completions` could not be reached: ");
    assert!(error.message.starts_with(&start) && error.message.ends_with(" (tried 3 times)"), "{error}");
    assert_eq!(clock.waits().len(), 2);
}

/// Also shows that TLS needs no provider of the whole process.
#[tokio::test]
async fn tls_to_a_server_without_it() {
    let server = TestServer::start(vec![Step::Garbage(b"plain\r\n".to_vec())]).await;
    let spec = OpenAi { retries: 0, ..spec(server.base_url().replace("http:", "https:")) };
    match OpenAiEngine::new(&spec) {
        Ok(engine) => {
            let error = engine.complete(&question()).await.unwrap_err();
            assert_eq!(error.kind, EngineErrorKind::Transient);
            assert!(error.message.contains("could not be reached: "), "{error}");
        }
        Err(error) => assert!(error.message.contains("cannot be asked over TLS"), "a machine without certificates"),
    }
}

#[tokio::test]
async fn a_pause_that_is_asked_for_is_kept() {
    let seconds = |waits: Vec<Duration>| waits.iter().map(Duration::as_secs_f64).collect::<Vec<_>>();
    let limited = |after: f64| EngineErrorKind::RateLimited { after: Some(Duration::from_secs_f64(after)) };
    let what = "answered 429 Too Many Requests: slow down (tried 3 times)";
    let busy = || refuses(429, "slow down");

    let waits = check_failure(vec![busy().with_header("Retry-After", "7")], limited(7.0), what, 3).await;
    assert_eq!(seconds(waits), [7.0, 7.0]);
    let waits = check_failure(vec![busy().with_header("retry-after-ms", "1500")], limited(1.5), what, 3).await;
    assert_eq!(seconds(waits), [1.5, 1.5]);
    let waits = check_failure(vec![busy().with_header("Retry-After", "9999")], limited(120.0), what, 3).await;
    assert_eq!(seconds(waits), [120.0, 120.0]);
    let dated = busy()
        .with_header("Date", "Sun, 06 Nov 1994 08:49:37 GMT")
        .with_header("Retry-After", "Sun, 06 Nov 1994 08:50:07 GMT");
    assert_eq!(seconds(check_failure(vec![dated], limited(30.0), what, 3).await), [30.0, 30.0]);
    let away = refuses(503, "away").with_header("Retry-After", "4");
    let what = "answered 503 Service Unavailable: away (tried 3 times)";
    assert_eq!(seconds(check_failure(vec![away], EngineErrorKind::Transient, what, 3).await), [4.0, 4.0]);
}

#[tokio::test]
async fn others_keep_the_pause_too() {
    let busy = refuses(429, "slow down").with_header("Retry-After", "7");
    let server = TestServer::start(vec![busy, Step::says("hi")]).await;
    let (engine, clock) = engine_of(&OpenAi { retries: 0, ..spec(server.base_url()) }, LONG);
    engine.complete(&question()).await.unwrap_err();
    assert_eq!(clock.waits(), [], "the one that failed has no more tries");
    engine.complete(&question()).await.unwrap();
    assert_eq!(clock.waits(), [Duration::from_secs(7)], "the next one waits");
    engine.complete(&question()).await.unwrap();
    assert_eq!(clock.waits().len(), 1, "the one after it does not");
}

/// A request queued behind one that was told to pause finds the gate closed when its turn comes.
#[tokio::test]
async fn the_queue_keeps_the_pause_too() {
    let busy = refuses(429, "slow down").with_header("Retry-After", "7");
    let server = TestServer::start(vec![busy, Step::says("hi")]).await;
    let (engine, clock) = engine_of(&OpenAi { retries: 0, concurrency: 1, ..spec(server.base_url()) }, LONG);
    let request = question();
    let [first, second] = join_all([engine.complete(&request), engine.complete(&request)]).await.try_into().unwrap();
    assert!(first.is_err() && second.is_ok());
    assert_eq!(clock.waits(), [Duration::from_secs(7)]);
}

#[tokio::test]
async fn an_overflow_of_the_context_is_told_with_its_size() {
    let error = json!({ "error": {
        "code": 400, "type": "exceed_context_size_error", "n_prompt_tokens": 300, "n_ctx": 256,
        "message": "the request exceeds the available context size, try increasing it",
    }});
    let what = "answered 400 Bad Request: the request exceeds the available context size, try increasing it";
    let kind = EngineErrorKind::ContextOverflow { tokens_over: 144 };
    check_failure(vec![Step::json(400, &error)], kind, what, 1).await;
    // It names both parameters, and is no refusal of either.
    let words = "'max_tokens' or 'max_completion_tokens' is too large, which is not supported: this model's maximum \
                 context length is reached";
    let kind = EngineErrorKind::ContextOverflow { tokens_over: 0 };
    check_failure(vec![refuses(400, words)], kind, &format!("answered 400 Bad Request: {words}"), 1).await;
}

#[tokio::test]
async fn redirects_stay_with_the_server() {
    let to = |status: u16, place: &str| Step::text(status, "").with_header("Location", place);
    let server = TestServer::start_with(move |_, seen| match seen.line.as_str() {
        "POST /v1/chat/completions" => to(307, "/second"),
        "POST /second" => to(308, "/third"),
        "POST /third" => Step::says("hi"),
        other => panic!("{other}"),
    })
    .await;
    let (engine, _) = engine_of(&spec(server.base_url()), LONG);
    assert_eq!(engine.complete(&question()).await.unwrap().text, "hi");
    assert_eq!(server.seen()[2].body["messages"], json!([{ "role": "user", "content": "hello" }]));

    let server = TestServer::start(vec![to(307, "/again")]).await;
    let (engine, _) = engine_of(&spec(server.base_url()), LONG);
    let error = engine.complete(&question()).await.unwrap_err();
    assert_eq!(error.kind, EngineErrorKind::Unavailable);
    assert_eq!(server.seen().len(), 4, "the request and three redirects");

    // A redirect that would turn the question into a GET is not followed either.
    let what = "answered 301 Moved Permanently (`base_url` should lead to `/new`)";
    check_failure(vec![to(301, "/new")], EngineErrorKind::Unavailable, what, 1).await;
}

#[tokio::test]
async fn no_redirect_leads_to_another_server() {
    let other = TestServer::start(vec![Step::text(307, "").with_header("Location", "/next"), Step::says("hi")]).await;
    let place = format!("{}/elsewhere", other.base_url());
    let what = format!("answered 307 Temporary Redirect (`base_url` should lead to `{place}`)");
    let step = Step::text(307, "").with_header("Location", &place);
    check_failure(vec![step], EngineErrorKind::Unavailable, &what, 1).await;
    assert_eq!(other.counts().connections, 0, "neither the key nor the prompt reached it");
}

#[tokio::test]
async fn the_key_is_in_no_error_and_no_debug() {
    let echo = |seen: &Seen| seen.headers["authorization"].clone();
    type Answer = fn(&str) -> Step;
    let answers: [Answer; 9] = [
        |echo| Step::text(401, echo),
        |echo| refuses(401, &format!("Incorrect API key provided: {echo}")),
        |echo| Step::json(500, &json!({ "unusual": { "headers": [echo] } })),
        |echo| Step::text(200, echo),
        |echo| Step::json(200, &json!({ "error": echo })),
        |echo| Step::json(200, &json!({ "choices": [{ "message": { "content": null, "refusal": echo } }] })),
        |echo| {
            Step::json(
                200,
                &json!({ "choices": [{ "message": { "content": "" }, "finish_reason": "error" }], "x": echo }),
            )
        },
        |echo| Step::text(302, "").with_header("Location", &format!("http://other/?k={}", &echo[7..])),
        |echo| refuses(429, &format!("{}{echo}", "x".repeat(190))),
    ];
    for answer in answers {
        let server = TestServer::start_with(move |_, seen| answer(&echo(seen))).await;
        let (engine, _) = engine_of(&OpenAi { retries: 1, ..spec(server.base_url()) }, LONG);
        let error = engine.complete(&question()).await.unwrap_err();
        for shown in [error.to_string(), format!("{error:?}"), format!("{engine:?}"), engine.identity().0.to_string()] {
            assert!(!shown.contains(&KEY[..8]), "{shown}");
        }
    }
}

#[tokio::test]
async fn a_missing_key_is_told() {
    let server = TestServer::start(vec![refuses(401, "who?")]).await;
    let (engine, _) = engine_of(&OpenAi { api_key: None, ..spec(server.base_url()) }, LONG);
    let error = engine.complete(&question()).await.unwrap_err();
    assert!(error.message.ends_with("answered 401 Unauthorized (no `api_key` was sent): who?"), "{error}");
}

#[tokio::test]
async fn requests_in_flight_are_never_more_than_allowed() {
    let permits = Arc::new(Semaphore::new(0));
    let server = TestServer::start(vec![Step::Held(Arc::clone(&permits), Box::new(Step::says("hi")))]).await;
    let (engine, _) = engine_of(&OpenAi { concurrency: 3, ..spec(server.base_url()) }, LONG);
    assert_eq!(engine.width(), 3);
    let request = question();
    let release = async {
        for answered in 0..12 {
            server.until(|counts| counts.open == 3.min(12 - answered)).await;
            permits.add_permits(1);
            server.until(|counts| counts.requests - counts.open > answered).await;
        }
    };
    let (replies, ()) = tokio::join!(join_all((0..12).map(|_| engine.complete(&request))), release);
    assert!(replies.iter().all(Result::is_ok), "{replies:?}");
    assert_eq!(server.counts().peak, 3);
}

/// With one place, a request that waits to be asked again must let another one through.
#[tokio::test]
async fn a_place_is_free_between_tries() {
    #[derive(Default)]
    struct StuckClock;
    impl Clock for StuckClock {
        fn now(&self) -> Duration {
            Duration::ZERO
        }
        fn sleep(&self, _: Duration) -> BoxFuture<'static, ()> {
            Box::pin(std::future::pending())
        }
    }
    let server = TestServer::start(vec![refuses(500, "later"), Step::says("hi")]).await;
    let one_place = OpenAi { concurrency: 1, ..spec(server.base_url()) };
    let engine = OpenAiEngine::with_clock(&one_place, LONG, Arc::new(StuckClock)).unwrap();
    let request = question();
    tokio::select! {
        biased;
        reply = engine.complete(&request) => panic!("it should wait for ever: {reply:?}"),
        reply = async {
            server.until(|counts| counts.requests == 1).await;
            engine.complete(&request).await
        } => assert_eq!(reply.unwrap().text, "hi"),
    }
}

#[tokio::test]
async fn dropping_the_future_ends_the_request() {
    let server = TestServer::start(vec![Step::Stall, Step::says("hi")]).await;
    let (engine, _) = engine_of(&OpenAi { concurrency: 1, ..spec(server.base_url()) }, LONG);
    let request = question();
    tokio::select! {
        reply = engine.complete(&request) => panic!("{reply:?}"),
        () = server.until(|counts| counts.open == 1) => {}
    }
    server.until(|counts| counts.abandoned == 1).await;
    assert_eq!(engine.complete(&request).await.unwrap().text, "hi");
}

#[tokio::test]
async fn only_the_try_that_worked_is_timed() {
    let clock = Arc::new(JumpingClock::default());
    let late = Arc::clone(&clock);
    let server = TestServer::start_with(move |number, _| {
        drop(late.sleep(Duration::from_secs(if number == 0 { 5 } else { 2 })));
        if number == 0 { refuses(500, "later") } else { Step::says("hi") }
    })
    .await;
    let engine = OpenAiEngine::with_clock(&spec(server.base_url()), LONG, clock).unwrap();
    assert_eq!(engine.complete(&question()).await.unwrap().elapsed_ms, 2000);
}

#[test]
fn the_identity_is_the_place_and_the_model() {
    let one = spec("HTTP://Host:80/v1/".to_owned());
    assert_eq!(identity(&one).0, json!({ "engine": "openai", "endpoint": "http://host/v1", "model": "small" }));
    let same = OpenAi { api_key: None, concurrency: 9, timeout_s: 9, retries: 9, ..one.clone() };
    assert_eq!(identity(&same), identity(&one));
    assert_eq!(OpenAiEngine::new(&one).unwrap().identity(), &identity(&one));
    for other in [
        OpenAi { model: "m".to_owned(), ..one.clone() },
        OpenAi { base_url: "http://host/v2".to_owned(), ..one.clone() },
    ] {
        assert_ne!(identity(&other), identity(&one));
    }
}

#[tokio::test]
async fn keeps_the_contract() {
    let server = TestServer::start_model().await;
    let engine = OpenAiEngine::new(&spec(server.base_url())).unwrap();
    check_contract(&engine).await;
    assert!(server.seen().iter().all(|seen| seen.body["temperature"] == 0));
}
