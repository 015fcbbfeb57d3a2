//! From the probabilities of tokens to those of words.
//!
//! Owns how tokens are added up. Pure; start at [`weigh`].

use super::request::{Weighed, Words};

/// Adds up, word by word, the probabilities of the tokens that begin it; those that begin none are left out.
///
/// `tokens` are texts and their probabilities among all tokens.
pub(super) fn weigh<'a>(words: &Words, tokens: impl IntoIterator<Item = (&'a str, f64)>) -> Weighed {
    let mut counted: Vec<Vec<(&str, f64)>> = vec![Vec::new(); words.all().len()];
    for (text, probability) in tokens {
        if let Some(word) = words.begun_by(text).filter(|_| probability > 0.0) {
            counted[word].push((text, probability));
        }
    }
    // The likeliest first, equal ones by their text: the sum is that of one order, whatever the order they came in.
    for tokens in &mut counted {
        tokens.sort_by(|one, other| other.1.total_cmp(&one.1).then_with(|| one.0.cmp(other.0)));
    }
    Weighed {
        probabilities: counted.iter().map(|tokens| tokens.iter().fold(0.0, |sum, (_, p)| sum + p)).collect(),
        tokens: counted
            .into_iter()
            .map(|tokens| tokens.into_iter().map(|(text, _)| text.to_owned()).collect())
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_added_up_by_the_word_they_begin() {
        let words = Words::new(["pass", "fail"]);
        let mut tokens =
            [("Pass", 0.25), (" pass", 0.5), ("fail", 0.125), ("The", 0.0625), ("FAIL", 0.0), ("pas", 0.25)];
        for _ in 0..tokens.len() {
            tokens.rotate_left(1);
            let weighed = weigh(&words, tokens);
            assert_eq!(weighed.probabilities, [1.0, 0.125]);
            assert_eq!(weighed.tokens, [vec![" pass", "Pass", "pas"], vec!["fail"]]);
        }
        assert_eq!(weigh(&words, []).probabilities, [0.0, 0.0]);
    }
}
