//! YAML as a tree in which every node knows where it stands.
//!
//! Owns the limits on how complex a file may be. Knows nothing of pipelines. Start at [`parse`].

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{
    DuplicateKeyPolicy, Location, MessageFormatter, NonFiniteFloatPolicy, Spanned, UserMessageFormatter,
};

use super::problem::{Code, Problem, SourceText};
use super::read::Sink;
use super::secrets;

/// A value and where it stands.
#[derive(Debug, Clone)]
pub(super) struct Node {
    /// Where it is used. A block mapping is where its first key is, a missing value where its key is.
    pub(super) span: Range<usize>,
    /// Where it is written; another place than `span` if it was reached through an alias.
    pub(super) defined: Range<usize>,
    /// The text before variables were filled in, if any were.
    pub(super) template: Option<String>,
    /// What it is.
    pub(super) value: Value,
}

/// What YAML can say.
#[derive(Debug, Clone)]
pub(super) enum Value {
    Null,
    Bool(bool),
    Int(i128),
    Float(f64),
    Text(String),
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
    /// Something that a problem was already reported for.
    Broken,
}

impl Value {
    pub(super) fn as_text(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    pub(super) fn as_list(&self) -> Option<&[Node]> {
        if let Self::List(items) = self { Some(items) } else { None }
    }

    pub(super) fn as_map(&self) -> Option<&[(Key, Node)]> {
        if let Self::Map(entries) = self { Some(entries) } else { None }
    }

    pub(super) fn is_number(&self) -> bool {
        matches!(self, Self::Int(_) | Self::Float(_))
    }
}

/// A mapping's key.
#[derive(Debug, Clone)]
pub(super) struct Key {
    pub(super) name: String,
    pub(super) span: Range<usize>,
}

/// A file's tree and its text, credentials covered.
#[derive(Debug)]
pub(super) struct Document {
    pub(super) file: SourceText,
    pub(super) root: Node,
}

/// Parses one YAML file; nothing if no tree is left to read.
pub(super) fn parse(path: PathBuf, bytes: &[u8], sink: &Sink) -> Option<Document> {
    let text = decode(&path, bytes, sink)?;
    let raw = match serde_saphyr::from_str_with_options::<Spanned<Raw>>(text, options()) {
        Ok(raw) => raw,
        Err(error) => {
            let file = SourceText { path, text: secrets::cover_broken(text) };
            sink.borrow_mut().push(syntax_problem(&file, error.without_snippet()));
            return None;
        }
    };
    let mut building = Building { text, faults: Vec::new() };
    let root = building.node(raw, None);
    let faults = building.faults;
    let file = SourceText { path, text: secrets::cover(text, &root) };
    sink.borrow_mut().extend(faults.into_iter().map(|fault| fault.into_problem(&file)));
    Some(Document { file, root })
}

/// Checks that the bytes are text, and drops a byte order mark.
pub(super) fn decode<'a>(path: &Path, bytes: &'a [u8], sink: &Sink) -> Option<&'a str> {
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    let error = match std::str::from_utf8(bytes) {
        Ok(text) => return Some(text),
        Err(error) => error,
    };
    let at = error.valid_up_to();
    let file = SourceText { path: path.to_owned(), text: secrets::cover_broken(&String::from_utf8_lossy(bytes)) };
    let message = format!("the file is not UTF-8 text: byte {:#04x} stands where no character begins", bytes[at]);
    let replacement = at..at + char::REPLACEMENT_CHARACTER.len_utf8();
    let problem = Problem::new(Code::NotUtf8, &file, &replacement, "not UTF-8", message);
    sink.borrow_mut().push(problem.help("save the file as UTF-8"));
    None
}

/// What is wrong with a YAML document that is read as plain values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct YamlError {
    /// What is wrong, in words; it may repeat some of the document.
    pub message: String,
    /// The line where it is, from 1, if that is known.
    pub line: Option<u64>,
}

