//! What a run would take: calls, tokens, time, money, bytes to fetch and memory, for each stage that would run.
//!
//! Every number says what it rests on, and none is made up: what is not known is said to be unknown. Never asks an engine,
//! never writes. Start at [`forecast`].

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::json;

use super::dry::{self, Count, Engine, Feed, Node, StandIn};
use super::needs;
use super::{PlanError, PlannedStage, Reason, Resolved, Settled, Status, resolve};
use crate::check::CheckError;
use crate::engine::{CallKeys, Identity};
use crate::ids::StageId;
use crate::spec::{ModelRef, Pipeline, Price, Stage};
use crate::stage::{self, RowError};
use crate::store::{Receipt, Speed, Store, StoreError};

/// Tokens of a prompt are reckoned as its characters divided by this where the model was never asked on this machine.
const CHARS_PER_TOKEN: u64 = 4;

/// What a number rests on, from the firmest to the weakest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// Counted: a run comes to the same, unless a reply cannot be read and is asked for once more.
    Exact,
    /// Reckoned from what this machine recorded.
    Forecast,
    /// The most it can be.
    AtMost,
    /// A rule of thumb.
    Guess,
    /// What is known of it; there is more that is not.
    AtLeast,
    /// Nothing is known of it.
    Unknown,
}

/// A number and what it rests on.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Figure<T = u64> {
    /// The number; none where nothing is known.
    pub value: Option<T>,
    /// What it rests on.
    pub basis: Basis,
}

/// What one stage that would run takes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StageForecast {
    /// Its calls; none for a stage that makes none.
    pub calls: Option<CallsForecast>,
    /// Bytes to fetch, of a `pull`.
    pub download_bytes: Option<Figure>,
    /// Bytes of memory that its model needs on this machine, of a stage that asks an embedded one.
    pub memory_bytes: Option<Figure>,
}

/// What the calls of one stage, or of all, come to.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct CallsForecast {
    /// Calls to make.
    pub to_make: Figure,
    /// Calls that need no engine: their reply is in the store, or another row asks the same.
    pub cached: Figure,
    /// Tokens of the prompts of the calls to make.
    pub prompt_tokens: Figure,
    /// Tokens of their replies.
    pub completion_tokens: Figure,
    /// Time they take, in milliseconds.
    pub time_ms: Figure,
    /// What they cost, in US dollars.
    pub cost: Figure<f64>,
}

/// What a run would take.
#[derive(Debug, Clone, PartialEq)]
pub struct Forecast {
    /// Of each stage that would run.
    pub stages: BTreeMap<StageId, StageForecast>,
    /// Of all of them.
    pub total: StageForecast,
}

/// Why there is no forecast.
#[derive(Debug, thiserror::Error)]
pub enum ForecastError {
    /// An input does not name what a stage needs, or a file cannot be read.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A row of a table is not what the stage reads.
    #[error("`{stage}`: a row of its input is {error}")]
    Row {
        /// The stage.
        stage: StageId,
        /// What is wrong.
        error: RowError,
    },
    /// A check of a rubric does not compile.
    #[error("`{stage}`: {error}")]
    Check {
        /// The stage.
        stage: StageId,
        /// What is wrong.
        error: CheckError,
    },
}

impl ForecastError {
    /// The way on, as an imperative sentence.
    #[must_use]
    pub fn help(&self) -> String {
        match self {
            Self::Plan(error) => error.help(),
            Self::Store(error) => error.help(),
            Self::Row { .. } => "remove the store and run again: another version wrote it".to_owned(),
            Self::Check { .. } => "mend the check in the rubric".to_owned(),
        }
    }
}

impl<T> Figure<T> {
    /// A number that was counted.
    #[must_use]
    pub fn exact(value: T) -> Self {
        Self { value: Some(value), basis: Basis::Exact }
    }

    /// Nothing is known.
    #[must_use]
    pub fn unknown() -> Self {
        Self { value: None, basis: Basis::Unknown }
    }

    /// A number that rests on `basis`.
    #[must_use]
    pub fn of(value: T, basis: Basis) -> Self {
        Self { value: Some(value), basis }
    }
}

