//! One person labelling: what is asked, and what each key does.

use std::collections::BTreeSet;

use super::pool::Pool;
use crate::spec::{Ask, LabelLine, LabelVerdict};

/// What a person presses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Key {
    /// The verdict on the criterion that is shown.
    Verdict(LabelVerdict),
    /// Not this reply, in this session.
    Skip,
    /// Takes back the last label of this session.
    Undo,
    /// What the next verdict is to be annotated with.
    Note(String),
}

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// The scenario.
    pub scenario: String,
    /// Which of several answers to it, from 0.
    pub repetition: u32,
    /// The first message.
    pub opening: String,
    /// The reply.
    pub reply: String,
    /// The criterion.
    pub criterion: String,
    /// What it asks.
    pub asks: String,
    /// Replies that pass, by the rubric.
    pub pass_examples: Vec<String>,
    /// Replies that fail.
    pub fail_examples: Vec<String>,
    /// Which of the reply's criteria it is, from 1.
    pub number: usize,
    /// How many the reply has.
    pub of: usize,
    /// What the next verdict is annotated with.
    pub note: Option<String>,
}

/// A session: resumed wherever the gold file says that it ended.
#[derive(Debug)]
pub struct Session {
    pool: Pool,
    labeller: String,
    date: Option<String>,
    note: Option<String>,
    skipped: BTreeSet<usize>,
    at: Option<usize>,
    /// What was written, and of which reply.
    made: Vec<(usize, LabelLine)>,
}

impl Session {
    /// Begins where this person is to go on.
    #[must_use]
    pub fn new(pool: Pool, labeller: &str, date: Option<String>) -> Self {
        let at = pool.next(labeller, &BTreeSet::new(), &BTreeSet::new());
        let labeller = labeller.to_owned();
        Self { pool, labeller, date, note: None, skipped: BTreeSet::new(), at, made: Vec::new() }
    }

    /// What is asked now; none where there is nothing left to label.
    #[must_use]
    pub fn question(&self) -> Option<Question> {
        let at = self.at?;
        let item = self.pool.item(at);
        let open = self.pool.open_criterion(at, &self.labeller)?;
        let criterion = self.pool.criterion(open)?;
        let Ask::Question(question) = &criterion.ask else { return None };
        Some(Question {
            scenario: item.row.scenario.id.to_string(),
            repetition: item.row.repetition,
            opening: item.row.scenario.opening.clone(),
            reply: item.row.reply.clone().unwrap_or_default(),
            criterion: open.to_string(),
            asks: question.text.clone(),
            pass_examples: question.pass_examples.clone(),
            fail_examples: question.fail_examples.clone(),
            number: item.asked.iter().position(|id| id == open).map_or(1, |at| at + 1),
            of: item.asked.len(),
            note: self.note.clone(),
        })
    }

    /// Does what a key says; gives the line that is to be written before anything else is shown.
    pub fn press(&mut self, key: Key) -> Option<LabelLine> {
        match key {
            Key::Verdict(verdict) => {
                let at = self.at?;
                let open = self.pool.open_criterion(at, &self.labeller)?;
                let of = self.pool.item(at).of(open, &self.labeller);
                let line = LabelLine {
                    scenario: of.scenario.clone(),
                    repetition: of.repetition,
                    criterion: of.criterion.clone(),
                    verdict: Some(verdict),
                    labeller: of.labeller.clone(),
                    reply: of.reply.clone(),
                    note: self.note.take(),
                    date: self.date.clone(),
                    withdrawn: false,
                };
                self.pool.mark(of, Some(verdict));
                self.made.push((at, line.clone()));
                if self.pool.open_criterion(at, &self.labeller).is_none() {
                    self.go_on();
                }
                Some(line)
            }
            Key::Skip => {
                self.skipped.extend(self.at);
                self.note = None;
                self.go_on();
                None
            }
            Key::Undo => {
                let (at, line) = self.made.pop()?;
                self.pool.mark(line.of(), None);
                self.skipped.remove(&at);
                self.at = Some(at);
                self.note.clone_from(&line.note);
                Some(LabelLine { verdict: None, note: None, withdrawn: true, ..line })
            }
            Key::Note(note) => {
                self.note = Some(note).filter(|note| !note.trim().is_empty());
                None
            }
        }
    }

    fn go_on(&mut self) {
        self.at = self.pool.next(&self.labeller, &BTreeSet::new(), &self.skipped);
    }

    /// The replies, and how far labelling has come.
    #[must_use]
    pub fn pool(&self) -> &Pool {
        &self.pool
    }

    /// How many labels were made in this session and not taken back.
    #[must_use]
    pub fn made(&self) -> usize {
        self.made.len()
    }
}
