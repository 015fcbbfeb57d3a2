//! How far a decision has looked, in words.

use crate::data::Looked;
use crate::stats::float;
use crate::stats::text::{count, thousands};

/// `settled after 58 of 1,000 scenarios, at look 3 (94 % not asked)`, `all 300 scenarios looked at, in 7 looks`; none where there was
/// one look at all of them, as ever.
pub(super) fn looked_at(looked: &Looked) -> Option<String> {
    let Looked { scenarios, of, stopped: _, method: _, alpha_early: _, looks } = looked;
    if looked.is_early() {
        return Some(format!(
            "settled after {} of {}, at look {} ({:.0} % not asked)",
            thousands(*scenarios),
            count(*of, "scenario"),
            looks.len(),
            (looked.saved() * 100.0).floor(),
        ));
    }
    (looks.len() > 1).then(|| format!("all {} looked at, in {} looks", count(*of, "scenario"), looks.len()))
}

/// The factor by which a bet against a threshold would have multiplied one's money, from its logarithm: `0.4`, `37`, `4,210`, `10^12`.
pub(super) fn factor(log_evidence: Option<f64>) -> String {
    const TEN: f64 = 10.0;
    let Some(log) = log_evidence else { return "impossible".to_owned() };
    let factor = float::exp(log.min(700.0));
    match log / float::ln(TEN) {
        tens if tens >= 6.0 => format!("10^{:.0}", tens.floor()),
        tens if tens >= 1.0 => {
            #[expect(clippy::cast_possible_truncation, reason = "from ten to a million")]
            let whole = factor as u64;
            thousands(whole)
        }
        tens if tens >= -2.0 => format!("{factor:.2}"),
        _ => "0.00".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn factors_are_short() {
        for (log, expected) in [
            (None, "impossible"),
            (Some(-800.0), "0.00"),
            (Some(-1.0), "0.37"),
            (Some(0.0), "1.00"),
            (Some(4.61), "100"),
            (Some(9.0), "8,103"),
            (Some(28.0), "10^12"),
            (Some(8_000.0), "10^3474"),
        ] {
            assert_eq!(factor(log), expected, "{log:?}");
        }
    }
}
