//! The options that say which stages a command is about: the same for `plan` and `run`.

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
}

impl SelectionArguments {
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
