//! `judge`: decides each criterion of a rubric on each answer, by code or by asking a judge, and grades the answer.
//!
//! One round of requests asks all questions of a row, each judge of a panel by itself; a second asks again what could not be
//! read. A judge that weighs words is asked once: its probabilities cannot be misread. Start at [`JudgeStage`]; `round` is the
//! way of a row, `finding` what its answers come to.

mod code;
mod finding;
#[cfg(test)]
mod panel_tests;
pub mod pool;
mod program;
mod round;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

pub use crate::judge::answer_to_all;

use self::code::CodeCheck;
use self::finding::{Finding, Opinion};
use self::program::Program;
use self::round::Round;
use super::row::{RowError, RowStage, Step, read, template_context};
use crate::check::CheckError;
use crate::data::{Answer, VerdictKind};
use crate::engine::{ReplyForm, Sampling};
use crate::judge::{Scaled, Schemas, question_text, verdict_words};
use crate::spec::{Ask, Condition, Criterion, Judge, JudgeMode, ModelRef, Rubric};

/// Raised when the same fields and inputs would give other rows: a change of the judge's prompt, of how its answers are
/// read, of a check or of the pass rule.
pub const VERSION: u32 = 1;

/// The stage's own fields, as they go into its recipe; what it reads and who judges are added by the caller.
#[must_use]
pub fn fields(spec: &Judge) -> Value {
    let Judge { answers: _, models: _, rubric, mode, max_tokens, temperature, top_p, seed, repeat, context } = spec;
    let mut fields = json!({ "rubric": rubric, "max_tokens": max_tokens, "context": context });
    // A stage that judges in JSON, greedily and once has the key that it had before there was anything else.
    match mode {
        JudgeMode::Json => {}
        JudgeMode::Together => fields["mode"] = json!("together"),
        JudgeMode::Logprob { max_outside } => fields["mode"] = json!({ "logprob": { "max_outside": max_outside } }),
    }
    match Sampling::of(*temperature, *top_p, *seed) {
        Sampling::Greedy => {}
        sampling @ Sampling::Seeded { .. } => fields["sampling"] = sampling.recipe(),
    }
    if *repeat > 1 {
        fields["repeat"] = json!(repeat);
    }
    fields
}

/// The stage with the fields of an earlier recipe in place of its own; none where another version wrote that recipe.
#[must_use]
pub fn with_fields(now: &Judge, fields: &Value) -> Option<Judge> {
    #[derive(Deserialize)]
    struct Fields {
        rubric: Rubric,
        max_tokens: u32,
        mode: Option<JudgeMode>,
        sampling: Option<Value>,
        repeat: Option<u32>,
    }
    let Fields { rubric, max_tokens, mode, sampling, repeat } = Fields::deserialize(fields).ok()?;
    let (temperature, top_p, seed) = match sampling.as_ref().map_or(Some(Sampling::Greedy), Sampling::read)? {
        Sampling::Greedy => (0.0, now.top_p, now.seed),
        Sampling::Seeded { temperature, top_p, seed } => (temperature, top_p, seed),
    };
    let (mode, repeat) = (mode.unwrap_or(JudgeMode::Json), repeat.unwrap_or(1));
    Some(Judge { rubric, mode, max_tokens, temperature, top_p, seed, repeat, ..now.clone() })
}

/// Answers → verdicts.
#[derive(Debug)]
pub struct JudgeStage {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    rubric: Rubric,
    /// One a criterion.
    ways: Vec<Way>,
    mode: JudgeMode,
    /// What the judges are called, by seat.
    judges: Vec<String>,
    /// How many opinions each question gets of each of them.
    repeat: u32,
    max_tokens: u32,
    sampling: Sampling,
}

/// How a criterion is decided; all that is the same for each row.
#[derive(Debug)]
enum Way {
    Check(CodeCheck),
    Ask {
        text: String,
        form: ReplyForm,
        allow_not_applicable: bool,
    },
    /// By a program of the project.
    Run(Program),
    /// With a level of a scale.
    Rate {
        text: String,
        form: ReplyForm,
        scaled: Scaled,
    },
}

/// What is known about one criterion of a row.
enum Slot {
    Found(Finding),
    /// Judges must say: each, in its seat, once or several times over. A program has the only seat, and says so once.
    Asked(Vec<Vec<Opinion>>),
}

