//! The form of a request body: which members a server takes, as learned from what it refuses.
//!
//! Owns the body's layout. A form only ever moves towards asking for less, so learning comes to an end. Never sends
//! anything; start at [`Form::body`].

use serde_json::{Map, Value, json};

use super::complaint::Complaint;
use crate::engine::{Request, Sampling};

/// What is left out of, or put differently in, the bodies for one server.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Form {
    /// `max_completion_tokens` instead of `max_tokens`.
    completion_tokens: bool,
    without_temperature: bool,
    without_top_p: bool,
    without_seed: bool,
    format: Format,
    probabilities: Probabilities,
}

/// How a schema is asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Format {
    /// As it is.
    #[default]
    Schema,
    /// As any JSON object.
    Object,
    /// Not at all: the prompt must do.
    Nothing,
}

/// How the probabilities of tokens are asked for, where words are to be weighed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Probabilities {
    /// Those of the twenty likeliest tokens, the most that common servers tell.
    #[default]
    Many,
    /// Those of the five likeliest, the most that some tell.
    Few,
    /// Not at all: the server does not tell them.
    Untold,
}

impl Probabilities {
    fn tokens(self) -> Option<u32> {
        match self {
            Self::Many => Some(20),
            Self::Few => Some(5),
            Self::Untold => None,
        }
    }
}

/// Parameters that servers are known to refuse.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Parameter {
    MaxTokens,
    Temperature,
    TopP,
    Seed,
    Format,
    Logprobs,
    TopLogprobs,
}

impl Parameter {
    const ALL: [Self; 7] =
        [Self::MaxTokens, Self::Temperature, Self::TopP, Self::Seed, Self::Format, Self::Logprobs, Self::TopLogprobs];

    /// What complaints call it; the first is the member of the body.
    fn names(self) -> &'static [&'static str] {
        match self {
            Self::MaxTokens => &["max_tokens"],
            Self::Temperature => &["temperature"],
            Self::TopP => &["top_p"],
            Self::Seed => &["seed"],
            Self::Format => &[
                "response_format",
                "json_schema",
                "json_object",
                "json schema",
                "guided_json",
                "guided",
                "structured output",
                "structured outputs",
                "structured_outputs",
            ],
            Self::Logprobs => &["logprobs", "log probabilities"],
            Self::TopLogprobs => &["top_logprobs"],
        }
    }
}

impl Form {
    /// The body that asks `model` for `request` in this form.
    pub(super) fn body(self, model: &str, request: &Request) -> Value {
        let mut body = Map::new();
        body.insert("model".to_owned(), json!(model));
        body.insert("messages".to_owned(), json!(request.messages));
        body.insert("stream".to_owned(), json!(false));
        if self.completion_tokens {
            body.insert("max_completion_tokens".to_owned(), json!(request.max_tokens));
        }
        for parameter in Parameter::ALL {
            if let Some(value) = self.value(parameter, request) {
                body.insert(parameter.names()[0].to_owned(), value);
            }
        }
        Value::Object(body)
    }

    /// The value that is sent for a parameter, if it is sent.
    fn value(self, parameter: Parameter, request: &Request) -> Option<Value> {
        match (parameter, request.sampling) {
            (Parameter::MaxTokens, _) => (!self.completion_tokens).then(|| json!(request.max_tokens)),
            (Parameter::Temperature, _) if self.without_temperature => None,
            (Parameter::Temperature, Sampling::Greedy) => Some(json!(0)),
            (Parameter::Temperature, Sampling::Seeded { temperature, .. }) => Some(json!(temperature)),
            (Parameter::TopP | Parameter::Seed, Sampling::Greedy) => None,
            (Parameter::TopP, Sampling::Seeded { top_p, .. }) => (!self.without_top_p).then(|| json!(top_p)),
            (Parameter::Seed, Sampling::Seeded { seed, .. }) => {
                (!self.without_seed).then(|| json!(seed_of(seed, request.repetition)))
            }
            (Parameter::Format, _) => {
                let schema = request.form.schema()?;
                match self.format {
                    Format::Schema => Some(json!({
                        "type": "json_schema",
                        "json_schema": { "name": schema.name(), "schema": schema.json().as_ref(), "strict": true },
                    })),
                    Format::Object => Some(json!({ "type": "json_object" })),
                    Format::Nothing => None,
                }
            }
            (Parameter::Logprobs, _) => {
                let told = request.form.words().and_then(|_| self.probabilities.tokens());
                told.map(|_| json!(true))
            }
            (Parameter::TopLogprobs, _) => {
                let told = request.form.words().and_then(|_| self.probabilities.tokens());
                told.map(|tokens| json!(tokens))
            }
        }
    }

