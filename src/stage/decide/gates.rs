//! Gates: whether what was measured keeps to what the pipeline asks.
//!
//! What is estimated passes only with its whole interval on the right side; what is counted, such as tokens, has none. How long
//! replies took is in no table: those gates are checked where calls can be read. Start at [`check`].

use std::collections::BTreeMap;

use crate::data::{Answer, Corrected, CorrectedCriterion, Decision, GateBound, GateCheck, GateStatus, Rate};
use crate::ids::StageId;
use crate::spec::{Bound, GateRule, Metric, Price};
use crate::stats::{Estimate, Interval, mover_difference};

/// What replies took, as their table says.
#[derive(Debug, Clone, Copy, Default)]
pub struct Taken {
    /// Replies whose tokens are known.
    replies: u64,
    prompt_tokens: u64,
    completion_tokens: u64,
}

impl Taken {
    /// Counts one answer.
    pub fn add(&mut self, answer: &Answer) {
        if let Some(tokens) = answer.tokens {
            self.replies += 1;
            self.prompt_tokens += u64::from(tokens.prompt);
            self.completion_tokens += u64::from(tokens.completion);
        }
    }
}

/// What gates are held against.
#[derive(Debug)]
pub struct Measured<'a> {
    /// The decision without its gates.
    pub decision: &'a Decision,
    /// What the other stages would decide that gates name.
    pub bases: &'a BTreeMap<StageId, Decision>,
    /// What replies took, where a gate asks.
    pub taken: Taken,
    /// What the tokens of the model under test cost.
    pub price: Option<Price>,
}

/// What one metric came to.
#[derive(Debug, Clone, Copy)]
struct Value {
    point: Option<f64>,
    /// None for what is counted.
    interval: Option<Interval>,
    n: u64,
}

impl Value {
    const NOTHING: Self = Self { point: None, interval: None, n: 0 };

    fn of_rate(rate: &Rate) -> Self {
        Self { point: rate.point, interval: Some(Interval { lo: rate.lo, hi: rate.hi }), n: rate.n }
    }

    fn counted(sum: f64, n: u64) -> Self {
        Self { point: (n > 0).then(|| sum / n as f64), interval: None, n }
    }
}

/// Checks the gates, in their order, but for those on how long calls took.
#[must_use]
pub fn check(gates: &[GateRule], measured: &Measured<'_>) -> Vec<GateCheck> {
    gates.iter().filter(|gate| gate.metric != Metric::LatencyP95).map(|gate| check_one(gate, measured)).collect()
}

fn check_one(gate: &GateRule, measured: &Measured<'_>) -> GateCheck {
    let GateRule { metric, bound } = gate;
    let value = value(metric, measured.decision, measured);
    let (metric_name, of) = metric.name();
    let found = |bound, interval: Option<Interval>, base, status| GateCheck {
        metric: metric_name.to_owned(),
        of: of.clone(),
        bound,
        value: value.point,
        interval: interval.map(|Interval { lo, hi }| [lo, hi]),
        base,
        n: value.n,
        status,
    };
    match bound {
        Bound::AtLeast(least) => found(GateBound::AtLeast(*least), value.interval, None, at_least(value, *least)),
        Bound::AtMost(most) => found(GateBound::AtMost(*most), value.interval, None, at_most(value, *most)),
        Bound::NotWorse { than, margin } => {
            let base = measured.bases.get(than).map_or(Value::NOTHING, |base| self::value(metric, base, measured));
            let difference = difference(base, value);
            let status = match difference {
                Some(Interval { lo, .. }) if lo >= -margin => GateStatus::Passed,
                Some(Interval { hi, .. }) if hi < -margin => GateStatus::Failed,
                Some(_) | None => GateStatus::Inconclusive,
            };
            let bound = GateBound::NotWorse { than: than.clone(), margin: *margin };
            found(bound, difference, base.point, status)
        }
    }
}

/// The difference from the base. As if both suites were drawn apart: where they are the same, it is surer than that.
fn difference(base: Value, new: Value) -> Option<Interval> {
    let estimate = |value: Value| Some(Estimate { point: value.point?, interval: value.interval? });
    Some(mover_difference(&estimate(base)?, &estimate(new)?).interval)
}

fn at_least(value: Value, least: f64) -> GateStatus {
    match (value.point, value.interval) {
        (None, _) => GateStatus::Inconclusive,
        (Some(_), Some(interval)) if interval.lo >= least => GateStatus::Passed,
        (Some(_), Some(interval)) if interval.hi < least => GateStatus::Failed,
        (Some(_), Some(_)) => GateStatus::Inconclusive,
        (Some(point), None) if point >= least => GateStatus::Passed,
        (Some(_), None) => GateStatus::Failed,
    }
}

fn at_most(value: Value, most: f64) -> GateStatus {
    match (value.point, value.interval) {
        (None, _) => GateStatus::Inconclusive,
        (Some(_), Some(interval)) if interval.hi <= most => GateStatus::Passed,
        (Some(_), Some(interval)) if interval.lo > most => GateStatus::Failed,
        (Some(_), Some(_)) => GateStatus::Inconclusive,
        (Some(point), None) if point <= most => GateStatus::Passed,
        (Some(_), None) => GateStatus::Failed,
    }
}

