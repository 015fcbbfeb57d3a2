//! The reading of a reply that says how likely each verdict word was. Never guesses: where the probabilities are not there,
//! are none, or lie on other words, there is no verdict.

use std::cmp::Ordering;

use crate::check::cut;
use crate::data::VerdictKind;
use crate::engine::{Reply, Words};

/// The verdicts that a judge may give, with the words for them, in the order in which they are weighed.
const VERDICTS: [(VerdictKind, &str); 3] =
    [(VerdictKind::Pass, "pass"), (VerdictKind::Fail, "fail"), (VerdictKind::NotApplicable, "not_applicable")];

/// Sums of probabilities may exceed 1 by this much: they are sums of rounded numbers.
const SLACK: f64 = 1e-3;

/// Longest part of another reply that is shown, in characters.
const LONGEST_SHOWN: usize = 40;

/// The words that may answer a question.
#[must_use]
pub fn verdict_words(allow_not_applicable: bool) -> Words {
    let words = VERDICTS.iter().map(|(_, word)| *word);
    Words::new(words.take(if allow_not_applicable { 3 } else { 2 }))
}

/// Towards which verdict a judge leans.
#[derive(Debug, Clone, PartialEq)]
pub struct Leaning {
    /// The likeliest.
    pub verdict: VerdictKind,
    /// How likely `pass` is among the verdict words, in [0, 1], to four places.
    pub pass_probability: f64,
    /// The probabilities of all of them among all words.
    pub reason: String,
}

/// Why a reply leans towards no verdict.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum WeighError {
    /// The reply does not say how likely words are.
    #[error("the judge did not say how likely each verdict is")]
    Missing,
    /// What it says are no probabilities of these words.
    #[error("the judge's probabilities are none: {shown}")]
    NoProbabilities {
        /// What they are.
        shown: String,
    },
    /// Too much lies on other words.
    #[error("the judge would rather not answer with a verdict{said}: {shown}, above `max_outside`, {max_outside}")]
    Outside {
        /// With which it would rather, where that is known; begins with a comma.
        said: String,
        /// The probabilities.
        shown: String,
        /// The largest that may lie on other words.
        max_outside: f64,
    },
    /// Two verdicts are equally likely.
    #[error("the judge leans towards no verdict: {shown}")]
    Tie {
        /// The probabilities.
        shown: String,
    },
}

/// Reads a reply that was asked for one of [`verdict_words`].
///
/// # Errors
/// It does not say how likely each of `words` is, or no verdict follows from what it says.
pub fn read_weighed(reply: &Reply, words: &Words, max_outside: f64) -> Result<Leaning, WeighError> {
    let (probabilities, shown) = weighed_words(reply, words, max_outside)?;
    let sum = probabilities.iter().fold(0.0, |sum, p| sum + p);
    let mut ranked: Vec<(f64, VerdictKind)> =
        probabilities.iter().zip(VERDICTS).map(|(p, (verdict, _))| (*p, verdict)).collect();
    ranked.sort_by(|one, other| other.0.total_cmp(&one.0));
    match &ranked[..] {
        [first, second, ..] if first.0.total_cmp(&second.0) == Ordering::Greater => {
            let pass_probability = (probabilities[0] / sum * 1e4).round() / 1e4;
            Ok(Leaning { verdict: first.1, pass_probability, reason: shown })
        }
        _ => Err(WeighError::Tie { shown }),
    }
}

/// How likely each of the words is, of which one at least is possible; and the same in words.
///
/// # Errors
/// It is not said, what is said are no probabilities, or too much lies on other words.
pub(super) fn weighed_words<'a>(
    reply: &'a Reply,
    words: &Words,
    max_outside: f64,
) -> Result<(&'a [f64], String), WeighError> {
    let probabilities = &reply.weighed.as_ref().ok_or(WeighError::Missing)?.probabilities;
    let sum = probabilities.iter().fold(0.0, |sum, p| sum + p);
    let are_probabilities = probabilities.iter().all(|p| p.is_finite() && *p >= 0.0) && sum <= 1.0 + SLACK;
    if probabilities.len() != words.all().len() || !are_probabilities {
        return Err(WeighError::NoProbabilities { shown: format!("{probabilities:?}") });
    }
    let outside = (1.0 - sum).max(0.0);
    let shown = shown(words, probabilities, outside);
    // A sum of nothing is no verdict whatever the limit, and nothing can be divided by it.
    if outside > max_outside || sum <= 0.0 {
        let text = reply.text.trim();
        let is_known = !text.is_empty() && words.begun_by(text).is_none();
        let said = if is_known { format!(", but with `{}`", cut(text, LONGEST_SHOWN)) } else { String::new() };
        return Err(WeighError::Outside { said, shown, max_outside });
    }
    Ok((probabilities, shown))
}