    /// Whether the server may tell how likely its tokens are: not found out otherwise yet.
    pub(super) fn tells_probabilities(self) -> bool {
        self.probabilities != Probabilities::Untold
    }

    /// The form for a server that was asked for the probabilities of its tokens and told none, and what is different in it.
    pub(super) fn without_probabilities(self) -> (Self, &'static str) {
        let change = "words cannot be weighed, since it does not tell how likely its tokens are";
        (Self { probabilities: Probabilities::Untold, ..self }, change)
    }

    /// The next form to try after `complaint`, and what is different in it; `None` if the complaint is about something else.
    pub(super) fn after(self, request: &Request, complaint: &Complaint) -> Option<(Self, &'static str)> {
        // OpenAI forbids to ask some models for probabilities, under the status that it has for a wrong key.
        let forbidden = complaint.status.as_u16() == 403 && request.form.words().is_some();
        if !matches!(complaint.status.as_u16(), 400 | 404 | 422) && !forbidden {
            return None;
        }
        let refused = self.refused(request, complaint)?;
        if forbidden && !matches!(refused, Parameter::Logprobs | Parameter::TopLogprobs) {
            return None;
        }
        let mut next = self;
        let change = match refused {
            Parameter::MaxTokens => {
                next.completion_tokens = true;
                "`max_completion_tokens` is sent instead of `max_tokens`"
            }
            Parameter::Temperature => {
                next.without_temperature = true;
                "`temperature` is left out, so replies may differ from run to run"
            }
            Parameter::TopP => {
                next.without_top_p = true;
                "`top_p` is left out"
            }
            Parameter::Seed => {
                next.without_seed = true;
                "`seed` is left out, so replies may differ from run to run"
            }
            Parameter::Format if self.format == Format::Schema => {
                next.format = Format::Object;
                "`response_format` asks for any JSON object instead of the schema"
            }
            Parameter::Format => {
                next.format = Format::Nothing;
                "`response_format` is left out"
            }
            Parameter::TopLogprobs if self.probabilities == Probabilities::Many => {
                next.probabilities = Probabilities::Few;
                "`top_logprobs` asks for 5 tokens instead of 20"
            }
            Parameter::Logprobs | Parameter::TopLogprobs => return Some(self.without_probabilities()),
        };
        Some((next, change))
    }

    /// The parameter that the server does not take, among those that were sent.
    fn refused(self, request: &Request, complaint: &Complaint) -> Option<Parameter> {
        let sent = |parameter: &Parameter| self.value(*parameter, request).is_some();
        let text = complaint.text.to_lowercase();
        let by_code = matches!(complaint.code.as_deref(), Some("unsupported_parameter" | "unsupported_value"));
        let unsupported = by_code || says_unsupported(&text);

        if let Some(named) = complaint.param.as_deref() {
            let is_named = |parameter: &Parameter| {
                parameter.names().iter().any(|name| named == *name || named.starts_with(&format!("{name}.")))
            };
            if let Some(parameter) = Parameter::ALL.into_iter().find(is_named) {
                return Some(parameter).filter(sent).filter(|_| unsupported || self.is_last_resort(parameter, &text));
            }
        }
        // A message may go on to list what is supported; what it complains about comes first.
        let first_named = Parameter::ALL
            .into_iter()
            .filter(sent)
            .filter_map(|parameter| {
                parameter.names().iter().filter_map(|name| find_word(&text, name)).min().map(|at| (at, parameter))
            })
            .min_by_key(|(at, _)| *at);
        let (_, parameter) = first_named?;
        match parameter {
            // Its value is refused in many ways, in which the other name does not help.
            Parameter::MaxTokens if !by_code && !text.contains("max_completion_tokens") => None,
            // Two that exclude each other: the temperature says more.
            Parameter::Temperature if text.contains("cannot both") => Some(Parameter::TopP).filter(sent),
            Parameter::MaxTokens
            | Parameter::Temperature
            | Parameter::TopP
            | Parameter::Seed
            | Parameter::Format
            | Parameter::Logprobs
            | Parameter::TopLogprobs => {
                Some(parameter).filter(|_| unsupported || self.is_last_resort(parameter, &text))
            }
        }
    }

