//! A check made ready to be decided on many replies, and the deciding.

use regex::{Regex, RegexBuilder};
use serde_json::Value;

use super::describe::{list, quoted, words};
use super::{Check, cut};

/// Most bytes that one compiled regular expression may take.
const REGEX_BYTES: usize = 10 << 20;

/// Longest evidence that is quoted whole, in characters.
const LONGEST_EVIDENCE: usize = 200;

/// Longest message of a JSON parser or validator that is passed on whole, in characters.
const LONGEST_MESSAGE: usize = 160;

/// What a check found in a reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Whether the check holds.
    pub holds: bool,
    /// The words of the reply it rests on, cut where they are many; empty where it rests on what is not there.
    pub evidence: String,
    /// What was found, in words.
    pub reason: String,
}

/// Why a check cannot be compiled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckError {
    /// A regular expression does not parse or is too large.
    #[error("{pattern} is not a usable regular expression: {message}")]
    Regex {
        /// The expression, quoted.
        pattern: String,
        /// What is wrong with it.
        message: String,
    },
    /// A schema is not one, or refers to something outside of itself.
    #[error("not a usable JSON schema: {message}")]
    Schema {
        /// What is wrong with it.
        message: String,
    },
}

/// A [`Check`] ready to be evaluated on many replies.
#[derive(Debug)]
pub struct Compiled(Decider);

#[derive(Debug)]
enum Decider {
    Contains { texts: Vec<(String, Regex)>, all: bool },
    Regex(Regex),
    Words { min: Option<usize>, max: Option<usize> },
    Json(Option<Box<jsonschema::Validator>>),
    Not(Box<Self>),
}

impl Check {
    /// Makes the check ready to be evaluated.
    ///
    /// # Errors
    /// A regular expression does not compile within the size limit, or a schema is not one.
    pub fn compile(&self) -> Result<Compiled, CheckError> {
        Decider::new(self).map(Compiled)
    }
}

impl Compiled {
    /// Decides the check on one reply.
    #[must_use]
    pub fn evaluate(&self, reply: &str) -> Finding {
        self.0.decide(reply, false)
    }
}

impl Decider {
    fn new(check: &Check) -> Result<Self, CheckError> {
        Ok(match check {
            Check::Contains { texts, all, ignore_case } => {
                let compile = |text: &String| Ok((text.clone(), regex(&regex::escape(text), *ignore_case)?));
                Self::Contains { texts: texts.iter().map(compile).collect::<Result<_, _>>()?, all: *all }
            }
            Check::Regex(pattern) => Self::Regex(regex(pattern, false)?),
            Check::Words { min, max } => Self::Words { min: *min, max: *max },
            Check::Json { schema: None } => Self::Json(None),
            Check::Json { schema: Some(schema) } => Self::Json(Some(Box::new(
                jsonschema::validator_for(schema)
                    .map_err(|error| CheckError::Schema { message: cut(&error.to_string(), LONGEST_MESSAGE) })?,
            ))),
            Check::Not(inner) => Self::Not(Box::new(Self::new(inner)?)),
        })
    }

    /// `negated` says that an odd number of `not` stands around this check: what it does not allow is then what is wanted,
    /// and reasons must only state what is there.
    fn decide(&self, reply: &str, negated: bool) -> Finding {
        match self {
            Self::Contains { texts, all: false } => find_some(texts, reply),
            Self::Contains { texts, all: true } => find_all(texts, reply),
            Self::Regex(regex) => match regex.find(reply) {
                Some(found) => finding(true, found.as_str(), format!("matches {}", quoted(regex.as_str()))),
                None => finding(false, "", format!("no match for {}", quoted(regex.as_str()))),
            },
            Self::Words { min, max } => count_words(*min, *max, reply, negated),
            Self::Json(validator) => read_json(validator.as_deref(), reply),
            Self::Not(inner) => {
                let found = inner.decide(reply, !negated);
                Finding { holds: !found.holds, ..found }
            }
        }
    }
}

fn regex(pattern: &str, ignore_case: bool) -> Result<Regex, CheckError> {
    RegexBuilder::new(pattern).case_insensitive(ignore_case).size_limit(REGEX_BYTES).build().map_err(|error| {
        // The library draws the expression with a caret over several lines; the last one says what is wrong.
        let text = error.to_string();
        let line = text.lines().last().unwrap_or_default();
        let message = line.trim_start_matches("error: ").trim_end_matches('.').to_owned();
        CheckError::Regex { pattern: quoted(pattern), message }
    })
}

