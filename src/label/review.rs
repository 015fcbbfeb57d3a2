//! The qualitative review: a person reads some replies of a decision and says of each whether it may be given to somebody.
//!
//! Owns the sheet, the session and the sums. Unlike a label a review is not blind: what failed is shown, for the question is whether
//! that is what it is worth.

use std::collections::{BTreeMap, BTreeSet};

use crate::data::{
    Decision, Example, Grade, Judged, NotOk, Review, ReviewItem, ReviewReason, ReviewSheet, ReviewVerdict, ReviewedBy,
    VerdictKind,
};
use crate::ids::ScenarioId;
use crate::stats;

/// Replies of either grade that are drawn at random.
const AT_RANDOM: usize = 7;

/// A reply to be reviewed.
#[derive(Debug, Clone, PartialEq)]
pub struct Reviewed {
    /// Its scenario.
    pub scenario: ScenarioId,
    /// Which of several answers to it, from 0.
    pub repetition: u32,
    /// The first message.
    pub opening: String,
    /// The reply.
    pub reply: String,
    /// What failed, with the reason.
    pub failed: Vec<String>,
    /// Why it is on the sheet.
    pub why: &'static str,
}

type Place = (ScenarioId, u32);

/// Lays out the sheet of a review, row by row: the one that the decision comes with, or else its best and worst replies, and some of
/// either grade at random.
#[derive(Debug)]
pub struct Reviewing {
    seed: u64,
    /// Replies that are on it in any case, with their places on it.
    named: BTreeMap<Place, (usize, &'static str)>,
    found: BTreeMap<usize, Reviewed>,
    /// Whether others are drawn.
    draws: bool,
    random: [BTreeMap<(u64, Place), Reviewed>; 2],
}

impl Reviewing {
    /// The sheet for a decision; what is drawn depends on the seed alone.
    #[must_use]
    pub fn new(decision: &Decision, seed: u64) -> Self {
        let place = |example: &Example| (example.scenario.clone(), example.repetition);
        let best = decision.best.iter().map(|example| (place(example), "among the best"));
        let worst = decision.worst.iter().map(|example| (place(example), "among the worst"));
        let (all, draws): (Vec<(Place, &'static str)>, bool) = match &decision.review_sheet {
            Some(ReviewSheet { seed: _, items }) => (items.iter().map(on_sheet).collect(), false),
            // Worst first, so that a review that ends early has seen those.
            None => (worst.chain(best).collect(), true),
        };
        let mut named = BTreeMap::new();
        for (at, (place, why)) in all.into_iter().enumerate() {
            named.entry(place).or_insert((at, why));
        }
        Self { seed, named, found: BTreeMap::new(), draws, random: [BTreeMap::new(), BTreeMap::new()] }
    }

    /// Takes in one judged response.
    pub fn add(&mut self, row: &Judged) {
        let place = (row.scenario.id.clone(), row.repetition);
        let Some(reply) = &row.reply else { return };
        let failed = row.verdicts.iter().filter(|verdict| verdict.verdict == VerdictKind::Fail);
        let reviewed = |why| Reviewed {
            scenario: place.0.clone(),
            repetition: place.1,
            opening: row.scenario.opening.clone(),
            reply: reply.clone(),
            failed: failed.map(|verdict| format!("{}: {}", verdict.criterion, verdict.reason)).collect(),
            why,
        };
        if let Some((at, why)) = self.named.get(&place) {
            self.found.insert(*at, reviewed(why));
            return;
        }
        if !self.draws {
            return;
        }
        let (drawn, why) = match row.grade {
            Grade::Pass => (&mut self.random[1], "passed, at random"),
            Grade::Fail => (&mut self.random[0], "failed, at random"),
            Grade::Ungraded | Grade::Invalid => return,
        };
        let purpose = format!("review of {}", place.0);
        let bits = stats::Random::new(self.seed, &purpose, u64::from(place.1)).bits();
        if drawn.len() >= AT_RANDOM && drawn.last_key_value().is_some_and(|((last, _), _)| *last < bits) {
            return;
        }
        drawn.insert((bits, place.clone()), reviewed(why));
        if drawn.len() > AT_RANDOM {
            drawn.pop_last();
        }
    }

    /// The sheet, in its order.
    #[must_use]
    pub fn sheet(self) -> Vec<Reviewed> {
        let Self { seed: _, named: _, found, draws: _, random: [failed, passed] } = self;
        let mut sheet: Vec<Reviewed> = found.into_values().collect();
        sheet.extend(failed.into_values().chain(passed.into_values()));
        sheet
    }
}

fn on_sheet(item: &ReviewItem) -> (Place, &'static str) {
    let why = match item.why {
        ReviewReason::Worst => "among the worst",
        ReviewReason::Borderline => "near the pass rule",
        ReviewReason::Sample => "drawn at random",
    };
    ((item.scenario.clone(), item.repetition), why)
}

/// A review by one person.
#[derive(Debug)]
pub struct ReviewSession {
    sheet: Vec<Reviewed>,
    reviewer: String,
    /// The digits that name the table of verdicts.
    verdicts: String,
    date: Option<String>,
    at: usize,
    comment: Option<String>,
    made: Vec<(usize, Review)>,
    done: BTreeSet<Place>,
}

impl ReviewSession {
    /// Begins with the first reply that this person has not reviewed.
    #[must_use]
    pub fn new(sheet: Vec<Reviewed>, earlier: &[Review], reviewer: &str, verdicts: &str, date: Option<String>) -> Self {
        let done =
            holding(earlier, verdicts).into_keys().filter(|(who, _)| who == reviewer).map(|(_, place)| place).collect();
        let (reviewer, verdicts) = (reviewer.to_owned(), verdicts.to_owned());
        let mut session = Self { sheet, reviewer, verdicts, date, at: 0, comment: None, made: Vec::new(), done };
        session.pass_done();
        session
    }

