//! What the scenarios cover and how they came out.

use std::collections::BTreeSet;
use std::io::{self, Write};

use super::super::model::ReportModel;
use super::super::text::{rate, replies};
use super::escape::{inline, sentence};
use super::suite;
use super::{cells, heading, table_head, table_row};
use crate::data::{Coverage, Decision, GroupSummary, Judging, Looked};
use crate::stats::text::{count, percents, round_percent, thousands};

pub(super) fn write(model: &ReportModel, out: &mut dyn Write) -> io::Result<()> {
    if model.coverage.is_none() && model.decision.is_none() {
        return Ok(());
    }
    heading(2, "Evaluation results", out)?;
    if let Some(who) = &model.answered_by {
        writeln!(out, "- Answers: {}.", sentence(who))?;
    }
    if let Some(who) = &model.judged_by {
        writeln!(out, "- Verdicts: {}.", sentence(who))?;
    }
    if let Some(judging) = &model.judging {
        writeln!(out, "- Tokens that counted: {}.", tokens(judging))?;
    }
    if let Some(coverage) = &model.coverage {
        matrix(coverage, out)?;
        suite::write(coverage, out)?;
    }
    model.decision.as_ref().map_or(Ok(()), |decision| outcomes(decision, out))
}

/// `` `pass`: “ Pass”, “pass”; `fail`: “fail” ``
fn tokens(judging: &Judging) -> String {
    let word = |(word, tokens): (&String, &BTreeSet<String>)| {
        let quoted: Vec<String> = tokens.iter().map(|token| format!("“{}”", visible(token))).collect();
        let quoted = if quoted.is_empty() { "none".to_owned() } else { quoted.join(", ") };
        format!("`{word}`: {quoted}")
    };
    judging.tokens.iter().map(word).collect::<Vec<_>>().join("; ")
}

/// A token with its white space made visible.
fn visible(token: &str) -> String {
    inline(&token.chars().map(|c| if c.is_whitespace() { '␣' } else { c }).collect::<String>())
}

fn matrix(coverage: &Coverage, out: &mut dyn Write) -> io::Result<()> {
    let Coverage { scenarios, authored, written, edge_cases, styles, topics, failed, .. } = coverage;
    heading(3, "Coverage", out)?;
    let [authored, written] = [authored, written].map(|number| thousands(*number));
    write!(
        out,
        "{}: {authored} with an opening from the taxonomy, {written} with one that a model wrote; {} among them.",
        count(*scenarios, "scenario"),
        count(*edge_cases, "named edge case"),
    )?;
    if *failed > 0 {
        write!(out, " Not among them: {} that could not be made.", thousands(*failed))?;
    }
    writeln!(out, "\n")?;
    let names: Vec<String> = styles.iter().map(|style| format!(">{}", inline(style))).collect();
    let mut columns = vec!["Topic"];
    columns.extend(names.iter().map(String::as_str));
    columns.push(">All");
    table_head(&columns, out)?;
    let line = |name: String, counts: &[u64], out: &mut dyn Write| {
        let all: u64 = counts.iter().sum();
        let mut row = vec![name];
        row.extend(counts.iter().chain([&all]).map(|number| thousands(*number)));
        table_row(&row, out)
    };
    let mut sums = vec![0; styles.len()];
    for (topic, counts) in topics {
        sums.iter_mut().zip(counts).for_each(|(sum, number)| *sum += number);
        line(inline(topic), counts, out)?;
    }
    line("**All**".to_owned(), &sums, out)
}

