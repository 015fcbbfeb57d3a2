//! A run without anybody being asked: rows go through the stages that would run, calls are looked up in the store, and
//! what is not there is counted.
//!
//! Never asks, never writes, and holds a few thousand rows at most. Start at [`run`].

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use serde_json::Value;

use super::forecast::ForecastError;
use crate::engine::{CallKeys, Embedding, Finish, Question, Reply, Request, Usage, Weighed, Words};
use crate::ids::StageId;
use crate::key::{BlobId, Key};
use crate::spec::Generate;
use crate::stage::judge::answer_to_all;
use crate::stage::{Asked, Row, RowStage, Step, generate, prefer};
use crate::store::{CallReader, Store, StoreError};

/// Rows that are taken through the stages at once.
const BATCH: usize = 2048;

/// Fewer rows than this are not worth a second thread.
const WORTH_A_THREAD: usize = 64;

/// Most calls that are remembered so that none is counted twice, each by the first eight bytes of its key: about 16 MB a
/// million. Beyond it a call that many rows ask counts for each of them, and the numbers are no longer exact.
const MOST_REMEMBERED: usize = 4_000_000;

/// A stage that would run, as far as a dry run needs it.
pub(super) struct Node<'a> {
    pub(super) id: &'a StageId,
    pub(super) work: Box<dyn RowStage>,
    /// Who answers its calls for texts, by seat.
    pub(super) texts: Vec<Engine>,
    /// Who answers its calls for embeddings.
    pub(super) embeddings: Engine,
    /// Who runs its programs. What they are asked is not counted: it costs nothing.
    pub(super) commands: Engine,
    pub(super) stand_in: StandIn,
    /// The stages that read its rows, by their place among the nodes.
    pub(super) readers: Vec<usize>,
}

/// Who answers a stage's calls.
pub(super) enum Engine {
    /// Nobody: it makes none.
    Nobody,
    /// The store may know answers of this one.
    Known(CallKeys),
    /// Its weights are not here yet, so the store cannot know an answer. Holds something to tell calls apart by.
    Unknown(CallKeys),
}

/// What is taken for a reply that is not there. Each kind reads its stand-in without asking again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StandIn {
    /// A message of so many characters, as a writer writes it.
    Opening(usize),
    /// Text of so many characters.
    Text(usize),
    /// A verdict.
    Verdict,
    /// Which of two replies is better.
    Preference,
}

/// Where rows come from.
pub(super) enum Feed<'a> {
    /// From the table of a stage that is not run.
    Table(BlobId),
    /// From the tables of two stages that are not run, a row of each at a time.
    Pair(BlobId, BlobId),
    /// From a taxonomy or a file; paths start at the root.
    Cells(&'a Generate, &'a Path),
}

/// What the calls of one stage come to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Count {
    /// Rows that it reads.
    pub(super) rows: u64,
    /// Calls to make.
    pub(super) to_make: u64,
    /// Of these, calls of rows that are not known yet: there may be fewer.
    pub(super) uncertain: u64,
    /// Calls that are answered without an engine: from the store, or because another row asks the same.
    pub(super) cached: u64,
    /// Characters of the messages of the calls to make.
    pub(super) prompt_chars: u64,
    /// Most tokens that the replies of the calls to make can have.
    pub(super) most_completion_tokens: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answered {
    FromStore,
    Missing,
    /// It is not known what will be asked, only that something will.
    Uncertain,
}

/// One request that a row came to.
struct Call {
    node: usize,
    /// By seat; embeddings come behind all texts.
    engine: usize,
    prefix: u64,
    chars: u64,
    max_tokens: u32,
    answered: Answered,
}

/// What some rows came to, in their order.
#[derive(Default)]
struct Found {
    calls: Vec<Call>,
    /// A row each: the node that read it.
    rows: Vec<usize>,
}