    fn pass_done(&mut self) {
        while let Some(reviewed) = self.sheet.get(self.at)
            && self.done.contains(&(reviewed.scenario.clone(), reviewed.repetition))
        {
            self.at += 1;
        }
    }

    /// The reply to be reviewed, which of how many it is, and the comment so far; none where all are.
    #[must_use]
    pub fn question(&self) -> Option<(&Reviewed, usize, usize, Option<&str>)> {
        let reviewed = self.sheet.get(self.at)?;
        Some((reviewed, self.at + 1, self.sheet.len(), self.comment.as_deref()))
    }

    /// Says of the reply what it is worth; gives the line that is to be written.
    pub fn verdict(&mut self, verdict: ReviewVerdict) -> Option<Review> {
        let reviewed = self.sheet.get(self.at)?;
        let line = Review {
            scenario: reviewed.scenario.clone(),
            repetition: reviewed.repetition,
            verdict: Some(verdict),
            comment: self.comment.take(),
            reviewer: self.reviewer.clone(),
            verdicts: self.verdicts.clone(),
            date: self.date.clone(),
            withdrawn: false,
        };
        self.done.insert((line.scenario.clone(), line.repetition));
        self.made.push((self.at, line.clone()));
        self.pass_done();
        Some(line)
    }

    /// Leaves the reply out for now.
    pub fn skip(&mut self) {
        self.comment = None;
        self.at += 1;
        self.pass_done();
    }

    /// Takes the last line back; gives the line that says so.
    pub fn undo(&mut self) -> Option<Review> {
        let (at, line) = self.made.pop()?;
        self.at = at;
        self.done.remove(&(line.scenario.clone(), line.repetition));
        self.comment.clone_from(&line.comment);
        Some(Review { verdict: None, comment: None, withdrawn: true, ..line })
    }

    /// Notes what is to be said with the next verdict.
    pub fn comment(&mut self, comment: &str) {
        self.comment = Some(comment.to_owned()).filter(|comment| !comment.trim().is_empty());
    }

    /// How many replies were reviewed since it began.
    #[must_use]
    pub fn made(&self) -> usize {
        self.made.len()
    }
}

/// The reviews of one table of verdicts that hold: the last word of each person on each reply.
fn holding<'a>(reviews: &'a [Review], verdicts: &str) -> BTreeMap<(String, Place), &'a Review> {
    let mut holding = BTreeMap::new();
    for review in reviews.iter().filter(|review| review.verdicts == verdicts) {
        let place = (review.reviewer.clone(), (review.scenario.clone(), review.repetition));
        match review.verdict {
            Some(_) => holding.insert(place, review),
            None => holding.remove(&place),
        };
    }
    holding
}

/// What each person's reviews of one table of verdicts come to, by name.
#[must_use]
pub fn reviewed_by(reviews: &[Review], verdicts: &str) -> Vec<ReviewedBy> {
    let mut people: BTreeMap<String, ReviewedBy> = BTreeMap::new();
    for ((reviewer, (scenario, repetition)), review) in holding(reviews, verdicts) {
        let person = people.entry(reviewer.clone()).or_insert_with(|| ReviewedBy {
            reviewer,
            ok: 0,
            reviewed: 0,
            not_ok: Vec::new(),
        });
        person.reviewed += 1;
        match review.verdict {
            Some(ReviewVerdict::Ok) => person.ok += 1,
            Some(ReviewVerdict::NotOk) | None => {
                person.not_ok.push(NotOk { scenario, repetition, comment: review.comment.clone() });
            }
        }
    }
    people.into_values().collect()
}
