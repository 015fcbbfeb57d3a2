//! The work of people on a run's replies: which reply is labelled next, what is known of it already, and what is written down.
//!
//! Owns the choice, the session of one person, sheets for labelling elsewhere, and the sheet of a review. Never shows a judge's verdict
//! to who labels: a person who knows it agrees with it. Neither reads keys nor writes files. Start at [`Session`].

mod pool;
mod review;
mod session;
mod sheet;
#[cfg(test)]
mod tests;

pub use pool::{Item, Pool, Progress};
pub use review::{ReviewSession, Reviewed, Reviewing, reviewed_by};
pub use session::{Key, Question, Session};
pub use sheet::{Imported, Sheet, SheetProblem, export, import};
