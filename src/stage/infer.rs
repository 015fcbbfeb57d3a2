//! `infer`: asks a model each scenario once.

use serde::Deserialize;
use serde_json::{Value, json};

use super::row::{Asked, Flaw, Resume, Row, RowError, RowStage, Step, only, read, template_context, write};
use crate::data::{Answer, RowFailure, Scenario};
use crate::engine::{Message, Request, Role, Sampling};
use crate::spec::{Infer, Template, TemplateError};

/// Raised when the same fields and inputs would give other rows.
pub const VERSION: u32 = 1;

/// The stage's own fields, as they go into its recipe; what it reads and who answers are added by the caller.
#[must_use]
pub fn fields(spec: &Infer) -> Value {
    let Infer { model: _, scenarios: _, system, prompt, max_tokens, temperature, top_p, seed, context } = spec;
    // Greedy choice has no use for a seed: changing it must not ask again.
    let sampling = match sampling(*temperature, *top_p, *seed) {
        Sampling::Greedy => json!("greedy"),
        Sampling::Seeded { temperature, top_p, seed } => {
            json!({ "temperature": temperature, "top_p": top_p, "seed": seed })
        }
    };
    json!({ "system": system, "prompt": prompt, "max_tokens": max_tokens, "sampling": sampling, "context": context })
}

/// The stage with the fields of an earlier recipe in place of its own; none where another version wrote that recipe.
#[must_use]
pub fn with_fields(now: &Infer, fields: &Value) -> Option<Infer> {
    #[derive(Deserialize)]
    struct Fields {
        system: Option<Template>,
        prompt: Template,
        max_tokens: u32,
        sampling: Drawn,
    }
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Drawn {
        Seeded { temperature: f64, top_p: f64, seed: u64 },
        Greedy(String),
    }
    let Fields { system, prompt, max_tokens, sampling } = Fields::deserialize(fields).ok()?;
    let (temperature, top_p, seed) = match sampling {
        Drawn::Seeded { temperature, top_p, seed } => (temperature, top_p, seed),
        Drawn::Greedy(name) if name == "greedy" => (0.0, now.top_p, now.seed),
        Drawn::Greedy(_) => return None,
    };
    Some(Infer { system, prompt, max_tokens, temperature, top_p, seed, ..now.clone() })
}

fn sampling(temperature: f64, top_p: f64, seed: u64) -> Sampling {
    if temperature > 0.0 { Sampling::Seeded { temperature, top_p, seed } } else { Sampling::Greedy }
}

/// Scenarios → answers.
#[derive(Debug)]
pub struct InferStage {
    system: Option<Template>,
    prompt: Template,
    max_tokens: u32,
    sampling: Sampling,
}

impl InferStage {
    /// Takes what the stage needs of its checked form.
    #[must_use]
    pub fn new(spec: &Infer) -> Self {
        let sampling = sampling(spec.temperature, spec.top_p, spec.seed);
        Self { system: spec.system.clone(), prompt: spec.prompt.clone(), max_tokens: spec.max_tokens, sampling }
    }

    fn messages(&self, scenario: &Scenario) -> Result<Vec<Message>, TemplateError> {
        let context = template_context(scenario);
        let mut messages = Vec::with_capacity(2);
        if let Some(system) = &self.system {
            messages.push(Message::new(Role::System, system.render(&context)?));
        }
        messages.push(Message::new(Role::User, self.prompt.render(&context)?));
        Ok(messages)
    }
}

impl RowStage for InferStage {
    fn start(&self, line: &str) -> Result<Step, RowError> {
        let scenario: Scenario = read(line, "a scenario")?;
        Ok(match self.messages(&scenario) {
            Err(error) => {
                Step::Done(failed(scenario, RowFailure { kind: "template".to_owned(), message: error.to_string() }))
            }
            Ok(messages) => {
                let request = Request {
                    messages,
                    sampling: self.sampling,
                    max_tokens: self.max_tokens,
                    schema: None,
                    repetition: 0,
                };
                Step::Ask(vec![request], Box::new(Waiting { scenario }))
            }
        })
    }
}

struct Waiting {
    scenario: Scenario,
}

impl Resume for Waiting {
    fn resume(self: Box<Self>, answers: Vec<Asked>) -> Step {
        let Self { scenario } = *self;
        Step::Done(match only(answers) {
            Asked::Failed(failure) => failed(scenario, failure.into()),
            // How long it took is not in the row: equal answers must give equal bytes.
            Asked::Replied(reply) => {
                let answer = Answer {
                    scenario,
                    reply: Some(reply.text),
                    finish: Some(reply.finish),
                    tokens: Some(reply.usage.into()),
                    failure: None,
                };
                Row { lines: vec![write(&answer)], flaw: None }
            }
        })
    }
}

