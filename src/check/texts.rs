//! Texts that a reply holds, begins or ends with, or is.

use regex::Regex;

use super::compiled::{Finding, finding, regex};
use super::describe::{quoted, quoted_list};
use super::{CheckError, cut};

/// So many characters of a reply's end are shown where another end was looked for.
const SHOWN: usize = 40;

/// A text, and what finds it.
#[derive(Debug)]
pub(super) struct Needle {
    text: String,
    regex: Regex,
}

/// Where in a reply a text is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Anywhere,
    Start,
    End,
    Whole,
}

impl Needle {
    pub(super) fn new(text: String, place: Place, ignore_case: bool) -> Result<Self, CheckError> {
        let plain = regex::escape(&text);
        let pattern = match place {
            Place::Anywhere => plain,
            Place::Start => format!(r"\A(?:{plain})"),
            Place::End => format!(r"(?:{plain})\z"),
            Place::Whole => format!(r"\A(?:{plain})\z"),
        };
        Ok(Self { regex: regex(&pattern, ignore_case)?, text })
    }
}

pub(super) fn find_some(needles: &[Needle], reply: &str) -> Finding {
    let found = needles.iter().find_map(|needle| Some((needle, needle.regex.find(reply)?)));
    match (found, needles) {
        (Some((needle, found)), _) => finding(true, found.as_str(), format!("holds {}", quoted(&needle.text))),
        (None, [needle]) => finding(false, "", format!("does not hold {}", quoted(&needle.text))),
        (None, _) => {
            finding(false, "", format!("holds none of {}", quoted_list(needles.iter().map(|needle| &needle.text))))
        }
    }
}

pub(super) fn find_all(needles: &[Needle], reply: &str) -> Finding {
    let mut found = Vec::new();
    let mut missing = Vec::new();
    for needle in needles {
        match needle.regex.find(reply) {
            Some(place) => found.push(place.as_str()),
            None => missing.push(&needle.text),
        }
    }
    if missing.is_empty() {
        finding(true, &found.join(" … "), format!("holds {}", quoted_list(needles.iter().map(|needle| &needle.text))))
    } else {
        finding(false, "", format!("does not hold {}", quoted_list(missing)))
    }
}

/// Compares a reply's beginning, its end or all of it.
pub(super) fn compare(needles: &[Needle], place: Place, reply: &str) -> Finding {
    let verb = match place {
        Place::Start => "begins with",
        Place::End => "ends with",
        Place::Anywhere | Place::Whole => "is",
    };
    if let Some((needle, found)) = needles.iter().find_map(|needle| Some((needle, needle.regex.find(reply)?))) {
        return finding(true, found.as_str(), format!("{verb} {}", quoted(&needle.text)));
    }
    let there = match place {
        Place::End => last(reply),
        Place::Start | Place::Anywhere | Place::Whole => cut(reply, SHOWN),
    };
    let wanted = quoted_list(needles.iter().map(|needle| &needle.text));
    let instead = match needles {
        [_] => format!("not {wanted}"),
        _ => format!("none of {wanted}"),
    };
    let evidence = there.trim_matches('…');
    if evidence.is_empty() {
        return finding(false, "", format!("is empty, {instead}"));
    }
    finding(false, evidence, format!("{verb} {}, {instead}", quoted(&there)))
}

