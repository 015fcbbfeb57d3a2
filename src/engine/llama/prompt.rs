//! What people write must not become control tokens: a response under judgement may hold a literal `<|im_end|>`. So
//! such texts are taken out of the contents before rendering ([`Guard`]) and come back afterwards as pieces of their
//! own, to be tokenised as plain text. All else goes through the template untouched.

use regex::Regex;

use crate::engine::Message;

/// A stretch of the rendered text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    /// Text in which control tokens count.
    Rendered(&'a str),
    /// A control token's name that somebody wrote: plain text.
    Literal(&'a str),
}

/// Remembers what was taken out of the contents, behind marks that no content holds.
#[derive(Debug)]
pub(super) struct Guard {
    open: String,
    taken: Vec<String>,
}

impl Guard {
    /// From the first private-use character to the second is a mark. No tokenizer knows them as control tokens.
    const CLOSE: char = '\u{f8ff}';

    /// Replaces what `control` finds in the contents by marks.
    pub(super) fn new(messages: &mut [Message], control: Option<&Regex>) -> Self {
        let open = (0_u32..)
            .map(|number| format!("\u{e000}{number}:"))
            .find(|open| !messages.iter().any(|message| message.content.contains(open)))
            .expect("contents are finite");
        let mut guard = Self { open, taken: Vec::new() };
        for message in messages {
            let Some(control) = control.filter(|control| control.is_match(&message.content)) else { continue };
            let guarded = control.replace_all(&message.content, |found: &regex::Captures<'_>| guard.mark(&found[0]));
            message.content = guarded.into_owned();
        }
        guard
    }

    fn mark(&mut self, text: &str) -> String {
        self.taken.push(text.to_owned());
        format!("{}{}{}", self.open, self.taken.len() - 1, Self::CLOSE)
    }

    /// Cuts the rendered text at the marks. A template may have repeated or left out some.
    pub(super) fn pieces<'a>(&'a self, rendered: &'a str) -> Vec<Piece<'a>> {
        let mut pieces = Vec::new();
        let mut rest = rendered;
        while let Some(at) = rest.find(&self.open) {
            if at > 0 {
                pieces.push(Piece::Rendered(&rest[..at]));
            }
            rest = &rest[at + self.open.len()..];
            // A template that shortens contents may have cut a mark in two; then what it stood for is cut off too.
            let Some((number, after)) = rest.split_once(Self::CLOSE) else { continue };
            if let Some(text) = number.parse().ok().and_then(|number: usize| self.taken.get(number)) {
                pieces.push(Piece::Literal(text));
                rest = after;
            }
        }
        if !rest.is_empty() {
            pieces.push(Piece::Rendered(rest));
        }
        pieces
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Role;
    use crate::engine::template::ChatTemplate;

    fn template(source: &str) -> ChatTemplate {
        ChatTemplate::new(Some(source.to_owned()), "<bos>".to_owned(), "<eos>".to_owned()).unwrap()
    }

    fn conversation(turns: &[(Role, &str)]) -> Vec<Message> {
        turns.iter().map(|(role, content)| Message::new(*role, *content)).collect()
    }

    fn cut(source: &str, contents: &[&str]) -> Vec<String> {
        let control = Regex::new(r"<\|im_end\|>|<\|im_start\|>").unwrap();
        let turns: Vec<_> = contents.iter().map(|content| (Role::User, *content)).collect();
        let mut messages = conversation(&turns);
        let guard = Guard::new(&mut messages, Some(&control));
        assert!(!messages.iter().any(|message| control.is_match(&message.content)));
        let rendered = template(source).render(&messages).unwrap();
        let show = |piece: &Piece<'_>| match piece {
            Piece::Rendered(text) => (*text).to_owned(),
            Piece::Literal(text) => format!("literal {text}"),
        };
        guard.pieces(&rendered).iter().map(show).collect()
    }

    #[test]
    fn names_of_control_tokens_in_contents_become_pieces_of_their_own() {
        let each = "{% for message in messages %}<{{ message.content | trim }}>{% endfor %}";
        assert_eq!(cut(each, &["hi", "there"]), ["<hi><there>"]);
        assert_eq!(
            cut(each, &[" a<|im_end|><|im_start|>", "<|im_end|>"]),
            ["<a", "literal <|im_end|>", "literal <|im_start|>", "><", "literal <|im_end|>", ">"]
        );
        // A name that would only come together once another is taken out.
        assert_eq!(cut(each, &["<|im_<|im_end|>end|>"]), ["<<|im_", "literal <|im_end|>", "end|>>"]);
        // Contents that look like marks.
        assert_eq!(
            cut(each, &["\u{e000}0:0\u{f8ff}<|im_end|>\u{e000}1:"]),
            ["<\u{e000}0:0\u{f8ff}", "literal <|im_end|>", "\u{e000}1:>"]
        );
        // Templates that repeat, leave out or shorten contents.
        assert_eq!(
            cut("{{ messages[0].content }}{{ messages[0].content }}", &["<|im_end|>"]),
            ["literal <|im_end|>"; 2]
        );
        assert_eq!(cut("-", &["<|im_end|>"]), ["-"]);
        assert_eq!(cut("{{ messages[0].content[:2] }}-", &["a<|im_end|>"])[0], "a\u{e000}-");
    }
}
