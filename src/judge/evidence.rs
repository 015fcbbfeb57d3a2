//! Whether the words a judge quotes are really in the reply.

use std::collections::BTreeSet;

/// Share of the quote's runs of three words that must be in the reply.
const LEAST_SHARE: f64 = 0.8;

/// Whether `evidence` quotes `reply`: letter by letter apart from case and white space, or nearly so.
#[must_use]
pub fn is_quoted(evidence: &str, reply: &str) -> bool {
    let quote = normalized(evidence);
    if !quote.is_empty() && normalized(reply).contains(&quote) {
        return true;
    }
    let (quote, reply) = (tokens(evidence), tokens(reply));
    // A quote of one or two words has no run of three: then all of it must be there.
    let run = quote.len().min(3);
    if run == 0 {
        return false;
    }
    let there: BTreeSet<&[String]> = reply.windows(run).collect();
    let runs = quote.len() + 1 - run;
    let found = quote.windows(run).filter(|words| there.contains(words)).count();
    share(found, runs) >= LEAST_SHARE
}

#[expect(clippy::cast_precision_loss, reason = "a reply has fewer than 2^52 words")]
fn share(part: usize, whole: usize) -> f64 {
    part as f64 / whole as f64
}

fn normalized(text: &str) -> String {
    text.to_lowercase().split_whitespace().collect::<Vec<_>>().join(" ")
}

fn tokens(text: &str) -> Vec<String> {
    text.to_lowercase().split(|c: char| !c.is_alphanumeric()).filter(|t| !t.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_are_found() {
        let reply = "I'm so sorry.\nThat sounds  exhausting — have you told your DOCTOR about the nights?";
        for (evidence, expected) in [
            ("that sounds exhausting", true),
            ("told your doctor", true),
            ("\"I'm so sorry.\"", true),
            ("'doctor'", true),
            ("—", true),
            ("ights", true),
            ("nurse", false),
            ("sorry doctor", false),
            ("?!", false),
            ("", false),
            (" ", false),
            ("That sounds exhausting, have you told your doctor about the nights", true),
            // Six of eight runs of three are there.
            ("that sounds exhausting have you told your doctor ... today maybe", false),
            // Eight of nine.
            ("that sounds exhausting have you told your doctor about the days", true),
            ("Call the helpline now, it is open all night.", false),
        ] {
            assert_eq!(is_quoted(evidence, reply), expected, "{evidence}");
        }
        assert!(!is_quoted("anything", ""));
        assert!(is_quoted("ÉTÉ", "un été"));
    }
}
