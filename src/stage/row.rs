//! What the stages that work row by row have in common: each row is a small state machine that says what it wants to ask,
//! is told the answers, and ends in one line of the output table.
//!
//! Pure: never asks, stores or waits. Whoever runs it is free to answer from a cache, in any order and at any time. Start
//! at [`RowStage`].

use std::collections::BTreeMap;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::data::{Judging, Rejection, RowFailure, Scenario};
use crate::engine::{Answer, Embedding, EngineError, EngineErrorKind, Question, Reply, Request};
use crate::ids::ScenarioId;

/// A stage that makes output lines of each input line by itself.
pub trait RowStage: Send + Sync {
    /// Begins the work on one line of the input table.
    ///
    /// # Errors
    /// The line is not a row of the type this stage reads.
    fn start(&self, line: &str) -> Result<Step, RowError>;
}

/// How far the work on one row has come.
pub enum Step {
    /// These questions must be answered before it can go on; there is at least one.
    Ask(Vec<Question>, Box<dyn Resume>),
    /// The row is done.
    Done(Row),
}

impl Step {
    /// A step that asks for texts.
    pub fn ask(requests: impl IntoIterator<Item = Request>, rest: Box<dyn Resume>) -> Self {
        Self::Ask(requests.into_iter().map(Question::from).collect(), rest)
    }
}

/// The rest of the work on one row, which waits for answers.
pub trait Resume: Send {
    /// Goes on with what each question came to, in the order of the questions.
    fn resume(self: Box<Self>, answers: Vec<Asked>) -> Step;
}

/// What a question came to.
#[derive(Debug, Clone, PartialEq)]
pub enum Asked {
    /// The model answered.
    Replied(Reply),
    /// The model embedded the text.
    Embedded(Embedding),
    /// It did not.
    Failed(CallFailure),
}

impl From<Answer> for Asked {
    fn from(answer: Answer) -> Self {
        match answer {
            Answer::Reply(reply) => Self::Replied(reply),
            Answer::Embedding(embedding) => Self::Embedded(embedding),
        }
    }
}

impl Asked {
    /// The reply, or why there is none, where a text was asked for.
    ///
    /// # Errors
    /// The call failed.
    pub fn replied(self) -> Result<Reply, CallFailure> {
        match self {
            Self::Replied(reply) => Ok(reply),
            Self::Failed(failure) => Err(failure),
            Self::Embedded(_) => unreachable!("a text was asked for"),
        }
    }

    /// The embedding, or why there is none, where one was asked for.
    ///
    /// # Errors
    /// The call failed.
    pub fn embedded(self) -> Result<Embedding, CallFailure> {
        match self {
            Self::Embedded(embedding) => Ok(embedding),
            Self::Failed(failure) => Err(failure),
            Self::Replied(_) => unreachable!("an embedding was asked for"),
        }
    }
}

/// Why a request was not answered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind}: {message}")]
pub struct CallFailure {
    /// `context_overflow`, `rejected`, `transient`, `bad_reply`…
    pub kind: String,
    /// A sentence for people.
    pub message: String,
}

/// A finished row.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Its lines of the output table, each JSON without a newline: none where nothing came of it, several where each input
    /// row is answered several times.
    pub lines: Vec<String>,
    /// What is wrong with the row.
    pub flaw: Option<Flaw>,
    /// By which tokens its verdicts were weighed: for the stage's summary, and no part of its lines.
    pub judging: Judging,
    /// Where its opening lies, or why that is not known, where the stage looks for near-duplicates: no part of its lines.
    pub embedded: Option<Result<Embedding, CallFailure>>,
    /// What became of openings on the way to this one, where the stage does not take each: no part of its lines.
    pub drawn: Drawn,
}

/// What became of openings on the way to a row.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Drawn {
    /// Why those before were not taken.
    pub rejected: Vec<Rejection>,
    /// The scenario that is missing, where none was taken.
    pub missing: Option<ScenarioId>,
    /// Texts in which personal data was covered.
    pub covered: u64,
    /// The line with which the row begins anew, if this one is not taken either and may be drawn once more.
    pub again: Option<String>,
}

impl Row {
    /// A row with these lines, and nothing beside them.
    #[must_use]
    pub fn new(lines: Vec<String>, flaw: Option<Flaw>) -> Self {
        Self { lines, flaw, judging: Judging::default(), embedded: None, drawn: Drawn::default() }
    }
}

/// What can be wrong with a finished row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Flaw {
    /// A call failed or what it brought could not be used; which row it is and why, for people.
    Failed(String),
    /// A verdict is missing that its grade depends on.
    Ungraded,
}

/// An input line that is not a row of the type a stage reads.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not {expected}: {message}")]
pub struct RowError {
    /// What it should be, with its article.
    pub expected: &'static str,
    /// What the JSON parser says.
    pub message: String,
}

impl From<&EngineError> for CallFailure {
    fn from(error: &EngineError) -> Self {
        let kind = match error.kind {
            EngineErrorKind::Transient => "transient",
            EngineErrorKind::RateLimited { .. } => "rate_limited",
            EngineErrorKind::Rejected => "rejected",
            EngineErrorKind::Unsupported => "unsupported",
            EngineErrorKind::Auth => "auth",
            EngineErrorKind::BadReply => "bad_reply",
            EngineErrorKind::ContextOverflow { .. } => "context_overflow",
            EngineErrorKind::Unavailable => "unavailable",
        };
        Self { kind: kind.to_owned(), message: error.message.clone() }
    }
}

