//! Bringing weights into the store: one source after the other, what is here already first, and looking at what came.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Value, json};

use super::engines::Tried;
use super::stages::{Executed, check_unchanged, put_record};
use super::{Event, Output, Run, StageFailure, Unit};
use crate::data::WeightsRecord;
use crate::engine::template;
use crate::fetch::{self, FetchError, Fetched, Kept, gguf};
use crate::ids::StageId;
use crate::key::{BlobId, Recipe};
use crate::spec::{WeightsSource, model_files};
use crate::stage::{self, pull};
use crate::store::{Receipt, Store, StoreError};

/// The kind of the receipts of weights that were found usable.
const PULL: &str = "pull";

/// Weights that lie in the store, by the receipt of the stage that brought them.
#[derive(Debug)]
pub struct Stored {
    /// What they are.
    pub record: WeightsRecord,
    /// How they came.
    pub receipt: Receipt,
}

/// All weights that `pull` stages brought and that are still here, the latest first. Those that came twice are told twice.
///
/// # Errors
/// The store cannot be read.
pub fn stored(store: &Store) -> Result<Vec<Stored>, StoreError> {
    stored_by(store, PULL)
}

fn stored_by(store: &Store, kind: &str) -> Result<Vec<Stored>, StoreError> {
    let mut found = Vec::new();
    for receipt in store.receipts_of(kind)? {
        let is_here = |id: &BlobId| store.object_path(id).exists();
        if !is_here(&receipt.output) || !receipt.also.iter().all(is_here) {
            continue;
        }
        // What another version wrote is none of ours.
        if let Ok(record) = serde_json::from_slice(&store.read(&receipt.output)?) {
            found.push(Stored { record, receipt });
        }
    }
    Ok(found)
}

/// Tells a fetch's progress as events of its stage.
struct Watch<'a> {
    run: &'a Run<'a>,
    id: &'a StageId,
}

impl fetch::Watch for Watch<'_> {
    fn total(&self, bytes: u64) {
        (self.run.events)(Event::Total { stage: self.id, unit: Unit::Bytes, total: bytes });
    }

    fn advance(&self, bytes: u64) {
        (self.run.events)(Event::Advanced { stage: self.id, by: bytes, tally: Default::default() });
    }

    fn note(&self, text: &str) {
        (self.run.events)(Event::Note { stage: self.id, text });
    }
}

/// Brings what a `pull` stage wants.
pub(super) async fn bring(
    run: &Run<'_>,
    id: &StageId,
    wanted: stage::WantedWeights,
    recipe: &Recipe,
    again: bool,
) -> Result<Executed, StageFailure> {
    let watch = Watch { run, id };
    let mut failures: Vec<(&WeightsSource, StageFailure)> = Vec::new();
    for source in std::iter::once(&wanted.source).chain(&wanted.mirrors) {
        let bringing = Bringing { run, watch: &watch, wanted: &wanted, source, recipe };
        match bringing.bring(again).await {
            Ok(executed) => return Ok(executed),
            Err(failure) => {
                if !wanted.mirrors.is_empty() {
                    fetch::Watch::note(&watch, &format!("{}: {failure}", source.without_query()));
                }
                failures.push((source, failure));
            }
        }
    }
    Err(summed_up(failures))
}

/// One failure is told as it is, several together.
fn summed_up(mut failures: Vec<(&WeightsSource, StageFailure)>) -> StageFailure {
    let (_, last) = failures.pop().expect("there is a source");
    if failures.is_empty() {
        return last;
    }
    let message = format!("none of its {} sources has the file; the last one: {last}", failures.len() + 1);
    StageFailure { message, help: last.help }
}

/// One source that is asked.
struct Bringing<'a> {
    run: &'a Run<'a>,
    watch: &'a Watch<'a>,
    wanted: &'a stage::WantedWeights,
    source: &'a WeightsSource,
    recipe: &'a Recipe,
}

