//! A check made ready to be decided on many replies, and the deciding.

use std::borrow::Cow;

use regex::{Regex, RegexBuilder};
use serde_json::Value;

use super::count::{self, Unit};
use super::describe::quoted;
use super::texts::{self, Needle, Place};
use super::{Bounds, Check, Language, Measure, Text, Tolerance, Which, cut, number, refusal, similar};

/// Most bytes that one compiled regular expression may take.
const REGEX_BYTES: usize = 10 << 20;

/// Longest evidence that is quoted whole, in characters.
const LONGEST_EVIDENCE: usize = 200;

/// Longest message of a JSON parser or validator that is passed on whole, in characters.
const LONGEST_MESSAGE: usize = 160;

/// So many characters of a reply in another language are shown.
const SHOWN: usize = 80;

/// What a check is decided on.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// The reply.
    pub reply: &'a str,
    /// Tokens of the prompt and of the reply, where they are known.
    pub tokens: Option<(u32, u32)>,
    /// Milliseconds that the engine worked on it, where they are known.
    pub latency_ms: Option<u64>,
}

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

/// Why a check holds as little as it does not: negated or not, nobody can say.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Undecided {
    /// The row does not say how many tokens there are.
    #[error("how many tokens it took is not known")]
    NoTokens,
    /// The row does not say how long the reply took.
    #[error("how long it took is not known")]
    NoLatency,
    /// The reply is in no language that is sure.
    #[error("its language is not sure")]
    NoLanguage,
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
    /// A template cannot be filled in.
    #[error("{template} cannot be filled in: {message}")]
    Template {
        /// The template, quoted.
        template: String,
        /// What is wrong with it.
        message: String,
    },
    /// A template gives nothing to compare with.
    #[error("{template} gives an empty text for this scenario")]
    Blank {
        /// The template, quoted.
        template: String,
    },
    /// What should be a number is none.
    #[error("{text} is not a number")]
    NotANumber {
        /// The text, quoted.
        text: String,
    },
}

/// A [`Check`] ready to be evaluated on many replies.
#[derive(Debug)]
pub struct Compiled(Decider);

#[derive(Debug)]
enum Decider {
    Contains { needles: Vec<Needle>, all: bool },
    Compare { needles: Vec<Needle>, place: Place, trim: bool },
    Regex(Regex),
    Count(Unit, Bounds),
    Cost { max: f64, prompt: f64, completion: f64 },
    Latency { max: f64 },
    Language(Vec<Language>),
    Json(Option<Box<jsonschema::Validator>>),
    Similar { to: Vec<String>, by: Measure, min: f64 },
    Number { near: f64, within: Tolerance, which: Which },
    Refusal,
    Not(Box<Self>),
}

/// Fills a template in, or says why that cannot be done.
pub type Fill<'a> = &'a dyn Fn(&str) -> Result<String, String>;

impl Check {
    /// Makes the check ready to be evaluated. One with templates is made ready for one scenario by [`Self::compile_with`].
    ///
    /// # Errors
    /// A regular expression does not compile within the size limit, a schema is not one, or a text is a template.
    pub fn compile(&self) -> Result<Compiled, CheckError> {
        self.compile_with(&|_| Err("there is no scenario to fill it in from".to_owned()))
    }

    /// Makes the check ready to be evaluated on the replies to one scenario, from which `fill` fills templates in.
    ///
    /// # Errors
    /// A template cannot be filled in or comes out blank, or see [`Self::compile`].
    pub fn compile_with(&self, fill: Fill<'_>) -> Result<Compiled, CheckError> {
        Decider::new(self, fill).map(Compiled)
    }
}

impl Compiled {
    /// Decides the check on one reply.
    ///
    /// # Errors
    /// Nobody can say.
    pub fn evaluate(&self, subject: Subject<'_>) -> Result<Finding, Undecided> {
        self.0.decide(subject, false)
    }
}

