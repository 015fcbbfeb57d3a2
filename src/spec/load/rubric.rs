//! Reads a rubric file.

use std::collections::BTreeMap;
use std::ops::{Bound, Range};

use super::check::{Met, check};
use super::files::report_template;
use super::named;
use crate::ids::CriterionId;
use crate::spec::problem::{Code, SourceText};
use crate::spec::read::{Field, Fields, Reader, Sink};
use crate::spec::rubric::{Ask, Criterion, PassRule, Question, Rubric};
use crate::spec::template::{Condition, known_names};
use crate::spec::tree::Document;

/// A rubric, and what other problems point at.
pub(super) struct ReadRubric {
    pub(super) rubric: Rubric,
    pub(super) file: SourceText,
    pub(super) first_question: Option<Range<usize>>,
    /// The conditions of its criteria, and where they are.
    pub(super) conditions: Vec<(Condition, Range<usize>)>,
    /// What its checks hold that cannot be settled here.
    pub(super) met: Met,
}

/// Where in a rubric are things that other problems point at.
#[derive(Default)]
struct Places {
    first_question: Option<Range<usize>>,
    conditions: Vec<(Condition, Range<usize>)>,
    met: Met,
}

/// Reads a rubric; nothing if it has a problem.
pub(super) fn read(document: Document, sink: &Sink) -> Option<ReadRubric> {
    let before = sink.borrow().len();
    let reader = Reader { file: &document.file, sink };
    let mut fields = reader.document(&document.root, "rubric")?;
    let name = fields.required("name").and_then(Field::text).map(str::to_owned);
    fields.optional("description").and_then(Field::text);
    let pass = fields.required("pass").and_then(pass);
    let mut seen = BTreeMap::new();
    let mut places = Places::default();
    let criteria: Vec<Criterion> = fields
        .required("criteria")
        .and_then(Field::list)
        .unwrap_or_default()
        .into_iter()
        .filter_map(|field| criterion(field, &mut seen, &mut places))
        .collect();
    fields.finish();
    let rubric = Rubric { name: name?, pass: pass?, criteria };
    let is_sound = sink.borrow().len() == before;
    let Places { first_question, conditions, met } = places;
    is_sound.then_some(ReadRubric { rubric, file: document.file, first_question, conditions, met })
}

fn pass(field: Field<'_>) -> Option<PassRule> {
    let mut fields = field.fields()?;
    let score = fields.required("score").and_then(|field| field.number((Bound::Excluded(0.0), Bound::Included(1.0))));
    let min_applicable = fields.optional("min_applicable").map_or(Some(0.5), |field| field.number(0.0..=1.0));
    fields.finish();
    Some(PassRule { score: score?, min_applicable: min_applicable? })
}

/// Reads an id and reports one that was there before.
pub(super) fn unique<'a>(
    fields: &mut Fields<'a>,
    what: &str,
    seen: &mut BTreeMap<&'a str, Range<usize>>,
) -> Option<&'a str> {
    let field = fields.required("id")?;
    let id = field.text()?;
    named(Field { name: id, ..field }, field.span(), CriterionId::new)?;
    if let Some(first) = seen.get(id) {
        let problem = field.problem(Code::DuplicateId, "again", format!("{what} `{id}` is defined twice"));
        field.push(problem.other(field.reader.file, first, "first here"));
        return None;
    }
    seen.insert(id, field.span().clone());
    Some(id)
}

fn criterion<'a>(
    field: Field<'a>,
    seen: &mut BTreeMap<&'a str, Range<usize>>,
    places: &mut Places,
) -> Option<Criterion> {
    let mut fields = field.fields_of("a criterion")?;
    let id = unique(&mut fields, "criterion", seen);
    let weight =
        fields.optional("weight").map_or(Some(1.0), |field| field.number((Bound::Excluded(0.0), Bound::Unbounded)));
    let critical = fields.optional("critical").map_or(Some(false), Field::flag);
    let when_field = fields.optional("when");
    let when = when_field.map(condition);
    if let (Some(field), Some(Some(condition))) = (when_field, &when) {
        places.conditions.push((condition.clone(), field.span().clone()));
    }
    let one = fields.exactly_one(["question", "check"]);
    let question_field = fields.optional("question");
    let check_field = fields.optional("check");
    let ask = if one == Some("question") || question_field.is_some() && check_field.is_some() {
        let question = question(&mut fields, question_field?);
        places.first_question.get_or_insert_with(|| question_field.map(|f| f.span().clone()).unwrap_or_default());
        question.map(Ask::Question)
    } else {
        check_field.and_then(|field| check(field, &mut places.met)).map(Ask::Check)
    };
    fields.finish();
    Some(Criterion {
        id: CriterionId::new(id?).ok()?,
        weight: weight?,
        critical: critical?,
        when: when.flatten(),
        ask: ask?,
    })
}

/// The keys that only a question has are unknown keys to a check.
fn question(fields: &mut Fields<'_>, field: Field<'_>) -> Option<Question> {
    let text = field.text().map(str::to_owned);
    let allow = fields.optional("allow_not_applicable").map_or(Some(false), Field::flag);
    let (mut pass, mut fail) = (None, None);
    if let Some(mut examples) = fields.optional("examples").and_then(Field::fields) {
        pass = examples.optional("pass").and_then(Field::any_texts);
        fail = examples.optional("fail").and_then(Field::any_texts);
        examples.finish();
    }
    Some(Question {
        text: text?,
        allow_not_applicable: allow?,
        pass_examples: pass.unwrap_or_default(),
        fail_examples: fail.unwrap_or_default(),
    })
}

fn condition(field: Field<'_>) -> Option<Condition> {
    let text = field.text()?;
    Condition::new(text)
        .map_err(|error| {
            report_template(field.reader, "condition", |_| field.span().clone(), &error, &known_names());
        })
        .ok()
}
