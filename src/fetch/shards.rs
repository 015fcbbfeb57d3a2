//! A model in several files: each is brought and verified by itself, then they are joined into one.

use std::io::{self, BufWriter, Write};
use std::path::PathBuf;

use fs_err::File;

use super::gguf;
use super::https::{self, Manner, Remote};
use super::partial::remove_if_there;
use super::place::Place;
use super::transfer::{Counter, Digests, Hasher, hash_file, off_thread};
use super::{FetchError, Watch, space};
use crate::spec::shard;

/// A file that is the whole of a model or a shard of it.
#[derive(Debug)]
pub(super) struct Piece {
    pub(super) remote: Remote,
    /// Its size, where its keeper says it.
    pub(super) bytes: Option<u64>,
}

/// The shards that lie beside the first one of a split model, of which `url` is the address: each under its own number.
pub(super) fn beside_first(url: &str) -> Option<Vec<Piece>> {
    let end = url.find(['?', '#']).unwrap_or(url.len());
    let (address, rest) = url.split_at(end);
    let (stem, 1, count @ 2..) = shard(address.strip_suffix(".gguf")?)? else { return None };
    let numbered = |number: u32| format!("{stem}-{number:05}-of-{count:05}.gguf{rest}");
    Some((1..=count).map(|number| Piece { remote: Remote::of(numbered(number), None), bytes: None }).collect())
}

/// Progress of one file among several.
struct Part<'a> {
    watch: &'a dyn Watch,
    /// Bytes of those before it, and of all.
    before: u64,
    all: u64,
}

impl Watch for Part<'_> {
    fn total(&self, _bytes: u64) {
        self.watch.total(self.all);
        self.watch.advance(self.before);
    }

    fn advance(&self, bytes: u64) {
        self.watch.advance(bytes);
    }

    fn note(&self, text: &str) {
        self.watch.note(text);
    }
}

/// Brings the shards of a model and joins them at `place`.
pub(super) async fn bring(
    files: &[Piece],
    place: &Place,
    watch: &dyn Watch,
    manner: &Manner,
) -> Result<Digests, FetchError> {
    let places: Vec<Place> = (1..=files.len()).map(|number| place.part(number)).collect();
    let all: u64 = files.iter().map(|file| file.bytes.unwrap_or(0)).sum();
    let here: u64 = places.iter().map(|part| part.bytes()).sum();
    // The shards and what they are joined to are here at the same time.
    space::check(manner.room, place.path(), all.saturating_sub(here).saturating_add(all))?;
    let mut before = 0;
    for (file, part) in files.iter().zip(&places) {
        let watch = Part { watch, before, all };
        let digests = bring_one(file, part, &watch, manner).await?;
        before += digests.bytes;
    }
    let paths: Vec<PathBuf> = places.iter().map(|part| part.path().to_owned()).collect();
    let digests = join_at(paths.clone(), Told::Before, place, watch).await?;
    let failed = |error| FetchError::io(place.path(), error);
    paths.iter().try_for_each(|shard| remove_if_there(shard)).map_err(failed)?;
    Ok(digests)
}

/// Joins shards that are files of the user's, which stay as they are.
pub(super) async fn join_files(
    shards: Vec<PathBuf>,
    place: &Place,
    watch: &dyn Watch,
    manner: &Manner,
) -> Result<Digests, FetchError> {
    let size = |path: &PathBuf| match fs_err::metadata(path) {
        Ok(found) => Ok(found.len()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(FetchError::NotFound { path: path.clone() }),
        Err(error) => Err(FetchError::io(path, error)),
    };
    let all: u64 = shards.iter().map(size).sum::<Result<_, _>>()?;
    // What an interrupted attempt left is begun anew, and is not in its own way.
    remove_if_there(place.path()).map_err(|error| FetchError::io(place.path(), error))?;
    space::check(manner.room, place.path(), all)?;
    join_at(shards, Told::Now, place, watch).await
}

/// When it is told how many bytes there are and how many are done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    /// While they were brought.
    Before,
    /// While they are joined.
    Now,
}

async fn join_at(shards: Vec<PathBuf>, told: Told, place: &Place, watch: &dyn Watch) -> Result<Digests, FetchError> {
    watch.note(&format!("joining {} shards", shards.len()));
    let place = place.clone();
    off_thread(watch, move |counter| join(&shards, told, &place, counter)).await
}

/// Brings one shard, unless it is here from an attempt before.
async fn bring_one(file: &Piece, place: &Place, watch: &dyn Watch, manner: &Manner) -> Result<Digests, FetchError> {
    if let (Some(sha256), true) = (&file.remote.sha256, place.is_finished()) {
        let (path, part) = (place.path().to_owned(), place.clone());
        let digests = off_thread(watch, move |counter| {
            let _held: Place = part;
            hash_file(&path, counter)
        })
        .await?;
        if digests.sha256 == *sha256 {
            return Ok(digests);
        }
    }
    let digests = https::download(&file.remote, place, watch, manner).await?;
    super::check_digest(place, file.remote.sha256.as_deref(), digests)
}

/// Hashes on the way what it hands on.
struct Hashing<'a> {
    file: BufWriter<File>,
    hasher: Hasher,
    counter: &'a Counter,
    told: Told,
}

impl Write for Hashing<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write_all(bytes)?;
        self.hasher.update(bytes);
        let done = if self.told == Told::Now { bytes.len() } else { 0 };
        // Fails where nobody waits for it any more.
        self.counter.advance(done).map_err(io::Error::other)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

fn join(shards: &[PathBuf], told: Told, place: &Place, counter: &Counter) -> Result<Digests, FetchError> {
    let path = place.path();
    let failed = |error| FetchError::io(path, error);
    let unsound = |error| {
        if let gguf::GgufError::Io { source } = error {
            failed(source)
        } else {
            FetchError::BadShards { reason: error.to_string() }
        }
    };
    if told == Told::Now {
        let (_, bytes) = gguf::read_joined(shards).map_err(unsound)?;
        counter.total(bytes)?;
    }
    remove_if_there(path).map_err(failed)?;
    let file = BufWriter::with_capacity(1 << 18, File::create(path).map_err(failed)?);
    let mut out = Hashing { file, hasher: Hasher::default(), counter, told };
    let paths: Vec<_> = shards.iter().map(PathBuf::as_path).collect();
    gguf::join(&paths, &mut out).map_err(unsound)?;
    out.flush().map_err(failed)?;
    out.file.get_ref().sync_all().map_err(failed)?;
    Ok(out.hasher.finish())
}
