//! How far the judge can be trusted: its verdicts against those of people.

use std::io::{self, Write};

use super::super::calibrated::StageCalibration;
use super::super::model::ReportModel;
use super::super::text::{self, coefficient, dash, share};
use super::beside;
use super::escape::{inline, sentence};
use super::{cells, full_sentence, heading, table_head, table_row};
use crate::data::{BetweenLabellers, Calibration, Compared, CorrectedRate, Decision, LabelCounts, Signal};
use crate::stats::text::{count, list, round_percent, thousands};

pub(super) fn write(model: &ReportModel, out: &mut dyn Write) -> io::Result<()> {
    for StageCalibration { stage, record, beside: judges } in &model.calibrations {
        let title = match model.calibrations.len() {
            1 => "Judge and people".to_owned(),
            _ => format!("Judge and people: `{stage}`"),
        };
        heading(2, &title, out)?;
        labels(record, out)?;
        agreement(record, out)?;
        lights(record, out)?;
        people(record, out)?;
        if let (Some(judges), Some(found)) = (judges, &record.beside) {
            beside::write(judges, found, out)?;
        }
    }
    match &model.decision {
        Some(decision) if decision.corrected.is_some() => corrected(decision, out),
        _ => Ok(()),
    }
}

fn labels(record: &Calibration, out: &mut dyn Write) -> io::Result<()> {
    let LabelCounts { all, used, labellers, stale, elsewhere, not_asked, tied } = &record.labels;
    if *all == 0 {
        return writeln!(out, "There are no labels yet: nothing is known of the judge's errors.");
    }
    let names: Vec<String> = labellers.iter().map(|name| inline(name)).collect();
    let by = if names.is_empty() { String::new() } else { format!(", by {}", list(&names, "and")) };
    write!(out, "{} of {} used{by}.", thousands(*used), count(*all, "label"))?;
    for (number, what) in [
        (*stale, "made on another reply than the one judged here"),
        (*elsewhere, "about scenarios that are not judged here"),
        (*not_asked, "about criteria that no judge is asked there"),
    ] {
        if number > 0 {
            write!(out, " Not used: {} {what}.", thousands(number))?;
        }
    }
    if *tied > 0 {
        write!(out, " On {} people are divided, so that none counts.", count(*tied, "verdict"))?;
    }
    let left_out = record.replies_left_out;
    for (number, why) in [
        (left_out.incomplete, "not all its criteria are labelled"),
        (left_out.tied, "people are divided on a criterion"),
        (left_out.ungraded, "one of both grades is open"),
    ] {
        if number > 0 {
            let replies = if number == 1 { "reply has" } else { "replies have" };
            write!(out, " {} {replies} no grade to compare, because {why}.", thousands(number))?;
        }
    }
    writeln!(out)
}

fn agreement(record: &Calibration, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out)?;
    table_head(
        &[
            "",
            ">Compared",
            ">Both pass",
            ">Wrongly failed",
            ">Wrongly passed",
            ">Both fail",
            ">κ",
            ">AC1",
            ">Sensitivity",
            ">Specificity",
            ">J",
        ],
        out,
    )?;
    line("**Verdicts**", &record.verdicts, out)?;
    for criterion in &record.criteria {
        line(&format!("`{}`", criterion.criterion), &criterion.compared, out)?;
    }
    line("**Replies**", &record.replies, out)?;
    writeln!(
        out,
        "\nPeople are taken to be right. Sensitivity: what the judge passes of what people pass; specificity: what it fails of \
         what they fail; J = sensitivity + specificity − 1. In parentheses the {} interval: Wilson's for shares, and for κ and AC1 \
         that of the agreement, with the errors of Fleiss, Cohen and Everitt and of Gwet. Where nearly everything passes, κ is low for a good judge too, and AC1 is not.",
        round_percent(record.confidence)
    )
}