fn failed(scenario: Scenario, failure: RowFailure) -> Row {
    let flaw = Flaw::Failed(format!("{}: {}: {}", scenario.id, failure.kind, failure.message));
    let answer = Answer { scenario, reply: None, finish: None, tokens: None, failure: Some(failure) };
    Row { lines: vec![write(&answer)], flaw: Some(flaw) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Tokens;
    use crate::engine::{Finish, Reply, Usage};
    use crate::ids::{ModelName, StageId};
    use crate::spec::ModelRef;
    use crate::stage::row::tests::{asks, done, failed as call_failed, scenario};

    fn spec(system: Option<&str>, prompt: &str) -> Infer {
        Infer {
            model: ModelRef::Declared(ModelName::new("m").unwrap()),
            scenarios: StageId::new("scenarios").unwrap(),
            system: system.map(|source| Template::new(source).unwrap()),
            prompt: Template::new(prompt).unwrap(),
            max_tokens: 200,
            temperature: 0.0,
            top_p: 1.0,
            seed: 7,
            context: None,
        }
    }

    fn line(opening: &str) -> String {
        write(&scenario(opening, &[]))
    }

    fn answer(row: &Row) -> Answer {
        read(&row.lines[0], "an answer").unwrap()
    }

    #[test]
    fn asks_once_and_keeps_the_reply_as_it_is() {
        let stage = InferStage::new(&spec(Some("Style: {{ scenario.style }}\n"), "{{ scenario.opening }}"));
        let (requests, rest) = asks(stage.start(&line("hi {{ 1 }}")).unwrap());
        let expected = Request {
            messages: vec![Message::new(Role::System, "Style: terse"), Message::new(Role::User, "hi {{ 1 }}")],
            sampling: Sampling::Greedy,
            max_tokens: 200,
            schema: None,
            repetition: 0,
        };
        assert_eq!(requests, [expected]);
        let usage = Usage { prompt_tokens: 5, cached_tokens: 1, completion_tokens: 2 };
        let reply = Reply { text: " Hello,\n\n".to_owned(), finish: Finish::Length, usage, elapsed_ms: 9 };
        let row = done(rest.resume(vec![Asked::Replied(reply)]));
        assert_eq!(row.flaw, None);
        assert!(!row.lines[0].contains("elapsed"), "times are not in rows");
        let expected = Answer {
            scenario: scenario("hi {{ 1 }}", &[]),
            reply: Some(" Hello,\n\n".to_owned()),
            finish: Some(Finish::Length),
            tokens: Some(Tokens { prompt: 5, completion: 2 }),
            failure: None,
        };
        assert_eq!(answer(&row), expected);
    }

    #[test]
    fn failures_are_rows() {
        let stage = InferStage::new(&spec(None, "{{ scenario.opening }}"));
        let (requests, rest) = asks(stage.start(&line("hi")).unwrap());
        assert_eq!(requests[0].messages, [Message::new(Role::User, "hi")]);
        let row = done(rest.resume(vec![call_failed("context_overflow")]));
        assert!(matches!(row.flaw, Some(Flaw::Failed(_))));
        let failure = RowFailure { kind: "context_overflow".to_owned(), message: "it did not work".to_owned() };
        assert_eq!((answer(&row).reply, answer(&row).failure), (None, Some(failure)));

        let stage = InferStage::new(&spec(None, "{% if scenario.opening == 'hi' %}{{ scenario.tags + 1 }}{% endif %}"));
        let row = done(stage.start(&line("hi")).unwrap());
        assert_eq!((answer(&row).failure.unwrap().kind.as_str(), row.flaw.is_some()), ("template", true));

        assert_eq!(stage.start("[]").err().unwrap().expected, "a scenario");
    }

    #[test]
    fn a_recipe_gives_the_stage_back() {
        let check = |one: Infer| {
            let again = with_fields(&spec(None, "other"), &fields(&one)).unwrap();
            let line = line("hi");
            let requests = |spec: &Infer| asks(InferStage::new(spec).start(&line).unwrap()).0;
            assert_eq!(requests(&again), requests(&one));
        };
        check(spec(Some("s"), "p"));
        check(Infer { temperature: 0.5, max_tokens: 9, ..spec(None, "p {{ scenario.style }}") });
        assert!(with_fields(&spec(None, "p"), &json!({ "prompt": "{{ nothing }}" })).is_none());
    }

    #[test]
    fn each_own_field_is_in_the_recipe() {
        let base = || spec(Some("s"), "p");
        let drawn = || Infer { temperature: 0.5, ..base() };
        let mut all = vec![fields(&base()), fields(&drawn())];
        all.extend(
            [
                Infer { system: None, ..base() },
                Infer { prompt: Template::new("q").unwrap(), ..base() },
                Infer { max_tokens: 1, ..base() },
                Infer { context: Some(1), ..base() },
                Infer { top_p: 0.5, ..drawn() },
                Infer { seed: 8, ..drawn() },
            ]
            .iter()
            .map(fields),
        );
        for (index, one) in all.iter().enumerate() {
            assert!(!all[..index].contains(one), "{one}");
        }
        for same in [
            Infer { model: ModelRef::Weights(StageId::new("w").unwrap()), ..base() },
            Infer { scenarios: StageId::new("other").unwrap(), ..base() },
            Infer { seed: 8, top_p: 0.5, ..base() },
        ] {
            assert_eq!(fields(&same), fields(&base()));
        }
    }
}
