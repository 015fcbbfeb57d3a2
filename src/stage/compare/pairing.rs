//! Two tables of verdicts brought together, row by row.
//!
//! A scenario's rows wait until its counterpart is read: tables in the same order hold nobody up, and in any order what waits is
//! a few words and no text. Start at [`Pairing`].

use std::collections::BTreeMap;

use super::contrast::{Contrasted, Tally, bounded};
use crate::data::{Grade, Judged, Quote, Quotes, Scenario, VerdictKind};
use crate::ids::{CriterionId, ScenarioId};
use crate::key::BlobId;
use crate::spec::{Clustering, Compare};
use crate::stage::generate::TOPIC;

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// What there was.
    Base,
    /// What is to take its place.
    New,
}

impl Side {
    pub(super) fn index(self) -> usize {
        match self {
            Self::Base => 0,
            Self::New => 1,
        }
    }

    fn other(self) -> Self {
        match self {
            Self::Base => Self::New,
            Self::New => Self::Base,
        }
    }
}

/// Bytes of texts that may wait; beyond it, texts are let go, and the replies of these rows are not shown.
const MOST_TEXT: usize = 16 << 20;

/// What statistics are made by.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules {
    pub(super) confidence: f64,
    pub(super) by_topic: bool,
    pub(super) max_ungraded: f64,
    pub(super) seed: u64,
}

/// Rows of two tables as they are read, in any turn; [`Self::finish`] makes the numbers of them.
///
/// The rows of one scenario come one after the other in each table.
#[derive(Debug)]
pub struct Pairing {
    sides: [Waiting; 2],
    /// Bytes of the texts that wait on both sides.
    text: usize,
    names: Names,
    tally: Tally,
}

#[derive(Debug, Default)]
struct Waiting {
    /// The scenario that is being read.
    open: Option<(Digest, Group)>,
    /// Those that were read and whose counterpart was not.
    groups: BTreeMap<Digest, Group>,
}

/// Enough of a blake3 digest that no two texts have the same.
type Digest = [u8; 16];

fn digest(bytes: &[u8]) -> Digest {
    let mut short = Digest::default();
    short.copy_from_slice(&BlobId::of(bytes).as_bytes()[..16]);
    short
}

/// What makes two scenarios the same to those who answer and judge. Not who wrote it, how, and what it nearly repeats.
fn content(scenario: &Scenario) -> Digest {
    let Scenario {
        id: _,
        topic,
        subtopic,
        style,
        axes,
        tags,
        edge_case,
        opening,
        reference,
        origin: _,
        written: _,
        near_duplicate: _,
    } = scenario;
    let content = (topic, subtopic, style, axes, tags, edge_case, opening, reference);
    digest(&serde_json::to_vec(&content).expect("it is always valid JSON"))
}

/// The rows of one scenario on one side.
#[derive(Debug)]
pub(super) struct Group {
    content: Digest,
    pub(super) topic: u32,
    pub(super) style: u32,
    pub(super) rows: Vec<Seen>,
    /// Its name and its opening, as long as there is room.
    pub(super) named: Option<Box<(ScenarioId, String)>>,
}

/// What is kept of one row.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) repetition: u32,
    pub(super) grade: Grade,
    pub(super) score: Option<f64>,
    pub(super) words: u32,
    /// Of each criterion, by its number.
    pub(super) verdicts: Box<[Option<bool>]>,
    pub(super) reply: Option<Box<str>>,
}

impl Group {
    fn text(&self) -> usize {
        let named = self.named.as_ref().map_or(0, |named| named.1.len() + 64);
        named + self.rows.iter().map(|row| row.reply.as_ref().map_or(0, |reply| reply.len())).sum::<usize>()
    }

    fn forget_texts(&mut self) {
        self.named = None;
        self.rows.iter_mut().for_each(|row| row.reply = None);
    }
}

/// Numbers for names, in the order in which they came.
#[derive(Debug)]
pub(super) struct Numbers<T> {
    pub(super) names: Vec<T>,
    numbers: BTreeMap<T, u32>,
}

impl<T> Default for Numbers<T> {
    fn default() -> Self {
        Self { names: Vec::new(), numbers: BTreeMap::new() }
    }
}

impl<T: Clone + Ord> Numbers<T> {
    fn of<Q: ?Sized + Ord>(&mut self, name: &Q, own: impl Fn(&Q) -> T) -> u32
    where
        T: std::borrow::Borrow<Q>,
    {
        if let Some(number) = self.numbers.get(name) {
            return *number;
        }
        let number = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
        self.names.push(own(name));
        self.numbers.insert(own(name), number);
        number
    }
}

