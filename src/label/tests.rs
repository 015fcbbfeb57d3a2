//! Labelling and reviewing hand-made rows.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use super::*;
use crate::data::{Example, Grade, Judged, Origin, Review, ReviewVerdict, Scenario, Verdict, VerdictKind};
use crate::ids::{ScenarioId, StageId};
use crate::spec::{Calibrate, ClusterBy, Floor, Label, LabelLine, LabelOf, LabelVerdict, Rubric};
use crate::stage::calibrate::reply_digest;
use LabelVerdict::{Fail, NotApplicable, Pass};

fn rubric() -> Rubric {
    let criterion = |id: &str, when: Option<&str>| {
        json!({
            "id": id, "weight": 1.0, "critical": false, "when": when,
            "ask": { "question": { "text": format!("{id}?"), "allow_not_applicable": true, "pass_examples": [], "fail_examples": [] } },
        })
    };
    serde_json::from_value(json!({
        "name": "r", "pass": { "score": 1.0, "min_applicable": 0.0 },
        "criteria": [criterion("kind", None), criterion("long", Some("scenario.style == 'long'"))],
    }))
    .unwrap()
}

/// The judge passes what is named so.
fn row(id: &str) -> Judged {
    let passes = id.starts_with("pass");
    let kind = if passes { VerdictKind::Pass } else { VerdictKind::Fail };
    let verdict = |criterion: &crate::spec::Criterion| Verdict {
        criterion: criterion.id.clone(),
        verdict: kind,
        critical: false,
        evidence: String::new(),
        reason: "the judge's reason".to_owned(),
        quote: None,
        votes: None,
        pass_probability: None,
        level: None,
        panel: BTreeMap::new(),
    };
    Judged {
        scenario: Scenario {
            id: ScenarioId::new(id).unwrap(),
            topic: "t".to_owned(),
            subtopic: None,
            style: if id.ends_with("long") { "long" } else { "terse" }.to_owned(),
            axes: BTreeMap::new(),
            tags: Vec::new(),
            edge_case: false,
            opening: format!("opening {id}"),
            reference: None,
            origin: Origin::Authored,
            written: None,
            near_duplicate: None,
        },
        repetition: 0,
        reply: Some(format!("=reply to {id}")),
        failure: None,
        verdicts: rubric().criteria.iter().map(verdict).collect(),
        score: Some(1.0),
        grade: if passes { Grade::Pass } else { Grade::Fail },
    }
}

fn rows(passed: usize, failed: usize) -> Vec<Judged> {
    let passed = (0..passed).map(|at| row(&format!("pass/{at}")));
    passed.chain((0..failed).map(|at| row(&format!("fail/{at}")))).collect()
}

fn pool(rows: &[Judged], labels: Vec<Label>) -> Pool {
    let calibrate = Calibrate {
        verdicts: StageId::new("verdicts").unwrap(),
        beside: None,
        gold: "gold.jsonl".into(),
        labels,
        floor: Floor::default(),
        confidence: 0.95,
    };
    let mut pool = Pool::new(&calibrate, &rubric(), &ClusterBy::Topic, 1);
    rows.iter().for_each(|row| pool.add(row.clone()));
    pool.complete()
}

/// What a gold file with these lines says.
fn holding(lines: &[LabelLine]) -> Vec<Label> {
    let mut labels: BTreeMap<LabelOf, LabelVerdict> = BTreeMap::new();
    for line in lines {
        match line.verdict {
            Some(verdict) => labels.insert(line.of(), verdict),
            None => labels.remove(&line.of()),
        };
    }
    labels.into_iter().map(|(of, verdict)| Label { of, verdict }).collect()
}

/// Labels by one person until nothing is left or so many replies are, by the truth that `truth` tells of a scenario.
fn labelled(
    rows: &[Judged],
    before: &[LabelLine],
    who: &str,
    most: usize,
    truth: impl Fn(&str) -> LabelVerdict,
) -> Vec<LabelLine> {
    let mut session = Session::new(pool(rows, holding(before)), who, None);
    let mut lines = before.to_vec();
    for _ in 0..most {
        let Some(question) = session.question() else { break };
        lines.extend(session.press(Key::Verdict(truth(&question.scenario))));
    }
    lines
}

fn counts(lines: &[LabelLine]) -> (usize, usize) {
    let passed = lines.iter().filter(|line| line.scenario.as_str().starts_with("pass")).count();
    (passed, lines.len() - passed)
}