impl<T: Copy + std::ops::Add<Output = T>> Figure<T> {
    /// The sum, which rests on the weaker of the two.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        match (self.value, other.value) {
            (Some(one), Some(two)) => Self::of(one + two, self.basis.max(other.basis)),
            (Some(value), None) | (None, Some(value)) => Self::of(value, Basis::AtLeast),
            (None, None) => Self::unknown(),
        }
    }
}

impl CallsForecast {
    fn none() -> Self {
        let zero = Figure::exact(0);
        Self {
            to_make: zero,
            cached: zero,
            prompt_tokens: zero,
            completion_tokens: zero,
            time_ms: zero,
            cost: Figure::exact(0.0),
        }
    }

    /// The sum. What is not known of calls that need not be made is no gap in it.
    fn plus(self, other: Self) -> Self {
        let cached = self.cached.plus(other.cached);
        let nothing = Figure::exact(0);
        match (self.to_make == nothing, other.to_make == nothing) {
            (_, true) => Self { cached, ..self },
            (true, false) => Self { cached, ..other },
            (false, false) => Self {
                to_make: self.to_make.plus(other.to_make),
                cached,
                prompt_tokens: self.prompt_tokens.plus(other.prompt_tokens),
                completion_tokens: self.completion_tokens.plus(other.completion_tokens),
                time_ms: self.time_ms.plus(other.time_ms),
                cost: self.cost.plus(other.cost),
            },
        }
    }
}

/// What was recorded of a model on this machine.
#[derive(Clone, Copy)]
struct Record {
    /// Of calls in the same manner.
    same: Option<Speed>,
    /// Of calls in another manner.
    other: Option<Speed>,
}

impl Record {
    fn read(store: &Store, identity: &Identity, manner: &str) -> Result<Self, StoreError> {
        let model = identity.digest();
        let usable = |speed: Option<Speed>| speed.filter(|speed| speed.calls > 0);
        let same = usable(store.speed(&model, manner)?);
        let mut other = None;
        for name in ["infer", "judge", "generate", "judge_logprob"] {
            if name != manner && other.is_none() {
                other = usable(store.speed(&model, name)?);
            }
        }
        Ok(Self { same, other })
    }

    fn unknown() -> Self {
        Self { same: None, other: None }
    }

    fn prompt_tokens(&self, chars: u64) -> Figure {
        let known = self.same.or(self.other).filter(|speed| speed.prompt_chars > 0 && speed.prompt_tokens > 0);
        match known {
            Some(speed) => Figure::of(scaled(chars, speed.prompt_tokens, speed.prompt_chars), Basis::Forecast),
            None => Figure::of(chars.div_ceil(CHARS_PER_TOKEN), Basis::Guess),
        }
    }

    fn completion_tokens(&self, calls: u64, most: u64) -> Figure {
        match self.same {
            _ if most == 0 => Figure::exact(0),
            Some(speed) => Figure::of(scaled(calls, speed.completion_tokens, speed.calls).min(most), Basis::Forecast),
            None => Figure::of(most, Basis::AtMost),
        }
    }

    fn time_ms(&self, calls: u64, tokens: u64) -> Figure {
        if let Some(speed) = self.same {
            return Figure::of(scaled(calls, speed.busy_ms, speed.calls), Basis::Forecast);
        }
        let by_tokens = |speed: Speed| (speed.prompt_tokens + speed.completion_tokens, speed.busy_ms);
        match self.other.map(by_tokens) {
            Some((recorded, busy_ms)) if recorded > 0 => Figure::of(scaled(tokens, busy_ms, recorded), Basis::Guess),
            Some(_) | None => Figure::unknown(),
        }
    }

    /// How many characters a reply has that is not there yet: as many as this model's replies to such calls have.
    fn reply_chars(&self, most_tokens: u64) -> usize {
        let tokens = self.same.map_or(most_tokens, |speed| scaled(1, speed.completion_tokens, speed.calls));
        usize::try_from(tokens.saturating_mul(CHARS_PER_TOKEN)).unwrap_or(usize::MAX).min(20_000)
    }
}

/// `number × top / bottom`, rounded up.
fn scaled(number: u64, top: u64, bottom: u64) -> u64 {
    let scaled = (u128::from(number) * u128::from(top)).div_ceil(u128::from(bottom.max(1)));
    u64::try_from(scaled).unwrap_or(u64::MAX)
}

