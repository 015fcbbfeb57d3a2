//! `generate`: makes scenarios of a taxonomy, the authored ones as they are, the others by asking a writer; or takes those
//! of a file.
//!
//! [`cells`] decides which scenarios a taxonomy comes to, [`Lines`] reads those of a file; [`GenerateStage`] makes each of
//! them.

mod cells;
mod file;
mod rows;

pub use cells::{Brief, Cell, Cells, cells};
pub use file::{Checked, Lines, ScenarioFileError, check as check_file};
pub use rows::{Rows, rows};

use serde::Deserialize;
use serde_json::{Value, json};

use crate::data::Scenario;
use crate::engine::{Message, Reply, ReplyForm, Request, Role, Sampling, Schema};
use crate::ids::ScenarioId;
use crate::judge::{ParseError, ask_again, read_object};
use crate::spec::{Expand, Generate, GenerateFrom, Template};
use crate::stage::row::{Asked, CallFailure, Flaw, Resume, Row, RowError, RowStage, Step, only, read, write};

/// Raised when the same fields and inputs would give other rows.
pub const VERSION: u32 = 1;

/// Longest opening that a writer may write, in characters: more than a long paragraph.
const LONGEST_OPENING: usize = 1500;

/// Enough tokens for [`LONGEST_OPENING`] in most languages.
const WRITER_TOKENS: u32 = 800;

/// A mild spread: with the seed of the cell, instances differ and yet keep to their style.
const WRITER_TEMPERATURE: f64 = 0.8;
const WRITER_TOP_P: f64 = 0.95;

const WRITER_INSTRUCTIONS: &str = "\
You write test messages as real people would send them. Answer with one JSON object and nothing else: \
{\"opening\": \"the message\"}";

/// The stage's own fields, as they go into its recipe; who writes is added by the caller.
#[must_use]
pub fn fields(spec: &Generate) -> Value {
    let Generate { from, limit } = spec;
    let mut fields = match from {
        GenerateFrom::File(_) => json!({}),
        GenerateFrom::Taxonomy(expand) => {
            let Expand { taxonomy, styles, count, seed, writer: _ } = expand.as_ref();
            json!({ "taxonomy": taxonomy, "styles": styles, "count": count, "seed": seed })
        }
    };
    if let Some(limit) = limit {
        fields["limit"] = json!(limit);
    }
    fields
}

/// Cells → scenarios.
#[derive(Debug)]
pub struct GenerateStage {
    prompt: Option<Template>,
    schema: Schema,
    seed: u64,
}

impl GenerateStage {
    /// Takes what the stage needs of its checked form.
    #[must_use]
    pub fn new(spec: &Generate) -> Self {
        let json = json!({
            "type": "object",
            "properties": { "opening": { "type": "string", "minLength": 1, "maxLength": LONGEST_OPENING } },
            "required": ["opening"],
            "additionalProperties": false,
        });
        let schema = Schema::new("opening", json);
        let expand = spec.expand();
        let prompt = expand.and_then(|expand| expand.taxonomy.writer_prompt.clone());
        Self { prompt, schema, seed: expand.map_or(0, |expand| expand.seed) }
    }

    fn request(&self, id: &ScenarioId, brief: &Brief) -> Result<Request, CallFailure> {
        let prompt = match &self.prompt {
            None => default_prompt(brief),
            Some(template) => template
                .render(brief)
                .map_err(|error| CallFailure { kind: "template".to_owned(), message: error.to_string() })?,
        };
        let [a, b, c, d, e, f, g, h, ..] = cells::draw("writer", self.seed, id.as_str());
        let sampling = Sampling::Seeded {
            temperature: WRITER_TEMPERATURE,
            top_p: WRITER_TOP_P,
            // Servers take a seed as a signed number.
            seed: u64::from_le_bytes([a, b, c, d, e, f, g, h]) >> 1,
        };
        Ok(Request {
            messages: vec![Message::new(Role::System, WRITER_INSTRUCTIONS), Message::new(Role::User, prompt)],
            sampling,
            max_tokens: WRITER_TOKENS,
            form: ReplyForm::Schema(self.schema.clone()),
            repetition: 0,
        })
    }
}

fn default_prompt(brief: &Brief) -> String {
    let Brief { topic, subtopic, style, style_description, index } = brief;
    let other = if *index > 1 {
        format!("\nThis is person number {index}: their life and their words are unlike the others'.")
    } else {
        String::new()
    };
    format!(
        "Topic: {topic}\nMore exactly: {subtopic}\nStyle: {style}. {style_description}{other}\n\n\
         Write the first message that a person with this on their mind would send. Only the message: no title, no \
         quotation marks around it, no explanation."
    )
}

impl RowStage for GenerateStage {
    fn start(&self, line: &str) -> Result<Step, RowError> {
        let Cell { scenario, brief } = read(line, "a cell of a taxonomy")?;
        let Some(brief) = brief else { return Ok(Step::Done(Row::new(vec![write(&scenario)], None))) };
        Ok(match self.request(&scenario.id, &brief) {
            Ok(request) => Step::Ask(vec![request.clone()], Box::new(Writing { scenario, request, again: false })),
            Err(failure) => Step::Done(nothing(&scenario, &failure)),
        })
    }
}

/// A scenario without an opening is no scenario: the table has no line for it.
fn nothing(scenario: &Scenario, why: &dyn std::fmt::Display) -> Row {
    Row::new(Vec::new(), Some(Flaw::Failed(format!("{}: {why}", scenario.id))))
}

struct Writing {
    scenario: Scenario,
    request: Request,
    again: bool,
}

impl Resume for Writing {
    fn resume(self: Box<Self>, answers: Vec<Asked>) -> Step {
        let Self { scenario, request, again } = *self;
        let reply = match only(answers) {
            Asked::Replied(reply) => reply,
            Asked::Failed(failure) => return Step::Done(nothing(&scenario, &failure)),
        };
        match read_opening(&reply) {
            Ok(opening) => Step::Done(Row::new(vec![write(&Scenario { opening, ..scenario })], None)),
            Err(why) if again => Step::Done(nothing(&scenario, &why)),
            Err(why) => {
                let request = Request { messages: ask_again(request.messages, &reply.text, &why), ..request };
                Step::Ask(vec![request.clone()], Box::new(Self { scenario, request, again: true }))
            }
        }
    }
}

fn read_opening(reply: &Reply) -> Result<String, ParseError> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Written {
        opening: String,
    }
    let Written { opening } = read_object(&reply.text, reply.finish)?;
    let wrong = |found: &str, allowed| ParseError::Value { member: "opening", found: found.to_owned(), allowed };
    match opening.trim() {
        "" => Err(wrong("empty", "a message")),
        text if text.chars().count() > LONGEST_OPENING => Err(wrong("too long", "at most 1500 characters")),
        text => Ok(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use indexmap::IndexMap;

    use super::cells::tests::spec;
    use super::*;
    use crate::data::Origin;
    use crate::ids::ModelName;
    use crate::spec::ModelRef;
    use crate::stage::row::tests::{asks, done, failed, replied};

    const NAMES: &[&str] = &["topic", "subtopic", "style", "style_description", "index"];

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

        let other = Expand { writer: Some(ModelRef::Declared(ModelName::new("w").unwrap())), ..base() };
        assert_eq!(fields(&other), fields(&base()));
        let limited = Generate { limit: Some(2), ..Generate::of(base()) };
        assert_eq!(super::fields(&limited)["limit"], 2);
        assert!(
            fields(&base()).get("limit").is_none(),
            "a run without a limit has the key it had before there were any"
        );
    }
}
