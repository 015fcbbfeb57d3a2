//! Asking again what is answered from the store: whether models still say what they said.
//!
//! Walks through the results that a run of a pipeline would take from the store, draws some of the calls they rest on, and
//! puts them to the engines afresh. Writes nothing. Start at [`audit`].

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use futures_util::{StreamExt, stream};
use serde_json::Value;

use super::engines::{Asker, Askers};
use super::preferences::zipped;
use super::scenarios::failed_file;
use super::stages::row_stage;
use super::{Engines, StageFailure};
use crate::engine::{Answer, CallKeys, Embedding, Engine, EngineError, Finish, Question, Reply, Weighed, answer};
use crate::ids::StageId;
use crate::key::Key;
use crate::plan::{Graph, Resolved, Settled, kept, resolve};
use crate::spec::{Pipeline, Stage};
use crate::stage::{self, Asked, CallFailure, Known as _, RowStage, Step, generate};
use crate::stats::{Interval, wilson};
use crate::store::{CallReader, Store};

/// So many mismatches are kept whole; the rest are counted.
const MISMATCHES_KEPT: usize = 10;

/// What is audited, and how much of it.
#[derive(Debug, Clone, Copy)]
pub struct Audit<'a> {
    /// The pipeline.
    pub pipeline: &'a Pipeline,
    /// Its graph.
    pub graph: &'a Graph,
    /// Where its results are.
    pub store: &'a Store,
    /// Whom to ask.
    pub engines: &'a Engines,
    /// How many calls to ask again.
    pub sample: usize,
    /// Which of them: the same ones for the same seed and store.
    pub seed: u64,
}

/// What an audit found.
#[derive(Debug, Default)]
pub struct Audited {
    /// Calls from the store that the results rest on.
    pub hits: u64,
    /// Calls that came to the same reply.
    pub same: u64,
    /// Calls that came to another one.
    pub differ: u64,
    /// The first of these.
    pub mismatches: Vec<Mismatch>,
    /// Calls that were not answered, which says nothing of the store.
    pub failed: u64,
    /// Why the first of these was not.
    pub failure: Option<String>,
    /// Calls whose reply is no longer in the store.
    pub gone: u64,
    /// Stages that could not be looked at, and why.
    pub left_out: Vec<(StageId, String)>,
}

impl Audited {
    /// How many were compared.
    #[must_use]
    pub fn compared(&self) -> u64 {
        self.same + self.differ
    }

    /// Where the share of calls that differ lies, at 95 %.
    #[must_use]
    pub fn interval(&self) -> Interval {
        wilson(as_number(self.differ), as_number(self.compared()), 0.95)
    }

    /// The share of calls that differ; none where nothing was compared.
    #[must_use]
    pub fn rate(&self) -> Option<f64> {
        (self.compared() > 0).then(|| as_number(self.differ) / as_number(self.compared()))
    }
}

#[expect(clippy::cast_precision_loss, reason = "a sample is far smaller than 2^52")]
fn as_number(count: u64) -> f64 {
    count as f64
}

/// A call that came to another reply.
#[derive(Debug, Clone, PartialEq)]
pub struct Mismatch {
    /// The stage that asked.
    pub stage: StageId,
    /// The row for which it asked.
    pub scenario: String,
    /// What is kept.
    pub stored: Reply,
    /// What came now.
    pub new: Reply,
    /// The first character that differs, from 0; none where the text is the same, and ended for another
    /// reason or words were weighed otherwise.
    pub differs_at: Option<usize>,
}

/// A call that was drawn.
struct Drawn {
    /// Its place among all hits.
    place: u64,
    stage: StageId,
    scenario: String,
    question: Question,
    stored: Answer,
    engine: Arc<dyn Engine>,
}