/// Takes all rows of the feeds through the nodes that read them, and counts for each node: its calls for texts, by seat, and
/// then those for embeddings.
pub(super) fn run(
    store: &Store,
    nodes: &[Node<'_>],
    feeds: &[(Feed<'_>, Vec<usize>)],
) -> Result<Vec<Vec<Count>>, ForecastError> {
    let mut counts: Vec<Vec<Count>> = nodes.iter().map(|node| vec![Count::default(); node.texts.len() + 1]).collect();
    let mut asked = BTreeSet::new();
    for (feed, readers) in feeds {
        let mut lines = lines(store, feed)?;
        loop {
            let batch: Vec<String> = lines.by_ref().take(BATCH).collect::<io::Result<_>>().map_err(unreadable)?;
            if batch.is_empty() {
                break;
            }
            for found in through(store, nodes, readers, &batch)? {
                add(found, &mut counts, &mut asked, MOST_REMEMBERED);
            }
        }
    }
    Ok(counts)
}

type LineSource<'a> = Box<dyn Iterator<Item = io::Result<String>> + 'a>;

fn lines<'a>(store: &Store, feed: &Feed<'a>) -> Result<LineSource<'a>, ForecastError> {
    Ok(match feed {
        Feed::Table(blob) => Box::new(store.lines(blob)?),
        Feed::Pair(base, new) => {
            let paired = |(base, new): (io::Result<String>, io::Result<String>)| Ok(prefer::paired(&base?, &new?));
            Box::new(store.lines(base)?.zip(store.lines(new)?).map(paired))
        }
        Feed::Cells(generate, root) => {
            let rows = generate::rows(generate, root).map_err(io::Error::other).map_err(unreadable)?;
            Box::new(rows.cells.map(|cell| cell.map(|cell| cell.to_line()).map_err(io::Error::other)))
        }
    })
}

fn unreadable(source: io::Error) -> ForecastError {
    StoreError::Io { source }.into()
}

/// Takes a batch of rows through, on two threads where it is worth it.
fn through(
    store: &Store,
    nodes: &[Node<'_>],
    readers: &[usize],
    batch: &[String],
) -> Result<Vec<Found>, ForecastError> {
    let part = |lines: &[String]| -> Result<Found, ForecastError> {
        let walk = Walk { nodes, calls: store.calls()? };
        let mut found = Found::default();
        for line in lines {
            for reader in readers {
                walk.row(*reader, line, true, &mut found)?;
            }
        }
        Ok(found)
    };
    if batch.len() < WORTH_A_THREAD {
        return Ok(vec![part(batch)?]);
    }
    let (first, second) = batch.split_at(batch.len() / 2);
    std::thread::scope(|scope| {
        let second = scope.spawn(|| part(second));
        let first = part(first)?;
        let second = second.join().expect("a panic there is a bug that must not be hidden")?;
        Ok(vec![first, second])
    })
}

/// Adds what rows came to. In the order of rows, so that numbers do not depend on threads.
fn add(found: Found, counts: &mut [Vec<Count>], asked: &mut BTreeSet<u64>, most: usize) {
    for node in found.rows {
        counts[node][0].rows += 1;
    }
    for Call { node, engine, prefix, chars, max_tokens, answered } in found.calls {
        let count = &mut counts[node][engine];
        let full = asked.len() >= most;
        let is_new =
            answered != Answered::FromStore && if full { !asked.contains(&prefix) } else { asked.insert(prefix) };
        if !is_new {
            count.cached += 1;
            continue;
        }
        count.to_make += 1;
        count.uncertain += u64::from(full || answered == Answered::Uncertain);
        count.prompt_chars += chars;
        count.most_completion_tokens += u64::from(max_tokens);
    }
}

struct Walk<'a> {
    nodes: &'a [Node<'a>],
    calls: CallReader<'a>,
}