fn filled<'a>(text: &'a Text, fill: Fill<'_>) -> Result<Cow<'a, str>, CheckError> {
    match text {
        Text::Plain(text) => Ok(Cow::Borrowed(text)),
        Text::Template { template } => match fill(template) {
            Ok(text) if text.trim().is_empty() => Err(CheckError::Blank { template: quoted(template) }),
            Ok(text) => Ok(Cow::Owned(text)),
            Err(message) => Err(CheckError::Template { template: quoted(template), message }),
        },
    }
}

impl Decider {
    fn new(check: &Check, fill: Fill<'_>) -> Result<Self, CheckError> {
        let needles = |texts: &[Text], place: Place, ignore_case: bool, trim: bool| {
            let needle = |text: &Text| {
                let text = filled(text, fill)?;
                let text = if trim { text.trim() } else { &text };
                Needle::new(text.to_owned(), place, ignore_case)
            };
            texts.iter().map(needle).collect::<Result<Vec<_>, _>>()
        };
        Ok(match check {
            Check::Contains { texts, all, ignore_case } => {
                Self::Contains { needles: needles(texts, Place::Anywhere, *ignore_case, false)?, all: *all }
            }
            Check::StartsWith { texts, ignore_case } => {
                let place = Place::Start;
                Self::Compare { needles: needles(texts, place, *ignore_case, true)?, place, trim: true }
            }
            Check::EndsWith { texts, ignore_case } => {
                let place = Place::End;
                Self::Compare { needles: needles(texts, place, *ignore_case, true)?, place, trim: true }
            }
            Check::Equals { texts, ignore_case, trim } => {
                let place = Place::Whole;
                Self::Compare { needles: needles(texts, place, *ignore_case, *trim)?, place, trim: *trim }
            }
            Check::Regex(pattern) => Self::Regex(regex(&filled(pattern, fill)?, false)?),
            Check::Words(bounds) => Self::Count(Unit::Words, *bounds),
            Check::Sentences(bounds) => Self::Count(Unit::Sentences, *bounds),
            Check::Characters(bounds) => Self::Count(Unit::Characters, *bounds),
            Check::Tokens(bounds) => Self::Count(Unit::Tokens, *bounds),
            Check::Cost { max, prompt, completion } => {
                Self::Cost { max: *max, prompt: *prompt, completion: *completion }
            }
            Check::Latency { max } => Self::Latency { max: *max },
            Check::Language(languages) => Self::Language(languages.clone()),
            Check::Json { schema: None } => Self::Json(None),
            Check::Json { schema: Some(schema) } => Self::Json(Some(Box::new(
                jsonschema::validator_for(schema)
                    .map_err(|error| CheckError::Schema { message: cut(&error.to_string(), LONGEST_MESSAGE) })?,
            ))),
            Check::Similar { to, by, min } => {
                let to = to.iter().map(|text| filled(text, fill).map(Cow::into_owned)).collect::<Result<_, _>>()?;
                Self::Similar { to, by: *by, min: *min }
            }
            Check::Number { near, within, which } => {
                let text = filled(near, fill)?;
                let near = number::read(&text).ok_or_else(|| CheckError::NotANumber { text: quoted(&text) })?;
                Self::Number { near, within: *within, which: *which }
            }
            Check::Refusal => Self::Refusal,
            Check::Not(inner) => Self::Not(Box::new(Self::new(inner, fill)?)),
        })
    }

