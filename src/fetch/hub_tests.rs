//! Tests of models from hubs and registries: on servers of this machine that answer as those do.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::json;

use super::gguf::sample::{Sample, Value};
use super::server::{Answer, Request, Server};
use super::testing::{Bench, sha256};
use super::*;
use crate::spec::Secret;

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// A repository: paths and bytes.
type Files = BTreeMap<String, Vec<u8>>;

fn weights(byte: u8) -> Vec<u8> {
    vec![byte; 300_000]
}

/// Answers as the hub does for one repository, for whoever shows `token` where there is one.
fn hub(files: &Files, token: Option<&str>, request: &Request) -> Answer {
    let shown = request.header("authorization").and_then(|text| text.strip_prefix("Bearer "));
    if token.is_some() && shown != token {
        return Answer::new(401, b"{\"error\":\"Invalid username or password.\"}");
    }
    let path = request.path.split('?').next().unwrap();
    if ["main", COMMIT, "refs%2Fpr%2F3"].iter().any(|name| path == format!("/api/models/org/repo/revision/{name}")) {
        let siblings: Vec<_> = files
            .iter()
            .map(|(name, bytes)| {
                let lfs = json!({ "sha256": sha256(bytes), "size": bytes.len(), "pointerSize": 134 });
                json!({ "rfilename": name, "size": bytes.len(), "blobId": "0", "lfs": lfs })
            })
            .chain([json!({ "rfilename": "README.md", "size": 5, "blobId": "0" })])
            .collect();
        let list = json!({ "id": "org/repo", "sha": COMMIT, "siblings": siblings });
        return Answer::new(200, list.to_string().as_bytes()).header("Content-Type", "application/json");
    }
    let file = path.strip_prefix(&format!("/org/repo/resolve/{COMMIT}/")).map(|name| name.replace("%20", " "));
    match file.and_then(|name| files.get(&name)) {
        Some(bytes) => Answer::file(bytes, &format!("\"{}\"", sha256(bytes)), request).header("Accept-Ranges", "bytes"),
        None => Answer::new(404, b""),
    }
}

fn named(names: &[&str]) -> Files {
    names.iter().zip(1..).map(|(name, byte)| ((*name).to_owned(), weights(byte))).collect()
}

async fn server(files: Files, token: Option<&'static str>) -> Server {
    let files = Arc::new(files);
    Server::start(move |_, request| hub(&files, token, request)).await
}

fn bench(server: &Server) -> Bench {
    let mut bench = Bench::new();
    bench.access.hub = server.url("/");
    bench
}

async fn fetch(bench: &Bench, source: &str) -> Result<Fetched, FetchError> {
    bench.fetch(&source.parse().unwrap(), None).await
}

#[tokio::test]
async fn a_model_is_chosen_by_path_or_quantisation() {
    let names = [
        "model-Q4_K_M.gguf",
        "model-UD-Q4_K_M.gguf",
        "model-IQ4_XS.gguf",
        "Q8_0/model.Q8_0.gguf",
        "sub/a b.gguf",
        "mmproj-Q8_0.gguf",
        "imatrix-Q8_0.gguf",
    ];
    let server = server(named(&names), None).await;
    for (source, chosen) in [
        ("hf:org/repo:Q4_K_M", 1),
        ("hf:org/repo:q4_k_m", 1),
        ("hf:org/repo:UD-Q4_K_M", 2),
        ("hf:org/repo:IQ4_XS@refs/pr/3", 3),
        ("hf:org/repo:Q8_0", 4),
        ("hf:org/repo/sub/a b.gguf", 5),
    ] {
        let bench = bench(&server);
        let fetched = fetch(&bench, source).await.unwrap();
        assert_eq!(
            (&fetched.sha256, fetched.revision.as_deref()),
            (&sha256(&weights(chosen)), Some(COMMIT)),
            "{source}"
        );
        assert_eq!(bench.left(), ["it", "it.lock"]);
    }
}

