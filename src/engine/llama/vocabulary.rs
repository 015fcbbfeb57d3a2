//! From text to tokens and back.

use std::sync::Arc;

use llama_cpp_2::model::LlamaModel;
use llama_cpp_2::token::LlamaToken;
use llama_cpp_2::token_type::LlamaTokenAttr;
use regex::{Regex, RegexBuilder};

use super::prompt::Piece;

/// The model's tokenizer.
#[derive(Debug, Clone)]
pub(super) struct Vocabulary {
    model: Arc<LlamaModel>,
    /// Whether the tokenizer puts a space before every text it is given.
    prefixes_space: bool,
}

/// What a text is preceded by where the tokenizer would put a space before it. It never becomes part of a longer token
/// with what follows in the tokenizers that do so: they have no token that holds a line break and letters.
const SHIELD: &str = "\n";

impl Vocabulary {
    pub(super) fn new(model: Arc<LlamaModel>) -> Self {
        let mut vocabulary = Self { model, prefixes_space: false };
        let mut bytes = Vec::new();
        if let Some(first) = vocabulary.native("a", false).first() {
            vocabulary.append_text(*first, &mut bytes);
        }
        vocabulary.prefixes_space = bytes.starts_with(b" ");
        vocabulary
    }

    /// Finds the names of control tokens in a text; none if the model has no such tokens.
    pub(super) fn control_names(&self) -> Option<Regex> {
        let vocabulary = self.model.vocab();
        let is_control =
            |token: &LlamaToken| vocabulary.attr(*token).intersects(LlamaTokenAttr::Control | LlamaTokenAttr::Unknown);
        let text = |token| vocabulary.text(token).and_then(|text| text.to_str().ok().map(ToOwned::to_owned));
        let mut names: Vec<String> =
            vocabulary.tokens().filter(is_control).filter_map(text).filter(|name| !name.is_empty()).collect();
        if names.is_empty() {
            return None;
        }
        // The longest first: the first alternative that fits wins.
        names.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        let pattern: Vec<String> = names.iter().map(|name| regex::escape(name)).collect();
        let regex = RegexBuilder::new(&pattern.join("|")).size_limit(1 << 28).build();
        Some(regex.expect("escaped names are a valid pattern, of the vocabulary's size"))
    }

    /// Tokenises a rendered prompt. A beginning-of-stream token is put in front if the tokenizer wants one and the
    /// template did not write it.
    pub(super) fn prompt(&self, pieces: &[Piece<'_>]) -> Vec<LlamaToken> {
        let mut tokens = Vec::new();
        for (index, piece) in pieces.iter().enumerate() {
            let (text, with_control) = match *piece {
                Piece::Rendered(text) => (text, true),
                Piece::Literal(text) => (text, false),
            };
            tokens.extend(if index == 0 { self.native(text, with_control) } else { self.bare(text, with_control) });
        }
        let vocabulary = self.model.vocab();
        let bos = vocabulary.bos();
        if vocabulary.should_add_bos() && tokens.first() != Some(&bos) {
            tokens.insert(0, bos);
        }
        tokens
    }

    /// Tokenises a text that goes on after other text: no space is put before it.
    pub(super) fn bare(&self, text: &str, with_control: bool) -> Vec<LlamaToken> {
        if self.prefixes_space {
            let shield = self.native(SHIELD, false);
            let shielded = self.native(&format!("{SHIELD}{text}"), with_control);
            if let Some(tokens) = shielded.strip_prefix(shield.as_slice()) {
                return tokens.to_vec();
            }
        }
        self.native(text, with_control)
    }

    fn native(&self, text: &str, with_control: bool) -> Vec<LlamaToken> {
        self.model.vocab().tokenize(text.as_bytes(), false, with_control)
    }

    /// Every token that has a text, with its place among the logits.
    pub(super) fn texts(&self) -> impl Iterator<Item = (usize, String)> + '_ {
        let text = |(place, token): (usize, LlamaToken)| {
            let mut bytes = Vec::new();
            self.append_text(token, &mut bytes);
            String::from_utf8(bytes).ok().filter(|text| !text.is_empty()).map(|text| (place, text))
        };
        (0..).zip(self.model.vocab().tokens()).filter_map(text)
    }

    /// Whether the token ends a reply.
    pub(super) fn is_end(&self, token: LlamaToken) -> bool {
        self.model.vocab().is_eog(token)
    }

    /// Appends the token's bytes, which need not be whole characters; control tokens have none.
    pub(super) fn append_text(&self, token: LlamaToken, bytes: &mut Vec<u8>) {
        self.model.vocab().token_to_piece_into(token, bytes, false, None);
    }
}
