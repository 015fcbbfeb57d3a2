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

/// One stage, as gates measure it.
#[derive(Debug)]
pub struct Side {
    /// The decision without its gates.
    pub decision: Decision,
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
pub fn check(gates: &[GateRule], measured: &Side, bases: &BTreeMap<StageId, Side>) -> Vec<GateCheck> {
    let check = |gate: &GateRule| {
        let of = |side: &Side| value(&gate.metric, side);
        check_one(gate, of(measured), |base| bases.get(base).map_or(Value::NOTHING, of))
    };
    gates.iter().filter(|gate| gate.metric != Metric::LatencyP95).map(check).collect()
}

fn check_one(gate: &GateRule, value: Value, base: impl Fn(&StageId) -> Value) -> GateCheck {
    let GateRule { metric, bound } = gate;
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
            let base = base(than);
            let bound = GateBound::NotWorse { than: than.clone(), margin: *margin };
            if !metric.is_estimated() {
                let most = base.point.map(|base| if metric.is_share() { base + margin } else { base * (1.0 + margin) });
                let status = most.map_or(GateStatus::Inconclusive, |most| at_most(value, most));
                return found(bound, None, base.point, status);
            }
            let difference = difference(base, value);
            let status = match difference {
                Some(Interval { lo, .. }) if lo >= -margin => GateStatus::Passed,
                Some(Interval { hi, .. }) if hi < -margin => GateStatus::Failed,
                Some(_) | None => GateStatus::Inconclusive,
            };
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

fn value(metric: &Metric, side: &Side) -> Value {
    let Side { decision, taken, price } = side;
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
    let Taken { replies, prompt_tokens, completion_tokens } = *taken;
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
        Metric::CostPerReply => {
            price.map_or(Value::NOTHING, |price| Value::counted(price.cost(prompt_tokens, completion_tokens), replies))
        }
        Metric::LatencyP95 => Value::NOTHING,
    }
}

/// The time in seconds under which 95 of 100 of so many calls stayed; none where that is not known.
pub type Times = (Option<f64>, u64);

/// Checks the gates on how long calls took, of these answers and of those that the verdicts of another stage are on.
#[must_use]
pub fn check_latency(gates: &[GateRule], times: Times, base: impl Fn(&StageId) -> Times) -> Vec<GateCheck> {
    let value = |(p95, calls): Times| Value { point: p95, interval: None, n: calls };
    let on_time = gates.iter().filter(|gate| gate.metric == Metric::LatencyP95);
    on_time.map(|gate| check_one(gate, value(times), |than| value(base(than)))).collect()
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
            let [check] = &check_latency(&gates, (p95, 20), |_| (None, 0))[..] else {
                panic!("one gate is on latency")
            };
            assert_eq!((check.metric.as_str(), check.status), ("latency_p95", status));
        }
    }

    #[test]
    fn what_is_counted_may_be_more_than_another_stages_by_a_part_of_it() {
        use GateStatus::{Failed, Inconclusive, Passed};
        let than = StageId::new("base").unwrap();
        let rule = |metric, margin| GateRule { metric, bound: Bound::NotWorse { than: than.clone(), margin } };
        let counted = |point| Value { point, interval: None, n: 20 };
        for (metric, margin, value, base, status) in [
            (Metric::TokensPerReply, 0.25, Some(50.0), Some(40.0), Passed),
            (Metric::TokensPerReply, 0.25, Some(50.1), Some(40.0), Failed),
            (Metric::CostPerReply, 0.0, Some(0.002), Some(0.002), Passed),
            (Metric::CostPerReply, 1.5, Some(0.006), Some(0.002), Failed),
            (Metric::LatencyP95, 0.5, Some(1.5), Some(1.0), Passed),
            (Metric::Ungraded, 0.02, Some(0.03), Some(0.02), Passed),
            (Metric::Ungraded, 0.02, Some(0.05), Some(0.02), Failed),
            (Metric::TokensPerReply, 0.25, Some(50.0), None, Inconclusive),
            (Metric::TokensPerReply, 0.25, None, Some(40.0), Inconclusive),
        ] {
            let found = check_one(&rule(metric.clone(), margin), counted(value), |_| counted(base));
            assert_eq!(
                (found.status, found.base, found.interval),
                (status, base, None),
                "{metric:?} {value:?} {base:?}"
            );
        }
        let gates = [rule(Metric::LatencyP95, 0.1)];
        let of = |base: &StageId| (Some(if *base == than { 2.0 } else { 9.0 }), 5);
        assert_eq!(check_latency(&gates, (Some(2.3), 5), of)[0].status, Failed);
        assert_eq!(check_latency(&gates, (Some(2.1), 5), of)[0].status, Passed);
    }
}
