//! Progress of a run on stderr: a bar a running stage on a terminal, lines otherwise. A journal is told again as the same
//! lines.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::output::{duration, say};
use crate::exec::{Cause, Entry, Event, Happened, Unit};
use crate::ids::StageId;
use crate::stats::text::thousands;
use crate::store::{Journal, Tally};

pub(super) struct Progress {
    bars: Option<MultiProgress>,
    running: Mutex<BTreeMap<StageId, Bar>>,
    journal: Mutex<Option<Journal>>,
    started: Instant,
    widest: usize,
}

struct Bar {
    bar: ProgressBar,
    since: Instant,
}

impl Progress {
    /// Progress of stages whose longest id has `widest` characters.
    pub(super) fn new(bars: bool, widest: usize, journal: Option<Journal>) -> Self {
        Self {
            bars: bars.then(MultiProgress::new),
            running: Mutex::default(),
            journal: Mutex::new(journal),
            started: Instant::now(),
            widest,
        }
    }

    pub(super) fn event(&self, event: &Event<'_>) {
        match event {
            Event::Total { stage, unit, total } => self.total(stage, *unit, *total),
            Event::Advanced { stage, by, tally } => self.advance(stage, *by, tally),
            Event::Finished { run } => self.clear(&run.id),
            Event::Cached { .. } | Event::Started { .. } | Event::Note { .. } => {}
        }
        let at_ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let Some(entry) = Entry::of(event, at_ms) else { return };
        let line = line(&entry, self.widest);
        match &self.bars {
            // A line that went out is above the bars, not through them.
            Some(bars) => bars.suspend(|| say(&line)),
            None => say(&line),
        }
        if let Some(journal) = self.journal.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            journal.line(&serde_json::to_string(&entry).expect("an entry is always valid JSON"));
        }
    }

    fn total(&self, stage: &StageId, unit: Unit, total: u64) {
        let Some(bars) = &self.bars else { return };
        // A transfer that begins anew is counted anew, in the same place.
        if let Some(Bar { bar, since: _ }) = self.running.lock().unwrap_or_else(PoisonError::into_inner).get(stage) {
            bar.set_length(total);
            bar.set_position(0);
            return;
        }
        let template = match unit {
            Unit::Bytes if total == 0 => "  {prefix}  {spinner} {bytes} · {bytes_per_sec}",
            Unit::Rows => "  {prefix}  {bar:24} {human_pos}/{human_len} rows · {msg} · {eta} left",
            Unit::Bytes => "  {prefix}  {bar:24} {bytes}/{total_bytes} · {bytes_per_sec} · {eta} left",
        };
        let style = ProgressStyle::with_template(template).expect("the template is valid").progress_chars("━╸─");
        let bar = ProgressBar::new(total).with_style(style).with_prefix(format!("{:1$}", stage.as_str(), self.widest));
        let bar = bars.add(bar);
        bar.enable_steady_tick(Duration::from_millis(200));
        let bar = Bar { bar, since: Instant::now() };
        self.running.lock().unwrap_or_else(PoisonError::into_inner).insert(stage.clone(), bar);
    }

    fn advance(&self, stage: &StageId, by: u64, tally: &Tally) {
        if let Some(Bar { bar, since }) = self.running.lock().unwrap_or_else(PoisonError::into_inner).get(stage) {
            bar.set_message(speed(tally, since.elapsed()));
            bar.inc(by);
        }
    }

    fn clear(&self, stage: &StageId) {
        let bar = self.running.lock().unwrap_or_else(PoisonError::into_inner).remove(stage);
        if let Some(Bar { bar, since: _ }) = bar {
            bar.finish_and_clear();
        }
    }
}

/// `1.4 calls/s · 96 tokens/s · 30 % cached`
fn speed(tally: &Tally, elapsed: Duration) -> String {
    let seconds = elapsed.as_secs_f64().max(0.001);
    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    let per_second = |count: u64| count as f64 / seconds;
    let calls = tally.calls_made + tally.calls_cached;
    if calls == 0 {
        return "no calls".to_owned();
    }
    let rate = |rate: f64| if rate < 10.0 { format!("{rate:.1}") } else { format!("{rate:.0}") };
    let mut parts = vec![format!("{} calls/s", rate(per_second(calls)))];
    if tally.calls_made > 0 {
        parts.push(format!("{} tokens/s", rate(per_second(tally.completion_tokens_made))));
    }
    parts.push(format!("{} % cached", tally.calls_cached * 100 / calls));
    parts.join(" · ")
}

/// A journal's entry as one line for people, stages' ids filled up to `widest` characters.
pub(super) fn line(entry: &Entry, widest: usize) -> String {
    let Entry { at_ms: _, stage, what } = entry;
    let rows = |rows: &Option<u64>| rows.map(|rows| format!(" · {} rows", thousands(rows))).unwrap_or_default();
    let (mark, text) = match what {
        Happened::Cached { rows: count } => ('=', format!("cached{}", rows(count))),
        Happened::Started { kind, cause, reason } => (mark(*cause), format!("{kind}: {reason}")),
        Happened::Note { text } => (' ', text.clone()),
        Happened::Ran { rows, tally, complete } => ('✓', ran(*rows, tally, *complete)),
        Happened::Confirmed => ('=', "came to what was there already".to_owned()),
        Happened::Failed { message } => ('✗', message.clone()),
        Happened::Skipped { because } => ('-', format!("skipped: reads `{because}`")),
    };
    format!("{mark} {:widest$}  {text}", stage.as_str())
}

/// The sign before a stage that runs: new, changed, or reading one that runs.
pub(super) fn mark(cause: Cause) -> char {
    match cause {
        Cause::New => '+',
        Cause::Changed => '~',
        Cause::Waits => '.',
    }
}

fn ran(rows: Option<u64>, tally: &Tally, complete: bool) -> String {
    let mut parts: Vec<String> = rows.map(|rows| format!("{} rows", thousands(rows))).into_iter().collect();
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
    parts.join(" · ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(tally: Tally, elapsed_ms: u64, expected: &str) {
        assert_eq!(speed(&tally, Duration::from_millis(elapsed_ms)), expected);
    }

    #[test]
    fn speed_is_told_in_calls_tokens_and_what_was_known() {
        check(Tally::default(), 1000, "no calls");
        let made = Tally { calls_made: 7, completion_tokens_made: 480, calls_cached: 3, ..Tally::default() };
        check(made, 5000, "2.0 calls/s · 96 tokens/s · 30 % cached");
        let known = Tally { calls_cached: 40, ..Tally::default() };
        check(known, 2000, "20 calls/s · 100 % cached");
        // No time has passed yet.
        check(Tally { calls_made: 1, ..Tally::default() }, 0, "1000 calls/s · 0.0 tokens/s · 0 % cached");
    }

    #[test]
    fn a_bar_has_rows_speed_and_what_is_left() {
        let stage = StageId::new("answers").unwrap();
        let progress = Progress::new(true, 9, None);
        progress.event(&Event::Total { stage: &stage, unit: Unit::Rows, total: 40 });
        let tally = Tally { calls_cached: 10, ..Tally::default() };
        progress.event(&Event::Advanced { stage: &stage, by: 10, tally });
        let running = progress.running.lock().unwrap();
        let bar = &running[&stage].bar;
        assert_eq!((bar.position(), bar.length()), (10, Some(40)));
        assert!(bar.message().ends_with("100 % cached"), "{}", bar.message());
    }
}
