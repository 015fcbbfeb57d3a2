//! The looks of a decision that may stop early, each with what it had against the thresholds.

use std::io::{self, Write};

use super::super::looks::{factor, looked_at};
use super::{full_sentence, heading, table_head, table_row};
use crate::data::{ClusterMeans, Decision, Looked, Sequence};
use crate::stats::text::{count, percents, round_percent, thousands};

pub(super) fn write(decision: &Decision, out: &mut dyn Write) -> io::Result<()> {
    let told = decision.sequential.as_ref().and_then(|looked| Some((looked, looked_at(looked)?)));
    let Some((looked, told)) = told else { return Ok(()) };
    let Looked { scenarios: _, of: _, stopped: _, method, alpha_early, looks } = looked;
    heading(3, "Looks", out)?;
    writeln!(out, "{}\n", full_sentence(&told))?;
    let edges = [decision.thresholds.deploy, decision.thresholds.fine_tune];
    let against = edges.map(|edge| format!(">Against {}", round_percent(edge)));
    let mut columns = vec![">Look", ">Scenarios", ">Passed", ">Failed", ">Interval"];
    let of_clusters = *method == Sequence::Betting;
    if of_clusters {
        columns.push(">Mean of clusters");
    }
    columns.extend(against.iter().map(String::as_str));
    table_head(&columns, out)?;
    for (number, look) in (1..).zip(looks) {
        let [lo, hi] = percents([look.lo, look.hi], &edges);
        let mut row = vec![
            thousands(number),
            thousands(look.scenarios),
            thousands(look.passed),
            thousands(look.failed),
            format!("{lo}–{hi} %"),
        ];
        if of_clusters {
            row.push(look.clusters.as_ref().map_or_else(|| "–".to_owned(), means));
        }
        row.extend([look.log_evidence.deploy, look.log_evidence.fine_tune].map(factor));
        table_row(&row, out)?;
    }
    writeln!(out, "\n{}", explained(decision, looked, *alpha_early))
}

/// `71.4 % of 12`.
fn means(clusters: &ClusterMeans) -> String {
    let mean = clusters.mean.map_or_else(|| "–".to_owned(), |mean| percents([mean], &[])[0].clone() + " %");
    format!("{mean} of {}", thousands(clusters.number))
}

fn explained(decision: &Decision, looked: &Looked, alpha_early: f64) -> String {
    let by = match looked.method {
        Sequence::BetaBinomial => "a beta-binomial mixture of bets",
        Sequence::SuiteSequence => "the ratio of prior to posterior over the passes in the suite",
        Sequence::Betting => "hedged bets on the means of clusters in the order in which they were drawn",
    };
    let limit = round_percent(1.0 - alpha_early);
    let last = if looked.is_early() {
        format!("The {limit} intervals are those of {by}, and hold however often one looks.")
    } else {
        format!(
            "The last interval is the ordinary one at {}; those of the {} before are those of {by} at {limit}, and hold however \
             often one looks.",
            round_percent(decision.rate.confidence),
            count(looked.looks.len() as u64 - 1, "look"),
        )
    };
    format!(
        "{last} The last two columns say by how much a bet against a threshold would have multiplied one's money: from {:.0} on, the \
         threshold is ruled out.",
        1.0 / alpha_early
    )
}
