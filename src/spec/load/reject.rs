//! Reads who writes openings, which of them are not taken, and how near-duplicates are found.

use std::ops::Bound;

use super::files::report_template;
use super::stages::Context;
use super::taxonomy::{ReadTaxonomy, writer_names, writer_template};
use crate::check::Language;
use crate::spec::generate::{Embeds, Languages, NearDuplicates, Reject, Writer, WriterOptions};
use crate::spec::problem::Code;
use crate::spec::read::{Field, shorten};
use crate::spec::units;

/// Longest opening that a limit may name.
const LONGEST: f64 = 1_000_000.0;

impl Context<'_> {
    /// Reads `writer`: a model, or a model and how it writes.
    pub(super) fn writer(&self, field: Field<'_>, taxonomy: Option<&ReadTaxonomy>) -> Option<Writer> {
        if field.node.value.as_map().is_none() {
            return self.model(field).map(|model| Writer { model, options: None });
        }
        let mut fields = field.fields()?;
        let model = fields.required("model").and_then(|field| self.model(field));
        let prompt = fields.optional("prompt").map(|field| {
            let (file, text) = self.files.text(field)?;
            // Without a taxonomy, of which something is wrong, it is not known which names there are.
            let axes = &taxonomy?.taxonomy.axes;
            let report = |error| {
                let reader = crate::spec::read::Reader { file: &file, sink: self.files.sink };
                let place = |unknown: Option<&str>| super::files::error_span(&text, &error, unknown);
                report_template(reader, "template", place, &error, &writer_names(axes));
            };
            writer_template(&text, axes).map_err(report).ok()
        });
        let batch = fields.optional("batch").map_or(Some(1), |field| field.count(1..=50));
        let attempts = fields.optional("attempts").map_or(Some(Writer::ATTEMPTS), |field| field.small(1..=20));
        fields.finish();
        let prompt = prompt.map_or(Some(None), |prompt| prompt.map(Some))?;
        Some(Writer { model: model?, options: Some(WriterOptions { prompt, batch: batch?, attempts: attempts? }) })
    }

    /// Reads `near_duplicates`.
    pub(super) fn near_duplicates(&self, field: Field<'_>) -> Option<NearDuplicates> {
        /// Paraphrases lie below it with most models, and texts that differ in a word or two above.
        const ABOVE: f64 = 0.95;
        let mut fields = field.fields()?;
        let inside = || (Bound::Excluded(0.0), Bound::Included(1.0));
        if !fields.has("embed") && !fields.has("shingles") {
            fields.missing(&["embed", "shingles"]);
        }
        let embed = fields.optional("embed").map(|field| self.model(field));
        let above = fields.optional("above");
        if let (None, Some(above)) = (&embed, above) {
            let message = "`above` is a cosine, and nobody embeds the openings".to_owned();
            let problem = above.problem(Code::UnknownField, "only with `embed`", message);
            above.push(problem.help("name a model with `embed`, or write the share of common shingles as `shingles`"));
        }
        let above = above.map_or(Some(ABOVE), |field| field.number(inside()));
        let shingles = fields.optional("shingles").map(|field| field.number(inside()));
        let rejects =
            fields.optional("action").map_or(Some(false), |field| field.choice(&[("mark", false), ("reject", true)]));
        let is_there = embed.is_some() || shingles.is_some();
        fields.finish();
        let embed = match embed {
            None => None,
            Some(model) => Some(Embeds { model: model?, above: above? }),
        };
        let shingles = shingles.map_or(Some(None), |share| share.map(Some))?;
        is_there.then_some(NearDuplicates { embed, shingles, rejects: rejects? })
    }

    /// Reads `reject`.
    #[expect(clippy::unused_self, reason = "it is one of the readers of a stage")]
    pub(super) fn reject(&self, field: Field<'_>) -> Option<Reject> {
        let mut fields = field.fields()?;
        let length = fields.optional("length").map(length);
        let language = fields.optional("language").map(languages);
        let echo = fields.optional("echo").map_or(Some(true), Field::flag);
        let personal_data = fields.optional("personal_data").map_or(Some(true), Field::flag);
        fields.finish();
        let length = length.map_or(Some(None), |length| length.map(Some));
        let language = language.map_or(Some(None), |language| language.map(Some));
        Some(Reject { length: length?, language: language?, echo: echo?, personal_data: personal_data? })
    }
}

/// `20..400` characters; an end may be left out.
fn length(field: Field<'_>) -> Option<(u32, u32)> {
    let range = units::range(field.text()?);
    let end = |end: Option<f64>, otherwise: f64| end.unwrap_or(otherwise).clamp(0.0, LONGEST);
    let ends = range.map(|range| (end(range.min, 0.0), end(range.max, LONGEST)));
    let is_whole = |(least, most): &(f64, f64)| least <= most && least.fract() <= 0.0 && most.fract() <= 0.0;
    let Some((least, most)) = ends.filter(is_whole) else {
        let message = format!("`{}` is not a range of lengths", field.shown());
        let problem = field.problem(Code::InvalidValue, "not a range", message);
        field.push(problem.help("write numbers of characters as `20..400`, `20..` or `..400`"));
        return None;
    };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "both are clamped before")]
    Some((least as u32, most as u32))
}

/// `en`, `[en, de]`, or `axis` for the language that each scenario is in by its axis `language`.
fn languages(field: Field<'_>) -> Option<Languages> {
    if field.node.value.as_text() == Some("axis") {
        return Some(Languages::Axis);
    }
    let texts = field.texts()?;
    let count = texts.len();
    let known: Vec<Language> = texts
        .into_iter()
        .filter_map(|(item, code)| {
            let language = Language::of(code);
            if language.is_none() {
                let message = format!("`{}` is no language that can be told", shorten(code));
                let problem = item.problem(Code::InvalidValue, "unknown language", message);
                item.push(
                    problem.help("write a code such as `en` or `de`, or `axis` where the axis `language` says it"),
                );
            }
            language
        })
        .collect();
    (known.len() == count).then_some(Languages::These(known))
}