/// Says what each stage that would run takes. Where nothing would run, no row is touched.
///
/// # Errors
/// The store or a file cannot be read, or holds what another version wrote.
pub fn forecast(pipeline: &Pipeline, planned: &[PlannedStage], store: &Store) -> Result<Forecast, ForecastError> {
    let mut settled = Settled::new(pipeline, store);
    let mut receipts = BTreeMap::new();
    for stage in planned {
        if let Status::Cached(receipt) = &stage.status {
            settled.settle(stage.id.clone(), receipt);
            receipts.insert(&stage.id, receipt.as_ref());
        } else if let Some(receipt) = expected(pipeline, stage, &settled, store)? {
            settled.settle(stage.id.clone(), &receipt);
        }
    }
    let running: Vec<&StageId> =
        planned.iter().filter(|stage| matches!(stage.status, Status::Run(_))).map(|stage| &stage.id).collect();
    let asked = Dry::new(pipeline, store, &settled, &running, &receipts)?.count(store)?;
    let mut stages = BTreeMap::new();
    for id in running {
        let stage = &pipeline.stages[id];
        let counts = asked.get(id).map(Vec::as_slice).unwrap_or_default();
        let mut counts = counts.iter().copied().chain(std::iter::repeat((Count::default(), Record::unknown())));
        let (mut calls, mut memory_bytes, mut in_memory) = (None, None, Vec::new());
        for model in stage::models(stage) {
            let (count, record) = counts.next().expect("it goes on for ever");
            let mut found = calls_of(&count, &record, pipeline.price(model));
            let tables = stage::pair(stage).map(|pair| pair.map(|answers| receipts.get(answers)));
            if let Some(tables) = tables.filter(|tables| tables.contains(&None)) {
                let rows = tables.into_iter().flatten().find_map(|receipt| receipt.rows);
                found = calls_of_pairs(rows);
            }
            calls = Some(calls.map_or(found, |calls: CallsForecast| calls.plus(found)));
            // Texts and embeddings may be of one model.
            if found.to_make.value != Some(0) && !in_memory.contains(&model) {
                in_memory.push(model);
                let needed = needs::memory(pipeline, store, &settled, stage, model)?;
                memory_bytes = memory_bytes
                    .zip(needed)
                    .map(|(one, other): (Figure, Figure)| one.plus(other))
                    .or(needed)
                    .or(memory_bytes);
            }
        }
        let download_bytes = match stage {
            Stage::Pull(pull) => Some(needs::download(store, &settled, id, pull)?),
            Stage::Research(_)
            | Stage::Generate(_)
            | Stage::Infer(_)
            | Stage::Judge(_)
            | Stage::Prefer(_)
            | Stage::Calibrate(_)
            | Stage::Compare(_)
            | Stage::Decide(_) => None,
        };
        stages.insert(id.clone(), StageForecast { calls, download_bytes, memory_bytes });
    }
    let total = total(stages.values());
    Ok(Forecast { stages, total })
}

/// What a stage that brings weights is expected to come to: what it came to before, if it runs by force only.
fn expected(
    pipeline: &Pipeline,
    planned: &PlannedStage,
    settled: &Settled<'_>,
    store: &Store,
) -> Result<Option<Receipt>, PlanError> {
    let stage = &pipeline.stages[&planned.id];
    let by_force = matches!(planned.status, Status::Run(Reason::Forced | Reason::Waits(_)));
    let decides_who_answers = matches!(stage, Stage::Research(_) | Stage::Pull(_));
    let known = stage::reads(stage).into_iter().all(|read| settled.is_settled(read));
    if !(by_force && decides_who_answers && known) {
        return Ok(None);
    }
    Ok(match resolve(pipeline, &planned.id, stage, settled, store)? {
        Resolved::Hit(receipt) => Some(*receipt),
        Resolved::Miss(..) | Resolved::Unfetched => None,
    })
}

