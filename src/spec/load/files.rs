//! Files that the pipeline names.

use std::cell::RefCell;
use std::io::ErrorKind;
use std::ops::Range;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use crate::spec::problem::{Code, Problem, SourceText};
use crate::spec::read::{Field, Reader, Sink, did_you_mean, shorten};
use crate::spec::secrets;
use crate::spec::sources::{LARGEST_FILE, Sources};
use crate::spec::template::{Template, TemplateError, known_names};
use crate::spec::tree::{self, Document};

/// Reads files below the project's root.
pub(super) struct Files<'a> {
    pub(super) root: &'a Path,
    /// The pipeline file as problems name it.
    pub(super) pipeline: &'a Path,
    pub(super) sources: &'a dyn Sources,
    pub(super) sink: &'a Sink,
    /// The files that the pipeline names, from the root, and where it does.
    pub(super) named: RefCell<Vec<(PathBuf, Range<usize>)>>,
}

impl Files<'_> {
    /// Reads the pipeline file itself.
    pub(super) fn main(&self, path: &Path) -> Option<Vec<u8>> {
        let nowhere = SourceText { path: self.pipeline.to_owned(), text: Arc::from("") };
        let shown = self.pipeline.display();
        match self.sources.read(path) {
            Ok(bytes) => Some(bytes),
            Err(error) => {
                let (code, message) = if error.kind() == ErrorKind::NotFound {
                    (Code::UnreadableFile, format!("there is no file `{shown}`"))
                } else {
                    refusal(&shown.to_string(), error.kind())
                };
                self.sink.borrow_mut().push(Problem::new(code, &nowhere, &(0..0), "", message));
                None
            }
        }
    }

    /// Checks that a file is there, without reading it.
    pub(super) fn existing(&self, field: Field<'_>, path: &Path) -> Option<PathBuf> {
        self.note(field, path);
        if self.sources.exists(&self.root.join(path)) {
            return Some(path.to_owned());
        }
        self.missing(field, path);
        None
    }

    /// Whether a file is there.
    pub(super) fn is_there(&self, path: &Path) -> bool {
        self.sources.exists(&self.root.join(path))
    }

    /// Takes in a file that may be there; its path, if it is.
    pub(super) fn present(&self, field: Field<'_>, path: &Path) -> Option<PathBuf> {
        let is_there = self.sources.exists(&self.root.join(path));
        if is_there {
            self.note(field, path);
        }
        is_there.then(|| path.to_owned())
    }

    /// Takes in a file that may be there; its path, if it is. The file itself is looked at: where a lock is held against the
    /// pipeline, all that is only named counts as [`Self::present`].
    pub(super) fn found(&self, field: Field<'_>, path: &Path) -> Option<PathBuf> {
        let read = self.sources.read(&self.root.join(path));
        let is_there = read.map_or_else(|error| error.kind() == ErrorKind::FileTooLarge, |_| true);
        if is_there {
            self.note(field, path);
        }
        is_there.then(|| path.to_owned())
    }

    /// Takes in that the pipeline reads a file. One outside of the project can be overwritten by no report.
    fn note(&self, field: Field<'_>, path: &Path) {
        let inside = path.strip_prefix(self.root).unwrap_or(path);
        self.named.borrow_mut().extend(inside_root(inside).map(|path| (path, field.span().clone())));
    }

    /// Checks where a report is written; to be asked when all files were named.
    pub(super) fn writable(&self, field: Field<'_>) -> Option<PathBuf> {
        let text = field.text()?;
        let refuse = |label: &str, message: String| Some(field.problem(Code::ReportPath, label, message));
        let shown = field.shown();
        let path = inside_root(Path::new(text));
        let named = self.named.borrow();
        let used = path.as_ref().and_then(|path| named.iter().find(|(named, _)| path.starts_with(named)));
        let problem = match &path {
            None => refuse("outside of the project", format!("`{shown}` lies outside of the project")),
            Some(path) if inside_root(self.pipeline).is_some_and(|pipeline| path.starts_with(pipeline)) => {
                refuse("the pipeline itself", format!("`{shown}` is the pipeline file, which the report would replace"))
            }
            Some(_) if used.is_some() => used.and_then(|(_, span)| {
                let message = format!("`{shown}` is read by the pipeline, and the report would replace it");
                Some(refuse("written here", message)?.other(field.reader.file, span, "read here"))
            }),
            Some(path) if text.ends_with(['/', '\\']) || self.is_directory(path) => {
                refuse("a directory", format!("`{shown}` is a directory"))
            }
            Some(_) => None,
        };
        match problem {
            None => Some(PathBuf::from(text)),
            Some(problem) => {
                field.push(problem);
                None
            }
        }
    }

    fn is_directory(&self, path: &Path) -> bool {
        path.as_os_str().is_empty()
            || self.sources.read(&self.root.join(path)).is_err_and(|error| error.kind() == ErrorKind::IsADirectory)
    }

    fn missing(&self, field: Field<'_>, path: &Path) {
        let beside = self.pipeline.parent().unwrap_or(Path::new("")).join(path);
        let shown = field.shown();
        // Weights are named with what kind of place they come from.
        let (kind, shown) = shown.strip_prefix("file:").map_or(("", shown.as_str()), |path| ("file:", path));
        let root = self.root.display();
        // A value of the environment is not repeated.
        let help = if field.node.template.is_none() && self.sources.exists(&self.root.join(&beside)) {
            format!("paths start at the project's root, `{root}`: write `{kind}{}`", beside.display())
        } else {
            format!("paths start at the project's root, `{root}`")
        };
        let message = format!("there is no file `{shown}`");
        field.push(field.problem(Code::MissingFile, "no such file", message).help(help));
    }

    fn read(&self, field: Field<'_>) -> Option<(PathBuf, Vec<u8>)> {
        let path = field.text()?;
        self.note(field, Path::new(path));
        match self.sources.read(&self.root.join(path)) {
            Ok(bytes) => Some((PathBuf::from(path), bytes)),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                self.missing(field, Path::new(path));
                None
            }
            Err(error) => {
                let (code, message) = refusal(&field.shown(), error.kind());
                field.push(field.problem(code, "cannot be read", message));
                None
            }
        }
    }

    /// Reads a YAML file that the pipeline names.
    pub(super) fn document(&self, field: Field<'_>) -> Option<Document> {
        let (path, bytes) = self.read(field)?;
        tree::parse(path, &bytes, self.sink)
    }

    /// Reads a prompt that the pipeline names.
    pub(super) fn text(&self, field: Field<'_>) -> Option<(SourceText, String)> {
        let (path, bytes) = self.read(field)?;
        let text = tree::decode(&path, &bytes, self.sink)?;
        let file = SourceText { path, text: secrets::cover_text(text) };
        if text.trim().is_empty() {
            let message = "the prompt is blank".to_owned();
            self.sink.borrow_mut().push(Problem::new(Code::Blank, &file, &(0..0), "blank", message));
            return None;
        }
        Some((file, text.to_owned()))
    }

    /// Reads a file of lines that need not be there yet; nothing after a problem was noted.
    pub(super) fn lines(&self, field: Field<'_>) -> Option<(PathBuf, Option<(SourceText, String)>)> {
        let path = PathBuf::from(field.text()?);
        // Read rather than asked for: a file that is only named may count as being there, and this one is not only named.
        if self.sources.read(&self.root.join(&path)).is_err_and(|error| error.kind() == ErrorKind::NotFound) {
            return Some((path, None));
        }
        let (path, bytes) = self.read(field)?;
        let text = tree::decode(&path, &bytes, self.sink)?;
        let file = SourceText { path: path.clone(), text: secrets::cover_text(text) };
        Some((path, Some((file, text.to_owned()))))
    }

    /// Reads a prompt template over scenarios that the pipeline names.
    pub(super) fn template(&self, field: Field<'_>) -> Option<(Template, SourceText)> {
        let (file, text) = self.text(field)?;
        let report = |error: TemplateError| {
            let reader = Reader { file: &file, sink: self.sink };
            let place = |unknown: Option<&str>| error_span(&text, &error, unknown);
            report_template(reader, "template", place, &error, &known_names());
        };
        let template = Template::new(&text).map_err(report).ok()?;
        Some((template, file))
    }
}

