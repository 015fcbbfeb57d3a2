//! Catalogs that a hub gives: asked for once, kept, shown with their age, pinned by a lock.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use serde_json::{Value, json};

use crate::env::{Project, all_bytes};

const FILE: &str = "pipelines/p.yaml";
const TOKEN: &str = "hf_hunter2";

const PIPELINE: &str = r#"evalflow: 1
name: choice
stages:
  candidates:
    research:
      catalog:
        - hub: { pipeline_tag: text-generation, license: apache-2.0, params_b: "1..9", gguf: true, limit: 150 }
        - own.csv
      require: { license: commercial }
      profile: { prefer: { ifeval: 1 } }
report: { markdown: docs/choice.md }
"#;

/// A server that answers as the hub does, in two pages.
struct Hub {
    address: String,
    /// Downloads of the first model: another answer of the same models.
    downloads: Arc<AtomicU64>,
    /// What it answers instead, if anything.
    instead: Arc<Mutex<Option<(u16, &'static str)>>>,
    asked: Arc<Mutex<Vec<String>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Hub {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let mut hub = Self {
            address,
            downloads: Arc::new(AtomicU64::new(10)),
            instead: Arc::default(),
            asked: Arc::default(),
            stop: Arc::default(),
            thread: None,
        };
        let (downloads, instead) = (Arc::clone(&hub.downloads), Arc::clone(&hub.instead));
        let (asked, stop) = (Arc::clone(&hub.asked), Arc::clone(&hub.stop));
        let thread = std::thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                if stop.load(Ordering::SeqCst) {
                    break;
                }
                let instead = *instead.lock().unwrap();
                serve(stream, &asked, instead, downloads.load(Ordering::SeqCst));
            }
        });
        hub.thread = Some(thread);
        hub
    }

    fn asked(&self) -> usize {
        self.asked.lock().unwrap().len()
    }

    fn answers_instead(&self, answer: (u16, &'static str)) {
        *self.instead.lock().unwrap() = Some(answer);
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        // Wakes the thread from waiting for a connection.
        TcpStream::connect(self.address.trim_start_matches("http://")).ok();
        self.thread.take().unwrap().join().unwrap();
    }
}