    /// `negated` says that an odd number of `not` stands around this check: what it does not allow is then what is wanted,
    /// and reasons must only state what is there.
    fn decide(&self, subject: Subject<'_>, negated: bool) -> Result<Finding, Undecided> {
        let Subject { reply, tokens, latency_ms } = subject;
        Ok(match self {
            Self::Contains { needles, all: false } => texts::find_some(needles, reply),
            Self::Contains { needles, all: true } => texts::find_all(needles, reply),
            Self::Compare { needles, place, trim } => {
                texts::compare(needles, *place, if *trim { reply.trim() } else { reply })
            }
            Self::Regex(regex) => match regex.find(reply) {
                Some(found) => finding(true, found.as_str(), format!("matches {}", quoted(regex.as_str()))),
                None => finding(false, "", format!("no match for {}", quoted(regex.as_str()))),
            },
            Self::Count(unit, bounds) => {
                let count = match unit {
                    Unit::Words => count::words(reply),
                    Unit::Sentences => count::sentences(reply),
                    Unit::Characters => count::characters(reply),
                    Unit::Tokens => tokens.ok_or(Undecided::NoTokens)?.1 as usize,
                };
                count::within(*unit, *bounds, count, negated)
            }
            Self::Cost { max, prompt, completion } => {
                let (asked, answered) = tokens.ok_or(Undecided::NoTokens)?;
                // Reckoned in millionths of a dollar, so that a bound that is met to the cent is met.
                let cost = f64::from(asked) * prompt + f64::from(answered) * completion;
                count::costs(cost, *max * 1e6, negated)
            }
            Self::Latency { max } => count::takes(latency_ms.ok_or(Undecided::NoLatency)?, *max, negated),
            Self::Language(wanted) => speak(wanted, reply)?,
            Self::Json(validator) => read_json(validator.as_deref(), reply),
            Self::Similar { to, by, min } => similar::compare(to, *by, *min, reply, negated),
            Self::Number { near, within, which } => number::compare(*near, *within, *which, reply),
            Self::Refusal => refusal::find(reply),
            Self::Not(inner) => {
                let found = inner.decide(subject, !negated)?;
                Finding { holds: !found.holds, ..found }
            }
        })
    }
}

pub(super) fn regex(pattern: &str, ignore_case: bool) -> Result<Regex, CheckError> {
    RegexBuilder::new(pattern).case_insensitive(ignore_case).size_limit(REGEX_BYTES).build().map_err(|error| {
        // The library draws the expression with a caret over several lines; the last one says what is wrong.
        let text = error.to_string();
        let line = text.lines().last().unwrap_or_default();
        let message = line.trim_start_matches("error: ").trim_end_matches('.').to_owned();
        CheckError::Regex { pattern: quoted(pattern), message }
    })
}

pub(super) fn finding(holds: bool, evidence: &str, reason: String) -> Finding {
    Finding { holds, evidence: cut(evidence, LONGEST_EVIDENCE), reason }
}

