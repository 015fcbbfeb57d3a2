//! A check in words, for reports and reasons.

use super::count::Unit;
use super::{Bounds, Check, Text, Tolerance, Which, cut};

/// Longest pattern or text that is shown whole, in characters.
const LONGEST_SHOWN: usize = 60;

impl Check {
    /// Says in words what a reply does that meets the check: `has 10 to 150 words`, `does not contain “sorry”`.
    #[must_use]
    pub fn describe(&self) -> String {
        self.describe_as(true)
    }

    fn describe_as(&self, holds: bool) -> String {
        let verb = |does: &str, base: &str| if holds { does.to_owned() } else { format!("does not {base}") };
        let is = if holds { "is" } else { "is not" };
        let in_any_case = |ignore_case: bool| if ignore_case { ", in upper or lower case" } else { "" };
        match self {
            Self::Contains { texts, all, ignore_case } => {
                let texts = match (all, texts.len()) {
                    (_, 1) => either(texts),
                    (true, _) => format!("all of {}", join(texts, "and")),
                    (false, _) => format!("any of {}", join(texts, "or")),
                };
                format!("{} {texts}{}", verb("contains", "contain"), in_any_case(*ignore_case))
            }
            Self::StartsWith { texts, ignore_case } => {
                format!("{} with {}{}", verb("begins", "begin"), either(texts), in_any_case(*ignore_case))
            }
            Self::EndsWith { texts, ignore_case } => {
                format!("{} with {}{}", verb("ends", "end"), either(texts), in_any_case(*ignore_case))
            }
            Self::Equals { texts, ignore_case, trim } => {
                let exactly = if *trim { "" } else { " exactly" };
                format!("{is}{exactly} {}{}", either(texts), in_any_case(*ignore_case))
            }
            Self::Regex(pattern) => {
                format!("{} the regular expression {}", verb("matches", "match"), shown(pattern))
            }
            Self::Words(bounds) => count(*bounds, Unit::Words, &verb("has", "have")),
            Self::Sentences(bounds) => count(*bounds, Unit::Sentences, &verb("has", "have")),
            Self::Characters(bounds) => count(*bounds, Unit::Characters, &verb("has", "have")),
            Self::Tokens(bounds) => count(*bounds, Unit::Tokens, &verb("takes", "take")),
            Self::Cost { max, prompt: _, completion: _ } => format!("{} at most ${max}", verb("costs", "cost")),
            Self::Latency { max } => format!("{} at most {max} s", verb("takes", "take")),
            Self::Language(languages) => {
                let codes: Vec<String> = languages.iter().map(|language| format!("“{language}”")).collect();
                format!("{is} in the language {}", list(&codes, "or"))
            }
            Self::Json { schema } => {
                let schema = if schema.is_some() { " that satisfies the schema" } else { "" };
                format!("{is} one JSON document{schema}")
            }
            Self::Similar { to, by, min } => {
                format!("{is} similar to {} ({} of at least {min})", either(to), by.title())
            }
            Self::Number { near, within, which } => number(near, *within, *which, &verb("names", "name")),
            Self::Refusal => verb("refuses", "refuse"),
            Self::Not(inner) => inner.describe_as(!holds),
        }
    }
}

fn number(near: &Text, within: Tolerance, which: Which, verb: &str) -> String {
    let near = match near {
        Text::Plain(text) => text.clone(),
        Text::Template { template: _ } => shown(near),
    };
    let what = match within {
        Tolerance::Absolute(distance) if distance <= 0.0 => format!("the number {near}"),
        Tolerance::Absolute(_) | Tolerance::Relative(_) => format!("a number within {} of {near}", within.shown()),
    };
    match which {
        Which::Any => format!("{verb} {what}"),
        Which::First => format!("{verb} {what} first of all numbers"),
        Which::Last => format!("{verb} {what} last of all numbers"),
    }
}

fn count(bounds: Bounds, unit: Unit, verb: &str) -> String {
    let range = match (bounds.min, bounds.max) {
        (Some(min), Some(max)) if min == max => format!("exactly {}", unit.counted(min)),
        (Some(min), Some(max)) => format!("{min} to {}", unit.counted(max)),
        (Some(min), None) => format!("at least {}", unit.counted(min)),
        (None, Some(max)) => format!("at most {}", unit.counted(max)),
        (None, None) => format!("any number of {}", unit.counted(0).trim_start_matches("0 ")),
    };
    format!("{verb} {range}")
}