/// Checks an error and that its help says these words.
async fn check_error(bench: &Bench, source: &str, expected: &str, help: &str) {
    let error = fetch(bench, source).await.unwrap_err();
    assert_eq!(error.to_string(), expected);
    let found = error.help().unwrap();
    assert!(found.contains(help), "{found}");
    assert!(!format!("{error:?}{found}").contains("hunter2"), "{error:?}");
}

#[tokio::test]
async fn what_a_repository_has_instead_is_named() {
    let server = server(named(&["a-Q4_0.gguf", "b-Q4_0.gguf", "c-Q8_0-00001-of-00002.gguf"]), None).await;
    let bench = bench(&server);
    let all = "`a-Q4_0.gguf`, `b-Q4_0.gguf`, `c-Q8_0-00001-of-00002.gguf`";
    check_error(&bench, "hf:org/repo:Q5_0", "`org/repo` has no model `Q5_0`", all).await;
    check_error(&bench, "hf:org/repo:4_0", "`org/repo` has no model `4_0`", all).await;
    check_error(
        &bench,
        "hf:org/repo:Q4_0",
        "`org/repo` has several models that are `Q4_0`",
        "`a-Q4_0.gguf`, `b-Q4_0.gguf`",
    )
    .await;
    check_error(&bench, "hf:org/repo", "`org/repo` has several models", all).await;
    check_error(&bench, "hf:org/repo:Q8_0", "`org/repo/c-Q8_0` has 1 of its 2 shards", "another quantisation").await;
    let empty = self::server(named(&[]), None).await;
    check_error(&self::bench(&empty), "hf:org/repo", "`org/repo` has no GGUF model", "-GGUF").await;
    check_error(
        &bench,
        "hf:org/repo@none",
        "the hub answered 404 for `org/repo` at `none`: there is no such repository or revision",
        "revision",
    )
    .await;
}

#[tokio::test]
async fn who_may_not_have_a_model_is_told_how_to_get_it() {
    let server = server(named(&["a.gguf"]), Some("hunter2")).await;
    let mut bench = bench(&server);
    let refused = "the hub answered 401 for `org/repo` at `main`: it is not there, or";
    check_error(&bench, "hf:org/repo", &format!("{refused} not for everybody"), "set `HF_TOKEN`").await;
    bench.access.hub_token = Some(Secret::new("other".to_owned()));
    check_error(&bench, "hf:org/repo", &format!("{refused} the token is not valid"), "renew `HF_TOKEN`").await;
    bench.access.hub_token = Some(Secret::new("hunter2".to_owned()));
    assert_eq!(fetch(&bench, "hf:org/repo").await.unwrap().sha256, sha256(&weights(1)));
}

#[tokio::test]
async fn an_answer_that_is_no_list_is_told() {
    for body in ["<html>", "{}", "{\"sha\":\"../x\",\"siblings\":[]}"] {
        let server = Server::start(move |_, _| Answer::new(200, body.as_bytes())).await;
        let error = fetch(&bench(&server), "hf:org/repo").await.unwrap_err();
        assert!(matches!(error, FetchError::BadAnswer { .. }), "{error}");
    }
    // Trying again is worth it where the hub is busy.
    let files = named(&["a.gguf"]);
    let server = Server::start(move |number, request| match number {
        0 => Answer::new(503, b""),
        _ => hub(&files, None, request),
    })
    .await;
    fetch(&bench(&server), "hf:org/repo").await.unwrap();
}

#[tokio::test]
async fn bytes_that_are_not_those_of_the_list_are_refused() {
    let (files, changed) = (named(&["a.gguf"]), [("a.gguf".to_owned(), weights(9))].into());
    let answer = move |number, request: &Request| hub(if number == 0 { &files } else { &changed }, None, request);
    let server = Server::start(answer).await;
    let bench = bench(&server);
    let error = fetch(&bench, "hf:org/repo").await.unwrap_err();
    assert!(matches!(error, FetchError::WrongDigest { .. }), "{error}");
    assert_eq!(bench.left(), ["it.lock"]);
}

