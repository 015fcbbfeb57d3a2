//! What every engine must do, as one test that each engine's tests run.
//!
//! Owns no engine. An engine under test answers a plain question in several words, and promises that greedy replies
//! repeat.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::Value;

use super::{Engine, Finish, Message, ReplyForm, Request, Role, Sampling, Words};

/// Members that an identity must not have: they do not decide a reply, or must not be seen.
const VOLATILE: &[&str] = &[
    "api_key",
    "authorization",
    "cache",
    "concurrency",
    "delay",
    "delay_ms",
    "file",
    "key",
    "path",
    "retries",
    "threads",
    "timeout",
    "timeout_s",
    "token",
    "width",
];

fn question(content: &str, max_tokens: u32) -> Request {
    Request {
        messages: vec![
            Message::new(Role::System, "Answer in full sentences."),
            Message::new(Role::User, content.to_owned()),
        ],
        sampling: Sampling::Greedy,
        max_tokens,
        form: ReplyForm::Free,
        repetition: 0,
    }
}

/// Panics where `engine` does not keep the contract.
pub(crate) async fn check_contract(engine: &dyn Engine) {
    let identity = engine.identity().clone();
    check_identity(&identity.0);
    assert!(engine.width() >= 1, "an engine answers at least one request at a time");

    check_replies_repeat(engine).await;
    check_length(engine).await;
    check_crowd(engine).await;
    check_dropped(engine).await;

    assert_eq!(engine.identity(), &identity, "the identity may not change while the engine works");
}

/// Panics where `engine`, which can weigh words, does not keep the contract in that.
pub(crate) async fn check_words(engine: &dyn Engine) {
    let words = Words::new(["pass", "fail", "not_applicable"]);
    let form = ReplyForm::Words(words.clone());
    let request = Request { form, ..question("Is the sea wet? Answer with one word, pass or fail.", 1) };
    let reply = engine.complete(&request).await.expect("words are weighed");
    let weighed = reply.weighed.expect("a reply to words says how likely each was");
    assert_eq!((weighed.probabilities.len(), weighed.tokens.len()), (3, 3), "one entry a word");
    assert!(weighed.probabilities.iter().all(|p| (0.0..=1.0 + 1e-6).contains(p)), "{weighed:?}");
    assert!(weighed.probabilities.iter().sum::<f64>() <= 1.0 + 1e-6, "{weighed:?}");
    for (index, (probability, tokens)) in weighed.probabilities.iter().zip(&weighed.tokens).enumerate() {
        assert_eq!(*probability > 0.0, !tokens.is_empty(), "a word has tokens where it has a probability: {weighed:?}");
        assert!(tokens.iter().all(|token| words.begun_by(token) == Some(index)), "{weighed:?}");
    }
    let again = engine.complete(&request).await.expect("words are weighed again").weighed;
    assert_eq!(again, Some(weighed), "what is weighed repeats");
}

fn check_identity(identity: &Value) {
    assert!(identity["engine"].is_string(), "an identity names its engine: {identity}");
    let mut left = vec![identity];
    while let Some(value) = left.pop() {
        if let Value::Object(members) = value {
            for name in members.keys() {
                assert!(!VOLATILE.contains(&name.as_str()), "`{name}` is volatile: {identity}");
            }
            left.extend(members.values());
        } else if let Value::Array(items) = value {
            left.extend(items);
        }
    }
}

async fn check_replies_repeat(engine: &dyn Engine) {
    let request = question("What is the sea?", 16);
    let first = engine.complete(&request).await.expect("a plain question is answered");
    let second = engine.complete(&request).await.expect("the same question is answered again");
    assert!(!first.text.is_empty(), "an answer has words");
    assert_eq!(first.text, second.text, "greedy replies repeat");
    assert_eq!(first.finish, second.finish);
}

async fn check_length(engine: &dyn Engine) {
    let reply = engine.complete(&question("Tell a long story.", 2)).await.expect("a short answer is an answer");
    assert_eq!(reply.finish, Finish::Length, "two tokens are no story: {reply:?}");
    assert!(reply.usage.completion_tokens <= 2, "{reply:?}");
}

async fn check_crowd(engine: &dyn Engine) {
    let requests: Vec<Request> =
        (0..engine.width().min(8) * 2 + 1).map(|number| question(&format!("What is {number}?"), 4)).collect();
    let replies = join_all(requests.iter().map(|request| engine.complete(request))).await;
    for (request, reply) in requests.iter().zip(replies) {
        assert!(reply.is_ok(), "{:?} was not answered: {reply:?}", request.messages);
    }
}

/// Futures dropped before, and shortly after, they were started must leave room for the next.
async fn check_dropped(engine: &dyn Engine) {
    let request = question("What is lost?", 4);
    for _ in 0..engine.width().min(64) + 1 {
        drop(engine.complete(&request));
        let polled_once = tokio::time::timeout(Duration::ZERO, engine.complete(&request)).await;
        drop(polled_once);
        tokio::select! {
            biased;
            reply = engine.complete(&request) => drop(reply),
            () = yield_often() => {}
        }
    }
    engine.complete(&request).await.expect("dropped requests do not wedge the engine");
}

async fn yield_often() {
    for _ in 0..16 {
        tokio::task::yield_now().await;
    }
}
