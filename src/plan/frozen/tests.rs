//! Pipelines held against locks, with results put into a store by hand.

use std::collections::BTreeMap;
use std::path::PathBuf;

use tempfile::TempDir;

use serde_json::{Value, json};

use super::{compare, frozen};
use crate::data::WeightsRecord;
use crate::ids::StageId;
use crate::key::{BlobId, Recipe, to_canonical};
use crate::lock::Lock;
use crate::plan::{Graph, LockState, Resolved, Settled, bless, lock_state, resolve};
use crate::spec::{Loaded, Memory, Pipeline, Stage, load};
use crate::stage::decide;
use crate::store::{Receipt, Store, Tally};

const PIPELINE: &str = "\
evalflow: 1
name: p
models: { judge: { scripted: { otherwise: yes } } }
stages:
  weights: { pull: { from: \"file:w.gguf\" } }
  scenarios: { generate: { taxonomy: t.yaml, seed: 1 } }
  answers: { infer: { model: weights, scenarios: scenarios, max_tokens: 50 } }
  verdicts: { judge: { answers: answers, rubric: r.yaml, model: judge } }
  decision: { decide: { verdicts: verdicts } }
";

const TAXONOMY: &str = "\
name: small
description: one cell
styles: { terse: Few words. }
topics:
  - { id: sleep, title: Sleep, subtopics: [{ id: waking, title: Waking, openings: { terse: awake } }] }
";

const RUBRIC: &str = "\
name: small
pass: { score: 0.7 }
criteria: [{ id: kind, question: Is the reply kind?, critical: true }]
";

struct Project {
    directory: TempDir,
    store: Store,
}

impl Project {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs_err::write(directory.path().join("w.gguf"), "weights").unwrap();
        let store = Store::open(&directory.path().join("cache")).unwrap();
        Self { directory, store }
    }

    fn pipeline(&self, text: &str) -> Pipeline {
        let root = self.directory.path();
        let files = [("p.yaml", text), ("t.yaml", TAXONOMY), ("r.yaml", RUBRIC), ("w.gguf", "")];
        let files = files.map(|(name, text)| (root.join(name), text.as_bytes().to_vec()));
        let loaded = load(&root.join("p.yaml"), root, &Memory(BTreeMap::from(files)), &BTreeMap::new());
        let Loaded { pipeline, warnings: _ } = loaded.unwrap_or_else(|problems| panic!("{problems:?}"));
        pipeline
    }

    /// Puts a result of each stage into the store.
    fn run(&self, pipeline: &Pipeline) {
        let graph = Graph::new(pipeline);
        let mut settled = Settled::new(pipeline, &self.store);
        for id in graph.order() {
            let stage = &pipeline.stages[id];
            let receipt = match resolve(pipeline, id, stage, &settled, &self.store).unwrap() {
                Resolved::Hit(receipt) => *receipt,
                Resolved::Unfetched => unreachable!("its catalogs are files"),
                Resolved::Miss(recipe, _) => {
                    let (output, also) = match stage {
                        Stage::Pull(_) => {
                            (serde_json::to_string(&self.weights()).unwrap(), vec![self.weights().weights])
                        }
                        Stage::Decide(stage) => (
                            serde_json::to_string(
                                &decide::Tally::new(stage, decide::rubric(pipeline, &stage.verdicts)).finish(),
                            )
                            .unwrap(),
                            Vec::new(),
                        ),
                        Stage::Research(_)
                        | Stage::Generate(_)
                        | Stage::Infer(_)
                        | Stage::Judge(_)
                        | Stage::Prefer(_)
                        | Stage::Calibrate(_)
                        | Stage::Compare(_) => (format!("rows of {id}\n"), Vec::new()),
                    };
                    let receipt = Receipt {
                        key: recipe.key(),
                        kind: "any".to_owned(),
                        output: self.store.put(output.as_bytes()).unwrap(),
                        also,
                        read: Vec::new(),
                        calls: None,
                        rows: Some(1),
                        summary: None,
                        tally: Tally::default(),
                        created_at: 0,
                    };
                    self.store.put_receipt(&recipe, &receipt).unwrap()
                }
            };
            settled.settle(id.clone(), &receipt);
        }
    }

    fn weights(&self) -> WeightsRecord {
        let weights = self.store.put(b"weights").unwrap();
        WeightsRecord {
            model: "m".to_owned(),
            source: "file:w.gguf".to_owned(),
            revision: None,
            weights,
            sha256: "0".repeat(64),
            bytes: 7,
            architecture: "llama".to_owned(),
            parameters: 1,
            quantization: "F16".to_owned(),
            context_length: None,
            chat_template: None,
            license: None,
        }
    }

    fn blessed(&self, pipeline: &Pipeline) -> Lock {
        bless(pipeline, &Graph::new(pipeline), &self.store).unwrap()
    }

    /// What `frozen` says of a pipeline: how many results, or why not and the way on.
    fn frozen(&self, pipeline: &Pipeline, lock: &Lock) -> String {
        match frozen(pipeline, &Graph::new(pipeline), &self.store, lock) {
            Ok(receipts) => format!("{} results", receipts.len()),
            Err(error) => format!("{error}; {}", error.help()),
        }
    }

    fn object(&self, id: &str, lock: &Lock) -> PathBuf {
        self.store.object_path(&lock.stages[&StageId::new(id).unwrap()].output)
    }
}

#[test]
fn what_was_blessed_is_found_without_its_weights() {
    let project = Project::new();
    let pipeline = project.pipeline(PIPELINE);
    let error = bless(&pipeline, &Graph::new(&pipeline), &project.store).unwrap_err();
    assert!(error.to_string().contains("`weights`") && error.help().contains("evalflow run"), "{error}");
    project.run(&pipeline);
    let lock = project.blessed(&pipeline);
    assert_eq!(lock.weights[&StageId::new("weights").unwrap()].blake3, BlobId::of(b"weights"));
    assert!(lock.decision.is_some());
    assert_eq!(project.frozen(&pipeline, &lock), "5 results");
    // Another machine: neither the file nor the object is there.
    fs_err::remove_file(project.directory.path().join("w.gguf")).unwrap();
    fs_err::remove_file(project.store.object_path(&BlobId::of(b"weights"))).unwrap();
    assert_eq!(project.frozen(&pipeline, &lock), "5 results");
    let receipts = frozen(&pipeline, &Graph::new(&pipeline), &project.store, &lock).unwrap();
    assert_eq!(receipts.last().unwrap().0.as_str(), "decision", "in the order of the graph");
    let state = lock_state(&pipeline, &Graph::new(&pipeline), &project.store, &lock).unwrap();
    assert!(matches!(state, LockState::UpToDate), "{state:?}");
}

#[test]
fn what_was_blessed_on_another_processor_is_found() {
    let project = Project::new();
    let pipeline = project.pipeline(PIPELINE);
    project.run(&pipeline);
    // The lock of a machine on which the model's identity has another value there.
    let blessed_with = |name: &str, value: Value| {
        let mut lock = project.blessed(&pipeline);
        let locked = lock.stages.get_mut(&StageId::new("answers").unwrap()).unwrap();
        let mut recipe = project.store.recipe(&locked.key).unwrap().unwrap();
        let field = recipe["fields"]["model"].get_mut(name).unwrap();
        assert_ne!(*field, value);
        *field = value;
        let recipe = Recipe::from_canonical(to_canonical(&recipe));
        let receipt = Receipt { key: recipe.key(), ..project.store.receipt(&locked.key).unwrap().unwrap() };
        project.store.put_receipt(&recipe, &receipt).unwrap();
        locked.key = recipe.key();
        project.frozen(&pipeline, &lock)
    };
    assert_eq!(blessed_with("processor", json!(["another"])), "5 results");
    assert_eq!(blessed_with("backend", json!("another")), "5 results");
    let refused = blessed_with("weights", json!(BlobId::of(b"other")));
    assert!(refused.contains("weights"), "{refused}");
}

#[test]
fn the_first_difference_is_named_and_nothing_is_needed_for_it() {
    let project = Project::new();
    let pipeline = project.pipeline(PIPELINE);
    project.run(&pipeline);
    let lock = project.blessed(&pipeline);
    let check = |old: &str, new: &str, expected: &str| {
        assert!(PIPELINE.contains(old));
        let edited = project.pipeline(&PIPELINE.replace(old, new));
        let told = project.frozen(&edited, &lock);
        assert!(told.starts_with(expected), "{told}");
        let compared = compare(&edited, &Graph::new(&edited), &project.store, &lock).unwrap_err();
        assert!(told.starts_with(&compared.to_string()));
    };
    check("max_tokens: 50", "max_tokens: 60", "`answers` differs from the lock in `max_tokens`: 50 → 60; undo");
    check("otherwise: yes", "otherwise: no", "`verdicts` differs from the lock in `model.");
    check(
        "verdicts: verdicts",
        "verdicts: verdicts, deploy: 0.8",
        "`decision` differs from the lock in `deploy`: 0.7 → 0.8",
    );
    check("  decision: { decide: { verdicts: verdicts } }\n", "", "stage `decision` is in the lock and no more");
    check(
        "  decision:",
        "  other: { generate: { taxonomy: t.yaml, seed: 2 } }
  decision:",
        "stage `other` is not in the lock",
    );
    fs_err::write(project.directory.path().join("w.gguf"), "other weights").unwrap();
    let told = project.frozen(&pipeline, &lock);
    assert!(told.starts_with("`weights` differs from the lock in `source.file`: "), "{told}");
}

#[test]
fn without_the_old_recipe_the_field_is_named_by_its_digest() {
    let project = Project::new();
    let pipeline = project.pipeline(PIPELINE);
    project.run(&pipeline);
    let lock = project.blessed(&pipeline);
    project.store.drop_receipt(&lock.stages[&StageId::new("answers").unwrap()].key).unwrap();
    let edited = project.pipeline(&PIPELINE.replace("max_tokens: 50", "max_tokens: 60"));
    let told = project.frozen(&edited, &lock);
    assert!(told.starts_with("`answers` differs from the lock in `max_tokens`: digest "), "{told}");
}

#[test]
fn a_result_that_is_gone_or_damaged_or_another_is_never_used() {
    let project = Project::new();
    let pipeline = project.pipeline(PIPELINE);
    project.run(&pipeline);
    let lock = project.blessed(&pipeline);
    fs_err::write(project.object("answers", &lock), "damaged").unwrap();
    let told = project.frozen(&pipeline, &lock);
    assert!(
        told.starts_with("the result of `answers` that the lock names (") && told.contains("import-baseline"),
        "{told}"
    );
    assert!(compare(&pipeline, &Graph::new(&pipeline), &project.store, &lock).is_ok(), "the pipeline is as blessed");

    // A record that a later recipe needs.
    fs_err::remove_file(project.object("weights", &lock)).unwrap();
    let told = compare(&pipeline, &Graph::new(&pipeline), &project.store, &lock).unwrap_err().to_string();
    assert!(told.starts_with("the result of `weights` that the lock names"), "{told}");

    let project = Project::new();
    project.run(&pipeline);
    let mut other = project.blessed(&pipeline);
    let verdicts = StageId::new("verdicts").unwrap();
    project.store.drop_receipt(&other.stages[&verdicts].key).unwrap();
    let told = project.frozen(&pipeline, &other);
    assert!(told.starts_with("the result of `verdicts`"), "{told}");
    project.run(&pipeline);
    other.stages.get_mut(&verdicts).unwrap().output = BlobId::of(b"another");
    let told = project.frozen(&pipeline, &other);
    assert!(told.starts_with("the store has another result of `verdicts` ("), "{told}");
}
