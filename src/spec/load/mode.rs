//! Reads how a judge's verdicts are had, and what goes with it.

use std::ops::Bound;

use crate::spec::pipeline::JudgeMode;
use crate::spec::problem::Code;
use crate::spec::read::{Field, Fields};

/// Largest probability outside of the verdict words where the file does not say: a verdict is at least as likely as all
/// that is none.
const MAX_OUTSIDE: f64 = 0.5;

/// The modes without what goes with them.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Json,
    Together,
    Logprob,
}

/// Reads `mode` and `max_outside`, and reports fields that mean nothing in that mode.
pub(super) fn mode(fields: &mut Fields<'_>) -> Option<JudgeMode> {
    const MODES: &[(&str, Way)] = &[("json", Way::Json), ("together", Way::Together), ("logprob", Way::Logprob)];
    let mode = fields.optional("mode");
    let way = mode.map_or(Some(Way::Json), |field| field.choice(MODES));
    let max_outside = fields.optional("max_outside");
    match (way?, mode) {
        (Way::Logprob, Some(mode)) => {
            report_fields_of_writing(fields, mode);
            let below_one = (Bound::Included(0.0), Bound::Excluded(1.0));
            let max_outside = max_outside.map_or(Some(MAX_OUTSIDE), |field| field.number(below_one))?;
            Some(JudgeMode::Logprob { max_outside })
        }
        (way, written) => {
            if let Some(span) = fields.key_span("max_outside") {
                let message = "`max_outside` is a limit of `mode: logprob`".to_owned();
                let problem = fields.reader.problem(Code::UnknownField, span, "only with logprob", message);
                let problem = match written {
                    Some(mode) => problem.other(mode.reader.file, mode.span(), "the mode"),
                    None => problem,
                };
                fields.reader.push(problem.help("write `mode: logprob`, or remove it"));
            }
            Some(if way == Way::Together { JudgeMode::Together } else { JudgeMode::Json })
        }
    }
}

/// Reports what says how a text is written or drawn: a judge that weighs words writes none.
fn report_fields_of_writing(fields: &Fields<'_>, mode: Field<'_>) {
    for (name, help) in [
        ("max_tokens", "remove it: the probabilities of one token are all that is asked for"),
        ("temperature", "remove it: probabilities are taken as the model has them"),
        ("top_p", "remove it: probabilities are taken as the model has them"),
        ("seed", "remove it: nothing is drawn"),
        ("repeat", "remove it: each opinion would be the same"),
    ] {
        let Some(span) = fields.key_span(name) else { continue };
        let message = format!("`{name}` says how verdicts are written, and with `mode: logprob` none is");
        let problem = fields.reader.problem(Code::UnknownField, span, "not with logprob", message);
        fields.reader.push(problem.other(mode.reader.file, mode.span(), "the mode").help(help));
    }
}
