//! Which of two tables of replies a judge prefers, pair by pair.

use std::io::{self, Write};

use super::super::model::ReportModel;
use super::super::preferences::{Position, StagePreferences};
use super::escape::{inline, sentence};
use super::{heading, table_head, table_row};
use crate::data::Preferences;
use crate::stats::text::{count, percent, round_percent, thousands};

pub(super) fn write(model: &ReportModel, out: &mut dyn Write) -> io::Result<()> {
    if model.preferences.is_empty() {
        return Ok(());
    }
    heading(2, "Preferences", out)?;
    for (at, stage) in model.preferences.iter().enumerate() {
        if at > 0 {
            writeln!(out)?;
        }
        one(stage, out)?;
    }
    Ok(())
}

fn one(stage: &StagePreferences, out: &mut dyn Write) -> io::Result<()> {
    let StagePreferences { stage: id, base, new, questions, judged_by, found, position, headline } = stage;
    let Preferences { pairs, new: new_wins, base: base_wins, same, first, second, ungraded, win_rate, p, flipped } =
        found;
    writeln!(out, "**{}:** {}.\n", inline(id.as_str()), sentence(headline))?;
    let asked: Vec<String> = questions.iter().map(|question| format!("“{}”", inline(question.trim()))).collect();
    writeln!(
        out,
        "{} of `{base}` and `{new}`, each asked about in both orders: {}. Judged by {}.\n",
        count(*pairs, "pair"),
        asked.join(", "),
        sentence(judged_by)
    )?;
    table_head(&["Preferred", ">Pairs"], out)?;
    for (name, number) in [
        (format!("`{new}`, in both orders"), *new_wins),
        (format!("`{base}`, in both orders"), *base_wins),
        ("whichever came first: a tie".to_owned(), *first),
        ("whichever came second: a tie".to_owned(), *second),
        ("neither, both texts are the same: a tie".to_owned(), *same),
        ("not known: not in the rate".to_owned(), *ungraded),
    ] {
        table_row(&[name, thousands(number)], out)?;
    }
    writeln!(out)?;
    if let Some(rate) = win_rate {
        writeln!(
            out,
            "- Win rate of `{new}`, ties as a half: {}, {} interval {} to {}; as unequal a number of wins by chance alone: \
             p = {p:.4}.",
            percent(rate.point),
            round_percent(rate.confidence),
            percent(rate.lo),
            percent(rate.hi)
        )?;
    }
    if let Some(Position { consistency, bias, p, light }) = position {
        let place = if *bias >= 0.0 { "first" } else { "second" };
        writeln!(
            out,
            "- Position: the same preference in both orders in {} of pairs, and the {place} place is favoured by {} of pairs \
             (p = {p:.4}): {light}.",
            percent(*consistency),
            percent(bias.abs())
        )?;
    }
    if !flipped.is_empty() {
        let named: Vec<String> = flipped.iter().map(|scenario| inline(scenario)).collect();
        let more = (first + second).saturating_sub(named.len() as u64);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        writeln!(out, "- The order decided in {}{more}.", named.join(", "))?;
    }
    Ok(())
}
