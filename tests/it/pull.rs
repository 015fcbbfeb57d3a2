//! Weights alone: `evalflow pull` and `evalflow models`, sources that are tried in turn, and files that are here already.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::env::Project;
use crate::gguf::{self, Value as Field};

/// A web server with some files; all else is not there.
struct Server {
    address: String,
    asked: Arc<Mutex<Vec<String>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    fn start(files: Vec<(&'static str, Vec<u8>)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let (asked, stop) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let (asked_there, stop_there) = (Arc::clone(&asked), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                if stop_there.load(Ordering::SeqCst) {
                    break;
                }
                serve(stream, &files, &asked_there);
            }
        });
        Self { address, asked, stop, thread: Some(thread) }
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.address)
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        // Wakes the thread from waiting for a connection.
        TcpStream::connect(self.address.trim_start_matches("http://")).ok();
        self.thread.take().unwrap().join().unwrap();
    }
}

fn serve(mut stream: TcpStream, files: &[(&'static str, Vec<u8>)], asked: &Mutex<Vec<String>>) {
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
    let Some(first) = lines.next() else { return };
    let path = first.split(' ').nth(1).unwrap().to_owned();
    // Whoever hangs up before all is read may not see the answer.
    lines.find(String::is_empty);
    asked.lock().unwrap().push(path.clone());
    let (status, body) = match files.iter().find(|(name, _)| *name == path) {
        Some((_, bytes)) => ("200 OK", bytes.as_slice()),
        None => ("404 Not Found", b"".as_slice()),
    };
    let head =
        format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nETag: \"1\"\r\nConnection: close\r\n\r\n", body.len());
    stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body)).ok();
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A model that can be asked.
fn model(name: &str) -> Vec<u8> {
    with_template(name, "{% for message in messages %}{{ message.content }}{% endfor %}")
}

fn with_template(name: &str, template: &str) -> Vec<u8> {
    let field = |name, text| (name, Field::Text(text));
    gguf::file(&[
        field("general.architecture", "llama"),
        field("general.name", name),
        field("tokenizer.chat_template", template),
        ("llama.context_length", Field::Number(2048)),
    ])
}

