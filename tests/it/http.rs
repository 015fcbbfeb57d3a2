//! A hosted judge: an OpenAI-compatible server, a key that must not be seen, and a server that has its troubles.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use serde_json::{Value, json};

use crate::env::{PIPELINE, Project, all_bytes};

const KEY: &str = "sk-very-secret-0123456789";

/// A server for chat completions that answers what it is told to, and remembers what it was asked.
pub(crate) struct Server {
    pub(crate) url: String,
    seen: Arc<Mutex<Vec<(String, Value)>>>,
    stop: Arc<std::sync::atomic::AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    pub(crate) fn start(answer: impl Fn(usize, &Value) -> (u16, String) + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/v1", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let (seen_there, stop_there) = (Arc::clone(&seen), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                if stop_there.load(std::sync::atomic::Ordering::SeqCst) {
                    break;
                }
                serve(stream, &seen_there, &answer);
            }
        });
        Self { url, seen, stop, thread: Some(thread) }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, std::sync::atomic::Ordering::SeqCst);
        // Wakes the thread from waiting for a connection.
        TcpStream::connect(self.url.trim_start_matches("http://").trim_end_matches("/v1")).ok();
        self.thread.take().unwrap().join().unwrap();
    }
}

fn serve(stream: TcpStream, seen: &Mutex<Vec<(String, Value)>>, answer: &dyn Fn(usize, &Value) -> (u16, String)) {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 || line == "\r\n" {
            break;
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().unwrap();
        }
        head += &line;
    }
    let mut body = vec![0; length];
    if reader.read_exact(&mut body).is_err() || length == 0 {
        return;
    }
    let body: Value = serde_json::from_slice(&body).unwrap();
    let number = {
        let mut seen = seen.lock().unwrap();
        seen.push((head, body.clone()));
        seen.len() - 1
    };
    let (status, reply) = answer(number, &body);
    let head = format!(
        "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {}\r\nretry-after: 0\r\nconnection: close\r\n\r\n",
        reply.len()
    );
    reader.get_mut().write_all((head + &reply).as_bytes()).ok();
}

pub(crate) fn completion(text: &str) -> String {
    json!({
        "choices": [{ "index": 0, "message": { "role": "assistant", "content": text }, "finish_reason": "stop" }],
        "usage": { "prompt_tokens": 100, "completion_tokens": 10 },
    })
    .to_string()
}

const VERDICT: &str = r#"{"evidence":"That sounds hard","reason":"it is kind","verdict":"pass"}"#;

/// The scripted project with its judge replaced by a server.
fn project(server: &Server) -> Project {
    let mut project = Project::scripted();
    let start = PIPELINE.find("  judge:\n").unwrap();
    let end = PIPELINE.find("stages:\n").unwrap();
    let judge = "  judge: { openai: { base_url: \"${JUDGE_URL}\", model: m, api_key: \"${JUDGE_API_KEY}\", concurrency: 2 } }\n";
    project.write("pipelines/p.yaml", &format!("{}{judge}{}", &PIPELINE[..start], &PIPELINE[end..]));
    project.set("JUDGE_URL", &server.url);
    project.set("JUDGE_API_KEY", KEY);
    project
}

#[test]
fn a_server_judges_and_the_key_is_seen_by_nobody_else() {
    let server = Server::start(|_, _| (200, completion(VERDICT)));
    let project = project(&server);
    let output = project.run(&["run", "pipelines/p.yaml", "--json", "--log", "trace"]);
    assert!(!output.stdout.contains(KEY) && !output.stderr.contains(KEY), "the key is in no output and no log");
    let run: Value = serde_json::from_str(&output.stdout).unwrap();
    assert_eq!(run["report"]["decision"]["counts"]["passed"], 5);
    let seen = server.seen.lock().unwrap();
    assert_eq!(seen.len(), 10);
    for (head, body) in seen.iter() {
        assert!(head.contains(&format!("Bearer {KEY}")), "{head}");
        assert_eq!(body["response_format"]["type"], "json_schema");
        assert_eq!((&body["model"], &body["temperature"]), (&json!("m"), &json!(0)));
    }
    for (path, bytes) in all_bytes(&project.path("")) {
        let found = bytes.windows(KEY.len()).any(|window| window == KEY.as_bytes());
        assert!(!found, "{} holds the key", path.display());
    }
}

#[test]
fn another_key_changes_nothing() {
    let server = Server::start(|_, _| (200, completion(VERDICT)));
    let mut project = project(&server);
    project.json();
    project.set("JUDGE_API_KEY", "sk-another");
    assert_eq!(project.json()["run"]["calls_made"], 0);
}

#[test]
fn troubles_are_survived_and_asked_no_more_than_needed() {
    // Every third request fails first.
    let server = Server::start(|number, _| {
        if number % 3 == 0 { (503, r#"{"error":"busy"}"#.to_owned()) } else { (200, completion(VERDICT)) }
    });
    let run = project(&server).json();
    assert_eq!(run["report"]["decision"]["counts"]["passed"], 5);
    assert_eq!(run["run"]["stages"][2]["status"], "run");
}

#[test]
fn a_wrong_key_stops_at_once_and_says_who_said_so() {
    let server = Server::start(|_, _| (401, format!(r#"{{"error":"the key {KEY} is wrong"}}"#)));
    let project = project(&server);
    let output = project.run(&["run", "pipelines/p.yaml"]).exits(1);
    assert!(output.stderr.contains("401") && output.stderr.contains("/chat/completions"), "{output}");
    assert!(!output.stderr.contains(KEY), "{output}");
    assert!(server.seen.lock().unwrap().len() <= 2, "nothing more is asked than was under way");
}

#[test]
fn a_key_that_is_not_set_is_a_problem_before_anything_runs() {
    let server = Server::start(|_, _| (200, completion(VERDICT)));
    let mut project = project(&server);
    project.write("pipelines/p.yaml", &project.read("pipelines/p.yaml").replace("JUDGE_API_KEY", "OTHER_KEY"));
    let output = project.run(&["run", "pipelines/p.yaml"]).exits(2);
    assert!(output.stderr.contains("OTHER_KEY"), "{output}");
    let text = project.read("pipelines/p.yaml").replace("${OTHER_KEY}", KEY);
    project.write("pipelines/p.yaml", &text);
    project.set("IGNORED", "1");
    let output = project.run(&["run", "pipelines/p.yaml"]).exits(2);
    assert!(!output.stderr.contains(KEY), "a secret written in the file is not repeated: {output}");
    assert!(server.seen.lock().unwrap().is_empty());
}

#[test]
fn an_audit_counts_calls_that_are_not_answered_as_neither_same_nor_different() {
    let other = VERDICT.replace("kind", "not kind");
    let server = Server::start(move |number, _| match number {
        0..10 => (200, completion(VERDICT)),
        number if number % 2 == 0 => (401, format!(r#"{{"error":"the key {KEY} is wrong"}}"#)),
        _ => (200, completion(&other)),
    });
    let project = project(&server);
    project.json();
    let output = project.run(&["cache", "audit", "pipelines/p.yaml", "--json"]).exits(1);
    let found: Value = serde_json::from_str(&output.stdout).unwrap();
    let counts = ["hits", "compared", "same", "differ", "failed"].map(|count| found[count].as_u64().unwrap());
    assert_eq!(counts, [15, 10, 5, 5, 5], "{output}");
    assert!(output.stderr.contains("5 calls not answered, the first one because"), "{output}");
    assert!(!output.stderr.contains(KEY) && !output.stdout.contains(KEY), "{output}");
    assert_eq!(project.calls_kept(), 15, "nothing new is kept");
}
