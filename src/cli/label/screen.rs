//! What somebody who labels or reviews sees. What a model wrote moves no cursor.

use std::fmt::Write as _;
use std::io::{self, Write};

use crate::data::BetweenLabellers;
use crate::label::{Progress, Question, Reviewed, Session};
use crate::stats::text::{count, thousands};

/// The text as it may be shown: control characters would let a reply write over what stands above it.
fn plain(text: &str) -> String {
    let is_wild =
        |c: char| c.is_control() && c != '\n' || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.trim()
        .chars()
        .map(|c| {
            if c == '\t' {
                ' '
            } else if is_wild(c) {
                char::REPLACEMENT_CHARACTER
            } else {
                c
            }
        })
        .collect()
}

fn heading(text: &str, color: bool) -> String {
    if color { format!("\u{1b}[1m{text}\u{1b}[0m") } else { text.to_owned() }
}

fn answer(repetition: u32) -> String {
    if repetition == 0 { String::new() } else { format!(", answer {}", repetition + 1) }
}

/// One criterion of one reply. Nothing here depends on what the judge said.
pub(super) fn question(question: &Question, session: &Session, color: bool) -> String {
    let Question {
        scenario,
        repetition,
        opening,
        reply,
        criterion,
        asks,
        pass_examples,
        fail_examples,
        number,
        of,
        note,
    } = question;
    let mut text = String::new();
    let _ = writeln!(text, "{} since you began", count(session.made() as u64, "label"));
    let _ = writeln!(
        text,
        "\n{}\n{}",
        heading(&format!("SCENARIO {scenario}{}", answer(*repetition)), color),
        plain(opening)
    );
    let _ = writeln!(text, "\n{}\n{}", heading("REPLY", color), plain(reply));
    let _ = writeln!(text, "\n{}\n{}", heading(&format!("{number}/{of} {criterion}"), color), plain(asks));
    for (what, examples) in [("passes", pass_examples), ("fails", fail_examples)] {
        for example in examples {
            let _ = writeln!(text, "  {what}: {}", plain(example));
        }
    }
    if let Some(note) = note {
        let _ = writeln!(text, "  note: {}", plain(note));
    }
    let _ = write!(text, "\n[p]ass  [f]ail  [n]ot applicable  ·  [s]kip this reply  [u]ndo  [e] note  [q]uit");
    text
}

/// One reply, for a review.
pub(super) fn review((reviewed, number, of, comment): (&Reviewed, usize, usize, Option<&str>), color: bool) -> String {
    let Reviewed { scenario, repetition, opening, reply, failed, why } = reviewed;
    let mut text = String::new();
    let _ = writeln!(text, "{number}/{of} · {why}");
    let _ = writeln!(
        text,
        "\n{}\n{}",
        heading(&format!("SCENARIO {scenario}{}", answer(*repetition)), color),
        plain(opening)
    );
    let _ = writeln!(text, "\n{}\n{}", heading("REPLY", color), plain(reply));
    for failure in failed {
        let _ = writeln!(text, "  fails {}", plain(failure));
    }
    if let Some(comment) = comment {
        let _ = writeln!(text, "  comment: {}", plain(comment));
    }
    let _ = write!(text, "\nMay this be given to somebody?  [o]k  [x] not ok  ·  [s]kip  [u]ndo  [e] comment  [q]uit");
    text
}

/// How far labelling has come.
pub(super) fn progress(out: &mut dyn Write, progress: &Progress) -> io::Result<()> {
    let Progress { replies, doubled, half_width, needed, between } = progress;
    let number = |replies: u64| format!("{} {}", thousands(replies), if replies == 1 { "reply" } else { "replies" });
    writeln!(out, "{} labelled, {} of them by two people", number(*replies), thousands(*doubled))?;
    if let Some(BetweenLabellers { pairs, .. }) = between {
        for pair in pairs {
            let or_dash = |found: Option<f64>| found.map_or_else(|| "–".to_owned(), |found| format!("{found:.2}"));
            writeln!(
                out,
                "{} and {} agree on {} of {} (κ {}, AC1 {})",
                plain(&pair.one),
                plain(&pair.other),
                thousands(pair.agreed),
                count(pair.items, "verdict"),
                or_dash(pair.kappa),
                or_dash(pair.ac1)
            )?;
        }
    }
    if let Some(half_width) = half_width {
        writeln!(out, "the corrected pass rate is known to ± {:.0} points", half_width * 100.0)?;
    }
    for wanted in needed.iter().filter(|wanted| half_width.is_none_or(|now| now > wanted.half_width)) {
        let more = wanted.replies.saturating_sub(*replies);
        if more > 0 {
            let replies = if more == 1 { "reply" } else { "replies" };
            let points = wanted.half_width * 100.0;
            writeln!(out, "about {} more {replies} would bring it to ± {points:.0}", thousands(more))?;
        }
    }
    Ok(())
}