/// All names in both tables.
#[derive(Debug, Default)]
pub(super) struct Names {
    pub(super) topics: Numbers<String>,
    pub(super) styles: Numbers<String>,
    /// Each criterion, and whether it is critical.
    pub(super) criteria: Numbers<CriterionId>,
    pub(super) critical: Vec<bool>,
}

impl Names {
    /// Whether scenarios name topics: those of a file that does not are no cluster.
    pub(super) fn have_topics(&self) -> bool {
        self.topics.names.iter().any(|topic| topic != TOPIC)
    }
}

impl Pairing {
    /// Nothing read yet.
    #[must_use]
    pub fn new(compare: &Compare) -> Self {
        let rules = Rules {
            confidence: compare.confidence,
            by_topic: compare.cluster == Clustering::Topic,
            max_ungraded: compare.max_ungraded,
            seed: compare.seed,
        };
        Self { sides: Default::default(), text: 0, names: Names::default(), tally: Tally::new(rules) }
    }

    /// Takes in the next row of one table.
    pub fn add(&mut self, side: Side, row: Judged) {
        let mut quotes = Quotes::default();
        for verdict in &row.verdicts {
            match verdict.quote {
                Some(Quote::Found) => quotes.found += 1,
                Some(Quote::Missing) => quotes.missing += 1,
                None => {}
            }
        }
        self.tally.quote(quotes);
        let key = digest(row.scenario.id.as_str().as_bytes());
        let seen = self.seen(&row);
        match &mut self.sides[side.index()].open {
            Some((open, group)) if *open == key => group.rows.push(seen),
            _ => {
                let group = Group {
                    content: content(&row.scenario),
                    topic: self.names.topics.of(row.scenario.topic.as_str(), str::to_owned),
                    style: self.names.styles.of(row.scenario.style.as_str(), str::to_owned),
                    rows: vec![seen],
                    named: Some(Box::new((row.scenario.id, bounded(&row.scenario.opening)))),
                };
                if let Some((key, group)) = self.sides[side.index()].open.replace((key, group)) {
                    self.close(side, key, group);
                }
            }
        }
    }

    fn seen(&mut self, row: &Judged) -> Seen {
        let mut verdicts = vec![None; self.names.criteria.names.len()];
        for verdict in &row.verdicts {
            let number = self.names.criteria.of(&verdict.criterion, Clone::clone) as usize;
            if number >= verdicts.len() {
                verdicts.resize(number + 1, None);
            }
            if number >= self.names.critical.len() {
                self.names.critical.resize(number + 1, false);
            }
            self.names.critical[number] |= verdict.critical;
            verdicts[number] = match verdict.verdict {
                VerdictKind::Pass => Some(true),
                VerdictKind::Fail => Some(false),
                VerdictKind::NotApplicable | VerdictKind::Ungraded => None,
            };
        }
        let reply = row.reply.as_deref().unwrap_or_default();
        Seen {
            repetition: row.repetition,
            grade: row.grade,
            score: row.score,
            words: u32::try_from(reply.split_whitespace().count()).unwrap_or(u32::MAX),
            verdicts: verdicts.into(),
            reply: Some(bounded(reply).into()),
        }
    }

    /// Brings a scenario that was read to its counterpart, or lets it wait for that.
    fn close(&mut self, side: Side, key: Digest, mut group: Group) {
        self.tally.alone(side, &group);
        if let Some(other) = self.sides[side.other().index()].groups.remove(&key) {
            self.text -= other.text();
            let [base, new] = match side {
                Side::Base => [group, other],
                Side::New => [other, group],
            };
            if base.content == new.content {
                self.tally.pair(&base, &new);
            } else {
                self.tally.changed(base.rows.len().max(new.rows.len()));
            }
            return;
        }
        let size = group.text();
        if self.text + size > MOST_TEXT {
            group.forget_texts();
        }
        self.text += group.text();
        // A scenario whose rows do not lie together has no counterpart a second time.
        if let Some(again) = self.sides[side.index()].groups.insert(key, group) {
            self.text -= again.text();
            self.tally.only(side, again.rows.len());
        }
    }

    /// The numbers of all rows so far.
    #[must_use]
    pub fn finish(mut self) -> Contrasted {
        for side in [Side::Base, Side::New] {
            if let Some((key, group)) = self.sides[side.index()].open.take() {
                self.close(side, key, group);
            }
        }
        for side in [Side::Base, Side::New] {
            for group in self.sides[side.index()].groups.values() {
                self.tally.only(side, group.rows.len());
            }
        }
        self.tally.finish(&self.names)
    }
}
