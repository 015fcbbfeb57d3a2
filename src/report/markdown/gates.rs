//! The gates, each with what it came to.

use std::io::{self, Write};

use super::super::gates::{bound, measured, name, status};
use super::super::model::ReportModel;
use super::escape::sentence;
use super::{heading, table_head, table_row};
use crate::data::GateStatus;

pub(super) fn write(model: &ReportModel, out: &mut dyn Write) -> io::Result<()> {
    if model.gates.is_empty() {
        return Ok(());
    }
    heading(2, "Gates", out)?;
    table_head(&["Gate", "Must be", "Measured", "Came to"], out)?;
    for gate in &model.gates {
        // Times differ from machine to machine, and a report does not.
        let value = if gate.metric == "latency_p95" { "told at the end of a run".to_owned() } else { measured(gate) };
        let status =
            if gate.status == GateStatus::Passed { status(gate).to_owned() } else { format!("**{}**", status(gate)) };
        table_row(&[sentence(&name(gate)), sentence(&bound(gate)), value, status], out)?;
    }
    writeln!(
        out,
        "\nA rate passes or fails with its whole interval; while that spans the bound, the gate is inconclusive. What is counted, \
         such as tokens, has no interval."
    )
}
