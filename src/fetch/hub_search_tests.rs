//! Tests of searches, on servers of this machine that answer as the hub does.

use std::time::Duration;

use serde_json::{Value, json};

use super::https::{LONGEST, Patience};
use super::hub_search::search_patiently;
use super::server::{Answer, Request, Server};
use super::testing::Remembered;
use super::{Access, FetchError, usual_weights};
use crate::spec::{HubSearch, Range, Secret};

fn narrow() -> HubSearch {
    HubSearch {
        search: Some("qwen 3".to_owned()),
        pipeline_tag: Some("text-generation".to_owned()),
        license: Some("apache-2.0".to_owned()),
        params_b: Some(Range { min: Some(0.5), max: Some(9.0) }),
        gguf: true,
        limit: 3,
    }
}

async fn search(server: &Server, search: &HubSearch) -> Result<Vec<Value>, FetchError> {
    let patience = Patience { backoff: Duration::ZERO, retries: 2, ..Patience::default() };
    let access =
        Access { hub: server.url("/"), hub_token: Some(Secret::new("hunter2".to_owned())), ..Access::default() };
    search_patiently(&access, search, &Remembered::default(), &patience).await
}

fn page(ids: &[&str]) -> Answer {
    let models: Vec<Value> = ids.iter().map(|id| json!({ "id": id })).collect();
    Answer::new(200, json!(models).to_string().as_bytes())
}

fn ids(models: &[Value]) -> Vec<&str> {
    models.iter().map(|model| model["id"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn pages_are_followed_on_the_hub_itself_until_there_are_enough() {
    let server = Server::start(|number, _| match number {
        // Another host is named, and is not asked: it would be shown the token.
        0 => page(&["a/1", "a/2"]).header("Link", "<https://elsewhere.invalid/api/models?cursor=x%3D>; rel=\"next\""),
        _ => page(&["a/3", "a/4"]).header("Link", "</api/models?cursor=y>; rel=\"next\""),
    })
    .await;
    let found = search(&server, &narrow()).await.unwrap();
    assert_eq!(ids(&found), ["a/1", "a/2", "a/3"]);
    let requests = server.requests();
    let paths: Vec<&str> = requests.iter().map(|request| request.path.as_str()).collect();
    let first = "/api/models?search=qwen+3&pipeline_tag=text-generation&filter=license%3Aapache-2.0&filter=gguf\
                 &num_parameters=min%3A500M%2Cmax%3A9000M&sort=downloads&direction=-1&limit=3&expand=cardData";
    assert!(paths[0].starts_with(first), "{}", paths[0]);
    assert_eq!(&paths[1..], ["/api/models?cursor=x%3D"]);
    let shown = |request: &Request| request.header("authorization") == Some("Bearer hunter2");
    assert!(requests.iter().all(shown));
}

#[tokio::test]
async fn a_list_without_an_end_is_not_followed_for_ever() {
    let endless = Server::start(|number, _| {
        page(&["a/1"]).header("Link", &format!("</api/models?cursor={number}>; rel=\"next\""))
    })
    .await;
    let many = HubSearch { limit: 1000, ..narrow() };
    assert_eq!(search(&endless, &many).await.unwrap().len(), 40);
    let empty = Server::start(|_, _| page(&[]).header("Link", "</api/models?cursor=1>; rel=\"next\"")).await;
    assert_eq!(search(&empty, &many).await.unwrap().len(), 0);
    assert_eq!(empty.requests().len(), 1);
}

/// Checks what an answer comes to, and how often the hub is asked until then.
async fn check_error(answer: Answer, asked: usize, expected: &str, help: &str) {
    let server = Server::start(move |_, _| answer.clone()).await;
    let error = search(&server, &narrow()).await.unwrap_err();
    let (message, found) = (error.to_string(), error.help().unwrap());
    assert!(message.contains(expected), "{message}");
    assert!(found.contains(help), "{found}");
    assert!(!format!("{error:?}{message}{found}").contains("hunter2"), "{error:?}");
    assert_eq!(server.requests().len(), asked, "{message}");
}

#[tokio::test]
async fn refusals_and_answers_of_no_use_are_named() {
    for (status, asked, expected, help) in [
        (401, 1, "answered 401 to a search: the token is not valid", "renew `HF_TOKEN`"),
        (403, 1, "answered 403 to a search: the token is not valid", "renew `HF_TOKEN`"),
        (404, 1, "answered 404 to a search: it has no list of models", "check `HF_ENDPOINT`"),
        (429, 3, "answered 429 to a search: there were too many requests", "run again later"),
        (500, 3, "answered 500 to a search: the server failed", "run again later"),
    ] {
        check_error(Answer::new(status, b"{}"), asked, expected, help).await;
    }
    let help = "check the address of the hub";
    check_error(Answer::new(200, b"<!doctype html>"), 1, "cannot be read: a web page came", help).await;
    check_error(Answer::new(200, b"{\"error\":\"x\"}"), 1, "cannot be read: invalid type: map", help).await;
    let large = Answer::new(200, &vec![b' '; LONGEST + 1]);
    check_error(large, 1, "cannot be read: a page is larger than 16", help).await;
}

#[test]
fn weights_are_of_the_usual_quantisation() {
    let check = |files: &[&str], expected: Option<&str>| {
        assert_eq!(usual_weights("a/b", files).map(|source| source.to_string()).as_deref(), expected, "{files:?}");
    };
    check(&["m-Q8_0.gguf", "m-Q4_K_M.gguf", "mmproj-F16.gguf"], Some("hf:a/b:Q4_K_M"));
    check(&["x-Q4_K_M.gguf", "y-Q4_K_M.gguf", "x-Q8_0.gguf"], Some("hf:a/b:Q8_0"));
    check(&["m-Q4_K_M-00001-of-00002.gguf", "m-Q6_K-00001-of-00001.gguf"], Some("hf:a/b:Q6_K"));
    check(&["model.gguf", "README.md"], Some("hf:a/b"));
    check(&["one.gguf", "two.gguf"], None);
    check(&["model.safetensors"], None);
}