#[test]
fn both_grades_are_learned_of_before_either_much() {
    let rows = rows(300, 40);
    assert_eq!(counts(&labelled(&rows, &[], "al", 30, |_| Pass)), (15, 15));
    // Of the judge's failures, all are failures, and of its passes every third: labels of these teach more.
    let truth = |scenario: &str| match scenario.strip_prefix("pass/").map(|at| at.parse::<u32>().unwrap() % 3) {
        None | Some(0) => Fail,
        Some(_) => Pass,
    };
    let (passed, failed) = counts(&labelled(&rows, &[], "al", 80, truth));
    assert!(passed > 3 * failed && failed >= 15, "{passed} {failed}");
    // Where one grade has no more replies, the other goes on.
    assert_eq!(counts(&labelled(&rows[..310], &[], "al", 60, |_| Pass)), (50, 10));
}

#[test]
fn the_order_is_random_and_the_same_each_time() {
    let rows = rows(40, 40);
    let order = |rows: &[Judged]| {
        labelled(rows, &[], "al", 40, |_| Pass).iter().map(|line| line.scenario.to_string()).collect::<Vec<_>>()
    };
    let mut turned = rows.clone();
    turned.reverse();
    assert_eq!(order(&rows), order(&turned), "whatever the order of rows");
    let sorted: BTreeSet<String> = order(&rows).into_iter().collect();
    assert_ne!(order(&rows), sorted.into_iter().collect::<Vec<_>>());
}

#[test]
fn a_session_goes_on_where_the_file_ends() {
    let rows = [row("pass/a/long"), row("pass/b/long"), row("fail/c")];
    let whole = labelled(&rows, &[], "al", 9, |_| Pass);
    assert_eq!(whole.len(), 5, "the condition holds for two of them");
    for part in 0..whole.len() {
        let resumed = labelled(&rows, &whole[..part], "al", 9, |_| Pass);
        assert_eq!(holding(&resumed), holding(&whole), "{part}");
        if let (Some(last), Some(next)) = (whole[..part].last(), resumed.get(part)) {
            let is_begun = last.criterion.as_str() == "kind" && last.scenario.as_str().ends_with("long");
            assert!(!is_begun || next.scenario == last.scenario, "a reply that was begun is finished first");
        }
    }
}

#[test]
fn keys() {
    let rows = [row("pass/a"), row("fail/b")];
    let mut session = Session::new(pool(&rows, Vec::new()), "al", Some("2026-01-01".to_owned()));
    let first = session.question().unwrap();
    assert_eq!((first.number, first.of, first.asks.as_str()), (1, 1, "kind?"));
    assert_eq!(session.press(Key::Note("hm".to_owned())), None);
    assert_eq!(session.question().unwrap().note.as_deref(), Some("hm"));
    let line = session.press(Key::Verdict(NotApplicable)).unwrap();
    assert_eq!(
        (line.note.as_deref(), line.date.as_deref(), line.verdict),
        (Some("hm"), Some("2026-01-01"), Some(NotApplicable))
    );
    assert_eq!(line.reply, reply_digest(&first.reply));
    assert_ne!(session.question().unwrap().scenario, first.scenario);
    let withdrawn = session.press(Key::Undo).unwrap();
    assert!(withdrawn.withdrawn && withdrawn.verdict.is_none() && withdrawn.of() == line.of());
    assert_eq!(session.question().unwrap().scenario, first.scenario, "it is asked again");
    assert_eq!(session.press(Key::Undo), None, "there is nothing before it");
    session.press(Key::Skip);
    assert_ne!(session.question().unwrap().scenario, first.scenario);
    session.press(Key::Verdict(Pass));
    assert_eq!((session.question(), session.made()), (None, 1));
}

#[test]
fn a_second_person_labels_a_fifth_again() {
    let rows = rows(100, 100);
    let first = labelled(&rows, &[], "al", 40, |_| Pass);
    let mut session = Session::new(pool(&rows, holding(&first)), "bo", None);
    let known: BTreeSet<String> = first.iter().map(|line| line.scenario.to_string()).collect();
    let mut again = Vec::new();
    for _ in 0..20 {
        let question = session.question().unwrap();
        again.push(known.contains(&question.scenario));
        session.press(Key::Verdict(Fail));
    }
    let doubles = again.iter().filter(|again| **again).count();
    // A fifth of the 40 first, then every fifth of what is new.
    assert!(again[..8].iter().all(|again| *again) && (9..=11).contains(&doubles), "{again:?}");
    let progress = session.pool().progress();
    assert_eq!(progress.doubled, doubles as u64);
    let between = progress.between.unwrap();
    assert_eq!((between.items, between.pairs[0].agreed), (doubles as u64, 0));
}

