//! `infer`: asks a model each scenario, once or several times over.

use serde::Deserialize;
use serde_json::{Value, json};

use super::row::{Asked, Flaw, Resume, Row, RowError, RowStage, Step, read, template_context, write};
use super::sample;
use crate::data::{Answer, RowFailure, Scenario};
use crate::engine::{Message, Reply, ReplyForm, Request, Role, Sampling};
use crate::spec::{Infer, Sample, Template, TemplateError};

/// Raised when the same fields and inputs would give other rows.
pub const VERSION: u32 = 1;

/// The stage's own fields, as they go into its recipe; what it reads and who answers are added by the caller.
#[must_use]
pub fn fields(spec: &Infer) -> Value {
    let Infer {
        model: _,
        scenarios: _,
        system,
        prompt,
        max_tokens,
        temperature,
        top_p,
        seed,
        repeat,
        context,
        latency,
        sample,
    } = spec;
    let sampling = Sampling::of(*temperature, *top_p, *seed).recipe();
    let mut fields = json!({
        "system": system, "prompt": prompt, "max_tokens": max_tokens, "sampling": sampling, "context": context,
    });
    // A stage without repeats has the key that it had before there were any.
    if *repeat > 1 {
        fields["repeat"] = json!(repeat);
    }
    if *latency {
        fields["latency"] = json!(true);
    }
    // All scenarios are what they are, whoever looked at a part of them before.
    if let Some(sample) = sample {
        fields["sample"] = sample::fields(sample);
    }
    fields
}

/// The stage with the fields of an earlier recipe in place of its own; none where another version wrote that recipe.
#[must_use]
pub fn with_fields(now: &Infer, fields: &Value) -> Option<Infer> {
    #[derive(Deserialize)]
    struct Fields {
        system: Option<Template>,
        prompt: Template,
        max_tokens: u32,
        sampling: Value,
        repeat: Option<u32>,
        #[serde(default)]
        latency: bool,
    }
    let Fields { system, prompt, max_tokens, sampling, repeat, latency } = Fields::deserialize(fields).ok()?;
    let (temperature, top_p, seed) = match Sampling::read(&sampling)? {
        Sampling::Greedy => (0.0, now.top_p, now.seed),
        Sampling::Seeded { temperature, top_p, seed } => (temperature, top_p, seed),
    };
    let repeat = repeat.unwrap_or(1);
    // Which scenarios were asked beside a row decides nothing about it.
    Some(Infer { system, prompt, max_tokens, temperature, top_p, seed, repeat, latency, sample: None, ..now.clone() })
}

/// Scenarios → answers.
#[derive(Debug)]
pub struct InferStage {
    system: Option<Template>,
    prompt: Template,
    max_tokens: u32,
    sampling: Sampling,
    repeat: u32,
    latency: bool,
    sample: Option<Sample>,
}

impl InferStage {
    /// Takes what the stage needs of its checked form.
    #[must_use]
    pub fn new(spec: &Infer) -> Self {
        Self {
            system: spec.system.clone(),
            prompt: spec.prompt.clone(),
            max_tokens: spec.max_tokens,
            sampling: Sampling::of(spec.temperature, spec.top_p, spec.seed),
            repeat: spec.repeat,
            latency: spec.latency,
            sample: spec.sample.clone(),
        }
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
        if self.sample.as_ref().is_some_and(|sample| !sample::takes(sample, &scenario)) {
            return Ok(Step::Done(Row::new(Vec::new(), None)));
        }
        Ok(match self.messages(&scenario) {
            Err(error) => {
                let failure = RowFailure { kind: "template".to_owned(), message: error.to_string() };
                Step::Done(row(scenario, false, (0..self.repeat).map(|_| Err(failure.clone()))))
            }
            Ok(messages) => {
                let request = |repetition| Request {
                    messages: messages.clone(),
                    sampling: self.sampling.repeated(repetition),
                    max_tokens: self.max_tokens,
                    form: ReplyForm::Free,
                    repetition,
                };
                Step::ask((0..self.repeat).map(request), Box::new(Waiting { scenario, latency: self.latency }))
            }
        })
    }
}

struct Waiting {
    scenario: Scenario,
    latency: bool,
}

