//! Questions that are answered with a level of a scale: what a judge reads, what it may answer and how that is read.
//!
//! Never guesses: a level that the scale does not have is an error, and where probabilities lie on other words there is no
//! level. Start at [`Scaled`].

use serde::Deserialize;
use serde_json::{Value, json};

use super::parse::{Opinion, ParseError, read_object};
use super::schema::LONGEST_TEXT;
use super::weigh::{WeighError, weighed_words};
use crate::check::cut;
use crate::data::VerdictKind;
use crate::engine::{Reply, ReplyForm, Schema, Words};
use crate::spec::{JudgeMode, Scale};

/// A scale ready to be asked for in one mode.
#[derive(Debug, Clone)]
pub struct Scaled {
    scale: Scale,
    mode: JudgeMode,
}

/// What a judge said: the level with its verdict, or that the question makes no sense.
#[derive(Debug, Clone, PartialEq)]
pub struct Rating {
    /// `pass` at `pass_at` and above, `fail` below it, or `not_applicable`.
    pub verdict: VerdictKind,
    /// The level, or the mean of the levels under the judge's probabilities, to four places.
    pub level: Option<f64>,
    /// How likely a level of `pass_at` and above is among the levels, where they were weighed, to four places.
    pub pass_probability: Option<f64>,
    /// The words it says it rests on; not yet looked for in the reply.
    pub evidence: String,
    /// Why.
    pub reason: String,
}

impl From<Opinion> for Rating {
    fn from(opinion: Opinion) -> Self {
        let Opinion { verdict, evidence, reason } = opinion;
        Self { verdict, level: None, pass_probability: None, evidence, reason }
    }
}

/// Why a reply gives no level.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum RatingError {
    /// It cannot be read.
    #[error(transparent)]
    Parse(#[from] ParseError),
    /// The probabilities give none.
    #[error(transparent)]
    Weigh(#[from] WeighError),
}

/// What a judge said, before it is looked at.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawRating {
    evidence: String,
    reason: String,
    level: RawLevel,
}

/// Without a grammar to hold to, some judges write a number for the text that was asked for; it means the same.
#[derive(Deserialize)]
#[serde(untagged)]
enum RawLevel {
    Text(String),
    Number(u32),
}

impl Scaled {
    /// Takes the scale and how the judge is asked.
    #[must_use]
    pub fn new(scale: &Scale, mode: JudgeMode) -> Self {
        Self { scale: scale.clone(), mode }
    }

    /// The question in the words that a judge reads: the same for all replies.
    #[must_use]
    pub fn text(&self) -> String {
        let Scale { text, allow_not_applicable, anchors: _, pass_at: _, partial: _ } = &self.scale;
        let mut lines = vec![format!("Question: {}", text.trim()), String::new()];
        lines.extend(self.levels());
        let (low, high) = (self.scale.lowest(), self.scale.highest());
        lines.push(match self.mode {
            JudgeMode::Json | JudgeMode::Together => {
                let not_applicable = if *allow_not_applicable {
                    ", or \"not_applicable\" if the question makes no sense for this message"
                } else {
                    ""
                };
                format!(
                    "Answer with one JSON object that has three members, in this order:\n\
                     \"evidence\": words copied exactly from the reply, or \"\" if there are none\n\
                     \"reason\": one short sentence\n\
                     \"level\": the level that fits best, from \"{low}\" to \"{high}\"{not_applicable}"
                )
            }
            JudgeMode::Logprob { max_outside: _ } => {
                let not_applicable = if *allow_not_applicable {
                    ", or with not_applicable if the question makes no sense for this message"
                } else {
                    ""
                };
                format!("Answer with the level that fits best, one number from {low} to {high}{not_applicable}")
            }
        });
        lines.join("\n")
    }

    /// Lines that say what each level stands for, with an empty one behind them.
    pub(super) fn levels(&self) -> Vec<String> {
        let level = |level| match self.scale.anchor(level) {
            Some(anchor) => format!("{level}: {}", anchor.trim()),
            None => format!("{level}: in between"),
        };
        let heading = std::iter::once("Levels:".to_owned());
        heading.chain(self.scale.levels().map(level)).chain(std::iter::once(String::new())).collect()
    }

    /// The scale.
    #[must_use]
    pub fn scale(&self) -> &Scale {
        &self.scale
    }

    /// What an answer must look like.
    #[must_use]
    pub fn form(&self) -> ReplyForm {
        match self.mode {
            JudgeMode::Json | JudgeMode::Together => ReplyForm::Schema(Schema::new("level", self.opinion())),
            JudgeMode::Logprob { max_outside: _ } => ReplyForm::Words(Words::new(self.words())),
        }
    }