#[test]
fn progress_tells_how_much_is_known() {
    let rows = rows(60, 60);
    let before = pool(&rows, Vec::new()).progress();
    assert_eq!((before.replies, before.half_width), (0, None));
    let at = |most: usize| pool(&rows, holding(&labelled(&rows, &[], "al", most, |_| Pass))).progress();
    let (few, many) = (at(10), at(80));
    assert_eq!((few.replies, many.replies), (10, 80));
    assert!(few.half_width.unwrap() > many.half_width.unwrap());
}

/// Topics that pass or fail as a whole leave open what no label on these replies tells.
#[test]
fn progress_is_that_of_the_decision() {
    let in_topics = |of: usize| -> Vec<Judged> {
        let with_topic = |(at, mut row): (usize, Judged)| {
            row.scenario.topic = format!("topic-{}", at / of);
            row
        };
        rows(60, 60).into_iter().enumerate().map(with_topic).collect()
    };
    let known = |rows: &[Judged]| {
        let labels = labelled(rows, &[], "al", 40, |id| if id.starts_with("pass") { Pass } else { Fail });
        pool(rows, holding(&labels)).progress().half_width.unwrap()
    };
    let (alone, together) = (known(&in_topics(1)), known(&in_topics(12)));
    assert!(together > 2.0 * alone && together > 0.2, "{alone} {together}");
}

#[test]
fn replies_without_a_grade_are_not_offered() {
    let mut rows = rows(1, 1);
    rows.push(Judged { grade: Grade::Ungraded, ..row("pass/open") });
    rows.push(Judged { grade: Grade::Invalid, ..row("pass/void") });
    rows.push(Judged { reply: None, ..row("fail/silent") });
    assert_eq!(pool(&rows, Vec::new()).len(), 2);
}

fn sheet(pool: &Pool, form: Sheet) -> String {
    String::from_utf8(export(pool, "al", 2, form)).unwrap()
}

#[test]
fn sheets_go_out_blind_and_come_back() {
    let rows = [row("pass/a/long"), row("pass/b"), row("fail/c")];
    let pool_of = |labels| pool(&rows, labels);
    let text = sheet(&pool_of(Vec::new()), Sheet::Csv);
    assert!(!text.contains("judge") && text.contains(",'=reply to"), "{text}");
    let lines: Vec<&str> = text.lines().collect();
    let filled: Vec<String> = lines[1..]
        .iter()
        .zip(["P", "not_applicable", ""])
        .map(|(line, verdict)| line.replacen(",,", &format!(",{verdict},"), 1))
        .collect();
    let back = |text: &str, labels| import(&pool_of(labels), "al", None, text.as_bytes(), Sheet::Csv);
    let full = format!("\u{feff}{}\n{}\n", lines[0], filled.join("\n"));
    let imported = back(&full, Vec::new()).unwrap();
    let expected = filled.len().min(2);
    assert_eq!(
        (imported.new, imported.changed, imported.known, imported.blank),
        (expected, 0, 0, filled.len() - expected)
    );
    assert_eq!(imported.lines[0].verdict, Some(Pass));
    let known = holding(&imported.lines);
    assert_eq!(back(&full, known.clone()).unwrap().known, expected);
    let changed = back(&full.replacen(",P,", ",fail,", 1), known).unwrap();
    assert_eq!((changed.changed, changed.lines.len()), (1, 2), "the earlier label is withdrawn first");
    assert!(changed.lines[0].withdrawn && changed.lines[1].verdict == Some(Fail));
    let problems = back(&full.replacen(",P,", ",perhaps,", 1).replacen("kind", "kindd", 2), Vec::new()).unwrap_err();
    assert!(!problems.is_empty() && problems.iter().all(|problem| problem.line > 1), "{problems:?}");
    let twice = format!("{full}{}\n", filled[0]);
    assert!(back(&twice, Vec::new()).unwrap_err()[0].message.contains("again"));
}

