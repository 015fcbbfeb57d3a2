//! `generate`: makes scenarios of a taxonomy, the authored ones as they are, the others by asking a writer; or takes those
//! of a file.
//!
//! [`cells`] decides which scenarios a taxonomy comes to, [`Lines`] reads those of a file; [`GenerateStage`] makes each of
//! them, or says why it is not taken, and [`Marker`] tells those that nearly repeat an earlier one.

mod cells;
mod file;
mod import;
mod languages;
mod leak;
mod mark;
mod near;
mod personal;
mod reject;
mod rows;
mod share;
mod shingles;
mod write;

pub use cells::{Brief, BriefValue, Cell, Cells, cells};
pub use file::{Checked, Lines, ScenarioFileError, TOPIC, check as check_file};
pub use import::READER as PARQUET_READER;
pub use languages::LanguageSample;
pub use leak::{Leaks, Texts, texts};
pub use mark::{Marker, Verdict};
pub use near::UnlikeLengths;
pub use rows::{Rows, rows};
pub use write::openings_asked;

use std::sync::Arc;

use serde_json::{Value, json};

use self::write::Writing;
use crate::data::Scenario;
use crate::engine::{EmbedRequest, Question};
use crate::spec::{Embeds, Expand, Freeze, Generate, GenerateFrom, NearDuplicates, Reject, Writer};
use crate::stage::row::{Asked, Drawn, Flaw, Resume, Row, RowError, RowStage, Step, only, read, write};

/// Raised when the same fields and inputs would give other rows.
pub const VERSION: u32 = 1;

/// The stage's own fields, as they go into its recipe; who writes and who embeds is added by the caller. What a stage does
/// not use is not there, so that it has the key that it had before there was such a thing.
#[must_use]
pub fn fields(spec: &Generate) -> Value {
    let Generate { from, limit, near_duplicates, reject, not_in: _, freeze } = spec;
    let mut fields = match from {
        GenerateFrom::File(import) => match &import.mapping {
            None => json!({}),
            Some(mapping) => json!({ "mapping": mapping }),
        },
        GenerateFrom::Taxonomy(expand) => {
            let Expand { taxonomy, styles, count, seed, writer } = expand.as_ref();
            let mut fields = json!({ "taxonomy": taxonomy, "styles": styles, "count": count, "seed": seed });
            if let Some(Writer { model: _, options: Some(options) }) = writer {
                fields["writing"] = json!(options);
            }
            fields
        }
    };
    // Beside a frozen suite the taxonomy decides what is told of it, and no row.
    if let Some(Freeze { path: _, expand: Some(expand) }) = freeze {
        let Expand { taxonomy, styles, count, seed, writer: _ } = expand.as_ref();
        fields["frozen_of"] = json!({ "taxonomy": taxonomy, "styles": styles, "count": count, "seed": seed });
    }
    if let Some(limit) = limit {
        fields["limit"] = json!(limit);
    }
    if let Some(NearDuplicates { embed, shingles, rejects }) = near_duplicates {
        let mut near = json!({});
        if let Some(Embeds { model: _, above }) = embed {
            near["above"] = json!(above);
        }
        if let Some(shingles) = shingles {
            near["shingles"] = json!(shingles);
        }
        if *rejects {
            near["action"] = json!("reject");
        }
        fields["near_duplicates"] = near;
    }
    if let Some(reject) = reject {
        fields["reject"] = json!(reject);
    }
    fields
}

/// Cells → scenarios.
#[derive(Debug)]
pub struct GenerateStage(Arc<Setup>);

/// What all rows of a stage have in common.
#[derive(Debug)]
struct Setup {
    writing: write::Manner,
    /// Which openings are not taken.
    rules: Option<Reject>,
    /// Whether those of a file may be left out.
    from_file: bool,
    /// Whether openings are embedded, to find those that are nearly the same.
    embeds: bool,
}

impl GenerateStage {
    /// Takes what the stage needs of its checked form.
    #[must_use]
    pub fn new(spec: &Generate) -> Self {
        Self(Arc::new(Setup {
            writing: write::Manner::of(spec),
            rules: spec.reject.clone(),
            from_file: matches!(spec.from, GenerateFrom::File(_)),
            embeds: spec.near_duplicates.as_ref().is_some_and(|near| near.embed.is_some()),
        }))
    }
}