fn line(name: &str, compared: &Compared, out: &mut dyn Write) -> io::Result<()> {
    let table = compared.table;
    let numbers =
        [table.n(), table.both_pass, table.wrongly_failed, table.wrongly_passed, table.both_fail].map(thousands);
    let mut row = vec![name.to_owned()];
    row.extend(numbers);
    row.extend([coefficient(compared.kappa), coefficient(compared.ac1)]);
    row.extend([share(compared.sensitivity), share(compared.specificity), coefficient(compared.informedness)]);
    table_row(&row, out)
}

fn lights(record: &Calibration, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out)?;
    for light in &record.lights {
        let mark = match light.light {
            Signal::Green => "green",
            Signal::Amber => "**amber**",
            Signal::Red => "**red**",
        };
        writeln!(out, "- {}: {mark}. {}", light.measure, sentence(&full_sentence(&light.words)))?;
    }
    for bound in &record.floor {
        let mark = if bound.met { "met" } else { "**not met**" };
        writeln!(out, "- floor: {mark}. {}", sentence(&full_sentence(&bound.words())))?;
    }
    if let Some(steadiness) = &record.steadiness {
        writeln!(
            out,
            "- asked {} times each, {} came to different verdicts: {}.",
            steadiness.asked,
            count(steadiness.items, "question"),
            share(Some(steadiness.flipped))
        )?;
    }
    if let [wide, narrow] = record.needed.as_slice() {
        writeln!(
            out,
            "- to know the corrected pass rate to ± {} points: about {} labelled replies; to ± {}: about {}.",
            round_percent(wide.half_width).trim_end_matches(" %"),
            thousands(wide.replies),
            round_percent(narrow.half_width).trim_end_matches(" %"),
            thousands(narrow.replies)
        )?;
    }
    Ok(())
}

fn people(record: &Calibration, out: &mut dyn Write) -> io::Result<()> {
    let Some(BetweenLabellers { items, alpha, pairs }) = &record.between_labellers else { return Ok(()) };
    let number = |found: &Option<f64>| found.map_or_else(dash, |found| format!("{found:.2}"));
    writeln!(
        out,
        "\nSeveral people labelled {}: Krippendorff's α is {}. No judge can agree better with people than they do with each \
         other.\n",
        count(*items, "verdict"),
        number(alpha)
    )?;
    table_head(&["Labellers", ">Both labelled", ">Agreed", ">κ", ">AC1"], out)?;
    for pair in pairs {
        let names = format!("{} and {}", inline(&pair.one), inline(&pair.other));
        let [items, agreed] = [pair.items, pair.agreed].map(thousands);
        table_row(&cells(&[&names, &items, &agreed, &number(&pair.kappa), &number(&pair.ac1)]), out)?;
    }
    Ok(())
}

/// Raw and corrected rates beside each other.
fn corrected(decision: &Decision, out: &mut dyn Write) -> io::Result<()> {
    let Some(corrected) = &decision.corrected else { return Ok(()) };
    heading(3, "Corrected rates", out)?;
    table_head(
        &["", ">As the judge sees it", ">Corrected", ">Right among its passes", ">Wrong among its failures"],
        out,
    )?;
    let row = |name: String, raw: &crate::data::Rate, rate: &CorrectedRate, out: &mut dyn Write| {
        let of =
            |share: crate::data::LabelledShare| format!("{} of {}", thousands(share.passed), thousands(share.labelled));
        table_row(
            &[name, text::rate(raw), text::corrected_rate(rate), of(rate.among_passed), of(rate.among_failed)],
            out,
        )
    };
    row("**Pass rate**".to_owned(), &decision.rate, &corrected.rate, out)?;
    for criterion in &corrected.criteria {
        if let Some(raw) = decision.criteria.iter().find(|summary| summary.criterion == criterion.criterion) {
            row(format!("`{}`", criterion.criterion), &raw.rate, &criterion.rate, out)?;
        }
    }
    let method = if corrected.transported {
        "The labels were made on the replies of another model. They tell how often the judge errs, and the rate is corrected by \
         that (Rogan and Gladen, with the interval of Lang and Reiczigel); label some replies of this run to check it."
    } else {
        "The rate is weighed by what people find among the judge's passes and among its failures (post-stratified, with an \
         interval from Wilson's of both)."
    };
    writeln!(out, "\n{method}")
}