    /// The form of one opinion.
    pub(super) fn opinion(&self) -> Value {
        let text = json!({ "type": "string", "maxLength": LONGEST_TEXT });
        json!({
            "type": "object",
            "properties": { "evidence": text, "reason": text, "level": { "enum": self.words() } },
            "required": ["evidence", "reason", "level"],
            "additionalProperties": false,
        })
    }

    /// The words that may answer.
    fn words(&self) -> Vec<String> {
        let not_applicable = self.scale.allow_not_applicable.then(|| "not_applicable".to_owned());
        self.scale.levels().map(|level| level.to_string()).chain(not_applicable).collect()
    }

    /// Reads a judge's answer.
    ///
    /// # Errors
    /// It is not exactly what was asked for, or gives no level.
    pub fn read(&self, reply: &Reply) -> Result<Rating, RatingError> {
        match self.mode {
            JudgeMode::Json | JudgeMode::Together => {
                self.checked(read_object(&reply.text, reply.finish)?).map_err(RatingError::from)
            }
            JudgeMode::Logprob { max_outside } => self.read_weighed(reply, max_outside).map_err(RatingError::from),
        }
    }

    /// What a judge said, if its level is one of the scale.
    pub(super) fn checked(&self, raw: RawRating) -> Result<Rating, ParseError> {
        let RawRating { evidence, reason, level } = raw;
        let written = match level {
            RawLevel::Text(text) => text.trim().to_owned(),
            RawLevel::Number(number) => number.to_string(),
        };
        let (evidence, reason) = (evidence.trim().to_owned(), reason.trim().to_owned());
        if !self.words().contains(&written) {
            let found = format!("`{}`", cut(&written, 40));
            return Err(ParseError::Value { member: "level", found, allowed: "one of the levels" });
        }
        // Only `not_applicable` is no number here.
        let level = written.parse::<u32>().ok();
        let verdict = level.map_or(VerdictKind::NotApplicable, |level| self.verdict(f64::from(level)));
        Ok(Rating { verdict, level: level.map(f64::from), pass_probability: None, evidence, reason })
    }

    fn read_weighed(&self, reply: &Reply, max_outside: f64) -> Result<Rating, WeighError> {
        let words = Words::new(self.words());
        let (probabilities, reason) = weighed_words(reply, &words, max_outside)?;
        let levels: Vec<(f64, f64)> = self.scale.levels().map(f64::from).zip(probabilities.iter().copied()).collect();
        let likeliest = levels.iter().fold(0.0, |most: f64, (_, p)| most.max(*p));
        let not_applicable = probabilities.get(levels.len()).copied().unwrap_or(0.0);
        let none = Rating {
            verdict: VerdictKind::NotApplicable,
            level: None,
            pass_probability: None,
            evidence: String::new(),
            reason: reason.clone(),
        };
        let sum: f64 = levels.iter().map(|(_, p)| p).sum();
        if sum <= 0.0 || not_applicable > sum.max(likeliest) {
            return Ok(none);
        }
        let rounded = |number: f64| (number * 1e4).round() / 1e4;
        // The mean says more than the likeliest level (Wang et al. 2025); what is shown is what is compared.
        let mean = rounded(levels.iter().map(|(level, p)| level * p).sum::<f64>() / sum);
        let passing = levels.iter().filter(|(level, _)| *level >= f64::from(self.scale.pass_at));
        let pass_probability = rounded(passing.map(|(_, p)| p).sum::<f64>() / sum);
        let reason = format!("level {mean} on average: {reason}");
        let (verdict, level) = (self.verdict(mean), Some(mean));
        Ok(Rating { verdict, level, pass_probability: Some(pass_probability), reason, ..none })
    }

