//! From rubric to prompt, from reply to verdict, from verdicts to a grade.
//!
//! Owns the words a judge reads and the strict reading of what it answers. Pure: never calls an engine. Start at
//! [`Evidence::ask`] for what is asked, [`Scaled`] where levels are asked for, [`Sheet`] where all is asked at once, [`Pair`]
//! where two replies are compared, [`read_opinion`] and [`read_weighed`] for what is answered and [`grade`] for what it comes
//! to, or [`points_score`] where criteria are worth points.

mod command;
mod evidence;
mod grade;
mod pair;
mod parse;
mod points;
mod prompt;
mod scale;
mod schema;
mod together;
mod weigh;

pub use command::{Outcome, OutcomeError, command_input, read_outcome};
pub use evidence::is_quoted;
pub use grade::{Graded, Standing, grade};
pub use pair::{Pair, Place, preference_schema, read_preference};
pub use parse::{Opinion, ParseError, read_object, read_opinion};
pub use points::{PointsItem, points_score};
pub use prompt::{Evidence, ask_again, question_text};
pub use scale::{Rating, RatingError, Scaled};
pub use schema::Schemas;
pub use together::{Item, Sheet, answer_to_all};
pub use weigh::{Leaning, WeighError, read_weighed, verdict_words};