impl Walk<'_> {
    /// Takes one row through a node and on through those that read it. `known` says that the row is what a run will see.
    fn row(&self, at: usize, line: &str, known: bool, found: &mut Found) -> Result<(), ForecastError> {
        let node = &self.nodes[at];
        found.rows.push(at);
        let broken = |error| ForecastError::Row { stage: node.id.clone(), error };
        let mut step = node.work.start(line).map_err(broken)?;
        let mut outcome_known = known;
        let Row { lines, flaw: _, judging: _, embedded: _, drawn: _ } = loop {
            match step {
                Step::Done(row) => break row,
                Step::Ask(questions, rest) => {
                    let mut answers = Vec::with_capacity(questions.len());
                    for question in &questions {
                        // What is not written yet cannot be embedded for certain.
                        let known = if matches!(question, Question::Embed(_)) { outcome_known } else { known };
                        let (answer, answered) = self.answer(node, question, known, at, found)?;
                        // Where a text lies is nothing to those who read the row.
                        outcome_known &= answered == Answered::FromStore || matches!(question, Question::Embed(_));
                        answers.push(answer);
                    }
                    step = rest.resume(answers);
                }
            }
        };
        for reader in &node.readers {
            for line in &lines {
                self.row(*reader, line, outcome_known, found)?;
            }
        }
        Ok(())
    }

    /// The answer from the store, or what stands in for it.
    fn answer(
        &self,
        node: &Node<'_>,
        question: &Question,
        known: bool,
        at: usize,
        found: &mut Found,
    ) -> Result<(Asked, Answered), ForecastError> {
        let (place, engine) = match question {
            Question::Complete { seat, request: _ } => (*seat, &node.texts[*seat]),
            Question::Embed(_) => (node.texts.len(), &node.embeddings),
            Question::Run(_) => (node.texts.len(), &node.commands),
        };
        let (keys, may_be_kept) = match engine {
            Engine::Known(keys) => (keys, known),
            Engine::Unknown(keys) => (keys, false),
            Engine::Nobody => unreachable!("a stage that asks has somebody to ask"),
        };
        let key = keys.of(question);
        let (answer, is_kept) = match question {
            Question::Complete { seat: _, request } => {
                let stored = if may_be_kept { self.calls.reply(&key)? } else { None };
                let is_kept = stored.is_some();
                (Asked::Replied(stored.unwrap_or_else(|| node.stand_in.reply(&key, request))), is_kept)
            }
            Question::Run(_) => {
                let stored = if may_be_kept { self.calls.reply(&key)? } else { None };
                let is_kept = stored.is_some();
                let passed = || Reply::new(r#"{"exit":0,"stdout":""}"#, Finish::Stop, Usage::default(), 0);
                (Asked::Replied(stored.unwrap_or_else(passed)), is_kept)
            }
            // Nothing rests on the vector here, so it need not be read.
            Question::Embed(_) => (Asked::Embedded(anywhere()), may_be_kept && self.calls.has(&key)?),
        };
        let answered = match is_kept {
            true => Answered::FromStore,
            false if known && may_be_kept => Answered::Missing,
            false => Answered::Uncertain,
        };
        if matches!(question, Question::Run(_)) {
            return Ok((answer, answered));
        }
        let [a, b, c, d, e, f, g, h, ..] = *key.as_bytes();
        found.calls.push(Call {
            node: at,
            engine: place,
            prefix: u64::from_le_bytes([a, b, c, d, e, f, g, h]),
            chars: question.chars(),
            max_tokens: question.max_tokens(),
            answered,
        });
        Ok((answer, answered))
    }
}

/// What is taken for an embedding.
fn anywhere() -> Embedding {
    Embedding::new(&[1.0], Usage::default(), 0).expect("it has a direction")
}

impl StandIn {
    /// Two calls have equal stand-ins if they are the same call: what is asked about their replies is then the same as well.
    fn reply(self, key: &Key, request: &Request) -> Reply {
        let filler = |chars: usize| key.to_string().chars().cycle().take(chars.max(16)).collect::<String>();
        let text = match self {
            Self::Opening(chars) => openings(key, chars.max(1), request),
            Self::Text(chars) => filler(chars),
            Self::Preference => r#"{"reason":"","preferred":"first"}"#.to_owned(),
            Self::Verdict => verdict(request),
        };
        let weighed = request.form.words().map(certain_of_the_first);
        Reply { weighed, ..Reply::new(text, Finish::Stop, Usage::default(), 0) }
    }
}

