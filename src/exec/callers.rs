//! Who puts the calls of a stage: one caller a model that is asked for texts, one for embeddings and one for programs, where
//! it asks for such.

use std::sync::Arc;

use super::StageFailure;
use super::caller::{Account, Caller, Looked};
use crate::engine::Question;
use crate::stage::Asked;
use crate::store::{CallReader, Store, StoreError, Tally};

/// The callers of one stage; there is at least one.
pub(super) struct Callers {
    pub(super) store: Arc<Store>,
    /// By seat: each puts the questions to another model.
    pub(super) texts: Vec<Caller>,
    pub(super) embeddings: Option<Caller>,
    pub(super) commands: Option<Caller>,
}

impl Callers {
    fn of(&self, question: &Question) -> &Caller {
        let caller = match question {
            Question::Complete { seat, request: _ } => self.texts.get(*seat),
            Question::Embed(_) => self.embeddings.as_ref(),
            Question::Run(_) => self.commands.as_ref(),
        };
        caller.expect("a stage that asks has somebody to ask")
    }

    fn all(&self) -> impl Iterator<Item = &Caller> {
        self.texts.iter().chain(&self.embeddings).chain(&self.commands)
    }

    /// How many rows are worth having in work at once.
    pub(super) fn width(&self) -> usize {
        self.all().map(Caller::width).max().unwrap_or(1)
    }

    /// What the calls came to so far, and how many of them failed and might be answered another time.
    pub(super) fn account(&self) -> (Tally, u64) {
        let mut accounts = self.all().map(Caller::account);
        let first = accounts.next().unwrap_or_default();
        accounts.fold((first.tally, first.unsettled), |(tally, unsettled), account| {
            let Account { tally: more, speed: _, unsettled: others } = account;
            (tally.plus(&more), unsettled + others)
        })
    }

    /// Remembers how fast the calls were.
    pub(super) fn note_speed(&self) -> Result<(), StoreError> {
        self.all().try_for_each(Caller::note_speed)
    }

    /// Adds what was looked up elsewhere.
    pub(super) fn add(&self, found: &Tally) {
        if let Some(caller) = self.all().next() {
            caller.add(found);
        }
    }

    /// Looks questions up in the store. Without waiting: for whoever has many rows to look through.
    pub(super) fn look_up(
        &self,
        questions: Vec<Question>,
        calls: &CallReader<'_>,
        tally: &mut Tally,
    ) -> Result<Vec<Looked>, StageFailure> {
        questions.into_iter().map(|question| self.of(&question).look_up(question, calls, tally)).collect()
    }

    /// Looks a few questions up and counts what is found.
    pub(super) fn look_up_now(&self, questions: Vec<Question>) -> Result<Vec<Looked>, StageFailure> {
        let mut tally = Tally::default();
        let looked = self.look_up(questions, &self.store.calls()?, &mut tally)?;
        self.add(&tally);
        Ok(looked)
    }

    /// Asks all at once what the store did not have, and gives the answers in order.
    pub(super) async fn ask_all(&self, looked: Vec<Looked>) -> Result<Vec<Asked>, StageFailure> {
        let ask = |looked: Looked| {
            let caller = self.of(&looked.question);
            caller.ask(looked)
        };
        futures_util::future::try_join_all(looked.into_iter().map(ask)).await
    }
}
