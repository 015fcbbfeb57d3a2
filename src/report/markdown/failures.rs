//! What fails, where, and what it looks like.

use std::collections::BTreeMap;
use std::io::{self, Write};

use super::super::model::ReportModel;
use super::super::text::{excerpt, failed_in, rate, reply_name};
use super::escape::{inline, quoted};
use super::{heading, table_head, table_row};
use crate::data::{CriterionSummary, Decision, Example, Failure, Levels};
use crate::ids::{CriterionId, ScenarioId};
use crate::stats::text::thousands;

/// Failing criteria that are shown with examples.
const CRITERIA: usize = 8;

/// Groups named in a criterion's pattern.
const GROUPS: usize = 6;

/// Characters of a reply and of an opening that are shown.
const REPLY: usize = 300;
const OPENING: usize = 200;

/// Characters of a criterion in a table; a regular expression may be long.
const ASKS: usize = 200;

/// The replies quoted so far and the criterion under which each stands, so that none is quoted twice.
type Quoted<'a> = BTreeMap<(&'a ScenarioId, u32), &'a CriterionId>;

pub(super) fn failure_analysis(model: &ReportModel, out: &mut dyn Write) -> io::Result<()> {
    let Some(decision) = model.decision.as_ref().filter(|decision| !decision.criteria.is_empty()) else {
        return Ok(());
    };
    heading(2, "Failure analysis", out)?;
    criteria_table(model, decision, out)?;
    let failing = || decision.criteria.iter().filter(|criterion| criterion.failed > 0);
    let mut quoted = BTreeMap::new();
    for criterion in failing().take(CRITERIA) {
        pattern(model, criterion, &mut quoted, out)?;
    }
    let rest: Vec<String> =
        failing().skip(CRITERIA).map(|c| format!("`{}` ({})", c.criterion, thousands(c.failed))).collect();
    if !rest.is_empty() {
        writeln!(out, "\nNot shown, with fewer failures: {}.", rest.join(", "))?;
    }
    Ok(())
}

/// The levels of a criterion that has no scale.
static NO_LEVELS: Levels = Levels { mean: 0.0, counts: BTreeMap::new() };

fn criteria_table(model: &ReportModel, decision: &Decision, out: &mut dyn Write) -> io::Result<()> {
    let mut columns =
        vec!["Criterion", "Question or check", "Critical", ">Failed", ">Pass rate", ">Not applicable", ">Ungraded"];
    let weighed = decision.criteria.iter().any(|summary| summary.mean_pass_probability.is_some());
    if weighed {
        columns.push(">Mean probability of a pass");
    }
    let rated = decision.criteria.iter().any(|summary| summary.levels.is_some());
    if rated {
        columns.push(">Mean level");
        columns.push("Levels given");
    }
    table_head(&columns, out)?;
    for summary in &decision.criteria {
        let mut row = vec![
            format!("`{}`", summary.criterion),
            asks(model, summary),
            (if summary.critical { "**yes**" } else { "no" }).to_owned(),
            format!("{} of {}", thousands(summary.failed), thousands(summary.rate.n)),
            rate(&summary.rate),
            thousands(summary.not_applicable),
            thousands(summary.ungraded),
        ];
        if weighed {
            row.push(summary.mean_pass_probability.map_or_else(|| "–".to_owned(), |mean| format!("{mean:.4}")));
        }
        if rated {
            let Levels { mean, counts } = summary.levels.as_ref().unwrap_or(&NO_LEVELS);
            let given: Vec<String> =
                counts.iter().map(|(level, count)| format!("{} × {level}", thousands(*count))).collect();
            row.push(if given.is_empty() { "–".to_owned() } else { format!("{mean:.2}") });
            row.push(if given.is_empty() { "–".to_owned() } else { given.join(", ") });
        }
        table_row(&row, out)?;
    }
    writeln!(out, "\nA reply that fails a critical criterion fails, whatever its score.")
}

