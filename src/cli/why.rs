//! `evalflow why FILE STAGE[#SCENARIO]`

use std::path::PathBuf;

use serde_json::{Value, json};
use similar::TextDiff;

use super::exit::Exit;
use super::figures;
use super::open;
use super::output::{data, failure, json as print_json};
use super::plan::change_json;
use super::selection;
use super::settings::Settings;
use crate::engine::Message;
use crate::ids::StageId;
use crate::key::FieldChange;
use crate::plan::{
    self, Against, Baseline, Cause, ChangedRows, Explained, Graph, Reason, Reply, RowNow, RowThen, Rows, Selection,
    Source, Status, Why, WhyCall, WhyError, WhyRow, WhyRowError, why, why_row,
};
use crate::spec::Loaded;

/// Lines around a change that are shown with it.
const CONTEXT: usize = 2;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Pipeline file
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// A stage, or one of its rows: `answers#sleep/waking/terse`
    #[arg(value_name = "STAGE[#SCENARIO]")]
    subject: String,
    /// Compare with this run, or with the pipeline's `lock` [default: the newest run in which the stage was another]
    #[arg(long, value_name = "RUN|lock", value_parser = named)]
    against: Option<Named>,
    /// Print the answer as JSON
    #[arg(long)]
    json: bool,
}

/// What somebody wants to compare with.
#[derive(Debug, Clone, Copy)]
enum Named {
    Run(u64),
    Lock,
}

fn named(text: &str) -> Result<Named, String> {
    match text {
        "lock" => Ok(Named::Lock),
        _ => text.parse().map(Named::Run).map_err(|_| "write the number of a run, or `lock`".to_owned()),
    }
}

pub(super) fn execute(settings: &Settings, arguments: &Arguments) -> Result<Exit, Exit> {
    let Loaded { pipeline, warnings: _ } = open::pipeline(settings, &arguments.file)?;
    let (stage, scenario) = match arguments.subject.split_once('#') {
        Some((stage, scenario)) => (stage, Some(scenario)),
        None => (arguments.subject.as_str(), None),
    };
    let id = selection::stage(&pipeline, stage)?;
    let lock = match arguments.against {
        Some(Named::Lock) => Some(open::lock_needed(&pipeline)?),
        Some(Named::Run(_)) | None => None,
    };
    let baseline = match (arguments.against, &lock) {
        (_, Some(lock)) => Baseline::Lock(lock),
        (Some(Named::Run(number)), None) => Baseline::Run(number),
        (Some(Named::Lock) | None, None) => Baseline::Newest,
    };
    let store = open::store(settings, &pipeline.root)?;
    let pipeline = match &lock {
        Some(lock) => plan::locked_course(&pipeline, lock).pipeline,
        None => plan::course(&pipeline, &store, &Selection { only: vec![id.clone()], ..Selection::default() }).pipeline,
    };
    let graph = Graph::new(&pipeline);
    let failed = |message: String, help: String, bad_input: bool| {
        failure(&message, Some(&help));
        if bad_input { Exit::BadInput } else { Exit::Failed }
    };
    let (text, value) = match scenario {
        None => {
            let found = why(&pipeline, &graph, &store, &id, baseline).map_err(|error| {
                let bad_input = is_bad_input(&error);
                failed(error.to_string(), error.help(), bad_input)
            })?;
            (stage_text(&found), stage_json(&found))
        }
        Some(scenario) => {
            let found = why_row(&pipeline, &graph, &store, &id, scenario, baseline).map_err(|error| {
                let bad_input = match &error {
                    WhyRowError::NoCalls { .. } | WhyRowError::NoScenario { .. } => true,
                    WhyRowError::Why(error) => is_bad_input(error),
                    WhyRowError::BadRow { .. } => false,
                };
                failed(error.to_string(), error.help(), bad_input)
            })?;
            (row_text(&found), row_json(&found))
        }
    };
    let written = if arguments.json {
        print_json(&value)
    } else {
        data(|out| out.write_all(text.join("\n").as_bytes()).and_then(|()| writeln!(out)))
    };
    if written { Ok(Exit::Ok) } else { Err(Exit::Failed) }
}

