//! How like one text is to another, from 0 to 1.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::compiled::{Finding, finding};
use super::describe::quoted;

/// How likeness is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// [`levenshtein`].
    Levenshtein,
    /// [`rouge_l`].
    RougeL,
    /// [`bleu`], against all texts at once.
    Bleu,
}

impl Measure {
    /// All of them with their names in the rubric.
    pub const ALL: &'static [(&'static str, Self)] =
        &[("levenshtein", Self::Levenshtein), ("rouge_l", Self::RougeL), ("bleu", Self::Bleu)];

    /// The name that people know it by.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Levenshtein => "Levenshtein",
            Self::RougeL => "ROUGE-L",
            Self::Bleu => "BLEU",
        }
    }
}

/// Compares a reply with texts; the likest counts.
pub(super) fn compare(to: &[String], by: Measure, min: f64, reply: &str, negated: bool) -> Finding {
    let single = |measure: fn(&str, &str) -> f64| {
        let measured = to.iter().map(|text| (measure(reply, text), Some(text)));
        measured.fold((0.0, to.first()), |best, next| if next.0 > best.0 { next } else { best })
    };
    let (likeness, text) = match by {
        Measure::Levenshtein => single(levenshtein),
        Measure::RougeL => single(rouge_l),
        Measure::Bleu => (bleu(reply, to), to.first().filter(|_| to.len() == 1)),
    };
    let holds = likeness >= min;
    let wanted = match (holds, negated) {
        (true, _) => format!("at least {min}"),
        (false, true) => format!("less than {min}"),
        (false, false) => format!("at least {min} needed"),
    };
    let text = text.map_or_else(|| "the texts".to_owned(), |text| quoted(text));
    finding(holds, "", format!("{} to {text} is {likeness:.4}, {wanted}", by.title()))
}

/// One less the share of characters that must be put in, taken out or exchanged (Levenshtein 1966), of the longer text's
/// length; 1 for two empty texts. White space around them does not count.
#[must_use]
pub fn levenshtein(one: &str, other: &str) -> f64 {
    strsim::normalized_levenshtein(one.trim(), other.trim())
}

/// F1 of the longest run of words, with gaps, that both have in common (ROUGE-L, Lin 2004, with precision and recall of
/// equal weight). Words are in lower case, without punctuation.
#[must_use]
pub fn rouge_l(candidate: &str, reference: &str) -> f64 {
    let (candidate, reference) = (words(candidate), words(reference));
    let common = longest_common(&candidate, &reference);
    // 2PR / (P + R) with P = common / candidate and R = common / reference.
    ratio(2 * common, candidate.len() + reference.len())
}

/// Sentence BLEU (Papineni et al. 2002): the geometric mean of the shares of the candidate's runs of one to four words
/// that a reference has, times a penalty for being shorter than the nearest reference. Runs of two words and more count
/// one found and one more (Lin & Och 2004), since a sentence often has none of four in common; of a candidate with fewer
/// than four words, no longer runs are looked at than it has. Words are in lower case, without punctuation.
#[must_use]
pub fn bleu(candidate: &str, references: &[String]) -> f64 {
    let candidate = words(candidate);
    let references: Vec<Vec<String>> = references.iter().map(|text| words(text)).collect();
    let length = candidate.len();
    let distance = |reference: &Vec<String>| (reference.len().abs_diff(length), reference.len());
    let Some(nearest) = references.iter().map(distance).min().map(|(_, length)| length) else { return 0.0 };
    if length == 0 {
        return 0.0;
    }
    let longest = length.min(4);
    let precision = |run: usize| {
        let theirs: Vec<_> = references.iter().map(|reference| runs(reference, run)).collect();
        let most = |words: &[String]| theirs.iter().filter_map(|counts| counts.get(words)).max().copied().unwrap_or(0);
        let found: usize = runs(&candidate, run).into_iter().map(|(words, count)| count.min(most(words))).sum();
        let smoothing = usize::from(run > 1);
        ratio(found + smoothing, length + 1 - run + smoothing)
    };
    let product: f64 = (1..=longest).map(precision).product();
    // Square roots are exact on every machine; of three factors the cube root comes from libm, which is as well.
    let mean = match longest {
        1 => product,
        2 => product.sqrt(),
        3 => libm::cbrt(product),
        _ => product.sqrt().sqrt(),
    };
    let penalty = if length >= nearest { 1.0 } else { libm::exp(1.0 - ratio(nearest, length)) };
    mean * penalty
}

