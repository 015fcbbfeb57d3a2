//! The review sheet: replies that a person reads and ticks off before a model is deployed.

use std::io::{self, Write};

use super::super::model::ReportModel;
use super::super::text::{excerpt, replies, reply_name};
use super::escape::{inline, quoted};
use super::heading;
use crate::data::{ReviewItem, ReviewReason};

/// Characters of a message and of a reply that are shown.
const OPENING: usize = 300;
const REPLY: usize = 800;

pub(super) fn write(model: &ReportModel, out: &mut dyn Write) -> io::Result<()> {
    let Some(sheet) = model.decision.as_ref().and_then(|decision| decision.review_sheet.as_ref()) else {
        return Ok(());
    };
    if sheet.items.is_empty() {
        return Ok(());
    }
    heading(2, "Review sheet", out)?;
    writeln!(
        out,
        "{} to be read by a person: a pass rate does not say what an accepted failure costs, nor whether what passes is good. \
         Tick what you would send to a user as it is; the rest is a reason not to deploy. The sample was drawn at random in each \
         topic (seed {}).",
        replies(sheet.items.len() as u64),
        sheet.seed
    )?;
    let mut title = "";
    for (index, item) in sheet.items.iter().enumerate() {
        let now = section(item.why);
        if now != title {
            heading(3, now, out)?;
            title = now;
        }
        write_item(index + 1, item, out)?;
    }
    Ok(())
}

fn section(why: ReviewReason) -> &'static str {
    match why {
        ReviewReason::Worst => "The lowest scores",
        ReviewReason::Borderline => "On the edge of the pass rule",
        ReviewReason::Sample => "A random sample of each topic",
    }
}

fn write_item(number: usize, item: &ReviewItem, out: &mut dyn Write) -> io::Result<()> {
    let ReviewItem { scenario, repetition, why: _, topic, style, opening, reply, digest: _, score, passed, failed } =
        item;
    let grade = if *passed { "passes" } else { "fails" };
    let failed: Vec<String> = failed.iter().map(|criterion| format!("`{criterion}`")).collect();
    let failed = if failed.is_empty() { String::new() } else { format!(", does not meet {}", failed.join(", ")) };
    writeln!(
        out,
        "- [ ] **{number}.** {} ({}, {}): {grade} with {score:.2}{failed}",
        reply_name(scenario, *repetition),
        inline(topic),
        inline(style),
    )?;
    for (label, text, most) in [("Message", opening, OPENING), ("Reply", reply, REPLY)] {
        let text = quoted(&excerpt(text, most), "  > ");
        if !text.is_empty() {
            writeln!(out, "\n  > **{label}:** {text}")?;
        }
    }
    writeln!(out)
}
