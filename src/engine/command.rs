//! Programs of the project that are asked about replies: one process a question, a document in, a document out.
//!
//! Owns how such a program is run: with the project's root as its directory, an environment of two variables, a time limit,
//! and a bound on what it may print. One that is not waited for any more is killed with all that it started. Never reads
//! what the program means: see `judge`. Start at [`CommandEngine`].

use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};

use super::{EmbedRequest, Embedding, Engine, EngineError, EngineErrorKind, Finish, Identity, Reply, Request, Usage};
use crate::key::Recipe;

/// Raised when the same question would be put to a program in another way.
const RUN_VERSION: u32 = 1;

/// Most that a program may print, in bytes.
const MOST_PRINTED: u64 = 64 << 10;

/// Most of what a program complains about that is passed on, in bytes.
const MOST_COMPLAINED: u64 = 400;

/// Programs that run at once.
const WIDTH: usize = 4;

/// One question to a program: with what its files hold, all that decides the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunRequest {
    /// The program and its arguments.
    pub command: Vec<String>,
    /// What it reads.
    pub input: String,
    /// Longest it may take, in seconds. No part of the key: what is not finished has no answer.
    pub timeout_s: u64,
}

impl RunRequest {
    /// The recipe of the call.
    #[must_use]
    pub fn recipe(&self, identity: &Identity) -> Recipe {
        // Without `..`: a new field does not compile until it is in the key.
        let Self { command, input, timeout_s: _ } = self;
        Recipe::new("run", RUN_VERSION, json!({ "engine": identity.0, "command": command, "input": input }))
    }
}

/// How a program ended, as the text of its reply.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ended {
    /// 0 or 1: whatever else it ends with is no answer.
    pub exit: u8,
    /// What it printed.
    pub stdout: String,
}

/// Runs programs of a project.
#[derive(Debug)]
pub struct CommandEngine {
    root: PathBuf,
    path: Option<String>,
    identity: Identity,
}

impl CommandEngine {
    /// Runs programs in `root`, which are looked for along `path`; `identity` says what their files hold.
    #[must_use]
    pub fn new(root: &Path, path: Option<String>, identity: Identity) -> Self {
        Self { root: root.to_owned(), path, identity }
    }

    async fn put(&self, request: &RunRequest) -> Result<Reply, EngineError> {
        let started = Instant::now();
        let mut child = self.start(request)?;
        let group = Group(child.id());
        let ended = tokio::time::timeout(Duration::from_secs(request.timeout_s), talk(&mut child, request)).await;
        let ended =
            ended.unwrap_or_else(|_| Err(bad(request, &format!("was not done after {} s", request.timeout_s))))?;
        group.disarm();
        let text = serde_json::to_string(&ended).expect("how a program ended is plain data");
        let elapsed_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        Ok(Reply::new(text, Finish::Stop, Usage::default(), elapsed_ms))
    }