fn speak(wanted: &[Language], reply: &str) -> Result<Finding, Undecided> {
    let language = Language::detect(reply).ok_or(Undecided::NoLanguage)?;
    if wanted.contains(&language) {
        return Ok(finding(true, "", format!("is in `{language}`")));
    }
    let wanted: Vec<String> = wanted.iter().map(|language| format!("`{language}`")).collect();
    let start = cut(reply.trim(), SHOWN);
    Ok(finding(false, start.trim_end_matches('…'), format!("is in `{language}`, not in {}", wanted.join(" or "))))
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
pub(super) mod tests {
    use super::*;
    use serde_json::json;

    /// Tokens of the prompt and of the reply that replies of tests take.
    const TOKENS: (u32, u32) = (11, 7);

    /// Milliseconds that they take.
    const LATENCY_MS: u64 = 1_250;

    /// Decides a check on a reply.
    pub(in crate::check) fn check(check: &Check, reply: &str, holds: bool, evidence: &str, reason: &str) {
        let expected = Finding { holds, evidence: evidence.to_owned(), reason: reason.to_owned() };
        let found =
            check.compile().unwrap().evaluate(Subject { reply, tokens: Some(TOKENS), latency_ms: Some(LATENCY_MS) });
        assert_eq!(found, Ok(expected), "{check:?} on {reply:?}");
    }

    /// Says why a check cannot be decided on some reply.
    pub(in crate::check) fn undecided(check: &Check, tokens: Option<(u32, u32)>, why: &str) {
        let found = check.compile().unwrap().evaluate(Subject { reply: "any text", tokens, latency_ms: None });
        assert_eq!(found.unwrap_err().to_string(), why, "{check:?}");
    }

    pub(in crate::check) fn not(check: Check) -> Check {
        Check::Not(Box::new(check))
    }

    #[test]
    fn regex_matches_somewhere() {
        let end = Check::Regex(r"(?i)\bend[.!]$".into());
        check(&end, "The END.", true, "END.", r"matches `(?i)\bend[.!]$`");
        check(&end, "The END", false, "", r"no match for `(?i)\bend[.!]$`");
        check(&not(not(end)), "The END.", true, "END.", r"matches `(?i)\bend[.!]$`");
        let long = Check::Regex("(?s).*".into());
        check(&long, &"é".repeat(300), true, &format!("{}…", "é".repeat(199)), "matches `(?s).*`");
        check(&long, "", true, "", "matches `(?s).*`");
    }

    #[test]
    fn languages_are_told_apart() {
        let german = Check::Language(vec![Language::of("de").unwrap()]);
        let text = "Ich liege seit drei Uhr morgens wach, wie jede Nacht in dieser Woche.";
        check(&german, text, true, "", "is in `de`");
        let english = "I have been awake since three in the morning, as on every night of this week.";
        check(&german, english, false, english, "is in `en`, not in `de`");
        check(&not(german.clone()), english, true, english, "is in `en`, not in `de`");
        undecided(&german, None, "its language is not sure");
        undecided(&not(german), None, "its language is not sure");
    }

    #[test]
    fn templates_are_filled_in_for_each_scenario() {
        let template = |template: &str| Text::Template { template: template.to_owned() };
        let fill = |template: &str| match template {
            "capital" => Ok("Paris".to_owned()),
            "pattern" => Ok("P(".to_owned()),
            "number" => Ok("2,000".to_owned()),
            "blank" => Ok(" ".to_owned()),
            _ => Err("no such thing".to_owned()),
        };
        let equals = |text: &str| Check::Equals { texts: vec![template(text)], ignore_case: false, trim: true };
        let decide = |check: &Check, reply| {
            let found = check.compile_with(&fill).map_err(|error| error.to_string())?;
            found
                .evaluate(Subject { reply, tokens: None, latency_ms: None })
                .map(|found| found.reason)
                .map_err(|error| error.to_string())
        };
        assert_eq!(decide(&equals("capital"), "Paris").unwrap(), "is `Paris`");
        assert_eq!(decide(&not(equals("capital")), "Rome").unwrap(), "is `Rome`, not `Paris`");
        let number = Check::Number { near: template("number"), within: Tolerance::Absolute(0.0), which: Which::Any };
        assert_eq!(decide(&number, "2000").unwrap(), "names `2000`, which is 2000");
        let number = Check::Number { near: template("capital"), within: Tolerance::Absolute(0.0), which: Which::Any };
        assert_eq!(decide(&number, "2000").unwrap_err(), "`Paris` is not a number");
        let wrong = decide(&Check::Regex(template("pattern")), "x").unwrap_err();
        assert_eq!(wrong, "`P(` is not a usable regular expression: unclosed group");
        assert_eq!(decide(&equals("blank"), "").unwrap_err(), "`blank` gives an empty text for this scenario");
        assert_eq!(decide(&equals("other"), "").unwrap_err(), "`other` cannot be filled in: no such thing");
        assert!(equals("capital").compile().is_err(), "without a scenario there is nothing to fill in");
        assert_eq!(not(equals("capital")).templates().collect::<Vec<_>>(), ["capital"]);
        // A plain text is written as it was before there were templates.
        let written = serde_json::to_value(equals("capital")).unwrap();
        assert_eq!(written["equals"]["texts"], json!([{ "template": "capital" }]));
        assert_eq!(serde_json::to_value(Check::Regex("x".into())).unwrap(), json!({ "regex": "x" }));
        assert_eq!(serde_json::from_value::<Check>(written).unwrap(), equals("capital"));
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
        assert_eq!(error(Check::Regex("a(".into())), "`a(` is not a usable regular expression: unclosed group");
        assert!(error(not(Check::Regex(r"(\w{100}){100}".into()))).contains("exceeds size limit"));
        let schema = |json| Check::Json { schema: Some(json) };
        assert!(error(schema(json!({"type": "number of things"}))).starts_with("not a usable JSON schema: "));
        // Nothing is ever fetched: a schema elsewhere is refused.
        assert!(error(schema(json!({"$ref": "https://example.com/x.json"}))).starts_with("not a usable JSON schema: "));
    }
}