fn calls_of(count: &Count, record: &Record, price: Option<Price>) -> CallsForecast {
    let Count { rows: _, to_make, uncertain, cached, prompt_chars, most_completion_tokens } = *count;
    // A reply that comes may be one that came before, or none: then less is asked about it.
    let basis = if uncertain == 0 { Basis::Exact } else { Basis::AtMost };
    if to_make == 0 {
        return CallsForecast { cached: Figure::exact(cached), ..CallsForecast::none() };
    }
    let prompt_tokens = record.prompt_tokens(prompt_chars);
    let completion_tokens = record.completion_tokens(to_make, most_completion_tokens);
    let both = prompt_tokens.plus(completion_tokens);
    let tokens = both.value.unwrap_or(0);
    let cost = price.map_or(Figure::unknown(), |price| {
        let of = |figure: Figure, price: f64| figure.value.unwrap_or(0) as f64 * price / 1e6;
        let dollars = of(prompt_tokens, price.prompt) + of(completion_tokens, price.completion);
        Figure::of(dollars, both.basis)
    });
    CallsForecast {
        to_make: Figure::of(to_make, basis),
        cached: Figure::of(cached, if uncertain == 0 { Basis::Exact } else { Basis::AtLeast }),
        prompt_tokens,
        completion_tokens,
        time_ms: record.time_ms(to_make, tokens),
        cost,
    }
}

/// What comparing so many pairs takes where it is not known which replies they are: both orders of each, or fewer where replies
/// are the same.
fn calls_of_pairs(pairs: Option<u64>) -> CallsForecast {
    let unknown = CallsForecast {
        to_make: Figure::unknown(),
        cached: Figure::unknown(),
        prompt_tokens: Figure::unknown(),
        completion_tokens: Figure::unknown(),
        time_ms: Figure::unknown(),
        cost: Figure::unknown(),
    };
    pairs.map_or(unknown, |pairs| CallsForecast { to_make: Figure::of(2 * pairs, Basis::AtMost), ..unknown })
}

/// The sum over stages. Models are not all needed at once, so memory is that of the largest.
fn total<'a>(stages: impl Iterator<Item = &'a StageForecast>) -> StageForecast {
    let mut total = StageForecast { calls: None, download_bytes: None, memory_bytes: None };
    for StageForecast { calls, download_bytes, memory_bytes } in stages {
        if let Some(calls) = calls {
            total.calls = Some(total.calls.unwrap_or(CallsForecast::none()).plus(*calls));
        }
        if let Some(bytes) = download_bytes {
            total.download_bytes = Some(total.download_bytes.unwrap_or(Figure::exact(0)).plus(*bytes));
        }
        if let Some(bytes) = memory_bytes.filter(|bytes| bytes.value > total.memory_bytes.and_then(|most| most.value)) {
            total.memory_bytes = Some(bytes);
        }
    }
    total
}

/// What a stage's calls come to and what was recorded of such: for texts, by seat, and then for embeddings.
type Asked = Vec<(Count, Record)>;

/// The stages that a dry run goes through.
struct Dry<'a> {
    nodes: Vec<Node<'a>>,
    /// Of each node, for texts, by seat, and then for embeddings.
    records: Vec<Vec<Record>>,
    feeds: Vec<(Feed<'a>, Vec<usize>)>,
}