impl Resume for Waiting {
    fn resume(self: Box<Self>, answers: Vec<Asked>) -> Step {
        let answers = answers.into_iter().map(|answer| answer.replied().map_err(RowFailure::from));
        Step::Done(row(self.scenario, self.latency, answers))
    }
}

/// One line an answer; the row has the flaw of the first that failed.
fn row(scenario: Scenario, latency: bool, answers: impl Iterator<Item = Result<Reply, RowFailure>>) -> Row {
    let mut flaw = None;
    let mut blank = Answer {
        scenario,
        repetition: 0,
        reply: None,
        reasoning: None,
        finish: None,
        tokens: None,
        latency_ms: None,
        failure: None,
    };
    let lines = (0..).zip(answers).map(|(repetition, answer)| {
        blank.repetition = repetition;
        (blank.reasoning, blank.latency_ms) = (None, None);
        (blank.reply, blank.finish, blank.tokens, blank.failure) = match answer {
            Ok(reply) => {
                blank.reasoning = reply.reasoning;
                // Otherwise it is not in the row: equal answers must give equal bytes.
                blank.latency_ms = latency.then_some(reply.elapsed_ms);
                (Some(reply.text), Some(reply.finish), Some(reply.usage.into()), None)
            }
            Err(failure) => {
                flaw.get_or_insert_with(|| {
                    Flaw::Failed(format!("{}: {}: {}", blank.scenario.id, failure.kind, failure.message))
                });
                (None, None, None, Some(failure))
            }
        };
        write(&blank)
    });
    let lines = lines.collect();
    Row::new(lines, flaw)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Tokens;
    use crate::engine::{Finish, Usage};
    use crate::ids::{ModelName, StageId};
    use crate::spec::{ClusterBy, ModelRef};
    use crate::stage::row::tests::{asks, done, failed as call_failed, replied, scenario};

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
            repeat: 1,
            context: None,
            latency: false,
            sample: None,
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
            form: ReplyForm::Free,
            repetition: 0,
        };
        assert_eq!(requests, [expected]);
        let usage = Usage { prompt_tokens: 5, cached_tokens: 1, completion_tokens: 2 };
        let reply = Reply::new(" Hello,\n\n", Finish::Length, usage, 9);
        let row = done(rest.resume(vec![Asked::Replied(reply)]));
        assert_eq!(row.flaw, None);
        assert!(!row.lines[0].contains("elapsed"), "times are not in rows");
        assert!(!row.lines[0].contains("reasoning"), "a row without thoughts is as it always was");
        let expected = Answer {
            scenario: scenario("hi {{ 1 }}", &[]),
            repetition: 0,
            reply: Some(" Hello,\n\n".to_owned()),
            reasoning: None,
            finish: Some(Finish::Length),
            tokens: Some(Tokens { prompt: 5, completion: 2 }),
            latency_ms: None,
            failure: None,
        };
        assert_eq!(answer(&row), expected);
    }

    #[test]
    fn what_is_not_in_the_sample_is_not_asked() {
        let sampled = |round| {
            let sample = Sample { seed: 0, unit: ClusterBy::Nothing, round };
            let spec = Infer { sample: Some(sample), ..spec(None, "{{ scenario.opening }}") };
            InferStage::new(&spec).start(&line("hi")).unwrap()
        };
        let asked: Vec<bool> = (1..=40).map(|round| matches!(sampled(round), Step::Ask(..))).collect();
        assert!(!asked[39] && asked.is_sorted_by(|before, after| before >= after), "{asked:?}");
        assert_eq!(done(sampled(40)), Row::new(Vec::new(), None));
    }

    #[test]
    fn several_answers_are_several_calls_and_lines() {
        let asked = |repeat| {
            let spec = Infer { temperature: 0.5, seed: u64::MAX, repeat, ..spec(None, "{{ scenario.opening }}") };
            asks(InferStage::new(&spec).start(&line("hi")).unwrap())
        };
        let (requests, rest) = asked(3);
        let seeds: Vec<(u32, u64)> = requests
            .iter()
            .map(|request| match request.sampling {
                Sampling::Seeded { seed, .. } => (request.repetition, seed),
                Sampling::Greedy => panic!("it is drawn"),
            })
            .collect();
        assert_eq!(seeds, [(0, u64::MAX), (1, 0), (2, 1)]);
        assert_eq!(asked(5).0[..3], requests[..], "more answers ask for the missing ones only");
        assert_eq!(asked(1).0[..], requests[..1]);

        let row = done(rest.resume(vec![replied("a"), call_failed("rejected"), replied("c")]));
        assert_eq!(row.lines.len(), 3);
        let answers: Vec<Answer> = row.lines.iter().map(|line| read(line, "an answer").unwrap()).collect();
        let shown: Vec<_> = answers.iter().map(|a| (a.repetition, a.reply.as_deref(), a.failure.is_some())).collect();
        assert_eq!(shown, [(0, Some("a"), false), (1, None, true), (2, Some("c"), false)]);
        assert!(!row.lines[0].contains("repetition") && row.lines[2].contains(r#""repetition":2"#));
        assert_eq!(row.flaw, Some(Flaw::Failed("sleep/nights/terse: rejected: it did not work".to_owned())));

        let greedy = Infer { repeat: 2, ..spec(None, "{{ scenario.opening }}") };
        let (requests, _) = asks(InferStage::new(&greedy).start(&line("hi")).unwrap());
        assert!(requests.iter().all(|request| request.sampling == Sampling::Greedy));
        let broken =
            Infer { repeat: 2, ..spec(None, "{% if scenario.opening == 'hi' %}{{ scenario.tags + 1 }}{% endif %}") };
        assert_eq!(done(InferStage::new(&broken).start(&line("hi")).unwrap()).lines.len(), 2);
    }

    #[test]
    fn thoughts_are_kept_beside_the_reply() {
        let stage = InferStage::new(&Infer { repeat: 3, ..spec(None, "{{ scenario.opening }}") });
        let (_, rest) = asks(stage.start(&line("hi")).unwrap());
        let thought =
            Reply { reasoning: Some("hm".to_owned()), ..Reply::new("Yes", Finish::Stop, Usage::default(), 0) };
        let row = done(rest.resume(vec![Asked::Replied(thought), replied("No"), call_failed("rejected")]));
        let answers: Vec<Answer> = row.lines.iter().map(|line| read(line, "an answer").unwrap()).collect();
        let shown: Vec<_> = answers.iter().map(|a| (a.reply.as_deref(), a.reasoning.as_deref())).collect();
        assert_eq!(shown, [(Some("Yes"), Some("hm")), (Some("No"), None), (None, None)]);
    }

    #[test]
    fn how_long_calls_took_is_kept_where_it_is_asked_for() {
        let spec = Infer { repeat: 2, latency: true, ..spec(None, "{{ scenario.opening }}") };
        assert_eq!(fields(&spec)["latency"], true);
        assert_eq!(fields(&Infer { latency: false, ..spec.clone() }).get("latency"), None, "keys are as they were");
        assert!(with_fields(&Infer { latency: false, ..spec.clone() }, &fields(&spec)).unwrap().latency);
        let (_, rest) = asks(InferStage::new(&spec).start(&line("hi")).unwrap());
        let reply = Reply::new("Yes", Finish::Stop, Usage::default(), 1_250);
        let row = done(rest.resume(vec![Asked::Replied(reply), call_failed("rejected")]));
        let times: Vec<_> =
            row.lines.iter().map(|line| read::<Answer>(line, "an answer").unwrap().latency_ms).collect();
        assert_eq!(times, [Some(1_250), None]);
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
                Infer { repeat: 2, ..base() },
                Infer { sample: Some(Sample { seed: 0, unit: ClusterBy::Topic, round: 1 }), ..base() },
                Infer { sample: Some(Sample { seed: 0, unit: ClusterBy::Topic, round: 2 }), ..base() },
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
            Infer { model: ModelRef::weights(StageId::new("w").unwrap()), ..base() },
            Infer { scenarios: StageId::new("other").unwrap(), ..base() },
            Infer { seed: 8, top_p: 0.5, ..base() },
        ] {
            assert_eq!(fields(&same), fields(&base()));
        }
    }
}