fn serve(mut stream: TcpStream, asked: &Mutex<Vec<String>>, instead: Option<(u16, &str)>, downloads: u64) {
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
    let Some(first) = lines.next() else { return };
    let headers: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
    let shown = headers.iter().any(|line| line.to_ascii_lowercase() == format!("authorization: bearer {TOKEN}"));
    let path = first.split(' ').nth(1).unwrap().to_owned();
    let (status, link, body) = match instead {
        Some((status, body)) => (status, "", body.to_owned()),
        None if !shown => (401, "", "{}".to_owned()),
        None if path.contains("cursor=2") => (200, "", json!([model("acme/small-GGUF", 2, 5)]).to_string()),
        None => {
            let page = json!([model("acme/large-GGUF", 8, downloads), model("acme/huge-GGUF", 70, 9)]);
            (200, "Link: <https://hub.invalid/api/models?cursor=2>; rel=\"next\"\r\n", page.to_string())
        }
    };
    asked.lock().unwrap().push(path);
    let head = format!("HTTP/1.1 {status} x\r\n{link}Content-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes())).ok();
}

fn model(id: &str, billions: u64, downloads: u64) -> Value {
    let file = format!("{}-Q4_K_M.gguf", id.split('/').nth(1).unwrap());
    json!({
        "id": id, "pipeline_tag": "text-generation", "downloads": downloads, "gated": false,
        "tags": ["gguf", "conversational", "license:apache-2.0"], "siblings": [{ "rfilename": file }],
        "createdAt": "2025-03-04T05:06:07.000Z", "lastModified": "2025-04-05T00:00:00.000Z",
        "gguf": { "total": billions * 1_000_000_000, "architecture": "llama", "context_length": 8192 },
    })
}

fn project(hub: &str) -> Project {
    let mut project = Project::empty();
    project.write(FILE, PIPELINE);
    project.write("own.csv", "id,context,ifeval\nacme/small-GGUF,4096,60\nacme/large-GGUF,,70\n");
    project.set("HF_ENDPOINT", hub);
    project.set("HF_TOKEN", TOKEN);
    project
}

/// The clock of a project so many days after its usual one.
fn days_later(project: &mut Project, days: i64) {
    project.set("EVALFLOW_CLOCK", &(1_767_225_600 + days * 86_400).to_string());
}

fn json_of(project: &Project, arguments: &[&str]) -> Value {
    let output = project.run(arguments).exits(0);
    serde_json::from_str(&output.stdout).unwrap_or_else(|error| panic!("{error}\n{output}"))
}

fn status(project: &Project) -> Value {
    json_of(project, &["plan", FILE, "--json"])["stages"][0]["status"].clone()
}

#[test]
fn a_search_is_put_once_and_shown_with_its_age() {
    let hub = Hub::start();
    let mut project = project(&hub.address);
    let plan = project.run(&["plan", FILE]).exits(0);
    assert!(plan.stdout.contains("asks the hub for its catalog"), "{plan}");
    assert_eq!(hub.asked(), 0, "a plan asks nobody");

    let run = project.run(&["run", FILE]).exits(0);
    assert!(run.stderr.contains("asking the hub for `hub?pipeline_tag=text-generation&"), "{run}");
    let asked = hub.asked.lock().unwrap().clone();
    let query =
        "/api/models?pipeline_tag=text-generation&filter=license%3Aapache-2.0&filter=gguf&num_parameters=min%3A1000M";
    assert!(asked[0].starts_with(query), "{asked:?}");
    assert_eq!(asked[1..], ["/api/models?cursor=2"]);
    let report = project.read("docs/choice.md");
    assert!(report.contains("2026-01-01, 0 days old"), "{report}");

    days_later(&mut project, 3);
    let table = json_of(&project, &["research", FILE, "--format", "json"]);
    let rows = table["shortlist"].as_array().unwrap();
    let cells: Vec<_> = rows.iter().map(|row| (row["id"].as_str(), row["context"].as_u64())).collect();
    // What is outside of the range is left out whatever the hub lets pass, and a later catalog's cell counts.
    assert_eq!(cells, [(Some("acme/large-GGUF"), Some(8192)), (Some("acme/small-GGUF"), Some(4096))]);
    assert_eq!(rows[0]["weights"], "hf:acme/large-GGUF:Q4_K_M");
    assert_eq!((&table["fetched"][0]["fetched"], &table["fetched"][0]["age_days"]), (&json!("2026-01-01"), &json!(3)));
    let table = project.run(&["research", FILE]).exits(0);
    assert!(table.stdout.contains("limit=150: fetched 2026-01-01, 3 days old"), "{table}");

    let again = project.run(&["run", FILE, "--offline"]).exits(0);
    assert!(again.stderr.contains("= candidates"), "{again}");
    assert_eq!(project.read("docs/choice.md"), report, "a run that finds everything changes no report");
    assert_eq!((status(&project), hub.asked()), (json!("cached"), 2));
    for (path, bytes) in all_bytes(&project.path("")) {
        let holds = bytes.windows(TOKEN.len()).any(|part| part == TOKEN.as_bytes());
        assert!(!holds, "{} holds the token", path.display());
    }
}

#[test]
fn who_asks_again_gets_what_the_hub_says_now() {
    let hub = Hub::start();
    let mut project = project(&hub.address);
    project.run(&["run", FILE]).exits(0);
    days_later(&mut project, 3);
    // The same rows are the same catalog, which is younger.
    let same = project.run(&["run", FILE, "--refresh"]).exits(0);
    assert!(same.stderr.contains("= candidates"), "{same}");
    assert_eq!(hub.asked(), 4);
    let table = project.run(&["research", FILE]).exits(0);
    assert!(table.stdout.contains("fetched 2026-01-04, 0 days old"), "{table}");
    hub.downloads.store(11, Ordering::SeqCst);
    let other = project.run(&["run", FILE, "--refresh"]).exits(0);
    assert!(other.stderr.contains("✓ candidates"), "{other}");
    let table = project.run(&["research", FILE, "--refresh"]).exits(0);
    assert!(table.stderr.contains("asking the hub"), "{table}");
    assert_eq!((hub.asked(), status(&project)), (8, json!("cached")));
}

#[test]
fn what_cannot_be_fetched_is_said() {
    let offline = project("https://hub.invalid");
    for command in ["run", "research"] {
        let output = offline.run(&[command, FILE, "--offline"]).exits(1);
        assert!(output.stderr.contains("the hub would be asked for a catalog, and the run is offline"), "{output}");
        assert!(output.stderr.contains("run once without `--offline`"), "{output}");
    }
    let hub = Hub::start();
    let project = project(&hub.address);
    for (answer, expected) in [
        ((401, "{}"), "answered 401 to a search: the token is not valid"),
        ((403, "{}"), "answered 403 to a search: the token is not valid"),
        ((200, "<html>Sign in</html>"), "cannot be read: a web page came"),
        ((200, "[]"), "the hub knows no model for `hub?pipeline_tag=text-generation"),
    ] {
        hub.answers_instead(answer);
        let output = project.run(&["run", FILE]).exits(1);
        assert!(output.stderr.contains(expected) && !output.stderr.contains(TOKEN), "{output}");
        let blessed = project.run(&["bless", FILE]).exits(1);
        assert!(blessed.stderr.contains("`candidates` would run"), "{blessed}");
    }
}

#[test]
fn a_lock_pins_what_was_fetched() {
    let hub = Hub::start();
    let mut project = project(&hub.address);
    project.run(&["run", FILE]).exits(0);
    project.run(&["bless", FILE]).exits(0);
    let lock = project.read("pipelines/p.lock");
    assert!(lock.contains("catalogs:\n") && lock.contains("fetched: \"2026-01-01\""), "{lock}");
    let report = project.read("docs/choice.md");

    // The hub answers otherwise, and is gone.
    hub.downloads.store(11, Ordering::SeqCst);
    days_later(&mut project, 5);
    project.run(&["run", FILE, "--refresh"]).exits(0);
    drop(hub);
    project.run(&["run", FILE, "--frozen"]).exits(0);
    assert_eq!(project.read("docs/choice.md"), report);
    assert_eq!(project.read("pipelines/p.lock"), lock);
    let verified = project.run(&["verify", FILE]).exits(0);
    assert!(verified.stderr.contains("computed again: identical"), "{verified}");
    project.run(&["export-baseline", FILE, "baseline.tar.zst"]).exits(0);

    let elsewhere = self::project("https://hub.invalid");
    elsewhere.write("pipelines/p.lock", &lock);
    fs_err::copy(project.path("baseline.tar.zst"), elsewhere.path("baseline.tar.zst")).unwrap();
    elsewhere.run(&["import-baseline", "baseline.tar.zst"]).exits(0);
    elsewhere.run(&["run", FILE, "--frozen"]).exits(0);
    assert_eq!(elsewhere.read("docs/choice.md"), report);
    elsewhere.run(&["verify", FILE]).exits(0);
    // Another search is another catalog, which no lock has pinned.
    elsewhere.edit(FILE, "limit: 150", "limit: 100");
    let differs = elsewhere.run(&["run", FILE, "--frozen"]).exits(1);
    assert!(differs.stderr.contains("`candidates`") && differs.stderr.contains("catalog"), "{differs}");
}

#[test]
fn a_baseline_brings_the_search_along() {
    let hub = Hub::start();
    let project = project(&hub.address);
    project.run(&["run", FILE]).exits(0);
    project.run(&["bless", FILE]).exits(0);
    project.run(&["export-baseline", FILE, "baseline.tar.zst"]).exits(0);
    let elsewhere = self::project("https://hub.invalid");
    fs_err::copy(project.path("baseline.tar.zst"), elsewhere.path("baseline.tar.zst")).unwrap();
    elsewhere.run(&["import-baseline", "baseline.tar.zst"]).exits(0);
    let run = elsewhere.run(&["run", FILE, "--offline"]).exits(0);
    assert!(run.stderr.contains("= candidates"), "{run}");
}