fn shown(text: &Text) -> String {
    format!("“{}”", text.source())
}

fn either(texts: &[Text]) -> String {
    match texts {
        [only] => shown(only),
        _ => format!("one of {}", join(texts, "or")),
    }
}

fn join(texts: &[Text], last: &str) -> String {
    list(&texts.iter().map(shown).collect::<Vec<_>>(), last)
}

/// `a, b and c`
fn list(items: &[String], last: &str) -> String {
    match items {
        [] => String::new(),
        [only] => only.clone(),
        [first @ .., end] => format!("{} {last} {end}", first.join(", ")),
    }
}

/// The text in backticks, short and on one line.
pub(super) fn quoted(text: &str) -> String {
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    format!("`{}`", cut(&line, LONGEST_SHOWN))
}

/// Texts in backticks.
pub(super) fn quoted_list<'a>(texts: impl IntoIterator<Item = &'a String>) -> String {
    texts.into_iter().map(|text| quoted(text)).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{Language, Measure};

    fn check(check: &Check, expected: &str) {
        assert_eq!(check.describe(), expected);
        let twice = Check::Not(Box::new(Check::Not(Box::new(check.clone()))));
        assert_eq!(twice.describe(), expected);
    }

    fn texts(texts: &[&str]) -> Vec<Text> {
        texts.iter().map(|&text| text.into()).collect()
    }

    fn contains(of: &[&str], all: bool, ignore_case: bool) -> Check {
        Check::Contains { texts: texts(of), all, ignore_case }
    }

    fn not(check: Check) -> Check {
        Check::Not(Box::new(check))
    }

    fn bounds(min: Option<usize>, max: Option<usize>) -> Bounds {
        Bounds { min, max }
    }

    #[test]
    fn checks_read_as_sentences() {
        check(&contains(&["a"], true, false), "contains “a”");
        check(&contains(&["a", "b", "c"], false, true), "contains any of “a”, “b” or “c”, in upper or lower case");
        check(&not(contains(&["a", "b"], true, false)), "does not contain all of “a” and “b”");
        let starts = Check::StartsWith { texts: texts(&["a", "b"]), ignore_case: false };
        check(&starts, "begins with one of “a” or “b”");
        check(&not(Check::EndsWith { texts: texts(&["?"]), ignore_case: false }), "does not end with “?”");
        let template = Text::Template { template: "{{ scenario.style }}".to_owned() };
        let equals = Check::Equals { texts: vec![template.clone()], ignore_case: true, trim: true };
        check(&equals, "is “{{ scenario.style }}”, in upper or lower case");
        check(&Check::Equals { texts: texts(&["a"]), ignore_case: false, trim: false }, "is exactly “a”");
        check(&Check::Regex("^x|y$".into()), "matches the regular expression “^x|y$”");
        check(&not(Check::Regex("x".into())), "does not match the regular expression “x”");
        check(&Check::Words(bounds(Some(10), Some(150))), "has 10 to 150 words");
        check(&not(Check::Words(bounds(None, Some(80)))), "does not have at most 80 words");
        check(&Check::Words(bounds(Some(3), None)), "has at least 3 words");
        check(&Check::Sentences(bounds(Some(1), Some(1))), "has exactly 1 sentence");
        check(&Check::Characters(bounds(None, None)), "has any number of characters");
        check(&Check::Tokens(bounds(None, Some(90))), "takes at most 90 tokens");
        check(&Check::Latency { max: 2.5 }, "takes at most 2.5 s");
        check(&Check::Cost { max: 0.002, prompt: 1.0, completion: 1.0 }, "costs at most $0.002");
        check(&Check::Language(vec![Language::of("en").unwrap()]), "is in the language “en”");
        check(&Check::Json { schema: None }, "is one JSON document");
        let schema = Check::Json { schema: Some(true.into()) };
        check(&not(not(not(schema))), "is not one JSON document that satisfies the schema");
        let similar = Check::Similar { to: texts(&["a"]), by: Measure::RougeL, min: 0.5 };
        check(&similar, "is similar to “a” (ROUGE-L of at least 0.5)");
        let number = |within, which| Check::Number { near: "4".into(), within, which };
        check(&number(Tolerance::Absolute(0.0), Which::Any), "names the number 4");
        check(
            &not(number(Tolerance::Relative(0.1), Which::Last)),
            "does not name a number within 10 % of 4 last of all numbers",
        );
        check(&not(Check::Refusal), "does not refuse");
    }
}