/// Reads a document that is nobody's pipeline, such as a catalog, as plain values.
///
/// # Errors
/// It is no YAML, or too much of it.
pub fn yaml_value(text: &str) -> Result<serde_json::Value, YamlError> {
    let options = serde_saphyr::options! { with_snippet: false };
    serde_saphyr::from_str_with_options(text, options)
        .map_err(|error| YamlError { line: error.location().map(|at| at.line()), message: error.to_string() })
}

fn options() -> serde_saphyr::Options {
    serde_saphyr::options! {
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        non_finite_float_policy: NonFiniteFloatPolicy::PassThrough,
        // `no` is a language and `on` a word; only YAML 1.2's own spellings are truth values.
        strict_booleans: true,
        with_snippet: false,
        budget: serde_saphyr::budget! {
            max_depth: 48,
            flow_nesting_limit: 64,
            max_nodes: 250_000,
            max_events: 1_000_000,
            max_total_scalar_bytes: 16 * 1024 * 1024,
            max_recorded_anchor_bytes: 16 * 1024 * 1024,
        },
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: 50_000 },
    }
}

fn syntax_problem(file: &SourceText, error: &serde_saphyr::Error) -> Problem {
    use serde_saphyr::Error;

    let span = error.location().map_or(0..0, |location| place(&file.text, location));
    let mut cause = error;
    while let Error::AliasError { error, .. } = cause {
        cause = error.without_snippet();
    }
    let said = UserMessageFormatter.format_message(cause);
    #[expect(clippy::wildcard_enum_match_arm, reason = "the parser's other errors are all syntax errors to a reader")]
    let (code, message) = match cause {
        Error::Budget { .. } | Error::AliasReplayLimitExceeded { .. } | Error::AliasReplayStackDepthExceeded { .. } => {
            (Code::TooComplex, "the file is nested too deeply or holds too many values".to_owned())
        }
        // The parser's own limit on brackets has no error of its own.
        _ if said.contains("recursion limit") => (Code::TooComplex, "the file is nested too deeply".to_owned()),
        Error::MultipleDocuments { .. } => {
            (Code::YamlSyntax, "the file holds more than one YAML document: `---` starts another".to_owned())
        }
        Error::UnknownAnchor { .. } => (Code::YamlSyntax, "this alias has no anchor above it".to_owned()),
        Error::RecursiveReferencesRequireWeakTypes { .. } => {
            (Code::YamlSyntax, "this alias stands inside of what it repeats".to_owned())
        }
        _ => (Code::YamlSyntax, format!("invalid YAML: {said}")),
    };
    Problem::new(code, file, &span, if code == Code::YamlSyntax { "here" } else { "too much from here" }, message)
}

/// Finds the bytes of a location that may have lines and columns only.
fn place(text: &str, location: Location) -> Range<usize> {
    if let (Some(start), Some(len)) = (location.span().byte_offset(), location.span().byte_len()) {
        let start = to_usize(start);
        return start..start.saturating_add(to_usize(len));
    }
    let line_index = to_usize(location.line().saturating_sub(1));
    let line_start = text.split_inclusive('\n').take(line_index).map(str::len).sum::<usize>();
    let line = text[line_start..].split('\n').next().unwrap_or_default();
    let column_index = to_usize(location.column().saturating_sub(1));
    let start = line_start + line.chars().take(column_index).map(char::len_utf8).sum::<usize>();
    let first = text[start..].chars().next().filter(|c| *c != '\n').map_or(0, char::len_utf8);
    start..start + first
}

