//! Criteria in words.

use super::model::CriterionText;
use crate::spec;

/// The criterion as a reader who has not seen the rubric must know it.
pub(super) fn in_words(criterion: &spec::Criterion) -> CriterionText {
    let spec::Criterion { id, weight, critical, when, ask } = criterion;
    let (asks, by_code) = match ask {
        spec::Ask::Question(question) => (question.text.trim().to_owned(), false),
        spec::Ask::Scale(scale) => (scale_in_words(scale), false),
        spec::Ask::Command { command, negated } => {
            let does = if *negated { "fails" } else { "passes" };
            (format!("The reply {does} the program `{}`.", command.run.join(" ")), true)
        }
        spec::Ask::Check(check) => (format!("The reply {}.", check.describe()), true),
    };
    // The condition's text is private to `spec`; its serialized form is that text.
    let when = when.as_ref().and_then(|when| serde_json::to_value(when).ok()?.as_str().map(ToOwned::to_owned));
    CriterionText { id: id.clone(), asks, by_code, critical: *critical, weight: *weight, when }
}

/// `How warm is it? (1 = cold, 5 = warm; 4 and above passes)`
fn scale_in_words(scale: &spec::Scale) -> String {
    let spec::Scale { text, allow_not_applicable: _, anchors, pass_at, partial } = scale;
    let anchors: Vec<String> = anchors.iter().map(|(level, anchor)| format!("{level} = {}", anchor.trim())).collect();
    let partial = if *partial { ", and each level earns its share" } else { "" };
    format!("{} ({}; {pass_at} and above passes{partial})", text.trim(), anchors.join(", "))
}
