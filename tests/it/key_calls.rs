//! What is in the key of a call and what is not.

use std::collections::{BTreeMap, BTreeSet};

use evalflow::data::{Answer, Origin, Scenario};
use evalflow::engine::embedded::Parts;
use evalflow::engine::{Finish, Identity, Message, ReplyForm, Request, Role, Sampling, Schema, Words, embedded};
use evalflow::ids::ScenarioId;
use evalflow::key::BlobId;
use evalflow::spec::Stage;
use evalflow::stage::{RowStage, Step, infer, judge};
use serde_json::json;

use crate::key_golden::identities;
use crate::key_world::World;
use crate::keys::{fields, leaves};

fn scenario(id: &str, opening: &str) -> Scenario {
    Scenario {
        id: ScenarioId::new(id).unwrap(),
        topic: "sleep".to_owned(),
        subtopic: None,
        style: "terse".to_owned(),
        axes: BTreeMap::new(),
        tags: vec!["hostile".to_owned()],
        edge_case: true,
        opening: opening.to_owned(),
        reference: None,
        origin: Origin::Authored,
        written: None,
        near_duplicate: None,
    }
}

/// A row of a scenario table.
pub(crate) fn scenario_line(id: &str, opening: &str) -> String {
    serde_json::to_string(&scenario(id, opening)).unwrap()
}

/// A row of an answer table, made from what a stage wrote in this form.
pub(crate) fn answer_line(id: &str, reply: &str) -> String {
    let answer = Answer {
        scenario: scenario(id, "hi"),
        repetition: 0,
        reply: Some(reply.to_owned()),
        reasoning: None,
        finish: Some(Finish::Stop),
        tokens: None,
        latency_ms: None,
        failure: None,
    };
    serde_json::to_string(&answer).unwrap()
}

fn request() -> Request {
    Request {
        messages: vec![Message::new(Role::System, "s"), Message::new(Role::User, "u")],
        sampling: Sampling::Seeded { temperature: 0.5, top_p: 0.5, seed: 1 },
        max_tokens: 10,
        form: ReplyForm::Schema(Schema::new("name", json!({ "type": "object" }))),
        repetition: 0,
    }
}

type Change = fn(&mut Request);

/// Each field of a call's recipe but those of the engine, and a change of the request that must change it.
const FIELDS: &[(&str, Change)] = &[
    ("max_tokens", |request| request.max_tokens += 1),
    ("messages[].content", |request| request.messages[1].content.push('!')),
    ("messages[].role", |request| request.messages[0].role = Role::Assistant),
    ("repetition", |request| request.repetition += 1),
    ("sampling.seed", |request| request.sampling = Sampling::Seeded { temperature: 0.5, top_p: 0.5, seed: 2 }),
    ("sampling.temperature", |request| request.sampling = Sampling::Seeded { temperature: 0.6, top_p: 0.5, seed: 1 }),
    ("sampling.top_p", |request| request.sampling = Sampling::Seeded { temperature: 0.5, top_p: 0.6, seed: 1 }),
    ("schema.type", |request| request.form = ReplyForm::Schema(Schema::new("name", json!({ "type": "array" })))),
    ("words[]", |request| request.form = ReplyForm::Words(Words::new(["pass", "fail"]))),
];

/// The fields of each engine's identity: what it answers with, and never where it is or how it is reached.
const ENGINES: &[(&str, &[&str])] = &[
    ("openai", &["endpoint", "engine", "model"]),
    ("scripted", &["engine", "otherwise", "replies[].match", "replies[].reply"]),
    ("llama", &["backend", "chunk", "engine", "helpers", "llama.cpp", "processor[]", "template", "version", "weights"]),
];

#[test]
fn every_field_of_a_call_is_in_the_table_and_changes_the_key() {
    let identity = Identity(json!("e"));
    let weighing = Request { form: ReplyForm::Words(Words::new(["yes", "no"])), ..request() };
    let all = [request(), weighing].map(|request| fields(&request.recipe(&identity)));
    // A request has a schema or words; the place of a schema is there in both.
    let found: BTreeSet<String> =
        all.into_iter().flat_map(BTreeMap::into_keys).filter(|path| path != "schema").collect();
    let table: BTreeSet<String> =
        FIELDS.iter().map(|(path, _)| (*path).to_owned()).chain(["engine".to_owned()]).collect();
    assert_eq!(found, table);

    let mut keys = BTreeSet::from([request().recipe(&identity).key(), request().recipe(&Identity(json!("f"))).key()]);
    let shapes: [Change; 7] = [
        |request| request.form = ReplyForm::Words(Words::new(["fail", "pass"])),
        |request| request.form = ReplyForm::Words(Words::new(["pass", "fail", "not_applicable"])),
        |request| request.sampling = Sampling::Greedy,
        |request| request.form = ReplyForm::Free,
        |request| request.messages.reverse(),
        |request| drop(request.messages.remove(0)),
        |request| {
            // The same letters in all, with another border between the turns.
            request.messages[0].content = "su".to_owned();
            request.messages[1].content = String::new();
        },
    ];
    for change in FIELDS.iter().map(|(_, change)| *change).chain(shapes) {
        let mut request = request();
        change(&mut request);
        assert!(keys.insert(request.recipe(&identity).key()), "{request:?}");
    }
    let renamed = Request { form: ReplyForm::Schema(Schema::new("other", json!({ "type": "object" }))), ..request() };
    assert!(keys.contains(&renamed.recipe(&identity).key()), "a schema's name says nothing to a model");
}

#[test]
fn every_field_of_every_engine_is_in_the_table() {
    let [openai, scripted, _] = identities(&World::new());
    let llama = ("llama", embedded::identity(&Parts::of(BlobId::of(b"w"), None)));
    for (engine, identity) in [openai, scripted, llama] {
        let mut found = BTreeMap::new();
        leaves(&identity.0, "", &mut found);
        let found: BTreeSet<String> = found.into_keys().collect();
        let (_, table) = ENGINES.iter().find(|(name, _)| *name == engine).unwrap();
        assert_eq!(found, table.iter().map(|path| (*path).to_owned()).collect(), "{engine}");
    }
    let identity = |weights: &[u8], template| embedded::identity(&Parts::of(BlobId::of(weights), template)).0;
    let all = [identity(b"w", None), identity(b"v", None), identity(b"w", Some(BlobId::of(b"t")))];
    assert!(all[0] != all[1] && all[0] != all[2], "other weights and another template answer otherwise");
}

/// What a row is called decides no reply: two suites that ask the same share the calls.
#[test]
fn the_id_of_a_scenario_is_in_no_key() {
    let world = World::new();
    let (Stage::Infer(infer), Stage::Judge(judge)) = (world.stage("answers"), world.stage("verdicts")) else {
        panic!()
    };
    let (infer, judge) = (infer::InferStage::new(infer), judge::JudgeStage::new(judge).unwrap());
    let requests = |id: &str| -> Vec<Request> {
        let steps = [infer.start(&scenario_line(id, "hi")).unwrap(), judge.start(&answer_line(id, "ho")).unwrap()];
        let asked = steps.into_iter().map(|step| match step {
            Step::Ask(questions, _) => questions.into_iter().map(|question| question.request().unwrap().clone()),
            Step::Done(row) => panic!("{row:?}"),
        });
        asked.flatten().collect()
    };
    let (one, other) = (requests("a/b"), requests("some/thing/else/2"));
    assert_eq!((one.len(), &one), (2, &other));
}
