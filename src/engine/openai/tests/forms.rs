//! What a server refuses or cannot do is found out once, and asked for otherwise from then on.

use futures_util::future::join_all;
use serde_json::json;

use super::*;

/// A server that refuses each of `refused` as long as it is sent, as OpenAI words it.
async fn picky(refused: &'static [&'static str]) -> TestServer {
    TestServer::start_with(|_, seen| match refused.iter().find(|name| seen.body.get(**name).is_some()) {
        Some(&"max_tokens") => refuses(400, "'max_tokens' is not supported. Use 'max_completion_tokens' instead."),
        Some(name) => refuses(422, &format!("Unsupported parameter: '{name}' is not supported with this model.")),
        None => Step::says("hi"),
    })
    .await
}

#[tokio::test]
async fn what_a_server_refuses_is_learned_once() {
    for (refused, extra) in [
        (&["max_tokens"][..], 1),
        (&["temperature"], 1),
        (&["top_p"], 1),
        (&["seed"], 1),
        (&["response_format"], 2),
        (&["seed", "max_tokens", "temperature", "response_format", "top_p"], 6),
    ] {
        let server = picky(refused).await;
        let (engine, clock) = engine_of(&OpenAi { retries: 0, ..spec(server.base_url()) }, LONG);
        for _ in 0..2 {
            assert_eq!(engine.complete(&full_question()).await.unwrap().text, "hi", "{refused:?}");
        }
        let seen = server.seen();
        assert_eq!(seen.len(), extra + 2, "{refused:?}");
        assert_eq!(clock.waits(), [], "nothing to wait for: {refused:?}");
        let last = &seen.last().unwrap().body;
        assert_eq!(last["max_completion_tokens"] == 100, refused.contains(&"max_tokens"), "{last}");
        for kept in ["max_tokens", "temperature", "top_p", "seed", "response_format"] {
            assert_eq!(last.get(kept).is_none(), refused.contains(&kept), "{kept} in {last}");
        }
    }
}

#[tokio::test]
async fn a_schema_becomes_any_object_first() {
    let server = TestServer::start_with(|_, seen| match seen.body["response_format"]["type"].as_str() {
        Some("json_schema") => refuses(400, "'response_format.type' must be 'text' or 'json_object'"),
        _ => Step::says("{}"),
    })
    .await;
    let (engine, _) = engine_of(&spec(server.base_url()), LONG);
    engine.complete(&full_question()).await.unwrap();
    assert_eq!(server.seen()[1].body["response_format"], json!({ "type": "json_object" }));
}

fn weighing() -> Request {
    Request { form: ReplyForm::Words(Words::new(["pass", "fail", "not_applicable"])), max_tokens: 1, ..question() }
}

/// An answer that weighs a few tokens, if the question asks for that in the form that is taken.
fn weighs(seen: &Seen) -> Step {
    let mut body = completion("pass", "length");
    if seen.body["logprobs"] == true && seen.body["max_tokens"] == 1 {
        let token = |token: &str, logprob: f64| json!({ "token": token, "logprob": logprob });
        let mut first = token("pass", -0.5);
        let likeliest = vec![token("pass", -0.5), token(" Fail", -1.5), token("The", -3.0), token("n", -4.0)];
        first["top_logprobs"] = likeliest.into();
        body["choices"][0]["logprobs"] = json!({ "content": [first] });
    }
    Step::json(200, &body)
}

#[tokio::test]
async fn words_are_weighed_by_one_token() {
    let server = TestServer::start_with(|_, seen| weighs(seen)).await;
    let (engine, _) = engine_of(&spec(server.base_url()), LONG);
    let reply = engine.complete(&weighing()).await.unwrap();
    let weighed = reply.weighed.unwrap();
    assert_eq!(weighed.probabilities, [libm::exp(-0.5), libm::exp(-1.5), 0.0]);
    assert_eq!(weighed.tokens, [vec!["pass"], vec![" Fail"], vec![]]);
    assert_eq!((&*reply.text, reply.usage.completion_tokens), ("pass", 1));
    assert_eq!(server.seen()[0].body["top_logprobs"], 20);
    check_words(&engine).await;
    assert_eq!(engine.complete(&question()).await.unwrap().weighed, None);
}

#[tokio::test]
async fn a_server_without_probabilities_is_found_out_once() {
    type Answer = fn(&Seen) -> Step;
    let refuse: Answer = |seen| match seen.body.get("logprobs") {
        Some(_) => refuses(403, "You are not allowed to request logprobs from this model."),
        None => Step::says("hi"),
    };
    for answer in [|_: &Seen| Step::says("pass"), refuse] {
        let server = TestServer::start_with(move |_, seen| answer(seen)).await;
        let (engine, _) = engine_of(&spec(server.base_url()), LONG);
        for _ in 0..3 {
            let error = engine.complete(&weighing()).await.unwrap_err();
            assert_eq!(error.kind, EngineErrorKind::Unsupported);
            let told = "does not tell how likely its tokens are (`logprobs`), which `mode: logprob` of a `judge` needs: \
                        `mode: json` does not";
            assert_eq!(error.message, format!("`{}/chat/completions` {told}", server.base_url()));
        }
        assert_eq!(server.seen().len(), 1, "what is known is not asked again");
        engine.complete(&question()).await.unwrap();
    }
}

#[tokio::test]
async fn a_server_may_tell_few_probabilities() {
    let server = TestServer::start_with(|_, seen| match seen.body["top_logprobs"].as_u64() {
        Some(6..) => refuses(400, "top_logprobs must be at most 5"),
        _ => weighs(seen),
    })
    .await;
    let (engine, _) = engine_of(&spec(server.base_url()), LONG);
    for _ in 0..2 {
        assert!(engine.complete(&weighing()).await.unwrap().weighed.is_some());
    }
    assert_eq!(server.seen().len(), 3);
}

#[tokio::test]
async fn a_server_that_is_never_content_is_given_up() {
    let words = "unsupported: max_tokens (use max_completion_tokens), temperature, top_p, seed, response_format";
    let server = TestServer::start(vec![refuses(400, words)]).await;
    let (engine, _) = engine_of(&spec(server.base_url()), LONG);
    let error = engine.complete(&full_question()).await.unwrap_err();
    assert_eq!(error.kind, EngineErrorKind::Rejected);
    assert_eq!(server.seen().len(), 7);
    assert!(engine.complete(&full_question()).await.is_err());
    assert_eq!(server.seen().len(), 8);
}

#[tokio::test]
async fn requests_in_flight_together_learn_the_same() {
    let server = picky(&["max_tokens", "seed"]).await;
    let (engine, _) = engine_of(&spec(server.base_url()), LONG);
    let request = full_question();
    let replies = join_all((0..8).map(|_| engine.complete(&request))).await;
    assert!(replies.iter().all(Result::is_ok), "{replies:?}");
    let before = server.seen().len();
    engine.complete(&request).await.unwrap();
    assert_eq!(server.seen().len(), before + 1);
}
