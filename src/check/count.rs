//! Counts of words, sentences, characters and tokens, costs and times, and whether they lie within bounds.

use super::Bounds;
use super::compiled::{Finding, finding};

/// Signs that may end a sentence in texts with spaces between words.
const ENDS: &[char] = &['.', '!', '?', '…', '।', '؟'];

/// Signs that end a sentence whatever follows.
const FULL_ENDS: &[char] = &['。', '！', '？'];

/// Signs that may stand between a sentence's end and the space behind it.
const CLOSING: &[char] = &['"', '\'', ')', ']', '”', '’', '»', '*', '_', '」'];

/// Words whose full stop ends no sentence.
const ABBREVIATIONS: &[&str] = &[
    "mr", "mrs", "ms", "dr", "prof", "st", "jr", "sr", "vs", "etc", "e.g", "i.e", "cf", "no", "approx", "fig", "al",
    "z.b", "d.h", "bzw", "ca", "nr",
];

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    Words,
    Sentences,
    Characters,
    Tokens,
}

impl Unit {
    /// `1 word`, `2 words`.
    pub(super) fn counted(self, count: usize) -> String {
        let unit = match self {
            Self::Words => "word",
            Self::Sentences => "sentence",
            Self::Characters => "character",
            Self::Tokens => "token",
        };
        if count == 1 { format!("1 {unit}") } else { format!("{count} {unit}s") }
    }
}

