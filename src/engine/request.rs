//! The plain data an engine takes and gives.

use std::fmt::Write as _;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::embed::{EMBED_VERSION, OPTIONS};
use super::{EmbedRequest, Identity, Question};
use crate::key::{Key, Recipe, to_canonical, write_canonical, write_canonical_text};

/// Raised when the same request would be put to a model in another way.
const CALL_VERSION: u32 = 1;

/// Who speaks in a [`Message`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Instructions.
    System,
    /// The person.
    User,
    /// The model.
    Assistant,
}

impl Role {
    /// The name that chat templates and HTTP interfaces use.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Assistant => "assistant",
        }
    }
}

/// One turn of a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// What is said, fully rendered.
    pub content: String,
}

impl Message {
    /// A turn of `role` that says `content`.
    pub fn new(role: Role, content: impl Into<String>) -> Self {
        Self { role, content: content.into() }
    }
}

/// How the next token is chosen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Sampling {
    /// Always the likeliest token (`temperature: 0`); no seed can change the reply.
    Greedy,
    /// Drawn from the distribution.
    Seeded {
        /// Above 0; 1 leaves the model's distribution as it is.
        temperature: f64,
        /// Nucleus: the smallest set of tokens whose probability reaches this, in (0, 1].
        top_p: f64,
        /// Seed of the draw.
        seed: u64,
    },
}

impl Sampling {
    /// The sampling that a stage's settings come to: at temperature 0 there is nothing to draw, so neither `top_p` nor
    /// `seed` is in it, and changing them asks nothing again.
    #[must_use]
    pub fn of(temperature: f64, top_p: f64, seed: u64) -> Self {
        if temperature > 0.0 { Self::Seeded { temperature, top_p, seed } } else { Self::Greedy }
    }

    /// The sampling of one of several independent samples: each is drawn with a seed of its own.
    #[must_use]
    pub fn repeated(self, repetition: u32) -> Self {
        match self {
            Self::Greedy => Self::Greedy,
            Self::Seeded { temperature, top_p, seed } => {
                Self::Seeded { temperature, top_p, seed: seed.wrapping_add(u64::from(repetition)) }
            }
        }
    }

    /// Reads what [`Self::recipe`] wrote; none where another version did.
    #[must_use]
    pub fn read(recipe: &Value) -> Option<Self> {
        if recipe == "greedy" {
            return Some(Self::Greedy);
        }
        let number = |name: &str| recipe.get(name)?.as_f64();
        let (temperature, top_p) = (number("temperature")?, number("top_p")?);
        Some(Self::Seeded { temperature, top_p, seed: recipe.get("seed")?.as_u64()? })
    }

    /// As it goes into recipes.
    #[must_use]
    pub fn recipe(self) -> Value {
        match self {
            Self::Greedy => json!("greedy"),
            Self::Seeded { temperature, top_p, seed } => {
                json!({ "temperature": temperature, "top_p": top_p, "seed": seed })
            }
        }
    }
}

/// A JSON schema that a reply must satisfy. Cheap to clone: one is shared by all rows of a stage.
#[derive(Debug, Clone, PartialEq)]
pub struct Schema {
    name: Arc<str>,
    json: Arc<Value>,
    /// The schema's canonical text, for keys: written once and not for each call.
    canonical: Arc<str>,
}

impl Schema {
    /// Takes a JSON schema, and a name for interfaces that ask for one: letters, digits, `_`.
    ///
    /// Members are generated in the order of `required`.
    #[must_use]
    pub fn new(name: &str, json: Value) -> Self {
        let canonical = to_canonical(&json).into();
        Self { name: name.into(), json: Arc::new(json), canonical }
    }

    /// The name. No part of a key: it says nothing to a model.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The JSON schema.
    #[must_use]
    pub fn json(&self) -> &Arc<Value> {
        &self.json
    }
}

/// Words of which the reply is one, each weighed by the model's own probability instead of being written out.
///
/// A token counts for a word if its text, without white space around it and in lower case, is the word or a beginning of
/// three letters or more of it, and of no other. Cheap to clone: one list is shared by all rows of a stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Words(Arc<[String]>);

impl Words {
    /// Takes the words, in lower case, at least two, none a beginning of another.
    #[must_use]
    pub fn new(words: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self(words.into_iter().map(Into::into).collect())
    }

    /// The words, in the order in which their probabilities are given.
    #[must_use]
    pub fn all(&self) -> &[String] {
        &self.0
    }

    /// The word that a token with this text begins, if it begins one and only one.
    #[must_use]
    pub fn begun_by(&self, token: &str) -> Option<usize> {
        let text = token.trim().to_lowercase();
        let begins = |word: &String| *word == text || (text.chars().count() >= 3 && word.starts_with(&text));
        let mut begun = (0..).zip(self.all()).filter(|(_, word)| begins(word)).map(|(index, _)| index);
        begun.next().filter(|_| begun.next().is_none())
    }
}