/// `pass 0.8125, fail 0.1250, other words 0.0625`
fn shown(words: &Words, probabilities: &[f64], outside: f64) -> String {
    let mut shown: Vec<String> =
        words.all().iter().zip(probabilities).map(|(word, p)| format!("{word} {p:.4}")).collect();
    shown.push(format!("other words {outside:.4}"));
    shown.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{Finish, Usage, Weighed};
    use VerdictKind::{Fail, NotApplicable, Pass};

    fn reply(text: &str, probabilities: &[f64]) -> Reply {
        let weighed = Weighed { probabilities: probabilities.to_vec(), tokens: vec![Vec::new(); probabilities.len()] };
        Reply { weighed: Some(weighed), ..Reply::new(text, Finish::Stop, Usage::default(), 0) }
    }

    fn read(probabilities: &[f64], max_outside: f64) -> Result<Leaning, WeighError> {
        read_weighed(&reply("", probabilities), &verdict_words(probabilities.len() == 3), max_outside)
    }

    #[test]
    fn the_likeliest_word_is_the_verdict() {
        let check = |probabilities: &[f64], verdict: VerdictKind, pass_probability: f64, reason: &str| {
            let expected = Leaning { verdict, pass_probability, reason: reason.to_owned() };
            assert_eq!(read(probabilities, 0.5), Ok(expected));
        };
        check(&[0.75, 0.25], Pass, 0.75, "pass 0.7500, fail 0.2500, other words 0.0000");
        check(&[0.25, 0.5], Fail, 0.3333, "pass 0.2500, fail 0.5000, other words 0.2500");
        check(&[1.0, 0.0], Pass, 1.0, "pass 1.0000, fail 0.0000, other words 0.0000");
        check(&[0.0, 0.5], Fail, 0.0, "pass 0.0000, fail 0.5000, other words 0.5000");
        let all = "pass 0.2000, fail 0.1000, not_applicable 0.5000, other words 0.2000";
        check(&[0.2, 0.1, 0.5], NotApplicable, 0.25, all);
        // A sum of rounded numbers may be a little too large.
        check(&[0.9, 0.1001], Pass, 0.8999, "pass 0.9000, fail 0.1001, other words 0.0000");
    }

    #[test]
    fn what_lies_on_other_words_is_no_verdict() {
        assert_eq!(read(&[0.25, 0.125], 0.625).unwrap().verdict, Pass);
        let check = |text: &str, probabilities: &[f64], expected: &str| {
            let error = read_weighed(&reply(text, probabilities), &verdict_words(false), 0.5).unwrap_err();
            assert_eq!(error.to_string(), expected);
        };
        let shown = "pass 0.2500, fail 0.1250, other words 0.6250, above `max_outside`, 0.5";
        check("pass", &[0.25, 0.125], &format!("the judge would rather not answer with a verdict: {shown}"));
        check("", &[0.25, 0.125], &format!("the judge would rather not answer with a verdict: {shown}"));
        let said = format!("the judge would rather not answer with a verdict, but with `<think>`: {shown}");
        check("<think>", &[0.25, 0.125], &said);
        assert!(matches!(read(&[0.0, 0.0], 0.999), Err(WeighError::Outside { .. })));
    }

    #[test]
    fn nothing_is_made_up() {
        let silent = Reply::new("pass", Finish::Stop, Usage::default(), 0);
        assert_eq!(read_weighed(&silent, &verdict_words(false), 0.5), Err(WeighError::Missing));
        for broken in [
            &[f64::NAN, 0.1][..],
            &[0.9, f64::NAN],
            &[f64::INFINITY, 0.0],
            &[1.5, -0.5],
            &[0.9, 0.9],
            &[0.9],
            &[],
            &[0.9, 0.1, 0.0, 0.0],
        ] {
            let error = read_weighed(&reply("pass", broken), &verdict_words(false), 0.999).unwrap_err();
            assert!(matches!(error, WeighError::NoProbabilities { .. }), "{broken:?}: {error}");
        }
        for tied in [&[0.5, 0.5][..], &[0.375, 0.25, 0.375]] {
            assert!(matches!(read(tied, 0.5), Err(WeighError::Tie { .. })), "{tied:?}");
        }
    }

    #[test]
    fn words_are_those_of_the_question() {
        assert_eq!(verdict_words(false).all(), ["pass", "fail"]);
        assert_eq!(verdict_words(true).all(), ["pass", "fail", "not_applicable"]);
    }
}
