//! By which tokens a judge's verdicts were weighed, and how several opinions divide.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::opinions::Opinions;
use crate::engine::{Weighed, Words};

/// Most tokens kept of each word: there are only so many ways to begin one, but a vocabulary may surprise.
const MOST_TOKENS: usize = 24;

/// The tokens that counted for each verdict word in the replies of a judge that weighs words, in whatever order these come; and
/// how opinions divide.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Judging {
    /// Verdict word → the texts of tokens that counted for it, sorted.
    pub tokens: BTreeMap<String, BTreeSet<String>>,
    /// How opinions divide, where there are several on each question.
    #[serde(default, skip_serializing_if = "Opinions::is_empty")]
    pub opinions: Box<Opinions>,
}

impl Judging {
    /// Whether no reply weighed any word, and no question was asked more than once.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tokens.is_empty() && self.opinions.is_empty()
    }

    /// Takes in what one reply counted.
    pub fn add(&mut self, words: &Words, weighed: &Weighed) {
        for (word, tokens) in words.all().iter().zip(&weighed.tokens) {
            self.insert(word, tokens);
        }
    }

    /// Takes in what other replies counted.
    pub fn merge(&mut self, other: &Self) {
        for (word, tokens) in &other.tokens {
            self.insert(word, tokens);
        }
        self.opinions.merge(&other.opinions);
    }

    fn insert<'a>(&mut self, word: &str, tokens: impl IntoIterator<Item = &'a String>) {
        if !self.tokens.contains_key(word) {
            self.tokens.insert(word.to_owned(), BTreeSet::new());
        }
        let kept = self.tokens.get_mut(word).expect("put in just before");
        for token in tokens {
            if !kept.contains(token) {
                kept.insert(token.clone());
            }
        }
        // The first by their text, so that it is nothing in which order they came.
        while kept.len() > MOST_TOKENS {
            kept.pop_last();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_kept_in_any_order() {
        let words = Words::new(["pass", "fail"]);
        let weighed = |pass: &[&str], fail: &[&str]| Weighed {
            probabilities: vec![0.5, 0.5],
            tokens: [pass, fail].map(|tokens| tokens.iter().map(ToString::to_string).collect()).to_vec(),
        };
        let mut replies = [weighed(&["pass", " Pass"], &[]), weighed(&["pass"], &["FAIL"]), weighed(&[], &[])];
        for _ in 0..replies.len() {
            replies.rotate_left(1);
            let (mut all, mut one) = (Judging::default(), Judging::default());
            assert!(all.is_empty());
            all.add(&words, &replies[0]);
            replies[1..].iter().for_each(|reply| one.add(&words, reply));
            all.merge(&one);
            let text = serde_json::to_string(&all).unwrap();
            assert_eq!(text, r#"{"tokens":{"fail":["FAIL"],"pass":[" Pass","pass"]}}"#);
        }
    }

    #[test]
    fn a_strange_vocabulary_is_bounded() {
        let words = Words::new(["pass", "fail"]);
        let mut judging = Judging::default();
        for spaces in (0..40).rev() {
            let tokens = vec![vec![format!("{}pass", " ".repeat(spaces))], Vec::new()];
            judging.add(&words, &Weighed { probabilities: vec![1.0, 0.0], tokens });
        }
        assert_eq!(judging.tokens["pass"].len(), MOST_TOKENS);
        assert_eq!(judging.tokens["pass"].first().unwrap().len(), 43);
    }
}
