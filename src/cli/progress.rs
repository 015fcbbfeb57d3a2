//! Progress of a run on stderr: bars on a terminal, one line a stage otherwise.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::output::{duration, say};
use super::problems::reason_mark;
use crate::exec::{Event, StageEnd, StageRun, Unit};
use crate::ids::StageId;
use crate::stats::text::thousands;
use crate::store::Tally;

pub(super) struct Progress {
    bars: Option<MultiProgress>,
    running: Mutex<BTreeMap<StageId, ProgressBar>>,
    widest: usize,
}

impl Progress {
    /// Progress of stages whose longest id has `widest` characters.
    pub(super) fn new(bars: bool, widest: usize) -> Self {
        Self { bars: bars.then(MultiProgress::new), running: Mutex::default(), widest }
    }

    pub(super) fn event(&self, event: &Event<'_>) {
        match event {
            Event::Cached { stage, receipt } => {
                let rows = receipt.rows.map(|rows| format!(" · {} rows", thousands(rows))).unwrap_or_default();
                self.line('=', stage, &format!("cached{rows}"));
            }
            Event::Started { stage, kind, reason } => {
                self.line(reason_mark(reason), stage, &format!("{kind}: {reason}"));
            }
            Event::Total { stage, unit, total } => self.total(stage, *unit, *total),
            Event::Advanced { stage, by, tally } => self.advance(stage, *by, tally),
            Event::Note { stage, text } => self.line(' ', stage, text),
            Event::Finished { run } => self.finished(run),
        }
    }

    fn line(&self, mark: char, stage: &StageId, text: &str) {
        let width = self.widest;
        let line = format!("{mark} {:width$}  {text}", stage.as_str());
        match &self.bars {
            // A line that went out is above the bars, not through them.
            Some(bars) => bars.suspend(|| say(&line)),
            None => say(&line),
        }
    }

    fn total(&self, stage: &StageId, unit: Unit, total: u64) {
        let Some(bars) = &self.bars else { return };
        let template = match unit {
            Unit::Rows => "  {prefix}  {bar:24} {human_pos}/{human_len} rows · {msg} · {eta} left",
            Unit::Bytes => "  {prefix}  {bar:24} {bytes}/{total_bytes} · {bytes_per_sec} · {eta} left",
        };
        let style = ProgressStyle::with_template(template).expect("the template is valid").progress_chars("━╸─");
        let bar = ProgressBar::new(total).with_style(style).with_prefix(format!("{:1$}", stage.as_str(), self.widest));
        let bar = bars.add(bar);
        bar.enable_steady_tick(Duration::from_millis(200));
        self.running.lock().unwrap_or_else(PoisonError::into_inner).insert(stage.clone(), bar);
    }

    fn advance(&self, stage: &StageId, by: u64, tally: &Tally) {
        if let Some(bar) = self.running.lock().unwrap_or_else(PoisonError::into_inner).get(stage) {
            let calls = tally.calls_made + tally.calls_cached;
            bar.set_message(format!("{} calls, {} cached", thousands(calls), thousands(tally.calls_cached)));
            bar.inc(by);
        }
    }

    fn finished(&self, run: &StageRun) {
        let bar = self.running.lock().unwrap_or_else(PoisonError::into_inner).remove(&run.id);
        if let Some(bar) = bar {
            bar.finish_and_clear();
        }
        match &run.end {
            StageEnd::Ran { receipt, complete } => {
                let tally = &receipt.tally;
                let mut parts: Vec<String> =
                    receipt.rows.map(|rows| format!("{} rows", thousands(rows))).into_iter().collect();
                let calls = tally.calls_made + tally.calls_cached;
                if calls > 0 {
                    parts.push(format!("{}/{} calls cached", thousands(tally.calls_cached), thousands(calls)));
                }
                if tally.rows_failed > 0 {
                    parts.push(format!("{} rows without an answer", thousands(tally.rows_failed)));
                }
                if tally.rows_ungraded > 0 {
                    parts.push(format!("{} rows ungraded", thousands(tally.rows_ungraded)));
                }
                parts.push(duration(tally.wall_ms));
                if !complete {
                    parts.push("not kept: run again to ask what is missing".to_owned());
                }
                self.line('✓', &run.id, &parts.join(" · "));
            }
            StageEnd::Failed(failure) => self.line('✗', &run.id, &failure.message),
            StageEnd::Skipped { because } => self.line('-', &run.id, &format!("skipped: reads `{because}`")),
            StageEnd::Cached(_) => self.line('=', &run.id, "made by another run meanwhile"),
            StageEnd::Interrupted => {}
        }
    }
}