fn outcomes(decision: &Decision, out: &mut dyn Write) -> io::Result<()> {
    heading(3, "Pass rate", out)?;
    let counts = decision.counts;
    let (one, all) = if counts.scenarios.is_some() { ("answer", ">Answers") } else { ("scenario", ">Scenarios") };
    table_head(&[all, ">Passed", ">Failed", ">Ungraded", ">Invalid", ">Pass rate of the graded"], out)?;
    let numbers = [counts.total, counts.passed, counts.failed, counts.ungraded, counts.invalid].map(thousands);
    let mut row = numbers.to_vec();
    row.push(rate(&decision.rate));
    table_row(&row, out)?;
    let level = round_percent(decision.rate.confidence);
    let of = match (&decision.cluster, counts.scenarios) {
        (Some(cluster), _) => format!(", clustered by {}", inline(cluster)),
        (None, Some(_)) => ", of which those to one scenario are a cluster".to_owned(),
        (None, None) => String::new(),
    };
    let is_early = decision.sequential.as_ref().is_some_and(Looked::is_early);
    let interval = if is_early {
        // Gates are held against these, so they share what the looks may err.
        let others = decision.styles.first().map_or(decision.rate.confidence, |group| group.rate.confidence);
        let of = if decision.suite_only { "" } else { of.as_str() };
        format!(
            "here: the {level} confidence sequence; below: the {} Wilson interval{of}",
            percents([others], &[1.0])[0].clone() + " %"
        )
    } else if decision.suite_only {
        "here and below: what the rate would be if none, or all, of the ungraded passed".to_owned()
    } else {
        format!("here and below: the {level} Wilson interval{of}")
    };
    writeln!(
        out,
        "\nIn parentheses, {interval}. Ungraded (a verdict or the reply is missing) \
         and invalid (too few criteria apply) {one}s are out of the rate."
    )?;
    clusters(decision, out)?;
    if let Some(mean) = decision.mean_score {
        writeln!(
            out,
            "\nMean score {mean:.2}, from 0 to 1, over {}.",
            count(decision.rate.n, &format!("graded {one}"))
        )?;
    }
    groups("Topic", &decision.topics, out)?;
    groups("Style", &decision.styles, out)?;
    writeln!(out, "\n{}", assumptions(decision))
}

/// What rows that belong together are worth.
fn clusters(decision: &Decision, out: &mut dyn Write) -> io::Result<()> {
    let (counts, Some(clustered)) = (decision.counts, decision.rate.clustered) else { return Ok(()) };
    if let (Some(cluster), Some(clusters)) = (&decision.cluster, clustered.clusters) {
        return writeln!(
            out,
            "\n{} with a grade in {} (by {}): worth {:.1} that have nothing in common (design effect {:.2}{}).",
            replies(decision.rate.n),
            count(clusters, "cluster"),
            inline(cluster),
            clustered.n_eff,
            clustered.design_effect,
            clustered.known_words(),
        );
    }
    let Some(scenarios) = counts.scenarios else { return Ok(()) };
    writeln!(
        out,
        "\n{} to {}, {:.1} each: worth {:.1} to a scenario each (design effect {:.2}{}).",
        count(counts.total, "answer"),
        count(scenarios, "scenario"),
        counts.total as f64 / scenarios as f64,
        clustered.n_eff,
        clustered.design_effect,
        clustered.known_words(),
    )
}

/// What the intervals do not know.
fn assumptions(decision: &Decision) -> String {
    const CHANCE: &str = "with so many rows, one low rate among them may be chance";
    match &decision.cluster {
        _ if decision.suite_only && decision.sequential.as_ref().is_some_and(Looked::is_early) => format!(
            "The rates are those of this suite, as the part of it shows them that was looked at: they say nothing about other \
             scenarios; and {CHANCE}."
        ),
        _ if decision.suite_only => {
            "The rates are those of this suite and are held to be exact: they say nothing about other scenarios."
                .to_owned()
        }
        Some(cluster) => format!(
            "The intervals allow for scenarios of one {} that resemble each other; within one, they are treated as independent; \
             and {CHANCE}.",
            inline(cluster)
        ),
        None => format!(
            "The intervals treat scenarios as independent. Those of one topic resemble each other, so the true uncertainty \
             about new topics is wider; and {CHANCE}."
        ),
    }
}

fn groups(name: &str, groups: &[GroupSummary], out: &mut dyn Write) -> io::Result<()> {
    if groups.is_empty() {
        return Ok(());
    }
    writeln!(out)?;
    table_head(&[name, ">Graded", ">Passed", ">Pass rate", ">Ungraded"], out)?;
    for group in groups {
        let [graded, passed, ungraded] = [group.rate.n, group.rate.passed, group.ungraded].map(thousands);
        table_row(&cells(&[&inline(&group.name), &graded, &passed, &rate(&group.rate), &ungraded]), out)?;
    }
    Ok(())
}
