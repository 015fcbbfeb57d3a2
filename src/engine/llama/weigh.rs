//! How likely each of some words is as the whole reply, from the logits after the prompt.

use super::vocabulary::Vocabulary;
use crate::engine::{EngineError, EngineErrorKind, Weighed, Words};

/// Knows which tokens begin which word; looking a vocabulary through takes milliseconds, so it is done once a list.
#[derive(Debug, Default)]
pub(super) struct Weigher {
    known: Vec<(Words, Vec<Beginning>)>,
}

/// A token that begins a word.
#[derive(Debug)]
struct Beginning {
    token: usize,
    word: usize,
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
        let mut found: Vec<Vec<(f64, &str)>> = vec![Vec::new(); words.all().len()];
        for Beginning { token, word, text } in self.beginnings(words, vocabulary) {
            if let Some(logit) = logits.get(*token) {
                found[*word].push((weight(*logit) / all, text));
            }
        }
        for tokens in &mut found {
            tokens.sort_by(|one, other| other.0.total_cmp(&one.0));
        }
        let probabilities: Vec<f64> =
            found.iter().map(|tokens| tokens.iter().map(|(weight, _)| weight).sum()).collect();
        let tokens = found.iter().map(|tokens| tokens.iter().map(|(_, text)| (*text).to_owned()).collect()).collect();
        let likeliest = (0..probabilities.len()).rev().max_by(|a, b| probabilities[*a].total_cmp(&probabilities[*b]));
        let text = likeliest.map(|word| words.all()[word].clone()).ok_or_else(|| bad("no word was asked for"))?;
        Ok((text, Weighed { probabilities, tokens }))
    }

    fn beginnings(&mut self, words: &Words, vocabulary: &Vocabulary) -> &[Beginning] {
        let place = self.known.iter().position(|(known, _)| known == words).unwrap_or_else(|| {
            let beginning = |(token, text): (usize, String)| {
                let word = words.begun_by(&text)?;
                Some(Beginning { token, word, text })
            };
            self.known.push((words.clone(), vocabulary.texts().filter_map(beginning).collect()));
            self.known.len() - 1
        });
        &self.known[place].1
    }
}
