//! Reads `check: { command: … }`: a criterion that a program of the project decides.

use std::path::{Path, PathBuf};

use super::check::{Met, check};
use super::files::Files;
use super::models::timeout;
use crate::spec::read::Field;
use crate::spec::rubric::{Ask, Command};

/// Longest that a program may take unless the rubric says so, in seconds.
const TIMEOUT: u64 = 30;

/// Reads a check, or a program in its place, inside of any number of `not`.
pub(super) fn decided_by_code(field: Field<'_>, files: &Files<'_>, met: &mut Met) -> Option<Ask> {
    let (mut inner, mut negated) = (field, false);
    while let Some([(key, node)]) = inner.node.value.as_map() {
        inner = Field { name: &key.name, node, ..inner };
        match key.name.as_str() {
            "not" => negated = !negated,
            "command" => return command(inner, files).map(|command| Ask::Command { command, negated }),
            _ => break,
        }
    }
    check(field, met).map(Ask::Check)
}

/// A program with its arguments, or a mapping with a time limit as well.
fn command(field: Field<'_>, files: &Files<'_>) -> Option<Command> {
    let (run, timeout_s) = if field.node.value.as_map().is_some() {
        let mut fields = field.fields()?;
        let run = fields.required("run");
        let timeout = fields.optional("timeout").map_or(Some(TIMEOUT), timeout);
        fields.finish();
        (run?, timeout?)
    } else {
        (field, TIMEOUT)
    };
    let words = run.texts()?;
    let mut of_project = Vec::new();
    for (at, (item, word)) in words.iter().enumerate() {
        let path = Path::new(word);
        let is_outside = path.is_absolute();
        // A program that is written as a path must be there; of arguments it is not known what they are.
        let file: Option<PathBuf> = match at {
            0 if word.contains('/') && !is_outside => Some(files.existing(*item, path)?),
            _ if is_outside || word.starts_with('-') => None,
            _ => files.found(*item, path),
        };
        of_project.extend(file);
    }
    of_project.sort();
    of_project.dedup();
    let run = words.into_iter().map(|(_, word)| word.to_owned()).collect();
    Some(Command { run, files: of_project, timeout_s })
}