impl Bringing<'_> {
    async fn bring(&self, again: bool) -> Result<Executed, StageFailure> {
        let Self { run, watch, wanted: _, source, recipe } = *self;
        let partial = run.store.partial_path(&BlobId::of(source.to_string().as_bytes()));
        let failed = |error: FetchError| StageFailure::new(error.to_string(), error.help());
        let place = fetch::Place::acquire(&partial, watch).await.map_err(failed)?;
        // Whoever held the place before may have brought what is wanted here.
        if !again && let Some(receipt) = run.store.receipt(&recipe.key())? {
            return Ok(Executed::Found(receipt));
        }
        let brought = pull::brought_recipe(recipe, source);
        let here = if again { None } else { self.brought(&brought)? };
        let (record, header) = match here {
            Some(here) => here,
            None => self.fetch(&place, again).await?,
        };
        let mut output = Output::record(put_record(run.store, &record)?);
        output.also.push(record.weights);
        if !matches!(source, WeightsSource::File(_)) {
            // Whatever comes of the trial, and of writing that down, they are not brought again to be tried again.
            let receipt = Receipt::bare(brought.key(), pull::BROUGHT, output.blob, run.now);
            let receipt = Receipt { also: output.also.clone(), ..receipt };
            run.store.replace_receipt(&brought, &receipt)?;
        }
        output.summary = Some(self.try_out(&record, &header).await?);
        Ok(Executed::Made(output))
    }

    /// What an earlier run brought, whose trial did not end well or is not known to have.
    fn brought(&self, recipe: &Recipe) -> Result<Option<(WeightsRecord, gguf::Header)>, StageFailure> {
        let Self { run, watch, .. } = *self;
        let Some(receipt) = run.store.receipt(&recipe.key())? else { return Ok(None) };
        let Some(record) = tokio::task::block_in_place(|| sound(run.store, &receipt)) else { return Ok(None) };
        // A file that the store has is one whose header was read.
        let Ok(header) = gguf::read(&run.store.object_path(&record.weights)) else { return Ok(None) };
        fetch::Watch::note(
            watch,
            "it is here from an earlier run, whose trial did not end well: trying it again (`--force` brings it anew)",
        );
        Ok(Some((record, header)))
    }

    async fn fetch(&self, place: &fetch::Place, again: bool) -> Result<(WeightsRecord, gguf::Header), StageFailure> {
        let Self { run, watch, wanted, source, recipe } = *self;
        run.engines.may_fetch(source)?;
        let kept = |sha256: &str| if again { None } else { kept(run.store, sha256) };
        let asked = fetch::Wanted { source, root: &run.pipeline.root, sha256: wanted.sha256.as_deref(), kept: &kept };
        let failed = |error: FetchError| StageFailure::new(error.to_string(), error.help());
        let fetched = fetch::fetch(&asked, run.engines.access(), place, watch).await.map_err(failed)?;
        if let (WeightsSource::File(path), true) = (source, wanted.mirrors.is_empty()) {
            match model_files(path).as_slice() {
                [file] => check_unchanged(recipe, &fetched.blake3, file)?,
                shards => tokio::task::block_in_place(|| {
                    let check = |shard: &PathBuf| {
                        check_unchanged(recipe, &run.store.file_id(&run.pipeline.root.join(shard))?, shard)
                    };
                    shards.iter().try_for_each(check)
                })?,
            }
        }
        if fetched.is_kept {
            fetch::Watch::note(watch, "the store has these bytes already");
        }
        tokio::task::block_in_place(|| self.adopt(place.path(), &fetched))
    }

    /// Sees that the model can be asked: its chat template is rendered, and where it can be loaded it makes a token.
    async fn try_out(&self, record: &WeightsRecord, header: &gguf::Header) -> Result<Value, StageFailure> {
        let Self { run, watch, source, .. } = *self;
        let unusable = |message: String, help: Option<String>| {
            StageFailure::new(format!("{} is not usable: {message}", source.without_query()), help)
        };
        if let Some(template) = &header.chat_template {
            template::check(template).map_err(|error| unusable(error.to_string(), Some(error.help().to_owned())))?;
        }
        let tried = run.engines.try_weights(watch.id, record, header, run.store).await;
        let tried = tried.map_err(|error| {
            let help = error.help().or_else(|| Some("pull other weights: these cannot be asked".to_owned()));
            unusable(error.to_string(), help)
        })?;
        let token = match tried {
            Tried::Yes => "made".to_owned(),
            Tried::No(why) => {
                fetch::Watch::note(watch, &format!("not tried out: {why}"));
                format!("not tried: {why}")
            }
            Tried::Unexpected(why) => format!("not tried: {why}"),
        };
        let template = if header.chat_template.is_some() { "rendered" } else { "none" };
        Ok(json!({ "template": template, "token": token }))
    }

    fn adopt(&self, partial: &Path, fetched: &Fetched) -> Result<(WeightsRecord, gguf::Header), StageFailure> {
        let Self { run, wanted, source, .. } = *self;
        let store: &Arc<Store> = run.store;
        let object = store.object_path(&fetched.blake3);
        let path = if fetched.is_kept { &object } else { partial };
        let header = gguf::read(path).map_err(|error| {
            // What is no model now will be none next time: do not resume from it.
            fs_err::remove_file(path).ok();
            StageFailure::new(format!("{} is not usable: {error}", source.without_query()), error.help())
        })?;
        if !fetched.is_kept {
            store.adopt(partial, &fetched.blake3)?;
        }
        if let WeightsSource::File(path) = source
            && model_files(path).len() == 1
        {
            // A second name for it has changed when the user's file last changed, but not its bytes.
            store.remember_file(&run.pipeline.root.join(path), &fetched.blake3)?;
        }
        Ok((pull::record(wanted, source, fetched, header.clone()), header))
    }
}

/// The record of weights whose bytes are here and are what they were.
fn sound(store: &Store, receipt: &Receipt) -> Option<WeightsRecord> {
    let record: WeightsRecord = serde_json::from_slice(&store.read(&receipt.output).ok()?).ok()?;
    store.verified(&record.weights).ok()?;
    Some(record)
}

/// Finds a file by its sha256 among those that were brought before, and sees that it is sound.
fn kept(store: &Store, sha256: &str) -> Option<Kept> {
    let of_kind = |kind| stored_by(store, kind).ok();
    let mut stored = of_kind(PULL)?.into_iter().chain(of_kind(pull::BROUGHT)?);
    let found = stored.find(|stored| stored.record.sha256 == sha256)?.record;
    store.verified(&found.weights).ok()?;
    Some(Kept { bytes: found.bytes, blake3: found.weights })
}