fn is_bad_input(error: &WhyError) -> bool {
    match error {
        WhyError::NoRun { .. } | WhyError::NotLocked { .. } => true,
        WhyError::Plan(_) | WhyError::Store(_) => false,
    }
}

fn time(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds)
        .map_or_else(|_| seconds.to_string(), |time| time.strftime("%Y-%m-%d %H:%M UTC").to_string())
}

fn against_text(against: &Against) -> String {
    match against.source {
        Source::Run { number, started_at } => format!("compared with run {number} of {}", time(started_at)),
        Source::LastStart => "compared with what it was when it last started".to_owned(),
        Source::Lock => "compared with the lock".to_owned(),
    }
}

fn stage_text(why: &Why) -> Vec<String> {
    let Why { stage, kind, status, against, explained } = why;
    let state = match status {
        Status::Cached(receipt) => format!("cached, made {}", time(receipt.created_at)),
        Status::Run(Reason::Changed(_)) => "would run, because it changed".to_owned(),
        Status::Run(Reason::Waits(read)) => format!("waits for `{read}`, which would run"),
        Status::Run(
            reason @ (Reason::New
            | Reason::Incomplete
            | Reason::Lost
            | Reason::Forced
            | Reason::Fetches
            | Reason::GoesOn
            | Reason::BackupDue),
        ) => {
            format!("would run: {reason}")
        }
        Status::Left | Status::Blocked(_) => unreachable!("everything is selected"),
    };
    let mut lines = vec![format!("{stage} ({kind}): {state}")];
    match against {
        Some(against) => {
            lines.push(against_text(against));
            explained_text(explained, 1, &mut lines);
            if has_digests(explained) {
                lines
                    .push("what the lock names is not in the store any more, so old values cannot be shown".to_owned());
            }
        }
        None if *status == Status::Run(Reason::New) => {}
        None if matches!(status, Status::Run(Reason::Waits(_))) => lines.push("never run".to_owned()),
        None => lines.push("nothing earlier to compare with".to_owned()),
    }
    lines
}

fn explained_text(explained: &Explained, depth: usize, lines: &mut Vec<String>) {
    let Explained { changes, digests, causes, unknown } = explained;
    let indent = "  ".repeat(depth);
    for change in changes {
        lines.push(format!("{indent}~ {}", figures::change(change)));
    }
    digests_text(digests, &indent, lines);
    for cause in causes {
        cause_text(cause, depth, lines);
    }
    if *unknown {
        lines.push(format!("{indent}the rest is not known before that has run"));
    } else if changes.is_empty() && digests.is_empty() && causes.is_empty() {
        lines.push(format!("{indent}no field changed"));
    }
}

/// Fields of which only a lock knows that they were another.
fn digests_text(digests: &[String], indent: &str, lines: &mut Vec<String>) {
    for field in digests {
        lines.push(format!("{indent}~ {field}: not what the lock says"));
    }
}

/// Whether somewhere only a lock knows what a field was.
fn has_digests(explained: &Explained) -> bool {
    let Explained { changes: _, digests, causes, unknown: _ } = explained;
    !digests.is_empty() || causes.iter().filter_map(|cause| cause.explained.as_ref()).any(has_digests)
}

fn cause_text(cause: &Cause, depth: usize, lines: &mut Vec<String>) {
    let Cause { input, stage, unsettled, rows, explained } = cause;
    let indent = "  ".repeat(depth);
    let what = match rows {
        Some(rows) => rows_text(rows),
        None if *unsettled => format!("not there yet: `{stage}` has to run first"),
        None => "others".to_owned(),
    };
    lines.push(format!("{indent}~ its `{input}`: {what}"));
    match explained {
        Some(explained) if *explained == Explained::default() => {
            let why = if *unsettled { "no field of it changed" } else { "no field of it changed: other replies came" };
            lines.push(format!("{indent}  `{stage}`: {why}"));
        }
        Some(explained) => {
            lines.push(format!("{indent}  because in `{stage}`:"));
            explained_text(explained, depth + 2, lines);
        }
        None => lines.push(format!("{indent}  what `{stage}` was before is not known")),
    }
}