impl<'a> Dry<'a> {
    fn new(
        pipeline: &'a Pipeline,
        store: &Store,
        settled: &Settled<'_>,
        running: &[&'a StageId],
        receipts: &BTreeMap<&StageId, &Receipt>,
    ) -> Result<Self, ForecastError> {
        let mut dry = Self { nodes: Vec::new(), records: Vec::new(), feeds: Vec::new() };
        for &id in running {
            let stage = &pipeline.stages[id];
            if !matters(pipeline, running, id) {
                continue;
            }
            let engine = |model, manner| engine(pipeline, store, settled, id, model, manner);
            let texts = stage::seats(stage).iter().map(|model| engine(Some(model), stage::manner(stage)));
            let (texts, mut records): (Vec<_>, Vec<_>) = texts.collect::<Result<Vec<_>, _>>()?.into_iter().unzip();
            let (embeddings, embedder) = engine(stage::embedder(stage), stage::EMBEDS)?;
            let commands = stage::command_identity(stage, settled)?
                .map_or(Engine::Nobody, |identity| Engine::Known(CallKeys::new(&identity)));
            let record = records.first().copied().unwrap_or(Record::unknown());
            records.push(embedder);
            let work = stage::row_stage(stage).map_err(|error| ForecastError::Check { stage: id.clone(), error })?;
            let Some(work) = work else { continue };
            let stand_in = match stage {
                Stage::Generate(spec) => {
                    let (least, most) = spec.reject.as_ref().and_then(|reject| reject.length).unwrap_or((0, 1000));
                    StandIn::Opening(record.reply_chars(60).min(1000).clamp(least as usize, most as usize))
                }
                Stage::Infer(spec) => StandIn::Text(record.reply_chars(u64::from(spec.max_tokens))),
                Stage::Judge(_) => StandIn::Verdict,
                Stage::Prefer(_) => StandIn::Preference,
                Stage::Research(_) | Stage::Pull(_) | Stage::Calibrate(_) | Stage::Compare(_) | Stage::Decide(_) => {
                    unreachable!("it works row by row")
                }
            };
            let at = dry.nodes.len();
            dry.nodes.push(Node { id, work, texts, embeddings, commands, stand_in, readers: Vec::new() });
            dry.records.push(records);
            match (stage::table(stage), stage) {
                (None, Stage::Generate(spec)) => dry.feeds.push((Feed::Cells(spec, &pipeline.root), vec![at])),
                (None, Stage::Prefer(spec)) => {
                    // Which replies are compared is only known where both tables are there.
                    if let [Some(base), Some(new)] = [&spec.base, &spec.new].map(|answers| receipts.get(answers)) {
                        dry.feeds.push((Feed::Pair(base.output, new.output), vec![at]));
                    }
                }
                (None, _) => {}
                (Some(input), _) => match receipts.get(input) {
                    Some(receipt) => dry.read_table(receipt, at),
                    // In the order of the graph, so what it reads is there already.
                    None => {
                        if let Some(read) = dry.nodes.iter_mut().find(|node| node.id == input) {
                            read.readers.push(at);
                        }
                    }
                },
            }
        }
        Ok(dry)
    }

    /// Several stages that read one table read it once.
    fn read_table(&mut self, receipt: &Receipt, at: usize) {
        let same = |feed: &Feed<'_>| matches!(feed, Feed::Table(blob) if *blob == receipt.output);
        match self.feeds.iter_mut().find(|(feed, _)| same(feed)) {
            Some((_, readers)) => readers.push(at),
            None => self.feeds.push((Feed::Table(receipt.output), vec![at])),
        }
    }

    /// Of each stage, what its calls for texts and those for embeddings come to.
    fn count(self, store: &Store) -> Result<BTreeMap<&'a StageId, Asked>, ForecastError> {
        let counts = dry::run(store, &self.nodes, &self.feeds)?;
        let ids = self.nodes.iter().map(|node| node.id);
        let with_record = |(counts, records): (Vec<Count>, Vec<Record>)| counts.into_iter().zip(records).collect();
        Ok(ids.zip(counts.into_iter().zip(self.records).map(with_record)).collect())
    }
}

/// Whether a running stage's rows have to be gone through: it makes calls, or one that reads its rows does.
fn matters(pipeline: &Pipeline, running: &[&StageId], id: &StageId) -> bool {
    let stage = &pipeline.stages[id];
    let is_by_row = matches!(stage, Stage::Generate(_) | Stage::Infer(_) | Stage::Judge(_) | Stage::Prefer(_));
    let reads_it = |other: &&&StageId| **other != id && stage::reads(&pipeline.stages[**other]).contains(&id);
    is_by_row && (stage::asks(stage) || running.iter().filter(reads_it).any(|other| matters(pipeline, running, other)))
}

