//! What a model thinks before it answers, where it writes both into one text.
//!
//! Owns where thoughts begin and end. Pure; start at [`split`].

/// What thoughts begin with.
pub const OPEN: &str = "<think>";
const CLOSE: &str = "</think>";

/// Splits a text into the thoughts that it begins with, if it does, and the answer behind them.
///
/// A text may begin inside of the thoughts, because the chat template opened them. Thoughts that do not end have no answer
/// behind them: it is empty. A text without thoughts is the answer, letter by letter.
#[must_use]
pub fn split(text: &str) -> (Option<String>, String) {
    let kept = |thoughts: &str| Some(thoughts.trim().to_owned()).filter(|thoughts| !thoughts.is_empty());
    match parts(text) {
        (None, Some(answer)) => (None, answer.to_owned()),
        (thoughts, answer) => (thoughts.and_then(kept), answer.unwrap_or_default().trim_start().to_owned()),
    }
}

/// The answer in a text, without the thoughts that it begins with; none where these do not end.
#[must_use]
pub fn answer(text: &str) -> Option<&str> {
    parts(text).1
}

fn parts(text: &str) -> (Option<&str>, Option<&str>) {
    let start = text.trim_start();
    if let Some(thoughts) = start.strip_prefix(OPEN) {
        return match thoughts.split_once(CLOSE) {
            Some((thoughts, answer)) => (Some(thoughts), Some(answer)),
            None => (Some(thoughts), None),
        };
    }
    match text.split_once(CLOSE) {
        // Where a block was opened further in, or the text is a JSON document, the sign is part of what is said.
        Some((thoughts, answer)) if !thoughts.contains(OPEN) && !start.starts_with(['{', '[']) => {
            (Some(thoughts), Some(answer))
        }
        Some(_) | None => (None, Some(text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thoughts_are_split_from_the_answer() {
        let check = |text: &str, thoughts: Option<&str>, said: &str| {
            assert_eq!(split(text), (thoughts.map(str::to_owned), said.to_owned()), "{text:?}");
        };
        check(" plain\n", None, " plain\n");
        check("", None, "");
        check("<think>\nhm\n</think>\n\nYes. ", Some("hm"), "Yes. ");
        check("\n <think>hm</think>Yes", Some("hm"), "Yes");
        check("<think>\n\n</think>\n\nYes", None, "Yes");
        check("<think></think>", None, "");
        // The template opened the block.
        check("hm, well\n</think>\n\nYes", Some("hm, well"), "Yes");
        check("</think>Yes", None, "Yes");
        // It was cut off.
        check("<think>on and on", Some("on and on"), "");
        check("<think>", None, "");
        // Signs that are part of what is said.
        check("Write <think>x</think> before it", None, "Write <think>x</think> before it");
        check(r#"{"evidence": "</think>"}"#, None, r#"{"evidence": "</think>"}"#);
        check("<think>a</think>b</think>c", Some("a"), "b</think>c");
    }

    #[test]
    fn thoughts_without_an_end_have_no_answer() {
        assert_eq!(answer("<think>hm"), None);
        assert_eq!(answer("<think>hm</think> a"), Some(" a"));
        assert_eq!(answer(" a"), Some(" a"));
    }
}
