//! How a writer is asked for openings, one or several at a time, and what is done with what it writes.
//!
//! An opening that is not taken is drawn again with another seed, so many times. Rows of one cell that are asked for together
//! put the very same request, so that it is one call. Start at [`Writing::begin`].

use std::fmt::Write as _;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::json;

use super::cells::draw;
use super::{Brief, BriefValue, Cell, Setup, left_out, made, nothing, reject};
use crate::data::{Scenario, Written};
use crate::engine::{Message, Reply, ReplyForm, Request, Role, Sampling, Schema};
use crate::judge::{ParseError, ask_again, read_object};
use crate::key::Recipe;
use crate::spec::{Generate, Template, Writer, WriterOptions};
use crate::stage::row::{Asked, CallFailure, Drawn, Resume, Row, Step, only};

/// Longest opening that a writer may write, in characters: more than a long paragraph.
const LONGEST_OPENING: usize = 1500;

/// Enough tokens for [`LONGEST_OPENING`] in most languages.
const WRITER_TOKENS: u32 = 800;

/// Most tokens of a reply with several openings.
const MOST_TOKENS: u32 = 32_768;

/// A mild spread: with the seed of the cell, instances differ and yet keep to their style.
const WRITER_TEMPERATURE: f64 = 0.8;
const WRITER_TOP_P: f64 = 0.95;

const INSTRUCTIONS: &str = "\
You write test messages as real people would send them. Answer with one JSON object and nothing else: \
{\"opening\": \"the message\"}";

/// The name of a schema that asks for several openings.
const SEVERAL: &str = "openings";

/// Raised when what a writer is told is put together otherwise.
const GENERATOR_VERSION: u32 = 1;

/// How a stage's writer is asked.
#[derive(Debug)]
pub(super) struct Manner {
    prompt: Option<Template>,
    one: Schema,
    several: Schema,
    /// Openings of a cell that are asked for at once.
    batch: usize,
    /// Draws of an opening before its scenario is given up.
    attempts: u32,
    seed: u64,
    /// Whether scenarios say how they were written.
    tells: bool,
    /// Whether an opening may be found to nearly repeat another only when it is there.
    may_come_again: bool,
}

impl Manner {
    pub(super) fn of(spec: &Generate) -> Self {
        let opening = json!({ "type": "string", "minLength": 1, "maxLength": LONGEST_OPENING });
        let expand = spec.expand();
        let options = expand.and_then(|expand| match &expand.writer {
            Some(Writer { model: _, options }) => options.as_ref(),
            None => None,
        });
        let own = options.and_then(|options| options.prompt.clone());
        let of_taxonomy = || expand.and_then(|expand| expand.taxonomy.writer_prompt.clone());
        let choosy = spec.is_choosy();
        let (batch, attempts) = match options {
            Some(WriterOptions { prompt: _, batch, attempts }) => (*batch, *attempts),
            // Without a reason to draw again, one that cannot be read is asked for once more, and that is all.
            None => (1, if choosy { Writer::ATTEMPTS } else { 1 }),
        };
        let object = |member: &str, value: serde_json::Value| {
            json!({
                "type": "object",
                "properties": { member: value },
                "required": [member],
                "additionalProperties": false,
            })
        };
        let list = json!({ "type": "array", "items": opening, "minItems": batch, "maxItems": batch });
        Self {
            prompt: own.or_else(of_taxonomy),
            one: Schema::new("opening", object("opening", opening)),
            several: Schema::new(SEVERAL, object("openings", list)),
            batch,
            attempts,
            seed: expand.map_or(0, |expand| expand.seed),
            tells: options.is_some() || choosy,
            may_come_again: spec.near_duplicates.as_ref().is_some_and(|near| near.rejects),
        }
    }

    /// Whether the draw of a cell is one of several that are asked for at once: the first is.
    fn is_batch(&self, cell: &Cell) -> bool {
        self.batch > 1 && cell.attempt == 1
    }

