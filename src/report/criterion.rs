//! Criteria in words.

use super::model::CriterionText;
use crate::check::Check;
use crate::spec;
use crate::stats::text::list;

/// The criterion as a reader who has not seen the rubric must know it.
pub(super) fn in_words(criterion: &spec::Criterion) -> CriterionText {
    let spec::Criterion { id, weight, critical, when, ask } = criterion;
    let (asks, by_code) = match ask {
        spec::Ask::Question(question) => (question.text.trim().to_owned(), false),
        spec::Ask::Check(check) => (format!("The reply {}.", check_in_words(check, true)), true),
    };
    // The condition's text is private to `spec`; its serialized form is that text.
    let when = when.as_ref().and_then(|when| serde_json::to_value(when).ok()?.as_str().map(ToOwned::to_owned));
    CriterionText { id: id.clone(), asks, by_code, critical: *critical, weight: *weight, when }
}

/// What a reply does that meets the check, or does not do, if it `holds` not.
fn check_in_words(check: &Check, holds: bool) -> String {
    let verb = |does: &str, base: &str| if holds { does.to_owned() } else { format!("does not {base}") };
    match check {
        Check::Contains { texts, all, ignore_case } => {
            let quoted: Vec<String> = texts.iter().map(|text| format!("“{text}”")).collect();
            let texts = match (all, quoted.len()) {
                (_, 1) => quoted[0].clone(),
                (true, _) => format!("all of {}", list(&quoted, "and")),
                (false, _) => format!("any of {}", list(&quoted, "or")),
            };
            let case = if *ignore_case { ", in upper or lower case" } else { "" };
            format!("{} {texts}{case}", verb("contains", "contain"))
        }
        Check::Regex(pattern) => format!("{} the regular expression “{pattern}”", verb("matches", "match")),
        Check::Words { min, max } => {
            let range = match (min, max) {
                (Some(min), Some(max)) => format!("{min} to {max} words"),
                (Some(min), None) => format!("at least {min} words"),
                (None, Some(max)) => format!("at most {max} words"),
                (None, None) => "any number of words".to_owned(),
            };
            format!("{} {range}", verb("has", "have"))
        }
        Check::Json { schema } => {
            let schema = if schema.is_some() { " that satisfies the schema" } else { "" };
            format!("is {}one JSON document{schema}", if holds { "" } else { "not " })
        }
        Check::Not(inner) => check_in_words(inner, !holds),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(check: &Check, expected: &str) {
        assert_eq!(check_in_words(check, true), expected);
    }

    fn contains(texts: &[&str], all: bool, ignore_case: bool) -> Check {
        Check::Contains { texts: texts.iter().map(ToString::to_string).collect(), all, ignore_case }
    }

    fn not(check: Check) -> Check {
        Check::Not(Box::new(check))
    }

    #[test]
    fn checks_read_as_sentences() {
        check(&contains(&["a"], true, false), "contains “a”");
        check(&contains(&["a", "b", "c"], false, true), "contains any of “a”, “b” or “c”, in upper or lower case");
        check(&not(contains(&["a", "b"], true, false)), "does not contain all of “a” and “b”");
        check(&Check::Regex("^x|y$".to_owned()), "matches the regular expression “^x|y$”");
        check(&not(Check::Regex("x".to_owned())), "does not match the regular expression “x”");
        check(&Check::Words { min: Some(10), max: Some(150) }, "has 10 to 150 words");
        check(&not(Check::Words { min: None, max: Some(80) }), "does not have at most 80 words");
        check(&Check::Words { min: Some(3), max: None }, "has at least 3 words");
        check(&Check::Json { schema: None }, "is one JSON document");
        check(
            &not(not(not(Check::Json { schema: Some(true.into()) }))),
            "is not one JSON document that satisfies the schema",
        );
    }
}