/// Asks a sample of the calls that a run would take from the store.
///
/// # Errors
/// The store or a file cannot be read.
pub async fn audit(audit: &Audit<'_>) -> Result<Audited, StageFailure> {
    let mut walk = Walk { audit, drawn: Vec::new(), found: Audited::default() };
    walk.all()?;
    let Walk { audit: _, mut drawn, mut found } = walk;
    drawn.sort_by_key(|drawn| drawn.place);
    let width = drawn.iter().map(|drawn| drawn.engine.width().max(1)).min().unwrap_or(1);
    let mut answers = stream::iter(drawn)
        .map(|drawn| async move {
            let answer = answer(drawn.engine.as_ref(), &drawn.question).await;
            (drawn, answer)
        })
        .buffered(width);
    while let Some((drawn, answer)) = answers.next().await {
        found.compare(drawn, answer);
    }
    drop(answers);
    Ok(found)
}

impl Audited {
    fn compare(&mut self, drawn: Drawn, answer: Result<Answer, EngineError>) {
        let Drawn { place: _, stage, scenario, question: _, stored, engine: _ } = drawn;
        let new = match answer {
            Ok(new) => new,
            Err(error) => {
                self.failed += 1;
                self.failure.get_or_insert(error.message);
                return;
            }
        };
        let (stored, new) = match (stored, new) {
            (Answer::Reply(stored), Answer::Reply(new)) => (stored, new),
            (Answer::Embedding(stored), Answer::Embedding(new)) => as_replies(&stored, &new),
            (Answer::Reply(_), Answer::Embedding(_)) | (Answer::Embedding(_), Answer::Reply(_)) => {
                unreachable!("an answer is of the sort that was asked for")
            }
        };
        // How long it took, and how much was shared with other requests, is chance.
        let weighs_alike = weighs_alike(stored.weighed.as_ref(), new.weighed.as_ref());
        if (&stored.text, stored.finish) == (&new.text, new.finish) && weighs_alike {
            self.same += 1;
            return;
        }
        self.differ += 1;
        if self.mismatches.len() < MISMATCHES_KEPT {
            let differs_at = first_difference(&stored.text, &new.text);
            self.mismatches.push(Mismatch { stage, scenario, stored, new, differs_at });
        }
    }
}

/// Two vectors in words, which are the same where the vectors have the same direction to four places of their cosine.
fn as_replies(stored: &Embedding, new: &Embedding) -> (Reply, Reply) {
    let reply = |embedding: &Embedding, seen_from_stored: String| {
        let text = format!("a vector of {} numbers{seen_from_stored}", embedding.values().len());
        Reply::new(text, Finish::Stop, embedding.usage(), embedding.elapsed_ms())
    };
    let cosine = stored.cosine(new);
    let apart = if cosine < 1.0 { format!(" at a cosine of {cosine} from it") } else { String::new() };
    (reply(stored, String::new()), reply(new, apart))
}

/// Whether words are equally likely in both, to the four places that a verdict's row has of them.
fn weighs_alike(one: Option<&Weighed>, other: Option<&Weighed>) -> bool {
    let places = |weighed: &Weighed| weighed.probabilities.iter().map(|p| format!("{p:.4}")).collect::<Vec<_>>();
    one.map(places) == other.map(places)
}

fn first_difference(one: &str, other: &str) -> Option<usize> {
    let mut pairs = one.chars().zip(other.chars());
    match pairs.position(|(one, other)| one != other) {
        Some(at) => Some(at),
        None if one.len() == other.len() => None,
        None => Some(one.chars().count().min(other.chars().count())),
    }
}

/// The way through all results.
struct Walk<'a> {
    audit: &'a Audit<'a>,
    drawn: Vec<Drawn>,
    found: Audited,
}

/// A stage that asks somebody.
struct AskedStage<'a> {
    id: &'a StageId,
    work: Arc<dyn RowStage>,
    askers: Askers,
    /// Make the keys of calls for texts, by seat.
    texts: Vec<CallKeys>,
    /// Makes the keys of calls for embeddings.
    embeddings: Option<CallKeys>,
    /// Makes the keys of calls of programs.
    commands: Option<CallKeys>,
}

impl AskedStage<'_> {
    fn key(&self, question: &Question) -> Key {
        let keys = match question {
            Question::Complete { seat, request: _ } => self.texts.get(*seat),
            Question::Embed(_) => self.embeddings.as_ref(),
            Question::Run(_) => self.commands.as_ref(),
        };
        keys.expect("a stage that asks has somebody to ask").of(question)
    }
}