#[tokio::test]
async fn what_is_here_is_not_brought_again() {
    let server = server(named(&["a.gguf"]), None).await;
    let digest = sha256(&weights(1));
    // In the store, from another source.
    let mut one = bench(&server);
    one.kept = vec![(digest.clone(), Kept { bytes: 300_000, blake3: BlobId::of(&weights(1)) })];
    let fetched = fetch(&one, "hf:org/repo").await.unwrap();
    assert!(fetched.is_kept && fetched.blake3 == BlobId::of(&weights(1)));
    assert_eq!((server.requests().len(), one.left()), (1, vec!["it.lock".to_owned()]));
    // In the cache of the hub's own programs.
    let mut two = bench(&server);
    two.access.hub_cache = Some(two.path("hub"));
    let blobs = two.path("hub/models--org--repo/blobs");
    fs_err::create_dir_all(&blobs).unwrap();
    fs_err::write(blobs.join(&digest), weights(1)).unwrap();
    assert_eq!(fetch(&two, "hf:org/repo").await.unwrap().sha256, digest);
    assert_eq!(server.requests().len(), 2);
    // One that is damaged there is not taken.
    fs_err::write(blobs.join(&digest), weights(2)).unwrap();
    let error = fetch(&two, "hf:org/repo").await.unwrap_err();
    assert!(matches!(error, FetchError::WrongDigest { .. }), "{error}");
}

/// A model in three shards, and the whole that they make.
fn shards() -> Files {
    let split = |sample: Sample, number: u16| {
        let numbers = |value: u16| Value::Raw(2, value.to_le_bytes().to_vec());
        sample.with("split.no", numbers(number)).with("split.count", numbers(3)).write()
    };
    let tensors = |tensors| Sample { metadata: vec![], tensors, ..Sample::default() };
    let shards = [
        split(Sample { tensors: vec![(vec![4096], 0)], ..Sample::default() }, 0),
        split(tensors(vec![(vec![32, 4], 3)]), 1),
        split(tensors(vec![(vec![8], 0)]), 2),
    ];
    let name = |number: usize| format!("Q8_0/m-Q8_0-0000{number}-of-00003.gguf");
    shards.into_iter().enumerate().map(|(at, bytes)| (name(at + 1), bytes)).collect()
}

#[tokio::test]
async fn shards_are_brought_and_joined() {
    let files = shards();
    let all: u64 = files.values().map(|bytes| bytes.len() as u64).sum();
    let (served, broken) = (files.clone(), shards());
    let server = Server::start(move |number, request| {
        let answer = hub(&served, None, request);
        // The third shard does not come at first.
        if number == 3 { Answer::new(403, b"") } else { answer }
    })
    .await;
    let bench = bench(&server);
    let error = fetch(&bench, "hf:org/repo:Q8_0").await.unwrap_err();
    assert!(matches!(error, FetchError::HubRefused { status: 403, .. }), "{error}");
    assert_eq!(bench.left(), ["it.lock", "it.part1", "it.part2"]);
    let fetched = fetch(&bench, "hf:org/repo:Q8_0").await.unwrap();
    assert_eq!(bench.left(), ["it", "it.lock"]);
    // The list twice, each shard once, and the one that did not come once more.
    assert_eq!(server.requests().len(), 2 + 3 + 1);
    let header = gguf::read(&bench.partial()).unwrap();
    assert_eq!((header.parameters, header.name.as_deref()), (4096 + 128 + 8, Some("Small")));
    assert_eq!(fetched.bytes, fs_err::metadata(bench.partial()).unwrap().len());
    assert_eq!(fetched.sha256, sha256(&fs_err::read(bench.partial()).unwrap()));
    assert!(bench.notes().contains(&"joining 3 shards".to_owned()));

    // There must be room for the shards and for what they make.
    let server = self::server(broken, None).await;
    let mut full = self::bench(&server);
    full.manner.room = |_| Some(20_000);
    let error = fetch(&full, "hf:org/repo:Q8_0").await.unwrap_err();
    assert!(matches!(error, FetchError::TooLittleSpace { needed, .. } if needed == 2 * all), "{error}");
}