fn asks(model: &ReportModel, summary: &CriterionSummary) -> String {
    let text = model.criteria.iter().find(|text| text.id == summary.criterion);
    text.map_or_else(
        || "–".to_owned(),
        |text| {
            let by = if text.by_code { " (code)" } else { "" };
            format!("{}{by}", inline(&excerpt(&text.asks, ASKS)))
        },
    )
}

fn pattern<'a>(
    model: &ReportModel,
    summary: &'a CriterionSummary,
    quoted: &mut Quoted<'a>,
    out: &mut dyn Write,
) -> io::Result<()> {
    let failed = format!("{} of {} fail", thousands(summary.failed), thousands(summary.rate.n));
    heading(3, &format!("`{}`: {failed}", summary.criterion), out)?;
    writeln!(out, "{}\n", asks(model, summary))?;
    writeln!(out, "- By topic: {}", inline(&failed_in(&summary.failed_topics, GROUPS)))?;
    writeln!(out, "- By style: {}", inline(&failed_in(&summary.failed_styles, GROUPS)))?;
    summary.examples.iter().try_for_each(|failure| {
        let reply = (&failure.scenario, failure.repetition);
        let before = quoted.get(&reply).copied();
        if before.is_none() {
            quoted.insert(reply, &summary.criterion);
        }
        failure_example(failure, before, out)
    })
}

fn failure_example(failure: &Failure, quoted_under: Option<&CriterionId>, out: &mut dyn Write) -> io::Result<()> {
    let Failure { scenario, repetition, opening, reply, evidence, reason, pass_probability } = failure;
    let name = reply_name(scenario, *repetition);
    let mut parts = Vec::new();
    if let Some(criterion) = quoted_under {
        parts.push(format!("{name}, quoted above under `{criterion}`"));
    } else {
        parts.push(name);
        parts.extend(part("Message", opening, OPENING));
        parts.extend(part("Reply", reply, REPLY));
    }
    parts.extend(part("Why it fails", reason, REPLY));
    parts.extend(pass_probability.map(|probability| format!("**Probability of a pass:** {probability:.4}")));
    parts.extend(part("It rests on", evidence, OPENING));
    quote(&parts, out)
}

/// A labelled part of a quotation; none for an empty text.
fn part(label: &str, text: &str, most: usize) -> Option<String> {
    let text = quoted(&excerpt(text, most), "> ");
    (!text.is_empty()).then(|| format!("**{label}:** {text}"))
}

fn quote(parts: &[String], out: &mut dyn Write) -> io::Result<()> {
    // Paragraphs of their own, so that a long reply does not swallow the line after it.
    writeln!(out, "\n> {}", parts.join("\n>\n> "))
}

pub(super) fn qualitative_notes(model: &ReportModel, out: &mut dyn Write) -> io::Result<()> {
    let Some(decision) = model.decision.as_ref().filter(|decision| !decision.best.is_empty()) else {
        return Ok(());
    };
    heading(2, "Qualitative notes", out)?;
    writeln!(
        out,
        "The replies with the highest and the lowest scores, to be read by a person before anybody decides."
    )?;
    for (title, examples) in [("Best replies", &decision.best), ("Worst replies", &decision.worst)] {
        heading(3, title, out)?;
        // Two quotations in a row would run together without something in between.
        for (index, example) in examples.iter().enumerate() {
            if index > 0 {
                writeln!(out)?;
            }
            scored_example(index + 1, example, out)?;
        }
    }
    Ok(())
}

fn scored_example(number: usize, example: &Example, out: &mut dyn Write) -> io::Result<()> {
    let failed: Vec<String> = example.failed.iter().map(|criterion| format!("`{criterion}`")).collect();
    let failed =
        if failed.is_empty() { "no criterion failed".to_owned() } else { format!("failed {}", failed.join(", ")) };
    let name = reply_name(&example.scenario, example.repetition);
    writeln!(out, "**{number}.** {name}, score {:.2}, {failed}", example.score)?;
    let parts: Vec<String> = [part("Message", &example.opening, OPENING), part("Reply", &example.reply, REPLY)]
        .into_iter()
        .flatten()
        .collect();
    if parts.is_empty() { Ok(()) } else { quote(&parts, out) }
}
