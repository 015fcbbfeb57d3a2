//! What was run, and the digests that say whether a second run is the same.

use std::io::{self, Write};

use super::super::model::ReportModel;
use super::escape::{block, code, inline};
use super::{heading, table_head, table_row};
use crate::stats::text::thousands;

pub(super) fn write(model: &ReportModel, out: &mut dyn Write) -> io::Result<()> {
    heading(2, "Reproduce", out)?;
    write!(out, "{}", block("sh", &model.command, ""))?;
    writeln!(out, "\n- Pipeline: {}", code(&model.file))?;
    if let Some(engine) = &model.engine {
        writeln!(out, "- Computed by: {}", inline(engine))?;
    }
    for weights in &model.weights {
        writeln!(out, "- Weights of `{}`: blake3 `{}`", weights.stage, weights.record.weights)?;
    }
    if model.stages.is_empty() {
        return Ok(());
    }
    writeln!(out, "\nEqual keys asked the same; equal outputs are the same bytes.\n")?;
    table_head(&["Stage", "Kind", ">Rows", "Key", "Output"], out)?;
    for stage in &model.stages {
        table_row(
            &[
                format!("`{}`", stage.id),
                inline(&stage.kind),
                stage.rows.map_or_else(|| "–".to_owned(), thousands),
                format!("`{}`", stage.key.short()),
                format!("`{}`", stage.output.short()),
            ],
            out,
        )?;
    }
    // A blank line behind the summary, or GitHub does not read what follows as Markdown.
    writeln!(out, "\n<details>\n<summary>Full digests</summary>\n")?;
    table_head(&["Stage", "Key", "Output"], out)?;
    for stage in &model.stages {
        table_row(&[format!("`{}`", stage.id), format!("`{}`", stage.key), format!("`{}`", stage.output)], out)?;
    }
    writeln!(out, "\n</details>")
}