fn to_usize(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// The tree as the parser hands it over.
enum Raw {
    Null,
    Bool(bool),
    Int(i128),
    Float(f64),
    Text(String),
    List(Vec<Spanned<Self>>),
    Map(Vec<(Spanned<Self>, Spanned<Self>)>),
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("YAML")
    }

    fn visit_unit<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Raw, E> {
        Ok(Raw::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Raw, E> {
        Ok(Raw::Int(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Raw, E> {
        Ok(Raw::Int(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Raw, E> {
        Ok(Raw::Float(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Raw, E> {
        Ok(Raw::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Raw, E> {
        Ok(Raw::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Raw, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element()? {
            items.push(item);
        }
        Ok(Raw::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Raw, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = access.next_entry()? {
            entries.push(entry);
        }
        Ok(Raw::Map(entries))
    }
}

/// A fault of the tree itself. It becomes a problem only when the text to show is known.
enum Fault {
    Duplicate { name: String, again: Range<usize>, first: Range<usize> },
    NotAName { span: Range<usize> },
}

impl Fault {
    fn into_problem(self, file: &SourceText) -> Problem {
        match self {
            Self::Duplicate { name, again, first } => {
                Problem::new(Code::DuplicateKey, file, &again, "again", format!("duplicate key `{name}`"))
                    .other(file, &first, "first here")
                    .help("remove or rename one of them")
            }
            Self::NotAName { span } => {
                let message = "a key must be a text, not a list or a mapping".to_owned();
                Problem::new(Code::WrongType, file, &span, "not a text", message)
            }
        }
    }
}

struct Building<'a> {
    text: &'a str,
    faults: Vec<Fault>,
}

impl Building<'_> {
    fn node(&mut self, raw: Spanned<Raw>, key: Option<&Range<usize>>) -> Node {
        let text = self.text;
        let defined = trimmed(text, place(text, raw.defined));
        let mut span = if raw.referenced == raw.defined { defined.clone() } else { place(text, raw.referenced) };
        let value = match raw.value {
            Raw::Null => Value::Null,
            Raw::Bool(value) => Value::Bool(value),
            Raw::Int(value) => Value::Int(value),
            Raw::Float(value) => Value::Float(value),
            Raw::Text(value) => Value::Text(value),
            Raw::List(items) => Value::List(items.into_iter().map(|item| self.node(item, None)).collect()),
            Raw::Map(entries) => Value::Map(self.entries(entries)),
        };
        match (&value, key) {
            (Value::Null, Some(key)) if span.is_empty() => span = key.clone(),
            (Value::Map(entries), _) if span.is_empty() => {
                if let Some((first, _)) = entries.first() {
                    span = first.span.clone();
                }
            }
            (Value::List(_), _) if span.is_empty() => span.end += 1,
            _ => {}
        }
        Node { span, defined, template: None, value }
    }

    fn entries(&mut self, raw: Vec<(Spanned<Raw>, Spanned<Raw>)>) -> Vec<(Key, Node)> {
        let mut entries: Vec<(Key, Node)> = Vec::with_capacity(raw.len());
        let mut seen = std::collections::BTreeMap::<String, Range<usize>>::new();
        for (key, value) in raw {
            let text = self.text;
            let span = place(text, key.referenced);
            let written = || text.get(place(text, key.defined)).unwrap_or_default().to_owned();
            let name = match key.value {
                Raw::Text(name) => name,
                Raw::Null | Raw::Bool(_) | Raw::Int(_) | Raw::Float(_) => written(),
                Raw::List(_) | Raw::Map(_) => {
                    self.faults.push(Fault::NotAName { span });
                    continue;
                }
            };
            if let Some(first) = seen.get(&name) {
                self.faults.push(Fault::Duplicate { name, again: span, first: first.clone() });
                continue;
            }
            seen.insert(name.clone(), span.clone());
            let node = self.node(value, Some(&span));
            entries.push((Key { name, span }, node));
        }
        entries
    }
}

/// A block scalar's span goes on to the next token; what is after its last word is not worth showing.
fn trimmed(text: &str, span: Range<usize>) -> Range<usize> {
    match text.get(span.clone()) {
        Some(slice) if !slice.is_empty() => span.start..span.start + slice.trim_end().len().max(1),
        _ => span,
    }
}
