//! Golden keys: `tests/data/keys/*.json`, one recipe each with the key it has. They are the contract with every store.

use evalflow::engine::{
    CallKeys, EmbedRequest, Identity, Message, ReplyForm, Request, Role, Sampling, Schema, openai, scripted,
};
use evalflow::ids::StageId;
use evalflow::key::Recipe;
use evalflow::spec::{Model, Stage};
use evalflow::stage::{RowStage, Step, generate, infer, judge};
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

use crate::key_calls::{answer_line, scenario_line};
use crate::key_world::World;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Golden {
    key: String,
    /// Raw, so that its very bytes are compared.
    recipe: Box<RawValue>,
}

/// The stages whose recipes are kept: each kind, in each of its forms. Not those on the embedded engine, whose identity
/// changes with every llama.cpp.
const STAGES: &[&str] = &[
    "candidates",
    "choosy",
    "weights",
    "local",
    "address",
    "wheel",
    "hub",
    "ollama",
    "bucket",
    "mirrors",
    "scenarios",
    "near",
    "shaped",
    "mapped",
    "frozen",
    "answers",
    "greedy",
    "verdicts",
    "checked",
    "weighed",
    "trust",
    "both",
    "decision",
    "change",
    "held",
    "unbiased",
];

fn all() -> Vec<(String, Recipe)> {
    let world = World::new();
    let stage = |id: &&str| (format!("stage-{id}"), world.recipe(&StageId::new(id).unwrap()));
    STAGES.iter().map(stage).chain(calls(&world)).collect()
}

/// The identities of the models: declared ones as they are made, the embedded one as it was at some time.
pub(crate) fn identities(world: &World) -> [(&'static str, Identity); 3] {
    let declared = |at: usize| match &world.pipeline.models[at] {
        Model::OpenAi(model) => openai::identity(model),
        Model::Scripted(model) => scripted::identity(model),
    };
    let llama = Identity(json!({
        "engine": "llama", "version": 1, "llama.cpp": "llama-cpp-2 0.1.160", "helpers": "llguidance 1.9.1",
        "backend": "cpu", "chunk": 64, "weights": "0".repeat(64), "template": "plain",
    }));
    [("openai", declared(0)), ("scripted", declared(1)), ("llama", llama)]
}

fn calls(world: &World) -> Vec<(String, Recipe)> {
    let asks = |step: Step| match step {
        Step::Ask(questions, _) => {
            questions.into_iter().map(|question| question.request().unwrap().clone()).collect::<Vec<_>>()
        }
        Step::Done(row) => panic!("{row:?}"),
    };
    let of = |id: &str| match world.stage(id) {
        Stage::Generate(generate) => {
            let cells: Vec<String> = generate::cells(generate.expand().unwrap()).map(|cell| cell.to_line()).collect();
            let work = generate::GenerateStage::new(generate);
            let steps = cells.iter().map(|line| work.start(line).unwrap());
            steps.filter(|step| matches!(step, Step::Ask(..))).flat_map(asks).collect::<Vec<_>>()
        }
        Stage::Infer(spec) => {
            asks(infer::InferStage::new(spec).start(&scenario_line("a/b", "ünï\n\"c\u{7}\"")).unwrap())
        }
        Stage::Judge(spec) => {
            asks(judge::JudgeStage::new(spec).unwrap().start(&answer_line("a/b", "Oh <|x|>")).unwrap())
        }
        Stage::Research(_)
        | Stage::Pull(_)
        | Stage::Prefer(_)
        | Stage::Calibrate(_)
        | Stage::Compare(_)
        | Stage::Decide(_) => panic!("{id} asks nothing"),
    };
    let plain = Request {
        messages: vec![
            Message::new(Role::User, "hi"),
            Message::new(Role::Assistant, ""),
            Message::new(Role::User, "\\"),
        ],
        sampling: Sampling::Seeded { temperature: 1.0, top_p: 0.1, seed: u64::MAX },
        max_tokens: 1,
        form: ReplyForm::Schema(Schema::new("not keyed", json!({ "z": [1, 2], "a": { "é": 1.5 } }))),
        repetition: 3,
    };
    let mut requests = vec![("plain".to_owned(), plain)];
    for id in ["scenarios", "answers", "greedy", "verdicts", "weighed"] {
        let first = of(id).into_iter().next().expect("it asks something");
        requests.push((id.to_owned(), first));
    }
    let mut calls = Vec::new();
    for (engine, identity) in identities(world) {
        for (name, request) in &requests {
            let recipe = request.recipe(&identity);
            assert_eq!(CallKeys::new(&identity).key(request), recipe.key(), "the quick way to {name}");
            calls.push((format!("call-{name}-{engine}"), recipe));
        }
        let request = EmbedRequest { text: "ünï\n\"c\u{7}\" <|x|>".to_owned() };
        let recipe = request.recipe(&identity);
        assert_eq!(CallKeys::new(&identity).embed_key(&request), recipe.key(), "the quick way to an embedding");
        calls.push((format!("embed-{engine}"), recipe));
    }
    calls
}

#[expect(clippy::disallowed_methods, reason = "only a test asks this, and no result depends on it")]
fn is_blessing() -> bool {
    std::env::var("EVALFLOW_BLESS").is_ok_and(|value| value == "1")
}

/// A change of any of these makes every store and every lock worthless, so nothing rewrites a file that is there, not even
/// `EVALFLOW_BLESS=1`: who means it removes the file first.
#[test]
fn no_key_changes_unnoticed() {
    let directory = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/keys");
    let mut expected: Vec<String> =
        fs_err::read_dir(&directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    expected.sort();
    let mut names = Vec::new();
    for (name, recipe) in all() {
        let file = format!("{name}.json");
        let path = directory.join(&file);
        if is_blessing() && !path.exists() {
            let text = format!("{{\n\"key\": \"{}\",\n\"recipe\": {}\n}}\n", recipe.key(), recipe.canonical());
            fs_err::write(&path, text).unwrap();
        }
        let text = fs_err::read_to_string(&path).unwrap();
        let golden: Golden = serde_json::from_str(&text).unwrap();
        assert_eq!(recipe.canonical(), golden.recipe.get(), "the recipe of {name}");
        assert_eq!(recipe.key().to_string(), golden.key, "the key of {name}");
        let plain = blake3::derive_key("evalflow recipe key v1", golden.recipe.get().as_bytes());
        assert_eq!(golden.key, blake3::Hash::from(plain).to_hex().as_str(), "{name} by its definition");
        names.push(file);
    }
    names.sort();
    assert!(is_blessing() || names == expected, "each file has its recipe: {names:?} {expected:?}");
}