impl Way {
    /// What is asked and what the answer must look like, where anybody is asked.
    fn asks(&self) -> Option<(&String, &ReplyForm)> {
        match self {
            Self::Check(_) | Self::Run(_) => None,
            Self::Ask { text, form, allow_not_applicable: _ } | Self::Rate { text, form, scaled: _ } => {
                Some((text, form))
            }
        }
    }
}

impl JudgeStage {
    /// Takes what the stage needs of its checked form, and compiles its checks once for all rows.
    ///
    /// # Errors
    /// A check does not compile.
    pub fn new(spec: &Judge) -> Result<Self, CheckError> {
        let schemas = Schemas::new();
        let way = |criterion: &Criterion| match &criterion.ask {
            Ask::Question(question) => Ok(Way::Ask {
                text: question_text(question, spec.mode),
                form: match spec.mode {
                    // The form of a question for all of them is made for each reply.
                    JudgeMode::Json | JudgeMode::Together => {
                        ReplyForm::Schema(schemas.of(question.allow_not_applicable))
                    }
                    JudgeMode::Logprob { max_outside: _ } => {
                        ReplyForm::Words(verdict_words(question.allow_not_applicable))
                    }
                },
                allow_not_applicable: question.allow_not_applicable,
            }),
            Ask::Scale(scale) => {
                let scaled = Scaled::new(scale, spec.mode);
                Ok(Way::Rate { text: scaled.text(), form: scaled.form(), scaled })
            }
            Ask::Command { command, negated } => Ok(Way::Run(Program::new(criterion, command, *negated))),
            Ask::Check(check) => CodeCheck::new(check).map(Way::Check),
        };
        let ways = spec.rubric.criteria.iter().map(way).collect::<Result<_, _>>()?;
        let rubric = spec.rubric.clone();
        let sampling = Sampling::of(spec.temperature, spec.top_p, spec.seed);
        let (mode, repeat, max_tokens) = (spec.mode, spec.repeat, spec.max_tokens);
        let judges = spec.models.iter().map(|model| ModelRef::called(model).to_owned()).collect();
        Ok(Self { inner: Arc::new(Inner { rubric, ways, mode, judges, repeat, max_tokens, sampling }) })
    }
}

impl RowStage for JudgeStage {
    fn start(&self, line: &str) -> Result<Step, RowError> {
        let answer: Answer = read(line, "an answer")?;
        let criteria = self.inner.rubric.criteria.iter().zip(&self.inner.ways);
        let open = |(criterion, way)| self.inner.open(criterion, way, &answer, &template_context(&answer.scenario));
        let slots = criteria.map(open).collect();
        Ok(Round::new(Arc::clone(&self.inner), answer, slots).step())
    }
}

impl Inner {
    /// Finds out all that can be found out without a judge.
    fn open(&self, criterion: &Criterion, way: &Way, answer: &Answer, context: &impl Serialize) -> Slot {
        match criterion.when.as_ref().map(|when| (when, when.holds(context))) {
            None | Some((_, Ok(true))) => {}
            Some((when, Ok(false))) => {
                let reason = format!("only asked when `{}`", source(when));
                return Slot::Found(Finding::new(VerdictKind::NotApplicable, reason));
            }
            Some((when, Err(error))) => {
                let reason = format!("whether `{}` holds cannot be said: {error}", source(when));
                return Slot::Found(Finding::new(VerdictKind::Ungraded, reason));
            }
        }
        let Some(reply) = &answer.reply else {
            let why = answer.failure.as_ref().map(|failure| format!(": {} ({})", failure.message, failure.kind));
            let reason = format!("there is no reply{}", why.unwrap_or_default());
            return Slot::Found(Finding::new(VerdictKind::Ungraded, reason));
        };
        match way {
            Way::Run(_) => Slot::Asked(vec![vec![Opinion::Open]]),
            Way::Ask { .. } | Way::Rate { .. } => {
                let opinions = || (0..self.repeat).map(|_| Opinion::Open).collect();
                Slot::Asked(self.judges.iter().map(|_| opinions()).collect())
            }
            Way::Check(check) => Slot::Found(check.decide(reply, answer, context)),
        }
    }
}

/// The condition's text, which is also its serialized form.
fn source(condition: &Condition) -> String {
    match serde_json::to_value(condition) {
        Ok(Value::String(source)) => source,
        other => unreachable!("a condition is serialized as text: {other:?}"),
    }
}