fn value(metric: &Metric, decision: &Decision, measured: &Measured<'_>) -> Value {
    let corrected = decision.corrected.as_ref();
    let rate = |rate: Option<&Rate>| {
        let value = rate.map_or(Value::NOTHING, Value::of_rate);
        match corrected {
            // What such a judge says settles nothing.
            Some(Corrected { distrust, .. }) if !distrust.is_empty() => {
                Value { interval: Some(Interval { lo: 0.0, hi: 1.0 }), ..value }
            }
            Some(_) | None => value,
        }
    };
    let Taken { replies, prompt_tokens, completion_tokens } = measured.taken;
    match metric {
        Metric::PassRate => rate(Some(&decision.deciding())),
        Metric::Score => Value {
            point: decision.mean_score,
            interval: decision.score_interval.map(|score| Interval { lo: score.lo, hi: score.hi }),
            n: decision.rate.n,
        },
        Metric::Criterion(id) => {
            let raw = decision.criteria.iter().find(|summary| summary.criterion == *id).map(|summary| &summary.rate);
            let corrected = corrected.and_then(|corrected| corrected.criteria.iter().find(|of| of.criterion == *id));
            match (raw, corrected) {
                (Some(raw), Some(CorrectedCriterion { rate: of, .. })) => {
                    rate(Some(&Rate { point: of.point, lo: of.lo, hi: of.hi, ..raw.clone() }))
                }
                (raw, _) => rate(raw),
            }
        }
        Metric::Topic(name) => rate(decision.topics.iter().find(|group| group.name == *name).map(|group| &group.rate)),
        Metric::Style(name) => rate(decision.styles.iter().find(|group| group.name == *name).map(|group| &group.rate)),
        Metric::Ungraded => Value::counted(decision.counts.ungraded as f64, decision.counts.total),
        Metric::TokensPerReply => Value::counted(completion_tokens as f64, replies),
        Metric::CostPerReply => measured
            .price
            .map_or(Value::NOTHING, |price| Value::counted(price.cost(prompt_tokens, completion_tokens), replies)),
        Metric::LatencyP95 => Value::NOTHING,
    }
}

/// Checks the gates on how long calls took, given the time in seconds under which 95 of 100 of so many calls stayed.
#[must_use]
pub fn check_latency(gates: &[GateRule], p95: Option<f64>, calls: u64) -> Vec<GateCheck> {
    let value = Value { point: p95, interval: None, n: calls };
    let check = |gate: &GateRule| {
        let (bound, status) = match gate.bound {
            Bound::AtLeast(least) => (GateBound::AtLeast(least), at_least(value, least)),
            Bound::AtMost(most) => (GateBound::AtMost(most), at_most(value, most)),
            Bound::NotWorse { .. } => return None,
        };
        let (metric, of) = gate.metric.name();
        Some(GateCheck {
            metric: metric.to_owned(),
            of,
            bound,
            value: p95,
            interval: None,
            base: None,
            n: calls,
            status,
        })
    };
    gates.iter().filter(|gate| gate.metric == Metric::LatencyP95).filter_map(check).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_estimate_passes_with_its_whole_interval_and_a_count_by_itself() {
        use GateStatus::{Failed, Inconclusive, Passed};
        let estimated = |lo, hi| Value { point: Some(0.5), interval: Some(Interval { lo, hi }), n: 9 };
        for (value, bound, least, most) in [
            (estimated(0.4, 0.6), 0.4, Passed, Inconclusive),
            (estimated(0.4, 0.6), 0.5, Inconclusive, Inconclusive),
            (estimated(0.4, 0.6), 0.6, Inconclusive, Passed),
            (estimated(0.4, 0.6), 0.7, Failed, Passed),
            (estimated(0.4, 0.6), 0.3, Passed, Failed),
            (Value::counted(4.5, 9), 0.5, Passed, Passed),
            (Value::counted(4.5, 9), 0.6, Failed, Passed),
            (Value::counted(4.5, 9), 0.4, Passed, Failed),
            (Value::counted(0.0, 0), 0.4, Inconclusive, Inconclusive),
        ] {
            assert_eq!((at_least(value, bound), at_most(value, bound)), (least, most), "{value:?} {bound}");
        }
    }

    #[test]
    fn latency_is_checked_where_calls_are_read() {
        let rule = |metric, bound| GateRule { metric, bound };
        let gates = [rule(Metric::PassRate, Bound::AtLeast(0.5)), rule(Metric::LatencyP95, Bound::AtMost(2.0))];
        for (p95, status) in
            [(Some(1.9), GateStatus::Passed), (Some(2.1), GateStatus::Failed), (None, GateStatus::Inconclusive)]
        {
            let [check] = &check_latency(&gates, p95, 20)[..] else { panic!("one gate is on latency") };
            assert_eq!((check.metric.as_str(), check.status), ("latency_p95", status));
        }
    }
}