    fn start(&self, request: &RunRequest) -> Result<Child, EngineError> {
        let (program, arguments) = request.command.split_first().expect("a checked command names a program");
        // One with a slash is a file of the project, wherever evalflow itself was started.
        let program = if program.contains('/') { self.root.join(program) } else { PathBuf::from(program) };
        let mut command = Command::new(&program);
        command.args(arguments).current_dir(&self.root).env_clear().env("LANG", "C.UTF-8").kill_on_drop(true);
        if let Some(path) = &self.path {
            command.env("PATH", path);
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        #[cfg(unix)]
        command.process_group(0);
        command.spawn().map_err(|error| {
            let message = format!("{} cannot be started: {error}", shown(request));
            let help = "see that the program of `command:` is there and may be executed, then run again: finished calls \
                        are kept";
            EngineError::new(EngineErrorKind::Unavailable, message).with_help(help)
        })
    }
}

/// What a program's process and all that it starts belong to: killed together, unless the program has ended.
struct Group(Option<u32>);

impl Group {
    fn disarm(mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        #[cfg(unix)]
        if let Some(group) = self.0.and_then(|id| rustix::process::Pid::from_raw(i32::try_from(id).ok()?)) {
            // Where it has ended by itself there is nobody to kill.
            let _gone = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
    }
}

/// Gives a program its document and takes what it prints, both at once: neither side waits for the other with a full pipe.
async fn talk(child: &mut Child, request: &RunRequest) -> Result<Ended, EngineError> {
    let (mut stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let tell = async {
        if let Some(stdin) = &mut stdin {
            // A program may decide without reading.
            let _unread = stdin.write_all(request.input.as_bytes()).await;
        }
        drop(stdin.take());
    };
    let read = async { take(stdout, MOST_PRINTED + 1).await };
    let complain = async {
        let complaint = take(stderr, MOST_COMPLAINED).await;
        String::from_utf8_lossy(&complaint).lines().next().unwrap_or_default().trim().to_owned()
    };
    let ((), printed, complaint) = tokio::join!(tell, read, complain);
    if printed.len() as u64 > MOST_PRINTED {
        return Err(bad(request, &format!("printed more than {} KiB", MOST_PRINTED >> 10)));
    }
    let status = child.wait().await.map_err(|error| bad(request, &format!("cannot be waited for: {error}")))?;
    let exit = exit_code(status).ok_or_else(|| {
        let why = if complaint.is_empty() { String::new() } else { format!(": {complaint}") };
        bad(request, &format!("ended with {status}{why}"))
    })?;
    let stdout = String::from_utf8(printed).map_err(|_| bad(request, "printed what is not UTF-8"))?;
    Ok(Ended { exit, stdout })
}

/// 0 and 1 are answers.
fn exit_code(status: ExitStatus) -> Option<u8> {
    status.code().and_then(|code| u8::try_from(code).ok()).filter(|code| *code <= 1)
}

/// Takes at most so many bytes; of complaints beyond that the pipe is emptied, so that nobody waits.
async fn take(stream: Option<impl AsyncRead + Unpin>, most: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Some(mut stream) = stream {
        // What was read before a failure is what there is.
        let _end = (&mut stream).take(most).read_to_end(&mut bytes).await;
        if most == MOST_COMPLAINED {
            let _end = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
        }
    }
    bytes
}

fn bad(request: &RunRequest, what: &str) -> EngineError {
    EngineError::new(EngineErrorKind::BadReply, format!("{} {what}", shown(request)))
}

fn shown(request: &RunRequest) -> String {
    const MOST: usize = 80;
    let line = request.command.join(" ");
    match line.char_indices().nth(MOST) {
        Some((end, _)) => format!("`{}…`", &line[..end]),
        None => format!("`{line}`"),
    }
}

impl Engine for CommandEngine {
    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn width(&self) -> usize {
        WIDTH
    }

    fn complete<'a>(&'a self, _: &'a Request) -> BoxFuture<'a, Result<Reply, EngineError>> {
        Box::pin(std::future::ready(Err(no_model())))
    }

    fn embed<'a>(&'a self, _: &'a EmbedRequest) -> BoxFuture<'a, Result<Embedding, EngineError>> {
        Box::pin(std::future::ready(Err(no_model())))
    }

    fn run<'a>(&'a self, request: &'a RunRequest) -> BoxFuture<'a, Result<Reply, EngineError>> {
        Box::pin(self.put(request))
    }
}

fn no_model() -> EngineError {
    EngineError::new(EngineErrorKind::Unsupported, "a program of the project writes no texts")
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use super::*;

    fn run(script: &str, input: &str, timeout_s: u64) -> Result<Ended, String> {
        let directory = tempfile::tempdir().unwrap();
        fs_err::write(directory.path().join("data.txt"), "of the project").unwrap();
        let path = Some("/usr/local/bin:/usr/bin:/bin".to_owned());
        let engine = CommandEngine::new(directory.path(), path, Identity(json!("test")));
        let command = ["sh", "-c", script].map(str::to_owned).to_vec();
        let request = RunRequest { command, input: input.to_owned(), timeout_s };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let reply = runtime.block_on(engine.run(&request)).map_err(|error| error.message)?;
        assert_eq!(reply.usage, Usage::default());
        Ok(serde_json::from_str(&reply.text).unwrap())
    }

    fn check(script: &str, exit: u8, stdout: &str) {
        assert_eq!(run(script, "in\n", 60), Ok(Ended { exit, stdout: stdout.to_owned() }), "{script}");
    }

    #[test]
    fn a_program_reads_and_prints() {
        check("cat", 0, "in\n");
        check("exit 1", 1, "");
        check("cat data.txt", 0, "of the project");
        check("echo no >&2; exit 1", 1, "");
        check("test \"$LANG\" = C.UTF-8 && test -n \"$PATH\" && test -z \"$HOME$USER$OPENAI_API_KEY\"", 0, "");
        let long = "x".repeat(1 << 20);
        assert_eq!(run("wc -c | tr -d ' '", &long, 60).unwrap().stdout, "1048576\n");
        assert_eq!(run("true", &long, 60).unwrap().exit, 0, "nobody needs to read");
        assert_eq!(run("yes complaint | head -100000 >&2", "", 60).unwrap().exit, 0);
    }

    #[test]
    fn whatever_else_is_no_answer() {
        let error = |script, timeout| run(script, "", timeout).unwrap_err();
        assert_eq!(error("exit 2", 60), "`sh -c exit 2` ended with exit status: 2");
        let said = error("echo no such thing >&2; exit 3", 60);
        assert!(said.ends_with("ended with exit status: 3: no such thing"), "{said}");
        assert!(error("kill -9 $$", 60).contains("ended with signal: 9"));
        assert!(error("yes", 60).ends_with("printed more than 64 KiB"));
        assert!(error("printf '\\377'", 60).ends_with("printed what is not UTF-8"));
        assert!(error("sleep 600", 1).ends_with("was not done after 1 s"));
        let directory = tempfile::tempdir().unwrap();
        let engine = CommandEngine::new(directory.path(), None, Identity(json!("test")));
        let request = RunRequest { command: vec!["./no".to_owned()], input: String::new(), timeout_s: 1 };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let error = runtime.block_on(engine.run(&request)).unwrap_err();
        assert!(error.is_fatal() && error.message.starts_with("`./no` cannot be started: "), "{error:?}");
    }

    #[test]
    fn what_it_started_ends_with_it() {
        let directory = tempfile::tempdir().unwrap();
        let pid = directory.path().join("pid");
        // The shell's child outlives it unless the group is killed.
        let script = format!("sleep 600 & echo $! > {}; wait", pid.display());
        assert!(run(&script, "", 1).is_err());
        let child: i32 = fs_err::read_to_string(&pid).unwrap().trim().parse().unwrap();
        let child = rustix::process::Pid::from_raw(child).unwrap();
        // A killed process is there until somebody takes note of its end, and then no signal reaches it.
        let is_gone = || {
            let state = fs_err::read_to_string(format!("/proc/{}/stat", child.as_raw_nonzero())).unwrap_or_default();
            rustix::process::test_kill_process(child).is_err() || state.contains(") Z ")
        };
        while !is_gone() {
            std::thread::yield_now();
        }
    }

    #[test]
    fn the_key_is_of_what_decides() {
        let request = |command: &str, input: &str, timeout_s| RunRequest {
            command: vec![command.to_owned()],
            input: input.to_owned(),
            timeout_s,
        };
        let key = |request: RunRequest, files: &str| request.recipe(&Identity(json!(files))).key();
        let one = key(request("a", "b", 1), "c");
        assert_eq!(one, key(request("a", "b", 2), "c"));
        assert_ne!(one, key(request("x", "b", 1), "c"));
        assert_ne!(one, key(request("a", "x", 1), "c"));
        assert_ne!(one, key(request("a", "b", 1), "x"));
    }
}