/// A verdict, or the lowest level where one is asked for; one of each question where several are asked.
fn verdict(request: &Request) -> String {
    let Some(schema) = request.form.schema() else { return String::new() };
    let one = |form: &Value| match form.pointer("/properties/level/enum/0") {
        Some(level) => serde_json::json!({ "evidence": "", "reason": "", "level": level }),
        None => serde_json::json!({ "evidence": "", "reason": "", "verdict": "pass" }),
    };
    answer_to_all(schema, one).unwrap_or_else(|| one(schema.json())).to_string()
}

/// Openings that no stage has a reason not to take: signs that are in no language, and no number of anybody. As many as are
/// asked for at once.
fn openings(key: &Key, chars: usize, request: &Request) -> String {
    let sign = |digit: char| char::from_u32(0x2800 + digit.to_digit(16).unwrap_or(0)).unwrap_or('⠀');
    let one = |at: usize| key.to_string().chars().cycle().skip(at).map(sign).take(chars).collect::<String>();
    match request.form.schema().and_then(generate::openings_asked) {
        None => serde_json::json!({ "opening": one(0) }).to_string(),
        Some(count) => serde_json::json!({ "openings": (0..count).map(one).collect::<Vec<_>>() }).to_string(),
    }
}

fn certain_of_the_first(words: &Words) -> Weighed {
    let mut probabilities = vec![0.0; words.all().len()];
    probabilities[0] = 1.0;
    Weighed { tokens: vec![Vec::new(); probabilities.len()], probabilities }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{ReplyForm, Sampling};

    fn calls(calls: &[(u64, Answered)]) -> Found {
        let call = |&(prefix, answered): &(u64, Answered)| Call {
            node: 0,
            engine: 0,
            prefix,
            chars: 10,
            max_tokens: 5,
            answered,
        };
        Found { calls: calls.iter().map(call).collect(), rows: vec![0; calls.len()] }
    }

    fn count(found: Found, most: usize) -> Count {
        let mut counts = [vec![Count::default(); 2]];
        add(found, &mut counts, &mut BTreeSet::new(), most);
        counts[0][0]
    }

    #[test]
    fn a_call_that_several_rows_ask_is_made_once() {
        use Answered::{FromStore, Missing, Uncertain};
        let found =
            calls(&[(1, FromStore), (2, Missing), (2, Missing), (3, Uncertain), (3, Uncertain), (1, FromStore)]);
        let expected =
            Count { rows: 6, to_make: 2, uncertain: 1, cached: 4, prompt_chars: 20, most_completion_tokens: 10 };
        assert_eq!(count(found, 9), expected);
    }

    #[test]
    fn what_is_not_remembered_makes_the_count_uncertain() {
        use Answered::Missing;
        let found = count(calls(&[(1, Missing), (2, Missing), (3, Missing), (3, Missing), (1, Missing)]), 2);
        assert_eq!((found.to_make, found.uncertain, found.cached), (4, 2, 1));
    }

    #[test]
    fn stand_ins_are_equal_where_calls_are() {
        let key = |n: u32| crate::key::Recipe::new("call", 1, serde_json::json!({ "n": n })).key();
        let request =
            |form| Request { messages: Vec::new(), sampling: Sampling::Greedy, max_tokens: 1, form, repetition: 0 };
        let text = |n, chars| StandIn::Text(chars).reply(&key(n), &request(ReplyForm::Free)).text;
        assert_eq!(text(1, 200), text(1, 200));
        assert_ne!(text(1, 200), text(2, 200));
        assert_eq!((text(1, 200).len(), text(1, 0).len()), (200, 16));
        let words = Words::new(["pass", "fail"]);
        let weighed = StandIn::Verdict.reply(&key(1), &request(ReplyForm::Words(words))).weighed.unwrap();
        assert_eq!(weighed.probabilities, [1.0, 0.0]);
    }
}