/// What a reply must look like.
#[derive(Debug, Clone, PartialEq)]
pub enum ReplyForm {
    /// Whatever the model writes.
    Free,
    /// A JSON document of this form.
    Schema(Schema),
    /// One of these words; nothing is generated, and the reply says how likely each was.
    Words(Words),
}

impl ReplyForm {
    /// The schema, where there is one.
    #[must_use]
    pub fn schema(&self) -> Option<&Schema> {
        match self {
            Self::Schema(schema) => Some(schema),
            Self::Free | Self::Words(_) => None,
        }
    }

    /// The words, where one of some is asked for.
    #[must_use]
    pub fn words(&self) -> Option<&Words> {
        match self {
            Self::Words(words) => Some(words),
            Self::Free | Self::Schema(_) => None,
        }
    }
}

/// One question to a model: with the engine's [`Identity`], all that decides the reply.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// The conversation so far, rendered; ends with a user turn.
    pub messages: Vec<Message>,
    /// How tokens are chosen.
    pub sampling: Sampling,
    /// Most tokens to generate.
    pub max_tokens: u32,
    /// What the reply must look like.
    pub form: ReplyForm,
    /// Which of several independent samples this is, from 0.
    pub repetition: u32,
}

impl Request {
    /// The recipe of the call: this request put to that engine. Where only the key is wanted, [`CallKeys`] is quicker.
    #[must_use]
    pub fn recipe(&self, identity: &Identity) -> Recipe {
        // Without `..`: a new field does not compile until it is in the key.
        let Self { messages, sampling, max_tokens, form, repetition } = self;
        let schema = form.schema().map(|Schema { name: _, json, canonical: _ }| json.as_ref());
        let mut fields = json!({
            "engine": identity.0,
            "messages": messages,
            "sampling": sampling.recipe(),
            "max_tokens": max_tokens,
            "schema": schema,
            "repetition": repetition,
        });
        if let ReplyForm::Words(Words(words)) = form {
            fields["words"] = json!(words);
        }
        Recipe::new("call", CALL_VERSION, fields)
    }
}

/// Makes the keys of the calls to one engine: those that [`Request::recipe`] gives, without building a recipe for each.
///
/// A run asks for the key of every call, hundreds of thousands of times, mostly to find that the reply is in the store.
#[derive(Debug, Clone)]
pub struct CallKeys {
    /// The canonical text up to the first value that a request decides.
    before: String,
    behind: String,
    /// The same of requests for embeddings.
    embed_before: String,
    embed_behind: String,
    /// For what is asked seldom.
    identity: Identity,
}

impl CallKeys {
    /// Takes what answers; its canonical text is written once.
    #[must_use]
    pub fn new(identity: &Identity) -> Self {
        let mut engine = "{\"engine\":".to_owned();
        write_canonical(&identity.0, &mut engine);
        let [mut before, behind] = Recipe::around_fields("call", CALL_VERSION);
        push(&mut before, format_args!("{engine},\"max_tokens\":"));
        let [mut embed_before, embed_behind] = Recipe::around_fields("embed", EMBED_VERSION);
        push(&mut embed_before, format_args!("{engine},\"options\":{OPTIONS},\"text\":"));
        Self { before, behind, embed_before, embed_behind, identity: identity.clone() }
    }

    /// The key of a call of either sort.
    #[must_use]
    pub fn of(&self, question: &Question) -> Key {
        match question {
            Question::Complete { seat: _, request } => self.key(request),
            Question::Embed(request) => self.embed_key(request),
            Question::Run(request) => request.recipe(&self.identity).key(),
        }
    }

    /// The key of the call: this text put to that engine to be embedded.
    #[must_use]
    pub fn embed_key(&self, request: &EmbedRequest) -> Key {
        // Without `..`: a new field does not compile until it is in the key.
        let EmbedRequest { text } = request;
        let mut out = self.embed_before.clone();
        write_canonical_text(text, &mut out);
        out.push('}');
        out.push_str(&self.embed_behind);
        Key::of_canonical(&out)
    }

    /// The key of the call: this request put to that engine.
    #[must_use]
    pub fn key(&self, request: &Request) -> Key {
        Key::of_canonical(&self.canonical(request))
    }

    /// Writes the members in the order of their names, as canonical JSON has them.
    fn canonical(&self, request: &Request) -> String {
        // Without `..`: a new field does not compile until it is in the key.
        let Request { messages, sampling, max_tokens, form, repetition } = request;
        let text: usize = messages.iter().map(|message| message.content.len() + message.content.len() / 16 + 40).sum();
        let schema = form.schema().map_or("null", |Schema { name: _, json: _, canonical }| canonical);
        let mut out = String::with_capacity(self.before.len() + text + schema.len() + self.behind.len() + 160);
        out.push_str(&self.before);
        push(&mut out, format_args!("{max_tokens},\"messages\":["));
        for (index, Message { role, content }) in messages.iter().enumerate() {
            out.push_str(if index > 0 { ",{\"content\":" } else { "{\"content\":" });
            write_canonical_text(content, &mut out);
            out.push_str(",\"role\":");
            write_canonical_text(role.as_str(), &mut out);
            out.push('}');
        }
        push(&mut out, format_args!("],\"repetition\":{repetition},\"sampling\":"));
        match sampling {
            Sampling::Greedy => out.push_str("\"greedy\""),
            sampling @ Sampling::Seeded { .. } => write_canonical(&sampling.recipe(), &mut out),
        }
        out.push_str(",\"schema\":");
        out.push_str(schema);
        if let ReplyForm::Words(Words(words)) = form {
            for (index, word) in words.iter().enumerate() {
                out.push_str(if index > 0 { "," } else { ",\"words\":[" });
                write_canonical_text(word, &mut out);
            }
            out.push(']');
        }
        out.push('}');
        out.push_str(&self.behind);
        out
    }
}