/// The reply's end, with `…` before it where more comes before.
fn last(reply: &str) -> String {
    match reply.char_indices().rev().nth(SHOWN - 1) {
        Some((start, _)) if start > 0 => format!("…{}", reply[start..].trim_start()),
        Some(_) | None => reply.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use crate::check::compiled::tests::{check, not};
    use crate::check::{Check, Text};

    fn texts(texts: &[&str]) -> Vec<Text> {
        texts.iter().map(|&text| text.into()).collect()
    }

    fn contains(of: &[&str], all: bool, ignore_case: bool) -> Check {
        Check::Contains { texts: texts(of), all, ignore_case }
    }

    #[test]
    fn contains_some() {
        let number = contains(&["988"], false, false);
        check(&number, "call 988 now", true, "988", "holds `988`");
        check(&number, "", false, "", "does not hold `988`");
        check(&not(number), "call 988 now", false, "988", "holds `988`");
        let either = contains(&["helpline", "doctor"], false, true);
        check(&either, "See a DOCTOR.", true, "DOCTOR", "holds `doctor`");
        check(&either, "Rest.", false, "", "holds none of `helpline`, `doctor`");
        check(&contains(&["Doctor"], false, false), "a doctor", false, "", "does not hold `Doctor`");
        check(&contains(&["a.c (x)"], false, false), "abc x", false, "", "does not hold `a.c (x)`");
        check(&contains(&["ÜBER"], false, true), "sprich darüber", true, "über", "holds `ÜBER`");
    }

    #[test]
    fn contains_all() {
        let both = contains(&["a", "b"], true, true);
        check(&both, "B or A", true, "A … B", "holds `a`, `b`");
        check(&both, "A", false, "", "does not hold `b`");
        check(&both, "", false, "", "does not hold `a`, `b`");
        check(&not(both), "A", true, "", "does not hold `b`");
    }

    #[test]
    fn beginnings_and_ends() {
        let starts = |of: &[&str], ignore_case| Check::StartsWith { texts: texts(of), ignore_case };
        check(&starts(&["Yes"], false), "\n Yes, it is.", true, "Yes", "begins with `Yes`");
        check(&starts(&["yes"], true), "Yes, it is.", true, "Yes", "begins with `yes`");
        check(&starts(&["yes"], false), "Yes.", false, "Yes.", "begins with `Yes.`, not `yes`");
        check(&starts(&["yes", "no"], false), "Oh yes", false, "Oh yes", "begins with `Oh yes`, none of `yes`, `no`");
        check(&starts(&["yes"], false), " ", false, "", "is empty, not `yes`");
        check(&not(starts(&["Sure"], false)), "Sure!", false, "Sure", "begins with `Sure`");
        check(&starts(&["x"], false), "a\nx", false, "a\nx", "begins with `a x`, not `x`");
        let long = "é".repeat(100);
        let shown = "é".repeat(39);
        check(&starts(&["x"], false), &long, false, &shown, &format!("begins with `{shown}…`, not `x`"));
        let ends = |of: &[&str]| Check::EndsWith { texts: texts(of), ignore_case: true };
        check(&ends(&["?"]), "How are you? ", true, "?", "ends with `?`");
        check(&ends(&["YOU"]), "How are you", true, "you", "ends with `YOU`");
        check(&ends(&["?"]), "I am.", false, "I am.", "ends with `I am.`, not `?`");
        let shown = "é".repeat(40);
        check(&ends(&["x"]), &long, false, &shown, &format!("ends with `…{shown}`, not `x`"));
    }

    #[test]
    fn equality() {
        let equals = |of: &[&str], ignore_case, trim| Check::Equals { texts: texts(of), ignore_case, trim };
        check(&equals(&["Paris"], false, true), " Paris\n", true, "Paris", "is `Paris`");
        check(&equals(&[" Paris "], false, true), "Paris", true, "Paris", "is `Paris`");
        check(&equals(&["Paris"], false, false), "Paris\n", false, "Paris\n", "is `Paris `, not `Paris`");
        check(&equals(&["paris"], true, true), "PARIS", true, "PARIS", "is `paris`");
        check(&equals(&["a", "b"], false, true), "c", false, "c", "is `c`, none of `a`, `b`");
        check(&not(equals(&["a"], false, true)), "ab", true, "ab", "is `ab`, not `a`");
        check(&equals(&["a+"], false, true), "aa", false, "aa", "is `aa`, not `a+`");
    }
}