type Lines<'a> = Box<dyn Iterator<Item = io::Result<String>> + 'a>;

impl Walk<'_> {
    fn all(&mut self) -> Result<(), StageFailure> {
        let Audit { pipeline, graph, store, .. } = *self.audit;
        let mut settled = Settled::new(pipeline, store);
        for id in graph.order() {
            let stage = &pipeline.stages[id];
            if let Some(read) = stage::reads(stage).into_iter().find(|read| !settled.is_settled(read)) {
                self.found.left_out.push((id.clone(), format!("reads `{read}`, whose result is not in the store")));
                continue;
            }
            match resolve(pipeline, id, stage, &settled, store)? {
                Resolved::Hit(receipt) => settled.settle(id.clone(), &receipt),
                Resolved::Miss(..) | Resolved::Unfetched => {
                    self.found.left_out.push((id.clone(), "its result is not in the store".to_owned()));
                    continue;
                }
            }
            self.stage(id, stage, &settled)?;
        }
        Ok(())
    }

    /// Walks through one stage, if it asks anybody.
    fn stage(&mut self, id: &StageId, stage: &Stage, settled: &Settled<'_>) -> Result<(), StageFailure> {
        let store = self.audit.store;
        let asked = match self.audit.engines.askers(self.audit.pipeline, store, stage, settled) {
            Ok(askers) if askers.width().is_none() => return Ok(()),
            Ok(askers) => {
                let keys = |asker: &Asker| CallKeys::new(asker.engine.identity());
                let texts = askers.texts.iter().map(keys).collect();
                let embeddings = askers.embeddings.as_ref().map(keys);
                let commands = askers.commands.as_ref().map(keys);
                AskedStage { id, work: row_stage(id, stage)?, askers, texts, embeddings, commands }
            }
            Err(error) => {
                self.found.left_out.push((id.clone(), error.to_string()));
                return Ok(());
            }
        };
        let lines: Lines<'_> = match (stage, stage::table(stage)) {
            (Stage::Prefer(spec), _) => {
                let [base, new] = [&spec.base, &spec.new].map(|answers| settled.output(answers));
                Box::new(zipped(store.lines(&base)?, store.lines(&new)?))
            }
            (_, Some(table)) => Box::new(store.lines(&settled.output(table))?),
            (Stage::Generate(spec), None) => {
                let rows = generate::rows(spec, &self.audit.pipeline.root).map_err(|error| failed_file(&error))?;
                Box::new(rows.cells.map(|cell| cell.map(|cell| cell.to_line()).map_err(io::Error::other)))
            }
            (_, None) => unreachable!("a stage that asks has rows"),
        };
        let calls = store.calls()?;
        for line in lines {
            let line = line.map_err(|error| StageFailure::new(format!("a table cannot be read: {error}"), None))?;
            self.row(&asked, &line, &calls)?;
        }
        Ok(())
    }

    /// Takes one row through its stage again with the replies that are kept.
    fn row(&mut self, asked: &AskedStage<'_>, line: &str, calls: &CallReader<'_>) -> Result<(), StageFailure> {
        let mut step = asked.work.start(line).map_err(|error| StageFailure::new(error.to_string(), None))?;
        loop {
            let (questions, resume) = match step {
                Step::Done(_) => return Ok(()),
                Step::Ask(questions, resume) => (questions, resume),
            };
            let mut answers = Vec::with_capacity(questions.len());
            for question in questions {
                answers.push(match kept(calls, &question, &asked.key(&question))? {
                    Some(answer) => {
                        self.draw(asked, line, question, &answer);
                        answer.into()
                    }
                    None => {
                        // It failed when the result was made, or is gone: there is nothing to compare with.
                        self.found.gone += 1;
                        let message = "its reply is not in the store".to_owned();
                        Asked::Failed(CallFailure { kind: "gone".to_owned(), message })
                    }
                });
            }
            step = resume.resume(answers);
        }
    }

    /// Puts a hit into the sample, so that in the end each of all has had the same chance (Vitter's algorithm R).
    fn draw(&mut self, asked: &AskedStage<'_>, line: &str, question: Question, stored: &Answer) {
        let place = self.found.hits;
        self.found.hits += 1;
        let size = self.audit.sample;
        let at = if self.drawn.len() < size {
            self.drawn.len()
        } else {
            match usize::try_from(random(self.audit.seed, place) % self.found.hits) {
                Ok(at) if at < size => at,
                Ok(_) | Err(_) => return,
            }
        };
        let engine = Arc::clone(&asked.askers.of(&question).engine);
        let drawn = Drawn {
            place,
            stage: asked.id.clone(),
            scenario: scenario_of(line),
            question,
            stored: stored.clone(),
            engine,
        };
        if at == self.drawn.len() { self.drawn.push(drawn) } else { self.drawn[at] = drawn }
    }
}