impl RowStage for GenerateStage {
    fn start(&self, line: &str) -> Result<Step, RowError> {
        let cell: Cell = read(line, "a cell of a taxonomy")?;
        if cell.brief.is_some() {
            return Ok(Writing::begin(&self.0, cell));
        }
        let Cell { scenario, brief: _, attempt: _, place: _, covered } = cell;
        let mut drawn = Drawn { covered, ..Drawn::default() };
        // What the taxonomy's author wrote stays, whatever it is.
        let rules = self.0.rules.as_ref().filter(|_| self.0.from_file);
        if let Some(rejection) = rules.and_then(|rules| reject::rejection(rules, &scenario, &[])) {
            drawn.rejected.push(rejection);
            return Ok(Step::Done(left_out(&scenario, drawn)));
        }
        Ok(made(scenario, self.0.embeds, drawn))
    }
}

/// A scenario without an opening is no scenario: the table has no line for it.
fn nothing(scenario: &Scenario, why: &dyn std::fmt::Display, drawn: Drawn) -> Row {
    let flaw = Some(Flaw::Failed(format!("{}: {why}", scenario.id)));
    Row { drawn: Drawn { again: None, ..drawn }, ..Row::new(Vec::new(), flaw) }
}

/// A scenario of which no opening was taken. That is no failure: it is what the rules come to.
fn left_out(scenario: &Scenario, drawn: Drawn) -> Row {
    let drawn = Drawn { missing: Some(scenario.id.clone()), again: None, ..drawn };
    Row { drawn, ..Row::new(Vec::new(), None) }
}

/// The scenario has its opening, which may have to be embedded yet.
fn made(scenario: Scenario, embeds: bool, drawn: Drawn) -> Step {
    if !embeds {
        return Step::Done(Row { drawn, ..Row::new(vec![write(&scenario)], None) });
    }
    let request = EmbedRequest { text: scenario.opening.clone() };
    Step::Ask(vec![Question::Embed(request)], Box::new(Embedding { scenario, drawn }))
}

/// A scenario whose opening is being embedded. It is one whether or not that succeeds.
struct Embedding {
    scenario: Scenario,
    drawn: Drawn,
}

impl Resume for Embedding {
    fn resume(self: Box<Self>, answers: Vec<Asked>) -> Step {
        let Self { scenario, drawn } = *self;
        let embedded = Some(only(answers).embedded());
        Step::Done(Row { embedded, drawn, ..Row::new(vec![write(&scenario)], None) })
    }
}

#[cfg(test)]
mod tests {
    use indexmap::IndexMap;

    use super::cells::tests::spec;
    use super::*;
    use crate::data::{Origin, Rejection};
    use crate::engine::Sampling;
    use crate::ids::ModelName;
    use crate::spec::{ModelRef, Template, WriterOptions};
    use crate::stage::row::tests::{asks, done, failed, replied};

    const NAMES: &[&str] = &["topic", "subtopic", "style", "style_description", "index"];

    fn near(above: Option<f64>, shingles: Option<f64>, rejects: bool) -> NearDuplicates {
        let model = ModelRef::Declared(ModelName::new("e").unwrap());
        NearDuplicates { embed: above.map(|above| Embeds { model, above }), shingles, rejects }
    }

    /// A taxonomy of one cell without an opening.
    fn unwritten(prompt: Option<&str>) -> Expand {
        let mut spec = spec(&[1], 1, 0, None, 7);
        spec.taxonomy.topics[0].subtopics[0].openings = IndexMap::new();
        spec.taxonomy.writer_prompt = prompt.map(|source| Template::with_names(source, NAMES).unwrap());
        spec
    }

    fn stage(spec: &Expand) -> GenerateStage {
        GenerateStage::new(&Generate::of(spec.clone()))
    }

    fn first(spec: &Expand) -> Cell {
        cells(spec).next().unwrap()
    }

    fn start(spec: &Expand) -> Step {
        stage(spec).start(&first(spec).to_line()).unwrap()
    }

    #[test]
    fn authored_openings_are_done_at_once() {
        let spec = spec(&[1], 1, 0, None, 7);
        let row = done(start(&spec));
        assert_eq!(row, Row::new(vec![write(&first(&spec).scenario)], None));
    }