fn finding(holds: bool, evidence: &str, reason: String) -> Finding {
    Finding { holds, evidence: cut(evidence, LONGEST_EVIDENCE), reason }
}

fn find_some(texts: &[(String, Regex)], reply: &str) -> Finding {
    let found = texts.iter().find_map(|(text, regex)| Some((text, regex.find(reply)?)));
    match (found, texts) {
        (Some((text, found)), _) => finding(true, found.as_str(), format!("holds {}", quoted(text))),
        (None, [(text, _)]) => finding(false, "", format!("does not hold {}", quoted(text))),
        (None, _) => finding(false, "", format!("holds none of {}", list(texts.iter().map(|(text, _)| text)))),
    }
}

fn find_all(texts: &[(String, Regex)], reply: &str) -> Finding {
    let mut found = Vec::new();
    let mut missing = Vec::new();
    for (text, regex) in texts {
        match regex.find(reply) {
            Some(place) => found.push(place.as_str()),
            None => missing.push(text),
        }
    }
    if missing.is_empty() {
        finding(true, &found.join(" … "), format!("holds {}", list(texts.iter().map(|(text, _)| text))))
    } else {
        finding(false, "", format!("does not hold {}", list(missing)))
    }
}

/// A word is a run without white space that holds at least one letter or digit: a lone dash is none.
fn count_words(min: Option<usize>, max: Option<usize>, reply: &str, negated: bool) -> Finding {
    let count = reply.split_whitespace().filter(|run| run.chars().any(char::is_alphanumeric)).count();
    let counted = words(count);
    let too_few = min.filter(|&min| count < min);
    let too_many = max.filter(|&max| count > max);
    let reason = match (too_few, too_many, min, max) {
        (Some(min), ..) if negated => format!("{counted}, fewer than {min}"),
        (Some(min), ..) => format!("{counted}, at least {min} needed"),
        (None, Some(max), ..) if negated => format!("{counted}, more than {max}"),
        (None, Some(max), ..) => format!("{counted}, at most {max} allowed"),
        (None, None, Some(min), Some(max)) => format!("{counted}, between {min} and {max}"),
        (None, None, Some(min), None) => format!("{counted}, at least {min}"),
        (None, None, None, Some(max)) => format!("{counted}, at most {max}"),
        (None, None, None, None) => counted,
    };
    finding(too_few.is_none() && too_many.is_none(), "", reason)
}

fn read_json(validator: Option<&jsonschema::Validator>, reply: &str) -> Finding {
    let text = unfenced(reply.trim());
    let value: Value = match serde_json::from_str(text) {
        Ok(value) => value,
        Err(error) => {
            let line = text.lines().nth(error.line().saturating_sub(1)).unwrap_or_default();
            return finding(false, line.trim(), format!("not JSON: {error}"));
        }
    };
    let Some(validator) = validator else { return finding(true, "", "JSON".to_owned()) };
    match validator.validate(&value) {
        Ok(()) => finding(true, "", "JSON that satisfies the schema".to_owned()),
        Err(error) => {
            // The value as it is written again may differ from the reply's own words, and then it is no quote.
            let instance = error.instance().to_string();
            let evidence = if text.contains(&instance) { instance.as_str() } else { "" };
            let message = cut(&error.to_string(), LONGEST_MESSAGE);
            let place = error.instance_path().to_string();
            let at = if place.is_empty() { String::new() } else { format!(" at {}", quoted(&place)) };
            finding(false, evidence, format!("does not satisfy the schema{at}: {message}"))
        }
    }
}

