//! How likely each of some words is as the whole reply, from the logits after the prompt.

use super::vocabulary::Vocabulary;
use crate::engine::weigh::weigh;
use crate::engine::{EngineError, EngineErrorKind, Weighed, Words};

/// Knows which tokens begin a word; looking a vocabulary through takes milliseconds, so it is done once a list.
#[derive(Debug, Default)]
pub(super) struct Weigher {
    known: Vec<(Words, Vec<Beginning>)>,
}

/// A token that begins a word.
#[derive(Debug)]
struct Beginning {
    token: usize,
    text: String,
}

impl Weigher {
    /// Gives the likeliest word, and how likely each one is among all tokens.
    pub(super) fn weigh(
        &mut self,
        words: &Words,
        logits: &[f32],
        vocabulary: &Vocabulary,
    ) -> Result<(String, Weighed), EngineError> {
        let bad = |message: &str| EngineError::new(EngineErrorKind::BadReply, message);
        let largest = logits.iter().copied().filter(|logit| logit.is_finite()).fold(f32::NEG_INFINITY, f32::max);
        if !largest.is_finite() {
            return Err(bad("the model computes no usable probabilities for the next token"));
        }
        let weight =
            |logit: f32| if logit.is_finite() { libm::exp(f64::from(logit) - f64::from(largest)) } else { 0.0 };
        let all: f64 = logits.iter().map(|logit| weight(*logit)).sum();
        let beginnings = self.beginnings(words, vocabulary).iter();
        let weighed = weigh(
            words,
            beginnings
                .filter_map(|Beginning { token, text }| Some((text.as_str(), weight(*logits.get(*token)?) / all))),
        );
        let probabilities = &weighed.probabilities;
        let likeliest = (0..probabilities.len()).rev().max_by(|a, b| probabilities[*a].total_cmp(&probabilities[*b]));
        let text = likeliest.map(|word| words.all()[word].clone()).ok_or_else(|| bad("no word was asked for"))?;
        Ok((text, weighed))
    }

    fn beginnings(&mut self, words: &Words, vocabulary: &Vocabulary) -> &[Beginning] {
        let place = self.known.iter().position(|(known, _)| known == words).unwrap_or_else(|| {
            let begins = |(_, text): &(usize, String)| words.begun_by(text).is_some();
            let beginning = |(token, text): (usize, String)| Beginning { token, text };
            self.known.push((words.clone(), vocabulary.texts().filter(begins).map(beginning).collect()));
            self.known.len() - 1
        });
        &self.known[place].1
    }
}