fn push(out: &mut String, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("a String takes any text");
}

/// Why a reply ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Finish {
    /// The model was done.
    Stop,
    /// `max_tokens` was reached first.
    Length,
}

/// Tokens that one call took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Tokens of the rendered prompt.
    pub prompt_tokens: u32,
    /// Of these, tokens whose computation was shared with an earlier request.
    pub cached_tokens: u32,
    /// Tokens generated.
    pub completion_tokens: u32,
}

/// What a model answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reply {
    /// The text, raw: parsing is left to whoever asked.
    pub text: String,
    /// Why it ended.
    pub finish: Finish,
    /// Tokens it took.
    pub usage: Usage,
    /// Time the engine worked on it, in milliseconds: without waiting in a queue or between retries.
    pub elapsed_ms: u64,
    /// What the model thought before it answered, where it says so: no part of the text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<String>,
    /// How likely each word was, where words were asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weighed: Option<Weighed>,
}

/// How likely a model was to answer with each of some words.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Weighed {
    /// The probability of each word among all tokens, in the order of [`Words::all`]; what is missing to 1 was neither.
    pub probabilities: Vec<f64>,
    /// The texts of the tokens that were counted for each word, the likeliest first.
    pub tokens: Vec<Vec<String>>,
}

impl Reply {
    /// A reply that is a text and nothing else.
    #[must_use]
    pub fn new(text: impl Into<String>, finish: Finish, usage: Usage, elapsed_ms: u64) -> Self {
        Self { text: text.into(), finish, usage, elapsed_ms, reasoning: None, weighed: None }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text() -> impl Strategy<Value = String> {
        "(\\PC|[\\x00-\\x7f]){0,40}"
    }

    fn message() -> impl Strategy<Value = Message> {
        let role = prop_oneof![Just(Role::System), Just(Role::User), Just(Role::Assistant)];
        (role, text()).prop_map(|(role, content)| Message { role, content })
    }

    fn sampling() -> impl Strategy<Value = Sampling> {
        let number = || prop_oneof![any::<f64>(), 0.0..2.0_f64, Just(1.0), Just(-0.0)];
        let seeded = (number(), number(), any::<u64>());
        prop_oneof![
            Just(Sampling::Greedy),
            seeded.prop_map(|(temperature, top_p, seed)| Sampling::Seeded { temperature, top_p, seed }),
        ]
    }

    fn form() -> impl Strategy<Value = ReplyForm> {
        let json = prop::collection::btree_map(
            text(),
            prop_oneof![text().prop_map(Value::from), any::<u8>().prop_map(Value::from)],
            0..4,
        );
        prop_oneof![
            Just(ReplyForm::Free),
            (text(), json)
                .prop_map(|(name, json)| ReplyForm::Schema(Schema::new(&name, json!({ "z": json, "a": [2, 1] })))),
            prop::collection::vec(text(), 1..4).prop_map(|words| ReplyForm::Words(Words::new(words))),
        ]
    }

    #[test]
    fn tokens_begin_words() {
        let words = Words::new(["pass", "fail", "not_applicable"]);
        let check = |token: &str, expected: Option<usize>| assert_eq!(words.begun_by(token), expected, "{token:?}");
        check("pass", Some(0));
        check(" Pass", Some(0));
        check("FAIL\n", Some(1));
        check("not", Some(2));
        check("No", None);
        check("pa", None);
        check("passes", None);
        check("", None);
        assert_eq!(Words::new(["passable", "passing"]).begun_by("pass"), None);
    }

    proptest! {
        /// The two ways to a key are written apart, so one holds the other.
        #[test]
        fn the_quick_way_writes_the_same_text(
            messages in prop::collection::vec(message(), 0..4), sampling in sampling(), max_tokens in any::<u32>(),
            form in form(), repetition in any::<u32>(), name in text(),
        ) {
            let identity = Identity(json!({ "model": name, "engine": "x", "list": [1, null, { "b": 1.5, "a": true }] }));
            let request = Request { messages, sampling, max_tokens, form, repetition };
            let recipe = request.recipe(&identity);
            let keys = CallKeys::new(&identity);
            prop_assert_eq!(keys.canonical(&request), recipe.canonical());
            prop_assert_eq!(keys.key(&request), recipe.key());
        }
    }
}
