//! Keys, from a terminal or from whatever stands in for one.

use std::io::{self, BufRead, IsTerminal, Read};

use console::Term;

use crate::cli::output::say;

/// Where keys come from.
pub(super) enum Keyboard {
    /// One key at a time, without Enter; the screen is cleared before each question.
    Terminal(Term),
    /// Letters of standard input, as a script gives them; white space is nothing.
    Input,
}

impl Keyboard {
    pub(super) fn new() -> Self {
        let term = Term::stderr();
        if io::stdin().is_terminal() && term.is_term() { Self::Terminal(term) } else { Self::Input }
    }

    /// Shows a question.
    pub(super) fn show(&self, text: &str) {
        match self {
            // A screen that cannot be cleared is still one that can be read.
            Self::Terminal(term) => drop(term.clear_screen()),
            Self::Input => {}
        }
        say(text);
    }

    /// The next key; none at the end.
    pub(super) fn letter(&mut self) -> Option<char> {
        match self {
            Self::Terminal(term) => term.read_char().ok().map(|letter| letter.to_ascii_lowercase()),
            Self::Input => {
                let mut byte = [0];
                loop {
                    match io::stdin().lock().read(&mut byte) {
                        Ok(1) if byte[0].is_ascii_whitespace() => {}
                        Ok(1) => return Some(char::from(byte[0]).to_ascii_lowercase()),
                        Ok(_) | Err(_) => return None,
                    }
                }
            }
        }
    }

    /// A line of text; none at the end.
    pub(super) fn line(&mut self, prompt: &str) -> Option<String> {
        match self {
            Self::Terminal(term) => {
                term.write_str(prompt).ok()?;
                term.read_line().ok()
            }
            Self::Input => {
                let mut line = String::new();
                io::stdin().lock().read_line(&mut line).ok().filter(|read| *read > 0)?;
                Some(line.trim().to_owned())
            }
        }
    }
}