/// The path from the root without `.` and `..`; none where it leads out of there.
fn inside_root(path: &Path) -> Option<PathBuf> {
    let mut inside = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => inside.push(name),
            Component::CurDir => {}
            Component::ParentDir if inside.pop() => {}
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(inside)
}

fn refusal(path: &str, kind: ErrorKind) -> (Code, String) {
    if kind == ErrorKind::FileTooLarge {
        (Code::TooLarge, format!("`{path}` is larger than {} MiB", LARGEST_FILE / (1024 * 1024)))
    } else {
        (Code::UnreadableFile, format!("`{path}` cannot be read: {kind}"))
    }
}

/// Finds the place inside of a template's text that an error is about.
pub(super) fn error_span(text: &str, error: &TemplateError, unknown: Option<&str>) -> Range<usize> {
    if let Some(unknown) = unknown {
        // Of a member only its last part may be there: `{% set s = scenario %}{{ s.titel }}`.
        let last = unknown.rsplit('.').next().unwrap_or(unknown);
        if let Some(found) = find_name(text, unknown, ".").or_else(|| find_name(text, last, "")) {
            return found;
        }
    }
    let index = error.line.unwrap_or(1).saturating_sub(1);
    let start: usize = text.split_inclusive('\n').take(index).map(str::len).sum();
    let line = text[start..].lines().next().unwrap_or_default();
    start + line.len() - line.trim_start().len()..start + line.trim_end().len()
}

