//! Foreign text in Markdown: it must come out as the letters it is, and as nothing else.
//!
//! A reply that was written to deceive may hold headings, links, images, HTML, tables, fences, mentions of people. Every
//! character that means something to CommonMark or to GitHub's dialect is escaped, and what GitHub finds in text that has
//! no markup at all (addresses, `@name`, `#12`) is broken by an invisible space.

use super::super::text;

/// Breaks up what a renderer would make a link of.
const BREAK: &str = "&#8203;";

/// The text in one line, fit for a paragraph, a list item, a heading and a table's cell.
pub(super) fn inline(foreign: &str) -> String {
    escape_line(&text::one_line(foreign), true)
}

/// The text with its line ends, fit for a block quote: each of its lines behind `prefix` and with a hard break between.
pub(super) fn quoted(foreign: &str, prefix: &str) -> String {
    let lines: Vec<String> = text::lines(foreign).iter().map(|line| escape_line(line, true)).collect();
    lines.join(&format!("\\\n{prefix}"))
}

/// A sentence of our own, perhaps with foreign parts: what stands between backticks becomes code, all else is escaped.
pub(super) fn sentence(own: &str) -> String {
    let line = text::one_line(own);
    let ticks = line.matches('`').count();
    // Only single backticks in pairs surely end where we think they end.
    if ticks % 2 == 1 || line.contains("``") {
        return escape_line(&line, true);
    }
    let pieces = line.split('`').enumerate();
    pieces
        .map(|(index, piece)| if index % 2 == 1 { format!("`{piece}`") } else { escape_line(piece, index == 0) })
        .collect()
}

/// The text as code in a paragraph. Not for table cells, where a `|` would still end the cell.
pub(super) fn code(foreign: &str) -> String {
    let line = text::one_line(foreign);
    let fence = "`".repeat(longest_run(&line) + 1);
    let space = if line.starts_with('`') || line.ends_with('`') { " " } else { "" };
    format!("{fence}{space}{line}{space}{fence}")
}

/// A fenced block, each line behind `indent`.
pub(super) fn block(language: &str, foreign: &str, indent: &str) -> String {
    let fence = "`".repeat(longest_run(foreign).max(2) + 1);
    let body: String = foreign.lines().map(|line| format!("{indent}{line}\n")).collect();
    format!("{indent}{fence}{language}\n{body}{indent}{fence}\n")
}

/// A file's name as the target of a link.
pub(super) fn link(name: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    let target =
        name.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") });
    target.collect()
}

fn longest_run(text: &str) -> usize {
    text.split(|c| c != '`').map(str::len).max().unwrap_or(0)
}

fn escape_line(line: &str, opens: bool) -> String {
    let mut escaped = String::with_capacity(line.len() + line.len() / 8);
    // A number and its dot or parenthesis open an ordered list.
    let digits = line.len() - line.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let mut at_www = 0;
    for (place, c) in line.char_indices() {
        let rest = &line[place + c.len_utf8()..];
        let opens_line = match c {
            '-' | '+' | '=' | ':' => opens && place == 0,
            '.' | ')' => opens && place == digits && digits > 0,
            _ => false,
        };
        if opens_line || matches!(c, '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '|' | '~' | '$' | '&' | '#') {
            escaped.push('\\');
        }
        escaped.push(c);
        at_www = if c.eq_ignore_ascii_case(&'w') { at_www + 1 } else { 0 };
        let links = match c {
            ':' => rest.starts_with("//"),
            '@' => rest.starts_with(|next: char| next.is_alphanumeric()),
            '#' => rest.starts_with(|next: char| next.is_ascii_digit()),
            _ => at_www == 3 && rest.starts_with('.'),
        };
        if links {
            escaped.push_str(BREAK);
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_is_only_text() {
        for (foreign, expected) in [
            ("plain, with. dots (and) - dashes!", "plain, with. dots (and) - dashes!"),
            ("# Heading", r"\# Heading"),
            ("- item", r"\- item"),
            ("===", r"\==="),
            ("12. item", r"12\. item"),
            ("3) item", r"3\) item"),
            (":-: | :-:", r"\:-: \| :-:"),
            ("![x](http://a.b)", r"!\[x\](http:&#8203;//a.b)"),
            ("<img src=x onerror=a()>", r"\<img src=x onerror=a()\>"),
            ("a|b `c` \\|", r"a\|b \`c\` \\\|"),
            ("WWW.evil.example", "WWW&#8203;.evil.example"),
            ("ask @team or a@b.c, see #12", r"ask @&#8203;team or a@&#8203;b.c, see \#&#8203;12"),
            ("&lt; $x$ ~~y~~", r"\&lt; \$x\$ \~\~y\~\~"),
            ("one\n# two", r"one \# two"),
        ] {
            assert_eq!(inline(foreign), expected);
        }
        assert_eq!(quoted("one\n\n# two\n1. three", "> "), "one\\\n> \\# two\\\n> 1\\. three");
    }

    #[test]
    fn only_sure_backticks_make_code() {
        for (own, expected) in [
            ("`a`: 1 of 2", "`a`: 1 of 2"),
            ("set `a|b` and *c*", r"set `a|b` and \*c\*"),
            ("odd ` one", r"odd \` one"),
            ("`a``<b>`", r"\`a\`\`\<b\>\`"),
        ] {
            assert_eq!(sentence(own), expected);
        }
    }

    #[test]
    fn fences_are_longer_than_what_they_hold() {
        assert_eq!(code("a"), "`a`");
        assert_eq!(code("`a`` b"), "``` `a`` b ```");
        assert_eq!(block("text", "a\n````\nb", "  "), "  `````text\n  a\n  ````\n  b\n  `````\n");
        assert_eq!(block("sh", "run", ""), "```sh\nrun\n```\n");
    }
}
