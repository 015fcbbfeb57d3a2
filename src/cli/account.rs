//! What a whole run took and saved.

use serde_json::{Value, json};

use super::output::duration;
use crate::exec::{RunEnd, StageEnd, StageRun};
use crate::spec::{Pipeline, Price, Stage};
use crate::stage;
use crate::stats::text::thousands;

/// What a whole run took.
pub(super) struct Account {
    cached: usize,
    ran: usize,
    stopped: usize,
    left_out: usize,
    spared: usize,
    pub(super) calls: u64,
    pub(super) calls_cached: u64,
    pub(super) wall_ms: u64,
    pub(super) saved_ms: u64,
    /// US dollars for the calls that were made, where each model that was asked has a price.
    pub(super) cost: Option<f64>,
    /// The same for the calls from the store.
    pub(super) cost_saved: Option<f64>,
}

impl Account {
    pub(super) fn of(pipeline: &Pipeline, ended: &RunEnd, wall_ms: u64) -> Self {
        let mut account = Self {
            cached: 0,
            ran: 0,
            stopped: 0,
            left_out: 0,
            spared: ended.spared.len(),
            calls: 0,
            calls_cached: 0,
            wall_ms,
            saved_ms: 0,
            cost: Some(0.0),
            cost_saved: Some(0.0),
        };
        for StageRun { id, kind: _, end } in &ended.stages {
            let price = price(pipeline, &pipeline.stages[id]);
            match end {
                StageEnd::Cached(receipt) => {
                    let tally = &receipt.tally;
                    account.pay(price, [0, 0], [tally.prompt_tokens, tally.completion_tokens]);
                    let calls = tally.calls_made + tally.calls_cached;
                    account.cached += 1;
                    account.calls += calls;
                    account.calls_cached += calls;
                    account.saved_ms += if calls > 0 { tally.engine_ms } else { tally.wall_ms };
                }
                StageEnd::Ran { receipt, complete: _ } => {
                    account.ran += 1;
                    let tally = &receipt.tally;
                    let made = [tally.prompt_tokens_made, tally.completion_tokens_made];
                    let saved = [tally.prompt_tokens - made[0], tally.completion_tokens - made[1]];
                    account.pay(price, made, saved);
                    account.calls += receipt.tally.calls_made + receipt.tally.calls_cached;
                    account.calls_cached += receipt.tally.calls_cached;
                    account.saved_ms += receipt.tally.saved_ms;
                }
                StageEnd::Failed(_) | StageEnd::Skipped { .. } | StageEnd::Interrupted => account.stopped += 1,
                StageEnd::NotSelected => account.left_out += 1,
            }
        }
        // Nobody pays for a pipeline without priced models: no sum is better than a sum of nothing.
        if !pipeline.stages.values().flat_map(stage::models).any(|model| pipeline.price(model).is_some()) {
            (account.cost, account.cost_saved) = (None, None);
        }
        account
    }

    /// Adds what the tokens of a stage cost, made and saved.
    fn pay(&mut self, price: Option<Price>, made: [u64; 2], saved: [u64; 2]) {
        let add = |sum: Option<f64>, [prompt, completion]: [u64; 2]| match price {
            Some(price) => sum.map(|sum| sum + price.cost(prompt, completion)),
            None if prompt + completion > 0 => None,
            None => sum,
        };
        self.cost = add(self.cost, made);
        self.cost_saved = add(self.cost_saved, saved);
    }

    /// `6 stages, 5 cached, 1 run · 1,960/2,000 calls cached · 4.1 s · saved 3 m 20 s`
    pub(super) fn line(&self) -> String {
        let Self { cached, ran, stopped, left_out, spared, .. } = self;
        let mut parts =
            vec![format!("{} stages, {cached} cached, {ran} run", cached + ran + stopped + left_out + spared)];
        if *stopped > 0 {
            parts[0] = format!("{}, {stopped} not finished", parts[0]);
        }
        if *left_out > 0 {
            parts[0] = format!("{}, {left_out} left out", parts[0]);
        }
        if *spared > 0 {
            parts[0] = format!("{}, {spared} not needed", parts[0]);
        }
        if self.calls > 0 {
            parts.push(format!("{}/{} calls cached", thousands(self.calls_cached), thousands(self.calls)));
        }
        parts.push(duration(self.wall_ms));
        if let Some(cost) = self.cost {
            parts.push(dollars(cost));
        }
        let mut saved = Vec::new();
        if self.saved_ms > 0 {
            saved.push(duration(self.saved_ms));
        }
        saved.extend(self.cost_saved.filter(|saved| *saved > 0.0).map(dollars));
        if !saved.is_empty() {
            parts.push(format!("saved {}", saved.join(" and ")));
        }
        parts.join(" · ")
    }

    /// The same for programs, with what became of each stage.
    pub(super) fn to_json(&self, ended: &RunEnd) -> Value {
        let stages: Vec<_> = ended.stages.iter().map(stage_json).collect();
        json!({
            "stages": stages, "spared": ended.spared, "calls": self.calls, "calls_cached": self.calls_cached,
            "calls_made": self.calls - self.calls_cached, "wall_ms": self.wall_ms, "saved_ms": self.saved_ms,
            "cost": self.cost, "cost_saved": self.cost_saved,
        })
    }
}

/// `$0.12`, or `$0.0004` where that would be nothing.
pub(super) fn dollars(cost: f64) -> String {
    if cost > 0.0 && cost < 0.01 { format!("${cost:.4}") } else { format!("${cost:.2}") }
}

fn stage_json(stage: &StageRun) -> Value {
    let receipt = stage.receipt();
    // A stage from the store took nothing now; its tally says what it took when it was made.
    let tally = receipt.map(|receipt| serde_json::to_value(receipt.tally).expect("a tally is always valid JSON"));
    json!({
        "stage": stage.id, "kind": stage.kind, "status": stage.end.name(),
        "key": receipt.map(|receipt| receipt.key), "output": receipt.map(|receipt| receipt.output),
        "rows": receipt.and_then(|receipt| receipt.rows), "tally": tally,
    })
}
/// What a stage's tokens cost; none where it asks several models at several prices, since they are counted together.
fn price(pipeline: &Pipeline, stage: &Stage) -> Option<Price> {
    let mut prices = stage::models(stage).map(|model| pipeline.price(model));
    let first = prices.next()?;
    if prices.all(|price| price == first) { first } else { None }
}