    fn request(&self, cell: &Cell, brief: &Brief) -> Result<Request, CallFailure> {
        let is_batch = self.is_batch(cell);
        let (own, place) = (cell.scenario.id.as_str(), cell.place % self.batch);
        // All rows that are asked for at once are told the same.
        let brief = &Brief { index: if is_batch { brief.index - place } else { brief.index }, ..brief.clone() };
        let prompt = match &self.prompt {
            None => default_prompt(brief),
            Some(template) => template
                .render(brief)
                .map_err(|error| CallFailure { kind: "template".to_owned(), message: error.to_string() })?,
        };
        let (name, instructions) = if is_batch {
            (format!("{}#{}", cell.form(), cell.place / self.batch), several_instructions(self.batch))
        } else if cell.attempt > 1 {
            (format!("{own}#{}", cell.attempt), INSTRUCTIONS.to_owned())
        } else {
            (own.to_owned(), INSTRUCTIONS.to_owned())
        };
        let [a, b, c, d, e, f, g, h, ..] = draw(if is_batch { "batch" } else { "writer" }, self.seed, &name);
        let sampling = Sampling::Seeded {
            temperature: WRITER_TEMPERATURE,
            top_p: WRITER_TOP_P,
            // Servers take a seed as a signed number.
            seed: u64::from_le_bytes([a, b, c, d, e, f, g, h]) >> 1,
        };
        let times = if is_batch { u32::try_from(self.batch).unwrap_or(u32::MAX) } else { 1 };
        Ok(Request {
            messages: vec![Message::new(Role::System, instructions), Message::new(Role::User, prompt)],
            sampling,
            max_tokens: WRITER_TOKENS.saturating_mul(times).min(MOST_TOKENS),
            form: ReplyForm::Schema(if is_batch { self.several.clone() } else { self.one.clone() }),
            repetition: 0,
        })
    }
}

fn several_instructions(count: usize) -> String {
    format!(
        "You write test messages as real people would send them. Answer with one JSON object and nothing else: \
         {{\"openings\": [\"the first message\", \"the second message\"]}}, with {count} messages of {count} different \
         people, whose lives and whose words are unlike each other's."
    )
}

fn default_prompt(brief: &Brief) -> String {
    let Brief { topic, subtopic, style, style_description, index, axes } = brief;
    let mut values = String::new();
    for (axis, BriefValue { value, description }) in axes {
        write!(values, "\n{axis}: {value}. {description}").expect("a String takes any text");
    }
    let other = if *index > 1 {
        format!("\nThis is person number {index}: their life and their words are unlike the others'.")
    } else {
        String::new()
    };
    format!(
        "Topic: {topic}\nMore exactly: {subtopic}\nStyle: {style}. {style_description}{values}{other}\n\n\
         Write the first message that a person with this on their mind would send. Only the message: no title, no \
         quotation marks around it, no explanation."
    )
}

/// How many openings a schema of a writer's asks for at once; none where it asks for one.
#[must_use]
pub fn openings_asked(schema: &Schema) -> Option<usize> {
    let count = schema.json().pointer("/properties/openings/minItems")?.as_u64()?;
    usize::try_from(count).ok().filter(|_| schema.name() == SEVERAL)
}

/// What the writer was told and how its words are drawn, without the seed.
fn written(request: &Request, attempt: u32) -> Written {
    let Request { messages, sampling, max_tokens, form, repetition: _ } = request;
    let (seed, drawn) = match sampling {
        Sampling::Seeded { temperature, top_p, seed } => (*seed, json!({ "temperature": temperature, "top_p": top_p })),
        Sampling::Greedy => (0, json!("greedy")),
    };
    let schema = form.schema().map(|schema| schema.json().as_ref().clone());
    let fields = json!({ "messages": messages, "sampling": drawn, "max_tokens": max_tokens, "schema": schema });
    Written { generator: Recipe::new("writer", GENERATOR_VERSION, fields).key(), seed, attempt }
}

/// A scenario whose opening is being written.
pub(super) struct Writing {
    setup: Arc<Setup>,
    cell: Cell,
    /// What is asked; the writer may be asked once more on top of it.
    first: Request,
    asked: Request,
    is_second: bool,
    drawn: Drawn,
}