/// What stands inside the one code fence that `text` is, or `text`.
fn unfenced(text: &str) -> &str {
    let inside = || {
        let (info, body) = text.strip_prefix("```")?.split_once('\n')?;
        let body = body.strip_suffix("```")?;
        let closes_alone = body.is_empty() || body.ends_with('\n');
        (closes_alone && !info.contains('`') && !body.contains("\n```") && !body.starts_with("```")).then_some(body)
    };
    inside().map_or(text, str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(check: &Check, reply: &str, holds: bool, evidence: &str, reason: &str) {
        let expected = Finding { holds, evidence: evidence.to_owned(), reason: reason.to_owned() };
        assert_eq!(check.compile().unwrap().evaluate(reply), expected, "{check:?} on {reply:?}");
    }

    fn contains(texts: &[&str], all: bool, ignore_case: bool) -> Check {
        Check::Contains { texts: texts.iter().map(|&text| text.to_owned()).collect(), all, ignore_case }
    }

    fn not(check: Check) -> Check {
        Check::Not(Box::new(check))
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
    fn regex_matches_somewhere() {
        let end = Check::Regex(r"(?i)\bend[.!]$".to_owned());
        check(&end, "The END.", true, "END.", r"matches `(?i)\bend[.!]$`");
        check(&end, "The END", false, "", r"no match for `(?i)\bend[.!]$`");
        check(&not(not(end)), "The END.", true, "END.", r"matches `(?i)\bend[.!]$`");
        let long = Check::Regex("(?s).*".to_owned());
        check(&long, &"é".repeat(300), true, &format!("{}…", "é".repeat(199)), "matches `(?s).*`");
        check(&long, "", true, "", "matches `(?s).*`");
    }

    #[test]
    fn words_are_counted() {
        let range = |min, max| Check::Words { min, max };
        let most = range(None, Some(2));
        check(&most, "one - two … three", false, "", "3 words, at most 2 allowed");
        check(&most, "it’s\u{a0}fine", true, "", "2 words, at most 2");
        check(&most, "", true, "", "0 words, at most 2");
        check(&not(most.clone()), "one two three", true, "", "3 words, more than 2");
        check(&not(not(most)), "one two three", false, "", "3 words, at most 2 allowed");
        let least = range(Some(2), None);
        check(&least, "मेरा", false, "", "1 word, at least 2 needed");
        check(&least, "मेरा नाम", true, "", "2 words, at least 2");
        check(&not(least), "1", true, "", "1 word, fewer than 2");
        check(&range(Some(1), Some(3)), "a b", true, "", "2 words, between 1 and 3");
        check(&range(None, None), "... !", true, "", "0 words");
    }

    #[test]
    fn json_is_read_whole_or_from_one_fence() {
        let any = Check::Json { schema: None };
        for reply in ["{\"a\": 1}", " [1, 2]\n", "null", "```json\n{\"a\": 1}\n```", "```\n\"x\"\n```\n"] {
            check(&any, reply, true, "", "JSON");
        }
        let wrong = "not JSON: expected value at line 1 column 1";
        check(&any, "Here: {}", false, "Here: {}", wrong);
        check(&any, "```json\n{}\n```\nDone.", false, "```json", wrong);
        check(&any, "```\n1\n```\n```\n2\n```", false, "```", wrong);
        check(&any, "", false, "", "not JSON: EOF while parsing a value at line 1 column 0");
        check(&any, "{\n \"a\": x\n}", false, "\"a\": x", "not JSON: expected value at line 2 column 7");
        check(&not(any), "{}", false, "", "JSON");
    }

    #[test]
    fn json_satisfies_the_schema() {
        let schema = json!({"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]});
        let whole = Check::Json { schema: Some(schema) };
        check(&whole, "{\"n\": 3}", true, "", "JSON that satisfies the schema");
        check(
            &whole,
            "{\"n\": \"three\"}",
            false,
            "\"three\"",
            "does not satisfy the schema at `/n`: \"three\" is not of type \"integer\"",
        );
        check(&whole, "{ }", false, "", "does not satisfy the schema: \"n\" is a required property");
    }

    #[test]
    fn what_does_not_compile_is_said() {
        let error = |check: Check| check.compile().unwrap_err().to_string();
        assert_eq!(error(Check::Regex("a(".to_owned())), "`a(` is not a usable regular expression: unclosed group");
        assert!(error(not(Check::Regex(r"(\w{100}){100}".to_owned()))).contains("exceeds size limit"));
        let schema = |json| Check::Json { schema: Some(json) };
        assert!(error(schema(json!({"type": "number of things"}))).starts_with("not a usable JSON schema: "));
        // Nothing is ever fetched: a schema elsewhere is refused.
        assert!(error(schema(json!({"$ref": "https://example.com/x.json"}))).starts_with("not a usable JSON schema: "));
    }
}
