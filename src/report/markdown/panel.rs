//! How far judges agree with each other, or one with itself.

use std::io::{self, Write};

use super::super::model::ReportModel;
use super::super::panel::{Opinion, Steadiness};
use super::super::text::reply_name;
use super::escape::inline;
use super::{heading, table_head, table_row};
use crate::data::{Disputed, VerdictKind};
use crate::stats::text::{count, percent, thousands};

pub(super) fn write(model: &ReportModel, out: &mut dyn Write) -> io::Result<()> {
    let Some(opinions) = &model.opinions else { return Ok(()) };
    heading(2, "Agreement among judges", out)?;
    let who = if opinions.judges.is_empty() { "opinions of the judge" } else { "judges of the panel" };
    writeln!(
        out,
        "The {who} differ on {} of {} ({}), and no verdict has a majority on {}, which are ungraded.",
        thousands(opinions.disputed),
        count(opinions.verdicts, "verdict"),
        percent(opinions.disputed as f64 / opinions.verdicts.max(1) as f64),
        thousands(opinions.undecided)
    )?;
    if let Some(steadiness) = &opinions.steadiness {
        steady(steadiness, out)?;
    }
    panel(opinions, out)?;
    if opinions.criteria.len() > 1 {
        writeln!(out)?;
        table_head(&["Criterion", ">Verdicts", ">Differ", ">No majority"], out)?;
        for one in &opinions.criteria {
            let numbers = [one.verdicts, one.disputed, one.undecided].map(thousands);
            table_row(&[&[inline(one.criterion.as_str())][..], &numbers].concat(), out)?;
        }
    }
    disputed(opinions, out)
}

fn steady(found: &Steadiness, out: &mut dyn Write) -> io::Result<()> {
    let Steadiness { verdicts, disagreement, not_unanimous, lo, hi, light } = found;
    writeln!(
        out,
        "\nSteadiness: {light}. Two opinions on one question differ in {} of pairs; {} of {} are not unanimous (95 % interval \
         {} to {}).",
        percent(*disagreement),
        percent(*not_unanimous),
        count(*verdicts, "graded verdict"),
        percent(*lo),
        percent(*hi)
    )
}

fn panel(opinions: &Opinion, out: &mut dyn Write) -> io::Result<()> {
    if opinions.judges.is_empty() {
        return Ok(());
    }
    let share = |share: Option<f64>| share.map_or_else(|| "–".to_owned(), percent);
    writeln!(out)?;
    table_head(&["Judge", ">Pass", ">Fail", ">Not applicable", ">Ungraded", ">Sensitivity", ">Specificity"], out)?;
    for one in &opinions.judges {
        let numbers = [one.pass, one.fail, one.not_applicable, one.ungraded].map(thousands);
        let rates = [share(one.sensitivity), share(one.specificity)];
        table_row(&[&[inline(&one.judge)][..], &numbers, &rates].concat(), out)?;
    }
    writeln!(
        out,
        "\nSensitivity and specificity are Dawid and Skene's estimate from the verdicts of the panel alone, for three judges and a \
         hundred verdicts or more. It tells who differs from the rest, not who is right: a bias that all share does not show."
    )?;
    if !opinions.pairs.is_empty() {
        let coefficient = |found: Option<f64>| found.map_or_else(|| "–".to_owned(), |found| format!("{found:.2}"));
        writeln!(out)?;
        table_head(&["Judges", ">Verdicts", ">Same", ">κ", ">AC1"], out)?;
        for pair in &opinions.pairs {
            table_row(
                &[
                    format!("{} and {}", inline(&pair.one), inline(&pair.other)),
                    thousands(pair.verdicts),
                    percent(pair.same),
                    coefficient(pair.kappa),
                    coefficient(pair.ac1),
                ],
                out,
            )?;
        }
        writeln!(out, "\nKrippendorff's α over all of them: {}.", coefficient(opinions.alpha))?;
    }
    Ok(())
}

fn disputed(opinions: &Opinion, out: &mut dyn Write) -> io::Result<()> {
    if opinions.first.is_empty() {
        return Ok(());
    }
    let rest = opinions.disputed.saturating_sub(opinions.first.len() as u64);
    let rest = if rest > 0 { format!(" {} more are in the verdict table.", thousands(rest)) } else { String::new() };
    writeln!(out, "\nFor a person to look at, the first on which the judges differ:{rest}\n")?;
    let mut columns = vec!["Reply", "Criterion", "Verdict"];
    let judges: Vec<String> = opinions.judges.iter().map(|one| inline(&one.judge)).collect();
    columns.extend(judges.iter().map(String::as_str));
    table_head(&columns, out)?;
    for Disputed { scenario, repetition, criterion, verdict, panel } in &opinions.first {
        let mut row = vec![reply_name(scenario, *repetition), inline(criterion.as_str()), word(*verdict).to_owned()];
        row.extend(panel.values().map(|verdict| word(*verdict).to_owned()));
        table_row(&row, out)?;
    }
    Ok(())
}

fn word(verdict: VerdictKind) -> &'static str {
    match verdict {
        VerdictKind::Pass => "pass",
        VerdictKind::Fail => "fail",
        VerdictKind::NotApplicable => "not applicable",
        VerdictKind::Ungraded => "ungraded",
    }
}