    /// What a level comes to.
    #[must_use]
    pub fn verdict(&self, level: f64) -> VerdictKind {
        if level >= f64::from(self.scale.pass_at) { VerdictKind::Pass } else { VerdictKind::Fail }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{Finish, Usage, Weighed};
    use VerdictKind::{Fail, NotApplicable, Pass};

    const WEIGHED: JudgeMode = JudgeMode::Logprob { max_outside: 0.5 };

    fn scaled(mode: JudgeMode, allow_not_applicable: bool) -> Scaled {
        let anchors = [(1, "cold"), (3, "polite"), (5, "warm")];
        let scale = Scale {
            text: "How warm is it?".to_owned(),
            allow_not_applicable,
            anchors: anchors.into_iter().map(|(level, anchor)| (level, anchor.to_owned())).collect(),
            pass_at: 4,
            partial: false,
        };
        Scaled::new(&scale, mode)
    }

    #[test]
    fn a_judge_reads_all_levels() {
        let expected = "\
Question: How warm is it?

Levels:
1: cold
2: in between
3: polite
4: in between
5: warm

Answer with one JSON object that has three members, in this order:
\"evidence\": words copied exactly from the reply, or \"\" if there are none
\"reason\": one short sentence
\"level\": the level that fits best, from \"1\" to \"5\", or \"not_applicable\" if the question makes no sense for this message";
        assert_eq!(scaled(JudgeMode::Json, true).text(), expected);
        let word = scaled(WEIGHED, false).text();
        assert!(word.ends_with("5: warm\n\nAnswer with the level that fits best, one number from 1 to 5"), "{word}");
        let form = scaled(JudgeMode::Json, true).form();
        let schema = form.schema().unwrap().json();
        assert_eq!(schema["properties"]["level"]["enum"], json!(["1", "2", "3", "4", "5", "not_applicable"]));
        assert_eq!(schema["required"], json!(["evidence", "reason", "level"]));
        assert!(jsonschema::meta::is_valid(schema));
        assert_eq!(scaled(WEIGHED, false).form().words().unwrap().all(), ["1", "2", "3", "4", "5"]);
    }

    #[test]
    fn a_level_is_read_and_never_guessed() {
        let read = |level: &str| {
            let text = format!(r#"{{"evidence": " a ", "reason": "So.", "level": {level}}}"#);
            let reply = Reply::new(text, Finish::Stop, Usage::default(), 0);
            scaled(JudgeMode::Json, true).read(&reply)
        };
        for (level, verdict, expected) in [
            ("\"4\"", Pass, Some(4.0)),
            ("5", Pass, Some(5.0)),
            ("\" 3 \"", Fail, Some(3.0)),
            ("\"not_applicable\"", NotApplicable, None),
        ] {
            let (evidence, reason) = ("a".to_owned(), "So.".to_owned());
            assert_eq!(read(level), Ok(Rating { verdict, level: expected, pass_probability: None, evidence, reason }));
        }
        for (level, why) in [
            ("\"6\"", "its `level` is `6`, not one of the levels"),
            ("0", "its `level` is `0`, not one of the levels"),
            ("\"warm\"", "its `level` is `warm`, not one of the levels"),
            ("\"04\"", "its `level` is `04`, not one of the levels"),
        ] {
            assert_eq!(read(level).unwrap_err().to_string(), why);
        }
        for level in ["4.5", "-4", "null", "[4]"] {
            assert!(read(level).unwrap_err().to_string().starts_with("its JSON object is not as asked: "), "{level}");
        }
    }

    #[test]
    fn weighed_levels_have_a_mean() {
        let read = |probabilities: &[f64]| {
            let weighed =
                Weighed { probabilities: probabilities.to_vec(), tokens: vec![Vec::new(); probabilities.len()] };
            let reply = Reply { weighed: Some(weighed), ..Reply::new("", Finish::Stop, Usage::default(), 0) };
            scaled(WEIGHED, probabilities.len() == 6).read(&reply)
        };
        let check = |probabilities: &[f64], verdict, level, pass_probability| {
            let found = read(probabilities).unwrap();
            assert_eq!((found.verdict, found.level, found.pass_probability), (verdict, level, pass_probability));
        };
        check(&[0.0, 0.0, 0.0, 0.5, 0.25], Pass, Some(4.3333), Some(1.0));
        check(&[0.0, 0.0, 0.25, 0.25, 0.25], Pass, Some(4.0), Some(0.6667));
        // The likeliest level passes, and the mean does not.
        check(&[0.3, 0.0, 0.0, 0.4, 0.3], Fail, Some(3.4), Some(0.7));
        check(&[0.0, 0.0, 0.0, 0.2, 0.1, 0.6], NotApplicable, None, None);
        check(&[0.0, 0.0, 0.0, 0.3, 0.3, 0.4], Pass, Some(4.5), Some(1.0));
        let reason = read(&[0.0, 0.0, 0.0, 0.5, 0.25]).unwrap().reason;
        let shown = "1 0.0000, 2 0.0000, 3 0.0000, 4 0.5000, 5 0.2500, other words 0.2500";
        assert_eq!(reason, format!("level 4.3333 on average: {shown}"));
        assert!(matches!(read(&[0.1, 0.1, 0.1, 0.1, 0.0]), Err(RatingError::Weigh(WeighError::Outside { .. }))));
        assert!(read(&[0.5, 0.5]).is_err());
    }
}