    /// Whether a complaint is one about what is asked for here, though it does not say so: that the schema itself is wrong
    /// is the user's to know, but the request for just any object holds nothing of the user's, and neither do those for
    /// probabilities.
    fn is_last_resort(self, parameter: Parameter, text: &str) -> bool {
        match parameter {
            Parameter::Format => {
                self.format == Format::Object || text.contains("must be") || text.contains("supported values are")
            }
            Parameter::Logprobs | Parameter::TopLogprobs => true,
            Parameter::MaxTokens | Parameter::Temperature | Parameter::TopP | Parameter::Seed => false,
        }
    }

    /// The form that leaves out what either leaves out.
    pub(super) fn join(self, other: Self) -> Self {
        Self {
            completion_tokens: self.completion_tokens || other.completion_tokens,
            without_temperature: self.without_temperature || other.without_temperature,
            without_top_p: self.without_top_p || other.without_top_p,
            without_seed: self.without_seed || other.without_seed,
            format: self.format.max(other.format),
            probabilities: self.probabilities.max(other.probabilities),
        }
    }
}

/// The seed for one of several samples, within what every server takes for an integer. The first one's is the seed itself.
fn seed_of(seed: u64, repetition: u32) -> u64 {
    let spread = u64::from(repetition).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (seed ^ spread) & i64::MAX.cast_unsigned()
}

fn says_unsupported(text: &str) -> bool {
    // A schema that a server takes for wrong is not a server that takes no schema.
    const NOT: &[&str] = &["invalid schema"];
    const SIGNS: &[&str] = &[
        "unsupported",
        "not support",
        "n't support",
        "not yet support",
        "not currently support",
        "not implemented",
        "not permitted",
        "not allowed",
        "not available",
        "unrecognized",
        "unknown",
        "unexpected",
        "cannot both",
        "deprecated",
        "only the default",
        "instead",
    ];
    let has = |signs: &[&str]| signs.iter().any(|sign| text.contains(sign));
    has(SIGNS) && !has(NOT)
}

