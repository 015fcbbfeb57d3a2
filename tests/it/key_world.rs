//! A pipeline that uses every field there is, in memory, with results of its first stages.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::path::{Path, PathBuf};

use evalflow::catalog::{self, Catalog};
use evalflow::data::Candidates;
use evalflow::ids::StageId;
use evalflow::key::{BlobId, Recipe};
use evalflow::spec::{self, Memory, Pipeline};
use evalflow::stage::{self, Known};
use serde_json::json;

pub(crate) const PIPELINE: &str = "pipelines/p.yaml";
pub(crate) const CATALOG: &str = "catalog/models.csv";
pub(crate) const TAXONOMY: &str = "scenarios/t.yaml";
pub(crate) const IMPORTED: &str = "scenarios/s.jsonl";
pub(crate) const SHAPED: &str = "scenarios/shaped.yaml";
pub(crate) const KEPT: &str = "scenarios/kept.yaml";
pub(crate) const FROZEN: &str = "scenarios/kept.jsonl";
pub(crate) const LOG: &str = "logs/log.csv";
pub(crate) const TRAINED: &str = "data/train.txt";
pub(crate) const WRITER: &str = "pipelines/writer.md";
pub(crate) const GOLD: &str = "rubrics/r.gold.jsonl";
pub(crate) const RUBRIC: &str = "rubrics/r.yaml";
pub(crate) const SYSTEM: &str = "pipelines/system.md";
pub(crate) const PROMPT: &str = "pipelines/prompt.md";
pub(crate) const WEIGHTS: &str = "models/w.gguf";