fn rows_text(rows: &ChangedRows) -> String {
    let ChangedRows { added, removed, changed, same } = rows;
    let mut parts = Vec::new();
    for (rows, what) in [(changed, "changed"), (added, "added"), (removed, "removed")] {
        let Rows { number, scenarios } = rows;
        if *number > 0 {
            let more = if *number > scenarios.len() as u64 { ", …" } else { "" };
            parts.push(format!("{} {what} ({}{more})", figures::rows(*number), scenarios.join(", ")));
        }
    }
    if parts.is_empty() {
        return format!("the same {} in another order", figures::rows(*same));
    }
    format!("{}, {} the same", parts.join(", "), crate::stats::text::thousands(*same))
}

fn row_text(why: &WhyRow) -> Vec<String> {
    let WhyRow { stage, kind, scenario, against, then, now, changes, digests, calls } = why;
    let mut lines = vec![format!("{stage}#{scenario} ({kind})")];
    lines.push(match against {
        Some(against) => against_text(against),
        None => "nothing earlier to compare with".to_owned(),
    });
    for change in changes {
        lines.push(format!("  ~ {}", figures::change(change)));
    }
    digests_text(digests, "  ", &mut lines);
    match then {
        RowThen::Known => {}
        RowThen::OnlyDigests => {
            let what = "neither old values nor old prompts can be shown";
            lines.push(format!("  what the lock names is not in the store any more, so {what}"));
        }
        RowThen::NoTable => {
            lines.push(
                "  the table it was made of is not in the store any more: its prompts then cannot be shown".to_owned(),
            );
        }
    }
    if let RowNow::Waits(stage) = now {
        lines.push(format!("  it depends on a reply that `{stage}` has yet to get"));
    }
    let waits = matches!(now, RowNow::Waits(_));
    // Before the row is there, all that can be told of a criterion is that its fields changed.
    for call in calls.iter().filter(|call| !waits || !call.changes.is_empty() || call.new.is_some()) {
        call_text(call, against.is_some() && *then == RowThen::Known, waits, &mut lines);
    }
    if calls.is_empty() && *now == RowNow::There {
        lines.push("  nothing is asked about it".to_owned());
    }
    lines
}

fn call_text(call: &WhyCall, compared: bool, waits: bool, lines: &mut Vec<String>) {
    let WhyCall { criterion, judge, old, new, changes, reply } = call;
    let heading = match (criterion, judge) {
        (Some(criterion), Some(judge)) => Some(format!("{criterion}, asked of `{judge}`")),
        (Some(criterion), None) => Some(criterion.to_string()),
        (None, Some(judge)) => Some(format!("asked of `{judge}`")),
        (None, None) => None,
    };
    let indent = if let Some(heading) = heading {
        lines.push(format!("  {heading}"));
        "    "
    } else {
        "  "
    };
    for change in changes {
        lines.push(format!("{indent}~ {}", figures::change(change)));
    }
    if compared && old.is_none() && new.is_some() {
        lines.push(format!("{indent}was not asked before"));
    }
    let mut said = |role: &str, text: &str| {
        lines.push(format!("{indent}{role}:"));
        lines.extend(text.lines().map(|line| format!("{indent}  {line}").trim_end().to_owned()));
    };
    match (old, new) {
        (_, None) if waits => return,
        (Some(_), None) => lines.push(format!("{indent}is not asked any more")),
        (Some(old), Some(new)) => {
            let differences = differences(old, new);
            differences.iter().for_each(|(role, diff)| said(role, diff));
            if differences.is_empty() {
                lines.push(format!("{indent}its prompt is the same"));
            }
        }
        (None, Some(new)) => new.iter().for_each(|message| said(message.role.as_str(), &message.content)),
        (None, None) => {}
    }
    match reply {
        Some(Reply::Kept(at)) => lines.push(format!("{indent}its reply is in the store, made {}", time(*at))),
        Some(Reply::Missing) => lines.push(format!("{indent}its reply is not in the store: a run asks for it")),
        None if new.is_some() => lines.push(format!("{indent}its model is not there yet, so a run asks for it")),
        None => {}
    }
}