impl Writing {
    /// Asks for the opening of a cell that has none.
    pub(super) fn begin(setup: &Arc<Setup>, cell: Cell) -> Step {
        Self::draw(Arc::clone(setup), cell, Drawn::default())
    }

    fn draw(setup: Arc<Setup>, cell: Cell, drawn: Drawn) -> Step {
        let brief = cell.brief.as_ref().expect("it is to be written");
        match setup.writing.request(&cell, brief) {
            Ok(first) => {
                let asked = first.clone();
                Step::ask([first.clone()], Box::new(Self { setup, cell, first, asked, is_second: false, drawn }))
            }
            Err(failure) => Step::Done(nothing(&cell.scenario, &failure, drawn)),
        }
    }

    /// Draws once more; `otherwise` says what becomes of the scenario if it may not be.
    fn next(self, otherwise: impl FnOnce(&Scenario, Drawn) -> Row) -> Step {
        let Self { setup, cell, first: _, asked: _, is_second: _, drawn } = self;
        if cell.attempt >= setup.writing.attempts {
            return Step::Done(otherwise(&cell.scenario, drawn));
        }
        Self::draw(setup, Cell { attempt: cell.attempt + 1, ..cell }, drawn)
    }

    fn unreadable(mut self, reply: &Reply, why: &ParseError) -> Step {
        if self.is_second {
            return self.next(|scenario, drawn| nothing(scenario, why, drawn));
        }
        self.is_second = true;
        self.asked = Request { messages: ask_again(self.asked.messages, &reply.text, why), ..self.asked };
        Step::ask([self.asked.clone()], Box::new(self))
    }

    fn took(mut self, opening: String) -> Step {
        let manner = &self.setup.writing;
        let scenario = Scenario { opening, ..self.cell.scenario.clone() };
        let rejection =
            self.setup.rules.as_ref().and_then(|rules| reject::rejection(rules, &scenario, &self.first.messages));
        if let Some(rejection) = rejection {
            self.drawn.rejected.push(rejection);
            return self.next(left_out);
        }
        let written = manner.tells.then(|| written(&self.first, self.cell.attempt));
        if manner.may_come_again && self.cell.attempt < manner.attempts {
            let attempt = self.cell.attempt + 1;
            self.drawn.again = Some(Cell { attempt, ..self.cell.clone() }.to_line());
        }
        made(Scenario { written, ..scenario }, self.setup.embeds, self.drawn)
    }
}

impl Resume for Writing {
    fn resume(self: Box<Self>, answers: Vec<Asked>) -> Step {
        let own = *self;
        let reply = match only(answers).replied() {
            Ok(reply) => reply,
            Err(failure) => return Step::Done(nothing(&own.cell.scenario, &failure, own.drawn)),
        };
        let manner = &own.setup.writing;
        let opening = if manner.is_batch(&own.cell) {
            read_openings(&reply, manner.batch).map(|mut all| all.swap_remove(own.cell.place % manner.batch))
        } else {
            read_opening(&reply)
        };
        match opening {
            Ok(opening) => own.took(opening),
            Err(why) => own.unreadable(&reply, &why),
        }
    }
}

fn wrong(member: &'static str, found: &str, allowed: &'static str) -> ParseError {
    ParseError::Value { member, found: found.to_owned(), allowed }
}

fn checked(member: &'static str, opening: &str) -> Result<String, ParseError> {
    match opening.trim() {
        "" => Err(wrong(member, "empty", "a message")),
        text if text.chars().count() > LONGEST_OPENING => Err(wrong(member, "too long", "at most 1500 characters")),
        text => Ok(text.to_owned()),
    }
}

fn read_opening(reply: &Reply) -> Result<String, ParseError> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct One {
        opening: String,
    }
    let One { opening } = read_object(&reply.text, reply.finish)?;
    checked("opening", &opening)
}

fn read_openings(reply: &Reply, count: usize) -> Result<Vec<String>, ParseError> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Several {
        openings: Vec<String>,
    }
    let Several { openings } = read_object(&reply.text, reply.finish)?;
    if openings.len() != count {
        return Err(wrong("openings", "a list of another length", "as many messages as were asked for"));
    }
    openings.iter().map(|opening| checked("openings", opening)).collect()
}
