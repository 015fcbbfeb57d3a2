//! The replies that a person reads before a model is deployed: the worst, those on the edge, and a sample of each topic.
//!
//! Chosen while rows go by: memory does not grow with them. Their order decides nothing. Start at [`Sheet`].

use std::collections::BTreeMap;

use super::examples::{bounded, failed};
use crate::data::{Grade, Judged, ReviewItem, ReviewReason, ReviewSheet};
use crate::ids::ScenarioId;
use crate::key::BlobId;
use crate::spec::Rubric;
use crate::stats::Random;

/// The worst replies on a sheet.
const WORST: usize = 5;

/// The borderline replies on a sheet.
const BORDERLINE: usize = 5;

/// The replies on a sheet that are drawn at random, as evenly among topics as it goes.
const SAMPLE: usize = 12;

/// Topics of which replies are kept: all that some have may be on the sheet already.
const TOPICS: usize = 2 * SAMPLE;

/// Replies kept of a topic: some of them may be on the sheet already.
const OF_A_TOPIC: usize = 6;

/// Hexadecimal digits that name a reply.
const DIGEST: usize = 16;

/// What decides which replies are kept: a number, and among equals the scenario and which answer to it.
type Rank = (u64, ScenarioId, u32);

/// Chooses as rows go by.
#[derive(Debug)]
pub(super) struct Sheet {
    seed: u64,
    /// What the pass rule asks for, and how far one criterion moves a score.
    edge: f64,
    reach: f64,
    worst: Lowest,
    borderline: Lowest,
    /// Of so many topics at most, drawn by the number that they are kept under.
    topics: BTreeMap<(u64, String), Lowest>,
}

/// The few items of the lowest rank.
#[derive(Debug)]
struct Lowest {
    most: usize,
    items: Vec<(Rank, ReviewItem)>,
}

impl Lowest {
    fn new(most: usize) -> Self {
        Self { most, items: Vec::new() }
    }

    fn offer(&mut self, number: u64, row: &Judged, score: f64, why: ReviewReason) {
        let is_before =
            |(rank, _): &(Rank, ReviewItem)| (rank.0, &rank.1, rank.2) < (number, &row.scenario.id, row.repetition);
        let at = self.items.iter().take_while(|item| is_before(item)).count();
        if at < self.most {
            self.items.truncate(self.most - 1);
            self.items.insert(at, ((number, row.scenario.id.clone(), row.repetition), item(row, score, why)));
        }
    }
}

fn item(row: &Judged, score: f64, why: ReviewReason) -> ReviewItem {
    let reply = row.reply.as_deref().unwrap_or_default();
    ReviewItem {
        scenario: row.scenario.id.clone(),
        repetition: row.repetition,
        why,
        topic: row.scenario.topic.clone(),
        style: row.scenario.style.clone(),
        opening: bounded(&row.scenario.opening),
        reply: bounded(reply),
        digest: BlobId::of(reply.as_bytes()).to_string()[..DIGEST].to_owned(),
        score,
        passed: row.grade == Grade::Pass,
        failed: failed(row),
    }
}

impl Sheet {
    pub(super) fn new(seed: u64, rubric: &Rubric) -> Self {
        let weights = || rubric.criteria.iter().map(|criterion| criterion.weight);
        let whole: f64 = weights().sum();
        let reach = if whole > 0.0 { weights().fold(0.0, f64::max) / whole } else { 0.0 };
        Self {
            seed,
            edge: rubric.pass.score,
            reach,
            worst: Lowest::new(WORST),
            borderline: Lowest::new(BORDERLINE),
            topics: BTreeMap::new(),
        }
    }

    /// Offers a graded reply.
    pub(super) fn add(&mut self, row: &Judged, score: f64) {
        // Numbers from 0 on are in the order of their bits.
        if score < 1.0 || row.grade == Grade::Fail {
            self.worst.offer(score.max(0.0).to_bits(), row, score, ReviewReason::Worst);
        }
        let distance = (score - self.edge).abs();
        if distance <= self.reach {
            self.borderline.offer(distance.to_bits(), row, score, ReviewReason::Borderline);
        }
        let topic = &row.scenario.topic;
        let place = (draw(self.seed, &format!("topic {topic}")), topic.clone());
        let last = self.topics.last_key_value().filter(|_| self.topics.len() == TOPICS).map(|(last, _)| last.clone());
        if last.as_ref().is_some_and(|last| place > *last) {
            return;
        }
        if let Some(last) = last.filter(|_| !self.topics.contains_key(&place)) {
            self.topics.remove(&last);
        }
        let number = draw(self.seed, &format!("reply {} {}", row.scenario.id, row.repetition));
        let kept = self.topics.entry(place).or_insert_with(|| Lowest::new(OF_A_TOPIC));
        kept.offer(number, row, score, ReviewReason::Sample);
    }