    #[test]
    fn missing_openings_are_written() {
        let spec = unwritten(None);
        let (requests, rest) = asks(start(&spec));
        assert_eq!(requests.len(), 1);
        let prompt = &requests[0].messages[1].content;
        assert!(prompt.starts_with("Topic: Topic t0\nMore exactly: Part 0\nStyle: s0. Reads like s0.\n\n"), "{prompt}");
        let Sampling::Seeded { temperature, top_p, seed } = requests[0].sampling else { panic!("it is drawn") };
        assert_eq!((temperature.to_string(), top_p.to_string()), ("0.8".to_owned(), "0.95".to_owned()));
        assert!(i64::try_from(seed).is_ok());

        let row = done(rest.resume(vec![replied(r#"{"opening": " cant sleep\n"}"#)]));
        let expected = Scenario { opening: "cant sleep".to_owned(), ..first(&spec).scenario };
        assert_eq!(row, Row::new(vec![write(&expected)], None));
        assert_eq!(expected.origin, Origin::Written);

        // Another seed or another cell is another draw.
        let other = Expand { seed: 8, ..spec };
        assert_ne!(asks(start(&other)).0[0].sampling, requests[0].sampling);
    }

    fn no_line(row: &Row, why: &str) {
        assert!(row.lines.is_empty(), "{row:?}");
        assert!(matches!(&row.flaw, Some(Flaw::Failed(told)) if told.contains(why)), "{row:?}");
    }

    #[test]
    fn the_taxonomy_may_have_its_own_prompt() {
        let own = "{{ topic }}, {{ subtopic }}, {{ style }} ({{ style_description }}), {{ index }}";
        let (requests, _) = asks(start(&unwritten(Some(own))));
        assert_eq!(requests[0].messages[1].content, "Topic t0, Part 0, s0 (Reads like s0.), 1");
        no_line(&done(start(&unwritten(Some("{{ topic + 1 }}")))), "template");
    }

    #[test]
    fn a_bad_opening_is_asked_for_once_more() {
        let bad = |reply: &str, why: &str| {
            let (first, rest) = asks(start(&unwritten(None)));
            let (second, rest) = asks(rest.resume(vec![replied(reply)]));
            assert_eq!(second[0].messages[..2], first[0].messages[..]);
            let told = &second[0].messages[3].content;
            assert!(told.contains(why), "{told}");
            rest
        };
        let row = done(bad("Hi there", "there is no JSON object in it").resume(vec![replied(r#"{"opening": "hey"}"#)]));
        assert_eq!((row.flaw, row.lines[0].contains("\"hey\"")), (None, true));
        let long = format!(r#"{{"opening": "{}"}}"#, "é".repeat(1501));
        let row = done(bad(&long, "too long, not at most 1500 characters").resume(vec![replied("{}")]));
        no_line(&row, "opening");
        let rest = bad(r#"{"opening": " "}"#, "its `opening` is empty, not a message");
        no_line(&done(rest.resume(vec![failed("transient")])), "transient");
    }

    #[test]
    fn a_failed_call_leaves_no_line() {
        let (_, rest) = asks(start(&unwritten(None)));
        no_line(&done(rest.resume(vec![failed("rejected")])), "rejected");
        assert!(stage(&unwritten(None)).start("{}").is_err());
    }

    #[test]
    fn openings_are_embedded_once_they_are_there() {
        let near = near(Some(0.9), None, false);
        let embedding = crate::engine::Embedding::new(&[1.0], Default::default(), 0).unwrap();
        let stage_of = |expand: Expand| {
            GenerateStage::new(&Generate { near_duplicates: Some(near.clone()), ..Generate::of(expand) })
        };
        let check = |step: Step, opening: &str, answer: Asked| {
            let Step::Ask(questions, rest) = step else { panic!("it asks") };
            assert_eq!(questions, [Question::Embed(EmbedRequest { text: opening.to_owned() })]);
            let row = done(rest.resume(vec![answer]));
            assert!(row.flaw.is_none() && row.lines[0].contains(opening) && !row.lines[0].contains("near_duplicate"));
            row.embedded.unwrap()
        };
        let authored = spec(&[1], 1, 0, None, 7);
        let start = || stage_of(authored.clone()).start(&first(&authored).to_line()).unwrap();
        let opening = first(&authored).scenario.opening;
        assert_eq!(check(start(), &opening, Asked::Embedded(embedding.clone())).unwrap(), embedding);
        assert_eq!(check(start(), &opening, failed("rejected")).unwrap_err().kind, "rejected");

        let writing = unwritten(None);
        let (_, rest) = asks(stage_of(writing.clone()).start(&first(&writing).to_line()).unwrap());
        let step = rest.resume(vec![replied(r#"{"opening": "hey"}"#)]);
        check(step, "hey", Asked::Embedded(embedding)).unwrap();
    }

    #[test]
    fn each_own_field_is_in_the_recipe() {
        let base = || spec(&[2], 2, 1, Some(3), 7);
        let fields = |spec: &Expand| fields(&Generate::of(spec.clone()));
        let mut all = vec![fields(&base())];
        let mut changed = |change: &dyn Fn(&mut Expand)| {
            let mut spec = base();
            change(&mut spec);
            let fields = fields(&spec);
            assert!(!all.contains(&fields), "{fields}");
            all.push(fields);
        };
        changed(&|spec| spec.count = None);
        changed(&|spec| spec.seed = 8);
        changed(&|spec| spec.styles.reverse());
        changed(&|spec| spec.taxonomy.topics[0].title.push('!'));
        changed(&|spec| spec.taxonomy.topics[0].subtopics[1].openings[0].push('!'));
        changed(&|spec| spec.taxonomy.styles[0].push('!'));
        changed(&|spec| spec.taxonomy.edge_cases[0].tags.clear());
        changed(&|spec| spec.taxonomy.writer_prompt = Some(Template::with_names("x", NAMES).unwrap()));

        let model = ModelRef::Declared(ModelName::new("w").unwrap());
        let other = Expand { writer: Some(Writer { model: model.clone(), options: None }), ..base() };
        assert_eq!(fields(&other), fields(&base()));
        let batches = |batch| {
            let options = Some(WriterOptions { prompt: None, batch, attempts: 3 });
            fields(&Expand { writer: Some(Writer { model: model.clone(), options }), ..base() })
        };
        assert_ne!(batches(1), batches(2));
        assert_ne!(batches(1), fields(&base()), "scenarios say how they were written");
        let limited = Generate { limit: Some(2), ..Generate::of(base()) };
        assert_eq!(super::fields(&limited)["limit"], 2);
        assert!(
            fields(&base()).get("limit").is_none(),
            "a run without a limit has the key it had before there were any"
        );
        let marked = |above, shingles, rejects| {
            super::fields(&Generate { near_duplicates: Some(near(above, shingles, rejects)), ..Generate::of(base()) })
        };
        let all = [
            marked(Some(0.9), None, false),
            marked(Some(0.95), None, false),
            marked(None, Some(0.9), false),
            marked(None, Some(0.9), true),
        ];
        assert!((1..4).all(|at| !all[..at].contains(&all[at])), "{all:?}");
        assert_eq!(all[0]["near_duplicates"], json!({ "above": 0.9 }), "as it was before there were shingles");
        let rules = Reject { length: Some((5, 90)), language: None, echo: true, personal_data: false };
        let choosy = super::fields(&Generate { reject: Some(rules), ..Generate::of(base()) });
        assert_eq!(choosy["reject"]["length"], json!([5, 90]));
        assert!(fields(&base()).get("reject").is_none());
        assert!(fields(&base()).get("near_duplicates").is_none(), "nor has one that looks for no near-duplicates");
    }

    /// A stage that asks for three openings of a cell at once and does not take short ones.
    fn several(count: usize) -> (Generate, Vec<Cell>) {
        let mut expand = unwritten(None);
        expand.count = Some(count);
        let model = ModelRef::Declared(ModelName::new("w").unwrap());
        expand.writer = Some(Writer { model, options: Some(WriterOptions { prompt: None, batch: 3, attempts: 2 }) });
        let rules = Reject { length: Some((4, 90)), language: None, echo: true, personal_data: true };
        let mut cells: Vec<Cell> = cells(&expand).collect();
        cells.sort_by_key(|cell| cell.place);
        (Generate { reject: Some(rules), ..Generate::of(expand) }, cells)
    }

    #[test]
    fn rows_that_are_asked_for_together_ask_the_same() {
        let (spec, cells) = several(4);
        let stage = GenerateStage::new(&spec);
        let mut asked: Vec<_> = cells.iter().map(|cell| asks(stage.start(&cell.to_line()).unwrap())).collect();
        assert_eq!((&asked[0].0, &asked[0].0), (&asked[1].0, &asked[2].0));
        assert_ne!(asked[0].0, asked[3].0, "the fourth is one of the next three");
        let schema = asked[0].0[0].form.schema().unwrap();
        assert_eq!(openings_asked(schema), Some(3));
        assert!(asked[0].0[0].messages[0].content.contains("with 3 messages of 3 different people"));
        assert!(!asked[0].0[0].messages[1].content.contains("person number"));
        assert!(asked[3].0[0].messages[1].content.contains("person number 4"));

        let reply = r#"{"openings": ["first one", "second one", "no"]}"#;
        let (_, rest) = asked.remove(1);
        let row = done(rest.resume(vec![replied(reply)]));
        let scenario: Scenario = serde_json::from_str(&row.lines[0]).unwrap();
        assert_eq!((scenario.opening.as_str(), scenario.written.unwrap().attempt), ("second one", 1));
        // The third is too short, and is drawn again by itself.
        let (_, rest) = asked.remove(1);
        let (again, rest) = asks(rest.resume(vec![replied(reply)]));
        assert_eq!(openings_asked(again[0].form.schema().unwrap()), None);
        let row = done(rest.resume(vec![replied(r#"{"opening": "third one"}"#)]));
        let scenario: Scenario = serde_json::from_str(&row.lines[0]).unwrap();
        assert_eq!((scenario.opening.as_str(), scenario.written.unwrap().attempt), ("third one", 2));
        assert_eq!(row.drawn.rejected, [Rejection::Length]);
        // A list of another length is asked for once more, and then each is drawn by itself.
        let (_, rest) = asked.remove(0);
        let (_, rest) = asks(rest.resume(vec![replied(r#"{"openings": ["one"]}"#)]));
        let (single, _) = asks(rest.resume(vec![replied("{}")]));
        assert_eq!(openings_asked(single[0].form.schema().unwrap()), None);
    }

    #[test]
    fn what_is_never_taken_is_missing_and_no_failure() {
        let (spec, cells) = several(1);
        let stage = GenerateStage::new(&spec);
        let (_, rest) = asks(stage.start(&cells[0].to_line()).unwrap());
        let (_, rest) = asks(rest.resume(vec![replied(r#"{"openings": ["no", "no", "no"]}"#)]));
        let row = done(rest.resume(vec![replied(r#"{"opening": "my mail is a@b.de"}"#)]));
        assert_eq!((row.lines.len(), &row.flaw), (0, &None));
        assert_eq!(row.drawn.rejected, [Rejection::Length, Rejection::PersonalData]);
        assert_eq!(row.drawn.missing, Some(cells[0].scenario.id.clone()));
    }

    #[test]
    fn a_row_may_begin_anew_where_it_nearly_repeats_another() {
        let (spec, cells) = several(1);
        let spec = Generate { near_duplicates: Some(near(None, Some(0.7), true)), ..spec };
        let stage = GenerateStage::new(&spec);
        let (first, rest) = asks(stage.start(&cells[0].to_line()).unwrap());
        let row = done(rest.resume(vec![replied(r#"{"openings": ["first one", "b", "c"]}"#)]));
        let (second, rest) = asks(stage.start(&row.drawn.again.unwrap()).unwrap());
        assert_ne!(first, second);
        let row = done(rest.resume(vec![replied(r#"{"opening": "another"}"#)]));
        assert_eq!(row.drawn.again, None, "two draws were all");
        let scenario: Scenario = serde_json::from_str(&row.lines[0]).unwrap();
        let written = scenario.written.unwrap();
        let Sampling::Seeded { seed, .. } = second[0].sampling else { panic!("it is drawn") };
        assert_eq!((written.attempt, written.seed), (2, seed));
    }
}