#[tokio::test]
async fn shards_are_found_beside_the_first_one() {
    let files = shards();
    let names: Vec<String> = files.keys().map(|name| format!("/{name}?token=x")).collect();
    let server = Server::start(move |_, request| {
        let path = request.path.trim_start_matches('/').split('?').next().unwrap_or_default();
        files.get(path).map_or(Answer::new(404, b""), |bytes| Answer::new(200, bytes))
    })
    .await;
    let bench = Bench::new();
    let url = server.url(&names[0]);
    let fetched = bench.fetch(&WeightsSource::Https(url), None).await.unwrap();
    assert_eq!(server.requests().iter().map(|request| request.path.clone()).collect::<Vec<_>>(), names);
    let header = gguf::read(&bench.partial()).unwrap();
    assert_eq!(header.parameters, 4096 + 128 + 8);
    assert_eq!(fetched.sha256, sha256(&fs_err::read(bench.partial()).unwrap()));
}

#[tokio::test]
async fn shards_on_this_machine_are_joined_and_stay() {
    let (bench, files) = (Bench::new(), shards());
    fs_err::create_dir(bench.path("Q8_0")).unwrap();
    for (name, bytes) in &files {
        fs_err::write(bench.path(name), bytes).unwrap();
    }
    let source: WeightsSource = "file:Q8_0/m-Q8_0-00001-of-00003.gguf".parse().unwrap();
    let fetched = bench.fetch(&source, None).await.unwrap();
    assert_eq!(gguf::read(&bench.partial()).unwrap().parameters, 4096 + 128 + 8);
    assert_eq!(fetched.sha256, sha256(&fs_err::read(bench.partial()).unwrap()));
    assert_eq!(bench.counted(), (fetched.bytes, fetched.bytes));
    // What they come to is known before they are joined.
    let parts: Vec<PathBuf> = files.keys().map(|name| bench.path(name)).collect();
    let joined = (gguf::read(&bench.partial()).unwrap(), fetched.bytes);
    assert_eq!(gguf::read_joined(&parts).unwrap(), joined);
    for (name, bytes) in &files {
        assert_eq!(&fs_err::read(bench.path(name)).unwrap(), bytes);
    }
    fs_err::remove_file(bench.path("Q8_0/m-Q8_0-00002-of-00003.gguf")).unwrap();
    let error = bench.fetch(&source, None).await.unwrap_err();
    assert!(matches!(&error, FetchError::NotFound { path } if path.ends_with("m-Q8_0-00002-of-00003.gguf")), "{error}");
    let mut full = Bench::new();
    full.manner.room = |_| Some(100);
    for (name, bytes) in &files {
        fs_err::create_dir_all(full.path("Q8_0")).unwrap();
        fs_err::write(full.path(name), bytes).unwrap();
    }
    let error = full.fetch(&source, None).await.unwrap_err();
    assert!(matches!(error, FetchError::TooLittleSpace { .. }), "{error}");
}

/// Answers as a registry of Ollama does for `library/tiny:1b`.
fn registry(request: &Request) -> Answer {
    let digest = sha256(&weights(5));
    match request.path.as_str() {
        "/v2/library/tiny/manifests/1b" | "/v2/me/tiny/manifests/latest" => {
            assert!(request.header("accept").unwrap().contains("manifest.v2+json"));
            Answer::new(200, manifest(&digest).as_bytes())
        }
        path if path.ends_with(&format!("/blobs/sha256:{digest}")) => {
            Answer::file(&weights(5), "\"five\"", request).header("Accept-Ranges", "bytes")
        }
        _ => Answer::new(404, b""),
    }
}

fn manifest(digest: &str) -> String {
    let layer = |kind: &str, digest: &str, size: u64| json!({ "mediaType": format!("application/vnd.ollama.image.{kind}"), "digest": format!("sha256:{digest}"), "size": size });
    let layers = [layer("model", digest, 300_000), layer("template", &"1".repeat(64), 7)];
    json!({ "schemaVersion": 2, "layers": layers }).to_string()
}