/// A number that depends on seed and place alone, the same on every machine.
fn random(seed: u64, place: u64) -> u64 {
    let mut hasher = blake3::Hasher::new_derive_key("evalflow audit sample v1");
    hasher.update(&seed.to_le_bytes());
    hasher.update(&place.to_le_bytes());
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
    u64::from_le_bytes(bytes)
}

/// Which row a line is, for people.
fn scenario_of(line: &str) -> String {
    let row: BTreeMap<String, Value> = serde_json::from_str(line).unwrap_or_default();
    let id = row.get("scenario").and_then(|scenario| scenario.get("id")).or_else(|| row.get("id"));
    id.and_then(Value::as_str).unwrap_or("?").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_difference_is_a_character() {
        for (one, other, expected) in [
            ("same", "same", None),
            ("same", "some", Some(1)),
            ("é same", "é some", Some(3)),
            ("long", "longer", Some(4)),
            ("", "x", Some(0)),
        ] {
            assert_eq!(first_difference(one, other), expected, "{one} {other}");
            assert_eq!(first_difference(other, one), expected, "{other} {one}");
        }
    }

    #[test]
    fn words_are_alike_to_four_places() {
        let weighed = |p: f64| Some(Weighed { probabilities: vec![p, 0.25], tokens: vec![Vec::new(), Vec::new()] });
        let check = |one: Option<Weighed>, other: Option<Weighed>, alike: bool| {
            assert_eq!(weighs_alike(one.as_ref(), other.as_ref()), alike, "{one:?} {other:?}");
        };
        check(None, None, true);
        check(weighed(0.5), weighed(0.500_01), true);
        check(weighed(0.5), weighed(0.501), false);
        check(weighed(0.5), None, false);
    }

    #[test]
    fn vectors_are_alike_by_their_direction() {
        let embedding = |values: &[f32]| Embedding::new(values, Default::default(), 0).unwrap();
        let texts = |one: &[f32], other: &[f32]| {
            let (stored, new) = as_replies(&embedding(one), &embedding(other));
            (stored.text, new.text)
        };
        let (stored, new) = texts(&[1.0, 0.0], &[1.0, 0.000_01]);
        assert_eq!(stored, new);
        assert_eq!(texts(&[1.0, 0.0], &[1.0, 1.0]).1, "a vector of 2 numbers at a cosine of 0.7071 from it");
    }

    #[test]
    fn rows_are_named_by_their_scenario() {
        assert_eq!(scenario_of(r#"{"id":"a/b","opening":"x"}"#), "a/b");
        assert_eq!(scenario_of(r#"{"scenario":{"id":"a/b"},"reply":null}"#), "a/b");
        assert_eq!(scenario_of("[]"), "?");
    }

    #[test]
    fn each_place_is_drawn_as_often_as_any_other() {
        // The sample alone, without requests: how often is each of ten hits among three drawn?
        let mut counts = [0_u32; 10];
        for seed in 0..3000 {
            let mut drawn = Vec::new();
            for place in 0..10_u64 {
                if drawn.len() < 3 {
                    drawn.push(place);
                } else if let at @ 0..3 = random(seed, place) % (place + 1) {
                    drawn[usize::try_from(at).unwrap()] = place;
                }
            }
            for place in drawn {
                counts[usize::try_from(place).unwrap()] += 1;
            }
        }
        // 900 expected; 5 standard deviations are 125.
        assert!(counts.iter().all(|count| (775..1025).contains(count)), "{counts:?}");
    }
}
