//! Reads stages that compare two answers to each scenario.

use std::ops::Bound;

use indexmap::IndexMap;

use super::rubric::{self, ReadRubric};
use super::stages::{Context, LONGEST_REPLY, Sampling, Sketch, context_size, sampling};
use super::wires::Need;
use crate::ids::StageId;
use crate::spec::pipeline::{Infer, Prefer, Stage};
use crate::spec::problem::Code;
use crate::spec::read::{Field, Fields};
use crate::spec::rubric::Ask;

/// Most tokens of one answer where the file does not say.
const TOKENS: u32 = 200;

impl Context<'_> {
    pub(super) fn prefer(&self, mut fields: Fields<'_>) -> Option<Prefer> {
        let base = fields.required("base").and_then(|field| self.outline.stage(field, Need::Answers));
        let new = fields.required("new").and_then(|field| self.outline.stage(field, Need::Answers));
        let asks = fields.exactly_one(["question", "rubric"]);
        let question = fields.optional("question").map(|field| Some(vec![field.text()?.to_owned()]));
        let rubric = fields.optional("rubric").map(|field| self.questions(field));
        let model = fields.required("model").and_then(|field| self.model(field));
        let max_tokens = fields.optional("max_tokens").map_or(Some(TOKENS), |field| field.small(32..=LONGEST_REPLY));
        let sampling = sampling(&mut fields);
        let context = context_size(&mut fields, model.as_ref());
        let inside = (Bound::Excluded(0.0), Bound::Excluded(1.0));
        let confidence = fields.optional("confidence").map_or(Some(0.95), |field| field.number(inside));
        fields.finish();
        let questions = if asks? == "question" { question } else { rubric };
        let Sampling { temperature, top_p, seed } = sampling?;
        Some(Prefer {
            base: base?,
            new: new?,
            questions: questions.flatten()?,
            model: model?,
            max_tokens: max_tokens?,
            temperature,
            top_p,
            seed,
            context,
            confidence: confidence?,
        })
    }

    /// The questions of a rubric, by which replies are compared as a whole.
    fn questions(&self, field: Field<'_>) -> Option<Vec<String>> {
        let document = self.files.document(field)?;
        let ReadRubric { rubric, file: _, first_question: _, conditions: _, met: _ } =
            rubric::read(document, self.files)?;
        let question = |ask: Ask| match ask {
            Ask::Question(question) => Some(question.text),
            // What is answered with a level is no question of yes or no.
            Ask::Scale(_) | Ask::Check(_) | Ask::Command { .. } => None,
        };
        let questions: Vec<String> = rubric.criteria.into_iter().filter_map(|one| question(one.ask)).collect();
        if questions.is_empty() {
            let message = format!("`{}` asks no question of yes or no, and nothing else prefers", field.shown());
            let problem = field.problem(Code::InvalidValue, "no question", message);
            field.push(problem.help("name a rubric with questions, or write `question:`"));
            return None;
        }
        Some(questions)
    }
}

/// Reports pairs whose answers are not to the same scenarios, one by one.
pub(super) fn report_unlike_pairs(sketches: &[Sketch<'_>], stages: &IndexMap<StageId, Stage>) {
    for (id, stage) in stages {
        let Stage::Prefer(Prefer { base, new, .. }) = stage else { continue };
        let (Some(Stage::Infer(one)), Some(Stage::Infer(other))) = (stages.get(base), stages.get(new)) else {
            continue;
        };
        let Infer { scenarios, repeat, .. } = one;
        let message = if base == new {
            "a reply is compared with itself".to_owned()
        } else if *scenarios != other.scenarios {
            format!("`{base}` answers `{scenarios}`, and `{new}` answers `{}`", other.scenarios)
        } else if *repeat != other.repeat {
            format!("`{base}` answers each scenario {repeat} times, and `{new}` {} times", other.repeat)
        } else {
            continue;
        };
        let entries =
            sketches.iter().find(|sketch| sketch.id.as_ref() == Some(id)).and_then(|sketch| sketch.body.entries());
        let field = |name: &str| entries.as_ref()?.iter().find(|(key, _)| key.name == name).map(|(_, field)| *field);
        if let (Some(base), Some(new)) = (field("base"), field("new")) {
            let problem = new.problem(Code::UnlikePair, "not alike", message);
            new.push(problem.other(base.reader.file, base.span(), "the base"));
        }
    }
}