impl From<CallFailure> for RowFailure {
    fn from(CallFailure { kind, message }: CallFailure) -> Self {
        Self { kind, message }
    }
}

/// Takes the answer to the only request of a step.
pub(super) fn only(answers: Vec<Asked>) -> Asked {
    let mut answers = answers.into_iter();
    match (answers.next(), answers.next()) {
        (Some(answer), None) => answer,
        _ => unreachable!("one request was made, so one answer comes"),
    }
}

pub(super) fn read<T: DeserializeOwned>(line: &str, expected: &'static str) -> Result<T, RowError> {
    serde_json::from_str(line).map_err(|error| RowError { expected, message: error.to_string() })
}

pub(super) fn write<T: Serialize>(row: &T) -> String {
    serde_json::to_string(row).expect("rows are plain data with text keys, and those always have a JSON form")
}

/// What prompt templates and conditions may name: the fields of [`crate::spec::SCENARIO_FIELDS`].
pub(super) fn template_context(scenario: &Scenario) -> impl Serialize + '_ {
    #[derive(Serialize)]
    struct Context<'a> {
        scenario: Fields<'a>,
    }
    #[derive(Serialize)]
    struct Fields<'a> {
        topic: &'a str,
        subtopic: Option<&'a str>,
        style: &'a str,
        tags: &'a [String],
        opening: &'a str,
        edge_case: bool,
        /// Where there is none, the name is not there either: nothing can be taken for it.
        #[serde(skip_serializing_if = "Option::is_none")]
        reference: Option<&'a str>,
        axes: &'a BTreeMap<String, String>,
    }

    // Whether another scenario says nearly the same is nothing to a model: it is asked what it was asked without that.
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
    let subtopic = subtopic.as_deref();
    let (edge_case, reference) = (*edge_case, reference.as_deref());
    Context { scenario: Fields { topic, subtopic, style, tags, opening, edge_case, reference, axes } }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::data::Origin;
    use crate::engine::{Finish, Usage};
    use crate::ids::ScenarioId;
    use crate::spec::SCENARIO_FIELDS;

    /// A reply that says `text` and is complete.
    pub(in crate::stage) fn replied(text: &str) -> Asked {
        Asked::Replied(Reply::new(text, Finish::Stop, Usage::default(), 3))
    }

    /// A call that failed.
    pub(in crate::stage) fn failed(kind: &str) -> Asked {
        Asked::Failed(CallFailure { kind: kind.to_owned(), message: "it did not work".to_owned() })
    }

    /// A scenario as a `generate` stage makes it.
    pub(in crate::stage) fn scenario(opening: &str, tags: &[&str]) -> Scenario {
        Scenario {
            id: ScenarioId::new("sleep/nights/terse").unwrap(),
            topic: "sleep".to_owned(),
            subtopic: Some("nights".to_owned()),
            style: "terse".to_owned(),
            axes: BTreeMap::new(),
            tags: tags.iter().map(|&tag| tag.to_owned()).collect(),
            edge_case: false,
            opening: opening.to_owned(),
            reference: None,
            origin: Origin::Authored,
            written: None,
            near_duplicate: None,
        }
    }

    /// Takes a step that asks for texts.
    pub(in crate::stage) fn asks(step: Step) -> (Vec<Request>, Box<dyn Resume>) {
        let request = |question| match question {
            Question::Complete { seat: _, request } => request,
            other @ (Question::Embed(_) | Question::Run(_)) => panic!("it asks for no text: {other:?}"),
        };
        match step {
            Step::Ask(questions, rest) => (questions.into_iter().map(request).collect(), rest),
            Step::Done(row) => panic!("it is done: {row:?}"),
        }
    }

    /// Takes a step that is done.
    pub(in crate::stage) fn done(step: Step) -> Row {
        match step {
            Step::Done(row) => row,
            Step::Ask(questions, _) => panic!("it asks: {questions:?}"),
        }
    }

    #[test]
    fn the_context_has_exactly_the_known_fields() {
        let scenario = Scenario { reference: Some("x".to_owned()), ..scenario("hi", &[]) };
        let context = serde_json::to_value(template_context(&scenario)).unwrap();
        let mut known = SCENARIO_FIELDS.to_vec();
        known.sort_unstable();
        let mut found: Vec<&String> = context["scenario"].as_object().unwrap().keys().collect();
        found.sort_unstable();
        assert_eq!(found, known);
    }

    #[test]
    fn a_line_is_one_line() {
        let line = write(&scenario("two\nlines\u{2028}", &[]));
        assert!(!line.contains('\n'));
        assert_eq!(read::<Scenario>(&line, "a scenario"), Ok(scenario("two\nlines\u{2028}", &[])));
        let error = read::<Scenario>("{}", "a scenario").unwrap_err().to_string();
        assert_eq!(error, "not a scenario: missing field `id` at line 1 column 2");
    }
}