fn words(text: &str) -> Vec<String> {
    let text = text.to_lowercase();
    text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

fn runs(words: &[String], run: usize) -> BTreeMap<&[String], usize> {
    let mut counts = BTreeMap::new();
    for words in words.windows(run) {
        *counts.entry(words).or_insert(0) += 1;
    }
    counts
}

fn longest_common(one: &[String], other: &[String]) -> usize {
    let mut row = vec![0; other.len() + 1];
    for word in one {
        let mut diagonal = 0;
        for (at, theirs) in other.iter().enumerate() {
            let above = row[at + 1];
            row[at + 1] = if word == theirs { diagonal + 1 } else { above.max(row[at]) };
            diagonal = above;
        }
    }
    row.last().copied().unwrap_or(0)
}

#[expect(clippy::cast_precision_loss, reason = "a reply has fewer than 2^52 words")]
fn ratio(part: usize, whole: usize) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Check;
    use crate::check::compiled::tests::{check, not};

    fn near(found: f64, expected: f64) {
        assert!((found - expected).abs() < 1e-12, "{found} is not {expected}");
    }

    #[test]
    fn levenshtein_is_a_share_of_the_longer_text() {
        near(levenshtein("kitten", "sitting"), 1.0 - 3.0 / 7.0);
        near(levenshtein(" été ", "été"), 1.0);
        near(levenshtein("", ""), 1.0);
        near(levenshtein("abc", ""), 0.0);
    }

    #[test]
    fn rouge_l_is_that_of_the_reference_vectors() {
        let (cand, reference) = ("the cat sat on the mat and slept all day", "The cat sat on the mat and then slept");
        near(rouge_l(cand, reference), 0.842_105_263_157_894_8);
        near(rouge_l("x y", "x y z"), 0.8);
        near(rouge_l("police kill the gunman", "police killed the gunman"), 0.75);
        near(rouge_l("", "x"), 0.0);
        near(rouge_l("", ""), 0.0);
    }

    #[test]
    fn bleu_of_known_sentences() {
        let of = |candidate: &str, references: &[&str]| {
            bleu(candidate, &references.iter().map(|&text| text.to_owned()).collect::<Vec<_>>())
        };
        near(of("The cat is on the mat.", &["the cat is on the mat"]), 1.0);
        near(of("cat", &["Cat!"]), 1.0);
        near(of("a b", &["a b"]), 1.0);
        near(of("", &["x"]), 0.0);
        near(of("x y z w", &["a b c d"]), 0.0);
        // Papineni's example of clipping: `the` is in a reference twice at most.
        near(of("the", &["the the"]), libm::exp(-1.0));
        // 5/6 · (3+1)/(5+1) · (1+1)/(4+1) · (0+1)/(3+1): one word of six is wrong.
        let expected = (5.0 / 6.0 * (4.0 / 6.0) * (2.0 / 5.0) * (1.0_f64 / 4.0)).sqrt().sqrt();
        near(of("the cat sat on the mat", &["the cat is on the mat"]), expected);
        // The nearest reference decides the penalty.
        near(of("a b c d", &["a b c d e f g h", "a b c d e"]), libm::exp(1.0 - 5.0 / 4.0));
        // Three words: two runs of two, one of three.
        near(of("a b c", &["a b d"]), libm::cbrt(2.0 / 3.0 * (2.0 / 3.0) * (1.0 / 2.0)));
    }

    #[test]
    fn the_likest_text_counts() {
        let similar = |by, min| Check::Similar { to: vec!["good night".into(), "good day".into()], by, min };
        let close = similar(Measure::Levenshtein, 0.8);
        check(&close, "good dax", true, "", "Levenshtein to `good day` is 0.8750, at least 0.8");
        check(&close, "x", false, "", "Levenshtein to `good night` is 0.0000, at least 0.8 needed");
        check(&not(close), "x", true, "", "Levenshtein to `good night` is 0.0000, less than 0.8");
        let words = similar(Measure::RougeL, 0.6);
        check(&words, "Good, long day.", true, "", "ROUGE-L to `good day` is 0.8000, at least 0.6");
        check(&similar(Measure::Bleu, 1.0), "Good day", true, "", "BLEU to the texts is 1.0000, at least 1");
    }
}