#[test]
fn sheets_of_lines_hold_the_same() {
    let rows = [row("pass/a"), row("fail/c")];
    let pool = pool(&rows, Vec::new());
    let text = sheet(&pool, Sheet::Lines).replace("\"verdict\":\"\"", "\"verdict\":\"f\",\"note\":\"cold\"");
    let text = text.replace(",\"note\":\"\"", "");
    let imported = import(&pool, "al", Some("2026-01-01"), text.as_bytes(), Sheet::Lines).unwrap();
    assert_eq!((imported.new, imported.lines[0].note.as_deref()), (2, Some("cold")));
    assert_eq!(import(&pool, "al", None, b"{", Sheet::Lines).unwrap_err()[0].line, 1);
}

fn decision(best: &str, worst: &str) -> crate::data::Decision {
    let decide = crate::spec::Decide {
        verdicts: StageId::new("verdicts").unwrap(),
        deploy: 0.7,
        fine_tune: 0.5,
        confidence: 0.95,
        max_ungraded: 0.05,
        gate: None,
        gates: Vec::new(),
        answers: None,
        answers_of_bases: BTreeMap::new(),
        cluster: ClusterBy::Nothing,
        target: crate::spec::Target::Population,
        seed: 0,
        calibration: None,
        votes: crate::spec::Votes::Majority,
        sequential: None,
        backup: None,
    };
    let example = |id: &str| Example {
        scenario: ScenarioId::new(id).unwrap(),
        repetition: 0,
        opening: String::new(),
        reply: String::new(),
        score: 0.5,
        failed: Vec::new(),
    };
    let mut decision = crate::stage::decide::Tally::new(&decide, &rubric()).finish();
    decision.best = vec![example(best)];
    decision.worst = vec![example(worst)];
    decision
}

#[test]
fn a_review_is_of_the_ends_and_of_some_at_random() {
    let rows = rows(30, 3);
    let mut drawing = Reviewing::new(&decision("pass/1", "fail/1"), 1);
    rows.iter().for_each(|row| drawing.add(row));
    let sheet = drawing.sheet();
    let whys: Vec<&str> = sheet.iter().map(|reviewed| reviewed.why).collect();
    assert_eq!(whys[..2], ["among the worst", "among the best"]);
    assert_eq!(whys.iter().filter(|why| **why == "failed, at random").count(), 2);
    assert_eq!(whys.iter().filter(|why| **why == "passed, at random").count(), 7);
    assert_eq!(sheet.iter().map(|reviewed| &reviewed.scenario).collect::<BTreeSet<_>>().len(), sheet.len());

    // Where the decision comes with a sheet, that is it.
    let mut with_sheet = decision("pass/1", "fail/1");
    let item = |id: &str, why: &str| {
        json!({
            "scenario": id, "why": why, "topic": "t", "style": "terse", "opening": "", "reply": "", "digest": "", "score": 1.0,
            "passed": true, "failed": [],
        })
    };
    let items = [item("pass/3", "sample"), item("fail/2", "worst"), item("pass/2", "borderline")];
    with_sheet.review_sheet = serde_json::from_value(json!({ "seed": 1, "items": items })).unwrap();
    let mut laid_out = Reviewing::new(&with_sheet, 1);
    rows.iter().for_each(|row| laid_out.add(row));
    let found = laid_out.sheet();
    let found: Vec<_> = found.iter().map(|reviewed| (reviewed.scenario.as_str(), reviewed.why)).collect();
    let expected = [("pass/3", "drawn at random"), ("fail/2", "among the worst"), ("pass/2", "near the pass rule")];
    assert_eq!(found, expected);

    let mut session = ReviewSession::new(sheet.clone(), &[], "al", "0123", None);
    let mut lines: Vec<Review> = Vec::new();
    lines.extend(session.verdict(ReviewVerdict::Ok));
    session.comment("too cold");
    lines.extend(session.verdict(ReviewVerdict::NotOk));
    lines.extend(session.verdict(ReviewVerdict::Ok));
    lines.extend(session.undo());
    session.skip();
    assert_eq!(session.made(), 2);
    let by = reviewed_by(&lines, "0123");
    assert_eq!((by[0].ok, by[0].reviewed, by[0].not_ok[0].comment.as_deref()), (1, 2, Some("too cold")));
    assert!(reviewed_by(&lines, "4567").is_empty(), "reviews of other verdicts");
    let resumed = ReviewSession::new(sheet, &lines, "al", "0123", None);
    assert_eq!(resumed.question().map(|(_, number, ..)| number), Some(3));
}