fn engine(
    pipeline: &Pipeline,
    store: &Store,
    settled: &Settled<'_>,
    id: &StageId,
    model: Option<&ModelRef>,
    manner: &str,
) -> Result<(Engine, Record), ForecastError> {
    match model {
        None => Ok((Engine::Nobody, Record::unknown())),
        Some(ModelRef::Embedded(model)) if !model.pulls().all(|pull| settled.is_settled(pull)) => {
            // Equal models ask equal calls, whatever comes of what is pulled.
            let stand_in = json!({ "weights_of": model.weights, "called": model.called() });
            Ok((Engine::Unknown(CallKeys::new(&Identity(stand_in))), Record::unknown()))
        }
        Some(model) => {
            let identity =
                stage::identity(pipeline, model, settled).map_err(|error| PlanError::from_recipe(id, error))?;
            let record = Record::read(store, &identity, manner)?;
            Ok((Engine::Known(CallKeys::new(&identity)), record))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn speed(calls: u64, chars: u64, prompt: u64, completion: u64, busy_ms: u64) -> Speed {
        Speed { calls, prompt_chars: chars, prompt_tokens: prompt, completion_tokens: completion, busy_ms }
    }

    fn count(to_make: u64, uncertain: u64) -> Count {
        Count { rows: 9, to_make, uncertain, cached: 3, prompt_chars: 4000, most_completion_tokens: 500 }
    }

    #[test]
    fn numbers_rest_on_what_was_recorded() {
        let record = Record { same: Some(speed(10, 1000, 500, 200, 3000)), other: None };
        let found = calls_of(&count(5, 0), &record, Some(Price { prompt: 1.0, completion: 10.0 }));
        assert_eq!((found.to_make, found.cached), (Figure::exact(5), Figure::exact(3)));
        assert_eq!(found.prompt_tokens, Figure::of(2000, Basis::Forecast));
        assert_eq!(found.completion_tokens, Figure::of(100, Basis::Forecast));
        assert_eq!(found.time_ms, Figure::of(1500, Basis::Forecast));
        assert_eq!(found.cost.basis, Basis::Forecast);
        assert!((found.cost.value.unwrap() - 0.003).abs() < 1e-12);
    }

    #[test]
    fn without_a_record_nothing_is_made_up() {
        let found = calls_of(&count(5, 1), &Record::unknown(), None);
        assert_eq!((found.to_make, found.cached), (Figure::of(5, Basis::AtMost), Figure::of(3, Basis::AtLeast)));
        assert_eq!(found.prompt_tokens, Figure::of(1000, Basis::Guess));
        assert_eq!(found.completion_tokens, Figure::of(500, Basis::AtMost));
        assert_eq!((found.time_ms, found.cost), (Figure::unknown(), Figure::unknown()));
        // Of another kind of stage: its speed by tokens.
        let record = Record { same: None, other: Some(speed(10, 1000, 500, 500, 3000)) };
        let found = calls_of(&count(5, 0), &record, None);
        assert_eq!(found.prompt_tokens, Figure::of(2000, Basis::Forecast));
        assert_eq!(found.completion_tokens, Figure::of(500, Basis::AtMost));
        assert_eq!(found.time_ms, Figure::of(7500, Basis::Guess));
    }

    #[test]
    fn nothing_to_ask_takes_nothing() {
        let found = calls_of(&count(0, 0), &Record::unknown(), None);
        assert_eq!(found, CallsForecast { cached: Figure::exact(3), ..CallsForecast::none() });
    }

    #[test]
    fn a_sum_is_as_firm_as_its_weakest_part() {
        let exact = Figure::exact(1);
        assert_eq!(exact.plus(Figure::of(2, Basis::Guess)), Figure::of(3, Basis::Guess));
        assert_eq!(exact.plus(Figure::unknown()), Figure::of(1, Basis::AtLeast));
        assert_eq!(Figure::<u64>::unknown().plus(Figure::unknown()), Figure::unknown());
        assert_eq!(Figure::of(1, Basis::AtLeast).plus(exact), Figure::of(2, Basis::AtLeast));
    }

    #[test]
    fn a_stage_without_calls_leaves_the_sum_alone() {
        let some = calls_of(&count(5, 0), &Record::unknown(), None);
        let none = calls_of(&count(0, 0), &Record::unknown(), None);
        let both = CallsForecast { cached: Figure::exact(6), ..some };
        assert_eq!((none.plus(some), some.plus(none)), (both, both));
    }

    #[test]
    fn one_model_at_a_time_is_in_memory() {
        let of = |bytes| StageForecast { calls: None, download_bytes: None, memory_bytes: Some(Figure::exact(bytes)) };
        assert_eq!(total([of(5), of(9), of(2)].iter()).memory_bytes, Some(Figure::exact(9)));
    }
}
