//! A reply as it grows, from tokens to text.

use llama_cpp_2::token::LlamaToken;

use super::vocabulary::Vocabulary;

/// A reply as it grows.
pub(super) struct Writer {
    /// Characters may be split over tokens, so bytes until the end.
    bytes: Vec<u8>,
    pub(super) tokens: u32,
    stop: Option<&'static str>,
    is_stopped: bool,
}

impl Writer {
    pub(super) fn new(stop: Option<&'static str>) -> Self {
        Self { bytes: Vec::new(), tokens: 0, stop, is_stopped: false }
    }

    pub(super) fn push(&mut self, token: LlamaToken, vocabulary: &Vocabulary) {
        let before = self.bytes.len();
        vocabulary.append_text(token, &mut self.bytes);
        self.tokens += 1;
        self.look_for_stop(before);
    }

    /// The stop text may have begun before the newest bytes.
    fn look_for_stop(&mut self, before: usize) {
        let Some(stop) = self.stop else { return };
        let from = before.saturating_sub(stop.len() - 1);
        if let Some(at) = self.bytes[from..].windows(stop.len()).position(|window| window == stop.as_bytes()) {
            self.bytes.truncate(from + at);
            self.is_stopped = true;
        }
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.is_stopped
    }

    /// The text. White space around it belongs to the plain paragraphs, where those are used.
    pub(super) fn into_text(self) -> String {
        let text = String::from_utf8_lossy(&self.bytes);
        if self.stop.is_some() { text.trim().to_owned() } else { text.into_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::llama::tests::load_model;

    fn write(
        stop: Option<&'static str>,
        tokens: impl IntoIterator<Item = LlamaToken>,
        vocabulary: &Vocabulary,
    ) -> Writer {
        let mut writer = Writer::new(stop);
        for token in tokens {
            if !writer.is_stopped() {
                writer.push(token, vocabulary);
            }
        }
        writer
    }

    #[test]
    fn characters_may_be_split_over_tokens() {
        let vocabulary = Vocabulary::new(load_model().weights);
        let text = "naïve 🦀 日本語 ꙮ";
        let tokens = vocabulary.bare(text, false);
        assert!(tokens.len() > text.chars().count(), "some character takes several tokens");
        assert_eq!(write(None, tokens.clone(), &vocabulary).into_text(), text);
        let cut = write(None, tokens[..tokens.len() - 1].iter().copied(), &vocabulary).into_text();
        assert_eq!(cut, "naïve 🦀 日本語 \u{fffd}");
    }

    #[test]
    fn the_stop_text_may_come_in_parts() {
        let vocabulary = Vocabulary::new(load_model().weights);
        for text in [" Hello.\n\nUser: more", " Hello.\nUser:"] {
            // A token a character, so that the stop text is never in one.
            let tokens = text.chars().flat_map(|c| vocabulary.bare(&c.to_string(), false));
            let writer = write(Some("\nUser:"), tokens, &vocabulary);
            assert!(writer.is_stopped());
            assert_eq!(writer.into_text(), "Hello.");
        }
        let writer = write(Some("\nUser:"), vocabulary.bare("The User: none\nUse", false), &vocabulary);
        assert!(!writer.is_stopped());
        assert_eq!(writer.into_text(), "The User: none\nUse");
    }
}
