//! Two judges of the same replies: which of them agrees better with people.

use std::io::{self, Write};

use super::super::beside::{JudgesBeside, interval, left_open};
use super::super::text::{coefficient, share};
use super::escape::sentence;
use super::{full_sentence, heading, table_head, table_row};
use crate::data::{Beside, DifferenceClusters, EachOther, Rights, WithPeople};
use crate::stats::text::{count, points, thousands};

pub(super) fn write(judges: &JudgesBeside, found: &Beside, out: &mut dyn Write) -> io::Result<()> {
    let JudgesBeside { first, second, headline } = judges;
    heading(3, &format!("Beside `{second}`"), out)?;
    writeln!(out, "{}\n", sentence(&full_sentence(headline)))?;
    table_head(&["", ">Agrees with people", ">κ", ">AC1"], out)?;
    for (name, WithPeople { table: _, agreed }) in [(first, &found.first), (second, &found.second)] {
        let [kappa, ac1] = [agreed.kappa, agreed.ac1].map(coefficient);
        table_row(&[format!("`{name}`"), share(agreed.agreement), kappa, ac1], out)?;
    }
    if let Some(difference) = found.difference {
        let [point] = points([difference.point], &[0.0]);
        let text = format!("{point} points ({})", interval(difference, found.p));
        table_row(&["Difference".to_owned(), text, String::new(), String::new()], out)?;
    }
    rights(judges, found, out)?;
    each_other(&found.each_other, out)?;
    manner(found, out)
}

/// How the difference was found.
fn manner(found: &Beside, out: &mut dyn Write) -> io::Result<()> {
    let Some(DifferenceClusters { clusters, n_eff: _, design_effect }) = found.clusters else {
        return writeln!(
            out,
            "\nThe interval of the difference is Newcombe's for paired shares, and p is McNemar's mid-p."
        );
    };
    writeln!(
        out,
        "\nThe interval of the difference is Newcombe's for paired shares, and as far as the one over {} where that reaches \
         further; p is McNemar's mid-p, or that over scenarios where it is larger: verdicts on one scenario are not independent \
         (design effect {design_effect:.2}). The other intervals here take each verdict for evidence of its own.",
        count(clusters, "scenario")
    )
}

fn rights(judges: &JudgesBeside, found: &Beside, out: &mut dyn Write) -> io::Result<()> {
    let JudgesBeside { first, second, headline: _ } = judges;
    let Rights { both, only_first, only_second, neither } = found.rights;
    let [both, only_first, only_second, neither] = [both, only_first, only_second, neither].map(thousands);
    write!(
        out,
        "\nOf {}, both are right on {both}, only `{first}` on {only_first}, only `{second}` on {only_second}, neither on {neither}.",
        count(found.rights.n(), "labelled verdict")
    )?;
    if let Some(open) = left_open(judges, found.left_open) {
        write!(out, " Not among them are those that were left open: {open}.")?;
    }
    writeln!(out)
}

fn each_other(EachOther { table, agreed, left_open }: &EachOther, out: &mut dyn Write) -> io::Result<()> {
    let [kappa, ac1] = [agreed.kappa, agreed.ac1].map(coefficient);
    write!(
        out,
        "\nWith each other they agree on {} of {}, labelled or not: κ {kappa}, AC1 {ac1}.",
        share(agreed.agreement),
        count(table.n(), "verdict")
    )?;
    if *left_open > 0 {
        write!(out, " {} more one of them left open.", thousands(*left_open))?;
    }
    writeln!(out)
}