/// Finds a name where it is not a part of a longer one; nor behind one of the letters `not_after`.
pub(super) fn find_name(text: &str, name: &str, not_after: &str) -> Option<Range<usize>> {
    let is_inside = |letter: char| letter.is_alphanumeric() || letter == '_';
    text.match_indices(name).map(|(at, _)| at..at + name.len()).find(|range| {
        let before = text[..range.start].chars().next_back();
        !before.is_some_and(|letter| is_inside(letter) || not_after.contains(letter))
            && !text[range.end..].chars().next().is_some_and(is_inside)
    })
}

/// Reports what is wrong with a template or a condition, which is `what`, that may use the names `known`.
pub(super) fn report_template(
    reader: Reader<'_>,
    what: &str,
    place: impl Fn(Option<&str>) -> Range<usize>,
    error: &TemplateError,
    known: &[String],
) {
    if error.unknown.is_empty() {
        let message = format!("invalid {what}: {}", shorten(&error.message));
        let problem = reader.problem(Code::InvalidTemplate, &place(None), "does not work", message);
        reader.push(problem.help(format!("correct the {what}; it is written in Jinja's syntax")));
    }
    for unknown in &error.unknown {
        reader.push(unknown_variable(reader, &place(Some(unknown)), unknown, known));
    }
}

fn unknown_variable(reader: Reader<'_>, span: &Range<usize>, unknown: &str, known: &[String]) -> Problem {
    let names: Vec<&str> = known.iter().map(String::as_str).collect();
    let meant = names.iter().find(|name| name.rsplit('.').next() == Some(unknown));
    let help = meant.map_or_else(|| did_you_mean(unknown, &names), |name| format!("did you mean `{name}`?"));
    let message = format!("unknown variable `{}`", shorten(unknown));
    reader.problem(Code::UnknownVariable, span, "unknown variable", message).help(help)
}
