//! Reads a rubric file.

use std::collections::BTreeMap;
use std::ops::{Bound, Range};

use super::check::Met;
use super::command::decided_by_code;
use super::files::{Files, report_template};
use super::named;
use crate::ids::CriterionId;
use crate::spec::problem::{Code, SourceText};
use crate::spec::read::{Field, Fields, Reader, did_you_mean, shorten};
use crate::spec::rubric::{Ask, AtLeast, Criterion, PassRule, Question, Rubric, Scale};
use crate::spec::template::{Condition, known_names};
use crate::spec::tree::{Document, Key};

/// The highest level of a scale: one digit, so that no level is the beginning of another where words are weighed.
const HIGHEST_LEVEL: u32 = 9;

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
pub(super) fn read(document: Document, files: &Files<'_>) -> Option<ReadRubric> {
    let sink = files.sink;
    let before = sink.borrow().len();
    let reader = Reader { file: &document.file, sink };
    let mut fields = reader.document(&document.root, "rubric")?;
    let name = fields.required("name").and_then(Field::text).map(str::to_owned);
    fields.optional("description").and_then(Field::text);
    let pass_field = fields.required("pass");
    let mut seen = BTreeMap::new();
    let mut places = Places::default();
    let criteria: Vec<Criterion> = fields
        .required("criteria")
        .and_then(Field::list)
        .unwrap_or_default()
        .into_iter()
        .filter_map(|field| criterion(field, files, &mut seen, &mut places))
        .collect();
    fields.finish();
    let pass = pass_field.and_then(|field| pass(field, &criteria, &seen.keys().copied().collect::<Vec<_>>()));
    let rubric = Rubric { name: name?, pass: pass?, criteria };
    let is_sound = sink.borrow().len() == before;
    let Places { first_question, conditions, met } = places;
    is_sound.then_some(ReadRubric { rubric, file: document.file, first_question, conditions, met })
}

fn pass(field: Field<'_>, criteria: &[Criterion], ids: &[&str]) -> Option<PassRule> {
    let mut fields = field.fields()?;
    let score = fields.required("score").and_then(|field| field.number((Bound::Excluded(0.0), Bound::Included(1.0))));
    let min_applicable = fields.optional("min_applicable").map_or(Some(0.5), |field| field.number(0.0..=1.0));
    let at_least = match fields.optional("at_least") {
        None => Some(Vec::new()),
        Some(field) if field.node.value.as_list().is_some() => {
            let groups: Option<Vec<_>> =
                field.list().map(|groups| groups.into_iter().map(|group| at_least(group, criteria, ids)).collect());
            groups.and_then(|groups| groups.into_iter().collect())
        }
        Some(field) => at_least(field, criteria, ids).map(|group| vec![group]),
    };
    fields.finish();
    Some(PassRule { score: score?, min_applicable: min_applicable?, at_least: at_least? })
}

/// `{ count: 2, criteria: [a, b, c] }`; of all criteria where none are named. `ids` are those of all, sound or not.
fn at_least(field: Field<'_>, criteria: &[Criterion], ids: &[&str]) -> Option<AtLeast> {
    let mut fields = field.fields_of("`at_least`")?;
    let count_field = fields.required("count");
    let named = fields.optional("criteria").map(|field| {
        let known = |(item, id): (Field<'_>, &str)| {
            if !ids.contains(&id) {
                let problem = item.problem(
                    Code::UnknownValue,
                    "unknown criterion",
                    format!("there is no criterion `{}`", item.shown()),
                );
                item.push(problem.help(did_you_mean(id, ids)));
            }
            CriterionId::new(id).ok()
        };
        field.texts()?.into_iter().map(known).collect::<Option<Vec<_>>>()
    });
    fields.finish();
    let named = named.unwrap_or_else(|| Some(criteria.iter().map(|criterion| criterion.id.clone()).collect()))?;
    let most = u32::try_from(named.len()).unwrap_or(u32::MAX).max(1);
    Some(AtLeast { count: count_field?.count(1..=most)?, criteria: named })
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
    files: &Files<'_>,
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
        places.first_question.get_or_insert_with(|| question_field.map(|f| f.span().clone()).unwrap_or_default());
        match fields.optional("scale") {
            Some(field) => scale(&mut fields, question_field?, field).map(Ask::Scale),
            None => question(&mut fields, question_field?).map(Ask::Question),
        }
    } else {
        check_field.and_then(|field| decided_by_code(field, files, &mut places.met))
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

/// The keys that only a scale has are unknown keys to another question, and its examples to a scale: what a level means
/// is said by its anchor.
fn scale(fields: &mut Fields<'_>, question: Field<'_>, field: Field<'_>) -> Option<Scale> {
    let text = question.text().map(str::to_owned);
    let allow = fields.optional("allow_not_applicable").map_or(Some(false), Field::flag);
    let pass_at = fields.required("pass_at");
    let partial = fields.optional("partial").map_or(Some(false), Field::flag);
    let read = |(key, anchor): (&Key, Field<'_>)| {
        let level = key.name.parse::<u32>().ok().filter(|level| *level <= HIGHEST_LEVEL && key.name.len() == 1);
        if level.is_none() {
            let message = format!("`{}` is no level", shorten(&key.name));
            let problem = anchor.reader.problem(Code::InvalidValue, &key.span, "no level", message);
            anchor.push(problem.help(format!("write whole numbers from 0 to {HIGHEST_LEVEL}")));
        }
        Some((level?, anchor.text()?.to_owned()))
    };
    let entries = field.entries()?;
    let count = entries.len();
    let anchors: BTreeMap<u32, String> = entries.into_iter().filter_map(read).collect();
    if anchors.len() < count {
        return None;
    }
    let (Some((lowest, _)), Some((highest, _)), 2..) = (anchors.first_key_value(), anchors.last_key_value(), count)
    else {
        let problem = field.problem(Code::Empty, "no scale", "a scale has a lowest and a highest level".to_owned());
        field.push(problem.help("say what at least two levels mean, such as `{ 1: \"cold\", 5: \"warm\" }`"));
        return None;
    };
    let pass_at = pass_at?.small(lowest + 1..=*highest)?;
    Some(Scale { text: text?, allow_not_applicable: allow?, anchors, pass_at, partial: partial? })
}

fn condition(field: Field<'_>) -> Option<Condition> {
    let text = field.text()?;
    Condition::new(text)
        .map_err(|error| {
            report_template(field.reader, "condition", |_| field.span().clone(), &error, &known_names());
        })
        .ok()
}
