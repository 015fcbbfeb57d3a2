//! Embeddings as servers give them: what is sent to `/embeddings`, what comes back, and when a server says that it has none.
//!
//! Pure; start at [`body`] and [`read`].

use serde_json::{Value, json};

use super::complaint::{Complaint, status_line};
use super::completion::{NoReply, usage_of};
use super::endpoint::Endpoint;
use crate::engine::retry::{Again, Failure};
use crate::engine::{EmbedRequest, Embedding, EngineErrorKind};

/// What is sent.
pub(super) fn body(model: &str, request: &EmbedRequest) -> Value {
    json!({ "model": model, "input": request.text, "encoding_format": "float" })
}

/// Reads the only vector.
pub(super) fn read(body: &Value, elapsed_ms: u64) -> Result<Embedding, NoReply> {
    let bad = |what: &str| NoReply { kind: EngineErrorKind::BadReply, what: what.to_owned() };
    let [only] = body["data"].as_array().map_or(&[][..], Vec::as_slice) else {
        return Err(bad("answered without one entry of `data`"));
    };
    #[expect(clippy::cast_possible_truncation, reason = "vectors are kept in single precision")]
    let number = |value: &Value| value.as_f64().map(|value| value as f32);
    let numbers: Option<Vec<f32>> = only["embedding"].as_array().and_then(|all| all.iter().map(number).collect());
    let numbers = numbers.ok_or_else(|| bad("answered with an `embedding` that is no list of numbers"))?;
    Embedding::new(&numbers, usage_of(&body["usage"]), elapsed_ms)
        .map_err(|error| bad(&format!("answered with what is no embedding: {}", error.message)))
}