/// Says whether a count lies within bounds. What a negated check does not allow is what is wanted, so that its reason only
/// states what is there.
pub(super) fn within(unit: Unit, bounds: Bounds, count: usize, negated: bool) -> Finding {
    let Bounds { min, max } = bounds;
    let counted = unit.counted(count);
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

/// Says whether a cost is within a bound, both in millionths of a dollar.
pub(super) fn costs(cost: f64, max: f64, negated: bool) -> Finding {
    // A bound that was written in dollars may have lost its last bit on the way.
    let holds = cost <= max * (1.0 + 1e-12);
    let dollars = |millionths: f64| format!("${}", millionths.round() / 1e6);
    let reason = match (holds, negated) {
        (true, _) => format!("costs {}, at most {}", dollars(cost), dollars(max)),
        (false, true) => format!("costs {}, more than {}", dollars(cost), dollars(max)),
        (false, false) => format!("costs {}, at most {} allowed", dollars(cost), dollars(max)),
    };
    finding(holds, "", reason)
}

/// Says whether the time that a reply took, in milliseconds, is within a bound in seconds.
pub(super) fn takes(latency_ms: u64, max: f64, negated: bool) -> Finding {
    let seconds = latency_ms as f64 / 1000.0;
    let holds = seconds <= max;
    let reason = match (holds, negated) {
        (true, _) => format!("took {seconds} s, at most {max} s"),
        (false, true) => format!("took {seconds} s, more than {max} s"),
        (false, false) => format!("took {seconds} s, at most {max} s allowed"),
    };
    finding(holds, "", reason)
}

/// A word is a run without white space that holds at least one letter or digit: a lone dash is none.
pub(super) fn words(reply: &str) -> usize {
    reply.split_whitespace().filter(|run| run.chars().any(char::is_alphanumeric)).count()
}

/// Characters of the reply without white space around it.
pub(super) fn characters(reply: &str) -> usize {
    reply.trim().chars().count()
}

/// Sentences that hold at least one letter or digit. One ends at `.`, `!`, `?` or `…` before white space or the end of the
/// text, apart from full stops behind common abbreviations, initials and numbers of lists; at `。`, `！` and `？` anywhere;
/// and at an empty line or the beginning of a list's item.
pub(super) fn sentences(reply: &str) -> usize {
    paragraphs(reply).iter().map(|paragraph| in_paragraph(paragraph)).sum()
}

/// Lines that belong together.
fn paragraphs(reply: &str) -> Vec<String> {
    let mut paragraphs = vec![String::new()];
    for line in reply.lines().map(str::trim) {
        let item = without_marker(line);
        if line.is_empty() || item.len() < line.len() {
            paragraphs.push(String::new());
        }
        if let Some(last) = paragraphs.last_mut() {
            last.push_str(item);
            last.push('\n');
        }
    }
    paragraphs
}

/// A line without what marks it as a list's item or a heading.
fn without_marker(line: &str) -> &str {
    let marker = line.split_whitespace().next().unwrap_or_default();
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let is_marker = matches!(marker, "-" | "*" | "+" | "•")
        || !marker.is_empty() && marker.bytes().all(|byte| byte == b'#')
        || marker.strip_suffix(['.', ')']).is_some_and(is_number);
    if is_marker { line[marker.len()..].trim_start() } else { line }
}

fn in_paragraph(text: &str) -> usize {
    let mut sentences = 0;
    let mut has_words = false;
    let mut characters = text.char_indices().peekable();
    while let Some((at, character)) = characters.next() {
        has_words |= character.is_alphanumeric();
        if !ENDS.contains(&character) && !FULL_ENDS.contains(&character) {
            continue;
        }
        while characters.next_if(|(_, next)| ENDS.contains(next) || CLOSING.contains(next)).is_some() {}
        let is_end = FULL_ENDS.contains(&character)
            || characters.peek().is_none_or(|(_, next)| next.is_whitespace())
                && !is_abbreviation(character, &text[..at]);
        if is_end && has_words {
            sentences += 1;
            has_words = false;
        }
    }
    sentences + usize::from(has_words)
}

/// Whether a full stop belongs to the word before it.
fn is_abbreviation(stop: char, before: &str) -> bool {
    if stop != '.' {
        return false;
    }
    let word = before.rsplit(|c: char| !(c.is_alphanumeric() || c == '.')).next().unwrap_or_default();
    let is_initial = word.rsplit('.').next().is_some_and(|last| {
        let mut letters = last.chars();
        letters.next().is_some_and(char::is_uppercase) && letters.next().is_none() && last != "I"
    });
    is_initial || ABBREVIATIONS.contains(&word.to_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use crate::check::compiled::tests::{check, not, undecided};
    use crate::check::{Bounds, Check};

    fn bounds(min: Option<usize>, max: Option<usize>) -> Bounds {
        Bounds { min, max }
    }

    #[test]
    fn words_are_counted() {
        let range = |min, max| Check::Words(bounds(min, max));
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
    fn sentences_are_counted() {
        for (reply, count) in [
            ("", 0),
            ("...!", 0),
            ("No stop", 1),
            ("One. Two! Three?", 3),
            ("Well… yes?! \"Really.\" (Truly.)", 4),
            ("Dr. Smith went home. He was tired! Was he?", 3),
            ("It cost $3.50 in the U.S. market. Wow!", 2),
            ("J. R. Tolkien wrote it. Did he?", 2),
            ("So did I. And you?", 2),
            ("First line without period\nSecond line without period", 1),
            ("A heading\n\nA paragraph.", 2),
            ("# Steps\n1. Breathe in.\n2. Breathe out\n- rest", 4),
            ("眠れない。どうして？", 2),
            ("See e.g. this. Or that.", 2),
            ("**Stop.** Go.", 2),
        ] {
            assert_eq!(super::sentences(reply), count, "{reply}");
        }
        check(&Check::Sentences(bounds(None, Some(1))), "One. Two.", false, "", "2 sentences, at most 1 allowed");
        check(&Check::Sentences(bounds(Some(1), None)), "One", true, "", "1 sentence, at least 1");
    }

    #[test]
    fn characters_are_counted() {
        let most = Check::Characters(bounds(None, Some(3)));
        check(&most, " été\n", true, "", "3 characters, at most 3");
        check(&most, "four", false, "", "4 characters, at most 3 allowed");
        check(&not(most), "four", true, "", "4 characters, more than 3");
    }

    #[test]
    fn tokens_are_those_that_the_model_counted() {
        let most = Check::Tokens(bounds(None, Some(7)));
        check(&most, "any text", true, "", "7 tokens, at most 7");
        check(&Check::Tokens(bounds(Some(8), None)), "any text", false, "", "7 tokens, at least 8 needed");
        undecided(&most, None, "how many tokens it took is not known");
        undecided(&not(most), None, "how many tokens it took is not known");
    }

    #[test]
    fn costs_are_reckoned_from_tokens() {
        let cost = |max| Check::Cost { max, prompt: 1.0, completion: 100.0 };
        check(&cost(0.001), "any text", true, "", "costs $0.000711, at most $0.001");
        check(&cost(0.0007), "any text", false, "", "costs $0.000711, at most $0.0007 allowed");
        check(&not(cost(0.0007)), "any text", true, "", "costs $0.000711, more than $0.0007");
        undecided(&cost(1.0), None, "how many tokens it took is not known");
    }

    #[test]
    fn times_are_held_to_the_millisecond() {
        let takes = |max| Check::Latency { max };
        check(&takes(1.25), "any text", true, "", "took 1.25 s, at most 1.25 s");
        check(&takes(1.249), "any text", false, "", "took 1.25 s, at most 1.249 s allowed");
        check(&not(takes(1.0)), "any text", true, "", "took 1.25 s, more than 1 s");
        undecided(&takes(9.0), Some((1, 1)), "how long it took is not known");
        undecided(&not(takes(9.0)), Some((1, 1)), "how long it took is not known");
    }
}