const FILES: &[(&str, &str)] = &[
    (
        PIPELINE,
        r#"evalflow: 1
name: keys
description: not keyed
models:
  server:
    openai: { base_url: "http://127.0.0.1:8080/v1", model: qwen3, api_key: "${KEY}", concurrency: 3, timeout: 60, retries: 2 }
  canned:
    scripted: { replies: [{ match: "a+", reply: "first" }], otherwise: "else", delay_ms: 1, concurrency: 2 }
  tuned:
    llama: { weights: weights, adapter: lora, adapter_scale: 0.5, context: 2048, sequences: 7, kv_cache: q8_0 }
stages:
  candidates:
    research:
      catalog: [catalog/models.csv]
      require: { params_b: "1..9", type: [base] }
      shortlist: 5
  choosy:
    research:
      catalog: [catalog/models.csv, catalog/more.csv]
      require: { params_b: "1..9", context: 4096, type: [base], official: true, fits: { memory: 24GiB, context: 8192, bits: 8 } }
      profile: { prefer: { ifeval: 3 }, avoid: [merge] }
  weights:
    pull: { model: candidates.primary, sha256: "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff" }
  local: { pull: { from: "file:models/w.gguf" } }
  address:
    pull: { from: "https://example.com/w.gguf?download=1", sha256: "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff" }
  lora: { pull: { from: "file:models/w.gguf" } }
  wheel: { pull: { from: "pypi:some-model==1.2.3#some_model/w.gguf" } }
  hub: { pull: { from: "hf:org/repo:Q4_K_M@main" } }
  ollama: { pull: { from: "ollama:qwen3:8b" } }
  bucket: { pull: { from: "s3://bucket/a.gguf" } }
  mirrors:
    pull: { from: ["hf:org/repo/a.gguf", "file:models/w.gguf"], sha256: "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff" }
  scenarios:
    generate: { taxonomy: scenarios/t.yaml, styles: [terse, long], count: 4, seed: 7, writer: server }
  answers:
    infer: { model: canned, scenarios: scenarios, system: pipelines/system.md, prompt: pipelines/prompt.md, max_tokens: 200, temperature: 0.7, top_p: 0.9, seed: 11, context: 4096 }
  verdicts:
    judge: { answers: answers, rubric: rubrics/r.yaml, model: server, max_tokens: 150, context: 2048 }
  trust:
    calibrate: { verdicts: verdicts, gold: rubrics/r.gold.jsonl, floor: { kappa: 0.6, ac1: 0.7, sensitivity: 0.75, specificity: 0.65 }, confidence: 0.85 }
  together: { judge: { answers: answers, rubric: rubrics/r.yaml, model: server, mode: together } }
  both: { calibrate: { gold: rubrics/r.gold.jsonl, verdicts: verdicts, beside: weighed, floor: { ac1: 0.5 } } }
  decision:
    decide: { verdicts: verdicts, deploy: 0.8, fine_tune: 0.4, confidence: 0.9, max_ungraded: 0.1, gate: deploy }
  suite:
    generate: { taxonomy: scenarios/t.yaml, styles: terse }
  greedy:
    infer: { model: server, scenarios: scenarios }
  embedded:
    infer: { model: weights, scenarios: scenarios }
  fine: { infer: { model: tuned, scenarios: scenarios } }
  repeated: { infer: { model: canned, scenarios: imported, repeat: 3, latency: true } }
  panel:
    judge: { answers: repeated, rubric: rubrics/r.yaml, model: server, temperature: 0.5, top_p: 0.8, seed: 3, repeat: 5 }
  weighed: { judge: { answers: answers, rubric: rubrics/r.yaml, model: server, mode: logprob, max_outside: 0.25 } }
  imported: { generate: { file: scenarios/s.jsonl } }
  near: { generate: { file: scenarios/s.jsonl, near_duplicates: { embed: server, above: 0.9 } } }
  shaped:
    generate:
      taxonomy: scenarios/shaped.yaml
      count: 9
      writer: { model: server, prompt: pipelines/writer.md, batch: 2, attempts: 4 }
      reject: { length: 5..90, language: [en, de], echo: false, personal_data: true }
      near_duplicates: { shingles: 0.7, action: reject }
      not_in: [data/train.txt]
  mapped: { generate: { file: logs/log.csv, fields: { opening: $.text, axes.language: lang }, redact: true } }
  frozen: { generate: { taxonomy: scenarios/kept.yaml, freeze: scenarios/kept.jsonl } }
  checked:
    judge: { answers: greedy, rubric: rubrics/checks.yaml }
  retried: { judge: { answers: embedded, rubric: rubrics/checks.yaml } }
  checked-too: { judge: { answers: repeated, rubric: rubrics/checks.yaml } }
  preferred:
    prefer: { base: greedy, new: embedded, question: "Which is warmer?", model: server, max_tokens: 121, temperature: 0.45, top_p: 0.65, seed: 41, context: 1024, confidence: 0.77 }
  change: { compare: { base: checked, new: retried } }
  held:
    compare:
      base: checked
      new: retried
      goal: hold
      margin: 0.03
      min_improvement: 0.01
      confidence: 0.85
      cluster: none
      max_ungraded: 0.25
      seed: 29
      guards: { general: { base: retried, new: checked, margin: 0.04 } }
  verdicts-too:
    judge: { answers: greedy, rubric: rubrics/r.yaml, model: server, max_tokens: 150, context: 2048 }
  base-trust: { calibrate: { gold: rubrics/r.gold.jsonl, verdicts: verdicts } }
  new-trust: { calibrate: { gold: rubrics/r.gold.jsonl, verdicts: verdicts-too } }
  unbiased:
    compare: { base: verdicts, new: verdicts-too, calibrations: { base: base-trust, new: new-trust } }
"#,
    ),
    (
        CATALOG,
        "id,params_b,type,license,weights\nacme/a,7,base,apache-2.0,file:models/w.gguf\nacme/b,6,base,apache-2.0,https://example.com/b.gguf\n",
    ),
    ("catalog/more.csv", "id,params_b\nacme/c,5\n"),
    (
        TAXONOMY,
        r#"name: keys
styles: { terse: Few words., long: Many words. }
topics:
  - id: sleep
    title: Sleep
    subtopics:
      - id: waking
        title: Waking at night
        openings: { terse: "awake again, wach um drei — ぬ" }
edge_cases:
  - { id: hostile, topic: anger, style: terse, tags: [hostile], opening: "be mean" }
writer_prompt: "Write about {{ topic }}."
"#,
    ),
    (
        SHAPED,
        r#"name: shaped
styles: { terse: Few words., long: { description: Many words., weight: 3 } }
axes:
  severity: { mild: Can wait., acute: { description: Cannot wait., weight: 0.5 } }
topics:
  - id: sleep
    title: Sleep
    weight: 4
    subtopics: [{ id: waking, title: Waking at night, weight: 6, openings: { terse/mild: "wide awake" } }]
  - { id: work, title: Work, subtopics: [{ id: boss, title: A boss, openings: { terse/mild: "he yelled" } }] }
edge_cases:
  - { id: hostile, topic: anger, style: terse, axes: { severity: mild }, tags: [hostile], opening: "be mean" }
constraints:
  - not: { style: long, severity: acute }
must_cover:
  - { topic: sleep, at_least: 2 }
"#,
    ),
    (
        KEPT,
        r#"name: kept
styles: { terse: Few words., long: Many words. }
topics: []
edge_cases:
  - { id: hostile, topic: anger, style: terse, tags: [hostile], opening: "be mean" }
"#,
    ),
    (FROZEN, "{\"id\": \"hostile\", \"opening\": \"be mean\"}\n"),
    (LOG, "text,lang\nhi,en\n"),
    (TRAINED, "What it was trained on.\n"),
    (WRITER, "Write as somebody would about {{ topic }}.\n"),
    (
        RUBRIC,
        r#"name: keys
pass: { score: 0.7, min_applicable: 0.4 }
criteria:
  - { id: kind, question: "Is it kind?", weight: 2, critical: true, when: "scenario.edge_case", allow_not_applicable: true, examples: { pass: ["Oh dear."], fail: ["So what."] } }
  - { id: bounded, check: { words: { min: 1, max: 40 } } }
"#,
    ),
    (
        "rubrics/checks.yaml",
        r#"name: checks
pass: { score: 1 }
criteria:
  - { id: one, check: { contains: [yes, sure] } }
  - { id: all, check: { contains: { all: [a, b], ignore_case: true } } }
  - { id: not, check: { not: { regex: "x+" } } }
  - { id: form, check: { json: { schema: { type: object, required: [a] } } } }
"#,
    ),
    (
        GOLD,
        "{\"scenario\": \"a/b\", \"criterion\": \"bounded\", \"verdict\": \"pass\", \"labeller\": \"al\", \"reply\": \"0123456789abcdef\"}\n",
    ),
    (IMPORTED, "{\"opening\": \"hi\"}\n"),
    (SYSTEM, "You are kind.\n"),
    (PROMPT, "{{ scenario.opening }}!\n"),
    (WEIGHTS, "GGUF"),
];