#[tokio::test]
async fn a_registry_gives_the_layer_of_weights() {
    let server = Server::start(|_, request| registry(request)).await;
    for source in ["ollama:tiny:1b", "ollama:me/tiny"] {
        let mut bench = Bench::new();
        bench.access.ollama = server.url("");
        assert_eq!(fetch(&bench, source).await.unwrap().sha256, sha256(&weights(5)), "{source}");
    }
    let mut bench = Bench::new();
    bench.access.ollama = server.url("");
    check_error(&bench, "ollama:tiny:2b", "the registry has no model `library/tiny:2b`", "the tag").await;
}

#[tokio::test]
async fn a_manifest_that_names_no_weights_is_told() {
    for manifest in ["{", "{\"layers\":[]}", &manifest("../../etc"), &manifest("12")] {
        let manifest = manifest.to_owned();
        let server = Server::start(move |_, _| Answer::new(200, manifest.as_bytes())).await;
        let mut bench = Bench::new();
        bench.access.ollama = server.url("");
        let error = fetch(&bench, "ollama:tiny").await.unwrap_err();
        assert!(matches!(error, FetchError::BadAnswer { .. }), "{error}");
    }
}

#[tokio::test]
async fn what_ollama_has_on_this_machine_is_used_where_it_lies() {
    let mut bench = Bench::new();
    let (models, digest) = (bench.path("ollama"), sha256(&weights(5)));
    bench.access.ollama_models = vec![bench.path("none"), models.clone()];
    let put = |path: &str, bytes: &[u8]| {
        let path = models.join(path);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, bytes).unwrap();
    };
    put("manifests/registry.ollama.ai/library/tiny/1b", manifest(&digest).as_bytes());
    put(&format!("blobs/sha256-{digest}"), &weights(5));
    let source: WeightsSource = "ollama:tiny:1b".parse().unwrap();
    assert!(is_here(&source, &bench.access));
    // No registry is asked: there is none.
    bench.access.ollama = "https://registry.ollama.ai".to_owned();
    let fetched = bench.fetch(&source, None).await.unwrap();
    assert_eq!((fetched.sha256, fetched.bytes), (digest.clone(), 300_000));
    is_same_file(&models.join(format!("blobs/sha256-{digest}")), &bench.partial());
    // What is not whole, or not there, is asked of the registry.
    put(&format!("blobs/sha256-{digest}"), b"cut");
    assert!(!is_here(&source, &bench.access));
    assert!(!is_here(&"ollama:tiny:2b".parse().unwrap(), &bench.access));
}

#[cfg(unix)]
fn is_same_file(one: &Path, other: &Path) {
    use std::os::unix::fs::MetadataExt;
    let inode = |path: &Path| fs_err::metadata(path).unwrap().ino();
    assert!(inode(one) == inode(other) || reflink_copy::reflink(one, other.with_extension("probe")).is_ok());
}

#[cfg(not(unix))]
fn is_same_file(_one: &Path, _other: &Path) {}

/// Answers as S3 does under path-style addresses, for whoever signs.
fn bucket(request: &Request) -> Answer {
    match request.path.split_once('?') {
        Some(("/models/sub/a%20b.gguf", query))
            if query.contains("X-Amz-Signature=") && query.contains("X-Amz-Credential=AKID%2F") =>
        {
            Answer::file(&weights(6), "\"six\"", request).header("Accept-Ranges", "bytes")
        }
        _ => Answer::new(403, b"<Error/>"),
    }
}