/// The messages that are not the same, by who speaks, as unified diffs.
fn differences(old: &[Message], new: &[Message]) -> Vec<(&'static str, String)> {
    let mut roles: Vec<&'static str> = Vec::new();
    for message in new.iter().chain(old) {
        if !roles.contains(&message.role.as_str()) {
            roles.push(message.role.as_str());
        }
    }
    let said = |messages: &[Message], role: &str| {
        let of_role = messages.iter().filter(|message| message.role.as_str() == role);
        of_role.map(|message| format!("{}\n", message.content)).collect::<String>()
    };
    let diff = |role: &&'static str| {
        let (old, new) = (said(old, role), said(new, role));
        let text = TextDiff::from_lines(&old, &new).unified_diff().context_radius(CONTEXT).to_string();
        (old != new).then_some((*role, text))
    };
    roles.iter().filter_map(diff).collect()
}

fn against_json(against: Option<&Against>) -> Value {
    match against {
        None => Value::Null,
        Some(Against { source, key }) => {
            let (from, run, started_at) = match source {
                Source::Run { number, started_at } => ("run", Some(number), Some(started_at)),
                Source::LastStart => ("last_start", None, None),
                Source::Lock => ("lock", None, None),
            };
            json!({ "from": from, "run": run, "started_at": started_at, "key": key })
        }
    }
}

fn changes_json(changes: &[FieldChange]) -> Vec<Value> {
    changes.iter().map(change_json).collect()
}

fn stage_json(why: &Why) -> Value {
    let Why { stage, kind, status, against, explained } = why;
    let (status, reason, waits): (_, _, Option<&StageId>) = match status {
        Status::Cached(_) => ("cached", None, None),
        Status::Run(Reason::Waits(read)) => ("run", Some(Reason::Waits(read.clone()).to_string()), Some(read)),
        Status::Run(reason) => ("run", Some(reason.to_string()), None),
        Status::Left | Status::Blocked(_) => unreachable!("everything is selected"),
    };
    json!({
        "stage": stage, "kind": kind, "status": status, "reason": reason, "waits_for": waits,
        "against": against_json(against.as_ref()), "explained": explained_json(explained),
    })
}

fn explained_json(explained: &Explained) -> Value {
    let Explained { changes, digests, causes, unknown } = explained;
    let cause = |cause: &Cause| {
        let Cause { input, stage, unsettled, rows, explained } = cause;
        json!({
            "input": input, "stage": stage, "settled": !unsettled, "rows": rows,
            "explained": explained.as_ref().map(explained_json),
        })
    };
    json!({
        "changes": changes_json(changes), "digests": digests,
        "causes": causes.iter().map(cause).collect::<Vec<_>>(), "complete": !unknown,
    })
}

fn row_json(why: &WhyRow) -> Value {
    let WhyRow { stage, kind, scenario, against, then, now, changes, digests, calls } = why;
    let then = match then {
        RowThen::Known => "known",
        RowThen::OnlyDigests => "only_digests",
        RowThen::NoTable => "no_table",
    };
    let waits = match now {
        RowNow::There => None,
        RowNow::Waits(stage) => Some(stage),
    };
    let call = |call: &WhyCall| {
        let WhyCall { criterion, judge, old, new, changes, reply } = call;
        let (kept, made_at) = match reply {
            Some(Reply::Kept(at)) => (Some(true), Some(at)),
            Some(Reply::Missing) => (Some(false), None),
            None => (None, None),
        };
        let mut shown = json!({
            "criterion": criterion, "old": old, "new": new, "changes": changes_json(changes), "reply_in_store": kept,
            "reply_made_at": made_at,
        });
        if let Some(judge) = judge {
            shown["judge"] = json!(judge);
        }
        shown
    };
    json!({
        "stage": stage, "kind": kind, "scenario": scenario, "against": against_json(against.as_ref()),
        "then": then, "waits_for": waits, "changes": changes_json(changes), "digests": digests, "calls": calls.iter().map(call).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Role;

    #[test]
    fn only_messages_that_differ_are_shown() {
        let old = [Message::new(Role::System, "a\nb"), Message::new(Role::User, "hi")];
        let new = [Message::new(Role::System, "a\nc"), Message::new(Role::User, "hi")];
        let expected = "@@ -1,2 +1,2 @@\n a\n-b\n+c\n".to_owned();
        assert_eq!(differences(&old, &new), [("system", expected)]);
        assert_eq!(differences(&old, &old), []);
        let gone = "@@ -1,2 +0,0 @@\n-a\n-b\n".to_owned();
        assert_eq!(differences(&old, &old[1..]), [("system", gone)]);
    }
}