/// The files of a project, and what some of its stages came to.
#[derive(Clone)]
pub(crate) struct World {
    files: BTreeMap<PathBuf, Vec<u8>>,
    pub(crate) pipeline: Pipeline,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::of(FILES.iter().map(|(path, text)| (PathBuf::from("/").join(path), text.as_bytes().to_vec())).collect())
    }

    fn of(files: BTreeMap<PathBuf, Vec<u8>>) -> Self {
        let environment = BTreeMap::from([("KEY".to_owned(), "sk-hunter2".to_owned())]);
        let sources = Memory(files.clone());
        let loaded = spec::load(&Path::new("/").join(PIPELINE), Path::new("/"), &sources, &environment);
        let pipeline = loaded.unwrap_or_else(|problems| panic!("{problems:#?}")).pipeline;
        Self { files, pipeline }
    }

    /// The same project with an edited file; the text to replace must be there.
    pub(crate) fn edited(&self, file: &str, old: &str, new: &str) -> Self {
        let mut files = self.files.clone();
        let bytes = files.get_mut(&Path::new("/").join(file)).unwrap();
        let text = String::from_utf8(bytes.clone()).unwrap();
        assert!(text.contains(old), "{file} holds {old:?}");
        *bytes = text.replace(old, new).into_bytes();
        Self::of(files)
    }

    /// The same project that reads a file from another place.
    pub(crate) fn moved(&self, from: &str, to: &str) -> Self {
        let mut world = self.clone();
        let bytes = world.files[&Path::new("/").join(from)].clone();
        world.files.insert(Path::new("/").join(to), bytes);
        world.edited(PIPELINE, from, to)
    }

    /// The same project with another name for a stage.
    pub(crate) fn renamed(&self, id: &StageId, name: &str) -> Self {
        let mut world = self.clone();
        let stage = world.pipeline.stages.swap_remove(id).unwrap();
        world.pipeline.stages.insert(StageId::new(name).unwrap(), stage);
        world
    }

    /// Kind and id of every stage.
    pub(crate) fn stages(&self) -> Vec<(String, StageId)> {
        self.pipeline.stages.iter().map(|(id, stage)| (stage::kind(stage).to_owned(), id.clone())).collect()
    }

    pub(crate) fn stage(&self, id: &str) -> &spec::Stage {
        &self.pipeline.stages[&StageId::new(id).unwrap()]
    }

    pub(crate) fn recipe(&self, id: &StageId) -> Recipe {
        stage::recipe(&self.pipeline, &self.pipeline.stages[id], self).unwrap_or_else(|error| panic!("{id}: {error}"))
    }

    fn candidates(&self, stage: &StageId) -> Candidates {
        let spec::Stage::Research(research) = &self.pipeline.stages[stage] else { panic!("{stage} does research") };
        let catalog = Catalog::read([("catalog", self.files[&Path::new("/").join(CATALOG)].as_slice())]).unwrap();
        catalog::research(&catalog, research).unwrap()
    }

    /// What a stage came to; a table for those that are not asked for a record.
    fn result(&self, stage: &StageId) -> Vec<u8> {
        let weights = if stage.as_str() == "lora" { "blake3-of-an-adapter" } else { "blake3-of-weights" };
        let record = match stage.as_str() {
            "candidates" => json!(self.candidates(stage)),
            "weights" | "lora" | "local" => json!({
                "model": "acme/a", "source": "file:models/w.gguf", "weights": BlobId::of(weights.as_bytes()),
                "sha256": "00", "bytes": 4, "architecture": "llama", "parameters": 1, "quantization": "F16",
                "context_length": null, "chat_template": BlobId::of(b"template"), "license": null,
            }),
            other => return format!("the table of {other}").into_bytes(),
        };
        serde_json::to_vec(&record).unwrap()
    }
}

impl Known for World {
    type Error = Infallible;

    fn output(&self, stage: &StageId) -> BlobId {
        BlobId::of(&self.result(stage))
    }

    fn record(&self, stage: &StageId) -> Result<Vec<u8>, Infallible> {
        Ok(self.result(stage))
    }

    fn file(&self, path: &Path) -> Result<BlobId, Infallible> {
        Ok(BlobId::of(&self.files[&Path::new("/").join(path)]))
    }

    fn search(&self, search: &spec::HubSearch) -> Result<Option<BlobId>, Infallible> {
        Ok(Some(BlobId::of(search.to_string().as_bytes())))
    }
}