#[tokio::test]
async fn an_object_is_brought_with_a_signed_address() {
    let server = Server::start(|_, request| bucket(request)).await;
    let source = "s3://models/sub/a b.gguf";
    let settings = |pairs: &[(&str, &str)]| {
        let all = [("AWS_ENDPOINT_URL", server.url("")), ("AWS_REGION", "eu-west-1".to_owned())];
        let more = pairs.iter().map(|(name, value)| (*name, (*value).to_owned()));
        all.into_iter().chain(more).map(|(name, value)| (name.to_owned(), Secret::new(value))).collect()
    };
    let mut bench = Bench::new();
    bench.access.object_stores = settings(&[("AWS_ACCESS_KEY_ID", "AKID"), ("AWS_SECRET_ACCESS_KEY", "hunter2")]);
    let fetched = fetch(&bench, source).await.unwrap();
    assert_eq!(fetched.sha256, sha256(&weights(6)));
    assert!(server.requests().len() > 2, "it comes over several connections");
    assert!(is_here(&source.parse().unwrap(), &bench.access));
    let seen = server.requests().iter().map(|request| format!("{request:?}")).collect::<String>();
    assert!(!seen.contains("hunter2"));

    let mut public = Bench::new();
    public.access.object_stores = settings(&[("AWS_SKIP_SIGNATURE", "true")]);
    let error = fetch(&public, source).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("`{}` answered 403: access is refused", server.url("/models/sub/a%20b.gguf"))
    );
    let requests = server.requests();
    assert!(!requests.last().unwrap().path.contains('?'), "{requests:?}");
}

#[tokio::test]
async fn objects_of_other_keepers_come_from_the_server_that_is_named() {
    let server = Server::start(|_, request| {
        let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
        let is_signed = ["sig=", "se=", "sp=r"].iter().all(|part| query.contains(part));
        match path {
            "/account/models/a.gguf" if is_signed => Answer::file(&weights(6), "\"az\"", request),
            "/public/b.gguf" if query.is_empty() => Answer::file(&weights(5), "\"gs\"", request),
            _ => Answer::new(403, b"<Error/>"),
        }
        .header("Accept-Ranges", "bytes")
    })
    .await;
    let mut bench = Bench::new();
    for (name, value) in [
        ("AZURE_STORAGE_ACCOUNT_NAME", "account".to_owned()),
        ("AZURE_STORAGE_ACCOUNT_KEY", "aHVudGVyMg==".to_owned()),
        ("AZURE_STORAGE_ENDPOINT", server.url("/account")),
        ("GOOGLE_BASE_URL", server.url("")),
    ] {
        bench.access.object_stores.insert(name.to_owned(), Secret::new(value));
    }
    for (source, content) in [("az://models/a.gguf", weights(6)), ("gs://public/b.gguf", weights(5))] {
        assert_eq!(fetch(&bench, source).await.unwrap().sha256, sha256(&content), "{source}");
        assert!(is_here(&source.parse().unwrap(), &bench.access));
    }
    assert!(server.requests().iter().all(|request| !format!("{request:?}").contains("aHVudGVyMg")));
}

#[tokio::test]
async fn addresses_of_other_keepers_are_those_of_their_services() {
    let mut access = Access::default();
    let address = object::address(&access, crate::spec::Keeper::Gs, "public", "a/b.gguf").await.unwrap();
    assert_eq!(address, "https://storage.googleapis.com/public/a/b.gguf");
    let error = object::address(&access, crate::spec::Keeper::Az, "models", "a.gguf").await.unwrap_err();
    assert!(error.to_string().starts_with("the address of `az://models/a.gguf` cannot be made: "), "{error}");
    assert!(error.help().unwrap().contains("AZURE_STORAGE_ACCOUNT_NAME"));
    for (name, value) in [("AZURE_STORAGE_ACCOUNT_NAME", "acme"), ("AZURE_STORAGE_ACCOUNT_KEY", "aHVudGVyMg==")] {
        access.object_stores.insert(name.to_owned(), Secret::new(value.to_owned()));
    }
    let address = object::address(&access, crate::spec::Keeper::Az, "models", "a.gguf").await.unwrap();
    assert!(address.starts_with("https://acme.blob.core.windows.net/models/a.gguf?"), "{address}");
    assert!(address.contains("sig=") && !address.contains("aHVudGVyMg"), "{address}");
}
