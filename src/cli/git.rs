//! Which commit the project is at, for the record of a run.
//!
//! Asks the `git` program, beside whatever else is going on: a run never waits for it before its end.

use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::JoinHandle;

/// What Git says of a project; nothing outside of a repository or where there is no Git.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct GitState {
    /// The commit that is checked out.
    pub(super) commit: Option<String>,
    /// Whether tracked files differ from it.
    pub(super) dirty: Option<bool>,
}

/// A question to Git that is not answered yet.
#[derive(Debug)]
pub(super) struct Pending(Option<JoinHandle<GitState>>);

/// Asks Git about the project in `root`, on a thread of its own.
pub(super) fn start(root: &Path) -> Pending {
    let root = root.to_owned();
    // Where no thread can be had the commit is not known, and that is no reason to stop a run.
    Pending(std::thread::Builder::new().name("git".to_owned()).spawn(move || ask(&root)).ok())
}

/// Which Git there is; none where it cannot be started.
pub(super) fn version() -> Option<String> {
    let output = Command::new("git").arg("--version").stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let version = text.trim().strip_prefix("git version ")?;
    Some(version.to_owned())
}

impl Pending {
    /// Waits for the answer.
    pub(super) fn finish(self) -> GitState {
        self.0.and_then(|thread| thread.join().ok()).unwrap_or_default()
    }
}

fn ask(root: &Path) -> GitState {
    let output = Command::new("git")
        .args(["--no-optional-locks", "-C"])
        .arg(root)
        .args(["status", "--porcelain=v2", "--branch", "--untracked-files=no"])
        .env("GIT_OPTIONAL_LOCKS", "0")
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output();
    match output {
        Ok(output) if output.status.success() => read(&String::from_utf8_lossy(&output.stdout)),
        Ok(_) | Err(_) => GitState::default(),
    }
}

/// Reads `git status --porcelain=v2 --branch`: a line `# branch.oid` with the commit, and one for each file that differs.
fn read(text: &str) -> GitState {
    let commit = text.lines().find_map(|line| line.strip_prefix("# branch.oid "));
    // Before the first commit it says `(initial)`.
    let commit = commit.filter(|commit| commit.bytes().all(|byte| byte.is_ascii_hexdigit())).map(ToOwned::to_owned);
    let dirty = commit.as_ref().map(|_| text.lines().any(|line| !line.starts_with('#')));
    GitState { commit, dirty }
}

/// `1dfb13a*`: seven digits, and a star where tracked files differ.
pub(super) fn short(commit: Option<&str>, dirty: Option<bool>) -> String {
    let Some(commit) = commit else { return String::new() };
    let digits: String = commit.chars().take(7).collect();
    format!("{digits}{}", if dirty == Some(true) { "*" } else { "" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_commit_and_whether_files_differ_are_read() {
        let check = |text: &str, expected: &str, dirty: Option<bool>| {
            let found = read(text);
            assert_eq!((short(found.commit.as_deref(), found.dirty).as_str(), found.dirty), (expected, dirty));
        };
        let head = "# branch.oid 1dfb13a7cbdb13a07cbdb13a07cbdb13a07cbdb1\n# branch.head main\n";
        check(head, "1dfb13a", Some(false));
        check(&format!("{head}1 .M N... 100644 100644 100644 a b file\n"), "1dfb13a*", Some(true));
        check("# branch.oid (initial)\n# branch.head main\n1 A. N... 0 1 1 a b file\n", "", None);
        check("", "", None);
    }

    #[test]
    fn a_repository_is_asked() {
        let directory = tempfile::tempdir().unwrap();
        let git = |arguments: &[&str]| {
            let mut command = Command::new("git");
            command.arg("-C").arg(directory.path()).args(["-c", "user.name=n", "-c", "user.email=e@example.com"]);
            let output = command.args(arguments).env("GIT_CONFIG_GLOBAL", "/dev/null").output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        };
        let file = directory.path().join("file");
        git(&["init", "--quiet"]);
        assert_eq!(start(directory.path()).finish(), GitState::default());
        fs_err::write(&file, "one").unwrap();
        git(&["add", "file"]);
        git(&["commit", "--quiet", "--message", "one"]);
        fs_err::write(directory.path().join("untracked"), "").unwrap();
        let clean = start(directory.path()).finish();
        assert_eq!((clean.commit.as_ref().map(String::len), clean.dirty), (Some(40), Some(false)));
        fs_err::write(&file, "other").unwrap();
        assert_eq!(start(directory.path()).finish(), GitState { dirty: Some(true), ..clean });
    }

    #[test]
    fn outside_of_a_repository_nothing_is_known() {
        let directory = tempfile::tempdir().unwrap();
        // A file in the place of a repository: what lies above it does not count.
        fs_err::write(directory.path().join(".git"), "no repository").unwrap();
        assert_eq!(start(directory.path()).finish(), GitState::default());
        assert_eq!(start(&directory.path().join("none")).finish(), GitState::default());
    }
}