fn project() -> Project {
    let project = Project::empty();
    fs_err::create_dir_all(project.path("models")).unwrap();
    fs_err::write(project.path("models/a.gguf"), model("Tiny")).unwrap();
    project
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

#[test]
fn a_source_is_pulled_and_listed() {
    let project = project();
    let pulled = project.run(&["pull", "file:models/a.gguf"]).exits(0);
    insta::with_settings!({ filters => vec![(r"\d+(\.\d)? m?s\b", "[time]")] }, {
        insta::assert_snapshot!(pulled.to_string());
    });
    let listed = project.run(&["models"]).exits(0);
    insta::assert_snapshot!(listed.to_string());
    let list = json(&project.run(&["models", "--json"]).exits(0).stdout);
    let model = &list.as_array().unwrap()[0];
    assert_eq!((&model["model"], &model["sha256"]), (&"Tiny".into(), &sha256(&self::model("Tiny")).into()));
    // It is found the second time.
    let again = project.run(&["pull", "file:models/a.gguf", "--json"]).exits(0);
    assert!(again.stderr.contains("= weights  cached"), "{again}");
    assert_eq!(json(&again.stdout)[0]["model"], "Tiny");
}

#[cfg(unix)]
#[test]
fn a_local_file_is_not_copied_and_a_change_of_it_is_noticed() {
    use std::os::unix::fs::MetadataExt;
    let project = project();
    project.run(&["pull", "file:models/a.gguf"]).exits(0);
    let list = json(&project.run(&["models", "--json"]).exits(0).stdout);
    let id = list[0]["weights"].as_str().unwrap().to_owned();
    let object = project.path(&format!("cache/objects/{}/{id}", &id[..2]));
    let inode = |path: &std::path::Path| fs_err::metadata(path).unwrap().ino();
    let is_same = inode(&object) == inode(&project.path("models/a.gguf"));
    assert!(is_same || reflink_copy::reflink(&object, project.path("probe")).is_ok());
    assert!(
        !fs_err::read_dir(project.path("cache/partial"))
            .unwrap()
            .any(|entry| { !entry.unwrap().file_name().into_string().unwrap().ends_with(".lock") })
    );
    // Another file under the same name is another model, and the old one is gone rather than wrong.
    fs_err::write(project.path("models/a.gguf"), model("Other")).unwrap();
    let pulled = project.run(&["pull", "file:models/a.gguf", "--json"]).exits(0);
    assert_eq!(json(&pulled.stdout)[0]["model"], "Other");
}

#[test]
fn only_the_pull_stages_of_a_pipeline_run() {
    let project = project();
    let pipeline = r#"evalflow: 1
name: p
stages:
  candidates: { research: { catalog: [models.csv] } }
  weights: { pull: { model: candidates.primary } }
  scenarios: { generate: { file: s.jsonl } }
  answers: { infer: { model: weights, scenarios: scenarios } }
"#;
    project.write("pipelines/p.yaml", pipeline);
    project.write("models.csv", "id,params_b,license,type,weights\na/one,7,apache-2.0,chat,file:models/a.gguf\n");
    project.write("s.jsonl", "{\"opening\": \"hi\"}\n");
    let pulled = project.run(&["pull", "pipelines/p.yaml"]).exits(0);
    assert!(pulled.stderr.contains("✓ candidates") && pulled.stderr.contains("✓ weights"), "{pulled}");
    assert!(!pulled.stderr.contains("scenarios") && !pulled.stderr.contains("answers"), "{pulled}");
    assert!(pulled.stdout.contains("a/one"), "{pulled}");
    let plan = json(&project.run(&["plan", "pipelines/p.yaml", "--json"]).exits(0).stdout);
    assert_eq!(plan["stages"][1]["status"], "cached", "{plan}");
}

#[test]
fn sources_are_tried_in_turn_and_each_failure_is_told() {
    let bytes = model("Tiny");
    let server = Server::start(vec![("/wrong.gguf", model("Wrong")), ("/right.gguf", bytes.clone())]);
    let project = project();
    let pipeline = |sources: &[&str]| {
        let list = sources.join("\", \"");
        let text = format!(
            "evalflow: 1\nname: p\nstages:\n  weights: {{ pull: {{ from: [\"{list}\"], sha256: {} }} }}\n",
            sha256(&bytes)
        );
        project.write("pipelines/p.yaml", &text);
    };
    let urls = [server.url("/none.gguf"), server.url("/wrong.gguf"), server.url("/right.gguf")];
    pipeline(&["file:models/none.gguf", &urls[0], &urls[1], &urls[2]]);
    let run = project.run(&["pull", "pipelines/p.yaml", "--json"]).exits(0);
    for told in ["models/none.gguf: there is no file", "answered 404", "/wrong.gguf: the file's sha256 is"] {
        assert!(run.stderr.contains(told), "{told}\n{run}");
    }
    assert_eq!(json(&run.stdout)[0]["source"], urls[2].as_str());
    // Another list of places is the same file, known by its digest: nobody is asked.
    let asked = server.asked().len();
    pipeline(&[&urls[0], "hf:org/repo:Q4_0"]);
    let run = project.run(&["pull", "pipelines/p.yaml", "--offline"]).exits(0);
    assert!(run.stderr.contains("= weights  cached"), "{run}");
    assert_eq!(server.asked().len(), asked);
    // Where none has it, all are told.
    let other = self::project();
    other.write("pipelines/p.yaml", &project.read("pipelines/p.yaml"));
    let run = other.run(&["pull", "pipelines/p.yaml", "--offline"]).exits(1);
    assert!(run.stderr.contains("none of its 2 sources has the file; the last one: "), "{run}");
}

#[test]
fn the_same_bytes_are_not_brought_twice() {
    let bytes = model("Tiny");
    let server = Server::start(vec![("/a.gguf", bytes.clone()), ("/b.gguf", bytes.clone())]);
    let project = project();
    let pull = |path: &str| project.run(&["pull", &server.url(path), "--sha256", &sha256(&bytes)]).exits(0);
    let _first = pull("/a.gguf");
    let second = pull("/b.gguf");
    assert!(second.stderr.contains("the store has these bytes already"), "{second}");
    assert_eq!(server.asked(), ["/a.gguf"]);
    let list = json(&project.run(&["models", "--json"]).exits(0).stdout);
    assert_eq!(list.as_array().unwrap().len(), 1);
}

#[test]
fn a_split_model_of_this_machine_is_known_by_all_of_its_parts() {
    let project = project();
    let part = |number: u32, name: &str| {
        let mut fields = vec![("split.no", Field::Number(number)), ("split.count", Field::Number(2))];
        if number == 0 {
            fields.push(("general.architecture", Field::Text("llama")));
            fields.push(("general.name", Field::Text(name)));
        }
        let path = project.path(&format!("models/m-0000{}-of-00002.gguf", number + 1));
        fs_err::write(path, gguf::file(&fields)).unwrap();
    };
    part(0, "One");
    part(1, "");
    project.write(
        "pipelines/p.yaml",
        "evalflow: 1\nname: p\nstages:\n  w: { pull: { from: \"file:models/m-00001-of-00002.gguf\" } }\n",
    );
    let pull = || project.run(&["pull", "pipelines/p.yaml", "--json"]).exits(0);
    let first = pull();
    assert!(first.stderr.contains("joining 2 shards"), "{first}");
    assert_eq!(json(&first.stdout)[0]["model"], "One");
    assert!(pull().stderr.contains("= w  cached"));
    // A part that changes is another model, whichever it is.
    let second = project.path("models/m-00002-of-00002.gguf");
    let mut longer = fs_err::read(&second).unwrap();
    longer.extend([0; 32]);
    fs_err::write(&second, longer).unwrap();
    assert!(!pull().stderr.contains("cached"));
}

#[test]
fn a_model_that_cannot_be_asked_is_refused() {
    let project = project();
    fs_err::write(project.path("models/a.gguf"), with_template("Bad", "{{ raise_exception('no') }}")).unwrap();
    let run = project.run(&["pull", "file:models/a.gguf"]).exits(1);
    assert!(run.stderr.contains("is not usable: its chat template cannot be rendered: "), "{run}");
    assert!(run.stderr.contains("help: pull another conversion of the model"), "{run}");
    assert_eq!(json(&project.run(&["models", "--json"]).exits(0).stdout), Value::Array(vec![]));
}

#[test]
fn what_was_not_usable_is_tried_again_without_bringing_it_again() {
    let bytes = with_template("Bad", "{{ raise_exception('no') }}");
    let server = Server::start(vec![("/a.gguf", bytes)]);
    let project = project();
    let url = server.url("/a.gguf");
    let pull = |more: &[&str]| project.run(&[&["pull", &url], more].concat()).exits(1);
    assert!(!pull(&[]).stderr.contains("from an earlier run"));
    for more in [&[][..], &["--offline"]] {
        let run = pull(more);
        assert!(run.stderr.contains("it is here from an earlier run, whose trial did not end well"), "{run}");
        assert!(run.stderr.contains("its chat template cannot be rendered"), "{run}");
    }
    assert_eq!(server.asked(), ["/a.gguf"]);
    let _anew = pull(&["--force"]);
    assert_eq!(server.asked(), ["/a.gguf", "/a.gguf"]);
}

#[test]
fn what_was_not_usable_is_not_brought_from_the_next_place_either() {
    let bytes = with_template("Bad", "{{ raise_exception('no') }}");
    let server = Server::start(vec![("/a.gguf", bytes.clone()), ("/b.gguf", bytes.clone())]);
    let project = project();
    let text = format!(
        "evalflow: 1\nname: p\nstages:\n  w: {{ pull: {{ from: [\"{}\", \"{}\"], sha256: {} }} }}\n",
        server.url("/a.gguf"),
        server.url("/b.gguf"),
        sha256(&bytes)
    );
    project.write("pipelines/p.yaml", &text);
    let run = project.run(&["pull", "pipelines/p.yaml"]).exits(1);
    assert!(run.stderr.contains("its chat template cannot be rendered"), "{run}");
    assert_eq!(server.asked(), ["/a.gguf"]);
}

#[test]
fn what_cannot_be_pulled_is_told() {
    let project = project();
    project.write("pipelines/none.yaml", "evalflow: 1\nname: p\nstages:\n  s: { generate: { file: s.jsonl } }\n");
    project.write("s.jsonl", "{\"opening\": \"hi\"}\n");
    let url = "https://127.0.0.1:9/a.gguf?x=1";
    for (arguments, code, expected) in [
        (vec!["pull"], 2, "PIPELINE|SOURCE"),
        (vec!["pull", "ftp:a"], 2, "this is no source: weights come from `hf:org/repo:Q4_K_M`"),
        (vec!["pull", "hf:repo"], 2, "this is no source: a model of the hub is written"),
        (vec!["pull", url], 2, "an address with a query needs `--sha256`"),
        (vec!["pull", "pipelines/none.yaml"], 2, "has no `pull` stage"),
        (vec!["pull", "file:models/a.gguf", "--sha256", "12"], 2, "64 digits"),
        (vec!["pull", "file:models/none.gguf"], 1, "models/none.gguf"),
        (vec!["pull", "hf:org/repo:Q4_0", "--offline"], 1, "would be fetched, and the run is offline"),
    ] {
        let run = project.run(&arguments).exits(code);
        assert!(run.stderr.contains(expected), "{expected}\n{run}");
    }
}

#[test]
fn one_of_two_programs_brings_the_file() {
    let bytes = model("Tiny");
    let server = Server::start(vec![("/a.gguf", bytes)]);
    let project = project();
    let url = server.url("/a.gguf");
    let done = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let run = project.run(&["pull", &url]);
                assert_eq!(run.code, Some(0), "{run}");
                done.fetch_add(1, Ordering::SeqCst);
            });
        }
    });
    assert_eq!((done.load(Ordering::SeqCst), server.asked().len()), (3, 1));
}
