//! The options that say which stages a command is about: the same for `plan` and `run`.

use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::exit::Exit;
use super::output::failure;
use crate::ids::StageId;
use crate::plan::{Force, Graph, Selection};
use crate::spec::{Pipeline, did_you_mean};

#[derive(Debug, clap::Args)]
pub(super) struct SelectionArguments {
    /// Compute only this stage, and take what it reads from the store (may be given several times)
    #[arg(long, value_name = "STAGE")]
    only: Vec<String>,
    /// Compute only this stage and what comes after it
    #[arg(long, value_name = "STAGE")]
    from: Option<String>,
    /// Compute again what is in the store, all selected stages or only this one; calls still come from the store (may be
    /// given several times)
    #[arg(long, value_name = "STAGE", num_args = 0..=1, require_equals = true, default_missing_value = "")]
    force: Vec<String>,
    /// Only the first N scenarios of each suite, to try a pipeline; what is asked is kept for all
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
}

/// Adds the way on where a stage was given to `--force` like to other options: its value is optional, so it takes one after
/// `=` only.
pub(super) fn with_tip(mut error: clap::Error, arguments: impl Iterator<Item = String>) -> clap::Error {
    let Some(ContextValue::String(invalid)) = error.get(ContextKind::InvalidArg).cloned() else { return error };
    let arguments: Vec<String> = arguments.collect();
    let follows =
        arguments.windows(2).any(|pair| matches!(pair, [option, value] if option == "--force" && *value == invalid));
    if error.kind() == ErrorKind::UnknownArgument && follows {
        let tip = format!("to compute `{invalid}` again, write `--force={invalid}`").into();
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip]));
    }
    error
}

impl SelectionArguments {
    /// Makes the pipeline as large as is asked for.
    pub(super) fn apply(&self, pipeline: &mut Pipeline) {
        if let Some(limit) = self.limit {
            pipeline.limit_scenarios(limit);
        }
    }

    /// Whether this is not the whole pipeline as it is written.
    pub(super) fn is_limited(&self) -> bool {
        self.limit.is_some()
    }

    /// The options as they were given.
    pub(super) fn told(&self) -> Vec<String> {
        let Self { only, from, force, limit } = self;
        let only = only.iter().map(|stage| format!("--only {stage}"));
        let from = from.iter().map(|stage| format!("--from {stage}"));
        let force =
            force.iter().map(|stage| if stage.is_empty() { "--force".to_owned() } else { format!("--force={stage}") });
        only.chain(from).chain(force).chain(limit.map(|limit| format!("--limit {limit}"))).collect()
    }

    /// Checks the named stages against the pipeline; says so if one is not there.
    pub(super) fn selection(&self, pipeline: &Pipeline, graph: &Graph) -> Result<Selection, Exit> {
        let known = |text: &String| stage(pipeline, text);
        let named = |texts: &[String]| texts.iter().map(known).collect::<Result<Vec<_>, _>>();
        let force = match self.force.as_slice() {
            [] => Force::Nothing,
            texts if texts.iter().any(String::is_empty) => Force::All,
            texts => Force::Stages(named(texts)?),
        };
        let selection = Selection { only: named(&self.only)?, from: self.from.as_ref().map(known).transpose()?, force };
        if let Some(left) = selection.named().find(|id| !selection.includes(graph, id)) {
            let help = format!("name stages that `--only` and `--from` both leave in, or take `{left}` out");
            failure(&format!("`{left}` is named but not selected"), Some(&help));
            return Err(Exit::BadInput);
        }
        Ok(selection)
    }
}

/// The stage of a pipeline with this name; says so if there is none.
pub(super) fn stage(pipeline: &Pipeline, text: &str) -> Result<StageId, Exit> {
    let names: Vec<&str> = pipeline.stages.keys().map(StageId::as_str).collect();
    match pipeline.stages.keys().find(|id| id.as_str() == text) {
        Some(id) => Ok(id.clone()),
        None => {
            failure(&format!("unknown stage `{text}`"), Some(&did_you_mean(text, &names)));
            Err(Exit::BadInput)
        }
    }
}
