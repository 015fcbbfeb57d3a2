//! Numbers that a reply names.

use std::sync::LazyLock;

use regex::Regex;
use serde::{Deserialize, Serialize};

use super::compiled::{Finding, finding};
use super::describe::quoted;

/// Numbers that are equal but for how they were reckoned may differ by this much of their size.
const SLACK: f64 = 1e-9;

/// So many numbers are listed where none is near.
const SHOWN: usize = 5;

/// How far from a number is near.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tolerance {
    /// So much.
    Absolute(f64),
    /// This share of the number.
    Relative(f64),
}

impl Tolerance {
    /// `0.5`, `5 %`.
    #[must_use]
    pub fn shown(self) -> String {
        match self {
            Self::Absolute(distance) => distance.to_string(),
            Self::Relative(share) => format!("{} %", (share * 1e8).round() / 1e6),
        }
    }

    fn allows(self, near: f64, number: f64) -> bool {
        let most = match self {
            Self::Absolute(distance) => distance,
            Self::Relative(share) => share * near.abs(),
        };
        (number - near).abs() <= most + SLACK * near.abs().max(most)
    }
}

/// Which of a reply's numbers counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Which {
    /// Any of them.
    Any,
    /// The first.
    First,
    /// The last.
    Last,
}

impl Which {
    /// All of them with their names in the rubric.
    pub const ALL: &'static [(&'static str, Self)] =
        &[("any", Self::Any), ("first", Self::First), ("last", Self::Last)];
}

/// A number as a reply writes it.
struct Named<'a> {
    text: &'a str,
    number: f64,
}

/// Reads a whole text as a number, as [`find`] would.
pub(super) fn read(text: &str) -> Option<f64> {
    let text = text.trim();
    find(text).into_iter().find(|named| named.text == text).map(|named| named.number)
}

/// Looks for a number near to another.
pub(super) fn compare(near: f64, within: Tolerance, which: Which, reply: &str) -> Finding {
    let all = find(reply);
    let looked_at = match which {
        Which::Any => &all[..],
        Which::First => all.get(..1).unwrap_or_default(),
        Which::Last => all.len().checked_sub(1).map_or(&all[..], |last| &all[last..]),
    };
    let wanted = match within {
        Tolerance::Absolute(distance) if distance <= 0.0 => near.to_string(),
        Tolerance::Absolute(_) | Tolerance::Relative(_) => format!("within {} of {near}", within.shown()),
    };
    if let Some(found) = looked_at.iter().find(|named| within.allows(near, named.number)) {
        return finding(true, found.text, format!("names {}, which is {wanted}", quoted(found.text)));
    }
    if looked_at.is_empty() {
        return finding(false, "", format!("names no number, {wanted} is looked for"));
    }
    let shown: Vec<String> = looked_at.iter().take(SHOWN).map(|named| quoted(named.text)).collect();
    let more = if looked_at.len() > SHOWN { format!(" and {} more", looked_at.len() - SHOWN) } else { String::new() };
    let what = match which {
        Which::Any => "names",
        Which::First => "first names",
        Which::Last => "last names",
    };
    let evidence = looked_at.last().map_or("", |named| named.text);
    finding(false, evidence, format!("{what} {}{more}, none is {wanted}", shown.join(", ")))
}

/// All numbers: digits, in groups of three with commas between them or not, with a decimal point and an exponent or not.
/// A minus sign behind a letter or digit is a dash, and digits behind a letter are part of a word.
fn find(reply: &str) -> Vec<Named<'_>> {
    const PATTERN: &str = r"[-+−]?(?:(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?|\.\d+)(?:[eE][-+]?\d+)?";
    static NUMBER: LazyLock<Regex> = LazyLock::new(|| Regex::new(PATTERN).expect("it is fixed and compiles"));
    let named = |found: regex::Match<'_>| {
        let before = reply[..found.start()].chars().next_back();
        let text = &reply[found.range()];
        let unsigned = text.trim_start_matches(['-', '+', '−']);
        let follows_word = before.is_some_and(char::is_alphanumeric);
        if follows_word && unsigned.len() == text.len() {
            return None;
        }
        let text = if follows_word { unsigned } else { text };
        let plain = text.replace(',', "").replace('−', "-");
        Some((found.end() - text.len()..found.end(), plain.parse().ok().filter(|number: &f64| number.is_finite())?))
    };
    NUMBER.find_iter(reply).filter_map(named).map(|(range, number)| Named { text: &reply[range], number }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Check;
    use crate::check::compiled::tests::{check, not};

    #[test]
    fn numbers_are_found() {
        let found = |text: &str| find(text).iter().map(|named| named.text.to_owned()).collect::<Vec<_>>();
        for (text, expected) in [
            ("It is 1,234.50 dollars, or -3.", &["1,234.50", "-3"][..]),
            ("$72.00.", &["72.00"]),
            ("3-5 of COVID-19", &["3", "5", "19"]),
            ("B2 and x86, but 5kg", &["5"]),
            (".5 or 1e3 or −2", &[".5", "1e3", "−2"]),
            ("1,2 and 1234,567", &["1", "2", "1234", "567"]),
            ("none", &[]),
        ] {
            assert_eq!(found(text), expected, "{text}");
        }
        assert_eq!(
            [read(" 42 "), read("1,000"), read("-.5"), read("4 2"), read("x"), read("1e999")],
            [Some(42.0), Some(1000.0), Some(-0.5), None, None, None]
        );
    }

    #[test]
    fn a_number_is_near_another() {
        let number = |near: &str, within, which| Check::Number { near: near.into(), within, which };
        let exact = number("42", Tolerance::Absolute(0.0), Which::Any);
        check(&exact, "The answer is 42.0.", true, "42.0", "names `42.0`, which is 42");
        check(&exact, "It is 41 or 43.", false, "43", "names `41`, `43`, none is 42");
        check(&exact, "I do not know.", false, "", "names no number, 42 is looked for");
        check(&not(exact), "It is 42.", false, "42", "names `42`, which is 42");
        let about = number("3.14159", Tolerance::Absolute(0.01), Which::Any);
        check(&about, "about 3.15", true, "3.15", "names `3.15`, which is within 0.01 of 3.14159");
        let share = number("200", Tolerance::Relative(0.05), Which::Any);
        check(&share, "190", true, "190", "names `190`, which is within 5 % of 200");
        check(&share, "189.9", false, "189.9", "names `189.9`, none is within 5 % of 200");
        let last = number("6", Tolerance::Absolute(0.0), Which::Last);
        check(&last, "2 times 3 is 6", true, "6", "names `6`, which is 6");
        check(&last, "6 is 2 times 3", false, "3", "last names `3`, none is 6");
        let first = number("6", Tolerance::Absolute(0.0), Which::First);
        check(&first, "2, 3, 6", false, "2", "first names `2`, none is 6");
        check(&number("9", Tolerance::Absolute(0.0), Which::Any), "1 2 3 4 5 6 7", false, "7", {
            "names `1`, `2`, `3`, `4`, `5` and 2 more, none is 9"
        });
        check(&number("0.3", Tolerance::Absolute(0.1), Which::Any), "0.2", true, "0.2", {
            "names `0.2`, which is within 0.1 of 0.3"
        });
    }
}