/// What follows from a complaint that the server or its model has no embeddings; none where it complains of something else.
pub(super) fn unsupported(complaint: &Complaint, endpoint: &Endpoint) -> Option<Failure> {
    let text = complaint.text.to_lowercase();
    let is_final = complaint.status.is_client_error() || complaint.status.is_server_error();
    let says_so = ["not support", "not allowed", "--embedding"].iter().any(|sign| text.contains(sign));
    let is_named = is_final && text.contains("embedding") && says_so;
    if !is_named && !matches!(complaint.status.as_u16(), 404 | 405 | 501) {
        return None;
    }
    let mut what = format!("answered {} (no embeddings there, or no such model)", status_line(complaint.status));
    let quote = endpoint.quote(&complaint.text);
    if !quote.is_empty() {
        what = format!("{what}: {quote}");
    }
    Some(Failure::new(endpoint.error(EngineErrorKind::Unsupported, &what), Again::Never))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{KEY, LONG, engine_of, refuses, spec};
    use super::*;
    use crate::engine::contract::check_embeddings;
    use crate::engine::test_server::{Seen, Step, TestServer};
    use crate::engine::{Engine, Usage};

    #[test]
    fn vectors_are_read_and_nothing_else() {
        let of = |embedding: Value| json!({ "data": [{ "embedding": embedding, "index": 0 }], "usage": { "prompt_tokens": 4 } });
        let embedding = read(&of(json!([3, 4.0])), 9).unwrap();
        assert_eq!(
            (embedding.values(), embedding.usage().prompt_tokens, embedding.elapsed_ms()),
            (&[0.6, 0.8][..], 4, 9)
        );
        let check = |body: Value, expected: &str| {
            let found = read(&body, 0).unwrap_err();
            assert_eq!((found.kind, found.what.as_str()), (EngineErrorKind::BadReply, expected), "{body}");
        };
        check(json!({}), "answered without one entry of `data`");
        check(json!({ "data": [{}, {}] }), "answered without one entry of `data`");
        for wrong in [json!("AAAA"), json!([[1.0]]), json!([1, null]), json!(null)] {
            check(of(wrong), "answered with an `embedding` that is no list of numbers");
        }
        check(of(json!([])), "answered with what is no embedding: the embedding has no numbers");
        check(of(json!([0])), "answered with what is no embedding: the embedding has length 0, so it has no direction");
    }

    fn text(text: &str) -> EmbedRequest {
        EmbedRequest { text: text.to_owned() }
    }

    /// A server that embeds a text as the counts of its letters' lowest bits.
    async fn start_embedder() -> TestServer {
        TestServer::start_with(|_, seen| {
            let mut counts = [1.0; 8];
            for byte in seen.body["input"].as_str().unwrap().bytes() {
                counts[usize::from(byte % 8)] += 1.0;
            }
            let data = json!([{ "object": "embedding", "index": 0, "embedding": counts }]);
            Step::json(
                200,
                &json!({ "object": "list", "data": data, "usage": { "prompt_tokens": 5, "total_tokens": 5 } }),
            )
        })
        .await
    }

    #[tokio::test]
    async fn texts_are_embedded() {
        let server = start_embedder().await;
        let (engine, _) = engine_of(&spec(server.base_url()), LONG);
        let embedding = engine.embed(&text("a")).await.unwrap();
        assert_eq!(embedding.usage(), Usage { prompt_tokens: 5, ..Usage::default() });
        let [Seen { line, headers, body }] = &server.seen()[..] else { panic!("{:?}", server.seen()) };
        assert_eq!(line, "POST /v1/embeddings");
        assert_eq!(headers["authorization"], format!("Bearer {KEY}"));
        assert_eq!(body, &json!({ "model": "small", "input": "a", "encoding_format": "float" }));
        check_embeddings(&engine).await;
    }

    /// Asks for an embedding; the failure must be of `kind` and say `what` after the address, after `tries`.
    async fn check_no_embedding(steps: Vec<Step>, kind: EngineErrorKind, what: &str, tries: usize) {
        let server = TestServer::start(steps).await;
        let (engine, _) = engine_of(&spec(server.base_url()), LONG);
        let error = engine.embed(&text("a")).await.unwrap_err();
        assert_eq!(error.kind, kind, "{error}");
        assert_eq!(error.message, format!("`{}/embeddings` {what}", server.base_url()));
        assert_eq!(server.seen().len(), tries, "{error}");
    }

    #[tokio::test]
    async fn servers_without_embeddings_say_so_in_many_ways() {
        use EngineErrorKind::Unsupported;
        let remark = "(no embeddings there, or no such model)";
        for (status, name, words) in [
            (404, "404 Not Found", "The model `x` does not exist"),
            (405, "405 Method Not Allowed", "no"),
            (501, "501 Not Implemented", "This server does not support embeddings. Start it with `--embeddings`"),
            (400, "400 Bad Request", "The model does not support Embeddings API"),
            (403, "403 Forbidden", "You are not allowed to generate embeddings from this model"),
            (500, "500 Internal Server Error", "this model does not support embeddings"),
        ] {
            let what = format!("answered {name} {remark}: {words}");
            check_no_embedding(vec![refuses(status, words)], Unsupported, &what, 1).await;
        }
        let server = TestServer::start(vec![refuses(501, "no")]).await;
        check_embeddings(&engine_of(&spec(server.base_url()), LONG).0).await;
    }

    #[tokio::test]
    async fn other_failures_of_embeddings_are_those_of_replies() {
        use EngineErrorKind::{Auth, BadReply, ContextOverflow, Rejected, Transient};
        check_no_embedding(vec![refuses(400, "no")], Rejected, "answered 400 Bad Request: no", 1).await;
        let echo = format!("bad key {KEY}");
        check_no_embedding(vec![refuses(401, &echo)], Auth, "answered 401 Unauthorized: bad key ***", 1).await;
        let busy = "answered 503 Service Unavailable: later (tried 3 times)";
        check_no_embedding(vec![refuses(503, "later")], Transient, busy, 3).await;
        let long = "This model's maximum context length is 512 tokens, however you requested 600 tokens";
        let what = format!("answered 400 Bad Request: {long}");
        check_no_embedding(vec![refuses(400, long)], ContextOverflow { tokens_over: 88 }, &what, 1).await;
        let none = "answered without one entry of `data`";
        check_no_embedding(vec![Step::text(200, "{}")], BadReply, none, 1).await;
        let page = "answered 200 OK and no JSON (expected value at line 1 column 1): hi (tried 2 times)";
        check_no_embedding(vec![Step::text(200, "hi")], BadReply, page, 2).await;
        let server = TestServer::start_with(|number, _| {
            if number == 0 { refuses(500, "oh") } else { Step::json(200, &json!({ "data": [{ "embedding": [2] }] })) }
        })
        .await;
        let (engine, clock) = engine_of(&spec(server.base_url()), LONG);
        assert_eq!(engine.embed(&text("a")).await.unwrap().values(), [1.0]);
        assert_eq!(clock.waits().len(), 1);
    }
}
