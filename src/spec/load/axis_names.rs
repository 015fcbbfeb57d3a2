//! Reports axes that prompts and conditions name although the suite that they are for has none such.
//!
//! What a file of scenarios has is not known before it is read, so nothing is said of those. Start at [`report_unknown`].

use std::ops::Range;

use indexmap::IndexMap;

use super::conditions::{Conditions, expanded, suite};
use super::files::find_name;
use crate::ids::StageId;
use crate::spec::generate::Expand;
use crate::spec::pipeline::Stage;
use crate::spec::problem::{Code, Problem, SourceText};
use crate::spec::read::{Sink, did_you_mean, shorten};
use crate::spec::template::Template;

/// A prompt over scenarios.
pub(super) struct Prompt {
    /// Which scenarios.
    pub(super) scenarios: StageId,
    /// Where it is written.
    pub(super) file: SourceText,
    /// What it says.
    pub(super) template: Template,
}

/// Reports each axis that is named and unknown, once a place.
pub(super) fn report_unknown(
    prompts: &[Prompt],
    conditions: &[Conditions],
    stages: &IndexMap<StageId, Stage>,
    sink: &Sink,
) {
    let mut report = Report { told: Vec::new(), sink };
    for Prompt { scenarios, file, template } in prompts {
        let Some((id, suite)) = expanded(stages, scenarios) else { continue };
        for axis in template.unknown_axes(&names(suite)) {
            let place = find_name(template.source(), &axis, "");
            report.push(id, suite, file, &place.unwrap_or_default(), &axis);
        }
    }
    for Conditions { answers, file, conditions, templates, costs: _, times: _ } in conditions {
        let Some((id, suite)) = suite(stages, answers) else { continue };
        let names = names(suite);
        let in_conditions = conditions.iter().map(|(condition, span)| (condition.unknown_axes(&names), span));
        let in_checks = templates.iter().map(|(template, span)| (template.unknown_axes(&names), span));
        for (axes, span) in in_conditions.chain(in_checks) {
            for axis in axes {
                report.push(id, suite, file, span, &axis);
            }
        }
    }
}

fn names(suite: &Expand) -> Vec<&str> {
    suite.taxonomy.axes.iter().map(|axis| axis.name.as_str()).collect()
}

/// What was reported: two stages may have the same prompt.
struct Report<'a> {
    told: Vec<(SourceText, Range<usize>, String)>,
    sink: &'a Sink,
}

impl Report<'_> {
    fn push(&mut self, id: &StageId, suite: &Expand, file: &SourceText, span: &Range<usize>, axis: &str) {
        let is_told = |(other, place, name): &(SourceText, Range<usize>, String)| {
            other.path == file.path && place == span && name == axis
        };
        if self.told.iter().any(is_told) {
            return;
        }
        self.told.push((file.clone(), span.clone(), axis.to_owned()));
        let message = format!("scenarios of `{id}` have no axis `{}`", shorten(axis));
        let problem = Problem::new(Code::UnknownVariable, file, span, "unknown axis", message);
        let names = names(suite);
        self.sink.borrow_mut().push(if names.is_empty() {
            problem.help("declare it under `axes:` in the taxonomy, or ask first whether it `is defined`")
        } else {
            problem.help(did_you_mean(axis, &names))
        });
    }
}