/// Where `word` stands as a word of its own.
fn find_word(text: &str, word: &str) -> Option<usize> {
    let joins = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-');
    text.match_indices(word).map(|(at, _)| at).find(|at| {
        !text[..*at].chars().next_back().is_some_and(joins)
            && !text[at + word.len()..].chars().next().is_some_and(joins)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{Message, ReplyForm, Role, Schema, Words};
    use proptest::prelude::*;
    use reqwest::StatusCode;

    fn request(sampling: Sampling, with_schema: bool) -> Request {
        Request {
            messages: vec![Message::new(Role::System, "s"), Message::new(Role::User, "u")],
            sampling,
            max_tokens: 9,
            form: if with_schema {
                ReplyForm::Schema(Schema::new("verdict", json!({ "type": "object" })))
            } else {
                ReplyForm::Free
            },
            repetition: 0,
        }
    }

    const SEEDED: Sampling = Sampling::Seeded { temperature: 0.7, top_p: 0.9, seed: 5 };

    fn complaint(status: u16, error: &Value) -> Complaint {
        Complaint::read(StatusCode::from_u16(status).unwrap(), json!({ "error": error }).to_string().as_bytes())
    }

    #[test]
    fn bodies() {
        let messages = json!([{ "role": "system", "content": "s" }, { "role": "user", "content": "u" }]);
        assert_eq!(
            Form::default().body("m", &request(Sampling::Greedy, false)),
            json!({ "model": "m", "messages": messages, "stream": false, "max_tokens": 9, "temperature": 0 })
        );
        assert_eq!(
            Form::default().body("m", &request(SEEDED, true)),
            json!({
                "model": "m", "messages": messages, "stream": false, "max_tokens": 9,
                "temperature": 0.7, "top_p": 0.9, "seed": 5,
                "response_format": {
                    "type": "json_schema",
                    "json_schema": { "name": "verdict", "schema": { "type": "object" }, "strict": true },
                },
            })
        );
        let least = Form {
            completion_tokens: true,
            without_temperature: true,
            without_top_p: true,
            without_seed: true,
            format: Format::Nothing,
            probabilities: Probabilities::Untold,
        };
        assert_eq!(
            least.body("m", &request(SEEDED, true)),
            json!({ "model": "m", "messages": messages, "stream": false, "max_completion_tokens": 9 })
        );
    }

    #[test]
    fn seeds_fit_and_differ_by_repetition() {
        assert_eq!(seed_of(5, 0), 5);
        assert_eq!(seed_of(u64::MAX, 0), i64::MAX.cast_unsigned());
        let mut seeds: Vec<u64> = (0..100).map(|repetition| seed_of(5, repetition)).collect();
        seeds.sort_unstable();
        seeds.dedup();
        assert_eq!(seeds.len(), 100);
        assert!(seeds.iter().all(|seed| i64::try_from(*seed).is_ok()));
    }

    /// What is left of `max_tokens, temperature, top_p, seed, response_format` after a complaint; `None` if it teaches nothing.
    fn check(status: u16, error: Value, expected: Option<&str>) {
        let next = Form::default().after(&request(SEEDED, true), &complaint(status, &error));
        let change = next.map(|(form, change)| {
            assert_ne!(form, Form::default(), "{error}");
            change
        });
        match expected {
            Some(start) => assert!(change.is_some_and(|change| change.starts_with(start)), "{error}: {change:?}"),
            None => assert_eq!(change, None, "{error}"),
        }
    }

    fn check_words(words: &str, expected: Option<&str>) {
        check(400, json!({ "message": words }), expected);
        check(422, json!(words), expected);
        check(500, json!(words), None);
    }

    #[test]
    fn refusals_of_a_parameter_are_understood() {
        check_words(
            "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
            Some("`max_completion_tokens`"),
        );
        check_words(
            "Unsupported value: 'temperature' does not support 0 with this model. Only the default (1) value is supported.",
            Some("`temperature`"),
        );
        check_words("Unsupported parameter: 'top_p' is not supported with this model.", Some("`top_p`"));
        check_words(
            "`temperature` and `top_p` cannot both be specified for this model. Please use only one.",
            Some("`top_p`"),
        );
        check_words("Unknown field `seed`; supported: temperature, max_tokens", Some("`seed`"));
        check(
            422,
            json!([{ "type": "extra_forbidden", "loc": ["body", "seed"], "msg": "Extra inputs are not permitted" }]),
            Some("`seed`"),
        );
        check_words("Unrecognized request argument supplied: response_format", Some("`response_format` asks"));
        check_words("'response_format.type' must be 'text' or 'json_object'", Some("`response_format` asks"));
        let values = "Invalid value: 'json_schema'. Supported values are: 'text'.";
        check(400, json!({ "message": values, "param": "response_format.type" }), Some("`response_format` asks"));
        check_words("This model does not support guided decoding", Some("`response_format` asks"));
        check_words("The provided JSON schema contains features not supported by xgrammar.", Some("`response_format`"));
        check_words("json_schema is not yet supported", Some("`response_format` asks"));
        let by_code = |param: &str| json!({ "message": "no", "param": param, "code": "unsupported_parameter" });
        check(400, by_code("max_tokens"), Some("`max_completion_tokens`"));
        check(404, by_code("seed"), Some("`seed`"));
        check(400, by_code("response_format.type"), Some("`response_format` asks"));
    }

    #[test]
    fn other_complaints_teach_nothing() {
        check_words("max_tokens is too large: 10000. This model supports at most 4096 completion tokens", None);
        check_words("Invalid max_tokens value, the valid range of max_tokens is [1, 8192]", None);
        check_words("max_tokens: numbers this large are not supported", None);
        check_words("temperature must be between 0 and 2", None);
        check_words("unknown model `seed-oss-36b`", None);
        check_words("this model is not supported", None);
        check_words("Invalid schema for response_format 'v': 'minItems' is not permitted.", None);
        check_words("", None);
        check(403, json!("Unsupported parameter: 'seed'"), None);
        check(404, json!("model not found"), None);
        check(400, json!({ "message": "Unsupported parameter", "param": "stream" }), None);
    }

    #[test]
    fn only_what_was_sent_can_be_refused() {
        let seed = complaint(400, &json!({ "message": "Unsupported parameter: 'seed'", "param": "seed" }));
        assert_eq!(Form::default().after(&request(Sampling::Greedy, false), &seed), None);
        let format = complaint(400, &json!("response_format is not supported"));
        assert_eq!(Form::default().after(&request(Sampling::Greedy, false), &format), None);
    }

    #[test]
    fn a_schema_is_given_up_step_by_step() {
        let asked = request(Sampling::Greedy, true);
        let refusal = complaint(400, &json!("response_format is not supported"));
        let (object, _) = Form::default().after(&asked, &refusal).unwrap();
        assert_eq!(object.body("m", &asked)["response_format"], json!({ "type": "json_object" }));
        let odd =
            complaint(400, &json!("to use 'response_format' of type 'json_object', messages must contain 'json'"));
        let (nothing, _) = object.after(&asked, &odd).unwrap();
        assert_eq!(nothing.body("m", &asked).get("response_format"), None);
        assert_eq!(nothing.after(&asked, &refusal), None);
    }

    fn any_form() -> impl Strategy<Value = Form> {
        let format = prop_oneof![Just(Format::Schema), Just(Format::Object), Just(Format::Nothing)];
        let probabilities =
            prop_oneof![Just(Probabilities::Many), Just(Probabilities::Few), Just(Probabilities::Untold)];
        (any::<[bool; 4]>(), format, probabilities).prop_map(|(left_out, format, probabilities)| {
            let [completion_tokens, without_temperature, without_top_p, without_seed] = left_out;
            Form { completion_tokens, without_temperature, without_top_p, without_seed, format, probabilities }
        })
    }

    fn weighing() -> Request {
        Request {
            form: ReplyForm::Words(Words::new(["pass", "fail"])),
            max_tokens: 1,
            ..request(Sampling::Greedy, false)
        }
    }

    #[test]
    fn wordsask_for_probabilities() {
        let body = Form::default().body("m", &weighing());
        assert_eq!((&body["logprobs"], &body["top_logprobs"]), (&json!(true), &json!(20)));
        assert_eq!((&body["max_tokens"], &body["temperature"]), (&json!(1), &json!(0)));
        let free = Form::default().body("m", &request(SEEDED, true));
        assert!(free.get("logprobs").is_none() && free.get("top_logprobs").is_none());
    }

    #[test]
    fn probabilities_are_given_up_step_by_step() {
        let learn = |form: Form, status: u16, words: &str| {
            form.after(&weighing(), &complaint(status, &json!({ "message": words })))
                .map(|(next, _)| next.probabilities)
        };
        let many = Form::default();
        let few = Form { probabilities: Probabilities::Few, ..many };
        for value in
            ["Invalid value for 'top_logprobs': must be less than or equal to 5.", "top_logprobs is not supported"]
        {
            assert_eq!(learn(many, 400, value), Some(Probabilities::Few), "{value}");
            assert_eq!(learn(few, 422, value), Some(Probabilities::Untold), "{value}");
        }
        for refusal in ["Unsupported parameter: 'logprobs' is not supported with this model.", "logprobs: no"] {
            assert_eq!(learn(many, 400, refusal), Some(Probabilities::Untold), "{refusal}");
        }
        let forbidden = "You are not allowed to request logprobs from this model.";
        assert_eq!(learn(many, 403, forbidden), Some(Probabilities::Untold));
        assert_eq!(learn(many, 403, "You are not allowed to use `temperature`"), None);
        assert_eq!(learn(many, 500, forbidden), None);
        let free = request(SEEDED, true);
        assert_eq!(many.after(&free, &complaint(403, &json!({ "message": forbidden }))), None);
        assert_eq!(many.after(&free, &complaint(400, &json!({ "message": forbidden }))), None, "it was not asked for");
    }

    proptest! {
        #[test]
        fn learning_ends_whatever_the_server_says(start in any_form(), words in proptest::collection::vec(
            proptest::sample::select(vec!["unsupported", "max_tokens", "max_completion_tokens", "temperature", "top_p",
                "seed", "response_format", "must be", "cannot both", "instead", "logprobs", "top_logprobs"]), 0..6),
            weighed in any::<bool>()) {
            let form = if weighed { weighing().form } else { request(SEEDED, true).form };
            let asked = Request { form, ..request(SEEDED, true) };
            let complaint = complaint(400, &json!(words.join(" ")));
            let mut form = start;
            let mut rounds = 0;
            while let Some((next, _)) = form.after(&asked, &complaint) {
                prop_assert_ne!(form.join(next), form);
                form = form.join(next);
                rounds += 1;
                prop_assert!(rounds <= 6);
            }
        }

        #[test]
        fn joining_is_a_lattice(a in any_form(), b in any_form()) {
            prop_assert_eq!(a.join(b), b.join(a));
            prop_assert_eq!(a.join(a), a);
            prop_assert_eq!(a.join(b).join(b), a.join(b));
        }
    }
}
