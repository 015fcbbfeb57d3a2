//! Showing problems of the user's files: as miette reports for people, as JSON for scripts.

use std::fmt;

use miette::{Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, NamedSource, Severity, SourceCode};
use serde_json::{Value, json};

use super::output::say;
use super::settings::Settings;
use crate::spec::{Problem, Related, Severity as ProblemSeverity};

/// A problem as miette sees it.
struct Shown<'a> {
    problem: &'a Problem,
    source: NamedSource<String>,
    /// The other half, where it lies in another file.
    elsewhere: Vec<Elsewhere<'a>>,
}

struct Elsewhere<'a> {
    other: &'a Related,
    source: NamedSource<String>,
}

impl<'a> Shown<'a> {
    fn new(problem: &'a Problem) -> Self {
        let named = |file: &std::path::Path, text: &str| NamedSource::new(file.display().to_string(), text.to_owned());
        let elsewhere = problem
            .other
            .iter()
            .filter(|other| other.file != problem.file)
            .map(|other| Elsewhere { other, source: named(&other.file, &other.source) });
        Self { problem, source: named(&problem.file, &problem.source), elsewhere: elsewhere.collect() }
    }
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.problem.message)
    }
}

impl fmt::Debug for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.problem, f)
    }
}

impl std::error::Error for Shown<'_> {}

impl Diagnostic for Shown<'_> {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(self.problem.code.as_str()))
    }

    fn severity(&self) -> Option<Severity> {
        Some(match self.problem.severity {
            ProblemSeverity::Error => Severity::Error,
            ProblemSeverity::Warning => Severity::Warning,
        })
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.problem.help.as_ref().map(|help| Box::new(help) as Box<dyn fmt::Display>)
    }

    /// Of a file that could not be read there is nothing to show.
    fn source_code(&self) -> Option<&dyn SourceCode> {
        (!self.problem.source.is_empty()).then_some(&self.source as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let problem = self.problem;
        if problem.source.is_empty() {
            return None;
        }
        let first = LabeledSpan::new_primary_with_span(Some(problem.label.clone()), problem.span.clone());
        let second = problem
            .other
            .iter()
            .filter(|other| other.file == problem.file)
            .map(|other| LabeledSpan::new_with_span(Some(other.label.clone()), other.span.clone()));
        Some(Box::new(std::iter::once(first).chain(second)))
    }

    fn related<'a>(&'a self) -> Option<Box<dyn Iterator<Item = &'a dyn Diagnostic> + 'a>> {
        if self.elsewhere.is_empty() {
            return None;
        }
        Some(Box::new(self.elsewhere.iter().map(|elsewhere| elsewhere as &dyn Diagnostic)))
    }
}

impl fmt::Display for Elsewhere<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the other half is here")
    }
}

impl fmt::Debug for Elsewhere<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.other, f)
    }
}

impl std::error::Error for Elsewhere<'_> {}

impl Diagnostic for Elsewhere<'_> {
    fn severity(&self) -> Option<Severity> {
        Some(Severity::Advice)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        Some(&self.source)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let label = LabeledSpan::new_primary_with_span(Some(self.other.label.clone()), self.other.span.clone());
        Some(Box::new(std::iter::once(label)))
    }
}

/// Shows problems on stderr, one after the other, and how many there are.
pub(super) fn show(settings: &Settings, problems: &[Problem]) {
    if problems.is_empty() {
        return;
    }
    let theme = if settings.color_stderr() { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
    let handler = GraphicalReportHandler::new_themed(theme).with_width(settings.width()).with_links(false);
    for problem in problems {
        let mut text = String::new();
        if handler.render_report(&mut text, &Shown::new(problem)).is_err() {
            text = problem.to_string();
        }
        say(text.trim_end());
        say("");
    }
    let errors = problems.iter().filter(|problem| problem.severity == ProblemSeverity::Error).count();
    let count = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
    match (errors, problems.len() - errors) {
        (0, warnings) => say(&count(warnings, "warning")),
        (errors, 0) => say(&count(errors, "problem")),
        (errors, warnings) => say(&format!("{}, {}", count(errors, "problem"), count(warnings, "warning"))),
    }
}

/// A problem for scripts. Lines and columns are from 1, columns in characters; an end is behind the last character.
pub(super) fn to_json(problem: &Problem) -> Value {
    let ((line, column), (end_line, end_column)) = (problem.position(), problem.end());
    let related = problem.other.iter().map(|other| {
        let ((line, column), (end_line, end_column)) = (other.position(), other.end());
        json!({
            "file": other.file, "line": line, "column": column, "end_line": end_line, "end_column": end_column,
            "label": other.label,
        })
    });
    json!({
        "code": problem.code.as_str(),
        "severity": match problem.severity { ProblemSeverity::Error => "error", ProblemSeverity::Warning => "warning" },
        "message": problem.message,
        "file": problem.file,
        "line": line,
        "column": column,
        "end_line": end_line,
        "end_column": end_column,
        "label": problem.label,
        "related": related.collect::<Vec<_>>(),
        "help": problem.help,
    })
}
