//! Gates in words.

use super::text::one_line;
use crate::data::{Decision, GateBound, GateCheck, GateStatus, Outcome};
use crate::stats::text::{percents, round_percent, thousands};

/// Whether values of the metric are shares.
fn is_share(gate: &GateCheck) -> bool {
    !matches!(gate.metric.as_str(), "tokens_per_reply" | "cost_per_reply" | "latency_p95")
}

fn number(gate: &GateCheck, value: f64) -> String {
    match gate.metric.as_str() {
        "cost_per_reply" => format!("${value}"),
        "latency_p95" => format!("{value} s"),
        "tokens_per_reply" => value.to_string(),
        _ => round_percent(value),
    }
}

/// `` pass rate ``, `` criterion `helpline` ``.
pub(super) fn name(gate: &GateCheck) -> String {
    let metric = match gate.metric.as_str() {
        "latency_p95" => "time under which 95 % of calls stayed".to_owned(),
        other => other.replace('_', " "),
    };
    match &gate.of {
        Some(of) => format!("{metric} `{}`", one_line(of).replace('`', "'")),
        None => metric,
    }
}

/// `at least 95 %`, `` no worse than `base` by more than 3 % ``.
pub(super) fn bound(gate: &GateCheck) -> String {
    match &gate.bound {
        GateBound::AtLeast(least) => format!("at least {}", number(gate, *least)),
        GateBound::AtMost(most) => format!("at most {}", number(gate, *most)),
        GateBound::NotWorse { than, margin } if is_share(gate) => {
            format!("no worse than `{than}` by more than {}", round_percent(*margin))
        }
        GateBound::NotWorse { than, margin } if *margin > 0.0 => {
            format!("at most {} above that of `{than}`", round_percent(*margin))
        }
        GateBound::NotWorse { than, margin: _ } => format!("at most that of `{than}`"),
    }
}

/// What was measured: with its interval, or that of the difference.
pub(super) fn measured(gate: &GateCheck) -> String {
    let Some(value) = gate.value else { return "not measured".to_owned() };
    if !is_share(gate) {
        let shown = |value: f64| match gate.metric.as_str() {
            "cost_per_reply" => format!("${value:.6}"),
            "tokens_per_reply" => format!("{value:.1}"),
            _ => number(gate, value),
        };
        let against = gate.base.map_or_else(String::new, |base| format!(", against {}", shown(base)));
        return format!("{} over {}{against}", shown(value), thousands(gate.n));
    }
    let edge = match gate.bound {
        GateBound::AtLeast(edge) | GateBound::AtMost(edge) => [edge],
        GateBound::NotWorse { than: _, margin } => [-margin],
    };
    match (gate.interval, gate.base) {
        (None, None) => format!("{} of {}", percents([value], &edge)[0].clone() + " %", thousands(gate.n)),
        (None, Some(base)) => {
            let [value, base] = percents([value, base], &[]);
            format!("{value} % of {}, against {base} %", thousands(gate.n))
        }
        (Some([lo, hi]), None) => {
            let [value, lo, hi] = percents([value, lo, hi], &edge);
            format!("{value} % ({lo}–{hi} %) of {}", thousands(gate.n))
        }
        (Some([lo, hi]), Some(base)) => {
            let [lo, hi] = percents([lo, hi], &edge);
            let [value, base] = percents([value, base], &[]);
            format!("{value} % against {base} %: a difference of {lo} to {hi} points")
        }
    }
}

/// The headline of a decision whose pass rate is good enough and whose gates are not all passed. Of one that another model was
/// asked beside, what that came to is said.
pub(super) fn headline(decision: &Decision, gates: &[GateCheck]) -> Option<&'static str> {
    let is_alone = decision.other.is_none() || decision.is_of_backup();
    if decision.outcome != Outcome::Deploy || !is_alone {
        return None;
    }
    let any = |status| gates.iter().any(|gate| gate.status == status);
    if any(GateStatus::Failed) {
        Some("Not yet: the pass rate is good enough, and a gate is failed.")
    } else if any(GateStatus::Inconclusive) {
        Some("Not decided: the pass rate is good enough, and a gate is open.")
    } else {
        None
    }
}

/// What it came to, in one word.
pub(super) fn status(gate: &GateCheck) -> &'static str {
    match gate.status {
        GateStatus::Passed => "passed",
        GateStatus::Failed => "failed",
        GateStatus::Inconclusive => "inconclusive",
    }
}