    /// The sheet; each reply is on it once, for the first reason that it has.
    pub(super) fn finish(self) -> ReviewSheet {
        let mut items: Vec<ReviewItem> = Vec::new();
        let is_on = |items: &[ReviewItem], item: &ReviewItem| {
            items.iter().any(|other| (&other.scenario, other.repetition) == (&item.scenario, item.repetition))
        };
        for (_, item) in self.worst.items.into_iter().chain(self.borderline.items) {
            if !is_on(&items, &item) {
                items.push(item);
            }
        }
        let mut topics: Vec<_> = self.topics.into_values().map(|kept| kept.items.into_iter()).collect();
        let mut sample: Vec<ReviewItem> = Vec::new();
        while sample.len() < SAMPLE {
            let before = sample.len();
            for topic in &mut topics {
                let next = topic.map(|(_, item)| item).find(|item| !is_on(&items, item));
                sample.extend(next.filter(|_| sample.len() < SAMPLE));
            }
            if sample.len() == before {
                break;
            }
        }
        sample.sort_by(|a, b| (&a.topic, &a.scenario, a.repetition).cmp(&(&b.topic, &b.scenario, b.repetition)));
        items.extend(sample);
        ReviewSheet { seed: self.seed, items }
    }
}

fn draw(seed: u64, what: &str) -> u64 {
    Random::new(seed, what, 0).bits()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::data::{Outcome, VerdictKind};
    use crate::stage::decide::tests::{decide, row, rules};

    /// Two hundred rows of so many topics: one in forty fails, one in ten just passes.
    fn rows(topics: usize) -> Vec<Judged> {
        let row = |at: usize| {
            let (grade, score) = match at {
                _ if at % 40 == 7 => (Grade::Fail, 0.0),
                _ if at % 10 == 3 => (Grade::Pass, 0.5),
                _ => (Grade::Pass, 1.0),
            };
            let verdicts = [("a", VerdictKind::Pass), ("b", VerdictKind::Pass)];
            row(&format!("t{:03}/{at:03}", at % topics), "terse", grade, Some(score), &verdicts)
        };
        (0..200).map(row).collect()
    }

    fn sheet(rows: &[Judged], seed: u64) -> ReviewSheet {
        let decision = decide(&crate::spec::Decide { seed, ..rules(None) }, rows);
        assert_eq!(decision.outcome, Outcome::Deploy);
        decision.review_sheet.expect("it is to be reviewed")
    }

    #[test]
    fn each_reply_is_on_the_sheet_once_and_each_topic_in_the_sample() {
        let rows = rows(6);
        let sheet = sheet(&rows, 7);
        let of = |why| sheet.items.iter().filter(|item| item.why == why).collect::<Vec<_>>();
        let names: BTreeSet<_> = sheet.items.iter().map(|item| (&item.scenario, item.repetition)).collect();
        assert_eq!(names.len(), sheet.items.len());
        let [worst, edge, sample] = [ReviewReason::Worst, ReviewReason::Borderline, ReviewReason::Sample].map(of);
        assert_eq!((worst.len(), edge.len(), sample.len()), (5, 5, 12));
        assert!(worst.iter().all(|item| !item.passed) && edge.iter().all(|item| (item.score - 0.5).abs() < 1e-12));
        let mut topics: Vec<&str> = sample.iter().map(|item| item.topic.as_str()).collect();
        topics.dedup();
        assert_eq!(topics, ["t000", "t001", "t002", "t003", "t004", "t005"]);
        let first = &sheet.items[0];
        assert_eq!(first.digest, blake3::hash(first.reply.as_bytes()).to_hex().as_str()[..16]);
    }

    #[test]
    fn the_sample_depends_on_the_seed_and_not_on_the_order_of_rows() {
        for topics in [6, 90, 200] {
            let mut rows = rows(topics);
            let first = sheet(&rows, 7);
            assert_eq!(first.items.iter().filter(|item| item.why == ReviewReason::Sample).count(), 12);
            assert_ne!(first.items, sheet(&rows, 8).items);
            rows.reverse();
            assert_eq!(first, sheet(&rows, 7), "{topics}");
        }
    }

    #[test]
    fn a_small_suite_is_read_whole() {
        let rows = &rows(6)[..14];
        let sheet = sheet(&rows.iter().filter(|row| row.grade == Grade::Pass).cloned().collect::<Vec<_>>(), 0);
        assert_eq!(sheet.items.len(), 13);
    }
}
