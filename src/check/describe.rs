//! A check in words, for reports and reasons.

use super::{Check, cut};

/// Longest pattern or text that is shown whole, in characters.
const LONGEST_SHOWN: usize = 60;

impl Check {
    /// Says in words when the check holds: `between 10 and 150 words`, `does not match …`.
    #[must_use]
    pub fn describe(&self) -> String {
        self.describe_as(true)
    }

    fn describe_as(&self, holds: bool) -> String {
        match self {
            Self::Contains { texts, all, ignore_case } => {
                let what = match (texts.as_slice(), all, holds) {
                    ([text], _, true) => format!("contains {}", quoted(text)),
                    ([text], _, false) => format!("does not contain {}", quoted(text)),
                    (_, false, true) => format!("contains one of {}", list(texts)),
                    (_, false, false) => format!("contains none of {}", list(texts)),
                    (_, true, true) => format!("contains all of {}", list(texts)),
                    (_, true, false) => format!("does not contain all of {}", list(texts)),
                };
                if *ignore_case { format!("{what}, in any case") } else { what }
            }
            Self::Regex(pattern) if holds => format!("matches {}", quoted(pattern)),
            Self::Regex(pattern) => format!("does not match {}", quoted(pattern)),
            Self::Words { min, max } => describe_words(*min, *max, holds),
            Self::Json { schema } => {
                let verb = if holds { "is" } else { "is not" };
                let schema = if schema.is_some() { " that satisfies the schema" } else { "" };
                format!("{verb} JSON{schema}")
            }
            Self::Not(inner) => inner.describe_as(!holds),
        }
    }
}

fn describe_words(min: Option<usize>, max: Option<usize>, holds: bool) -> String {
    match (min, max, holds) {
        (None, None, true) => "any number of words".to_owned(),
        (None, None, false) => "no number of words".to_owned(),
        (Some(min), None, true) => format!("at least {}", words(min)),
        (Some(min), None, false) => format!("fewer than {}", words(min)),
        (None, Some(max), true) => format!("at most {}", words(max)),
        (None, Some(max), false) => format!("more than {}", words(max)),
        (Some(min), Some(max), true) if min == max => format!("exactly {}", words(min)),
        (Some(min), Some(max), false) if min == max => format!("not exactly {}", words(min)),
        (Some(min), Some(max), true) => format!("between {min} and {}", words(max)),
        (Some(min), Some(max), false) => format!("not between {min} and {}", words(max)),
    }
}

/// `1 word`, `2 words`.
pub(super) fn words(count: usize) -> String {
    if count == 1 { "1 word".to_owned() } else { format!("{count} words") }
}

/// The text in backticks, short and on one line.
pub(super) fn quoted(text: &str) -> String {
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    format!("`{}`", cut(&line, LONGEST_SHOWN))
}

pub(super) fn list<'a>(texts: impl IntoIterator<Item = &'a String>) -> String {
    texts.into_iter().map(|text| quoted(text)).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn contains(texts: &[&str], all: bool, ignore_case: bool) -> Check {
        Check::Contains { texts: texts.iter().map(|&text| text.to_owned()).collect(), all, ignore_case }
    }

    #[test]
    fn says_when_it_holds() {
        let (a, ab) = (&["a"][..], &["a", "b"][..]);
        let words = |min, max| Check::Words { min, max };
        for (check, expected, negated) in [
            (contains(a, false, false), "contains `a`", "does not contain `a`"),
            (contains(a, true, true), "contains `a`, in any case", "does not contain `a`, in any case"),
            (contains(ab, false, false), "contains one of `a`, `b`", "contains none of `a`, `b`"),
            (contains(ab, true, false), "contains all of `a`, `b`", "does not contain all of `a`, `b`"),
            (Check::Regex("x\ny".to_owned()), "matches `x y`", "does not match `x y`"),
            (words(Some(10), Some(150)), "between 10 and 150 words", "not between 10 and 150 words"),
            (words(Some(1), None), "at least 1 word", "fewer than 1 word"),
            (words(None, Some(80)), "at most 80 words", "more than 80 words"),
            (words(Some(3), Some(3)), "exactly 3 words", "not exactly 3 words"),
            (words(None, None), "any number of words", "no number of words"),
            (Check::Json { schema: None }, "is JSON", "is not JSON"),
            (
                Check::Json { schema: Some(json!({})) },
                "is JSON that satisfies the schema",
                "is not JSON that satisfies the schema",
            ),
        ] {
            assert_eq!(check.describe(), expected);
            let not = Check::Not(Box::new(check));
            assert_eq!(not.describe(), negated);
            assert_eq!(Check::Not(Box::new(not)).describe(), expected);
        }
    }

    #[test]
    fn long_patterns_are_cut() {
        let described = Check::Regex("é".repeat(100)).describe();
        assert_eq!(described, format!("matches `{}…`", "é".repeat(59)));
    }
}
