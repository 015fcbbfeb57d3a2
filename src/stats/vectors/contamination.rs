//! The vectors of the group `contamination`, as far as they are about profiles of scores and likeness.

use serde_json::{Value, json};

use super::{Input, floats};
use crate::stats::{Deviation, against_panel, chance_corrected_logit, modified_z};

/// What this program gives for a vector's input; none for a function of another group.
pub(super) fn compute(function: &str, input: &Input<'_>) -> Option<Value> {
    Some(match function {
        "chance_corrected_logit" => {
            json!(chance_corrected_logit(input.float("acc"), input.float("chance"), input.float("n")))
        }
        "rouge_l_f1" => json!(crate::check::rouge_l(input.text("cand"), input.text("ref"))),
        "mad_modified_z" => json!(modified_z(&input.floats("x"))),
        "jagged_lobo_t" => {
            let panel: Vec<Vec<f64>> = input.list("panel").iter().map(floats).collect();
            let panel: Vec<&[f64]> = panel.iter().map(Vec::as_slice).collect();
            let at = usize::try_from(input.whole("j")).unwrap();
            let found = against_panel(&panel, &input.floats("target"), at);
            json!(found.map(|Deviation { t, p }| json!({ "t": t, "p": p })))
        }
        _ => return None,
    })
}
